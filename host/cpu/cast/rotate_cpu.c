/* host/cpu/cast/rotate_cpu.c: rotated copies: of what a cast reads before it, of what it writes behind it. */
#include "rotate_cpu.h"

#include <string.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "host/core/scheme/scheme.h"
#include "elements.h"

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

/* Lines along an axis of two tensors of one shape; of each the first `length` elements are whole rotations, and those
 * behind them are copied. */
typedef struct rotate_lines {
  const mfq_kernels *kernels; /* NULL: one rotation at a time */
  mfqn_rotation rotation;
  const mfq_tensor *from, *to;
  int32_t axis;
  int64_t length;
  int32_t is_inverse, is_value; /* value: finite ones stay finite in the target's type */
} rotate_lines;

static void store(const rotate_lines *w, int64_t offset, uint32_t bits) {
  if (w->is_value)
    mfq_element_store_limited(w->to->data, w->to->dtype, offset, bits);
  else
    mfq_element_store(w->to->data, w->to->dtype, offset, bits);
}

static uint8_t *element_at(const mfq_tensor *t, int64_t offset) {
  return (uint8_t *)t->data + offset * (int64_t)mfq_dtype_bytes(t->dtype);
}

/* `n` elements side by side, from and to the float32 bits `x`. */
static void load_row(const rotate_lines *w, int64_t offset, uint32_t *x, int64_t n) {
  w->kernels->load(x, element_at(w->from, offset), w->from->dtype, n);
}
static void store_row(const rotate_lines *w, int64_t offset, const uint32_t *x, int64_t n) {
  void *to = element_at(w->to, offset);
  if (w->is_value)
    w->kernels->store_limited(to, w->to->dtype, x, n);
  else
    w->kernels->store(to, w->to->dtype, x, n);
}

/* The rotations of a line whose elements lie side by side. */
static void rotate_row(const rotate_lines *w, int64_t from, int64_t to) {
  uint32_t x[MFQ_CHUNK];
  for (int64_t i = 0; i < w->length; i += MFQ_CHUNK) {
    const int64_t n = mfq_smaller(w->length - i, MFQ_CHUNK);
    const mfq_source row = {element_at(w->from, from + i), w->from->dtype};
    w->kernels->rotate_runs(&w->rotation, w->is_inverse, row, n, x);
    store_row(w, to + i, x, n);
  }
}

/* Lines that go through `n` elements side by side along the last axis. */
enum { COLUMNS = 64, COLUMNS_STEP = COLUMNS + 16 };
static void rotate_columns(const rotate_lines *w, int64_t from, int64_t to, int64_t n) {
  const int64_t step = w->from->strides[w->axis], to_step = w->to->strides[w->axis];
  uint32_t x[MFQN_ROTATION_MAX * COLUMNS_STEP];
  for (int64_t i = 0; i < w->from->shape[w->axis];) {
    const int64_t rows = i < w->length ? w->rotation.size : 1;
    for (int64_t k = 0; k < rows; ++k) load_row(w, from + (i + k) * step, x + k * COLUMNS_STEP, n);
    if (i < w->length) w->kernels->rotate_columns(&w->rotation, w->is_inverse, x, n, COLUMNS_STEP);
    for (int64_t k = 0; k < rows; ++k) store_row(w, to + (i + k) * to_step, x + k * COLUMNS_STEP, n);
    i += rows;
  }
}

static void rotate_line(const rotate_lines *w, int64_t from, int64_t to) {
  const int64_t step = w->from->strides[w->axis], to_step = w->to->strides[w->axis];
  const int is_row = w->kernels && step == 1 && to_step == 1;
  uint32_t x[MFQN_ROTATION_MAX];
  if (is_row) rotate_row(w, from, to);
  for (int64_t i = is_row ? w->length : 0; i < w->from->shape[w->axis];) {
    const int is_whole = i < w->length;
    const int64_t n = is_whole ? w->rotation.size : 1;
    for (int64_t k = 0; k < n; ++k) x[k] = mfq_element_load(w->from->data, w->from->dtype, from + (i + k) * step);
    if (is_whole) mfqn_rotate(&w->rotation, x, w->is_inverse);
    for (int64_t k = 0; k < n; ++k) store(w, to + (i + k) * to_step, x[k]);
    i += n;
  }
}

/* How many lines go together along the last axis; 1: each by itself. */
static int64_t columns_of(const rotate_lines *w) {
  const int32_t last = w->from->rank - 1;
  return w->kernels && w->axis != last && w->from->strides[last] == 1 && w->to->strides[last] == 1 ? COLUMNS : 1;
}

static void do_lines(void *work, int thread, int64_t first, int64_t end) {
  const rotate_lines *w = work;
  mfq_tensor from = *w->from, to = *w->to;
  const int32_t last = from.rank - 1;
  const int64_t columns = columns_of(w), cols = from.shape[last], blocks = mfq_ceil_div(cols, columns);
  (void)thread;
  from.shape[w->axis] = to.shape[w->axis] = 1;
  if (columns > 1) from.shape[last] = to.shape[last] = 1;
  for (int64_t item = first; item < end; ++item) {
    const int64_t line = columns > 1 ? item / blocks : item, c = columns > 1 ? item % blocks * columns : 0;
    const int64_t from_at = mfq_offset_of(&from, line) + c, to_at = mfq_offset_of(&to, line) + c;
    if (columns > 1)
      rotate_columns(w, from_at, to_at, mfq_smaller(cols - c, columns));
    else
      rotate_line(w, from_at, to_at);
  }
}

static void run_lines(const mfq_context *context, rotate_lines *work) {
  enum { LINES = 16 }; /* that a thread takes at a time */
  const int64_t columns = columns_of(work);
  int64_t items = 1;
  for (int32_t d = 0; d < work->from->rank; ++d) {
    const int64_t size = work->from->shape[d];
    if (size == 0) return;
    if (d != work->axis) items *= columns > 1 && d == work->from->rank - 1 ? mfq_ceil_div(size, columns) : size;
  }
  mfq_team_run((mfq_loop){context->threads, items, columns > 1 ? 1 : LINES}, do_lines, work);
}

/* ---- The cast between the copies --------------------------------------------------------------------------------- */

/* A cast on copies in float32: `first` is what it reads, or a dequantization writes; a fake quantization writes there
 * too, and a gradient over the copy of its upstream, `second`. */
typedef struct copied_cast {
  mfq_cast cast;
  mfq_qview view;
  mfq_gradient gradient;
  mfq_tensor first, second;
  size_t copies; /* bytes */
} copied_cast;

static mfq_tensor dense_copy(const mfq_tensor *of, void *memory) {
  mfq_tensor t = {.data = memory, .dtype = MFQ_DTYPE_F32, .rank = of->rank};
  int64_t step = 1;
  for (int32_t d = of->rank - 1; d >= 0; --d) {
    t.shape[d] = of->shape[d];
    t.strides[d] = step;
    step *= of->shape[d];
  }
  return t;
}

static size_t copy_bytes(const mfq_tensor *of) {
  int64_t count = sizeof(float);
  for (int32_t d = 0; d < of->rank; ++d) count *= of->shape[d];
  return (size_t)mfq_round_up(count, 64);
}

/* `memory` NULL: for planning. */
static void make_cast(const mfq_cast *cast, uint8_t *memory, copied_cast *made) {
  const mfq_tensor *like = cast->src ? cast->src : cast->dst;
  const size_t bytes = copy_bytes(like);
  made->cast = *cast;
  made->view = *cast->view;
  made->view.q.scheme = mfq_scheme_unrotated(&cast->view->q.scheme);
  made->copies = cast->op == MFQ_OP_FAKE_GRADIENT ? 2 * bytes : bytes;
  made->first = dense_copy(like, memory);
  made->second = dense_copy(like, memory ? memory + bytes : NULL);
  made->cast.view = &made->view;
  if (cast->src) made->cast.src = &made->first;
  if (cast->dst) made->cast.dst = cast->op == MFQ_OP_FAKE_GRADIENT ? &made->second : &made->first;
  if (!cast->gradient) return;
  made->gradient = *cast->gradient;
  made->gradient.upstream = &made->second;
  made->cast.gradient = &made->gradient;
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (!mfq_cast_is_rotated(cast) || cast->other) return mfq_refuse(why, "%s", "");
  copied_cast made;
  mfq_cast_plan inner;
  make_cast(cast, NULL, &made);
  const mfq_room room = {inner.state, sizeof inner.state};
  const mfq_status status =
      mfq_choose_in(context, context->backend->ways[cast->op], &made.cast, room, choice->is_quiet, &inner.choice);
  if (status != MFQ_OK) return status;
  choice->is_general = 1;
  choice->workspace_bytes = mfq_size_plus(made.copies, inner.choice.workspace_bytes);
  mfq_choice_describe(choice, "in float32, and %s", inner.choice.description);
  return MFQ_OK;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  copied_cast made;
  (void)state;
  make_cast(cast, memory, &made);
  rotate_lines lines = {.kernels = mfq_cpu_kernels(context),
                        .axis = cast->view->sizes.axis,
                        .length = cast->view->q.shape[cast->view->sizes.axis]};
  const mfq_scheme *s = &cast->view->q.scheme;
  lines.rotation = mfqn_rotation_make(s->rotation, (int32_t)s->signs, s->sign_seed);
  if (cast->src) {
    lines.from = cast->src;
    lines.to = &made.first;
    run_lines(context, &lines);
  }
  if (cast->gradient) {
    lines.from = cast->gradient->upstream;
    lines.to = &made.second;
    run_lines(context, &lines);
  }
  mfq_context lent = mfq_cpu_lend(context, memory + made.copies, SIZE_MAX);
  lent.log_level = MFQ_LOG_OFF;
  const mfq_status status = mfq_cpu_cast(&lent, &made.cast);
  if (status != MFQ_OK || !cast->dst) return status;
  lines.from = made.cast.dst;
  lines.to = cast->dst;
  lines.is_inverse = 1;
  lines.is_value = cast->op != MFQ_OP_FAKE_GRADIENT;
  run_lines(context, &lines);
  return MFQ_OK;
}

const mfq_way mfq_rotated_copies = {"rotated copies", plan, run, NULL};
