/* cuda/observe/observe_rows.cu: ranks and sums of groups of 16 * 2^k elements along the contiguous axis. */
#include "cuda/quantize/quantize_fast.h"
#include "observe_rows_kernel.cuh"
#include "observe_ways.h"

static_assert(sizeof(observe_rows_params) <= 4096, "a kernel takes so many bytes");

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_observing *o = cast->observing;
  const int32_t observed = o ? (int32_t)o->observer->observed : (int32_t)MFQN_OBSERVED_ABSMAX;
  if (mfqn_observes_extremes(observed) || mfqn_observes_rows(observed))
    return mfq_refuse(why, "the statistic is neither of ranks nor of sums of elements");
  if (o->count > 1) return mfq_refuse(why, "several tensors share their scales");
  if (cast->view->q.scheme.granularity != MFQ_GRANULARITY_GROUP) return mfq_refuse(why, "scales of more than a group");
  const mfq_qview view = mfq_cuda_measured_view(cast->view, 0);
  const quantize_call call = {context, cast->src, &view, 1, NULL, 0};
  rows_params *p;
  cast_rows rows;
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  if (status == MFQ_OK) status = mfq_cuda_rows_plan(&call, &rows, p, why);
  mfq_choice_describe(choice, "16 elements a thread");
  return status;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  observe_params all;
  mfq_cuda_observe_params(cast, &all);
  const observe_rows_params p = {
      *(const rows_params *)state, all.to, all.scheme, all.observer, all.kind, all.is_signed};
  static void (*const kernels[][3])(observe_rows_params) = {
      {observe_sum_rows_kernel<ELEMENT_F32>, observe_sum_rows_kernel<ELEMENT_BF16>,
       observe_sum_rows_kernel<ELEMENT_F16>},
      {observe_rank_rows_kernel<ELEMENT_F32>, observe_rank_rows_kernel<ELEMENT_BF16>,
       observe_rank_rows_kernel<ELEMENT_F16>}};
  const int64_t blocks = (p.rows.chunks + ROWS_THREADS - 1) / ROWS_THREADS;
  const mfq_launch at = {cast->function, dim3((unsigned)blocks), ROWS_THREADS, 0};
  const mfq_status status = mfq_cuda_launch(
      context, at, kernels[mfqn_observes_ranks(p.observer.observed)][cast->src->dtype - MFQ_DTYPE_F32], p);
  return status == MFQ_OK ? mfq_cuda_count_nans(context, cast) : status;
}

const mfq_way mfq_cuda_observe_rows = {"rows", plan, run, NULL};
