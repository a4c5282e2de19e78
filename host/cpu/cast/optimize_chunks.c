/* host/cpu/cast/optimize_chunks.c: updates of a tensor in vector loops: a chunk of elements at a time, or, where the codes of new
 * values are wanted, strip by strip, from which they are quantized while they are in the caches. */
#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "indices.h"
#include "optimize_segment.h"
#include "strips.h"

/* ---- Chunks ------------------------------------------------------------------------------------------------------ */

typedef struct chunks_work {
  const mfq_context *context;
  const mfq_cast *cast;
  const mfq_segments *segments;
  uint8_t *memory;
} chunks_work;

static mfq_status plan_chunks(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  mfq_status status = mfq_choice_state(context, "mfq_optimizer_create", sizeof(mfq_segments), choice);
  if (status == MFQ_OK) status = mfq_segments_plan(context, problem, choice->state, why);
  if (status != MFQ_OK) return status;
  choice->workspace_bytes = mfq_size_times(mfq_segments_bytes(choice->state), (size_t)context->threads);
  mfq_choice_describe(choice, "vector loops (%s)", mfq_cpu_kernels(context)->isa);
  return MFQ_OK;
}

static void update_chunks(void *work, int thread, int64_t first, int64_t end) {
  const chunks_work *w = work;
  const int64_t most = w->segments->most, count = w->cast->dst->shape[0];
  mfq_segment_thread t;
  mfq_segment_thread_init(w->context, w->cast, w->segments,
                          w->memory + mfq_segments_bytes(w->segments) * (size_t)thread, &t);
  for (int64_t k = first; k < end; ++k) mfq_segment_update(&t, k * most, mfq_smaller(most, count - k * most));
}

static mfq_status run_chunks(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  enum { CHUNKS = 4 };
  const mfq_cast *cast = problem;
  const mfq_segments *segments = state;
  const int64_t count = cast->dst->shape[0];
  chunks_work w = {context, cast, segments, memory};
  if (!cast->optimizing->state->skips)
    mfq_team_run((mfq_loop){mfq_row_threads(context, count), mfq_ceil_div(count, segments->most), CHUNKS},
                 update_chunks, &w);
  return mfq_optimize_codes(context, cast);
}

const mfq_way mfq_optimize_chunks = {"chunks", plan_chunks, run_chunks, NULL};

/* ---- Strips ------------------------------------------------------------------------------------------------------ */

typedef struct strips_plan {
  mfq_segments segments;
  mfq_strips strips;
} strips_plan;

/* Segments of a window are those of its rows, one after the other. */
static mfq_status check_windows(const strips_plan *p, mfq_line *why) {
  const mfq_strips *s = &p->strips;
  if (s->cols % p->segments.unit != 0 && s->rows > 1)
    return mfq_refuse(why, "groups of moments go over the ends of rows");
  if (s->width % p->segments.unit != 0 && s->width < s->cols)
    return mfq_refuse(why, "groups of moments go over the ends of windows");
  return MFQ_OK;
}

static mfq_status plan_strips(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const mfq_optimizing *o = cast->optimizing;
  if (!o || (!o->row && !o->col) || cast->dst->shape[0] == 0) return mfq_refuse(why, "%s", "");
  const mfq_tensor *value = o->shaped;
  const int64_t cols = value->shape[value->rank - 1];
  const mfq_strips_wanted wanted = {
      .one = o->row, .other = o->col, .rows = cast->dst->shape[0] / cols, .cols = cols, .once = 1};
  mfq_status status = mfq_choice_state(context, "mfq_optimizer_create", sizeof(strips_plan), choice);
  strips_plan *p = choice->state;
  if (status == MFQ_OK) status = mfq_segments_plan(context, cast, &p->segments, why);
  if (status == MFQ_OK) status = mfq_strips_plan(context, &wanted, &p->strips, why);
  if (status == MFQ_OK) status = check_windows(p, why);
  if (status != MFQ_OK) return status;
  const size_t own = mfq_size_times(mfq_segments_bytes(&p->segments), (size_t)p->strips.threads);
  choice->workspace_bytes = mfq_size_plus(mfq_whole_lines(mfq_strips_bytes(&p->strips)), own);
  mfq_choice_describe(choice, "vector loops (%s), codes from the same pass", mfq_cpu_kernels(context)->isa);
  return MFQ_OK;
}

static void fill(void *source, const mfq_window *w) {
  const chunks_work *work = source;
  const int64_t cols = work->cast->optimizing->shaped->shape[work->cast->optimizing->shaped->rank - 1];
  const int64_t most = work->segments->most;
  mfq_segment_thread t;
  mfq_segment_thread_init(work->context, work->cast, work->segments,
                          work->memory + mfq_segments_bytes(work->segments) * (size_t)w->thread, &t);
  for (int64_t r = 0; r < w->rows; ++r)
    for (int64_t c = 0; c < w->cols; c += most) {
      const int64_t n = mfq_smaller(most, w->cols - c), first = (w->row0 + r) * cols + w->col0 + c;
      memcpy(w->to + r * w->ld + c, mfq_segment_update(&t, first, n), (size_t)n * sizeof *w->to);
    }
}

static mfq_status run_strips(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const strips_plan *p = state;
  chunks_work w = {context, cast, &p->segments, memory + mfq_whole_lines(mfq_strips_bytes(&p->strips))};
  if (cast->optimizing->state->skips) return mfq_optimize_codes(context, cast);
  mfq_strips_run(context, &p->strips, memory, fill, &w);
  return MFQ_OK;
}

const mfq_way mfq_optimize_strips = {"strips", plan_strips, run_strips, NULL};
