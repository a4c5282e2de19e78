/* cuda/optimizer/optimizer_cuda.cu: the ways of an optimizer's step. */
#include "cuda/cuda_ops.h"

static mfq_status plan(mfq_context *, const void *, mfq_choice *, mfq_line *why) {
  return mfq_refuse(why, "optimizers are not offered here yet; use the CPU");
}

static const mfq_way none = {"none", plan, NULL, NULL};

const mfq_ways mfq_cuda_optimizations = {"mfq_optimizer_create", NULL, 0, {&none}};
