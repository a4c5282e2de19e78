/* cuda/launch.cuh: the only place that launches kernels, and where CUDA's errors become ours. */
#ifndef MFQ_CUDA_LAUNCH_CUH
#define MFQ_CUDA_LAUNCH_CUH

#include "host/core/error.h"
#include "cuda_state.h"

/* OK, or a status with a sentence that names `function` and what CUDA says. An error that ends the use of the device is
 * remembered in the context (NULL: none), and names the work that was queued last. */
mfq_status mfq_cuda_status(mfq_context *context, cudaError_t error, const char *function);

/* The same of a call that queued work of `function`. */
static inline mfq_status mfq_cuda_queued(mfq_context *context, cudaError_t error, const char *function) {
  if (error != cudaSuccess) return mfq_cuda_status(context, error, function);
  mfq_cuda_state_of(context)->last_operation = function;
  return MFQ_OK;
}

/* Queues zeros. */
static inline mfq_status mfq_cuda_clear(mfq_context *context, void *memory, size_t bytes, const char *function) {
  if (bytes == 0) return MFQ_OK;
  return mfq_cuda_queued(context, cudaMemsetAsync(memory, 0, bytes, mfq_cuda_state_of(context)->stream), function);
}

/* A grid of kernels on the context's stream. */
typedef struct mfq_launch {
  const char *function; /* the public function it works for */
  dim3 grid;
  unsigned block;      /* threads */
  size_t shared_bytes; /* dynamic shared memory */
} mfq_launch;

/* Queues a kernel, which takes one plain structure by value. Nothing is launched for an empty grid. */
template <class Params>
mfq_status mfq_cuda_launch(mfq_context *context, const mfq_launch &at, void (*kernel)(Params), const Params &params) {
  if (at.grid.x == 0 || at.grid.y == 0 || at.grid.z == 0) return MFQ_OK;
  Params copy = params;
  void *arguments[] = {&copy};
  const cudaStream_t stream = mfq_cuda_state_of(context)->stream;
  return mfq_cuda_queued(context, cudaLaunchKernel(kernel, at.grid, dim3(at.block), arguments, at.shared_bytes, stream),
                         at.function);
}

#endif
