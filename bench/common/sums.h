/* bench/common/sums.h: results of products and convolutions against sums in double: a benchmark of wrong results is worth
 * nothing. */
#ifndef MFQ_BENCH_SUMS_H
#define MFQ_BENCH_SUMS_H

#include "record.h"

typedef struct bench_sum {
  double value, magnitude;
  int64_t count;
} bench_sum;

static inline void bench_sum_add(bench_sum *sum, float a, float b) {
  const double product = (double)a * (double)b, magnitude = product < 0 ? -product : product;
  sum->value += product;
  sum->magnitude += magnitude;
  ++sum->count;
}

/* What a sum is compared with. `row` NULL: the peer's, which `plan` names as it does the plan of a row. */
typedef struct bench_found {
  const char *name, *where, *plan;
  double value;
  double more; /* that a plan is allowed relative to the magnitude, beside roundings */
} bench_found;
/* Returns BENCH_WRONG, with a sentence, where they are further apart than roundings explain. */
int bench_sum_check(const bench_run *run, const bench_sum *sum, const bench_found *found);

#endif
