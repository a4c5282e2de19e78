/* bench/common/bench_grid.c: from the texts of schemes to rows. */
#include "bench_grid.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SCHEMES = 64 };

bench_row *bench_cell_row(const bench_run *run, int group, int scheme, int mode) {
  const bench_grid *grid = run->state;
  return bench_row_at(run, (group * grid->scheme_count + scheme) * grid->modes + mode);
}

static bench_cell cell_at(const bench_grid *grid, int index) {
  const int column = index / grid->modes;
  return (bench_cell){column / grid->scheme_count, column % grid->scheme_count, index % grid->modes};
}

bench_cell bench_cell_of(const bench_run *run, const bench_row *row) {
  return cell_at(run->state, (int)(row - bench_row_at(run, 0)));
}

int bench_grid_group(const bench_run *run, int index) { return cell_at(run->state, index).group; }

int bench_cells_wanted(const bench_run *run, int group, int scheme) {
  const bench_grid *grid = run->state;
  int wanted = 0;
  for (int s = scheme < 0 ? 0 : scheme; s < (scheme < 0 ? grid->scheme_count : scheme + 1); ++s)
    for (int mode = 0; mode < grid->modes; ++mode) wanted += bench_cell_row(run, group, s, mode)->is_wanted;
  return wanted;
}

static int add_scheme(bench_grid *grid, const char *text, size_t length) {
  bench_scheme *s = &grid->schemes[grid->scheme_count];
  if (grid->scheme_count == MAX_SCHEMES || length >= sizeof s->text)
    return bench_error(BENCH_USAGE, "--schemes: at most %d, of %zu characters each", MAX_SCHEMES, sizeof s->text - 1);
  memcpy(s->text, text, length);
  s->text[length] = '\0';
  s->is_plain = strcmp(s->text, "bf16") == 0;
  if (!s->is_plain && mfq_scheme_parse(s->text, &s->scheme) != MFQ_OK)
    return bench_error(BENCH_USAGE, "--schemes: %s", mfq_last_error());
  if (!s->is_plain && s->scheme.scale != MFQ_SCALE_NONE && s->scheme.rule == MFQ_RULE_GIVEN)
    return bench_error(BENCH_USAGE, "--schemes: %s takes scales from its caller, and there are none here", s->text);
  ++grid->scheme_count;
  return BENCH_OK;
}

int bench_grid_schemes(bench_grid *grid, const char *text) {
  int code = BENCH_OK;
  grid->schemes = calloc(MAX_SCHEMES + 1, sizeof *grid->schemes);
  if (grid->schemes == NULL) return bench_error(BENCH_FAILED, "no memory for the schemes");
  for (const char *at = text; code == BENCH_OK && *at != '\0';) {
    const size_t length = strcspn(at, ",");
    if (length > 0) code = add_scheme(grid, at, length);
    at += length + (at[length] == ',');
  }
  if (code == BENCH_OK && grid->scheme_count == 0) code = bench_error(BENCH_USAGE, "--schemes names no scheme");
  return code;
}

int bench_grid_rows(bench_run *run) {
  const bench_grid *grid = run->state;
  const int code = bench_make_rows(run, grid->groups * grid->scheme_count * grid->modes, grid->groups);
  for (int i = 0; code == BENCH_OK && i < run->count; ++i) {
    const bench_cell cell = cell_at(grid, i);
    bench_row *row = bench_row_at(run, i);
    row->is_wanted = grid->name(run, cell, row->name) && (!grid->is_check || grid->goal(run, cell) > 0);
  }
  return code;
}
