/* host/api/collection_text.c: a collection as a line of fields, each "name=value", in one order. */
#include <mfq/observe.h>

#include <stdio.h>
#include <string.h>

#include "host/core/check/observing.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"

/* The first word, with the version of what follows it. */
static const char first_word[] = "mfq-collection:1";
static const char *const running_words[] = {"momentum", "mean", "extreme"};
enum { RUNNINGS = sizeof running_words / sizeof running_words[0] };

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

mfq_status mfq_collection_print(const mfq_collection *c, char *text, size_t capacity) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_collection_print";
  char scheme[MFQ_SCHEME_TEXT_MAX], observer[MFQ_OBSERVER_TEXT_MAX], momentum[32] = "",
                                                                     written[MFQ_COLLECTION_TEXT_MAX];
  mfq_status status = mfq_collection_verify((mfq_where){function, "collection"}, c);
  if (status == MFQ_OK) status = mfq_scheme_print(&c->scheme, scheme, sizeof scheme);
  if (status == MFQ_OK) status = mfq_observer_print(&c->observer, observer, sizeof observer);
  if (status != MFQ_OK) return status;
  if (text == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "text is NULL");
  if (c->running == MFQ_RUNNING_MOMENTUM) {
    momentum[0] = ':';
    mfq_double_write(c->momentum, momentum + 1, sizeof momentum - 1);
  }
  const int length =
      snprintf(written, sizeof written, "%s scheme=%s statistic=%s running=%s%s steps=%lld/%lld shape=%s", first_word,
               scheme, observer, running_words[c->running], momentum, (long long)c->steps, (long long)c->limit,
               mfq_shape_write(c->scale_rank, c->scale_shape).text);
  const size_t needed = (size_t)length + 1;
  if (needed > sizeof written) return mfq_fail(MFQ_ERROR_INTERNAL, function, "a collection has a longer text than all");
  if (capacity < needed)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "capacity is %zu, but the text needs %zu bytes; MFQ_COLLECTION_TEXT_MAX holds every one", capacity,
                    needed);
  memcpy(text, written, needed);
  return MFQ_OK;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* What is left of a line. */
typedef struct line {
  mfq_span rest;
} line;

/* Takes the next field, whose name must be `name`: its value ends at a space, the last one's at the end. Returns 0 where
 * there is another one, or none. */
static int take_field(line *l, const char *name, int is_last, mfq_span *value) {
  const size_t length = strlen(name);
  if (!mfq_span_starts(l->rest, name) || l->rest.length <= length || l->rest.text[length] != '=') return 0;
  const mfq_span from = mfq_span_from(l->rest, length + 1);
  const size_t end = is_last ? from.length : mfq_span_find(from, ' ');
  *value = (mfq_span){from.text, end};
  l->rest = mfq_span_from(from, end < from.length ? end + 1 : end);
  return 1;
}

/* A copy with an end, for parsers that need one; too long a text is cut, and no text of anything then. */
typedef struct word {
  char text[MFQ_SCHEME_TEXT_MAX + 8];
} word;
static word word_of(mfq_span span) {
  word w = {{0}};
  memcpy(w.text, span.text, span.length < sizeof w.text ? span.length : sizeof w.text - 1);
  return w;
}

static int read_running(mfq_span value, mfq_collection *c) {
  const size_t colon = mfq_span_find(value, ':');
  const mfq_span name = {value.text, colon};
  for (int i = 0; i < RUNNINGS; ++i) {
    if (!mfq_span_equal(name, running_words[i])) continue;
    c->running = (mfq_running)i;
    c->momentum = 0.0;
    if (c->running != MFQ_RUNNING_MOMENTUM) return colon == value.length;
    return colon < value.length && mfq_span_double(mfq_span_from(value, colon + 1), &c->momentum);
  }
  return 0;
}

static int read_count(mfq_span text, int64_t *count) {
  uint64_t value = 0;
  if (!mfq_span_natural(text, &value) || value >= INT64_MAX) return 0;
  *count = (int64_t)value;
  return 1;
}

static int read_steps(mfq_span value, mfq_collection *c) {
  const size_t slash = mfq_span_find(value, '/');
  if (slash == value.length) return 0;
  return read_count((mfq_span){value.text, slash}, &c->steps) && read_count(mfq_span_from(value, slash + 1), &c->limit);
}

/* "[]", "[2, 3]" */
static int read_shape(mfq_span value, mfq_collection *c) {
  if (value.length < 2 || value.text[0] != '[' || value.text[value.length - 1] != ']') return 0;
  mfq_span rest = {value.text + 1, value.length - 2};
  c->scale_rank = 0;
  c->scale_count = 1;
  while (rest.length > 0) {
    const size_t comma = mfq_span_find(rest, ',');
    int64_t size;
    if (c->scale_rank == MFQ_MAX_RANK || !read_count((mfq_span){rest.text, comma}, &size)) return 0;
    c->scale_shape[c->scale_rank++] = size;
    if (!mfq_checked_mul(c->scale_count, size, &c->scale_count)) return 0;
    if (comma == rest.length) return 1;
    rest = mfq_span_from(rest, comma + 1);
    if (rest.length < 2 || rest.text[0] != ' ') return 0;
    rest = mfq_span_from(rest, 1);
  }
  return 1;
}

static mfq_status bad(const char *what) {
  return mfq_fail(MFQ_ERROR_PARSE, "mfq_collection_parse",
                  "%s; a line is \"%s scheme=int8/f32 statistic=absmax running=momentum:0.1 steps=3/300 shape=[]\"",
                  what, first_word);
}

static mfq_status read_fields(line *l, mfq_collection *c) {
  mfq_span value;
  if (!take_field(l, "scheme", 0, &value)) return bad("the second field is not scheme=");
  mfq_status status = mfq_scheme_parse(word_of(value).text, &c->scheme);
  if (status != MFQ_OK) return status;
  if (!take_field(l, "statistic", 0, &value)) return bad("the third field is not statistic=");
  status = mfq_observer_parse(word_of(value).text, &c->observer);
  if (status != MFQ_OK) return status;
  if (!take_field(l, "running", 0, &value) || !read_running(value, c))
    return bad("the fourth field is not running= with momentum and a number, mean or extreme");
  if (!take_field(l, "steps", 0, &value) || !read_steps(value, c))
    return bad("the fifth field is not steps= with two numbers");
  if (!take_field(l, "shape", 1, &value) || !read_shape(value, c))
    return bad("the last field is not shape= with sizes");
  return mfq_collection_verify((mfq_where){"mfq_collection_parse", "text"}, c) == MFQ_OK
             ? MFQ_OK
             : bad("its numbers are no collection's");
}

mfq_status mfq_collection_parse(const char *text, mfq_collection *collection) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_collection_parse";
  if (text == NULL || collection == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", text == NULL ? "text" : "collection");
  const mfq_span all = mfq_span_of(text);
  const size_t space = mfq_span_find(all, ' ');
  const mfq_span first = {all.text, space};
  if (!mfq_span_starts(first, "mfq-collection:")) return bad("the text is no collection's");
  if (!mfq_span_equal(first, first_word) || space == all.length)
    return mfq_fail(MFQ_ERROR_PARSE, function, "the collection is \"%s\", but this library reads %s",
                    mfq_quoted(first, 40).text, first_word);
  line l = {mfq_span_from(all, space + 1)};
  mfq_collection read;
  memset(&read, 0, sizeof read);
  const mfq_status status = read_fields(&l, &read);
  if (status == MFQ_OK) *collection = read;
  return status;
}
