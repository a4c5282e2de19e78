/* host/core/check/sizes.h: checked arithmetic on sizes, and the checks of tensors and quantized tensors that rest on it. */
#ifndef MFQ_HOST_CORE_SIZES_H
#define MFQ_HOST_CORE_SIZES_H

#include "host/core/backend.h"

/* Whom a failing check speaks of. */
typedef struct mfq_where {
  const char *function, *argument;
} mfq_where;

/* Return 1 and the result, or 0 when it does not fit. Operands are >= 0. */
int mfq_checked_mul(int64_t a, int64_t b, int64_t *product);
/* Rounds up to a multiple of `unit` >= 1. */
int mfq_checked_round_up(int64_t value, int64_t unit, int64_t *rounded);

/* Checks a rank and its sizes: 0 ... MFQ_MAX_RANK, sizes >= 0, and so many bytes that they can be addressed (sizes of 0
 * count as 1 there, so that every partial product fits as well). */
mfq_status mfq_shape_check(mfq_where where, int32_t rank, const int64_t *shape, int64_t element_bytes);

/* Product of `rank` sizes of a checked shape. */
int64_t mfq_shape_count(int32_t rank, const int64_t *shape);

/* Elements of an operand or a result of a product or a convolution; sizes of 0 count as 1. Whatever a backend plans with
 * is a small multiple of some of these, with rows, groups and tiles that are filled up, a few bytes an element: at most
 * 2^16 times as many bytes, so that no count and no sum of sizes of a workspace leaves 63 bits. */
#define MFQ_MOST_ELEMENTS ((int64_t)1 << 46)
/* Checks a shape that mfq_shape_check has passed. */
mfq_status mfq_elements_check(mfq_where where, int32_t rank, const int64_t *shape);

/* For casts, which have no such limit: SIZE_MAX, which nobody can allocate, where the product or the sum does not fit. */
static inline size_t mfq_size_times(size_t a, size_t b) {
  size_t product;
  return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}
static inline size_t mfq_size_plus(size_t a, size_t b) { return a > SIZE_MAX - b ? SIZE_MAX : a + b; }

/* Checks every field of `q` but the pointers and works out its sizes. A view of rank 0 receives rank 1, shape [1]. */
mfq_status mfq_qview_init(mfq_where where, const mfq_qtensor *q, mfq_qview *view);

/* Makes a view whose codes are TRANSPOSED one of the tensor with its last two axes exchanged, whose codes are LOGICAL:
 * the same codes and scales, in the same places. */
void mfq_qview_exchange(mfq_qview *view);

/* Writes "[2, 3]" for sentences. */
typedef struct mfq_shape_text {
  char text[MFQ_MAX_RANK * 22 + 3];
} mfq_shape_text;
mfq_shape_text mfq_shape_write(int32_t rank, const int64_t *shape);

#endif
