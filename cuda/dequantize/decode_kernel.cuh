/* cuda/dequantize/decode_kernel.cuh: codes and scales to values, rows of codes to rows of contiguous values.
 *
 * A thread has one piece: as many neighbouring codes as make 16 bytes of values. Exponent and mantissa of a code are
 * put into the fields of a float32 and one multiplication repairs the bias, exactly; the next one is by the scale.
 * Pieces with codes that are no numbers, or scales that are NaN, 0, infinite, or so large that values may overflow, take
 * mfqn_decode. Bytes moved per element: the code, its share of a scale, the value, once each.
 * Not for values beyond the normal numbers of float32, or codes whose order is not that of the values. */
#ifndef MFQ_CUDA_DEQUANTIZE_DECODE_KERNEL_CUH
#define MFQ_CUDA_DEQUANTIZE_DECODE_KERNEL_CUH

#include "cuda/prim/chunk.cuh"
#include "cuda/prim/codes.cuh"
#include "cuda/prim/decode.cuh"
#include "cuda/prim/divide.cuh"
#include "cuda/prim/slots.cuh"

enum { DECODE_THREADS = 256 };

typedef struct decode_params {
  mfqn_scheme scheme;
  scale_slots slots;
  const uint8_t *codes;
  int64_t row_bits; /* from one row of codes to the next */
  int32_t bits;     /* of a stored code */
  int32_t vector_load, vector_store;
  int32_t one_scale; /* a piece never crosses from one scale to the next */
  uint8_t *dst;
  int64_t outer_bytes, middle_bytes; /* from row to row of the target */
  int64_t pieces, cols;
  divisor64 row_pieces, middle;
  divisor64 row_group, col_group; /* rows and columns that share a scale */
  /* From outer index to outer index, from row group to row group, from column group to column group. */
  int64_t outer_scales, row_scales, col_scales;
  int32_t is_single_row;
  uint32_t safe_scale;    /* larger ones may make values that are to be limited */
  int32_t col_group_log2; /* of col_group where it is a power of two, else -1 */
  number_fields number;
  uint32_t code_mask, special_from; /* four times; magnitudes that are no numbers begin there */
  uint32_t lone_nan;                /* four times; 0 when there is none */
  /* The same as bf16 fields, twice, where scales are powers of two: then bf16 holds every step of the way. */
  int32_t is_packed, pair_field_shift, pair_sign_shift;
  uint32_t pair_field_mask, pair_sign_mask, pair_unbias;
} decode_params;

template <int DTYPE> inline constexpr int PIECE = 16 / ELEMENT_BYTES<DTYPE>;

typedef struct piece_place {
  int64_t outer, middle, row, col;
} piece_place;

__device__ __forceinline__ piece_place thread_piece_place(const decode_params &p, int64_t piece, int codes) {
  piece_place at;
  at.row = p.is_single_row ? 0 : thread_divide(piece, p.row_pieces);
  at.col = (piece - at.row * (int64_t)p.row_pieces.value) * codes;
  at.outer = p.is_single_row ? 0 : thread_divide(at.row, p.middle);
  at.middle = at.row - at.outer * (int64_t)p.middle.value;
  return at;
}

/* `count` codes of a stream from bit `bit` on, as they lie, lowest first. */
__device__ __forceinline__ uint64_t thread_load_codes(const decode_params &p, int32_t bits, int64_t bit, int codes,
                                                      int count) {
  const uint8_t *from = p.codes + (bit >> 3);
  const int wanted = codes * bits;
  if (p.vector_load && count == codes) {
    if (wanted == 64) {
      const uint2 v = ptx_load<uint2>(from);
      return (uint64_t)v.y << 32 | v.x;
    }
    if (wanted == 32) return ptx_load<uint32_t>(from);
    if (wanted == 16) return ptx_load<uint16_t>(from);
    if (wanted == 48)
      return ptx_load<uint16_t>(from) | (uint64_t)ptx_load<uint16_t>(from + 2) << 16 |
             (uint64_t)ptx_load<uint16_t>(from + 4) << 32;
  }
  const int skip = (int)(bit & 7), bytes = (skip + count * bits + 7) / 8;
  uint64_t stream = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i)
    if (i < bytes) stream |= (uint64_t)ptx_load<uint8_t>(from + i) << 8 * i;
  return stream >> skip;
}

/* A group of every element of a piece, or one for all. */
__device__ __forceinline__ mfqn_group thread_piece_group(const decode_params &p, const piece_place &at, int i) {
  const int64_t col = at.col + i, block = p.is_single_row ? 0 : thread_divide(at.middle, p.row_group);
  const int64_t along = p.col_group_log2 >= 0 ? col >> p.col_group_log2 : thread_divide(col, p.col_group);
  const int64_t index = at.outer * p.outer_scales + block * p.row_scales + along * p.col_scales;
  return thread_slot_group(p.slots, p.scheme, thread_slot_place(p.slots, index));
}

/* Whether values with the scale of a group are not the product alone. */
__device__ __forceinline__ int thread_is_rare_group(const decode_params &p, const mfqn_group &g) {
  return !g.usable || (mfqn_bits(g.divisor) & MFQN_ABS) > p.safe_scale;
}

/* Whether some of four codes are infinite or NaN. */
__device__ __forceinline__ int thread_is_special(const decode_params &p, uint32_t codes) {
  const uint32_t high = 0x80808080u, magnitudes = codes & (p.number.field_mask >> p.number.field_shift) * 0x01010101u;
  const uint32_t lone = codes ^ p.lone_nan;
  const int is_lone = p.lone_nan != 0 && ((lone - 0x01010101u) & ~lone & high) != 0;
  return ((magnitudes + (high - p.special_from)) & high) != 0 || is_lone;
}

__device__ __forceinline__ float thread_scaled(const decode_params &p, uint32_t code, const mfqn_group &g) {
  const float y = mfqn_mul(thread_number(p.number, p.scheme, code, g.zero_point), g.scale);
  return p.scheme.scale == MFQN_SCALE_UE4M3 ? mfqn_mul(y, g.tensor_scale) : y;
}

template <int DTYPE> __device__ __forceinline__ void thread_store_value(uint8_t *to, uint32_t bits) {
  if constexpr (DTYPE == ELEMENT_F32) ptx_store<uint32_t>(to, bits);
  if constexpr (DTYPE == ELEMENT_BF16) ptx_store<uint16_t>(to, (uint16_t)mfqn_bf16_limited(bits));
  if constexpr (DTYPE == ELEMENT_F16) ptx_store<uint16_t>(to, (uint16_t)mfqn_f16_limited(bits));
}

/* Any piece, element by element. */
template <int DTYPE>
__device__ __forceinline__ void thread_decode_rare(const decode_params &p, const piece_place &at, uint64_t stream,
                                                   int count, uint8_t *to) {
  const uint64_t mask = p.code_mask & 0xffu;
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    const mfqn_group g = thread_piece_group(p, at, i);
    const uint32_t code = (uint32_t)(stream >> i * p.bits & mask);
    thread_store_value<DTYPE>(to + i * ELEMENT_BYTES<DTYPE>, mfqn_decode(&p.scheme, &g, code));
  }
}

template <int DTYPE>
__device__ __forceinline__ void thread_store_piece(const decode_params &p, uint8_t *to, const float *y, int count) {
  if (p.vector_store && count == PIECE<DTYPE>) {
    uint32_t word[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if constexpr (DTYPE == ELEMENT_F32) word[k] = mfqn_bits(y[k]);
      if constexpr (DTYPE == ELEMENT_BF16) word[k] = ptx_bf16x2_from_f32(y[2 * k], y[2 * k + 1]);
      if constexpr (DTYPE == ELEMENT_F16) word[k] = ptx_f16x2_from_f32(y[2 * k], y[2 * k + 1]);
    }
    ptx_store<uint4>(to, make_uint4(word[0], word[1], word[2], word[3]));
    return;
  }
#pragma unroll
  for (int i = 0; i < PIECE<DTYPE>; ++i)
    if (i < count) thread_store_value<DTYPE>(to + i * ELEMENT_BYTES<DTYPE>, mfqn_bits(y[i]));
}

/* Eight codes that are numbers to eight bf16, two at a time. */
__device__ __forceinline__ void thread_store_packed(const decode_params &p, uint8_t *to, const uint32_t *codes,
                                                    const mfqn_group &g) {
  const uint32_t scale = (mfqn_bits(g.scale) >> 16) * 0x00010001u;
  uint32_t word[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const uint32_t pair = ptx_permute(codes[k / 2], 0, k % 2 == 0 ? 0x4140u : 0x4342u);
    const uint32_t fields = pair << p.pair_field_shift & p.pair_field_mask;
    const uint32_t number = fields | (pair << p.pair_sign_shift & p.pair_sign_mask);
    word[k] = ptx_bf16x2_multiply(ptx_bf16x2_multiply(number, p.pair_unbias), scale);
  }
  ptx_store<uint4>(to, make_uint4(word[0], word[1], word[2], word[3]));
}

/* The values of a piece, whose codes are those of `stream` of p.bits each, and stand in `codes`, a byte each. */
template <int DTYPE>
__device__ __forceinline__ void thread_decode_piece(const decode_params &p, const piece_place &at, uint64_t stream,
                                                    const uint32_t *codes, int count) {
  uint8_t *to = p.dst + at.outer * p.outer_bytes + at.middle * p.middle_bytes + at.col * ELEMENT_BYTES<DTYPE>;
  mfqn_group g = thread_piece_group(p, at, 0);
  int is_rare = thread_is_rare_group(p, g);
#pragma unroll
  for (int k = 0; k < PIECE<DTYPE> / 4; ++k) is_rare |= thread_is_special(p, codes[k]);
  if constexpr (DTYPE == ELEMENT_BF16) {
    if (p.is_packed && count == PIECE<DTYPE> && !is_rare) {
      thread_store_packed(p, to, codes, g);
      return;
    }
  }
  float y[PIECE<DTYPE>];
#pragma unroll
  for (int i = 0; i < PIECE<DTYPE>; ++i) {
    if (!p.one_scale && i > 0 && i < count) g = thread_piece_group(p, at, i);
    is_rare |= thread_is_rare_group(p, g);
    y[i] = thread_scaled(p, codes[i / 4] >> 8 * (i % 4) & 0xffu, g);
  }
  if (is_rare)
    thread_decode_rare<DTYPE>(p, at, stream, count, to);
  else
    thread_store_piece<DTYPE>(p, to, y, count);
}

/* Four codes that lie packed, a byte each. */
__device__ __forceinline__ uint32_t thread_four_codes(const decode_params &p, int32_t bits, uint32_t packed) {
  return (bits == 8 ? packed : thread_unpack4(packed, bits)) & p.code_mask;
}

template <int DTYPE>
__global__ void __launch_bounds__(DECODE_THREADS, 4) decode_kernel(const __grid_constant__ decode_params p) {
  const int64_t piece = (int64_t)blockIdx.x * DECODE_THREADS + threadIdx.x;
  if (piece >= p.pieces) return;
  const piece_place at = thread_piece_place(p, piece, PIECE<DTYPE>);
  const int64_t left = p.cols - at.col;
  const int count = left < PIECE<DTYPE> ? (int)left : PIECE<DTYPE>;
  const uint64_t stream = thread_load_codes(p, p.bits, at.row * p.row_bits + at.col * p.bits, PIECE<DTYPE>, count);
  uint32_t codes[PIECE<DTYPE> / 4];
#pragma unroll
  for (int k = 0; k < PIECE<DTYPE> / 4; ++k)
    codes[k] = thread_four_codes(p, p.bits, (uint32_t)(stream >> 4 * k * p.bits));
  thread_decode_piece<DTYPE>(p, at, stream, codes, count);
}

#endif
