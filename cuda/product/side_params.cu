/* cuda/product/side_params.cu: what kernels need to know of an operand: where elements and scales are, which codes become
 * bf16 by shift and mask, and how units of 16 come. */
#include "side_params.h"

#include "host/core/integers.h"
#include "host/core/scheme/lower.h"
#include "host/core/problem/walk.h"
#include "cuda/cuda_ops.h"
#include "cuda/index_plans.h"

static_assert((int)SIDE_MAX_BATCH_RANK == (int)MFQ_MAX_RANK, "batch axes");

static void plan_plain(const mfq_matrix *matrix, side_params *p) {
  p->is_plain = 1;
  p->batch_rank = matrix->batch_rank;
  for (int32_t d = 0; d < matrix->batch_rank; ++d) {
    p->batch_shape[d] = matrix->batch_shape[d];
    p->batch_stride[d] = matrix->batch_stride[d];
  }
  p->stride[0] = matrix->stride[0];
  p->stride[1] = matrix->stride[1];
  p->plain = element_view{(uint8_t *)matrix->data, (int32_t)matrix->dtype};
  p->row_run = p->depth_run = divisor64_make(1);
}

static void plan_codes(const mfq_gemm_side *side, side_params *p) {
  const mfq_format *e = &side->view.q.scheme.element;
  p->batch_rank = side->batches != 1;
  p->batch_shape[0] = side->batches;
  p->batch_stride[0] = side->code_bits[0];
  p->stride[0] = side->code_bits[1];
  p->stride[1] = side->code_bits[2];
  p->codes = (const uint8_t *)side->view.q.codes;
  p->bits = mfq_code_bits(&side->view.q);
  p->code_mask = (1u << (e->is_signed + e->exp_bits + e->man_bits)) - 1u;
  p->slots = mfq_cuda_scale_slots(&side->view);
  for (int i = 0; i < 3; ++i) p->scale_stride[i] = side->scale_stride[i];
  p->row_run = divisor64_make(side->scale_run[1]);
  p->depth_run = divisor64_make(side->scale_run[2]);
  mfq_lower(&side->view.q.scheme, &p->scheme);
}

side_params mfq_cuda_side_params(const mfq_gemm_side *side) {
  side_params p = {};
  p.rows = side->rows;
  p.depth = side->depth;
  p.group = side->kind == MFQ_SIDE_PLAIN ? 0 : side->group;
  if (side->kind == MFQ_SIDE_PLAIN)
    plan_plain(&side->matrix, &p);
  else
    plan_codes(side, &p);
  return p;
}

static mfqn_dot_side dot_side(const mfq_gemm_side *side) {
  if (side->kind == MFQ_SIDE_PLAIN) return mfqn_dot_side_plain();
  mfqn_scheme s;
  mfq_lower(&side->view.q.scheme, &s);
  return mfqn_dot_side_make(&s, side->group != 0);
}

mfqn_dot_plan mfq_cuda_dot_plan(const mfq_gemm_side *a, const mfq_gemm_side *b) {
  return mfqn_dot_plan_make(dot_side(a), dot_side(b));
}

/* ---- The short way to bf16 -------------------------------------------------------------------------------------- */

int mfq_cuda_widens_scale(const mfq_gemm_side *side, const widen_format *format) {
  if (side->group == 0 || side->view.q.scheme.scale == MFQ_SCALE_NONE) return 1;
  return format->scale != MFQN_SCALE_NONE && mfq_gemm_side_refuses_bf16(side) == NULL;
}

/* The exponent and mantissa of a code as fields of a bf16, twice. */
static uint32_t fields(uint32_t magnitude, int32_t man_bits) { return magnitude << (7 - man_bits) & 0x7fffu; }

static int widen_minifloat(const mfq_format *e, widen_format *f) {
  const int32_t bits = e->is_signed + e->exp_bits + e->man_bits;
  const uint32_t all = (1u << (e->exp_bits + e->man_bits)) - 1u, infinity = all & ~((1u << e->man_bits) - 1u);
  /* Two factors of a bf16 repair every bias between these. */
  if (e->bias < 0 || e->bias > 127 || e->man_bits > 7) return 0;
  f->shift = 16 - bits - (7 - e->man_bits);
  f->sign_mask = e->is_signed ? 0x80008000u : 0u;
  f->field_mask = fields(all, e->man_bits) * 0x00010001u;
  f->exp2 = 127 - e->bias;
  if (e->specials == MFQ_SPECIALS_FN || e->specials == MFQ_SPECIALS_IEEE) f->has_specials = WIDEN_RANGE;
  if (e->specials == MFQ_SPECIALS_FNUZ) f->has_specials = WIDEN_LONE;
  const int is_ieee = e->specials == MFQ_SPECIALS_IEEE;
  f->special_from = fields(is_ieee ? infinity : all, e->man_bits) * 0x00010001u;
  f->nan_from = fields(is_ieee ? infinity + 1u : all, e->man_bits) * 0x00010001u;
  return f->shift >= 0 && (e->is_signed || e->specials != MFQ_SPECIALS_FNUZ);
}

static int widen_integer(const mfq_format *e, widen_format *f) {
  const int32_t bits = e->is_signed + e->man_bits;
  f->is_integer = 1;
  f->shift = 16 - bits;
  f->sign_mask = e->is_signed ? (1u << (bits - 1)) * 0x00010001u : 0u;
  f->field_mask = ((1u << e->man_bits) - 1u) * 0x00010001u;
  f->exp2 = -e->frac_bits;
  return e->man_bits <= 7;
}

int mfq_cuda_widen_format(const mfq_gemm_side *side, widen_format *format) {
  const mfq_scheme *s = &side->view.q.scheme;
  const mfq_format *e = &s->element;
  *format = widen_format{};
  format->bits = mfq_code_bits(&side->view.q);
  if (format->bits != 4 && format->bits != 6 && format->bits != 8) return 0;
  format->up = format->bits - (e->is_signed + e->exp_bits + e->man_bits);
  format->has_zero_point = s->zero_point;
  const int fits = side->group != 0 && (s->scale == MFQ_SCALE_UE8M0 || s->scale == MFQ_SCALE_UE4M3);
  format->scale = fits ? (int32_t)s->scale : (int32_t)MFQN_SCALE_NONE;
  mfqn_scheme lowered;
  mfq_lower(s, &lowered);
  const float largest = s->scale == MFQ_SCALE_UE4M3 ? 448.0f : 0x1p127f;
  format->is_vast = mfqn_bits(largest) > mfqn_safe_scale(&lowered, MFQN_MAX_BF16);
  return e->kind == MFQ_KIND_INTEGER ? widen_integer(e, format) : widen_minifloat(e, format);
}

/* ---- Units ------------------------------------------------------------------------------------------------------- */

/* Whether all places of a unit's first element are multiples of `bytes`; `unit` bits an element. */
static int is_aligned(const side_params &part, const mfq_unit_axis &along, int64_t bytes, int64_t unit) {
  const void *memory = part.is_plain ? (const void *)part.plain.data : (const void *)part.codes;
  int64_t all = (int64_t)((uintptr_t)memory % (uintptr_t)bytes) * 8 | along.others * (part.is_plain ? unit : 1);
  if (along.groups > 1) all |= along.channels * unit;
  return all % (bytes * 8) == 0;
}

/* How the scales of 16 neighbours come, or -1. */
static int32_t scales_of(const side_params &part, const mfq_unit_axis &along, const widen_format &format) {
  if (format.scale == MFQN_SCALE_NONE && !format.has_zero_point) return UNIT_NO_SCALE;
  if (along.scale_step == 0 || along.size <= along.run) return UNIT_ONE_SCALE;
  if (along.run % UNIT == 0 && (along.groups == 1 || along.channels % UNIT == 0)) return UNIT_ONE_SCALE;
  if (along.run != 1 || along.scale_step != 1 || format.has_zero_point || part.slots.is_tiled) return -1;
  const int64_t all = (int64_t)((uintptr_t)part.slots.scales % UNIT) | (along.groups > 1 ? along.channels : 0);
  if ((all | along.other_scales | along.size) % UNIT != 0) return -1;
  return format.scale == MFQN_SCALE_UE8M0 ? UNIT_EACH_UE8M0 : UNIT_EACH_UE4M3;
}

/* Whether codes can be loaded and widened 16 at a time. */
static int takes_codes(const mfq_gemm_side *side, const side_params &part, const mfq_unit_axis &along, unit_way *way) {
  if (!mfq_cuda_widen_format(side, &way->format) || !mfq_cuda_widens_scale(side, &way->format)) return 0;
  const int32_t bits = way->format.bits;
  if (along.step != bits || !is_aligned(part, along, bits == 6 ? 4 : 2 * bits, bits)) return 0;
  way->scales = scales_of(part, along, way->format);
  if (way->scales < 0) return 0;
  if (way->scales >= UNIT_EACH_UE8M0) way->format.scale = MFQN_SCALE_NONE; /* not of the whole unit */
  way->is_padded = along.groups == 1 && (int64_t)side->view.sizes.row_bits >= mfq_round_up(along.channels, UNIT) * bits;
  return 1;
}

unit_way mfq_cuda_unit_way(const mfq_gemm_side *side, const side_params &part, const mfq_unit_axis &along) {
  unit_way way = {};
  const int32_t log2 = mfq_exact_log2(along.run);
  way.run_log2 = log2 < 30 ? log2 : -1;
  way.unit_step = along.step;
  way.unit_run = divisor64_make(along.run > 0 ? along.run : 1);
  way.scale_step = along.scale_step;
  way.source = UNIT_ELEMENTS;
  if (part.is_plain) {
    if (part.plain.dtype == ELEMENT_BF16 && along.step == 1 && is_aligned(part, along, 16, 16)) way.source = UNIT_BF16;
    return way;
  }
  way.has_scales = side->group != 0 || side->view.q.scheme.zero_point;
  if (takes_codes(side, part, along, &way)) way.source = UNIT_CODES;
  return way;
}

/* ---- Quantization on the way ------------------------------------------------------------------------------------- */

mfq_status mfq_cuda_side_ready(mfq_context *lent, const mfq_gemm_side *side, uint8_t *memory, mfq_gemm_side *ready) {
  mfq_gemm_side_place(side, memory, ready);
  if (side->kind != MFQ_SIDE_TO_QUANTIZE) return MFQ_OK;
  return mfq_cuda_quantize(lent, &side->tensor, &ready->view);
}
