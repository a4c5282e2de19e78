/* mfq/conv.h: convolutions of quantized tensors and their gradients: planned once, run often.
 *
 *   MFQ_CONV_FORWARD          result = activation(alpha * (input * weight) + beta * c + bias)   the layer's output
 *   MFQ_CONV_INPUT_GRADIENT   result = alpha * (output_gradient * weight) + beta * c            the input's gradient
 *   MFQ_CONV_WEIGHT_GRADIENT  result = alpha * (input * output_gradient) + beta * c             the weight's gradient
 *
 * 1, 2 or 3 spatial axes: as many as the tensors have beside batch and channels. As in deep learning the filter is not
 * mirrored. Plans are those of mfq/gemm.h in every respect that is not said here. */
#ifndef MFQ_CONV_H
#define MFQ_CONV_H

#include <mfq/gemm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Spatial axes at most. Since 0.1. */
#define MFQ_CONV_MAX_SPATIAL 3

/* Which of three tensors is computed from the other two. Since 0.1. */
typedef enum mfq_conv_direction {
  MFQ_CONV_FORWARD = 0,        /* from input and weight; sums over the input channels of a group and the filter */
  MFQ_CONV_INPUT_GRADIENT = 1, /* from output_gradient and weight; over the output channels of a group and the filter */
  MFQ_CONV_WEIGHT_GRADIENT = 2 /* from input and output_gradient; over batch and pixels */
} mfq_conv_direction;

/* The order of axes. C input channels, K output channels, `...` the spatial axes. Other orders in memory, such as
 * channels-last memory under channels-first shapes, are a matter of strides, and of mfq_layout.codes. Since 0.1. */
typedef enum mfq_conv_layout {
  MFQ_CONV_CHANNELS_FIRST = 0, /* input [N, C, ...], weight [K, C/groups, ...], output [N, K, ...] */
  MFQ_CONV_CHANNELS_LAST = 1   /* input [N, ..., C], weight [K, ..., C/groups], output [N, ..., K] */
} mfq_conv_layout;

/* A convolution. Filled by mfq_conv_init; set what you need. Arrays have an entry for each spatial axis, in the order
 * of the shape; entries beyond are not read. The same description makes the plan and runs it; at planning, data
 * pointers only tell how memory is aligned, and NULL stands for memory aligned to 256 bytes. Since 0.1. */
typedef struct mfq_conv {
  size_t struct_size;
  mfq_conv_direction direction;
  mfq_conv_layout layout;
  int32_t transposed;   /* 1: a transposed convolution: weight [C, K/groups, ...], channels last [C, ..., K/groups] */
  int32_t same_padding; /* 1: as much padding as makes ceil(input / stride) outputs, the odd element behind; not with
                           `padding`, `padding_after` or `transposed` */
  int64_t groups;       /* of channels, which see each other only; C: depthwise */
  int64_t stride[MFQ_CONV_MAX_SPATIAL];
  int64_t dilation[MFQ_CONV_MAX_SPATIAL];
  int64_t padding[MFQ_CONV_MAX_SPATIAL];       /* zeros before the first element; transposed: what is cut off */
  int64_t padding_after[MFQ_CONV_MAX_SPATIAL]; /* and behind the last one; -1: as many as before */
  mfq_operand input;                           /* FORWARD, WEIGHT_GRADIENT */
  mfq_operand weight;                          /* FORWARD, INPUT_GRADIENT */
  mfq_operand output_gradient;                 /* both gradients */
  const mfq_tensor *c;                         /* like the result; NULL: none */
  const mfq_tensor *bias;                      /* [K], FORWARD only; NULL: none */
  const float *alpha;                          /* NULL: 1 */
  const float *beta;                           /* NULL: 1; with the value 0, c is not read */
  int32_t device_scalars;                      /* 1: alpha and beta lie on the context's device */
  mfq_activation activation;                   /* FORWARD only */
  const mfq_tensor *result;                    /* where the result goes, */
  const mfq_qtensor *quantized_result;         /* or the result quantized; exactly one of the two */
  int32_t round_operands;                      /* 1: values that bf16 does not hold may be rounded; MFQ_FAST only */
  int32_t own_workspace; /* 1: the plan allocates its workspace; one thread at a time may run it */
} mfq_conv;

/* Fills `conv` with NULL pointers, zeros, groups, stride and dilation 1, and padding_after -1. Since 0.1. */
MFQ_EXPORT void mfq_conv_init(mfq_conv *conv);

/* Computes the shape of the layer's output from the shapes of `input` and `weight`; nothing else of the operands is
 * read. Of a transposed convolution it is the smallest one: up to stride - 1 more may be asked for ("output padding").
 * Shapes: an axis has floor((input + padding - dilation * (filter - 1) - 1) / stride) + 1 outputs; transposed
 *   (input - 1) * stride - padding + dilation * (filter - 1) + 1, padding being that on both sides.
 * Errors: as mfq_conv_plan_create.
 * Since 0.1. */
MFQ_API mfq_status mfq_conv_output_shape(const mfq_conv *conv, int32_t *rank, int64_t *shape);

/* What was chosen for one convolution. Immutable: any number of threads may run it at once, each with a workspace of
 * its own. It belongs to its context, and must go before it. Since 0.1. */
typedef struct mfq_conv_plan mfq_conv_plan;

/* Plans a convolution.
 * Shapes: rank 3, 4 or 5. Any sizes, 0 included, at most 2^46 elements a tensor. A filter that is larger than the
 *   padded input is refused.
 * Numerics: zeros of the padding are exact, whatever the zero point. An operand's scale may stand for the whole operand,
 *   each channel along an axis that is not summed over (batch, or the channels of the result), or groups along the axis
 *   that is: the channel axis for FORWARD (the weight's axis of C/groups) and INPUT_GRADIENT (the weight's axis of K),
 *   the batch or any spatial axis for WEIGHT_GRADIENT. Groups follow the operand's own axis; those of x may straddle
 *   groups of channels. In `quantize_to`, MFQ_AXIS_AUTO means for groups that axis (WEIGHT_GRADIENT: the last spatial
 *   one), for channels the axis that is not summed over. MFQ_REPRODUCIBLE takes the taps of the filter in row-major
 *   order, in each the channels in runs of at most 32, or, for WEIGHT_GRADIENT, images, output rows, and pixels of a row
 *   in such runs; a run also ends where a scale does, is exact, and rounded once (docs/numerics.md, "Convolutions").
 *   MFQ_FAST multiplies the same values, exactly widened, with sums in f32 in an order of the chosen way.
 * Memory: allocates the plan, and its workspace with own_workspace.
 * Errors: INVALID_ARGUMENT for NULL, fields out of their range, operands that the direction does not have; SHAPE for a
 *   wrong rank, shapes that do not fit each other, groups that do not divide the channels, an empty or negative output,
 *   too many elements; UNSUPPORTED for scales along another axis than this direction can factor out (blocks; channels
 *   of the weight that groups of the result share), for quantize_to with MFQ_RULE_GIVEN, and while the context's stream
 *   is being captured; OUT_OF_MEMORY, DEVICE.
 * Since 0.1. */
MFQ_API mfq_status mfq_conv_plan_create(mfq_context *context, const mfq_conv *conv, mfq_conv_plan **plan);
/* Frees a plan; NULL is allowed. On CUDA, waits for its runs when it owns the workspace. Since 0.1. */
MFQ_EXPORT void mfq_conv_plan_destroy(mfq_conv_plan *plan);
/* Returns which way was chosen, and for each faster one why not; valid while the plan lives. Since 0.1. */
MFQ_EXPORT const char *mfq_conv_plan_describe(const mfq_conv_plan *plan);
/* Returns the bytes of workspace that each run needs, on the context's device, aligned to 256; 0 for a plan that owns
 * its workspace, or needs none. Since 0.1. */
MFQ_EXPORT size_t mfq_conv_workspace_bytes(const mfq_conv_plan *plan);

/* Runs a plan on `conv`, which has the shapes, strides and schemes that the plan was made for, and memory that is
 * aligned as well.
 * Memory, Async, Errors: as mfq_gemm_run; the result may be c itself with equal strides.
 * Since 0.1. */
MFQ_API mfq_status mfq_conv_run(mfq_context *context, const mfq_conv_plan *plan, const mfq_conv *conv, void *workspace,
                                size_t workspace_bytes);

#ifdef __cplusplus
}
#endif

#endif
