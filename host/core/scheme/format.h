/* host/core/scheme/format.h: element formats: validity, the table of named ones, and their text. */
#ifndef MFQ_HOST_CORE_FORMAT_H
#define MFQ_HOST_CORE_FORMAT_H

#include <mfq/types.h>

#include "text.h"

/* One row of formats.def. */
typedef struct mfq_format_row {
  const char *name;
  mfq_format format;
  const char *about;
} mfq_format_row;

/* Returns 1 when the fields describe a format; otherwise 0 and the reason in `why`. */
int mfq_format_valid(const mfq_format *format, mfq_sentence *why);
/* The same as a status; `argument` names the format in the sentence. */
mfq_status mfq_format_check(const mfq_format *format, const char *function, const char *argument);

/* Returns 1 when all fields are equal. */
int mfq_format_equal(const mfq_format *a, const mfq_format *b);

/* Bits of a code, and of a code without its sign. */
int32_t mfq_format_bits(const mfq_format *format);
int32_t mfq_format_magnitude_bits(const mfq_format *format);
/* Largest finite code of a valid format (the sign bit is not set). */
int32_t mfq_format_max_code(const mfq_format *format);
/* Smallest (unbiased) and largest code value of a valid integer format. */
int32_t mfq_integer_min_code(const mfq_format *format);
int32_t mfq_integer_max_code(const mfq_format *format);
/* Value of a magnitude code of a valid minifloat, infinities and NaN not considered. */
double mfq_minifloat_value(const mfq_format *format, int32_t magnitude);
/* Largest finite value of a valid format. */
double mfq_format_max_value(const mfq_format *format);

/* Whether float32 holds every finite value of a valid format. */
int mfq_format_is_float32(const mfq_format *format);

/* Row `index` of formats.def, NULL beyond the last. */
const mfq_format_row *mfq_format_row_at(int32_t index);
const mfq_format_row *mfq_format_row_named(mfq_span name);
const mfq_format_row *mfq_format_row_of(const mfq_format *format);

/* Whether a word begins like a format, so that a failure to read it is worth explaining. */
int mfq_format_looks_like(mfq_span text);
/* Reads all of `text`; on failure returns 0, the offset of the bad part in `at` and the reason in `why`. */
int mfq_format_read(mfq_span text, mfq_format *format, size_t *at, mfq_sentence *why);
/* Writes the generic text of a valid format, which no name of formats.def hides. */
void mfq_format_write_generic(const mfq_format *format, char text[MFQ_FORMAT_TEXT_MAX]);
/* Writes the name of formats.def, otherwise the generic text. */
void mfq_format_write(const mfq_format *format, char text[MFQ_FORMAT_TEXT_MAX]);

#endif
