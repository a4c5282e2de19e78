/* cuda/search/search_rows.cu: searches for groups along the contiguous axis. */
#include "cuda/cuda_ops.h"
#include "cuda/quantize/quantize_fast.h"
#include "search_rows.h"
#include "search_rows_kernel.cuh"

/* From one power of two to the next, as stored; 0 where scales are none, or not everywhere the same apart. */
static uint32_t power_of(const mfqn_scheme *s) {
  if (s->rule == MFQN_RULE_ABSMAX || s->is_brevitas || s->power_gain != 0.0f) return 0;
  return s->scale == MFQN_SCALE_UE8M0 ? 1u : s->scale == MFQN_SCALE_F32 ? 1u << 23 : 0u;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_candidates *c = cast->candidates;
  const quantize_call call = {context, cast->src, cast->view, 0, NULL, 0};
  search_rows_params *p;
  cast_rows rows;
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  if (status == MFQ_OK) status = mfq_cuda_rows_plan(&call, &rows, &p->rows, why);
  if (status != MFQ_OK) return status;
  const encoder *how = &p->rows.to.how;
  if (!mfqn_is_measured(&how->scheme)) return mfq_refuse(why, "the scheme measures no scales");
  if (p->rows.group_log2 < 0) return mfq_refuse(why, "scales of more than a group");
  if (c && c->kind != MFQ_CANDIDATES_PARTS) return mfq_refuse(why, "candidates are no parts of the statistic");
  if (c && c->importance) return mfq_refuse(why, "elements have weights");
  if (valuer_needs_codes(how)) return mfq_refuse(why, "values are made from codes");
  p->values = valuer_of(how, ELEMENT_F32);
  p->candidates = mfqn_candidates{0, c ? c->steps : 1, c ? c->first : 1, c ? c->last : 1, 0.0f};
  p->power = power_of(&how->scheme);
  mfq_choice_describe(choice, "16 elements a thread");
  return MFQ_OK;
}

static mfq_status collect(mfq_context *context, const mfq_cast *cast, const void *params, uint32_t *absmax) {
  return mfq_cuda_rows_collect(context, cast, &((const search_rows_params *)params)->rows, absmax);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const search_rows_params &p = *(const search_rows_params *)state;
  static void (*const kernels[])(search_rows_params) = {
      search_rows_kernel<ELEMENT_F32>, search_rows_kernel<ELEMENT_BF16>, search_rows_kernel<ELEMENT_F16>};
  const int64_t blocks = (p.rows.chunks + ROWS_THREADS - 1) / ROWS_THREADS;
  const mfq_launch at = {cast->function, dim3((unsigned)blocks), ROWS_THREADS, 0};
  const mfq_status status = mfq_cuda_prepare_scales(context, cast, cast->view, state, collect);
  if (status != MFQ_OK) return status;
  return mfq_cuda_launch(context, at, kernels[cast->src->dtype - MFQ_DTYPE_F32], p);
}

const mfq_way mfq_cuda_search_rows = {"rows", plan, run, NULL};
