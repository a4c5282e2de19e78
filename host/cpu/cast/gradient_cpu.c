/* host/cpu/cast/gradient_cpu.c: the backward of fake quantization, scale by scale.
 *
 * The elements of a scale are a box of the tensor, in row-major order. A box of one chunk is done by one thread in one
 * go: measured, summed, written. Longer ones are cut into chunks, which are whole subtrees of the sum, and take two reads:
 * one for the sums and one for the elements. */
#include <string.h>

#include <mfq/num/gradient.h>
#include <mfq/num/random.h>

#include "host/core/error.h"
#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "host/cpu/cpu_state.h"
#include "boxes.h"
#include "elements.h"
#include "masks.h"
#include "rotate_cpu.h"

enum { CHUNK = 4096 }; /* elements; a power of two */
enum { SRC, UPSTREAM, DX };

/* One scale: the box of its elements, what was measured of them, if anything was, and their group. */
typedef struct gradient_scale {
  int64_t index;
  mfq_box box;
  mfqn_statistic statistic;
  mfqn_group group;
} gradient_scale;

typedef struct gradient_job {
  const mfq_context *context;
  const mfq_cast *cast;
  mfq_gradient p; /* of the cast; of none, where there is only a question */
  mfqn_scheme scheme;
  mfq_boxes boxes;
  int64_t chunks;          /* of the largest box */
  int has_sums, is_shared; /* shared: one scale for the tensor */
  float tensor_scale;
  mfqn_statistic *statistics; /* NULL: each box is measured by itself, or not at all */
  mfqn_gradient_partial *partials;
  mfqn_gradient_totals *totals;
} gradient_job;

/* ---- Boxes ------------------------------------------------------------------------------------------------------- */

static void set_up(gradient_job *job) {
  const mfq_qview *view = job->cast->view;
  const mfq_tensor *tensors[MFQ_BOX_TENSORS] = {job->cast->src, job->p.upstream, job->cast->dst};
  mfq_lower(&view->q.scheme, &job->scheme);
  mfq_boxes_init(view, tensors, &job->boxes);
  job->chunks = (job->boxes.largest + CHUNK - 1) / CHUNK;
  job->has_sums = job->p.grad_scale || job->p.grad_zero_point || job->p.through_scale;
  job->is_shared = view->q.scheme.granularity == MFQ_GRANULARITY_TENSOR;
}

static uint32_t load(const mfq_tensor *tensor, const mfq_box_run *run, int place, int64_t j) {
  return mfq_element_load(tensor->data, tensor->dtype, run->at[place] + j * run->step[place]);
}

static mfqn_passage passage_of(const gradient_job *job, const mfqn_group *g, const mfq_box_run *run, int64_t j) {
  const uint64_t index = (uint64_t)(run->at[MFQ_BOX_LOGICAL] + j * run->step[MFQ_BOX_LOGICAL]);
  const uint32_t random =
      job->scheme.rounding == MFQN_ROUND_STOCHASTIC ? mfqn_random(job->context->seed, job->context->offset, index) : 0;
  return mfqn_element_passage(&job->scheme, g, load(job->cast->src, run, SRC, j), random);
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

static mfqn_statistic measure_box(const gradient_job *job, const mfq_box *box, int64_t scale) {
  mfqn_statistic statistic = mfqn_statistic_none();
  for (int64_t i = 0; i < box->count;) {
    const mfq_box_run run = mfq_box_run_at(&job->boxes, box, i, box->count);
    for (int64_t j = 0; j < run.count; ++j) mfqn_statistic_add(&statistic, load(job->cast->src, &run, SRC, j));
    i += run.count;
  }
  if (job->scheme.is_brevitas && mfq_scale_is_short(job->cast->view, scale)) mfqn_statistic_add(&statistic, 0);
  return statistic;
}

static gradient_scale scale_of(const gradient_job *job, int64_t index) {
  gradient_scale s = {.index = index, .box = mfq_box_at(&job->boxes, index), .statistic = mfqn_statistic_none()};
  if (!mfqn_is_measured(&job->scheme)) {
    s.group = mfq_group_stored(job->cast->view, &job->scheme, index);
    return s;
  }
  s.statistic = job->statistics ? job->statistics[index] : measure_box(job, &s.box, index);
  s.group = mfqn_group_make(&job->scheme, &s.statistic, job->tensor_scale);
  return s;
}

static int64_t chunks_of(const mfq_box *box) { return (box->count + CHUNK - 1) / CHUNK; }

/* Where the chunk that begins with element `first` of a box ends. */
static int64_t end_of_chunk(const mfq_box *box, int64_t first) {
  return box->count - first < CHUNK ? box->count : first + CHUNK;
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

static mfqn_gradient_partial sum_chunk(const gradient_job *job, const gradient_scale *s, int64_t first) {
  const int64_t end = end_of_chunk(&s->box, first);
  mfqn_gradient_partial partial = {0.0f, 0.0f, mfqn_spots_none(job->is_shared)};
  mfqn_tree scale = {.count = 0}, zero_point = {.count = 0};
  for (int64_t i = first; i < end;) {
    const mfq_box_run run = mfq_box_run_at(&job->boxes, &s->box, i, end);
    for (int64_t j = 0; j < run.count; ++j, ++i) {
      const mfqn_passage passage = passage_of(job, &s->group, &run, j);
      const float dy = mfqn_float_of(load(job->p.upstream, &run, UPSTREAM, j));
      mfqn_tree_add(&scale, mfqn_gradient_scale_term(&passage, job->p.ste, dy));
      if (job->scheme.has_zero_point)
        mfqn_tree_add(&zero_point, mfqn_gradient_zero_point_term(&passage, job->p.ste, dy));
      if (!job->p.through_scale) continue;
      const uint32_t u = load(job->cast->src, &run, SRC, j);
      const mfqn_spots here = mfqn_spots_of(&job->scheme, &s->statistic, u, i, job->is_shared);
      partial.spots = mfqn_spots_merge(partial.spots, here, job->is_shared);
    }
  }
  /* A short chunk behind others is a subtree whose missing terms are +0. */
  const int is_filled = first > 0 && end - first < CHUNK;
  partial.scale = is_filled ? mfqn_add(mfqn_tree_sum(&scale), 0.0f) : mfqn_tree_sum(&scale);
  partial.zero_point = is_filled ? mfqn_add(mfqn_tree_sum(&zero_point), 0.0f) : mfqn_tree_sum(&zero_point);
  return partial;
}

static void store_gradient(const mfq_tensor *tensor, int64_t scale, float gradient) {
  if (tensor) mfq_element_store(tensor->data, tensor->dtype, mfq_offset_of(tensor, scale), mfqn_bits(gradient));
}

/* From the chunks of a scale to its gradients, which are written, and to what goes back to its elements. */
static mfqn_gradient_totals finish_scale(const gradient_job *job, const gradient_scale *s,
                                         const mfqn_gradient_partial *partials) {
  mfqn_tree scales = {.count = 0}, zero_points = {.count = 0};
  mfqn_spots spots = mfqn_spots_none(job->is_shared);
  for (int64_t c = 0; c < chunks_of(&s->box); ++c) {
    mfqn_tree_add(&scales, partials[c].scale);
    mfqn_tree_add(&zero_points, partials[c].zero_point);
    spots = mfqn_spots_merge(spots, partials[c].spots, job->is_shared);
  }
  const float sum = mfqn_tree_sum(&scales), dz = mfqn_gradient_zero_point(&s->group, mfqn_tree_sum(&zero_points));
  const float ds = mfqn_gradient_scale(&job->scheme, &s->group, sum, job->p.log2_scale);
  store_gradient(job->p.grad_scale, s->index, ds);
  store_gradient(job->p.grad_zero_point, s->index, dz);
  mfqn_gradient_totals totals = {{0.0f, 0.0f}, spots};
  if (job->p.through_scale) totals.extremes = mfqn_gradient_extremes(&job->scheme, &s->statistic, &s->group, sum, dz);
  return totals;
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

static void apply_chunk(const gradient_job *job, const gradient_scale *s, int64_t first,
                        const mfqn_gradient_totals *totals) {
  const int64_t end = end_of_chunk(&s->box, first);
  const mfq_tensor *dx = job->cast->dst;
  for (int64_t i = first; i < end;) {
    const mfq_box_run run = mfq_box_run_at(&job->boxes, &s->box, i, end);
    for (int64_t j = 0; j < run.count; ++j, ++i) {
      const mfqn_passage passage = passage_of(job, &s->group, &run, j);
      const float dy = mfqn_float_of(load(job->p.upstream, &run, UPSTREAM, j));
      uint32_t gradient = mfqn_gradient_element(&passage, job->p.ste, dy);
      if (job->p.through_scale) {
        const uint32_t u = load(job->cast->src, &run, SRC, j);
        const mfqn_spots own = mfqn_spots_of(&job->scheme, &s->statistic, u, i, job->is_shared);
        const float through =
            mfqn_gradient_through(&job->scheme, &totals->extremes, own, totals->spots, u, job->is_shared);
        gradient = mfqn_one_nan(mfqn_add(mfqn_float_of(gradient), through));
      }
      mfq_element_store(dx->data, dx->dtype, run.at[DX] + j * run.step[DX], gradient);
    }
  }
}

/* ---- Loops ------------------------------------------------------------------------------------------------------- */

static const mfqn_gradient_totals nothing_back = {{0.0f, 0.0f}, {-1, -1}};

static void whole_scales(void *work, int thread, int64_t first, int64_t end) {
  const gradient_job *job = work;
  (void)thread;
  for (int64_t index = first; index < end; ++index) {
    const gradient_scale s = scale_of(job, index);
    mfqn_gradient_totals totals = nothing_back;
    if (job->has_sums) {
      const mfqn_gradient_partial partial = sum_chunk(job, &s, 0);
      totals = finish_scale(job, &s, &partial);
    }
    apply_chunk(job, &s, 0, &totals);
  }
}

/* Sums the chunk, where `sums` is 1; else writes its elements. Chunks are numbered scale by scale, as many for each as the
 * largest has. */
static void go_through_chunks(const gradient_job *job, int sums, int64_t first, int64_t end) {
  for (int64_t item = first; item < end; ++item) {
    const int64_t index = item / job->chunks, at = item % job->chunks * CHUNK;
    const gradient_scale s = scale_of(job, index);
    if (at >= s.box.count) continue;
    if (sums)
      job->partials[item] = sum_chunk(job, &s, at);
    else
      apply_chunk(job, &s, at, job->has_sums ? &job->totals[index] : &nothing_back);
  }
}

static void sum_chunks(void *work, int thread, int64_t first, int64_t end) {
  (void)thread;
  go_through_chunks(work, 1, first, end);
}

static void apply_chunks(void *work, int thread, int64_t first, int64_t end) {
  (void)thread;
  go_through_chunks(work, 0, first, end);
}

static void finish_scales(const gradient_job *job) {
  for (int64_t index = 0; index < job->boxes.scales; ++index) {
    const gradient_scale s = scale_of(job, index);
    job->totals[index] = finish_scale(job, &s, &job->partials[index * job->chunks]);
  }
}

/* ---- The operation ----------------------------------------------------------------------------------------------- */

mfq_status mfq_gradient_check_learned(const mfq_cast *cast) {
  mfqn_scheme scheme;
  mfq_lower(&cast->view->q.scheme, &scheme);
  if (!cast->gradient->grad_scale || scheme.rule != MFQN_RULE_GIVEN) return MFQ_OK;
  for (int64_t i = 0; i < cast->view->sizes.scale_count; ++i) {
    const mfqn_group g = mfq_group_stored(cast->view, &scheme, i);
    if (g.usable && g.divisor > 0.0f) continue;
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, cast->function,
                    "gradient->given: scale %lld is %g; one that is learned must be positive and finite: give it a "
                    "lower bound, or learn its logarithm (log2_scale)",
                    (long long)i, (double)g.divisor);
  }
  return MFQ_OK;
}

/* Whether statistics, and partial sums, of all scales are kept. */
static int keeps_statistics(const gradient_job *job) {
  return mfqn_is_measured(&job->scheme) && (job->chunks > 1 || mfqn_has_tensor_scale(job->scheme.scale));
}

/* What of all scales is kept, in the order of the memory: totals, partial sums, statistics. */
typedef struct gradient_room {
  size_t totals, partials, statistics;
} gradient_room;

static gradient_room room_of(const gradient_job *job) {
  gradient_room room = {0, 0, 0};
  const size_t scales = (size_t)job->boxes.scales;
  if (job->chunks > 1 && job->has_sums) {
    room.totals = mfq_size_times(scales, sizeof(mfqn_gradient_totals));
    room.partials = mfq_size_times(mfq_size_times(scales, (size_t)job->chunks), sizeof(mfqn_gradient_partial));
  }
  if (keeps_statistics(job)) room.statistics = mfq_size_times(scales, sizeof(mfqn_statistic));
  return room;
}

static gradient_job job_of(const mfq_context *context, const mfq_cast *cast) {
  gradient_job job = {.context = context, .cast = cast, .tensor_scale = 1.0f};
  job.p.upstream = cast->src;
  if (cast->gradient) job.p = *cast->gradient;
  set_up(&job);
  return job;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const gradient_job job = job_of(context, problem);
  const gradient_room room = room_of(&job);
  choice->workspace_bytes = mfq_size_plus(mfq_size_plus(room.totals, room.partials), room.statistics);
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  gradient_job job = job_of(context, problem);
  (void)state;
  const mfq_status status = mfq_gradient_check_learned(problem);
  if (status != MFQ_OK) return status;
  const gradient_room room = room_of(&job);
  job.totals = (mfqn_gradient_totals *)(void *)memory;
  job.partials = (mfqn_gradient_partial *)(void *)(memory + room.totals);
  if (room.statistics) {
    job.statistics = (mfqn_statistic *)(void *)(memory + room.totals + room.partials);
    job.tensor_scale = mfq_measure_ref(job.cast->view, &job.scheme, job.cast->src, job.statistics);
  }
  if (job.chunks <= 1) {
    mfq_team_run((mfq_loop){context->threads, job.boxes.scales, 0}, whole_scales, &job);
    return MFQ_OK;
  }
  const mfq_loop items = {context->threads, job.boxes.scales * job.chunks, 0};
  if (job.has_sums) {
    mfq_team_run(items, sum_chunks, &job);
    finish_scales(&job);
  }
  mfq_team_run(items, apply_chunks, &job);
  return MFQ_OK;
}

static const mfq_way by_elements = {"reference", plan, run, NULL};
const mfq_ways mfq_cpu_fake_gradients = {
    .create = "mfq_fake_quantize_backward",
    .ways = {&mfq_gradient_by_mask, &mfq_gradient_panels, &mfq_rotated_copies, &by_elements}};
