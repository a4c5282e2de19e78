/* tests/support/operand.h: strided tensors whose memory is a vector of bytes, to be placed anywhere. */
#ifndef MFQ_TESTS_SUPPORT_OPERAND_H
#define MFQ_TESTS_SUPPORT_OPERAND_H

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "half.h"
#include "plain_tensor.h"

namespace mfq_test {

constexpr mfq_dtype kDtypes[] = {MFQ_DTYPE_F32, MFQ_DTYPE_BF16, MFQ_DTYPE_F16};

/* A float's bits in a dtype: bf16 by truncation, NaN staying NaN. */
inline uint32_t bits_in(mfq_dtype dtype, float x) {
  const uint32_t u = float_bits(x);
  if (dtype == MFQ_DTYPE_F32) return u;
  if (dtype == MFQ_DTYPE_BF16) return u >> 16;
  return half_bits(x);
}

/* The value of the bits at an address. */
inline double value_in(mfq_dtype dtype, const uint8_t *at) {
  uint32_t u = 0;
  std::memcpy(&u, at, mfq_dtype_bytes(dtype));
  if (dtype == MFQ_DTYPE_F16) return half_value((uint16_t)u);
  if (dtype == MFQ_DTYPE_BF16) u <<= 16;
  float f;
  std::memcpy(&f, &u, sizeof f);
  return f;
}

/* A strided tensor on the host. The span of its elements is `bytes`, without a byte more. */
struct Operand {
  mfq_dtype dtype;
  Shape shape, strides;
  std::vector<uint8_t> bytes;
  size_t origin = 0; /* byte of the element with all indices 0 */

  Operand(mfq_dtype d, const Shape &sizes, const Shape &steps) : dtype(d), shape(sizes), strides(steps) {
    int64_t low = 0, high = 0;
    bool empty = false;
    for (size_t i = 0; i < shape.size(); ++i) {
      empty |= shape[i] == 0;
      if (shape[i] > 1) (strides[i] < 0 ? low : high) += (shape[i] - 1) * strides[i];
    }
    bytes.assign(empty ? 0 : (size_t)(high - low + 1) * mfq_dtype_bytes(d), kPoison);
    origin = empty ? 0 : (size_t)-low * mfq_dtype_bytes(d);
  }
  Operand(mfq_dtype d, const Shape &sizes) : Operand(d, sizes, dense_strides(sizes)) {}

  size_t count() const { return bytes.size() / mfq_dtype_bytes(dtype); }
  /* The tensor over a copy of `bytes` at `base`. */
  mfq_tensor at(void *base) const { return strided(static_cast<uint8_t *>(base) + origin, dtype, shape, strides); }
  mfq_tensor here() { return at(bytes.data()); }

  /* Where in `bytes`, in elements, the element with this row-major index is. */
  size_t place(size_t index) const {
    int64_t at = (int64_t)(origin / mfq_dtype_bytes(dtype));
    for (size_t d = shape.size(); d-- > 0; index /= (size_t)shape[d])
      at += (int64_t)(index % (size_t)shape[d]) * strides[d];
    return (size_t)at;
  }
  void put(size_t index, uint32_t bits) {
    const size_t size = mfq_dtype_bytes(dtype);
    std::memcpy(&bytes[index * size], &bits, size);
  }
  /* Element `index` of the memory is bits(index). */
  template <typename Bits> Operand &fill(Bits bits) {
    for (size_t i = 0; i < count(); ++i) put(i, (uint32_t)bits(i));
    return *this;
  }
  Operand &fill_awkward(uint32_t seed, bool finite = false) {
    const std::vector<float> x = awkward_values(count(), seed, finite);
    return fill([&](size_t i) { return bits_in(dtype, x[i]); });
  }
};

/* Scales, zero points and tensor scale for rule given, or bytes of any kind for what only reads them. */
inline void give_scales(Quantized *t, uint32_t seed) {
  std::mt19937 generator(seed);
  const mfq_scale_format format = t->q.scheme.scale;
  const size_t size = t->sizes.scales_bytes;
  for (size_t i = 0; i < size; ++i)
    t->scales[i] = (uint8_t)(generator() & (format == MFQ_SCALE_UE4M3       ? 0x7f
                                            : format == MFQ_SCALE_MINIFLOAT ? 0x3f
                                                                            : 0xff));
  for (size_t i = 0; format == MFQ_SCALE_F32 && i < size / 4; ++i) {
    static const float rare[] = {0.0f, -0.0f, -1.5f, 1e-40f, 3e38f, HUGE_VALF, -HUGE_VALF, NAN};
    const float usual = std::ldexp(1.0f + (float)(generator() % 1024) / 1024, (int)(generator() % 16) - 12);
    const float x = generator() % 16 == 0 ? rare[generator() % 8] : usual;
    std::memcpy(&t->scales[i * 4], &x, 4);
  }
  const mfq_format &e = t->q.scheme.element;
  for (size_t i = 0; i < t->sizes.zero_points_bytes; ++i)
    t->zero_points[i] = (uint8_t)(generator() & ((1u << (e.is_signed + e.exp_bits + e.man_bits)) - 1));
  for (size_t i = 0; t->q.scheme.zero_point == 2 && i < t->sizes.zero_points_bytes / 4; ++i) {
    const float z = (float)(generator() % 4096) / 256;
    std::memcpy(&t->zero_points[i * 4], &z, 4);
  }
  if (t->sizes.tensor_scale_bytes != 0) t->tensor_scale = 0.0123f;
}

/* Any bytes as codes: every code occurs, next to scales of every kind. */
inline void give_everything(Quantized *t, uint32_t seed) {
  std::mt19937 generator(seed + 1);
  for (size_t i = 0; i < t->sizes.codes_bytes; ++i) t->codes[i] = (uint8_t)generator();
  give_scales(t, seed);
}

inline std::string text_of(const Shape &shape) { return testing::PrintToString(shape); }

/* The names of the tables, but for schemes that draw random numbers, which have tests of their own. */
inline std::vector<std::string> scheme_names() {
  std::vector<std::string> names;
  for (int32_t i = 0; mfq_scheme_name(i, nullptr) != nullptr; ++i) {
    mfq_scheme s;
    EXPECT_EQ(mfq_scheme_parse(mfq_scheme_name(i, nullptr), &s), MFQ_OK);
    if (s.eden == 0 && s.rounding != MFQ_ROUND_STOCHASTIC) names.push_back(mfq_scheme_name(i, nullptr));
  }
  return names;
}
inline std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (int32_t i = 0; mfq_format_name(i, nullptr) != nullptr; ++i) names.push_back(mfq_format_name(i, nullptr));
  return names;
}

/* Whether the scheme fits a shape's axes. */
inline bool has_axes(const mfq_scheme &scheme, const Shape &shape) {
  const int rank = (int)shape.size();
  if (scheme.granularity == MFQ_GRANULARITY_BLOCK) return rank >= 2;
  if (scheme.granularity == MFQ_GRANULARITY_TENSOR || scheme.axis == MFQ_AXIS_AUTO) return true;
  return scheme.axis < rank && scheme.axis >= -rank;
}

} // namespace mfq_test

#endif
