/* bench/gemm/gemm_onednn.c: the peer on the CPU: oneDNN as its own users call it, with B in the layout that it likes
 * best (format "any", reordered before anything is timed). Shares no code with the library.
 *
 * Operands are bf16, or the same numbers in f32 where that is faster: on processors that have no instruction for bf16,
 * oneDNN has none either, or a slow one. */
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
int gemm_onednn_result(void *state) {
  (void)state;
  return BENCH_FAILED;
}
void gemm_onednn_destroy(void *state) { (void)state; }

#else

#include <dnnl.h>

#include "bench/common/onednn_peer.h"

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t desc_ref;
#else
typedef const dnnl_memory_desc_t *desc_ref;
#endif

enum { SRC, WEIGHTS, DST, OPERANDS, ALIGNMENT = 64, TRIALS = 3 };

typedef struct onednn {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t implementation;
  dnnl_primitive_t matmul;
  dnnl_memory_t *memories[OPERANDS]; /* of each slot */
  int slots[OPERANDS];
  void *packed;
  const gemm_memory *memory;
  dnnl_data_type_t type;
  void *wide[OPERANDS]; /* f32 where mfq's memory is bf16 */
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

/* An operand: mfq's memory, or the same in f32. */
typedef struct place {
  uint8_t *base;
  size_t bytes_slots[2];
} place;

static int place_operand(onednn *o, int operand, const bench_slots *slots, int64_t count, place *p) {
  const int is_bf16 = operand != DST || o->memory->settings->out_type == MFQ_DTYPE_BF16;
  *p = (place){bench_slot(slots, 0), {slots->bytes, (size_t)slots->count}};
  if (o->type == dnnl_bf16 || !is_bf16) return 1;
  if (operand == WEIGHTS) p->bytes_slots[1] = 1; /* from which it is packed */
  p->bytes_slots[0] = (4 * (size_t)count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  o->wide[operand] = p->base = aligned_alloc(ALIGNMENT, p->bytes_slots[0] * p->bytes_slots[1]);
  if (p->base == NULL) return 0;
  for (size_t i = 0; operand != DST && i < p->bytes_slots[1]; ++i)
    bench_widen((const uint16_t *)(const void *)bench_slot(slots, (int)i), (size_t)count,
                (float *)(void *)(p->base + i * p->bytes_slots[0]));
  return 1;
}

static dnnl_status_t name_slots(onednn *o, int operand, desc_ref desc, const place *p) {
  const int slots = (int)p->bytes_slots[1];
  dnnl_status_t status = dnnl_success;
  o->memories[operand] = calloc((size_t)slots, sizeof(dnnl_memory_t));
  if (o->memories[operand] == NULL) return dnnl_out_of_memory;
  o->slots[operand] = slots;
  for (int i = 0; status == dnnl_success && i < slots; ++i)
    status = dnnl_memory_create(&o->memories[operand][i], desc, o->engine, p->base + p->bytes_slots[0] * (size_t)i);
  return status;
}

/* B, which lies as n rows of k, into the layout that the implementation chose, once for each slot. */
static dnnl_status_t pack(onednn *o, const place *plain, desc_ref from_desc, desc_ref to_desc) {
  const size_t bytes = (dnnl_memory_desc_get_size(to_desc) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  const int count = o->memory->b.count;
  place packed = {NULL, {bytes, (size_t)count}};
  dnnl_primitive_desc_t reorder_desc = NULL;
  dnnl_primitive_t reorder = NULL;
  dnnl_memory_t from = NULL;
  o->packed = packed.base = aligned_alloc(ALIGNMENT, bytes * (size_t)count);
  if (o->packed == NULL) return dnnl_out_of_memory;
  dnnl_status_t status = name_slots(o, WEIGHTS, to_desc, &packed);
  if (status == dnnl_success)
    status = dnnl_reorder_primitive_desc_create(&reorder_desc, from_desc, o->engine, to_desc, o->engine, NULL);
  if (status == dnnl_success) status = dnnl_primitive_create(&reorder, reorder_desc);
  if (status == dnnl_success) status = dnnl_memory_create(&from, from_desc, o->engine, plain->base);
  for (int i = 0; status == dnnl_success && i < count; ++i) {
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, o->memories[WEIGHTS][i]}};
    status = dnnl_primitive_execute(reorder, o->stream, 2, args);
  }
  if (status == dnnl_success) status = dnnl_stream_wait(o->stream);
  (void)dnnl_memory_destroy(from);
  (void)dnnl_primitive_destroy(reorder);
  (void)dnnl_primitive_desc_destroy(reorder_desc);
  return status;
}

static dnnl_status_t build(onednn *o) {
  const gemm_memory *memory = o->memory;
  const gemm_size *s = &memory->size;
  const dnnl_data_type_t in = o->type, out = memory->settings->out_type == MFQ_DTYPE_F32 ? dnnl_f32 : in;
  const matrix matrices[] = {matrix_of(s->m, s->k, in, dnnl_ab), matrix_of(s->k, s->n, in, dnnl_ba),
                             matrix_of(s->m, s->n, out, dnnl_ab), matrix_of(s->k, s->n, in, dnnl_format_tag_any)};
  place places[OPERANDS];
  desc_ref desc[4];
  dnnl_status_t status = dnnl_engine_create(&o->engine, dnnl_cpu, 0);
  if (status == dnnl_success) status = dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags);
  for (int i = 0; i < 4; ++i) {
    desc[i] = describe(&matrices[i]);
    if (desc[i] == NULL && status == dnnl_success) status = dnnl_invalid_arguments;
  }
  if (status == dnnl_success) status = choose(o, desc[SRC], desc[3], desc[DST]);
  if (status == dnnl_success) status = dnnl_primitive_create(&o->matmul, o->implementation);
  if (status == dnnl_success && (!place_operand(o, SRC, &memory->a, s->m * s->k, &places[SRC]) ||
                                 !place_operand(o, WEIGHTS, &memory->b, s->n * s->k, &places[WEIGHTS]) ||
                                 !place_operand(o, DST, &memory->d, s->m * s->n, &places[DST])))
    status = dnnl_out_of_memory;
  if (status == dnnl_success) status = name_slots(o, SRC, desc[SRC], &places[SRC]);
  if (status == dnnl_success) status = name_slots(o, DST, desc[DST], &places[DST]);
  if (status == dnnl_success)
    status = pack(o, &places[WEIGHTS], desc[WEIGHTS],
                  dnnl_primitive_desc_query_md(o->implementation, dnnl_query_weights_md, 0));
  for (int i = 0; i < 4; ++i) forget(desc[i]);
  return status;
}

int gemm_onednn_run(void *state, int threads, int turn) {
  onednn *o = state;
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, o->memories[SRC][turn % o->slots[SRC]]},
                                  {DNNL_ARG_WEIGHTS, o->memories[WEIGHTS][turn % o->slots[WEIGHTS]]},
                                  {DNNL_ARG_DST, o->memories[DST][turn % o->slots[DST]]}};
  bench_onednn_threads(threads);
  return dnnl_primitive_execute(o->matmul, o->stream, 3, args) == dnnl_success &&
                 dnnl_stream_wait(o->stream) == dnnl_success
             ? BENCH_OK
             : BENCH_FAILED;
}

/* Into slot 0 of D as mfq has it, after turn 0. */
int gemm_onednn_result(void *state) {
  const onednn *o = state;
  const gemm_size *s = &o->memory->size;
  if (o->wide[DST] != NULL)
    bench_narrow(o->wide[DST], (size_t)(s->m * s->n), (uint16_t *)(void *)bench_slot(&o->memory->d, 0));
  return BENCH_OK;
}

void gemm_onednn_destroy(void *state) {
  onednn *o = state;
  if (o == NULL) return;
  for (int k = 0; k < OPERANDS; ++k) {
    for (int i = 0; i < o->slots[k]; ++i) (void)dnnl_memory_destroy(o->memories[k][i]);
    free(o->memories[k]);
  }
  (void)dnnl_primitive_destroy(o->matmul);
  (void)dnnl_primitive_desc_destroy(o->implementation);
  (void)dnnl_stream_destroy(o->stream);
  (void)dnnl_engine_destroy(o->engine);
  for (int k = 0; k < OPERANDS; ++k) free(o->wide[k]);
  free(o->packed);
  free(o);
}

/* ---- Choosing --------------------------------------------------------------------------------------------------- */

/* NULL with the status when oneDNN refuses. */
static onednn *make(const gemm_memory *memory, dnnl_data_type_t type, dnnl_status_t *status) {
  onednn *o = calloc(1, sizeof *o);
  *status = dnnl_out_of_memory;
  if (o == NULL) return NULL;
  o->memory = memory;
  o->type = type;
  *status = build(o);
  if (*status == dnnl_success) return o;
  gemm_onednn_destroy(o);
  return NULL;
}

static double fastest_run(onednn *o) {
  double best = 1e9;
  for (int i = 0; i <= TRIALS; ++i) {
    const double start = bench_seconds();
    if (gemm_onednn_run(o, o->memory->settings->threads, i) != BENCH_OK) return 1e9;
    const double seconds = bench_seconds() - start;
    if (i > 0 && seconds < best) best = seconds; /* not the first */
  }
  return best;
}

void *gemm_onednn_create(const gemm_memory *memory, char *about, size_t capacity) {
  const dnnl_version_t *v = dnnl_version();
  const char *implementation = "?", *instead = "";
  dnnl_status_t status[2] = {dnnl_success, dnnl_success};
  if (!bench_onednn_limit(about, capacity)) return NULL;
  bench_onednn_threads(memory->settings->threads);
  onednn *o = make(memory, dnnl_bf16, &status[0]);
  onednn *wide = o != NULL && bench_onednn_has_bf16() ? NULL : make(memory, dnnl_f32, &status[1]);
  if (o == NULL && wide == NULL) {
    (void)snprintf(about, capacity, "none: oneDNN %d.%d.%d answers with its status %d for bf16, %d for f32", v->major,
                   v->minor, v->patch, (int)status[0], (int)status[1]);
    return NULL;
  }
  if (wide != NULL) {
    const int is_wide = o == NULL || fastest_run(wide) < fastest_run(o);
    instead = !is_wide ? "" : o == NULL ? " (it has no bf16 here)" : " (here faster than its bf16)";
    gemm_onednn_destroy(is_wide ? o : wide);
    o = is_wide ? wide : o;
  }
  (void)dnnl_primitive_desc_query(o->implementation, dnnl_query_impl_info_str, 0, &implementation);
  const char *type = o->type == dnnl_bf16 ? "bf16" : "f32";
  (void)snprintf(about, capacity, "oneDNN %d.%d.%d itself (%s), %s x %s%s, B packed before", v->major, v->minor,
                 v->patch, implementation, type, type, instead);
  return o;
}

#endif
