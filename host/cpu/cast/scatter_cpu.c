/* host/cpu/cast/scatter_cpu.c: sums of rows into the rows of a table that indices name. Positions are sorted by index, those
 * of one index in their order; then each row of the table is one thread's. */
#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "host/cpu/cpu_state.h"
#include "elements.h"
#include "indices.h"

enum { PIECE = 1024, ROWS_AT_A_TIME = 16 }; /* columns that are summed at once; items that a thread takes */

typedef struct scatter_work {
  const mfq_cast *cast;
  const mfq_kernels *kernels; /* NULL: element by element */
  int64_t *ends;              /* of each row of the table: where its positions end in `order` */
  int64_t *order;
  int64_t pieces; /* of a row */
} scatter_work;

/* ---- Positions by index ------------------------------------------------------------------------------------------ */

static void sort_positions(const scatter_work *w) {
  const mfq_indexing *x = w->cast->indexing;
  int64_t from = 0;
  for (int64_t row = 0; row < x->rows; ++row) w->ends[row] = 0;
  for (int64_t i = 0; i < x->indices.count; ++i) w->ends[mfq_index_at(&x->indices, i)] += 1;
  if (x->padding >= 0) w->ends[x->padding] = 0;
  for (int64_t row = 0; row < x->rows; ++row) {
    const int64_t count = w->ends[row];
    w->ends[row] = from;
    from += count;
  }
  for (int64_t i = 0; i < x->indices.count; ++i) {
    const int64_t index = mfq_index_at(&x->indices, i);
    if (index != x->padding) w->order[w->ends[index]++] = i;
  }
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

/* Some columns of a row of a tensor. */
typedef struct row_piece {
  const mfq_tensor *tensor;
  int64_t row, col, n;
} row_piece;

static uint8_t *place_of(row_piece p) {
  const int64_t offset = p.row * p.tensor->strides[0] + p.col * p.tensor->strides[1];
  return (uint8_t *)p.tensor->data + offset * (int64_t)mfq_dtype_bytes(p.tensor->dtype);
}

static void load_piece(const mfq_kernels *kernels, row_piece p, uint32_t *x) {
  const uint8_t *from = place_of(p);
  if (kernels)
    kernels->load(x, from, p.tensor->dtype, p.n);
  else
    for (int64_t j = 0; j < p.n; ++j) x[j] = mfq_element_load(from, p.tensor->dtype, j * p.tensor->strides[1]);
}

static void store_piece(const mfq_kernels *kernels, row_piece p, const uint32_t *x) {
  uint8_t *to = place_of(p);
  if (kernels)
    kernels->store(to, p.tensor->dtype, x, p.n);
  else
    for (int64_t j = 0; j < p.n; ++j) mfq_element_store(to, p.tensor->dtype, j * p.tensor->strides[1], x[j]);
}

static void add_piece(const mfq_kernels *kernels, float *sums, const float *x, int64_t n) {
  if (kernels)
    kernels->add(sums, x, n);
  else
    for (int64_t j = 0; j < n; ++j) sums[j] = mfqn_add(sums[j], x[j]);
}

/* The bits of 0 are zeros in every dtype. */
static void clear_piece(const mfq_kernels *kernels, row_piece p) {
  const uint32_t zeros[PIECE] = {0};
  if (kernels)
    memset(place_of(p), 0, (size_t)p.n * mfq_dtype_bytes(p.tensor->dtype));
  else
    store_piece(NULL, p, zeros);
}

static void sum_piece(const scatter_work *w, row_piece to, int64_t first, int64_t end) {
  union {
    uint32_t bits[PIECE];
    float number[PIECE];
  } sums, x;
  if (w->cast->indexing->accumulate)
    load_piece(w->kernels, to, sums.bits);
  else
    memset(sums.bits, 0, sizeof sums.bits);
  for (int64_t k = first; k < end; ++k) {
    const row_piece from = {w->cast->src, w->order[k], to.col, to.n};
    load_piece(w->kernels, from, x.bits);
    add_piece(w->kernels, sums.number, x.number, to.n);
  }
  for (int64_t j = 0; j < to.n; ++j) sums.bits[j] = mfqn_one_nan(sums.number[j]);
  store_piece(w->kernels, to, sums.bits);
}

static void sum_rows(void *work, int thread, int64_t first, int64_t end) {
  const scatter_work *w = work;
  const mfq_tensor *table = w->cast->dst;
  (void)thread;
  for (int64_t item = first; item < end; ++item) {
    const int64_t row = item / w->pieces, col = item % w->pieces * PIECE;
    const int64_t from = row > 0 ? w->ends[row - 1] : 0, to = w->ends[row];
    const row_piece piece = {table, row, col, mfq_smaller(PIECE, table->shape[1] - col)};
    if (from < to)
      sum_piece(w, piece, from, to);
    else if (!w->cast->indexing->accumulate)
      clear_piece(w->kernels, piece);
  }
}

/* ---- The ways ---------------------------------------------------------------------------------------------------- */

static void plan_memory(const mfq_cast *cast, mfq_choice *choice) {
  const int64_t count = cast->indexing ? cast->indexing->indices.count : 0;
  choice->workspace_bytes = mfq_size_times(mfq_size_plus((size_t)count, (size_t)cast->dst->shape[0]), sizeof(int64_t));
}

static mfq_status plan_rows(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const mfq_kernels *kernels = mfq_cpu_kernels(context);
  if (!kernels) return mfq_refuse(why, "the context asks for the reference path");
  if (!mfq_has_dense_rows(cast->src) || !mfq_has_dense_rows(cast->dst))
    return mfq_refuse(why, "rows are not contiguous");
  plan_memory(cast, choice);
  mfq_choice_describe(choice, "vector loops (%s)", kernels->isa);
  return MFQ_OK;
}

static mfq_status plan_elements(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  plan_memory(problem, choice);
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status scatter(mfq_context *context, const mfq_cast *cast, const mfq_kernels *kernels, uint8_t *memory) {
  const mfq_status status = mfq_indices_check(cast);
  const int64_t rows = cast->dst->shape[0], cols = cast->dst->shape[1];
  if (status != MFQ_OK || rows * cols == 0) return status;
  int64_t *ends = (int64_t *)(void *)memory;
  scatter_work w = {cast, kernels, ends, ends + rows, mfq_ceil_div(cols, PIECE)};
  sort_positions(&w);
  const int64_t elements = (rows + cast->src->shape[0]) * cols;
  mfq_team_run((mfq_loop){mfq_row_threads(context, elements), rows * w.pieces, ROWS_AT_A_TIME}, sum_rows, &w);
  return MFQ_OK;
}

static mfq_status run_rows(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  (void)state;
  return scatter(context, problem, mfq_cpu_kernels(context), memory);
}

static mfq_status run_elements(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  (void)state;
  return scatter(context, problem, NULL, memory);
}

static const mfq_way by_rows = {"rows", plan_rows, run_rows, NULL},
                     by_elements = {"reference", plan_elements, run_elements, NULL};

const mfq_ways mfq_cpu_scatters = {.create = "mfq_scatter_add", .ways = {&by_rows, &by_elements}};
