/* cuda/cuda_backend.cu: fills the backend table, and answers the core's handshake. */
#include "cuda_context.h"
#include "cuda_ops.h"
#include "host/core/problem/conv_problem.h"

mfq_status mfq_cuda_cast(mfq_context *context, const mfq_cast *cast) {
  mfq_cast_plan plan;
  const mfq_status status = mfq_cast_choose(context, cast, &plan);
  return status == MFQ_OK ? mfq_choice_run(context, &plan.choice, cast, NULL) : status;
}

namespace {

/* Each operation runs on the context's device, whichever is current. */

mfq_status cast(mfq_context *context, const mfq_cast *cast) {
  return mfq_cuda_enter(
      context, cast->function, [&] { return mfq_cuda_cast(context, cast); });
}

/* A library that is asked may allocate while other threads capture. */
mfq_status plan(mfq_context *context, const mfq_ways *ways, const void *problem, mfq_choice *choice) {
  return mfq_cuda_enter(
      context, ways->create,
      [&] {
        const mfq_status is_free = mfq_cuda_refuse_capture(context, ways->create, "a plan cannot be made then");
        const mfq_cuda_relaxed relaxed;
        return is_free == MFQ_OK ? mfq_choose(context, ways, problem, choice) : is_free;
      });
}

mfq_status run(mfq_context *context, const char *function, const mfq_choice *choice, const void *problem,
               void *workspace) {
  return mfq_cuda_enter(
      context, function, [&] { return mfq_choice_run(context, choice, problem, (uint8_t *)workspace); });
}

const mfq_backend backend = {
    .name = "cuda",
    .open = mfq_cuda_open,
    .close = mfq_cuda_close,
    .ways =
        {
#define MFQ_OP(op, kind, list, word) &mfq_cuda_##list,
#include <mfq/ops.def>
        },
    .cast = cast,
    .plan = plan,
    .run = run,
    .check_memory = mfq_cuda_check_memory,
    .synchronize = mfq_cuda_synchronize,
    .set_stream = mfq_cuda_set_stream,
    .stream = mfq_cuda_stream,
    .buffer_alloc = mfq_cuda_buffer_alloc,
    .buffer_free = mfq_cuda_buffer_free,
    .buffer_fill = mfq_cuda_buffer_fill,
    .buffer_write = mfq_cuda_buffer_write,
    .buffer_read = mfq_cuda_buffer_read,
    .buffer_copy = mfq_cuda_buffer_copy,
};

const mfq_module module = {
    .version = MFQ_VERSION_STRING,
    .module_bytes = sizeof(mfq_module),
    .backend_bytes = sizeof(mfq_backend),
    .context_bytes = sizeof(struct mfq_context),
    .options_bytes = sizeof(mfq_context_options),
    .view_bytes = sizeof(mfq_qview),
    .problem_bytes = sizeof(mfq_gemm_problem),
    .conv_problem_bytes = sizeof(mfq_conv_problem),
    .choice_bytes = sizeof(mfq_choice),
    .cast_bytes = sizeof(mfq_cast),
    .backend = &backend,
    .device_count = mfq_cuda_device_count,
    .device_describe = mfq_cuda_device_describe,
    .device_of = mfq_cuda_device_of,
};

} // namespace

extern "C" MFQ_EXPORT const mfq_module *mfq_cuda_module(const mfq_core_services *services) {
  return mfq_cuda_serve(services) ? &module : NULL;
}
