/* host/layer/layer_tensors.c: what a layer shows: quantized operands, its tensors, its state as text. */
#include "layer_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/core/check/arguments.h"
#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/process/fp_mode.h"

/* ---- Quantized operands -------------------------------------------------------------------------------------------- */

static mfq_status show(mfq_layer *layer, const char *function, mfq_place place, const mfq_tensor *tensor,
                       mfq_qtensor *q) {
  mfq_slot *slot = &layer->plan.slots[place];
  if (slot->quantizer == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: %s has no quantizer in this phase of the recipe",
                    layer->name, mfq_place_name(place));
  mfq_tensor operand;
  (void)mfq_layer_as_operand(layer, slot->role, tensor, &operand);
  const mfq_layer_mode mode = layer->mode;
  layer->mode = MFQ_LAYER_EVAL; /* nothing is collected */
  layer->forward_step = -1;
  layer->weight_is_ready = 0;
  mfq_layer_forget_targets(layer);
  mfq_slot_bind(layer, slot, MFQ_PASS_FORWARD);
  slot->filled_step = -1;
  const mfq_status status = mfq_slot_fill(layer, slot, NULL, &operand, layer->step);
  layer->mode = mode;
  slot->filled_step = -1;
  if (status != MFQ_OK) return mfq_layer_failed(layer, function, mfq_place_name(place), status);
  *q = slot->q;
  return MFQ_OK;
}

mfq_status mfq_layer_quant_weight(mfq_layer *layer, mfq_qtensor *q) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_layer_quant_weight";
  mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "q"}, q);
  if (status == MFQ_OK)
    status = mfq_layer_plan_phase(layer, function, mfq_recipe_phase_of(&layer->recipe, layer->step));
  return status == MFQ_OK ? show(layer, function, MFQ_PLACE_FPROP_W, &layer->weight, q) : status;
}

mfq_status mfq_layer_input_quant(mfq_layer *layer, const mfq_tensor *x, mfq_qtensor *q) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_layer_input_quant";
  mfq_parts parts = {.count = 0};
  mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "q"}, q);
  if (status == MFQ_OK) status = mfq_layer_take((mfq_where){function, "x"}, x, &layer->x, 0, &parts);
  if (status == MFQ_OK) status = mfq_parts_check(layer->context, &parts);
  if (status == MFQ_OK)
    status = mfq_layer_plan_phase(layer, function, mfq_recipe_phase_of(&layer->recipe, layer->step));
  return status == MFQ_OK ? show(layer, function, MFQ_PLACE_FPROP_X, x, q) : status;
}

/* ---- Memory -------------------------------------------------------------------------------------------------------- */

/* The part of a role's buffer that backward needs. */
static size_t kept_of(const mfq_layer *layer, mfq_role role) {
  size_t bytes = 0;
  for (int i = 0; i < MFQ_PLACE_Y; ++i) {
    const mfq_slot *s = &layer->plan.slots[i];
    const int is_kept = s->codes[1].home >= MFQ_HOME_TARGET ? s->in_backward : s->codes[1].home == MFQ_HOME_KEPT;
    if (s->quantizer != NULL && s->role == role && is_kept) bytes = mfq_size_plus(bytes, mfq_slot_bytes(s));
  }
  return bytes;
}

mfq_status mfq_layer_memory_get(const mfq_layer *layer, mfq_layer_memory *memory) {
  static const char function[] = "mfq_layer_memory_get";
  mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "memory"}, memory);
  if (status != MFQ_OK) return status;
  const mfq_layer_plan *plan = &layer->plan;
  const mfq_slot *w = &plan->slots[MFQ_PLACE_FPROP_W];
  const size_t x = kept_of(layer, MFQ_ROLE_X), weight = w->quantizer != NULL ? mfq_slot_bytes(w) : 0;
  const size_t of_x = mfq_buffer_bytes(layer->targets[MFQ_ROLE_X]);
  const size_t kept_there = plan->is_target[MFQ_ROLE_X] ? x : 0;
  *memory = (mfq_layer_memory){
      .state = layer->state_bytes,
      .weight = weight,
      .kept = plan->kept_bytes + mfq_buffer_bytes(layer->targets[MFQ_ROLE_W]) + kept_there - weight,
      .workspace = plan->workspace_bytes + mfq_buffer_bytes(layer->targets[MFQ_ROLE_DY]) + of_x - kept_there,
      .activations = x + plan->y_before.bytes};
  return MFQ_OK;
}

/* ---- Tensors ------------------------------------------------------------------------------------------------------- */

static mfq_spot spot_of(const mfq_place_state *s, int part) {
  const int has_history = s->quantizer->scaling == MFQ_SCALING_DELAYED;
  const int is_learned = s->quantizer->scaling == MFQ_SCALING_LEARNED;
  const mfq_spot none = {.home = MFQ_HOME_NONE};
  const mfq_spot spots[STATE_PARTS] = {[STATE_COLLECTED] = has_history ? none : s->values,
                                       [STATE_LOW] = s->lows,
                                       [STATE_HISTORY] = s->history,
                                       [STATE_SCALE] = is_learned ? s->parts[0] : none};
  return spots[part];
}

/* Row `index` behind the parameters; 0 beyond the last. */
typedef struct row {
  mfq_place_state *state;
  int part;
} row;

static int find(const mfq_layer *layer, int32_t index, row *found) {
  for (int i = 0; i < MFQ_RECIPE_PHASES * MFQ_PLACES; ++i) {
    mfq_place_state *s = (mfq_place_state *)&layer->states[i / MFQ_PLACES][i % MFQ_PLACES];
    for (int p = 0; p < STATE_PARTS && s->quantizer != NULL; ++p)
      if (spot_of(s, p).home != MFQ_HOME_NONE && index-- == 0) {
        *found = (row){s, p};
        return 1;
      }
  }
  return 0;
}

static int32_t parameters(const mfq_layer *layer) { return layer->bias.data != NULL ? 2 : 1; }

int32_t mfq_layer_tensor_count(const mfq_layer *layer) {
  if (layer == NULL) return 0;
  int32_t count = 0;
  row r;
  while (find(layer, count, &r)) count += 1;
  return parameters(layer) + count;
}

static mfq_tensor floats(const mfq_layer *layer, const mfq_place_state *s, int part, mfq_spot spot) {
  mfq_tensor t = {.data = mfq_layer_at(layer, spot), .dtype = MFQ_DTYPE_F32, .rank = 1};
  if (part == STATE_HISTORY) {
    t.shape[0] = s->quantizer->steps;
    t.strides[0] = 1;
    return t;
  }
  (void)(mfq_tensor_init(t.data, t.dtype, s->scale.scale_rank, s->scale.scale_shape, &t) == MFQ_OK);
  return t;
}

mfq_status mfq_layer_tensor_get(const mfq_layer *layer, int32_t index, mfq_layer_tensor *tensor) {
  static const char function[] = "mfq_layer_tensor_get";
  mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "tensor"}, tensor);
  if (status != MFQ_OK) return status;
  row r;
  memset(tensor, 0, sizeof *tensor);
  if (index >= 0 && index < parameters(layer)) {
    *tensor = (mfq_layer_tensor){
        .name = index == 0 ? "weight" : "bias", .tensor = index == 0 ? layer->weight : layer->bias, .is_learned = 1};
    return MFQ_OK;
  }
  if (index < 0 || !find(layer, index - parameters(layer), &r))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "index is %d; this layer has tensors 0 ... %d", (int)index,
                    (int)mfq_layer_tensor_count(layer) - 1);
  tensor->name = r.state->part_names[r.part];
  tensor->tensor = floats(layer, r.state, r.part, spot_of(r.state, r.part));
  tensor->is_learned = r.part == STATE_SCALE;
  if (tensor->is_learned) tensor->gradient = floats(layer, r.state, r.part, r.state->gradient);
  return MFQ_OK;
}

/* ---- Copies --------------------------------------------------------------------------------------------------------- */

static int is_dense(const mfq_tensor *t) {
  int64_t step = 1;
  for (int32_t i = t->rank - 1; i >= 0; --i) {
    if (t->shape[i] > 1 && t->strides[i] != step) return 0;
    step *= t->shape[i];
  }
  return 1;
}

static mfq_status check_copy(const mfq_layer *layer, const char *function, int32_t index, const void *host,
                             size_t bytes, mfq_tensor *tensor) {
  mfq_layer_tensor t;
  mfq_status status = mfq_layer_tensor_get(layer, index, &t);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "host"}, host);
  if (status != MFQ_OK) return status;
  const size_t needed = (size_t)mfq_shape_count(t.tensor.rank, t.tensor.shape) * mfq_dtype_bytes(t.tensor.dtype);
  if (bytes != needed)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: bytes is %zu, but %s has %zu", layer->name, bytes,
                    t.name, needed);
  if (!is_dense(&t.tensor))
    return mfq_fail(MFQ_ERROR_UNSUPPORTED, function, "%s: %s is not dense in memory; copy it yourself", layer->name,
                    t.name);
  *tensor = t.tensor;
  return MFQ_OK;
}

mfq_status mfq_layer_tensor_read(mfq_layer *layer, int32_t index, void *host, size_t bytes) {
  mfq_tensor t;
  const mfq_status status = check_copy(layer, "mfq_layer_tensor_read", index, host, bytes, &t);
  if (status != MFQ_OK || bytes == 0) return status;
  return layer->context->backend->buffer_read(layer->context, host, t.data, bytes);
}

mfq_status mfq_layer_tensor_write(mfq_layer *layer, int32_t index, const void *host, size_t bytes) {
  mfq_tensor t;
  const mfq_status status = check_copy(layer, "mfq_layer_tensor_write", index, host, bytes, &t);
  if (status != MFQ_OK) return status;
  layer->forward_step = -1;
  layer->weight_is_ready = 0;
  mfq_layer_forget_targets(layer);
  layer->is_written[MFQ_ROLE_W] = 0; /* forward quantizes it once */
  return bytes > 0 ? layer->context->backend->buffer_write(layer->context, t.data, host, bytes) : MFQ_OK;
}

/* ---- State as text -------------------------------------------------------------------------------------------------- */

/* Writes "mfq-layer:1 step=12 seed=7 fprop.x=12 recipe=...": of each place with a state how many tensors it has seen. */
mfq_status mfq_layer_state_print(const mfq_layer *layer, char *text, size_t capacity) {
  static const char function[] = "mfq_layer_state_print";
  mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "text"}, text);
  if (status != MFQ_OK) return status;
  char recipe[MFQ_RECIPE_TEXT_MAX], line[MFQ_LAYER_STATE_MAX];
  status = mfq_recipe_print(&layer->recipe, recipe, sizeof recipe);
  if (status != MFQ_OK) return mfq_layer_failed(layer, function, "recipe", status);
  int used = snprintf(line, sizeof line, "mfq-layer:1 step=%" PRId64 " seed=%" PRIu64, layer->step, layer->seed);
  for (int i = 0; i < MFQ_RECIPE_PHASES * MFQ_PLACES; ++i) {
    const mfq_place_state *s = &layer->states[i / MFQ_PLACES][i % MFQ_PLACES];
    if (s->quantizer != NULL)
      used += snprintf(line + used, sizeof line - (size_t)used, " %s=%" PRId64, s->name, s->seen);
  }
  used += snprintf(line + used, sizeof line - (size_t)used, " recipe=%s", recipe);
  if ((size_t)used >= capacity)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "capacity is %zu, but the text needs %d bytes", capacity,
                    used + 1);
  memcpy(text, line, (size_t)used + 1);
  return MFQ_OK;
}

/* Reads " name=number" at `*at`, which moves behind it. */
static int read_number(const char **at, const char *name, uint64_t most, uint64_t *number) {
  const size_t length = strlen(name);
  const char *p = *at;
  if (p[0] != ' ' || strncmp(p + 1, name, length) != 0 || p[1 + length] != '=') return 0;
  p += 2 + length;
  const char *first = p;
  for (*number = 0; *p >= '0' && *p <= '9'; ++p) {
    const uint64_t digit = (uint64_t)(*p - '0');
    if (*number > (most - digit) / 10) return 0;
    *number = *number * 10 + digit;
  }
  if (p == first) return 0;
  *at = p;
  return 1;
}

/* What a line says, before anything is changed. */
typedef struct line_state {
  uint64_t step, seed, seen[MFQ_RECIPE_PHASES * MFQ_PLACES];
} line_state;

static mfq_status read_line(const mfq_layer *layer, const char *function, const char *text, line_state *read) {
  static const char first[] = "mfq-layer:1";
  if (strncmp(text, first, strlen(first)) != 0)
    return mfq_fail(MFQ_ERROR_PARSE, function,
                    "%s: this is no state of a layer, or one of another version: it begins \"%.24s\", not \"%s\"",
                    layer->name, text, first);
  const char *at = text + strlen(first);
  const char *expected = "step";
  int is_good = read_number(&at, expected, INT64_MAX, &read->step);
  if (is_good) is_good = read_number(&at, expected = "seed", UINT64_MAX, &read->seed);
  for (int i = 0; is_good && i < MFQ_RECIPE_PHASES * MFQ_PLACES; ++i) {
    const mfq_place_state *s = &layer->states[i / MFQ_PLACES][i % MFQ_PLACES];
    if (s->quantizer == NULL) continue;
    expected = s->name;
    is_good = read_number(&at, expected, INT64_MAX - 1, &read->seen[i]);
  }
  static const char recipe[] = " recipe=";
  if (is_good && strncmp(at, recipe, strlen(recipe)) != 0) {
    expected = "recipe";
    is_good = 0;
  }
  if (!is_good)
    return mfq_fail(MFQ_ERROR_PARSE, function, "%s: at column %zu there should be \" %s=\" and what belongs to it",
                    layer->name, (size_t)(at - text) + 1, expected);
  char own[MFQ_RECIPE_TEXT_MAX];
  const mfq_status status = mfq_recipe_print(&layer->recipe, own, sizeof own);
  if (status != MFQ_OK) return status;
  if (strcmp(at + strlen(recipe), own) == 0) return MFQ_OK;
  return mfq_fail(
      MFQ_ERROR_INVALID_ARGUMENT, function,
      "%s: the state is of recipe %.160s, but the layer has %.160s; make the layer with that recipe, or copy "
      "its weights alone",
      layer->name, at + strlen(recipe), own);
}

mfq_status mfq_layer_state_parse(mfq_layer *layer, const char *text) {
  static const char function[] = "mfq_layer_state_parse";
  mfq_status status = mfq_argument_present((mfq_where){function, "layer"}, layer);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "text"}, text);
  line_state read = {0};
  if (status == MFQ_OK) status = read_line(layer, function, text, &read);
  if (status == MFQ_OK) status = mfq_layer_set_step(layer, (int64_t)read.step);
  if (status != MFQ_OK) return status;
  layer->seed = read.seed;
  for (int i = 0; i < MFQ_RECIPE_PHASES * MFQ_PLACES; ++i) {
    mfq_place_state *s = &layer->states[i / MFQ_PLACES][i % MFQ_PLACES];
    if (s->quantizer != NULL) mfq_place_resume(s, (int64_t)read.seen[i]);
  }
  return MFQ_OK;
}
