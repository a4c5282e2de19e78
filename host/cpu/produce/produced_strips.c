/* host/cpu/produce/produced_strips.c: producers by strips: rows are made in a thread's memory and quantized from there; or,
 * by rows, made by the same loops and quantized when all are there. */
#include <string.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "host/cpu/cast/elements.h"
#include "host/cpu/cast/indices.h"
#include "host/cpu/cast/lane_tree.h"
#include "host/cpu/cast/strips.h"
#include "made_rows.h"
#include "produce_ref.h"

/* Where the float32 results of a piece go first. */
typedef enum made_room {
  MADE_WINDOW, /* for codes, or sums of columns */
  MADE_PLAIN,  /* they are the plain results */
  MADE_PIECE   /* a thread's own memory */
} made_room;

/* How a call is run. Windows are columns of the results, or (by_units) of the inputs: both of a pair are made at once
 * then. */
typedef struct produced_plan {
  mfq_strips strips;
  made_room room;
  int32_t by_units, sums; /* how many sums of columns there are */
  int32_t is_apart;       /* results are kept, and quantized afterwards */
} produced_plan;
_Static_assert(sizeof(produced_plan) <= MFQ_CAST_STATE, "the plan finds room");

typedef struct produced_work {
  const produced_plan *plan;
  const mfq_made *made;
  mfq_maker maker;
  float *sums[2]; /* of each strip's columns */
  uint32_t *kept; /* dense results, where windows are filled twice: inputs are read and results made once; else NULL */
  uint8_t *threads;
} produced_work;

/* Memory of a thread: a block of rows of terms, and trees of such blocks. */
typedef struct produced_thread {
  mfq_maker_room room;
  float terms[2][MFQ_MADE_ROWS][MFQ_MADE_PIECE], folded[MFQ_MADE_PIECE];
} produced_thread;

/* ---- Plan -------------------------------------------------------------------------------------------------------- */

static const mfq_produce_loops *loops_of(const mfq_kernels *kernels) {
#ifdef MFQ_HAVE_ISA_AVX512
  if (kernels == &mfq_kernels_avx512) return &mfq_produce_loops_avx512;
#endif
#ifdef MFQ_HAVE_ISA_AVX2
  if (kernels == &mfq_kernels_avx2) return &mfq_produce_loops_avx2;
#endif
  return &mfq_produce_loops_baseline;
}

/* Whether windows are quantized. */
static int has_codes(const mfq_made *m, const produced_plan *p) {
  return !p->is_apart && (m->row != NULL || m->col != NULL);
}

/* Rotations in place lose their inputs unless both of a pair are made at once. */
static const char *why_not(const mfq_made *m, const produced_plan *p) {
  const int is_interleaved = m->make.pairs == MFQN_PAIRS_INTERLEAVED && !p->by_units;
  if (m->is_in_place && m->make.pairs != MFQN_PAIRS_NONE && !p->by_units) return "pairs are made in place";
  if (is_interleaved && p->strips.width % 2 != 0) return "windows would cut pairs";
  return mfq_maker_why_not(m);
}

/* Levels of the trees of a strip's blocks, and of all strips. */
static int64_t levels_of(const mfq_strips *s) {
  const int64_t blocks = mfq_larger(mfq_ceil_div(s->height, MFQ_MADE_ROWS), mfq_strips_count(s));
  int64_t levels = 1;
  while (levels < 63 && blocks >> levels != 0) ++levels;
  return levels;
}

static size_t tree_bytes(const produced_plan *p) {
  return p->sums ? (size_t)levels_of(&p->strips) * MFQ_MADE_PIECE * sizeof(float) : 0;
}

/* Of norms both sums, else one for each half of rows that is at hand. */
static int32_t trees_of(const produced_plan *p) { return p->sums > 0 && p->strips.halves ? 2 : p->sums; }

static size_t thread_bytes(const produced_plan *p) {
  return mfq_whole_lines(sizeof(produced_thread)) + (size_t)trees_of(p) * tree_bytes(p);
}

static size_t sums_bytes(const produced_plan *p) {
  if (!p->sums) return 0;
  const size_t strips = (size_t)mfq_strips_count(&p->strips);
  return mfq_whole_lines(mfq_size_times(mfq_size_times(strips, (size_t)p->strips.cols), sizeof(float)));
}

static int is_kept(const produced_plan *p) { return p->strips.fillings > 1 || p->is_apart; }

static size_t kept_bytes(const mfq_made *m, const produced_plan *p) {
  if (!is_kept(p)) return 0;
  return mfq_whole_lines(mfq_size_times(mfq_size_times((size_t)m->rows, (size_t)m->cols), sizeof(float)));
}

static size_t memory_of(const mfq_made *m, const produced_plan *p) {
  const size_t own = mfq_size_times(thread_bytes(p), (size_t)p->strips.threads);
  const size_t made = mfq_size_plus(mfq_maker_bytes(m), mfq_size_times((size_t)p->sums, sums_bytes(p)));
  const size_t strips = mfq_size_plus(mfq_whole_lines(mfq_strips_bytes(&p->strips)), kept_bytes(m, p));
  return mfq_size_plus(mfq_size_plus(own, made), strips);
}

static mfq_status plan_made(mfq_context *context, const mfq_made *m, produced_plan *p, mfq_line *why) {
  const int is_norm = m->make.op == MFQN_MAKE_NORM_BACKWARD;
  p->sums = m->column_sums[1].data || (is_norm && m->column_sums[0].data) ? 2 : m->column_sums[0].data ? 1 : 0;
  p->by_units = !has_codes(m, p) && !p->sums;
  p->room = has_codes(m, p) || (p->sums && !is_norm) ? MADE_WINDOW : MADE_PIECE;
  if (p->room == MADE_PIECE && m->plain.data && m->plain.dtype == MFQ_DTYPE_F32 && !m->is_in_place &&
      m->make.pairs != MFQN_PAIRS_INTERLEAVED)
    p->room = MADE_PLAIN;
  const mfq_strips_wanted wanted = {.one = p->is_apart ? NULL : m->row,
                                    .other = p->is_apart ? NULL : m->col,
                                    .rows = m->rows,
                                    .cols = p->by_units ? m->units : m->cols,
                                    .by_strips = mfqn_make_passes(&m->make) > 0,
                                    .halves = !p->by_units && m->make.pairs == MFQN_PAIRS_HALVES,
                                    .sums = p->sums > 0};
  const mfq_status status = mfq_strips_plan(context, &wanted, &p->strips, why);
  if (status != MFQ_OK) return status;
  const char *reason = why_not(m, p);
  return reason ? mfq_refuse(why, "%s", reason) : MFQ_OK;
}

/* Where mfq_supported asks: as codes of rows of float32. */
static mfq_status plan_unmade(mfq_context *context, const mfq_cast *cast, produced_plan *p, mfq_line *why) {
  if (!cast->view) return MFQ_OK;
  const mfq_qtensor *q = &cast->view->q;
  mfq_strips_wanted wanted = {.one = cast->view, .rows = 1, .cols = q->shape[q->rank - 1]};
  for (int32_t d = 0; d < q->rank - 1; ++d) wanted.rows *= q->shape[d];
  return mfq_strips_plan(context, &wanted, &p->strips, why);
}

static mfq_status plan_produced(mfq_context *context, const mfq_cast *cast, int is_apart, mfq_choice *choice,
                                mfq_line *why) {
  if (!mfq_cpu_kernels(context)) return mfq_refuse(why, "the context asks for the reference path");
  if (cast->made && cast->made->cols == 0) return mfq_refuse(why, "rows are empty"); /* their numbers may be wanted */
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(produced_plan), choice);
  produced_plan *p = choice->state;
  if (status == MFQ_OK) p->is_apart = is_apart;
  if (status == MFQ_OK)
    status = cast->made ? plan_made(context, cast->made, p, why) : plan_unmade(context, cast, p, why);
  if (status != MFQ_OK) return status;
  if (cast->made) choice->workspace_bytes = memory_of(cast->made, p);
  mfq_choice_describe(choice, "%svector loops (%s)", p->strips.is_square ? "one set of codes, turned, by " : "",
                      mfq_cpu_kernels(context)->isa);
  return MFQ_OK;
}

static mfq_status plan_strips(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  return plan_produced(context, problem, 0, choice, why);
}

static mfq_status plan_rows(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (!cast->made || (!cast->made->row && !cast->made->col)) return mfq_refuse(why, "%s", "");
  const mfq_status status = plan_produced(context, problem, 1, choice, why);
  if (status == MFQ_OK)
    choice->workspace_bytes = mfq_size_plus(choice->workspace_bytes, mfq_made_quantize_bytes(context, cast));
  return status;
}

/* ---- Windows ----------------------------------------------------------------------------------------------------- */

/* Columns of a window that have one part. */
typedef struct made_stretch {
  int64_t col, unit, n; /* `n` units */
  int first, end;       /* parts */
} made_stretch;

/* The stretch at column `col` of the results, or (by_units) at a unit: to the end of a half, or a piece. */
static made_stretch stretch_at(const produced_work *w, int64_t col, int64_t left) {
  const mfq_made *m = w->made;
  const int is_pair = m->make.pairs != MFQN_PAIRS_NONE;
  if (w->plan->by_units || w->plan->strips.halves)
    return (made_stretch){col, col, mfq_smaller(left, MFQ_MADE_PIECE), 0, is_pair ? 2 : 1};
  if (m->make.pairs == MFQN_PAIRS_INTERLEAVED)
    return (made_stretch){col, col / 2, mfq_smaller(left / 2, MFQ_MADE_PIECE / 2), 0, 2};
  const mfq_made_place place = mfq_made_place_of(m, col);
  const int64_t n = mfq_smaller(mfq_smaller(left, m->units - place.unit), MFQ_MADE_PIECE);
  return (made_stretch){col, place.unit, n, place.part, place.part + 1};
}

/* The column of the results where a part of a stretch begins. */
static int64_t column_of(const mfq_made *m, const made_stretch *s, int part) {
  if (m->make.pairs == MFQN_PAIRS_INTERLEAVED) return 2 * s->unit;
  return s->unit + part * m->units;
}

static uint8_t *plain_at(const mfq_made *m, const mfq_made_row_at *at, int64_t col) {
  return m->plain.data + (at->plain + col) * (int64_t)mfq_dtype_bytes(m->plain.dtype);
}

/* Results that go together: `n` from column `col` of a row on, and from `to` on in a window. */
typedef struct made_results {
  int64_t col, n;
  uint32_t *to;
} made_results;

static uint32_t *room_of(const produced_work *w, const mfq_made_row_at *at, const made_results *r, uint32_t *piece) {
  if (w->plan->room == MADE_PLAIN) return (uint32_t *)(void *)plain_at(w->made, at, r->col);
  return w->plan->room == MADE_WINDOW ? r->to : piece;
}

static void store(const produced_work *w, const mfq_made_row_at *at, const made_results *r, const uint32_t *y) {
  const mfq_made *m = w->made;
  if (w->kept) memcpy(w->kept + at->row * m->cols + r->col, y, (size_t)r->n * sizeof *y);
  if (m->plain.data && w->plan->room != MADE_PLAIN)
    w->maker.kernels->store(plain_at(m, at, r->col), m->plain.dtype, y, r->n);
}

/* Makes a stretch of a row; both of a pair are made before either is stored, which may be in place. */
static void make_row(const produced_work *w, const mfq_made_row_at *at, const made_stretch *s, const mfq_made_piece *p,
                     uint32_t *const *window, mfq_maker_room *room) {
  const mfq_made *m = w->made;
  mfq_made_piece piece = *p;
  made_results results[2];
  uint32_t *y[2];
  const int is_woven = m->make.pairs == MFQN_PAIRS_INTERLEAVED;
  for (int part = s->first; part < s->end; ++part) {
    results[part] = (made_results){column_of(m, s, part), s->n, window[s->end - s->first > 1 ? part : 0]};
    y[part] = is_woven ? room->values[part] : room_of(w, at, &results[part], room->values[part]);
    piece.part = part;
    if (s->end - s->first == 1) mfq_maker_values(&w->maker, at, &piece, s->unit, y[part]);
  }
  if (s->end - s->first > 1) w->maker.loops->pairs(&m->make, p, y[0], y[1]);
  if (is_woven) {
    results[0].n = 2 * s->n;
    uint32_t *const woven = room_of(w, at, &results[0], room->woven);
    w->maker.loops->weave(y[0], y[1], s->n, woven);
    store(w, at, &results[0], woven);
    return;
  }
  for (int part = s->first; part < s->end; ++part) store(w, at, &results[part], y[part]);
}

/* ---- Sums of columns --------------------------------------------------------------------------------------------- */

/* The trees of the columns at hand. */
typedef struct made_sums {
  mfq_lane_tree trees[2];
  int64_t cols;
  float *folded; /* room for a block's sums */
} made_sums;

static produced_thread *thread_at(const produced_work *w, int thread) {
  return (produced_thread *)(void *)(w->threads + thread_bytes(w->plan) * (size_t)thread);
}

static made_sums sums_begin(const produced_work *w, produced_thread *t, int64_t cols) {
  made_sums sums = {.cols = cols, .folded = t->folded};
  uint8_t *memory = (uint8_t *)t + mfq_whole_lines(sizeof *t);
  for (int k = 0; k < trees_of(w->plan); ++k, memory += tree_bytes(w->plan))
    sums.trees[k].partial = (float *)(void *)memory;
  return sums;
}

/* Adds a block of rows, `ld` apart. A short one behind others misses terms, which are +0. */
static void add_block(const produced_work *w, made_sums *sums, int k, const float *terms, int64_t rows, int64_t ld) {
  mfq_lane_tree *tree = &sums->trees[k];
  float *folded = sums->folded;
  w->maker.loops->fold(terms, rows, ld, sums->cols, folded);
  for (int64_t i = 0; rows < MFQ_MADE_ROWS && tree->count > 0 && i < sums->cols; ++i)
    folded[i] = mfqn_add(folded[i], 0.0f);
  mfq_lane_tree_add(w->maker.kernels, tree, folded, sums->cols);
}

static void keep_sums(const produced_work *w, made_sums *sums, int64_t row0, int64_t col) {
  const mfq_strips *s = &w->plan->strips;
  const int64_t first = mfq_strips_at(s, row0) * s->cols + col;
  for (int k = 0; k < trees_of(w->plan); ++k) {
    float *to = s->halves ? w->sums[0] + first + k * w->made->units : w->sums[k] + first;
    mfq_lane_tree_sum(w->maker.kernels, &sums->trees[k], to, sums->cols);
  }
}

/* ---- Filling ----------------------------------------------------------------------------------------------------- */

static int wants_values(const produced_work *w) {
  return w->plan->room == MADE_WINDOW || w->made->plain.data != NULL || w->plan->is_apart;
}

/* The terms of a row for the sums of norms. */
static void norm_terms(const produced_work *w, const mfq_made_piece *p, int64_t row, produced_thread *t) {
  w->maker.loops->column_terms(&w->made->make, p, t->terms[0][row], t->terms[1][row]);
}

/* Adds the last rows of a window: their terms, or their results in it. */
static void add_rows(const produced_work *w, uint32_t *const *window, int64_t ld, int64_t rows, made_sums *sums,
                     produced_thread *t) {
  const int is_norm = w->made->make.op == MFQN_MAKE_NORM_BACKWARD;
  for (int k = 0; k < trees_of(w->plan); ++k) {
    const float *results = is_norm ? NULL : (const float *)(const void *)(window[k] - (rows - 1) * ld);
    add_block(w, sums, k, is_norm ? t->terms[k][0] : results, rows, is_norm ? MFQ_MADE_PIECE : ld);
  }
}

/* How many columns of a window a stretch has. */
static int64_t width_of(const produced_work *w, const made_stretch *s) {
  return w->made->make.pairs == MFQN_PAIRS_INTERLEAVED && !w->plan->by_units ? 2 * s->n : s->n;
}

static void fill_stretch(const produced_work *w, const mfq_window *window, const made_stretch *s) {
  produced_thread *t = thread_at(w, window->thread);
  const int has_sums = w->plan->sums, is_norm = w->made->make.op == MFQN_MAKE_NORM_BACKWARD;
  made_sums sums = sums_begin(w, t, width_of(w, s));
  const int64_t col = s->col - window->col0;
  for (int64_t r = 0; r < window->rows; ++r) {
    const mfq_made_row_at at = mfq_maker_row(&w->maker, window->row0 + r);
    uint32_t *to[] = {window->to + r * window->ld + col, window->other ? window->other + r * window->ld + col : NULL};
    mfq_maker_prefetch(&w->maker, &at, s->unit, s->n);
    const mfq_made_piece p = mfq_maker_read(&w->maker, &at, s->unit, s->n, &t->room);
    const int64_t in_block = r % MFQ_MADE_ROWS, rows = in_block + 1;
    if (has_sums && is_norm) norm_terms(w, &p, in_block, t);
    if (wants_values(w)) make_row(w, &at, s, &p, to, &t->room);
    if (has_sums && (rows == MFQ_MADE_ROWS || r + 1 == window->rows)) add_rows(w, to, window->ld, rows, &sums, t);
  }
  if (has_sums) keep_sums(w, &sums, window->row0, s->col);
}

static void fill_columns(const produced_work *w, const mfq_window *window) {
  for (int64_t col = window->col0, end = col + window->cols; col < end;) {
    const made_stretch s = stretch_at(w, col, end - col);
    fill_stretch(w, window, &s);
    col += width_of(w, &s);
  }
}

static void fill_again(const produced_work *w, const mfq_window *window) {
  const int64_t cols = w->made->cols;
  const uint32_t *from = w->kept + window->row0 * cols + window->col0;
  for (int64_t r = 0; r < window->rows; ++r, from += cols) {
    memcpy(window->to + r * window->ld, from, (size_t)window->cols * sizeof *from);
    if (window->other) memcpy(window->other + r * window->ld, from + cols / 2, (size_t)window->cols * sizeof *from);
  }
}

/* Rows are made from their first column to the last where memory is read so, and columns are not summed. */
static void fill(void *source, const mfq_window *window) {
  const produced_work *w = source;
  if (!window->is_first) {
    fill_again(w, window);
    return;
  }
  for (int64_t r = 0; w->maker.numbers && window->col0 == 0 && r < window->rows; ++r)
    mfq_maker_fold(&w->maker, window->row0 + r, &thread_at(w, window->thread)->room);
  if (w->plan->sums) {
    fill_columns(w, window);
    return;
  }
  mfq_window row = *window;
  row.rows = 1;
  for (int64_t r = 0; wants_values(w) && r < window->rows; ++r) {
    fill_columns(w, &row);
    ++row.row0;
    row.to += row.ld;
    if (row.other) row.other += row.ld;
  }
}

/* ---- Run --------------------------------------------------------------------------------------------------------- */

/* Adds the sums of columns to what is there, or writes them. */
static void store_sums(const mfq_made *m, const mfq_made_side *to, int64_t col, const float *sums, int64_t n) {
  for (int64_t j = 0; to->data && j < n; ++j) {
    const int64_t at = (col + j) * to->col_stride;
    float sum = sums[j];
    if (m->accumulate) sum = mfqn_add(mfqn_float_of(mfq_element_load(to->data, to->dtype, at)), sum);
    mfq_element_store(to->data, to->dtype, at, mfqn_one_nan(sum));
  }
}

/* The sums of strips to those of columns. */
static void finish_piece(const produced_work *w, produced_thread *t, int64_t col) {
  const mfq_strips *s = &w->plan->strips;
  const int64_t strips = mfq_strips_count(s), n = mfq_smaller(s->cols - col, MFQ_MADE_PIECE);
  made_sums sums = sums_begin(w, t, n);
  for (int k = 0; k < w->plan->sums; ++k) {
    for (int64_t i = 0; i < strips; ++i) {
      float *part = w->sums[k] + i * s->cols + col;
      const int is_short = i > 0 && i + 1 == strips && s->rows % s->height != 0;
      for (int64_t j = 0; is_short && j < n; ++j) part[j] = mfqn_add(part[j], 0.0f);
      mfq_lane_tree_add(w->maker.kernels, &sums.trees[k], part, n);
    }
    mfq_lane_tree_sum(w->maker.kernels, &sums.trees[k], t->folded, n);
    store_sums(w->made, &w->made->column_sums[k], col, t->folded, n);
  }
}

static void finish_pieces(void *work, int thread, int64_t first, int64_t end) {
  const produced_work *w = work;
  for (int64_t k = first; k < end; ++k) finish_piece(w, thread_at(w, thread), k * MFQ_MADE_PIECE);
}

static void finish_loss(const produced_work *w) {
  const mfq_made *m = w->made;
  mfqn_tree tree = {.count = 0};
  for (int64_t row = 0; row < m->rows; ++row) mfqn_tree_add(&tree, w->maker.losses[row]);
  mfq_element_store(m->loss.data, m->loss.dtype, 0, mfqn_one_nan(mfqn_div(mfqn_tree_sum(&tree), w->maker.counted)));
}

static mfq_status run_produced(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const produced_plan *p = state;
  const mfq_made *m = cast->made;
  const mfq_kernels *kernels = mfq_cpu_kernels(context);
  const mfq_status status = mfq_made_check_indices(cast);
  if (status != MFQ_OK) return status;
  produced_work w = {.plan = p, .made = m, .maker = {.made = m, .kernels = kernels, .loops = loops_of(kernels)}};
  if (m->make.op == MFQN_MAKE_LOSS) w.maker.counted = mfq_made_count_rows(m);
  uint8_t *const strips = memory;
  memory += mfq_whole_lines(mfq_strips_bytes(&p->strips));
  mfq_maker_place(&w.maker, memory);
  memory += mfq_maker_bytes(m);
  w.threads = memory;
  memory += thread_bytes(p) * (size_t)p->strips.threads;
  for (int k = 0; k < p->sums; ++k) w.sums[k] = (float *)(void *)(memory + sums_bytes(p) * (size_t)k);
  if (is_kept(p)) w.kept = (uint32_t *)(void *)(memory + sums_bytes(p) * (size_t)p->sums);
  mfq_strips_run(context, &p->strips, strips, fill, &w);
  const mfq_loop columns = {p->strips.threads, mfq_ceil_div(p->strips.cols, MFQ_MADE_PIECE), 1};
  if (p->sums) mfq_team_run(columns, finish_pieces, &w);
  if (m->loss.data) finish_loss(&w);
  if (!p->is_apart) return MFQ_OK;
  uint8_t *const kept = (uint8_t *)w.kept;
  return mfq_made_quantize(context, cast, (float *)(void *)kept, kept + kept_bytes(m, p));
}

const mfq_way mfq_produced_strips = {"produced strips", plan_strips, run_produced, NULL};
const mfq_way mfq_produced_rows = {"produced rows", plan_rows, run_produced, NULL};
