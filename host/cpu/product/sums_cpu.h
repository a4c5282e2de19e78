/* host/cpu/product/sums_cpu.h: the ways in which the CPU sums products. A run gets all its memory in its workspace. */
#ifndef MFQ_HOST_CPU_SUMS_CPU_H
#define MFQ_HOST_CPU_SUMS_CPU_H

#include "host/core/module/context_state.h"
#include "host/core/problem/conv_problem.h"

extern const mfq_way mfq_gemm_few_rows, mfq_gemm_expanded, mfq_gemm_reference;
extern const mfq_way mfq_conv_expanded, mfq_conv_reference;

/* The lists. */
extern const mfq_ways mfq_cpu_products, mfq_cpu_convolutions;

#endif
