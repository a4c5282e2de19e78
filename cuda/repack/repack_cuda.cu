/* cuda/repack/repack_cuda.cu: the same codes and scales in another layout, and for other groups. */
#include "host/core/problem/regroup.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "cuda/shared_scales.h"
#include "repack_kernel.cuh"

static const char function[] = "mfq_repack";

static mfq_launch items_of(int64_t items) { return mfq_launch{function, mfq_cuda_item_grid(items), ITEM_THREADS, 0}; }

static mfq_status repack_codes(mfq_context *context, const mfq_qview *src, const mfq_qview *dst) {
  int64_t bit_strides[MFQ_MAX_RANK];
  mfq_walk walk;
  const mfq_walk_extras extras = {};
  mfq_code_bit_strides(src, bit_strides);
  mfq_walk_init(dst, bit_strides, &walk);
  for (int32_t k = 0; k < walk.rank; ++k) walk.scale_stride[k] = 0; /* so that more axes merge */
  repack_codes_params p = {};
  mfqn_scheme scheme;
  mfq_lower(&src->q.scheme, &scheme);
  p.walk = mfq_cuda_walk_plan(&walk, &extras);
  p.from = (const uint8_t *)src->q.codes;
  p.from_bits = mfq_code_bits(&src->q);
  p.bits = scheme.bits;
  p.to = mfq_cuda_chunk_rows(dst);
  return mfq_cuda_launch(context, items_of(p.to.count), repack_codes_kernel, p);
}

/* The target's scales as a walk of its scale shape, with the strides of the source's scales. */
static void scale_walk(const mfq_qview *src, const mfq_qview *dst, mfq_walk *walk) {
  int64_t from[MFQ_MAX_RANK];
  mfq_walk order;
  mfq_code_strides(src, src->sizes.scale_shape, from);
  mfq_walk_init(dst, from, &order); /* puts them into the target's order */
  *walk = mfq_walk{};
  walk->rank = dst->sizes.scale_rank;
  for (int32_t k = 0; k < walk->rank; ++k) {
    walk->shape[k] = dst->sizes.scale_shape[k];
    walk->offset_stride[k] = order.offset_stride[k];
    walk->scale_run[k] = 1;
  }
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

/* Of equal groups: the index in the source is an offset of the walk. Of others: it is the walk's scale. */
static mfq_status move_scales(mfq_context *context, const mfq_qview *src, const mfq_qview *dst,
                              const mfq_regroup *groups) {
  const mfq_walk_extras extras = {};
  mfq_walk walk;
  repack_scales_params p = {};
  mfq_lower(&dst->q.scheme, &p.scheme);
  if (groups == NULL) scale_walk(src, dst, &walk);
  p.walk = mfq_cuda_walk_plan(groups != NULL ? &groups->taken : &walk, &extras);
  p.from = mfq_cuda_scale_slots(src);
  p.to = mfq_cuda_scale_slots(dst);
  return mfq_cuda_launch(context, items_of(p.walk.count), groups != NULL ? take_scales_kernel : repack_scales_kernel,
                         p);
}

static mfq_status repack_scales(mfq_context *context, const mfq_qview *src, const mfq_qview *dst,
                                const mfq_regroup *groups) {
  cudaStream_t stream = mfq_cuda_state_of(context)->stream;
  mfq_status status = MFQ_OK;
  if (dst->q.layout.scales == MFQ_SCALES_128X4)
    status = mfq_cuda_clear(context, dst->q.scales, dst->sizes.scales_bytes, function);
  if (status == MFQ_OK && dst->sizes.tensor_scale_bytes)
    status = mfq_cuda_queued(
        context,
        cudaMemcpyAsync(dst->q.tensor_scale, src->q.tensor_scale, sizeof(float), cudaMemcpyDeviceToDevice, stream),
        function);
  return status == MFQ_OK ? move_scales(context, src, dst, groups) : status;
}

/* ---- Scales that become one -------------------------------------------------------------------------------------- */

static mfq_status refuse_capture(mfq_context *context) {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  const cudaError_t error = cudaStreamIsCapturing(mfq_cuda_state_of(context)->stream, &capture);
  if (error != cudaSuccess) return mfq_cuda_status(context, error, function);
  if (capture == cudaStreamCaptureStatusNone) return MFQ_OK;
  return mfq_fail(
      MFQ_ERROR_UNSUPPORTED, function,
      "scales of src become one where they are equal, which the call waits to learn, but its stream is being "
      "captured; repack before the capture");
}

static mfq_status check_merged(mfq_context *context, const mfq_cast *cast, const mfq_regroup *groups) {
  const cudaStream_t stream = mfq_cuda_state_of(context)->stream;
  const mfq_walk_extras extras = {};
  equal_scales_params p = {};
  uint32_t different = NO_SCALE;
  mfq_status status = refuse_capture(context);
  if (status != MFQ_OK) return status;
  mfq_lower(&cast->view->q.scheme, &p.scheme);
  p.walk = mfq_cuda_walk_plan(&groups->first, &extras);
  p.from = mfq_cuda_scale_slots(cast->view);
  p.different = mfq_cuda_scratch_word(context, SCRATCH_SLOTS);
  status = mfq_cuda_queued(context, cudaMemsetAsync(p.different, 0xff, sizeof different, stream), function);
  if (status == MFQ_OK) status = mfq_cuda_launch(context, items_of(p.walk.count), equal_scales_kernel, p);
  if (status == MFQ_OK)
    status = mfq_cuda_queued(
        context, cudaMemcpyAsync(&different, p.different, sizeof different, cudaMemcpyDeviceToHost, stream), function);
  if (status == MFQ_OK) status = mfq_cuda_status(context, cudaStreamSynchronize(stream), function);
  if (status != MFQ_OK || different == NO_SCALE) return status;
  return mfq_regroup_fail(function, cast->view, cast->other, different);
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview *src = cast->view, *dst = cast->other;
  const int is_regrouped = mfq_regroup_is_needed(src, dst);
  mfq_regroup groups = {};
  mfq_status status = MFQ_OK;
  if (is_regrouped) groups = mfq_regroup_make(src, dst);
  if (groups.is_merging) status = check_merged(context, cast, &groups);
  if (status == MFQ_OK && src->q.codes != dst->q.codes) status = repack_codes(context, src, dst);
  if (status != MFQ_OK || dst->q.scheme.scale == MFQ_SCALE_NONE) return status;
  return repack_scales(context, src, dst, is_regrouped ? &groups : NULL);
}

static const mfq_way general = {"general", mfq_plan_general, run, NULL};

const mfq_ways mfq_cuda_repacks = {function, NULL, 0, {&general}};
