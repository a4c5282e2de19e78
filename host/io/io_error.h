/* host/io/io_error.h: how a failure of mfq_io gets its status and its sentence. */
#ifndef MFQ_HOST_IO_IO_ERROR_H
#define MFQ_HOST_IO_IO_ERROR_H

#include <mfq/base.h>

/* Stores "function: sentence" as this thread's last error of mfq_io and returns `status`. Longer texts are cut with
 * "...". */
__attribute__((format(printf, 3, 4))) mfq_status mfq_io_fail(mfq_status status, const char *function,
                                                             const char *format, ...);

/* Copies text from a file for use in a sentence: control characters become '?', what does not fit "...". Returns
 * `buffer`. */
const char *mfq_io_printable(const char *text, char *buffer, size_t capacity);

/* Returns the byte offset of the first control character (C0, DEL, C1) in UTF-8 text, or -1. */
ptrdiff_t mfq_io_find_control(const char *text);

/* Whether a text is UTF-8 as the JSON library wants it: without overlong forms, surrogates, and more than U+10ffff. */
int mfq_io_is_utf8(const char *text);

#endif
