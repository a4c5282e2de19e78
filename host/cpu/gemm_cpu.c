/* host/cpu/gemm_cpu.c: the list of implementations of a product, and the choice. */
#include "gemm_cpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../core/error.h"
#include "cpu_state.h"

static const mfq_gemm_row *const rows[] = {&mfq_gemm_few_rows, &mfq_gemm_expanded, &mfq_gemm_reference};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* What a choice's state points at. */
typedef struct chosen {
  const mfq_gemm_row *row;
  void *state;
} chosen;

__attribute__((format(printf, 2, 3))) static void append(mfq_choice *choice, const char *format, ...) {
  const size_t used = strlen(choice->description);
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(choice->description + used, sizeof choice->description - used, format, arguments);
  va_end(arguments);
}

void mfq_cpu_describe(mfq_choice *choice, const char *name, const mfq_line *how, const mfq_refusal *refused,
                      int count) {
  choice->description[0] = '\0';
  append(choice, "%s: %s", name, how->text);
  for (int i = count; i-- > 0;) append(choice, "; not %s: %s", refused[i].name, refused[i].why.text);
}

mfq_status mfq_cpu_gemm_plan(mfq_context *context, const mfq_gemm_problem *problem, mfq_choice *choice) {
  mfq_refusal refused[ROWS];
  int k = 0;
  for (; k < ROWS - 1 && rows[k]->refuse(context, problem, &refused[k].why); ++k) refused[k].name = rows[k]->name;
  chosen *made_of = context->alloc(context->alloc_user, sizeof *made_of);
  if (!made_of)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_gemm_plan_create", "no memory for %zu bytes of plan",
                    sizeof *made_of);
  mfq_gemm_made made = {NULL, 0, {""}};
  const mfq_status status = rows[k]->plan(context, problem, &made);
  if (status != MFQ_OK) {
    context->free(context->alloc_user, made_of);
    return status;
  }
  *made_of = (chosen){rows[k], made.state};
  choice->state = made_of;
  choice->workspace_bytes = made.workspace_bytes;
  choice->is_general = k == ROWS - 1;
  mfq_cpu_describe(choice, rows[k]->name, &made.how, refused, k);
  return MFQ_OK;
}

void mfq_cpu_gemm_plan_free(mfq_context *context, mfq_choice *choice) {
  chosen *made_of = choice->state;
  if (!made_of) return;
  made_of->row->plan_free(context, made_of->state);
  context->free(context->alloc_user, made_of);
  choice->state = NULL;
}

mfq_status mfq_cpu_gemm_run(mfq_context *context, const mfq_choice *choice, const mfq_gemm_problem *problem,
                            void *workspace) {
  const chosen *made_of = choice->state;
  return made_of->row->run(context, made_of->state, problem, workspace);
}
