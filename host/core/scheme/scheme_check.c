/* host/core/scheme/scheme_check.c: which settings of a scheme go together, one function a setting, each refusal with
 * the way out. */
#include "host/core/error.h"
#include "format.h"
#include "scheme.h"

#include <float.h>
#include <math.h>

typedef int scheme_test(const mfq_scheme *s, mfq_sentence *why);

static int refuse(mfq_sentence *why, const char *sentence) {
  mfq_sentence_set(why, "%s", sentence);
  return 0;
}

static const char *word_of(const mfq_words *words, int value) {
  return value >= 0 && value < words->count ? words->words[value] : "unknown";
}

static int is_power_of_two_rule(mfq_scale_rule rule) { return rule != MFQ_RULE_ABSMAX && rule != MFQ_RULE_GIVEN; }

/* F32, BF16, F16, UE8M0: the scales that every statistic and rule but UE8M0's absmax go with. */
static int is_general_scale(mfq_scale_format scale) { return scale != MFQ_SCALE_NONE && !mfq_scale_has_tensor(scale); }

static int in_words(const mfq_words *words, int64_t value, mfq_sentence *why) {
  if (value >= 0 && value < words->count) return 1;
  mfq_sentence_set(why, "the %s is enumerator %lld; allowed is 0 ... %d: ", words->what, (long long)value,
                   words->count - 1);
  mfq_words_list(words, why);
  return 0;
}

static int is_flag(const char *name, int32_t value, mfq_sentence *why) {
  if (value == 0 || value == 1) return 1;
  mfq_sentence_set(why, "%s is %d; allowed are 0 and 1", name, (int)value);
  return 0;
}

static int element_valid(const mfq_scheme *s, mfq_sentence *why) { return mfq_format_valid(&s->element, why); }

/* A size that a granularity uses is at least 1, another is 0. */
static int size_valid(const char *name, int32_t value, int is_used, mfq_sentence *why) {
  if (is_used ? value >= 1 : value == 0) return 1;
  mfq_sentence_set(why, "%s is %d; %s", name, (int)value,
                   is_used ? "it must be at least 1" : "it must be 0, because this granularity does not use it");
  return 0;
}

static int axis_valid(const mfq_scheme *s, mfq_sentence *why) {
  int has_axis = s->granularity == MFQ_GRANULARITY_CHANNEL || s->granularity == MFQ_GRANULARITY_GROUP;
  if (s->axis == MFQ_AXIS_AUTO || (has_axis && s->axis >= -MFQ_MAX_RANK && s->axis < MFQ_MAX_RANK)) return 1;
  mfq_sentence_set(why, "axis is %d; allowed %s", (int)s->axis,
                   has_axis ? "are -8 ... 7 and MFQ_AXIS_AUTO"
                            : "is only MFQ_AXIS_AUTO, because only channel and group have an axis");
  return 0;
}

static int granularity_valid(const mfq_scheme *s, mfq_sentence *why) {
  int is_group = s->granularity == MFQ_GRANULARITY_GROUP;
  int is_block = s->granularity == MFQ_GRANULARITY_BLOCK;
  if (!in_words(&mfq_granularity_words, (int)s->granularity, why) ||
      !size_valid("group_size", s->group_size, is_group, why) ||
      !size_valid("block_rows", s->block_rows, is_block, why) ||
      !size_valid("block_cols", s->block_cols, is_block, why) || !axis_valid(s, why))
    return 0;
  if (s->scale == MFQ_SCALE_NONE && s->granularity != MFQ_GRANULARITY_TENSOR) {
    mfq_sentence_set(why, "granularity %s needs a scale: f32, bf16, f16, ue8m0 or ue4m3",
                     word_of(&mfq_granularity_words, (int)s->granularity));
    return 0;
  }
  if (mfq_scale_has_tensor(s->scale) && !is_group && !is_block) {
    mfq_sentence_set(why, "granularity %s has no %s scale; use group or block, or scale f32",
                     word_of(&mfq_granularity_words, (int)s->granularity), word_of(&mfq_scale_words, (int)s->scale));
    return 0;
  }
  return 1;
}

static int rule_fits_scale(const mfq_scheme *s) {
  switch (s->scale) {
    case MFQ_SCALE_NONE: return s->rule == MFQ_RULE_ABSMAX;
    case MFQ_SCALE_UE8M0: return is_power_of_two_rule(s->rule) || s->rule == MFQ_RULE_GIVEN;
    case MFQ_SCALE_UE4M3:
    case MFQ_SCALE_MINIFLOAT: return s->rule == MFQ_RULE_ABSMAX || s->rule == MFQ_RULE_GIVEN;
    default: return 1;
  }
}

static const char *rules_of_scale(mfq_scale_format scale) {
  return scale == MFQ_SCALE_NONE    ? "absmax (by convention; there is no scale to compute)"
         : scale == MFQ_SCALE_UE8M0 ? "floor, ceil, rceil, even, given, round, midmax"
                                    : "absmax, given";
}

/* Float scales multiply elements as float32, and absmax divides by the largest one. */
static int element_fits_scale(const mfq_scheme *s, mfq_sentence *why) {
  if (s->scale == MFQ_SCALE_NONE || s->scale == MFQ_SCALE_UE8M0) return 1;
  char smallest[32], largest[32], limit[32], least[32];
  const double most = mfq_format_max_value(&s->element);
  mfq_number_write(most, largest, sizeof largest);
  if (!mfq_format_is_float32(&s->element)) {
    mfq_number_write(mfq_minifloat_value(&s->element, 1), smallest, sizeof smallest);
    mfq_number_write(ldexp(1.0, -149), least, sizeof least);
    mfq_number_write((double)FLT_MAX, limit, sizeof limit);
    mfq_sentence_set(why,
                     "scale %s multiplies elements as float32, but they lie between %s and %s, and float32 holds %s to "
                     "%s; use scale ue8m0 or none, or another bias",
                     word_of(&mfq_scale_words, (int)s->scale), smallest, largest, least, limit);
    return 0;
  }
  const double gain = s->scale_gain > 1.0f ? (double)s->scale_gain : 1.0;
  if (s->rule == MFQ_RULE_ABSMAX && most / gain < (double)FLT_MIN) {
    mfq_number_write((double)FLT_MIN, limit, sizeof limit);
    mfq_sentence_set(why,
                     "rule absmax divides by the element's largest value, but %s is below the smallest normal float32, "
                     "%s; use a rule of powers of two or another bias",
                     largest, limit);
    return 0;
  }
  return 1;
}

/* What scales below that of a tensor are stored as. */
static int scale_element_valid(const mfq_scheme *s, mfq_sentence *why) {
  static const mfq_format none;
  const mfq_format *f = &s->scale_element;
  if (s->scale != MFQ_SCALE_MINIFLOAT)
    return mfq_format_equal(f, &none) || refuse(why, "scale_element must be all 0 unless the scale is minifloat");
  if (!mfq_format_valid(f, why)) return 0;
  if (f->kind != MFQ_KIND_MINIFLOAT || f->is_signed ||
      (f->specials != MFQ_SPECIALS_FN && f->specials != MFQ_SPECIALS_IEEE) || !mfq_format_is_float32(f))
    return refuse(why, "scales are stored in a minifloat without a sign, with a NaN (fn or ieee) and of values that "
                       "float32 holds, such as ue5m3fn");
  const mfq_scheme ue4m3 = {.scale = MFQ_SCALE_UE4M3};
  const mfq_format usual = mfq_scale_element(&ue4m3);
  if (mfq_format_equal(f, &usual)) return refuse(why, "this format of scales has a name of its own: ue4m3");
  const double element = mfq_format_max_value(&s->element), most = (double)FLT_MAX / 2 / element;
  const double bound = s->scale_bound > 0.0f ? (double)s->scale_bound : mfq_format_max_value(f);
  if (s->rule != MFQ_RULE_ABSMAX || bound <= most) return 1;
  char largest[32], allowed[32];
  mfq_number_write(bound, largest, sizeof largest);
  mfq_number_write(most, allowed, sizeof allowed);
  mfq_sentence_set(why, "elements times scales up to %s leave float32; say a bound of less than %s, such as bound:448",
                   largest, allowed);
  return 0;
}

static int scale_valid(const mfq_scheme *s, mfq_sentence *why) {
  if (!in_words(&mfq_scale_words, (int)s->scale, why) || !in_words(&mfq_rule_words, (int)s->rule, why) ||
      !scale_element_valid(s, why))
    return 0;
  if (!rule_fits_scale(s)) {
    mfq_sentence_set(why, "scale %s has no rule %s; allowed is %s", word_of(&mfq_scale_words, (int)s->scale),
                     word_of(&mfq_rule_words, (int)s->rule), rules_of_scale(s->scale));
    return 0;
  }
  return element_fits_scale(s, why);
}

static int rounding_valid(const mfq_scheme *s, mfq_sentence *why) {
  return in_words(&mfq_rounding_words, (int)s->rounding, why);
}

static int saturation_valid(const mfq_scheme *s, mfq_sentence *why) {
  return is_flag("no_saturate", s->no_saturate, why);
}

static int zero_point_valid(const mfq_scheme *s, mfq_sentence *why) {
  if (s->zero_point < 0 || s->zero_point > MFQ_ZERO_POINT_FLOAT) {
    mfq_sentence_set(why, "zero_point is %d; allowed are 0, 1 (a code) and 2 (a f32)", (int)s->zero_point);
    return 0;
  }
  if (!s->zero_point) return 1;
  if (s->element.kind != MFQ_KIND_INTEGER || s->element.frac_bits != 0)
    return refuse(why, "a zero point needs an integer element without fraction bits, such as uint8 or int4");
  if (!is_general_scale(s->scale)) {
    mfq_sentence_set(why, "a zero point needs scale f32, bf16, f16 or ue8m0, not %s",
                     word_of(&mfq_scale_words, (int)s->scale));
    return 0;
  }
  if (s->zero_point == MFQ_ZERO_POINT_FLOAT && s->rounding == MFQ_ROUND_STOCHASTIC)
    return refuse(why, "zero points in f32 have no stochastic rounding; use zp, or another rounding");
  return 1;
}

static int statistic_valid(const mfq_scheme *s, mfq_sentence *why) {
  if (!in_words(&mfq_statistic_words, (int)s->statistic, why)) return 0;
  if (s->statistic == MFQ_STATISTIC_MINMAX && !is_general_scale(s->scale)) {
    mfq_sentence_set(why, "statistic minmax needs scale f32, bf16, f16 or ue8m0, not %s",
                     word_of(&mfq_scale_words, (int)s->scale));
    return 0;
  }
  if (s->zero_point && s->statistic != MFQ_STATISTIC_MINMAX)
    return refuse(why, "a zero point needs statistic minmax, not absmax");
  return 1;
}

static int statistic_min_valid(const mfq_scheme *s, mfq_sentence *why) {
  if (isfinite(s->statistic_min) && s->statistic_min >= 0.0f) return 1;
  char number[32];
  mfq_number_write((double)s->statistic_min, number, sizeof number);
  mfq_sentence_set(why, "statistic_min is %s; allowed is a finite number from 0 on", number);
  return 0;
}

static int arith_valid(const mfq_scheme *s, mfq_sentence *why) {
  if (!in_words(&mfq_arith_words, (int)s->arith, why)) return 0;
  if (s->arith != MFQ_ARITH_BREVITAS) return 1;
  if (s->scale != MFQ_SCALE_NONE && s->scale != MFQ_SCALE_F32) {
    mfq_sentence_set(why, "arith brevitas has scales none and f32 only, not %s",
                     word_of(&mfq_scale_words, (int)s->scale));
    return 0;
  }
  if (s->rule == MFQ_RULE_RCEIL || s->rule == MFQ_RULE_EVEN || s->rule == MFQ_RULE_MIDMAX) {
    mfq_sentence_set(why, "arith brevitas has rules absmax, floor, ceil, round and given, not %s",
                     word_of(&mfq_rule_words, (int)s->rule));
    return 0;
  }
  if (s->element.kind == MFQ_KIND_INTEGER && s->element.frac_bits != 0) {
    return refuse(why,
                  "arith brevitas has integers without fraction bits only; its MXInt8 is int8 with scale f32:floor");
  }
  if (s->rounding == MFQ_ROUND_STOCHASTIC)
    return refuse(why, "arith brevitas has no stochastic rounding that others can reproduce; use arith exact");
  return 1;
}

static int rotation_valid(const mfq_scheme *s, mfq_sentence *why) {
  const int is_size = s->rotation == 16 || s->rotation == 32 || s->rotation == 64 || s->rotation == 128;
  if (s->rotation != 0 && !is_size) {
    mfq_sentence_set(why, "rotation is %d; allowed are 0 (none), 16, 32, 64 and 128", (int)s->rotation);
    return 0;
  }
  if (!in_words(&mfq_signs_words, (int)s->signs, why)) return 0;
  if (s->rotation == 0 && s->signs != MFQ_SIGNS_NONE) {
    mfq_sentence_set(why, "signs are %s, but rotation is 0; give the rotation, or signs none",
                     word_of(&mfq_signs_words, (int)s->signs));
    return 0;
  }
  if (s->signs != MFQ_SIGNS_SEEDED && s->sign_seed != 0) {
    mfq_sentence_set(why, "sign_seed is %llu; it must be 0 unless signs are seeded", (unsigned long long)s->sign_seed);
    return 0;
  }
  if (s->rotation == 0) return 1;
  if (s->granularity != MFQ_GRANULARITY_GROUP) {
    mfq_sentence_set(why, "a rotation runs along the axis of groups, but granularity is %s; use group",
                     word_of(&mfq_granularity_words, (int)s->granularity));
    return 0;
  }
  if (s->arith == MFQ_ARITH_BREVITAS) return refuse(why, "arith brevitas has no rotation; use arith exact");
  return 1;
}

/* A number that 0 leaves out; `most` is what leaving it out means too where `usual` is it. */
static int number_valid(const char *name, float value, const float *range, mfq_sentence *why) {
  const float least = range[0], most = range[1], usual = range[2];
  char number[32], low[32], high[32];
  if (value >= least && value <= most && value != usual) return 1;
  mfq_number_write((double)value, number, sizeof number);
  mfq_number_write((double)least, low, sizeof low);
  mfq_number_write((double)most, high, sizeof high);
  if (value == usual)
    mfq_sentence_set(why, "%s is %s, which it is without being said; leave it 0", name, number);
  else
    mfq_sentence_set(why, "%s is %s; allowed are 0 (not said) and %s to %s", name, number, low, high);
  return 0;
}

static int gain_valid(const mfq_scheme *s, mfq_sentence *why) {
  static const float range[] = {0.0625f, 16.0f, 1.0f};
  if (s->scale_gain == 0.0f) return 1;
  if (s->scale == MFQ_SCALE_NONE || (is_power_of_two_rule(s->rule) && s->scale != MFQ_SCALE_F32) ||
      s->arith != MFQ_ARITH_EXACT)
    return refuse(why, "a gain needs scales that are computed by rule absmax, or by any rule in f32, with arith exact");
  return number_valid("scale_gain", s->scale_gain, range, why);
}

static int bound_valid(const mfq_scheme *s, mfq_sentence *why) {
  const mfq_format stored = mfq_scale_element(s);
  const float most = (float)mfq_format_max_value(&stored), range[] = {most < 1.0f ? most : 1.0f, most, most};
  if (s->scale_bound == 0.0f) return 1;
  if (!mfq_scale_has_tensor(s->scale))
    return refuse(why, "a bound needs scale ue4m3 or minifloat, whose tensor scale it sets");
  return number_valid("scale_bound", s->scale_bound, range, why);
}

static int eden_valid(const mfq_scheme *s, mfq_sentence *why) {
  enum { MOST = 1024 };
  if (s->eden == 0) return 1;
  if (!mfq_scale_has_tensor(s->scale) || s->granularity != MFQ_GRANULARITY_GROUP)
    return refuse(why, "eden needs groups with scale ue4m3 or minifloat, whose scales it corrects");
  if (s->rounding == MFQ_ROUND_STOCHASTIC)
    return refuse(why, "eden rounds scales stochastically in place of elements; use round:even");
  if (s->eden < 0 || s->eden > MOST || s->eden % s->group_size != 0 ||
      (s->rotation != 0 && s->eden % s->rotation != 0)) {
    mfq_sentence_set(why, "eden is %d; allowed are multiples of the group size, %d, and of the rotation, %d, up to %d",
                     (int)s->eden, (int)s->group_size, (int)s->rotation, MOST);
    return 0;
  }
  return 1;
}

int mfq_scheme_valid(const mfq_scheme *scheme, mfq_setting *fault, mfq_sentence *why) {
  /* In an order in which each test may rely on those before it. */
  static const struct {
    mfq_setting setting;
    scheme_test *valid;
  } tests[] = {{MFQ_SETTING_ELEMENT, element_valid},
               {MFQ_SETTING_SCALE, scale_valid},
               {MFQ_SETTING_GRANULARITY, granularity_valid},
               {MFQ_SETTING_ROUNDING, rounding_valid},
               {MFQ_SETTING_SATURATION, saturation_valid},
               {MFQ_SETTING_ZERO_POINT, zero_point_valid},
               {MFQ_SETTING_STATISTIC, statistic_valid},
               {MFQ_SETTING_MIN, statistic_min_valid},
               {MFQ_SETTING_ARITH, arith_valid},
               {MFQ_SETTING_ROTATION, rotation_valid},
               {MFQ_SETTING_GAIN, gain_valid},
               {MFQ_SETTING_BOUND, bound_valid},
               {MFQ_SETTING_EDEN, eden_valid}};
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; ++i) {
    if (!tests[i].valid(scheme, why)) {
      *fault = tests[i].setting;
      return 0;
    }
  }
  return 1;
}

mfq_status mfq_scheme_verify(const mfq_scheme *scheme, const char *function, const char *argument) {
  if (scheme == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", argument);
  mfq_setting fault;
  mfq_sentence why;
  if (!mfq_scheme_valid(scheme, &fault, &why)) {
    const char *part = fault == MFQ_SETTING_ELEMENT ? "element: " : "";
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: %s%s", argument, part, why.text);
  }
  return MFQ_OK;
}

mfq_status mfq_scheme_check(const mfq_scheme *scheme) {
  return mfq_scheme_verify(scheme, "mfq_scheme_check", "scheme");
}
