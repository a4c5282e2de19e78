/* host/cpu/cast/gradient_panels.c: gradients by panels: the scales as quantization makes them, then rows.
 *
 * Rounding is monotonic, so the elements of a group that pass the clip lie between two ends, which are found once for a
 * scale of 1 by trying, and scaled exactly for each group. Elements for which that does not hold ask the definition.
 * Gradients of scales need the values as well (gradient_sums.c). What a measured scale sends back to its elements is known
 * when all of them are summed: the rows of a panel are then gone through once more, or all panels that share scales. */
#include <string.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "elements.h"
#include "gradient_rows.h"
#include "stream_copy.h"

enum { PANELS = 8, STREAM_BYTES = 8 << 20, LINE = 64 };

static size_t thread_bytes(const mfq_panels *p, const mfq_gradient *g) {
  const size_t trees = g && (g->grad_scale || g->grad_zero_point || g->through_scale) ? mfq_gradient_tree_bytes(p) : 0;
  return mfq_size_plus(mfq_whole_lines(sizeof(gradient_thread)), trees);
}

static gradient_thread *thread_at(const gradient_work *w, int thread) {
  return (gradient_thread *)(void *)(w->threads + thread_bytes(&w->panels, w->cast->gradient) * (size_t)thread);
}

/* ---- Panels ------------------------------------------------------------------------------------------------------ */

static void do_rows(const gradient_work *w, const mfq_panel *a, int32_t steps, mfq_panel_scratch *scratch,
                    gradient_thread *t) {
  const mfq_panels *p = &w->panels;
  const mfqn_gradient_totals *totals = w->totals ? w->totals + a->scale0 : t->totals;
  for (int64_t r = 0; r < a->rows; ++r)
    for (int64_t c = 0; c < a->cols; c += MFQ_CHUNK) {
      const mfq_piece at = {r, c, mfq_smaller(a->cols - c, MFQ_CHUNK)};
      gradient_row row = {.panel = a, .at = at, .span = mfq_panel_span(p, c, at.n), .steps = steps, .totals = totals};
      row.offset = mfq_panel_element(p, a, r, c);
      row.index = mfq_panel_index(p, a, at);
      mfq_gradient_row(w, scratch, &row, t);
    }
}

static void do_panel(const gradient_work *w, const mfq_panel *a, mfq_panel_scratch *scratch, gradient_thread *t) {
  const mfq_panels *p = &w->panels;
  const int is_twofold = w->steps == (GRADIENT_SUM | GRADIENT_WRITE) && w->cast->gradient->through_scale;
  if (w->needs_scales) {
    mfq_panel_scales(p, a, mfq_panels_scales_known(p), scratch);
    mfq_clip_lanes(p->kernels, a->lanes, &scratch->lanes, &t->clip);
  }
  if (w->has_sums) mfq_gradient_begin(w, a, scratch, t);
  t->held = t->found = -1;
  do_rows(w, a, is_twofold ? GRADIENT_SUM : w->steps, scratch, t);
  if (w->steps & GRADIENT_SUM) mfq_gradient_end(w, a, scratch, t);
  if (is_twofold) do_rows(w, a, GRADIENT_WRITE, scratch, t);
}

static void do_panels(void *work, int thread, int64_t first, int64_t end) {
  const gradient_work *w = work;
  const mfq_panels *p = &w->panels;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(p, w->memory, thread);
  gradient_thread *t = thread_at(w, thread);
  if (w->has_sums) mfq_gradient_place_trees(p, (uint8_t *)t + mfq_whole_lines(sizeof *t), t);
  for (int64_t k = first; k < end; ++k) {
    const mfq_panel a = mfq_panel_at(p, k);
    do_panel(w, &a, scratch, t);
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
  size_t parts, totals;    /* bytes, where panels share scales: of the sums of one kind */
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

static int has_sums(const mfq_cast *cast) {
  const mfq_gradient *g = cast->gradient;
  return g && (g->grad_scale || g->grad_zero_point || g->through_scale);
}

/* Memory beside what panels need, which comes last. */
static size_t plan_memory(const mfq_cast *cast, gradient_plan *made) {
  const mfq_panels *p = &made->panels;
  if (mfqn_is_measured(&p->scheme)) {
    made->scales = mfq_whole_lines(made->view.sizes.scales_bytes);
    made->measured = LINE + made->scales + mfq_whole_lines(made->view.sizes.zero_points_bytes);
  }
  if (has_sums(cast) && p->shared) {
    made->parts = mfq_whole_lines(mfq_size_times(mfq_gradient_parts(p), sizeof(float)));
    if (cast->gradient->through_scale)
      made->totals =
          mfq_whole_lines(mfq_size_times((size_t)made->view.sizes.scale_count, sizeof(mfqn_gradient_totals)));
  }
  const size_t threads = mfq_size_times((size_t)p->threads, thread_bytes(p, cast->gradient));
  const size_t bytes = mfq_size_plus(made->measured, threads);
  return mfq_size_plus(bytes, mfq_size_plus(mfq_size_times(2, made->parts), made->totals));
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
  const char *no_sums = mfq_gradient_why_no_sums(cast, p);
  if (no_sums) return mfq_refuse(why, "%s", no_sums);
  const size_t panels = mfq_size_plus(mfq_panels_scratch_all(p), mfq_panels_shared_bytes(p));
  choice->workspace_bytes = mfq_size_plus(plan_memory(cast, made), panels);
  mfq_choice_describe(choice, "vector loops (%s)", p->kernels->isa);
  return MFQ_OK;
}

static void start_ends(const gradient_work *w) {
  mfq_found_ends found;
  mfq_ends_start(&w->panels.scheme, w->is_sloped, w->is_half, &found);
  for (int i = 0; i < w->panels.threads; ++i) thread_at(w, i)->clip.found = found;
}

/* Where parts of the memory are, which plan_memory counts. */
static void place_memory(const gradient_plan *made, gradient_work *w, uint8_t *memory) {
  const mfq_panels *p = &w->panels;
  w->threads = memory;
  uint8_t *parts = memory + (size_t)p->threads * thread_bytes(p, w->cast->gradient), *totals = parts + 2 * made->parts;
  for (int k = 0; k < 2; ++k) w->parts[k] = (float *)(void *)(parts + (size_t)k * made->parts);
  if (made->totals > 0) w->totals = (mfqn_gradient_totals *)(void *)totals;
  w->memory = totals + made->totals;
}

static void run_steps(gradient_work *w, int32_t steps) {
  const mfq_panels *p = &w->panels;
  w->steps = steps;
  mfq_team_run((mfq_loop){p->threads, mfq_panels_pieces(p), PANELS}, do_panels, w);
  if ((steps & GRADIENT_SUM) && p->shared) mfq_gradient_finish(w);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const gradient_plan *made = state;
  const mfq_cast *cast = problem;
  const mfq_status status = mfq_gradient_check_learned(cast);
  if (status != MFQ_OK) return status;
  gradient_work w = {.cast = cast, .panels = made->panels, .is_sloped = made->is_sloped, .has_sums = has_sums(cast)};
  mfq_qview view = made->view;
  mfq_panels *p = &w.panels;
  if (made->measured > 0) { /* into memory of our own, where panels read them */
    view.q.tensor_scale = (float *)(void *)memory;
    view.q.scales = memory + LINE;
    view.q.zero_points = memory + LINE + made->scales;
  }
  p->view = &view;
  p->seed = (mfq_seed){context->seed, context->offset};
  w.is_identity = cast->gradient->ste == MFQ_STE_IDENTITY;
  w.is_counted = view.q.scheme.granularity == MFQ_GRANULARITY_TENSOR;
  place_memory(made, &w, memory + made->measured);
  w.needs_scales = !w.is_identity || w.has_sums;
  w.is_half = !w.is_sloped && !w.is_identity && !w.has_sums && cast->src->dtype == MFQ_DTYPE_BF16 &&
              cast->dst->dtype == MFQ_DTYPE_BF16 && cast->gradient->upstream->dtype == MFQ_DTYPE_BF16;
  if (w.needs_scales) {
    start_ends(&w);
    mfq_panels_measure_shared(p, w.memory);
  }
  if (w.totals) w.statistics = mfq_panels_statistics(p, w.memory);
  for (int64_t i = 0; w.totals && i < view.sizes.scale_count; ++i)
    w.totals[i] = (mfqn_gradient_totals){{0.0f, 0.0f}, mfqn_spots_none(w.is_counted)};
  const mfq_tensor *dx = cast->dst;
  const int64_t bytes = p->size[0] * p->size[1] * p->size[2] * (int64_t)mfq_dtype_bytes(dx->dtype);
  w.is_apart = dx->data != cast->src->data && dx->data != cast->gradient->upstream->data;
  w.stream = bytes > STREAM_BYTES && w.is_apart;
  if (w.totals) run_steps(&w, GRADIENT_SUM);
  run_steps(&w, w.totals || !w.has_sums ? GRADIENT_WRITE : GRADIENT_SUM | GRADIENT_WRITE);
  return MFQ_OK;
}

const mfq_way mfq_gradient_panels = {"panels", plan, run, NULL};
