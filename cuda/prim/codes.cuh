/* cuda/prim/codes.cuh: 16 codes of a thread, one a byte, to and from their packed form in memory. */
#ifndef MFQ_CUDA_PRIM_CODES_CUH
#define MFQ_CUDA_PRIM_CODES_CUH

#include <mfq/num/pack.h>

#include "ptx.cuh"

/* Code i is byte i. */
struct codes16 {
  uint32_t word[4];
};

/* Four codes of `bits` bits, packed into the low 4 * bits. */
__device__ __forceinline__ uint32_t thread_pack4(uint32_t bytes, int32_t bits) {
  const uint32_t pairs = (bytes & 0x00ff00ffu) | (bytes & 0xff00ff00u) >> (8 - bits);
  return (pairs & 0xffffu) | pairs >> 16 << 2 * bits;
}

/* The inverse. */
__device__ __forceinline__ uint32_t thread_unpack4(uint32_t packed, int32_t bits) {
  const uint32_t two = (1u << 2 * bits) - 1u, one = ((1u << bits) - 1u) * 0x00010001u;
  const uint32_t pairs = (packed & two) | (packed >> 2 * bits & two) << 16;
  return (pairs & one) | (pairs >> bits & one) << 8;
}

/* 16 codes of 4, 6 or 8 bits as they are packed in memory, at a multiple of 8, 4 or 16 bytes. */
__device__ __forceinline__ void thread_load_words(const uint8_t *from, int32_t bits, uint32_t *word) {
  if (bits == 8) {
    const uint4 v = ptx_load<uint4>(from);
    word[0] = v.x;
    word[1] = v.y;
    word[2] = v.z;
    word[3] = v.w;
  } else if (bits == 4) {
    const uint2 v = ptx_load<uint2>(from);
    word[0] = v.x;
    word[1] = v.y;
  } else {
#pragma unroll
    for (int i = 0; i < 3; ++i) word[i] = ptx_load<uint32_t>(from + 4 * i);
  }
}

/* All 16 as a little-endian bit stream of 2 * bits bytes; words beyond it are 0. */
__device__ __forceinline__ codes16 thread_pack(const codes16 &c, int32_t bits) {
  if (bits == 8) return c;
  codes16 out = {{0u, 0u, 0u, 0u}};
  if (bits == 4) { /* the nibbles of a word move together, then its even bytes */
    out.word[0] = ptx_permute(c.word[0] | c.word[0] >> 4, c.word[1] | c.word[1] >> 4, 0x6420u);
    out.word[1] = ptx_permute(c.word[2] | c.word[2] >> 4, c.word[3] | c.word[3] >> 4, 0x6420u);
    return out;
  }
  const int32_t half = 8 * bits; /* bits of 8 codes */
  const uint64_t low = thread_pack4(c.word[0], bits) | (uint64_t)thread_pack4(c.word[1], bits) << 4 * bits;
  const uint64_t high = thread_pack4(c.word[2], bits) | (uint64_t)thread_pack4(c.word[3], bits) << 4 * bits;
  const uint64_t first = half < 64 ? low | high << half : low, rest = half < 64 ? high >> (64 - half) : high;
  out.word[0] = (uint32_t)first;
  out.word[1] = (uint32_t)(first >> 32);
  out.word[2] = (uint32_t)rest;
  out.word[3] = (uint32_t)(rest >> 32);
  return out;
}

/* Byte i of a packed chunk; i is known when the loop around it is unrolled. */
__device__ __forceinline__ uint8_t thread_byte(const codes16 &packed, int i) {
  return (uint8_t)(packed.word[i / 4] >> i % 4 * 8);
}

/* Writes `bytes` bytes of a packed chunk. */
__device__ __forceinline__ void thread_store_bytes(uint8_t *to, const codes16 &packed, int bytes) {
#pragma unroll
  for (int i = 0; i < 16; ++i)
    if (i < bytes) ptx_store<uint8_t>(to + i, thread_byte(packed, i));
}

/* The first `count` codes, and 0 for those behind, which stand for no element: they would become bits that pad. */
__device__ __forceinline__ codes16 thread_first_codes(const codes16 &c, int count) {
  codes16 first;
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const int kept = count - 4 * k;
    first.word[k] = kept >= 4 ? c.word[k] : kept > 0 ? c.word[k] & ((1u << 8 * kept) - 1u) : 0u;
  }
  return first;
}

/* Writes the first `count` codes at `to`. `is_aligned`: `to` is a multiple of 16 bytes for 8 bits, of 8 for 4 and of 4
 * for 6. */
__device__ __forceinline__ void thread_store_codes(uint8_t *to, const codes16 &c, int32_t bits, int count,
                                                   int is_aligned) {
  if (!is_aligned || count < 16) {
    thread_store_bytes(to, thread_pack(thread_first_codes(c, count), bits), (count * bits + 7) / 8);
    return;
  }
  const codes16 packed = thread_pack(c, bits);
  if (bits == 8)
    ptx_store<uint4>(to, make_uint4(packed.word[0], packed.word[1], packed.word[2], packed.word[3]));
  else if (bits == 4)
    ptx_store<uint2>(to, make_uint2(packed.word[0], packed.word[1]));
  else /* 6: others have no wide stores */
    for (int k = 0; k < 3; ++k) ptx_store<uint32_t>(to + 4 * k, packed.word[k]);
}

#endif
