/* cuda/embedding/gather_kernel.cuh: rows of a table by their numbers; an index that is no row makes NaN. */
#ifndef MFQ_CUDA_EMBEDDING_GATHER_KERNEL_CUH
#define MFQ_CUDA_EMBEDDING_GATHER_KERNEL_CUH

#include "cuda/prim/rotation.cuh"
#include "index_view.cuh"

/* ---- 16 bytes a thread ------------------------------------------------------------------------------------------- */

typedef struct gather_rows_params {
  index_view indices;
  const uint8_t *table;
  uint8_t *y;
  int64_t table_bytes, y_bytes; /* from one row to the next */
  int64_t count;                /* units of 16 bytes of y */
  divisor64 units;              /* of a row */
  uint32_t nan;                 /* a word of it */
} gather_rows_params;

__global__ void __launch_bounds__(ITEM_THREADS) gather_rows_kernel(const __grid_constant__ gather_rows_params p) {
  for (int64_t i = thread_item(); i < p.count; i += thread_items()) {
    const int64_t position = thread_divide(i, p.units), unit = i - position * (int64_t)p.units.value;
    const int64_t row = thread_index(p.indices, position);
    uint4 words = make_uint4(p.nan, p.nan, p.nan, p.nan);
    if (row >= 0) words = ptx_load<uint4>(p.table + row * p.table_bytes + unit * 16);
    ptx_store<uint4>(p.y + position * p.y_bytes + unit * 16, words);
  }
}

/* ---- An element a thread ----------------------------------------------------------------------------------------- */

typedef struct gather_elements_params {
  index_view indices;
  matrix_view table, y;
  int64_t count;  /* elements of y */
  divisor64 cols; /* elements of a row */
} gather_elements_params;

/* Where it has the same dtype, an element stays as it is. */
__device__ __forceinline__ void thread_move_element(const element_view &from, int64_t source, const element_view &to,
                                                    int64_t target) {
  if (from.dtype != to.dtype)
    thread_store_element(to, target, mfqn_one_nan(mfqn_float_of(thread_load_element(from, source))));
  else if (from.dtype == ELEMENT_F32)
    ptx_store<uint32_t>(to.data + target * 4, ptx_load<uint32_t>(from.data + source * 4));
  else
    ptx_store<uint16_t>(to.data + target * 2, ptx_load<uint16_t>(from.data + source * 2));
}

__global__ void __launch_bounds__(ITEM_THREADS)
    gather_elements_kernel(const __grid_constant__ gather_elements_params p) {
  for (int64_t i = thread_item(); i < p.count; i += thread_items()) {
    const int64_t position = thread_divide(i, p.cols), col = i - position * (int64_t)p.cols.value;
    const int64_t row = thread_index(p.indices, position), target = thread_offset(p.y, position, col);
    if (row >= 0)
      thread_move_element(p.table.of, thread_offset(p.table, row, col), p.y.of, target);
    else
      thread_store_element(p.y.of, target, MFQN_NAN);
  }
}

/* ---- A code a thread --------------------------------------------------------------------------------------------- */

/* Along an axis of the table: bits from one code to the next, and where scales are. */
typedef struct code_axis {
  int64_t bits, scale;
  divisor64 run; /* indices that share a scale */
} code_axis;

typedef struct gather_codes_params {
  index_view indices;
  mfqn_scheme scheme;
  scale_slots slots;
  const uint8_t *codes;
  int32_t bits; /* of a stored code */
  code_axis row, col;
  matrix_view y;
  int64_t count;
  divisor64 cols;
} gather_codes_params;

__device__ __forceinline__ uint32_t thread_gathered(const gather_codes_params &p, int64_t row, int64_t col) {
  if (row < 0) return MFQN_NAN;
  const int64_t scale = thread_divide(row, p.row.run) * p.row.scale + thread_divide(col, p.col.run) * p.col.scale;
  const mfqn_group g = thread_stored_group(p.slots, p.scheme, scale, thread_tensor_scale(p.slots));
  const uint32_t code = thread_load_bits(p.codes, row * p.row.bits + col * p.col.bits, p.bits);
  return mfqn_decode(&p.scheme, &g, code & ((1u << p.scheme.bits) - 1u));
}

__global__ void __launch_bounds__(ITEM_THREADS) gather_codes_kernel(const __grid_constant__ gather_codes_params p) {
  for (int64_t i = thread_item(); i < p.count; i += thread_items()) {
    const int64_t position = thread_divide(i, p.cols), col = i - position * (int64_t)p.cols.value;
    const uint32_t value = thread_gathered(p, thread_index(p.indices, position), col);
    thread_store_limited(p.y.of, thread_offset(p.y, position, col), value);
  }
}

/* Of rotated rows: the threads of a block have whole rotations, since a row is a multiple of one. */
__global__ void __launch_bounds__(ROTATION_THREADS)
    gather_rotated_kernel(const __grid_constant__ gather_codes_params p) {
  __shared__ rotation_memory memory;
  for (int64_t first = (int64_t)blockIdx.x * ROTATION_THREADS; first < p.count; first += thread_items()) {
    const int64_t i = first + threadIdx.x;
    const int is_there = i < p.count;
    const int64_t position = is_there ? thread_divide(i, p.cols) : 0, col = i - position * (int64_t)p.cols.value;
    const int64_t row = is_there ? thread_index(p.indices, position) : -1;
    uint32_t value = row >= 0 ? thread_gathered(p, row, col) : 0u;
    value = block_rotate(memory, p.scheme.rotation, value, 1);
    if (is_there) thread_store_limited(p.y.of, thread_offset(p.y, position, col), row >= 0 ? value : MFQN_NAN);
  }
}

#endif
