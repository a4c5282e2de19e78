/* bench/common/onednn_peer.c: making, running and comparing primitives of oneDNN. */
#include "onednn_peer.h"

#include <stdlib.h>
#include <string.h>

#if !defined(MFQ_BENCH_ONEDNN)

void *bench_onednn_missing(char *about) {
  (void)snprintf(about, BENCH_ABOUT, "none: this benchmark was built without oneDNN (dnnl.h, libdnnl)");
  return NULL;
}
int bench_onednn_run(void *peer, int turn) {
  (void)peer, (void)turn;
  return BENCH_FAILED;
}
int bench_onednn_result(void *peer) {
  (void)peer;
  return BENCH_FAILED;
}
void bench_onednn_destroy(void *peer) { (void)peer; }

#else

#if defined(_OPENMP)
#include <omp.h>
#endif

enum { ALIGNMENT = 64, TRIALS = 3 };

typedef struct onednn {
  onednn_problem problem;
  dnnl_data_type_t type; /* of the operands */
  int variant;
  onednn_request request;
  dnnl_stream_t stream;
  dnnl_primitive_t primitive;
  dnnl_memory_t *memories[ONEDNN_TENSORS]; /* of each slot, in the layout that was chosen */
  uint8_t *packed[ONEDNN_TENSORS];
  int slots[ONEDNN_TENSORS];
  dnnl_memory_t result; /* slot 0, as mfq has it, or that in f32: */
  float *wide;
} onednn;

/* ---- The processor ---------------------------------------------------------------------------------------------- */

/* Has oneDNN keep within MFQ_CPU_ISA, as libmfq does; before anything else of oneDNN. Returns 0 where that is not
 * possible, with why in `about`. */
static int limit(char *about) {
  static const struct {
    const char *name;
    dnnl_cpu_isa_t isa;
  } limits[] = {{"reference", dnnl_cpu_isa_sse41}, /* the least it has */
                {"baseline", dnnl_cpu_isa_sse41},
                {"avx2", dnnl_cpu_isa_avx2},
                {"avx512", dnnl_cpu_isa_avx512_core},
                {"avx512_bf16", dnnl_cpu_isa_avx512_core_bf16}};
  const char *word = getenv("MFQ_CPU_ISA"); /* libmfq has refused what is not in the list */
  for (size_t i = 0; word != NULL && i < sizeof limits / sizeof limits[0]; ++i) {
    if (strcmp(word, limits[i].name) != 0 || dnnl_set_max_cpu_isa(limits[i].isa) == dnnl_success) continue;
    if (((int)dnnl_get_effective_cpu_isa() & ~(int)limits[i].isa) == 0) continue; /* it does already */
    (void)snprintf(about, BENCH_ABOUT, "none: this oneDNN cannot be limited to MFQ_CPU_ISA=%s", word);
    return 0;
  }
  return 1;
}

/* Whether the processor multiplies bf16 by instructions of its own: then oneDNN's bf16 is its fastest. */
static int has_bf16(void) {
  return ((int)dnnl_get_effective_cpu_isa() & (int)dnnl_cpu_isa_avx512_core_bf16) == (int)dnnl_cpu_isa_avx512_core_bf16;
}

/* Of the calling thread's next calls. */
static void use_threads(int threads) {
#if defined(_OPENMP)
  omp_set_num_threads(threads);
#else
  (void)threads;
#endif
}

/* To the nearest bf16, ties to even; no NaN. */
static void narrow(const float *from, size_t count, uint16_t *to) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, &from[i], sizeof bits);
    to[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

/* ---- Descriptions ----------------------------------------------------------------------------------------------- */

static int is_f32_result(const onednn *o, int which) {
  return which == o->problem.out && o->problem.run->settings.out_type == MFQ_DTYPE_F32;
}

static onednn_desc describe(const onednn_tensor *t, dnnl_data_type_t type, int is_any) {
#if DNNL_VERSION_MAJOR >= 3
  dnnl_memory_desc_t desc = NULL;
  const dnnl_status_t status =
      is_any ? dnnl_memory_desc_create_with_tag(&desc, t->rank, t->dims, type, dnnl_format_tag_any)
             : dnnl_memory_desc_create_with_strides(&desc, t->rank, t->dims, type, t->strides);
  return status == dnnl_success ? desc : NULL;
#else
  dnnl_memory_desc_t *desc = malloc(sizeof *desc);
  if (desc == NULL) return NULL;
  const dnnl_status_t status = is_any ? dnnl_memory_desc_init_by_tag(desc, t->rank, t->dims, type, dnnl_format_tag_any)
                                      : dnnl_memory_desc_init_by_strides(desc, t->rank, t->dims, type, t->strides);
  if (status == dnnl_success) return desc;
  free(desc);
  return NULL;
#endif
}

static void forget(onednn_desc desc) {
#if DNNL_VERSION_MAJOR >= 3
  (void)dnnl_memory_desc_destroy((dnnl_memory_desc_t)desc);
#else
  free((dnnl_memory_desc_t *)desc);
#endif
}

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

static dnnl_status_t reorder(const onednn *o, dnnl_memory_t from, dnnl_memory_t to) {
  dnnl_primitive_desc_t description = NULL;
  dnnl_primitive_t primitive = NULL;
  onednn_desc from_desc = NULL, to_desc = NULL;
  const dnnl_engine_t engine = o->request.engine;
  dnnl_status_t status = dnnl_memory_get_memory_desc(from, &from_desc);
  if (status == dnnl_success) status = dnnl_memory_get_memory_desc(to, &to_desc);
  if (status == dnnl_success)
    status = dnnl_reorder_primitive_desc_create(&description, from_desc, engine, to_desc, engine, NULL);
  if (status == dnnl_success) status = dnnl_primitive_create(&primitive, description);
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  if (status == dnnl_success) status = dnnl_primitive_execute(primitive, o->stream, 2, args);
  if (status == dnnl_success) status = dnnl_stream_wait(o->stream);
  (void)dnnl_primitive_destroy(primitive);
  (void)dnnl_primitive_desc_destroy(description);
  return status;
}

static size_t elements(const onednn_tensor *t) {
  size_t count = 1;
  for (int i = 0; i < t->rank; ++i) count *= (size_t)t->dims[i];
  return count;
}

/* Slot 0 as mfq has it: an operand that is to be f32 is widened, and so is the place of a result. */
static void *plain_memory(onednn *o, int which) {
  const onednn_tensor *t = &o->problem.tensors[which];
  void *slot = bench_slot(t->slots, 0);
  if (o->type == dnnl_bf16 || is_f32_result(o, which)) return slot;
  free(o->wide);
  o->wide = calloc(elements(t), sizeof(float));
  if (o->wide == NULL || which == o->problem.out) return o->wide;
  return bench_read_values(t->slots->buffer, MFQ_DTYPE_BF16, 0, (int64_t)elements(t), o->wide) == MFQ_OK ? o->wide
                                                                                                         : NULL;
}

/* As many slots as mfq's, or, where a layout pads much, as hold as much memory four times; each has the operand. */
static dnnl_status_t pack(onednn *o, int which) {
  const onednn_tensor *t = &o->problem.tensors[which];
  const int is_out = which == o->problem.out;
  onednn_desc own = dnnl_primitive_desc_query_md(o->request.implementation, t->query, 0);
  onednn_desc plain = describe(t, is_f32_result(o, which) ? dnnl_f32 : o->type, 0);
  const size_t bytes = (dnnl_memory_desc_get_size(own) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  const size_t most = bytes > 0 ? 4 * t->slots->bytes * (size_t)t->slots->count / bytes : 1;
  const int count = most >= (size_t)t->slots->count ? t->slots->count : most > 2 ? (int)most : 2;
  dnnl_memory_t from = NULL;
  o->packed[which] = aligned_alloc(ALIGNMENT, bytes * (size_t)count);
  o->memories[which] = calloc((size_t)count, sizeof(dnnl_memory_t));
  void *data = plain_memory(o, which);
  dnnl_status_t status = dnnl_out_of_memory;
  if (o->packed[which] != NULL && o->memories[which] != NULL && plain != NULL && data != NULL) {
    o->slots[which] = count;
    memset(o->packed[which], 0, bytes * (size_t)count);
    status = dnnl_memory_create(&from, plain, o->request.engine, data);
  }
  for (int i = 0; status == dnnl_success && i < count; ++i) {
    status = dnnl_memory_create(&o->memories[which][i], own, o->request.engine, o->packed[which] + bytes * (size_t)i);
    if (status == dnnl_success && !is_out) status = reorder(o, from, o->memories[which][i]);
  }
  if (is_out)
    o->result = from;
  else
    (void)dnnl_memory_destroy(from);
  forget(plain);
  return status;
}

/* ---- The peer --------------------------------------------------------------------------------------------------- */

static dnnl_status_t build(onednn *o) {
  const onednn_problem *p = &o->problem;
  onednn_request *r = &o->request;
  dnnl_status_t status = dnnl_engine_create(&r->engine, dnnl_cpu, 0);
  if (status == dnnl_success) status = dnnl_stream_create(&o->stream, r->engine, dnnl_stream_default_flags);
  for (int i = 0; i < ONEDNN_TENSORS; ++i) {
    const int is_any = o->variant < p->tensors[i].any_until;
    r->tensors[i] = describe(&p->tensors[i], is_f32_result(o, i) ? dnnl_f32 : o->type, is_any);
    r->of_operands[i] = describe(&p->tensors[i], o->type, is_any);
    if ((r->tensors[i] == NULL || r->of_operands[i] == NULL) && status == dnnl_success) status = dnnl_invalid_arguments;
  }
  if (status == dnnl_success) status = p->choose(p->what, r);
  if (status == dnnl_success) status = dnnl_primitive_create(&o->primitive, r->implementation);
  for (int i = 0; status == dnnl_success && i < ONEDNN_TENSORS; ++i)
    if (i != p->out) status = pack(o, i);
  if (status == dnnl_success) status = pack(o, p->out); /* last: the widened result stays */
  for (int i = 0; i < ONEDNN_TENSORS; ++i) {
    forget(r->tensors[i]);
    forget(r->of_operands[i]);
  }
  return status;
}

int bench_onednn_run(void *peer, int turn) {
  const onednn *o = peer;
  dnnl_exec_arg_t args[ONEDNN_TENSORS];
  for (int i = 0; i < ONEDNN_TENSORS; ++i)
    args[i] = (dnnl_exec_arg_t){o->problem.tensors[i].argument, o->memories[i][turn % o->slots[i]]};
  use_threads(o->problem.run->settings.threads);
  return dnnl_primitive_execute(o->primitive, o->stream, ONEDNN_TENSORS, args) == dnnl_success &&
                 dnnl_stream_wait(o->stream) == dnnl_success
             ? BENCH_OK
             : BENCH_FAILED;
}

int bench_onednn_result(void *peer) {
  const onednn *o = peer;
  const int out = o->problem.out;
  const onednn_tensor *t = &o->problem.tensors[out];
  if (reorder(o, o->memories[out][0], o->result) != dnnl_success)
    return bench_error(BENCH_FAILED, "the peer's result cannot be reordered");
  if (o->type != dnnl_bf16 && !is_f32_result(o, out))
    narrow(o->wide, elements(t), (uint16_t *)(void *)bench_slot(t->slots, 0));
  return BENCH_OK;
}

void bench_onednn_destroy(void *peer) {
  onednn *o = peer;
  if (o == NULL) return;
  for (int k = 0; k < ONEDNN_TENSORS; ++k) {
    for (int i = 0; i < o->slots[k]; ++i) (void)dnnl_memory_destroy(o->memories[k][i]);
    free(o->memories[k]);
    free(o->packed[k]);
  }
  (void)dnnl_memory_destroy(o->result);
  (void)dnnl_primitive_destroy(o->primitive);
  (void)dnnl_primitive_desc_destroy(o->request.implementation);
  (void)dnnl_primitive_desc_destroy(o->request.hint);
  (void)dnnl_stream_destroy(o->stream);
  (void)dnnl_engine_destroy(o->request.engine);
  free(o->wide);
  free(o);
}

static double fastest_run(onednn *o) {
  double best = 1e9;
  for (int i = 0; i <= TRIALS; ++i) {
    const double start = bench_seconds();
    if (bench_onednn_run(o, i) != BENCH_OK) return 1e9;
    const double seconds = bench_seconds() - start;
    if (i > 0 && seconds < best) best = seconds; /* not the first */
  }
  return best;
}

/* The faster one, of which either may be NULL; the other is destroyed. */
static onednn *faster(onednn *a, onednn *b) {
  if (a == NULL || b == NULL) return a != NULL ? a : b;
  const int is_b = fastest_run(b) < fastest_run(a);
  bench_onednn_destroy(is_b ? a : b);
  return is_b ? b : a;
}

/* The fastest variant, NULL with the status of the first when oneDNN refuses all. */
static onednn *make(const onednn_problem *problem, dnnl_data_type_t type, dnnl_status_t *first) {
  onednn *best = NULL;
  for (int variant = 0; variant < problem->variants; ++variant) {
    onednn *o = calloc(1, sizeof *o);
    dnnl_status_t status = dnnl_out_of_memory;
    if (o != NULL) {
      *o = (onednn){.problem = *problem, .type = type, .variant = variant};
      status = build(o);
    }
    if (variant == 0) *first = status;
    if (status == dnnl_success)
      best = faster(best, o);
    else
      bench_onednn_destroy(o);
  }
  return best;
}

void *bench_onednn_create(const onednn_problem *problem, char *about) {
  const dnnl_version_t *v = dnnl_version();
  const char *implementation = "?", *instead = "";
  dnnl_status_t status[2] = {dnnl_success, dnnl_success};
  if (!limit(about)) return NULL;
  use_threads(problem->run->settings.threads);
  onednn *narrow_one = make(problem, dnnl_bf16, &status[0]);
  const int has_narrow = narrow_one != NULL;
  onednn *o = has_narrow && has_bf16() ? narrow_one : faster(narrow_one, make(problem, dnnl_f32, &status[1]));
  if (o == NULL) {
    (void)snprintf(about, BENCH_ABOUT, "none: oneDNN %d.%d.%d answers with its status %d for bf16, %d for f32",
                   v->major, v->minor, v->patch, (int)status[0], (int)status[1]);
    return NULL;
  }
  if (o->type == dnnl_f32) instead = has_narrow ? " (here faster than its bf16)" : " (it has no bf16 here)";
  (void)dnnl_primitive_desc_query(o->request.implementation, dnnl_query_impl_info_str, 0, &implementation);
  (void)snprintf(about, BENCH_ABOUT, "oneDNN %d.%d.%d itself (%s), %s%s, %s before", v->major, v->minor, v->patch,
                 implementation, problem->types[o->type == dnnl_f32], instead, problem->told[o->variant]);
  return o;
}

#endif
