/* host/cpu/kernels/pack_loops.h: codes to bits and back, and transposition. */
#ifndef MFQ_HOST_CPU_KERNELS_PACK_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_PACK_LOOPS_H

#include "loops.h"
#include "turn_loops.h"

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

/* 8 codes make `bits` bytes: words of 8 codes are packed in one loop and written, each over the tail of the last, in
 * another. */
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

/* A strip of 8 rows of bytes that becomes 8 * lanes columns. */
typedef struct turn {
  uint8_t *dst;
  int64_t dst_ld;
  const uint8_t *src;
  int64_t src_ld;
} turn;

/* Swaps, in each lane, the off-diagonal blocks of `step` bytes of rows k and k + step of an 8 x 8 byte matrix. */
INLINE void swap_blocks(uint64_t (*restrict w)[8], int lanes, int k, int step, uint64_t mask) {
  for (int lane = 0; lane < lanes; ++lane) {
    const uint64_t t = ((w[k][lane] >> (8 * step)) ^ w[k + step][lane]) & mask;
    w[k][lane] ^= t << (8 * step);
    w[k + step][lane] ^= t;
  }
}

/* Transposes `lanes` matrices of 8 x 8 bytes side by side, by swapping ever larger blocks. */
INLINE void turn_strip(turn t, int lanes) {
  uint64_t w[8][8];
  for (int k = 0; k < 8; ++k) memcpy(w[k], t.src + k * t.src_ld, (size_t)lanes * 8);
  for (int k = 0; k < 8; k += 2) swap_blocks(w, lanes, k, 1, 0x00ff00ff00ff00ffull);
  for (int k = 0; k < 8; ++k)
    if ((k & 2) == 0) swap_blocks(w, lanes, k, 2, 0x0000ffff0000ffffull);
  for (int k = 0; k < 4; ++k) swap_blocks(w, lanes, k, 4, 0x00000000ffffffffull);
  for (int lane = 0; lane < lanes; ++lane)
    for (int k = 0; k < 8; ++k) memcpy(t.dst + (lane * 8 + k) * t.dst_ld, &w[k][lane], 8);
}

static void turn8(uint8_t *restrict dst, int64_t dst_ld, const uint8_t *restrict src, int64_t src_ld, int64_t rows,
                  int64_t cols) {
  if (turn_by_blocks((turn_job){dst, dst_ld, src, src_ld, rows, cols}, 8)) return;
  const int64_t whole_rows = rows & ~(int64_t)7, whole_cols = cols & ~(int64_t)7;
  int64_t c = 0;
  for (; c + 64 <= cols; c += 64)
    for (int64_t r = 0; r < whole_rows; r += 8)
      turn_strip((turn){dst + c * dst_ld + r, dst_ld, src + r * src_ld + c, src_ld}, 8);
  for (; c + 32 <= cols; c += 32)
    for (int64_t r = 0; r < whole_rows; r += 8)
      turn_strip((turn){dst + c * dst_ld + r, dst_ld, src + r * src_ld + c, src_ld}, 4);
  for (; c < whole_cols; c += 8)
    for (int64_t r = 0; r < whole_rows; r += 8)
      turn_strip((turn){dst + c * dst_ld + r, dst_ld, src + r * src_ld + c, src_ld}, 1);
  for (int64_t r = 0; r < rows; ++r)
    for (c = r < whole_rows ? whole_cols : 0; c < cols; ++c) dst[c * dst_ld + r] = src[r * src_ld + c];
}

#endif
