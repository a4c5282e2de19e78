/* bench/conv/conv_table.c: which convolutions are measured. */
#include "conv_table.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHAPES = 256, MAX_SCHEMES = 32 };

static const char one_scheme[] = "mxfp8_e4m3";
static const char mx_schemes[] = "mxfp8_e4m3,mxfp8_e5m2,mxfp6_e3m2,mxfp6_e2m3,mxfp4_e2m1,mxint8";

const char *conv_direction_name(mfq_conv_direction direction) {
  static const char *const names[CONV_DIRECTIONS] = {"forward", "input-gradient", "weight-gradient"};
  return names[direction];
}

conv_row *conv_table_row(const conv_table *table, int shape, int direction, int scheme) {
  return &table->rows[(shape * CONV_DIRECTIONS + direction) * table->scheme_count + scheme];
}

char *conv_table_peer(const conv_table *table, int shape, int direction) {
  return table->peers[shape * CONV_DIRECTIONS + direction];
}

int conv_table_wanted(const conv_table *table, int shape, int direction) {
  int wanted = 0;
  for (int d = direction < 0 ? 0 : direction; d < (direction < 0 ? CONV_DIRECTIONS : direction + 1); ++d)
    for (int i = 0; i < table->scheme_count; ++i) wanted += conv_table_row(table, shape, d, i)->is_wanted;
  return wanted;
}

/* ---- Shapes ----------------------------------------------------------------------------------------------------- */

static int parse_shapes(conv_table *table, const char *text) {
  while (*text != '\0') {
    conv_shape shape;
    const char *end = conv_shape_parse(text, &shape);
    if (end == NULL || (*end != '\0' && *end != ','))
      return bench_error(BENCH_USAGE,
                         "--shapes: '%s' is not NxCxHxW-KxRxS with sizes of 1 ... 1048576, then s<stride>, p<padding>, "
                         "g<groups> or nothing; several separated by ','",
                         text);
    if (table->shape_count == MAX_SHAPES) return bench_error(BENCH_USAGE, "--shapes: at most %d", MAX_SHAPES);
    table->shapes[table->shape_count++] = shape;
    text = end + (*end == ',');
  }
  return table->shape_count > 0 ? BENCH_OK : bench_error(BENCH_USAGE, "--shapes names no layer");
}

/* A layer of the list has the goal of its network, also when it is given as text. */
static void name_networks(conv_table *table, int is_device) {
  for (int i = 0; i < table->shape_count; ++i) {
    conv_shape known, *s = &table->shapes[i];
    char text[CONV_SHAPE_TEXT], other[CONV_SHAPE_TEXT];
    conv_shape_print(s, text, sizeof text);
    for (int k = 0; conv_shape_get(k, is_device, &known); ++k) {
      conv_shape_print(&known, other, sizeof other);
      if (strcmp(text, other) == 0) s->network = known.network;
    }
  }
}

static int choose_shapes(conv_table *table, const conv_choice *choice) {
  if (choice->shapes == NULL) {
    while (table->shape_count < MAX_SHAPES &&
           conv_shape_get(table->shape_count, choice->is_device, &table->shapes[table->shape_count]))
      ++table->shape_count;
    return BENCH_OK;
  }
  const int code = parse_shapes(table, choice->shapes);
  name_networks(table, choice->is_device);
  return code;
}

/* ---- Schemes ---------------------------------------------------------------------------------------------------- */

static int add_scheme(conv_table *table, const char *text, size_t length) {
  conv_scheme *s = &table->schemes[table->scheme_count];
  if (table->scheme_count == MAX_SCHEMES || length >= sizeof s->text)
    return bench_error(BENCH_USAGE, "--schemes: at most %d, of %zu characters each", MAX_SCHEMES, sizeof s->text - 1);
  memcpy(s->text, text, length);
  s->text[length] = '\0';
  s->is_plain = strcmp(s->text, "bf16") == 0;
  if (!s->is_plain && mfq_scheme_parse(s->text, &s->scheme) != MFQ_OK)
    return bench_error(BENCH_USAGE, "--schemes: %s", mfq_last_error());
  if (s->scheme.scale != MFQ_SCALE_NONE && s->scheme.rule == MFQ_RULE_GIVEN)
    return bench_error(BENCH_USAGE, "--schemes: %s takes scales from its caller, and there are none here", s->text);
  ++table->scheme_count;
  return BENCH_OK;
}

static int choose_schemes(conv_table *table, const char *text) {
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

/* Groups of channels share the weight's last axis, so that channels of the input's gradient have no scale of their own
 * there. */
static int is_offered(const conv_shape *shape, int direction, const conv_scheme *scheme) {
  return direction != MFQ_CONV_INPUT_GRADIENT || shape->groups == 1 || scheme->is_plain ||
         scheme->scheme.granularity != MFQ_GRANULARITY_CHANNEL;
}

static int choose_rows(conv_table *table, const conv_choice *choice) {
  regex_t regex;
  int wanted = 0;
  if (choice->filter != NULL && regcomp(&regex, choice->filter, REG_EXTENDED | REG_NOSUB) != 0)
    return bench_error(BENCH_USAGE, "--filter: '%s' is no regular expression", choice->filter);
  for (int i = 0; i < table->shape_count * CONV_DIRECTIONS * table->scheme_count; ++i) {
    const conv_scheme *scheme = &table->schemes[i % table->scheme_count];
    const int direction = i / table->scheme_count % CONV_DIRECTIONS;
    const conv_shape *shape = &table->shapes[i / table->scheme_count / CONV_DIRECTIONS];
    conv_row *row = &table->rows[i];
    char text[CONV_SHAPE_TEXT];
    conv_shape_print(shape, text, sizeof text);
    (void)snprintf(row->common.name, sizeof row->common.name, "%s %s %s", text,
                   conv_direction_name((mfq_conv_direction)direction), scheme->text);
    row->common.peer = table->peers[i / table->scheme_count];
    row->is_wanted = is_offered(shape, direction, scheme) &&
                     (choice->filter == NULL || regexec(&regex, row->common.name, 0, NULL, 0) == 0) &&
                     (!choice->is_check || conv_goal_of(shape, scheme->text, choice->is_device) > 0);
    wanted += row->is_wanted;
  }
  if (choice->filter != NULL) regfree(&regex);
  if (wanted > 0) return BENCH_OK;
  return choice->filter != NULL ? bench_error(BENCH_USAGE, "--filter '%s' matches no row", choice->filter)
                                : bench_error(BENCH_USAGE, "--check: none of these layers and schemes has a goal");
}

int conv_table_create(const conv_choice *choice, conv_table *table) {
  *table = (conv_table){.shapes = calloc(MAX_SHAPES + 1, sizeof *table->shapes),
                        .schemes = calloc(MAX_SCHEMES + 1, sizeof *table->schemes)};
  if (table->shapes == NULL || table->schemes == NULL) return bench_error(BENCH_FAILED, "no memory for the table");
  int code = choose_shapes(table, choice);
  const char *schemes = choice->schemes != NULL ? choice->schemes : choice->is_check ? mx_schemes : one_scheme;
  if (code == BENCH_OK) code = choose_schemes(table, schemes);
  if (code != BENCH_OK) return code;
  const size_t cells = (size_t)table->shape_count * CONV_DIRECTIONS;
  table->rows = calloc(cells * (size_t)table->scheme_count, sizeof *table->rows);
  table->peers = calloc(cells, sizeof *table->peers);
  if (table->rows == NULL || table->peers == NULL) return bench_error(BENCH_FAILED, "no memory for the table");
  return choose_rows(table, choice);
}

void conv_table_destroy(conv_table *table) {
  free(table->shapes);
  free(table->schemes);
  free(table->rows);
  free(table->peers);
  *table = (conv_table){0};
}
