/* cuda/gemm/cublaslt/direct.h: whether cuBLASLt itself may write D, with alpha, C and the bias. */
#ifndef MFQ_CUDA_GEMM_DIRECT_H
#define MFQ_CUDA_GEMM_DIRECT_H

#include "cublaslt.h"
#include "cuda/gemm/finish_cuda.h"

/* A part of a side, and of D: some batches, whole, or rows of one batch. */
typedef struct mfq_cuda_part {
  int64_t batch, batches, row, rows;
} mfq_cuda_part;

/* Returns 1 when it may, by definitions that are the same but for one rounding fewer: no activation (its ReLU and GELU do
 * not promise NaN and accuracy), alpha and beta on the host, C and D of the same dtype, row by row.
 * `in` is the type of A and B; `factors_are_scales`: it applies the factors of both sides too. */
int mfq_cuda_writes_d(const mfq_finish *finish, int32_t in, int factors_are_scales);

/* D, and C, of such a product, or of sums in f32 that are `ld` and `batch_stride` apart. */
void mfq_cuda_sum_layouts(const mfq_finish *finish, mfq_cublaslt_product *product);
mfq_cublaslt_sum mfq_cuda_sums_layout(int64_t ld, int64_t batch_stride);

/* The sums of a step whose rows are `ld` apart; `all` holds those of the step, or of all of a quantized D. */
mfq_cuda_sums mfq_cuda_sums_at(float *all, int64_t ld, const mfq_finish *finish, const mfq_cuda_part &step);

/* Where rows of a batch of a matrix start. */
void *mfq_cuda_matrix_at(const mfq_matrix *matrix, int64_t batch, int64_t row);

/* C, D, bias, alpha and beta of a step that begins at a batch, a row and a column. */
void mfq_cuda_direct_call(const mfq_finish *finish, int64_t batch, int64_t row, int64_t col, mfq_cublaslt_call *call);

/* Whether the batches of a matrix are equally far apart. */
static inline int mfq_cuda_is_uniform(const mfq_matrix *matrix) { return matrix->batch_rank <= 1; }

#endif
