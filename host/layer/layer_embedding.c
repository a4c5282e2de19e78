/* host/layer/layer_embedding.c: embeddings by a recipe: a table that is quantized, as far as its rows are asked for where
 * these have scales of their own, and the way back of gradients.
 *
 * No mfq_layer stands for an embedding: layers are three products of floating-point tensors with their operands, of which it
 * has none, and states of scales, which it does not keep. */
#include <mfq/embedding.h>

#include <stdio.h>
#include <string.h>

#include "host/core/check/indexed.h"
#include "host/core/check/operands.h"
#include "host/core/check/suits.h"
#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"
#include "recipe_parts.h"

void mfq_embedding_init(mfq_embedding *embedding) {
  if (embedding == NULL) return;
  memset(embedding, 0, sizeof *embedding);
  embedding->struct_size = sizeof *embedding;
  embedding->padding = -1;
}

/* A call under check. */
typedef struct embedding_call {
  const char *function;
  mfq_parts parts;
  mfq_tensor weight, rows, dweight; /* `rows` is y, or dy */
  const mfq_phase *phase;           /* NULL: the weight is plain */
  mfq_scheme scheme;                /* of fprop.w, for the step */
} embedding_call;

/* ---- Quantizers -------------------------------------------------------------------------------------------------- */

/* Whether the values of a row follow from this row alone. */
static int has_own_rows(const mfq_scheme *s) {
  const int is_auto = s->axis == MFQ_AXIS_AUTO;
  if (s->rounding == MFQ_ROUND_STOCHASTIC || mfq_scale_has_tensor(s->scale)) return 0;
  if (s->scale == MFQ_SCALE_NONE) return s->rotation == 0;
  switch (s->granularity) {
    case MFQ_GRANULARITY_CHANNEL: return is_auto || s->axis == 0 || s->axis == -2;
    case MFQ_GRANULARITY_GROUP: return is_auto || s->axis == 1 || s->axis == -1;
    case MFQ_GRANULARITY_BLOCK: return s->block_rows == 1;
    default: return 0;
  }
}

/* Whether gradients change on their way through the quantizer. */
static int bends(const embedding_call *call) {
  return call->phase != NULL && mfq_place_bends(call->phase, MFQ_PLACE_FPROP_W);
}

static mfq_status refuse_quantizer(const embedding_call *call, const char *why) {
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, call->function,
                  "embedding->recipe: the quantizer of fprop.w %s; an embedding measures its scales each time: take a "
                  "recipe that does, or quantize the table yourself and call mfq_gather",
                  why);
}

static mfq_status take_recipe(embedding_call *call, const mfq_embedding *e) {
  if (e->recipe == NULL) return MFQ_OK;
  const mfq_status status = mfq_recipe_verify(e->recipe, call->function);
  if (status != MFQ_OK) return status;
  const mfq_phase *phase = &e->recipe->phases[mfq_recipe_phase_of(e->recipe, e->step)];
  const mfq_quantizer *z = &phase->places[MFQ_PLACE_FPROP_W];
  if (z->take != MFQ_TAKE_QUANTIZED) return MFQ_OK;
  if (z->scaling != MFQ_SCALING_DYNAMIC) return refuse_quantizer(call, "keeps scales from step to step");
  if (z->searched) return refuse_quantizer(call, "searches its scales");
  call->phase = phase;
  call->scheme = z->scheme;
  if (z->fresh_signs) call->scheme.sign_seed += (uint64_t)e->step;
  return MFQ_OK;
}

/* Whether the scheme fits the weight. */
static mfq_status check_scheme(const embedding_call *call) {
  if (call->phase == NULL) return MFQ_OK;
  const mfq_where where = {call->function, "embedding->recipe: fprop.w"};
  const mfq_qtensor q = {.scheme = call->scheme, .rank = 2, .shape = {call->weight.shape[0], call->weight.shape[1]}};
  mfq_qview view;
  return mfq_qview_init(where, &q, &view);
}

/* ---- Checks ------------------------------------------------------------------------------------------------------ */

static mfq_status take_fields(embedding_call *call, const mfq_embedding *e) {
  const mfq_where where = {call->function, "embedding"}, of_weight = {call->function, "embedding->weight"};
  mfq_status status = mfq_argument_present(where, e);
  if (status == MFQ_OK) status = mfq_argument_struct(where, e, sizeof *e, "mfq_embedding_init");
  if (status != MFQ_OK) return status;
  const mfq_range ranges[] = {{"step", e->step, 0, INT64_MAX}, {"accumulate", e->accumulate, 0, 1}};
  status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  if (status == MFQ_OK) status = take_recipe(call, e);
  if (status == MFQ_OK) status = mfq_argument_tensor(of_weight, e->weight, 0, &call->parts, &call->weight);
  if (status == MFQ_OK) status = mfq_table_check(of_weight, call->weight.rank, call->weight.shape);
  if (status == MFQ_OK) status = check_scheme(call);
  if (status == MFQ_OK) status = mfq_padding_check(where, e->padding, call->weight.shape[0]);
  if (status != MFQ_OK) return status;
  return mfq_take_indices((mfq_where){call->function, "embedding->indices"}, &e->indices, &call->parts);
}

static mfq_status take_rows(embedding_call *call, const mfq_embedding *e, const mfq_tensor *rows, const char *argument,
                            int is_written) {
  const mfq_where where = {call->function, argument};
  const mfq_status status = mfq_argument_tensor(where, rows, is_written, &call->parts, &call->rows);
  return status == MFQ_OK ? mfq_rows_check(where, &call->rows, &e->indices, call->weight.shape[1]) : status;
}

/* What forward makes in its workspace, dense; of rank 0 where it makes nothing. */
static mfq_status plan_workspace(const embedding_call *call, mfq_tensor *made, size_t *bytes) {
  *made = (mfq_tensor){.rank = 0};
  *bytes = 0;
  const int has_own = call->phase != NULL && has_own_rows(&call->scheme);
  if (call->phase == NULL || (has_own && call->rows.dtype == call->weight.dtype)) return MFQ_OK;
  const mfq_tensor *shape = has_own ? &call->rows : &call->weight;
  const mfq_dtype dtype = has_own ? call->weight.dtype : call->rows.dtype;
  const mfq_status status = mfq_tensor_init(NULL, dtype, 2, shape->shape, made);
  if (status == MFQ_OK) *bytes = (size_t)mfq_shape_count(2, shape->shape) * mfq_dtype_bytes(dtype);
  return status;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static mfq_status gather(mfq_context *context, const embedding_call *call, const mfq_embedding *e,
                         const mfq_tensor *table, const mfq_tensor *rows) {
  const mfq_indexing indexing = {
      .indices = e->indices, .argument = "embedding->indices", .rows = table->shape[0], .padding = -1};
  const mfq_cast cast = {
      .op = MFQ_OP_GATHER, .function = call->function, .src = table, .dst = rows, .indexing = &indexing};
  return context->backend->cast(context, &cast);
}

/* "<function>: fprop.w: <what another function of ours said>". */
static mfq_status failed(const embedding_call *call, mfq_status status) {
  char why[512];
  (void)snprintf(why, sizeof why, "%s", mfq_last_error());
  return mfq_fail(status, call->function, "%s: %s", mfq_place_name(MFQ_PLACE_FPROP_W), why);
}

static mfq_status fake_quantize(mfq_context *context, const embedding_call *call, const mfq_tensor *src,
                                const mfq_tensor *dst) {
  const mfq_status status = mfq_fake_quantize(context, &call->scheme, src, dst, NULL);
  return status == MFQ_OK ? status : failed(call, status);
}

static mfq_status embed(mfq_context *context, const embedding_call *call, const mfq_embedding *e,
                        const mfq_tensor *made) {
  if (call->phase == NULL) return gather(context, call, e, &call->weight, &call->rows);
  if (!has_own_rows(&call->scheme)) {
    const mfq_status status = fake_quantize(context, call, &call->weight, made);
    return status == MFQ_OK ? gather(context, call, e, made, &call->rows) : status;
  }
  const mfq_tensor *rows = made->rank > 0 ? made : &call->rows;
  const mfq_status status = gather(context, call, e, &call->weight, rows);
  return status == MFQ_OK ? fake_quantize(context, call, rows, &call->rows) : status;
}

mfq_status mfq_embedding_workspace_bytes(const mfq_embedding *embedding, size_t *bytes) {
  embedding_call call = {.function = "mfq_embedding_workspace_bytes"};
  mfq_tensor made;
  mfq_status status = take_fields(&call, embedding);
  if (status == MFQ_OK) status = take_rows(&call, embedding, embedding->y, "embedding->y", 1);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){call.function, "bytes"}, bytes);
  return status == MFQ_OK ? plan_workspace(&call, &made, bytes) : status;
}

/* Gives what is made its memory. */
static mfq_status take_workspace(embedding_call *call, mfq_tensor *made, void *workspace, size_t bytes) {
  size_t needed;
  const mfq_status status = plan_workspace(call, made, &needed);
  if (status != MFQ_OK || needed == 0) return status;
  if (workspace == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, call->function,
                    "workspace is NULL, but this embedding needs %zu bytes (mfq_embedding_workspace_bytes)", needed);
  if (bytes < needed)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, call->function,
                    "bytes is %zu, but this embedding needs %zu (mfq_embedding_workspace_bytes)", bytes, needed);
  made->data = workspace;
  mfq_tensor view;
  return mfq_argument_tensor((mfq_where){call->function, "workspace"}, made, 1, &call->parts, &view);
}

mfq_status mfq_embed(mfq_context *context, const mfq_embedding *embedding, void *workspace, size_t bytes) {
  MFQ_USUAL_FP_MODE;
  embedding_call call = {.function = "mfq_embed"};
  mfq_tensor made;
  mfq_status status = mfq_argument_present((mfq_where){call.function, "context"}, context);
  if (status == MFQ_OK) status = take_fields(&call, embedding);
  if (status == MFQ_OK) status = take_rows(&call, embedding, embedding->y, "embedding->y", 1);
  if (status == MFQ_OK) status = take_workspace(&call, &made, workspace, bytes);
  if (status == MFQ_OK) status = mfq_parts_check(context, &call.parts);
  return status == MFQ_OK ? embed(context, &call, embedding, &made) : status;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

static mfq_status take_gradient(embedding_call *call, const mfq_embedding *e) {
  const mfq_where where = {call->function, "embedding->dweight"};
  mfq_status status = mfq_argument_tensor(where, e->dweight, 1, &call->parts, &call->dweight);
  if (status == MFQ_OK)
    status = mfq_argument_shape(where, call->dweight.rank, call->dweight.shape, "embedding->weight", &call->weight);
  if (status == MFQ_OK && bends(call))
    status = mfq_scheme_suits((mfq_where){call->function, "embedding->recipe: fprop.w"}, MFQ_OP_FAKE_GRADIENT,
                              &call->scheme);
  if (status != MFQ_OK || !e->accumulate || !bends(call)) return status;
  return mfq_fail(
      MFQ_ERROR_INVALID_ARGUMENT, call->function,
      "embedding: accumulate is 1, but gradients change on their way through the quantizer of fprop.w; leave "
      "it 0 and add them");
}

static mfq_status bend(mfq_context *context, const embedding_call *call) {
  mfq_fake_gradient g;
  mfq_fake_gradient_init(&g);
  g.scheme = &call->scheme;
  g.ste = mfq_place_ste(call->phase, MFQ_PLACE_FPROP_W);
  g.through_scale = call->phase->through_scale && call->scheme.scale != MFQ_SCALE_NONE;
  g.src = &call->weight;
  g.upstream = g.dx = &call->dweight;
  const mfq_status status = mfq_fake_quantize_backward(context, &g);
  return status == MFQ_OK ? status : failed(call, status);
}

mfq_status mfq_embed_backward(mfq_context *context, const mfq_embedding *embedding) {
  MFQ_USUAL_FP_MODE;
  embedding_call call = {.function = "mfq_embed_backward"};
  mfq_status status = mfq_argument_present((mfq_where){call.function, "context"}, context);
  if (status == MFQ_OK) status = take_fields(&call, embedding);
  if (status == MFQ_OK) status = take_rows(&call, embedding, embedding->dy, "embedding->dy", 0);
  if (status == MFQ_OK) status = take_gradient(&call, embedding);
  if (status == MFQ_OK) status = mfq_parts_check(context, &call.parts);
  if (status != MFQ_OK) return status;
  const mfq_indexing indexing = {.indices = embedding->indices,
                                 .argument = "embedding->indices",
                                 .rows = call.weight.shape[0],
                                 .padding = embedding->padding,
                                 .accumulate = embedding->accumulate};
  const mfq_cast cast = {.op = MFQ_OP_SCATTER_ADD,
                         .function = call.function,
                         .src = &call.rows,
                         .dst = &call.dweight,
                         .indexing = &indexing};
  status = context->backend->cast(context, &cast);
  return status == MFQ_OK && bends(&call) ? bend(context, &call) : status;
}
