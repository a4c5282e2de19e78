/* host/cpu/product/product_own.c: the classic product in three levels: strips of A and B packed for the kernel, panels
 * of depth, tiles that threads take in any order. */
#include "product_own.h"

#include "host/core/integers.h"
#include "host/core/process/team.h"

void mfq_own_product_init(const mfq_context *context, const mfq_onednn_shape *shape, mfq_own_product *own) {
  const mfq_onednn_shape *s = shape;
  *own = (mfq_own_product){.shape = *shape};
  own->tiles = (mfq_own_tiles){s->batches, s->m, s->n, s->k, s->in, s->out, s->threads, .loops = NULL};
  mfq_own_tiles_choose(context, &own->tiles);
  mfq_own_tiles_cut(&own->tiles);
}

size_t mfq_own_product_bytes(const mfq_own_product *own) {
  return (size_t)(own->tiles.threads * mfq_own_thread_bytes(&own->tiles));
}

/* Packs lanes first ... first + count of an operand, `width` in a strip. */
static void pack_strips(const mfq_own_tiles *tiles, mfq_strip strip, int64_t count, int32_t width, int64_t units,
                        uint32_t *to) {
  const uint8_t *data = strip.data;
  const int64_t lane_bytes = strip.lane_stride * (int64_t)mfq_dtype_bytes(strip.dtype);
  for (int64_t lane = 0; lane < count; lane += width, to += units * width) {
    strip.data = data + lane * lane_bytes;
    strip.lanes = mfq_smaller(count - lane, width);
    tiles->loops->pack(to, &strip, width);
  }
}

/* A tile's part of each operand, at depth 0. */
typedef struct tile_operands {
  const uint8_t *a, *b;
} tile_operands;

static void multiply_piece(const mfq_own_product *own, const mfq_own_tile *t, tile_operands from,
                           const mfq_own_piece *piece) {
  const mfq_onednn_shape *s = &own->shape;
  const mfq_product_loops *loops = own->tiles.loops;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(s->in);
  mfq_strip strip = {.data = from.b + piece->first * s->b_stride[1] * bytes,
                     .dtype = s->in,
                     .lane_stride = s->b_stride[2],
                     .depth_stride = s->b_stride[1],
                     .depth = piece->length};
  pack_strips(&own->tiles, strip, t->cols, loops->cols, piece->units, t->b_strips);
  strip.lane_stride = s->a_stride[1];
  strip.depth_stride = s->a_stride[2];
  for (int64_t row = 0; row < t->rows; row += MFQ_OWN_PANEL_ROWS) {
    const int64_t rows = mfq_smaller(t->rows - row, MFQ_OWN_PANEL_ROWS);
    strip.data = from.a + (row * s->a_stride[1] + piece->first * s->a_stride[2]) * bytes;
    pack_strips(&own->tiles, strip, rows, loops->rows, piece->units, t->a_strips);
    mfq_own_multiply(&own->tiles, t, row, rows, piece);
  }
}

static void multiply_tile(const mfq_own_product *own, mfq_own_tile t, const void *a, const void *b, void *d) {
  const mfq_onednn_shape *s = &own->shape;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(s->in);
  const int64_t at = t.batch * s->d_stride[0] + t.first_row * s->d_stride[1] + t.first_col;
  const tile_operands from = {(const uint8_t *)a + (t.batch * s->a_stride[0] + t.first_row * s->a_stride[1]) * bytes,
                              (const uint8_t *)b + (t.batch * s->b_stride[0] + t.first_col * s->b_stride[2]) * bytes};
  const int is_narrow = t.d != NULL;
  if (!is_narrow) {
    t.d = (float *)d + at;
    t.d_stride = s->d_stride[1];
  }
  for (int64_t first = 0; first < s->k; first += mfq_own_piece_step(&own->tiles)) {
    const mfq_own_piece piece = mfq_own_piece_at(&own->tiles, first);
    multiply_piece(own, &t, from, &piece);
  }
  if (is_narrow) mfq_own_narrow(&own->tiles, &t, (uint16_t *)d + at, s->d_stride[1]);
}

typedef struct tiles_work {
  const mfq_own_product *own;
  const void *a, *b;
  void *d;
  uint8_t *memory;
} tiles_work;

static void multiply_tiles(void *work, int thread, int64_t first, int64_t end) {
  const tiles_work *w = work;
  const mfq_own_tiles *tiles = &w->own->tiles;
  uint8_t *mine = w->memory + thread * mfq_own_thread_bytes(tiles);
  for (int64_t i = first; i < end; ++i) multiply_tile(w->own, mfq_own_tile_at(tiles, i, mine), w->a, w->b, w->d);
}

void mfq_own_product_run(const mfq_own_product *own, const void *a, const void *b, void *d, void *workspace) {
  tiles_work work = {own, a, b, d, workspace};
  mfq_team_run((mfq_loop){own->tiles.threads, mfq_own_tile_count(&own->tiles), 1}, multiply_tiles, &work);
}
