/* host/cpu/kernels/few_kernels.c: the loops of few_kernels.h for the instruction set MFQ_ISA. */
#include "few_rows_loops.h"

const mfq_few_kernels MFQ_JOIN(mfq_few_kernels_, MFQ_ISA) = {
    .lanes = LANES,
    .nibble_order = {MFQ_NIBBLE_ORDER},
    .scales = few_scales,
    .f32 = few_f32,
#ifdef MFQ_CODES512
    .bf16 = few_bf16,
#endif
};
