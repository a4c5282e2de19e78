/* cuda/repack/repack_cuda.cu: the same codes and scales in another layout. */
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
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

static mfq_status repack_scales(mfq_context *context, const mfq_qview *src, const mfq_qview *dst) {
  cudaStream_t stream = mfq_cuda_state_of(context)->stream;
  mfq_walk walk;
  const mfq_walk_extras extras = {};
  repack_scales_params p = {};
  mfq_lower(&dst->q.scheme, &p.scheme);
  scale_walk(src, dst, &walk);
  p.walk = mfq_cuda_walk_plan(&walk, &extras);
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

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_qview *src = ((const mfq_cast *)problem)->view, *dst = ((const mfq_cast *)problem)->other;
  const mfq_status status = repack_codes(context, src, dst);
  if (status != MFQ_OK || dst->q.scheme.scale == MFQ_SCALE_NONE) return status;
  return repack_scales(context, src, dst);
}

static const mfq_way general = {"general", mfq_plan_general, run, NULL};

const mfq_ways mfq_cuda_repacks = {function, NULL, 0, {&general}};
