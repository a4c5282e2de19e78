/* mfq/produce.h: what stands between products: normalization, activations, softmax, rotary embedding, loss. Results are
 * plain tensors, codes, or both, from one read: the codes are those that mfq_quantize makes of the float32 results.
 *
 *   mfq_norm_forward          RMSNorm, LayerNorm, with the sum of a residual stream      mfq_norm_backward
 *   mfq_activation_forward    ReLU, GELU, SiLU, and gated: SwiGLU, GeGLU, ...           mfq_activation_backward
 *   mfq_softmax_forward       rows of attention, causal or not                          mfq_softmax_backward
 *   mfq_rotary                rotary position embedding, its own backward with `inverse`
 *   mfq_cross_entropy         the loss of rows of logits, and its gradient
 *
 * Of all functions here: a tensor [..., D] is rows of D elements. Tensors have any dtype and strides, unless it says f32;
 * sizes may be 0. Every element is computed in float32, by single IEEE operations in the order of docs/numerics.md,
 * "Producers", sums by a fixed tree: equal bits on every device and for any number of threads. What is written is rounded to
 * nearest even once; what is too large for f16 becomes infinite, NaN is 7fc00000 as float32. Async: as in mfq/quantize.h,
 * but that on CUDA codes that no fast way makes (docs/architecture.md) take float32 scratch memory, which a context keeps: a
 * call that needs more of it allocates, and is UNSUPPORTED while the stream is being captured. */
#ifndef MFQ_PRODUCE_H
#define MFQ_PRODUCE_H

#include <mfq/embedding.h>
#include <mfq/gemm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where results go. At least one is not NULL. Since 0.1. */
typedef struct mfq_outputs {
  const mfq_tensor *plain; /* any dtype */
  const mfq_qtensor *row;  /* as for mfq_quantize, of the float32 results before they are rounded to `plain` */
  const mfq_qtensor *col;
} mfq_outputs;

/* ---- Normalization ----------------------------------------------------------------------------------------------- */

/* What is normalized by. Since 0.1. */
typedef enum mfq_norm_kind {
  MFQ_NORM_RMS = 0,  /* y = h / sqrt(mean of h^2 + epsilon) */
  MFQ_NORM_LAYER = 1 /* y = (h - mean) / sqrt(mean of (h - mean)^2 + epsilon) */
} mfq_norm_kind;

/* RMSNorm and LayerNorm of h = x + residual. Filled by mfq_norm_init; set what you need. Since 0.1. */
typedef struct mfq_norm {
  size_t struct_size;
  mfq_norm_kind kind;
  float epsilon;              /* finite, 0 or more */
  const mfq_tensor *x;        /* [..., D] */
  const mfq_tensor *residual; /* like x; NULL: h is x */
  const mfq_tensor *sum;      /* where h goes, and what is normalized is what it holds then; NULL: nowhere */
  const mfq_tensor *gain;     /* [D], times the result; NULL: 1 */
  const mfq_tensor *shift;    /* [D], added last; NULL: nothing */
  const mfq_tensor *mean;  /* f32, one a row, for mfq_norm_backward: written; NULL: nowhere; only of MFQ_NORM_LAYER */
  const mfq_tensor *scale; /* f32, one a row, likewise: 1 / sqrt(...) */
  mfq_outputs y;           /* like x */
} mfq_norm;

/* Fills `norm` with NULL pointers, MFQ_NORM_RMS and an epsilon of 1e-5. Since 0.1. */
MFQ_EXPORT void mfq_norm_init(mfq_norm *norm);

/* Writes y = (h - mean) * scale * gain + shift, and what else is asked for.
 * Shapes: residual, sum and y have the shape of x, gain and shift its last axis, mean and scale the others.
 * Numerics: docs/numerics.md, "Producers". A row with a NaN becomes NaN, and one with an infinity: all of it with a mean;
 *   without, the infinity itself, and the others 0.
 * Memory: sum may be the memory of x or residual, and so may y.plain: same dtype and strides; otherwise what is written must
 *   not overlap anything else. Scratch memory is the context's: a float32 of each result where there are codes.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, SHAPE, UNSUPPORTED for codes that the device's mfq_quantize does not make, OUT_OF_MEMORY,
 *   DEVICE; nothing is written then.
 * Since 0.1. */
MFQ_API mfq_status mfq_norm_forward(mfq_context *context, const mfq_norm *norm);

/* The backward of a norm. Filled by mfq_norm_gradient_init; set what you need. Since 0.1. */
typedef struct mfq_norm_gradient {
  size_t struct_size;
  mfq_norm_kind kind;
  const mfq_tensor *dy;             /* the gradient of y, [..., D] */
  const mfq_tensor *h;              /* what was normalized: x, or sum */
  const mfq_tensor *gain;           /* as in forward */
  const mfq_tensor *mean, *scale;   /* as forward left them; mean only of MFQ_NORM_LAYER */
  const mfq_tensor *dresidual;      /* a gradient that reaches h past the norm, added to dx; NULL: none */
  const mfq_tensor *dgain, *dshift; /* [D]: where their gradients go; NULL: nowhere */
  int32_t accumulate;               /* 1: dgain and dshift are added to what is there */
  mfq_outputs dx;                   /* the gradient of h; nothing of it where dgain or dshift alone are wanted */
} mfq_norm_gradient;

/* Fills `gradient` with NULL pointers and zeros: MFQ_NORM_RMS. Since 0.1. */
MFQ_EXPORT void mfq_norm_gradient_init(mfq_norm_gradient *gradient);

/* Writes the gradients of h, gain and shift.
 * Shapes: h, dresidual and dx have the shape of dy, gain, dgain and dshift its last axis, mean and scale the others.
 * Numerics: docs/numerics.md, "Producers". dgain and dshift are sums over all rows, and with `accumulate` one addition to
 *   what is there, before they are rounded.
 * Memory: dx.plain may be the memory of dy, h or dresidual: same dtype and strides; otherwise as mfq_norm_forward.
 * Async: as in mfq/quantize.h.
 * Errors: as mfq_norm_forward.
 * Since 0.1. */
MFQ_API mfq_status mfq_norm_backward(mfq_context *context, const mfq_norm_gradient *gradient);

/* ---- Activations ------------------------------------------------------------------------------------------------- */

/* Where the two of a gated activation stand in a row of 2 D elements; y = activation(gate) * up. Since 0.1. */
typedef enum mfq_gate {
  MFQ_GATE_NONE = 0,
  MFQ_GATE_HALVES = 1,     /* D gates, then D ups */
  MFQ_GATE_INTERLEAVED = 2 /* gate, up, gate, up, ... */
} mfq_gate;

/* An activation. Filled by mfq_activating_init; set what you need. Since 0.1. */
typedef struct mfq_activating {
  size_t struct_size;
  mfq_activation activation; /* MFQ_ACTIVATION_NONE too: a gate without one is a product, x without one is copied */
  mfq_gate gate;
  float limit;         /* gated: the gate is at most this, and up within +-this, before all else; 0: no limit */
  float slope;         /* SILU: x / (1 + exp(-slope * x)), 2^-10 ... 2^10; otherwise 1. gpt-oss: 1.702 */
  float offset;        /* gated: added to up. gpt-oss: 1 */
  const mfq_tensor *x; /* [..., D], gated [..., 2 D] */
  mfq_outputs y;       /* [..., D] */
} mfq_activating;

/* Fills `activating` with NULL pointers, zeros and a slope of 1. Since 0.1. */
MFQ_EXPORT void mfq_activating_init(mfq_activating *activating);

/* Writes y = activation(x), or activation(gate) * (up + offset).
 * Shapes: as above.
 * Numerics: docs/numerics.md, "Producers"; of SILU with a slope of 1, GELU and GELU_TANH the bits that products have.
 * Memory: without a gate y.plain may be the memory of x: same dtype and strides; otherwise what is written must not overlap
 *   anything else. Scratch memory as for mfq_norm_forward.
 * Async: as in mfq/quantize.h.
 * Errors: as mfq_norm_forward; INVALID_ARGUMENT also for a limit or an offset without a gate, and a slope without SILU.
 * Since 0.1. */
MFQ_API mfq_status mfq_activation_forward(mfq_context *context, const mfq_activating *activating);

/* The backward of an activation; with MFQ_ACTIVATION_NONE and no gate that of a bias alone. Filled by
 * mfq_activating_gradient_init; set what you need. Since 0.1. */
typedef struct mfq_activating_gradient {
  size_t struct_size;
  mfq_activation activation; /* this and the next four as in forward */
  mfq_gate gate;
  float limit, slope, offset;
  const mfq_tensor *x;     /* as in forward; not read, and may be NULL, without activation and gate */
  const mfq_tensor *dy;    /* the gradient of y, [..., D] */
  const mfq_tensor *dbias; /* where the sums of dx over all rows go, [D], gated [2 D]; NULL: nowhere */
  int32_t accumulate;      /* 1: dbias is added to what is there */
  mfq_outputs dx;          /* like x; nothing of it where dbias alone is wanted */
} mfq_activating_gradient;

/* Fills `gradient` with NULL pointers, zeros and a slope of 1. Since 0.1. */
MFQ_EXPORT void mfq_activating_gradient_init(mfq_activating_gradient *gradient);

/* Writes dx = dy * the derivative at x, and the sums of its columns.
 * Shapes: as above.
 * Numerics: docs/numerics.md, "Producers". RELU has the derivative 0 at 0; what a limit cuts off has the gradient 0, what is
 *   equal to a limit passes. A NaN in x gives NaN, where there is an activation and no gate.
 * Memory: without a gate dx.plain may be the memory of x or dy: same dtype and strides; otherwise as
 *   mfq_activation_forward.
 * Async: as in mfq/quantize.h.
 * Errors: as mfq_activation_forward.
 * Since 0.1. */
MFQ_API mfq_status mfq_activation_backward(mfq_context *context, const mfq_activating_gradient *gradient);

/* ---- Softmax ----------------------------------------------------------------------------------------------------- */

/* y = exp(scale * x - largest) / sum of a row. Filled by mfq_softmaxing_init; set what you need. Since 0.1. */
typedef struct mfq_softmaxing {
  size_t struct_size;
  float scale; /* finite */
  int32_t
      causal; /* 1: x is [..., R, C], and element j of row i is out where j > i + C - R: it counts nothing, y is 0 */
  const mfq_tensor *x; /* [..., D] */
  mfq_outputs y;       /* like x */
} mfq_softmaxing;

/* Fills `softmaxing` with NULL pointers, zeros and a scale of 1. Since 0.1. */
MFQ_EXPORT void mfq_softmaxing_init(mfq_softmaxing *softmaxing);

/* Writes y.
 * Shapes: as above.
 * Numerics: docs/numerics.md, "Producers". A row with a NaN or +infinity, or with nothing but -infinity, becomes NaN where
 *   it is in; a row of which nothing is in is 0.
 * Memory: y.plain may be the memory of x: same dtype and strides; otherwise as mfq_norm_forward.
 * Async: as in mfq/quantize.h.
 * Errors: as mfq_norm_forward.
 * Since 0.1. */
MFQ_API mfq_status mfq_softmax_forward(mfq_context *context, const mfq_softmaxing *softmaxing);

/* The backward of a softmax. Filled by mfq_softmaxing_gradient_init; set what you need. Since 0.1. */
typedef struct mfq_softmaxing_gradient {
  size_t struct_size;
  float scale;          /* as in forward */
  const mfq_tensor *y;  /* what forward gave, or its rounded form, [..., D] */
  const mfq_tensor *dy; /* like y */
  mfq_outputs dx;       /* like y */
} mfq_softmaxing_gradient;

/* Fills `gradient` with NULL pointers, zeros and a scale of 1. Since 0.1. */
MFQ_EXPORT void mfq_softmaxing_gradient_init(mfq_softmaxing_gradient *gradient);

/* Writes dx = scale * y * (dy - sum of y * dy).
 * Shapes: as above.
 * Numerics: docs/numerics.md, "Producers". Where y is 0, dx is 0, and dy counts nothing, NaN and infinity too: what was out of
 *   a causal softmax needs no mask here.
 * Memory: dx.plain may be the memory of y or dy: same dtype and strides; otherwise as mfq_norm_forward.
 * Async: as in mfq/quantize.h.
 * Errors: as mfq_norm_forward.
 * Since 0.1. */
MFQ_API mfq_status mfq_softmax_backward(mfq_context *context, const mfq_softmaxing_gradient *gradient);

/* ---- Rotary position embedding ----------------------------------------------------------------------------------- */

/* Pairs of elements of each head, turned by the angle of their token's position. Filled by mfq_rotating_init; set what you
 * need. Since 0.1. */
typedef struct mfq_rotating {
  size_t struct_size;
  const mfq_tensor *x;               /* [..., T, H, D]: tokens, heads, an even number of elements */
  const mfq_tensor *cosines, *sines; /* f32, [P, D / 2]: of each position and pair */
  mfq_indices positions;             /* of T tokens, or of all those of the axes before too; empty: 0, 1, ... T - 1 */
  int32_t interleaved;               /* 1: pairs are neighbours, 2 i and 2 i + 1; 0: i and i + D / 2 */
  int32_t inverse;                   /* 1: by the negative angle, which is the backward */
  const mfq_tensor *y;               /* like x */
} mfq_rotating;

/* Fills `rotating` with NULL pointers and zeros. Since 0.1. */
MFQ_EXPORT void mfq_rotating_init(mfq_rotating *rotating);

/* Writes y: of each pair (a, b) first a * cosine - b * sine, then b * cosine + a * sine.
 * Shapes: as above. Heads whose elements are turned in part are given as views of that part.
 * Numerics: two products and their difference or sum, in float32.
 * Memory: y may be x itself: same dtype and strides; otherwise it must not overlap anything else.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, on the CPU also for a position out of range, with its place and value: on a GPU, where nobody
 *   has seen it before, its token becomes NaN; SHAPE, OUT_OF_MEMORY, DEVICE; nothing is written then.
 * Since 0.1. */
MFQ_API mfq_status mfq_rotary(mfq_context *context, const mfq_rotating *rotating);

/* ---- Cross-entropy ----------------------------------------------------------------------------------------------- */

/* The loss of rows of logits. Filled by mfq_cross_entropy_loss_init; set what you need. Since 0.1. */
typedef struct mfq_cross_entropy_loss {
  size_t struct_size;
  const mfq_tensor *logits; /* [..., V] */
  mfq_indices targets;      /* a class of each row, 0 ... V - 1 */
  int64_t ignored;          /* rows of this target count nothing: their loss and their gradient are 0 */
  float smoothing;          /* 0 ... 1: this part of the target is spread evenly over all classes */
  float gradient_scale;     /* finite: the gradient is that of the mean loss, times this */
  const mfq_tensor *losses; /* f32, one a row; NULL: nowhere */
  const mfq_tensor *loss;   /* one f32: their mean over the rows that count, NaN if none does; NULL: nowhere */
  mfq_outputs dlogits;      /* like logits; nothing of it where losses or loss alone are wanted */
} mfq_cross_entropy_loss;

/* Fills `loss` with NULL pointers, zeros, -100 for `ignored` and a gradient scale of 1. Since 0.1. */
MFQ_EXPORT void mfq_cross_entropy_loss_init(mfq_cross_entropy_loss *loss);

/* Writes the losses, their mean, and the gradient of the mean.
 * Shapes: as above; losses have the axes of logits but for the last one.
 * Numerics: docs/numerics.md, "Producers". A row with a NaN or +infinity has the loss NaN and such a gradient.
 * Memory: dlogits.plain may be the memory of logits: same dtype and strides; otherwise as mfq_norm_forward.
 * Async: as in mfq/quantize.h.
 * Errors: as mfq_norm_forward; on the CPU INVALID_ARGUMENT also for a target out of range, with its place and value: on a
 *   GPU, where nobody has seen it before, loss and gradient of its row, and the mean, become NaN.
 * Since 0.1. */
MFQ_API mfq_status mfq_cross_entropy(mfq_context *context, const mfq_cross_entropy_loss *loss);

#ifdef __cplusplus
}
#endif

#endif
