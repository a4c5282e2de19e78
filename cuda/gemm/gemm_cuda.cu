/* cuda/gemm/gemm_cuda.cu: which implementation a product takes, and why not a faster one. */
#include "gemm_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cuda_context.h"
#include "../launch.cuh"

namespace {

const char create[] = "mfq_gemm_plan_create";

/* ---- The list, fastest first ------------------------------------------------------------------------------------- */

const mfq_cuda_gemm_row *const rows[] = {
    &mfq_cuda_gemm_native,   &mfq_cuda_gemm_folded, &mfq_cuda_gemm_few_rows,
    &mfq_cuda_gemm_expanded, &mfq_cuda_gemm_tile,   &mfq_cuda_gemm_general,
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* Sums of the same bits everywhere: only the last. */
int first_row(const mfq_context *context) { return context->policy == MFQ_REPRODUCIBLE ? ROWS - 1 : 0; }

/* ---- Descriptions ------------------------------------------------------------------------------------------------ */

/* A text that ends where its room does. */
struct text {
  char *at;
  size_t room;
};

void append(text *t, const char *before, const char *name, const char *between, const char *after) {
  const int length = snprintf(t->at, t->room, "%s%s%s%s", before, name, between, after);
  const size_t used = length < 0 ? 0 : (size_t)length < t->room ? (size_t)length : t->room - 1;
  t->at += used;
  t->room -= used;
}

void describe(const mfq_context *context, const mfq_cuda_gemm *gemm, const mfq_gemm_reason *reasons, int chosen,
              mfq_gemm_choice *choice) {
  text t = {choice->description, sizeof choice->description};
  append(&t, "", gemm->row->name, gemm->how[0] != '\0' ? ": " : "", gemm->how);
  for (int r = first_row(context); r < chosen; ++r) append(&t, "; not ", rows[r]->name, ": ", reasons[r].text);
  if (first_row(context) > 0) append(&t, "", "", "", "; not the others: the context asks for reproducible products");
}

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

/* Asks one row after the other. Leaves behind what the chosen row filled, or nothing. */
mfq_status choose(mfq_context *context, const mfq_gemm_problem *problem, mfq_cuda_gemm *gemm, mfq_gemm_choice *choice) {
  mfq_gemm_reason reasons[ROWS];
  for (int r = first_row(context); r < ROWS; ++r) {
    memset(gemm, 0, sizeof *gemm);
    reasons[r].text[0] = '\0';
    gemm->row = rows[r];
    const mfq_status status = rows[r]->plan(context, problem, gemm, &reasons[r]);
    if (status == MFQ_OK) {
      describe(context, gemm, reasons, r, choice);
      return MFQ_OK;
    }
    if (status != MFQ_ERROR_UNSUPPORTED) return status;
  }
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, create, "no implementation takes the product; the last says: %s",
                  reasons[ROWS - 1].text);
}

} // namespace

mfq_status mfq_cuda_gemm_plan(mfq_context *context, const mfq_gemm_problem *problem, mfq_gemm_choice *choice) {
  const mfq_status is_free = mfq_cuda_refuse_capture(context, create, "a plan cannot be made then");
  if (is_free != MFQ_OK) return is_free;
  const mfq_cuda_relaxed relaxed; /* a library that is asked may allocate while other threads capture */
  mfq_cuda_gemm *gemm = (mfq_cuda_gemm *)malloc(sizeof *gemm);
  if (gemm == NULL) return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, create, "no memory for %zu bytes of plan", sizeof *gemm);
  const mfq_status status = choose(context, problem, gemm, choice);
  if (status != MFQ_OK) {
    free(gemm);
    return status;
  }
  choice->state = gemm;
  choice->workspace_bytes = gemm->workspace_bytes;
  choice->is_general = gemm->row == rows[ROWS - 1];
  return MFQ_OK;
}

void mfq_cuda_gemm_plan_free(mfq_context *context, mfq_gemm_choice *choice) {
  mfq_cuda_gemm *gemm = (mfq_cuda_gemm *)choice->state;
  if (gemm == NULL) return;
  if (gemm->row->free != NULL) gemm->row->free(context, gemm);
  free(gemm->state);
  free(gemm);
  choice->state = NULL;
}

mfq_status mfq_cuda_gemm_run(mfq_context *context, const mfq_gemm_choice *choice, const mfq_gemm_problem *problem,
                             void *workspace) {
  const mfq_cuda_gemm *gemm = (const mfq_cuda_gemm *)choice->state;
  return gemm->row->run(context, gemm, problem, (uint8_t *)workspace);
}
