// Searches for scales against losses in double, over methods, schemes, shapes and layouts; never worse than the plain rule.
#include "support/operand.h"
#include "support/sample.h"
#include "support/search.h"

namespace {

using namespace mfq_test;

const mfq_search_method methods[] = {MFQ_SEARCH_MSE, MFQ_SEARCH_MSE_UP, MFQ_SEARCH_FOUR_OVER_SIX,
                                     MFQ_SEARCH_PERCENTILE};

/* Normal values with a few far out, which a search is for. */
std::vector<float> weights(size_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float &v : x) v = normal(generator) * (generator() % 64 == 0 ? 4.0f : 0.5f);
  return x;
}

std::vector<float> importance_of(size_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<float> w(n);
  for (float &v : w) v = (float)(generator() % 16) * 0.25f;
  return w;
}

/* The scales of `t`, each with its elements. */
std::vector<SearchGroup> groups_of(const Quantized &t, const std::vector<float> &x, const std::vector<float> &weight) {
  const Model model(t.q.scheme, logical_shape(t), std::vector<float>(x.size(), 0.0f));
  std::vector<SearchGroup> groups(count_of(model.scale_shape));
  for (size_t i = 0; i < x.size(); ++i) {
    SearchGroup &group = groups[(size_t)model.scale_of((int64_t)i)];
    group.x.push_back(x[i]);
    group.weight.push_back(weight[i]);
  }
  return groups;
}

/* Each scale is a candidate, and none costs less. */
void expect_best(const SearchOracle &oracle, const std::vector<SearchGroup> &groups, const std::vector<float> &scales) {
  ASSERT_EQ(groups.size(), scales.size());
  for (size_t k = 0; k < groups.size(); ++k) {
    double best = std::numeric_limits<double>::infinity();
    bool is_candidate = false;
    for (const SearchOracle::Candidate &c : oracle.candidates(groups[k])) {
      best = std::min(best, c.loss);
      is_candidate = is_candidate || c.scale == scales[k];
    }
    EXPECT_TRUE(is_candidate) << "scale " << k << " is " << scales[k];
    EXPECT_LE(oracle.loss(groups[k], scales[k]), best * (1 + 1e-5)) << "scale " << k << " is " << scales[k];
  }
}

class Search : public testing::TestWithParam<std::string> {
protected:
  Context context_ = make_context(GetParam().c_str());
};

TEST_P(Search, FindsTheLeastError) {
  const char *const schemes[] = {"mxfp8_e4m3",           "mxfp4_e2m1",           "mxfp6_e2m3_rceil",
                                 "e4m3fn/tensor/f32",    "e2m1/channel/f32",     "int4_group32_zp",
                                 "int8n/group:24@0/f32", "e3m2/block:4x8/ue8m0", "e2m1/group:16/f32",
                                 "uint4/tensor/f32/zp",  "int4n/channel@1/f32"};
  const Shape shapes[] = {{3, 96}, {5, 41}, {48, 2}, {1, 1}, {70, 130}};
  sample({std::size(methods), std::size(schemes), std::size(shapes), 2}, 60, [&](const std::vector<size_t> &at) {
    const mfq_scheme scheme = parse(schemes[at[1]]);
    const Shape &shape = shapes[at[2]];
    const bool by_rank = methods[at[0]] == MFQ_SEARCH_PERCENTILE;
    if (by_rank && scheme.zero_point) return;
    SCOPED_TRACE(std::string(mfq_search_name(methods[at[0]], nullptr)) + " " + schemes[at[1]] + " " + text_of(shape));
    const std::vector<float> x = weights(count_of(shape), (uint32_t)at[2]);
    std::vector<float> weight(x.size(), 1.0f);
    if (at[3] != 0) weight = importance_of(x.size(), 7);
    Quantized t(scheme, shape);
    const mfq_tensor src = dense(x, shape), w = dense(weight, shape);
    mfq_search search = search_of(methods[at[0]], &src, &t);
    if (at[3] != 0) search.importance = &w;
    ASSERT_EQ(mfq_search_scales(context_.get(), &search), MFQ_OK) << mfq_last_error();
    const std::vector<float> scales = expanded_scales(context_.get(), t, scale_shape(t));
    expect_best(SearchOracle(scheme, search, by_rank), groups_of(t, x, weight), scales);
    Quantized given(scheme, shape); /* the codes are those of the scales */
    given.scales = t.scales;
    given.zero_points = t.zero_points;
    given.q.scheme.rule = MFQ_RULE_GIVEN;
    quantize(context_.get(), x, &given);
    EXPECT_EQ(given.codes, t.codes);
    EXPECT_EQ(t.codes.back(), kPoison);
  });
}

double squared_error(const std::vector<float> &x, const std::vector<float> &y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
  return sum;
}

/* NVFP4 has a tensor scale: its largest element becomes 6 or 4, whichever is nearer. */
TEST_P(Search, FourOverSix) {
  const Shape shape = {8, 160};
  const std::vector<float> x = weights(count_of(shape), 3);
  Quantized plain(parse("nvfp4"), shape), found(parse("nvfp4"), shape);
  quantize(context_.get(), x, &plain);
  searched(context_.get(), MFQ_SEARCH_FOUR_OVER_SIX, x, &found);
  EXPECT_EQ(plain.tensor_scale, found.tensor_scale);
  const std::vector<float> y = dequantized(context_.get(), plain), z = dequantized(context_.get(), found);
  size_t fours = 0;
  for (size_t g = 0; g < (size_t)plain.sizes.scale_count; ++g) {
    const double ratio = (double)expanded_scales(context_.get(), found, scale_shape(found))[g] /
                         expanded_scales(context_.get(), plain, scale_shape(plain))[g];
    EXPECT_TRUE(ratio == 1 || (ratio > 1.3 && ratio < 1.7)) << ratio;
    fours += ratio > 1;
    const auto part = [&](const std::vector<float> &of) {
      return std::vector<float>(of.begin() + (std::ptrdiff_t)g * 16, of.begin() + (std::ptrdiff_t)g * 16 + 16);
    };
    EXPECT_LE(squared_error(part(x), part(z)), squared_error(part(x), part(y)) * (1 + 1e-6));
  }
  EXPECT_GT(fours, 20u);
  EXPECT_LT(fours, 70u);
}

/* Losses are summed as the documents say: where only roundings decide, they decide so. */
TEST_P(Search, OrderOfSums) {
  const struct {
    const char *scheme;
    Shape shape;
    size_t length;
    bool has_weights = true;
  } cases[] = {{"mxfp4_e2m1", {50, 64}, 32},
               {"mxfp4_e2m1", {50, 64}, 32, false},
               {"mxfp4_e2m1/group:16", {80, 32}, 16, false},
               {"mxfp4_e2m1/group:128", {50, 128}, 128, false},
               {"e2m1/channel@0/ue8m0", {12, 8192}, 8192, false},
               {"mxfp4_e2m1/group:96", {40, 96}, 96},
               {"e2m1/channel@0/ue8m0", {60, 70}, 70},
               {"e2m1/channel@0/ue8m0", {12, 5000}, 5000},
               {"e2m1/block:4x8/ue8m0", {40, 32}, 32}};
  for (const auto &c : cases) {
    SCOPED_TRACE(c.scheme);
    const size_t count = count_of(c.shape), runs = count / c.length;
    const bool is_block = parse(c.scheme).granularity == MFQ_GRANULARITY_BLOCK;
    const NearTies ties(runs, c.length, (uint32_t)c.length, c.has_weights);
    std::vector<float> x(count), weight(count);
    for (size_t i = 0; i < count; ++i) { /* blocks of 4 x 8 in rows of 32 */
      const size_t block = i / 128 * 4 + i % 32 / 8, in_block = i / 32 % 4 * 8 + i % 8;
      x[i] = ties.x[is_block ? block * 32 + in_block : i];
      weight[i] = ties.weight[is_block ? block * 32 + in_block : i];
    }
    const mfq_tensor src = dense(x, c.shape), w = dense(weight, c.shape);
    Quantized t(parse(c.scheme), c.shape);
    mfq_search search = search_of(MFQ_SEARCH_MSE_UP, &src, &t);
    if (c.has_weights) search.importance = &w;
    ASSERT_EQ(mfq_search_scales(context_.get(), &search), MFQ_OK) << mfq_last_error();
    size_t twos = 0;
    for (size_t r = 0; r < runs; ++r) {
      EXPECT_EQ(t.scales[r], ties.prefers_two(r * c.length, c.length) ? 128 : 127) << "scale " << r;
      twos += t.scales[r] == 128;
    }
    EXPECT_GT(twos, 0u);
    EXPECT_LT(twos, runs);
  }
}

/* 5 is 1 from 4, under a scale of 1 and of 2; what is exact already stays as it is. */
TEST_P(Search, TiesAndExactGroups) {
  const mfq_scheme scheme = parse("mxfp4_e2m1/group:4");
  Quantized t(scheme, {3, 4});
  searched(context_.get(), MFQ_SEARCH_MSE_UP, {5, 0, 0, 0, 1, 2, 3, 4, 0, -0.0f, 0, 0}, &t);
  EXPECT_EQ(t.scales, (std::vector<uint8_t>{127, 127, 0, kPoison}));
  searched(context_.get(), MFQ_SEARCH_MSE, {6, 6, 6, 6, 1, 2, 3, 4, 0, -0.0f, 0, 0}, &t);
  EXPECT_EQ(t.scales, (std::vector<uint8_t>{127, 127, 0, kPoison}));
  Quantized wide(parse("e2m1/group:4/f32/gain:2"), {1, 4}); /* half of the scale, which is 1, would do as well */
  searched(context_.get(), MFQ_SEARCH_MSE, {3, 1, -1, 0}, &wide);
  EXPECT_EQ(expanded_scales(context_.get(), wide, {1, 1})[0], 1.0f);
}

/* Elements that matter to nobody do not choose, and those of NaN and infinity keep the plain scale. */
TEST_P(Search, WithoutAChoice) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> x = weights(4 * 32, 9);
  x[3] = nan;
  x[40] = -inf;
  const std::vector<float> nothing(32, 0.0f);
  Quantized plain(parse("mxfp4_e2m1"), {4, 32}), found(parse("mxfp4_e2m1"), {4, 32});
  quantize(context_.get(), x, &plain);
  const mfq_tensor src = dense(x, {4, 32}), w = strided(nothing.data(), MFQ_DTYPE_F32, {4, 32}, {0, 1});
  mfq_search search = search_of(MFQ_SEARCH_MSE, &src, &found);
  search.importance = &w;
  ASSERT_EQ(mfq_search_scales(context_.get(), &search), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(found.same_bytes(plain)) << found.difference(plain);
}

/* Errors far from 1 have squares that are no float32 numbers; the choice is that of the same elements near 1. */
TEST_P(Search, TinyAndHugeElements) {
  for (const char *text : {"mxfp4_e2m1", "e4m3fn/group:32/f32"})
    for (const int exp2 : {-80, 100}) {
      std::vector<float> x = weights(8 * 32, 4), far = x;
      for (float &v : far) v = std::ldexp(v, exp2);
      Quantized near_one(parse(text), {8, 32}), t(parse(text), {8, 32});
      searched(context_.get(), MFQ_SEARCH_MSE, x, &near_one);
      searched(context_.get(), MFQ_SEARCH_MSE, far, &t);
      EXPECT_EQ(t.codes, near_one.codes) << text << " times 2^" << exp2;
    }
}

/* The statistic is 1.948 standard deviations; of equal elements, what it is without a search. */
TEST_P(Search, Deviations) {
  const struct {
    const char *scheme;
    Shape shape;
  } cases[] = {{"mxfp4_e2m1", {6, 96}},       {"e2m1/group:24/f32", {5, 50}},   {"e4m3fn/tensor/f32", {40, 130}},
               {"mxfp8_e4m3_rceil", {9, 64}}, {"int8n/channel@1/f32", {70, 3}}, {"e3m2/block:4x8/ue8m0", {8, 33}}};
  for (const auto &c : cases)
    for (const int exp2 : {0, -90, 100}) {
      SCOPED_TRACE(std::string(c.scheme) + " times 2^" + std::to_string(exp2));
      std::vector<float> x = weights(count_of(c.shape), 8);
      for (float &v : x) v = std::ldexp(v + 0.25f, exp2);
      Quantized t(parse(c.scheme), c.shape);
      searched(context_.get(), MFQ_SEARCH_QUEST, x, &t);
      const std::vector<SearchGroup> groups = groups_of(t, x, x);
      const std::vector<float> scales = expanded_scales(context_.get(), t, scale_shape(t));
      for (size_t k = 0; k < groups.size(); ++k) {
        double mean = 0, squares = 0;
        for (const float v : groups[k].x) mean += v / (double)groups[k].x.size();
        for (const float v : groups[k].x) squares += (v - mean) * (v - mean);
        double statistic = 1.94831904 * std::sqrt(squares / (double)groups[k].x.size());
        if (statistic == 0) statistic = std::fabs(groups[k].x[0]);
        const auto scale_of = [&](double s) { return Model(t.q.scheme, {1}, {(float)s}).scales[0]; };
        EXPECT_GE(scales[k], scale_of(statistic * (1 - 1e-6))) << "scale " << k;
        EXPECT_LE(scales[k], scale_of(statistic * (1 + 1e-6))) << "scale " << k;
      }
    }
  std::vector<float> few(96, 3.0f); /* equal, zero, and with infinity */
  for (size_t i = 32; i < 64; ++i) few[i] = 0;
  few[70] = std::numeric_limits<float>::infinity();
  Quantized plain(parse("mxfp4_e2m1"), {1, 96}), found(parse("mxfp4_e2m1"), {1, 96});
  quantize(context_.get(), few, &plain);
  searched(context_.get(), MFQ_SEARCH_QUEST, few, &found);
  EXPECT_TRUE(found.same_bytes(plain)) << found.difference(plain);
}

/* Only scales, and a search that has no more than the plain rule. */
TEST_P(Search, WithoutCodes) {
  const std::vector<float> x = weights(6 * 64, 1);
  Quantized with(parse("mxfp8_e4m3"), {6, 64}), without(parse("mxfp8_e4m3"), {6, 64}),
      plain(parse("mxfp8_e4m3"), {6, 64});
  searched(context_.get(), MFQ_SEARCH_MSE, x, &with);
  without.q.codes = nullptr;
  searched(context_.get(), MFQ_SEARCH_MSE, x, &without);
  EXPECT_EQ(without.scales, with.scales);
  EXPECT_EQ(without.codes, std::vector<uint8_t>(without.codes.size(), kPoison));
  quantize(context_.get(), x, &plain);
  const mfq_tensor src = dense(x, {6, 64});
  mfq_search search = search_of(MFQ_SEARCH_MSE, &src, &with);
  search.steps = search.first = search.last = 1;
  ASSERT_EQ(mfq_search_scales(context_.get(), &search), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(with.same_bytes(plain));
}

INSTANTIATE_TEST_SUITE_P(Isa, Search, testing::ValuesIn(every_isa()),
                         [](const testing::TestParamInfo<std::string> &info) { return info.param; });

/* Which schemes go by panels, and why others do not. */
TEST(SearchPaths, WaysOfSchemes) {
  const Context fast = make_context("baseline"), reference = make_context("reference");
  const std::pair<const char *, const char *> rows[] = {
      {"mxfp8_e4m3", "panels: vector loops (baseline)"},
      {"nvfp4", "panels: vector loops (baseline)"},
      {"int4_group32_zp", "panels: vector loops (baseline)"},
      {"fp8_e4m3_tensor", "panels: vector loops (baseline)"},
      {"e4m3fn/channel@1/f32", "panels: vector loops (baseline)"},
      {"e2m1/block:16x16/ue8m0", "panels: vector loops (baseline)"},
      {"mxfp4_e2m1/round:stochastic", "reference: element by element; not panels: rounding is stochastic"},
      {"brevitas:ShiftedMXUInt8Weight", "reference: element by element; not panels: ranges are those of Brevitas"},
      {"nvfp4/hadamard:16",
       "rotated copies: in float32, and panels: vector loops (baseline); not panels: elements are rotated"},
      {"e4m3fn", ""},
      {"e4m3fn/tensor/f32:given", ""}};
  for (const auto &row : rows) {
    const mfq_scheme scheme = parse(row.first);
    mfq_support support;
    char reason[400];
    ASSERT_EQ(mfq_supported(fast.get(), MFQ_OP_SEARCH, &scheme, &support, reason, sizeof reason), MFQ_OK);
    if (row.second[0] != '\0')
      EXPECT_STREQ(reason, row.second);
    else
      EXPECT_EQ(support, MFQ_SUPPORT_NO) << reason;
  }
  const mfq_scheme scheme = parse("mxfp8_e4m3");
  mfq_support support;
  ASSERT_EQ(mfq_supported(reference.get(), MFQ_OP_SEARCH, &scheme, &support, nullptr, 0), MFQ_OK);
  EXPECT_EQ(support, MFQ_SUPPORT_GENERAL);
}

/* Sums have one order: any number of threads, and every layout, strides and rotation, has the bytes of the reference. */
TEST(SearchPaths, SameBytesEverywhere) {
  const mfq_search_method methods[] = {MFQ_SEARCH_MSE, MFQ_SEARCH_MSE_UP, MFQ_SEARCH_FOUR_OVER_SIX,
                                       MFQ_SEARCH_PERCENTILE, MFQ_SEARCH_QUEST};
  const char *const schemes[] = {"mxfp8_e4m3",
                                 "mxfp4_e2m1/group:16@0",
                                 "nvfp4",
                                 "e4m3fn/tensor/f32",
                                 "int8n/channel/f32",
                                 "int4_group32_zp",
                                 "mxint8",
                                 "e2m1/block:16x16/ue8m0",
                                 "e4m3fn/group:128/f32",
                                 "e5m2/group:32@0/bf16",
                                 "mxfp4_e2m1/round:stochastic",
                                 "nvfp4/hadamard:16:fixed",
                                 "brevitas:Fp8e4m3OCPWeightPerChannelFloat",
                                 "brevitas:ShiftedMXUInt8Weight",
                                 "e4m3fn/channel@1/f32",
                                 "brevitas:MXInt8Weight",
                                 "brevitas:Int8WeightPerChannelFixedPoint",
                                 "e2m1/channel@1/f16:rceil",
                                 "uint4/group:32/f32/zpf",
                                 "e2m1/group:16/scale:ue5m3fn",
                                 "mxfp4_e2m1/ue8m0:midmax",
                                 "mxfp8_e4m3/ue8m0:round"};
  const Shape shapes[] = {{4, 64}, {130, 288}, {33, 65}, {2, 48, 64}, {0, 5}, {9, 4112}};
  const mfq_layout layouts[] = {{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16},
                                {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 4}};
  const Context reference = make_context("reference", 1);
  std::vector<Context> others;
  for (const std::string &isa : every_isa()) others.push_back(make_context(isa.c_str(), 3));
  for (const Context &other : others) ASSERT_EQ(mfq_context_set_seed(other.get(), 5, 6), MFQ_OK);
  ASSERT_EQ(mfq_context_set_seed(reference.get(), 5, 6), MFQ_OK);
  sample({std::size(methods), std::size(schemes), std::size(shapes), std::size(layouts), 3, 2}, 90,
         [&](const std::vector<size_t> &at) {
           const mfq_scheme scheme = parse(schemes[at[1]]);
           const Shape &shape = shapes[at[2]];
           const bool is_quest = methods[at[0]] == MFQ_SEARCH_QUEST;
           const bool is_absmax = is_quest || methods[at[0]] == MFQ_SEARCH_PERCENTILE;
           if (is_absmax && scheme.statistic == MFQ_STATISTIC_MINMAX) return;
           if (!allows(scheme, shape.size(), layouts[at[3]]) || (scheme.rotation != 0 && shape.back() % 16 != 0))
             return;
           SCOPED_TRACE(std::string(mfq_search_name(methods[at[0]], nullptr)) + " " + schemes[at[1]] + " " +
                        text_of(shape));
           Operand x(kDtypes[at[4]], shape);
           x.fill_awkward((uint32_t)at[2], false);
           const mfq_tensor src = x.here();
           std::vector<float> weight = importance_of((size_t)shape.back(), 2);
           Shape repeated(shape.size(), 0);
           repeated.back() = 1;
           const mfq_tensor w = strided(weight.data(), MFQ_DTYPE_F32, shape, repeated);
           Quantized want(scheme, shape, &layouts[at[3]]);
           mfq_search search = search_of(methods[at[0]], &src, &want);
           if (at[5] != 0 && scheme.rotation == 0 && !is_quest) search.importance = &w;
           ASSERT_EQ(mfq_search_scales(reference.get(), &search), MFQ_OK) << mfq_last_error();
           for (const Context &other : others) {
             Quantized got(scheme, shape, &layouts[at[3]]);
             search.q = &got.q;
             ASSERT_EQ(mfq_search_scales(other.get(), &search), MFQ_OK) << mfq_last_error();
             ASSERT_TRUE(got.same_bytes(want)) << mfq_context_describe(other.get()) << ": " << got.difference(want);
           }
         });
}

} // namespace
