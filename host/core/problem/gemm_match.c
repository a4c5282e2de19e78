/* host/core/problem/gemm_match.c: a run's product beside the planned one: shapes, strides, schemes, alignment. The
 * parts of it serve convolutions too. */
#include <string.h>

#include "host/core/error.h"
#include "finish_make.h"
#include "match.h"

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

static mfq_status side_match(const char *function, const char *argument, const mfq_gemm_side *planned,
                             const mfq_gemm_side *given) {
  const mfq_same_number rows[] = {
      {argument, "the kind of operand (0 plain, 1 quantized, 2 quantized on the way in)", (int)planned->kind,
       (int)given->kind},
      {argument, "the number of batches", planned->batches, given->batches},
      {argument, "the number of rows", planned->rows, given->rows},
      {argument, "K", planned->depth, given->depth},
      {argument, "1 with rows last in memory, 0 with K last,", planned->is_transposed, given->is_transposed}};
  mfq_status status = mfq_numbers_match(function, rows, sizeof rows / sizeof rows[0]);
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
  if (status == MFQ_OK) status = side_match(function, "a", &plan->a, &run->a);
  if (status == MFQ_OK) status = side_match(function, "b", &plan->b, &run->b);
  if (status != MFQ_OK) return status;
  const mfq_finish *planned = &plan->finish, *given = &run->finish;
  return planned->is_d_quantized ? mfq_view_match(function, "quantized_d", &planned->d_view, &given->d_view)
                                 : mfq_matrix_match(function, "d", &planned->d, &given->d);
}
