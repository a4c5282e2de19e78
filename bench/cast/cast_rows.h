/* bench/cast/cast_rows.h: the rows of the cast benchmark: what is measured, and what came out. */
#ifndef MFQ_BENCH_CAST_ROWS_H
#define MFQ_BENCH_CAST_ROWS_H

#include "bench/common/record.h"

typedef enum cast_operation {
  CAST_QUANTIZE,       /* groups along the last axis */
  CAST_STRIDED,        /* groups along axis 0, codes in logical order */
  CAST_STRIDED_TURNED, /* groups along axis 0, codes with the group last */
  CAST_BOTH,           /* both directions from one read, the second one turned */
  CAST_DEQUANTIZE,
  CAST_OPERATIONS
} cast_operation;
const char *cast_operation_name(cast_operation operation);

enum { CAST_ALIASES = 512 };

typedef struct cast_row {
  bench_row common; /* named "quantize f32 mxfp8_e4m3" */
  cast_operation operation;
  mfq_dtype dtype;
  mfq_scheme scheme, turned; /* the second one for CAST_BOTH */
  char text[MFQ_SCHEME_TEXT_MAX];
  char aliases[CAST_ALIASES]; /* names with equal schemes (dequantize: equal codes and scales), measured once */
  mfq_support support;
  int32_t target; /* percent of the copy bandwidth */
  int64_t rows, cols;
  double read, written;         /* bytes that our way must move at least: some read their input twice */
  size_t slot_bytes;            /* quantized parts */
  bench_quantiles copy_seconds; /* of the copies in between */
  double copied;                /* bytes of one, read + written */
} cast_row;

typedef struct cast_rows {
  cast_row *items;
  int count;
  int64_t height, width; /* of the matrices; rows of the CPU's general path are less high */
} cast_rows;

/* What rows are chosen by. */
typedef struct cast_choice {
  const mfq_context *context;
  int is_device;      /* goals of a GPU, and the general path on all rows */
  const char *filter; /* POSIX extended regular expression, or NULL */
  int64_t rows, cols;
} cast_choice;

/* Lists the rows. Returns an exit code. */
int cast_rows_create(const cast_choice *choice, cast_rows *rows);
void cast_rows_destroy(cast_rows *rows);

/* Of rows that were timed. */
double cast_row_bandwidth(const cast_row *row); /* bytes a second, of the median */
double cast_row_copy(const cast_row *row);
double cast_row_share(const cast_row *row); /* percent of the copy bandwidth */
int cast_row_misses(const cast_row *row);   /* 0 for others */

/* The quantized tensors of a row over `memory`: one, or two for CAST_BOTH. */
typedef struct cast_parts {
  mfq_qtensor q[2];
  int count;
  size_t bytes[2]; /* of all parts together */
  int64_t scale_count[2];
  size_t zero_points_bytes[2];
  size_t used; /* of `memory` */
} cast_parts;
/* `memory`, on any device, may be NULL: only sizes then. */
mfq_status cast_parts_place(const cast_row *row, int64_t rows, int64_t cols, uint8_t *memory, cast_parts *parts);
/* Fills in the scales and zero points that the caller must give; the parts are in host memory. */
void cast_parts_give(const cast_parts *parts);

#endif
