/* bench/gemm/gemm_report.c: products as a table, how far from their goals they are, and what only they have in the
 * files. */
#include <inttypes.h>
#include <string.h>

#include "gemm_bench.h"

enum { FEW_ROWS = 64 };

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

void gemm_print(const bench_run *run) {
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

int gemm_misses(const bench_run *run) {
  const bench_goals goals = {goal_at, NULL, 1};
  return run->settings.device == NULL && !run->settings.only_verify ? bench_print_goals(run, &goals) : 0;
}

json_t *gemm_row_json(const bench_run *run, const bench_row *row) {
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
