/* host/cpu/product/product.h: D = A x B on matrices of f32 or bf16 with sums in f32, the engine of fast products.
 *
 * oneDNN computes it where libmfq_onednn was found and has an implementation; loops of our own (kernels/product_loops.h)
 * take everything else. The order of the sums is the engine's: products whose bits must not depend on it are not for
 * this file. bf16 below 2^-126 may count as zero. */
#ifndef MFQ_HOST_CPU_PRODUCT_H
#define MFQ_HOST_CPU_PRODUCT_H

#include "host/core/module/onednn_module.h"
#include "host/cpu/cpu_state.h"

typedef struct mfq_product mfq_product;

/* Plans a product; `shape` is as in onednn_module.h, where strides may also be negative or 0, and that of an axis with
 * one element is anything. It is the context's memory, and NULL when there is none. */
mfq_product *mfq_product_create(mfq_context *context, const mfq_onednn_shape *shape);
void mfq_product_free(mfq_context *context, mfq_product *product); /* NULL is allowed */

/* "bf16 by oneDNN 2.6.3 (brg:avx512_core_bf16)"; "bf16 by own loops, avx512: <why not oneDNN>". */
const char *mfq_product_name(const mfq_product *product);
/* oneDNN, where it computes: a run with several threads is led as onednn_module.h says. NULL: our own loops do. */
const mfq_onednn *mfq_product_onednn(const mfq_product *product);

/* What each run needs; aligned to 64. */
size_t mfq_product_workspace_bytes(const mfq_product *product);
/* Any number of threads may run a product at once, each with a workspace of its own. `a`, `b`, `d` point at the
 * elements with all indices 0, and D overlaps neither. */
mfq_status mfq_product_run(const mfq_product *product, const void *a, const void *b, void *d, void *workspace);

#endif
