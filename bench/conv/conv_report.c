/* bench/conv/conv_report.c: convolutions as a table, how far from their goals they are, and what only they have in the
 * files. */
#include <string.h>

#include "conv_bench.h"

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

/* ---- The table -------------------------------------------------------------------------------------------------- */

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

void conv_print(const bench_run *run) {
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

int conv_misses(const bench_run *run) {
  const conv_bench *c = run->state;
  const bench_goals goals = {goal_at, conv_direction_names, CONV_DIRECTIONS};
  const int is_asked = c->grid.is_check || run->settings.is_gate;
  return is_asked && !run->settings.only_verify ? bench_print_goals(run, &goals) : 0;
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

static json_t *shape_json(const conv_shape *s) {
  return json_pack("{s:I, s:I, s:[I, I], s:I, s:[I, I], s:I, s:I, s:I}", "batch", (json_int_t)s->batch, "in_channels",
                   (json_int_t)s->in_channels, "in", (json_int_t)s->in[0], (json_int_t)s->in[1], "out_channels",
                   (json_int_t)s->out_channels, "filter", (json_int_t)s->filter[0], (json_int_t)s->filter[1], "stride",
                   (json_int_t)s->stride, "padding", (json_int_t)s->padding, "groups", (json_int_t)s->groups);
}

json_t *conv_row_json(const bench_run *run, const bench_row *row) {
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
