/* tests/support/indexed.h: indices of rows, and what must come of rows that they name. */
#ifndef MFQ_TESTS_SUPPORT_INDEXED_H
#define MFQ_TESTS_SUPPORT_INDEXED_H

#include <cmath>
#include <limits>
#include <random>

#include "operand.h"

namespace mfq_test {

/* Indices in memory, without a byte more. */
struct IndexList {
  mfq_index_type type;
  std::vector<int64_t> values;
  std::vector<uint8_t> bytes;

  IndexList(mfq_index_type t, const std::vector<int64_t> &list) : type(t), values(list) {
    for (const int64_t value : list) {
      const auto narrow = (int32_t)value;
      const auto *first =
          t == MFQ_INDEX_I32 ? reinterpret_cast<const uint8_t *>(&narrow) : reinterpret_cast<const uint8_t *>(&value);
      bytes.insert(bytes.end(), first, first + (t == MFQ_INDEX_I32 ? 4 : 8));
    }
  }
  mfq_indices at(const void *memory) const { return {memory, type, (int64_t)values.size()}; }
  mfq_indices here() const { return at(bytes.data()); }
};

/* Some of `rows` rows, the first and the last among them, many of them again and again. */
inline std::vector<int64_t> drawn_indices(size_t count, int64_t rows, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<int64_t> list(rows > 0 ? count : 0);
  const int64_t few = std::min<int64_t>(rows, 3);
  for (size_t i = 0; i < list.size(); ++i)
    list[i] = i % 5 == 1 ? rows - 1 : i % 2 == 0 ? (int64_t)(generator() % few) : (int64_t)(generator() % rows);
  return list;
}

/* The number that an element stands for. */
inline double number_of(mfq_dtype dtype, const uint8_t *at) {
  uint32_t bits = 0;
  std::memcpy(&bits, at, mfq_dtype_bytes(dtype));
  if (dtype == MFQ_DTYPE_F16) return half_value((uint16_t)bits);
  if (dtype == MFQ_DTYPE_BF16) bits <<= 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline double number_at(const Operand &t, size_t index) {
  return number_of(t.dtype, &t.bytes[t.place(index) * mfq_dtype_bytes(t.dtype)]);
}

/* The bits of the nearest element, ties to even; one NaN. */
inline uint32_t nearest_bits(mfq_dtype dtype, float x) {
  if (std::isnan(x)) return dtype == MFQ_DTYPE_F32 ? 0x7fc00000u : dtype == MFQ_DTYPE_BF16 ? 0x7fc0u : 0x7e00u;
  if (dtype != MFQ_DTYPE_BF16 || std::isinf(x)) return bits_in(dtype, x);
  const uint32_t low = float_bits(x) >> 16, high = low + 1; /* toward zero, and away from it */
  const double down = x - number_of(dtype, reinterpret_cast<const uint8_t *>(&low));
  const bool is_largest = (high & 0x7fffu) == 0x7f80u;
  const double up = is_largest ? std::ldexp(std::signbit(x) ? -1.0 : 1.0, 128) - x
                               : number_of(dtype, reinterpret_cast<const uint8_t *>(&high)) - x;
  if (std::fabs(down) != std::fabs(up)) return std::fabs(down) < std::fabs(up) ? low : high;
  return low % 2 == 0 ? low : high;
}

/* Elements of which conversions differ: NaN of every kind, ties, what is too large for f16 or is subnormal. */
inline uint32_t awkward_bits(mfq_dtype dtype, size_t i) {
  static const uint32_t all[] = {0x7fc00000u, 0x7f800001u, 0xffc12345u, 0x7f800000u, 0xff800000u, 0x477ff000u,
                                 0x477fefffu, 0xc7800000u, 0x7f7fffffu, 0x7f7f8000u, 0x3f808000u, 0x3f818000u,
                                 0x80000000u, 0x00000001u, 0x33000000u, 0x33000001u};
  return dtype == MFQ_DTYPE_F32 ? all[i % 16] : all[i % 16] >> (i < 16 ? 16 : 13) & 0xffffu;
}

/* What mfq_gather writes from a plain table. */
inline void expect_gathered(const Operand &table, const IndexList &list, Operand *y) {
  const size_t cols = (size_t)table.shape[1];
  for (size_t i = 0; i < list.values.size(); ++i)
    for (size_t j = 0; j < cols; ++j) {
      const size_t from = table.place((size_t)list.values[i] * cols + j), size = mfq_dtype_bytes(table.dtype);
      uint32_t bits = 0;
      std::memcpy(&bits, &table.bytes[from * size], size);
      if (y->dtype != table.dtype)
        bits = nearest_bits(y->dtype, (float)number_of(table.dtype, &table.bytes[from * size]));
      y->put(y->place(i * cols + j), bits);
    }
}

/* What mfq_scatter_add makes of `dweight`. The sum of two float32 is as exact in double as it needs to be to round once. */
inline void expect_scattered(const Operand &dy, const IndexList &list, int64_t padding, bool accumulate,
                             Operand *dweight) {
  const auto rows = (size_t)dweight->shape[0], cols = (size_t)dweight->shape[1];
  std::vector<float> sums(rows * cols, 0.0f);
  std::vector<bool> is_written(rows, !accumulate);
  for (size_t k = 0; accumulate && k < sums.size(); ++k) sums[k] = (float)number_at(*dweight, k);
  for (size_t i = 0; i < list.values.size(); ++i) {
    if (list.values[i] == padding) continue;
    const auto row = (size_t)list.values[i];
    is_written[row] = true;
    for (size_t j = 0; j < cols; ++j)
      sums[row * cols + j] = (float)((double)sums[row * cols + j] + number_at(dy, i * cols + j));
  }
  for (size_t k = 0; k < sums.size(); ++k)
    if (is_written[k / cols]) dweight->put(dweight->place(k), nearest_bits(dweight->dtype, sums[k]));
}

inline mfq_status run_gather(mfq_context *context, const mfq_tensor *plain, const mfq_qtensor *quantized,
                             const mfq_indices &indices, const mfq_tensor &y) {
  mfq_gathering g;
  mfq_gathering_init(&g);
  g.plain = plain;
  g.quantized = quantized;
  g.indices = indices;
  g.y = &y;
  return mfq_gather(context, &g);
}

/* What a sum has beside its tensors. */
struct Scattering {
  int64_t padding = -1;
  bool accumulate = false;
};
inline mfq_status run_scatter(mfq_context *context, const mfq_tensor &dy, const mfq_indices &indices,
                              const mfq_tensor &dweight, const Scattering &how) {
  mfq_scattering s;
  mfq_scattering_init(&s);
  s.dy = &dy;
  s.indices = indices;
  s.dweight = &dweight;
  s.padding = how.padding;
  s.accumulate = how.accumulate ? 1 : 0;
  return mfq_scatter_add(context, &s);
}

/* A table and how many of its rows are asked for. */
struct TableShape {
  int64_t rows, cols;
  size_t count;
};
inline const std::vector<TableShape> &table_shapes() {
  static const std::vector<TableShape> all = {{1, 1, 1},  {1, 7, 5},   {5, 16, 0},  {0, 8, 0},     {3, 0, 4},
                                              {7, 33, 6}, {4, 64, 50}, {40, 17, 9}, {130, 70, 33}, {2, 1100, 3}};
  return all;
}

/* Strides of a matrix: dense; rows apart and backward; columns apart; columns before rows. */
inline Shape matrix_strides(const Shape &shape, uint32_t which) {
  switch (which % 4) {
    case 0: return dense_strides(shape);
    case 1: return {-(shape[1] + 3), 1};
    case 2: return {2 * shape[1] + 1, 2};
    default: return {1, std::max<int64_t>(shape[0], 1)};
  }
}

} // namespace mfq_test

#endif
