/* cuda/product/side.cuh: an operand of a product on the device: elements, group scales and factors by batch, row and k.
 *
 * Scales that do not vary along K and the tensor scale are factors of a whole row, which the finish applies; group
 * scales belong to elements. One element at a time: fast kernels have loads of their own. */
#ifndef MFQ_CUDA_PRODUCT_SIDE_CUH
#define MFQ_CUDA_PRODUCT_SIDE_CUH

#include <mfq/num/dot.h>

#include "cuda/prim/bitstream.cuh"
#include "cuda/prim/element.cuh"
#include "cuda/prim/slots.cuh"

enum { SIDE_MAX_BATCH_RANK = 8 };

/* Made by mfq_cuda_side_params. */
typedef struct side_params {
  int64_t rows, depth;
  int64_t group;      /* elements along K that share a scale; 0: there are factors only */
  int32_t is_plain;   /* elements of `plain`, no codes, no scales */
  int32_t batch_rank; /* 0: one matrix for all batches */
  int64_t batch_shape[SIDE_MAX_BATCH_RANK], batch_stride[SIDE_MAX_BATCH_RANK]; /* in units of `stride` */
  int64_t stride[2]; /* row, depth; elements, or bits of codes */
  element_view plain;
  const uint8_t *codes;
  int32_t bits; /* of a stored code */
  uint32_t code_mask;
  mfqn_scheme scheme;
  scale_slots slots;
  int64_t scale_stride[3]; /* batch, row, depth */
  divisor64 row_run, depth_run;
} side_params;

/* A row: where its elements and its scales begin. */
typedef struct side_row {
  int64_t at, scale;
} side_row;

__device__ __forceinline__ side_row thread_side_row(const side_params &p, int64_t batch, int64_t row) {
  side_row r;
  r.at = row * p.stride[0];
  r.scale = p.batch_rank == 0 ? 0 : batch * p.scale_stride[0];
  if (!p.is_plain) r.scale += thread_divide(row, p.row_run) * p.scale_stride[1];
  for (int32_t d = p.batch_rank - 1; d >= 0; --d) {
    r.at += batch % p.batch_shape[d] * p.batch_stride[d];
    batch /= p.batch_shape[d];
  }
  return r;
}

/* Index of the scale and the zero point of element `k`. */
__device__ __forceinline__ int64_t thread_side_scale_index(const side_params &p, const side_row &r, int64_t k) {
  return r.scale + thread_divide(k, p.depth_run) * p.scale_stride[2];
}

/* Not for plain operands. */
__device__ __forceinline__ uint32_t thread_side_code(const side_params &p, const side_row &r, int64_t k) {
  return thread_load_bits(p.codes, r.at + k * p.stride[1], p.bits) & p.code_mask;
}

/* As an integer; 0 where there are none. */
__device__ __forceinline__ int32_t thread_side_zero_point(const side_params &p, int64_t scale_index) {
  return thread_zero_point_load(p.slots, p.scheme, scale_index);
}

/* The element itself: the float32 of a plain operand, or what a code less its zero point stands for without any
 * scale. */
__device__ __forceinline__ double thread_side_element(const side_params &p, const side_row &r, int64_t k,
                                                      int32_t zero_point) {
  if (p.is_plain) return (double)mfqn_float_of(thread_load_element(p.plain, r.at + k * p.stride[1]));
  return mfqn_dot_element(&p.scheme, thread_side_code(p, r, k), zero_point);
}

/* The group scale with this index, 1 where there are only factors; the tensor scale is not part of it. */
__device__ __forceinline__ float thread_side_group_scale(const side_params &p, int64_t scale_index) {
  if (p.group == 0) return 1.0f;
  const uint32_t stored = thread_slot_load(p.slots, thread_slot_place(p.slots, scale_index));
  return mfqn_group_load(&p.scheme, stored, 1.0f).scale;
}

/* Everything that scales the whole row: the scale that does not vary along K, times the tensor scale of UE4M3. */
__device__ __forceinline__ float thread_side_factor(const side_params &p, const side_row &r) {
  if (p.is_plain) return 1.0f;
  const float tensor_scale = thread_tensor_scale(p.slots);
  if (p.group != 0) return tensor_scale;
  const uint32_t stored = thread_slot_load(p.slots, thread_slot_place(p.slots, r.scale));
  return mfqn_mul(mfqn_group_load(&p.scheme, stored, 1.0f).scale, tensor_scale);
}

/* The element times its group scale, without factors, as float32 bits: what bf16 holds comes out exact, the rest is
 * rounded once. Finite ones become at most the largest finite number. */
__device__ __forceinline__ uint32_t thread_side_value(const side_params &p, const side_row &r, int64_t k) {
  if (p.is_plain) return thread_load_element(p.plain, r.at + k * p.stride[1]);
  const int64_t index = thread_side_scale_index(p, r, k);
  const double element = mfqn_dot_element(&p.scheme, thread_side_code(p, r, k), thread_side_zero_point(p, index));
  const float scale = thread_side_group_scale(p, index);
  const uint32_t value = mfqn_one_nan(mfqn_float_from_double(mfqn_dmul(element, (double)scale))); /* at most 33 bits */
  const int is_infinite = element - element != 0.0 || (mfqn_bits(scale) & MFQN_ABS) >= MFQN_INF;
  return is_infinite ? value : (value & 0x80000000u) | mfqn_umin(value & MFQN_ABS, MFQN_MAX_FINITE);
}

#endif
