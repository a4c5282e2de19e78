/* host/cpu/cast/lane_tree.h: the tree of num/gradient.h for all lanes of a panel at once: rows of subtrees are added as
 * vectors. */
#ifndef MFQ_HOST_CPU_LANE_TREE_H
#define MFQ_HOST_CPU_LANE_TREE_H

#include <string.h>

#include "host/cpu/kernels.h"

typedef struct mfq_lane_tree {
  int64_t count;  /* rows that were added */
  float *partial; /* [level][lane]: sums of complete subtrees */
} mfq_lane_tree;

/* Adds a row of sums of all lanes, which are lost. */
static inline void mfq_lane_tree_add(const mfq_kernels *kernels, mfq_lane_tree *tree, float *sums, int64_t lanes) {
  int64_t k = 0;
  for (; (tree->count >> k & 1) != 0; ++k) kernels->add(sums, tree->partial + k * lanes, lanes);
  memcpy(tree->partial + k * lanes, sums, (size_t)lanes * sizeof *sums);
  ++tree->count;
}

/* What all rows come to; 0 without rows. */
static inline void mfq_lane_tree_sum(const mfq_kernels *kernels, const mfq_lane_tree *tree, float *sums,
                                     int64_t lanes) {
  memset(sums, 0, (size_t)lanes * sizeof *sums);
  for (int64_t k = 0; tree->count >> k != 0; ++k) {
    if ((tree->count >> k & 1) == 0) continue;
    if ((tree->count & (tree->count - 1)) == 0)
      memcpy(sums, tree->partial + k * lanes, (size_t)lanes * sizeof *sums);
    else
      kernels->add(sums, tree->partial + k * lanes, lanes);
  }
}

#endif
