/* host/core/problem/conv_problem.c: from a description to a problem: three directions, two orders of axes and
 * transposed convolutions become one form by naming who is x, w and y; the checks name fields as the caller knows them.
 * */
#include "conv_problem.h"

#include <stdio.h>
#include <string.h>

#include "conv_shape.h"
#include "host/core/error.h"
#include "host/core/scheme/scheme.h"
#include "finish_make.h"

enum { X, W, Y, ROLES };

/* The description under check. Indices are roles: x, w, y of the convolution that backends see. */
typedef struct conv_check {
  mfq_check call;
  const mfq_conv *conv;
  mfq_finish_fields finish;
  mfq_conv_problem *problem;
  const char **names;                 /* the problem's */
  const mfq_operand *operands[ROLES]; /* NULL: the result */
  mfq_conv_side *sides[ROLES];
  mfq_conv_axes_of axes;
} conv_check;

static mfq_where at(const conv_check *check, const char *argument) {
  return (mfq_where){check->call.function, argument};
}

/* ---- Fields ------------------------------------------------------------------------------------------------------ */

static int is_given(const mfq_operand *operand) {
  return operand->plain != NULL || operand->quantized != NULL || operand->quantize_to != NULL;
}

/* Which operands a direction has, and what only FORWARD has. */
static mfq_status direction_check(const char *function, const mfq_conv *conv) {
  static const char *const directions[] = {"MFQ_CONV_FORWARD", "MFQ_CONV_INPUT_GRADIENT", "MFQ_CONV_WEIGHT_GRADIENT"};
  const struct {
    const char *name;
    int is_given, belongs; /* to the direction */
  } rows[] = {
      {"input", is_given(&conv->input), conv->direction != MFQ_CONV_INPUT_GRADIENT},
      {"weight", is_given(&conv->weight), conv->direction != MFQ_CONV_WEIGHT_GRADIENT},
      {"output_gradient", is_given(&conv->output_gradient), conv->direction != MFQ_CONV_FORWARD},
      {"bias", conv->bias != NULL, conv->direction == MFQ_CONV_FORWARD},
      {"activation", conv->activation != MFQ_ACTIVATION_NONE, conv->direction == MFQ_CONV_FORWARD},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
    if (!rows[i].is_given || rows[i].belongs) continue;
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "conv: %s is given, but %s has none; leave it as "
                    "mfq_conv_init does",
                    rows[i].name, directions[conv->direction]);
  }
  return MFQ_OK;
}

static mfq_finish_fields finish_of(const mfq_conv *c) {
  return (mfq_finish_fields){
      "conv", "result", "quantized_result", "[K]",   "mfq_conv_run",    c->result,    c->quantized_result,
      c->c,   c->bias,  c->alpha,           c->beta, c->device_scalars, c->activation};
}

static mfq_status fields_check(const char *function, const mfq_conv *conv) {
  const mfq_where where = {function, "conv"};
  mfq_status status = mfq_conv_fields_check(where, conv);
  if (status == MFQ_OK) status = direction_check(function, conv);
  if (status != MFQ_OK) return status;
  const mfq_finish_fields finish = finish_of(conv);
  return mfq_finish_fields_check(function, &finish);
}

/* ---- Roles ------------------------------------------------------------------------------------------------------- */

/* Who is x, w and y: a transposed convolution's input is y. */
static void assign_roles(conv_check *check) {
  const mfq_conv *conv = check->conv;
  mfq_conv_problem *p = check->problem;
  const int x_is_output = conv->transposed != 0;
  const int input = x_is_output ? Y : X, output = x_is_output ? X : Y;
  check->names = p->names;
  check->sides[X] = &p->x;
  check->sides[W] = &p->w;
  check->sides[Y] = &p->y;
  check->names[input] = "input";
  check->names[W] = "weight";
  check->names[output] = "output_gradient";
  check->operands[input] = &conv->input;
  check->operands[W] = &conv->weight;
  check->operands[output] = &conv->output_gradient;
  const int result = conv->direction == MFQ_CONV_FORWARD          ? output
                     : conv->direction == MFQ_CONV_INPUT_GRADIENT ? input
                                                                  : W;
  check->operands[result] = NULL;
  check->names[result] = conv->result != NULL ? "result" : "quantized_result";
  p->direction = result == Y ? MFQ_CONV_FORWARD : result == X ? MFQ_CONV_INPUT_GRADIENT : MFQ_CONV_WEIGHT_GRADIENT;
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

/* A tensor of the caller's order in ours. */
static void take_plain(const conv_check *check, const mfq_tensor *tensor, mfq_conv_side *side) {
  mfq_tensor *turned = &side->part.tensor;
  *turned = (mfq_tensor){.data = tensor->data, .dtype = tensor->dtype, .rank = MFQ_CONV_AXES};
  for (int i = MFQ_CONV_AXES - 1; i >= 0; --i) {
    const int32_t axis = check->axes.axis[i];
    side->size[i] = axis < 0 ? 1 : tensor->shape[axis];
    /* An axis that is not there continues the one behind it. */
    side->stride[i] = axis >= 0 ? tensor->strides[axis] : side->size[i + 1] * side->stride[i + 1];
    turned->shape[i] = side->size[i];
    turned->strides[i] = side->stride[i];
    side->axis[i] = i;
  }
  side->part.matrix.dtype = tensor->dtype;
}

/* Pixels keep their order. */
static mfq_status order_check(mfq_where where, const mfq_qview *view) {
  if (view->q.layout.codes != MFQ_CODES_TRANSPOSED) return MFQ_OK;
  return mfq_fail(
      MFQ_ERROR_INVALID_ARGUMENT, where.function,
      "%s: layout.codes is TRANSPOSED, an order for matrices; convolutions take LOGICAL and GROUP_LAST (see "
      "mfq_repack)",
      where.argument);
}

static void take_codes(const conv_check *check, mfq_conv_side *side) {
  for (int i = 0; i < MFQ_CONV_AXES; ++i) {
    const int32_t axis = side->axis[i] = check->axes.axis[i];
    side->size[i] = axis < 0 ? 1 : side->part.view.q.shape[axis];
  }
}

/* Along which of our axes an operand's scales may vary. */
typedef struct scale_rule {
  int groups;      /* set of bits */
  int usual_group; /* for MFQ_AXIS_AUTO */
  int channel;
  const char *words; /* the allowed axes of groups */
} scale_rule;

static scale_rule rule_of(const conv_check *check, int role) {
  const mfq_conv_direction direction = check->problem->direction;
  const scale_rule by_channels = {1 << MFQ_CONV_CHANNELS, MFQ_CONV_CHANNELS, 0, "the channels that are summed over"};
  if (direction == MFQ_CONV_WEIGHT_GRADIENT)
    return (scale_rule){15, MFQ_CONV_CHANNELS - 1, MFQ_CONV_CHANNELS, "batch or a spatial axis"};
  if (direction == MFQ_CONV_INPUT_GRADIENT && role == W)
    return (scale_rule){1, 0, MFQ_CONV_CHANNELS, "the channels that are summed over"};
  return by_channels;
}

/* Checks that the sum can factor the scales out, and says whether it has to. */
static mfq_status scheme_check(const conv_check *check, int role, const mfq_qview *view, int32_t *group) {
  const scale_rule rule = rule_of(check, role);
  const mfq_scheme *scheme = &view->q.scheme;
  const int32_t *axes = check->axes.axis;
  int ours = -1;
  for (int i = 0; i < MFQ_CONV_AXES; ++i)
    if (axes[i] >= 0 && axes[i] == view->sizes.axis) ours = i;
  const char *why = NULL;
  *group = 0;
  if (scheme->granularity == MFQ_GRANULARITY_BLOCK)
    why = "blocks of the last two axes cannot be factored out of its sums";
  if (scheme->granularity == MFQ_GRANULARITY_CHANNEL && ours != rule.channel)
    why = "the scale of a channel along this axis cannot be factored out of its sums";
  if (scheme->granularity == MFQ_GRANULARITY_GROUP && (ours < 0 || (rule.groups >> ours & 1) == 0))
    why = "groups along this axis cannot be factored out of its sums";
  if (why == NULL && scheme->granularity == MFQ_GRANULARITY_GROUP) *group = scheme->group_size;
  if (scheme->zero_point == MFQ_ZERO_POINT_FLOAT) why = "its zero points are f32; dequantize it before, or use zp";
  if (scheme->rotation != 0) why = "convolutions take no rotated operands; dequantize it before";
  if (why == NULL && *group == 0) why = mfq_gemm_refuse_factor(scheme);
  const int is_shared = role == W && check->problem->direction == MFQ_CONV_INPUT_GRADIENT && check->conv->groups > 1;
  if (why == NULL && is_shared && scheme->granularity == MFQ_GRANULARITY_CHANNEL)
    why = "scales of the channels of the result, which its groups share, are not offered";
  if (why == NULL) return MFQ_OK;
  char hint[512];
  (void)snprintf(hint, sizeof hint,
                 "its axis is %d of shape %s; allowed here are one scale, groups along %s (axis %d), channels along "
                 "axis %d",
                 (int)view->sizes.axis, mfq_shape_write(view->q.rank, view->q.shape).text, rule.words,
                 (int)axes[rule.usual_group], (int)axes[rule.channel]);
  return mfq_fail_scheme(at(check, check->names[role]), scheme, why, hint);
}

/* The view of a plain operand that the run quantizes: our order, channels last, rows on 16 bytes. `given` is the view in
 * the caller's order. */
static mfq_status turn_view(const conv_check *check, int role, const mfq_qview *given, mfq_conv_side *side) {
  mfq_qtensor q = {.scheme = given->q.scheme, .rank = MFQ_CONV_AXES, .layout = {.row_align = 16}};
  memcpy(q.shape, side->size, sizeof side->size);
  for (int i = 0; i < MFQ_CONV_AXES; ++i)
    if (given->sizes.axis >= 0 && check->axes.axis[i] == given->sizes.axis) q.scheme.axis = i;
  return mfq_qview_init(at(check, check->names[role]), &q, &side->part.view);
}

static mfq_status take_operand(conv_check *check, int role) {
  mfq_conv_side *side = check->sides[role];
  const mfq_operand *operand = check->operands[role];
  const mfq_where where = at(check, check->names[role]);
  mfq_tensor tensor;
  mfq_status status = mfq_take_kind(where, operand, &side->part.kind);
  if (status != MFQ_OK) return status;
  if (side->part.kind == MFQ_SIDE_QUANTIZED) {
    status = mfq_take_quantized(&check->call, where, operand->quantized, 0, &side->part.view);
    if (status == MFQ_OK) status = order_check(where, &side->part.view);
    if (status == MFQ_OK) status = mfq_conv_axes(where, check->conv, side->part.view.q.rank, &check->axes);
    int32_t group = 0;
    if (status == MFQ_OK) status = scheme_check(check, role, &side->part.view, &group);
    if (status != MFQ_OK) return status;
    side->part.group = group;
    take_codes(check, side);
    mfq_conv_side_index(side);
    return MFQ_OK;
  }
  status = mfq_take_tensor(&check->call, where, operand->plain, 0, &tensor);
  if (status == MFQ_OK) status = mfq_conv_axes(where, check->conv, operand->plain->rank, &check->axes);
  if (status != MFQ_OK) return status;
  take_plain(check, &tensor, side);
  if (side->part.kind == MFQ_SIDE_PLAIN) return MFQ_OK;
  const scale_rule rule = rule_of(check, role);
  const int is_grouped = operand->quantize_to->granularity == MFQ_GRANULARITY_GROUP;
  mfq_qtensor q = {.rank = tensor.rank};
  mfq_qview view;
  int32_t group = 0;
  memcpy(q.shape, tensor.shape, sizeof q.shape);
  status = mfq_view_to_quantize(where, operand->quantize_to,
                                check->axes.axis[is_grouped ? rule.usual_group : rule.channel], &q, &view);
  if (status == MFQ_OK) status = scheme_check(check, role, &view, &group);
  if (status == MFQ_OK) status = turn_view(check, role, &view, side);
  if (status != MFQ_OK) return status;
  side->part.group = group;
  mfq_conv_side_index(side);
  return MFQ_OK;
}

static mfq_status take_result(conv_check *check, int role, mfq_tensor *result) {
  mfq_finish *finish = &check->problem->finish;
  mfq_conv_side *side = check->sides[role];
  const mfq_where where = at(check, check->names[role]);
  mfq_status status = mfq_finish_take_d(&check->call, &check->finish, finish, result);
  if (status == MFQ_OK && finish->is_d_quantized) status = order_check(where, &finish->d_view);
  if (status == MFQ_OK) status = mfq_conv_axes(where, check->conv, result->rank, &check->axes);
  if (status != MFQ_OK) return status;
  int64_t step = 1;
  for (int i = MFQ_CONV_AXES - 1; i >= 0 && finish->is_d_quantized; --i) {
    const int32_t axis = check->axes.axis[i];
    if (axis < 0) continue;
    result->strides[axis] = finish->value_strides[axis] = step;
    step *= result->shape[axis];
  }
  take_plain(check, result, side);
  if (!finish->is_d_quantized) mfq_matrix_make(&side->part.tensor, 0, &finish->d);
  return MFQ_OK;
}

/* ---- The finish -------------------------------------------------------------------------------------------------- */

static mfq_status take_c(conv_check *check, const mfq_conv_side *result, const mfq_tensor *result_tensor) {
  mfq_finish *finish = &check->problem->finish;
  const mfq_where where = at(check, "c");
  mfq_tensor c;
  mfq_conv_side side = {.part.kind = MFQ_SIDE_PLAIN};
  mfq_status status = mfq_finish_take_c(&check->call, &check->finish, result_tensor, finish, &c);
  if (status == MFQ_OK) status = mfq_conv_axes(where, check->conv, c.rank, &check->axes);
  if (status != MFQ_OK) return status;
  take_plain(check, &c, &side);
  if (memcmp(side.size, result->size, sizeof side.size) != 0) {
    return mfq_fail(MFQ_ERROR_SHAPE, where.function, "c: shape is %s, but the result's is another; they must be equal",
                    mfq_shape_write(c.rank, c.shape).text);
  }
  check->problem->c = side.part.tensor;
  mfq_matrix_make(&side.part.tensor, 0, &finish->c);
  return MFQ_OK;
}

/* Those of a side's axis, by row of the sums, or, where `runs` is not 0, by batch, of which so many share one. */
static mfq_factors factors_of(const mfq_finish *f, const mfq_conv_side *side, int axis, int64_t runs) {
  mfq_factors factors = mfq_gemm_side_factors(&side->part);
  const int by_batch = runs != 0;
  factors.rows = by_batch ? f->m : f->n;
  factors.stride[0] = factors.stride[1] = 0;
  factors.run[0] = by_batch ? runs : 1;
  factors.run[1] = 1;
  if (factors.has_scales) factors.stride[by_batch ? 0 : 1] = side->scale_stride[axis];
  factors.batches = factors.stride[0] != 0 ? f->batches : 1;
  return factors;
}

static void fill_finish(mfq_conv_problem *p) {
  mfq_finish *f = &p->finish;
  const int64_t *size = mfq_conv_result(p)->size;
  const int is_weight = p->direction == MFQ_CONV_WEIGHT_GRADIENT, is_forward = p->direction == MFQ_CONV_FORWARD;
  const int64_t taps = p->filter[0] * p->filter[1] * p->filter[2], pixels = p->out[0] * p->out[1] * p->out[2];
  f->batches = size[0] * size[1] * size[2];
  f->m = size[3];
  f->n = size[4];
  p->k = is_weight ? p->batch * pixels : taps * (is_forward ? p->in_channels : p->out_channels);
  f->a = factors_of(f, is_forward ? &p->x : &p->y, is_weight ? MFQ_CONV_CHANNELS : 0, size[1] * size[2]);
  f->b = factors_of(f, is_weight ? &p->x : &p->w, is_forward ? 0 : MFQ_CONV_CHANNELS, 0);
  if (!is_weight || p->groups == 1 || f->b.stride[1] == 0) return;
  /* Channels of x by group, which is the output channel's, and by channel within it. */
  f->b.batches = f->batches;
  f->b.run[0] = size[1] * size[2] * p->out_channels;
  f->b.stride[0] = p->in_channels * f->b.stride[1];
}

mfq_status mfq_conv_problem_make(const char *function, mfq_context *context, const mfq_conv *conv,
                                 const mfq_workspace *workspace, mfq_conv_problem *p) {
  memset(p, 0, sizeof *p);
  mfq_status status = fields_check(function, conv);
  if (status != MFQ_OK) return status;
  conv_check check = {.call = {.function = function, .is_run = workspace != NULL}, .conv = conv, .problem = p};
  check.finish = finish_of(conv);
  mfq_tensor result_tensor = {.data = NULL};
  int result = 0;
  assign_roles(&check);
  for (int role = X; role < ROLES && status == MFQ_OK; ++role) {
    if (check.operands[role] == NULL) result = role;
    if (check.operands[role] != NULL) status = take_operand(&check, role);
  }
  if (status == MFQ_OK) status = take_result(&check, result, &result_tensor);
  if (status == MFQ_OK) status = mfq_conv_sizes(at(&check, "conv"), conv, check.axes.rank, check.names, p);
  if (status == MFQ_OK && conv->c != NULL) status = take_c(&check, check.sides[result], &result_tensor);
  if (status == MFQ_OK)
    status = mfq_finish_take_rest(&check.call, &check.finish, check.sides[result]->size[MFQ_CONV_CHANNELS], &p->finish);
  if (status == MFQ_OK && workspace != NULL) status = mfq_check_memory(context, &check.call, workspace);
  if (status != MFQ_OK) return status;
  p->round_operands = conv->round_operands;
  fill_finish(p);
  return MFQ_OK;
}
