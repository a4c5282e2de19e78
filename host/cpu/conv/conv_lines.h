/* host/cpu/conv/conv_lines.h: operands of a reproducible convolution as strands: elements along one axis, as doubles. */
#ifndef MFQ_HOST_CPU_CONV_LINES_H
#define MFQ_HOST_CPU_CONV_LINES_H

#include <mfq/num/conv_run.h>

#include "host/core/problem/conv_problem.h"

/* An operand, ready to be read. */
typedef struct mfq_conv_operand {
  mfq_conv_side side;
  mfqn_scheme scheme;  /* for codes */
  int32_t bits;        /* of a stored code */
  double element[256]; /* by code, where there are no zero points */
} mfq_conv_operand;

/* Elements along an axis: element i is at index line.first + i * line.step of it. */
typedef struct mfq_conv_strand {
  mfqn_conv_line line;
  int64_t place, place_step; /* of element 0, and to the next one: elements, or bits of codes */
  int64_t scale;             /* index of the scale where the axis is at 0 */
  int32_t axis;
} mfq_conv_strand;

/* A piece of a strand, and how many doubles apart its elements go. */
typedef struct mfq_conv_piece {
  int64_t first, end, out_step;
} mfq_conv_piece;

/* `operand->side` is filled, and is not TO_QUANTIZE. */
mfqn_dot_side mfq_conv_operand_open(mfq_conv_operand *operand);

/* The strand along `axis` through `at`, whose element 0 is at at[axis], which may lie outside. */
mfq_conv_strand mfq_conv_strand_make(const mfq_conv_operand *operand, const int64_t *at, int32_t axis, int64_t step);

/* Elements without scales. */
void mfq_conv_strand_read(const mfq_conv_operand *operand, const mfq_conv_strand *strand, mfq_conv_piece piece,
                          double *out);

/* The group scale of element i; 1 where there are only factors. */
float mfq_conv_strand_scale(const mfq_conv_operand *operand, const mfq_conv_strand *strand, int64_t i);

#endif
