/* host/cpu/product/own_tiles.h: how products by loops of our own are cut, whatever their operands are: a matrix or several, in
 * tiles that are independent. Of each tile, strips of A and B are packed for a piece of the depth that the caches hold,
 * as many rows at a time as the second-level cache holds. */
#ifndef MFQ_HOST_CPU_OWN_TILES_H
#define MFQ_HOST_CPU_OWN_TILES_H

#include "host/cpu/cpu_state.h"
#include "product_kernels.h"

/* MFQ_OWN_UNITS of the depth of a strip of B stay in the first-level cache, MFQ_OWN_PANEL_ROWS rows of A in the
 * second-level cache. */
enum { MFQ_OWN_UNITS = 256, MFQ_OWN_PANEL_ROWS = 384 };

typedef struct mfq_own_tiles {
  int64_t batches, m, n, depth;
  mfq_dtype in, out;
  int32_t threads;
  int32_t is_apart; /* results go to the thread's memory, in f32, even where they are f32 */
  const mfq_product_loops *loops;
  const mfq_kernels *kernels;
  const char *name;             /* "avx512_bf16" */
  int64_t tile_rows, tile_cols; /* multiples of a block's */
  int64_t row_tiles, col_tiles;
  int64_t lane_bytes;                /* of a thread's memory: the owner's */
  int64_t a_bytes, b_bytes, d_bytes; /* of it: d_bytes is 0 for results that are not apart */
} mfq_own_tiles;

/* A piece of the depth. */
typedef struct mfq_own_piece {
  int64_t first, length, units;
} mfq_own_piece;

/* A tile of a batch, and a thread's memory. */
typedef struct mfq_own_tile {
  int64_t batch, first_row, first_col, rows, cols;
  float *d; /* NULL: the caller has it; else memory of the thread's, d_stride = tile_cols */
  int64_t d_stride;
  uint32_t *a_strips, *b_strips;
  uint8_t *lanes; /* of lane_bytes */
} mfq_own_tile;

/* Fills the loops for `in`, and then the rest, by the members before them. */
void mfq_own_tiles_choose(const mfq_context *context, mfq_own_tiles *tiles);
void mfq_own_tiles_cut(mfq_own_tiles *tiles);
/* Bytes of memory of a thread, a multiple of 64. */
int64_t mfq_own_thread_bytes(const mfq_own_tiles *tiles);
static inline int64_t mfq_own_tile_count(const mfq_own_tiles *tiles) {
  return tiles->batches * tiles->row_tiles * tiles->col_tiles;
}

/* Packs `count` lanes of an operand from `strip` on, `width` in a strip. */
void mfq_own_pack(const mfq_own_tiles *tiles, mfq_strip strip, int64_t count, int32_t width, uint32_t *to);

/* Who has the operands, and what to do with them. */
typedef struct mfq_own_source {
  const void *of; /* their owner */
  const mfq_own_tiles *tiles;
  /* Fill a tile's b_strips with its columns, and its a_strips with rows `row` ... row + rows - 1 of it. */
  void (*pack_cols)(const void *of, const mfq_own_tile *tile, const mfq_own_piece *piece);
  void (*pack_rows)(const void *of, const mfq_own_tile *tile, int64_t row, int64_t rows, const mfq_own_piece *piece);
  /* Takes the results of a tile that are apart; NULL: rows and batches of the result are so far apart: */
  void (*put)(const void *of, const mfq_own_tile *tile, void *result);
  int64_t batch_stride, row_stride;
} mfq_own_source;

/* Multiplies all tiles, on threads; `memory` is mfq_own_thread_bytes for each. */
void mfq_own_run(const mfq_own_source *source, void *result, uint8_t *memory);

#endif
