/* host/api/produce_activation.c: checks activations, gated or not, and their backward. */
#include <mfq/produce.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "host/core/check/operands.h"
#include "host/core/check/produced.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"

_Static_assert((int)MFQ_ACTIVATION_SILU == MFQN_ACTIVATION_SILU && (int)MFQ_ACTIVATION_RELU == MFQN_ACTIVATION_RELU &&
                   (int)MFQ_ACTIVATION_GELU == MFQN_ACTIVATION_GELU &&
                   (int)MFQ_ACTIVATION_GELU_TANH == MFQN_ACTIVATION_GELU_TANH,
               "num sees no public header");

void mfq_activating_init(mfq_activating *activating) {
  if (activating == NULL) return;
  memset(activating, 0, sizeof *activating);
  activating->struct_size = sizeof *activating;
  activating->slope = 1.0f;
}

void mfq_activating_gradient_init(mfq_activating_gradient *gradient) {
  if (gradient == NULL) return;
  memset(gradient, 0, sizeof *gradient);
  gradient->struct_size = sizeof *gradient;
  gradient->slope = 1.0f;
}

/* What forward and backward have in common. */
typedef struct activation_kind {
  mfq_activation activation;
  mfq_gate gate;
  float limit, slope, offset;
} activation_kind;

static mfq_status check_slope(mfq_where where, const activation_kind *kind) {
  const float most = 1024.0f;
  if (kind->activation == MFQ_ACTIVATION_SILU) return mfq_number_check(where, "slope", kind->slope, 1.0f / most, most);
  if (kind->slope == 1.0f) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                  "%s: slope is %g, but activation is %d, which has none; leave it 1, or take MFQ_ACTIVATION_SILU (4)",
                  where.argument, (double)kind->slope, (int)kind->activation);
}

static mfq_status check_kind(mfq_where where, const activation_kind *kind) {
  const mfq_range ranges[] = {{"activation", (int64_t)kind->activation, MFQ_ACTIVATION_NONE, MFQ_ACTIVATION_SILU},
                              {"gate", (int64_t)kind->gate, MFQ_GATE_NONE, MFQ_GATE_INTERLEAVED}};
  mfq_status status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  if (status == MFQ_OK) status = check_slope(where, kind);
  if (status != MFQ_OK) return status;
  if (kind->gate == MFQ_GATE_NONE && (kind->limit != 0.0f || kind->offset != 0.0f))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: %s is %g, but gate is MFQ_GATE_NONE (0), which has none; leave it 0", where.argument,
                    kind->limit != 0.0f ? "limit" : "offset",
                    (double)(kind->limit != 0.0f ? kind->limit : kind->offset));
  status = mfq_number_check(where, "limit", kind->limit, 0.0f, FLT_MAX);
  return status == MFQ_OK ? mfq_number_check(where, "offset", kind->offset, -FLT_MAX, FLT_MAX) : status;
}

static void begin(mfq_making *m, int32_t op, const activation_kind *kind) {
  mfqn_make *make = &m->made.make;
  make->op = op;
  make->activation = (int32_t)kind->activation;
  make->is_gated = kind->gate != MFQ_GATE_NONE;
  make->limit = kind->limit != 0.0f ? kind->limit : INFINITY;
  make->offset = kind->offset != 0.0f ? kind->offset : -0.0f; /* which adds nothing to 0 either */
  make->slope = kind->slope;
}

/* Checks x, whose shape decides, and makes the sides of gate and up, half of its columns each. */
static mfq_status take_x(mfq_making *m, const char *name, const mfq_tensor *x, mfq_gate gate) {
  mfq_made *made = &m->made;
  const mfq_status status = mfq_making_first(m, name, x, &made->in[0]);
  if (status != MFQ_OK) return status;
  const int64_t cols = m->shape.shape[m->shape.rank - 1];
  made->units = gate == MFQ_GATE_NONE ? cols : cols / 2;
  made->make.count = (float)made->units;
  if (gate == MFQ_GATE_NONE) return MFQ_OK;
  if (cols % 2 != 0)
    return mfq_fail(MFQ_ERROR_SHAPE, m->function,
                    "%s: shape is %s; the last axis holds gates and ups, an even number together", name,
                    mfq_shape_write(m->shape.rank, m->shape.shape).text);
  const int64_t bytes = (int64_t)mfq_dtype_bytes(made->in[0].dtype), stride = made->in[0].col_stride;
  made->in[1] = made->in[0];
  if (cols > 0) made->in[1].data += (gate == MFQ_GATE_HALVES ? made->units * stride : stride) * bytes;
  if (gate == MFQ_GATE_INTERLEAVED) made->in[0].col_stride = made->in[1].col_stride = 2 * stride;
  m->input_count = 0; /* results have other places */
  return MFQ_OK;
}

mfq_status mfq_activation_forward(mfq_context *context, const mfq_activating *a) {
  MFQ_USUAL_FP_MODE;
  static const mfq_output_names outputs = {"activating->y", "activating->y.plain", "activating->y.row",
                                           "activating->y.col"};
  mfq_making m = {.function = "mfq_activation_forward"};
  const mfq_where where = {m.function, "activating"};
  mfq_status status = mfq_argument_present((mfq_where){m.function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present(where, a);
  if (status == MFQ_OK) status = mfq_argument_struct(where, a, sizeof *a, "mfq_activating_init");
  if (status != MFQ_OK) return status;
  const activation_kind kind = {a->activation, a->gate, a->limit, a->slope, a->offset};
  status = check_kind(where, &kind);
  if (status != MFQ_OK) return status;
  begin(&m, MFQN_MAKE_ACTIVATION, &kind);
  status = take_x(&m, "activating->x", a->x, a->gate);
  if (status == MFQ_OK) status = mfq_making_outputs(&m, &outputs, &a->y, m.made.units, "");
  return status == MFQ_OK ? mfq_making_run(&m, context) : status;
}

/* Where x is not read its shape is that of dy. */
static mfq_status take_gradient(mfq_making *m, const mfq_activating_gradient *g) {
  mfq_made *made = &m->made;
  const int is_alone = g->activation == MFQ_ACTIVATION_NONE && g->gate == MFQ_GATE_NONE && g->x == NULL;
  mfq_status status = take_x(m, is_alone ? "gradient->dy" : "gradient->x", is_alone ? g->dy : g->x, g->gate);
  if (status == MFQ_OK && !is_alone) status = mfq_argument_present((mfq_where){m->function, "gradient->dy"}, g->dy);
  if (status != MFQ_OK) return status;
  const mfq_made_argument dy = {"gradient->dy", g->dy, MFQ_OF_ELEMENTS, 0, made->units};
  const int64_t cols = m->shape.shape[m->shape.rank - 1];
  const mfq_made_argument dbias = {"gradient->dbias", g->dbias, MFQ_OF_COLUMNS, 1, cols};
  if (is_alone)
    made->in[2] = made->in[0];
  else
    status = mfq_making_take(m, dy, &made->in[2]);
  if (g->gate == MFQ_GATE_HALVES) made->make.pairs = MFQN_PAIRS_HALVES;
  if (g->gate == MFQ_GATE_INTERLEAVED) made->make.pairs = MFQN_PAIRS_INTERLEAVED;
  made->accumulate = g->accumulate;
  return status == MFQ_OK ? mfq_making_take(m, dbias, &made->column_sums[0]) : status;
}

mfq_status mfq_activation_backward(mfq_context *context, const mfq_activating_gradient *g) {
  MFQ_USUAL_FP_MODE;
  static const mfq_output_names outputs = {"gradient->dx", "gradient->dx.plain", "gradient->dx.row",
                                           "gradient->dx.col"};
  mfq_making m = {.function = "mfq_activation_backward"};
  const mfq_where where = {m.function, "gradient"};
  mfq_status status = mfq_argument_present((mfq_where){m.function, "context"}, context);
  if (status == MFQ_OK) status = mfq_argument_present(where, g);
  if (status == MFQ_OK) status = mfq_argument_struct(where, g, sizeof *g, "mfq_activating_gradient_init");
  if (status != MFQ_OK) return status;
  const activation_kind kind = {g->activation, g->gate, g->limit, g->slope, g->offset};
  const mfq_range accumulate = {"accumulate", g->accumulate, 0, 1};
  status = check_kind(where, &kind);
  if (status == MFQ_OK) status = mfq_ranges_check(where, &accumulate, 1);
  if (status != MFQ_OK) return status;
  begin(&m, MFQN_MAKE_ACTIVATION_BACKWARD, &kind);
  status = take_gradient(&m, g);
  const int64_t cols = status == MFQ_OK ? m.shape.shape[m.shape.rank - 1] : 0;
  if (status == MFQ_OK) status = mfq_making_outputs(&m, &outputs, &g->dx, cols, g->dbias != NULL ? NULL : ", or dbias");
  return status == MFQ_OK ? mfq_making_run(&m, context) : status;
}
