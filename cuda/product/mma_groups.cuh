/* cuda/product/mma_groups.cuh: products of tiles whose groups along the depth have scales that bf16 does not hold.
 *
 * As mma_loop.cuh, but of codes without their scales: sums of codes are exact but for the rounding of float32, and where a
 * group of either operand ends they are multiplied by both scales and added to the sums of the tile. A thread has two sets
 * of sums, so that tiles are 64 columns wide, and a block has a multiprocessor. For each group a warp multiplies 32 sums a
 * lane once or twice beside 32 matrix instructions for each 32 of depth.
 *
 * What a gatherer has beside that of mma_loop.cuh:
 *   int begins(p, piece)           whether a group begins there
 *   float scale(p, piece)          of the group that begins: of the thread's row, or, in the upper half, column
 *   int has_row_scales(p)          0: those of rows are 1 */
#ifndef MFQ_CUDA_PRODUCT_MMA_GROUPS_CUH
#define MFQ_CUDA_PRODUCT_MMA_GROUPS_CUH

#include "mma_loop.cuh"

/* Scales of a group's rows, then of its columns; of two groups. */
enum { GROUP_LINES = 2 * TILE_ROWS };
typedef block_array<float, 2 * GROUP_LINES> group_scales;

/* Adds the sums of a group, times its scales. */
template <class Shape>
__device__ __forceinline__ void warp_promote(group_scales &scales, int which, int has_rows, mma_sums<Shape> *group,
                                             mma_sums<Shape> *sums) {
  const int lane = (int)threadIdx.x % 32, first = which * GROUP_LINES;
  const int row = first + warp_first_row<Shape>() + lane / 4;
  const int column = first + TILE_ROWS + warp_first_column<Shape>() + lane % 4 * 2;
#pragma unroll
  for (int j = 0; j < Shape::WIDE; ++j) {
    const float by[] = {scales.load(column + j * 8), scales.load(column + j * 8 + 1)};
#pragma unroll
    for (int i = 0; i < 2 * Shape::TALL; ++i) {
      const float of_row = has_rows ? scales.load(row + i * 8) : 1.0f;
      float *part = group->d[i / 2][j].sum + i % 2 * 2, *sum = sums->d[i / 2][j].sum + i % 2 * 2;
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        sum[c] = ptx_fma(has_rows ? mfqn_mul(part[c], of_row) : part[c], by[c], sum[c]);
        part[c] = 0.0f;
      }
    }
  }
}

template <class Gatherer>
__global__ void __launch_bounds__(TILE_THREADS, 1)
    mma_groups_kernel(const __grid_constant__ typename Gatherer::params p) {
  using Shape = typename Gatherer::shape;
  __shared__ mma_memory a_memory, b_memory;
  __shared__ tile_rows rows;
  __shared__ mma_notes notes;
  __shared__ group_scales scales;
  const tile_block at = block_tile_place(p.grid);
  Gatherer from;
  if (!from.start(p, at, rows, notes)) return;
  mma_sums<Shape> sums = thread_no_sums<Shape>(), group = thread_no_sums<Shape>();
  ptx_sync_block();
  for (int32_t piece = from.pieces.first, which = 1;; ++piece) {
    unit16 a, b;
    float scale = 1.0f;
    const int is_more = piece < from.pieces.end, buffer = piece % 2, begins = is_more && from.begins(p, piece);
    if (is_more) from.fetch(p, notes, piece, &a, &b);
    if (begins) scale = from.scale(p, piece);
    if (piece > from.pieces.first) warp_multiply<Shape>(a_memory, b_memory, buffer ^ 1, &group);
    if (piece > from.pieces.first && (begins || !is_more))
      warp_promote<Shape>(scales, which, from.has_row_scales(p), &group, &sums);
    if (!is_more) break;
    if (begins) {
      which ^= 1; /* the other one is still read by others */
      scales.store(which * GROUP_LINES + (int)threadIdx.x, scale);
    }
    thread_put_unit<Shape::IS_A_WIDE>(p.a, a, a_memory, buffer);
    thread_put_unit<Shape::IS_B_WIDE>(p.b, b, b_memory, buffer);
    ptx_sync_block();
  }
  warp_store_sums<Shape>(p.grid, at, rows, sums);
}

#endif
