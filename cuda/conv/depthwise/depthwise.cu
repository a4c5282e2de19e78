/* cuda/conv/depthwise/depthwise.cu: the row for groups of one channel, channels last. */
#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "cuda/conv/conv_cuda.h"
#include "cuda/conv/conv_params.h"
#include "cuda/product/side_params.h"
#include "depthwise_kernel.cuh"
#include "depthwise_weight_kernel.cuh"

static_assert(sizeof(depthwise_params) <= 4096 && sizeof(depthwise_weight_params) <= 4096, "parameters of a kernel");

namespace {

const char function[] = "mfq_conv_run";

/* ---- Operands ---------------------------------------------------------------------------------------------------- */

/* Whether steps of all axes but the channels are multiples of `unit`. */
int are_multiples(const mfq_conv_side *side, const int64_t *steps, int64_t unit) {
  for (int i = 0; i < MFQ_CONV_CHANNELS; ++i)
    if (side->size[i] > 1 && steps[i] % unit != 0) return 0;
  return 1;
}

const char *plain_side(const mfq_conv_side *from, depthwise_side *side) {
  const mfq_tensor *t = &from->part.tensor;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(t->dtype);
  side->source = t->dtype == MFQ_DTYPE_BF16 ? DEPTHWISE_BF16 : DEPTHWISE_PLAIN;
  if (from->stride[MFQ_CONV_CHANNELS] != 1) return "an operand is not channels last";
  if ((uintptr_t)t->data % 16 != 0 || !are_multiples(from, from->stride, 16 / bytes))
    return "an operand's channels are not aligned to 16 bytes";
  return NULL;
}

const char *code_side(const mfq_conv_side *from, depthwise_side *side) {
  const int64_t run = from->scale_run[MFQ_CONV_CHANNELS], step = from->scale_stride[MFQ_CONV_CHANNELS];
  const int has_format = mfq_cuda_widen_format(&from->part, &side->format) && widen_is_common(side->format);
  const mfq_format *e = &from->part.view.q.scheme.element;
  side->is_bytes = e->kind == MFQ_KIND_INTEGER && !e->is_signed && e->man_bits == 8;
  if (!has_format && !side->is_bytes) return "bf16 does not hold an operand's codes by shift and mask";
  const int32_t bits = side->format.bits, align = bits == 8 ? 8 : bits == 4 ? 4 : 2;
  side->source = bits;
  side->has_zero_point = side->format.has_zero_point;
  side->has_scales = from->part.group != 0;
  side->step = mfqn_float_of((uint32_t)(127 + side->format.exp2) << 23); /* used for integers */
  side->safe_scale = mfqn_safe_scale(&side->side.part.scheme, MFQN_MAX_BF16);
  side->format.has_zero_point = 0;
  side->format.scale = MFQN_SCALE_NONE;
  side->channel_scales = run % DEPTHWISE_CHANNELS == 0 ? 0 : step;
  if (run % DEPTHWISE_CHANNELS != 0 && run != 1 && step != 0) return "groups of channels are no multiples of 8";
  if (from->code_bits[MFQ_CONV_CHANNELS] != bits) return "an operand's codes are not channels last";
  if ((uintptr_t)from->part.view.q.codes % (uintptr_t)align != 0 || !are_multiples(from, from->code_bits, align * 8))
    return "an operand's codes are not aligned";
  return NULL;
}

/* Fills `side` with an operand that is read in units of 8 channels. Returns NULL, or why it cannot be. */
const char *take_side(const mfq_conv_side *from, depthwise_side *side) {
  *side = depthwise_side{};
  side->side = mfq_cuda_conv_side(from);
  return from->part.kind == MFQ_SIDE_PLAIN ? plain_side(from, side) : code_side(from, side);
}

/* Threads side by side along units of channels, and blocks of them. */
struct depthwise_tiles {
  int32_t lanes;
  int64_t tiles;
};

/* For `units` units of channels, with `filter_bytes` of shared memory for each. */
depthwise_tiles tiles_of(int64_t units, int64_t filter_bytes) {
  const int64_t most = mfq_smaller(DEPTHWISE_FILTER_BYTES / filter_bytes, DEPTHWISE_LANES);
  depthwise_tiles t = {};
  if (most == 0) return t;
  t.tiles = mfq_ceil_div(units, most);
  t.lanes = (int32_t)(mfq_ceil_div(units, t.tiles));
  return t;
}

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

/* What runs need to know of the shape. */
struct depthwise {
  depthwise_tiles tiles;
  int64_t channels, taps, strips, of_part, parts, row_pieces;
  mfq_conv_parts sides; /* of the workspace, like these: */
  size_t partial, sums, end;
};

/* Whether the kernel ends with the result itself: other activations would make it large. */
int is_fused(const mfq_conv_problem *p) {
  return p->direction != MFQ_CONV_WEIGHT_GRADIENT && !p->finish.is_d_quantized &&
         (p->finish.activation == MFQ_ACTIVATION_NONE || p->finish.activation == MFQ_ACTIVATION_RELU);
}

const char *refuse_shape(const mfq_conv_problem *p) {
  if (p->in_channels != 1 || p->out_channels != 1) return "groups have more than one channel";
  if (p->groups % DEPTHWISE_CHANNELS != 0) return "the channels are no multiple of 8";
  if (p->k == 0) return "the sums are empty";
  const int64_t pixels[] = {p->batch, p->in[0], p->in[1], p->in[2], p->out[0], p->out[1], p->out[2], p->groups};
  for (const int64_t size : pixels)
    if (size > 1 << 28) return "an axis is longer than 2^28";
  return NULL;
}

/* How the pixels of y are cut. Depends on the shape alone, so that sums do too. */
void cut_parts(const mfq_conv_problem *p, depthwise *d) {
  d->row_pieces = mfq_ceil_div(p->filter[2], DEPTHWISE_TAPS);
  const int64_t together = DEPTHWISE_THREADS / d->tiles.lanes;
  const int64_t others = d->tiles.tiles * p->filter[0] * p->filter[1] * d->row_pieces;
  const int64_t most = DEPTHWISE_PARTS / others > 0 ? DEPTHWISE_PARTS / others : 1;
  const int64_t wanted = mfq_ceil_div(d->strips, together * DEPTHWISE_PART_STRIPS);
  d->of_part = mfq_ceil_div(d->strips, wanted < most ? wanted : most);
  d->parts = mfq_ceil_div(d->strips, d->of_part);
}

void take_workspace(const mfq_conv_problem *p, depthwise *d) {
  const mfq_finish *f = &p->finish;
  const int is_weight = p->direction == MFQ_CONV_WEIGHT_GRADIENT;
  const size_t partial = is_weight ? (size_t)(d->parts * d->taps * d->channels) * sizeof(float) : 0;
  const size_t sums = is_fused(p) ? 0 : (size_t)(f->batches * f->m * f->n) * sizeof(float);
  d->sides = mfq_cuda_conv_take(p, &d->end);
  d->partial = mfq_workspace_take(&d->end, partial);
  d->sums = mfq_workspace_take(&d->end, sums);
}

/* NULL, or why this row does not take the problem. */
const char *make(const mfq_conv_problem *p, depthwise *d) {
  const int is_weight = p->direction == MFQ_CONV_WEIGHT_GRADIENT;
  const int64_t *pixels = p->direction == MFQ_CONV_INPUT_GRADIENT ? p->in : p->out;
  const char *why = refuse_shape(p);
  depthwise_side side;
  if (why == NULL) why = take_side(mfq_conv_gathered(p), &side);
  if (why == NULL && is_weight) why = take_side(&p->y, &side);
  if (why != NULL) return why;
  d->channels = p->groups;
  d->taps = p->filter[0] * p->filter[1] * p->filter[2];
  const int64_t filter_bytes = is_weight ? 1 : d->taps * DEPTHWISE_CHANNELS * (int64_t)sizeof(float);
  d->tiles = tiles_of(d->channels / DEPTHWISE_CHANNELS, filter_bytes);
  if (d->tiles.lanes == 0) return "the filter is too large for shared memory";
  if (d->tiles.tiles > 65535) return "there are too many channels";
  d->strips = p->batch * pixels[0] * pixels[1] * mfq_ceil_div(pixels[2], DEPTHWISE_STRIP);
  if (is_weight) cut_parts(p, d);
  if (is_weight && d->parts * p->filter[0] * p->filter[1] * d->row_pieces > 0x7fffffff)
    return "the filter is too large";
  take_workspace(p, d);
  return NULL;
}

mfq_status plan(mfq_context *context, const void *of, mfq_choice *choice, mfq_line *reason) {
  const mfq_conv_problem *problem = (const mfq_conv_problem *)of;
  const mfq_status status = mfq_choice_state(context, "mfq_conv_plan_create", sizeof(depthwise), choice);
  if (status != MFQ_OK) return status;
  depthwise *d = (depthwise *)choice->state;
  const char *why = make(problem, d);
  if (why != NULL) return mfq_refuse(reason, "%s", why);
  choice->workspace_bytes = d->end;
  mfq_choice_describe(choice, "%d threads of 8 channels side by side%s", (int)d->tiles.lanes,
                      is_fused(problem) ? "" : ", and an epilogue");
  return MFQ_OK;
}

/* ---- FORWARD and INPUT_GRADIENT ---------------------------------------------------------------------------------- */

typedef void (*depthwise_entry)(depthwise_params);

/* By source, and whether stride and dilation are 1. */
depthwise_entry entry_of(int source, int is_rolling) {
  switch (source) {
    case DEPTHWISE_BF16:
      return is_rolling ? depthwise_kernel<DEPTHWISE_BF16, true> : depthwise_kernel<DEPTHWISE_BF16, false>;
    case 4: return is_rolling ? depthwise_kernel<4, true> : depthwise_kernel<4, false>;
    case 6: return is_rolling ? depthwise_kernel<6, true> : depthwise_kernel<6, false>;
    case 8: return is_rolling ? depthwise_kernel<8, true> : depthwise_kernel<8, false>;
    default: return is_rolling ? depthwise_kernel<DEPTHWISE_PLAIN, true> : depthwise_kernel<DEPTHWISE_PLAIN, false>;
  }
}

void plan_end(const mfq_conv_problem *problem, float *sums, depthwise_params *p) {
  const mfq_finish *f = &problem->finish;
  const mfq_cuda_sums all = {sums, f->m * f->n, f->n, 0, f->batches, 0, f->m};
  p->finish = mfq_cuda_finish_params(f, mfq_conv_factor_views(problem), &all, sums);
  p->is_relu = is_fused(problem) && f->activation == MFQ_ACTIVATION_RELU;
  p->is_bare = !is_fused(problem) || (mfq_finish_is_bare(f) && !p->is_relu);
  p->to = is_fused(problem) ? p->finish.d : p->finish.sums;
}

void plan_grid(const mfq_conv_problem *problem, divisor64 *strips) {
  const int64_t *pixels = problem->direction == MFQ_CONV_INPUT_GRADIENT ? problem->in : problem->out;
  strips[0] = divisor64_make(pixels[0]);
  strips[1] = divisor64_make(pixels[1]);
  strips[2] = divisor64_make(mfq_ceil_div(pixels[2], DEPTHWISE_STRIP));
}

mfq_status sum_taps(mfq_context *context, const mfq_conv_problem *problem, const depthwise *d, float *sums) {
  const int is_backward = problem->direction == MFQ_CONV_INPUT_GRADIENT;
  const int is_rolling = problem->stride[2] == 1 && problem->dilation[2] == 1;
  depthwise_params p = {};
  (void)take_side(mfq_conv_gathered(problem), &p.x);
  p.w = mfq_cuda_conv_side(&problem->w);
  p.geometry = mfq_cuda_conv_geometry(problem);
  for (int i = 0; i < 3; ++i) p.filter[i] = (int32_t)problem->filter[i];
  p.taps = (int32_t)d->taps;
  p.is_turned = is_backward;
  p.lanes = d->tiles.lanes;
  plan_grid(problem, p.strips);
  p.count = d->strips;
  p.width = is_backward ? problem->in[2] : problem->out[2];
  p.channels = d->channels;
  plan_end(problem, sums, &p);
  const int64_t needed = mfq_ceil_div(p.count, DEPTHWISE_THREADS / p.lanes);
  const int64_t room = mfq_ceil_div((int64_t)mfq_cuda_state_of(context)->processors * DEPTHWISE_BLOCKS, d->tiles.tiles);
  const dim3 grid((unsigned)(needed < room ? needed : room), (unsigned)d->tiles.tiles);
  const size_t shared = (size_t)(d->taps * p.lanes * DEPTHWISE_CHANNELS) * sizeof(float);
  const mfq_launch at = {function, grid, DEPTHWISE_THREADS, shared};
  return mfq_cuda_launch(context, at, entry_of(p.x.source, is_rolling), p);
}

/* ---- WEIGHT_GRADIENT --------------------------------------------------------------------------------------------- */

mfq_status sum_pixels(mfq_context *context, const mfq_conv_problem *problem, const depthwise *d, float *partial) {
  depthwise_weight_params p = {};
  (void)take_side(&problem->x, &p.x);
  (void)take_side(&problem->y, &p.y);
  p.geometry = mfq_cuda_conv_geometry(problem);
  for (int i = 0; i < 3; ++i) p.filter[i] = (int32_t)problem->filter[i];
  p.taps = (int32_t)d->taps;
  p.row_pieces = (int32_t)d->row_pieces;
  p.lanes = d->tiles.lanes;
  plan_grid(problem, p.strips);
  p.count = d->strips;
  p.of_part = d->of_part;
  p.width = problem->out[2];
  p.channels = d->channels;
  p.parts = d->parts;
  p.partial = partial;
  const int64_t rows = problem->filter[0] * problem->filter[1] * d->row_pieces;
  const mfq_launch at = {function, dim3((unsigned)(d->parts * rows), (unsigned)d->tiles.tiles), DEPTHWISE_THREADS, 0};
  return mfq_cuda_launch(context, at, depthwise_weight_kernel, p);
}

mfq_status add_parts(mfq_context *context, const depthwise *d, const float *partial, float *sums) {
  const depthwise_total_params p = {partial, sums, d->parts, d->taps, d->channels};
  const int64_t blocks = mfq_ceil_div(d->taps * d->channels, DEPTHWISE_THREADS);
  const mfq_launch at = {function, dim3((unsigned)blocks), DEPTHWISE_THREADS, 0};
  return mfq_cuda_launch(context, at, depthwise_total_kernel, p);
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

mfq_status run_ready(mfq_context *own, const mfq_conv_problem *p, const depthwise *d, uint8_t *workspace) {
  float *sums = (float *)(workspace + d->sums), *partial = (float *)(workspace + d->partial);
  mfq_status status = MFQ_OK;
  if (p->direction != MFQ_CONV_WEIGHT_GRADIENT) {
    status = sum_taps(own, p, d, sums);
  } else {
    status = sum_pixels(own, p, d, partial);
    if (status == MFQ_OK) status = add_parts(own, d, partial, sums);
  }
  return status == MFQ_OK && !is_fused(p) ? mfq_cuda_conv_finish(own, p, sums) : status;
}

mfq_status run(mfq_context *context, const void *state, const void *of, uint8_t *workspace) {
  const depthwise *d = (const depthwise *)state;
  const mfq_conv_problem *problem = (const mfq_conv_problem *)of;
  return mfq_cuda_conv_run(context, problem, d->sides, workspace, [&](mfq_context *own, const mfq_conv_problem *ready) {
    return run_ready(own, ready, d, workspace);
  });
}

} // namespace

const mfq_way mfq_cuda_conv_depthwise = {"depthwise", plan, run, NULL};
