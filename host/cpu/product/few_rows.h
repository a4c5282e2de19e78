/* host/cpu/product/few_rows.h: rows of packed codes for the kernels of few plain rows. */
#ifndef MFQ_HOST_CPU_FEW_ROWS_H
#define MFQ_HOST_CPU_FEW_ROWS_H

#include "widen.h"

enum { MFQ_FEW_MOST = 8 }; /* plain rows at once */

/* What the kernels need of a packed side. */
typedef struct mfq_few_codes {
  int32_t bits, halves;
  int64_t group;       /* 0: scales do not vary along K, and the finish applies them */
  int32_t scale_bytes; /* of one */
  int has_zero_points; /* then values hold a table for each */
  uint32_t safe_scale; /* larger scales may make values that are to be limited */
  uint16_t values[256];
} mfq_few_codes;

/* Returns why the kernels do not take a packed side, or NULL. */
const char *mfq_few_codes_refuse(const mfq_gemm_side *side);
void mfq_few_codes_make(const mfq_gemm_side *side, mfq_few_codes *codes);

typedef struct mfq_few_job {
  const mfq_few_codes *codes;
  const mfq_gemm_side *side;
  const mfq_kernels *kernels;
  const void *plain; /* as mfq_few wants it, all of K */
  int32_t rows;
  int is_bf16;
} mfq_few_job;

/* Scales and zero points of a chunk, by block of 32 (or 16) codes; memory of one thread. */
typedef struct mfq_few_scratch {
  float scales[MFQ_CHUNK / 16];
  float stored[MFQ_CHUNK / 16];
  uint8_t zero_points[MFQ_CHUNK / 32];
} mfq_few_scratch;

void mfq_few_scratch_init(const mfq_few_job *job, mfq_few_scratch *scratch);

/* Sums of packed rows with each plain row. */
void mfq_few_block(const mfq_few_job *job, int64_t row0, int64_t rows, mfq_few_scratch *scratch,
                   float (*sums)[MFQ_FEW_MOST]);

#endif
