/* host/optimizer/optimizer_check.c: options of optimizers: numbers of groups, names, schemes of moments. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "host/core/check/operands.h"
#include "host/core/check/suits.h"
#include "host/core/error.h"
#include "host/core/scheme/scheme.h"
#include "host/core/scheme/text.h"
#include "optimizer_parts.h"

void mfq_optimizer_options_init(mfq_optimizer_options *options) {
  if (options == NULL) return;
  memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

void mfq_optimizer_group_init(mfq_optimizer_kind kind, mfq_optimizer_group *group) {
  if (group == NULL) return;
  const int is_adamw = kind == MFQ_OPTIMIZER_ADAMW;
  memset(group, 0, sizeof *group);
  group->struct_size = sizeof *group;
  group->rate = 0.001;
  group->beta1 = is_adamw ? 0.9 : 0.0;
  group->beta2 = is_adamw ? 0.999 : 0.0;
  group->epsilon = is_adamw ? 1e-8 : 0.0;
  group->weight_decay = is_adamw ? 0.01 : 0.0;
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

/* A number and what is allowed, in words. */
typedef struct number {
  const char *name;
  double value;
  int is_good;
  const char *allowed;
} number;

static mfq_status check_numbers(mfq_where where, const number *numbers, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    char text[40];
    if (numbers[i].is_good) continue;
    if (isfinite(numbers[i].value))
      mfq_number_write(numbers[i].value, text, sizeof text);
    else
      strcpy(text, isnan(numbers[i].value) ? "NaN" : "infinite");
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: %s is %s; allowed is %s", where.argument,
                    numbers[i].name, text, numbers[i].allowed);
  }
  return MFQ_OK;
}

static int is_from_0(double x) { return x >= 0.0 && x <= (double)FLT_MAX; }
static int is_share(double x) { return x >= 0.0 && x < 1.0; }

mfq_status mfq_optimizer_take_group(mfq_where where, mfq_optimizer_kind kind, const mfq_optimizer_group *g,
                                    mfqn_optimizer_group *to) {
  static const char share[] = "0 or more, and less than 1", from_0[] = "a finite number from 0 on, which float32 holds";
  const int is_adamw = kind == MFQ_OPTIMIZER_ADAMW;
  mfq_status status = mfq_argument_present(where, g);
  if (status == MFQ_OK) status = mfq_argument_struct(where, g, sizeof *g, "mfq_optimizer_group_init");
  if (status != MFQ_OK) return status;
  const number numbers[] = {
      {"rate", g->rate, is_from_0(g->rate), from_0},
      {"beta1", g->beta1, is_share(g->beta1), share},
      {"beta2", g->beta2, is_adamw ? is_share(g->beta2) : g->beta2 == 0.0, is_adamw ? share : "0 for SGD"},
      {"epsilon", g->epsilon, is_adamw ? is_from_0(g->epsilon) && (float)g->epsilon > 0.0f : g->epsilon == 0.0,
       is_adamw ? "a finite number above 0, which float32 holds" : "0 for SGD"},
      {"weight_decay", g->weight_decay, is_from_0(g->weight_decay), from_0}};
  const mfq_range nesterov = {"nesterov", g->nesterov, 0, is_adamw || g->beta1 == 0.0 ? 0 : 1};
  status = check_numbers(where, numbers, sizeof numbers / sizeof numbers[0]);
  if (status == MFQ_OK) status = mfq_ranges_check(where, &nesterov, 1);
  if (status != MFQ_OK) return status;
  to->rate = g->rate;
  to->beta1 = g->beta1;
  to->beta2 = g->beta2;
  to->epsilon = g->epsilon;
  to->weight_decay = g->weight_decay;
  to->nesterov = g->nesterov;
  return MFQ_OK;
}

static mfq_status take_groups(mfq_optimizer *o, const char *function, const mfq_optimizer_options *options) {
  mfq_optimizer_group usual;
  mfq_optimizer_group_init(options->kind, &usual);
  const mfq_optimizer_group *groups = options->group_count > 0 ? options->groups : &usual;
  const mfq_status status = mfq_argument_present((mfq_where){function, "options->groups"}, groups);
  if (status != MFQ_OK) return status;
  o->group_count = options->group_count > 0 ? options->group_count : 1;
  for (int32_t i = 0; i < o->group_count; ++i) {
    mfq_sentence name;
    mfq_sentence_set(&name, "options->groups[%d]", (int)i);
    const mfq_where where = {function, name.text};
    const mfq_status taken = mfq_optimizer_take_group(where, o->kind, &groups[i], &o->groups[i]);
    if (taken != MFQ_OK) return taken;
    o->groups[i].power1 = o->groups[i].power2 = 1.0;
    o->has_momentum[i] = o->kind == MFQ_OPTIMIZER_ADAMW || o->groups[i].beta1 > 0.0;
  }
  return MFQ_OK;
}

/* ---- Moments ----------------------------------------------------------------------------------------------------- */

static mfq_status take_scheme(mfq_where where, mfq_optimizer *o, int moment, const mfq_scheme *scheme) {
  if (scheme == NULL) return MFQ_OK;
  mfq_status status = mfq_scheme_verify(scheme, where.function, where.argument);
  if (status == MFQ_OK) status = mfq_scheme_suits(where, MFQ_OP_OPTIMIZE, scheme);
  if (status != MFQ_OK) return status;
  if (moment == 1 && o->kind == MFQ_OPTIMIZER_SGD)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function, "%s: SGD has no second moments; leave it NULL",
                    where.argument);
  if (moment == 0 && !scheme->element.is_signed && !scheme->zero_point)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, where.function,
                    "%s: first moments have both signs, but the elements of the scheme have none; take signed ones, or "
                    "zero points",
                    where.argument);
  o->schemes[moment] = *scheme;
  o->is_coded[moment] = 1;
  return MFQ_OK;
}

/* ---- All --------------------------------------------------------------------------------------------------------- */

static mfq_status take_name(const char *function, const char *name, char *to) {
  name = name != NULL ? name : "optimizer";
  const size_t length = strlen(name);
  if (length == 0 || length >= TENSOR_NAME)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "options: name has %zu bytes; allowed is 1 ... %d", length,
                    TENSOR_NAME - 1);
  for (size_t i = 0; i < length; ++i)
    if ((unsigned char)name[i] < ' ' || name[i] == 127)
      return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                      "options: name has a control character at byte %zu; choose one that can be printed", i);
  memcpy(to, name, length + 1);
  return MFQ_OK;
}

/* An array whose count was forgotten would be ignored. */
static mfq_status check_count(const char *function, const char *what, int is_given, int32_t count) {
  if (!is_given || count > 0) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                  "options->%s is given, but there are 0 of them; say how many, or give NULL", what);
}

mfq_status mfq_optimizer_take(mfq_optimizer *o, const char *function, const mfq_optimizer_options *options) {
  const mfq_where where = {function, "options"};
  const mfq_range ranges[] = {{"kind", (int64_t)options->kind, MFQ_OPTIMIZER_SGD, MFQ_OPTIMIZER_ADAMW},
                              {"group_count", options->group_count, 0, MFQ_OPTIMIZER_GROUPS},
                              {"tensor_count", options->tensor_count, 0, INT32_MAX}};
  const number clip = {"clip_norm", options->clip_norm, is_from_0((double)options->clip_norm),
                       "0, for none, or a finite number above"};
  mfq_status status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  if (status == MFQ_OK) status = check_numbers(where, &clip, 1);
  if (status == MFQ_OK) status = take_name(function, options->name, o->name);
  if (status == MFQ_OK) status = check_count(function, "groups", options->groups != NULL, options->group_count);
  if (status == MFQ_OK) status = check_count(function, "tensors", options->tensors != NULL, options->tensor_count);
  if (status != MFQ_OK) return status;
  o->kind = options->kind;
  o->clip_norm = options->clip_norm;
  o->gradient_scale = 1.0f;
  o->seed = options->seed;
  status = take_groups(o, function, options);
  if (status == MFQ_OK) status = take_scheme((mfq_where){function, "options->first"}, o, 0, options->first);
  if (status == MFQ_OK) status = take_scheme((mfq_where){function, "options->second"}, o, 1, options->second);
  return status == MFQ_OK ? mfq_optimizer_take_tensors(o, function, options) : status;
}
