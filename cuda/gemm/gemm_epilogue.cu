/* cuda/gemm/gemm_epilogue.cu: queues the way from f32 sums to D. */
#include "gemm_epilogue.h"

#include <string.h>

#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "epilogue_kernel.cuh"

static_assert((int)MFQN_ACTIVATION_NONE == (int)MFQ_ACTIVATION_NONE &&
                  (int)MFQN_ACTIVATION_RELU == (int)MFQ_ACTIVATION_RELU &&
                  (int)MFQN_ACTIVATION_GELU == (int)MFQ_ACTIVATION_GELU &&
                  (int)MFQN_ACTIVATION_GELU_TANH == (int)MFQ_ACTIVATION_GELU_TANH &&
                  (int)MFQN_ACTIVATION_SILU == (int)MFQ_ACTIVATION_SILU,
              "constants of num are the public ones");

namespace {

int has_group_scales(const mfq_gemm_side *side) { return side->group > 0; }

/* Whether a side has a factor that is applied to sums. */
int has_factor(const mfq_gemm_side *side) {
  if (side->kind == MFQ_SIDE_PLAIN) return 0;
  const mfq_scale_format scale = side->view.q.scheme.scale;
  return scale == MFQ_SCALE_UE4M3 || (scale != MFQ_SCALE_NONE && !has_group_scales(side));
}

epilogue_factor factor_of(const mfq_gemm_side *side) {
  epilogue_factor f = {};
  f.is_constant = 1;
  f.batches_of_scale = f.rows_of_scale = divisor64_make(1);
  if (!has_factor(side)) return f;
  f.slots = mfq_cuda_scale_slots(&side->view);
  if (has_group_scales(side)) return f; /* the tensor scale alone */
  f.has_scales = 1;
  f.is_constant = side->scale_stride[1] == 0 || side->rows <= side->scale_run[1];
  mfq_lower(&side->view.q.scheme, &f.scheme);
  f.batch_stride = side->scale_stride[0];
  f.row_stride = side->scale_stride[1];
  f.batches_of_scale = divisor64_make(side->scale_run[0] > 0 ? side->scale_run[0] : 1);
  f.rows_of_scale = divisor64_make(side->scale_run[1] > 0 ? side->scale_run[1] : 1);
  return f;
}

/* Whether 8 elements of a row are 16 or 32 bytes that are aligned to 16. */
int is_vector(const epilogue_matrix *m, int64_t rows, int64_t cols) {
  const int64_t bytes = m->view.dtype == ELEMENT_F32 ? 4 : 2;
  int64_t at = (int64_t)(uintptr_t)m->view.data;
  if (rows > 1) at |= m->stride[0] * bytes;
  for (int32_t k = 0; k < m->batch_rank; ++k)
    if (m->batch_size[k].value > 1) at |= m->batch_stride[k] * bytes;
  return (m->stride[1] == 1 || cols == 1) && at % 16 == 0;
}

epilogue_matrix matrix_of(const mfq_matrix *from) {
  epilogue_matrix m = {};
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
epilogue_matrix bias_of(const mfq_tensor *bias) {
  mfq_matrix m = {};
  m.data = bias->data;
  m.dtype = bias->dtype;
  m.rows = 1;
  m.cols = bias->shape[0];
  m.stride[1] = bias->strides[0];
  return matrix_of(&m);
}

mfqn_epilogue epilogue_of(const mfq_gemm_problem *problem) {
  mfqn_epilogue e = {problem->has_c, problem->has_bias, (int32_t)problem->activation, 1.0f, 1.0f};
  if (!problem->device_scalars && problem->alpha != NULL) e.alpha = *problem->alpha;
  if (!problem->device_scalars && problem->beta != NULL) e.beta = *problem->beta;
  return e;
}

typedef void (*epilogue_entry)(epilogue_params);

/* By activation. */
const epilogue_entry entries[] = {epilogue_kernel<MFQN_ACTIVATION_NONE>, epilogue_kernel<MFQN_ACTIVATION_RELU>,
                                  epilogue_kernel<MFQN_ACTIVATION_GELU>, epilogue_kernel<MFQN_ACTIVATION_GELU_TANH>,
                                  epilogue_kernel<MFQN_ACTIVATION_SILU>};

} // namespace

epilogue_params mfq_cuda_gemm_epilogue(const mfq_gemm_problem *problem, const mfq_cuda_sums *sums, float *values) {
  const int64_t m = problem->m, n = problem->n, row_items = (n + EPILOGUE_COLS - 1) / EPILOGUE_COLS;
  const mfq_matrix sum_rows = rows_of_floats(sums->data, sums->rows, n, sums->row_stride);
  const mfq_matrix summed = batches_of_floats(sum_rows, sums->batches, sums->batch_stride);
  const mfq_matrix dense = batches_of_floats(rows_of_floats(values, m, n, n), problem->batches, m * n);
  epilogue_params p = {};
  p.epilogue = epilogue_of(problem);
  if (problem->device_scalars) p.alpha = problem->alpha;
  if (problem->device_scalars && problem->has_c) p.beta = problem->beta;
  p.sums = matrix_of(&summed);
  if (problem->has_c) p.c = matrix_of(&problem->c);
  if (problem->has_bias) p.bias = bias_of(&problem->bias);
  p.d = matrix_of(problem->is_d_quantized ? &dense : &problem->d);
  p.a = factor_of(&problem->a);
  p.b = factor_of(&problem->b);
  p.first_batch = sums->first_batch;
  p.first_row = sums->first_row;
  p.items = sums->batches * sums->rows * row_items;
  p.cols = n;
  p.row_items = divisor64_make(row_items > 0 ? row_items : 1);
  p.rows = divisor64_make(sums->rows > 0 ? sums->rows : 1);
  return p;
}

int mfq_cuda_gemm_is_bare(const mfq_gemm_problem *problem) {
  return !problem->has_c && !problem->has_bias && problem->alpha == NULL && !problem->is_d_quantized &&
         problem->activation == MFQ_ACTIVATION_NONE && !has_factor(&problem->a) && !has_factor(&problem->b);
}

mfq_status mfq_cuda_gemm_finish(mfq_context *context, const mfq_gemm_problem *problem, const mfq_cuda_sums *sums,
                                float *values) {
  const epilogue_params p = mfq_cuda_gemm_epilogue(problem, sums, values);
  const mfq_launch at = {problem->function, mfq_cuda_item_grid(p.items), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, entries[problem->activation], p);
}

mfq_status mfq_cuda_gemm_quantize_d(mfq_context *context, const mfq_gemm_problem *problem, float *values) {
  mfq_tensor dense;
  const mfq_status status = mfq_gemm_d_values(problem, values, &dense);
  return status == MFQ_OK ? mfq_cuda_quantize(context, &dense, &problem->d_view, NULL) : status;
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
