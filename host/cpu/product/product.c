/* host/cpu/product/product.c: chooses between oneDNN and our own loops once a plan, after batches that can count as
 * rows have been made rows. */
#include "product.h"

#include <stdio.h>

#include "host/core/error.h"
#include "host/cpu/cpu_onednn.h"
#include "product_own.h"

struct mfq_product {
  mfq_own_product own;
  const mfq_onednn *onednn; /* NULL: own */
  void *plan;               /* of oneDNN's */
  char name[512];
};

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

static void plan_onednn(const mfq_context *context, mfq_product *product, const mfq_onednn_shape *shape, char *reason,
                        size_t capacity) {
  const mfq_onednn *module = mfq_cpu_onednn(context, shape->in, reason, capacity);
  if (module == NULL) return;
  product->plan = module->plan(shape, reason, capacity);
  if (product->plan != NULL) product->onednn = module;
}

mfq_product *mfq_product_create(mfq_context *context, const mfq_onednn_shape *shape) {
  mfq_product *product = context->alloc(context->alloc_user, sizeof *product);
  if (product == NULL) return NULL;
  const mfq_onednn_shape simple = simplify(shape);
  const char *type = mfq_dtype_name(shape->in);
  char reason[400] = "";
  *product = (mfq_product){.plan = NULL};
  mfq_own_product_init(context, &simple, &product->own);
  plan_onednn(context, product, &simple, reason, sizeof reason);
  if (product->plan != NULL)
    (void)snprintf(product->name, sizeof product->name, "%s by %s (%s)", type, product->onednn->library,
                   product->onednn->plan_name(product->plan));
  else
    (void)snprintf(product->name, sizeof product->name, "%s by own loops, %s: %s", type, product->own.tiles.name,
                   reason);
  return product;
}

void mfq_product_free(mfq_context *context, mfq_product *product) {
  if (product == NULL) return;
  if (product->plan != NULL) product->onednn->plan_free(product->plan);
  context->free(context->alloc_user, product);
}

const char *mfq_product_name(const mfq_product *product) { return product->name; }

const mfq_onednn *mfq_product_onednn(const mfq_product *product) {
  return product->plan != NULL ? product->onednn : NULL;
}

size_t mfq_product_workspace_bytes(const mfq_product *product) {
  return product->plan != NULL ? product->onednn->workspace_bytes(product->plan) : mfq_own_product_bytes(&product->own);
}

mfq_status mfq_product_run(const mfq_product *product, const void *a, const void *b, void *d, void *workspace) {
  if (product->plan == NULL) {
    mfq_own_product_run(&product->own, a, b, d, workspace);
    return MFQ_OK;
  }
  const int status = product->onednn->run(product->plan, a, b, d, workspace);
  if (status == 0) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_DEVICE, "mfq_gemm_run", "%s fails with its status %d; MFQ_ONEDNN_MODULE= leaves it out",
                  product->onednn->library, status);
}
