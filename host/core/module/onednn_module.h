/* host/core/module/onednn_module.h: what the core and libmfq_onednn say to each other.
 *
 * oneDNN multiplies matrices and convolves for the CPU backend. It is a module, opened at run time, so that libmfq needs
 * nothing. */
#ifndef MFQ_HOST_CORE_ONEDNN_MODULE_H
#define MFQ_HOST_CORE_ONEDNN_MODULE_H

#include <mfq/conv.h>

#include "host/core/process/cpu_level.h"

/* D = A x B, batched: sizes batches x m x k, batches x k x n, batches x m x n. Strides are in elements, one of the last
 * two is 1 in A and in B, and the last of D is 1. */
typedef struct mfq_onednn_shape {
  int64_t batches, m, n, k;                      /* all >= 1 */
  mfq_dtype in, out;                             /* A and B: F32 or BF16; D: F32, or BF16 where A and B are */
  int64_t a_stride[3], b_stride[3], d_stride[3]; /* batch, then the two axes; 0 for the batch: shared */
  int32_t threads;
} mfq_onednn_shape;

/* A convolution x * w = y of dense arrays, channels last: x [N, in, C], w [K, filter, C/groups], y [N, out, K]. Axes of
 * space that are not there have one element, stride and dilation 1. The result is x, w or y by the direction. */
typedef struct mfq_onednn_conv {
  mfq_conv_direction direction;
  int64_t batch, groups, in_channels, out_channels; /* all >= 1; channels of one group */
  int64_t in[3], filter[3], out[3], stride[3], dilation[3], padding[3];
  mfq_dtype from, to; /* both operands: F32 or BF16; the result: F32, or BF16 where they are */
  int32_t threads;
} mfq_onednn_conv;

/* An order of a bf16 filter in blocks of output x input channels. In a block channels stand in pairs: of output channels,
 * as [out_block / 2][in_block][2], or of input channels, as [in_block / 2][out_block][2]. Blocks are whole, but for the
 * last one of output channels, where pairs are of input channels: that is padded with zeros. */
typedef struct mfq_onednn_order {
  int64_t out_block, in_block;
  int32_t has_output_pairs;
  int64_t out_stride, in_stride; /* from a block to the next, in elements */
  int64_t tap_stride[3];
} mfq_onednn_order;

/* What the module answers; equal version and sizes are the handshake, as in module.h. */
typedef struct mfq_onednn {
  const char *version; /* MFQ_VERSION_STRING; it and module_bytes stay the first two members in every version */
  size_t module_bytes, shape_bytes, conv_bytes;
  const char *library; /* "oneDNN 2.6.3" */
  /* Runs body(user, 0) ... body(user, threads - 1) on the threads that oneDNN has for the calling one. A run with
   * several is led by a thread of libmfq (team.h). */
  void (*spawn)(int threads, void (*body)(void *user, int thread), void *user);
  /* Has oneDNN use no instructions beyond a level's, but that it has nothing below SSE4.1. Returns 0 where it
   * does and cannot be stopped: once it was used in this process, or where it is built so. */
  int (*limit)(mfq_cpu_level highest);
  /* Return NULL when oneDNN has no implementation but its reference, with a reason. */
  void *(*plan)(const mfq_onednn_shape *shape, char *reason, size_t capacity);
  void *(*conv_plan)(const mfq_onednn_conv *conv, char *reason, size_t capacity);

  /* Of plans of both kinds. */
  void (*plan_free)(void *plan);
  const char *(*plan_name)(const void *plan);  /* oneDNN's name of the implementation: "brg:avx512_core_bf16" */
  size_t (*workspace_bytes)(const void *plan); /* what the caller lends */
  /* Puts w of a convolution, for FORWARD and INPUT_GRADIENT, into the workspace in oneDNN's own order, where any number of
   * runs find it. */
  int (*prepare)(const void *plan, const void *w, void *workspace);
  /* Several threads may run a plan at once. Returns 0, or oneDNN's status, as `prepare` does. A convolution's `a` is x, or y
   * for INPUT_GRADIENT; its `b` is y, which only WEIGHT_GRADIENT reads. */
  int (*run)(const void *plan, const void *a, const void *b, void *result, void *workspace);
  /* Returns 1, and how `prepare` lays out w from the first byte of the workspace on, where that has these words: a
   * caller that knows a faster way may do it in its place. */
  int (*order)(const void *plan, mfq_onednn_order *order);
} mfq_onednn;

/* The one symbol that the module exports, by this name. */
#define MFQ_ONEDNN_SYMBOL "mfq_onednn_module"
typedef const mfq_onednn *(*mfq_onednn_fn)(void);
const mfq_onednn *mfq_onednn_module(void); /* the module's own declaration; libmfq has no such function */

/* The module, looked for and opened until one is found, then kept; NULL with the reason in a sentence without its full
 * stop. Looked for: what MFQ_ONEDNN_MODULE in the environment names (an absolute path; empty: none, also where one was
 * found before), else libmfq_onednn.so.<version> beside libmfq, then by the loader. What was refused is looked at again
 * when the variable says something else. It keeps within `limit`, or is not to be had. */
const mfq_onednn *mfq_onednn_open(mfq_cpu_level limit, char *reason, size_t capacity);

#endif
