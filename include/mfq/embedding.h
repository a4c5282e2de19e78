/* mfq/embedding.h: rows of a table by their numbers, and sums of gradients back into such rows; embedding layers of both,
 * whose table a recipe quantizes. */
#ifndef MFQ_EMBEDDING_H
#define MFQ_EMBEDDING_H

#include <mfq/recipe.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Types of indices. Since 0.1. */
typedef enum mfq_index_type { MFQ_INDEX_I32 = 1, MFQ_INDEX_I64 = 2 } mfq_index_type;

/* Numbers of rows, one after the other in memory on the context's device; indices of any shape are given as one line. Owns
 * nothing. Since 0.1. */
typedef struct mfq_indices {
  const void *data; /* aligned to its type */
  mfq_index_type type;
  int64_t count;
} mfq_indices;

/* ---- Rows of a table --------------------------------------------------------------------------------------------- */

/* Which rows of which table. Filled by mfq_gathering_init; set what you need. Since 0.1. */
typedef struct mfq_gathering {
  size_t struct_size;
  const mfq_tensor *plain;      /* the table, [V, D], */
  const mfq_qtensor *quantized; /* or its codes; exactly one of the two */
  mfq_indices indices;          /* n of them, 0 ... V - 1 */
  const mfq_tensor *y;          /* where the rows go, [n, D] */
} mfq_gathering;

/* Fills `gathering` with NULL pointers and zeros. Since 0.1. */
MFQ_EXPORT void mfq_gathering_init(mfq_gathering *gathering);

/* Writes row indices[i] of the table to row i of y.
 * Shapes: as above; V, D and n may be 0, the same index may come again and again.
 * Numerics: of codes what mfq_dequantize gives for these elements. Of a plain table of y's dtype the bits as they are, of
 *   another one the numbers rounded to nearest even: what is too large for f16 becomes infinite, NaN 7fc00000.
 * Memory: only rows that are asked for are read. y must not overlap anything else.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, on the CPU also for an index out of range, with its place and value: on a GPU, where nobody has
 *   seen it before, its row of y becomes NaN; UNSUPPORTED for codes that are rotated across rows; SHAPE, OUT_OF_MEMORY,
 *   DEVICE; nothing is written then.
 * Since 0.1. */
MFQ_API mfq_status mfq_gather(mfq_context *context, const mfq_gathering *gathering);

/* ---- Gradients of rows ------------------------------------------------------------------------------------------- */

/* The gradient of a table whose rows were read. Filled by mfq_scattering_init; set what you need. Since 0.1. */
typedef struct mfq_scattering {
  size_t struct_size;
  mfq_indices indices;       /* as for mfq_gather */
  const mfq_tensor *dy;      /* the gradient of the rows, [n, D] */
  const mfq_tensor *dweight; /* that of the table, [V, D], any dtype */
  int64_t padding;           /* this index gives no gradient: torch's padding_idx; -1: there is none such */
  int32_t accumulate;        /* 1: what dweight holds is the first term of the sums */
} mfq_scattering;

/* Fills `scattering` with NULL pointers, zeros, and a padding of -1. Since 0.1. */
MFQ_EXPORT void mfq_scattering_init(mfq_scattering *scattering);

/* Writes to row v of dweight the sum of the rows of dy whose index is v.
 * Shapes: as above, like those of mfq_gather.
 * Numerics: one float32 addition after the other, in the order of the indices, from 0 or from dweight on, and rounded to
 *   dweight's dtype once, at the end: equal bits on every device and for any number of threads. What is too large for f16
 *   becomes infinite, NaN 7fc00000. Rows that no index names become 0; with `accumulate` they stay as they are.
 * Memory: on the CPU 8 bytes of the context's scratch memory for each index and each row of the table. dweight must not
 *   overlap anything else.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, on the CPU also for an index out of range, with its place and value: on a GPU it is left out;
 *   SHAPE, OUT_OF_MEMORY, DEVICE; nothing is written then.
 * Since 0.1. */
MFQ_API mfq_status mfq_scatter_add(mfq_context *context, const mfq_scattering *scattering);

/* ---- Embedding layers -------------------------------------------------------------------------------------------- */

/* An embedding: y = rows of the quantized weight. Its table is its whole state, so that no object stands for it; and no
 * product, so that of a recipe only fprop.w is read, and how gradients pass it. Filled by mfq_embedding_init; set what you
 * need. Since 0.1. */
typedef struct mfq_embedding {
  size_t struct_size;
  const mfq_recipe *recipe;  /* NULL: the weight as it is */
  int64_t step;              /* of the training, 0 or more, on which the recipe's phase and fresh signs depend */
  const mfq_tensor *weight;  /* [V, D] */
  mfq_indices indices;       /* n of them, 0 ... V - 1 */
  const mfq_tensor *y;       /* forward: where the rows go, [n, D] */
  const mfq_tensor *dy;      /* backward: their gradient, [n, D], */
  const mfq_tensor *dweight; /* and where that of the weight goes, [V, D], any dtype */
  int64_t padding;           /* as in mfq_scattering */
  int32_t accumulate;        /* likewise; not where gradients change on their way through the quantizer */
} mfq_embedding;

/* Fills `embedding` with NULL pointers, zeros, and a padding of -1. Since 0.1. */
MFQ_EXPORT void mfq_embedding_init(mfq_embedding *embedding);

/* Computes how many bytes of memory mfq_embed needs beside its tensors: 0 where the weight is plain, or where the scales of
 * each row follow from this row alone (groups along D, channels of axis 0, none) and y has the weight's dtype; n rows of
 * the weight's dtype for another y; otherwise V rows of y's dtype.
 * Errors: as mfq_embed. Since 0.1. */
MFQ_API mfq_status mfq_embedding_workspace_bytes(const mfq_embedding *embedding, size_t *bytes);

/* Writes y: the rows of what mfq_fake_quantize makes of the weight under the scheme of the recipe's fprop.w, whose axes are
 * of [V, D]: MFQ_AXIS_AUTO means D for groups, and for channels V.
 * Shapes: as above; V, D and n may be 0.
 * Numerics: those of mfq_fake_quantize and mfq_gather. Where the scales of each row follow from this row alone, and rounding
 *   is not stochastic, only the rows that are asked for are read and quantized: the same numbers.
 * Memory: `workspace` has `bytes` of memory on the device, at least those of mfq_embedding_workspace_bytes, aligned to 4;
 *   NULL where these are 0. y and the workspace must not overlap anything else.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, also for a recipe whose fprop.w keeps scales from step to step (delayed, collected, learned) or
 *   searches them, and for an index out of range as mfq_gather does; SHAPE; nothing is written then but the workspace. UNSUPPORTED for a
 *   quantizer that the device does not have, OUT_OF_MEMORY, DEVICE, all of which may leave rows in y.
 * Since 0.1. */
MFQ_API mfq_status mfq_embed(mfq_context *context, const mfq_embedding *embedding, void *workspace, size_t bytes);

/* Writes the gradient of the weight: mfq_scatter_add of dy, and mfq_fake_quantize_backward of that under the recipe's ste and
 * through_scale, where it is not the identity. The weight must be as it was for mfq_embed.
 * Shapes: as above.
 * Numerics: of these two; the sum is rounded to dweight's dtype before it goes through the quantizer.
 * Memory: dweight must not overlap anything else.
 * Async: as in mfq/quantize.h.
 * Errors: as mfq_embed, and INVALID_ARGUMENT for `accumulate` where gradients change on their way through the quantizer.
 * Since 0.1. */
MFQ_API mfq_status mfq_embed_backward(mfq_context *context, const mfq_embedding *embedding);

#ifdef __cplusplus
}
#endif

#endif
