/* host/cpu/cast/gather_codes.c: rows of a quantized table: their codes, scales and zero points are copied, some rows at a
 * time, and dequantized as a table of their own, whose rows begin at whole bytes and have scales of their own. */
#include <mfq/num/pack.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "host/cpu/cpu_state.h"
#include "elements.h"
#include "indices.h"

enum { COPY_BYTES = 1 << 18, PART_ALIGNMENT = 64 };

typedef struct codes_plan {
  mfq_qview rows;                      /* the table that is made: `shape[0]` rows, in logical order */
  size_t scales, zero_points, scratch; /* where its parts are in the workspace, behind the codes; of dequantizing */
  size_t scratch_bytes;
} codes_plan;
_Static_assert(sizeof(codes_plan) <= MFQ_CAST_STATE, "a plan finds room");

/* The table of `count` rows: what several rows shared, each of them has. */
static mfq_status make_rows(const char *function, const mfq_qview *table, int64_t count, mfq_qview *rows) {
  mfq_qtensor q = {.scheme = table->q.scheme, .rank = 2, .shape = {count, table->q.shape[1]}};
  q.layout = (mfq_layout){.packing = table->q.layout.packing, .row_align = 1};
  if (q.shape[1] * mfq_code_bits(&q) % 8 == 0) q.layout.row_align = 0; /* the same bytes, in one stream */
  if (q.scheme.granularity == MFQ_GRANULARITY_BLOCK) q.scheme.block_rows = 1;
  if (q.scheme.granularity == MFQ_GRANULARITY_GROUP && table->sizes.axis == 0) q.scheme.group_size = 1;
  q.scheme.eden = 0; /* which quantizing alone knows */
  return mfq_qview_init((mfq_where){function, "rows of the table"}, &q, rows);
}

/* Whether scales do not depend on the row. */
static int shares_scales(const mfq_qview *table) {
  const mfq_granularity granularity = table->q.scheme.granularity;
  return granularity == MFQ_GRANULARITY_TENSOR || (granularity == MFQ_GRANULARITY_CHANNEL && table->sizes.axis == 1);
}

static size_t aligned(size_t bytes) {
  return mfq_size_plus(bytes, PART_ALIGNMENT - 1) / PART_ALIGNMENT * PART_ALIGNMENT;
}

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

typedef struct copy_work {
  const mfq_cast *cast;
  const mfq_qview *rows;
  mfqn_scheme scheme;
  mfq_scale_axis axes[MFQ_MAX_RANK]; /* of the table's scales */
  int64_t bit_strides[MFQ_MAX_RANK]; /* of the table's codes */
  int64_t first;                     /* position of row 0 */
} copy_work;

static void copy_codes(const copy_work *w, int64_t row, int64_t r) {
  const mfq_qview *table = w->cast->view;
  const int64_t n = table->q.shape[1], bits = mfq_code_bits(&table->q), from = row * w->bit_strides[0];
  const int64_t row_bits = (int64_t)w->rows->sizes.row_bits;
  uint8_t *to = (uint8_t *)w->rows->q.codes + r * row_bits / 8;
  if (w->bit_strides[1] == bits && from % 8 == 0 && n * bits % 8 == 0) {
    memcpy(to, (const uint8_t *)table->q.codes + from / 8, (size_t)(n * bits / 8));
    return;
  }
  memset(to, 0, (size_t)(row_bits / 8));
  for (int64_t j = 0; j < n; ++j)
    mfqn_put_bits(to, j * bits, (int32_t)bits,
                  mfqn_get_bits(table->q.codes, from + j * w->bit_strides[1], (int32_t)bits));
}

static void copy_scales(const copy_work *w, int64_t row, int64_t r) {
  enum { PART = 512 };
  const mfq_qview *table = w->cast->view;
  const int64_t n = w->rows->sizes.scale_shape[1], step = w->axes[1].stride != 0 ? w->axes[1].stride : 1;
  const int64_t from = row / w->axes[0].run * w->axes[0].stride;
  uint32_t stored[PART];
  for (int64_t j = 0; j < n; j += PART) {
    const int64_t count = n - j < PART ? n - j : PART;
    mfq_scales_get(table, from + j * step, step, stored, count);
    if (w->scheme.scale != MFQN_SCALE_NONE) mfq_scales_put(w->rows, r * n + j, 1, stored, count);
  }
  for (int64_t j = 0; j < n && w->scheme.has_zero_point; ++j)
    mfq_zero_point_put(w->rows, &w->scheme, r * n + j, mfq_zero_point_get(table, &w->scheme, from + j * step));
}

static void copy_rows(void *work, int thread, int64_t first, int64_t end) {
  const copy_work *w = work;
  (void)thread;
  for (int64_t r = first; r < end; ++r) {
    const int64_t row = mfq_index_at(&w->cast->indexing->indices, w->first + r);
    copy_codes(w, row, r);
    if (!shares_scales(w->cast->view)) copy_scales(w, row, r);
  }
}

/* ---- The way ----------------------------------------------------------------------------------------------------- */

/* How a table of rows is dequantized. */
static mfq_status choose(const mfq_context *context, const mfq_cast *cast, const mfq_qview *rows, mfq_choice *choice) {
  mfq_context same = *context;
  same.log_level = MFQ_LOG_OFF; /* nothing is run yet */
  mfq_tensor dst = *cast->dst;
  dst.shape[0] = rows->q.shape[0];
  const mfq_cast values = {.op = MFQ_OP_DEQUANTIZE, .function = cast->function, .view = rows, .dst = &dst};
  mfq_cast_plan plan;
  const mfq_status status = mfq_cast_choose(&same, &values, &plan);
  if (status != MFQ_OK) return status;
  choice->is_general |= plan.choice.is_general;
  if (plan.choice.workspace_bytes > choice->workspace_bytes) choice->workspace_bytes = plan.choice.workspace_bytes;
  return MFQ_OK;
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (!cast->view) return mfq_refuse(why, "%s", "");
  if (cast->view->q.rank != 2) return mfq_refuse(why, "a table has two axes"); /* mfq_supported may have more */
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(codes_plan), choice);
  if (status != MFQ_OK) return status;
  codes_plan *p = choice->state;
  const int64_t cols = cast->view->q.shape[1], most = COPY_BYTES / mfq_larger(cols, 1), count = cast->dst->shape[0];
  const int64_t chunk = mfq_larger(mfq_smaller(most, count), 1),
                sizes[] = {count % chunk, chunk}; /* the last ones first */
  for (int i = 0; i < 2 && status == MFQ_OK; ++i) {
    if (sizes[i] > 0) status = make_rows(cast->function, cast->view, sizes[i], &p->rows);
    if (sizes[i] > 0 && status == MFQ_OK) status = choose(context, cast, &p->rows, choice);
  }
  if (status != MFQ_OK) return status;
  const int has_own = !shares_scales(cast->view);
  p->scales = aligned(p->rows.sizes.codes_bytes);
  p->zero_points = mfq_size_plus(p->scales, has_own ? aligned(p->rows.sizes.scales_bytes) : 0);
  p->scratch = mfq_size_plus(p->zero_points, has_own ? aligned(p->rows.sizes.zero_points_bytes) : 0);
  p->scratch_bytes = choice->workspace_bytes;
  choice->workspace_bytes = mfq_size_plus(p->scratch, p->scratch_bytes);
  mfq_choice_describe(choice, "copies of rows, which are dequantized");
  return MFQ_OK;
}

static void bind(const mfq_qview *table, const codes_plan *p, uint8_t *memory, mfq_qview *rows) {
  const int is_shared = shares_scales(table);
  rows->q.codes = memory;
  rows->q.scales = is_shared ? table->q.scales : memory + p->scales;
  rows->q.zero_points = is_shared ? table->q.zero_points : memory + p->zero_points;
  rows->q.tensor_scale = table->q.tensor_scale;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const codes_plan *p = state;
  mfq_status status = mfq_indices_check(cast);
  const int64_t n = cast->dst->shape[0], cols = cast->dst->shape[1], chunk = p->rows.q.shape[0];
  if (status != MFQ_OK || n * cols == 0) return status;
  mfq_context lent = mfq_cpu_lend(context, memory + p->scratch, p->scratch_bytes);
  lent.log_level = MFQ_LOG_OFF;
  mfq_qview rows = p->rows;
  copy_work w = {.cast = cast, .rows = &rows};
  mfq_lower(&cast->view->q.scheme, &w.scheme);
  mfq_scale_axes(cast->view, w.axes);
  mfq_code_bit_strides(cast->view, w.bit_strides);
  for (w.first = 0; status == MFQ_OK && w.first < n; w.first += chunk) {
    const int64_t count = mfq_smaller(chunk, n - w.first);
    if (count < chunk) status = make_rows(cast->function, cast->view, count, &rows);
    bind(cast->view, p, memory, &rows);
    mfq_team_run((mfq_loop){mfq_row_threads(context, count * cols), count, 0}, copy_rows, &w);
    mfq_tensor dst = *cast->dst;
    dst.shape[0] = count;
    dst.data = (uint8_t *)dst.data + w.first * dst.strides[0] * (int64_t)mfq_dtype_bytes(dst.dtype);
    const mfq_cast values = {.op = MFQ_OP_DEQUANTIZE, .function = cast->function, .view = &rows, .dst = &dst};
    if (status == MFQ_OK) status = mfq_cpu_cast(&lent, &values);
  }
  return status;
}

const mfq_way mfq_gather_codes = {"codes", plan, run, NULL};
