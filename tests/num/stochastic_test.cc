/* Philox against its published answers, and stochastic rounding against exact probabilities. */
#include <cmath>

#include <gtest/gtest.h>

#include <mfq/num/random.h>

#include "num_formats.h"
#include "support/f32_inputs.h"
#include "support/oracle.h"

namespace {

struct KnownAnswer {
  uint32_t counter[4], key[2];
  int rounds;
  uint32_t want[4];
};

/* Random123's known-answer file. */
TEST(Philox, KnownAnswers) {
  const uint32_t ones = 0xffffffffu;
  const KnownAnswer rows[] = {
      {{0, 0, 0, 0}, {0, 0}, 10, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{ones, ones, ones, ones}, {ones, ones}, 10, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       10,
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
      {{0, 0, 0, 0}, {0, 0}, 7, {0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48}},
      {{ones, ones, ones, ones}, {ones, ones}, 7, {0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       7,
       {0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a}}};
  for (const KnownAnswer &row : rows) {
    const uint32_t *c = row.counter;
    const mfqn_philox got = mfqn_philox_block(c[0], c[1], c[2], c[3], row.key[0], row.key[1], row.rounds);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(got.word[i], row.want[i]) << i;
  }
}

/* Element i reads half i mod 8, low ones first, of the block with counter (i / 8, offset) and key seed, each split low
 * word first; the bit below the half is set. */
TEST(Philox, BitsOfAnElement) {
  EXPECT_EQ(mfqn_random(0, 0, 0), 0xb7098000u);
  EXPECT_EQ(mfqn_random(0, 0, 1), 0x5f6f8000u);
  EXPECT_EQ(mfqn_random(0, 0, 2), 0x3f648000u);
  EXPECT_EQ(mfqn_random(0, 0, 7), 0x4f738000u);
  const uint64_t seed = 0x299f31d0a4093822ull, offset = 0x0370734413198a2eull, block = 0x85a308d3243f6a88ull;
  const uint32_t want[] = {0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a};
  for (uint64_t i = 0; i < 8; ++i)
    EXPECT_EQ(mfqn_random(seed, offset, (block & 0x1fffffffffffffffull) * 8 + i),
              (mfqn_philox_block((uint32_t)block, (uint32_t)(block >> 32) & 0x1fffffffu, (uint32_t)offset,
                                 (uint32_t)(offset >> 32), (uint32_t)seed, (uint32_t)(seed >> 32), 7)
                       .word[i / 2] >>
                   16 * (i % 2) << 16 |
               0x8000u));
  /* The published block itself, whose counter an index reaches when its top bits are 0. */
  const mfqn_philox pi = mfqn_philox_block(0x243f6a88, 0x85a308d3, (uint32_t)offset, (uint32_t)(offset >> 32),
                                           (uint32_t)seed, (uint32_t)(seed >> 32), 7);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(pi.word[i], want[i]);
}

class Stochastic : public testing::TestWithParam<oracle::NamedFormat> {
protected:
  const oracle::Grid grid{GetParam().format};
  const NumFormat num{GetParam().format, true};

  std::vector<uint32_t> all_inputs(int exp2) const {
    std::vector<uint32_t> all = inputs::boundaries(grid, exp2);
    for (uint32_t u : inputs::structured())
      if ((u & 0x7fffffu) % 5 == 1) all.push_back(u);
    return all;
  }
};

TEST_P(Stochastic, EqualsTheOracleForAnyWord) {
  inputs::Random random(31);
  for (int exp2 : {-127, -20, 0, 3, 127})
    for (uint32_t u : all_inputs(exp2)) {
      const double x = std::ldexp((double)inputs::f32(u), -exp2);
      const uint32_t words[] = {0, 1, 0x7fffffffu, 0x80000000u, 0xfffffffeu, 0xffffffffu, random.word()};
      for (uint32_t word : words)
        ASSERT_EQ(num.encode(u, exp2, MFQ_ROUND_STOCHASTIC, word), grid.encode_stochastic(x, word, true))
            << inputs::f32(u) << " * 2^-" << exp2 << " with " << word;
    }
}

TEST_P(Stochastic, ZeroIsTowardZeroAndOnesIsAwayFromIt) {
  for (uint32_t u : all_inputs(0)) {
    const double x = inputs::f32(u);
    ASSERT_EQ(num.encode(u, 0, MFQ_ROUND_STOCHASTIC, 0), num.encode(u, 0, MFQ_ROUND_ZERO)) << x;
    const bool is_seen = grid.place(x).fraction >= 0x1p-32;
    const mfq_rounding away = !is_seen ? MFQ_ROUND_ZERO : std::signbit(x) ? MFQ_ROUND_FLOOR : MFQ_ROUND_CEIL;
    ASSERT_EQ(num.encode(u, 0, MFQ_ROUND_STOCHASTIC, 0xffffffffu), grid.encode(x, away, true)) << x;
  }
}

/* A discarded part of at most 12 bits goes up for exactly its share of the words: 4096 of them tell all. */
TEST_P(Stochastic, ExpectationIsExact) {
  int enumerated = 0;
  for (uint32_t h = 0x3a80; h < 0x4480; h += 7) { /* bfloat16, 2^-10 ... 2^10 */
    const uint32_t u = h << 16;
    const oracle::Place place = grid.place(inputs::f32(u));
    const double share = place.fraction * 4096;
    if (place.lower >= grid.max_code() || share != std::floor(share)) continue;
    const uint32_t down = num.encode(u, 0, MFQ_ROUND_ZERO);
    int up = 0;
    for (uint32_t k = 0; k < 4096; ++k) up += num.encode(u, 0, MFQ_ROUND_STOCHASTIC, k << 20) != down;
    ASSERT_EQ(up, share) << inputs::f32(u);
    ++enumerated;
  }
  EXPECT_GT(enumerated, 10);
}

/* The bits that elements draw: the chance to go up is the discarded part to the nearest 2^-16, so that the expectation
 * errs by at most 2^-17 of a step, and the parts on both sides of one err by as much, with opposite signs. Chances are
 * counted exactly: results do not fall as the bits grow, so that the first ones that round up tell all. */
TEST_P(Stochastic, ExpectationOfDrawnBits) {
  inputs::Random random(33);
  int counted = 0;
  for (int i = 0; i < 3000; ++i) {
    const uint32_t u = (random.word() & 0x807fffffu) | (117 + random.word() % 20) << 23; /* 2^-10 ... 2^10 */
    const oracle::Place place = grid.place(inputs::f32(u));
    if (place.lower >= grid.max_code()) continue;
    const uint32_t down = num.encode(u, 0, MFQ_ROUND_ZERO);
    if (down == num.encode(u, 0, u >> 31 ? MFQ_ROUND_FLOOR : MFQ_ROUND_CEIL)) continue; /* clipped */
    uint32_t low = 0, high = 0x10000;
    while (low < high) {
      const uint32_t middle = (low + high) / 2;
      const bool up = num.encode(u, 0, MFQ_ROUND_STOCHASTIC, mfqn_random_fraction(middle)) != down;
      (up ? high : low) = up ? middle : middle + 1;
    }
    ASSERT_EQ(0x10000 - low, std::floor(place.fraction * 0x1p16 + 0.5)) << inputs::f32(u);
    ++counted;
  }
  EXPECT_GT(counted, 100);
}

TEST_P(Stochastic, RepresentableValuesStay) {
  inputs::Random random(32);
  for (uint32_t code = 0; code < grid.codes(); ++code) {
    const double v = grid.decode(code);
    if (!std::isfinite(v)) continue;
    for (int i = 0; i < 100; ++i)
      ASSERT_EQ(num.encode(inputs::bits_of((float)v), 0, MFQ_ROUND_STOCHASTIC, random.word()),
                grid.encode(v, MFQ_ROUND_EVEN, true));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Stochastic, testing::ValuesIn(oracle::named_formats()),
                         [](const auto &row) { return row.param.name; });

/* The mean of n words' results is within 6 standard deviations of the value. The words are fixed: it passes always or
 * never. */
TEST(StochasticStream, MeanIsTheValue) {
  const int n = 1 << 18;
  const NumFormat num(oracle::named("e2m1"), true);
  for (float x : {0.1f, -0.3f, 1.3f, 2.2f, -3.7f, 5.9f}) {
    const oracle::Grid grid(oracle::named("e2m1"));
    const oracle::Place place = grid.place(x);
    const double step = grid.magnitude(place.lower + 1) - grid.magnitude(place.lower);
    double sum = 0;
    for (int i = 0; i < n; ++i) {
      const uint32_t word = mfqn_random(77, 5, (uint64_t)i);
      sum += grid.decode(num.encode(inputs::bits_of(x), 0, MFQ_ROUND_STOCHASTIC, word));
    }
    const double deviation = step * std::sqrt(place.fraction * (1 - place.fraction) / n);
    EXPECT_NEAR(sum / n, x, 6 * deviation) << x;
  }
}

/* Chi-square with 255 degrees of freedom: mean 255, deviation 22.6; 6 deviations. */
TEST(StochasticStream, BytesAreUniform) {
  const int n = 1 << 18;
  for (int shift = 16; shift < 32; shift += 8) {
    std::vector<int> count(256);
    for (int i = 0; i < n; ++i) ++count[(mfqn_random(1, 2, (uint64_t)i) >> shift) & 255];
    double chi2 = 0;
    for (int c : count) chi2 += (c - n / 256.0) * (c - n / 256.0) / (n / 256.0);
    EXPECT_NEAR(chi2, 255, 6 * 22.6) << shift;
  }
}

} // namespace
