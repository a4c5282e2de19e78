/* cuda/produce/columns_kernel.cuh: sums of columns over all rows, by the tree of num/gradient.h: the same bits each time.
 *
 * A warp has 32 rows of 256 columns, a lane 8 neighbours of each, whose sums under way are in registers; the 8 warps of a
 * block have 256 rows, and a block goes over as many of those as make a segment of all rows. Sums of segments are summed
 * by a second kernel. */
#ifndef MFQ_CUDA_PRODUCE_COLUMNS_KERNEL_CUH
#define MFQ_CUDA_PRODUCE_COLUMNS_KERNEL_CUH

#include "fold.cuh"
#include "made_value.cuh"

enum {
  WARP_ROWS = 32,
  WARP_LEVELS = 5,
  STACK_ROWS = (int)WARP_ROWS * (int)FOLD_WARPS,
  COLUMNS = 256,
  STACK_LEVELS = 36
};

typedef struct columns_params {
  made_params made; /* of all rows */
  made_side mean, scale, sum;
  int32_t accumulate, is_second; /* which of the two sums */
  int64_t stacks, of_segment;    /* of STACK_ROWS rows; a power of two of them */
  int64_t segments;
  float *partial; /* of segments, row by row; NULL: there is one, which is the sum */
} columns_params;

typedef block_array<float, (int)FOLD_WARPS * COLUMNS> stack_memory;
typedef block_array<float, STACK_LEVELS * COLUMNS> stack_tree;

/* What 8 columns of a row add. */
__device__ __forceinline__ piece8 thread_column_terms(const columns_params &p, int64_t row, int64_t col, int count) {
  const made_params &m = p.made;
  if (m.make.op != MFQN_MAKE_NORM_BACKWARD) return thread_make_piece(m, row, col, count);
  const made_side &dy = m.in[0], &h = m.in[1];
  mfqn_row r = {{0.0f, 0.0f, 0.0f, 0.0f}};
  piece8 x = thread_load_piece(m, dy, thread_row_offset(m, dy, row), col, count), y = x;
  if (p.is_second) return x;
  y = thread_load_piece(m, h, thread_row_offset(m, h, row), col, count);
  if (p.mean.of.data) r.v[0] = mfqn_float_of(thread_load_element(p.mean.of, thread_row_offset(m, p.mean, row)));
  r.v[1] = mfqn_float_of(thread_load_element(p.scale.of, thread_row_offset(m, p.scale, row)));
#pragma unroll
  for (int i = 0; i < PIECE; ++i)
    x.v[i] = mfqn_make_column_terms(&m.make, mfqn_inputs{x.v[i], y.v[i], 0.0f}, &r, 0.0f).first;
  return x;
}

/* 32 rows from `first` on. */
__device__ __forceinline__ piece8 thread_sum_rows(const columns_params &p, const fold_shape &f, int64_t first,
                                                  int64_t col) {
  const int count = col >= p.made.cols ? 0 : p.made.cols - col < PIECE ? (int)(p.made.cols - col) : PIECE;
  piece8 under_way[WARP_LEVELS], t = thread_filled(thread_absent(f, first));
  if (first >= f.count) return t;
#pragma unroll 1
  for (int r = 0; r < WARP_ROWS; ++r) {
    t = first + r < f.count ? thread_column_terms(p, first + r, col, count)
                            : thread_filled(thread_absent(f, first + r));
#pragma unroll
    for (int k = 0; k < WARP_LEVELS; ++k) {
      const int below = (1 << k) - 1;
      if ((r & below) != below) continue; /* its sum has found its place */
      if ((r >> k & 1) == 0) under_way[k] = t;
#pragma unroll
      for (int i = 0; i < PIECE; ++i)
        if ((r >> k & 1) != 0) t.v[i] = mfqn_add(under_way[k].v[i], t.v[i]);
    }
  }
  return t;
}

__device__ __forceinline__ void thread_store_column(const columns_params &p, int64_t col, float sum) {
  const made_side &to = p.sum;
  const int64_t at = col * to.col;
  if (p.accumulate) sum = mfqn_add(mfqn_float_of(thread_load_element(to.of, at)), sum);
  thread_store_element(to.of, at, mfqn_one_nan(sum));
}

/* The sum of `count` sums of equal numbers of rows, of column threadIdx.x; `is_padded`: rows are missing, as +0. */
__device__ __forceinline__ float thread_stack_total(stack_tree &tree, int64_t count, int is_padded) {
  float sum = is_padded ? 0.0f : -0.0f;
  for (int k = 0; count >> k != 0; ++k)
    if ((count >> k & 1) != 0) sum = mfqn_add(tree.load(k * COLUMNS + (int)threadIdx.x), sum);
  return sum;
}

__global__ void __launch_bounds__(FOLD_THREADS, 1) made_columns_kernel(const __grid_constant__ columns_params p) {
  __shared__ stack_memory stack;
  __shared__ stack_tree tree;
  const int64_t rows = p.made.rows, left = (int64_t)blockIdx.x * COLUMNS, own = left + threadIdx.x;
  const int warp = (int)threadIdx.x / 32, at = (int)(threadIdx.x % 32) * PIECE;
  const fold_shape f = thread_fold_shape(rows, rows, 0);
  const int64_t base = (int64_t)blockIdx.y * p.of_segment;
  const int64_t count = p.stacks - base < p.of_segment ? p.stacks - base : p.of_segment;
#pragma unroll 1
  for (int64_t s = 0; s < count; ++s) {
    const piece8 t = thread_sum_rows(p, f, (base + s) * STACK_ROWS + warp * WARP_ROWS, left + at);
    ptx_sync_block(); /* the stack before has been read */
#pragma unroll
    for (int i = 0; i < PIECE; ++i) stack.store(warp * COLUMNS + at + i, t.v[i]);
    ptx_sync_block();
    float v[FOLD_WARPS];
#pragma unroll
    for (int w = 0; w < FOLD_WARPS; ++w) v[w] = stack.load(w * COLUMNS + (int)threadIdx.x);
    float sum = thread_tree(v);
    int k = 0;
    for (; (s >> k & 1) != 0; ++k) sum = mfqn_add(tree.load(k * COLUMNS + (int)threadIdx.x), sum);
    tree.store(k * COLUMNS + (int)threadIdx.x, sum);
  }
  if (own >= p.made.cols) return;
  const int is_whole = p.segments > 1 ? count == p.of_segment : count != 0 && (count & (count - 1)) == 0;
  const float sum = thread_stack_total(tree, count, !is_whole);
  if (p.partial)
    ptx_store<uint32_t>(p.partial + (int64_t)blockIdx.y * p.made.cols + own, mfqn_bits(sum));
  else
    thread_store_column(p, own, sum);
}

/* A thread a column. */
__global__ void __launch_bounds__(FOLD_THREADS, 1) made_segments_kernel(const __grid_constant__ columns_params p) {
  __shared__ stack_tree tree;
  const int64_t col = (int64_t)blockIdx.x * COLUMNS + threadIdx.x;
  if (col >= p.made.cols) return;
#pragma unroll 1
  for (int64_t s = 0; s < p.segments; ++s) {
    float sum = mfqn_float_of(ptx_load<uint32_t>(p.partial + s * p.made.cols + col));
    int k = 0;
    for (; (s >> k & 1) != 0; ++k) sum = mfqn_add(tree.load(k * COLUMNS + (int)threadIdx.x), sum);
    tree.store(k * COLUMNS + (int)threadIdx.x, sum);
  }
  const int is_whole = (p.segments & (p.segments - 1)) == 0;
  thread_store_column(p, col, thread_stack_total(tree, p.segments, !is_whole));
}

#endif
