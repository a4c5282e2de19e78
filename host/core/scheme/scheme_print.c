/* host/core/scheme/scheme_print.c: a scheme has one text: its name where it has one, else its element and every setting
 * that is not the default; then its rotation. */
#include "host/core/error.h"
#include "format.h"
#include "host/core/process/fp_mode.h"
#include "scheme.h"

#include <stdio.h>
#include <string.h>

mfq_scale_rule mfq_scale_default_rule(mfq_scale_format scale) {
  return scale == MFQ_SCALE_UE8M0 ? MFQ_RULE_FLOOR : MFQ_RULE_ABSMAX;
}

mfq_scheme mfq_scheme_of_element(const mfq_format *element) {
  return (mfq_scheme){.element = *element, .axis = MFQ_AXIS_AUTO};
}

static void write_element(const mfq_scheme *s, mfq_sentence *text) {
  char element[MFQ_FORMAT_TEXT_MAX];
  mfq_format_write(&s->element, element);
  if (mfq_scheme_row_named(mfq_span_of(element), mfq_scheme_row_count()) >= 0)
    mfq_format_write_generic(&s->element, element); /* in front of a text, "mxint8" is the scheme */
  mfq_sentence_set(text, "%s", element);
}

static void write_granularity(const mfq_scheme *s, mfq_sentence *text) {
  if (s->granularity == MFQ_GRANULARITY_TENSOR) return;
  mfq_sentence_add(text, "/%s", mfq_granularity_words.words[s->granularity]);
  if (s->granularity == MFQ_GRANULARITY_GROUP) mfq_sentence_add(text, ":%d", (int)s->group_size);
  if (s->granularity == MFQ_GRANULARITY_BLOCK) mfq_sentence_add(text, ":%dx%d", (int)s->block_rows, (int)s->block_cols);
  if (s->axis != MFQ_AXIS_AUTO) mfq_sentence_add(text, "@%d", (int)s->axis);
}

static void write_scale(const mfq_scheme *s, mfq_sentence *text) {
  if (s->scale == MFQ_SCALE_NONE) return;
  if (s->scale == MFQ_SCALE_MINIFLOAT) {
    char format[MFQ_FORMAT_TEXT_MAX];
    mfq_format_write(&s->scale_element, format);
    mfq_sentence_add(text, "/scale:%s", format);
  } else {
    mfq_sentence_add(text, "/%s", mfq_scale_words.words[s->scale]);
  }
  if (s->rule != mfq_scale_default_rule(s->scale)) mfq_sentence_add(text, ":%s", mfq_rule_words.words[s->rule]);
}

static void write_number(const char *word, float value, mfq_sentence *text) {
  char number[32];
  if (value == 0.0f) return;
  mfq_float_write(value, number, sizeof number);
  mfq_sentence_add(text, "/%s:%s", word, number);
}

static void write_others(const mfq_scheme *s, mfq_sentence *text) {
  if (s->rounding != MFQ_ROUND_EVEN) mfq_sentence_add(text, "/round:%s", mfq_rounding_words.words[s->rounding]);
  if (s->no_saturate) mfq_sentence_add(text, "/nosat");
  if (s->zero_point)
    mfq_sentence_add(text, s->zero_point == MFQ_ZERO_POINT_FLOAT ? "/zpf" : "/zp");
  else if (s->statistic != MFQ_STATISTIC_ABSMAX)
    mfq_sentence_add(text, "/stat:%s", mfq_statistic_words.words[s->statistic]);
  write_number("min", s->statistic_min, text);
  write_number("gain", s->scale_gain, text);
  write_number("bound", s->scale_bound, text);
  if (s->eden != 0) mfq_sentence_add(text, "/eden:%d", (int)s->eden);
  if (s->arith != MFQ_ARITH_EXACT) mfq_sentence_add(text, "/arith:%s", mfq_arith_words.words[s->arith]);
}

mfq_scheme mfq_scheme_unrotated(const mfq_scheme *scheme) {
  mfq_scheme s = *scheme;
  s.rotation = 0;
  s.signs = MFQ_SIGNS_NONE;
  s.sign_seed = 0;
  return s;
}

void mfq_rotation_write(const mfq_scheme *s, mfq_sentence *text) {
  mfq_sentence_add(text, "hadamard:%d", (int)s->rotation);
  if (s->signs != MFQ_SIGNS_NONE) mfq_sentence_add(text, ":%s", mfq_signs_words.words[s->signs]);
  if (s->signs == MFQ_SIGNS_SEEDED) mfq_sentence_add(text, ":%llu", (unsigned long long)s->sign_seed);
}

mfq_status mfq_scheme_print(const mfq_scheme *scheme, char *text, size_t capacity) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_scheme_print";
  mfq_status status = mfq_scheme_verify(scheme, function, "scheme");
  if (status != MFQ_OK) return status;
  if (text == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "text is NULL");
  mfq_sentence written = {{0}};
  const mfq_scheme unrotated = mfq_scheme_unrotated(scheme); /* as all rows are */
  const int32_t row = mfq_scheme_row_of(&unrotated);
  if (row >= 0) {
    mfq_sentence_set(&written, "%s", mfq_scheme_name(row, NULL));
  } else {
    write_element(scheme, &written);
    write_granularity(scheme, &written);
    write_scale(scheme, &written);
    write_others(scheme, &written);
  }
  if (scheme->rotation != 0) {
    mfq_sentence_add(&written, "/");
    mfq_rotation_write(scheme, &written);
  }
  size_t needed = strlen(written.text) + 1;
  if (capacity < needed) {
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "capacity is %zu; \"%s\" needs %zu bytes, and MFQ_SCHEME_TEXT_MAX holds every scheme", capacity,
                    written.text, needed);
  }
  memcpy(text, written.text, needed);
  return MFQ_OK;
}
