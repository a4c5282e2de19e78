/* host/core/check/overlap.c: axes sorted by stride: a tensor touches no byte twice when each stride is larger than all
 * that the smaller ones span. Sufficient, not necessary, and without a search. */
#include "overlap.h"

mfq_bytes mfq_bytes_of(const void *memory, size_t bytes) {
  uintptr_t low = (uintptr_t)memory;
  return (mfq_bytes){low, low + bytes};
}

int mfq_bytes_overlap(mfq_bytes a, mfq_bytes b) {
  return a.low < a.high && b.low < b.high && a.low < b.high && b.low < a.high;
}

static int is_empty(const mfq_tensor *tensor) {
  for (int32_t i = 0; i < tensor->rank; ++i)
    if (tensor->shape[i] == 0) return 1;
  return 0;
}

int mfq_tensor_bytes(const mfq_tensor *tensor, mfq_bytes *span) {
  int64_t below = 0; /* elements before `data`, negative */
  int64_t above = 1; /* elements from `data` on */
  int64_t size = (int64_t)mfq_dtype_bytes(tensor->dtype);
  *span = mfq_bytes_of(tensor->data, 0);
  if (is_empty(tensor)) return 1;
  for (int32_t i = 0; i < tensor->rank; ++i) {
    int64_t reach = 0;
    int64_t *side = tensor->strides[i] < 0 ? &below : &above;
    if (__builtin_mul_overflow(tensor->shape[i] - 1, tensor->strides[i], &reach) ||
        __builtin_add_overflow(*side, reach, side))
      return 0;
  }
  if (__builtin_mul_overflow(below, size, &below) || __builtin_mul_overflow(above, size, &above)) return 0;
  uintptr_t data = (uintptr_t)tensor->data;
  uintptr_t before = (uintptr_t)0 - (uintptr_t)below;
  if (before > data || __builtin_add_overflow(data, (uintptr_t)above, &span->high)) return 0;
  span->low = data - before;
  return 1;
}

static uint64_t magnitude(int64_t stride) { return stride < 0 ? (uint64_t)0 - (uint64_t)stride : (uint64_t)stride; }

/* Strides and sizes of the axes that have more than one index, by stride. */
static int sorted_axes(const mfq_tensor *tensor, uint64_t *strides, uint64_t *sizes) {
  int count = 0;
  for (int32_t i = 0; i < tensor->rank; ++i) {
    if (tensor->shape[i] == 1) continue;
    uint64_t stride = magnitude(tensor->strides[i]);
    int place = count++;
    for (; place > 0 && strides[place - 1] > stride; --place) {
      strides[place] = strides[place - 1];
      sizes[place] = sizes[place - 1];
    }
    strides[place] = stride;
    sizes[place] = (uint64_t)tensor->shape[i];
  }
  return count;
}

int mfq_strides_are_distinct(const mfq_tensor *tensor) {
  uint64_t strides[MFQ_MAX_RANK], sizes[MFQ_MAX_RANK];
  if (is_empty(tensor)) return 1;
  int count = sorted_axes(tensor, strides, sizes);
  uint64_t spanned = 0;
  for (int i = 0; i < count; ++i) {
    if (strides[i] <= spanned) return 0;
    spanned += (sizes[i] - 1) * strides[i]; /* fits: mfq_tensor_bytes has added the same numbers */
  }
  return 1;
}

int mfq_tensor_fits(const mfq_tensor *tensor, int64_t count) {
  mfq_bytes span;
  if (!mfq_tensor_bytes(tensor, &span) || !mfq_strides_are_distinct(tensor)) return 0;
  const size_t bytes = (size_t)count * mfq_dtype_bytes(tensor->dtype);
  return span.low == (uintptr_t)tensor->data && span.high - span.low <= bytes;
}
