/* host/cpu/cast/ends.h: between which elements gradients pass a scheme's clip.
 *
 * Rounding is monotonic, so the elements of a group that pass lie between two ends, which are found once for a scale of 1 by
 * trying, and scaled exactly for each group (num/clip.h). */
#ifndef MFQ_HOST_CPU_ENDS_H
#define MFQ_HOST_CPU_ENDS_H

#include "host/cpu/kernels.h"

/* The ends for elements that are rounded by one `random` word, all but is_half; the smallest normal number where
 * `is_sloped`. */
void mfq_ends_find(const mfqn_scheme *s, uint32_t random, int is_sloped, mfq_ends *ends);

/* The same of stochastic rounding: elements up to `ends` pass by any word, those beyond `outer` by none. */
void mfq_ends_find_random(const mfqn_scheme *s, mfq_ends *ends, mfq_ends *outer);

/* The elements of a row between ends. */
typedef struct mfq_ends_row {
  mfq_source x;
  mfq_stretch span;
  const mfq_lane_ends *ends, *outer; /* the latter of stochastic rounding, else NULL */
} mfq_ends_row;

/* A bit for each element, in ceil(n / 32) words: whether it passes by the first ends; and whether that is to be asked of the
 * definition: for groups that ends do not hold for, and between both ends. */
void mfq_ends_open(const mfq_kernels *kernels, const mfq_ends_row *row, uint32_t *passing, uint32_t *open);

#endif
