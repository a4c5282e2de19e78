/* host/layer/layer_product.c: the three products of a layer, and the sum of its bias: by codes where the product takes the
 * scales out of its sums, otherwise by values. */
#include "layer_state.h"

#include "host/core/error.h"

/* A description of either kind: its operands are in the order of the places. */
typedef struct description {
  mfq_gemm gemm;
  mfq_conv conv;
  mfq_operand *operands[2];
} description;

static void describe(const mfq_layer *layer, int which, description *d) {
  mfq_gemm_init(&d->gemm);
  d->conv = layer->conv;
  if (layer->kind == MFQ_LAYER_LINEAR) {
    d->gemm.transpose_a = which == MFQ_WGRAD;
    d->gemm.transpose_b = which == MFQ_FPROP;
    d->operands[0] = &d->gemm.a, d->operands[1] = &d->gemm.b;
    return;
  }
  d->conv.direction = (mfq_conv_direction)which;
  d->operands[0] = which == MFQ_FPROP ? &d->conv.input : &d->conv.output_gradient;
  d->operands[1] = which == MFQ_WGRAD ? &d->conv.input : &d->conv.weight;
}

/* ---- Operands ------------------------------------------------------------------------------------------------------ */

/* The operands of a product in a run; `memory` has what they point at. */
static mfq_status make_operands(mfq_layer *layer, const mfq_layer_product *p, const mfq_layer_io *io, mfq_pass pass,
                                mfq_tensor memory[2], mfq_operand *operands[2]) {
  for (int i = 0; i < 2; ++i) {
    mfq_slot *slot = mfq_slot_at(&layer->plan, p->places[i]);
    *operands[i] = (mfq_operand){.plain = io->operands[i]};
    if (slot->quantizer == NULL) continue;
    if (!p->by_values[i]) {
      *operands[i] = (mfq_operand){.quantized = &slot->q};
      continue;
    }
    const mfq_status status = mfq_slot_values(layer, slot, pass, &memory[i]);
    if (status != MFQ_OK) return status;
    operands[i]->plain = &memory[i];
  }
  return MFQ_OK;
}

/* The result, and what is added to it. */
static void make_finish(const mfq_layer_io *io, description *d) {
  d->gemm.d = d->conv.result = io->result;
  d->gemm.bias = d->conv.bias = io->bias;
  d->gemm.c = d->conv.c = io->accumulate ? io->result : NULL;
}

/* ---- Plans --------------------------------------------------------------------------------------------------------- */

static mfq_status plan(mfq_layer *layer, mfq_layer_product *p, const description *d) {
  if (layer->kind == MFQ_LAYER_LINEAR) {
    const mfq_status status = mfq_gemm_plan_create(layer->context, &d->gemm, &p->gemm);
    p->workspace_bytes = status == MFQ_OK ? mfq_gemm_workspace_bytes(p->gemm) : 0;
    return status;
  }
  const mfq_status status = mfq_conv_plan_create(layer->context, &d->conv, &p->conv);
  p->workspace_bytes = status == MFQ_OK ? mfq_conv_workspace_bytes(p->conv) : 0;
  return status;
}

static mfq_status run(mfq_layer *layer, const mfq_layer_product *p, const description *d, mfq_pass pass) {
  const mfq_spot spot = layer->plan.product[pass];
  void *workspace = mfq_layer_at(layer, spot);
  return layer->kind == MFQ_LAYER_LINEAR ? mfq_gemm_run(layer->context, p->gemm, &d->gemm, workspace, spot.bytes)
                                         : mfq_conv_run(layer->context, p->conv, &d->conv, workspace, spot.bytes);
}

void mfq_layer_product_free(mfq_layer_product *p) {
  mfq_gemm_plan_destroy(p->gemm);
  mfq_conv_plan_destroy(p->conv);
  p->gemm = NULL;
  p->conv = NULL;
}

/* Whether a product can have the codes of a slot at all: of a convolution by blocks they have other axes. */
static int has_codes(const mfq_layer *layer, const mfq_slot *slot) {
  return slot->quantizer != NULL &&
         !(layer->kind == MFQ_LAYER_CONV && slot->scheme.granularity == MFQ_GRANULARITY_BLOCK);
}

/* What an operand of a plan points at. */
typedef struct planned_operand {
  mfq_tensor values;
  mfq_qtensor codes;
} planned_operand;

/* An operand of a plan: memory that is aligned as the layer's is. */
static mfq_operand operand_to_plan(const mfq_layer *layer, const mfq_slot *slot, const mfq_tensor *plain, int by_values,
                                   planned_operand *to) {
  if (slot->quantizer == NULL) return (mfq_operand){.plain = plain};
  if (by_values) {
    mfq_tensor shape;
    (void)mfq_layer_as_operand(layer, slot->role, mfq_layer_tensor_of(layer, slot->role), &shape);
    const mfq_status status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, shape.rank, shape.shape, &to->values);
    return (mfq_operand){.plain = status == MFQ_OK ? &to->values : plain};
  }
  to->codes = slot->q;
  to->codes.codes = to->codes.scales = to->codes.zero_points = NULL;
  to->codes.tensor_scale = NULL;
  return (mfq_operand){.quantized = &to->codes};
}

mfq_status mfq_layer_product_plan(mfq_layer *layer, int which, const mfq_layer_io *io) {
  mfq_layer_product *p = &layer->plan.products[which];
  const mfq_slot *slots[2] = {mfq_slot_at(&layer->plan, p->places[0]), mfq_slot_at(&layer->plan, p->places[1])};
  description d;
  describe(layer, which, &d);
  make_finish(io, &d);
  /* Codes of both, then of one, then of none: what a product refuses is what its sums cannot factor out. */
  static const int tries[][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
  mfq_status status = MFQ_ERROR_UNSUPPORTED;
  for (int k = 0; k < 4 && status == MFQ_ERROR_UNSUPPORTED; ++k) {
    planned_operand planned[2];
    int is_useless = 0;
    for (int i = 0; i < 2; ++i) {
      is_useless |= !tries[k][i] && slots[i]->quantizer != NULL && !has_codes(layer, slots[i]);
      is_useless |= tries[k][i] && slots[i]->quantizer == NULL;
      p->by_values[i] = tries[k][i];
      *d.operands[i] = operand_to_plan(layer, slots[i], io->operands[i], tries[k][i], &planned[i]);
    }
    if (!is_useless) status = plan(layer, p, &d);
  }
  return status;
}

mfq_status mfq_layer_product_run(mfq_layer *layer, int which, const mfq_layer_io *io, mfq_pass pass) {
  const mfq_layer_product *p = &layer->plan.products[which];
  mfq_tensor memory[2];
  description d;
  describe(layer, which, &d);
  make_finish(io, &d);
  const mfq_status status = make_operands(layer, p, io, pass, memory, d.operands);
  return status == MFQ_OK ? run(layer, p, &d, pass) : status;
}

/* ---- The sum of the bias's gradient --------------------------------------------------------------------------------- */

/* A product with ones: one row of them, or an input of one channel that a filter of one element sees. */
typedef struct sum {
  description d;
  mfq_tensor ones, result;
} sum;

static void describe_sum(const mfq_layer *layer, const mfq_tensor *dy, const mfq_tensor *dbias, int accumulate,
                         sum *s) {
  mfq_gemm_init(&s->d.gemm);
  mfq_conv_init(&s->d.conv);
  s->ones = s->result = *dy;
  s->ones.data = mfq_layer_at(layer, layer->one);
  s->ones.dtype = MFQ_DTYPE_F32;
  s->result.data = dbias->data;
  s->result.dtype = dbias->dtype;
  for (int i = 0; i < dy->rank; ++i) {
    s->ones.strides[i] = 0;
    s->result.shape[i] = 1;
    s->result.strides[i] = 0;
  }
  const int is_last = layer->kind == MFQ_LAYER_LINEAR || layer->conv.layout == MFQ_CONV_CHANNELS_LAST;
  const int features = is_last ? dy->rank - 1 : 1;
  const int place = layer->kind == MFQ_LAYER_LINEAR ? 1 : 0; /* of the features in the result */
  s->result.shape[place] = dbias->shape[0];
  s->result.strides[place] = dbias->strides[0];
  const mfq_layer_io io = {.result = &s->result, .accumulate = accumulate};
  make_finish(&io, &s->d);
  if (layer->kind == MFQ_LAYER_LINEAR) {
    s->ones.shape[1] = dy->shape[0];
    s->ones.shape[0] = 1;
    s->d.gemm.a.plain = &s->ones;
    s->d.gemm.b.plain = dy;
    return;
  }
  s->ones.shape[features] = 1;
  s->d.conv.direction = MFQ_CONV_WEIGHT_GRADIENT;
  s->d.conv.layout = layer->conv.layout;
  s->d.conv.input.plain = &s->ones;
  s->d.conv.output_gradient.plain = dy;
}

mfq_status mfq_layer_sum_plan(mfq_layer *layer, const mfq_tensor *dy, const mfq_tensor *dbias, int accumulate) {
  sum s;
  describe_sum(layer, dy, dbias, accumulate, &s);
  return plan(layer, &layer->plan.sum, &s.d);
}

mfq_status mfq_layer_sum_run(mfq_layer *layer, const mfq_tensor *dy, const mfq_tensor *dbias, int accumulate) {
  sum s;
  describe_sum(layer, dy, dbias, accumulate, &s);
  return run(layer, &layer->plan.sum, &s.d, MFQ_PASS_BACKWARD);
}
