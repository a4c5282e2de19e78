/* cuda/fakequant/fake_tiles.cu: groups along a strided axis. */
#include "fake_fast.h"
#include "fake_tile_kernel.cuh"

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview view = mfq_cuda_fake_view(context, cast);
  const quantize_call call = {context, cast->src, &view, 0, cast->dst, 0};
  fake_tile_params *p;
  cast_rows rows;
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  mfq_choice_describe(choice, "columns of 128 rows in shared memory");
  if (status == MFQ_OK) status = mfq_cuda_tiles_plan(&call, &rows, &p->tile, why);
  if (status != MFQ_OK) return status;
  if (cast->dst->dtype != cast->src->dtype)
    return mfq_refuse(why, "values of another dtype do not fit in the place of their elements");
  p->mask = mfq_cuda_mask_target(cast, &p->tile.col.how, &rows);
  return mfq_cuda_fake_target(cast, &p->tile.col.how, &rows, &p->to, why);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const fake_tile_params &p = *(const fake_tile_params *)state;
  const mfq_qview view = mfq_cuda_fake_view(context, cast);
  const mfq_launch at = {cast->function, dim3((unsigned)p.tile.tiles), TILE_THREADS, 0};
  static void (*const kernels[][2])(fake_tile_params) = {
      {fake_tile_kernel<ELEMENT_F32, 0>, fake_tile_kernel<ELEMENT_F32, 1>},
      {fake_tile_kernel<ELEMENT_BF16, 0>, fake_tile_kernel<ELEMENT_BF16, 1>},
      {fake_tile_kernel<ELEMENT_F16, 0>, fake_tile_kernel<ELEMENT_F16, 1>}};
  static void (*const masked[])(fake_tile_params) = {fake_masked_tile_kernel<ELEMENT_F32>,
                                                     fake_masked_tile_kernel<ELEMENT_BF16>,
                                                     fake_masked_tile_kernel<ELEMENT_F16>};
  const int by_codes = valuer_needs_codes(&p.tile.col.how), dtype = cast->src->dtype - MFQ_DTYPE_F32;
  mfq_status status = mfq_cuda_prepare_scales(context, cast, &view, state, mfq_cuda_tiles_collect);
  if (status == MFQ_OK && p.mask.bits) return mfq_cuda_launch(context, at, masked[dtype], p);
  if (status == MFQ_OK) status = mfq_cuda_fake_mask(context, cast, NULL);
  return status == MFQ_OK ? mfq_cuda_launch(context, at, kernels[dtype][by_codes], p) : status;
}

const mfq_way mfq_cuda_fake_tiles = {"tiles", plan, run, NULL};
