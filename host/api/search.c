/* host/api/search.c: checks searches for scales. */
#include <mfq/search.h>

#include <stdio.h>
#include <string.h>

#include "host/core/check/arguments.h"
#include "host/core/check/operands.h"
#include "host/core/check/suits.h"
#include "host/core/error.h"
#include "host/core/module/context_state.h"
#include "host/core/problem/cast_problem.h"
#include "host/core/process/fp_mode.h"
#include "host/core/scheme/scheme.h"

static const char function[] = "mfq_search_scales";

/* ---- The table --------------------------------------------------------------------------------------------------- */

typedef struct search_row {
  const char *word, *about;
  int32_t kind, steps, first, last;
} search_row;

static const search_row rows[] = {
#define MFQ_SEARCH(method, word, kind, steps, first, last, about)                                                      \
  {word, about, MFQ_CANDIDATES_##kind, steps, first, last},
#include <mfq/search.def>
};

/* NULL where there is no such method. */
static const search_row *row_at(int64_t index) {
  return index >= 0 && index < (int64_t)MFQ_SEARCH_METHODS ? &rows[index] : NULL;
}

const char *mfq_search_name(int32_t index, const char **about) {
  const search_row *row = row_at(index);
  if (row != NULL && about != NULL) *about = row->about;
  return row != NULL ? row->word : NULL;
}

void mfq_search_init(mfq_search *search, mfq_search_method method) {
  if (search == NULL) return;
  const search_row *row = row_at((int64_t)method);
  memset(search, 0, sizeof *search);
  search->struct_size = sizeof *search;
  if (row == NULL) return;
  search->method = method;
  search->steps = row->steps;
  search->first = row->first;
  search->last = row->last;
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

/* A name of Brevitas' that has no row without its suffix, and the row that it is a variant of. */
static const char *const renamed[][2] = {
    {"brevitas:ShiftedUint8WeightPerGroupFloat", "brevitas:ShiftedUint8WeightGroupQuantFloat"}};

/* What is left of a name that ends in a suffix, `more` behind it, and the settings behind both. Returns 0 where it ends
 * otherwise. */
static int without_suffix(const char *text, const char *suffix, const char *more, char *shorter, size_t capacity) {
  static const char family[] = "brevitas:";
  const size_t name = strcspn(text, "/"), cut = strlen(suffix);
  if (strncmp(text, family, sizeof family - 1) != 0 || name < sizeof family + cut) return 0;
  if (strncmp(text + name - cut, suffix, cut) != 0) return 0;
  int length = snprintf(shorter, capacity, "%.*s", (int)(name - cut), text);
  for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; ++i)
    if (strcmp(shorter, renamed[i][0]) == 0) length = snprintf(shorter, capacity, "%s", renamed[i][1]);
  if (length < 0 || (size_t)length >= capacity) return 0;
  length += snprintf(shorter + length, capacity - (size_t)length, "%s%s", more, text + name);
  return (size_t)length < capacity;
}

/* The scheme and method of a name with a suffix. Returns 0 where it has none, or is no scheme without it. */
static int read_suffixed(const char *text, mfq_scheme *scheme, mfq_search_method *method) {
  char shorter[2 * MFQ_SCHEME_TEXT_MAX];
  *method = MFQ_SEARCH_MSE;
  int found = without_suffix(text, "MSE", "", shorter, sizeof shorter);
  if (!found) {
    *method = MFQ_SEARCH_HQO;
    found = without_suffix(text, "HQO", "", shorter, sizeof shorter);
    if (!found || mfq_scheme_parse(shorter, scheme) != MFQ_OK) return 0;
    if (scheme->zero_point) { /* they are searched, and stay as they are found */
      *method = MFQ_SEARCH_HQO_ZERO;
      found = without_suffix(text, "HQO", "/zpf", shorter, sizeof shorter);
    }
  }
  return found && mfq_scheme_parse(shorter, scheme) == MFQ_OK && scheme->rule != MFQ_RULE_GIVEN &&
         scheme->scale != MFQ_SCALE_NONE;
}

/* A row of schemes.def goes first, then what is left of a name without MSE or HQO. */
mfq_status mfq_search_parse(const char *text, mfq_scheme *scheme, mfq_search_method *method) {
  static const char parse[] = "mfq_search_parse";
  mfq_scheme plain;
  mfq_search_method asked;
  MFQ_USUAL_FP_MODE;
  if (text == NULL || scheme == NULL || method == NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, parse, "%s is NULL",
                    text == NULL     ? "text"
                    : scheme == NULL ? "scheme"
                                     : "method");
  const mfq_status status = mfq_scheme_parse(text, scheme);
  if (status == MFQ_OK) *method = MFQ_SEARCH_METHODS;
  if (status != MFQ_ERROR_PARSE) return status;
  if (!read_suffixed(text, &plain, &asked))
    return mfq_scheme_parse(text, scheme); /* whose sentence is about the name that was given */
  *scheme = plain;
  *method = asked;
  return MFQ_OK;
}

/* ---- Checks ------------------------------------------------------------------------------------------------------ */

/* A call under check. */
typedef struct search_call {
  mfq_parts parts;
  mfq_qview view;
  mfq_tensor src, importance;
} search_call;

static mfq_status check_fields(const mfq_search *s) {
  enum { LARGEST = 4096 };
  const mfq_where where = {function, "search"};
  mfq_status status = mfq_argument_present(where, s);
  if (status == MFQ_OK) status = mfq_argument_struct(where, s, sizeof *s, "mfq_search_init");
  if (status != MFQ_OK) return status;
  const mfq_range method = {"method", (int64_t)s->method, 0, (int64_t)MFQ_SEARCH_METHODS - 1};
  status = mfq_ranges_check(where, &method, 1);
  if (status != MFQ_OK) return status;
  const int is_deviation = row_at((int64_t)s->method)->kind == MFQ_CANDIDATES_DEVIATION;
  const int64_t largest = is_deviation ? INT32_MAX : LARGEST;
  const mfq_range ranges[] = {{"steps", s->steps, 1, largest},
                              {"first", s->first, 1, is_deviation ? 1 : s->steps},
                              {"last", s->last, is_deviation ? 1 : s->steps, largest}};
  status = mfq_ranges_check(where, ranges, sizeof ranges / sizeof ranges[0]);
  if (status != MFQ_OK || is_deviation || s->last - s->first < MFQ_MOST_CANDIDATES) return status;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function,
                  "search: first is %d and last is %d, which are %d candidates; allowed are %d", (int)s->first,
                  (int)s->last, (int)(s->last - s->first + 1), (int)MFQ_MOST_CANDIDATES);
}

/* What importance is no part of. */
static const char *importance_problem(int32_t kind, const mfq_scheme *scheme) {
  if (kind == MFQ_CANDIDATES_HALF_QUADRATIC)
    return "method is hqo, whose medians do not take it; leave it NULL, or take method mse";
  if (kind == MFQ_CANDIDATES_HALF_QUADRATIC_ZERO)
    return "method is hqo_zero, whose means do not take it; leave it NULL, or take method mse";
  if (kind == MFQ_CANDIDATES_DEVIATION)
    return "method is quest, which compares no errors; leave it NULL, or take method mse";
  if (scheme->rotation != 0)
    return "the scheme rotates elements, whose errors belong to no single element; leave it NULL";
  return NULL;
}

static mfq_status check_scheme(const mfq_search *s, const mfq_scheme *scheme) {
  const mfq_status status = mfq_scheme_suits((mfq_where){function, "search->q"}, MFQ_OP_SEARCH, scheme);
  if (status != MFQ_OK) return status;
  const search_row *row = row_at((int64_t)s->method);
  const char *problem = mfq_search_problem(s->method, scheme);
  if (problem != NULL)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "search: method is %s, but %s", row->word, problem);
  problem = s->importance != NULL ? importance_problem(row->kind, scheme) : NULL;
  if (problem == NULL) return MFQ_OK;
  return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "search: importance is given, but %s", problem);
}

/* Scales and what belongs to them; codes only where there is room for them. */
static mfq_status take_q(const mfq_search *s, search_call *call) {
  const mfq_where where = {function, "search->q"};
  mfq_status status = mfq_qview_init(where, s->q, &call->view);
  if (status == MFQ_OK)
    status = mfq_argument_shape(where, call->view.q.rank, call->view.q.shape, "search->src", &call->src);
  if (status == MFQ_OK) status = check_scheme(s, &call->view.q.scheme);
  const int used = MFQ_USE_ALL & ~(s->q != NULL && s->q->codes == NULL ? MFQ_USE_CODES : 0);
  return status == MFQ_OK ? mfq_argument_parts(where, &call->view, (mfq_use){used, used}, &call->parts) : status;
}

static mfq_status take_importance(const mfq_search *s, search_call *call) {
  const mfq_where where = {function, "search->importance"};
  if (s->importance == NULL) return MFQ_OK;
  const mfq_status status = mfq_argument_tensor(where, s->importance, 0, &call->parts, &call->importance);
  if (status != MFQ_OK) return status;
  if (call->importance.dtype != MFQ_DTYPE_F32)
    return mfq_fail(MFQ_ERROR_INVALID_ARGUMENT, function, "%s: dtype is %s; allowed is f32", where.argument,
                    mfq_dtype_name(call->importance.dtype));
  return mfq_argument_shape(where, call->importance.rank, call->importance.shape, "search->src", &call->src);
}

mfq_status mfq_search_scales(mfq_context *context, const mfq_search *s) {
  MFQ_USUAL_FP_MODE;
  search_call call = {.parts = {.count = 0}};
  mfq_status status = mfq_argument_present((mfq_where){function, "context"}, context);
  if (status == MFQ_OK) status = check_fields(s);
  if (status == MFQ_OK)
    status = mfq_argument_tensor((mfq_where){function, "search->src"}, s->src, 0, &call.parts, &call.src);
  if (status == MFQ_OK) status = take_q(s, &call);
  if (status == MFQ_OK) status = take_importance(s, &call);
  if (status == MFQ_OK) status = mfq_parts_check(context, &call.parts);
  if (status != MFQ_OK) return status;
  const mfq_candidates candidates = {.kind = row_at((int64_t)s->method)->kind,
                                     .steps = s->steps,
                                     .first = s->first,
                                     .last = s->last,
                                     .importance = s->importance != NULL ? &call.importance : NULL};
  const mfq_cast cast = {
      .op = MFQ_OP_SEARCH, .function = function, .src = &call.src, .view = &call.view, .candidates = &candidates};
  return context->backend->cast(context, &cast);
}
