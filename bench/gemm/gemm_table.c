/* bench/gemm/gemm_table.c: which products are measured on what kind of device. */
#include "gemm_table.h"

#include <inttypes.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIZES = 256, MAX_SCHEMES = 64, LISTED = 12 };

/* Every m with every n x k, then squares. Zeros end the lists. */
typedef struct size_list {
  int64_t m[LISTED], nk[LISTED][2], squares[LISTED];
} size_list;

/* n x k: the projections of Llama 8B (4096 x 4096, 14336 x 4096, 4096 x 14336, 6144 x 4096) and 70B (8192, 28672). */
static const size_list size_lists[2][2] = {
    {{{1, 16, 128}, {{4096, 4096}}, {512, 1024, 2048}},
     {{1, 4, 16, 32, 64, 128, 256, 512, 2048},
      {{4096, 4096}, {14336, 4096}, {4096, 14336}, {6144, 4096}, {8192, 8192}},
      {512, 1024, 2048, 4096}}},
    {{{1, 16, 64, 512}, {{8192, 8192}, {14336, 4096}}, {4096, 8192}},
     {{1, 4, 16, 32, 64, 128, 256, 512, 2048, 8192, 16384},
      {{4096, 4096}, {14336, 4096}, {4096, 14336}, {6144, 4096}, {8192, 8192}, {28672, 8192}, {8192, 28672}},
      {1024, 2048, 4096, 8192, 16384}}}};

static const char default_schemes[] = "bf16,mxfp8_e4m3,mxfp8_e5m2,mxfp6_e3m2,mxfp6_e2m3,mxfp4_e2m1,mxint8,nvfp4,"
                                      "fp8_e4m3_tensor,fp8_e4m3_channel,int8_channel,int4_group128";

const char *gemm_mode_name(gemm_mode mode) {
  static const char *const names[GEMM_MODES] = {"quantized", "way-in", "weight-only"};
  return names[mode];
}

gemm_row *gemm_table_row(const gemm_table *table, int size, int scheme, gemm_mode mode) {
  return &table->rows[(size * table->scheme_count + scheme) * GEMM_MODES + (int)mode];
}

int gemm_table_wanted(const gemm_table *table, int size, int scheme) {
  int wanted = 0;
  for (int s = scheme < 0 ? 0 : scheme; s < (scheme < 0 ? table->scheme_count : scheme + 1); ++s)
    for (int mode = 0; mode < GEMM_MODES; ++mode) wanted += gemm_table_row(table, size, s, (gemm_mode)mode)->is_wanted;
  return wanted;
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------ */

static void add_size(gemm_table *table, int64_t m, int64_t n, int64_t k) {
  for (int i = 0; i < table->size_count; ++i)
    if (table->sizes[i].m == m && table->sizes[i].n == n && table->sizes[i].k == k) return;
  if (table->size_count < MAX_SIZES) table->sizes[table->size_count++] = (gemm_size){m, n, k};
}

static int parse_sizes(gemm_table *table, const char *text) {
  for (const char *at = text; *at != '\0';) {
    long long m, n, k;
    int used = 0;
    if (sscanf(at, "%lldx%lldx%lld%n", &m, &n, &k, &used) != 3 || (at[used] != '\0' && at[used] != ',') || m < 1 ||
        n < 1 || k < 1 || m > (1 << 20) || n > (1 << 20) || k > (1 << 20))
      return bench_error(BENCH_USAGE,
                         "--shapes: '%s' is not MxNxK with sizes of 1 ... 1048576, several separated by ','", at);
    add_size(table, m, n, k);
    at += used + (at[used] == ',');
  }
  return table->size_count > 0 ? BENCH_OK : bench_error(BENCH_USAGE, "--shapes names no product");
}

static int choose_sizes(gemm_table *table, const gemm_choice *choice) {
  const size_list *list = &size_lists[choice->is_device != 0][choice->is_full != 0];
  const gemm_goal *goal;
  if (choice->shapes != NULL) return parse_sizes(table, choice->shapes);
  for (int i = 0; choice->is_check && (goal = gemm_goal_get(i)) != NULL; ++i)
    add_size(table, goal->size.m, goal->size.n, goal->size.k);
  if (choice->is_check) return BENCH_OK;
  for (int i = 0; list->nk[i][0] > 0; ++i)
    for (int j = 0; list->m[j] > 0; ++j) add_size(table, list->m[j], list->nk[i][0], list->nk[i][1]);
  for (int i = 0; list->squares[i] > 0; ++i) add_size(table, list->squares[i], list->squares[i], list->squares[i]);
  return BENCH_OK;
}

/* ---- Schemes ---------------------------------------------------------------------------------------------------- */

static int add_scheme(gemm_table *table, const char *text, size_t length) {
  gemm_scheme *s = &table->schemes[table->scheme_count];
  if (table->scheme_count == MAX_SCHEMES || length >= sizeof s->text)
    return bench_error(BENCH_USAGE, "--schemes: at most %d, of %zu characters each", MAX_SCHEMES, sizeof s->text - 1);
  memcpy(s->text, text, length);
  s->text[length] = '\0';
  s->is_plain = strcmp(s->text, "bf16") == 0;
  if (!s->is_plain && mfq_scheme_parse(s->text, &s->scheme) != MFQ_OK)
    return bench_error(BENCH_USAGE, "--schemes: %s", mfq_last_error());
  if (!s->is_plain && s->scheme.scale != MFQ_SCALE_NONE && s->scheme.rule == MFQ_RULE_GIVEN)
    return bench_error(BENCH_USAGE, "--schemes: %s takes scales from its caller, and there are none here", s->text);
  /* Operands are [M, K] and [N, K]: groups along K, channels along M and N. */
  if (s->scheme.granularity == MFQ_GRANULARITY_GROUP) s->scheme.axis = 1;
  if (s->scheme.granularity == MFQ_GRANULARITY_CHANNEL) s->scheme.axis = 0;
  ++table->scheme_count;
  return BENCH_OK;
}

static int choose_schemes(gemm_table *table, const char *text) {
  int code = BENCH_OK;
  for (const char *at = text; code == BENCH_OK && *at != '\0';) {
    const size_t length = strcspn(at, ",");
    if (length > 0) code = add_scheme(table, at, length);
    at += length + (at[length] == ',');
  }
  if (code == BENCH_OK && table->scheme_count == 0) code = bench_error(BENCH_USAGE, "--schemes names no scheme");
  return code;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

static int choose_rows(gemm_table *table, const gemm_choice *choice) {
  regex_t regex;
  int wanted = 0;
  if (choice->filter != NULL && regcomp(&regex, choice->filter, REG_EXTENDED | REG_NOSUB) != 0)
    return bench_error(BENCH_USAGE, "--filter: '%s' is no regular expression", choice->filter);
  for (int i = 0; i < table->size_count * table->scheme_count * GEMM_MODES; ++i) {
    const gemm_mode mode = (gemm_mode)(i % GEMM_MODES);
    const gemm_scheme *scheme = &table->schemes[i / GEMM_MODES % table->scheme_count];
    const gemm_size *size = &table->sizes[i / GEMM_MODES / table->scheme_count];
    gemm_row *row = &table->rows[i];
    (void)snprintf(row->common.name, sizeof row->common.name, "%" PRId64 "x%" PRId64 "x%" PRId64 " %s %s", size->m,
                   size->n, size->k, gemm_mode_name(mode), scheme->text);
    row->common.peer = table->peers[i / GEMM_MODES / table->scheme_count];
    row->is_wanted = (!scheme->is_plain || mode == GEMM_QUANTIZED) &&
                     (choice->filter == NULL || regexec(&regex, row->common.name, 0, NULL, 0) == 0) &&
                     (!choice->is_check || gemm_goal_of(size, scheme->text, mode) > 0);
    wanted += row->is_wanted;
  }
  if (choice->filter != NULL) regfree(&regex);
  return wanted > 0 ? BENCH_OK : bench_error(BENCH_USAGE, "--filter '%s' matches no row", choice->filter);
}

int gemm_table_create(const gemm_choice *choice, gemm_table *table) {
  *table = (gemm_table){.sizes = calloc(MAX_SIZES, sizeof *table->sizes),
                        .schemes = calloc(MAX_SCHEMES + 1, sizeof *table->schemes)};
  if (table->sizes == NULL || table->schemes == NULL) return bench_error(BENCH_FAILED, "no memory for the table");
  int code = choose_sizes(table, choice);
  if (code == BENCH_OK) code = choose_schemes(table, choice->schemes != NULL ? choice->schemes : default_schemes);
  if (code != BENCH_OK) return code;
  table->rows = calloc((size_t)table->size_count * (size_t)table->scheme_count * GEMM_MODES, sizeof *table->rows);
  table->peers = calloc((size_t)table->size_count, sizeof *table->peers);
  if (table->rows == NULL || table->peers == NULL) return bench_error(BENCH_FAILED, "no memory for the table");
  return choose_rows(table, choice);
}

void gemm_table_destroy(gemm_table *table) {
  free(table->sizes);
  free(table->schemes);
  free(table->rows);
  free(table->peers);
  *table = (gemm_table){0};
}
