/* cuda/product/implicit_tuning.h: the numbers of convolutions by tiles.
 *
 * Registers by ptxas 13.0 for sm_80 and sm_90a, none of them spilled: tiles of 64 columns 127 and 128 (units along
 * depth), 127 and 128 (the direct operand's across it), 123 (by pixels), so that two blocks of 256 threads fit a
 * multiprocessor; of 128 columns 189 and 193, 191, 167 and 171: one block. */
#ifndef MFQ_CUDA_CONV_IMPLICIT_TUNING_H
#define MFQ_CUDA_CONV_IMPLICIT_TUNING_H

enum {
  IMPLICIT_ROWS = 128,                     /* of a tile */
  IMPLICIT_DEPTH = 32,                     /* two units, at once in shared memory */
  IMPLICIT_THREADS = 2 * IMPLICIT_ROWS,    /* each brings a unit of the gathered operand, and one of the direct one */
  IMPLICIT_PITCH = IMPLICIT_DEPTH + 8,     /* halves from row to row there: eight rows of a matrix lie in all banks */
  IMPLICIT_WIDE_PITCH = IMPLICIT_ROWS + 8, /* the same where rows of shared memory are depth */
  IMPLICIT_BUFFER = IMPLICIT_ROWS * IMPLICIT_PITCH, /* halves of an operand; one of two */
  IMPLICIT_WARP_COLUMNS = 32,
  IMPLICIT_BAND = 8 /* tiles of rows that blocks walk down before the next tile of columns: they share L2 */
};

/* Sums of one step: they are read again soon, and the caches of an A100 hold 40 MiB. */
enum { IMPLICIT_SUMS_BYTES = 32 << 20 };

enum {
  IMPLICIT_LEAST_DEPTH = 256, /* of a part */
  IMPLICIT_MOST_PARTS = 64
};

#endif
