/* host/cpu/cast/search_cpu.c: scales by search, scale by scale.
 *
 * The elements of a scale are a box of the tensor, in row-major order, and the errors of each candidate are summed in that
 * order. A box of one chunk is searched by one thread in one go. Of longer ones all candidates are tried on a chunk, a whole
 * subtree of the sums, while it is in the caches. Codes follow from the scales that were found. */
#include <string.h>

#include <mfq/num/candidate.h>
#include <mfq/num/random.h>

#include "host/core/check/sizes.h"
#include "host/core/error.h"
#include "host/core/process/team.h"
#include "host/cpu/cpu_state.h"
#include "boxes.h"
#include "elements.h"
#include "rotate_cpu.h"
#include "search_cpu.h"

enum { CHUNK = 4096 }; /* elements; a power of two */
enum { SRC, IMPORTANCE };

typedef struct search_job {
  const mfq_context *context;
  const mfq_cast *cast;
  const mfq_tensor *importance;
  mfqn_candidates candidates;
  mfqn_scheme scheme;
  mfq_boxes boxes;
  int64_t chunks; /* of the largest box */
  int32_t tried;  /* how many candidates there are */
  float tensor_scale;
  mfqn_statistic *statistics;
  uint32_t *tries; /* the candidates of each scale, and their losses chunk by chunk, where boxes are long */
  float *losses;
} search_job;

mfqn_candidates mfq_candidates_of(const mfq_cast *cast) {
  const mfq_candidates *c = cast->candidates;
  if (c == NULL) return (mfqn_candidates){0, 1, 1, 1, 0.0f};
  if (c->kind == MFQ_CANDIDATES_DEVIATION) return mfqn_candidates_of_deviation(c->last, c->steps);
  return (mfqn_candidates){c->kind == MFQ_CANDIDATES_RANKS, c->steps, c->first, c->last, 0.0f};
}

mfq_status mfq_search_check_importance(const mfq_cast *cast) {
  const mfq_tensor *importance = cast->candidates->importance;
  if (importance == NULL) return MFQ_OK;
  mfq_tensor once = *importance; /* where strides repeat, one of them */
  int64_t count = 1;
  for (int32_t d = 0; d < once.rank; ++d) {
    if (once.strides[d] == 0 && once.shape[d] > 1) once.shape[d] = 1;
    count *= once.shape[d];
  }
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = mfq_element_load(once.data, once.dtype, mfq_offset_of(&once, i));
    if (bits < MFQN_INF || bits == 0x80000000u) continue;
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, cast->function,
                    "search->importance: an element is %g; allowed are finite numbers from 0 on",
                    (double)mfqn_float_of(bits));
  }
  return MFQ_OK;
}

/* ---- Candidates -------------------------------------------------------------------------------------------------- */

/* How many elements of a box are at most this large. */
static int64_t count_up_to(const search_job *job, const mfq_box *box, uint32_t magnitude) {
  const mfq_tensor *src = job->cast->src;
  int64_t count = 0;
  for (int64_t i = 0; i < box->count;) {
    const mfq_box_run run = mfq_box_run_at(&job->boxes, box, i, box->count);
    for (int64_t j = 0; j < run.count; ++j) {
      const uint32_t u = mfq_element_load(src->data, src->dtype, run.at[SRC] + j * run.step[SRC]);
      count += (u & MFQN_ABS) <= magnitude;
    }
    i += run.count;
  }
  return count;
}

/* The least magnitude that `rank` elements do not exceed, bit by bit. */
static uint32_t magnitude_of_rank(const search_job *job, const mfq_box *box, int64_t rank) {
  uint32_t found = 0;
  for (int bit = 30; bit >= 0; --bit)
    if (count_up_to(job, box, found | ((1u << bit) - 1u)) < rank) found |= 1u << bit;
  return found;
}

/* The sum over a box of its elements in units, or, with their mean, of the squares around it. */
static float deviation_sum(const search_job *job, const mfq_box *box, float unit, const float *mean) {
  const mfq_tensor *src = job->cast->src;
  mfqn_tree tree = {.count = 0};
  for (int64_t i = 0; i < box->count;) {
    const mfq_box_run run = mfq_box_run_at(&job->boxes, box, i, box->count);
    for (int64_t j = 0; j < run.count; ++j) {
      const uint32_t u = mfq_element_load(src->data, src->dtype, run.at[SRC] + j * run.step[SRC]);
      mfqn_tree_add(&tree, mean ? mfqn_deviation_square(u, unit, *mean) : mfqn_deviation_element(u, unit));
    }
    i += run.count;
  }
  return mfqn_tree_sum(&tree);
}

static uint32_t candidate_of_deviation(const search_job *job, const mfq_box *box, uint32_t statistic) {
  const float unit = mfqn_error_unit(statistic);
  const float mean = mfqn_div(deviation_sum(job, box, unit, NULL), (float)box->count);
  return mfqn_deviation_candidate(&job->candidates, statistic, deviation_sum(job, box, unit, &mean), box->count);
}

static void list_candidates(const search_job *job, int64_t index, uint32_t *tries) {
  const mfqn_candidates *c = &job->candidates;
  const mfq_box box = mfq_box_at(&job->boxes, index);
  const uint32_t statistic = mfqn_statistic_value(&job->statistics[index], &job->scheme);
  if (c->deviations != 0.0f && mfqn_is_searched(statistic)) {
    *tries = candidate_of_deviation(job, &box, statistic);
    return;
  }
  for (int32_t i = c->first; i <= c->last && mfqn_is_searched(statistic); ++i)
    tries[i - c->first] = !c->by_rank ? mfqn_candidate(&job->scheme, c, statistic, i)
                                      : magnitude_of_rank(job, &box, mfqn_candidate_rank(c, box.count, i));
}

/* ---- Losses ------------------------------------------------------------------------------------------------------ */

static float loss_of(const search_job *job, const mfq_box *box, int64_t first, int64_t end, const mfqn_group *g,
                     float unit) {
  const mfq_tensor *src = job->cast->src, *importance = job->importance;
  const int is_random = job->scheme.rounding == MFQN_ROUND_STOCHASTIC;
  mfqn_tree tree = {.count = 0};
  for (int64_t i = first; i < end;) {
    const mfq_box_run run = mfq_box_run_at(&job->boxes, box, i, end);
    for (int64_t j = 0; j < run.count; ++j) {
      const uint32_t u = mfq_element_load(src->data, src->dtype, run.at[SRC] + j * run.step[SRC]);
      const uint64_t logical = (uint64_t)(run.at[MFQ_BOX_LOGICAL] + j * run.step[MFQ_BOX_LOGICAL]);
      const uint32_t random = is_random ? mfqn_random(job->context->seed, job->context->offset, logical) : 0;
      const float error = mfqn_squared_error(u, mfqn_fake(&job->scheme, g, u, random), unit);
      const int64_t at = run.at[IMPORTANCE] + j * run.step[IMPORTANCE];
      mfqn_tree_add(&tree, importance ? mfqn_mul(error, ((const float *)importance->data)[at]) : error);
    }
    i += run.count;
  }
  return mfqn_tree_sum(&tree);
}

/* The losses of all candidates on a chunk of a box; equal scales have equal losses. */
static void try_chunk(const search_job *job, int64_t index, int64_t first, const uint32_t *tries, float *losses) {
  const mfq_box box = mfq_box_at(&job->boxes, index);
  const mfqn_statistic *statistic = &job->statistics[index];
  const float unit = mfqn_error_unit(mfqn_statistic_value(statistic, &job->scheme));
  const int64_t end = box.count - first < CHUNK ? box.count : first + CHUNK;
  mfqn_group last = {0};
  for (int32_t k = 0; k < job->tried; ++k) {
    const mfqn_group g = mfqn_candidate_group(&job->scheme, statistic, tries[k], job->tensor_scale);
    const int is_equal = k > 0 && g.stored == last.stored && g.zero_point == last.zero_point;
    losses[k] = is_equal ? losses[k - 1] : loss_of(job, &box, first, end, &g, unit);
    last = g;
  }
}

static int is_searched(const search_job *job, int64_t index) {
  return mfqn_is_searched(mfqn_statistic_value(&job->statistics[index], &job->scheme));
}

/* Writes the best scale of all; the sums of a candidate are `chunks` numbers, job->tried apart. */
static void finish_scale(const search_job *job, int64_t index, const uint32_t *tries, const float *losses,
                         int64_t chunks) {
  const mfqn_candidates *c = &job->candidates;
  const mfqn_statistic *statistic = &job->statistics[index];
  mfqn_best best = mfqn_best_start(c->deviations != 0.0f ? *tries : mfqn_statistic_value(statistic, &job->scheme));
  for (int32_t k = 0; k < job->tried && c->deviations == 0.0f && is_searched(job, index); ++k) {
    mfqn_tree tree = {.count = 0};
    for (int64_t i = 0; i < chunks; ++i) mfqn_tree_add(&tree, losses[i * job->tried + k]);
    mfqn_best_offer(&job->scheme, c, c->first + k, tries[k], mfqn_tree_sum(&tree), &best);
  }
  const mfqn_group g = is_searched(job, index)
                           ? mfqn_candidate_group(&job->scheme, statistic, best.candidate, job->tensor_scale)
                           : mfqn_group_make(&job->scheme, statistic, job->tensor_scale);
  mfq_scale_put(job->cast->view, index, g.stored);
  mfq_zero_point_put(job->cast->view, &job->scheme, index, g.zero_point);
}

/* ---- Loops ------------------------------------------------------------------------------------------------------- */

static void whole_scales(void *work, int thread, int64_t first, int64_t end) {
  const search_job *job = work;
  uint32_t tries[MFQ_MOST_CANDIDATES];
  float losses[MFQ_MOST_CANDIDATES];
  (void)thread;
  for (int64_t index = first; index < end; ++index) {
    list_candidates(job, index, tries);
    if (job->candidates.deviations == 0.0f && is_searched(job, index)) try_chunk(job, index, 0, tries, losses);
    finish_scale(job, index, tries, losses, 1);
  }
}

static void list_scales(void *work, int thread, int64_t first, int64_t end) {
  const search_job *job = work;
  (void)thread;
  for (int64_t index = first; index < end; ++index) list_candidates(job, index, job->tries + index * job->tried);
}

/* Chunks are numbered scale by scale, as many for each as the largest has. */
static void try_chunks(void *work, int thread, int64_t first, int64_t end) {
  const search_job *job = work;
  (void)thread;
  for (int64_t item = first; item < end; ++item) {
    const int64_t index = item / job->chunks, at = item % job->chunks * CHUNK;
    if (!is_searched(job, index) || at >= mfq_box_at(&job->boxes, index).count) continue;
    try_chunk(job, index, at, job->tries + index * job->tried, job->losses + item * job->tried);
  }
}

static void finish_scales(const search_job *job) {
  for (int64_t index = 0; index < job->boxes.scales; ++index) {
    const int64_t chunks = (mfq_box_at(&job->boxes, index).count + CHUNK - 1) / CHUNK;
    finish_scale(job, index, job->tries + index * job->tried, job->losses + index * job->chunks * job->tried, chunks);
  }
}

/* ---- The operation ----------------------------------------------------------------------------------------------- */

static search_job job_of(const mfq_context *context, const mfq_cast *cast) {
  search_job job = {.context = context, .cast = cast, .candidates = mfq_candidates_of(cast)};
  if (cast->candidates) job.importance = cast->candidates->importance;
  const mfq_tensor *tensors[MFQ_BOX_TENSORS] = {cast->src, job.importance, NULL};
  mfq_lower(&cast->view->q.scheme, &job.scheme);
  mfq_boxes_init(cast->view, tensors, &job.boxes);
  job.chunks = job.candidates.deviations != 0.0f ? 1 : (job.boxes.largest + CHUNK - 1) / CHUNK;
  job.tried = job.candidates.last - job.candidates.first + 1;
  return job;
}

/* What is kept of all scales, in the order of the memory. */
typedef struct search_room {
  size_t statistics, tries, losses;
} search_room;

static search_room room_of(const search_job *job) {
  const size_t scales = (size_t)job->boxes.scales, each = (size_t)job->tried * sizeof(float);
  search_room room = {mfq_size_times(scales, sizeof(mfqn_statistic)), 0, 0};
  if (job->chunks <= 1) return room;
  room.tries = mfq_size_times(scales, each);
  room.losses = mfq_size_times(room.tries, (size_t)job->chunks);
  return room;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const search_job job = job_of(context, problem);
  const search_room room = room_of(&job);
  if (!mfqn_is_measured(&job.scheme)) return mfq_refuse(why, "the scheme measures no scales");
  choice->workspace_bytes = mfq_size_plus(mfq_size_plus(room.statistics, room.tries), room.losses);
  return mfq_plan_general(context, problem, choice, why);
}

static void search_all(search_job *job) {
  const int threads = (int)job->context->threads;
  if (job->chunks <= 1) {
    mfq_team_run((mfq_loop){threads, job->boxes.scales, 0}, whole_scales, job);
    return;
  }
  mfq_team_run((mfq_loop){threads, job->boxes.scales, 0}, list_scales, job);
  mfq_team_run((mfq_loop){threads, job->boxes.scales * job->chunks, 0}, try_chunks, job);
  finish_scales(job);
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const mfq_qview *view = cast->view;
  (void)state;
  const mfq_status status = mfq_search_check_importance(cast);
  if (status != MFQ_OK) return status;
  search_job job = job_of(context, cast);
  const search_room room = room_of(&job);
  job.statistics = (mfqn_statistic *)(void *)memory;
  job.tries = (uint32_t *)(void *)(memory + room.statistics);
  job.losses = (float *)(void *)(memory + room.statistics + room.tries);
  job.tensor_scale = mfq_measure_ref(view, &job.scheme, cast->src, job.statistics);
  mfq_scales_clear_padding(view);
  if (mfqn_has_tensor_scale(job.scheme.scale)) memcpy(view->q.tensor_scale, &job.tensor_scale, sizeof job.tensor_scale);
  search_all(&job);
  if (view->q.codes && view->sizes.codes_bytes) mfq_codes_ref(context, cast->src, view, &job.scheme);
  return MFQ_OK;
}

static const mfq_way by_elements = {"reference", plan, run, NULL};
const mfq_ways mfq_cpu_searches = {.create = "mfq_search_scales",
                                   .ways = {&mfq_search_panels, &mfq_rotated_copies, &mfq_search_hqo, &by_elements}};
