// Fake quantization by vector loops is that of the reference, bit for bit, where quotients by float scales are ties of the
// format or next to one, under scales of any significand, from the least to the largest.
#include <cmath>

#include "support/machine.h"
#include "support/operand.h"

namespace {

using namespace mfq_test;

constexpr int64_t kRows = 24, kCols = 480, kLeaders = 8; /* a group has at least that many elements */

struct Case {
  const char *scheme;
  double largest, step; /* of the format's top binade */
};

const Case kCases[] = {
    {"int8n/group:32/f32", 127, 1},
    {"int4n/group:16/bf16", 7, 1},
    {"uint8/group:32/f32/zp", 255, 1},
    {"uint4/group:24/f16/zp", 15, 1},
    {"e4m3fn/group:120/f32", 448, 32},
    {"e2m1/group:16/ue4m3", 6, 2},
    {"e5m2/channel@0/f32", 57344, 8192},
    {"e4m3fnuz/group:8/f32", 240, 16},
    {"int8/channel@1/f32", 127, 1},
    {"e3m2/group:8@0/bf16", 28, 4},
    {"int8nf6/tensor/f32", 127 / 64.0, 1 / 64.0},
    {"int5/group:16/ue4m3", 15, 1},
    {"e2m3/group:32/f32/arith:brevitas", 7.5, 0.5},
    {"uint8/group:16/f32/zp/arith:brevitas", 255, 1},
};

class FakeTies : public testing::TestWithParam<std::string> {
protected:
  const Context fast = make_context(GetParam().c_str(), 2), reference = make_context("reference", 1);
  std::mt19937 generator{7};

  uint32_t draw(uint32_t n) { return (uint32_t)(generator() % n); }

  /* Multiples of half a step of any binade, some float32 steps beside them. */
  std::vector<float> elements(const Case &c, int exponent) {
    const Shape shape = {kRows, kCols};
    std::vector<float> x((size_t)(kRows * kCols), 0.0f);
    const double significand = 1 + draw(8388608) / 8388608.0;
    for (size_t i = 0; i < x.size(); i += kLeaders)
      x[i] = (float)std::ldexp(c.largest * significand * (i % 3 ? 1 : 0.75), exponent);
    Quantized q(parse(c.scheme), shape);
    quantize(reference.get(), x, &q);
    const std::vector<float> scales = expanded_scales(reference.get(), q, shape);
    for (size_t i = 0; i < x.size(); ++i) {
      if (i % kLeaders == 0 || draw(20) == 0) continue;
      const double half = std::ldexp(c.step / 2, -(int)draw(5)), most = c.largest / half + 2;
      double t = std::fmod(draw(100000), most) * half;
      if (draw(2)) t = -t;
      x[i] = (float)(t * (double)scales[i]);
      for (uint32_t k = draw(4); k > 0; --k) x[i] = std::nextafter(x[i], draw(2) ? 1e38f : -1e38f);
    }
    return x;
  }

  void check(const mfq_scheme &scheme, Operand &x, mfq_dtype to) {
    Operand want(to, x.shape), got(to, x.shape);
    const mfq_tensor src = x.here(), reference_dst = want.here(), dst = got.here();
    ASSERT_EQ(mfq_fake_quantize(reference.get(), &scheme, &src, &reference_dst, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_fake_quantize(fast.get(), &scheme, &src, &dst, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(got.bytes, want.bytes) << "from " << mfq_dtype_name(x.dtype) << " to " << mfq_dtype_name(to);
  }
};

TEST_P(FakeTies, OfScalesOfAnySignificand) {
  for (const Case &c : kCases)
    for (const int exponent : {-140, -120, -99, -97, -80, -20, -3, -2, -1, 0, 1, 60, 95, 105, 110}) {
      SCOPED_TRACE(std::string(c.scheme) + " times 2^" + std::to_string(exponent));
      const std::vector<float> values = elements(c, exponent);
      Operand x(MFQ_DTYPE_F32, {kRows, kCols}), half(MFQ_DTYPE_BF16, {kRows, kCols});
      x.fill([&](size_t i) { return float_bits(values[i]); });
      half.fill([&](size_t i) { return bits_in(MFQ_DTYPE_BF16, values[i]); });
      check(parse(c.scheme), x, MFQ_DTYPE_F32);
      check(parse(c.scheme), half, MFQ_DTYPE_BF16);
      check(parse(c.scheme), exponent % 2 ? x : half, kDtypes[(exponent + 140) % 3]);
      if (HasFatalFailure()) return;
    }
}

INSTANTIATE_TEST_SUITE_P(Isa, FakeTies, testing::ValuesIn(fast_isas()), [](const auto &row) { return row.param; });

} // namespace
