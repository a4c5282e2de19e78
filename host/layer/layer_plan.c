/* host/layer/layer_plan.c: a phase of the recipe for the layer's shapes: quantizers with their axes, which of them share
 * codes, products, and all memory. */
#include "layer_state.h"

#include <stdio.h>
#include <string.h>

#include "host/core/check/suits.h"
#include "host/core/error.h"
#include "host/core/module/context_state.h"

int mfq_slot_bends(const mfq_layer_plan *plan, const mfq_slot *slot) {
  return slot->quantizer != NULL && mfq_place_bends(plan->phase, slot->place);
}

/* ---- Quantizers ---------------------------------------------------------------------------------------------------- */

/* Whether two quantizers of one tensor give the same codes. */
static int gives_same(const mfq_slot *a, const mfq_slot *b) {
  const mfq_quantizer *x = a->quantizer, *y = b->quantizer;
  return x != NULL && y != NULL && x->take == MFQ_TAKE_QUANTIZED && y->take == MFQ_TAKE_QUANTIZED &&
         x->scaling == MFQ_SCALING_DYNAMIC && y->scaling == MFQ_SCALING_DYNAMIC && x->searched == y->searched &&
         x->search == y->search && mfq_scheme_equal(&a->scheme, &b->scheme) && a->scheme.eden == 0 &&
         a->scheme.rounding != MFQ_ROUND_STOCHASTIC && !x->fresh_signs && !y->fresh_signs;
}

static mfq_status refuse_axes(const mfq_layer *layer, const char *function, mfq_place place, const mfq_tensor *tensor) {
  return mfq_fail(
      MFQ_ERROR_UNSUPPORTED, function,
      "%s: %s: the strides of its tensor, of shape %s, do not let %s become one without a copy; make it dense",
      layer->name, mfq_place_name(place), mfq_shape_write(tensor->rank, tensor->shape).text,
      layer->kind == MFQ_LAYER_LINEAR ? "the axes before the last one" : "its spatial axes");
}

static mfq_status place_quantizer(mfq_layer *layer, const char *function, int phase, mfq_slot *slot) {
  const mfq_tensor *tensor = mfq_layer_tensor_of(layer, slot->role);
  mfq_tensor operand, seen;
  if (!mfq_layer_as_operand(layer, slot->role, tensor, &operand) ||
      !mfq_layer_seen(layer, slot->role, &slot->quantizer->scheme, &operand, &seen))
    return refuse_axes(layer, function, slot->place, tensor);
  slot->scheme = slot->quantizer->scheme;
  mfq_status status = mfq_layer_axis(layer, function, slot->place, seen.rank, &slot->scheme);
  if (status != MFQ_OK) return status;
  if (slot->quantizer->scaling != MFQ_SCALING_DYNAMIC) {
    mfq_place_state(*states)[MFQ_PLACES] = layer->states;
    slot->state = &states[states[phase][slot->place].quantizer != NULL ? phase : 0][slot->place];
    slot->scheme.rule = MFQ_RULE_GIVEN;
  }
  const int is_strided = slot->scheme.granularity == MFQ_GRANULARITY_GROUP && slot->scheme.axis != seen.rank - 1;
  const mfq_layout layout = {.codes = is_strided ? MFQ_CODES_GROUP_LAST : MFQ_CODES_LOGICAL};
  status = mfq_qtensor_init(&slot->scheme, seen.rank, seen.shape, &layout, &slot->q);
  if (status == MFQ_OK) status = mfq_qtensor_sizes_get(&slot->q, &slot->sizes);
  const mfq_where where = {function, "its scheme"};
  const int is_fake = slot->place == MFQ_PLACE_Y || slot->place == MFQ_PLACE_BIAS;
  if (status == MFQ_OK)
    status = mfq_scheme_suits(where, is_fake ? MFQ_OP_FAKE_QUANTIZE : MFQ_OP_QUANTIZE, &slot->scheme);
  if (status == MFQ_OK && mfq_slot_bends(&layer->plan, slot))
    status = mfq_scheme_suits(where, MFQ_OP_FAKE_GRADIENT, &slot->scheme);
  return status == MFQ_OK ? status : mfq_layer_failed(layer, function, mfq_place_name(slot->place), status);
}

static mfq_status place_quantizers(mfq_layer *layer, const char *function, int phase) {
  mfq_layer_plan *plan = &layer->plan;
  for (int i = 0; i < MFQ_PLACES; ++i) {
    const mfq_place place = (mfq_place)i, before = mfq_place_before(place);
    const mfq_quantizer *z = &plan->phase->places[i];
    mfq_slot *slot = &plan->slots[i];
    const mfq_slot *base = mfq_slot_at(plan, before);
    slot->place = place;
    slot->role = mfq_place_role(place);
    slot->filled_step = -1;
    const int has_tensor = place != MFQ_PLACE_BIAS || layer->bias.data != NULL;
    if (z->take == MFQ_TAKE_SAME) slot->place = base->place;
    if (z->take == MFQ_TAKE_PLAIN || z->take == MFQ_TAKE_SAME || !has_tensor) continue;
    slot->quantizer = z;
    const mfq_status status = place_quantizer(layer, function, phase, slot);
    if (status != MFQ_OK) return status;
    if (before != place && gives_same(slot, base)) {
      slot->place = base->place;
      slot->quantizer = NULL;
    }
  }
  return MFQ_OK;
}

/* ---- Memory -------------------------------------------------------------------------------------------------------- */

/* What an operand is quantized again from: values of another place; NULL where it is the tensor itself. */
mfq_slot *mfq_slot_source(mfq_layer_plan *plan, const mfq_slot *slot) {
  if (slot->quantizer == NULL || slot->quantizer->take != MFQ_TAKE_AGAIN) return NULL;
  mfq_slot *base = mfq_slot_at(plan, mfq_place_before(slot->place));
  return base->quantizer != NULL ? base : NULL;
}

/* Which operands of forward backward asks for. */
static void mark(mfq_layer *layer) {
  mfq_layer_plan *plan = &layer->plan;
  static const mfq_place backward[] = {MFQ_PLACE_DGRAD_W, MFQ_PLACE_WGRAD_X};
  for (int i = 0; i < 2; ++i) {
    mfq_slot *base = mfq_slot_at(plan, backward[i]);
    mfq_slot *source = mfq_slot_source(plan, base);
    base->in_backward = base->quantizer != NULL;
    if (source != NULL) source->in_backward = layer->keep == MFQ_KEEP_NOTHING;
  }
  for (int i = 0; i < 2; ++i) { /* scales that were searched for are asked for by gradients */
    mfq_slot *slot = &plan->slots[i];
    if (slot->quantizer != NULL && slot->quantizer->searched && mfq_slot_bends(plan, slot)) slot->in_backward = 1;
  }
}

typedef struct room {
  size_t kept, workspace[MFQ_PASSES], targets[OPERANDS];
} room;

static void take_codes(const mfq_layer *layer, mfq_slot *slot, room *used) {
  const size_t bytes = mfq_slot_bytes(slot);
  const int is_w = slot->place == MFQ_PLACE_FPROP_W; /* evaluation quantizes it once */
  const int of_forward = slot->role == MFQ_ROLE_X || slot->role == MFQ_ROLE_W;
  if (layer->plan.is_target[slot->role]) {
    const mfq_home home = (mfq_home)(MFQ_HOME_TARGET + (int)slot->role);
    slot->codes[0] = slot->codes[1] = mfq_spot_take(home, &used->targets[slot->role], bytes);
    return;
  }
  if (is_w || (of_forward && slot->in_backward && layer->keep == MFQ_KEEP_OPERANDS)) {
    slot->codes[0] = slot->codes[1] = mfq_spot_take(MFQ_HOME_KEPT, &used->kept, bytes);
    return;
  }
  if (slot->place == MFQ_PLACE_FPROP_X)
    slot->codes[0] = mfq_spot_take(MFQ_HOME_WORKSPACE, &used->workspace[MFQ_PASS_FORWARD], bytes);
  if (slot->place != MFQ_PLACE_FPROP_X || slot->in_backward)
    slot->codes[1] = mfq_spot_take(MFQ_HOME_WORKSPACE, &used->workspace[MFQ_PASS_BACKWARD], bytes);
}

static size_t dense_bytes(const mfq_tensor *tensor, mfq_dtype dtype) {
  return (size_t)mfq_shape_count(tensor->rank, tensor->shape) * mfq_dtype_bytes(dtype);
}

static void take_values(const mfq_layer *layer, mfq_slot *slot, mfq_pass pass, room *used) {
  if (slot->values[pass].home != MFQ_HOME_NONE) return;
  const size_t bytes = dense_bytes(mfq_layer_tensor_of(layer, slot->role), MFQ_DTYPE_F32);
  slot->values[pass] = mfq_spot_take(MFQ_HOME_WORKSPACE, &used->workspace[pass], bytes);
}

static void take_operands(mfq_layer *layer, room *used) {
  mfq_layer_plan *plan = &layer->plan;
  for (int i = 0; i < MFQ_PLACE_Y; ++i)
    if (plan->slots[i].quantizer != NULL) take_codes(layer, &plan->slots[i], used);
  for (int which = 0; which < PRODUCTS; ++which)
    for (int i = 0; i < 2; ++i) {
      const mfq_layer_product *p = &plan->products[which];
      if (p->by_values[i])
        take_values(layer, mfq_slot_at(plan, p->places[i]), which == MFQ_FPROP ? MFQ_PASS_FORWARD : MFQ_PASS_BACKWARD,
                    used);
    }
  for (int i = 0; i < MFQ_PLACE_Y; ++i) {
    mfq_slot *source = mfq_slot_source(plan, &plan->slots[i]);
    const int in_forward = source != NULL && source->role != MFQ_ROLE_DY && layer->keep == MFQ_KEEP_OPERANDS;
    if (source != NULL) take_values(layer, source, in_forward ? MFQ_PASS_FORWARD : MFQ_PASS_BACKWARD, used);
  }
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* A buffer of so many bytes, the one that is there where it has them. */
static mfq_status resize(mfq_layer *layer, size_t bytes, mfq_buffer **buffer) {
  if (*buffer != NULL && mfq_buffer_bytes(*buffer) == bytes) return MFQ_OK;
  mfq_buffer_destroy(*buffer);
  *buffer = NULL;
  return mfq_buffer_create(layer->context, bytes, buffer);
}

static void leave_memory(mfq_layer_plan *plan) {
  const mfq_spot none = {.home = MFQ_HOME_NONE};
  plan->y_before = plan->dy_behind = plan->bias = none;
  for (int i = 0; i < MFQ_PLACES; ++i)
    for (int pass = 0; pass < MFQ_PASSES; ++pass) plan->slots[i].codes[pass] = plan->slots[i].values[pass] = none;
}

static mfq_status take_memory(mfq_layer *layer) {
  mfq_layer_plan *plan = &layer->plan;
  room used = {0};
  leave_memory(plan);
  take_operands(layer, &used);
  const mfq_slot *y = &plan->slots[MFQ_PLACE_Y], *bias = &plan->slots[MFQ_PLACE_BIAS];
  if (y->quantizer != NULL) {
    plan->y_before = mfq_spot_take(MFQ_HOME_KEPT, &used.kept, dense_bytes(&layer->y, layer->y.dtype));
    if (mfq_slot_bends(plan, y))
      plan->dy_behind = mfq_spot_take(MFQ_HOME_WORKSPACE, &used.workspace[1], dense_bytes(&layer->y, layer->y.dtype));
  }
  if (bias->quantizer != NULL)
    plan->bias = mfq_spot_take(MFQ_HOME_WORKSPACE, &used.workspace[0], dense_bytes(&layer->bias, MFQ_DTYPE_F32));
  const mfq_layer_product *p = plan->products;
  const size_t backward =
      larger(larger(p[MFQ_DGRAD].workspace_bytes, p[MFQ_WGRAD].workspace_bytes), plan->sum.workspace_bytes);
  plan->product[0] = mfq_spot_take(MFQ_HOME_WORKSPACE, &used.workspace[0], p[MFQ_FPROP].workspace_bytes);
  plan->product[1] = mfq_spot_take(MFQ_HOME_WORKSPACE, &used.workspace[1], backward);
  plan->kept_bytes = used.kept;
  plan->workspace_bytes = larger(used.workspace[0], used.workspace[1]);
  mfq_status status = resize(layer, plan->kept_bytes, &layer->kept);
  if (status == MFQ_OK) status = resize(layer, plan->workspace_bytes, &layer->workspace);
  for (int role = 0; status == MFQ_OK && role < OPERANDS; ++role) {
    plan->target_bytes[role] = used.targets[role];
    if (plan->is_target[role]) status = resize(layer, used.targets[role], &layer->targets[role]);
  }
  return status;
}

mfq_status mfq_layer_place_memory(mfq_layer *layer, const char *function) {
  const mfq_status status = take_memory(layer);
  if (status == MFQ_OK) return status;
  mfq_layer_plan_free(layer); /* nothing is half planned */
  layer->forward_step = -1;
  return mfq_layer_failed(layer, function, "memory of its operands", status);
}

/* ---- Alignment: memory that is aligned worse than any before is planned for once more -------------------------------- */

static uintptr_t alignment_of(const void *memory) {
  const uintptr_t low = (uintptr_t)memory & -(uintptr_t)memory;
  return low == 0 || low > 256 ? 256 : low;
}

void mfq_layer_meet(mfq_tensor *planned, const mfq_tensor *given) {
  if (given != NULL && alignment_of(given->data) < alignment_of(planned->data)) planned->data = given->data;
}

/* Whether a pass was planned for memory such as was met since. */
static int meets(const mfq_layer *layer, mfq_pass pass) {
  const uintptr_t *planned = layer->plan.alignment[pass];
  return alignment_of(layer->x.data) >= planned[0] && alignment_of(layer->y.data) >= planned[1];
}

static void set_alignment(mfq_layer *layer, mfq_pass pass) {
  layer->plan.alignment[pass][0] = alignment_of(layer->x.data);
  layer->plan.alignment[pass][1] = alignment_of(layer->y.data);
}

/* ---- The plan ------------------------------------------------------------------------------------------------------ */

void mfq_layer_plan_free(mfq_layer *layer) {
  for (int i = 0; i < PRODUCTS; ++i) mfq_layer_product_free(&layer->plan.products[i]);
  mfq_layer_product_free(&layer->plan.sum);
  mfq_buffer_destroy(layer->kept);
  mfq_buffer_destroy(layer->workspace);
  layer->kept = layer->workspace = NULL;
  layer->planned_phase = -1;
}

/* dy as products of backward have it: behind the result's quantizer it is dense. */
static int planned_dy(const mfq_layer *layer, mfq_tensor *dy) {
  if (!mfq_layer_as_operand(layer, MFQ_ROLE_DY, &layer->y, dy)) return 0;
  if (!mfq_slot_bends(&layer->plan, &layer->plan.slots[MFQ_PLACE_Y])) return 1;
  return mfq_tensor_init(NULL, dy->dtype, dy->rank, dy->shape, dy) == MFQ_OK;
}

/* Plans a product of the layer's own tensors; `like` stands for the gradient of a parameter. */
static mfq_status plan_product(mfq_layer *layer, const char *function, int which, const mfq_tensor *like) {
  static const char *const names[] = {"fprop", "dgrad", "wgrad"};
  static const mfq_place places[][2] = {{MFQ_PLACE_FPROP_X, MFQ_PLACE_FPROP_W},
                                        {MFQ_PLACE_DGRAD_DY, MFQ_PLACE_DGRAD_W},
                                        {MFQ_PLACE_WGRAD_DY, MFQ_PLACE_WGRAD_X}};
  const mfq_tensor *const results[] = {&layer->y, &layer->x, like};
  static const mfq_role roles[] = {MFQ_ROLE_DY, MFQ_ROLE_X, MFQ_ROLE_W};
  mfq_layer_product *p = &layer->plan.products[which];
  mfq_tensor operands[2], result;
  mfq_layer_io io = {.operands = {&operands[0], &operands[1]}, .result = &result};
  for (int i = 0; i < 2; ++i) {
    p->places[i] = places[which][i];
    const mfq_role role = mfq_place_role(p->places[i]);
    if (role == MFQ_ROLE_DY ? !planned_dy(layer, &operands[i])
                            : !mfq_layer_as_operand(layer, role, mfq_layer_tensor_of(layer, role), &operands[i]))
      return refuse_axes(layer, function, p->places[i], mfq_layer_tensor_of(layer, role));
  }
  (void)mfq_layer_as_operand(layer, roles[which], results[which], &result);
  if (which == MFQ_FPROP && layer->bias.data != NULL) io.bias = &layer->bias;
  io.accumulate = which == MFQ_WGRAD && layer->plan.accumulate;
  mfq_tensor dense; /* of what is quantized behind the product */
  if (which == MFQ_FPROP && layer->plan.slots[MFQ_PLACE_Y].quantizer != NULL &&
      mfq_tensor_init(NULL, result.dtype, result.rank, result.shape, &dense) == MFQ_OK)
    io.result = &dense;
  mfq_tensor fake_bias;
  if (io.bias != NULL && layer->plan.slots[MFQ_PLACE_BIAS].quantizer != NULL &&
      mfq_tensor_init(NULL, MFQ_DTYPE_F32, 1, layer->bias.shape, &fake_bias) == MFQ_OK)
    io.bias = &fake_bias;
  const mfq_status status = mfq_layer_product_plan(layer, which, &io);
  return status == MFQ_OK ? status : mfq_layer_failed(layer, function, names[which], status);
}

static mfq_status plan_backward(mfq_layer *layer, const char *function) {
  mfq_layer_plan *plan = &layer->plan;
  mfq_tensor dy;
  set_alignment(layer, MFQ_PASS_BACKWARD);
  mfq_status status = plan_product(layer, function, MFQ_DGRAD, NULL);
  if (status == MFQ_OK) status = plan_product(layer, function, MFQ_WGRAD, &plan->dweight);
  if (status != MFQ_OK || layer->bias.data == NULL) return status;
  if (!planned_dy(layer, &dy)) return refuse_axes(layer, function, MFQ_PLACE_WGRAD_DY, &layer->y);
  status = mfq_layer_sum_plan(layer, &dy, &plan->dbias, plan->accumulate);
  return status == MFQ_OK ? status : mfq_layer_failed(layer, function, "dbias", status);
}

static mfq_status make_plan(mfq_layer *layer, const char *function, int phase) {
  mfq_layer_plan *plan = &layer->plan;
  const mfq_layer_plan before = *plan;
  memset(plan, 0, sizeof *plan);
  plan->phase = &layer->recipe.phases[phase];
  if (before.phase == plan->phase) memcpy(plan->is_target, before.is_target, sizeof plan->is_target);
  plan->dweight = layer->weight;
  plan->dbias = layer->bias;
  mfq_status status = place_quantizers(layer, function, phase);
  if (status != MFQ_OK) return status;
  set_alignment(layer, MFQ_PASS_FORWARD);
  status = plan_product(layer, function, MFQ_FPROP, NULL);
  if (status == MFQ_OK) status = plan_backward(layer, function);
  if (status != MFQ_OK) return status;
  mark(layer);
  status = take_memory(layer);
  return status == MFQ_OK ? status : mfq_layer_failed(layer, function, "memory of its operands", status);
}

mfq_status mfq_layer_plan_phase(mfq_layer *layer, const char *function, int phase) {
  if (layer->planned_phase == phase && meets(layer, MFQ_PASS_FORWARD)) return MFQ_OK;
  mfq_layer_plan_free(layer);
  layer->forward_step = -1;
  layer->weight_is_ready = 0;
  const mfq_status status = make_plan(layer, function, phase);
  if (status == MFQ_OK)
    layer->planned_phase = phase;
  else
    mfq_layer_plan_free(layer);
  return status;
}

/* ---- Gradients of parameters --------------------------------------------------------------------------------------- */

/* Whether a product that was planned for one tensor can write the other. */
static int serves(const mfq_tensor *planned, const mfq_tensor *given) {
  return planned->dtype == given->dtype &&
         memcmp(planned->strides, given->strides, (size_t)given->rank * sizeof given->strides[0]) == 0 &&
         alignment_of(given->data) >= alignment_of(planned->data);
}

/* More workspace where the products of backward need it, behind all else of the run. */
static mfq_status make_room(mfq_layer *layer, const char *function) {
  mfq_layer_plan *plan = &layer->plan;
  const mfq_layer_product *p = plan->products;
  const size_t needed =
      larger(larger(p[MFQ_DGRAD].workspace_bytes, p[MFQ_WGRAD].workspace_bytes), plan->sum.workspace_bytes);
  if (needed <= plan->product[MFQ_PASS_BACKWARD].bytes) return MFQ_OK;
  const size_t bytes = larger(mfq_size_plus(plan->product[MFQ_PASS_BACKWARD].offset, needed), plan->workspace_bytes);
  mfq_buffer *more = NULL;
  const mfq_status status = mfq_buffer_create(layer->context, bytes, &more);
  if (status != MFQ_OK) return mfq_layer_failed(layer, function, "memory of its operands", status);
  mfq_buffer_destroy(layer->workspace);
  layer->workspace = more;
  plan->workspace_bytes = bytes;
  plan->product[MFQ_PASS_BACKWARD].bytes = needed;
  return MFQ_OK;
}

mfq_status mfq_layer_plan_gradients(mfq_layer *layer, const char *function, const mfq_layer_gradients *g) {
  mfq_layer_plan *plan = &layer->plan;
  const mfq_tensor *const like_x[] = {g->x, g->dx};
  for (int i = 0; i < 2; ++i) mfq_layer_meet(&layer->x, like_x[i]);
  mfq_layer_meet(&layer->y, g->dy);
  const int is_served = meets(layer, MFQ_PASS_BACKWARD) && (g->dweight == NULL || serves(&plan->dweight, g->dweight)) &&
                        (g->dbias == NULL || serves(&plan->dbias, g->dbias)) && plan->accumulate == g->accumulate;
  if (is_served) return MFQ_OK;
  mfq_layer_product *products[] = {&plan->products[MFQ_DGRAD], &plan->products[MFQ_WGRAD], &plan->sum};
  for (int i = 0; i < 3; ++i) mfq_layer_product_free(products[i]);
  if (g->dweight != NULL) plan->dweight = *g->dweight;
  if (g->dbias != NULL) plan->dbias = *g->dbias;
  plan->accumulate = g->accumulate;
  mfq_status status = plan_backward(layer, function);
  if (status == MFQ_OK) status = make_room(layer, function);
  if (status != MFQ_OK) { /* nothing is half planned */
    mfq_layer_plan_free(layer);
    layer->forward_step = -1;
  }
  return status;
}
