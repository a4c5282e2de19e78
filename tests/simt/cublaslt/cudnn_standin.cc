/* A stand-in for cuDNN on the emulated device: the functions of its older interface that the benchmark of convolutions
 * opens, by their names. Descriptors are checked, and convolutions of bf16, channels last, computed in stream order:
 * sums of doubles. The real library takes a second to make a handle, so that a process may make one only. */
#include <cmath>
#include <cstring>
#include <vector>

#include "simt/emulator/simt.h"

namespace simt {

namespace {

enum { SUCCESS = 0, NOT_INITIALIZED = 1001, BAD_PARAM = 2000, NOT_SUPPORTED = 3000 };
enum { BF16 = 9, NHWC = 1, CROSS_CORRELATION = 1, F32 = 0, TENSOR_OP_MATH = 1 };
constexpr size_t workspace_bytes = 4096;
constexpr int the_algorithm = 1;

/* A tensor is n x h x w x c; a filter, of which n are the outputs, likewise. */
struct tensor {
  int format, type, n, c, h, w;
  size_t at(int a, int y, int x, int b) const { return (((size_t)a * h + y) * w + x) * c + b; }
  size_t count() const { return (size_t)n * h * w * c; }
};

struct convolution {
  int pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, mode, type, groups, math;
};

struct handle {
  cudaStream_t stream;
};
int handles = 0;

/* x * w = y, and which of the three is made of the other two. */
struct job {
  tensor x, w, y;
  convolution how;
  int result; /* 0: x, 1: w, 2: y */
};

bool is_right(const job &j) {
  const convolution &v = j.how;
  for (const tensor *t : {&j.x, &j.w, &j.y})
    if (t->format != NHWC || t->type != BF16) return false;
  return v.mode == CROSS_CORRELATION && v.type == F32 && v.math == TENSOR_OP_MATH && v.dilation_h == 1 &&
         v.dilation_w == 1 && j.x.c == j.w.c * v.groups && j.w.n == j.y.c && j.y.c % v.groups == 0 && j.x.n == j.y.n &&
         j.y.h == (j.x.h + 2 * v.pad_h - j.w.h) / v.stride_h + 1 &&
         j.y.w == (j.x.w + 2 * v.pad_w - j.w.w) / v.stride_w + 1;
}

std::vector<double> decode(const void *data, size_t count) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = (uint32_t) static_cast<const uint16_t *>(data)[i] << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    values[i] = (double)value;
  }
  return values;
}

/* To the nearest, ties to even; no NaN. */
void encode(const std::vector<double> &values, void *data) {
  for (size_t i = 0; i < values.size(); ++i) {
    const auto value = (float)values[i];
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    static_cast<uint16_t *>(data)[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

/* Every meeting of an element of x, of w and of y. */
void run(const job &j, const void *const data[3], void *result) {
  std::vector<double> values[3];
  const tensor *const all[3] = {&j.x, &j.w, &j.y};
  for (int i = 0; i < 3; ++i)
    values[i] = i == j.result ? std::vector<double>(all[i]->count()) : decode(data[i], all[i]->count());
  const int out_group = j.y.c / j.how.groups;
  for (size_t i = 0; i < j.y.count() * j.w.h * j.w.w * j.w.c; ++i) {
    size_t rest = i;
    const auto next = [&rest](int size) {
      const auto at = (int)(rest % size);
      rest /= size;
      return at;
    };
    const int c = next(j.w.c), s = next(j.w.w), r = next(j.w.h), k = next(j.y.c), q = next(j.y.w), p = next(j.y.h);
    const int n = next(j.y.n), h = p * j.how.stride_h + r - j.how.pad_h, w = q * j.how.stride_w + s - j.how.pad_w;
    if (h < 0 || w < 0 || h >= j.x.h || w >= j.x.w) continue;
    const size_t at[3] = {j.x.at(n, h, w, k / out_group * j.w.c + c), j.w.at(k, r, s, c), j.y.at(n, p, q, k)};
    values[j.result][at[j.result]] +=
        values[(j.result + 1) % 3][at[(j.result + 1) % 3]] * values[(j.result + 2) % 3][at[(j.result + 2) % 3]];
  }
  encode(values[j.result], result);
}

struct perf {
  int algorithm, status;
  float time;
  size_t memory;
  int determinism, math, reserved[3];
};

/* Refused while a stream is recorded: the search runs what it compares, and allocates. */
int find(const job &j, int wanted, int *found, perf *results) {
  void *probe = nullptr;
  *found = 0;
  if (!is_right(j) || wanted < 1) return BAD_PARAM;
  if (cudaMalloc(&probe, 256) != cudaSuccess || cudaFree(probe) != cudaSuccess) return NOT_SUPPORTED;
  results[0] = {the_algorithm, SUCCESS, 1, workspace_bytes, 1, TENSOR_OP_MATH, {}};
  *found = 1;
  return SUCCESS;
}

/* What all three convolutions are given beside their tensors. */
struct call {
  handle *owner;
  const void *alpha, *beta;
  int algorithm;
  size_t workspace;
};

int launch_convolution(const job &j, const call &c, const void *const data[3], void *result) {
  const bool is_plain = *static_cast<const float *>(c.alpha) == 1.0f && *static_cast<const float *>(c.beta) == 0.0f;
  if (!is_right(j) || !is_plain || c.algorithm != the_algorithm || c.workspace < workspace_bytes) return BAD_PARAM;
  const void *x = data[0], *w = data[1], *y = data[2];
  const auto body = [j, x, w, y, result] {
    const void *const operands[3] = {x, w, y};
    run(j, operands, result);
  };
  launch work = {&handles, "cudnnConvolution", dim3(1), dim3(1), 0, body};
  return launch_kernel(std::move(work), c.owner->stream) == cudaSuccess ? SUCCESS : NOT_SUPPORTED;
}

} // namespace

} // namespace simt

using namespace simt;

extern "C" {
#pragma GCC visibility push(default)

size_t cudnnGetVersion(void) { return 91300; }
const char *cudnnGetErrorString(int) { return "the stand-in for cuDNN refuses this"; }

int cudnnCreate(handle **made) {
  if (handles++ > 0) return NOT_INITIALIZED;
  *made = new handle{nullptr};
  return SUCCESS;
}
int cudnnSetStream(handle *h, cudaStream_t stream) {
  h->stream = stream;
  return SUCCESS;
}

int cudnnCreateTensorDescriptor(tensor **made) {
  *made = new tensor{};
  return SUCCESS;
}
int cudnnDestroyTensorDescriptor(tensor *t) {
  delete t;
  return SUCCESS;
}
int cudnnSetTensor4dDescriptor(tensor *t, int format, int type, int n, int c, int h, int w) {
  *t = {format, type, n, c, h, w};
  return SUCCESS;
}

int cudnnCreateFilterDescriptor(tensor **made) { return cudnnCreateTensorDescriptor(made); }
int cudnnDestroyFilterDescriptor(tensor *t) { return cudnnDestroyTensorDescriptor(t); }
int cudnnSetFilter4dDescriptor(tensor *t, int type, int format, int k, int c, int h, int w) {
  *t = {format, type, k, c, h, w};
  return SUCCESS;
}

int cudnnCreateConvolutionDescriptor(convolution **made) {
  *made = new convolution{};
  return SUCCESS;
}
int cudnnDestroyConvolutionDescriptor(convolution *v) {
  delete v;
  return SUCCESS;
}
int cudnnSetConvolution2dDescriptor(convolution *v, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h,
                                    int dilation_w, int mode, int type) {
  *v = {pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, mode, type, 1, 0};
  return SUCCESS;
}
int cudnnSetConvolutionGroupCount(convolution *v, int groups) {
  v->groups = groups;
  return SUCCESS;
}
int cudnnSetConvolutionMathType(convolution *v, int math) {
  v->math = math;
  return SUCCESS;
}

int cudnnFindConvolutionForwardAlgorithm(handle *, tensor *x, tensor *w, convolution *v, tensor *y, int wanted,
                                         int *found, perf *results) {
  return find({*x, *w, *y, *v, 2}, wanted, found, results);
}
int cudnnFindConvolutionBackwardDataAlgorithm(handle *, tensor *w, tensor *y, convolution *v, tensor *x, int wanted,
                                              int *found, perf *results) {
  return find({*x, *w, *y, *v, 0}, wanted, found, results);
}
int cudnnFindConvolutionBackwardFilterAlgorithm(handle *, tensor *x, tensor *y, convolution *v, tensor *w, int wanted,
                                                int *found, perf *results) {
  return find({*x, *w, *y, *v, 1}, wanted, found, results);
}

int cudnnGetConvolutionForwardWorkspaceSize(handle *, tensor *, tensor *, convolution *, tensor *, int, size_t *bytes) {
  *bytes = workspace_bytes;
  return SUCCESS;
}
int cudnnGetConvolutionBackwardDataWorkspaceSize(handle *, tensor *, tensor *, convolution *, tensor *, int,
                                                 size_t *bytes) {
  *bytes = workspace_bytes;
  return SUCCESS;
}
int cudnnGetConvolutionBackwardFilterWorkspaceSize(handle *, tensor *, tensor *, convolution *, tensor *, int,
                                                   size_t *bytes) {
  *bytes = workspace_bytes;
  return SUCCESS;
}

int cudnnConvolutionForward(handle *h, const void *alpha, tensor *x, const void *x_data, tensor *w, const void *w_data,
                            convolution *v, int algorithm, void *, size_t workspace, const void *beta, tensor *y,
                            void *y_data) {
  const void *const data[3] = {x_data, w_data, nullptr};
  return launch_convolution({*x, *w, *y, *v, 2}, {h, alpha, beta, algorithm, workspace}, data, y_data);
}
int cudnnConvolutionBackwardData(handle *h, const void *alpha, tensor *w, const void *w_data, tensor *y,
                                 const void *y_data, convolution *v, int algorithm, void *, size_t workspace,
                                 const void *beta, tensor *x, void *x_data) {
  const void *const data[3] = {nullptr, w_data, y_data};
  return launch_convolution({*x, *w, *y, *v, 0}, {h, alpha, beta, algorithm, workspace}, data, x_data);
}
int cudnnConvolutionBackwardFilter(handle *h, const void *alpha, tensor *x, const void *x_data, tensor *y,
                                   const void *y_data, convolution *v, int algorithm, void *, size_t workspace,
                                   const void *beta, tensor *w, void *w_data) {
  const void *const data[3] = {x_data, nullptr, y_data};
  return launch_convolution({*x, *w, *y, *v, 1}, {h, alpha, beta, algorithm, workspace}, data, w_data);
}

#pragma GCC visibility pop
}
