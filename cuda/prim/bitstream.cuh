/* cuda/prim/bitstream.cuh: codes at any bit of memory, and the eight codes that fill whole bytes together. */
#ifndef MFQ_CUDA_PRIM_BITSTREAM_CUH
#define MFQ_CUDA_PRIM_BITSTREAM_CUH

#include "divide.cuh"

/* Codes are written in chunks of 8, which are `bits` bytes, so that every byte belongs to one thread. Rows are whole
 * bytes; codes without padding between their rows are one row. */
typedef struct chunk_rows {
  uint8_t *codes;
  int32_t bits;         /* of a stored code */
  int64_t count;        /* chunks of all rows */
  int64_t codes_of_row; /* codes of a row, */
  int64_t bytes_of_row; /* and its bytes, padding included */
  divisor64 chunks_of_row;
} chunk_rows;

/* A chunk: its first code, counted over all rows, how many codes there are (0: padding only), and its bytes. */
typedef struct chunk_span {
  int64_t first, byte;
  int32_t codes, bytes;
} chunk_span;

__device__ __forceinline__ chunk_span thread_chunk_at(const chunk_rows &r, int64_t index) {
  const int64_t row = thread_divide(index, r.chunks_of_row);
  const int64_t chunk = index - row * (int64_t)r.chunks_of_row.value;
  const int64_t codes = r.codes_of_row - chunk * 8, bytes = r.bytes_of_row - chunk * r.bits;
  chunk_span at;
  at.first = row * r.codes_of_row + chunk * 8;
  at.byte = row * r.bytes_of_row + chunk * r.bits;
  at.codes = codes >= 8 ? 8 : codes > 0 ? (int32_t)codes : 0;
  at.bytes = bytes >= r.bits ? r.bits : (int32_t)bytes;
  return at;
}

/* Writes the low bytes of `word`, as wide as the address allows. */
__device__ __forceinline__ void thread_store_word(uint8_t *to, uint64_t word, int32_t bytes) {
  const uintptr_t address = (uintptr_t)to;
  if (bytes == 8 && address % 8 == 0)
    ptx_store<uint2>(to, make_uint2((uint32_t)word, (uint32_t)(word >> 32)));
  else if (bytes == 4 && address % 4 == 0)
    ptx_store<uint32_t>(to, (uint32_t)word);
  else if (bytes % 2 == 0 && address % 2 == 0)
    for (int32_t i = 0; i < bytes; i += 2) ptx_store<uint16_t>(to + i, (uint16_t)(word >> 8 * i));
  else
    for (int32_t i = 0; i < bytes; ++i) ptx_store<uint8_t>(to + i, (uint8_t)(word >> 8 * i));
}

/* The `bits` bits from bit `bit` on. */
__device__ __forceinline__ uint32_t thread_load_bits(const uint8_t *stream, int64_t bit, int32_t bits) {
  const uint8_t *at = stream + (bit >> 3);
  const int32_t below = (int32_t)(bit & 7);
  uint32_t wide = ptx_load<uint8_t>(at);
  if (below + bits > 8) wide |= (uint32_t)ptx_load<uint8_t>(at + 1) << 8;
  return (wide >> below) & ((1u << bits) - 1u);
}

#endif
