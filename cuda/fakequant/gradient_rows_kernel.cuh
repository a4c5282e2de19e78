/* cuda/fakequant/gradient_rows_kernel.cuh: the backward of fake quantization along the contiguous axis: groups of 16 * 2^k
 * elements, or scales that are known already.
 *
 * A thread sums the terms of its 16 elements and the lanes of a group the rest, which is the tree of num/gradient.h.
 * Bytes moved per element: the element, the upstream gradient and the gradient, once each.
 * Not for stochastic rounding; sums only of groups. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_ROWS_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_GRADIENT_ROWS_KERNEL_CUH

#include "cuda/prim/tree.cuh"
#include "cuda/quantize/rows_kernel.cuh"
#include "gradient_chunk.cuh"

typedef struct gradient_rows_params {
  rows_params rows; /* of the elements, or where scales do not matter of the upstream gradient; all three lie alike */
  gradient_how how;
} gradient_rows_params;

/* Blocks at once on a multiprocessor, with sums and without. */
enum { GRADIENT_ROWS_BLOCKS = 3, GRADIENT_SUMS_BLOCKS = 2 };

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* The lanes of a group, all of which come here, and what is theirs. */
typedef struct group_lanes {
  uint32_t mask;
  int32_t log2, place, count; /* lanes; of this chunk's first element in the group; elements of the group */
} group_lanes;

__device__ __forceinline__ group_lanes thread_group_lanes(const rows_params &p, const rows_place &at) {
  const int lanes = 1 << p.group_log2, inner = (int)(at.step & (lanes - 1));
  const int64_t left = p.cols - (at.step - inner) * CHUNK;
  group_lanes l;
  l.log2 = p.group_log2;
  l.mask = (lanes == 32 ? ~0u : (1u << lanes) - 1u) << (threadIdx.x & 31u & ~(unsigned)(lanes - 1));
  l.place = inner * CHUNK;
  l.count = left < lanes * CHUNK ? (int)left : lanes * CHUNK;
  return l;
}

/* The first of a group's elements of the largest magnitude: its place, and in the lane that has it its sign. */
typedef struct group_largest {
  uint32_t absmax, first, sign;
} group_largest;

__device__ __forceinline__ group_largest warp_first_largest(const group_lanes &l, const values16 &x, uint32_t absmax) {
  group_largest largest = {absmax, 0xffffffffu, 0};
#pragma unroll
  for (int i = CHUNK; i-- > 0;) {
    if (l.place + i >= l.count || (x.word[i] & MFQN_ABS) != absmax) continue;
    largest.first = (uint32_t)(l.place + i);
    largest.sign = x.word[i] & 0x80000000u;
  }
  for (int o = 1; o < 1 << l.log2; o <<= 1)
    largest.first = mfqn_umin(largest.first, ptx_shuffle_xor(l.mask, largest.first, o));
  return largest;
}

/* Adds what goes back through the scale: to that element, and nothing to the others, which is added too. */
__device__ __forceinline__ void thread_go_through(const mfqn_scheme &s, const group_lanes &l, const mfqn_group &g,
                                                  const group_largest &largest, float sum, values16 *gradients) {
  const float through = thread_through(s, g, largest.absmax, largest.sign, sum);
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const float more = (uint32_t)(l.place + i) == largest.first ? through : 0.0f;
    gradients->word[i] = mfqn_one_nan(mfqn_add(mfqn_float_of(gradients->word[i]), more));
  }
}

/* ---- The kernel -------------------------------------------------------------------------------------------------- */

template <int DTYPE, int HAS_SUMS> struct row_gradients {
  const gradient_rows_params &p;
  __device__ __forceinline__ void put_scale(int64_t, const mfqn_group &) const {}

  /* What all elements of the group come to. */
  __device__ __forceinline__ void put_sums(const rows_place &at, const group_lanes &l, const mfqn_group &g,
                                           const group_largest &largest, const chunk_sums &chunk,
                                           values16 *gradients) const {
    const mfqn_scheme &s = p.rows.to.how.scheme;
    const chunk_sums sums = {warp_tree(l.mask, l.log2, chunk.scale),
                             p.how.grad_zero_point ? warp_tree(l.mask, l.log2, chunk.zero_point) : 0.0f};
    if (p.how.through_scale) thread_go_through(s, l, g, largest, sums.scale, gradients);
    if (l.place == 0)
      thread_put_sums(
          s, p.how, at.outer * p.rows.outer_scales + at.middle * p.rows.middle_scales + (at.step >> p.rows.group_log2),
          g, sums);
  }

  __device__ __forceinline__ void put(const rows_place &at, const chunk<DTYPE> &x, const mfqn_group &g,
                                      uint32_t absmax) const {
    const int64_t offset =
        at.outer * p.rows.outer_bytes + at.middle * p.rows.middle_bytes + at.step * CHUNK * ELEMENT_BYTES<DTYPE>;
    const int count = mfqn_min(at.left, CHUNK);
    gradient16 io;
    io.x = thread_widen_chunk(x);
    io.dy = thread_widen_chunk(thread_load_chunk<DTYPE>(p.how.upstream + offset, count, p.how.is_aligned));
    group_lanes l = {};
    group_largest largest = {absmax, 0, 0};
    if constexpr (HAS_SUMS) {
      l = thread_group_lanes(p.rows, at);
      if (p.how.through_scale) largest = warp_first_largest(l, io.x, absmax);
    }
    const chunk_sums sums = thread_chunk_gradients<HAS_SUMS>(p.rows.to.how.scheme, p.how, g, absmax,
                                                             thread_chunk_place(l.place, l.count), &io);
    if constexpr (HAS_SUMS) put_sums(at, l, g, largest, sums, &io.dy);
    thread_store_values(p.how.dx + offset, thread_narrow_gradients<DTYPE>(io.dy), DTYPE, count, p.how.is_aligned);
  }
};

template <int DTYPE, int HAS_SUMS>
__global__ void __launch_bounds__(ROWS_THREADS, HAS_SUMS ? GRADIENT_SUMS_BLOCKS : GRADIENT_ROWS_BLOCKS)
    gradient_rows_kernel(const __grid_constant__ gradient_rows_params p) {
  warp_cast_rows<DTYPE>(p.rows, row_gradients<DTYPE, HAS_SUMS>{p});
}

#endif
