/* tools/finite_count.h: counts NaN and infinities in data that pass by. */
#ifndef MFQ_TOOLS_FINITE_COUNT_H
#define MFQ_TOOLS_FINITE_COUNT_H

#include <mfq/types.h>

typedef struct finite_count {
  mfq_dtype dtype;
  int64_t nan, infinite;
} finite_count;

/* Counts whole elements of `bytes` bytes. */
void finite_count_add(finite_count *count, const void *data, size_t bytes);

#endif
