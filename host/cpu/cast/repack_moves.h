/* host/cpu/cast/repack_moves.h: codes and scales on their way from one layout to another, in vector loops.
 *
 * Where the orders of codes differ, one is logical: the tensor is outer x middle x inner elements, and the other order has
 * the middle last. Its scales are the same with their own sizes. */
#ifndef MFQ_HOST_CPU_REPACK_MOVES_H
#define MFQ_HOST_CPU_REPACK_MOVES_H

#include "host/cpu/cpu_state.h"

/* The sizes in logical order. */
typedef struct mfq_turned_sizes {
  int64_t outer, middle, inner;
} mfq_turned_sizes;

/* Codes in rows. */
typedef struct mfq_code_rows {
  int64_t row_bits;
  int32_t bits;
} mfq_code_rows;

typedef struct mfq_code_move {
  mfq_code_rows from, to;
  int32_t is_turned;  /* rows become columns */
  int32_t is_by_rows; /* the source is in logical order */
  int32_t code_bits, stream, threads;
  mfq_turned_sizes size; /* turned: in matrices of middle x length codes. Otherwise `outer` rows of `length` */
  int64_t length;
  int64_t rows, cols; /* of a tile, as the source has them */
  int64_t down, across, tiles;
} mfq_code_move;

typedef struct mfq_scale_move {
  mfq_turned_sizes size; /* in groups along the middle */
  int32_t threads;
} mfq_scale_move;

/* Memory of each thread. */
enum { MFQ_MOVE_CODES = 512, MFQ_MOVE_STRIP = 64, MFQ_MOVE_PIECE = 8192, MFQ_MOVE_SCALES = 64 };
typedef struct mfq_move_scratch {
  uint8_t codes[MFQ_MOVE_CODES * (MFQ_MOVE_CODES + MFQ_MOVE_STRIP)];
  uint8_t turned[MFQ_MOVE_STRIP * (MFQ_MOVE_CODES + MFQ_MOVE_STRIP)];
  uint8_t packed[MFQ_MOVE_PIECE + 64];
  uint32_t scales[2][MFQ_MOVE_SCALES * MFQ_MOVE_SCALES];
} mfq_move_scratch;

void mfq_code_move_plan(const mfq_context *context, const mfq_qview *src, const mfq_qview *dst, mfq_code_move *move);
void mfq_code_move_run(const mfq_context *context, const mfq_code_move *move, const mfq_cast *cast,
                       mfq_move_scratch *scratch);

void mfq_scale_move_plan(const mfq_context *context, const mfq_qview *src, mfq_scale_move *move);
void mfq_scale_move_run(const mfq_context *context, const mfq_scale_move *move, const mfq_cast *cast,
                        mfq_move_scratch *scratch);

#endif
