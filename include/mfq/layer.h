/* mfq/layer.h: linear layers and convolutions with quantizers: planned once, run forward and backward as a recipe says.
 *
 *   mfq_layer_create(ctx, &options, &layer)     shapes, parameters and the recipe
 *   mfq_layer_forward(layer, &x, &y)            y = x w^T + bias, of quantized operands
 *   mfq_layer_backward(layer, &gradients)       dx, dweight, dbias from dy, and the gradients of learned scales
 *
 * Parameters are the caller's memory, which an optimizer of any kind updates between runs. A layer has what belongs to
 * quantizers: scales that are collected or learned, histories, the step that random bits follow from, and the quantized
 * operands that backward needs again. Embeddings, which multiply nothing, are in mfq/embedding.h. */
#ifndef MFQ_LAYER_H
#define MFQ_LAYER_H

#include <mfq/conv.h>
#include <mfq/recipe.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a layer computes. Since 0.1. */
typedef enum mfq_layer_kind {
  MFQ_LAYER_LINEAR = 0, /* x [..., K], weight [N, K], bias [N], y [..., N] */
  MFQ_LAYER_CONV = 1    /* as MFQ_CONV_FORWARD: 1, 2 or 3 spatial axes, transposed, grouped and depthwise ones too */
} mfq_layer_kind;

/* What backward finds of forward. Since 0.1. */
typedef enum mfq_keep {
  MFQ_KEEP_OPERANDS = 0, /* operands of x and w that backward needs are quantized by forward, and kept as codes */
  MFQ_KEEP_NOTHING = 1   /* backward quantizes x and w again: the same numbers, from the x that it is given */
} mfq_keep;

/* Whether runs are steps of a training. Since 0.1. */
typedef enum mfq_layer_mode {
  MFQ_LAYER_TRAIN = 0, /* forward counts a step, collects statistics, and keeps what backward needs */
  MFQ_LAYER_EVAL = 1   /* forward alone: nothing is kept or counted; mfq_layer_set_mode quantizes the weight anew */
} mfq_layer_mode;

/* A layer. Filled by mfq_layer_options_init; set what you need. What it points at is copied, but for the memory of weight
 * and bias, which must outlive the layer. Since 0.1. */
typedef struct mfq_layer_options {
  size_t struct_size;
  const char *name; /* in sentences and files; NULL: "layer" */
  mfq_layer_kind kind;
  /* CONV: layout, transposed, same_padding, groups, stride, dilation, padding; the rest is not read; NULL: what mfq_conv_init
   * says. */
  const mfq_conv *conv;
  const mfq_recipe *recipe; /* NULL: no quantizer anywhere */
  /* Like those of the runs: dtypes, shapes, strides; data tell how memory is aligned, NULL: to 256. Runs with memory that is
   * aligned worse plan again. */
  const mfq_tensor *x, *y;
  const mfq_tensor *weight; /* with its data, which runs read */
  const mfq_tensor *bias;   /* likewise; NULL: none */
  mfq_keep keep;
  uint64_t seed; /* of random bits; every layer of a network its own */
  /* 1: runs look for NaN and infinities in x and dy first, wait for the device, and refuse them with layer and step. */
  int32_t watch;
} mfq_layer_options;

/* Fills `options` with NULL pointers and zeros: a linear layer without quantizers. Since 0.1. */
MFQ_EXPORT void mfq_layer_options_init(mfq_layer_options *options);

/* A layer for one shape: another batch size is a layer of its own over the same weight, to which mfq_layer_tensor_read and
 * mfq_layer_state_print carry what the first has collected. One thread at a time may use it. Since 0.1. */
typedef struct mfq_layer mfq_layer;

/* Plans a layer.
 * Shapes: LINEAR: x has any rank from 1 on, and the axes before the last one merge to rows without a copy; CONV as in
 *   mfq/conv.h. Any sizes, 0 included.
 * Numerics: docs/numerics.md, "Layers". Operands are the codes of the recipe's schemes, multiplied as mfq_gemm_run and
 *   mfq_conv_run do under the context's policy; where a product cannot take the scales out of its sums, the values of the
 *   codes are multiplied. Under MFQ_REPRODUCIBLE forward and backward have the same bits on every backend.
 * Memory: allocates what mfq_layer_memory_get tells, on the context's device.
 * Errors: INVALID_ARGUMENT, also for a recipe that mfq_recipe_check refuses; SHAPE; UNSUPPORTED for a quantizer that the
 *   device does not have, with its place and what is missing, for an x whose axes do not merge, and while the context's
 *   stream is being captured; OUT_OF_MEMORY, DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_layer_create(mfq_context *context, const mfq_layer_options *options, mfq_layer **layer);
/* Frees a layer once its work is done; NULL is allowed. It must go before its context. Since 0.1. */
MFQ_EXPORT void mfq_layer_destroy(mfq_layer *layer);
/* Returns lines that say how each product's operands are made, and the way of each product; valid while the layer lives,
 * until the next step that switches the recipe's phase. Since 0.1. */
MFQ_EXPORT const char *mfq_layer_describe(const mfq_layer *layer);
/* The name in the options. Since 0.1. */
MFQ_EXPORT const char *mfq_layer_name(const mfq_layer *layer);

/* Sets the mode; a new layer is in MFQ_LAYER_TRAIN. The weight is quantized by the first forward in MFQ_LAYER_EVAL, and
 * again only after the next call of this function: call it when the weight has changed. Since 0.1. */
MFQ_API mfq_status mfq_layer_set_mode(mfq_layer *layer, mfq_layer_mode mode);

/* Returns how many steps were taken: calls of mfq_layer_forward in MFQ_LAYER_TRAIN. Since 0.1. */
MFQ_EXPORT int64_t mfq_layer_step(const mfq_layer *layer);
/* Sets it: a training goes on from there, with a forward. Errors: INVALID_ARGUMENT for a negative one. Since 0.1. */
MFQ_API mfq_status mfq_layer_set_step(mfq_layer *layer, int64_t step);

/* Writes y from x. x may be NULL where its codes are there (mfq_layer_target_get).
 * Shapes: those of the options, strides too.
 * Memory: y must not overlap x, weight or bias.
 * Async: as in mfq/quantize.h, but that the first step of a phase plans and allocates.
 * Errors: INVALID_ARGUMENT, SHAPE; INVALID_ARGUMENT also for what options.watch refuses; OUT_OF_MEMORY, DEVICE; nothing
 *   is written then, and the step does not count.
 * Since 0.1. */
MFQ_API mfq_status mfq_layer_forward(mfq_layer *layer, const mfq_tensor *x, const mfq_tensor *y);

/* What mfq_layer_backward reads and writes. Filled by mfq_layer_gradients_init; set what you need. Since 0.1. */
typedef struct mfq_layer_gradients {
  size_t struct_size;
  const mfq_tensor
      *dy; /* like y: the gradient of what forward wrote; NULL: its codes are there (mfq_layer_target_get) */
  const mfq_tensor *x;       /* what forward had; NULL: it is not needed, which mfq_layer_needs_x tells */
  const mfq_tensor *dx;      /* like x; NULL: not wanted, as in a first layer */
  const mfq_tensor *dweight; /* the shape of weight, any dtype; NULL: not wanted */
  const mfq_tensor *dbias;   /* likewise of bias */
  int32_t accumulate;        /* 1: dweight and dbias are added to what is there; not where gradients change on their way
                                through the quantizer of weight or bias */
} mfq_layer_gradients;

/* Fills `gradients` with NULL pointers and zeros. Since 0.1. */
MFQ_EXPORT void mfq_layer_gradients_init(mfq_layer_gradients *gradients);
/* Returns 1 when backward reads x, which it asks for then whatever it is to write. Since 0.1. */
MFQ_EXPORT int mfq_layer_needs_x(const mfq_layer *layer);

/* Writes the gradients of the last forward's x, of weight and bias, and of learned scales (mfq_layer_tensor), which the
 * recipe's wgrad and dgrad compute from dy. The weight must be as it was for forward.
 * Shapes: those of the options, strides of x and dy too.
 * Numerics: docs/numerics.md, "Layers". What is NULL is not computed; without dx neither is the gradient of a learned scale
 *   of fprop.x, nor without dweight that of fprop.w. May be called again: the bits are the same.
 * Memory: nothing that is written may overlap anything else.
 * Async: as mfq_layer_forward; for gradients of another dtype or strides than the last ones it plans again.
 * Errors: INVALID_ARGUMENT, also where the last call of the layer but for backward was no forward in MFQ_LAYER_TRAIN,
 *   without an x that is needed, and for what options.watch refuses; SHAPE; OUT_OF_MEMORY, DEVICE; nothing is written then.
 * Since 0.1. */
MFQ_API mfq_status mfq_layer_backward(mfq_layer *layer, const mfq_layer_gradients *gradients);

/* ---- Quantized operands ------------------------------------------------------------------------------------------ */

/* Quantizes the weight as the next forward will, and shows it: Brevitas' layer.quant_weight(). `q` has memory of the layer's,
 * until its next call. Of a convolution by blocks it has the axes that docs/numerics.md names. Collects nothing; backward
 * needs a new forward then.
 * Errors: INVALID_ARGUMENT for a recipe whose weight is plain there. Since 0.1. */
MFQ_API mfq_status mfq_layer_quant_weight(mfq_layer *layer, mfq_qtensor *q);
/* Likewise of an input: Brevitas' layer.input_quant(x). Since 0.1. */
MFQ_API mfq_status mfq_layer_input_quant(mfq_layer *layer, const mfq_tensor *x, mfq_qtensor *q);

/* ---- Operands that others write ---------------------------------------------------------------------------------- */

/* An operand of a layer's products. Since 0.1. */
typedef enum mfq_layer_operand {
  MFQ_LAYER_OPERAND_X = 0,
  MFQ_LAYER_OPERAND_WEIGHT = 1,
  MFQ_LAYER_OPERAND_DY = 2
} mfq_layer_operand;

/* Where a function that quantizes, such as mfq_quantize, writes an operand as codes, so that the layer neither reads nor
 * quantizes it: codes, scales, zero points and tensor scale are memory of the layer's, and all of them are to be written.
 * `row` is the operand of the first of its products, `col` that of the other one: fprop.x and wgrad.x, fprop.w and dgrad.w,
 * dgrad.dy and wgrad.dy. They have the axes of mfq_layer_quant_weight: of a linear layer rows and features. Since 0.1. */
typedef struct mfq_layer_target {
  mfq_qtensor row, col;
  int32_t has_row, has_col; /* which of them there are; codes that both products have are one of the two */
  int32_t needs_plain; /* 1: a product, a gradient on its way back or options.watch reads the tensor itself as well */
} mfq_layer_target;

/* Fills `target` and, but for MFQ_LAYER_OPERAND_WEIGHT, has its codes taken as they are:
 *   X: by the next forward, whose x may be NULL then unless needs_plain is 1;
 *   DY: by the backwards until the next forward; dy may be NULL unless needs_plain is 1 or dbias is wanted, which is the sum
 *     of the tensor itself;
 *   WEIGHT: by every forward from now on. They are those of the weight as it is, and who changes the weight (an optimizer)
 *     writes them too. mfq_layer_tensor_write has the next call of forward quantize it
 *     once more; one that was captured before does not: call this function again, which does.
 * Codes that are not written are what was there before. mfq_layer_set_mode, mfq_layer_set_step, mfq_layer_input_quant,
 * mfq_layer_quant_weight and what reads a file end it for X and DY.
 * Memory: the same until the layer goes, or until the first call for a step of another phase of the recipe, whose first
 *   forward quantizes what it is not given anew. The first call for an operand allocates; for X and WEIGHT backward needs a
 *   new forward then.
 * Async: as in mfq/quantize.h, but for the first call.
 * Errors: INVALID_ARGUMENT; UNSUPPORTED where the layer must quantize the tensor itself, with the place and why: no quantizer
 *   there, scales that are delayed, collected, learned or searched, `again`, random bits and signs that follow from the
 *   step, MFQ_KEEP_NOTHING (X, WEIGHT), a quantized y that changes dy on its way back; OUT_OF_MEMORY, DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_layer_target_get(mfq_layer *layer, mfq_layer_operand which, mfq_layer_target *target);

/* ---- Memory and state -------------------------------------------------------------------------------------------- */

/* What a layer has allocated on its device, in bytes. Since 0.1. */
typedef struct mfq_layer_memory {
  size_t state;  /* scales, statistics, histories */
  size_t weight; /* the codes of the weight in fprop, which evaluation keeps, and backward where the recipe says same */
  size_t kept;   /* besides from forward to backward */
  size_t workspace;   /* while a run runs */
  size_t activations; /* the part of `kept` that follows from x: its codes, and y before its quantizer; where
                         mfq_layer_needs_x tells so, the caller keeps x besides */
} mfq_layer_memory;

/* Fills `memory`. Since 0.1. */
MFQ_API mfq_status mfq_layer_memory_get(const mfq_layer *layer, mfq_layer_memory *memory);

/* A tensor of a layer: its parameters, and what its quantizers have learned or collected. Since 0.1. */
typedef struct mfq_layer_tensor {
  const char *name;    /* "weight", "bias", "fprop.x.scale", "fprop.x.collected", "dgrad.dy.history" */
  mfq_tensor tensor;   /* on the device: the caller's, or f32 and the layer's */
  int32_t is_learned;  /* 1: weight, bias and learned scales: what an optimizer updates */
  mfq_tensor gradient; /* of a learned scale: what backward writes; otherwise data is NULL */
} mfq_layer_tensor;

/* Fills `tensor` for tensor `index` (0, 1, ...), all of the recipe's phases. Errors: INVALID_ARGUMENT beyond the last one.
 * Since 0.1. */
MFQ_API mfq_status mfq_layer_tensor_get(const mfq_layer *layer, int32_t index, mfq_layer_tensor *tensor);
/* Returns how many there are. Since 0.1. */
MFQ_EXPORT int32_t mfq_layer_tensor_count(const mfq_layer *layer);
/* Copies tensor `index` to memory of the host, or from there, dense and in its own dtype. Waits for the device.
 * Errors: INVALID_ARGUMENT for another number of bytes; UNSUPPORTED for a parameter on a GPU that is not dense; DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_layer_tensor_read(mfq_layer *layer, int32_t index, void *host, size_t bytes);
MFQ_API mfq_status mfq_layer_tensor_write(mfq_layer *layer, int32_t index, const void *host, size_t bytes);

/* Bytes that hold the state of any layer as text, with its terminating NUL. Since 0.1. */
#define MFQ_LAYER_STATE_MAX (MFQ_RECIPE_TEXT_MAX + 512)

/* Writes what a layer has beside its tensors as a line: "mfq-layer:1 step=12 seed=7 fprop.x=12 recipe=..."; with the tensors it
 * is all that a training needs to go on with the same bits. Since 0.1. */
MFQ_API mfq_status mfq_layer_state_print(const mfq_layer *layer, char *text, size_t capacity);
/* Reads such a line into a layer of the same recipe. Errors: PARSE for a line of another version, and for what is none;
 * INVALID_ARGUMENT for one of another recipe; the layer is unchanged then. Since 0.1. */
MFQ_API mfq_status mfq_layer_state_parse(mfq_layer *layer, const char *text);

#ifdef __cplusplus
}
#endif

#endif
