/* bench/produce/produce_bench.h: the benchmark of producers: what is made x types x where it goes, beside copies. */
#ifndef MFQ_BENCH_PRODUCE_BENCH_H
#define MFQ_BENCH_PRODUCE_BENCH_H

#include "bench/common/ceilings.h"
#include "bench/common/subject.h"

typedef enum made_kind {
  MADE_SWIGLU,
  MADE_SWIGLU_BACKWARD,
  MADE_GELU,
  MADE_GELU_BACKWARD,
  MADE_RMSNORM, /* of the sum with a residual, which is written */
  MADE_RMSNORM_BACKWARD,
  MADE_LAYERNORM,
  MADE_LAYERNORM_BACKWARD,
  MADE_SOFTMAX,
  MADE_SOFTMAX_BACKWARD,
  MADE_KINDS
} made_kind;

/* Where results go. */
typedef struct made_target {
  const char *name;
  mfq_dtype plain;       /* 0: nowhere */
  const char *row, *col; /* texts of schemes; NULL: no codes */
  mfq_code_order order;  /* of the second ones */
} made_target;

typedef struct made_row {
  bench_row common; /* named "swiglu-backward bf16 mxfp8-both" */
  made_kind kind;
  mfq_dtype dtype;
  const made_target *target;
  int32_t goal; /* percent of the copy bandwidth */
  int64_t rows, cols;
  double read, written; /* bytes that must be moved at least */
  size_t input_bytes, output_bytes;
  bench_quantiles copy_seconds;
  double copied;
} made_row;

double made_row_bandwidth(const made_row *row);
double made_row_copy(const made_row *row);
double made_row_share(const made_row *row); /* percent of the copy bandwidth */
int made_row_misses(const made_row *row);
const char *made_kind_name(made_kind kind);

/* Places a call's tensors in memory, which may be NULL where only sizes are wanted, counts what they move, and makes the
 * call where a context is given. */
typedef struct made_memory {
  uint8_t *inputs, *outputs;
  size_t input_bytes, output_bytes;
  double read, written;
} made_memory;
mfq_status made_call(mfq_context *context, const made_row *row, int64_t rows, int64_t cols, made_memory *memory);

int made_list(bench_run *run); /* of the subject */

typedef struct produce_bench produce_bench;
typedef struct made_task {
  const produce_bench *bench;
  const made_row *row;
  bench_slots inputs, outputs;
} made_task;

struct produce_bench {
  long long height, width; /* of the results; of a gate's gradient twice as wide */
  const bench_run *run;
  mfq_context *reference;
  bench_copies copies;
  made_task tasks[BENCH_BATCH];
};

#endif
