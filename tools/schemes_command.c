/* tools/schemes_command.c: `mfq schemes`: the named schemes, written out. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "scheme_choice.h"

/* clang-format off */
static const cli_help help = {
    "[SCHEME] [--json]", "mfq schemes: list the named schemes, or write out one scheme",
    "SCHEME is a name of the list or any scheme in text form: a name or an element format, then\n"
    "settings, separated by '/':\n"
    "  tensor, channel[@AXIS], group:SIZE[@AXIS], block:ROWSxCOLS   what shares a scale\n"
    "  none, f32, bf16, f16, ue8m0, ue4m3, each with [:RULE]        how scales are stored\n"
    "  scale:FORMAT[:RULE]                                          minifloats, below one of the tensor\n"
    "  absmax, floor, ceil, rceil, even, given, round, midmax       rules: a scale from its elements\n"
    "  round:MODE  even, away, zero, floor, ceil, dpu, stochastic   how elements are rounded\n"
    "  zp, nosat, stat:minmax, min:VALUE, arith:brevitas            zero points, overflow, statistics\n"
    "  gain:VALUE, bound:VALUE, eden:SIZE, hadamard:SIZE[:SIGNS]    larger, corrected scales; rotations\n"
    "bits/weight counts codes, scales and zero points of a 4096 x 4096 weight.\n"
    "\n"
    "Examples:\n"
    "  mfq schemes\n"
    "  mfq schemes e2m1/group:32/ue8m0:even\n",
    0, 1};
/* clang-format on */

static const char *const granularity_words[] = {"tensor", "channel", "group", "block"};
static const char *const scale_words[] = {"none", "f32", "bf16", "f16", "ue8m0", "ue4m3", "scale"};
static const char *const rule_words[] = {"absmax", "floor", "ceil", "rceil", "even", "given", "round", "midmax"};
static const char *const rounding_words[] = {"even", "away", "zero", "floor", "ceil", "dpu", "stochastic"};

enum { TEXT_BYTES = 2 * MFQ_SCHEME_TEXT_MAX };

typedef struct scheme_row {
  const char *name, *about;
  mfq_scheme scheme;
  char settings[TEXT_BYTES];
  double bits; /* per weight */
} scheme_row;

__attribute__((format(printf, 2, 3))) static void append(scheme_row *row, const char *format, ...) {
  size_t used = strlen(row->settings);
  va_list args;
  va_start(args, format);
  (void)vsnprintf(row->settings + used, sizeof row->settings - used, format, args);
  va_end(args);
}

/* Writes the element so that it can begin a scheme: a format may share its name with a scheme, which would go first. */
static int append_element(scheme_row *row) {
  const mfq_scheme bare = {.element = row->scheme.element, .axis = MFQ_AXIS_AUTO, .rounding = MFQ_ROUND_ZERO};
  char text[MFQ_SCHEME_TEXT_MAX];
  if (mfq_scheme_print(&bare, text, sizeof text) != MFQ_OK) return -1;
  append(row, "%.*s", (int)strcspn(text, "/"), text);
  return 0;
}

static int append_format(scheme_row *row, const mfq_format *format) {
  char text[MFQ_FORMAT_TEXT_MAX];
  if (mfq_format_print(format, text, sizeof text) != MFQ_OK) return -1;
  append(row, ":%s", text);
  return 0;
}

static void append_granularity(scheme_row *row) {
  const mfq_scheme *s = &row->scheme;
  append(row, "/%s", granularity_words[s->granularity]);
  if (s->granularity == MFQ_GRANULARITY_GROUP) append(row, ":%d", (int)s->group_size);
  if (s->granularity == MFQ_GRANULARITY_BLOCK) append(row, ":%dx%d", (int)s->block_rows, (int)s->block_cols);
  if (s->axis != MFQ_AXIS_AUTO) append(row, "@%d", (int)s->axis);
}

/* Writes a number that is said with as few digits as read back to it. */
static void append_number(scheme_row *row, const char *word, float value) {
  char number[32];
  int digits = 1;
  if (value == 0.0f) return;
  do {
    (void)snprintf(number, sizeof number, "%.*g", digits, (double)value);
  } while (strtof(number, NULL) != value && digits++ < 9);
  append(row, "/%s:%s", word, number);
}

static void append_rotation(scheme_row *row) {
  const mfq_scheme *s = &row->scheme;
  append(row, "/hadamard:%d%s", (int)s->rotation, s->signs == MFQ_SIGNS_FIXED ? ":fixed" : "");
  if (s->signs == MFQ_SIGNS_SEEDED) append(row, ":seed:%llu", (unsigned long long)s->sign_seed);
}

/* Writes the settings, defaults of scale and rule included; mfq_scheme_parse reads them back. */
static int write_settings(scheme_row *row) {
  const mfq_scheme *s = &row->scheme;
  row->settings[0] = '\0';
  if (append_element(row) != 0) return -1;
  append_granularity(row);
  append(row, "/%s", scale_words[s->scale]);
  if (s->scale == MFQ_SCALE_MINIFLOAT && append_format(row, &s->scale_element) != 0) return -1;
  if (s->scale != MFQ_SCALE_NONE) append(row, ":%s", rule_words[s->rule]);
  if (s->rounding != MFQ_ROUND_EVEN) append(row, "/round:%s", rounding_words[s->rounding]);
  if (s->no_saturate) append(row, "/nosat");
  if (s->zero_point)
    append(row, s->zero_point == 1 ? "/zp" : "/zpf");
  else if (s->statistic == MFQ_STATISTIC_MINMAX)
    append(row, "/stat:minmax");
  append_number(row, "min", s->statistic_min);
  append_number(row, "gain", s->scale_gain);
  append_number(row, "bound", s->scale_bound);
  if (s->eden != 0) append(row, "/eden:%d", (int)s->eden);
  if (s->arith == MFQ_ARITH_BREVITAS) append(row, "/arith:brevitas");
  if (s->rotation != 0) append_rotation(row);
  return 0;
}

static int count_bits(scheme_row *row) {
  static const int64_t shape[2] = {4096, 4096};
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  if (mfq_qtensor_init(&row->scheme, 2, shape, NULL, &q) != MFQ_OK || mfq_qtensor_sizes_get(&q, &sizes) != MFQ_OK)
    return -1;
  size_t bytes = sizes.codes_bytes + sizes.scales_bytes + sizes.zero_points_bytes + sizes.tensor_scale_bytes;
  row->bits = 8.0 * (double)bytes / (4096.0 * 4096.0);
  return 0;
}

static int read_scheme(const char *text, scheme_row *row) {
  row->name = text;
  int code = scheme_read(NULL, text, &row->scheme);
  if (code != CLI_OK) return code;
  if (write_settings(row) == 0 && count_bits(row) == 0) return CLI_OK;
  return cli_error(CLI_FAILED, "%s: %s", text, cli_sentence(mfq_last_error()));
}

static json_t *row_json(const scheme_row *row) {
  return json_pack("{s:s, s:s, s:f, s:s?}", "name", row->name, "settings", row->settings, "bits_per_weight", row->bits,
                   "about", row->about);
}

static int list_schemes(int json) {
  json_t *rows = json ? json_array() : NULL;
  if (!json) printf("%-50s %11s  %s\n", "name", "bits/weight", "settings: about");
  for (int32_t i = 0;; ++i) {
    scheme_row row;
    const char *about;
    const char *name = mfq_scheme_name(i, &about);
    if (name == NULL) break;
    int code = read_scheme(name, &row);
    if (code != CLI_OK) {
      json_decref(rows);
      return code;
    }
    row.about = about;
    if (json)
      (void)json_array_append_new(rows, row_json(&row));
    else
      printf("%-50s %11.4f  %s: %s\n", name, row.bits, row.settings, about);
  }
  return json ? cli_print_json(json_pack("{s:i, s:o}", "version", CLI_JSON_VERSION, "schemes", rows)) : CLI_OK;
}

static int show_scheme(const char *text, int json) {
  scheme_row row = {0};
  char printed[MFQ_SCHEME_TEXT_MAX];
  int code = read_scheme(text, &row);
  if (code != CLI_OK) return code;
  if (mfq_scheme_print(&row.scheme, printed, sizeof printed) != MFQ_OK)
    return cli_error(CLI_FAILED, "%s: %s", text, cli_sentence(mfq_last_error()));
  if (json) {
    json_t *object = row_json(&row);
    (void)json_object_set_new(object, "shortest", json_string(printed));
    return cli_print_json(json_pack("{s:i, s:o}", "version", CLI_JSON_VERSION, "scheme", object));
  }
  printf("settings     %s\nshortest     %s\nbits/weight  %.4f\n", row.settings, printed, row.bits);
  return CLI_OK;
}

int schemes_command(int argc, const char **argv) {
  int json = 0;
  const struct poptOption table[] = {CLI_HELP_ROW, CLI_JSON_ROW(&json), POPT_TABLEEND};
  cli_arguments arguments;
  int code = cli_parse(&help, table, argc, argv, &arguments);
  if (code == CLI_PROCEED) code = arguments.count == 0 ? list_schemes(json) : show_scheme(arguments.items[0], json);
  cli_arguments_free(&arguments);
  return code;
}
