/* float16 and bfloat16 to float32 and back: they are minifloats of 16 bits, so the oracle lists them too. */
#include <gtest/gtest.h>

#include <mfq/num/bits.h>

#include "support/f32_inputs.h"
#include "support/half.h"
#include "support/oracle.h"

namespace {

const oracle::Grid &f16() {
  static const oracle::Grid grid(oracle::minifloat(1, 5, 10, 15, MFQ_SPECIALS_IEEE));
  return grid;
}

const oracle::Grid &bf16() {
  static const oracle::Grid grid(oracle::minifloat(1, 8, 7, 127, MFQ_SPECIALS_IEEE));
  return grid;
}

void check_widen(const oracle::Grid &grid, uint32_t (*widen)(uint32_t)) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const double want = grid.decode(h);
    const uint32_t got = widen(h);
    ASSERT_EQ(got >> 31, h >> 15) << h;
    ASSERT_TRUE(inputs::same(got, inputs::bits_of((float)want))) << h << " gives " << inputs::f32(got);
  }
}

std::vector<uint32_t> narrowing_inputs(const oracle::Grid &grid) {
  std::vector<uint32_t> all = inputs::boundaries(grid, 0);
  const std::vector<uint32_t> more = inputs::structured(), random = inputs::random(11, 1000000);
  all.insert(all.end(), more.begin(), more.end());
  all.insert(all.end(), random.begin(), random.end());
  return all;
}

void check_narrow(const oracle::Grid &grid, uint32_t (*narrow)(uint32_t), uint32_t nan) {
  for (uint32_t u : narrowing_inputs(grid)) {
    const uint32_t want = inputs::is_nan(u) ? nan : grid.encode(inputs::f32(u), MFQ_ROUND_EVEN, false);
    ASSERT_EQ(narrow(u), want) << inputs::f32(u);
  }
}

uint32_t widen_f16(uint32_t h) { return mfqn_f32_from_f16(h); }
uint32_t widen_bf16(uint32_t h) { return mfqn_f32_from_bf16(h); }
uint32_t narrow_f16(uint32_t u) { return mfqn_f16_from_f32(u); }
uint32_t narrow_bf16(uint32_t u) { return mfqn_bf16_from_f32(u); }

TEST(Half, EveryFloat16Widens) { check_widen(f16(), widen_f16); }
TEST(Half, EveryBfloat16Widens) { check_widen(bf16(), widen_bf16); }
TEST(Half, Float16Narrows) { check_narrow(f16(), narrow_f16, 0x7e00); }
TEST(Half, Bfloat16Narrows) { check_narrow(bf16(), narrow_bf16, 0x7fc0); }

/* Values: finite ones saturate, infinities stay. */
TEST(Half, LimitedNarrowingKeepsFiniteNumbersFinite) {
  for (const oracle::Grid *grid : {&f16(), &bf16()})
    for (uint32_t u : narrowing_inputs(*grid)) {
      const bool is_f16 = grid == &f16();
      const uint32_t nan = is_f16 ? 0x7e00 : 0x7fc0;
      const uint32_t want =
          inputs::is_nan(u) ? nan : grid->encode(inputs::f32(u), MFQ_ROUND_EVEN, std::isfinite(inputs::f32(u)));
      ASSERT_EQ(is_f16 ? mfqn_f16_limited(u) : mfqn_bf16_limited(u), want) << inputs::f32(u);
    }
}

TEST(Half, NarrowingUndoesWidening) {
  for (uint32_t h = 0; h < 65536; ++h) {
    ASSERT_TRUE(inputs::is_nan(widen_f16(h)) || narrow_f16(widen_f16(h)) == h) << h;
    ASSERT_TRUE(inputs::is_nan(widen_bf16(h)) || narrow_bf16(widen_bf16(h)) == h) << h;
  }
}

/* The compiler's own type, or the arithmetic that stands in for it. */
TEST(Half, CompilerAgrees) {
  for (uint32_t u : narrowing_inputs(f16())) {
    if (inputs::is_nan(u)) continue;
    const uint16_t h = mfq_test::half_bits(inputs::f32(u));
    ASSERT_EQ(narrow_f16(u), h) << inputs::f32(u);
    ASSERT_EQ(widen_f16(h), inputs::bits_of(mfq_test::half_value(h)));
  }
}

} // namespace
