/* bench/conv/conv_cudnn.c: the peer on a GPU: cuDNN's bf16 convolution, channels last, by the algorithm that its own
 * search finds fastest. Opened at run time, never linked; MFQ_CUDNN names another file. */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <stdlib.h>

#include "conv_bench.h"

/* ---- Its older interface, as its header of version 9 declares it, which is rarely installed ---------------------- */

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

/* ---- The peer --------------------------------------------------------------------------------------------------- */

enum { ALGORITHMS = 8 };

typedef struct cudnn {
  const cudnn_calls *calls;
  void *handle;
  const cudnn_direction *direction;
  const conv_memory *memory;
  void *convolution;
  void *tensors[CONV_TENSORS]; /* x, the filter w, y */
  int algorithm;
  mfq_buffer *workspace;
} cudnn;

/* ---- The library ------------------------------------------------------------------------------------------------ */

/* Opening it takes a second, so that it stays: with one handle, for the stream of the first context that asks. */
typedef struct cudnn_library {
  int is_tried;
  char missing[256]; /* why there is none */
  cudnn_calls calls;
  void *handle;
} cudnn_library;

static int take_all(void *library, cudnn_calls *c) {
  cudnn_direction *forward = &c->directions[MFQ_CONV_FORWARD], *input = &c->directions[MFQ_CONV_INPUT_GRADIENT],
                  *weight = &c->directions[MFQ_CONV_WEIGHT_GRADIENT];
  const bench_function all[] = {{"cudnnGetVersion", &c->version},
                                {"cudnnCreate", &c->create},
                                {"cudnnSetStream", &c->set_stream},
                                {"cudnnGetErrorString", &c->error},
                                {"cudnnCreateTensorDescriptor", &c->tensor_create},
                                {"cudnnDestroyTensorDescriptor", &c->tensor_destroy},
                                {"cudnnSetTensor4dDescriptor", &c->tensor_set},
                                {"cudnnCreateFilterDescriptor", &c->filter_create},
                                {"cudnnDestroyFilterDescriptor", &c->filter_destroy},
                                {"cudnnSetFilter4dDescriptor", &c->filter_set},
                                {"cudnnCreateConvolutionDescriptor", &c->convolution_create},
                                {"cudnnDestroyConvolutionDescriptor", &c->convolution_destroy},
                                {"cudnnSetConvolution2dDescriptor", &c->convolution_set},
                                {"cudnnSetConvolutionGroupCount", &c->convolution_groups},
                                {"cudnnSetConvolutionMathType", &c->convolution_math},
                                {"cudnnFindConvolutionForwardAlgorithm", &forward->find},
                                {"cudnnGetConvolutionForwardWorkspaceSize", &forward->workspace},
                                {"cudnnConvolutionForward", &forward->run},
                                {"cudnnFindConvolutionBackwardDataAlgorithm", &input->find},
                                {"cudnnGetConvolutionBackwardDataWorkspaceSize", &input->workspace},
                                {"cudnnConvolutionBackwardData", &input->run},
                                {"cudnnFindConvolutionBackwardFilterAlgorithm", &weight->find},
                                {"cudnnGetConvolutionBackwardFilterWorkspaceSize", &weight->workspace},
                                {"cudnnConvolutionBackwardFilter", &weight->run}};
  return bench_take_functions(library, all, (int)(sizeof all / sizeof all[0]));
}

static const char *open_library(cudnn_library *l, const mfq_context *context) {
  const char *file = getenv("MFQ_CUDNN");
  if (file == NULL && bench_is_emulated(context)) return "cuDNN does not run on an emulated device";
  void *library = dlopen(file != NULL ? file : "libcudnn.so.9", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == NULL) return dlerror();
  if (!take_all(library, &l->calls)) return "this cuDNN lacks functions of version 9";
  int status = l->calls.create(&l->handle);
  if (status == CUDNN_SUCCESS) status = l->calls.set_stream(l->handle, mfq_context_stream(context));
  return status == CUDNN_SUCCESS ? "" : l->calls.error(status);
}

static const cudnn_library *library_for(const conv_memory *memory) {
  static cudnn_library library;
  if (!library.is_tried)
    (void)snprintf(library.missing, sizeof library.missing, "%s", open_library(&library, memory->run->context));
  library.is_tried = 1;
  return &library;
}

/* ---- The convolution -------------------------------------------------------------------------------------------- */

static int describe(cudnn *o) {
  const cudnn_calls *c = o->calls;
  const conv_shape *s = o->memory->shape;
  int status = c->convolution_create(&o->convolution);
  for (int i = 0; status == CUDNN_SUCCESS && i < CONV_TENSORS; ++i) {
    int64_t size[4];
    conv_tensor_shape(s, i, size);
    const int n = (int)size[0], h = (int)size[1], w = (int)size[2], channels = (int)size[3];
    status = i == CONV_W ? c->filter_create(&o->tensors[i]) : c->tensor_create(&o->tensors[i]);
    if (status != CUDNN_SUCCESS) break;
    status = i == CONV_W ? c->filter_set(o->tensors[i], CUDNN_DATA_BFLOAT16, CUDNN_TENSOR_NHWC, n, channels, h, w)
                         : c->tensor_set(o->tensors[i], CUDNN_TENSOR_NHWC, CUDNN_DATA_BFLOAT16, n, channels, h, w);
  }
  const int padding = (int)s->padding, stride = (int)s->stride;
  if (status == CUDNN_SUCCESS)
    status = c->convolution_set(o->convolution, padding, padding, stride, stride, 1, 1, CUDNN_CROSS_CORRELATION,
                                CUDNN_DATA_FLOAT);
  if (status == CUDNN_SUCCESS) status = c->convolution_groups(o->convolution, (int)s->groups);
  return status == CUDNN_SUCCESS ? c->convolution_math(o->convolution, CUDNN_TENSOR_OP_MATH) : status;
}

/* The fastest that works, by cuDNN's measurement on this GPU; NULL perf: none. */
static int choose(cudnn *o, cudnn_perf *best) {
  const conv_roles roles = conv_roles_of(o->memory->direction);
  const int a = roles.operand[o->memory->direction == MFQ_CONV_INPUT_GRADIENT]; /* w goes first there */
  const int b = roles.operand[o->memory->direction != MFQ_CONV_INPUT_GRADIENT];
  cudnn_perf found[ALGORITHMS];
  int count = 0;
  int status = o->direction->find(o->handle, o->tensors[a], o->tensors[b], o->convolution, o->tensors[roles.result],
                                  ALGORITHMS, &count, found);
  if (status == CUDNN_SUCCESS && count < 1) return -1;
  if (status == CUDNN_SUCCESS) status = found[0].status; /* in the order of their times */
  if (status != CUDNN_SUCCESS) return status;
  *best = found[0];
  o->algorithm = best->algorithm;
  status = o->calls->convolution_math(o->convolution, best->math_type);
  size_t bytes = 0;
  if (status == CUDNN_SUCCESS)
    status = o->direction->workspace(o->handle, o->tensors[a], o->tensors[b], o->convolution, o->tensors[roles.result],
                                     o->algorithm, &bytes);
  if (status == CUDNN_SUCCESS && mfq_buffer_create(o->memory->run->context, bytes, &o->workspace) != MFQ_OK) return -1;
  return status;
}

static void *fail(cudnn *o, char *about, const char *reason) {
  (void)snprintf(about, BENCH_ABOUT, "none: %s", reason);
  conv_cudnn_destroy(o);
  return NULL;
}

void *conv_cudnn_create(const conv_memory *memory, char *about) {
  cudnn_perf best = {.algorithm = 0};
  cudnn *o = calloc(1, sizeof *o);
  if (o == NULL) return fail(o, about, "no memory");
  if (memory->run->settings.out_type != MFQ_DTYPE_BF16) return fail(o, about, "cuDNN is measured with --out bf16");
  const cudnn_library *library = library_for(memory);
  *o = (cudnn){.calls = &library->calls,
               .handle = library->handle,
               .direction = &library->calls.directions[memory->direction],
               .memory = memory};
  if (library->missing[0] != '\0') return fail(o, about, library->missing);
  int status = describe(o);
  if (status == CUDNN_SUCCESS) status = choose(o, &best);
  if (status == -1) return fail(o, about, "cuDNN finds no algorithm, or there is no memory for its workspace");
  if (status != CUDNN_SUCCESS) return fail(o, about, o->calls->error(status));
  const size_t version = o->calls->version();
  (void)snprintf(about, BENCH_ABOUT,
                 "cuDNN %zu.%zu.%zu, bf16, channels last, its algorithm %d with %zu KiB of workspace", version / 10000,
                 version / 100 % 100, version % 100, o->algorithm, mfq_buffer_bytes(o->workspace) / 1024);
  return o;
}

int conv_cudnn_run(void *state, int turn) {
  static const float one = 1, zero = 0;
  const cudnn *o = state;
  const conv_memory *m = o->memory;
  const conv_roles roles = conv_roles_of(m->direction);
  const int a = roles.operand[m->direction == MFQ_CONV_INPUT_GRADIENT];
  const int b = roles.operand[m->direction != MFQ_CONV_INPUT_GRADIENT];
  const int status = o->direction->run(o->handle, &one, o->tensors[a], bench_slot(&m->tensors[a], turn), o->tensors[b],
                                       bench_slot(&m->tensors[b], turn), o->convolution, o->algorithm,
                                       mfq_buffer_data(o->workspace), mfq_buffer_bytes(o->workspace), &zero,
                                       o->tensors[roles.result], bench_slot(&m->tensors[roles.result], turn));
  return status == CUDNN_SUCCESS ? BENCH_OK : BENCH_FAILED;
}

void conv_cudnn_destroy(void *state) {
  cudnn *o = state;
  if (o == NULL) return;
  const cudnn_calls *c = o->calls;
  mfq_buffer_destroy(o->workspace); /* waits for the stream */
  for (int i = 0; i < CONV_TENSORS; ++i)
    if (o->tensors[i] != NULL) (void)(i == CONV_W ? c->filter_destroy : c->tensor_destroy)(o->tensors[i]);
  if (o->convolution != NULL) (void)c->convolution_destroy(o->convolution);
  free(o);
}
