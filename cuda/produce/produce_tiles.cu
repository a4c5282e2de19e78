/* cuda/produce/produce_tiles.cu: launches what makes and quantizes tiles, along columns or along both. */
#include "produce_fast.h"
#include "produce_tile_kernel.cuh"

mfq_status mfq_cuda_produce_tiles(mfq_context *context, const made_launch *at, const made_step *step) {
  const tile_params &t = step->square.tile;
  produce_tile_params p = {};
  p.square = step->square;
  p.made = *at->made;
  p.keeps = at->keeps;
  const tile_range range = mfq_cuda_tile_range(&t, at->made);
  p.first = range.first;
  return mfq_cuda_launch(context, mfq_launch{at->function, dim3(range.count), TILE_THREADS, 0}, produce_tile_kernel, p);
}
