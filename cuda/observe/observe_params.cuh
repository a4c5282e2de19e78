/* cuda/observe/observe_params.cuh: what the kernels of observing take, and where a statistic goes. */
#ifndef MFQ_CUDA_OBSERVE_PARAMS_CUH
#define MFQ_CUDA_OBSERVE_PARAMS_CUH

#include <mfq/num/observed.h>

#include "cuda/index_plans.h"

enum { RANK_BITS = 4, RANK_BINS = 1 << RANK_BITS, RANK_ROUNDS = 32 / RANK_BITS };

/* What is known of a scale in between, in device memory, all 0 at first. */
typedef struct observe_slot {
  uint64_t extremes[2];     /* three words, as those of stat.cuh */
  uint64_t elements, terms; /* that the sources have, and terms of sums */
  uint64_t sum;             /* float32 bits of the sum of the sources so far */
  uint64_t mean;
  uint64_t rank;      /* among the keys that begin with the prefix */
  uint64_t prefix;    /* bits of the key that are known */
  uint64_t low, high; /* elements of the ranks */
  uint64_t bins[RANK_BINS];
} observe_slot;

/* Where statistics go, and what becomes of them there. */
typedef struct observe_target {
  walk_plan walk;
  element_view values;
  mfqn_running running;
} observe_target;

typedef struct observe_params {
  mfqn_scheme scheme; /* whose range is meant */
  mfqn_observer observer;
  observe_target to;
  element_view src;
  box_plan boxes;                  /* of a source: a box a scale */
  box_plan rows;                   /* likewise, a box a row */
  int64_t row_size, row_run;       /* indices of the axis of rows, and those of a scale */
  divisor64 row_inner, row_groups; /* scales behind that axis, and along it */
  observe_slot *slots;
  const uint32_t *reduced; /* slots of stat.cuh that another kernel has filled */
  float *partials;
  int64_t first, count; /* scales */
  int64_t whole;        /* elements of a group that is not short */
  int64_t chunk;        /* terms of a partial sum, a power of two */
  divisor64 workers;    /* threads, or chunks, of each scale */
  int32_t rounds;       /* that a rank takes: fewer where the lowest bits of keys follow from the sign */
  int32_t kind, round, is_high, is_signed, is_first, pads_short;
} observe_params;

__device__ __forceinline__ void thread_observe_put(const observe_target &to, int64_t scale, uint32_t value) {
  const int64_t offset = thread_walk_at(to.walk, scale).at.offset;
  const int reads = to.running.running != MFQN_RUNNING_NONE && !to.running.is_first;
  const uint32_t old = reads ? thread_load_element(to.values, offset) : 0u;
  thread_store_element(to.values, offset, mfqn_running_step(&to.running, old, value));
}

#endif
