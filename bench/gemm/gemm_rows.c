/* bench/gemm/gemm_rows.c: which products are measured on what kind of device, and how fast they must be. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gemm_bench.h"

enum { MAX_SIZES = 256, LISTED = 12 };

/* Every m with every n x k, then squares. Zeros end the lists. */
typedef struct size_list {
  int64_t m[LISTED], nk[LISTED][2], squares[LISTED];
} size_list;

/* n x k: the projections of Llama 8B (4096 x 4096, 14336 x 4096, 4096 x 14336, 6144 x 4096) and 70B (8192, 28672). */
static const size_list size_lists[2][2] = {
    {{{1, 8, 16, 128}, {{4096, 4096}}, {512, 1024, 2048}},
     {{1, 4, 16, 32, 64, 128, 256, 512, 2048},
      {{4096, 4096}, {14336, 4096}, {4096, 14336}, {6144, 4096}, {8192, 8192}},
      {512, 1024, 2048, 4096}}},
    {{{1, 16, 64, 512}, {{8192, 8192}, {14336, 4096}}, {4096, 8192}},
     {{1, 4, 16, 32, 64, 128, 256, 512, 2048, 8192, 16384},
      {{4096, 4096}, {14336, 4096}, {4096, 14336}, {6144, 4096}, {8192, 8192}, {28672, 8192}, {8192, 28672}},
      {1024, 2048, 4096, 8192, 16384}}}};

static const char default_schemes[] = "bf16,mxfp8_e4m3,mxfp8_e5m2,mxfp6_e3m2,mxfp6_e2m3,mxfp4_e2m1,mxint8,nvfp4,"
                                      "fp8_e4m3_tensor,fp8_e4m3_channel,int8_channel,int4_group32,int4_group128";

/* Rows of this size and mode whose scheme starts with `schemes` are at least `share` times as fast as the peer. */
static const struct {
  gemm_size size;
  gemm_mode mode;
  const char *schemes;
  double share;
} goals[] = {
    {{1024, 1024, 1024}, GEMM_QUANTIZED, "mx", 0.85},  {{4096, 4096, 4096}, GEMM_QUANTIZED, "mx", 0.85},
    {{1024, 1024, 1024}, GEMM_WAY_IN, "mx", 0.75},     {{4096, 4096, 4096}, GEMM_WAY_IN, "mx", 0.75},
    {{1, 4096, 4096}, GEMM_WEIGHT_ONLY, "mxfp4", 2.0},
};
enum { GOALS = sizeof goals / sizeof goals[0] };

int gemm_parse(bench_run *run, int argc, char **argv) {
  bench_settings *s = &run->settings;
  gemm_bench *g = run->state;
  const struct poptOption own[] = {
      {"shapes", 0, POPT_ARG_STRING, &g->shapes, 0, "MxNxK, several separated by ','", "LIST"},
      {"schemes", 's', POPT_ARG_STRING, &g->schemes, 0, "schemes separated by ',' (bf16: not quantized)", "LIST"},
      {"filter", 'f', POPT_ARG_STRING, &s->filter, 0,
       "only rows 'MxNxK quantized|way-in|weight-only SCHEME' that match", "REGEX"},
      {"full", 0, POPT_ARG_NONE, &g->is_full, 0, "many more sizes (an hour on two cores)", NULL},
      {"out", 0, POPT_ARG_STRING, &s->out, 0, "type of D: f32, bf16 (default: f32; bf16 on a device)", "TYPE"},
      {"reproducible", 0, POPT_ARG_NONE, &s->is_reproducible, 0, "the policy MFQ_REPRODUCIBLE", NULL},
      {"check", 0, POPT_ARG_NONE, &g->grid.is_check, 0, "only rows that have goals, and how far they are from them",
       NULL},
      POPT_TABLEEND};
  const int code = bench_parse(s, own, argc, argv);
  if (code != BENCH_OK) return code;
  if (s->out == NULL) s->out = s->device != NULL ? "bf16" : "f32";
  if (g->grid.is_check && s->device != NULL)
    return bench_error(BENCH_USAGE, "--check: the goals are those of the CPU; leave --device out");
  return bench_choose_out(s);
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------ */

static void add_size(gemm_bench *g, int64_t m, int64_t n, int64_t k) {
  for (int i = 0; i < g->grid.groups; ++i)
    if (g->sizes[i].m == m && g->sizes[i].n == n && g->sizes[i].k == k) return;
  if (g->grid.groups < MAX_SIZES) g->sizes[g->grid.groups++] = (gemm_size){m, n, k};
}

static int parse_sizes(gemm_bench *g) {
  for (const char *at = g->shapes; *at != '\0';) {
    long long m, n, k;
    int used = 0;
    if (sscanf(at, "%lldx%lldx%lld%n", &m, &n, &k, &used) != 3 || (at[used] != '\0' && at[used] != ',') || m < 1 ||
        n < 1 || k < 1 || m > (1 << 20) || n > (1 << 20) || k > (1 << 20))
      return bench_error(BENCH_USAGE,
                         "--shapes: '%s' is not MxNxK with sizes of 1 ... 1048576, several separated by ','", at);
    add_size(g, m, n, k);
    at += used + (at[used] == ',');
  }
  return g->grid.groups > 0 ? BENCH_OK : bench_error(BENCH_USAGE, "--shapes names no product");
}

static int choose_sizes(gemm_bench *g, int is_device) {
  const size_list *list = &size_lists[is_device][g->is_full != 0];
  if (g->shapes != NULL) return parse_sizes(g);
  for (int i = 0; g->grid.is_check && i < GOALS; ++i) add_size(g, goals[i].size.m, goals[i].size.n, goals[i].size.k);
  if (g->grid.is_check) return BENCH_OK;
  for (int i = 0; list->nk[i][0] > 0; ++i)
    for (int j = 0; list->m[j] > 0; ++j) add_size(g, list->m[j], list->nk[i][0], list->nk[i][1]);
  for (int i = 0; list->squares[i] > 0; ++i) add_size(g, list->squares[i], list->squares[i], list->squares[i]);
  return BENCH_OK;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

const char *gemm_mode_name(int mode) {
  static const char *const names[GEMM_MODES] = {"quantized", "way-in", "weight-only"};
  return names[mode];
}

/* Rows of the plain scheme exist in the first mode only. */
static int name_row(const bench_run *run, bench_cell cell, char *name) {
  const gemm_bench *g = run->state;
  const gemm_size *size = &g->sizes[cell.group];
  const bench_scheme *scheme = &g->grid.schemes[cell.scheme];
  (void)snprintf(name, BENCH_NAME, "%" PRId64 "x%" PRId64 "x%" PRId64 " %s %s", size->m, size->n, size->k,
                 gemm_mode_name(cell.mode), scheme->text);
  return !scheme->is_plain || cell.mode == GEMM_QUANTIZED;
}

double gemm_goal(const bench_run *run, bench_cell cell) {
  const gemm_bench *g = run->state;
  const gemm_size *size = &g->sizes[cell.group];
  const char *scheme = g->grid.schemes[cell.scheme].text;
  for (int i = 0; run->settings.device == NULL && i < GOALS; ++i)
    if (goals[i].size.m == size->m && goals[i].size.n == size->n && goals[i].size.k == size->k &&
        (int)goals[i].mode == cell.mode && strncmp(scheme, goals[i].schemes, strlen(goals[i].schemes)) == 0)
      return goals[i].share;
  return 0;
}

int gemm_list(bench_run *run) {
  gemm_bench *g = run->state;
  bench_grid *grid = &g->grid;
  grid->modes = GEMM_MODES;
  grid->name = name_row;
  grid->goal = gemm_goal;
  g->sizes = calloc(MAX_SIZES, sizeof *g->sizes);
  if (g->sizes == NULL) return bench_error(BENCH_FAILED, "no memory for the sizes");
  int code = choose_sizes(g, run->settings.device != NULL);
  if (code == BENCH_OK) code = bench_grid_schemes(grid, g->schemes != NULL ? g->schemes : default_schemes);
  /* Operands are [M, K] and [N, K]: groups along K, channels along M and N. */
  for (int i = 0; code == BENCH_OK && i < grid->scheme_count; ++i) {
    mfq_scheme *scheme = &grid->schemes[i].scheme;
    if (scheme->granularity == MFQ_GRANULARITY_GROUP) scheme->axis = 1;
    if (scheme->granularity == MFQ_GRANULARITY_CHANNEL) scheme->axis = 0;
  }
  return code == BENCH_OK ? bench_grid_rows(run) : code;
}
