/* cuda/quantize/eden_runs.cuh: the scales that correct each other (num/eden.h), and their elements. */
#ifndef MFQ_CUDA_QUANTIZE_EDEN_RUNS_CUH
#define MFQ_CUDA_QUANTIZE_EDEN_RUNS_CUH

#include <mfq/num/eden.h>

#include "cuda/index_plans.h"

/* Lines of `groups` scales, `inner` apart, of which neighbours correct each other. */
typedef struct eden_runs {
  divisor64 inner, of_line; /* lines side by side; runs of a line */
  int64_t groups, of_run;
  int64_t count; /* of all runs */
} eden_runs;

/* The scales of a run: first, first + step, ... */
typedef struct eden_run {
  int64_t first, step, count;
} eden_run;

__device__ __forceinline__ eden_run thread_eden_run(const eden_runs &r, int64_t index) {
  const int64_t inner = (int64_t)r.inner.value, line = thread_divide(index, r.of_line);
  const int64_t outer = thread_divide(line, r.inner), group = (index - line * (int64_t)r.of_line.value) * r.of_run;
  const int64_t left = r.groups - group;
  return eden_run{(outer * r.groups + group) * inner + (line - outer * inner), inner,
                  left < r.of_run ? left : r.of_run};
}

/* Adds the elements of a scale; boxes need row-major indices. */
__device__ __forceinline__ void thread_eden_add(mfqn_eden *e, const mfqn_scheme &s, const statistics &from,
                                                const mfqn_group &g, int64_t scale) {
  thread_box_each(
      from.boxes, thread_box_at(from.boxes, scale), 0, 1,
      [&](const linear &at) { mfqn_eden_add(e, &s, &g, thread_load_rotated(from.src, at)); });
}

/* The random bits of a scale. */
__device__ __forceinline__ uint32_t thread_eden_random(const statistics &from, int64_t scale, uint64_t seed,
                                                       uint64_t offset) {
  return mfqn_random(seed, offset, (uint64_t)thread_box_at(from.boxes, scale).at.logical);
}

#endif
