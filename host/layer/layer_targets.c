/* host/layer/layer_targets.c: operands that others write into the layer's memory. */
#include "layer_state.h"

#include <string.h>

#include "host/core/check/arguments.h"
#include "host/core/check/operands.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"

/* The places of each operand, and how it is called. */
static const struct {
  mfq_place places[2];
  const char *word;
} operands[OPERANDS] = {[MFQ_ROLE_X] = {{MFQ_PLACE_FPROP_X, MFQ_PLACE_WGRAD_X}, "x"},
                        [MFQ_ROLE_W] = {{MFQ_PLACE_FPROP_W, MFQ_PLACE_DGRAD_W}, "weight"},
                        [MFQ_ROLE_DY] = {{MFQ_PLACE_DGRAD_DY, MFQ_PLACE_WGRAD_DY}, "dy"}};
_Static_assert((int)MFQ_LAYER_OPERAND_X == MFQ_ROLE_X && (int)MFQ_LAYER_OPERAND_WEIGHT == MFQ_ROLE_W &&
                   (int)MFQ_LAYER_OPERAND_DY == MFQ_ROLE_DY,
               "operands are the first roles");

void mfq_layer_forget_targets(mfq_layer *layer) { layer->is_written[MFQ_ROLE_X] = layer->is_written[MFQ_ROLE_DY] = 0; }

/* Whether something reads the tensor itself, and what. */
static const char *reader_of(const mfq_layer *layer, mfq_role role) {
  mfq_layer_plan *plan = (mfq_layer_plan *)&layer->plan;
  for (int i = 0; i < 2; ++i) {
    const mfq_place place = operands[role].places[i];
    if (mfq_slot_at(plan, place)->quantizer == NULL) return mfq_place_name(place);
    if (mfq_slot_bends(plan, &plan->slots[place])) return "the way back of gradients through its quantizer";
  }
  return layer->watch && role != MFQ_ROLE_W ? "options.watch" : NULL;
}

mfq_status mfq_layer_check_absent(const mfq_layer *layer, mfq_where where, mfq_role role) {
  if (!mfq_layer_is_written(layer, role))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s is NULL, and %s has no codes in its place; give the tensor, or call mfq_layer_target_get and "
                    "write them: for each forward, and in the phase of the recipe that it is of",
                    where.argument, layer->name);
  const char *reader = reader_of(layer, role);
  if (reader != NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s is NULL, but in %s %s reads it beside its codes (needs_plain of mfq_layer_target)",
                    where.argument, layer->name, reader);
  return MFQ_OK;
}

/* ---- What cannot be written from outside ----------------------------------------------------------------------------- */

/* Why the layer must quantize at a place itself; NULL where it need not. */
static const char *why_not(const mfq_slot *slot) {
  const mfq_quantizer *z = slot->quantizer;
  static const char *const scalings[] = {[MFQ_SCALING_DELAYED] =
                                             "its scales are delayed: they follow from the tensors before",
                                         [MFQ_SCALING_COLLECTED] = "its scales are collected",
                                         [MFQ_SCALING_LEARNED] = "its scales are learned"};
  if (z->scaling != MFQ_SCALING_DYNAMIC) return scalings[z->scaling];
  if (z->searched) return "its scales are searched";
  if (z->take == MFQ_TAKE_AGAIN) return "it quantizes again what another place has";
  if (z->fresh_signs) return "the signs of its rotation follow from the step";
  if (slot->scheme.rounding == MFQ_ROUND_STOCHASTIC || slot->scheme.eden != 0)
    return "its random bits follow from the step";
  return NULL;
}

static mfq_status refuse(const mfq_layer *layer, const char *function, const char *what, const char *why) {
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, function, "%s: %s: %s; give the layer the tensor, which it quantizes itself",
                  layer->name, what, why);
}

static mfq_status check_quantizers(const mfq_layer *layer, const char *function, mfq_role role) {
  mfq_layer_plan *plan = (mfq_layer_plan *)&layer->plan;
  const char *const word = operands[role].word;
  int count = 0;
  for (int i = 0; i < 2; ++i) {
    const mfq_place place = operands[role].places[i];
    const mfq_slot *slot = mfq_slot_at(plan, place);
    if (slot->quantizer == NULL) continue;
    const char *why = why_not(slot);
    if (why != NULL) return refuse(layer, function, mfq_place_name(place), why);
    ++count;
  }
  if (count == 0) return refuse(layer, function, word, "the recipe has no quantizer for it in this phase");
  if (layer->keep == MFQ_KEEP_NOTHING && role != MFQ_ROLE_DY)
    return refuse(layer, function, word, "options.keep is MFQ_KEEP_NOTHING, so that backward quantizes it again");
  if (role == MFQ_ROLE_DY && mfq_slot_bends(plan, &plan->slots[MFQ_PLACE_Y]))
    return refuse(layer, function, word, "the quantizer of y changes it on its way back");
  return MFQ_OK;
}

/* ---- Targets --------------------------------------------------------------------------------------------------------- */

/* Memory of its own for an operand, once in a phase. */
static mfq_status make_target(mfq_layer *layer, const char *function, mfq_role role) {
  if (layer->plan.is_target[role]) return MFQ_OK;
  layer->plan.is_target[role] = 1;
  layer->is_written[role] = 0;
  if (role != MFQ_ROLE_DY) {
    layer->forward_step = -1;
    layer->weight_is_ready = 0;
    layer->is_written[MFQ_ROLE_DY] = 0;
  }
  return mfq_layer_place_memory(layer, function);
}

/* The codes of the weight as it is. */
static mfq_status fill_weight(mfq_layer *layer, const char *function) {
  mfq_tensor weight;
  (void)mfq_layer_as_operand(layer, MFQ_ROLE_W, &layer->weight, &weight);
  mfq_status status = MFQ_OK;
  const mfq_slot *done = NULL;
  for (int i = 0; status == MFQ_OK && i < 2; ++i) {
    mfq_slot *slot = mfq_slot_at(&layer->plan, operands[MFQ_ROLE_W].places[i]);
    if (slot->quantizer != NULL && slot != done) status = mfq_slot_fill(layer, slot, NULL, &weight, layer->step);
    done = slot;
  }
  return status == MFQ_OK ? status : mfq_layer_failed(layer, function, "weight", status);
}

static void describe(mfq_layer *layer, mfq_role role, mfq_layer_target *target) {
  memset(target, 0, sizeof *target);
  mfq_slot *slots[2];
  for (int i = 0; i < 2; ++i) {
    slots[i] = mfq_slot_at(&layer->plan, operands[role].places[i]);
    if (slots[i]->quantizer != NULL) mfq_slot_bind(layer, slots[i], role == MFQ_ROLE_DY);
  }
  target->has_row = slots[0]->quantizer != NULL;
  target->has_col = slots[1]->quantizer != NULL && slots[1] != slots[0];
  if (target->has_row) target->row = slots[0]->q;
  if (target->has_col) target->col = slots[1]->q;
  target->needs_plain = reader_of(layer, role) != NULL;
}

mfq_status mfq_layer_target_get(mfq_layer *layer, mfq_layer_operand which, mfq_layer_target *target) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_layer_target_get";
  const mfq_range range = {"which", (int64_t)which, MFQ_LAYER_OPERAND_X, MFQ_LAYER_OPERAND_DY};
  mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "target"}, target);
  if (status == MFQ_OK) status = mfq_ranges_check((mfq_where){function, "the call"}, &range, 1);
  if (status != MFQ_OK) return status;
  const mfq_role role = (mfq_role)which;
  /* dy is that of the last forward, where there is one to go back through */
  if (role != MFQ_ROLE_DY || layer->forward_step < 0)
    status = mfq_layer_plan_phase(layer, function, mfq_recipe_phase_of(&layer->recipe, layer->step));
  if (status == MFQ_OK) status = check_quantizers(layer, function, role);
  if (status == MFQ_OK) status = make_target(layer, function, role);
  if (status != MFQ_OK) return status;
  mfq_layer_target made;
  describe(layer, role, &made);
  if (role == MFQ_ROLE_W) status = fill_weight(layer, function);
  if (status != MFQ_OK) return status;
  layer->is_written[role] = 1;
  *target = made;
  return MFQ_OK;
}
