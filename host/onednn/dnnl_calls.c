/* host/onednn/dnnl_calls.c: the two interfaces side by side: version 2 describes an operation in a structure of its
 * own, version 3 makes it in one call. */
#include "dnnl_calls.h"

#include <stdlib.h>

#if DNNL_VERSION_MAJOR >= 3

mfq_dnnl_desc mfq_dnnl_desc_create(int rank, const dnnl_dims_t dims, const dnnl_dims_t strides, dnnl_data_type_t type,
                                   dnnl_status_t *status) {
  dnnl_memory_desc_t desc = NULL;
  *status = dnnl_memory_desc_create_with_strides(&desc, rank, dims, type, strides);
  return *status == dnnl_success ? desc : NULL;
}

mfq_dnnl_desc mfq_dnnl_desc_any(int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_status_t *status) {
  dnnl_memory_desc_t desc = NULL;
  *status = dnnl_memory_desc_create_with_tag(&desc, rank, dims, type, dnnl_format_tag_any);
  return *status == dnnl_success ? desc : NULL;
}

void mfq_dnnl_desc_free(mfq_dnnl_desc desc) {
  if (desc != NULL) (void)dnnl_memory_desc_destroy((dnnl_memory_desc_t)desc);
}

dnnl_status_t mfq_dnnl_matmul(dnnl_primitive_desc_t *implementation, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, const mfq_dnnl_desc src_weights_dst[3]) {
  return dnnl_matmul_primitive_desc_create(implementation, engine, src_weights_dst[0], src_weights_dst[1], NULL,
                                           src_weights_dst[2], attr);
}

dnnl_status_t mfq_dnnl_convolution(dnnl_primitive_desc_t *implementation, dnnl_engine_t engine,
                                   const_dnnl_primitive_attr_t attr, const mfq_dnnl_conv *c) {
  const dnnl_alg_kind_t direct = dnnl_convolution_direct;
  if (c->kind == dnnl_backward_data)
    return dnnl_convolution_backward_data_primitive_desc_create(implementation, engine, direct, c->src, c->weights,
                                                                c->dst, c->stride, c->dilation, c->before, c->after,
                                                                NULL, attr);
  if (c->kind == dnnl_backward_weights)
    return dnnl_convolution_backward_weights_primitive_desc_create(implementation, engine, direct, c->src, c->weights,
                                                                   NULL, c->dst, c->stride, c->dilation, c->before,
                                                                   c->after, NULL, attr);
  return dnnl_convolution_forward_primitive_desc_create(implementation, engine, c->kind, direct, c->src, c->weights,
                                                        NULL, c->dst, c->stride, c->dilation, c->before, c->after,
                                                        attr);
}

int mfq_dnnl_blocks_of(mfq_dnnl_desc desc, mfq_dnnl_blocks *blocks) {
  dnnl_format_kind_t kind = dnnl_format_kind_undef;
  const dnnl_dims_t *strides = NULL, *sizes = NULL, *axes = NULL;
  int32_t rank = 0, count = 0;
  if (dnnl_memory_desc_query(desc, dnnl_query_format_kind, &kind) != dnnl_success || kind != dnnl_blocked) return 0;
  if (dnnl_memory_desc_query(desc, dnnl_query_ndims_s32, &rank) != dnnl_success ||
      dnnl_memory_desc_query(desc, dnnl_query_strides, (void *)&strides) != dnnl_success ||
      dnnl_memory_desc_query(desc, dnnl_query_inner_nblks_s32, &count) != dnnl_success || count > MFQ_DNNL_BLOCKS ||
      dnnl_memory_desc_query(desc, dnnl_query_inner_blks, (void *)&sizes) != dnnl_success ||
      dnnl_memory_desc_query(desc, dnnl_query_inner_idxs, (void *)&axes) != dnnl_success)
    return 0;
  blocks->count = count;
  for (int i = 0; i < rank; ++i) blocks->strides[i] = (*strides)[i];
  for (int i = 0; i < count; ++i) {
    blocks->sizes[i] = (*sizes)[i];
    blocks->axes[i] = (*axes)[i];
  }
  return 1;
}

#else

mfq_dnnl_desc mfq_dnnl_desc_create(int rank, const dnnl_dims_t dims, const dnnl_dims_t strides, dnnl_data_type_t type,
                                   dnnl_status_t *status) {
  dnnl_memory_desc_t *desc = malloc(sizeof *desc);
  *status = desc == NULL ? dnnl_out_of_memory : dnnl_memory_desc_init_by_strides(desc, rank, dims, type, strides);
  if (*status == dnnl_success) return desc;
  free(desc);
  return NULL;
}

mfq_dnnl_desc mfq_dnnl_desc_any(int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_status_t *status) {
  dnnl_memory_desc_t *desc = malloc(sizeof *desc);
  *status = dnnl_out_of_memory;
  if (desc != NULL) *status = dnnl_memory_desc_init_by_tag(desc, rank, dims, type, dnnl_format_tag_any);
  if (*status == dnnl_success) return desc;
  free(desc);
  return NULL;
}

void mfq_dnnl_desc_free(mfq_dnnl_desc desc) { free((dnnl_memory_desc_t *)desc); }

dnnl_status_t mfq_dnnl_matmul(dnnl_primitive_desc_t *implementation, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, const mfq_dnnl_desc src_weights_dst[3]) {
  dnnl_matmul_desc_t operation;
  const dnnl_status_t status =
      dnnl_matmul_desc_init(&operation, src_weights_dst[0], src_weights_dst[1], NULL, src_weights_dst[2]);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(implementation, &operation, attr, engine, NULL);
}

dnnl_status_t mfq_dnnl_convolution(dnnl_primitive_desc_t *implementation, dnnl_engine_t engine,
                                   const_dnnl_primitive_attr_t attr, const mfq_dnnl_conv *c) {
  const dnnl_alg_kind_t direct = dnnl_convolution_direct;
  dnnl_convolution_desc_t operation;
  dnnl_status_t status;
  if (c->kind == dnnl_backward_data)
    status = dnnl_dilated_convolution_backward_data_desc_init(&operation, direct, c->src, c->weights, c->dst, c->stride,
                                                              c->dilation, c->before, c->after);
  else if (c->kind == dnnl_backward_weights)
    status = dnnl_dilated_convolution_backward_weights_desc_init(&operation, direct, c->src, c->weights, NULL, c->dst,
                                                                 c->stride, c->dilation, c->before, c->after);
  else
    status = dnnl_dilated_convolution_forward_desc_init(&operation, c->kind, direct, c->src, c->weights, NULL, c->dst,
                                                        c->stride, c->dilation, c->before, c->after);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(implementation, &operation, attr, engine, NULL);
}

int mfq_dnnl_blocks_of(mfq_dnnl_desc desc, mfq_dnnl_blocks *blocks) {
  const dnnl_blocking_desc_t *order = &desc->format_desc.blocking;
  if (desc->format_kind != dnnl_blocked || order->inner_nblks > MFQ_DNNL_BLOCKS) return 0;
  blocks->count = order->inner_nblks;
  for (int i = 0; i < desc->ndims; ++i) blocks->strides[i] = order->strides[i];
  for (int i = 0; i < blocks->count; ++i) {
    blocks->sizes[i] = order->inner_blks[i];
    blocks->axes[i] = order->inner_idxs[i];
  }
  return 1;
}

#endif
