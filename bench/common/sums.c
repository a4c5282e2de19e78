/* bench/common/sums.c: how far sums in f32 may be from sums in double (docs/numerics.md, "Products"). */
#include "sums.h"

#include <math.h>
#include <stdlib.h>

int bench_values_create(const int64_t operands[2], int64_t result, bench_values *values) {
  int has_all = (values->result = malloc(sizeof(float) * (size_t)result)) != NULL;
  for (int i = 0; i < 2; ++i) {
    values->plain[i] = malloc(sizeof(float) * (size_t)operands[i]);
    values->codes[i] = malloc(sizeof(float) * (size_t)operands[i]);
    has_all = has_all && values->plain[i] != NULL && values->codes[i] != NULL;
  }
  return has_all ? BENCH_OK : bench_error(BENCH_FAILED, "no memory for samples");
}

void bench_values_destroy(bench_values *values) {
  float *const all[] = {values->plain[0], values->plain[1], values->codes[0], values->codes[1], values->result};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i) free(all[i]);
  *values = (bench_values){.result = NULL};
}

/* Of sums in f32, in any order: n roundings give n u / (1 - n u); the products, both factors and alpha count as well.
 * Tensor cores truncate, which doubles u. The result's own rounding comes last. */
static double bound_of(const bench_run *run, const bench_sum *sum, double more) {
  const double u = run->settings.device != NULL ? 0x1p-23 : 0x1p-24, n = (double)sum->count + 5;
  const double rounding = run->settings.out_type == MFQ_DTYPE_F32 ? 0x1p-149 : fabs(sum->value) * 0x1p-8 + 0x1p-133;
  return (n * u / (1 - n * u) + more) * sum->magnitude * (1 + 0x1p-8) + rounding;
}

int bench_sum_check(const bench_run *run, const bench_sum *sum, const bench_found *f) {
  const double bound = bound_of(run, sum, f->more);
  if (fabs(f->value - sum->value) <= bound) return BENCH_OK;
  return bench_error(BENCH_WRONG, "%s: %s is %.9g, the sum of the products is %.9g; allowed are %.3g apart (%s)",
                     f->name, f->where, f->value, sum->value, bound, f->plan);
}
