/* cuda/optimizer/state_words.cuh: structures of num/descent.h in memory, a word at a time. */
#ifndef MFQ_CUDA_OPTIMIZER_STATE_WORDS_CUH
#define MFQ_CUDA_OPTIMIZER_STATE_WORDS_CUH

#include <string.h>

#include <mfq/num/descent.h>

#include "cuda/prim/ptx.cuh"

template <class T> __device__ __forceinline__ T thread_load_struct(const T *from) {
  static_assert(sizeof(T) % 4 == 0, "whole words");
  uint32_t word[sizeof(T) / 4];
#pragma unroll
  for (int i = 0; i < (int)(sizeof(T) / 4); ++i) word[i] = ptx_load<uint32_t>((const uint8_t *)from + 4 * i);
  T value;
  memcpy(&value, word, sizeof value);
  return value;
}

template <class T> __device__ __forceinline__ void thread_store_struct(T *to, const T &value) {
  static_assert(sizeof(T) % 4 == 0, "whole words");
  uint32_t word[sizeof(T) / 4];
  memcpy(word, &value, sizeof value);
#pragma unroll
  for (int i = 0; i < (int)(sizeof(T) / 4); ++i) ptx_store<uint32_t>((uint8_t *)to + 4 * i, word[i]);
}

#endif
