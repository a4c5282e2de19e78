/* cuda/cuda_ops.h: the operations of the CUDA backend. */
#ifndef MFQ_CUDA_OPS_H
#define MFQ_CUDA_OPS_H

#include "host/core/problem/cast_problem.h"

/* The lists of ways, one for each operation. */
#define MFQ_OP(op, kind, list, word) extern const mfq_ways mfq_cuda_##list;
#include <mfq/ops.def>

/* Queues a cast on the context's device. */
mfq_status mfq_cuda_cast(mfq_context *context, const mfq_cast *cast);

/* The same of what products do with their operands. */
static inline mfq_status mfq_cuda_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *view) {
  const mfq_cast cast = mfq_cast_quantize(src, view, NULL);
  return mfq_cuda_cast(context, &cast);
}
static inline mfq_status mfq_cuda_dequantize(mfq_context *context, const mfq_qview *view, const mfq_tensor *dst) {
  const mfq_cast cast = mfq_cast_dequantize(view, dst);
  return mfq_cuda_cast(context, &cast);
}

static inline mfq_status mfq_cuda_refuse_rotation(mfq_line *why) {
  return mfq_refuse(why, "rotated elements are not offered here; quantize and dequantize them, or use the CPU");
}

/* The plan of a general way that knows no rotations. */
static inline mfq_status mfq_cuda_plan_unrotated(mfq_context *context, const void *problem, mfq_choice *choice,
                                                 mfq_line *why) {
  if (mfq_cast_is_rotated((const mfq_cast *)problem)) return mfq_cuda_refuse_rotation(why);
  return mfq_plan_general(context, problem, choice, why);
}

/* The state of a cast's plan, all zeros. */
template <class State>
mfq_status mfq_cuda_cast_state(mfq_context *context, const mfq_cast *cast, mfq_choice *choice, State **state) {
  static_assert(sizeof(State) <= MFQ_CAST_STATE && alignof(State) <= alignof(uint64_t), "a plan finds room");
  const mfq_status status = mfq_choice_state(context, cast->function, sizeof(State), choice);
  *state = static_cast<State *>(choice->state);
  return status;
}

#endif
