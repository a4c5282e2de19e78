/* bench/cast/cast_rows.c: from the tables of schemes and formats to the rows of the cast benchmark. */
#include "cast_bench.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SCHEMES = 1024, GENERAL_SHRINK = 32 };

typedef struct candidate {
  mfq_scheme scheme;
  char text[MFQ_SCHEME_TEXT_MAX];
  int is_named; /* a row of schemes.def, not made up from a format */
} candidate;

typedef struct candidates {
  candidate *items;
  int count;
} candidates;

const char *cast_operation_name(cast_operation operation) {
  static const char *const names[CAST_OPERATIONS] = {
      "quantize",      "quantize-axis0", "quantize-axis0-turned", "quantize-both",      "quantize-square",
      "repack-turned", "repack-bytes",   "repack-tiles",          "dequantize",         "fake-quantize",
      "fake-masked",   "fake-backward",  "fake-backward-masked",  "search-mse",         "search-up",
      "search-4over6", "observe-absmax", "observe-minmax",        "observe-percentile", "observe-mean"};
  return names[operation];
}

double cast_row_bandwidth(const cast_row *row) { return (row->read + row->written) / row->common.seconds.median; }

double cast_row_copy(const cast_row *row) { return row->copied / row->copy_seconds.median; }

double cast_row_share(const cast_row *row) { return 100.0 * cast_row_bandwidth(row) / cast_row_copy(row); }

int cast_row_misses(const cast_row *row) {
  return row->common.seconds.median > 0 && cast_row_share(row) < (double)row->target;
}

/* ---- Schemes ---------------------------------------------------------------------------------------------------- */

static void add_candidate(candidates *all, const char *text, int is_named) {
  candidate *c = &all->items[all->count];
  if (all->count == MAX_SCHEMES || mfq_scheme_parse(text, &c->scheme) != MFQ_OK) return;
  (void)snprintf(c->text, sizeof c->text, "%s", text);
  c->is_named = is_named;
  ++all->count;
}

/* Every named scheme, then every named format as the element of a group of 32 with a power-of-two scale, then some
 * schemes with stochastic rounding, rotated ones, and some square blocks. */
static int list_candidates(candidates *all) {
  *all = (candidates){calloc(MAX_SCHEMES + 1, sizeof *all->items), 0};
  if (all->items == NULL) return bench_error(BENCH_FAILED, "no memory for the schemes");
  const char *name;
  for (int32_t i = 0; (name = mfq_scheme_name(i, NULL)) != NULL; ++i) add_candidate(all, name, 1);
  for (int32_t i = 0; (name = mfq_format_name(i, NULL)) != NULL; ++i) {
    char text[MFQ_SCHEME_TEXT_MAX];
    (void)snprintf(text, sizeof text, "%s/group:32/ue8m0", name);
    add_candidate(all, text, 0);
  }
  static const char *const others[] = {
      "mxfp8_e4m3/round:stochastic",    "mxfp4_e2m1/round:stochastic",      "mxint8/round:stochastic",
      "nvfp4/round:stochastic",         "int8_channel/round:stochastic",    "mxfp4_e2m1/hadamard:16",
      "mxfp4_e2m1/hadamard:32",         "mxfp4_e2m1/hadamard:64",           "mxfp4_e2m1/hadamard:128",
      "nvfp4/hadamard:16:fixed",        "mxfp8_e4m3/hadamard:32",           "e4m3fn/block:16x16/ue8m0:rceil",
      "e4m3fn/block:32x32/ue8m0:rceil", "e4m3fn/block:128x128/ue8m0:rceil", "e2m1/block:16x16/ue4m3"};
  for (size_t i = 0; i < sizeof others / sizeof *others; ++i) add_candidate(all, others[i], 0);
  return BENCH_OK;
}

static int is_mx(const mfq_scheme *s) { return s->granularity == MFQ_GRANULARITY_GROUP && s->scale == MFQ_SCALE_UE8M0; }

/* The tensors of this benchmark are matrices: groups and channels written for weights fit them too. */
static mfq_scheme along(mfq_scheme scheme, int32_t axis) {
  if (scheme.granularity == MFQ_GRANULARITY_GROUP) scheme.axis = axis;
  if (scheme.granularity == MFQ_GRANULARITY_CHANNEL) scheme.axis = 0;
  return scheme;
}

/* What codes and scales look like, without how they were found. */
static mfq_scheme as_stored(mfq_scheme scheme) {
  scheme.rule = scheme.scale == MFQ_SCALE_UE8M0 ? MFQ_RULE_FLOOR : MFQ_RULE_ABSMAX;
  scheme.statistic = scheme.zero_point ? MFQ_STATISTIC_MINMAX : MFQ_STATISTIC_ABSMAX;
  scheme.rounding = MFQ_ROUND_EVEN;
  scheme.no_saturate = 0;
  scheme.arith = MFQ_ARITH_EXACT;
  scheme.statistic_min = 0;
  return scheme;
}

/* ---- Parts ------------------------------------------------------------------------------------------------------ */

/* The layout of part `i`: the second one is what the operation is about. */
static mfq_layout layout_of(const cast_row *row, int i) {
  mfq_layout layout = {.codes = MFQ_CODES_LOGICAL};
  const int is_group = row->scheme.granularity == MFQ_GRANULARITY_GROUP;
  const int is_turned = row->operation == CAST_STRIDED_TURNED || (i == 1 && row->operation <= CAST_REPACK_TURNED);
  if (is_turned) layout.codes = is_group ? MFQ_CODES_GROUP_LAST : MFQ_CODES_TRANSPOSED;
  if (i == 1 && row->operation == CAST_REPACK_BYTES) layout.packing = MFQ_PACK_BYTE;
  if (i == 1 && row->operation == CAST_REPACK_TILES) layout.scales = MFQ_SCALES_128X4;
  return layout;
}

static int has_two(cast_operation operation) {
  return operation == CAST_BOTH || operation == CAST_SQUARE || cast_is_repack(operation);
}

/* Behind the parts, where a scheme whose scales are given has them. */
static mfq_status place_mask(const cast_row *row, const int64_t shape[2], uint8_t *memory, cast_parts *parts) {
  size_t bytes = 0;
  mfq_status status = mfq_mask_init(&row->scheme, 2, shape, &parts->mask);
  if (status == MFQ_OK) status = mfq_mask_bytes(&parts->mask, &bytes);
  if (memory != NULL) parts->mask.bits = memory + parts->used;
  parts->bytes = (double)bytes;
  parts->used += bytes;
  return status;
}

mfq_status cast_parts_place(const cast_row *row, int64_t rows, int64_t cols, uint8_t *memory, cast_parts *parts) {
  const int64_t shape[] = {rows, cols};
  *parts = (cast_parts){.count = has_two(row->operation) ? 2 : 1};
  for (int i = 0; i < parts->count; ++i) {
    const mfq_layout layout = layout_of(row, i);
    mfq_qtensor_sizes sizes;
    mfq_status status = mfq_qtensor_init(i == 0 ? &row->scheme : &row->turned, 2, shape, &layout, &parts->q[i]);
    if (status == MFQ_OK) status = bench_place_parts(&parts->q[i], memory, &parts->used, &sizes);
    if (status != MFQ_OK) return status;
    parts->source_bytes = parts->bytes;
    parts->scale_bytes = (double)sizes.scales_bytes;
    parts->bytes +=
        (double)(sizes.codes_bytes + sizes.scales_bytes + sizes.zero_points_bytes + sizes.tensor_scale_bytes);
  }
  return cast_is_masked(row->operation) ? place_mask(row, shape, memory, parts) : MFQ_OK;
}

void cast_parts_give(const cast_parts *parts) {
  static const float scale = 0.0625f;
  for (int i = 0; i < parts->count; ++i) {
    const mfq_qtensor *q = &parts->q[i];
    mfq_qtensor_sizes sizes;
    if (q->scheme.scale == MFQ_SCALE_NONE || q->scheme.rule != MFQ_RULE_GIVEN) continue;
    if (mfq_qtensor_sizes_get(q, &sizes) != MFQ_OK) continue;
    for (int64_t k = 0; q->scheme.scale == MFQ_SCALE_F32 && k < sizes.scale_count; ++k)
      memcpy((uint8_t *)q->scales + 4 * k, &scale, sizeof scale);
    if (q->zero_points != NULL) memset(q->zero_points, 1, sizes.zero_points_bytes);
  }
}

static mfq_status launch_search(mfq_context *context, cast_operation operation, const mfq_tensor *source,
                                const mfq_qtensor *q) {
  static const mfq_search_method methods[] = {MFQ_SEARCH_MSE, MFQ_SEARCH_MSE_UP, MFQ_SEARCH_FOUR_OVER_SIX};
  mfq_search search;
  mfq_search_init(&search, methods[operation - CAST_SEARCH_MSE]);
  search.src = source;
  search.q = q;
  return mfq_search_scales(context, &search);
}

/* The statistics take the place of scales, which are float32. */
static mfq_status launch_observation(mfq_context *context, cast_operation operation, const mfq_tensor *source,
                                     const mfq_qtensor *q) {
  static const char *const texts[] = {"absmax", "minmax", "percentile:99.999", "mean"};
  mfq_observation observation;
  mfq_observer observer;
  mfq_qtensor_sizes sizes;
  mfq_tensor values;
  mfq_observation_init(&observation);
  observation.scheme = &q->scheme;
  observation.observer = &observer;
  observation.sources = source;
  observation.values = &values;
  mfq_status status = mfq_observer_parse(texts[operation - CAST_OBSERVE_ABSMAX], &observer);
  if (status == MFQ_OK) status = mfq_qtensor_sizes_get(q, &sizes);
  if (status == MFQ_OK)
    status = mfq_tensor_init(q->scales, MFQ_DTYPE_F32, sizes.scale_rank, sizes.scale_shape, &values);
  return status == MFQ_OK ? mfq_observe(context, &observation) : status;
}

mfq_status cast_row_launch(mfq_context *context, const cast_row *row, const cast_parts *parts, int64_t rows,
                           const cast_launch *launch) {
  const int64_t shape[] = {rows, parts->q[0].shape[1]};
  const int is_given = row->scheme.rule == MFQ_RULE_GIVEN;
  const mfq_qtensor *second = parts->count == 2 ? &parts->q[1] : NULL;
  mfq_tensor source, upstream, target;
  mfq_status status = mfq_tensor_init(launch->source, row->dtype, 2, shape, &source);
  if (status == MFQ_OK) status = mfq_tensor_init(launch->upstream, row->dtype, 2, shape, &upstream);
  if (status == MFQ_OK) status = mfq_tensor_init(launch->target, row->dtype, 2, shape, &target);
  if (status != MFQ_OK) return status;
  if (cast_is_search(launch->operation)) return launch_search(context, launch->operation, &source, &parts->q[0]);
  if (cast_is_observation(launch->operation))
    return launch_observation(context, launch->operation, &source, &parts->q[0]);
  if (launch->operation == CAST_DEQUANTIZE) return mfq_dequantize(context, &parts->q[0], &target);
  const mfq_mask *mask = cast_is_masked(launch->operation) ? &parts->mask : NULL;
  const mfq_scheme *scheme = is_given ? NULL : &row->scheme;
  const mfq_qtensor *given = is_given ? &parts->q[0] : NULL;
  if (launch->operation == CAST_FAKE || launch->operation == CAST_FAKE_MASKED) {
    mfq_fake_forward forward;
    mfq_fake_forward_init(&forward);
    forward.scheme = scheme;
    forward.given = given;
    forward.src = &source;
    forward.dst = &target;
    forward.mask = mask;
    return mfq_fake_quantize_forward(context, &forward);
  }
  if (cast_is_repack(launch->operation)) return mfq_repack(context, &parts->q[0], &parts->q[1]);
  if (launch->operation < CAST_DEQUANTIZE)
    return mfq_quantize(context, &source, &parts->q[0], launch->operation == CAST_QUANTIZE ? NULL : second);
  mfq_fake_gradient gradient;
  mfq_fake_gradient_init(&gradient);
  gradient.scheme = scheme;
  gradient.given = given;
  gradient.ste = MFQ_STE_CLIPPED;
  gradient.src = mask != NULL ? NULL : &source;
  gradient.upstream = &upstream;
  gradient.dx = &target;
  gradient.mask = mask;
  return mfq_fake_quantize_backward(context, &gradient);
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

/* A scale that many threads share needs the whole input before the first code: the input is read twice. On the CPU the
 * channels of this benchmark, which are rows, are a thread's. */
static int reads_twice(const bench_run *run, const mfq_scheme *s) {
  if (s->scale == MFQ_SCALE_NONE || s->rule == MFQ_RULE_GIVEN) return 0;
  const int is_shared = s->granularity == MFQ_GRANULARITY_CHANNEL && run->settings.device != NULL;
  return s->granularity == MFQ_GRANULARITY_TENSOR || is_shared || s->scale == MFQ_SCALE_UE4M3;
}

/* Stochastic rounding may take 1.3 times as long as ties to even, rotations half as long again. */
static int32_t target_of(const bench_run *run, const cast_row *row) {
  static const int32_t of_scale[] = {90, 90, 25, 0}; /* observations */
  const int is_fake = row->operation >= CAST_FAKE;
  if (run->settings.device == NULL && cast_is_observation(row->operation)) /* of one scale; others have no goals */
    return row->scheme.granularity != MFQ_GRANULARITY_TENSOR ? 0 : of_scale[row->operation - CAST_OBSERVE_ABSMAX];
  if (cast_is_search(row->operation)) return 0; /* their goals are multiples of the times of `quantize` */
  const int is_quantize_mx = row->operation == CAST_QUANTIZE && is_mx(&row->scheme);
  const int is_rotated = row->scheme.rotation != 0;
  const double slower = row->scheme.rounding == MFQ_ROUND_STOCHASTIC ? 1.3 : is_rotated ? 1.5 : 1;
  if (run->settings.device != NULL)
    return row->support == MFQ_SUPPORT_FAST && !bench_is_emulated(run->context) ? 85 : 0;
  if (cast_reads_codes(row->operation)) return (int32_t)(50 / slower);
  if (row->operation == CAST_SQUARE) return (int32_t)(35 / slower);
  if (is_fake) return (int32_t)((row->scheme.scale == MFQ_SCALE_UE4M3 || row->scheme.zero_point ? 35 : 50) / slower);
  if (row->operation == CAST_STRIDED || row->operation == CAST_STRIDED_TURNED) return 35;
  if (is_quantize_mx && row->dtype == MFQ_DTYPE_F32) return (int32_t)(50 / slower);
  return (int32_t)((is_quantize_mx && row->dtype == MFQ_DTYPE_BF16 ? 40 : 30) / slower);
}

static mfq_op op_of(const cast_row *row) {
  if (cast_is_repack(row->operation)) return MFQ_OP_REPACK;
  switch (row->operation) {
    case CAST_DEQUANTIZE: return MFQ_OP_DEQUANTIZE;
    case CAST_FAKE:
    case CAST_FAKE_MASKED: return MFQ_OP_FAKE_QUANTIZE;
    case CAST_BACKWARD:
    case CAST_BACKWARD_MASKED: return MFQ_OP_FAKE_GRADIENT;
    case CAST_SEARCH_MSE:
    case CAST_SEARCH_UP:
    case CAST_SEARCH_4OVER6: return MFQ_OP_SEARCH;
    case CAST_OBSERVE_ABSMAX:
    case CAST_OBSERVE_MINMAX:
    case CAST_OBSERVE_PERCENTILE:
    case CAST_OBSERVE_MEAN: return MFQ_OP_OBSERVE;
    default: return MFQ_OP_QUANTIZE;
  }
}

/* Bytes that are moved at least, of a matrix of `plain` bytes. */
static void count_bytes(const bench_run *run, cast_row *row, double plain, const cast_parts *of) {
  const double parts = of->bytes;
  row->read = reads_twice(run, &row->scheme) ? 2.0 * plain : plain;
  row->written = plain;
  if (row->operation == CAST_BACKWARD) row->read += plain;
  if (row->operation == CAST_FAKE_MASKED) row->written += parts;
  if (row->operation == CAST_BACKWARD_MASKED) row->read = plain + parts;
  if (row->operation == CAST_DEQUANTIZE) row->read = parts;
  if (cast_is_observation(row->operation)) {
    row->read = plain;
    row->written = of->scale_bytes;
  }
  if (op_of(row) == MFQ_OP_QUANTIZE || op_of(row) == MFQ_OP_SEARCH) row->written = parts;
  if (!cast_is_repack(row->operation)) return;
  row->read = of->source_bytes;
  row->written = parts - of->source_bytes;
}

/* Completes a row whose operation, dtype and scheme are set. The CPU's general path is measured on fewer rows. */
static int complete(const bench_run *run, cast_row *row) {
  const cast_bench *c = run->state;
  cast_parts parts;
  mfq_status status =
      mfq_supported(run->context, op_of(row), &row->scheme, &row->support, row->common.about, sizeof row->common.about);
  if (status == MFQ_OK && row->support == MFQ_SUPPORT_NO) return BENCH_UNSUPPORTED;
  if (row->scheme.rotation != 0 && c->width % row->scheme.rotation != 0) return BENCH_UNSUPPORTED;
  row->cols = c->width;
  row->rows = c->height;
  if (run->settings.device == NULL && row->support == MFQ_SUPPORT_GENERAL && row->rows > GENERAL_SHRINK)
    row->rows /= GENERAL_SHRINK;
  if (status == MFQ_OK) status = cast_parts_place(row, row->rows, row->cols, NULL, &parts);
  if (status != MFQ_OK) return bench_status(status, row->common.name);
  const double plain = (double)mfq_dtype_bytes(row->dtype) * (double)row->rows * (double)row->cols;
  row->slot_bytes = parts.used;
  count_bytes(run, row, plain, &parts);
  row->common.bytes = plain + parts.bytes;
  row->common.is_wanted = 1;
  row->target = target_of(run, row);
  return BENCH_OK;
}

static cast_row *row_at(const bench_run *run, int index) { return (cast_row *)bench_row_at(run, index); }

static cast_row *find_equal(const bench_run *run, int first, const mfq_scheme *scheme) {
  for (int i = first; i < run->count; ++i)
    if (mfq_scheme_equal(&row_at(run, i)->scheme, scheme)) return row_at(run, i);
  return NULL;
}

static void add_alias(cast_row *row, const char *text) {
  const size_t used = strlen(row->aliases);
  (void)snprintf(row->aliases + used, sizeof row->aliases - used, "%s%s", used > 0 ? " " : "", text);
}

/* Which schemes an operation is measured with. */
static int is_offered(cast_operation operation, const candidate *c) {
  const mfq_scheme *s = &c->scheme;
  const int is_group = s->granularity == MFQ_GRANULARITY_GROUP, is_byte_scale = s->scale >= MFQ_SCALE_UE8M0;
  switch (operation) {
    case CAST_STRIDED:
    case CAST_STRIDED_TURNED:
    case CAST_BOTH: return c->is_named && is_mx(s);
    case CAST_SQUARE: return s->granularity == MFQ_GRANULARITY_BLOCK;
    case CAST_REPACK_BYTES: return c->is_named && s->element.is_signed + s->element.exp_bits + s->element.man_bits < 8;
    case CAST_REPACK_TILES: return c->is_named && is_group && is_byte_scale;
    case CAST_FAKE_MASKED:
    case CAST_BACKWARD_MASKED: return c->is_named && s->eden == 0; /* which has neither */
    case CAST_BACKWARD: return s->eden == 0 && (c->is_named || s->granularity != MFQ_GRANULARITY_BLOCK);
    case CAST_SEARCH_MSE: return c->is_named && s->rotation == 0 && s->arith == MFQ_ARITH_EXACT;
    case CAST_SEARCH_UP: return c->is_named && is_mx(s);
    case CAST_SEARCH_4OVER6: return c->is_named && s->scale == MFQ_SCALE_UE4M3;
    case CAST_OBSERVE_ABSMAX:
    case CAST_OBSERVE_MINMAX:
    case CAST_OBSERVE_PERCENTILE:
    case CAST_OBSERVE_MEAN:
      return c->is_named && s->arith == MFQ_ARITH_EXACT && s->scale == MFQ_SCALE_F32 && !s->zero_point;
    case CAST_REPACK_TURNED: return c->is_named || s->granularity == MFQ_GRANULARITY_BLOCK;
    default: return c->is_named || s->granularity != MFQ_GRANULARITY_BLOCK;
  }
}

static int add_rows(bench_run *run, const candidates *all, cast_operation operation, mfq_dtype dtype) {
  const int first = run->count;
  const int is_strided = operation == CAST_STRIDED || operation == CAST_STRIDED_TURNED;
  int code = BENCH_OK;
  for (int i = 0; code == BENCH_OK && i < all->count; ++i) {
    const candidate *c = &all->items[i];
    if (!is_offered(operation, c)) continue;
    mfq_scheme scheme = along(c->scheme, is_strided || operation == CAST_REPACK_TURNED ? 0 : 1);
    if (cast_reads_codes(operation)) scheme = as_stored(scheme);
    const int is_same = operation == CAST_BACKWARD_MASKED && run->count > first; /* whatever the scheme */
    cast_row *equal = is_same ? row_at(run, first) : find_equal(run, first, &scheme);
    if (equal != NULL) {
      add_alias(equal, c->text);
      continue;
    }
    cast_row *row = row_at(run, run->count);
    *row = (cast_row){.operation = operation, .dtype = dtype, .scheme = scheme, .turned = along(c->scheme, 0)};
    if (cast_is_repack(operation)) row->turned = scheme;
    (void)snprintf(row->text, sizeof row->text, "%s", c->text);
    (void)snprintf(row->common.name, sizeof row->common.name, "%s %s %s", cast_operation_name(operation),
                   mfq_dtype_name(dtype), c->text);
    code = complete(run, row);
    if (code == BENCH_OK) ++run->count;
    if (code == BENCH_UNSUPPORTED) code = BENCH_OK;
  }
  return code;
}

int cast_list(bench_run *run) {
  static const mfq_dtype dtypes[] = {MFQ_DTYPE_F32, MFQ_DTYPE_BF16, MFQ_DTYPE_F16};
  enum { DTYPES = sizeof dtypes / sizeof dtypes[0], LAST_DTYPE = MFQ_DTYPE_F16 };
  candidates all;
  int code = list_candidates(&all);
  if (code == BENCH_OK) code = bench_make_rows(run, all.count * CAST_OPERATIONS * DTYPES, LAST_DTYPE + 1);
  run->count = 0;
  for (int operation = 0; code == BENCH_OK && operation < CAST_OPERATIONS; ++operation)
    for (int d = 0; code == BENCH_OK && d < (cast_is_repack((cast_operation)operation) ? 1 : DTYPES); ++d)
      code = add_rows(run, &all, (cast_operation)operation, dtypes[d]);
  free(all.items);
  return code;
}
