/* host/cpu/cast/observe_lanes.c: ranks and sums of many scales at once, a vector lane each, where chunk by chunk each scale
 * would be on its own: runs of a few elements that follow each other, such as groups along rows, and columns, whose scales
 * stand next to each other, such as channels along the last axis. */
#include <string.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "lane_kernels.h"
#include "lane_tree.h"
#include "observe_job.h"

enum {
  LANES = 512,        /* at a time, at most */
  RANKED_RUN = 256,   /* the longest run that is ranked here */
  RANK_ROOM = 1 << 15 /* keys at a time, where that is enough for MFQ_RANK_LANES columns */
};
static const int64_t longest_column = 1 << 16;

typedef struct lane_job {
  mfq_observe_job of;
  const mfq_kernels *kernels;
  const mfq_lane_loops *loops;
  int is_run;
  int64_t line;  /* scales that follow each other so; */
  int64_t whole; /* the first so many have equal numbers of elements, and the others, of runs, are one each */
  int64_t most;  /* scales at a time */
  int64_t pieces;
  size_t keys; /* for each thread */
  uint8_t *memory;
} lane_job;

typedef struct lane_scratch {
  uint32_t x[MFQ_CHUNK];
  float terms[MFQ_CHUNK];
  float sums[LANES], means[LANES];
  float partial[64 * LANES];
  uint32_t low[LANES], high[LANES], largest[LANES];
  int32_t keys[];
} lane_scratch;

/* Scales first ... first + lanes - 1, and the elements of the first one. */
typedef struct lane_piece {
  int64_t first, lanes, n;
  mfq_observed_scale elements;
} lane_piece;

static const mfq_lane_loops *loops_of(const mfq_kernels *kernels) {
#ifdef MFQ_HAVE_ISA_AVX512
  if (kernels == &mfq_kernels_avx512) return &mfq_lane_loops_avx512;
#endif
#ifdef MFQ_HAVE_ISA_AVX2
  if (kernels == &mfq_kernels_avx2) return &mfq_lane_loops_avx2;
#endif
  (void)kernels;
  return &mfq_lane_loops_baseline;
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

/* `n` neighbours from `offset` on, at most MFQ_CHUNK. */
static const uint32_t *load(const lane_job *job, int64_t offset, int64_t n, lane_scratch *scratch) {
  const mfq_tensor *tensor = job->of.cast->src;
  const uint8_t *from = (const uint8_t *)tensor->data + offset * (int64_t)mfq_dtype_bytes(tensor->dtype);
  if (tensor->dtype == MFQ_DTYPE_F32) return (const uint32_t *)(const void *)from;
  job->kernels->load(scratch->x, from, tensor->dtype, n);
  return scratch->x;
}

/* Where the rows of a piece's columns stand, one after the other. */
typedef struct row_walk {
  const mfq_observed_box *box;
  int64_t at[MFQ_MAX_RANK], offset;
} row_walk;

static row_walk walk_of(const lane_piece *piece) {
  return (row_walk){.box = &piece->elements.box[0], .offset = piece->elements.box[0].offset};
}

static void next_row(row_walk *w) {
  for (int32_t k = 0; k < w->box->rank; ++k) {
    w->offset += w->box->stride[k];
    if (++w->at[k] < w->box->size[k]) return;
    w->offset -= w->box->size[k] * w->box->stride[k];
    w->at[k] = 0;
  }
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

static void sum_runs(const lane_job *job, const lane_piece *piece, int32_t kind, lane_scratch *scratch) {
  const int64_t n = piece->lanes * piece->n;
  const uint32_t *x = load(job, piece->elements.box[0].offset, n, scratch);
  job->loops->terms(x, (mfq_stretch){n, piece->n, 0}, kind, scratch->means, scratch->terms);
  job->kernels->trees(scratch->terms, n, piece->n, scratch->sums);
}

static void sum_columns(const lane_job *job, const lane_piece *piece, int32_t kind, lane_scratch *scratch) {
  mfq_lane_tree tree = {0, scratch->partial};
  row_walk walk = walk_of(piece);
  for (int64_t j = 0; j < piece->n; ++j, next_row(&walk)) {
    const uint32_t *x = load(job, walk.offset, piece->lanes, scratch);
    job->loops->terms(x, (mfq_stretch){piece->lanes, 0, 0}, kind, scratch->means, scratch->terms);
    mfq_lane_tree_add(job->kernels, &tree, scratch->terms, piece->lanes);
  }
  mfq_lane_tree_sum(job->kernels, &tree, scratch->sums, piece->lanes);
}

static void sum(const lane_job *job, const lane_piece *piece, int32_t kind, lane_scratch *scratch) {
  if (job->is_run)
    sum_runs(job, piece, kind, scratch);
  else
    sum_columns(job, piece, kind, scratch);
}

static void put_sums(const lane_job *job, const lane_piece *piece, lane_scratch *scratch) {
  const mfqn_observer *o = &job->of.observer;
  sum(job, piece, mfqn_observed_term_kind(o->observed), scratch);
  for (int64_t i = 0; i < piece->lanes; ++i)
    scratch->means[i] = mfqn_observed_sum(o->observed, scratch->sums[i], piece->n);
  if (o->observed == MFQN_OBSERVED_SIGMA) {
    sum(job, piece, MFQN_TERM_DEVIATION, scratch);
    for (int64_t i = 0; i < piece->lanes; ++i)
      scratch->means[i] = mfqn_observed_sigma(o->factor, scratch->means[i], scratch->sums[i], piece->n);
  }
  for (int64_t i = 0; i < piece->lanes; ++i)
    mfq_observe_put(&job->of, piece->first + i, mfqn_one_nan(scratch->means[i]));
}

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

/* Lowest bits that are equal in all numbers of a dtype of one sign. */
static int32_t spare_bits(mfq_dtype dtype, int is_signed) {
  const int32_t bits = dtype == MFQ_DTYPE_BF16 ? 16 : dtype == MFQ_DTYPE_F16 ? 13 : 0;
  return is_signed ? bits : bits + 1;
}

static void make_keys(const lane_job *job, const lane_piece *piece, const mfq_lane_rank *rank, lane_scratch *scratch) {
  if (job->is_run) {
    const uint32_t *x = load(job, piece->elements.box[0].offset, piece->lanes * piece->n, scratch);
    job->loops->keys_of_runs(x, piece->lanes, rank, scratch->keys);
    return;
  }
  row_walk walk = walk_of(piece);
  for (int64_t j = 0; j < piece->n; ++j, next_row(&walk))
    job->loops->keys_of_row(load(job, walk.offset, piece->lanes, scratch), piece->lanes, j, rank, scratch->keys);
}

static void find(const lane_job *job, const lane_piece *piece, const mfq_lane_rank *rank, lane_scratch *scratch,
                 uint32_t *found) {
  for (int64_t at = 0; at < piece->lanes; at += MFQ_RANK_LANES)
    job->loops->rank(scratch->keys + at * piece->n, rank, found + at, scratch->largest + at);
}

static void put_ranks(const lane_job *job, const lane_piece *piece, lane_scratch *scratch) {
  const mfqn_observer *o = &job->of.observer;
  const mfqn_ranks ranks = mfqn_observed_ranks(o, piece->n);
  const int is_signed = o->observed != MFQN_OBSERVED_PERCENTILE;
  mfq_lane_rank rank = {piece->n, 0, spare_bits(job->of.cast->src->dtype, is_signed), is_signed};
  make_keys(job, piece, &rank, scratch);
  rank.rank = ranks.low;
  if (ranks.low > 0) find(job, piece, &rank, scratch, scratch->low);
  rank.rank = ranks.high;
  if (ranks.high > 0) find(job, piece, &rank, scratch, scratch->high);
  for (int64_t i = 0; i < piece->lanes; ++i) {
    const uint32_t low = ranks.low > 0 ? scratch->low[i] : 0, high = ranks.high > 0 ? scratch->high[i] : 0;
    const uint32_t value = mfqn_observed_ranked(o, &job->of.scheme, low, high);
    mfq_observe_put(&job->of, piece->first + i, scratch->largest[i] > MFQN_INF ? MFQN_NAN : value);
  }
}

/* ---- Pieces ------------------------------------------------------------------------------------------------------ */

/* Pieces of a line: whole ones, and one of each scale that is cut short. */
static int64_t pieces_of_line(const lane_job *job) {
  return mfq_ceil_div(job->whole, job->most) + job->line - job->whole;
}

static lane_piece piece_at(const lane_job *job, int64_t index) {
  const int64_t each = pieces_of_line(job), line = index / each, k = index % each;
  const int64_t full = mfq_ceil_div(job->whole, job->most), at = k < full ? k * job->most : job->whole + k - full;
  lane_piece piece = {.first = line * job->line + at, .lanes = 1};
  if (k < full) piece.lanes = mfq_smaller(job->most, job->whole - at);
  mfq_observed_scale_at(&job->of, piece.first, &piece.elements);
  piece.n = piece.elements.elements;
  return piece;
}

static void observe_pieces(void *work, int thread, int64_t first, int64_t end) {
  const lane_job *job = work;
  lane_scratch *scratch =
      (lane_scratch *)(void *)(job->memory + (size_t)thread * (sizeof *scratch + job->keys * sizeof(int32_t)));
  for (int64_t i = first; i < end; ++i) {
    const lane_piece piece = piece_at(job, i);
    if (mfqn_observes_ranks(job->of.observer.observed))
      put_ranks(job, &piece, scratch);
    else
      put_sums(job, &piece, scratch);
  }
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

/* The axis whose scales stand next to each other; -1 where there is none. */
static int32_t inner_axis(const mfq_boxes *b) {
  for (int32_t d = b->rank; d-- > 0;)
    if (b->axes[d].stride == 1 && b->groups[d] > 1) return d;
  return -1;
}

/* Scales that go on behind an axis as they do along it, by so many elements each. */
static void lengthen(const mfq_boxes *b, int32_t axis, int64_t step, lane_job *job) {
  for (int32_t d = axis; d-- > 0 && job->whole == job->line;) {
    if (b->shape[d] == 1) continue;
    if (b->axes[d].stride != job->line || b->axes[d].run != 1 || b->stride[0][d] != job->line * step) return;
    job->line = job->whole = job->line * b->shape[d];
  }
}

/* Finds out how the scales lie; returns 0 where neither way. */
static int find_lanes(lane_job *job) {
  const mfq_boxes *b = &job->of.boxes[0];
  const int32_t axis = inner_axis(b);
  if (axis < 0) return 0;
  const int64_t run = b->axes[axis].run, step = run * b->stride[0][axis];
  mfq_observed_scale first;
  mfq_observed_scale_at(&job->of, 0, &first);
  const mfq_observed_box *box = &first.box[0];
  job->line = job->whole = b->groups[axis];
  job->is_run = box->rank <= 1 && (box->rank == 0 || box->stride[0] == 1) && step == box->count;
  if (job->is_run)
    job->whole = b->shape[axis] / run;
  else if (run != 1 || step != 1)
    return 0;
  lengthen(b, axis, step, job);
  return 1;
}

/* How many scales at a time, and the keys that have room. */
static int cut(lane_job *job, int threads) {
  enum { PARTS = 4, FEW_LANES = 64 };
  const int ranks = mfqn_observes_ranks(job->of.observer.observed);
  const int64_t n = job->of.boxes[0].largest, column = MFQ_RANK_LANES * n;
  if (n == 0 || n > (job->is_run ? ranks ? RANKED_RUN : MFQ_CHUNK : longest_column)) return 0;
  job->most = mfq_smaller(LANES, job->is_run ? MFQ_CHUNK / n : LANES);
  if (ranks && !job->is_run) job->most = mfq_smaller(job->most, mfq_larger(RANK_ROOM / column, 1) * MFQ_RANK_LANES);
  const int64_t fair = mfq_ceil_div(job->of.scales, (int64_t)threads * PARTS * FEW_LANES) * FEW_LANES;
  job->most = mfq_smaller(mfq_smaller(job->most, fair), job->line);
  job->keys = ranks ? (size_t)(mfq_ceil_div(job->most, MFQ_RANK_LANES) * column) : 0;
  job->pieces = job->of.scales / job->line * pieces_of_line(job);
  return 1;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  enum { LONG = 1 << 20 };
  const mfq_cast *cast = problem;
  const mfq_observing *o = cast->observing;
  lane_job job = {.pieces = 0};
  if (!mfq_cpu_kernels(context)) return mfq_refuse(why, "the context asks for the reference path");
  if (!o || mfqn_observes_extremes((int32_t)o->observer->observed) ||
      mfqn_observes_rows((int32_t)o->observer->observed))
    return mfq_refuse(why, "the statistic is neither of ranks nor of sums of elements");
  if (o->count > 1) return mfq_refuse(why, "several tensors share their scales");
  mfq_observe_begin(cast, &job.of);
  if (job.of.scales == 0 || !find_lanes(&job)) return mfq_refuse(why, "scales do not follow each other");
  if (!cut(&job, (int)context->threads)) return mfq_refuse(why, "scales have too many elements");
  if (job.pieces < context->threads && mfq_shape_count(cast->src->rank, cast->src->shape) > LONG)
    return mfq_refuse(why, "scales are too few for all threads");
  choice->workspace_bytes = mfq_size_times((size_t)context->threads, sizeof(lane_scratch) + job.keys * sizeof(int32_t));
  mfq_choice_describe(choice, "a lane a scale (%s)", mfq_cpu_kernels(context)->isa);
  return MFQ_OK;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  lane_job job = {.kernels = mfq_cpu_kernels(context), .memory = memory};
  (void)state;
  job.loops = loops_of(job.kernels);
  mfq_observe_begin(problem, &job.of);
  if (!find_lanes(&job) || !cut(&job, (int)context->threads)) return MFQ_ERROR_INTERNAL; /* the plan has done so */
  mfq_team_run((mfq_loop){(int)context->threads, job.pieces, 0}, observe_pieces, &job);
  mfq_observe_count_nans(&job.of, context);
  return MFQ_OK;
}

const mfq_way mfq_observe_lanes = {"lanes", plan, run, NULL};
