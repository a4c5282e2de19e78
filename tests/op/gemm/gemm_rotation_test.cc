// Products of operands that are rotated along K: those of rotated elements, since equal rotations cancel in every sum.
#include "support/rotation.h"
#include "support/sample.h"

namespace {

using mfq_test::Context;
using mfq_test::dense;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::rotated;
using mfq_test::same_floats;
using mfq_test::Shape;
using mfq_test::unrotated;

/* More than few rows, so that products go one way whichever operands come quantized. */
constexpr int64_t kM = 66, kN = 70, kK = 384;

Context context_of(mfq_policy policy, const char *isa) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = isa;
  options.threads = 2;
  options.policy = policy;
  mfq_test::poison_memory(&options);
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

/* D = A x B transposed. */
std::vector<float> product(mfq_context *context, const mfq_operand &a, const mfq_operand &b) {
  std::vector<float> d((size_t)(kM * kN), mfq_test::kUnwritten);
  const mfq_tensor to = dense(d, {kM, kN});
  mfq_gemm gemm;
  mfq_gemm_init(&gemm);
  gemm.a = a;
  gemm.b = b;
  gemm.transpose_b = 1;
  gemm.d = &to;
  gemm.own_workspace = 1;
  mfq_gemm_plan *plan = nullptr;
  EXPECT_EQ(mfq_gemm_plan_create(context, &gemm, &plan), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_gemm_run(context, plan, &gemm, nullptr, 0), MFQ_OK) << mfq_last_error();
  mfq_gemm_plan_destroy(plan);
  return d;
}

struct Pair {
  const char *a, *b;
};
const Pair pairs[] = {{"mxfp4_e2m1/hadamard:32", "mxfp8_e4m3/hadamard:32"},
                      {"nvfp4/hadamard:16:fixed", "nvfp4/hadamard:16:fixed"},
                      {"mxfp8_e4m3/group:128/hadamard:64:seed:9", "mxfp4_e2m1/group:16/hadamard:64:seed:9"},
                      {"e4m3fn/group:48/f32/hadamard:128", "int4/group:32/f32/zp/hadamard:128"}};

class GemmRotation : public testing::TestWithParam<mfq_policy> {};

TEST_P(GemmRotation, MultipliesRotatedElements) {
  const Shape of_a = {kM, kK}, of_b = {kN, kK};
  const std::vector<float> x = mfq_test::awkward_values((size_t)(kM * kK), 1, true),
                           y = mfq_test::awkward_values((size_t)(kN * kK), 2, true);
  for (const char *isa : {(const char *)nullptr, "reference"})
    for (const Pair &pair : pairs) {
      SCOPED_TRACE(std::string(pair.a) + " x " + pair.b);
      const Context context = context_of(GetParam(), isa);
      const mfq_scheme a = parse(pair.a), b = parse(pair.b), plain_a = unrotated(a), plain_b = unrotated(b);
      const std::vector<float> turned_x = rotated(a, of_a, x), turned_y = rotated(b, of_b, y);
      const mfq_tensor xs = dense(x, of_a), ys = dense(y, of_b), txs = dense(turned_x, of_a),
                       tys = dense(turned_y, of_b);
      const std::vector<float> want = product(context.get(), {&txs, &plain_a, nullptr}, {&tys, &plain_b, nullptr});
      EXPECT_TRUE(same_floats(product(context.get(), {&xs, &a, nullptr}, {&ys, &b, nullptr}), want));
      Quantized qa(a, of_a), qb(b, of_b);
      mfq_test::quantize(context.get(), x, &qa);
      mfq_test::quantize(context.get(), y, &qb);
      EXPECT_TRUE(same_floats(product(context.get(), {nullptr, nullptr, &qa.q}, {&ys, &b, nullptr}), want));
      EXPECT_TRUE(same_floats(product(context.get(), {&xs, &a, nullptr}, {nullptr, nullptr, &qb.q}), want));
    }
}

INSTANTIATE_TEST_SUITE_P(Policy, GemmRotation, testing::Values(MFQ_FAST, MFQ_REPRODUCIBLE));

/* Each operand errs by at most 2^-4 of its length: elements by half a step, and none saturates. Rotations keep lengths. */
TEST(GemmRotationBounds, IsNearThePlainProduct) {
  const Context context = make_context();
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  std::vector<float> x((size_t)(kM * kK)), y((size_t)(kN * kK));
  for (float &v : x) v = normal(generator);
  for (float &v : y) v = normal(generator);
  const mfq_tensor xs = dense(x, {kM, kK}), ys = dense(y, {kN, kK});
  for (const char *text : {"mxfp8_e4m3_rceil/hadamard:16", "mxfp8_e4m3_rceil/hadamard:128:fixed"}) {
    const mfq_scheme scheme = parse(text);
    const std::vector<float> d = product(context.get(), {&xs, &scheme, nullptr}, {&ys, &scheme, nullptr});
    for (int64_t i = 0; i < kM * kN; ++i) {
      double sum = 0, a = 0, b = 0;
      for (int64_t k = 0; k < kK; ++k) {
        const double u = x[(size_t)(i / kN * kK + k)], v = y[(size_t)(i % kN * kK + k)];
        sum += u * v;
        a += u * u;
        b += v * v;
      }
      const double part = 1.0 / 16 + 1e-3;
      ASSERT_NEAR(d[(size_t)i], sum, (2 * part + part * part) * std::sqrt(a * b)) << text;
    }
  }
}

} // namespace
