/* num/window.h: which element a tap of a filter meets.
 *
 * One form for the three directions of a convolution: the operand that is read through the filter (input, output
 * gradient, input) has along an axis, for output `o` and tap `t`, the element (o * out_step + t * tap_step + offset) /
 * divisor, where that is a whole number and an element. */
#ifndef MFQ_NUM_WINDOW_H
#define MFQ_NUM_WINDOW_H

#include "hd.h"

typedef struct mfqn_window {
  int64_t out_step, tap_step, offset;
  int64_t divisor; /* >= 1 */
  int64_t size;    /* elements of the axis */
} mfqn_window;

/* Forward and for the gradient of the weight: from an output pixel and a tap to the input. */
MFQ_HD mfqn_window mfqn_window_forward(int64_t in, int64_t stride, int64_t dilation, int64_t padding) {
  mfqn_window w;
  w.out_step = stride;
  w.tap_step = dilation;
  w.offset = -padding;
  w.divisor = 1;
  w.size = in;
  return w;
}

/* For the gradient of the input: from an input pixel and a tap to the output. */
MFQ_HD mfqn_window mfqn_window_backward(int64_t out, int64_t stride, int64_t dilation, int64_t padding) {
  mfqn_window w;
  w.out_step = 1;
  w.tap_step = -dilation;
  w.offset = padding;
  w.divisor = stride;
  w.size = out;
  return w;
}

/* The element, or -1 where there is none: a zero. */
MFQ_HD int64_t mfqn_window_at(const mfqn_window *w, int64_t o, int64_t t) {
  const int64_t place = o * w->out_step + t * w->tap_step + w->offset;
  if (place < 0) return -1;
  const int64_t at = w->divisor == 1 ? place : place / w->divisor;
  return at * w->divisor == place && at < w->size ? at : -1;
}

#endif
