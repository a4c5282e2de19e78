// Rotations of float32: the matrix in double within what rounding costs, the bits of the order of sums, there and back.
#include <cmath>
#include <limits>
#include <random>

#include <mfq/num/rotate.h>

#include "support/rotation.h"

namespace {

using mfq_test::float_bits;
using mfq_test::float_of;

constexpr int kSizes[] = {16, 32, 64, 128};

mfq_scheme rotation_of(int size, mfq_signs signs, uint64_t seed = 0) {
  mfq_scheme s = {};
  s.rotation = size;
  s.signs = signs;
  s.sign_seed = seed;
  return s;
}

std::vector<float> turned(const mfq_scheme &s, const std::vector<float> &x, bool is_inverse) {
  const mfqn_rotation r = mfqn_rotation_make(s.rotation, (int32_t)s.signs, s.sign_seed);
  std::vector<uint32_t> u;
  for (const float v : x) u.push_back(float_bits(v));
  mfqn_rotate(&r, u.data(), is_inverse);
  std::vector<float> y;
  for (const uint32_t v : u) y.push_back(float_of(v));
  return y;
}

std::vector<mfq_scheme> rotations() {
  std::vector<mfq_scheme> all;
  for (const int size : kSizes)
    for (const mfq_signs signs : {MFQ_SIGNS_NONE, MFQ_SIGNS_FIXED, MFQ_SIGNS_SEEDED})
      all.push_back(rotation_of(size, signs, signs == MFQ_SIGNS_SEEDED ? 0x123456789abcdef0 : 0));
  return all;
}

std::vector<float> usual(size_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float &v : x) v = std::ldexp(normal(generator), (int)(generator() % 12));
  return x;
}

/* Random123 1.14, kat_vectors of seven rounds: counter and key all ones. */
TEST(Rotate, SeededSigns) {
  const mfqn_rotation r = mfqn_rotation_make(128, MFQN_SIGNS_SEEDED, ~uint64_t{0});
  const uint32_t want[] = {0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(r.signs[i], want[i]);
  for (const uint64_t seed : {uint64_t{0}, uint64_t{77}, uint64_t{77} << 32}) {
    const mfqn_rotation other = mfqn_rotation_make(128, MFQN_SIGNS_SEEDED, seed);
    const std::vector<float> signs = mfq_test::rotation_signs(rotation_of(128, MFQ_SIGNS_SEEDED, seed));
    for (int k = 0; k < 128; ++k)
      EXPECT_EQ(mfqn_rotation_sign(&other, k), signs[(size_t)k] < 0 ? 0x80000000u : 0u) << k;
  }
}

/* Each stage and the factor round once: relative to the sum of all magnitudes, in units of 2^-24. */
TEST(Rotate, IsTheMatrix) {
  for (const mfq_scheme &s : rotations())
    for (uint32_t seed = 0; seed < 20; ++seed) {
      const size_t n = (size_t)s.rotation;
      const std::vector<float> x = usual(n, seed), y = turned(s, x, false), z = turned(s, x, true);
      const std::vector<float> signs = mfq_test::rotation_signs(s);
      std::vector<double> exact(x.begin(), x.end()), signed_exact(n);
      double all = 0;
      for (size_t k = 0; k < n; ++k) all += std::fabs(exact[k]);
      for (size_t k = 0; k < n; ++k) signed_exact[k] = exact[k] * signs[k];
      const double bound = all / std::sqrt((double)n) * (std::log2((double)n) + 2) * 0x1p-24;
      for (size_t k = 0; k < n; ++k) {
        ASSERT_NEAR(y[k], mfq_test::hadamard_row(signed_exact, k), bound) << n << ", " << k;
        ASSERT_NEAR(z[k], mfq_test::hadamard_row(exact, k) * signs[k], bound) << n << ", " << k;
      }
    }
}

TEST(Rotate, SumsHaveOneOrder) {
  for (const mfq_scheme &s : rotations())
    for (uint32_t seed = 0; seed < 20; ++seed)
      for (const bool is_inverse : {false, true}) {
        const std::vector<float> x = usual((size_t)s.rotation, seed);
        ASSERT_TRUE(mfq_test::same_floats(turned(s, x, is_inverse), mfq_test::rotated_run(s, x, is_inverse)))
            << s.rotation << ", signs " << s.signs;
      }
}

/* There and back: both ways round as above, the second time what the first one left. */
TEST(Rotate, ThereAndBack) {
  for (const mfq_scheme &s : rotations())
    for (uint32_t seed = 0; seed < 20; ++seed) {
      const size_t n = (size_t)s.rotation;
      const std::vector<float> x = usual(n, seed), back = turned(s, turned(s, x, false), true);
      double squares = 0;
      for (const float v : x) squares += (double)v * v;
      const double bound = 2 * std::sqrt(squares * (double)n) * (std::log2((double)n) + 2) * 0x1p-24;
      for (size_t k = 0; k < n; ++k) ASSERT_NEAR(back[k], x[k], bound);
    }
}

/* Whole numbers, and a factor that is a power of two. */
TEST(Rotate, IsExactWhereSumsAre) {
  for (const int size : {16, 64})
    for (const mfq_signs signs : {MFQ_SIGNS_NONE, MFQ_SIGNS_FIXED, MFQ_SIGNS_SEEDED}) {
      const mfq_scheme s = rotation_of(size, signs);
      std::vector<float> x;
      for (int k = 0; k < size; ++k) x.push_back((float)(k * k % 37 - 18));
      EXPECT_EQ(turned(s, turned(s, x, false), true), x);
      std::vector<float> one((size_t)size, 0.0f);
      one[0] = 1.0f;
      EXPECT_EQ(turned(rotation_of(size, MFQ_SIGNS_NONE), one, false),
                std::vector<float>((size_t)size, 1.0f / std::sqrt((float)size)));
    }
}

/* What float32 gives, with one NaN. */
TEST(Rotate, NotFinite) {
  const float inf = std::numeric_limits<float>::infinity();
  const mfq_scheme s = rotation_of(16, MFQ_SIGNS_FIXED);
  for (const float bad : {inf, -inf, float_of(0xffc00001), float_of(0x7f800001)}) {
    std::vector<float> x(16, 1.0f);
    x[5] = bad;
    for (const float y : turned(s, x, false))
      EXPECT_TRUE(bad == bad ? std::isinf(y) : float_bits(y) == 0x7fc00000) << y;
  }
  const std::vector<float> large(16, 3e38f), y = turned(rotation_of(16, MFQ_SIGNS_NONE), large, false);
  EXPECT_EQ(y[0], inf);
  EXPECT_EQ(y[1], 0.0f);
  EXPECT_EQ(float_bits(y[2]), 0x7fc00000u); /* infinity minus infinity */
}

} // namespace
