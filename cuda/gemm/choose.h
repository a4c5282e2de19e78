/* cuda/gemm/choose.h: which row of a list takes a problem, and why not a faster one. */
#ifndef MFQ_CUDA_GEMM_CHOOSE_H
#define MFQ_CUDA_GEMM_CHOOSE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cuda_context.h"
#include "../launch.cuh"
#include "row_list.h"

enum { MFQ_CUDA_MOST_ROWS = 8 };

/* A text that ends where its room does. */
typedef struct mfq_cuda_text {
  char *at;
  size_t room;
} mfq_cuda_text;

static inline void mfq_cuda_append(mfq_cuda_text *t, const char *before, const char *name, const char *between,
                                   const char *after) {
  const int length = snprintf(t->at, t->room, "%s%s%s%s", before, name, between, after);
  const size_t used = length < 0 ? 0 : (size_t)length < t->room ? (size_t)length : t->room - 1;
  t->at += used;
  t->room -= used;
}

/* Sums of the same bits everywhere: only the last. */
template <class Problem> int mfq_cuda_first_row(const mfq_context *context, const mfq_cuda_row_list<Problem> &list) {
  return context->policy == MFQ_REPRODUCIBLE ? list.count - 1 : 0;
}

template <class Problem>
void mfq_cuda_describe(const mfq_cuda_row_list<Problem> &list, const mfq_cuda_way<Problem> *way,
                       const mfq_gemm_reason *reasons, int first, mfq_choice *choice) {
  mfq_cuda_text t = {choice->description, sizeof choice->description};
  mfq_cuda_append(&t, "", way->row->name, way->how[0] != '\0' ? ": " : "", way->how);
  for (int r = first; list.rows[r] != way->row; ++r)
    mfq_cuda_append(&t, "; not ", list.rows[r]->name, ": ", reasons[r].text);
  if (first > 0) mfq_cuda_append(&t, "; not the others: the context asks for reproducible ", list.what, "s", "");
}

/* Leaves behind what the chosen row filled, or nothing. */
template <class Problem>
mfq_status mfq_cuda_ask(mfq_context *context, const mfq_cuda_row_list<Problem> &list, const Problem *problem,
                        mfq_cuda_way<Problem> *way, mfq_choice *choice) {
  mfq_gemm_reason reasons[MFQ_CUDA_MOST_ROWS];
  const int first = mfq_cuda_first_row(context, list);
  for (int r = first; r < list.count; ++r) {
    memset(way, 0, sizeof *way);
    reasons[r].text[0] = '\0';
    way->row = list.rows[r];
    const mfq_status status = way->row->plan(context, problem, way, &reasons[r]);
    if (status == MFQ_OK) mfq_cuda_describe(list, way, reasons, first, choice);
    if (status != MFQ_ERROR_UNSUPPORTED) return status;
  }
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, list.create, "no implementation takes the %s; the last says: %s", list.what,
                  reasons[list.count - 1].text);
}

template <class Problem>
mfq_status mfq_cuda_choose(mfq_context *context, const mfq_cuda_row_list<Problem> &list, const Problem *problem,
                           mfq_choice *choice) {
  const mfq_status is_free = mfq_cuda_refuse_capture(context, list.create, "a plan cannot be made then");
  if (is_free != MFQ_OK) return is_free;
  const mfq_cuda_relaxed relaxed; /* a library that is asked may allocate while other threads capture */
  mfq_cuda_way<Problem> *way = (mfq_cuda_way<Problem> *)malloc(sizeof *way);
  if (way == NULL)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, list.create, "no memory for %zu bytes of plan", sizeof *way);
  const mfq_status status = mfq_cuda_ask(context, list, problem, way, choice);
  if (status != MFQ_OK) {
    free(way);
    return status;
  }
  choice->state = way;
  choice->workspace_bytes = way->workspace_bytes;
  choice->is_general = way->row == list.rows[list.count - 1];
  return MFQ_OK;
}

template <class Problem> void mfq_cuda_choice_free(mfq_context *context, mfq_choice *choice) {
  mfq_cuda_way<Problem> *way = (mfq_cuda_way<Problem> *)choice->state;
  if (way == NULL) return;
  if (way->row->free != NULL) way->row->free(context, way);
  free(way->state);
  free(way);
  choice->state = NULL;
}

template <class Problem>
mfq_status mfq_cuda_choice_run(mfq_context *context, const mfq_choice *choice, const Problem *problem,
                               void *workspace) {
  const mfq_cuda_way<Problem> *way = (const mfq_cuda_way<Problem> *)choice->state;
  return way->row->run(context, way, problem, (uint8_t *)workspace);
}

#endif
