/* host/cpu/cast/search_blocks.c: the losses of a block: for each candidate the scales of all its lanes are made by the loops
 * of quantization, its values by those of fake quantization, and squared errors are summed lane by lane.
 *
 * Powers of two are tried once: of nineteen candidates at most five are left. Lanes that the loops do not hold for are
 * searched element by element. */
#include "search_blocks.h"

#include <string.h>

#include "host/core/integers.h"
#include "elements.h"
#include "lane_tree.h"
#include "panel_rows.h"

static mfqn_statistic statistic_of(const mfq_search_work *w, const mfq_panel_scratch *scratch, int64_t lane) {
  return mfq_stats_at(&scratch->stats, lane, w->panels->scheme.minmax);
}

/* ---- Candidates -------------------------------------------------------------------------------------------------- */

/* Scales of scratch->lanes from statistics, by the loops or one by one. */
static void make_stored(const mfq_search_work *w, const mfqn_scheme *s, const mfq_stats *stats, int64_t lanes,
                        mfq_panel_scratch *scratch) {
  w->panels->kernels->scales(s, stats, lanes, w->panels->tensor_scale, &scratch->lanes);
  for (int64_t i = 0; scratch->lanes.any_rare && i < lanes; ++i) {
    if (!scratch->lanes.rare[i]) continue;
    const mfqn_statistic statistic = mfq_stats_at(stats, i, s->minmax);
    scratch->lanes.stored[i] = mfqn_group_scale(s, &statistic, w->panels->tensor_scale);
  }
}

/* Lanes without a choice have the plain scale, whatever is tried. */
static void put_plain(int64_t lanes, uint32_t *stored, const mfq_search_room *room) {
  for (int64_t i = 0; room->any_plain && i < lanes; ++i)
    if (!room->searched[i]) stored[i] = room->plain[i];
}

/* The scales of candidate `i` of all lanes. */
static void make_candidate(const mfq_search_work *w, int64_t lanes, int32_t i, uint32_t *stored,
                           mfq_panel_scratch *scratch, mfq_search_room *room) {
  if (i == w->candidates.steps && !w->panels->scheme.is_brevitas) {
    memcpy(stored, room->plain, (size_t)lanes * sizeof *stored);
    return;
  }
  w->loops->products(room->base, (float)i, lanes, room->tries.absmax);
  make_stored(w, &w->tried, &room->tries, lanes, scratch);
  memcpy(stored, scratch->lanes.stored, (size_t)lanes * sizeof *stored);
  put_plain(lanes, stored, room);
}

/* From one power of two to the next, as stored; 0 where it is none, or not everywhere the same. */
static uint32_t step_of(const mfqn_scheme *s) {
  if (s->rule == MFQN_RULE_ABSMAX || s->is_brevitas || s->power_gain != 0.0f) return 0;
  return s->scale == MFQN_SCALE_UE8M0 ? 1u : s->scale == MFQN_SCALE_F32 ? 1u << 23 : 0u;
}

/* Powers of two between that of the first candidate and that of the last: of two neighbours, which are within twice one
 * another, none skips one. */
static void list_powers(const mfq_search_work *w, int64_t lanes, uint32_t step, mfq_panel_scratch *scratch,
                        mfq_search_room *room) {
  uint32_t largest[MFQ_SEARCH_LANES], most = 0;
  make_candidate(w, lanes, w->candidates.first, room->stored[0], scratch, room);
  make_candidate(w, lanes, w->candidates.last, largest, scratch, room);
  for (int64_t i = 0; i < lanes; ++i) most = mfqn_umax(most, (largest[i] - room->stored[0][i]) / step);
  for (uint32_t k = 1; k <= most; ++k)
    for (int64_t i = 0; i < lanes; ++i) room->stored[k][i] = mfqn_umin(room->stored[0][i] + k * step, largest[i]);
  room->count = (int32_t)most + 1;
}

/* Candidates that are equal for all lanes are tried once; those of shared scales have a number that all blocks know. */
static void list_all(const mfq_search_work *w, int64_t lanes, mfq_panel_scratch *scratch, mfq_search_room *room) {
  room->count = 0;
  for (int32_t i = w->candidates.first; i <= w->candidates.last; ++i) {
    uint32_t *stored = room->stored[room->count];
    make_candidate(w, lanes, i, stored, scratch, room);
    const size_t bytes = (size_t)lanes * sizeof *stored;
    const int is_first = room->count == 0 || w->statistics != NULL;
    const int is_new = is_first || memcmp(stored, stored - MFQ_SEARCH_LANES, bytes) != 0;
    room->count += is_new;
  }
}

void mfq_search_list(const mfq_search_work *w, int64_t lanes, mfq_panel_scratch *scratch, mfq_search_room *room) {
  const mfqn_scheme *s = &w->panels->scheme;
  room->any_plain = 0;
  for (int64_t i = 0; i < lanes; ++i) {
    const mfqn_statistic own = statistic_of(w, scratch, i);
    const uint32_t statistic = mfqn_statistic_value(&own, s);
    room->searched[i] = (uint8_t)mfqn_is_searched(statistic);
    room->any_plain |= !room->searched[i];
    room->slow[i] = room->searched[i] && mfqn_error_unit(statistic) != 1.0f;
    room->base[i] = room->searched[i] ? mfqn_div(mfqn_float_of(statistic), (float)w->candidates.steps) : 1.0f;
  }
  make_stored(w, s, &scratch->stats, lanes, scratch);
  memcpy(room->plain, scratch->lanes.stored, (size_t)lanes * sizeof room->plain[0]);
  if (step_of(s) != 0)
    list_powers(w, lanes, step_of(s), scratch, room);
  else
    list_all(w, lanes, scratch, room);
}

/* What elements need of candidate `k` of all lanes. */
static void load_candidate(const mfq_search_work *w, int64_t lanes, int32_t k, mfq_panel_scratch *scratch,
                           mfq_search_room *room) {
  const mfq_kernels *kernels = w->panels->kernels;
  memcpy(scratch->lanes.stored, room->stored[k], (size_t)lanes * sizeof room->stored[0][0]);
  kernels->lanes(&w->panels->scheme, lanes, w->panels->tensor_scale, &scratch->lanes);
  if (w->panels->scheme.has_zero_point)
    kernels->zero_points(&w->panels->scheme, &scratch->stats, lanes, &scratch->lanes);
  for (int64_t i = 0; scratch->lanes.any_rare && i < lanes; ++i)
    if (scratch->lanes.rare[i] && room->searched[i]) room->slow[i] = 1;
}

/* ---- Losses by loops --------------------------------------------------------------------------------------------- */

/* The weights of a row of a block; NULL: there are none. */
static const float *weights_of(const mfq_search_work *w, const mfq_panel *a, int64_t r, mfq_search_room *room) {
  const mfq_tensor *importance = w->cast->candidates->importance;
  if (!importance) return NULL;
  const int64_t *stride = w->panels->other_stride;
  const float *from =
      (const float *)importance->data + a->outer * stride[0] + (a->row0 + r) * stride[1] + a->col0 * stride[2];
  if (stride[2] == 1) return from;
  for (int64_t i = 0; i < a->cols; ++i) room->weights[i] = from[i * stride[2]];
  return room->weights;
}

/* The values of a row to room->y. Returns 0 where the loops do not hold for the scales at hand. */
static int make_values(const mfq_search_work *w, const uint32_t *elements, mfq_stretch span, mfq_panel_scratch *scratch,
                       mfq_search_room *room) {
  const mfq_panels *p = w->panels;
  const mfq_source x = {elements, MFQ_DTYPE_F32};
  if (p->kernels->fake(&w->beyond, x, span, &scratch->lanes, room->y, 0)) return 1;
  if (p->scheme.is_brevitas) return 0;
  p->kernels->encode(&p->scheme, x, span, &scratch->lanes, NULL, scratch->codes);
  p->kernels->decode(&p->scheme, scratch->codes, span, &scratch->lanes, room->y);
  return 1;
}

/* The losses of the candidate at hand, lane by lane. Returns 0 where the loops do not hold. */
static int sum_block(const mfq_search_work *w, const mfq_panel *a, float *losses, mfq_panel_scratch *scratch,
                     mfq_search_room *room) {
  const int64_t run = w->panels->run;
  mfq_lane_tree tree = {.partial = room->partial[0]};
  for (int64_t r = 0; r < a->rows; ++r) {
    float *sums = a->rows == 1 ? losses : room->sums;
    const mfq_search_row row = {room->row[r], room->y, weights_of(w, a, r, room)};
    const mfq_stretch span = {a->cols, run == 0 ? 0 : mfq_smaller(run, a->cols), 0};
    const int is_quick = run > 0 && w->loops->quick_losses(&w->panels->scheme, &scratch->lanes, &row, span, sums);
    if (!is_quick && !make_values(w, row.x, span, scratch, room)) return 0;
    if (run > 0 && !is_quick) w->loops->losses(&row, span, room->terms, sums);
    if (run == 0) w->loops->squares(row.x, row.y, row.weights, a->cols, sums);
    if (a->rows > 1) mfq_lane_tree_add(w->panels->kernels, &tree, sums, a->lanes);
  }
  if (a->rows > 1) mfq_lane_tree_sum(w->panels->kernels, &tree, losses, a->lanes);
  return 1;
}

/* ---- Losses element by element ----------------------------------------------------------------------------------- */

static float loss_of_lane(const mfq_search_work *w, const mfq_panel *a, int64_t lane, const mfqn_group *g,
                          mfq_search_room *room) {
  const mfqn_scheme *s = &w->panels->scheme;
  const int64_t run = w->panels->run == 0 ? 1 : mfq_smaller(w->panels->run, a->cols);
  const int64_t first = lane * run, end = mfq_smaller(first + run, a->cols);
  mfqn_tree tree = {.count = 0};
  for (int64_t r = 0; r < a->rows; ++r) {
    const float *weights = weights_of(w, a, r, room);
    for (int64_t c = first; c < end; ++c) {
      const uint32_t u = room->row[r][c];
      const float error = mfqn_squared_error(u, mfqn_fake(s, g, u, 0), room->unit);
      mfqn_tree_add(&tree, weights ? mfqn_mul(error, weights[c]) : error);
    }
  }
  return mfqn_tree_sum(&tree);
}

static void search_slowly(const mfq_search_work *w, const mfq_panel *a, int64_t lane, mfq_panel_scratch *scratch,
                          mfq_search_room *room) {
  const mfqn_scheme *s = &w->panels->scheme;
  const mfqn_statistic statistic = statistic_of(w, scratch, lane);
  room->unit = mfqn_error_unit(mfqn_statistic_value(&statistic, s));
  for (int32_t k = 0; k < room->count; ++k) {
    mfqn_group g = mfqn_group_load(s, room->stored[k][lane], w->panels->tensor_scale);
    if (s->has_zero_point) g.zero_point = mfqn_group_zero_point(s, &statistic, &g);
    room->losses[k][lane] = loss_of_lane(w, a, lane, &g, room);
  }
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

/* Rows of several columns are subtrees of a lane's sum where these are a power of two. */
static int has_subtrees(const mfq_search_work *w, const mfq_panel *a, int64_t lane) {
  const int64_t run = mfq_smaller(w->panels->run, a->cols), n = mfq_smaller(a->cols - lane * run, run);
  return w->panels->run == 0 || a->rows == 1 || (n & (n - 1)) == 0;
}

void mfq_search_try(const mfq_search_work *w, const mfq_panel *a, mfq_panel_scratch *scratch, mfq_search_room *room) {
  for (int64_t r = 0; r < a->rows; ++r)
    room->row[r] = mfq_panel_load(w->panels, a, (mfq_piece){r, 0, a->cols}, scratch, room->held + r * a->cols);
  mfq_search_list(w, a->lanes, scratch, room);
  for (int64_t i = 0; i < a->lanes; ++i) room->slow[i] |= !has_subtrees(w, a, i);
  for (int32_t k = 0; k < room->count; ++k) {
    load_candidate(w, a->lanes, k, scratch, room);
    if (!sum_block(w, a, room->losses[k], scratch, room)) memset(room->slow, 1, (size_t)a->lanes);
  }
  for (int64_t i = 0; i < a->lanes; ++i)
    if (room->slow[i] && room->searched[i]) search_slowly(w, a, i, scratch, room);
}

void mfq_search_keep(const mfq_search_work *w, int64_t lanes, uint32_t *best, mfq_search_room *room) {
  const mfq_search_best_of b = {best, room->least, room->plain, !w->panels->scheme.is_brevitas};
  memcpy(best, room->plain, (size_t)lanes * sizeof *best);
  for (int64_t i = 0; i < lanes; ++i) room->least[i] = mfqn_float_of(MFQN_INF);
  for (int32_t k = 0; k < room->count; ++k) w->loops->keep(&b, room->stored[k], room->losses[k], lanes);
}

void mfq_search_put(const mfq_search_work *w, const mfq_panel *a, mfq_panel_scratch *scratch) {
  const mfq_panels *p = w->panels;
  mfq_lanes *lanes = &scratch->lanes;
  mfq_scales_put(p->view, a->scale0, a->scale_step, lanes->stored, a->lanes);
  if (!p->scheme.has_zero_point) return;
  p->kernels->lanes(&p->scheme, a->lanes, p->tensor_scale, lanes);
  p->kernels->zero_points(&p->scheme, &scratch->stats, a->lanes, lanes);
  for (int64_t i = 0; i < a->lanes; ++i)
    mfq_zero_point_put(p->view, &p->scheme, a->scale0 + i * a->scale_step, (int32_t)lanes->zero_point[i]);
}
