/* host/core/check/sizes.c: overflow is found by the compiler's checked arithmetic, before a size that wrapped could be
 * compared with anything. */
#include "sizes.h"

#include <stdio.h>
#include <string.h>

#include "host/core/error.h"
#include "host/core/integers.h"

int mfq_checked_mul(int64_t a, int64_t b, int64_t *product) { return !__builtin_mul_overflow(a, b, product); }

int mfq_checked_round_up(int64_t value, int64_t unit, int64_t *rounded) {
  return mfq_checked_mul(mfq_ceil_div(value, unit), unit, rounded);
}

int64_t mfq_shape_count(int32_t rank, const int64_t *shape) {
  int64_t count = 1;
  for (int32_t i = 0; i < rank; ++i) count *= shape[i];
  return count;
}

mfq_shape_text mfq_shape_write(int32_t rank, const int64_t *shape) {
  mfq_shape_text text;
  size_t used = 0;
  text.text[used++] = '[';
  for (int32_t i = 0; i < rank && i < MFQ_MAX_RANK; ++i) {
    used +=
        (size_t)snprintf(text.text + used, sizeof text.text - used, "%s%lld", i == 0 ? "" : ", ", (long long)shape[i]);
  }
  (void)snprintf(text.text + used, sizeof text.text - used, "]");
  return text;
}

mfq_status mfq_shape_check(mfq_where where, int32_t rank, const int64_t *shape, int64_t element_bytes) {
  if (rank < 0 || rank > MFQ_MAX_RANK) {
    return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: rank is %d; allowed is 0 ... %d", where.argument, (int)rank,
                    MFQ_MAX_RANK);
  }
  int64_t bytes = element_bytes;
  for (int32_t i = 0; i < rank; ++i) {
    if (shape[i] < 0) {
      return mfq_fail(MFQ_ERROR_SHAPE, where.function, "%s: shape[%d] is %lld; sizes are 0 or more", where.argument,
                      (int)i, (long long)shape[i]);
    }
    if (!mfq_checked_mul(bytes, shape[i] > 0 ? shape[i] : 1, &bytes)) {
      return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                      "%s: shape %s has more bytes than 64 bits can count; make the tensor smaller", where.argument,
                      mfq_shape_write(rank, shape).text);
    }
  }
  return MFQ_OK;
}

mfq_status mfq_elements_check(mfq_where where, int32_t rank, const int64_t *shape) {
  int64_t count = 1;
  for (int32_t i = 0; i < rank; ++i) count *= shape[i] > 0 ? shape[i] : 1;
  if (count <= MFQ_MOST_ELEMENTS) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                  "%s: shape %s has %lld elements%s; products and convolutions take at most %lld (2^46) each, so that "
                  "the sizes of what they make fit 64 bits; cut it into parts",
                  where.argument, mfq_shape_write(rank, shape).text, (long long)count,
                  mfq_shape_count(rank, shape) == 0 ? ", sizes of 0 counted as 1" : "", (long long)MFQ_MOST_ELEMENTS);
}

size_t mfq_dtype_bytes(mfq_dtype dtype) {
  return dtype == MFQ_DTYPE_F32 ? 4 : dtype == MFQ_DTYPE_BF16 || dtype == MFQ_DTYPE_F16 ? 2 : 0;
}

const char *mfq_dtype_name(mfq_dtype dtype) {
  return dtype == MFQ_DTYPE_F32    ? "f32"
         : dtype == MFQ_DTYPE_BF16 ? "bf16"
         : dtype == MFQ_DTYPE_F16  ? "f16"
                                   : "unknown dtype";
}
