/* host/cpu/cast/repack_codes.c: codes between packings and orders, a tile at a time: unpacked to bytes, turned where the
 * orders differ, packed. */
#include <string.h>

#include <mfq/num/pack.h>

#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "repack_moves.h"
#include "stream_copy.h"

enum { STREAM_BYTES = 8 << 20, SHARE_BYTES = 1 << 16 };
/* Bytes that are written past the caches: whole lines, or many. */
enum { LINE = 64, LONG = 2048 };

/* The axis that one of the orders has last, and the other not; -1: both orders are the same. */
static int32_t turned_axis(const mfq_qview *src, const mfq_qview *dst) {
  const int32_t last = src->q.rank - 1, a = mfq_code_axis(src, last), b = mfq_code_axis(dst, last);
  return a == b ? -1 : a == last ? b : a;
}

static int64_t count_axes(const mfq_qview *view, int32_t first, int32_t end) {
  int64_t count = 1;
  for (int32_t d = first; d < end; ++d) count *= view->q.shape[d];
  return count;
}

static mfq_code_rows rows_of(const mfq_qview *view, int64_t length) {
  const int32_t bits = mfq_code_bits(&view->q);
  return (mfq_code_rows){view->q.layout.row_align > 0 ? (int64_t)view->sizes.row_bits : length * bits, bits};
}

/* Rows without padding on either side are one. */
static void plan_rows(const mfq_qview *src, const mfq_qview *dst, mfq_code_move *m) {
  const int32_t last = mfq_code_axis(src, src->q.rank - 1);
  const int64_t count = count_axes(src, 0, src->q.rank);
  const int is_stream = src->q.layout.row_align == 0 && dst->q.layout.row_align == 0;
  m->length = is_stream ? count : src->q.shape[last];
  m->size = (mfq_turned_sizes){count / m->length, 1, 1};
  m->from = rows_of(src, m->length);
  m->to = rows_of(dst, m->length);
  m->down = m->size.outer;
  m->across = mfq_ceil_div(m->length, MFQ_MOVE_PIECE);
  m->tiles = m->down * m->across;
}

/* Codes of a row that are moved at once: some lines of memory, which is what rows that lie pages apart take to be fast. */
static int64_t side_of(const mfq_code_rows *rows) { return rows->bits < 8 ? MFQ_MOVE_CODES : MFQ_MOVE_CODES / 2; }

/* Rows of the logical order may be one where only the other side pads them. */
static void plan_turned(const mfq_qview *src, const mfq_qview *dst, int32_t axis, mfq_code_move *m) {
  const int32_t last = src->q.rank - 1;
  m->is_by_rows = mfq_code_axis(src, last) == last;
  const mfq_qview *logical = m->is_by_rows ? src : dst, *turned = m->is_by_rows ? dst : src;
  const int is_stream = logical->q.layout.row_align == 0;
  const int64_t inner = count_axes(src, axis + 1, last);
  m->is_turned = 1;
  m->length = src->q.shape[last] * (is_stream ? inner : 1);
  m->size = (mfq_turned_sizes){count_axes(src, 0, axis), src->q.shape[axis], is_stream ? 1 : inner};
  const mfq_code_rows by_rows = rows_of(logical, m->length), by_columns = rows_of(turned, m->size.middle);
  m->from = m->is_by_rows ? by_rows : by_columns;
  m->to = m->is_by_rows ? by_columns : by_rows;
  const int64_t height = m->is_by_rows ? m->size.middle : m->length, width = m->is_by_rows ? m->length : m->size.middle;
  m->rows = side_of(&m->to);
  m->cols = side_of(&m->from);
  m->down = mfq_ceil_div(height, m->rows);
  m->across = mfq_ceil_div(width, m->cols);
  m->tiles = m->size.outer * m->size.inner * m->down * m->across;
}

void mfq_code_move_plan(const mfq_context *context, const mfq_qview *src, const mfq_qview *dst, mfq_code_move *m) {
  const int32_t axis = turned_axis(src, dst);
  const mfq_format *e = &src->q.scheme.element;
  memset(m, 0, sizeof *m);
  if (src->sizes.codes_bytes == 0) return;
  if (axis < 0)
    plan_rows(src, dst, m);
  else
    plan_turned(src, dst, axis, m);
  m->code_bits = e->is_signed + e->exp_bits + e->man_bits;
  m->stream = dst->sizes.codes_bytes > STREAM_BYTES;
  /* Rows that start inside a byte share it. */
  const int is_alone = m->to.row_bits % 8 != 0;
  m->threads = is_alone || dst->sizes.codes_bytes < SHARE_BYTES ? 1 : (int)context->threads;
}

/* ---- Pieces of rows ---------------------------------------------------------------------------------------------- */

typedef struct code_work {
  const mfq_code_move *move;
  const mfq_kernels *kernels;
  const uint8_t *src;
  uint8_t *dst;
  mfq_move_scratch *scratch;
} code_work;

/* `n` codes of a row from column `col` on. */
typedef struct code_piece {
  int64_t row, col, n;
} code_piece;

static int64_t bit_of(const mfq_code_rows *rows, code_piece at) {
  return at.row * rows->row_bits + at.col * rows->bits;
}

/* Codes from a bit to the next byte that a code starts at, at most `n`. */
static int64_t codes_to_byte(int64_t bit, int32_t bits, int64_t n) {
  int64_t head = 0;
  while (head < n && (bit + head * bits) % 8 != 0) ++head;
  return head;
}

/* What is no part of the codes in their bytes is dropped. */
static void mask_codes(uint8_t *codes, int64_t n, int32_t code_bits) {
  const uint64_t mask = 0x0101010101010101ull * ((1u << code_bits) - 1u);
  for (int64_t i = 0; i < n; i += 8) { /* there is room for 8 more */
    uint64_t word;
    memcpy(&word, codes + i, 8);
    word &= mask;
    memcpy(codes + i, &word, 8);
  }
}

static void get_codes(const code_work *w, code_piece at, uint8_t *codes) {
  const mfq_code_rows *rows = &w->move->from;
  const int64_t bit = bit_of(rows, at), head = codes_to_byte(bit, rows->bits, at.n);
  for (int64_t i = 0; i < head; ++i) codes[i] = (uint8_t)mfqn_get_bits(w->src, bit + i * rows->bits, rows->bits);
  w->kernels->unpack(codes + head, w->src + (bit + head * rows->bits) / 8, at.n - head, rows->bits);
  if (rows->bits == 8 && w->move->code_bits < 8) mask_codes(codes, at.n, w->move->code_bits);
}

/* Writes codes; where rows start inside a byte, into memory of zeros. `room` is scratch. */
static void put_codes(const code_work *w, code_piece at, int64_t length, const uint8_t *codes, uint8_t *room) {
  const mfq_code_rows *rows = &w->move->to;
  const int64_t bit = bit_of(rows, at);
  if (rows->row_bits % 8 != 0) {
    const int64_t head = codes_to_byte(bit, rows->bits, at.n), whole = (at.n - head) & ~(int64_t)7;
    for (int64_t i = 0; i < head; ++i) mfqn_put_bits(w->dst, bit + i * rows->bits, rows->bits, codes[i]);
    w->kernels->pack(w->dst + (bit + head * rows->bits) / 8, codes + head, whole, rows->bits);
    for (int64_t i = head + whole; i < at.n; ++i) mfqn_put_bits(w->dst, bit + i * rows->bits, rows->bits, codes[i]);
    return;
  }
  uint8_t *to = w->dst + bit / 8;
  const int64_t used = (at.n * rows->bits + 7) / 8;
  const int is_streamed = w->move->stream && (used >= LONG || ((uintptr_t)to | (uintptr_t)used) % LINE == 0);
  if (!is_streamed) {
    w->kernels->pack(to, codes, at.n, rows->bits);
  } else if (rows->bits == 8) {
    mfq_stream_copy(to, codes, (size_t)at.n);
  } else {
    w->kernels->pack(room, codes, at.n, rows->bits);
    mfq_stream_copy(to, room, (size_t)used);
  }
  const int64_t end = rows->row_bits / 8 - at.col * rows->bits / 8;
  if (at.col + at.n == length && end > used) memset(to + used, 0, (size_t)(end - used));
}

/* Copies what codes of one packing share whole bytes of, but for the last: they may be followed by padding. Returns how
 * many codes that is. */
static int64_t copy_codes(const code_work *w, code_piece at) {
  const mfq_code_rows *from = &w->move->from, *to = &w->move->to;
  const int64_t a = bit_of(from, at), b = bit_of(to, at), n = (at.n - 1) & ~(int64_t)7;
  const int has_other_bits = from->bits == 8 && w->move->code_bits < 8;
  if (from->bits != to->bits || has_other_bits || a % 8 != 0 || b % 8 != 0) return 0;
  const size_t bytes = (size_t)(n * from->bits / 8);
  if (w->move->stream)
    mfq_stream_copy(w->dst + b / 8, w->src + a / 8, bytes);
  else
    memcpy(w->dst + b / 8, w->src + a / 8, bytes);
  return n;
}

/* ---- Moves ------------------------------------------------------------------------------------------------------- */

static void move_rows(void *work, int thread, int64_t first, int64_t end) {
  const code_work *w = work;
  const mfq_code_move *m = w->move;
  mfq_move_scratch *s = &w->scratch[thread];
  for (int64_t k = first; k < end; ++k) {
    const int64_t col = k % m->across * MFQ_MOVE_PIECE, left = m->length - col;
    code_piece at = {k / m->across, col, left < MFQ_MOVE_PIECE ? left : MFQ_MOVE_PIECE};
    const int64_t copied = copy_codes(w, at);
    at.col += copied;
    at.n -= copied;
    get_codes(w, at, s->codes);
    put_codes(w, at, m->length, s->codes, s->packed);
  }
  mfq_stream_fence();
}

/* Asks for the codes of a piece, which are wanted soon: short rows lie pages apart, where the processor does not look
 * ahead by itself. */
static void prefetch_codes(const code_work *w, code_piece at) {
  const uint8_t *from = w->src + bit_of(&w->move->from, at) / 8;
  for (int64_t i = 0; i < at.n * w->move->from.bits / 8; i += LINE) __builtin_prefetch(from + i);
}

/* The rows of a matrix: its first one, and from one to the next. */
typedef struct row_line {
  int64_t first, step;
} row_line;

/* Matrix `index` of middle x length codes: its rows where the order is logical, or its columns in the other. */
static row_line lines_of(const mfq_code_move *m, int64_t index, int is_logical) {
  const int64_t outer = index / m->size.inner, inner = index % m->size.inner;
  if (!is_logical) return (row_line){index * m->length, 1};
  return (row_line){outer * m->size.middle * m->size.inner + inner, m->size.inner};
}

/* A tile of a matrix, as the source has its rows. */
typedef struct code_tile {
  row_line from, to;
  int64_t top, left, rows, cols, height, width; /* the last two: of the matrix */
} code_tile;

static code_tile tile_at(const mfq_code_move *m, int64_t index) {
  const int64_t of_matrix = m->down * m->across, matrix = index / of_matrix, tile = index % of_matrix;
  code_tile t = {.from = lines_of(m, matrix, m->is_by_rows),
                 .to = lines_of(m, matrix, !m->is_by_rows),
                 .top = tile / m->across * m->rows,
                 .left = tile % m->across * m->cols,
                 .height = m->is_by_rows ? m->size.middle : m->length,
                 .width = m->is_by_rows ? m->length : m->size.middle};
  t.rows = t.height - t.top < m->rows ? t.height - t.top : m->rows;
  t.cols = t.width - t.left < m->cols ? t.width - t.left : m->cols;
  return t;
}

static void move_tile(const code_work *w, const code_tile *t, mfq_move_scratch *s) {
  const int64_t width = t->cols + LINE, height = t->rows + LINE; /* no powers of two, which share few sets of a cache */
  for (int64_t r = 0; r < t->rows; ++r) {
    const code_piece piece = {t->from.first + (t->top + r) * t->from.step, t->left, t->cols};
    if (t->left + 2 * t->cols <= t->width) prefetch_codes(w, (code_piece){piece.row, t->left + t->cols, t->cols});
    get_codes(w, piece, s->codes + r * width);
  }
  for (int64_t c = 0; c < t->cols; c += MFQ_MOVE_STRIP) {
    const int64_t n = t->cols - c < MFQ_MOVE_STRIP ? t->cols - c : MFQ_MOVE_STRIP;
    w->kernels->turn8(s->turned, height, s->codes + c, width, t->rows, n);
    for (int64_t i = 0; i < n; ++i) {
      const code_piece piece = {t->to.first + (t->left + c + i) * t->to.step, t->top, t->rows};
      put_codes(w, piece, t->height, s->turned + i * height, s->packed);
    }
  }
}

static void move_tiles(void *work, int thread, int64_t first, int64_t end) {
  const code_work *w = work;
  for (int64_t k = first; k < end; ++k) {
    const code_tile tile = tile_at(w->move, k);
    move_tile(w, &tile, &w->scratch[thread]);
  }
  mfq_stream_fence();
}

void mfq_code_move_run(const mfq_context *context, const mfq_code_move *m, const mfq_cast *cast,
                       mfq_move_scratch *scratch) {
  const mfq_qtensor *to = &cast->other->q;
  code_work work = {m, mfq_cpu_kernels(context), cast->view->q.codes, to->codes, scratch};
  if (m->to.row_bits % 8 != 0) memset(to->codes, 0, cast->other->sizes.codes_bytes);
  mfq_team_run((mfq_loop){m->threads, m->tiles, 0}, m->is_turned ? move_tiles : move_rows, &work);
}
