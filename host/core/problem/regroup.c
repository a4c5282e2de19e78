/* host/core/problem/regroup.c: which scales of one grouping the groups of another one meet. */
#include "regroup.h"

#include <string.h>

#include "host/core/error.h"
#include "host/core/integers.h"

/* Along an axis: how many scales there are, how many elements share one, and the distance from one to the next. */
typedef struct axis_scales {
  int64_t count, run, stride;
} axis_scales;

static axis_scales scales_along(const mfq_qview *view, int32_t axis) {
  mfq_scale_axis all[MFQ_MAX_RANK];
  mfq_scale_axes(view, all);
  const int64_t length = view->q.shape[axis], run = all[axis].run;
  if (all[axis].stride == 0 || (run >= length && length > 0)) return (axis_scales){1, mfq_larger(length, 1), 0};
  return (axis_scales){mfq_ceil_div(length, run), run, all[axis].stride};
}

int mfq_regroup_is_needed(const mfq_qview *src, const mfq_qview *dst) {
  const mfq_scheme *a = &src->q.scheme, *b = &dst->q.scheme;
  if (a->scale == MFQ_SCALE_NONE) return 0;
  if (a->granularity != b->granularity || src->sizes.axis != dst->sizes.axis) return 1; /* other shapes of scales */
  for (int32_t d = 0; d < src->q.rank; ++d)
    if (scales_along(src, d).run != scales_along(dst, d).run) return 1;
  return 0;
}

mfq_status mfq_regroup_check(mfq_where where, const mfq_qview *src, const mfq_qview *dst) {
  for (int32_t d = 0; d < src->q.rank; ++d) {
    const axis_scales from = scales_along(src, d), to = scales_along(dst, d);
    if (from.count == 1 || to.count == 1 || from.run % to.run == 0 || to.run % from.run == 0) continue;
    return mfq_fail(MFQ_ERROR_SHAPE, where.function,
                    "%s: its groups have %lld elements along axis %d, those of src %lld; one must be a multiple of the "
                    "other",
                    where.argument, (long long)to.run, (int)d, (long long)from.run);
  }
  return MFQ_OK;
}

static void count_rows(mfq_walk *walk) {
  walk->rows = 1;
  for (int32_t k = 0; k < walk->rank - 1; ++k) walk->rows *= walk->shape[k];
  walk->length = walk->shape[walk->rank - 1];
  if (walk->length == 0) walk->rows = 0;
}

mfq_regroup mfq_regroup_make(const mfq_qview *src, const mfq_qview *dst) {
  mfq_regroup r;
  mfq_walk *taken = &r.taken, *first = &r.first;
  memset(&r, 0, sizeof r);
  taken->rank = first->rank = src->q.rank;
  for (int32_t d = 0; d < src->q.rank; ++d) {
    const axis_scales from = scales_along(src, d), to = scales_along(dst, d);
    const int64_t merged = to.run > from.run ? mfq_ceil_div(to.run, from.run) : 1; /* scales that become one, */
    const int64_t split = from.run > to.run ? mfq_ceil_div(from.run, to.run) : 1;  /* and that one becomes */
    const int32_t of_dst = mfq_code_place(dst, d), of_src = mfq_code_place(src, d);
    taken->shape[of_dst] = to.count;
    taken->scale_run[of_dst] = split;
    taken->scale_stride[of_dst] = merged * from.stride;
    first->shape[of_src] = from.count;
    first->scale_run[of_src] = merged;
    first->scale_stride[of_src] = merged * from.stride;
    r.is_merging |= merged > 1 && from.count > 1;
  }
  count_rows(taken);
  count_rows(first);
  return r;
}

mfq_status mfq_regroup_fail(const char *function, const mfq_qview *src, const mfq_qview *dst, int64_t index) {
  int64_t begin[MFQ_MAX_RANK];
  for (int32_t k = src->q.rank - 1; k >= 0; --k) {
    const int32_t d = mfq_code_axis(src, k);
    const axis_scales from = scales_along(src, d), to = scales_along(dst, d);
    begin[d] = index % from.count * from.run / to.run * to.run;
    index /= from.count;
  }
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                  "src: its scales within the group of dst that begins at element %s differ, and one cannot stand for "
                  "them; keep the groups of src, or quantize the tensor with the scheme of dst",
                  mfq_shape_write(src->q.rank, begin).text);
}
