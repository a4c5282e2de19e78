/* host/core/error.c: the last sentence of each thread. Its texts come from callers and files: control characters are
 * replaced, long ones cut visibly. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_error[MFQ_SENTENCE_MAX];

/* Replaces the end of a cut text so that a reader sees that it was cut. */
static void mark_cut(char *text, size_t capacity) { memcpy(text + capacity - 4, "...", 4); }

/* Replaces what a terminal would obey: a sentence quotes its caller's texts. */
static void replace_controls(char *text) {
  for (unsigned char *p = (unsigned char *)text; *p != 0; ++p) {
    const int is_c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f; /* U+0080 ... U+009f in UTF-8 */
    if (is_c1) p[1] = '?';
    if (is_c1 || *p < 0x20 || *p == 0x7f) *p = '?';
  }
}

mfq_status mfq_fail(mfq_status status, const char *function, const char *format, ...) {
  char text[MFQ_SENTENCE_MAX]; /* not last_error itself: an argument may be mfq_last_error() */
  int used = snprintf(text, sizeof text, "%s: ", function);
  if (used < 0 || (size_t)used >= sizeof text) used = 0;
  va_list arguments;
  va_start(arguments, format);
  int wanted = vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
  va_end(arguments);
  if (wanted >= 0 && (size_t)wanted >= sizeof text - (size_t)used) mark_cut(text, sizeof text);
  replace_controls(text);
  memcpy(last_error, text, sizeof text);
  return status;
}

void mfq_error_restore(const char *text) { (void)snprintf(last_error, sizeof last_error, "%s", text); }

const char *mfq_last_error(void) { return last_error; }
