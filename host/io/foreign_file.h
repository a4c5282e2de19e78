/* host/io/foreign_file.h: what people take for a safetensors file, named for what it is. */
#ifndef MFQ_HOST_IO_FOREIGN_FILE_H
#define MFQ_HOST_IO_FOREIGN_FILE_H

#include <sys/types.h>

#include "reader_state.h"

/* What a file that is not a regular one is, with its article. */
const char *mfq_mode_name(mode_t mode);

/* Fails when the path leads to anything but a regular file, and says what it is. */
mfq_status mfq_foreign_check_mode(const mfq_reader *reader, mode_t mode);

/* Fails when the first bytes show another kind of file, and says which and what to do with it. What may be a damaged
 * safetensors file gets through. */
mfq_status mfq_foreign_check_bytes(const mfq_reader *reader);

#endif
