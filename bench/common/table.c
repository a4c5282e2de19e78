/* bench/common/table.c: cells, letters, goals. */
#include "table.h"

#include <string.h>

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

/* ---- Headings --------------------------------------------------------------------------------------------------- */

static int has_limits(const bench_record *record) { return record->ceilings.bf16 > 0; }

void bench_print_conditions(const bench_record *record, const char *what) {
  const bench_settings *s = record->settings;
  const bench_ceilings *c = &record->ceilings;
  char model[256];
  bench_cpu_model(model, sizeof model);
  if (s->device == NULL) printf("%s; ", model);
  printf("%s\n%s, seed %lld; median of %d samples%s%s\n", mfq_context_describe(record->context), what, s->seed,
         s->repetitions, s->is_reproducible ? "; MFQ_REPRODUCIBLE" : "", s->only_verify ? "; checked, not timed" : "");
  if (bench_is_emulated(record->context)) printf("THE DEVICE IS EMULATED: THESE TIMES SAY NOTHING ABOUT ANY GPU\n");
  if (has_limits(record))
    printf("limit: share of what is possible, by a copy of %.1f GB/s and products of %.1f TFLOP/s (bf16), %.1f (FP8)\n",
           1e-9 * c->copy, 1e-12 * c->bf16, 1e-12 * c->fp8);
}

/* ---- Cells ------------------------------------------------------------------------------------------------------ */

int bench_cell_width(const bench_record *record) { return has_limits(record) ? 32 : 25; }

void bench_print_columns(const bench_record *record, const char *unit) {
  printf("%9s %8s %6s", "ms", unit, "x peer");
  if (has_limits(record)) printf(" %6s", "limit");
}

void bench_print_cell(const bench_record *record, const bench_row *row, double amount) {
  const char *bad = row->verdict == BENCH_ROW_WRONG ? "WRONG" : row->verdict == BENCH_ROW_FAILED ? "FAILED" : "";
  if (!(row->seconds.median > 0)) {
    printf("%9s%*s", bad, bench_cell_width(record) - 9, "");
    return;
  }
  printf("%9.3f %8.1f ", 1e3 * row->seconds.median, bench_giga(row, amount));
  if (row->share > 0)
    printf("%6.2f", row->share);
  else
    printf("%6s", "-");
  if (has_limits(record)) printf(" %5.1f%%", 100 * row->limit_seconds / row->seconds.median);
}

/* ---- Goals ------------------------------------------------------------------------------------------------------ */

int bench_print_goal(const bench_row *row, double goal, bench_goals *sum) {
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
