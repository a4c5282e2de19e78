/* host/core/problem/gemm_problem.h: a product as backends see it: checked, and its operands as matrices of rows x depth.
 *
 * A is M rows of depth K, B is N rows of depth K, whichever way they lie in memory. */
#ifndef MFQ_HOST_CORE_GEMM_PROBLEM_H
#define MFQ_HOST_CORE_GEMM_PROBLEM_H

#include "choose.h"
#include "finish_problem.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mfq_side_kind {
  MFQ_SIDE_PLAIN,      /* multiplied as it is */
  MFQ_SIDE_QUANTIZED,  /* codes were given */
  MFQ_SIDE_TO_QUANTIZE /* a plain tensor, quantized by the run into its workspace */
} mfq_side_kind;

/* A or B. `scale` and `codes` say where things are for kinds QUANTIZED and TO_QUANTIZE; the arrays are for batch, row
 * and depth. Code (i, r, k) starts at bit i * code_bits[0] + r * code_bits[1] + k * code_bits[2] of view.q.codes. It has
 * the scale and the zero point with logical index (view.sizes.scale_shape, row-major)
 *   i * scale_stride[0] + r / scale_run[1] * scale_stride[1] + k / scale_run[2] * scale_stride[2]. */
typedef struct mfq_gemm_side {
  mfq_side_kind kind;
  int64_t batches; /* 1 or the problem's */
  int64_t rows, depth;
  int32_t is_transposed; /* in memory: the last axis is rows, the one before it depth */
  mfq_tensor tensor;     /* PLAIN, TO_QUANTIZE: as given */
  mfq_matrix matrix;     /* PLAIN, TO_QUANTIZE: the same as rows x depth */
  mfq_qview view;        /* QUANTIZED, TO_QUANTIZE: the latter in a layout of our choice, and without memory */
  int64_t code_bits[3];
  int64_t scale_stride[3], scale_run[3];
  int64_t group; /* elements along K that share a scale; 0: the scale does not vary along K */
} mfq_gemm_side;

typedef struct mfq_gemm_problem {
  int64_t batches, m, n, k; /* batches, m and n are those of the finish */
  mfq_gemm_side a, b;
  mfq_finish finish;
  int32_t round_operands;
} mfq_gemm_problem;

/* What plans of all operations have. */
typedef struct mfq_plan {
  mfq_context *context;
  mfq_choice choice;
  void *workspace; /* of its own, or NULL */
} mfq_plan;

struct mfq_gemm_plan {
  mfq_plan base;
  mfq_gemm_problem problem; /* as planned; its pointers are for alignment only */
};

/* Bytes of workspace rounded up so that what follows is aligned to 256. Nothing wraps here, nor where `bytes` come from:
 * MFQ_MOST_ELEMENTS (sizes.h) sees to that before a backend plans. */
static inline size_t mfq_workspace_round(size_t bytes) { return (bytes + 255) / 256 * 256; }

/* Takes `bytes` of a workspace that ends at `end` so far, and returns where they are: a multiple of 256. */
static inline size_t mfq_workspace_take(size_t *end, size_t bytes) {
  const size_t at = *end;
  *end += mfq_workspace_round(bytes);
  return at;
}

/* Memory that a run works in. */
typedef struct mfq_workspace {
  void *memory;
  size_t bytes;
} mfq_workspace;

/* Checks a description and fills `problem`, with the pointers as given. For a run `workspace` is there, pointers must
 * be as well, and memory is checked for overlap and against the context's device; NULL for planning. */
mfq_status mfq_gemm_problem_make(const char *function, mfq_context *context, const mfq_gemm *gemm,
                                 const mfq_workspace *workspace, mfq_gemm_problem *problem);

/* OK, or a sentence about the first thing in which a run differs from its plan. */
mfq_status mfq_gemm_problem_match(const char *function, const mfq_gemm_problem *plan, const mfq_gemm_problem *run);

/* Why the scales of a scheme cannot be factors of sums, or NULL. */
const char *mfq_gemm_refuse_factor(const mfq_scheme *scheme);

/* Fills code_bits, scale_stride, scale_run and group from side->view, whose last two axes are rows and depth, or depth
 * and rows with `is_transposed`. Returns NULL, or why products cannot use such a scheme there. */
const char *mfq_gemm_side_index(mfq_gemm_side *side, int is_transposed);

/* Why bf16 does not hold every value that is multiplied of a side (elements times group scales: a scale that does not
 * vary along K is a factor of the sums), or NULL. Only digits count: bf16 reaches as far as float32, which values beyond
 * either end of it would leave as well. */
const char *mfq_gemm_side_refuses_bf16(const mfq_gemm_side *side);
const char *mfq_gemm_sides_refuse_bf16(const mfq_gemm_side *a, const mfq_gemm_side *b);

/* Workspace, a multiple of 256, for the parts of a side that is quantized on the way; 0 for others. */
size_t mfq_gemm_side_bytes(const mfq_gemm_side *side);
/* Fills `ready` with the same side; one that is to be quantized is QUANTIZED then, by what the caller still has to
 * write into `memory`. */
void mfq_gemm_side_place(const mfq_gemm_side *side, uint8_t *memory, mfq_gemm_side *ready);

/* What a side's scales multiply sums by. */
mfq_factors mfq_gemm_side_factors(const mfq_gemm_side *side);
/* Fills the sizes and factors of the finish from m, n, batches and the sides. */
void mfq_gemm_finish_fit(mfq_gemm_problem *problem);
static inline mfq_factor_views mfq_gemm_factor_views(const mfq_gemm_problem *p) {
  const mfq_factor_views views = {&p->a.view, &p->b.view};
  return views;
}

/* Index of the scale (and zero point) of an element. */
static inline int64_t mfq_gemm_side_scale(const mfq_gemm_side *side, int64_t batch, int64_t row, int64_t depth) {
  return batch * side->scale_stride[0] + row / side->scale_run[1] * side->scale_stride[1] +
         depth / side->scale_run[2] * side->scale_stride[2];
}

#ifdef __cplusplus
}
#endif

#endif
