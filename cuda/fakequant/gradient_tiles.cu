/* cuda/fakequant/gradient_tiles.cu: the backward along a strided axis. */
#include "fake_fast.h"
#include "gradient_plan.h"
#include "gradient_tile_kernel.cuh"

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview view = mfq_cuda_fake_view(context, cast);
  const quantize_call call = {context, cast->src, &view, 0, cast->dst, 0};
  gradient_tile_params *p;
  cast_rows rows;
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  mfq_choice_describe(choice, "columns of 128 rows in shared memory");
  if (status == MFQ_OK) status = mfq_cuda_tiles_plan(&call, &rows, &p->tile, why);
  return status == MFQ_OK ? mfq_cuda_gradient_how(cast, &p->tile.col.how, rows.vector_load, &p->how, why) : status;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const gradient_tile_params &p = *(const gradient_tile_params *)state;
  const mfq_qview view = mfq_cuda_fake_view(context, cast);
  const mfq_launch at = {cast->function, dim3((unsigned)p.tile.tiles), TILE_THREADS, 0};
  static void (*const kernels[][2])(gradient_tile_params) = {
      {gradient_tile_kernel<ELEMENT_F32, 0>, gradient_tile_kernel<ELEMENT_F32, 1>},
      {gradient_tile_kernel<ELEMENT_BF16, 0>, gradient_tile_kernel<ELEMENT_BF16, 1>},
      {gradient_tile_kernel<ELEMENT_F16, 0>, gradient_tile_kernel<ELEMENT_F16, 1>}};
  const mfq_status status = mfq_cuda_prepare_scales(context, cast, &view, state, mfq_cuda_tiles_collect);
  const int sums = mfq_cuda_gradient_has_sums(cast->gradient);
  return status == MFQ_OK ? mfq_cuda_launch(context, at, kernels[cast->src->dtype - MFQ_DTYPE_F32][sums], p) : status;
}

const mfq_way mfq_cuda_gradient_tiles = {"tiles", plan, run, NULL};
