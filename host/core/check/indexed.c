/* host/core/check/indexed.c: what embeddings ask of indices, of tables and of the rows that are read from these. */
#include "indexed.h"

#include "host/core/error.h"
#include "operands.h"

mfq_status mfq_take_indices(mfq_where where, const mfq_indices *indices, mfq_parts *parts) {
  const mfq_range type = {"type", (int64_t)indices->type, MFQ_INDEX_I32, MFQ_INDEX_I64};
  const mfq_status status = mfq_ranges_check(where, &type, 1);
  if (status != MFQ_OK) return status;
  const size_t size = indices->type == MFQ_INDEX_I32 ? 4 : 8;
  const int64_t most = (int64_t)1 << 59; /* bytes that can be addressed */
  const mfq_range count = {"count", indices->count, 0, most};
  if (indices->count < 0 || indices->count > most) return mfq_ranges_check(where, &count, 1);
  if (indices->count == 0) return MFQ_OK;
  if (indices->data == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: data is NULL, but count is %lld", where.argument,
                    (long long)indices->count);
  if ((uintptr_t)indices->data % size != 0)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: data is %p, which is not a multiple of an index's %zu bytes", where.argument, indices->data,
                    size);
  const mfq_bytes bytes = mfq_bytes_of(indices->data, (size_t)indices->count * size);
  return mfq_argument_memory((mfq_memory){where, "data", bytes, 0}, parts);
}

mfq_status mfq_rows_check(mfq_where where, const mfq_tensor *t, const mfq_indices *indices, int64_t cols) {
  const int64_t shape[] = {indices->count, cols};
  if (mfq_shape_is(t, 2, shape)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                  "%s: shape is %s; allowed is %s, a row for each index and the columns of the table", where.argument,
                  mfq_shape_write(t->rank, t->shape).text, mfq_shape_write(2, shape).text);
}

mfq_status mfq_table_check(mfq_where where, int32_t rank, const int64_t *shape) {
  if (rank == 2) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: shape is %s; a table has rank 2, rows and columns",
                  where.argument, mfq_shape_write(rank, shape).text);
}

mfq_status mfq_padding_check(mfq_where where, int64_t padding, int64_t rows) {
  if (padding >= -1 && padding < rows) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                  "%s: padding is %lld; allowed is -1, for none, and a row of dweight, of which there are %lld",
                  where.argument, (long long)padding, (long long)rows);
}
