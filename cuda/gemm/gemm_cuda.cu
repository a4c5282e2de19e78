/* cuda/gemm/gemm_cuda.cu: the ways to run products, in their order. */
#include "gemm_cuda.h"

const mfq_ways mfq_cuda_products = {.create = "mfq_gemm_plan_create",
                                    .reproducible = "the context asks for reproducible products",
                                    .nearest_first = 0,
                                    .ways = {&mfq_cuda_gemm_native, &mfq_cuda_gemm_folded, &mfq_cuda_gemm_few_rows,
                                             &mfq_cuda_gemm_groups, &mfq_cuda_gemm_expanded, &mfq_cuda_gemm_tile,
                                             &mfq_cuda_gemm_general}};
