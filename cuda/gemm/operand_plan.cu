/* cuda/gemm/operand_plan.cu: a minifloat is bf16 after a shift, a mask and a change of bias; which formats that holds
 * for, and with which scales, is decided here. */
#include "operand_plan.h"

#include "host/core/scheme/lower.h"
#include "host/core/problem/walk.h"

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
