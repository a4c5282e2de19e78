/* host/cpu/conv_cpu.h: the ways in which the CPU convolves, and the choice between them: rows as in gemm_cpu.h. */
#ifndef MFQ_HOST_CPU_CONV_CPU_H
#define MFQ_HOST_CPU_CONV_CPU_H

#include "../core/conv_problem.h"
#include "gemm_cpu.h"

typedef struct mfq_conv_row {
  const char *name;
  /* Returns 0, or 1 with why this row does not take the problem. */
  int (*refuse)(const mfq_context *context, const mfq_conv_problem *problem, mfq_line *why);
  mfq_status (*plan)(mfq_context *context, const mfq_conv_problem *problem, mfq_gemm_made *made);
  void (*plan_free)(mfq_context *context, void *state);
  mfq_status (*run)(mfq_context *context, const void *state, const mfq_conv_problem *problem, void *workspace);
} mfq_conv_row;

extern const mfq_conv_row mfq_conv_expanded;
extern const mfq_conv_row mfq_conv_reference;

/* The members of the backend table. */
mfq_status mfq_cpu_conv_plan(mfq_context *context, const mfq_conv_problem *problem, mfq_choice *choice);
void mfq_cpu_conv_plan_free(mfq_context *context, mfq_choice *choice);
mfq_status mfq_cpu_conv_run(mfq_context *context, const mfq_choice *choice, const mfq_conv_problem *problem,
                            void *workspace);

/* Of convolutions with a filter of one element. */
int mfq_cpu_conv_beats_product(const mfq_context *context, const mfq_conv_problem *problem);

#endif
