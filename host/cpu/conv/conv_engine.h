/* host/cpu/conv/conv_engine.h: x * w = y on dense arrays of f32 or bf16, channels last, with sums in f32: the engine of fast
 * convolutions, in all directions. As product.h: oneDNN where it is there and has an implementation, else our own
 * loops. */
#ifndef MFQ_HOST_CPU_CONV_ENGINE_H
#define MFQ_HOST_CPU_CONV_ENGINE_H

#include "host/core/module/onednn_module.h"
#include "host/cpu/cpu_state.h"

typedef struct mfq_conv_engine mfq_conv_engine;

/* Plans a convolution. It is the context's memory, and NULL when there is none. */
mfq_conv_engine *mfq_conv_engine_create(mfq_context *context, const mfq_onednn_conv *conv);
void mfq_conv_engine_free(mfq_context *context, mfq_conv_engine *engine); /* NULL is allowed */

/* "bf16 by oneDNN 2.6.3 (brgconv:avx512_core_bf16)"; "bf16 by own loops, avx512: <why not oneDNN>". */
const char *mfq_conv_engine_name(const mfq_conv_engine *engine);

/* oneDNN, where it computes: a run with several threads is led as onednn_module.h says. NULL: our own loops do. */
const mfq_onednn *mfq_conv_engine_onednn(const mfq_conv_engine *engine);

/* What each run needs; aligned to 64. */
size_t mfq_conv_engine_workspace_bytes(const mfq_conv_engine *engine);
/* Any number of threads may use an engine at once, each with a workspace of its own. FORWARD and INPUT_GRADIENT take the
 * filter by `prepare` into the workspace, where all runs up to the next one find it; `direct` is the same filter, or y
 * for WEIGHT_GRADIENT. The result overlaps nothing. */
mfq_status mfq_conv_engine_prepare(const mfq_conv_engine *engine, const void *w, void *workspace);
mfq_status mfq_conv_engine_run(const mfq_conv_engine *engine, const void *gathered, const void *direct, void *result,
                               void *workspace);

#endif
