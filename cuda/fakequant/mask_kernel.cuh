/* cuda/fakequant/mask_kernel.cuh: the mask of a fake quantization, before its values are written: a thread has whole bytes,
 * which is what a block of random bits is for too. Scales that nobody has left anywhere are measured by each thread that
 * meets them. */
#ifndef MFQ_CUDA_FAKEQUANT_MASK_KERNEL_CUH
#define MFQ_CUDA_FAKEQUANT_MASK_KERNEL_CUH

#include <mfq/num/gradient.h>

#include "fake_kernel.cuh"

typedef struct fake_mask_params {
  fake_scales scales; /* that are measured; in slots there are stored scales (FAKE_STORED) */
  scale_slots given;
  int32_t is_given;
  walk_plan walk; /* in logical order: at.offset in the source */
  element_view src;
  uint64_t seed, offset;
  uint8_t *bits;
} fake_mask_params;

__device__ __forceinline__ mfqn_group thread_mask_group(const fake_mask_params &p, int64_t scale, float tensor_scale) {
  const mfqn_scheme &s = p.scales.scheme;
  if (p.is_given) return thread_stored_group(p.given, s, scale, tensor_scale);
  if (!p.scales.from.slots) {
    const mfqn_statistic statistic = thread_statistic(p.scales.from, s, scale);
    return mfqn_group_make(&s, &statistic, tensor_scale);
  }
  return thread_fake_slot(p.scales.from.slots, s, scale, tensor_scale);
}

__global__ void __launch_bounds__(ITEM_THREADS) fake_mask_kernel(const __grid_constant__ fake_mask_params p) {
  const float tensor_scale = p.is_given ? thread_tensor_scale(p.given) : thread_scale_or_one(p.scales.tensor_scale);
  random_source random = thread_random_source(p.scales.scheme, p.seed, p.offset);
  for (int64_t first = 8 * thread_item(); first < p.walk.count; first += 8 * thread_items()) {
    walk_place at = thread_walk_at(p.walk, first);
    mfqn_group g = thread_mask_group(p, at.scale, tensor_scale);
    uint32_t byte = 0;
    for (int32_t k = 0; k < 8; ++k) {
      const uint32_t u = thread_load_element(p.src, at.at.offset), word = thread_random(&random, first + k);
      byte |= mfqn_element_passage(&p.scales.scheme, &g, u, word).passes << k;
      if (first + k + 1 >= p.walk.count) break;
      const int64_t scale = at.scale;
      thread_walk_next(p.walk, &at);
      if (at.scale != scale) g = thread_mask_group(p, at.scale, tensor_scale);
    }
    ptx_store<uint8_t>(p.bits + first / 8, (uint8_t)byte);
  }
}

#endif
