/* cuda/conv/implicit/implicit.h: convolutions by tiles, whichever matrix instructions multiply them: what their kernels take,
 * how results are cut into steps, and how they are run. */
#ifndef MFQ_CUDA_CONV_IMPLICIT_H
#define MFQ_CUDA_CONV_IMPLICIT_H

#include "cuda/conv/conv_cuda.h"
#include "cuda/conv/conv_params.h"
#include "cuda/gemm/finish_cuda.h"
#include "implicit_gather.cuh"

/* Whether a problem is walked by pixels (implicit_gather.cuh), or by taps. */
static inline int mfq_implicit_is_by_pixels(const mfq_conv_problem *problem) {
  return problem->direction == MFQ_CONV_WEIGHT_GRADIENT;
}

/* Why tiles of bf16 cannot take a problem on this device, or NULL. */
const char *mfq_cuda_implicit_refuses(const mfq_context *context, const mfq_conv_problem *problem);

/* The whole of a problem, whose sides are PLAIN or have their codes in memory: what does not depend on tiles or steps.
 * Units of the direct operand lie along axis 0 where its elements do and the direction sums over it. */
void mfq_cuda_implicit_params(const mfq_conv_problem *problem, implicit_params *p);

/* Whether an operand comes one element at a time. */
static inline int mfq_cuda_implicit_is_slow(const implicit_params *p) {
  return p->a.source == UNIT_ELEMENTS || p->b.source == UNIT_ELEMENTS;
}

/* The result in steps: boxes of images and pixels, or, for the gradient of the weight, of groups and output channels,
 * each dense in the sums. All axes before `axis` have one index in a step, that one `chunk`, those behind it all. */
typedef struct mfq_implicit_steps {
  int64_t shape[4];
  int32_t axis;
  int64_t chunk, count;
  int64_t floats; /* of an index of the last axis */
} mfq_implicit_steps;

typedef struct mfq_implicit_step {
  int64_t lo[4], size[4];
  int64_t first, items; /* in the dense sums of the result, in floats */
} mfq_implicit_step;

/* Steps of at most `most_bytes` of sums where that is possible; 0: one step. */
mfq_implicit_steps mfq_cuda_implicit_steps(const mfq_conv_problem *problem, size_t most_bytes);
mfq_implicit_step mfq_cuda_implicit_step(const mfq_implicit_steps *steps, int64_t index);

/* Makes `p` of the whole the launch of a step, which writes f32 sums, one part of the depth behind the other, */
void mfq_cuda_implicit_take_step(const mfq_conv_problem *problem, const mfq_implicit_step *step, float *sums,
                                 implicit_params *p);
/* or, of everything, the result itself. */
void mfq_cuda_implicit_take_result(const mfq_conv_problem *problem, implicit_params *p);
/* The sums of a step as their finish takes them. */
mfq_cuda_sums mfq_cuda_implicit_sums(const mfq_conv_problem *problem, const mfq_implicit_step *step, float *memory);

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
  int32_t parts;        /* of the depth, in blocks of their own */
  int is_direct;        /* sums are the result but for its dtype, and are written there */
  mfq_conv_parts sides; /* places in the workspace */
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
