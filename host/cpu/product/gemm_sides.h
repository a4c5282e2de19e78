/* host/cpu/product/gemm_sides.h: operands of a product on the CPU: quantized on the way into a workspace, and what scales
 * rows. */
#ifndef MFQ_HOST_CPU_GEMM_SIDES_H
#define MFQ_HOST_CPU_GEMM_SIDES_H

#include "host/core/problem/gemm_problem.h"
#include "host/cpu/cpu_state.h"

/* A copy of a context whose scratch memory is `scratch`: operations on it touch nothing that runs of other threads
 * use. */
mfq_context mfq_cpu_lend(const mfq_context *context, void *scratch, size_t bytes);

/* The scratch memory that quantizing a side on the way needs; 0 for others. */
size_t mfq_cpu_side_scratch(const mfq_context *context, const mfq_gemm_side *side);

/* Fills `ready` with a side that is not TO_QUANTIZE: the same one, or, quantized into `memory` on the context `lent`,
 * QUANTIZED. */
mfq_status mfq_cpu_side_ready(mfq_context *lent, const mfq_gemm_side *side, uint8_t *memory, mfq_gemm_side *ready);

#endif
