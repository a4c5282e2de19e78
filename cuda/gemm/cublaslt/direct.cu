/* cuda/gemm/cublaslt/direct.cu: products whose D cuBLASLt writes. */
#include "direct.h"

namespace {

/* Rows of neighbours that do not overlap. */
int is_rows(const mfq_matrix *m) {
  const int is_apart = m->batch_rank == 0 || m->batch_stride[0] >= 0;
  return (m->stride[1] == 1 || m->cols == 1) && (m->stride[0] >= m->cols || m->rows == 1) && is_apart;
}

/* What a bias must be where D is of this type (cuBLASLt's table of types). */
int32_t bias_of(int32_t in, int32_t d) {
  const int is_narrow = in != LT_F32 && in != LT_F16 && in != LT_BF16;
  return is_narrow && d == LT_F32 ? LT_BF16 : d;
}

int is_bias(const mfq_tensor *bias, int32_t type) {
  return mfq_cublaslt_type(bias->dtype) == type && (bias->strides[0] == 1 || bias->shape[0] == 1);
}

mfq_cublaslt_sum layout_of(const mfq_matrix *m) {
  const int64_t bytes = (int64_t)mfq_dtype_bytes(m->dtype), ld = m->rows == 1 ? m->cols : m->stride[0];
  mfq_cublaslt_sum s = {};
  int64_t steps = m->rows == 1 ? 0 : ld;
  for (int32_t d = 0; d < m->batch_rank; ++d) steps |= m->batch_stride[d];
  s.type = mfq_cublaslt_type(m->dtype);
  s.align = mfq_cublaslt_align(m->data, steps * bytes);
  s.ld = ld;
  s.batch_stride = m->batch_rank == 1 ? m->batch_stride[0] : 0;
  return s;
}

} // namespace

int mfq_cuda_writes_d(const mfq_finish *finish, int32_t in, int factors_are_scales) {
  if (finish->is_d_quantized || finish->activation != MFQ_ACTIVATION_NONE || !is_rows(&finish->d)) return 0;
  if (finish->device_scalars && (finish->alpha != NULL || finish->has_c)) return 0;
  if (!factors_are_scales && (mfq_has_factors(&finish->a) || mfq_has_factors(&finish->b))) return 0;
  const int32_t out = mfq_cublaslt_type(finish->d.dtype);
  const int is_narrow = in != LT_F32 && in != LT_F16 && in != LT_BF16;
  if (out != LT_F32 && out != in && !is_narrow) return 0;
  if (finish->has_c && (finish->c.dtype != finish->d.dtype || !is_rows(&finish->c))) return 0;
  return !finish->has_bias || is_bias(&finish->bias, bias_of(in, out));
}

void mfq_cuda_sum_layouts(const mfq_finish *finish, mfq_cublaslt_product *product) {
  product->d = layout_of(&finish->d);
  product->c = finish->has_c ? layout_of(&finish->c) : product->d;
  product->has_bias = finish->has_bias;
  if (!finish->has_bias) return;
  product->bias_type = mfq_cublaslt_type(finish->bias.dtype);
  product->bias_align = mfq_cublaslt_align(finish->bias.data, 0);
}

mfq_cublaslt_sum mfq_cuda_sums_layout(int64_t ld, int64_t batch_stride) {
  return mfq_cublaslt_sum{LT_F32, mfq_cublaslt_align(NULL, (ld | batch_stride) * 4), ld, batch_stride};
}

void *mfq_cuda_matrix_at(const mfq_matrix *matrix, int64_t batch, int64_t row) {
  const int64_t elements = mfq_matrix_offset(matrix, batch) + row * matrix->stride[0];
  return (uint8_t *)matrix->data + elements * (int64_t)mfq_dtype_bytes(matrix->dtype);
}

void mfq_cuda_direct_call(const mfq_finish *finish, int64_t batch, int64_t row, int64_t col, mfq_cublaslt_call *call) {
  const int64_t d_bytes = (int64_t)mfq_dtype_bytes(finish->d.dtype);
  call->d = (uint8_t *)mfq_cuda_matrix_at(&finish->d, batch, row) + col * d_bytes;
  call->c = call->d;
  call->alpha = finish->alpha != NULL ? *finish->alpha : 1.0f;
  call->beta = 0.0f;
  if (finish->has_c) {
    call->c = (const uint8_t *)mfq_cuda_matrix_at(&finish->c, batch, row) + col * d_bytes; /* C is as D */
    call->beta = finish->beta != NULL ? *finish->beta : 1.0f;
  }
  if (finish->has_bias)
    call->bias = (const uint8_t *)finish->bias.data + col * (int64_t)mfq_dtype_bytes(finish->bias.dtype);
}

mfq_cuda_sums mfq_cuda_sums_at(float *all, int64_t ld, const mfq_finish *f, const mfq_cuda_part &s) {
  if (f->is_d_quantized)
    return mfq_cuda_sums{all + (s.batch * f->m + s.row) * ld, f->m * ld, ld, s.batch, s.batches, s.row, s.rows};
  return mfq_cuda_sums{all, s.rows * ld, ld, s.batch, s.batches, s.row, s.rows};
}
