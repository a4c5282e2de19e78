/* host/cpu/conv/conv_few.c: convolutions whose groups have few channels, depthwise ones above all: a product of such small
 * matrices would mostly multiply zeros, so here all channels of a pixel are side by side, and taps come one after the
 * other. */
#include "host/core/integers.h"
#include "conv_own.h"

#include <string.h>

#include "host/core/process/team.h"

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
  return (size_t)mfq_ceil_div(n.taps * n.theirs * n.all * (int64_t)sizeof(float), 64) * 64;
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

/* A convolution at work; not all of it in each loop. */
typedef struct few_work {
  const mfq_own_conv *own;
  const void *w;       /* as given */
  float *made;         /* as it is read */
  const float *filter; /* the same */
  const uint8_t *gathered, *direct;
  uint8_t *result;
} few_work;

static void prepare_lines(void *work, int thread, int64_t first, int64_t end) {
  const few_work *f = work;
  const channels n = channels_of(f->own);
  (void)thread;
  for (int64_t i = first; i < end; ++i)
    for (int64_t j = 0; j < n.all; ++j)
      f->made[i * n.all + j] = value_of(f->w, f->own->conv.from, weight_at(f->own, &n, i / n.theirs, i % n.theirs, j));
}

void mfq_conv_few_prepare(const mfq_own_conv *own, const void *w, float *filter) {
  const channels n = channels_of(own);
  mfq_team_run((mfq_loop){own->tiles.threads, n.taps * n.theirs, 0}, prepare_lines,
               &(few_work){.own = own, .w = w, .made = filter});
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

static void convolve_pixels(void *work, int thread, int64_t first_pixel, int64_t end_pixel) {
  const few_work *f = work;
  const mfq_own_conv *own = f->own;
  const channels n = channels_of(own);
  const int64_t step = CHUNK / n.own, bytes = (int64_t)mfq_dtype_bytes(own->conv.to);
  (void)thread;
  for (int64_t i = first_pixel; i < end_pixel; ++i) {
    const mfq_conv_pixel pixel = mfq_conv_pixel_at(&own->gather, i);
    float sums[CHUNK];
    for (int64_t first = 0; first < own->conv.groups; first += step) {
      const stretch s = {first, mfq_smaller(own->conv.groups - first, step)};
      convolve_stretch(own, f->gathered, f->filter, &pixel, s, sums);
      own->tiles.kernels->store(f->result + (i * n.all + first * n.own) * bytes, own->conv.to,
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

/* Stretches of channels for one tap. */
static int64_t stretches_of(const mfq_own_conv *own) {
  return mfq_ceil_div(own->conv.groups, CHUNK / channels_of(own).own);
}

static void convolve_taps(void *work, int thread, int64_t first_task, int64_t end_task) {
  const few_work *f = work;
  const mfq_own_conv *own = f->own;
  const mfq_conv_gather *g = &own->gather;
  const int64_t step = CHUNK / channels_of(own).own, chunks = stretches_of(own);
  const int64_t lines = own->conv.batch * g->size[0] * g->size[1];
  (void)thread;
  for (int64_t i = first_task; i < end_task; ++i) {
    const int64_t tap = i / chunks, first = i % chunks * step;
    tap_walk walk = {.x = f->gathered, .y = f->direct, .s = {first, mfq_smaller(own->conv.groups - first, step)}};
    walk.tap[0] = tap / g->filter[2] / g->filter[1];
    walk.tap[1] = tap / g->filter[2] % g->filter[1];
    walk.tap[2] = tap % g->filter[2];
    tap_sums sums;
    memset(&sums, 0, sizeof sums);
    for (int64_t line = 0; line < lines; ++line) add_line(own, &walk, &sums);
    store_sums(own, &walk, tap, &sums, f->result);
  }
}

void mfq_conv_few_run(const mfq_own_conv *own, const void *gathered, const void *direct, void *result,
                      const float *filter) {
  const int is_weight = own->conv.direction == MFQ_CONV_WEIGHT_GRADIENT;
  if (mfq_conv_taps_takes(own)) {
    mfq_conv_taps_run(own, gathered, filter, result);
    return;
  }
  const int64_t pixels = own->conv.batch * mfq_conv_gather_pixels(&own->gather);
  const int64_t tasks = is_weight ? channels_of(own).taps * stretches_of(own) : pixels;
  few_work work = {own, NULL, NULL, filter, gathered, direct, result};
  mfq_team_run((mfq_loop){own->tiles.threads, tasks, 0}, is_weight ? convolve_taps : convolve_pixels, &work);
}
