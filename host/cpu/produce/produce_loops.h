/* host/cpu/produce/produce_loops.h: the inner loops of producers, compiled once for each instruction set
 * (kernels/produce_kernels.c): the functions of num/making.h on pieces of rows of float32. */
#ifndef MFQ_HOST_CPU_PRODUCE_LOOPS_H
#define MFQ_HOST_CPU_PRODUCE_LOOPS_H

#include <mfq/num/making.h>

#include "host/cpu/kernels.h"

enum { MFQ_MADE_PIECE = 512 }; /* elements at most, a power of two */

/* Inputs and parameters of `n` elements, all of them there; `part` is 1 for the second ones of pairs. */
typedef struct mfq_made_piece {
  const float *a, *b, *c, *gain, *shift;
  const mfqn_row *row;
  int64_t n;
  int32_t part;
} mfq_made_piece;

typedef struct mfq_produce_loops {
  /* Results as float32 bits. */
  void (*values)(const mfqn_make *m, const mfq_made_piece *p, uint32_t *y);
  /* Both of pairs, which share what they can. */
  void (*pairs)(const mfqn_make *m, const mfq_made_piece *p, uint32_t *first, uint32_t *second);
  /* Terms of a pass over a row; `second` NULL: not wanted. Or the largest of the first ones. */
  void (*terms)(const mfqn_make *m, int pass, const mfq_made_piece *p, float *first, float *second);
  float (*largest)(const mfqn_make *m, const mfq_made_piece *p);
  /* Terms of the sums of columns, of results that are not needed for them. */
  void (*column_terms)(const mfqn_make *m, const mfq_made_piece *p, float *first, float *second);
  /* Sums of columns of up to MFQ_MADE_ROWS rows, `ld` apart, by the tree. */
  void (*fold)(const float *x, int64_t rows, int64_t ld, int64_t n, float *sums);
  /* a + b as float32 bits. */
  void (*add)(const float *a, const float *b, int64_t n, uint32_t *sums);
  /* Every other element; and two of such rows as one. */
  void (*evens)(const float *x, int64_t n, float *to);
  void (*weave)(const uint32_t *first, const uint32_t *second, int64_t n, uint32_t *to);
} mfq_produce_loops;

enum { MFQ_MADE_ROWS = 8 };

extern const mfq_produce_loops mfq_produce_loops_baseline;
#ifdef MFQ_HAVE_ISA_AVX2
extern const mfq_produce_loops mfq_produce_loops_avx2;
#endif
#ifdef MFQ_HAVE_ISA_AVX512
extern const mfq_produce_loops mfq_produce_loops_avx512;
#endif

#endif
