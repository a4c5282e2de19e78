/* host/cpu/conv/conv_engine.c: chooses between oneDNN and our own loops once a plan, and keeps the reason as part of
 * its name. */
#include "conv_engine.h"

#include <stdio.h>

#include "host/core/error.h"
#include "conv_own.h"
#include "conv_pack.h"
#include "host/cpu/cpu_onednn.h"

struct mfq_conv_engine {
  mfq_own_conv own;
  const mfq_onednn *onednn; /* NULL: own */
  void *plan;               /* of oneDNN's */
  const mfq_kernels *packs; /* with which we lay out the filter; NULL: oneDNN does */
  mfq_onednn_order order;   /* of it then */
  char name[512];
};

mfq_conv_engine *mfq_conv_engine_create(mfq_context *context, const mfq_onednn_conv *conv) {
  mfq_conv_engine *engine = context->alloc(context->alloc_user, sizeof *engine);
  if (engine == NULL) return NULL;
  const char *type = mfq_dtype_name(conv->from);
  char reason[400] = "";
  *engine = (mfq_conv_engine){.plan = NULL};
  mfq_own_conv_init(context, conv, &engine->own);
  engine->onednn = mfq_cpu_onednn(context, conv->from, reason, sizeof reason);
  if (engine->onednn != NULL) engine->plan = engine->onednn->conv_plan(conv, reason, sizeof reason);
  if (engine->plan != NULL && engine->onednn->conv_order(engine->plan, &engine->order))
    engine->packs = mfq_cpu_kernels(context);
  if (engine->plan != NULL)
    (void)snprintf(engine->name, sizeof engine->name, "%s by %s (%s)", type, engine->onednn->library,
                   engine->onednn->conv_plan_name(engine->plan));
  else
    (void)snprintf(engine->name, sizeof engine->name, "%s by own loops, %s: %s", type, engine->own.name, reason);
  return engine;
}

void mfq_conv_engine_free(mfq_context *context, mfq_conv_engine *engine) {
  if (engine == NULL) return;
  if (engine->plan != NULL) engine->onednn->conv_plan_free(engine->plan);
  context->free(context->alloc_user, engine);
}

const char *mfq_conv_engine_name(const mfq_conv_engine *engine) { return engine->name; }

const mfq_onednn *mfq_conv_engine_onednn(const mfq_conv_engine *engine) {
  return engine->plan != NULL ? engine->onednn : NULL;
}

size_t mfq_conv_engine_workspace_bytes(const mfq_conv_engine *engine) {
  return engine->plan != NULL ? engine->onednn->conv_workspace_bytes(engine->plan) : mfq_own_conv_bytes(&engine->own);
}

static mfq_status status_of(const mfq_conv_engine *engine, int status) {
  if (status == 0) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_DEVICE, "mfq_conv_run", "%s fails with its status %d; MFQ_ONEDNN_MODULE= leaves it out",
                  engine->onednn->library, status);
}

mfq_status mfq_conv_engine_prepare(const mfq_conv_engine *engine, const void *w, void *workspace) {
  if (engine->packs != NULL) {
    mfq_conv_pack(engine->packs, &engine->own.conv, &engine->order, w, workspace);
    return MFQ_OK;
  }
  if (engine->plan != NULL) return status_of(engine, engine->onednn->conv_prepare(engine->plan, w, workspace));
  mfq_own_conv_prepare(&engine->own, w, workspace);
  return MFQ_OK;
}

mfq_status mfq_conv_engine_run(const mfq_conv_engine *engine, const void *gathered, const void *direct, void *result,
                               void *workspace) {
  if (engine->plan != NULL)
    return status_of(engine, engine->onednn->conv_run(engine->plan, gathered, direct, result, workspace));
  mfq_own_conv_run(&engine->own, gathered, direct, result, workspace);
  return MFQ_OK;
}
