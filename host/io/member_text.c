/* host/io/member_text.c: members are printed as they come and never kept as a tree. */
#include "member_text.h"

#include <stdlib.h>

enum { FLAGS = JSON_COMPACT | JSON_ENCODE_ANY };

static int make_room(mfq_member_text *m, size_t more) {
  if (more <= m->capacity - m->bytes) return 0;
  size_t capacity = m->capacity < 4096 ? 4096 : 2 * m->capacity;
  while (capacity - m->bytes < more) capacity *= 2;
  char *grown = realloc(m->text, capacity);
  if (grown == NULL) return -1;
  m->text = grown;
  m->capacity = capacity;
  return 0;
}

int mfq_member_text_add(mfq_member_text *m, const char *name, json_t *value) {
  json_t *key = json_string(name);
  const size_t key_bytes = json_dumpb(key, NULL, 0, FLAGS), value_bytes = json_dumpb(value, NULL, 0, FLAGS);
  int is_added = key_bytes > 0 && value_bytes > 0 && make_room(m, key_bytes + value_bytes + 2) == 0;
  if (is_added) {
    size_t at = m->bytes;
    if (at > 0) m->text[at++] = ',';
    is_added = json_dumpb(key, m->text + at, key_bytes, FLAGS) == key_bytes; /* it allocates, too */
    at += key_bytes;
    m->text[at++] = ':';
    is_added = is_added && json_dumpb(value, m->text + at, value_bytes, FLAGS) == value_bytes;
    if (is_added) m->bytes = at + value_bytes;
  }
  json_decref(key);
  json_decref(value);
  return is_added ? 0 : -1;
}
