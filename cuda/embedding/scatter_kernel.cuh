/* cuda/embedding/scatter_kernel.cuh: sums of rows into the rows of a table that indices name, in the order of positions.
 *
 * A block has some rows of the table and 64 columns of them in shared memory, and goes over all indices, 1024 at a time: it
 * lists those that name its rows, in order, then each thread adds what concerns its column and every fourth row. So each
 * sum is one thread's, whatever the number of blocks. */
#ifndef MFQ_CUDA_EMBEDDING_SCATTER_KERNEL_CUH
#define MFQ_CUDA_EMBEDDING_SCATTER_KERNEL_CUH

#include "cuda/prim/shared.cuh"
#include "index_view.cuh"

enum {
  SCATTER_THREADS = 256,
  SCATTER_WARPS = SCATTER_THREADS / 32,
  SCATTER_COLS = 64,
  SCATTER_SHARES = SCATTER_THREADS / SCATTER_COLS, /* threads that share a column */
  SCATTER_ROWS = 128,                              /* of a block at most: 32 a thread */
  SCATTER_ROUNDS = 4,
  SCATTER_POSITIONS = SCATTER_ROUNDS * SCATTER_THREADS /* that are listed at once */
};

typedef struct scatter_params {
  index_view indices;
  matrix_view dy, table;
  int64_t cols, padding;
  int32_t rows_of_block, accumulate;
  divisor64 slices; /* of the columns */
} scatter_params;

/* A position among those of a list, and the row of the block that it names. */
typedef block_array<uint32_t, SCATTER_POSITIONS> scatter_list;
typedef block_array<uint32_t, SCATTER_ROUNDS * SCATTER_WARPS> scatter_counts; /* a word a warp and round */
static_assert(SCATTER_ROUNDS * SCATTER_WARPS == 32, "a lane has a word");
typedef block_array<float, SCATTER_ROWS * SCATTER_COLS> scatter_sums;

/* Lists the positions from `first` on that name rows of the block; returns how many. */
__device__ __forceinline__ int block_list_positions(const scatter_params &p, int64_t first, int64_t row0,
                                                    scatter_list &list, scatter_counts &counts) {
  const int thread = (int)threadIdx.x, lane = thread % 32, warp = thread / 32;
  uint32_t entry[SCATTER_ROUNDS], mask[SCATTER_ROUNDS];
#pragma unroll
  for (int k = 0; k < SCATTER_ROUNDS; ++k) {
    const int near = k * SCATTER_THREADS + thread;
    int64_t row = -1;
    if (first + near < p.indices.count) row = thread_index(p.indices, first + near);
    const int is_own = row >= row0 && row < row0 + p.rows_of_block && row != p.padding;
    mask[k] = ptx_ballot(0xffffffffu, is_own);
    entry[k] = (uint32_t)near | (uint32_t)(row - row0) << 16;
    if (lane == 0) counts.store(k * SCATTER_WARPS + warp, mask[k]);
  }
  ptx_sync_block();
  const uint32_t own = counts.load(lane);
  int total = 0;
#pragma unroll 1
  for (uint32_t left = ptx_ballot(0xffffffffu, own != 0); left != 0; left &= left - 1u) {
    const int w = ptx_count_bits((left & (0u - left)) - 1u);
    const uint32_t bits = ptx_shuffle(0xffffffffu, own, w);
    const int before = total + ptx_count_bits(bits & ((1u << lane) - 1u));
#pragma unroll
    for (int k = 0; k < SCATTER_ROUNDS; ++k)
      if (w == k * SCATTER_WARPS + warp && (mask[k] >> lane & 1u) != 0) list.store(before, entry[k]);
    total += ptx_count_bits(bits);
  }
  ptx_sync_block();
  return total;
}

/* The column of a thread, the first row of its block, and a bit for each of its rows that has a sum. */
typedef struct scatter_place {
  int64_t row0, col;
  uint32_t begun;
} scatter_place;

/* Adds what a list of positions from `first` on has for a thread's column and rows. */
__device__ __forceinline__ void thread_add_listed(const scatter_params &p, int64_t first, int total, scatter_list &list,
                                                  scatter_sums &sums, scatter_place *to) {
  const uint32_t share = threadIdx.x / SCATTER_COLS;
#pragma unroll 1
  for (int k = 0; k < total; ++k) {
    const uint32_t entry = list.load(k), row = entry >> 16, bit = 1u << row / SCATTER_SHARES;
    if (row % SCATTER_SHARES != share) continue;
    const int at = (int)(row * SCATTER_COLS + threadIdx.x % SCATTER_COLS);
    const int64_t position = first + (entry & 0xffffu);
    const float x = mfqn_float_of(thread_load_element(p.dy.of, thread_offset(p.dy, position, to->col)));
    float sum = 0.0f;
    if ((to->begun & bit) != 0)
      sum = sums.load(at);
    else if (p.accumulate)
      sum = mfqn_float_of(thread_load_element(p.table.of, thread_offset(p.table, to->row0 + row, to->col)));
    to->begun |= bit;
    sums.store(at, mfqn_add(sum, x));
  }
}

__global__ void __launch_bounds__(SCATTER_THREADS) scatter_kernel(const __grid_constant__ scatter_params p) {
  __shared__ scatter_list list;
  __shared__ scatter_counts counts;
  __shared__ scatter_sums sums;
  const int64_t range = thread_divide(blockIdx.x, p.slices), slice = blockIdx.x - range * (int64_t)p.slices.value;
  const int64_t row0 = range * p.rows_of_block, col = slice * SCATTER_COLS + threadIdx.x % SCATTER_COLS;
  scatter_place to = {row0, col, 0u};
  for (int64_t first = 0; first < p.indices.count; first += SCATTER_POSITIONS) {
    const int total = block_list_positions(p, first, row0, list, counts);
    if (col < p.cols) thread_add_listed(p, first, total, list, sums, &to);
    ptx_sync_block();
  }
  if (col >= p.cols) return;
  const int rows = p.indices.rows - row0 < p.rows_of_block ? (int)(p.indices.rows - row0) : p.rows_of_block;
  for (int row = (int)threadIdx.x / SCATTER_COLS; row < rows; row += SCATTER_SHARES) {
    const bool has_sum = (to.begun >> row / SCATTER_SHARES & 1u) != 0;
    const int64_t target = thread_offset(p.table, row0 + row, col);
    if (has_sum)
      thread_store_element(p.table.of, target,
                           mfqn_one_nan(sums.load(row * SCATTER_COLS + (int)threadIdx.x % SCATTER_COLS)));
    else if (!p.accumulate)
      thread_store_element(p.table.of, target, 0u);
  }
}

#endif
