/* cuda/product/implicit_wgmma_tuning.h: the numbers of convolutions by warpgroups. None of them has been measured.
 *
 * Registers of a thread (nvcc 13.0, sm_90a, no spills), for 128 and 64 columns: 128 and 94 where all units lie along
 * depth, 128 and 96 where the direct operand's lie across it, 114 and 78 by pixels. Shared memory of a block: 97 and 73
 * KiB, and 1 KiB of places. A stage takes a warp about 85 instructions, and 110 more at a new tap; by pixels 180. */
#ifndef MFQ_CUDA_CONV_IMPLICIT_WGMMA_TUNING_H
#define MFQ_CUDA_CONV_IMPLICIT_WGMMA_TUNING_H

enum {
  WIDE_ROWS = 128,         /* of a tile: two warpgroups have 64 each */
  WIDE_DEPTH = 64,         /* four units, at once in shared memory: rows of 128 bytes */
  WIDE_UNITS = 4,          /* of such a row */
  WIDE_THREADS = 256,      /* a thread copies units at one of the four places of every 64th row */
  WIDE_SEGMENT = 64 * 128, /* bytes of 64 such rows */
  WIDE_STAGES = 3,         /* one is multiplied, the next has arrived or will, the one after is on its way */
  WIDE_BLOCKS = 2          /* at once on a multiprocessor: one multiplies while the other waits */
};

/* Operands that are made bf16 first take at most so much workspace. */
enum : int64_t { WIDE_OPERAND_BYTES = (int64_t)2 << 30 };

#endif
