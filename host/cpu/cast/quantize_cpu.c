/* host/cpu/cast/quantize_cpu.c: the ways of a quantization: panels, on the context's threads, and element by element. */
#include <stdatomic.h>
#include <string.h>

#include "host/core/error.h"
#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "panels.h"
#include "rotate_cpu.h"
#include "elements.h"

/* Panels that a thread takes at a time. */
enum { PANELS = 8 };

typedef struct tensor_scale_work {
  const mfq_panels *panels;
  void *memory;
  _Atomic uint32_t largest;
} tensor_scale_work;

static void measure_largest(void *work, int thread, int64_t first, int64_t end) {
  tensor_scale_work *w = work;
  const mfq_panels *p = w->panels;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(p, w->memory, thread);
  uint32_t largest = 0;
  for (int64_t k = first; k < end; ++k) {
    const mfq_panel a = mfq_panel_at(p, k);
    mfq_panel_measure(p, &a, scratch);
    for (int64_t i = 0; i < a.lanes; ++i) {
      const mfqn_statistic statistic = mfq_stats_at(&scratch->stats, i, p->scheme.minmax);
      const uint32_t value = mfqn_statistic_value(&statistic, &p->scheme);
      if (value < MFQN_INF && value > largest) largest = value;
    }
  }
  uint32_t known = atomic_load(&w->largest);
  while (largest > known && !atomic_compare_exchange_weak(&w->largest, &known, largest)) continue;
}

/* From the largest finite statistic of all groups, for the tensor scale above UE4M3. */
static float measure_tensor_scale(const mfq_panels *p, void *memory) {
  tensor_scale_work work = {p, memory, 0};
  mfq_team_run((mfq_loop){p->threads, mfq_panels_pieces(p), PANELS}, measure_largest, &work);
  return mfqn_tensor_scale(atomic_load(&work.largest), p->scheme.statistic_min, p->scheme.threshold);
}

typedef struct shared_work {
  const mfq_panels *panels;
  void *memory;
  mfqn_statistic *statistics;
} shared_work;

static void measure_own(void *work, int thread, int64_t first, int64_t end) {
  const shared_work *w = work;
  const mfq_panels *p = w->panels;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(p, w->memory, thread);
  mfqn_statistic *mine = w->statistics + p->view->sizes.scale_count * thread;
  for (int64_t k = first; k < end; ++k) {
    const mfq_panel a = mfq_panel_at(p, k);
    mfq_panel_measure(p, &a, scratch);
    for (int64_t i = 0; i < a.lanes; ++i) {
      const mfqn_statistic statistic = mfq_stats_at(&scratch->stats, i, p->scheme.minmax);
      mfqn_statistic_merge(&mine[a.scale0 + i * a.scale_step], &statistic);
    }
  }
}

/* Statistics of scales that many panels share: each thread its own, merged at the end (the order does not matter). */
static void measure_shared(const mfq_panels *p, void *memory, mfqn_statistic *statistics) {
  const int64_t count = p->view->sizes.scale_count;
  for (int64_t i = 0; i < count * p->threads; ++i) statistics[i] = mfqn_statistic_none();
  mfq_team_run((mfq_loop){p->threads, mfq_panels_pieces(p), PANELS}, measure_own,
               &(shared_work){p, memory, statistics});
  for (int32_t t = 1; t < p->threads; ++t)
    for (int64_t i = 0; i < count; ++i) mfqn_statistic_merge(&statistics[i], &statistics[count * t + i]);
}

static void store_shared(const mfq_panels *p, const mfqn_statistic *statistics) {
  for (int64_t i = 0; i < p->view->sizes.scale_count; ++i) {
    const mfqn_group g = mfqn_group_make(&p->scheme, &statistics[i], 1.0f);
    mfq_scale_put(p->view, i, g.stored);
    mfq_zero_point_put(p->view, &p->scheme, i, g.zero_point);
  }
}

int mfq_panels_scales_known(const mfq_panels *p) { return p->shared || !mfqn_is_measured(&p->scheme); }

/* For the statistics of scales that panels share. */
size_t mfq_panels_shared_bytes(const mfq_panels *p) {
  if (!p->shared || !mfqn_is_measured(&p->scheme)) return 0;
  return mfq_size_times((size_t)p->view->sizes.scale_count, (size_t)p->threads * sizeof(mfqn_statistic));
}

void mfq_panels_measure_shared(mfq_panels *p, uint8_t *memory) {
  const int measures = mfqn_is_measured(&p->scheme);
  if (measures) mfq_scales_clear_padding(p->view);
  if (p->scheme.scale == MFQN_SCALE_UE4M3) {
    p->tensor_scale = measures ? measure_tensor_scale(p, memory) : mfq_tensor_scale_get(p->view);
    if (measures) memcpy(p->view->q.tensor_scale, &p->tensor_scale, sizeof p->tensor_scale);
  }
  if (!mfq_panels_shared_bytes(p)) return;
  mfqn_statistic *statistics = (mfqn_statistic *)(void *)(memory + mfq_panels_scratch_all(p));
  measure_shared(p, memory, statistics);
  store_shared(p, statistics);
}

typedef struct panels_work {
  const mfq_panels *panels;
  void *memory;
} panels_work;

static void quantize_panels(void *work, int thread, int64_t first, int64_t end) {
  const panels_work *w = work;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(w->panels, w->memory, thread);
  for (int64_t k = first; k < end; ++k) mfq_panel_quantize(w->panels, k, mfq_panels_scales_known(w->panels), scratch);
}

static mfq_status plan_panels(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (cast->other) return mfq_refuse(why, "%s", "");
  if (mfq_is_rotated(cast)) return mfq_refuse(why, "elements are rotated");
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(mfq_panels), choice);
  mfq_panels *p = choice->state;
  if (status == MFQ_OK) status = mfq_panels_plan(context, cast->src, cast->view, MFQ_PANELS_ENCODE, p, why);
  if (status != MFQ_OK) return status;
  choice->workspace_bytes = mfq_size_plus(mfq_panels_scratch_all(p), mfq_panels_shared_bytes(p));
  mfq_choice_describe(choice, "vector loops (%s)", p->kernels->isa);
  return MFQ_OK;
}

static mfq_status run_panels(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  mfq_panels panels = *(const mfq_panels *)state;
  const mfq_panels *p = &panels;
  (void)problem;
  panels.seed = (mfq_seed){context->seed, context->offset};
  mfq_panels_measure_shared(&panels, memory);
  mfq_team_run((mfq_loop){p->threads, p->count, PANELS}, quantize_panels, &(panels_work){p, memory});
  return MFQ_OK;
}

static const mfq_way by_panels = {"panels", plan_panels, run_panels, NULL};

/* ---- Both directions from one read ------------------------------------------------------------------------------ */

static int is_local(const mfq_panels *p) { return !p->shared && p->scheme.scale != MFQN_SCALE_UE4M3; }

/* Whether the rows of a panel of `col` are whole panels of `row` of the same grid. */
static int can_pair(const mfq_panels *row, const mfq_panels *col) {
  return is_local(row) && is_local(col) && !row->bundle && row->rows == 1 && col->rows > 1 && row->size[0] == 1 &&
         col->size[0] == 1 && row->size[1] == col->size[1] && row->size[2] == col->size[2];
}

typedef struct pair_work {
  const mfq_panels *row, *col;
  uint8_t *row_memory, *col_memory;
} pair_work;

/* Stacks of `col`, and the panels of `row` that they cover. */
static void quantize_stacks(void *work, int thread, int64_t first, int64_t end) {
  const pair_work *w = work;
  const mfq_panels *row = w->row, *col = w->col;
  mfq_panel_scratch *row_scratch = mfq_panels_scratch_at(row, w->row_memory, thread);
  mfq_panel_scratch *col_scratch = mfq_panels_scratch_at(col, w->col_memory, thread);
  for (int64_t b = first; b < end; ++b) {
    const int64_t height = col->rows * col->stack, top = b * height, left = col->size[1] - top;
    const int64_t rows = left < height ? left : height;
    for (int64_t k = top * row->col_blocks; k < (top + rows) * row->col_blocks; ++k)
      mfq_panel_quantize(row, k, mfq_panels_scales_known(row), row_scratch);
    for (int64_t k = b * col->col_blocks; k < (b + 1) * col->col_blocks; ++k)
      mfq_panel_quantize(col, k, mfq_panels_scales_known(col), col_scratch);
  }
}

typedef struct panels_pair {
  mfq_panels row, col;
} panels_pair;
_Static_assert(sizeof(panels_pair) <= MFQ_CAST_STATE, "a pair finds room");

static mfq_status plan_pair(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (!cast->other) return mfq_refuse(why, "%s", "");
  if (mfq_is_rotated(cast) || cast->other->q.scheme.rotation != 0) return mfq_refuse(why, "elements are rotated");
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(panels_pair), choice);
  panels_pair *p = choice->state;
  if (status == MFQ_OK) status = mfq_panels_plan(context, cast->src, cast->view, MFQ_PANELS_ENCODE_ROWS, &p->row, why);
  if (status == MFQ_OK) status = mfq_panels_plan(context, cast->src, cast->other, MFQ_PANELS_ENCODE_ROWS, &p->col, why);
  if (status != MFQ_OK) return status;
  if (!can_pair(&p->row, &p->col)) return mfq_refuse(why, "the panels of one are not whole panels of the other");
  choice->workspace_bytes =
      mfq_panels_scratch_all(&p->row) + mfq_panels_scratch_bytes(&p->col) * (size_t)p->row.threads;
  mfq_choice_describe(choice, "vector loops (%s)", p->row.kernels->isa);
  return MFQ_OK;
}

static mfq_status run_pair(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  panels_pair pair = *(const panels_pair *)state, *p = &pair;
  (void)problem;
  p->row.seed = p->col.seed = (mfq_seed){context->seed, context->offset};
  mfq_scales_clear_padding(p->row.view);
  mfq_scales_clear_padding(p->col.view);
  mfq_team_run((mfq_loop){p->row.threads, p->col.stacks, 1}, quantize_stacks,
               &(pair_work){&p->row, &p->col, memory, memory + mfq_panels_scratch_all(&p->row)});
  return MFQ_OK;
}

static const mfq_way by_pairs = {"both directions from one read", plan_pair, run_pair, NULL};

/* ---- The list ---------------------------------------------------------------------------------------------------- */

const mfq_ways mfq_cpu_quantizations = {
    .create = "mfq_quantize",
    .nearest_first = 1,
    .ways = {&by_panels, &by_pairs, &mfq_cast_directions, &mfq_rotated_copies, &mfq_quantize_reference}};
