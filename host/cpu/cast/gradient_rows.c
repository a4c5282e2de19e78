/* host/cpu/cast/gradient_rows.c: the gradients of a panel's row. */
#include "gradient_rows.h"

#include <string.h>

#include <mfq/num/random.h>

#include "elements.h"
#include "stream_copy.h"

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static const uint32_t *load_row(const gradient_work *w, const mfq_tensor *tensor, const gradient_row *row, int is_held,
                                uint32_t *room) {
  const uint8_t *at = (const uint8_t *)tensor->data + row->offset * (int64_t)mfq_dtype_bytes(tensor->dtype);
  if (tensor->dtype == MFQ_DTYPE_F32) return (const uint32_t *)(const void *)at;
  if (!is_held) w->panels.kernels->load(room, at, tensor->dtype, row->span.n);
  return room;
}

static uint8_t *place_of(const gradient_work *w, const gradient_row *row) {
  const mfq_tensor *to = w->cast->dst;
  return (uint8_t *)to->data + row->offset * (int64_t)mfq_dtype_bytes(to->dtype);
}

/* Whether the loops may write gradients of their own dtype where they stand. */
static int is_direct(const gradient_work *w) { return w->is_apart && !w->stream && !w->cast->gradient->through_scale; }

static void store_row(const gradient_work *w, const gradient_row *row, gradient_thread *t) {
  const mfq_dtype dtype = w->cast->dst->dtype;
  const int64_t n = row->span.n;
  if (row->dx != t->dx) return;
  if (!w->stream) {
    w->panels.kernels->store(place_of(w, row), dtype, t->dx, n);
    return;
  }
  const void *from = t->dx;
  if (dtype != MFQ_DTYPE_F32) w->panels.kernels->store(t->x, dtype, t->dx, n);
  if (dtype != MFQ_DTYPE_F32) from = t->x; /* the elements are not needed any more */
  mfq_stream_copy(place_of(w, row), from, (size_t)n * mfq_dtype_bytes(dtype));
}

/* ---- Elements that ask the definition ---------------------------------------------------------------------------- */

static int are_open(const gradient_work *w, const gradient_thread *t) {
  return w->needs_scales && (t->clip.found.is_random || t->clip.ends.any_rare);
}

static mfqn_passage passage_at(const gradient_work *w, const mfq_lanes *lanes, const gradient_row *row, int64_t i,
                               uint32_t u) {
  const mfqn_group g = mfq_lane_group(&w->panels, lanes, mfq_lane_of(row->span, i));
  const mfq_seed seed = w->panels.seed;
  const uint32_t random = w->panels.scheme.rounding == MFQN_ROUND_STOCHASTIC
                              ? mfqn_random(seed.seed, seed.offset, row->index + (uint64_t)i)
                              : 0;
  return mfqn_element_passage(&w->panels.scheme, &g, u, random);
}

static void do_open(const gradient_work *w, const mfq_lanes *lanes, const gradient_row *row, gradient_thread *t) {
  const int32_t ste = w->cast->gradient->ste;
  for (int64_t k = 0; k * 32 < row->span.n; ++k)
    for (uint32_t open = t->open[k]; open != 0; open &= open - 1) {
      const int64_t i = 32 * k + __builtin_ctz(open);
      const mfqn_passage passage = passage_at(w, lanes, row, i, row->x[i]);
      const float dy = mfqn_float_of(row->dy[i]);
      row->dx[i] = mfqn_gradient_element(&passage, ste, dy);
      t->terms[0][i] = mfqn_gradient_scale_term(&passage, ste, dy);
      t->terms[1][i] = mfqn_gradient_zero_point_term(&passage, ste, dy);
    }
}

/* ---- bf16 alone -------------------------------------------------------------------------------------------------- */

/* A row without rare groups, whose sums are not wanted. */
static void do_row16(const gradient_work *w, const mfq_lanes *lanes, const gradient_row *row, gradient_thread *t) {
  const mfq_stretch span = row->span;
  const uint16_t *x = (const uint16_t *)w->cast->src->data + row->offset;
  const uint16_t *dy = (const uint16_t *)w->cast->gradient->upstream->data + row->offset;
  uint16_t *to = (uint16_t *)(void *)place_of(w, row), *dx = is_direct(w) ? to : (uint16_t *)(void *)t->dx;
  w->panels.kernels->clip16(x, dy, span, &t->clip.ends, dx);
  if (are_open(w, t))
    (void)mfq_clip_row(w->panels.kernels, &t->clip, (mfq_source){x, MFQ_DTYPE_BF16}, span, t->passing, t->open);
  for (int64_t k = 0; are_open(w, t) && k * 32 < span.n; ++k)
    for (uint32_t open = t->open[k]; open != 0; open &= open - 1) {
      const int64_t i = 32 * k + __builtin_ctz(open);
      if (passage_at(w, lanes, row, i, mfqn_f32_from_bf16(x[i])).passes)
        dx[i] = (uint16_t)mfqn_bf16_from_f32(mfqn_f32_from_bf16(dy[i]));
    }
  if (w->stream)
    mfq_stream_copy(to, dx, (size_t)span.n * sizeof *dx);
  else if (dx != to)
    memcpy(to, dx, (size_t)span.n * sizeof *dx);
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static void make_dx(const gradient_work *w, const mfq_lanes *lanes, const gradient_row *row, gradient_thread *t) {
  const mfq_kernels *kernels = w->panels.kernels;
  if (w->is_sloped) {
    const mfq_slope s = {&t->clip.ends, t->clip.found.ends.by_exponent ? NULL : lanes->divisor,
                         23 - w->panels.scheme.minifloat.man_bits};
    kernels->slope(row->x, row->dy, row->span, &s, row->dx);
  } else {
    kernels->clip(row->x, row->dy, row->span, w->is_identity ? NULL : &t->clip.ends, row->dx);
  }
}

static void make_terms(const gradient_work *w, mfq_panel_scratch *scratch, const gradient_row *row,
                       gradient_thread *t) {
  const mfq_panels *p = &w->panels;
  const mfq_terms terms = {.scheme = &p->scheme,
                           .lanes = &scratch->lanes,
                           .ends = w->is_identity ? NULL : &t->clip.ends,
                           .is_sloped = w->is_sloped,
                           .scale = t->terms[0],
                           .zero_point = t->terms[1]};
  if (p->kernels->terms(&terms, row->x, row->dy, NULL, row->span)) return;
  mfq_panel_draw(p, row->panel, row->at, scratch);
  p->kernels->encode(&p->scheme, (mfq_source){row->x, MFQ_DTYPE_F32}, row->span, &scratch->lanes, scratch->drawn,
                     t->codes);
  (void)p->kernels->terms(&terms, row->x, row->dy, t->codes, row->span);
}

void mfq_gradient_row(const gradient_work *w, mfq_panel_scratch *scratch, gradient_row *row, gradient_thread *t) {
  const mfq_lanes *lanes = &scratch->lanes;
  const int is_whole = row->panel->rows == 1 && row->span.n == row->panel->cols;
  if (w->is_half && !mfq_clip_any_rare(&t->clip)) {
    do_row16(w, lanes, row, t);
    return;
  }
  const int is_held = is_whole && t->held == row->offset;
  row->x = load_row(w, w->cast->src, row, is_held, t->x);
  row->dy = load_row(w, w->cast->gradient->upstream, row, is_held, t->dy);
  row->dx = is_direct(w) && w->cast->dst->dtype == MFQ_DTYPE_F32 ? (uint32_t *)(void *)place_of(w, row) : t->dx;
  t->held = is_whole && row->steps == GRADIENT_SUM ? row->offset : -1;
  if (are_open(w, t))
    (void)mfq_clip_row(w->panels.kernels, &t->clip, (mfq_source){row->x, MFQ_DTYPE_F32}, row->span, t->passing,
                       t->open);
  if (row->steps & GRADIENT_WRITE) make_dx(w, lanes, row, t);
  if (row->steps & GRADIENT_SUM) make_terms(w, scratch, row, t);
  if (are_open(w, t)) do_open(w, lanes, row, t);
  if (row->steps & GRADIENT_SUM) mfq_gradient_add(w, scratch, row, t);
  if (!(row->steps & GRADIENT_WRITE)) return;
  if (w->cast->gradient->through_scale) mfq_gradient_go_through(w, scratch, row, t);
  store_row(w, row, t);
}
