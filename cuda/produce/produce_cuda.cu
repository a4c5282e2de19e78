/* cuda/produce/produce_cuda.cu: the ways of producers, and the last one: float32 results, and codes of them as quantizing
 * makes them. */
#include "host/core/integers.h"
#include "cuda/cuda_context.h"
#include "made_cuda.h"

static mfq_cast quantize_of(const mfq_cast *cast, const mfq_tensor *results) {
  const mfq_made *made = cast->made;
  mfq_cast codes = mfq_cast_quantize(results, made->row ? made->row : made->col, made->row ? made->col : NULL);
  codes.function = cast->function;
  return codes;
}

/* Whether what is plain is float32 and dense: codes are made of it then. */
static int is_dense(const mfq_made *made) {
  const mfq_made_side *plain = &made->plain;
  if (!plain->data || plain->dtype != MFQ_DTYPE_F32 || (made->cols > 1 && plain->col_stride != 1)) return 0;
  int64_t step = made->cols;
  for (int32_t i = made->axes - 1; i >= 0; --i) {
    if (made->shape[i] > 1 && plain->row_strides[i] != step) return 0;
    step *= made->shape[i];
  }
  return 1;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  if (!cast->made && !cast->view) return mfq_plan_general(context, problem, choice, why);
  if (cast->made && !cast->made->row && !cast->made->col) {
    mfq_choice_describe(choice, "8 elements a thread");
    return MFQ_OK;
  }
  mfq_choice_describe(choice, "float32 results, then codes of them");
  choice->is_general = 1;
  return MFQ_OK;
}

static mfq_status make_rows(mfq_context *context, const mfq_cast *cast, float *dense) {
  const mfq_made *made = cast->made;
  const int64_t slab = mfq_cuda_made_slab(made);
  made_slabs slabs;
  int64_t first = 0;
  mfq_status status = mfq_cuda_made_start(context, cast->function, made, &slabs);
  do { /* of no rows there is a loss */
    const int64_t rows = mfq_smaller(made->rows - first, slab);
    if (status == MFQ_OK) status = mfq_cuda_made_numbers(context, cast->function, made, &slabs, first, rows);
    if (status == MFQ_OK) status = mfq_cuda_made_map(context, cast->function, made, &slabs.params, dense);
    first += rows;
  } while (status == MFQ_OK && first < made->rows);
  return status;
}

static mfq_status run(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_made *made = cast->made;
  mfq_tensor results = made->result;
  void *dense = NULL;
  const int has_codes = made->row || made->col;
  mfq_status status = MFQ_OK;
  if (has_codes && !is_dense(made))
    status = mfq_cuda_scratch(context, cast->function, (size_t)(made->rows * made->cols) * sizeof(float), &dense);
  if (status == MFQ_OK) status = make_rows(context, cast, (float *)dense);
  if (status != MFQ_OK || !has_codes) return status;
  results.dtype = MFQ_DTYPE_F32;
  results.data = dense ? dense : made->plain.data;
  const mfq_cast codes = quantize_of(cast, &results);
  return mfq_cuda_cast(context, &codes);
}

static const mfq_way general = {"general", plan, run, NULL};

const mfq_ways mfq_cuda_producers = {"mfq_norm_forward", NULL, 0, {&mfq_cuda_produce_fast, &general}};
