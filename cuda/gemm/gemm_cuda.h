/* cuda/gemm/gemm_cuda.h: the ordered list of ways to run a product on a GPU. */
#ifndef MFQ_CUDA_GEMM_GEMM_CUDA_H
#define MFQ_CUDA_GEMM_GEMM_CUDA_H

#include "host/core/problem/gemm_problem.h"
#include "cuda/cuda_state.h"

/* Fastest first; the last takes everything. */
extern const mfq_way mfq_cuda_gemm_native;
extern const mfq_way mfq_cuda_gemm_folded;
extern const mfq_way mfq_cuda_gemm_few_rows;
extern const mfq_way mfq_cuda_gemm_groups;
extern const mfq_way mfq_cuda_gemm_expanded;
extern const mfq_way mfq_cuda_gemm_tile;
extern const mfq_way mfq_cuda_gemm_general;

extern const mfq_ways mfq_cuda_products;

#endif
