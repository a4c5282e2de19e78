/* cuda/fakequant/fake_rotated_kernel.cuh: rotates, quantizes, dequantizes and rotates back in one step.
 *
 * A thread has an element, its neighbours in the block have those of its rotation, and where scales are measured also those
 * of its group: a span of whole rotations and whole groups. Scales of more elements are measured into slots before, a
 * thread a scale turns each slot into its scale; given ones are read where they stand. One read of an element, one write. */
#ifndef MFQ_CUDA_FAKEQUANT_FAKE_ROTATED_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_FAKE_ROTATED_KERNEL_CUH

#include "cuda/prim/random.cuh"
#include "rotation_spans.cuh"

/* What turned_scales_kernel leaves in a slot. */
enum { TURNED_STORED = 0, TURNED_ZERO_POINT = 1 };

typedef struct fake_rotated_params {
  mfqn_scheme scheme;
  scale_slots given;             /* scales NULL: none are given */
  statistics from;               /* slots NULL: scales are measured here, or given */
  const float *tensor_scale;     /* of measured scales; NULL: it is 1 */
  rotation_spans at;             /* at.other in the target */
  walk_plan of_scales;           /* at.offset: in the scales that the caller wants */
  element_view src, dst, wanted; /* data NULL: none are wanted */
  int32_t is_given;
  uint64_t seed, offset;
} fake_rotated_params;

__device__ __forceinline__ float thread_tensor_scale_of(const fake_rotated_params &p) {
  if (p.is_given) return thread_tensor_scale(p.given);
  return p.tensor_scale ? mfqn_float_of(ptx_load<uint32_t>(p.tensor_scale)) : 1.0f;
}

__device__ __forceinline__ void thread_want_scale(const fake_rotated_params &p, int64_t scale, const mfqn_group &g) {
  if (p.wanted.data)
    thread_store_limited(p.wanted, thread_walk_at(p.of_scales, scale).at.offset, mfqn_whole_scale(&p.scheme, &g));
}

__global__ void __launch_bounds__(ITEM_THREADS) turned_scales_kernel(const __grid_constant__ fake_rotated_params p) {
  const float tensor_scale = thread_tensor_scale_of(p);
  for (int64_t i = thread_item(); i < p.from.count; i += thread_items()) {
    const mfqn_statistic statistic = thread_statistic(p.from, p.scheme, i);
    const mfqn_group g = mfqn_group_make(&p.scheme, &statistic, tensor_scale);
    uint32_t *slot = p.from.slots + i * STAT_SLOT_WORDS;
    thread_want_scale(p, i, g);
    ptx_store<uint32_t>(slot + TURNED_STORED, g.stored);
    ptx_store<uint32_t>(slot + TURNED_ZERO_POINT, (uint32_t)g.zero_point);
  }
}

__device__ __forceinline__ mfqn_group thread_known_group(const fake_rotated_params &p, int64_t scale,
                                                         float tensor_scale) {
  if (p.is_given) return thread_stored_group(p.given, p.scheme, scale, tensor_scale);
  const uint32_t *slot = p.from.slots + scale * STAT_SLOT_WORDS;
  mfqn_group g = mfqn_group_load(&p.scheme, ptx_load<uint32_t>(slot + TURNED_STORED), tensor_scale);
  g.zero_point = (int32_t)ptx_load<uint32_t>(slot + TURNED_ZERO_POINT);
  return g;
}

/* Those of the group are in `memory`. */
__device__ __forceinline__ mfqn_group thread_measured_group(const fake_rotated_params &p, const turned_place &t,
                                                            rotation_memory &memory, float tensor_scale) {
  const turned_group group = thread_turned_group(p.at, t);
  const mfqn_statistic statistic = thread_turned_statistic(p.from, group, t.at.scale, memory);
  const mfqn_group g = mfqn_group_make(&p.scheme, &statistic, tensor_scale);
  if (group.place == 0) thread_want_scale(p, t.at.scale, g);
  return g;
}

__global__ void __launch_bounds__(ROTATION_THREADS) fake_rotated_kernel(const __grid_constant__ fake_rotated_params p) {
  __shared__ rotation_memory memory;
  const float tensor_scale = thread_tensor_scale_of(p);
  const int64_t step = thread_spans_of_block(p.at);
  const int measures = !p.is_given && !p.from.slots;
  random_source random = thread_random_source(p.scheme, p.seed, p.offset);
  for (int64_t first = blockIdx.x * step; first < p.at.count; first += (int64_t)gridDim.x * step) {
    const turned_place t = thread_turned_place(p.at, first);
    uint32_t u = t.is_there ? thread_load_element(p.src, t.at.at.offset) : 0u;
    u = block_rotate(memory, p.scheme.rotation, u, 0);
    ptx_sync_block(); /* the rotation is through with its memory */
    memory.store((int)threadIdx.x, mfqn_float_of(u));
    ptx_sync_block();
    uint32_t value = 0;
    if (t.is_there) {
      const mfqn_group g = measures ? thread_measured_group(p, t, memory, tensor_scale)
                                    : thread_known_group(p, t.at.scale, tensor_scale);
      value = mfqn_fake(&p.scheme, &g, u, thread_random(&random, t.at.at.logical));
    }
    value = block_rotate(memory, p.scheme.rotation, value, 1);
    if (t.is_there) thread_store_limited(p.dst, t.at.at.other, value);
    ptx_sync_block();
  }
}

#endif
