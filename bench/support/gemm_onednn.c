/* bench/support/gemm_onednn.c: the peer on the CPU: oneDNN as its own users call it, with B in the layout that it likes
 * best (format "any", reordered before anything is timed). Shares no code with the library. */
#include <stdlib.h>
#include <string.h>

#include "gemm_run.h"

#if !defined(MFQ_BENCH_ONEDNN)

void *gemm_onednn_create(const gemm_memory *memory, char *about, size_t capacity) {
  (void)memory;
  (void)snprintf(about, capacity, "none: this benchmark was built without oneDNN (dnnl.h, libdnnl)");
  return NULL;
}
int gemm_onednn_run(void *state, int threads, int turn) {
  (void)state, (void)threads, (void)turn;
  return BENCH_FAILED;
}
void gemm_onednn_destroy(void *state) { (void)state; }

#else

#include <dnnl.h>
#if defined(_OPENMP)
#include <omp.h>
#endif

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t desc_ref;
#else
typedef const dnnl_memory_desc_t *desc_ref;
#endif

enum { SRC, WEIGHTS, DST, OPERANDS, ALIGNMENT = 64 };

typedef struct onednn {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t implementation;
  dnnl_primitive_t matmul;
  dnnl_memory_t *memories[OPERANDS]; /* of each slot */
  int slots[OPERANDS];
  void *packed;
} onednn;

/* ---- Descriptions ----------------------------------------------------------------------------------------------- */

typedef struct matrix {
  dnnl_dims_t dims;
  dnnl_data_type_t type;
  dnnl_format_tag_t tag;
} matrix;

static matrix matrix_of(int64_t rows, int64_t cols, dnnl_data_type_t type, dnnl_format_tag_t tag) {
  matrix m = {.type = type, .tag = tag};
  m.dims[0] = rows;
  m.dims[1] = cols;
  return m;
}

#if DNNL_VERSION_MAJOR >= 3

static desc_ref describe(const matrix *m) {
  dnnl_memory_desc_t desc = NULL;
  return dnnl_memory_desc_create_with_tag(&desc, 2, m->dims, m->type, m->tag) == dnnl_success ? desc : NULL;
}
static void forget(desc_ref desc) { (void)dnnl_memory_desc_destroy((dnnl_memory_desc_t)desc); }
static dnnl_status_t choose(onednn *o, desc_ref src, desc_ref weights, desc_ref dst) {
  return dnnl_matmul_primitive_desc_create(&o->implementation, o->engine, src, weights, NULL, dst, NULL);
}

#else

static desc_ref describe(const matrix *m) {
  dnnl_memory_desc_t *desc = malloc(sizeof *desc);
  if (desc != NULL && dnnl_memory_desc_init_by_tag(desc, 2, m->dims, m->type, m->tag) == dnnl_success) return desc;
  free(desc);
  return NULL;
}
static void forget(desc_ref desc) { free((dnnl_memory_desc_t *)desc); }
static dnnl_status_t choose(onednn *o, desc_ref src, desc_ref weights, desc_ref dst) {
  dnnl_matmul_desc_t operation;
  const dnnl_status_t status = dnnl_matmul_desc_init(&operation, src, weights, NULL, dst);
  return status == dnnl_success ? dnnl_primitive_desc_create(&o->implementation, &operation, NULL, o->engine, NULL)
                                : status;
}

#endif

/* ---- Making ----------------------------------------------------------------------------------------------------- */

static dnnl_status_t name_slots(onednn *o, int operand, desc_ref desc, uint8_t *base, const size_t bytes_slots[2]) {
  const int slots = (int)bytes_slots[1];
  dnnl_status_t status = dnnl_success;
  o->memories[operand] = calloc((size_t)slots, sizeof(dnnl_memory_t));
  if (o->memories[operand] == NULL) return dnnl_out_of_memory;
  o->slots[operand] = slots;
  for (int i = 0; status == dnnl_success && i < slots; i++)
    status = dnnl_memory_create(&o->memories[operand][i], desc, o->engine, base + bytes_slots[0] * (size_t)i);
  return status;
}

/* B, which lies as n rows of k, into the layout that the implementation chose, once for each slot. */
static dnnl_status_t pack(onednn *o, const gemm_memory *memory, desc_ref from_desc, desc_ref to_desc) {
  const size_t bytes = (dnnl_memory_desc_get_size(to_desc) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  const size_t shape[2] = {bytes, (size_t)memory->b.count};
  dnnl_primitive_desc_t reorder_desc = NULL;
  dnnl_primitive_t reorder = NULL;
  dnnl_memory_t from = NULL;
  o->packed = aligned_alloc(ALIGNMENT, bytes * (size_t)memory->b.count);
  if (o->packed == NULL) return dnnl_out_of_memory;
  dnnl_status_t status = name_slots(o, WEIGHTS, to_desc, o->packed, shape);
  if (status == dnnl_success)
    status = dnnl_reorder_primitive_desc_create(&reorder_desc, from_desc, o->engine, to_desc, o->engine, NULL);
  if (status == dnnl_success) status = dnnl_primitive_create(&reorder, reorder_desc);
  if (status == dnnl_success) status = dnnl_memory_create(&from, from_desc, o->engine, bench_slot(&memory->b, 0));
  for (int i = 0; status == dnnl_success && i < memory->b.count; i++) {
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, o->memories[WEIGHTS][i]}};
    status = dnnl_primitive_execute(reorder, o->stream, 2, args);
  }
  if (status == dnnl_success) status = dnnl_stream_wait(o->stream);
  (void)dnnl_memory_destroy(from);
  (void)dnnl_primitive_destroy(reorder);
  (void)dnnl_primitive_desc_destroy(reorder_desc);
  return status;
}

static dnnl_status_t build(onednn *o, const gemm_memory *memory) {
  const gemm_size *s = &memory->size;
  const dnnl_data_type_t out = memory->settings->out == MFQ_DTYPE_F32 ? dnnl_f32 : dnnl_bf16;
  const matrix matrices[] = {matrix_of(s->m, s->k, dnnl_bf16, dnnl_ab), matrix_of(s->k, s->n, dnnl_bf16, dnnl_ba),
                             matrix_of(s->m, s->n, out, dnnl_ab),
                             matrix_of(s->k, s->n, dnnl_bf16, dnnl_format_tag_any)};
  const size_t a[2] = {memory->a.bytes, (size_t)memory->a.count}, d[2] = {memory->d.bytes, (size_t)memory->d.count};
  desc_ref desc[4];
  dnnl_status_t status = dnnl_engine_create(&o->engine, dnnl_cpu, 0);
  if (status == dnnl_success) status = dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags);
  for (int i = 0; i < 4; i++) {
    desc[i] = describe(&matrices[i]);
    if (desc[i] == NULL && status == dnnl_success) status = dnnl_invalid_arguments;
  }
  if (status == dnnl_success) status = choose(o, desc[SRC], desc[3], desc[DST]);
  if (status == dnnl_success) status = dnnl_primitive_create(&o->matmul, o->implementation);
  if (status == dnnl_success) status = name_slots(o, SRC, desc[SRC], bench_slot(&memory->a, 0), a);
  if (status == dnnl_success) status = name_slots(o, DST, desc[DST], bench_slot(&memory->d, 0), d);
  if (status == dnnl_success)
    status = pack(o, memory, desc[WEIGHTS], dnnl_primitive_desc_query_md(o->implementation, dnnl_query_weights_md, 0));
  for (int i = 0; i < 4; i++) forget(desc[i]);
  return status;
}

static void set_threads(int threads) {
#if defined(_OPENMP)
  omp_set_num_threads(threads);
#else
  (void)threads;
#endif
}

void *gemm_onednn_create(const gemm_memory *memory, char *about, size_t capacity) {
  onednn *o = calloc(1, sizeof *o);
  const dnnl_version_t *v = dnnl_version();
  const char *implementation = "?";
  set_threads(memory->settings->threads);
  const dnnl_status_t status = o != NULL ? build(o, memory) : dnnl_out_of_memory;
  if (status != dnnl_success) {
    (void)snprintf(about, capacity, "none: oneDNN %d.%d.%d answers with its status %d", v->major, v->minor, v->patch,
                   (int)status);
    gemm_onednn_destroy(o);
    return NULL;
  }
  (void)dnnl_primitive_desc_query(o->implementation, dnnl_query_impl_info_str, 0, &implementation);
  (void)snprintf(about, capacity, "oneDNN %d.%d.%d itself (%s), bf16 x bf16, B packed before", v->major, v->minor,
                 v->patch, implementation);
  return o;
}

int gemm_onednn_run(void *state, int threads, int turn) {
  onednn *o = state;
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, o->memories[SRC][turn % o->slots[SRC]]},
                                  {DNNL_ARG_WEIGHTS, o->memories[WEIGHTS][turn % o->slots[WEIGHTS]]},
                                  {DNNL_ARG_DST, o->memories[DST][turn % o->slots[DST]]}};
  set_threads(threads);
  return dnnl_primitive_execute(o->matmul, o->stream, 3, args) == dnnl_success &&
                 dnnl_stream_wait(o->stream) == dnnl_success
             ? BENCH_OK
             : BENCH_FAILED;
}

void gemm_onednn_destroy(void *state) {
  onednn *o = state;
  if (o == NULL) return;
  for (int k = 0; k < OPERANDS; k++) {
    for (int i = 0; i < o->slots[k]; i++) (void)dnnl_memory_destroy(o->memories[k][i]);
    free(o->memories[k]);
  }
  (void)dnnl_primitive_destroy(o->matmul);
  (void)dnnl_primitive_desc_destroy(o->implementation);
  (void)dnnl_stream_destroy(o->stream);
  (void)dnnl_engine_destroy(o->engine);
  free(o->packed);
  free(o);
}

#endif
