/* The steps from a sum to a value of D, each rounded once, in their order. */
#include <gtest/gtest.h>

#include <mfq/num/finish.h>

#include <cmath>

#include "support/f32_inputs.h"

namespace {

const mfqn_finish plain = {0, 0, MFQN_ACTIVATION_NONE, 1.0f, 1.0f};

uint32_t finish(const mfqn_finish &e, float sum, float row, float col, float c, float bias) {
  return inputs::bits_of(mfqn_finish_value(&e, sum, row, col, c, bias));
}

/* One operation, exact in double (sums: far apart at most 2^29) and rounded once. */
float times(float a, float b) { return (float)((double)a * (double)b); }
float plus(float a, float b) { return (float)((double)a + (double)b); }

TEST(FinishValue, NothingToDo) {
  for (uint32_t u : inputs::structured()) {
    const uint32_t want = inputs::is_nan(u) ? 0x7fc00000u : u;
    ASSERT_EQ(finish(plain, inputs::f32(u), 1, 1, NAN, NAN), want) << inputs::f32(u);
  }
}

TEST(FinishValue, StepsInOrder) {
  inputs::Random random(7);
  const auto number = [&] { return ((float)(random.word() >> 8) / 4194304.0f - 2.0f); };
  for (int i = 0; i < 100000; ++i) {
    const mfqn_finish e = {1, 1, i % 2 ? MFQN_ACTIVATION_RELU : MFQN_ACTIVATION_NONE, number(), number()};
    const float sum = number() * 1000.0f, row = number(), col = number(), c = number(), bias = number();
    float want = times(times(times(sum, row), col), e.alpha);
    want = plus(plus(want, times(e.beta, c)), bias);
    if (i % 2 && want < 0) want = 0;
    ASSERT_EQ(finish(e, sum, row, col, c, bias), inputs::bits_of(want)) << i;
  }
}

/* Each of these tells two orders, or a fused step, from ours. */
TEST(FinishValue, OrderShows) {
  mfqn_finish e = plain;
  const float inf = INFINITY, large = 0x1p127f, small = 0x1p-126f;
  EXPECT_EQ(finish(e, large, 4, 0.25f, 0, 0), inputs::bits_of(inf)) << "the row's factor is first";
  EXPECT_EQ(finish(e, small, 0x1p-24f, 0x1p24f, 0, 0), 0u) << "and underflows";
  e.alpha = 0.25f;
  EXPECT_EQ(finish(e, large, 1, 4, 0, 0), inputs::bits_of(inf)) << "alpha is after the factors";
  e = plain;
  e.has_c = e.has_bias = 1;
  EXPECT_EQ(finish(e, 0x1p24f, 1, 1, 1, 1), inputs::bits_of(0x1p24f)) << "C and the bias are added one by one";
  e.beta = 0x1.000002p0f;
  EXPECT_EQ(finish(e, -1, 1, 1, 0x1.000002p0f, 0), inputs::bits_of(0x1p-22f)) << "beta * c is rounded";
}

TEST(FinishValue, BetaOfZeroIgnoresC) {
  mfqn_finish e = {1, 0, MFQN_ACTIVATION_NONE, 1.0f, 0.0f};
  EXPECT_EQ(finish(e, 3, 1, 1, NAN, 0), inputs::bits_of(3.0f));
  EXPECT_EQ(finish(e, -0.0f, 1, 1, INFINITY, 0), 0x80000000u);
  e.beta = -0.0f;
  EXPECT_EQ(finish(e, 3, 1, 1, NAN, 0), inputs::bits_of(3.0f));
  e.beta = NAN;
  EXPECT_EQ(finish(e, 3, 1, 1, 1, 0), 0x7fc00000u);
}

TEST(FinishValue, NanIsCanonical) {
  for (int activation = MFQN_ACTIVATION_NONE; activation <= MFQN_ACTIVATION_SILU; ++activation) {
    mfqn_finish e = plain;
    e.activation = activation;
    EXPECT_EQ(finish(e, INFINITY, 0, 1, 0, 0), 0x7fc00000u) << activation;
    EXPECT_EQ(finish(e, inputs::f32(0xffc12345u), 1, 1, 0, 0), 0x7fc00000u) << activation;
    e.has_bias = 1;
    EXPECT_EQ(finish(e, INFINITY, 1, 1, 0, -INFINITY), 0x7fc00000u) << activation;
  }
}

TEST(FinishValue, ActivationIsLast) {
  mfqn_finish e = {0, 1, MFQN_ACTIVATION_RELU, -1.0f, 1.0f};
  EXPECT_EQ(finish(e, -4, 1, 1, 0, 1), inputs::bits_of(5.0f));
  EXPECT_EQ(finish(e, 4, 1, 1, 0, 1), 0u);
  e.activation = MFQN_ACTIVATION_GELU;
  EXPECT_EQ(finish(e, -1, 1, 1, 0, 0), inputs::bits_of(mfqn_activate(1.0f, MFQN_ACTIVATION_GELU)));
}

} // namespace
