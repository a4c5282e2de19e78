/* cuda/produce/numbers_kernel.cuh: the numbers of rows (num/making.h), a row a warp up to 8192 columns, a row a block beyond.
 *
 * Passes after the first one read the row again, out of the caches. The sum of a residual stream is written on the way, and
 * what was written is read from then on. */
#ifndef MFQ_CUDA_PRODUCE_NUMBERS_KERNEL_CUH
#define MFQ_CUDA_PRODUCE_NUMBERS_KERNEL_CUH

#include "fold.cuh"

typedef struct numbers_params {
  made_params made;
  made_side sum, mean, scale, losses;
  int32_t is_sum_wide;
  int64_t ignored;
  const uint8_t *counted; /* of the loss: how many rows count, 8 bytes */
  float *slab_losses;     /* from row made.first on; NULL: not wanted */
} numbers_params;

/* The terms of a piece. */
typedef struct piece_terms {
  piece8 first, second;
} piece_terms;

template <int OP>
__device__ __forceinline__ piece_terms thread_terms_each(const mfqn_make &all, int pass, const made_piece &x,
                                                         const mfqn_row &row) {
  mfqn_make make = all;
  piece_terms t;
  make.op = OP;
#pragma unroll
  for (int i = 0; i < PIECE; ++i) {
    const mfqn_terms of = mfqn_make_terms(&make, pass, mfqn_inputs{x.a.v[i], x.b.v[i], x.c.v[i]},
                                          mfqn_column{x.gain.v[i], x.shift.v[i]}, &row);
    t.first.v[i] = of.first;
    t.second.v[i] = of.second;
  }
  return t;
}

/* Of softmax and loss: terms are appended to `a` and `b` as elements leave. */
__device__ __forceinline__ piece_terms thread_terms_pairs(const mfqn_make &make, int pass, made_piece &x,
                                                          const mfqn_row &row) {
  const mfqn_column none = {1.0f, -0.0f};
#pragma unroll 1
  for (int i = 0; i < PIECE; i += 2) {
    const mfqn_terms s = mfqn_make_terms(&make, pass, mfqn_inputs{x.a.v[0], 0.0f, 0.0f}, none, &row);
    const mfqn_terms t = mfqn_make_terms(&make, pass, mfqn_inputs{x.a.v[1], 0.0f, 0.0f}, none, &row);
    thread_shift(&x.a, s.first);
    thread_shift(&x.a, t.first);
    thread_shift(&x.b, s.second);
    thread_shift(&x.b, t.second);
  }
  return piece_terms{x.a, x.b};
}

/* h of a norm: what is there, or in the first pass what is written. */
__device__ __forceinline__ piece8 thread_load_sum(const numbers_params &p, int pass, int64_t row, int64_t col,
                                                  int count, const piece8 &made) {
  const int64_t at = thread_row_offset(p.made, p.sum, row) + col * p.sum.col;
  piece8 h = made;
#pragma unroll
  for (int i = 0; i < PIECE; ++i) {
    uint32_t u = mfqn_one_nan(h.v[i]);
    if (p.sum.of.dtype == ELEMENT_BF16) u = mfqn_f32_from_bf16(mfqn_bf16_from_f32(u));
    if (p.sum.of.dtype == ELEMENT_F16) u = mfqn_f32_from_f16(mfqn_f16_from_f32(u));
    h.v[i] = mfqn_float_of(u);
  }
  if (pass == 0) thread_store_piece(p.sum, at, count, p.is_sum_wide, h);
  return h;
}

/* The terms of 8 columns, of which `count` are there. */
__device__ __forceinline__ piece_terms thread_terms(const numbers_params &p, const made_line &line, int pass,
                                                    int64_t col, const mfqn_row &row) {
  const made_params &m = p.made;
  const int count = col >= line.count ? 0 : line.count - col < PIECE ? (int)(line.count - col) : PIECE;
  made_piece x;
  piece_terms none = {thread_filled(0.0f), thread_filled(0.0f)};
  if (count == 0) return none;
  if (pass > 0 && p.sum.of.data) {
    x.a = thread_load_piece(m, p.sum, thread_row_offset(m, p.sum, line.row), col, count);
    x.b = x.c = thread_filled(0.0f);
  } else {
    thread_load_inputs(m, line, col, count, &x);
    if (p.sum.of.data) x.a = thread_load_sum(p, pass, line.row, col, count, x.a);
  }
  switch (m.make.op) {
    case MFQN_MAKE_NORM: return thread_terms_each<MFQN_MAKE_NORM>(m.make, pass, x, row);
    case MFQN_MAKE_SOFTMAX_BACKWARD: return thread_terms_each<MFQN_MAKE_SOFTMAX_BACKWARD>(m.make, pass, x, row);
    case MFQN_MAKE_NORM_BACKWARD:
      thread_load_columns(m, line, col, count, &x);
      return thread_terms_each<MFQN_MAKE_NORM_BACKWARD>(m.make, pass, x, row);
    default: return thread_terms_pairs(m.make, pass, x, row);
  }
}

/* What stands for elements that are out, beside the terms of those that are in. */
__device__ __forceinline__ void thread_mark_absent(const fold_shape &f, const made_line &line, int64_t col, piece8 *t) {
#pragma unroll
  for (int i = 0; i < PIECE; ++i)
    if (col + i >= line.count) t->v[i] = thread_absent(f, col + i);
}

/* The two sums of span `s` of a pass. */
__device__ __forceinline__ mfqn_terms warp_span(const numbers_params &p, const made_line &line, int pass,
                                                const fold_shape &f, const mfqn_row &row, int64_t s) {
  const int64_t col = s * SPAN + (int64_t)(threadIdx.x % 32) * PIECE;
  piece_terms t = thread_terms(p, line, pass, col, row);
  mfqn_terms sums = {0.0f, 0.0f};
  thread_mark_absent(f, line, col, &t.first);
  sums.first = warp_fold_span(f, t.first);
  if (!mfqn_make_has_second(&p.made.make, pass)) return sums;
  thread_mark_absent(f, line, col, &t.second);
  sums.second = warp_fold_span(f, t.second);
  return sums;
}

/* A pass by a warp. */
__device__ __forceinline__ mfqn_terms warp_pass(const numbers_params &p, const made_line &line, int pass,
                                                const mfqn_row &row) {
  const fold_shape f = thread_fold_shape(p.made.units, line.count, mfqn_make_is_largest(&p.made.make, pass));
  const int lane = (int)threadIdx.x % 32;
  mfqn_terms own = {thread_absent(f, (int64_t)lane * SPAN), thread_absent(f, (int64_t)lane * SPAN)};
#pragma unroll 1
  for (int s = 0; (int64_t)s * SPAN < line.count; ++s) {
    const mfqn_terms sums = warp_span(p, line, pass, f, row, s);
    if (lane == s) own = sums;
  }
  own.first = warp_fold_spans(f, own.first);
  if (mfqn_make_has_second(&p.made.make, pass)) own.second = warp_fold_spans(f, own.second);
  return own;
}

/* A pass by a block. */
typedef struct block_fold {
  fold_spans &spans;
  fold_tree &tree;
  team_memory &team;
} block_fold;

__device__ __forceinline__ mfqn_terms block_pass(const numbers_params &p, const made_line &line, int pass,
                                                 const mfqn_row &row, const block_fold &memory) {
  const fold_shape f = thread_fold_shape(p.made.units, line.count, mfqn_make_is_largest(&p.made.make, pass));
  const int has_second = mfqn_make_has_second(&p.made.make, pass);
  const int64_t spans = (line.count + SPAN - 1) / SPAN, rounds = (spans + BLOCK_SPANS - 1) / BLOCK_SPANS;
  mfqn_terms total = {mfqn_float_of(0xff800000u), 0.0f};
#pragma unroll 1
  for (int64_t k = 0; k < rounds; ++k) {
    const int64_t base = k * BLOCK_SPANS;
    ptx_sync_block(); /* the former round or pass is through with the memory */
#pragma unroll 1
    for (int s = (int)threadIdx.x / 32; s < BLOCK_SPANS && base + s < spans; s += FOLD_WARPS) {
      const mfqn_terms sums = warp_span(p, line, pass, f, row, base + s);
      if (threadIdx.x % 32 == 0) memory.spans.store(s, sums.first);
      if (threadIdx.x % 32 == 0 && has_second) memory.spans.store(BLOCK_SPANS + s, sums.second);
    }
    ptx_sync_block();
    const float first = block_fold_spans(f, memory.spans, memory.team, 0, base);
    const float second = has_second ? block_fold_spans(f, memory.spans, memory.team, 1, base) : 0.0f;
    if (rounds == 1) return mfqn_terms{first, second};
    total.first = mfqn_larger(total.first, first);
    if (threadIdx.x != 0 || f.is_largest) continue;
    thread_tree_push(memory.tree, 0, k, first);
    if (has_second) thread_tree_push(memory.tree, TREE_WORDS, k, second);
  }
  if (f.is_largest) return total;
  ptx_sync_block(); /* others may still read what the pass before has left */
  if (threadIdx.x == 0) {
    const float first = thread_tree_total(memory.tree, 0, rounds);
    const float second = has_second ? thread_tree_total(memory.tree, TREE_WORDS, rounds) : 0.0f;
    memory.tree.store(0, first);
    memory.tree.store(TREE_WORDS, second);
  }
  ptx_sync_block();
  return mfqn_terms{memory.tree.load(0), memory.tree.load(TREE_WORDS)};
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

__device__ __forceinline__ float thread_load_number(const made_params &p, const made_side &side, int64_t row) {
  return mfqn_float_of(thread_load_element(side.of, thread_row_offset(p, side, row)));
}

__device__ __forceinline__ void thread_store_number(const made_params &p, const made_side &side, int64_t row, float x) {
  if (side.of.data) thread_store_element(side.of, thread_row_offset(p, side, row), mfqn_one_nan(x));
}

/* What becomes of a pass's sums: no index into registers. */
__device__ __forceinline__ void thread_make_row(const mfqn_make &make, int pass, mfqn_terms sums, mfqn_row *row) {
  if (pass == 0)
    mfqn_make_row(&make, 0, sums, row);
  else
    mfqn_make_row(&make, 1, sums, row);
}

/* What is known before the first pass. */
__device__ __forceinline__ mfqn_row thread_known_numbers(const numbers_params &p, int64_t row) {
  mfqn_row r = {{0.0f, 0.0f, 0.0f, 0.0f}};
  if (p.made.make.op != MFQN_MAKE_NORM_BACKWARD) return r;
  if (p.made.make.is_centred) r.v[0] = thread_load_number(p.made, p.mean, row);
  r.v[1] = thread_load_number(p.made, p.scale, row);
  return r;
}

/* By one thread: completes the numbers of a row of logits, whose loss is written. */
__device__ __forceinline__ void thread_finish_loss(const numbers_params &p, const made_line &line, float distances,
                                                   mfqn_row *row) {
  const made_params &m = p.made;
  const uint2 counted = ptx_load<uint2>(p.counted);
  const float rows = (float)(int64_t)((uint64_t)counted.y << 32 | counted.x);
  const int is_class = line.target >= 0 && line.target < m.units;
  const int64_t at = thread_row_offset(m, m.in[0], line.row) + line.target * m.in[0].col;
  const float logit = is_class ? mfqn_float_of(thread_load_element(m.in[0].of, at)) : 0.0f;
  mfqn_loss_row(&m.make, mfqn_loss_counts(line.target, p.ignored, m.units), rows, row);
  const float loss = mfqn_loss_value(&m.make, row, logit, distances);
  thread_store_number(m, p.losses, line.row, loss);
  if (p.slab_losses) ptx_store<uint32_t>(p.slab_losses + (line.row - m.first), mfqn_bits(loss));
}

/* By one thread: writes what is known of a row. */
__device__ __forceinline__ void thread_store_numbers(const numbers_params &p, const made_line &line, float distances,
                                                     mfqn_row row) {
  const made_params &m = p.made;
  if (m.make.op == MFQN_MAKE_LOSS) thread_finish_loss(p, line, distances, &row);
  if (m.make.op == MFQN_MAKE_NORM) {
    thread_store_number(m, p.mean, line.row, row.v[0]);
    thread_store_number(m, p.scale, line.row, row.v[1]);
  }
  if (!m.numbers) return;
  const uint4 words = make_uint4(mfqn_bits(row.v[0]), mfqn_bits(row.v[1]), mfqn_bits(row.v[2]), mfqn_bits(row.v[3]));
  ptx_store<uint4>(m.numbers + (line.row - m.first) * 16, words);
}

__global__ void __launch_bounds__(FOLD_THREADS, 3) made_warp_numbers_kernel(const __grid_constant__ numbers_params p) {
  const int64_t row = p.made.first + (int64_t)blockIdx.x * FOLD_WARPS + threadIdx.x / 32;
  if (row >= p.made.first + p.made.rows) return;
  const made_line line = thread_line(p.made, row);
  mfqn_row r = thread_known_numbers(p, row);
  mfqn_terms sums = {0.0f, 0.0f};
  const int passes = mfqn_make_passes(&p.made.make);
#pragma unroll 1
  for (int pass = 0; pass < passes; ++pass) {
    sums = warp_pass(p, line, pass, r);
    thread_make_row(p.made.make, pass, sums, &r);
  }
  if (threadIdx.x % 32 == 0) thread_store_numbers(p, line, sums.second, r);
}

__global__ void __launch_bounds__(FOLD_THREADS, 3) made_block_numbers_kernel(const __grid_constant__ numbers_params p) {
  __shared__ fold_spans spans;
  __shared__ fold_tree tree;
  __shared__ team_memory team;
  const int64_t row = p.made.first + blockIdx.x;
  const made_line line = thread_line(p.made, row);
  mfqn_row r = thread_known_numbers(p, row);
  mfqn_terms sums = {0.0f, 0.0f};
  const int passes = mfqn_make_passes(&p.made.make);
#pragma unroll 1
  for (int pass = 0; pass < passes; ++pass) {
    sums = block_pass(p, line, pass, r, block_fold{spans, tree, team});
    thread_make_row(p.made.make, pass, sums, &r);
  }
  if (threadIdx.x == 0) thread_store_numbers(p, line, sums.second, r);
}

#endif
