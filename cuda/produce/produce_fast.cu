/* cuda/produce/produce_fast.cu: which steps quantize results where they are made, and how they go over all rows. */
#include "produce_fast.h"

#include "host/core/integers.h"
#include "host/core/scheme/lower.h"

/* ---- Planning ---------------------------------------------------------------------------------------------------- */

typedef struct produce_plan {
  int32_t count;
  made_step step[2];
} produce_plan;
static_assert(sizeof(produce_plan) <= 2 * sizeof(mfq_cast_part), "a plan finds room");

/* Results as a tensor that quantizing is planned for, and nobody reads. */
typedef struct made_call {
  const mfq_context *context;
  const mfq_made *made; /* NULL where mfq_supported asks */
  mfq_tensor results;
  int64_t cols;
} made_call;

static quantize_call call_of(const made_call *c, const mfq_qview *view, int scales_known = 0) {
  return quantize_call{c->context, &c->results, view, scales_known, NULL, 0};
}

/* Whether the statistics of a tensor or of channels are to be measured first. */
static int is_shared_scale(const mfq_qview *view) {
  mfqn_scheme scheme;
  mfq_lower(&view->q.scheme, &scheme);
  return view->q.scheme.granularity < MFQ_GRANULARITY_GROUP && mfqn_is_measured(&scheme) &&
         !mfqn_has_tensor_scale(scheme.scale);
}

static mfq_status plan_rows(const made_call *c, const mfq_qview *view, made_step *step, mfq_line *why) {
  const int is_shared = is_shared_scale(view);
  const quantize_call call = call_of(c, view, is_shared);
  rows_params *p = &step->rows;
  cast_rows rows;
  step->kind = is_shared ? STEP_SHARED : STEP_ROWS;
  if (is_shared && view->sizes.scale_count > SLOTS_MAX) return mfq_refuse(why, "more than %d scales", (int)SLOTS_MAX);
  const mfq_status status = mfq_cuda_rows_plan(&call, &rows, p, why);
  if (status != MFQ_OK) return status;
  if (p->is_ranged) return mfq_refuse(why, "ranges and zero points of groups are still to be measured");
  step->is_flat = p->cols != c->cols;
  if (step->is_flat &&
      (c->cols % CHUNK != 0 || p->cols % CHUNK != 0 || (int64_t)p->row_chunks.value != p->cols / CHUNK))
    return mfq_refuse(why, "rows that share a scale are no multiples of 16 elements");
  return MFQ_OK;
}

/* Bands of tiles are slabs of rows, which losses are summed by. */
static mfq_status check_tiles(const made_call *c, const tile_params *t, mfq_line *why) {
  if (t->cols != c->cols) return mfq_refuse(why, "groups along an axis before the last two");
  if (c->made && c->made->make.op == MFQN_MAKE_LOSS && c->made->rows > SLAB_ROWS && t->rows % TILE_ROWS != 0 &&
      t->rows != c->made->rows)
    return mfq_refuse(why, "matrices of more than %d rows in all, which are no multiples of 128", (int)SLAB_ROWS);
  return MFQ_OK;
}

static mfq_status plan_tiles(const made_call *c, const mfq_qview *col, const mfq_qview *row, made_step *step,
                             mfq_line *why) {
  const quantize_call columns = call_of(c, col);
  tile_params *t = &step->square.tile;
  cast_rows rows;
  step->kind = STEP_TILES;
  step->is_both = row != NULL;
  mfq_status status = mfq_cuda_tiles_plan(&columns, &rows, t, why);
  if (status == MFQ_OK) status = check_tiles(c, t, why);
  if (status != MFQ_OK || !row) return status;
  const quantize_call along = call_of(c, row);
  return mfq_cuda_tiles_plan_rows(&along, t, why);
}

static mfq_status plan_squares(const made_call *c, const mfq_qview *view, const mfq_qview *other, made_step *step,
                               mfq_line *why) {
  const mfq_cast cast = mfq_cast_quantize(&c->results, view, other);
  step->kind = STEP_SQUARES;
  step->is_both = other != NULL;
  const mfq_status status = mfq_cuda_squares_plan(c->context, &cast, &step->square, why);
  return status == MFQ_OK ? check_tiles(c, &step->square.tile, why) : status;
}

/* One direction. */
static mfq_status plan_one(const made_call *c, const mfq_qview *view, made_step *step, mfq_line *why) {
  const mfq_scheme *scheme = &view->q.scheme;
  const int is_last = view->sizes.axis == view->q.rank - 1;
  made_step none = {};
  none.is_col = step->is_col;
  *step = none;
  if (scheme->granularity == MFQ_GRANULARITY_BLOCK) return plan_squares(c, view, NULL, step, why);
  if (scheme->granularity == MFQ_GRANULARITY_GROUP && !is_last) return plan_tiles(c, view, NULL, step, why);
  return plan_rows(c, view, step, why);
}

static mfq_status plan_steps(const made_call *c, const mfq_qview *row, const mfq_qview *col, produce_plan *plan,
                             mfq_line *why) {
  made_step none = {};
  plan->count = 1;
  if (row && col && plan_tiles(c, col, row, &plan->step[0], NULL) == MFQ_OK) return MFQ_OK;
  plan->step[0] = none;
  if (row && col && plan_squares(c, row, col, &plan->step[0], NULL) == MFQ_OK) return MFQ_OK;
  plan->step[0] = none;
  plan->step[0].is_col = row == NULL;
  mfq_status status = plan_one(c, row ? row : col, &plan->step[0], why);
  if (status != MFQ_OK || !row || !col) return status;
  plan->count = 2;
  plan->step[1].is_col = 1;
  return plan_one(c, col, &plan->step[1], why);
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  static const char *const how[] = {"made and quantized 16 a thread", "made and quantized in tiles of 128 rows",
                                    "made and quantized in tiles of 128 rows, by blocks",
                                    "made and measured, made and quantized 16 a thread"};
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_made *made = cast->made;
  const mfq_qview *row = made ? made->row : cast->view, *col = made ? made->col : cast->other;
  if (!row && !col) return mfq_refuse(why, "%s", "");
  const mfq_status status = mfq_choice_state(context, cast->function, sizeof(produce_plan), choice);
  if (status != MFQ_OK) return status;
  made_call c = {context, made, made ? made->result : *cast->src, 0};
  c.results.dtype = MFQ_DTYPE_F32;
  c.results.data = mfq_cuda_state_of(context)->scratch;
  c.cols = c.results.shape[c.results.rank - 1];
  produce_plan *p = (produce_plan *)choice->state;
  const mfq_status planned = plan_steps(&c, row, col, p, why);
  if (planned != MFQ_OK) return planned;
  if (p->count == 1)
    mfq_choice_describe(choice, "%s%s", how[p->step[0].kind], p->step[0].is_both ? ", both directions" : "");
  else
    mfq_choice_describe(choice, "%s, then %s", how[p->step[0].kind], how[p->step[1].kind]);
  return MFQ_OK;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

typedef struct produce_job {
  mfq_context *context;
  const mfq_cast *cast;
  made_slabs *slabs;
  int64_t first, rows; /* whose numbers are there */
} produce_job;

/* Rows of a slab from `first` on: as many as a launch may have, of tiles whole bands. */
static int64_t slab_rows(const produce_job *job, const made_step *step, int64_t first) {
  const mfq_made *made = job->cast->made;
  const int64_t most = mfq_cuda_made_slab(made), left = made->rows - first;
  if (step->kind == STEP_ROWS || step->kind == STEP_SHARED || left <= most) return mfq_smaller(most, left);
  const tile_params *t = &step->square.tile;
  const int64_t band = mfq_cuda_band_at(t, first) + most / TILE_ROWS;
  return band < mfq_cuda_bands(t) ? mfq_cuda_band_row(t, band) - first : left;
}

/* `keeps`: plain results are written too. */
static mfq_status sweep(produce_job *job, const made_step *step, int keeps) {
  static mfq_status (*const launch[])(mfq_context *, const made_launch *, const made_step *) = {
      mfq_cuda_produce_rows, mfq_cuda_produce_tiles, mfq_cuda_produce_squares, mfq_cuda_produce_rows};
  const mfq_made *made = job->cast->made;
  const char *function = job->cast->function;
  mfq_status status = MFQ_OK;
  for (int64_t first = 0, rows; first < made->rows && status == MFQ_OK; first += rows) {
    rows = slab_rows(job, step, first);
    if (first != job->first || rows != job->rows)
      status = mfq_cuda_made_numbers(job->context, function, made, job->slabs, first, rows);
    job->first = first;
    job->rows = rows;
    const made_launch at = {function, &job->slabs->params, keeps && !made->is_in_place};
    if (status == MFQ_OK) status = launch[step->kind](job->context, &at, step);
    if (status == MFQ_OK && keeps && made->is_in_place)
      status = mfq_cuda_made_map(job->context, function, made, &job->slabs->params, NULL);
  }
  return status;
}

/* A step that collects the largest statistic of a direction, and writes nothing. */
typedef struct collecting {
  produce_job *job;
  const made_step *step;
  int32_t is_row; /* of tiles: along rows */
} collecting;

static mfq_status collect(mfq_context *, const mfq_cast *, const void *plan, uint32_t *absmax) {
  const collecting *c = (const collecting *)plan;
  made_step step = *c->step;
  tile_params *t = &step.square.tile;
  step.rows.to.absmax = absmax;
  if (step.kind != STEP_TILES || c->is_row) t->row.absmax = absmax;
  if (step.kind != STEP_TILES || !c->is_row) t->col.absmax = absmax;
  if (step.kind == STEP_TILES && c->is_row) t->has_col = 0;
  if (step.kind == STEP_TILES && !c->is_row) t->has_row = 0;
  return sweep(c->job, &step, 0);
}

static mfq_status prepare(produce_job *job, const made_step *step, const mfq_qview *view, int is_row) {
  const collecting c = {job, step, is_row};
  return mfq_cuda_prepare_scales(job->context, job->cast, view, &c, collect);
}

/* Scales of a tensor or of channels. */
static mfq_status measure(produce_job *job, const made_step *step, const mfq_qview *view) {
  mfqn_scheme scheme;
  statistics from;
  made_step measuring = *step;
  mfq_lower(&view->q.scheme, &scheme);
  const mfq_scale_job scales = {job->context, job->cast->function, view, &scheme};
  mfq_status status = mfq_cuda_slots_reset(&scales, &from);
  measuring.slots = from.slots;
  if (status == MFQ_OK) status = sweep(job, &measuring, 0);
  return status == MFQ_OK ? mfq_cuda_scales_finish(&scales, &from) : status;
}

static mfq_status run_step(produce_job *job, const made_step *step, int is_last) {
  const mfq_made *made = job->cast->made;
  const mfq_qview *view = step->is_col ? made->col : made->row;
  mfq_status status = MFQ_OK;
  if (step->kind == STEP_SHARED) status = measure(job, step, view);
  if (step->kind == STEP_TILES && step->is_both) status = prepare(job, step, made->row, 1);
  if (status == MFQ_OK && step->kind != STEP_SHARED)
    status = prepare(job, step, step->kind == STEP_TILES && step->is_both ? made->col : view, 0);
  if (status == MFQ_OK && step->kind == STEP_SQUARES && step->is_both) {
    const mfq_cast both = mfq_cast_quantize(NULL, made->row, made->col);
    status = mfq_cuda_copy_tensor_scale(job->context, &both);
  }
  return status == MFQ_OK ? sweep(job, step, is_last) : status;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const produce_plan *p = (const produce_plan *)state;
  made_slabs slabs;
  produce_job job = {context, cast, &slabs, -1, 0};
  mfq_status status = mfq_cuda_made_start(context, cast->function, cast->made, &slabs);
  for (int32_t i = 0; i < p->count && status == MFQ_OK; ++i) status = run_step(&job, &p->step[i], i + 1 == p->count);
  return status;
}

const mfq_way mfq_cuda_produce_fast = {"fast", plan, run, NULL};
