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

/* Whether a key of a block, of which most have none, begins with the prefix. */
INLINE uint32_t has_prefix(const uint32_t *x, int64_t n, int is_signed, mfq_rank_prefix prefix) {
  uint32_t found = 0;
  for (int64_t i = 0; i < n; ++i) found |= (mfqn_rank_key(x[i], is_signed) >> prefix.shift) == prefix.bits;
  return found;
}

INLINE int64_t keep_any(const uint32_t *x, int64_t n, int is_signed, mfq_rank_prefix prefix, uint32_t *keys) {
  enum { BLOCK = 32 };
  int64_t kept = 0;
  for (int64_t at = 0; at < n; at += BLOCK) {
    const int64_t length = n - at < BLOCK ? n - at : BLOCK;
    const uint32_t found =
        length == BLOCK ? has_prefix(x + at, BLOCK, is_signed, prefix) : has_prefix(x + at, length, is_signed, prefix);
    for (int64_t i = at; found && i < at + length; ++i) {
      const uint32_t key = mfqn_rank_key(x[i], is_signed);
      keys[kept] = key; /* the next one takes its place where it is none */
      kept += (key >> prefix.shift) == prefix.bits;
    }
  }
  return kept;
}

static int64_t rank_keep(const uint32_t *x, int64_t n, int is_signed, mfq_rank_prefix prefix, uint32_t *keys) {
  return is_signed ? keep_any(x, n, 1, prefix, keys) : keep_any(x, n, 0, prefix, keys);
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
