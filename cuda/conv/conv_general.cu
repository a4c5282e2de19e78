/* cuda/conv/conv_general.cu: the last way of the list: every convolution, reproducible. */
#include "host/core/integers.h"
#include "cuda/product/side_params.h"
#include "cuda/launch.cuh"
#include "conv_cuda.h"
#include "conv_general_kernel.cuh"
#include "conv_params.h"

namespace {

/* The workspace: operands that are quantized on the way, and all sums. */
struct parts {
  mfq_conv_parts sides;
  size_t sums, end;
};

parts parts_of(const mfq_conv_problem *p) {
  const mfq_finish *f = &p->finish;
  parts at = {};
  at.sides = mfq_cuda_conv_take(p, &at.end);
  at.sums = mfq_workspace_take(&at.end, (size_t)(f->batches * f->m * f->n) * sizeof(float));
  return at;
}

mfq_status plan(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_conv_problem *problem = (const mfq_conv_problem *)of;
  (void)context;
  (void)reason;
  choice->is_general = 1;
  choice->workspace_bytes = parts_of(problem).end;
  mfq_choice_describe(choice, "one rounding for each run of at most %d", (int)MFQN_DOT_RUN);
  return MFQ_OK;
}

conv_general_side side_of(const mfq_conv_side *side, int axis) {
  conv_general_side s = {};
  s.side = mfq_cuda_conv_side(side);
  s.axis = axis;
  s.size = side->size[axis];
  s.group = s.side.part.group != 0 && side->scale_stride[axis] != 0 ? side->scale_run[axis] : 0;
  return s;
}

/* Which rows, lanes and lines the direction has. */
void plan_direction(const mfq_conv_problem *problem, conv_general_params *p) {
  const conv_geometry *g = &p->geometry;
  p->is_weight = problem->direction == MFQ_CONV_WEIGHT_GRADIENT;
  p->is_forward = problem->direction == MFQ_CONV_FORWARD;
  p->channels = p->is_forward ? g->in_channels : g->out_channels;
  p->row_pixels = problem->out[2];
  p->rows = problem->direction == MFQ_CONV_INPUT_GRADIENT ? g->in_channels : g->out_channels;
  p->lanes = p->is_weight ? g->in_channels : g->batch * g->pixels;
  p->lines = p->is_weight ? g->batch * problem->out[0] * problem->out[1] : g->taps;
  p->row_step = p->is_weight ? g->taps * p->lanes : 1;
  p->lane_step = p->is_weight ? 1 : g->groups * p->rows;
  p->tap_step = p->is_weight ? p->lanes : 0;
}

mfq_status sum_products(mfq_context *context, const mfq_conv_problem *problem, float *sums) {
  const int is_weight = problem->direction == MFQ_CONV_WEIGHT_GRADIENT;
  const int along_channels = problem->direction == MFQ_CONV_FORWARD ? MFQ_CONV_CHANNELS : 0, last_spatial = 3;
  const int64_t most = 0x7fffffff;
  conv_general_params p = {};
  p.direct = side_of(mfq_conv_direct(problem), is_weight ? last_spatial : along_channels);
  p.gathered = side_of(mfq_conv_gathered(problem), is_weight ? last_spatial : MFQ_CONV_CHANNELS);
  p.geometry = mfq_cuda_conv_geometry(problem);
  p.plan = mfq_cuda_dot_plan(&mfq_conv_direct(problem)->part, &mfq_conv_gathered(problem)->part);
  plan_direction(problem, &p);
  const int64_t row_tiles = mfq_ceil_div(p.rows, CONV_GENERAL_TILE),
                lane_tiles = mfq_ceil_div(p.lanes, CONV_GENERAL_TILE);
  const int64_t tile_taps = is_weight ? p.geometry.taps : 1;
  p.tiles = problem->groups * tile_taps * row_tiles * lane_tiles;
  p.row_tiles = divisor64_make(row_tiles);
  p.lane_tiles = divisor64_make(lane_tiles);
  p.tile_taps = divisor64_make(tile_taps);
  p.sums = sums;
  const mfq_launch at = {"mfq_conv_run", dim3((unsigned)(p.tiles < most ? p.tiles : most)), CONV_GENERAL_THREADS, 0};
  return mfq_cuda_launch(context, at, conv_general_kernel, p);
}

mfq_status run(mfq_context *context, const void *, const void *of, uint8_t *workspace) {
  const mfq_conv_problem *problem = (const mfq_conv_problem *)of;
  const parts at = parts_of(problem);
  float *sums = (float *)(workspace + at.sums);
  return mfq_cuda_conv_run(context, problem, at.sides, workspace, [&](mfq_context *own, const mfq_conv_problem *p) {
    const mfq_status status = sum_products(own, p, sums);
    return status == MFQ_OK ? mfq_cuda_conv_finish(own, p, sums) : status;
  });
}

} // namespace

const mfq_way mfq_cuda_conv_general = {"general", plan, run, NULL};
