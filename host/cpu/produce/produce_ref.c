/* host/cpu/produce/produce_ref.c: one row after the other, one element after the other. */
#include "produce_ref.h"

#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "host/cpu/cast/elements.h"
#include "host/cpu/cast/indices.h"

#include <mfq/num/gradient.h>

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

/* Where a row has its elements, and what is special about it. */
typedef struct row_at {
  int64_t row, in[3], plain, sum;
  int64_t table;  /* rows of cosines and sines: which one */
  int64_t target; /* of a loss */
  int64_t count;  /* columns that are in: all but of causal scores */
} row_at;

static row_at row_of(const mfq_made *m, int64_t row) {
  row_at at = {.row = row, .target = -1, .count = m->units};
  for (int k = 0; k < 3; ++k) at.in[k] = mfq_made_row_offset(m, &m->in[k], row);
  at.plain = mfq_made_row_offset(m, &m->plain, row);
  at.sum = mfq_made_row_offset(m, &m->sum, row);
  if (m->is_causal) at.count = mfqn_causal_count(row % m->queries, m->queries, m->units);
  if (m->make.op == MFQN_MAKE_ROTARY) {
    const int64_t token = row / m->heads;
    at.table = m->indices.data ? mfq_index_at(&m->indices, token % m->indices.count) : token % m->tokens;
  }
  if (m->make.op == MFQN_MAKE_LOSS) at.target = mfq_index_at(&m->indices, row);
  return at;
}

static float load(const mfq_made_side *side, int64_t row_offset, int64_t unit) {
  return mfqn_float_of(mfq_element_load(side->data, side->dtype, row_offset + unit * side->col_stride));
}

static void store(const mfq_made_side *side, int64_t row_offset, int64_t col, float y) {
  mfq_element_store(side->data, side->dtype, row_offset + col * side->col_stride, mfqn_one_nan(y));
}

/* h of a norm before it is written anywhere. */
static float fresh_sum(const mfq_made *m, const row_at *at, int64_t unit) {
  const float x = load(&m->in[0], at->in[0], unit);
  return m->in[1].data ? mfqn_add(x, load(&m->in[1], at->in[1], unit)) : x;
}

static mfqn_inputs inputs_of(const mfq_made *m, const row_at *at, int64_t unit) {
  mfqn_inputs in = {-0.0f, -0.0f, -0.0f};
  if (m->make.op == MFQN_MAKE_NORM) {
    in.a = m->sum.data ? load(&m->sum, at->sum, unit) : fresh_sum(m, at, unit);
    return in;
  }
  in.a = load(&m->in[0], at->in[0], unit);
  if (m->in[1].data) in.b = load(&m->in[1], at->in[1], unit);
  if (m->in[2].data) in.c = load(&m->in[2], at->in[2], unit);
  if (m->make.op == MFQN_MAKE_LOSS) in.b = mfqn_loss_wanted(&m->make, unit == at->target);
  return in;
}

static mfqn_column column_of(const mfq_made *m, const row_at *at, int64_t unit) {
  mfqn_column column = {1.0f, -0.0f};
  const int64_t table = at->table;
  if (m->gain.data) column.gain = load(&m->gain, table * m->gain.row_strides[0], unit);
  if (m->shift.data) column.shift = load(&m->shift, table * m->shift.row_strides[0], unit);
  if (m->is_inverse) column.shift = -column.shift;
  return column;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static mfqn_terms fold(const mfq_made *m, const row_at *at, int pass, const mfqn_row *row) {
  mfqn_tree first = {.count = 0}, second = {.count = 0};
  float largest = -mfqn_float_of(MFQN_INF);
  for (int64_t unit = 0; unit < at->count; ++unit) {
    const mfqn_terms t = mfqn_make_terms(&m->make, pass, inputs_of(m, at, unit), column_of(m, at, unit), row);
    largest = mfqn_larger(largest, t.first);
    mfqn_tree_add(&first, t.first);
    mfqn_tree_add(&second, t.second);
  }
  for (int64_t unit = at->count; unit < m->units; ++unit) { /* what is out of causal scores */
    mfqn_tree_add(&first, 0.0f);
    mfqn_tree_add(&second, 0.0f);
  }
  const mfqn_terms sums = {mfqn_tree_sum(&first), mfqn_tree_sum(&second)};
  const mfqn_terms found = {largest, 0.0f};
  return mfqn_make_is_largest(&m->make, pass) ? found : sums;
}

static float loss_of(const mfq_made *m, const row_at *at, const mfqn_row *row, float distances) {
  if (row->v[3] != 1.0f) return mfqn_loss_value(&m->make, row, 0.0f, 0.0f);
  return mfqn_loss_value(&m->make, row, load(&m->in[0], at->in[0], at->target), distances);
}

static void fold_row(const mfq_produce_ref *r, int64_t index) {
  const mfq_made *m = r->made;
  const row_at at = row_of(m, index);
  mfqn_row row = {{0.0f, 0.0f, 0.0f, 0.0f}};
  mfqn_terms sums = {0.0f, 0.0f};
  const int64_t mean = mfq_made_row_offset(m, &m->mean, index), scale = mfq_made_row_offset(m, &m->scale, index);
  for (int64_t unit = 0; m->sum.data && unit < m->units; ++unit) store(&m->sum, at.sum, unit, fresh_sum(m, &at, unit));
  if (m->make.op == MFQN_MAKE_NORM_BACKWARD) {
    if (m->mean.data) row.v[0] = load(&m->mean, mean, 0);
    row.v[1] = load(&m->scale, scale, 0);
  }
  for (int pass = 0; pass < mfqn_make_passes(&m->make); ++pass) {
    sums = fold(m, &at, pass, &row);
    mfqn_make_row(&m->make, pass, sums, &row);
  }
  if (m->make.op == MFQN_MAKE_LOSS) {
    mfqn_loss_row(&m->make, mfqn_loss_counts(at.target, m->ignored, m->units), r->counted, &row);
    r->losses[index] = loss_of(m, &at, &row, sums.second);
    if (m->losses.data) store(&m->losses, mfq_made_row_offset(m, &m->losses, index), 0, r->losses[index]);
  }
  if (m->make.op == MFQN_MAKE_NORM && m->mean.data) store(&m->mean, mean, 0, row.v[0]);
  if (m->make.op == MFQN_MAKE_NORM && m->scale.data) store(&m->scale, scale, 0, row.v[1]);
  r->numbers[index] = row;
}

static void fold_rows(void *work, int thread, int64_t first, int64_t end) {
  (void)thread;
  for (int64_t index = first; index < end; ++index) fold_row(work, index);
}

void mfq_produce_ref_rows(const mfq_produce_ref *r) {
  const mfq_made *m = r->made;
  mfqn_tree tree = {.count = 0};
  if (r->numbers) mfq_team_run((mfq_loop){r->threads, m->rows, 0}, fold_rows, (void *)(uintptr_t)r);
  if (!m->loss.data) return;
  for (int64_t index = 0; index < m->rows; ++index) mfqn_tree_add(&tree, r->losses[index]);
  store(&m->loss, 0, 0, mfqn_div(mfqn_tree_sum(&tree), r->counted));
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

static const mfqn_row *numbers_of(const mfq_produce_ref *r, int64_t row) {
  static const mfqn_row none;
  return r->numbers ? &r->numbers[row] : &none;
}

static float value_of(const mfq_produce_ref *r, const row_at *at, mfq_made_place place) {
  const mfq_made *m = r->made;
  const mfqn_inputs in = inputs_of(m, at, place.unit);
  return mfqn_make_value(&m->make, in, column_of(m, at, place.unit), numbers_of(r, at->row), place.part);
}

static void sum_column(const mfq_produce_ref *r, int64_t col) {
  const mfq_made *m = r->made;
  const mfq_made_place place = mfq_made_place_of(m, col);
  mfqn_tree trees[2] = {{.count = 0}, {.count = 0}};
  for (int64_t row = 0; row < m->rows; ++row) {
    const row_at at = row_of(m, row);
    const mfqn_inputs in = inputs_of(m, &at, place.unit);
    const float value = m->make.op == MFQN_MAKE_NORM_BACKWARD ? 0.0f : value_of(r, &at, place);
    const mfqn_terms t = mfqn_make_column_terms(&m->make, in, numbers_of(r, row), value);
    mfqn_tree_add(&trees[0], t.first);
    mfqn_tree_add(&trees[1], t.second);
  }
  for (int k = 0; k < 2; ++k) {
    const mfq_made_side *to = &m->column_sums[k];
    const float sum = mfqn_tree_sum(&trees[k]);
    if (to->data) store(to, 0, col, m->accumulate ? mfqn_add(load(to, 0, col), sum) : sum);
  }
}

static void sum_columns(void *work, int thread, int64_t first, int64_t end) {
  (void)thread;
  for (int64_t col = first; col < end; ++col) sum_column(work, col);
}

void mfq_produce_ref_columns(const mfq_produce_ref *r) {
  const mfq_made *m = r->made;
  if (!m->column_sums[0].data && !m->column_sums[1].data) return;
  mfq_team_run((mfq_loop){r->threads, m->cols, 0}, sum_columns, (void *)(uintptr_t)r);
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

static void put(const mfq_produce_ref *r, const row_at *at, int64_t col, float y) {
  const mfq_made *m = r->made;
  if (m->plain.data) store(&m->plain, at->plain, col, y);
  if (r->values) r->values[at->row * m->cols + col] = y;
}

/* Both of a pair are made before either is written, which may be in place. */
static void make_pair(const mfq_produce_ref *r, const row_at *at, int64_t unit) {
  const mfq_made *m = r->made;
  const int is_halves = m->make.pairs == MFQN_PAIRS_HALVES;
  const float first = value_of(r, at, (mfq_made_place){unit, 0}), second = value_of(r, at, (mfq_made_place){unit, 1});
  put(r, at, is_halves ? unit : 2 * unit, first);
  put(r, at, is_halves ? unit + m->units : 2 * unit + 1, second);
}

static void make_rows(void *work, int thread, int64_t first, int64_t end) {
  const mfq_produce_ref *r = work;
  const mfq_made *m = r->made;
  (void)thread;
  for (int64_t row = first; row < end; ++row) {
    const row_at at = row_of(m, row);
    for (int64_t unit = 0; unit < m->units; ++unit)
      if (m->make.pairs != MFQN_PAIRS_NONE)
        make_pair(r, &at, unit);
      else
        put(r, &at, unit, unit < at.count ? value_of(r, &at, (mfq_made_place){unit, 0}) : 0.0f);
  }
}

void mfq_produce_ref_values(const mfq_produce_ref *r) {
  if (!r->made->plain.data && !r->values) return;
  mfq_team_run((mfq_loop){r->threads, r->made->rows, 0}, make_rows, (void *)(uintptr_t)r);
}
