/* cuda/conv/batch_part.cu: images, their memory and their sums. */
#include "conv_cuda.h"

#include "host/core/integers.h"
#include "host/core/module/context_state.h"
#include "host/core/problem/walk.h"

namespace {

/* ---- What can be taken apart ------------------------------------------------------------------------------------- */

/* Axis 0 of the view is the batch. */
int splits_view(const mfq_qview *view, int64_t images, int is_quantized_here) {
  const mfq_scheme *s = &view->q.scheme;
  mfq_scale_axis scales[MFQ_MAX_RANK];
  int64_t bits[MFQ_MAX_RANK];
  mfq_scale_axes(view, scales);
  mfq_code_bit_strides(view, bits);
  if (view->q.layout.scales == MFQ_SCALES_128X4 || images * bits[0] % 8 != 0) return 0;
  if (s->granularity == MFQ_GRANULARITY_GROUP && view->sizes.axis == 0) return 0;
  if (!is_quantized_here) return 1;
  if (s->rounding == MFQ_ROUND_STOCHASTIC) return 0;
  const int is_of_all = s->scale != MFQ_SCALE_NONE && (scales[0].stride == 0 || view->sizes.tensor_scale_bytes != 0);
  return s->rule == MFQ_RULE_GIVEN || !is_of_all;
}

int splits_side(const mfq_conv_side *side, int64_t images) {
  const mfq_gemm_side *part = &side->part;
  return part->kind == MFQ_SIDE_PLAIN || splits_view(&part->view, images, part->kind == MFQ_SIDE_TO_QUANTIZE);
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

/* Of the first image; `memory` may be NULL at planning. */
void *moved(const mfq_images *at, void *memory, int64_t bits_of_image) {
  const uintptr_t start = (uintptr_t)memory, step = (uintptr_t)(at->first * bits_of_image / 8), low = step & (0 - step);
  if (step == 0 || (at->is_planned && start % (2 * low) != 0)) return memory;
  return (void *)(start + step); // NOLINT(performance-no-int-to-ptr): NULL has no offsets
}

void take_view(const mfq_images *at, mfq_qview *view) {
  mfq_qtensor *q = &view->q;
  mfq_qtensor_sizes *z = &view->sizes;
  const int64_t batch = q->shape[0];
  mfq_scale_axis scales[MFQ_MAX_RANK];
  int64_t bits[MFQ_MAX_RANK];
  mfq_scale_axes(view, scales);
  mfq_code_bit_strides(view, bits);
  q->codes = moved(at, q->codes, bits[0]);
  q->shape[0] = z->padded_shape[0] = at->count;
  z->codes_bytes = (size_t)mfq_ceil_div(at->count * bits[0], 8);
  if (scales[0].stride == 0) return;
  const int64_t scale_bytes = (int64_t)z->scales_bytes / batch, zero_bytes = (int64_t)z->zero_points_bytes / batch;
  q->scales = moved(at, q->scales, scale_bytes * 8);
  q->zero_points = moved(at, q->zero_points, zero_bytes * 8);
  z->scale_shape[0] = at->count;
  z->scale_count = z->scale_count / batch * at->count;
  z->scales_bytes = (size_t)(scale_bytes * at->count);
  z->zero_points_bytes = (size_t)(zero_bytes * at->count);
}

/* A tensor in our order. */
void take_tensor(const mfq_images *at, mfq_tensor *tensor) {
  tensor->data = moved(at, tensor->data, tensor->strides[0] * (int64_t)mfq_dtype_bytes(tensor->dtype) * 8);
  tensor->shape[0] = at->count;
}

/* The same as a matrix: its first batch axis begins with the images. */
void take_matrix(const mfq_images *at, int64_t batch, const mfq_tensor *tensor, mfq_matrix *matrix) {
  matrix->data = tensor->data;
  matrix->batch_shape[0] = matrix->batch_shape[0] / batch * at->count;
}

void take_side(const mfq_images *at, mfq_conv_side *side) {
  const mfq_images in_workspace = {0, at->count, 0};
  side->size[0] = at->count;
  if (side->part.kind != MFQ_SIDE_QUANTIZED) take_tensor(at, &side->part.tensor);
  if (side->part.kind != MFQ_SIDE_PLAIN)
    take_view(side->part.kind == MFQ_SIDE_QUANTIZED ? at : &in_workspace, &side->part.view);
}

/* ---- The finish -------------------------------------------------------------------------------------------------- */

/* Behind FORWARD and INPUT_GRADIENT, whose first factor is the gathered operand's. */
void take_finish(const mfq_images *at, int64_t batch, mfq_conv_problem *part) {
  mfq_finish *f = &part->finish;
  f->batches = f->batches / batch * at->count;
  if (f->a.batches > 1) f->a.batches = f->batches;
  if (f->is_d_quantized)
    take_view(at, &f->d_view);
  else
    take_matrix(at, batch, &mfq_conv_result(part)->part.tensor, &f->d);
  if (!f->has_c) return;
  take_tensor(at, &part->c);
  take_matrix(at, batch, &part->c, &f->c);
}

/* Behind WEIGHT_GRADIENT. */
void add_to(const mfq_images *at, int64_t batch, float *total, mfq_conv_problem *part) {
  static const float nothing = 0.0f;
  mfq_conv_side *w = &part->w;
  mfq_tensor *tensor = &w->part.tensor;
  mfq_finish *f = &part->finish;
  int64_t step = 1;
  tensor->data = total;
  tensor->dtype = w->part.matrix.dtype = MFQ_DTYPE_F32;
  for (int i = MFQ_CONV_CHANNELS; i >= 0; --i) {
    tensor->strides[i] = w->stride[i] = step;
    step *= w->size[i];
  }
  f->d = mfq_matrix{total, MFQ_DTYPE_F32, f->m, f->n, {f->n, 1}, 1, {f->batches}, {f->m * f->n}};
  f->c = f->d;
  part->c = *tensor;
  part->k = part->k / batch * at->count;
  f->has_c = 1;
  f->alpha = NULL;
  f->beta = at->first == 0 ? &nothing : NULL;
  f->device_scalars = f->is_d_quantized = 0;
  f->a = f->b = mfq_factors{};
}

} // namespace

int mfq_cuda_conv_splits(const mfq_context *context, const mfq_conv_problem *problem, int64_t images) {
  const int is_weight = problem->direction == MFQ_CONV_WEIGHT_GRADIENT;
  if (problem->batch < 2 || (is_weight && context->policy == MFQ_REPRODUCIBLE)) return 0;
  if (!splits_side(&problem->x, images) || !splits_side(&problem->y, images)) return 0;
  return is_weight || !problem->finish.is_d_quantized || splits_view(&problem->finish.d_view, images, 1);
}

void mfq_cuda_conv_part(const mfq_conv_problem *problem, const mfq_images *at, float *total, mfq_conv_problem *part) {
  *part = *problem;
  part->batch = at->count;
  take_side(at, &part->x);
  take_side(at, &part->y);
  if (problem->direction == MFQ_CONV_WEIGHT_GRADIENT)
    add_to(at, problem->batch, total, part);
  else
    take_finish(at, problem->batch, part);
}
