/* host/cpu/cast/masks.c: the bits of a panel's rows, made where their values are.
 *
 * The elements of a group that pass lie between two ends. Most measured scales leave nothing beyond them, which what
 * they were measured from tells. */
#include <string.h>

#include <mfq/num/gradient.h>
#include <mfq/num/random.h>

#include "host/core/check/fakes.h"
#include "elements.h"
#include "masks.h"

void mfq_mask_clear(const mfq_qview *view, uint8_t *bits) { memset(bits, 0, mfq_fake_mask_size(view)); }

/* ---- Ends -------------------------------------------------------------------------------------------------------- */

void mfq_mask_start(const mfq_panels *p, const uint8_t *memory, uint8_t *bits, mfq_mask_job *job) {
  mfq_found_ends found;
  job->bits = bits;
  job->statistics = p->shared && mfqn_is_measured(&p->scheme) ? mfq_panels_statistics(p, memory) : NULL;
  mfq_ends_start(&p->scheme, 0, p->tensor->dtype == MFQ_DTYPE_BF16, &found);
  for (int i = 0; i < p->threads; ++i) {
    job->threads[i].job = job;
    job->threads[i].clip.found = found;
  }
  const int is_one_row = p->size[0] * p->size[1] == 1;
  const int starts_at_byte = (p->col_blocks == 1 || p->cols % 8 == 0) && p->piece % 8 == 0;
  const int are_bytes = (is_one_row || p->size[2] % 8 == 0) && starts_at_byte;
  if (!are_bytes) mfq_mask_clear(p->view, bits);
  bits[mfq_fake_mask_size(p->view) - 1] = 0; /* which may be a part in any case */
}

/* Whether the extremes of a lane pass, and with them all its elements: quotients and roundings are monotonic. */
static int lane_passes(const mfq_ends *e, const mfq_lanes *lanes, int64_t lane, const mfqn_statistic *s, int minmax) {
  const float divisor = lanes->divisor[lane], largest = mfqn_float_of(s->absmax);
  const int64_t row = e->has_zero_points ? (int64_t)lanes->zero_point[lane] - e->lowest : 0;
  const float lo = e->lo[row], hi = e->hi[row];
  if (mfqn_bits(divisor) - MFQN_MIN_NORMAL >= MFQN_INF - MFQN_MIN_NORMAL) return 0;
  if (!minmax) return mfqn_div(largest, divisor) <= (lo < hi ? lo : hi);
  return mfqn_div(s->hi, divisor) <= hi && mfqn_div(-s->lo, divisor) <= lo;
}

static int all_pass(const mfq_panels *p, const mfq_panel *a, const mfq_panel_scratch *scratch) {
  const mfqn_statistic *shared = scratch->mask->job->statistics;
  const mfq_ends *ends = &scratch->mask->clip.found.ends;
  const int minmax = p->scheme.minmax;
  if (scratch->lanes.any_rare) return 0;
  for (int64_t i = 0; i < a->lanes; ++i) {
    const mfqn_statistic s = shared ? shared[a->scale0 + i] : mfq_stats_at(&scratch->stats, i, minmax);
    if (!lane_passes(ends, &scratch->lanes, i, &s, minmax)) return 0;
  }
  return 1;
}

void mfq_mask_lanes(const mfq_panels *p, const mfq_panel *a, mfq_panel_scratch *scratch) {
  mfq_mask_scratch *mask = scratch->mask;
  mfq_ends_meet(&mask->clip.found, a->lanes, &scratch->lanes);
  mask->all_pass = mfqn_is_measured(&p->scheme) && all_pass(p, a, scratch);
  if (!mask->all_pass) mfq_clip_lanes(p->kernels, a->lanes, &scratch->lanes, &mask->clip);
}

/* ---- Bits -------------------------------------------------------------------------------------------------------- */

/* Asks the definition for an element. */
static void do_element(const mfq_panels *p, mfq_source x, int64_t at, mfq_stretch span, mfq_panel_scratch *scratch) {
  uint32_t *word = &scratch->mask->bits[at / 32];
  const mfqn_group g = mfq_lane_group(p, &scratch->lanes, mfq_lane_of(span, at));
  const uint32_t random = scratch->mask->clip.found.is_random ? mfqn_random_fraction(scratch->drawn[at]) : 0;
  const uint32_t u = mfq_element_load(x.data, x.dtype, at);
  *word = (*word & ~(1u << at % 32)) | mfqn_element_passage(&p->scheme, &g, u, random).passes << at % 32;
}

/* To a byte of which other threads may have a part. */
static void add_to_byte(uint8_t *byte, uint32_t bits) {
  (void)__atomic_fetch_or(byte, (uint8_t)bits, __ATOMIC_RELAXED);
}

/* `n` bits to where bit `index` of a mask stands; those behind them are 0, up to the end of a word more. Bytes of which
 * these are a part were set to 0. */
static void put_bits(uint8_t *mask, uint64_t index, const uint32_t *words, int64_t n) {
  const uint8_t *from = (const uint8_t *)words;
  const uint32_t shift = index % 8;
  uint8_t *to = mask + index / 8;
  if (shift == 0) {
    memcpy(to, from, (size_t)n / 8);
    if (n % 8 != 0) add_to_byte(to + n / 8, from[n / 8]);
    return;
  }
  const int64_t last = ((int64_t)shift + n - 1) / 8;
  add_to_byte(to, (uint32_t)from[0] << shift);
  for (int64_t i = 1; i < last; ++i) to[i] = (uint8_t)(from[i] << shift | from[i - 1] >> (8 - shift));
  if (last > 0) add_to_byte(to + last, (uint32_t)from[last] << shift | from[last - 1] >> (8 - shift));
}

static void set_all(uint32_t *words, int64_t n) {
  memset(words, 0xff, (size_t)(n / 32) * sizeof *words);
  words[n / 32] = (1u << n % 32) - 1u;
}

void mfq_mask_piece(const mfq_panels *p, const mfq_panel *a, mfq_piece at, mfq_source x, mfq_panel_scratch *scratch) {
  mfq_mask_scratch *mask = scratch->mask;
  const mfq_stretch span = mfq_panel_span(p, at.col, at.n);
  if (mask->all_pass) {
    set_all(mask->bits, at.n);
  } else {
    const int is_any = mfq_clip_row(p->kernels, &mask->clip, x, span, mask->bits, mask->open);
    for (int64_t k = 0; is_any && k * 32 < at.n; ++k)
      for (uint32_t open = mask->open[k]; open != 0; open &= open - 1)
        do_element(p, x, 32 * k + __builtin_ctz(open), span, scratch);
  }
  mask->bits[(at.n + 31) / 32] = 0;
  put_bits(mask->job->bits, mfq_panel_index(p, a, at), mask->bits, at.n);
}
