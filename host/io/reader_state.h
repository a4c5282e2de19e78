/* host/io/reader_state.h: what an open file holds, and the steps of opening it. */
#ifndef MFQ_HOST_IO_READER_STATE_H
#define MFQ_HOST_IO_READER_STATE_H

#include <sys/types.h>
#include <time.h>

#include <mfq/io.h>

typedef struct mfq_reader_tensor_state {
  char *name;
  int64_t *shape; /* NULL for rank 0 */
  mfq_file_dtype dtype;
  int32_t rank;
  uint64_t begin, end; /* from the end of the header */
  int64_t position;    /* in the header: orders empty tensors of equal offset */
} mfq_reader_tensor_state;

typedef struct mfq_reader_metadata_state {
  char *key;
  char *value;
} mfq_reader_metadata_state;

struct mfq_reader {
  char *path;
  int fd;
  dev_t device;
  ino_t inode;
  struct timespec changed; /* when it was, before it was opened */
  uint64_t file_bytes;
  uint64_t header_bytes;
  uint64_t data_bytes;
  mfq_reader_tensor_state *tensors; /* by offset */
  int64_t tensor_count;
  int64_t *by_name; /* indices of tensors, names ascending */
  mfq_reader_metadata_state *metadata;
  int64_t metadata_count;
};

/* Fills tensors, by_name and metadata from the header's text, and checks them against data_bytes. */
mfq_status mfq_reader_parse_header(mfq_reader *reader, const char *json, size_t bytes);

/* Copies `bytes` bytes at `offset` of the file; a short read is an error of `function`, and so is a change
 * of the file since it was opened. */
mfq_status mfq_reader_read_at(const mfq_reader *reader, const char *function, uint64_t offset, size_t bytes, void *dst);

#endif
