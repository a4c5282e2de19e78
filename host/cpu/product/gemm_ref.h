/* host/cpu/product/gemm_ref.h: the reproducible product: any problem, the same bits with every instruction set and thread
 * count. */
#ifndef MFQ_HOST_CPU_GEMM_REF_H
#define MFQ_HOST_CPU_GEMM_REF_H

#include "host/core/module/context_state.h"
#include "host/core/problem/gemm_problem.h"

/* Bytes of workspace for a run. */
size_t mfq_gemm_ref_bytes(const mfq_context *context, const mfq_gemm_problem *problem);

/* D has elements. `workspace` is aligned to 256; the context is only read. */
mfq_status mfq_gemm_ref_run(const mfq_context *context, const mfq_gemm_problem *problem, void *workspace);

#endif
