/* host/cpu/product/own_tiles.c: tiles as large as the caches pay for and small enough that every thread gets some; one
 * place cuts for products and convolutions. */
#include "own_tiles.h"

#include "host/core/integers.h"
#include "host/core/process/team.h"

/* ---- Choices ---------------------------------------------------------------------------------------------------- */

typedef struct own_loops {
  const mfq_kernels *kernels;
  const mfq_product_loops *loops; /* MFQ_PRODUCT_UNITS of them */
  int unit;
} own_loops;

static const own_loops all_loops[MFQ_LEVELS] = {
    [MFQ_LEVEL_BASELINE] = {&mfq_kernels_baseline, mfq_product_loops_baseline, MFQ_PRODUCT_F32},
#ifdef MFQ_HAVE_ISA_AVX2
    [MFQ_LEVEL_AVX2] = {&mfq_kernels_avx2, mfq_product_loops_avx2, MFQ_PRODUCT_F32},
#endif
#ifdef MFQ_HAVE_ISA_AVX512
    [MFQ_LEVEL_AVX512] = {&mfq_kernels_avx512, mfq_product_loops_avx512, MFQ_PRODUCT_F32},
    [MFQ_LEVEL_AVX512_BF16] = {&mfq_kernels_avx512, mfq_product_loops_avx512, MFQ_PRODUCT_PAIRS},
#endif
};

/* A tile's rows share its packed strips of B; TILE_COLS columns those of A. */
enum { TILE_ROWS = 1536, TILE_COLS = 512, LEAST_BLOCKS = 4 };

/* Half of a side of a tile, in whole blocks. */
static int64_t half(int64_t side, int64_t block) { return mfq_ceil_div(side, 2 * block) * block; }

/* Tiles as large as pays, but enough of them for all threads. */
static void cut_tiles(mfq_own_tiles *t) {
  const int64_t rows = t->loops->rows, cols = t->loops->cols;
  t->tile_rows = mfq_smaller(mfq_ceil_div(t->m, rows) * rows, TILE_ROWS);
  t->tile_cols = mfq_smaller(mfq_ceil_div(t->n, cols) * cols, TILE_COLS);
  for (;;) {
    t->row_tiles = mfq_ceil_div(t->m, t->tile_rows);
    t->col_tiles = mfq_ceil_div(t->n, t->tile_cols);
    if (t->threads == 1 || mfq_own_tile_count(t) >= 2 * t->threads) return;
    const int can_rows = t->tile_rows > LEAST_BLOCKS * rows, can_cols = t->tile_cols > LEAST_BLOCKS * cols;
    if (can_rows && (t->tile_rows > t->tile_cols || !can_cols))
      t->tile_rows = half(t->tile_rows, rows);
    else if (can_cols)
      t->tile_cols = half(t->tile_cols, cols);
    else
      return;
  }
}

void mfq_own_tiles_choose(const mfq_context *context, mfq_own_tiles *tiles) {
  const mfq_cpu_isa *isa = mfq_cpu_isa_of(context);
  const mfq_cpu_level level = mfq_cpu_level_of_loops(isa->level, isa->machine, tiles->in == MFQ_DTYPE_BF16);
  const own_loops *own = &all_loops[level];
  tiles->loops = own->loops + own->unit;
  tiles->kernels = own->kernels;
  tiles->name = mfq_cpu_level_name(level);
}

void mfq_own_tiles_cut(mfq_own_tiles *tiles) {
  const int is_apart = tiles->is_apart || tiles->out != MFQ_DTYPE_F32;
  cut_tiles(tiles);
  const int64_t count = mfq_own_tile_count(tiles);
  if (tiles->threads > count) tiles->threads = (int32_t)count;
  tiles->a_bytes = mfq_smaller(tiles->tile_rows, MFQ_OWN_PANEL_ROWS) * MFQ_OWN_UNITS * 4;
  tiles->b_bytes = tiles->tile_cols * MFQ_OWN_UNITS * 4;
  tiles->d_bytes = is_apart ? tiles->tile_rows * tiles->tile_cols * 4 : 0;
}

int64_t mfq_own_thread_bytes(const mfq_own_tiles *tiles) {
  return mfq_ceil_div(tiles->a_bytes + tiles->b_bytes + tiles->d_bytes, 64) * 64 + tiles->lane_bytes;
}

/* ---- One tile --------------------------------------------------------------------------------------------------- */

static mfq_own_tile tile_at(const mfq_own_tiles *tiles, int64_t index, uint8_t *memory) {
  mfq_own_tile t = {.a_strips = (uint32_t *)(void *)memory, .b_strips = (uint32_t *)(void *)(memory + tiles->a_bytes)};
  t.first_col = index % tiles->col_tiles * tiles->tile_cols;
  t.first_row = index / tiles->col_tiles % tiles->row_tiles * tiles->tile_rows;
  t.batch = index / tiles->col_tiles / tiles->row_tiles;
  t.rows = mfq_smaller(tiles->m - t.first_row, tiles->tile_rows);
  t.cols = mfq_smaller(tiles->n - t.first_col, tiles->tile_cols);
  if (tiles->d_bytes > 0) {
    t.d = (float *)(void *)(memory + tiles->a_bytes + tiles->b_bytes);
    t.d_stride = tiles->tile_cols;
  }
  t.lanes = memory + mfq_own_thread_bytes(tiles) - tiles->lane_bytes;
  return t;
}

void mfq_own_pack(const mfq_own_tiles *tiles, mfq_strip strip, int64_t count, int32_t width, uint32_t *to) {
  const uint8_t *data = strip.data;
  const int64_t lane_bytes = strip.lane_stride * (int64_t)mfq_dtype_bytes(strip.dtype);
  const int64_t units = mfq_ceil_div(strip.depth, tiles->loops->unit_depth);
  for (int64_t lane = 0; lane < count; lane += width, to += units * width) {
    strip.data = data + lane * lane_bytes;
    strip.lanes = mfq_smaller(count - lane, width);
    tiles->loops->pack(to, &strip, width);
  }
}

/* Packed rows first_row ... first_row + rows of a tile by its packed columns. */
static void multiply(const mfq_own_tiles *tiles, const mfq_own_tile *tile, int64_t first_row, int64_t rows,
                     const mfq_own_piece *piece) {
  const int64_t block_rows = tiles->loops->rows, block_cols = tiles->loops->cols;
  for (int64_t c = 0; c < tile->cols; c += block_cols)
    for (int64_t r = 0; r < rows; r += block_rows) {
      const mfq_block block = {.d = tile->d + (first_row + r) * tile->d_stride + c,
                               .row_stride = tile->d_stride,
                               .rows = mfq_smaller(rows - r, block_rows),
                               .cols = mfq_smaller(tile->cols - c, block_cols),
                               .add = piece->first > 0};
      tiles->loops->multiply(tile->a_strips + r * piece->units, tile->b_strips + c * piece->units, piece->units,
                             &block);
    }
}

/* A piece of the depth: strips of all columns, and panels of rows that the second-level cache holds. */
static void multiply_piece(const mfq_own_source *s, const mfq_own_tile *t, int64_t first) {
  const mfq_own_tiles *tiles = s->tiles;
  const int64_t length = mfq_smaller(tiles->depth - first, MFQ_OWN_UNITS * tiles->loops->unit_depth);
  const mfq_own_piece piece = {first, length, mfq_ceil_div(length, tiles->loops->unit_depth)};
  s->pack_cols(s->of, t, &piece);
  for (int64_t row = 0; row < t->rows; row += MFQ_OWN_PANEL_ROWS) {
    const int64_t rows = mfq_smaller(t->rows - row, MFQ_OWN_PANEL_ROWS);
    s->pack_rows(s->of, t, row, rows, &piece);
    multiply(tiles, t, row, rows, &piece);
  }
}

static void run_tile(const mfq_own_source *s, mfq_own_tile t, void *result) {
  const mfq_own_tiles *tiles = s->tiles;
  const int64_t at = t.batch * s->batch_stride + t.first_row * s->row_stride + t.first_col;
  const int is_apart = t.d != NULL;
  if (!is_apart) {
    t.d = (float *)result + at;
    t.d_stride = s->row_stride;
  }
  if (tiles->depth == 0) memset(t.d, 0, (size_t)tiles->d_bytes); /* a phase without taps */
  for (int64_t first = 0; first < tiles->depth; first += MFQ_OWN_UNITS * tiles->loops->unit_depth)
    multiply_piece(s, &t, first);
  if (s->put != NULL)
    s->put(s->of, &t, result);
  else
    for (int64_t r = 0; is_apart && r < t.rows; ++r)
      tiles->kernels->store((uint16_t *)result + at + r * s->row_stride, tiles->out,
                            (const uint32_t *)(const void *)(t.d + r * t.d_stride), t.cols);
}

typedef struct tiles_work {
  const mfq_own_source *source;
  void *result;
  uint8_t *memory;
} tiles_work;

static void run_tiles(void *work, int thread, int64_t first, int64_t end) {
  const tiles_work *w = work;
  const mfq_own_tiles *tiles = w->source->tiles;
  uint8_t *mine = w->memory + thread * mfq_own_thread_bytes(tiles);
  for (int64_t i = first; i < end; ++i) run_tile(w->source, tile_at(tiles, i, mine), w->result);
}

void mfq_own_run(const mfq_own_source *source, void *result, uint8_t *memory) {
  tiles_work work = {source, result, memory};
  mfq_team_run((mfq_loop){source->tiles->threads, mfq_own_tile_count(source->tiles), 1}, run_tiles, &work);
}
