/* host/cpu/cast/gradient_panels.c: gradients by panels: the scales as quantization makes them, then rows.
 *
 * Rounding is monotonic, so the elements of a group that pass the clip lie between two ends, which are found once for a
 * scale of 1 by trying, and scaled exactly for each group. Groups for which that does not hold go element by element.
 * Gradients of scales need the values as well. A group's sum is made where the group is; long rows that share a scale are
 * summed chunk by chunk, and the chunks, which are whole subtrees, at the end. */
#include <string.h>

#include <mfq/num/gradient.h>
#include <mfq/num/random.h>

#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "panels.h"
#include "elements.h"
#include "ends.h"
#include "stream_copy.h"

enum { PANELS = 8, STREAM_BYTES = 8 << 20, LINE = 64 };

/* Memory of one thread beside the panel's. */
typedef struct gradient_rows {
  mfq_lane_ends ends, outer;
  uint32_t x[MFQ_CHUNK], dy[MFQ_CHUNK], dx[MFQ_CHUNK];
  uint32_t most[MFQ_CHUNK]; /* dx by the outer ends */
  float terms[MFQ_CHUNK + 1];
  uint8_t codes[MFQ_CHUNK + 8];
} gradient_rows;

typedef struct gradient_work {
  const mfq_cast *cast;
  mfq_panels panels;
  const mfq_ends *ends;  /* NULL: everything passes, and nothing is summed */
  const mfq_ends *outer; /* of stochastic rounding: between both, random bits decide */
  uint8_t *memory, *rows;
  float *chunks; /* sums of them, panel by panel */
  int32_t is_sloped, is_identity, has_sums, stream;
} gradient_work;

/* A row of a panel. */
typedef struct gradient_row {
  const mfq_panel *panel;
  mfq_stretch span;
  int64_t offset;
  uint64_t index; /* of the first element, row-major */
  const uint32_t *x, *dy;
} gradient_row;

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static const uint32_t *load_row(const gradient_work *w, const mfq_tensor *tensor, int64_t offset, int64_t n,
                                uint32_t *room) {
  const uint8_t *at = (const uint8_t *)tensor->data + offset * (int64_t)mfq_dtype_bytes(tensor->dtype);
  if (tensor->dtype == MFQ_DTYPE_F32) return (const uint32_t *)(const void *)at;
  w->panels.kernels->load(room, at, tensor->dtype, n);
  return room;
}

static void store_row(const gradient_work *w, int64_t offset, int64_t n, gradient_rows *rows) {
  const mfq_tensor *to = w->cast->dst;
  const size_t bytes = mfq_dtype_bytes(to->dtype);
  uint8_t *at = (uint8_t *)to->data + offset * (int64_t)bytes;
  if (!w->stream) {
    w->panels.kernels->store(at, to->dtype, rows->dx, n);
    return;
  }
  const void *from = rows->dx;
  if (to->dtype != MFQ_DTYPE_F32) w->panels.kernels->store(rows->x, to->dtype, rows->dx, n);
  if (to->dtype != MFQ_DTYPE_F32) from = rows->x; /* the elements are not needed any more */
  mfq_stream_copy(at, from, (size_t)n * bytes);
}

/* What became of element `i` of a row, whose bits are `u`. */
static mfqn_passage passage_at(const gradient_work *w, const mfq_lanes *lanes, const gradient_row *row, int64_t i,
                               uint32_t u) {
  const int64_t lane = row->span.first + (row->span.run == 0 ? i : i / row->span.run);
  const mfqn_group g = mfq_lane_group(&w->panels, lanes, lane);
  const mfq_seed seed = w->panels.seed;
  const uint32_t random = w->outer ? mfqn_random(seed.seed, seed.offset, row->index + (uint64_t)i) : 0;
  return mfqn_element_passage(&w->panels.scheme, &g, u, random);
}

static int is_rare(const gradient_work *w, const gradient_rows *rows, int64_t lane) {
  return rows->ends.rare[lane] || (w->outer && rows->outer.rare[lane]);
}

/* Groups for which the loops do not hold. */
static void do_rare(const gradient_work *w, const mfq_lanes *lanes, const gradient_row *row, gradient_rows *rows) {
  const int32_t ste = w->cast->gradient->ste;
  const int64_t run = row->span.run == 0 ? 1 : row->span.run;
  for (int64_t at = 0, lane = row->span.first; at < row->span.n; at += run, ++lane) {
    if (!is_rare(w, rows, lane)) continue;
    for (int64_t i = at; i < at + run && i < row->span.n; ++i) {
      const mfqn_passage passage = passage_at(w, lanes, row, i, row->x[i]);
      const float dy = mfqn_float_of(row->dy[i]);
      rows->dx[i] = mfqn_gradient_element(&passage, ste, dy);
      if (w->has_sums) rows->terms[i] = mfqn_gradient_scale_term(&passage, ste, dy);
    }
  }
}

/* The first byte from `at` on in which two rows differ; beyond `bytes`: none. */
static size_t next_difference(const uint8_t *a, const uint8_t *b, size_t at, size_t bytes) {
  enum { BLOCK = 256 };
  uint64_t x, y;
  while (at + BLOCK <= bytes && memcmp(a + at, b + at, BLOCK) == 0) at += BLOCK;
  for (; at + sizeof x <= bytes; at += sizeof x) {
    memcpy(&x, a + at, sizeof x);
    memcpy(&y, b + at, sizeof y);
    if (x != y) break;
  }
  while (at < bytes && a[at] == b[at]) ++at;
  return at;
}

/* Elements that pass or not by their random bits, in float32 or bf16: where dx is less than it may be. */
static void do_random(const gradient_work *w, const mfq_lanes *lanes, const gradient_row *row, gradient_rows *rows) {
  const mfq_tensor *src = w->cast->src;
  const size_t size = row->x ? sizeof(uint32_t) : sizeof(uint16_t), bytes = (size_t)row->span.n * size;
  uint8_t *dx = (uint8_t *)rows->dx;
  const uint8_t *most = (const uint8_t *)rows->most;
  for (size_t at = 0; (at = next_difference(dx, most, at, bytes)) < bytes;) {
    const size_t i = at / size;
    const uint32_t u = mfq_element_load(src->data, src->dtype, row->offset + (int64_t)i);
    if (passage_at(w, lanes, row, (int64_t)i, u).passes) memcpy(dx + i * size, most + i * size, size);
    at = (i + 1) * size;
  }
}

/* A row of bf16 alone, without groups that need more. */
static void do_row16(const gradient_work *w, const mfq_lanes *lanes, const gradient_row *row, gradient_rows *rows) {
  const mfq_stretch span = row->span;
  const int64_t offset = row->offset;
  const uint16_t *x = (const uint16_t *)w->cast->src->data + offset;
  const uint16_t *dy = (const uint16_t *)w->cast->gradient->upstream->data + offset;
  uint16_t *dx = (uint16_t *)(void *)rows->dx, *to = (uint16_t *)w->cast->dst->data + offset;
  w->panels.kernels->clip16(x, dy, span, &rows->ends, dx);
  if (w->outer) {
    w->panels.kernels->clip16(x, dy, span, &rows->outer, (uint16_t *)(void *)rows->most);
    do_random(w, lanes, row, rows);
  }
  if (w->stream)
    mfq_stream_copy(to, dx, (size_t)span.n * sizeof *dx);
  else
    memcpy(to, dx, (size_t)span.n * sizeof *dx);
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* What goes back to the first largest element of a group; nothing to the others, which is added all the same. */
static void go_through(const gradient_work *w, const mfq_panel_scratch *scratch, const gradient_row *row, int64_t at,
                       float sum, gradient_rows *rows) {
  const mfqn_scheme *s = &w->panels.scheme;
  const int64_t n = mfq_smaller(row->span.n - at, row->span.run), lane = row->span.first + at / row->span.run;
  const mfqn_statistic statistic = mfq_stats_at(&scratch->stats, lane, 0);
  const mfqn_group g = mfq_lane_group(&w->panels, &scratch->lanes, lane);
  const mfqn_extremes e = mfqn_gradient_extremes(s, &statistic, &g, sum, 0.0f);
  int64_t first = at;
  while (first < at + n && (row->x[first] & MFQN_ABS) != statistic.absmax) ++first;
  for (int64_t i = at; i < at + n; ++i) {
    const mfqn_spots own = {-1, i == first ? i : -1}, spots = {-1, first};
    const float through = i == first ? mfqn_gradient_through(s, &e, own, spots, row->x[i], 0) : 0.0f;
    rows->dx[i] = mfqn_one_nan(mfqn_add(mfqn_float_of(rows->dx[i]), through));
  }
}

static void sum_groups(const gradient_work *w, const mfq_panel_scratch *scratch, const gradient_row *row,
                       gradient_rows *rows) {
  const mfq_gradient *g = w->cast->gradient;
  for (int64_t at = 0; at < row->span.n; at += row->span.run) {
    const int64_t n = mfq_smaller(row->span.n - at, row->span.run), lane = row->span.first + at / row->span.run;
    const float sum = w->panels.kernels->tree(rows->terms + at, n);
    if (g->through_scale) go_through(w, scratch, row, at, sum, rows);
    if (!g->grad_scale) continue;
    const mfqn_group group = mfq_lane_group(&w->panels, &scratch->lanes, lane);
    const float gradient = mfqn_gradient_scale(&w->panels.scheme, &group, sum, g->log2_scale);
    const int64_t scale = row->panel->scale0 + lane * row->panel->scale_step;
    ((uint32_t *)g->grad_scale->data)[mfq_offset_of(g->grad_scale, scale)] = mfqn_bits(gradient);
  }
}

/* The sum of a whole panel, a chunk of a row; a short one behind others misses terms, which are +0. */
static void sum_chunk(const gradient_work *w, const gradient_row *row, int64_t index, gradient_rows *rows) {
  const float sum = w->panels.kernels->tree(rows->terms, row->span.n);
  w->chunks[index] = row->panel->col0 > 0 && row->span.n < MFQ_CHUNK ? mfqn_add(sum, 0.0f) : sum;
}

static void finish_rows(const gradient_work *w) {
  const mfq_panels *p = &w->panels;
  const mfq_gradient *g = w->cast->gradient;
  for (int64_t scale = 0; scale < p->view->sizes.scale_count; ++scale) {
    mfqn_tree tree = {.count = 0};
    for (int64_t c = 0; c < p->col_blocks; ++c) mfqn_tree_add(&tree, w->chunks[scale * p->col_blocks + c]);
    const mfqn_group group = mfq_group_stored(p->view, &p->scheme, scale);
    const float gradient = mfqn_gradient_scale(&p->scheme, &group, mfqn_tree_sum(&tree), g->log2_scale);
    ((uint32_t *)g->grad_scale->data)[mfq_offset_of(g->grad_scale, scale)] = mfqn_bits(gradient);
  }
}

static void sum_row(const gradient_work *w, const mfq_panel_scratch *scratch, const gradient_row *row, int64_t index,
                    gradient_rows *rows) {
  const mfq_kernels *kernels = w->panels.kernels;
  const mfqn_scheme *s = &w->panels.scheme;
  const mfq_terms t = {s, &scratch->lanes, w->is_identity ? NULL : &rows->ends, w->is_sloped};
  kernels->encode(s, (mfq_source){row->x, MFQ_DTYPE_F32}, row->span, &scratch->lanes, NULL, rows->codes);
  kernels->terms(&t, row->x, row->dy, rows->codes, row->span, rows->terms);
  if (rows->ends.any_rare) do_rare(w, &scratch->lanes, row, rows);
  if (w->chunks)
    sum_chunk(w, row, index, rows);
  else
    sum_groups(w, scratch, row, rows);
}

/* ---- Panels ------------------------------------------------------------------------------------------------------ */

static void do_row(const gradient_work *w, const mfq_panel_scratch *scratch, gradient_row *row, int64_t index,
                   gradient_rows *rows) {
  const mfq_kernels *kernels = w->panels.kernels;
  const mfq_stretch span = row->span;
  const int any_rare = w->ends && (rows->ends.any_rare || (w->outer && rows->outer.any_rare));
  if (w->ends && w->ends->is_half && !any_rare) {
    do_row16(w, &scratch->lanes, row, rows);
    return;
  }
  row->x = load_row(w, w->cast->src, row->offset, span.n, rows->x);
  row->dy = load_row(w, w->cast->gradient->upstream, row->offset, span.n, rows->dy);
  if (w->is_identity) {
    for (int64_t i = 0; i < span.n; ++i) rows->dx[i] = mfqn_one_nan(mfqn_float_of(row->dy[i]));
  } else if (w->is_sloped) {
    const mfq_slope s = {&rows->ends, w->ends->by_exponent ? NULL : scratch->lanes.divisor,
                         23 - w->panels.scheme.minifloat.man_bits};
    kernels->slope(row->x, row->dy, span, &s, rows->dx);
  } else {
    kernels->clip(row->x, row->dy, span, &rows->ends, rows->dx);
    if (w->outer) {
      kernels->clip(row->x, row->dy, span, &rows->outer, rows->most);
      do_random(w, &scratch->lanes, row, rows);
    }
  }
  if (w->has_sums)
    sum_row(w, scratch, row, index, rows);
  else if (any_rare)
    do_rare(w, &scratch->lanes, row, rows);
  store_row(w, row->offset, span.n, rows);
}

static void do_panels(void *work, int thread, int64_t first, int64_t end) {
  const gradient_work *w = work;
  const mfq_panels *p = &w->panels;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(p, w->memory, thread);
  gradient_rows *rows = (gradient_rows *)(void *)(w->rows + mfq_whole_lines(sizeof(gradient_rows)) * (size_t)thread);
  for (int64_t k = first; k < end; ++k) {
    const mfq_panel a = mfq_panel_at(p, k);
    if (w->ends) mfq_panel_scales(p, &a, mfq_panels_scales_known(p), scratch);
    if (w->ends) p->kernels->ends(w->ends, a.lanes, &scratch->lanes, &rows->ends);
    if (w->outer) p->kernels->ends(w->outer, a.lanes, &scratch->lanes, &rows->outer);
    for (int64_t r = 0; r < a.rows; ++r)
      for (int64_t c = 0; c < a.cols; c += MFQ_CHUNK) {
        const mfq_stretch span = mfq_panel_span(p, c, mfq_smaller(a.cols - c, MFQ_CHUNK));
        const uint64_t index = mfq_panel_index(p, &a, (mfq_piece){r, c, span.n});
        gradient_row row = {&a, span, mfq_panel_element(p, &a, r, c), index, NULL, NULL};
        do_row(w, scratch, &row, k, rows);
      }
  }
  if (w->stream) mfq_stream_fence();
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

/* What the plan keeps. */
typedef struct gradient_plan {
  mfq_qview view; /* of codes that are bytes: where they would stand is no matter */
  mfq_panels panels;
  int32_t is_sloped;
  size_t measured, scales; /* bytes of all that is measured, and of the scales in it */
  size_t chunks;
} gradient_plan;

_Static_assert(sizeof(gradient_plan) <= MFQ_CAST_STATE, "the plan finds room");

static int have_equal_strides(const mfq_tensor *a, const mfq_tensor *b) {
  for (int32_t i = 0; i < a->rank; ++i)
    if (a->shape[i] > 1 && a->strides[i] != b->strides[i]) return 0;
  return 1;
}

/* Why the loops do not hold for a variant, NULL: they do. */
static const char *why_not(const mfq_cast *cast, int is_sloped) {
  const mfq_gradient *g = cast->gradient;
  const mfq_format *e = &cast->view->q.scheme.element;
  if (!g) return NULL;
  if (is_sloped && (cast->view->q.scheme.rounding != MFQ_ROUND_EVEN || e->man_bits < 1))
    return "slopes are for ties to even, with a mantissa";
  if (!have_equal_strides(cast->src, g->upstream) || !have_equal_strides(cast->src, cast->dst))
    return "the three tensors have different strides";
  return NULL;
}

/* Why sums are not made here, NULL: they are, or there are none. */
static const char *why_no_sums(const mfq_cast *cast, const mfq_panels *p) {
  const mfq_gradient *g = cast->gradient;
  const mfq_granularity by = p->view->q.scheme.granularity;
  const int is_group = by == MFQ_GRANULARITY_GROUP && p->run > 0 && p->run <= p->cols;
  if (!g || !(g->grad_scale || g->grad_zero_point || g->through_scale)) return NULL;
  if (p->scheme.rounding == MFQN_ROUND_STOCHASTIC) return "sums are not of stochastic rounding";
  if (p->scheme.has_zero_point) return "sums are of schemes without zero points";
  if (p->scheme.is_brevitas && !mfqn_is_measured(&p->scheme)) return "Brevitas' NaN has no code";
  if (g->through_scale && (!is_group || p->scheme.minmax)) return "scales that go back are those of rows of groups";
  const int64_t rows = by == MFQ_GRANULARITY_TENSOR ? p->size[1] : 1;
  const int is_row = p->shared && p->run != 0 && p->cols == MFQ_CHUNK && p->size[0] == 1 && rows == 1;
  return is_group || is_row ? NULL : "sums are of rows of groups, and of rows that share a scale";
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const int is_sloped = cast->gradient && cast->gradient->ste == MFQ_STE_BREVITAS &&
                        cast->view->q.scheme.element.kind == MFQ_KIND_MINIFLOAT;
  if (mfq_cast_is_rotated(cast)) return mfq_refuse(why, "elements are rotated");
  const char *reason = why_not(cast, is_sloped);
  if (reason) return mfq_refuse(why, "%s", reason);
  const mfq_status status = mfq_choice_state(context, cast->function, sizeof(gradient_plan), choice);
  if (status != MFQ_OK) return status;
  gradient_plan *made = choice->state;
  made->view = *cast->view;
  made->view.q.layout.packing = MFQ_PACK_BYTE;
  made->view.q.layout.row_align = 0;
  made->is_sloped = is_sloped;
  const mfq_status fits = mfq_panels_plan(context, cast->src, &made->view, MFQ_PANELS_ENCODE, &made->panels, why);
  if (fits != MFQ_OK) return fits;
  const mfq_panels *p = &made->panels;
  if (p->transposed) return mfq_refuse(why, "scales stand in the order of turned codes");
  if (p->stride[2] != 1 && p->size[2] != 1) return mfq_refuse(why, "elements of a row are apart");
  const char *no_sums = why_no_sums(cast, p);
  if (no_sums) return mfq_refuse(why, "%s", no_sums);
  if (mfqn_is_measured(&p->scheme)) {
    made->scales = mfq_whole_lines(made->view.sizes.scales_bytes);
    made->measured = LINE + made->scales + mfq_whole_lines(made->view.sizes.zero_points_bytes);
  }
  size_t bytes = mfq_size_plus(made->measured, 2 * mfq_whole_lines(sizeof(mfq_ends)));
  bytes = mfq_size_plus(bytes, (size_t)p->threads * mfq_whole_lines(sizeof(gradient_rows)));
  if (cast->gradient && cast->gradient->grad_scale && p->shared)
    made->chunks = mfq_whole_lines((size_t)mfq_panels_pieces(p) * sizeof(float));
  bytes = mfq_size_plus(bytes, made->chunks);
  bytes = mfq_size_plus(bytes, mfq_size_plus(mfq_panels_scratch_all(p), mfq_panels_shared_bytes(p)));
  choice->workspace_bytes = bytes;
  mfq_choice_describe(choice, "vector loops (%s)", p->kernels->isa);
  return MFQ_OK;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const gradient_plan *made = state;
  const mfq_cast *cast = problem;
  const mfq_status status = mfq_gradient_check_learned(cast);
  if (status != MFQ_OK) return status;
  gradient_work w = {.cast = cast, .panels = made->panels, .is_sloped = made->is_sloped};
  mfq_qview view = made->view;
  mfq_panels *p = &w.panels;
  if (made->measured > 0) { /* into memory of our own, where panels read them */
    view.q.tensor_scale = (float *)(void *)memory;
    view.q.scales = memory + LINE;
    view.q.zero_points = memory + LINE + made->scales;
  }
  p->view = &view;
  p->seed = (mfq_seed){context->seed, context->offset};
  mfq_ends *ends = (mfq_ends *)(void *)(memory + made->measured);
  mfq_ends *outer = (mfq_ends *)(void *)(memory + made->measured + mfq_whole_lines(sizeof *ends));
  w.rows = memory + made->measured + 2 * mfq_whole_lines(sizeof *ends);
  if (made->chunks > 0)
    w.chunks = (float *)(void *)(w.rows + (size_t)p->threads * mfq_whole_lines(sizeof(gradient_rows)));
  w.memory = w.rows + (size_t)p->threads * mfq_whole_lines(sizeof(gradient_rows)) + made->chunks;
  w.is_identity = cast->gradient->ste == MFQ_STE_IDENTITY;
  w.has_sums = cast->gradient->grad_scale || cast->gradient->through_scale;
  if (!w.is_identity || w.has_sums) {
    if (p->scheme.rounding == MFQN_ROUND_STOCHASTIC)
      mfq_ends_find_random(&p->scheme, ends, outer);
    else
      mfq_ends_find(&p->scheme, 0, made->is_sloped, ends);
    ends->is_half = outer->is_half = !made->is_sloped && !w.is_identity && !w.has_sums &&
                                     cast->src->dtype == MFQ_DTYPE_BF16 && cast->dst->dtype == MFQ_DTYPE_BF16 &&
                                     cast->gradient->upstream->dtype == MFQ_DTYPE_BF16;
    w.ends = ends;
    w.outer = p->scheme.rounding == MFQN_ROUND_STOCHASTIC ? outer : NULL;
    mfq_panels_measure_shared(p, w.memory);
  }
  const int64_t bytes = p->size[0] * p->size[1] * p->size[2] * (int64_t)mfq_dtype_bytes(cast->dst->dtype);
  w.stream =
      bytes > STREAM_BYTES && cast->dst->data != cast->src->data && cast->dst->data != cast->gradient->upstream->data;
  mfq_team_run((mfq_loop){p->threads, mfq_panels_pieces(p), PANELS}, do_panels, &w);
  if (w.chunks) finish_rows(&w);
  return MFQ_OK;
}

const mfq_way mfq_gradient_panels = {"panels", plan, run, NULL};
