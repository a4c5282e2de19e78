/* cuda/index_plans.h: from tensors and views to the plain structures that kernels walk by. */
#ifndef MFQ_CUDA_INDEX_PLANS_H
#define MFQ_CUDA_INDEX_PLANS_H

#include "host/core/problem/walk.h"
#include "cuda/prim/bitstream.cuh"
#include "cuda/prim/slots.cuh"
#include "cuda/prim/stat.cuh"

/* One block size for all kernels that take one item a thread. */
enum { ITEM_THREADS = 256 };

/* A grid of ITEM_THREADS for `items` threads; kernels step by thread_items(). */
dim3 mfq_cuda_item_grid(int64_t items);

__device__ __forceinline__ int64_t thread_item() { return (int64_t)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int64_t thread_items() { return (int64_t)gridDim.x * blockDim.x; }

element_view mfq_cuda_element_view(const mfq_tensor *tensor);
/* A tensor of the view's shape, rotated as its scheme says. */
rotated_view mfq_cuda_rotated_view(const mfq_tensor *tensor, const mfq_qview *view);
scale_slots mfq_cuda_scale_slots(const mfq_qview *view);
chunk_rows mfq_cuda_chunk_rows(const mfq_qview *view);

/* What a walk needs beyond mfq_walk; arrays are in code order and may be NULL. */
typedef struct mfq_walk_extras {
  const int64_t *other; /* strides of the second place */
  const int64_t *limit; /* sizes without padding */
  int has_logical;      /* linear.logical is wanted */
} mfq_walk_extras;

/* Puts the view's axis, which is `walk`'s last or has its place in the tensor, innermost: codes are walked through rotation
 * by rotation. */
void mfq_cuda_walk_rotations(const mfq_qview *view, mfq_walk *walk);
walk_plan mfq_cuda_walk_plan(const mfq_walk *walk, const mfq_walk_extras *extras);
walk_plan mfq_cuda_tensor_walk(const mfq_tensor *tensor); /* element by element, row-major */
box_plan mfq_cuda_box_plan(const mfq_walk *walk, const mfq_walk_extras *extras);

#endif
