/* cuda/gemm/fold/fold_code.cuh: codes of small minifloats, times a power of two, to the FP8 codes of the same numbers.
 *
 * Exponent and fraction of a code are put into the fields of an f16, and one multiplication by a power of two both
 * shifts and rebiases: f16 has subnormal numbers at one end of the small format and at one end of FP8, so all of them
 * come out right, and FP8's exponent and fraction stand in the f16's own fields. Nothing is rounded (fold_window).
 * 12 instructions for four codes. */
#ifndef MFQ_CUDA_GEMM_FOLD_CODE_CUH
#define MFQ_CUDA_GEMM_FOLD_CODE_CUH

#include <mfq/types.h>

#include "cuda/prim/codes.cuh"

enum {
  FOLD_RUN = 128, /* elements along K that share a float scale in cuBLASLt */
  FOLD_LANES = 8, /* lanes of a run: 16 elements each */
  FOLD_THREADS = 256,
  FOLD_ROWS = FOLD_THREADS / FOLD_LANES, /* rows of a block */
  FOLD_RUNS = 4,                         /* runs that a block takes one after the other */
  FOLD_SLAB = 128,                       /* rows that share a flag: those of an output tile */
  FOLD_ALIGN = 16,                       /* rows and depth of FP8 codes are multiples of it */
  FOLD_WINDOW_MIN = 8                    /* shifts that a format must leave where groups are shorter than a run */
};

/* Blocks at once on a multiprocessor, which bound the registers of a thread: 42 for 6, 64 for 4, 80 for 3. Code for
 * compute capability 10.0 and newer, where folding has no use, is compiled all the same. */
enum { FOLD_BLOCKS = 6, FOLD_QUANTIZE_BLOCKS = PTX_ARCH >= 1000 ? 3 : 4 };

/* Biased exponents of the float scales: products of two are normal numbers. */
enum { FOLD_SCALE_MIN = 127 - 62, FOLD_SCALE_ONE = 127, FOLD_SCALE_MAX = 127 + 62 };

/* Codes and sums of a slab of A take at most so much workspace, or those of 128 rows. In the emulator products are
 * small, and several slabs are to be seen. */
#if defined(MFQ_SIMT)
enum { FOLD_SLAB_BYTES = 64 << 10 };
#else
enum { FOLD_SLAB_BYTES = 256 << 20 };
#endif

/* ---- Windows ----------------------------------------------------------------------------------------------------- */

/* By which powers of two every code of a small minifloat becomes an FP8 number: one with exponent field e, times 2^s, has
 * the field e + s + (FP8 bias - bias) in FP8; a format's subnormal numbers are multiples of its smallest. So all codes fit
 * when the smallest of them is a multiple of FP8's smallest, the largest is not above FP8's, and the fraction is no
 * longer than FP8's. */

/* An FP8 format of tensor cores. */
typedef struct fold_target {
  int32_t man_bits, bias;
  int32_t top_field, top_fraction; /* of the largest number */
} fold_target;

/* With 3 and with 2 bits of fraction (OFP8 1.0 section 5). A product takes at most one side in the second. */
static const fold_target fold_targets[2] = {{3, 7, 15, 6}, {2, 15, 30, 3}};

/* Shifts low ... high; none where low > high. */
typedef struct fold_window {
  int32_t low, high;
} fold_window;

/* Whether codes are all numbers and small enough for the steps of fold_code.cuh, which go through f16. */
static inline int fold_takes(const mfq_format *f) {
  return f->kind == MFQ_KIND_MINIFLOAT && f->specials == MFQ_SPECIALS_NONE && f->exp_bits <= 4 &&
         f->exp_bits + f->man_bits <= 7;
}

static inline fold_window fold_window_of(const mfq_format *f, const fold_target *to) {
  fold_window none = {0, -1}, w;
  if (!fold_takes(f) || f->man_bits > to->man_bits) return none;
  const int32_t rebias = to->bias - f->bias, up = to->man_bits - f->man_bits;
  const int32_t top_fraction = ((1 << f->man_bits) - 1) << up, top_field = (1 << f->exp_bits) - 1;
  w.low = -up - rebias;
  w.high = to->top_field - top_field - (top_fraction > to->top_fraction) - rebias;
  return w;
}

static inline int32_t fold_window_width(fold_window w) { return w.high < w.low ? 0 : w.high - w.low + 1; }

/* ---- Codes ------------------------------------------------------------------------------------------------------- */

typedef struct fold_code {
  int32_t bits;                    /* of a stored code */
  uint32_t magnitudes;             /* a code without its sign, in four bytes */
  uint32_t fields;                 /* the same in the fields of two f16 */
  int32_t field_shift;             /* from a code to an f16 */
  int32_t half_shift;              /* from an f16 to the FP8 code */
  uint32_t signs;                  /* of four FP8 codes; 0 when unsigned */
  int32_t sign_shift;              /* from a code's sign to FP8's */
  int32_t rebias, lowest, highest; /* steps lowest ... highest; a step is a shift and `rebias` */
} fold_code;

static inline fold_code fold_code_make(const mfq_format *f, const fold_target *to, int32_t stored_bits) {
  const fold_window w = fold_window_of(f, to);
  const int32_t magnitude_bits = f->exp_bits + f->man_bits;
  const uint32_t magnitude = (1u << magnitude_bits) - 1u;
  fold_code c = {};
  c.bits = stored_bits;
  c.magnitudes = magnitude * 0x01010101u;
  c.field_shift = 10 - f->man_bits;
  c.fields = (magnitude << c.field_shift) * 0x00010001u;
  c.half_shift = 10 - to->man_bits;
  c.signs = f->is_signed ? 0x80808080u : 0u;
  c.sign_shift = 7 - magnitude_bits;
  c.rebias = to->bias - f->bias;
  c.lowest = w.low + c.rebias;
  c.highest = w.high + c.rebias;
  return c;
}

/* The steps of a power of two as factors of two f16 each: the second one is for FP8 with the longer exponent. */
typedef struct fold_factor {
  uint32_t first, second;
} fold_factor;

enum { FOLD_FACTOR_MAX = 15 }; /* the largest power of two in f16 */

__device__ __forceinline__ fold_factor thread_fold_factor(int32_t step) {
  const int32_t first = mfqn_min(step, (int32_t)FOLD_FACTOR_MAX);
  fold_factor by;
  by.first = (uint32_t)(first + 15) * 0x04000400u;
  by.second = (uint32_t)(step - first + 15) * 0x04000400u;
  return by;
}

/* Four codes, one a byte. */
__device__ __forceinline__ uint32_t thread_fold4(const fold_code &f, uint32_t codes, const fold_factor &by) {
  uint32_t even = ptx_f16x2_multiply(codes << f.field_shift & f.fields, by.first);
  uint32_t odd = ptx_f16x2_multiply(codes >> 8 << f.field_shift & f.fields, by.first);
  if (f.highest > FOLD_FACTOR_MAX) {
    even = ptx_f16x2_multiply(even, by.second);
    odd = ptx_f16x2_multiply(odd, by.second);
  }
  return even >> f.half_shift | odd << (8 - f.half_shift) | (codes << f.sign_shift & f.signs);
}

__device__ __forceinline__ codes16 thread_fold(const fold_code &f, const codes16 &c, int32_t step) {
  const fold_factor by = thread_fold_factor(step);
  codes16 out;
#pragma unroll
  for (int k = 0; k < 4; ++k) out.word[k] = thread_fold4(f, c.word[k], by);
  return out;
}

__device__ __forceinline__ int thread_has_number(const fold_code &f, const codes16 &c) {
  return ((c.word[0] | c.word[1] | c.word[2] | c.word[3]) & f.magnitudes) != 0;
}

/* ---- Packed codes ------------------------------------------------------------------------------------------------ */

/* The inverse of thread_pack. */
__device__ __forceinline__ codes16 thread_unpack(const codes16 &packed, int32_t bits) {
  if (bits == 8) return packed;
  codes16 c;
  if (bits == 4) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const uint32_t even = packed.word[k] & 0x0f0f0f0fu, odd = packed.word[k] >> 4 & 0x0f0f0f0fu;
      c.word[2 * k] = ptx_permute(even, odd, 0x5140u);
      c.word[2 * k + 1] = ptx_permute(even, odd, 0x7362u);
    }
    return c;
  }
  const int32_t half = 8 * bits; /* bits of 8 codes */
  const uint64_t first = (uint64_t)packed.word[1] << 32 | packed.word[0];
  const uint64_t rest = first >> half | ((uint64_t)packed.word[3] << 32 | packed.word[2]) << (64 - half);
  c.word[0] = thread_unpack4((uint32_t)first, bits);
  c.word[1] = thread_unpack4((uint32_t)(first >> 4 * bits), bits);
  c.word[2] = thread_unpack4((uint32_t)rest, bits);
  c.word[3] = thread_unpack4((uint32_t)(rest >> 4 * bits), bits);
  return c;
}

/* `bytes` bytes as the lowest of 16; zeros behind them. */
__device__ __forceinline__ codes16 thread_load_bytes(const uint8_t *from, int bytes) {
  codes16 c = {{0u, 0u, 0u, 0u}};
#pragma unroll
  for (int i = 0; i < 16; ++i)
    if (i < bytes) c.word[i / 4] |= (uint32_t)ptx_load<uint8_t>(from + i) << i % 4 * 8;
  return c;
}

/* The first `count` of 16 codes that begin at a byte; 0 for those behind. `is_aligned`: `from` is a multiple of what
 * thread_store_codes asks for. */
__device__ __forceinline__ codes16 thread_load_codes(const uint8_t *from, int32_t bits, int count, int is_aligned) {
  if (!is_aligned || count < 16)
    return thread_first_codes(thread_unpack(thread_load_bytes(from, (count * bits + 7) / 8), bits), count);
  codes16 c = {{0u, 0u, 0u, 0u}};
  thread_load_words(from, bits, c.word); /* others have no wide loads */
  return thread_unpack(c, bits);
}

#endif
