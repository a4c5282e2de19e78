#include "product_own.h"

#include "panels.h" /* mfq_thread_number */

/* ---- Choices ---------------------------------------------------------------------------------------------------- */

typedef struct own_row {
  const char *name;
  const mfq_kernels *kernels;     /* of the context that takes it */
  const mfq_product_loops *loops; /* MFQ_PRODUCT_UNITS of them */
  int unit;
  int (*runs_here)(void);
} own_row;

static int always(void) { return 1; }
#ifdef MFQ_HAVE_ISA_AVX512
static int has_bf16(void) {
#if defined(__clang__) || __GNUC__ >= 10
  return mfq_product_loops_avx512[MFQ_PRODUCT_PAIRS].multiply != NULL && __builtin_cpu_supports("avx512bf16");
#else
  return 0;
#endif
}
#endif

/* The last row also serves contexts without kernels. */
static const own_row own_rows[] = {
#ifdef MFQ_HAVE_ISA_AVX512
    {"avx512_bf16", &mfq_kernels_avx512, mfq_product_loops_avx512, MFQ_PRODUCT_PAIRS, has_bf16},
    {"avx512", &mfq_kernels_avx512, mfq_product_loops_avx512, MFQ_PRODUCT_F32, always},
#endif
#ifdef MFQ_HAVE_ISA_AVX2
    {"avx2", &mfq_kernels_avx2, mfq_product_loops_avx2, MFQ_PRODUCT_F32, always},
#endif
    {"baseline", &mfq_kernels_baseline, mfq_product_loops_baseline, MFQ_PRODUCT_F32, always},
};
enum { OWN_ROWS = sizeof own_rows / sizeof own_rows[0] };

static const own_row *choose(const mfq_context *context, mfq_dtype in) {
  const own_row *row = own_rows;
  for (; row < own_rows + OWN_ROWS - 1; ++row)
    if (row->kernels == mfq_cpu_kernels(context) && row->runs_here() &&
        (row->unit == MFQ_PRODUCT_F32 || in == MFQ_DTYPE_BF16))
      break;
  return row;
}

/* UNITS of K of a strip of B stay in the first-level cache, PANEL_ROWS rows of A in the second-level cache. A tile's rows
 * share its packed strips of B; TILE_COLS columns those of A. */
enum { UNITS = 256, PANEL_ROWS = 384, TILE_ROWS = 1536, TILE_COLS = 512, LEAST_BLOCKS = 4 };

static int64_t cut(int64_t n, int64_t by) { return (n + by - 1) / by; }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Half of a side of a tile, in whole blocks. */
static int64_t half(int64_t side, int64_t block) { return cut(side, 2 * block) * block; }

/* Tiles as large as pays, but enough of them for all threads. */
static void cut_tiles(mfq_own_product *own) {
  const mfq_onednn_shape *s = &own->shape;
  const int64_t rows = own->loops->rows, cols = own->loops->cols;
  own->tile_rows = least(cut(s->m, rows) * rows, TILE_ROWS);
  own->tile_cols = least(cut(s->n, cols) * cols, TILE_COLS);
  for (;;) {
    own->row_tiles = cut(s->m, own->tile_rows);
    own->col_tiles = cut(s->n, own->tile_cols);
    if (own->threads == 1 || s->batches * own->row_tiles * own->col_tiles >= 2 * own->threads) return;
    const int can_rows = own->tile_rows > LEAST_BLOCKS * rows, can_cols = own->tile_cols > LEAST_BLOCKS * cols;
    if (can_rows && (own->tile_rows > own->tile_cols || !can_cols))
      own->tile_rows = half(own->tile_rows, rows);
    else if (can_cols)
      own->tile_cols = half(own->tile_cols, cols);
    else
      return;
  }
}

void mfq_own_product_init(const mfq_context *context, const mfq_onednn_shape *shape, mfq_own_product *own) {
  const own_row *row = choose(context, shape->in);
  const mfq_kernels *kernels = mfq_cpu_kernels(context) ? mfq_cpu_kernels(context) : row->kernels;
  *own = (mfq_own_product){.shape = *shape, .loops = row->loops + row->unit, .name = row->name};
  own->threads = shape->threads;
  own->narrow = kernels->store;
  cut_tiles(own);
  const int64_t tiles = shape->batches * own->row_tiles * own->col_tiles;
  if (own->threads > tiles) own->threads = (int32_t)tiles;
  own->a_bytes = least(own->tile_rows, PANEL_ROWS) * UNITS * 4;
  own->b_bytes = own->tile_cols * UNITS * 4;
  own->d_bytes = shape->out == MFQ_DTYPE_F32 ? 0 : own->tile_rows * own->tile_cols * 4;
}

static int64_t thread_bytes(const mfq_own_product *own) {
  return cut(own->a_bytes + own->b_bytes + own->d_bytes, 64) * 64;
}

size_t mfq_own_product_bytes(const mfq_own_product *own) { return (size_t)(own->threads * thread_bytes(own)); }

/* ---- One tile --------------------------------------------------------------------------------------------------- */

/* A tile's part of each operand, and a thread's memory. */
typedef struct tile {
  const uint8_t *a, *b; /* at depth 0 */
  int64_t rows, cols;
  float *d; /* f32: D itself, or memory of the thread's */
  int64_t d_stride;
  uint32_t *a_strips, *b_strips;
} tile;

/* A piece of K. */
typedef struct depth_piece {
  int64_t first, length, units;
} depth_piece;

/* Packs lanes first ... first + count of an operand, `width` in a strip. */
static void pack_strips(const mfq_own_product *own, mfq_strip strip, int64_t count, int32_t width, int64_t units,
                        uint32_t *to) {
  const uint8_t *data = strip.data;
  const int64_t lane_bytes = strip.lane_stride * (int64_t)mfq_dtype_bytes(strip.dtype);
  for (int64_t lane = 0; lane < count; lane += width, to += units * width) {
    strip.data = data + lane * lane_bytes;
    strip.lanes = least(count - lane, width);
    own->loops->pack(to, &strip, width);
  }
}

/* Multiplies packed rows first_row ... first_row + rows of a tile by its packed columns. */
static void multiply_panel(const mfq_own_product *own, const tile *t, int64_t first_row, int64_t rows,
                           const depth_piece *k) {
  const int64_t block_rows = own->loops->rows, block_cols = own->loops->cols;
  for (int64_t c = 0; c < t->cols; c += block_cols)
    for (int64_t r = 0; r < rows; r += block_rows) {
      const mfq_block block = {.d = t->d + (first_row + r) * t->d_stride + c,
                               .row_stride = t->d_stride,
                               .rows = least(rows - r, block_rows),
                               .cols = least(t->cols - c, block_cols),
                               .add = k->first > 0};
      own->loops->multiply(t->a_strips + r * k->units, t->b_strips + c * k->units, k->units, &block);
    }
}

static void multiply_piece(const mfq_own_product *own, const tile *t, const depth_piece *k) {
  const mfq_onednn_shape *s = &own->shape;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(s->in);
  mfq_strip strip = {.data = t->b + k->first * s->b_stride[1] * bytes,
                     .dtype = s->in,
                     .lane_stride = s->b_stride[2],
                     .depth_stride = s->b_stride[1],
                     .depth = k->length};
  pack_strips(own, strip, t->cols, own->loops->cols, k->units, t->b_strips);
  strip.lane_stride = s->a_stride[1];
  strip.depth_stride = s->a_stride[2];
  for (int64_t row = 0; row < t->rows; row += PANEL_ROWS) {
    const int64_t rows = least(t->rows - row, PANEL_ROWS);
    strip.data = t->a + (row * s->a_stride[1] + k->first * s->a_stride[2]) * bytes;
    pack_strips(own, strip, rows, own->loops->rows, k->units, t->a_strips);
    multiply_panel(own, t, row, rows, k);
  }
}

static void narrow_tile(const mfq_own_product *own, const tile *t, uint16_t *d) {
  for (int64_t r = 0; r < t->rows; ++r)
    own->narrow(d + r * own->shape.d_stride[1], own->shape.out,
                (const uint32_t *)(const void *)(t->d + r * t->d_stride), t->cols);
}

static void multiply_tile(const mfq_own_product *own, int64_t index, const void *a, const void *b, void *d,
                          uint8_t *memory) {
  const mfq_onednn_shape *s = &own->shape;
  const int64_t col = index % own->col_tiles, row = index / own->col_tiles % own->row_tiles;
  const int64_t batch = index / own->col_tiles / own->row_tiles;
  const int64_t first_row = row * own->tile_rows, first_col = col * own->tile_cols;
  const int64_t in_bytes = (int64_t)mfq_dtype_bytes(s->in), step = UNITS * own->loops->unit_depth;
  const int64_t at = batch * s->d_stride[0] + first_row * s->d_stride[1] + first_col;
  tile t = {.a = (const uint8_t *)a + (batch * s->a_stride[0] + first_row * s->a_stride[1]) * in_bytes,
            .b = (const uint8_t *)b + (batch * s->b_stride[0] + first_col * s->b_stride[2]) * in_bytes,
            .rows = least(s->m - first_row, own->tile_rows),
            .cols = least(s->n - first_col, own->tile_cols),
            .d = (float *)d + at,
            .d_stride = s->d_stride[1],
            .a_strips = (uint32_t *)(void *)memory,
            .b_strips = (uint32_t *)(void *)(memory + own->a_bytes)};
  if (own->d_bytes > 0) {
    t.d = (float *)(void *)(memory + own->a_bytes + own->b_bytes);
    t.d_stride = own->tile_cols;
  }
  for (int64_t first = 0; first < s->k; first += step) {
    const int64_t length = least(s->k - first, step);
    const depth_piece k = {first, length, cut(length, own->loops->unit_depth)};
    multiply_piece(own, &t, &k);
  }
  if (own->d_bytes > 0) narrow_tile(own, &t, (uint16_t *)d + at);
}

void mfq_own_product_run(const mfq_own_product *own, const void *a, const void *b, void *d, void *workspace) {
  const int64_t tiles = own->shape.batches * own->row_tiles * own->col_tiles;
  const int64_t bytes = thread_bytes(own);
#pragma omp parallel num_threads(own->threads)
  {
    uint8_t *memory = (uint8_t *)workspace + mfq_thread_number() * bytes;
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < tiles; ++i) multiply_tile(own, i, a, b, d, memory);
  }
}
