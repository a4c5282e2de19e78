/* cuda/shared_scales.h: the statistics of scales, and what follows from them. */
#ifndef MFQ_CUDA_SHARED_SCALES_H
#define MFQ_CUDA_SHARED_SCALES_H

#include "index_plans.h"
#include "launch.cuh"

/* The context's scratch memory: single words, then slots. */
enum { SCRATCH_ABSMAX = 0, SCRATCH_TENSOR_SCALE = 1, SCRATCH_SLOTS = 64 };

/* How many scales find room in slots. */
enum { SLOTS_MAX = (MFQ_CUDA_SCRATCH_BYTES / 4 - SCRATCH_SLOTS) / STAT_SLOT_WORDS };

static inline uint32_t *mfq_cuda_scratch_word(const mfq_context *context, int word) {
  return (uint32_t *)(void *)mfq_cuda_state_of(context)->scratch + word;
}

/* A job of measuring: whose public function, for which view; the scheme is the view's, lowered. */
typedef struct mfq_scale_job {
  mfq_context *context;
  const char *function;
  const mfq_qview *view;
  const mfqn_scheme *scheme;
} mfq_scale_job;

/* Statistics that are collected in slots, which are reset: kernels merge into them by thread_ or warp_stat_merge.
 * At most SLOTS_MAX scales. */
mfq_status mfq_cuda_slots_reset(const mfq_scale_job *job, statistics *from);

/* Whether many elements share few scales, which find room in slots. */
int mfq_cuda_has_slots(const mfq_qview *view);

/* Statistics of the elements of `src`: in slots where many elements share few scales, otherwise measured by whoever
 * asks. */
mfq_status mfq_cuda_measure(const mfq_scale_job *job, const mfq_tensor *src, statistics *from);

/* UE4M3: the tensor scale to `tensor_scale` on the device, from all statistics; with `from` NULL from the word
 * SCRATCH_ABSMAX, the bits of the largest finite statistic. */
mfq_status mfq_cuda_tensor_scale(const mfq_scale_job *job, const statistics *from, float *tensor_scale);

/* Writes scales, their padding and zero points. Under UE4M3 the tensor scale is there already. */
mfq_status mfq_cuda_scales_finish(const mfq_scale_job *job, const statistics *from);

#endif
