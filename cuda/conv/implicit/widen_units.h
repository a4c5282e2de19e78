/* cuda/conv/implicit/widen_units.h: operands of a convolution as dense bf16 in whole units, where they are not that already. */
#ifndef MFQ_CUDA_CONV_WIDEN_UNITS_H
#define MFQ_CUDA_CONV_WIDEN_UNITS_H

#include "host/core/problem/conv_problem.h"
#include "cuda/cuda_state.h"
#include "cuda/conv/implicit/implicit_gather.cuh"

/* The gathered or the direct operand of an implicit product, and how it is cut into units. */
typedef struct mfq_unit_rows {
  const mfq_conv_side *side;
  conv_units from;
  int64_t channels, groups; /* along from.unit_axis; of one group, and how many of these */
} mfq_unit_rows;

mfq_unit_rows mfq_cuda_gathered_units(const mfq_conv_problem *problem, const implicit_params *p);
mfq_unit_rows mfq_cuda_direct_units(const mfq_conv_problem *problem, const implicit_params *p);

/* Bytes of it as dense bf16; 0: it is bf16 in whole and aligned units where it lies. */
size_t mfq_cuda_unit_bytes(const mfq_unit_rows *rows);
/* Fills `side`, another one than the operand's, with what kernels read then: the operand as it lies, or a plain one in
 * `memory`. Its channels are apart as far as whole units of every group make them. */
void mfq_cuda_unit_side(const mfq_unit_rows *rows, void *memory, mfq_conv_side *side);
/* Queues the widening into `memory`, if there is any. */
mfq_status mfq_cuda_widen_units(mfq_context *lent, const mfq_unit_rows *rows, void *memory);

#endif
