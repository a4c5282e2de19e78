/* cuda/prim/chunk.cuh: 16 neighbouring elements in a thread's registers, the unit of the fast casts. */
#ifndef MFQ_CUDA_PRIM_CHUNK_CUH
#define MFQ_CUDA_PRIM_CHUNK_CUH

#include <mfq/num/bits.h>

#include "ptx.cuh"

/* The values of mfq_dtype. */
enum { ELEMENT_F32 = 1, ELEMENT_BF16 = 2, ELEMENT_F16 = 3 };

enum { CHUNK = 16 };

template <int DTYPE> inline constexpr int ELEMENT_BYTES = DTYPE == ELEMENT_F32 ? 4 : 2;

/* As the elements stand in memory: two halves in a word, or one float32. */
template <int DTYPE> struct chunk {
  static constexpr int WORDS = CHUNK * ELEMENT_BYTES<DTYPE> / 4;
  uint32_t word[WORDS];
};

/* One element as float32 bits; `bits` as in memory. */
template <int DTYPE> __device__ __forceinline__ uint32_t thread_widen(uint32_t bits) {
  if constexpr (DTYPE == ELEMENT_F32) return bits;
  if constexpr (DTYPE == ELEMENT_BF16) return mfqn_f32_from_bf16(bits);
  return mfqn_f32_from_f16(bits);
}

/* Element i; i is known when the loop around it is unrolled. */
template <int DTYPE> __device__ __forceinline__ uint32_t thread_element(const chunk<DTYPE> &x, int i) {
  if constexpr (DTYPE == ELEMENT_F32) return x.word[i];
  return thread_widen<DTYPE>(i % 2 == 0 ? x.word[i / 2] & 0xffffu : x.word[i / 2] >> 16);
}

/* Takes element 0 out and moves the others down: a loop over it needs no index into registers. */
template <int DTYPE> __device__ __forceinline__ uint32_t thread_pop(chunk<DTYPE> *x) {
  constexpr int WORDS = chunk<DTYPE>::WORDS;
  const uint32_t first = thread_element(*x, 0);
#pragma unroll
  for (int k = 0; k < WORDS; ++k) {
    const uint32_t next = k + 1 < WORDS ? x->word[k + 1] : 0u;
    x->word[k] = DTYPE == ELEMENT_F32 ? next : x->word[k] >> 16 | next << 16;
  }
  return first;
}

template <int DTYPE> __device__ __forceinline__ chunk<DTYPE> thread_load_whole(const uint8_t *from) {
  chunk<DTYPE> x;
#pragma unroll
  for (int k = 0; k < chunk<DTYPE>::WORDS; k += 4) {
    const uint4 v = ptx_load<uint4>(from + 4 * k);
    x.word[k] = v.x;
    x.word[k + 1] = v.y;
    x.word[k + 2] = v.z;
    x.word[k + 3] = v.w;
  }
  return x;
}

/* The first `count` elements; zeros behind them. `is_aligned`: `from` is a multiple of 16 bytes. */
template <int DTYPE>
__device__ __forceinline__ chunk<DTYPE> thread_load_chunk(const uint8_t *from, int count, int is_aligned) {
  if (is_aligned && count == CHUNK) return thread_load_whole<DTYPE>(from);
  chunk<DTYPE> x;
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const uint8_t *at = from + i * ELEMENT_BYTES<DTYPE>;
    if constexpr (DTYPE == ELEMENT_F32) {
      x.word[i] = i < count ? ptx_load<uint32_t>(at) : 0u;
    } else {
      const uint32_t half = i < count ? ptx_load<uint16_t>(at) : 0u;
      x.word[i / 2] = i % 2 == 0 ? half : x.word[i / 2] | half << 16;
    }
  }
  return x;
}

/* The larger magnitudes of two words; NaN wins. */
template <int DTYPE> __device__ __forceinline__ uint32_t thread_larger(uint32_t a, uint32_t b) {
  if constexpr (DTYPE == ELEMENT_F32) return mfqn_umax(a, b & MFQN_ABS);
  if constexpr (DTYPE == ELEMENT_BF16) return ptx_bf16x2_max_nan(a, b & 0x7fff7fffu);
  return ptx_f16x2_max_nan(a, b & 0x7fff7fffu);
}

/* The largest magnitude in a word that thread_larger has collected, as float32 bits. */
template <int DTYPE> __device__ __forceinline__ uint32_t thread_largest(uint32_t collected) {
  if constexpr (DTYPE == ELEMENT_F32) return collected;
  return thread_widen<DTYPE>(mfqn_umax(collected & 0xffffu, collected >> 16));
}

template <int DTYPE> __device__ __forceinline__ uint32_t thread_absmax(const chunk<DTYPE> &x) {
  uint32_t most = 0;
#pragma unroll
  for (int k = 0; k < chunk<DTYPE>::WORDS; ++k) most = thread_larger<DTYPE>(most, x.word[k]);
  return thread_largest<DTYPE>(most);
}

#endif
