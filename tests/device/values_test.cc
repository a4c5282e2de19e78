// Every bf16 and f16 input and structured f32 inputs, for every element format: scales at both ends of their range,
// every rule and rounding.
#include "support/device.h"
#include "support/f32_inputs.h"

namespace {

using namespace mfq_test;

class Values : public OnDevice {};

const char *const rules[] = {"", ":ceil", ":rceil", ":even"};
const char *const roundings[] = {"",           "/round:away", "/round:zero", "/round:floor", "/round:ceil",
                                 "/round:dpu", "/nosat"};

/* All 2^16 inputs; neighbours in value lie `step` places apart, so that groups are of one binade or of all. */
Operand all_halves(mfq_dtype dtype, const Shape &shape, uint32_t step) {
  Operand x(dtype, shape);
  return x.fill([&](size_t i) { return (uint32_t)i * step & 0xffff; });
}

/* Groups of 32 whose first element is `pin` and the others all inputs in turn: `pin` sets the scale of the small. */
Operand pinned_halves(mfq_dtype dtype, uint32_t pin) {
  Operand x(dtype, {2115, 32});
  return x.fill([&](size_t i) { return i % 32 == 0 ? pin : (uint32_t)(i / 32 * 31 + i % 32 - 1) & 0xffff; });
}

TEST_F(Values, EveryHalfUnscaled) {
  const std::vector<std::string> formats = format_names();
  for (size_t f = 0; f < formats.size(); ++f)
    for (const mfq_dtype dtype : {MFQ_DTYPE_BF16, MFQ_DTYPE_F16}) {
      Operand x = all_halves(dtype, {64, 1024}, 1);
      ASSERT_TRUE(same_quantize(x, {formats[f]}));
      ASSERT_TRUE(same_quantize(x, {formats[f] + roundings[1 + (f + dtype) % 6]}));
    }
}

/* Given scales: each input meets several scale codes, the smallest, the largest and NaN among them. */
TEST_F(Values, EveryHalfWithGivenPowersOfTwo) {
  const std::vector<std::string> formats = format_names();
  for (size_t f = 0; f < formats.size(); ++f)
    for (const mfq_dtype dtype : {MFQ_DTYPE_BF16, MFQ_DTYPE_F16}) {
      Operand x = all_halves(dtype, {2048, 32}, 1);
      QuantizeCall call(formats[f] + "/group:32/ue8m0:given" + roundings[(f + dtype) % 7]);
      call.given_seed = (uint32_t)f;
      ASSERT_TRUE(same_quantize(x, call));
    }
}

/* Without codes: the values themselves. */
TEST_F(Values, EveryHalfWithoutCodes) {
  const std::vector<std::string> formats = format_names();
  for (size_t f = 0; f < formats.size(); ++f)
    for (const mfq_dtype dtype : {MFQ_DTYPE_BF16, MFQ_DTYPE_F16}) {
      const char *const ends[] = {"", "/group:32/ue8m0", "/group:32/f32", "/group:32/ue8m0/round:stochastic"};
      Operand mixed = all_halves(dtype, {2048, 32}, 40503), near = all_halves(dtype, {2048, 32}, 1);
      const Operand same(dtype, near.shape), wide(MFQ_DTYPE_F32, near.shape);
      ASSERT_TRUE(same_fake(formats[f] + ends[0], near, same, false));
      ASSERT_TRUE(same_fake(formats[f] + ends[1], f % 2 == 0 ? mixed : near, same, true));
      ASSERT_TRUE(same_fake(formats[f] + ends[1 + (f + dtype) % 3], f % 2 == 0 ? near : mixed, wide, false));
    }
}

TEST_F(Values, EveryHalfInMeasuredGroups) {
  const std::vector<std::string> formats = format_names();
  const uint32_t bf16_pins[] = {0x3f80, 0x0001, 0x0080, 0x4000, 0x7f7f, 0x0440, 0xbfb0, 0x0000};
  const uint32_t f16_pins[] = {0x3c00, 0x0001, 0x0400, 0x4000, 0x7bff, 0x0600, 0xbf00, 0x0000};
  for (size_t f = 0; f < formats.size(); ++f)
    for (const mfq_dtype dtype : {MFQ_DTYPE_BF16, MFQ_DTYPE_F16}) {
      const uint32_t *pins = dtype == MFQ_DTYPE_BF16 ? bf16_pins : f16_pins;
      const std::string start = formats[f] + "/group:32/ue8m0";
      Operand mixed = all_halves(dtype, {2048, 32}, 40503), near = all_halves(dtype, {2048, 32}, 1);
      ASSERT_TRUE(same_quantize(mixed, {start}));
      ASSERT_TRUE(same_quantize(near, {start + rules[f % 4] + roundings[f % 7]}));
      for (size_t k = 0; k < 6; ++k) {
        Operand x = pinned_halves(dtype, pins[(f + 3 * k + dtype) % 8]);
        ASSERT_TRUE(same_quantize(x, {start + rules[(f + k) % 4] + roundings[(f / 4 + k) % 7]}));
      }
    }
}

/* The formats of MX: every rule with every rounding, and groups along columns too. */
TEST_F(Values, EveryRuleAndRounding) {
  uint32_t turn = 0;
  for (const char *format : {"e4m3fn", "e5m2", "e3m2", "e2m3", "e2m1", "mxint8"})
    for (const char *rule : rules)
      for (const char *rounding : roundings) {
        Operand x(kDtypes[turn % 3], {96, 64});
        x.fill_awkward(turn++);
        ASSERT_TRUE(same_quantize(x, {std::string(format) + "/group:32/ue8m0" + rule + rounding}));
        ASSERT_TRUE(same_quantize(x, {std::string(format) + "/group:32@0/ue8m0" + rule + rounding}));
      }
}

TEST_F(Values, FloatScalesOfEveryHalf) {
  for (const char *scheme : {"e4m3fn/group:32/f32", "e2m1/group:16/ue4m3", "int8n/group:32/bf16", "e5m2/group:32/f16",
                             "uint8/group:64/f32/zp", "int8/channel@0/f32/zp", "uint8/channel@0/f32/zp/arith:brevitas",
                             "uint8/group:64/f32/zp/round:floor", "int4n/group:32/f32", "e4m3fn/group:32/f32:floor"})
    for (const mfq_dtype dtype : {MFQ_DTYPE_BF16, MFQ_DTYPE_F16})
      for (const uint32_t step : {1u, 40503u}) {
        Operand x = all_halves(dtype, {512, 128}, step);
        ASSERT_TRUE(same_quantize(x, {scheme}));
      }
}

TEST_F(Values, StructuredFloats) {
  const std::vector<uint32_t> inputs = inputs::structured();
  const std::vector<std::string> formats = format_names();
  const int64_t rows = (int64_t)inputs.size() / 32;
  Operand x(MFQ_DTYPE_F32, {rows, 32});
  for (size_t f = 0; f < formats.size(); ++f) {
    const uint32_t step = f % 2 == 0 ? 1 : 40503;
    x.fill([&](size_t i) { return inputs[i * step % inputs.size()]; });
    ASSERT_TRUE(same_quantize(x, {formats[f] + roundings[f % 7]}));
    ASSERT_TRUE(same_quantize(x, {formats[f] + "/group:32/ue8m0" + rules[f % 4] + roundings[(f + 2) % 7]}));
    QuantizeCall given(formats[f] + "/group:32/ue8m0:given");
    given.given_seed = 77 + (uint32_t)f;
    ASSERT_TRUE(same_quantize(x, given));
    ASSERT_TRUE(same_fake(formats[f] + "/group:32/ue8m0", x, Operand(kDtypes[f % 3], x.shape), true));
    ASSERT_TRUE(same_fake(formats[f] + "/group:32/f32", x, Operand(MFQ_DTYPE_F32, x.shape), false));
  }
}

/* Around every value of a format and every middle between two, at scales where subnormals and overflow begin. */
TEST_F(Values, BoundariesOfFormats) {
  for (const oracle::NamedFormat &row : oracle::named_formats())
    for (const int exp2 : {0, -119, -127, 100}) {
      std::vector<uint32_t> bits = inputs::boundaries(oracle::Grid(row.format), exp2);
      bits.resize(bits.size() / 32 * 32 + 32, inputs::bits_of(std::ldexp(1.0f, exp2)));
      Operand x(MFQ_DTYPE_F32, {(int64_t)bits.size() / 32, 32});
      x.fill([&](size_t i) { return bits[i]; });
      ASSERT_TRUE(same_quantize(x, {row.name + "/group:32/ue8m0"}));
      if (exp2 != 0) continue;
      ASSERT_TRUE(same_quantize(x, {row.name}));
      ASSERT_TRUE(same_quantize(x, {row.name + "/group:32/f32"}));
    }
}

} // namespace
