/* host/core/problem/cast_problem.c: the choice among the ways of a cast, and the way that is two casts. */
#include "cast_problem.h"

#include "host/core/module/context_state.h"

static mfq_status choose(mfq_context *context, const mfq_cast *cast, mfq_room room, int32_t is_quiet,
                         mfq_choice *choice) {
  return mfq_choose_in(context, context->backend->ways[cast->op], cast, room, is_quiet, choice);
}

mfq_status mfq_cast_choose(mfq_context *context, const mfq_cast *cast, mfq_cast_plan *plan) {
  const int32_t is_quiet = context->log_level < MFQ_LOG_DEBUG;
  const mfq_room room = {plan->state, sizeof plan->state};
  const mfq_status status = choose(context, cast, room, is_quiet, &plan->choice);
  if (status == MFQ_OK && !is_quiet)
    mfq_context_log(context, MFQ_LOG_DEBUG, "%s: %s", cast->function, plan->choice.description);
  return status;
}

/* ---- Two directions, one after the other ------------------------------------------------------------------------- */

/* The memory of both is known before either is written. */
static mfq_status plan_directions(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (cast->other == NULL) return mfq_refuse(why, "%s", "");
  mfq_status status = mfq_choice_state(context, cast->function, 2 * sizeof(mfq_cast_part), choice);
  mfq_cast_part *parts = choice->state;
  for (int i = 0; i < 2 && status == MFQ_OK; ++i) {
    parts[i].cast = *cast;
    parts[i].cast.view = i == 0 ? cast->view : cast->other;
    parts[i].cast.other = NULL;
    const mfq_room room = {parts[i].state, sizeof parts[i].state};
    status = choose(context, &parts[i].cast, room, choice->is_quiet, &parts[i].choice);
    if (status != MFQ_OK) break;
    choice->is_general |= parts[i].choice.is_general;
    if (parts[i].choice.workspace_bytes > choice->workspace_bytes)
      choice->workspace_bytes = parts[i].choice.workspace_bytes;
  }
  if (status == MFQ_OK)
    mfq_choice_describe(choice, "%s, then %s", parts[0].choice.description, parts[1].choice.description);
  return status;
}

static mfq_status run_directions(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  const mfq_cast_part *parts = state;
  const mfq_status status = mfq_choice_run(context, &parts[0].choice, &parts[0].cast, workspace);
  (void)problem;
  return status == MFQ_OK ? mfq_choice_run(context, &parts[1].choice, &parts[1].cast, workspace) : status;
}

const mfq_way mfq_cast_directions = {"", plan_directions, run_directions, NULL};
