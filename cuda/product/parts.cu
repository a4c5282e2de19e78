/* cuda/product/parts.cu: the sum of the parts of a product's depth. */
#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "side_params.h"

namespace {

enum { ITEMS = 256 };

struct parts_params {
  float *sums; /* the first part, and the result */
  int64_t items;
  int32_t parts;
};

/* One thread has one sum, of all parts, in order: it does not depend on which part came first. Bytes moved: 4 read for
 * each part, 4 written. */
__global__ void add_parts_kernel(const __grid_constant__ parts_params p) {
  const int64_t item = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (item >= p.items) return;
  float sum = mfqn_float_of(ptx_load<uint32_t>(p.sums + item));
  for (int32_t i = 1; i < p.parts; ++i)
    sum = mfqn_add(sum, mfqn_float_of(ptx_load<uint32_t>(p.sums + i * p.items + item)));
  ptx_store<uint32_t>(p.sums + item, mfqn_bits(sum));
}

} // namespace

mfq_status mfq_cuda_add_parts(mfq_context *context, float *sums, int64_t items, int32_t parts, const char *function) {
  if (parts == 1) return MFQ_OK;
  const mfq_launch at = {function, dim3((unsigned)mfq_ceil_div(items, ITEMS)), ITEMS, 0};
  return mfq_cuda_launch(context, at, add_parts_kernel, parts_params{sums, items, parts});
}
