/* bench/gemm/gemm_report.c: the table of products as text, and how far from their goals they are. */
#include <inttypes.h>

#include "gemm_run.h"
#include "bench/common/table.h"

enum { FEW_ROWS = 64 };

static void print_heading(const bench_record *record) {
  const char *device = record->settings->device;
  char what[128];
  (void)snprintf(what, sizeof what, "D is %s, inputs are normal random numbers", record->settings->out);
  bench_print_conditions(record, what);
  printf("D[M, N] = A[M, K] x B[N, K]. x peer: how many times as fast as the peer, median over neighbouring runs.\n"
         "GB/s (M up to %d): codes and scales of B in a second. One row again:\n"
         "  bench_gemm %s%s%s--shapes MxNxK --schemes SCHEME --filter ' (quantized|way-in|weight-only) '\n",
         FEW_ROWS, device != NULL ? "--device " : "", device != NULL ? device : "", device != NULL ? " " : "");
}

static void print_cell(const bench_record *record, const gemm_size *size, const gemm_row *row, bench_names *plans) {
  const bench_row *r = &row->common;
  printf("  ");
  bench_print_cell(record, r, size->m <= FEW_ROWS ? row->weight_bytes : gemm_flops(size));
  printf(" %c ", r->seconds.median > 0 ? bench_letter(plans, r->about) : ' ');
}

/* The fastest of the peer's medians, each taken beside other rows. */
static double best_peer(const gemm_table *table, int size) {
  double best = 0;
  for (int i = 0; i < table->scheme_count * GEMM_MODES; ++i) {
    const double seconds = gemm_table_row(table, size, 0, GEMM_QUANTIZED)[i].common.peer_seconds.median;
    if (seconds > 0 && (best <= 0 || seconds < best)) best = seconds;
  }
  return best;
}

static void print_size(const bench_record *record, const gemm_table *table, int index) {
  static const char *const titles[GEMM_MODES] = {"both quantized before", "A quantized on the way in",
                                                 "weight-only, A is bf16"};
  const gemm_size *size = &table->sizes[index];
  const double peer = best_peer(table, index);
  bench_names plans = {.first = 'a'};
  printf("\n%" PRId64 " x %" PRId64 " x %" PRId64 " (M x N x K). Peer: %s", size->m, size->n, size->k,
         table->peers[index]);
  if (peer > 0) printf(": %.3f ms, %.1f GFLOP/s", 1e3 * peer, 1e-9 * gemm_flops(size) / peer);
  printf("\n%-20s", "");
  for (int i = 0; i < GEMM_MODES; ++i) printf("    %-*s ", bench_cell_width(record), titles[i]);
  printf("\n%-20s", "");
  for (int i = 0; i < GEMM_MODES; ++i) {
    printf("  ");
    bench_print_columns(record, size->m <= FEW_ROWS ? "GB/s" : "GFLOP/s");
    printf("   ");
  }
  printf("\n");
  for (int i = 0; i < table->scheme_count; ++i) {
    if (gemm_table_wanted(table, index, i) == 0) continue;
    printf("%-20s", table->schemes[i].text);
    for (int mode = 0; mode < GEMM_MODES; ++mode)
      print_cell(record, size, gemm_table_row(table, index, i, (gemm_mode)mode), &plans);
    printf("\n");
  }
  bench_print_names(&plans);
}

void gemm_print(const bench_record *record, const gemm_table *table) {
  print_heading(record);
  for (int i = 0; i < table->size_count; ++i)
    if (gemm_table_wanted(table, i, -1) > 0 && !record->settings->only_verify) print_size(record, table, i);
  printf("\n%d rows: samples of D are within the bound of sums in f32\n", record->done - record->bad);
  bench_record_print_bad(record);
}

int gemm_print_goals(const gemm_table *table) {
  bench_goals all = {0};
  for (int size = 0; size < table->size_count; ++size)
    for (int mode = 0; mode < GEMM_MODES; ++mode)
      for (int scheme = 0; scheme < table->scheme_count; ++scheme) {
        const gemm_row *row = gemm_table_row(table, size, scheme, (gemm_mode)mode);
        const double goal = gemm_goal_of(&table->sizes[size], table->schemes[scheme].text, (gemm_mode)mode);
        if (goal > 0 && row->is_wanted) (void)bench_print_goal(&row->common, goal, &all);
      }
  if (all.compared > 0) printf("%d of %d goals are met\n", all.compared - all.misses, all.compared);
  if (all.goals > all.compared) printf("%d rows with goals are not compared\n", all.goals - all.compared);
  return all.misses;
}
