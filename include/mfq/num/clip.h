/* num/clip.h: which elements pass the clip of a fake quantization, without rounding them: rounding is monotonic, so that
 * those of a group lie between two ends, which are found once for a scale of 1 by trying, and scaled exactly. */
#ifndef MFQ_NUM_CLIP_H
#define MFQ_NUM_CLIP_H

#include "gradient.h"
#include "quotient.h"

MFQ_HD mfqn_passage mfqn_passage_under_one(const mfqn_scheme *s, int32_t zero_point, uint32_t u, uint32_t random) {
  mfqn_group g;
  g.stored = 0;
  g.usable = 1;
  g.by_exponent = mfqn_by_exponent(s);
  g.exp2 = 0;
  g.divisor = g.scale = g.tensor_scale = 1.0f;
  g.zero_point = zero_point;
  return mfqn_element_passage(s, &g, u, random);
}

/* The largest magnitude of this sign that passes: 0 does. With zero points there is an end for each, and most lie where a
 * rounding changes: at the last integer in range, half-way to the next one, or beside these, which are tried first. */
MFQ_HD float mfqn_clip_end(const mfqn_scheme *s, int32_t zero_point, uint32_t sign, uint32_t random) {
  uint32_t in = 0, out = MFQN_INF;
  if (s->has_zero_point) {
    const float n = (float)(sign != 0 ? zero_point - s->integer.lowest : s->integer.highest - zero_point);
    const uint32_t half = mfqn_bits(n + 0.5f), next = mfqn_bits(n + 1.0f);
    const uint32_t likely[] = {mfqn_bits(n), mfqn_bits(n) + 1, half - 1, half, half + 1, next - 1, next};
    for (int i = 0; i < 7 && out == MFQN_INF; ++i)
      if (mfqn_passage_under_one(s, zero_point, sign | likely[i], random).passes)
        in = likely[i];
      else
        out = likely[i];
  }
  while (out - in > 1) {
    const uint32_t middle = in + (out - in) / 2;
    if (mfqn_passage_under_one(s, zero_point, sign | middle, random).passes)
      in = middle;
    else
      out = middle;
  }
  return mfqn_float_of(in);
}

/* The same for integers with ties to even: they pass up to half-way behind the last one, which is `left` away from 0 and in
 * the format is `limit`. That half goes back to it where it is even. */
MFQ_HD float mfqn_integer_end(int32_t left, int32_t limit) {
  return mfqn_float_of(mfqn_bits(mfqn_add((float)left, 0.5f)) - ((uint32_t)limit & 1u));
}

/* The smallest magnitude whose slope is a quotient. */
MFQ_HD float mfqn_least_sloped(const mfqn_scheme *s) {
  uint32_t below = 0, normal = MFQN_MAX_FINITE;
  while (normal - below > 1) {
    const uint32_t middle = below + (normal - below) / 2;
    if (mfqn_passage_under_one(s, 0, middle, 0).is_normal)
      normal = middle;
    else
      below = middle;
  }
  return mfqn_float_of(normal);
}

/* The largest magnitude whose quotient by `divisor` is at most `end`: within two steps of their product. `inverse`, the
 * divisor's reciprocal, is read where quotients are to come from it. */
MFQ_HD uint32_t mfqn_largest_dividend(float end, float divisor, float inverse, int by_inverse) {
  const uint32_t near = mfqn_bits(mfqn_mul(end, divisor));
  uint32_t found = near - 1u;
  for (uint32_t k = 0; k <= 2; ++k) {
    const float x = mfqn_float_of(near + k);
    const float quotient = by_inverse ? mfqn_quotient(x, divisor, inverse) : mfqn_div(x, divisor);
    found = quotient <= end ? near + k : found;
  }
  return found;
}

/* 0 where an end cannot be scaled: ends of 0, products far out, scales that are not positive and finite, or whose
 * reciprocals are no normal numbers. */
MFQ_HD uint32_t mfqn_end_scales(float end, float divisor) {
  const uint32_t product = mfqn_bits(mfqn_mul(end, divisor)), d = mfqn_bits(divisor);
  return product - 0x10000000u < 0x60000000u && d - 0x00800000u < 0x7e000000u;
}

MFQ_HD uint32_t mfqn_passes_ends(uint32_t u, float lo, float hi) {
  const float x = mfqn_float_of(u);
  return x >= -lo && x <= hi;
}

#endif
