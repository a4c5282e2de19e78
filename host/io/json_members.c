/* host/io/json_members.c: brackets are counted before the JSON library sees a member, and a failure is told from
 * missing memory by asking again. */
#define _GNU_SOURCE 1
#include "json_members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong(mfq_json_members *m, size_t at, const char *why) {
  m->at = at;
  m->is_wrong = 1;
  (void)snprintf(m->why, sizeof m->why, "%s", why);
  return 0;
}

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static size_t skip_space(const mfq_json_members *m, size_t at) {
  while (at < m->end && is_space(m->text[at])) ++at;
  return at;
}

/* The place behind the string that begins at `at`; m->end when it does not end. */
static size_t behind_string(const mfq_json_members *m, size_t at) {
  for (at++; at < m->end && m->text[at] != '"'; ++at)
    if (m->text[at] == '\\') ++at;
  return at < m->end ? at + 1 : m->end;
}

static int too_deep(mfq_json_members *m, size_t at) {
  (void)wrong(m, at, "");
  (void)snprintf(m->why, sizeof m->why, "values nest deeper than %d", MFQ_JSON_DEPTH);
  return 0;
}

/* Finds the place behind the value that begins at `at`, as far as brackets, quotes and commas tell. Returns 0 when it
 * nests deeper than a member may. */
static int find_end(mfq_json_members *m, size_t at, size_t *end) {
  int depth = 0;
  while (at < m->end) {
    const char c = m->text[at];
    if (c == '"') {
      at = behind_string(m, at);
    } else {
      if (depth == 0 && (c == ',' || c == '}' || c == ']' || is_space(c))) break;
      depth += (c == '{' || c == '[') - (c == '}' || c == ']');
      if (depth == MFQ_JSON_DEPTH) return too_deep(m, at); /* the object itself is one */
      ++at;
    }
    if (depth == 0 && (c == '"' || c == '}' || c == ']')) break;
  }
  *end = at;
  return 1;
}

int mfq_json_begin(mfq_json_members *m, const char *text, size_t at, size_t end) {
  *m = (mfq_json_members){.text = text, .at = at, .end = end, .is_first = 1};
  m->at = skip_space(m, at);
  if (m->at == end || text[m->at] != '{') return wrong(m, m->at, "'{' expected");
  ++m->at;
  return 1;
}

/* Whether there is memory for about what a text needs. */
static int has_memory(size_t bytes) {
  volatile char *probe = malloc(bytes);
  if (probe == NULL) return 0;
  *probe = 0; /* so that the compiler does not leave it out */
  free((void *)probe);
  return 1;
}

/* Reads text[from, to) by itself. The JSON library reports many failures to allocate as errors of syntax, so a text is
 * wrong when it is wrong again while there is memory. */
static json_t *load(mfq_json_members *m, size_t from, size_t to) {
  enum { FLAGS = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY };
  json_error_t error;
  json_t *value = json_loadb(m->text + from, to - from, FLAGS, &error);
  if (value != NULL) return value;
  const int is_memory_there = has_memory(4096 + 2 * (to - from));
  if (is_memory_there) value = json_loadb(m->text + from, to - from, FLAGS, &error);
  if (value != NULL) return value;
  char *quote = strstr(error.text, " near "); /* what follows is the text itself */
  if (quote != NULL) *quote = '\0';
  m->is_no_memory = !is_memory_there || json_error_code(&error) == json_error_out_of_memory;
  (void)wrong(m, from + (error.position > 0 ? (size_t)error.position : 0), error.text);
  return NULL;
}

/* Copies the string text[from, to), quotes included, into `out`, if it is ASCII and escapes only quotes and slashes, as
 * nearly all do. Returns 0 for another one. */
static int copy_simple(const mfq_json_members *m, size_t from, size_t to, char *out) {
  if (to - from < 2 || m->text[to - 1] != '"') return 0;
  for (size_t i = from + 1; i < to - 1; ++i) {
    if (m->text[i] == '\\' && (++i == to - 1 || strchr("\"\\/", m->text[i]) == NULL)) return 0;
    if (m->text[i] < 0x20 || m->text[i] > 0x7e) return 0;
    *out++ = m->text[i];
  }
  *out = '\0';
  return 1;
}

/* The string text[from, to), to be freed; NULL when it is none, or without memory. */
static char *decode(mfq_json_members *m, size_t from, size_t to) {
  char *text = malloc(to - from);
  if (text != NULL && copy_simple(m, from, to, text)) return text; /* the JSON library takes twenty times as long */
  free(text);
  json_t *value = load(m, from, to);
  if (value == NULL) return NULL;
  text = strdup(json_string_value(value));
  json_decref(value);
  m->is_no_memory = text == NULL;
  m->is_wrong = m->is_no_memory;
  return text;
}

static int read_key(mfq_json_members *m, mfq_json_member *member) {
  if (m->at == m->end || m->text[m->at] != '"') return wrong(m, m->at, "string or '}' expected");
  const size_t behind = behind_string(m, m->at);
  member->key = decode(m, m->at, behind);
  if (member->key == NULL) return 0;
  m->at = skip_space(m, behind);
  return 1;
}

static int read_span(mfq_json_members *m, mfq_json_member *member) {
  if (m->at == m->end || m->text[m->at] != ':') return wrong(m, m->at, "':' expected");
  member->from = skip_space(m, m->at + 1);
  if (!find_end(m, member->from, &member->to)) return 0;
  if (member->to == member->from || member->to == m->end) return wrong(m, member->to, "premature end of input");
  m->at = member->to;
  return 1;
}

int mfq_json_next(mfq_json_members *m, mfq_json_member *member) {
  if (m->is_wrong) return 0;
  m->at = skip_space(m, m->at);
  const char c = m->at < m->end ? m->text[m->at] : '\0';
  if (c == '}') {
    m->at = skip_space(m, m->at + 1);
    return m->at == m->end ? 0 : wrong(m, m->at, "end of file expected");
  }
  if (!m->is_first) {
    if (c != ',') return wrong(m, m->at, "'}' expected");
    m->at = skip_space(m, m->at + 1);
  }
  m->is_first = 0;
  *member = (mfq_json_member){.key = NULL};
  if (!read_key(m, member)) return 0;
  if (read_span(m, member)) return 1;
  free(member->key);
  member->key = NULL;
  return 0;
}

char *mfq_json_text(mfq_json_members *m, const mfq_json_member *member) { return decode(m, member->from, member->to); }

json_t *mfq_json_value(mfq_json_members *m, const mfq_json_member *member) { return load(m, member->from, member->to); }
