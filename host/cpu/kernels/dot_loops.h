/* host/cpu/kernels/dot_loops.h: the runs of a reproducible product, many columns at once, each in order of k. */
#ifndef MFQ_HOST_CPU_KERNELS_DOT_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_DOT_LOOPS_H

#include "loops.h"

/* The dots of one row with all columns. */
typedef struct dot_row {
  double high[MFQ_DOT_COLS], low[MFQ_DOT_COLS];
} dot_row;

INLINE void add_product(dot_row *restrict d, double a, const double *restrict b, int is_wide) {
  for (int j = 0; j < MFQ_DOT_COLS; ++j) {
    mfqn_dot dot = {d->high[j], is_wide ? d->low[j] : 0.0};
    mfqn_dot_add(&dot, a, b[j], is_wide);
    d->high[j] = dot.high;
    if (is_wide) d->low[j] = dot.low;
  }
}

/* The same for four k: the sums stay in registers in between. */
INLINE void add_four_products(dot_row *restrict d, const double *restrict a, const double (*restrict b)[MFQ_DOT_COLS],
                              int is_wide) {
  const double a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
  for (int j = 0; j < MFQ_DOT_COLS; ++j) {
    mfqn_dot dot = {d->high[j], is_wide ? d->low[j] : 0.0};
    mfqn_dot_add(&dot, a0, b[0][j], is_wide);
    mfqn_dot_add(&dot, a1, b[1][j], is_wide);
    mfqn_dot_add(&dot, a2, b[2][j], is_wide);
    mfqn_dot_add(&dot, a3, b[3][j], is_wide);
    d->high[j] = dot.high;
    if (is_wide) d->low[j] = dot.low;
  }
}

INLINE void add_terms(float *restrict sums, const dot_row *restrict d, double a_scale, const float *restrict b_scale,
                      mfqn_dot_plan plan) {
  for (int j = 0; j < MFQ_DOT_COLS; ++j) {
    const mfqn_dot dot = {d->high[j], d->low[j]};
    sums[j] = mfqn_add(sums[j], mfqn_dot_round(dot, mfqn_dmul(a_scale, (double)b_scale[j]), plan));
  }
}

INLINE void dot_as(mfq_dot_tile *t, mfqn_dot_plan plan) {
  const int is_wide = plan.kind == MFQN_DOT_WIDE;
  dot_row d;
  for (int64_t run = 0, first = 0; run < t->runs; first = t->run_end[run++])
    for (int64_t i = 0; i < t->rows; ++i) {
      const int64_t end = t->run_end[run];
      int64_t k = first;
      memset(&d, 0, sizeof d);
      for (; k + 4 <= end; k += 4) add_four_products(&d, &t->a[i][k], (const double(*)[MFQ_DOT_COLS])t->b[k], is_wide);
      for (; k < end; ++k) add_product(&d, t->a[i][k], t->b[k], is_wide);
      add_terms(t->sums[i], &d, t->a_scale[run][i], t->b_scale[run], plan);
    }
}

static void dot(mfq_dot_tile *t) {
  if (t->plan.kind == MFQN_DOT_WIDE && t->plan.is_product_exact)
    dot_as(t, (mfqn_dot_plan){MFQN_DOT_WIDE, 1});
  else if (t->plan.kind == MFQN_DOT_WIDE)
    dot_as(t, (mfqn_dot_plan){MFQN_DOT_WIDE, 0});
  else if (t->plan.is_product_exact)
    dot_as(t, (mfqn_dot_plan){MFQN_DOT_EXACT, 1}); /* ORDERED is the same arithmetic, in this order */
  else
    dot_as(t, (mfqn_dot_plan){MFQN_DOT_EXACT, 0});
}

#endif
