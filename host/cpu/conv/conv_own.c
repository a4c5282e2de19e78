/* host/cpu/conv/conv_own.c: an implicit product by the tiles of product/own_tiles.h: strips are gathered instead of
 * read, so that a convolution needs no matrix in memory. */
#include "conv_own.h"

#include <stdio.h>

#include "host/core/integers.h"
#include "host/core/process/team.h"

/* A strip's lanes, gathered, before they are packed; channels that are turned at a time. */
enum { LANES_BYTES = 32 * MFQ_OWN_UNITS * 4, TURNED = 16 };

/* ---- Planning ----------------------------------------------------------------------------------------------------- */

static int gathers_columns(const mfq_own_conv *own) { return own->conv.direction == MFQ_CONV_WEIGHT_GRADIENT; }

/* Elements of a row of the gathered matrix. */
static int64_t row_length(const mfq_own_conv *own) { return mfq_conv_gather_taps(&own->gather) * own->gather.channels; }

static int64_t result_channels(const mfq_onednn_conv *c) {
  return c->direction == MFQ_CONV_INPUT_GRADIENT ? c->in_channels : c->out_channels;
}

static void cut_tiles(mfq_own_conv *own) {
  const mfq_onednn_conv *c = &own->conv;
  const int64_t pixels = c->batch * mfq_conv_gather_pixels(&own->gather), length = row_length(own);
  mfq_own_tiles *t = &own->tiles;
  t->batches = c->groups;
  t->m = gathers_columns(own) ? c->out_channels : pixels;
  t->n = gathers_columns(own) ? length : result_channels(c);
  t->depth = gathers_columns(own) ? pixels : length;
  t->threads = c->threads;
  mfq_own_tiles_cut(t);
}

static mfq_own_conv phase_of(const mfq_own_conv *own, int64_t phase) {
  mfq_own_conv part = *own;
  part.gather = mfq_conv_gather_phase(&own->conv, phase);
  cut_tiles(&part);
  return part;
}

/* What the filter of a phase takes, turned. */
static int64_t filter_bytes_of(const mfq_own_conv *part) {
  const mfq_onednn_conv *c = &part->conv;
  if (c->direction != MFQ_CONV_INPUT_GRADIENT) return 0;
  return mfq_ceil_div(c->groups * c->in_channels * row_length(part) * part->gather.element_bytes, 64) * 64;
}

void mfq_own_conv_init(const mfq_context *context, const mfq_onednn_conv *c, mfq_own_conv *own) {
  *own = (mfq_own_conv){.conv = *c, .gather = mfq_conv_gather_make(c), .phases = mfq_conv_gather_phases(c)};
  own->tiles = (mfq_own_tiles){.in = c->from, .out = c->to, .threads = c->threads, .is_apart = own->phases > 1};
  own->tiles.lane_bytes = LANES_BYTES;
  mfq_own_tiles_choose(context, &own->tiles);
  own->is_few = mfq_conv_few_takes(c);
  if (own->is_few) own->filter_bytes = mfq_conv_few_filter_bytes(own);
  for (int64_t i = 0; i < own->phases && !own->is_few; ++i) {
    const mfq_own_conv part = phase_of(own, i);
    const size_t bytes = (size_t)(part.tiles.threads * mfq_own_thread_bytes(&part.tiles));
    own->filter_bytes += (size_t)filter_bytes_of(&part);
    if (own->loop_bytes < bytes) own->loop_bytes = bytes;
  }
  (void)snprintf(own->name, sizeof own->name, "%s%s", own->is_few ? own->tiles.kernels->isa : own->tiles.name,
                 own->is_few ? ", channels side by side" : "");
}

size_t mfq_own_conv_bytes(const mfq_own_conv *own) { return own->filter_bytes + own->loop_bytes; }

/* ---- The filter --------------------------------------------------------------------------------------------------- */

/* Where tap `tap` of a phase is in the whole filter. */
static int64_t whole_tap(const mfq_own_conv *part, int64_t tap) {
  const mfq_conv_gather *g = &part->gather;
  const int64_t at[3] = {tap / g->filter[2] / g->filter[1], tap / g->filter[2] % g->filter[1], tap % g->filter[2]};
  int64_t whole = 0;
  for (int i = 0; i < 3; ++i) whole = whole * part->conv.filter[i] + g->first_tap[i] + at[i] * g->tap_step[i];
  return whole;
}

/* w [k][tap][c] of a group as [c][tap][k], so that the gradient of the input reads it as FORWARD does: as words of two
 * bytes, each tap in squares that the caches hold. */
typedef struct turn_work {
  const mfq_own_conv *part;
  const uint16_t *w;
  uint16_t *to;
} turn_work;

static int64_t turned_strips(const mfq_own_conv *part) {
  return part->conv.groups * mfq_ceil_div(part->conv.in_channels, TURNED) * mfq_conv_gather_taps(&part->gather);
}

static void turn_filter(void *work, int thread, int64_t first_strip, int64_t end_strip) {
  const turn_work *t = work;
  const mfq_own_conv *part = t->part;
  const mfq_onednn_conv *c = &part->conv;
  const int64_t in = c->in_channels, out = c->out_channels, taps = mfq_conv_gather_taps(&part->gather);
  const int64_t all_taps = c->filter[0] * c->filter[1] * c->filter[2], words = part->gather.element_bytes / 2;
  const int64_t strips = mfq_ceil_div(in, TURNED);
  (void)thread;
  for (int64_t i = first_strip; i < end_strip; ++i) {
    const int64_t group = i / taps / strips, first = i / taps % strips * TURNED, end = mfq_smaller(first + TURNED, in);
    const int64_t tap = i % taps;
    const uint16_t *from = t->w + (group * out * all_taps + whole_tap(part, tap)) * in * words;
    uint16_t *turned = t->to + (group * in * taps + tap) * out * words;
    for (int64_t k = 0; k < out; ++k)
      for (int64_t j = first; j < end; ++j)
        for (int64_t word = 0; word < words; ++word)
          turned[(j * taps * out + k) * words + word] = from[(k * all_taps * in + j) * words + word];
  }
}

void mfq_own_conv_prepare(const mfq_own_conv *own, const void *w, void *workspace) {
  uint8_t *to = workspace;
  if (own->is_few) {
    mfq_conv_few_prepare(own, w, workspace);
    return;
  }
  for (int64_t i = 0; i < own->phases && own->conv.direction == MFQ_CONV_INPUT_GRADIENT; ++i) {
    const mfq_own_conv part = phase_of(own, i);
    mfq_team_run((mfq_loop){part.conv.threads, turned_strips(&part), 0}, turn_filter,
                 &(turn_work){&part, w, (uint16_t *)(void *)to});
    to += filter_bytes_of(&part);
  }
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

/* A phase and its operands. */
typedef struct phase_work {
  const mfq_own_conv *own;
  const uint8_t *gathered, *direct;
} phase_work;

/* The gathered operand from a group's first channel on. */
static const uint8_t *gathered_of(const phase_work *w, const mfq_own_tile *t) {
  return w->gathered + t->batch * w->own->gather.channels * w->own->gather.element_bytes;
}

/* Rows of pixels as strips of A: lane after lane, and in a lane the depth. */
static void pack_pixels(const phase_work *w, const mfq_own_tile *t, int64_t first_row, int64_t rows,
                        const mfq_own_piece *piece) {
  const mfq_conv_gather *g = &w->own->gather;
  const mfq_product_loops *loops = w->own->tiles.loops;
  const int64_t line = piece->length * g->element_bytes, part[2] = {piece->first, piece->length};
  mfq_strip strip = {t->lanes, w->own->conv.from, piece->length, 1, 0, piece->length};
  mfq_conv_pixel pixel = mfq_conv_pixel_at(g, t->first_row + first_row);
  uint32_t *to = t->a_strips;
  for (int64_t row = 0; row < rows; row += loops->rows, to += piece->units * loops->rows) {
    strip.lanes = mfq_smaller(rows - row, loops->rows);
    for (int64_t i = 0; i < strip.lanes; ++i, mfq_conv_pixel_next(g, &pixel))
      mfq_conv_gather_row(g, gathered_of(w, t), &pixel, part, t->lanes + i * line);
    loops->pack(to, &strip, loops->rows);
  }
}

/* Some columns of the gathered matrix as a strip of B: pixel after pixel, and of a pixel all lanes. */
static void pack_columns(const phase_work *w, const mfq_own_tile *t, const mfq_own_piece *piece) {
  const mfq_conv_gather *g = &w->own->gather;
  const mfq_product_loops *loops = w->own->tiles.loops;
  uint32_t *to = t->b_strips;
  for (int64_t col = 0; col < t->cols; col += loops->cols, to += piece->units * loops->cols) {
    const int64_t part[2] = {t->first_col + col, mfq_smaller(t->cols - col, loops->cols)};
    const mfq_strip strip = {t->lanes, w->own->conv.from, 1, part[1], part[1], piece->length};
    mfq_conv_pixel pixel = mfq_conv_pixel_at(g, piece->first);
    for (int64_t i = 0; i < piece->length; ++i, mfq_conv_pixel_next(g, &pixel))
      mfq_conv_gather_row(g, gathered_of(w, t), &pixel, part, t->lanes + i * part[1] * g->element_bytes);
    loops->pack(to, &strip, loops->cols);
  }
}

static void pack_cols(const void *of, const mfq_own_tile *t, const mfq_own_piece *piece) {
  const phase_work *w = of;
  const mfq_own_tiles *tiles = &w->own->tiles;
  if (gathers_columns(w->own)) {
    pack_columns(w, t, piece);
    return;
  }
  const int64_t length = row_length(w->own), lane = t->batch * tiles->n + t->first_col;
  const mfq_strip strip = {.data = w->direct + (lane * length + piece->first) * w->own->gather.element_bytes,
                           .dtype = tiles->in,
                           .lane_stride = length,
                           .depth_stride = 1,
                           .depth = piece->length};
  mfq_own_pack(tiles, strip, t->cols, tiles->loops->cols, t->b_strips);
}

static void pack_rows(const void *of, const mfq_own_tile *t, int64_t row, int64_t rows, const mfq_own_piece *piece) {
  const phase_work *w = of;
  const mfq_onednn_conv *c = &w->own->conv;
  const mfq_own_tiles *tiles = &w->own->tiles;
  if (!gathers_columns(w->own)) {
    pack_pixels(w, t, row, rows, piece);
    return;
  }
  const int64_t all = c->groups * c->out_channels, lane = t->batch * c->out_channels + t->first_row + row;
  const mfq_strip strip = {.data = w->direct + (piece->first * all + lane) * w->own->gather.element_bytes,
                           .dtype = tiles->in,
                           .lane_stride = 1,
                           .depth_stride = all,
                           .depth = piece->length};
  mfq_own_pack(tiles, strip, rows, tiles->loops->rows, t->a_strips);
}

/* Rows of a tile of a phase, which lie apart in the result. */
static void put_rows(const void *of, const mfq_own_tile *t, void *result) {
  const mfq_own_conv *own = ((const phase_work *)of)->own;
  const mfq_conv_gather *g = &own->gather;
  const int64_t all = own->conv.groups * own->tiles.n, bytes = (int64_t)mfq_dtype_bytes(own->conv.to);
  mfq_conv_pixel pixel = mfq_conv_pixel_at(g, t->first_row);
  for (int64_t row = 0; row < t->rows; ++row, mfq_conv_pixel_next(g, &pixel)) {
    int64_t place = pixel.image;
    for (int i = 0; i < 3; ++i) place = place * own->conv.in[i] + g->first_pixel[i] + pixel.at[i] * g->pixel_step[i];
    const int64_t at = place * all + t->batch * own->tiles.n + t->first_col;
    own->tiles.kernels->store((uint8_t *)result + at * bytes, own->conv.to,
                              (const uint32_t *)(const void *)(t->d + row * t->d_stride), t->cols);
  }
}

void mfq_own_conv_run(const mfq_own_conv *own, const void *gathered, const void *direct, void *result,
                      void *workspace) {
  if (own->is_few) {
    mfq_conv_few_run(own, gathered, direct, result, workspace);
    return;
  }
  const uint8_t *filter = workspace;
  const int is_weight = gathers_columns(own);
  for (int64_t i = 0; i < own->phases; ++i) {
    const mfq_own_conv part = phase_of(own, i);
    const phase_work work = {&part, gathered, own->filter_bytes > 0 ? filter : direct};
    const int64_t length = row_length(&part), n = part.tiles.n;
    const mfq_own_source source = {.of = &work,
                                   .tiles = &part.tiles,
                                   .pack_cols = pack_cols,
                                   .pack_rows = pack_rows,
                                   .put = own->phases > 1 ? put_rows : NULL,
                                   .batch_stride = is_weight ? part.tiles.m * length : n,
                                   .row_stride = is_weight ? length : own->conv.groups * n};
    mfq_own_run(&source, result, (uint8_t *)workspace + own->filter_bytes);
    filter += filter_bytes_of(&part);
  }
}
