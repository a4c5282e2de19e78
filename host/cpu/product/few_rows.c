/* host/cpu/product/few_rows.c: a few plain rows times a packed matrix, which is read once and expanded in registers.
 *
 * The few rows are A's, or B's with the packed matrix on the other side. They are laid out in blocks of 32 elements
 * once a run; threads share the packed rows. */
#include <stdio.h>

#include "expand_operand.h"
#include "finish_cpu.h"
#include "sums_cpu.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "host/core/scheme/lower.h"
#include "host/core/scheme/scheme.h"
#include "host/cpu/cast/elements.h"

enum {
  BLOCK_ROWS = 16,
  SHARE_CODES = 1 << 16,
  /* Rows up to which this is faster than expanding the packed side to bf16, or to f32 (4096 x 4096, one thread, codes of
   * 4 and 8 bits). */
  MOST_FOR_BF16 = 16,
  MOST_FOR_F32 = 64
};

/* ---- Packed rows -------------------------------------------------------------------------------------------------- */

enum { MOST_ROWS = 8 }; /* plain rows at once */

/* What the kernels need of a packed side. */
typedef struct few_codes {
  int32_t bits, halves;
  int64_t group;       /* 0: scales do not vary along K, and the finish applies them */
  int32_t scale_bytes; /* of one */
  int has_zero_points; /* then values hold a table for each */
  uint32_t safe_scale; /* larger scales may make values that are to be limited */
  uint16_t values[256];
} few_codes;

typedef struct few_job {
  const few_codes *codes;
  const mfq_gemm_side *side;
  const mfq_kernels *kernels;
  const void *plain; /* as mfq_few wants it, all of K */
  int32_t rows;
  int is_bf16;
} few_job;

/* Scales and zero points of a chunk, by block of 32 (or 16) codes; memory of one thread. */
typedef struct few_scratch {
  float scales[MFQ_CHUNK / 16];
  float stored[MFQ_CHUNK / 16];
  uint8_t zero_points[MFQ_CHUNK / 32];
} few_scratch;

enum { L1_BYTES = 1 << 15 };

/* The value of each code under each zero point. */
static int zero_point_values(const mfqn_scheme *s, uint16_t *values) {
  mfqn_scheme unscaled = *s;
  unscaled.scale = MFQN_SCALE_NONE;
  mfqn_group g = mfqn_group_load(&unscaled, 0, 1.0f);
  for (uint32_t z = 0; z < 16; ++z) {
    g.zero_point = mfqn_integer_value(z, &s->integer);
    for (uint32_t code = 0; code < 16; ++code)
      values[z * 16 + code] = (uint16_t)mfqn_bf16_from_f32(mfqn_decode(&unscaled, &g, code));
  }
  return 1;
}

static int make_values(const mfq_gemm_side *side, uint16_t *values) {
  mfqn_scheme s;
  mfq_lower(&side->view.q.scheme, &s);
  return s.has_zero_point ? zero_point_values(&s, values) : mfq_bf16_values(&s, mfq_code_bits(&side->view.q), values);
}

static const char *refuse_codes(const mfq_gemm_side *side) {
  const mfq_scheme *s = &side->view.q.scheme;
  uint16_t values[256];
  if (!mfq_side_has_byte_rows(side)) return "codes are not 4, 6 or 8 bits with rows along K that begin at bytes";
  if (side->group != 0 && side->group % 32 != 0 && side->group != 16) return "groups are not multiples of 32, or 16";
  if (s->scale == MFQ_SCALE_MINIFLOAT) return "scales are stored in a format that the loops do not have";
  if (s->zero_point && (mfq_code_bits(&side->view.q) != 4 || s->element.man_bits + s->element.is_signed != 4))
    return "zero points need codes of 4 bits";
  if (s->zero_point && s->scale == MFQ_SCALE_NONE) return "zero points need scales";
  if (s->zero_point && side->group == 16) return "zero points need groups of 32 or more";
  if (!make_values(side, values)) return "bf16 does not hold all values of the element format";
  return NULL;
}

static void make_codes(const mfq_gemm_side *side, few_codes *c) {
  const mfq_scheme *s = &side->view.q.scheme;
  mfqn_scheme lowered;
  mfq_lower(s, &lowered);
  (void)make_values(side, c->values);
  c->bits = mfq_code_bits(&side->view.q);
  c->halves = side->group == 16;
  c->group = s->scale == MFQ_SCALE_NONE ? 0 : side->group;
  c->scale_bytes = mfq_scale_bytes(s->scale);
  c->has_zero_points = s->zero_point;
  c->safe_scale = mfqn_safe_scale(&lowered, MFQN_MAX_BF16);
}

static void scratch_init(const few_job *job, few_scratch *scratch) {
  for (int64_t i = 0; job->codes->group == 0 && i < MFQ_CHUNK / 16; ++i) scratch->scales[i] = 1.0f;
}

/* Scales from `first` on, `n` of them, of the groups that a chunk touches. */
static void load_scales(const few_job *job, int64_t first, int64_t n, float *scales) {
  const few_codes *c = job->codes;
  const mfq_qview *view = &job->side->view;
  const uint8_t *at = (const uint8_t *)view->q.scales + first * c->scale_bytes;
  uint8_t gathered[MFQ_CHUNK / 16];
  if (view->q.layout.scales != MFQ_SCALES_LOGICAL) { /* one byte each */
    for (int64_t i = 0; i < n; ++i) gathered[i] = (uint8_t)mfq_scale_get(view, first + i);
    at = gathered;
  }
  job->kernels->few_scales((int32_t)view->q.scheme.scale, at, n, scales);
}

/* Whether values times the scales of a chunk may overflow. */
static int is_vast(const few_job *job, const float *scales, int64_t n) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = mfqn_umax(largest, mfqn_bits(scales[i]) & MFQN_ABS);
  return largest > job->codes->safe_scale;
}

static void load_chunk(const few_job *job, int64_t row, int64_t k, int64_t n, few_scratch *scratch) {
  const few_codes *c = job->codes;
  const int64_t step = c->halves ? 16 : 32, blocks = (n + step - 1) / step;
  const int64_t first = mfq_gemm_side_scale(job->side, 0, row, k);
  const int64_t in_group = c->group ? (c->group > MFQ_CHUNK ? blocks : c->group / step) : blocks;
  const int64_t groups = (blocks + in_group - 1) / in_group;
  if (c->group && in_group == 1) {
    load_scales(job, first, groups, scratch->scales);
  } else if (c->group) {
    load_scales(job, first, groups, scratch->stored);
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t b = g * in_group; b < (g + 1) * in_group && b < blocks; ++b) scratch->scales[b] = scratch->stored[g];
  }
  if (c->halves && blocks % 2 != 0) scratch->scales[blocks] = 0.0f; /* of the zeros behind the last codes */
  const uint8_t *zero_points = job->side->view.q.zero_points;
  for (int64_t g = 0; c->has_zero_points && g < groups; ++g)
    for (int64_t b = g * in_group; b < (g + 1) * in_group && b < blocks; ++b)
      scratch->zero_points[b] = zero_points[first + g] & 15u;
}

/* Codes of a piece: whole groups, and few enough for the plain elements beside them to stay in the first cache. */
static int64_t piece_codes(const few_job *job) {
  const int64_t group = job->codes->group, width = job->is_bf16 ? 2 : 4;
  int64_t most = L1_BYTES / (job->rows * width);
  if (most > MFQ_CHUNK) most = MFQ_CHUNK;
  const int64_t step = group > 32 && group <= MFQ_CHUNK ? group : 32;
  return most < step ? step : most / step * step;
}

static void add_piece(const few_job *job, int64_t row, int64_t k, int64_t n, few_scratch *scratch, float *sums) {
  const few_codes *c = job->codes;
  float part[8];
  load_chunk(job, row, k, n, scratch);
  const mfq_few few = {
      .bits = c->bits,
      .rows = job->rows,
      .halves = c->halves,
      .is_vast = c->group != 0 && is_vast(job, scratch->scales, (n - 1) / (c->halves ? 16 : 32) + 1),
      .depth = n,
      .plain = (const uint8_t *)job->plain + k * job->rows * (job->is_bf16 ? 2 : 4),
      .values = c->values,
      .codes = (const uint8_t *)job->side->view.q.codes + (row * job->side->code_bits[1] + k * c->bits) / 8,
      .scales = scratch->scales,
      .zero_points = c->has_zero_points ? scratch->zero_points : NULL,
  };
  if (job->is_bf16)
    job->kernels->few_bf16(&few, part);
  else
    job->kernels->few_f32(&few, part);
  for (int32_t m = 0; m < job->rows; ++m) sums[m] += part[m];
}

static void sum_block(const few_job *job, int64_t row0, int64_t rows, few_scratch *scratch, float (*sums)[MOST_ROWS]) {
  const int64_t depth = job->side->depth, group = job->codes->group, whole = piece_codes(job);
  memset(sums, 0, (size_t)rows * sizeof *sums);
  for (int64_t k = 0, n; k < depth; k += n) {
    const int64_t group_left = group > MFQ_CHUNK ? group - k % group : whole;
    n = group_left < whole ? group_left : whole;
    if (depth - k < n) n = depth - k;
    for (int64_t r = 0; r < rows; ++r) add_piece(job, row0 + r, k, n, scratch, sums[r]);
  }
}

/* ---- The way --------------------------------------------------------------------------------------------------- */

typedef struct few_rows {
  int is_mirrored;   /* the few rows are B's */
  int is_bf16;       /* they are multiplied in bf16 */
  int32_t rows;      /* of a pass: 1, 2, 4 or 8, with rows of 0 behind the true ones */
  int32_t passes;    /* over each block of packed rows */
  size_t pass_bytes; /* of plain rows */
  size_t plain_at, sums_at, scratch_at;
  mfq_cpu_finish_plan finish;
  few_codes codes;
} few_rows;

/* ---- Which products ------------------------------------------------------------------------------------------------ */

static int64_t most_rows(const mfq_gemm_problem *p) {
  return mfq_expanded_dtype(&p->a, &p->b, p->round_operands) == MFQ_DTYPE_BF16 ? MOST_FOR_BF16 : MOST_FOR_F32;
}

static int is_few(const mfq_gemm_problem *p, const mfq_gemm_side *few, const mfq_gemm_side *many) {
  return few->kind == MFQ_SIDE_PLAIN && many->kind == MFQ_SIDE_QUANTIZED && few->rows <= most_rows(p);
}

static int refuse(const mfq_context *context, const mfq_gemm_problem *p, mfq_line *why) {
  const mfq_kernels *kernels = mfq_cpu_kernels(context);
  const char *reason = NULL;
  why->text[0] = '\0';
  if (context->policy == MFQ_REPRODUCIBLE)
    reason = "the context's policy is reproducible";
  else if (!kernels)
    reason = "the context's cpu_isa is reference";
  else if (p->k == 0)
    reason = "K is 0";
  else if (p->a.kind != MFQ_SIDE_PLAIN && p->b.kind != MFQ_SIDE_PLAIN)
    reason = "both operands are quantized";
  else if (p->a.kind != MFQ_SIDE_QUANTIZED && p->b.kind != MFQ_SIDE_QUANTIZED)
    reason = "neither operand comes quantized";
  else if (!is_few(p, &p->a, &p->b) && !is_few(p, &p->b, &p->a))
    (void)snprintf(why->text, sizeof why->text, "%s is %lld, at most %lld", p->a.kind == MFQ_SIDE_PLAIN ? "M" : "N",
                   (long long)(p->a.kind == MFQ_SIDE_PLAIN ? p->m : p->n), (long long)most_rows(p));
  else if (p->batches > 1)
    reason = "there are batches";
  else if (!kernels->few_f32)
    reason = "needs avx512";
  else
    reason = refuse_codes(is_few(p, &p->a, &p->b) ? &p->b : &p->a);
  if (reason) (void)snprintf(why->text, sizeof why->text, "%s", reason);
  return why->text[0] != '\0';
}

/* ---- Planning ------------------------------------------------------------------------------------------------------ */

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_gemm_problem *p = problem;
  if (refuse(context, p, why)) return MFQ_ERROR_UNSUPPORTED;
  const mfq_status status = mfq_choice_state(context, "mfq_gemm_plan_create", sizeof(few_rows), choice);
  if (status != MFQ_OK) return status;
  few_rows *f = choice->state;
  f->is_mirrored = !is_few(p, &p->a, &p->b);
  const mfq_gemm_side *few = f->is_mirrored ? &p->b : &p->a, *many = f->is_mirrored ? &p->a : &p->b;
  make_codes(many, &f->codes);
  const int has_bf16_dots = mfq_cpu_isa_of(context)->machine == MFQ_LEVEL_AVX512_BF16;
  f->is_bf16 = has_bf16_dots && (few->matrix.dtype == MFQ_DTYPE_BF16 || p->round_operands);
  f->rows = few->rows <= 2 ? (int32_t)few->rows : few->rows <= 4 ? 4 : 8;
  f->passes = (int32_t)((few->rows + f->rows - 1) / f->rows);
  size_t *bytes = &choice->workspace_bytes;
  const size_t blocks = (size_t)(p->k + 31) / 32, width = f->is_bf16 ? 2 : 4;
  f->pass_bytes = blocks * 32 * (size_t)f->rows * width;
  f->plain_at = mfq_workspace_take(bytes, f->pass_bytes * (size_t)f->passes);
  mfq_cpu_finish_plan_make(context, &p->finish, bytes, &f->finish);
  f->sums_at =
      p->finish.is_d_quantized ? f->finish.values_at : mfq_workspace_take(bytes, mfq_cpu_finish_sum_bytes(&p->finish));
  f->scratch_at = mfq_workspace_take(bytes, f->finish.scratch_bytes);
  mfq_choice_describe(choice, "%s by own loops, %s%s: codes expanded in registers", f->is_bf16 ? "bf16" : "f32",
                      mfq_cpu_kernels(context)->isa, f->is_bf16 ? "_bf16" : "");
  return MFQ_OK;
}

/* ---- Running ------------------------------------------------------------------------------------------------------- */

/* Block `b` of a pass: 32 elements of each row, 0 beyond the last; in f32 the even ones first. */
static void lay_out_block(const few_rows *f, const mfq_kernels *kernels, const mfq_matrix *m, int64_t pass, int64_t b,
                          void *plain) {
  uint32_t x[32];
  const int64_t n = m->cols - b * 32 < 32 ? m->cols - b * 32 : 32, left = m->rows - pass * f->rows;
  for (int64_t r = 0; r < f->rows; ++r) {
    memset(x, 0, sizeof x);
    const int64_t at = (pass * f->rows + r) * m->stride[0] + b * 32 * m->stride[1];
    if (r < left && m->stride[1] == 1)
      kernels->load(x, (const uint8_t *)m->data + at * (int64_t)mfq_dtype_bytes(m->dtype), m->dtype, n);
    else if (r < left)
      for (int64_t i = 0; i < n; ++i) x[i] = mfq_element_load(m->data, m->dtype, at + i * m->stride[1]);
    const int64_t to = (b * f->rows + r) * 32;
    if (f->is_bf16)
      kernels->store_limited((uint16_t *)plain + to, MFQ_DTYPE_BF16, x, 32);
    else
      for (int i = 0; i < 16; ++i) {
        ((uint32_t *)plain)[to + i] = x[2 * i];
        ((uint32_t *)plain)[to + 16 + i] = x[2 * i + 1];
      }
  }
}

/* Where the sums of a packed row with the rows of a pass go. */
static void put_sums(const few_rows *f, const mfq_gemm_problem *p, int64_t row, int64_t pass, const float *of_row,
                     float *sums) {
  const int64_t count = f->is_mirrored ? p->n : p->m, first = pass * f->rows;
  for (int64_t i = first; i < first + f->rows && i < count; ++i)
    if (f->is_mirrored)
      sums[row * p->n + i] = of_row[i - first];
    else
      sums[i * p->n + row] = of_row[i - first];
}

/* A run: where the plain rows are laid out, and the sums. */
typedef struct few_work {
  const few_rows *f;
  const mfq_gemm_problem *problem;
  const few_job *job;
  const mfq_matrix *matrix;
  uint8_t *plain;
  float *sums;
} few_work;

static int64_t plain_blocks(const mfq_matrix *m) { return (m->cols + 31) / 32; }

static void lay_out(void *work, int thread, int64_t first, int64_t end) {
  const few_work *w = work;
  const int64_t blocks = plain_blocks(w->matrix);
  (void)thread;
  for (int64_t i = first; i < end; ++i)
    lay_out_block(w->f, w->job->kernels, w->matrix, i / blocks, i % blocks,
                  w->plain + (size_t)(i / blocks) * w->f->pass_bytes);
}

/* Blocks of packed rows. */
static void multiply(void *work, int thread, int64_t first, int64_t end) {
  const few_work *w = work;
  const int64_t count = w->job->side->rows;
  float of_rows[BLOCK_ROWS][MOST_ROWS];
  few_scratch scratch;
  (void)thread;
  scratch_init(w->job, &scratch);
  for (int64_t row = first * BLOCK_ROWS; row < end * BLOCK_ROWS && row < count; row += BLOCK_ROWS)
    for (int64_t pass = 0; pass < w->f->passes; ++pass) {
      const int64_t rows = count - row < BLOCK_ROWS ? count - row : BLOCK_ROWS;
      few_job part = *w->job;
      part.plain = w->plain + (size_t)pass * w->f->pass_bytes;
      sum_block(&part, row, rows, &scratch, of_rows);
      for (int64_t r = 0; r < rows; ++r) put_sums(w->f, w->problem, row + r, pass, of_rows[r], w->sums);
    }
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const few_rows *f = state;
  const mfq_gemm_problem *p = problem;
  const mfq_gemm_side *few = f->is_mirrored ? &p->b : &p->a, *many = f->is_mirrored ? &p->a : &p->b;
  float *sums = (float *)(void *)(memory + f->sums_at);
  const few_job job = {&f->codes, many, mfq_cpu_kernels(context), memory + f->plain_at, f->rows, f->is_bf16};
  few_work work = {f, p, &job, &few->matrix, memory + f->plain_at, sums};
  const int64_t laid_out = plain_blocks(&few->matrix) * f->passes, blocks = (many->rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
  /* a few plain rows take less time than waking a thread */
  mfq_team_run((mfq_loop){mfq_threads_for(context, laid_out * 32 * f->rows, SHARE_CODES), laid_out, 0}, lay_out, &work);
  mfq_team_run((mfq_loop){mfq_threads_for(context, many->rows * p->k, SHARE_CODES), blocks, 0}, multiply, &work);
  mfq_cpu_finish finish;
  mfq_cpu_finish_open(context, &f->finish, &p->finish, mfq_gemm_factor_views(p), memory, &finish);
  const mfq_cpu_finish_part all = mfq_cpu_finish_dense(&p->finish, sums, p->m);
  mfq_cpu_finish_run(context, &finish, &all);
  mfq_context lent = mfq_cpu_lend(context, memory + f->scratch_at, f->finish.scratch_bytes);
  return mfq_cpu_finish_end(&lent, &finish);
}

const mfq_way mfq_gemm_few_rows = {.name = "few rows", .plan = plan, .run = run};
