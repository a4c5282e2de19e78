/* host/cpu/product/few_codes.h: what the loops of few rows need to know of a packed side, and its scales by blocks. */
#ifndef MFQ_HOST_CPU_PRODUCT_FEW_CODES_H
#define MFQ_HOST_CPU_PRODUCT_FEW_CODES_H

#include "host/core/problem/gemm_problem.h"
#include "host/cpu/cpu_state.h"
#include "few_kernels.h"

typedef struct mfq_few_codes {
  mfqn_scheme scheme;
  mfq_few_how how;
  int32_t bits; /* of a stored code */
  uint32_t mask;
  int64_t group; /* 0: scales do not vary along K, and the finish applies them */
  int32_t step;  /* codes of which scales are given: 32, or 16 where groups are not multiples of that */
  int32_t scale_bytes;
  int32_t has_zero_points;
  uint32_t safe_scale;  /* larger scales may make values that are to be limited */
  float safe_plain;     /* and larger plain elements sums beyond f32, before they are scaled */
  uint16_t values[256]; /* of each code in bf16, */
  float numbers[256];   /* and f32 */
  mfq_few_picks picks;
} mfq_few_codes;

/* Why the loops do not take a packed side, or NULL. */
const char *mfq_few_codes_refuse(const mfq_gemm_side *side);
/* Of a side that is not refused. */
void mfq_few_codes_make(const mfq_few_kernels *kernels, const mfq_gemm_side *side, mfq_few_codes *codes);

/* Scales and zero points of a chunk, by steps; memory of one thread. */
typedef struct mfq_few_scales {
  float scales[MFQ_CHUNK / 16 + 1], zero_points[MFQ_CHUNK / 16 + 1];
  float stored[MFQ_CHUNK / 16];
} mfq_few_scales;

/* Scales of 1 without zero points, of which nothing changes. */
void mfq_few_scales_init(mfq_few_scales *scales);

/* Codes of a row, at most MFQ_CHUNK. */
typedef struct mfq_few_stretch {
  int64_t batch, row, k, n;
} mfq_few_stretch;

/* Reads those of a stretch that begins with a group, or lies in one. Returns whether values times scales may overflow. */
int mfq_few_scales_load(const mfq_few_kernels *kernels, const mfq_few_codes *codes, const mfq_gemm_side *side,
                        mfq_few_stretch at, mfq_few_scales *scales);

#endif
