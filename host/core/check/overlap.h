/* host/core/check/overlap.h: which memory a strided tensor touches, and whether memory is touched twice. */
#ifndef MFQ_HOST_CORE_OVERLAP_H
#define MFQ_HOST_CORE_OVERLAP_H

#include <mfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes [low, high); empty when low == high. */
typedef struct mfq_bytes {
  uintptr_t low, high;
} mfq_bytes;

mfq_bytes mfq_bytes_of(const void *memory, size_t bytes);
/* The span of a tensor with a checked shape. Returns 0 when its strides leave the address space. */
int mfq_tensor_bytes(const mfq_tensor *tensor, mfq_bytes *span);
/* 1 when two spans share a byte. */
int mfq_bytes_overlap(mfq_bytes a, mfq_bytes b);
/* 1 when no two indices of the tensor share memory, as far as a sufficient condition tells: sorted by size, each stride
 * is larger than what the smaller ones span together. */
int mfq_strides_are_distinct(const mfq_tensor *tensor);
/* 1 when each element of a tensor has a place of its own among the `count` from `data` on: what must hold of strides that
 * we make for memory that we allocate, before anything is written by them. */
int mfq_tensor_fits(const mfq_tensor *tensor, int64_t count);

#ifdef __cplusplus
}
#endif

#endif
