/* host/cpu/product/gemm_expand.c: an operand as a dense matrix by the cheapest way that it allows: as it is, rounded in
 * one pass, widened, converted, or decoded by the casts. Scales that a whole row shares are left to the finish. */
#include "gemm_expand.h"

#include "host/core/error.h"
#include "host/core/check/overlap.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cast/elements.h"

enum { SHARE_ELEMENTS = 1 << 15 };

int mfq_side_has_factors(const mfq_gemm_side *side) {
  const mfq_factors factors = mfq_gemm_side_factors(side);
  return mfq_has_factors(&factors);
}

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

/* A dense matrix whose rows, or columns, are contiguous. */
static void lay_out(mfq_expanded_side *e, const mfq_gemm_side *side, int by_columns) {
  e->stride[0] = side->batches > 1 ? side->rows * side->depth : 0;
  e->stride[1] = by_columns ? 1 : side->depth;
  e->stride[2] = by_columns ? side->rows : 1;
}

static void plan_plain(const mfq_gemm_side *side, mfq_expanded_side *e) {
  const mfq_matrix *m = &side->matrix;
  const int has_unit = m->stride[1] == 1 || m->stride[0] == 1 || m->rows == 1 || m->cols == 1;
  if (m->dtype == e->dtype && has_unit && m->batch_rank <= 1) {
    e->how = MFQ_EXPANSION_IN_PLACE;
    e->stride[0] = m->batch_rank == 1 ? m->batch_stride[0] : 0;
    e->stride[1] = m->stride[0];
    e->stride[2] = m->stride[1];
    return;
  }
  e->how = MFQ_EXPANSION_CONVERT;
  lay_out(e, side, m->stride[0] == 1 && m->stride[1] != 1);
}

/* The matrix of codes as a tensor in the view's own axes. A batch that counts as rows is so many rows further on. */
static mfq_tensor decode_target(const mfq_expanded_side *e, const mfq_gemm_side *side, void *values) {
  const mfq_qtensor *q = &side->view.q;
  mfq_tensor t = {.data = values, .dtype = e->dtype, .rank = q->rank};
  memcpy(t.shape, q->shape, sizeof t.shape);
  const int32_t last = q->rank - 1, row = side->is_transposed ? last : last - 1;
  int64_t step = side->batches > 1 ? e->stride[0] : q->shape[row] * e->stride[1];
  t.strides[row] = e->stride[1];
  t.strides[2 * last - 1 - row] = e->stride[2];
  for (int32_t d = last - 2; d >= 0; --d) {
    t.strides[d] = step;
    step *= q->shape[d];
  }
  return t;
}

/* A matrix in the source's own order of rows and columns. */
static int plan_round(const mfq_context *context, const mfq_gemm_side *side, mfq_expanded_side *e) {
  if (side->kind != MFQ_SIDE_TO_QUANTIZE || e->dtype != MFQ_DTYPE_BF16 || mfq_side_has_factors(side)) return 0;
  lay_out(e, side, side->matrix.stride[0] == 1 && side->matrix.stride[1] != 1);
  const mfq_tensor target = decode_target(e, side, NULL);
  if (!mfq_round_values_make(context, &side->tensor, &side->view, target.strides, &e->round)) return 0;
  e->how = MFQ_EXPANSION_ROUND;
  return 1;
}

static void plan_codes(const mfq_context *context, const mfq_gemm_side *side, size_t *bytes, mfq_expanded_side *e) {
  e->parts_at = mfq_workspace_take(bytes, mfq_gemm_side_bytes(side));
  e->scratch_bytes = mfq_cpu_side_scratch(context, side);
  const int32_t code_bits = mfq_code_bits(&side->view.q);
  if (e->dtype == MFQ_DTYPE_BF16 && mfq_widen_make(side, &e->widen)) {
    e->how = MFQ_EXPANSION_WIDEN;
    lay_out(e, side, 0);
    return;
  }
  e->how = MFQ_EXPANSION_DECODE;
  lay_out(e, side, side->code_bits[2] != code_bits && side->code_bits[1] == code_bits);
  if (side->group == 0 && mfq_side_has_factors(side))
    e->ones_at = mfq_workspace_take(bytes, (size_t)side->view.sizes.scale_count * sizeof(float));
  const mfq_tensor target = decode_target(e, side, NULL);
  const size_t scratch = mfq_cpu_dequantize_scratch(context, &side->view, &target);
  if (scratch > e->scratch_bytes) e->scratch_bytes = scratch;
}

mfq_status mfq_expand_plan(const mfq_context *context, const mfq_gemm_side *side, mfq_dtype dtype,
                           size_t *workspace_bytes, mfq_expanded_side *e) {
  memset(e, 0, sizeof *e);
  e->dtype = dtype;
  if (side->kind == MFQ_SIDE_PLAIN)
    plan_plain(side, e);
  else if (!plan_round(context, side, e))
    plan_codes(context, side, workspace_bytes, e);
  if (e->how == MFQ_EXPANSION_IN_PLACE) return MFQ_OK;
  const int64_t count = side->batches * side->rows * side->depth;
  e->values_at = mfq_workspace_take(workspace_bytes, (size_t)count * mfq_dtype_bytes(dtype));
  if (side->kind == MFQ_SIDE_PLAIN) return MFQ_OK;
  const mfq_tensor target = decode_target(e, side, NULL);
  if (mfq_tensor_fits(&target, count)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INTERNAL, "mfq_gemm_plan_create", "the values of an operand leave their memory");
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

/* `n` elements of a matrix from `offset` on, `step` apart. */
typedef struct line {
  int64_t offset, step, n;
} line;

/* To contiguous elements of another type. */
static void convert_line(const mfq_kernels *kernels, const mfq_matrix *m, line from, mfq_dtype dtype, uint8_t *dst) {
  uint32_t x[MFQ_CHUNK];
  for (int64_t i = 0; i < from.n; i += MFQ_CHUNK) {
    const int64_t count = from.n - i < MFQ_CHUNK ? from.n - i : MFQ_CHUNK, at = from.offset + i * from.step;
    if (from.step == 1)
      kernels->load(x, (const uint8_t *)m->data + at * (int64_t)mfq_dtype_bytes(m->dtype), m->dtype, count);
    else
      for (int64_t j = 0; j < count; ++j) x[j] = mfq_element_load(m->data, m->dtype, at + j * from.step);
    kernels->store_limited(dst + i * (int64_t)mfq_dtype_bytes(dtype), dtype, x, count);
  }
}

/* The lines of a matrix that are contiguous in its copy. */
typedef struct convert_work {
  const mfq_kernels *kernels;
  const mfq_matrix *matrix;
  int64_t lines, length, line_step, step;
  mfq_dtype dtype;
  uint8_t *dst;
} convert_work;

static void convert_lines(void *work, int thread, int64_t first, int64_t end) {
  const convert_work *w = work;
  const size_t line_bytes = (size_t)w->length * mfq_dtype_bytes(w->dtype);
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    const int64_t offset = mfq_matrix_offset(w->matrix, i / w->lines) + i % w->lines * w->line_step;
    convert_line(w->kernels, w->matrix, (line){offset, w->step, w->length}, w->dtype, w->dst + (size_t)i * line_bytes);
  }
}

static void convert(const mfq_context *context, const mfq_expanded_side *e, const mfq_gemm_side *side, uint8_t *dst) {
  const mfq_matrix *m = &side->matrix;
  const int by_columns = e->stride[2] != 1;
  convert_work work = {.kernels = mfq_cpu_kernels(context), .matrix = m, .dtype = e->dtype, .dst = dst};
  work.lines = by_columns ? m->cols : m->rows;
  work.length = by_columns ? m->rows : m->cols;
  work.line_step = m->stride[by_columns];
  work.step = m->stride[!by_columns];
  const int64_t all = side->batches * work.lines;
  mfq_team_run((mfq_loop){mfq_threads_for(context, all * work.length, SHARE_ELEMENTS), all, 0}, convert_lines, &work);
}

/* Decodes with every scale that the finish applies replaced by 1. */
static mfq_status decode(mfq_context *lent, const mfq_expanded_side *e, const mfq_gemm_side *ready,
                         uint8_t *workspace) {
  static const float one = 1.0f;
  mfq_qview view = ready->view;
  if (ready->group == 0 && mfq_side_has_factors(ready)) {
    float *ones = (float *)(void *)(workspace + e->ones_at);
    for (int64_t i = 0; i < view.sizes.scale_count; ++i) ones[i] = 1.0f;
    view.q.scheme.scale = MFQ_SCALE_F32;
    view.q.layout.scales = MFQ_SCALES_LOGICAL;
    view.q.scales = ones;
  }
  view.q.tensor_scale = (float *)(uintptr_t)&one; /* only read */
  const mfq_tensor target = decode_target(e, ready, workspace + e->values_at);
  return mfq_cpu_dequantize(lent, &view, &target);
}

mfq_status mfq_expand_run(mfq_context *lent, const mfq_expanded_side *e, const mfq_gemm_side *side, uint8_t *workspace,
                          mfq_gemm_side *ready, const void **values) {
  uint8_t *made = workspace + e->values_at;
  const int by_codes = e->how == MFQ_EXPANSION_WIDEN || e->how == MFQ_EXPANSION_DECODE;
  *ready = *side;
  *values = e->how == MFQ_EXPANSION_IN_PLACE ? side->matrix.data : (void *)made;
  const mfq_status status = by_codes ? mfq_cpu_side_ready(lent, side, workspace + e->parts_at, ready) : MFQ_OK;
  if (status != MFQ_OK) return status;
  switch (e->how) {
    case MFQ_EXPANSION_IN_PLACE: return MFQ_OK;
    case MFQ_EXPANSION_CONVERT: convert(lent, e, side, made); return MFQ_OK;
    case MFQ_EXPANSION_WIDEN:
      mfq_widen_side(lent, &e->widen, ready, &ready->view, (uint16_t *)(void *)made);
      return MFQ_OK;
    case MFQ_EXPANSION_ROUND:
      mfq_round_values_run(lent, &e->round, side->tensor.data, (uint16_t *)(void *)made);
      return MFQ_OK;
    default: return decode(lent, e, ready, workspace);
  }
}
