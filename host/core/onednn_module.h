/* host/core/onednn_module.h: what the core and libmfq_onednn say to each other.
 *
 * oneDNN multiplies matrices for the CPU backend. It is a module, opened at run time, so that libmfq needs nothing. */
#ifndef MFQ_HOST_CORE_ONEDNN_MODULE_H
#define MFQ_HOST_CORE_ONEDNN_MODULE_H

#include <mfq/types.h>

/* D = A x B, batched: sizes batches x m x k, batches x k x n, batches x m x n. Strides are in elements, one of the last
 * two is 1 in A and in B, and the last of D is 1. */
typedef struct mfq_onednn_shape {
  int64_t batches, m, n, k;                      /* all >= 1 */
  mfq_dtype in, out;                             /* A and B: F32 or BF16; D: F32, or BF16 where A and B are */
  int64_t a_stride[3], b_stride[3], d_stride[3]; /* batch, then the two axes; 0 for the batch: shared */
  int32_t threads;
} mfq_onednn_shape;

/* What the module answers; equal version and sizes are the handshake, as in module.h. */
typedef struct mfq_onednn {
  const char *version; /* MFQ_VERSION_STRING; it and module_bytes stay the first two members in every version */
  size_t module_bytes, shape_bytes;
  const char *library; /* "oneDNN 2.6.3" */
  /* Returns NULL when oneDNN has no implementation for the shape but its reference, with a reason. */
  void *(*plan)(const mfq_onednn_shape *shape, char *reason, size_t capacity);
  void (*plan_free)(void *plan);
  const char *(*plan_name)(const void *plan);  /* oneDNN's name of the implementation: "brg:avx512_core_bf16" */
  size_t (*workspace_bytes)(const void *plan); /* oneDNN's scratchpad, which the caller lends */
  /* Several threads may run a plan at once. Returns 0, or oneDNN's status. */
  int (*run)(const void *plan, const void *a, const void *b, void *d, void *workspace);
} mfq_onednn;

/* The one symbol that the module exports, by this name. */
#define MFQ_ONEDNN_SYMBOL "mfq_onednn_module"
typedef const mfq_onednn *(*mfq_onednn_fn)(void);
const mfq_onednn *mfq_onednn_module(void); /* the module's own declaration; libmfq has no such function */

/* The module, looked for and opened until one is found, then kept; NULL with the reason in a sentence without its full
 * stop. Looked for: what MFQ_ONEDNN_MODULE in the environment names (empty: none, also where one was found before),
 * else libmfq_onednn.so.<version> beside libmfq, then by the loader. */
const mfq_onednn *mfq_onednn_open(char *reason, size_t capacity);

#endif
