/* host/cpu/conv/conv_ref.h: the reproducible convolution: any problem, the same bits with every instruction set and thread
 * count. */
#ifndef MFQ_HOST_CPU_CONV_REF_H
#define MFQ_HOST_CPU_CONV_REF_H

#include "host/core/module/context_state.h"
#include "host/core/problem/conv_problem.h"

/* Bytes of workspace for a run. */
size_t mfq_conv_ref_bytes(const mfq_context *context, const mfq_conv_problem *problem);

/* The result has elements. `workspace` is aligned to 256; the context is only read. */
mfq_status mfq_conv_ref_run(const mfq_context *context, const mfq_conv_problem *problem, void *workspace);

#endif
