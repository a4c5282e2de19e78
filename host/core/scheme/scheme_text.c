/* host/core/scheme/scheme_text.c: schemes from text, segment by segment through a table of words; an unknown word is
 * answered with the nearest known one. */
#include "host/core/error.h"
#include "format.h"
#include "host/core/process/fp_mode.h"
#include "scheme.h"

/* One part of a scheme's text between slashes: word[:argument][@axis]. */
typedef struct segment {
  mfq_span all, word, argument, axis;
  int has_argument, has_axis;
  size_t bad; /* offset in `all` of what cannot be read */
} segment;

typedef int read_setting(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why);

/* A word that begins a setting, and what may follow it. */
typedef struct setting_word {
  const char *word;
  mfq_setting setting;
  int value; /* for `read` */
  read_setting *read;
  int may_have_axis;
  int may_have_argument;
  const char *needs; /* the argument that must be there, described; NULL when it need not */
} setting_word;

static int bad_at(segment *part, mfq_span place) {
  part->bad = (size_t)(place.text - part->all.text);
  return 0;
}

/* How much of a word and of a whole text a sentence quotes. */
enum { WORD_QUOTED = 80, TEXT_QUOTED = 160 };

static int read_axis(segment *part, int32_t *axis, mfq_sentence *why) {
  *axis = MFQ_AXIS_AUTO;
  if (!part->has_axis) return 1;
  int32_t value = 0;
  size_t used = mfq_span_integer(part->axis, 1, &value);
  if (used == 0 || used != part->axis.length || value < -MFQ_MAX_RANK || value >= MFQ_MAX_RANK) {
    mfq_sentence_set(why, "after '@' comes an axis: 0 ... 7, or -1 ... -8 from the last axis");
    return bad_at(part, part->axis);
  }
  *axis = value;
  return 1;
}

static int read_size(segment *part, mfq_span text, int32_t *size, mfq_sentence *why) {
  size_t used = mfq_span_integer(text, 0, size);
  if (used == 0 || used != text.length || *size < 1) {
    mfq_sentence_set(why, "a size is needed here: a whole number from 1 to 2147483647");
    return bad_at(part, text);
  }
  return 1;
}

static int read_granularity(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  mfq_scheme s = *scheme;
  s.granularity = (mfq_granularity)value;
  s.group_size = s.block_rows = s.block_cols = 0;
  if (!read_axis(part, &s.axis, why)) return 0;
  if (s.granularity == MFQ_GRANULARITY_GROUP && !read_size(part, part->argument, &s.group_size, why)) return 0;
  if (s.granularity == MFQ_GRANULARITY_BLOCK) {
    size_t cross = mfq_span_find(part->argument, 'x');
    if (cross == part->argument.length) {
      mfq_sentence_set(why, "block needs two sizes, rows x columns, such as block:128x128");
      return bad_at(part, part->argument);
    }
    mfq_span rows = {part->argument.text, cross};
    if (!read_size(part, rows, &s.block_rows, why) ||
        !read_size(part, mfq_span_from(part->argument, cross + 1), &s.block_cols, why))
      return 0;
  }
  *scheme = s;
  return 1;
}

/* Reads the argument as a word of an enumeration; -1 when it is not one. */
static int read_word(const mfq_words *words, segment *part, mfq_sentence *why) {
  int value = mfq_words_find(words, part->argument);
  if (value >= 0) return value;
  mfq_nearest nearest = mfq_nearest_start(part->argument);
  for (int i = 0; i < words->count; ++i) mfq_nearest_offer(&nearest, words->words[i]);
  mfq_sentence_set(why, "\"%s\" is not a %s; allowed are ", mfq_quoted(part->argument, WORD_QUOTED).text, words->what);
  mfq_words_list(words, why);
  mfq_nearest_add(&nearest, why);
  bad_at(part, part->argument);
  return -1;
}

static int read_scale(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  int rule = (int)mfq_scale_default_rule((mfq_scale_format)value);
  if (part->has_argument) {
    rule = read_word(&mfq_rule_words, part, why);
    if (rule < 0) return 0;
  }
  scheme->scale = (mfq_scale_format)value;
  scheme->rule = (mfq_scale_rule)rule;
  scheme->scale_element = (mfq_format){.kind = MFQ_KIND_MINIFLOAT};
  return 1;
}

/* The argument is a format, and a rule where one is said: "ue5m3fn", "ue5m3fn:given". */
static int read_minifloat_scale(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  const mfq_span all = part->argument;
  const size_t end = mfq_span_find(all, ':');
  mfq_format format;
  size_t at = 0;
  if (!mfq_format_read((mfq_span){all.text, end}, &format, &at, why)) return bad_at(part, mfq_span_from(all, at));
  part->has_argument = end < all.length;
  if (part->has_argument) part->argument = mfq_span_from(all, end + 1);
  if (!read_scale(scheme, value, part, why)) return 0;
  scheme->scale_element = format;
  return 1;
}

static int read_rounding(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  value = read_word(&mfq_rounding_words, part, why);
  scheme->rounding = value < 0 ? scheme->rounding : (mfq_rounding)value;
  return value >= 0;
}

static int read_statistic(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  value = read_word(&mfq_statistic_words, part, why);
  scheme->statistic = value < 0 ? scheme->statistic : (mfq_statistic)value;
  return value >= 0;
}

static int read_arith(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  value = read_word(&mfq_arith_words, part, why);
  scheme->arith = value < 0 ? scheme->arith : (mfq_arith)value;
  return value >= 0;
}

static int read_saturation(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  (void)part, (void)why;
  scheme->no_saturate = value;
  return 1;
}

static int read_zero_point(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  (void)part, (void)why;
  scheme->zero_point = value;
  scheme->statistic = value ? MFQ_STATISTIC_MINMAX : MFQ_STATISTIC_ABSMAX;
  return 1;
}

/* `value` says where in the scheme the number stands. */
static int read_number(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  if (mfq_span_float(part->argument, (float *)(void *)((char *)scheme + value))) return 1;
  mfq_sentence_set(why, "a decimal number is needed here, such as 1e-10");
  return bad_at(part, part->argument);
}

static int read_eden(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  (void)value;
  return read_size(part, part->argument, &scheme->eden, why);
}

/* The argument is the size, then the signs, where there are any: "16", "16:fixed", "128:seed:77". */
static int read_rotation(mfq_scheme *scheme, int value, segment *part, mfq_sentence *why) {
  (void)value;
  const size_t size_end = mfq_span_find(part->argument, ':');
  mfq_scheme s = *scheme;
  s.signs = MFQ_SIGNS_NONE;
  s.sign_seed = 0;
  if (!read_size(part, (mfq_span){part->argument.text, size_end}, &s.rotation, why)) return 0;
  if (size_end < part->argument.length) {
    const mfq_span signs = mfq_span_from(part->argument, size_end + 1);
    const size_t word_end = mfq_span_find(signs, ':');
    const int word = mfq_words_find(&mfq_signs_words, (mfq_span){signs.text, word_end});
    s.signs = word < 0 ? MFQ_SIGNS_NONE : (mfq_signs)word;
    const int has_seed = word_end < signs.length;
    if (s.signs == MFQ_SIGNS_NONE || has_seed != (s.signs == MFQ_SIGNS_SEEDED) ||
        (has_seed && !mfq_span_natural(mfq_span_from(signs, word_end + 1), &s.sign_seed))) {
      mfq_sentence_set(why,
                       "behind the size of a rotation come no signs, \"fixed\", or \"seed:\" and a whole number of "
                       "at most 64 bits, such as hadamard:128:seed:77");
      return bad_at(part, signs);
    }
  }
  *scheme = s;
  return 1;
}

static const setting_word setting_words[] = {
    {"tensor", MFQ_SETTING_GRANULARITY, MFQ_GRANULARITY_TENSOR, read_granularity, 0, 0, NULL},
    {"channel", MFQ_SETTING_GRANULARITY, MFQ_GRANULARITY_CHANNEL, read_granularity, 1, 0, NULL},
    {"group", MFQ_SETTING_GRANULARITY, MFQ_GRANULARITY_GROUP, read_granularity, 1, 1, "a size, such as group:32"},
    {"block", MFQ_SETTING_GRANULARITY, MFQ_GRANULARITY_BLOCK, read_granularity, 0, 1,
     "rows x columns, such as block:128x128"},
    {"none", MFQ_SETTING_SCALE, MFQ_SCALE_NONE, read_scale, 0, 1, NULL},
    {"f32", MFQ_SETTING_SCALE, MFQ_SCALE_F32, read_scale, 0, 1, NULL},
    {"bf16", MFQ_SETTING_SCALE, MFQ_SCALE_BF16, read_scale, 0, 1, NULL},
    {"f16", MFQ_SETTING_SCALE, MFQ_SCALE_F16, read_scale, 0, 1, NULL},
    {"ue8m0", MFQ_SETTING_SCALE, MFQ_SCALE_UE8M0, read_scale, 0, 1, NULL},
    {"ue4m3", MFQ_SETTING_SCALE, MFQ_SCALE_UE4M3, read_scale, 0, 1, NULL},
    {"scale", MFQ_SETTING_SCALE, MFQ_SCALE_MINIFLOAT, read_minifloat_scale, 0, 1, "a minifloat without a sign"},
    {"round", MFQ_SETTING_ROUNDING, 0, read_rounding, 0, 1, "a rounding, such as round:even"},
    {"sat", MFQ_SETTING_SATURATION, 0, read_saturation, 0, 0, NULL},
    {"nosat", MFQ_SETTING_SATURATION, 1, read_saturation, 0, 0, NULL},
    {"zp", MFQ_SETTING_ZERO_POINT, 1, read_zero_point, 0, 0, NULL},
    {"zpf", MFQ_SETTING_ZERO_POINT, MFQ_ZERO_POINT_FLOAT, read_zero_point, 0, 0, NULL},
    {"nozp", MFQ_SETTING_ZERO_POINT, 0, read_zero_point, 0, 0, NULL},
    {"stat", MFQ_SETTING_STATISTIC, 0, read_statistic, 0, 1, "a statistic, such as stat:minmax"},
    {"min", MFQ_SETTING_MIN, offsetof(mfq_scheme, statistic_min), read_number, 0, 1, "a number, such as min:1e-10"},
    {"gain", MFQ_SETTING_GAIN, offsetof(mfq_scheme, scale_gain), read_number, 0, 1, "a number, such as gain:1.0625"},
    {"bound", MFQ_SETTING_BOUND, offsetof(mfq_scheme, scale_bound), read_number, 0, 1, "a number, such as bound:256"},
    {"eden", MFQ_SETTING_EDEN, 0, read_eden, 0, 1, "a size, such as eden:128"},
    {"arith", MFQ_SETTING_ARITH, 0, read_arith, 0, 1, "an arithmetic, such as arith:brevitas"},
    {"hadamard", MFQ_SETTING_ROTATION, 0, read_rotation, 0, 1, "a size, such as hadamard:32"},
};

enum { SETTING_WORDS = sizeof setting_words / sizeof setting_words[0] };

static segment split_segment(mfq_span all) {
  segment part = {.all = all, .word = all};
  size_t at = mfq_span_find(all, '@');
  part.has_axis = at < all.length;
  if (part.has_axis) {
    part.axis = mfq_span_from(all, at + 1);
    part.word.length = at;
  }
  size_t colon = mfq_span_find(part.word, ':');
  part.has_argument = colon < part.word.length;
  if (part.has_argument) {
    part.argument = mfq_span_from(part.word, colon + 1);
    part.word.length = colon;
  }
  return part;
}

static int read_setting_word(const setting_word *row, mfq_scheme *scheme, segment *part, mfq_sentence *why) {
  if (part->has_axis && !row->may_have_axis) {
    mfq_sentence_set(why, "%s has no axis; only channel and group take '@'", row->word);
    return bad_at(part, part->axis);
  }
  if (part->has_argument && !row->may_have_argument) {
    mfq_sentence_set(why, "%s takes nothing after ':'", row->word);
    return bad_at(part, part->argument);
  }
  if (!part->has_argument && row->needs != NULL) {
    mfq_sentence_set(why, "%s needs ':' and %s", row->word, row->needs);
    return 0;
  }
  return row->read(scheme, row->value, part, why);
}

static void explain_unknown(mfq_span word, mfq_sentence *why) {
  mfq_nearest nearest = mfq_nearest_start(word);
  for (int i = 0; i < SETTING_WORDS; ++i) mfq_nearest_offer(&nearest, setting_words[i].word);
  for (int32_t i = 0; mfq_format_row_at(i) != NULL; ++i) mfq_nearest_offer(&nearest, mfq_format_row_at(i)->name);
  mfq_sentence_set(
      why,
      "\"%s\" is not a setting; allowed are an element format, tensor, channel[@axis], "
      "group:size[@axis], block:rows x cols, none, f32, bf16, f16, ue8m0, ue4m3, scale:format (each with :rule), "
      "round:, sat, nosat, zp, zpf, nozp, stat:, min:, gain:, bound:, eden:, arith:, hadamard:size[:signs]",
      mfq_quoted(word, WORD_QUOTED).text);
  mfq_nearest_add(&nearest, why);
}

/* Reads one setting; `setting` receives which. */
static int read_segment(segment *part, mfq_scheme *scheme, mfq_setting *setting, mfq_sentence *why) {
  for (int i = 0; i < SETTING_WORDS; ++i) {
    if (mfq_span_equal(part->word, setting_words[i].word)) {
      *setting = setting_words[i].setting;
      return read_setting_word(&setting_words[i], scheme, part, why);
    }
  }
  *setting = MFQ_SETTING_ELEMENT;
  if (mfq_format_looks_like(part->all)) return mfq_format_read(part->all, &scheme->element, &part->bad, why);
  if (mfq_scheme_row_named(part->all, mfq_scheme_row_count()) >= 0) {
    mfq_sentence_set(why, "the name of a scheme goes first, before all settings");
    return 0;
  }
  explain_unknown(part->word, why);
  return 0;
}

/* Reads the first segment: a named scheme or an element format. */
static int read_first(mfq_span word, int32_t rows, mfq_scheme *scheme, size_t *at, mfq_sentence *why) {
  int32_t row = mfq_scheme_row_named(word, rows);
  if (row >= 0) {
    mfq_sentence_set(why, "the row of schemes.def cannot be read: a defect of the library");
    return mfq_scheme_read_row(row, scheme);
  }
  mfq_format element;
  if (mfq_format_looks_like(word) && mfq_span_find(word, '_') == word.length) { /* names of formats have no '_' */
    if (mfq_format_read(word, &element, at, why)) {
      *scheme = mfq_scheme_of_element(&element);
      return 1;
    }
  } else {
    mfq_sentence_set(why,
                     "\"%s\" is neither a scheme's name nor an element format such as int8; "
                     "one of the two goes first",
                     mfq_quoted(word, WORD_QUOTED).text);
  }
  mfq_nearest nearest = mfq_nearest_start(word);
  for (int32_t i = 0; i < rows; ++i) mfq_nearest_offer(&nearest, mfq_scheme_name(i, NULL));
  for (int32_t i = 0; mfq_format_row_at(i) != NULL; ++i) mfq_nearest_offer(&nearest, mfq_format_row_at(i)->name);
  mfq_nearest_add(&nearest, why);
  return 0;
}

int mfq_scheme_read(mfq_span text, int32_t rows, mfq_scheme *scheme, size_t *at, mfq_sentence *why) {
  size_t set_at[MFQ_SETTING_COUNT] = {0}; /* where each setting was made last */
  mfq_scheme s = {0};
  size_t start = mfq_span_find(text, '/');
  *at = 0;
  if (!read_first((mfq_span){text.text, start}, rows, &s, at, why)) return 0;
  while (start < text.length) {
    ++start;
    mfq_span rest = mfq_span_from(text, start);
    segment part = split_segment((mfq_span){rest.text, mfq_span_find(rest, '/')});
    mfq_setting setting;
    if (!read_segment(&part, &s, &setting, why)) {
      *at = start + part.bad;
      return 0;
    }
    set_at[setting] = start;
    start += part.all.length;
  }
  mfq_setting fault;
  if (!mfq_scheme_valid(&s, &fault, why)) {
    *at = set_at[fault];
    return 0;
  }
  *scheme = s;
  return 1;
}

int mfq_scheme_read_row(int32_t index, mfq_scheme *scheme) {
  size_t at;
  mfq_sentence why;
  /* A row may build on rows before it, so that no row can name itself. */
  return mfq_scheme_read(mfq_span_of(mfq_scheme_row_text(index)), index, scheme, &at, &why);
}

mfq_status mfq_scheme_parse(const char *text, mfq_scheme *scheme) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_scheme_parse";
  if (text == NULL || scheme == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", text == NULL ? "text" : "scheme");
  size_t at = 0;
  mfq_sentence why;
  if (!mfq_scheme_read(mfq_span_of(text), mfq_scheme_row_count(), scheme, &at, &why))
    return mfq_fail(MFQ_ERROR_PARSE, function, "\"%s\", column %zu: %s",
                    mfq_quoted(mfq_span_of(text), TEXT_QUOTED).text, at + 1, why.text);
  return MFQ_OK;
}
