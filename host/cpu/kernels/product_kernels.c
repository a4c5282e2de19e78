/* host/cpu/kernels/product_kernels.c: the loops of product_kernels.h for the instruction set MFQ_ISA.
 *
 * Compiled with -ffp-contract=fast, as the only file: the order of the sums of a fast product is nobody's promise, nor is
 * whether its products are rounded. */
#include "product_pairs.h"
#include "tap_loops.h"

const mfq_product_loops MFQ_JOIN(mfq_product_loops_, MFQ_ISA)[MFQ_PRODUCT_UNITS] = {
    [MFQ_PRODUCT_F32] = {ROWS, COLS, 1, pack_f32, multiply_f32, accumulate, sum_taps},
#if defined(MFQ_HAS_PAIRS)
    [MFQ_PRODUCT_PAIRS] = {ROWS, COLS, 2, pack_pairs, multiply_pairs, accumulate, sum_taps},
#endif
};
