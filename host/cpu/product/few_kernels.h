/* host/cpu/product/few_kernels.h: the inner loops of few rows, compiled once for each instruction set
 * (kernels/few_kernels.c). */
#ifndef MFQ_HOST_CPU_PRODUCT_FEW_KERNELS_H
#define MFQ_HOST_CPU_PRODUCT_FEW_KERNELS_H

#include "host/cpu/kernels.h"

/* Few plain rows are in blocks of so many elements, at most so many rows at once. Codes may be read so far behind those of a
 * block; copies of a block have room for that. For so many rows sums are scaled, not values. */
enum {
  MFQ_FEW_BLOCK = 32,
  MFQ_FEW_ROWS = 8,
  MFQ_FEW_UNSCALED = 2,
  MFQ_FEW_OVER = 16,
  MFQ_FEW_COPY = MFQ_FEW_BLOCK + MFQ_FEW_OVER
};

/* How codes become values in lanes. */
typedef enum mfq_few_how {
  MFQ_FEW_TABLE,    /* not at all: by a table, one at a time */
  MFQ_FEW_NIBBLES,  /* 4 bits, by a table of 16 */
  MFQ_FEW_INTEGERS, /* by shifts */
  MFQ_FEW_FLOATS    /* the digits of a minifloat by shifts, and a factor that moves its exponents to those of f32 */
} mfq_few_how;

/* Of INTEGERS and FLOATS. Vectors have at most 16 lanes. */
typedef struct mfq_few_picks {
  uint8_t bytes[64];    /* of each lane of 32 bits: which of 16 bytes; 0x80: 0 */
  int32_t left[16];     /* brings a code to the upper end of its lane, */
  int32_t down;         /* from where it is shifted down with its sign, */
  int32_t mask;         /* of that these bits are kept, */
  float unit;           /* and the number that they are is multiplied by this */
  int32_t most;         /* FLOATS: larger magnitudes are NaN or infinity */
  int32_t has_lone_nan; /* and the sign alone is NaN */
} mfq_few_picks;

/* A row of codes for a few plain rows. */
typedef struct mfq_few {
  mfq_few_how how;
  int32_t bits;           /* of a stored code; in bf16: 4, 6 or 8 */
  uint32_t code_mask;     /* of the bits that count */
  int32_t rows;           /* plain ones: 1, 2, 4 or MFQ_FEW_ROWS */
  int32_t halves;         /* scales are for 16 codes, not 32 */
  int32_t is_vast;        /* scaled values, or sums that are not, may overflow */
  int64_t depth;          /* at most MFQ_CHUNK */
  int64_t readable;       /* bytes from `codes` on that are there */
  const void *plain;      /* a block of each row, then the next ones; 0 behind the last. f32: in the order */
  const uint8_t *order;   /* which element is where in a block */
  const float *numbers;   /* of each code */
  const uint16_t *values; /* bf16 of each code */
  const mfq_few_picks *picks;
  const uint8_t *codes;     /* from a byte on */
  const float *scales;      /* for every 32 or 16 codes */
  const float *zero_points; /* likewise; NULL: none */
} mfq_few;

typedef struct mfq_few_kernels {
  int32_t lanes;                       /* of f32 in a vector */
  uint8_t nibble_order[MFQ_FEW_BLOCK]; /* of NIBBLES */
  /* `n` scales, aligned to their format, to f32. Returns the largest magnitude, as bits. */
  uint32_t (*scales)(int32_t format, const void *stored, int64_t n, float *scales);
  /* Sums of products with each plain row, which is f32 or bf16; the latter needs AVX512_BF16 of the machine, and is NULL
   * where the instruction set has none. */
  void (*f32)(const mfq_few *f, float *sums);
  void (*bf16)(const mfq_few *f, float *sums);
} mfq_few_kernels;

extern const mfq_few_kernels mfq_few_kernels_baseline;
#ifdef MFQ_HAVE_ISA_AVX2
extern const mfq_few_kernels mfq_few_kernels_avx2;
#endif
#ifdef MFQ_HAVE_ISA_AVX512
extern const mfq_few_kernels mfq_few_kernels_avx512;
#endif

#endif
