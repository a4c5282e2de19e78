/* mfq/recipe.h: which quantizer stands where in the training of a layer, as data: recipes by name, and as text.
 *
 * A layer y = x w^T + bias has three products, and each has two operands:
 *
 *   fprop   y  = x  * w     sums over the input's features
 *   dgrad   dx = dy * w     over the output's features
 *   wgrad   dw = dy * x     over the rows: batch, tokens, pixels
 *
 * A recipe says for each of these six places how its operand is quantized, beside them how the result and the bias are,
 * and how gradients pass quantizers. */
#ifndef MFQ_RECIPE_H
#define MFQ_RECIPE_H

#include <mfq/fakequant.h>
#include <mfq/observe.h>
#include <mfq/search.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of arrays. Since 0.1. */
#define MFQ_RECIPE_TEXT_MAX 4096 /* bytes that hold any printed recipe, with its terminating NUL */
#define MFQ_RECIPE_PHASES 2

/* Where a quantizer stands. Since 0.1. */
typedef enum mfq_place {
  MFQ_PLACE_FPROP_X = 0,
  MFQ_PLACE_FPROP_W = 1,
  MFQ_PLACE_DGRAD_DY = 2,
  MFQ_PLACE_DGRAD_W = 3,
  MFQ_PLACE_WGRAD_DY = 4,
  MFQ_PLACE_WGRAD_X = 5,
  MFQ_PLACE_Y = 6,    /* the result: quantized and dequantized, behind the bias */
  MFQ_PLACE_BIAS = 7, /* likewise, before it is added */
  MFQ_PLACES = 8
} mfq_place;

/* What a place holds. Since 0.1. */
typedef enum mfq_take {
  MFQ_TAKE_PLAIN = 0,     /* the tensor as it is */
  MFQ_TAKE_QUANTIZED = 1, /* the tensor quantized */
  MFQ_TAKE_SAME = 2,      /* DGRAD_W, WGRAD_X: the numbers that fprop had; WGRAD_DY: that dgrad had; nowhere else */
  MFQ_TAKE_AGAIN = 3      /* likewise, but these numbers quantized once more */
} mfq_take;

/* Where the scales of a quantizer come from. Since 0.1. */
typedef enum mfq_scaling {
  MFQ_SCALING_DYNAMIC = 0,   /* from the tensor itself, each time */
  MFQ_SCALING_DELAYED = 1,   /* from the largest magnitude of the `steps` tensors before; 1 at first */
  MFQ_SCALING_COLLECTED = 2, /* from each tensor's statistic; from the mean of the first `steps` ones on these stay */
  MFQ_SCALING_LEARNED = 3    /* likewise, and are parameters from then on; steps 0: from the first tensor's on */
} mfq_scaling;

/* One quantizer. Axes: MFQ_AXIS_AUTO means for groups the axis that the product sums over, for channels the other one;
 * of the result and the bias the features. Blocks are of rows and features, of weights of both features; in convolutions
 * of the pixels of an image and its channels, of weights for each tap of the filter. Since 0.1. */
typedef struct mfq_quantizer {
  mfq_take take;
  /* DYNAMIC unless QUANTIZED. DELAYED with one f32 scale for the tensor; LEARNED at FPROP_X, FPROP_W, Y and BIAS alone, with
   * f32 scales and without zero points. */
  mfq_scaling scaling;
  /* QUANTIZED, AGAIN; otherwise all 0. Its rule is never GIVEN: it makes the scales. With scales, and without rotation and
   * eden, where scaling is not DYNAMIC. */
  mfq_scheme scheme;
  int32_t steps; /* DELAYED: 1 ... 65536; COLLECTED: 1 or more; LEARNED: 0 or more; DYNAMIC: 0 */
  /* COLLECTED, LEARNED: the statistic, with zero points MINMAX or INTERVAL, whose low end these follow; otherwise all 0,
   * which is absmax. */
  mfq_observer observer;
  /* 1: the scales are searched by `search`, which takes the scheme (mfq/search.h); DYNAMIC, operands of products only */
  int32_t searched;
  mfq_search_method search; /* 0 unless searched */
  /* 1: the signs of a rotation change from step to step, their seed being the scheme's plus the step; likewise. */
  int32_t fresh_signs;
} mfq_quantizer;

/* What holds for a stretch of the training. Since 0.1. */
typedef struct mfq_phase {
  mfq_quantizer places[MFQ_PLACES];
  /* How gradients pass the quantizers of x, w, y and bias. BREVITAS: w and bias of integers whose scales are not learned
   * have IDENTITY, as its TensorClampSte. */
  mfq_ste ste;
  int32_t through_scale; /* 1: what measured scales send back is part of the gradients; always with BREVITAS */
} mfq_phase;

/* A recipe. Text form: a name of recipes.def or settings, separated by ';', each of which changes what came before:
 *   mxfp8    mxfp8;wgrad=none    nvfp4;switch=9000;mxfp8    all=mxfp8_e4m3;dy=mxfp8_e5m2
 *   x=int8_tensor;w=int8_channel;dgrad.w=same;wgrad.x=same;ste=clipped
 *   places       fprop.x fprop.w dgrad.dy dgrad.w wgrad.dy wgrad.x y bias; fprop, dgrad, wgrad: both operands; x, w, dy:
 *                the tensor in both of its products; all: all six
 *   quantizers   none, same, or a scheme, before which words may stand, each with '|' behind it: again, delayed:STEPS,
 *                collected:STEPS, learned:STEPS, stat:OBSERVER, search:METHOD, fresh
 *   ste          identity, clipped, either with "scale|" before it for through_scale, or brevitas, which has it
 *   switch=STEP  what follows holds from that step on, and is what came before at first; once, a name may follow
 * Since 0.1. */
typedef struct mfq_recipe {
  int64_t switch_step; /* the first step of phases[1]; 0: there is none, and phases[1] equals phases[0] */
  mfq_phase phases[MFQ_RECIPE_PHASES];
} mfq_recipe;

/* Reads a recipe from its text form. Errors: PARSE with a sentence that points at the bad part and names what is
 * allowed. Since 0.1. */
MFQ_API mfq_status mfq_recipe_parse(const char *text, mfq_recipe *recipe);
/* Writes a text that mfq_recipe_parse reads back to the same recipe: a name where one means just this, otherwise a name
 * and a setting, or the fewest letters of settings; `capacity` of MFQ_RECIPE_TEXT_MAX suffices. Errors: INVALID_ARGUMENT,
 * as mfq_recipe_check, and for too small a capacity. Since 0.1. */
MFQ_API mfq_status mfq_recipe_print(const mfq_recipe *recipe, char *text, size_t capacity);
/* Checks that the fields make sense together. Errors: INVALID_ARGUMENT with the place, the field, its value and what is
 * allowed. Since 0.1. */
MFQ_API mfq_status mfq_recipe_check(const mfq_recipe *recipe);
/* Returns 1 when two recipes have equal fields. Since 0.1. */
MFQ_EXPORT int mfq_recipe_equal(const mfq_recipe *a, const mfq_recipe *b);
/* Returns 1 when dgrad and wgrad multiply the numbers that fprop had (by `same`, by blocks or one scale for a tensor,
 * whose codes do not depend on the direction, or because they are plain in both), so that they are the gradient of the
 * quantized forward, up to the rounding of dy; in all phases. Since 0.1. */
MFQ_EXPORT int mfq_recipe_is_exact(const mfq_recipe *recipe);

/* Row `index` of recipes.def (0, 1, ...): its name, its text and one line about it (either NULL: unwanted). NULL beyond
 * the last row. Numbers never change under a name. Since 0.1. */
MFQ_EXPORT const char *mfq_recipe_name(int32_t index, const char **text, const char **about);

/* The word of a place, such as "fprop.x"; "unknown place" for any other value. Since 0.1. */
MFQ_EXPORT const char *mfq_place_name(mfq_place place);

#ifdef __cplusplus
}
#endif

#endif
