/* mfq.h: minifloat and groupwise quantization. The headers below in reading order; docs/ has the long form.
 *
 *   mfq_context *ctx;        mfq_context_create(&options, &ctx)          where to run
 *   mfq_scheme scheme;       mfq_scheme_parse("mxfp8_e4m3", &scheme)     what to do
 *   mfq_qtensor q;           mfq_qtensor_init(...), mfq_qtensor_sizes_get(...), then your memory into q.codes, q.scales
 *   mfq_quantize(ctx, &tensor, &q, NULL);   mfq_dequantize(ctx, &q, &restored);
 *   mfq_gemm_plan_create(ctx, &gemm, &plan);   mfq_gemm_run(ctx, plan, &gemm, workspace, bytes);
 *   mfq_conv_plan_create(ctx, &conv, &plan);   mfq_conv_run(ctx, plan, &conv, workspace, bytes);
 *
 * Every function that can fail returns mfq_status; mfq_last_error() has the sentence. */
#ifndef MFQ_MFQ_H
#define MFQ_MFQ_H

#include <mfq/base.h>
#include <mfq/types.h>
#include <mfq/context.h>
#include <mfq/buffer.h>
#include <mfq/quantize.h>
#include <mfq/fakequant.h>
#include <mfq/observe.h>
#include <mfq/search.h>
#include <mfq/gemm.h>
#include <mfq/conv.h>
#include <mfq/recipe.h>
#include <mfq/layer.h>
#include <mfq/embedding.h>
#include <mfq/produce.h>
#include <mfq/optimizer.h>

#endif
