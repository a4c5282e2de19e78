/* cuda/conv/unfold/unfold.cu: queues the unfolding of an operand, units at a time where it lies so. */
#include "unfolded_plan.h"

#include "cuda/launch.cuh"
#include "cuda/conv/conv_params.h"
#include "unfold_kernel.cuh"

namespace {

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

/* Element 0 whatever the tap, or element t; and the pixel itself. */
mfqn_window window_of_taps(int64_t size) { return mfqn_window{0, 1, 0, 1, size}; }
mfqn_window window_of_pixels(int64_t size) { return mfqn_window{1, 0, 0, 1, size}; }

mfq_unfolding identity_of(mfq_dtype dtype, int64_t images, const int64_t *pixel) {
  mfq_unfolding u = {};
  u.dtype = dtype;
  u.images = images;
  for (int i = 0; i < 3; ++i) {
    u.pixel[i] = pixel[i];
    u.tap[i] = 1;
    u.window[i] = window_of_pixels(pixel[i]);
  }
  return u;
}

int64_t product_of(const int64_t *size) { return size[0] * size[1] * size[2]; }

/* ---- The way ----------------------------------------------------------------------------------------------------- */

/* Whether every element with these steps starts at a multiple of `bytes`; `unit`: bits of a step. */
int is_aligned(const void *memory, const int64_t *stride, const int64_t *size, int64_t unit, int64_t bytes) {
  int64_t all = (int64_t)((uintptr_t)memory % (uintptr_t)bytes) * 8;
  for (int i = 0; i < MFQ_CONV_CHANNELS; ++i)
    if (size[i] > 1) all |= stride[i] * unit;
  return all % (bytes * 8) == 0;
}

/* Whether all units of a part are `count` channels of one tap. */
int is_in_taps(const mfq_unfolding *u, const mfq_unfold_part *part, int64_t count) {
  return part->channels % count == 0 && part->first_channel % count == 0 && u->group_channels % count == 0;
}

int is_copied(const mfq_conv_side *side, const mfq_unfolding *u, const mfq_unfold_part *part) {
  const mfq_tensor *t = &side->part.tensor;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(u->dtype);
  if (side->part.kind != MFQ_SIDE_PLAIN || t->dtype != u->dtype || side->stride[MFQ_CONV_CHANNELS] != 1) return 0;
  return is_in_taps(u, part, 16 / bytes) && is_aligned(t->data, side->stride, side->size, bytes * 8, 16);
}

unfold_source source_of(const mfq_conv_side *side, const mfq_unfolding *u, const mfq_unfold_part *part,
                        const conv_units &units) {
  if (is_copied(side, u, part)) return UNFOLD_COPY;
  const int is_widened = u->dtype == MFQ_DTYPE_BF16 && units.source == UNIT_CODES && is_in_taps(u, part, UNIT);
  return is_widened ? UNFOLD_CODES : UNFOLD_ELEMENTS;
}

conv_units units_of(const mfq_conv_side *side) {
  return mfq_cuda_conv_units(side, {MFQ_CONV_CHANNELS, side->size[MFQ_CONV_CHANNELS], 1});
}

/* ---- Parameters -------------------------------------------------------------------------------------------------- */

conv_geometry geometry_of(const mfq_unfolding *u) {
  conv_geometry g = {};
  g.pixels = mfq_unfolding_pixels(u);
  g.taps = mfq_unfolding_taps(u);
  for (int i = 0; i < 3; ++i) {
    const mfqn_window *w = &u->window[i];
    g.window[i] = conv_window{w->out_step, w->tap_step, w->offset, w->size, divisor64_make(w->divisor)};
    g.pixel[i] = divisor64_make(u->pixel[i]);
    g.tap[i] = divisor64_make(u->tap[i]);
  }
  return g;
}

/* Where lines go. */
void place_lines(const mfq_unfolding *u, const mfq_unfold_part *part, unfold_params *p) {
  const int64_t pixels = mfq_unfolding_pixels(u), line = mfq_unfolding_line(u, part->channels);
  if (u->order == MFQ_UNFOLD_BY_ROWS) {
    p->to_group = line;
    p->to_pixel = part->groups * line;
    p->to_image = pixels * p->to_pixel;
  } else {
    p->to_image = line;
    p->to_pixel = part->rows / pixels * line;
    p->to_group = pixels * p->to_pixel;
  }
  p->to_first = part->first_row / pixels * p->to_image + part->first_row % pixels * p->to_pixel;
}

typedef void (*unfold_entry)(unfold_params);

/* By unfold_source. */
const unfold_entry unfold_entries[] = {unfold_kernel<UNFOLD_ELEMENTS>, unfold_kernel<UNFOLD_COPY>,
                                       unfold_kernel<UNFOLD_CODES>};

} // namespace

mfq_unfolding mfq_unfolding_of_gathered(const mfq_conv_problem *problem, mfq_dtype dtype) {
  const int is_backward = problem->direction == MFQ_CONV_INPUT_GRADIENT;
  mfq_unfolding u = identity_of(dtype, problem->batch, is_backward ? problem->in : problem->out);
  u.channels = u.group_channels = is_backward ? problem->out_channels : problem->in_channels;
  for (int i = 0; i < 3; ++i) {
    u.tap[i] = problem->filter[i];
    u.window[i] = mfq_conv_window(problem, i);
  }
  return u;
}

mfq_unfolding mfq_unfolding_of_direct(const mfq_conv_problem *problem, mfq_dtype dtype) {
  if (problem->direction == MFQ_CONV_WEIGHT_GRADIENT) {
    mfq_unfolding u = identity_of(dtype, problem->batch, problem->out);
    u.channels = u.group_channels = problem->out_channels;
    return u;
  }
  mfq_unfolding u = identity_of(dtype, problem->out_channels, problem->filter);
  u.order = MFQ_UNFOLD_BY_GROUPS;
  u.channels = problem->in_channels;
  u.group_images = problem->out_channels;
  if (problem->direction == MFQ_CONV_INPUT_GRADIENT) return u;
  for (int i = 0; i < 3; ++i) {
    u.pixel[i] = 1;
    u.tap[i] = problem->filter[i];
    u.window[i] = window_of_taps(problem->filter[i]);
  }
  return u;
}

int64_t mfq_unfolding_pixels(const mfq_unfolding *u) { return product_of(u->pixel); }
int64_t mfq_unfolding_taps(const mfq_unfolding *u) { return product_of(u->tap); }

int64_t mfq_unfolding_line(const mfq_unfolding *u, int64_t channels) {
  return mfq_round_up(mfq_unfolding_taps(u) * channels, 16 / (int64_t)mfq_dtype_bytes(u->dtype));
}

mfq_status mfq_cuda_unfold(mfq_context *context, const mfq_conv_side *side, const mfq_unfolding *u,
                           const mfq_unfold_part *part, void *memory) {
  unfold_params p = {};
  p.side = units_of(side);
  const unfold_source source = source_of(side, u, part, p.side);
  const int64_t each = source == UNFOLD_CODES ? 16 : 16 / (int64_t)mfq_dtype_bytes(u->dtype);
  const int64_t units = mfq_unfolding_line(u, part->channels) / each;
  p.geometry = geometry_of(u);
  p.dtype = (int32_t)u->dtype;
  p.items = part->rows * part->groups * units;
  p.units = divisor64_make(units);
  p.groups = divisor64_make(part->groups);
  p.channels = divisor64_make(part->channels);
  p.first_row = part->first_row;
  p.first_group = part->first_group;
  p.first_channel = part->first_channel;
  p.group_images = u->group_images;
  p.group_channels = u->group_channels;
  p.to = (uint8_t *)memory;
  place_lines(u, part, &p);
  const mfq_launch at = {"mfq_conv_run", mfq_cuda_item_grid(p.items), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, unfold_entries[source], p);
}
