// Zero points in float32: codes and values by the steps of docs/numerics.md, in double and rounded where it says so; what
// products say of them; their gradients.
#include "support/misuse.h"
#include "support/oracle.h"
#include "support/plain_tensor.h"

namespace {

using mfq_test::Context;
using mfq_test::count_of;
using mfq_test::dense;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::Shape;

const Shape kShape = {6, 96};

struct Case {
  const char *text;
  size_t group; /* elements in a row that share a zero point */
};
const Case cases[] = {{"uint8/tensor/f32/zpf", 576},
                      {"int4/group:16/f32/zpf", 16},
                      {"uint4/channel/bf16/zpf", 96},
                      {"uint8/group:32/ue8m0:ceil/zpf", 32},
                      {"uint4/group:32/f16/zpf/round:away", 32},
                      {"uint8/group:48/f32:floor/zpf/min:1e-10/arith:brevitas", 48}};

std::vector<float> values(uint32_t seed) {
  std::vector<float> x = mfq_test::awkward_values(count_of(kShape), seed, true);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::fabs(x[i]) > 1e6f ? 2.0f : x[i] + (i / 96 % 3 == 1 ? 40.0f : 0.0f);
  return x;
}

double rounded(double x, mfq_rounding rounding) {
  return rounding == MFQ_ROUND_AWAY ? std::round(x) : std::nearbyint(x);
}

class FloatZero : public testing::TestWithParam<std::string> {};

TEST_P(FloatZero, CodesAndValues) {
  const Context context = make_context(GetParam().c_str());
  for (const Case &c : cases) {
    const mfq_scheme s = parse(c.text);
    const std::vector<float> x = values((uint32_t)c.group);
    mfq_layout bytes = {};
    bytes.packing = MFQ_PACK_BYTE;
    Quantized q(s, kShape, &bytes);
    ASSERT_EQ(q.sizes.zero_points_bytes, 4 * count_of(kShape) / c.group);
    mfq_test::quantize(context.get(), x, &q);
    ASSERT_EQ(q.zero_points.back(), mfq_test::kPoison);
    const std::vector<float> scales = mfq_test::expanded_scales(context.get(), q, kShape),
                             zeros = mfq_test::expanded_zero_points(context.get(), q, kShape),
                             got = mfq_test::dequantized(context.get(), q);
    const int lowest = s.element.is_signed ? -(1 << s.element.man_bits) : 0, highest = (1 << s.element.man_bits) - 1;
    std::vector<float> want;
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t first = i / c.group * c.group;
      float depth = 0;
      for (size_t k = first; k < first + c.group; ++k) depth = std::max(depth, -x[k]);
      ASSERT_EQ(zeros[i], (float)(depth / scales[i]) + (float)lowest) << c.text;
      const float sum = (float)(x[i] / scales[i]) + zeros[i];
      const double integer = std::clamp(rounded(sum, s.rounding), (double)lowest, (double)highest);
      ASSERT_EQ(q.codes[i],
                (uint8_t)((uint32_t)(int)integer & ((1u << (s.element.is_signed + s.element.man_bits)) - 1)))
          << c.text << " of " << x[i];
      want.push_back((float)(integer - (double)zeros[i]) * scales[i]);
    }
    ASSERT_TRUE(mfq_test::same_floats(got, want)) << c.text;
    ASSERT_TRUE(mfq_test::same_floats(mfq_test::faked(context.get(), s, x, kShape), want)) << c.text;
  }
}

/* A zero point between two codes, and the padding behind a short group: the nearest code to it. */
TEST_P(FloatZero, GivenAndPadding) {
  const Context context = make_context(GetParam().c_str());
  Quantized q(parse("uint4/group:4/f32:given/zpf"), {3});
  const float scale = 0.5f, zero = 6.75f;
  std::memcpy(q.q.scales, &scale, 4);
  std::memcpy(q.q.zero_points, &zero, 4);
  const std::vector<float> x = {0, -100, 1.2f};
  mfq_test::quantize(context.get(), x, &q);
  ASSERT_TRUE(mfq_test::same_floats(mfq_test::dequantized(context.get(), q, {4}),
                                    {(7 - 6.75f) / 2, -6.75f / 2, (9 - 6.75f) / 2, (7 - 6.75f) / 2}));
}

/* Where elements are clipped their gradients go to the zero point: sums of powers of two are exact. */
TEST_P(FloatZero, Gradients) {
  const Context context = make_context(GetParam().c_str());
  Quantized q(parse("uint4/group:4/f32:given/zpf"), {4});
  const float scale = 0.5f, zero = 6.75f;
  std::memcpy(q.q.scales, &scale, 4);
  std::memcpy(q.q.zero_points, &zero, 4);
  const std::vector<float> x = {0, -100, 1.2f, 50}, dy = {1, 2, 4, 8};
  std::vector<float> dx(4), dz(1);
  const mfq_tensor src = dense(x, {4}), upstream = dense(dy, {4}), to = dense(dx, {4}), zeros = dense(dz, {1});
  mfq_fake_gradient g;
  mfq_fake_gradient_init(&g);
  g.given = &q.q;
  g.ste = MFQ_STE_CLIPPED;
  g.src = &src;
  g.upstream = &upstream;
  g.dx = &to;
  g.grad_zero_point = &zeros;
  ASSERT_EQ(mfq_fake_quantize_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(dx, (std::vector<float>{1, 0, 4, 0}));
  EXPECT_EQ(dz[0], -(2.0f + 8.0f) * scale);
}

/* Every order of scales, there and back. */
TEST_P(FloatZero, Repacked) {
  const Context context = make_context(GetParam().c_str());
  const mfq_scheme s = parse("uint4/group:3@0/f32/zpf");
  mfq_layout last = {};
  last.codes = MFQ_CODES_GROUP_LAST;
  Quantized q(s, kShape), turned(s, kShape, &last), back(s, kShape);
  mfq_test::quantize(context.get(), values(3), &q);
  ASSERT_EQ(mfq_repack(context.get(), &q.q, &turned.q), MFQ_OK) << mfq_last_error();
  ASSERT_TRUE(mfq_test::same_floats(mfq_test::expanded_zero_points(context.get(), turned, kShape),
                                    mfq_test::expanded_zero_points(context.get(), q, kShape)));
  ASSERT_EQ(mfq_repack(context.get(), &turned.q, &back.q), MFQ_OK) << mfq_last_error();
  ASSERT_TRUE(back.same_bytes(q));
}

TEST(FloatZeroMisuse, ProductsRefuse) {
  const Context context = make_context();
  Quantized a(parse("uint4/group:32/f32/zpf"), {4, 32});
  std::vector<float> b(32 * 2), d(4 * 2);
  const mfq_tensor plain = dense(b, {32, 2}), result = dense(d, {4, 2});
  mfq_gemm gemm;
  mfq_gemm_init(&gemm);
  gemm.a.quantized = &a.q;
  gemm.b.plain = &plain;
  gemm.d = &result;
  mfq_gemm_plan *plan = nullptr;
  EXPECT_EQ(mfq_gemm_plan_create(context.get(), &gemm, &plan), MFQ_ERROR_UNSUPPORTED);
  EXPECT_NE(std::strstr(mfq_last_error(), "its zero points are f32, which no exact sum holds; dequantize it before"),
            nullptr)
      << mfq_last_error();
}

INSTANTIATE_TEST_SUITE_P(Isas, FloatZero, testing::ValuesIn(mfq_test::every_isa()),
                         [](const auto &row) { return row.param; });

} // namespace
