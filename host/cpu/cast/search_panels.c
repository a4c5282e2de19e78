/* host/cpu/cast/search_panels.c: searches by panels: while their elements are in the caches, block by block.
 *
 * A block is a piece of a panel whose elements fit there, with whole groups. Scales that several panels share have losses
 * block by block, whole subtrees of the sums, which are added up before codes are made. */
#include <string.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "search_blocks.h"

enum { PANELS = 4 }; /* that a thread takes at a time */

static const mfq_search_loops *loops_of(const mfq_kernels *kernels) {
#ifdef MFQ_HAVE_ISA_AVX512
  if (kernels == &mfq_kernels_avx512) return &mfq_search_loops_avx512;
#endif
#ifdef MFQ_HAVE_ISA_AVX2
  if (kernels == &mfq_kernels_avx2) return &mfq_search_loops_avx2;
#endif
  (void)kernels;
  return &mfq_search_loops_baseline;
}

static int32_t tried_of(const mfq_search_work *w) { return w->candidates.last - w->candidates.first + 1; }

static void search_block(const mfq_search_work *w, const mfq_panel *a, mfq_panel_scratch *scratch,
                         mfq_search_room *room) {
  mfq_panel_measure(w->panels, a, scratch);
  mfq_search_try(w, a, scratch, room);
  mfq_search_keep(w, a->lanes, scratch->lanes.stored, room);
  mfq_search_put(w, a, scratch);
}

/* Columns of a block: whole groups. */
static int64_t block_cols(const mfq_panels *p, int64_t rows) {
  const int64_t fit = mfq_smaller(MFQ_SEARCH_FITS / rows, MFQ_CHUNK);
  if (p->run == 0) return mfq_smaller(mfq_larger(fit, 1), MFQ_SEARCH_LANES);
  return mfq_smaller(mfq_larger(fit / p->run, 1), MFQ_SEARCH_LANES) * p->run;
}

/* Searches the groups of a panel. */
static void search_panel(const mfq_search_work *w, const mfq_panel *a, mfq_panel_scratch *scratch,
                         mfq_search_room *room) {
  const mfq_panels *p = w->panels;
  const int64_t cols = block_cols(p, a->rows);
  for (int64_t c = 0; c < a->cols; c += cols) {
    mfq_panel block = *a;
    block.col0 += c;
    block.cols = mfq_smaller(a->cols - c, cols);
    block.lanes = p->run == 0 ? block.cols : mfq_ceil_div(block.cols, p->run);
    block.scale0 += (p->run == 0 ? c : c / p->run) * a->scale_step;
    search_block(w, &block, scratch, room);
  }
}

/* ---- Shared scales ----------------------------------------------------------------------------------------------- */

/* How many panels a shared scale has, and the number of one among them, in the order of the elements. */
static int64_t blocks_of(const mfq_panels *p) {
  if (p->run == 0) return p->row_blocks;
  return p->col_blocks * p->size[0] * (p->view->q.scheme.granularity == MFQ_GRANULARITY_TENSOR ? p->size[1] : 1);
}

static int64_t block_number(const mfq_panels *p, const mfq_panel *a) {
  if (p->run == 0) return a->row0 / p->rows;
  const int is_tensor = p->view->q.scheme.granularity == MFQ_GRANULARITY_TENSOR;
  return (is_tensor ? a->outer * p->size[1] + a->row0 : a->outer) * p->col_blocks + a->col0 / p->cols;
}

static float *losses_at(const mfq_search_work *w, int64_t scale, int64_t block) {
  return w->losses + (scale * blocks_of(w->panels) + block) * tried_of(w);
}

/* The statistics of a block's scales to scratch->stats. */
static void load_statistics(const mfq_search_work *w, const mfq_panel *a, mfq_panel_scratch *scratch) {
  for (int64_t i = 0; i < a->lanes; ++i) {
    const mfqn_statistic *from = &w->statistics[a->scale0 + i * a->scale_step];
    scratch->stats.absmax[i] = from->absmax;
    scratch->stats.lo[i] = mfq_order_key(mfqn_bits(from->lo));
    scratch->stats.hi[i] = mfq_order_key(mfqn_bits(from->hi));
  }
}

/* Tries the candidates of shared scales on a panel, whose columns may be many lanes. */
static void try_panel(const mfq_search_work *w, const mfq_panel *a, mfq_panel_scratch *scratch, mfq_search_room *room) {
  const mfq_panels *p = w->panels;
  const int64_t cols = p->run == 0 ? block_cols(p, a->rows) : a->cols;
  for (int64_t c = 0; c < a->cols; c += cols) {
    mfq_panel block = *a;
    block.col0 += c;
    block.cols = mfq_smaller(a->cols - c, cols);
    block.lanes = p->run == 0 ? block.cols : 1;
    block.scale0 += p->run == 0 ? c * a->scale_step : 0;
    load_statistics(w, &block, scratch);
    mfq_search_try(w, &block, scratch, room);
    for (int64_t i = 0; i < block.lanes; ++i) {
      float *to = losses_at(w, block.scale0 + i * block.scale_step, block_number(p, a));
      for (int32_t k = 0; k < room->count; ++k) to[k] = room->losses[k][i];
    }
  }
}

/* From the losses of all blocks to the scale that is kept. */
static void finish_shared(const mfq_search_work *w, mfq_panel_scratch *scratch, mfq_search_room *room) {
  const mfq_panels *p = w->panels;
  for (int64_t scale = 0; scale < p->view->sizes.scale_count; ++scale) {
    const mfq_panel one = {.lanes = 1, .scale0 = scale, .scale_step = 1};
    load_statistics(w, &one, scratch);
    mfq_search_list(w, 1, scratch, room);
    for (int32_t k = 0; k < room->count; ++k) {
      mfqn_tree tree = {.count = 0};
      for (int64_t b = 0; b < blocks_of(p); ++b) mfqn_tree_add(&tree, losses_at(w, scale, b)[k]);
      room->losses[k][0] = mfqn_tree_sum(&tree);
    }
    mfq_search_keep(w, 1, scratch->lanes.stored, room);
    mfq_search_put(w, &one, scratch);
  }
}

/* ---- Loops ------------------------------------------------------------------------------------------------------- */

static mfq_search_room *room_of(const mfq_search_work *w, int thread) {
  return (mfq_search_room *)(void *)(w->rooms + mfq_whole_lines(sizeof(mfq_search_room)) * (size_t)thread);
}

static void try_panels(void *work, int thread, int64_t first, int64_t end) {
  const mfq_search_work *w = work;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(w->panels, w->memory, thread);
  for (int64_t k = first; k < end; ++k) {
    const mfq_panel a = mfq_panel_at(w->panels, k);
    try_panel(w, &a, scratch, room_of(w, thread));
  }
}

/* All panels of a bundle or a stack. */
static void search_index(const mfq_search_work *w, int64_t index, mfq_panel_scratch *scratch, mfq_search_room *room) {
  const mfq_panels *p = w->panels;
  if (!p->bundle) {
    for (int64_t level = 0; level < mfq_panels_levels(p, index); ++level) {
      const mfq_panel a = mfq_panel_stacked(p, index, level);
      search_panel(w, &a, scratch, room);
    }
    return;
  }
  const int64_t first = index * p->bundle, end = mfq_smaller(first + p->bundle, p->size[0] * p->size[1]);
  for (int64_t row = first; row < end; ++row)
    for (int64_t c = 0; c < p->size[2]; c += p->cols) {
      const mfq_panel a = mfq_panel_piece(p, row, c);
      search_panel(w, &a, scratch, room);
    }
}

static void search_panels(void *work, int thread, int64_t first, int64_t end) {
  const mfq_search_work *w = work;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(w->panels, w->memory, thread);
  for (int64_t k = first; k < end; ++k) {
    if (!w->statistics) search_index(w, k, scratch, room_of(w, thread));
    if (w->panels->view->q.codes) mfq_panel_quantize(w->panels, k, 1, scratch);
  }
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

/* Why the order of sums is not that of panels, or blocks do not fit; NULL: it is, and they do. */
static const char *why_not(const mfq_cast *cast, const mfq_panels *p) {
  const mfqn_scheme *s = &p->scheme;
  const int is_one_row = p->size[0] * (p->view->q.scheme.granularity == MFQ_GRANULARITY_TENSOR ? p->size[1] : 1) == 1;
  if (!mfqn_is_measured(s)) return "the scheme measures no scales";
  if (cast->candidates && cast->candidates->kind != MFQ_CANDIDATES_PARTS)
    return "candidates are no parts of the statistic";
  if (s->rounding == MFQN_ROUND_STOCHASTIC) return "rounding is stochastic";
  if (s->is_brevitas && s->minmax) return "ranges are those of Brevitas";
  if (p->rows > MFQ_SEARCH_ROWS) return "groups have too many rows";
  if (p->shared && p->transposed) return "codes are stored in another order than sums are made";
  if (p->shared && p->run == 0 && p->size[0] > 1) return "channels are the last of several axes";
  if (p->shared && p->run > 0 && !is_one_row && p->size[2] % MFQ_CHUNK != 0) return "rows share a scale";
  const int64_t rows = mfq_larger(p->rows, 1), cols = mfq_smaller(block_cols(p, rows), p->size[2]);
  if (!p->shared && rows * cols > MFQ_SEARCH_HELD) return "groups are long";
  if (!p->shared && p->run > MFQ_CHUNK && p->size[2] > MFQ_CHUNK) return "groups are long";
  return NULL;
}

static size_t losses_bytes(const mfq_panels *p, const mfqn_candidates *c) {
  const size_t tried = (size_t)(c->last - c->first + 1) * sizeof(float);
  if (!p->shared) return 0;
  return mfq_size_times(mfq_size_times((size_t)p->view->sizes.scale_count, (size_t)blocks_of(p)), tried);
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (mfq_cast_is_rotated(cast)) return mfq_refuse(why, "elements are rotated");
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(mfq_panels), choice);
  mfq_panels *p = choice->state;
  if (status != MFQ_OK) return status;
  p->other = cast->candidates ? cast->candidates->importance : NULL; /* walked with the source */
  status = mfq_panels_plan(context, cast->src, cast->view, MFQ_PANELS_ENCODE, p, why);
  p->other = NULL;
  if (status != MFQ_OK) return status;
  const char *problem_of = why_not(cast, p);
  if (problem_of) return mfq_refuse(why, "%s", problem_of);
  const mfqn_candidates candidates = mfq_candidates_of(cast);
  const size_t rooms = mfq_size_times(mfq_whole_lines(sizeof(mfq_search_room)), (size_t)p->threads);
  choice->workspace_bytes =
      mfq_size_plus(mfq_size_plus(mfq_panels_scratch_all(p), mfq_whole_lines(mfq_panels_shared_bytes(p))),
                    mfq_size_plus(rooms, losses_bytes(p, &candidates)));
  mfq_choice_describe(choice, "vector loops (%s)", p->kernels->isa);
  return MFQ_OK;
}

static void measure_pieces(void *shared, int thread, int64_t first, int64_t end) {
  mfq_shared *s = shared;
  mfq_shared_measure(s, s->panels, thread, first, end);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const mfq_status status = mfq_search_check_importance(cast);
  if (status != MFQ_OK) return status;
  mfq_panels panels = *(const mfq_panels *)state;
  mfq_shared shared;
  mfq_search_work w = {.cast = cast, .candidates = mfq_candidates_of(cast), .loops = loops_of(panels.kernels)};
  (void)context;
  w.panels = &panels;
  w.memory = memory;
  w.rooms = memory + mfq_panels_scratch_all(&panels) + mfq_whole_lines(mfq_panels_shared_bytes(&panels));
  w.losses = (float *)(void *)(w.rooms + mfq_whole_lines(sizeof(mfq_search_room)) * (size_t)panels.threads);
  w.tried = w.beyond = panels.scheme;
  w.tried.minmax = 0;
  w.beyond.minmax = 1; /* so that nothing is taken for granted of elements */
  mfq_shared_begin(&panels, memory, &shared);
  const mfq_loop pieces = {panels.threads, mfq_panels_pieces(&panels), PANELS};
  if (shared.is_measured) mfq_team_run(pieces, measure_pieces, &shared);
  mfq_shared_end(&shared);
  w.statistics = shared.statistics;
  if (w.statistics) {
    mfq_team_run(pieces, try_panels, &w);
    finish_shared(&w, mfq_panels_scratch_at(&panels, memory, 0), room_of(&w, 0));
  }
  mfq_team_run((mfq_loop){panels.threads, panels.count, PANELS}, search_panels, &w);
  return MFQ_OK;
}

const mfq_way mfq_search_panels = {"panels", plan, run, NULL};
