/* cuda/prim/element.cuh: single elements of plain tensors whose dtype is known when the kernel runs. */
#ifndef MFQ_CUDA_PRIM_ELEMENT_CUH
#define MFQ_CUDA_PRIM_ELEMENT_CUH

#include "chunk.cuh"

typedef struct element_view {
  uint8_t *data;
  int32_t dtype; /* ELEMENT_* */
} element_view;

/* Element `offset` as float32 bits. */
__device__ __forceinline__ uint32_t thread_load_element(const element_view &v, int64_t offset) {
  if (v.dtype == ELEMENT_F32) return ptx_load<uint32_t>(v.data + offset * 4);
  const uint32_t half = ptx_load<uint16_t>(v.data + offset * 2);
  return v.dtype == ELEMENT_BF16 ? mfqn_f32_from_bf16(half) : mfqn_f32_from_f16(half);
}

__device__ __forceinline__ void thread_store_element(const element_view &v, int64_t offset, uint32_t bits) {
  if (v.dtype == ELEMENT_F32) {
    ptx_store<uint32_t>(v.data + offset * 4, bits);
    return;
  }
  const uint32_t half = v.dtype == ELEMENT_BF16 ? mfqn_bf16_from_f32(bits) : mfqn_f16_from_f32(bits);
  ptx_store<uint16_t>(v.data + offset * 2, (uint16_t)half);
}

/* The same for values: finite ones become at most the largest finite element. */
__device__ __forceinline__ void thread_store_limited(const element_view &v, int64_t offset, uint32_t bits) {
  const uint32_t limit = v.dtype == ELEMENT_BF16 ? MFQN_BF16_LIMIT : MFQN_F16_LIMIT;
  thread_store_element(v, offset, v.dtype == ELEMENT_F32 ? bits : mfqn_limit_finite(bits, limit));
}

#endif
