/* cuda/embedding/index_view.cuh: indices of rows of a table, and matrices. */
#ifndef MFQ_CUDA_EMBEDDING_INDEX_VIEW_CUH
#define MFQ_CUDA_EMBEDDING_INDEX_VIEW_CUH

#include "cuda/index_plans.h"
#include "cuda/prim/index.cuh"

static inline index_view index_view_of(const mfq_indexing *x) {
  return index_view{(const uint8_t *)x->indices.data, x->indices.count, x->rows, x->indices.type == MFQ_INDEX_I64};
}

/* A matrix by strides in elements. */
typedef struct matrix_view {
  element_view of;
  int64_t row, col; /* strides */
} matrix_view;

static inline matrix_view matrix_view_of(const mfq_tensor *tensor) {
  return matrix_view{mfq_cuda_element_view(tensor), tensor->strides[0], tensor->strides[1]};
}

__device__ __forceinline__ int64_t thread_offset(const matrix_view &m, int64_t row, int64_t col) {
  return row * m.row + col * m.col;
}

#endif
