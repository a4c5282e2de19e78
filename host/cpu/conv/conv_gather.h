/* host/cpu/conv/conv_gather.h: rows of the matrix that a filter makes of an operand, read through its window without ever
 * being stored as a whole. A row belongs to a pixel of the other side; its columns are taps of the filter, and in each
 * the channels of a group. What lies outside is 0. */
#ifndef MFQ_HOST_CPU_CONV_GATHER_H
#define MFQ_HOST_CPU_CONV_GATHER_H

#include <string.h>

#include <mfq/num/window.h>

#include "host/core/module/onednn_module.h"

typedef struct mfq_conv_gather {
  mfqn_window window[3];
  int64_t filter[3];
  int64_t size[3];      /* pixels that have rows, in each image */
  int64_t channels;     /* of a group */
  int64_t all_channels; /* from one pixel of the operand to the next */
  int64_t element_bytes;
  int merges_taps;                       /* taps along the last axis meet elements that follow each other in memory */
  int64_t first_tap[3], tap_step[3];     /* taps of the whole filter: these alone are there */
  int64_t first_pixel[3], pixel_step[3]; /* and pixels of the whole image */
} mfq_conv_gather;

typedef struct mfq_conv_pixel {
  int64_t image, at[3];
} mfq_conv_pixel;

/* The operand that a convolution reads through its filter: x, or y for INPUT_GRADIENT. */
mfq_conv_gather mfq_conv_gather_make(const mfq_onednn_conv *conv);

/* The gradient of an input that was read in steps falls into phases: pixels that see the same taps, and no others. Each
 * is a gather of its own, without divisions; together they have every pixel once. At most MFQ_GATHER_PHASES, else 1. */
enum { MFQ_GATHER_PHASES = 64 };
int64_t mfq_conv_gather_phases(const mfq_onednn_conv *conv);
mfq_conv_gather mfq_conv_gather_phase(const mfq_onednn_conv *conv, int64_t phase);

static inline int64_t mfq_conv_gather_taps(const mfq_conv_gather *g) {
  return g->filter[0] * g->filter[1] * g->filter[2];
}
static inline int64_t mfq_conv_gather_pixels(const mfq_conv_gather *g) { return g->size[0] * g->size[1] * g->size[2]; }

/* The pixel of a row, and the one after it. */
mfq_conv_pixel mfq_conv_pixel_at(const mfq_conv_gather *g, int64_t row);
static inline void mfq_conv_pixel_next(const mfq_conv_gather *g, mfq_conv_pixel *p) {
  for (int i = 2; i >= 0; --i) {
    if (++p->at[i] < g->size[i]) return;
    p->at[i] = 0;
  }
  ++p->image;
}

static inline void mfq_conv_next_tap(const mfq_conv_gather *g, int64_t tap[3]) {
  for (int i = 2; i >= 0; --i) {
    if (++tap[i] < g->filter[i]) return;
    tap[i] = 0;
  }
}

/* The pixel of the operand that a tap meets, counted over all images, or -1. */
static inline int64_t mfq_conv_gather_place(const mfq_conv_gather *g, const mfq_conv_pixel *p, const int64_t tap[3]) {
  int64_t place = p->image;
  for (int i = 0; i < 3; ++i) {
    const int64_t at = mfqn_window_at(&g->window[i], p->at[i], tap[i]);
    if (at < 0) return -1;
    place = place * g->window[i].size + at;
  }
  return place;
}

/* Copies columns first ... first + count of a pixel's row; `from` is the operand from the group's first channel on. */
void mfq_conv_gather_row(const mfq_conv_gather *g, const uint8_t *from, const mfq_conv_pixel *pixel,
                         const int64_t first_count[2], uint8_t *to);

#endif
