/* host/cpu/kernels/widen_loops.h: rows of codes to bf16 at the speed of memory. */
#ifndef MFQ_HOST_CPU_KERNELS_WIDEN_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_WIDEN_LOOPS_H

#include "codes256.h"
#include "pack_loops.h"

/* What a power-of-two scale adds to the bits of a finite value that is not 0; only within w->lo ... w->hi. */
INLINE uint16_t scale_step(const mfq_widen *w, uint8_t scale) {
  return w->is_ue8m0 ? (uint16_t)((scale - 127) * 128) : (uint16_t)0;
}

INLINE uint16_t add_step(uint16_t value, uint16_t step) {
  const uint16_t below = (uint16_t)((value & 0x7fff) - 1); /* of 0 the largest, so that only finite values pass */
  return (uint16_t)(value + (below < 0x7f7f ? step : 0));
}

/* Scales near the ends of bf16's range, element by element. */
static void widen_general(const mfq_widen *w, const uint8_t *codes, int64_t n, uint8_t scale, uint16_t *dst) {
  const mfqn_group g = mfqn_group_load(&w->scheme, scale, 1.0f);
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t code = codes[i] & ((1u << w->scheme.bits) - 1u);
    dst[i] = (uint16_t)mfqn_bf16_limited(mfqn_decode(&w->scheme, &g, code));
  }
}

#ifdef MFQ_CODES256
/* Blocks of 16 minifloats of a byte that are plain; returns how many codes there are before a block with another one. */
INLINE int64_t widen_plain(const mfq_widen *w, const uint8_t *codes, int64_t n, uint16_t step, uint16_t *restrict dst) {
  const table256 t = load_table(w->value);
  const __m128i shift = _mm_cvtsi32_si128(w->plain_shift);
  const __m256i bias = _mm256_set1_epi16((int16_t)w->plain_bias), steps = _mm256_set1_epi16((int16_t)step);
  const __m256i last = _mm256_set1_epi16((int16_t)w->plain_last);
  const __m256i tabled = _mm256_set1_epi16((int16_t)(w->plain_normal - 1)), zero = _mm256_setzero_si256();
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i code = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(codes + i)));
    const __m256i magnitude = _mm256_and_si256(code, _mm256_set1_epi16(0x7f));
    if (_mm256_movemask_epi8(_mm256_cmpgt_epi16(magnitude, last)) != 0) break;
    const __m256i normals = _mm256_add_epi16(_mm256_sll_epi16(magnitude, shift), bias);
    const __m256i value = _mm256_blendv_epi8(look_up(&t, magnitude), normals, _mm256_cmpgt_epi16(magnitude, tabled));
    const __m256i scaled = _mm256_add_epi16(value, _mm256_andnot_si256(_mm256_cmpeq_epi16(magnitude, zero), steps));
    const __m256i sign = _mm256_slli_epi16(_mm256_sub_epi16(code, magnitude), 8);
    _mm256_storeu_si256((__m256i *)(void *)(dst + i), _mm256_or_si256(scaled, sign));
  }
  return i;
}

/* Blocks of 16 integers of a byte, which are float32 numbers on their way. */
INLINE int64_t widen_integers(const uint8_t *codes, int64_t n, float unit, uint16_t *restrict dst) {
  const __m256 units = _mm256_set1_ps(unit);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m128i code = _mm_loadu_si128((const __m128i *)(const void *)(codes + i));
    const __m256i low = _mm256_cvtepi8_epi32(code), high = _mm256_cvtepi8_epi32(_mm_srli_si128(code, 8));
    const __m256i first = _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(low), units));
    const __m256i second = _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(high), units));
    const __m256i words = _mm256_packus_epi32(_mm256_srli_epi32(first, 16), _mm256_srli_epi32(second, 16));
    _mm256_storeu_si256((__m256i *)(void *)(dst + i), _mm256_permute4x64_epi64(words, 0xd8));
  }
  return i;
}

/* Blocks of 16 codes below 16, one a byte, of which these are the values. */
INLINE int64_t widen_nibbles(const uint16_t *values, const uint8_t *codes, int64_t n, uint16_t *restrict dst) {
  const table256 t = load_table(values);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i code = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(codes + i)));
    _mm256_storeu_si256((__m256i *)(void *)(dst + i), look_up(&t, code));
  }
  return i;
}

INLINE int64_t widen_blocks(const mfq_widen *w, const uint8_t *codes, int64_t n, uint16_t step, uint16_t *dst) {
  if (w->plain_normal > 0) return widen_plain(w, codes, n, step, dst);
  /* The value of code 1, times the scale. */
  const float unit = mfqn_float_of((uint32_t)(uint16_t)(w->value[1] + step) << 16);
  return w->is_plain_integer ? widen_integers(codes, n, unit, dst) : 0;
}
#else
INLINE int64_t widen_nibbles(const uint16_t *values, const uint8_t *codes, int64_t n, uint16_t *dst) {
  return (void)values, (void)codes, (void)n, (void)dst, 0;
}

INLINE int64_t widen_blocks(const mfq_widen *w, const uint8_t *codes, int64_t n, uint16_t step, uint16_t *dst) {
  return (void)w, (void)codes, (void)n, (void)step, (void)dst, 0;
}
#endif

/* Codes of a byte under a scale within w->lo ... w->hi. */
static void widen_bytes(const mfq_widen *w, const uint8_t *codes, int64_t n, uint8_t scale, uint16_t *restrict dst) {
  const uint16_t step = scale_step(w, scale);
  for (int64_t i = 0; i < n;) {
    i += widen_blocks(w, codes + i, n - i, step, dst + i);
    const int64_t end = n - i < 16 ? n : i + 16; /* a block with codes that are not plain, or the rest */
    for (; i < end; ++i) dst[i] = add_step(w->value[codes[i]], step);
  }
}

/* Codes that share a scale, at most MFQ_CHUNK. */
static void widen_run(const mfq_widen *w, const uint8_t *src, int64_t n, uint8_t scale, uint16_t *restrict dst) {
  uint8_t room[MFQ_CHUNK + 8];
  const uint8_t *codes = w->bits == 8 ? src : room;
  if (w->bits != 8) unpack(room, src, n, w->bits);
  if (w->bits == 4) {
    const uint16_t *values = w->scaled[scale];
    for (int64_t i = widen_nibbles(values, codes, n, dst); i < n; ++i) dst[i] = values[codes[i]];
  } else if (scale < w->lo || scale > w->hi) {
    widen_general(w, codes, n, scale, dst);
  } else {
    widen_bytes(w, codes, n, scale, dst);
  }
}

static void widen_runs(const mfq_widen *w, const uint8_t *src, const uint8_t *scales, int64_t n, uint16_t *dst) {
  for (int64_t i = 0, k = 0; i < n; i += w->group, ++k) {
    const int64_t left = n - i, run = left < w->group ? left : w->group;
    widen_run(w, src + i * w->bits / 8, run, scales[k], dst + i);
  }
}

#ifdef MFQ_CODES512

INLINE void store_block(uint16_t *dst, __m512i v, int stream) {
  if (stream)
    _mm512_stream_si512((void *)dst, v);
  else
    _mm512_storeu_si512((void *)dst, v);
}

typedef struct block_kind {
  int bits, stream;
} block_kind;

/* Whole blocks of 32 codes of one scale. */
INLINE void widen_table(const table512 *t, const uint8_t *src, int64_t blocks, uint16_t step, uint16_t *dst,
                        block_kind kind) {
  const int bits = kind.bits;
  for (int64_t b = 0; b < blocks; ++b) {
    __m512i v = look_up(t, codes_of(src + b * 4 * bits, bits), bits);
    if (bits != 4) { /* the tables of 4 bits are scaled already */
      const __m512i magnitude = _mm512_and_si512(v, _mm512_set1_epi16(0x7fff));
      const __m512i below = _mm512_sub_epi16(magnitude, _mm512_set1_epi16(1));
      const __mmask32 finite = _mm512_cmplt_epu16_mask(below, _mm512_set1_epi16(0x7f7f));
      v = _mm512_mask_add_epi16(v, finite, v, _mm512_set1_epi16((int16_t)step));
    }
    store_block(dst + b * 32, v, kind.stream);
  }
}

INLINE void widen_groups(const mfq_widen *w, const uint8_t *src, const uint8_t *scales, int64_t n, uint16_t *dst,
                         int bits) {
  table512 t = load_table(w->value, bits);
  for (int64_t i = 0, k = 0; i < n; i += w->group, ++k) {
    const int64_t left = n - i, run = left < w->group ? left : w->group, whole = run & ~(int64_t)31;
    const uint8_t *at = src + i * bits / 8, scale = scales[k];
    if (bits != 4 && (scale < w->lo || scale > w->hi)) {
      widen_run(w, at, run, scale, dst + i);
      continue;
    }
    if (bits == 4) t = load_table(w->scaled[scale], 4);
    widen_table(&t, at, whole / 32, scale_step(w, scale), dst + i, (block_kind){bits, w->stream});
    if (whole < run) widen_run(w, at + whole * bits / 8, run - whole, scale, dst + i + whole);
  }
}

/* 4 bits in groups of 16: two tables of 16 in one register. */
static void widen_groups_of_16(const mfq_widen *w, const uint8_t *src, const uint8_t *scales, int64_t n,
                               uint16_t *dst) {
  const __m512i upper = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(16), 1);
  const int64_t whole = n & ~(int64_t)31;
  for (int64_t i = 0; i < whole; i += 32) {
    const uint16_t *first = w->scaled[scales[i / 16]], *second = w->scaled[scales[i / 16 + 1]];
    const __m512i table =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)first)),
                           _mm256_loadu_si256((const __m256i *)(const void *)second), 1);
    const __m512i codes = _mm512_or_si512(codes_of_4(src + i / 2), upper);
    store_block(dst + i, _mm512_permutexvar_epi16(codes, table), w->stream);
  }
  if (whole < n) widen_runs(w, src + whole / 2, scales + whole / 16, n - whole, dst + whole);
}

static void widen(const mfq_widen *w, const uint8_t *src, const uint8_t *scales, int64_t n, uint16_t *dst) {
  if (w->bits == 4 && w->group == 16)
    widen_groups_of_16(w, src, scales, n, dst);
  else if (w->group % 32 != 0)
    widen_runs(w, src, scales, n, dst);
  else if (w->bits == 4)
    widen_groups(w, src, scales, n, dst, 4);
  else if (w->bits == 6)
    widen_groups(w, src, scales, n, dst, 6);
  else
    widen_groups(w, src, scales, n, dst, 8);
}

#else

static void widen(const mfq_widen *w, const uint8_t *src, const uint8_t *scales, int64_t n, uint16_t *dst) {
  widen_runs(w, src, scales, n, dst);
}

#endif

/* ---- A scale for each element ------------------------------------------------------------------------------------ */

static void widen_each_of(const mfq_widen *w, const uint8_t *codes, const uint8_t *scales, int64_t n, uint16_t *dst) {
  for (int64_t i = 0; i < n; ++i) {
    const uint8_t scale = scales[i];
    if (w->bits == 4)
      dst[i] = w->scaled[scale][codes[i]];
    else if (scale < w->lo || scale > w->hi)
      widen_general(w, codes + i, 1, scale, dst + i);
    else
      dst[i] = add_step(w->value[codes[i]], scale_step(w, scale));
  }
}

#ifdef MFQ_CODES512
/* Returns 0 where a scale lies beyond those for which steps can be added. */
INLINE int widen_each_block(const mfq_widen *w, const table512 *t, const uint8_t *src, const uint8_t *scales,
                            uint16_t *dst, int bits) {
  const __m512i scale = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)scales));
  const __m512i above = _mm512_sub_epi16(scale, _mm512_set1_epi16((int16_t)w->lo));
  if (_mm512_cmpgt_epu16_mask(above, _mm512_set1_epi16((int16_t)(w->hi - w->lo)))) return 0;
  const __m512i steps = _mm512_slli_epi16(_mm512_sub_epi16(scale, _mm512_set1_epi16(127)), 7);
  const __m512i v = look_up(t, codes_of(src, bits), bits);
  const __m512i below = _mm512_sub_epi16(_mm512_and_si512(v, _mm512_set1_epi16(0x7fff)), _mm512_set1_epi16(1));
  const __mmask32 finite = _mm512_cmplt_epu16_mask(below, _mm512_set1_epi16(0x7f7f));
  _mm512_storeu_si512(dst, _mm512_mask_add_epi16(v, finite, v, steps));
  return 1;
}

INLINE int64_t widen_each_blocks(const mfq_widen *w, const uint8_t *src, const uint8_t *scales, int64_t n,
                                 uint16_t *dst, int bits) {
  const table512 t = load_table(w->value, bits);
  int64_t i = 0;
  while (i + 32 <= n && widen_each_block(w, &t, src + i * bits / 8, scales + i, dst + i, bits)) i += 32;
  return i;
}
#endif

static void widen_each(const mfq_widen *w, const uint8_t *src, const uint8_t *scales, int64_t n, uint16_t *dst) {
  uint8_t codes[MFQ_CHUNK + 8];
  int64_t done = 0;
#ifdef MFQ_CODES512
  if (w->is_ue8m0 && w->bits == 4)
    done = widen_each_blocks(w, src, scales, n, dst, 4);
  else if (w->is_ue8m0 && w->bits == 6)
    done = widen_each_blocks(w, src, scales, n, dst, 6);
  else if (w->is_ue8m0)
    done = widen_each_blocks(w, src, scales, n, dst, 8);
#endif
  unpack(codes, src + done * w->bits / 8, n - done, w->bits);
  widen_each_of(w, codes, scales + done, n - done, dst + done);
}

#endif
