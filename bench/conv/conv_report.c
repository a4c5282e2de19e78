/* bench/conv/conv_report.c: the table of convolutions as text, and how far from their goals they are. */
#include <math.h>
#include <string.h>

#include "conv_measure.h"
#include "bench/common/table.h"

static void print_heading(const bench_record *record) {
  const char *device = record->settings->device;
  char what[128];
  (void)snprintf(what, sizeof what, "results are %s, inputs are normal random numbers", record->settings->out);
  bench_print_conditions(record, what);
  printf(
      "Layers are batch x channels x height x width - channels x filter, s stride, p padding, g groups. Channels "
      "last.\n"
      "Weights are quantized before, bf16 inputs and output gradients on the way in; the weight's gradient quantizes\n"
      "both, in groups along the width. x peer: how many times as fast as the peer, median over neighbouring\n"
      "runs. Letters: plan, peer. One row again:\n"
      "  bench_conv %s%s%s--shapes LAYER --schemes SCHEME --filter ' (forward|input-gradient|weight-gradient) '\n",
      device != NULL ? "--device " : "", device != NULL ? device : "", device != NULL ? " " : "");
}

/* ---- The table -------------------------------------------------------------------------------------------------- */

static void print_cell(const bench_record *record, const conv_table *table, int index, bench_names lists[2]) {
  const bench_row *row = &table->rows[index].common;
  const int is_timed = row->seconds.median > 0;
  printf("  ");
  bench_print_cell(record, row, conv_flops(&table->shapes[index / table->scheme_count / CONV_DIRECTIONS]));
  printf(" %c%c ", is_timed ? bench_letter(&lists[0], row->about) : ' ',
         is_timed ? bench_letter(&lists[1], row->peer) : ' ');
}

static int is_printed(const conv_table *table, int shape, int scheme) {
  int printed = 0;
  for (int d = 0; d < CONV_DIRECTIONS; ++d) printed |= conv_table_row(table, shape, d, scheme)->is_wanted;
  return printed;
}

static void print_scheme(const bench_record *record, const conv_table *table, int scheme, bench_names lists[2]) {
  const char *network = NULL;
  printf("\n%-30s", table->schemes[scheme].text);
  for (int d = 0; d < CONV_DIRECTIONS; ++d)
    printf("    %-*s  ", bench_cell_width(record), conv_direction_name((mfq_conv_direction)d));
  printf("\n%-30s", "");
  for (int d = 0; d < CONV_DIRECTIONS; ++d) {
    printf("  ");
    bench_print_columns(record, "GFLOP/s");
    printf("    ");
  }
  printf("\n");
  for (int i = 0; i < table->shape_count; ++i) {
    char text[CONV_SHAPE_TEXT];
    if (!is_printed(table, i, scheme)) continue;
    if (network == NULL || strcmp(network, table->shapes[i].network) != 0) {
      network = table->shapes[i].network;
      if (*network != '\0') printf("%s\n", network);
    }
    conv_shape_print(&table->shapes[i], text, sizeof text);
    printf("  %-28s", text);
    for (int d = 0; d < CONV_DIRECTIONS; ++d)
      print_cell(record, table, (int)(conv_table_row(table, i, d, scheme) - table->rows), lists);
    printf("\n");
  }
}

/* Names what was run although no cell shows it. */
static void list_names(const conv_table *table, bench_names lists[2]) {
  for (int i = 0; i < table->shape_count * CONV_DIRECTIONS * table->scheme_count; ++i) {
    if (!table->rows[i].is_wanted) continue;
    (void)bench_letter(&lists[0], table->rows[i].common.about);
    (void)bench_letter(&lists[1], table->rows[i].common.peer);
  }
}

void conv_print(const bench_record *record, const conv_table *table) {
  const int only_verify = record->settings->only_verify;
  bench_names lists[2] = {{.first = 'a', .is_short = 1}, {.first = 'A', .is_short = 1}};
  print_heading(record);
  for (int i = 0; !only_verify && i < table->scheme_count; ++i) print_scheme(record, table, i, lists);
  if (only_verify) list_names(table, lists);
  printf("\nPlans\n");
  bench_print_names(&lists[0]);
  printf("Peers\n");
  bench_print_names(&lists[1]);
  printf("\n%d rows: samples of the results are within the bound of sums in f32\n", record->done - record->bad);
  bench_record_print_bad(record);
}

/* ---- Goals ------------------------------------------------------------------------------------------------------ */

int conv_print_goals(const bench_settings *settings, const conv_table *table) {
  bench_goals all = {0};
  double means[CONV_DIRECTIONS] = {0, 0, 0};
  for (int d = 0; d < CONV_DIRECTIONS; ++d) {
    double log_share = 0;
    int measured = 0;
    for (int scheme = 0; scheme < table->scheme_count; ++scheme)
      for (int i = 0; i < table->shape_count; ++i) {
        const conv_row *row = conv_table_row(table, i, d, scheme);
        const double goal = conv_goal_of(&table->shapes[i], table->schemes[scheme].text, settings->device != NULL);
        if (goal <= 0 || !row->is_wanted || !bench_print_goal(&row->common, goal, &all)) continue;
        ++measured;
        log_share += log(row->common.share);
      }
    if (measured > 0) means[d] = exp(log_share / measured);
  }
  if (all.compared > 0) {
    printf("%d of %d goals are met; geometric means:", all.compared - all.misses, all.compared);
    for (int d = 0; d < CONV_DIRECTIONS; ++d)
      if (means[d] > 0) printf(" %s %.2f", conv_direction_name((mfq_conv_direction)d), means[d]);
    printf("\n");
  }
  if (all.goals > all.compared) printf("%d rows with goals are not compared\n", all.goals - all.compared);
  return all.misses;
}
