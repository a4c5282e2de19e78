/* cuda/gemm/rows/weight_rows_tuning.h: the numbers of products of few rows with quantized weights. */
#ifndef MFQ_CUDA_GEMM_WEIGHT_ROWS_TUNING_H
#define MFQ_CUDA_GEMM_WEIGHT_ROWS_TUNING_H

enum {
  WEIGHT_THREADS = 256, /* eight warps, each with weight rows of its own */
  WEIGHT_MAX_ROWS = 64, /* of A: beyond, widening the weights once for all pays */
  WEIGHT_MAX_SPLIT = 32,
  WEIGHT_MAX_DEPTH = 1 << 30 /* of K: places along it are 32 bits */
};

/* BITS of a code; COLS: eights of A's rows; IS_PARTIAL: group scales multiply sums of groups, not elements. */
template <int BITS, int COLS, bool PARTIAL> struct weight_shape {
  static constexpr int EIGHTS = COLS;
  static constexpr bool IS_PARTIAL = PARTIAL;
  /* At once on a multiprocessor, at least: 128 registers for 2. The one that is left out would spill a register. */
  static constexpr int BLOCKS = COLS <= 4 && !(BITS == 8 && COLS == 4 && PARTIAL) ? 2 : 1;
  /* Sixteens of codes that a lane loads at once from a row; four lanes share a row: 64 neighbouring bytes of 4 bits. */
  static constexpr int UNITS = IS_PARTIAL || BITS == 8 ? 1 : 2;
  static constexpr int TILES = COLS <= 4 || PARTIAL ? 1 : 2; /* of 16 rows a warp has: they share what it reads of A */
  static constexpr int STAGES = COLS == 1 && BITS != 6 ? 4 : 2;         /* loads under way: 64 ... 128 bytes a lane */
  static constexpr int CHUNK = 64 * UNITS;                              /* of K: what four lanes load at once */
  static constexpr int SLAB = COLS == 1 ? 2048 : COLS == 4 ? 512 : 256; /* of K: A in shared memory, 32 KiB */
  static constexpr int WORDS = UNITS * BITS / 2;                        /* of a lane's load */
  static constexpr int LOAD = WORDS % 4 == 0 ? 16 : WORDS % 2 == 0 ? 8 : 4; /* bytes of one access */
  static constexpr int ROWS = WEIGHT_THREADS / 32 * 16 * TILES;             /* of weights, of a block */
};

#endif
