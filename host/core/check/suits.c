/* host/core/check/suits.c: calls refuse with these sentences, and mfq_supported says them. */
#include "suits.h"

#include "host/core/error.h"
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

mfq_status mfq_scheme_suits(mfq_where where, mfq_op op, const mfq_scheme *scheme) {
  static const struct {
    mfq_op op;
    mfq_status (*suits)(mfq_where, const mfq_scheme *);
  } rows[] = {{MFQ_OP_FAKE_GRADIENT, gradient_suits},
              {MFQ_OP_SEARCH, search_suits},
              {MFQ_OP_OBSERVE, observe_suits},
              {MFQ_OP_GATHER, gather_suits}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i)
    if (rows[i].op == op) return rows[i].suits(where, scheme);
  return MFQ_OK;
}
