/* cuda/conv/implicit/implicit.h: running convolutions by tiles, whichever matrix instructions multiply them. */
#ifndef MFQ_CUDA_CONV_IMPLICIT_H
#define MFQ_CUDA_CONV_IMPLICIT_H

#include "cuda/conv/conv_cuda.h"
#include "cuda/conv/conv_params.h"
#include "implicit_plan.h"

/* A kernel, and the tile of a block. */
typedef struct mfq_implicit_tile {
  int32_t columns;      /* and TILE_ROWS rows */
  int32_t depth;        /* of a piece: what a part of the depth has a whole number of */
  int32_t blocks;       /* at once on a multiprocessor */
  int32_t shared_bytes; /* dynamic */
  void (*kernel)(implicit_params);
} mfq_implicit_tile;

/* How a convolution is run: the state of a row. */
typedef struct mfq_implicit_plan {
  mfq_implicit_tile tile;
  mfq_implicit_steps steps;
  int32_t parts;  /* of the depth, in blocks of their own */
  int is_direct;  /* sums are the result but for its dtype, and are written there */
  size_t scratch; /* places in the workspace */
  mfq_conv_parts sides;
  size_t sums, end;
} mfq_implicit_plan;

/* Which of a direction's orders of units in shared memory a problem has: 0 both along depth, 1 the direct operand's
 * across it, 2 both across it. */
int mfq_cuda_implicit_kind(const mfq_conv_problem *problem, const implicit_params *p);

/* Plans a problem that mfq_cuda_implicit_refuses does not refuse. Returns NULL, or why another row is to be asked. */
const char *mfq_cuda_implicit_make_plan(mfq_context *context, const mfq_conv_problem *problem,
                                        const mfq_implicit_tile *tile, mfq_implicit_plan *plan);

/* Queues everything. */
mfq_status mfq_cuda_implicit_run(mfq_context *context, const mfq_conv_problem *problem, const mfq_implicit_plan *plan,
                                 uint8_t *workspace);

#endif
