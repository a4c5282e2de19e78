/* bench/common/bench_grid.h: benchmarks whose rows are groups x schemes x modes, told as tables of cells beside a peer: their
 * rows, their cells and their goals. */
#ifndef MFQ_BENCH_GRID_H
#define MFQ_BENCH_GRID_H

#include "subject.h"

/* Where a row stands. */
typedef struct bench_cell {
  int group, scheme, mode;
} bench_cell;

/* Begins the state of such a subject. */
typedef struct bench_grid {
  int groups, modes;
  bench_scheme *schemes;
  int scheme_count;

  int is_check; /* the rows that have goals, and no other */

  /* The subject's. */
  int (*name)(const bench_run *run, bench_cell cell, char *name); /* [BENCH_NAME]; 0: there is no such row */
  double (*goal)(const bench_run *run, bench_cell cell); /* as a multiple of the peer's speed; 0: it has none */
} bench_grid;

/* Reads "mxfp4_e2m1,bf16"; makes and names all rows. Return exit codes. */
int bench_grid_schemes(bench_grid *grid, const char *text);
int bench_grid_rows(bench_run *run);
void bench_grid_destroy(bench_grid *grid);

bench_cell bench_cell_of(const bench_run *run, const bench_row *row);
bench_row *bench_cell_row(const bench_run *run, int group, int scheme, int mode);
int bench_cells_wanted(const bench_run *run, int group, int scheme); /* -1: of any scheme */
int bench_grid_group(const bench_run *run, int index);               /* of a subject, `group` */

/* ---- Tables ----------------------------------------------------------------------------------------------------- */

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

/* Two lines above cells under `titles`, which NULL ends: milliseconds, a rate in `unit`, times the peer and, where the
 * ceilings were measured, the share of the limit, then `letters`. The first column is `width` wide. */
typedef struct bench_columns {
  const char *const *titles, *unit;
  int width, letters;
} bench_columns;
void bench_print_columns(const bench_run *run, const char *label, const bench_columns *columns);
/* A rate of `amount`. A row that is wrong or failed says so, one that was not timed is empty. */
void bench_print_cell(const bench_run *run, const bench_row *row, double amount);
void bench_print_right(const bench_run *run, const char *what); /* how many rows are, and what was found of them */

/* Prints each goal with its figures, in `parts` whose geometric means are told under their names; returns how many rows
 * fall short. `at` says which cell is the i-th to be told. */
enum { BENCH_PARTS = 3 };
typedef struct bench_goals {
  bench_cell (*at)(const bench_run *run, int i);
  const char *const *parts; /* NULL: no means */
  int count;                /* of parts, up to BENCH_PARTS */
} bench_goals;
int bench_print_goals(const bench_run *run, const bench_goals *goals);

#endif
