/* bench_gemm: how fast quantized products run, on the CPU or a device, beside bf16 products of the vendor's library in
 * the same minutes. Checks, then times, row by row. */
#include <stdlib.h>

#include "bench/common/ceilings.h"
#include "bench/common/onednn_peer.h"
#include "gemm_bench.h"

static int begin(bench_run *run, int group) {
  gemm_bench *g = run->state;
  const int code = gemm_memory_create(run, g->sizes[group], run->settings.out_type, &g->memory);
  return code == BENCH_OK ? gemm_values_create(&g->memory, &g->values) : code;
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
  return code == BENCH_OK ? gemm_check(&g->memory, &g->values, GEMM_MODES, "the peer", about) : code;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

static int prepare(bench_run *run, int first) {
  gemm_bench *g = run->state;
  const bench_cell cell = bench_cell_of(run, bench_row_at(run, first));
  const int code = gemm_memory_quantize(&g->memory, &g->grid.schemes[cell.scheme]);
  return code == BENCH_OK ? gemm_values_scheme(&g->memory, &g->values) : code;
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
  return code == BENCH_OK ? gemm_check(&g->memory, &g->values, mode, row->name, row->about) : code;
}

static void forget(bench_run *run, int place) {
  gemm_bench *g = run->state;
  mfq_gemm_plan_destroy(g->tasks[place].plan);
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
                                      .json = gemm_row_json,
                                      .print = gemm_print,
                                      .misses = gemm_misses};

int main(int argc, char **argv) {
  static gemm_bench state;
  return bench_main(&subject, &state, argc, argv);
}
