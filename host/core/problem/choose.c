/* host/core/problem/choose.c: the one loop over ways. Descriptions are put together here from names, what a way says of
 * itself, and refusals, so that they read alike for every operation and backend. */
#include "choose.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/core/module/context_state.h"
#include "host/core/error.h"

/* ---- What is said ------------------------------------------------------------------------------------------------ */

mfq_status mfq_refuse(mfq_line *why, const char *format, ...) {
  if (why == NULL) return MFQ_ERROR_UNSUPPORTED;
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(why->text, sizeof why->text, format, arguments);
  va_end(arguments);
  return MFQ_ERROR_UNSUPPORTED;
}

void mfq_choice_describe(mfq_choice *choice, const char *format, ...) {
  if (choice->is_quiet) return;
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(choice->description, sizeof choice->description, format, arguments);
  va_end(arguments);
}

/* As much as there is room for. */
static void append(mfq_choice *choice, const char *separator, const char *text) {
  const size_t used = strlen(choice->description);
  (void)snprintf(choice->description + used, sizeof choice->description - used, "%s%s", separator, text);
}

/* Puts the name before what the way said of itself, and refusals behind it. */
static void describe(mfq_choice *choice, const mfq_ways *ways, const mfq_line *refusals, int32_t first, int32_t end) {
  mfq_line of_way;
  char how[sizeof choice->description];
  memcpy(how, choice->description, sizeof how);
  choice->description[0] = '\0';
  append(choice, "", choice->way->name);
  append(choice, choice->way->name[0] != '\0' && how[0] != '\0' ? ": " : "", how);
  for (int32_t i = first; i < end; ++i) {
    const int32_t k = ways->nearest_first ? first + end - 1 - i : i;
    if (refusals[k].text[0] == '\0') continue;
    (void)snprintf(of_way.text, sizeof of_way.text, "%s: ", ways->ways[k]->name);
    append(choice, "; not ", of_way.text);
    append(choice, "", refusals[k].text);
  }
  if (first > 0) append(choice, "; not the others: ", ways->reproducible);
}

/* ---- The choice -------------------------------------------------------------------------------------------------- */

static int32_t last_of(const mfq_ways *ways) {
  int32_t last = 0;
  while (ways->ways[last + 1] != NULL) ++last;
  return last;
}

/* Asks the ways in their order; `refusals` NULL: without a word. */
static mfq_status ask(mfq_context *context, const mfq_ways *ways, const void *problem, mfq_line *refusals,
                      mfq_choice *choice) {
  const int32_t first = ways->reproducible != NULL && context->policy == MFQ_REPRODUCIBLE ? last_of(ways) : 0;
  mfq_status status = MFQ_ERROR_UNSUPPORTED;
  for (int32_t i = first; ways->ways[i] != NULL && status == MFQ_ERROR_UNSUPPORTED; ++i) {
    choice->way = ways->ways[i];
    choice->state = NULL;
    choice->workspace_bytes = 0;
    choice->is_general = 0;
    choice->description[0] = '\0';
    if (refusals != NULL) refusals[i].text[0] = '\0';
    status = choice->way->plan(context, problem, choice, refusals != NULL ? &refusals[i] : NULL);
    if (status == MFQ_OK && refusals != NULL) describe(choice, ways, refusals, first, i);
    if (status != MFQ_OK) mfq_choice_free(context, choice);
  }
  if (status != MFQ_ERROR_UNSUPPORTED) return status;
  mfq_line last = {""};
  if (refusals == NULL) { /* asked again, since nobody listened */
    (void)choice->way->plan(context, problem, choice, &last);
    mfq_choice_free(context, choice);
  }
  return mfq_fail(status, ways->create, "no implementation takes it; the last one says: %s",
                  refusals != NULL ? refusals[last_of(ways)].text : last.text);
}

mfq_status mfq_choose_in(mfq_context *context, const mfq_ways *ways, const void *problem, mfq_room room,
                         int32_t is_quiet, mfq_choice *choice) {
  mfq_line refusals[MFQ_MOST_WAYS];
  choice->room = room;
  choice->is_quiet = is_quiet;
  return ask(context, ways, problem, is_quiet ? NULL : refusals, choice);
}

mfq_status mfq_choose(mfq_context *context, const mfq_ways *ways, const void *problem, mfq_choice *choice) {
  memset(choice, 0, sizeof *choice);
  return mfq_choose_in(context, ways, problem, (mfq_room){NULL, 0}, 0, choice);
}

mfq_status mfq_choice_run(mfq_context *context, const mfq_choice *choice, const void *problem, uint8_t *workspace) {
  return choice->way->run(context, choice->state, problem, workspace);
}

void mfq_choice_free(mfq_context *context, mfq_choice *choice) {
  if (choice->state != NULL) {
    if (choice->way->free != NULL) choice->way->free(context, choice->state);
    if (choice->room.memory == NULL) context->free(context->alloc_user, choice->state);
  }
  choice->state = NULL;
}

/* ---- For ways ---------------------------------------------------------------------------------------------------- */

mfq_status mfq_choice_state(mfq_context *context, const char *function, size_t bytes, mfq_choice *choice) {
  const mfq_room room = choice->room;
  if (room.memory != NULL && bytes > room.bytes)
    return mfq_fail(MFQ_ERROR_INTERNAL, function, "a plan of %zu bytes for a room of %zu", bytes, room.bytes);
  choice->state = room.memory != NULL ? room.memory : context->alloc(context->alloc_user, bytes);
  if (choice->state == NULL)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, function, "no memory for %zu bytes of plan", bytes);
  memset(choice->state, 0, bytes);
  return MFQ_OK;
}

void mfq_choice_hand_on(mfq_choice *choice, const mfq_choice *to) {
  choice->workspace_bytes = to->workspace_bytes;
  choice->is_general = to->is_general;
  memcpy(choice->description, to->description, sizeof choice->description);
}

mfq_status mfq_plan_general(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  (void)context;
  (void)problem;
  (void)why;
  choice->is_general = 1;
  mfq_choice_describe(choice, "element by element");
  return MFQ_OK;
}
