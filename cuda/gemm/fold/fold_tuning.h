/* cuda/gemm/fold/fold_tuning.h: the numbers of folding. */
#ifndef MFQ_CUDA_GEMM_FOLD_TUNING_H
#define MFQ_CUDA_GEMM_FOLD_TUNING_H

#include "cuda/prim/ptx.cuh"

enum {
  FOLD_RUN = 128, /* elements along K that share a float scale in cuBLASLt */
  FOLD_LANES = 8, /* lanes of a run: 16 elements each */
  FOLD_THREADS = 256,
  FOLD_ROWS = FOLD_THREADS / FOLD_LANES, /* rows of a block */
  FOLD_RUNS = 4,                         /* runs that a block takes one after the other */
  FOLD_SLAB = 128,                       /* rows that share a flag: those of an output tile */
  FOLD_ALIGN = 16,                       /* rows and depth of FP8 codes are multiples of it */
  FOLD_WINDOW_MIN = 8                    /* shifts that a format must leave where groups are shorter than a run */
};

/* Blocks at once on a multiprocessor, which bound the registers of a thread: 42 for 6, 64 for 4, 80 for 3. Code for
 * compute capability 10.0 and newer, where folding has no use, is compiled all the same. */
enum { FOLD_BLOCKS = 6, FOLD_QUANTIZE_BLOCKS = PTX_ARCH >= 1000 ? 3 : 4 };

/* Biased exponents of the float scales: products of two are normal numbers. */
enum { FOLD_SCALE_MIN = 127 - 62, FOLD_SCALE_ONE = 127, FOLD_SCALE_MAX = 127 + 62 };

/* Codes and sums of a slab of A take at most so much workspace, or those of 128 rows. In the emulator products are
 * small, and several slabs are to be seen. */
#if defined(MFQ_SIMT)
enum { FOLD_SLAB_BYTES = 64 << 10 };
#else
enum { FOLD_SLAB_BYTES = 256 << 20 };
#endif

#endif
