/* cuda/fakequant/fake_target.cuh: where the fast ways to fake-quantize put values and scales. */
#ifndef MFQ_CUDA_FAKEQUANT_FAKE_TARGET_CUH
#define MFQ_CUDA_FAKEQUANT_FAKE_TARGET_CUH

#include "gradient_chunk.cuh"

typedef struct fake_target {
  valuer how;
  uint8_t *data;
  int64_t outer_bytes, middle_bytes; /* from row to row */
  float *scales;                     /* where measured scales are wanted, in their order; NULL: nowhere */
  int32_t vector_store;              /* whole rows of a chunk lie at multiples of 16 bytes */
} fake_target;

/* Where a mask goes whose bytes are whole in the rows of elements. */
typedef struct mask_target {
  uint8_t *bits;    /* NULL: nowhere */
  gradient_how how; /* which elements pass */
} mask_target;

/* Blocks at once on a multiprocessor, which bound the registers of a thread: 64 for 4, 80 for 3, 128 for 2. */
enum {
  FAKE_HALF_ROWS_BLOCKS = PTX_ARCH >= 1000 ? 3 : 4,
  FAKE_ROWS_BLOCKS = 3,
  FAKE_TILE_BLOCKS = PTX_ARCH >= 1000 ? 2 : 3,
  FAKE_CODES_TILE_BLOCKS = 2,
  FAKE_RANGED_ROWS_BLOCKS = PTX_ARCH >= 1000 ? 2 : 3,
  FAKE_MASK_BLOCKS = PTX_ARCH >= 1000 ? 2 : 3,
  FAKE_MASK_TILE_BLOCKS = 2
};

__device__ __forceinline__ void thread_put_scale(const fake_target &to, const mfqn_scheme &s, int64_t index,
                                                 const mfqn_group &g) {
  if (to.scales) ptx_store<uint32_t>(to.scales + index, mfqn_whole_scale(&s, &g));
}

#endif
