/* host/api/types.c: tensors and quantized tensors are filled and measured here; the rules of sizes are core's, for
 * operations apply the same. */
#include <mfq/types.h>

#include <string.h>

#include "host/core/error.h"
#include "host/core/check/sizes.h"

mfq_status mfq_tensor_init(void *data, mfq_dtype dtype, int32_t rank, const int64_t *shape, mfq_tensor *tensor) {
  static const char function[] = "mfq_tensor_init";
  if (tensor == NULL || (shape == NULL && rank != 0))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", tensor == NULL ? "tensor" : "shape");
  if (mfq_dtype_bytes(dtype) == 0) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "dtype is %d; allowed are MFQ_DTYPE_F32 (1), MFQ_DTYPE_BF16 (2), MFQ_DTYPE_F16 (3)", (int)dtype);
  }
  mfq_status status = mfq_shape_check((mfq_where){function, "tensor"}, rank, shape, (int64_t)mfq_dtype_bytes(dtype));
  if (status != MFQ_OK) return status;
  mfq_tensor made = {.data = data, .dtype = dtype, .rank = rank};
  int64_t stride = 1;
  for (int32_t i = rank - 1; i >= 0; --i) {
    made.shape[i] = shape[i];
    made.strides[i] = stride;
    stride *= shape[i] > 0 ? shape[i] : 1;
  }
  *tensor = made;
  return MFQ_OK;
}

mfq_status mfq_qtensor_init(const mfq_scheme *scheme, int32_t rank, const int64_t *shape, const mfq_layout *layout,
                            mfq_qtensor *q) {
  static const char function[] = "mfq_qtensor_init";
  if (scheme == NULL || q == NULL || (shape == NULL && rank != 0)) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL",
                    scheme == NULL ? "scheme"
                    : q == NULL    ? "q"
                                   : "shape");
  }
  mfq_qtensor made = {.scheme = *scheme, .rank = rank};
  if (layout != NULL) made.layout = *layout;
  if (rank > 0 && rank <= MFQ_MAX_RANK) memcpy(made.shape, shape, (size_t)rank * sizeof shape[0]);
  mfq_qview view;
  mfq_status status = mfq_qview_init((mfq_where){function, "q"}, &made, &view);
  if (status == MFQ_OK) *q = made;
  return status;
}

mfq_status mfq_qtensor_sizes_get(const mfq_qtensor *q, mfq_qtensor_sizes *sizes) {
  static const char function[] = "mfq_qtensor_sizes_get";
  if (sizes == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "sizes is NULL");
  mfq_qview view;
  mfq_status status = mfq_qview_init((mfq_where){function, "q"}, q, &view);
  if (status == MFQ_OK) *sizes = view.sizes;
  return status;
}
