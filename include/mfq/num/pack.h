/* num/pack.h: codes to bits and back, and the places of scales in the 128x4 order. */
#ifndef MFQ_NUM_PACK_H
#define MFQ_NUM_PACK_H

#include "hd.h"

/* Packs 8 codes of `bits` bits, one per byte of `bytes` (code 0 lowest), into the low 8*bits bits: a little-endian bit
 * stream. */
MFQ_HD uint64_t mfqn_pack8(uint64_t bytes, int32_t bits) {
  uint64_t x = bytes;
  x = (x & 0x00ff00ff00ff00ffull) | ((x & 0xff00ff00ff00ff00ull) >> (8 - bits));
  x = (x & 0x0000ffff0000ffffull) | ((x & 0xffff0000ffff0000ull) >> (16 - 2 * bits));
  x = (x & 0x00000000ffffffffull) | ((x & 0xffffffff00000000ull) >> (32 - 4 * bits));
  return x;
}

/* The inverse: spreads the low 8*bits bits of `stream` over 8 bytes. */
MFQ_HD uint64_t mfqn_unpack8(uint64_t stream, int32_t bits) {
  const uint64_t m4 = (1ull << (4 * bits)) - 1ull, m2 = ((1ull << (2 * bits)) - 1ull) * 0x0000000100000001ull,
                 m1 = ((1ull << bits) - 1ull) * 0x0001000100010001ull;
  uint64_t x = stream;
  x = (x & m4) | (((x >> (4 * bits)) & m4) << 32);
  x = (x & m2) | (((x >> (2 * bits)) & m2) << 16);
  x = (x & m1) | (((x >> bits) & m1) << 8);
  return x;
}

/* Writes a code of `bits` bits at bit `bit` of a stream whose bits there are 0. */
MFQ_HD void mfqn_put_bits(uint8_t *stream, int64_t bit, int32_t bits, uint32_t code) {
  const uint32_t wide = code << (bit & 7);
  uint8_t *at = stream + (bit >> 3);
  at[0] = (uint8_t)(at[0] | wide);
  if ((bit & 7) + bits > 8) at[1] = (uint8_t)(at[1] | (wide >> 8));
}

MFQ_HD uint32_t mfqn_get_bits(const uint8_t *stream, int64_t bit, int32_t bits) {
  const uint8_t *at = stream + (bit >> 3);
  uint32_t wide = at[0];
  if ((bit & 7) + bits > 8) wide |= (uint32_t)at[1] << 8;
  return (wide >> (bit & 7)) & ((1u << bits) - 1u);
}

/* Writes code `index` of a row of tightly packed codes whose bits there are 0. */
MFQ_HD void mfqn_put_code(uint8_t *row, int64_t index, int32_t bits, uint32_t code) {
  const int64_t bit = index * bits;
  mfqn_put_bits(row, bit, bits, code);
}

MFQ_HD uint32_t mfqn_get_code(const uint8_t *row, int64_t index, int32_t bits) {
  return mfqn_get_bits(row, index * bits, bits);
}

/* Byte of scale (row, col) of a matrix with `cols` columns in tiles of 128 rows x 4 columns, each 512 bytes: within a
 * tile (row mod 32) * 16 + (row / 32) * 4 + col (cuBLAS documentation, "1D block scaling"). */
MFQ_HD int64_t mfqn_scale_128x4(int64_t row, int64_t col, int64_t cols) {
  const int64_t tile = (row / 128) * ((cols + 3) / 4) + col / 4;
  return tile * 512 + (row % 32) * 16 + (row % 128) / 32 * 4 + col % 4;
}

#endif
