/* host/core/problem/finish_problem.h: the finish, which is everything between the f32 sums of an operation and its result, as
 * backends see it: checked. Products and convolutions embed one.
 *
 * sum x factors of both operands x alpha + beta x C + bias, activation, and the rounding to D's type or the quantization
 * of D (num/finish.h has the arithmetic). */
#ifndef MFQ_HOST_CORE_FINISH_PROBLEM_H
#define MFQ_HOST_CORE_FINISH_PROBLEM_H

#include <mfq/gemm.h>

#include "host/core/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Element (i, r, c) is at mfq_matrix_offset(i) + r * stride[0] + c * stride[1] elements from `data`. */
typedef struct mfq_matrix {
  void *data;
  mfq_dtype dtype;
  int64_t rows, cols;
  int64_t stride[2];
  int32_t batch_rank; /* 0: every batch is the same matrix; 1: batches are batch_stride[0] apart */
  int64_t batch_shape[MFQ_MAX_RANK];
  int64_t batch_stride[MFQ_MAX_RANK];
} mfq_matrix;

/* Offset of batch `index`, in elements. */
int64_t mfq_matrix_offset(const mfq_matrix *matrix, int64_t index);

/* The scales of an operand that do not vary within a sum: factors of the sums, one for each row of A, or column of B
 * (`rows` here). That of row r in batch i has the index
 *   i / run[0] * stride[0] + r / run[1] * stride[1]
 * among the operand's scales (mfq_factor_views). */
typedef struct mfq_factors {
  int32_t has_scales;       /* 0: they are 1 */
  int32_t has_tensor_scale; /* UE4M3's, by which all are multiplied */
  int64_t batches, rows;    /* batches: 1 where all have the same factors */
  int64_t stride[2], run[2];
} mfq_factors;

static inline int mfq_has_factors(const mfq_factors *factors) {
  return factors->has_scales || factors->has_tensor_scale;
}

/* Where the factors of a run are: the views of both operands, with memory. An operand that is quantized on the way in gets it
 * from the workspace, so that no problem can hold it. */
typedef struct mfq_factor_views {
  const mfq_qview *a, *b;
} mfq_factor_views;

typedef struct mfq_finish {
  int64_t batches, m, n; /* of the sums, [batches, m, n]; a quantized D has its own axes */
  mfq_factors a, b;
  int32_t has_c, has_bias;
  mfq_matrix c;
  mfq_tensor bias;           /* rank 1 */
  const float *alpha, *beta; /* may be NULL; the context's device holds them with device_scalars */
  int32_t device_scalars;
  mfq_activation activation;
  int32_t is_d_quantized;
  mfq_matrix d;     /* plain D */
  mfq_qview d_view; /* quantized D */
  int64_t value_strides
      [MFQ_MAX_RANK];   /* quantized D: of its f32 values, which are dense as the sums are, by its own axes */
  const char *function; /* that runs it, for what fails later */
} mfq_finish;

/* Whether the sums are D already, but for their rounding to its type: no factors, alpha, C, bias, activation. */
int mfq_finish_is_bare(const mfq_finish *finish);

/* The dense f32 values of a quantized D as a tensor in its own axes. */
mfq_status mfq_finish_values(const mfq_finish *finish, float *values, mfq_tensor *tensor);

#ifdef __cplusplus
}
#endif

#endif
