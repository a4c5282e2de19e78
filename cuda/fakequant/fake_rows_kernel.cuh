/* cuda/fakequant/fake_rows_kernel.cuh: fake-quantizes along the contiguous axis: quantize_rows_kernel with values in the
 * place of codes. Bytes moved per element: the element and the value. */
#ifndef MFQ_CUDA_FAKEQUANT_FAKE_ROWS_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_FAKE_ROWS_KERNEL_CUH

#include "cuda/quantize/rows_kernel.cuh"
#include "fake_target.cuh"

typedef struct fake_rows_params {
  rows_params rows;
  fake_target to;
  mask_target mask;
} fake_rows_params;

template <int BY_CODES> struct row_values {
  const fake_rows_params &p;
  __device__ __forceinline__ void put_scale(int64_t place, const mfqn_group &g) const {
    thread_put_scale(p.to, p.rows.to.how.scheme, place, g);
  }
  template <int DTYPE>
  __device__ __forceinline__ void put(const rows_place &at, const chunk<DTYPE> &x, const mfqn_group &g,
                                      uint32_t absmax) const {
    const int64_t col = at.step * CHUNK;
    const int dtype = p.to.how.dtype;
    const auto draw = [&] { return thread_draw(p.rows.key, at.row * p.rows.cols + col); };
    const values16 y = thread_fake<BY_CODES, 0>(p.rows.to.how, p.to.how, x, g, absmax, draw);
    uint8_t *to = p.to.data + at.outer * p.to.outer_bytes + at.middle * p.to.middle_bytes +
                  (dtype == ELEMENT_F32 ? 4 * col : 2 * col);
    thread_store_values(to, y, dtype, mfqn_min(at.left, CHUNK), p.to.vector_store);
  }
};

/* Of ranges that groups measure. */
template <int DTYPE>
__global__ void __launch_bounds__(ROWS_THREADS, FAKE_RANGED_ROWS_BLOCKS)
    fake_ranged_rows_kernel(const __grid_constant__ fake_rows_params p) {
  warp_cast_rows<DTYPE, 1>(p.rows, row_values<0>{p});
}

/* With the mask: of rows of whole bytes, two of them a thread. */
struct masked_row_values {
  const fake_rows_params &p;
  __device__ __forceinline__ void put_scale(int64_t place, const mfqn_group &g) const {
    thread_put_scale(p.to, p.rows.to.how.scheme, place, g);
  }
  template <int DTYPE>
  __device__ __forceinline__ void put(const rows_place &at, const chunk<DTYPE> &x, const mfqn_group &g,
                                      uint32_t absmax) const {
    const int count = mfqn_min(at.left, CHUNK);
    const uint32_t bits = thread_passes(p.rows.to.how.scheme, p.mask.how, g, x) & ((1u << count) - 1u);
    uint8_t *to = p.mask.bits + (at.row * p.rows.cols + at.step * CHUNK) / 8;
    if (count > 0) ptx_store<uint8_t>(to, (uint8_t)bits);
    if (count > 8) ptx_store<uint8_t>(to + 1, (uint8_t)(bits >> 8));
    row_values<0>{p}.put(at, x, g, absmax);
  }
};

template <int DTYPE>
__global__ void __launch_bounds__(ROWS_THREADS, FAKE_MASK_BLOCKS)
    fake_masked_rows_kernel(const __grid_constant__ fake_rows_params p) {
  warp_cast_rows<DTYPE>(p.rows, masked_row_values{p});
}

template <int DTYPE, int BY_CODES>
__global__ void __launch_bounds__(ROWS_THREADS,
                                  DTYPE == ELEMENT_F32 || BY_CODES ? FAKE_ROWS_BLOCKS : FAKE_HALF_ROWS_BLOCKS)
    fake_rows_kernel(const __grid_constant__ fake_rows_params p) {
  warp_cast_rows<DTYPE>(p.rows, row_values<BY_CODES>{p});
}

#endif
