/* cuda/gemm/fold/fold_window.h: by which powers of two every code of a small minifloat becomes an FP8 number.
 *
 * A number with exponent field e, times 2^s, has the field e + s + (FP8 bias - bias) in FP8; a format's subnormal
 * numbers are multiples of its smallest. So all codes fit when the smallest of them is a multiple of FP8's smallest,
 * the largest is not above FP8's, and the fraction is no longer than FP8's. */
#ifndef MFQ_CUDA_GEMM_FOLD_WINDOW_H
#define MFQ_CUDA_GEMM_FOLD_WINDOW_H

#include <mfq/types.h>

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

#endif
