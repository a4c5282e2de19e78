/* host/cpu/kernels/loops.h: what the loops of all kernels share. */
#ifndef MFQ_HOST_CPU_KERNELS_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_LOOPS_H

#include "../kernels.h"

#define INLINE static inline __attribute__((always_inline))

#endif
