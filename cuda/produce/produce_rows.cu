/* cuda/produce/produce_rows.cu: launches what makes and quantizes along rows. */
#include "produce_fast.h"
#include "produce_rows_kernel.cuh"

mfq_status mfq_cuda_produce_rows(mfq_context *context, const made_launch *at, const made_step *step) {
  const made_params *m = at->made;
  produce_rows_params p = {};
  p.rows = step->rows;
  p.made = *m;
  p.is_flat = step->is_flat;
  p.keeps = at->keeps;
  const int64_t of_row = step->is_flat ? m->cols / CHUNK : (int64_t)step->rows.row_chunks.value;
  p.row_chunks = divisor64_make(of_row > 0 ? of_row : 1);
  p.first = m->first * of_row;
  p.rows.chunks = (m->first + m->rows) * of_row;
  const int64_t blocks = (m->rows * of_row + ROWS_THREADS - 1) / ROWS_THREADS;
  p.slots = step->slots;
  p.scales = step->rows.middle_scales;
  p.minmax = step->rows.to.how.scheme.minmax;
  p.by_warps = p.scales == 0 || (step->rows.row_chunks.value % 32 == 0 && p.first % 32 == 0);
  const mfq_launch grid = {at->function, dim3((unsigned)blocks), ROWS_THREADS, 0};
  return mfq_cuda_launch(context, grid, produce_rows_kernel, p);
}
