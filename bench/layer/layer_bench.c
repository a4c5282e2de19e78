/* bench_layer: what quantizers cost in a step of training, forward and backward, of a linear layer and of a block of
 * convolutions: beside the same step without them, and their casts alone. Checks, then times, row by row. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/common/ceilings.h"
#include "layer_bench.h"

static int64_t count_of(const mfq_tensor *t) {
  int64_t count = 1;
  for (int32_t d = 0; d < t->rank; ++d) count *= t->shape[d];
  return count;
}

static int begin(bench_run *run, int group) {
  layer_bench *l = run->state;
  const int code = layer_memory_create(run, &l->blocks[group], &l->memory);
  const size_t count = code == BENCH_OK ? (size_t)count_of(&l->memory.dw[0].tensor) : 0;
  l->gradient = malloc((count + 1) * sizeof *l->gradient);
  l->plain_gradient = malloc((count + 1) * sizeof *l->plain_gradient);
  if (l->gradient == NULL || l->plain_gradient == NULL) return bench_error(BENCH_FAILED, "no memory for gradients");
  return code;
}

static void end(bench_run *run) {
  layer_bench *l = run->state;
  layer_step_destroy(&l->plain);
  layer_memory_destroy(&l->memory);
  free(l->gradient);
  free(l->plain_gradient);
  l->gradient = l->plain_gradient = NULL;
}

static void close_bench(bench_run *run) {
  layer_bench *l = run->state;
  free(l->blocks);
  free(l->recipes);
  free(l->grid.schemes);
}

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

/* The gradient of the first weight, to which everything before it leads. */
static int read_gradient(const layer_bench *l, float *values) {
  const layer_tensor *dw = &l->memory.dw[0];
  return bench_status(bench_read_values(dw->slots.buffer, dw->tensor.dtype, 0, count_of(&dw->tensor), values),
                      "the gradient");
}

/* What is lost to formats of 4 bits in a block is a third; an element that is wrong by its exponent is more than all. */
static int check_gradient(layer_bench *l, const char *name) {
  static const double most = 0.7;
  double difference = 0, all = 0;
  const int code = read_gradient(l, l->gradient);
  if (code != BENCH_OK) return code;
  for (int64_t i = 0; i < count_of(&l->memory.dw[0].tensor); ++i) {
    const double by = (double)l->gradient[i] - (double)l->plain_gradient[i];
    difference += by * by;
    all += (double)l->plain_gradient[i] * (double)l->plain_gradient[i];
  }
  const double part = sqrt(difference / all);
  if (part <= most) return BENCH_OK;
  return bench_error(BENCH_WRONG, "%s: the gradient of the first weight is %.3g of its length off; allowed is %.1f",
                     name, part, most);
}

/* ---- The peer --------------------------------------------------------------------------------------------------- */

static int peer(bench_run *run, char *about, bench_racer *racer) {
  layer_bench *l = run->state;
  int code = layer_step_create(&l->memory, NULL, &l->plain);
  if (code != BENCH_OK) return code;
  (void)snprintf(about, BENCH_ABOUT, "the same step without quantizers: %s", mfq_layer_describe(l->plain.layers[0]));
  for (char *c = about; *c != '\0'; ++c) *c = *c == '\n' ? ',' : *c;
  racer->launches = (bench_launches){layer_step_launch, &l->plain, 0, 1};
  code = bench_try(run, "the peer", &l->memory.dw[0].slots, NULL, racer);
  return code == BENCH_OK ? read_gradient(l, l->plain_gradient) : code;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

/* Each tensor is read or written once at least. */
static double bytes_of_step(const layer_memory *m) {
  double bytes = 0;
  for (int i = 0; i <= m->block->count; ++i) {
    bytes += (double)m->x[i].slots.bytes + (double)m->dx[i].slots.bytes;
    if (i < m->block->count) bytes += (double)m->w[i].slots.bytes + (double)m->dw[i].slots.bytes;
  }
  return bytes;
}
static double bytes_of_casts(const layer_casts *c) {
  double bytes = 0;
  for (int i = 0; i < c->count; ++i) {
    const mfq_tensor *src = &c->casts[i].src;
    bytes += (double)count_of(src) * (double)mfq_dtype_bytes(src->dtype);
    for (int k = 0; k < 2; ++k) bytes += c->casts[i].has[k] ? bench_stored_bytes(&c->casts[i].q[k]) : 0;
  }
  return bytes;
}

static void describe(const layer_step *step, bench_row *row) {
  (void)snprintf(row->about, sizeof row->about, "%s", mfq_layer_describe(step->layers[0]));
  for (char *c = row->about; *c != '\0'; ++c) *c = *c == '\n' ? ',' : *c;
}

static int ready(bench_run *run, bench_row *row, int place, bench_racer *racer) {
  layer_bench *l = run->state;
  const bench_cell cell = bench_cell_of(run, row);
  const mfq_recipe *recipe = &l->recipes[cell.scheme];
  (void)place; /* one row a batch */
  if (cell.mode == LAYER_MODE_CASTS) {
    const int code = layer_casts_create(&l->memory, recipe, &l->casts);
    (void)snprintf(row->about, sizeof row->about, "%d calls of mfq_quantize", l->casts.count);
    racer->launches = (bench_launches){layer_casts_launch, &l->casts, 0, 1};
    row->bytes = bytes_of_casts(&l->casts);
    double seconds = 0;
    return code == BENCH_OK ? bench_sample(run->context, racer, &seconds) : code;
  }
  int code = layer_step_create(&l->memory, recipe, &l->step);
  if (code != BENCH_OK) return code;
  describe(&l->step, row);
  row->flops = layer_block_flops(l->memory.block);
  row->bytes = bytes_of_step(&l->memory);
  racer->launches = (bench_launches){layer_step_launch, &l->step, 0, 1};
  code = bench_try(run, row->name, &l->memory.dw[0].slots, NULL, racer);
  return code == BENCH_OK ? check_gradient(l, row->name) : code;
}

static void forget(bench_run *run, int place) {
  layer_bench *l = run->state;
  (void)place;
  layer_step_destroy(&l->step);
  layer_casts_destroy(&l->casts);
}

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

static void print_row(const bench_run *run, int group, int recipe) {
  const layer_bench *l = run->state;
  const bench_row *step = bench_cell_row(run, group, recipe, LAYER_MODE_STEP),
                  *casts = bench_cell_row(run, group, recipe, LAYER_MODE_CASTS);
  if (!step->is_wanted && !casts->is_wanted) return;
  printf("  %-52s ", l->grid.schemes[recipe].text);
  const char *bad = step->verdict == BENCH_ROW_WRONG ? "WRONG" : step->verdict == BENCH_ROW_FAILED ? "FAILED" : "";
  if (!(step->seconds.median > 0))
    printf("%9s %7s %6s", bad, "", "");
  else
    printf("%9.2f %7.1f %6.2f", 1e3 * step->seconds.median, bench_giga(step, step->flops), 1 / step->share);
  if (casts->seconds.median > 0) printf(" %9.2f", 1e3 * casts->seconds.median);
  if (casts->seconds.median > 0 && step->seconds.median > 0)
    printf(" %5.1f%%", 100 * casts->seconds.median / step->seconds.median);
  printf("\n");
}

static void print_all(const bench_run *run) {
  const layer_bench *l = run->state;
  char what[128];
  (void)snprintf(what, sizeof what, "all tensors are %s, inputs are normal random numbers", run->settings.out);
  bench_print_conditions(run, what);
  printf(
      "A step is forward and backward of a block's layers, with gradients of input and weight. x: of the time that it\n"
      "takes without quantizers, median over neighbouring runs. Casts: the quantization of a step alone. ");
  bench_print_again(run, "--blocks BLOCK --recipes RECIPE");
  for (int group = 0; !run->settings.only_verify && group < l->block_count; ++group) {
    if (bench_cells_wanted(run, group, -1) == 0) continue;
    printf("\n%s; %s\n  %-52s %9s %7s %6s %9s %6s\n", l->blocks[group].text, run->peers[group], "", "ms", "GFLOP/s",
           "x", "casts ms", "");
    for (int recipe = 0; recipe < l->grid.scheme_count; ++recipe) print_row(run, group, recipe);
  }
  bench_print_right(run, "gradients of the first weight are near those without quantizers");
}

static json_t *row_json(const bench_run *run, const bench_row *row) {
  const layer_bench *l = run->state;
  const bench_cell cell = bench_cell_of(run, row);
  const char *block = l->blocks[cell.group].text, *recipe = l->grid.schemes[cell.scheme].text;
  char before[BENCH_NAME];
  const mfq_layer_memory bytes = layer_step_bytes(&l->step);
  (void)snprintf(before, sizeof before, "--blocks '%s' --recipes '%s' ", block, recipe);
  return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "block", block, "recipe", recipe, "mode",
                   layer_mode_names[cell.mode], "gflop_per_second", bench_number_json(bench_giga(row, row->flops)),
                   "times_plain_step", bench_number_json(row->share > 0 ? 1 / row->share : 0), "state_bytes",
                   bench_number_json((double)bytes.state), "kept_bytes", bench_number_json((double)bytes.kept), "goal",
                   bench_number_json(l->grid.goal(run, cell)), "reproduce", bench_again_json(run, row, before, ""));
}

static const bench_subject subject = {.name = "layer",
                                      .repetitions = 11,
                                      .row_bytes = sizeof(bench_row),
                                      .batch = 1,
                                      .parse = layer_parse,
                                      .list = layer_list,
                                      .group = bench_grid_group,
                                      .open = bench_ceilings_measure,
                                      .close = close_bench,
                                      .begin = begin,
                                      .peer = peer,
                                      .end = end,
                                      .ready = ready,
                                      .forget = forget,
                                      .json = row_json,
                                      .print = print_all,
                                      .misses = layer_misses};

int main(int argc, char **argv) {
  static layer_bench state;
  return bench_main(&subject, &state, argc, argv);
}
