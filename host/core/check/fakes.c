/* host/core/check/fakes.c: scales are measured or given, never both; a mask belongs to one scheme and shape. */
#include "fakes.h"

#include <string.h>

#include "host/core/error.h"
#include "host/core/integers.h"
#include "host/core/scheme/scheme.h"

mfq_status mfq_fake_take_scheme(const mfq_fake_names *names, const mfq_scheme *scheme, const mfq_tensor *tensor,
                                mfq_qview *view) {
  const mfq_where where = {names->function, names->scheme};
  const mfq_status status = mfq_scheme_verify(scheme, where.function, where.argument);
  if (status != MFQ_OK) return status;
  if (scheme->rule == MFQ_RULE_GIVEN) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: rule given reads scales, which a scheme alone does not bring; %s", where.argument,
                    names->instead_of_scheme);
  }
  mfq_qtensor q = {.scheme = *scheme, .rank = tensor->rank};
  memcpy(q.shape, tensor->shape, sizeof q.shape);
  return mfq_qview_init(where, &q, view);
}

mfq_status mfq_fake_take_given(const mfq_fake_names *names, const mfq_qtensor *given, const mfq_tensor *tensor,
                               mfq_qview *view, mfq_parts *parts) {
  const mfq_where where = {names->function, names->given};
  mfq_status status = mfq_qview_init(where, given, view);
  if (status != MFQ_OK) return status;
  const mfq_scheme *scheme = &view->q.scheme;
  if (scheme->rule != MFQ_RULE_GIVEN && scheme->scale != MFQ_SCALE_NONE) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: the scheme's rule is %s, but scales are read here; allowed is given (\"%s:given\"), or %s",
                    where.argument, mfq_rule_words.words[scheme->rule], mfq_scale_words.words[scheme->scale],
                    names->instead_of_given);
  }
  status = mfq_argument_shape(where, view->q.rank, view->q.shape, names->tensor, tensor);
  if (status != MFQ_OK || parts == NULL) return status;
  return mfq_argument_parts(where, view, (mfq_use){MFQ_USE_ALL & ~MFQ_USE_CODES, 0}, parts);
}

mfq_status mfq_fake_mask_view(mfq_where where, const mfq_mask *mask, mfq_qview *view) {
  mfq_qtensor q = {.scheme = mask->scheme, .rank = mask->rank};
  memcpy(q.shape, mask->shape, sizeof q.shape);
  const mfq_status status = mfq_qview_init(where, &q, view);
  if (status == MFQ_OK && mask->scheme.eden != 0 && mask->scheme.rule != MFQ_RULE_GIVEN) {
    return mfq_fail(
        MFQ_ERROR_UNSUPPORTED, where.function,
        "%s: the scheme corrects scales together (eden:%d), of which there are no masks; leave the mask out",
        where.argument, (int)mask->scheme.eden);
  }
  if (status != MFQ_OK || mask->scheme.rotation == 0) return status;
  return mfq_fail(
      MFQ_ERROR_UNSUPPORTED, where.function,
      "%s: the scheme rotates elements (hadamard:%d), of which there are no masks; leave the mask out, so that "
      "what passes is found from the source",
      where.argument, (int)mask->scheme.rotation);
}

size_t mfq_fake_mask_size(const mfq_qview *view) {
  return (size_t)mfq_ceil_div(mfq_shape_count(view->q.rank, view->q.shape), 8);
}

mfq_status mfq_fake_take_mask(mfq_where where, const mfq_mask *mask, const mfq_qview *view, int is_written,
                              mfq_parts *parts) {
  static const char other[] = "the fake quantization";
  mfq_qview own;
  mfq_tensor shape = {.rank = view->q.rank};
  memcpy(shape.shape, view->q.shape, sizeof shape.shape);
  mfq_status status = mfq_fake_mask_view(where, mask, &own);
  if (status == MFQ_OK) status = mfq_argument_shape(where, own.q.rank, own.q.shape, other, &shape);
  if (status == MFQ_OK) status = mfq_argument_scheme(where, &own, other, view);
  const size_t bytes = mfq_fake_mask_size(view);
  if (status != MFQ_OK || bytes == 0) return status;
  if (mask->bits == NULL) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: bits is NULL, but needs %zu bytes (mfq_mask_bytes)", where.argument, bytes);
  }
  return mfq_argument_memory((mfq_memory){where, "bits", mfq_bytes_of(mask->bits, bytes), is_written}, parts);
}
