/* MS-EDEN by its parts: the factor against sums in double, and the expectation of the rounded scales, which is taken over all
 * random bits there are, not sampled. */
#include <cmath>

#include <gtest/gtest.h>

#include <mfq/num/eden.h>

#include "num_scheme.h"

namespace {

mfqn_scheme eden_scheme(mfq_scale_format scale = MFQ_SCALE_UE4M3, const mfq_format &stored = {}) {
  mfq_scheme s = group_scheme(oracle::named("e2m1"), scale, MFQ_RULE_ABSMAX);
  s.group_size = 16;
  s.eden = 128;
  s.scale_bound = 255.99f;
  s.scale_element = stored;
  return lowered(s);
}

/* ---- Scales ---- */

mfqn_group group_of(const mfqn_scheme &s, uint32_t stored) { return mfqn_group_load(&s, stored, 0.37f); }

/* How many of the 65536 draws make which code; there are no more than two, which are neighbours. */
struct Draws {
  uint32_t low;
  int up = 0;
  Draws(const mfqn_scheme &s, uint32_t stored, float c) {
    auto code = [&](uint32_t half) {
      mfqn_group g = group_of(s, stored);
      mfqn_eden_correct(&s, &g, c, mfqn_random_fraction(half));
      return g.stored;
    };
    low = code(0);
    for (uint32_t half = 0; half < 65536; ++half) {
      const uint32_t got = code(half);
      EXPECT_TRUE(got == low || got == low + 1) << got;
      up += got != low;
    }
  }
};

TEST(Eden, ScalesAreRightOnAverage) {
  const mfq_format ue5m3 = oracle::minifloat(0, 5, 3, 15, MFQ_SPECIALS_FN);
  for (const bool is_ue5m3 : {false, true}) {
    const mfqn_scheme s = is_ue5m3 ? eden_scheme(MFQ_SCALE_MINIFLOAT, ue5m3) : eden_scheme();
    const oracle::Grid grid(is_ue5m3 ? ue5m3 : oracle::minifloat(0, 4, 3, 7, MFQ_SPECIALS_FN));
    for (const uint32_t stored : {1u, 7u, 8u, 9u, 0x37u, 0x38u, 0x55u, 0x70u})
      for (const float c : {1.0f, 1.0078125f, 1.01f, 0.993f, 1.2345678f, 0.1f}) {
        const float exact = (float)(grid.decode(stored) * (double)c);
        const Draws draws(s, stored, c);
        const double low = grid.decode(draws.low), step = grid.magnitude(draws.low + 1) - low;
        ASSERT_LE(std::fabs(low + step * draws.up / 65536 - exact), step * 0x1p-17) << stored << " times " << c;
        ASSERT_TRUE(low <= exact && exact <= low + step);
      }
  }
}

TEST(Eden, EndsOfScales) {
  const mfqn_scheme s = eden_scheme();
  mfqn_group g = group_of(s, 0x7e);
  mfqn_eden_correct(&s, &g, 1.5f, 0);
  EXPECT_EQ(g.stored, 0x7eu) << "no scale is above 448";
  g = group_of(s, 0x7f);
  mfqn_eden_correct(&s, &g, 1.5f, 0);
  EXPECT_EQ(g.stored, 0x7fu) << "NaN stays";
  g = group_of(s, 0);
  mfqn_eden_correct(&s, &g, 1.5f, mfqn_random_fraction(0xffff));
  EXPECT_EQ(g.stored, 0u) << "a group of zeros stays one";
  g = group_of(s, 0x38);
  const float divisor = g.divisor;
  mfqn_eden_correct(&s, &g, 1.125f, 0);
  EXPECT_EQ(g.scale, 1.125f);
  EXPECT_EQ(g.divisor, divisor) << "codes are those of the scale before";
}

/* ---- Factors ---- */

struct Elements {
  std::vector<float> x;
  std::vector<mfqn_group> groups; /* of 16 elements each */
};

Elements random_run(const mfqn_scheme &s, uint64_t seed, int groups) {
  inputs::Random random(seed);
  Elements run;
  uint32_t largest = 0;
  for (int i = 0; i < 16 * groups; ++i) {
    const float magnitude = std::ldexp(1 + (float)(random.word() >> 9) / 8388608.0f, -(int)(random.word() % 6));
    run.x.push_back(random.word() & 1 ? -magnitude : magnitude);
    largest = std::max(largest, inputs::bits_of(magnitude));
  }
  const float tensor_scale = mfqn_tensor_scale(largest, 0, s.tensor_threshold);
  for (int i = 0; i < groups; ++i) {
    const mfqn_statistic statistic =
        statistic_of(std::vector<float>(run.x.begin() + 16 * i, run.x.begin() + 16 * i + 16));
    run.groups.push_back(mfqn_group_make(&s, &statistic, tensor_scale));
  }
  return run;
}

float factor_of(const mfqn_scheme &s, const Elements &run) {
  mfqn_eden e;
  mfqn_eden_start(&e);
  for (size_t i = 0; i < run.x.size(); ++i) mfqn_eden_add(&e, &s, &run.groups[i / 16], inputs::bits_of(run.x[i]));
  return mfqn_eden_factor(&e);
}

/* sum(x x) / sum(x q) in double, of the values that the codes have; float32 sums of n terms err by a few roundings each. */
TEST(Eden, FactorIsTheQuotientOfTheSums) {
  const mfqn_scheme s = eden_scheme();
  const oracle::Grid grid(oracle::named("e2m1"));
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Elements run = random_run(s, seed, 1 + (int)(seed % 8));
    double squares = 0, products = 0;
    for (size_t i = 0; i < run.x.size(); ++i) {
      const mfqn_group &g = run.groups[i / 16];
      const double q = grid.decode(grid.encode((float)(run.x[i] / g.divisor), MFQ_ROUND_EVEN, true)) * g.scale;
      squares += (double)run.x[i] * run.x[i];
      products += run.x[i] * q * g.tensor_scale;
    }
    const double c = squares / products;
    ASSERT_NEAR(factor_of(s, run), c, 16 * 0x1p-24 * c) << seed;
    /* What the estimate is for: with scales times c, <x, q> is <x, x>, of which <q, q> alone would be short. */
    ASSERT_NEAR(products * (double)factor_of(s, run), squares, 16 * 0x1p-24 * squares);
  }
}

TEST(Eden, FactorOfNothingIsOne) {
  const mfqn_scheme s = eden_scheme();
  Elements zeros;
  zeros.x.assign(32, 0.0f);
  zeros.groups.assign(2, group_of(s, 0));
  EXPECT_EQ(factor_of(s, zeros), 1.0f);
  zeros.x.assign(32, std::numeric_limits<float>::quiet_NaN());
  zeros.groups.assign(2, group_of(s, 0x7f));
  EXPECT_EQ(factor_of(s, zeros), 1.0f);
  /* A group of NaN leaves the factor of its neighbours alone. */
  Elements run = random_run(s, 3, 2), alone = run;
  for (size_t i = 16; i < 32; ++i) run.x[i] = std::numeric_limits<float>::quiet_NaN();
  run.groups[1] = group_of(s, 0x7f);
  alone.x.resize(16);
  EXPECT_EQ(factor_of(s, run), factor_of(s, alone));
}

} // namespace
