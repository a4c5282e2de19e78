/* host/cpu/cast/dequantize_cpu.c: the ways from codes and scales to values: panels, and element by element. */
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

/* The part of the target that has codes. Returns whether there is more of it. */
static int logical_part(const mfq_cast *cast, mfq_tensor *logical) {
  int is_padded = 0;
  *logical = *cast->dst;
  for (int32_t d = 0; d < logical->rank; ++d) {
    is_padded |= logical->shape[d] != cast->view->q.shape[d];
    logical->shape[d] = cast->view->q.shape[d];
  }
  return is_padded;
}

static mfq_status plan_panels(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  mfq_tensor logical;
  (void)logical_part(cast, &logical);
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(mfq_panels), choice);
  mfq_panels *p = choice->state;
  if (status == MFQ_OK) status = mfq_panels_plan(context, &logical, cast->view, MFQ_PANELS_DECODE, p, why);
  if (status != MFQ_OK) return status;
  p->tensor = cast->dst; /* panels have sizes of their own */
  choice->workspace_bytes = mfq_panels_scratch_all(p);
  mfq_choice_describe(choice, "vector loops (%s)", p->kernels->isa);
  return MFQ_OK;
}

static mfq_status run_panels(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const mfq_panels *p = state;
  mfq_panels scaled;
  mfq_tensor logical;
  (void)context;
  if (logical_part(cast, &logical)) fill_padded(cast->view, cast->dst);
  if (p->scheme.scale == MFQN_SCALE_UE4M3) {
    scaled = *p;
    scaled.tensor_scale = mfq_tensor_scale_get(cast->view);
    p = &scaled;
  }
  mfq_team_run((mfq_loop){p->threads, p->count, PANELS}, decode_panels, &(panels_work){p, memory});
  return MFQ_OK;
}

static mfq_status run_reference(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  mfq_tensor logical;
  (void)context;
  (void)state;
  (void)memory;
  if (logical_part(cast, &logical)) fill_padded(cast->view, cast->dst);
  mfq_dequantize_ref(cast->view, &logical);
  return MFQ_OK;
}

static const mfq_way by_panels = {"panels", plan_panels, run_panels, NULL};
static const mfq_way by_elements = {"reference", mfq_plan_general, run_reference, NULL};

const mfq_ways mfq_cpu_dequantizations = {.create = "mfq_dequantize", .ways = {&by_panels, &by_elements}};
