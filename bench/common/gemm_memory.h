/* bench/common/gemm_memory.h: operands of products, and the calls that use them: of the benchmark of products, and of what
 * a device reaches at most. */
#ifndef MFQ_BENCH_GEMM_MEMORY_H
#define MFQ_BENCH_GEMM_MEMORY_H

#include "record.h"
#include "slots.h"

/* D is m x n, the depth is k. */
typedef struct gemm_size {
  int64_t m, n, k;
} gemm_size;

typedef enum gemm_mode {
  GEMM_QUANTIZED,   /* A and B quantized before */
  GEMM_WAY_IN,      /* A is bf16, and quantized by the product */
  GEMM_WEIGHT_ONLY, /* A is bf16, and multiplied as it is */
  GEMM_MODES
} gemm_mode;

double gemm_flops(const gemm_size *size);

/* Operands of one size, quantized by one scheme at a time. A is [m, k], B is [n, k]; plain ones are bf16. */
typedef struct gemm_memory {
  const bench_run *run;
  gemm_size size;
  mfq_dtype out_type;
  const bench_scheme *scheme;
  bench_slots a, b, d, qa, qb;
  mfq_buffer *workspace;
} gemm_memory;

/* Return exit codes. */
int gemm_memory_create(const bench_run *run, gemm_size size, mfq_dtype out_type, gemm_memory *memory);
int gemm_memory_quantize(gemm_memory *memory, const bench_scheme *scheme); /* A and B into qa and qb */
void gemm_memory_destroy(gemm_memory *memory);

/* The tensors of one launch and the description that points at them: not to be copied. */
typedef struct gemm_call {
  mfq_tensor a, b, d;
  mfq_qtensor qa, qb;
  mfq_gemm gemm;
} gemm_call;
/* `mode` GEMM_MODES: of the plain operands. */
mfq_status gemm_call_make(const gemm_memory *memory, gemm_mode mode, int turn, gemm_call *call);

/* A product that is run again and again. */
typedef struct gemm_task {
  gemm_memory *memory;
  gemm_mode mode; /* GEMM_MODES: of the plain operands */
  mfq_gemm_plan *plan;
} gemm_task;
int gemm_task_plan(gemm_task *task);        /* with workspace; returns an exit code */
int gemm_task_launch(void *task, int turn); /* of a racer */

#endif
