/* host/layer/layer_run.c: forward and backward of a planned layer. */
#include "layer_state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/core/check/arguments.h"
#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/process/fp_mode.h"

/* ---- Arguments ----------------------------------------------------------------------------------------------------- */

mfq_status mfq_layer_take(mfq_where where, const mfq_tensor *given, const mfq_tensor *planned, int is_written,
                          mfq_parts *parts) {
  mfq_tensor view;
  const mfq_status status = mfq_argument_tensor(where, given, is_written, parts, &view);
  if (status != MFQ_OK) return status;
  if (given->dtype != planned->dtype)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: its dtype is %s, but the layer was planned for %s",
                    where.argument, mfq_dtype_name(given->dtype), mfq_dtype_name(planned->dtype));
  if (given->rank != planned->rank ||
      memcmp(given->shape, planned->shape, (size_t)planned->rank * sizeof(int64_t)) != 0)
    return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: its shape is %s, but the layer was planned for %s",
                    where.argument, mfq_shape_write(given->rank, given->shape).text,
                    mfq_shape_write(planned->rank, planned->shape).text);
  if (memcmp(given->strides, planned->strides, (size_t)planned->rank * sizeof(int64_t)) != 0)
    return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: its strides are %s, but the layer was planned for %s",
                    where.argument, mfq_shape_write(given->rank, given->strides).text,
                    mfq_shape_write(planned->rank, planned->strides).text);
  return MFQ_OK;
}

/* The parameters of every run. */
static mfq_status take_parameters(const mfq_layer *layer, const char *function, mfq_parts *parts) {
  mfq_tensor view;
  mfq_status status = mfq_argument_tensor((mfq_where){function, "weight"}, &layer->weight, 0, parts, &view);
  if (status == MFQ_OK && layer->bias.data != NULL)
    status = mfq_argument_tensor((mfq_where){function, "bias"}, &layer->bias, 0, parts, &view);
  return status;
}

/* What is NaN or infinite is refused, with the step. */
static mfq_status watch(mfq_layer *layer, const char *function, const char *what, const mfq_tensor *tensor) {
  if (!layer->watch) return MFQ_OK;
  struct {
    float value;
    uint32_t unused;
    uint64_t nans;
  } found = {0};
  char *there = mfq_layer_at(layer, layer->found);
  uint64_t *nans = (uint64_t *)(void *)(there + offsetof(__typeof__(found), nans));
  mfq_status status = mfq_buffer_fill(layer->state, layer->found.offset, sizeof found, 0);
  if (status == MFQ_OK) status = mfq_layer_largest(layer, tensor, (float *)(void *)there, nans);
  if (status == MFQ_OK) status = mfq_buffer_read(layer->state, layer->found.offset, &found, sizeof found);
  if (status != MFQ_OK) return mfq_layer_failed(layer, function, what, status);
  const long long step = (long long)(strcmp(what, "dy") == 0 ? layer->forward_step : layer->step);
  if (found.nans > 0)
    return mfq_fail(
        MFQ_ERROR_INVALID_ARGUMENT, function,
        "%s: step %lld: %s has %llu NaN; look at what makes it: the layer before, the loss, or the step size",
        layer->name, step, what, (unsigned long long)found.nans);
  if (isinf(found.value))
    return mfq_fail(
        MFQ_ERROR_INVALID_ARGUMENT, function,
        "%s: step %lld: %s has an infinite element; look at what makes it: the layer before, the loss, or the "
        "step size",
        layer->name, step, what);
  return MFQ_OK;
}

/* ---- Operands ------------------------------------------------------------------------------------------------------ */

static void bind_all(mfq_layer *layer, mfq_pass pass) {
  for (int i = 0; i < MFQ_PLACES; ++i) {
    mfq_slot *slot = &layer->plan.slots[i];
    if (slot->quantizer == NULL) continue;
    if (i < MFQ_PLACE_Y && slot->codes[pass].home != MFQ_HOME_NONE) mfq_slot_bind(layer, slot, pass);
    slot->has_values = 0;
  }
}

/* Quantizes what stands at a place: the operand, or the values of another's codes. */
static mfq_status fill(mfq_layer *layer, mfq_place place, const mfq_tensor *operand, int64_t step, mfq_pass pass) {
  mfq_slot *slot = mfq_slot_at(&layer->plan, place), *source = mfq_slot_source(&layer->plan, slot);
  if (slot->quantizer == NULL) return MFQ_OK;
  mfq_tensor values;
  if (source != NULL) {
    const mfq_status status = mfq_slot_values(layer, source, pass, &values);
    if (status != MFQ_OK) return status;
  }
  return mfq_slot_fill(layer, slot, NULL, source != NULL ? &values : operand, step);
}

/* Two places of one tensor, from one read where that is possible. */
static mfq_status fill_both(mfq_layer *layer, const mfq_place places[2], const mfq_tensor *operand, int64_t step,
                            mfq_pass pass) {
  mfq_slot *a = mfq_slot_at(&layer->plan, places[0]), *b = mfq_slot_at(&layer->plan, places[1]);
  const int separate =
      a == b || a->quantizer == NULL || b->quantizer == NULL || mfq_slot_source(&layer->plan, b) != NULL;
  if (!separate) return mfq_slot_fill(layer, a, b, operand, step);
  const mfq_status status = fill(layer, places[0], operand, step, pass);
  return status == MFQ_OK && a != b ? fill(layer, places[1], operand, step, pass) : status;
}

/* ---- Quantizers outside of products ---------------------------------------------------------------------------------- */

/* Fake-quantizes the result or the bias. */
static mfq_status pretend(mfq_layer *layer, mfq_place place, const mfq_tensor *src, const mfq_tensor *dst,
                          int64_t step) {
  mfq_slot *slot = &layer->plan.slots[place];
  mfq_tensor from, to;
  (void)mfq_layer_seen(layer, slot->role, &slot->scheme, src, &from);
  (void)mfq_layer_seen(layer, slot->role, &slot->scheme, dst, &to);
  mfq_fake_forward f;
  mfq_fake_forward_init(&f);
  f.src = &from;
  f.dst = &to;
  if (slot->state != NULL) {
    const mfq_status status = mfq_place_scales(layer, slot->state, &from);
    if (status != MFQ_OK) return status;
    f.given = &slot->state->given;
  } else {
    f.scheme = &slot->scheme;
  }
  const mfq_seeds before = mfq_layer_seed(layer, place, step);
  const mfq_status status = mfq_fake_quantize_forward(layer->context, &f);
  mfq_layer_seed_end(layer, before);
  return status;
}

/* A gradient on its way back through the quantizer of a place; `dx` may be `upstream`. */
typedef struct way_back {
  const mfq_tensor *src, *upstream, *dx;
} way_back;

static mfq_status bend(mfq_layer *layer, mfq_place place, way_back w) {
  mfq_slot *slot = &layer->plan.slots[place];
  if (!mfq_slot_bends(&layer->plan, slot)) return MFQ_OK;
  mfq_tensor src, upstream, dx, grad_scale;
  (void)mfq_layer_seen(layer, slot->role, &slot->scheme, w.src, &src);
  (void)mfq_layer_seen(layer, slot->role, &slot->scheme, w.upstream, &upstream);
  (void)mfq_layer_seen(layer, slot->role, &slot->scheme, w.dx, &dx);
  mfq_fake_gradient g;
  mfq_fake_gradient_init(&g);
  g.src = &src;
  g.upstream = &upstream;
  g.dx = &dx;
  g.ste = mfq_place_ste(layer->plan.phase, place);
  mfq_qtensor searched = slot->q;
  searched.scheme.rule = MFQ_RULE_GIVEN;
  if (slot->state != NULL)
    g.given = &slot->state->given;
  else if (slot->quantizer->searched)
    g.given = &searched;
  else
    g.scheme = &slot->scheme;
  g.through_scale = layer->plan.phase->through_scale && g.scheme != NULL && slot->scheme.scale != MFQ_SCALE_NONE;
  if (slot->state != NULL && slot->state->gradient.home != MFQ_HOME_NONE) {
    const mfq_collection *c = &slot->state->scale;
    const mfq_status status = mfq_tensor_init(mfq_layer_at(layer, slot->state->gradient), MFQ_DTYPE_F32, c->scale_rank,
                                              c->scale_shape, &grad_scale);
    if (status != MFQ_OK) return status;
    g.grad_scale = &grad_scale;
  }
  const mfq_seeds before = mfq_layer_seed(layer, place, layer->forward_step);
  const mfq_status status = mfq_fake_quantize_backward(layer->context, &g);
  mfq_layer_seed_end(layer, before);
  return status == MFQ_OK ? status : mfq_layer_failed(layer, "mfq_layer_backward", mfq_place_name(place), status);
}

/* ---- Forward ------------------------------------------------------------------------------------------------------- */

static const mfq_place places_of_x[2] = {MFQ_PLACE_FPROP_X, MFQ_PLACE_WGRAD_X};
static const mfq_place places_of_w[2] = {MFQ_PLACE_FPROP_W, MFQ_PLACE_DGRAD_W};
static const mfq_place places_of_dy[2] = {MFQ_PLACE_DGRAD_DY, MFQ_PLACE_WGRAD_DY};

static mfq_status fill_forward(mfq_layer *layer, const char *function, const mfq_tensor *x, const mfq_tensor *w) {
  const int keeps = layer->mode == MFQ_LAYER_TRAIN && layer->keep == MFQ_KEEP_OPERANDS;
  const int64_t step = layer->step;
  mfq_status status = MFQ_OK;
  if (!mfq_layer_is_written(layer, MFQ_ROLE_X))
    status = keeps ? fill_both(layer, places_of_x, x, step, MFQ_PASS_FORWARD)
                   : fill(layer, MFQ_PLACE_FPROP_X, x, step, MFQ_PASS_FORWARD);
  if (status != MFQ_OK) return mfq_layer_failed(layer, function, "x", status);
  const int is_target = layer->plan.is_target[MFQ_ROLE_W];
  if (mfq_layer_is_written(layer, MFQ_ROLE_W)) return MFQ_OK;
  if (!is_target && layer->mode == MFQ_LAYER_EVAL && layer->weight_is_ready) return MFQ_OK;
  status = keeps || is_target ? fill_both(layer, places_of_w, w, step, MFQ_PASS_FORWARD)
                              : fill(layer, MFQ_PLACE_FPROP_W, w, step, MFQ_PASS_FORWARD);
  layer->weight_is_ready = status == MFQ_OK && layer->mode == MFQ_LAYER_EVAL;
  layer->is_written[MFQ_ROLE_W] = status == MFQ_OK && is_target;
  return status == MFQ_OK ? status : mfq_layer_failed(layer, function, "weight", status);
}

static mfq_status multiply_forward(mfq_layer *layer, const char *function, const mfq_tensor *operands[2],
                                   const mfq_tensor *y) {
  const mfq_layer_plan *plan = &layer->plan;
  const int has_y = plan->slots[MFQ_PLACE_Y].quantizer != NULL,
            has_bias = plan->slots[MFQ_PLACE_BIAS].quantizer != NULL;
  mfq_tensor before = *y, bias = layer->bias;
  mfq_status status = MFQ_OK;
  if (has_y) status = mfq_tensor_init(mfq_layer_at(layer, plan->y_before), y->dtype, y->rank, y->shape, &before);
  if (status == MFQ_OK && has_bias) {
    status = mfq_tensor_init(mfq_layer_at(layer, plan->bias), MFQ_DTYPE_F32, 1, layer->bias.shape, &bias);
    if (status == MFQ_OK) status = pretend(layer, MFQ_PLACE_BIAS, &layer->bias, &bias, layer->step);
  }
  if (status != MFQ_OK) return mfq_layer_failed(layer, function, "bias", status);
  const mfq_layer_io io = {
      .operands = {operands[0], operands[1]}, .result = &before, .bias = layer->bias.data != NULL ? &bias : NULL};
  status = mfq_layer_product_run(layer, MFQ_FPROP, &io, MFQ_PASS_FORWARD);
  if (status != MFQ_OK) return mfq_layer_failed(layer, function, "fprop", status);
  if (has_y) status = pretend(layer, MFQ_PLACE_Y, &before, y, layer->step);
  return status == MFQ_OK ? status : mfq_layer_failed(layer, function, "y", status);
}

mfq_status mfq_layer_forward(mfq_layer *layer, const mfq_tensor *x, const mfq_tensor *y) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_layer_forward";
  mfq_parts parts = {.count = 0};
  mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  const mfq_where of_x = {function, "x"};
  if (status == MFQ_OK)
    status =
        x != NULL ? mfq_layer_take(of_x, x, &layer->x, 0, &parts) : mfq_layer_check_absent(layer, of_x, MFQ_ROLE_X);
  if (status == MFQ_OK) status = mfq_layer_take((mfq_where){function, "y"}, y, &layer->y, 1, &parts);
  if (status == MFQ_OK) status = take_parameters(layer, function, &parts);
  if (status == MFQ_OK) status = mfq_parts_check(layer->context, &parts);
  if (status != MFQ_OK) return status;
  mfq_layer_meet(&layer->x, x);
  mfq_layer_meet(&layer->y, y);
  status = mfq_layer_plan_phase(layer, function, mfq_recipe_phase_of(&layer->recipe, layer->step));
  if (status == MFQ_OK && x == NULL) status = mfq_layer_check_absent(layer, of_x, MFQ_ROLE_X); /* of this phase too */
  if (status == MFQ_OK && x != NULL) status = watch(layer, function, "x", x);
  if (status != MFQ_OK) return status;
  mfq_tensor operands[2], result;
  (void)mfq_layer_as_operand(layer, MFQ_ROLE_X, x != NULL ? x : &layer->x, &operands[0]);
  (void)mfq_layer_as_operand(layer, MFQ_ROLE_W, &layer->weight, &operands[1]);
  (void)mfq_layer_as_operand(layer, MFQ_ROLE_DY, y, &result);
  layer->forward_step = -1; /* what backward would need is written over */
  bind_all(layer, MFQ_PASS_FORWARD);
  status = fill_forward(layer, function, &operands[0], &operands[1]);
  const mfq_tensor *both[2] = {&operands[0], &operands[1]};
  if (status == MFQ_OK) status = multiply_forward(layer, function, both, &result);
  if (layer->mode == MFQ_LAYER_EVAL) mfq_slot_at(&layer->plan, MFQ_PLACE_FPROP_X)->filled_step = -1;
  if (status == MFQ_OK) mfq_layer_forget_targets(layer);
  if (status != MFQ_OK || layer->mode == MFQ_LAYER_EVAL) return status;
  layer->forward_step = layer->step;
  layer->step += 1;
  return MFQ_OK;
}

/* ---- Backward ------------------------------------------------------------------------------------------------------ */

void mfq_layer_gradients_init(mfq_layer_gradients *gradients) {
  if (gradients == NULL) return;
  memset(gradients, 0, sizeof *gradients);
  gradients->struct_size = sizeof *gradients;
}

int mfq_layer_needs_x(const mfq_layer *layer) {
  if (layer == NULL) return 0;
  const mfq_layer_plan *plan = &layer->plan;
  const mfq_slot *wgrad = &plan->slots[plan->slots[MFQ_PLACE_WGRAD_X].place];
  return wgrad->quantizer == NULL || layer->keep == MFQ_KEEP_NOTHING ||
         mfq_slot_bends(plan, &plan->slots[MFQ_PLACE_FPROP_X]);
}

/* A gradient of a parameter: its shape, in any dtype. */
static mfq_status take_gradient(mfq_where where, const mfq_tensor *given, const mfq_tensor *parameter,
                                mfq_parts *parts) {
  if (given == NULL) return MFQ_OK;
  if (parameter->data == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s is given, but the layer has no bias",
                    where.argument);
  mfq_tensor view;
  const mfq_status status = mfq_argument_tensor(where, given, 1, parts, &view);
  if (status != MFQ_OK || (given->rank == parameter->rank &&
                           memcmp(given->shape, parameter->shape, (size_t)given->rank * sizeof(int64_t)) == 0))
    return status;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: its shape is %s, but the parameter's is %s", where.argument,
                  mfq_shape_write(given->rank, given->shape).text,
                  mfq_shape_write(parameter->rank, parameter->shape).text);
}

static mfq_status take_all(const mfq_layer *layer, const char *function, const mfq_layer_gradients *g,
                           mfq_parts *parts) {
  const mfq_where of_dy = {function, "gradients->dy"};
  mfq_status status = g->dy != NULL || g->dbias != NULL ? mfq_layer_take(of_dy, g->dy, &layer->y, 0, parts)
                                                        : mfq_layer_check_absent(layer, of_dy, MFQ_ROLE_DY);
  if (status == MFQ_OK && g->x != NULL)
    status = mfq_layer_take((mfq_where){function, "gradients->x"}, g->x, &layer->x, 0, parts);
  if (status == MFQ_OK && g->dx != NULL)
    status = mfq_layer_take((mfq_where){function, "gradients->dx"}, g->dx, &layer->x, 1, parts);
  if (status == MFQ_OK)
    status = take_gradient((mfq_where){function, "gradients->dweight"}, g->dweight, &layer->weight, parts);
  if (status == MFQ_OK)
    status = take_gradient((mfq_where){function, "gradients->dbias"}, g->dbias, &layer->bias, parts);
  if (status == MFQ_OK) status = take_parameters(layer, function, parts);
  return status == MFQ_OK ? mfq_parts_check(layer->context, parts) : status;
}

/* What is asked for at the wrong time, or cannot be asked for together. */
static mfq_status check_request(const mfq_layer *layer, const char *function, const mfq_layer_gradients *g) {
  if (layer->forward_step < 0)
    return mfq_fail(
        MFQ_ERROR_INVALID_ARGUMENT, function,
        "%s: there is no forward to go back through; call mfq_layer_forward in MFQ_LAYER_TRAIN first, and no "
        "other function of the layer in between",
        layer->name);
  if (g->x == NULL && mfq_layer_needs_x(layer))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "%s: gradients->x is NULL, but backward reads it here (mfq_layer_needs_x); give the x of forward",
                    layer->name);
  if (g->accumulate != 0 && g->accumulate != 1)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "gradients->accumulate is %d; allowed is 0 ... 1",
                    (int)g->accumulate);
  const mfq_layer_plan *plan = &layer->plan;
  const mfq_place parameters[] = {MFQ_PLACE_FPROP_W, MFQ_PLACE_BIAS};
  for (int i = 0; i < 2; ++i)
    if (g->accumulate && mfq_slot_bends(plan, &plan->slots[parameters[i]]))
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                      "%s: gradients->accumulate is 1, but gradients change on their way through the quantizer of %s; "
                      "leave it 0 and add them",
                      layer->name, mfq_place_name(parameters[i]));
  return MFQ_OK;
}

/* A run: tensors as products have them. */
typedef struct backward_run {
  const char *function;
  const mfq_layer_gradients *g;
  mfq_tensor x, w, dy, dx;
} backward_run;

static mfq_status through_result(mfq_layer *layer, backward_run *r) {
  const mfq_layer_plan *plan = &layer->plan;
  if (!mfq_slot_bends(plan, &plan->slots[MFQ_PLACE_Y])) return MFQ_OK;
  mfq_tensor before, behind;
  mfq_status status =
      mfq_tensor_init(mfq_layer_at(layer, plan->y_before), r->dy.dtype, r->dy.rank, r->dy.shape, &before);
  if (status == MFQ_OK)
    status = mfq_tensor_init(mfq_layer_at(layer, plan->dy_behind), r->dy.dtype, r->dy.rank, r->dy.shape, &behind);
  if (status == MFQ_OK) status = bend(layer, MFQ_PLACE_Y, (way_back){&before, &r->dy, &behind});
  if (status == MFQ_OK) r->dy = behind;
  return status;
}

/* Operands of x and w that forward did not leave. */
static mfq_status fill_again(mfq_layer *layer, backward_run *r) {
  if (layer->keep == MFQ_KEEP_OPERANDS) return MFQ_OK;
  const int64_t step = layer->forward_step;
  mfq_status status = MFQ_OK;
  mfq_slot *x = mfq_slot_at(&layer->plan, MFQ_PLACE_FPROP_X);
  if (x->in_backward) status = fill(layer, MFQ_PLACE_FPROP_X, &r->x, step, MFQ_PASS_BACKWARD);
  if (status == MFQ_OK && mfq_slot_at(&layer->plan, MFQ_PLACE_WGRAD_X) != x && r->g->dweight != NULL)
    status = fill(layer, MFQ_PLACE_WGRAD_X, &r->x, step, MFQ_PASS_BACKWARD);
  if (status == MFQ_OK &&
      mfq_slot_at(&layer->plan, MFQ_PLACE_DGRAD_W) != mfq_slot_at(&layer->plan, MFQ_PLACE_FPROP_W) && r->g->dx != NULL)
    status = fill(layer, MFQ_PLACE_DGRAD_W, &r->w, step, MFQ_PASS_BACKWARD);
  return status;
}

/* dy at the places whose products are wanted, or whose numbers another one takes; histories see every dy. */
static mfq_status fill_dy(mfq_layer *layer, backward_run *r) {
  if (mfq_layer_is_written(layer, MFQ_ROLE_DY)) return MFQ_OK;
  const mfq_slot *dgrad = mfq_slot_at(&layer->plan, MFQ_PLACE_DGRAD_DY);
  const mfq_slot *wgrad = mfq_slot_at(&layer->plan, MFQ_PLACE_WGRAD_DY);
  const int for_dx = r->g->dx != NULL || dgrad->state != NULL,
            for_dweight = r->g->dweight != NULL || wgrad->state != NULL;
  const int64_t step = layer->forward_step;
  if (for_dweight && (for_dx || mfq_slot_source(&layer->plan, wgrad) != NULL))
    return fill_both(layer, places_of_dy, &r->dy, step, MFQ_PASS_BACKWARD);
  if (for_dx) return fill(layer, MFQ_PLACE_DGRAD_DY, &r->dy, step, MFQ_PASS_BACKWARD);
  return for_dweight ? fill(layer, MFQ_PLACE_WGRAD_DY, &r->dy, step, MFQ_PASS_BACKWARD) : MFQ_OK;
}

static mfq_status fill_backward(mfq_layer *layer, backward_run *r) {
  mfq_status status = fill_again(layer, r);
  if (status != MFQ_OK) return mfq_layer_failed(layer, r->function, "x or weight", status);
  status = fill_dy(layer, r);
  return status == MFQ_OK ? status : mfq_layer_failed(layer, r->function, "dy", status);
}

static mfq_status input_gradient(mfq_layer *layer, backward_run *r) {
  if (r->g->dx == NULL) return MFQ_OK;
  const mfq_layer_io io = {.operands = {&r->dy, &r->w}, .result = &r->dx};
  const mfq_status status = mfq_layer_product_run(layer, MFQ_DGRAD, &io, MFQ_PASS_BACKWARD);
  if (status != MFQ_OK) return mfq_layer_failed(layer, r->function, "dgrad", status);
  return bend(layer, MFQ_PLACE_FPROP_X, (way_back){&r->x, &r->dx, &r->dx});
}

static mfq_status parameter_gradients(mfq_layer *layer, backward_run *r) {
  const mfq_layer_gradients *g = r->g;
  mfq_status status = MFQ_OK;
  if (g->dweight != NULL) {
    mfq_tensor dweight;
    (void)mfq_layer_as_operand(layer, MFQ_ROLE_W, g->dweight, &dweight);
    const mfq_layer_io io = {.operands = {&r->dy, &r->x}, .result = &dweight, .accumulate = g->accumulate};
    status = mfq_layer_product_run(layer, MFQ_WGRAD, &io, MFQ_PASS_BACKWARD);
    if (status != MFQ_OK) return mfq_layer_failed(layer, r->function, "wgrad", status);
    status = bend(layer, MFQ_PLACE_FPROP_W, (way_back){&r->w, &dweight, &dweight});
  }
  if (status != MFQ_OK || g->dbias == NULL) return status;
  status = mfq_layer_sum_run(layer, &r->dy, g->dbias, g->accumulate);
  if (status != MFQ_OK) return mfq_layer_failed(layer, r->function, "dbias", status);
  return bend(layer, MFQ_PLACE_BIAS, (way_back){&layer->bias, g->dbias, g->dbias});
}

mfq_status mfq_layer_backward(mfq_layer *layer, const mfq_layer_gradients *gradients) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_layer_backward";
  const mfq_where where = {function, "gradients"};
  mfq_parts parts = {.count = 0};
  mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  if (status == MFQ_OK) status = mfq_argument_present(where, gradients);
  if (status == MFQ_OK) status = mfq_argument_struct(where, gradients, sizeof *gradients, "mfq_layer_gradients_init");
  if (status == MFQ_OK) status = take_all(layer, function, gradients, &parts);
  if (status == MFQ_OK) status = check_request(layer, function, gradients);
  if (status == MFQ_OK) status = mfq_layer_plan_gradients(layer, function, gradients);
  if (status == MFQ_OK && gradients->dy != NULL) status = watch(layer, function, "dy", gradients->dy);
  if (status != MFQ_OK) return status;
  backward_run r = {.function = function, .g = gradients};
  if (gradients->x != NULL) (void)mfq_layer_as_operand(layer, MFQ_ROLE_X, gradients->x, &r.x);
  if (gradients->dx != NULL) (void)mfq_layer_as_operand(layer, MFQ_ROLE_X, gradients->dx, &r.dx);
  (void)mfq_layer_as_operand(layer, MFQ_ROLE_DY, gradients->dy != NULL ? gradients->dy : &layer->y, &r.dy);
  (void)mfq_layer_as_operand(layer, MFQ_ROLE_W, &layer->weight, &r.w);
  bind_all(layer, MFQ_PASS_BACKWARD);
  status = through_result(layer, &r);
  if (status == MFQ_OK) status = fill_backward(layer, &r);
  if (status == MFQ_OK) status = input_gradient(layer, &r);
  return status == MFQ_OK ? parameter_gradients(layer, &r) : status;
}
