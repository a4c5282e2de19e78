/* host/cpu/kernels/observe_loops.h: elements counted by the leading bits of their keys, and sums of their terms. */
#ifndef MFQ_HOST_CPU_KERNELS_OBSERVE_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_OBSERVE_LOOPS_H

#include "sum_loops.h"

INLINE uint32_t largest_magnitude(const uint32_t *x, int64_t n) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = mfqn_umax(largest, x[i] & MFQN_ABS);
  return largest;
}

/* Two sets of counters in turn: neighbours often have one bin, which would wait for itself. */
INLINE uint32_t count_all(const uint32_t *x, int64_t n, int is_signed, uint32_t *bins) {
  uint32_t *other = bins + MFQ_RANK_BINS;
  int64_t i = 0;
  for (; i + 2 <= n; i += 2) {
    ++bins[mfqn_rank_key(x[i], is_signed) >> (32 - MFQ_RANK_BITS)];
    ++other[mfqn_rank_key(x[i + 1], is_signed) >> (32 - MFQ_RANK_BITS)];
  }
  for (; i < n; ++i) ++bins[mfqn_rank_key(x[i], is_signed) >> (32 - MFQ_RANK_BITS)];
  return largest_magnitude(x, n);
}

static uint32_t rank_count(const uint32_t *x, int64_t n, int is_signed, uint32_t *bins) {
  return is_signed ? count_all(x, n, 1, bins) : count_all(x, n, 0, bins);
}

/* Blocks of which most have no key in the range. */
enum { RANK_BLOCK = 32 };

INLINE void keep_block(const uint32_t *restrict x, int64_t n, int is_signed, mfq_rank_range range,
                       mfq_rank_found *found) {
  const uint32_t width = range.high - range.low;
  uint32_t below = 0, inside = 0, largest = found->largest;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t key = mfqn_rank_key(x[i], is_signed);
    below += key < range.low;
    inside += key - range.low <= width;
    largest = mfqn_umax(largest, x[i] & MFQN_ABS);
  }
  found->below += below;
  found->largest = largest;
  for (int64_t i = 0; inside != 0 && i < n; ++i) {
    const uint32_t key = mfqn_rank_key(x[i], is_signed);
    found->keys[found->kept] = key; /* the next one takes its place where it is none */
    found->kept += key - range.low <= width;
  }
}

INLINE void keep_any(const uint32_t *x, int64_t n, int is_signed, mfq_rank_range range, mfq_rank_found *found) {
  int64_t at = 0;
  for (; at + RANK_BLOCK <= n; at += RANK_BLOCK) keep_block(x + at, RANK_BLOCK, is_signed, range, found);
  if (at < n) keep_block(x + at, n - at, is_signed, range, found);
}

static void rank_keep(const uint32_t *x, int64_t n, mfq_rank_range range, mfq_rank_found *found) {
  if (range.is_signed)
    keep_any(x, n, 1, range, found);
  else
    keep_any(x, n, 0, range, found);
}

INLINE void terms_of(const uint32_t *restrict x, int64_t n, int32_t kind, float mean, float *restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] = mfqn_observed_term(kind, x[i], mean);
}

static float sum_terms(const uint32_t *restrict x, int64_t n, int32_t kind, float mean) {
  float terms[MFQ_CHUNK], halves[MFQ_CHUNK / 2];
  if (kind == MFQN_TERM_MAGNITUDE)
    terms_of(x, n, MFQN_TERM_MAGNITUDE, mean, terms);
  else if (kind == MFQN_TERM_SQUARE)
    terms_of(x, n, MFQN_TERM_SQUARE, mean, terms);
  else
    terms_of(x, n, MFQN_TERM_DEVIATION, mean, terms);
  return tree_of(terms, halves, n);
}

#endif
