/* host/cpu/produce/made_rows.c: rows of producers, piece by piece. */
#include "made_rows.h"

#include <mfq/num/gradient.h>
#include <string.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/cpu/cast/elements.h"
#include "host/cpu/cast/indices.h"
#include "host/cpu/cast/panels.h"

/* ---- What the loops take ----------------------------------------------------------------------------------------- */

/* Elements side by side; of inputs every other one too. */
static int is_read(const mfq_made_side *side) {
  return side->data == NULL || side->col_stride == 1 || side->col_stride == 2;
}
static int is_written(const mfq_made_side *side) { return side->data == NULL || side->col_stride == 1; }

const char *mfq_maker_why_not(const mfq_made *m) {
  const int is_single = m->units <= 1;
  for (int k = 0; k < 3; ++k)
    if (!is_single && !is_read(&m->in[k])) return "elements of an input are apart";
  if (m->cols > 1 && (!is_written(&m->plain) || !is_written(&m->sum))) return "elements of a result are apart";
  return NULL;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static size_t numbers_bytes(const mfq_made *m) {
  return mfqn_make_passes(&m->make) > 0 ? mfq_whole_lines(mfq_size_times((size_t)m->rows, sizeof(mfqn_row))) : 0;
}

static size_t losses_bytes(const mfq_made *m) {
  return m->make.op == MFQN_MAKE_LOSS ? mfq_whole_lines(mfq_size_times((size_t)m->rows, sizeof(float))) : 0;
}

static size_t columns_bytes(const mfq_made *m) {
  return mfq_whole_lines(mfq_size_times((size_t)m->units + MFQ_MADE_PIECE, sizeof(float)));
}

size_t mfq_maker_bytes(const mfq_made *m) {
  const size_t rows = mfq_size_plus(numbers_bytes(m), losses_bytes(m));
  return mfq_size_plus(rows, mfq_size_plus(mfq_size_times(2, columns_bytes(m)), 2 * MFQ_MADE_PIECE * sizeof(float)));
}

static void fill(float *to, int64_t n, float value) {
  for (int64_t i = 0; i < n; ++i) to[i] = value;
}

/* A parameter of each column, or what stands for one that is not there. */
static void load_columns(const mfq_made *m, const mfq_made_side *side, float absent, float *to) {
  if (!side->data || m->make.op == MFQN_MAKE_ROTARY) {
    fill(to, m->units, absent);
    return;
  }
  for (int64_t i = 0; i < m->units; ++i)
    to[i] = mfqn_float_of(mfq_element_load(side->data, side->dtype, i * side->col_stride));
}

void mfq_maker_place(mfq_maker *maker, uint8_t *memory) {
  const mfq_made *m = maker->made;
  maker->numbers = numbers_bytes(m) ? (mfqn_row *)(void *)memory : NULL;
  memory += numbers_bytes(m);
  maker->losses = (float *)(void *)memory;
  memory += losses_bytes(m);
  maker->gain = (float *)(void *)memory;
  maker->shift = (float *)(void *)(memory + columns_bytes(m));
  maker->absent = (float *)(void *)(memory + 2 * columns_bytes(m));
  maker->unwanted = maker->absent + MFQ_MADE_PIECE;
  load_columns(m, &m->gain, 1.0f, maker->gain);
  load_columns(m, &m->shift, -0.0f, maker->shift);
  fill(maker->absent, MFQ_MADE_PIECE, -0.0f);
  fill(maker->unwanted, MFQ_MADE_PIECE, mfqn_loss_wanted(&m->make, 0));
}

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

mfq_made_row_at mfq_maker_row(const mfq_maker *maker, int64_t row) {
  const mfq_made *m = maker->made;
  mfq_made_row_at at = {.row = row, .target = -1, .count = m->units};
  for (int k = 0; k < 3; ++k) at.in[k] = m->in[k].data ? mfq_made_row_offset(m, &m->in[k], row) : 0;
  at.sum = m->sum.data ? mfq_made_row_offset(m, &m->sum, row) : 0;
  at.plain = m->plain.data ? mfq_made_row_offset(m, &m->plain, row) : 0;
  if (m->is_causal) at.count = mfqn_causal_count(row % m->queries, m->queries, m->units);
  if (m->make.op == MFQN_MAKE_ROTARY) {
    const int64_t token = row / m->heads;
    at.table = m->indices.data ? mfq_index_at(&m->indices, token % m->indices.count) : token % m->tokens;
  }
  if (m->make.op == MFQN_MAKE_LOSS) at.target = mfq_index_at(&m->indices, row);
  return at;
}

static void prefetch(const mfq_made_side *side, int64_t first, int64_t n) {
  const int64_t size = (int64_t)mfq_dtype_bytes(side->dtype), bytes = n * side->col_stride * size;
  const char *at = (const char *)side->data + first * size;
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(at + i);
}

void mfq_maker_prefetch(const mfq_maker *maker, const mfq_made_row_at *at, int64_t unit, int64_t n) {
  enum { AHEAD = 2 };
  const mfq_made *m = maker->made;
  if (m->axes != 1 || at->row + AHEAD >= m->rows) return;
  for (int k = 0; k < 3; ++k) {
    const mfq_made_side *side = &m->in[k];
    if (side->data) prefetch(side, at->in[k] + AHEAD * side->row_strides[0] + unit * side->col_stride, n);
  }
}

/* `n` elements of a row as float32: where they are, or in `to`. */
static const float *read(const mfq_maker *maker, const mfq_made_side *side, int64_t first, int64_t n, float *to,
                         float *pairs) {
  if (!side->data) return maker->absent;
  const uint8_t *from = side->data + first * (int64_t)mfq_dtype_bytes(side->dtype);
  if (side->col_stride != 1 && n > 1) {
    if (side->dtype != MFQ_DTYPE_F32) maker->kernels->load((uint32_t *)(void *)pairs, from, side->dtype, 2 * n - 1);
    maker->loops->evens(side->dtype == MFQ_DTYPE_F32 ? (const float *)(const void *)from : pairs, n, to);
    return to;
  }
  if (side->dtype == MFQ_DTYPE_F32) return (const float *)(const void *)from;
  maker->kernels->load((uint32_t *)(void *)to, from, side->dtype, n);
  return to;
}

static const float *read_input(const mfq_maker *maker, const mfq_made_row_at *at, int k, int64_t unit, int64_t n,
                               mfq_maker_room *room) {
  const mfq_made_side *side = &maker->made->in[k];
  return read(maker, side, at->in[k] + unit * side->col_stride, n, room->in[k], room->pairs);
}

/* h of a norm before it is written anywhere. */
static const float *read_fresh(const mfq_maker *maker, const mfq_made_row_at *at, int64_t unit, int64_t n,
                               mfq_maker_room *room) {
  const float *x = read_input(maker, at, 0, unit, n, room);
  if (!maker->made->in[1].data) return x;
  maker->loops->add(x, read_input(maker, at, 1, unit, n, room), n,
                    (uint32_t *)(void *)room->in[2]); /* which no norm forward reads */
  return room->in[2];
}

static void read_table(const mfq_maker *maker, const mfq_made_row_at *at, int64_t unit, int64_t n, mfq_maker_room *room,
                       mfq_made_piece *p) {
  const mfq_made *m = maker->made;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t cosine = at->table * m->gain.row_strides[0] + (unit + i) * m->gain.col_stride;
    const int64_t sine = at->table * m->shift.row_strides[0] + (unit + i) * m->shift.col_stride;
    room->gain[i] = mfqn_float_of(mfq_element_load(m->gain.data, m->gain.dtype, cosine));
    const float s = mfqn_float_of(mfq_element_load(m->shift.data, m->shift.dtype, sine));
    room->shift[i] = m->is_inverse ? -s : s;
  }
  p->gain = room->gain;
  p->shift = room->shift;
}

mfq_made_piece mfq_maker_read(const mfq_maker *maker, const mfq_made_row_at *at, int64_t unit, int64_t n,
                              mfq_maker_room *room) {
  static const mfqn_row none;
  const mfq_made *m = maker->made;
  mfq_made_piece p = {.a = maker->absent, .b = maker->absent, .c = maker->absent, .n = n};
  p.row = maker->numbers ? &maker->numbers[at->row] : &none;
  p.gain = maker->gain + unit;
  p.shift = maker->shift + unit;
  if (m->make.op == MFQN_MAKE_NORM) {
    p.a = m->sum.data ? read(maker, &m->sum, at->sum + unit, n, room->in[0], room->pairs)
                      : read_fresh(maker, at, unit, n, room);
    return p;
  }
  p.a = read_input(maker, at, 0, unit, n, room);
  p.b = m->make.op == MFQN_MAKE_LOSS ? maker->unwanted : read_input(maker, at, 1, unit, n, room);
  p.c = read_input(maker, at, 2, unit, n, room);
  if (m->make.op == MFQN_MAKE_ROTARY) read_table(maker, at, unit, n, room, &p);
  return p;
}

void mfq_maker_values(const mfq_maker *maker, const mfq_made_row_at *at, const mfq_made_piece *p, int64_t unit,
                      uint32_t *y) {
  const mfq_made *m = maker->made;
  maker->loops->values(&m->make, p, y);
  const int64_t target = at->target - unit, in = mfq_larger(at->count - unit, 0);
  if (at->target >= 0 && target >= 0 && target < p->n) {
    const mfqn_inputs wanted = {p->a[target], mfqn_loss_wanted(&m->make, 1), p->c[target]};
    const mfqn_column column = {p->gain[target], p->shift[target]};
    y[target] = mfqn_bits(mfqn_make_value(&m->make, wanted, column, p->row, 0));
  }
  if (in < p->n) memset(y + in, 0, (size_t)(p->n - in) * sizeof *y);
}

/* ---- Numbers of rows --------------------------------------------------------------------------------------------- */

static void store_one(const mfq_made *m, const mfq_made_side *side, int64_t row, float y) {
  if (side->data) mfq_element_store(side->data, side->dtype, mfq_made_row_offset(m, side, row), mfqn_one_nan(y));
}

static void write_sum(const mfq_maker *maker, const mfq_made_row_at *at, mfq_maker_room *room) {
  const mfq_made *m = maker->made;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(m->sum.dtype);
  for (int64_t unit = 0; unit < m->units; unit += MFQ_MADE_PIECE) {
    const int64_t n = mfq_smaller(m->units - unit, MFQ_MADE_PIECE);
    const float *x = read_input(maker, at, 0, unit, n, room), *by = read_input(maker, at, 1, unit, n, room);
    maker->loops->add(x, by, n, room->values[0]);
    maker->kernels->store(m->sum.data + (at->sum + unit) * bytes, m->sum.dtype, room->values[0], n);
  }
}

/* Adds the sum of a piece of a row; a short one behind others misses terms, which are +0. */
static void add_piece(const mfq_maker *maker, float *terms, int64_t n, mfqn_tree *tree) {
  float sum = 0.0f;
  maker->kernels->trees(terms, n, n, &sum);
  mfqn_tree_add(tree, n < MFQ_MADE_PIECE && tree->count > 0 ? mfqn_add(sum, 0.0f) : sum);
}

static mfqn_terms fold_pass(const mfq_maker *maker, const mfq_made_row_at *at, int pass, mfq_maker_room *room) {
  const mfqn_make *make = &maker->made->make;
  const int is_largest = mfqn_make_is_largest(make, pass), has_second = mfqn_make_has_second(make, pass);
  mfqn_tree first = {.count = 0}, second = {.count = 0};
  float largest = -mfqn_float_of(MFQN_INF);
  for (int64_t unit = 0; unit < maker->made->units; unit += MFQ_MADE_PIECE) {
    const int64_t n = mfq_smaller(maker->made->units - unit, MFQ_MADE_PIECE);
    const int64_t in = mfq_smaller(mfq_larger(at->count - unit, 0), n);
    const mfq_made_piece p = mfq_maker_read(maker, at, unit, in, room);
    if (is_largest) {
      if (in > 0) largest = mfqn_larger(largest, maker->loops->largest(make, &p));
      continue;
    }
    maker->loops->terms(make, pass, &p, room->terms[0], has_second ? room->terms[1] : NULL);
    for (int64_t i = in; i < n; ++i) room->terms[0][i] = room->terms[1][i] = 0.0f; /* out of causal scores */
    add_piece(maker, room->terms[0], n, &first);
    if (has_second) add_piece(maker, room->terms[1], n, &second);
  }
  if (is_largest) return (mfqn_terms){largest, 0.0f};
  return (mfqn_terms){mfqn_tree_sum(&first), has_second ? mfqn_tree_sum(&second) : 0.0f};
}

/* Of a row that counts, the logit of its target is there. */
static float loss_of(const mfq_made *m, const mfq_made_row_at *at, const mfqn_row *row, float distances) {
  float logit = 0.0f;
  const mfq_made_side *x = &m->in[0];
  if (row->v[3] == 1.0f)
    logit = mfqn_float_of(mfq_element_load(x->data, x->dtype, at->in[0] + at->target * x->col_stride));
  return mfqn_loss_value(&m->make, row, logit, row->v[3] == 1.0f ? distances : 0.0f);
}

void mfq_maker_fold(const mfq_maker *maker, int64_t index, mfq_maker_room *room) {
  const mfq_made *m = maker->made;
  const mfq_made_row_at at = mfq_maker_row(maker, index);
  mfqn_row *row = &maker->numbers[index];
  mfqn_terms sums = {0.0f, 0.0f};
  *row = (mfqn_row){{0.0f, 0.0f, 0.0f, 0.0f}};
  if (m->sum.data) write_sum(maker, &at, room);
  if (m->make.op == MFQN_MAKE_NORM_BACKWARD) {
    const mfq_made_side *mean = &m->mean, *scale = &m->scale;
    if (mean->data)
      row->v[0] = mfqn_float_of(mfq_element_load(mean->data, mean->dtype, mfq_made_row_offset(m, mean, index)));
    row->v[1] = mfqn_float_of(mfq_element_load(scale->data, scale->dtype, mfq_made_row_offset(m, scale, index)));
  }
  for (int pass = 0; pass < mfqn_make_passes(&m->make); ++pass) {
    sums = fold_pass(maker, &at, pass, room);
    mfqn_make_row(&m->make, pass, sums, row);
  }
  if (m->make.op == MFQN_MAKE_LOSS) {
    mfqn_loss_row(&m->make, mfqn_loss_counts(at.target, m->ignored, m->units), maker->counted, row);
    maker->losses[index] = loss_of(m, &at, row, sums.second);
    store_one(m, &m->losses, index, maker->losses[index]);
  }
  if (m->make.op != MFQN_MAKE_NORM) return;
  store_one(m, &m->mean, index, row->v[0]);
  store_one(m, &m->scale, index, row->v[1]);
}
