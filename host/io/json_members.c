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
  while (at < m->end && is_space(m->text[at])) at++;
  return at;
}

/* The place behind the string that begins at `at`; m->end when it does not end. */
static size_t behind_string(const mfq_json_members *m, size_t at) {
  for (at++; at < m->end && m->text[at] != '"'; at++)
    if (m->text[at] == '\\') at++;
  return at < m->end ? at + 1 : m->end;
}

/* The place behind the value that begins at `at`, as far as brackets, quotes and commas tell. */
static size_t behind_value(const mfq_json_members *m, size_t at) {
  int depth = 0;
  while (at < m->end) {
    const char c = m->text[at];
    if (c == '"') {
      at = behind_string(m, at);
    } else {
      if (depth == 0 && (c == ',' || c == '}' || c == ']' || is_space(c))) break;
      depth += (c == '{' || c == '[') - (c == '}' || c == ']');
      at++;
    }
    if (depth == 0 && (c == '"' || c == '}' || c == ']')) break;
  }
  return at;
}

/* Finds the first bracket below MFQ_JSON_DEPTH others; m->end when there is none. */
static size_t find_deep(const mfq_json_members *m) {
  int64_t depth = 0;
  for (size_t at = m->at; at < m->end;) {
    const char c = m->text[at];
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (depth > MFQ_JSON_DEPTH) return at;
    at = c == '"' ? behind_string(m, at) : at + 1;
  }
  return m->end;
}

int mfq_json_begin(mfq_json_members *m, const char *text, size_t at, size_t end) {
  *m = (mfq_json_members){.text = text, .at = at, .end = end, .is_first = 1};
  const size_t deep = find_deep(m);
  if (deep < end) {
    (void)wrong(m, deep, "");
    (void)snprintf(m->why, sizeof m->why, "values nest deeper than %d", MFQ_JSON_DEPTH);
    return 0;
  }
  m->at = skip_space(m, at);
  if (m->at == end || text[m->at] != '{') return wrong(m, m->at, "'{' expected");
  m->at++;
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

static int read_key(mfq_json_members *m, mfq_json_member *member) {
  if (m->at == m->end || m->text[m->at] != '"') return wrong(m, m->at, "string or '}' expected");
  const size_t behind = behind_string(m, m->at);
  json_t *key = load(m, m->at, behind);
  if (key == NULL) return 0;
  member->key = strdup(json_string_value(key));
  json_decref(key);
  m->is_no_memory = member->key == NULL;
  m->is_wrong = m->is_no_memory;
  m->at = skip_space(m, behind);
  return !m->is_wrong;
}

static int read_span(mfq_json_members *m, mfq_json_member *member) {
  if (m->at == m->end || m->text[m->at] != ':') return wrong(m, m->at, "':' expected");
  member->from = skip_space(m, m->at + 1);
  member->to = behind_value(m, member->from);
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

json_t *mfq_json_value(mfq_json_members *m, const mfq_json_member *member) { return load(m, member->from, member->to); }
