/* cuda/fakequant/fake_eden.cu: the way to fake-quantize with scales that correct each other. */
#include "fake_eden.h"

#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/quantize/eden_cuda.h"
#include "fake_eden_kernel.cuh"

static_assert(sizeof(fake_eden_params) <= 4096, "a kernel takes so many bytes");

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_scheme *scheme = &((const mfq_cast *)problem)->view->q.scheme;
  if (scheme->eden == 0 || scheme->rule == MFQ_RULE_GIVEN) return mfq_refuse(why, "%s", "");
  const mfq_status status = mfq_plan_general(context, problem, choice, why);
  mfq_choice_describe(choice, "a thread for the scales that correct each other");
  return status;
}

static mfq_status measure(const mfq_scale_job *job, const mfq_tensor *src, fake_eden_params *p) {
  float *tensor_scale = (float *)(void *)mfq_cuda_scratch_word(job->context, SCRATCH_TENSOR_SCALE);
  const mfq_status status = mfq_cuda_measure(job, src, &p->from);
  p->tensor_scale = tensor_scale;
  return status == MFQ_OK ? mfq_cuda_tensor_scale(job, &p->from, tensor_scale) : status;
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview *view = cast->view;
  const int32_t axis = view->sizes.axis;
  fake_eden_params p = {};
  mfq_walk from, to;
  mfq_lower(&view->q.scheme, &p.scheme);
  const mfq_scale_job job = {context, cast->function, view, &p.scheme};
  const mfq_status status = measure(&job, cast->src, &p);
  if (status != MFQ_OK) return status;
  mfq_walk_init(view, cast->src->strides, &from);
  mfq_walk_init(view, cast->dst->strides, &to);
  const mfq_walk_extras extras = {to.offset_stride, nullptr, 1};
  p.from.boxes = mfq_cuda_box_plan(&from, &extras);
  p.from.src = mfq_cuda_rotated_view(cast->src, view);
  if (cast->scales) {
    p.walk = mfq_cuda_tensor_walk(cast->scales);
    p.wanted = mfq_cuda_element_view(cast->scales);
  }
  p.dst = mfq_cuda_element_view(cast->dst);
  p.seed = context->seed;
  p.offset = context->offset;
  p.runs = mfq_cuda_eden_runs(view);
  const int32_t place = mfq_code_place(view, axis);
  p.step = linear{cast->src->strides[axis], cast->dst->strides[axis], from.logical_stride[place]};
  p.length = view->q.shape[axis];
  p.group = view->q.scheme.group_size;
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.runs.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, fake_eden_kernel, p);
}

const mfq_way mfq_cuda_fake_eden = {"corrections", plan, run, NULL};
