// Searches on the device write the bytes of the CPU.
#include "support/device.h"
#include "support/sample.h"
#include "support/search.h"

namespace {

using namespace mfq_test;

class Search : public OnDevice {};

/* What is searched; `repeats`: importance is one for each index of the last axis. */
struct Case {
  mfq_search how;
  std::string scheme;
  mfq_layout layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
  const std::vector<float> *weight = nullptr;
  bool repeats = false;
};

/* A search on both, compared. */
testing::AssertionResult same_search(const Case &c, Operand &x) {
  mfq_context *const device = devices().device.get(), *const cpu = devices().cpu.get();
  const std::vector<float> *const weight = c.weight;
  Shape steps = dense_strides(x.shape);
  for (size_t d = 0; c.repeats && d + 1 < steps.size(); ++d) steps[d] = 0;
  Quantized want(parse(c.scheme), x.shape, &c.layout), got(parse(c.scheme), x.shape, &c.layout);
  mfq_search search = c.how;
  mfq_tensor src = x.here(), w;
  search.src = &src;
  search.q = &want.q;
  if (weight != nullptr) w = strided(weight->data(), MFQ_DTYPE_F32, x.shape, steps);
  if (weight != nullptr) search.importance = &w;
  if (mfq_search_scales(cpu, &search) != MFQ_OK) return testing::AssertionFailure() << mfq_last_error();

  const DeviceMemory from(device, x.bytes.data(), x.bytes.size());
  const DeviceMemory weights(device, weight != nullptr ? weight->data() : nullptr,
                             weight != nullptr ? weight->size() * sizeof(float) : 0);
  const DeviceMemory codes(device, nullptr, got.codes.size()), scales(device, nullptr, got.scales.size()),
      zero_points(device, nullptr, got.zero_points.size()), tensor_scale(device, nullptr, sizeof(float));
  src = x.at(from.data());
  mfq_qtensor q = got.q;
  q.codes = codes.data();
  if (q.scales != nullptr) q.scales = scales.data();
  if (q.zero_points != nullptr) q.zero_points = zero_points.data();
  if (q.tensor_scale != nullptr) q.tensor_scale = (float *)tensor_scale.data();
  search.q = &q;
  if (weight != nullptr) w = strided(weights.data(), MFQ_DTYPE_F32, x.shape, steps);
  if (mfq_search_scales(device, &search) != MFQ_OK) return testing::AssertionFailure() << mfq_last_error();
  if (mfq_context_synchronize(device) != MFQ_OK) return testing::AssertionFailure() << mfq_last_error();
  got.codes = codes.read();
  got.scales = scales.read();
  got.zero_points = zero_points.read();
  if (q.tensor_scale != nullptr) tensor_scale.read(&got.tensor_scale);
  if (got.same_bytes(want)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << c.scheme << " on " << text_of(x.shape) << ": " << got.difference(want);
}

mfq_search method(mfq_search_method m) {
  mfq_search search;
  mfq_search_init(&search, m);
  return search;
}

const char *const schemes[] = {"mxfp8_e4m3",
                               "mxfp4_e2m1/group:16@0",
                               "nvfp4",
                               "e4m3fn/tensor/f32",
                               "int8n/channel/f32",
                               "int4_group32_zp",
                               "mxint8/group:64",
                               "e2m1/block:8x16/ue8m0",
                               "e4m3fn/group:128/f32",
                               "e5m2/group:32@0/bf16",
                               "mxfp4_e2m1/round:stochastic",
                               "nvfp4/hadamard:16:fixed",
                               "brevitas:Fp8e4m3OCPWeightPerChannelFloat",
                               "brevitas:ShiftedMXUInt8Weight",
                               "e4m3fn/channel@1/f32",
                               "uint4/group:32/f32/zpf",
                               "e2m1/group:16/scale:ue5m3fn",
                               "mxfp4_e2m1/ue8m0:midmax"};

TEST_F(Search, EveryMethodSchemeAndLayout) {
  const Shape shapes[] = {{4, 64}, {33, 65}, {2, 16, 48}, {0, 5}, {1, 1}, {3, 272}};
  const mfq_layout layouts[] = {{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16},
                                {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 4}};
  const mfq_search_method methods[] = {MFQ_SEARCH_MSE, MFQ_SEARCH_MSE_UP, MFQ_SEARCH_FOUR_OVER_SIX,
                                       MFQ_SEARCH_PERCENTILE, MFQ_SEARCH_QUEST};
  sample(
      {std::size(methods), std::size(schemes), std::size(shapes), std::size(layouts), 3, 3}, 80,
      [&](const std::vector<size_t> &at) {
        const mfq_scheme scheme = parse(schemes[at[1]]);
        const Shape &shape = shapes[at[2]];
        if (!allows(scheme, shape.size(), layouts[at[3]])) return;
        if (scheme.rotation != 0 && shape.back() % 16 != 0) return;
        const bool is_quest = methods[at[0]] == MFQ_SEARCH_QUEST;
        const bool is_absmax = is_quest || methods[at[0]] == MFQ_SEARCH_PERCENTILE;
        if (is_absmax && scheme.statistic == MFQ_STATISTIC_MINMAX) return;
        Operand x = awkward(kDtypes[at[4]], shape, (uint32_t)at[1]);
        std::vector<float> weight(count_of(shape));
        for (size_t i = 0; i < weight.size(); ++i) weight[i] = (float)(i * 7 % 5);
        const bool has_weight = at[5] != 0 && scheme.rotation == 0 && !is_quest && !weight.empty();
        ASSERT_TRUE(same_search(
            {method(methods[at[0]]), schemes[at[1]], layouts[at[3]], has_weight ? &weight : nullptr, at[5] == 1}, x));
      });
}

/* Groups along rows by the fast way, and others: more than a block of threads, tails, and every layout of scales. */
TEST_F(Search, Rows) {
  const std::pair<const char *, const char *> rows[] = {
      {"mxfp8_e4m3", "rows: 16 elements a thread"},
      {"mxfp4_e2m1_rceil", "rows: 16 elements a thread"},
      {"nvfp4", "rows: 16 elements a thread"},
      {"mxint8", "rows: 16 elements a thread"},
      {"int4_group128", "rows: 16 elements a thread"},
      {"e2m1/group:16/bf16", "rows: 16 elements a thread"},
      {"e4m3fn/group:512/f32", "rows: 16 elements a thread"},
      {"brevitas:MXFloat8e4m3Act", "rows: 16 elements a thread"},
      {"fp8_e4m3_tensor", "general: element by element"},
      {"int4_group32_zp", "general: element by element"},
      {"mxfp4_e2m1/round:stochastic", "general: element by element; not rows: values are made from codes"}};
  for (const auto &row : rows) {
    const mfq_scheme scheme = parse(row.first);
    mfq_support support;
    char reason[400];
    ASSERT_EQ(mfq_supported(device(), MFQ_OP_SEARCH, &scheme, &support, reason, sizeof reason), MFQ_OK);
    EXPECT_EQ(std::string(reason).rfind(row.second, 0), 0u) << row.first << ": " << reason;
    for (const mfq_dtype dtype : kDtypes) {
      Operand x = awkward(dtype, {5, 1040}, 3), tail = awkward(dtype, {7, 71}, 4);
      const mfq_layout tiled = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16};
      const bool is_half = dtype != MFQ_DTYPE_F32, is_f16 = dtype == MFQ_DTYPE_F16;
      const mfq_search_method other = is_f16 ? MFQ_SEARCH_FOUR_OVER_SIX : MFQ_SEARCH_MSE_UP;
      ASSERT_TRUE(same_search({method(is_half ? other : MFQ_SEARCH_MSE), row.first}, x));
      if (is_half) ASSERT_TRUE(same_search({method(MFQ_SEARCH_MSE), row.first}, tail));
      if (allows(scheme, 2, tiled)) ASSERT_TRUE(same_search({method(MFQ_SEARCH_MSE_UP), row.first, tiled}, tail));
    }
  }
}

/* Boxes that are cut, with chunks that are not full; and a few candidates of one's own. */
TEST_F(Search, LongBoxes) {
  mfq_search few = method(MFQ_SEARCH_MSE);
  few.steps = few.last = 4;
  for (const char *scheme : {"e4m3fn/tensor/f32", "uint4/channel/f32/zp", "int8n/channel@1/bf16"})
    for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16}) {
      Operand x = awkward(dtype, {3, 3500}, 8);
      ASSERT_TRUE(same_search({few, scheme}, x));
    }
}

/* Deviations are sums in the order of the CPU: of groups, rotated ones, and boxes of more than a subtree a lane. */
TEST_F(Search, Deviations) {
  for (const char *scheme : {"mxfp4_e2m1/hadamard:32", "e2m1/channel@1/f32", "e4m3fn/tensor/f32", "nvfp4"})
    for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16}) {
      Operand x(dtype, {37, 96});
      std::mt19937 generator(5);
      x.fill([&](size_t i) { return float_bits(i < 96 ? 1.5f : (float)(generator() % 2000) * 0.001f - 0.7f); });
      ASSERT_TRUE(same_search({method(MFQ_SEARCH_QUEST), scheme}, x));
    }
}

/* Where only the roundings of sums decide: their order is that of the CPU, whatever that of the codes. */
TEST_F(Search, OrderOfSums) {
  const struct {
    const char *scheme;
    Shape shape;
    size_t length;
    mfq_code_order order;
    bool has_weights = true;
  } cases[] = {{"mxfp4_e2m1", {40, 64}, 32, MFQ_CODES_LOGICAL},
               {"mxfp4_e2m1", {40, 64}, 32, MFQ_CODES_LOGICAL, false},
               {"mxfp4_e2m1/group:128", {64, 128}, 128, MFQ_CODES_LOGICAL, false},
               {"mxfp4_e2m1/group:96", {40, 96}, 96, MFQ_CODES_LOGICAL},
               {"e2m1/channel@0/ue8m0", {20, 6, 10}, 60, MFQ_CODES_TRANSPOSED},
               {"e2m1/channel@0/ue8m0", {8, 1500}, 1500, MFQ_CODES_LOGICAL}};
  for (const auto &c : cases) {
    const NearTies ties(count_of(c.shape) / c.length, c.length, 3, c.has_weights);
    Operand x(MFQ_DTYPE_F32, c.shape);
    x.fill([&](size_t i) { return float_bits(ties.x[i]); });
    const mfq_layout layout = {c.order, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
    ASSERT_TRUE(
        same_search({method(MFQ_SEARCH_MSE_UP), c.scheme, layout, c.has_weights ? &ties.weight : nullptr, false}, x));
  }
}

/* Without an error the plain scale stays, though half of it would do as well. */
TEST_F(Search, ExactGroups) {
  Operand x(MFQ_DTYPE_F32, {2, 16});
  x.fill([&](size_t i) { return float_bits(i % 16 == 3 ? 3.0f : (float)(i % 2)); });
  ASSERT_TRUE(same_search({method(MFQ_SEARCH_MSE), "e2m1/group:16/f32/gain:2"}, x));
}

TEST_F(Search, HalfQuadraticSteps) {
  const struct {
    mfq_search_method how;
    const char *scheme;
    Shape shape;
    int steps;
  } rows[] = {{MFQ_SEARCH_HQO, "int4_group32", {3, 100}, 4},
              {MFQ_SEARCH_HQO, "int3n/channel@1/f32", {150, 5}, 3},
              {MFQ_SEARCH_HQO, "int4/tensor/f32", {2, 700}, 2},
              {MFQ_SEARCH_HQO, "int4n/group:16/ue4m3", {2, 64}, 3},
              {MFQ_SEARCH_HQO, "uint4/group:32@0/f32/zp", {70, 3}, 3},
              {MFQ_SEARCH_HQO, "brevitas:Int8WeightPerChannelFloat/int4n", {4, 60}, 40},
              {MFQ_SEARCH_HQO_ZERO, "uint4/group:32/f32/zpf", {3, 100}, 9},
              {MFQ_SEARCH_HQO_ZERO, "int3/channel@0/bf16/zp", {4, 2100}, 3},
              {MFQ_SEARCH_HQO_ZERO, "brevitas:ShiftedUint8WeightGroupQuantFloat/uint4/zpf", {2, 75}, 6},
              {MFQ_SEARCH_HQO_ZERO, "uint3/tensor/f32/zpf", {2, 70}, 40}};
  for (const auto &row : rows)
    for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16}) {
      SCOPED_TRACE(std::string(row.scheme) + ", dtype " + std::to_string(dtype));
      std::mt19937 generator(7);
      std::normal_distribution<float> normal;
      Operand x(dtype, row.shape);
      x.fill([&](size_t i) { return float_bits(i < 32 ? 0.0f : normal(generator) * (i % 37 == 0 ? 3.0f : 1.0f)); });
      mfq_search search = method(row.how);
      search.steps = search.first = search.last = row.steps;
      EXPECT_TRUE(same_search({search, row.scheme}, x));
    }
}

TEST_F(Search, RefusesHalfQuadraticStepsOfTooManyScales) {
  Operand x(MFQ_DTYPE_F32, {66000, 1});
  Quantized t(parse("int4/channel@0/f32"), {66000, 1});
  const DeviceMemory from(device(), x.bytes.data(), x.bytes.size()), codes(device(), nullptr, t.codes.size()),
      scales(device(), nullptr, t.scales.size());
  const mfq_tensor src = x.at(from.data());
  mfq_search search = method(MFQ_SEARCH_HQO);
  t.q.codes = codes.data();
  t.q.scales = scales.data();
  search.src = &src;
  search.q = &t.q;
  EXPECT_EQ(mfq_search_scales(device(), &search), MFQ_ERROR_UNSUPPORTED);
  EXPECT_STREQ(mfq_last_error(),
               "mfq_search_scales: no implementation takes it; the last one says: half-quadratic steps of more than "
               "about 65520 scales, or of more than 65536 elements that share one; use the CPU, or method mse");
}

TEST_F(Search, RefusesRanksOfLongBoxes) {
  Quantized t(parse("e4m3fn/tensor/f32"), {2, 40000});
  const DeviceMemory from(device(), nullptr, 2 * 40000 * sizeof(float)), codes(device(), nullptr, t.codes.size()),
      scales(device(), nullptr, 16);
  const mfq_tensor src = strided(from.data(), MFQ_DTYPE_F32, {2, 40000}, {40000, 1});
  t.q.codes = codes.data();
  t.q.scales = scales.data();
  for (const mfq_search_method how : {MFQ_SEARCH_PERCENTILE, MFQ_SEARCH_QUEST}) {
    mfq_search search = method(how);
    search.src = &src;
    search.q = &t.q;
    EXPECT_EQ(mfq_search_scales(device(), &search), MFQ_ERROR_UNSUPPORTED);
  }
  EXPECT_STREQ(mfq_last_error(),
               "mfq_search_scales: no implementation takes it; the last one says: ranks and "
               "deviations of more than 65536 elements that share a scale; use the CPU, or method mse");
}

} // namespace
