/* bench/probe/lt_operand.cuh: random operands and scales of a product by cuBLASLt, on the device, and as numbers on the
 * host. */
#ifndef MFQ_BENCH_PROBE_LT_OPERAND_CUH
#define MFQ_BENCH_PROBE_LT_OPERAND_CUH

#include "lt_library.h"
#include "probe_device.cuh"

enum { FILL_THREADS = 256 };

struct fill_params {
  uint8_t *to;
  uint32_t seed, words; /* of 32 bits */
  int32_t bytes;        /* of an element */
};

__global__ void __launch_bounds__(FILL_THREADS) fill_kernel(const __grid_constant__ fill_params p) {
  const uint32_t word = blockIdx.x * FILL_THREADS + threadIdx.x, each = 4 / (uint32_t)p.bytes;
  if (word >= p.words) return;
  uint32_t bits = 0;
  for (uint32_t i = 0; i < each; ++i)
    bits |= probe_element(p.bytes, p.seed, word * each + i) << i * 8 * (uint32_t)p.bytes;
  ptx_store<uint32_t>(p.to + (size_t)word * 4, bits);
}

/* One order that scales of an operand may have: item (row / rows of a scale) * row_step + (k / 128) * block_step. */
struct lt_order {
  const char *name;
  int64_t row_step, block_step;
};

class lt_operand {
public:
  lt_operand(const lt_case &c, bool is_a)
      : bytes_(c.type == LT_BF16 ? 2 : 1), mode_(is_a ? c.a_mode : c.b_mode), seed_(is_a ? 1 : 2),
        rows_(is_a ? c.m : c.n), k_(c.k), codes_(words() * 4), has_scales_(c.type != LT_BF16), scales_(scale_bytes()) {
    const uint32_t count = (uint32_t)words();
    probe_launch({(count + FILL_THREADS - 1) / FILL_THREADS, FILL_THREADS}, fill_kernel,
                 {codes_.data(), seed_, count, bytes_});
  }

  const void *codes() const { return codes_.data(); }
  const void *scales() const { return has_scales_ ? scales_.data() : nullptr; }

  /* Orders that its scales may have, first the one that this library takes for granted. */
  std::vector<lt_order> orders() const {
    const int64_t padded = (blocks() + 3) / 4 * 4;
    if (!has_scales_) return {{"none", 0, 0}};
    if (mode_ == LT_SCALE_VEC128_F32)
      return {{"rows beside each other", 1, rows_}, {"K beside each other", blocks(), 1}};
    if (mode_ == LT_SCALE_BLOCK128_F32)
      return {{"K beside each other, in fours", padded, 1},
              {"rows beside each other", 1, scale_rows()},
              {"K beside each other", blocks(), 1}};
    return {{"the only one", 1, 0}};
  }

  void put_scales(const lt_order &order) {
    if (!has_scales_) return;
    std::vector<float> items(scale_bytes() / sizeof(float), 1.0f);
    for (int64_t row = 0; row < scale_rows(); ++row)
      for (int64_t block = 0; block < blocks(); ++block)
        items[(size_t)(row * order.row_step + block * order.block_step)] = scale(row, block);
    probe_need(cudaMemcpy(scales_.data(), items.data(), scale_bytes(), cudaMemcpyHostToDevice), "cudaMemcpy of scales");
  }

  double value(int64_t row, int64_t k) const {
    const double plain = probe_value(bytes_, probe_element(bytes_, seed_, (uint32_t)(row * k_ + k)));
    return has_scales_ ? plain * (double)scale(row / rows_of_scale(), is_blocked() ? k / 128 : 0) : plain;
  }

private:
  bool is_blocked() const { return mode_ == LT_SCALE_VEC128_F32 || mode_ == LT_SCALE_BLOCK128_F32; }
  int64_t blocks() const { return is_blocked() ? (k_ + 127) / 128 : 1; }
  int64_t rows_of_scale() const { return mode_ == LT_SCALE_TENSOR ? rows_ : mode_ == LT_SCALE_BLOCK128_F32 ? 128 : 1; }
  int64_t scale_rows() const { return (rows_ + rows_of_scale() - 1) / rows_of_scale(); }
  size_t words() const { return (size_t)((rows_ * k_ * bytes_ + 3) / 4); }
  size_t scale_bytes() const { return (size_t)(scale_rows() * ((blocks() + 3) / 4 * 4)) * sizeof(float); }
  /* 1/4 ... 4, so that scales in another order make other results. */
  float scale(int64_t row, int64_t block) const {
    const uint32_t random = probe_random(seed_ + 2, (uint32_t)(row * 65536 + block));
    return std::ldexp(1.0f, (int)(random % 5u) - 2);
  }

  int bytes_, mode_;
  uint32_t seed_;
  int64_t rows_, k_;
  probe_memory codes_;
  bool has_scales_;
  probe_memory scales_;
};

#endif
