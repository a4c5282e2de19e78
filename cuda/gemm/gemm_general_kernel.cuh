/* cuda/gemm/gemm_general_kernel.cuh: the reproducible product of num/dot.h: any operands, strides and layouts, the bits
 * of the CPU.
 *
 * A block has GENERAL_TILE x GENERAL_TILE sums, a thread one of them. Run after run of K, the block copies both
 * operands into shared memory as doubles, and every thread takes the dot of its row and column in order of k. Elements
 * are read once for each tile, one at a time: nothing here is for speed. */
#ifndef MFQ_CUDA_GEMM_GEMM_GENERAL_KERNEL_CUH
#define MFQ_CUDA_GEMM_GEMM_GENERAL_KERNEL_CUH

#include "cuda/prim/shared.cuh"
#include "cuda/product/side.cuh"

enum {
  GENERAL_TILE = 16,
  GENERAL_THREADS = GENERAL_TILE * GENERAL_TILE,
  GENERAL_PITCH = MFQN_DOT_RUN + 1 /* rows apart: so that a warp's reads do not meet in a bank */
};

typedef struct gemm_general_params {
  side_params a, b;
  mfqn_dot_plan plan;
  int64_t tiles; /* of all batches */
  divisor64 row_tiles, col_tiles;
  int64_t m, n, k;
  float *sums; /* dense [batches, m, n] */
} gemm_general_params;

/* A run of one operand's rows. */
typedef block_array<double, GENERAL_TILE * GENERAL_PITCH> general_elements;
typedef block_array<float, GENERAL_TILE> general_scales;

/* Rows of one operand. */
typedef struct general_rows {
  int64_t batch, first;
} general_rows;

/* Elements k0 ... k1 of GENERAL_TILE rows, and the scale that each row has there; 0 beyond the last row. */
__device__ __forceinline__ void block_load_run(const side_params &p, const general_rows &rows, int64_t k0, int64_t k1,
                                               general_elements &elements, general_scales &scales) {
  const int lane = (int)threadIdx.x % MFQN_DOT_RUN;
  const int64_t k = k0 + lane;
  for (int i = (int)threadIdx.x / MFQN_DOT_RUN; i < GENERAL_TILE; i += GENERAL_THREADS / MFQN_DOT_RUN) {
    double element = 0.0;
    float scale = 0.0f;
    if (rows.first + i < p.rows && k < k1) {
      const side_row at = thread_side_row(p, rows.batch, rows.first + i);
      const int64_t index = thread_side_scale_index(p, at, k);
      element = thread_side_element(p, at, k, thread_side_zero_point(p, index));
      scale = lane == 0 ? thread_side_group_scale(p, index) : 0.0f;
    }
    elements.store(i * GENERAL_PITCH + lane, element);
    if (lane == 0) scales.store(i, scale);
  }
}

/* The dot of row `i` and column `j` over the `length` elements of a run. */
__device__ __forceinline__ mfqn_dot thread_run_dot(general_elements &a, general_elements &b, int i, int j, int length,
                                                   int is_wide) {
  mfqn_dot dot = {0.0, 0.0};
  for (int k = 0; k < length; ++k)
    mfqn_dot_add(&dot, a.load(i * GENERAL_PITCH + k), b.load(j * GENERAL_PITCH + k), is_wide);
  return dot;
}

/* All sums of a tile. */
__device__ __forceinline__ float block_sum_tile(const gemm_general_params &p, const general_rows &rows,
                                                const general_rows &cols) {
  __shared__ general_elements a, b;
  __shared__ general_scales a_scales, b_scales;
  const int i = (int)threadIdx.x / GENERAL_TILE, j = (int)threadIdx.x % GENERAL_TILE;
  const int is_wide = p.plan.kind == MFQN_DOT_WIDE;
  float sum = 0.0f;
  for (int64_t k0 = 0, k1; k0 < p.k; k0 = k1) {
    k1 = mfqn_dot_run_end(k0, p.k, p.a.group, p.b.group);
    block_load_run(p.a, rows, k0, k1, a, a_scales);
    block_load_run(p.b, cols, k0, k1, b, b_scales);
    ptx_sync_block();
    const mfqn_dot dot = thread_run_dot(a, b, i, j, (int)(k1 - k0), is_wide);
    const double scale = mfqn_dmul((double)a_scales.load(i), (double)b_scales.load(j));
    sum = mfqn_add(sum, mfqn_dot_round(dot, scale, p.plan));
    ptx_sync_block();
  }
  return sum;
}

__global__ void __launch_bounds__(GENERAL_THREADS) gemm_general_kernel(const __grid_constant__ gemm_general_params p) {
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
    const int64_t line = thread_divide(tile, p.col_tiles), batch = thread_divide(line, p.row_tiles);
    const general_rows rows = {batch, (line - batch * (int64_t)p.row_tiles.value) * GENERAL_TILE};
    const general_rows cols = {batch, (tile - line * (int64_t)p.col_tiles.value) * GENERAL_TILE};
    const float sum = block_sum_tile(p, rows, cols);
    const int64_t row = rows.first + threadIdx.x / GENERAL_TILE, col = cols.first + threadIdx.x % GENERAL_TILE;
    if (row < p.m && col < p.n) ptx_store<uint32_t>(p.sums + (batch * p.m + row) * p.n + col, mfqn_bits(sum));
  }
}

#endif
