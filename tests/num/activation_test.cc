/* Activations against definitions in long double, in units of the last place of float32. */
#include <gtest/gtest.h>

#include <mfq/gemm.h>
#include <mfq/num/activation.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "support/f32_inputs.h"

namespace {

static_assert((int)MFQN_ACTIVATION_NONE == (int)MFQ_ACTIVATION_NONE);
static_assert((int)MFQN_ACTIVATION_RELU == (int)MFQ_ACTIVATION_RELU);
static_assert((int)MFQN_ACTIVATION_GELU == (int)MFQ_ACTIVATION_GELU);
static_assert((int)MFQN_ACTIVATION_GELU_TANH == (int)MFQ_ACTIVATION_GELU_TANH);
static_assert((int)MFQN_ACTIVATION_SILU == (int)MFQ_ACTIVATION_SILU);

/* x / (1 + exp(-w)) where 1 + tanh would cancel. */
long double times_logistic(long double x, long double w) {
  return w < 0 ? x * (std::exp(w) / (1 + std::exp(w))) : x / (1 + std::exp(-w));
}

long double oracle(long double x, int activation) {
  switch (activation) {
    case MFQ_ACTIVATION_RELU: return x < 0 ? 0 : x;
    case MFQ_ACTIVATION_GELU: return x * (std::erfc(-x / std::sqrt(2.0L)) / 2);
    case MFQ_ACTIVATION_GELU_TANH:
      return times_logistic(x, 2 * std::sqrt(2 / std::acos(-1.0L)) * (x + 0.044715L * x * x * x));
    case MFQ_ACTIVATION_SILU: return times_logistic(x, x);
    default: return x;
  }
}

/* The distance of float32 numbers at a value; 2^-149 for subnormal ones. */
long double step_at(long double value) {
  int exponent = -200;
  if (value != 0) std::frexp(value, &exponent);
  return std::ldexp(1.0L, std::max(exponent - 24, -149));
}

struct Worst {
  long double normal = 0, subnormal = 0;
  float at = 0;
};

/* Finite inputs only. */
void look(float x, int activation, Worst *worst) {
  const float y = mfqn_activate(x, activation);
  const long double want = oracle(x, activation), step = step_at(want);
  const long double error = std::fabs((long double)y - want) / step;
  if (std::fabs(want) < 0x1p-126L) {
    worst->subnormal = std::max(worst->subnormal, error);
  } else if (!(error <= worst->normal)) { /* NaN too */
    worst->normal = error;
    worst->at = x;
  }
}

struct Function {
  int activation;
  const char *name;
  long double most; /* ulp; mfq/num/activation.h says what was measured over all inputs */
};

class Activation : public testing::TestWithParam<Function> {
protected:
  static int activation() { return GetParam().activation; }
  static float of(float x) { return mfqn_activate(x, activation()); }
  static void check(const Worst &worst) {
    std::printf("%s: at most %.3Lf ulp, at %a; subnormal results %.3Lf\n", GetParam().name, worst.normal, worst.at,
                worst.subnormal);
    EXPECT_LE(worst.normal, GetParam().most) << "at " << worst.at;
    EXPECT_LE(worst.subnormal, 2.0L);
  }
};

class Smooth : public Activation {};

TEST_P(Activation, EveryBfloat16AndFloat16) {
  Worst worst;
  for (uint32_t h = 0; h < 65536; ++h) {
    for (uint32_t u : {mfqn_f32_from_bf16(h), mfqn_f32_from_f16(h)})
      if ((u & MFQN_ABS) < MFQN_INF) look(inputs::f32(u), activation(), &worst);
  }
  check(worst);
}

/* All float32 on request; an odd stride changes the last bits from step to step. */
TEST_P(Activation, Float32) {
  Worst worst;
  const uint32_t step = inputs::exhaustive() ? 1 : 1021;
  for (uint64_t u = 0; u < (1ull << 32); u += step)
    if (((uint32_t)u & MFQN_ABS) < MFQN_INF) look(inputs::f32((uint32_t)u), activation(), &worst);
  check(worst);
}

/* Where the functions are neither 0 nor x, much denser: ranges end, arguments are split, exponents change. */
TEST_P(Activation, MiddleMagnitudes) {
  Worst worst;
  const uint32_t step = inputs::exhaustive() ? 1 : 199;
  for (uint32_t u = 0x38000000u; u < 0x43100000u; u += step)
    for (uint32_t sign : {0u, 0x80000000u}) look(inputs::f32(u | sign), activation(), &worst);
  check(worst);
}

TEST_P(Activation, ZerosKeepTheirSign) {
  EXPECT_EQ(inputs::bits_of(of(0.0f)), 0u);
  EXPECT_EQ(inputs::bits_of(of(-0.0f)), 0x80000000u);
}

TEST_P(Activation, NanIsCanonical) {
  for (uint32_t nan : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xffffffffu})
    EXPECT_EQ(inputs::bits_of(of(inputs::f32(nan))), 0x7fc00000u) << nan;
}

TEST_P(Activation, Infinities) {
  EXPECT_EQ(of(INFINITY), INFINITY);
  const float want = activation() == MFQ_ACTIVATION_NONE ? -INFINITY : 0.0f;
  EXPECT_EQ(of(-INFINITY), want);
}

TEST_P(Activation, FarTails) {
  for (float x : {150.0f, 1e10f, 3.4028235e38f}) {
    EXPECT_EQ(of(x), x);
    EXPECT_EQ(of(-x), activation() == MFQ_ACTIVATION_NONE ? -x : 0.0f) << x;
  }
}

/* Results shrink without a jump until they are 0, however the range is cut. */
TEST_P(Smooth, NegativeTailsFadeOut) {
  float last = of(-2.0f);
  EXPECT_LT(last, 0.0f);
  for (float x = -2.0f; x > -130.0f; x -= 0.0078125f) {
    const float y = of(x);
    ASSERT_GE(y, last) << x;
    ASSERT_LE(y, 0.0f) << x;
    ASSERT_TRUE(std::signbit(y)) << x;
    last = y;
  }
  EXPECT_EQ(last, 0.0f);
}

constexpr Function piecewise[] = {{MFQ_ACTIVATION_NONE, "none", 0}, {MFQ_ACTIVATION_RELU, "relu", 0}};
constexpr Function smooth[] = {
    {MFQ_ACTIVATION_GELU, "gelu", 4}, {MFQ_ACTIVATION_GELU_TANH, "gelu_tanh", 4}, {MFQ_ACTIVATION_SILU, "silu", 4}};
std::string name_of(const testing::TestParamInfo<Function> &info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Piecewise, Activation, testing::ValuesIn(piecewise), name_of);
INSTANTIATE_TEST_SUITE_P(Smooth, Activation, testing::ValuesIn(smooth), name_of);
INSTANTIATE_TEST_SUITE_P(Smooth, Smooth, testing::ValuesIn(smooth), name_of);

TEST(ActivationOf, UnknownValuesChangeNothing) { EXPECT_EQ(mfqn_activate(-3.5f, 99), -3.5f); }

/* From tables of the normal distribution: the oracle above is not alone. */
TEST(ActivationOf, KnownValues) {
  EXPECT_FLOAT_EQ(mfqn_activate(1.0f, MFQ_ACTIVATION_GELU), 0.84134475f);
  EXPECT_FLOAT_EQ(mfqn_activate(-1.0f, MFQ_ACTIVATION_GELU), -0.15865525f);
  EXPECT_FLOAT_EQ(mfqn_activate(-3.0f, MFQ_ACTIVATION_GELU), -3 * 0.0013498980f);
  EXPECT_FLOAT_EQ(mfqn_activate(1.0f, MFQ_ACTIVATION_GELU_TANH), 0.84119199f);
  EXPECT_FLOAT_EQ(mfqn_activate(1.0f, MFQ_ACTIVATION_SILU), 0.73105858f);
  EXPECT_FLOAT_EQ(mfqn_activate(-1.0f, MFQ_ACTIVATION_SILU), -0.26894142f);
}

} // namespace
