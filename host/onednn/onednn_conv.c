/* host/onednn/onednn_conv.c: convolutions by oneDNN.
 *
 * Activations stay as they are, channels last; the filter takes the order that the implementation likes best, in the
 * workspace: before the runs, or, where it is the result, back from there at the end of a run. */
#include <string.h>

#include "onednn_parts.h"

enum { X, W, Y };

static size_t round_up(size_t bytes) { return (bytes + 255) / 256 * 256; }

/* The axes of space that say something, at least one; returns how many. */
static int list_axes(const mfq_onednn_conv *c, int axes[3]) {
  int count = 0;
  for (int i = 0; i < 3; ++i)
    if (c->in[i] != 1 || c->filter[i] != 1 || c->out[i] != 1 || c->padding[i] != 0 || (i == 2 && count == 0))
      axes[count++] = i;
  return count;
}

/* An array [outer, ..., space ..., inner] in memory, which oneDNN numbers [outer, ..., inner, space ...]. */
typedef struct array {
  int outer; /* axes before space, the channels included */
  int space;
  dnnl_dims_t dims, strides;
} array;

/* Fills the strides of a dense array. */
static void lay_out(array *a) {
  const int channels = a->outer - 1;
  dnnl_dim_t step = a->dims[channels];
  a->strides[channels] = 1;
  for (int i = a->outer + a->space - 1; i >= a->outer; --i) {
    a->strides[i] = step;
    step *= a->dims[i];
  }
  for (int i = channels - 1; i >= 0; --i) {
    a->strides[i] = step;
    step *= a->dims[i];
  }
}

/* Some of oneDNN's implementations make tables as long as an axis with its padding, take a time that grows with it, and
 * throw where it is too long. */
static dnnl_status_t sizes_check(const mfq_onednn_conv *c) {
  const int64_t longest = 1 << 20, channels[] = {c->groups * c->in_channels, c->groups * c->out_channels};
  if (channels[0] > longest || channels[1] > longest) return dnnl_unimplemented;
  for (int i = 0; i < 3; ++i)
    if (c->in[i] + c->padding[i] > longest || c->out[i] * c->stride[i] > longest ||
        c->filter[i] * c->dilation[i] > longest)
      return dnnl_unimplemented;
  return mfq_dnnl_sizes_check(&c->batch, 1);
}

/* What oneDNN calls x, w and y, and where they are. */
static void place_operands(mfq_dnnl_plan *plan) {
  static const struct {
    int kind[MFQ_DNNL_OPERANDS];
    mfq_dnnl_where where[MFQ_DNNL_OPERANDS];
  } rows[] = {[MFQ_CONV_FORWARD] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                    {MFQ_DNNL_A, MFQ_DNNL_OWN, MFQ_DNNL_RESULT}},
              [MFQ_CONV_INPUT_GRADIENT] = {{DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                           {MFQ_DNNL_RESULT, MFQ_DNNL_OWN, MFQ_DNNL_A}},
              [MFQ_CONV_WEIGHT_GRADIENT] = {{DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
                                            {MFQ_DNNL_A, MFQ_DNNL_OWN, MFQ_DNNL_B}}};
  memcpy(plan->kind, rows[plan->conv.direction].kind, sizeof plan->kind);
  memcpy(plan->where, rows[plan->conv.direction].where, sizeof plan->where);
}

static dnnl_status_t describe(mfq_dnnl_plan *plan, const int *axes, int space) {
  const mfq_onednn_conv *c = &plan->conv;
  const int64_t g = c->groups;
  array arrays[] = {[X] = {2, space, {c->batch, g * c->in_channels}, {0}},
                    [W] = {2, space, {c->out_channels, c->in_channels}, {0}},
                    [Y] = {2, space, {c->batch, g * c->out_channels}, {0}}};
  if (g > 1) arrays[W] = (array){3, space, {g, c->out_channels, c->in_channels}, {0}};
  const int64_t *const sizes[] = {c->in, c->filter, c->out};
  const int result = c->direction == MFQ_CONV_FORWARD ? Y : c->direction == MFQ_CONV_INPUT_GRADIENT ? X : W;
  dnnl_status_t status = dnnl_success;
  place_operands(plan);
  for (int i = 0; i < MFQ_DNNL_OPERANDS && status == dnnl_success; ++i) {
    array *a = &arrays[i];
    const dnnl_data_type_t type = mfq_dnnl_type(i == result ? c->to : c->from);
    for (int axis = 0; axis < space; ++axis) a->dims[a->outer + axis] = sizes[i][axes[axis]];
    lay_out(a);
    plan->desc[i] = mfq_dnnl_desc_create(a->outer + space, a->dims, a->strides, type, &status);
    if (i == W && status == dnnl_success) plan->any_w = mfq_dnnl_desc_any(a->outer + space, a->dims, type, &status);
  }
  return status;
}

/* Padding behind follows from the sizes; less than none leaves elements of x out. */
static dnnl_status_t describe_call(const mfq_dnnl_plan *plan, const int *axes, int space, mfq_dnnl_conv *call) {
  static const dnnl_prop_kind_t kinds[] = {dnnl_forward_inference, dnnl_backward_data, dnnl_backward_weights};
  const mfq_onednn_conv *c = &plan->conv;
  *call = (mfq_dnnl_conv){.kind = kinds[c->direction], .src = plan->desc[X], .dst = plan->desc[Y]};
  call->weights = plan->any_w;
  for (int i = 0; i < space; ++i) {
    const int axis = axes[i];
    call->stride[i] = c->stride[axis];
    call->dilation[i] = c->dilation[axis] - 1;
    call->before[i] = c->padding[axis];
    call->after[i] = (c->out[axis] - 1) * c->stride[axis] + (c->filter[axis] - 1) * c->dilation[axis] + 1 -
                     c->in[axis] - c->padding[axis];
    if (call->after[i] + call->stride[i] < 0) return dnnl_unimplemented;
  }
  /* oneDNN 2.6.3 reads memory that it did not write there: its jit_bf16 where a row is shorter than the stride. */
  const int last = axes[space - 1];
  if (c->direction == MFQ_CONV_WEIGHT_GRADIENT && c->from == MFQ_DTYPE_BF16 && c->in[last] < c->stride[last])
    return dnnl_unimplemented;
  return dnnl_success;
}

static dnnl_status_t make_reorder(mfq_dnnl_plan *plan) {
  const int is_result = plan->conv.direction == MFQ_CONV_WEIGHT_GRADIENT;
  const mfq_dnnl_desc from = is_result ? plan->own_w : plan->desc[W], to = is_result ? plan->desc[W] : plan->own_w;
  const dnnl_status_t status = dnnl_reorder_primitive_desc_create(
      &plan->reorder.implementation, from, plan->place.engine, to, plan->place.engine, plan->place.attr);
  return status == dnnl_success ? mfq_dnnl_make(&plan->reorder) : status;
}

dnnl_status_t mfq_dnnl_choose_conv(mfq_dnnl_plan *plan) {
  int axes[3];
  mfq_dnnl_conv call;
  const int space = list_axes(&plan->conv, axes);
  dnnl_status_t status = sizes_check(&plan->conv);
  if (status == dnnl_success) status = describe(plan, axes, space);
  if (status == dnnl_success) status = describe_call(plan, axes, space, &call);
  if (status == dnnl_success) status = mfq_dnnl_place_open(&plan->place);
  if (status == dnnl_success)
    status = mfq_dnnl_convolution(&plan->main.implementation, plan->place.engine, plan->place.attr, &call);
  if (status == dnnl_success) status = mfq_dnnl_make(&plan->main);
  if (status != dnnl_success) return status;
  const dnnl_query_t which =
      plan->conv.direction == MFQ_CONV_WEIGHT_GRADIENT ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
  plan->own_w = dnnl_primitive_desc_query_md(plan->main.implementation, which, 0);
  plan->w_bytes = round_up(dnnl_memory_desc_get_size(plan->own_w));
  return make_reorder(plan);
}

/* ---- The order of w ----------------------------------------------------------------------------------------------- */

enum { OUT = 0, IN = 1 }; /* oneDNN's axes of a filter without groups */

/* The channels of a block, and which ones stand in pairs. Returns 0 for blocks of another form. */
static int read_blocks(const mfq_dnnl_blocks *b, mfq_onednn_order *order) {
  const int last = b->count - 1;
  if (b->count == 2 && b->axes[0] == OUT && b->axes[1] == IN && b->sizes[1] == 2) {
    *order = (mfq_onednn_order){.out_block = b->sizes[0], .in_block = 2};
    return 1;
  }
  if (b->count != 3 || b->axes[1] == b->axes[0] || b->axes[last] != b->axes[0] || b->sizes[last] != 2) return 0;
  order->has_output_pairs = b->axes[0] == OUT;
  order->out_block = order->has_output_pairs ? 2 * b->sizes[0] : b->sizes[1];
  order->in_block = order->has_output_pairs ? b->sizes[1] : 2 * b->sizes[0];
  return 1;
}

int mfq_dnnl_conv_order(const void *memory, mfq_onednn_order *order) {
  const mfq_dnnl_plan *plan = memory;
  const mfq_onednn_conv *c = &plan->conv;
  mfq_dnnl_blocks blocks;
  int axes[3];
  *order = (mfq_onednn_order){.out_block = 0};
  if (c->direction == MFQ_CONV_WEIGHT_GRADIENT || c->groups != 1 || c->from != MFQ_DTYPE_BF16) return 0;
  if (!mfq_dnnl_blocks_of(plan->own_w, &blocks) || !read_blocks(&blocks, order)) return 0;
  const int64_t padded = (c->out_channels + order->out_block - 1) / order->out_block * order->out_block;
  if ((order->has_output_pairs && padded != c->out_channels) || c->in_channels % order->in_block != 0) return 0;
  const int space = list_axes(c, axes);
  order->out_stride = blocks.strides[OUT];
  order->in_stride = blocks.strides[IN];
  for (int i = 0; i < space; ++i) order->tap_stride[axes[i]] = blocks.strides[2 + i];
  /* Nothing but the elements: no sums beside them. */
  const int64_t taps = c->filter[0] * c->filter[1] * c->filter[2];
  return dnnl_memory_desc_get_size(plan->own_w) == (size_t)(padded * c->in_channels * taps) * 2;
}
