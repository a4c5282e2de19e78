/* bench/layer/layer_step.c: a step of a block, and its quantization alone. */
#include <stdlib.h>
#include <string.h>

#include "layer_bench.h"

/* ---- A step ----------------------------------------------------------------------------------------------------- */

int layer_step_create(layer_memory *m, const mfq_recipe *recipe, layer_step *step) {
  const layer_block *b = m->block;
  *step = (layer_step){.memory = m};
  for (int i = 0; i < b->count; ++i) {
    mfq_layer_options o;
    mfq_conv conv;
    mfq_layer_options_init(&o);
    mfq_conv_init(&conv);
    conv.layout = MFQ_CONV_CHANNELS_LAST;
    conv.same_padding = 1;
    if (b->is_conv) o.kind = MFQ_LAYER_CONV;
    o.conv = &conv;
    o.recipe = recipe;
    o.x = &m->x[i].tensor;
    o.y = &m->x[i + 1].tensor;
    o.weight = &m->w[i].tensor;
    o.seed = (uint64_t)i;
    const int code = bench_status(mfq_layer_create(m->run->context, &o, &step->layers[i]), "the layer");
    if (code != BENCH_OK) return code;
  }
  return BENCH_OK;
}

int layer_step_launch(void *state, int turn) {
  layer_step *step = state;
  layer_memory *m = step->memory;
  mfq_status status = MFQ_OK;
  (void)turn;
  for (int i = 0; status == MFQ_OK && i < m->block->count; ++i)
    status = mfq_layer_forward(step->layers[i], &m->x[i].tensor, &m->x[i + 1].tensor);
  for (int i = m->block->count - 1; status == MFQ_OK && i >= 0; --i) {
    mfq_layer_gradients g;
    mfq_layer_gradients_init(&g);
    g.dy = &m->dx[i + 1].tensor;
    g.x = &m->x[i].tensor;
    g.dx = &m->dx[i].tensor;
    g.dweight = &m->dw[i].tensor;
    status = mfq_layer_backward(step->layers[i], &g);
  }
  return bench_status(status, "the step");
}

void layer_step_destroy(layer_step *step) {
  for (int i = 0; i < LAYER_MOST; ++i) {
    mfq_layer_destroy(step->layers[i]);
    step->layers[i] = NULL;
  }
}

mfq_layer_memory layer_step_bytes(const layer_step *step) {
  mfq_layer_memory all = {0}, one;
  for (int i = 0; i < LAYER_MOST && step->layers[i] != NULL; ++i) {
    if (mfq_layer_memory_get(step->layers[i], &one) != MFQ_OK) break;
    all.state += one.state;
    all.weight += one.weight;
    all.kept += one.kept;
    all.workspace += one.workspace;
  }
  return all;
}

/* ---- Casts ------------------------------------------------------------------------------------------------------ */

/* The tensor as blocks see it: pixels, or taps, as one axis. */
static mfq_tensor with_merged(const mfq_tensor *t, int is_weight) {
  mfq_tensor seen = *t;
  if (t->rank != 4) return seen;
  const int64_t pixels = t->shape[1] * t->shape[2], last = t->shape[3];
  const int64_t shape[2][3] = {{t->shape[0], pixels, last}, {pixels, t->shape[0], last}},
                strides[2][3] = {{pixels * last, last, 1}, {last, pixels * last, 1}};
  seen.rank = 3;
  memcpy(seen.shape, shape[is_weight], sizeof shape[0]);
  memcpy(seen.strides, strides[is_weight], sizeof strides[0]);
  return seen;
}

/* Groups lie along what the product sums over, channels along the other axis. */
static void resolve(const mfq_tensor *t, mfq_place place, mfq_scheme *scheme) {
  const int is_wgrad = place == MFQ_PLACE_WGRAD_DY || place == MFQ_PLACE_WGRAD_X;
  const int32_t last = t->rank - 1, rows = is_wgrad && t->rank == 4 ? 2 : 0;
  const int sums_last = !is_wgrad && place != MFQ_PLACE_DGRAD_W;
  const int is_group = scheme->granularity == MFQ_GRANULARITY_GROUP;
  if (scheme->axis == MFQ_AXIS_AUTO && (is_group || scheme->granularity == MFQ_GRANULARITY_CHANNEL))
    scheme->axis = sums_last == is_group ? last : rows;
}

/* Adds the cast of a tensor that stands at two places; in `used` bytes of memory. */
static mfq_status add_cast(layer_casts *c, const mfq_tensor *t, const mfq_phase *phase, const mfq_place places[2],
                           size_t *used) {
  mfq_status status = MFQ_OK;
  int is_block = 0, count = 0;
  for (int i = 0; i < 2; ++i) {
    const mfq_quantizer *q = &phase->places[places[i]];
    c->casts[c->count].has[i] = q->take == MFQ_TAKE_QUANTIZED || q->take == MFQ_TAKE_AGAIN;
    is_block |= c->casts[c->count].has[i] && q->scheme.granularity == MFQ_GRANULARITY_BLOCK;
    count += c->casts[c->count].has[i];
  }
  const mfq_tensor seen = is_block ? with_merged(t, places[0] == MFQ_PLACE_FPROP_W) : *t;
  c->casts[c->count].src = seen;
  for (int i = 0; status == MFQ_OK && i < 2; ++i) {
    if (!c->casts[c->count].has[i]) continue;
    mfq_scheme scheme = phase->places[places[i]].scheme;
    resolve(&seen, places[i], &scheme);
    const int is_last = scheme.granularity != MFQ_GRANULARITY_GROUP || scheme.axis == seen.rank - 1;
    const mfq_layout layout = {.codes = is_last ? MFQ_CODES_LOGICAL : MFQ_CODES_GROUP_LAST};
    mfq_qtensor *q = &c->casts[c->count].q[i];
    mfq_qtensor_sizes sizes;
    status = mfq_qtensor_init(&scheme, seen.rank, seen.shape, &layout, q);
    uint8_t *const base = c->buffer != NULL ? mfq_buffer_data(c->buffer) : NULL;
    if (status == MFQ_OK) status = bench_place_parts(q, base, used, &sizes);
  }
  c->count += count > 0;
  return status;
}

static mfq_status add_all(const layer_memory *m, const mfq_phase *phase, layer_casts *c, size_t *used) {
  static const mfq_place x[2] = {MFQ_PLACE_FPROP_X, MFQ_PLACE_WGRAD_X}, w[2] = {MFQ_PLACE_FPROP_W, MFQ_PLACE_DGRAD_W},
                         dy[2] = {MFQ_PLACE_DGRAD_DY, MFQ_PLACE_WGRAD_DY};
  mfq_status status = MFQ_OK;
  c->count = 0;
  for (int i = 0; status == MFQ_OK && i < m->block->count; ++i) {
    status = add_cast(c, &m->x[i].tensor, phase, x, used);
    if (status == MFQ_OK) status = add_cast(c, &m->w[i].tensor, phase, w, used);
    if (status == MFQ_OK) status = add_cast(c, &m->dx[i + 1].tensor, phase, dy, used);
  }
  return status;
}

int layer_casts_create(const layer_memory *m, const mfq_recipe *recipe, layer_casts *c) {
  size_t used = 0;
  *c = (layer_casts){.context = m->run->context};
  int code = bench_status(add_all(m, &recipe->phases[0], c, &used), "the casts");
  if (code == BENCH_OK) code = bench_status(mfq_buffer_create(c->context, used, &c->buffer), "the casts");
  used = 0;
  return code == BENCH_OK ? bench_status(add_all(m, &recipe->phases[0], c, &used), "the casts") : code;
}

int layer_casts_launch(void *state, int turn) {
  layer_casts *c = state;
  mfq_status status = MFQ_OK;
  (void)turn;
  for (int i = 0; status == MFQ_OK && i < c->count; ++i)
    status = mfq_quantize(c->context, &c->casts[i].src, c->casts[i].has[0] ? &c->casts[i].q[0] : NULL,
                          c->casts[i].has[1] ? &c->casts[i].q[1] : NULL);
  return bench_status(status, "the casts");
}

void layer_casts_destroy(layer_casts *c) {
  mfq_buffer_destroy(c->buffer);
  *c = (layer_casts){.count = 0};
}
