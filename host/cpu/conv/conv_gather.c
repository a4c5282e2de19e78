/* host/cpu/conv/conv_gather.c: a row is copied line by line of taps. For gradients of strided inputs pixels fall into
 * phases, in each of which the same taps meet elements. */
#include "conv_gather.h"

mfq_conv_gather mfq_conv_gather_make(const mfq_onednn_conv *c) {
  const int is_backward = c->direction == MFQ_CONV_INPUT_GRADIENT;
  mfq_conv_gather g = {.channels = is_backward ? c->out_channels : c->in_channels};
  g.all_channels = c->groups * g.channels;
  g.element_bytes = (int64_t)mfq_dtype_bytes(c->from);
  for (int i = 0; i < 3; ++i) {
    g.window[i] = is_backward ? mfqn_window_backward(c->out[i], c->stride[i], c->dilation[i], c->padding[i])
                              : mfqn_window_forward(c->in[i], c->stride[i], c->dilation[i], c->padding[i]);
    g.filter[i] = c->filter[i];
    g.size[i] = is_backward ? c->in[i] : c->out[i];
    g.tap_step[i] = g.pixel_step[i] = 1;
  }
  g.merges_taps = c->groups == 1 && g.window[2].tap_step == 1 && g.window[2].divisor == 1;
  return g;
}

/* ---- Phases ------------------------------------------------------------------------------------------------------- */

static int64_t phases_along(const mfq_onednn_conv *c, int axis) {
  return c->stride[axis] < c->in[axis] ? c->stride[axis] : c->in[axis];
}

int64_t mfq_conv_gather_phases(const mfq_onednn_conv *c) {
  int64_t phases = 1;
  if (c->direction != MFQ_CONV_INPUT_GRADIENT) return 1;
  for (int i = 0; i < 3; ++i) {
    if (phases_along(c, i) > MFQ_GATHER_PHASES) return 1;
    phases *= phases_along(c, i);
  }
  return phases <= MFQ_GATHER_PHASES ? phases : 1;
}

/* Pixels first, first + stride, ... of an axis: of their taps every `step`-th meets an element. */
static void take_phase(const mfq_onednn_conv *c, int axis, int64_t first, mfq_conv_gather *g) {
  const int64_t stride = c->stride[axis], dilation = c->dilation[axis], place = first + c->padding[axis];
  int64_t step = 1, tap = 0;
  while (step * dilation % stride != 0) ++step;
  while (tap < step && (place - tap * dilation) % stride != 0) ++tap;
  g->first_pixel[axis] = first;
  g->pixel_step[axis] = stride;
  g->size[axis] = (c->in[axis] - first + stride - 1) / stride;
  g->first_tap[axis] = tap;
  g->tap_step[axis] = step;
  g->filter[axis] = tap < step && tap < c->filter[axis] ? (c->filter[axis] - tap + step - 1) / step : 0;
  g->window[axis].divisor = 1;
  g->window[axis].tap_step = -(step * dilation / stride);
  g->window[axis].offset = (place - tap * dilation) / stride;
}

mfq_conv_gather mfq_conv_gather_phase(const mfq_onednn_conv *c, int64_t phase) {
  mfq_conv_gather g = mfq_conv_gather_make(c);
  if (mfq_conv_gather_phases(c) == 1 && (c->stride[0] > 1 || c->stride[1] > 1 || c->stride[2] > 1)) return g;
  for (int i = 2; i >= 0 && c->direction == MFQ_CONV_INPUT_GRADIENT; --i) {
    take_phase(c, i, phase % phases_along(c, i), &g);
    phase /= phases_along(c, i);
  }
  return g;
}

/* ---- Rows --------------------------------------------------------------------------------------------------------- */

mfq_conv_pixel mfq_conv_pixel_at(const mfq_conv_gather *g, int64_t row) {
  mfq_conv_pixel p;
  for (int i = 2; i >= 0; --i) {
    p.at[i] = row % g->size[i];
    row /= g->size[i];
  }
  p.image = row;
  return p;
}

/* Columns of one line of taps, along the last axis, counted from its first tap on. `line` is the operand at the line's
 * place 0, NULL where the line lies outside. */
typedef struct tap_line {
  const uint8_t *line;
  int64_t first, count;
} tap_line;

static int64_t within(int64_t x, int64_t low, int64_t high) { return x < low ? low : x < high ? x : high; }

/* The taps' elements are one run, of which only a part may lie inside. */
static void copy_run(const mfq_conv_gather *g, const mfq_conv_pixel *pixel, tap_line from, uint8_t *to) {
  const mfqn_window *w = &g->window[2];
  const int64_t bytes = g->element_bytes, first = (pixel->at[2] * w->out_step + w->offset) * g->channels + from.first;
  const int64_t begin = from.line == NULL ? from.count : within(-first, 0, from.count);
  const int64_t end = within(w->size * g->channels - first, begin, from.count);
  memset(to, 0, (size_t)(begin * bytes));
  if (begin < end) memcpy(to + begin * bytes, from.line + (first + begin) * bytes, (size_t)((end - begin) * bytes));
  memset(to + end * bytes, 0, (size_t)((from.count - end) * bytes));
}

static void copy_taps(const mfq_conv_gather *g, const mfq_conv_pixel *pixel, tap_line from, uint8_t *to) {
  int64_t tap = from.first / g->channels, channel = from.first % g->channels, left = from.count;
  for (; left > 0; channel = 0, ++tap) {
    const int64_t count = left < g->channels - channel ? left : g->channels - channel;
    const int64_t at = from.line == NULL ? -1 : mfqn_window_at(&g->window[2], pixel->at[2], tap);
    const size_t bytes = (size_t)(count * g->element_bytes);
    if (at < 0)
      memset(to, 0, bytes);
    else
      memcpy(to, from.line + (at * g->all_channels + channel) * g->element_bytes, bytes);
    to += bytes;
    left -= count;
  }
}

void mfq_conv_gather_row(const mfq_conv_gather *g, const uint8_t *from, const mfq_conv_pixel *pixel,
                         const int64_t first_count[2], uint8_t *to) {
  const int64_t length = g->filter[2] * g->channels;
  int64_t line = first_count[0] / length, first = first_count[0] % length, left = first_count[1];
  for (; left > 0; first = 0, ++line) {
    const int64_t count = left < length - first ? left : length - first;
    const int64_t a = mfqn_window_at(&g->window[0], pixel->at[0], line / g->filter[1]);
    const int64_t b = mfqn_window_at(&g->window[1], pixel->at[1], line % g->filter[1]);
    const int64_t place = ((pixel->image * g->window[0].size + a) * g->window[1].size + b) * g->window[2].size;
    const tap_line part = {a < 0 || b < 0 ? NULL : from + place * g->all_channels * g->element_bytes, first, count};
    if (g->merges_taps)
      copy_run(g, pixel, part, to);
    else
      copy_taps(g, pixel, part, to);
    to += count * g->element_bytes;
    left -= count;
  }
}
