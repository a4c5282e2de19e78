/* tools/finite_count.c: most blocks have nothing to count, which is soon seen. */
#include "finite_count.h"

#include <string.h>

enum { BLOCK_BYTES = 4096 };

/* Bits of infinity; above it are NaN. */
static uint32_t infinity_of(mfq_dtype dtype) {
  return dtype == MFQ_DTYPE_F32 ? 0x7f800000u : dtype == MFQ_DTYPE_BF16 ? 0x7f80u : 0x7c00u;
}

static uint32_t read_bits(const unsigned char *data, size_t index, size_t width) {
  uint32_t word = 0;
  uint16_t half = 0;
  if (width == sizeof word)
    memcpy(&word, data + index * sizeof word, sizeof word);
  else
    memcpy(&half, data + index * sizeof half, sizeof half);
  return width == sizeof word ? word & 0x7fffffffu : half & 0x7fffu;
}

/* Adding `step` to the bits of a magnitude that is infinite or NaN, and to no other, sets the highest bit. The number of
 * elements is constant, so that the compiler's vectors take them all. */
static int any_word(const unsigned char *data, uint32_t step) {
  uint32_t seen = 0;
  for (int i = 0; i < BLOCK_BYTES / 4; ++i) {
    uint32_t bits;
    memcpy(&bits, data + 4 * i, sizeof bits);
    seen |= (bits & 0x7fffffffu) + step;
  }
  return seen >> 31 != 0;
}

static int any_half(const unsigned char *data, uint16_t step) {
  uint16_t seen = 0;
  for (int i = 0; i < BLOCK_BYTES / 2; ++i) {
    uint16_t bits;
    memcpy(&bits, data + 2 * i, sizeof bits);
    seen |= (uint16_t)((bits & 0x7fffu) + step);
  }
  return seen >> 15 != 0;
}

void finite_count_add(finite_count *c, const void *data, size_t bytes) {
  const uint32_t infinity = infinity_of(c->dtype);
  const size_t width = mfq_dtype_bytes(c->dtype);
  for (size_t at = 0; at < bytes; at += BLOCK_BYTES) {
    const unsigned char *block = (const unsigned char *)data + at;
    const size_t left = bytes - at, elements = (left < BLOCK_BYTES ? left : BLOCK_BYTES) / width;
    const int any = left < BLOCK_BYTES || (width == 4 ? any_word(block, 0x80000000u - infinity)
                                                      : any_half(block, (uint16_t)(0x8000u - infinity)));
    if (!any) continue;
    for (size_t i = 0; i < elements; ++i) {
      uint32_t bits = read_bits(block, i, width);
      c->infinite += bits == infinity;
      c->nan += bits > infinity;
    }
  }
}
