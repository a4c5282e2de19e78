/* cuda/produce/produce_cuda.cu: the ways of producers. */
#include "host/core/problem/produce_problem.h"
#include "cuda/cuda_ops.h"

static mfq_status plan_nothing(mfq_context *, const void *, mfq_choice *, mfq_line *why) {
  return mfq_refuse(why, "producers are not offered here yet; use the CPU");
}

static const mfq_way general = {"general", plan_nothing, NULL, NULL};

const mfq_ways mfq_cuda_producers = {"mfq_norm_forward", NULL, 0, {&general}};
