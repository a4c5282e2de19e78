/* num/random.h: Philox4x32-10, a counter-based generator (Salmon et al., SC'11): the same word for the same index
 * everywhere. */
#ifndef MFQ_NUM_RANDOM_H
#define MFQ_NUM_RANDOM_H

#include "hd.h"

typedef struct mfqn_philox {
  uint32_t word[4];
} mfqn_philox;

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

/* The word of element `index`: key = seed, counter = (index / 4, offset), word index mod 4. */
MFQ_HD uint32_t mfqn_random(uint64_t seed, uint64_t offset, uint64_t index) {
  const uint64_t block = index >> 2;
  const mfqn_philox p = mfqn_philox_block((uint32_t)block, (uint32_t)(block >> 32), (uint32_t)offset,
                                          (uint32_t)(offset >> 32), (uint32_t)seed, (uint32_t)(seed >> 32), 10);
  const uint32_t low = (index & 1) ? p.word[1] : p.word[0], high = (index & 1) ? p.word[3] : p.word[2];
  return (index & 2) ? high : low;
}

#endif
