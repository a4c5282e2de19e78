/* cuda/gemm/cublaslt/native_side.h: operands whose codes and scales cuBLASLt multiplies as they are. */
#ifndef MFQ_CUDA_GEMM_NATIVE_SIDE_H
#define MFQ_CUDA_GEMM_NATIVE_SIDE_H

#include "host/core/problem/gemm_problem.h"
#include "cublaslt.h"

/* What scales of blocks stand for, and the tiles of the order 128x4. */
enum { LT_BLOCK = 128, LT_TILE_ROWS = 128, LT_TILE_SCALES = 4 };

typedef struct mfq_native_side {
  int32_t type;          /* LT_FP8_43, ... */
  int32_t mode;          /* LT_SCALE_...; TENSOR where the scales are factors, which the finish can take over */
  int32_t is_depth_last; /* K runs along neighbouring codes */
  int32_t makes_scales;  /* in the order that the mode wants, and as many: they are few */
  int64_t group;         /* codes along K for a scale of the mode */
  int64_t ld;            /* codes from line to line */
  int64_t batch_codes;   /* codes from batch to batch; 0: shared */
} mfq_native_side;

/* How a side can be multiplied as it is. Returns 0 with a reason that speaks of `name` when it cannot. `side` is as
 * mfq_cuda_native_wanted returns it. */
int mfq_cuda_native_side(const mfq_gemm_side *side, const char *name, int capability, mfq_native_side *native,
                         mfq_line *reason);

/* Makes the modes of two sides go together, where one of them may change. Returns 0 with a reason when they cannot be
 * multiplied. */
int mfq_cuda_native_pair(const mfq_gemm_side *a_side, const mfq_gemm_side *b_side, mfq_native_side *a,
                         mfq_native_side *b, mfq_line *reason);

/* The side, its scales in the order that cuBLASLt reads where they are still to be made, one for each. */
mfq_gemm_side mfq_cuda_native_wanted(const mfq_gemm_side *side);

/* Bytes of the scales that are made of one batch of `rows` rows; 0 where they are read as they are. */
size_t mfq_cuda_native_scale_bytes(const mfq_native_side *native, const mfq_gemm_side *side, int64_t rows);

/* Queues what makes the scales of rows of one batch, if they are made, and returns where to read scales. `at`: batch,
 * first row, rows. */
mfq_status mfq_cuda_native_scales(mfq_context *context, const mfq_native_side *native, const mfq_gemm_side *side,
                                  const int64_t at[3], void *made, const void **scales);

#endif
