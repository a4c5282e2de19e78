/* host/core/problem/regroup.h: the scales of a quantized tensor for other groups of the same codes.
 *
 * Along each axis the groups of one tensor are made of whole groups of the other, so that both ways are walks: over the
 * scales of the target, each with the scale of the source that it takes, and over those of the source, each with the first
 * of those that one scale of the target stands for. */
#ifndef MFQ_HOST_CORE_REGROUP_H
#define MFQ_HOST_CORE_REGROUP_H

#include "host/core/check/sizes.h"
#include "walk.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mfq_regroup {
  int32_t is_merging; /* several scales of the source become one, and must be equal */
  mfq_walk taken;     /* scales of the target; the "scale" of a place is an index in the source */
  mfq_walk first;     /* scales of the source, the same */
} mfq_regroup;

/* Whether two views of the same values (mfq_scheme_same_values) have scales for different elements, or in other shapes. */
int mfq_regroup_is_needed(const mfq_qview *src, const mfq_qview *dst);

/* Fails with SHAPE where groups cross. */
mfq_status mfq_regroup_check(mfq_where where, const mfq_qview *src, const mfq_qview *dst);

mfq_regroup mfq_regroup_make(const mfq_qview *src, const mfq_qview *dst);

/* Fails because of scale `index` of the source. */
mfq_status mfq_regroup_fail(const char *function, const mfq_qview *src, const mfq_qview *dst, int64_t index);

#ifdef __cplusplus
}
#endif

#endif
