/* host/cpu/product/few_rows.c: a few rows times a packed matrix, which is read once and expanded in registers.
 *
 * The few rows are A's, or B's with the packed matrix on the other side; quantized ones become the values of their codes
 * first. They are laid out in blocks of 32 elements once a run; threads share the packed rows. */
#include "expand_operand.h"
#include "few_codes.h"
#include "finish_cpu.h"
#include "sums_cpu.h"
#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "host/cpu/cast/elements.h"
#include "widen.h"

enum { BLOCK_ROWS = 16, SHARE_CODES = 1 << 16, L1_BYTES = 1 << 15 };

/* The loops, and rows up to which they are faster than expanding the packed side to bf16, or to f32, by instruction set
 * (4096 x 4096, one thread, codes of 4 and 8 bits). */
typedef struct few_set {
  mfq_cpu_level level;
  const mfq_few_kernels *kernels;
  int64_t of_bf16, of_f32;
} few_set;
static const few_set sets[] = {
#ifdef MFQ_HAVE_ISA_AVX512
    {MFQ_LEVEL_AVX512, &mfq_few_kernels_avx512, 16, 64},
#endif
#ifdef MFQ_HAVE_ISA_AVX2
    {MFQ_LEVEL_AVX2, &mfq_few_kernels_avx2, 16, 16},
#endif
    {MFQ_LEVEL_BASELINE, &mfq_few_kernels_baseline, 32, 32},
};

static const few_set *set_of(const mfq_context *context) {
  const few_set *set = sets;
  while (set->level > mfq_cpu_isa_of(context)->level) ++set;
  return set;
}

/* ---- Packed rows -------------------------------------------------------------------------------------------------- */

typedef struct few_rows {
  int is_mirrored;     /* the few rows are B's */
  int is_bf16;         /* they are multiplied in bf16 */
  int32_t rows;        /* of a pass: 1, 2, 4 or 8, with rows of 0 behind the true ones */
  int64_t passes;      /* over each block of packed rows, in each batch */
  int64_t blocks;      /* of plain elements, in each pass */
  mfq_expanded values; /* of few rows that are quantized */
  size_t plain_at, peaks_at, sums_at, scratch_at, scratch_bytes;
  mfq_cpu_finish_plan finish;
  mfq_few_codes codes;
} few_rows;

/* A run: the few rows, where they are laid out with the largest magnitude of each block, and the sums. */
typedef struct few_work {
  const few_rows *f;
  const mfq_gemm_problem *problem;
  const mfq_kernels *kernels;
  const mfq_few_kernels *set;
  const mfq_gemm_side *side; /* packed */
  mfq_matrix matrix;
  int64_t matrices;
  uint8_t *plain;
  uint32_t *peaks;
  float *sums;
} few_work;

/* The order of elements in a block, but for nibbles. */
static const uint8_t in_order[MFQ_FEW_BLOCK] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

/* A pass over a packed row: its place, and where its plain rows are. */
typedef struct few_place {
  int64_t batch, row, pass;
} few_place;

static int64_t element_bytes(const few_rows *f) { return f->is_bf16 ? 2 : 4; }
static int64_t block_bytes(const few_rows *f) { return f->rows * MFQ_FEW_BLOCK * element_bytes(f); }

/* The first block of a pass. */
static int64_t first_block(const few_work *w, int64_t batch, int64_t pass) {
  return ((w->matrices == 1 ? 0 : batch) * w->f->passes + pass) * w->f->blocks;
}

/* Codes of a piece: whole groups and blocks, and few enough for the plain elements beside them to stay in the first cache. */
static int64_t piece_codes(const few_rows *f) {
  const int64_t group = f->codes.group, both = group % MFQ_FEW_BLOCK == 0 ? group : 2 * group;
  const int64_t step = group > 0 && both <= MFQ_CHUNK ? both : MFQ_FEW_BLOCK;
  const int64_t most = mfq_smaller(L1_BYTES / (f->rows * element_bytes(f)), MFQ_CHUNK);
  return most < step ? step : most / step * step;
}

/* Whether sums of a pass with unscaled values may overflow. */
static int is_large(const few_work *w, int64_t block, int64_t n) {
  uint32_t largest = 0;
  if (w->f->rows > MFQ_FEW_UNSCALED) return 0;
  for (int64_t i = block; i < block + mfq_ceil_div(n, MFQ_FEW_BLOCK); ++i) largest = mfqn_umax(largest, w->peaks[i]);
  return largest > mfqn_bits(w->f->codes.safe_plain);
}

static void add_row(const few_work *w, mfq_few_stretch at, mfq_few few, mfq_few_scales *scales, float *sums) {
  const mfq_few_codes *c = &w->f->codes;
  const mfq_qview *view = &w->side->view;
  const int64_t byte = (at.batch * w->side->code_bits[0] + at.row * w->side->code_bits[1] + at.k * c->bits) / 8;
  float part[MFQ_FEW_ROWS];
  few.is_vast |= mfq_few_scales_load(w->set, c, w->side, at, scales);
  few.codes = (const uint8_t *)view->q.codes + byte;
  few.readable = (int64_t)view->sizes.codes_bytes - byte;
  if (w->f->is_bf16)
    w->set->bf16(&few, part);
  else
    w->set->f32(&few, part);
  for (int32_t m = 0; m < few.rows; ++m) sums[m] += part[m];
}

static void sum_block(const few_work *w, few_place at, int64_t rows, mfq_few_scales *scales,
                      float (*sums)[MFQ_FEW_ROWS]) {
  const few_rows *f = w->f;
  const mfq_few_codes *c = &f->codes;
  const int64_t depth = w->side->depth, whole = piece_codes(f), own = w->side->batches == 1 ? 0 : at.batch;
  mfq_few few = {.how = c->how,
                 .bits = c->bits,
                 .code_mask = c->mask,
                 .rows = f->rows,
                 .halves = c->step != MFQ_FEW_BLOCK,
                 .order = c->how == MFQ_FEW_NIBBLES ? w->set->nibble_order : in_order,
                 .numbers = c->numbers,
                 .values = c->values,
                 .picks = &c->picks,
                 .scales = scales->scales,
                 .zero_points = c->has_zero_points ? scales->zero_points : NULL};
  memset(sums, 0, (size_t)rows * sizeof *sums);
  for (int64_t k = 0; k < depth; k += few.depth) {
    const int64_t group_left = c->group > MFQ_CHUNK ? c->group - k % c->group : whole;
    const int64_t block = first_block(w, at.batch, at.pass) + k / MFQ_FEW_BLOCK;
    few.depth = mfq_smaller(mfq_smaller(group_left, whole), depth - k);
    few.plain = w->plain + block * block_bytes(f);
    few.is_vast = is_large(w, block, few.depth);
    for (int64_t r = 0; r < rows; ++r)
      add_row(w, (mfq_few_stretch){own, at.row + r, k, few.depth}, few, scales, sums[r]);
  }
}

/* ---- Which products ------------------------------------------------------------------------------------------------ */

static int64_t most_rows(const mfq_context *context, const mfq_gemm_problem *p) {
  const int is_bf16 = mfq_expanded_dtype(&p->a, &p->b, p->round_operands) == MFQ_DTYPE_BF16;
  return is_bf16 ? set_of(context)->of_bf16 : set_of(context)->of_f32;
}

static int is_few(const mfq_context *context, const mfq_gemm_problem *p, const mfq_gemm_side *few,
                  const mfq_gemm_side *many) {
  return many->kind == MFQ_SIDE_QUANTIZED && few->rows <= most_rows(context, p);
}

static mfq_status refuse(const mfq_context *context, const mfq_gemm_problem *p, mfq_line *why) {
  if (context->policy == MFQ_REPRODUCIBLE) return mfq_refuse(why, "the context's policy is reproducible");
  if (!mfq_cpu_kernels(context)) return mfq_refuse(why, "the context's cpu_isa is reference");
  if (p->k == 0) return mfq_refuse(why, "K is 0");
  if (p->a.kind != MFQ_SIDE_QUANTIZED && p->b.kind != MFQ_SIDE_QUANTIZED)
    return mfq_refuse(why, "neither operand comes quantized");
  const int is_of_a = is_few(context, p, &p->a, &p->b);
  if (!is_of_a && !is_few(context, p, &p->b, &p->a)) {
    const int says_m = p->b.kind == MFQ_SIDE_QUANTIZED;
    const int64_t most = most_rows(context, p);
    return mfq_refuse(why, "%s is %lld, at most %lld", says_m ? "M" : "N", (long long)(says_m ? p->m : p->n),
                      (long long)most);
  }
  const char *reason = mfq_few_codes_refuse(is_of_a ? &p->b : &p->a);
  return reason != NULL ? mfq_refuse(why, "%s", reason) : MFQ_OK;
}

/* ---- Planning ------------------------------------------------------------------------------------------------------ */

/* Whether the few rows are multiplied in bf16, which needs AVX512_BF16, and values that it holds. */
static int takes_bf16(const mfq_context *context, const mfq_gemm_problem *p, const mfq_gemm_side *few,
                      const mfq_few_codes *c) {
  return mfq_cpu_isa_of(context)->machine == MFQ_LEVEL_AVX512_BF16 && set_of(context)->kernels->bf16 != NULL &&
         (c->bits == 4 || c->bits == 6 || c->bits == 8) && !c->has_zero_points &&
         (p->round_operands || mfq_gemm_side_refuses_bf16(few) == NULL);
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_gemm_problem *p = problem;
  mfq_status status = refuse(context, p, why);
  if (status == MFQ_OK) status = mfq_choice_state(context, "mfq_gemm_plan_create", sizeof(few_rows), choice);
  if (status != MFQ_OK) return status;
  few_rows *f = choice->state;
  f->is_mirrored = !is_few(context, p, &p->a, &p->b);
  const mfq_gemm_side *few = f->is_mirrored ? &p->b : &p->a, *many = f->is_mirrored ? &p->a : &p->b;
  mfq_few_codes_make(set_of(context)->kernels, many, &f->codes);
  f->is_bf16 = takes_bf16(context, p, few, &f->codes);
  f->rows = few->rows <= 2 ? (int32_t)few->rows : few->rows <= 4 ? 4 : MFQ_FEW_ROWS;
  f->passes = mfq_ceil_div(few->rows, f->rows);
  f->blocks = mfq_ceil_div(p->k, MFQ_FEW_BLOCK);
  size_t *bytes = &choice->workspace_bytes;
  if (few->kind != MFQ_SIDE_PLAIN) {
    const mfq_dtype dtype = mfq_gemm_side_refuses_bf16(few) == NULL ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
    const mfq_operand_side side = {few, NULL};
    status = mfq_expand_plan(context, side, dtype, &f->values);
    if (status == MFQ_OK) mfq_expand_take(side, 0, bytes, &f->values);
  }
  const int64_t laid_out = few->batches * f->passes * f->blocks;
  f->plain_at = mfq_workspace_take(bytes, (size_t)(laid_out * block_bytes(f)));
  f->peaks_at = mfq_workspace_take(bytes, (size_t)laid_out * sizeof(uint32_t));
  mfq_cpu_finish_plan_make(context, &p->finish, bytes, &f->finish);
  f->sums_at =
      p->finish.is_d_quantized ? f->finish.values_at : mfq_workspace_take(bytes, mfq_cpu_finish_sum_bytes(&p->finish));
  f->scratch_bytes = mfq_larger_size(f->finish.scratch_bytes, f->values.scratch_bytes);
  f->scratch_at = mfq_workspace_take(bytes, f->scratch_bytes);
  mfq_choice_describe(choice, "%s by own loops, %s%s: codes expanded in registers", f->is_bf16 ? "bf16" : "f32",
                      mfq_cpu_kernels(context)->isa, f->is_bf16 ? "_bf16" : "");
  return status;
}

/* ---- Running ------------------------------------------------------------------------------------------------------- */

/* The elements of a row from `at` on, as f32 bits; 0 behind the last. Returns the largest magnitude. */
static uint32_t load_block(const few_work *w, int64_t at, int64_t n, uint32_t *x) {
  const mfq_matrix *m = &w->matrix;
  uint32_t largest = 0;
  memset(x, 0, MFQ_FEW_BLOCK * sizeof *x);
  if (m->stride[1] == 1)
    w->kernels->load(x, (const uint8_t *)m->data + at * (int64_t)mfq_dtype_bytes(m->dtype), m->dtype, n);
  else
    for (int64_t i = 0; i < n; ++i) x[i] = mfq_element_load(m->data, m->dtype, at + i * m->stride[1]);
  for (int64_t i = 0; i < n; ++i) largest = mfqn_umax(largest, x[i] & MFQN_ABS);
  return largest;
}

/* Blocks of passes. */
static void lay_out(void *work, int thread, int64_t first, int64_t end) {
  const few_work *w = work;
  const few_rows *f = w->f;
  const mfq_matrix *m = &w->matrix;
  uint32_t x[MFQ_FEW_BLOCK];
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    const int64_t b = i % f->blocks, pass = i / f->blocks % f->passes, batch = i / f->blocks / f->passes;
    const int64_t n = mfq_smaller(m->cols - b * MFQ_FEW_BLOCK, MFQ_FEW_BLOCK);
    w->peaks[i] = 0;
    for (int64_t r = 0; r < f->rows; ++r) {
      const int64_t row = pass * f->rows + r;
      const int64_t at = mfq_matrix_offset(m, batch) + row * m->stride[0] + b * MFQ_FEW_BLOCK * m->stride[1];
      const uint32_t largest = load_block(w, at, row < m->rows ? n : 0, x);
      uint8_t *to = w->plain + i * block_bytes(f) + r * MFQ_FEW_BLOCK * element_bytes(f);
      w->peaks[i] = mfqn_umax(w->peaks[i], largest);
      if (f->is_bf16)
        w->kernels->store_limited(to, MFQ_DTYPE_BF16, x, MFQ_FEW_BLOCK);
      else if (f->codes.how == MFQ_FEW_NIBBLES)
        for (int j = 0; j < MFQ_FEW_BLOCK; ++j) ((uint32_t *)(void *)to)[j] = x[w->set->nibble_order[j]];
      else
        memcpy(to, x, sizeof x);
    }
  }
}

/* Where the sums of a packed row with the rows of a pass go. */
static void put_sums(const few_work *w, few_place at, const float *of_row) {
  const mfq_gemm_problem *p = w->problem;
  const int64_t count = w->f->is_mirrored ? p->n : p->m, first = at.pass * w->f->rows;
  float *sums = w->sums + at.batch * p->m * p->n;
  for (int64_t i = first; i < first + w->f->rows && i < count; ++i)
    if (w->f->is_mirrored)
      sums[at.row * p->n + i] = of_row[i - first];
    else
      sums[i * p->n + at.row] = of_row[i - first];
}

/* Blocks of packed rows. */
static void multiply(void *work, int thread, int64_t first, int64_t end) {
  const few_work *w = work;
  const int64_t count = w->side->rows, blocks = mfq_ceil_div(count, BLOCK_ROWS);
  float of_rows[BLOCK_ROWS][MFQ_FEW_ROWS];
  mfq_few_scales scales;
  (void)thread;
  mfq_few_scales_init(&scales);
  for (int64_t i = first; i < end; ++i)
    for (int64_t pass = 0; pass < w->f->passes; ++pass) {
      few_place at = {i / blocks, i % blocks * BLOCK_ROWS, pass};
      const int64_t rows = mfq_smaller(count - at.row, BLOCK_ROWS);
      sum_block(w, at, rows, &scales, of_rows);
      for (int64_t r = 0; r < rows; ++r, ++at.row) put_sums(w, at, of_rows[r]);
    }
}

/* The few rows as a matrix: as they lie, or the values that their codes were made. */
static mfq_status open_rows(mfq_context *lent, const few_rows *f, const mfq_gemm_side *few, uint8_t *memory,
                            mfq_gemm_side *ready, mfq_matrix *matrix) {
  const void *values;
  *ready = *few;
  *matrix = few->matrix;
  if (few->kind == MFQ_SIDE_PLAIN) return MFQ_OK;
  const mfq_status status = mfq_expand_run(lent, &f->values, (mfq_operand_side){few, NULL}, memory, ready, &values);
  *matrix = (mfq_matrix){.data = (void *)(uintptr_t)values,
                         .dtype = f->values.dtype,
                         .rows = few->rows,
                         .cols = few->depth,
                         .stride = {f->values.stride[1], f->values.stride[2]},
                         .batch_rank = few->batches > 1,
                         .batch_shape = {few->batches},
                         .batch_stride = {f->values.stride[0]}};
  return status;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const few_rows *f = state;
  const mfq_gemm_problem *p = problem;
  const mfq_gemm_side *few = f->is_mirrored ? &p->b : &p->a, *many = f->is_mirrored ? &p->a : &p->b;
  few_work work = {.f = f,
                   .problem = p,
                   .kernels = mfq_cpu_kernels(context),
                   .set = set_of(context)->kernels,
                   .side = many,
                   .matrices = few->batches};
  work.plain = memory + f->plain_at;
  work.peaks = (uint32_t *)(void *)(memory + f->peaks_at);
  work.sums = (float *)(void *)(memory + f->sums_at);
  mfq_context lent = mfq_cpu_lend(context, memory + f->scratch_at, f->scratch_bytes);
  mfq_gemm_side ready;
  const mfq_status status = open_rows(&lent, f, few, memory, &ready, &work.matrix);
  if (status != MFQ_OK) return status;
  const int64_t laid_out = few->batches * f->passes * f->blocks;
  const int64_t blocks = p->batches * mfq_ceil_div(many->rows, BLOCK_ROWS);
  /* a few plain rows take less time than waking a thread */
  mfq_team_run((mfq_loop){mfq_threads_for(context, laid_out * MFQ_FEW_BLOCK * f->rows, SHARE_CODES), laid_out, 0},
               lay_out, &work);
  mfq_team_run((mfq_loop){mfq_threads_for(context, p->batches * many->rows * p->k, SHARE_CODES), blocks, 0}, multiply,
               &work);
  mfq_cpu_finish finish;
  const mfq_factor_views views = {f->is_mirrored ? &many->view : &ready.view,
                                  f->is_mirrored ? &ready.view : &many->view};
  mfq_cpu_finish_open(context, &f->finish, &p->finish, views, memory, &finish);
  const mfq_cpu_finish_part all = mfq_cpu_finish_dense(&p->finish, work.sums, p->m);
  mfq_cpu_finish_run(context, &finish, &all);
  return mfq_cpu_finish_end(&lent, &finish);
}

const mfq_way mfq_gemm_few_rows = {.name = "few rows", .plan = plan, .run = run};
