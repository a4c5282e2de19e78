/* host/cpu/cast/ends.h: between which elements gradients pass a scheme's clip.
 *
 * Rounding is monotonic, so the elements of a group that pass lie between two ends, which are found for a scale of 1 by
 * trying, and scaled exactly for each group (num/clip.h). Under stochastic rounding there are two pairs of ends: elements
 * up to the first pass by any word, those beyond the outer ones by none. */
#ifndef MFQ_HOST_CPU_ENDS_H
#define MFQ_HOST_CPU_ENDS_H

#include "host/cpu/kernels.h"

/* Those under a scale of 1. Each thread finds the ends of zero points when it meets them. */
typedef struct mfq_found_ends {
  const mfqn_scheme *scheme;
  int32_t is_random; /* there are outer ends */
  mfq_ends ends, outer;
  uint8_t are_known[256]; /* by zero point, as the ends are */
} mfq_found_ends;

/* What one thread knows of the clip of the lanes at hand. */
typedef struct mfq_clip {
  mfq_found_ends found;
  mfq_lane_ends ends, outer;
} mfq_clip;

/* Begins, without zero points; the smallest normal number is wanted where `is_sloped`, ends of bf16 where `is_half`. */
void mfq_ends_start(const mfqn_scheme *s, int is_sloped, int is_half, mfq_found_ends *found);

/* Finds the ends of the zero points of lanes. */
void mfq_ends_meet(mfq_found_ends *found, int64_t n, const mfq_lanes *lanes);

/* The ends of lanes that are made. */
void mfq_clip_lanes(const mfq_kernels *kernels, int64_t n, const mfq_lanes *lanes, mfq_clip *clip);

/* Whether ends do not hold for a lane, or for any. */
static inline int mfq_clip_is_rare(const mfq_clip *clip, int64_t lane) {
  return clip->ends.rare[lane] || (clip->found.is_random && clip->outer.rare[lane]);
}
static inline int mfq_clip_any_rare(const mfq_clip *clip) {
  return clip->ends.any_rare || (clip->found.is_random && clip->outer.any_rare);
}

/* A bit for each element of a row, in ceil(n / 32) words: whether it passes by the first ends; and whether that is to be
 * asked of the definition: in rare lanes, and between both pairs of ends. Returns 0 where nothing is: `open` is not written
 * then. */
int mfq_clip_row(const mfq_kernels *kernels, const mfq_clip *clip, mfq_source x, mfq_stretch span, uint32_t *passing,
                 uint32_t *open);

#endif
