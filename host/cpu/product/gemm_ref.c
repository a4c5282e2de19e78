/* host/cpu/product/gemm_ref.c: the product that num/dot.h defines: D in tiles, each by one thread; a tile expands its rows and
 * columns to doubles, a stretch of K at a time. */
#include "gemm_ref.h"

#include <mfq/num/dot.h>
#include <mfq/num/pack.h>

#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cast/elements.h"
#include "finish_cpu.h"
#include "gemm_sides.h"
#include "host/cpu/cast/scale_slots.h"

enum { SHARE_PRODUCTS = 1 << 18 }; /* of less a second thread is not worth it */

/* An operand, ready to be read. */
typedef struct operand {
  mfq_gemm_side side;
  mfqn_scheme scheme;  /* for codes */
  int32_t bits;        /* of a stored code */
  double element[256]; /* by code, where there are no zero points */
} operand;

typedef struct ref_product {
  const mfq_gemm_problem *problem;
  operand a, b;
  mfqn_dot_plan plan;
  mfq_cpu_finish finish;
  int64_t row_tiles, col_tiles;
} ref_product;

/* A rectangle of D. */
typedef struct tile_place {
  int64_t batch, row0, rows, col0, cols;
} tile_place;

/* Rows of an operand and a stretch of K, and where their elements go: `row_step`, `depth_step` doubles apart. */
typedef struct stretch {
  int64_t batch, row0, rows, k0, k1;
  int64_t row_step, depth_step;
} stretch;

/* ---- Operands ---------------------------------------------------------------------------------------------------- */

static mfqn_dot_side open_operand(operand *o) {
  if (o->side.kind == MFQ_SIDE_PLAIN) return mfqn_dot_side_plain();
  mfq_lower(&o->side.view.q.scheme, &o->scheme);
  o->bits = mfq_code_bits(&o->side.view.q);
  for (uint32_t code = 0; code < 256; ++code)
    o->element[code] = mfqn_dot_element(&o->scheme, code & ((1u << o->scheme.bits) - 1u), 0);
  return mfqn_dot_side_make(&o->scheme, o->side.group != 0);
}

static void expand_plain(const mfq_matrix *m, const stretch *s, double *out) {
  const int64_t batch = mfq_matrix_offset(m, s->batch);
  for (int64_t r = 0; r < s->rows; ++r)
    for (int64_t k = s->k0; k < s->k1; ++k) {
      const int64_t at = batch + (s->row0 + r) * m->stride[0] + k * m->stride[1];
      out[r * s->row_step + (k - s->k0) * s->depth_step] =
          (double)mfqn_float_of(mfq_element_load(m->data, m->dtype, at));
    }
}

/* Elements k0 ... k1 of a row of codes, which share a zero point. */
static void expand_piece(const operand *o, const stretch *s, int64_t row_bit, int32_t zero_point, double *out) {
  const uint8_t *codes = o->side.view.q.codes;
  const int64_t step = o->side.code_bits[2];
  const double zero = mfqn_dot_element(&o->scheme, mfqn_integer_code(zero_point, &o->scheme.integer), 0);
  for (int64_t k = s->k0; k < s->k1; ++k) {
    const double element = o->element[mfqn_get_bits(codes, row_bit + k * step, o->bits)];
    out[(k - s->k0) * s->depth_step] = o->scheme.has_zero_point ? mfqn_dsub(element, zero) : element;
  }
}

static void expand_codes(const operand *o, const stretch *s, double *out) {
  const mfq_gemm_side *side = &o->side;
  const int64_t batch = side->batches == 1 ? 0 : s->batch, run = side->scale_run[2];
  for (int64_t r = 0; r < s->rows; ++r) {
    const int64_t row = s->row0 + r, row_bit = batch * side->code_bits[0] + row * side->code_bits[1];
    stretch piece = *s;
    for (piece.k0 = s->k0; piece.k0 < s->k1; piece.k0 = piece.k1) {
      piece.k1 = o->scheme.has_zero_point ? mfq_smaller(s->k1, (piece.k0 / run + 1) * run) : s->k1;
      const int64_t index = mfq_gemm_side_scale(side, batch, row, piece.k0);
      const int32_t zero_point = mfq_zero_point_get(&side->view, &o->scheme, index);
      expand_piece(o, &piece, row_bit, zero_point, &out[r * s->row_step + (piece.k0 - s->k0) * s->depth_step]);
    }
  }
}

static void expand(const operand *o, const stretch *s, double *out) {
  if (o->side.kind == MFQ_SIDE_PLAIN)
    expand_plain(&o->side.matrix, s, out);
  else
    expand_codes(o, s, out);
}

/* ---- Tiles ------------------------------------------------------------------------------------------------------- */

static tile_place place_of(const ref_product *p, int64_t index) {
  tile_place t;
  t.col0 = index % p->col_tiles * MFQ_DOT_COLS;
  t.row0 = index / p->col_tiles % p->row_tiles * MFQ_DOT_ROWS;
  t.batch = index / p->col_tiles / p->row_tiles;
  t.rows = mfq_smaller(p->problem->m - t.row0, MFQ_DOT_ROWS);
  t.cols = mfq_smaller(p->problem->n - t.col0, MFQ_DOT_COLS);
  return t;
}

/* Cuts K from `k0` on into runs, as many as the tile holds, with their scales; returns where they end. */
static int64_t cut_runs(const ref_product *p, const tile_place *at, int64_t k0, mfq_dot_tile *tile) {
  const mfq_gemm_side *a = &p->a.side, *b = &p->b.side;
  int64_t k = k0;
  tile->runs = 0;
  while (k < p->problem->k) {
    const int64_t end = mfqn_dot_run_end(k, p->problem->k, a->group, b->group);
    if (end - k0 > MFQ_DOT_DEPTH) break;
    for (int64_t r = 0; r < at->rows; ++r)
      tile->a_scale[tile->runs][r] = mfq_cpu_side_group_scale(a, &p->a.scheme, at->batch, at->row0 + r, k);
    for (int64_t c = 0; c < at->cols; ++c)
      tile->b_scale[tile->runs][c] = mfq_cpu_side_group_scale(b, &p->b.scheme, at->batch, at->col0 + c, k);
    for (int64_t c = at->cols; c < MFQ_DOT_COLS; ++c) tile->b_scale[tile->runs][c] = 0.0f;
    tile->run_end[tile->runs++] = (int32_t)(end - k0);
    k = end;
  }
  return k;
}

static void sum_tile(const ref_product *p, const tile_place *at, mfq_dot_tile *tile) {
  tile->plan = p->plan;
  tile->rows = at->rows;
  memset(tile->sums, 0, sizeof tile->sums);
  if (at->cols < MFQ_DOT_COLS) memset(tile->b, 0, sizeof tile->b);
  for (int64_t k0 = 0, k1; k0 < p->problem->k; k0 = k1) {
    k1 = cut_runs(p, at, k0, tile);
    const stretch rows = {at->batch, at->row0, at->rows, k0, k1, MFQ_DOT_DEPTH, 1};
    const stretch cols = {at->batch, at->col0, at->cols, k0, k1, 1, MFQ_DOT_COLS};
    expand(&p->a, &rows, tile->a[0]);
    expand(&p->b, &cols, tile->b[0]);
    p->finish.kernels->dot(tile);
  }
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

static int64_t tile_count(const mfq_gemm_problem *p) {
  return p->batches * mfq_ceil_div(p->m, MFQ_DOT_ROWS) * mfq_ceil_div(p->n, MFQ_DOT_COLS);
}

static int thread_count(const mfq_context *context, const mfq_gemm_problem *p) {
  const double products = (double)p->batches * (double)p->m * (double)p->n * (double)p->k;
  return products < SHARE_PRODUCTS ? 1 : (int)mfq_smaller(tile_count(p), context->threads);
}

typedef struct tiles_work {
  const ref_product *product;
  uint8_t *memory;
} tiles_work;

static void run_tiles(void *work, int thread, int64_t first, int64_t end) {
  const tiles_work *w = work;
  const size_t bytes = mfq_workspace_round(sizeof(mfq_dot_tile));
  mfq_dot_tile *tile = (mfq_dot_tile *)(void *)(w->memory + bytes * (size_t)thread);
  for (int64_t t = first; t < end; ++t) {
    const tile_place at = place_of(w->product, t);
    sum_tile(w->product, &at, tile);
    const mfq_cpu_finish_part part = {.sums = tile->sums[0],
                                      .row_stride = MFQ_DOT_COLS,
                                      .first_batch = at.batch,
                                      .batches = 1,
                                      .first_row = at.row0,
                                      .rows = at.rows,
                                      .first_col = at.col0,
                                      .cols = at.cols};
    mfq_cpu_finish_rows(&w->product->finish, &part, 0, at.rows);
  }
}

/* The parts of the workspace; what is used at different times lies in the same place. */
typedef struct ref_parts {
  size_t a, b, shared, shared_bytes, end;
  mfq_cpu_finish_plan finish;
} ref_parts;

static ref_parts parts_of(const mfq_context *context, const mfq_gemm_problem *p) {
  const size_t tiles = mfq_workspace_round(sizeof(mfq_dot_tile)) * (size_t)thread_count(context, p);
  const size_t sides = mfq_larger_size(mfq_cpu_side_scratch(context, &p->a), mfq_cpu_side_scratch(context, &p->b));
  ref_parts parts = {.end = 0};
  parts.a = mfq_workspace_take(&parts.end, mfq_gemm_side_bytes(&p->a));
  parts.b = mfq_workspace_take(&parts.end, mfq_gemm_side_bytes(&p->b));
  mfq_cpu_finish_plan_make(context, &p->finish, &parts.end, &parts.finish);
  parts.shared_bytes = mfq_larger_size(tiles, mfq_larger_size(sides, parts.finish.scratch_bytes));
  parts.shared = mfq_workspace_take(&parts.end, parts.shared_bytes);
  return parts;
}

size_t mfq_gemm_ref_bytes(const mfq_context *context, const mfq_gemm_problem *problem) {
  return parts_of(context, problem).end;
}

mfq_status mfq_gemm_ref_run(const mfq_context *context, const mfq_gemm_problem *problem, void *workspace) {
  const ref_parts parts = parts_of(context, problem);
  uint8_t *memory = workspace;
  mfq_context lent = mfq_cpu_lend(context, memory + parts.shared, parts.shared_bytes);
  ref_product p;
  p.problem = problem;
  p.row_tiles = mfq_ceil_div(problem->m, MFQ_DOT_ROWS);
  p.col_tiles = mfq_ceil_div(problem->n, MFQ_DOT_COLS);
  mfq_status status = mfq_cpu_side_ready(&lent, &problem->a, memory + parts.a, &p.a.side);
  if (status == MFQ_OK) status = mfq_cpu_side_ready(&lent, &problem->b, memory + parts.b, &p.b.side);
  if (status != MFQ_OK) return status;
  const mfqn_dot_side a = open_operand(&p.a), b = open_operand(&p.b);
  p.plan = mfqn_dot_plan_make(a, b);
  const mfq_factor_views views = {&p.a.side.view, &p.b.side.view};
  mfq_cpu_finish_open(context, &parts.finish, &problem->finish, views, memory, &p.finish);
  mfq_team_run((mfq_loop){thread_count(context, problem), tile_count(problem), 1}, run_tiles,
               &(tiles_work){&p, memory + parts.shared});
  return mfq_cpu_finish_end(&lent, &p.finish);
}
