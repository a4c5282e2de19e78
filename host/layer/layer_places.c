/* host/layer/layer_places.c: which axes a place's quantizer has: what its product sums over, and what it does not. */
#include "layer_state.h"

#include "host/core/error.h"

/* What stands at a place: the tensor, the place before it that has the tensor, the product. */
static const struct {
  mfq_role role;
  mfq_place before;
  int product;
} places[MFQ_PLACES] = {
    [MFQ_PLACE_FPROP_X] = {MFQ_ROLE_X, MFQ_PLACE_FPROP_X, MFQ_FPROP},
    [MFQ_PLACE_FPROP_W] = {MFQ_ROLE_W, MFQ_PLACE_FPROP_W, MFQ_FPROP},
    [MFQ_PLACE_DGRAD_DY] = {MFQ_ROLE_DY, MFQ_PLACE_DGRAD_DY, MFQ_DGRAD},
    [MFQ_PLACE_DGRAD_W] = {MFQ_ROLE_W, MFQ_PLACE_FPROP_W, MFQ_DGRAD},
    [MFQ_PLACE_WGRAD_DY] = {MFQ_ROLE_DY, MFQ_PLACE_DGRAD_DY, MFQ_WGRAD},
    [MFQ_PLACE_WGRAD_X] = {MFQ_ROLE_X, MFQ_PLACE_FPROP_X, MFQ_WGRAD},
    [MFQ_PLACE_Y] = {MFQ_ROLE_DY, MFQ_PLACE_Y, MFQ_FPROP},
    [MFQ_PLACE_BIAS] = {MFQ_ROLE_BIAS, MFQ_PLACE_BIAS, MFQ_FPROP},
};

mfq_role mfq_place_role(mfq_place place) { return places[place].role; }
mfq_place mfq_place_before(mfq_place place) { return places[place].before; }

const mfq_tensor *mfq_layer_tensor_of(const mfq_layer *layer, mfq_role role) {
  const mfq_tensor *tensors[] = {&layer->x, &layer->weight, &layer->y, &layer->bias};
  return tensors[role];
}

/* ---- Views --------------------------------------------------------------------------------------------------------- */

/* Axes [first, end) as one; 0 where their strides do not allow it. */
static int merge(const mfq_tensor *t, int32_t first, int32_t end, int64_t *size, int64_t *stride) {
  *size = 1, *stride = 0;
  for (int32_t i = end - 1; i >= first; --i) {
    if (t->shape[i] == 1) continue;
    if (*size > 1 && t->strides[i] != *size * *stride && t->shape[i] != 0 && *size != 0) return 0;
    if (*size == 1) *stride = t->strides[i];
    *size *= t->shape[i];
  }
  return 1;
}

static mfq_tensor with_axes(const mfq_tensor *t, int32_t rank) {
  return (mfq_tensor){.data = t->data, .dtype = t->dtype, .rank = rank};
}

int mfq_layer_as_operand(const mfq_layer *layer, mfq_role role, const mfq_tensor *tensor, mfq_tensor *operand) {
  *operand = *tensor;
  if (layer->kind == MFQ_LAYER_CONV || role == MFQ_ROLE_BIAS) return 1;
  const int32_t last = tensor->rank - 1;
  *operand = with_axes(tensor, 2);
  operand->shape[1] = tensor->shape[last];
  operand->strides[1] = tensor->strides[last];
  return merge(tensor, 0, last, &operand->shape[0], &operand->strides[0]);
}

int mfq_layer_seen(const mfq_layer *layer, mfq_role role, const mfq_scheme *scheme, const mfq_tensor *operand,
                   mfq_tensor *seen) {
  *seen = *operand;
  if (layer->kind == MFQ_LAYER_LINEAR || role == MFQ_ROLE_BIAS || scheme->granularity != MFQ_GRANULARITY_BLOCK)
    return 1;
  const int is_last = layer->conv.layout == MFQ_CONV_CHANNELS_LAST;
  const int32_t spatial = is_last ? 1 : 2, channels = is_last ? operand->rank - 1 : 1;
  /* [images, pixels, channels] and [taps, weight's first axis, its other channels] */
  const int32_t merged = role == MFQ_ROLE_W ? 0 : 1, front = 1 - merged;
  *seen = with_axes(operand, 3);
  seen->shape[front] = operand->shape[0], seen->strides[front] = operand->strides[0];
  seen->shape[2] = operand->shape[channels], seen->strides[2] = operand->strides[channels];
  return merge(operand, spatial, spatial + operand->rank - 2, &seen->shape[merged], &seen->strides[merged]);
}

/* ---- Axes ---------------------------------------------------------------------------------------------------------- */

/* The axis that a place's product sums over, and the one it does not. */
typedef struct axes {
  int32_t summed, free;
} axes;

static axes linear_axes(mfq_place place) {
  switch (place) {
    case MFQ_PLACE_FPROP_X:
    case MFQ_PLACE_FPROP_W:
    case MFQ_PLACE_DGRAD_DY: return (axes){1, 0};
    case MFQ_PLACE_Y: return (axes){1, 1};
    default: return (axes){0, 1};
  }
}

static axes conv_axes(const mfq_conv *conv, mfq_place place, int32_t rank) {
  const int is_last = conv->layout == MFQ_CONV_CHANNELS_LAST;
  const int32_t channels = is_last ? rank - 1 : 1, pixels = is_last ? rank - 2 : rank - 1;
  const axes forward = conv->transposed ? (axes){0, channels} : (axes){channels, 0};
  switch (place) {
    case MFQ_PLACE_FPROP_W: return forward;
    case MFQ_PLACE_DGRAD_W: return (axes){forward.free, forward.summed};
    case MFQ_PLACE_WGRAD_DY:
    case MFQ_PLACE_WGRAD_X: return (axes){pixels, channels};
    case MFQ_PLACE_Y: return (axes){channels, channels};
    default: return (axes){channels, 0};
  }
}

mfq_status mfq_layer_axis(const mfq_layer *layer, const char *function, mfq_place place, int32_t rank,
                          mfq_scheme *scheme) {
  const int has_axis = scheme->granularity == MFQ_GRANULARITY_CHANNEL || scheme->granularity == MFQ_GRANULARITY_GROUP;
  if (!has_axis) return MFQ_OK;
  if (scheme->axis != MFQ_AXIS_AUTO) {
    const int32_t axis = scheme->axis < 0 ? scheme->axis + rank : scheme->axis;
    if (axis < 0 || axis >= rank)
      return mfq_fail(
          MFQ_ERROR_SHAPE, function,
          "%s: %s: axis %d is not one of the %d that its tensor has here%s; leave it out, and it follows from "
          "the product",
          layer->name, mfq_place_name(place), (int)scheme->axis, (int)rank,
          layer->kind == MFQ_LAYER_LINEAR ? " (rows and features)" : "");
    scheme->axis = axis;
    return MFQ_OK;
  }
  const axes at = place == MFQ_PLACE_BIAS           ? (axes){0, 0}
                  : layer->kind == MFQ_LAYER_LINEAR ? linear_axes(place)
                                                    : conv_axes(&layer->conv, place, rank);
  scheme->axis = scheme->granularity == MFQ_GRANULARITY_GROUP ? at.summed : at.free;
  return MFQ_OK;
}
