/* host/cpu/product_own.h: products by loops of our own, which take every shape and all strides. */
#ifndef MFQ_HOST_CPU_PRODUCT_OWN_H
#define MFQ_HOST_CPU_PRODUCT_OWN_H

#include "../core/onednn_module.h"
#include "cpu_state.h"
#include "product_kernels.h"

/* How a product is cut. Its tiles are independent; of each, strips of A and B are packed for a piece of K that the
 * caches hold, as many rows at a time as the second-level cache holds. */
typedef struct mfq_own_product {
  mfq_onednn_shape shape;
  const mfq_product_loops *loops;
  const char *name; /* "avx512_bf16" */
  void (*narrow)(void *dst, mfq_dtype dtype, const uint32_t *x, int64_t n);
  int64_t tile_rows, tile_cols; /* multiples of a block's */
  int64_t row_tiles, col_tiles;
  int64_t a_bytes, b_bytes, d_bytes; /* of a thread's part of the workspace; d_bytes is 0 for D in f32 */
  int32_t threads;
} mfq_own_product;

void mfq_own_product_init(const mfq_context *context, const mfq_onednn_shape *shape, mfq_own_product *own);
size_t mfq_own_product_bytes(const mfq_own_product *own); /* of workspace */
void mfq_own_product_run(const mfq_own_product *own, const void *a, const void *b, void *d, void *workspace);

#endif
