/* host/api/produce_softmax.c: checks softmax and its backward. */
#include <mfq/produce.h>

#include <float.h>
#include <string.h>

#include "host/core/check/operands.h"
#include "host/core/check/produced.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"

void mfq_softmaxing_init(mfq_softmaxing *softmaxing) {
  if (softmaxing == NULL) return;
  memset(softmaxing, 0, sizeof *softmaxing);
  softmaxing->struct_size = sizeof *softmaxing;
  softmaxing->scale = 1.0f;
}

void mfq_softmaxing_gradient_init(mfq_softmaxing_gradient *gradient) {
  if (gradient == NULL) return;
  memset(gradient, 0, sizeof *gradient);
  gradient->struct_size = sizeof *gradient;
  gradient->scale = 1.0f;
}

static void begin(mfq_making *m, int32_t op, float scale) {
  m->made.make.op = op;
  m->made.make.scale = scale;
  m->made.units = m->shape.shape[m->shape.rank - 1];
  m->made.make.count = (float)m->made.units;
}

static mfq_status check_softmaxing(mfq_where where, const mfq_softmaxing *s) {
  mfq_status status = mfq_argument_present(where, s);
  if (status == MFQ_OK) status = mfq_argument_struct(where, s, sizeof *s, "mfq_softmaxing_init");
  if (status != MFQ_OK) return status;
  const mfq_range causal = {"causal", s->causal, 0, 1};
  status = mfq_ranges_check(where, &causal, 1);
  return status == MFQ_OK ? mfq_number_check(where, "scale", s->scale, -FLT_MAX, FLT_MAX) : status;
}

mfq_status mfq_softmax_forward(mfq_context *context, const mfq_softmaxing *s) {
  MFQ_USUAL_FP_MODE;
  static const mfq_output_names outputs = {"softmaxing->y", "softmaxing->y.plain", "softmaxing->y.row",
                                           "softmaxing->y.col"};
  mfq_making m = {.function = "mfq_softmax_forward"};
  mfq_status status = mfq_argument_present((mfq_where){m.function, "context"}, context);
  if (status == MFQ_OK) status = check_softmaxing((mfq_where){m.function, "softmaxing"}, s);
  if (status == MFQ_OK) status = mfq_making_first(&m, "softmaxing->x", s->x, &m.made.in[0]);
  if (status != MFQ_OK) return status;
  begin(&m, MFQN_MAKE_SOFTMAX, s->scale);
  if (s->causal && m.shape.rank < 2)
    return mfq_fail(MFQ_ERROR_SHAPE, m.function,
                    "softmaxing->x: shape is %s, but causal is 1; scores have rank 2 or more, queries and keys last",
                    mfq_shape_write(m.shape.rank, m.shape.shape).text);
  m.made.is_causal = s->causal;
  m.made.queries = s->causal ? m.shape.shape[m.shape.rank - 2] : 1;
  status = mfq_making_outputs(&m, &outputs, &s->y, m.made.units, "");
  return status == MFQ_OK ? mfq_making_run(&m, context) : status;
}

static mfq_status check_gradient(mfq_where where, const mfq_softmaxing_gradient *g) {
  mfq_status status = mfq_argument_present(where, g);
  if (status == MFQ_OK) status = mfq_argument_struct(where, g, sizeof *g, "mfq_softmaxing_gradient_init");
  if (status == MFQ_OK) status = mfq_argument_present((mfq_where){where.function, "gradient->dy"}, g->dy);
  return status == MFQ_OK ? mfq_number_check(where, "scale", g->scale, -FLT_MAX, FLT_MAX) : status;
}

mfq_status mfq_softmax_backward(mfq_context *context, const mfq_softmaxing_gradient *g) {
  MFQ_USUAL_FP_MODE;
  static const mfq_output_names outputs = {"gradient->dx", "gradient->dx.plain", "gradient->dx.row",
                                           "gradient->dx.col"};
  mfq_making m = {.function = "mfq_softmax_backward"};
  mfq_status status = mfq_argument_present((mfq_where){m.function, "context"}, context);
  if (status == MFQ_OK) status = check_gradient((mfq_where){m.function, "gradient"}, g);
  if (status == MFQ_OK) status = mfq_making_first(&m, "gradient->y", g->y, &m.made.in[0]);
  if (status != MFQ_OK) return status;
  begin(&m, MFQN_MAKE_SOFTMAX_BACKWARD, g->scale);
  const mfq_made_argument dy = {"gradient->dy", g->dy, MFQ_OF_ELEMENTS, 0, m.made.units};
  status = mfq_making_take(&m, dy, &m.made.in[1]);
  if (status == MFQ_OK) status = mfq_making_outputs(&m, &outputs, &g->dx, m.made.units, "");
  return status == MFQ_OK ? mfq_making_run(&m, context) : status;
}
