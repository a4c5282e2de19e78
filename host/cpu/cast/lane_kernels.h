/* host/cpu/cast/lane_kernels.h: the inner loops of statistics of many scales at once, a lane each, compiled once for each
 * instruction set (kernels/lane_kernels.c). */
#ifndef MFQ_HOST_CPU_LANE_KERNELS_H
#define MFQ_HOST_CPU_LANE_KERNELS_H

#include "host/cpu/kernels.h"

enum { MFQ_RANK_LANES = 16 }; /* that are ranked together */

/* The ranks of lanes. */
typedef struct mfq_lane_rank {
  int64_t n, rank; /* elements of a lane; the rank is counted from 1 */
  int32_t spare;   /* lowest bits of keys that their sign tells */
  int is_signed;
} mfq_lane_rank;

typedef struct mfq_lane_loops {
  /* Terms of `n` elements; element i has the mean means[i / run], or means[i] where `run` is 0. */
  void (*terms)(const uint32_t *x, mfq_stretch span, int32_t kind, const float *means, float *terms);
  /* Keys of element `j` of `lanes` lanes, of which blocks of MFQ_RANK_LANES have all their keys behind each other. */
  void (*keys_of_row)(const uint32_t *x, int64_t lanes, int64_t j, const mfq_lane_rank *r, int32_t *keys);
  /* The same of runs, each a lane. */
  void (*keys_of_runs)(const uint32_t *x, int64_t lanes, const mfq_lane_rank *r, int32_t *keys);
  /* Of one block, of each lane: the element of the rank, and the largest magnitude of all. */
  void (*rank)(const int32_t *keys, const mfq_lane_rank *r, uint32_t *found, uint32_t *largest);
} mfq_lane_loops;

extern const mfq_lane_loops mfq_lane_loops_baseline;
#ifdef MFQ_HAVE_ISA_AVX2
extern const mfq_lane_loops mfq_lane_loops_avx2;
#endif
#ifdef MFQ_HAVE_ISA_AVX512
extern const mfq_lane_loops mfq_lane_loops_avx512;
#endif

#endif
