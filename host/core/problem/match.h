/* host/core/problem/match.h: whether a run is given what its plan was made for. Each function returns OK, or a sentence about
 * the first difference. */
#ifndef MFQ_HOST_CORE_MATCH_H
#define MFQ_HOST_CORE_MATCH_H

#include "gemm_problem.h"

/* One number that must be as planned. */
typedef struct mfq_same_number {
  const char *argument, *what;
  int64_t planned, given;
} mfq_same_number;
mfq_status mfq_numbers_match(const char *function, const mfq_same_number *rows, size_t count);

/* Memory must be aligned as well as the planned one. */
mfq_status mfq_memory_match(const char *function, const char *argument, const void *planned, const void *given);
mfq_status mfq_matrix_match(const char *function, const char *argument, const mfq_matrix *planned,
                            const mfq_matrix *given);
/* Scheme, layout and memory; not the shape. */
mfq_status mfq_view_match(const char *function, const char *argument, const mfq_qview *planned, const mfq_qview *given);

#endif
