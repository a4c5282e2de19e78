/* host/io/quantized_parts.h: how the parts of a quantized tensor are named and stored in a file. */
#ifndef MFQ_HOST_IO_QUANTIZED_PARTS_H
#define MFQ_HOST_IO_QUANTIZED_PARTS_H

#include <mfq/io.h>

/* The tensor that holds one part. */
typedef struct mfq_part_spec {
  int32_t is_present;
  mfq_file_dtype dtype;
  int32_t rank;
  int64_t shape[MFQ_MAX_RANK];
} mfq_part_spec;

/* What is appended to the tensor's name, by part. */
extern const char *const mfq_part_suffixes[MFQ_PART_COUNT];

/* Fills the specification of each part of `q`, which has the layout of files. Returns the core's status. */
mfq_status mfq_parts_describe(const mfq_qtensor *q, mfq_qtensor_sizes *sizes, mfq_part_spec specs[MFQ_PART_COUNT]);

/* Returns 1 when the scheme has an axis that is left to be chosen. */
int mfq_scheme_axis_is_open(const mfq_scheme *scheme);

/* Returns "name" + suffix, to be freed; NULL when out of memory. */
char *mfq_part_name(const char *name, mfq_part part);

#endif
