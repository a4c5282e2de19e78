/* bench/conv/conv_onednn.c: the peer on the CPU: oneDNN as its own users call it, with all three tensors in the
 * layouts that it likes best, reordered before anything is timed. Shares no code with the library.
 *
 * Left the choice of every layout (format "any"), oneDNN sometimes takes an implementation that is far slower than the
 * one it has for activations with channels last; both are tried, and the faster one is the peer. So is f32, on processors
 * that have no instruction for bf16: oneDNN has none there either, or a slow one. */
#include <stdlib.h>
#include <string.h>

#include "conv_measure.h"

#if !defined(MFQ_BENCH_ONEDNN)

void *conv_onednn_create(const conv_memory *memory, char *about, size_t capacity) {
  (void)memory;
  (void)snprintf(about, capacity, "none: this benchmark was built without oneDNN (dnnl.h, libdnnl)");
  return NULL;
}
int conv_onednn_run(void *state, int threads, int turn) {
  (void)state, (void)threads, (void)turn;
  return BENCH_FAILED;
}
int conv_onednn_result(void *state) {
  (void)state;
  return BENCH_FAILED;
}
void conv_onednn_destroy(void *state) { (void)state; }

#else

#include <dnnl.h>

#include "bench/common/onednn_peer.h"

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t desc_ref;
#else
typedef const dnnl_memory_desc_t *desc_ref;
#endif

enum { ALIGNMENT = 64, TRIALS = 3 };

/* Which layouts are left to oneDNN: all, or the weights'. */
typedef enum variant { ANY, CHANNELS_LAST, VARIANTS } variant;

typedef struct onednn {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t forward_hint; /* that the gradients are planned from */
  dnnl_primitive_desc_t implementation;
  dnnl_primitive_t convolution;
  dnnl_memory_t *memories[CONV_TENSORS]; /* of each slot, in the layout that was chosen */
  uint8_t *packed[CONV_TENSORS];
  int slots[CONV_TENSORS];
  dnnl_memory_t result; /* slot 0, as mfq has it, or that in f32: */
  void *wide;
  const conv_memory *memory;
  dnnl_data_type_t type; /* of the operands */
  variant variant;
  int out; /* which tensor it is */
} onednn;

/* ---- Descriptions ----------------------------------------------------------------------------------------------- */

/* A tensor as oneDNN orders its axes: n c h w, or (g) o i h w. */
typedef struct view {
  int rank;
  dnnl_dims_t dims, strides;
  dnnl_data_type_t type;
} view;

static view view_of(const onednn *o, int which) {
  const conv_memory *memory = o->memory;
  const conv_shape *s = memory->shape;
  int64_t size[4];
  conv_tensor_shape(s, which, size);
  const int64_t strides[4] = {size[1] * size[2] * size[3], size[2] * size[3], size[3], 1};
  static const int order[4] = {0, 3, 1, 2};
  const int is_result = which == conv_roles_of(memory->direction).result;
  const int has_groups = which == CONV_W && s->groups > 1;
  view v = {.rank = 4 + has_groups,
            .type = is_result && memory->settings->out_type == MFQ_DTYPE_F32 ? dnnl_f32 : o->type};
  for (int i = 0; i < 4; ++i) {
    v.dims[has_groups + i] = size[order[i]];
    v.strides[has_groups + i] = strides[order[i]];
  }
  if (!has_groups) return v;
  v.dims[0] = s->groups;
  v.dims[1] = s->out_channels / s->groups;
  v.strides[0] = v.dims[1] * strides[0];
  return v;
}

/* The layer: what is common to the three directions. */
typedef struct layer {
  desc_ref tensors[CONV_TENSORS];
  desc_ref hint[CONV_TENSORS]; /* all of one type: the forward pass that a gradient in f32 belongs to */
  dnnl_dims_t strides, dilates, padding;
} layer;

#if DNNL_VERSION_MAJOR >= 3

static desc_ref describe(const view *v, int is_any) {
  dnnl_memory_desc_t desc = NULL;
  const dnnl_status_t status =
      is_any ? dnnl_memory_desc_create_with_tag(&desc, v->rank, v->dims, v->type, dnnl_format_tag_any)
             : dnnl_memory_desc_create_with_strides(&desc, v->rank, v->dims, v->type, v->strides);
  return status == dnnl_success ? desc : NULL;
}
static void forget(desc_ref desc) { (void)dnnl_memory_desc_destroy((dnnl_memory_desc_t)desc); }

static dnnl_status_t choose_forward(dnnl_engine_t engine, const layer *l, const desc_ref *tensors,
                                    dnnl_prop_kind_t kind, dnnl_primitive_desc_t *implementation) {
  return dnnl_convolution_forward_primitive_desc_create(implementation, engine, kind, dnnl_convolution_direct,
                                                        tensors[CONV_X], tensors[CONV_W], NULL, tensors[CONV_Y],
                                                        l->strides, l->dilates, l->padding, l->padding, NULL);
}
static dnnl_status_t choose_input_gradient(const onednn *o, const layer *l, dnnl_primitive_desc_t *implementation) {
  return dnnl_convolution_backward_data_primitive_desc_create(
      implementation, o->engine, dnnl_convolution_direct, l->tensors[CONV_X], l->tensors[CONV_W], l->tensors[CONV_Y],
      l->strides, l->dilates, l->padding, l->padding, o->forward_hint, NULL);
}
static dnnl_status_t choose_weight_gradient(const onednn *o, const layer *l, dnnl_primitive_desc_t *implementation) {
  return dnnl_convolution_backward_weights_primitive_desc_create(
      implementation, o->engine, dnnl_convolution_direct, l->tensors[CONV_X], l->tensors[CONV_W], NULL,
      l->tensors[CONV_Y], l->strides, l->dilates, l->padding, l->padding, o->forward_hint, NULL);
}

#else

static desc_ref describe(const view *v, int is_any) {
  dnnl_memory_desc_t *desc = malloc(sizeof *desc);
  const dnnl_status_t status = desc == NULL ? dnnl_out_of_memory
                               : is_any
                                   ? dnnl_memory_desc_init_by_tag(desc, v->rank, v->dims, v->type, dnnl_format_tag_any)
                                   : dnnl_memory_desc_init_by_strides(desc, v->rank, v->dims, v->type, v->strides);
  if (status == dnnl_success) return desc;
  free(desc);
  return NULL;
}
static void forget(desc_ref desc) { free((dnnl_memory_desc_t *)desc); }

static dnnl_status_t choose_forward(dnnl_engine_t engine, const layer *l, const desc_ref *tensors,
                                    dnnl_prop_kind_t kind, dnnl_primitive_desc_t *implementation) {
  dnnl_convolution_desc_t d;
  const dnnl_status_t status =
      dnnl_dilated_convolution_forward_desc_init(&d, kind, dnnl_convolution_direct, tensors[CONV_X], tensors[CONV_W],
                                                 NULL, tensors[CONV_Y], l->strides, l->dilates, l->padding, l->padding);
  return status == dnnl_success ? dnnl_primitive_desc_create(implementation, &d, NULL, engine, NULL) : status;
}
static dnnl_status_t choose_input_gradient(const onednn *o, const layer *l, dnnl_primitive_desc_t *implementation) {
  dnnl_convolution_desc_t d;
  const dnnl_status_t status = dnnl_dilated_convolution_backward_data_desc_init(
      &d, dnnl_convolution_direct, l->tensors[CONV_X], l->tensors[CONV_W], l->tensors[CONV_Y], l->strides, l->dilates,
      l->padding, l->padding);
  return status == dnnl_success ? dnnl_primitive_desc_create(implementation, &d, NULL, o->engine, o->forward_hint)
                                : status;
}
static dnnl_status_t choose_weight_gradient(const onednn *o, const layer *l, dnnl_primitive_desc_t *implementation) {
  dnnl_convolution_desc_t d;
  const dnnl_status_t status = dnnl_dilated_convolution_backward_weights_desc_init(
      &d, dnnl_convolution_direct, l->tensors[CONV_X], l->tensors[CONV_W], NULL, l->tensors[CONV_Y], l->strides,
      l->dilates, l->padding, l->padding);
  return status == dnnl_success ? dnnl_primitive_desc_create(implementation, &d, NULL, o->engine, o->forward_hint)
                                : status;
}

#endif

static dnnl_status_t choose(onednn *o, const layer *l, mfq_conv_direction direction) {
  if (direction == MFQ_CONV_FORWARD)
    return choose_forward(o->engine, l, l->tensors, dnnl_forward_inference, &o->implementation);
  const dnnl_status_t status = choose_forward(o->engine, l, l->hint, dnnl_forward_training, &o->forward_hint);
  if (status != dnnl_success) return status;
  return direction == MFQ_CONV_INPUT_GRADIENT ? choose_input_gradient(o, l, &o->implementation)
                                              : choose_weight_gradient(o, l, &o->implementation);
}

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

/* The layouts that the implementation chose. */
static desc_ref chosen(const onednn *o, mfq_conv_direction direction, int which) {
  static const dnnl_query_t queries[CONV_DIRECTIONS][CONV_TENSORS] = {
      {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
      {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
      {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}};
  return dnnl_primitive_desc_query_md(o->implementation, queries[direction][which], 0);
}

static dnnl_status_t reorder(const onednn *o, dnnl_memory_t from, dnnl_memory_t to) {
  dnnl_primitive_desc_t description = NULL;
  dnnl_primitive_t primitive = NULL;
  desc_ref from_desc = NULL, to_desc = NULL;
  dnnl_status_t status = dnnl_memory_get_memory_desc(from, &from_desc);
  if (status == dnnl_success) status = dnnl_memory_get_memory_desc(to, &to_desc);
  if (status == dnnl_success)
    status = dnnl_reorder_primitive_desc_create(&description, from_desc, o->engine, to_desc, o->engine, NULL);
  if (status == dnnl_success) status = dnnl_primitive_create(&primitive, description);
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  if (status == dnnl_success) status = dnnl_primitive_execute(primitive, o->stream, 2, args);
  if (status == dnnl_success) status = dnnl_stream_wait(o->stream);
  (void)dnnl_primitive_destroy(primitive);
  (void)dnnl_primitive_desc_destroy(description);
  return status;
}

/* Slot 0 as mfq has it: an operand that is to be f32 is widened, and so is the place of a result. */
static void *plain_memory(onednn *o, int which, const bench_slots *slots) {
  const int is_bf16 = which != o->out || o->memory->settings->out_type == MFQ_DTYPE_BF16;
  const size_t count = (size_t)conv_tensor_count(o->memory->shape, which);
  if (o->type == dnnl_bf16 || !is_bf16) return bench_slot(slots, 0);
  free(o->wide);
  o->wide = calloc(count, sizeof(float));
  if (o->wide != NULL && which != o->out)
    bench_widen((const uint16_t *)(const void *)bench_slot(slots, 0), count, o->wide);
  return o->wide;
}

/* As many slots as mfq's, or, where a layout pads much, as hold as much memory four times; each has the operand. */
static dnnl_status_t pack(onednn *o, int which) {
  const conv_memory *memory = o->memory;
  const view v = view_of(o, which);
  const bench_slots *slots = which == o->out ? &memory->result : &memory->plain[which];
  desc_ref own = chosen(o, memory->direction, which), plain = describe(&v, 0);
  const size_t bytes = (dnnl_memory_desc_get_size(own) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  const size_t most = bytes > 0 ? 4 * slots->bytes * (size_t)slots->count / bytes : 1;
  const int count = most >= (size_t)slots->count ? slots->count : most > 2 ? (int)most : 2;
  dnnl_memory_t from = NULL;
  o->packed[which] = aligned_alloc(ALIGNMENT, bytes * (size_t)count);
  o->memories[which] = calloc((size_t)count, sizeof(dnnl_memory_t));
  void *data = plain_memory(o, which, slots);
  if (o->packed[which] == NULL || o->memories[which] == NULL || plain == NULL || data == NULL) {
    forget(plain);
    return dnnl_out_of_memory;
  }
  o->slots[which] = count;
  memset(o->packed[which], 0, bytes * (size_t)count);
  dnnl_status_t status = dnnl_memory_create(&from, plain, o->engine, data);
  for (int i = 0; status == dnnl_success && i < count; ++i) {
    status = dnnl_memory_create(&o->memories[which][i], own, o->engine, o->packed[which] + bytes * (size_t)i);
    if (status == dnnl_success && which != o->out) status = reorder(o, from, o->memories[which][i]);
  }
  if (which == o->out)
    o->result = from;
  else
    (void)dnnl_memory_destroy(from);
  forget(plain);
  return status;
}

/* ---- The peer --------------------------------------------------------------------------------------------------- */

static dnnl_status_t build(onednn *o) {
  const conv_memory *memory = o->memory;
  const conv_shape *s = memory->shape;
  layer l = {.strides = {s->stride, s->stride}, .padding = {s->padding, s->padding}};
  o->out = conv_roles_of(memory->direction).result;
  dnnl_status_t status = dnnl_engine_create(&o->engine, dnnl_cpu, 0);
  if (status == dnnl_success) status = dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags);
  for (int i = 0; i < CONV_TENSORS; ++i) {
    view v = view_of(o, i);
    const int is_any = o->variant == ANY || i == CONV_W;
    l.tensors[i] = describe(&v, is_any);
    v.type = o->type;
    l.hint[i] = describe(&v, is_any);
    if ((l.tensors[i] == NULL || l.hint[i] == NULL) && status == dnnl_success) status = dnnl_invalid_arguments;
  }
  if (status == dnnl_success) status = choose(o, &l, memory->direction);
  if (status == dnnl_success) status = dnnl_primitive_create(&o->convolution, o->implementation);
  for (int i = 0; status == dnnl_success && i < CONV_TENSORS; ++i)
    if (i != o->out) status = pack(o, i);
  if (status == dnnl_success) status = pack(o, o->out); /* last: the widened result stays */
  for (int i = 0; i < CONV_TENSORS; ++i) {
    forget(l.tensors[i]);
    forget(l.hint[i]);
  }
  return status;
}

int conv_onednn_run(void *state, int threads, int turn) {
  static const int names[CONV_TENSORS][2] = {
      {DNNL_ARG_SRC, DNNL_ARG_DIFF_SRC}, {DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_WEIGHTS}, {DNNL_ARG_DST, DNNL_ARG_DIFF_DST}};
  onednn *o = state;
  dnnl_exec_arg_t args[CONV_TENSORS];
  for (int i = 0; i < CONV_TENSORS; ++i) {
    const int is_gradient = o->out != CONV_Y && (i == o->out || i == CONV_Y);
    args[i] = (dnnl_exec_arg_t){names[i][is_gradient], o->memories[i][turn % o->slots[i]]};
  }
  bench_onednn_threads(threads);
  return dnnl_primitive_execute(o->convolution, o->stream, CONV_TENSORS, args) == dnnl_success &&
                 dnnl_stream_wait(o->stream) == dnnl_success
             ? BENCH_OK
             : BENCH_FAILED;
}

int conv_onednn_result(void *state) {
  const onednn *o = state;
  if (reorder(o, o->memories[o->out][0], o->result) != dnnl_success) return BENCH_FAILED;
  if (o->wide != NULL && o->memory->settings->out_type == MFQ_DTYPE_BF16)
    bench_narrow(o->wide, (size_t)conv_tensor_count(o->memory->shape, o->out),
                 (uint16_t *)(void *)bench_slot(&o->memory->result, 0));
  return BENCH_OK;
}

void conv_onednn_destroy(void *state) {
  onednn *o = state;
  if (o == NULL) return;
  for (int k = 0; k < CONV_TENSORS; ++k) {
    for (int i = 0; i < o->slots[k]; ++i) (void)dnnl_memory_destroy(o->memories[k][i]);
    free(o->memories[k]);
    free(o->packed[k]);
  }
  (void)dnnl_memory_destroy(o->result);
  (void)dnnl_primitive_destroy(o->convolution);
  (void)dnnl_primitive_desc_destroy(o->implementation);
  (void)dnnl_primitive_desc_destroy(o->forward_hint);
  (void)dnnl_stream_destroy(o->stream);
  (void)dnnl_engine_destroy(o->engine);
  free(o->wide);
  free(o);
}

/* NULL with the status when oneDNN refuses. */
static onednn *make(const conv_memory *memory, dnnl_data_type_t type, variant v, dnnl_status_t *status) {
  onednn *o = calloc(1, sizeof *o);
  *status = dnnl_out_of_memory;
  if (o == NULL) return NULL;
  o->memory = memory;
  o->type = type;
  o->variant = v;
  *status = build(o);
  if (*status == dnnl_success) return o;
  conv_onednn_destroy(o);
  return NULL;
}

static double fastest_run(onednn *o, int threads) {
  double best = 1e9;
  for (int i = 0; i <= TRIALS; ++i) {
    const double start = bench_seconds();
    if (conv_onednn_run(o, threads, i) != BENCH_OK) return 1e9;
    const double seconds = bench_seconds() - start;
    if (i > 0 && seconds < best) best = seconds; /* not the first */
  }
  return best;
}

/* The faster of the layouts, NULL with the status of the first when there is none. */
static onednn *make_fastest(const conv_memory *memory, dnnl_data_type_t type, dnnl_status_t *status) {
  dnnl_status_t of_last;
  onednn *any = make(memory, type, ANY, status), *last = make(memory, type, CHANNELS_LAST, &of_last);
  if (any == NULL || last == NULL) return any != NULL ? any : last;
  const int threads = memory->settings->threads, is_last = fastest_run(last, threads) < fastest_run(any, threads);
  conv_onednn_destroy(is_last ? any : last);
  return is_last ? last : any;
}

void *conv_onednn_create(const conv_memory *memory, char *about, size_t capacity) {
  const dnnl_version_t *v = dnnl_version();
  const char *implementation = "?", *instead = "";
  const int threads = memory->settings->threads;
  dnnl_status_t status[2] = {dnnl_success, dnnl_success};
  if (!bench_onednn_limit(about, capacity)) return NULL;
  bench_onednn_threads(threads);
  onednn *o = make_fastest(memory, dnnl_bf16, &status[0]);
  onednn *wide = o != NULL && bench_onednn_has_bf16() ? NULL : make_fastest(memory, dnnl_f32, &status[1]);
  if (o == NULL && wide == NULL) {
    (void)snprintf(about, capacity, "none: oneDNN %d.%d.%d answers with its status %d for bf16, %d for f32", v->major,
                   v->minor, v->patch, (int)status[0], (int)status[1]);
    return NULL;
  }
  if (wide != NULL) {
    const int is_wide = o == NULL || fastest_run(wide, threads) < fastest_run(o, threads);
    instead = !is_wide ? "" : o == NULL ? " (it has no bf16 here)" : " (here faster than its bf16)";
    conv_onednn_destroy(is_wide ? o : wide);
    o = is_wide ? wide : o;
  }
  (void)dnnl_primitive_desc_query(o->implementation, dnnl_query_impl_info_str, 0, &implementation);
  (void)snprintf(about, capacity, "oneDNN %d.%d.%d itself (%s), %s%s, %s reordered before", v->major, v->minor,
                 v->patch, implementation, o->type == dnnl_bf16 ? "bf16" : "f32", instead,
                 o->variant == ANY ? "all tensors in its own layouts" : "channels last, weights");
  return o;
}

#endif
