/* host/core/scheme/format_check.c: which formats there can be, each range with its reason, and the numbers that follow
 * from one: bits, largest code, largest value. */
#include "host/core/error.h"
#include "format.h"

#include <math.h>

typedef struct field_range {
  const char *name;
  int64_t value, low, high;
} field_range;

/* Returns 1 when every field lies in its range. */
static int ranges_hold(const field_range *fields, int count, mfq_sentence *why) {
  for (int i = 0; i < count; ++i) {
    if (fields[i].value < fields[i].low || fields[i].value > fields[i].high) {
      mfq_sentence_set(why, "%s is %lld; allowed is %lld ... %lld", fields[i].name, (long long)fields[i].value,
                       (long long)fields[i].low, (long long)fields[i].high);
      return 0;
    }
  }
  return 1;
}

static int minifloat_valid(const mfq_format *f, mfq_sentence *why) {
  const field_range fields[] = {{"is_signed", f->is_signed, 0, 1},
                                {"exp_bits", f->exp_bits, 1, 8},
                                {"man_bits", f->man_bits, 0, 7},
                                {"bias", f->bias, -64, 160},
                                {"specials", (int)f->specials, MFQ_SPECIALS_NONE, MFQ_SPECIALS_IEEE},
                                {"frac_bits of a minifloat", f->frac_bits, 0, 0},
                                {"narrow of a minifloat", f->narrow, 0, 0},
                                {"the width in bits", (int64_t)f->is_signed + f->exp_bits + f->man_bits, 2, 8}};
  if (!ranges_hold(fields, (int)(sizeof fields / sizeof fields[0]), why)) return 0;
  if (f->specials == MFQ_SPECIALS_FNUZ && !f->is_signed) {
    mfq_sentence_set(why, "fnuz needs a sign: its NaN is the code of -0, which an unsigned format has not; "
                          "use fn or none");
    return 0;
  }
  if (f->specials == MFQ_SPECIALS_IEEE && f->man_bits == 0) {
    mfq_sentence_set(why, "ieee needs a mantissa bit: without one no code is left for NaN beside infinity; "
                          "use fn or none");
    return 0;
  }
  if (mfq_format_max_code(f) < 1) {
    mfq_sentence_set(why, "fn takes the only code that is not zero; add a bit or use none");
    return 0;
  }
  return 1;
}

static int integer_valid(const mfq_format *f, mfq_sentence *why) {
  const field_range fields[] = {{"is_signed", f->is_signed, 0, 1},
                                {"exp_bits of an integer", f->exp_bits, 0, 0},
                                {"bias of an integer", f->bias, 0, 0},
                                {"specials of an integer", (int)f->specials, 0, 0},
                                {"frac_bits", f->frac_bits, -16, 16},
                                {"narrow", f->narrow, 0, 1},
                                {"the width in bits", (int64_t)f->is_signed + f->man_bits, 2, 8}};
  return ranges_hold(fields, (int)(sizeof fields / sizeof fields[0]), why);
}

int mfq_format_valid(const mfq_format *format, mfq_sentence *why) {
  switch (format->kind) {
    case MFQ_KIND_MINIFLOAT: return minifloat_valid(format, why);
    case MFQ_KIND_INTEGER: return integer_valid(format, why);
  }
  mfq_sentence_set(why, "kind is %d; allowed are MFQ_KIND_MINIFLOAT (0) and MFQ_KIND_INTEGER (1)", (int)format->kind);
  return 0;
}

mfq_status mfq_format_check(const mfq_format *format, const char *function, const char *argument) {
  if (format == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", argument);
  mfq_sentence why;
  if (!mfq_format_valid(format, &why))
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: %s", argument, why.text);
  return MFQ_OK;
}

int32_t mfq_format_magnitude_bits(const mfq_format *format) { return format->exp_bits + format->man_bits; }

int32_t mfq_format_bits(const mfq_format *format) { return format->is_signed + mfq_format_magnitude_bits(format); }

int32_t mfq_integer_min_code(const mfq_format *format) {
  return format->is_signed ? -(1 << format->man_bits) + format->narrow : 0;
}

int32_t mfq_integer_max_code(const mfq_format *format) {
  return (1 << format->man_bits) - 1 - (format->is_signed ? 0 : format->narrow);
}

int32_t mfq_format_max_code(const mfq_format *format) {
  if (format->kind == MFQ_KIND_INTEGER) return mfq_integer_max_code(format);
  int32_t codes = 1 << mfq_format_magnitude_bits(format);
  if (format->specials == MFQ_SPECIALS_FN) return codes - 2;
  if (format->specials == MFQ_SPECIALS_IEEE) return codes - (1 << format->man_bits) - 1;
  return codes - 1;
}

double mfq_minifloat_value(const mfq_format *format, int32_t magnitude) {
  int32_t exponent = magnitude >> format->man_bits;
  int32_t mantissa = magnitude & ((1 << format->man_bits) - 1);
  if (exponent == 0) return ldexp(mantissa, 1 - format->bias - format->man_bits);
  return ldexp((1 << format->man_bits) + mantissa, exponent - format->bias - format->man_bits);
}

double mfq_format_max_value(const mfq_format *format) {
  int32_t code = mfq_format_max_code(format);
  return format->kind == MFQ_KIND_INTEGER ? ldexp(code, -format->frac_bits) : mfq_minifloat_value(format, code);
}
