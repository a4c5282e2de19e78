/* host/cpu/product/gemm_cpu.c: the ways to run a product, in their order. */
#include "gemm_cpu.h"

static const mfq_way *const ways[] = {&mfq_gemm_few_rows, &mfq_gemm_expanded, &mfq_gemm_reference};
_Static_assert(sizeof ways / sizeof ways[0] <= MFQ_MOST_WAYS, "refusals have room");

const mfq_ways mfq_cpu_products = {
    .create = "mfq_gemm_plan_create", .nearest_first = 1, .count = sizeof ways / sizeof ways[0], .ways = ways};
