/* bench_conv: how fast quantized convolutions run, forward and for both gradients, on the CPU or a device, beside bf16
 * convolutions of the vendor's library in the same minutes. Checks, then times, row by row. */
#include <stdlib.h>
#include <string.h>

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

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

static void print_heading(const bench_run *run) {
  char what[128];
  (void)snprintf(what, sizeof what, "results are %s, inputs are normal random numbers", run->settings.out);
  bench_print_conditions(run, what);
  printf(
      "Layers are batch x channels x height x width - channels x filter, s stride, p padding, g groups. Channels "
      "last.\n"
      "Weights are quantized before, bf16 inputs and output gradients on the way in; the weight's gradient quantizes\n"
      "both, in groups along the width. x peer: how many times as fast as the peer, median over neighbouring\n"
      "runs. Letters: plan, peer. ");
  bench_print_again(run, "--shapes LAYER --schemes SCHEME --filter ' (forward|input-gradient|weight-gradient) '");
}

static const bench_row *row_of(const bench_run *run, int shape, int direction, int scheme) {
  return bench_cell_row(run, shape * CONV_DIRECTIONS + direction, scheme, 0);
}

static void print_row(const bench_run *run, const conv_shape *shape, const bench_row *row, bench_names lists[2]) {
  const int is_timed = row->seconds.median > 0;
  printf("  ");
  bench_print_cell(run, row, conv_flops(shape));
  printf(" %c%c ", is_timed ? bench_letter(&lists[0], row->about) : ' ',
         is_timed ? bench_letter(&lists[1], row->peer) : ' ');
}

static void print_scheme(const bench_run *run, int scheme, bench_names lists[2]) {
  const conv_bench *c = run->state;
  const bench_columns columns = {conv_direction_names, "GFLOP/s", 30, 2};
  const char *network = NULL;
  bench_print_columns(run, c->grid.schemes[scheme].text, &columns);
  for (int i = 0; i < c->shape_count; ++i) {
    const conv_shape *shape = &c->shapes[i];
    char text[CONV_SHAPE_TEXT];
    int is_printed = 0;
    for (int d = 0; d < CONV_DIRECTIONS; ++d) is_printed |= row_of(run, i, d, scheme)->is_wanted;
    if (!is_printed) continue;
    if ((network == NULL || strcmp(network, shape->network) != 0) && *shape->network != '\0')
      printf("%s\n", shape->network);
    network = shape->network;
    conv_shape_print(shape, text, sizeof text);
    printf("  %-28s", text);
    for (int d = 0; d < CONV_DIRECTIONS; ++d) print_row(run, shape, row_of(run, i, d, scheme), lists);
    printf("\n");
  }
}

/* Names what was run although no cell shows it. */
static void list_names(const bench_run *run, bench_names lists[2]) {
  for (int i = 0; i < run->count; ++i) {
    const bench_row *row = bench_row_at(run, i);
    if (!row->is_wanted) continue;
    (void)bench_letter(&lists[0], row->about);
    (void)bench_letter(&lists[1], row->peer);
  }
}

static void print_all(const bench_run *run) {
  const conv_bench *c = run->state;
  bench_names lists[2] = {{.first = 'a', .is_short = 1}, {.first = 'A', .is_short = 1}};
  print_heading(run);
  for (int i = 0; !run->settings.only_verify && i < c->grid.scheme_count; ++i) print_scheme(run, i, lists);
  if (run->settings.only_verify) list_names(run, lists);
  printf("\nPlans\n");
  bench_print_names(&lists[0]);
  printf("Peers\n");
  bench_print_names(&lists[1]);
  bench_print_right(run, "samples of the results are within the bound of sums in f32");
}

/* Direction by direction, scheme by scheme. */
static bench_cell goal_at(const bench_run *run, int i) {
  const conv_bench *c = run->state;
  const int shape = i % c->shape_count, rest = i / c->shape_count;
  return (bench_cell){shape * CONV_DIRECTIONS + rest / c->grid.scheme_count, rest % c->grid.scheme_count, 0};
}

static int misses(const bench_run *run) {
  const conv_bench *c = run->state;
  const bench_goals goals = {goal_at, conv_direction_names, CONV_DIRECTIONS};
  const int is_asked = c->grid.is_check || run->settings.is_gate;
  return is_asked && !run->settings.only_verify ? bench_print_goals(run, &goals) : 0;
}

static json_t *shape_json(const conv_shape *s) {
  return json_pack("{s:I, s:I, s:[I, I], s:I, s:[I, I], s:I, s:I, s:I}", "batch", (json_int_t)s->batch, "in_channels",
                   (json_int_t)s->in_channels, "in", (json_int_t)s->in[0], (json_int_t)s->in[1], "out_channels",
                   (json_int_t)s->out_channels, "filter", (json_int_t)s->filter[0], (json_int_t)s->filter[1], "stride",
                   (json_int_t)s->stride, "padding", (json_int_t)s->padding, "groups", (json_int_t)s->groups);
}

static json_t *row_json(const bench_run *run, const bench_row *row) {
  const conv_bench *c = run->state;
  const bench_cell cell = bench_cell_of(run, row);
  const conv_shape *shape = conv_shape_of(c, cell.group);
  const char *scheme = c->grid.schemes[cell.scheme].text;
  char layer[CONV_SHAPE_TEXT], before[BENCH_NAME];
  conv_shape_print(shape, layer, sizeof layer);
  (void)snprintf(before, sizeof before, "--shapes %s --schemes %s ", layer, scheme);
  return json_pack("{s:s, s:s, s:o, s:s, s:s, s:f, s:o, s:o, s:o}", "network", shape->network, "layer", layer, "shape",
                   shape_json(shape), "direction", conv_direction_names[cell.group % CONV_DIRECTIONS], "scheme", scheme,
                   "gflop", 1e-9 * conv_flops(shape), "gflop_per_second",
                   bench_number_json(bench_giga(row, conv_flops(shape))), "goal",
                   bench_number_json(conv_goal(run, cell)), "reproduce", bench_again_json(run, row, before, ""));
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
                                      .json = row_json,
                                      .print = print_all,
                                      .misses = misses};

int main(int argc, char **argv) {
  static conv_bench state;
  return bench_main(&subject, &state, argc, argv);
}
