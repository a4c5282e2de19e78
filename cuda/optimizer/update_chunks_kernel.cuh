/* cuda/optimizer/update_chunks_kernel.cuh: updates of 16 neighbouring elements a thread: everything is read once, and written once.
 *
 * Moments that are codes have groups of 16 * 2^k elements, which one thread has, or 2^k lanes of a warp: decoded, updated, measured
 * and encoded in registers. Bytes moved per element: value and moments both ways, the gradient once.
 * Not for moments that share a scale, have ranges or zero points, or groups of other sizes. */
#ifndef MFQ_CUDA_OPTIMIZER_UPDATE_CHUNKS_KERNEL_CUH
#define MFQ_CUDA_OPTIMIZER_UPDATE_CHUNKS_KERNEL_CUH

#include "cuda/prim/decode.cuh"
#include "cuda/prim/element.cuh"
#include "cuda/prim/encode.cuh"
#include "cuda/prim/slots.cuh"
#include "state_words.cuh"

enum { UPDATE_THREADS = 256, UPDATE_BLOCKS = 2 };

/* Where moments are kept. */
enum { MOMENT_NONE, MOMENT_PLAIN, MOMENT_CODES };

typedef struct chunk_moment {
  float *plain;
  uint8_t *codes;
  encoder how;
  scale_slots slots;
  number_fields number;
  uint32_t code_mask, special_from; /* four times; magnitudes that are no numbers begin there */
  uint32_t lone_nan;                /* four times; 0 when there is none */
  int32_t is_long;                  /* magnitudes have 8 bits, and none is special but lone_nan */
  uint32_t safe_scale;              /* larger ones may make values that are to be limited */
  int32_t bits, wide, group_log2;   /* wide: whole chunks of codes have loads and stores of their own */
} chunk_moment;

typedef struct update_chunks_params {
  element_view value, gradient;
  int32_t value_aligned, gradient_aligned; /* to 16 bytes */
  chunk_moment first, second;
  int64_t count;
  const mfqn_optimizer_state *state;
  const mfqn_optimizer_group *group;
  uint64_t first_index; /* of random bits */
  int32_t stochastic;
} update_chunks_params;

/* ---- Values ------------------------------------------------------------------------------------------------------ */

template <int DTYPE>
__device__ __forceinline__ void thread_load_floats_of(const uint8_t *from, int count, int is_aligned,
                                                      float (&x)[CHUNK]) {
  const chunk<DTYPE> c = thread_load_chunk<DTYPE>(from, count, is_aligned);
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) x[i] = mfqn_float_of(thread_element(c, i));
}

/* The first `count` elements of a chunk; zeros behind them. */
__device__ __forceinline__ void thread_load_floats(const element_view &v, int64_t first, int count, int is_aligned,
                                                   float (&x)[CHUNK]) {
  if (v.dtype == ELEMENT_F32)
    thread_load_floats_of<ELEMENT_F32>(v.data + first * 4, count, is_aligned, x);
  else if (v.dtype == ELEMENT_BF16)
    thread_load_floats_of<ELEMENT_BF16>(v.data + first * 2, count, is_aligned, x);
  else
    thread_load_floats_of<ELEMENT_F16>(v.data + first * 2, count, is_aligned, x);
}

__device__ __forceinline__ void thread_store_floats(uint8_t *to, const float (&x)[CHUNK], int count, int is_aligned) {
  if (is_aligned && count == CHUNK) {
#pragma unroll
    for (int k = 0; k < CHUNK; k += 4)
      ptx_store<uint4>(to + 4 * k,
                       make_uint4(mfqn_bits(x[k]), mfqn_bits(x[k + 1]), mfqn_bits(x[k + 2]), mfqn_bits(x[k + 3])));
    return;
  }
#pragma unroll
  for (int i = 0; i < CHUNK; ++i)
    if (i < count) ptx_store<uint32_t>(to + 4 * i, mfqn_bits(x[i]));
}

/* bf16, to nearest or by random bits. */
__device__ __forceinline__ void thread_store_halves(const update_chunks_params &p, int64_t first,
                                                    const float (&x)[CHUNK], int count) {
  uint8_t *to = p.value.data + first * 2;
  uint32_t word[CHUNK / 2];
  drawn16 drawn = {};
  if (p.stochastic) {
    const random_key key = {ptx_load<uint64_t>(&p.state->seed), ptx_load<uint64_t>(&p.state->steps)};
    drawn = thread_draw_blocks(key, (int64_t)((p.first_index + (uint64_t)first) >> 3));
  }
#pragma unroll
  for (int i = 0; i < CHUNK; ++i) {
    const uint32_t u = mfqn_bits(x[i]);
    const uint32_t half = p.stochastic ? mfqn_bf16_stochastic(u, thread_half(drawn, i)) : mfqn_bf16_from_f32(u);
    word[i / 2] = i % 2 == 0 ? half : word[i / 2] | half << 16;
  }
  if (p.value_aligned && count == CHUNK) {
    ptx_store<uint4>(to, make_uint4(word[0], word[1], word[2], word[3]));
    ptx_store<uint4>(to + 16, make_uint4(word[4], word[5], word[6], word[7]));
    return;
  }
#pragma unroll
  for (int i = 0; i < CHUNK; ++i)
    if (i < count) ptx_store<uint16_t>(to + 2 * i, (uint16_t)(word[i / 2] >> i % 2 * 16));
}

/* ---- Moments ----------------------------------------------------------------------------------------------------- */

/* Packed codes of a chunk, a byte each. */
__device__ __forceinline__ codes16 thread_unpack_chunk(const uint32_t (&word)[4], int32_t bits, uint32_t mask) {
  if (bits == 8) return codes16{{word[0] & mask, word[1] & mask, word[2] & mask, word[3] & mask}};
  const uint64_t low = word[0] | (uint64_t)word[1] << 32, high = word[2] | (uint64_t)word[3] << 32;
  const uint64_t rest = low >> 8 * bits | high << (64 - 8 * bits); /* the upper eight codes */
  return codes16{{thread_unpack4((uint32_t)low, bits) & mask, thread_unpack4((uint32_t)(low >> 4 * bits), bits) & mask,
                  thread_unpack4((uint32_t)rest, bits) & mask,
                  thread_unpack4((uint32_t)(rest >> 4 * bits), bits) & mask}};
}

/* The first `count` codes of a chunk. */
__device__ __forceinline__ codes16 thread_load_codes16(const chunk_moment &m, int64_t chunk_index, int count) {
  const uint8_t *from = m.codes + chunk_index * (CHUNK / 8) * m.bits;
  uint32_t word[4] = {0u, 0u, 0u, 0u};
  if (m.wide && count == CHUNK) {
    thread_load_words(from, m.bits, word);
  } else {
    const int bytes = (count * m.bits + 7) / 8;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i)
      if (i < bytes) word[i / 4] |= (uint32_t)ptx_load<uint8_t>(from + i) << i % 4 * 8;
  }
  return thread_unpack_chunk(word, m.bits, m.code_mask);
}

/* Whether some of four codes are infinite or NaN. */
__device__ __forceinline__ int thread_has_special(const chunk_moment &m, uint32_t codes) {
  const uint32_t high = 0x80808080u, magnitudes = codes & (m.number.field_mask >> m.number.field_shift) * 0x01010101u;
  const uint32_t lone = codes ^ m.lone_nan;
  const int is_lone = m.lone_nan != 0 && ((lone - 0x01010101u) & ~lone & high) != 0;
  return (!m.is_long && ((magnitudes + (high - m.special_from)) & high) != 0) || is_lone;
}

/* Any codes, in a loop that is not unrolled: they are rare. */
__device__ __forceinline__ void thread_decode_any(const mfqn_scheme &s, codes16 c, const mfqn_group &g,
                                                  float (&x)[CHUNK]) {
#pragma unroll 1
  for (int i = 0; i < CHUNK; ++i) {
    const float value = mfqn_float_of(mfqn_decode(&s, &g, c.word[0] & 0xffu));
#pragma unroll
    for (int k = 0; k < 4; ++k) c.word[k] = c.word[k] >> 8 | (k < 3 ? c.word[k + 1 < 4 ? k + 1 : 3] << 24 : 0u);
#pragma unroll
    for (int k = 0; k + 1 < CHUNK; ++k) x[k] = x[k + 1];
    x[CHUNK - 1] = value;
  }
}

template <int KIND>
__device__ __forceinline__ void thread_load_moment(const chunk_moment &m, int64_t chunk_index, int count,
                                                   float (&x)[CHUNK]) {
  if constexpr (KIND == MOMENT_PLAIN)
    thread_load_floats_of<ELEMENT_F32>((const uint8_t *)(m.plain + chunk_index * CHUNK), count, 1, x);
  if constexpr (KIND == MOMENT_CODES) {
    const mfqn_group g = thread_slot_group(m.slots, m.how.scheme, chunk_index >> m.group_log2);
    const codes16 c = thread_load_codes16(m, chunk_index, count);
    int is_rare = !g.usable || (mfqn_bits(g.divisor) & MFQN_ABS) > m.safe_scale;
#pragma unroll
    for (int k = 0; k < 4; ++k) is_rare |= thread_has_special(m, c.word[k]);
    if (is_rare) {
      thread_decode_any(m.how.scheme, c, g, x);
    } else {
#pragma unroll
      for (int i = 0; i < CHUNK; ++i)
        x[i] = mfqn_mul(thread_number(m.number, m.how.scheme, c.word[i / 4] >> 8 * (i % 4) & 0xffu, 0), g.scale);
    }
  }
}

/* All lanes of a warp: groups are measured together. Elements that are not there are 0. */
template <int KIND>
__device__ __forceinline__ void warp_store_moment(const chunk_moment &m, int64_t chunk_index, int count,
                                                  const float (&x)[CHUNK]) {
  if constexpr (KIND == MOMENT_PLAIN) thread_store_floats((uint8_t *)(m.plain + chunk_index * CHUNK), x, count, 1);
  if constexpr (KIND == MOMENT_CODES) {
    chunk<ELEMENT_F32> c;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) c.word[i] = i < count ? mfqn_bits(x[i]) : 0u;
    uint32_t absmax = thread_absmax(c);
    for (int o = 1; o < 1 << m.group_log2; o <<= 1) absmax = mfqn_umax(absmax, ptx_shuffle_xor(0xffffffffu, absmax, o));
    ptx_sync_warp(0xffffffffu); /* the other lanes have read the scale */
    if (count <= 0) return;
    mfqn_statistic statistic = mfqn_statistic_none();
    statistic.absmax = absmax;
    const mfqn_group g = mfqn_group_make(&m.how.scheme, &statistic, 1.0f);
    if ((chunk_index & ((1 << m.group_log2) - 1)) == 0)
      thread_slot_store(m.slots, chunk_index >> m.group_log2, g.stored);
    codes16 codes = {{0u, 0u, 0u, 0u}};
    if (m.how.steps != STEPS_NONE)
      codes = thread_encode(m.how, c, g, absmax);
    else if (g.usable)
      codes = thread_encode_rare(&m.how.scheme, c, g, [] { return 0u; });
    thread_store_codes(m.codes + chunk_index * (CHUNK / 8) * m.bits, codes, m.bits, count, m.wide);
  }
}

/* ---- Updates ----------------------------------------------------------------------------------------------------- */

template <int FIRST, int SECOND>
__device__ __forceinline__ void thread_update_chunk(const mfqn_update &u, const float (&g)[CHUNK], float (&x)[CHUNK],
                                                    float (&m)[CHUNK], float (&v)[CHUNK]) {
#pragma unroll
  for (int i = 0; i < CHUNK; ++i)
    if constexpr (SECOND != MOMENT_NONE)
      x[i] = mfqn_adamw(&u, x[i], g[i], &m[i], &v[i]);
    else if constexpr (FIRST != MOMENT_NONE)
      x[i] = mfqn_sgd_momentum(&u, x[i], g[i], &m[i]);
    else
      x[i] = mfqn_sgd(&u, x[i], g[i]);
}

template <int FIRST, int SECOND>
__global__ void __launch_bounds__(UPDATE_THREADS, UPDATE_BLOCKS)
    update_chunks_kernel(const __grid_constant__ update_chunks_params p) {
  const int64_t chunk_index = (int64_t)blockIdx.x * UPDATE_THREADS + threadIdx.x, first = chunk_index * CHUNK;
  const int64_t left = p.count - first;
  const int count = left < 0 ? 0 : left < CHUNK ? (int)left : CHUNK;
  if (ptx_load<int64_t>(&p.state->skips) != 0) return;
  const mfqn_update u = thread_load_struct(&p.group->now);
  float g[CHUNK] = {}, x[CHUNK] = {}, m[CHUNK] = {}, v[CHUNK] = {};
  if (count > 0) {
    thread_load_floats(p.gradient, first, count, p.gradient_aligned, g);
    thread_load_floats(p.value, first, count, p.value_aligned, x);
    thread_load_moment<FIRST>(p.first, chunk_index, count, m);
    thread_load_moment<SECOND>(p.second, chunk_index, count, v);
    thread_update_chunk<FIRST, SECOND>(u, g, x, m, v);
    if (p.value.dtype == ELEMENT_F32)
      thread_store_floats(p.value.data + first * 4, x, count, p.value_aligned);
    else
      thread_store_halves(p, first, x, count);
  }
  warp_store_moment<FIRST>(p.first, chunk_index, count, m);
  warp_store_moment<SECOND>(p.second, chunk_index, count, v);
}

#endif
