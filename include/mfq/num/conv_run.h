/* num/conv_run.h: the order of a reproducible convolution: which elements a run of num/dot.h has.
 *
 * The sum of a result is a row of lines: FORWARD and INPUT_GRADIENT have one for each tap of the filter, whose elements
 * are the summed channels of the group; WEIGHT_GRADIENT has one for each image and row of outputs, whose elements are the
 * pixels of that row. A line is cut into runs at every multiple of 32 of its index, and where the group scale of either
 * operand changes. Elements that the filter meets outside the operand are no part of it. */
#ifndef MFQ_NUM_CONV_RUN_H
#define MFQ_NUM_CONV_RUN_H

#include "dot.h"

/* An operand along a line: element i is at index first + i * step of its axis, and `group` indices share a scale. */
typedef struct mfqn_conv_line {
  int64_t first, step; /* step >= 1; first < 0: a line that begins in the padding */
  int64_t size;        /* elements of the axis */
  int64_t group;       /* 0: the scale does not vary along the line */
} mfqn_conv_line;

/* Elements begin ... end - 1 of a line are there. */
typedef struct mfqn_conv_span {
  int64_t begin, end;
} mfqn_conv_span;

/* Of `count` elements those that lie in the operand. */
MFQ_HD mfqn_conv_span mfqn_conv_line_span(mfqn_conv_line line, int64_t count) {
  const int64_t past = line.size - line.first; /* the first index that is outside, counted from element 0 */
  const int64_t inside = past > 0 ? (past + line.step - 1) / line.step : 0;
  mfqn_conv_span span;
  span.begin = line.first < 0 ? (-line.first + line.step - 1) / line.step : 0;
  span.end = inside < count ? inside : count;
  if (span.begin > span.end) span.begin = span.end;
  return span;
}

/* The first element behind `i` with another group scale; at least `limit` if there is none before it. */
MFQ_HD int64_t mfqn_conv_scale_end(mfqn_conv_line line, int64_t i, int64_t limit) {
  if (line.group == 0) return limit;
  const int64_t at = line.first + i * line.step;
  const int64_t rest = (at / line.group + 1) * line.group - at; /* indices until the next group */
  return i + (rest + line.step - 1) / line.step;
}

/* The end of the run that begins at `i` < end. */
MFQ_HD int64_t mfqn_conv_run_end(int64_t i, int64_t end, mfqn_conv_line a, mfqn_conv_line b) {
  const int64_t block = (i / MFQN_DOT_RUN + 1) * MFQN_DOT_RUN;
  const int64_t last = block < end ? block : end;
  const int64_t of_a = mfqn_conv_scale_end(a, i, last), of_b = mfqn_conv_scale_end(b, i, last);
  const int64_t nearest = of_a < of_b ? of_a : of_b;
  return nearest < last ? nearest : last;
}

#endif
