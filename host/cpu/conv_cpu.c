/* host/cpu/conv_cpu.c: the list of implementations of a convolution, and the choice. */
#include "conv_cpu.h"

#include "../core/error.h"
#include "conv_expand.h"
#include "cpu_onednn.h"

static const mfq_conv_row *const rows[] = {&mfq_conv_expanded, &mfq_conv_reference};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* What a choice's state points at. */
typedef struct chosen {
  const mfq_conv_row *row;
  void *state;
} chosen;

mfq_status mfq_cpu_conv_plan(mfq_context *context, const mfq_conv_problem *problem, mfq_choice *choice) {
  mfq_refusal refused[ROWS];
  int k = 0;
  for (; k < ROWS - 1 && rows[k]->refuse(context, problem, &refused[k].why); ++k) refused[k].name = rows[k]->name;
  chosen *made_of = context->alloc(context->alloc_user, sizeof *made_of);
  if (!made_of)
    return mfq_fail(MFQ_ERROR_OUT_OF_MEMORY, "mfq_conv_plan_create", "no memory for %zu bytes of plan",
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

void mfq_cpu_conv_plan_free(mfq_context *context, mfq_choice *choice) {
  chosen *made_of = choice->state;
  if (!made_of) return;
  made_of->row->plan_free(context, made_of->state);
  context->free(context->alloc_user, made_of);
  choice->state = NULL;
}

mfq_status mfq_cpu_conv_run(mfq_context *context, const mfq_choice *choice, const mfq_conv_problem *problem,
                            void *workspace) {
  const chosen *made_of = choice->state;
  return made_of->row->run(context, made_of->state, problem, workspace);
}

/* oneDNN's convolutions by one element are faster than its products where pixels are many, but want the filter in an
 * order of their own: measured, with 4 pixels and more for each channel that pays. */
enum { PIXELS_OF_CHANNEL = 4 };

int mfq_cpu_conv_beats_product(const mfq_context *context, const mfq_conv_problem *p) {
  char unused[1];
  const int64_t pixels = p->batch * p->out[0] * p->out[1] * p->out[2];
  const int64_t channels = p->in_channels > p->out_channels ? p->in_channels : p->out_channels;
  const int is_fast = context->policy == MFQ_FAST && mfq_cpu_kernels(context) != NULL;
  return is_fast && p->direction != MFQ_CONV_WEIGHT_GRADIENT && p->finish.k > 0 &&
         pixels >= PIXELS_OF_CHANNEL * channels &&
         mfq_cpu_onednn(context, mfq_conv_array_dtype(p), unused, sizeof unused) != NULL;
}
