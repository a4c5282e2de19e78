/* host/layer/layer_create.c: layers come and go; their options are checked, and what was planned is told. */
#include "layer_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/core/check/operands.h"
#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/problem/conv_shape.h"
#include "host/core/process/fp_mode.h"

void mfq_layer_options_init(mfq_layer_options *options) {
  if (options == NULL) return;
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

mfq_status mfq_layer_failed(const mfq_layer *layer, const char *function, const char *what, mfq_status status) {
  char why[WHY_MOST];
  snprintf(why, sizeof why, "%s", mfq_last_error());
  return mfq_fail(status, function, "%s: %s: %s", layer->name, what, why);
}

/* ---- Options ------------------------------------------------------------------------------------------------------- */

static mfq_status take_name(mfq_where where, const char *name, char *to) {
  name = name != NULL ? name : "layer";
  const size_t length = strlen(name);
  if (length == 0 || length >= NAME_MOST)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: name has %zu bytes; allowed is 1 ... %d",
                    where.argument, length, NAME_MOST - 1);
  for (size_t i = 0; i < length; ++i)
    if ((unsigned char)name[i] < ' ' || name[i] == 127)
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                      "%s: name has a control character at byte %zu; choose one that can be printed", where.argument,
                      i);
  memcpy(to, name, length + 1);
  return MFQ_OK;
}

/* A tensor of the options; parameters must have their memory. */
static mfq_status take(mfq_where where, const mfq_tensor *given, int has_data, mfq_tensor *to) {
  mfq_check check = {.function = where.function, .is_run = has_data};
  mfq_tensor view;
  mfq_status status = mfq_argument_present(where, given);
  if (status == MFQ_OK) status = mfq_take_tensor(&check, where, given, 0, &view);
  if (status == MFQ_OK) *to = *given;
  return status;
}

static mfq_status refuse_shape(mfq_where where, const mfq_tensor *t, const char *why) {
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: its shape is %s, but %s", where.argument,
                  mfq_shape_write(t->rank, t->shape).text, why);
}

static mfq_status check_linear(const char *function, const mfq_layer *l) {
  const mfq_tensor *x = &l->x, *y = &l->y, *w = &l->weight;
  const mfq_where of_x = {function, "options->x"}, of_y = {function, "options->y"},
                  of_w = {function, "options->weight"};
  char why[160];
  if (w->rank != 2) return refuse_shape(of_w, w, "a linear layer's weight is [N, K]");
  if (x->rank < 1 || x->shape[x->rank - 1] != w->shape[1]) {
    snprintf(why, sizeof why, "its last axis must be the weight's K, %lld", (long long)w->shape[1]);
    return refuse_shape(of_x, x, why);
  }
  int fits = y->rank == x->rank && y->shape[y->rank - 1] == w->shape[0];
  for (int i = 0; fits && i < x->rank - 1; ++i) fits = y->shape[i] == x->shape[i];
  if (fits) return MFQ_OK;
  snprintf(why, sizeof why, "it must be that of x with the weight's N, %lld, in the place of K",
           (long long)w->shape[0]);
  return refuse_shape(of_y, y, why);
}

/* The sizes of a convolution are checked where its product is planned; here the channels of the bias. */
static int64_t features_of(const mfq_layer *l) {
  if (l->kind == MFQ_LAYER_LINEAR) return l->weight.shape[0];
  return l->y.shape[l->conv.layout == MFQ_CONV_CHANNELS_LAST ? l->y.rank - 1 : 1];
}

static mfq_status check_conv(const char *function, mfq_layer *l) {
  const mfq_tensor *tensors[] = {&l->x, &l->weight, &l->y};
  static const char *const names[] = {"options->x", "options->weight", "options->y"};
  mfq_conv_axes_of axes = {0};
  for (int i = 0; i < 3; ++i) {
    const mfq_status status = mfq_conv_axes((mfq_where){function, names[i]}, &l->conv, tensors[i]->rank, &axes);
    if (status != MFQ_OK) return status;
  }
  return MFQ_OK;
}

static mfq_status take_conv(const char *function, const mfq_layer_options *o, mfq_layer *l) {
  mfq_conv_init(&l->conv);
  if (o->kind != MFQ_LAYER_CONV || o->conv == NULL) return MFQ_OK;
  const mfq_status status = mfq_conv_fields_check((mfq_where){function, "options->conv"}, o->conv);
  if (status != MFQ_OK) return status;
  const mfq_conv *c = o->conv;
  l->conv.layout = c->layout;
  l->conv.transposed = c->transposed;
  l->conv.same_padding = c->same_padding;
  l->conv.groups = c->groups;
  memcpy(l->conv.stride, c->stride, sizeof c->stride);
  memcpy(l->conv.dilation, c->dilation, sizeof c->dilation);
  memcpy(l->conv.padding, c->padding, sizeof c->padding);
  memcpy(l->conv.padding_after, c->padding_after, sizeof c->padding_after);
  return MFQ_OK;
}

static mfq_status take_tensors(const char *function, const mfq_layer_options *o, mfq_layer *l) {
  const mfq_where of_bias = {function, "options->bias"};
  mfq_status status = take((mfq_where){function, "options->x"}, o->x, 0, &l->x);
  if (status == MFQ_OK) status = take((mfq_where){function, "options->weight"}, o->weight, 1, &l->weight);
  if (status == MFQ_OK) status = take((mfq_where){function, "options->y"}, o->y, 0, &l->y);
  if (status == MFQ_OK && o->bias != NULL) status = take(of_bias, o->bias, 1, &l->bias);
  if (status == MFQ_OK) status = take_conv(function, o, l);
  if (status == MFQ_OK) status = l->kind == MFQ_LAYER_LINEAR ? check_linear(function, l) : check_conv(function, l);
  if (status != MFQ_OK || o->bias == NULL) return status;
  char why[96];
  snprintf(why, sizeof why, "the layer has %lld features of its output", (long long)features_of(l));
  return l->bias.rank == 1 && l->bias.shape[0] == features_of(l) ? MFQ_OK : refuse_shape(of_bias, &l->bias, why);
}

static mfq_status take_options(const char *function, const mfq_layer_options *o, mfq_layer *l) {
  const mfq_where where = {function, "options"};
  const mfq_range ranges[] = {{"kind", (int64_t)o->kind, MFQ_LAYER_LINEAR, MFQ_LAYER_CONV},
                              {"keep", (int64_t)o->keep, MFQ_KEEP_OPERANDS, MFQ_KEEP_NOTHING},
                              {"watch", o->watch, 0, 1}};
  mfq_status status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  if (status == MFQ_OK) status = take_name(where, o->name, l->name);
  if (status == MFQ_OK && o->recipe != NULL) status = mfq_recipe_verify(o->recipe, function);
  if (status != MFQ_OK) return status;
  l->kind = o->kind;
  l->keep = o->keep;
  l->watch = o->watch;
  l->seed = o->seed;
  if (o->recipe != NULL) l->recipe = *o->recipe;
  return take_tensors(function, o, l);
}

/* ---- Life ---------------------------------------------------------------------------------------------------------- */

mfq_status mfq_layer_create(mfq_context *context, const mfq_layer_options *options, mfq_layer **layer) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_layer_create";
  const mfq_where where = {function, "options"};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  if (status == MFQ_OK) *layer = NULL;
  if (status == MFQ_OK) status = mfq_argument_present(where, options);
  if (status == MFQ_OK) status = mfq_argument_struct(where, options, sizeof *options, "mfq_layer_options_init");
  if (status != MFQ_OK) return status;
  mfq_layer *made = context->alloc(context->alloc_user, sizeof *made);
  if (made == NULL)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for %zu bytes of a layer", sizeof *made);
  memset(made, 0, sizeof *made);
  made->context = context;
  made->forward_step = made->planned_phase = -1;
  status = take_options(function, options, made);
  if (status == MFQ_OK) status = mfq_layer_states_make(made, function);
  if (status == MFQ_OK) status = mfq_layer_plan_phase(made, function, mfq_recipe_phase_of(&made->recipe, 0));
  if (status == MFQ_OK)
    *layer = made;
  else
    mfq_layer_destroy(made);
  return status;
}

void mfq_layer_destroy(mfq_layer *layer) {
  if (layer == NULL) return;
  mfq_layer_plan_free(layer);
  mfq_buffer_destroy(layer->state);
  for (int i = 0; i < OPERANDS; ++i) mfq_buffer_destroy(layer->targets[i]);
  layer->context->free(layer->context->alloc_user, layer);
}

const char *mfq_layer_name(const mfq_layer *layer) { return layer != NULL ? layer->name : ""; }
int64_t mfq_layer_step(const mfq_layer *layer) { return layer != NULL ? layer->step : 0; }

/* What was kept for a backward, and scales of a step, are not those of another time. */
static void forget(mfq_layer *layer) {
  layer->forward_step = -1;
  layer->weight_is_ready = 0;
  mfq_layer_forget_targets(layer);
  for (int i = 0; i < MFQ_PLACES; ++i) layer->plan.slots[i].filled_step = -1;
}

mfq_status mfq_layer_set_mode(mfq_layer *layer, mfq_layer_mode mode) {
  static const char function[] = "mfq_layer_set_mode";
  mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  const mfq_range range = {"mode", (int64_t)mode, MFQ_LAYER_TRAIN, MFQ_LAYER_EVAL};
  if (status == MFQ_OK) status = mfq_ranges_check((mfq_where){function, "the call"}, &range, 1);
  if (status != MFQ_OK) return status;
  layer->mode = mode;
  forget(layer);
  return MFQ_OK;
}

mfq_status mfq_layer_set_step(mfq_layer *layer, int64_t step) {
  static const char function[] = "mfq_layer_set_step";
  const mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  if (status != MFQ_OK) return status;
  if (step < 0)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "step is %lld; allowed is 0 or more", (long long)step);
  layer->step = step;
  forget(layer);
  return MFQ_OK;
}

/* ---- Description --------------------------------------------------------------------------------------------------- */

static size_t add(char *text, size_t capacity, size_t used, const char *line) {
  const int length = snprintf(text + used, capacity - used, "%s%s", used > 0 ? "\n" : "", line);
  return length < 0 || used + (size_t)length >= capacity ? used : used + (size_t)length;
}

const char *mfq_layer_describe(const mfq_layer *layer) {
  if (layer == NULL) return "";
  mfq_layer *l = (mfq_layer *)layer; /* the text is made when it is asked for */
  static const char *const products[] = {"fprop", "dgrad", "wgrad"};
  size_t used = 0;
  for (int which = 0; which < PRODUCTS; ++which) {
    const mfq_layer_product *p = &layer->plan.products[which];
    char line[1024], scheme[MFQ_SCHEME_TEXT_MAX];
    for (int i = 0; i < 2; ++i) {
      const mfq_slot *slot = mfq_slot_at(&l->plan, p->places[i]);
      scheme[0] = 0;
      if (slot->quantizer != NULL && mfq_scheme_print(&slot->scheme, scheme, sizeof scheme) != MFQ_OK) continue;
      snprintf(line, sizeof line, "%s: %s%s%s%s", mfq_place_name(p->places[i]),
               slot->quantizer != NULL ? scheme : "as it is",
               slot->place != p->places[i] && slot->quantizer != NULL ? ", those of " : "",
               slot->place != p->places[i] && slot->quantizer != NULL ? mfq_place_name(slot->place) : "",
               slot->quantizer == NULL ? ""
               : p->by_values[i]       ? ", multiplied by their values"
                                       : ", multiplied by codes");
      used = add(l->description, sizeof l->description, used, line);
    }
    const char *way = p->gemm != NULL ? mfq_gemm_plan_describe(p->gemm) : mfq_conv_plan_describe(p->conv);
    snprintf(line, sizeof line, "%s: %s", products[which], way);
    used = add(l->description, sizeof l->description, used, line);
  }
  return layer->description;
}
