/* bench/common/sums.h: results of products and convolutions against sums in double: a benchmark of wrong results is worth
 * nothing. */
#ifndef MFQ_BENCH_SUMS_H
#define MFQ_BENCH_SUMS_H

#include "record.h"
#include "slots.h"

/* What is checked of two operands, plain and quantized, and of a result, on the host. */
typedef struct bench_values {
  float *plain[2], *codes[2], *result;
} bench_values;
/* Of so many elements. Returns an exit code. */
int bench_values_create(const int64_t operands[2], int64_t result, bench_values *values);
void bench_values_destroy(bench_values *values);

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
