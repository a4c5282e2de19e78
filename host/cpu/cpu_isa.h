/* host/cpu/cpu_isa.h: the instruction set of a context: what the machine has, what MFQ_CPU_ISA leaves of it, and what
 * the options ask for. */
#ifndef MFQ_HOST_CPU_CPU_ISA_H
#define MFQ_HOST_CPU_CPU_ISA_H

#include "host/core/process/cpu_level.h"
#include "kernels.h"

enum { MFQ_ISA_LIST_BYTES = 64 };

typedef struct mfq_cpu_isa {
  const mfq_kernels *kernels;    /* NULL: the reference path only */
  mfq_cpu_level level;           /* of the kernels */
  mfq_cpu_level machine;         /* of the machine, as MFQ_CPU_ISA has it */
  mfq_cpu_level limit;           /* what MFQ_CPU_ISA says; MFQ_LEVEL_ANY: nothing */
  char here[MFQ_ISA_LIST_BYTES]; /* "avx2 baseline reference": what a context may ask for, the best one first */
} mfq_cpu_isa;

/* Chooses for a new context; `wanted` NULL: the best. */
mfq_status mfq_cpu_isa_choose(const char *wanted, mfq_cpu_isa *isa);

#endif
