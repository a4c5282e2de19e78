/* bench/support/conv_report.c: the table of convolutions as text, and how far from their goals they are. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "conv_measure.h"

enum { MAX_LISTED = 26 };

/* Descriptions, each once; cells name them by letter. */
typedef struct name_list {
  const char *items[MAX_LISTED];
  int count;
  char first; /* letter */
} name_list;

/* Behind ';' a plan says why nothing faster was chosen, which differs from layer to layer. */
static size_t chosen_length(const char *about) { return strcspn(about, ";"); }

static char letter_of(name_list *list, const char *about) {
  const size_t length = chosen_length(about);
  int i = 0;
  while (i < list->count && (chosen_length(list->items[i]) != length || strncmp(list->items[i], about, length) != 0))
    i++;
  if (i == list->count && list->count < MAX_LISTED) list->items[list->count++] = about;
  return i < MAX_LISTED ? (char)(list->first + i) : '*';
}

static void print_list(const name_list *list) {
  for (int i = 0; i < list->count; i++)
    printf("  %c %.*s\n", list->first + i, (int)chosen_length(list->items[i]), list->items[i]);
}

static void print_heading(const conv_settings *s, const mfq_context *context) {
  char model[256];
  bench_cpu_model(model, sizeof model);
  if (s->device == NULL) printf("%s; ", model);
  printf("%s\nresults are %s, inputs are normal random numbers, seed %" PRId64 "; median of %d samples%s%s\n",
         mfq_context_describe(context), mfq_dtype_name(s->out), s->seed, s->repetitions,
         s->is_reproducible ? "; MFQ_REPRODUCIBLE" : "", s->only_verify ? "; checked, not timed" : "");
  if (bench_is_emulated(context)) printf("THE DEVICE IS EMULATED: THESE TIMES SAY NOTHING ABOUT ANY GPU\n");
  printf(
      "Layers are batch x channels x height x width - channels x filter, s stride, p padding, g groups. Channels "
      "last.\n"
      "Weights are quantized before, bf16 inputs and output gradients on the way in; the weight's gradient quantizes\n"
      "both, in groups along the width. x peer: how many times as fast as the peer, median over neighbouring\n"
      "runs. Letters: plan, peer. One row again:\n"
      "  bench_conv %s%s%s--shapes LAYER --schemes SCHEME --filter ' (forward|input-gradient|weight-gradient) '\n",
      s->device != NULL ? "--device " : "", s->device != NULL ? s->device : "", s->device != NULL ? " " : "");
}

/* ---- The table -------------------------------------------------------------------------------------------------- */

static void print_cell(const conv_table *table, int shape, int direction, int scheme, name_list lists[2]) {
  const conv_row *row = conv_table_row(table, shape, direction, scheme);
  if (!row->is_wanted || !(row->seconds.median > 0)) {
    printf("  %29s", "");
    return;
  }
  printf("  %9.3f %8.1f ", 1e3 * row->seconds.median, 1e-9 * conv_flops(&table->shapes[shape]) / row->seconds.median);
  if (row->share > 0)
    printf("%6.2f", row->share);
  else
    printf("%6s", "-");
  printf(" %c%c ", letter_of(&lists[0], row->about), letter_of(&lists[1], conv_table_peer(table, shape, direction)));
}

static int is_printed(const conv_table *table, int shape, int scheme) {
  int printed = 0;
  for (int d = 0; d < CONV_DIRECTIONS; d++) printed |= conv_table_row(table, shape, d, scheme)->is_wanted;
  return printed;
}

static void print_scheme(const conv_table *table, int scheme, name_list lists[2]) {
  const char *network = NULL;
  printf("\n%-30s", table->schemes[scheme].text);
  for (int d = 0; d < CONV_DIRECTIONS; d++) printf("    %-27s", conv_direction_name((mfq_conv_direction)d));
  printf("\n%-30s", "");
  for (int d = 0; d < CONV_DIRECTIONS; d++) printf("  %9s %8s %6s    ", "ms", "GFLOP/s", "x peer");
  printf("\n");
  for (int i = 0; i < table->shape_count; i++) {
    char text[CONV_SHAPE_TEXT];
    if (!is_printed(table, i, scheme)) continue;
    if (network == NULL || strcmp(network, table->shapes[i].network) != 0) {
      network = table->shapes[i].network;
      if (*network != '\0') printf("%s\n", network);
    }
    conv_shape_print(&table->shapes[i], text, sizeof text);
    printf("  %-28s", text);
    for (int d = 0; d < CONV_DIRECTIONS; d++) print_cell(table, i, d, scheme, lists);
    printf("\n");
  }
}

/* Names what was run although no cell shows it. */
static void list_names(const conv_table *table, name_list lists[2]) {
  for (int i = 0; i < table->shape_count * CONV_DIRECTIONS * table->scheme_count; i++) {
    if (!table->rows[i].is_wanted) continue;
    (void)letter_of(&lists[0], table->rows[i].about);
    (void)letter_of(&lists[1], table->peers[i / table->scheme_count]);
  }
}

void conv_print(const conv_settings *settings, const mfq_context *context, const conv_table *table) {
  name_list lists[2] = {{.first = 'a'}, {.first = 'A'}};
  int rows = 0;
  print_heading(settings, context);
  for (int i = 0; i < table->shape_count; i++) rows += conv_table_wanted(table, i, -1);
  for (int i = 0; !settings->only_verify && i < table->scheme_count; i++) print_scheme(table, i, lists);
  if (settings->only_verify) list_names(table, lists);
  printf("\nPlans\n");
  print_list(&lists[0]);
  printf("Peers\n");
  print_list(&lists[1]);
  printf("\n%d rows: samples of the results are within the bound of sums in f32\n", rows);
}

/* ---- Goals ------------------------------------------------------------------------------------------------------ */

typedef struct goal_sum {
  int goals, misses, compared; /* rows without a peer are not compared, which is no miss */
  int measured;                /* of one direction */
  double log_share;
} goal_sum;

static void print_goal(const conv_row *row, double goal, goal_sum *sum) {
  if (goal <= 0 || !row->is_wanted) return;
  if (sum->goals++ == 0)
    printf("\nGoals: times as fast as the peer (fastest tenths: p10 of both, for a machine with other work)\n");
  if (row->share <= 0) {
    printf("  %-52s  %5s  goal %4.2f  not compared: there is no peer\n", row->name, "-", goal);
    return;
  }
  const double fastest = row->seconds.p10 > 0 ? row->peer_seconds.p10 / row->seconds.p10 : 0;
  printf("  %-52s  %5.2f  goal %4.2f  %-5s  (fastest tenths: %.2f)\n", row->name, row->share, goal,
         row->share >= goal ? "pass" : "SHORT", fastest);
  sum->compared++;
  sum->measured++;
  sum->misses += row->share < goal;
  sum->log_share += log(row->share);
}

int conv_print_goals(const conv_settings *settings, const conv_table *table) {
  goal_sum all = {0};
  double means[CONV_DIRECTIONS] = {0, 0, 0};
  for (int d = 0; d < CONV_DIRECTIONS; d++) {
    all.log_share = all.measured = 0;
    for (int scheme = 0; scheme < table->scheme_count; scheme++)
      for (int i = 0; i < table->shape_count; i++)
        print_goal(conv_table_row(table, i, d, scheme),
                   conv_goal_of(&table->shapes[i], table->schemes[scheme].text, settings->device != NULL), &all);
    if (all.measured > 0) means[d] = exp(all.log_share / all.measured);
  }
  if (all.goals == 0) return 0;
  if (all.compared > 0) {
    printf("%d of %d goals are met; geometric means:", all.compared - all.misses, all.compared);
    for (int d = 0; d < CONV_DIRECTIONS; d++)
      if (means[d] > 0) printf(" %s %.2f", conv_direction_name((mfq_conv_direction)d), means[d]);
    printf("\n");
  }
  if (all.goals > all.compared) printf("%d rows with goals are not compared\n", all.goals - all.compared);
  return all.misses;
}
