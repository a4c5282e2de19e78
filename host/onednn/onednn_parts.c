/* host/onednn/onednn_parts.c: engines, primitives and reasons: oneDNN's scratchpad is the caller's workspace, its
 * threads are those of the team that calls. */
#include "onednn_parts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP && defined(_OPENMP)
#include <omp.h>
static int set_threads(int threads) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads); /* of this thread only */
  return before;
}

static void spawn(int threads, void (*body)(void *user, int thread), void *user) {
#pragma omp parallel num_threads(threads)
  body(user, omp_get_thread_num());
}
#else
static int set_threads(int threads) { return threads; } /* it has one */

static void spawn(int threads, void (*body)(void *user, int thread), void *user) {
  (void)threads;
  body(user, 0);
}
#endif

static char library[32]; /* "oneDNN 2.6.3", once it was named */

static void name_library(void) {
  const dnnl_version_t *version = dnnl_version();
  (void)snprintf(library, sizeof library, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}

/* ---- Planning ----------------------------------------------------------------------------------------------------- */

dnnl_status_t mfq_dnnl_place_open(mfq_dnnl_place *place) {
  dnnl_status_t status = dnnl_engine_create(&place->engine, dnnl_cpu, 0);
  if (status == dnnl_success) status = dnnl_primitive_attr_create(&place->attr);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(place->attr, dnnl_scratchpad_mode_user);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_fpmath_mode(place->attr, dnnl_fpmath_mode_strict);
  return status;
}

dnnl_status_t mfq_dnnl_make(mfq_dnnl_made *made) {
  const dnnl_status_t status =
      dnnl_primitive_desc_query(made->implementation, dnnl_query_impl_info_str, 0, &made->name);
  if (status != dnnl_success) return status;
  made->scratchpad = dnnl_primitive_desc_query_md(made->implementation, dnnl_query_scratchpad_md, 0);
  made->scratch_bytes = dnnl_memory_desc_get_size(made->scratchpad);
  return dnnl_primitive_create(&made->primitive, made->implementation);
}

/* oneDNN computes in bf16 from AVX-512 on; of other processors than x86-64 nothing is known. */
static int lacks_bf16(void) {
#if defined(__x86_64__)
  return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) != dnnl_cpu_isa_avx512_core;
#else
  return 0;
#endif
}

dnnl_status_t mfq_dnnl_sizes_check(const int64_t *sizes, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (sizes[i] > INT32_MAX) return dnnl_unimplemented;
  return dnnl_success;
}

/* Where the reason of a plan goes. */
typedef struct reason {
  char *text;
  size_t capacity;
} reason;

/* Why nothing came of a plan; `name` is that of the implementation where there is one. */
static void explain(dnnl_status_t status, mfq_dtype dtype, const char *name, reason why) {
  const char *type = dtype == MFQ_DTYPE_F32 ? "f32" : "bf16";
  if (status == dnnl_success)
    (void)snprintf(why.text, why.capacity, "%s has only its slow reference (%s) for %s of this shape here", library,
                   name, type);
  else if (status == dnnl_unimplemented && dtype == MFQ_DTYPE_BF16 && lacks_bf16())
    (void)snprintf(why.text, why.capacity, "%s has no bf16 for the instructions of this processor", library);
  else if (status == dnnl_unimplemented || status == dnnl_invalid_arguments)
    (void)snprintf(why.text, why.capacity, "%s has no implementation for %s of this shape and these strides here",
                   library, type);
  else if (status == dnnl_out_of_memory)
    (void)snprintf(why.text, why.capacity, "%s is out of memory", library);
  else
    (void)snprintf(why.text, why.capacity, "%s fails with status %d", library, (int)status);
}

static void unmake(mfq_dnnl_made *made) {
  if (made->primitive != NULL) (void)dnnl_primitive_destroy(made->primitive);
  if (made->implementation != NULL) (void)dnnl_primitive_desc_destroy(made->implementation);
}

static void plan_free(void *memory) {
  mfq_dnnl_plan *plan = memory;
  if (plan == NULL) return;
  unmake(&plan->reorder);
  unmake(&plan->main);
  for (int i = 0; i < MFQ_DNNL_OPERANDS; ++i) mfq_dnnl_desc_free(plan->desc[i]);
  mfq_dnnl_desc_free(plan->any_w);
  if (plan->place.attr != NULL) (void)dnnl_primitive_attr_destroy(plan->place.attr);
  if (plan->place.engine != NULL) (void)dnnl_engine_destroy(plan->place.engine);
  free(plan);
}

/* The plan of a product, or, without a shape, of a convolution. */
static void *plan_make(const mfq_onednn_shape *shape, const mfq_onednn_conv *conv, reason why) {
  const mfq_dtype dtype = shape != NULL ? shape->in : conv->from;
  mfq_dnnl_plan *plan = calloc(1, sizeof *plan);
  if (plan == NULL) {
    explain(dnnl_out_of_memory, dtype, NULL, why);
    return NULL;
  }
  plan->threads = shape != NULL ? shape->threads : conv->threads;
  if (conv != NULL) plan->conv = *conv;
  const int before = set_threads(plan->threads);
  const dnnl_status_t status = shape != NULL ? mfq_dnnl_choose_product(plan, shape) : mfq_dnnl_choose_conv(plan);
  (void)set_threads(before);
  const char *name = plan->main.name;
  const int is_reference =
      status == dnnl_success && (strncmp(name, "ref", 3) == 0 || (conv != NULL && strstr(name, ":ref") != NULL));
  if (status == dnnl_success && !is_reference) return plan;
  explain(status, dtype, name, why);
  plan_free(plan);
  return NULL;
}

static void *product_plan(const mfq_onednn_shape *shape, char *text, size_t capacity) {
  return plan_make(shape, NULL, (reason){text, capacity});
}

static void *conv_plan(const mfq_onednn_conv *conv, char *text, size_t capacity) {
  return plan_make(NULL, conv, (reason){text, capacity});
}

static const char *plan_name(const void *memory) { return ((const mfq_dnnl_plan *)memory)->main.name; }

static size_t workspace_bytes(const void *memory) {
  const mfq_dnnl_plan *plan = memory;
  const size_t a = plan->main.scratch_bytes, b = plan->reorder.scratch_bytes;
  return plan->w_bytes + (a > b ? a : b);
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

typedef struct argument {
  int kind; /* DNNL_ARG_... */
  mfq_dnnl_desc desc;
  void *data; /* the caller's; oneDNN only reads its inputs */
} argument;

static dnnl_status_t execute_on_stream(const mfq_dnnl_plan *plan, const mfq_dnnl_made *made,
                                       const dnnl_exec_arg_t *args, int count) {
  dnnl_stream_t stream = NULL;
  dnnl_status_t status = dnnl_stream_create(&stream, plan->place.engine, dnnl_stream_default_flags);
  if (status == dnnl_success) status = dnnl_primitive_execute(made->primitive, stream, count, args);
  if (status == dnnl_success) status = dnnl_stream_wait(stream);
  if (stream != NULL) (void)dnnl_stream_destroy(stream);
  return status;
}

/* Runs a primitive on arguments whose last place is for the scratchpad. It creates and destroys four of oneDNN's memory
 * objects and a stream, some hundred bytes on the heap: they name the caller's memory, and oneDNN has no other way to be
 * told it by several threads at once. The arrays and the scratchpad are the caller's, so nothing that grows with the
 * sizes is allocated. */
static dnnl_status_t execute(const mfq_dnnl_plan *plan, const mfq_dnnl_made *made, argument *given, int count,
                             uint8_t *workspace) {
  dnnl_exec_arg_t args[MFQ_DNNL_OPERANDS + 1];
  dnnl_status_t status = dnnl_success;
  int made_count = 0;
  if (made->scratch_bytes > 0)
    given[count++] = (argument){DNNL_ARG_SCRATCHPAD, made->scratchpad, workspace + plan->w_bytes};
  for (; made_count < count && status == dnnl_success; ++made_count) {
    const argument *a = &given[made_count];
    args[made_count] = (dnnl_exec_arg_t){a->kind, NULL};
    status = dnnl_memory_create(&args[made_count].memory, a->desc, plan->place.engine, a->data);
  }
  if (status == dnnl_success) status = execute_on_stream(plan, made, args, count);
  for (int i = 0; i < made_count; ++i)
    if (args[i].memory != NULL) (void)dnnl_memory_destroy(args[i].memory);
  return status;
}

/* The operand that has an order of its own, to it or back. */
static dnnl_status_t reorder(const mfq_dnnl_plan *plan, int operand, void *data, int is_back, void *workspace) {
  argument own = {DNNL_ARG_TO, plan->own_w, workspace}, given = {DNNL_ARG_FROM, plan->desc[operand], data};
  if (is_back) {
    own.kind = DNNL_ARG_FROM;
    given.kind = DNNL_ARG_TO;
  }
  argument args[MFQ_DNNL_OPERANDS + 1] = {given, own};
  return execute(plan, &plan->reorder, args, 2, workspace);
}

/* The operand in the workspace, or -1. */
static int own_operand(const mfq_dnnl_plan *plan) {
  for (int i = 0; i < MFQ_DNNL_OPERANDS; ++i)
    if (plan->where[i] == MFQ_DNNL_OWN) return i;
  return -1;
}

static int prepare(const void *memory, const void *w, void *workspace) {
  const mfq_dnnl_plan *plan = memory;
  const int before = set_threads(plan->threads);
  const dnnl_status_t status = reorder(plan, own_operand(plan), (void *)(uintptr_t)w, 0, workspace);
  (void)set_threads(before);
  return (int)status;
}

static int run(const void *memory, const void *a, const void *b, void *result, void *workspace) {
  const mfq_dnnl_plan *plan = memory;
  void *const data[] = {(void *)(uintptr_t)a, (void *)(uintptr_t)b, result, workspace};
  argument args[MFQ_DNNL_OPERANDS + 1];
  int writes_result = 0;
  for (int i = 0; i < MFQ_DNNL_OPERANDS; ++i) {
    const mfq_dnnl_where where = plan->where[i];
    args[i] = (argument){plan->kind[i], where == MFQ_DNNL_OWN ? plan->own_w : plan->desc[i], data[where]};
    writes_result |= where == MFQ_DNNL_RESULT;
  }
  const int before = set_threads(plan->threads);
  dnnl_status_t status = execute(plan, &plan->main, args, MFQ_DNNL_OPERANDS, workspace);
  if (status == dnnl_success && !writes_result) status = reorder(plan, own_operand(plan), result, 1, workspace);
  (void)set_threads(before);
  return (int)status;
}

/* ---- The table ---------------------------------------------------------------------------------------------------- */

static int limit(mfq_cpu_level highest) {
  static const dnnl_cpu_isa_t isas[MFQ_LEVELS] = {[MFQ_LEVEL_REFERENCE] = dnnl_cpu_isa_sse41,
                                                  [MFQ_LEVEL_BASELINE] = dnnl_cpu_isa_sse41,
                                                  [MFQ_LEVEL_AVX2] = dnnl_cpu_isa_avx2,
                                                  [MFQ_LEVEL_AVX512] = dnnl_cpu_isa_avx512_core,
                                                  [MFQ_LEVEL_AVX512_BF16] = dnnl_cpu_isa_avx512_core_bf16};
  if (dnnl_set_max_cpu_isa(isas[highest]) == dnnl_success) return 1;
  return ((int)dnnl_get_effective_cpu_isa() & ~(int)isas[highest]) == 0; /* values are sets of instructions */
}

static const mfq_onednn module = {
    .version = MFQ_VERSION_STRING,
    .module_bytes = sizeof(mfq_onednn),
    .shape_bytes = sizeof(mfq_onednn_shape),
    .conv_bytes = sizeof(mfq_onednn_conv),
    .library = library,
    .spawn = spawn,
    .limit = limit,
    .plan = product_plan,
    .conv_plan = conv_plan,
    .plan_free = plan_free,
    .plan_name = plan_name,
    .workspace_bytes = workspace_bytes,
    .prepare = prepare,
    .run = run,
    .order = mfq_dnnl_conv_order,
};

MFQ_EXPORT const mfq_onednn *mfq_onednn_module(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, name_library);
  return &module;
}
