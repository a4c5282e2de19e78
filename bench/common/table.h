/* bench/common/table.h: what the tables of products and convolutions share: cells, letters, goals. */
#ifndef MFQ_BENCH_TABLE_H
#define MFQ_BENCH_TABLE_H

#include "record.h"

enum { BENCH_LETTERS = 32 };

/* Descriptions, each once; cells name them by letter. */
typedef struct bench_names {
  const char *items[BENCH_LETTERS];
  int count;
  char first;   /* letter */
  int is_short; /* compared and printed up to ';', behind which a plan says why nothing faster was chosen */
} bench_names;
char bench_letter(bench_names *names, const char *about);
void bench_print_names(const bench_names *names);

/* The machine, what is measured, and how. */
void bench_print_conditions(const bench_record *record, const char *what);

/* Cells: milliseconds, a rate, times the peer and, where the ceilings were measured, the share of the limit. */
int bench_cell_width(const bench_record *record);
void bench_print_columns(const bench_record *record, const char *unit);
/* A rate of `amount`. A row that is wrong or failed says so, one that was not timed is empty. */
void bench_print_cell(const bench_record *record, const bench_row *row, double amount);

/* Rows without a peer are not compared, which is no miss. */
typedef struct bench_goals {
  int goals, misses, compared;
} bench_goals;
/* One line, with a heading before the first. Returns whether the row was compared. */
int bench_print_goal(const bench_row *row, double goal, bench_goals *sum);

#endif
