/* host/core/check/indexed.h: the checks of tables, indices and rows. What indices hold is the backend's business: only a CPU
 * can look. */
#ifndef MFQ_HOST_CORE_INDEXED_H
#define MFQ_HOST_CORE_INDEXED_H

#include "arguments.h"

/* Checks indices, and adds their memory to `parts`. */
mfq_status mfq_take_indices(mfq_where where, const mfq_indices *indices, mfq_parts *parts);
/* Fails for a shape that is no table's. */
mfq_status mfq_table_check(mfq_where where, int32_t rank, const int64_t *shape);
/* Fails for a checked tensor that has not a row of so many columns for each index. */
mfq_status mfq_rows_check(mfq_where where, const mfq_tensor *t, const mfq_indices *indices, int64_t cols);
/* Fails for a padding that is neither -1 nor a row. */
mfq_status mfq_padding_check(mfq_where where, int64_t padding, int64_t rows);

#endif
