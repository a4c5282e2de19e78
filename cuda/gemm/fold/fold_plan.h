/* cuda/gemm/fold/fold_plan.h: what a folded product needs to know, and where a run keeps things. */
#ifndef MFQ_CUDA_GEMM_FOLD_PLAN_H
#define MFQ_CUDA_GEMM_FOLD_PLAN_H

#include "cuda/gemm/cublaslt/cublaslt.h"
#include "fold_code.cuh"
#include "cuda/gemm/gemm_run.h"

/* A side's FP8 image, of one batch: whole for B, a slab for A. */
typedef struct fold_side {
  fold_code code;
  int32_t target;              /* index of fold_targets */
  int32_t quantizes;           /* 1: folded as it is quantized */
  int64_t rows;                /* of an image, a multiple of FOLD_ALIGN; of flags, all rows of a batch are counted */
  size_t codes, scales, flags; /* offsets into the workspace */
} fold_side;

typedef struct fold_plan {
  fold_side a, b;
  int64_t cols, runs;           /* of images */
  int64_t slabs, last_rows;     /* of A; rows of the last image, padded */
  int32_t is_direct;            /* sums are D */
  mfq_cublaslt_plan slab, last; /* slabs of a.rows, and the last */
  mfq_cuda_operands operands;   /* of the workspace, like these: */
  size_t sums, values, cublaslt, flags_bytes, bytes;
} fold_plan;

/* Fills a plan, and what is said of it. UNSUPPORTED with the reason where a problem cannot be folded. */
mfq_status mfq_cuda_fold_plan(mfq_context *context, const mfq_gemm_problem *problem, fold_plan *plan,
                              mfq_choice *choice, mfq_line *reason);

#endif
