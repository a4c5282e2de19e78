/* host/cpu/kernels/cast_kernels.c: the loops of kernels.h for the instruction set MFQ_ISA.
 *
 * Every loop calls a function of num/ on each element with the scheme's choices as constants, so that the compiler can turn
 * it into vector code; equality with the reference path follows from that, and is tested all the same. */
#include "../kernels.h"

#ifndef MFQ_ISA
#define MFQ_ISA baseline
#endif
#define MFQ_NAME_OF(isa) mfq_kernels_##isa
#define MFQ_NAME(isa) MFQ_NAME_OF(isa)
#define MFQ_TEXT_OF(isa) #isa
#define MFQ_TEXT(isa) MFQ_TEXT_OF(isa)

#define INLINE static inline __attribute__((always_inline))

static void load(uint32_t *restrict x, const void *restrict src, mfq_dtype dtype, int64_t n) {
  const uint16_t *restrict h = src;
  if (dtype == MFQ_DTYPE_F32)
    memcpy(x, src, (size_t)n * sizeof *x);
  else if (dtype == MFQ_DTYPE_BF16)
    for (int64_t i = 0; i < n; ++i) x[i] = mfqn_f32_from_bf16(h[i]);
  else
    for (int64_t i = 0; i < n; ++i) x[i] = mfqn_f32_from_f16(h[i]);
}

static void store(void *restrict dst, mfq_dtype dtype, const uint32_t *restrict x, int64_t n) {
  uint16_t *restrict h = dst;
  if (dtype == MFQ_DTYPE_F32)
    memcpy(dst, x, (size_t)n * sizeof *x);
  else if (dtype == MFQ_DTYPE_BF16)
    for (int64_t i = 0; i < n; ++i) h[i] = (uint16_t)mfqn_bf16_from_f32(x[i]);
  else
    for (int64_t i = 0; i < n; ++i) h[i] = (uint16_t)mfqn_f16_from_f32(x[i]);
}

/* ---- Statistics ------------------------------------------------------------------------------------------------- */

INLINE uint32_t absmax_run(const uint32_t *x, int64_t run) {
  uint32_t m = 0;
  for (int64_t j = 0; j < run; ++j) m = mfqn_umax(m, x[j] & MFQN_ABS);
  return m;
}

INLINE void absmax_runs(const uint32_t *restrict x, int64_t runs, int64_t run, uint32_t *restrict m) {
  for (int64_t i = 0; i < runs; ++i) m[i] = mfqn_umax(m[i], absmax_run(x + i * run, run));
}

static void range_run(const uint32_t *restrict x, int64_t run, int32_t *restrict lo, int32_t *restrict hi) {
  int32_t low = *lo, high = *hi;
  for (int64_t j = 0; j < run; ++j) {
    const int32_t key = mfq_order_key(x[j]);
    low = mfqn_min(low, key);
    high = mfqn_max(high, key);
  }
  *lo = low;
  *hi = high;
}

static void measure_runs(const uint32_t *x, int64_t n, int64_t run, int minmax, mfq_stats *stats, int64_t first) {
  const int64_t whole = n / run, rest = n - whole * run;
  uint32_t *m = stats->absmax + first;
  if (run == 16)
    absmax_runs(x, whole, 16, m);
  else if (run == 32)
    absmax_runs(x, whole, 32, m);
  else
    absmax_runs(x, whole, run, m);
  if (rest) m[whole] = mfqn_umax(m[whole], absmax_run(x + whole * run, rest));
  if (!minmax) return;
  for (int64_t i = 0; i * run < n; ++i)
    range_run(x + i * run, i < whole ? run : rest, stats->lo + first + i, stats->hi + first + i);
}

static void measure_elems(const uint32_t *restrict x, int64_t n, int minmax, mfq_stats *restrict stats) {
  for (int64_t i = 0; i < n; ++i) stats->absmax[i] = mfqn_umax(stats->absmax[i], x[i] & MFQN_ABS);
  if (!minmax) return;
  for (int64_t i = 0; i < n; ++i) stats->lo[i] = mfqn_min(stats->lo[i], mfq_order_key(x[i]));
  for (int64_t i = 0; i < n; ++i) stats->hi[i] = mfqn_max(stats->hi[i], mfq_order_key(x[i]));
}

/* ---- Scales ----------------------------------------------------------------------------------------------------- */

INLINE void values_of(const mfqn_scheme *s, const mfq_stats *restrict stats, int64_t n, uint32_t *restrict values) {
  const mfqn_scheme local = *s;
  const int minmax = s->minmax;
  for (int64_t i = 0; i < n; ++i) {
    const mfqn_statistic statistic = mfq_stats_at(stats, i, minmax);
    values[i] = mfqn_umax(mfqn_statistic_value(&statistic, &local), local.is_brevitas ? 0u : local.statistic_min);
  }
}

INLINE void scales_po2(const mfqn_scheme *s, const uint32_t *restrict values, int64_t n, mfq_lanes *restrict lanes,
                       int rule, int scale) {
  const mfqn_range range = s->range;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t m = values[i], fraction = m & 0x7fffffu;
    const uint32_t step = rule == MFQN_RULE_CEIL    ? fraction != 0
                          : rule == MFQN_RULE_RCEIL ? fraction > range.max_fraction
                          : rule == MFQN_RULE_EVEN  ? fraction >= range.even_fraction
                                                    : 0u;
    const int32_t exp2 = (int32_t)(m >> 23) - 127 - range.emax + (int32_t)step;
    lanes->stored[i] = mfqn_store_exp2(exp2, scale);
    lanes->rare[i] = m - MFQN_MIN_NORMAL >= MFQN_INF - MFQN_MIN_NORMAL; /* 0, subnormal, infinite, NaN */
  }
}

INLINE void scales_by_rule(const mfqn_scheme *s, const uint32_t *values, int64_t n, mfq_lanes *lanes, int scale) {
  switch (s->rule) {
    case MFQN_RULE_CEIL: scales_po2(s, values, n, lanes, MFQN_RULE_CEIL, scale); break;
    case MFQN_RULE_RCEIL: scales_po2(s, values, n, lanes, MFQN_RULE_RCEIL, scale); break;
    case MFQN_RULE_EVEN: scales_po2(s, values, n, lanes, MFQN_RULE_EVEN, scale); break;
    default: scales_po2(s, values, n, lanes, MFQN_RULE_FLOOR, scale);
  }
}

INLINE void scales_quotient(const mfqn_scheme *s, const uint32_t *restrict values, int64_t n, float tensor_scale,
                            mfq_lanes *restrict lanes, int scale) {
  const float threshold = s->threshold;
  for (int64_t i = 0; i < n; ++i) {
    float q = mfqn_div(mfqn_float_of(values[i]), threshold);
    if (scale == MFQN_SCALE_UE4M3) q = mfqn_div(q, tensor_scale);
    lanes->stored[i] = mfqn_store_quotient(mfqn_bits(q), scale, values[i] == 0);
    lanes->rare[i] = values[i] >= MFQN_INF;
  }
}

static void scales(const mfqn_scheme *s, const mfq_stats *stats, int64_t n, float tensor_scale, mfq_lanes *lanes) {
  uint32_t values[MFQ_CHUNK];
  values_of(s, stats, n, values);
  if (s->is_brevitas) {
    for (int64_t i = 0; i < n; ++i) {
      lanes->stored[i] = mfqn_brevitas_scale(values[i], s->statistic_min, s->rule, s->threshold, &s->brevitas);
      lanes->rare[i] = 0;
    }
    return;
  }
  const int po2 = s->rule != MFQN_RULE_ABSMAX;
  switch (s->scale) {
    case MFQN_SCALE_UE8M0: scales_by_rule(s, values, n, lanes, MFQN_SCALE_UE8M0); break;
    case MFQN_SCALE_UE4M3: scales_quotient(s, values, n, tensor_scale, lanes, MFQN_SCALE_UE4M3); break;
    case MFQN_SCALE_BF16:
      if (po2)
        scales_by_rule(s, values, n, lanes, MFQN_SCALE_BF16);
      else
        scales_quotient(s, values, n, tensor_scale, lanes, MFQN_SCALE_BF16);
      break;
    case MFQN_SCALE_F16:
      if (po2)
        scales_by_rule(s, values, n, lanes, MFQN_SCALE_F16);
      else
        scales_quotient(s, values, n, tensor_scale, lanes, MFQN_SCALE_F16);
      break;
    default:
      if (po2)
        scales_by_rule(s, values, n, lanes, MFQN_SCALE_F32);
      else
        scales_quotient(s, values, n, tensor_scale, lanes, MFQN_SCALE_F32);
  }
}

INLINE void lanes_as(const mfqn_scheme *s, int64_t n, float tensor_scale, mfq_lanes *restrict lanes, int scale) {
  mfqn_scheme local = *s;
  local.scale = scale; /* a constant: the choice in mfqn_group_load folds away */
  /* From this exponent down, subnormal inputs are normal values of the element format (mfqn_minifloat_encode_as). */
  const int32_t wide = s->is_integer ? -1000 : s->minifloat.bias - 127;
  for (int64_t i = 0; i < n; ++i) {
    const mfqn_group g = mfqn_group_load(&local, lanes->stored[i], tensor_scale);
    lanes->exp2[i] = g.exp2;
    lanes->divisor[i] = g.divisor;
    lanes->scale[i] = g.scale;
    lanes->zero_point[i] = 0.0f;
    lanes->rare[i] = (uint8_t)((g.usable ^ 1u) | (g.exp2 <= wide));
  }
}

static void lanes_of(const mfqn_scheme *s, int64_t n, float tensor_scale, mfq_lanes *lanes) {
  switch (s->scale) {
    case MFQN_SCALE_NONE: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_NONE); break;
    case MFQN_SCALE_F32: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_F32); break;
    case MFQN_SCALE_BF16: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_BF16); break;
    case MFQN_SCALE_F16: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_F16); break;
    case MFQN_SCALE_UE8M0: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_UE8M0); break;
    default: lanes_as(s, n, tensor_scale, lanes, MFQN_SCALE_UE4M3);
  }
}

static void zero_points(const mfqn_scheme *s, const mfq_stats *restrict stats, int64_t n, mfq_lanes *restrict lanes) {
  const mfqn_scheme local = *s;
  for (int64_t i = 0; i < n; ++i) {
    const mfqn_statistic statistic = mfq_stats_at(stats, i, 1);
    mfqn_group g;
    g.divisor = lanes->divisor[i];
    const uint32_t magnitude = mfqn_bits(g.divisor) & MFQN_ABS;
    g.usable = magnitude - 1u < MFQN_INF - 1u;
    lanes->zero_point[i] = (float)mfqn_group_zero_point(&local, &statistic, &g);
  }
}

/* ---- Codes ------------------------------------------------------------------------------------------------------ */

enum { BY_EXPONENT, BY_DIVISION, BY_ZERO_POINT };

/* One element of a group with exponent `e`, divisor `d`, zero point `z`. */
INLINE uint32_t encode_one(const mfqn_scheme *s, uint32_t u, int32_t e, float d, float z, int how, int is_integer,
                          int rounding) {
  uint32_t v = u;
  if (how != BY_EXPONENT) v = mfqn_bits(mfqn_div(mfqn_float_of(u), d));
  if (how == BY_ZERO_POINT) v = mfqn_bits(mfqn_add(mfqn_float_of(v), z));
  const int32_t exp2 = how == BY_EXPONENT ? e : 0;
  return is_integer ? mfqn_integer_encode(v, &s->integer, exp2, rounding, 0)
                    : mfqn_minifloat_encode_as(v, &s->minifloat, exp2, rounding, 0, 0);
}

INLINE void encode_run(const mfqn_scheme *s, const uint32_t *restrict x, int64_t run, const mfq_lanes *lanes, int64_t i,
                       uint32_t *restrict codes, int how, int is_integer, int rounding) {
  const int32_t e = lanes->exp2[i];
  const float d = lanes->divisor[i], z = lanes->zero_point[i];
  for (int64_t j = 0; j < run; ++j) codes[j] = encode_one(s, x[j], e, d, z, how, is_integer, rounding);
}

INLINE void encode_runs_as(const mfqn_scheme *scheme, const uint32_t *x, int64_t n, int64_t run, const mfq_lanes *lanes,
                           int64_t first, uint32_t *codes, int how, int is_integer, int rounding) {
  const mfqn_scheme local = *scheme, *s = &local; /* stores to codes[] cannot change it: it stays in registers */
  const int64_t whole = n / run, rest = n - whole * run;
  int64_t i = 0;
  if (run == 16)
    for (; i < whole; ++i) encode_run(s, x + i * 16, 16, lanes, first + i, codes + i * 16, how, is_integer, rounding);
  else if (run == 32)
    for (; i < whole; ++i) encode_run(s, x + i * 32, 32, lanes, first + i, codes + i * 32, how, is_integer, rounding);
  else
    for (; i < whole; ++i)
      encode_run(s, x + i * run, run, lanes, first + i, codes + i * run, how, is_integer, rounding);
  if (rest) encode_run(s, x + i * run, rest, lanes, first + i, codes + i * run, how, is_integer, rounding);
}

INLINE void encode_elems_as(const mfqn_scheme *s, const uint32_t *restrict x, int64_t n,
                            const mfq_lanes *restrict lanes, uint32_t *restrict codes, int how, int is_integer,
                            int rounding) {
  const mfqn_scheme local = *s;
  for (int64_t i = 0; i < n; ++i)
    codes[i] = encode_one(&local, x[i], lanes->exp2[i], lanes->divisor[i], lanes->zero_point[i], how, is_integer,
                          rounding);
}

/* run > 0: runs; 0: elements. */
INLINE void encode_how(const mfqn_scheme *s, const uint32_t *x, int64_t n, int64_t run, const mfq_lanes *lanes,
                       int64_t first, uint32_t *codes, int how, int is_integer) {
  if (s->rounding == MFQN_ROUND_EVEN && run > 0)
    encode_runs_as(s, x, n, run, lanes, first, codes, how, is_integer, MFQN_ROUND_EVEN);
  else if (s->rounding == MFQN_ROUND_EVEN)
    encode_elems_as(s, x, n, lanes, codes, how, is_integer, MFQN_ROUND_EVEN);
  else if (run > 0)
    encode_runs_as(s, x, n, run, lanes, first, codes, how, is_integer, s->rounding);
  else
    encode_elems_as(s, x, n, lanes, codes, how, is_integer, s->rounding);
}

static void encode(const mfqn_scheme *s, const uint32_t *x, int64_t n, int64_t run, const mfq_lanes *lanes,
                   int64_t first, uint32_t *codes) {
  const int by_exponent = s->scale == MFQN_SCALE_NONE || s->scale == MFQN_SCALE_UE8M0 ||
                          (s->rule >= MFQN_RULE_FLOOR && s->rule <= MFQN_RULE_EVEN);
  const int how = s->has_zero_point ? BY_ZERO_POINT : by_exponent && !s->is_brevitas ? BY_EXPONENT : BY_DIVISION;
  if (how == BY_ZERO_POINT)
    encode_how(s, x, n, run, lanes, first, codes, BY_ZERO_POINT, 1);
  else if (how == BY_EXPONENT && s->is_integer)
    encode_how(s, x, n, run, lanes, first, codes, BY_EXPONENT, 1);
  else if (how == BY_EXPONENT)
    encode_how(s, x, n, run, lanes, first, codes, BY_EXPONENT, 0);
  else if (s->is_integer)
    encode_how(s, x, n, run, lanes, first, codes, BY_DIVISION, 1);
  else
    encode_how(s, x, n, run, lanes, first, codes, BY_DIVISION, 0);
}

static void narrow(uint8_t *restrict codes, const uint32_t *restrict wide, int64_t n) {
  for (int64_t i = 0; i < n; ++i) codes[i] = (uint8_t)wide[i];
}

/* Codes are made as words and narrowed at the end: vectors are then as long for short runs as for long ones. */
static void encode_runs(const mfqn_scheme *s, const uint32_t *x, int64_t n, int64_t run, const mfq_lanes *lanes,
                        int64_t first, uint8_t *codes) {
  uint32_t wide[MFQ_CHUNK];
  encode(s, x, n, run, lanes, first, wide);
  narrow(codes, wide, n);
}

static void encode_elems(const mfqn_scheme *s, const uint32_t *x, int64_t n, const mfq_lanes *lanes, uint8_t *codes) {
  uint32_t wide[MFQ_CHUNK];
  encode(s, x, n, 0, lanes, 0, wide);
  narrow(codes, wide, n);
}

/* ---- Values ----------------------------------------------------------------------------------------------------- */

/* The unscaled value of a code whose format lies within the normal numbers of float32. */
INLINE float value_of(const mfqn_minifloat *f, uint32_t code, uint32_t magnitude_mask, int32_t sign_shift) {
  const uint32_t magnitude = code & magnitude_mask, base = magnitude << (23 - f->man_bits);
  const uint32_t offset = (uint32_t)(127 - f->bias) << 23, one = MFQN_MIN_NORMAL;
  const uint32_t subnormal =
      mfqn_bits(mfqn_sub(mfqn_float_of(base + offset + one), mfqn_float_of(offset + one)));
  uint32_t v = base < one ? subnormal : base + offset;
  v = magnitude == f->inf_code ? MFQN_INF : v;
  v |= (code & f->sign_bit) << sign_shift;
  v = magnitude >= f->nan_from || code == f->lone_nan ? MFQN_NAN : v;
  return mfqn_float_of(v);
}

/* Unscaled values of `n` codes, by format alone; a zero point is subtracted with the scale. */
INLINE void values_of_codes(const mfqn_scheme *s, const uint8_t *restrict codes, int64_t n, float *restrict v) {
  const mfqn_scheme local = *s;
  const int32_t sign_shift = 31 - (s->bits - (s->minifloat.sign_bit != 0));
  const uint32_t mask = (1u << (31 - sign_shift)) - 1u;
  if (s->is_integer)
    for (int64_t i = 0; i < n; ++i) v[i] = (float)mfqn_integer_value(codes[i], &local.integer);
  else
    for (int64_t i = 0; i < n; ++i) v[i] = value_of(&local.minifloat, codes[i], mask, sign_shift);
}

INLINE uint32_t scaled(float v, float scale, float zero_point, float step, int is_integer) {
  const float exact = is_integer ? mfqn_mul(mfqn_sub(v, zero_point), step) : v;
  return mfqn_one_nan(mfqn_mul(exact, scale));
}

INLINE void scale_run(const float *restrict v, int64_t run, const mfq_lanes *lanes, int64_t i, float step,
                      uint32_t *restrict x, int is_integer) {
  const float scale = lanes->scale[i], zero_point = lanes->zero_point[i];
  for (int64_t j = 0; j < run; ++j) x[j] = scaled(v[j], scale, zero_point, step, is_integer);
}

INLINE void scale_runs(const float *v, int64_t n, int64_t run, const mfq_lanes *lanes, int64_t first, float step,
                       uint32_t *x, int is_integer) {
  const int64_t whole = n / run, rest = n - whole * run;
  int64_t i = 0;
  if (run == 16)
    for (; i < whole; ++i) scale_run(v + i * 16, 16, lanes, first + i, step, x + i * 16, is_integer);
  else if (run == 32)
    for (; i < whole; ++i) scale_run(v + i * 32, 32, lanes, first + i, step, x + i * 32, is_integer);
  else
    for (; i < whole; ++i) scale_run(v + i * run, run, lanes, first + i, step, x + i * run, is_integer);
  if (rest) scale_run(v + i * run, rest, lanes, first + i, step, x + i * run, is_integer);
}

static void decode_runs(const mfqn_scheme *s, const uint8_t *codes, int64_t n, int64_t run, const mfq_lanes *lanes,
                        int64_t first, uint32_t *x) {
  float v[MFQ_CHUNK];
  const float step = mfqn_float_of(mfqn_pow2(-s->integer.frac_bits));
  values_of_codes(s, codes, n, v);
  if (s->is_integer)
    scale_runs(v, n, run, lanes, first, step, x, 1);
  else
    scale_runs(v, n, run, lanes, first, step, x, 0);
}

static void decode_elems(const mfqn_scheme *s, const uint8_t *codes, int64_t n, const mfq_lanes *restrict lanes,
                         uint32_t *restrict x) {
  float v[MFQ_CHUNK];
  const float step = mfqn_float_of(mfqn_pow2(-s->integer.frac_bits));
  values_of_codes(s, codes, n, v);
  if (s->is_integer)
    for (int64_t i = 0; i < n; ++i) x[i] = scaled(v[i], lanes->scale[i], lanes->zero_point[i], step, 1);
  else
    for (int64_t i = 0; i < n; ++i) x[i] = scaled(v[i], lanes->scale[i], 0.0f, step, 0);
}

/* ---- Packing ---------------------------------------------------------------------------------------------------- */

static void pack4(uint8_t *restrict dst, const uint8_t *restrict codes, int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) dst[i] = (uint8_t)(codes[2 * i] | codes[2 * i + 1] << 4);
}

static uint64_t load_bytes(const uint8_t *src, int64_t bytes) {
  uint64_t word = 0;
  memcpy(&word, src, (size_t)(bytes < 8 ? bytes : 8));
  return word;
}

static void store_bytes(uint8_t *dst, uint64_t word, int64_t bytes) {
  memcpy(dst, &word, (size_t)(bytes < 8 ? bytes : 8));
}

/* 8 codes make `bits` bytes: words of 8 codes are packed in one loop and written, each over the tail of the last, in another. */
INLINE void pack_words(uint8_t *restrict dst, const uint8_t *restrict codes, int64_t n, int32_t bits) {
  uint64_t words[MFQ_CHUNK / 8];
  while (n > 0) {
    const int64_t part = n < MFQ_CHUNK ? n : MFQ_CHUNK, whole = part / 8, total = (part * bits + 7) / 8;
    memcpy(words, codes, (size_t)whole * 8);
    for (int64_t i = 0; i < whole; ++i) words[i] = mfqn_pack8(words[i], bits);
    int64_t i = 0;
    for (; i < whole && i * bits + 8 <= total; ++i) memcpy(dst + i * bits, &words[i], 8);
    for (; i < whole; ++i) store_bytes(dst + i * bits, words[i], bits);
    if (whole * 8 < part)
      store_bytes(dst + whole * bits, mfqn_pack8(load_bytes(codes + whole * 8, part - whole * 8), bits),
                  total - whole * bits);
    codes += part;
    dst += total;
    n -= part;
  }
}

INLINE void unpack_words(uint8_t *restrict codes, const uint8_t *restrict src, int64_t n, int32_t bits) {
  uint64_t words[MFQ_CHUNK / 8];
  while (n > 0) {
    const int64_t part = n < MFQ_CHUNK ? n : MFQ_CHUNK, whole = part / 8, total = (part * bits + 7) / 8;
    int64_t i = 0;
    for (; i < whole && i * bits + 8 <= total; ++i) memcpy(&words[i], src + i * bits, 8);
    for (; i < whole; ++i) words[i] = load_bytes(src + i * bits, bits);
    for (i = 0; i < whole; ++i) words[i] = mfqn_unpack8(words[i], bits);
    memcpy(codes, words, (size_t)whole * 8);
    if (whole * 8 < part)
      store_bytes(codes + whole * 8, mfqn_unpack8(load_bytes(src + whole * bits, total - whole * bits), bits),
                  part - whole * 8);
    codes += part;
    src += total;
    n -= part;
  }
}

static void pack(uint8_t *restrict dst, const uint8_t *restrict codes, int64_t n, int32_t bits) {
  if (bits == 8) {
    memcpy(dst, codes, (size_t)n);
  } else if (bits == 4) {
    pack4(dst, codes, n / 2);
    if (n & 1) dst[n / 2] = codes[n - 1];
  } else if (bits == 6) {
    pack_words(dst, codes, n, 6);
  } else {
    pack_words(dst, codes, n, bits);
  }
}

static void unpack(uint8_t *restrict codes, const uint8_t *restrict src, int64_t n, int32_t bits) {
  if (bits == 8) {
    memcpy(codes, src, (size_t)n);
  } else if (bits == 4) {
    for (int64_t i = 0; i < n / 2; ++i) {
      codes[2 * i] = src[i] & 15u;
      codes[2 * i + 1] = src[i] >> 4;
    }
    if (n & 1) codes[n - 1] = src[n / 2] & 15u;
  } else if (bits == 6) {
    unpack_words(codes, src, n, 6);
  } else {
    unpack_words(codes, src, n, bits);
  }
}

/* Transposes 8 x 8 bytes held in 8 words by swapping ever larger blocks. */
INLINE void transpose8(uint64_t w[8]) {
  for (int k = 0; k < 8; k += 2) {
    const uint64_t t = ((w[k] >> 8) ^ w[k + 1]) & 0x00ff00ff00ff00ffull;
    w[k] ^= t << 8;
    w[k + 1] ^= t;
  }
  for (int k = 0; k < 8; k += (k & 1) ? 3 : 1) {
    const uint64_t t = ((w[k] >> 16) ^ w[k + 2]) & 0x0000ffff0000ffffull;
    w[k] ^= t << 16;
    w[k + 2] ^= t;
  }
  for (int k = 0; k < 4; ++k) {
    const uint64_t t = ((w[k] >> 32) ^ w[k + 4]) & 0x00000000ffffffffull;
    w[k] ^= t << 32;
    w[k + 4] ^= t;
  }
}

static void transpose(uint8_t *restrict dst, int64_t dst_ld, const uint8_t *restrict src, int64_t src_ld, int64_t rows,
                      int64_t cols) {
  const int64_t r8 = rows & ~(int64_t)7, c8 = cols & ~(int64_t)7;
  for (int64_t c = 0; c < c8; c += 8)
    for (int64_t r = 0; r < r8; r += 8) {
      uint64_t w[8];
      for (int k = 0; k < 8; ++k) memcpy(&w[k], src + (r + k) * src_ld + c, 8);
      transpose8(w);
      for (int k = 0; k < 8; ++k) memcpy(dst + (c + k) * dst_ld + r, &w[k], 8);
    }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < r8 ? c8 : 0; c < cols; ++c) dst[c * dst_ld + r] = src[r * src_ld + c];
}

const mfq_kernels MFQ_NAME(MFQ_ISA) = {
    .isa = MFQ_TEXT(MFQ_ISA),
    .load = load,
    .store = store,
    .measure_runs = measure_runs,
    .measure_elems = measure_elems,
    .scales = scales,
    .lanes = lanes_of,
    .zero_points = zero_points,
    .encode_runs = encode_runs,
    .encode_elems = encode_elems,
    .decode_runs = decode_runs,
    .decode_elems = decode_elems,
    .pack = pack,
    .unpack = unpack,
    .transpose = transpose,
};
