/* host/core/scheme/format_text.c: formats from and to text. A named format prints by its name, others in the general
 * form, and what is printed reads back as the same. */
#include "host/core/error.h"
#include "format.h"

#include <stdio.h>
#include <string.h>

static const char *const specials_words[] = {"none", "fn", "fnuz", "ieee"};
enum { SPECIALS_WORDS = sizeof specials_words / sizeof specials_words[0] };

static int32_t default_bias(int32_t exp_bits, mfq_specials specials) {
  int32_t half = exp_bits >= 1 && exp_bits <= 8 ? 1 << (exp_bits - 1) : 0;
  return specials == MFQ_SPECIALS_FNUZ ? half : half - 1;
}

/* A place in the text of a format. */
typedef struct cursor {
  mfq_span text;
  size_t at;
} cursor;

static int take(cursor *c, const char *word) {
  if (!mfq_span_starts(mfq_span_from(c->text, c->at), word)) return 0;
  c->at += strlen(word);
  return 1;
}

static int take_number(cursor *c, const char *what, int is_signed, int32_t *value, mfq_sentence *why) {
  size_t used = mfq_span_integer(mfq_span_from(c->text, c->at), is_signed, value);
  if (used == 0) {
    mfq_sentence_set(why, "a number is needed here: %s", what);
    return 0;
  }
  c->at += used;
  return 1;
}

static int read_minifloat(cursor *c, mfq_format *f, mfq_sentence *why) {
  int has_bias = 0;
  if (!take_number(c, "the exponent bits, 1 ... 8", 0, &f->exp_bits, why)) return 0;
  if (!take(c, "m")) {
    mfq_sentence_set(why, "'m' and the mantissa bits are needed here");
    return 0;
  }
  if (!take_number(c, "the mantissa bits, 0 ... 7", 0, &f->man_bits, why)) return 0;
  if (take(c, "b")) {
    has_bias = 1;
    if (!take_number(c, "the bias, -64 ... 160", 1, &f->bias, why)) return 0;
  }
  mfq_span rest = mfq_span_from(c->text, c->at);
  int found = rest.length == 0;
  for (int i = 0; i < SPECIALS_WORDS; ++i) {
    if (mfq_span_equal(rest, specials_words[i])) {
      f->specials = (mfq_specials)i;
      found = 1;
    }
  }
  if (!found) {
    mfq_sentence_set(why, "after the bits come b<bias> and one of none, fn, fnuz, ieee");
    return 0;
  }
  c->at = c->text.length;
  if (!has_bias) f->bias = default_bias(f->exp_bits, f->specials);
  return 1;
}

static int read_integer(cursor *c, mfq_format *f, mfq_sentence *why) {
  int32_t bits = 0;
  f->kind = MFQ_KIND_INTEGER;
  if (!take_number(c, "the bits, 2 ... 8", 0, &bits, why)) return 0;
  f->man_bits = bits - f->is_signed;
  f->narrow = take(c, "n");
  if (take(c, "f") && !take_number(c, "the fraction bits, -16 ... 16", 1, &f->frac_bits, why)) return 0;
  if (c->at != c->text.length) {
    mfq_sentence_set(why, "after the bits come n (narrow) and f<fraction bits>, in this order");
    return 0;
  }
  return 1;
}

int mfq_format_looks_like(mfq_span text) {
  size_t start = mfq_span_starts(text, "u") ? 1 : 0;
  mfq_span rest = mfq_span_from(text, start);
  if (mfq_format_row_named(text) != NULL) return 1;
  size_t digit = mfq_span_starts(rest, "int") ? 3 : mfq_span_starts(rest, "e") ? 1 : rest.length;
  return digit < rest.length && rest.text[digit] >= '0' && rest.text[digit] <= '9';
}

int mfq_format_read(mfq_span text, mfq_format *format, size_t *at, mfq_sentence *why) {
  const mfq_format_row *row = mfq_format_row_named(text);
  if (row != NULL) {
    *format = row->format;
    return 1;
  }
  mfq_format f = {.kind = MFQ_KIND_MINIFLOAT};
  cursor c = {text, 0};
  f.is_signed = !take(&c, "u");
  int read = 0;
  if (take(&c, "int")) {
    read = read_integer(&c, &f, why);
  } else if (take(&c, "e")) {
    read = read_minifloat(&c, &f, why);
  } else {
    c.at = 0;
    mfq_sentence_set(why, "a format is a name such as e4m3fn, or [u]e<exponent bits>m<mantissa bits>[b<bias>]"
                          "[none|fn|fnuz|ieee], or [u]int<bits>[n][f<fraction bits>]");
  }
  if (!read) {
    *at = c.at;
    return 0;
  }
  *at = 0;
  if (!mfq_format_valid(&f, why)) return 0;
  *format = f;
  return 1;
}

static void write_minifloat(const mfq_format *f, char text[MFQ_FORMAT_TEXT_MAX]) {
  char bias[16] = "";
  if (f->bias != default_bias(f->exp_bits, f->specials)) (void)snprintf(bias, sizeof bias, "b%d", (int)f->bias);
  const char *suffix = f->specials == MFQ_SPECIALS_NONE ? "" : specials_words[f->specials];
  (void)snprintf(text, MFQ_FORMAT_TEXT_MAX, "%se%dm%d%s%s", f->is_signed ? "" : "u", (int)f->exp_bits, (int)f->man_bits,
                 bias, suffix);
}

static void write_integer(const mfq_format *f, char text[MFQ_FORMAT_TEXT_MAX]) {
  char fraction[16] = "";
  if (f->frac_bits != 0) (void)snprintf(fraction, sizeof fraction, "f%d", (int)f->frac_bits);
  (void)snprintf(text, MFQ_FORMAT_TEXT_MAX, "%sint%d%s%s", f->is_signed ? "" : "u", (int)mfq_format_bits(f),
                 f->narrow ? "n" : "", fraction);
}

void mfq_format_write_generic(const mfq_format *format, char text[MFQ_FORMAT_TEXT_MAX]) {
  if (format->kind == MFQ_KIND_INTEGER) {
    write_integer(format, text);
    return;
  }
  write_minifloat(format, text);
  const mfq_format_row *row = mfq_format_row_named(mfq_span_of(text));
  if (row != NULL && !mfq_format_equal(&row->format, format))
    strcat(text, "none"); /* a name of formats.def would be read instead */
}

void mfq_format_write(const mfq_format *format, char text[MFQ_FORMAT_TEXT_MAX]) {
  const mfq_format_row *row = mfq_format_row_of(format);
  if (row != NULL)
    (void)snprintf(text, MFQ_FORMAT_TEXT_MAX, "%s", row->name);
  else
    mfq_format_write_generic(format, text);
}

mfq_status mfq_format_parse(const char *text, mfq_format *format) {
  static const char function[] = "mfq_format_parse";
  if (text == NULL || format == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", text == NULL ? "text" : "format");
  mfq_sentence why;
  size_t at = 0;
  if (!mfq_format_read(mfq_span_of(text), format, &at, &why))
    return mfq_fail(MFQ_ERROR_PARSE, function, "\"%s\", column %zu: %s", mfq_quoted(mfq_span_of(text), 80).text, at + 1,
                    why.text);
  return MFQ_OK;
}

mfq_status mfq_format_print(const mfq_format *format, char *text, size_t capacity) {
  static const char function[] = "mfq_format_print";
  mfq_status status = mfq_format_check(format, function, "format");
  if (status != MFQ_OK) return status;
  if (text == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "text is NULL");
  char written[MFQ_FORMAT_TEXT_MAX];
  mfq_format_write(format, written);
  size_t needed = strlen(written) + 1;
  if (capacity < needed) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "capacity is %zu; \"%s\" needs %zu bytes, and MFQ_FORMAT_TEXT_MAX holds every format", capacity,
                    written, needed);
  }
  memcpy(text, written, needed);
  return MFQ_OK;
}
