// Bad arguments of statistics: a status, a sentence, and nothing written. Statistics as text.
#include <mfq/mfq.h>

#include <string>
#include <vector>

#include "support/misuse.h"

namespace {

using namespace misuse;

TEST(ObserverText, ReadAndWritten) {
  const struct {
    const char *text, *written;
  } rows[] = {{"absmax", "absmax"},
              {"percentile:99.999", "percentile:99.999"},
              {"percentile:1e2", "percentile:100"},
              {"mean", "mean"},
              {"rowmax_mean", "rowmax_mean"},
              {"rowmax_mean@0", "rowmax_mean"},
              {"rowmax_l2@-1", "rowmax_l2@-1"},
              {"sigma:2.5", "sigma:2.5"},
              {"minmax", "minmax"},
              {"interval:0.001:99.999", "interval:0.001:99.999"},
              {"l1", "l1"},
              {"l2", "l2"},
              {"low", "low"},
              {"low_percentile:0.1", "low_percentile:0.1"}};
  for (const auto &row : rows) {
    mfq_observer observer;
    char text[MFQ_OBSERVER_TEXT_MAX];
    ASSERT_EQ(mfq_observer_parse(row.text, &observer), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_observer_print(&observer, text, sizeof text), MFQ_OK) << mfq_last_error();
    EXPECT_STREQ(text, row.written);
  }
  mfq_observer observer;
  ASSERT_EQ(mfq_observer_parse("interval:0.1:99.9", &observer), MFQ_OK);
  EXPECT_EQ(observer.observed, MFQ_OBSERVED_INTERVAL);
  EXPECT_EQ(observer.argument[0], 0.1);
  EXPECT_EQ(observer.argument[1], 99.9);
  std::string words;
  const char *about = nullptr;
  for (int32_t i = 0; mfq_observer_name(i, &about) != nullptr; ++i)
    words += std::string(mfq_observer_name(i, nullptr)) + (about[0] != '\0' ? " " : "?");
  EXPECT_EQ(words, "absmax percentile mean rowmax_mean rowmax_l2 sigma minmax interval l1 l2 low low_percentile ");
  EXPECT_EQ(mfq_observer_name(-1, nullptr), nullptr);
}

TEST(ObserverText, OfZeroPoints) {
  const std::pair<const char *, const char *> rows[] = {
      {"minmax", "low"}, {"interval:0.1:99.5", "low_percentile:0.1"}, {"absmax", "low"}, {"percentile:99.5", "low"}};
  for (const auto &row : rows) {
    mfq_observer observer;
    char text[MFQ_OBSERVER_TEXT_MAX];
    ASSERT_EQ(mfq_observer_parse(row.first, &observer), MFQ_OK) << mfq_last_error();
    mfq_observer_low(&observer, nullptr);
    mfq_observer_low(&observer, &observer);
    mfq_observer_low(nullptr, &observer);
    ASSERT_EQ(mfq_observer_print(&observer, text, sizeof text), MFQ_OK) << mfq_last_error();
    EXPECT_STREQ(text, row.second) << row.first;
  }
}

TEST(ObserverText, Refused) {
  const struct {
    const char *text, *says;
  } rows[] = {
      {"absmin", "mfq_observer_parse: \"absmin\" is no statistic; allowed are absmax, percentile, mean, rowmax_mean, "
                 "rowmax_l2, sigma, minmax, interval, l1, l2, low, low_percentile; did you mean \"absmax\"?"},
      {"", "mfq_observer_parse: \"\" is no statistic"},
      {"absmax:1", "mfq_observer_parse: \"absmax:1\": behind absmax comes nothing"},
      {"percentile", "mfq_observer_parse: \"percentile\": behind percentile comes :99.9"},
      {"percentile:x", "behind percentile comes :99.9"},
      {"percentile:101", "mfq_observer_parse: \"percentile:101\": the percentile is 101; allowed is 0 ... 100"},
      {"percentile:-1", "the percentile is -1; allowed is 0 ... 100"},
      {"interval:5", "behind interval comes :0.1:99.9"},
      {"interval:60:40", "the percentiles are 60 and 40; the lower one comes first"},
      {"sigma:-1", "the factor is -1; allowed is 0 ... 1000000"},
      {"rowmax_mean@8", "axis is 8; allowed is -8 ... 7"},
      {"rowmax_mean:1", "behind rowmax_mean comes @0 or nothing"},
  };
  for (const auto &row : rows) {
    mfq_observer observer;
    EXPECT_TRUE(fails(mfq_observer_parse(row.text, &observer), MFQ_ERROR_PARSE, {row.says})) << row.text;
  }
  mfq_observer observer;
  char text[4];
  EXPECT_TRUE(fails(mfq_observer_parse(nullptr, &observer), invalid, {"mfq_observer_parse: text is NULL"}));
  EXPECT_TRUE(fails(mfq_observer_parse("l1", nullptr), invalid, {"mfq_observer_parse: observer is NULL"}));
  ASSERT_EQ(mfq_observer_parse("minmax", &observer), MFQ_OK);
  EXPECT_TRUE(
      fails(mfq_observer_print(&observer, text, sizeof text), invalid,
            {"mfq_observer_print: capacity is 4; \"minmax\" needs 7 bytes, and MFQ_OBSERVER_TEXT_MAX holds every "
             "statistic"}));
  EXPECT_TRUE(fails(mfq_observer_print(&observer, nullptr, 9), invalid, {"mfq_observer_print: text is NULL"}));
  EXPECT_TRUE(fails(mfq_observer_print(nullptr, text, 4), invalid, {"mfq_observer_print: observer is NULL"}));
}

class MisuseObserve : public Misuse {
protected:
  void SetUp() override {
    Misuse::SetUp();
    ASSERT_EQ(mfq_scheme_parse("int8/channel@0/f32", &scheme), MFQ_OK);
    ASSERT_EQ(mfq_observer_parse("absmax", &observer), MFQ_OK);
    mfq_observation_init(&good);
    good.scheme = &scheme;
    good.observer = &observer;
    good.sources = sources;
    good.values = &values;
    good.nans = &nans;
  }
  bool is_untouched() const { return out == std::vector<float>(out.size(), -7.0f) && nans == 77; }

  std::vector<float> in = std::vector<float>(4 * 64 + 8, 0.5f), out = std::vector<float>(4 + 8, -7.0f);
  uint64_t nans = 77;
  mfq_scheme scheme;
  mfq_observer observer;
  mfq_observation good;
  mfq_tensor sources[2] = {dense(in.data(), MFQ_DTYPE_F32, {4, 64}), dense(in.data(), MFQ_DTYPE_F32, {4, 8})};
  mfq_tensor values = dense(out.data(), MFQ_DTYPE_F32, {4, 1});
};

TEST_F(MisuseObserve, Fields) {
  using O = mfq_observation;
  mfq_scheme unscaled, rotated, groups;
  ASSERT_EQ(mfq_scheme_parse("e4m3fn", &unscaled), MFQ_OK);
  ASSERT_EQ(mfq_scheme_parse("mxfp4_e2m1/hadamard:32", &rotated), MFQ_OK);
  ASSERT_EQ(mfq_scheme_parse("mxfp4_e2m1", &groups), MFQ_OK);
  mfq_scheme bad = scheme;
  bad.axis = 2;
  mfq_observer percentile = {MFQ_OBSERVED_PERCENTILE, 0, {100.5, 0}}, rows = {MFQ_OBSERVED_ROWMAX_L2, 2, {0, 0}};
  mfq_observer unused = {MFQ_OBSERVED_ABSMAX, 0, {0, 1}}, turned = {MFQ_OBSERVED_MEAN, 1, {0, 0}};
  const mfq_tensor few = dense(out.data(), MFQ_DTYPE_F32, {3, 1}), half = dense(out.data(), MFQ_DTYPE_BF16, {4, 1});
  const mfq_tensor inside = dense(in.data(), MFQ_DTYPE_F32, {4, 1});
  const std::vector<Bad<O>> list = {
      {[](O *o) { o->struct_size = 8; }, invalid, "observation->struct_size is 8"},
      {[](O *o) { o->scheme = nullptr; }, invalid, "observation->scheme is NULL"},
      {[](O *o) { o->observer = nullptr; }, invalid, "observation->observer is NULL"},
      {[](O *o) { o->sources = nullptr; }, invalid, "observation->sources is NULL"},
      {[](O *o) { o->values = nullptr; }, invalid, "observation->values is NULL"},
      {[](O *o) { o->count = 0; }, invalid, "observation->count is 0; allowed is 1 ... 16"},
      {[](O *o) { o->count = 17; }, invalid, "observation->count is 17; allowed is 1 ... 16"},
      {[&](O *o) { o->scheme = &unscaled; }, invalid,
       "observation->scheme: the scheme has no scales that a statistic would be for; give it some, such as /f32"},
      {[&](O *o) { o->scheme = &rotated; }, MFQ_ERROR_UNSUPPORTED,
       "observation->scheme: the scheme rotates elements (hadamard:32), which are not observed; measure its scales by "
       "mfq_quantize"},
      {[&](O *o) { o->scheme = &bad; }, bad_shape, "axis is 2, but the rank is 2; allowed is -2 ... 1"},
      {[&](O *o) {
         o->scheme = &groups;
         o->count = 2;
       },
       bad_shape,
       "observation->count is 2, but each group has elements of one tensor alone; allowed is 1: observe the tensors "
       "one "
       "by one"},
      {[&](O *o) { o->observer = &percentile; }, invalid,
       "observation->observer: the percentile is 100.5; allowed is 0 ... 100"},
      {[&](O *o) { o->observer = &unused; }, invalid,
       "observation->observer: argument[1] is 1, but absmax takes none; set it to 0"},
      {[&](O *o) { o->observer = &turned; }, invalid, "observation->observer: axis is 1, but mean has no rows"},
      {[&](O *o) { o->observer = &rows; }, bad_shape,
       "observation->observer: axis is 2, but the rank of observation->sources is 2; allowed is -2 ... 1"},
      {[&](O *o) { o->values = &few; }, bad_shape,
       "observation->values: shape is [3, 1]; allowed is the scale shape, [4, 1]"},
      {[&](O *o) { o->values = &half; }, invalid, "observation->values: dtype is bf16; allowed is f32"},
      {[&](O *o) { o->values = &inside; }, invalid, "overlap in memory; what is written needs memory of its own"},
      {[&](O *o) { o->nans = reinterpret_cast<uint64_t *>(reinterpret_cast<char *>(&nans) + 4); }, invalid,
       "which is not a multiple of 8 bytes"},
      {[&](O *o) { o->nans = reinterpret_cast<uint64_t *>(in.data()); }, invalid, "overlap in memory"},
  };
  expect_refused(list, good, "mfq_observe: ", [&](const O *o) { return mfq_observe(context, o); });
  EXPECT_TRUE(fails(mfq_observe(nullptr, &good), invalid, {"mfq_observe: context is NULL"}));
  EXPECT_TRUE(fails(mfq_observe(context, nullptr), invalid, {"mfq_observe: observation is NULL"}));
  EXPECT_TRUE(is_untouched());
  mfq_observation_init(nullptr);
  ASSERT_EQ(mfq_observe(context, &good), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(std::vector<float>(out.begin(), out.begin() + 5), (std::vector<float>{0.5f, 0.5f, 0.5f, 0.5f, -7.0f}));
}

TEST_F(MisuseObserve, Sources) {
  const std::vector<Bad<mfq_tensor>> bad = bad_tensors(false);
  for (const Bad<mfq_tensor> &row : bad) {
    mfq_tensor spoilt = sources[0];
    row.spoil(&spoilt);
    if (row.says[0] == "shape") continue; /* any shape will do */
    good.sources = &spoilt;
    EXPECT_TRUE(fails(mfq_observe(context, &good), row.status, row.says)) << "row " << &row - bad.data();
  }
  good.sources = sources;
  good.count = 2;
  sources[1] = dense(in.data(), MFQ_DTYPE_F32, {5, 8});
  EXPECT_TRUE(fails(mfq_observe(context, &good), bad_shape,
                    {"mfq_observe: observation->sources[1]: the scale shape is [5, 1], but observation->sources[0] has "
                     "[4, 1]; tensors that share their scales have one"}));
  sources[1] = dense(in.data(), MFQ_DTYPE_F32, {4, 2, 4});
  EXPECT_TRUE(fails(mfq_observe(context, &good), bad_shape, {"the scale shape is [4, 1, 1]"}));
  EXPECT_TRUE(is_untouched());
}

} // namespace
