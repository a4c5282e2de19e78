/* host/cpu/product/gemm_cpu.c: the ways to run a product, in their order. */
#include "gemm_cpu.h"

const mfq_ways mfq_cpu_products = {.create = "mfq_gemm_plan_create",
                                   .nearest_first = 1,
                                   .ways = {&mfq_gemm_few_rows, &mfq_gemm_expanded, &mfq_gemm_reference}};
