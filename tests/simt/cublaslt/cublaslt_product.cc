/* The product itself: every element decoded to double, scales included, summed in double. Nothing here comes from
 * include/mfq/num, which it would otherwise only confirm. */
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "cublaslt_state.h"
#include "simt/toolkit/cuda_runtime.h"

namespace simt {

namespace {

const site here = site::current();

uint32_t read_bits(const void *base, int64_t byte, int bytes) {
  uint32_t bits = 0;
  global_read(static_cast<const uint8_t *>(base) + byte, &bits, (size_t)bytes, here);
  return bits;
}

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* A float of 1 sign, `exponent` and `mantissa` bits; all ones of the exponent are numbers but for `has_inf`. */
double decode(uint32_t code, int exponent, int mantissa, bool has_inf) {
  const int bias = (1 << (exponent - 1)) - 1, top = (1 << exponent) - 1;
  const int e = (int)(code >> mantissa) & top;
  const uint32_t m = code & ((1u << mantissa) - 1);
  const double sign = code >> (exponent + mantissa) & 1 ? -1.0 : 1.0;
  if (has_inf && e == top) return m != 0 ? NAN : sign * INFINITY;
  if (e == 0) return sign * std::ldexp(m, 1 - bias - mantissa);
  return sign * std::ldexp(m + (1 << mantissa), e - bias - mantissa);
}

/* The 8-bit float with 3 bits of mantissa has one NaN of each sign. */
double decode43(uint32_t code) { return (code & 0x7f) == 0x7f ? NAN : decode(code, 4, 3, false); }

double read_element(const void *base, int64_t index, int type) {
  switch (type) {
    case LT_F32: return float_of(read_bits(base, index * 4, 4));
    case LT_BF16: return float_of(read_bits(base, index * 2, 2) << 16);
    case LT_F16: return decode(read_bits(base, index * 2, 2), 5, 10, true);
    case LT_FP8_43: return decode43(read_bits(base, index, 1));
    case LT_FP8_52: return decode(read_bits(base, index, 1), 5, 2, true);
    default: return decode(read_bits(base, index / 2, 1) >> (index % 2 * 4) & 15, 2, 1, false);
  }
}

/* Rounds to the nearest, ties to even, of a type of 16 bits. */
uint32_t round16(float value, int exponent, int mantissa) {
  const uint32_t sign = bits_of(value) >> 31 << 15;
  const double magnitude = std::fabs((double)value);
  const int bias = (1 << (exponent - 1)) - 1;
  const uint32_t infinity = (uint32_t)((1 << exponent) - 1) << mantissa;
  if (std::isnan(value)) return sign | infinity | 1u << (mantissa - 1);
  if (std::isinf(value)) return sign | infinity;
  if (magnitude == 0) return sign;
  const int e = std::max(std::ilogb(magnitude), 1 - bias);
  const auto steps = (uint32_t)std::nearbyint(std::ldexp(magnitude, mantissa - e)); /* the mode is to even */
  const uint32_t code = steps + ((uint32_t)(e + bias - 1) << mantissa);
  return sign | std::min(code, infinity);
}

void write_element(void *base, int64_t index, int type, float value) {
  auto *bytes = static_cast<uint8_t *>(base);
  uint32_t bits = bits_of(value);
  if (type == LT_BF16) bits = round16(value, 8, 7);
  if (type == LT_F16) bits = round16(value, 5, 10);
  const int size = lt_type_bits(type) / 8;
  global_write(bytes + index * size, &bits, (size_t)size, here);
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

int64_t blocks_of(int64_t size, int64_t block) { return (size + block - 1) / block; }

/* Byte of a scale in tiles of 128 rows x 4 scales. */
int64_t tiled(int64_t row, int64_t group, int64_t groups) {
  const int64_t tile = row / 128 * blocks_of(groups, 4) + group / 4;
  return tile * 512 + row % 32 * 16 + row % 128 / 32 * 4 + group % 4;
}

/* One factor as doubles, row by row of `rows` x `k`, with its scales multiplied in. */
std::vector<double> read_factor(const lt_layout_state &x, const void *base, int64_t start, bool is_depth_first,
                                int64_t rows, int64_t k) {
  std::vector<double> values((size_t)(rows * k));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t d = 0; d < k; ++d) {
      const int64_t index = start + (is_depth_first ? r * x.ld + d : d * x.ld + r);
      values[(size_t)(r * k + d)] = read_element(base, index, x.type);
    }
  return values;
}

double read_scale(int mode, const void *scales, int64_t row, int64_t depth, int64_t rows, int64_t k) {
  switch (mode) {
    case LT_SCALE_TENSOR: return scales == nullptr ? 1.0 : float_of(read_bits(scales, 0, 4));
    case LT_SCALE_OUTER_F32: return float_of(read_bits(scales, row * 4, 4));
    case LT_SCALE_VEC128_F32: return float_of(read_bits(scales, (depth / 128 * rows + row) * 4, 4));
    case LT_SCALE_BLOCK128_F32: {
      const int64_t stride = blocks_of(blocks_of(k, 128), 4) * 4;
      return float_of(read_bits(scales, (row / 128 * stride + depth / 128) * 4, 4));
    }
    case LT_SCALE_VEC16_UE4M3:
      return std::fabs(decode43(read_bits(scales, tiled(row, depth / 16, blocks_of(k, 16)), 1)));
    default: {
      const uint32_t code = read_bits(scales, tiled(row, depth / 32, blocks_of(k, 32)), 1);
      return code == 255 ? NAN : std::ldexp(1.0, (int)code - 127);
    }
  }
}

void scale_factor(std::vector<double> *values, int mode, const void *scales, int64_t rows, int64_t k) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t d = 0; d < k; ++d) (*values)[(size_t)(r * k + d)] *= read_scale(mode, scales, r, d, rows, k);
}

/* What a real library leaves in memory that it was lent. */
void spoil(void *workspace, size_t bytes) {
  const uint32_t garbage = 0x7fc5a5a5u;
  for (size_t i = 0; i + 4 <= bytes; i += 4) global_write(static_cast<uint8_t *>(workspace) + i, &garbage, 4, here);
}

void run_batch(const lt_job &j, const lt_memory &at, int64_t batch) {
  const auto a = [&] {
    auto values = read_factor(j.a, at.a, batch * j.a.batch_stride, j.desc.transa == LT_OP_T, j.m, j.k);
    scale_factor(&values, j.desc.a_mode, j.desc.a_scale, j.m, j.k);
    return values;
  }();
  const auto b = [&] {
    auto values = read_factor(j.b, at.b, batch * j.b.batch_stride, j.desc.transb == LT_OP_N, j.n, j.k);
    scale_factor(&values, j.desc.b_mode, j.desc.b_scale, j.n, j.k);
    return values;
  }();
  for (int64_t col = 0; col < j.n; ++col)
    for (int64_t row = 0; row < j.m; ++row) {
      double sum = 0;
      for (int64_t d = 0; d < j.k; ++d) sum += a[(size_t)(row * j.k + d)] * b[(size_t)(col * j.k + d)];
      float value = at.alpha * (float)sum;
      if (at.beta != 0)
        value += at.beta * (float)read_element(at.c, batch * j.c.batch_stride + col * j.c.ld + row, j.c.type);
      if (j.desc.epilogue == LT_EPILOGUE_BIAS) value += (float)read_element(j.desc.bias, row, j.desc.bias_type);
      write_element(at.d, batch * j.d.batch_stride + col * j.d.ld + row, j.d.type, value);
    }
}

} // namespace

void run_lt_job(const lt_job &job, const lt_memory &memory) {
  spoil(memory.workspace, memory.workspace_bytes);
  for (int64_t batch = 0; batch < job.d.batches; ++batch) run_batch(job, memory, batch);
}

} // namespace simt
