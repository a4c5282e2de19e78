/* host/core/scheme/text.h: pieces of text, numbers in them, and sentences under construction. */
#ifndef MFQ_HOST_CORE_TEXT_H
#define MFQ_HOST_CORE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* A piece of a longer text; not terminated. */
typedef struct mfq_span {
  const char *text;
  size_t length;
} mfq_span;

/* A sentence under construction. */
typedef struct mfq_sentence {
  char text[960];
} mfq_sentence;

mfq_span mfq_span_of(const char *text);
mfq_span mfq_span_from(mfq_span span, size_t start);
int mfq_span_equal(mfq_span span, const char *word);
int mfq_span_starts(mfq_span span, const char *prefix);
/* Offset of the first `wanted`, or span.length. */
size_t mfq_span_find(mfq_span span, char wanted);

/* Reads a decimal integer (with '-' when `is_signed`) at the start of `span`; returns the characters used, 0 when there
 * is no number or it does not fit 32 bits. */
size_t mfq_span_integer(mfq_span span, int is_signed, int32_t *value);
/* Reads all of `span` as a decimal number of 64 bits; 0 when it is not one. */
int mfq_span_natural(mfq_span span, uint64_t *value);
/* Reads all of `span` as a decimal number; 0 when it is not one. Independent of the process's locale. */
int mfq_span_float(mfq_span span, float *value);
/* The same, as a double. */
int mfq_span_double(mfq_span span, double *value);
/* Writes a finite number with as few digits as mfq_span_float reads back to it. Independent of the process's locale. */
void mfq_float_write(float value, char *text, size_t capacity);
/* The same for mfq_span_double. */
void mfq_double_write(double value, char *text, size_t capacity);
/* Writes a number with up to 9 digits, for a sentence. Independent of the process's locale. */
void mfq_number_write(double value, char *text, size_t capacity);

/* A text as sentences quote it: "..." stands for what was cut. */
typedef struct mfq_quote {
  char text[164];
} mfq_quote;
/* Quotes at most `most` bytes (up to 160), and no half UTF-8 character. */
mfq_quote mfq_quoted(mfq_span span, size_t most);

/* Number of edits between two words, cases being equal; a word longer than 63 is far from everything. */
int mfq_word_distance(mfq_span word, const char *other);

__attribute__((format(printf, 2, 3))) void mfq_sentence_set(mfq_sentence *sentence, const char *format, ...);
__attribute__((format(printf, 2, 3))) void mfq_sentence_add(mfq_sentence *sentence, const char *format, ...);

#endif
