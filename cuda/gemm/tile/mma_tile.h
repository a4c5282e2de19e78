/* cuda/gemm/tile/mma_tile.h: our own product of two operands that bf16 holds, tile by tile. */
#ifndef MFQ_CUDA_GEMM_MMA_TILE_H
#define MFQ_CUDA_GEMM_MMA_TILE_H

#include "cuda/gemm/finish_cuda.h"

enum { MFQ_CUDA_TILE = 128 }; /* rows of A and of B of a tile, and of a slab */

/* Which slabs of 128 rows to compute, on the device: the tile of slabs i of A and j of B is computed where the word
 * a[i] or b[j] is not 0, and its sums stay as they are elsewhere. Batch x of a side begins at word x * ceil(rows / 128);
 * a side that all batches share has one set. NULL: no slab of that side is marked; both NULL: everything is
 * computed. */
typedef struct mfq_cuda_tile_flags {
  const uint32_t *a, *b;
} mfq_cuda_tile_flags;

/* Why the product of tiles cannot take a problem's operands on this device, or NULL. */
const char *mfq_cuda_gemm_tile_refuses(const mfq_context *context, const mfq_gemm_problem *problem);

/* Queues the f32 sums of a problem: element values times group scales, without the factors of the finish. Sides that
 * are to be quantized have been, into the memory of their view. `sums->first_row` is a multiple of 128. */
mfq_status mfq_cuda_gemm_tile_slabs(mfq_context *context, const mfq_gemm_problem *problem,
                                    const mfq_cuda_tile_flags *flags, const mfq_cuda_sums *sums);

/* The same of a problem whose sums are D (mfq_finish_is_bare): `rows` says which, and its memory is D's
 * own, of any dtype. */
mfq_status mfq_cuda_gemm_tile_d(mfq_context *context, const mfq_gemm_problem *problem, const mfq_cuda_tile_flags *flags,
                                const mfq_cuda_sums *rows);

#endif
