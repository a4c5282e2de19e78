/* host/cpu/cast/repack_scales.c: scales and zero points between their orders: blocks of rows x groups pass through a
 * buffer that has the groups of a row next to each other. */
#include <string.h>

#include <mfq/num/pack.h>

#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "host/core/scheme/scheme.h"
#include "elements.h"
#include "repack_moves.h"

enum { SHARE_SCALES = 1 << 14, SIDE = MFQ_MOVE_SCALES };

/* How the scales of outer x groups x inner stand: in that order; with the groups last; in tiles of 128 x 4. */
typedef enum scale_form { FORM_LOGICAL, FORM_GROUPS_LAST, FORM_TILES } scale_form;

/* The sizes around the axis that orders of codes move: that of groups, or the one before the last. */
static mfq_turned_sizes sizes_of(const mfq_qview *view) {
  mfq_turned_sizes size = {1, 1, 1};
  const int32_t rank = view->sizes.scale_rank;
  const int is_group = view->q.scheme.granularity == MFQ_GRANULARITY_GROUP;
  const int32_t axis = is_group ? view->sizes.axis : rank - 2;
  for (int32_t d = 0; d < rank; ++d) {
    const int64_t count = view->sizes.scale_shape[mfq_code_place(view, d)];
    *(d < axis ? &size.outer : d == axis ? &size.middle : &size.inner) *= count;
  }
  return size;
}

static scale_form form_of(const mfq_qview *view, int is_zero_points) {
  if (view->q.layout.scales == MFQ_SCALES_128X4 && !is_zero_points) return FORM_TILES;
  return view->q.layout.codes == MFQ_CODES_LOGICAL ? FORM_LOGICAL : FORM_GROUPS_LAST;
}

void mfq_scale_move_plan(const mfq_context *context, const mfq_qview *src, mfq_scale_move *m) {
  memset(m, 0, sizeof *m);
  m->size = sizes_of(src);
  m->threads = src->sizes.scale_count < SHARE_SCALES ? 1 : (int)context->threads;
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

typedef struct scale_side {
  uint8_t *at;
  scale_form form;
} scale_side;

typedef struct scale_work {
  mfq_turned_sizes size;
  const mfq_kernels *kernels;
  scale_side from, to;
  int32_t bytes; /* of a scale */
  int64_t down, across;
  mfq_move_scratch *scratch;
} scale_work;

/* Rows are counted over outer and inner; those of a block have one outer index. */
typedef struct scale_block {
  int64_t outer, inner, rows, group, groups;
} scale_block;

/* Turns `rows` x `cols` scales; both are dense. */
static void turn(const scale_work *w, void *dst, const void *src, int64_t rows, int64_t cols) {
  switch (w->bytes) {
    case 1: w->kernels->turn8(dst, rows, src, cols, rows, cols); break;
    case 2: w->kernels->turn16(dst, rows, src, cols, rows, cols); break;
    default: w->kernels->turn32(dst, rows, src, cols, rows, cols);
  }
}

/* Where a scale of a block stands, of rows along their groups or of groups along the rows. */
static uint8_t *place_of(const scale_work *w, const scale_side *side, const scale_block *b, int64_t row,
                         int64_t group) {
  const int64_t inner = b->inner + row, at = b->group + group, line = b->outer * w->size.inner + inner;
  int64_t index = 0;
  switch (side->form) {
    case FORM_LOGICAL: index = (b->outer * w->size.middle + at) * w->size.inner + inner; break;
    case FORM_GROUPS_LAST: index = line * w->size.middle + at; break;
    default: index = mfqn_scale_128x4(line, at, w->size.middle);
  }
  return side->at + index * w->bytes;
}

/* Four scales of a row are neighbours in a tile. */
enum { OF_TILE = 4, TILE_BYTES = 512 };

static void get_block(const scale_work *w, const scale_block *b, uint8_t *scales, uint8_t *room) {
  const int64_t line = b->groups * w->bytes;
  if (w->from.form == FORM_LOGICAL) {
    const int64_t column = b->rows * w->bytes;
    for (int64_t g = 0; g < b->groups; ++g) memcpy(room + g * column, place_of(w, &w->from, b, 0, g), (size_t)column);
    turn(w, scales, room, b->groups, b->rows);
    return;
  }
  for (int64_t r = 0; r < b->rows; ++r) {
    const uint8_t *from = place_of(w, &w->from, b, r, 0);
    if (w->from.form == FORM_GROUPS_LAST) {
      memcpy(scales + r * line, from, (size_t)line);
      continue;
    }
    int64_t g = 0;
    for (; g + OF_TILE <= line; g += OF_TILE, from += TILE_BYTES) memcpy(scales + r * line + g, from, OF_TILE);
    memcpy(scales + r * line + g, from, (size_t)(line - g));
  }
}

static void put_block(const scale_work *w, const scale_block *b, const uint8_t *scales, uint8_t *room) {
  const int64_t line = b->groups * w->bytes;
  if (w->to.form == FORM_LOGICAL) {
    const int64_t column = b->rows * w->bytes;
    turn(w, room, scales, b->rows, b->groups);
    for (int64_t g = 0; g < b->groups; ++g) memcpy(place_of(w, &w->to, b, 0, g), room + g * column, (size_t)column);
    return;
  }
  for (int64_t r = 0; r < b->rows; ++r) {
    uint8_t *to = place_of(w, &w->to, b, r, 0);
    if (w->to.form == FORM_GROUPS_LAST) {
      memcpy(to, scales + r * line, (size_t)line);
      continue;
    }
    int64_t g = 0;
    for (; g + OF_TILE <= line; g += OF_TILE, to += TILE_BYTES) memcpy(to, scales + r * line + g, OF_TILE);
    memcpy(to, scales + r * line + g, (size_t)(line - g));
  }
}

static void move_blocks(void *work, int thread, int64_t first, int64_t end) {
  const scale_work *w = work;
  mfq_move_scratch *s = &w->scratch[thread];
  uint8_t *scales = (uint8_t *)s->scales[0], *room = (uint8_t *)s->scales[1];
  for (int64_t k = first; k < end; ++k) {
    const int64_t of_outer = k % (w->down * w->across);
    scale_block b = {
        .outer = k / (w->down * w->across), .inner = of_outer / w->across * SIDE, .group = of_outer % w->across * SIDE};
    b.rows = w->size.inner - b.inner < SIDE ? w->size.inner - b.inner : SIDE;
    b.groups = w->size.middle - b.group < SIDE ? w->size.middle - b.group : SIDE;
    get_block(w, &b, scales, room);
    put_block(w, &b, scales, room);
  }
}

static void move(const mfq_scale_move *m, scale_work *w) {
  if (w->from.form != FORM_LOGICAL && w->to.form != FORM_LOGICAL) { /* outer and inner are one */
    w->size.inner *= w->size.outer;
    w->size.outer = 1;
  }
  w->down = mfq_ceil_div(w->size.inner, SIDE);
  w->across = mfq_ceil_div(w->size.middle, SIDE);
  mfq_team_run((mfq_loop){m->threads, w->size.outer * w->down * w->across, 0}, move_blocks, w);
}

/* Scales, or zero points, that may stand in the same order. */
static void move_part(const mfq_scale_move *m, scale_work *w, int64_t count) {
  const int is_linear = w->size.middle == 1 || w->size.inner == 1;
  const int is_same = w->from.form == w->to.form && w->from.form != FORM_TILES;
  const int has_tiles = w->from.form == FORM_TILES || w->to.form == FORM_TILES;
  if (is_same || (is_linear && !has_tiles)) {
    memcpy(w->to.at, w->from.at, (size_t)(count * w->bytes));
    return;
  }
  if (w->size.inner == 1) { /* the logical order has the groups last, too */
    if (w->from.form == FORM_LOGICAL) w->from.form = FORM_GROUPS_LAST;
    if (w->to.form == FORM_LOGICAL) w->to.form = FORM_GROUPS_LAST;
  }
  move(m, w);
}

void mfq_scale_move_run(const mfq_context *context, const mfq_scale_move *m, const mfq_cast *cast,
                        mfq_move_scratch *scratch) {
  const mfq_qview *src = cast->view, *dst = cast->other;
  const int64_t count = dst->sizes.scale_count;
  scale_work work = {.size = m->size,
                     .kernels = mfq_cpu_kernels(context),
                     .from = {src->q.scales, form_of(src, 0)},
                     .to = {dst->q.scales, form_of(dst, 0)},
                     .bytes = mfq_scale_bytes(dst->q.scheme.scale),
                     .scratch = scratch};
  scale_work zero_points = work;
  if (count == 0) return;
  mfq_scales_clear_padding(dst);
  move_part(m, &work, count);
  if (!dst->q.scheme.zero_point) return;
  zero_points.from = (scale_side){src->q.zero_points, form_of(src, 1)};
  zero_points.to = (scale_side){dst->q.zero_points, form_of(dst, 1)};
  zero_points.bytes = mfq_zero_point_bytes(dst->q.scheme.zero_point);
  move_part(m, &zero_points, count);
}
