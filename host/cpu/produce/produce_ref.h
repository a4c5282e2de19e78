/* host/cpu/produce/produce_ref.h: producers element by element, for any strides, dtypes and axes: what defines the bits. */
#ifndef MFQ_HOST_CPU_PRODUCE_REF_H
#define MFQ_HOST_CPU_PRODUCE_REF_H

#include "host/core/problem/cast_problem.h"
#include "host/core/problem/produce_problem.h"

/* Rows that are made in the caches and quantized from there. */
extern const mfq_way mfq_produced_strips;
/* The same loops, and what they make is quantized when all of it is there. */
extern const mfq_way mfq_produced_rows;

/* Refuses the first position or target that is no row or class; and of a loss, how many rows count. */
mfq_status mfq_made_check_indices(const mfq_cast *cast);
float mfq_made_count_rows(const mfq_made *made);
/* Quantizes dense float32 results by the list of quantizations, and what that takes of memory. */
size_t mfq_made_quantize_bytes(const mfq_context *context, const mfq_cast *cast);
mfq_status mfq_made_quantize(mfq_context *context, const mfq_cast *cast, float *values, uint8_t *scratch);

/* A call and its memory. */
typedef struct mfq_produce_ref {
  const mfq_made *made;
  int threads;
  float counted;     /* of a loss: rows that count */
  mfqn_row *numbers; /* of each row; NULL: rows are not folded */
  float *losses;     /* of each row; NULL: none are wanted */
  float *values;     /* float32 results, dense rows; NULL: not wanted */
} mfq_produce_ref;

/* Folds all rows, writes what there is one of a row, and `sum`. */
void mfq_produce_ref_rows(const mfq_produce_ref *r);
/* Sums of columns, from inputs that are not overwritten yet. */
void mfq_produce_ref_columns(const mfq_produce_ref *r);
/* The results, plain and as float32. */
void mfq_produce_ref_values(const mfq_produce_ref *r);

#endif
