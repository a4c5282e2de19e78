/* host/core/scheme/observer_text.c: statistics as text: a word of observers.def and what comes behind it. */
#include <mfq/observe.h>

#include <stdio.h>
#include <string.h>

#include "host/core/check/observing.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"
#include "scheme.h"

typedef enum argument_kind { NONE, PERCENTILE, INTERVAL, FACTOR, ROWS } argument_kind;

static const struct {
  const char *word, *about;
  argument_kind argument;
} rows[] = {
#define MFQ_OBSERVER(observed, word, argument, about) {word, about, argument},
#include <mfq/observers.def>
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

const char *mfq_observer_name(int32_t index, const char **about) {
  if (index < 0 || index >= ROW_COUNT) return NULL;
  if (about != NULL) *about = rows[index].about;
  return rows[index].word;
}

/* ---- Validity ---------------------------------------------------------------------------------------------------- */

static int is_percent(double value) { return value >= 0.0 && value <= 100.0; }

/* What is wrong with a statistic, in words that go behind its name; returns 0 where nothing is. */
static int find_fault(const mfq_observer *o, mfq_sentence *why) {
  char text[2][40];
  const int32_t row = (int32_t)o->observed;
  if (row < 0 || row >= ROW_COUNT) {
    mfq_sentence_set(why, "observed is %d; allowed is 0 ... %d", (int)row, ROW_COUNT - 1);
    return 1;
  }
  const argument_kind kind = rows[row].argument;
  for (int i = 0; i < 2; ++i) mfq_double_write(o->argument[i], text[i], sizeof text[i]);
  const int used = kind == INTERVAL ? 2 : kind == NONE || kind == ROWS ? 0 : 1;
  for (int i = used; i < 2; ++i) {
    if (o->argument[i] == 0.0) continue;
    mfq_sentence_set(why, "argument[%d] is %s, but %s takes %s; set it to 0", i, text[i], rows[row].word,
                     used == 0 ? "none" : "one");
    return 1;
  }
  if (kind != ROWS && o->axis != 0) {
    mfq_sentence_set(why, "axis is %d, but %s has no rows; set it to 0", (int)o->axis, rows[row].word);
    return 1;
  }
  if (o->axis < -MFQ_MAX_RANK || o->axis >= MFQ_MAX_RANK) {
    mfq_sentence_set(why, "axis is %d; allowed is %d ... %d", (int)o->axis, -MFQ_MAX_RANK, MFQ_MAX_RANK - 1);
    return 1;
  }
  for (int i = 0; (kind == PERCENTILE || kind == INTERVAL) && i < used; ++i) {
    if (is_percent(o->argument[i])) continue;
    mfq_sentence_set(why, "the percentile is %s; allowed is 0 ... 100", text[i]);
    return 1;
  }
  if (kind == INTERVAL && o->argument[0] > o->argument[1]) {
    mfq_sentence_set(why, "the percentiles are %s and %s; the lower one comes first", text[0], text[1]);
    return 1;
  }
  if (kind != FACTOR || (o->argument[0] >= 0.0 && o->argument[0] <= 1e6)) return 0;
  mfq_sentence_set(why, "the factor is %s; allowed is 0 ... 1000000", text[0]);
  return 1;
}

int mfq_observer_valid(const mfq_observer *observer, mfq_sentence *why) { return !find_fault(observer, why); }

void mfq_observer_low(const mfq_observer *observer, mfq_observer *low) {
  if (observer == NULL || low == NULL) return;
  const int is_interval = observer->observed == MFQ_OBSERVED_INTERVAL;
  const double end = is_interval ? observer->argument[0] : 0;
  *low = (mfq_observer){.observed = is_interval ? MFQ_OBSERVED_LOW_PERCENTILE : MFQ_OBSERVED_LOW, .argument = {end, 0}};
}

int mfq_observer_equal(const mfq_observer *a, const mfq_observer *b) {
  return a->observed == b->observed && a->axis == b->axis && a->argument[0] == b->argument[0] &&
         a->argument[1] == b->argument[1];
}

mfq_status mfq_observer_verify(mfq_where where, const mfq_observer *observer) {
  mfq_sentence why = {{0}};
  const mfq_status status = mfq_argument_present(where, observer);
  if (status != MFQ_OK || !find_fault(observer, &why)) return status;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: %s", where.argument, why.text);
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

static int find_row(mfq_span word) {
  for (int i = 0; i < ROW_COUNT; ++i)
    if (mfq_span_equal(word, rows[i].word)) return i;
  return -1;
}

static void unknown_word(mfq_span word, mfq_sentence *why) {
  mfq_nearest nearest = mfq_nearest_start(word);
  mfq_sentence_set(why, "\"%s\" is no statistic; allowed are ", mfq_quoted(word, 40).text);
  for (int i = 0; i < ROW_COUNT; ++i) {
    mfq_sentence_add(why, "%s%s", i == 0 ? "" : ", ", rows[i].word);
    mfq_nearest_offer(&nearest, rows[i].word);
  }
  mfq_nearest_add(&nearest, why);
}

static const char *const examples[] = {"nothing", ":99.9", ":0.1:99.9", ":3", "@0 or nothing"};

/* Reads what comes behind the word, as its row says. */
static int read_argument(mfq_span rest, mfq_observer *o) {
  const argument_kind kind = rows[o->observed].argument;
  if (kind == NONE) return rest.length == 0;
  if (kind == ROWS) {
    if (rest.length == 0) return 1;
    const mfq_span digits = mfq_span_from(rest, 1);
    const size_t used = mfq_span_integer(digits, 1, &o->axis);
    return rest.text[0] == '@' && used > 0 && used == digits.length;
  }
  if (rest.length == 0 || rest.text[0] != ':') return 0;
  mfq_span first = mfq_span_from(rest, 1);
  if (kind != INTERVAL) return mfq_span_double(first, &o->argument[0]);
  const size_t colon = mfq_span_find(first, ':');
  if (colon == first.length) return 0;
  const mfq_span second = mfq_span_from(first, colon + 1);
  first.length = colon;
  return mfq_span_double(first, &o->argument[0]) && mfq_span_double(second, &o->argument[1]);
}

int mfq_observer_read(mfq_span text, mfq_observer *observer, mfq_sentence *why) {
  const size_t at = mfq_span_find(text, ':'), axis = mfq_span_find(text, '@');
  const mfq_span word = {text.text, at < axis ? at : axis};
  mfq_observer read = {.axis = 0};
  mfq_sentence cause = {{0}};
  const int row = find_row(word);
  if (row < 0) {
    unknown_word(word, why);
    return 0;
  }
  read.observed = (mfq_observed)row;
  if (!read_argument(mfq_span_from(text, word.length), &read))
    mfq_sentence_set(&cause, "behind %s comes %s", rows[row].word, examples[rows[row].argument]);
  else if (!find_fault(&read, &cause)) {
    *observer = read;
    return 1;
  }
  mfq_sentence_set(why, "\"%s\": %s", mfq_quoted(text, 80).text, cause.text);
  return 0;
}

mfq_status mfq_observer_parse(const char *text, mfq_observer *observer) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_observer_parse";
  mfq_sentence why = {{0}};
  if (text == NULL || observer == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", text == NULL ? "text" : "observer");
  if (mfq_observer_read(mfq_span_of(text), observer, &why)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_PARSE, function, "%s", why.text);
}

mfq_status mfq_observer_print(const mfq_observer *observer, char *text, size_t capacity) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_observer_print";
  const mfq_status status = mfq_observer_verify((mfq_where){function, "observer"}, observer);
  if (status != MFQ_OK) return status;
  if (text == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "text is NULL");
  mfq_sentence written = {{0}};
  const argument_kind kind = rows[observer->observed].argument;
  mfq_sentence_set(&written, "%s", rows[observer->observed].word);
  for (int i = 0; kind != NONE && kind != ROWS && i < (kind == INTERVAL ? 2 : 1); ++i) {
    char number[32];
    mfq_double_write(observer->argument[i], number, sizeof number);
    mfq_sentence_add(&written, ":%s", number);
  }
  if (observer->axis != 0) mfq_sentence_add(&written, "@%d", (int)observer->axis);
  const size_t needed = strlen(written.text) + 1;
  if (capacity < needed)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "capacity is %zu; \"%s\" needs %zu bytes, and MFQ_OBSERVER_TEXT_MAX holds every statistic",
                    capacity, written.text, needed);
  memcpy(text, written.text, needed);
  return MFQ_OK;
}
