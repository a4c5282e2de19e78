#include "gemm_problem.h"

#include <string.h>

#include "arguments.h"
#include "context_state.h"
#include "error.h"
#include "host_memory.h"
#include "scheme.h"

/* What stands for memory that planning does not know yet: aligned, and far from both ends of the address space. */
#define UNKNOWN_MEMORY ((void *)((uintptr_t)1 << 46))

enum { PLAN_ALIGN = 16 };

/* The description under check. */
typedef struct gemm_check {
  const char *function;
  const mfq_gemm *gemm;
  int is_run;
  mfq_parts parts;
  mfq_gemm_problem *problem;
  mfq_tensor d, c; /* as given, of rank 2 and more */
} gemm_check;

static mfq_where at(const gemm_check *check, const char *argument) { return (mfq_where){check->function, argument}; }

/* ---- Fields ------------------------------------------------------------------------------------------------------ */

static mfq_status fields_check(const char *function, const mfq_gemm *gemm) {
  mfq_status status = mfq_argument_present((mfq_where){function, "gemm"}, gemm);
  if (status == MFQ_OK)
    status = mfq_argument_struct((mfq_where){function, "gemm"}, gemm, sizeof *gemm, "mfq_gemm_init");
  if (status != MFQ_OK) return status;
  const struct {
    const char *name;
    int64_t value, high;
  } ranges[] = {{"transpose_a", gemm->transpose_a, 1},       {"transpose_b", gemm->transpose_b, 1},
                {"device_scalars", gemm->device_scalars, 1}, {"activation", (int)gemm->activation, MFQ_ACTIVATION_SILU},
                {"round_operands", gemm->round_operands, 1}, {"own_workspace", gemm->own_workspace, 1}};
  for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
    if (ranges[i].value < 0 || ranges[i].value > ranges[i].high) {
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "gemm: %s is %lld; allowed is 0 ... %lld", ranges[i].name,
                      (long long)ranges[i].value, (long long)ranges[i].high);
    }
  }
  if (gemm->beta != NULL && gemm->c == NULL) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "gemm: beta is given, but c is NULL; give the tensor that it multiplies, or no beta");
  }
  if ((gemm->d == NULL) == (gemm->quantized_d == NULL)) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "gemm: d and quantized_d are both %s; give one of them",
                    gemm->d == NULL ? "NULL" : "given");
  }
  return MFQ_OK;
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

/* Checks a plain tensor; at planning its memory may be unknown. */
static mfq_status take_tensor(gemm_check *check, mfq_where where, const mfq_tensor *given, int is_written,
                              mfq_tensor *out) {
  mfq_tensor tensor = *given;
  const int is_unknown = !check->is_run && tensor.data == NULL;
  if (is_unknown) tensor.data = UNKNOWN_MEMORY;
  const mfq_status status = mfq_argument_tensor(where, &tensor, is_written, &check->parts, out);
  if (is_unknown) out->data = NULL;
  return status;
}

static mfq_status rank_check(mfq_where where, int32_t rank) {
  if (rank >= 2) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: rank is %d; a matrix has 2, and batches come before them",
                  where.argument, (int)rank);
}

/* A plain tensor as rows x cols; neighbouring batch axes with fitting strides become one. */
static void make_matrix(const mfq_tensor *tensor, int is_transposed, mfq_matrix *matrix) {
  const int32_t rank = tensor->rank, row = is_transposed ? rank - 1 : rank - 2,
                col = is_transposed ? rank - 2 : rank - 1;
  *matrix = (mfq_matrix){.data = tensor->data,
                         .dtype = tensor->dtype,
                         .rows = tensor->shape[row],
                         .cols = tensor->shape[col],
                         .stride = {tensor->strides[row], tensor->strides[col]}};
  for (int32_t d = 0; d < rank - 2; d++) {
    if (tensor->shape[d] == 1) continue;
    const int32_t last = matrix->batch_rank - 1;
    if (last >= 0 && matrix->batch_stride[last] == tensor->shape[d] * tensor->strides[d]) {
      matrix->batch_shape[last] *= tensor->shape[d];
      matrix->batch_stride[last] = tensor->strides[d];
    } else {
      matrix->batch_shape[matrix->batch_rank] = tensor->shape[d];
      matrix->batch_stride[matrix->batch_rank++] = tensor->strides[d];
    }
  }
}

/* ---- Operands ---------------------------------------------------------------------------------------------------- */

/* The view of a plain operand that the run quantizes: K contiguous, rows on 16 bytes where the codes allow it. */
static mfq_status view_to_quantize(mfq_where where, const mfq_scheme *scheme, int is_transposed, mfq_gemm_side *side) {
  mfq_status status = mfq_scheme_verify(scheme, where.function, where.argument);
  if (status != MFQ_OK) return status;
  if (scheme->rule == MFQ_RULE_GIVEN) {
    return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function,
                    "%s: quantize_to has the rule given, which reads scales that a plain operand does not bring; "
                    "quantize it before",
                    where.argument);
  }
  const mfq_tensor *tensor = &side->tensor;
  const int32_t row = is_transposed ? tensor->rank - 1 : tensor->rank - 2;
  const int32_t depth = is_transposed ? tensor->rank - 2 : tensor->rank - 1;
  mfq_qtensor q = {.scheme = *scheme, .rank = tensor->rank, .layout = {.row_align = PLAN_ALIGN}};
  memcpy(q.shape, tensor->shape, sizeof q.shape);
  if (scheme->granularity == MFQ_GRANULARITY_GROUP) q.layout.codes = MFQ_CODES_GROUP_LAST;
  if (scheme->axis == MFQ_AXIS_AUTO && scheme->granularity == MFQ_GRANULARITY_GROUP) q.scheme.axis = depth;
  if (scheme->axis == MFQ_AXIS_AUTO && scheme->granularity == MFQ_GRANULARITY_CHANNEL) q.scheme.axis = row;
  return mfq_qview_init(where, &q, &side->view);
}

static mfq_status take_quantized(gemm_check *check, mfq_where where, const mfq_qtensor *q, mfq_qview *view,
                                 int written) {
  mfq_status status = mfq_qview_init(where, q, view);
  if (status == MFQ_OK) status = rank_check(where, q->rank);
  if (status == MFQ_OK && check->is_run)
    status = mfq_argument_parts(where, view, (mfq_use){MFQ_PART_ALL, written}, &check->parts);
  return status;
}

static mfq_status take_side(gemm_check *check, const char *name, const mfq_operand *operand, int is_transposed,
                            mfq_gemm_side *side) {
  const mfq_where where = at(check, name);
  if ((operand->plain == NULL) == (operand->quantized == NULL)) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: plain and quantized are both %s; give one of them",
                    name, operand->plain == NULL ? "NULL" : "given");
  }
  if (operand->quantized != NULL && operand->quantize_to != NULL) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: quantize_to is given, but the operand is quantized already; leave it NULL, or give plain",
                    name);
  }
  mfq_status status = MFQ_OK;
  side->is_transposed = is_transposed;
  side->kind = operand->quantized != NULL     ? MFQ_SIDE_QUANTIZED
               : operand->quantize_to != NULL ? MFQ_SIDE_TO_QUANTIZE
                                              : MFQ_SIDE_PLAIN;
  if (operand->quantized != NULL) {
    status = take_quantized(check, where, operand->quantized, &side->view, 0);
  } else {
    status = take_tensor(check, where, operand->plain, 0, &side->tensor);
    if (status == MFQ_OK) status = rank_check(where, operand->plain->rank);
    if (status == MFQ_OK) make_matrix(&side->tensor, is_transposed, &side->matrix);
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
  if (why == NULL) return MFQ_OK;
  char scheme[MFQ_SCHEME_TEXT_MAX] = "";
  status = mfq_scheme_print(&side->view.q.scheme, scheme, sizeof scheme);
  if (status != MFQ_OK) return status;
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function, "%s: %s: %s; K is axis %d of %s here (see transpose_%s)", name,
                  scheme, why, (int)(is_transposed ? rank - 2 : rank - 1), mfq_shape_write(rank, shape).text, name);
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

/* A shape in question, with the name of whose it is. */
typedef struct named_shape {
  const char *name;
  int32_t rank;
  const int64_t *shape;
} named_shape;

static named_shape shape_of_side(const char *name, const mfq_gemm_side *side) {
  return side->kind == MFQ_SIDE_PLAIN ? (named_shape){name, side->tensor.rank, side->tensor.shape}
                                      : (named_shape){name, side->view.q.rank, side->view.q.shape};
}

static int batches_equal(named_shape a, named_shape b) {
  return a.rank == b.rank && memcmp(a.shape, b.shape, (size_t)(a.rank - 2) * sizeof a.shape[0]) == 0;
}

/* Checks that A and B chain, and writes the shape that D must have. */
static mfq_status chain(const gemm_check *check, int64_t *shape, int32_t *rank) {
  mfq_gemm_problem *p = check->problem;
  const named_shape a = shape_of_side("a", &p->a), b = shape_of_side("b", &p->b);
  if (p->a.depth != p->b.depth) {
    return mfq_fail(MFQ_ERROR_SHAPE, check->function,
                    "a of shape %s%s has K = %lld, but b of shape %s%s has K = %lld; they must be equal",
                    mfq_shape_write(a.rank, a.shape).text, check->gemm->transpose_a ? ", transposed," : "",
                    (long long)p->a.depth, mfq_shape_write(b.rank, b.shape).text,
                    check->gemm->transpose_b ? ", transposed," : "", (long long)p->b.depth);
  }
  if (a.rank > 2 && b.rank > 2 && !batches_equal(a, b)) {
    return mfq_fail(MFQ_ERROR_SHAPE, check->function,
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

static mfq_status shape_required(mfq_where where, int32_t rank, const int64_t *shape, int32_t wanted_rank,
                                 const int64_t *wanted) {
  if (rank == wanted_rank && memcmp(shape, wanted, (size_t)rank * sizeof shape[0]) == 0) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: shape is %s, but the product of a and b has %s", where.argument,
                  mfq_shape_write(rank, shape).text, mfq_shape_write(wanted_rank, wanted).text);
}

/* ---- D, C, bias, scalars ----------------------------------------------------------------------------------------- */

static mfq_status take_d(gemm_check *check, int32_t rank, const int64_t *shape) {
  mfq_gemm_problem *p = check->problem;
  const mfq_gemm *gemm = check->gemm;
  if (gemm->quantized_d != NULL) {
    const mfq_where where = at(check, "quantized_d");
    const int written = gemm->quantized_d->scheme.rule == MFQ_RULE_GIVEN ? MFQ_PART_CODES : MFQ_PART_ALL;
    p->is_d_quantized = 1;
    const mfq_status status = take_quantized(check, where, gemm->quantized_d, &p->d_view, written);
    return status != MFQ_OK ? status : shape_required(where, p->d_view.q.rank, p->d_view.q.shape, rank, shape);
  }
  mfq_status status = take_tensor(check, at(check, "d"), gemm->d, 1, &check->d);
  if (status == MFQ_OK) status = shape_required(at(check, "d"), check->d.rank, check->d.shape, rank, shape);
  if (status == MFQ_OK) make_matrix(&check->d, 0, &p->d);
  return status;
}

/* 1 when C is D itself: each element is read before its own place is written. */
static int is_in_place(const gemm_check *check, const mfq_tensor *c) {
  const mfq_tensor *d = &check->d;
  if (check->gemm->d == NULL || c->data != d->data || c->dtype != d->dtype) return 0;
  for (int32_t i = 0; i < d->rank; i++)
    if (d->shape[i] > 1 && c->strides[i] != d->strides[i]) return 0;
  return 1;
}

static mfq_status take_c(gemm_check *check, int32_t rank, const int64_t *shape) {
  const mfq_where where = at(check, "c");
  const int parts_before = check->parts.count;
  mfq_status status = take_tensor(check, where, check->gemm->c, 0, &check->c);
  if (status == MFQ_OK) status = shape_required(where, check->c.rank, check->c.shape, rank, shape);
  if (status != MFQ_OK) return status;
  if (is_in_place(check, &check->c)) check->parts.count = parts_before;
  check->problem->has_c = 1;
  make_matrix(&check->c, 0, &check->problem->c);
  return MFQ_OK;
}

static mfq_status take_bias(gemm_check *check) {
  mfq_gemm_problem *p = check->problem;
  const mfq_where where = at(check, "bias");
  mfq_status status = take_tensor(check, where, check->gemm->bias, 0, &p->bias);
  if (status == MFQ_OK && (p->bias.rank != 1 || p->bias.shape[0] != p->n)) {
    status = mfq_fail(MFQ_ERROR_SHAPE, where.function, "bias: shape is %s; allowed is [N] = [%lld]",
                      mfq_shape_write(p->bias.rank, p->bias.shape).text, (long long)p->n);
  }
  p->has_bias = 1;
  return status;
}

static mfq_status take_scalars(gemm_check *check) {
  const mfq_gemm *gemm = check->gemm;
  const struct {
    const char *name;
    const float *value;
  } scalars[] = {{"alpha", gemm->alpha}, {"beta", gemm->beta}};
  for (size_t i = 0; check->is_run && i < sizeof scalars / sizeof scalars[0]; i++) {
    mfq_part part = {at(check, scalars[i].name), "value", mfq_bytes_of(scalars[i].value, sizeof(float)), 0};
    mfq_status status = MFQ_OK;
    if (scalars[i].value == NULL) continue;
    if ((uintptr_t)scalars[i].value % sizeof(float) != 0) {
      status = mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, check->function, "%s is %p, which is not a multiple of 4 bytes",
                        scalars[i].name, (const void *)scalars[i].value);
    } else if (gemm->device_scalars) {
      check->parts.items[check->parts.count++] = part; /* there is room: the table is for all parts of a product */
    } else {
      status = mfq_host_memory_check(check->function, scalars[i].name, NULL, scalars[i].value);
    }
    if (status != MFQ_OK) return status;
  }
  check->problem->alpha = gemm->alpha;
  check->problem->beta = gemm->beta;
  check->problem->device_scalars = gemm->device_scalars;
  return MFQ_OK;
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
  if ((!p->is_d_quantized && !rows_continue(&p->d)) || (p->has_c && !rows_continue(&p->c))) return;
  const int64_t rows = p->batches * p->m;
  if (p->a.kind != MFQ_SIDE_QUANTIZED) merge_matrix(&p->a.matrix, rows);
  if (!p->is_d_quantized) merge_matrix(&p->d, rows);
  if (p->has_c) merge_matrix(&p->c, rows);
  p->a.rows = p->m = rows;
  p->a.batches = p->batches = 1;
}

mfq_status mfq_gemm_problem_make(const char *function, mfq_context *context, const mfq_gemm *gemm,
                                 const mfq_workspace *workspace, mfq_gemm_problem *problem) {
  gemm_check check = {.function = function, .gemm = gemm, .is_run = workspace != NULL, .problem = problem};
  int64_t shape[MFQ_MAX_RANK];
  int32_t rank = 0;
  memset(problem, 0, sizeof *problem);
  mfq_status status = fields_check(function, gemm);
  if (status == MFQ_OK) status = take_side(&check, "a", &gemm->a, gemm->transpose_a, &problem->a);
  if (status == MFQ_OK) status = take_side(&check, "b", &gemm->b, !gemm->transpose_b, &problem->b);
  if (status == MFQ_OK) status = chain(&check, shape, &rank);
  if (status == MFQ_OK) status = take_d(&check, rank, shape);
  if (status == MFQ_OK && gemm->c != NULL) status = take_c(&check, rank, shape);
  if (status == MFQ_OK && gemm->bias != NULL) status = take_bias(&check);
  if (status == MFQ_OK) status = take_scalars(&check);
  if (status == MFQ_OK && workspace != NULL) {
    const mfq_bytes bytes = mfq_bytes_of(workspace->memory, workspace->bytes);
    check.parts.items[check.parts.count++] = (mfq_part){{function, "workspace"}, "memory", bytes, 1};
    status = mfq_parts_check(context, &check.parts);
  }
  if (status != MFQ_OK) return status;
  problem->activation = gemm->activation;
  problem->round_operands = gemm->round_operands;
  merge_batches(&check);
  return MFQ_OK;
}
