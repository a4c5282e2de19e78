/* host/cpu/conv_few.c: convolutions whose groups have few channels, depthwise ones above all: a product of such small
 * matrices would mostly multiply zeros, so here all channels of a pixel are side by side, and taps come one after the
 * other. */
#include "conv_own.h"

#include <string.h>

enum { MOST_CHANNELS = 4, LEAST_GROUPS = 8, CHUNK = 256 };

int mfq_conv_few_takes(const mfq_onednn_conv *c) {
  return c->groups >= LEAST_GROUPS && c->in_channels <= MOST_CHANNELS && c->out_channels <= MOST_CHANNELS;
}

/* How channels of the result side (y for WEIGHT_GRADIENT) and the gathered one go together. */
typedef struct channels {
  int64_t all;         /* of the first */
  int64_t own, theirs; /* of a group */
  int64_t taps;
} channels;

static channels channels_of(const mfq_own_conv *own) {
  const mfq_onednn_conv *c = &own->conv;
  const int64_t mine = c->direction == MFQ_CONV_INPUT_GRADIENT ? c->in_channels : c->out_channels;
  return (channels){c->groups * mine, mine, own->gather.channels, mfq_conv_gather_taps(&own->gather)};
}

size_t mfq_conv_few_filter_bytes(const mfq_own_conv *own) {
  const channels n = channels_of(own);
  if (own->conv.direction == MFQ_CONV_WEIGHT_GRADIENT) return 0;
  return (size_t)mfq_cut(n.taps * n.theirs * n.all * (int64_t)sizeof(float), 64) * 64;
}

static float value_of(const void *data, mfq_dtype dtype, int64_t index) {
  uint32_t u;
  if (dtype == MFQ_DTYPE_F32)
    memcpy(&u, (const uint8_t *)data + 4 * index, 4);
  else {
    uint16_t half;
    memcpy(&half, (const uint8_t *)data + 2 * index, 2);
    u = (uint32_t)half << 16;
  }
  float x;
  memcpy(&x, &u, 4);
  return x;
}

/* Where weight (tap, their channel, channel of all) is in w [K, taps, C/groups]. */
static int64_t weight_at(const mfq_own_conv *own, const channels *n, int64_t tap, int64_t their, int64_t channel) {
  const mfq_onednn_conv *c = &own->conv;
  const int64_t group = channel / n->own;
  const int64_t k = c->direction == MFQ_CONV_INPUT_GRADIENT ? group * n->theirs + their : channel;
  const int64_t in = c->direction == MFQ_CONV_INPUT_GRADIENT ? channel % n->own : their;
  return (k * n->taps + tap) * c->in_channels + in;
}

void mfq_conv_few_prepare(const mfq_own_conv *own, const void *w, float *filter) {
  const channels n = channels_of(own);
  const int64_t lines = n.taps * n.theirs;
#pragma omp parallel for num_threads(own->tiles.threads) schedule(static)
  for (int64_t i = 0; i < lines; ++i)
    for (int64_t j = 0; j < n.all; ++j)
      filter[i * n.all + j] = value_of(w, own->conv.from, weight_at(own, &n, i / n.theirs, i % n.theirs, j));
}

/* Sums of some of our channels, and what they are multiplied by. */
typedef struct line_of {
  float *sums;
  const float *w;
  int64_t count;
} line_of;

/* Some whole groups. */
typedef struct stretch {
  int64_t first, groups;
} stretch;

/* The channels of a stretch of a pixel, `in_group` of each group. */
static const uint8_t *stretch_of(const mfq_own_conv *own, const uint8_t *pixel, stretch s, int64_t in_group) {
  return pixel + s.first * in_group * own->gather.element_bytes;
}

/* Adds to each of our channels the product of channel `their` of the same group, in `theirs`, and w. */
static void add_products(const mfq_own_conv *own, const channels *n, const uint8_t *theirs, int64_t their, line_of to) {
  const int64_t groups = to.count / n->own;
  const mfq_dtype dtype = own->conv.from;
  if (n->own == 1 && n->theirs == 1) {
    own->tiles.loops->accumulate(to.sums, theirs, dtype, to.w, groups);
    return;
  }
  float x[CHUNK];
  for (int64_t g = 0; g < groups; ++g) {
    const float value = value_of(theirs, dtype, g * n->theirs + their);
    for (int64_t i = 0; i < n->own; ++i) x[g * n->own + i] = value;
  }
  own->tiles.loops->accumulate(to.sums, x, MFQ_DTYPE_F32, to.w, to.count);
}

/* ---- FORWARD and INPUT_GRADIENT ----------------------------------------------------------------------------------- */

/* Channels of a stretch of one pixel of the result. */
static void convolve_stretch(const mfq_own_conv *own, const uint8_t *gathered, const float *filter,
                             const mfq_conv_pixel *pixel, stretch s, float *sums) {
  const channels n = channels_of(own);
  const mfq_conv_gather *g = &own->gather;
  const int64_t count = s.groups * n.own;
  int64_t tap[3] = {0, 0, 0};
  memset(sums, 0, (size_t)count * sizeof *sums);
  for (int64_t t = 0; t < n.taps; ++t, mfq_conv_next_tap(g, tap)) {
    const int64_t place = mfq_conv_gather_place(g, pixel, tap);
    if (place < 0) continue;
    const uint8_t *theirs = stretch_of(own, gathered + place * g->all_channels * g->element_bytes, s, n.theirs);
    for (int64_t their = 0; their < n.theirs; ++their) {
      const float *w = filter + (t * n.theirs + their) * n.all + s.first * n.own;
      add_products(own, &n, theirs, their, (line_of){sums, w, count});
    }
  }
}

static void convolve(const mfq_own_conv *own, const uint8_t *gathered, const float *filter, uint8_t *result) {
  const channels n = channels_of(own);
  const int64_t pixels = own->conv.batch * mfq_conv_gather_pixels(&own->gather), step = CHUNK / n.own;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(own->conv.to);
#pragma omp parallel for num_threads(own->tiles.threads) schedule(static)
  for (int64_t i = 0; i < pixels; ++i) {
    const mfq_conv_pixel pixel = mfq_conv_pixel_at(&own->gather, i);
    float sums[CHUNK];
    for (int64_t first = 0; first < own->conv.groups; first += step) {
      const stretch s = {first, mfq_least(own->conv.groups - first, step)};
      convolve_stretch(own, gathered, filter, &pixel, s, sums);
      own->tiles.kernels->store(result + (i * n.all + first * n.own) * bytes, own->conv.to,
                                (const uint32_t *)(const void *)sums, s.groups * n.own);
    }
  }
}

/* ---- WEIGHT_GRADIENT ---------------------------------------------------------------------------------------------- */

typedef struct tap_sums {
  float at[MOST_CHANNELS][CHUNK]; /* their channel, ours */
} tap_sums;

/* All pixels, for one tap and a stretch of channels. */
typedef struct tap_walk {
  const uint8_t *x, *y; /* y: of the pixel */
  int64_t tap[3];
  stretch s;
  mfq_conv_pixel pixel;
} tap_walk;

/* Adds what one line of pixels gives: their sum first, so that fewer roundings follow each other. */
static void add_line(const mfq_own_conv *own, tap_walk *walk, tap_sums *sums) {
  const channels n = channels_of(own);
  const mfq_conv_gather *g = &own->gather;
  const int64_t count = walk->s.groups * n.own;
  tap_sums line;
  float ours[CHUNK];
  memset(&line, 0, (size_t)n.theirs * sizeof line.at[0]);
  for (int64_t i = 0; i < g->size[2]; ++i, walk->y += n.all * g->element_bytes) {
    const int64_t place = mfq_conv_gather_place(g, &walk->pixel, walk->tap);
    mfq_conv_pixel_next(g, &walk->pixel);
    if (place < 0) continue;
    const uint8_t *theirs = walk->x + place * g->all_channels * g->element_bytes;
    own->tiles.kernels->load((uint32_t *)(void *)ours, stretch_of(own, walk->y, walk->s, n.own), own->conv.from, count);
    for (int64_t their = 0; their < n.theirs; ++their)
      add_products(own, &n, stretch_of(own, theirs, walk->s, n.theirs), their, (line_of){line.at[their], ours, count});
  }
  for (int64_t their = 0; their < n.theirs; ++their)
    for (int64_t j = 0; j < count; ++j) sums->at[their][j] += line.at[their][j];
}

static void store_sums(const mfq_own_conv *own, const tap_walk *walk, int64_t tap, const tap_sums *sums,
                       uint8_t *result) {
  const channels n = channels_of(own);
  const int64_t first = walk->s.first * n.own, bytes = (int64_t)mfq_dtype_bytes(own->conv.to);
  for (int64_t j = 0; j < walk->s.groups * n.own; ++j)
    for (int64_t their = 0; their < n.theirs; ++their)
      own->tiles.kernels->store(result + weight_at(own, &n, tap, their, first + j) * bytes, own->conv.to,
                                (const uint32_t *)(const void *)&sums->at[their][j], 1);
}

static void convolve_taps(const mfq_own_conv *own, const uint8_t *x, const uint8_t *y, uint8_t *result) {
  const channels n = channels_of(own);
  const mfq_conv_gather *g = &own->gather;
  const int64_t step = CHUNK / n.own, chunks = mfq_cut(own->conv.groups, step), tasks = n.taps * chunks;
  const int64_t lines = own->conv.batch * g->size[0] * g->size[1];
#pragma omp parallel for num_threads(own->tiles.threads) schedule(static)
  for (int64_t i = 0; i < tasks; ++i) {
    const int64_t tap = i / chunks, first = i % chunks * step;
    tap_walk walk = {.x = x, .y = y, .s = {first, mfq_least(own->conv.groups - first, step)}};
    walk.tap[0] = tap / g->filter[2] / g->filter[1];
    walk.tap[1] = tap / g->filter[2] % g->filter[1];
    walk.tap[2] = tap % g->filter[2];
    tap_sums sums;
    memset(&sums, 0, sizeof sums);
    for (int64_t line = 0; line < lines; ++line) add_line(own, &walk, &sums);
    store_sums(own, &walk, tap, &sums, result);
  }
}

void mfq_conv_few_run(const mfq_own_conv *own, const void *gathered, const void *direct, void *result,
                      const float *filter) {
  if (own->conv.direction == MFQ_CONV_WEIGHT_GRADIENT)
    convolve_taps(own, gathered, direct, result);
  else
    convolve(own, gathered, filter, result);
}
