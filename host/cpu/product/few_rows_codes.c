/* host/cpu/product/few_rows_codes.c: packed weights a chunk at a time through a table of values, which the first cache
 * holds, into sums of a few rows. */
#include "host/core/scheme/lower.h"
#include "host/core/problem/walk.h"
#include "few_rows.h"
#include "host/cpu/cast/scale_slots.h"

enum { L1_BYTES = 1 << 15 };

static int32_t bytes_of_scale(mfq_scale_format scale) {
  switch (scale) {
    case MFQ_SCALE_NONE: return 0;
    case MFQ_SCALE_F32: return 4;
    case MFQ_SCALE_BF16:
    case MFQ_SCALE_F16: return 2;
    default: return 1;
  }
}

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

const char *mfq_few_codes_refuse(const mfq_gemm_side *side) {
  const mfq_scheme *s = &side->view.q.scheme;
  uint16_t values[256];
  if (!mfq_side_has_byte_rows(side)) return "codes are not 4, 6 or 8 bits with rows along K that begin at bytes";
  if (side->group != 0 && side->group % 32 != 0 && side->group != 16) return "groups are not multiples of 32, or 16";
  if (s->zero_point && (mfq_code_bits(&side->view.q) != 4 || s->element.man_bits + s->element.is_signed != 4))
    return "zero points need codes of 4 bits";
  if (s->zero_point && s->scale == MFQ_SCALE_NONE) return "zero points need scales";
  if (s->zero_point && side->group == 16) return "zero points need groups of 32 or more";
  if (!make_values(side, values)) return "bf16 does not hold all values of the element format";
  return NULL;
}

void mfq_few_codes_make(const mfq_gemm_side *side, mfq_few_codes *c) {
  const mfq_scheme *s = &side->view.q.scheme;
  mfqn_scheme lowered;
  mfq_lower(s, &lowered);
  (void)make_values(side, c->values);
  c->bits = mfq_code_bits(&side->view.q);
  c->halves = side->group == 16;
  c->group = s->scale == MFQ_SCALE_NONE ? 0 : side->group;
  c->scale_bytes = bytes_of_scale(s->scale);
  c->has_zero_points = s->zero_point;
  c->safe_scale = mfqn_safe_scale(&lowered, MFQN_MAX_BF16);
}

void mfq_few_scratch_init(const mfq_few_job *job, mfq_few_scratch *scratch) {
  for (int64_t i = 0; job->codes->group == 0 && i < MFQ_CHUNK / 16; ++i) scratch->scales[i] = 1.0f;
}

/* Scales from `first` on, `n` of them, of the groups that a chunk touches. */
static void load_scales(const mfq_few_job *job, int64_t first, int64_t n, float *scales) {
  const mfq_few_codes *c = job->codes;
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
static int is_vast(const mfq_few_job *job, const float *scales, int64_t n) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = mfqn_umax(largest, mfqn_bits(scales[i]) & MFQN_ABS);
  return largest > job->codes->safe_scale;
}

static void load_chunk(const mfq_few_job *job, int64_t row, int64_t k, int64_t n, mfq_few_scratch *scratch) {
  const mfq_few_codes *c = job->codes;
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
static int64_t piece_codes(const mfq_few_job *job) {
  const int64_t group = job->codes->group, width = job->is_bf16 ? 2 : 4;
  int64_t most = L1_BYTES / (job->rows * width);
  if (most > MFQ_CHUNK) most = MFQ_CHUNK;
  const int64_t step = group > 32 && group <= MFQ_CHUNK ? group : 32;
  return most < step ? step : most / step * step;
}

static void add_piece(const mfq_few_job *job, int64_t row, int64_t k, int64_t n, mfq_few_scratch *scratch,
                      float *sums) {
  const mfq_few_codes *c = job->codes;
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

void mfq_few_block(const mfq_few_job *job, int64_t row0, int64_t rows, mfq_few_scratch *scratch,
                   float (*sums)[MFQ_FEW_MOST]) {
  const int64_t depth = job->side->depth, group = job->codes->group, whole = piece_codes(job);
  memset(sums, 0, (size_t)rows * sizeof *sums);
  for (int64_t k = 0, n; k < depth; k += n) {
    const int64_t group_left = group > MFQ_CHUNK ? group - k % group : whole;
    n = group_left < whole ? group_left : whole;
    if (depth - k < n) n = depth - k;
    for (int64_t r = 0; r < rows; ++r) add_piece(job, row0 + r, k, n, scratch, sums[r]);
  }
}
