/* host/cpu/cast/dequantize_cpu.c: codes and scales to values. */
#include "host/core/error.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "elements.h"
#include "panels.h"
#include "scale_slots.h"
#include "stream_copy.h"

enum { PANELS = 8 }; /* that a thread takes at a time */

typedef struct panels_work {
  const mfq_panels *panels;
  void *memory;
} panels_work;

static void decode_panels(void *work, int thread, int64_t first, int64_t end) {
  const panels_work *w = work;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(w->panels, w->memory, thread);
  for (int64_t k = first; k < end; ++k) mfq_panel_dequantize(w->panels, k, scratch);
  mfq_stream_fence();
}

/* Gives every element of a padded target the value of padding: the code that stands for 0, times its scale. */
static void fill_padded(const mfq_qview *view, const mfq_tensor *dst) {
  mfqn_scheme s;
  mfq_walk walk;
  mfq_qview padded = *view;
  memcpy(padded.q.shape, dst->shape, sizeof padded.q.shape);
  mfq_lower(&view->q.scheme, &s);
  mfq_walk_init(&padded, dst->strides, &walk);
  const int32_t last = walk.rank - 1;
  for (int64_t r = 0; r < walk.rows; ++r) {
    const mfq_walk_row at = mfq_walk_at(&walk, r);
    for (int64_t j = 0; j < walk.length; ++j) {
      const int64_t scale = mfq_walk_scale(&walk, at, j);
      const mfqn_group g = mfq_group_stored(view, &s, scale);
      const uint32_t code = s.has_zero_point ? mfqn_integer_code(g.zero_point, &s.integer) : 0u;
      mfq_element_store_limited(dst->data, dst->dtype, at.offset + j * walk.offset_stride[last],
                                mfqn_decode(&s, &g, code));
    }
  }
}

static size_t panel_scratch(const mfq_panels *p) { return mfq_panels_scratch_bytes(p) * (size_t)p->threads; }

size_t mfq_cpu_dequantize_scratch(const mfq_context *context, const mfq_qview *view, const mfq_tensor *dst) {
  mfq_panels panels;
  return mfq_panels_plan(context, dst, view, 0, 0, &panels) ? panel_scratch(&panels) : 0;
}

mfq_status mfq_cpu_dequantize(mfq_context *context, const mfq_qview *view, const mfq_tensor *dst) {
  mfq_tensor logical = *dst;
  int is_padded = 0;
  for (int32_t d = 0; d < dst->rank; ++d) {
    is_padded |= dst->shape[d] != view->q.shape[d];
    logical.shape[d] = view->q.shape[d];
  }
  mfq_panels panels;
  const int is_fast = mfq_panels_plan(context, &logical, view, 0, 0, &panels);
  const size_t bytes = is_fast ? panel_scratch(&panels) : 0;
  void *memory = is_fast ? mfq_context_scratch(context, bytes) : NULL;
  if (is_fast && !memory)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_dequantize",
                    "no memory for %zu bytes of scratch; free some or use fewer threads", bytes);
  if (is_padded) fill_padded(view, dst);
  if (is_fast) {
    panels.tensor_scale = mfq_tensor_scale_get(view);
    mfq_team_run((mfq_loop){panels.threads, panels.count, PANELS}, decode_panels, &(panels_work){&panels, memory});
  } else {
    mfq_dequantize_ref(view, &logical);
  }
  return MFQ_OK;
}
