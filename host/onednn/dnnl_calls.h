/* host/onednn/dnnl_calls.h: where the C interfaces of oneDNN 2 and 3 differ. Everything else calls dnnl_* directly. */
#ifndef MFQ_HOST_ONEDNN_DNNL_CALLS_H
#define MFQ_HOST_ONEDNN_DNNL_CALLS_H

#include <dnnl.h>

#if DNNL_VERSION_MAJOR < 2 || (DNNL_VERSION_MAJOR == 2 && DNNL_VERSION_MINOR < 5)
#error "libmfq_onednn needs oneDNN 2.5 or newer"
#endif

/* Others (TBB, thread pools, SYCL) do not take the number of threads from their caller. */
#if DNNL_CPU_THREADING_RUNTIME != DNNL_RUNTIME_OMP && DNNL_CPU_THREADING_RUNTIME != DNNL_RUNTIME_SEQ
#error "libmfq_onednn needs a oneDNN that runs its threads by OpenMP, or has none"
#endif

/* A description of memory for functions that only read it. */
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t mfq_dnnl_desc; /* version 3: objects that are created and destroyed */
#else
typedef const dnnl_memory_desc_t *mfq_dnnl_desc; /* version 2: structures */
#endif

/* Strided memory, to be freed by mfq_dnnl_desc_free; NULL when oneDNN refuses it, with *status. */
mfq_dnnl_desc mfq_dnnl_desc_create(int rank, const dnnl_dims_t dims, const dnnl_dims_t strides, dnnl_data_type_t type,
                                   dnnl_status_t *status);
/* Memory in whatever order an implementation likes best. */
mfq_dnnl_desc mfq_dnnl_desc_any(int rank, const dnnl_dims_t dims, dnnl_data_type_t type, dnnl_status_t *status);
void mfq_dnnl_desc_free(mfq_dnnl_desc desc); /* NULL is allowed */

/* A blocked order: strides from block to block along each axis, and the blocks from the outermost to the innermost. */
enum { MFQ_DNNL_BLOCKS = 12 };
typedef struct mfq_dnnl_blocks {
  dnnl_dims_t strides;
  int count;
  int64_t sizes[MFQ_DNNL_BLOCKS];
  int64_t axes[MFQ_DNNL_BLOCKS];
} mfq_dnnl_blocks;
/* Returns 0 for memory in another kind of order. */
int mfq_dnnl_blocks_of(mfq_dnnl_desc desc, mfq_dnnl_blocks *blocks);

/* The best implementation of dst = src x weights. */
dnnl_status_t mfq_dnnl_matmul(dnnl_primitive_desc_t *implementation, dnnl_engine_t engine,
                              const_dnnl_primitive_attr_t attr, const mfq_dnnl_desc src_weights_dst[3]);

/* Arrays have an entry for each axis of space; a dilation of 0 is none. */
typedef struct mfq_dnnl_conv {
  dnnl_prop_kind_t kind; /* forward_inference, backward_data, backward_weights */
  mfq_dnnl_desc src, weights, dst;
  dnnl_dims_t stride, dilation, before, after;
} mfq_dnnl_conv;

/* The best implementation of a direct convolution. */
dnnl_status_t mfq_dnnl_convolution(dnnl_primitive_desc_t *implementation, dnnl_engine_t engine,
                                   const_dnnl_primitive_attr_t attr, const mfq_dnnl_conv *conv);

#endif
