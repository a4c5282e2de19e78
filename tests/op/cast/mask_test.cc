// Masks of fake quantization: the bits of the definition, and by them the gradients that are found without a mask.
#include "support/gradient_oracle.h"
#include "support/machine.h"
#include "support/mask.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class Mask : public testing::TestWithParam<std::string> {
protected:
  const Context fast = make_context(GetParam().c_str(), 3), reference = make_context("reference", 2);

  void SetUp() override {
    for (mfq_context *context : {fast.get(), reference.get()})
      ASSERT_EQ(mfq_context_set_seed(context, 7, 1234567890123), MFQ_OK);
  }

  /* Values as without a mask; bits as on the reference path; gradients as by the source. Counts what was clipped. */
  void check(const Scales &scales, Operand &x, Operand &dy, const Operand &y, const Operand &dx) {
    const mfq_scheme &scheme = scales.scheme != nullptr ? *scales.scheme : scales.given->scheme;
    Masked got(scheme, x.shape), want(scheme, x.shape);
    Operand values = y, plain = y, other = y, by_mask = dx, by_source = dx;
    ASSERT_EQ(fake_forward(fast.get(), scales, x.here(), values.here(), got.here()), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(fake_forward(fast.get(), scales, x.here(), plain.here(), nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(fake_forward(reference.get(), scales, x.here(), other.here(), want.here()), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(values.bytes, plain.bytes);
    for (size_t i = 0; i < got.bits.size(); ++i) ASSERT_EQ(got.bits[i], want.bits[i]) << "byte " << i;
    if (x.bytes.empty()) return;
    const mfq_tensor src = x.here(), upstream = dy.here();
    ASSERT_EQ(fake_backward(fast.get(), scales, nullptr, upstream, by_mask.here(), got.here()), MFQ_OK)
        << mfq_last_error();
    ASSERT_EQ(fake_backward(reference.get(), scales, &src, upstream, by_source.here(), nullptr), MFQ_OK)
        << mfq_last_error();
    for (size_t i = 0; i < by_mask.bytes.size(); ++i) ASSERT_EQ(by_mask.bytes[i], by_source.bytes[i]) << "byte " << i;
    by_mask = dx;
    ASSERT_EQ(fake_backward(reference.get(), scales, nullptr, upstream, by_mask.here(), got.here()), MFQ_OK);
    ASSERT_EQ(by_mask.bytes, by_source.bytes);
    for (size_t i = 0; i < count_of(x.shape); ++i) clipped_ += got.bits[i / 8] >> i % 8 & 1 ? 0 : 1;
  }

  size_t clipped_ = 0;
};

/* Rows that are whole bytes and rows that are not, one long row, and chunks that are cut by short groups. */
const Shape shapes[] = {{6, 64}, {3, 129}, {33, 70}, {3, 40, 17}, {2, 4100}, {1, 4103}, {2, 4104}};

TEST_P(Mask, EveryNamedScheme) {
  const std::vector<std::string> names = scheme_names();
  uint32_t seed = 0;
  sample_pairs({names.size(), MFQ_ROUND_STOCHASTIC + 1, 3, 3, std::size(shapes)}, [&](const std::vector<size_t> &at) {
    if (HasFatalFailure()) return;
    mfq_scheme scheme = parse(names[at[0]]);
    scheme.rounding = (mfq_rounding)at[1];
    const Shape &shape = shapes[at[4]];
    if (mfq_scheme_check(&scheme) != MFQ_OK) return;
    SCOPED_TRACE(names[at[0]] + testing::PrintToString(shape) + " rounding " + std::to_string(at[1]));
    Quantized q(scheme, shape);
    const bool is_given = scheme.rule == MFQ_RULE_GIVEN || (seed % 4 == 0 && scheme.scale != MFQ_SCALE_NONE);
    if (is_given) q.q.scheme.rule = MFQ_RULE_GIVEN;
    if (is_given) give_scales(&q, seed);
    Operand x(kDtypes[at[2]], shape), dy(kDtypes[at[3]], shape);
    x.fill_awkward(seed, seed % 2 == 0);
    dy.fill_awkward(seed + 1);
    check({is_given ? nullptr : &scheme, is_given ? &q.q : nullptr}, x, dy, Operand(kDtypes[seed % 3], shape),
          Operand(kDtypes[seed / 3 % 3], shape));
    ++seed;
  });
  EXPECT_GT(seed, 100u);
  EXPECT_GT(clipped_, 10000u);
}

TEST_P(Mask, EveryFormatAndGranularity) {
  const std::vector<std::string> formats = format_names();
  const char *const rest[] = {"",
                              "/group:32/ue8m0:floor",
                              "/group:8@0/f32",
                              "/channel@0/f32",
                              "/channel@1/f32:floor",
                              "/group:16/f32:floor/gain:1.3333334",
                              "/tensor/bf16:floor",
                              "/block:4x8/ue8m0:floor",
                              "/group:16/ue4m3",
                              "/group:32/f32:floor/arith:brevitas",
                              "/round:floor",
                              "/nosat",
                              "/group:7/ue8m0:floor/round:stochastic",
                              "/group:24/f32:floor/round:away",
                              "/channel@1/f32/zp",
                              "/group:16/f32/zp/round:stochastic",
                              "/f32/arith:brevitas"};
  uint32_t seed = 0;
  sample({formats.size(), std::size(rest), 3, std::size(shapes)}, 400, [&](const std::vector<size_t> &at) {
    mfq_scheme scheme;
    if (HasFatalFailure() || mfq_scheme_parse((formats[at[0]] + rest[at[1]]).c_str(), &scheme) != MFQ_OK) return;
    const Shape &shape = shapes[at[3]];
    SCOPED_TRACE(formats[at[0]] + rest[at[1]] + testing::PrintToString(shape));
    Operand x(kDtypes[at[2]], shape), dy(MFQ_DTYPE_F32, shape);
    x.fill_awkward(seed, seed % 2 == 0);
    dy.fill_awkward(seed + 1);
    check({&scheme, nullptr}, x, dy, Operand(MFQ_DTYPE_F32, shape), Operand(MFQ_DTYPE_F32, shape));
    ++seed;
  });
  EXPECT_GT(seed, mfq_test::is_set("MFQ_TEST_FEW") ? 20u : 60u);
}

/* Bits are in logical order, wherever the elements lie. */
TEST_P(Mask, Strides) {
  const Shape shape = {6, 5, 36}, strides[] = {{180, 36, 1}, {1, 6, 30}, {-400, 40, -1}, {2, 480, 13}, {5, 1, 30}};
  const char *const texts[] = {"mxfp4_e2m1",
                               "int8n/channel@1/f32:floor",
                               "e4m3fn/tensor/f32:floor",
                               "e2m1/group:4@0/ue8m0:floor",
                               "uint8/group:12/f32/zp",
                               "e2m1/group:12/ue8m0:floor/round:stochastic"};
  uint32_t seed = 0;
  sample_pairs({std::size(texts), std::size(strides), std::size(strides), std::size(strides), 3},
               [&](const std::vector<size_t> &at) {
                 if (HasFatalFailure()) return;
                 const mfq_scheme scheme = parse(texts[at[0]]);
                 SCOPED_TRACE(texts[at[0]] + testing::PrintToString(at));
                 Operand x(kDtypes[at[4]], shape, strides[at[1]]), dy(kDtypes[(at[4] + 1) % 3], shape, strides[at[2]]);
                 x.fill_awkward(++seed);
                 dy.fill_awkward(seed + 1);
                 check({&scheme, nullptr}, x, dy, Operand(MFQ_DTYPE_F32, shape, strides[at[3]]),
                       Operand(kDtypes[at[4]], shape, strides[at[3]]));
               });
  EXPECT_GT(clipped_, 100u);
}

TEST_P(Mask, EmptyAndSmall) {
  for (const Shape &shape : {Shape{}, Shape{0}, Shape{1}, Shape{5, 0}, Shape{0, 5}, Shape{2, 1, 1, 2, 1, 1, 1, 3}})
    for (const char *text : {"mxfp4_e2m1", "nvfp4", "int8_tensor_zp", "e4m3fn"}) {
      SCOPED_TRACE(text + testing::PrintToString(shape));
      const mfq_scheme scheme = parse(text);
      Operand x(MFQ_DTYPE_F32, shape), dy(MFQ_DTYPE_BF16, shape);
      x.fill_awkward(3);
      dy.fill_awkward(4);
      check({&scheme, nullptr}, x, dy, Operand(MFQ_DTYPE_F32, shape), Operand(MFQ_DTYPE_F32, shape));
    }
}

/* The forward over its source, the backward over its upstream gradient. */
TEST_P(Mask, InPlace) {
  for (const mfq_dtype dtype : kDtypes)
    for (const char *text : {"mxfp4_e2m1", "e4m3fn/tensor/f32:floor", "e2m1/group:8@0/ue8m0:floor/round:stochastic"}) {
      SCOPED_TRACE(text);
      const mfq_scheme scheme = parse(text);
      const Scales scales = {&scheme, nullptr};
      Operand x(dtype, {33, 70}), dy(dtype, {33, 70}), dx(dtype, {33, 70});
      x.fill_awkward(5);
      dy.fill_awkward(6);
      Masked mask(scheme, x.shape);
      const mfq_tensor src = x.here();
      ASSERT_EQ(fake_backward(reference.get(), scales, &src, dy.here(), dx.here(), nullptr), MFQ_OK);
      ASSERT_EQ(fake_forward(fast.get(), scales, x.here(), x.here(), mask.here()), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(fake_backward(fast.get(), scales, nullptr, dy.here(), dy.here(), mask.here()), MFQ_OK)
          << mfq_last_error();
      EXPECT_EQ(dy.bytes, dx.bytes);
    }
}

/* Too large for the caches: results are written past them. */
TEST_P(Mask, LargeTensors) {
  const Shape shape = {1030, 2047};
  const mfq_scheme scheme = parse("mxfp8_e4m3");
  Operand x(MFQ_DTYPE_BF16, shape), dy(MFQ_DTYPE_F32, shape);
  x.fill_awkward(8);
  dy.fill_awkward(9);
  check({&scheme, nullptr}, x, dy, Operand(MFQ_DTYPE_F32, shape), Operand(MFQ_DTYPE_F32, shape));
}

/* By the description of the format alone, in double. */
TEST_P(Mask, IsTheDefinition) {
  const Shape shape = {40, 96};
  size_t clipped = 0;
  for (const char *text : {"e4m3fn", "e2m1", "int4", "ue4m3fn", "e3m2/round:floor", "mxfp4_e2m1", "mxint8",
                           "e5m2/nosat", "int8/channel/f32:floor", "uint4/group:32/f32/zp",
                           "e2m1/block:4x8/ue8m0:floor/round:away", "e2m1/group:16@0/f32:floor"}) {
    SCOPED_TRACE(text);
    const mfq_scheme scheme = parse(text);
    const std::vector<float> x = awkward_values(count_of(shape), 31, true);
    Quantized q(scheme, shape);
    quantize(reference.get(), x, &q);
    const std::vector<float> ones(x.size(), 1.0f), zeros(x.size(), 0.0f);
    const std::vector<float> s = scheme.scale == MFQ_SCALE_NONE ? ones : expanded_scales(reference.get(), q, shape);
    const std::vector<float> z = scheme.zero_point ? expanded_zero_points(reference.get(), q, shape) : zeros;
    const oracle::Gradient oracle(scheme.element);
    Masked mask(scheme, shape);
    std::vector<float> y(x.size());
    ASSERT_EQ(fake_forward(fast.get(), {&scheme, nullptr}, dense(x, shape), dense(y, shape), mask.here()), MFQ_OK)
        << mfq_last_error();
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = (double)x[i] / s[i];
      const bool is_power = scheme.rule == MFQ_RULE_FLOOR || scheme.scale == MFQ_SCALE_NONE;
      const bool passes = oracle.at(s[i] == 0  ? 0.0
                                    : is_power ? exact
                                               : (double)(float)exact,
                                    z[i], scheme.rounding, 0)
                              .slope[1] != 0;
      ASSERT_EQ(mask.bits[i / 8] >> i % 8 & 1, passes ? 1 : 0) << "element " << i << ", " << x[i];
      clipped += !passes;
    }
  }
  EXPECT_GT(clipped, 2000u);
}

/* What each way says of itself. */
TEST_P(Mask, WaysAreChosen) {
  std::string said;
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = GetParam().c_str();
  options.log_level = MFQ_LOG_DEBUG;
  options.log_user = &said;
  options.log = [](void *user, mfq_log_level, const char *message) {
    *(std::string *)user += std::string(message) + "\n";
  };
  mfq_context *context;
  ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  const mfq_scheme scheme = parse("mxfp8_e4m3");
  Operand x(MFQ_DTYPE_BF16, {8, 64}), y = x, wide(MFQ_DTYPE_F32, x.shape);
  x.fill_awkward(1);
  Masked mask(scheme, x.shape);
  EXPECT_EQ(fake_forward(context, {&scheme, nullptr}, x.here(), y.here(), mask.here()), MFQ_OK);
  EXPECT_NE(said.find("mfq_fake_quantize_forward: rounding: "), std::string::npos) << said;
  EXPECT_EQ(fake_forward(context, {&scheme, nullptr}, x.here(), wide.here(), mask.here()), MFQ_OK);
  EXPECT_EQ(fake_backward(context, {&scheme, nullptr}, nullptr, y.here(), y.here(), mask.here()), MFQ_OK);
  mfq_context_destroy(context);
  EXPECT_NE(said.find("mfq_fake_quantize_forward: panels: "), std::string::npos) << said;
  EXPECT_NE(said.find("mfq_fake_quantize_backward: mask: vector loops (" + GetParam() + ")"), std::string::npos)
      << said;
}

INSTANTIATE_TEST_SUITE_P(Isa, Mask, testing::ValuesIn(fast_isas()), [](const auto &row) { return row.param; });

} // namespace
