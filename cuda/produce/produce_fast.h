/* cuda/produce/produce_fast.h: results that are quantized where they are made: steps over all rows, one for each direction or
 * one for both. */
#ifndef MFQ_CUDA_PRODUCE_FAST_H
#define MFQ_CUDA_PRODUCE_FAST_H

#include "cuda/quantize/quantize_fast.h"
#include "cuda/quantize/rows_kernel.cuh"
#include "cuda/quantize/square_kernel.cuh"
#include "made_cuda.h"

enum { STEP_ROWS, STEP_TILES, STEP_SQUARES, STEP_SHARED };

typedef struct made_step {
  int32_t kind;
  int32_t is_both; /* of both directions */
  int32_t is_flat; /* rows of codes are not those of results */
  int32_t is_col;  /* of `col` */
  uint32_t *slots; /* of STEP_SHARED, while scales of a tensor or of channels are measured */
  rows_params rows;
  square_params square; /* or its `tile` alone */
} made_step;

/* Rows of a launch, and whether it writes plain results. */
typedef struct made_launch {
  const char *function;
  const made_params *made;
  int32_t keeps;
} made_launch;

mfq_status mfq_cuda_produce_rows(mfq_context *context, const made_launch *at,
                                 const made_step *step); /* produce_rows.cu */
mfq_status mfq_cuda_produce_tiles(mfq_context *context, const made_launch *at,
                                  const made_step *step); /* produce_tiles.cu */
mfq_status mfq_cuda_produce_squares(mfq_context *context, const made_launch *at,
                                    const made_step *step); /* produce_squares.cu */

/* Rows of tiles, band by band: the row of results that a band begins with. */
static inline int64_t mfq_cuda_bands(const tile_params *t) { return t->tiles / (int64_t)t->tiles_across.value; }
static inline int64_t mfq_cuda_band_row(const tile_params *t, int64_t band) {
  const int64_t down = (int64_t)t->tiles_down.value, outer = band / down;
  return outer * t->rows + (band - outer * down) * TILE_ROWS;
}

/* The tiles of whole bands: those of the rows of a launch. */
typedef struct tile_range {
  uint32_t first, count;
} tile_range;
static inline int64_t mfq_cuda_band_at(const tile_params *t, int64_t row) {
  const int64_t down = (int64_t)t->tiles_down.value, outer = row / t->rows;
  return outer * down + (row - outer * t->rows + TILE_ROWS - 1) / TILE_ROWS;
}
static inline tile_range mfq_cuda_tile_range(const tile_params *t, const made_params *made) {
  const int64_t across = (int64_t)t->tiles_across.value;
  const int64_t first = mfq_cuda_band_at(t, made->first), end = mfq_cuda_band_at(t, made->first + made->rows);
  return tile_range{(uint32_t)(first * across), (uint32_t)((end - first) * across)};
}

#endif
