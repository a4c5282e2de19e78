/* bench_gemm: how fast quantized products run, on the CPU or a device, beside bf16 products of the vendor's library in
 * the same minutes. Checks, then times, row by row. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/common/ceilings.h"
#include "bench/common/onednn_peer.h"
#include "bench/common/sums.h"
#include "gemm_bench.h"

enum { SAMPLES = 16, FEW_ROWS = 64, A = 0, B };

/* ---- Checks: samples of D, some rows of A by some of B, which are columns of D ------------------------------------ */

static int samples_of(int64_t size) { return size < SAMPLES ? (int)size : SAMPLES; }

/* The first, the last, and others evenly between. */
static int64_t sample_at(int64_t size, int i) { return size > 1 ? (size - 1) * i / (samples_of(size) - 1) : 0; }

static mfq_status read_rows(const gemm_memory *memory, int side, const mfq_buffer *buffer, mfq_dtype dtype, float *to) {
  const int64_t k = memory->size.k, size = side == A ? memory->size.m : memory->size.n;
  mfq_status status = MFQ_OK;
  for (int i = 0; status == MFQ_OK && i < samples_of(size); ++i)
    status = bench_read_values(buffer, dtype, sample_at(size, i) * k, k, to + i * k);
  return status;
}

static int create_values(const gemm_memory *memory, bench_values *values) {
  const int64_t rows = SAMPLES * memory->size.k, operands[] = {rows, rows};
  const int code = bench_values_create(operands, memory->size.n, values);
  if (code != BENCH_OK) return code;
  mfq_status status = read_rows(memory, A, memory->a.buffer, MFQ_DTYPE_BF16, values->plain[A]);
  if (status == MFQ_OK) status = read_rows(memory, B, memory->b.buffer, MFQ_DTYPE_BF16, values->plain[B]);
  return bench_status(status, "samples of the operands");
}

static int quantize_values(const gemm_memory *memory, bench_values *values) {
  gemm_call call;
  if (memory->scheme->is_plain) return BENCH_OK;
  mfq_status status = gemm_call_make(memory, GEMM_QUANTIZED, 0, &call);
  for (int side = A; status == MFQ_OK && side <= B; ++side) {
    mfq_buffer *wide = NULL;
    status = bench_dequantized(memory->run->context, side == A ? &call.qa : &call.qb, &wide);
    if (status == MFQ_OK) status = read_rows(memory, side, wide, MFQ_DTYPE_F32, values->codes[side]);
    mfq_buffer_destroy(wide);
  }
  return bench_status(status, memory->scheme->text);
}

/* FP8 on tensor cores of 9.0 keeps 13 bits within an instruction of 32 products, and four of them are added before the
 * sum is promoted to f32. */
static double allowed_more(const char *plan) {
  static const char *const ways[] = {"native", "folded"};
  const size_t chosen = strcspn(plan, ";");
  for (int i = 0; i < 2; ++i) {
    const char *at = strstr(plan, ways[i]);
    if (at != NULL && at < plan + chosen) return 4 * 33 * 0x1p-13;
  }
  return 0;
}

static int check(const gemm_memory *memory, const bench_values *values, gemm_mode mode, const char *name,
                 const char *plan) {
  const int is_plain = mode == GEMM_MODES || memory->scheme->is_plain;
  const float *a = (is_plain || mode == GEMM_WEIGHT_ONLY ? values->plain : values->codes)[A];
  const float *b = (is_plain ? values->plain : values->codes)[B];
  const gemm_size *s = &memory->size;
  char where[64];
  bench_found found = {.name = name, .where = where, .plan = plan, .more = allowed_more(plan)};
  int code = BENCH_OK;
  for (int i = 0; code == BENCH_OK && i < samples_of(s->m); ++i) {
    const int64_t row = sample_at(s->m, i);
    code = bench_status(bench_read_values(memory->d.buffer, memory->out_type, row * s->n, s->n, values->result), name);
    for (int j = 0; code == BENCH_OK && j < samples_of(s->n); ++j) {
      const int64_t col = sample_at(s->n, j);
      bench_sum sum = {0, 0, 0};
      for (int64_t x = 0; x < s->k; ++x) bench_sum_add(&sum, a[i * s->k + x], b[j * s->k + x]);
      found.value = (double)values->result[col];
      (void)snprintf(where, sizeof where, "D[%lld][%lld]", (long long)row, (long long)col);
      code = bench_sum_check(memory->run, &sum, &found);
    }
  }
  return code;
}

/* ---- Groups ----------------------------------------------------------------------------------------------------- */

static int begin(bench_run *run, int group) {
  gemm_bench *g = run->state;
  const int code = gemm_memory_create(run, g->sizes[group], run->settings.out_type, &g->memory);
  return code == BENCH_OK ? create_values(&g->memory, &g->values) : code;
}

static void end(bench_run *run) {
  gemm_bench *g = run->state;
  bench_onednn_destroy(g->onednn);
  g->onednn = NULL;
  mfq_gemm_plan_destroy(g->peer.plan);
  g->peer.plan = NULL;
  bench_values_destroy(&g->values);
  gemm_memory_destroy(&g->memory);
}

static void close_bench(bench_run *run) {
  gemm_bench *g = run->state;
  free(g->sizes);
  free(g->grid.schemes);
}

/* ---- The peer --------------------------------------------------------------------------------------------------- */

static int launch_onednn(void *state, int turn) {
  const gemm_bench *g = state;
  const int code = bench_onednn_run(g->onednn, turn);
  return code == BENCH_OK ? code : bench_error(code, "the peer fails");
}

static int finish_onednn(bench_run *run) {
  const gemm_bench *g = run->state;
  return g->onednn != NULL ? bench_onednn_result(g->onednn) : BENCH_OK;
}

static int peer(bench_run *run, char *about, bench_racer *racer) {
  gemm_bench *g = run->state;
  if (run->settings.device == NULL) {
    g->onednn = gemm_onednn_create(&g->memory, about);
    if (g->onednn != NULL) racer->launches = (bench_launches){launch_onednn, g, 0, 1};
  } else {
    g->peer = (gemm_task){.memory = &g->memory, .mode = GEMM_MODES};
    const int is_planned = gemm_task_plan(&g->peer) == BENCH_OK;
    if (is_planned) racer->launches = (bench_launches){gemm_task_launch, &g->peer, 0, 1};
    (void)snprintf(about, BENCH_ABOUT, "%s%s", is_planned ? "bf16 x bf16, " : "none: ",
                   is_planned ? mfq_gemm_plan_describe(g->peer.plan) : bench_last_error());
  }
  if (racer->launches.launch == NULL) return BENCH_OK;
  const int code = bench_try(run, "the peer", &g->memory.d, finish_onednn, racer);
  return code == BENCH_OK ? check(&g->memory, &g->values, GEMM_MODES, "the peer", about) : code;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

static int prepare(bench_run *run, int first) {
  gemm_bench *g = run->state;
  const bench_cell cell = bench_cell_of(run, bench_row_at(run, first));
  const int code = gemm_memory_quantize(&g->memory, &g->grid.schemes[cell.scheme]);
  return code == BENCH_OK ? quantize_values(&g->memory, &g->values) : code;
}

/* Bytes of A, B and D as they are stored: each is read or written once at least. */
static mfq_status measure(const gemm_memory *m, gemm_mode mode, bench_row *row) {
  const gemm_size *s = &m->size;
  const int is_plain = m->scheme->is_plain;
  gemm_call call;
  const mfq_status status = gemm_call_make(m, GEMM_QUANTIZED, 0, &call);
  if (status != MFQ_OK) return status;
  const bench_slots *b = is_plain ? &m->b : &m->qb;
  const double a_bytes =
      is_plain || mode != GEMM_QUANTIZED ? 2.0 * (double)(s->m * s->k) : bench_stored_bytes(&call.qa);
  row->weight_bytes = is_plain ? 2.0 * (double)(s->n * s->k) : bench_stored_bytes(&call.qb);
  row->rotated = (double)b->bytes * b->count;
  row->bytes = a_bytes + row->weight_bytes + (double)mfq_dtype_bytes(m->out_type) * (double)(s->m * s->n);
  row->flops = gemm_flops(s);
  row->is_fp8 = mode != GEMM_WEIGHT_ONLY && !is_plain && bench_fits_fp8(&m->scheme->scheme);
  return MFQ_OK;
}

static int ready(bench_run *run, bench_row *row, int place, bench_racer *racer) {
  gemm_bench *g = run->state;
  const gemm_mode mode = (gemm_mode)bench_cell_of(run, row).mode;
  gemm_task *task = &g->tasks[place];
  *task = (gemm_task){.memory = &g->memory, .mode = mode};
  racer->launches = (bench_launches){gemm_task_launch, task, 0, 1};
  int code = bench_status(measure(&g->memory, mode, row), row->name);
  if (code == BENCH_OK) code = gemm_task_plan(task);
  if (code != BENCH_OK) return code;
  (void)snprintf(row->about, sizeof row->about, "%s", mfq_gemm_plan_describe(task->plan));
  code = bench_try(run, row->name, &g->memory.d, NULL, racer);
  return code == BENCH_OK ? check(&g->memory, &g->values, mode, row->name, row->about) : code;
}

static void forget(bench_run *run, int place) {
  gemm_bench *g = run->state;
  mfq_gemm_plan_destroy(g->tasks[place].plan);
}

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

static void print_heading(const bench_run *run) {
  char what[128];
  (void)snprintf(what, sizeof what, "D is %s, inputs are normal random numbers", run->settings.out);
  bench_print_conditions(run, what);
  printf("D[M, N] = A[M, K] x B[N, K]. x peer: how many times as fast as the peer, median over neighbouring runs.\n"
         "GB/s (M up to %d): codes and scales of B in a second. ",
         FEW_ROWS);
  bench_print_again(run, "--shapes MxNxK --schemes SCHEME --filter ' (quantized|way-in|weight-only) '");
}

static void print_row(const bench_run *run, const gemm_size *size, const bench_row *row, bench_names *plans) {
  printf("  ");
  bench_print_cell(run, row, size->m <= FEW_ROWS ? row->weight_bytes : gemm_flops(size));
  printf(" %c ", row->seconds.median > 0 ? bench_letter(plans, row->about) : ' ');
}

/* The fastest of the peer's medians, each taken beside other rows. */
static double best_peer(const bench_run *run, int group) {
  const gemm_bench *g = run->state;
  double best = 0;
  for (int i = 0; i < g->grid.scheme_count * GEMM_MODES; ++i) {
    const double seconds = bench_cell_row(run, group, 0, i)->peer_seconds.median;
    if (seconds > 0 && (best <= 0 || seconds < best)) best = seconds;
  }
  return best;
}

static void print_size(const bench_run *run, int group) {
  static const char *const titles[GEMM_MODES + 1] = {"both quantized before", "A quantized on the way in",
                                                     "weight-only, A is bf16", NULL};
  const gemm_bench *g = run->state;
  const gemm_size *size = &g->sizes[group];
  const double peer = best_peer(run, group);
  const bench_columns columns = {titles, size->m <= FEW_ROWS ? "GB/s" : "GFLOP/s", 20, 1};
  bench_names plans = {.first = 'a'};
  printf("\n%" PRId64 " x %" PRId64 " x %" PRId64 " (M x N x K). Peer: %s", size->m, size->n, size->k,
         run->peers[group]);
  if (peer > 0) printf(": %.3f ms, %.1f GFLOP/s", 1e3 * peer, 1e-9 * gemm_flops(size) / peer);
  bench_print_columns(run, "", &columns);
  for (int i = 0; i < g->grid.scheme_count; ++i) {
    if (bench_cells_wanted(run, group, i) == 0) continue;
    printf("%-20s", g->grid.schemes[i].text);
    for (int mode = 0; mode < GEMM_MODES; ++mode) print_row(run, size, bench_cell_row(run, group, i, mode), &plans);
    printf("\n");
  }
  bench_print_names(&plans);
}

static void print_all(const bench_run *run) {
  const gemm_bench *g = run->state;
  print_heading(run);
  for (int i = 0; i < g->grid.groups; ++i)
    if (bench_cells_wanted(run, i, -1) > 0 && !run->settings.only_verify) print_size(run, i);
  bench_print_right(run, "samples of D are within the bound of sums in f32");
}

/* Size by size, mode by mode. */
static bench_cell goal_at(const bench_run *run, int i) {
  const gemm_bench *g = run->state;
  const int schemes = g->grid.scheme_count;
  return (bench_cell){i / schemes / GEMM_MODES, i % schemes, i / schemes % GEMM_MODES};
}

static int misses(const bench_run *run) {
  const bench_goals goals = {goal_at, NULL, 1};
  return run->settings.device == NULL && !run->settings.only_verify ? bench_print_goals(run, &goals) : 0;
}

static json_t *row_json(const bench_run *run, const bench_row *row) {
  const gemm_bench *g = run->state;
  const bench_cell cell = bench_cell_of(run, row);
  const gemm_size *size = &g->sizes[cell.group];
  const char *scheme = g->grid.schemes[cell.scheme].text;
  char before[BENCH_NAME];
  (void)snprintf(before, sizeof before, "--shapes %.*s --schemes %s ", (int)strcspn(row->name, " "), row->name, scheme);
  return json_pack("{s:I, s:I, s:I, s:s, s:s, s:o, s:f, s:o, s:o, s:o}", "m", (json_int_t)size->m, "n",
                   (json_int_t)size->n, "k", (json_int_t)size->k, "operands", gemm_mode_name(cell.mode), "scheme",
                   scheme, "gflop_per_second", bench_number_json(bench_giga(row, gemm_flops(size))), "weight_bytes",
                   row->weight_bytes, "weight_gb_per_second", bench_number_json(bench_giga(row, row->weight_bytes)),
                   "goal", bench_number_json(gemm_goal(run, cell)), "reproduce",
                   bench_again_json(run, row, before, ""));
}

static const bench_subject subject = {.name = "gemm",
                                      .repetitions = 11,
                                      .row_bytes = sizeof(bench_row),
                                      .batch = GEMM_MODES,
                                      .parse = gemm_parse,
                                      .list = gemm_list,
                                      .group = bench_grid_group,
                                      .open = bench_ceilings_measure,
                                      .close = close_bench,
                                      .begin = begin,
                                      .peer = peer,
                                      .end = end,
                                      .prepare = prepare,
                                      .ready = ready,
                                      .forget = forget,
                                      .json = row_json,
                                      .print = print_all,
                                      .misses = misses};

int main(int argc, char **argv) {
  static gemm_bench state;
  return bench_main(&subject, &state, argc, argv);
}
