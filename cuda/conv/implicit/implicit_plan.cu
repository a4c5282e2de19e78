/* cuda/conv/implicit/implicit_plan.cu: whether tiles can take a convolution, with what loads, and how a result is cut so that
 * its sums fit the workspace. */
#include "implicit.h"

#include "host/core/problem/slab.h"
#include "host/core/problem/walk.h"
#include "cuda/product/side_params.h"

namespace {

enum { LONGEST = 1 << 30 }; /* so that sums of two places fit 32 bits */

int64_t magnitude(int64_t a) { return a < 0 ? -a : a; }

/* ---- Operands ---------------------------------------------------------------------------------------------------- */

/* Whether w's elements are neighbours along its axis 0. */
int is_turned(const mfq_conv_side *w) {
  if (w->part.kind == MFQ_SIDE_PLAIN) return w->stride[0] == 1 && w->stride[CONV_CHANNELS] != 1;
  return w->code_bits[0] == mfq_code_bits(&w->part.view.q);
}

/* ---- Refusals ---------------------------------------------------------------------------------------------------- */

/* Whether places along the axes fit 32 bits, whatever the tap. */
int fits_words(const mfq_conv_problem *problem) {
  const mfq_conv_side *const sides[] = {&problem->x, &problem->w, &problem->y};
  for (const mfq_conv_side *side : sides)
    for (int i = 0; i < MFQ_CONV_AXES; ++i)
      if (side->size[i] >= LONGEST) return 0;
  for (int i = 0; i < 3; ++i) {
    const mfqn_window w = mfq_conv_window(problem, i);
    const int64_t most = mfq_conv_result(problem)->size[1 + i] + problem->out[i];
    if (magnitude(w.tap_step) >= LONGEST || magnitude(w.out_step) >= LONGEST || magnitude(w.offset) >= LONGEST)
      return 0;
    if (w.divisor >= LONGEST) return 0;
    const int64_t taps = (problem->filter[i] + w.divisor) * magnitude(w.tap_step);
    if (most * magnitude(w.out_step) + taps + magnitude(w.offset) >= LONGEST) return 0;
  }
  return 1;
}

} // namespace

const char *mfq_cuda_implicit_refuses(const mfq_context *context, const mfq_conv_problem *problem) {
  if (mfq_cuda_state_of(context)->capability < 80)
    return "matrix instructions on bf16 came with compute capability 8.0";
  if (problem->k == 0) return "the sums are empty";
  if (!fits_words(problem)) return "an axis is longer than 2^30, or padded or dilated to that";
  double rows = (double)problem->batch, taps = 1;
  for (int i = 0; i < 3; ++i) {
    rows *= (double)(problem->direction == MFQ_CONV_INPUT_GRADIENT ? problem->in[i] : problem->out[i]);
    taps *= (double)problem->filter[i];
  }
  const double channels =
      16.0 + (double)(problem->in_channels > problem->out_channels ? problem->in_channels : problem->out_channels);
  if (rows >= (double)LONGEST || taps * channels >= (double)LONGEST)
    return "more than 2^30 pixels, or taps times channels";
  if (problem->round_operands) return NULL;
  return mfq_gemm_sides_refuse_bf16(&mfq_conv_gathered(problem)->part, &mfq_conv_direct(problem)->part);
}

/* ---- Parameters -------------------------------------------------------------------------------------------------- */

static implicit_axis axis_of(const mfq_conv_problem *problem, int i) {
  const mfqn_window w = mfq_conv_window(problem, i);
  const int64_t every = w.divisor / mfq_common_divisor(w.divisor, magnitude(w.tap_step));
  return implicit_axis{(int32_t)w.out_step, (int32_t)w.tap_step,         (int32_t)w.offset, (int32_t)w.divisor,
                       (int32_t)w.size,     (int32_t)problem->filter[i], (int32_t)every};
}

void mfq_cuda_implicit_params(const mfq_conv_problem *problem, implicit_params *p) {
  const int is_backward = problem->direction == MFQ_CONV_INPUT_GRADIENT;
  const int64_t channels = is_backward ? problem->out_channels : problem->in_channels;
  const int64_t columns = is_backward ? problem->in_channels : problem->out_channels;
  *p = implicit_params{};
  p->channels = (int32_t)channels;
  p->columns = (int32_t)columns;
  p->groups = (int32_t)problem->groups;
  p->units = divisor32_make(mfq_ceil_div(channels, UNIT));
  p->a = mfq_cuda_conv_units(mfq_conv_gathered(problem), {CONV_CHANNELS, channels, problem->groups});
  if (mfq_implicit_is_by_pixels(problem))
    p->b = mfq_cuda_conv_units(&problem->y, {CONV_CHANNELS, columns, problem->groups});
  else if (is_backward && is_turned(&problem->w))
    p->b = mfq_cuda_conv_units(&problem->w, {0, channels, problem->groups});
  else
    p->b = mfq_cuda_conv_units(&problem->w, {CONV_CHANNELS, problem->in_channels, 1});
  p->last_column = p->columns;
  p->phases = p->grid.parts = 1;
  p->pixels = (int32_t)problem->batch;
  for (int i = 0; i < 3; ++i) {
    p->axis[i] = axis_of(problem, i);
    p->phases *= p->axis[i].divisor;
    p->pixel[i] = divisor32_make(problem->out[i] > 0 ? problem->out[i] : 1);
    p->pixels *= (int32_t)problem->out[i];
  }
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

mfq_implicit_steps mfq_cuda_implicit_steps(const mfq_conv_problem *problem, size_t most_bytes) {
  const mfq_conv_side *result = mfq_conv_result(problem);
  mfq_implicit_steps steps = {};
  int64_t behind = 1;
  for (int i = 0; i < 4; ++i) steps.shape[i] = mfq_implicit_is_by_pixels(problem) ? 1 : result->size[i];
  steps.floats = result->size[4];
  if (mfq_implicit_is_by_pixels(problem)) {
    steps.shape[2] = problem->groups;
    steps.shape[3] = problem->out_channels;
    for (int i = 1; i < 4; ++i) steps.floats *= result->size[i];
  }
  for (int i = 1; i < 4; ++i) behind *= steps.shape[i];
  const int64_t most = most_bytes == 0 ? INT64_MAX : (int64_t)(most_bytes / sizeof(float));
  while (steps.axis < 3 && behind * steps.floats > most) behind /= steps.shape[++steps.axis];
  const int64_t size = steps.shape[steps.axis];
  steps.chunk = mfq_larger(mfq_slab_fit(most, behind * steps.floats, size), 1);
  steps.count = mfq_ceil_div(size, steps.chunk);
  for (int i = 0; i < steps.axis; ++i) steps.count *= steps.shape[i];
  return steps;
}

mfq_implicit_step mfq_cuda_implicit_step(const mfq_implicit_steps *steps, int64_t index) {
  mfq_implicit_step step = {};
  const int64_t *shape = steps->shape, chunks = mfq_ceil_div(shape[steps->axis], steps->chunk);
  int64_t outer = index / chunks;
  for (int i = 3; i >= 0; --i) step.size[i] = i < steps->axis ? 1 : shape[i];
  for (int i = steps->axis - 1; i >= 0; --i) {
    step.lo[i] = outer % shape[i];
    outer /= shape[i];
  }
  const int64_t lo = index % chunks * steps->chunk, left = shape[steps->axis] - lo;
  step.lo[steps->axis] = lo;
  step.size[steps->axis] = left < steps->chunk ? left : steps->chunk;
  step.items = steps->floats;
  for (int i = 0; i < 4; ++i) {
    step.first = step.first * shape[i] + step.lo[i];
    step.items *= step.size[i];
  }
  step.first *= steps->floats;
  return step;
}

/* ---- Launches ---------------------------------------------------------------------------------------------------- */

/* What tiles cover, and whether pairs of columns can be written at once. */
static void take_box(const mfq_conv_problem *problem, const mfq_implicit_step *step, implicit_params *p) {
  if (mfq_implicit_is_by_pixels(problem)) {
    p->first_group = (int32_t)step->lo[2];
    p->groups = (int32_t)step->size[2];
    p->first_column = (int32_t)step->lo[3];
    p->last_column = (int32_t)(step->lo[3] + step->size[3]);
  } else {
    for (int i = 0; i < 4; ++i) {
      p->lo[i] = (int32_t)step->lo[i];
      p->size[i] = (int32_t)step->size[i];
    }
  }
  tile_grid *g = &p->grid;
  const int64_t bytes = g->to.dtype == ELEMENT_F32 ? 8 : 4;
  const int column_axis = mfq_implicit_is_by_pixels(problem) ? 0 : CONV_CHANNELS;
  int64_t odd = (int64_t)((uintptr_t)g->to.data % (uintptr_t)bytes != 0) | g->to_part;
  if (problem->groups > 1) odd |= p->columns;
  for (int i = 0; i < CONV_AXES; ++i)
    if (i != column_axis) odd |= p->to_stride[i];
  g->columns = p->last_column - p->first_column;
  g->to_column = p->to_stride[column_axis];
  g->is_paired = g->to_column == 1 && odd % 2 == 0;
}

void mfq_cuda_implicit_take_step(const mfq_conv_problem *problem, const mfq_implicit_step *step, float *sums,
                                 implicit_params *p) {
  const mfq_conv_side *result = mfq_conv_result(problem);
  p->grid.to = element_view{(uint8_t *)sums, ELEMENT_F32};
  p->to_stride[CONV_CHANNELS] = 1;
  for (int i = CONV_CHANNELS - 1; i >= 0; --i) p->to_stride[i] = p->to_stride[i + 1] * result->size[i + 1];
  p->grid.to_part = step->items;
  take_box(problem, step, p);
}

void mfq_cuda_implicit_take_result(const mfq_conv_problem *problem, implicit_params *p) {
  const mfq_conv_side *result = mfq_conv_result(problem);
  const mfq_implicit_steps steps = mfq_cuda_implicit_steps(problem, 0);
  const mfq_implicit_step all = mfq_cuda_implicit_step(&steps, 0);
  p->grid.to = element_view{(uint8_t *)result->part.tensor.data, (int32_t)result->part.tensor.dtype};
  for (int i = 0; i < CONV_AXES; ++i) p->to_stride[i] = result->stride[i];
  p->grid.to_part = 0;
  take_box(problem, &all, p);
}

mfq_cuda_sums mfq_cuda_implicit_sums(const mfq_conv_problem *problem, const mfq_implicit_step *step, float *memory) {
  const int64_t n = problem->finish.n, m = problem->finish.m, first = step->first / n, rows = step->items / n;
  const int is_whole = first % m == 0 && rows % m == 0;
  const mfq_cuda_sums lines = {memory, m * n, n, first / m, rows / m, 0, m};
  const mfq_cuda_sums part = {memory, rows * n, n, first / m, 1, first % m, rows};
  return is_whole ? lines : part;
}
