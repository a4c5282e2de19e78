/* host/api/embedding.c: checks rows of tables that are gathered, and gradients that are summed into them. What indices hold
 * is the backend's business: only a CPU can look. */
#include <mfq/embedding.h>

#include <string.h>

#include "host/core/check/indexed.h"
#include "host/core/check/operands.h"
#include "host/core/check/suits.h"
#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/process/fp_mode.h"

void mfq_gathering_init(mfq_gathering *gathering) {
  if (gathering == NULL) return;
  memset(gathering, 0, sizeof *gathering);
  gathering->struct_size = sizeof *gathering;
}

void mfq_scattering_init(mfq_scattering *scattering) {
  if (scattering == NULL) return;
  memset(scattering, 0, sizeof *scattering);
  scattering->struct_size = sizeof *scattering;
  scattering->padding = -1;
}

/* ---- Gather ------------------------------------------------------------------------------------------------------ */

/* A call under check: one of the two tables, and what both operations have. */
typedef struct rows_call {
  mfq_parts parts;
  mfq_tensor table, rows;
  mfq_qview view;
} rows_call;

static mfq_status check_gathering(const char *function, const mfq_gathering *g) {
  const mfq_where where = {function, "gathering"};
  mfq_status status = mfq_argument_present(where, g);
  if (status == MFQ_OK) status = mfq_argument_struct(where, g, sizeof *g, "mfq_gathering_init");
  if (status != MFQ_OK) return status;
  const mfq_alternatives either = {{"plain", "quantized"}, {g->plain, g->quantized}};
  return mfq_alternatives_check(where, either);
}

static mfq_status take_plain(const char *function, const mfq_gathering *g, rows_call *call) {
  const mfq_where where = {function, "gathering->plain"};
  const mfq_status status = mfq_argument_tensor(where, g->plain, 0, &call->parts, &call->table);
  return status == MFQ_OK ? mfq_table_check(where, call->table.rank, call->table.shape) : status;
}

static mfq_status take_codes(const char *function, const mfq_gathering *g, rows_call *call) {
  const mfq_where where = {function, "gathering->quantized"};
  mfq_status status = mfq_qview_init(where, g->quantized, &call->view);
  if (status == MFQ_OK) status = mfq_table_check(where, call->view.q.rank, call->view.q.shape);
  if (status == MFQ_OK) status = mfq_scheme_suits(where, MFQ_OP_GATHER, &call->view.q.scheme);
  return status == MFQ_OK ? mfq_argument_parts(where, &call->view, (mfq_use){MFQ_USE_ALL, 0}, &call->parts) : status;
}

mfq_status mfq_gather(mfq_context *context, const mfq_gathering *gathering) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_gather";
  const mfq_where of_y = {function, "gathering->y"};
  rows_call call = {.parts = {.count = 0}};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = check_gathering(function, gathering);
  if (status != MFQ_OK) return status;
  const int is_plain = gathering->plain != NULL;
  status = is_plain ? take_plain(function, gathering, &call) : take_codes(function, gathering, &call);
  if (status == MFQ_OK)
    status = mfq_take_indices((mfq_where){function, "gathering->indices"}, &gathering->indices, &call.parts);
  if (status == MFQ_OK) status = mfq_argument_tensor(of_y, gathering->y, 1, &call.parts, &call.rows);
  if (status == MFQ_OK)
    status =
        mfq_rows_check(of_y, &call.rows, &gathering->indices, is_plain ? call.table.shape[1] : call.view.q.shape[1]);
  if (status == MFQ_OK) status = mfq_parts_check(context, &call.parts);
  if (status != MFQ_OK) return status;
  const mfq_indexing indexing = {.indices = gathering->indices,
                                 .argument = "gathering->indices",
                                 .rows = is_plain ? call.table.shape[0] : call.view.q.shape[0],
                                 .padding = -1};
  const mfq_cast cast = {.op = MFQ_OP_GATHER,
                         .function = function,
                         .src = is_plain ? &call.table : NULL,
                         .view = is_plain ? NULL : &call.view,
                         .dst = &call.rows,
                         .indexing = &indexing};
  return context->backend->cast(context, &cast);
}

/* ---- Scatter ----------------------------------------------------------------------------------------------------- */

static mfq_status check_scattering(const char *function, const mfq_scattering *s) {
  const mfq_where where = {function, "scattering"};
  mfq_status status = mfq_argument_present(where, s);
  if (status == MFQ_OK) status = mfq_argument_struct(where, s, sizeof *s, "mfq_scattering_init");
  const mfq_range accumulate = {"accumulate", status == MFQ_OK ? s->accumulate : 0, 0, 1};
  return status == MFQ_OK ? mfq_ranges_check(where, &accumulate, 1) : status;
}

mfq_status mfq_scatter_add(mfq_context *context, const mfq_scattering *scattering) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_scatter_add";
  const mfq_where of_dy = {function, "scattering->dy"}, of_table = {function, "scattering->dweight"};
  rows_call call = {.parts = {.count = 0}};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = check_scattering(function, scattering);
  if (status == MFQ_OK) status = mfq_argument_tensor(of_table, scattering->dweight, 1, &call.parts, &call.table);
  if (status == MFQ_OK) status = mfq_table_check(of_table, call.table.rank, call.table.shape);
  if (status == MFQ_OK)
    status = mfq_padding_check((mfq_where){function, "scattering"}, scattering->padding, call.table.shape[0]);
  if (status == MFQ_OK)
    status = mfq_take_indices((mfq_where){function, "scattering->indices"}, &scattering->indices, &call.parts);
  if (status == MFQ_OK) status = mfq_argument_tensor(of_dy, scattering->dy, 0, &call.parts, &call.rows);
  if (status == MFQ_OK) status = mfq_rows_check(of_dy, &call.rows, &scattering->indices, call.table.shape[1]);
  if (status == MFQ_OK) status = mfq_parts_check(context, &call.parts);
  if (status != MFQ_OK) return status;
  const mfq_indexing indexing = {.indices = scattering->indices,
                                 .argument = "scattering->indices",
                                 .rows = call.table.shape[0],
                                 .padding = scattering->padding,
                                 .accumulate = scattering->accumulate};
  const mfq_cast cast = {
      .op = MFQ_OP_SCATTER_ADD, .function = function, .src = &call.rows, .dst = &call.table, .indexing = &indexing};
  return context->backend->cast(context, &cast);
}
