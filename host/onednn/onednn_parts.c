/* host/onednn/onednn_parts.c: engines, primitives and reasons: oneDNN's scratchpad is the caller's workspace, its
 * threads are those of the team that calls. */
#include "onednn_parts.h"

#include <pthread.h>
#include <stdio.h>

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP && defined(_OPENMP)
#include <omp.h>
int mfq_dnnl_set_threads(int threads) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads); /* of this thread only */
  return before;
}

void mfq_dnnl_spawn(int threads, void (*body)(void *user, int thread), void *user) {
#pragma omp parallel num_threads(threads)
  body(user, omp_get_thread_num());
}
#else
int mfq_dnnl_set_threads(int threads) { return threads; } /* it has one */

void mfq_dnnl_spawn(int threads, void (*body)(void *user, int thread), void *user) {
  (void)threads;
  body(user, 0);
}
#endif

char mfq_dnnl_library[32];

static void name_library(void) {
  const dnnl_version_t *version = dnnl_version();
  (void)snprintf(mfq_dnnl_library, sizeof mfq_dnnl_library, "oneDNN %d.%d.%d", version->major, version->minor,
                 version->patch);
}

void mfq_dnnl_name_library(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, name_library);
}

/* ---- Planning ----------------------------------------------------------------------------------------------------- */

dnnl_status_t mfq_dnnl_place_open(mfq_dnnl_place *place) {
  dnnl_status_t status = dnnl_engine_create(&place->engine, dnnl_cpu, 0);
  if (status == dnnl_success) status = dnnl_primitive_attr_create(&place->attr);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(place->attr, dnnl_scratchpad_mode_user);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_fpmath_mode(place->attr, dnnl_fpmath_mode_strict);
  return status;
}

void mfq_dnnl_place_close(mfq_dnnl_place *place) {
  if (place->attr != NULL) (void)dnnl_primitive_attr_destroy(place->attr);
  if (place->engine != NULL) (void)dnnl_engine_destroy(place->engine);
}

dnnl_status_t mfq_dnnl_make(mfq_dnnl_made *made) {
  const dnnl_status_t status =
      dnnl_primitive_desc_query(made->implementation, dnnl_query_impl_info_str, 0, &made->name);
  if (status != dnnl_success) return status;
  made->scratchpad = dnnl_primitive_desc_query_md(made->implementation, dnnl_query_scratchpad_md, 0);
  made->scratch_bytes = dnnl_memory_desc_get_size(made->scratchpad);
  return dnnl_primitive_create(&made->primitive, made->implementation);
}

void mfq_dnnl_unmake(mfq_dnnl_made *made) {
  if (made->primitive != NULL) (void)dnnl_primitive_destroy(made->primitive);
  if (made->implementation != NULL) (void)dnnl_primitive_desc_destroy(made->implementation);
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

void mfq_dnnl_explain(dnnl_status_t status, mfq_dtype dtype, const char *name, mfq_dnnl_reason why) {
  const char *type = dtype == MFQ_DTYPE_F32 ? "f32" : "bf16";
  if (status == dnnl_success)
    (void)snprintf(why.text, why.capacity, "%s has only its slow reference (%s) for %s of this shape here",
                   mfq_dnnl_library, name, type);
  else if (status == dnnl_unimplemented && dtype == MFQ_DTYPE_BF16 && lacks_bf16())
    (void)snprintf(why.text, why.capacity, "%s has no bf16 for the instructions of this processor", mfq_dnnl_library);
  else if (status == dnnl_unimplemented || status == dnnl_invalid_arguments)
    (void)snprintf(why.text, why.capacity, "%s has no implementation for %s of this shape and these strides here",
                   mfq_dnnl_library, type);
  else if (status == dnnl_out_of_memory)
    (void)snprintf(why.text, why.capacity, "%s is out of memory", mfq_dnnl_library);
  else
    (void)snprintf(why.text, why.capacity, "%s fails with status %d", mfq_dnnl_library, (int)status);
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

static dnnl_status_t execute(const mfq_dnnl_call *call, const dnnl_exec_arg_t *args, int count) {
  dnnl_stream_t stream = NULL;
  dnnl_status_t status = dnnl_stream_create(&stream, call->engine, dnnl_stream_default_flags);
  if (status == dnnl_success) status = dnnl_primitive_execute(call->made->primitive, stream, count, args);
  if (status == dnnl_success) status = dnnl_stream_wait(stream);
  if (stream != NULL) (void)dnnl_stream_destroy(stream);
  return status;
}

dnnl_status_t mfq_dnnl_execute(const mfq_dnnl_call *call) {
  dnnl_exec_arg_t args[MFQ_DNNL_ARGS + 1];
  mfq_dnnl_arg given[MFQ_DNNL_ARGS + 1];
  dnnl_status_t status = dnnl_success;
  int count = call->count, made = 0;
  for (int i = 0; i < count; ++i) given[i] = call->args[i];
  if (call->made->scratch_bytes > 0)
    given[count++] = (mfq_dnnl_arg){DNNL_ARG_SCRATCHPAD, call->made->scratchpad, call->scratch};
  for (; made < count && status == dnnl_success; ++made) {
    args[made] = (dnnl_exec_arg_t){given[made].kind, NULL};
    status = dnnl_memory_create(&args[made].memory, given[made].desc, call->engine, given[made].data);
  }
  if (status == dnnl_success) status = execute(call, args, count);
  for (int i = 0; i < made; ++i)
    if (args[i].memory != NULL) (void)dnnl_memory_destroy(args[i].memory);
  return status;
}
