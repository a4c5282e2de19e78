/* host/onednn/onednn_product.c: matrix products by oneDNN, and the table that libmfq asks for.
 *
 * A run creates and destroys four of oneDNN's memory objects and a stream, some hundred bytes on the heap: they name the
 * caller's memory, and oneDNN has no other way to be told it by several threads at once. The matrices and the scratchpad
 * are the caller's, so nothing that grows with the sizes is allocated. */
#include <mfq/base.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/onednn_module.h"
#include "dnnl_calls.h"

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP && defined(_OPENMP)
#include <omp.h>
/* oneDNN takes as many threads as the calling thread's next parallel region would; returns what that was. */
static int set_threads(int threads) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads); /* of this thread only */
  return before;
}
#else
static int set_threads(int threads) { return threads; } /* it has one */
#endif

enum { SRC, WEIGHTS, DST, OPERANDS };

static char library[32];

typedef struct onednn_plan {
  dnnl_engine_t engine;
  dnnl_primitive_attr_t attr;
  dnnl_primitive_desc_t implementation;
  dnnl_primitive_t primitive;
  mfq_dnnl_desc desc[OPERANDS];
  mfq_dnnl_desc scratchpad; /* the implementation's own */
  const char *name;         /* likewise */
  int threads;
} onednn_plan;

/* Where a reason is written. */
typedef struct reason_text {
  char *text;
  size_t capacity;
} reason_text;

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
  dnnl_status_t status = dnnl_success;
  for (int i = 0; i < OPERANDS && status == dnnl_success; ++i)
    plan->desc[i] = describe(shape->batches, size[i], stride[i], i == DST ? shape->out : shape->in, &status);
  return status;
}

/* f32 stays f32, whatever the environment says, and the scratchpad is the caller's. */
static dnnl_status_t choose(onednn_plan *plan) {
  dnnl_status_t status = dnnl_engine_create(&plan->engine, dnnl_cpu, 0);
  if (status == dnnl_success) status = dnnl_primitive_attr_create(&plan->attr);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(plan->attr, dnnl_scratchpad_mode_user);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_fpmath_mode(plan->attr, dnnl_fpmath_mode_strict);
  if (status == dnnl_success) status = mfq_dnnl_matmul(&plan->implementation, plan->engine, plan->attr, plan->desc);
  if (status == dnnl_success)
    status = dnnl_primitive_desc_query(plan->implementation, dnnl_query_impl_info_str, 0, &plan->name);
  if (status != dnnl_success) return status;
  plan->scratchpad = dnnl_primitive_desc_query_md(plan->implementation, dnnl_query_scratchpad_md, 0);
  return dnnl_primitive_create(&plan->primitive, plan->implementation);
}

static void onednn_plan_free(void *memory) {
  onednn_plan *plan = memory;
  if (plan == NULL) return;
  if (plan->primitive != NULL) (void)dnnl_primitive_destroy(plan->primitive);
  if (plan->implementation != NULL) (void)dnnl_primitive_desc_destroy(plan->implementation);
  if (plan->attr != NULL) (void)dnnl_primitive_attr_destroy(plan->attr);
  for (int i = 0; i < OPERANDS; ++i) mfq_dnnl_desc_free(plan->desc[i]);
  if (plan->engine != NULL) (void)dnnl_engine_destroy(plan->engine);
  free(plan);
}

static void explain(dnnl_status_t status, const mfq_onednn_shape *shape, reason_text why) {
  const char *type = shape->in == MFQ_DTYPE_F32 ? "f32" : "bf16";
  if (status == dnnl_unimplemented || status == dnnl_invalid_arguments)
    (void)snprintf(why.text, why.capacity, "%s has no implementation for %s of this shape and these strides here",
                   library, type);
  else if (status == dnnl_out_of_memory)
    (void)snprintf(why.text, why.capacity, "%s is out of memory", library);
  else
    (void)snprintf(why.text, why.capacity, "%s fails with status %d", library, (int)status);
}

static void *onednn_plan_make(const mfq_onednn_shape *shape, char *reason, size_t capacity) {
  const reason_text why = {reason, capacity};
  onednn_plan *plan = calloc(1, sizeof *plan);
  if (plan == NULL) {
    explain(dnnl_out_of_memory, shape, why);
    return NULL;
  }
  plan->threads = shape->threads;
  dnnl_status_t status = describe_all(plan, shape);
  if (status == dnnl_success) {
    const int before = set_threads(plan->threads);
    status = choose(plan);
    (void)set_threads(before);
  }
  if (status == dnnl_success && strncmp(plan->name, "ref", 3) != 0) return plan;
  if (status != dnnl_success)
    explain(status, shape, why);
  else
    (void)snprintf(reason, capacity, "%s has only its slow reference (%s) for %s of this shape here", library,
                   plan->name, shape->in == MFQ_DTYPE_F32 ? "f32" : "bf16");
  onednn_plan_free(plan);
  return NULL;
}

static const char *onednn_plan_name(const void *memory) { return ((const onednn_plan *)memory)->name; }

static size_t onednn_workspace_bytes(const void *memory) {
  return dnnl_memory_desc_get_size(((const onednn_plan *)memory)->scratchpad);
}

/* ---- Running ---------------------------------------------------------------------------------------------------- */

static dnnl_status_t execute(const onednn_plan *plan, dnnl_exec_arg_t *args, int count) {
  dnnl_stream_t stream = NULL;
  dnnl_status_t status = dnnl_stream_create(&stream, plan->engine, dnnl_stream_default_flags);
  if (status == dnnl_success) status = dnnl_primitive_execute(plan->primitive, stream, count, args);
  if (status == dnnl_success) status = dnnl_stream_wait(stream);
  if (stream != NULL) (void)dnnl_stream_destroy(stream);
  return status;
}

static int onednn_run(const void *memory, const void *a, const void *b, void *d, void *workspace) {
  const onednn_plan *plan = memory;
  const mfq_dnnl_desc desc[] = {plan->desc[SRC], plan->desc[WEIGHTS], plan->desc[DST], plan->scratchpad};
  void *const data[] = {(void *)a, (void *)b, d, workspace};
  dnnl_exec_arg_t args[] = {
      {DNNL_ARG_SRC, NULL}, {DNNL_ARG_WEIGHTS, NULL}, {DNNL_ARG_DST, NULL}, {DNNL_ARG_SCRATCHPAD, NULL}};
  const int count = onednn_workspace_bytes(plan) > 0 ? 4 : 3;
  const int before = set_threads(plan->threads);
  dnnl_status_t status = dnnl_success;
  int made = 0;
  for (; made < count && status == dnnl_success; ++made)
    status = dnnl_memory_create(&args[made].memory, desc[made], plan->engine, data[made]);
  if (status == dnnl_success) status = execute(plan, args, count);
  for (int i = 0; i < made; ++i)
    if (args[i].memory != NULL) (void)dnnl_memory_destroy(args[i].memory);
  (void)set_threads(before);
  return (int)status;
}

/* ---- The table -------------------------------------------------------------------------------------------------- */

static void name_library(void) {
  const dnnl_version_t *version = dnnl_version();
  (void)snprintf(library, sizeof library, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}

static const mfq_onednn module = {
    .version = MFQ_VERSION_STRING,
    .module_bytes = sizeof(mfq_onednn),
    .shape_bytes = sizeof(mfq_onednn_shape),
    .library = library,
    .plan = onednn_plan_make,
    .plan_free = onednn_plan_free,
    .plan_name = onednn_plan_name,
    .workspace_bytes = onednn_workspace_bytes,
    .run = onednn_run,
};

MFQ_EXPORT const mfq_onednn *mfq_onednn_module(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, name_library);
  return &module;
}
