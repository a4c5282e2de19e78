/* cuda/fakequant/gradient_rotated_kernel.cuh: the backward of rotated schemes: rotates elements and the upstream gradient,
 * passes what passes there, and rotates the gradient back.
 *
 * A thread has an element, its neighbours in the block have those of its rotation. Scales of whole groups of a span are
 * measured, and their sums made, by each thread that has one of its elements, out of shared memory; of longer scales both
 * are known from kernels before. */
#ifndef MFQ_CUDA_FAKEQUANT_GRADIENT_ROTATED_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_GRADIENT_ROTATED_KERNEL_CUH

#include "gradient_kernel.cuh"
#include "rotation_spans.cuh"

typedef struct gradient_rotated_params {
  gradient_params of;
  rotation_spans at;      /* at.other in the upstream gradient */
  int32_t is_on_the_spot; /* spans have whole groups: these are measured, if they are to be, and summed here */
} gradient_rotated_params;

/* The scale of an element. Elements of its group are in `memory`. */
__device__ __forceinline__ gradient_scale thread_turned_scale(const gradient_rotated_params &p, const turned_place &t,
                                                              rotation_memory &memory) {
  const gradient_params &of = p.of;
  if (!p.is_on_the_spot || !mfqn_is_measured(&of.scheme)) return thread_gradient_scale(of, t.at.scale);
  gradient_scale s = {{}, thread_turned_statistic(of.from, thread_turned_group(p.at, t), t.at.scale, memory), {}};
  s.group = mfqn_group_make(&of.scheme, &s.statistic, thread_measured_tensor_scale(of));
  return s;
}

/* The sum of a group's terms, which are in `memory`. */
__device__ __forceinline__ float thread_turned_sum(const turned_group &group, rotation_memory &memory) {
  mfqn_tree tree;
  tree.count = 0;
#pragma unroll 1
  for (int i = group.first; i < group.end; ++i) mfqn_tree_add(&tree, memory.load(i));
  return mfqn_tree_sum(&tree);
}

/* Sums of the group of an element, and what follows from them; all threads of a block come here. */
__device__ __forceinline__ mfqn_gradient_totals block_turned_totals(const gradient_rotated_params &p,
                                                                    const turned_place &t, const gradient_scale &s,
                                                                    const gradient_element &e,
                                                                    rotation_memory &memory) {
  const gradient_params &of = p.of;
  const turned_group group = thread_turned_group(p.at, t);
  mfqn_gradient_partial sums = {0.0f, 0.0f, mfqn_spots_none(of.is_shared)};
  const int64_t first = t.at.at.logical - group.place * p.at.logical_step;
  if (t.is_there && of.through_scale)
#pragma unroll 1
    for (int i = group.first; i < group.end; ++i)
      sums.spots = mfqn_spots_merge(
          sums.spots,
          thread_gradient_spots(of, s, mfqn_bits(memory.load(i)), first + (i - group.first) * p.at.logical_step),
          of.is_shared);
  ptx_sync_block();
  memory.store((int)threadIdx.x, mfqn_gradient_scale_term(&e.passage, of.ste, e.dy));
  ptx_sync_block();
  if (t.is_there) sums.scale = thread_turned_sum(group, memory);
  if (of.scheme.has_zero_point) {
    ptx_sync_block();
    memory.store((int)threadIdx.x, mfqn_gradient_zero_point_term(&e.passage, of.ste, e.dy));
    ptx_sync_block();
    if (t.is_there) sums.zero_point = thread_turned_sum(group, memory);
  }
  mfqn_gradient_totals totals = {{0.0f, 0.0f}, sums.spots};
  if (!t.is_there) return totals;
  if (group.place == 0) return thread_finish_scale(of, s, t.at.scale, sums);
  const float dz = mfqn_gradient_zero_point(&s.group, sums.zero_point);
  if (of.through_scale) totals.extremes = mfqn_gradient_extremes(&of.scheme, &s.statistic, &s.group, sums.scale, dz);
  return totals;
}

__global__ void __launch_bounds__(ROTATION_THREADS, 1)
    gradient_rotated_kernel(const __grid_constant__ gradient_rotated_params p) {
  __shared__ rotation_memory memory;
  const gradient_params &of = p.of;
  const mfqn_rotation &rotation = of.scheme.rotation;
  const int64_t step = thread_spans_of_block(p.at);
  for (int64_t first = blockIdx.x * step; first < p.at.count; first += (int64_t)gridDim.x * step) {
    const turned_place t = thread_turned_place(p.at, first);
    const int64_t place = t.at.at.logical;
    gradient_element e = {};
    e.u = block_rotate(memory, rotation, t.is_there ? thread_load_element(of.from.src.of, t.at.at.offset) : 0u, 0);
    ptx_sync_block(); /* the rotation is through with its memory */
    e.dy = mfqn_float_of(
        block_rotate(memory, rotation, t.is_there ? thread_load_element(of.upstream.of, t.at.at.other) : 0u, 0));
    ptx_sync_block();
    memory.store((int)threadIdx.x, mfqn_float_of(e.u));
    ptx_sync_block();
    gradient_scale s = {};
    if (t.is_there) {
      s = thread_turned_scale(p, t, memory);
      e.passage = mfqn_element_passage(&of.scheme, &s.group, e.u, thread_gradient_random(of, place));
    }
    mfqn_gradient_totals totals = {{0.0f, 0.0f}, {-1, -1}};
    if (of.has_sums && p.is_on_the_spot)
      totals = block_turned_totals(p, t, s, e, memory);
    else if (t.is_there)
      totals = thread_totals(of, t.at.scale);
    uint32_t gradient = t.is_there ? thread_whole_gradient(of, s, totals, e, place) : 0u;
    ptx_sync_block();
    gradient = block_rotate(memory, rotation, gradient, 1);
    if (t.is_there) thread_store_element(of.dx, thread_walk_at(of.to, place).at.offset, gradient);
    ptx_sync_block();
  }
}

#endif
