/* tests/c_api/modules/fake_onednn.c: what libmfq may find in the place of its oneDNN module, by FAKE: 1 a module of
 * another version, 2 one of another build, 3 one that computes nothing: it plans whatever MFQ_FAKE_PLANS in the
 * environment says, and fails to run. */
#include <mfq/types.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The same as in host/core/module/onednn_module.h, which tests do not see: a change there must show here. */
typedef struct fake_shape {
  int64_t batches, m, n, k;
  mfq_dtype in, out;
  int64_t a_stride[3], b_stride[3], d_stride[3];
  int32_t threads;
} fake_shape;

typedef struct fake_conv {
  int32_t direction;
  int64_t batch, groups, in_channels, out_channels;
  int64_t in[3], filter[3], out[3], stride[3], dilation[3], padding[3];
  mfq_dtype from, to;
  int32_t threads;
} fake_conv;

typedef struct fake_module {
  const char *version;
  size_t module_bytes, shape_bytes, conv_bytes;
  const char *library;
  void (*spawn)(int threads, void (*body)(void *user, int thread), void *user);
  int (*limit)(int highest);
  void *(*plan)(const fake_shape *shape, char *reason, size_t capacity);
  void *(*conv_plan)(const fake_conv *conv, char *reason, size_t capacity);
  void (*plan_free)(void *plan);
  const char *(*plan_name)(const void *plan);
  size_t (*workspace_bytes)(const void *plan);
  int (*prepare)(const void *plan, const void *w, void *workspace);
  int (*run)(const void *plan, const void *a, const void *b, void *result, void *workspace);
  int (*order)(const void *plan, void *order);
} fake_module;

/* As oneDNN, which takes a limit until it was asked for a plan. */
static int is_used;
static int fake_limit(int highest) {
  (void)highest;
  return !is_used;
}

static void *fake_plan(const fake_shape *shape, char *reason, size_t capacity) {
  is_used = 1;
  const char *plans = getenv("MFQ_FAKE_PLANS");
  if (plans != NULL && strcmp(plans, "all") == 0) return malloc(1); /* a leak shows under the sanitizers */
  (void)snprintf(reason, capacity, "the fake takes no %s with K = %d", shape->in == MFQ_DTYPE_F32 ? "f32" : "bf16",
                 (int)shape->k);
  return NULL;
}

static void fake_spawn(int threads, void (*body)(void *user, int thread), void *user) {
  for (int i = 0; i < threads; ++i) body(user, i);
}

static const char *fake_plan_name(const void *plan) { return plan != NULL ? "made:of_nothing" : "?"; }

static size_t fake_workspace_bytes(const void *plan) { return plan != NULL ? 12345 : 0; }

static int fake_run(const void *plan, const void *a, const void *b, void *d, void *workspace) {
  (void)a, (void)b, (void)d, (void)workspace;
  return plan != NULL ? 77 : 0;
}

static void *fake_conv_plan(const fake_conv *conv, char *reason, size_t capacity) {
  const char *plans = getenv("MFQ_FAKE_PLANS");
  if (plans != NULL && strcmp(plans, "all") == 0) return malloc(1);
  (void)snprintf(reason, capacity, "the fake takes no %s with a batch of %d",
                 conv->from == MFQ_DTYPE_F32 ? "f32" : "bf16", (int)conv->batch);
  return NULL;
}

static int fake_prepare(const void *plan, const void *w, void *workspace) {
  (void)w, (void)workspace;
  return plan != NULL ? 0 : 1;
}

static int fake_order(const void *plan, void *order) {
  (void)plan, (void)order;
  return 0;
}

static const fake_module fake = {
    .version = FAKE == 1 ? "0.0.9" : MFQ_VERSION_STRING,
    .module_bytes = sizeof fake - (FAKE == 2 ? 1 : 0),
    .shape_bytes = sizeof(fake_shape),
    .conv_bytes = sizeof(fake_conv),
    .library = "fakeDNN 9.8.7",
    .spawn = fake_spawn,
    .limit = fake_limit,
    .plan = fake_plan,
    .conv_plan = fake_conv_plan,
    .plan_free = free,
    .plan_name = fake_plan_name,
    .workspace_bytes = fake_workspace_bytes,
    .prepare = fake_prepare,
    .run = fake_run,
    .order = fake_order,
};

const void *mfq_onednn_module(void);
MFQ_EXPORT const void *mfq_onednn_module(void) { return &fake; }
