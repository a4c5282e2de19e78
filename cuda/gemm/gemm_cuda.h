/* cuda/gemm/gemm_cuda.h: the ordered list of ways to run a product on a GPU. */
#ifndef MFQ_CUDA_GEMM_GEMM_CUDA_H
#define MFQ_CUDA_GEMM_GEMM_CUDA_H

#include "../../host/core/gemm_problem.h"
#include "../cuda_state.h"

/* Why an implementation does not take a product, in a few words. */
typedef struct mfq_gemm_reason {
  char text[160];
} mfq_gemm_reason;

struct mfq_cuda_gemm;

/* One way. All rows see the same problem, whose sizes may be 0 but for D's. */
typedef struct mfq_cuda_gemm_row {
  const char *name; /* "expanded" */
  /* Returns OK with state, workspace_bytes and `how` filled; UNSUPPORTED with `reason` filled and no sentence, when the
   * next row is to be asked; anything else ends the planning. */
  mfq_status (*plan)(mfq_context *context, const mfq_gemm_problem *problem, struct mfq_cuda_gemm *gemm,
                     mfq_gemm_reason *reason);
  mfq_status (*run)(mfq_context *context, const struct mfq_cuda_gemm *gemm, const mfq_gemm_problem *problem,
                    uint8_t *workspace);
  void (*free)(mfq_context *context, struct mfq_cuda_gemm *gemm); /* NULL: nothing but `state` to free() */
} mfq_cuda_gemm_row;

typedef struct mfq_cuda_gemm {
  const mfq_cuda_gemm_row *row;
  void *state; /* the row's own, from malloc */
  size_t workspace_bytes;
  char how[200]; /* after the row's name in the description: "bf16 by cuBLASLt 13.1" */
} mfq_cuda_gemm;

/* Fastest first; the last takes everything. */
extern const mfq_cuda_gemm_row mfq_cuda_gemm_native;
extern const mfq_cuda_gemm_row mfq_cuda_gemm_folded;
extern const mfq_cuda_gemm_row mfq_cuda_gemm_few_rows;
extern const mfq_cuda_gemm_row mfq_cuda_gemm_expanded;
extern const mfq_cuda_gemm_row mfq_cuda_gemm_tile;
extern const mfq_cuda_gemm_row mfq_cuda_gemm_general;

/* The members of the backend table. */
mfq_status mfq_cuda_gemm_plan(mfq_context *context, const mfq_gemm_problem *problem, mfq_gemm_choice *choice);
void mfq_cuda_gemm_plan_free(mfq_context *context, mfq_gemm_choice *choice);
mfq_status mfq_cuda_gemm_run(mfq_context *context, const mfq_gemm_choice *choice, const mfq_gemm_problem *problem,
                             void *workspace);

#endif
