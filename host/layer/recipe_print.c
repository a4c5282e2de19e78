/* host/layer/recipe_print.c: a recipe has one text: its name where it has one, else a name and a setting, or the fewest
 * letters of settings that say it. */
#include "recipe_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/core/check/observing.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"

/* A text under construction; it fits, as MFQ_RECIPE_TEXT_MAX promises. */
typedef struct recipe_text {
  char text[MFQ_RECIPE_TEXT_MAX];
  size_t length;
} recipe_text;

__attribute__((format(printf, 2, 3))) static void add(recipe_text *to, const char *format, ...) {
  const size_t room = sizeof to->text - to->length;
  va_list arguments;
  va_start(arguments, format);
  const int wanted = vsnprintf(to->text + to->length, room, format, arguments);
  va_end(arguments);
  if (wanted > 0) to->length += (size_t)wanted < room ? (size_t)wanted : room - 1;
}

/* Every setting but the first one follows a ';'. */
static void add_setting(recipe_text *to, const char *key, const char *value) {
  add(to, "%s%s%s%s", to->length > 0 ? ";" : "", key, key[0] != '\0' ? "=" : "", value);
}

/* ---- One phase --------------------------------------------------------------------------------------------------- */

enum { QUANTIZER_TEXT = MFQ_SCHEME_TEXT_MAX + MFQ_OBSERVER_TEXT_MAX + 64 };

/* A phase with the texts of its quantizers; texts are equal where quantizers are. */
typedef struct written_phase {
  const mfq_phase *phase;
  char text[MFQ_PLACES][QUANTIZER_TEXT];
  char ste[24];
  uint32_t pairs; /* a bit for each pair of places with one text */
} written_phase;

static void write_quantizer(const mfq_quantizer *q, char text[QUANTIZER_TEXT]) {
  char scheme[MFQ_SCHEME_TEXT_MAX] = "", observer[MFQ_OBSERVER_TEXT_MAX] = "", steps[32] = "";
  const int has_scheme = q->take == MFQ_TAKE_QUANTIZED || q->take == MFQ_TAKE_AGAIN;
  static const mfq_observer none;
  const int is_observed = !mfq_observer_equal(&q->observer, &none);
  /* Both are valid, and fit. */
  if (has_scheme && mfq_scheme_print(&q->scheme, scheme, sizeof scheme) != MFQ_OK) scheme[0] = '\0';
  if (is_observed && mfq_observer_print(&q->observer, observer, sizeof observer) != MFQ_OK) observer[0] = '\0';
  if (q->scaling != MFQ_SCALING_DYNAMIC)
    (void)snprintf(steps, sizeof steps, "%s:%d|", mfq_scaling_words[q->scaling], (int)q->steps);
  (void)snprintf(text, QUANTIZER_TEXT, "%s%s%s%s%s%s%s%s%s%s", q->take == MFQ_TAKE_AGAIN ? "again|" : "", steps,
                 is_observed ? "stat:" : "", observer, is_observed ? "|" : "", q->searched ? "search:" : "",
                 q->searched ? mfq_search_name((int32_t)q->search, NULL) : "", q->searched ? "|" : "",
                 q->fresh_signs ? "fresh|" : "", has_scheme ? scheme : mfq_take_words[q->take]);
}

static int first_of(uint32_t places) {
  int place = 0;
  while ((places >> place & 1) == 0) ++place;
  return place;
}

static const mfq_recipe_key *pair_key(int pair) { return &mfq_recipe_keys[(int)MFQ_PLACES + pair]; }

static void write_phase(const mfq_phase *phase, written_phase *w) {
  w->phase = phase;
  w->pairs = 0;
  for (int place = 0; place < (int)MFQ_PLACES; ++place) write_quantizer(&phase->places[place], w->text[place]);
  for (int i = 0; i < (int)MFQ_RECIPE_PAIRS; ++i) {
    const uint32_t places = pair_key(i)->places;
    const int first = first_of(places), second = first_of(places & ~((uint32_t)1 << first));
    w->pairs |= (uint32_t)(strcmp(w->text[first], w->text[second]) == 0) << i;
  }
  (void)snprintf(w->ste, sizeof w->ste, "%s%s", phase->through_scale && phase->ste != MFQ_STE_BREVITAS ? "scale|" : "",
                 mfq_ste_words[phase->ste]);
}

/* Settings that make a phase of another: the place whose text all six have first, or -1; pairs of places; single ones. */
typedef struct settings {
  int all;
  uint32_t pairs, singles;
  int ste;
  int count;     /* of settings */
  size_t length; /* of their text, with a ';' each */
} settings;

static void count_setting(settings *s, const char *key, const char *value) {
  s->count += 1;
  s->length += strlen(key) + strlen(value) + sizeof "=;" - 1;
}

/* Places, of all eight, that the settings need not name: those of `base`, or with the text of place `all`. */
static uint32_t right_places(const written_phase *w, const mfq_phase *base, int all) {
  uint32_t right = 0;
  for (int place = 0; place < (int)MFQ_PLACES; ++place) {
    const int is_right = all >= 0 && place < (int)MFQ_RECIPE_SIX
                             ? strcmp(w->text[place], w->text[all]) == 0
                             : mfq_quantizer_equal(&w->phase->places[place], &base->places[place]);
    right |= (uint32_t)is_right << place;
  }
  return right;
}

/* The settings with such a beginning and such pairs, of places that are not `right` otherwise. */
static settings complete(const written_phase *w, settings begun, uint32_t right) {
  settings s = begun;
  for (int i = 0; i < (int)MFQ_RECIPE_PAIRS; ++i) {
    if ((s.pairs >> i & 1) == 0) continue;
    count_setting(&s, pair_key(i)->word, w->text[first_of(pair_key(i)->places)]);
    right |= pair_key(i)->places;
  }
  for (int place = 0; place < (int)MFQ_PLACES; ++place) {
    if ((right >> place & 1) != 0) continue;
    s.singles |= (uint32_t)1 << place;
    count_setting(&s, mfq_recipe_keys[place].word, w->text[place]);
  }
  return s;
}

/* The shortest settings that make a phase of `base`. */
static settings shortest(const written_phase *w, const mfq_phase *base) {
  settings best = {.length = SIZE_MAX};
  for (int all = -1; all < (int)MFQ_RECIPE_SIX; ++all) {
    if (all >= 0 && w->phase->places[all].take != MFQ_TAKE_QUANTIZED) continue;
    const uint32_t right = right_places(w, base, all);
    settings begun = {.all = all};
    begun.ste = w->phase->ste != base->ste || w->phase->through_scale != base->through_scale;
    if (begun.ste) count_setting(&begun, "ste", w->ste);
    if (all >= 0) count_setting(&begun, mfq_recipe_keys[MFQ_RECIPE_KEYS - 1].word, w->text[all]);
    for (begun.pairs = 0; begun.pairs <= w->pairs; ++begun.pairs) {
      if ((begun.pairs & ~w->pairs) != 0) continue;
      const settings s = complete(w, begun, right);
      if (s.length < best.length) best = s;
    }
  }
  return best;
}

static void add_settings(recipe_text *to, const written_phase *w, const settings *s) {
  const mfq_recipe_key *keys = mfq_recipe_keys;
  if (s->all >= 0) add_setting(to, keys[MFQ_RECIPE_KEYS - 1].word, w->text[s->all]);
  for (int i = 0; i < (int)MFQ_RECIPE_PAIRS; ++i)
    if ((s->pairs >> i & 1) != 0) add_setting(to, pair_key(i)->word, w->text[first_of(pair_key(i)->places)]);
  for (int place = 0; place < (int)MFQ_PLACES; ++place)
    if ((s->singles >> place & 1) != 0) add_setting(to, keys[place].word, w->text[place]);
  if (s->ste) add_setting(to, "ste", w->ste);
}

/* Adds a phase that begins as `base`: nothing where it is equal, a name with a setting at most, or settings. */
static void add_phase(recipe_text *to, const mfq_phase *phase, const mfq_phase *base) {
  written_phase w;
  if (mfq_phase_equal(phase, base)) return;
  write_phase(phase, &w);
  settings best = shortest(&w, base);
  const char *best_name = "";
  for (int32_t i = 0; i < mfq_recipe_row_count(); ++i) {
    const mfq_recipe *row = mfq_recipe_row_at(i);
    const char *name = mfq_recipe_name(i, NULL, NULL);
    settings s = shortest(&w, &row->phases[0]);
    s.length += strlen(name) + 1;
    if (row->switch_step != 0 || s.count > 1 || (s.count > 0 && s.length >= best.length)) continue;
    best = s;
    best_name = name;
    if (s.count == 0) break;
  }
  if (best_name[0] != '\0') add_setting(to, "", best_name);
  add_settings(to, &w, &best);
}

/* ---- Whole recipes ----------------------------------------------------------------------------------------------- */

static void write_recipe(const mfq_recipe *recipe, recipe_text *to) {
  static const mfq_phase plain;
  for (int32_t i = 0; i < mfq_recipe_row_count(); ++i) {
    if (!mfq_recipe_equal(recipe, mfq_recipe_row_at(i))) continue;
    add_setting(to, "", mfq_recipe_name(i, NULL, NULL));
    return;
  }
  add_phase(to, &recipe->phases[0], &plain);
  if (recipe->switch_step == 0) return;
  if (to->length == 0) add_setting(to, mfq_recipe_keys[MFQ_RECIPE_KEYS - 1].word, mfq_take_words[MFQ_TAKE_PLAIN]);
  char step[24];
  (void)snprintf(step, sizeof step, "%lld", (long long)recipe->switch_step);
  add_setting(to, "switch", step);
  add_phase(to, &recipe->phases[1], &recipe->phases[0]);
}

mfq_status mfq_recipe_print(const mfq_recipe *recipe, char *text, size_t capacity) {
  MFQ_USUAL_FP_MODE;
  static const char function[] = "mfq_recipe_print";
  const mfq_status status = mfq_recipe_verify(recipe, function);
  if (status != MFQ_OK) return status;
  if (text == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "text is NULL");
  recipe_text written = {.length = 0};
  write_recipe(recipe, &written);
  if (capacity <= written.length)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                    "capacity is %zu; the text needs %zu bytes, and MFQ_RECIPE_TEXT_MAX holds every recipe", capacity,
                    written.length + 1);
  memcpy(text, written.text, written.length + 1);
  return MFQ_OK;
}
