/* host/cpu/product/product_own.h: products by loops of our own, which take every shape and all strides. */
#ifndef MFQ_HOST_CPU_PRODUCT_OWN_H
#define MFQ_HOST_CPU_PRODUCT_OWN_H

#include "host/core/module/onednn_module.h"
#include "own_tiles.h"

typedef struct mfq_own_product {
  mfq_onednn_shape shape;
  mfq_own_tiles tiles;
} mfq_own_product;

void mfq_own_product_init(const mfq_context *context, const mfq_onednn_shape *shape, mfq_own_product *own);
size_t mfq_own_product_bytes(const mfq_own_product *own); /* of workspace */
void mfq_own_product_run(const mfq_own_product *own, const void *a, const void *b, void *d, void *workspace);

#endif
