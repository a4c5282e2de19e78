/* host/core/problem/gemm_problem.c: from a description to a problem: transposes become strides, equal batches are
 * counted, and every scale that the product could not factor out is refused here. */
#include "gemm_problem.h"

#include <stdio.h>
#include <string.h>

#include "host/core/error.h"
#include "host/core/scheme/format.h"
#include "host/core/scheme/scheme.h"
#include "finish_make.h"

enum { PLAN_ALIGN = 16 };

/* The description under check. */
typedef struct gemm_check {
  mfq_check call;
  const mfq_gemm *gemm;
  mfq_finish_fields finish;
  mfq_gemm_problem *problem;
} gemm_check;

static mfq_where at(const gemm_check *check, const char *argument) {
  return (mfq_where){check->call.function, argument};
}

/* ---- Fields ------------------------------------------------------------------------------------------------------ */

static mfq_finish_fields finish_of(const mfq_gemm *g) {
  return (mfq_finish_fields){"gemm", "d",     "quantized_d", "[N]",   "mfq_gemm_run",    g->d,         g->quantized_d,
                             g->c,   g->bias, g->alpha,      g->beta, g->device_scalars, g->activation};
}

static mfq_status fields_check(const char *function, const mfq_gemm *gemm) {
  mfq_status status = mfq_argument_present((mfq_where){function, "gemm"}, gemm);
  if (status == MFQ_OK)
    status = mfq_argument_struct((mfq_where){function, "gemm"}, gemm, sizeof *gemm, "mfq_gemm_init");
  if (status != MFQ_OK) return status;
  const mfq_range ranges[] = {
      {"transpose_a", gemm->transpose_a, 0, 1},       {"transpose_b", gemm->transpose_b, 0, 1},
      {"device_scalars", gemm->device_scalars, 0, 1}, {"activation", (int)gemm->activation, 0, MFQ_ACTIVATION_SILU},
      {"round_operands", gemm->round_operands, 0, 1}, {"own_workspace", gemm->own_workspace, 0, 1}};
  status = mfq_ranges_check((mfq_where){function, "gemm"}, ranges, sizeof ranges / sizeof ranges[0]);
  if (status != MFQ_OK) return status;
  const mfq_finish_fields finish = finish_of(gemm);
  return mfq_finish_fields_check(function, &finish);
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

static mfq_status rank_check(mfq_where where, int32_t rank) {
  if (rank >= 2) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: rank is %d; a matrix has 2, and batches come before them",
                  where.argument, (int)rank);
}

/* ---- Operands ---------------------------------------------------------------------------------------------------- */

const char *mfq_gemm_refuse_factor(const mfq_scheme *scheme) {
  if (scheme->scale != MFQ_SCALE_UE8M0 || mfq_format_is_float32(&scheme->element)) return NULL;
  return "its elements reach beyond float32, in which they are summed before one scale is applied; use groups along "
         "the axis of the sums, or another bias";
}

/* The view of a plain operand that the run quantizes: K contiguous, rows on 16 bytes where the codes allow it. */
static mfq_status view_to_quantize(mfq_where where, const mfq_scheme *scheme, int is_transposed, mfq_gemm_side *side) {
  const mfq_tensor *tensor = &side->tensor;
  const int is_grouped = scheme->granularity == MFQ_GRANULARITY_GROUP;
  const int32_t axis = is_grouped == is_transposed ? tensor->rank - 2 : tensor->rank - 1;
  mfq_qtensor q = {.rank = tensor->rank, .layout = {.row_align = PLAN_ALIGN}};
  memcpy(q.shape, tensor->shape, sizeof q.shape);
  if (is_grouped) q.layout.codes = MFQ_CODES_GROUP_LAST;
  return mfq_view_to_quantize(where, scheme, axis, &q, &side->view);
}

static mfq_status take_side(gemm_check *check, const char *name, const mfq_operand *operand, int is_transposed,
                            mfq_gemm_side *side) {
  const mfq_where where = at(check, name);
  mfq_status status = mfq_take_kind(where, operand, &side->kind);
  if (status != MFQ_OK) return status;
  side->is_transposed = is_transposed;
  if (operand->quantized != NULL) {
    status = mfq_take_quantized(&check->call, where, operand->quantized, 0, &side->view);
    if (status == MFQ_OK) status = rank_check(where, operand->quantized->rank);
  } else {
    status = mfq_take_tensor(&check->call, where, operand->plain, 0, &side->tensor);
    if (status == MFQ_OK) status = rank_check(where, operand->plain->rank);
    if (status == MFQ_OK) mfq_matrix_make(&side->tensor, is_transposed, &side->matrix);
    if (status == MFQ_OK && side->kind == MFQ_SIDE_TO_QUANTIZE)
      status = view_to_quantize(where, operand->quantize_to, is_transposed, side);
  }
  if (status != MFQ_OK) return status;
  const int32_t rank = side->kind == MFQ_SIDE_PLAIN ? side->tensor.rank : side->view.q.rank;
  const int64_t *shape = side->kind == MFQ_SIDE_PLAIN ? side->tensor.shape : side->view.q.shape;
  side->rows = shape[is_transposed ? rank - 1 : rank - 2];
  side->depth = shape[is_transposed ? rank - 2 : rank - 1];
  side->batches = mfq_shape_count(rank - 2, shape);
  if (side->kind == MFQ_SIDE_PLAIN) return MFQ_OK;
  const char *why = mfq_gemm_side_index(side, is_transposed);
  if (why == NULL && side->group == 0) why = mfq_gemm_refuse_factor(&side->view.q.scheme);
  if (why == NULL && side->view.q.layout.codes == MFQ_CODES_TRANSPOSED) {
    mfq_qview_exchange(&side->view); /* backends see one order less */
    side->is_transposed = !is_transposed;
  }
  if (why == NULL) return MFQ_OK;
  char hint[320];
  (void)snprintf(hint, sizeof hint, "K is axis %d of %s here (see transpose_%s)",
                 (int)(is_transposed ? rank - 2 : rank - 1), mfq_shape_write(rank, shape).text, name);
  return mfq_fail_scheme(where, &side->view.q.scheme, why, hint);
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

/* A shape in question, with the name of whose it is. */
typedef struct named_shape {
  const char *name;
  int32_t rank;
  const int64_t *shape;
} named_shape;

static named_shape shape_of(const char *name, const mfq_operand *operand) {
  return operand->quantized != NULL ? (named_shape){name, operand->quantized->rank, operand->quantized->shape}
                                    : (named_shape){name, operand->plain->rank, operand->plain->shape};
}

static int batches_equal(named_shape a, named_shape b) {
  return a.rank == b.rank && memcmp(a.shape, b.shape, (size_t)(a.rank - 2) * sizeof a.shape[0]) == 0;
}

/* Checks that A and B chain, and writes the shape that D must have. */
static mfq_status chain(const gemm_check *check, int64_t *shape, int32_t *rank) {
  mfq_gemm_problem *p = check->problem;
  const named_shape a = shape_of("a", &check->gemm->a), b = shape_of("b", &check->gemm->b);
  if (p->a.depth != p->b.depth) {
    return mfq_fail(MFQ_ERROR_SHAPE, check->call.function,
                    "a of shape %s%s has K = %lld, but b of shape %s%s has K = %lld; they must be equal",
                    mfq_shape_write(a.rank, a.shape).text, check->gemm->transpose_a ? ", transposed," : "",
                    (long long)p->a.depth, mfq_shape_write(b.rank, b.shape).text,
                    check->gemm->transpose_b ? ", transposed," : "", (long long)p->b.depth);
  }
  if (a.rank > 2 && b.rank > 2 && !batches_equal(a, b)) {
    return mfq_fail(MFQ_ERROR_SHAPE, check->call.function,
                    "a of shape %s and b of shape %s have different batches; the axes before the last two must be "
                    "equal, or missing in one of them",
                    mfq_shape_write(a.rank, a.shape).text, mfq_shape_write(b.rank, b.shape).text);
  }
  const named_shape batched = a.rank > 2 ? a : b;
  *rank = batched.rank;
  memcpy(shape, batched.shape, (size_t)batched.rank * sizeof shape[0]);
  shape[batched.rank - 2] = p->a.rows;
  shape[batched.rank - 1] = p->b.rows;
  p->batches = mfq_shape_count(batched.rank - 2, shape);
  p->m = p->a.rows;
  p->n = p->b.rows;
  p->k = p->a.depth;
  return mfq_shape_check(at(check, "the product"), *rank, shape, (int64_t)sizeof(float));
}

/* ---- Rotations --------------------------------------------------------------------------------------------------- */

static void say_rotation(const char *name, const mfq_gemm_side *side, mfq_sentence *sentence) {
  const int is_rotated = side->kind != MFQ_SIDE_PLAIN && side->view.q.scheme.rotation != 0;
  mfq_sentence_add(sentence, "%s has %s", name, is_rotated ? "" : "no rotation");
  if (is_rotated) mfq_rotation_write(&side->view.q.scheme, sentence);
}

static int rotations_equal(const mfq_gemm_side *a, const mfq_gemm_side *b) {
  static const mfq_scheme none = {.rotation = 0};
  const mfq_scheme *x = a->kind == MFQ_SIDE_PLAIN ? &none : &a->view.q.scheme;
  const mfq_scheme *y = b->kind == MFQ_SIDE_PLAIN ? &none : &b->view.q.scheme;
  return x->rotation == y->rotation && x->signs == y->signs && x->sign_seed == y->sign_seed;
}

/* Rotations run along K, as groups do. Equal ones cancel in every sum: codes are multiplied as they are. */
static mfq_status rotations_check(const gemm_check *check) {
  const mfq_gemm_side *a = &check->problem->a, *b = &check->problem->b;
  if (rotations_equal(a, b)) return MFQ_OK;
  mfq_sentence sentence = {{0}};
  say_rotation("a", a, &sentence);
  mfq_sentence_add(&sentence, ", but ");
  say_rotation("b", b, &sentence);
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, check->call.function,
                  "%s; only equal rotations, with equal signs, cancel in the sums: give both operands schemes with the "
                  "same rotation (a plain one by quantize_to), or dequantize the rotated one before",
                  sentence.text);
}

static mfq_status shape_required(mfq_where where, int32_t rank, const int64_t *shape, int32_t wanted_rank,
                                 const int64_t *wanted) {
  if (rank == wanted_rank && memcmp(shape, wanted, (size_t)rank * sizeof shape[0]) == 0) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: shape is %s, but the product of a and b has %s", where.argument,
                  mfq_shape_write(rank, shape).text, mfq_shape_write(wanted_rank, wanted).text);
}

/* ---- The finish -------------------------------------------------------------------------------------------------- */

static mfq_status take_d(gemm_check *check, int32_t rank, const int64_t *shape, mfq_tensor *d) {
  mfq_finish *finish = &check->problem->finish;
  mfq_status status = mfq_finish_take_d(&check->call, &check->finish, finish, d);
  const mfq_where where = at(check, finish->is_d_quantized ? check->finish.d_qname : check->finish.d_name);
  if (status == MFQ_OK && finish->is_d_quantized) status = rank_check(where, d->rank);
  if (status == MFQ_OK) status = shape_required(where, d->rank, d->shape, rank, shape);
  if (status != MFQ_OK) return status;
  int64_t step = 1;
  for (int32_t i = rank - 1; i >= 0; --i) {
    finish->value_strides[i] = step;
    step *= shape[i];
  }
  if (!finish->is_d_quantized) mfq_matrix_make(d, 0, &finish->d);
  return MFQ_OK;
}

static mfq_status take_c(gemm_check *check, const mfq_tensor *d) {
  mfq_finish *finish = &check->problem->finish;
  mfq_tensor c;
  mfq_status status = mfq_finish_take_c(&check->call, &check->finish, d, finish, &c);
  if (status == MFQ_OK) status = shape_required(at(check, "c"), c.rank, c.shape, d->rank, d->shape);
  if (status == MFQ_OK) mfq_matrix_make(&c, 0, &finish->c);
  return status;
}

/* ---- Batches that are rows ---------------------------------------------------------------------------------------- */

static int rows_continue(const mfq_matrix *x) {
  return x->batch_rank == 0 || (x->batch_rank == 1 && (x->rows == 1 || x->batch_stride[0] == x->rows * x->stride[0]));
}

static int side_rows_continue(const mfq_gemm_side *side) {
  if (side->kind != MFQ_SIDE_QUANTIZED && !rows_continue(&side->matrix)) return 0;
  if (side->kind == MFQ_SIDE_PLAIN) return 1;
  return side->code_bits[0] == side->rows * side->code_bits[1] && side->rows % side->scale_run[1] == 0 &&
         side->scale_stride[0] == side->rows / side->scale_run[1] * side->scale_stride[1];
}

static void merge_matrix(mfq_matrix *x, int64_t rows) {
  if (x->rows == 1 && x->batch_rank == 1) x->stride[0] = x->batch_stride[0];
  x->rows = rows;
  x->batch_rank = 0;
}

/* A batched A with one B for all is one product with more rows: what a linear layer sees. */
static void merge_batches(gemm_check *check) {
  mfq_gemm_problem *p = check->problem;
  if (p->batches <= 1 || p->m == 0 || p->a.batches != p->batches || p->b.batches != 1 || !side_rows_continue(&p->a))
    return;
  mfq_finish *f = &p->finish;
  if ((!f->is_d_quantized && !rows_continue(&f->d)) || (f->has_c && !rows_continue(&f->c))) return;
  const int64_t rows = p->batches * p->m;
  if (p->a.kind != MFQ_SIDE_QUANTIZED) merge_matrix(&p->a.matrix, rows);
  if (!f->is_d_quantized) merge_matrix(&f->d, rows);
  if (f->has_c) merge_matrix(&f->c, rows);
  p->a.rows = p->m = rows;
  p->a.batches = p->batches = 1;
}

mfq_status mfq_gemm_problem_make(const char *function, mfq_context *context, const mfq_gemm *gemm,
                                 const mfq_workspace *workspace, mfq_gemm_problem *problem) {
  memset(problem, 0, sizeof *problem);
  mfq_status status = fields_check(function, gemm);
  if (status != MFQ_OK) return status;
  gemm_check check = {.call = {.function = function, .is_run = workspace != NULL}, .gemm = gemm, .problem = problem};
  check.finish = finish_of(gemm);
  mfq_tensor d;
  int64_t shape[MFQ_MAX_RANK];
  int32_t rank = 0;
  status = take_side(&check, "a", &gemm->a, gemm->transpose_a, &problem->a);
  if (status == MFQ_OK) status = take_side(&check, "b", &gemm->b, !gemm->transpose_b, &problem->b);
  if (status == MFQ_OK) status = chain(&check, shape, &rank);
  if (status == MFQ_OK) status = rotations_check(&check);
  if (status == MFQ_OK) status = take_d(&check, rank, shape, &d);
  if (status == MFQ_OK && gemm->c != NULL) status = take_c(&check, &d);
  if (status == MFQ_OK) status = mfq_finish_take_rest(&check.call, &check.finish, problem->n, &problem->finish);
  if (status == MFQ_OK && workspace != NULL) status = mfq_check_memory(context, &check.call, workspace);
  if (status != MFQ_OK) return status;
  problem->round_operands = gemm->round_operands;
  merge_batches(&check);
  mfq_gemm_finish_fit(problem);
  return MFQ_OK;
}
