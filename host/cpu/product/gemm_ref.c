/* host/cpu/product/gemm_ref.c: the product that num/dot.h defines: D in tiles, each by one thread; a tile expands its rows and
 * columns to doubles, a stretch of K at a time. */
#include "gemm_ref.h"

#include <mfq/num/dot.h>
#include <mfq/num/epilogue.h>
#include <mfq/num/pack.h>

#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cast/elements.h"
#include "gemm_finish.h"
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
  const mfq_kernels *kernels;
  operand a, b;
  mfqn_dot_plan plan;
  mfqn_epilogue epilogue;
  float *values; /* for a quantized D: dense */
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
    p->kernels->dot(tile);
  }
}

static float load(const mfq_matrix *m, int64_t offset) {
  return mfqn_float_of(mfq_element_load(m->data, m->dtype, offset));
}

static float bias_at(const mfq_tensor *bias, int64_t col) {
  return mfqn_float_of(mfq_element_load(bias->data, bias->dtype, col * bias->strides[0]));
}

/* One row of a tile, from sums to D. */
static void finish_row(const ref_product *p, const tile_place *at, int64_t i, const float *sums,
                       const float *col_factor) {
  const mfq_gemm_problem *problem = p->problem;
  const mfqn_epilogue *e = &p->epilogue;
  const mfq_matrix *c = &problem->c, *d = &problem->d;
  const int64_t row = at->row0 + i;
  const int reads_c = e->has_c && e->beta != 0.0f;
  const int64_t c_row = reads_c ? mfq_matrix_offset(c, at->batch) + row * c->stride[0] : 0;
  const int64_t d_row = problem->is_d_quantized ? (at->batch * problem->m + row) * problem->n
                                                : mfq_matrix_offset(d, at->batch) + row * d->stride[0];
  const float row_factor = mfq_cpu_side_factor(&p->a.side, &p->a.scheme, at->batch, row);
  for (int64_t j = 0; j < at->cols; ++j) {
    const int64_t col = at->col0 + j;
    const float addend = reads_c ? load(c, c_row + col * c->stride[1]) : 0.0f;
    const float bias = e->has_bias ? bias_at(&problem->bias, col) : 0.0f;
    const float y = mfqn_finish(e, sums[j], row_factor, col_factor[j], addend, bias);
    if (problem->is_d_quantized)
      p->values[d_row + col] = y;
    else
      mfq_element_store(d->data, d->dtype, d_row + col * d->stride[1], mfqn_bits(y));
  }
}

static void finish_tile(const ref_product *p, const tile_place *at, const mfq_dot_tile *tile) {
  float col_factor[MFQ_DOT_COLS];
  for (int64_t j = 0; j < at->cols; ++j)
    col_factor[j] = mfq_cpu_side_factor(&p->b.side, &p->b.scheme, at->batch, at->col0 + j);
  for (int64_t i = 0; i < at->rows; ++i) finish_row(p, at, i, tile->sums[i], col_factor);
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
    finish_tile(w->product, &at, tile);
  }
}

/* The parts of the workspace; what is used at different times lies in the same place. */
typedef struct ref_parts {
  size_t a, b, values, shared;
} ref_parts;

static ref_parts parts_of(const mfq_context *context, const mfq_gemm_problem *p) {
  const size_t tiles = mfq_workspace_round(sizeof(mfq_dot_tile)) * (size_t)thread_count(context, p);
  const size_t sides = mfq_larger_size(mfq_cpu_side_scratch(context, &p->a), mfq_cpu_side_scratch(context, &p->b));
  ref_parts parts;
  parts.a = mfq_gemm_side_bytes(&p->a);
  parts.b = mfq_gemm_side_bytes(&p->b);
  parts.values = p->is_d_quantized ? mfq_workspace_round((size_t)(p->batches * p->m * p->n) * sizeof(float)) : 0;
  parts.shared = mfq_workspace_round(mfq_larger_size(tiles, mfq_larger_size(sides, mfq_cpu_d_scratch(context, p))));
  return parts;
}

size_t mfq_gemm_ref_bytes(const mfq_context *context, const mfq_gemm_problem *problem) {
  const ref_parts parts = parts_of(context, problem);
  return parts.a + parts.b + parts.values + parts.shared;
}

mfq_status mfq_gemm_ref_run(const mfq_context *context, const mfq_gemm_problem *problem, void *workspace) {
  const ref_parts parts = parts_of(context, problem);
  uint8_t *memory = workspace, *shared = memory + parts.a + parts.b + parts.values;
  mfq_context lent = mfq_cpu_lend(context, shared, parts.shared);
  ref_product p;
  p.problem = problem;
  p.kernels = mfq_cpu_kernels(context) ? mfq_cpu_kernels(context) : &mfq_kernels_baseline;
  p.values = (float *)(void *)(memory + parts.a + parts.b);
  p.row_tiles = mfq_ceil_div(problem->m, MFQ_DOT_ROWS);
  p.col_tiles = mfq_ceil_div(problem->n, MFQ_DOT_COLS);
  p.epilogue = mfq_cpu_epilogue(problem);
  mfq_status status = mfq_cpu_side_ready(&lent, &problem->a, memory, &p.a.side);
  if (status == MFQ_OK) status = mfq_cpu_side_ready(&lent, &problem->b, memory + parts.a, &p.b.side);
  if (status != MFQ_OK) return status;
  const mfqn_dot_side a = open_operand(&p.a), b = open_operand(&p.b);
  p.plan = mfqn_dot_plan_make(a, b);
  mfq_team_run((mfq_loop){thread_count(context, problem), tile_count(problem), 1}, run_tiles,
               &(tiles_work){&p, shared});
  return problem->is_d_quantized ? mfq_finish_quantize(&lent, problem, p.values) : MFQ_OK;
}
