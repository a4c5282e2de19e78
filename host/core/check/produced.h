/* host/core/check/produced.h: the checks that producers share: tensors whose shapes follow from one another, results. */
#ifndef MFQ_HOST_CORE_PRODUCED_H
#define MFQ_HOST_CORE_PRODUCED_H

#include "arguments.h"
#include "host/core/problem/produce_problem.h"

/* What a tensor is beside the first one, whose shape decides. */
typedef enum mfq_place_of {
  MFQ_OF_ELEMENTS, /* rows of elements */
  MFQ_OF_ROWS,     /* one number a row, f32 */
  MFQ_OF_COLUMNS   /* one row of elements */
} mfq_place_of;

/* A call under check. */
typedef struct mfq_making {
  const char *function;
  const char *first; /* the name of the argument whose shape decides */
  mfq_tensor shape;  /* its shape: rank and sizes alone */
  mfq_parts parts;
  mfq_made made;
  mfq_qview row, col;
  struct {
    mfq_tensor tensor;
    int part;
  } inputs[4]; /* of elements, whose memory results may have */
  int input_count;
  mfq_tensor last; /* that was taken */
} mfq_making;

/* A tensor of a call. */
typedef struct mfq_made_argument {
  const char *name;
  const mfq_tensor *given;
  mfq_place_of place;
  int is_written;
  int64_t cols; /* of elements and of columns: how many there are */
} mfq_made_argument;

/* Checks the tensor whose shape decides, of rank 1 or more, and makes it a side. */
mfq_status mfq_making_first(mfq_making *m, const char *name, const mfq_tensor *given, mfq_made_side *side);
/* Checks another tensor, and makes it a side; one that is NULL is left out. */
mfq_status mfq_making_take(mfq_making *m, mfq_made_argument argument, mfq_made_side *side);
/* The tensor that was taken last, a written one, may be the memory of inputs: of those it is, only it is left. Returns
 * whether there was one. */
int mfq_making_share(mfq_making *m);

/* What a function calls its results. */
typedef struct mfq_output_names {
  const char *all, *plain, *row, *col;
} mfq_output_names;
/* Checks results of `cols` columns. `or_else`: what else may be wanted in their place, and is not; NULL: something is. */
mfq_status mfq_making_outputs(mfq_making *m, const mfq_output_names *names, const mfq_outputs *outputs, int64_t cols,
                              const char *or_else);

/* Fails for a number that is not from `low` to `high`. */
mfq_status mfq_number_check(mfq_where where, const char *name, float value, float low, float high);

/* Checks all memory, and runs. */
mfq_status mfq_making_run(mfq_making *m, mfq_context *context);

#endif
