/* host/cpu/cast/dequantize_cpu.c: the ways from codes and scales to values: panels, and element by element. */
#include <string.h>

#include "host/core/check/arguments.h"
#include "host/core/process/team.h"
#include "elements.h"
#include "panels.h"
#include "rotate_cpu.h"
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

typedef struct padding {
  const mfq_qview *view;
  mfqn_scheme scheme;
} padding;

/* The code that stands for 0, times its scale. */
static uint32_t padding_at(const void *of, int64_t scale) {
  const padding *p = of;
  const mfqn_group g = mfq_group_stored(p->view, &p->scheme, scale);
  const uint32_t code = mfqn_zero_point_code(&p->scheme, &g);
  return mfqn_decode(&p->scheme, &g, code);
}

/* Gives every element of a padded target the value of padding. */
static void fill_padded(const mfq_cast *cast) {
  padding p = {.view = cast->view};
  mfq_lower(&cast->view->q.scheme, &p.scheme);
  mfq_elements_by_scale(cast->view, cast->dst, padding_at, &p);
}

static int is_padded(const mfq_cast *cast) { return !mfq_shape_is(cast->dst, cast->view->q.rank, cast->view->q.shape); }

/* The part of the target that has codes. */
static mfq_tensor logical_part(const mfq_cast *cast) {
  mfq_tensor logical = *cast->dst;
  memcpy(logical.shape, cast->view->q.shape, sizeof logical.shape);
  return logical;
}

static mfq_status plan_panels(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const mfq_tensor *target = cast->dst;
  mfq_tensor logical;
  if (is_padded(cast)) {
    logical = logical_part(cast);
    target = &logical;
  }
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(mfq_panels), choice);
  mfq_panels *p = choice->state;
  if (status == MFQ_OK) p->keeps_rotation = cast->keeps_rotation;
  if (status == MFQ_OK) p->may_join = 1;
  if (status == MFQ_OK) status = mfq_panels_plan(context, target, cast->view, MFQ_PANELS_DECODE, p, why);
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
  (void)context;
  if (is_padded(cast)) fill_padded(cast);
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
  const mfq_tensor logical = logical_part(cast);
  (void)context;
  (void)state;
  (void)memory;
  if (is_padded(cast)) fill_padded(cast);
  mfq_dequantize_ref(cast->view, &logical);
  return MFQ_OK;
}

static const mfq_way by_panels = {"panels", plan_panels, run_panels, NULL};
static const mfq_way by_elements = {"reference", mfq_plan_general, run_reference, NULL};

const mfq_ways mfq_cpu_dequantizations = {.create = "mfq_dequantize",
                                          .ways = {&by_panels, &mfq_rotated_copies, &by_elements}};
