/* host/onednn/onednn_product.c: matrix products by oneDNN, and the table that libmfq asks for. */
#include <mfq/base.h>

#include <stdlib.h>
#include <string.h>

#include "host/core/module/onednn_module.h"
#include "onednn_conv.h"
#include "onednn_parts.h"

enum { SRC, WEIGHTS, DST, OPERANDS };

typedef struct onednn_plan {
  mfq_dnnl_place place;
  mfq_dnnl_made matmul;
  mfq_dnnl_desc desc[OPERANDS];
  int threads;
} onednn_plan;

/* ---- Planning --------------------------------------------------------------------------------------------------- */

/* Gives an axis of one element the stride that it has in dense memory, which oneDNN knows best. Returns 0 for strides
 * that oneDNN has no words for. */
static int tidy_strides(const dnnl_dim_t size[2], dnnl_dim_t stride[2]) {
  if ((size[0] > 1 && stride[0] < 1) || (size[1] > 1 && stride[1] < 1)) return 0;
  if (size[1] == 1) stride[1] = size[0] == 1 || stride[0] > 1 ? 1 : size[0];
  if (size[0] == 1) stride[0] = stride[1] == 1 ? size[1] : 1;
  return stride[0] == 1 || stride[1] == 1;
}

/* A matrix, or a batch of them; one that all batches share is a batch of one. */
static mfq_dnnl_desc describe(int64_t batches, const int64_t size[2], const int64_t stride[3], mfq_dtype dtype,
                              dnnl_status_t *status) {
  const dnnl_data_type_t type = dtype == MFQ_DTYPE_F32 ? dnnl_f32 : dnnl_bf16;
  const int rank = batches == 1 ? 2 : 3;
  dnnl_dims_t dims = {stride[0] == 0 ? 1 : batches, size[0], size[1]};
  dnnl_dims_t strides = {stride[0], stride[1], stride[2]};
  *status = dnnl_unimplemented;
  if (stride[0] < 0 || !tidy_strides(dims + 1, strides + 1)) return NULL;
  if (dims[0] == 1)
    strides[0] = dims[1] * strides[1] > dims[2] * strides[2] ? dims[1] * strides[1] : dims[2] * strides[2];
  return mfq_dnnl_desc_create(rank, dims + 3 - rank, strides + 3 - rank, type, status);
}

static dnnl_status_t describe_all(onednn_plan *plan, const mfq_onednn_shape *shape) {
  const int64_t size[OPERANDS][2] = {{shape->m, shape->k}, {shape->k, shape->n}, {shape->m, shape->n}};
  const int64_t *const stride[OPERANDS] = {shape->a_stride, shape->b_stride, shape->d_stride};
  const int64_t sizes[] = {shape->batches, shape->m, shape->n, shape->k};
  dnnl_status_t status = mfq_dnnl_sizes_check(sizes, sizeof sizes / sizeof sizes[0]);
  for (int i = 0; i < OPERANDS && status == dnnl_success; ++i)
    plan->desc[i] = describe(shape->batches, size[i], stride[i], i == DST ? shape->out : shape->in, &status);
  return status;
}

static dnnl_status_t choose(onednn_plan *plan) {
  dnnl_status_t status = mfq_dnnl_place_open(&plan->place);
  if (status == dnnl_success)
    status = mfq_dnnl_matmul(&plan->matmul.implementation, plan->place.engine, plan->place.attr, plan->desc);
  return status == dnnl_success ? mfq_dnnl_make(&plan->matmul) : status;
}

static void onednn_plan_free(void *memory) {
  onednn_plan *plan = memory;
  if (plan == NULL) return;
  mfq_dnnl_unmake(&plan->matmul);
  for (int i = 0; i < OPERANDS; ++i) mfq_dnnl_desc_free(plan->desc[i]);
  mfq_dnnl_place_close(&plan->place);
  free(plan);
}

static void *onednn_plan_make(const mfq_onednn_shape *shape, char *reason, size_t capacity) {
  const mfq_dnnl_reason why = {reason, capacity};
  onednn_plan *plan = calloc(1, sizeof *plan);
  if (plan == NULL) {
    mfq_dnnl_explain(dnnl_out_of_memory, shape->in, NULL, why);
    return NULL;
  }
  plan->threads = shape->threads;
  dnnl_status_t status = describe_all(plan, shape);
  if (status == dnnl_success) {
    const int before = mfq_dnnl_set_threads(plan->threads);
    status = choose(plan);
    (void)mfq_dnnl_set_threads(before);
  }
  if (status == dnnl_success && strncmp(plan->matmul.name, "ref", 3) != 0) return plan;
  mfq_dnnl_explain(status, shape->in, plan->matmul.name, why);
  onednn_plan_free(plan);
  return NULL;
}

static const char *onednn_plan_name(const void *memory) { return ((const onednn_plan *)memory)->matmul.name; }

static size_t onednn_workspace_bytes(const void *memory) { return ((const onednn_plan *)memory)->matmul.scratch_bytes; }

/* ---- Running ---------------------------------------------------------------------------------------------------- */

static int onednn_run(const void *memory, const void *a, const void *b, void *d, void *workspace) {
  const onednn_plan *plan = memory;
  const mfq_dnnl_call call = {.made = &plan->matmul,
                              .engine = plan->place.engine,
                              .args = {{DNNL_ARG_SRC, plan->desc[SRC], (void *)(uintptr_t)a},
                                       {DNNL_ARG_WEIGHTS, plan->desc[WEIGHTS], (void *)(uintptr_t)b},
                                       {DNNL_ARG_DST, plan->desc[DST], d}},
                              .count = OPERANDS,
                              .scratch = workspace};
  const int before = mfq_dnnl_set_threads(plan->threads);
  const dnnl_status_t status = mfq_dnnl_execute(&call);
  (void)mfq_dnnl_set_threads(before);
  return (int)status;
}

/* ---- Instruction sets ------------------------------------------------------------------------------------------- */

static int onednn_limit(mfq_cpu_level highest) {
  static const dnnl_cpu_isa_t isas[MFQ_LEVELS] = {[MFQ_LEVEL_REFERENCE] = dnnl_cpu_isa_sse41,
                                                  [MFQ_LEVEL_BASELINE] = dnnl_cpu_isa_sse41,
                                                  [MFQ_LEVEL_AVX2] = dnnl_cpu_isa_avx2,
                                                  [MFQ_LEVEL_AVX512] = dnnl_cpu_isa_avx512_core,
                                                  [MFQ_LEVEL_AVX512_BF16] = dnnl_cpu_isa_avx512_core_bf16};
  if (dnnl_set_max_cpu_isa(isas[highest]) == dnnl_success) return 1;
  return ((int)dnnl_get_effective_cpu_isa() & ~(int)isas[highest]) == 0; /* values are sets of instructions */
}

/* ---- The table -------------------------------------------------------------------------------------------------- */

static const mfq_onednn module = {
    .version = MFQ_VERSION_STRING,
    .module_bytes = sizeof(mfq_onednn),
    .shape_bytes = sizeof(mfq_onednn_shape),
    .conv_bytes = sizeof(mfq_onednn_conv),
    .library = mfq_dnnl_library,
    .spawn = mfq_dnnl_spawn,
    .limit = onednn_limit,
    .plan = onednn_plan_make,
    .plan_free = onednn_plan_free,
    .plan_name = onednn_plan_name,
    .workspace_bytes = onednn_workspace_bytes,
    .run = onednn_run,
    .conv_plan = mfq_dnnl_conv_plan,
    .conv_plan_free = mfq_dnnl_conv_plan_free,
    .conv_plan_name = mfq_dnnl_conv_plan_name,
    .conv_workspace_bytes = mfq_dnnl_conv_workspace_bytes,
    .conv_prepare = mfq_dnnl_conv_prepare,
    .conv_run = mfq_dnnl_conv_run,
    .conv_order = mfq_dnnl_conv_order,
};

MFQ_EXPORT const mfq_onednn *mfq_onednn_module(void) {
  mfq_dnnl_name_library();
  return &module;
}
