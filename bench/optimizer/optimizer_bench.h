/* bench/optimizer/optimizer_bench.h: the benchmark of optimizers: steps of one large tensor, by how its moments are kept and which
 * codes are written, beside copies. */
#ifndef MFQ_OPTIMIZER_BENCH_H
#define MFQ_OPTIMIZER_BENCH_H

#include "bench/common/ceilings.h"
#include "bench/common/subject.h"

/* Which codes of the new values a step writes. */
typedef enum optimizer_codes { OPTIMIZER_NO_CODES, OPTIMIZER_BOTH, OPTIMIZER_SQUARE, OPTIMIZER_CODES } optimizer_codes;

typedef struct optimizer_row {
  bench_row common; /* named "adamw f32 MOMENTS CODES" */
  mfq_optimizer_kind kind;
  mfq_dtype dtype; /* of the value; bf16 is rounded stochastically, and has gradients of its own type */
  int moments;     /* which ones; of SGD none */
  optimizer_codes codes;
  int32_t target; /* percent of the copy bandwidth */
  bench_quantiles copy_seconds;
  double copied;
} optimizer_row;

/* Percent of the copy bandwidth, of rows that were timed. */
double optimizer_row_share(const optimizer_row *row);
/* The rows of the subject. */
int optimizer_list(bench_run *run);

/* One optimizer of a tensor of rows x cols on a context. */
typedef struct optimizer_task {
  const optimizer_row *row;
  mfq_buffer *value, *gradient, *codes;
  mfq_optimizer *optimizer;
  double bytes; /* that a step must move: values, gradients twice, moments, codes */
} optimizer_task;
/* With normal random numbers. Returns an exit code. */
int optimizer_task_create(mfq_context *context, const optimizer_row *row, const int64_t *shape, optimizer_task *task);
void optimizer_task_destroy(optimizer_task *task);
/* Whether some steps on the context leave the values of the CPU's reference path; an exit code. */
int optimizer_verify(mfq_context *context, const optimizer_row *row);

#endif
