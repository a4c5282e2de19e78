/* host/cpu/produce/made_rows.h: rows of producers for the loops: inputs as float32, and the numbers of rows. */
#ifndef MFQ_HOST_CPU_MADE_ROWS_H
#define MFQ_HOST_CPU_MADE_ROWS_H

#include "host/core/problem/produce_problem.h"
#include "produce_loops.h"

/* What all threads of a call see. */
typedef struct mfq_maker {
  const mfq_made *made;
  const mfq_kernels *kernels;
  const mfq_produce_loops *loops;
  float counted;            /* of a loss: rows that count */
  mfqn_row *numbers;        /* of each row; NULL: rows are not folded */
  float *losses;            /* of each row, of a loss */
  float *gain, *shift;      /* of each unit, but of ROTARY */
  float *absent, *unwanted; /* MFQ_MADE_PIECE inputs that are not there, and classes that are not the target */
} mfq_maker;

/* Memory of a thread. */
typedef struct mfq_maker_room {
  float in[3][MFQ_MADE_PIECE], pairs[2 * MFQ_MADE_PIECE];
  float gain[MFQ_MADE_PIECE], shift[MFQ_MADE_PIECE];
  float terms[2][MFQ_MADE_PIECE];
  uint32_t values[2][MFQ_MADE_PIECE], woven[2 * MFQ_MADE_PIECE];
} mfq_maker_room;

/* Where a row has its elements, in elements of each side. */
typedef struct mfq_made_row_at {
  int64_t row, in[3], sum, plain;
  int64_t table;  /* of ROTARY: the row of cosines and sines */
  int64_t target; /* of a loss */
  int64_t count;  /* columns that are in: all but of causal scores */
} mfq_made_row_at;

/* Why the loops do not take a producer; NULL: they do. */
const char *mfq_maker_why_not(const mfq_made *made);

/* Memory that all threads see, and its parts, with their contents but for numbers and losses. */
size_t mfq_maker_bytes(const mfq_made *made);
void mfq_maker_place(mfq_maker *maker, uint8_t *memory);

mfq_made_row_at mfq_maker_row(const mfq_maker *maker, int64_t row);
/* Asks for the inputs of these units of the next rows. */
void mfq_maker_prefetch(const mfq_maker *maker, const mfq_made_row_at *at, int64_t unit, int64_t n);
/* The inputs of `n` units from `unit` on, for part 0. */
mfq_made_piece mfq_maker_read(const mfq_maker *maker, const mfq_made_row_at *at, int64_t unit, int64_t n,
                              mfq_maker_room *room);
/* Their results of `part`; what is out of causal scores is 0. */
void mfq_maker_values(const mfq_maker *maker, const mfq_made_row_at *at, const mfq_made_piece *piece, int64_t unit,
                      uint32_t *y);
/* Folds a row, and writes what there is one of a row, and `sum`. */
void mfq_maker_fold(const mfq_maker *maker, int64_t row, mfq_maker_room *room);

#endif
