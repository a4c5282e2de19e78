/* bench/support/conv_cudnn.c: the peer on a GPU: cuDNN's bf16 convolution, channels last, by the algorithm that its own
 * search finds fastest. Opened at run time, never linked; MFQ_CUDNN names another file. */
#define _POSIX_C_SOURCE 200809L
#include "conv_cudnn.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "conv_measure.h"

enum { ALGORITHMS = 8 };

typedef struct cudnn {
  void *library;
  cudnn_calls calls;
  const conv_memory *memory;
  void *handle, *convolution;
  void *tensors[CONV_TENSORS]; /* x, the filter w, y */
  int algorithm;
  mfq_buffer *workspace;
} cudnn;

/* ---- The library ------------------------------------------------------------------------------------------------ */

/* Stores a function's address; 0 when the library lacks it. */
static int take(void *library, const char *name, void *function) {
  void *symbol = dlsym(library, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

static int take_all(void *library, mfq_conv_direction direction, cudnn_calls *c) {
  static const char *const names[CONV_DIRECTIONS][3] = {
      {"cudnnFindConvolutionForwardAlgorithm", "cudnnGetConvolutionForwardWorkspaceSize", "cudnnConvolutionForward"},
      {"cudnnFindConvolutionBackwardDataAlgorithm", "cudnnGetConvolutionBackwardDataWorkspaceSize",
       "cudnnConvolutionBackwardData"},
      {"cudnnFindConvolutionBackwardFilterAlgorithm", "cudnnGetConvolutionBackwardFilterWorkspaceSize",
       "cudnnConvolutionBackwardFilter"}};
  const struct {
    const char *name;
    void *function;
  } all[] = {{"cudnnGetVersion", &c->version},
             {"cudnnCreate", &c->create},
             {"cudnnDestroy", &c->destroy},
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
             {names[direction][0], &c->find},
             {names[direction][1], &c->workspace},
             {names[direction][2], &c->run}};
  int has_all = 1;
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) has_all &= take(library, all[i].name, all[i].function);
  return has_all;
}

/* ---- The convolution -------------------------------------------------------------------------------------------- */

static int describe(cudnn *o) {
  const cudnn_calls *c = &o->calls;
  const conv_shape *s = o->memory->shape;
  int status = c->convolution_create(&o->convolution);
  for (int i = 0; status == CUDNN_SUCCESS && i < CONV_TENSORS; i++) {
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
  int status = o->calls.find(o->handle, o->tensors[a], o->tensors[b], o->convolution, o->tensors[roles.result],
                             ALGORITHMS, &count, found);
  if (status == CUDNN_SUCCESS && count < 1) return -1;
  if (status == CUDNN_SUCCESS) status = found[0].status; /* in the order of their times */
  if (status != CUDNN_SUCCESS) return status;
  *best = found[0];
  o->algorithm = best->algorithm;
  status = o->calls.convolution_math(o->convolution, best->math_type);
  size_t bytes = 0;
  if (status == CUDNN_SUCCESS)
    status = o->calls.workspace(o->handle, o->tensors[a], o->tensors[b], o->convolution, o->tensors[roles.result],
                                o->algorithm, &bytes);
  if (status == CUDNN_SUCCESS && mfq_buffer_create(o->memory->context, bytes, &o->workspace) != MFQ_OK) return -1;
  return status;
}

static void *fail(cudnn *o, char *about, size_t capacity, const char *reason) {
  (void)snprintf(about, capacity, "none: %s", reason);
  conv_cudnn_destroy(o);
  return NULL;
}

void *conv_cudnn_create(const conv_memory *memory, char *about, size_t capacity) {
  const char *file = getenv("MFQ_CUDNN");
  cudnn_perf best = {.algorithm = 0};
  cudnn *o = calloc(1, sizeof *o);
  if (o == NULL) return fail(o, about, capacity, "no memory");
  if (bench_is_emulated(memory->context)) return fail(o, about, capacity, "cuDNN does not run on an emulated device");
  if (memory->settings->out_type != MFQ_DTYPE_BF16)
    return fail(o, about, capacity, "cuDNN is measured with --out bf16");
  o->memory = memory;
  o->library = dlopen(file != NULL ? file : "libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
  if (o->library == NULL) return fail(o, about, capacity, dlerror());
  if (!take_all(o->library, memory->direction, &o->calls))
    return fail(o, about, capacity, "this cuDNN lacks functions of version 9");
  int status = o->calls.create(&o->handle);
  if (status == CUDNN_SUCCESS) status = o->calls.set_stream(o->handle, mfq_context_stream(memory->context));
  if (status == CUDNN_SUCCESS) status = describe(o);
  if (status == CUDNN_SUCCESS) status = choose(o, &best);
  if (status == -1)
    return fail(o, about, capacity, "cuDNN finds no algorithm, or there is no memory for its workspace");
  if (status != CUDNN_SUCCESS) return fail(o, about, capacity, o->calls.error(status));
  const size_t version = o->calls.version();
  (void)snprintf(about, capacity, "cuDNN %zu.%zu.%zu, bf16, channels last, its algorithm %d with %zu KiB of workspace",
                 version / 10000, version / 100 % 100, version % 100, o->algorithm,
                 mfq_buffer_bytes(o->workspace) / 1024);
  return o;
}

int conv_cudnn_run(void *state, int turn) {
  static const float one = 1, zero = 0;
  const cudnn *o = state;
  const conv_memory *m = o->memory;
  const conv_roles roles = conv_roles_of(m->direction);
  const int a = roles.operand[m->direction == MFQ_CONV_INPUT_GRADIENT];
  const int b = roles.operand[m->direction != MFQ_CONV_INPUT_GRADIENT];
  const int status =
      o->calls.run(o->handle, &one, o->tensors[a], bench_slot(&m->plain[a], turn), o->tensors[b],
                   bench_slot(&m->plain[b], turn), o->convolution, o->algorithm, mfq_buffer_data(o->workspace),
                   mfq_buffer_bytes(o->workspace), &zero, o->tensors[roles.result], bench_slot(&m->result, turn));
  return status == CUDNN_SUCCESS ? BENCH_OK : BENCH_FAILED;
}

void conv_cudnn_destroy(void *state) {
  cudnn *o = state;
  if (o == NULL) return;
  const cudnn_calls *c = &o->calls;
  mfq_buffer_destroy(o->workspace); /* waits for the stream */
  for (int i = 0; i < CONV_TENSORS; i++)
    if (o->tensors[i] != NULL) (void)(i == CONV_W ? c->filter_destroy : c->tensor_destroy)(o->tensors[i]);
  if (o->convolution != NULL) (void)c->convolution_destroy(o->convolution);
  if (o->handle != NULL) (void)c->destroy(o->handle);
  if (o->library != NULL) (void)dlclose(o->library);
  free(o);
}
