/* host/cpu/conv/conv_taps.c: depthwise convolutions line by line of pixels. Which taps meet elements is known before a
 * pixel's sums begin: of the outer axes once for a line, of the last one for each pixel near its ends; between them pixels
 * see all taps, and go several at a time. Nothing is asked at a tap. */
#include "conv_own.h"

#include "host/core/integers.h"
#include "host/core/process/team.h"

/* Channels whose weights and sums the first cache holds; pixels of a line that a thread takes at a time. */
enum { CHANNELS = 128, LINE_PIXELS = 64 };

int mfq_conv_taps_takes(const mfq_own_conv *own) {
  const mfq_onednn_conv *c = &own->conv;
  int is_even = c->direction != MFQ_CONV_WEIGHT_GRADIENT && c->in_channels == 1 && c->out_channels == 1;
  for (int i = 0; i < 3; ++i) is_even &= own->gather.window[i].divisor == 1;
  return is_even;
}

/* Taps of an axis that meet elements from a pixel: `count` from `first` on, the first one at place `at`. */
typedef struct tap_range {
  int64_t first, count, at;
} tap_range;

static tap_range taps_of(const mfq_conv_gather *g, int axis, int64_t pixel) {
  const mfqn_window *w = &g->window[axis];
  const int64_t start = pixel * w->out_step + w->offset;
  tap_range r = {0, 0, 0};
  while (r.first < g->filter[axis] && (start + r.first * w->tap_step < 0 || start + r.first * w->tap_step >= w->size))
    ++r.first;
  r.at = start + r.first * w->tap_step;
  while (r.first + r.count < g->filter[axis] && r.at + r.count * w->tap_step >= 0 &&
         r.at + r.count * w->tap_step < w->size)
    ++r.count;
  return r;
}

/* A line of pixels of the result, and where its taps of the outer axes begin. */
typedef struct line {
  const mfq_own_conv *own;
  mfq_tap_block block; /* of the first channel, at place 0 of the last axis */
  uint8_t *result;     /* of the line's pixel 0 */
} line;

/* Pixels `pixel` and `count` - 1 more, which see the same taps of the last axis. */
static void sum_pixels(const line *l, int64_t pixel, int64_t count, tap_range taps) {
  const mfq_own_conv *own = l->own;
  const mfq_conv_gather *g = &own->gather;
  const int64_t all = g->all_channels, bytes = (int64_t)mfq_dtype_bytes(own->conv.to);
  float sums[MFQ_TAP_PIXELS * CHANNELS];
  for (int64_t first = 0; first < all; first += CHANNELS) {
    mfq_tap_block b = l->block;
    b.x += (taps.at * all + first) * g->element_bytes;
    b.w += taps.first * b.w_step[2] + first;
    b.taps[2] = taps.count;
    b.pixels = count;
    b.channels = mfq_smaller(all - first, CHANNELS);
    b.sums = sums;
    b.sums_step = CHANNELS;
    own->tiles.loops->sum_taps(&b);
    for (int64_t p = 0; p < count; ++p)
      own->tiles.kernels->store(l->result + ((pixel + p) * all + first) * bytes, own->conv.to,
                                (const uint32_t *)(const void *)(sums + p * CHANNELS), b.channels);
  }
}

static void sum_line(const line *l, int64_t first, int64_t end) {
  const mfq_conv_gather *g = &l->own->gather;
  for (int64_t p = first, count; p < end; p += count) {
    const tap_range here = taps_of(g, 2, p);
    count = 1;
    if (here.count == g->filter[2] && p + MFQ_TAP_PIXELS <= end &&
        taps_of(g, 2, p + MFQ_TAP_PIXELS - 1).count == g->filter[2])
      count = MFQ_TAP_PIXELS;
    sum_pixels(l, p, count, here);
  }
}

typedef struct taps_work {
  const mfq_own_conv *own;
  const uint8_t *gathered;
  const float *filter;
  uint8_t *result;
} taps_work;

/* Line `index` of all images. */
static line line_at(const taps_work *w, int64_t index) {
  const mfq_conv_gather *g = &w->own->gather;
  const int64_t all = g->all_channels, at[2] = {index / g->size[1] % g->size[0], index % g->size[1]};
  int64_t place = index / g->size[1] / g->size[0], x_step = all * g->element_bytes, w_step = all, tap = 0;
  line l = {.own = w->own, .result = w->result + index * g->size[2] * all * (int64_t)mfq_dtype_bytes(w->own->conv.to)};
  mfq_tap_block *b = &l.block;
  *b = (mfq_tap_block){.dtype = w->own->conv.from};
  b->pixel_step = g->window[2].out_step * x_step;
  for (int i = 2; i >= 0; --i) {
    b->x_step[i] = g->window[i].tap_step * x_step;
    b->w_step[i] = w_step;
    x_step *= g->window[i].size;
    w_step *= g->filter[i];
  }
  for (int i = 0; i < 2; ++i) {
    const tap_range r = taps_of(g, i, at[i]);
    b->taps[i] = r.count;
    tap += r.first * b->w_step[i];
    place = place * g->window[i].size + (r.count > 0 ? r.at : 0);
  }
  b->x = w->gathered + place * g->window[2].size * all * g->element_bytes;
  b->w = w->filter + tap;
  return l;
}

static int64_t pieces_of_line(const mfq_conv_gather *g) { return mfq_ceil_div(g->size[2], LINE_PIXELS); }

static void sum_lines(void *work, int thread, int64_t first, int64_t end) {
  const taps_work *w = work;
  const mfq_conv_gather *g = &w->own->gather;
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    const line l = line_at(w, i / pieces_of_line(g));
    const int64_t from = i % pieces_of_line(g) * LINE_PIXELS;
    sum_line(&l, from, mfq_smaller(from + LINE_PIXELS, g->size[2]));
  }
}

void mfq_conv_taps_run(const mfq_own_conv *own, const uint8_t *gathered, const float *filter, uint8_t *result) {
  const mfq_conv_gather *g = &own->gather;
  taps_work work = {own, gathered, filter, result};
  const int64_t lines = own->conv.batch * g->size[0] * g->size[1];
  mfq_team_run((mfq_loop){own->tiles.threads, lines * pieces_of_line(g), 0}, sum_lines, &work);
}
