/* bench/conv/conv_rows.c: which convolutions are measured, and how fast they must be. */
#include <stdlib.h>
#include <string.h>

#include "conv_bench.h"

enum { MAX_SHAPES = 256 };

static const char one_scheme[] = "mxfp8_e4m3";
static const char mx_schemes[] = "mxfp8_e4m3,mxfp8_e5m2,mxfp6_e3m2,mxfp6_e2m3,mxfp4_e2m1,mxint8";

/* MX schemes, in each direction, beside bf16: on the CPU, on a GPU. */
static const struct {
  int64_t channels; /* at least, of input and output */
  double share;
} goals[2] = {{64, 0.7}, {128, 0.85}};

const char *const conv_direction_names[CONV_DIRECTIONS + 1] = {"forward", "input-gradient", "weight-gradient", NULL};

int conv_parse(bench_run *run, int argc, char **argv) {
  bench_settings *s = &run->settings;
  conv_bench *c = run->state;
  s->out = "bf16";
  const struct poptOption own[] = {
      {"shapes", 0, POPT_ARG_STRING, &c->shapes_text, 0,
       "NxCxHxW-KxRxS, then s<stride>, p<padding>, g<groups>, several separated by ',' (default: layers of ResNet-50, "
       "ConvNeXt and a UNet)",
       "LIST"},
      {"schemes", 's', POPT_ARG_STRING, &c->schemes_text, 0,
       "schemes separated by ',' (default: one, with --check the MX schemes; bf16: not quantized)", "LIST"},
      {"filter", 'f', POPT_ARG_STRING, &s->filter, 0,
       "only rows 'LAYER forward|input-gradient|weight-gradient SCHEME' that match", "REGEX"},
      {"out", 0, POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &s->out, 0, "type of the results: bf16, f32", "TYPE"},
      {"reproducible", 0, POPT_ARG_NONE, &s->is_reproducible, 0, "the policy MFQ_REPRODUCIBLE", NULL},
      {"check", 0, POPT_ARG_NONE, &c->grid.is_check, 0, "only rows that have goals, and how far they are from them",
       NULL},
      POPT_TABLEEND};
  const int code = bench_parse(s, own, argc, argv);
  return code == BENCH_OK ? bench_choose_out(s) : code;
}

/* ---- Shapes ----------------------------------------------------------------------------------------------------- */

/* A layer of the list has the goal of its network, also when it is given as text. */
static void name_network(conv_shape *shape, int is_device) {
  conv_shape known;
  char text[CONV_SHAPE_TEXT], other[CONV_SHAPE_TEXT];
  conv_shape_print(shape, text, sizeof text);
  for (int k = 0; conv_shape_get(k, is_device, &known); ++k) {
    conv_shape_print(&known, other, sizeof other);
    if (strcmp(text, other) == 0) shape->network = known.network;
  }
}

static int parse_shapes(conv_bench *c, const char *text, int is_device) {
  while (*text != '\0') {
    conv_shape shape;
    const char *end = conv_shape_parse(text, &shape);
    if (end == NULL || (*end != '\0' && *end != ','))
      return bench_error(BENCH_USAGE,
                         "--shapes: '%s' is not NxCxHxW-KxRxS with sizes of 1 ... 1048576, then s<stride>, p<padding>, "
                         "g<groups> or nothing; several separated by ','",
                         text);
    if (c->shape_count == MAX_SHAPES) return bench_error(BENCH_USAGE, "--shapes: at most %d", MAX_SHAPES);
    name_network(&shape, is_device);
    c->shapes[c->shape_count++] = shape;
    text = end + (*end == ',');
  }
  return c->shape_count > 0 ? BENCH_OK : bench_error(BENCH_USAGE, "--shapes names no layer");
}

static int choose_shapes(conv_bench *c, int is_device) {
  c->shapes = calloc(MAX_SHAPES + 1, sizeof *c->shapes);
  if (c->shapes == NULL) return bench_error(BENCH_FAILED, "no memory for the layers");
  if (c->shapes_text != NULL) return parse_shapes(c, c->shapes_text, is_device);
  while (c->shape_count < MAX_SHAPES && conv_shape_get(c->shape_count, is_device, &c->shapes[c->shape_count]))
    ++c->shape_count;
  return BENCH_OK;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

const conv_shape *conv_shape_of(const conv_bench *c, int group) { return &c->shapes[group / CONV_DIRECTIONS]; }

/* Groups of channels share the weight's last axis, so that channels of the input's gradient have no scale of their own
 * there. */
static int name_row(const bench_run *run, bench_cell cell, char *name) {
  const conv_bench *c = run->state;
  const conv_shape *shape = conv_shape_of(c, cell.group);
  const bench_scheme *scheme = &c->grid.schemes[cell.scheme];
  const int direction = cell.group % CONV_DIRECTIONS;
  char text[CONV_SHAPE_TEXT];
  conv_shape_print(shape, text, sizeof text);
  (void)snprintf(name, BENCH_NAME, "%s %s %s", text, conv_direction_names[direction], scheme->text);
  return direction != MFQ_CONV_INPUT_GRADIENT || shape->groups == 1 || scheme->is_plain ||
         scheme->scheme.granularity != MFQ_GRANULARITY_CHANNEL;
}

double conv_goal(const bench_run *run, bench_cell cell) {
  const conv_bench *c = run->state;
  const conv_shape *shape = conv_shape_of(c, cell.group);
  const int is_device = run->settings.device != NULL;
  const int is_meant =
      strcmp(shape->network, "ResNet-50") == 0 && strncmp(c->grid.schemes[cell.scheme].text, "mx", 2) == 0 &&
      shape->in_channels >= goals[is_device].channels && shape->out_channels >= goals[is_device].channels;
  return is_meant ? goals[is_device].share : 0;
}

int conv_list(bench_run *run) {
  conv_bench *c = run->state;
  bench_grid *grid = &c->grid;
  const char *schemes = c->schemes_text != NULL ? c->schemes_text : grid->is_check ? mx_schemes : one_scheme;
  int code = choose_shapes(c, run->settings.device != NULL);
  if (code == BENCH_OK) code = bench_grid_schemes(grid, schemes);
  grid->groups = c->shape_count * CONV_DIRECTIONS;
  grid->modes = 1;
  grid->name = name_row;
  grid->goal = conv_goal;
  return code == BENCH_OK ? bench_grid_rows(run) : code;
}
