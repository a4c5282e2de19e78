/* cuda/dequantize/decode_turned_kernel.cuh: rows of codes to columns of values: codes that are stored transposed, or with
 * the group last.
 *
 * A block has 64 columns of 128 rows. Threads load 8 neighbouring codes of a column and leave them in shared memory, a byte
 * each; from there they gather those of a piece of a row, and go on as decode_kernel does. Columns begin at every 33rd word,
 * so that the pieces of a row meet in no bank more than twice. Bytes moved per element: as in decode_kernel. */
#ifndef MFQ_CUDA_DEQUANTIZE_DECODE_TURNED_KERNEL_CUH
#define MFQ_CUDA_DEQUANTIZE_DECODE_TURNED_KERNEL_CUH

#include "cuda/prim/shared.cuh"
#include "decode_kernel.cuh"

enum { TURNED_COLS = 64, TURNED_ROWS = 128, TURNED_STEP = (int)TURNED_ROWS / 4 + 1, TURNED_UNIT = 8 };

typedef struct decode_turned_params {
  decode_params of;       /* of values in rows: row_bits from column to column; codes are bytes by then */
  int32_t code_bits;      /* as stored */
  int64_t rows;           /* of an outer index */
  divisor64 across, down; /* tiles */
} decode_turned_params;

typedef block_array<uint32_t, TURNED_COLS * TURNED_STEP> turned_codes;

/* The tile of a block. */
typedef struct turned_tile {
  int64_t outer, row0, col0;
} turned_tile;

__device__ __forceinline__ turned_tile block_turned_tile(const decode_turned_params &p) {
  const int64_t down = thread_divide(blockIdx.x, p.across), outer = thread_divide(down, p.down);
  return turned_tile{outer, (down - outer * (int64_t)p.down.value) * TURNED_ROWS,
                     ((int64_t)blockIdx.x - down * (int64_t)p.across.value) * TURNED_COLS};
}

__device__ __forceinline__ void block_load_turned(const decode_turned_params &p, const turned_tile &t,
                                                  turned_codes &memory) {
  constexpr int UNITS = TURNED_ROWS / TURNED_UNIT, ALL = UNITS * TURNED_COLS;
#pragma unroll
  for (int k = 0; k < ALL / DECODE_THREADS; ++k) {
    const int unit = k * DECODE_THREADS + (int)threadIdx.x, col = unit / UNITS, row = unit % UNITS * TURNED_UNIT;
    const int64_t left = p.rows - t.row0 - row, line = t.outer * p.of.cols + t.col0 + col;
    const int count = t.col0 + col >= p.of.cols || left <= 0 ? 0 : left < TURNED_UNIT ? (int)left : TURNED_UNIT;
    uint64_t stream = 0;
    if (count > 0)
      stream =
          thread_load_codes(p.of, p.code_bits, line * p.of.row_bits + (t.row0 + row) * p.code_bits, TURNED_UNIT, count);
    const int to = col * TURNED_STEP + row / 4;
    memory.store(to, thread_four_codes(p.of, p.code_bits, (uint32_t)stream));
    memory.store(to + 1, thread_four_codes(p.of, p.code_bits, (uint32_t)(stream >> 4 * p.code_bits)));
  }
  ptx_sync_block();
}

/* Four columns of a row, from word `at` of the first one on; `row` within the word. */
__device__ __forceinline__ uint32_t thread_four_columns(turned_codes &memory, int at, int row) {
  const uint32_t two = (uint32_t)row | (uint32_t)(row + 4) << 4;
  const uint32_t low = ptx_permute(memory.load(at), memory.load(at + TURNED_STEP), two);
  const uint32_t high = ptx_permute(memory.load(at + 2 * TURNED_STEP), memory.load(at + 3 * TURNED_STEP), two);
  return ptx_permute(low, high, 0x5410u);
}

template <int DTYPE>
__global__ void __launch_bounds__(DECODE_THREADS, 4)
    decode_turned_kernel(const __grid_constant__ decode_turned_params p) {
  constexpr int PIECES = TURNED_COLS / PIECE<DTYPE>, STEP = DECODE_THREADS / PIECES;
  __shared__ turned_codes memory;
  const turned_tile t = block_turned_tile(p);
  block_load_turned(p, t, memory);
  const int first = (int)threadIdx.x / PIECES, in_tile = (int)threadIdx.x % PIECES * PIECE<DTYPE>;
  const int64_t col = t.col0 + in_tile, left = p.of.cols - col, rows = p.rows - t.row0;
  const int count = left < PIECE<DTYPE> ? (int)left : PIECE<DTYPE>;
  if (left <= 0) return;
#pragma unroll 1
  for (int row = first; row < TURNED_ROWS && row < rows; row += STEP) {
    uint32_t codes[PIECE<DTYPE> / 4];
#pragma unroll
    for (int k = 0; k < PIECE<DTYPE> / 4; ++k)
      codes[k] = thread_four_columns(memory, (in_tile + 4 * k) * TURNED_STEP + row / 4, row % 4);
    uint64_t stream = codes[0];
    if constexpr (PIECE<DTYPE> == 8) stream |= (uint64_t)codes[1] << 32;
    thread_decode_piece<DTYPE>(p.of, piece_place{t.outer, t.row0 + row, 0, col}, stream, codes, count);
  }
}

#endif
