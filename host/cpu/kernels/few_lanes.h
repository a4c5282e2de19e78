/* host/cpu/kernels/few_lanes.h: what the loops of few rows have of each instruction set: vectors of f32, and packed codes in
 * their lanes. */
#ifndef MFQ_HOST_CPU_KERNELS_FEW_LANES_H
#define MFQ_HOST_CPU_KERNELS_FEW_LANES_H

#include "codes256.h"
#include "host/cpu/product/few_kernels.h"

#if defined(MFQ_CODES512)
enum { LANES = 16 };
#define MFQ_FEW_SHUFFLES 1
#elif defined(MFQ_CODES256)
enum { LANES = 8 };
#define MFQ_FEW_SHUFFLES 1
#else
enum { LANES = 4 };
#endif

/* A block is 32 elements in so many vectors. */
enum { PARTS = MFQ_FEW_BLOCK / LANES };
typedef float vecf __attribute__((vector_size(4 * LANES)));
typedef int32_t veci __attribute__((vector_size(4 * LANES)));

INLINE vecf load_vec(const float *x) {
  vecf v;
  memcpy(&v, x, sizeof v);
  return v;
}

#if defined(MFQ_CODES512)

INLINE vecf all_of(float x) { return (vecf)_mm512_set1_ps(x); }
INLINE vecf fma_vec(vecf a, vecf b, vecf c) { return (vecf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
INLINE float sum_of(vecf v) { return _mm512_reduce_add_ps((__m512)v); }
INLINE int any_is_negative(veci v) { return _mm512_movepi32_mask((__m512i)v) != 0; }

/* The values of 16 codes. */
typedef vecf nibble_table;
INLINE nibble_table load_nibbles(const uint16_t *values) {
  const __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)values);
  return (vecf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16);
}
/* Even codes, then odd ones: looking up ignores the bits above a code's. */
INLINE void look_up_nibbles(const nibble_table *t, const uint8_t *src, vecf v[PARTS]) {
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)src));
  v[0] = (vecf)_mm512_permutexvar_ps(bytes, (__m512)*t);
  v[1] = (vecf)_mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), (__m512)*t);
}

/* The lane of 32 bits that the bytes of a code are brought to, and to its upper end. */
INLINE veci pick_codes(const mfq_few_picks *p, const uint8_t *src) {
  const __m512i bytes = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)src));
  const __m512i lanes = _mm512_shuffle_epi8(bytes, _mm512_loadu_si512((const void *)p->bytes));
  return (veci)_mm512_sllv_epi32(lanes, _mm512_loadu_si512((const void *)p->left));
}

/* Scales of the lanes of part `i`: of groups of 16 there are two in a block of 32. */
INLINE vecf scale_of_part(const float *scales, int i, int halves, int is_nibbles) {
  if (!halves) return all_of(scales[0]);
  if (!is_nibbles) return all_of(scales[i]);
  return (vecf)_mm512_mask_blend_ps(0xff00, _mm512_set1_ps(scales[0]), _mm512_set1_ps(scales[1]));
}

/* How many parts have equal scales. */
INLINE int alike_parts(int halves, int is_nibbles) { return halves && !is_nibbles ? 1 : PARTS; }

#elif defined(MFQ_CODES256)
INLINE vecf all_of(float x) { return (vecf)_mm256_set1_ps(x); }
#else
INLINE vecf all_of(float x) { return (vecf){x, x, x, x}; }
#endif

#if !defined(MFQ_CODES512)

/* Scales of part `i`: of groups of 16 the first half of the parts has one, the other another. */
INLINE vecf scale_of_part(const float *scales, int i, int halves, int is_nibbles) {
  (void)is_nibbles;
  return all_of(scales[halves && i >= PARTS / 2]);
}
INLINE int alike_parts(int halves, int is_nibbles) {
  (void)is_nibbles;
  return halves ? PARTS / 2 : PARTS;
}

#if defined(MFQ_CODES256)

INLINE vecf fma_vec(vecf a, vecf b, vecf c) { return (vecf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
INLINE float sum_of(vecf v) {
  const __m128 half = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
  const __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}
INLINE int any_is_negative(veci v) { return _mm256_movemask_ps((__m256)v) != 0; }

typedef table256 nibble_table;
INLINE nibble_table load_nibbles(const uint16_t *values) { return load_table(values); }
/* Bytes of values are looked up, woven to bf16 and widened. */
INLINE void look_up_nibbles(const nibble_table *t, const uint8_t *src, vecf v[PARTS]) {
  const __m256i bytes = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)src));
  const __m256i shifted = _mm256_srlv_epi32(bytes, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4));
  const __m256i codes = _mm256_and_si256(shifted, _mm256_set1_epi8(15)), top = _mm256_set1_epi32((int)0xffff0000u);
  const __m256i low = _mm256_shuffle_epi8(t->low, codes), high = _mm256_shuffle_epi8(t->high, codes);
  const __m256i first = _mm256_unpacklo_epi8(low, high), second = _mm256_unpackhi_epi8(low, high);
  v[0] = (vecf)_mm256_slli_epi32(first, 16);
  v[1] = (vecf)_mm256_and_si256(first, top);
  v[2] = (vecf)_mm256_slli_epi32(second, 16);
  v[3] = (vecf)_mm256_and_si256(second, top);
}

INLINE veci pick_codes(const mfq_few_picks *p, const uint8_t *src) {
  const __m256i bytes = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)src));
  const __m256i lanes = _mm256_shuffle_epi8(bytes, _mm256_loadu_si256((const __m256i *)(const void *)p->bytes));
  return (veci)_mm256_sllv_epi32(lanes, _mm256_loadu_si256((const __m256i *)(const void *)p->left));
}

#else

INLINE vecf fma_vec(vecf a, vecf b, vecf c) { return a * b + c; }
INLINE float sum_of(vecf v) { return (v[0] + v[2]) + (v[1] + v[3]); }
INLINE int any_is_negative(veci v) { return (v[0] | v[1] | v[2] | v[3]) < 0; }

#endif
#endif

/* Which element is where in a block: those of nibbles, and of everything else in order. */
#if defined(MFQ_CODES512)
#define MFQ_NIBBLE_ORDER                                                                                               \
  0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#else
#define MFQ_NIBBLE_ORDER                                                                                               \
  0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 16, 20, 24, 28, 17, 21, 25, 29, 18, 22, 26, 30, 19, 23, 27, 31
#endif

#endif
