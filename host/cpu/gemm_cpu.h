/* host/cpu/gemm_cpu.h: the ways in which the CPU multiplies matrices, and the choice between them.
 *
 * Each way is a row: the first one in the list that does not refuse a problem runs it. A run gets all its memory in its
 * workspace; several threads may run one plan, so nothing that belongs to the context is written. */
#ifndef MFQ_HOST_CPU_GEMM_CPU_H
#define MFQ_HOST_CPU_GEMM_CPU_H

#include "../core/context_state.h"
#include "../core/gemm_problem.h"

/* A short text, for reasons and descriptions. */
typedef struct mfq_line {
  char text[400];
} mfq_line;

/* What a row fills when it plans. */
typedef struct mfq_gemm_made {
  void *state;            /* the row's own, from context->alloc; NULL: none */
  size_t workspace_bytes; /* of each run */
  mfq_line how;           /* "bf16 by oneDNN 2.6.3" */
} mfq_gemm_made;

typedef struct mfq_gemm_row {
  const char *name;
  /* Returns 0, or 1 with why this row does not take the problem: "M is 512, at most 8". */
  int (*refuse)(const mfq_context *context, const mfq_gemm_problem *problem, mfq_line *why);
  mfq_status (*plan)(mfq_context *context, const mfq_gemm_problem *problem, mfq_gemm_made *made);
  void (*plan_free)(mfq_context *context, void *state);
  mfq_status (*run)(mfq_context *context, const void *state, const mfq_gemm_problem *problem, void *workspace);
} mfq_gemm_row;

/* A faster row that did not take a problem. */
typedef struct mfq_refusal {
  const char *name;
  mfq_line why;
} mfq_refusal;

/* Writes "<name>: <how>; not <faster>: <why>", the nearest refusal first. */
void mfq_cpu_describe(mfq_choice *choice, const char *name, const mfq_line *how, const mfq_refusal *refused, int count);

extern const mfq_gemm_row mfq_gemm_few_rows;
extern const mfq_gemm_row mfq_gemm_expanded;
extern const mfq_gemm_row mfq_gemm_reference;

/* The members of the backend table. */
mfq_status mfq_cpu_gemm_plan(mfq_context *context, const mfq_gemm_problem *problem, mfq_choice *choice);
void mfq_cpu_gemm_plan_free(mfq_context *context, mfq_choice *choice);
mfq_status mfq_cpu_gemm_run(mfq_context *context, const mfq_choice *choice, const mfq_gemm_problem *problem,
                            void *workspace);

#endif
