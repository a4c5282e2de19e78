/* tools/formats_command.c: `mfq formats`: the table of element formats, or every code of one. */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "near_word.h"

/* clang-format off */
static const cli_help help = {
    "[FORMAT] [--json]", "mfq formats: list the named element formats, or every code of one",
    "FORMAT is a name of the list or any format in text form, such as e3m2b5, e4m3fnuz, int5 or uint8.\n"
    "Numbers are exact where they have few digits, and correct to 9 otherwise; --json has them exactly.\n"
    "\n"
    "Examples:\n"
    "  mfq formats\n"
    "  mfq formats e2m1\n",
    0, 1};
/* clang-format on */

static const char *const specials_words[] = {"none", "fn", "fnuz", "ieee"};

typedef struct format_row {
  const char *name, *about;
  mfq_format format;
  mfq_format_info info;
} format_row;

/* clang-format off */
static const near_row offers[] = {
    {"fp8 f8 float8 fp8_e4m3 f8_e4m3 float8_e4m3fn", "names two formats: e4m3fn, usual for weights, and e5m2, of more range"},
    {"fp8_e5m2 f8_e5m2 float8_e5m2", "is called e5m2 here"},
    {"fp6 float6 f6", "names two formats: e2m3, usual for weights, and e3m2, of more range"},
    {"fp4 float4 f4 float4_e2m1fn", "is called e2m1 here"},
    {"i8 i4 u8", "is called int8, int4 or uint8 here"},
    {"bf16 bfloat16 fp16 f16 float16 half fp32 f32 float32 float fp64 f64 int16 int32 i16 i32", "is wider than the 8 bits that an element has at most"},
    {"nf4 fp4_bnb", "is a table of 16 values, which is no format here"},
};
/* clang-format on */

/* Says why a text is no format: it is called otherwise, or it is a scheme. */
static int refuse(const char *text) {
  char why[1024], element[MFQ_FORMAT_TEXT_MAX];
  (void)snprintf(why, sizeof why, "%s", cli_sentence(mfq_last_error()));
  const char *offer = near_find(offers, sizeof offers / sizeof offers[0], text);
  mfq_scheme scheme;
  if (offer != NULL) return cli_error(CLI_USAGE, "'%s' %s; see mfq formats", text, offer);
  if (mfq_scheme_parse(text, &scheme) == MFQ_OK && mfq_format_print(&scheme.element, element, sizeof element) == MFQ_OK)
    return cli_error(CLI_USAGE, "'%s' is a scheme, and its elements are %s; see mfq schemes %s", text, element, text);
  const char *name, *nearest = NULL;
  int least = 3;
  for (int32_t i = 0; (name = mfq_format_name(i, NULL)) != NULL; ++i) {
    int distance = near_distance(text, name);
    if (distance >= least) continue;
    least = distance;
    nearest = name;
  }
  if (nearest == NULL) return cli_error(CLI_USAGE, "%s; see mfq formats", why);
  return cli_error(CLI_USAGE, "%s; did you mean '%s'? see mfq formats", why, nearest);
}

static int read_format(const char *text, format_row *row) {
  mfq_status status = mfq_format_parse(text, &row->format);
  if (status == MFQ_OK) status = mfq_format_info_get(&row->format, &row->info);
  row->name = text;
  return status == MFQ_OK ? CLI_OK : refuse(text);
}

static json_t *row_json(const format_row *row) {
  return json_pack(
      "{s:s, s:s?, s:i, s:s, s:b, s:i, s:i, s:i, s:s, s:f, s:f, s:f, s:f}", "name", row->name, "about", row->about,
      "bits", row->info.bits, "kind", row->format.kind == MFQ_KIND_INTEGER ? "integer" : "minifloat", "signed",
      row->format.is_signed, "exponent_bits", row->format.exp_bits, "mantissa_bits", row->format.man_bits, "bias",
      row->format.bias, "specials", specials_words[row->format.specials], "max", row->info.max_finite, "min",
      row->info.min_finite, "min_normal", row->info.min_normal, "min_positive", row->info.min_positive);
}

static int list_formats(int json) {
  json_t *rows = json ? json_array() : NULL;
  if (!json)
    printf("%-12s %4s %12s %14s %14s %-8s %s\n", "name", "bits", "max", "min normal", "min positive", "specials",
           "about");
  for (int32_t i = 0;; ++i) {
    format_row row;
    const char *about;
    const char *name = mfq_format_name(i, &about);
    if (name == NULL) break;
    int code = read_format(name, &row);
    if (code != CLI_OK) {
      json_decref(rows);
      return code;
    }
    row.about = about;
    if (json) {
      (void)json_array_append_new(rows, row_json(&row));
    } else {
      printf("%-12s %4d %12.9g %14.9g %14.9g %-8s %s\n", name, (int)row.info.bits, row.info.max_finite,
             row.info.min_normal, row.info.min_positive, specials_words[row.format.specials], about);
    }
  }
  return json ? cli_print_json(json_pack("{s:i, s:o}", "version", CLI_JSON_VERSION, "formats", rows)) : CLI_OK;
}

/* Writes a code's bits in fields: sign, exponent, mantissa. */
static void write_bits(const format_row *row, uint32_t code, char *text) {
  const int32_t fields[3] = {row->format.is_signed, row->format.exp_bits, row->format.man_bits};
  int32_t bit = row->info.bits;
  for (int f = 0; f < 3; ++f) {
    if (fields[f] > 0 && bit != row->info.bits) *text++ = ' ';
    for (int32_t i = 0; i < fields[f]; ++i) *text++ = (code >> --bit & 1u) != 0 ? '1' : '0';
  }
  *text = '\0';
}

static const char *class_of(const format_row *row, double value) {
  if (isnan(value)) return "nan";
  if (isinf(value)) return "inf";
  if (value == 0.0) return "zero";
  if (value > row->info.max_finite || value < row->info.min_finite) return "unused";
  if (row->format.kind == MFQ_KIND_INTEGER) return "integer";
  return fabs(value) < row->info.min_normal ? "subnormal" : "normal";
}

static int list_codes(const char *text, int json) {
  format_row row = {0};
  int code = read_format(text, &row);
  if (code != CLI_OK) return code;
  json_t *codes = json ? json_array() : NULL;
  if (!json) printf("%4s  %-11s %16s  %s\n", "code", "bits", "value", "class");
  for (int32_t i = 0; i < row.info.codes; ++i) {
    double value;
    char bits[16];
    if (mfq_format_decode(&row.format, (uint32_t)i, &value) != MFQ_OK) {
      json_decref(codes);
      return cli_error(CLI_FAILED, "%s", cli_sentence(mfq_last_error()));
    }
    write_bits(&row, (uint32_t)i, bits);
    const char *kind = class_of(&row, value);
    if (json) {
      json_t *number = isfinite(value) ? json_real(value) : json_null();
      (void)json_array_append_new(codes, json_pack("{s:i, s:s, s:o, s:b, s:s}", "code", (int)i, "bits", bits, "value",
                                                   number, "negative", signbit(value) != 0, "class", kind));
    } else {
      printf("0x%02x  %-11s %16.9g  %s\n", (unsigned)i, bits, value, kind);
    }
  }
  if (!json) return CLI_OK;
  return cli_print_json(
      json_pack("{s:i, s:o, s:o}", "version", CLI_JSON_VERSION, "format", row_json(&row), "codes", codes));
}

int formats_command(int argc, const char **argv) {
  int json = 0;
  const struct poptOption table[] = {CLI_HELP_ROW, CLI_JSON_ROW(&json), POPT_TABLEEND};
  cli_arguments arguments;
  int code = cli_parse(&help, table, argc, argv, &arguments);
  if (code == CLI_PROCEED) code = arguments.count == 0 ? list_formats(json) : list_codes(arguments.items[0], json);
  cli_arguments_free(&arguments);
  return code;
}
