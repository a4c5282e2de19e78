/* host/layer/layer_quantize.c: operands at their places: codes, and their values. */
#include "layer_state.h"

#include "host/core/error.h"
#include "host/core/module/context_state.h"

enum { ALIGNMENT = 256 };

static size_t rounded(size_t bytes) { return mfq_size_plus(bytes, ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

mfq_spot mfq_spot_take(mfq_home home, size_t *used, size_t bytes) {
  const mfq_spot spot = {home, *used, bytes};
  *used = mfq_size_plus(*used, rounded(bytes));
  return spot;
}

void *mfq_layer_at(const mfq_layer *layer, mfq_spot spot) {
  const mfq_buffer *const buffers[MFQ_HOMES] = {
      NULL, layer->state, layer->kept, layer->workspace, layer->targets[0], layer->targets[1], layer->targets[2]};
  char *base = mfq_buffer_data(buffers[spot.home]);
  return base != NULL ? base + spot.offset : NULL;
}

void mfq_slot_bind(const mfq_layer *layer, mfq_slot *slot, mfq_pass pass) {
  char *memory = mfq_layer_at(layer, slot->codes[pass]);
  const mfq_qtensor_sizes *sizes = &slot->sizes;
  slot->q.codes = memory;
  memory += rounded(sizes->codes_bytes);
  if (slot->state != NULL) { /* its scales stay from step to step */
    slot->q.scales = slot->state->given.scales;
    slot->q.zero_points = slot->state->given.zero_points;
    slot->q.tensor_scale = slot->state->given.tensor_scale;
    return;
  }
  slot->q.scales = sizes->scales_bytes > 0 ? memory : NULL;
  memory += rounded(sizes->scales_bytes);
  slot->q.zero_points = sizes->zero_points_bytes > 0 ? memory : NULL;
  memory += rounded(sizes->zero_points_bytes);
  slot->q.tensor_scale = sizes->tensor_scale_bytes > 0 ? (float *)(void *)memory : NULL;
}

size_t mfq_slot_bytes(const mfq_slot *slot) {
  const mfq_qtensor_sizes *s = &slot->sizes;
  const size_t codes = rounded(s->codes_bytes);
  if (slot->state != NULL) return codes;
  return mfq_size_plus(mfq_size_plus(codes, rounded(s->scales_bytes)),
                       mfq_size_plus(rounded(s->zero_points_bytes), rounded(s->tensor_scale_bytes)));
}

/* ---- Random bits --------------------------------------------------------------------------------------------------- */

mfq_seeds mfq_layer_seed(const mfq_layer *layer, mfq_place place, int64_t step) {
  const mfq_seeds before = {layer->context->seed, layer->context->offset};
  layer->context->seed = layer->seed;
  layer->context->offset = (uint64_t)step * MFQ_PLACES + (uint64_t)place;
  return before;
}

void mfq_layer_seed_end(const mfq_layer *layer, mfq_seeds before) {
  layer->context->seed = before.seed;
  layer->context->offset = before.offset;
}

/* Signs that change from step to step. */
static void set_signs(mfq_slot *slot, int64_t step) {
  if (slot->quantizer->fresh_signs)
    slot->q.scheme.sign_seed = slot->scheme.sign_seed = slot->quantizer->scheme.sign_seed + (uint64_t)step;
}

/* ---- Codes --------------------------------------------------------------------------------------------------------- */

static mfq_status quantize(mfq_layer *layer, mfq_slot *slot, const mfq_tensor *seen) {
  if (!slot->quantizer->searched) return mfq_quantize(layer->context, seen, &slot->q, NULL);
  mfq_search search;
  mfq_search_init(&search, slot->quantizer->search);
  search.src = seen;
  search.q = &slot->q;
  return mfq_search_scales(layer->context, &search);
}

/* Not where backward quantizes once more what forward had. */
static mfq_status make_scales(mfq_layer *layer, mfq_slot *slot, const mfq_tensor *seen, int64_t step) {
  return slot->state != NULL && slot->filled_step != step ? mfq_place_scales(layer, slot->state, seen) : MFQ_OK;
}

static mfq_status fill(mfq_layer *layer, mfq_slot *slot, mfq_slot *also, const mfq_tensor *operand, int64_t step) {
  mfq_tensor seen;
  (void)mfq_layer_seen(layer, slot->role, &slot->scheme, operand, &seen);
  set_signs(slot, step);
  if (also != NULL) set_signs(also, step);
  mfq_status status = make_scales(layer, slot, &seen, step);
  if (status == MFQ_OK && also != NULL) status = make_scales(layer, also, &seen, step);
  if (status != MFQ_OK) return status;
  const mfq_seeds before = mfq_layer_seed(layer, slot->place, step);
  status = also != NULL ? mfq_quantize(layer->context, &seen, &slot->q, &also->q) : quantize(layer, slot, &seen);
  mfq_layer_seed_end(layer, before);
  return status;
}

/* Whether one call can quantize an operand at both places: from the same axes, by the same random bits or none. */
static int in_one_call(const mfq_slot *a, const mfq_slot *b) {
  const mfq_slot *slots[] = {a, b};
  for (int i = 0; i < 2; ++i) {
    const mfq_scheme *s = &slots[i]->scheme;
    if (slots[i]->quantizer->searched || slots[i]->quantizer->take != MFQ_TAKE_QUANTIZED || s->eden > 0 ||
        s->rounding == MFQ_ROUND_STOCHASTIC)
      return 0;
  }
  return (a->scheme.granularity == MFQ_GRANULARITY_BLOCK) == (b->scheme.granularity == MFQ_GRANULARITY_BLOCK) ||
         a->q.rank == b->q.rank;
}

mfq_status mfq_slot_fill(mfq_layer *layer, mfq_slot *slot, mfq_slot *also, const mfq_tensor *operand, int64_t step) {
  const int together = also != NULL && in_one_call(slot, also);
  mfq_status status = fill(layer, slot, together ? also : NULL, operand, step);
  if (status == MFQ_OK && also != NULL && !together) status = fill(layer, also, NULL, operand, step);
  if (status != MFQ_OK) return status;
  slot->filled_step = step;
  if (also != NULL) also->filled_step = step;
  return MFQ_OK;
}

/* ---- Values -------------------------------------------------------------------------------------------------------- */

mfq_status mfq_slot_values(mfq_layer *layer, mfq_slot *slot, mfq_pass pass, mfq_tensor *values) {
  mfq_tensor operand, seen;
  (void)mfq_layer_as_operand(layer, slot->role, mfq_layer_tensor_of(layer, slot->role), &operand);
  mfq_status status =
      mfq_tensor_init(mfq_layer_at(layer, slot->values[pass]), MFQ_DTYPE_F32, operand.rank, operand.shape, values);
  if (status != MFQ_OK || slot->has_values) return status;
  (void)mfq_layer_seen(layer, slot->role, &slot->scheme, values, &seen);
  status = mfq_dequantize(layer->context, &slot->q, &seen);
  slot->has_values = status == MFQ_OK;
  return status;
}
