/* bench/conv/conv_cudnn.h: the part of cuDNN's older interface that the benchmark calls, as its header of version 9
 * declares it. Declared here because that header is rarely installed, and the library is opened when it is there. */
#ifndef MFQ_BENCH_CONV_CUDNN_H
#define MFQ_BENCH_CONV_CUDNN_H

#include <stddef.h>

#include <mfq/context.h>

enum { CUDNN_SUCCESS = 0 };                             /* cudnnStatus_t */
enum { CUDNN_DATA_FLOAT = 0, CUDNN_DATA_BFLOAT16 = 9 }; /* cudnnDataType_t */
enum { CUDNN_TENSOR_NHWC = 1 };                         /* cudnnTensorFormat_t */
enum { CUDNN_CROSS_CORRELATION = 1 };                   /* cudnnConvolutionMode_t: the filter is not mirrored */
enum { CUDNN_TENSOR_OP_MATH = 1 };                      /* cudnnMathType_t */

/* cudnnConvolution{Fwd,BwdData,BwdFilter}AlgoPerf_t: enumerators are int */
typedef struct cudnn_perf {
  int algorithm, status;
  float time;
  size_t memory;
  int determinism, math_type, reserved[3];
} cudnn_perf;

/* Handles and descriptors are opaque pointers. cudnnFindConvolution<direction>Algorithm: of the two operands, the
 * convolution and the result. */
typedef int (*cudnn_find)(void *handle, const void *a, const void *b, const void *convolution, const void *result,
                          int wanted, int *found, cudnn_perf *perf);
/* cudnnGetConvolution<direction>WorkspaceSize */
typedef int (*cudnn_workspace)(void *handle, const void *a, const void *b, const void *convolution, const void *result,
                               int algorithm, size_t *bytes);
/* cudnnConvolution<direction> */
typedef int (*cudnn_run)(void *handle, const void *alpha, const void *a, const void *a_data, const void *b,
                         const void *b_data, const void *convolution, int algorithm, void *workspace,
                         size_t workspace_bytes, const void *beta, const void *result, void *result_data);

typedef struct cudnn_direction {
  cudnn_find find;
  cudnn_workspace workspace;
  cudnn_run run;
} cudnn_direction;

typedef struct cudnn_calls {
  size_t (*version)(void);
  int (*create)(void **handle);
  int (*set_stream)(void *handle, mfq_stream stream);
  const char *(*error)(int status);
  int (*tensor_create)(void **tensor);
  int (*tensor_destroy)(void *tensor);
  int (*tensor_set)(void *tensor, int format, int type, int n, int c, int h, int w);
  int (*filter_create)(void **filter);
  int (*filter_destroy)(void *filter);
  int (*filter_set)(void *filter, int type, int format, int k, int c, int r, int s);
  int (*convolution_create)(void **convolution);
  int (*convolution_destroy)(void *convolution);
  int (*convolution_set)(void *convolution, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h,
                         int dilation_w, int mode, int type);
  int (*convolution_groups)(void *convolution, int groups);
  int (*convolution_math)(void *convolution, int math_type);
  cudnn_direction directions[3]; /* by mfq_conv_direction */
} cudnn_calls;

#endif
