/* tools/compare_error.h: error sums of two tensors, in double. */
#ifndef MFQ_TOOLS_COMPARE_ERROR_H
#define MFQ_TOOLS_COMPARE_ERROR_H

#include <mfq/io.h>

typedef struct error_sums {
  double signal;    /* sum of a^2 */
  double noise;     /* sum of (a - b)^2 */
  double max_error; /* largest |a - b| */
  int64_t count;
  int64_t mismatches; /* elements where one is NaN or infinite and the other is not the same */
} error_sums;

/* Returns 1 for a dtype whose elements can be compared as numbers. */
int error_is_float(mfq_file_dtype dtype);
/* Adds `count` elements at `a` and `b`. */
void error_add(error_sums *sums, mfq_file_dtype a_dtype, const void *a, mfq_file_dtype b_dtype, const void *b,
               size_t count);
/* Adds the sums of one tensor to those of all. */
void error_merge(error_sums *all, const error_sums *one);
/* Returns 10 log10(signal / noise): +infinity when nothing differs, -infinity when there are mismatches or no
 *   signal. */
double error_sqnr(const error_sums *sums);

#endif
