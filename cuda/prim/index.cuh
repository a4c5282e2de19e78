/* prim/index.cuh: indices in device memory. */
#ifndef MFQ_CUDA_PRIM_INDEX_CUH
#define MFQ_CUDA_PRIM_INDEX_CUH

#include "ptx.cuh"

typedef struct index_view {
  const uint8_t *data;
  int64_t count, rows; /* an index is below `rows` */
  int32_t is_wide;     /* 8 bytes, not 4 */
} index_view;

/* What stands at a position. */
__device__ __forceinline__ int64_t thread_load_index(const index_view &v, int64_t position) {
  if (!v.is_wide) return (int32_t)ptx_load<uint32_t>(v.data + position * 4);
  const uint2 words = ptx_load<uint2>(v.data + position * 8);
  return (int64_t)((uint64_t)words.y << 32 | words.x);
}

/* The index at a position; -1 where it is no row. */
__device__ __forceinline__ int64_t thread_index(const index_view &v, int64_t position) {
  const int64_t index = thread_load_index(v, position);
  return (uint64_t)index < (uint64_t)v.rows ? index : -1;
}

#endif
