/* cuda/gemm/row_list.h: an ordered list of ways to run a kind of problem: products, or convolutions. */
#ifndef MFQ_CUDA_GEMM_ROW_LIST_H
#define MFQ_CUDA_GEMM_ROW_LIST_H

#include "../../host/core/gemm_problem.h"
#include "../cuda_state.h"

/* Why an implementation does not take a problem, in a few words. */
typedef struct mfq_gemm_reason {
  char text[160];
} mfq_gemm_reason;

template <class Problem> struct mfq_cuda_row;

/* What a row planned for one problem. */
template <class Problem> struct mfq_cuda_way {
  const mfq_cuda_row<Problem> *row;
  void *state; /* the row's own, from malloc */
  size_t workspace_bytes;
  char how[200]; /* after the row's name in the description: "bf16 by cuBLASLt 13.1" */
};

/* One way. All rows see the same problem, whose sizes may be 0 but for the result's. */
template <class Problem> struct mfq_cuda_row {
  const char *name; /* "expanded" */
  /* Returns OK with state, workspace_bytes and `how` filled; UNSUPPORTED with `reason` filled and no sentence, when the
   * next row is to be asked; anything else ends the planning. */
  mfq_status (*plan)(mfq_context *context, const Problem *problem, mfq_cuda_way<Problem> *way, mfq_gemm_reason *reason);
  mfq_status (*run)(mfq_context *context, const mfq_cuda_way<Problem> *way, const Problem *problem, uint8_t *workspace);
  void (*free)(mfq_context *context, mfq_cuda_way<Problem> *way); /* NULL: nothing but `state` to free() */
};

/* The list, fastest first; the last takes everything, and alone has sums of the same bits everywhere. */
template <class Problem> struct mfq_cuda_row_list {
  const char *create; /* the public function that plans */
  const char *what;   /* "product" */
  const mfq_cuda_row<Problem> *const *rows;
  int count;
};

/* Asks one row after the other, for the backend's table: choose.h. */
template <class Problem>
mfq_status mfq_cuda_choose(mfq_context *context, const mfq_cuda_row_list<Problem> &list, const Problem *problem,
                           mfq_choice *choice);
template <class Problem> void mfq_cuda_choice_free(mfq_context *context, mfq_choice *choice);
template <class Problem>
mfq_status mfq_cuda_choice_run(mfq_context *context, const mfq_choice *choice, const Problem *problem, void *workspace);

#endif
