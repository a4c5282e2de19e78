/* host/core/scheme/format_info.c: what a format can hold, and its codes decoded in double: a second definition of what
 * num/ computes in integers. */
#include "host/core/error.h"
#include "format.h"
#include "host/core/process/fp_mode.h"

#include <float.h>
#include <math.h>

static int32_t nan_code(const mfq_format *f) {
  int32_t magnitude_codes = 1 << mfq_format_magnitude_bits(f);
  switch (f->specials) {
    case MFQ_SPECIALS_FN:
    case MFQ_SPECIALS_IEEE: return magnitude_codes - 1;
    case MFQ_SPECIALS_FNUZ: return magnitude_codes;
    case MFQ_SPECIALS_NONE: break;
  }
  return -1;
}

static void minifloat_info(const mfq_format *f, mfq_format_info *info) {
  info->max_finite = mfq_format_max_value(f);
  info->min_finite = f->is_signed ? -info->max_finite : 0.0;
  info->min_normal = ldexp(1.0, 1 - f->bias);
  info->min_positive = mfq_minifloat_value(f, 1);
  info->nan_code = nan_code(f);
  info->inf_code = f->specials == MFQ_SPECIALS_IEEE ? mfq_format_max_code(f) + 1 : -1;
}

static void integer_info(const mfq_format *f, mfq_format_info *info) {
  info->max_finite = mfq_format_max_value(f);
  info->min_finite = ldexp(mfq_integer_min_code(f), -f->frac_bits);
  info->min_normal = ldexp(1.0, -f->frac_bits);
  info->min_positive = info->min_normal;
  info->nan_code = -1;
  info->inf_code = -1;
}

int mfq_format_is_float32(const mfq_format *format) {
  /* All values are multiples of the smallest one, by at most 8 bits times a power of two. */
  const double smallest = format->kind == MFQ_KIND_INTEGER ? 1.0 : mfq_minifloat_value(format, 1);
  return smallest >= ldexp(1.0, -149) && mfq_format_max_value(format) <= (double)FLT_MAX;
}

mfq_status mfq_format_info_get(const mfq_format *format, mfq_format_info *info) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_format_info_get";
  mfq_status status = mfq_format_check(format, function, "format");
  if (status != MFQ_OK) return status;
  if (info == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "info is NULL");
  mfq_format_info found = {.bits = mfq_format_bits(format)};
  found.codes = 1 << found.bits;
  if (format->kind == MFQ_KIND_INTEGER)
    integer_info(format, &found);
  else
    minifloat_info(format, &found);
  found.emax = ilogb(found.max_finite);
  *info = found;
  return MFQ_OK;
}

static double decode_integer(const mfq_format *f, int32_t code) {
  int32_t codes = 1 << mfq_format_bits(f);
  int32_t number = f->is_signed && code >= codes / 2 ? code - codes : code;
  return ldexp(number, -f->frac_bits);
}

static double decode_minifloat(const mfq_format *f, int32_t code) {
  int32_t sign_bit = 1 << mfq_format_magnitude_bits(f);
  int32_t magnitude = code & (sign_bit - 1);
  int negative = f->is_signed && (code & sign_bit) != 0;
  if (f->specials == MFQ_SPECIALS_FNUZ) {
    if (code == sign_bit) return (double)NAN;
  } else if (magnitude > mfq_format_max_code(f)) {
    int is_infinity = f->specials == MFQ_SPECIALS_IEEE && magnitude == mfq_format_max_code(f) + 1;
    double special = is_infinity ? (double)INFINITY : (double)NAN;
    return negative ? -special : special;
  }
  double value = mfq_minifloat_value(f, magnitude);
  return negative ? -value : value;
}

mfq_status mfq_format_decode(const mfq_format *format, uint32_t code, double *value) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_format_decode";
  mfq_status status = mfq_format_check(format, function, "format");
  if (status != MFQ_OK) return status;
  if (value == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "value is NULL");
  int32_t bits = mfq_format_bits(format);
  if (code >> bits != 0) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "code is %u; codes of this format have %d bits, 0 ... %d",
                    (unsigned)code, (int)bits, (1 << bits) - 1);
  }
  *value = format->kind == MFQ_KIND_INTEGER ? decode_integer(format, (int32_t)code)
                                            : decode_minifloat(format, (int32_t)code);
  return MFQ_OK;
}
