/* cuda/repack/repack_cuda.cu: the same codes and scales in another layout, and for other groups. */
#include "host/core/problem/regroup.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_context.h"
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

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

static mfq_status repack_scales(mfq_context *context, const mfq_qview *src, const mfq_qview *dst,
                                const mfq_regroup *groups) {
  cudaStream_t stream = mfq_cuda_state_of(context)->stream;
  const mfq_walk_extras extras = {};
  repack_scales_params p = {};
  mfq_lower(&dst->q.scheme, &p.scheme);
  p.walk = mfq_cuda_walk_plan(&groups->taken, &extras);
  p.from = mfq_cuda_scale_slots(src);
  p.to = mfq_cuda_scale_slots(dst);
  mfq_status status = MFQ_OK;
  if (dst->q.layout.scales == MFQ_SCALES_128X4)
    status = mfq_cuda_clear(context, dst->q.scales, dst->sizes.scales_bytes, function);
  if (status == MFQ_OK && dst->sizes.tensor_scale_bytes)
    status = mfq_cuda_queued(
        context,
        cudaMemcpyAsync(dst->q.tensor_scale, src->q.tensor_scale, sizeof(float), cudaMemcpyDeviceToDevice, stream),
        function);
  return status == MFQ_OK ? mfq_cuda_launch(context, items_of(p.walk.count), repack_scales_kernel, p) : status;
}

/* Scales that become one must be equal. */
static mfq_status check_merged(mfq_context *context, const mfq_cast *cast, const mfq_regroup *groups) {
  const cudaStream_t stream = mfq_cuda_state_of(context)->stream;
  const mfq_walk_extras extras = {};
  equal_scales_params p = {};
  uint32_t different = NO_SCALE;
  mfq_status status = mfq_cuda_refuse_capture(
      context, function, "the call waits for it to learn whether scales of src that become one are equal");
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
  const mfq_regroup groups = mfq_regroup_make(src, dst);
  mfq_status status = groups.is_merging ? check_merged(context, cast, &groups) : MFQ_OK;
  if (status == MFQ_OK && src->q.codes != dst->q.codes) status = repack_codes(context, src, dst);
  return status != MFQ_OK || dst->q.scheme.scale == MFQ_SCALE_NONE ? status : repack_scales(context, src, dst, &groups);
}

static const mfq_way general = {"general", mfq_plan_general, run, NULL};

const mfq_ways mfq_cuda_repacks = {function, NULL, 0, {&general}};
