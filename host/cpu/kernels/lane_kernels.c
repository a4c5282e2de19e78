/* host/cpu/kernels/lane_kernels.c: the loops of lane_kernels.h for the instruction set MFQ_ISA.
 *
 * A rank is found bit by bit, of MFQ_RANK_LANES lanes at once: a bit is set where fewer keys than the rank are below. */
#include "host/cpu/cast/lane_kernels.h"
#include "loops.h"

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

INLINE void terms_of_kind(const uint32_t *restrict x, mfq_stretch span, int32_t kind, const float *restrict means,
                          float *restrict terms) {
  for (int64_t i = 0; span.run == 0 && i < span.n; ++i) terms[i] = mfqn_observed_term(kind, x[i], means[i]);
  for (int64_t at = 0; span.run != 0 && at < span.n; at += span.run) {
    const float mean = means[at / span.run];
    for (int64_t i = at; i < at + span.run; ++i) terms[i] = mfqn_observed_term(kind, x[i], mean);
  }
}

static void terms(const uint32_t *x, mfq_stretch span, int32_t kind, const float *means, float *to) {
  if (kind == MFQN_TERM_MAGNITUDE)
    terms_of_kind(x, (mfq_stretch){span.n, span.n, 0}, MFQN_TERM_MAGNITUDE, means, to);
  else if (kind == MFQN_TERM_SQUARE)
    terms_of_kind(x, (mfq_stretch){span.n, span.n, 0}, MFQN_TERM_SQUARE, means, to);
  else
    terms_of_kind(x, span, MFQN_TERM_DEVIATION, means, to);
}

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

/* Vectors of the instruction set; longer ones would be memory. */
#if defined(__AVX512F__)
enum { VECTOR = 16 };
#elif defined(__AVX2__)
enum { VECTOR = 8 };
#else
enum { VECTOR = 4 };
#endif
enum { VECTORS = MFQ_RANK_LANES / VECTOR };
typedef int32_t lane_vector __attribute__((vector_size(4 * VECTOR), aligned(4)));
typedef struct lanes {
  lane_vector v[VECTORS];
} lanes;

/* Keys in the order of signed integers, which every instruction set compares. */
INLINE int32_t signed_key(uint32_t u, int is_signed) { return (int32_t)(mfqn_rank_key(u, is_signed) ^ 0x80000000u); }

INLINE void keys_of_blocks(const uint32_t *restrict x, int64_t count, int64_t n, int is_signed, int32_t *restrict to) {
  for (; count >= MFQ_RANK_LANES; count -= MFQ_RANK_LANES, x += MFQ_RANK_LANES, to += MFQ_RANK_LANES * n)
    for (int l = 0; l < MFQ_RANK_LANES; ++l) to[l] = signed_key(x[l], is_signed);
  for (int64_t l = 0; l < count; ++l) to[l] = signed_key(x[l], is_signed);
  for (int64_t l = count; count > 0 && l < MFQ_RANK_LANES; ++l) to[l] = 0;
}

static void keys_of_row(const uint32_t *x, int64_t count, int64_t j, const mfq_lane_rank *r, int32_t *keys) {
  if (r->is_signed)
    keys_of_blocks(x, count, r->n, 1, keys + j * MFQ_RANK_LANES);
  else
    keys_of_blocks(x, count, r->n, 0, keys + j * MFQ_RANK_LANES);
}

INLINE void turn_block(const uint32_t *restrict x, int64_t count, int64_t n, int is_signed, int32_t *restrict to) {
  for (int64_t j = 0; count == MFQ_RANK_LANES && j < n; ++j)
    for (int64_t l = 0; l < MFQ_RANK_LANES; ++l) to[j * MFQ_RANK_LANES + l] = signed_key(x[l * n + j], is_signed);
  for (int64_t j = 0; count < MFQ_RANK_LANES && j < n; ++j)
    for (int64_t l = 0; l < MFQ_RANK_LANES; ++l)
      to[j * MFQ_RANK_LANES + l] = l < count ? signed_key(x[l * n + j], is_signed) : 0;
}

static void keys_of_runs(const uint32_t *x, int64_t count, const mfq_lane_rank *r, int32_t *keys) {
  const int64_t block = MFQ_RANK_LANES * r->n;
  for (int64_t at = 0; at < count; at += MFQ_RANK_LANES, x += block, keys += block) {
    const int64_t here = count - at < MFQ_RANK_LANES ? count - at : MFQ_RANK_LANES;
    if (r->is_signed)
      turn_block(x, here, r->n, 1, keys);
    else
      turn_block(x, here, r->n, 0, keys);
  }
}

/* Element `j` of all lanes of a block. */
INLINE void load_row(const int32_t *keys, int64_t j, lanes *row) {
  const int32_t *from = keys + j * MFQ_RANK_LANES;
  for (int k = 0; k < VECTORS; ++k) row->v[k] = *(const lane_vector *)(const void *)(from + k * VECTOR);
}

INLINE uint32_t magnitude_of(int32_t key, int is_signed) {
  return mfqn_rank_value((uint32_t)key ^ 0x80000000u, is_signed) & MFQN_ABS;
}

/* The highest bit in which the two ends of any lane differ; 0 where none does. */
INLINE uint32_t highest_difference(const lanes *low, const lanes *high) {
  uint32_t differ = 0, bit = 1;
  for (int l = 0; l < MFQ_RANK_LANES; ++l)
    differ |= (uint32_t)(low->v[l / VECTOR][l % VECTOR] ^ high->v[l / VECTOR][l % VECTOR]);
  while (bit <= differ >> 1) bit <<= 1;
  return differ == 0 ? 0 : bit;
}

/* Sets `bit` in the keys of the lanes of which fewer than the rank are below. */
INLINE void set_bit(const int32_t *keys, const mfq_lane_rank *r, uint32_t bit, lanes *key) {
  const lane_vector flipped = (lane_vector){0} + INT32_MIN, rank = (lane_vector){0} + (int32_t)r->rank;
  lanes bound, below;
  for (int k = 0; k < VECTORS; ++k) {
    bound.v[k] = (key->v[k] | ((lane_vector){0} + (int32_t)bit)) ^ flipped;
    below.v[k] = (lane_vector){0};
  }
  for (int64_t j = 0; j < r->n; ++j) {
    lanes row;
    load_row(keys, j, &row);
    for (int k = 0; k < VECTORS; ++k) below.v[k] -= row.v[k] < bound.v[k]; /* -1 where it is */
  }
  for (int k = 0; k < VECTORS; ++k) key->v[k] |= ((lane_vector){0} + (int32_t)bit) & (below.v[k] < rank);
}

/* Bit by bit, from the leading bits of the lowest keys on, which `found` has. */
INLINE void narrow(const int32_t *keys, const mfq_lane_rank *r, uint32_t bit, lanes *found) {
  const lane_vector flipped = (lane_vector){0} + INT32_MIN, low = (lane_vector){0} + (int32_t)(bit | (bit - 1));
  const lane_vector ones = (lane_vector){0} + (int32_t)(r->is_signed ? (1u << r->spare) - 1 : 0);
  lanes key;
  for (int k = 0; k < VECTORS; ++k) key.v[k] = (found->v[k] ^ flipped) & ~low;
  for (; bit >> r->spare != 0; bit >>= 1) set_bit(keys, r, bit, &key);
  for (int k = 0; k < VECTORS; ++k) /* a negative number has ones below */
    found->v[k] = (key.v[k] | (ones & (key.v[k] >= 0))) ^ flipped;
}

static void rank_block(const int32_t *keys, const mfq_lane_rank *r, uint32_t *found, uint32_t *largest) {
  lanes low, high, row;
  load_row(keys, 0, &low);
  high = low;
  for (int64_t j = 1; j < r->n; ++j) {
    load_row(keys, j, &row);
    for (int k = 0; k < VECTORS; ++k) {
      const lane_vector is_low = row.v[k]<low.v[k], is_high = row.v[k]> high.v[k];
      low.v[k] = (row.v[k] & is_low) | (low.v[k] & ~is_low);
      high.v[k] = (row.v[k] & is_high) | (high.v[k] & ~is_high);
    }
  }
  const uint32_t bit = r->rank == 1 || r->rank == r->n ? 0 : highest_difference(&low, &high);
  lanes key = bit == 0 && r->rank != 1 ? high : low;
  if (bit != 0) narrow(keys, r, bit, &key);
  for (int l = 0; l < MFQ_RANK_LANES; ++l) {
    const int v = l / VECTOR, at = l % VECTOR;
    found[l] = mfqn_rank_value((uint32_t)key.v[v][at] ^ 0x80000000u, r->is_signed);
    largest[l] = mfqn_umax(magnitude_of(low.v[v][at], r->is_signed), magnitude_of(high.v[v][at], r->is_signed));
  }
}

const mfq_lane_loops MFQ_JOIN(mfq_lane_loops_, MFQ_ISA) = {
    .terms = terms, .keys_of_row = keys_of_row, .keys_of_runs = keys_of_runs, .rank = rank_block};
