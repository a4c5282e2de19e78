/* host/core/problem/slab.h: how work is cut into steps whose memory is bounded: what the planners of all backends count
 * with. Pure. */
#ifndef MFQ_HOST_CORE_SLAB_H
#define MFQ_HOST_CORE_SLAB_H

#include "host/core/integers.h"

/* How many things of `each` bytes fit: at most `all`; 0 bytes: all. */
static inline int64_t mfq_slab_fit(int64_t limit, int64_t each, int64_t all) {
  return each > 0 ? mfq_smaller(limit / each, all) : all;
}

/* Equal parts of `all`, of at most `most`, multiples of `unit` where that is possible. */
static inline int64_t mfq_slab_equal(int64_t all, int64_t most, int64_t unit) {
  if (most >= all) return all;
  if (most < unit) return most;
  const int64_t parts = mfq_ceil_div(all, most / unit * unit);
  return mfq_smaller(mfq_round_up(mfq_ceil_div(all, parts), unit), all);
}

/* Of the last step along an axis. */
static inline int64_t mfq_slab_last(int64_t all, int64_t step) { return all % step == 0 ? step : all % step; }

#endif
