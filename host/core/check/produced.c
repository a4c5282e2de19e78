/* host/core/check/produced.c: tensors of producers: shapes that follow from the first one, sides, shared memory. */
#include "produced.h"

#include <string.h>

#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/problem/cast_problem.h"

mfq_status mfq_number_check(mfq_where where, const char *name, float value, float low, float high) {
  if (value >= low && value <= high) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: %s is %g; allowed is %g ... %g", where.argument,
                  name, (double)value, (double)low, (double)high);
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

static void side_of(const mfq_tensor *t, mfq_place_of place, mfq_made_side *side) {
  static uint8_t empty; /* what has no elements may have no memory, and is there all the same */
  const int32_t row_axes = place == MFQ_OF_COLUMNS ? 0 : place == MFQ_OF_ROWS ? t->rank : t->rank - 1;
  memset(side, 0, sizeof *side);
  side->data = t->data != NULL ? t->data : &empty;
  side->dtype = t->dtype;
  for (int32_t i = 0; i < row_axes; ++i) side->row_strides[i] = t->strides[i];
  if (place != MFQ_OF_ROWS) side->col_stride = t->strides[t->rank - 1];
}

static void remember_input(mfq_making *m, const mfq_tensor *t) {
  m->inputs[m->input_count].tensor = *t;
  m->inputs[m->input_count++].part = m->parts.count - 1;
}

mfq_status mfq_making_first(mfq_making *m, const char *name, const mfq_tensor *given, mfq_made_side *side) {
  mfq_tensor view;
  const mfq_status status = mfq_argument_tensor((mfq_where){m->function, name}, given, 0, &m->parts, &view);
  if (status != MFQ_OK) return status;
  m->first = name;
  m->shape = view;
  m->made.axes = view.rank - 1;
  m->made.rows = 1;
  for (int32_t i = 0; i + 1 < view.rank; ++i) {
    m->made.shape[i] = view.shape[i];
    m->made.rows *= view.shape[i];
  }
  side_of(&view, MFQ_OF_ELEMENTS, side);
  remember_input(m, &view);
  return MFQ_OK;
}

/* The shape that an argument must have. */
static void shape_of(const mfq_making *m, const mfq_made_argument *a, mfq_tensor *shape) {
  *shape = m->shape;
  shape->shape[shape->rank - 1] = a->cols;
  if (a->place == MFQ_OF_ROWS) shape->rank -= 1;
  if (a->place != MFQ_OF_COLUMNS) return;
  shape->rank = 1;
  shape->shape[0] = a->cols;
}

static mfq_status check_shape(const mfq_making *m, const mfq_made_argument *a, int32_t rank, const int64_t *shape) {
  mfq_tensor wanted;
  shape_of(m, a, &wanted);
  const mfq_tensor given = {.rank = rank};
  mfq_tensor compared = given;
  memcpy(compared.shape, shape, (size_t)rank * sizeof *shape);
  if (mfq_shape_is(&compared, wanted.rank, wanted.shape)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_SHAPE, m->function, "%s: shape is %s; allowed is %s, which follows from %s", a->name,
                  mfq_shape_write(rank, shape).text, mfq_shape_write(wanted.rank, wanted.shape).text, m->first);
}

mfq_status mfq_making_take(mfq_making *m, mfq_made_argument a, mfq_made_side *side) {
  const mfq_where where = {m->function, a.name};
  mfq_tensor view;
  if (a.given == NULL) return MFQ_OK;
  mfq_status status = mfq_argument_tensor(where, a.given, a.is_written, &m->parts, &view);
  if (status == MFQ_OK && a.place == MFQ_OF_ROWS && view.dtype != MFQ_DTYPE_F32)
    status = mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, m->function, "%s: dtype is %s; allowed is f32", a.name,
                      mfq_dtype_name(view.dtype));
  if (status == MFQ_OK) status = check_shape(m, &a, view.rank, view.shape);
  if (status != MFQ_OK) return status;
  m->last = view;
  side_of(&view, a.place, side);
  if (a.place == MFQ_OF_ELEMENTS && !a.is_written) remember_input(m, &view);
  return MFQ_OK;
}

/* The last part goes where the one is that leaves. */
static void drop_part(mfq_making *m, int part) {
  const int last = --m->parts.count;
  m->parts.items[part] = m->parts.items[last];
  for (int i = 0; i < m->input_count; ++i)
    if (m->inputs[i].part == last) m->inputs[i].part = part;
}

int mfq_making_share(mfq_making *m) {
  const mfq_tensor *written = &m->last;
  int is_shared = 0;
  for (int i = m->input_count - 1; i >= 0; --i) {
    const mfq_tensor *input = &m->inputs[i].tensor;
    if (input->rank != written->rank || !mfq_shape_is(input, written->rank, written->shape) ||
        !mfq_is_in_place(written, input))
      continue;
    drop_part(m, m->inputs[i].part);
    m->inputs[i] = m->inputs[--m->input_count];
    is_shared = 1;
  }
  return is_shared;
}

/* ---- Results ----------------------------------------------------------------------------------------------------- */

static mfq_status take_codes(mfq_making *m, mfq_made_argument a, const mfq_qtensor *q, mfq_qview *view) {
  const mfq_where where = {m->function, a.name};
  if (q == NULL) return MFQ_OK;
  mfq_status status = mfq_qview_init(where, q, view);
  if (status == MFQ_OK) status = check_shape(m, &a, view->q.rank, view->q.shape);
  const int written = q->scheme.rule == MFQ_RULE_GIVEN ? MFQ_USE_CODES : MFQ_USE_ALL;
  return status == MFQ_OK ? mfq_argument_parts(where, view, (mfq_use){MFQ_USE_ALL, written}, &m->parts) : status;
}

mfq_status mfq_making_outputs(mfq_making *m, const mfq_output_names *names, const mfq_outputs *outputs, int64_t cols,
                              const char *or_else) {
  mfq_made *made = &m->made;
  const mfq_made_argument a = {names->plain, outputs->plain, MFQ_OF_ELEMENTS, 1, cols};
  made->cols = cols;
  shape_of(m, &a, &made->result);
  made->result.data = NULL;
  made->result.dtype = MFQ_DTYPE_F32;
  for (int64_t i = made->result.rank - 1, stride = 1; i >= 0; stride *= made->result.shape[i--])
    made->result.strides[i] = stride;
  if (outputs->plain == NULL && outputs->row == NULL && outputs->col == NULL && or_else != NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, m->function, "%s: plain, row and col are all NULL; give at least one%s",
                    names->all, or_else);
  mfq_status status = mfq_making_take(m, a, &made->plain);
  if (status == MFQ_OK && made->make.pairs == MFQN_PAIRS_NONE)
    made->is_in_place = outputs->plain != NULL && mfq_making_share(m);
  const mfq_made_argument row = {names->row, NULL, MFQ_OF_ELEMENTS, 1, cols};
  const mfq_made_argument col = {names->col, NULL, MFQ_OF_ELEMENTS, 1, cols};
  if (status == MFQ_OK) status = take_codes(m, row, outputs->row, &m->row);
  if (status == MFQ_OK) status = take_codes(m, col, outputs->col, &m->col);
  if (outputs->row != NULL) made->row = &m->row;
  if (outputs->col != NULL) made->col = &m->col;
  return status;
}

mfq_status mfq_making_run(mfq_making *m, mfq_context *context) {
  const mfq_status status = mfq_parts_check(context, &m->parts);
  if (status != MFQ_OK) return status;
  mfq_made_merge(&m->made);
  const mfq_qview *view = m->made.row != NULL ? m->made.row : m->made.col;
  const mfq_cast cast = {.op = MFQ_OP_PRODUCE, .function = m->function, .view = view, .made = &m->made};
  return context->backend->cast(context, &cast);
}
