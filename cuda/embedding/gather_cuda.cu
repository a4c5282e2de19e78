/* cuda/embedding/gather_cuda.cu: the ways to gather rows: 16 bytes of a plain row, an element, a code a thread; the values
 * of rotated codes meet in a block. */
#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "gather_kernel.cuh"

/* ---- Plain rows -------------------------------------------------------------------------------------------------- */

static mfq_status plan_rows(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_tensor *table = cast->src, *y = cast->dst;
  gather_rows_params *p;
  if (cast->view) return mfq_refuse(why, "%s", "");
  if (table->dtype != y->dtype) return mfq_refuse(why, "rows of another type");
  if (table->shape[1] > 1 && (table->strides[1] != 1 || y->strides[1] != 1))
    return mfq_refuse(why, "rows are not contiguous");
  const mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  if (status != MFQ_OK) return status;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(y->dtype), row_bytes = y->shape[1] * bytes;
  p->table = (const uint8_t *)table->data;
  p->y = (uint8_t *)y->data;
  p->table_bytes = table->strides[0] * bytes;
  p->y_bytes = y->strides[0] * bytes;
  const int64_t steps = row_bytes | (table->shape[0] > 1 ? p->table_bytes : 0) | (y->shape[0] > 1 ? p->y_bytes : 0);
  if (((int64_t)(uintptr_t)p->table | (int64_t)(uintptr_t)p->y | steps) % 16 != 0)
    return mfq_refuse(why, "rows are not multiples of 16 bytes");
  p->units = divisor64_make(mfq_larger(row_bytes / 16, 1));
  p->count = y->shape[0] * (row_bytes / 16);
  p->nan = y->dtype == MFQ_DTYPE_F32 ? 0x7fc00000u : y->dtype == MFQ_DTYPE_BF16 ? 0x7fc07fc0u : 0x7e007e00u;
  mfq_choice_describe(choice, "16 bytes a thread");
  return MFQ_OK;
}

static mfq_status run_rows(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  gather_rows_params p = *(const gather_rows_params *)state;
  p.indices = index_view_of(cast->indexing);
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, gather_rows_kernel, p);
}

/* ---- Anything ---------------------------------------------------------------------------------------------------- */

static mfq_status gather_elements(mfq_context *context, const mfq_cast *cast) {
  const mfq_tensor *y = cast->dst;
  gather_elements_params p = {};
  p.indices = index_view_of(cast->indexing);
  p.table = matrix_view_of(cast->src);
  p.y = matrix_view_of(y);
  p.count = y->shape[0] * y->shape[1];
  p.cols = divisor64_make(mfq_larger(y->shape[1], 1));
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, gather_elements_kernel, p);
}

static mfq_status gather_codes(mfq_context *context, const mfq_cast *cast) {
  const mfq_qview *view = cast->view;
  const mfq_tensor *y = cast->dst;
  mfq_scale_axis axes[MFQ_MAX_RANK];
  int64_t bits[MFQ_MAX_RANK];
  gather_codes_params p = {};
  mfq_scale_axes(view, axes);
  mfq_code_bit_strides(view, bits);
  mfq_lower(&view->q.scheme, &p.scheme);
  p.indices = index_view_of(cast->indexing);
  p.slots = mfq_cuda_scale_slots(view);
  p.codes = (const uint8_t *)view->q.codes;
  p.bits = mfq_code_bits(&view->q);
  p.row = code_axis{bits[0], axes[0].stride, divisor64_make(axes[0].run)};
  p.col = code_axis{bits[1], axes[1].stride, divisor64_make(axes[1].run)};
  p.y = matrix_view_of(y);
  p.count = y->shape[0] * y->shape[1];
  p.cols = divisor64_make(mfq_larger(y->shape[1], 1));
  const int is_rotated = mfq_cast_is_rotated(cast);
  const unsigned threads = is_rotated ? (unsigned)ROTATION_THREADS : (unsigned)ITEM_THREADS;
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.count), threads, 0};
  return mfq_cuda_launch(context, at, is_rotated ? gather_rotated_kernel : gather_codes_kernel, p);
}

static mfq_status plan_general(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  if (cast->view && cast->view->q.rank != 2) return mfq_refuse(why, "a table has two axes");
  return mfq_plan_general(context, problem, choice, why);
}

static mfq_status run_general(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  return cast->view ? gather_codes(context, cast) : gather_elements(context, cast);
}

static const mfq_way by_rows = {"rows", plan_rows, run_rows, NULL},
                     general = {"general", plan_general, run_general, NULL};

const mfq_ways mfq_cuda_gathers = {"mfq_gather", NULL, 0, {&by_rows, &general}};
