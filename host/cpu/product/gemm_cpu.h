/* host/cpu/product/gemm_cpu.h: the ways in which the CPU multiplies matrices. A run gets all its memory in its workspace. */
#ifndef MFQ_HOST_CPU_GEMM_CPU_H
#define MFQ_HOST_CPU_GEMM_CPU_H

#include "host/core/module/context_state.h"
#include "host/core/problem/gemm_problem.h"

extern const mfq_way mfq_gemm_few_rows;
extern const mfq_way mfq_gemm_expanded;
extern const mfq_way mfq_gemm_reference;

/* The list. */
extern const mfq_ways mfq_cpu_products;

#endif
