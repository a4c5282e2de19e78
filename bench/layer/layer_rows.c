/* bench/layer/layer_rows.c: which steps are measured, and what they may cost. */
#include <stdlib.h>
#include <string.h>

#include "layer_bench.h"

enum { MAX_BLOCKS = 32, MAX_RECIPES = 32 };

const char *const layer_mode_names[LAYER_MODES + 1] = {"step", "casts", NULL};

/* A linear layer, and a bottleneck of ResNet-50. */
static const char all_blocks[] = "512x4096-4096,8x1024x14x14-256x1x1/256x3x3/1024x1x1";
static const char all_recipes[] = "none,mxfp8,mxfp8_square,nvfp4,all=int8_tensor";

/* What a step may cost beside one without quantizers, on the CPU: as speeds. */
static const struct {
  const char *recipe;
  double share;
} goals[] = {{"mxfp8", 1 / 1.25}, {"mxfp8_square", 1 / 1.15}};
/* And how much of a step of rows this wide quantization may be. */
static const double most_of_casts = 0.15;
enum { WIDE = 4096 };

int layer_parse(bench_run *run, int argc, char **argv) {
  bench_settings *s = &run->settings;
  layer_bench *l = run->state;
  s->out = "f32";
  const struct poptOption own[] = {
      {"blocks", 0, POPT_ARG_STRING, &l->blocks_text, 0,
       "ROWSxK-N, a linear layer, or NxCxHxW-KxRxS/KxRxS..., convolutions, several separated by ','", "LIST"},
      {"recipes", 0, POPT_ARG_STRING, &l->recipes_text, 0, "recipes separated by ','", "LIST"},
      {"filter", 'f', POPT_ARG_STRING, &s->filter, 0, "only rows 'BLOCK RECIPE step|casts' that match", "REGEX"},
      {"out", 0, POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &s->out, 0, "type of all tensors: bf16, f32", "TYPE"},
      {"reproducible", 0, POPT_ARG_NONE, &s->is_reproducible, 0, "the policy MFQ_REPRODUCIBLE", NULL},
      {"check", 0, POPT_ARG_NONE, &l->grid.is_check, 0, "only rows that have goals, and how far they are from them",
       NULL},
      POPT_TABLEEND};
  const int code = bench_parse(s, own, argc, argv);
  return code == BENCH_OK ? bench_choose_out(s) : code;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

static int add_block(layer_bench *l, const char *text, size_t length) {
  if (l->block_count < MAX_BLOCKS && layer_block_parse(text, length, &l->blocks[l->block_count])) {
    ++l->block_count;
    return BENCH_OK;
  }
  return bench_error(BENCH_USAGE,
                     "--blocks: '%.*s' is neither ROWSxK-N nor NxCxHxW-KxRxS/KxRxS... with sizes of 1 ... 1048576 and "
                     "filters of odd sizes; at most %d, of %d layers each",
                     (int)length, text, MAX_BLOCKS, LAYER_MOST);
}

static int add_recipe(layer_bench *l, const char *text, size_t length) {
  bench_scheme *s = &l->grid.schemes[l->grid.scheme_count];
  if (l->grid.scheme_count == MAX_RECIPES || length >= sizeof s->text)
    return bench_error(BENCH_USAGE, "--recipes: at most %d, of %zu characters each", MAX_RECIPES, sizeof s->text - 1);
  memcpy(s->text, text, length);
  s->text[length] = '\0';
  if (mfq_recipe_parse(s->text, &l->recipes[l->grid.scheme_count]) != MFQ_OK)
    return bench_error(BENCH_USAGE, "--recipes: %s", mfq_last_error());
  ++l->grid.scheme_count;
  return BENCH_OK;
}

static int each(layer_bench *l, const char *text, int (*add)(layer_bench *, const char *, size_t)) {
  int code = BENCH_OK;
  for (const char *at = text; code == BENCH_OK && *at != '\0';) {
    const size_t length = strcspn(at, ",");
    code = add(l, at, length);
    at += length + (at[length] == ',');
  }
  return code;
}

static int has_casts(const mfq_phase *phase) {
  for (int place = 0; place < MFQ_PLACE_Y; ++place)
    if (phase->places[place].take == MFQ_TAKE_QUANTIZED) return 1;
  return 0;
}

static int name_row(const bench_run *run, bench_cell cell, char *name) {
  const layer_bench *l = run->state;
  (void)snprintf(name, BENCH_NAME, "%s %s %s", l->blocks[cell.group].text, l->grid.schemes[cell.scheme].text,
                 layer_mode_names[cell.mode]);
  return cell.mode == LAYER_MODE_STEP || has_casts(&l->recipes[cell.scheme].phases[0]);
}

static double goal(const bench_run *run, bench_cell cell) {
  const layer_bench *l = run->state;
  if (run->settings.device != NULL || cell.mode != LAYER_MODE_STEP || l->blocks[cell.group].is_conv) return 0;
  for (size_t i = 0; i < sizeof goals / sizeof goals[0]; ++i)
    if (strcmp(l->grid.schemes[cell.scheme].text, goals[i].recipe) == 0) return goals[i].share;
  return 0;
}

int layer_list(bench_run *run) {
  layer_bench *l = run->state;
  bench_grid *grid = &l->grid;
  l->blocks = calloc(MAX_BLOCKS, sizeof *l->blocks);
  l->recipes = calloc(MAX_RECIPES, sizeof *l->recipes);
  grid->schemes = calloc(MAX_RECIPES + 1, sizeof *grid->schemes);
  if (l->blocks == NULL || l->recipes == NULL || grid->schemes == NULL)
    return bench_error(BENCH_FAILED, "no memory for the blocks");
  int code = each(l, l->blocks_text != NULL ? l->blocks_text : all_blocks, add_block);
  if (code == BENCH_OK) code = each(l, l->recipes_text != NULL ? l->recipes_text : all_recipes, add_recipe);
  if (code == BENCH_OK && (l->block_count == 0 || grid->scheme_count == 0))
    code = bench_error(BENCH_USAGE, l->block_count == 0 ? "--blocks names none" : "--recipes names none");
  grid->groups = l->block_count;
  grid->modes = LAYER_MODES;
  grid->name = name_row;
  grid->goal = goal;
  return code == BENCH_OK ? bench_grid_rows(run) : code;
}

/* ---- Goals ------------------------------------------------------------------------------------------------------ */

/* Block by block, recipe by recipe. */
static bench_cell goal_at(const bench_run *run, int i) {
  const layer_bench *l = run->state;
  const int column = i / LAYER_MODES;
  return (bench_cell){column / l->grid.scheme_count, column % l->grid.scheme_count, i % LAYER_MODES};
}

/* How many of the rows that have a goal for the step take too long to quantize. */
static int print_casts(const bench_run *run) {
  const layer_bench *l = run->state;
  int misses = 0;
  for (int i = 0; i < run->count; ++i) {
    const bench_cell cell = goal_at(run, i);
    if (goal(run, cell) <= 0 || l->blocks[cell.group].features[0] < WIDE) continue;
    const bench_row *step = bench_cell_row(run, cell.group, cell.scheme, LAYER_MODE_STEP),
                    *casts = bench_cell_row(run, cell.group, cell.scheme, LAYER_MODE_CASTS);
    if (!(step->seconds.median > 0) || !(casts->seconds.median > 0)) continue;
    const double part = casts->seconds.median / step->seconds.median;
    printf("  %-52s  quantization is %4.1f %% of the step, goal %2.0f %%  %s\n", step->name, 100 * part,
           100 * most_of_casts, part <= most_of_casts ? "pass" : "SHORT");
    misses += part > most_of_casts;
  }
  return misses;
}

int layer_misses(const bench_run *run) {
  const layer_bench *l = run->state;
  const bench_goals goals_at = {goal_at, NULL, 1};
  if ((!l->grid.is_check && !run->settings.is_gate) || run->settings.only_verify) return 0;
  const int misses = bench_print_goals(run, &goals_at);
  return misses + print_casts(run);
}
