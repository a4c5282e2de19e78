/* host/core/scheme/text.c: numbers are read and written in the C locale whatever the program has set, and cut texts say
 * that they are cut. */
#define _GNU_SOURCE /* newlocale, uselocale */
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mfq_span mfq_span_of(const char *text) { return (mfq_span){text, strlen(text)}; }

mfq_span mfq_span_from(mfq_span span, size_t start) { return (mfq_span){span.text + start, span.length - start}; }

int mfq_span_equal(mfq_span span, const char *word) {
  if (span.length == 0) return word[0] == '\0';
  /* Most words differ at once. Spans hold no NUL. */
  return word[0] == span.text[0] && strncmp(word, span.text, span.length) == 0 && word[span.length] == '\0';
}

int mfq_span_starts(mfq_span span, const char *prefix) {
  size_t length = strlen(prefix);
  return length <= span.length && memcmp(span.text, prefix, length) == 0;
}

size_t mfq_span_find(mfq_span span, char wanted) {
  size_t i = 0;
  while (i < span.length && span.text[i] != wanted) ++i;
  return i;
}

size_t mfq_span_integer(mfq_span span, int is_signed, int32_t *value) {
  size_t i = 0;
  int negative = 0;
  if (is_signed && span.length > 0 && span.text[0] == '-') {
    negative = 1;
    i = 1;
  }
  size_t first = i;
  int64_t sum = 0;
  for (; i < span.length && span.text[i] >= '0' && span.text[i] <= '9'; ++i) {
    sum = sum * 10 + (span.text[i] - '0');
    if (sum > INT32_MAX) return 0;
  }
  if (i == first) return 0;
  *value = (int32_t)(negative ? -sum : sum);
  return i;
}

int mfq_span_natural(mfq_span span, uint64_t *value) {
  uint64_t sum = 0;
  for (size_t i = 0; i < span.length; ++i) {
    if (span.text[i] < '0' || span.text[i] > '9') return 0;
    const uint64_t digit = (uint64_t)(span.text[i] - '0');
    if (sum > (UINT64_MAX - digit) / 10) return 0;
    sum = sum * 10 + digit;
  }
  *value = sum;
  return span.length > 0;
}

/* Switches this thread to the C locale, where the decimal point is a point; returns what to switch back to. */
static locale_t enter_c_locale(locale_t *c_locale) {
  *c_locale = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
  return *c_locale == (locale_t)0 ? (locale_t)0 : uselocale(*c_locale);
}

static void leave_c_locale(locale_t c_locale, locale_t previous) {
  if (c_locale != (locale_t)0) {
    uselocale(previous);
    freelocale(c_locale);
  }
}

/* Reads a number as float32, or as a double. */
static int read_number(mfq_span span, float *single, double *whole) {
  char text[64];
  if (span.length == 0 || span.length >= sizeof text) return 0;
  memcpy(text, span.text, span.length);
  text[span.length] = '\0';
  if (strspn(text, "0123456789.eE+-") != span.length)
    return 0; /* strtof would also read "inf", "nan" and hexadecimal */
  int saved_errno = errno;
  locale_t c_locale;
  locale_t previous = enter_c_locale(&c_locale);
  char *end = NULL;
  const float read = single ? strtof(text, &end) : 0.0f;
  const double read_whole = whole ? strtod(text, &end) : 0.0;
  leave_c_locale(c_locale, previous);
  errno = saved_errno;
  if (end == text || *end != '\0') return 0;
  if (single) *single = read;
  if (whole) *whole = read_whole;
  return 1;
}

int mfq_span_float(mfq_span span, float *value) { return read_number(span, value, NULL); }

int mfq_span_double(mfq_span span, double *value) { return read_number(span, NULL, value); }

/* With as few digits as read back to the same float32, or from 6 on to the same double. */
static void write_number(double value, int is_single, char *text, size_t capacity) {
  const int least = is_single ? 1 : 6, most = is_single ? 9 : 17; /* the latter always suffice */
  locale_t c_locale;
  locale_t previous = enter_c_locale(&c_locale);
  for (int digits = least; digits <= most; ++digits) {
    (void)snprintf(text, capacity, "%.*g", digits, value);
    if (is_single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value) break;
  }
  leave_c_locale(c_locale, previous);
}

void mfq_float_write(float value, char *text, size_t capacity) { write_number((double)value, 1, text, capacity); }

void mfq_double_write(double value, char *text, size_t capacity) { write_number(value, 0, text, capacity); }

void mfq_number_write(double value, char *text, size_t capacity) {
  locale_t c_locale;
  locale_t previous = enter_c_locale(&c_locale);
  (void)snprintf(text, capacity, "%.9g", value);
  leave_c_locale(c_locale, previous);
}

mfq_quote mfq_quoted(mfq_span span, size_t most) {
  mfq_quote quote;
  size_t room = sizeof quote.text - sizeof "...";
  size_t length = most < room ? most : room;
  int is_cut = span.length > length;
  if (!is_cut) length = span.length;
  while (is_cut && length > 0 && ((unsigned char)span.text[length] & 0xc0) == 0x80) --length;
  memcpy(quote.text, span.text, length);
  memcpy(quote.text + length, is_cut ? "..." : "", is_cut ? sizeof "..." : 1);
  return quote;
}

int mfq_word_distance(mfq_span word, const char *other) {
  enum { WORD_MAX = 63 };
  size_t length = strlen(other);
  if (word.length > WORD_MAX || length > WORD_MAX) return INT_MAX;
  int row[WORD_MAX + 1];
  for (size_t j = 0; j <= length; ++j) row[j] = (int)j;
  for (size_t i = 0; i < word.length; ++i) {
    int diagonal = row[0];
    row[0] = (int)i + 1;
    for (size_t j = 0; j < length; ++j) {
      int same = tolower((unsigned char)word.text[i]) == tolower((unsigned char)other[j]);
      int best = diagonal + !same;
      diagonal = row[j + 1];
      best = row[j] + 1 < best ? row[j] + 1 : best;
      best = diagonal + 1 < best ? diagonal + 1 : best;
      row[j + 1] = best;
    }
  }
  return row[length];
}

static void append(mfq_sentence *sentence, size_t used, const char *format, va_list arguments) {
  size_t room = sizeof sentence->text - used;
  int wanted = vsnprintf(sentence->text + used, room, format, arguments);
  if (wanted >= 0 && (size_t)wanted >= room) memcpy(sentence->text + sizeof sentence->text - 4, "...", 4);
}

void mfq_sentence_set(mfq_sentence *sentence, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  append(sentence, 0, format, arguments);
  va_end(arguments);
}

void mfq_sentence_add(mfq_sentence *sentence, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  append(sentence, strlen(sentence->text), format, arguments);
  va_end(arguments);
}
