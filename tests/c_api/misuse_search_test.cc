// Bad arguments of searches: a status, a sentence, and nothing written.
#include <mfq/mfq.h>

#include <cmath>
#include <string>
#include <vector>

#include "support/misuse.h"

namespace {

using namespace misuse;

class MisuseSearch : public Misuse {
protected:
  void SetUp() override {
    Misuse::SetUp();
    mfq_search_init(&good, MFQ_SEARCH_MSE);
    good.src = &src;
    good.q = &owned.q;
    good.importance = &importance;
    before = owned.content();
  }
  mfq_status run(const mfq_search &s) { return mfq_search_scales(context, &s); }
  bool is_untouched() const { return owned.content() == before; }

  Owned owned{"int8/group:32/f32/zp", {4, 64}};
  std::vector<float> in = std::vector<float>(4 * 64 + 8, 0.5f), weight = std::vector<float>(4 * 64, 1.0f);
  mfq_search good;
  mfq_tensor src = dense(in.data(), MFQ_DTYPE_F32, {4, 64}), importance = dense(weight.data(), MFQ_DTYPE_F32, {4, 64});
  std::vector<uint8_t> before;
};

TEST_F(MisuseSearch, Fields) {
  EXPECT_TRUE(fails(mfq_search_scales(nullptr, &good), invalid, {"context is NULL"}));
  EXPECT_TRUE(fails(mfq_search_scales(context, nullptr), invalid, {"search is NULL"}));
  const std::vector<Bad<mfq_search>> fields = {
      {[](mfq_search *s) { s->struct_size = 8; }, invalid, {"search->struct_size is 8", "call mfq_search_init first"}},
      {[](mfq_search *s) { set_raw(&s->method, 7); }, invalid, "search: method is 7; allowed is 0 ... 6"},
      {[](mfq_search *s) { s->steps = 0; }, invalid, "search: steps is 0; allowed is 1 ... 4096"},
      {[](mfq_search *s) { s->first = 0; }, invalid, "search: first is 0; allowed is 1 ... 20"},
      {[](mfq_search *s) { s->first = 21; }, invalid, "search: first is 21; allowed is 1 ... 20"},
      {[](mfq_search *s) { s->last = 19; }, invalid, "search: last is 19; allowed is 20 ... 4096"},
      {[](mfq_search *s) { s->last = 4097; }, invalid, "search: last is 4097; allowed is 20 ... 4096"},
      {[](mfq_search *s) { s->last = 130; }, invalid,
       "search: first is 2 and last is 130, which are 129 candidates; allowed are 128"},
      {[](mfq_search *s) { s->src = nullptr; }, invalid, "search->src is NULL"},
      {[](mfq_search *s) { s->q = nullptr; }, invalid, "search->q is NULL"},
  };
  expect_refused(fields, good, "mfq_search_scales: ", [&](const mfq_search *s) { return run(*s); });
  mfq_search_init(nullptr, MFQ_SEARCH_MSE);
  mfq_search none;
  mfq_search_method unknown;
  set_raw(&unknown, 77);
  mfq_search_init(&none, unknown);
  none.src = &src;
  none.q = &owned.q;
  EXPECT_TRUE(fails(run(none), invalid, {"search: steps is 0"}));
  EXPECT_TRUE(is_untouched());
}

TEST_F(MisuseSearch, Schemes) {
  mfq_search s = good;
  s.importance = nullptr;
  const Owned unscaled("e4m3fn", {4, 64}), given("e4m3fn/tensor/f32:given", {4, 64}),
      powers("e2m1/ue8m0:given", {4, 64});
  s.q = &unscaled.q;
  EXPECT_TRUE(
      fails(run(s), invalid,
            {"search->q: the scheme has no scales to search; give it some (\"/tensor/f32\"), or use mfq_quantize"}));
  s.q = &given.q;
  EXPECT_TRUE(
      fails(run(s), invalid,
            {"search->q: rule given reads scales, but a search writes them; take a rule that measures (absmax)"}));
  s.q = &powers.q;
  EXPECT_TRUE(fails(run(s), invalid, {"take a rule that measures (floor)"}));
  mfq_search_init(&s, MFQ_SEARCH_PERCENTILE);
  s.src = &src;
  s.q = &owned.q;
  EXPECT_TRUE(
      fails(run(s), invalid,
            {"search: method is percentile, but the scheme's statistic is a range, of which it finds no ends; take a "
             "scheme of absmax, or method mse"}));
  const Owned rotated("nvfp4/hadamard:16", {4, 64}), other("int8/group:32/f32/zp", {5, 64});
  s = good;
  s.q = &rotated.q;
  EXPECT_TRUE(
      fails(run(s), invalid,
            {"search: importance is given, but the scheme rotates elements, whose errors belong to no single element; "
             "leave it NULL"}));
  s.q = &other.q;
  EXPECT_TRUE(fails(run(s), bad_shape, {"search->q: shape is [5, 64], but search->src has [4, 64]"}));
  mfq_qtensor bare = owned.q;
  bare.scales = nullptr;
  s.q = &bare;
  EXPECT_TRUE(fails(run(s), invalid, {"search->q: scales is NULL, but needs 32 bytes"}));
  EXPECT_TRUE(is_untouched());
}

TEST_F(MisuseSearch, HalfQuadratic) {
  const struct {
    const char *scheme, *sentence;
  } rows[] = {
      {"mxfp8_e4m3", "search: method is hqo, but the elements are minifloats; take integers, or method mse"},
      {"mxint8", "search: method is hqo, but the rule makes powers of two; take absmax (\"/f32\"), or method mse"},
      {"int8/tensor/f32/round:stochastic",
       "search: method is hqo, but rounding is stochastic, under which errors do not "
       "settle; take round:even, or method mse"},
      {"int8/tensor/f32",
       "search: importance is given, but method is hqo, whose medians do not take it; leave it NULL, "
       "or take method mse"}};
  const auto refuses = [&](const char *scheme, mfq_search_method method, const char *sentence) {
    const Owned of(scheme, {4, 64});
    mfq_search s;
    mfq_search_init(&s, method);
    s.src = &src;
    s.q = &of.q;
    s.importance = &importance;
    return fails(run(s), invalid, {sentence});
  };
  for (const auto &row : rows) EXPECT_TRUE(refuses(row.scheme, MFQ_SEARCH_HQO, row.sentence));
  EXPECT_TRUE(
      refuses("mxfp8_e4m3", MFQ_SEARCH_HQO_ZERO, "search: method is hqo_zero, but the elements are minifloats"));
  EXPECT_TRUE(refuses("int8/tensor/f32", MFQ_SEARCH_HQO_ZERO,
                      "search: method is hqo_zero, but the scheme has no zero points; give it some (\"/zpf\"), or take "
                      "method hqo"));
  EXPECT_TRUE(refuses("int8/tensor/f32/zp", MFQ_SEARCH_HQO_ZERO,
                      "search: importance is given, but method is hqo_zero, whose means do not take it"));
}

TEST_F(MisuseSearch, Deviation) {
  const Owned magnitudes("mxfp4_e2m1", {4, 64});
  mfq_search quest;
  mfq_search_init(&quest, MFQ_SEARCH_QUEST);
  quest.src = &src;
  quest.q = &magnitudes.q;
  const std::vector<Bad<mfq_search>> fields = {
      {[](mfq_search *s) { s->steps = 0; }, invalid, "search: steps is 0; allowed is 1 ... 2147483647"},
      {[](mfq_search *s) { s->first = 2; }, invalid, "search: first is 2; allowed is 1 ... 1"},
      {[](mfq_search *s) { s->last = -1; }, invalid, "search: last is -1; allowed is 1 ... 2147483647"}};
  expect_refused(fields, quest, "mfq_search_scales: ", [&](const mfq_search *s) { return run(*s); });
  quest.importance = &importance;
  EXPECT_TRUE(fails(run(quest), invalid,
                    {"search: importance is given, but method is quest, which compares no errors; leave it NULL"}));
  quest.importance = nullptr;
  quest.q = &owned.q;
  EXPECT_TRUE(fails(run(quest), invalid, {"search: method is quest, but the scheme's statistic is a range"}));
}

TEST_F(MisuseSearch, Importance) {
  mfq_search s = good;
  mfq_tensor t = importance;
  s.importance = &t;
  t.shape[0] = 1;
  EXPECT_TRUE(fails(run(s), bad_shape, {"search->importance: shape is [1, 64], but search->src has [4, 64]"}));
  t = importance;
  t.dtype = MFQ_DTYPE_BF16;
  EXPECT_TRUE(fails(run(s), invalid, {"search->importance: dtype is bf16; allowed is f32"}));
  t = dense(owned.q.scales, MFQ_DTYPE_F32, {4, 64});
  t.strides[0] = 0;
  EXPECT_TRUE(fails(run(s), invalid, {"search->q.scales and search->importance.data overlap"}));
  s.importance = &importance;
  for (const float bad : {-1.0f, NAN, INFINITY, -INFINITY}) {
    weight[77] = bad;
    EXPECT_TRUE(fails(run(s), invalid, {"search->importance: an element is ", "allowed are finite numbers from 0 on"}))
        << bad;
  }
  EXPECT_TRUE(is_untouched());
  weight[77] = -0.0f;
  EXPECT_EQ(run(s), MFQ_OK) << mfq_last_error();
}

TEST_F(MisuseSearch, Tensors) {
  expect_refused(bad_tensors(false), src, "mfq_search_scales: ", [&](const mfq_tensor *t) {
    mfq_search s = good;
    s.src = t;
    return run(s);
  });
  mfq_search s = good;
  const mfq_tensor inside = dense(owned.q.codes, MFQ_DTYPE_BF16, {4, 64});
  s.src = &inside;
  EXPECT_TRUE(fails(run(s), invalid, {"search->src.data and search->q.codes overlap"}));
  EXPECT_TRUE(is_untouched());
}

TEST_F(MisuseSearch, NamesOfBrevitas) {
  const struct {
    const char *text, *scheme;
    mfq_search_method method;
  } rows[] = {
      {"brevitas:MXInt8WeightMSE", "brevitas:MXInt8Weight", MFQ_SEARCH_MSE},
      {"brevitas:Fp8e4m3WeightPerTensorFloatMSE", "brevitas:Fp8e4m3WeightPerTensorFloat", MFQ_SEARCH_MSE},
      {"brevitas:ShiftedMXUInt8WeightMSE/group:16@1", "brevitas:ShiftedMXUInt8Weight/group:16@1", MFQ_SEARCH_MSE},
      {"brevitas:MXFloat8e4m3WeightMSE", "brevitas:MXFloat8e4m3Weight", MFQ_SEARCH_METHODS},
      {"brevitas:MXFloat8e4m3WeightMSE/e5m2", "brevitas:MXFloat8e4m3Weight/e5m2", MFQ_SEARCH_METHODS},
      {"mxfp8_e4m3", "mxfp8_e4m3", MFQ_SEARCH_METHODS},
      {"brevitas:Int8WeightPerChannelFloatHQO/int4n", "brevitas:Int8WeightPerChannelFloat/int4n", MFQ_SEARCH_HQO},
      {"brevitas:ShiftedUint8WeightPerTensorFloatHQO", "brevitas:ShiftedUint8WeightPerTensorFloat/zpf",
       MFQ_SEARCH_HQO_ZERO},
      {"brevitas:ShiftedUint8WeightPerChannelFloatHQO/uint4", "brevitas:ShiftedUint8WeightPerChannelFloat/uint4/zpf",
       MFQ_SEARCH_HQO_ZERO},
      {"brevitas:ShiftedUint8WeightPerGroupFloatHQO/group:16@1",
       "brevitas:ShiftedUint8WeightGroupQuantFloat/zpf/group:16@1", MFQ_SEARCH_HQO_ZERO},
  };
  for (const auto &row : rows) {
    mfq_scheme scheme, want;
    mfq_search_method found;
    ASSERT_EQ(mfq_search_parse(row.text, &scheme, &found), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_scheme_parse(row.scheme, &want), MFQ_OK);
    EXPECT_TRUE(mfq_scheme_equal(&scheme, &want)) << row.text;
    EXPECT_EQ(found, row.method) << row.text;
  }
  mfq_scheme scheme;
  mfq_search_method found;
  for (const char *bad :
       {"brevitas:NothingMSE", "brevitas:Int8ActPerTensorFloatMSE", "brevitas:Fp8e4m3WeightMSE", "mxfp8_e4m3MSE",
        "brevitas:MSE", "brevitas:HQO", "brevitas:ShiftedUint8ActPerTensorFloatHQO", ""}) {
    EXPECT_EQ(mfq_search_parse(bad, &scheme, &found), MFQ_ERROR_PARSE) << bad;
    EXPECT_NE(std::string(mfq_last_error()).find('"' + std::string(bad) + '"'), std::string::npos) << mfq_last_error();
  }
  EXPECT_TRUE(fails(mfq_search_parse(nullptr, &scheme, &found), invalid, {"mfq_search_parse: text is NULL"}));
  EXPECT_TRUE(fails(mfq_search_parse("int8", nullptr, &found), invalid, {"scheme is NULL"}));
  EXPECT_TRUE(fails(mfq_search_parse("int8", &scheme, nullptr), invalid, {"method is NULL"}));
}

TEST_F(MisuseSearch, Names) {
  const char *about = nullptr;
  EXPECT_STREQ(mfq_search_name(MFQ_SEARCH_FOUR_OVER_SIX, &about), "4over6");
  EXPECT_NE(std::string(about).find("becomes 6 or 4"), std::string::npos);
  EXPECT_EQ(mfq_search_name(MFQ_SEARCH_METHODS, &about), nullptr);
  EXPECT_EQ(mfq_search_name(-1, nullptr), nullptr);
}

} // namespace
