/* host/cpu/product/decode_rows.c: codes are unpacked in pieces of a chunk, along K or across it, and decoded by the kernel of
 * dequantization with the scales of their groups. */
#include "decode_rows.h"

#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cast/elements.h"
#include "host/cpu/cast/panels.h"

enum { SHARE_ELEMENTS = 1 << 15, DEPTH_AT_A_TIME = 64 };

/* Of a thread. */
typedef struct decode_scratch {
  mfq_lanes lanes;
  uint32_t x[MFQ_CHUNK];
  uint8_t codes[MFQ_CHUNK + 8];
} decode_scratch;

static int64_t scratch_of_thread(void) { return mfq_round_up((int64_t)sizeof(decode_scratch), 64); }

size_t mfq_decode_rows_scratch(const mfq_context *context) { return (size_t)(context->threads * scratch_of_thread()); }

/* Whole groups, or a chunk of longer ones, in whole bytes; 0: there is no such piece. */
static int64_t piece_along(int64_t group) {
  const int64_t unit = mfq_common_multiple(group, 8);
  if (group >= MFQ_CHUNK) return group % 8 == 0 ? MFQ_CHUNK : 0;
  return unit <= MFQ_CHUNK ? MFQ_CHUNK / unit * unit : 0;
}

int mfq_decode_rows_make(const mfq_gemm_side *side, mfq_decode_rows *d) {
  const int32_t bits = mfq_code_bits(&side->view.q);
  if (side->depth == 0 || side->code_bits[0] % 8 != 0) return 0;
  if (mfq_panels_why_never(&side->view.q.scheme, MFQ_PANELS_DECODE) != NULL) return 0;
  *d = (mfq_decode_rows){.bits = bits};
  mfq_lower(&side->view.q.scheme, &d->scheme);
  if (side->group == 0) d->scheme.scale = MFQN_SCALE_NONE;
  d->group = side->group > 0 ? side->group : mfq_round_up(side->depth, 8);
  d->is_across = side->code_bits[2] != bits && side->depth > 1;
  if (d->is_across) {
    d->piece = MFQ_CHUNK;
    return side->code_bits[1] == bits && side->code_bits[2] % 8 == 0;
  }
  d->piece = piece_along(d->group);
  return side->code_bits[1] % 8 == 0 && d->piece > 0;
}

typedef struct decode_work {
  const mfq_decode_rows *how;
  const mfq_gemm_side *side;
  const mfq_kernels *kernels;
  mfq_side_rows rows;
  mfq_dtype dtype;
  uint8_t *dst;
  uint8_t *memory;
} decode_work;

static decode_scratch *scratch_at(const decode_work *w, int thread) {
  return (decode_scratch *)(void *)(w->memory + thread * scratch_of_thread());
}

/* `n` codes from a bit on, which begins a byte, with the scales in the scratch memory, to element `to` of the values. */
static void decode_piece(const decode_work *w, int64_t bit, mfq_stretch span, int64_t to, decode_scratch *s) {
  const uint8_t *codes = (const uint8_t *)w->side->view.q.codes + bit / 8;
  uint32_t *x = w->dtype == MFQ_DTYPE_F32 ? (uint32_t *)(void *)w->dst + to : s->x;
  if (w->how->bits != 8) {
    w->kernels->unpack(s->codes, codes, span.n, w->how->bits);
    codes = s->codes;
  }
  w->kernels->decode(&w->how->scheme, codes, span, &s->lanes, x);
  if (w->dtype != MFQ_DTYPE_F32) w->kernels->store_limited((uint16_t *)(void *)w->dst + to, w->dtype, x, span.n);
}

/* Where the scales of neighbouring lanes are: that of lane i has the index first + (from + i) / run * step. */
typedef struct lane_walk {
  int64_t first, from, run, step;
} lane_walk;

static int64_t index_of(const lane_walk *l, int64_t i) { return l->first + (l->from + i) / l->run * l->step; }

static void load_lanes(const decode_work *w, lane_walk l, int64_t n, decode_scratch *s) {
  const mfqn_scheme *scheme = &w->how->scheme;
  const mfq_qview *view = &w->side->view;
  if (scheme->scale != MFQN_SCALE_NONE && l.run == 1)
    mfq_scales_get(view, index_of(&l, 0), l.step, s->lanes.stored, n);
  else if (scheme->scale != MFQN_SCALE_NONE)
    for (int64_t i = 0; i < n; ++i) s->lanes.stored[i] = mfq_scale_get(view, index_of(&l, i));
  w->kernels->lanes(scheme, n, 1.0f, &s->lanes);
  for (int64_t i = 0; scheme->has_zero_point && i < n; ++i)
    s->lanes.zero_point[i] = (float)mfq_zero_point_get(view, scheme, index_of(&l, i));
}

/* ---- Along K ------------------------------------------------------------------------------------------------------ */

static void decode_row(const decode_work *w, int64_t i, decode_scratch *s) {
  const mfq_gemm_side *side = w->side;
  const mfq_side_place at = mfq_side_row_at(side, w->rows, i);
  const int64_t group = w->how->group, bits = at.batch * side->code_bits[0] + at.row * side->code_bits[1];
  for (int64_t k = 0, n; k < side->depth; k += n) {
    n = mfq_smaller(side->depth - k, w->how->piece);
    if (group > MFQ_CHUNK) n = mfq_smaller(n, group - k % group);
    const lane_walk scales = {mfq_gemm_side_scale(side, at.batch, at.row, k), 0, 1, side->scale_stride[2]};
    load_lanes(w, scales, mfq_ceil_div(n, group), s);
    decode_piece(w, bits + k * w->how->bits, (mfq_stretch){n, group, 0}, i * side->depth + k, s);
  }
}

static void decode_rows(void *work, int thread, int64_t first, int64_t end) {
  const decode_work *w = work;
  for (int64_t i = first; i < end; ++i) decode_row(w, i, scratch_at(w, thread));
}

/* ---- Across K ----------------------------------------------------------------------------------------------------- */

/* A piece of the depth in one group. */
typedef struct depth_piece {
  int64_t batch, first, count;
} depth_piece;

static int64_t depth_step(const mfq_decode_rows *d) { return mfq_smaller(d->group, DEPTH_AT_A_TIME); }

/* Pieces do not go beyond their group. */
static int64_t pieces_of_group(const mfq_decode_rows *d) { return mfq_ceil_div(d->group, depth_step(d)); }

static int64_t depth_pieces(const mfq_decode_rows *d, int64_t depth) {
  return mfq_ceil_div(depth, d->group) * pieces_of_group(d);
}

static void decode_across(const decode_work *w, depth_piece at, decode_scratch *s) {
  const mfq_gemm_side *side = w->side;
  const int64_t first = w->rows.batch >= 0 ? w->rows.first : 0, rows = w->rows.batch >= 0 ? w->rows.count : side->rows;
  const int64_t to = w->rows.batch >= 0 ? 0 : at.batch * rows * side->depth;
  for (int64_t r = 0; r < rows; r += w->how->piece) {
    const int64_t n = mfq_smaller(rows - r, w->how->piece);
    const lane_walk scales = {mfq_gemm_side_scale(side, at.batch, 0, at.first), first + r, side->scale_run[1],
                              side->scale_stride[1]};
    load_lanes(w, scales, n, s);
    for (int64_t k = at.first; k < at.first + at.count; ++k) {
      const int64_t bit = at.batch * side->code_bits[0] + k * side->code_bits[2] + (first + r) * w->how->bits;
      decode_piece(w, bit, (mfq_stretch){n, 0, 0}, to + k * rows + r, s);
    }
  }
}

static void decode_columns(void *work, int thread, int64_t first, int64_t end) {
  const decode_work *w = work;
  const mfq_decode_rows *d = w->how;
  const int64_t depth = w->side->depth, all = depth_pieces(d, depth), step = depth_step(d),
                in_group = pieces_of_group(d);
  for (int64_t i = first; i < end; ++i) {
    const int64_t piece = i % all, group = piece / in_group * d->group, in = piece % in_group * step;
    const int64_t count = mfq_smaller(mfq_smaller(step, d->group - in), depth - group - in);
    const int64_t batch = w->rows.batch >= 0 ? w->rows.batch : i / all;
    if (count > 0) decode_across(w, (depth_piece){batch, group + in, count}, scratch_at(w, thread));
  }
}

void mfq_decode_rows_run(const mfq_context *lent, const mfq_decode_rows *d, const mfq_gemm_side *side,
                         mfq_side_rows rows, mfq_dtype dtype, void *dst) {
  decode_work work = {d, side, mfq_cpu_kernels(lent), rows, dtype, dst, lent->scratch};
  const int64_t batches = rows.batch >= 0 ? 1 : side->batches;
  const int64_t tasks = d->is_across ? batches * depth_pieces(d, side->depth) : rows.count;
  const int threads = mfq_threads_for(lent, rows.count * side->depth, SHARE_ELEMENTS);
  mfq_team_run((mfq_loop){threads, tasks, 0}, d->is_across ? decode_columns : decode_rows, &work);
}
