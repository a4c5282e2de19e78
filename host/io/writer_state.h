/* host/io/writer_state.h: what a file in the making holds. */
#ifndef MFQ_HOST_IO_WRITER_STATE_H
#define MFQ_HOST_IO_WRITER_STATE_H

#include <sys/types.h>

#include <jansson.h>

#include <mfq/io.h>

#include "member_text.h"
#include "temp_file.h"

typedef struct mfq_writer_tensor_state {
  char *name;
  uint64_t begin, end; /* from the end of the header */
} mfq_writer_tensor_state;

typedef enum mfq_writer_stage { MFQ_WRITER_DESCRIBING, MFQ_WRITER_WRITING, MFQ_WRITER_FINISHED } mfq_writer_stage;

struct mfq_writer {
  char *path;      /* as given, for sentences */
  char *file_name; /* last component of the path */
  int folder_fd;
  mfq_temp_file file; /* in the same folder */
  int32_t replace;
  mfq_writer_stage stage;
  json_t *names; /* those that are taken, as keys */
  json_t *metadata;
  mfq_member_text header;    /* entries of tensors */
  mfq_member_text quantized; /* what becomes the text of "mfq_quantized" */
  mfq_writer_tensor_state *tensors;
  int64_t tensor_count, tensor_capacity;
  int64_t current; /* the first tensor that is not complete */
  uint64_t data_bytes;
  uint64_t header_bytes; /* known from mfq_writer_begin on */
  uint64_t written;      /* of the data */
};

/* Returns the header's text, padded with spaces to a multiple of 8 bytes, to be freed; NULL with the status in
 * `status`. */
char *mfq_writer_header_text(mfq_writer *writer, const char *function, size_t *bytes, mfq_status *status);

/* Fails with INVALID_ARGUMENT unless the writer is there and still being described. */
mfq_status mfq_writer_check_describing(const mfq_writer *writer, const char *function);

#endif
