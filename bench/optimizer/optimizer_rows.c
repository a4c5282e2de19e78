/* bench/optimizer/optimizer_rows.c: which steps are measured; an optimizer of one tensor; what its values must be. */
#include <stdlib.h>
#include <string.h>

#include "optimizer_bench.h"

/* How moments are kept. */
static const struct {
  const char *name, *first, *second;
} moments[] = {{"f32", NULL, NULL},
               {"int8", "int8/group:128/f32", "uint8/group:128/f32"},
               {"fp8", "e4m3fn/group:128/f32", "ue5m3fn/group:128/f32/round:ceil"},
               {"int4", "int4/group:128/f32", "uint4/group:128/f32/round:ceil"}};
enum { MOMENT_KINDS = sizeof moments / sizeof moments[0] };

static const char *const code_names[OPTIMIZER_CODES] = {"none", "both", "square"};
/* Row and column of MXFP8, and one set of codes of square blocks in two orders. */
static const char *const code_schemes[OPTIMIZER_CODES][2] = {
    {NULL, NULL}, {"mxfp8_e4m3", "mxfp8_e4m3/group:32@0"}, {"mxfp8_e4m3/block:32x32", "mxfp8_e4m3/block:32x32"}};

static void name_row(optimizer_row *row) {
  (void)snprintf(row->common.name, sizeof row->common.name, "%s %s %s %s",
                 row->kind == MFQ_OPTIMIZER_ADAMW ? "adamw" : "sgd", mfq_dtype_name(row->dtype),
                 moments[row->moments].name, code_names[row->codes]);
  row->common.is_wanted = 1;
  row->target = row->moments < 2 ? 70 : 0;
}

int optimizer_list(bench_run *run) {
  const int kinds = 2, dtypes = 2;
  int count = 0, code = bench_make_rows(run, kinds * dtypes * MOMENT_KINDS * OPTIMIZER_CODES, 1);
  for (int i = 0; code == BENCH_OK && i < run->count; ++i) {
    optimizer_row *row = (optimizer_row *)bench_row_at(run, count);
    row->codes = (optimizer_codes)(i % OPTIMIZER_CODES);
    row->moments = i / OPTIMIZER_CODES % MOMENT_KINDS;
    row->dtype = i / OPTIMIZER_CODES / MOMENT_KINDS % dtypes == 0 ? MFQ_DTYPE_F32 : MFQ_DTYPE_BF16;
    row->kind = i / OPTIMIZER_CODES / MOMENT_KINDS / dtypes == 0 ? MFQ_OPTIMIZER_ADAMW : MFQ_OPTIMIZER_SGD;
    if (row->kind == MFQ_OPTIMIZER_SGD && row->moments >= 2) continue;
    name_row(row);
    ++count;
  }
  run->count = count;
  return code;
}

double optimizer_row_share(const optimizer_row *row) {
  if (!(row->common.seconds.median > 0) || !(row->copy_seconds.median > 0)) return 0;
  return 100 * (row->common.bytes / row->common.seconds.median) / (row->copied / row->copy_seconds.median);
}

/* ---- An optimizer ------------------------------------------------------------------------------------------------ */

static mfq_status fill(mfq_context *context, mfq_dtype dtype, int64_t count, uint64_t seed, mfq_buffer **buffer) {
  const size_t bytes = (size_t)count * mfq_dtype_bytes(dtype);
  void *host = malloc(bytes);
  mfq_status status = host != NULL ? mfq_buffer_create(context, bytes, buffer) : MFQ_ERROR_OUT_OF_MEMORY;
  if (status == MFQ_OK) bench_fill_normal(host, dtype, count, seed, 1);
  if (status == MFQ_OK) status = mfq_buffer_write(*buffer, 0, host, bytes);
  free(host);
  return status;
}

/* Codes in one order, or two; placed once to be counted, and once in memory. */
static mfq_status place_codes(const optimizer_row *row, const int64_t *shape, uint8_t *base, mfq_qtensor *q,
                              size_t *used) {
  mfq_status status = MFQ_OK;
  *used = 0;
  for (int i = 0; i < 2 && code_schemes[row->codes][i] != NULL && status == MFQ_OK; ++i) {
    mfq_scheme scheme;
    mfq_qtensor_sizes sizes;
    const mfq_layout layout = {.codes = i == 0                           ? MFQ_CODES_LOGICAL
                                        : row->codes == OPTIMIZER_SQUARE ? MFQ_CODES_TRANSPOSED
                                                                         : MFQ_CODES_GROUP_LAST};
    status = mfq_scheme_parse(code_schemes[row->codes][i], &scheme);
    if (status == MFQ_OK) status = mfq_qtensor_init(&scheme, 2, shape, &layout, &q[i]);
    if (status == MFQ_OK) status = bench_place_parts(&q[i], base, used, &sizes);
  }
  return status;
}

static mfq_status create_codes(mfq_context *context, const int64_t *shape, mfq_qtensor *q, optimizer_task *task) {
  size_t used = 0;
  if (task->row->codes == OPTIMIZER_NO_CODES) return MFQ_OK;
  mfq_status status = place_codes(task->row, shape, NULL, q, &used);
  if (status == MFQ_OK) status = mfq_buffer_create(context, used, &task->codes);
  if (status == MFQ_OK) status = mfq_buffer_fill(task->codes, 0, used, 0); /* what is between the parts */
  if (status == MFQ_OK) status = place_codes(task->row, shape, mfq_buffer_data(task->codes), q, &used);
  if (status == MFQ_OK) task->bytes += bench_stored_bytes(&q[0]) + bench_stored_bytes(&q[1]);
  return status;
}

static mfq_status create_optimizer(mfq_context *context, const int64_t *shape, const mfq_qtensor *q,
                                   optimizer_task *task) {
  const optimizer_row *row = task->row;
  const int has_codes = row->codes != OPTIMIZER_NO_CODES, is_half = row->dtype == MFQ_DTYPE_BF16;
  mfq_scheme schemes[2];
  mfq_optimizer_group group;
  mfq_optimizer_options options;
  mfq_optimizer_tensor tensor = {
      .name = "w", .stochastic = is_half, .row = has_codes ? &q[0] : NULL, .col = has_codes ? &q[1] : NULL};
  mfq_optimizer_group_init(row->kind, &group);
  mfq_optimizer_options_init(&options);
  if (row->kind == MFQ_OPTIMIZER_SGD) group.beta1 = 0.9;
  options.kind = row->kind;
  options.groups = &group;
  options.group_count = 1;
  options.tensors = &tensor;
  options.tensor_count = 1;
  options.clip_norm = 1;
  mfq_status status = mfq_tensor_init(mfq_buffer_data(task->value), row->dtype, 2, shape, &tensor.value);
  if (status == MFQ_OK)
    status = mfq_tensor_init(mfq_buffer_data(task->gradient), row->dtype, 2, shape, &tensor.gradient);
  if (status == MFQ_OK && moments[row->moments].first != NULL) {
    status = mfq_scheme_parse(moments[row->moments].first, &schemes[0]);
    options.first = &schemes[0];
  }
  if (status == MFQ_OK && moments[row->moments].second != NULL && row->kind == MFQ_OPTIMIZER_ADAMW) {
    status = mfq_scheme_parse(moments[row->moments].second, &schemes[1]);
    options.second = &schemes[1];
  }
  return status == MFQ_OK ? mfq_optimizer_create(context, &options, &task->optimizer) : status;
}

int optimizer_task_create(mfq_context *context, const optimizer_row *row, const int64_t *shape, optimizer_task *task) {
  const int64_t count = shape[0] * shape[1];
  mfq_qtensor q[2];
  mfq_optimizer_memory memory = {.moments = 0};
  *task = (optimizer_task){.row = row, .bytes = 4.0 * (double)count * (double)mfq_dtype_bytes(row->dtype)};
  mfq_status status = fill(context, row->dtype, count, 1, &task->value);
  if (status == MFQ_OK) status = fill(context, row->dtype, count, 2, &task->gradient);
  if (status == MFQ_OK) status = create_codes(context, shape, q, task);
  if (status == MFQ_OK) status = create_optimizer(context, shape, q, task);
  if (status == MFQ_OK) status = mfq_optimizer_memory_get(task->optimizer, &memory);
  task->bytes += 2.0 * (double)memory.moments;
  return bench_status(status, row->common.name);
}

void optimizer_task_destroy(optimizer_task *task) {
  mfq_optimizer_destroy(task->optimizer);
  mfq_buffer_destroy(task->value);
  mfq_buffer_destroy(task->gradient);
  mfq_buffer_destroy(task->codes);
  *task = (optimizer_task){.row = NULL};
}

/* ---- Checks ------------------------------------------------------------------------------------------------------ */

enum { CHECKED_ROWS = 64, CHECKED_COLS = 1056, CHECKED_STEPS = 3 };

/* The values, then the codes, after some steps. */
static int run_checked(mfq_context *context, const optimizer_row *row, uint8_t **bytes, size_t *size) {
  const int64_t shape[] = {CHECKED_ROWS, CHECKED_COLS};
  optimizer_task task;
  int code = optimizer_task_create(context, row, shape, &task);
  for (int i = 0; code == BENCH_OK && i < CHECKED_STEPS; ++i)
    code = bench_status(mfq_optimizer_step(task.optimizer), row->common.name);
  const size_t values = mfq_buffer_bytes(task.value), codes = mfq_buffer_bytes(task.codes);
  *size = values + codes;
  *bytes = malloc(*size + 1);
  if (code == BENCH_OK && *bytes == NULL) code = bench_error(BENCH_FAILED, "no memory for %zu bytes", *size);
  if (code == BENCH_OK) code = bench_status(mfq_buffer_read(task.value, 0, *bytes, values), row->common.name);
  if (code == BENCH_OK && codes > 0)
    code = bench_status(mfq_buffer_read(task.codes, 0, *bytes + values, codes), row->common.name);
  optimizer_task_destroy(&task);
  return code;
}

int optimizer_verify(mfq_context *context, const optimizer_row *row) {
  mfq_context_options options;
  mfq_context *reference = NULL;
  uint8_t *got = NULL, *want = NULL;
  size_t size = 0, other = 0;
  mfq_context_options_init(&options);
  options.cpu_isa = "reference";
  int code = bench_status(mfq_context_create(&options, &reference), "the reference path");
  if (code == BENCH_OK) code = run_checked(reference, row, &want, &size);
  if (code == BENCH_OK) code = run_checked(context, row, &got, &other);
  if (code == BENCH_OK && (size != other || memcmp(got, want, size) != 0))
    code = bench_error(BENCH_WRONG, "%s: values or codes are not those of the reference path", row->common.name);
  free(got);
  free(want);
  mfq_context_destroy(reference);
  return code;
}
