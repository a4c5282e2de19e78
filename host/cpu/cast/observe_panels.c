/* host/cpu/cast/observe_panels.c: extremes by the panels of quantization, whatever the scheme's formats are. */
#include <string.h>

#include "host/core/error.h"
#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "observe_job.h"
#include "panels.h"

enum { PANELS = 8 }; /* that a thread takes at a time */

typedef struct observe_panels {
  mfq_qview view; /* of the same scales below codes of one byte */
  mfq_panels panels;
} observe_panels;

typedef struct panels_work {
  const mfq_panels *panels;
  mfq_observe_job job;
  uint8_t *memory;
  mfqn_statistic *shared; /* of each thread; NULL: scales are of one panel */
} panels_work;

static mfq_status make_view(const mfq_cast *cast, int minmax, mfq_qview *view) {
  mfq_qtensor q = cast->view->q;
  const mfq_format byte = {.kind = MFQ_KIND_INTEGER, .is_signed = 1, .man_bits = 7};
  const mfq_scheme *s = &cast->view->q.scheme;
  q.scheme = (mfq_scheme){.element = byte,
                          .granularity = s->granularity,
                          .axis = s->axis,
                          .group_size = s->group_size,
                          .block_rows = s->block_rows,
                          .block_cols = s->block_cols,
                          .scale = MFQ_SCALE_F32,
                          .statistic = minmax ? MFQ_STATISTIC_MINMAX : MFQ_STATISTIC_ABSMAX};
  return mfq_qview_init((mfq_where){cast->function, "scheme"}, &q, view);
}

static size_t shared_bytes(const mfq_panels *p) {
  return p->shared ? mfq_size_times((size_t)p->view->sizes.scale_count, (size_t)p->threads * sizeof(mfqn_statistic))
                   : 0;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const mfq_observing *o = cast->observing;
  const int32_t observed = o ? (int32_t)o->observer->observed : MFQN_OBSERVED_ABSMAX;
  if (!mfqn_observes_extremes(observed)) return mfq_refuse(why, "the statistic is no extreme");
  if (o && o->count > 1) return mfq_refuse(why, "several tensors share their scales");
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(observe_panels), choice);
  observe_panels *own = choice->state;
  if (status == MFQ_OK) status = make_view(cast, observed != MFQN_OBSERVED_ABSMAX, &own->view);
  if (status == MFQ_OK) status = mfq_panels_plan(context, cast->src, &own->view, MFQ_PANELS_ENCODE, &own->panels, why);
  if (status != MFQ_OK) return status;
  choice->workspace_bytes = mfq_size_plus(mfq_panels_scratch_all(&own->panels), shared_bytes(&own->panels));
  mfq_choice_describe(choice, "vector loops (%s)", own->panels.kernels->isa);
  return MFQ_OK;
}

static void put(const mfq_observe_job *job, int64_t scale, mfqn_statistic statistic) {
  if (job->scheme.is_brevitas && mfq_scale_is_short(job->cast->view, scale)) mfqn_statistic_add(&statistic, 0);
  mfq_observe_put(job, scale, mfqn_observed_extreme(job->observer.observed, &statistic, &job->scheme));
}

static void measure_panels(void *work, int thread, int64_t first, int64_t end) {
  const panels_work *w = work;
  const mfq_panels *p = w->panels;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(p, w->memory, thread);
  mfqn_statistic *mine = w->shared ? w->shared + p->view->sizes.scale_count * thread : NULL;
  for (int64_t k = first; k < end; ++k) {
    const mfq_panel a = mfq_panel_at(p, k);
    mfq_panel_measure(p, &a, scratch);
    for (int64_t i = 0; i < a.lanes; ++i) {
      const mfqn_statistic statistic = mfq_stats_at(&scratch->stats, i, p->scheme.minmax);
      const int64_t scale = a.scale0 + i * a.scale_step;
      if (mine)
        mfqn_statistic_merge(&mine[scale], &statistic);
      else
        put(&w->job, scale, statistic);
    }
  }
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const observe_panels *own = state;
  mfq_panels panels = own->panels;
  panels.view = &own->view;
  panels_work work = {.panels = &panels, .memory = memory};
  const int64_t count = own->view.sizes.scale_count;
  mfq_observe_begin(problem, &work.job);
  if (panels.shared) work.shared = (mfqn_statistic *)(void *)(memory + mfq_panels_scratch_all(&panels));
  for (int64_t i = 0; panels.shared && i < count * panels.threads; ++i) work.shared[i] = mfqn_statistic_none();
  mfq_team_run((mfq_loop){panels.threads, mfq_panels_pieces(&panels), PANELS}, measure_panels, &work);
  for (int64_t i = 0; panels.shared && i < count; ++i) {
    for (int32_t t = 1; t < panels.threads; ++t) mfqn_statistic_merge(&work.shared[i], &work.shared[count * t + i]);
    put(&work.job, i, work.shared[i]);
  }
  mfq_observe_count_nans(&work.job, context);
  return MFQ_OK;
}

const mfq_way mfq_observe_panels = {"panels", plan, run, NULL};
