/* cuda/gemm/finish_cuda.cu: queues the way from f32 sums to D. */
#include "finish_cuda.h"

#include <string.h>

#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "finish_kernel.cuh"

static_assert((int)MFQN_ACTIVATION_NONE == (int)MFQ_ACTIVATION_NONE &&
                  (int)MFQN_ACTIVATION_RELU == (int)MFQ_ACTIVATION_RELU &&
                  (int)MFQN_ACTIVATION_GELU == (int)MFQ_ACTIVATION_GELU &&
                  (int)MFQN_ACTIVATION_GELU_TANH == (int)MFQ_ACTIVATION_GELU_TANH &&
                  (int)MFQN_ACTIVATION_SILU == (int)MFQ_ACTIVATION_SILU,
              "constants of num are the public ones");

namespace {

finish_factor factor_of(const mfq_factors *from, const mfq_qview *view) {
  finish_factor f = {};
  f.is_constant = 1;
  f.batches_of_scale = f.rows_of_scale = divisor64_make(1);
  if (!mfq_has_factors(from)) return f;
  f.slots = mfq_cuda_scale_slots(view);
  if (!from->has_scales) return f; /* the tensor scale alone */
  f.has_scales = 1;
  f.is_constant = from->stride[1] == 0 || from->rows <= from->run[1];
  mfq_lower(&view->q.scheme, &f.scheme);
  f.batch_stride = from->stride[0];
  f.row_stride = from->stride[1];
  f.batches_of_scale = divisor64_make(from->run[0] > 0 ? from->run[0] : 1);
  f.rows_of_scale = divisor64_make(from->run[1] > 0 ? from->run[1] : 1);
  return f;
}

/* Whether 8 elements of a row are 16 or 32 bytes that are aligned to 16. */
int is_vector(const finish_matrix *m, int64_t rows, int64_t cols) {
  const int64_t bytes = m->view.dtype == ELEMENT_F32 ? 4 : 2;
  int64_t at = (int64_t)(uintptr_t)m->view.data;
  if (rows > 1) at |= m->stride[0] * bytes;
  for (int32_t k = 0; k < m->batch_rank; ++k)
    if (m->batch_size[k].value > 1) at |= m->batch_stride[k] * bytes;
  return (m->stride[1] == 1 || cols == 1) && at % 16 == 0;
}

finish_matrix matrix_of(const mfq_matrix *from) {
  finish_matrix m = {};
  m.view = element_view{(uint8_t *)from->data, (int32_t)from->dtype};
  m.stride[0] = from->stride[0];
  m.stride[1] = from->stride[1];
  m.batch_rank = from->batch_rank;
  for (int32_t k = 0; k < from->batch_rank; ++k) {
    m.batch_size[k] = divisor64_make(from->batch_shape[k] > 0 ? from->batch_shape[k] : 1);
    m.batch_stride[k] = from->batch_stride[k];
  }
  m.is_vector = is_vector(&m, from->rows, from->cols);
  return m;
}

/* float32 whose columns are neighbours. */
mfq_matrix rows_of_floats(float *data, int64_t rows, int64_t cols, int64_t row_stride) {
  mfq_matrix m = {};
  m.data = data;
  m.dtype = MFQ_DTYPE_F32;
  m.rows = rows;
  m.cols = cols;
  m.stride[0] = row_stride;
  m.stride[1] = 1;
  return m;
}

mfq_matrix batches_of_floats(mfq_matrix m, int64_t batches, int64_t batch_stride) {
  m.batch_rank = 1;
  m.batch_shape[0] = batches;
  m.batch_stride[0] = batch_stride;
  return m;
}

/* The same row for every row and batch. */
finish_matrix bias_of(const mfq_tensor *bias) {
  mfq_matrix m = {};
  m.data = bias->data;
  m.dtype = bias->dtype;
  m.rows = 1;
  m.cols = bias->shape[0];
  m.stride[1] = bias->strides[0];
  return matrix_of(&m);
}

mfqn_finish settings_of(const mfq_finish *finish) {
  mfqn_finish e = {finish->has_c, finish->has_bias, (int32_t)finish->activation, 1.0f, 1.0f};
  if (!finish->device_scalars && finish->alpha != NULL) e.alpha = *finish->alpha;
  if (!finish->device_scalars && finish->beta != NULL) e.beta = *finish->beta;
  return e;
}

typedef void (*finish_entry)(finish_params);

/* By activation. */
const finish_entry entries[] = {finish_kernel<MFQN_ACTIVATION_NONE>, finish_kernel<MFQN_ACTIVATION_RELU>,
                                finish_kernel<MFQN_ACTIVATION_GELU>, finish_kernel<MFQN_ACTIVATION_GELU_TANH>,
                                finish_kernel<MFQN_ACTIVATION_SILU>};

} // namespace

finish_params mfq_cuda_finish_params(const mfq_finish *finish, mfq_factor_views views, const mfq_cuda_sums *sums,
                                     float *values) {
  const int64_t m = finish->m, n = finish->n, row_items = mfq_ceil_div(n, FINISH_COLS);
  const mfq_matrix sum_rows = rows_of_floats(sums->data, sums->rows, n, sums->row_stride);
  const mfq_matrix summed = batches_of_floats(sum_rows, sums->batches, sums->batch_stride);
  const mfq_matrix dense = batches_of_floats(rows_of_floats(values, m, n, n), finish->batches, m * n);
  finish_params p = {};
  p.settings = settings_of(finish);
  if (finish->device_scalars) p.alpha = finish->alpha;
  if (finish->device_scalars && finish->has_c) p.beta = finish->beta;
  p.sums = matrix_of(&summed);
  if (finish->has_c) p.c = matrix_of(&finish->c);
  if (finish->has_bias) p.bias = bias_of(&finish->bias);
  p.d = matrix_of(finish->is_d_quantized ? &dense : &finish->d);
  p.a = factor_of(&finish->a, views.a);
  p.b = factor_of(&finish->b, views.b);
  p.first_batch = sums->first_batch;
  p.first_row = sums->first_row;
  p.items = sums->batches * sums->rows * row_items;
  p.cols = n;
  p.row_items = divisor64_make(row_items > 0 ? row_items : 1);
  p.rows = divisor64_make(sums->rows > 0 ? sums->rows : 1);
  return p;
}

mfq_status mfq_cuda_finish(mfq_context *context, const mfq_finish *finish, mfq_factor_views views,
                           const mfq_cuda_sums *sums, float *values) {
  const finish_params p = mfq_cuda_finish_params(finish, views, sums, values);
  const mfq_launch at = {finish->function, mfq_cuda_item_grid(p.items), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, entries[finish->activation], p);
}

mfq_status mfq_cuda_finish_quantize(mfq_context *context, const mfq_finish *finish, float *values) {
  mfq_tensor dense;
  const mfq_status status = mfq_finish_values(finish, values, &dense);
  return status == MFQ_OK ? mfq_cuda_quantize(context, &dense, &finish->d_view) : status;
}

mfq_status mfq_cuda_finish_all(mfq_context *context, const mfq_finish *f, mfq_factor_views views, float *sums) {
  const mfq_cuda_sums all = {sums, f->m * f->n, f->n, 0, f->batches, 0, f->m};
  const mfq_status status = mfq_cuda_finish(context, f, views, &all, sums);
  return status == MFQ_OK && f->is_d_quantized ? mfq_cuda_finish_quantize(context, f, sums) : status;
}

mfq_context *mfq_cuda_lend(const mfq_context *context, void *scratch, mfq_cuda_lent *lent) {
  lent->context = *context;
  lent->state = *mfq_cuda_state_of(context);
  lent->state.scratch = (uint8_t *)scratch;
  lent->context.backend_state = &lent->state;
  lent->context.scratch = NULL; /* of the host: the context's own */
  lent->context.scratch_bytes = 0;
  return &lent->context;
}

void mfq_cuda_lend_end(mfq_context *context, const mfq_cuda_lent *lent) {
  mfq_cuda_state *state = mfq_cuda_state_of(context);
  state->last_operation = lent->state.last_operation;
  if (lent->state.lost != cudaSuccess) state->lost = lent->state.lost;
}
