/* prim/widen.cuh: 16 codes of a thread to bf16, two at a time, times the scale of their group.
 *
 * Exponent and mantissa of a code are put into the fields of a bf16, and one packed multiplication repairs the bias and
 * carries a power-of-two scale: 2.4 instructions a code of 4 bits, 2.3 of 8, 3.2 of 6 (thread_pairs_apart), subnormals
 * included. Integers become the last bits of 128 + x, from which a packed addition takes what they had too much. */
#ifndef MFQ_CUDA_PRIM_WIDEN_CUH
#define MFQ_CUDA_PRIM_WIDEN_CUH

#include "slots.cuh"

/* What becomes of a code's bits. Pairs of codes stand at the top of the halves of a word first. */
typedef struct widen_format {
  int32_t bits;       /* of a stored code: 4, 6, 8 */
  int32_t up;         /* from the top of a stored code to the top of the code in it */
  int32_t is_integer; /* two's complement, or unsigned of at most 7 bits */
  int32_t shift;      /* down to the fields of a bf16, or to the lowest bit */
  uint32_t sign_mask; /* twice: of the code at the top; integers: at the bottom */
  uint32_t field_mask;
  int32_t exp2; /* what a code's fields, read as a bf16 or as an integer, lack of their value */
  /* Codes that are no numbers, as fields, twice. */
  int32_t has_specials;
  uint32_t special_from, nan_from; /* WIDEN_RANGE: infinity and NaN begin there; WIDEN_LONE: -0 is the one NaN */
  int32_t has_zero_point;
  int32_t scale;   /* MFQN_SCALE_* of the group scales; NONE where they are factors of a whole row */
  int32_t is_vast; /* some scales make values that are to be limited */
} widen_format;

enum { WIDEN_RANGE = 1, WIDEN_LONE = 2 };
enum { WIDEN_ONE = 0x3f803f80 };

/* 16 bf16, two in a word, the first one low. */
struct widen16 {
  uint32_t word[8];
};

/* What multiplies fields: the bias and a group scale, as two bf16, each twice in a word. */
typedef struct widen_scale {
  uint32_t first, second; /* WIDEN_ONE: nothing to multiply */
  uint32_t minus_zero_point;
} widen_scale;

__device__ __forceinline__ uint32_t thread_twice(uint32_t f32) { return (f32 >> 16) * 0x00010001u; }

/* 2^exp2, -252 ... 254, in two factors that are normal numbers. Times the first one alone no value overflows: fields are
 * below 2, integers below 2^8. */
__device__ __forceinline__ widen_scale thread_widen_power(const widen_format &f, int32_t exp2) {
  const int32_t first = mfqn_clamp(exp2, -126, f.is_integer ? 119 : 127);
  return widen_scale{(uint32_t)(first + 127) * 0x00800080u, (uint32_t)(exp2 - first + 127) * 0x00800080u, 0u};
}

/* For group scales that are powers of two, UE4M3, or absent (the power of two 127): others do not fit into a bf16. */
__device__ __forceinline__ widen_scale thread_widen_scale(const widen_format &f, uint32_t stored) {
  if (f.scale == MFQN_SCALE_UE4M3) {
    widen_scale s = thread_widen_power(f, f.exp2);
    s.second = thread_twice(mfqn_ue4m3_value(stored)); /* formats that go with it need no second factor */
    return s;
  }
  widen_scale s = thread_widen_power(f, f.exp2 + (int32_t)stored - 127);
  if (stored == 255u) s.first = thread_twice(MFQN_NAN);
  return s;
}

__device__ __forceinline__ void thread_widen_zero_point(widen_scale *s, int32_t zero_point) {
  s->minus_zero_point = thread_twice(mfqn_bits((float)-zero_point)); /* exact: at most 8 bits */
}

/* --- pairs of codes at the top of halves --- */

/* The 2 * BITS bits from bit `bit` on, in the low ones; above them anything. */
template <int BITS> __device__ __forceinline__ uint32_t thread_two_codes(const uint32_t *stream, int bit) {
  const int word = bit / 32, below = bit % 32;
  uint32_t two = stream[word] >> below;
  if (below + 2 * BITS > 32) two |= stream[word + 1] << (32 - below);
  return two;
}

/* Word p has codes 2p and 2p+1 of a stream of 16. */
template <int BITS> __device__ __forceinline__ widen16 thread_pairs_in_order(const uint32_t *stream) {
  const uint32_t low = (0xffffu << (16 - BITS)) & 0xffffu;
  widen16 t;
#pragma unroll
  for (int p = 0; p < 8; ++p) {
    const uint32_t two = thread_two_codes<BITS>(stream, 2 * BITS * p);
    t.word[p] = (two << (16 - BITS) & low) | (two << (32 - 2 * BITS) & low << 16);
  }
  return t;
}

/* How far the two codes of a word are apart below, where that needs the fewest steps. */
template <int BITS> inline constexpr int PAIR_DISTANCE = BITS == 4 ? 4 : BITS == 8 ? 2 : 8;

/* The first code of word p; the second is PAIR_DISTANCE further. */
template <int BITS> __device__ constexpr int thread_first_of_pair(int p) {
  constexpr int apart = PAIR_DISTANCE<BITS>;
  return p / apart * 2 * apart + p % apart;
}

/* Word p has the codes thread_first_of_pair(p) and the one PAIR_DISTANCE behind it, at the top of its halves; below
 * them is anything. */
template <int BITS> __device__ __forceinline__ widen16 thread_pairs_apart(const uint32_t *stream) {
  widen16 t;
  if constexpr (BITS == 6) {
    /* Codes i and i + 8 are three halves apart: of the halves h0 ... h5 a word has one and the one three on. */
    const uint32_t h0 = ptx_permute(stream[0], stream[1], 0x7610u), h1 = ptx_permute(stream[0], stream[2], 0x5432u),
                   h2 = ptx_permute(stream[1], stream[2], 0x7610u);
    const uint32_t second = (h0 >> 12 & 0x000f000fu) | (h1 << 4 & 0x00300030u);
    const uint32_t fifth = (h1 >> 14 & 0x00030003u) | (h2 << 2 & 0x003c003cu);
    t.word[0] = h0 << 10;
    t.word[1] = h0 << 4;
    t.word[2] = second << 10;
    t.word[3] = h1 << 8;
    t.word[4] = h1 << 2;
    t.word[5] = fifth << 10;
    t.word[6] = h2 << 6;
    t.word[7] = h2;
  } else {
    constexpr int each = PAIR_DISTANCE<BITS>; /* words of a word of the stream */
#pragma unroll
    for (int p = 0; p < 8; ++p) t.word[p] = stream[p / each] << (16 - BITS - BITS * (p % each));
  }
  return t;
}

/* --- to bf16 --- */

/* 0x8000 in the halves whose fields are at least those of `from`. */
__device__ __forceinline__ uint32_t thread_at_least(const widen_format &f, uint32_t fields, uint32_t from) {
  return ((fields & f.field_mask) + (0x80008000u - from)) & 0x80008000u;
}

/* 0x8000 in the halves that are no number, and perhaps in others. */
__device__ __forceinline__ uint32_t thread_suspects(const widen_format &f, uint32_t fields) {
  if (f.has_specials == WIDEN_RANGE) return thread_at_least(f, fields, f.special_from);
  const uint32_t rest = fields ^ 0x80008000u; /* 0 where the half is -0 */
  return (rest - 0x00010001u) & ~rest & 0x80008000u;
}

/* Sets the halves that are no numbers to infinity or NaN. */
__device__ __forceinline__ uint32_t thread_widen_special(const widen_format &f, uint32_t fields) {
  if (f.has_specials == WIDEN_LONE) {
    const uint32_t low = (fields & 0xffffu) == 0x8000u ? 0x7fffu : 0u;
    return fields | low | (fields >> 16 == 0x8000u ? 0x7fff0000u : 0u);
  }
  const uint32_t special = thread_at_least(f, fields, f.special_from), nan = thread_at_least(f, fields, f.nan_from);
  const uint32_t every = special - (special >> 15), not_infinite = nan - (nan >> 15); /* 0x7fff where they are */
  return (fields & ~every) | (every & 0x7f807f80u) | not_infinite;
}

__device__ __forceinline__ void thread_widen_integers(const widen_format &f, const widen_scale &s, widen16 *t) {
#pragma unroll
  for (int p = 0; p < 8; ++p) {
    const uint32_t low = t->word[p] >> f.shift;
    t->word[p] = ptx_bf16x2_add((low & f.field_mask) | 0x43004300u, (low & f.sign_mask) | 0xc300c300u);
    if (f.has_zero_point) t->word[p] = ptx_bf16x2_add(t->word[p], s.minus_zero_point);
  }
}

template <bool CAN_BE_SPECIAL> __device__ __forceinline__ void thread_widen_fields(const widen_format &f, widen16 *t) {
#pragma unroll
  for (int p = 0; p < 8; ++p) t->word[p] = (t->word[p] & f.sign_mask) | (t->word[p] >> f.shift & f.field_mask);
  if constexpr (CAN_BE_SPECIAL) {
    if (!f.has_specials) return;
    uint32_t found = 0;
#pragma unroll
    for (int p = 0; p < 8; ++p) found |= thread_suspects(f, t->word[p]);
    if (!found) return;
#pragma unroll
    for (int p = 0; p < 8; ++p) t->word[p] = thread_widen_special(f, t->word[p]);
  }
}

/* Whether a half is infinite or NaN. */
__device__ __forceinline__ uint32_t thread_any_special(uint32_t pair) {
  return ((pair & 0x7f807f80u) + 0x00800080u) & 0x80008000u;
}

/* Products of the halves of two words: those of finite numbers become at most the largest finite one. */
__device__ __forceinline__ uint32_t thread_limit_pair(uint32_t product, uint32_t a, uint32_t b) {
  const uint32_t finite = thread_any_special(product) & ~(thread_any_special(a) | thread_any_special(b));
  return product - (finite >> 15); /* from infinity to the number below it */
}

/* Which formats a kernel can do without the code for: 8 bits have all. */
template <int BITS> inline constexpr bool WIDEN_SPECIALS = BITS == 8;
template <int BITS> inline constexpr bool WIDEN_INTEGERS = BITS != 6;
__device__ __host__ __forceinline__ int widen_is_common(const widen_format &f) {
  return (f.bits == 8 || !f.has_specials) && (f.bits != 6 || !f.is_integer);
}

/* ROWS times pairs of codes to values, in place, each with a scale. BITS 8 takes every format, others those that are
 * common. */
template <int BITS, int ROWS>
__device__ __forceinline__ void thread_widen(const widen_format &f, const widen_scale *s, widen16 *t) {
  uint32_t beyond = 0;
#pragma unroll
  for (int r = 0; r < ROWS; ++r) beyond |= s[r].second ^ WIDEN_ONE;
  if (BITS == 8 && f.up) {
#pragma unroll
    for (int i = 0; i < 8 * ROWS; ++i) t[i / 8].word[i % 8] <<= f.up;
  }
  if (WIDEN_INTEGERS<BITS> && f.is_integer) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) thread_widen_integers(f, s[r], &t[r]);
  } else {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) thread_widen_fields<WIDEN_SPECIALS<BITS>>(f, &t[r]);
  }
#pragma unroll
  for (int i = 0; i < 8 * ROWS; ++i) t[i / 8].word[i % 8] = ptx_bf16x2_multiply(t[i / 8].word[i % 8], s[i / 8].first);
  if (!beyond) return;
  if (!f.is_vast) {
#pragma unroll
    for (int i = 0; i < 8 * ROWS; ++i)
      t[i / 8].word[i % 8] = ptx_bf16x2_multiply(t[i / 8].word[i % 8], s[i / 8].second);
    return;
  }
#pragma unroll
  for (int i = 0; i < 8 * ROWS; ++i) {
    uint32_t &word = t[i / 8].word[i % 8];
    word = thread_limit_pair(ptx_bf16x2_multiply(word, s[i / 8].second), word, s[i / 8].second);
  }
}

#endif
