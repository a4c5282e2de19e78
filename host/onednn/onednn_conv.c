/* host/onednn/onednn_conv.c: convolutions by oneDNN.
 *
 * Activations stay as they are, channels last; the filter takes the order that the implementation likes best, in the
 * workspace: before the runs, or, where it is the result, back from there at the end of a run. */
#include "onednn_conv.h"

#include <stdlib.h>
#include <string.h>

#include "onednn_parts.h"

enum { X, W, Y, OPERANDS };

typedef struct conv_plan {
  mfq_onednn_conv conv;
  mfq_dnnl_place place;
  mfq_dnnl_made convolution, reorder;
  mfq_dnnl_desc desc[OPERANDS]; /* as they lie in the caller's memory */
  mfq_dnnl_desc any_w;
  mfq_dnnl_desc own_w; /* the implementation's own */
  size_t w_bytes;      /* of it, rounded up; the scratchpads lie behind */
} conv_plan;

/* ---- Planning ----------------------------------------------------------------------------------------------------- */

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

static dnnl_data_type_t type_of(mfq_dtype dtype) { return dtype == MFQ_DTYPE_F32 ? dnnl_f32 : dnnl_bf16; }

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

static dnnl_status_t describe(conv_plan *plan, const int *axes, int space) {
  const mfq_onednn_conv *c = &plan->conv;
  const int64_t g = c->groups;
  array arrays[OPERANDS] = {[X] = {2, space, {c->batch, g * c->in_channels}, {0}},
                            [W] = {2, space, {c->out_channels, c->in_channels}, {0}},
                            [Y] = {2, space, {c->batch, g * c->out_channels}, {0}}};
  if (g > 1) arrays[W] = (array){3, space, {g, c->out_channels, c->in_channels}, {0}};
  const int64_t *const sizes[OPERANDS] = {c->in, c->filter, c->out};
  const int result = c->direction == MFQ_CONV_FORWARD ? Y : c->direction == MFQ_CONV_INPUT_GRADIENT ? X : W;
  dnnl_status_t status = dnnl_success;
  for (int i = 0; i < OPERANDS && status == dnnl_success; ++i) {
    array *a = &arrays[i];
    const dnnl_data_type_t type = type_of(i == result ? c->to : c->from);
    for (int axis = 0; axis < space; ++axis) a->dims[a->outer + axis] = sizes[i][axes[axis]];
    lay_out(a);
    plan->desc[i] = mfq_dnnl_desc_create(a->outer + space, a->dims, a->strides, type, &status);
    if (i == W && status == dnnl_success) plan->any_w = mfq_dnnl_desc_any(a->outer + space, a->dims, type, &status);
  }
  return status;
}

/* Padding behind follows from the sizes; less than none leaves elements of x out. */
static dnnl_status_t describe_call(const conv_plan *plan, const int *axes, int space, mfq_dnnl_conv *call) {
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

static dnnl_status_t make_reorder(conv_plan *plan) {
  const int is_result = plan->conv.direction == MFQ_CONV_WEIGHT_GRADIENT;
  const mfq_dnnl_desc from = is_result ? plan->own_w : plan->desc[W], to = is_result ? plan->desc[W] : plan->own_w;
  const dnnl_status_t status = dnnl_reorder_primitive_desc_create(
      &plan->reorder.implementation, from, plan->place.engine, to, plan->place.engine, plan->place.attr);
  return status == dnnl_success ? mfq_dnnl_make(&plan->reorder) : status;
}

static dnnl_status_t choose(conv_plan *plan) {
  int axes[3];
  mfq_dnnl_conv call;
  const int space = list_axes(&plan->conv, axes);
  dnnl_status_t status = sizes_check(&plan->conv);
  if (status == dnnl_success) status = describe(plan, axes, space);
  if (status == dnnl_success) status = describe_call(plan, axes, space, &call);
  if (status == dnnl_success) status = mfq_dnnl_place_open(&plan->place);
  if (status == dnnl_success)
    status = mfq_dnnl_convolution(&plan->convolution.implementation, plan->place.engine, plan->place.attr, &call);
  if (status == dnnl_success) status = mfq_dnnl_make(&plan->convolution);
  if (status != dnnl_success) return status;
  const dnnl_query_t which =
      plan->conv.direction == MFQ_CONV_WEIGHT_GRADIENT ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
  plan->own_w = dnnl_primitive_desc_query_md(plan->convolution.implementation, which, 0);
  plan->w_bytes = round_up(dnnl_memory_desc_get_size(plan->own_w));
  return make_reorder(plan);
}

void mfq_dnnl_conv_plan_free(void *memory) {
  conv_plan *plan = memory;
  if (plan == NULL) return;
  mfq_dnnl_unmake(&plan->reorder);
  mfq_dnnl_unmake(&plan->convolution);
  for (int i = 0; i < OPERANDS; ++i) mfq_dnnl_desc_free(plan->desc[i]);
  mfq_dnnl_desc_free(plan->any_w);
  mfq_dnnl_place_close(&plan->place);
  free(plan);
}

static int is_reference(const char *name) { return strncmp(name, "ref", 3) == 0 || strstr(name, ":ref") != NULL; }

void *mfq_dnnl_conv_plan(const mfq_onednn_conv *conv, char *reason, size_t capacity) {
  const mfq_dnnl_reason why = {reason, capacity};
  conv_plan *plan = calloc(1, sizeof *plan);
  if (plan == NULL) {
    mfq_dnnl_explain(dnnl_out_of_memory, conv->from, NULL, why);
    return NULL;
  }
  plan->conv = *conv;
  const int before = mfq_dnnl_set_threads(conv->threads);
  const dnnl_status_t status = choose(plan);
  (void)mfq_dnnl_set_threads(before);
  if (status == dnnl_success && !is_reference(plan->convolution.name)) return plan;
  mfq_dnnl_explain(status, conv->from, plan->convolution.name, why);
  mfq_dnnl_conv_plan_free(plan);
  return NULL;
}

const char *mfq_dnnl_conv_plan_name(const void *memory) { return ((const conv_plan *)memory)->convolution.name; }

size_t mfq_dnnl_conv_workspace_bytes(const void *memory) {
  const conv_plan *plan = memory;
  const size_t a = plan->convolution.scratch_bytes, b = plan->reorder.scratch_bytes;
  return plan->w_bytes + (a > b ? a : b);
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

static dnnl_status_t reorder(const conv_plan *plan, mfq_dnnl_arg from, mfq_dnnl_arg to, void *workspace) {
  from.kind = DNNL_ARG_FROM;
  to.kind = DNNL_ARG_TO;
  const mfq_dnnl_call call = {.made = &plan->reorder,
                              .engine = plan->place.engine,
                              .args = {from, to},
                              .count = 2,
                              .scratch = (uint8_t *)workspace + plan->w_bytes};
  return mfq_dnnl_execute(&call);
}

int mfq_dnnl_conv_prepare(const void *memory, const void *w, void *workspace) {
  const conv_plan *plan = memory;
  const mfq_dnnl_arg from = {0, plan->desc[W], (void *)(uintptr_t)w}, to = {0, plan->own_w, workspace};
  const int before = mfq_dnnl_set_threads(plan->conv.threads);
  const dnnl_status_t status = reorder(plan, from, to, workspace);
  (void)mfq_dnnl_set_threads(before);
  return (int)status;
}

static mfq_dnnl_call call_of(const conv_plan *plan, void *gathered, void *y, void *result, void *workspace) {
  mfq_dnnl_call call = {.made = &plan->convolution, .engine = plan->place.engine, .count = OPERANDS};
  const mfq_dnnl_desc *desc = plan->desc;
  mfq_dnnl_arg *args = call.args;
  call.scratch = (uint8_t *)workspace + plan->w_bytes;
  args[W] = (mfq_dnnl_arg){DNNL_ARG_WEIGHTS, plan->own_w, workspace};
  switch (plan->conv.direction) {
    case MFQ_CONV_FORWARD:
      args[X] = (mfq_dnnl_arg){DNNL_ARG_SRC, desc[X], gathered};
      args[Y] = (mfq_dnnl_arg){DNNL_ARG_DST, desc[Y], result};
      break;
    case MFQ_CONV_INPUT_GRADIENT:
      args[X] = (mfq_dnnl_arg){DNNL_ARG_DIFF_SRC, desc[X], result};
      args[Y] = (mfq_dnnl_arg){DNNL_ARG_DIFF_DST, desc[Y], gathered};
      break;
    default:
      args[X] = (mfq_dnnl_arg){DNNL_ARG_SRC, desc[X], gathered};
      args[W].kind = DNNL_ARG_DIFF_WEIGHTS;
      args[Y] = (mfq_dnnl_arg){DNNL_ARG_DIFF_DST, desc[Y], y};
  }
  return call;
}

int mfq_dnnl_conv_run(const void *memory, const void *gathered, const void *y, void *result, void *workspace) {
  const conv_plan *plan = memory;
  const mfq_dnnl_call call = call_of(plan, (void *)(uintptr_t)gathered, (void *)(uintptr_t)y, result, workspace);
  const int before = mfq_dnnl_set_threads(plan->conv.threads);
  dnnl_status_t status = mfq_dnnl_execute(&call);
  if (status == dnnl_success && plan->conv.direction == MFQ_CONV_WEIGHT_GRADIENT) {
    const mfq_dnnl_arg from = {0, plan->own_w, workspace}, to = {0, plan->desc[W], result};
    status = reorder(plan, from, to, workspace);
  }
  (void)mfq_dnnl_set_threads(before);
  return (int)status;
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
  const conv_plan *plan = memory;
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
