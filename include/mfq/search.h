/* mfq/search.h: scales that suit their elements better than the plain rule's, for weights that are quantized once. */
#ifndef MFQ_SEARCH_H
#define MFQ_SEARCH_H

#include <mfq/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which scales are tried: the rows of mfq/search.def. Since 0.1. */
typedef enum mfq_search_method {
#define MFQ_SEARCH(method, word, kind, steps, first, last, about) MFQ_SEARCH_##method,
#include <mfq/search.def>
  MFQ_SEARCH_METHODS /* how many there are */
} mfq_search_method;

/* Word `index` of mfq/search.def (0, 1, ...), which is that of method `index`, and one line about it. NULL beyond the last
 * row. Since 0.1. */
MFQ_EXPORT const char *mfq_search_name(int32_t index, const char **about);

/* Reads a scheme, and the method that its name asks for: those of Brevitas' quantizers that end in MSE
 * ("brevitas:Int8WeightPerChannelFloatMSE/int4n") are the ones without MSE, searched by MFQ_SEARCH_MSE; those that end in HQO
 * by MFQ_SEARCH_HQO, or, where they have zero points, which are floats then, by MFQ_SEARCH_HQO_ZERO. `method` is
 * MFQ_SEARCH_METHODS for every other text, whose scales are those of the rule; so for brevitas:MXFloat8e4m3WeightMSE, which
 * does not search as Brevitas ships it.
 * Errors: PARSE, as mfq_scheme_parse.
 * Since 0.1. */
MFQ_API mfq_status mfq_search_parse(const char *text, mfq_scheme *scheme, mfq_search_method *method);

/* A search. Filled by mfq_search_init; set what you need. Since 0.1. */
typedef struct mfq_search {
  size_t struct_size;
  mfq_search_method method;
  /* Candidates first ... last: i / steps of the statistic that the scheme's rule starts from, or of the elements' ranks.
   * 1 <= first <= steps <= last, so that the plain rule is among them; at most 128 candidates, last at most 4096. Of
   * MFQ_SEARCH_HQO and MFQ_SEARCH_HQO_ZERO, which take at most so many steps, `steps` alone counts. Of MFQ_SEARCH_QUEST, whose
   * statistic is last / steps standard deviations, first is 1, and steps and last are 1 or more. */
  int32_t steps, first, last;
  const mfq_tensor *src;
  const mfq_qtensor *q; /* what is written: scales, zero points, tensor scale, and codes unless they are NULL */
  /* NULL: all elements count alike. f32, >= 0: what squared errors are multiplied by, such as the diagonal of a Hessian.
   * Strides of 0 repeat one for each input channel over all rows. */
  const mfq_tensor *importance;
} mfq_search;

/* Fills `search` with a method and its own candidates, and NULL pointers; zeros where there is no such method.
 * Since 0.1. */
MFQ_EXPORT void mfq_search_init(mfq_search *search, mfq_search_method method);

/* Quantizes `src` into `q` with the scales that have the least squared error. `q` has a scheme as mfq_quantize takes it and
 * is, afterwards, a tensor like any other: what reads quantized tensors does not know of the search.
 * Shapes: `q` has the shape of `src`, any granularity, axis and layout, and `importance` likewise.
 * Numerics: docs/numerics.md, "Searches": each scale by itself, errors of the values that its codes have, in float32 and
 *   summed by a fixed tree, equal on every device and for any number of threads. Under MFQ_ARITH_EXACT the squared error
 *   is never above that of mfq_quantize, under MFQ_SEARCH_HQO and MFQ_SEARCH_HQO_ZERO the sum of magnitudes of all errors, and
 *   under MFQ_SEARCH_QUEST, which tries one scale, neither. The
 *   tensor scale of UE4M3 is the plain one. Groups of zeros, and with NaN or infinity, are those of mfq_quantize.
 *   Stochastic rounding takes the bits that the codes take.
 * Memory: as for mfq_quantize; `importance` must not overlap what is written.
 * Async: as in mfq/quantize.h.
 * Errors: INVALID_ARGUMENT, also for a scheme without measured scales, candidates out of range, ranks or deviations of a
 *   scheme whose statistic is a range; MFQ_SEARCH_HQO and MFQ_SEARCH_HQO_ZERO of other elements than integers, with importance or
 *   stochastic rounding, the one of other rules than absmax, the other of a scheme without zero points; an importance that
 *   is not f32, one that is negative, infinite or NaN (refused on the CPU; on a GPU any candidate may be chosen then), or one
 *   for a rotated scheme or with MFQ_SEARCH_QUEST; UNSUPPORTED on a GPU for ranks or deviations of more than 65536 elements, and for MFQ_SEARCH_HQO and
 *   MFQ_SEARCH_HQO_ZERO of so many, or of more than some 65000 scales; SHAPE, OUT_OF_MEMORY, DEVICE; nothing is written
 *   then.
 * Since 0.1. */
MFQ_API mfq_status mfq_search_scales(mfq_context *context, const mfq_search *search);

#ifdef __cplusplus
}
#endif

#endif
