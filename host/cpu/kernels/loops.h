/* host/cpu/kernels/loops.h: what the loops of all kernels share. */
#ifndef MFQ_HOST_CPU_KERNELS_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_LOOPS_H

#include "host/cpu/kernels.h"

#ifndef MFQ_ISA
#define MFQ_ISA baseline
#define MFQ_ISA_NAME "baseline"
#endif
/* One name, of what the macros in it stand for. */
#define MFQ_JOIN_OF(a, b) a##b
#define MFQ_JOIN(a, b) MFQ_JOIN_OF(a, b)

/* Whether the instruction set multiplies and adds in one step. */
#if defined(__FP_FAST_FMAF) || defined(__FMA__)
enum { HAS_FMA = 1 };
#else
enum { HAS_FMA = 0 };
#endif

#define INLINE static inline __attribute__((always_inline))

/* Signed integers in the order of the halves that they stand for, NaN beyond all, and back. */
INLINE int16_t order_key16(uint16_t h) {
  const int16_t s = (int16_t)h;
  return (int16_t)(s ^ ((s >> 15) & 0x7fff));
}

#endif
