/* bench/common/grid_table.c: letters, cells, goals. */
#include <math.h>
#include <string.h>

#include "bench_grid.h"

/* ---- Letters ---------------------------------------------------------------------------------------------------- */

static size_t told_length(const bench_names *names, const char *about) {
  return names->is_short ? strcspn(about, ";") : strlen(about);
}

static char letter_at(const bench_names *names, int i) {
  return (char)(i < 26 ? names->first + i : 'A' + i - 26); /* 26 and more: only behind 'z' */
}

char bench_letter(bench_names *names, const char *about) {
  const size_t length = told_length(names, about);
  const int most = names->first == 'a' ? BENCH_LETTERS : 26;
  int i = 0;
  while (i < names->count &&
         (told_length(names, names->items[i]) != length || strncmp(names->items[i], about, length) != 0))
    ++i;
  if (i == names->count && names->count < most) names->items[names->count++] = about;
  return i < most ? letter_at(names, i) : '*';
}

void bench_print_names(const bench_names *names) {
  for (int i = 0; i < names->count; ++i)
    printf("  %c %.*s\n", letter_at(names, i), (int)told_length(names, names->items[i]), names->items[i]);
}

/* ---- Cells ------------------------------------------------------------------------------------------------------ */

static int has_limits(const bench_run *run) { return run->ceilings.bf16 > 0; }

static int cell_width(const bench_run *run) { return has_limits(run) ? 32 : 25; }

void bench_print_columns(const bench_run *run, const char *label, const bench_columns *c) {
  printf("\n%-*s", c->width, label);
  for (int i = 0; c->titles[i] != NULL; ++i) printf("    %-*s%*s", cell_width(run), c->titles[i], c->letters, "");
  printf("\n%-*s", c->width, "");
  for (int i = 0; c->titles[i] != NULL; ++i)
    printf("  %9s %8s %6s%s%*s", "ms", c->unit, "x peer", has_limits(run) ? "  limit" : "", 2 + c->letters, "");
  printf("\n");
}

void bench_print_cell(const bench_run *run, const bench_row *row, double amount) {
  const char *bad = row->verdict == BENCH_ROW_WRONG ? "WRONG" : row->verdict == BENCH_ROW_FAILED ? "FAILED" : "";
  if (!(row->seconds.median > 0)) {
    printf("%9s%*s", bad, cell_width(run) - 9, "");
    return;
  }
  printf("%9.3f %8.1f ", 1e3 * row->seconds.median, bench_giga(row, amount));
  if (row->share > 0)
    printf("%6.2f", row->share);
  else
    printf("%6s", "-");
  if (has_limits(run)) printf(" %5.1f%%", 100 * row->limit_seconds / row->seconds.median);
}

void bench_print_right(const bench_run *run, const char *what) {
  printf("\n%d rows: %s\n", run->done - run->bad, what);
}

/* ---- Goals ------------------------------------------------------------------------------------------------------ */

/* Rows without a peer are not compared, which is no miss. */
typedef struct goal_sum {
  int goals, misses, compared;
} goal_sum;

/* One line, with a heading before the first. Returns whether the row was compared. */
static int print_goal(const bench_row *row, double goal, goal_sum *sum) {
  if (sum->goals++ == 0)
    printf("\nGoals: times as fast as the peer (fastest tenths: p10 of both, for a machine with other work)\n");
  if (row->share <= 0) {
    printf("  %-52s  %5s  goal %4.2f  not compared: %s\n", row->name, "-", goal,
           row->verdict == BENCH_ROW_RIGHT ? "there is no peer" : "it is wrong or failed");
    return 0;
  }
  ++sum->compared;
  sum->misses += row->share < goal;
  const double fastest = row->seconds.p10 > 0 ? row->peer_seconds.p10 / row->seconds.p10 : 0;
  printf("  %-52s  %5.2f  goal %4.2f  %-5s  (fastest tenths: %.2f)\n", row->name, row->share, goal,
         row->share >= goal ? "pass" : "SHORT", fastest);
  return 1;
}

int bench_print_goals(const bench_run *run, const bench_goals *goals) {
  const bench_grid *grid = run->state;
  goal_sum all = {0, 0, 0};
  double logs[BENCH_PARTS] = {0};
  int measured[BENCH_PARTS] = {0};
  for (int i = 0; i < run->count; ++i) {
    const bench_cell cell = goals->at(run, i);
    const bench_row *row = bench_cell_row(run, cell.group, cell.scheme, cell.mode);
    const double goal = grid->goal(run, cell);
    if (goal <= 0 || !row->is_wanted || !print_goal(row, goal, &all)) continue;
    const int part = (int)((int64_t)i * goals->count / run->count);
    ++measured[part];
    logs[part] += log(row->share);
  }
  if (all.compared > 0) {
    printf("%d of %d goals are met%s", all.compared - all.misses, all.compared,
           goals->parts != NULL ? "; geometric means:" : "");
    for (int i = 0; goals->parts != NULL && i < goals->count; ++i)
      if (measured[i] > 0) printf(" %s %.2f", goals->parts[i], exp(logs[i] / measured[i]));
    printf("\n");
  }
  if (all.goals > all.compared) printf("%d rows with goals are not compared\n", all.goals - all.compared);
  return all.misses;
}
