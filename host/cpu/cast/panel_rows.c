/* host/cpu/cast/panel_rows.c: rows of panels, read and written as they lie in the tensor, put together, or rotated. */
#include "panel_rows.h"

#include "host/core/integers.h"
#include "elements.h"
#include "stream_copy.h"

/* ---- Units ------------------------------------------------------------------------------------------------------- */

/* Rows that are rotated together: `first` ... `first + rows - 1` of the grid's middle axis, and the columns of a piece. */
typedef struct panel_unit {
  int64_t outer, first, rows, col, cols;
} panel_unit;

/* Units begin with a stack of panels, or every so many rows in a long panel. */
static panel_unit unit_of(const mfq_panels *p, const mfq_panel *a, mfq_piece at) {
  const int64_t row = a->row0 + at.row, height = p->rows * p->stack, stack = row / height * height;
  const int64_t first = stack + (row - stack) / p->unit_rows * p->unit_rows;
  const int64_t end = mfq_smaller(mfq_smaller(first + p->unit_rows, stack + height), p->size[1]);
  return (panel_unit){a->outer, first, end - first, a->col0 + at.col, at.n};
}

static int64_t offset_of(const mfq_panels *p, const panel_unit *unit, int64_t row) {
  return unit->outer * p->stride[0] + (unit->first + row) * p->stride[1] + unit->col * p->stride[2] - p->origin;
}

static void turn(const mfq_panels *p, const panel_unit *unit, int is_inverse, uint32_t *x) {
  const mfqn_rotation *r = &p->scheme.rotation;
  if (r->size == 0) return;
  if (p->run > 0) p->kernels->rotate_runs(r, is_inverse, (mfq_source){x, MFQ_DTYPE_F32}, unit->cols, x);
  for (int64_t row = 0; p->run == 0 && row < unit->rows; row += r->size)
    p->kernels->rotate_columns(r, is_inverse, x + row * p->unit_step, unit->cols, p->unit_step);
}

static uint32_t *row_of_unit(const mfq_panels *p, const panel_unit *unit, const mfq_panel *a, mfq_piece at,
                             mfq_panel_scratch *scratch) {
  return scratch->unit + (a->row0 + at.row - unit->first) * p->unit_step;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* `n` elements of a row, where they are or in `room`. */
static mfq_source row_at(const mfq_panels *p, int64_t offset, int64_t n, uint32_t *room) {
  const mfq_tensor *t = p->tensor;
  if (p->stride[2] == 1 || p->size[2] == 1)
    return (mfq_source){(const uint8_t *)t->data + offset * (int64_t)mfq_dtype_bytes(t->dtype), t->dtype};
  for (int64_t i = 0; i < n; ++i) room[i] = mfq_element_load(t->data, t->dtype, offset + i * p->stride[2]);
  return (mfq_source){room, MFQ_DTYPE_F32};
}

/* Whether a unit is turned: neighbours in memory are its rows. */
static int is_turned(const mfq_panels *p) { return p->stride[1] == 1 && p->stride[2] != 1 && p->size[2] > 1; }

/* Where elements of half the width are on their way, a row each p->unit_step. */
static uint16_t *narrow_unit(const mfq_panels *p, const mfq_panel_scratch *scratch) {
  return (uint16_t *)(void *)(scratch->unit + p->unit_rows * p->unit_step);
}

static void read_turned(const mfq_panels *p, const panel_unit *unit, mfq_panel_scratch *scratch) {
  const mfq_tensor *t = p->tensor;
  const int64_t offset = offset_of(p, unit, 0), step = p->unit_step;
  if (t->dtype == MFQ_DTYPE_F32) {
    const uint32_t *from = (const uint32_t *)t->data + offset;
    p->kernels->turn32(scratch->unit, step, from, p->stride[2], unit->cols, unit->rows);
    return;
  }
  uint16_t *halves = narrow_unit(p, scratch);
  p->kernels->turn16(halves, step, (const uint16_t *)t->data + offset, p->stride[2], unit->cols, unit->rows);
  for (int64_t i = 0; i < unit->rows; ++i)
    p->kernels->load(scratch->unit + i * step, halves + i * step, t->dtype, unit->cols);
}

static void read_unit(const mfq_panels *p, const panel_unit *unit, mfq_panel_scratch *scratch) {
  const int rotates = p->scheme.rotation.size > 0, turns = !rotates && is_turned(p);
  if (turns) read_turned(p, unit, scratch);
  for (int64_t i = 0; i < unit->rows && !turns; ++i) {
    uint32_t *to = scratch->unit + i * p->unit_step;
    const mfq_source row = row_at(p, offset_of(p, unit, i), unit->cols, to);
    if (p->run > 0 && rotates)
      p->kernels->rotate_runs(&p->scheme.rotation, 0, row, unit->cols, to);
    else if (row.data != to)
      p->kernels->load(to, row.data, row.dtype, unit->cols);
  }
  if (p->run == 0) turn(p, unit, 0, scratch->unit);
  scratch->held[0] = unit->outer;
  scratch->held[1] = unit->first;
  scratch->held[2] = unit->col;
}

/* The row of a piece in its unit, which is read and rotated unless the scratch holds it. */
static const uint32_t *rotated_row(const mfq_panels *p, const mfq_panel *a, mfq_piece at, mfq_panel_scratch *scratch) {
  const panel_unit unit = unit_of(p, a, at);
  const int64_t *held = scratch->held;
  if (held[0] != unit.outer || held[1] != unit.first || held[2] != unit.col) read_unit(p, &unit, scratch);
  return row_of_unit(p, &unit, a, at, scratch);
}

mfq_source mfq_panel_read(const mfq_panels *p, const mfq_panel *a, mfq_piece at, mfq_panel_scratch *scratch,
                          uint32_t *room) {
  if (p->unit_rows > 0) return (mfq_source){rotated_row(p, a, at, scratch), MFQ_DTYPE_F32};
  return row_at(p, mfq_panel_element(p, a, at.row, at.col), at.n, room);
}

const uint32_t *mfq_panel_load(const mfq_panels *p, const mfq_panel *a, mfq_piece at, mfq_panel_scratch *scratch,
                               uint32_t *room) {
  const mfq_source row = mfq_panel_read(p, a, at, scratch, room);
  if (row.dtype == MFQ_DTYPE_F32) return row.data;
  p->kernels->load(room, row.data, row.dtype, at.n);
  return room;
}

void mfq_panels_prefetch(const mfq_panels *p, int64_t offset, int64_t n) {
  const int64_t size = (int64_t)mfq_dtype_bytes(p->tensor->dtype);
  if (p->is_near) return;
  const char *at = (const char *)p->tensor->data + offset * size;
  for (int64_t i = 0; i < n * size; i += 64) __builtin_prefetch(at + i);
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* Powers of two and at most 8 significant bits: the groups in a scratch have values that bf16 holds. */
static int fits_bf16(const mfq_panels *p, const mfq_panel_scratch *scratch) {
  const int po2 = p->scheme.scale == MFQN_SCALE_NONE || p->scheme.scale == MFQN_SCALE_UE8M0;
  return p->unit_rows == 0 && p->tensor->dtype == MFQ_DTYPE_BF16 && po2 && !p->scheme.has_zero_point &&
         !scratch->lanes.any_rare;
}

/* Whether some values may be beyond the target's type. Rotated back they are up to sqrt(128) times as large; and the
 * scales at hand are those of all only where no panels are stacked. */
static int is_vast(const mfq_panels *p, const mfq_panel_scratch *scratch) {
  const float limit = p->tensor->dtype == MFQ_DTYPE_F16 ? MFQN_MAX_F16 : MFQN_MAX_BF16;
  const float part = p->unit_rows > 0 ? 0x1p-5f : 1.0f;
  if (p->unit_rows > 0 && p->stack > 1) return 1;
  return scratch->lanes.largest > mfqn_safe_scale(&p->scheme, mfqn_mul(limit, part));
}

static void narrow(const mfq_panels *p, const mfq_panel_scratch *scratch, const uint32_t *x, void *dst, int64_t n) {
  if (fits_bf16(p, scratch))
    p->kernels->store_top_half(dst, x, n);
  else if (is_vast(p, scratch))
    p->kernels->store_limited(dst, p->tensor->dtype, x, n);
  else
    p->kernels->store(dst, p->tensor->dtype, x, n);
}

static void store(const mfq_panels *p, int64_t offset, const uint32_t *x, int64_t n, mfq_panel_scratch *scratch) {
  const mfq_tensor *t = p->tensor;
  const size_t bytes = mfq_dtype_bytes(t->dtype);
  uint8_t *at = (uint8_t *)t->data + offset * (int64_t)bytes;
  if (p->stride[2] != 1 && p->size[2] != 1) {
    for (int64_t i = 0; i < n; ++i) mfq_element_store_limited(t->data, t->dtype, offset + i * p->stride[2], x[i]);
  } else if (!p->stream) {
    narrow(p, scratch, x, at, n);
  } else if (t->dtype == MFQ_DTYPE_F32) {
    mfq_stream_copy(at, x, (size_t)n * bytes);
  } else {
    narrow(p, scratch, x, scratch->stats.absmax, n);
    mfq_stream_copy(at, scratch->stats.absmax, (size_t)n * bytes);
  }
}

static void write_turned(const mfq_panels *p, const panel_unit *unit, mfq_panel_scratch *scratch) {
  const mfq_tensor *t = p->tensor;
  const int64_t offset = offset_of(p, unit, 0), step = p->unit_step;
  if (t->dtype == MFQ_DTYPE_F32) {
    p->kernels->turn32((uint32_t *)t->data + offset, p->stride[2], scratch->unit, step, unit->rows, unit->cols);
    return;
  }
  uint16_t *halves = narrow_unit(p, scratch);
  for (int64_t i = 0; i < unit->rows; ++i)
    p->kernels->store_limited(halves + i * step, t->dtype, scratch->unit + i * step, unit->cols);
  p->kernels->turn16((uint16_t *)t->data + offset, p->stride[2], halves, step, unit->rows, unit->cols);
}

int mfq_panels_take_bf16(const mfq_panels *p, const mfq_panel_scratch *scratch) {
  return p->tensor->dtype == MFQ_DTYPE_BF16 && p->unit_rows == 0 && (p->stride[2] == 1 || p->size[2] == 1) &&
         !scratch->lanes.any_rare && !is_vast(p, scratch);
}

void *mfq_panel_target(const mfq_panels *p, const mfq_panel *a, mfq_piece at) {
  if (p->stream || !mfq_panels_are_direct(p)) return NULL;
  return (uint8_t *)p->tensor->data +
         mfq_panel_element(p, a, at.row, at.col) * (int64_t)mfq_dtype_bytes(p->tensor->dtype);
}

void *mfq_panel_place(const mfq_panels *from, const mfq_panels *to, const mfq_panel *a, mfq_piece at, int is_bf16) {
  const mfq_tensor *t = to->tensor;
  const int is_own = t->data != from->tensor->data && !to->stream && mfq_panels_are_direct(to);
  if (!is_own || (t->dtype != MFQ_DTYPE_F32 && !is_bf16)) return NULL;
  return (uint8_t *)t->data + mfq_panel_element(to, a, at.row, at.col) * (int64_t)mfq_dtype_bytes(t->dtype);
}

void mfq_panel_copy(const mfq_panels *p, const mfq_panel *a, mfq_piece at, const uint16_t *elements) {
  uint16_t *to = (uint16_t *)p->tensor->data + mfq_panel_element(p, a, at.row, at.col);
  if (p->stream)
    mfq_stream_copy(to, elements, (size_t)at.n * sizeof *to);
  else
    memcpy(to, elements, (size_t)at.n * sizeof *to);
}

uint32_t *mfq_panel_room(const mfq_panels *p, const mfq_panel *a, mfq_piece at, mfq_panel_scratch *scratch) {
  if (p->unit_rows == 0) return scratch->x;
  const panel_unit unit = unit_of(p, a, at);
  return row_of_unit(p, &unit, a, at, scratch);
}

void mfq_panel_store(const mfq_panels *p, const mfq_panel *a, mfq_piece at, const uint32_t *x,
                     mfq_panel_scratch *scratch) {
  if (p->unit_rows == 0) {
    store(p, mfq_panel_element(p, a, at.row, at.col), x, at.n, scratch);
    return;
  }
  const panel_unit unit = unit_of(p, a, at);
  uint32_t *row = row_of_unit(p, &unit, a, at, scratch);
  if (x != row) memcpy(row, x, (size_t)at.n * sizeof *x);
  if (a->row0 + at.row + 1 < unit.first + unit.rows) return;
  turn(p, &unit, 1, scratch->unit);
  const int turns = p->scheme.rotation.size == 0 && is_turned(p);
  if (turns) write_turned(p, &unit, scratch);
  for (int64_t i = 0; i < unit.rows && !turns; ++i)
    store(p, offset_of(p, &unit, i), scratch->unit + i * p->unit_step, unit.cols, scratch);
  scratch->held[0] = -1;
}
