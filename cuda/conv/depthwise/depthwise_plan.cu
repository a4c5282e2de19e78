/* cuda/conv/depthwise/depthwise_plan.cu: which operands the direct kernel loads 8 channels at a time, and how many
 * channels a block takes so that the filter fits shared memory. */
#include "depthwise_plan.h"

#include "cuda/product/side_params.h"

/* Whether steps of all axes but the channels are multiples of `unit`. */
static int are_multiples(const mfq_conv_side *side, const int64_t *steps, int64_t unit) {
  for (int i = 0; i < MFQ_CONV_CHANNELS; ++i)
    if (side->size[i] > 1 && steps[i] % unit != 0) return 0;
  return 1;
}

static const char *plain_side(const mfq_conv_side *from, depthwise_side *side) {
  const mfq_tensor *t = &from->part.tensor;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(t->dtype);
  side->source = t->dtype == MFQ_DTYPE_BF16 ? DEPTHWISE_BF16 : DEPTHWISE_PLAIN;
  if (from->stride[MFQ_CONV_CHANNELS] != 1) return "an operand is not channels last";
  if ((uintptr_t)t->data % 16 != 0 || !are_multiples(from, from->stride, 16 / bytes))
    return "an operand's channels are not aligned to 16 bytes";
  return NULL;
}

static const char *code_side(const mfq_conv_side *from, depthwise_side *side) {
  const int64_t run = from->scale_run[MFQ_CONV_CHANNELS], step = from->scale_stride[MFQ_CONV_CHANNELS];
  const int has_format = mfq_cuda_widen_format(&from->part, &side->format) && widen_is_common(side->format);
  const mfq_format *e = &from->part.view.q.scheme.element;
  side->is_bytes = e->kind == MFQ_KIND_INTEGER && !e->is_signed && e->man_bits == 8;
  if (!has_format && !side->is_bytes) return "bf16 does not hold an operand's codes by shift and mask";
  const int32_t bits = side->format.bits, align = bits == 8 ? 8 : bits == 4 ? 4 : 2;
  side->source = bits;
  side->has_zero_point = side->format.has_zero_point;
  side->has_scales = from->part.group != 0;
  side->step = mfqn_float_of((uint32_t)(127 + side->format.exp2) << 23); /* used for integers */
  side->safe_scale = mfqn_safe_scale(&side->side.part.scheme, MFQN_MAX_BF16);
  side->format.has_zero_point = 0;
  side->format.scale = MFQN_SCALE_NONE;
  side->channel_scales = run % DEPTHWISE_CHANNELS == 0 ? 0 : step;
  if (run % DEPTHWISE_CHANNELS != 0 && run != 1 && step != 0) return "groups of channels are no multiples of 8";
  if (from->code_bits[MFQ_CONV_CHANNELS] != bits) return "an operand's codes are not channels last";
  if ((uintptr_t)from->part.view.q.codes % (uintptr_t)align != 0 || !are_multiples(from, from->code_bits, align * 8))
    return "an operand's codes are not aligned";
  return NULL;
}

const char *mfq_cuda_depthwise_side(const mfq_conv_side *from, depthwise_side *side) {
  *side = depthwise_side{};
  side->side = mfq_cuda_conv_side(from);
  return from->part.kind == MFQ_SIDE_PLAIN ? plain_side(from, side) : code_side(from, side);
}

mfq_depthwise_tiles mfq_cuda_depthwise_tiles(int64_t units, int64_t filter_bytes) {
  const int64_t room = DEPTHWISE_FILTER_BYTES / filter_bytes;
  const int64_t widest = DEPTHWISE_LANES, most = room < widest ? room : widest;
  mfq_depthwise_tiles t = {};
  if (most == 0) return t;
  t.tiles = (units + most - 1) / most;
  t.lanes = (int32_t)((units + t.tiles - 1) / t.tiles);
  return t;
}
