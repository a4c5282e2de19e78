/* host/cpu/conv/conv_ref.c: the convolution that num/conv_run.h and num/dot.h define: sums in tiles, each by one thread.
 *
 * A tile has channels of one group as rows, and MFQ_DOT_COLS lanes: pixels of the result, or, for WEIGHT_GRADIENT, the
 * input channels of one tap. Line after line its rows and lanes are expanded to doubles. */
#include "conv_ref.h"

#include "host/core/integers.h"
#include "host/core/check/sizes.h"
#include "host/core/process/team.h"
#include "conv_lines.h"
#include "host/cpu/product/finish_cpu.h"
#include "host/cpu/product/gemm_sides.h"

enum { SHARE_PRODUCTS = 1 << 18 }; /* of less a second thread is not worth it */

typedef struct ref_conv {
  const mfq_conv_problem *problem;
  mfq_cpu_finish finish;
  mfq_conv_operand direct, gathered;
  mfqn_dot_plan plan;
  mfqn_window window[3];
  int64_t rows, lanes;     /* of the result: channels of a group; pixels, or input channels of a group */
  int64_t size[3];         /* pixels along each axis: of the result, or of y */
  int64_t taps, tile_taps; /* tile_taps: those that have tiles of their own */
  int64_t row_tiles, lane_tiles;
  float *sums; /* dense, in our order */
} ref_conv;

/* Rows and lanes of the result, of one group and, for WEIGHT_GRADIENT, one tap. */
typedef struct ref_place {
  int64_t group, tap[3];
  int64_t row0, rows, lane0, lanes;
} ref_place;

/* What a thread works in. */
typedef struct ref_work {
  mfq_dot_tile tile;
  mfq_conv_strand row[MFQ_DOT_ROWS], lane[MFQ_DOT_COLS];
  int32_t is_there[MFQ_DOT_COLS]; /* lanes that the line has elements for */
  int64_t pixel[MFQ_DOT_COLS][4]; /* of lanes: image, and a place on each spatial axis */
  float before[MFQ_DOT_ROWS][MFQ_DOT_COLS];
} ref_work;

static int is_weight(const ref_conv *c) { return c->problem->direction == MFQ_CONV_WEIGHT_GRADIENT; }

/* Place `index` on the axes of `size`, row-major. */
static int64_t unravel(int64_t index, const int64_t *size, int64_t *at) {
  for (int i = 2; i >= 0; --i) {
    at[i] = index % size[i];
    index /= size[i];
  }
  return index;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

/* Cuts the line from `first` on into runs, as many as the tile holds, with their scales; returns where they end. */
static int64_t cut_runs(const ref_conv *c, const ref_place *at, int64_t first, int64_t end, ref_work *work) {
  mfq_dot_tile *tile = &work->tile;
  int64_t any = 0, i = first;
  while (!work->is_there[any]) ++any;
  tile->runs = 0;
  while (i < end) {
    const int64_t next = mfqn_conv_run_end(i, end, work->row[0].line, work->lane[any].line);
    if (next - first > MFQ_DOT_DEPTH) break;
    for (int64_t r = 0; r < at->rows; ++r)
      tile->a_scale[tile->runs][r] = mfq_conv_strand_scale(&c->direct, &work->row[r], i);
    for (int64_t j = 0; j < at->lanes; ++j)
      if (work->is_there[j]) tile->b_scale[tile->runs][j] = mfq_conv_strand_scale(&c->gathered, &work->lane[j], i);
    tile->run_end[tile->runs++] = (int32_t)(next - first);
    i = next;
  }
  return i;
}

/* Lanes without elements keep their sums, whatever the other operand holds. */
static void keep_sums(const ref_place *at, const ref_work *work, const float (*from)[MFQ_DOT_COLS],
                      float (*to)[MFQ_DOT_COLS]) {
  for (int64_t j = 0; j < at->lanes; ++j)
    for (int64_t r = 0; r < (work->is_there[j] ? 0 : at->rows); ++r) to[r][j] = from[r][j];
}

/* Adds elements span.begin ... span.end - 1 of the work's strands. */
static void add_line(const ref_conv *c, const ref_place *at, mfqn_conv_span span, ref_work *work) {
  mfq_dot_tile *tile = &work->tile;
  keep_sums(at, work, (const float(*)[MFQ_DOT_COLS])tile->sums, work->before);
  for (int64_t i = span.begin, next; i < span.end; i = next) {
    next = cut_runs(c, at, i, span.end, work);
    const mfq_conv_piece row = {i, next, 1}, lane = {i, next, MFQ_DOT_COLS};
    for (int64_t r = 0; r < at->rows; ++r) mfq_conv_strand_read(&c->direct, &work->row[r], row, tile->a[r]);
    for (int64_t j = 0; j < at->lanes; ++j)
      if (work->is_there[j]) mfq_conv_strand_read(&c->gathered, &work->lane[j], lane, &tile->b[0][j]);
    c->finish.kernels->dot(tile);
  }
  keep_sums(at, work, (const float(*)[MFQ_DOT_COLS])work->before, tile->sums);
}

/* ---- FORWARD and INPUT_GRADIENT: a line for each tap ------------------------------------------------------------- */

/* The weight's channels that meet in the summed one `0` of this tap. */
static void weight_strands(const ref_conv *c, const ref_place *at, const int64_t *tap, ref_work *work) {
  const mfq_conv_problem *p = c->problem;
  const int is_forward = p->direction == MFQ_CONV_FORWARD;
  for (int64_t r = 0; r < at->rows; ++r) {
    const int64_t channel = at->row0 + r, first = at->group * p->out_channels;
    const int64_t w[] = {is_forward ? first + channel : first, tap[0], tap[1], tap[2], is_forward ? 0 : channel};
    work->row[r] = mfq_conv_strand_make(&c->direct, w, is_forward ? MFQ_CONV_CHANNELS : 0, 1);
  }
}

/* The pixels that a tap meets; returns how many lanes have one. */
static int64_t pixel_strands(const ref_conv *c, const ref_place *at, const int64_t *tap, ref_work *work) {
  const mfq_conv_problem *p = c->problem;
  const int64_t channels = p->direction == MFQ_CONV_FORWARD ? p->in_channels : p->out_channels;
  int64_t count = 0;
  for (int64_t j = 0; j < at->lanes; ++j) {
    int64_t met[] = {work->pixel[j][0], 0, 0, 0, at->group * channels};
    int is_there = 1;
    for (int i = 0; i < 3; ++i) {
      met[1 + i] = mfqn_window_at(&c->window[i], work->pixel[j][1 + i], tap[i]);
      is_there = is_there && met[1 + i] >= 0;
    }
    work->is_there[j] = is_there;
    if (is_there) work->lane[j] = mfq_conv_strand_make(&c->gathered, met, MFQ_CONV_CHANNELS, 1);
    count += is_there;
  }
  return count;
}

static void sum_taps(const ref_conv *c, const ref_place *at, ref_work *work) {
  const mfq_conv_problem *p = c->problem;
  const mfqn_conv_span all = {0, p->direction == MFQ_CONV_FORWARD ? p->in_channels : p->out_channels};
  for (int64_t j = 0; j < at->lanes; ++j) work->pixel[j][0] = unravel(at->lane0 + j, c->size, &work->pixel[j][1]);
  for (int64_t t = 0; t < c->taps; ++t) {
    int64_t tap[3];
    (void)unravel(t, p->filter, tap);
    if (pixel_strands(c, at, tap, work) == 0) continue;
    weight_strands(c, at, tap, work);
    add_line(c, at, all, work);
  }
}

/* ---- WEIGHT_GRADIENT: a line for each image and row of outputs --------------------------------------------------- */

/* The line of row `row` of image `image`, with the input's rows at `in`. */
static mfqn_conv_span pixel_lines(const ref_conv *c, const ref_place *at, const int64_t *row, const int64_t *in,
                                  ref_work *work) {
  const mfq_conv_problem *p = c->problem;
  const mfqn_window *w = &c->window[2];
  for (int64_t r = 0; r < at->rows; ++r) {
    const int64_t y[] = {row[0], row[1], row[2], 0, at->group * p->out_channels + at->row0 + r};
    work->row[r] = mfq_conv_strand_make(&c->direct, y, 3, 1);
  }
  for (int64_t j = 0; j < at->lanes; ++j) {
    const int64_t first = at->tap[2] * w->tap_step + w->offset, channel = at->group * p->in_channels + at->lane0 + j;
    const int64_t x[] = {row[0], in[0], in[1], first, channel};
    work->lane[j] = mfq_conv_strand_make(&c->gathered, x, 3, w->out_step);
    work->is_there[j] = 1;
  }
  return mfqn_conv_line_span(work->lane[0].line, c->size[2]);
}

static void sum_pixels(const ref_conv *c, const ref_place *at, ref_work *work) {
  for (int64_t n = 0; n < c->problem->batch; ++n)
    for (int64_t i = 0; i < c->size[0] * c->size[1]; ++i) {
      const int64_t row[3] = {n, i / c->size[1], i % c->size[1]};
      const int64_t in[2] = {mfqn_window_at(&c->window[0], row[1], at->tap[0]),
                             mfqn_window_at(&c->window[1], row[2], at->tap[1])};
      if (in[0] >= 0 && in[1] >= 0) add_line(c, at, pixel_lines(c, at, row, in, work), work);
    }
}

/* ---- Tiles ------------------------------------------------------------------------------------------------------- */

static int64_t tile_count(const ref_conv *c) {
  return c->problem->groups * c->tile_taps * c->row_tiles * c->lane_tiles;
}

static ref_place place_of(const ref_conv *c, int64_t index) {
  ref_place t;
  t.lane0 = index % c->lane_tiles * MFQ_DOT_COLS;
  index /= c->lane_tiles;
  t.row0 = index % c->row_tiles * MFQ_DOT_ROWS;
  index /= c->row_tiles;
  t.group = index / c->tile_taps;
  (void)unravel(index % c->tile_taps, c->problem->filter, t.tap);
  t.rows = mfq_smaller(c->rows - t.row0, MFQ_DOT_ROWS);
  t.lanes = mfq_smaller(c->lanes - t.lane0, MFQ_DOT_COLS);
  return t;
}

/* Sums of a channel are channel_step apart in the result, those of a lane lane_step. */
static void store_tile(const ref_conv *c, const ref_place *at, const mfq_dot_tile *tile) {
  const mfq_conv_problem *p = c->problem;
  const int64_t *f = p->filter, row = at->group * c->rows + at->row0;
  const int64_t tap = (at->tap[0] * f[1] + at->tap[1]) * f[2] + at->tap[2];
  const int64_t row_step = is_weight(c) ? c->taps * c->lanes : 1;
  const int64_t lane_step = is_weight(c) ? 1 : p->groups * c->rows;
  float *to = c->sums + row * row_step + at->lane0 * lane_step + (is_weight(c) ? tap * c->lanes : 0);
  for (int64_t r = 0; r < at->rows; ++r)
    for (int64_t j = 0; j < at->lanes; ++j) to[r * row_step + j * lane_step] = tile->sums[r][j];
}

static void sum_tile(const ref_conv *c, const ref_place *at, ref_work *work) {
  work->tile.plan = c->plan;
  work->tile.rows = at->rows;
  memset(work->tile.sums, 0, sizeof work->tile.sums);
  if (is_weight(c))
    sum_pixels(c, at, work);
  else
    sum_taps(c, at, work);
  store_tile(c, at, &work->tile);
}

static void measure(const mfq_conv_problem *p, ref_conv *c) {
  const int is_weight_gradient = p->direction == MFQ_CONV_WEIGHT_GRADIENT;
  const int64_t *size = p->direction == MFQ_CONV_INPUT_GRADIENT ? p->in : p->out;
  memset(c, 0, sizeof *c);
  c->problem = p;
  c->taps = p->filter[0] * p->filter[1] * p->filter[2];
  c->tile_taps = is_weight_gradient ? c->taps : 1;
  c->rows = p->direction == MFQ_CONV_INPUT_GRADIENT ? p->in_channels : p->out_channels;
  c->lanes = is_weight_gradient ? p->in_channels : p->batch * size[0] * size[1] * size[2];
  c->row_tiles = mfq_ceil_div(c->rows, MFQ_DOT_ROWS);
  c->lane_tiles = mfq_ceil_div(c->lanes, MFQ_DOT_COLS);
  for (int i = 0; i < 3; ++i) {
    c->size[i] = size[i];
    c->window[i] = mfq_conv_window(p, i);
  }
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

static int thread_count(const mfq_context *context, const mfq_conv_problem *p) {
  const mfq_finish *f = &p->finish;
  const double products = (double)f->batches * (double)f->m * (double)f->n * (double)p->k;
  ref_conv c;
  measure(p, &c);
  return products < SHARE_PRODUCTS ? 1 : (int)mfq_smaller(tile_count(&c), context->threads);
}

typedef struct tiles_work {
  const ref_conv *conv;
  uint8_t *memory; /* zeros: lanes that a tile does not have are multiplied too */
} tiles_work;

static void run_tiles(void *work, int thread, int64_t first, int64_t end) {
  const tiles_work *w = work;
  const size_t bytes = mfq_workspace_round(sizeof(ref_work));
  for (int64_t t = first; t < end; ++t) {
    const ref_place at = place_of(w->conv, t);
    sum_tile(w->conv, &at, (ref_work *)(void *)(w->memory + bytes * (size_t)thread));
  }
}

/* The parts of the workspace; what is used at different times lies in the same place. */
typedef struct ref_parts {
  size_t side[3], sums, shared, shared_bytes, end; /* sides: x, w, y */
  mfq_cpu_finish_plan finish;
} ref_parts;

static const mfq_gemm_side *part_of(const mfq_conv_problem *p, int side) {
  return side == 0 ? &p->x.part : side == 1 ? &p->w.part : &p->y.part;
}

static ref_parts parts_of(const mfq_context *context, const mfq_conv_problem *p) {
  const mfq_finish *f = &p->finish;
  ref_parts parts;
  parts.end = 0;
  parts.shared_bytes = mfq_workspace_round(sizeof(ref_work)) * (size_t)thread_count(context, p);
  for (int i = 0; i < 3; ++i) {
    parts.side[i] = mfq_workspace_take(&parts.end, mfq_gemm_side_bytes(part_of(p, i)));
    parts.shared_bytes = mfq_larger_size(parts.shared_bytes, mfq_cpu_side_scratch(context, part_of(p, i)));
  }
  mfq_cpu_finish_plan_make(context, f, &parts.end, &parts.finish);
  parts.sums = f->is_d_quantized ? parts.finish.values_at : mfq_workspace_take(&parts.end, mfq_cpu_finish_sum_bytes(f));
  parts.shared_bytes = mfq_larger_size(parts.shared_bytes, parts.finish.scratch_bytes);
  parts.shared = mfq_workspace_take(&parts.end, parts.shared_bytes);
  return parts;
}

size_t mfq_conv_ref_bytes(const mfq_context *context, const mfq_conv_problem *problem) {
  return parts_of(context, problem).end;
}

/* The problem with its operands quantized into the workspace. */
static mfq_status make_ready(mfq_context *lent, const mfq_conv_problem *p, const ref_parts *parts, uint8_t *memory,
                             mfq_conv_problem *ready) {
  mfq_gemm_side *const sides[3] = {&ready->x.part, &ready->w.part, &ready->y.part};
  mfq_status status = MFQ_OK;
  *ready = *p;
  for (int i = 0; i < 3 && status == MFQ_OK; ++i)
    status = mfq_cpu_side_ready(lent, part_of(p, i), memory + parts->side[i], sides[i]);
  return status;
}

mfq_status mfq_conv_ref_run(const mfq_context *context, const mfq_conv_problem *problem, void *workspace) {
  const ref_parts parts = parts_of(context, problem);
  uint8_t *memory = workspace;
  mfq_context lent = mfq_cpu_lend(context, memory + parts.shared, parts.shared_bytes);
  mfq_conv_problem ready;
  ref_conv c;
  const mfq_status status = make_ready(&lent, problem, &parts, memory, &ready);
  if (status != MFQ_OK) return status;
  measure(&ready, &c);
  mfq_cpu_finish_open(context, &parts.finish, &ready.finish, mfq_conv_factor_views(&ready), memory, &c.finish);
  c.sums = (float *)(void *)(memory + parts.sums);
  c.direct.side = *mfq_conv_direct(&ready);
  c.gathered.side = *mfq_conv_gathered(&ready);
  const mfqn_dot_side direct = mfq_conv_operand_open(&c.direct), gathered = mfq_conv_operand_open(&c.gathered);
  c.plan = mfqn_dot_plan_make(direct, gathered);
  const int threads = thread_count(context, problem);
  memset(memory + parts.shared, 0, mfq_workspace_round(sizeof(ref_work)) * (size_t)threads);
  mfq_team_run((mfq_loop){threads, tile_count(&c), 1}, run_tiles, &(tiles_work){&c, memory + parts.shared});
  const mfq_cpu_finish_part all = mfq_cpu_finish_dense(&ready.finish, c.sums, ready.finish.m);
  mfq_cpu_finish_run(&lent, &c.finish, &all);
  return mfq_cpu_finish_end(&lent, &c.finish);
}
