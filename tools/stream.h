/* tools/stream.h: moving tensors between files and a device in pieces, so that one tensor at a time is in memory. */
#ifndef MFQ_TOOLS_STREAM_H
#define MFQ_TOOLS_STREAM_H

#include "cli.h"
#include "finite_count.h"
#include "progress.h"

enum { STREAM_CHUNK_BYTES = 4 << 20 };

/* Memory on the device that is used again for one tensor after the other. */
typedef struct stream_slot {
  mfq_buffer *buffer;
  size_t bytes;
} stream_slot;

/* A quantized tensor's parts in memory. */
typedef struct stream_parts {
  stream_slot slots[MFQ_PART_COUNT];
} stream_parts;

typedef struct stream {
  mfq_context *context; /* NULL where tensors are only copied */
  int is_host;          /* the host may use the memory of slots itself */
  unsigned char *chunk; /* STREAM_CHUNK_BYTES of host memory */
  progress progress;
} stream;

/* All functions return an exit code, after its message; CLI_INTERRUPTED without one. */
int stream_init(stream *s, mfq_context *context);
void stream_free(stream *s);
void stream_slot_free(stream_slot *slot);
void stream_parts_free(stream_parts *parts);

/* Makes room for `bytes` bytes; the contents are lost when it grows. */
int stream_reserve(stream *s, stream_slot *slot, size_t bytes);
/* Makes room for the parts of `q` and points it at them. */
int stream_reserve_parts(stream *s, stream_parts *parts, const mfq_qtensor_sizes *sizes, mfq_qtensor *q);

/* Returns 1 for a shape without elements. */
int stream_is_empty(int32_t rank, const int64_t *shape);
/* Sets the sizes of an empty shape to 0, but for that of channels, whose scales are written even so: a file may
 * claim 2^50 rows of nothing, and nobody wants to wait for a loop over them. */
void stream_shrink_empty(const mfq_scheme *scheme, int32_t rank, int64_t *shape);

/* Copies a part of a catalog's entry from its file to the device. */
int stream_load(stream *s, const mfq_catalog *catalog, int64_t entry, mfq_part part, const stream_slot *slot);
/* The same for a plain tensor of the dtype in `count`, of which it counts what is not finite. */
int stream_load_counted(stream *s, const mfq_catalog *catalog, int64_t entry, const stream_slot *slot,
                        finite_count *count);
/* Loads all parts of a quantized entry and points `q` at them. */
int stream_load_parts(stream *s, const mfq_catalog *catalog, int64_t entry, stream_parts *parts, mfq_qtensor *q);
/* Copies `bytes` bytes from the device to tensor `index` of a writer. */
int stream_store(stream *s, const stream_slot *slot, uint64_t bytes, mfq_writer *writer, int64_t index);
/* Copies the plain tensor of an entry from file to file. */
int stream_copy(stream *s, const mfq_catalog *catalog, int64_t entry, mfq_writer *writer, int64_t index);

#endif
