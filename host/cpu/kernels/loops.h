/* host/cpu/kernels/loops.h: what the loops of all kernels share. */
#ifndef MFQ_HOST_CPU_KERNELS_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_LOOPS_H

#include "host/cpu/kernels.h"

#ifndef MFQ_ISA
#define MFQ_ISA baseline
#endif
/* One name, of what the macros in it stand for. */
#define MFQ_JOIN_OF(a, b) a##b
#define MFQ_JOIN(a, b) MFQ_JOIN_OF(a, b)

#define INLINE static inline __attribute__((always_inline))

#endif
