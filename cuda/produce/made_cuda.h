/* cuda/produce/made_cuda.h: what the ways of producers share. */
#ifndef MFQ_CUDA_PRODUCE_MADE_CUDA_H
#define MFQ_CUDA_PRODUCE_MADE_CUDA_H

#include "host/core/problem/produce_problem.h"
#include "cuda/cuda_ops.h"
#include "cuda/launch.cuh"
#include "made_view.cuh"

/* ---- From problems to what kernels see (made_plan.cu) ------------------------------------------------------------ */

made_side mfq_cuda_made_side(const mfq_made *made, const mfq_made_side *side);
/* Whether rows of a side are read or written 16 bytes at a time; also where there is none. */
int mfq_cuda_is_wide(const mfq_made *made, const mfq_made_side *side);
/* All rows as results have them, without numbers; of a norm whose h is written h is read. */
made_params mfq_cuda_made_params(const mfq_made *made);
/* Results to results.plain, to float32 `dense` in the order of made->result, or to both; either may be NULL. */
mfq_status mfq_cuda_made_map(mfq_context *context, const char *function, const mfq_made *made, const made_params *rows,
                             float *dense);

/* ---- Row numbers and sums (made_numbers.cu) ---------------------------------------------------------------------- */

/* Rows go slab by slab through kernels that need their numbers, which have their place behind the context's scratch
 * memory. */
enum { SLAB_ROWS = 1 << 15 };
typedef struct made_slabs {
  made_params params; /* of the slab: what reads it is launched with these */
  int64_t done;       /* rows whose numbers were made once: h of norms is written by then, and losses are summed */
} made_slabs;

/* What does not go by slabs: sums of columns, how many rows of logits count. Before any result is written. */
mfq_status mfq_cuda_made_start(mfq_context *context, const char *function, const mfq_made *made, made_slabs *slabs);
/* Rows whose numbers are needed together, at most SLAB_ROWS of them; of others all. */
static inline int64_t mfq_cuda_made_slab(const mfq_made *made) {
  return mfqn_make_passes(&made->make) > 0 ? (int64_t)SLAB_ROWS : INT64_MAX;
}
/* The numbers of `rows` rows from `first` on, at most SLAB_ROWS; all but the last slab of a loss have as many, the first
 * time. After the last row the loss. */
mfq_status mfq_cuda_made_numbers(mfq_context *context, const char *function, const mfq_made *made, made_slabs *slabs,
                                 int64_t first, int64_t rows);

/* ---- Ways -------------------------------------------------------------------------------------------------------- */

extern const mfq_way mfq_cuda_produce_fast; /* results are quantized where they are made */

#endif
