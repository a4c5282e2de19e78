/* tests/c_api/modules/fake_onednn.c: what libmfq may find in the place of its oneDNN module, by FAKE: 1 a module of
 * another version, 2 one of another build, 3 one that multiplies nothing: it plans whatever MFQ_FAKE_PLANS in the
 * environment says, and fails to run. */
#include <mfq/types.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The same as in host/core/onednn_module.h, which tests do not see: a change there must show here. */
typedef struct fake_shape {
  int64_t batches, m, n, k;
  mfq_dtype in, out;
  int64_t a_stride[3], b_stride[3], d_stride[3];
  int32_t threads;
} fake_shape;

typedef struct fake_module {
  const char *version;
  size_t module_bytes, shape_bytes;
  const char *library;
  void *(*plan)(const fake_shape *shape, char *reason, size_t capacity);
  void (*plan_free)(void *plan);
  const char *(*plan_name)(const void *plan);
  size_t (*workspace_bytes)(const void *plan);
  int (*run)(const void *plan, const void *a, const void *b, void *d, void *workspace);
} fake_module;

static void *fake_plan(const fake_shape *shape, char *reason, size_t capacity) {
  const char *plans = getenv("MFQ_FAKE_PLANS");
  if (plans != NULL && strcmp(plans, "all") == 0) return malloc(1); /* a leak shows under the sanitizers */
  (void)snprintf(reason, capacity, "the fake takes no %s with K = %d", shape->in == MFQ_DTYPE_F32 ? "f32" : "bf16",
                 (int)shape->k);
  return NULL;
}

static const char *fake_plan_name(const void *plan) { return plan != NULL ? "made:of_nothing" : "?"; }

static size_t fake_workspace_bytes(const void *plan) { return plan != NULL ? 12345 : 0; }

static int fake_run(const void *plan, const void *a, const void *b, void *d, void *workspace) {
  (void)a, (void)b, (void)d, (void)workspace;
  return plan != NULL ? 77 : 0;
}

static const fake_module fake = {
    .version = FAKE == 1 ? "0.0.9" : MFQ_VERSION_STRING,
    .module_bytes = sizeof fake - (FAKE == 2 ? 1 : 0),
    .shape_bytes = sizeof(fake_shape),
    .library = "fakeDNN 9.8.7",
    .plan = fake_plan,
    .plan_free = free,
    .plan_name = fake_plan_name,
    .workspace_bytes = fake_workspace_bytes,
    .run = fake_run,
};

const void *mfq_onednn_module(void);
MFQ_EXPORT const void *mfq_onednn_module(void) { return &fake; }
