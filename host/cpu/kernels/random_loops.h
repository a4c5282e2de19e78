/* host/cpu/kernels/random_loops.h: the random bits of neighbouring elements: each block once, for its eight elements.
 *
 * A lane of 64 bits holds one of a block's four words in its low half, where multiplications read it, and leftovers of
 * products above. Lanes take their blocks in such an order that the words are in place when pairs are woven. */
#ifndef MFQ_HOST_CPU_KERNELS_RANDOM_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_RANDOM_LOOPS_H

#include <mfq/num/random.h>

#include "loops.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>

#if defined(__AVX512F__)
enum { WORD_LANES = 8 };
typedef __m512i word_lanes;
INLINE word_lanes lanes_all(uint64_t x) { return _mm512_set1_epi64((int64_t)x); }
INLINE word_lanes lanes_blocks(uint64_t first) {
  return _mm512_add_epi64(lanes_all(first), _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7));
}
INLINE word_lanes lanes_product(word_lanes a, word_lanes b) { return _mm512_mul_epu32(a, b); }
INLINE word_lanes lanes_high(word_lanes a) { return _mm512_srli_epi64(a, 32); }
INLINE word_lanes lanes_xor(word_lanes a, word_lanes b, word_lanes c) {
  return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}
INLINE word_lanes lanes_pair(word_lanes low, word_lanes high) {
  return _mm512_mask_shuffle_epi32(low, 0xaaaa, high, (_MM_PERM_ENUM)0xa0);
}
INLINE void lanes_put(uint16_t *to, word_lanes a, word_lanes b) {
  _mm512_storeu_si512(to, _mm512_unpacklo_epi64(a, b));
  _mm512_storeu_si512(to + 4 * WORD_LANES, _mm512_unpackhi_epi64(a, b));
}
#else
enum { WORD_LANES = 4 };
typedef __m256i word_lanes;
INLINE word_lanes lanes_all(uint64_t x) { return _mm256_set1_epi64x((int64_t)x); }
INLINE word_lanes lanes_blocks(uint64_t first) {
  return _mm256_add_epi64(lanes_all(first), _mm256_setr_epi64x(0, 2, 1, 3));
}
INLINE word_lanes lanes_product(word_lanes a, word_lanes b) { return _mm256_mul_epu32(a, b); }
INLINE word_lanes lanes_high(word_lanes a) { return _mm256_srli_epi64(a, 32); }
INLINE word_lanes lanes_xor(word_lanes a, word_lanes b, word_lanes c) {
  return _mm256_xor_si256(a, _mm256_xor_si256(b, c));
}
INLINE word_lanes lanes_pair(word_lanes low, word_lanes high) {
  return _mm256_blend_epi32(low, _mm256_slli_epi64(high, 32), 0xaa);
}
INLINE void lanes_put(uint16_t *to, word_lanes a, word_lanes b) {
  _mm256_storeu_si256((__m256i *)(void *)to, _mm256_unpacklo_epi64(a, b));
  _mm256_storeu_si256((__m256i *)(void *)(to + 4 * WORD_LANES), _mm256_unpackhi_epi64(a, b));
}
#endif

typedef struct word_keys {
  word_lanes low[MFQN_RANDOM_ROUNDS], high[MFQN_RANDOM_ROUNDS];
} word_keys;

INLINE word_keys keys_of(uint64_t seed) {
  word_keys k;
  for (uint32_t i = 0; i < MFQN_RANDOM_ROUNDS; ++i) {
    k.low[i] = lanes_all((uint32_t)seed + i * 0x9e3779b9u);
    k.high[i] = lanes_all((uint32_t)(seed >> 32) + i * 0xbb67ae85u);
  }
  return k;
}

/* mfqn_random_block of the WORD_LANES blocks from high * 2^32 + low on; `low` is a multiple of WORD_LANES. */
INLINE void put_blocks(const word_keys *k, uint64_t offset, uint64_t high, uint32_t low, uint16_t *to) {
  const word_lanes m0 = lanes_all(0xd2511f53u), m1 = lanes_all(0xcd9e8d57u);
  word_lanes c0 = lanes_blocks(low), c1 = lanes_all(high), c2 = lanes_all(offset), c3 = lanes_all(offset >> 32);
#pragma GCC unroll 7
  for (int i = 0; i < MFQN_RANDOM_ROUNDS; ++i) {
    const word_lanes p0 = lanes_product(c0, m0), p1 = lanes_product(c2, m1);
    c0 = lanes_xor(lanes_high(p1), c1, k->low[i]);
    c1 = p1;
    c2 = lanes_xor(lanes_high(p0), c3, k->high[i]);
    c3 = p0;
  }
  lanes_put(to, lanes_pair(c0, c1), lanes_pair(c2, c3));
}

#else

enum { WORD_LANES = 1 };
typedef uint64_t word_keys;
INLINE word_keys keys_of(uint64_t seed) { return seed; }
INLINE void put_blocks(const word_keys *k, uint64_t offset, uint64_t high, uint32_t low, uint16_t *to) {
  const mfqn_philox p = mfqn_random_block(*k, offset, high << 32 | low);
  memcpy(to, p.word, sizeof p.word);
}

#endif

/* Whole vectors of blocks, which have one upper half of the counter: what follows from it and from the offset alone is
 * the same for all of them. */
static const uint16_t *draw(mfq_seed seed, uint64_t index, int64_t n, uint16_t *room) {
  enum { STEP = 8 * WORD_LANES };
  const word_keys keys = keys_of(seed.seed);
  const int64_t before = (int64_t)(index % STEP);
  const uint64_t first = (index - (uint64_t)before) / 8;
  for (int64_t i = 0; i < before + n;) {
    const uint64_t high = (first + (uint64_t)i / 8) >> 32;
    for (; i < before + n && (first + (uint64_t)i / 8) >> 32 == high; i += STEP)
      put_blocks(&keys, seed.offset, high, (uint32_t)(first + (uint64_t)i / 8), room + i);
  }
  return room + before;
}

#endif
