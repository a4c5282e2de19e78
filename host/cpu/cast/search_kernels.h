/* host/cpu/cast/search_kernels.h: the inner loops of searches, compiled once for each instruction set
 * (kernels/search_kernels.c). */
#ifndef MFQ_HOST_CPU_SEARCH_KERNELS_H
#define MFQ_HOST_CPU_SEARCH_KERNELS_H

#include <stdint.h>

typedef struct mfq_search_loops {
  /* Squared errors of `n` elements against their values, both float32 bits; times weights, NULL: as they are. */
  void (*squares)(const uint32_t *x, const uint32_t *y, const float *weights, int64_t n, float *terms);
  /* Sums of runs of `n` terms, by the tree of num/gradient.h. `terms` is overwritten, and has room for one run more. */
  void (*run_sums)(float *terms, int64_t n, int64_t run, float *sums);
  /* sums[i] = earlier[i] + sums[i]. */
  void (*add)(const float *earlier, int64_t n, float *sums);
} mfq_search_loops;

extern const mfq_search_loops mfq_search_loops_baseline;
#ifdef MFQ_HAVE_ISA_AVX2
extern const mfq_search_loops mfq_search_loops_avx2;
#endif
#ifdef MFQ_HAVE_ISA_AVX512
extern const mfq_search_loops mfq_search_loops_avx512;
#endif

#endif
