/* host/core/problem/conv_shape.c: sizes along each axis, and why some do not fit. Steps and paddings are bounded first,
 * which keeps all products of sizes within 64 bits. */
#include "conv_shape.h"

#include <string.h>

#include "host/core/error.h"
#include "host/core/integers.h"
#include "host/core/check/operands.h"

/* Strides, dilations and paddings up to this: products with sizes stay far from overflow. */
#define STEP_MOST ((int64_t)0x7fffffff)

mfq_status mfq_conv_fields_check(mfq_where where, const mfq_conv *conv) {
  mfq_status status = mfq_argument_present(where, conv);
  if (status == MFQ_OK) status = mfq_argument_struct(where, conv, sizeof *conv, "mfq_conv_init");
  if (status != MFQ_OK) return status;
  const mfq_range ranges[] = {
      {"direction", (int)conv->direction, 0, MFQ_CONV_WEIGHT_GRADIENT},
      {"layout", (int)conv->layout, 0, MFQ_CONV_CHANNELS_LAST},
      {"transposed", conv->transposed, 0, 1},
      {"same_padding", conv->same_padding, 0, 1},
      {"groups", conv->groups, 1, INT64_MAX},
      {"device_scalars", conv->device_scalars, 0, 1},
      {"activation", (int)conv->activation, 0, MFQ_ACTIVATION_SILU},
      {"round_operands", conv->round_operands, 0, 1},
      {"own_workspace", conv->own_workspace, 0, 1},
  };
  status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  if (status == MFQ_OK && conv->same_padding && conv->transposed) {
    status = mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                      "conv: same_padding is 1 for a transposed convolution, which has no such padding; set `padding`");
  }
  return status;
}

/* The entries of a spatial axis. */
static mfq_status steps_check(mfq_where where, const mfq_conv *conv, int i) {
  const mfq_range ranges[] = {{"stride", conv->stride[i], 1, STEP_MOST},
                              {"dilation", conv->dilation[i], 1, STEP_MOST},
                              {"padding", conv->padding[i], 0, STEP_MOST},
                              {"padding_after", conv->padding_after[i], -1, STEP_MOST}};
  const mfq_status status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  if (status != MFQ_OK || !conv->same_padding || (conv->padding[i] == 0 && conv->padding_after[i] <= 0)) return status;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                  "%s: same_padding is 1, but padding[%d] is %lld and padding_after[%d] is %lld; leave them as "
                  "mfq_conv_init does",
                  where.argument, i, (long long)conv->padding[i], i, (long long)conv->padding_after[i]);
}

mfq_status mfq_conv_axes(mfq_where where, const mfq_conv *conv, int32_t rank, mfq_conv_axes_of *axes) {
  if (rank < 3 || rank > MFQ_CONV_AXES) {
    return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                    "%s: rank is %d; allowed is 3 ... 5: batch, channels, and 1 ... 3 spatial axes", where.argument,
                    (int)rank);
  }
  if (axes->rank != 0 && axes->rank != rank) {
    return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                    "%s: rank is %d, but another tensor of this convolution has rank %d; all must have the same",
                    where.argument, (int)rank, (int)axes->rank);
  }
  const int is_first = conv->layout == MFQ_CONV_CHANNELS_FIRST, missing = MFQ_CONV_AXES - rank;
  axes->rank = rank;
  axes->axis[0] = 0;
  axes->axis[MFQ_CONV_CHANNELS] = is_first ? 1 : rank - 1;
  for (int i = 1; i < MFQ_CONV_CHANNELS; ++i) axes->axis[i] = i <= missing ? -1 : i - missing + is_first;
  return MFQ_OK;
}

/* ---- One spatial axis -------------------------------------------------------------------------------------------- */

typedef struct axis_sizes {
  int64_t in, filter, out;
  int64_t stride, dilation, before, after;
} axis_sizes;

/* Elements from the first tap of a filter to its last; 0 for none. Saturates. */
static int64_t span_of(const axis_sizes *s) {
  int64_t span;
  if (s->filter == 0) return 0;
  return mfq_checked_mul(s->filter - 1, s->dilation, &span) && span < INT64_MAX ? span + 1 : INT64_MAX;
}

static void pad_same(axis_sizes *s) {
  const int64_t out = mfq_ceil_div(s->in, s->stride), span = span_of(s);
  const int64_t reach = out > 0 ? (out - 1) * s->stride : 0;
  const int64_t total = out > 0 && span < STEP_MOST && reach + span > s->in ? reach + span - s->in : 0;
  s->before = total / 2;
  s->after = total - s->before;
}

/* What the axis makes; -1 when the filter does not fit, or is empty. */
static int64_t outputs_of(const axis_sizes *s) {
  const int64_t padded = s->in + s->before + s->after, span = span_of(s);
  return span < 1 || span > padded ? -1 : (padded - span) / s->stride + 1;
}

static axis_sizes axis_of(const mfq_conv *conv, int given, int64_t in, int64_t filter) {
  axis_sizes s = {.in = in, .filter = filter, .stride = 1, .dilation = 1};
  if (given < 0) return s;
  s.stride = conv->stride[given];
  s.dilation = conv->dilation[given];
  s.before = conv->padding[given];
  s.after = conv->padding_after[given] < 0 ? s.before : conv->padding_after[given];
  if (conv->same_padding) pad_same(&s);
  return s;
}

/* ---- Everything -------------------------------------------------------------------------------------------------- */

static mfq_status does_not_fit(mfq_where where, const char *const names[3], int axis, const axis_sizes *s) {
  const int64_t padded = s->in + s->before + s->after, span = span_of(s), outputs = outputs_of(s);
  if (outputs < 0) {
    return mfq_fail(
        MFQ_ERROR_SHAPE, where.function,
        "spatial axis %d: the filter has %lld elements and spans %lld, but %s has only %lld with its "
        "padding of %lld and %lld, so that there is no output; pad it, or use a smaller filter (at least 1)",
        axis, (long long)s->filter, (long long)span, names[0], (long long)padded, (long long)s->before,
        (long long)s->after);
  }
  return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                  "spatial axis %d: %s has %lld elements, with padding %lld and %lld, stride %lld and a filter of %lld "
                  "(dilation %lld) that makes %lld, but %s has %lld",
                  axis, names[0], (long long)s->in, (long long)s->before, (long long)s->after, (long long)s->stride,
                  (long long)s->filter, (long long)s->dilation, (long long)outputs, names[2], (long long)s->out);
}

static mfq_status channels_check(mfq_where where, const mfq_conv *conv, const char *const names[3],
                                 const mfq_conv_problem *p) {
  const int64_t x_channels = p->x.size[MFQ_CONV_CHANNELS], y_channels = p->y.size[MFQ_CONV_CHANNELS];
  const int64_t w_in = p->w.size[MFQ_CONV_CHANNELS], w_out = p->w.size[0];
  int64_t wanted;
  if (p->x.size[0] != p->y.size[0]) {
    return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s has a batch of %lld, but %s of %lld; they must be equal",
                    names[0], (long long)p->x.size[0], names[2], (long long)p->y.size[0]);
  }
  if (x_channels % conv->groups != 0 || y_channels % conv->groups != 0) {
    const int is_x = x_channels % conv->groups != 0;
    return mfq_fail(MFQ_ERROR_SHAPE, where.function, "groups is %lld, which does not divide the %lld channels of %s",
                    (long long)conv->groups, (long long)(is_x ? x_channels : y_channels), names[is_x ? 0 : 2]);
  }
  if (!mfq_checked_mul(w_in, conv->groups, &wanted) || wanted != x_channels) {
    return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                    "%s has %lld channels and groups is %lld, which asks for %lld in that axis of %s, but it has %lld",
                    names[0], (long long)x_channels, (long long)conv->groups, (long long)(x_channels / conv->groups),
                    names[1], (long long)w_in);
  }
  if (w_out == y_channels) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                  "%s has %lld channels, but axis 0 of %s has %lld; they must be equal", names[2],
                  (long long)y_channels, names[1], (long long)w_out);
}

mfq_status mfq_conv_sizes(mfq_where where, const mfq_conv *conv, int32_t rank, const char *const names[3],
                          mfq_conv_problem *p) {
  mfq_status status = channels_check(where, conv, names, p);
  if (status != MFQ_OK) return status;
  const mfq_tensor *of_result = &mfq_conv_result(p)->part.tensor;
  status = mfq_shape_check(where, of_result->rank, of_result->shape, (int64_t)sizeof(float));
  if (status != MFQ_OK) return status;
  p->batch = p->x.size[0];
  p->groups = conv->groups;
  p->in_channels = p->w.size[MFQ_CONV_CHANNELS];
  p->out_channels = p->w.size[0] / conv->groups;
  for (int i = 0; i < rank - 2 && status == MFQ_OK; ++i) status = steps_check(where, conv, i);
  if (status != MFQ_OK) return status;
  for (int i = 0; i < 3; ++i) {
    const int given = i - (MFQ_CONV_AXES - rank);
    axis_sizes s = axis_of(conv, given, p->x.size[1 + i], p->w.size[1 + i]);
    s.out = p->y.size[1 + i];
    if (outputs_of(&s) != s.out) return does_not_fit(where, names, given, &s);
    p->in[i] = s.in;
    p->filter[i] = s.filter;
    p->out[i] = s.out;
    p->stride[i] = s.stride;
    p->dilation[i] = s.dilation;
    p->padding[i] = s.before;
    p->padding_after[i] = s.after;
  }
  return MFQ_OK;
}

/* ---- The output's shape ------------------------------------------------------------------------------------------ */

/* The shape of an operand; only that is read. */
static mfq_status shape_of(mfq_where where, const mfq_operand *operand, int32_t *rank, int64_t *shape) {
  mfq_side_kind kind;
  const mfq_status status = mfq_take_kind(where, operand, &kind);
  if (status != MFQ_OK) return status;
  *rank = operand->plain != NULL ? operand->plain->rank : operand->quantized->rank;
  const int64_t *from = operand->plain != NULL ? operand->plain->shape : operand->quantized->shape;
  const int is_rank = *rank >= 0 && *rank <= MFQ_MAX_RANK;
  if (is_rank) memcpy(shape, from, (size_t)*rank * sizeof shape[0]);
  const mfq_status checked = mfq_shape_check(where, *rank, shape, 1);
  return checked == MFQ_OK ? mfq_elements_check(where, *rank, shape) : checked;
}

/* The smallest input that makes s->in outputs. */
static int64_t transposed_outputs_of(const axis_sizes *s) {
  const int64_t span = span_of(s);
  int64_t reach;
  if (s->in < 1 || span < 1 || !mfq_checked_mul(s->in - 1, s->stride, &reach) || span > INT64_MAX - reach) return -1;
  return reach + span - s->before - s->after;
}

mfq_status mfq_conv_output_make(const char *function, const mfq_conv *conv, int32_t *rank, int64_t *shape) {
  const mfq_where where = {function, "conv"};
  int64_t in[MFQ_MAX_RANK], weight[MFQ_MAX_RANK], channels = 0;
  int32_t weight_rank = 0;
  mfq_conv_axes_of axes = {.rank = 0};
  mfq_status status = mfq_conv_fields_check(where, conv);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "rank"}, rank);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){function, "shape"}, shape);
  if (status == MFQ_OK) status = shape_of((mfq_where){function, "input"}, &conv->input, rank, in);
  if (status == MFQ_OK) status = shape_of((mfq_where){function, "weight"}, &conv->weight, &weight_rank, weight);
  if (status == MFQ_OK) status = mfq_conv_axes((mfq_where){function, "input"}, conv, *rank, &axes);
  if (status == MFQ_OK) status = mfq_conv_axes((mfq_where){function, "weight"}, conv, weight_rank, &axes);
  if (status != MFQ_OK) return status;
  const int32_t channel = axes.axis[MFQ_CONV_CHANNELS];
  if (!conv->transposed)
    channels = weight[0];
  else if (!mfq_checked_mul(weight[channel], conv->groups, &channels))
    return mfq_fail(MFQ_ERROR_SHAPE, function, "weight has %lld channels and groups is %lld: their product overflows",
                    (long long)weight[channel], (long long)conv->groups);
  memcpy(shape, in, (size_t)*rank * sizeof shape[0]);
  shape[channel] = channels;
  for (int i = 1; i < MFQ_CONV_CHANNELS; ++i) {
    const int32_t axis = axes.axis[i], given = i - 1 - (MFQ_CONV_AXES - *rank);
    if (axis < 0) continue;
    status = steps_check(where, conv, given);
    if (status != MFQ_OK) return status;
    const axis_sizes s = axis_of(conv, given, in[axis], weight[axis]);
    shape[axis] = conv->transposed ? transposed_outputs_of(&s) : outputs_of(&s);
    if (shape[axis] < 1) {
      return mfq_fail(MFQ_ERROR_SHAPE, function,
                      "spatial axis %d: %lld elements with padding %lld and %lld and a filter of %lld (dilation %lld) "
                      "make no output",
                      (int)given, (long long)s.in, (long long)s.before, (long long)s.after, (long long)s.filter,
                      (long long)s.dilation);
    }
  }
  const mfq_where output = {function, "the output"};
  status = mfq_shape_check(output, *rank, shape, (int64_t)sizeof(float));
  return status == MFQ_OK ? mfq_elements_check(output, *rank, shape) : status;
}
