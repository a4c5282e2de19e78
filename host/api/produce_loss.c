/* host/api/produce_loss.c: checks the cross-entropy of rows of logits. What targets hold is the backend's business: only a
 * CPU can look. */
#include <mfq/produce.h>

#include <float.h>
#include <string.h>

#include "host/core/check/indexed.h"
#include "host/core/check/operands.h"
#include "host/core/check/produced.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"

void mfq_cross_entropy_loss_init(mfq_cross_entropy_loss *loss) {
  if (loss == NULL) return;
  memset(loss, 0, sizeof *loss);
  loss->struct_size = sizeof *loss;
  loss->ignored = -100;
  loss->gradient_scale = 1.0f;
}

static mfq_status check_loss(mfq_where where, const mfq_cross_entropy_loss *l) {
  mfq_status status = mfq_argument_present(where, l);
  if (status == MFQ_OK) status = mfq_argument_struct(where, l, sizeof *l, "mfq_cross_entropy_loss_init");
  if (status == MFQ_OK) status = mfq_number_check(where, "smoothing", l->smoothing, 0.0f, 1.0f);
  return status == MFQ_OK ? mfq_number_check(where, "gradient_scale", l->gradient_scale, -FLT_MAX, FLT_MAX) : status;
}

static void begin(mfq_making *m, const mfq_cross_entropy_loss *l) {
  mfqn_make *make = &m->made.make;
  m->made.units = m->shape.shape[m->shape.rank - 1];
  make->op = MFQN_MAKE_LOSS;
  make->count = (float)m->made.units;
  make->is_smoothed = l->smoothing != 0.0f;
  make->kept = 1.0f - l->smoothing;
  make->spread = make->is_smoothed ? l->smoothing / make->count : 0.0f;
  make->gradient_scale = l->gradient_scale;
  m->made.ignored = l->ignored;
  m->made.index_end = m->made.units;
}

static mfq_status take_targets(mfq_making *m, const mfq_indices *targets) {
  static const char name[] = "loss->targets";
  const mfq_status status = mfq_take_indices((mfq_where){m->function, name}, targets, &m->parts);
  m->made.indices = *targets;
  m->made.argument = name;
  if (status != MFQ_OK || targets->count == m->made.rows) return status;
  return mfq_fail(MFQ_ERROR_SHAPE, m->function, "%s: count is %lld; allowed is %lld, one a row of loss->logits", name,
                  (long long)targets->count, (long long)m->made.rows);
}

/* One float32. */
static mfq_status take_mean(mfq_making *m, const mfq_tensor *given) {
  static const char name[] = "loss->loss";
  mfq_tensor mean;
  if (given == NULL) return MFQ_OK;
  const mfq_status status = mfq_argument_tensor((mfq_where){m->function, name}, given, 1, &m->parts, &mean);
  if (status != MFQ_OK) return status;
  if (mean.dtype != MFQ_DTYPE_F32)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, m->function, "%s: dtype is %s; allowed is f32", name,
                    mfq_dtype_name(mean.dtype));
  if (!mfq_shape_is(&mean, 0, NULL))
    return mfq_fail(MFQ_ERROR_SHAPE, m->function, "%s: shape is %s; allowed is one element, [] or [1]", name,
                    mfq_shape_write(mean.rank, mean.shape).text);
  m->made.loss.data = mean.data;
  m->made.loss.dtype = mean.dtype;
  return MFQ_OK;
}

mfq_status mfq_cross_entropy(mfq_context *context, const mfq_cross_entropy_loss *loss) {
  MFQ_USUAL_FP_MODE;
  static const mfq_output_names outputs = {"loss->dlogits", "loss->dlogits.plain", "loss->dlogits.row",
                                           "loss->dlogits.col"};
  mfq_making m = {.function = "mfq_cross_entropy"};
  mfq_status status = mfq_argument_present((mfq_where){m.function, "context"}, context);
  if (status == MFQ_OK) status = check_loss((mfq_where){m.function, "loss"}, loss);
  if (status == MFQ_OK) status = mfq_making_first(&m, "loss->logits", loss->logits, &m.made.in[0]);
  if (status != MFQ_OK) return status;
  begin(&m, loss);
  const mfq_made_argument losses = {"loss->losses", loss->losses, MFQ_OF_ROWS, 1, m.made.units};
  status = take_targets(&m, &loss->targets);
  if (status == MFQ_OK) status = mfq_making_take(&m, losses, &m.made.losses);
  if (status == MFQ_OK) status = take_mean(&m, loss->loss);
  const int has_loss = loss->losses != NULL || loss->loss != NULL;
  if (status == MFQ_OK)
    status = mfq_making_outputs(&m, &outputs, &loss->dlogits, m.made.units, has_loss ? NULL : ", or losses or loss");
  return status == MFQ_OK ? mfq_making_run(&m, context) : status;
}
