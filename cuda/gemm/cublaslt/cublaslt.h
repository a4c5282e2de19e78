/* cuda/gemm/cublaslt/cublaslt.h: products by cuBLASLt, NVIDIA's library, which is opened at run time.
 *
 * cuBLASLt thinks in columns, this library in rows: D = A x B, row by row in memory, is D^T = B^T x A^T to cuBLASLt, whose
 * first operand is therefore our B. A factor whose elements along K are neighbours is its operation T as the first
 * operand and N as the second; both so is "TN", the only order that 8-bit floats have before compute capability 10.0
 * and on 12.x, and that 4-bit floats have anywhere. */
#ifndef MFQ_CUDA_GEMM_CUBLASLT_H
#define MFQ_CUDA_GEMM_CUBLASLT_H

#include "cublaslt_abi.h"
#include "cuda/gemm/gemm_cuda.h"

/* The opened library with a handle, one for each context. */
typedef struct mfq_cublaslt {
  lt_functions call;
  void *library;
  void *handle;
  int version;          /* 10000 * major + 100 * minor + patch */
  char name[32];        /* "cuBLASLt 13.1.0" */
  mfq_line unavailable; /* empty, or why there is no handle */
} mfq_cublaslt;

/* The context's library, opened at its first call; NULL with the reason, which is no error. MFQ_CUBLASLT in the
 * environment names the file; empty, none is opened. Not for runs. */
const mfq_cublaslt *mfq_cublaslt_open(mfq_context *context, mfq_line *reason);
void mfq_cublaslt_close(mfq_context *context);

/* One factor, rows x depth: A has M rows, B has N. */
typedef struct mfq_cublaslt_factor {
  int32_t type;          /* LT_F32, ... */
  int32_t scale_mode;    /* LT_SCALE_... */
  int32_t is_depth_last; /* 1: elements along K are neighbours, rows are `ld` apart; 0: the other way round */
  uint32_t align;        /* bytes, a power of two, that the matrix of every batch and run is aligned to */
  int64_t ld;            /* elements */
  int64_t batch_stride;  /* elements; 0: shared */
} mfq_cublaslt_factor;

/* C or D: M rows, `ld` elements apart, of N neighbouring elements. */
typedef struct mfq_cublaslt_sum {
  int32_t type;
  uint32_t align;
  int64_t ld, batch_stride;
} mfq_cublaslt_sum;

/* D = alpha * A x B + beta * C + bias, with sums in f32. All sizes are >= 1. */
typedef struct mfq_cublaslt_product {
  int64_t m, n, k, batches;
  mfq_cublaslt_factor a, b;
  mfq_cublaslt_sum c, d; /* without C, `c` is `d` */
  int32_t has_bias;      /* one for each of N */
  int32_t bias_type;
  uint32_t bias_align;    /* bytes, as in a factor */
  size_t workspace_limit; /* bytes; 0: what NVIDIA advises */
} mfq_cublaslt_product;

/* A product ready to run; read-only from then on. */
typedef struct mfq_cublaslt_plan {
  lt_desc desc;
  lt_layout a, b, c, d; /* ours; cuBLASLt gets A and B exchanged */
  lt_algo algo;
  size_t workspace_bytes;
  int32_t has_bias;
} mfq_cublaslt_plan;

/* Asks cuBLASLt how to run a product. UNSUPPORTED with `reason`, and no sentence, when it cannot. */
mfq_status mfq_cublaslt_plan_make(mfq_context *context, const mfq_cublaslt_product *product, mfq_cublaslt_plan *plan,
                                  mfq_line *reason);

/* The memory of one run, all of it on the device but alpha and beta. */
typedef struct mfq_cublaslt_call {
  const void *a, *b;
  const void *a_scales, *b_scales; /* NULL: 1 (LT_SCALE_TENSOR only) */
  const void *c;                   /* not read with beta 0; `d` where there is none */
  void *d;
  const void *bias; /* with has_bias */
  float alpha, beta;
  void *workspace;      /* workspace_bytes of the plan, aligned to 256 */
  const char *function; /* the public one that it works for; NULL: mfq_gemm_run */
} mfq_cublaslt_call;

/* Queues the product on the context's stream. */
mfq_status mfq_cublaslt_run(mfq_context *context, const mfq_cublaslt_plan *plan, const mfq_cublaslt_call *call);

/* How far memory is aligned that starts at `pointer` (NULL: at a multiple of 256) and goes on in steps of `stride_bytes`
 * (0: none): at most 256. */
uint32_t mfq_cublaslt_align(const void *pointer, int64_t stride_bytes);

/* cuBLASLt's name of a dtype. */
int32_t mfq_cublaslt_type(mfq_dtype dtype);

#endif
