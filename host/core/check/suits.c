/* host/core/check/suits.c: calls refuse with these sentences, and mfq_supported says them. */
#include "suits.h"

#include "host/core/error.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/scheme/scheme.h"

static mfq_status gradient_suits(mfq_where where, const mfq_scheme *scheme) {
  if (scheme->eden == 0 || scheme->rule == MFQ_RULE_GIVEN) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function,
                  "%s: the scheme corrects scales together (eden:%d), which has no backward; give the scheme without "
                  "it, under which the same elements pass",
                  where.argument, (int)scheme->eden);
}

static mfq_status search_suits(mfq_where where, const mfq_scheme *scheme) {
  if (scheme->scale == MFQ_SCALE_NONE)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: the scheme has no scales to search; give it some (\"/tensor/f32\"), or use mfq_quantize",
                    where.argument);
  if (scheme->rule == MFQ_RULE_GIVEN)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: rule given reads scales, but a search writes them; take a rule that measures (%s)",
                    where.argument, mfq_rule_words.words[mfq_scale_default_rule(scheme->scale)]);
  if (scheme->eden == 0) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function,
                  "%s: the scheme corrects scales together (eden:%d), of which no search is offered; take the scheme "
                  "without it",
                  where.argument, (int)scheme->eden);
}

/* Ranks and deviations are of magnitudes on both sides of zero. */
static const char *magnitude_problem(const mfq_scheme *scheme) {
  if (scheme->statistic == MFQ_STATISTIC_MINMAX)
    return "the scheme's statistic is a range, of which it finds no ends; take a scheme of absmax, or method mse";
  return NULL;
}

/* Half-quadratic steps divide by integers, or move their zero points. */
static const char *half_quadratic_problem(const mfq_scheme *scheme, int is_zero_point) {
  if (scheme->element.kind != MFQ_KIND_INTEGER) return "the elements are minifloats; take integers, or method mse";
  if (is_zero_point && !scheme->zero_point)
    return "the scheme has no zero points; give it some (\"/zpf\"), or take method hqo";
  if (!is_zero_point && scheme->rule != MFQ_RULE_ABSMAX)
    return "the rule makes powers of two; take absmax (\"/f32\"), or method mse";
  if (scheme->rounding == MFQ_ROUND_STOCHASTIC)
    return "rounding is stochastic, under which errors do not settle; take round:even, or method mse";
  return NULL;
}

const char *mfq_search_problem(mfq_search_method method, const mfq_scheme *scheme) {
  static const int32_t kinds[] = {
#define MFQ_SEARCH(method, word, kind, steps, first, last, about) MFQ_CANDIDATES_##kind,
#include <mfq/search.def>
  };
  switch (kinds[method]) {
    case MFQ_CANDIDATES_PARTS: return NULL;
    case MFQ_CANDIDATES_RANKS:
    case MFQ_CANDIDATES_DEVIATION: return magnitude_problem(scheme);
    default: return half_quadratic_problem(scheme, kinds[method] == MFQ_CANDIDATES_HALF_QUADRATIC_ZERO);
  }
}

static mfq_status observe_suits(mfq_where where, const mfq_scheme *scheme) {
  if (scheme->scale == MFQ_SCALE_NONE)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: the scheme has no scales that a statistic would be for; give it some, such as /f32",
                    where.argument);
  if (scheme->rotation == 0) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function,
                  "%s: the scheme rotates elements (hadamard:%d), which are not observed; measure its scales by "
                  "mfq_quantize",
                  where.argument, (int)scheme->rotation);
}

/* Of a matrix. */
static mfq_status gather_suits(mfq_where where, const mfq_scheme *scheme) {
  if (scheme->rotation == 0 || (scheme->axis != 0 && scheme->axis != -2)) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function,
                  "%s: the scheme rotates elements of %d rows (hadamard:%d) together, so that one row has no values of "
                  "its own; rotate along the last axis, or dequantize the table",
                  where.argument, (int)scheme->rotation, (int)scheme->rotation);
}

/* Of moments, one after the other. */
static mfq_status optimize_suits(mfq_where where, const mfq_scheme *scheme) {
  if (scheme->scale == MFQ_SCALE_NONE)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: the scheme has no scales that moments would be measured for; give it some, such as "
                    "/group:128/f32",
                    where.argument);
  if (scheme->rule == MFQ_RULE_GIVEN)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: rule given reads scales, but those of moments are measured at every step; take a rule that "
                    "measures (%s)",
                    where.argument, mfq_rule_words.words[mfq_scale_default_rule(scheme->scale)]);
  if (scheme->granularity != MFQ_GRANULARITY_GROUP && scheme->granularity != MFQ_GRANULARITY_TENSOR)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: the scheme has a scale for each %s, but moments are one row of elements; take groups "
                    "(/group:128), or one scale (/tensor)",
                    where.argument, mfq_granularity_words.words[scheme->granularity]);
  if (scheme->rounding == MFQ_ROUND_STOCHASTIC || scheme->eden != 0)
    return mfq_fail(
        MFQ_ERROR_UNSUPPORTED, where.function,
        "%s: the scheme draws random bits, which would be the same at every step that a graph replays; take "
        "another rounding",
        where.argument);
  if (scheme->rotation == 0) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_UNSUPPORTED, where.function,
                  "%s: the scheme rotates elements (hadamard:%d), which is not offered for moments; take it without",
                  where.argument, (int)scheme->rotation);
}

mfq_status mfq_scheme_suits(mfq_where where, mfq_op op, const mfq_scheme *scheme) {
  static const struct {
    mfq_op op;
    mfq_status (*suits)(mfq_where, const mfq_scheme *);
  } rows[] = {{MFQ_OP_FAKE_GRADIENT, gradient_suits},
              {MFQ_OP_SEARCH, search_suits},
              {MFQ_OP_OBSERVE, observe_suits},
              {MFQ_OP_GATHER, gather_suits},
              {MFQ_OP_OPTIMIZE, optimize_suits}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i)
    if (rows[i].op == op) return rows[i].suits(where, scheme);
  return MFQ_OK;
}
