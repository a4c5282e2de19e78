/* host/cpu/cast/search_kernels.h: the inner loops of searches, compiled once for each instruction set
 * (kernels/search_kernels.c). */
#ifndef MFQ_HOST_CPU_SEARCH_KERNELS_H
#define MFQ_HOST_CPU_SEARCH_KERNELS_H

#include "host/cpu/kernels.h"

/* Elements and their values, both as float32 bits, and what their squared errors are multiplied by; NULL: nothing. */
typedef struct mfq_search_row {
  const uint32_t *x, *y;
  const float *weights;
} mfq_search_row;

/* The best scales so far of some lanes, their losses, and those of the plain rule, which stay where they are exact. */
typedef struct mfq_search_best_of {
  uint32_t *stored;
  float *loss;
  const uint32_t *plain;
  int32_t keeps_plain;
} mfq_search_best_of;

typedef struct mfq_search_loops {
  /* Squared errors of `n` elements. */
  void (*squares)(const uint32_t *x, const uint32_t *y, const float *weights, int64_t n, float *terms);
  /* Their sums over runs, by the tree of num/gradient.h. `terms` has room for `n`. */
  void (*losses)(const mfq_search_row *row, mfq_stretch span, float *terms, float *sums);
  /* The same from the scales of the runs, without values. Returns 0 where the steps do not hold; `sums` is not written. */
  int (*quick_losses)(const mfqn_scheme *s, const mfq_lanes *lanes, const mfq_search_row *row, mfq_stretch span,
                      float *sums);
  /* Candidates, as mfqn_candidate makes them; and mfqn_best_offer for a candidate of each lane. */
  void (*products)(const float *base, float factor, int64_t n, uint32_t *candidates);
  void (*keep)(const mfq_search_best_of *best, const uint32_t *stored, const float *loss, int64_t n);
} mfq_search_loops;

extern const mfq_search_loops mfq_search_loops_baseline;
#ifdef MFQ_HAVE_ISA_AVX2
extern const mfq_search_loops mfq_search_loops_avx2;
#endif
#ifdef MFQ_HAVE_ISA_AVX512
extern const mfq_search_loops mfq_search_loops_avx512;
#endif

#endif
