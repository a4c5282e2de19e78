/* bench/support/gemm_report.c: the table of products as text, and how far from their goals they are. */
#include <inttypes.h>
#include <string.h>

#include "gemm_run.h"

enum { FEW_ROWS = 64, MAX_PLANS = 32 };

/* Descriptions of plans, each once; cells name them by letter. */
typedef struct plan_list {
  const char *items[MAX_PLANS];
  int count;
} plan_list;

static char plan_letter(plan_list *plans, const char *about) {
  int i = 0;
  while (i < plans->count && strcmp(plans->items[i], about) != 0) i++;
  if (i == plans->count && plans->count < MAX_PLANS) plans->items[plans->count++] = about;
  return i < MAX_PLANS ? (char)(i < 26 ? 'a' + i : 'A' + i - 26) : '*';
}

static void print_heading(const gemm_settings *s, const mfq_context *context) {
  char model[256];
  bench_cpu_model(model, sizeof model);
  if (s->device == NULL) printf("%s; ", model);
  printf("%s\nD is %s, inputs are normal random numbers, seed %" PRId64 "; median of %d samples%s%s\n",
         mfq_context_describe(context), mfq_dtype_name(s->out), s->seed, s->repetitions,
         s->is_reproducible ? "; MFQ_REPRODUCIBLE" : "", s->only_verify ? "; checked, not timed" : "");
  if (bench_is_emulated(context)) printf("THE DEVICE IS EMULATED: THESE TIMES SAY NOTHING ABOUT ANY GPU\n");
  printf("D[M, N] = A[M, K] x B[N, K]. x peer: how many times as fast as the peer, median over neighbouring runs.\n"
         "GB/s (M up to %d): codes and scales of B in a second. One row again:\n"
         "  bench_gemm %s%s%s--shapes MxNxK --schemes SCHEME --filter ' (quantized|way-in|weight-only) '\n",
         FEW_ROWS, s->device != NULL ? "--device " : "", s->device != NULL ? s->device : "",
         s->device != NULL ? " " : "");
}

static void print_cell(const gemm_size *size, const gemm_row *row, plan_list *plans) {
  if (!row->is_wanted || !(row->seconds.median > 0)) {
    printf("  %28s", "");
    return;
  }
  const double rate = size->m <= FEW_ROWS ? row->weight_bytes : gemm_flops(size), share = row->share;
  printf("  %9.3f %8.1f ", 1e3 * row->seconds.median, 1e-9 * rate / row->seconds.median);
  if (share > 0)
    printf("%6.2f", share);
  else
    printf("%6s", "-");
  printf(" %c ", plan_letter(plans, row->about));
}

/* The fastest of the peer's medians, each taken beside other rows. */
static double best_peer(const gemm_table *table, int size) {
  double best = 0;
  for (int i = 0; i < table->scheme_count * GEMM_MODES; i++) {
    const double seconds = gemm_table_row(table, size, 0, GEMM_QUANTIZED)[i].peer_seconds.median;
    if (seconds > 0 && (best <= 0 || seconds < best)) best = seconds;
  }
  return best;
}

static void print_size(const gemm_table *table, int index) {
  const gemm_size *size = &table->sizes[index];
  const char *unit = size->m <= FEW_ROWS ? "GB/s" : "GFLOP/s";
  const double peer = best_peer(table, index);
  plan_list plans = {.count = 0};
  printf("\n%" PRId64 " x %" PRId64 " x %" PRId64 " (M x N x K). Peer: %s", size->m, size->n, size->k,
         table->peers[index]);
  if (peer > 0) printf(": %.3f ms, %.1f GFLOP/s", 1e3 * peer, 1e-9 * gemm_flops(size) / peer);
  printf("\n%-20s  %-28s  %-28s  %-28s\n%-20s", "", "  both quantized before", "  A quantized on the way in",
         "  weight-only, A is bf16", "");
  for (int i = 0; i < GEMM_MODES; i++) printf("  %9s %8s %6s   ", "ms", unit, "x peer");
  printf("\n");
  for (int i = 0; i < table->scheme_count; i++) {
    if (gemm_table_wanted(table, index, i) == 0) continue;
    printf("%-20s", table->schemes[i].text);
    for (int mode = 0; mode < GEMM_MODES; mode++)
      print_cell(size, gemm_table_row(table, index, i, (gemm_mode)mode), &plans);
    printf("\n");
  }
  for (int i = 0; i < plans.count; i++) printf("  %c %s\n", plan_letter(&plans, plans.items[i]), plans.items[i]);
}

void gemm_print(const gemm_settings *settings, const mfq_context *context, const gemm_table *table) {
  int rows = 0;
  print_heading(settings, context);
  for (int i = 0; i < table->size_count; i++) {
    const int wanted = gemm_table_wanted(table, i, -1);
    rows += wanted;
    if (wanted > 0 && !settings->only_verify) print_size(table, i);
  }
  printf("\n%d rows: samples of D are within the bound of sums in f32\n", rows);
}

/* ---- Goals ------------------------------------------------------------------------------------------------------ */

/* Rows without a peer are not compared, which is no miss. */
typedef struct goal_sum {
  int goals, misses, compared;
} goal_sum;

static void print_goal(const gemm_table *table, int size, int scheme, gemm_mode mode, goal_sum *sum) {
  const gemm_row *row = gemm_table_row(table, size, scheme, mode);
  const double goal = gemm_goal_of(&table->sizes[size], table->schemes[scheme].text, mode);
  if (goal <= 0 || !row->is_wanted) return;
  const double share = row->share;
  if (sum->goals++ == 0)
    printf("\nGoals: times as fast as the peer (fastest tenths: p10 of both, for a machine with other work)\n");
  if (share <= 0) {
    printf("  %-44s  %5s  goal %4.2f  not compared: there is no peer\n", row->name, "-", goal);
    return;
  }
  sum->compared++;
  sum->misses += share < goal;
  const double fastest = row->seconds.p10 > 0 ? row->peer_seconds.p10 / row->seconds.p10 : 0;
  printf("  %-44s  %5.2f  goal %4.2f  %-5s  (fastest tenths: %.2f)\n", row->name, share, goal,
         share >= goal ? "pass" : "SHORT", fastest);
}

int gemm_print_goals(const gemm_table *table) {
  goal_sum all = {0};
  for (int size = 0; size < table->size_count; size++)
    for (int mode = 0; mode < GEMM_MODES; mode++)
      for (int scheme = 0; scheme < table->scheme_count; scheme++)
        print_goal(table, size, scheme, (gemm_mode)mode, &all);
  if (all.compared > 0) printf("%d of %d goals are met\n", all.compared - all.misses, all.compared);
  if (all.goals > all.compared) printf("%d rows with goals are not compared\n", all.goals - all.compared);
  return all.misses;
}
