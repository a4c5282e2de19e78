/* host/core/problem/conv_match.c: a run's convolution beside the planned one, field by field; the first difference
 * becomes the sentence. */
#include "conv_problem.h"
#include "finish_make.h"
#include "match.h"

static mfq_status sizes_match(const char *function, const mfq_conv_problem *plan, const mfq_conv_problem *run) {
  const mfq_same_number rows[] = {
      {"conv",
       "the direction (0 forward, 1 input's gradient, 2 weight's gradient; of the convolution underneath a "
       "transposed one)",
       (int)plan->direction, (int)run->direction},
      {"conv", "the batch", plan->batch, run->batch},
      {"conv", "groups", plan->groups, run->groups},
      {"conv", "the number of input channels in a group", plan->in_channels, run->in_channels},
      {"conv", "the number of output channels in a group", plan->out_channels, run->out_channels},
      {"conv", "round_operands", plan->round_operands, run->round_operands}};
  mfq_status status = mfq_numbers_match(function, rows, sizeof rows / sizeof rows[0]);
  for (int i = 0; status == MFQ_OK && i < 3; ++i) {
    const mfq_same_number axis[] = {{"conv", "a size of the input", plan->in[i], run->in[i]},
                                    {"conv", "a size of the filter", plan->filter[i], run->filter[i]},
                                    {"conv", "a size of the output", plan->out[i], run->out[i]},
                                    {"conv", "stride", plan->stride[i], run->stride[i]},
                                    {"conv", "dilation", plan->dilation[i], run->dilation[i]},
                                    {"conv", "padding", plan->padding[i], run->padding[i]}};
    status = mfq_numbers_match(function, axis, sizeof axis / sizeof axis[0]);
  }
  return status;
}

static mfq_status side_match(const char *function, const char *argument, const mfq_conv_side *planned,
                             const mfq_conv_side *given) {
  const mfq_gemm_side *a = &planned->part, *b = &given->part;
  const mfq_same_number rows[] = {
      {argument, "the kind of operand (0 plain, 1 quantized, 2 quantized on the way in)", (int)a->kind, (int)b->kind},
      {argument, "the dtype", (int)a->tensor.dtype, (int)b->tensor.dtype}};
  mfq_status status = mfq_numbers_match(function, rows, sizeof rows / sizeof rows[0]);
  for (int i = 0; status == MFQ_OK && a->kind != MFQ_SIDE_QUANTIZED && i < MFQ_CONV_AXES; ++i) {
    const mfq_same_number axis = {argument, "a stride", planned->stride[i], given->stride[i]};
    if (planned->size[i] > 1) status = mfq_numbers_match(function, &axis, 1);
  }
  for (int i = 0; status == MFQ_OK && a->kind == MFQ_SIDE_QUANTIZED && i < MFQ_CONV_AXES; ++i) {
    const mfq_same_number axis = {argument, "the order of axes: the place of one", planned->axis[i], given->axis[i]};
    status = mfq_numbers_match(function, &axis, 1);
  }
  if (status == MFQ_OK && a->kind != MFQ_SIDE_QUANTIZED)
    status = mfq_memory_match(function, argument, a->tensor.data, b->tensor.data);
  if (status == MFQ_OK && a->kind != MFQ_SIDE_PLAIN) status = mfq_view_match(function, argument, &a->view, &b->view);
  return status;
}

/* A quantized result's order of axes shows in the strides of its values. */
static mfq_status result_match(const char *function, const mfq_finish *plan, const mfq_finish *run) {
  mfq_status status = mfq_view_match(function, "quantized_result", &plan->d_view, &run->d_view);
  for (int32_t d = 0; status == MFQ_OK && d < plan->d_view.q.rank; ++d) {
    const mfq_same_number axis = {"quantized_result", "the place of an axis", plan->value_strides[d],
                                  run->value_strides[d]};
    status = mfq_numbers_match(function, &axis, 1);
  }
  return status;
}

mfq_status mfq_conv_problem_match(const char *function, const mfq_conv_problem *plan, const mfq_conv_problem *run) {
  const mfq_conv_side *const planned[] = {&plan->x, &plan->w, &plan->y}, *const given[] = {&run->x, &run->w, &run->y};
  mfq_status status = sizes_match(function, plan, run);
  if (status == MFQ_OK) status = mfq_finish_match(function, "conv", &plan->finish, &run->finish);
  for (int i = 0; status == MFQ_OK && i < 3; ++i) status = side_match(function, run->names[i], planned[i], given[i]);
  if (status != MFQ_OK || !plan->finish.is_d_quantized) return status;
  return result_match(function, &plan->finish, &run->finish);
}
