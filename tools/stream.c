/* tools/stream.c: files to device memory and back, in chunks that look at interrupts. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

static int core_error(const char *what) {
  return cli_error(CLI_FAILED, "%s: %s", what, cli_sentence(mfq_last_error()));
}

int stream_init(stream *s, mfq_context *context) {
  *s = (stream){.context = context, .chunk = malloc(STREAM_CHUNK_BYTES)};
  s->is_host = context != NULL && strncmp(mfq_context_describe(context), "cpu,", strlen("cpu,")) == 0;
  return s->chunk == NULL ? cli_error(CLI_FAILED, "no memory for a buffer of %d bytes", STREAM_CHUNK_BYTES) : CLI_OK;
}

void stream_free(stream *s) {
  progress_end(&s->progress);
  free(s->chunk);
  s->chunk = NULL;
}

void stream_slot_free(stream_slot *slot) {
  mfq_buffer_destroy(slot->buffer);
  *slot = (stream_slot){0};
}

void stream_parts_free(stream_parts *parts) {
  for (int part = 0; part < MFQ_PART_COUNT; ++part) stream_slot_free(&parts->slots[part]);
}

int stream_reserve(stream *s, stream_slot *slot, size_t bytes) {
  if (slot->buffer != NULL && slot->bytes >= bytes) return CLI_OK;
  stream_slot_free(slot); /* first, so that both are never there at a time */
  if (mfq_buffer_create(s->context, bytes == 0 ? 1 : bytes, &slot->buffer) != MFQ_OK) return core_error("memory");
  slot->bytes = bytes;
  return CLI_OK;
}

int stream_reserve_parts(stream *s, stream_parts *parts, const mfq_qtensor_sizes *sizes, mfq_qtensor *q) {
  const size_t bytes[MFQ_PART_COUNT] = {[MFQ_PART_CODES] = sizes->codes_bytes,
                                        [MFQ_PART_SCALES] = sizes->scales_bytes,
                                        [MFQ_PART_TENSOR_SCALE] = sizes->tensor_scale_bytes,
                                        [MFQ_PART_ZERO_POINTS] = sizes->zero_points_bytes};
  for (int part = 0; part < MFQ_PART_COUNT; ++part) {
    int code = stream_reserve(s, &parts->slots[part], bytes[part]);
    if (code != CLI_OK) return code;
  }
  q->codes = mfq_buffer_data(parts->slots[MFQ_PART_CODES].buffer);
  q->scales = q->scheme.scale == MFQ_SCALE_NONE ? NULL : mfq_buffer_data(parts->slots[MFQ_PART_SCALES].buffer);
  q->tensor_scale =
      q->scheme.scale >= MFQ_SCALE_UE4M3 ? mfq_buffer_data(parts->slots[MFQ_PART_TENSOR_SCALE].buffer) : NULL;
  q->zero_points = q->scheme.zero_point ? mfq_buffer_data(parts->slots[MFQ_PART_ZERO_POINTS].buffer) : NULL;
  return CLI_OK;
}

int stream_is_empty(int32_t rank, const int64_t *shape) {
  for (int32_t i = 0; i < rank; ++i)
    if (shape[i] == 0) return 1;
  return 0;
}

void stream_shrink_empty(const mfq_scheme *scheme, int32_t rank, int64_t *shape) {
  if (!stream_is_empty(rank, shape)) return;
  for (int32_t i = 0; i < rank; ++i)
    if (scheme->granularity != MFQ_GRANULARITY_CHANNEL || i != scheme->axis) shape[i] = 0;
}

/* Returns the bytes of the next chunk of what is left. */
static size_t next_chunk(uint64_t left) { return left < STREAM_CHUNK_BYTES ? (size_t)left : STREAM_CHUNK_BYTES; }

static int load(stream *s, const mfq_catalog *catalog, int64_t entry, mfq_part part, const stream_slot *slot,
                finite_count *count) {
  uint64_t total = mfq_catalog_get(catalog, entry)->part_bytes[part];
  for (uint64_t at = 0; at < total;) {
    if (cli_interrupted()) return CLI_INTERRUPTED;
    size_t bytes = next_chunk(total - at);
    unsigned char *data = s->is_host ? (unsigned char *)mfq_buffer_data(slot->buffer) + at : s->chunk;
    mfq_status status = mfq_catalog_read(catalog, entry, part, at, bytes, data);
    if (status != MFQ_OK) return cli_io_error(status);
    if (count != NULL) finite_count_add(count, data, bytes);
    if (!s->is_host && mfq_buffer_write(slot->buffer, (size_t)at, data, bytes) != MFQ_OK) return core_error("memory");
    at += bytes;
    progress_bytes(&s->progress, bytes);
  }
  return CLI_OK;
}

int stream_load(stream *s, const mfq_catalog *catalog, int64_t entry, mfq_part part, const stream_slot *slot) {
  return load(s, catalog, entry, part, slot, NULL);
}

int stream_load_counted(stream *s, const mfq_catalog *catalog, int64_t entry, const stream_slot *slot,
                        finite_count *count) {
  return load(s, catalog, entry, MFQ_PART_CODES, slot, count);
}

int stream_load_parts(stream *s, const mfq_catalog *catalog, int64_t entry, stream_parts *parts, mfq_qtensor *q) {
  const mfq_catalog_entry *e = mfq_catalog_get(catalog, entry);
  *q = e->q;
  int code = stream_reserve_parts(s, parts, &e->sizes, q);
  for (int part = 0; code == CLI_OK && part < MFQ_PART_COUNT; ++part)
    if (e->parts[part] >= 0) code = stream_load(s, catalog, entry, (mfq_part)part, &parts->slots[part]);
  return code;
}

int stream_store(stream *s, const stream_slot *slot, uint64_t bytes, mfq_writer *writer, int64_t index) {
  for (uint64_t at = 0; at < bytes;) {
    if (cli_interrupted()) return CLI_INTERRUPTED;
    size_t piece = next_chunk(bytes - at);
    unsigned char *data = s->is_host ? (unsigned char *)mfq_buffer_data(slot->buffer) + at : s->chunk;
    if (!s->is_host && mfq_buffer_read(slot->buffer, (size_t)at, data, piece) != MFQ_OK) return core_error("memory");
    mfq_status status = mfq_writer_write(writer, index, data, piece);
    if (status != MFQ_OK) return cli_io_error(status);
    at += piece;
  }
  return CLI_OK;
}

int stream_copy(stream *s, const mfq_catalog *catalog, int64_t entry, mfq_writer *writer, int64_t index) {
  uint64_t total = mfq_catalog_get(catalog, entry)->part_bytes[0];
  for (uint64_t at = 0; at < total;) {
    if (cli_interrupted()) return CLI_INTERRUPTED;
    size_t bytes = next_chunk(total - at);
    mfq_status status = mfq_catalog_read(catalog, entry, MFQ_PART_CODES, at, bytes, s->chunk);
    if (status == MFQ_OK) status = mfq_writer_write(writer, index, s->chunk, bytes);
    if (status != MFQ_OK) return cli_io_error(status);
    at += bytes;
    progress_bytes(&s->progress, bytes);
  }
  return CLI_OK;
}
