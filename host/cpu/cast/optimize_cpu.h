/* host/cpu/cast/optimize_cpu.h: what the ways of an optimizer's step share. */
#ifndef MFQ_HOST_CPU_OPTIMIZE_CPU_H
#define MFQ_HOST_CPU_OPTIMIZE_CPU_H

#include "host/core/problem/optimize_problem.h"
#include "host/cpu/cpu_state.h"

/* Whether a cast is no update: mfq_supported asks about updates. */
static inline int mfq_is_part_of_step(const mfq_cast *cast) {
  return cast->optimizing != NULL && cast->optimizing->part != MFQ_OPTIMIZING_UPDATE;
}

/* Sums of squares, what follows from them, and settings (optimize_sums.c). */
extern const mfq_way mfq_optimize_sums;
/* Updates in vector loops: strip by strip with codes from the same pass, and chunk by chunk (optimize_chunks.c). */
extern const mfq_way mfq_optimize_strips, mfq_optimize_chunks;

/* The codes of new values, where they are wanted. */
mfq_status mfq_optimize_codes(mfq_context *context, const mfq_cast *cast);

#endif
