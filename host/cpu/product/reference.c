/* host/cpu/product/reference.c: the sums that num/dot.h and num/conv_run.h define, in tiles, each by one thread: any problem,
 * the same bits with every instruction set and thread count. The last way of products and of convolutions.
 *
 * A tile has MFQ_DOT_ROWS rows and MFQ_DOT_COLS lanes: rows of A and columns of B; or channels of one group and pixels of
 * the result, or, for WEIGHT_GRADIENT, the input channels of one tap. Line after line its rows and lanes are expanded to
 * doubles. A product has one line, K. */
#include "expand_operand.h"
#include "finish_cpu.h"
#include "sums_cpu.h"
#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "host/cpu/conv/conv_lines.h"

enum { SHARE_PRODUCTS = 1 << 18 }; /* of less a second thread is not worth it */

typedef struct reference {
  const mfq_conv_problem *problem; /* NULL: a product */
  const mfq_finish *result;
  int64_t k; /* products in a sum */
  mfq_cpu_finish finish;
  mfq_conv_operand direct, gathered; /* rows and lanes: A and B of a product */
  mfqn_dot_plan plan;
  mfqn_window window[3];
  int64_t groups;          /* of channels, or batches of a product */
  int64_t rows, lanes;     /* of the result: channels of a group; pixels, or input channels of a group; M and N */
  int64_t size[3];         /* pixels along each axis: of the result, or of y */
  int64_t taps, tile_taps; /* tile_taps: those that have tiles of their own */
  int64_t row_tiles, lane_tiles;
  float *sums; /* of a convolution: dense, in our order */
} reference;

/* Rows and lanes of the result, of one group (or batch) and, for WEIGHT_GRADIENT, one tap. */
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

static int is_weight(const reference *c) {
  return c->problem != NULL && c->problem->direction == MFQ_CONV_WEIGHT_GRADIENT;
}

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
static int64_t cut_runs(const reference *c, const ref_place *at, int64_t first, int64_t end, ref_work *work) {
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
static void add_line(const reference *c, const ref_place *at, mfqn_conv_span span, ref_work *work) {
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

/* ---- Products: one line ------------------------------------------------------------------------------------------ */

/* A side as rows of channels, at batch 0. */
static mfq_conv_side as_array(const mfq_gemm_side *side) {
  const int is_plain = side->kind == MFQ_SIDE_PLAIN;
  mfq_conv_side array = {.part = *side, .size = {1, 1, 1, side->rows, side->depth}};
  for (int i = 0; i < MFQ_CONV_AXES; ++i) array.scale_run[i] = 1;
  for (int i = 0; i < 2; ++i) {
    array.stride[3 + i] = is_plain ? side->matrix.stride[i] : 0;
    array.code_bits[3 + i] = is_plain ? 0 : side->code_bits[1 + i];
    array.scale_stride[3 + i] = is_plain ? 0 : side->scale_stride[1 + i];
    if (!is_plain) array.scale_run[3 + i] = side->scale_run[1 + i];
  }
  return array;
}

static mfq_conv_strand row_strand(const mfq_conv_operand *o, int64_t batch, int64_t row) {
  const mfq_gemm_side *side = &o->side.part;
  const int64_t at[MFQ_CONV_AXES] = {0, 0, 0, row, 0}, own = side->batches == 1 ? 0 : batch;
  mfq_conv_strand s = mfq_conv_strand_make(o, at, MFQ_CONV_CHANNELS, 1);
  if (side->kind == MFQ_SIDE_PLAIN) {
    s.place += mfq_matrix_offset(&side->matrix, own);
  } else {
    s.place += own * side->code_bits[0];
    s.scale += own * side->scale_stride[0];
  }
  return s;
}

static void sum_depth(const reference *c, const ref_place *at, ref_work *work) {
  for (int64_t r = 0; r < at->rows; ++r) work->row[r] = row_strand(&c->direct, at->group, at->row0 + r);
  for (int64_t j = 0; j < at->lanes; ++j) {
    work->lane[j] = row_strand(&c->gathered, at->group, at->lane0 + j);
    work->is_there[j] = 1;
  }
  add_line(c, at, (mfqn_conv_span){0, c->k}, work);
}

static void finish_tile(const reference *c, const ref_place *at, const mfq_dot_tile *tile) {
  const mfq_cpu_finish_part part = {.sums = tile->sums[0],
                                    .row_stride = MFQ_DOT_COLS,
                                    .first_batch = at->group,
                                    .batches = 1,
                                    .first_row = at->row0,
                                    .rows = at->rows,
                                    .first_col = at->lane0,
                                    .cols = at->lanes};
  mfq_cpu_finish_rows(&c->finish, &part, 0, at->rows);
}

/* ---- FORWARD and INPUT_GRADIENT: a line for each tap ------------------------------------------------------------- */

/* The weight's channels that meet in the summed one `0` of this tap. */
static void weight_strands(const reference *c, const ref_place *at, const int64_t *tap, ref_work *work) {
  const mfq_conv_problem *p = c->problem;
  const int is_forward = p->direction == MFQ_CONV_FORWARD;
  for (int64_t r = 0; r < at->rows; ++r) {
    const int64_t channel = at->row0 + r, first = at->group * p->out_channels;
    const int64_t w[] = {is_forward ? first + channel : first, tap[0], tap[1], tap[2], is_forward ? 0 : channel};
    work->row[r] = mfq_conv_strand_make(&c->direct, w, is_forward ? MFQ_CONV_CHANNELS : 0, 1);
  }
}

/* The pixels that a tap meets; returns how many lanes have one. */
static int64_t pixel_strands(const reference *c, const ref_place *at, const int64_t *tap, ref_work *work) {
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

static void sum_taps(const reference *c, const ref_place *at, ref_work *work) {
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
static mfqn_conv_span pixel_lines(const reference *c, const ref_place *at, const int64_t *row, const int64_t *in,
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

static void sum_pixels(const reference *c, const ref_place *at, ref_work *work) {
  for (int64_t n = 0; n < c->problem->batch; ++n)
    for (int64_t i = 0; i < c->size[0] * c->size[1]; ++i) {
      const int64_t row[3] = {n, i / c->size[1], i % c->size[1]};
      const int64_t in[2] = {mfqn_window_at(&c->window[0], row[1], at->tap[0]),
                             mfqn_window_at(&c->window[1], row[2], at->tap[1])};
      if (in[0] >= 0 && in[1] >= 0) add_line(c, at, pixel_lines(c, at, row, in, work), work);
    }
}

/* ---- Tiles ------------------------------------------------------------------------------------------------------- */

static int64_t tile_count(const reference *c) { return c->groups * c->tile_taps * c->row_tiles * c->lane_tiles; }

static ref_place place_of(const reference *c, int64_t index) {
  ref_place t;
  t.lane0 = index % c->lane_tiles * MFQ_DOT_COLS;
  index /= c->lane_tiles;
  t.row0 = index % c->row_tiles * MFQ_DOT_ROWS;
  index /= c->row_tiles;
  t.group = index / c->tile_taps;
  if (c->problem != NULL) (void)unravel(index % c->tile_taps, c->problem->filter, t.tap);
  t.rows = mfq_smaller(c->rows - t.row0, MFQ_DOT_ROWS);
  t.lanes = mfq_smaller(c->lanes - t.lane0, MFQ_DOT_COLS);
  return t;
}

/* Sums of a channel are channel_step apart in the result, those of a lane lane_step. */
static void store_tile(const reference *c, const ref_place *at, const mfq_dot_tile *tile) {
  const mfq_conv_problem *p = c->problem;
  const int64_t *f = p->filter, row = at->group * c->rows + at->row0;
  const int64_t tap = (at->tap[0] * f[1] + at->tap[1]) * f[2] + at->tap[2];
  const int64_t row_step = is_weight(c) ? c->taps * c->lanes : 1;
  const int64_t lane_step = is_weight(c) ? 1 : p->groups * c->rows;
  float *to = c->sums + row * row_step + at->lane0 * lane_step + (is_weight(c) ? tap * c->lanes : 0);
  for (int64_t r = 0; r < at->rows; ++r)
    for (int64_t j = 0; j < at->lanes; ++j) to[r * row_step + j * lane_step] = tile->sums[r][j];
}

static void sum_tile(const reference *c, const ref_place *at, ref_work *work) {
  work->tile.plan = c->plan;
  work->tile.rows = at->rows;
  memset(work->tile.sums, 0, sizeof work->tile.sums);
  if (c->problem == NULL)
    sum_depth(c, at, work);
  else if (is_weight(c))
    sum_pixels(c, at, work);
  else
    sum_taps(c, at, work);
  if (c->problem == NULL)
    finish_tile(c, at, &work->tile);
  else
    store_tile(c, at, &work->tile);
}

static void measure_conv(const mfq_conv_problem *p, reference *c) {
  const int is_weight_gradient = p->direction == MFQ_CONV_WEIGHT_GRADIENT;
  const int64_t *size = p->direction == MFQ_CONV_INPUT_GRADIENT ? p->in : p->out;
  *c = (reference){.problem = p, .result = &p->finish, .k = p->k, .groups = p->groups};
  c->direct.side = *mfq_conv_direct(p);
  c->gathered.side = *mfq_conv_gathered(p);
  c->taps = p->filter[0] * p->filter[1] * p->filter[2];
  c->tile_taps = is_weight_gradient ? c->taps : 1;
  c->rows = p->direction == MFQ_CONV_INPUT_GRADIENT ? p->in_channels : p->out_channels;
  c->lanes = is_weight_gradient ? p->in_channels : p->batch * size[0] * size[1] * size[2];
  for (int i = 0; i < 3; ++i) {
    c->size[i] = size[i];
    c->window[i] = mfq_conv_window(p, i);
  }
}

static void measure_gemm(const mfq_gemm_problem *p, reference *c) {
  *c = (reference){.result = &p->finish, .k = p->k, .groups = p->batches, .rows = p->m, .lanes = p->n, .tile_taps = 1};
  c->direct.side = as_array(&p->a);
  c->gathered.side = as_array(&p->b);
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

typedef struct tiles_work {
  const reference *of;
  uint8_t *memory; /* zeros: lanes that a tile does not have are multiplied too */
} tiles_work;

static void run_tiles(void *work, int thread, int64_t first, int64_t end) {
  const tiles_work *w = work;
  const size_t bytes = mfq_workspace_round(sizeof(ref_work));
  for (int64_t t = first; t < end; ++t) {
    const ref_place at = place_of(w->of, t);
    sum_tile(w->of, &at, (ref_work *)(void *)(w->memory + bytes * (size_t)thread));
  }
}

/* The parts of the workspace; what is used at different times lies in the same place. */
typedef struct ref_parts {
  int threads;
  size_t direct, gathered, sums, shared, shared_bytes, end;
  mfq_cpu_finish_plan finish;
} ref_parts;

/* Where a problem's parts are, once it has its tiles. */
static ref_parts parts_of(const mfq_context *context, reference *c) {
  const mfq_finish *f = c->result;
  const double products = (double)f->batches * (double)f->m * (double)f->n * (double)c->k;
  const mfq_gemm_side *const sides[] = {&c->direct.side.part, &c->gathered.side.part};
  ref_parts parts = {.end = 0};
  c->row_tiles = mfq_ceil_div(c->rows, MFQ_DOT_ROWS);
  c->lane_tiles = mfq_ceil_div(c->lanes, MFQ_DOT_COLS);
  parts.threads = products < SHARE_PRODUCTS ? 1 : (int)mfq_smaller(tile_count(c), context->threads);
  parts.direct = mfq_workspace_take(&parts.end, mfq_gemm_side_bytes(sides[0]));
  parts.gathered = mfq_workspace_take(&parts.end, mfq_gemm_side_bytes(sides[1]));
  mfq_cpu_finish_plan_make(context, f, &parts.end, &parts.finish);
  parts.sums = parts.finish.values_at;
  if (c->problem != NULL && !f->is_d_quantized)
    parts.sums = mfq_workspace_take(&parts.end, mfq_cpu_finish_sum_bytes(f));
  parts.shared_bytes = mfq_larger_size(
      mfq_workspace_round(sizeof(ref_work)) * (size_t)parts.threads,
      mfq_larger_size(mfq_cpu_side_scratch(context, sides[0]), mfq_cpu_side_scratch(context, sides[1])));
  parts.shared_bytes = mfq_larger_size(parts.shared_bytes, parts.finish.scratch_bytes);
  parts.shared = mfq_workspace_take(&parts.end, parts.shared_bytes);
  return parts;
}

/* Quantizes an operand where that is to be done, and opens it. */
static mfq_status open_operand(mfq_context *lent, uint8_t *memory, mfq_conv_operand *o, mfqn_dot_side *side) {
  const mfq_gemm_side given = o->side.part;
  const mfq_status status = mfq_cpu_side_ready(lent, &given, memory, &o->side.part);
  if (status == MFQ_OK) *side = mfq_conv_operand_open(o);
  return status;
}

static mfq_status run(const mfq_context *context, reference *c, uint8_t *memory) {
  const ref_parts parts = parts_of(context, c);
  mfq_context lent = mfq_cpu_lend(context, memory + parts.shared, parts.shared_bytes);
  const mfq_qview *direct = &c->direct.side.part.view, *gathered = &c->gathered.side.part.view;
  mfqn_dot_side of_direct, of_gathered;
  mfq_status status = open_operand(&lent, memory + parts.direct, &c->direct, &of_direct);
  if (status == MFQ_OK) status = open_operand(&lent, memory + parts.gathered, &c->gathered, &of_gathered);
  if (status != MFQ_OK) return status;
  c->plan = mfqn_dot_plan_make(of_direct, of_gathered);
  c->sums = (float *)(void *)(memory + parts.sums);
  const mfq_factor_views of_gemm = {direct, gathered};
  const mfq_factor_views views = c->problem != NULL ? mfq_conv_views(c->problem, gathered, direct) : of_gemm;
  mfq_cpu_finish_open(context, &parts.finish, c->result, views, memory, &c->finish);
  memset(memory + parts.shared, 0, mfq_workspace_round(sizeof(ref_work)) * (size_t)parts.threads);
  mfq_team_run((mfq_loop){parts.threads, tile_count(c), 1}, run_tiles, &(tiles_work){c, memory + parts.shared});
  const mfq_cpu_finish_part all = mfq_cpu_finish_dense(c->result, c->sums, c->result->m);
  if (c->problem != NULL) mfq_cpu_finish_run(&lent, &c->finish, &all);
  return mfq_cpu_finish_end(&lent, &c->finish);
}

/* ---- Ways --------------------------------------------------------------------------------------------------------- */

static mfq_status plan(const mfq_context *context, reference *c, mfq_choice *choice, const char *along) {
  choice->workspace_bytes = parts_of(context, c).end;
  choice->is_general = 1;
  mfq_choice_describe(choice, "exact within runs of at most 32%s", along);
  return MFQ_OK;
}

static mfq_status plan_gemm(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  reference c;
  (void)why;
  measure_gemm(problem, &c);
  return plan(context, &c, choice, " along K");
}

static mfq_status plan_conv(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  reference c;
  (void)why;
  measure_conv(problem, &c);
  return plan(context, &c, choice, "");
}

static mfq_status run_gemm(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  reference c;
  (void)state;
  measure_gemm(problem, &c);
  return run(context, &c, workspace);
}

static mfq_status run_conv(mfq_context *context, const void *state, const void *problem, uint8_t *workspace) {
  reference c;
  (void)state;
  measure_conv(problem, &c);
  return run(context, &c, workspace);
}

const mfq_way mfq_gemm_reference = {.name = "reference", .plan = plan_gemm, .run = run_gemm};
const mfq_way mfq_conv_reference = {.name = "reference", .plan = plan_conv, .run = run_conv};
