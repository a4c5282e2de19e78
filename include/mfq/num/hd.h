/* num/hd.h: what lets one definition compile as C11, C++17 and CUDA with the same bits.
 *
 * Floating-point steps go through the wrappers below: each is one IEEE-754 operation, binary32 or (mfqn_d...) binary64,
 * rounded to nearest even and never contracted into another. Host code is compiled with -ffp-contract=off. */
#ifndef MFQ_NUM_HD_H
#define MFQ_NUM_HD_H

#include <stdint.h>

#if defined(__CUDACC__)
#define MFQ_HD static __host__ __device__ __forceinline__
#elif defined(__GNUC__) || defined(__clang__)
#define MFQ_HD static inline __attribute__((always_inline, unused))
#else
#define MFQ_HD static inline
#endif

MFQ_HD float mfqn_add(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

MFQ_HD float mfqn_sub(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fsub_rn(a, b);
#else
  return a - b;
#endif
}

MFQ_HD float mfqn_mul(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

MFQ_HD float mfqn_div(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}

/* a * b + c, rounded once. Where the instruction set has none it is a slow call: not for loops there. */
MFQ_HD float mfqn_fma(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

MFQ_HD double mfqn_dadd(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dadd_rn(a, b);
#else
  return a + b;
#endif
}

MFQ_HD double mfqn_dsub(double a, double b) { return mfqn_dadd(a, -b); }

MFQ_HD double mfqn_dmul(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

MFQ_HD double mfqn_ddiv(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __ddiv_rn(a, b);
#else
  return a / b;
#endif
}

/* The root, rounded to nearest; NaN below 0. One instruction, which host/cpu/kernels takes for many lanes: elsewhere on the
 * host it is a branch and a call besides. */
MFQ_HD float mfqn_root(float a) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(a);
#else
  return __builtin_sqrtf(a);
#endif
}

MFQ_HD double mfqn_droot(double a) {
#if defined(__CUDA_ARCH__)
  return __dsqrt_rn(a);
#else
  return __builtin_sqrt(a);
#endif
}

MFQ_HD float mfqn_float_from_double(double x) {
#if defined(__CUDA_ARCH__)
  return __double2float_rn(x);
#else
  return (float)x;
#endif
}

MFQ_HD int32_t mfqn_min(int32_t a, int32_t b) { return a < b ? a : b; }
MFQ_HD int32_t mfqn_max(int32_t a, int32_t b) { return a > b ? a : b; }
MFQ_HD int32_t mfqn_clamp(int32_t x, int32_t lo, int32_t hi) { return mfqn_min(mfqn_max(x, lo), hi); }
MFQ_HD uint32_t mfqn_umin(uint32_t a, uint32_t b) { return a < b ? a : b; }
MFQ_HD uint32_t mfqn_umax(uint32_t a, uint32_t b) { return a > b ? a : b; }

#endif
