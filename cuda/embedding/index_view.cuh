/* cuda/embedding/index_view.cuh: indices of rows of a table, in device memory. */
#ifndef MFQ_CUDA_EMBEDDING_INDEX_VIEW_CUH
#define MFQ_CUDA_EMBEDDING_INDEX_VIEW_CUH

#include "cuda/index_plans.h"

typedef struct index_view {
  const uint8_t *data;
  int64_t count, rows; /* an index is below `rows` */
  int32_t is_wide;     /* 8 bytes, not 4 */
} index_view;

/* The index at a position; -1 where it is no row. */
__device__ __forceinline__ int64_t thread_index(const index_view &v, int64_t position) {
  int64_t index;
  if (v.is_wide) {
    const uint2 words = ptx_load<uint2>(v.data + position * 8);
    index = (int64_t)((uint64_t)words.y << 32 | words.x);
  } else {
    index = (int32_t)ptx_load<uint32_t>(v.data + position * 4);
  }
  return (uint64_t)index < (uint64_t)v.rows ? index : -1;
}

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
