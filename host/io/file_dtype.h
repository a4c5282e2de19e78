/* host/io/file_dtype.h: the table of element types of files. */
#ifndef MFQ_HOST_IO_FILE_DTYPE_H
#define MFQ_HOST_IO_FILE_DTYPE_H

#include <mfq/io.h>

/* Finds a dtype by its name in files; returns 0 for a name that is not in the table. */
mfq_file_dtype mfq_file_dtype_find(const char *name);

/* Finds the dtype whose elements are codes of the element format with this text; returns 0 when there is none. */
mfq_file_dtype mfq_file_dtype_find_format(const char *format);

/* Computes the bytes of a tensor. Returns 0, or -1 when the bits overflow 63 bits or do not fill whole bytes. */
int mfq_file_tensor_bytes(mfq_file_dtype dtype, int32_t rank, const int64_t *shape, uint64_t *bytes);

#endif
