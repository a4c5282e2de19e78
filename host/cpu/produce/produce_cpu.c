/* host/cpu/produce/produce_cpu.c: the ways of producers. The general one makes float32 results in scratch memory where codes
 * are wanted, and hands them to the list of quantizations. */
#include "host/core/check/sizes.h"
#include "host/core/error.h"
#include "host/cpu/cast/indices.h"
#include "host/cpu/cpu_state.h"
#include "produce_ref.h"

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

/* Bytes of each part of the workspace. */
typedef struct parts {
  size_t numbers, losses, values, quantize;
} parts;

/* The float32 results as a tensor to quantize. */
static mfq_tensor results_of(const mfq_made *m, float *values) {
  mfq_tensor results = m->result;
  results.data = values;
  return results;
}

static mfq_cast quantize_cast(const mfq_cast *cast, const mfq_tensor *results) {
  const mfq_made *m = cast->made;
  mfq_cast made = mfq_cast_quantize(results, m->row ? m->row : m->col, m->row ? m->col : NULL);
  made.function = cast->function;
  return made;
}

size_t mfq_made_quantize_bytes(const mfq_context *context, const mfq_cast *cast) {
  const mfq_tensor results = results_of(cast->made, NULL);
  const mfq_cast made = quantize_cast(cast, &results);
  return mfq_cpu_cast_scratch(context, &made);
}

static int has_codes(const mfq_made *m) { return m->row != NULL || m->col != NULL; }

static parts parts_of(const mfq_context *context, const mfq_cast *cast) {
  const mfq_made *m = cast->made;
  const size_t rows = (size_t)m->rows;
  parts p = {0, 0, 0, 0};
  if (mfqn_make_passes(&m->make) > 0) p.numbers = mfq_size_times(rows, sizeof(mfqn_row));
  if (m->make.op == MFQN_MAKE_LOSS) p.losses = mfq_size_times(rows, sizeof(float));
  if (!has_codes(m)) return p;
  p.values = mfq_size_times(mfq_size_times(rows, (size_t)m->cols), sizeof(float));
  p.quantize = mfq_made_quantize_bytes(context, cast);
  return p;
}

static size_t lines(size_t bytes) { return bytes > SIZE_MAX - 64 ? SIZE_MAX : (bytes + 63) / 64 * 64; }

/* ---- The general way --------------------------------------------------------------------------------------------- */

static mfq_status plan_general(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (cast->made != NULL) {
    const parts p = parts_of(context, cast);
    choice->workspace_bytes = mfq_size_plus(mfq_size_plus(lines(p.numbers), lines(p.losses)),
                                            mfq_size_plus(lines(p.values), lines(p.quantize)));
  }
  return mfq_plan_general(context, problem, choice, why);
}

mfq_status mfq_made_check_indices(const mfq_cast *cast) {
  const mfq_made *m = cast->made;
  for (int64_t i = 0; m->indices.data && i < m->indices.count; ++i) {
    const int64_t index = mfq_index_at(&m->indices, i);
    if (m->make.op == MFQN_MAKE_LOSS && index == m->ignored) continue;
    if ((uint64_t)index >= (uint64_t)m->index_end)
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, cast->function,
                      "%s: %lld, at position %lld, is out of range; there are %lld, counted from 0", m->argument,
                      (long long)index, (long long)i, (long long)m->index_end);
  }
  return MFQ_OK;
}

float mfq_made_count_rows(const mfq_made *m) {
  int64_t count = 0;
  for (int64_t i = 0; i < m->rows; ++i) count += mfq_index_at(&m->indices, i) != m->ignored;
  return (float)count;
}

mfq_status mfq_made_quantize(mfq_context *context, const mfq_cast *cast, float *values, uint8_t *scratch) {
  const mfq_tensor results = results_of(cast->made, values);
  const mfq_cast made = quantize_cast(cast, &results);
  mfq_context lent = mfq_cpu_lend(context, scratch, mfq_cpu_cast_scratch(context, &made));
  return mfq_cpu_cast(&lent, &made);
}

static mfq_status run_general(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const mfq_made *m = cast->made;
  const parts p = parts_of(context, cast);
  (void)state;
  const mfq_status status = mfq_made_check_indices(cast);
  if (status != MFQ_OK) return status;
  uint8_t *const losses = memory + lines(p.numbers), *const values = losses + lines(p.losses);
  const mfq_produce_ref r = {.made = m,
                             .threads = mfq_row_threads(context, m->rows * m->cols),
                             .counted = m->make.op == MFQN_MAKE_LOSS ? mfq_made_count_rows(m) : 0.0f,
                             .numbers = p.numbers ? (mfqn_row *)(void *)memory : NULL,
                             .losses = p.losses ? (float *)(void *)losses : NULL,
                             .values = has_codes(m) ? (float *)(void *)values : NULL};
  mfq_produce_ref_rows(&r);
  mfq_produce_ref_columns(&r);
  mfq_produce_ref_values(&r);
  return has_codes(m) ? mfq_made_quantize(context, cast, r.values, values + lines(p.values)) : MFQ_OK;
}

static const mfq_way general = {"reference", plan_general, run_general, NULL};

const mfq_ways mfq_cpu_producers = {.create = "mfq_norm_forward",
                                    .ways = {&mfq_produced_strips, &mfq_produced_rows, &general}};
