/* host/layer/recipe_check.c: which fields of a recipe go together, one function a field, each refusal with the way out;
 * which recipes are equal, and which have the gradient of their forward. */
#include "recipe_parts.h"

#include "host/core/check/observing.h"
#include "host/core/check/suits.h"
#include "host/core/error.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"

/* A quantizer under check; `place` is the word of where it stands. */
typedef struct seat {
  const mfq_quantizer *q;
  mfq_place at;
  const char *place;
} seat;

typedef int quantizer_test(const seat *s, mfq_sentence *why);

static int has_scheme(const mfq_quantizer *q) { return q->take == MFQ_TAKE_QUANTIZED || q->take == MFQ_TAKE_AGAIN; }

static int in_list(const seat *s, const char *field, int value, int count, mfq_sentence *why) {
  if (value >= 0 && value < count) return 1;
  mfq_sentence_set(why, "%s: %s is %d; allowed is 0 ... %d", s->place, field, value, count - 1);
  return 0;
}

static int take_valid(const seat *s, mfq_sentence *why) {
  const mfq_take take = s->q->take;
  if (!in_list(s, "take", (int)take, 4, why)) return 0;
  const int follows = s->at == MFQ_PLACE_DGRAD_W || s->at == MFQ_PLACE_WGRAD_DY || s->at == MFQ_PLACE_WGRAD_X;
  if (follows || take == MFQ_TAKE_PLAIN || take == MFQ_TAKE_QUANTIZED) return 1;
  mfq_sentence_set(why,
                   "%s: take is %s, but no product had its numbers before; dgrad.w, wgrad.dy and wgrad.x may be %s; "
                   "allowed are none and a scheme",
                   s->place, mfq_take_words[take], mfq_take_words[take]);
  return 0;
}

static int scheme_valid(const seat *s, mfq_sentence *why) {
  static const mfq_scheme none;
  const mfq_scheme *scheme = &s->q->scheme;
  mfq_setting fault;
  mfq_sentence cause;
  if (!has_scheme(s->q)) {
    if (mfq_scheme_equal(scheme, &none)) return 1;
    mfq_sentence_set(why, "%s: take is %s, but there is a scheme; set it to all 0, or take to quantized", s->place,
                     mfq_take_words[s->q->take]);
    return 0;
  }
  if (!mfq_scheme_valid(scheme, &fault, &cause)) {
    mfq_sentence_set(why, "%s: scheme: %s%s", s->place, fault == MFQ_SETTING_ELEMENT ? "element: " : "", cause.text);
    return 0;
  }
  if (scheme->rule != MFQ_RULE_GIVEN) return 1;
  mfq_sentence_set(why,
                   "%s: the scheme's rule is given, but a quantizer makes its scales; give the rule that they follow, "
                   "such as %s:%s, and where they come from, such as learned:300",
                   s->place, mfq_scale_words.words[scheme->scale],
                   mfq_rule_words.words[mfq_scale_default_rule(scheme->scale)]);
  return 0;
}

static int scaling_valid(const seat *s, mfq_sentence *why) {
  const mfq_quantizer *q = s->q;
  if (!in_list(s, "scaling", (int)q->scaling, 4, why)) return 0;
  if (q->scaling == MFQ_SCALING_DYNAMIC) return 1;
  const char *word = mfq_scaling_words[q->scaling];
  const int is_parameter = s->at == MFQ_PLACE_FPROP_X || s->at == MFQ_PLACE_FPROP_W || s->at >= MFQ_PLACE_Y;
  if (q->take != MFQ_TAKE_QUANTIZED)
    mfq_sentence_set(why, "%s: scaling is %s, but take is %s; only what is quantized has scales of its own", s->place,
                     word, mfq_take_words[q->take]);
  else if (q->scaling == MFQ_SCALING_LEARNED && !is_parameter)
    mfq_sentence_set(why,
                     "%s: scaling is learned, but only scales of fprop.x, fprop.w, y and bias have gradients; take "
                     "same, or another scaling",
                     s->place);
  else if (q->scheme.scale == MFQ_SCALE_NONE)
    mfq_sentence_set(why, "%s: scaling is %s, but the scheme has no scales; give it some, such as /f32", s->place,
                     word);
  else if (q->scheme.rotation != 0)
    mfq_sentence_set(why,
                     "%s: scaling is %s, but the scheme rotates elements (hadamard:%d), which are not observed; take "
                     "dynamic scales",
                     s->place, word, (int)q->scheme.rotation);
  else if (q->scheme.eden != 0)
    mfq_sentence_set(why, "%s: scaling is %s, but eden corrects scales that are measured; take dynamic scales",
                     s->place, word);
  else
    return 1;
  return 0;
}

static int steps_valid(const seat *s, mfq_sentence *why) {
  static const struct { int32_t least, most; } rows[] = {{0, 0}, {1, 65536}, {1, INT32_MAX}, {0, INT32_MAX}};
  const mfq_quantizer *q = s->q;
  if (q->steps >= rows[q->scaling].least && q->steps <= rows[q->scaling].most) return 1;
  if (q->scaling == MFQ_SCALING_DYNAMIC)
    mfq_sentence_set(why, "%s: steps is %d, but scaling is dynamic; set it to 0", s->place, (int)q->steps);
  else
    mfq_sentence_set(why, "%s: steps is %d, but scaling is %s; allowed is %d ... %d", s->place, (int)q->steps,
                     mfq_scaling_words[q->scaling], (int)rows[q->scaling].least, (int)rows[q->scaling].most);
  return 0;
}

/* What is collected must be what the scheme's scales are of. */
static int observer_valid(const seat *s, mfq_sentence *why) {
  const mfq_quantizer *q = s->q;
  const mfq_observed observed = q->observer.observed;
  mfq_sentence cause;
  if (q->scaling != MFQ_SCALING_COLLECTED && q->scaling != MFQ_SCALING_LEARNED) {
    static const mfq_observer none;
    const int is_range = q->scaling == MFQ_SCALING_DELAYED && q->scheme.statistic != MFQ_STATISTIC_ABSMAX;
    if (mfq_observer_equal(&q->observer, &none) && !is_range) return 1;
    mfq_sentence_set(why,
                     is_range ? "%s: scaling is %s, of the largest magnitude, but the scheme's statistic is a range; "
                                "take a scheme of absmax"
                              : "%s: scaling is %s, but a statistic is said; set observer to all 0, or scaling to "
                                "collected or learned",
                     s->place, mfq_scaling_words[q->scaling]);
    return 0;
  }
  if (!mfq_observer_valid(&q->observer, &cause)) {
    mfq_sentence_set(why, "%s: observer: %s", s->place, cause.text);
    return 0;
  }
  const int is_range = observed == MFQ_OBSERVED_MINMAX || observed == MFQ_OBSERVED_INTERVAL;
  if (observed == MFQ_OBSERVED_LOW || observed == MFQ_OBSERVED_LOW_PERCENTILE)
    mfq_sentence_set(why,
                     "%s: observer is %s, which is for zero points; take minmax or interval, whose low end they "
                     "follow",
                     s->place, mfq_observer_name((int32_t)observed, NULL));
  else if (q->scheme.zero_point && !is_range)
    mfq_sentence_set(why, "%s: observer is %s, but the scheme has zero points; allowed are minmax and interval",
                     s->place, mfq_observer_name((int32_t)observed, NULL));
  else
    return 1;
  return 0;
}

/* What one number for the tensor, or a parameter, can be. */
static int kept_valid(const seat *s, mfq_sentence *why) {
  const mfq_quantizer *q = s->q;
  const mfq_scheme *scheme = &q->scheme;
  const int has_f32 = scheme->scale == MFQ_SCALE_F32;
  if (q->scaling == MFQ_SCALING_DELAYED && (scheme->granularity != MFQ_GRANULARITY_TENSOR || !has_f32))
    mfq_sentence_set(why,
                     "%s: scaling is delayed, but the scheme has not one f32 scale for the tensor; take one that has, "
                     "such as fp8_e4m3_tensor",
                     s->place);
  else if (q->scaling == MFQ_SCALING_LEARNED && (!has_f32 || scheme->zero_point))
    mfq_sentence_set(why, "%s: scaling is learned, but %s; learned are f32 scales of schemes without zero points",
                     s->place, has_f32 ? "the scheme has zero points" : "the scheme's scales are not f32");
  else
    return 1;
  return 0;
}

static int search_valid(const seat *s, mfq_sentence *why) {
  const mfq_quantizer *q = s->q;
  if (!in_list(s, "searched", q->searched, 2, why) ||
      !in_list(s, "search", (int)q->search, (int)MFQ_SEARCH_METHODS, why))
    return 0;
  const char *word = mfq_search_name((int32_t)q->search, NULL), *problem = NULL;
  if (!q->searched && (int)q->search != 0)
    mfq_sentence_set(why, "%s: search is %s, but searched is 0; set it to 1, or search to 0", s->place, word);
  else if (q->searched && (!has_scheme(q) || q->scaling != MFQ_SCALING_DYNAMIC))
    mfq_sentence_set(why, "%s: searched is 1, but there are no dynamic scales of a scheme; set it to 0", s->place);
  else if (q->searched && s->at >= MFQ_PLACE_Y)
    mfq_sentence_set(why, "%s: searched is 1, but only operands of products have searched scales; set it to 0",
                     s->place);
  else if (q->searched && q->scheme.scale == MFQ_SCALE_NONE)
    mfq_sentence_set(why, "%s: searched is 1, but the scheme has no scales; give it some, such as /f32", s->place);
  else if (q->searched && q->scheme.eden != 0)
    mfq_sentence_set(why, "%s: searched is 1, but eden corrects scales that are measured; set searched to 0", s->place);
  else if (q->searched && (problem = mfq_search_problem(q->search, &q->scheme)) != NULL)
    mfq_sentence_set(why, "%s: search is %s, but %s", s->place, word, problem);
  else
    return 1;
  return 0;
}

static int signs_valid(const seat *s, mfq_sentence *why) {
  const mfq_quantizer *q = s->q;
  if (!in_list(s, "fresh_signs", q->fresh_signs, 2, why)) return 0;
  const int has_signs = has_scheme(q) && q->scheme.signs == MFQ_SIGNS_SEEDED;
  if (!q->fresh_signs || (has_signs && s->at < MFQ_PLACE_Y)) return 1;
  mfq_sentence_set(why,
                   has_signs ? "%s: fresh_signs is 1, but only operands of products change their signs; set it to 0"
                             : "%s: fresh_signs is 1, but no scheme there has seeded signs; give it a rotation with a "
                               "seed, such as hadamard:32:seed:1",
                   s->place);
  return 0;
}

static int quantizer_valid(const seat *s, mfq_sentence *why) {
  /* In an order in which each test may rely on those before it. */
  static quantizer_test *const tests[] = {take_valid,   scheme_valid,   scaling_valid, steps_valid,
                                          search_valid, observer_valid, signs_valid,   kept_valid};
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; ++i)
    if (!tests[i](s, why)) return 0;
  return 1;
}

static int ste_valid(const mfq_phase *phase, mfq_sentence *why) {
  const int ste = (int)phase->ste;
  if (ste < 0 || ste > (int)MFQ_STE_BREVITAS)
    mfq_sentence_set(why, "ste is %d; allowed is 0 ... 2: identity, clipped, brevitas", ste);
  else if (phase->through_scale != 0 && phase->through_scale != 1)
    mfq_sentence_set(why, "through_scale is %d; allowed are 0 and 1", (int)phase->through_scale);
  else if (phase->ste == MFQ_STE_BREVITAS && !phase->through_scale)
    mfq_sentence_set(why, "through_scale is 0, but ste is brevitas, whose measured scales send gradients back; set it "
                          "to 1, or ste to clipped");
  else
    return 1;
  return 0;
}

static int switch_valid(const mfq_recipe *recipe, mfq_sentence *why) {
  if (recipe->switch_step < 0)
    mfq_sentence_set(why, "switch_step is %lld; allowed are 0 (none) and the numbers of steps",
                     (long long)recipe->switch_step);
  else if (recipe->switch_step == 0 && !mfq_phase_equal(&recipe->phases[0], &recipe->phases[1]))
    mfq_sentence_set(why, "switch_step is 0, but phases[1] differs from phases[0]; say the step that it begins at, or "
                          "make it equal");
  else
    return 1;
  return 0;
}

int mfq_recipe_valid(const mfq_recipe *recipe, mfq_recipe_fault *fault, mfq_sentence *why) {
  for (int phase = 0; phase < MFQ_RECIPE_PHASES; ++phase) {
    fault->phase = phase;
    for (int place = 0; place < (int)MFQ_PLACES; ++place) {
      const seat s = {&recipe->phases[phase].places[place], (mfq_place)place, mfq_place_name((mfq_place)place)};
      fault->part = place;
      if (!quantizer_valid(&s, why)) return 0;
    }
    fault->part = MFQ_RECIPE_STE;
    if (!ste_valid(&recipe->phases[phase], why)) return 0;
  }
  fault->part = MFQ_RECIPE_SWITCH;
  return switch_valid(recipe, why);
}

mfq_status mfq_recipe_verify(const mfq_recipe *recipe, const char *function) {
  mfq_recipe_fault fault;
  mfq_sentence why = {{0}};
  if (recipe == NULL) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "recipe is NULL");
  if (mfq_recipe_valid(recipe, &fault, &why)) return MFQ_OK;
  if (fault.part == MFQ_RECIPE_SWITCH) return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "recipe: %s", why.text);
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "recipe: phases[%d]: %s", fault.phase, why.text);
}

mfq_status mfq_recipe_check(const mfq_recipe *recipe) {
  MFQ_USUAL_FP_MODE;
  return mfq_recipe_verify(recipe, "mfq_recipe_check");
}

/* ---- Equality ---------------------------------------------------------------------------------------------------- */

int mfq_quantizer_equal(const mfq_quantizer *a, const mfq_quantizer *b) {
  return a->take == b->take && a->scaling == b->scaling && a->steps == b->steps && a->searched == b->searched &&
         a->search == b->search && a->fresh_signs == b->fresh_signs && mfq_observer_equal(&a->observer, &b->observer) &&
         mfq_scheme_equal(&a->scheme, &b->scheme);
}

int mfq_phase_equal(const mfq_phase *a, const mfq_phase *b) {
  for (int place = 0; place < (int)MFQ_PLACES; ++place)
    if (!mfq_quantizer_equal(&a->places[place], &b->places[place])) return 0;
  return a->ste == b->ste && a->through_scale == b->through_scale;
}

int mfq_recipe_equal(const mfq_recipe *a, const mfq_recipe *b) {
  if (a == NULL || b == NULL) return a == b;
  if (a->switch_step != b->switch_step) return 0;
  for (int phase = 0; phase < MFQ_RECIPE_PHASES; ++phase)
    if (!mfq_phase_equal(&a->phases[phase], &b->phases[phase])) return 0;
  return 1;
}

/* ---- Gradients --------------------------------------------------------------------------------------------------- */

/* Whether a quantizer gives the same numbers whatever product it stands in: its scales do not follow the axis that is
 * summed over, and its rounding takes no random bits, which each place has of its own. */
static int is_steady(const mfq_quantizer *q) {
  const mfq_granularity granularity = q->scheme.granularity;
  const int has_axis = granularity == MFQ_GRANULARITY_CHANNEL || granularity == MFQ_GRANULARITY_GROUP;
  return q->scheme.rounding != MFQ_ROUND_STOCHASTIC && q->scheme.eden == 0 &&
         (!has_axis || q->scheme.axis != MFQ_AXIS_AUTO);
}

static int has_numbers_of(const mfq_quantizer *back, const mfq_quantizer *forward) {
  if (back->take == MFQ_TAKE_SAME) return 1;
  if (!mfq_quantizer_equal(back, forward)) return 0;
  return back->take == MFQ_TAKE_PLAIN || (is_steady(back) && back->scaling != MFQ_SCALING_LEARNED);
}

int mfq_recipe_is_exact(const mfq_recipe *recipe) {
  if (recipe == NULL) return 0;
  for (int phase = 0; phase < MFQ_RECIPE_PHASES; ++phase) {
    const mfq_quantizer *places = recipe->phases[phase].places;
    if (!has_numbers_of(&places[MFQ_PLACE_DGRAD_W], &places[MFQ_PLACE_FPROP_W]) ||
        !has_numbers_of(&places[MFQ_PLACE_WGRAD_X], &places[MFQ_PLACE_FPROP_X]))
      return 0;
  }
  return 1;
}
