/* cuda/quantize/direction.cuh: one direction of a fast quantization: a chunk's scale, its codes, and where they go. */
#ifndef MFQ_CUDA_QUANTIZE_DIRECTION_CUH
#define MFQ_CUDA_QUANTIZE_DIRECTION_CUH

#include "cuda/prim/encode.cuh"
#include "cuda/prim/slots.cuh"

/* A direction: codes in rows, which start at bytes. */
typedef struct cast_direction {
  encoder how;
  scale_slots slots;
  uint8_t *codes;
  int64_t row_bytes;    /* from one row of codes to the next, */
  int64_t pad_bytes;    /* of which these pad it */
  int32_t bits;         /* of a stored code */
  int32_t vector_store; /* whole chunks of codes lie at multiples of their wide stores */
  int32_t is_known;     /* scales are read, not measured */
  int32_t is_exponent;  /* scales are UE8M0 by a power-of-two rule: codes need no more than their exponent */
  uint32_t *absmax;     /* not NULL: nothing is written but the largest finite statistic, here (UE4M3) */
} cast_direction;

/* Elements from `col` to the end of a row, up to one more than a chunk. */
__device__ __forceinline__ int thread_left(int64_t col, int64_t cols) {
  const int64_t left = cols - col;
  return left > CHUNK ? CHUNK + 1 : left > 0 ? (int)left : 0;
}

/* The largest magnitude among the 2^log2 neighbouring lanes of a group. */
__device__ __forceinline__ uint32_t warp_group_max(uint32_t absmax, int log2) {
  for (int o = 1; o < 1 << log2; o <<= 1) absmax = mfqn_umax(absmax, ptx_shuffle_xor(0xffffffffu, absmax, o));
  return absmax;
}

/* Adds the statistic of a group to the largest of the tensor; NaN and infinities poison their own group only. */
__device__ __forceinline__ void thread_collect(uint32_t *largest, uint32_t absmax) {
  if (absmax < MFQN_INF && absmax > ptx_load<uint32_t>(largest)) ptx_atomic_max(largest, absmax);
}

/* mfqn_group_make for is_exponent and a normal magnitude: what encoding by the exponent reads, and the scale. */
__device__ __forceinline__ mfqn_group thread_exponent_group(const mfqn_scheme &s, uint32_t absmax) {
  mfqn_group g = {};
  g.exp2 = mfqn_clamp(mfqn_scale_exp2(mfqn_umax(absmax, s.statistic_min), s.rule, &s.range), -127, 127);
  g.stored = (uint32_t)(g.exp2 + 127);
  g.usable = g.by_exponent = 1;
  g.scale = g.divisor = mfqn_float_of(mfqn_pow2(g.exp2));
  g.tensor_scale = 1.0f;
  return g;
}

/* The group at scale `index`: from its largest magnitude, or as stored. */
__device__ __forceinline__ mfqn_group thread_group(const cast_direction &d, int64_t index, uint32_t absmax) {
  if (d.is_exponent && absmax - MFQN_MIN_NORMAL < MFQN_INF - MFQN_MIN_NORMAL)
    return thread_exponent_group(d.how.scheme, absmax);
  if (d.is_known) return thread_slot_group(d.slots, d.how.scheme, index);
  mfqn_statistic statistic = mfqn_statistic_none();
  statistic.absmax = absmax;
  return mfqn_group_make(&d.how.scheme, &statistic, thread_tensor_scale(d.slots));
}

/* The codes of a chunk; `draw` is asked for its random bits, if it needs them. */
template <int DRAWN, int DTYPE, class Draw>
__device__ __forceinline__ codes16 thread_encode_chunk(const encoder &how, const chunk<DTYPE> &x, const mfqn_group &g,
                                                       uint32_t absmax, Draw draw) {
  if constexpr (DRAWN) {
    if (how.is_drawn) return thread_encode_drawn(how, x, g, absmax, draw());
  }
  return thread_encode(how, x, g, absmax);
}

/* Writes a chunk's codes, of which `left` (thread_left) are there; the last of a row also the bytes that pad it. */
__device__ __forceinline__ void thread_store_chunk(const cast_direction &d, uint8_t *to, const codes16 &codes,
                                                   int left) {
  if (left == 0) return;
  thread_store_codes(to, codes, d.bits, mfqn_min(left, CHUNK), d.vector_store);
  if (d.pad_bytes == 0 || left > CHUNK) return;
  for (int64_t i = 0; i < d.pad_bytes; ++i) ptx_store<uint8_t>(to + (left * d.bits + 7) / 8 + i, 0);
}

#endif
