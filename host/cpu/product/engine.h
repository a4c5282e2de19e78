/* host/cpu/product/engine.h: sums of products of dense f32 or bf16 operands, in f32: matrices, D = A x B, or x * w = y,
 * channels last, in all directions. The engine of fast products and convolutions.
 *
 * oneDNN computes them where libmfq_onednn was found and has an implementation; loops of our own (kernels/product_loops.h)
 * take everything else. The order of the sums is the engine's: results whose bits must not depend on it are not for this
 * file. bf16 below 2^-126 may count as zero. */
#ifndef MFQ_HOST_CPU_ENGINE_H
#define MFQ_HOST_CPU_ENGINE_H

#include "host/core/module/onednn_module.h"
#include "host/core/problem/choose.h"
#include "host/cpu/cpu_state.h"

typedef struct mfq_engine mfq_engine;

/* The engines of a context for a kind of work, the cheapest first. */
void mfq_engine_order(const mfq_context *context, mfq_cpu_work work, mfq_cpu_engine order[MFQ_ENGINES]);
/* Whether the cheapest one for products is oneDNN, with bf16 or without. */
int mfq_engine_prefers_onednn(const mfq_context *context, int with_bf16);
static inline mfq_dtype mfq_engine_dtype(mfq_cpu_engine which) {
  return which == MFQ_ENGINE_ONEDNN_BF16 || which == MFQ_ENGINE_OWN_BF16 ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
}

/* Plan a product; `shape` is as in onednn_module.h, where strides may also be negative or 0, and that of an axis with one
 * element is anything; or a convolution. Operands have the type of `which`. It is the context's memory; NULL when there is
 * none, or, with `why` it does not take this, when oneDNN has nothing. */
mfq_engine *mfq_engine_of_product(mfq_context *context, const mfq_onednn_shape *shape, mfq_cpu_engine which,
                                  mfq_line *why);
mfq_engine *mfq_engine_of_conv(mfq_context *context, const mfq_onednn_conv *conv, mfq_cpu_engine which, mfq_line *why);
void mfq_engine_free(mfq_context *context, mfq_engine *engine); /* NULL is allowed */

/* "bf16 by oneDNN 2.6.3 (brg:avx512_core_bf16)"; "bf16 by own loops, avx512". */
const char *mfq_engine_name(const mfq_engine *engine);
/* oneDNN, where it computes: a run with several threads is led as onednn_module.h says. NULL: our own loops do. */
const mfq_onednn *mfq_engine_onednn(const mfq_engine *engine);

/* What each run needs; aligned to 64. */
size_t mfq_engine_workspace_bytes(const mfq_engine *engine);
/* Any number of threads may use an engine at once, each with a workspace of its own. `a` and `b` are the operands of a
 * product, or the gathered operand of a convolution and the other one; pointers are to the elements with all indices 0,
 * and the result overlaps neither. Convolutions FORWARD and INPUT_GRADIENT take the filter by `prepare` into the
 * workspace, where all runs up to the next one find it; others prepare nothing. */
mfq_status mfq_engine_prepare(const mfq_engine *engine, const void *b, void *workspace);
mfq_status mfq_engine_run(const mfq_engine *engine, const void *a, const void *b, void *result, void *workspace);

#endif
