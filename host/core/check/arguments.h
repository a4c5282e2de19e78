/* host/core/check/arguments.h: the checks that every operation makes of its tensors, and of the memory they share. */
#ifndef MFQ_HOST_CORE_ARGUMENTS_H
#define MFQ_HOST_CORE_ARGUMENTS_H

#include "host/core/backend.h"
#include "overlap.h"
#include "sizes.h"

/* Parts of a quantized tensor that a call uses, as a set. */
enum { MFQ_USE_CODES = 1, MFQ_USE_SCALES = 2, MFQ_USE_ZERO_POINTS = 4, MFQ_USE_TENSOR_SCALE = 8, MFQ_USE_ALL = 15 };

/* One stretch of memory of a call. */
typedef struct mfq_memory {
  mfq_where where;
  const char *name;
  mfq_bytes bytes;
  int is_written;
} mfq_memory;

/* All memory of a call. */
typedef struct mfq_parts {
  mfq_memory items[20];
  int count;
} mfq_parts;

/* Returns OK, or INVALID_ARGUMENT naming `argument`, when `pointer` is NULL. */
mfq_status mfq_argument_present(mfq_where where, const void *pointer);

/* Checks a growable structure: its first member says how many bytes the caller's has, at least the `known` ones of this
 * version; those beyond must be 0. `init` is the function that fills it. */
mfq_status mfq_argument_struct(mfq_where where, const void *structure, size_t known, const char *init);

/* Checks a tensor, adds its memory to `parts` and copies it to `view`, where rank 0 becomes rank 1. */
mfq_status mfq_argument_tensor(mfq_where where, const mfq_tensor *tensor, int is_written, mfq_parts *parts,
                               mfq_tensor *view);

/* Which parts of a quantized tensor a call uses, and which of them it writes. */
typedef struct mfq_use {
  int used, written;
} mfq_use;
/* Checks the pointers of a view and adds their memory to `parts`. */
mfq_status mfq_argument_parts(mfq_where where, const mfq_qview *view, mfq_use use, mfq_parts *parts);

/* Adds memory of any other kind to `parts`. */
mfq_status mfq_argument_memory(mfq_memory part, mfq_parts *parts);

/* Fails when memory that is written overlaps any other, or the context's device cannot use it. */
mfq_status mfq_parts_check(mfq_context *context, const mfq_parts *parts);

/* Fails when `where` names an argument of another shape than the checked tensor that is called `other`. */
mfq_status mfq_argument_shape(mfq_where where, int32_t rank, const int64_t *shape, const char *other,
                              const mfq_tensor *tensor);
/* Fails when a view, which `where` names, has another scheme than the one that is called `other`. */
mfq_status mfq_argument_scheme(mfq_where where, const mfq_qview *view, const char *other, const mfq_qview *with);
/* Fails because two schemes differ in more than `rule` says. */
mfq_status mfq_schemes_differ(mfq_where where, const mfq_qview *view, const char *other, const mfq_qview *with,
                              const char *rule);
/* Checks a tensor that receives one float32 for each scale of a view. */
mfq_status mfq_argument_per_scale(mfq_where where, const mfq_tensor *given, const mfq_qview *view, mfq_parts *parts,
                                  mfq_tensor *out);

/* 1 when two checked tensors of one shape are the same memory: each element is read before its own place is written. */
int mfq_is_in_place(const mfq_tensor *a, const mfq_tensor *b);

/* 1 when a checked tensor has this shape; rank 0 equals rank 1, shape [1]. */
int mfq_shape_is(const mfq_tensor *view, int32_t rank, const int64_t *shape);

#endif
