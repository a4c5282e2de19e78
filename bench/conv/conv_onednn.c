/* bench/conv/conv_onednn.c: the peer on the CPU: oneDNN's convolution.
 *
 * Left the choice of every layout (format "any"), oneDNN sometimes takes an implementation that is far slower than the
 * one it has for activations with channels last; both are tried, and the faster one is the peer. */
#include "bench/common/onednn_peer.h"
#include "conv_bench.h"

#if !defined(MFQ_BENCH_ONEDNN)

void *conv_onednn_create(const conv_memory *memory, char *about) {
  (void)memory;
  return bench_onednn_missing(about);
}

#else

enum { ANY = 1, VARIANTS }; /* all layouts are left to oneDNN in the first variant, those of weights in both */

/* What is common to the three directions. */
typedef struct layer {
  mfq_conv_direction direction;
  dnnl_dims_t strides, dilates, padding;
} layer;

#if DNNL_VERSION_MAJOR >= 3

static dnnl_status_t choose_forward(const layer *l, dnnl_engine_t engine, const onednn_desc *t, dnnl_prop_kind_t kind,
                                    dnnl_primitive_desc_t *implementation) {
  return dnnl_convolution_forward_primitive_desc_create(implementation, engine, kind, dnnl_convolution_direct,
                                                        t[CONV_X], t[CONV_W], NULL, t[CONV_Y], l->strides, l->dilates,
                                                        l->padding, l->padding, NULL);
}

static dnnl_status_t choose_gradient(const layer *l, onednn_request *r) {
  const onednn_desc *t = r->tensors;
  if (l->direction == MFQ_CONV_INPUT_GRADIENT)
    return dnnl_convolution_backward_data_primitive_desc_create(&r->implementation, r->engine, dnnl_convolution_direct,
                                                                t[CONV_X], t[CONV_W], t[CONV_Y], l->strides, l->dilates,
                                                                l->padding, l->padding, r->hint, NULL);
  return dnnl_convolution_backward_weights_primitive_desc_create(&r->implementation, r->engine, dnnl_convolution_direct,
                                                                 t[CONV_X], t[CONV_W], NULL, t[CONV_Y], l->strides,
                                                                 l->dilates, l->padding, l->padding, r->hint, NULL);
}

#else

static dnnl_status_t choose_forward(const layer *l, dnnl_engine_t engine, const onednn_desc *t, dnnl_prop_kind_t kind,
                                    dnnl_primitive_desc_t *implementation) {
  dnnl_convolution_desc_t d;
  const dnnl_status_t status =
      dnnl_dilated_convolution_forward_desc_init(&d, kind, dnnl_convolution_direct, t[CONV_X], t[CONV_W], NULL,
                                                 t[CONV_Y], l->strides, l->dilates, l->padding, l->padding);
  return status == dnnl_success ? dnnl_primitive_desc_create(implementation, &d, NULL, engine, NULL) : status;
}

static dnnl_status_t choose_gradient(const layer *l, onednn_request *r) {
  const onednn_desc *t = r->tensors;
  dnnl_convolution_desc_t d;
  const dnnl_status_t status =
      l->direction == MFQ_CONV_INPUT_GRADIENT
          ? dnnl_dilated_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, t[CONV_X], t[CONV_W],
                                                             t[CONV_Y], l->strides, l->dilates, l->padding, l->padding)
          : dnnl_dilated_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, t[CONV_X], t[CONV_W], NULL,
                                                                t[CONV_Y], l->strides, l->dilates, l->padding,
                                                                l->padding);
  return status == dnnl_success ? dnnl_primitive_desc_create(&r->implementation, &d, NULL, r->engine, r->hint) : status;
}

#endif

/* Gradients are planned from a forward pass, which is of one type. */
static dnnl_status_t choose(const void *what, onednn_request *r) {
  const layer *l = what;
  if (l->direction == MFQ_CONV_FORWARD)
    return choose_forward(l, r->engine, r->tensors, dnnl_forward_inference, &r->implementation);
  const dnnl_status_t status = choose_forward(l, r->engine, r->of_operands, dnnl_forward_training, &r->hint);
  return status == dnnl_success ? choose_gradient(l, r) : status;
}

/* In oneDNN's order of axes: n c h w, or (g) o i h w. */
static onednn_tensor tensor_of(const conv_memory *m, int which) {
  static const int order[4] = {0, 3, 1, 2};
  static const struct {
    int argument;
    dnnl_query_t query;
  } names[CONV_TENSORS][2] = {
      /* as they are, as gradients */
      {{DNNL_ARG_SRC, dnnl_query_src_md}, {DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md}},
      {{DNNL_ARG_WEIGHTS, dnnl_query_weights_md}, {DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md}},
      {{DNNL_ARG_DST, dnnl_query_dst_md}, {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md}}};
  const conv_shape *s = m->shape;
  const int out = conv_roles_of(m->direction).result;
  const int is_gradient = out != CONV_Y && (which == out || which == CONV_Y);
  const int has_groups = which == CONV_W && s->groups > 1;
  int64_t size[4];
  conv_tensor_shape(s, which, size);
  const int64_t strides[4] = {size[1] * size[2] * size[3], size[2] * size[3], size[3], 1};
  onednn_tensor t = {.slots = &m->tensors[which],
                     .rank = 4 + has_groups,
                     .argument = names[which][is_gradient].argument,
                     .query = names[which][is_gradient].query,
                     .any_until = which == CONV_W ? VARIANTS : ANY};
  for (int i = 0; i < 4; ++i) {
    t.dims[has_groups + i] = size[order[i]];
    t.strides[has_groups + i] = strides[order[i]];
  }
  if (!has_groups) return t;
  t.dims[0] = s->groups;
  t.dims[1] = s->out_channels / s->groups;
  t.strides[0] = t.dims[1] * strides[0];
  return t;
}

void *conv_onednn_create(const conv_memory *m, char *about) {
  const conv_shape *s = m->shape;
  layer l = {.direction = m->direction, .strides = {s->stride, s->stride}, .padding = {s->padding, s->padding}};
  onednn_problem problem = {.run = m->run,
                            .out = conv_roles_of(m->direction).result,
                            .variants = VARIANTS,
                            .told = {"all tensors in its own layouts reordered", "channels last, weights reordered"},
                            .types = {"bf16", "f32"},
                            .what = &l,
                            .choose = choose};
  for (int i = 0; i < CONV_TENSORS; ++i) problem.tensors[i] = tensor_of(m, i);
  return bench_onednn_create(&problem, about);
}

#endif
