/* bench_conv: how fast quantized convolutions run, forward and for both gradients, on the CPU or a device, beside bf16
 * convolutions of the vendor's library in the same minutes. Checks, then times, row by row. */
#include <stdlib.h>

#include "bench/common/ceilings.h"
#include "bench/common/onednn_peer.h"
#include "conv_bench.h"

static int begin(bench_run *run, int group) {
  conv_bench *c = run->state;
  const int code =
      conv_memory_create(run, conv_shape_of(c, group), (mfq_conv_direction)(group % CONV_DIRECTIONS), &c->memory);
  return code == BENCH_OK ? conv_values_create(&c->memory, &c->values) : code;
}

static void end(bench_run *run) {
  conv_bench *c = run->state;
  bench_onednn_destroy(c->onednn);
  conv_cudnn_destroy(c->cudnn);
  c->onednn = c->cudnn = NULL;
  bench_values_destroy(&c->values);
  conv_memory_destroy(&c->memory);
}

static void close_bench(bench_run *run) {
  conv_bench *c = run->state;
  free(c->shapes);
  free(c->grid.schemes);
}

static const bench_slots *result_of(const conv_memory *m) { return &m->tensors[conv_roles_of(m->direction).result]; }

/* ---- The peer --------------------------------------------------------------------------------------------------- */

static int launch_peer(void *state, int turn) {
  const conv_bench *c = state;
  const int code = c->onednn != NULL ? bench_onednn_run(c->onednn, turn) : conv_cudnn_run(c->cudnn, turn);
  return code == BENCH_OK ? code : bench_error(code, "the peer fails");
}

static int finish_peer(bench_run *run) {
  const conv_bench *c = run->state;
  return c->onednn != NULL ? bench_onednn_result(c->onednn) : BENCH_OK;
}

static int peer(bench_run *run, char *about, bench_racer *racer) {
  conv_bench *c = run->state;
  if (run->settings.device == NULL)
    c->onednn = conv_onednn_create(&c->memory, about);
  else
    c->cudnn = conv_cudnn_create(&c->memory, about);
  if (c->onednn == NULL && c->cudnn == NULL) return BENCH_OK;
  racer->launches = (bench_launches){launch_peer, c, 0, 1};
  const int code = bench_try(run, "the peer", result_of(&c->memory), finish_peer, racer);
  return code == BENCH_OK ? conv_check(&c->memory, &c->values, NULL) : code;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

static int launch_row(void *state, int turn) {
  const conv_bench *c = state;
  const conv_memory *m = &c->memory;
  conv_call call;
  mfq_status status = conv_call_make(m, turn, &call);
  if (status == MFQ_OK)
    status = mfq_conv_run(m->run->context, c->plan, &call.conv, mfq_buffer_data(m->workspace),
                          mfq_buffer_bytes(m->workspace));
  return bench_status(status, "the convolution");
}

static int prepare(bench_run *run, int first) {
  conv_bench *c = run->state;
  const bench_cell cell = bench_cell_of(run, bench_row_at(run, first));
  const int code = conv_memory_scheme(&c->memory, &c->grid.schemes[cell.scheme]);
  return code == BENCH_OK ? conv_values_scheme(&c->memory, &c->values) : code;
}

/* Bytes of the operands and the result as they are stored: each is read or written once at least. */
static void measure(const conv_memory *m, const conv_call *call, bench_row *row) {
  const conv_roles roles = conv_roles_of(m->direction);
  const bench_slots *result = result_of(m);
  row->bytes = (double)mfq_dtype_bytes(m->run->settings.out_type) * (double)conv_tensor_count(m->shape, roles.result);
  row->rotated = (double)result->bytes * result->count;
  for (int i = 0; i < 2; ++i) {
    const int is_coded = m->weights.buffer != NULL && roles.operand[i] == CONV_W;
    const bench_slots *slots = is_coded ? &m->weights : &m->tensors[roles.operand[i]];
    row->rotated += (double)slots->bytes * slots->count;
    row->bytes +=
        is_coded ? bench_stored_bytes(&call->weight) : 2.0 * (double)conv_tensor_count(m->shape, roles.operand[i]);
  }
  row->flops = conv_flops(m->shape);
  row->is_fp8 = !m->scheme->is_plain && bench_fits_fp8(&m->scheme->scheme);
}

static int plan(conv_bench *c, bench_row *row) {
  conv_memory *m = &c->memory;
  conv_call call;
  mfq_status status = conv_call_make(m, 0, &call);
  if (status == MFQ_OK) status = mfq_conv_plan_create(m->run->context, &call.conv, &c->plan);
  if (status != MFQ_OK) return bench_status(status, row->name);
  (void)snprintf(row->about, sizeof row->about, "%s", mfq_conv_plan_describe(c->plan));
  measure(m, &call, row);
  return bench_grow(m->run->context, mfq_conv_workspace_bytes(c->plan), &m->workspace);
}

static int ready(bench_run *run, bench_row *row, int place, bench_racer *racer) {
  conv_bench *c = run->state;
  (void)place; /* one row a batch */
  racer->launches = (bench_launches){launch_row, c, 0, 1};
  int code = plan(c, row);
  if (code == BENCH_OK) code = bench_try(run, row->name, result_of(&c->memory), NULL, racer);
  return code == BENCH_OK ? conv_check(&c->memory, &c->values, row) : code;
}

static void forget(bench_run *run, int place) {
  conv_bench *c = run->state;
  (void)place;
  mfq_conv_plan_destroy(c->plan);
  c->plan = NULL;
}

static const bench_subject subject = {.name = "conv",
                                      .repetitions = 11,
                                      .row_bytes = sizeof(bench_row),
                                      .batch = 1,
                                      .parse = conv_parse,
                                      .list = conv_list,
                                      .group = bench_grid_group,
                                      .open = bench_ceilings_measure,
                                      .close = close_bench,
                                      .begin = begin,
                                      .peer = peer,
                                      .end = end,
                                      .prepare = prepare,
                                      .ready = ready,
                                      .forget = forget,
                                      .json = conv_row_json,
                                      .print = conv_print,
                                      .misses = conv_misses};

int main(int argc, char **argv) {
  static conv_bench state;
  return bench_main(&subject, &state, argc, argv);
}
