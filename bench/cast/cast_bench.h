/* bench/cast/cast_bench.h: the benchmark of casts: operations x types x schemes, beside copies. */
#ifndef MFQ_BENCH_CAST_BENCH_H
#define MFQ_BENCH_CAST_BENCH_H

#include "bench/common/ceilings.h"
#include "bench/common/subject.h"

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

typedef enum cast_operation {
  CAST_QUANTIZE,       /* groups along the last axis */
  CAST_STRIDED,        /* groups along axis 0, codes in logical order */
  CAST_STRIDED_TURNED, /* groups along axis 0, codes with the group last */
  CAST_BOTH,           /* both directions from one read, the second one turned */
  CAST_SQUARE,         /* the same of one set of codes, which the second one has transposed */
  CAST_REPACK_TURNED,  /* from logical order to the group last, or transposed */
  CAST_REPACK_BYTES,   /* from one bit stream to a byte a code */
  CAST_REPACK_TILES,   /* from logical order of scales to tiles of 128 x 4 */
  CAST_DEQUANTIZE,
  CAST_FAKE,            /* quantize and dequantize in one step */
  CAST_FAKE_MASKED,     /* the same with a mask */
  CAST_BACKWARD,        /* of that, masked at the clip: the gradient of the elements alone */
  CAST_BACKWARD_MASKED, /* the same by the mask */
  CAST_SEARCH_MSE,      /* searches, each with its method's own candidates: to be compared with `quantize` */
  CAST_SEARCH_UP,
  CAST_SEARCH_4OVER6,
  CAST_OBSERVE_ABSMAX, /* statistics of the scales' elements, in the place of scales */
  CAST_OBSERVE_MINMAX,
  CAST_OBSERVE_PERCENTILE,
  CAST_OBSERVE_MEAN,
  CAST_OPERATIONS
} cast_operation;
const char *cast_operation_name(cast_operation operation);
static inline int cast_is_repack(cast_operation operation) {
  return operation >= CAST_REPACK_TURNED && operation <= CAST_REPACK_TILES;
}
/* Whether codes are read, which a quantization makes before. */
static inline int cast_reads_codes(cast_operation operation) {
  return operation == CAST_DEQUANTIZE || cast_is_repack(operation);
}
static inline int cast_is_search(cast_operation operation) {
  return operation >= CAST_SEARCH_MSE && operation <= CAST_SEARCH_4OVER6;
}
static inline int cast_is_observation(cast_operation operation) { return operation >= CAST_OBSERVE_ABSMAX; }
/* Whether the result is elements; otherwise it is codes and scales, or a mask. */
static inline int cast_makes_values(cast_operation operation) {
  return operation >= CAST_DEQUANTIZE && operation <= CAST_BACKWARD_MASKED && operation != CAST_FAKE_MASKED;
}
static inline int cast_is_masked(cast_operation operation) {
  return operation == CAST_FAKE_MASKED || operation == CAST_BACKWARD_MASKED;
}
/* What makes the parts that an operation reads; the operation itself where it reads none. */
static inline cast_operation cast_preparation(cast_operation operation) {
  if (cast_reads_codes(operation)) return CAST_QUANTIZE;
  return operation == CAST_BACKWARD_MASKED ? CAST_FAKE_MASKED : operation;
}

enum { CAST_ALIASES = 512 };

typedef struct cast_row {
  bench_row common; /* named "quantize f32 mxfp8_e4m3" */
  cast_operation operation;
  mfq_dtype dtype;
  mfq_scheme scheme, turned; /* the second one for two directions */
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

/* Of rows that were timed. */
double cast_row_bandwidth(const cast_row *row); /* bytes a second, of the median */
double cast_row_copy(const cast_row *row);
double cast_row_share(const cast_row *row); /* percent of the copy bandwidth */
int cast_row_misses(const cast_row *row);   /* 0 for others */

/* The quantized tensors of a row over `memory`: one, or two for both directions and for both ends of a repack; and
 * its mask. */
typedef struct cast_parts {
  mfq_qtensor q[2];
  int count;
  mfq_mask mask;              /* bits NULL: none */
  double bytes, source_bytes; /* that they hold, and that the first of two does */
  double scale_bytes;         /* of the last one's scales */
  size_t used;                /* of `memory` */
} cast_parts;
/* `memory`, on any device, may be NULL: only sizes then. */
mfq_status cast_parts_place(const cast_row *row, int64_t rows, int64_t cols, uint8_t *memory, cast_parts *parts);
/* Fills in the scales and zero points that the caller must give; the parts are in host memory. */
void cast_parts_give(const cast_parts *parts);

/* Elements that a launch reads and writes; its operation, which may be the preparation of the row's. */
typedef struct cast_launch {
  cast_operation operation;
  void *source, *upstream, *target;
} cast_launch;
mfq_status cast_row_launch(mfq_context *context, const cast_row *row, const cast_parts *parts, int64_t rows,
                           const cast_launch *launch);

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

/* Compares rows, on small matrices with and without short groups at their ends, with the CPU's reference path. */
typedef struct cast_verifier cast_verifier;
/* Return exit codes; cast_verify BENCH_WRONG for a row that differs. */
int cast_verifier_create(const bench_run *run, cast_verifier **verifier);
int cast_verify(cast_verifier *verifier, const cast_row *row);
void cast_verifier_destroy(cast_verifier *verifier);

/* ---- The benchmark ---------------------------------------------------------------------------------------------- */

/* A row that is run again and again. */
typedef struct cast_task {
  const struct cast_bench *bench;
  const cast_row *row;
  bench_slots parts;
  cast_operation operation;
} cast_task;

typedef struct cast_bench {
  long long height, width; /* of the matrices; rows of the CPU's general path are less high; 0: the usual size */
  cast_verifier *verifier;
  const bench_run *run;
  bench_slots source, target; /* of one dtype */
  bench_copies copies;
  cast_task tasks[BENCH_BATCH];
} cast_bench;

/* Of the subject. */
int cast_list(bench_run *run);

#endif
