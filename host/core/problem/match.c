/* host/core/problem/match.c: a run's problem beside the planned one: shapes, strides, schemes, alignment. */
#include "match.h"

#include <string.h>

#include "conv_problem.h"
#include "finish_make.h"
#include "host/core/error.h"

enum { ALIGN_MOST = 256 };

/* Bytes that an address is a multiple of; memory that planning did not know counts as aligned best. */
static size_t alignment(const void *memory) {
  const uintptr_t address = (uintptr_t)memory | ALIGN_MOST;
  return (size_t)(address & (0 - address));
}

mfq_status mfq_numbers_match(const char *function, const mfq_same_number *rows, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (rows[i].planned == rows[i].given) continue;
    return mfq_fail(MFQ_ERROR_SHAPE, function, "%s: %s is %lld, but the plan was made for %lld; make another plan",
                    rows[i].argument, rows[i].what, (long long)rows[i].given, (long long)rows[i].planned);
  }
  return MFQ_OK;
}

mfq_status mfq_memory_match(const char *function, const char *argument, const void *planned, const void *given) {
  if (given == NULL || alignment(given) >= alignment(planned)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                  "%s: memory at %p is aligned to %zu bytes, but the plan was made for %zu%s; align it, or plan with "
                  "this pointer",
                  argument, given, alignment(given), alignment(planned), planned == NULL ? " (it was given NULL)" : "");
}

mfq_status mfq_matrix_match(const char *function, const char *argument, const mfq_matrix *planned,
                            const mfq_matrix *given) {
  const mfq_same_number rows[] = {{argument, "the dtype", (int)planned->dtype, (int)given->dtype},
                                  {argument, "the stride of rows", planned->stride[0], given->stride[0]},
                                  {argument, "the stride of columns", planned->stride[1], given->stride[1]},
                                  {argument, "the number of batch axes", planned->batch_rank, given->batch_rank}};
  mfq_status status = mfq_numbers_match(function, rows, sizeof rows / sizeof rows[0]);
  for (int32_t d = 0; status == MFQ_OK && d < planned->batch_rank; ++d) {
    const mfq_same_number axis[] = {
        {argument, "the size of a batch axis", planned->batch_shape[d], given->batch_shape[d]},
        {argument, "the stride of a batch axis", planned->batch_stride[d], given->batch_stride[d]}};
    status = mfq_numbers_match(function, axis, sizeof axis / sizeof axis[0]);
  }
  return status == MFQ_OK ? mfq_memory_match(function, argument, planned->data, given->data) : status;
}

mfq_status mfq_view_match(const char *function, const char *argument, const mfq_qview *planned,
                          const mfq_qview *given) {
  const mfq_layout *a = &planned->q.layout, *b = &given->q.layout;
  mfq_scheme first = planned->q.scheme, second = given->q.scheme;
  first.axis = planned->sizes.axis;
  second.axis = given->sizes.axis;
  if (first.signs == second.signs) first.sign_seed = second.sign_seed; /* new signs in each step need no new plan */
  if (!mfq_scheme_equal(&first, &second)) {
    char names[2][MFQ_SCHEME_TEXT_MAX] = {"", ""};
    const mfq_status printed = mfq_scheme_print(&first, names[0], sizeof names[0]);
    if (printed != MFQ_OK || mfq_scheme_print(&second, names[1], sizeof names[1]) != MFQ_OK) return MFQ_ERROR_INTERNAL;
    return mfq_fail(MFQ_ERROR_SHAPE, function, "%s: the scheme is %s, but the plan was made for %s; make another plan",
                    argument, names[1], names[0]);
  }
  const mfq_same_number rows[] = {{argument, "the rank", planned->q.rank, given->q.rank},
                                  {argument, "layout.codes", (int)a->codes, (int)b->codes},
                                  {argument, "layout.packing", (int)a->packing, (int)b->packing},
                                  {argument, "layout.scales", (int)a->scales, (int)b->scales},
                                  {argument, "layout.row_align", a->row_align, b->row_align}};
  mfq_status status = mfq_numbers_match(function, rows, sizeof rows / sizeof rows[0]);
  if (status == MFQ_OK) status = mfq_memory_match(function, argument, planned->q.codes, given->q.codes);
  return status == MFQ_OK ? mfq_memory_match(function, argument, planned->q.scales, given->q.scales) : status;
}

static mfq_status kinds_match(const char *function, const char *argument, const mfq_gemm_side *planned,
                              const mfq_gemm_side *given) {
  const mfq_same_number kind = {argument, "the kind of operand (0 plain, 1 quantized, 2 quantized on the way in)",
                                (int)planned->kind, (int)given->kind};
  return mfq_numbers_match(function, &kind, 1);
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

static mfq_status gemm_side_match(const char *function, const char *argument, const mfq_gemm_side *planned,
                                  const mfq_gemm_side *given) {
  const mfq_same_number rows[] = {
      {argument, "the number of batches", planned->batches, given->batches},
      {argument, "the number of rows", planned->rows, given->rows},
      {argument, "K", planned->depth, given->depth},
      {argument, "1 with rows last in memory, 0 with K last,", planned->is_transposed, given->is_transposed}};
  mfq_status status = kinds_match(function, argument, planned, given);
  if (status == MFQ_OK) status = mfq_numbers_match(function, rows, sizeof rows / sizeof rows[0]);
  if (status == MFQ_OK && planned->kind != MFQ_SIDE_QUANTIZED)
    status = mfq_matrix_match(function, argument, &planned->matrix, &given->matrix);
  if (status == MFQ_OK && planned->kind != MFQ_SIDE_PLAIN)
    status = mfq_view_match(function, argument, &planned->view, &given->view);
  return status;
}

mfq_status mfq_gemm_problem_match(const char *function, const mfq_gemm_problem *plan, const mfq_gemm_problem *run) {
  const mfq_same_number rows[] = {{"gemm", "the number of batches", plan->batches, run->batches},
                                  {"gemm", "M", plan->m, run->m},
                                  {"gemm", "N", plan->n, run->n},
                                  {"gemm", "K", plan->k, run->k},
                                  {"gemm", "round_operands", plan->round_operands, run->round_operands}};
  mfq_status status = mfq_numbers_match(function, rows, sizeof rows / sizeof rows[0]);
  if (status == MFQ_OK) status = mfq_finish_match(function, "gemm", &plan->finish, &run->finish);
  if (status == MFQ_OK) status = gemm_side_match(function, "a", &plan->a, &run->a);
  if (status == MFQ_OK) status = gemm_side_match(function, "b", &plan->b, &run->b);
  if (status != MFQ_OK) return status;
  const mfq_finish *planned = &plan->finish, *given = &run->finish;
  return planned->is_d_quantized ? mfq_view_match(function, "quantized_d", &planned->d_view, &given->d_view)
                                 : mfq_matrix_match(function, "d", &planned->d, &given->d);
}

/* ---- Convolutions ------------------------------------------------------------------------------------------------ */

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

static mfq_status conv_side_match(const char *function, const char *argument, const mfq_conv_side *planned,
                                  const mfq_conv_side *given) {
  const mfq_gemm_side *a = &planned->part, *b = &given->part;
  const int is_quantized = a->kind == MFQ_SIDE_QUANTIZED;
  const mfq_same_number dtype = {argument, "the dtype", (int)a->tensor.dtype, (int)b->tensor.dtype};
  mfq_status status = kinds_match(function, argument, a, b);
  if (status == MFQ_OK) status = mfq_numbers_match(function, &dtype, 1);
  for (int i = 0; status == MFQ_OK && i < MFQ_CONV_AXES; ++i) {
    const mfq_same_number stride = {argument, "a stride", planned->stride[i], given->stride[i]};
    const mfq_same_number place = {argument, "the order of axes: the place of one", planned->axis[i], given->axis[i]};
    if (is_quantized || planned->size[i] > 1) status = mfq_numbers_match(function, is_quantized ? &place : &stride, 1);
  }
  if (status == MFQ_OK && !is_quantized) status = mfq_memory_match(function, argument, a->tensor.data, b->tensor.data);
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
  for (int i = 0; status == MFQ_OK && i < 3; ++i)
    status = conv_side_match(function, run->names[i], planned[i], given[i]);
  if (status != MFQ_OK || !plan->finish.is_d_quantized) return status;
  return result_match(function, &plan->finish, &run->finish);
}
