/* host/layer/layer_scales.c: scales that are not measured each time: delayed, collected, learned. */
#include "layer_state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/core/error.h"
#include "host/core/module/context_state.h"

/* ---- Their memory -------------------------------------------------------------------------------------------------- */

static mfq_status make_history(mfq_place_state *state, size_t *used) {
  state->history = mfq_spot_take(MFQ_HOME_STATE, used, (size_t)state->quantizer->steps * sizeof(float));
  state->values = mfq_spot_take(MFQ_HOME_STATE, used, sizeof(float));
  return MFQ_OK;
}

static mfq_status make_statistics(mfq_place_state *state, const mfq_qtensor *q, size_t *used) {
  const mfq_quantizer *z = state->quantizer;
  mfq_scheme scheme = q->scheme;
  mfq_observer low;
  mfq_observer_low(&z->observer, &low);
  mfq_status status = mfq_collection_init(&scheme, &z->observer, q->rank, q->shape, &state->scale);
  if (status == MFQ_OK) status = mfq_collection_init(&scheme, &low, q->rank, q->shape, &state->low);
  if (status != MFQ_OK) return status;
  state->scale.limit = state->low.limit = 0;
  const size_t bytes = (size_t)state->scale.scale_count * sizeof(float);
  state->values = mfq_spot_take(MFQ_HOME_STATE, used, bytes);
  state->batch = mfq_spot_take(MFQ_HOME_STATE, used, bytes);
  if (scheme.zero_point) {
    state->lows = mfq_spot_take(MFQ_HOME_STATE, used, bytes);
    state->batch_lows = mfq_spot_take(MFQ_HOME_STATE, used, bytes);
  }
  if (z->scaling == MFQ_SCALING_LEARNED) state->gradient = mfq_spot_take(MFQ_HOME_STATE, used, bytes);
  return MFQ_OK;
}

/* What a place with such a quantizer needs, for a tensor as it is seen. */
static mfq_status make_state(mfq_layer *layer, const char *function, mfq_place place, mfq_place_state *state) {
  const mfq_role role = mfq_place_role(place);
  mfq_tensor operand, seen;
  mfq_scheme scheme = state->quantizer->scheme;
  if (!mfq_layer_as_operand(layer, role, mfq_layer_tensor_of(layer, role), &operand)) return MFQ_OK; /* refused later */
  if (!mfq_layer_seen(layer, role, &scheme, &operand, &seen)) return MFQ_OK;
  mfq_status status = mfq_layer_axis(layer, function, place, seen.rank, &scheme);
  if (status != MFQ_OK) return status;
  mfq_scheme given = scheme;
  given.rule = MFQ_RULE_GIVEN;
  mfq_qtensor_sizes sizes;
  status = mfq_qtensor_init(&given, seen.rank, seen.shape, NULL, &state->given);
  if (status == MFQ_OK) status = mfq_qtensor_sizes_get(&state->given, &sizes);
  mfq_qtensor ruled = state->given;
  ruled.scheme = scheme;
  if (status == MFQ_OK)
    status = state->quantizer->scaling == MFQ_SCALING_DELAYED ? make_history(state, &layer->state_bytes)
                                                              : make_statistics(state, &ruled, &layer->state_bytes);
  if (status != MFQ_OK) return mfq_layer_failed(layer, function, mfq_place_name(place), status);
  const size_t bytes[] = {sizes.scales_bytes, sizes.zero_points_bytes, sizes.tensor_scale_bytes};
  for (int i = 0; i < 3; ++i)
    if (bytes[i] > 0) state->parts[i] = mfq_spot_take(MFQ_HOME_STATE, &layer->state_bytes, bytes[i]);
  return MFQ_OK;
}

static void point(const mfq_layer *layer, mfq_place_state *state) {
  state->scale.values = mfq_layer_at(layer, state->values);
  state->low.values = mfq_layer_at(layer, state->lows);
  state->given.scales = mfq_layer_at(layer, state->parts[0]);
  state->given.zero_points = mfq_layer_at(layer, state->parts[1]);
  state->given.tensor_scale = mfq_layer_at(layer, state->parts[2]);
}

/* A second phase goes on with the state of the first where it has the same quantizer. */
static int is_same(const mfq_quantizer *a, const mfq_quantizer *b) {
  return a->take == b->take && a->scaling == b->scaling && a->steps == b->steps &&
         mfq_scheme_equal(&a->scheme, &b->scheme) && memcmp(&a->observer, &b->observer, sizeof a->observer) == 0;
}

static const char *const part_names[STATE_PARTS] = {[STATE_COLLECTED] = "collected",
                                                    [STATE_LOW] = "collected_low",
                                                    [STATE_HISTORY] = "history",
                                                    [STATE_SCALE] = "scale"};

mfq_status mfq_layer_states_make(mfq_layer *layer, const char *function) {
  layer->one = mfq_spot_take(MFQ_HOME_STATE, &layer->state_bytes, sizeof(float));
  layer->found =
      mfq_spot_take(MFQ_HOME_STATE, &layer->state_bytes, sizeof(float) + sizeof(uint64_t) + sizeof(uint64_t));
  for (int phase = 0; phase < MFQ_RECIPE_PHASES; ++phase)
    for (int place = 0; place < MFQ_PLACES; ++place) {
      const mfq_quantizer *z = &layer->recipe.phases[phase].places[place];
      const mfq_quantizer *first = &layer->recipe.phases[0].places[place];
      mfq_place_state *state = &layer->states[phase][place];
      if (z->take != MFQ_TAKE_QUANTIZED || z->scaling == MFQ_SCALING_DYNAMIC || (phase > 0 && is_same(z, first)))
        continue;
      state->quantizer = z;
      const char *const word = mfq_place_name((mfq_place)place), *const suffix = phase > 0 ? ".2" : "";
      snprintf(state->name, sizeof state->name, "%s%s", word, suffix);
      for (int part = 0; part < STATE_PARTS; ++part)
        snprintf(state->part_names[part], sizeof state->part_names[part], "%s%s.%s", word, suffix, part_names[part]);
      const mfq_status status = make_state(layer, function, (mfq_place)place, state);
      if (status != MFQ_OK) return status;
    }
  static const float one = 1;
  mfq_status status = mfq_buffer_create(layer->context, layer->state_bytes, &layer->state);
  if (status == MFQ_OK) status = mfq_buffer_fill(layer->state, 0, layer->state_bytes, 0);
  if (status == MFQ_OK) status = mfq_buffer_write(layer->state, layer->one.offset, &one, sizeof one);
  if (status != MFQ_OK) return mfq_layer_failed(layer, function, "memory of its state", status);
  for (int i = 0; i < MFQ_RECIPE_PHASES * MFQ_PLACES; ++i) {
    mfq_place_state *state = &layer->states[i / MFQ_PLACES][i % MFQ_PLACES];
    if (state->quantizer != NULL) point(layer, state);
  }
  return MFQ_OK;
}

/* ---- Delayed ------------------------------------------------------------------------------------------------------- */

static mfq_tensor floats(void *memory, int64_t count) {
  return (mfq_tensor){.data = memory, .dtype = MFQ_DTYPE_F32, .rank = 1, .shape = {count}, .strides = {1}};
}

mfq_status mfq_layer_largest(mfq_layer *layer, const mfq_tensor *source, float *value, uint64_t *nans) {
  static const mfq_observer largest = {.observed = MFQ_OBSERVED_ABSMAX};
  static const mfq_scheme one_scale = {.element = {.kind = MFQ_KIND_INTEGER, .is_signed = 1, .man_bits = 7},
                                       .axis = MFQ_AXIS_AUTO,
                                       .scale = MFQ_SCALE_F32};
  const mfq_tensor to = {.data = value, .dtype = MFQ_DTYPE_F32};
  mfq_observation o;
  mfq_observation_init(&o);
  o.scheme = &one_scale;
  o.observer = &largest;
  o.sources = source;
  o.values = &to;
  o.nans = nans;
  return mfq_observe(layer->context, &o);
}

static mfq_status make_scales(mfq_layer *layer, mfq_place_state *state, const mfq_collection *scale,
                              const mfq_collection *low, mfq_stage stage) {
  mfq_transition transition;
  mfq_transition_init(&transition);
  transition.scale = scale;
  transition.zero_point = state->given.scheme.zero_point ? low : NULL;
  transition.rule = state->quantizer->scheme.rule;
  transition.stage = stage;
  transition.to = &state->given;
  return mfq_collection_scales(layer->context, &transition);
}

/* The scale of the tensors before, then this one joins them. */
static mfq_status delayed(mfq_layer *layer, mfq_place_state *state, const mfq_tensor *seen) {
  const mfq_scheme *scheme = &state->quantizer->scheme;
  const int32_t steps = state->quantizer->steps;
  float *history = mfq_layer_at(layer, state->history);
  mfq_status status;
  if (state->seen == 0) {
    static const float one = 1;
    status = mfq_buffer_write(layer->state, state->parts[0].offset, &one, sizeof one);
  } else {
    const mfq_tensor past = floats(history, state->seen < steps ? state->seen : steps);
    status = mfq_layer_largest(layer, &past, state->scale.values, NULL);
    mfq_collection c = {.scheme = *scheme,
                        .observer = {.observed = MFQ_OBSERVED_ABSMAX},
                        .running = MFQ_RUNNING_EXTREME,
                        .steps = 1,
                        .values = state->scale.values,
                        .scale_count = 1};
    if (status == MFQ_OK) status = make_scales(layer, state, &c, NULL, MFQ_STAGE_EVAL);
  }
  if (status != MFQ_OK || layer->mode != MFQ_LAYER_TRAIN) return status;
  status = mfq_layer_largest(layer, seen, history + state->seen % steps, NULL);
  if (status == MFQ_OK) state->seen += 1;
  return status;
}

/* ---- Collected ----------------------------------------------------------------------------------------------------- */

static mfq_status collect(mfq_layer *layer, mfq_place_state *state, const mfq_tensor *seen) {
  mfq_status status = mfq_collect(layer->context, &state->scale, seen, 1);
  if (status == MFQ_OK && state->given.scheme.zero_point) status = mfq_collect(layer->context, &state->low, seen, 1);
  if (status == MFQ_OK) state->seen += 1;
  return status;
}

/* The scales of one tensor by itself. */
static mfq_status alone(mfq_layer *layer, mfq_place_state *state, const mfq_tensor *seen) {
  mfq_collection scale = state->scale, low = state->low;
  scale.steps = low.steps = 0;
  scale.values = mfq_layer_at(layer, state->batch);
  low.values = mfq_layer_at(layer, state->batch_lows);
  mfq_status status = mfq_collect(layer->context, &scale, seen, 1);
  if (status == MFQ_OK && state->given.scheme.zero_point) status = mfq_collect(layer->context, &low, seen, 1);
  return status == MFQ_OK ? make_scales(layer, state, &scale, &low, MFQ_STAGE_EVAL) : status;
}

/* How many tensors a place collects before its scales stay. */
static int64_t wanted(const mfq_quantizer *quantizer) { return quantizer->steps > 0 ? quantizer->steps : 1; }

/* Until enough was collected each tensor has scales of its own; then, `seen` being one more, they stay. */
static mfq_status collected(mfq_layer *layer, mfq_place_state *state, const mfq_tensor *seen) {
  const int64_t steps = wanted(state->quantizer);
  const int is_learned = state->quantizer->scaling == MFQ_SCALING_LEARNED;
  if (state->seen > steps) return MFQ_OK;
  if (state->seen < steps && layer->mode == MFQ_LAYER_TRAIN) {
    const mfq_status status = collect(layer, state, seen);
    if (status != MFQ_OK) return status;
    if (state->quantizer->steps > 0) return alone(layer, state, seen);
  }
  if (state->seen == 0)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, "mfq_layer_forward",
                    "nothing was collected yet, so that there are no scales; run forward in MFQ_LAYER_TRAIN first");
  const mfq_status status =
      make_scales(layer, state, &state->scale, &state->low, is_learned ? MFQ_STAGE_TRAIN : MFQ_STAGE_EVAL);
  if (status == MFQ_OK && state->seen == steps) state->seen += 1;
  return status;
}

void mfq_place_resume(mfq_place_state *state, int64_t seen) {
  const int64_t steps = wanted(state->quantizer);
  const int is_collected = state->quantizer->scaling == MFQ_SCALING_COLLECTED;
  state->seen = is_collected && seen > steps ? steps : seen; /* its scales are made once more, of the same statistics */
  state->scale.steps = state->low.steps = seen < steps ? seen : steps;
}

mfq_status mfq_place_scales(mfq_layer *layer, mfq_place_state *state, const mfq_tensor *seen) {
  return state->quantizer->scaling == MFQ_SCALING_DELAYED ? delayed(layer, state, seen) : collected(layer, state, seen);
}
