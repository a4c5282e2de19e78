/* host/onednn/onednn_product.c: matrix products by oneDNN: the descriptions of three matrices. */
#include "onednn_parts.h"

/* Gives an axis of one element the stride that it has in dense memory, which oneDNN knows best. Returns 0 for strides
 * that oneDNN has no words for. */
static int tidy_strides(const dnnl_dim_t size[2], dnnl_dim_t stride[2]) {
  if ((size[0] > 1 && stride[0] < 1) || (size[1] > 1 && stride[1] < 1)) return 0;
  if (size[1] == 1) stride[1] = size[0] == 1 || stride[0] > 1 ? 1 : size[0];
  if (size[0] == 1) stride[0] = stride[1] == 1 ? size[1] : 1;
  return stride[0] == 1 || stride[1] == 1;
}

/* A matrix, or a batch of them; one that all batches share is a batch of one. */
static mfq_dnnl_desc describe(int64_t batches, const int64_t size[2], const int64_t stride[3], mfq_dtype dtype,
                              dnnl_status_t *status) {
  const int rank = batches == 1 ? 2 : 3;
  dnnl_dims_t dims = {stride[0] == 0 ? 1 : batches, size[0], size[1]};
  dnnl_dims_t strides = {stride[0], stride[1], stride[2]};
  *status = dnnl_unimplemented;
  if (stride[0] < 0 || !tidy_strides(dims + 1, strides + 1)) return NULL;
  if (dims[0] == 1)
    strides[0] = dims[1] * strides[1] > dims[2] * strides[2] ? dims[1] * strides[1] : dims[2] * strides[2];
  return mfq_dnnl_desc_create(rank, dims + 3 - rank, strides + 3 - rank, mfq_dnnl_type(dtype), status);
}

dnnl_status_t mfq_dnnl_choose_product(mfq_dnnl_plan *plan, const mfq_onednn_shape *shape) {
  static const int kinds[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
  static const mfq_dnnl_where wheres[] = {MFQ_DNNL_A, MFQ_DNNL_B, MFQ_DNNL_RESULT};
  const int64_t size[][2] = {{shape->m, shape->k}, {shape->k, shape->n}, {shape->m, shape->n}};
  const int64_t *const stride[] = {shape->a_stride, shape->b_stride, shape->d_stride};
  const int64_t sizes[] = {shape->batches, shape->m, shape->n, shape->k};
  dnnl_status_t status = mfq_dnnl_sizes_check(sizes, sizeof sizes / sizeof sizes[0]);
  for (int i = 0; i < MFQ_DNNL_OPERANDS && status == dnnl_success; ++i) {
    plan->kind[i] = kinds[i];
    plan->where[i] = wheres[i];
    plan->desc[i] =
        describe(shape->batches, size[i], stride[i], wheres[i] == MFQ_DNNL_RESULT ? shape->out : shape->in, &status);
  }
  if (status == dnnl_success) status = mfq_dnnl_place_open(&plan->place);
  if (status == dnnl_success)
    status = mfq_dnnl_matmul(&plan->main.implementation, plan->place.engine, plan->place.attr, plan->desc);
  return status == dnnl_success ? mfq_dnnl_make(&plan->main) : status;
}
