/* host/api/produce_norm.c: checks norms and their backward. */
#include <mfq/produce.h>

#include <float.h>
#include <string.h>

#include "host/core/check/operands.h"
#include "host/core/check/produced.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"

void mfq_norm_init(mfq_norm *norm) {
  if (norm == NULL) return;
  memset(norm, 0, sizeof *norm);
  norm->struct_size = sizeof *norm;
  norm->epsilon = 1e-5f;
}

void mfq_norm_gradient_init(mfq_norm_gradient *gradient) {
  if (gradient == NULL) return;
  memset(gradient, 0, sizeof *gradient);
  gradient->struct_size = sizeof *gradient;
}

/* What forward and backward have in common. */
static void begin(mfq_making *m, int32_t op, mfq_norm_kind kind) {
  m->made.make.op = op;
  m->made.make.is_centred = kind == MFQ_NORM_LAYER;
  m->made.units = m->shape.shape[m->shape.rank - 1];
  m->made.make.count = (float)m->made.units;
}

static mfq_status check_mean(mfq_where where, mfq_norm_kind kind, const mfq_tensor *mean) {
  if (kind == MFQ_NORM_LAYER || mean == NULL) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                  "%s: mean is given, but kind is MFQ_NORM_RMS (0), which has none; leave it NULL", where.argument);
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static mfq_status check_norm(mfq_where where, const mfq_norm *norm) {
  mfq_status status = mfq_argument_present(where, norm);
  if (status == MFQ_OK) status = mfq_argument_struct(where, norm, sizeof *norm, "mfq_norm_init");
  if (status != MFQ_OK) return status;
  const mfq_range kind = {"kind", (int64_t)norm->kind, MFQ_NORM_RMS, MFQ_NORM_LAYER};
  status = mfq_ranges_check(where, &kind, 1);
  if (status == MFQ_OK) status = mfq_number_check(where, "epsilon", norm->epsilon, 0.0f, FLT_MAX);
  return status == MFQ_OK ? check_mean(where, norm->kind, norm->mean) : status;
}

static mfq_status take_norm(mfq_making *m, const mfq_norm *norm) {
  mfq_made *made = &m->made;
  const int64_t cols = made->units;
  const mfq_made_argument gain = {"norm->gain", norm->gain, MFQ_OF_COLUMNS, 0, cols};
  const mfq_made_argument shift = {"norm->shift", norm->shift, MFQ_OF_COLUMNS, 0, cols};
  const mfq_made_argument residual = {"norm->residual", norm->residual, MFQ_OF_ELEMENTS, 0, cols};
  const mfq_made_argument sum = {"norm->sum", norm->sum, MFQ_OF_ELEMENTS, 1, cols};
  const mfq_made_argument mean = {"norm->mean", norm->mean, MFQ_OF_ROWS, 1, cols};
  const mfq_made_argument scale = {"norm->scale", norm->scale, MFQ_OF_ROWS, 1, cols};
  mfq_status status = mfq_making_take(m, residual, &made->in[1]);
  if (status == MFQ_OK) status = mfq_making_take(m, sum, &made->sum);
  if (status == MFQ_OK && norm->sum != NULL) (void)mfq_making_share(m);
  if (status == MFQ_OK) status = mfq_making_take(m, gain, &made->gain);
  if (status == MFQ_OK) status = mfq_making_take(m, shift, &made->shift);
  if (status == MFQ_OK) status = mfq_making_take(m, mean, &made->mean);
  return status == MFQ_OK ? mfq_making_take(m, scale, &made->scale) : status;
}

mfq_status mfq_norm_forward(mfq_context *context, const mfq_norm *norm) {
  MFQ_USUAL_FP_MODE;
  static const mfq_output_names outputs = {"norm->y", "norm->y.plain", "norm->y.row", "norm->y.col"};
  mfq_making m = {.function = "mfq_norm_forward"};
  mfq_status status = mfq_argument_present((mfq_where){m.function, "context"}, context);
  if (status == MFQ_OK) status = check_norm((mfq_where){m.function, "norm"}, norm);
  if (status == MFQ_OK) status = mfq_making_first(&m, "norm->x", norm->x, &m.made.in[0]);
  if (status != MFQ_OK) return status;
  begin(&m, MFQN_MAKE_NORM, norm->kind);
  m.made.make.epsilon = norm->epsilon;
  status = take_norm(&m, norm);
  if (status == MFQ_OK) status = mfq_making_outputs(&m, &outputs, &norm->y, m.made.units, "");
  return status == MFQ_OK ? mfq_making_run(&m, context) : status;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

static mfq_status check_gradient(mfq_where where, const mfq_norm_gradient *g) {
  mfq_status status = mfq_argument_present(where, g);
  if (status == MFQ_OK) status = mfq_argument_struct(where, g, sizeof *g, "mfq_norm_gradient_init");
  if (status != MFQ_OK) return status;
  const mfq_range ranges[] = {{"kind", (int64_t)g->kind, MFQ_NORM_RMS, MFQ_NORM_LAYER},
                              {"accumulate", g->accumulate, 0, 1}};
  status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  if (status == MFQ_OK) status = check_mean(where, g->kind, g->mean);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){where.function, "gradient->h"}, g->h);
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){where.function, "gradient->scale"}, g->scale);
  if (status == MFQ_OK && g->kind == MFQ_NORM_LAYER)
    status = mfq_argument_present((mfq_where){where.function, "gradient->mean"}, g->mean);
  return status;
}

static mfq_status take_gradient(mfq_making *m, const mfq_norm_gradient *g) {
  mfq_made *made = &m->made;
  const int64_t cols = made->units;
  const mfq_made_argument h = {"gradient->h", g->h, MFQ_OF_ELEMENTS, 0, cols};
  const mfq_made_argument gain = {"gradient->gain", g->gain, MFQ_OF_COLUMNS, 0, cols};
  const mfq_made_argument mean = {"gradient->mean", g->mean, MFQ_OF_ROWS, 0, cols};
  const mfq_made_argument scale = {"gradient->scale", g->scale, MFQ_OF_ROWS, 0, cols};
  const mfq_made_argument dresidual = {"gradient->dresidual", g->dresidual, MFQ_OF_ELEMENTS, 0, cols};
  const mfq_made_argument dgain = {"gradient->dgain", g->dgain, MFQ_OF_COLUMNS, 1, cols};
  const mfq_made_argument dshift = {"gradient->dshift", g->dshift, MFQ_OF_COLUMNS, 1, cols};
  mfq_status status = mfq_making_take(m, h, &made->in[1]);
  if (status == MFQ_OK) status = mfq_making_take(m, gain, &made->gain);
  if (status == MFQ_OK) status = mfq_making_take(m, mean, &made->mean);
  if (status == MFQ_OK) status = mfq_making_take(m, scale, &made->scale);
  if (status == MFQ_OK) status = mfq_making_take(m, dresidual, &made->in[2]);
  if (status == MFQ_OK) status = mfq_making_take(m, dgain, &made->column_sums[0]);
  return status == MFQ_OK ? mfq_making_take(m, dshift, &made->column_sums[1]) : status;
}

mfq_status mfq_norm_backward(mfq_context *context, const mfq_norm_gradient *gradient) {
  MFQ_USUAL_FP_MODE;
  static const mfq_output_names outputs = {"gradient->dx", "gradient->dx.plain", "gradient->dx.row",
                                           "gradient->dx.col"};
  mfq_making m = {.function = "mfq_norm_backward"};
  mfq_status status = mfq_argument_present((mfq_where){m.function, "context"}, context);
  if (status == MFQ_OK) status = check_gradient((mfq_where){m.function, "gradient"}, gradient);
  if (status == MFQ_OK) status = mfq_making_first(&m, "gradient->dy", gradient->dy, &m.made.in[0]);
  if (status != MFQ_OK) return status;
  begin(&m, MFQN_MAKE_NORM_BACKWARD, gradient->kind);
  m.made.accumulate = gradient->accumulate;
  status = take_gradient(&m, gradient);
  const int has_sums = gradient->dgain != NULL || gradient->dshift != NULL;
  if (status == MFQ_OK)
    status = mfq_making_outputs(&m, &outputs, &gradient->dx, m.made.units, has_sums ? NULL : ", or dgain or dshift");
  return status == MFQ_OK ? mfq_making_run(&m, context) : status;
}
