/* num/rotate.h: the orthogonal Hadamard rotation of 16, 32, 64 or 128 neighbours, with signs before it.
 *
 * y = H (s x) / sqrt(n), H[i][j] being -1 to the number of common bits of i and j: signs, then butterflies of strides 1, 2,
 * 4, ..., then one multiplication, all in float32 and in this order on every device. H / sqrt(n) is its own inverse: back
 * again it is butterflies, the multiplication, signs. What comes out is rounded, so that a round trip is close but not
 * exact, infinite where a sum leaves float32, and canonical where it is NaN. */
#ifndef MFQ_NUM_ROTATE_H
#define MFQ_NUM_ROTATE_H

#include "bits.h"
#include "random.h"

enum { MFQN_ROTATION_MAX = 128 };
enum { MFQN_SIGNS_NONE = 0, MFQN_SIGNS_FIXED = 1, MFQN_SIGNS_SEEDED = 2 }; /* the values of mfq_signs */

typedef struct mfqn_rotation {
  int32_t size;      /* 0: none */
  uint32_t signs[4]; /* bit k % 32 of word k / 32: element k of a rotation is negated */
} mfqn_rotation;

/* Seeded signs are the block of Philox that no element has: key = seed, counter = all ones. */
MFQ_HD mfqn_rotation mfqn_rotation_make(int32_t size, int32_t signs, uint64_t seed) {
  mfqn_rotation r;
  r.size = size;
  for (int i = 0; i < 4; ++i) r.signs[i] = signs == MFQN_SIGNS_FIXED ? 0xd7e8d7e8u : 0u;
  if (signs != MFQN_SIGNS_SEEDED) return r;
  const mfqn_philox random = mfqn_random_block(seed, ~(uint64_t)0, ~(uint64_t)0);
  for (int i = 0; i < 4; ++i) r.signs[i] = random.word[i];
  return r;
}

/* What is xored to element k. */
MFQ_HD uint32_t mfqn_rotation_sign(const mfqn_rotation *r, int32_t k) { return r->signs[k / 32] >> k % 32 << 31; }

/* 1 / sqrt(size). */
MFQ_HD float mfqn_rotation_factor(const mfqn_rotation *r) {
  switch (r->size) {
    case 16: return 0x1p-2f;
    case 32: return 0x1.6a09e6p-3f;
    case 64: return 0x1p-3f;
    default: return 0x1.6a09e6p-4f;
  }
}

/* Element k before its sums and after them. */
MFQ_HD float mfqn_rotation_in(const mfqn_rotation *r, int32_t k, uint32_t u, int is_inverse) {
  return mfqn_float_of(is_inverse ? u : u ^ mfqn_rotation_sign(r, k));
}
MFQ_HD uint32_t mfqn_rotation_out(const mfqn_rotation *r, int32_t k, float sum, int is_inverse) {
  const uint32_t y = mfqn_bits(mfqn_mul(sum, mfqn_rotation_factor(r)));
  return mfqn_one_nan(mfqn_float_of(is_inverse ? y ^ mfqn_rotation_sign(r, k) : y));
}

/* A whole rotation of float32 bits, in place. */
MFQ_HD void mfqn_rotate(const mfqn_rotation *r, uint32_t *u, int is_inverse) {
  float x[MFQN_ROTATION_MAX];
  for (int32_t k = 0; k < r->size; ++k) x[k] = mfqn_rotation_in(r, k, u[k], is_inverse);
  for (int32_t stride = 1; stride < r->size; stride *= 2)
    for (int32_t k = 0; k < r->size; ++k) {
      if (k & stride) continue;
      const float a = x[k], b = x[k + stride];
      x[k] = mfqn_add(a, b);
      x[k + stride] = mfqn_sub(a, b);
    }
  for (int32_t k = 0; k < r->size; ++k) u[k] = mfqn_rotation_out(r, k, x[k], is_inverse);
}

#endif
