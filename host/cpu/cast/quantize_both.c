/* host/cpu/cast/quantize_both.c: the ways of two directions from one read. */
#include "strips.h"

_Static_assert(sizeof(mfq_strips) <= MFQ_CAST_STATE, "strips find room");

static mfq_strips_wanted wanted_of(const mfq_cast *cast) {
  return (mfq_strips_wanted){.one = cast->view, .other = cast->other, .tensor = cast->src};
}

static mfq_status run_both(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  (void)problem;
  mfq_strips_run(context, state, memory, NULL, NULL);
  return MFQ_OK;
}

static mfq_status plan_squares(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (!cast->other) return mfq_refuse(why, "%s", "");
  const mfq_strips_wanted wanted = wanted_of(cast);
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(mfq_strips), choice);
  mfq_strips *s = choice->state;
  if (status == MFQ_OK) status = mfq_strips_plan_square(context, &wanted, s, why);
  if (status != MFQ_OK) return status;
  choice->workspace_bytes = mfq_strips_bytes(s);
  mfq_choice_describe(choice, "one set of codes, turned (%s)", s->panels[0].kernels->isa);
  return MFQ_OK;
}

const mfq_way mfq_quantize_squares = {"square", plan_squares, run_both, NULL};

static mfq_status plan_pairs(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (!cast->other) return mfq_refuse(why, "%s", "");
  const mfq_strips_wanted wanted = wanted_of(cast);
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(mfq_strips), choice);
  mfq_strips *s = choice->state;
  if (status == MFQ_OK) status = mfq_strips_plan_pair(context, &wanted, s, why);
  if (status != MFQ_OK) return status;
  choice->workspace_bytes = mfq_strips_bytes(s);
  mfq_choice_describe(choice, "vector loops (%s)", s->panels[0].kernels->isa);
  return MFQ_OK;
}

const mfq_way mfq_quantize_pairs = {"both directions from one read", plan_pairs, run_both, NULL};
