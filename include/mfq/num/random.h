/* num/random.h: Philox4x32-7, a counter-based generator: the same word for the same index everywhere. Seven rounds are
 * the fewest that pass BigCrush (Salmon et al., SC'11). */
#ifndef MFQ_NUM_RANDOM_H
#define MFQ_NUM_RANDOM_H

#include "hd.h"

typedef struct mfqn_philox {
  uint32_t word[4];
} mfqn_philox;

enum { MFQN_RANDOM_ROUNDS = 7 };

/* One block of four words. */
MFQ_HD mfqn_philox mfqn_philox_block(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1,
                                     int rounds) {
  mfqn_philox out;
  for (int i = 0; i < rounds; ++i) {
    const uint64_t p0 = (uint64_t)0xd2511f53u * c0, p1 = (uint64_t)0xcd9e8d57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  out.word[0] = c0;
  out.word[1] = c1;
  out.word[2] = c2;
  out.word[3] = c3;
  return out;
}

/* The block of elements 8 * block ... 8 * block + 7: key = seed, counter = (block, offset). */
MFQ_HD mfqn_philox mfqn_random_block(uint64_t seed, uint64_t offset, uint64_t block) {
  return mfqn_philox_block((uint32_t)block, (uint32_t)(block >> 32), (uint32_t)offset, (uint32_t)(offset >> 32),
                           (uint32_t)seed, (uint32_t)(seed >> 32), MFQN_RANDOM_ROUNDS);
}

/* Half a word of random bits as the fraction that stochastic rounding adds. The bit below them is set: fractions stand
 * in the middle of the interval that they are for, so that no bias is left on average. */
MFQ_HD uint32_t mfqn_random_fraction(uint32_t half) { return half << 16 | 0x8000u; }

/* The fraction of element `index` from its block: word index / 2 mod 4, the low half of even elements. */
MFQ_HD uint32_t mfqn_random_of_block(const mfqn_philox *p, uint64_t index) {
  const uint32_t low = (index & 2) ? p->word[1] : p->word[0], high = (index & 2) ? p->word[3] : p->word[2];
  const uint32_t word = (index & 4) ? high : low;
  return mfqn_random_fraction((index & 1) ? word >> 16 : word & 0xffffu);
}

MFQ_HD uint32_t mfqn_random(uint64_t seed, uint64_t offset, uint64_t index) {
  const mfqn_philox p = mfqn_random_block(seed, offset, index >> 3);
  return mfqn_random_of_block(&p, index);
}

#endif
