/* host/onednn/onednn_parts.h: what products and convolutions share: engine and attributes, primitives with their
 * scratchpad, threads, reasons. */
#ifndef MFQ_HOST_ONEDNN_ONEDNN_PARTS_H
#define MFQ_HOST_ONEDNN_ONEDNN_PARTS_H

#include "host/core/module/onednn_module.h"
#include "dnnl_calls.h"

/* Attributes: f32 stays f32, whatever the environment says, and the scratchpad is the caller's. */
typedef struct mfq_dnnl_place {
  dnnl_engine_t engine;
  dnnl_primitive_attr_t attr;
} mfq_dnnl_place;
dnnl_status_t mfq_dnnl_place_open(mfq_dnnl_place *place);

static inline dnnl_data_type_t mfq_dnnl_type(mfq_dtype dtype) { return dtype == MFQ_DTYPE_F32 ? dnnl_f32 : dnnl_bf16; }

/* oneDNN 2.6.3 keeps many sizes in 32 bits, and divides by what is left of longer ones: those are not asked about. */
dnnl_status_t mfq_dnnl_sizes_check(const int64_t *sizes, size_t count);

/* An implementation, which its caller has chosen, and what comes of it. */
typedef struct mfq_dnnl_made {
  dnnl_primitive_desc_t implementation;
  dnnl_primitive_t primitive;
  const char *name;         /* the implementation's own, as is this: */
  mfq_dnnl_desc scratchpad; /* in bytes: */
  size_t scratch_bytes;
} mfq_dnnl_made;
dnnl_status_t mfq_dnnl_make(mfq_dnnl_made *made);

/* A plan. Its operands are src, weights and dst of a product, or x, w and y of a convolution. */
enum { MFQ_DNNL_OPERANDS = 3 };
/* Where an operand of a run is: the arguments of a run, or the workspace, in the order that the implementation likes best. */
typedef enum mfq_dnnl_where { MFQ_DNNL_A, MFQ_DNNL_B, MFQ_DNNL_RESULT, MFQ_DNNL_OWN } mfq_dnnl_where;

typedef struct mfq_dnnl_plan {
  int threads;
  mfq_dnnl_place place;
  mfq_dnnl_made main, reorder;           /* reorder: of the operand in the workspace, where there is one */
  mfq_dnnl_desc desc[MFQ_DNNL_OPERANDS]; /* as they lie in the caller's memory */
  int kind[MFQ_DNNL_OPERANDS];           /* DNNL_ARG_... */
  mfq_dnnl_where where[MFQ_DNNL_OPERANDS];
  mfq_dnnl_desc any_w, own_w; /* any order, and the implementation's own */
  size_t w_bytes;             /* of it, rounded up; the scratchpads lie behind */
  mfq_onednn_conv conv;       /* of a convolution's */
} mfq_dnnl_plan;

/* Fill a plan up to its implementation; `conv` and `threads` are there. */
dnnl_status_t mfq_dnnl_choose_product(mfq_dnnl_plan *plan, const mfq_onednn_shape *shape);
dnnl_status_t mfq_dnnl_choose_conv(mfq_dnnl_plan *plan);
/* The member `order` of the module. */
int mfq_dnnl_conv_order(const void *plan, mfq_onednn_order *order);

#endif
