/* cuda/cuda_state.h: what a context on a CUDA device holds. */
#ifndef MFQ_CUDA_STATE_H
#define MFQ_CUDA_STATE_H

#include <cuda_runtime.h>

#include "host/core/backend.h"
#include "host/core/module/context_state.h"

/* Device memory that a context owns from the start: operations never allocate. */
enum { MFQ_CUDA_SCRATCH_BYTES = 1 << 20 };

/* Behind it, of contexts but not of workspaces: what producers know of rows. */
enum { MFQ_CUDA_MADE_BYTES = 1 << 20 };

struct mfq_cublaslt; /* gemm/cublaslt.h */

typedef struct mfq_cuda_state {
  int device;
  cudaStream_t stream;     /* where work is queued */
  cudaStream_t own_stream; /* NULL until it is needed */
  cudaEvent_t order;       /* puts work of two streams in order */
  int processors;          /* multiprocessors */
  int capability;          /* 10 * major + minor */
  uint8_t *scratch;
  void *large
      [48]; /* more of it, each piece twice as large as the one before or more; work may still use the former ones */
  int32_t large_count;
  size_t large_bytes;            /* of the last one */
  const char *last_operation;    /* the public function whose work was queued last; named by asynchronous errors */
  struct mfq_cublaslt *cublaslt; /* NULL until a plan asks for it */
  cudaError_t lost;              /* what ended the use of this device, or cudaSuccess */
} mfq_cuda_state;

static inline mfq_cuda_state *mfq_cuda_state_of(const mfq_context *context) {
  return (mfq_cuda_state *)context->backend_state;
}

#endif
