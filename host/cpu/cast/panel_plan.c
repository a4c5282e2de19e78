/* host/cpu/cast/panel_plan.c: from a tensor and a scheme to a grid and its panels. */
#include <stddef.h>
#include <string.h>

#include "host/core/problem/grid.h"
#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "panels.h"
#include "elements.h"

enum {
  BLOCK_BYTES = 1 << 16,
  TURN_BYTES = 1 << 17,
  MOST_BYTES = 1 << 20,
  STACK_ROWS = 512,
  UNIT_ELEMENTS = 1 << 15,
  SHARED_ROWS = 64,
  TURNED_COLS = 1024,
  WHOLE_ROW = 1 << 14, /* elements */
  STREAM_BYTES = 8 << 20,
  SHARE_ELEMENTS = 1 << 16
};

/* Elements that are rotated together; 1 where none are. */
static int64_t rotation_of(const mfq_panels *p) { return mfq_larger(p->scheme.rotation.size, 1); }

/* Columns of a panel at most, where a run is not longer. */
static int64_t most_cols(const mfq_panels *p) {
  return p->most_cols != 0 ? mfq_smaller(p->most_cols, MFQ_CHUNK) : MFQ_CHUNK;
}

/* Columns of a panel: whole runs and rotations that start at byte limits, or one long run; 0 when there is no such
 * number. */
static int64_t whole_runs(const mfq_panels *p, int32_t bits) {
  const int64_t unit = mfq_common_multiple(p->run, rotation_of(p));
  const int64_t step = bits == 8 ? unit : mfq_common_multiple(unit, 8);
  if (step <= most_cols(p)) return most_cols(p) / step * step;
  return step <= MFQ_CHUNK || step == p->run ? step : 0;
}

/* Stacks of groups along the middle axis that are whole rotations. Returns 0 where these are too high. */
static int stack_rotations(mfq_panels *p) {
  const int64_t height = mfq_common_multiple(p->rows, rotation_of(p));
  if (height > p->rows && height > STACK_ROWS) return 0;
  p->stack = height / p->rows;
  p->cols = mfq_smaller(UNIT_ELEMENTS / mfq_smaller(height, STACK_ROWS), most_cols(p));
  return 1;
}

/* Whether neighbours in memory are rows of the grid: elements are turned on their way then. */
static int is_turned(const mfq_panels *p, const int64_t *stride) {
  return stride[2] != 1 && stride[1] == 1 && p->size[1] > 1 && p->size[2] > 1;
}

static int turns_elements(const mfq_panels *p) {
  return p->may_join && rotation_of(p) == 1 && (is_turned(p, p->stride) || (p->other && is_turned(p, p->other_stride)));
}

/* The rows that are rotated or turned at once. */
static void place_units(mfq_panels *p) {
  enum { TURNED_ROWS = 32 };
  if (rotation_of(p) == 1 && (!turns_elements(p) || p->bundle || p->cols > MFQ_CHUNK)) return;
  p->unit_rows = p->run > 0 ? 1 : mfq_smaller(p->rows * p->stack, STACK_ROWS);
  if (rotation_of(p) == 1) {
    if (p->rows * p->stack == 1) p->stack = TURNED_ROWS;
    p->unit_rows = mfq_smaller(p->rows * p->stack, TURNED_ROWS);
  }
  p->unit_step = mfq_smaller(p->cols, MFQ_CHUNK) + 16; /* rows of a power of two would share lines of the cache */
}

/* Columns of a piece: so few that reads and writes of neighbours overlap with loops, and whole runs that end where words
 * of bits do. Columns with a scale each stay together, and rotations. */
static int64_t piece_of(const mfq_panels *p) {
  enum { COLS = 1024, BITS = 32 };
  if (p->run == 0 || p->unit_rows > 0) return MFQ_CHUNK;
  const int64_t step = p->run <= MFQ_CHUNK ? mfq_common_multiple(p->run, BITS) : BITS;
  return mfq_smaller((COLS + step - 1) / step * step, MFQ_CHUNK);
}

/* Whether each row has a scale of its own and stays in the caches: it is a panel then. */
static int are_whole_rows(const mfq_panels *p) {
  const int64_t most = p->most_cols != 0 ? p->most_cols : WHOLE_ROW;
  return p->run > 0 && !p->transposed && p->size[0] == 1 && p->size[2] <= most;
}

/* Whether rows that have a scale each are so short that many of them share a panel: they are one row with runs then. */
static int joins_rows(mfq_panels *p, mfq_grid *g) {
  const int32_t axis = p->view->sizes.axis, last = p->view->q.rank - 1;
  const int64_t row = g->size[2];
  switch (p->view->q.scheme.granularity) {
    case MFQ_GRANULARITY_CHANNEL:
      if (axis == last || g->size[0] != 1) return 0;
      break;
    case MFQ_GRANULARITY_GROUP:
      if (axis != last || row > p->view->q.scheme.group_size) return 0;
      break;
    default: return 0;
  }
  if (p->transposed || g->size[0] * g->size[1] == 1 || 2 * mfq_common_multiple(row, 8) > MFQ_CHUNK) return 0;
  return mfq_grid_join_rows(p->view, g);
}

static int shape_panels(mfq_panels *p) {
  const mfq_scheme *s = &p->view->q.scheme;
  const int32_t axis = p->view->sizes.axis, rank = p->view->q.rank;
  const int last = axis == rank - 1;
  p->rows = 1;
  p->cols = most_cols(p);
  if (p->run > 0) { /* joined rows */
    p->cols = whole_runs(p, p->code_bits);
    return p->cols > 0;
  }
  p->run = INT64_MAX; /* one scale */
  switch (s->granularity) {
    case MFQ_GRANULARITY_TENSOR:
      p->shared = s->scale != MFQ_SCALE_NONE;
      if (p->transposed) p->rows = SHARED_ROWS;
      break;
    case MFQ_GRANULARITY_CHANNEL:
      p->shared = 1;
      if (last || (p->transposed && axis < rank - 2)) p->rows = SHARED_ROWS;
      if (last) p->run = 0;
      if (are_whole_rows(p)) {
        p->shared = 0;
        p->cols = p->size[2];
      }
      break;
    case MFQ_GRANULARITY_BLOCK:
      p->rows = rank < 2 ? 1 : s->block_rows;
      p->run = s->block_cols;
      p->cols = whole_runs(p, p->transposed ? 8 : p->code_bits);
      break;
    default:
      if (last) {
        p->run = rotation_of(p) == 1 ? s->group_size : mfq_smaller(s->group_size, p->size[2]);
        p->cols = whole_runs(p, p->code_bits);
      } else {
        p->rows = s->group_size;
        p->run = 0;
      }
  }
  if (p->rows > p->size[1]) p->rows = p->size[1];
  return p->cols > 0 && (rotation_of(p) == 1 || p->run > 0 || stack_rotations(p));
}

/* Groups of a transposed panel are stacked until a column of their codes fills two cache lines, or one where panels are to
 * be narrow: so they are no narrower. */
static void stack_groups(mfq_panels *p) {
  const int64_t line = p->most_cols != 0 ? 512 : 1024, bits = p->rows * p->code_bits, least = p->stack;
  p->stack = line / mfq_common_divisor(line, bits);
  while (p->stack > 1 && p->stack * p->rows > STACK_ROWS) p->stack /= 2;
  if (p->stack % least != 0) p->stack = least;
}

/* Columns of transposed panels: what a turned stack may take of the caches, in whole runs. */
static int turned_cols(mfq_panels *p) {
  int64_t cols = TURN_BYTES / (p->rows * p->stack) / 64 * 64;
  if (cols == 0) cols = BLOCK_BYTES / p->rows / 8 * 8;
  if (cols > most_cols(p)) cols = most_cols(p);
  if (p->view->q.scheme.granularity == MFQ_GRANULARITY_BLOCK) {
    const int64_t run = p->run < p->size[2] ? p->run : p->size[2];
    cols = run > cols ? run : cols / run * run;
  }
  p->cols = cols;
  return cols > 0 && cols <= MOST_BYTES / (p->rows * p->stack);
}

/* Where rows of codes do not start at bytes, panels must be whole rows, and start and end at bytes together. */
static int place_codes(mfq_panels *p) {
  const int64_t bits = p->code_bits, row_bits = (int64_t)p->view->sizes.row_bits;
  const int padded = p->view->q.layout.row_align > 0;
  if (p->transposed) {
    p->row_bits = padded ? row_bits : p->size[1] * bits;
    if (p->row_bits % 8 != 0 && p->size[0] * p->size[2] > 1) return 0;
    stack_groups(p);
    const int64_t rows = p->rows * p->stack;
    return (rows >= p->size[1] || rows * bits % 8 == 0) && turned_cols(p);
  }
  p->row_bits = padded ? row_bits : p->size[2] * bits;
  if (p->row_bits % 8 == 0 || p->size[0] * p->size[1] == 1) return 1;
  if (p->rows == 1 && p->run != 0) {
    p->bundle = 8; /* 8 rows are whole bytes, whatever their length */
    if (p->run < MFQ_CHUNK) p->cols = whole_runs(p, 8);
    return p->size[2] <= BLOCK_BYTES / p->bundle;
  }
  p->whole_rows = 1;
  const int starts_at_byte = p->rows * p->row_bits % 8 == 0 && (p->size[0] == 1 || p->size[1] * p->row_bits % 8 == 0);
  return starts_at_byte && p->size[2] <= p->cols && p->rows * p->size[2] <= BLOCK_BYTES;
}

const char *mfq_panels_why_never(const mfq_scheme *scheme, mfq_panels_use use) {
  const mfq_format *e = &scheme->element;
  const int is_integer = e->kind == MFQ_KIND_INTEGER;
  /* The loops hold for formats whose values are normal float32 numbers. */
  if (!is_integer && (e->bias + e->man_bits > 120 || (1 << e->exp_bits) - 1 - e->bias > 120))
    return "the format reaches beyond the normal numbers of float32";
  if (scheme->scale == MFQ_SCALE_MINIFLOAT) return "scales are stored in a format that the loops do not have";
  if (scheme->zero_point > 1) return "zero points are f32";
  if (use == MFQ_PANELS_DECODE) return NULL;
  if (scheme->eden != 0 && scheme->rule != MFQ_RULE_GIVEN) return "scales are corrected together";
  if (scheme->arith != MFQ_ARITH_BREVITAS) return NULL;
  /* For ties to even Brevitas' steps give the codes that ours give, where nothing overflows on the way. */
  const int is_same = scheme->rounding == MFQ_ROUND_EVEN && !scheme->no_saturate && (is_integer || e->man_bits >= 1);
  if (!is_same) return "these steps of Brevitas are taken in its order";
  const int keeps_zeros = e->is_signed && !scheme->zero_point;
  return use == MFQ_PANELS_FAKE && !keeps_zeros ? "Brevitas has a -0 that codes have not" : NULL;
}

mfq_status mfq_panels_plan(const mfq_context *context, const mfq_tensor *tensor, const mfq_qview *view,
                           mfq_panels_use use, mfq_panels *p, mfq_line *why) {
  const int is_fake = use == MFQ_PANELS_FAKE, by_rows = use == MFQ_PANELS_ENCODE_ROWS;
  p->kernels = mfq_cpu_kernels(context);
  p->view = view;
  p->tensor = tensor;
  p->code_bits = is_fake ? 8 : mfq_code_bits(&view->q);
  p->stack = 1;
  p->tensor_scale = 1.0f;
  if (!p->kernels) return mfq_refuse(why, "the context asks for the reference path");
  const char *never = mfq_panels_why_never(&view->q.scheme, use);
  if (never) return mfq_refuse(why, "%s", never);
  if (view->sizes.codes_bytes == 0) return mfq_refuse(why, "there are no codes");
  const mfq_granularity granularity = view->q.scheme.granularity;
  const int is_transposed = view->q.layout.codes == MFQ_CODES_TRANSPOSED;
  if (is_transposed && granularity == MFQ_GRANULARITY_CHANNEL && view->q.rank > 3 &&
      view->sizes.axis < view->q.rank - 2)
    return mfq_refuse(why, "channels are one of several axes around transposed matrices");
  mfq_lower(&view->q.scheme, &p->scheme);
  if (p->keeps_rotation) p->scheme.rotation.size = 0;
  mfq_grid grid;
  if (!mfq_grid_make(tensor, p->other, view, by_rows, &grid))
    return mfq_refuse(why, "the strides do not merge to three dimensions");
  p->transposed =
      is_transposed || (view->q.layout.codes == MFQ_CODES_GROUP_LAST && view->sizes.axis != view->q.rank - 1);
  const int rows_of_groups = granularity == MFQ_GRANULARITY_GROUP && view->sizes.axis == view->q.rank - 1;
  const int64_t row = grid.size[2];
  if (p->may_join && joins_rows(p, &grid))
    p->run = row;
  else if (rows_of_groups && !by_rows)
    mfq_grid_merge_rows(view, &grid);
  memcpy(p->size, grid.size, sizeof p->size);
  memcpy(p->stride, grid.stride, sizeof p->stride);
  memcpy(p->other_stride, grid.other_stride, sizeof p->other_stride);
  if (p->most_cols == 0 && turns_elements(p)) p->most_cols = TURNED_COLS;
  if (!shape_panels(p) || (!is_fake && !place_codes(p)))
    return mfq_refuse(why, "panels of these sizes would share bytes of codes%s",
                      rotation_of(p) == 1 ? "" : ", or cut rotations");
  place_units(p);
  p->piece = piece_of(p);
  p->row_blocks = (p->size[1] + p->rows - 1) / p->rows;
  p->col_blocks = (p->size[2] + p->cols - 1) / p->cols;
  p->stacks = (p->row_blocks + p->stack - 1) / p->stack;
  p->count = p->bundle ? (p->size[0] * p->size[1] + p->bundle - 1) / p->bundle : p->size[0] * p->stacks * p->col_blocks;
  const int64_t elements = p->size[0] * p->size[1] * p->size[2];
  p->threads = elements < SHARE_ELEMENTS ? 1 : (int)context->threads;
  p->stream = (use == MFQ_PANELS_DECODE || is_fake) &&
              elements * (int64_t)mfq_dtype_bytes((is_fake ? p->other : tensor)->dtype) > STREAM_BYTES;
  return MFQ_OK;
}

static size_t block_bytes(const mfq_panels *p) {
  const int64_t cols = p->whole_rows ? p->size[2] : p->cols;
  if (p->bundle) return (size_t)mfq_round_up(p->bundle * p->size[2] + 64, 64);
  if (p->other) return 0;
  return p->transposed || p->whole_rows ? (size_t)mfq_round_up(2 * p->rows * p->stack * (cols + 64), 64) : 0;
}

/* With room behind for elements of half the width. */
static size_t unit_bytes(const mfq_panels *p) {
  const int64_t each = (int64_t)(sizeof(float) + sizeof(uint16_t));
  return (size_t)mfq_round_up(p->unit_rows * p->unit_step * each, 64);
}

size_t mfq_panels_scratch_bytes(const mfq_panels *p) {
  return (size_t)mfq_round_up((int64_t)sizeof(mfq_panel_scratch), 64) + block_bytes(p) + unit_bytes(p);
}

size_t mfq_panels_scratch_all(const mfq_panels *p) { return mfq_panels_scratch_bytes(p) * (size_t)p->threads; }

mfq_panel_scratch *mfq_panels_scratch_at(const mfq_panels *p, void *memory, int thread) {
  uint8_t *at = (uint8_t *)memory + (size_t)thread * mfq_panels_scratch_bytes(p);
  mfq_panel_scratch *scratch = (mfq_panel_scratch *)(void *)at;
  scratch->block = at + mfq_round_up((int64_t)sizeof *scratch, 64);
  scratch->unit = (uint32_t *)(void *)(scratch->block + block_bytes(p));
  scratch->held[0] = -1;
  scratch->mask = NULL;
  return scratch;
}

/* The first scale of a panel at these blocks. */
static int64_t first_scale(const mfq_panels *p, const mfq_panel *a, int64_t row_block) {
  const int is_outer = p->transposed && p->view->sizes.axis < p->view->q.rank - 2;
  switch (p->view->q.scheme.granularity) {
    case MFQ_GRANULARITY_TENSOR: return 0;
    case MFQ_GRANULARITY_CHANNEL:
      if (p->run > 0 && !p->shared && p->size[0] * p->size[1] == 1) break; /* joined rows, or one */
      return p->run == 0 ? a->col0 : is_outer ? a->outer : a->row0;
    default: break;
  }
  const int64_t run = p->run == 0 ? 1 : p->run, runs = (p->size[2] - 1) / run + 1, first = a->col0 / run;
  return p->transposed ? (a->outer * runs + first) * p->row_blocks + row_block
                       : (a->outer * p->row_blocks + row_block) * runs + first;
}

static mfq_panel panel_of(const mfq_panels *p, int64_t outer, int64_t row_block, int64_t col) {
  mfq_panel a;
  a.outer = outer;
  a.row0 = row_block * p->rows;
  a.rows = p->size[1] - a.row0 < p->rows ? p->size[1] - a.row0 : p->rows;
  a.col0 = col;
  a.cols = p->size[2] - col < p->cols ? p->size[2] - col : p->cols;
  a.lanes = p->run == 0 ? a.cols : (a.cols - 1) / p->run + 1;
  a.scale_step = p->transposed && !p->shared ? p->row_blocks : 1;
  a.scale0 = first_scale(p, &a, row_block);
  return a;
}

mfq_panel mfq_panel_at(const mfq_panels *p, int64_t index) {
  const int64_t row = index / p->col_blocks;
  if (p->unit_rows > 1 && p->scheme.rotation.size == 0) { /* those of a unit follow each other */
    const int64_t col = index / p->row_blocks;
    return panel_of(p, col / p->col_blocks, index % p->row_blocks, col % p->col_blocks * p->cols);
  }
  return panel_of(p, row / p->row_blocks, row % p->row_blocks, index % p->col_blocks * p->cols);
}

mfq_panel mfq_panel_piece(const mfq_panels *p, int64_t row, int64_t col) {
  return panel_of(p, row / p->size[1], row % p->size[1], col);
}

mfq_panel mfq_panel_stacked(const mfq_panels *p, int64_t index, int64_t level) {
  const int64_t stack = index / p->col_blocks, block = stack % p->stacks * p->stack + level;
  return panel_of(p, stack / p->stacks, block, index % p->col_blocks * p->cols);
}

int64_t mfq_panels_levels(const mfq_panels *p, int64_t index) {
  const int64_t first = index / p->col_blocks % p->stacks * p->stack;
  return mfq_smaller(p->row_blocks - first, p->stack);
}
