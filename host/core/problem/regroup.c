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
  const int64_t length = mfq_larger(view->q.shape[axis], 1);
  const int64_t run = all[axis].stride == 0 ? length : all[axis].run;
  return run >= length ? (axis_scales){1, length, 0} : (axis_scales){mfq_ceil_div(length, run), run, all[axis].stride};
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

mfq_regroup mfq_regroup_make(const mfq_qview *src, const mfq_qview *dst) {
  mfq_regroup r;
  memset(&r, 0, sizeof r);
  mfq_walk *const walks[] = {&r.taken, &r.first};
  const mfq_qview *const views[] = {dst, src};
  for (int i = 0; i < 2; ++i) {
    mfq_walk *walk = walks[i];
    walk->rank = views[i]->q.rank;
    walk->rows = 1;
    for (int32_t k = 0; k < walk->rank; ++k) {
      const int32_t d = mfq_code_axis(views[i], k);
      const axis_scales from = scales_along(src, d), to = scales_along(dst, d);
      const int64_t merged = to.run > from.run ? mfq_ceil_div(to.run, from.run) : 1;
      const int is_merged = i == 0 && merged > 1;
      walk->shape[k] = views[i]->q.shape[d] == 0 ? 0 : i == 0 ? to.count : from.count;
      walk->scale_run[k] = i == 1 ? merged : from.run > to.run ? mfq_ceil_div(from.run, to.run) : 1;
      walk->scale_stride[k] = (i == 1 || is_merged ? merged : 1) * from.stride;
      r.is_merging |= merged > 1;
      if (k + 1 < walk->rank) walk->rows *= walk->shape[k];
    }
    walk->length = walk->shape[walk->rank - 1];
    if (walk->length == 0) walk->rows = 0;
  }
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
