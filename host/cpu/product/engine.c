/* host/cpu/product/engine.c: oneDNN, or matrices by tiles of our own; loops of our own for convolutions are in conv_own.c.
 * Filters that oneDNN wants in words of a known order are packed by our own kernels. */
#include "engine.h"

#include <stdio.h>

#include "host/core/error.h"
#include "host/cpu/conv/conv_own.h"
#include "host/cpu/cpu_onednn.h"

/* A product by loops of our own, which take every shape and all strides. */
typedef struct own_product {
  mfq_onednn_shape shape;
  mfq_own_tiles tiles;
} own_product;

struct mfq_engine {
  const char *function; /* that runs it */
  int is_conv;
  own_product product; /* of the two the one that it is */
  mfq_own_conv conv;
  const mfq_onednn *onednn; /* NULL: own */
  void *plan;               /* of oneDNN's */
  const mfq_kernels *packs; /* with which we lay out the filter; NULL: oneDNN does */
  mfq_onednn_order order;   /* of it then */
  char name[512];
};

/* ---- Matrices by our own loops ------------------------------------------------------------------------------------ */

static void own_init(const mfq_context *context, const mfq_onednn_shape *s, own_product *own) {
  own->shape = *s;
  own->tiles = (mfq_own_tiles){s->batches, s->m, s->n, s->k, s->in, s->out, s->threads, .loops = NULL};
  mfq_own_tiles_choose(context, &own->tiles);
  mfq_own_tiles_cut(&own->tiles);
}

typedef struct own_work {
  const own_product *own;
  const uint8_t *a, *b;
} own_work;

static void pack_cols(const void *of, const mfq_own_tile *t, const mfq_own_piece *piece) {
  const own_work *w = of;
  const mfq_onednn_shape *s = &w->own->shape;
  const int64_t at = t->batch * s->b_stride[0] + piece->first * s->b_stride[1] + t->first_col * s->b_stride[2];
  const mfq_strip strip = {.data = w->b + at * (int64_t)mfq_dtype_bytes(s->in),
                           .dtype = s->in,
                           .lane_stride = s->b_stride[2],
                           .depth_stride = s->b_stride[1],
                           .depth = piece->length};
  mfq_own_pack(&w->own->tiles, strip, t->cols, w->own->tiles.loops->cols, t->b_strips);
}

static void pack_rows(const void *of, const mfq_own_tile *t, int64_t row, int64_t rows, const mfq_own_piece *piece) {
  const own_work *w = of;
  const mfq_onednn_shape *s = &w->own->shape;
  const int64_t at = t->batch * s->a_stride[0] + (t->first_row + row) * s->a_stride[1] + piece->first * s->a_stride[2];
  const mfq_strip strip = {.data = w->a + at * (int64_t)mfq_dtype_bytes(s->in),
                           .dtype = s->in,
                           .lane_stride = s->a_stride[1],
                           .depth_stride = s->a_stride[2],
                           .depth = piece->length};
  mfq_own_pack(&w->own->tiles, strip, rows, w->own->tiles.loops->rows, t->a_strips);
}

static void own_run(const own_product *own, const void *a, const void *b, void *d, void *workspace) {
  const own_work work = {own, a, b};
  const mfq_own_source source = {.of = &work,
                                 .tiles = &own->tiles,
                                 .pack_cols = pack_cols,
                                 .pack_rows = pack_rows,
                                 .batch_stride = own->shape.d_stride[0],
                                 .row_stride = own->shape.d_stride[1]};
  mfq_own_run(&source, d, workspace);
}

/* ---- Planning ----------------------------------------------------------------------------------------------------- */

/* Batches that share B, and whose rows follow each other in A and D, are one product with more rows. */
static mfq_onednn_shape simplify(const mfq_onednn_shape *shape) {
  mfq_onednn_shape s = *shape;
  if (s.batches == 1) s.a_stride[0] = s.b_stride[0] = s.d_stride[0] = 0;
  if (s.batches > 1 && s.m == 1) { /* the stride of one row is anything */
    s.a_stride[1] = s.a_stride[0];
    s.d_stride[1] = s.d_stride[0];
  }
  if (s.batches == 1 || s.b_stride[0] != 0) return s;
  if (s.a_stride[0] != s.m * s.a_stride[1] || s.d_stride[0] != s.m * s.d_stride[1]) return s;
  s.m *= s.batches;
  s.batches = 1;
  s.a_stride[0] = s.d_stride[0] = 0;
  return s;
}

void mfq_engine_order(const mfq_context *context, mfq_cpu_work work, mfq_cpu_engine order[MFQ_ENGINES]) {
  const mfq_cpu_isa *isa = mfq_cpu_isa_of(context);
  mfq_cpu_engines_of(isa->level, isa->machine, work, order);
}

int mfq_engine_prefers_onednn(const mfq_context *context, int with_bf16) {
  mfq_cpu_engine order[MFQ_ENGINES];
  int i = 0;
  mfq_engine_order(context, MFQ_WORK_PRODUCT, order);
  while (!with_bf16 && mfq_engine_dtype(order[i]) == MFQ_DTYPE_BF16) ++i;
  return order[i] == MFQ_ENGINE_ONEDNN_BF16 || order[i] == MFQ_ENGINE_ONEDNN_F32;
}

/* Memory for an engine by our own loops, or by oneDNN's module; NULL: there is none of that. */
static mfq_engine *begin(mfq_context *context, mfq_cpu_engine which, mfq_engine engine, mfq_line *why) {
  why->text[0] = '\0';
  if (which == MFQ_ENGINE_ONEDNN_BF16 || which == MFQ_ENGINE_ONEDNN_F32) {
    engine.onednn = mfq_cpu_onednn(context, why->text, sizeof why->text);
    if (engine.onednn == NULL) return NULL;
  }
  mfq_engine *e = context->alloc(context->alloc_user, sizeof *e);
  if (e != NULL) *e = engine;
  return e;
}

/* An engine with its name; NULL, where it is oneDNN's and came to nothing. */
static mfq_engine *finish(mfq_context *context, mfq_engine *e, mfq_dtype in) {
  const char *own = e->is_conv ? e->conv.name : e->product.tiles.name;
  if (e->onednn == NULL) {
    (void)snprintf(e->name, sizeof e->name, "%s by own loops, %s", mfq_dtype_name(in), own);
  } else if (e->plan != NULL) {
    (void)snprintf(e->name, sizeof e->name, "%s by %s (%s)", mfq_dtype_name(in), e->onednn->library,
                   e->onednn->plan_name(e->plan));
  } else {
    context->free(context->alloc_user, e);
    return NULL;
  }
  return e;
}

mfq_engine *mfq_engine_of_product(mfq_context *context, const mfq_onednn_shape *shape, mfq_cpu_engine which,
                                  mfq_line *why) {
  const mfq_onednn_shape simple = simplify(shape);
  mfq_engine *e = begin(context, which, (mfq_engine){.function = "mfq_gemm_run"}, why);
  if (e == NULL) return NULL;
  own_init(context, &simple, &e->product);
  if (e->onednn != NULL) e->plan = e->onednn->plan(&simple, why->text, sizeof why->text);
  return finish(context, e, shape->in);
}

mfq_engine *mfq_engine_of_conv(mfq_context *context, const mfq_onednn_conv *conv, mfq_cpu_engine which, mfq_line *why) {
  mfq_engine *e = begin(context, which, (mfq_engine){.function = "mfq_conv_run", .is_conv = 1}, why);
  if (e == NULL) return NULL;
  mfq_own_conv_init(context, conv, &e->conv);
  if (e->onednn != NULL) e->plan = e->onednn->conv_plan(conv, why->text, sizeof why->text);
  if (e->plan != NULL && e->onednn->order(e->plan, &e->order)) e->packs = mfq_cpu_kernels(context);
  return finish(context, e, conv->from);
}

void mfq_engine_free(mfq_context *context, mfq_engine *e) {
  if (e == NULL) return;
  if (e->plan != NULL) e->onednn->plan_free(e->plan);
  context->free(context->alloc_user, e);
}

const char *mfq_engine_name(const mfq_engine *e) { return e->name; }

const mfq_onednn *mfq_engine_onednn(const mfq_engine *e) { return e->plan != NULL ? e->onednn : NULL; }

size_t mfq_engine_workspace_bytes(const mfq_engine *e) {
  if (e->plan != NULL) return e->onednn->workspace_bytes(e->plan);
  const mfq_own_tiles *tiles = &e->product.tiles;
  return e->is_conv ? mfq_own_conv_bytes(&e->conv) : (size_t)(tiles->threads * mfq_own_thread_bytes(tiles));
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

static mfq_status status_of(const mfq_engine *e, int status) {
  if (status == 0) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_DEVICE, e->function, "%s fails with its status %d; MFQ_ONEDNN_MODULE= leaves it out",
                  e->onednn->library, status);
}

mfq_status mfq_engine_prepare(const mfq_engine *e, const void *b, void *workspace) {
  if (!e->is_conv || e->conv.conv.direction == MFQ_CONV_WEIGHT_GRADIENT) return MFQ_OK;
  if (e->packs == NULL && e->plan != NULL) return status_of(e, e->onednn->prepare(e->plan, b, workspace));
  if (e->packs != NULL)
    mfq_conv_pack(e->packs, &e->conv.conv, &e->order, b, workspace);
  else
    mfq_own_conv_prepare(&e->conv, b, workspace);
  return MFQ_OK;
}

mfq_status mfq_engine_run(const mfq_engine *e, const void *a, const void *b, void *result, void *workspace) {
  if (e->plan != NULL) return status_of(e, e->onednn->run(e->plan, a, b, result, workspace));
  if (e->is_conv)
    mfq_own_conv_run(&e->conv, a, b, result, workspace);
  else
    own_run(&e->product, a, b, result, workspace);
  return MFQ_OK;
}
