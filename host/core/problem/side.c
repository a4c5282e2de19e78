/* host/core/problem/side.c: an operand as rows of depth K, or as an array in our order of axes, with linear indices of codes
 * and scales, and what backends ask of it: does bf16 hold it, what does it take in memory, what does it leave to the
 * finish. */
#include <string.h>

#include "host/core/error.h"
#include "conv_problem.h"
#include "host/core/check/overlap.h"
#include "host/core/scheme/scheme.h"
#include "walk.h"

int64_t mfq_matrix_offset(const mfq_matrix *matrix, int64_t index) {
  int64_t offset = 0;
  for (int32_t d = matrix->batch_rank - 1; d >= 0; --d) {
    offset += index % matrix->batch_shape[d] * matrix->batch_stride[d];
    index /= matrix->batch_shape[d];
  }
  return offset;
}

/* Why the scales along these axes cannot be factored out of a product. */
static const char *refuse_scales(const mfq_qview *view, int32_t depth_axis) {
  const int32_t axis = view->sizes.axis, batches = view->q.rank - 2;
  if (view->q.scheme.zero_point == MFQ_ZERO_POINT_FLOAT)
    return "its zero points are f32, which no exact sum holds; dequantize it before, or use zp";
  switch (view->q.scheme.granularity) {
    case MFQ_GRANULARITY_CHANNEL:
      if (axis == depth_axis)
        return "its scales vary with every element along K, and no sum can factor them out; use groups along K, or "
               "channels along the other axis";
      if (axis < batches && batches > 1)
        return "its channels are one of several batch axes; merge the batch axes into one, or use channels along the "
               "rows";
      return NULL;
    case MFQ_GRANULARITY_GROUP:
      if (axis != depth_axis) return "its groups do not run along K, so that no sum can factor their scales out";
      return NULL;
    default: return NULL;
  }
}

const char *mfq_gemm_side_index(mfq_gemm_side *side, int is_transposed) {
  const mfq_qview *view = &side->view;
  const int32_t rank = view->q.rank, row = is_transposed ? rank - 1 : rank - 2,
                depth = is_transposed ? rank - 2 : rank - 1;
  const char *why = refuse_scales(view, depth);
  if (why != NULL) return why;
  int64_t bits[MFQ_MAX_RANK];
  mfq_scale_axis scales[MFQ_MAX_RANK];
  mfq_code_bit_strides(view, bits);
  mfq_scale_axes(view, scales);
  const int has_batches = rank > 2;
  side->code_bits[0] = has_batches ? bits[rank - 3] : 0;
  side->code_bits[1] = bits[row];
  side->code_bits[2] = bits[depth];
  side->scale_stride[0] = has_batches ? scales[rank - 3].stride : 0;
  side->scale_stride[1] = scales[row].stride;
  side->scale_stride[2] = scales[depth].stride;
  side->scale_run[0] = 1;
  side->scale_run[1] = scales[row].run;
  side->scale_run[2] = scales[depth].run;
  const mfq_granularity granularity = view->q.scheme.granularity;
  const int is_along_depth = granularity == MFQ_GRANULARITY_GROUP || granularity == MFQ_GRANULARITY_BLOCK;
  side->group = is_along_depth ? scales[depth].run : 0;
  return NULL;
}

/* Digits from the first to the last that an element can have: of a zero point's difference, which is one of two codes, as
 * many as a code has bits; else the lowest of signed integers is a power of two. */
static int32_t element_digits(const mfq_scheme *scheme) {
  const mfq_format *e = &scheme->element;
  if (e->kind == MFQ_KIND_MINIFLOAT) return e->man_bits + 1;
  return e->man_bits + (scheme->zero_point ? e->is_signed : 0);
}

const char *mfq_gemm_side_refuses_bf16(const mfq_gemm_side *side) {
  static const int32_t of_scale[] = {1, 24, 8, 11, 1}; /* by mfq_scale_format */
  enum { BF16_DIGITS = 8 };
  if (side->kind == MFQ_SIDE_PLAIN)
    return side->matrix.dtype == MFQ_DTYPE_BF16 ? NULL : "bf16 does not hold plain f32 and f16 (round_operands is 0)";
  const mfq_scheme *scheme = &side->view.q.scheme;
  const int32_t stored =
      mfq_scale_has_tensor(scheme->scale) ? mfq_scale_element(scheme).man_bits + 1 : of_scale[scheme->scale];
  const int32_t element = element_digits(scheme), scale = side->group != 0 ? stored : 1;
  const int32_t product = element == 1 ? scale : scale == 1 ? element : element + scale;
  return product <= BF16_DIGITS ? NULL : "bf16 does not hold elements times scales (round_operands is 0)";
}

const char *mfq_gemm_sides_refuse_bf16(const mfq_gemm_side *a, const mfq_gemm_side *b) {
  const char *why = mfq_gemm_side_refuses_bf16(a);
  return why != NULL ? why : mfq_gemm_side_refuses_bf16(b);
}

size_t mfq_gemm_side_bytes(const mfq_gemm_side *side) {
  const mfq_qtensor_sizes *z = &side->view.sizes;
  if (side->kind != MFQ_SIDE_TO_QUANTIZE) return 0;
  return mfq_workspace_round(z->codes_bytes) + mfq_workspace_round(z->scales_bytes) +
         mfq_workspace_round(z->zero_points_bytes) + mfq_workspace_round(z->tensor_scale_bytes);
}

/* The next part of `memory`; NULL for a part that the scheme does not have. */
static void *part(uint8_t **memory, size_t bytes) {
  void *at = bytes > 0 ? *memory : NULL;
  *memory += mfq_workspace_round(bytes);
  return at;
}

void mfq_gemm_side_place(const mfq_gemm_side *side, uint8_t *memory, mfq_gemm_side *ready) {
  *ready = *side;
  if (side->kind != MFQ_SIDE_TO_QUANTIZE) return;
  mfq_qview *view = &ready->view;
  ready->kind = MFQ_SIDE_QUANTIZED;
  view->q.codes = part(&memory, view->sizes.codes_bytes);
  view->q.scales = part(&memory, view->sizes.scales_bytes);
  view->q.zero_points = part(&memory, view->sizes.zero_points_bytes);
  view->q.tensor_scale = part(&memory, view->sizes.tensor_scale_bytes);
}

/* ---- Convolutions ------------------------------------------------------------------------------------------------ */

void mfq_conv_side_index(mfq_conv_side *side) {
  int64_t bits[MFQ_MAX_RANK];
  mfq_scale_axis scales[MFQ_MAX_RANK];
  mfq_code_bit_strides(&side->part.view, bits);
  mfq_scale_axes(&side->part.view, scales);
  for (int i = 0; i < MFQ_CONV_AXES; ++i) {
    const int32_t axis = side->axis[i];
    side->code_bits[i] = axis < 0 ? 0 : bits[axis];
    side->scale_stride[i] = axis < 0 ? 0 : scales[axis].stride;
    side->scale_run[i] = axis < 0 ? 1 : scales[axis].run;
  }
}

int mfq_conv_side_is_dense(const mfq_conv_side *side) {
  const int is_plain = side->part.kind == MFQ_SIDE_PLAIN;
  const int64_t *strides = is_plain ? side->stride : side->code_bits;
  int64_t step = is_plain ? 1 : mfq_code_bits(&side->part.view.q);
  for (int i = MFQ_CONV_AXES - 1; i >= 0; --i) {
    if (side->size[i] > 1 && strides[i] != step) return 0;
    step *= side->size[i];
  }
  return 1;
}

/* ---- The finish -------------------------------------------------------------------------------------------------- */

mfq_factors mfq_gemm_side_factors(const mfq_gemm_side *side) {
  mfq_factors f = {.batches = side->batches, .rows = side->rows, .run = {1, 1}};
  if (side->kind == MFQ_SIDE_PLAIN) return f;
  const mfq_scale_format scale = side->view.q.scheme.scale;
  f.has_scales = scale != MFQ_SCALE_NONE && side->group == 0;
  f.has_tensor_scale = mfq_scale_has_tensor(scale);
  for (int i = 0; i < 2 && f.has_scales; ++i) {
    f.stride[i] = side->scale_stride[i];
    f.run[i] = side->scale_run[i];
  }
  return f;
}

void mfq_gemm_finish_fit(mfq_gemm_problem *p) {
  p->finish.batches = p->batches;
  p->finish.m = p->m;
  p->finish.n = p->n;
  p->finish.a = mfq_gemm_side_factors(&p->a);
  p->finish.b = mfq_gemm_side_factors(&p->b);
}

int mfq_finish_is_bare(const mfq_finish *f) {
  return !f->is_d_quantized && f->alpha == NULL && !f->has_c && !f->has_bias && f->activation == MFQ_ACTIVATION_NONE &&
         !mfq_has_factors(&f->a) && !mfq_has_factors(&f->b);
}

mfq_status mfq_finish_values(const mfq_finish *finish, float *values, mfq_tensor *tensor) {
  const mfq_qtensor *q = &finish->d_view.q;
  *tensor = (mfq_tensor){.data = values, .dtype = MFQ_DTYPE_F32, .rank = q->rank};
  memcpy(tensor->shape, q->shape, sizeof tensor->shape);
  memcpy(tensor->strides, finish->value_strides, sizeof tensor->strides);
  if (mfq_tensor_fits(tensor, finish->batches * finish->m * finish->n)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INTERNAL, finish->function, "the values of a quantized result leave their memory");
}
