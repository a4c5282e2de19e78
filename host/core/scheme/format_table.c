/* host/core/scheme/format_table.c: formats.def as an array; nothing else knows the names of formats. */
#include "format.h"

#define MFQ_MINIFLOAT(name, is_signed, exp_bits, man_bits, bias, specials, about)                                      \
  {#name, {MFQ_KIND_MINIFLOAT, is_signed, exp_bits, man_bits, bias, MFQ_SPECIALS_##specials, 0, 0}, about},
#define MFQ_INTEGER(name, is_signed, bits, frac_bits, narrow, about)                                                   \
  {#name, {MFQ_KIND_INTEGER, is_signed, 0, (bits) - (is_signed), 0, MFQ_SPECIALS_NONE, frac_bits, narrow}, about},

static const mfq_format_row format_rows[] = {
#include <mfq/formats.def>
};

enum { FORMAT_ROWS = sizeof format_rows / sizeof format_rows[0] };

const mfq_format_row *mfq_format_row_at(int32_t index) {
  return index >= 0 && index < FORMAT_ROWS ? &format_rows[index] : NULL;
}

const mfq_format_row *mfq_format_row_named(mfq_span name) {
  for (int i = 0; i < FORMAT_ROWS; ++i)
    if (mfq_span_equal(name, format_rows[i].name)) return &format_rows[i];
  return NULL;
}

const mfq_format_row *mfq_format_row_of(const mfq_format *format) {
  for (int i = 0; i < FORMAT_ROWS; ++i)
    if (mfq_format_equal(format, &format_rows[i].format)) return &format_rows[i];
  return NULL;
}

const char *mfq_format_name(int32_t index, const char **about) {
  const mfq_format_row *row = mfq_format_row_at(index);
  if (about != NULL) *about = row != NULL ? row->about : NULL;
  return row != NULL ? row->name : NULL;
}
