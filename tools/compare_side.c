/* tools/compare_side.c: reading one side of a comparison. */
#include "compare_side.h"

int side_open(const char *path, compare_side *side) {
  *side = (compare_side){0};
  return cli_open(path, &side->reader, &side->catalog);
}

void side_close(compare_side *side) {
  stream_slot_free(&side->values);
  mfq_catalog_destroy(side->catalog);
  mfq_reader_close(side->reader);
}

int side_prepare(stream *s, compare_side *side, int64_t entry, stream_parts *parts) {
  const mfq_catalog_entry *e = mfq_catalog_get(side->catalog, entry);
  if (!e->is_quantized || stream_is_empty(e->rank, e->shape)) return CLI_OK;
  mfq_dtype dtype = mfq_dtype_from_file_dtype(e->dtype);
  mfq_tensor values;
  mfq_qtensor q;
  if (mfq_tensor_init(NULL, dtype, e->rank, e->shape, &values) !=
      MFQ_OK) { /* sizes fit: what follows cannot overflow */
    return cli_error(CLI_FAILED, "%s: tensor '%s': %s", mfq_reader_path(side->reader), e->name,
                     cli_sentence(mfq_last_error()));
  }
  size_t bytes = mfq_dtype_bytes(dtype);
  for (int32_t i = 0; i < e->rank; ++i) bytes *= (size_t)e->shape[i];
  int code = stream_load_parts(s, side->catalog, entry, parts, &q);
  if (code == CLI_OK) code = stream_reserve(s, &side->values, bytes);
  if (code != CLI_OK) return code;
  values.data = mfq_buffer_data(side->values.buffer);
  mfq_status status = mfq_dequantize(s->context, &q, &values);
  if (status == MFQ_OK) return CLI_OK;
  return cli_error(status == MFQ_ERROR_UNSUPPORTED ? CLI_UNSUPPORTED : CLI_FAILED, "%s: tensor '%s': %s",
                   mfq_reader_path(side->reader), e->name, cli_sentence(mfq_last_error()));
}

int side_fetch(const compare_side *side, int64_t entry, uint64_t offset, size_t bytes, void *dst) {
  if (!mfq_catalog_get(side->catalog, entry)->is_quantized) {
    mfq_status status = mfq_catalog_read(side->catalog, entry, MFQ_PART_CODES, offset, bytes, dst);
    return status == MFQ_OK ? CLI_OK : cli_io_error(status);
  }
  if (mfq_buffer_read(side->values.buffer, (size_t)offset, dst, bytes) == MFQ_OK) return CLI_OK;
  return cli_error(CLI_FAILED, "memory: %s", cli_sentence(mfq_last_error()));
}
