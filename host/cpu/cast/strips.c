/* host/cpu/cast/strips.c: where strips are, and how they run. */
#include "strips.h"

#include <string.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "elements.h"

/* ---- Places ------------------------------------------------------------------------------------------------------ */

/* Rows, counted over outer and middle, and columns. */
typedef struct area {
  int64_t top, rows, col0, cols;
} area;

/* Rows that strips begin anew after. */
static int64_t length_of(const mfq_strips *s) {
  return s->directions == 0 || mfq_panels_are_flat(&s->panels[0]) ? s->rows : s->panels[0].size[1];
}

int64_t mfq_strips_count(const mfq_strips *s) {
  const int64_t length = length_of(s);
  return length == 0 ? 0 : s->rows / length * mfq_ceil_div(length, s->height);
}

int64_t mfq_strips_at(const mfq_strips *s, int64_t row) {
  const int64_t length = length_of(s);
  return row / length * mfq_ceil_div(length, s->height) + row % length / s->height;
}

/* Columns that windows are cut from. */
static int64_t span_of(const mfq_strips *s) { return s->halves ? s->cols / 2 : s->cols; }

static area area_at(const mfq_strips *s, int64_t strip, int64_t window) {
  const int64_t length = length_of(s), strips = mfq_ceil_div(length, s->height);
  const int64_t row = strip % strips * s->height, col = window * s->width;
  return (area){strip / strips * length + row, mfq_smaller(length - row, s->height), col,
                mfq_smaller(span_of(s) - col, s->width)};
}

/* Panels, or pieces of a measuring pass: rows of them, and of each some columns. */
typedef struct range {
  int64_t first, rows, cols, step;
} range;

static range panels_in(const mfq_panels *p, area at, int64_t height, int64_t row_blocks) {
  const int64_t row = at.top / p->size[1] * row_blocks + at.top % p->size[1] / height, col = at.col0 / p->cols;
  return (range){row * p->col_blocks + col, mfq_ceil_div(at.rows, height), mfq_ceil_div(at.cols, p->cols),
                 p->col_blocks};
}

static range pieces_of(const mfq_panels *p, area at) { return panels_in(p, at, p->rows, p->row_blocks); }

static range items_of(const mfq_panels *p, area at) {
  if (p->bundle) return (range){at.top / p->bundle, mfq_ceil_div(at.rows, p->bundle), 1, 1};
  return panels_in(p, at, mfq_panels_height(p), p->stacks);
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

static size_t memory_of(const mfq_panels *p) {
  return mfq_size_plus(mfq_panels_scratch_all(p), mfq_panels_shared_bytes(p));
}

/* Squares have one panel at hand for both. */
static int32_t sets_of(const mfq_strips *s) { return s->is_square ? 1 : s->directions; }

static size_t window_bytes(const mfq_strips *s) {
  return s->is_made ? (size_t)(s->height * s->ld) * sizeof(uint32_t) * (s->halves ? 2 : 1) : 0;
}

size_t mfq_strips_bytes(const mfq_strips *s) {
  size_t bytes = mfq_size_times(window_bytes(s), (size_t)s->threads);
  for (int32_t i = 0; i < sets_of(s); ++i) bytes = mfq_size_plus(bytes, memory_of(&s->panels[i]));
  return bytes;
}

typedef struct strips_work {
  const mfq_strips *strips;
  mfq_panels panels[2];
  uint8_t *memory[2], *windows;
  mfq_shared shared[2];
  mfq_fill fill;
  void *source;
  int is_first, is_last;
} strips_work;

/* What a thread has for itself: panels that read from its window. */
typedef struct strips_thread {
  strips_work *work;
  int thread;
  mfq_panels panels[2];
  mfq_tensor window;
} strips_thread;

/* Writes the scales of a panel, which are made, once more: where the other order has them. */
static void keep_scales(const mfq_panels *p, const mfq_panel *a, const mfq_lanes *lanes) {
  if (p->view->q.scales) mfq_scales_put(p->view, a->scale0, a->scale_step, lanes->stored, a->lanes);
  for (int64_t i = 0; p->scheme.has_zero_point && i < a->lanes; ++i)
    mfq_zero_point_put(p->view, &p->scheme, a->scale0 + i * a->scale_step, (int32_t)lanes->zero_point[i]);
}

static void quantize_square(const mfq_panels *panels, int64_t index, mfq_panel_scratch *scratch) {
  const mfq_panels *turned = &panels[0], *plain = &panels[1];
  const int known = mfq_panels_scales_known(turned);
  const mfq_panel first = mfq_panel_stacked(turned, index, 0);
  const int64_t length = turned->size[2];
  int64_t rows = 0;
  for (int64_t level = 0; level < turned->stack; ++level) {
    const mfq_panel a = mfq_panel_stacked(turned, index, level), b = mfq_panel_stacked(plain, index, level);
    if (a.row0 >= turned->size[1]) break;
    const int64_t ld = mfq_panel_ld(&a);
    uint8_t *codes = scratch->block + rows * ld;
    mfq_panel_scales(turned, &a, known, scratch);
    if (!known) keep_scales(plain, &b, &scratch->lanes);
    mfq_panel_encode(turned, &a, scratch, codes, ld);
    for (int64_t r = 0; r < a.rows; ++r)
      mfq_panel_put(plain, (mfq_piece){a.outer * turned->size[1] + a.row0 + r, a.col0, a.cols}, length, codes + r * ld);
    rows += a.rows;
  }
  mfq_panel_put_turned(turned, &first, rows, scratch);
}

static void quantize_area(const strips_thread *t, area at) {
  const strips_work *w = t->work;
  for (int32_t i = 0; i < sets_of(w->strips); ++i) {
    const mfq_panels *p = &t->panels[i];
    mfq_panel_scratch *scratch = mfq_panels_scratch_at(p, w->memory[i], t->thread);
    const range items = items_of(p, at);
    for (int64_t r = 0; r < items.rows; ++r)
      for (int64_t k = items.first + r * items.step; k < items.first + r * items.step + items.cols; ++k)
        if (w->strips->is_square)
          quantize_square(t->panels, k, scratch);
        else
          mfq_panel_quantize(p, k, mfq_panels_scales_known(p), scratch);
  }
}

static void measure_area(const strips_thread *t, area at) {
  strips_work *w = t->work;
  for (int32_t i = 0; i < sets_of(w->strips); ++i) {
    const range pieces = pieces_of(&t->panels[i], at);
    if (pieces.cols == pieces.step) {
      mfq_shared_measure(&w->shared[i], &t->panels[i], t->thread, pieces.first,
                         pieces.first + pieces.rows * pieces.cols);
      continue;
    }
    for (int64_t r = 0; r < pieces.rows; ++r) {
      const int64_t first = pieces.first + r * pieces.step;
      mfq_shared_measure(&w->shared[i], &t->panels[i], t->thread, first, first + pieces.cols);
    }
  }
}

static void quantize_or_measure(const strips_thread *t, area at) {
  if (t->work->is_last)
    quantize_area(t, at);
  else
    measure_area(t, at);
}

/* Panels read from a window that is filled. */
static void read_window(strips_thread *t, area at, uint32_t *window) {
  const mfq_strips *s = t->work->strips;
  t->window.data = window;
  for (int32_t i = 0; i < s->directions; ++i) {
    t->panels[i].tensor = &t->window;
    t->panels[i].origin = at.top * s->ld + at.col0;
  }
  quantize_or_measure(t, at);
}

static void run_area(strips_thread *t, area at) {
  strips_work *w = t->work;
  const mfq_strips *s = w->strips;
  if (!w->fill) {
    quantize_or_measure(t, at);
    return;
  }
  uint32_t *to = (uint32_t *)(void *)(w->windows + window_bytes(s) * (size_t)t->thread);
  uint32_t *other = s->halves ? to + s->height * s->ld : NULL;
  const mfq_window window = {at.top, at.rows, at.col0, at.cols, to, other, s->ld, t->thread, w->is_first, w->is_last};
  w->fill(w->source, &window);
  read_window(t, at, to);
  at.col0 += span_of(s);
  if (other) read_window(t, at, other);
}

static int64_t windows_of(const mfq_strips *s) { return mfq_ceil_div(span_of(s), s->width); }

static void run_areas(void *work, int thread, int64_t first, int64_t end) {
  strips_work *w = work;
  const mfq_strips *s = w->strips;
  const int64_t windows = windows_of(s);
  strips_thread t = {.work = w, .thread = thread, .panels = {w->panels[0], w->panels[1]}, .window = s->tensor};
  for (int64_t k = first; k < end; ++k) {
    if (!s->by_strips) run_area(&t, area_at(s, k / windows, k % windows));
    for (int64_t i = 0; s->by_strips && i < windows; ++i) run_area(&t, area_at(s, k, i));
  }
}

/* Scales that all panels share stand in the same order in both: they vary along one axis at most. */
static void copy_shared(const mfq_panels *panels) {
  const mfq_qview *from = panels[0].view, *to = panels[1].view;
  if (to->sizes.tensor_scale_bytes) memcpy(to->q.tensor_scale, from->q.tensor_scale, to->sizes.tensor_scale_bytes);
  if (!panels[0].shared) return;
  if (from->sizes.scales_bytes) memcpy(to->q.scales, from->q.scales, from->sizes.scales_bytes);
  if (from->sizes.zero_points_bytes) memcpy(to->q.zero_points, from->q.zero_points, from->sizes.zero_points_bytes);
}

static void place_panels(const mfq_strips *s, mfq_panels *p, mfq_seed seed) {
  p->seed = seed;
  if (!s->is_made) return;
  p->is_near = 1;
  p->stride[0] = p->size[1] * s->ld;
  p->stride[1] = s->ld;
  p->stride[2] = 1;
}

void mfq_strips_run(const mfq_context *context, const mfq_strips *s, uint8_t *memory, mfq_fill fill, void *source) {
  strips_work w = {.strips = s, .fill = fill, .source = source, .panels = {s->panels[0], s->panels[1]}};
  const mfq_seed seed = {context->seed, context->offset};
  const int64_t strips = mfq_strips_count(s);
  int is_measured = 0;
  if (strips == 0 || s->cols == 0) return;
  for (int32_t i = 0; i < s->directions; ++i) place_panels(s, &w.panels[i], seed);
  for (int32_t i = 0; i < sets_of(s); ++i) {
    w.memory[i] = memory;
    memory += memory_of(&s->panels[i]);
    mfq_shared_begin(&w.panels[i], w.memory[i], &w.shared[i]);
    is_measured |= w.shared[i].is_measured;
  }
  w.windows = memory;
  w.is_first = 1;
  const int64_t step = !fill && s->by_strips && s->height == 1 ? 16 : 1;
  const mfq_loop loop = {s->threads, s->by_strips ? strips : strips * windows_of(s), step};
  if (is_measured) mfq_team_run(loop, run_areas, &w);
  for (int32_t i = 0; i < sets_of(s); ++i) mfq_shared_end(&w.shared[i]);
  if (s->is_square) copy_shared(w.panels);
  w.is_first = !is_measured;
  w.is_last = 1;
  mfq_team_run(loop, run_areas, &w);
}
