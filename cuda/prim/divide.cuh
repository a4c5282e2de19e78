/* cuda/prim/divide.cuh: division by a number that a launch knows. */
#ifndef MFQ_CUDA_PRIM_DIVIDE_CUH
#define MFQ_CUDA_PRIM_DIVIDE_CUH

#include <mfq/num/hd.h>

#include "ptx.cuh"

typedef struct divisor64 {
  uint64_t value, inverse; /* floor((2^64 - 1) / value) */
} divisor64;

static inline divisor64 divisor64_make(int64_t value) {
  return divisor64{(uint64_t)value, ~(uint64_t)0 / (uint64_t)value};
}

/* n / d for n < 2^63: the estimate by the rounded-down inverse is the quotient or one less. */
__device__ __forceinline__ int64_t thread_divide(int64_t n, const divisor64 &d) {
  const uint64_t estimate = ptx_multiply_high((uint64_t)n, d.inverse);
  return (int64_t)(estimate + ((uint64_t)n - estimate * d.value >= d.value));
}

/* Division of numbers below 2^31, as divisor64. */
typedef struct divisor32 {
  uint32_t value, inverse; /* floor((2^32 - 1) / value) */
} divisor32;

static inline divisor32 divisor32_make(int64_t value) {
  return divisor32{(uint32_t)value, ~(uint32_t)0 / (uint32_t)value};
}

__device__ __forceinline__ int32_t thread_divide32(int32_t n, const divisor32 &d) {
  const uint32_t estimate = (uint32_t)((uint64_t)(uint32_t)n * d.inverse >> 32);
  return (int32_t)(estimate + ((uint32_t)n - estimate * d.value >= d.value));
}

#endif
