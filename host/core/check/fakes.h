/* host/core/check/fakes.h: the checks that fake quantizations and their backward share: whose scales, and whose mask. */
#ifndef MFQ_HOST_CORE_FAKES_H
#define MFQ_HOST_CORE_FAKES_H

#include "arguments.h"

/* What a public function calls its arguments; NULL for those that it has not. */
typedef struct mfq_fake_names {
  const char *function, *scheme, *given, *tensor;
  const char *instead_of_scheme, *instead_of_given; /* what to do with a scheme of the wrong rule */
} mfq_fake_names;

/* The sizes of a scheme whose scales are measured, on the shape of a checked tensor. */
mfq_status mfq_fake_take_scheme(const mfq_fake_names *names, const mfq_scheme *scheme, const mfq_tensor *tensor,
                                mfq_qview *view);
/* The same of a quantized tensor whose scales are read; adds its memory to `parts`, NULL: nothing of it is read. */
mfq_status mfq_fake_take_given(const mfq_fake_names *names, const mfq_qtensor *given, const mfq_tensor *tensor,
                               mfq_qview *view, mfq_parts *parts);

/* Checks a mask but for its bits, and works out the sizes of what was quantized. */
mfq_status mfq_fake_mask_view(mfq_where where, const mfq_mask *mask, mfq_qview *view);
/* The bytes of a mask for that. */
size_t mfq_fake_mask_size(const mfq_qview *view);
/* Checks a mask of what `view` is, and adds its memory to `parts`. */
mfq_status mfq_fake_take_mask(mfq_where where, const mfq_mask *mask, const mfq_qview *view, int is_written,
                              mfq_parts *parts);

#endif
