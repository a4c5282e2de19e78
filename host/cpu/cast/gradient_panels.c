/* host/cpu/cast/gradient_panels.c: gradients of elements by panels: the scales as quantization makes them, then rows.
 *
 * Rounding is monotonic, so the elements of a group that pass the clip lie between two ends, which are found once for a
 * scale of 1 by trying, and scaled exactly for each group. Groups for which that does not hold go element by element. */
#include <string.h>

#include <mfq/num/gradient.h>

#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "host/core/integers.h"
#include "panels.h"
#include "stream_copy.h"

enum { PANELS = 8, STREAM_BYTES = 8 << 20, LINE = 64 };

/* Memory of one thread beside the panel's. */
typedef struct gradient_rows {
  mfq_lane_ends ends;
  uint32_t x[MFQ_CHUNK], dy[MFQ_CHUNK], dx[MFQ_CHUNK];
} gradient_rows;

typedef struct gradient_work {
  const mfq_cast *cast;
  mfq_panels panels;
  const mfq_ends *ends; /* NULL: everything passes */
  uint8_t *memory, *rows;
  int32_t is_sloped, stream;
} gradient_work;

static size_t rounded(size_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

/* ---- Ends -------------------------------------------------------------------------------------------------------- */

static mfqn_passage passage_under_one(const mfqn_scheme *s, int32_t zero_point, uint32_t u) {
  const mfqn_group g = {.usable = 1,
                        .by_exponent = mfqn_by_exponent(s),
                        .divisor = 1.0f,
                        .scale = 1.0f,
                        .tensor_scale = 1.0f,
                        .zero_point = zero_point};
  return mfqn_element_passage(s, &g, u, 0);
}

/* The largest magnitude of this sign that passes: 0 does. */
static float end_of(const mfqn_scheme *s, int32_t zero_point, uint32_t sign) {
  uint32_t in = 0, out = MFQN_INF;
  while (out - in > 1) {
    const uint32_t middle = in + (out - in) / 2;
    if (passage_under_one(s, zero_point, sign | middle).passes)
      in = middle;
    else
      out = middle;
  }
  return mfqn_float_of(in);
}

static float least_normal(const mfqn_scheme *s) {
  uint32_t below = 0, normal = MFQN_MAX_FINITE;
  while (normal - below > 1) {
    const uint32_t middle = below + (normal - below) / 2;
    if (passage_under_one(s, 0, middle).is_normal)
      normal = middle;
    else
      below = middle;
  }
  return mfqn_float_of(normal);
}

static void find_ends(const mfqn_scheme *s, int is_sloped, mfq_ends *ends) {
  const int32_t lowest = s->has_zero_point ? s->integer.lowest : 0;
  const int32_t highest = s->has_zero_point ? s->integer.highest : 0;
  ends->lowest = lowest;
  ends->has_zero_points = s->has_zero_point;
  ends->by_exponent = mfqn_by_exponent(s);
  ends->least = is_sloped ? least_normal(s) : 1.0f;
  for (int32_t z = lowest; z <= highest; ++z) {
    ends->lo[z - lowest] = end_of(s, z, 0x80000000u);
    ends->hi[z - lowest] = end_of(s, z, 0);
  }
}

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

/* Groups for which the loops do not hold. */
static void do_rare(const gradient_work *w, const mfq_lanes *lanes, mfq_stretch span, const uint32_t *const from[2],
                    gradient_rows *rows) {
  const mfqn_scheme *s = &w->panels.scheme;
  const int64_t run = span.run == 0 ? 1 : span.run;
  for (int64_t at = 0, lane = span.first; at < span.n; at += run, ++lane) {
    if (!rows->ends.rare[lane]) continue;
    mfqn_group g = mfqn_group_load(s, lanes->stored[lane], w->panels.tensor_scale);
    g.zero_point = (int32_t)lanes->zero_point[lane];
    for (int64_t i = at; i < at + run && i < span.n; ++i) {
      const mfqn_passage passage = mfqn_element_passage(s, &g, from[0][i], 0);
      rows->dx[i] = mfqn_gradient_element(&passage, w->cast->gradient->ste, mfqn_float_of(from[1][i]));
    }
  }
}

/* A row of bf16 alone, without groups that need more. */
static void do_row16(const gradient_work *w, mfq_stretch span, int64_t offset, gradient_rows *rows) {
  const uint16_t *x = (const uint16_t *)w->cast->src->data + offset;
  const uint16_t *dy = (const uint16_t *)w->cast->gradient->upstream->data + offset;
  uint16_t *dx = (uint16_t *)(void *)rows->dx, *to = (uint16_t *)w->cast->dst->data + offset;
  w->panels.kernels->clip16(x, dy, span, &rows->ends, dx);
  if (w->stream)
    mfq_stream_copy(to, dx, (size_t)span.n * sizeof *dx);
  else
    memcpy(to, dx, (size_t)span.n * sizeof *dx);
}

static void do_row(const gradient_work *w, const mfq_panel_scratch *scratch, mfq_stretch span, int64_t offset,
                   gradient_rows *rows) {
  const mfq_kernels *kernels = w->panels.kernels;
  if (w->ends && w->ends->is_half && !rows->ends.any_rare) {
    do_row16(w, span, offset, rows);
    return;
  }
  const uint32_t *const from[] = {load_row(w, w->cast->src, offset, span.n, rows->x),
                                  load_row(w, w->cast->gradient->upstream, offset, span.n, rows->dy)};
  if (!w->ends) {
    for (int64_t i = 0; i < span.n; ++i) rows->dx[i] = mfqn_one_nan(mfqn_float_of(from[1][i]));
  } else if (w->is_sloped) {
    const mfq_slope s = {&rows->ends, w->ends->by_exponent ? NULL : scratch->lanes.divisor,
                         23 - w->panels.scheme.minifloat.man_bits};
    kernels->slope(from[0], from[1], span, &s, rows->dx);
  } else {
    kernels->clip(from[0], from[1], span, &rows->ends, rows->dx);
  }
  if (w->ends && rows->ends.any_rare) do_rare(w, &scratch->lanes, span, from, rows);
  store_row(w, offset, span.n, rows);
}

static void do_panels(void *work, int thread, int64_t first, int64_t end) {
  const gradient_work *w = work;
  const mfq_panels *p = &w->panels;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(p, w->memory, thread);
  gradient_rows *rows = (gradient_rows *)(void *)(w->rows + rounded(sizeof(gradient_rows)) * (size_t)thread);
  for (int64_t k = first; k < end; ++k) {
    const mfq_panel a = mfq_panel_at(p, k);
    if (w->ends) mfq_panel_scales(p, &a, mfq_panels_scales_known(p), scratch);
    if (w->ends) p->kernels->ends(w->ends, a.lanes, &scratch->lanes, &rows->ends);
    for (int64_t r = 0; r < a.rows; ++r)
      for (int64_t c = 0; c < a.cols; c += MFQ_CHUNK)
        do_row(w, scratch, mfq_panel_span(p, c, mfq_smaller(a.cols - c, MFQ_CHUNK)), mfq_panel_element(p, &a, r, c),
               rows);
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
  if (g->grad_scale || g->grad_zero_point || g->through_scale) return "terms are summed";
  if (is_sloped && (cast->view->q.scheme.rounding != MFQ_ROUND_EVEN || e->man_bits < 1))
    return "slopes are for ties to even, with a mantissa";
  if (!have_equal_strides(cast->src, g->upstream) || !have_equal_strides(cast->src, cast->dst))
    return "the three tensors have different strides";
  return NULL;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const int is_sloped = cast->gradient && cast->gradient->ste == MFQ_STE_BREVITAS &&
                        cast->view->q.scheme.element.kind == MFQ_KIND_MINIFLOAT;
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
  if (mfqn_is_measured(&p->scheme)) {
    made->scales = rounded(made->view.sizes.scales_bytes);
    made->measured = LINE + made->scales + rounded(made->view.sizes.zero_points_bytes);
  }
  size_t bytes = mfq_size_plus(made->measured, rounded(sizeof(mfq_ends)));
  bytes = mfq_size_plus(bytes, (size_t)p->threads * rounded(sizeof(gradient_rows)));
  bytes = mfq_size_plus(bytes, mfq_size_plus(mfq_panels_scratch_all(p), mfq_panels_shared_bytes(p)));
  choice->workspace_bytes = bytes;
  mfq_choice_describe(choice, "vector loops (%s)", p->kernels->isa);
  return MFQ_OK;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const gradient_plan *made = state;
  const mfq_cast *cast = problem;
  (void)context;
  gradient_work w = {.cast = cast, .panels = made->panels, .is_sloped = made->is_sloped};
  mfq_qview view = made->view;
  mfq_panels *p = &w.panels;
  if (made->measured > 0) { /* into memory of our own, where panels read them */
    view.q.tensor_scale = (float *)(void *)memory;
    view.q.scales = memory + LINE;
    view.q.zero_points = memory + LINE + made->scales;
  }
  p->view = &view;
  mfq_ends *ends = (mfq_ends *)(void *)(memory + made->measured);
  w.rows = memory + made->measured + rounded(sizeof *ends);
  w.memory = w.rows + (size_t)p->threads * rounded(sizeof(gradient_rows));
  if (cast->gradient->ste != MFQ_STE_IDENTITY) {
    find_ends(&p->scheme, made->is_sloped, ends);
    ends->is_half = !made->is_sloped && cast->src->dtype == MFQ_DTYPE_BF16 && cast->dst->dtype == MFQ_DTYPE_BF16 &&
                    cast->gradient->upstream->dtype == MFQ_DTYPE_BF16;
    w.ends = ends;
    mfq_panels_measure_shared(p, w.memory);
  }
  const int64_t bytes = p->size[0] * p->size[1] * p->size[2] * (int64_t)mfq_dtype_bytes(cast->dst->dtype);
  w.stream =
      bytes > STREAM_BYTES && cast->dst->data != cast->src->data && cast->dst->data != cast->gradient->upstream->data;
  mfq_team_run((mfq_loop){p->threads, mfq_panels_pieces(p), PANELS}, do_panels, &w);
  return MFQ_OK;
}

const mfq_way mfq_gradient_panels = {"panels", plan, run, NULL};
