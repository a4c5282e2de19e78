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

/* From the largest finite statistic of all groups follows the tensor scale above UE4M3. */
static void measure_largest(mfq_shared *s, const mfq_panels *p, mfq_panel_scratch *scratch, int64_t first,
                            int64_t end) {
  uint32_t largest = 0;
  for (int64_t k = first; k < end; ++k) {
    const mfq_panel a = mfq_panel_at(p, k);
    mfq_panel_measure(p, &a, scratch);
    const uint32_t *absmax = scratch->stats.absmax;
    for (int64_t i = 0; !p->scheme.minmax && i < a.lanes; ++i)
      largest = mfqn_umax(largest, absmax[i] < MFQN_INF ? absmax[i] : 0u);
    for (int64_t i = 0; p->scheme.minmax && i < a.lanes; ++i) {
      const mfqn_statistic statistic = mfq_stats_at(&scratch->stats, i, 1);
      const uint32_t value = mfqn_statistic_value(&statistic, &p->scheme);
      if (value < MFQN_INF && value > largest) largest = value;
    }
    if (p->peaks) p->kernels->store(mfq_panel_peaks(p, &a), mfq_panels_peak_dtype(p), absmax, a.lanes);
  }
  uint32_t known = atomic_load(&s->largest);
  while (largest > known && !atomic_compare_exchange_weak(&s->largest, &known, largest)) continue;
}

/* Statistics of scales that many panels share: each thread its own, merged at the end (the order does not matter). */
static void measure_own(mfqn_statistic *mine, const mfq_panels *p, mfq_panel_scratch *scratch, int64_t first,
                        int64_t end) {
  for (int64_t k = first; k < end; ++k) {
    const mfq_panel a = mfq_panel_at(p, k);
    mfq_panel_measure(p, &a, scratch);
    for (int64_t i = 0; i < a.lanes; ++i) {
      const mfqn_statistic statistic = mfq_stats_at(&scratch->stats, i, p->scheme.minmax);
      mfqn_statistic_merge(&mine[a.scale0 + i * a.scale_step], &statistic);
    }
  }
}

static void store_shared(const mfq_panels *p, const mfqn_statistic *statistics) {
  for (int64_t i = 0; i < p->view->sizes.scale_count; ++i) {
    const mfqn_group g = mfqn_group_make(&p->scheme, &statistics[i], 1.0f);
    mfq_scale_put(p->view, i, g.stored);
    mfq_zero_point_put(p->view, &p->scheme, i, g.zero_point);
  }
}

int mfq_panels_scales_known(const mfq_panels *p) { return p->shared || !mfqn_is_measured(&p->scheme); }

/* Whether groups are measured once, for the tensor's scale and for their own. */
static int keeps_peaks(const mfq_panels *p) {
  return p->scheme.scale == MFQN_SCALE_UE4M3 && mfqn_is_measured(&p->scheme) && !p->scheme.minmax && !p->shared &&
         !p->transposed;
}

/* For the statistics of scales that panels share, or for peaks. */
size_t mfq_panels_shared_bytes(const mfq_panels *p) {
  const size_t count = (size_t)p->view->sizes.scale_count;
  if (keeps_peaks(p)) return mfq_whole_lines(mfq_size_times(count, mfq_dtype_bytes(mfq_panels_peak_dtype(p))));
  if (!p->shared || !mfqn_is_measured(&p->scheme)) return 0;
  return mfq_whole_lines(mfq_size_times(count, (size_t)p->threads * sizeof(mfqn_statistic)));
}

const mfqn_statistic *mfq_panels_statistics(const mfq_panels *p, const uint8_t *memory) {
  return (const mfqn_statistic *)(const void *)(memory + mfq_panels_scratch_all(p));
}

void mfq_shared_begin(mfq_panels *p, uint8_t *memory, mfq_shared *s) {
  const int measures = mfqn_is_measured(&p->scheme), has_tensor_scale = p->scheme.scale == MFQN_SCALE_UE4M3;
  *s = (mfq_shared){.panels = p, .memory = memory, .is_measured = measures && (p->shared || has_tensor_scale)};
  if (measures) mfq_scales_clear_padding(p->view);
  if (has_tensor_scale && !measures) p->tensor_scale = mfq_tensor_scale_get(p->view);
  if (keeps_peaks(p)) p->peaks = memory + mfq_panels_scratch_all(p);
  if (!p->shared || !measures) return;
  s->statistics = (mfqn_statistic *)(void *)(memory + mfq_panels_scratch_all(p));
  for (int64_t i = 0; i < p->view->sizes.scale_count * p->threads; ++i) s->statistics[i] = mfqn_statistic_none();
}

void mfq_shared_measure(mfq_shared *s, const mfq_panels *p, int thread, int64_t first, int64_t end) {
  if (!s->is_measured) return;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(p, s->memory, thread);
  if (s->statistics)
    measure_own(s->statistics + p->view->sizes.scale_count * thread, p, scratch, first, end);
  else
    measure_largest(s, p, scratch, first, end);
}

void mfq_shared_end(mfq_shared *s) {
  mfq_panels *p = s->panels;
  const int64_t count = p->view->sizes.scale_count;
  if (!s->is_measured) return;
  if (s->statistics) {
    for (int32_t t = 1; t < p->threads; ++t)
      for (int64_t i = 0; i < count; ++i) mfqn_statistic_merge(&s->statistics[i], &s->statistics[count * t + i]);
    store_shared(p, s->statistics);
    return;
  }
  p->tensor_scale = mfqn_tensor_scale(atomic_load(&s->largest), p->scheme.statistic_min, p->scheme.tensor_threshold);
  memcpy(p->view->q.tensor_scale, &p->tensor_scale, sizeof p->tensor_scale);
}

static void measure_pieces(void *work, int thread, int64_t first, int64_t end) {
  mfq_shared *s = work;
  mfq_shared_measure(s, s->panels, thread, first, end);
}

void mfq_panels_measure_shared(mfq_panels *p, uint8_t *memory) {
  mfq_shared s;
  mfq_shared_begin(p, memory, &s);
  if (s.is_measured) mfq_team_run((mfq_loop){p->threads, mfq_panels_pieces(p), PANELS}, measure_pieces, &s);
  mfq_shared_end(&s);
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
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(mfq_panels), choice);
  mfq_panels *p = choice->state;
  if (status == MFQ_OK) p->may_join = 1;
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

/* ---- The list ---------------------------------------------------------------------------------------------------- */

const mfq_ways mfq_cpu_quantizations = {.create = "mfq_quantize",
                                        .nearest_first = 1,
                                        .ways = {&by_panels, &mfq_quantize_squares, &mfq_quantize_pairs,
                                                 &mfq_cast_directions, &mfq_rotated_copies, &mfq_quantize_reference}};
