/* host/core/integers.h: the small arithmetic of sizes and counts, which are >= 0. */
#ifndef MFQ_HOST_CORE_INTEGERS_H
#define MFQ_HOST_CORE_INTEGERS_H

#include <stddef.h>
#include <stdint.h>

static inline int64_t mfq_ceil_div(int64_t value, int64_t unit) { return value / unit + (value % unit != 0); }
/* To a multiple of `unit`. */
static inline int64_t mfq_round_up(int64_t value, int64_t unit) { return mfq_ceil_div(value, unit) * unit; }

static inline int64_t mfq_smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t mfq_larger(int64_t a, int64_t b) { return a > b ? a : b; }
static inline size_t mfq_larger_size(size_t a, size_t b) { return a > b ? a : b; }

static inline int64_t mfq_common_divisor(int64_t a, int64_t b) {
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}
static inline int64_t mfq_common_multiple(int64_t a, int64_t b) { return a / mfq_common_divisor(a, b) * b; }

/* -1 for what is no power of two. */
static inline int32_t mfq_exact_log2(int64_t value) {
  for (int32_t log2 = 0; log2 < 62; ++log2)
    if ((int64_t)1 << log2 == value) return log2;
  return -1;
}

#endif
