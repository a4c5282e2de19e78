/* host/cpu/cast/search_blocks.c: the losses of a block: for each candidate the scales of all its lanes are made by the loops
 * of quantization, its values by those of fake quantization, and squared errors are summed lane by lane.
 *
 * Candidates that come to equal scales are tried once: of powers of two at most five are left of nineteen. Lanes that the
 * loops do not hold for are searched element by element. */
#include "search_blocks.h"

#include <string.h>

#include "host/core/integers.h"
#include "elements.h"
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

void mfq_search_list(const mfq_search_work *w, int64_t lanes, mfq_panel_scratch *scratch, mfq_search_room *room) {
  const mfqn_candidates *c = &w->candidates;
  const mfqn_scheme *s = &w->panels->scheme;
  uint32_t statistic[MFQ_SEARCH_LANES];
  make_stored(w, s, &scratch->stats, lanes, scratch);
  memcpy(room->plain, scratch->lanes.stored, (size_t)lanes * sizeof room->plain[0]);
  for (int64_t i = 0; i < lanes; ++i) {
    const mfqn_statistic own = statistic_of(w, scratch, i);
    statistic[i] = mfqn_statistic_value(&own, s);
    room->count[i] = 0;
    room->slow[i] = mfqn_is_searched(statistic[i]) && mfqn_error_unit(statistic[i]) != 1.0f;
  }
  for (int32_t k = c->first; k <= c->last; ++k) {
    for (int64_t i = 0; i < lanes; ++i)
      room->tries.absmax[i] = mfqn_is_searched(statistic[i]) ? mfqn_candidate(s, c, statistic[i], k) : 0;
    make_stored(w, &w->tried, &room->tries, lanes, scratch);
    for (int64_t i = 0; i < lanes; ++i) {
      const uint32_t stored = scratch->lanes.stored[i];
      const int32_t at = room->count[i];
      if (!mfqn_is_searched(statistic[i]) || (at > 0 && room->stored[at - 1][i] == stored)) continue;
      room->stored[at][i] = stored;
      room->count[i] = at + 1;
    }
  }
}

/* The lanes of candidate `k`, or of a lane's last one. */
static void load_candidate(const mfq_search_work *w, int64_t lanes, int32_t k, mfq_panel_scratch *scratch,
                           mfq_search_room *room) {
  const mfq_kernels *kernels = w->panels->kernels;
  for (int64_t i = 0; i < lanes; ++i) {
    const int32_t last = room->count[i] - 1;
    scratch->lanes.stored[i] = last < 0 ? room->plain[i] : room->stored[mfqn_min(k, last)][i];
  }
  kernels->lanes(&w->panels->scheme, lanes, w->panels->tensor_scale, &scratch->lanes);
  if (w->panels->scheme.has_zero_point)
    kernels->zero_points(&w->panels->scheme, &scratch->stats, lanes, &scratch->lanes);
  for (int64_t i = 0; scratch->lanes.any_rare && i < lanes; ++i)
    if (scratch->lanes.rare[i] && room->count[i] > 0) room->slow[i] = 1;
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

/* Squared errors of a row to room->terms. Returns 0 where the loops do not hold for the scales at hand. */
static int square_row(const mfq_search_work *w, const mfq_panel *a, int64_t r, mfq_panel_scratch *scratch,
                      mfq_search_room *room) {
  const mfq_panels *p = w->panels;
  const mfq_stretch span = {a->cols, p->run == 0 ? 0 : mfq_smaller(p->run, a->cols), 0};
  const mfq_source x = {room->row[r], MFQ_DTYPE_F32};
  if (!p->kernels->fake(&w->beyond, x, span, &scratch->lanes, room->y, 0)) {
    if (p->scheme.is_brevitas) return 0;
    p->kernels->encode(&p->scheme, x, span, &scratch->lanes, NULL, scratch->codes);
    p->kernels->decode(&p->scheme, scratch->codes, span, &scratch->lanes, room->y);
  }
  w->loops->squares(room->row[r], room->y, weights_of(w, a, r, room), a->cols, room->terms);
  return 1;
}

/* Adds the sums of a row to those of the rows before, as mfqn_tree_add does; `rows` are there already. */
static void add_row(const mfq_search_work *w, int64_t rows, int64_t lanes, float *sums, mfq_search_room *room) {
  int k = 0;
  for (; (rows >> k & 1) != 0; ++k) w->loops->add(room->partial[k], lanes, sums);
  memcpy(room->partial[k], sums, (size_t)lanes * sizeof *sums);
}

/* What all rows come to: missing ones are +0, which no sum of squares notices. */
static void finish_rows(const mfq_search_work *w, int64_t rows, int64_t lanes, float *sums, mfq_search_room *room) {
  int is_first = 1;
  for (int k = 0; rows >> k != 0; ++k) {
    if ((rows >> k & 1) == 0) continue;
    if (is_first)
      memcpy(sums, room->partial[k], (size_t)lanes * sizeof *sums);
    else
      w->loops->add(room->partial[k], lanes, sums);
    is_first = 0;
  }
}

/* The losses of the candidate at hand, lane by lane. Returns 0 where the loops do not hold. */
static int sum_block(const mfq_search_work *w, const mfq_panel *a, float *losses, mfq_panel_scratch *scratch,
                     mfq_search_room *room) {
  const int64_t run = w->panels->run;
  for (int64_t r = 0; r < a->rows; ++r) {
    float *sums = run == 0 ? room->terms : room->sums;
    if (!square_row(w, a, r, scratch, room)) return 0;
    if (run > 0) w->loops->run_sums(room->terms, a->cols, mfq_smaller(run, a->cols), sums);
    if (a->rows == 1)
      memcpy(losses, sums, (size_t)a->lanes * sizeof *losses);
    else
      add_row(w, r, a->lanes, sums, room);
  }
  if (a->rows > 1) finish_rows(w, a->rows, a->lanes, losses, room);
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
  for (int32_t k = 0; k < room->count[lane]; ++k) {
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
  int32_t most = 0;
  for (int64_t r = 0; r < a->rows; ++r)
    room->row[r] = mfq_panel_load(w->panels, a, (mfq_piece){r, 0, a->cols}, scratch, room->held + r * a->cols);
  mfq_search_list(w, a->lanes, scratch, room);
  for (int64_t i = 0; i < a->lanes; ++i) {
    most = mfqn_max(most, room->count[i]);
    room->slow[i] |= !has_subtrees(w, a, i);
  }
  for (int32_t k = 0; k < most; ++k) {
    load_candidate(w, a->lanes, k, scratch, room);
    if (!sum_block(w, a, room->losses[k], scratch, room)) memset(room->slow, 1, (size_t)a->lanes);
  }
  for (int64_t i = 0; i < a->lanes; ++i)
    if (room->slow[i] && room->count[i] > 0) search_slowly(w, a, i, scratch, room);
}

uint32_t mfq_search_best(const mfq_search_work *w, const uint32_t *stored, const float *losses, mfq_search_choices list,
                         uint32_t plain) {
  mfqn_best best = mfqn_best_start(plain);
  for (int32_t k = 0; k < list.count; ++k) {
    const uint32_t candidate = stored[k * list.step];
    const int32_t i = candidate == plain ? w->candidates.steps : 0; /* 0: any other */
    mfqn_best_offer(&w->panels->scheme, &w->candidates, i, candidate, losses[k * list.step], &best);
  }
  return best.candidate;
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
