/* cuda/quantize/direction.cuh: one direction of a fast quantization: a chunk's scale, its codes, and where they go. */
#ifndef MFQ_CUDA_QUANTIZE_DIRECTION_CUH
#define MFQ_CUDA_QUANTIZE_DIRECTION_CUH

#include "../prim/encode.cuh"
#include "../prim/slots.cuh"

/* A direction: codes in rows, which start at bytes. */
typedef struct cast_direction {
  encoder how;
  scale_slots slots;
  uint8_t *codes;
  int64_t row_bytes;    /* from one row of codes to the next */
  int32_t bits;         /* of a stored code */
  int32_t vector_store; /* whole chunks of codes lie at multiples of their wide stores */
  int32_t is_known;     /* scales are read, not measured */
  uint32_t *absmax;     /* not NULL: nothing is written but the largest finite statistic, here (UE4M3) */
} cast_direction;

/* Where a chunk's codes go. */
typedef struct chunk_place {
  int64_t row, col;  /* in code order */
  int64_t row_codes; /* codes of a row */
} chunk_place;

/* Elements of a chunk that starts at `col` which are there. */
__device__ __forceinline__ int thread_count(int64_t col, int64_t cols) {
  const int64_t left = cols - col;
  return left >= CHUNK ? CHUNK : left > 0 ? (int)left : 0;
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

/* The group at scale `index`: from its largest magnitude, or as stored. */
__device__ __forceinline__ mfqn_group thread_group(const cast_direction &d, int64_t index, uint32_t absmax) {
  if (d.is_known) return thread_slot_group(d.slots, d.how.scheme, index);
  mfqn_statistic statistic = mfqn_statistic_none();
  statistic.absmax = absmax;
  return mfqn_group_make(&d.how.scheme, &statistic, thread_tensor_scale(d.slots));
}

/* Writes a chunk's codes; the last of a row also the bytes that pad it. */
__device__ __forceinline__ void thread_store_chunk(const cast_direction &d, const codes16 &codes,
                                                   const chunk_place &at) {
  const int count = thread_count(at.col, at.row_codes);
  if (count == 0) return;
  uint8_t *row = d.codes + at.row * d.row_bytes;
  thread_store_codes(row + at.col / 8 * d.bits, codes, d.bits, count, d.vector_store);
  if (at.col + CHUNK < at.row_codes) return;
  for (int64_t i = (at.row_codes * d.bits + 7) / 8; i < d.row_bytes; ++i) ptx_store<uint8_t>(row + i, 0);
}

#endif
