/* host/core/problem/grid.h: a strided tensor as a grid of outer x middle x inner elements around the axis of its scales. */
#ifndef MFQ_HOST_CORE_GRID_H
#define MFQ_HOST_CORE_GRID_H

#include "host/core/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mfq_grid {
  int64_t size[3];   /* outer, middle, inner */
  int64_t stride[3]; /* of the tensor, in elements */
  int64_t other_stride[3];
} mfq_grid;

/* Merges neighbouring axes with fitting strides, so that
 *   groups or channels along an axis but the last: middle is that axis, inner all behind it, outer all before it;
 *   groups or channels along the last axis, or padded rows of codes (row_align): inner is the last axis;
 *   one scale: three dimensions as they come, the last ones longest; blocks: middle and inner are the last two axes.
 * `other` is a tensor of the same shape that is walked with it; NULL: none. With `by_rows` 1 inner is never more than
 * the last axis for one scale. Returns 0 when three dimensions do not suffice. */
int mfq_grid_make(const mfq_tensor *tensor, const mfq_tensor *other, const mfq_qview *view, int by_rows,
                  mfq_grid *grid);

/* Makes one row of all rows where the tensors are dense and codes not padded; returns whether they are. */
int mfq_grid_join_rows(const mfq_qview *view, mfq_grid *grid);
/* The same where a row is whole groups. */
void mfq_grid_merge_rows(const mfq_qview *view, mfq_grid *grid);

#ifdef __cplusplus
}
#endif

#endif
