/* mfq/gemm.h: matrix products of quantized tensors: planned once, run often.
 *
 *   D = activation(alpha * A x B + beta * C + bias)
 *
 * A plan holds what does not change: shapes, strides, schemes, the way that was chosen and why. A run checks
 * that it is given the same and queues the work. */
#ifndef MFQ_GEMM_H
#define MFQ_GEMM_H

#include <mfq/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Applied to each element last, before the result is rounded. Since 0.1. */
typedef enum mfq_activation {
  MFQ_ACTIVATION_NONE = 0,
  MFQ_ACTIVATION_RELU = 1,      /* max(x, 0); NaN stays NaN */
  MFQ_ACTIVATION_GELU = 2,      /* x * (1 + erf(x / sqrt(2))) / 2 */
  MFQ_ACTIVATION_GELU_TANH = 3, /* x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2 */
  MFQ_ACTIVATION_SILU = 4       /* x / (1 + exp(-x)) */
} mfq_activation;

/* One operand: either `plain` or `quantized`, the other NULL. In `quantize_to`, MFQ_AXIS_AUTO means K for groups, and the
 * other axis of the matrix for channels. Since 0.1. */
typedef struct mfq_operand {
  const mfq_tensor *plain;       /* multiplied as it is, or quantized first: */
  const mfq_scheme *quantize_to; /* with `plain`: the scheme it is quantized to on the way in; NULL: none */
  const mfq_qtensor *quantized;
} mfq_operand;

/* A product. Filled by mfq_gemm_init; set what you need. The same description makes the plan and runs it; at planning,
 * data pointers only tell how memory is aligned, and NULL stands for memory aligned to 256 bytes. Since 0.1. */
typedef struct mfq_gemm {
  size_t struct_size;
  mfq_operand a;       /* [..., M, K], or [..., K, M] with transpose_a */
  mfq_operand b;       /* [..., K, N], or [..., N, K] with transpose_b */
  int32_t transpose_a; /* 0 or 1 */
  int32_t transpose_b;
  const mfq_tensor *c;    /* [..., M, N]; NULL: none */
  const mfq_tensor *bias; /* [N]; NULL: none */
  const float *alpha;     /* NULL: 1 */
  const float *beta;      /* NULL: 1; with the value 0, C is not read */
  int32_t device_scalars; /* 1: alpha and beta lie on the context's device, and are read when the work runs there */
  mfq_activation activation;
  const mfq_tensor *d;            /* [..., M, N]: where the result goes, */
  const mfq_qtensor *quantized_d; /* or the result quantized; exactly one of the two */
  int32_t round_operands; /* 1: values that bf16 does not hold may be rounded to it, which is faster; MFQ_FAST only */
  int32_t own_workspace;  /* 1: the plan allocates its workspace, and one thread at a time may run it */
} mfq_gemm;

/* Fills `gemm` with NULL pointers and zeros. Since 0.1. */
MFQ_EXPORT void mfq_gemm_init(mfq_gemm *gemm);

/* What was chosen for one product. Immutable: any number of threads may run it at once, each with a workspace of its
 * own. It belongs to its context, and must go before it. Since 0.1. */
typedef struct mfq_gemm_plan mfq_gemm_plan;

/* Plans a product.
 * Shapes: ranks 2 ... MFQ_MAX_RANK; the axes before the last two are batches: equal, or missing (rank 2) in an operand
 *   that every batch shares. Any size, 0 included: K = 0 gives A x B = 0; at most 2^46 elements a
 *   tensor. Strides of plain tensors as in mfq/types.h.
 * Numerics: a scale may stand for the whole operand, each row of A or column of B, groups along K, or blocks. The
 *   policy of the context decides: MFQ_REPRODUCIBLE is exact within runs of at most 32 along K and rounds once for
 *   each (docs/numerics.md, "Products"); MFQ_FAST multiplies the same values, exactly widened, in an order of the chosen
 *   way, with sums in f32. A plain operand is never rounded unless round_operands is 1.
 * Memory: allocates the plan, and its workspace with own_workspace.
 * Errors: INVALID_ARGUMENT for NULL, both or neither of two alternatives, unknown enumerators; SHAPE for shapes that do
 *   not chain, and for too many elements; UNSUPPORTED for scales that vary along another axis than the product can
 *   factor out (groups not along K, channels along K), with K's axis, for quantize_to with MFQ_RULE_GIVEN, and while
 *   the context's stream is being captured into a CUDA graph; OUT_OF_MEMORY, DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_gemm_plan_create(mfq_context *context, const mfq_gemm *gemm, mfq_gemm_plan **plan);
/* Frees a plan; NULL is allowed. On CUDA, waits for its runs when it owns the workspace. Since 0.1. */
MFQ_EXPORT void mfq_gemm_plan_destroy(mfq_gemm_plan *plan);
/* Returns which way was chosen, and for each faster one why not, such as "expanded: bf16 by oneDNN 2.6.3;
 * not few rows: M is 512, at most 8"; valid while the plan lives. Since 0.1. */
MFQ_EXPORT const char *mfq_gemm_plan_describe(const mfq_gemm_plan *plan);
/* Returns the bytes of workspace that each run needs, on the context's device, aligned to 256; 0 for a plan that owns
 * its workspace, or needs none. Since 0.1. */
MFQ_EXPORT size_t mfq_gemm_workspace_bytes(const mfq_gemm_plan *plan);

/* Runs a plan on `gemm`, which has the shapes, strides and schemes (the seed of signs left aside) that the plan was made
 * for, and memory that is aligned as well.
 * Memory: `workspace` is as mfq_gemm_workspace_bytes tells (NULL when that is 0) and no other run's at the same time.
 *   D must not overlap what is read, but may be C itself with equal strides. Neither allocates nor waits, but that the
 *   first run with several threads on the CPU makes them (docs/process.md).
 * Async: as in mfq/quantize.h; alpha and beta on the host are read before the function returns.
 * Errors: INVALID_ARGUMENT for NULL, another context than the plan's, a workspace that is too small, badly aligned or
 *   missing, overlapping memory, memory of another device; SHAPE for what differs from the plan; OUT_OF_MEMORY where
 *   the system lends no threads to oneDNN; DEVICE. D is untouched.
 * Since 0.1. */
MFQ_API mfq_status mfq_gemm_run(mfq_context *context, const mfq_gemm_plan *plan, const mfq_gemm *gemm, void *workspace,
                                size_t workspace_bytes);

#ifdef __cplusplus
}
#endif

#endif
