/* host/cpu/cast/gradient_sums.c: the gradients of scales and zero points: terms of rows to sums of panels to those of scales.
 *
 * The elements of a scale are summed by a binary tree over their row-major order. What a row of a panel has of a lane is
 * a subtree if it is one element, a power of two, or all; so sums of rows go on to a tree that all lanes share, as vectors.
 * Other lanes have trees of their own, term by term. Panels that share scales leave their sums, which are subtrees too. */
#include <string.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "elements.h"
#include "gradient_rows.h"

static int is_power_of_2(int64_t n) { return (n & (n - 1)) == 0; }

static int is_measured_back(const gradient_work *w) { return w->cast->gradient->through_scale; }

static int sums_of(const mfq_panels *p) { return p->scheme.has_zero_point ? 2 : 1; }

/* ---- Subtrees ---------------------------------------------------------------------------------------------------- */

/* Whether `n` neighbouring elements of each row of a box, in chunks, are subtrees of its sum. */
static int are_subtrees(int64_t n) { return n < MFQ_CHUNK ? is_power_of_2(n) : n % MFQ_CHUNK == 0; }

/* From which lane on rows are no subtrees. */
static int64_t regular_lanes(const mfq_panels *p, const mfq_panel *a) {
  if (a->rows == 1 || p->run == 0) return a->lanes;
  const int64_t last = a->cols - (a->lanes - 1) * p->run;
  if (a->lanes > 1 && !are_subtrees(p->run)) return 0;
  return are_subtrees(last) ? a->lanes : a->lanes - 1;
}

static int64_t most_lanes(const mfq_panels *p) {
  const int64_t cols = mfq_smaller(p->cols, p->size[2]);
  return p->run == 0 ? cols : (cols - 1) / p->run + 1;
}

static int64_t most_irregular(const mfq_panels *p) {
  if (p->rows == 1 || p->run == 0) return 0;
  return are_subtrees(p->run) ? 1 : most_lanes(p);
}

/* Rows of subtrees in a panel. */
static int64_t levels_of(const mfq_panels *p) {
  const int64_t rows = p->rows * mfq_ceil_div(mfq_smaller(p->cols, p->size[2]), MFQ_CHUNK);
  int64_t levels = 1;
  while (rows >> levels != 0) ++levels;
  return levels;
}

const char *mfq_gradient_why_no_sums(const mfq_cast *cast, const mfq_panels *p) {
  const mfq_gradient *g = cast->gradient;
  if (!g || !(g->grad_scale || g->grad_zero_point || g->through_scale) || !p->shared) return NULL;
  const int64_t rows =
      p->run == 0 || p->view->q.scheme.granularity == MFQ_GRANULARITY_CHANNEL ? p->size[0] : p->size[0] * p->size[1];
  const int fit = p->run == 0 ? is_power_of_2(p->rows) && p->size[1] % p->rows == 0 : are_subtrees(p->size[2]);
  return rows == 1 || fit ? NULL : "the parts of a scale are no subtrees of its sum";
}

static size_t partial_bytes(const mfq_panels *p) {
  return mfq_whole_lines((size_t)(levels_of(p) * most_lanes(p)) * sizeof(float));
}

static size_t own_bytes(const mfq_panels *p) { return mfq_whole_lines((size_t)most_irregular(p) * sizeof(mfqn_tree)); }

size_t mfq_gradient_tree_bytes(const mfq_panels *p) { return (size_t)sums_of(p) * (partial_bytes(p) + own_bytes(p)); }

void mfq_gradient_place_trees(const mfq_panels *p, uint8_t *memory, gradient_thread *t) {
  for (int k = 0; k < sums_of(p); ++k) {
    t->trees[k].partial = (float *)(void *)memory;
    t->own[k] = (mfqn_tree *)(void *)(memory + partial_bytes(p));
    memory += partial_bytes(p) + own_bytes(p);
  }
}

/* ---- Trees of lanes ---------------------------------------------------------------------------------------------- */

static void add_own(const gradient_row *row, int64_t lane, const float *terms, mfqn_tree *own) {
  const mfq_stretch span = row->span;
  const int64_t first = (lane - span.first) * span.run, end = mfq_smaller(first + span.run, span.n);
  for (int64_t i = first; i < end; ++i) mfqn_tree_add(own, terms[i]);
}

/* ---- Extremes ---------------------------------------------------------------------------------------------------- */

static void find_extremes(const mfq_panels *p, const mfq_panel_scratch *scratch, const gradient_row *row,
                          gradient_thread *t) {
  const mfq_kernels *kernels = p->kernels;
  if (t->found == row->offset) return;
  t->found = row->offset;
  if (!p->scheme.minmax) {
    kernels->extremes(row->x, row->span, &scratch->stats, MFQ_LARGEST_MAGNITUDE, t->largest);
    return;
  }
  kernels->extremes(row->x, row->span, &scratch->stats, MFQ_LARGEST, t->largest);
  kernels->extremes(row->x, row->span, &scratch->stats, MFQ_SMALLEST, t->smallest);
}

/* Which extremes an element at `place` is. */
static mfqn_spots spots_at(const gradient_work *w, const gradient_thread *t, int64_t i, int64_t place) {
  mfqn_spots spots = mfqn_spots_none(w->is_counted);
  if (t->largest[i / 32] >> i % 32 & 1u) spots.hi = w->is_counted ? 1 : place;
  if (w->panels.scheme.minmax && (t->smallest[i / 32] >> i % 32 & 1u)) spots.lo = w->is_counted ? 1 : place;
  return spots;
}

static uint32_t either(const gradient_work *w, const gradient_thread *t, int64_t word) {
  return t->largest[word] | (w->panels.scheme.minmax ? t->smallest[word] : 0u);
}

static void merge_extremes(const gradient_work *w, const gradient_row *row, gradient_thread *t) {
  for (int64_t k = 0; k * 32 < row->span.n; ++k)
    for (uint32_t left = either(w, t, k); left != 0; left &= left - 1) {
      const int64_t i = 32 * k + __builtin_ctz(left);
      const mfqn_spots here = spots_at(w, t, i, (int64_t)row->index + i);
      mfqn_gradient_totals *totals = &t->totals[mfq_lane_of(row->span, i)];
      totals->spots = mfqn_spots_merge(totals->spots, here, w->is_counted);
    }
}

/* Every element gets something, most of them 0, after which no gradient is -0. */
static void go_through_word(const gradient_work *w, const gradient_row *row, int64_t first, gradient_thread *t) {
  enum { BITS = 32 };
  uint32_t *dx = t->dx + first, before[BITS];
  const uint32_t extremes = either(w, t, first / BITS);
  if (extremes != 0) memcpy(before, dx, sizeof before);
  for (int i = 0; i < BITS; ++i) dx[i] = mfqn_bits(mfqn_add(mfqn_float_of(dx[i]), 0.0f));
  for (uint32_t left = extremes; left != 0; left &= left - 1) {
    const int64_t k = __builtin_ctz(left), i = first + k;
    const mfqn_spots own = spots_at(w, t, i, (int64_t)row->index + i);
    const mfqn_gradient_totals *totals = &row->totals[mfq_lane_of(row->span, i)];
    const float through =
        mfqn_gradient_through(&w->panels.scheme, &totals->extremes, own, totals->spots, row->x[i], w->is_counted);
    dx[k] = mfqn_one_nan(mfqn_add(mfqn_float_of(before[k]), through));
  }
}

void mfq_gradient_go_through(const gradient_work *w, const mfq_panel_scratch *scratch, const gradient_row *row,
                             gradient_thread *t) {
  find_extremes(&w->panels, scratch, row, t);
  for (int64_t first = 0; first < row->span.n; first += 32) go_through_word(w, row, first, t);
}

/* ---- Panels ------------------------------------------------------------------------------------------------------ */

/* The statistics of shared scales, as those of a panel are. */
static void load_statistics(const gradient_work *w, const mfq_panel *a, mfq_stats *stats) {
  for (int64_t i = 0; i < a->lanes; ++i) {
    const mfqn_statistic *statistic = &w->statistics[a->scale0 + i];
    stats->absmax[i] = statistic->absmax;
    stats->lo[i] = mfq_order_key(mfqn_bits(statistic->lo));
    stats->hi[i] = mfq_order_key(mfqn_bits(statistic->hi));
  }
}

void mfq_gradient_begin(const gradient_work *w, const mfq_panel *a, mfq_panel_scratch *scratch, gradient_thread *t) {
  const mfqn_gradient_totals none = {{0.0f, 0.0f}, mfqn_spots_none(w->is_counted)};
  t->regular = regular_lanes(&w->panels, a);
  for (int k = 0; k < sums_of(&w->panels); ++k) {
    t->trees[k].count = 0;
    for (int64_t i = t->regular; i < a->lanes; ++i) t->own[k][i - t->regular].count = 0;
  }
  if (w->statistics) load_statistics(w, a, &scratch->stats);
  for (int64_t i = 0; is_measured_back(w) && i < a->lanes; ++i) t->totals[i] = none;
}

void mfq_gradient_add(const gradient_work *w, const mfq_panel_scratch *scratch, const gradient_row *row,
                      gradient_thread *t) {
  const mfq_panels *p = &w->panels;
  const mfq_panel *a = row->panel;
  const mfq_stretch span = row->span;
  const int is_filled =
      row->at.col > 0 && span.n < MFQ_CHUNK; /* a short one behind others misses terms, which are +0 */
  for (int k = 0; k < sums_of(p); ++k) {
    float *terms = t->terms[k];
    for (int64_t i = t->regular; i < a->lanes; ++i) add_own(row, i, terms, &t->own[k][i - t->regular]);
    if (span.run != 0) p->kernels->trees(terms, span.n, span.run, t->sums[k]);
    if (is_filled) t->sums[k][0] = mfqn_add(t->sums[k][0], 0.0f);
    mfq_lane_tree_add(p->kernels, &t->trees[k], span.run == 0 ? terms : t->sums[k], a->lanes);
  }
  if (!is_measured_back(w)) return;
  find_extremes(p, scratch, row, t);
  merge_extremes(w, row, t);
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

static void store_gradient(const mfq_tensor *tensor, int64_t scale, float gradient) {
  if (tensor) ((uint32_t *)tensor->data)[mfq_offset_of(tensor, scale)] = mfqn_bits(gradient);
}

/* Writes the gradients of a scale; returns what goes back to its extremes. */
static mfqn_extremes finish_scale(const gradient_work *w, int64_t scale, const mfqn_group *group,
                                  const mfqn_statistic *statistic, const float *sums) {
  const mfq_gradient *g = w->cast->gradient;
  const mfqn_scheme *s = &w->panels.scheme;
  const float dz = mfqn_gradient_zero_point(group, sums_of(&w->panels) > 1 ? sums[1] : 0.0f);
  store_gradient(g->grad_scale, scale, mfqn_gradient_scale(s, group, sums[0], g->log2_scale));
  store_gradient(g->grad_zero_point, scale, dz);
  return g->through_scale ? mfqn_gradient_extremes(s, statistic, group, sums[0], dz) : (mfqn_extremes){0.0f, 0.0f};
}

/* Where the sums of a panel's lanes stand among all parts. */
static int64_t part_of(const mfq_panels *p, const mfq_panel *a) {
  const int64_t block = a->outer * p->row_blocks + a->row0 / p->rows;
  return p->run == 0 ? block * p->size[2] + a->col0 : block * p->col_blocks + a->col0 / p->cols;
}

size_t mfq_gradient_parts(const mfq_panels *p) {
  const int64_t columns = p->run == 0 ? p->size[2] : p->col_blocks;
  return mfq_size_times((size_t)(p->size[0] * p->row_blocks), (size_t)columns);
}

/* To `spot` what a panel found: how many there are, or the first one. */
static void merge_spot(int64_t *spot, int64_t found, int is_counted) {
  if (is_counted) {
    (void)__atomic_fetch_add(spot, found, __ATOMIC_RELAXED);
    return;
  }
  int64_t known = __atomic_load_n(spot, __ATOMIC_RELAXED);
  while (found >= 0 && (known < 0 || found < known))
    if (__atomic_compare_exchange_n(spot, &known, found, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) break;
}

static void leave_parts(const gradient_work *w, const mfq_panel *a, const gradient_thread *t) {
  const mfq_panels *p = &w->panels;
  const int is_filled = (p->run == 0 ? a->row0 > 0 && a->rows < p->rows : a->col0 > 0 && a->cols < p->cols);
  for (int k = 0; k < sums_of(p); ++k)
    for (int64_t i = 0; i < a->lanes; ++i)
      w->parts[k][part_of(p, a) + i] = is_filled ? mfqn_add(t->sums[k][i], 0.0f) : t->sums[k][i];
  for (int64_t i = 0; w->totals && i < a->lanes; ++i) {
    mfqn_spots *spots = &w->totals[a->scale0 + i].spots;
    merge_spot(&spots->hi, t->totals[i].spots.hi, w->is_counted);
    merge_spot(&spots->lo, t->totals[i].spots.lo, w->is_counted);
  }
}

void mfq_gradient_end(const gradient_work *w, const mfq_panel *a, const mfq_panel_scratch *scratch,
                      gradient_thread *t) {
  const mfq_panels *p = &w->panels;
  for (int k = 0; k < sums_of(p); ++k) {
    mfq_lane_tree_sum(p->kernels, &t->trees[k], t->sums[k], a->lanes);
    for (int64_t i = t->regular; i < a->lanes; ++i) t->sums[k][i] = mfqn_tree_sum(&t->own[k][i - t->regular]);
  }
  if (p->shared) {
    leave_parts(w, a, t);
    return;
  }
  for (int64_t i = 0; i < a->lanes; ++i) {
    const mfqn_group group = mfq_lane_group(p, &scratch->lanes, i);
    const mfqn_statistic statistic = mfq_stats_at(&scratch->stats, i, p->scheme.minmax);
    const float sums[] = {t->sums[0][i], t->sums[1][i]};
    t->totals[i].extremes = finish_scale(w, a->scale0 + i * a->scale_step, &group, &statistic, sums);
  }
}

/* ---- Shared scales ----------------------------------------------------------------------------------------------- */

static float sum_of_parts(const gradient_work *w, int64_t scale, const float *parts) {
  const mfq_panels *p = &w->panels;
  const int is_rows = p->view->q.scheme.granularity == MFQ_GRANULARITY_CHANNEL && p->run != 0;
  const int64_t outers = is_rows ? p->size[0] : 1, outer_step = p->row_blocks * p->col_blocks;
  const int64_t columns = p->run == 0 ? p->size[2] : 1, first = is_rows ? scale * p->col_blocks : scale;
  const int64_t count = is_rows ? p->col_blocks : (int64_t)mfq_gradient_parts(p) / columns;
  mfqn_tree tree = {.count = 0};
  for (int64_t outer = 0; outer < outers; ++outer)
    for (int64_t i = 0; i < count; ++i) mfqn_tree_add(&tree, parts[outer * outer_step + first + i * columns]);
  return mfqn_tree_sum(&tree);
}

static void finish_shared(void *work, int thread, int64_t first, int64_t end) {
  const gradient_work *w = work;
  const mfq_panels *p = &w->panels;
  const mfqn_statistic none = mfqn_statistic_none();
  (void)thread;
  for (int64_t scale = first; scale < end; ++scale) {
    float sums[2] = {0.0f, 0.0f};
    for (int k = 0; k < sums_of(p); ++k) sums[k] = sum_of_parts(w, scale, w->parts[k]);
    const mfqn_group group = mfq_group_stored(p->view, &p->scheme, scale);
    const mfqn_extremes e = finish_scale(w, scale, &group, w->statistics ? &w->statistics[scale] : &none, sums);
    if (w->totals) w->totals[scale].extremes = e;
  }
}

void mfq_gradient_finish(const gradient_work *w) {
  enum { SCALES = 256 }; /* that a thread takes at a time */
  mfq_team_run((mfq_loop){w->panels.threads, w->panels.view->sizes.scale_count, SCALES}, finish_shared, (void *)w);
}
