/* host/cpu/cast/panel_run.c: one panel: measure, scale, encode, decode. */
#include <mfq/num/random.h>

#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "elements.h"
#include "masks.h"
#include "panel_rows.h"

/* ---- Scales ----------------------------------------------------------------------------------------------------- */

static void reset_stats(mfq_stats *stats, int64_t lanes, int minmax) {
  memset(stats->absmax, 0, (size_t)lanes * sizeof stats->absmax[0]);
  for (int64_t i = 0; minmax && i < lanes; ++i) { /* keys beyond every number */
    stats->lo[i] = INT32_MAX;
    stats->hi[i] = INT32_MIN;
  }
}

/* Elements of half the width need no widening, but for ranges of columns. */
static int has_raw_measure(const mfq_panels *p) {
  return mfq_panels_are_direct(p) && p->tensor->dtype != MFQ_DTYPE_F32 && !(p->scheme.minmax && p->run == 0);
}

/* Short pieces of rows lie pages apart, where the processor does not look ahead by itself. */
static void prefetch_rows(const mfq_panels *p, const mfq_panel *a, int64_t r) {
  enum { AHEAD = 4 };
  if ((p->run == 0 || p->transposed) && mfq_panels_are_direct(p) && a->row0 + r + AHEAD < p->size[1])
    mfq_panels_prefetch(p, mfq_panel_element(p, a, r + AHEAD, 0), a->cols);
}

/* The largest magnitudes of columns. */
static void measure_raw_columns(const mfq_panels *p, const mfq_panel *a, mfq_panel_scratch *scratch) {
  memset(scratch->peak, 0, (size_t)a->cols * sizeof scratch->peak[0]);
  for (int64_t r = 0; r < a->rows; ++r) {
    prefetch_rows(p, a, r);
    p->kernels->peak16(mfq_panel_read(p, a, (mfq_piece){r, 0, a->cols}, scratch, NULL).data, a->cols, scratch->peak);
  }
  p->kernels->load(scratch->stats.absmax, scratch->peak, p->tensor->dtype, a->cols);
}

void mfq_panel_measure(const mfq_panels *p, const mfq_panel *a, mfq_panel_scratch *scratch) {
  const int minmax = p->scheme.minmax;
  if (p->run == 0 && has_raw_measure(p)) {
    measure_raw_columns(p, a, scratch);
    return;
  }
  reset_stats(&scratch->stats, a->lanes, minmax);
  for (int64_t r = 0; r < a->rows; ++r) {
    prefetch_rows(p, a, r);
    for (int64_t c = 0; c < a->cols; c += MFQ_CHUNK) {
      const int64_t n = a->cols - c < MFQ_CHUNK ? a->cols - c : MFQ_CHUNK;
      const mfq_stretch span = mfq_panel_span(p, c, n);
      const mfq_piece at = {r, c, n};
      if (!has_raw_measure(p))
        p->kernels->measure(mfq_panel_load(p, a, at, scratch, scratch->x), span, minmax, &scratch->stats);
      else if (minmax)
        p->kernels->ranges16(mfq_panel_read(p, a, at, scratch, NULL).data, span, p->tensor->dtype, &scratch->stats);
      else
        p->kernels->absmax16(mfq_panel_read(p, a, at, scratch, NULL).data, span, p->tensor->dtype, &scratch->stats);
    }
  }
}

/* The zeros that pad a short group count in Brevitas' ranges. */
static void count_padding(const mfq_panels *p, const mfq_panel *a, mfq_stats *stats) {
  for (int64_t i = 0; i < a->lanes; ++i) {
    if (!mfq_scale_is_short(p->view, a->scale0 + i * a->scale_step)) continue;
    stats->lo[i] = mfqn_min(stats->lo[i], 0);
    stats->hi[i] = mfqn_max(stats->hi[i], 0);
  }
}

/* From scratch->stats to scratch->lanes, and the scales to the quantized tensor. */
static void make_scales(const mfq_panels *p, const mfq_panel *a, mfq_panel_scratch *scratch) {
  const mfqn_scheme *s = &p->scheme;
  mfq_lanes *lanes = &scratch->lanes;
  if (s->is_brevitas && s->minmax) count_padding(p, a, &scratch->stats);
  p->kernels->scales(s, &scratch->stats, a->lanes, p->tensor_scale, lanes);
  for (int64_t i = 0; lanes->any_rare && i < a->lanes; ++i) {
    if (!lanes->rare[i]) continue;
    const mfqn_statistic statistic = mfq_stats_at(&scratch->stats, i, s->minmax);
    lanes->stored[i] = mfqn_group_scale(s, &statistic, p->tensor_scale);
  }
  p->kernels->lanes(s, a->lanes, p->tensor_scale, lanes);
  if (p->view->q.scales) mfq_scales_put(p->view, a->scale0, a->scale_step, lanes->stored, a->lanes);
  if (!s->has_zero_point) return;
  p->kernels->zero_points(s, &scratch->stats, a->lanes, lanes);
  for (int64_t i = 0; p->view->q.zero_points && i < a->lanes; ++i)
    mfq_zero_point_put(p->view, s, a->scale0 + i * a->scale_step, (int32_t)lanes->zero_point[i]);
}

/* Infinite quotients are NaN to Brevitas. Scales that are not measured allow them, and those of ranges, in which negative
 * elements alone have no width. */
static int may_have_infinities(const mfq_panels *p) {
  return p->scheme.is_brevitas && (p->scheme.minmax || !mfqn_is_measured(&p->scheme));
}

/* Finds them from scratch->stats; their groups are encoded by the general function. */
static void find_infinities(const mfq_panel *a, mfq_panel_scratch *scratch) {
  mfq_lanes *lanes = &scratch->lanes;
  for (int64_t i = 0; i < a->lanes; ++i) {
    const float largest = mfqn_div(mfqn_float_of(scratch->stats.absmax[i]), lanes->divisor[i]);
    if ((mfqn_bits(largest) & MFQN_ABS) < MFQN_INF) continue;
    lanes->rare[i] = 1;
    lanes->any_rare = 1;
  }
}

/* From the quantized tensor's scales to scratch->lanes. */
static void load_scales(const mfq_panels *p, const mfq_panel *a, mfq_panel_scratch *scratch) {
  mfq_lanes *lanes = &scratch->lanes;
  mfq_scales_get(p->view, a->scale0, a->scale_step, lanes->stored, a->lanes);
  p->kernels->lanes(&p->scheme, a->lanes, p->tensor_scale, lanes);
  for (int64_t i = 0; p->scheme.has_zero_point && i < a->lanes; ++i)
    lanes->zero_point[i] = (float)mfq_zero_point_get(p->view, &p->scheme, a->scale0 + i * a->scale_step);
}

/* ---- Codes ------------------------------------------------------------------------------------------------------ */

/* Elements of groups that the loops do not hold for, by the general functions: to codes, or to values. */
static void make_rare(const mfq_panels *p, const mfq_panel_scratch *scratch, mfq_stretch span, const uint32_t *x,
                      uint8_t *codes, uint32_t *values) {
  const mfq_lanes *lanes = &scratch->lanes;
  const int is_random = p->scheme.rounding == MFQN_ROUND_STOCHASTIC;
  const int64_t width = span.run == 0 ? 1 : span.run;
  for (int64_t i = 0; i * width < span.n; ++i) {
    if (!lanes->rare[span.first + i]) continue;
    const mfqn_group g = mfq_lane_group(p, lanes, span.first + i);
    for (int64_t j = i * width; j < (i + 1) * width && j < span.n; ++j) {
      const uint32_t random = is_random ? mfqn_random_fraction(scratch->drawn[j]) : 0;
      if (values)
        values[j] = mfqn_fake(&p->scheme, &g, x[j], random);
      else
        codes[j] = (uint8_t)mfqn_encode(&p->scheme, &g, x[j], random);
    }
  }
}

/* Encodes a piece; rare groups once more by the general function. */
static void encode_piece(const mfq_panels *p, const mfq_panel *a, mfq_piece at, mfq_panel_scratch *scratch,
                         uint8_t *codes) {
  const mfq_stretch span = mfq_panel_span(p, at.col, at.n);
  const mfq_source x = mfq_panel_read(p, a, at, scratch, scratch->x);
  mfq_panel_draw(p, a, at, scratch);
  p->kernels->encode(&p->scheme, x, span, &scratch->lanes, scratch->drawn, codes);
  if (!scratch->lanes.any_rare) return;
  make_rare(p, scratch, span, mfq_panel_load(p, a, at, scratch, scratch->x), codes, NULL);
}

static uint8_t *code_at(const mfq_panels *p, int64_t row, int64_t col) {
  return (uint8_t *)p->view->q.codes + (row * p->row_bits + col * p->code_bits) / 8;
}

/* Clears the row's padding after its last code. */
void mfq_panel_put(const mfq_panels *p, mfq_piece at, int64_t length, const uint8_t *codes) {
  uint8_t *to = code_at(p, at.row, at.col);
  if (to != codes) p->kernels->pack(to, codes, at.n, p->code_bits);
  if (at.col + at.n < length) return;
  const int64_t used = (at.n * p->code_bits + 7) / 8, end = p->row_bits / 8 - at.col * p->code_bits / 8;
  if (end > used) memset(to + used, 0, (size_t)(end - used));
}

/* Copies the codes of one column; common sizes become single moves. */
static void copy_codes(uint8_t *dst, const uint8_t *src, int64_t bytes) {
  switch (bytes) {
    case 16: memcpy(dst, src, 16); break;
    case 32: memcpy(dst, src, 32); break;
    case 64: memcpy(dst, src, 64); break;
    default: memcpy(dst, src, (size_t)bytes);
  }
}

void mfq_panel_encode(const mfq_panels *p, const mfq_panel *a, mfq_panel_scratch *scratch, uint8_t *codes, int64_t ld) {
  for (int64_t r = 0; r < a->rows; ++r)
    for (int64_t c = 0; c < a->cols; c += MFQ_CHUNK) {
      const int64_t n = a->cols - c < MFQ_CHUNK ? a->cols - c : MFQ_CHUNK;
      encode_piece(p, a, (mfq_piece){r, c, n}, scratch, codes + r * ld + c);
    }
}

static void encode_panel(const mfq_panels *p, const mfq_panel *a, mfq_panel_scratch *scratch) {
  const int64_t first_row = a->outer * p->size[1] + a->row0;
  if (p->whole_rows) {
    mfq_panel_encode(p, a, scratch, scratch->block, a->cols);
    p->kernels->pack(code_at(p, first_row, 0), scratch->block, a->rows * a->cols, p->code_bits);
    return;
  }
  const int64_t ahead = mfq_panels_are_direct(p) ? mfq_smaller(a->cols, MFQ_CHUNK) : 0;
  for (int64_t r = 0; r < a->rows; ++r)
    for (int64_t c = 0; c < a->cols; c += p->piece) {
      const int64_t n = a->cols - c < p->piece ? a->cols - c : p->piece;
      const int in_place = p->code_bits == 8; /* codes are bytes: no packing */
      uint8_t *codes = in_place ? code_at(p, first_row + r, a->col0 + c) : scratch->codes;
      if (ahead) mfq_panels_prefetch(p, mfq_panel_element(p, a, r, c) + ahead, n);
      encode_piece(p, a, (mfq_piece){r, c, n}, scratch, codes);
      mfq_panel_put(p, (mfq_piece){first_row + r, a->col0 + c, n}, p->size[2], codes);
    }
}

void mfq_panel_scales(const mfq_panels *p, const mfq_panel *a, int scales_known, mfq_panel_scratch *scratch) {
  if (scales_known) {
    load_scales(p, a, scratch);
    if (may_have_infinities(p)) mfq_panel_measure(p, a, scratch);
  } else {
    if (p->peaks)
      p->kernels->load(scratch->stats.absmax, mfq_panel_peaks(p, a), mfq_panels_peak_dtype(p), a->lanes);
    else
      mfq_panel_measure(p, a, scratch);
    make_scales(p, a, scratch);
  }
  if (may_have_infinities(p)) find_infinities(a, scratch);
}

/* Rows of a bundle: how many there are from `first` on. */
static int64_t bundle_rows(const mfq_panels *p, int64_t first) {
  const int64_t left = p->size[0] * p->size[1] - first;
  return left < p->bundle ? left : p->bundle;
}

static void quantize_bundle(const mfq_panels *p, int64_t index, int scales_known, mfq_panel_scratch *scratch) {
  const int64_t first = index * p->bundle, rows = bundle_rows(p, first), length = p->size[2];
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < length; c += p->cols) {
      const mfq_panel a = mfq_panel_piece(p, first + r, c);
      mfq_panel_scales(p, &a, scales_known, scratch);
      mfq_panel_encode(p, &a, scratch, scratch->block + r * length + c, length);
    }
  p->kernels->pack(code_at(p, first, 0), scratch->block, rows * length, p->code_bits);
}

void mfq_panel_put_turned(const mfq_panels *p, const mfq_panel *a, int64_t rows, mfq_panel_scratch *scratch) {
  const int64_t ld = mfq_panel_ld(a);
  uint8_t *codes = scratch->block, *turned = scratch->block + rows * ld;
  p->kernels->turn8(turned, rows, codes, ld, rows, a->cols);
  const int64_t row = a->outer * p->size[2] + a->col0, bits = rows * p->code_bits;
  if (bits % 8 != 0 || a->row0 + rows == p->size[1]) {
    for (int64_t c = 0; c < a->cols; ++c)
      mfq_panel_put(p, (mfq_piece){row + c, a->row0, rows}, p->size[1], turned + c * rows);
    return;
  }
  if (p->code_bits == 8)
    codes = turned;
  else
    p->kernels->pack(codes, turned, rows * a->cols, p->code_bits);
  for (int64_t c = 0; c < a->cols; ++c) copy_codes(code_at(p, row + c, a->row0), codes + c * bits / 8, bits / 8);
}

static void quantize_stack(const mfq_panels *p, int64_t index, int scales_known, mfq_panel_scratch *scratch) {
  const mfq_panel first = mfq_panel_stacked(p, index, 0);
  int64_t rows = 0;
  for (int64_t level = 0; level < mfq_panels_levels(p, index); ++level) {
    const mfq_panel a = mfq_panel_stacked(p, index, level);
    mfq_panel_scales(p, &a, scales_known, scratch);
    mfq_panel_encode(p, &a, scratch, scratch->block + rows * mfq_panel_ld(&a), mfq_panel_ld(&a));
    rows += a.rows;
  }
  mfq_panel_put_turned(p, &first, rows, scratch);
}

void mfq_panel_quantize(const mfq_panels *p, int64_t index, int scales_known, mfq_panel_scratch *scratch) {
  if (p->bundle) {
    quantize_bundle(p, index, scales_known, scratch);
  } else if (p->transposed) {
    quantize_stack(p, index, scales_known, scratch);
  } else {
    for (int64_t level = 0; level < mfq_panels_levels(p, index); ++level) {
      const mfq_panel a = mfq_panel_stacked(p, index, level);
      mfq_panel_scales(p, &a, scales_known, scratch);
      encode_panel(p, &a, scratch);
    }
  }
}

/* ---- Values ----------------------------------------------------------------------------------------------------- */

/* Decodes the codes of a piece, to where its values stand if that can be. */
static void decode_piece(const mfq_panels *p, const mfq_panel *a, mfq_piece at, const uint8_t *codes,
                         mfq_panel_scratch *scratch) {
  const mfq_stretch span = mfq_panel_span(p, at.col, at.n);
  void *place = mfq_panel_target(p, a, at);
  if (mfq_panels_take_bf16(p, scratch)) {
    void *y = place ? place : scratch->stats.absmax;
    if (p->kernels->decode_bf16(&p->scheme, codes, span, &scratch->lanes, y)) {
      if (!place) mfq_panel_copy(p, a, at, y);
      return;
    }
  }
  const int is_there = place && p->tensor->dtype == MFQ_DTYPE_F32;
  uint32_t *x = is_there ? place : mfq_panel_room(p, a, at, scratch);
  p->kernels->decode(&p->scheme, codes, span, &scratch->lanes, x);
  if (!is_there) mfq_panel_store(p, a, at, x, scratch);
}

/* Values of a panel from codes as bytes, row r at codes + r * ld. */
static void decode_bytes(const mfq_panels *p, const mfq_panel *a, mfq_panel_scratch *scratch, const uint8_t *codes,
                         int64_t ld) {
  for (int64_t r = 0; r < a->rows; ++r)
    for (int64_t c = 0; c < a->cols; c += p->piece) {
      const int64_t n = a->cols - c < p->piece ? a->cols - c : p->piece;
      decode_piece(p, a, (mfq_piece){r, c, n}, codes + r * ld + c, scratch);
    }
}

static void decode_panel(const mfq_panels *p, const mfq_panel *a, mfq_panel_scratch *scratch) {
  const int64_t first_row = a->outer * p->size[1] + a->row0;
  if (p->whole_rows) {
    p->kernels->unpack(scratch->block, code_at(p, first_row, 0), a->rows * a->cols, p->code_bits);
    decode_bytes(p, a, scratch, scratch->block, a->cols);
    return;
  }
  for (int64_t r = 0; r < a->rows; ++r)
    for (int64_t c = 0; c < a->cols; c += p->piece) {
      const int64_t n = a->cols - c < p->piece ? a->cols - c : p->piece;
      const uint8_t *codes = code_at(p, first_row + r, a->col0 + c);
      if (p->code_bits != 8) p->kernels->unpack(scratch->codes, codes, n, p->code_bits);
      decode_piece(p, a, (mfq_piece){r, c, n}, p->code_bits == 8 ? codes : scratch->codes, scratch);
    }
}

static void dequantize_bundle(const mfq_panels *p, int64_t index, mfq_panel_scratch *scratch) {
  const int64_t first = index * p->bundle, rows = bundle_rows(p, first), length = p->size[2];
  p->kernels->unpack(scratch->block, code_at(p, first, 0), rows * length, p->code_bits);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < length; c += p->cols) {
      const mfq_panel a = mfq_panel_piece(p, first + r, c);
      load_scales(p, &a, scratch);
      decode_bytes(p, &a, scratch, scratch->block + r * length + c, length);
    }
}

/* Unpacks the columns of a stack and turns them into rows of codes. */
static void get_turned(const mfq_panels *p, const mfq_panel *a, int64_t rows, mfq_panel_scratch *scratch) {
  const int64_t ld = mfq_panel_ld(a);
  uint8_t *codes = scratch->block, *turned = scratch->block + rows * ld;
  const int64_t row = a->outer * p->size[2] + a->col0, bits = rows * p->code_bits;
  if (bits % 8 != 0) {
    for (int64_t c = 0; c < a->cols; ++c)
      p->kernels->unpack(turned + c * rows, code_at(p, row + c, a->row0), rows, p->code_bits);
  } else {
    for (int64_t c = 0; c < a->cols; ++c) copy_codes(codes + c * bits / 8, code_at(p, row + c, a->row0), bits / 8);
    p->kernels->unpack(turned, codes, rows * a->cols, p->code_bits);
  }
  p->kernels->turn8(codes, ld, turned, rows, a->cols, rows);
}

static void dequantize_stack(const mfq_panels *p, int64_t index, mfq_panel_scratch *scratch) {
  const mfq_panel first = mfq_panel_stacked(p, index, 0);
  const int64_t left = p->size[1] - first.row0, rows = left < p->rows * p->stack ? left : p->rows * p->stack;
  get_turned(p, &first, rows, scratch);
  for (int64_t level = 0; level < mfq_panels_levels(p, index); ++level) {
    const mfq_panel a = mfq_panel_stacked(p, index, level);
    load_scales(p, &a, scratch);
    decode_bytes(p, &a, scratch, scratch->block + level * p->rows * mfq_panel_ld(&a), mfq_panel_ld(&a));
  }
}

void mfq_panel_dequantize(const mfq_panels *p, int64_t index, mfq_panel_scratch *scratch) {
  if (p->bundle) {
    dequantize_bundle(p, index, scratch);
  } else if (p->transposed) {
    dequantize_stack(p, index, scratch);
  } else {
    for (int64_t level = 0; level < mfq_panels_levels(p, index); ++level) {
      const mfq_panel a = mfq_panel_stacked(p, index, level);
      load_scales(p, &a, scratch);
      decode_panel(p, &a, scratch);
    }
  }
}

/* ---- Values without codes --------------------------------------------------------------------------------------- */

static void fake_piece(const mfq_panels *from, const mfq_panels *to, const mfq_panel *a, mfq_piece at,
                       mfq_panel_scratch *scratch) {
  const mfq_stretch span = mfq_panel_span(from, at.col, at.n);
  const mfq_lanes *lanes = &scratch->lanes;
  uint32_t *gathered = (uint32_t *)scratch->stats.hi;
  const mfq_source x = mfq_panel_read(from, a, at, scratch, gathered);
  const int to_bf16 = mfq_panels_take_bf16(to, scratch);
  void *place = mfq_panel_place(from, to, a, at, to_bf16), *narrow = place ? place : scratch->stats.absmax;
  uint32_t *y = place && !to_bf16 ? place : scratch->x;
  const int is_short = from->kernels->fake(&from->scheme, x, span, lanes, to_bf16 ? narrow : y, to_bf16);
  if (!is_short && from->scheme.is_brevitas) {
    memset(scratch->lanes.rare, 1, (size_t)a->lanes); /* codes do not have all zeros */
    scratch->lanes.any_rare = 1;
  } else if (!is_short) {
    mfq_panel_draw(from, a, at, scratch);
    from->kernels->encode(&from->scheme, x, span, lanes, scratch->drawn, scratch->codes);
    from->kernels->decode(&from->scheme, scratch->codes, span, lanes, y);
  }
  if (scratch->mask) mfq_mask_piece(from, a, at, x, scratch);
  if (is_short && to_bf16) {
    if (!place) mfq_panel_copy(to, a, at, narrow);
    return;
  }
  if (lanes->any_rare) make_rare(from, scratch, span, mfq_panel_load(from, a, at, scratch, gathered), NULL, y);
  if (y == scratch->x) mfq_panel_store(to, a, at, y, scratch);
}

static void fake_panel(const mfq_panels *from, const mfq_panels *to, const mfq_panel *a, mfq_panel_scratch *scratch) {
  const int64_t ahead = from->rows == 1 && mfq_panels_are_direct(from) ? a->cols : 0;
  mfq_panel_scales(from, a, mfq_panels_scales_known(from), scratch);
  if (scratch->mask) mfq_mask_lanes(from, a, scratch);
  for (int64_t r = 0; r < a->rows; ++r)
    for (int64_t c = 0; c < a->cols; c += from->piece) {
      const mfq_piece at = {r, c, a->cols - c < from->piece ? a->cols - c : from->piece};
      if (ahead) mfq_panels_prefetch(from, mfq_panel_element(from, a, r, c) + ahead, at.n);
      fake_piece(from, to, a, at, scratch);
    }
}

void mfq_panel_fake(const mfq_panels *from, const mfq_panels *to, int64_t index, mfq_panel_scratch *scratch) {
  for (int64_t level = 0; level < mfq_panels_levels(from, index); ++level) {
    const mfq_panel a = mfq_panel_stacked(from, index, level);
    fake_panel(from, to, &a, scratch);
  }
}
