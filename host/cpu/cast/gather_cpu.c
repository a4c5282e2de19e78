/* host/cpu/cast/gather_cpu.c: rows of a plain table by their numbers: whole rows, and element by element. */
#include "host/core/error.h"
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "host/cpu/cpu_state.h"
#include "elements.h"
#include "indices.h"

enum { ENOUGH_TO_SHARE = 1 << 16 }; /* elements */

mfq_status mfq_indices_check(const mfq_cast *cast) {
  const mfq_indexing *x = cast->indexing;
  for (int64_t i = 0; i < x->indices.count; ++i) {
    const int64_t index = mfq_index_at(&x->indices, i);
    if ((uint64_t)index >= (uint64_t)x->rows)
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, cast->function,
                      "%s: index %lld, at position %lld, is no row of the table; it has %lld, counted from 0",
                      x->argument, (long long)index, (long long)i, (long long)x->rows);
  }
  return MFQ_OK;
}

int mfq_row_threads(const mfq_context *context, int64_t elements) {
  return elements < ENOUGH_TO_SHARE ? 1 : (int)context->threads;
}

typedef struct gather_work {
  const mfq_cast *cast;
  const mfq_kernels *kernels; /* NULL: element by element */
} gather_work;

static void convert_elements(const mfq_tensor *from, int64_t row, const mfq_tensor *to, int64_t i) {
  const size_t bytes = mfq_dtype_bytes(from->dtype);
  for (int64_t j = 0; j < to->shape[1]; ++j) {
    const int64_t source = row * from->strides[0] + j * from->strides[1];
    const int64_t target = i * to->strides[0] + j * to->strides[1];
    if (from->dtype == to->dtype)
      memcpy((uint8_t *)to->data + target * (int64_t)bytes, (const uint8_t *)from->data + source * (int64_t)bytes,
             bytes);
    else
      mfq_element_store(to->data, to->dtype, target,
                        mfqn_one_nan(mfqn_float_of(mfq_element_load(from->data, from->dtype, source))));
  }
}

static void convert_row(const mfq_kernels *kernels, mfq_source from, uint8_t *to, mfq_dtype dtype, int64_t n) {
  uint32_t x[MFQ_CHUNK];
  const uint8_t *source = from.data;
  const int64_t from_bytes = (int64_t)mfq_dtype_bytes(from.dtype), to_bytes = (int64_t)mfq_dtype_bytes(dtype);
  for (int64_t j = 0; j < n; j += MFQ_CHUNK) {
    const int64_t count = n - j < MFQ_CHUNK ? n - j : MFQ_CHUNK;
    kernels->load(x, source + j * from_bytes, from.dtype, count);
    for (int64_t k = 0; k < count; ++k) x[k] = mfqn_one_nan(mfqn_float_of(x[k]));
    kernels->store(to + j * to_bytes, dtype, x, count);
  }
}

static void gather_rows(void *work, int thread, int64_t first, int64_t end) {
  const gather_work *w = work;
  const mfq_tensor *from = w->cast->src, *to = w->cast->dst;
  const int64_t n = to->shape[1], to_bytes = (int64_t)mfq_dtype_bytes(to->dtype);
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    const int64_t row = mfq_index_at(&w->cast->indexing->indices, i);
    const uint8_t *source =
        (const uint8_t *)from->data + row * from->strides[0] * (int64_t)mfq_dtype_bytes(from->dtype);
    uint8_t *target = (uint8_t *)to->data + i * to->strides[0] * to_bytes;
    if (w->kernels == NULL)
      convert_elements(from, row, to, i);
    else if (from->dtype == to->dtype)
      memcpy(target, source, (size_t)(n * to_bytes));
    else
      convert_row(w->kernels, (mfq_source){source, from->dtype}, target, to->dtype, n);
  }
}

static mfq_status gather(mfq_context *context, const mfq_cast *cast, const mfq_kernels *kernels) {
  const mfq_status status = mfq_indices_check(cast);
  const int64_t n = cast->dst->shape[0], elements = n * cast->dst->shape[1];
  if (status == MFQ_OK && elements > 0)
    mfq_team_run((mfq_loop){mfq_row_threads(context, elements), n, 0}, gather_rows, &(gather_work){cast, kernels});
  return status;
}

static mfq_status plan_rows(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const mfq_kernels *kernels = mfq_cpu_kernels(context);
  if (cast->view) return mfq_refuse(why, "%s", "");
  if (!kernels) return mfq_refuse(why, "the context asks for the reference path");
  if (!mfq_has_dense_rows(cast->src) || !mfq_has_dense_rows(cast->dst))
    return mfq_refuse(why, "rows are not contiguous");
  mfq_choice_describe(choice, "vector loops (%s)", kernels->isa);
  return MFQ_OK;
}

static mfq_status run_rows(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  (void)state;
  (void)memory;
  return gather(context, problem, mfq_cpu_kernels(context));
}

static mfq_status plan_elements(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (cast->view) return mfq_refuse(why, "a table of codes has two axes");
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run_elements(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  (void)state;
  (void)memory;
  return gather(context, problem, NULL);
}

static const mfq_way by_rows = {"rows", plan_rows, run_rows, NULL},
                     by_elements = {"reference", plan_elements, run_elements, NULL};

const mfq_ways mfq_cpu_gathers = {.create = "mfq_gather", .ways = {&mfq_gather_codes, &by_rows, &by_elements}};
