/* host/cpu/cast/indices.h: indices of rows in memory, and the threads that share work on rows. */
#ifndef MFQ_HOST_CPU_INDICES_H
#define MFQ_HOST_CPU_INDICES_H

#include <string.h>

#include "host/core/problem/cast_problem.h"

static inline int64_t mfq_index_at(const mfq_indices *indices, int64_t position) {
  int32_t narrow;
  int64_t wide;
  const size_t bytes = indices->type == MFQ_INDEX_I32 ? sizeof narrow : sizeof wide;
  const uint8_t *at = (const uint8_t *)indices->data + (size_t)position * bytes;
  if (indices->type == MFQ_INDEX_I32) {
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
  }
  memcpy(&wide, at, sizeof wide);
  return wide;
}

/* Refuses the first index that is no row. */
mfq_status mfq_indices_check(const mfq_cast *cast);

/* How many threads share work on so many elements. */
int mfq_row_threads(const mfq_context *context, int64_t elements);

static inline int mfq_has_dense_rows(const mfq_tensor *t) { return t->strides[1] == 1 || t->shape[1] <= 1; }

/* Rows of a table by copies of their codes, which are dequantized as a table of their own (gather_codes.c). */
extern const mfq_way mfq_gather_codes;

#endif
