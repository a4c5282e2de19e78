/* host/cpu/product/product_kernels.h: the inner loops of our own product, compiled once for each instruction set
 * (kernels/product_kernels.c).
 *
 * A and B are copied into strips: as many lanes (rows of A, columns of B) as a block of D has, side by side, one unit
 * of K after the other. A unit is 32 bits: an f32, a bf16 widened to it, or two bf16 that follow each other in K. */
#ifndef MFQ_HOST_CPU_PRODUCT_KERNELS_H
#define MFQ_HOST_CPU_PRODUCT_KERNELS_H

#include <mfq/types.h>

/* Where the lanes of a strip lie. Strides are in elements. */
typedef struct mfq_strip {
  const void *data; /* the element of lane 0 and depth 0 */
  mfq_dtype dtype;  /* F32 or BF16 */
  int64_t lane_stride, depth_stride;
  int64_t lanes, depth;
} mfq_strip;

/* A block of D, at most as large as the loops' own. */
typedef struct mfq_block {
  float *d;
  int64_t row_stride;
  int64_t rows, cols;
  int32_t add; /* 1: adds to what is there */
} mfq_block;

/* Taps that meet elements, with some channels side by side, of one pixel or of MFQ_TAP_PIXELS neighbours. Steps are in
 * bytes for x, and in elements for w and the sums. */
enum { MFQ_TAP_PIXELS = 4 };
typedef struct mfq_tap_block {
  const uint8_t *x; /* the element of the first tap, pixel and channel */
  mfq_dtype dtype;  /* F32 or BF16 */
  const float *w;
  int64_t taps[3], x_step[3], w_step[3];
  int64_t pixels, pixel_step, channels;
  float *sums;
  int64_t sums_step; /* from pixel to pixel */
} mfq_tap_block;

typedef struct mfq_product_loops {
  int32_t rows, cols; /* of a block */
  int32_t unit_depth; /* elements of K in a unit: 1 or 2 */
  /* Fills a strip of `width` lanes, rows or cols; lanes and half units that the operand lacks become 0. */
  void (*pack)(uint32_t *to, const mfq_strip *from, int32_t width);
  /* Multiplies two strips. Sums are f32 and in order of K, products not rounded where the processor can do that. */
  void (*multiply)(const uint32_t *a, const uint32_t *b, int64_t units, const mfq_block *block);
  /* sums[i] += x[i] * w[i], x being f32 or bf16. */
  void (*accumulate)(float *sums, const void *x, mfq_dtype dtype, const float *w, int64_t n);
  /* The sums of a block over its taps. */
  void (*sum_taps)(const mfq_tap_block *block);
} mfq_product_loops;

/* Units of f32, and pairs of bf16; the latter has NULL for functions where the instruction set has none. */
enum { MFQ_PRODUCT_F32, MFQ_PRODUCT_PAIRS, MFQ_PRODUCT_UNITS };
extern const mfq_product_loops mfq_product_loops_baseline[MFQ_PRODUCT_UNITS];
#ifdef MFQ_HAVE_ISA_AVX2
extern const mfq_product_loops mfq_product_loops_avx2[MFQ_PRODUCT_UNITS];
#endif
#ifdef MFQ_HAVE_ISA_AVX512
extern const mfq_product_loops mfq_product_loops_avx512[MFQ_PRODUCT_UNITS];
#endif

#endif
