/* host/io/io_error.c: the last error of mfq_io, and text that is safe to print. */
#include "io_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <mfq/io.h>

enum { SENTENCE_BYTES = 2560 };

static _Thread_local char last_sentence[SENTENCE_BYTES];

const char *mfq_io_last_error(void) { return last_sentence; }

/* Ends `text`, which was cut at `capacity`, with "..." and without half a UTF-8 sequence. */
static void mark_cut(char *text, size_t capacity) {
  size_t end = capacity - 4;
  while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80) --end;
  memcpy(text + end, "...", 4);
}

ptrdiff_t mfq_io_find_control(const char *text) {
  const unsigned char *p = (const unsigned char *)text;
  for (ptrdiff_t i = 0; p[i] != 0; ++i) {
    int c1 = p[i] == 0xc2 && p[i + 1] >= 0x80 && p[i + 1] <= 0x9f;
    if (p[i] < 0x20 || p[i] == 0x7f || c1) return i;
  }
  return -1;
}

static void replace_controls(char *text) {
  for (ptrdiff_t at = mfq_io_find_control(text); at >= 0; at = mfq_io_find_control(text)) {
    if ((unsigned char)text[at] == 0xc2) text[at + 1] = '?';
    text[at] = '?';
  }
}

mfq_status mfq_io_fail(mfq_status status, const char *function, const char *format, ...) {
  char text[SENTENCE_BYTES]; /* arguments may point at the last sentence */
  int head = snprintf(text, sizeof text, "%s: ", function);
  if (head < 0 || (size_t)head >= sizeof text) head = 0;
  va_list args;
  va_start(args, format);
  int tail = vsnprintf(text + head, sizeof text - (size_t)head, format, args);
  va_end(args);
  if (tail < 0)
    text[head] = '\0';
  else if ((size_t)head + (size_t)tail >= sizeof text)
    mark_cut(text, sizeof text);
  replace_controls(text); /* paths may have any character */
  memcpy(last_sentence, text, sizeof text);
  return status;
}

const char *mfq_io_printable(const char *text, char *buffer, size_t capacity) {
  int written = snprintf(buffer, capacity, "%s", text);
  if (written >= 0 && (size_t)written >= capacity) mark_cut(buffer, capacity);
  replace_controls(buffer);
  return buffer;
}

int mfq_io_is_utf8(const char *text) {
  for (const unsigned char *p = (const unsigned char *)text; *p != 0;) {
    const int length = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
    if (length == 0) return 0;
    uint32_t point = length == 1 ? *p : *p & (0x7fu >> length);
    for (int i = 1; i < length; ++i) {
      if ((p[i] & 0xc0) != 0x80) return 0;
      point = point << 6 | (p[i] & 0x3fu);
    }
    if ((length == 3 && point < 0x800) || (length == 4 && (point < 0x10000 || point > 0x10ffff))) return 0;
    if (point >= 0xd800 && point <= 0xdfff) return 0;
    p += length;
  }
  return 1;
}
