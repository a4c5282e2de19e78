/* host/cpu/cast/eden_cpu.c: the scales of groups, corrected together, line by line along the axis of the groups. */
#include "eden_cpu.h"

#include <mfq/num/eden.h>

#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "host/cpu/cpu_state.h"

typedef struct eden_work {
  const mfq_context *context;
  const mfq_qview *view;
  const mfqn_scheme *scheme;
  const mfq_tensor *src;
  mfqn_group *groups; /* NULL: they are stored */
  int32_t axis;
  int64_t group, logical_step; /* elements of a group; indices from one element to the next */
  mfq_scale_axis axes[MFQ_MAX_RANK];
} eden_work;

/* A line: where its first element and its first scale are. */
typedef struct eden_line {
  int64_t offset, logical, scale;
} eden_line;

static eden_line line_at(const eden_work *w, int64_t line) {
  const mfq_qtensor *q = &w->view->q;
  eden_line at = {0, 0, 0};
  int64_t logical = 1;
  for (int32_t d = q->rank - 1; d >= 0; --d) {
    if (d != w->axis) {
      const int64_t index = line % q->shape[d];
      line /= q->shape[d];
      at.offset += index * w->src->strides[d];
      at.logical += index * logical;
      at.scale += index * w->axes[d].stride;
    }
    logical *= q->shape[d];
  }
  return at;
}

static mfqn_group group_of(const eden_work *w, int64_t scale) {
  return w->groups ? w->groups[scale] : mfq_group_stored(w->view, w->scheme, scale);
}

/* Elements from `first` to `end` of a line, which correct their scales together. */
static void correct_run(const eden_work *w, const eden_line *line, int64_t first, int64_t end) {
  const int64_t step = w->src->strides[w->axis], scale_step = w->axes[w->axis].stride;
  mfqn_eden e;
  mfqn_group g = {0};
  mfqn_eden_start(&e);
  for (int64_t k = first; k < end; ++k) {
    if (k % w->group == 0) g = group_of(w, line->scale + k / w->group * scale_step);
    mfqn_eden_add(&e, w->scheme, &g, mfq_element_load(w->src->data, w->src->dtype, line->offset + k * step));
  }
  const float c = mfqn_eden_factor(&e);
  for (int64_t k = first; k < end; k += w->group) {
    const int64_t scale = line->scale + k / w->group * scale_step;
    g = group_of(w, scale);
    const uint64_t index = (uint64_t)(line->logical + k * w->logical_step);
    mfqn_eden_correct(w->scheme, &g, c, mfqn_random(w->context->seed, w->context->offset, index));
    if (w->groups)
      w->groups[scale] = g;
    else
      mfq_scale_put(w->view, scale, g.stored);
  }
}

static void correct_lines(void *work, int thread, int64_t first, int64_t end) {
  const eden_work *w = work;
  const int64_t length = w->view->q.shape[w->axis];
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    const eden_line line = line_at(w, i);
    for (int64_t k = 0; k < length; k += w->scheme->eden)
      correct_run(w, &line, k, mfq_smaller(k + w->scheme->eden, length));
  }
}

void mfq_eden_correct(const mfq_context *context, const mfq_qview *view, const mfqn_scheme *s, const mfq_tensor *src,
                      mfqn_group *groups) {
  eden_work work = {context, view, s, src, groups, view->sizes.axis, view->q.scheme.group_size, 1, {{0}}};
  int64_t lines = 1;
  mfq_scale_axes(view, work.axes);
  for (int32_t d = 0; d < view->q.rank; ++d) {
    if (d > work.axis) work.logical_step *= view->q.shape[d];
    if (d != work.axis) lines *= view->q.shape[d];
  }
  mfq_team_run((mfq_loop){context->threads, lines, 0}, correct_lines, &work);
}
