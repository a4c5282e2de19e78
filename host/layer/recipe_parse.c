/* host/layer/recipe_parse.c: recipes from text, setting by setting; an unknown word is answered with the nearest known
 * one. */
#include "recipe_parts.h"

#include "host/core/check/observing.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/format.h"
#include "host/core/scheme/scheme.h"

/* How much of a word and of a whole text a sentence quotes. */
enum { WORD_QUOTED = 80, TEXT_QUOTED = 160 };

/* ---- Quantizers -------------------------------------------------------------------------------------------------- */

typedef int read_argument(mfq_span argument, int value, mfq_quantizer *q, mfq_sentence *why);

/* A word that may stand before a scheme, with '|' behind it. */
typedef struct prefix_word {
  const char *word;
  int value; /* for `read` */
  read_argument *read;
  const char *needs; /* the argument that must be there, described; NULL when none may */
} prefix_word;

static int read_again(mfq_span argument, int value, mfq_quantizer *q, mfq_sentence *why) {
  (void)argument, (void)why;
  q->take = (mfq_take)value;
  return 1;
}

static int read_scaling(mfq_span argument, int value, mfq_quantizer *q, mfq_sentence *why) {
  if (argument.length == 0 || mfq_span_integer(argument, 0, &q->steps) != argument.length) {
    mfq_sentence_set(why, "a number of steps is needed here: a whole number of at most 2147483647");
    return 0;
  }
  q->scaling = (mfq_scaling)value;
  return 1;
}

static int read_observer(mfq_span argument, int value, mfq_quantizer *q, mfq_sentence *why) {
  (void)value;
  return mfq_observer_read(argument, &q->observer, why);
}

static int read_search(mfq_span argument, int value, mfq_quantizer *q, mfq_sentence *why) {
  (void)value;
  mfq_nearest nearest = mfq_nearest_start(argument);
  mfq_sentence_set(why, "\"%s\" is no search; allowed are ", mfq_quoted(argument, WORD_QUOTED).text);
  for (int32_t i = 0; i < (int32_t)MFQ_SEARCH_METHODS; ++i) {
    const char *word = mfq_search_name(i, NULL);
    if (mfq_span_equal(argument, word)) {
      q->searched = 1;
      q->search = (mfq_search_method)i;
      return 1;
    }
    mfq_sentence_add(why, "%s%s", i == 0 ? "" : ", ", word);
    mfq_nearest_offer(&nearest, word);
  }
  mfq_nearest_add(&nearest, why);
  return 0;
}

static int read_fresh(mfq_span argument, int value, mfq_quantizer *q, mfq_sentence *why) {
  (void)argument, (void)why;
  q->fresh_signs = value;
  return 1;
}

static const prefix_word prefix_words[] = {
    {"again", MFQ_TAKE_AGAIN, read_again, NULL},
    {"delayed", MFQ_SCALING_DELAYED, read_scaling, "a number of steps, such as delayed:1024"},
    {"collected", MFQ_SCALING_COLLECTED, read_scaling, "a number of steps, such as collected:300"},
    {"learned", MFQ_SCALING_LEARNED, read_scaling, "a number of steps, such as learned:300"},
    {"stat", 0, read_observer, "a statistic, such as stat:percentile:99.999"},
    {"search", 0, read_search, "a method, such as search:mse"},
    {"fresh", 1, read_fresh, NULL},
};
enum { PREFIX_WORDS = sizeof prefix_words / sizeof prefix_words[0] };

/* Reads one word before a scheme; `at` receives the offset in it of what cannot be read. */
static int read_prefix(mfq_span all, mfq_quantizer *q, size_t *at, mfq_sentence *why) {
  const size_t colon = mfq_span_find(all, ':');
  const mfq_span word = {all.text, colon};
  const int has_argument = colon < all.length;
  const mfq_span argument = mfq_span_from(all, has_argument ? colon + 1 : colon);
  mfq_nearest nearest = mfq_nearest_start(word);
  *at = 0;
  for (int i = 0; i < PREFIX_WORDS; ++i) {
    const prefix_word *row = &prefix_words[i];
    mfq_nearest_offer(&nearest, row->word);
    if (!mfq_span_equal(word, row->word)) continue;
    if (has_argument && row->needs == NULL) {
      mfq_sentence_set(why, "%s takes nothing after ':'", row->word);
    } else if (!has_argument && row->needs != NULL) {
      mfq_sentence_set(why, "%s needs ':' and %s", row->word, row->needs);
      return 0;
    } else if (row->read(argument, row->value, q, why)) {
      return 1;
    }
    *at = colon + 1;
    return 0;
  }
  mfq_sentence_set(why,
                   "\"%s\" is no word before '|'; allowed are again, delayed:steps, collected:steps, learned:steps, "
                   "stat:statistic, search:method, fresh",
                   mfq_quoted(word, WORD_QUOTED).text);
  mfq_nearest_add(&nearest, why);
  return 0;
}

/* Says what a word is not that neither begins a scheme nor is one of the others. */
static void explain_quantizer(mfq_span word, mfq_sentence *why) {
  mfq_nearest nearest = mfq_nearest_start(word);
  mfq_nearest_offer(&nearest, mfq_take_words[MFQ_TAKE_PLAIN]);
  mfq_nearest_offer(&nearest, mfq_take_words[MFQ_TAKE_SAME]);
  for (int32_t i = 0; i < mfq_scheme_row_count(); ++i) mfq_nearest_offer(&nearest, mfq_scheme_name(i, NULL));
  for (int32_t i = 0; mfq_format_row_at(i) != NULL; ++i) mfq_nearest_offer(&nearest, mfq_format_row_at(i)->name);
  mfq_sentence_set(why, "\"%s\" is no quantizer; allowed are none, same and a scheme, such as mxfp8_e4m3",
                   mfq_quoted(word, WORD_QUOTED).text);
  mfq_nearest_add(&nearest, why);
}

int mfq_quantizer_read(mfq_span text, mfq_quantizer *quantizer, size_t *at, mfq_sentence *why) {
  mfq_quantizer q = {.take = MFQ_TAKE_QUANTIZED};
  size_t start = 0, bad = 0;
  for (;;) {
    const mfq_span rest = mfq_span_from(text, start);
    const size_t bar = mfq_span_find(rest, '|');
    if (bar == rest.length) break;
    if (!read_prefix((mfq_span){rest.text, bar}, &q, &bad, why)) {
      *at = start + bad;
      return 0;
    }
    start += bar + 1;
  }
  const mfq_span last = mfq_span_from(text, start), first = {last.text, mfq_span_find(last, '/')};
  const int is_none = mfq_span_equal(last, mfq_take_words[MFQ_TAKE_PLAIN]);
  const int is_same = mfq_span_equal(last, mfq_take_words[MFQ_TAKE_SAME]);
  *at = start;
  if ((is_none || is_same) && start > 0) {
    mfq_sentence_set(why, "%s takes no word before it; only a scheme does", is_none ? "none" : "same");
    return 0;
  }
  if (is_none || is_same) {
    q.take = is_none ? MFQ_TAKE_PLAIN : MFQ_TAKE_SAME;
  } else if (!mfq_format_looks_like(first) && mfq_scheme_row_named(first, mfq_scheme_row_count()) < 0) {
    explain_quantizer(first, why);
    return 0;
  } else if (!mfq_scheme_read(last, mfq_scheme_row_count(), &q.scheme, &bad, why)) {
    *at = start + bad;
    return 0;
  }
  *quantizer = q;
  return 1;
}

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

/* A recipe on its way out of a text. */
typedef struct reading {
  int32_t rows; /* whose names may be used */
  mfq_recipe r;
  int phase;                                          /* that settings change */
  int may_be_name;                                    /* at the beginning, and behind a switch */
  mfq_sentence *why;                                  /* the reason of a failure, */
  size_t bad;                                         /* and its offset in the part that is read */
  size_t set_at[MFQ_RECIPE_PHASES][MFQ_RECIPE_PARTS]; /* where each part was set last */
} reading;

static int set_name(reading *to, int32_t row, size_t start) {
  mfq_recipe named;
  if (!mfq_recipe_read_row(row, &named)) {
    mfq_sentence_set(to->why, "the row of recipes.def cannot be read: a defect of the library");
    return 0;
  }
  if (to->phase > 0 && named.switch_step != 0) {
    mfq_sentence_set(to->why, "this recipe switches itself, and a recipe switches once; use it alone");
    return 0;
  }
  for (int part = 0; part < (int)MFQ_RECIPE_PARTS; ++part) to->set_at[to->phase][part] = start;
  if (to->phase > 0) {
    to->r.phases[to->phase] = named.phases[0];
  } else {
    to->r = named;
    to->phase = named.switch_step != 0;
  }
  return 1;
}

static int read_name(reading *to, mfq_span word, size_t start) {
  const int32_t row = mfq_recipe_row_named(word, to->rows);
  mfq_scheme scheme;
  size_t at;
  mfq_sentence unused;
  if (row >= 0 && to->may_be_name) return set_name(to, row, start);
  if (row >= 0) {
    mfq_sentence_set(to->why, "the name of a recipe goes first, before all settings, or right behind switch=step");
    return 0;
  }
  const mfq_quote quote = mfq_quoted(word, WORD_QUOTED);
  const char *quoted = quote.text;
  if (word.length == 0)
    mfq_sentence_set(to->why, "a setting is missing here, such as all=mxfp8_e4m3");
  else if (mfq_scheme_read(word, mfq_scheme_row_count(), &scheme, &at, &unused))
    mfq_sentence_set(to->why, "\"%s\" is a scheme, and a recipe says where it stands, such as all=%s", quoted, quoted);
  else
    mfq_sentence_set(to->why, "\"%s\" is %s; allowed are %ssettings, such as x=mxfp8_e4m3", quoted,
                     to->may_be_name ? "no recipe's name" : "no setting", to->may_be_name ? "a name, and " : "");
  if (word.length == 0) return 0;
  mfq_nearest nearest = mfq_nearest_start(word);
  for (int32_t i = 0; to->may_be_name && i < to->rows; ++i) mfq_nearest_offer(&nearest, mfq_recipe_name(i, NULL, NULL));
  mfq_nearest_add(&nearest, to->why);
  return 0;
}

static int read_ste(reading *to, mfq_span value) {
  static const char through[] = "scale|";
  mfq_phase *phase = &to->r.phases[to->phase];
  const int is_through = mfq_span_starts(value, through);
  const mfq_span word = mfq_span_from(value, is_through ? sizeof through - 1 : 0);
  mfq_nearest nearest = mfq_nearest_start(word);
  for (int i = 0; i < 3; ++i) {
    mfq_nearest_offer(&nearest, mfq_ste_words[i]);
    if (!mfq_span_equal(word, mfq_ste_words[i])) continue;
    phase->ste = (mfq_ste)i;
    phase->through_scale = is_through || phase->ste == MFQ_STE_BREVITAS;
    return 1;
  }
  to->bad = value.length - word.length;
  mfq_sentence_set(to->why,
                   "\"%s\" is no way for gradients; allowed are identity, clipped and brevitas, the first two with "
                   "scale| before them",
                   mfq_quoted(word, WORD_QUOTED).text);
  mfq_nearest_add(&nearest, to->why);
  return 0;
}

static int read_switch(reading *to, mfq_span value) {
  uint64_t step = 0;
  if (to->phase > 0) {
    mfq_sentence_set(to->why, "a recipe switches once, and this one has a switch before");
    return 0;
  }
  if (!mfq_span_natural(value, &step) || step < 1 || step > INT64_MAX) {
    mfq_sentence_set(to->why, "a step is needed here: a whole number from 1 to 9223372036854775807");
    return 0;
  }
  to->r.switch_step = (int64_t)step;
  to->phase = 1;
  to->r.phases[1] = to->r.phases[0];
  for (int part = 0; part < (int)MFQ_RECIPE_PARTS; ++part) to->set_at[1][part] = to->set_at[0][part];
  return 1;
}

static int read_places(reading *to, uint32_t places, mfq_span value, size_t start) {
  mfq_quantizer q;
  if (!mfq_quantizer_read(value, &q, &to->bad, to->why)) return 0;
  for (int place = 0; place < (int)MFQ_PLACES; ++place) {
    if ((places >> place & 1) == 0) continue;
    to->r.phases[to->phase].places[place] = q;
    to->set_at[to->phase][place] = start;
  }
  return 1;
}

static int explain_key(reading *to, mfq_span key) {
  mfq_nearest nearest = mfq_nearest_start(key);
  mfq_sentence_set(to->why, "\"%s\" is no setting of a recipe; allowed are ", mfq_quoted(key, WORD_QUOTED).text);
  for (int i = 0; i < (int)MFQ_RECIPE_KEYS; ++i) {
    mfq_sentence_add(to->why, "%s, ", mfq_recipe_keys[i].word);
    mfq_nearest_offer(&nearest, mfq_recipe_keys[i].word);
  }
  mfq_sentence_add(to->why, "ste, switch");
  mfq_nearest_offer(&nearest, "ste");
  mfq_nearest_offer(&nearest, "switch");
  mfq_nearest_add(&nearest, to->why);
  return 0;
}

/* Reads one setting, which begins at `start` of the whole text. */
static int read_setting(reading *to, mfq_span item, size_t start) {
  const size_t equal = mfq_span_find(item, '=');
  const mfq_span key = {item.text, equal};
  to->bad = 0;
  if (equal == item.length) return read_name(to, item, start);
  const mfq_span value = mfq_span_from(item, equal + 1);
  int done = -1;
  for (int i = 0; done < 0 && i < (int)MFQ_RECIPE_KEYS; ++i)
    if (mfq_span_equal(key, mfq_recipe_keys[i].word))
      done = read_places(to, mfq_recipe_keys[i].places, value, start + equal + 1);
  if (done < 0 && mfq_span_equal(key, "ste")) {
    done = read_ste(to, value);
    to->set_at[to->phase][MFQ_RECIPE_STE] = start + equal + 1;
  }
  if (done < 0 && mfq_span_equal(key, "switch")) done = read_switch(to, value);
  if (done < 0) return explain_key(to, key);
  if (!done) to->bad += equal + 1;
  return done;
}

int mfq_recipe_read(mfq_span text, int32_t rows, mfq_recipe *recipe, size_t *at, mfq_sentence *why) {
  reading to = {.rows = rows, .may_be_name = 1, .why = why};
  for (size_t start = 0; start <= text.length;) {
    const mfq_span rest = mfq_span_from(text, start);
    const mfq_span item = {rest.text, mfq_span_find(rest, ';')};
    const int was_phase = to.phase;
    if (!read_setting(&to, item, start)) {
      *at = start + to.bad;
      return 0;
    }
    to.may_be_name = to.phase != was_phase && mfq_span_find(item, '=') < item.length;
    start += item.length + 1;
  }
  if (to.r.switch_step == 0) to.r.phases[1] = to.r.phases[0];
  mfq_recipe_fault fault;
  if (!mfq_recipe_valid(&to.r, &fault, why)) {
    *at = to.set_at[fault.phase][fault.part];
    return 0;
  }
  *recipe = to.r;
  return 1;
}

mfq_status mfq_recipe_parse(const char *text, mfq_recipe *recipe) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_recipe_parse";
  if (text == NULL || recipe == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s is NULL", text == NULL ? "text" : "recipe");
  size_t at = 0;
  mfq_sentence why;
  if (!mfq_recipe_read(mfq_span_of(text), mfq_recipe_row_count(), recipe, &at, &why))
    return mfq_fail(MFQ_ERROR_PARSE, function, "\"%s\", column %zu: %s",
                    mfq_quoted(mfq_span_of(text), TEXT_QUOTED).text, at + 1, why.text);
  return MFQ_OK;
}
