/* host/cpu/product/few_codes.c: by which shifts the codes of a format become numbers in lanes, which is tried with every code
 * before it is taken, and the scales of a packed row. */
#include "few_codes.h"

#include "host/core/problem/walk.h"
#include "host/core/scheme/lower.h"
#include "host/core/scheme/scheme.h"
#include "host/cpu/cast/elements.h"
#include "widen.h"

/* ---- Codes -------------------------------------------------------------------------------------------------------- */

const char *mfq_few_codes_refuse(const mfq_gemm_side *side) {
  const mfq_scheme *s = &side->view.q.scheme;
  const int32_t bits = mfq_code_bits(&side->view.q);
  mfqn_scheme lowered;
  uint16_t values[256];
  mfq_lower(s, &lowered);
  if ((side->code_bits[2] != bits && side->depth != 1) || side->code_bits[1] % 8 != 0 || side->code_bits[0] % 8 != 0)
    return "codes are not in rows along K that begin at bytes";
  if (side->group % 16 != 0) return "groups are not multiples of 16";
  if (side->group % MFQ_FEW_BLOCK != 0 && 2 * side->group > MFQ_CHUNK)
    return "groups are neither multiples of 32 nor at most 2048";
  if (!mfq_bf16_values(&lowered, bits, values)) return "bf16 does not hold all values of the element format";
  return NULL;
}

/* Which bytes of 16 hold the code of each lane, and how far its upper end is from the lane's. */
static void place_lanes(int32_t bits, int32_t stored, int32_t lanes, mfq_few_picks *p) {
  memset(p->bytes, 0x80, sizeof p->bytes);
  for (int32_t j = 0; j < lanes; ++j) {
    const int32_t byte = j * stored / 8, end = j * stored % 8 + bits;
    const int is_one = end <= 8;
    p->bytes[4 * j + 3] = (uint8_t)(is_one ? byte : byte + 1);
    if (!is_one) p->bytes[4 * j + 2] = (uint8_t)byte;
    p->left[j] = (is_one ? 8 : 16) - end;
  }
}

static void shift_integers(const mfqn_scheme *s, mfq_few_picks *p) {
  p->down = 32 - s->bits;
  p->mask = s->integer.lowest < 0 ? -1 : (int32_t)s->integer.mask;
  p->unit = mfqn_float_of(mfqn_pow2(-s->integer.frac_bits));
}

/* The sign stays where it is, the other digits move to the lowest exponents of f32. */
static int shift_floats(const mfqn_scheme *s, mfq_few_picks *p) {
  const mfqn_minifloat *f = &s->minifloat;
  const int32_t is_signed = f->sign_bit != 0, digits = s->bits - is_signed, exp_bits = digits - f->man_bits;
  const uint32_t up = (uint32_t)(23 - f->man_bits);
  if (f->bias < 0 || f->bias > 126 + 127) return 0;
  p->down = 9 - is_signed - exp_bits;
  if (p->down < 0) return 0;
  p->mask = (int32_t)((((1u << digits) - 1u) << up) | (is_signed ? 0x80000000u : 0u));
  p->unit = mfqn_float_of(mfqn_pow2(mfqn_min(127 - f->bias, 127)));
  p->most = (int32_t)(f->max_code << up);
  p->has_lone_nan = f->lone_nan != 0xffffffffu;
  return 1;
}

/* Whether lanes give every code its value, but for those that they notice. */
static int picks_hold(const mfqn_scheme *s, const mfq_few_picks *p, const uint16_t *values) {
  for (uint32_t code = 0; code < 1u << s->bits; ++code) {
    const int32_t top = (int32_t)(code << (32 - s->bits)), bits = (top >> p->down) & p->mask;
    const float value =
        s->is_integer ? mfqn_mul((float)bits, p->unit) : mfqn_mul(mfqn_float_of((uint32_t)bits), p->unit);
    const int is_noticed =
        !s->is_integer && ((bits & (int32_t)MFQN_ABS) > p->most || (p->has_lone_nan && bits == INT32_MIN));
    const int is_special = (values[code] & 0x7f80) == 0x7f80;
    if (is_noticed != is_special) return 0;
    if (!is_noticed && mfqn_bits(value) != (uint32_t)values[code] << 16) return 0;
  }
  return 1;
}

static mfq_few_how how_of(const mfq_few_kernels *kernels, const mfqn_scheme *s, mfq_few_codes *c) {
  if (kernels->lanes < 8) return MFQ_FEW_TABLE;
  if (c->bits == 4) return MFQ_FEW_NIBBLES;
  place_lanes(s->bits, c->bits, kernels->lanes, &c->picks);
  if (s->is_integer)
    shift_integers(s, &c->picks);
  else if (!shift_floats(s, &c->picks))
    return MFQ_FEW_TABLE;
  if (!picks_hold(s, &c->picks, c->values)) return MFQ_FEW_TABLE;
  return s->is_integer ? MFQ_FEW_INTEGERS : MFQ_FEW_FLOATS;
}

static float largest_of(const mfq_few_codes *c, const mfqn_scheme *s) {
  float largest = 0;
  for (uint32_t code = 0; code <= c->mask; ++code) {
    const uint32_t magnitude = mfqn_bits(c->numbers[code]) & MFQN_ABS;
    if (magnitude < MFQN_INF && mfqn_float_of(magnitude) > largest) largest = mfqn_float_of(magnitude);
  }
  return c->has_zero_points ? (float)(1 << s->bits) : largest;
}

void mfq_few_codes_make(const mfq_few_kernels *kernels, const mfq_gemm_side *side, mfq_few_codes *c) {
  const mfq_scheme *scheme = &side->view.q.scheme;
  memset(c, 0, sizeof *c);
  mfq_lower(scheme, &c->scheme);
  const mfqn_scheme *s = &c->scheme;
  c->bits = mfq_code_bits(&side->view.q);
  c->mask = (1u << s->bits) - 1u;
  (void)mfq_bf16_values(s, c->bits, c->values);
  for (int i = 0; i < 256; ++i) c->numbers[i] = mfqn_float_of((uint32_t)c->values[i] << 16);
  c->group = scheme->scale == MFQ_SCALE_NONE ? 0 : side->group;
  c->step = c->group % MFQ_FEW_BLOCK != 0 ? MFQ_FEW_BLOCK / 2 : MFQ_FEW_BLOCK;
  c->scale_bytes = mfq_scale_bytes(scheme->scale);
  c->has_zero_points = scheme->zero_point;
  c->how = how_of(kernels, s, c);
  c->safe_scale = mfqn_safe_scale(s, MFQN_MAX_BF16);
  c->safe_plain = 0x1p126f / (MFQ_FEW_BLOCK * largest_of(c, s));
}

/* ---- Scales ------------------------------------------------------------------------------------------------------- */

void mfq_few_scales_init(mfq_few_scales *scales) {
  for (int i = 0; i < MFQ_CHUNK / 16 + 1; ++i) scales->scales[i] = 1.0f;
}

/* Groups of a stretch: the first one's index, the distance from one to the next, and how many. */
typedef struct few_groups {
  int64_t first, step, n;
} few_groups;

/* Returns the largest magnitude, as bits. */
static uint32_t read_scales(const mfq_few_kernels *kernels, const mfq_few_codes *c, const mfq_qview *view, few_groups g,
                            float *scales) {
  const mfq_scale_format format = view->q.scheme.scale;
  if (view->q.layout.scales == MFQ_SCALES_LOGICAL && (g.step == 1 || g.n == 1) && format != MFQ_SCALE_MINIFLOAT)
    return kernels->scales((int32_t)format, (const uint8_t *)view->q.scales + g.first * c->scale_bytes, g.n, scales);
  uint32_t largest = 0;
  for (int64_t i = 0; i < g.n; ++i) {
    scales[i] = mfqn_group_load(&c->scheme, mfq_scale_get(view, g.first + i * g.step), 1.0f).scale;
    largest = mfqn_umax(largest, mfqn_bits(scales[i]) & MFQN_ABS);
  }
  return largest;
}

/* Those of a zero point are codes too. */
static void read_zero_points(const mfq_few_codes *c, const mfq_qview *view, few_groups g, float *zero_points) {
  for (int64_t i = 0; i < g.n; ++i) {
    const uint8_t code = ((const uint8_t *)view->q.zero_points)[g.first + i * g.step];
    zero_points[i] = c->numbers[code & c->mask];
  }
}

/* A number of each group to each of its steps. */
static void spread(const float *of_groups, int64_t in_group, int64_t steps, float *to) {
  for (int64_t first = 0; first < steps; first += in_group, ++of_groups)
    for (int64_t i = first; i < first + in_group && i < steps; ++i) to[i] = *of_groups;
}

int mfq_few_scales_load(const mfq_few_kernels *kernels, const mfq_few_codes *c, const mfq_gemm_side *side,
                        mfq_few_stretch at, mfq_few_scales *scales) {
  const int64_t steps = (at.n + c->step - 1) / c->step;
  const int64_t in_group = c->group == 0 || c->group > MFQ_CHUNK ? steps : c->group / c->step;
  const few_groups g = {mfq_gemm_side_scale(side, at.batch, at.row, at.k), side->scale_stride[2],
                        (steps + in_group - 1) / in_group};
  float *const scale_room = in_group == 1 ? scales->scales : scales->stored;
  if (c->has_zero_points) {
    read_zero_points(c, &side->view, g, scales->stored);
    spread(scales->stored, in_group, steps, scales->zero_points);
    scales->zero_points[steps] = 0.0f;
  }
  if (c->group == 0) return 0;
  const uint32_t largest = read_scales(kernels, c, &side->view, g, scale_room);
  if (in_group != 1) spread(scales->stored, in_group, steps, scales->scales);
  scales->scales[steps] = 0.0f; /* of the half of a block behind the last codes */
  return largest > c->safe_scale;
}
