/* host/cpu/cast/strips_plan.c: how strips and windows are cut. */
#include "strips.h"

#include <string.h>

#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/scheme/scheme.h"

enum {
  WINDOW_ELEMENTS = 1 << 16, /* 256 KiB: what a window may take of a second-level cache, with what it is made from */
  MOST_ELEMENTS = 1 << 19,   /* of rows that cannot be cut */
  SUM_ROWS = 64,
  MOST_ROWS = 256, /* of panels that are not higher */
  LEAST_COLS = 64,
  LONGEST_ROW = 1 << 14,
  SHARE_ELEMENTS = 1 << 16
};

/* ---- Two sets of codes ------------------------------------------------------------------------------------------- */

/* Whether the rows of panels of `outer` are whole panels of `inner`. */
static int can_nest(const mfq_panels *outer, const mfq_panels *inner) {
  if (mfq_panels_rows(outer) != mfq_panels_rows(inner) || outer->size[2] != inner->size[2]) return 0;
  if (mfq_panels_are_flat(inner))
    return mfq_panels_height(inner) == 1 ||
           ((mfq_panels_are_flat(outer) || outer->size[0] == 1 || outer->size[1] % inner->bundle == 0) &&
            mfq_panels_height(outer) % inner->bundle == 0);
  return !mfq_panels_are_flat(outer) && outer->size[1] == inner->size[1] &&
         mfq_panels_height(outer) % mfq_panels_height(inner) == 0;
}

/* Plans the panels of all directions, of at most so many columns. */
static mfq_status plan_panels(const mfq_context *context, const mfq_strips_wanted *wanted, int64_t most_cols,
                              mfq_strips *s, mfq_line *why) {
  const mfq_qview *views[] = {wanted->one, wanted->other};
  mfq_status status = MFQ_OK;
  s->directions = 0;
  for (int i = 0; i < 2 && status == MFQ_OK; ++i) {
    if (!views[i]) continue;
    mfq_panels *p = &s->panels[s->directions++];
    *p = (mfq_panels){.most_cols = most_cols};
    status =
        mfq_panels_plan(context, s->is_made ? &s->tensor : wanted->tensor, views[i], MFQ_PANELS_ENCODE_ROWS, p, why);
  }
  if (status != MFQ_OK || s->directions < 2 || can_nest(&s->panels[0], &s->panels[1])) return status;
  if (!can_nest(&s->panels[1], &s->panels[0]))
    return mfq_refuse(why, "the panels of neither are whole panels of the other");
  const mfq_panels first = s->panels[0];
  s->panels[0] = s->panels[1];
  s->panels[1] = first;
  return MFQ_OK;
}

/* ---- One set of codes -------------------------------------------------------------------------------------------- */

/* Whether both directions hold the same codes, one of them transposed: their scales are measured, and do not run along
 * an axis. */
static int is_square(const mfq_strips_wanted *wanted, const mfq_qview **transposed, const mfq_qview **logical) {
  const int is_first = wanted->one->q.layout.codes == MFQ_CODES_TRANSPOSED;
  *transposed = is_first ? wanted->one : wanted->other;
  *logical = is_first ? wanted->other : wanted->one;
  mfq_scheme a = wanted->one->q.scheme, b = wanted->other->q.scheme;
  a.axis = wanted->one->sizes.axis;
  b.axis = wanted->other->sizes.axis;
  return (*transposed)->q.layout.codes == MFQ_CODES_TRANSPOSED && (*logical)->q.layout.codes == MFQ_CODES_LOGICAL &&
         mfq_scheme_equal(&a, &b) && a.rule != MFQ_RULE_GIVEN;
}

static mfq_status plan_squares(const mfq_context *context, const mfq_strips_wanted *wanted, int64_t most_cols,
                               mfq_strips *s, mfq_line *why) {
  const mfq_qview *transposed, *logical;
  mfq_panels *one = &s->panels[0], *other = &s->panels[1];
  if (!is_square(wanted, &transposed, &logical)) return mfq_refuse(why, "%s", "");
  *one = (mfq_panels){.most_cols = most_cols};
  const mfq_status status =
      mfq_panels_plan(context, s->is_made ? &s->tensor : wanted->tensor, transposed, MFQ_PANELS_ENCODE, one, why);
  if (status != MFQ_OK) return status;
  *other = *one;
  other->view = logical;
  other->transposed = 0;
  other->code_bits = mfq_code_bits(&logical->q);
  other->row_bits = (int64_t)logical->sizes.row_bits;
  const int64_t cols_bits = one->cols * other->code_bits;
  if ((other->row_bits % 8 != 0 && mfq_panels_rows(one) > 1) || (cols_bits % 8 != 0 && one->col_blocks > 1))
    return mfq_refuse(why, "rows of codes or their panels start inside a byte");
  s->directions = 2;
  s->is_square = 1;
  return MFQ_OK;
}

/* ---- Windows ----------------------------------------------------------------------------------------------------- */

typedef mfq_status (*plan_fn)(const mfq_context *context, const mfq_strips_wanted *wanted, int64_t most_cols,
                              mfq_strips *strips, mfq_line *why);

/* The largest power of two that is not above `n`. */
static int64_t power_below(int64_t n) {
  int64_t power = 1;
  while (2 * power <= n) power *= 2;
  return power;
}

/* How many of the highest panels a strip has, a power of two: as many as may be rows of sums, and more where rows are
 * short. */
static int64_t panels_of_strip(const mfq_strips *s, const mfq_strips_wanted *wanted) {
  const int64_t one = s->directions > 0 ? mfq_panels_height(&s->panels[0]) : 1;
  const int64_t longest = one == 1 && !wanted->sums ? LONGEST_ROW : 1024;
  const int64_t fitting = WINDOW_ELEMENTS / (one * mfq_smaller(mfq_larger(s->cols, 1), longest));
  const int64_t least = wanted->sums ? SUM_ROWS / one : 1;
  return power_below(mfq_larger(mfq_smaller(fitting, mfq_larger(MOST_ROWS / one, 1)), mfq_larger(least, 1)));
}

/* The columns that panels of all directions are whole in; 0: not fewer than all. */
static int64_t step_of(const mfq_strips *s) {
  int64_t step = 1;
  for (int i = 0; i < s->directions; ++i) {
    const mfq_panels *p = &s->panels[i];
    if (p->bundle || p->col_blocks == 1) return 0;
    step = mfq_common_multiple(step, p->cols);
  }
  return step;
}

/* Whether strips are whole subtrees of sums over all rows. */
static int are_subtrees(const mfq_strips *s) {
  const int is_whole = s->directions == 0 || mfq_panels_are_flat(&s->panels[0]) || s->panels[0].size[0] == 1 ||
                       s->panels[0].size[1] % s->height == 0;
  return (is_whole && mfq_exact_log2(s->height) >= 0) || mfq_strips_count(s) <= 1;
}

static int is_measured_first(const mfq_panels *p) {
  return mfqn_is_measured(&p->scheme) && (p->shared || p->scheme.scale == MFQN_SCALE_UE4M3);
}

static int32_t fillings_of(const mfq_strips *s) {
  for (int32_t i = 0; i < s->directions; ++i)
    if (is_measured_first(&s->panels[i])) return 2;
  return 1;
}

static mfq_status check_windows(const mfq_strips *s, const mfq_strips_wanted *wanted, mfq_line *why) {
  for (int i = 0; i < s->directions; ++i) {
    const mfq_panels *p = &s->panels[i];
    if (mfq_panels_rows(p) != s->rows || p->size[2] != s->cols)
      return mfq_refuse(why, "rows of codes are not rows of results");
    if (wanted->once && is_measured_first(p)) return mfq_refuse(why, "scales are measured before anything is encoded");
    if (s->width < s->cols && !s->halves && (p->col_blocks == 1 || s->width % p->cols != 0))
      return mfq_refuse(why, "the panels of both cut rows differently");
  }
  if (s->height * s->width > MOST_ELEMENTS) return mfq_refuse(why, "rows are too long for a thread's memory");
  if (wanted->sums && !are_subtrees(s)) return mfq_refuse(why, "strips are no subtrees of the sums of columns");
  return MFQ_OK;
}

/* Windows of both halves of rows: as many columns as divide a half, and are whole panels. Otherwise strips stay as they
 * were planned. */
static int cut_halves(const mfq_context *context, const mfq_strips_wanted *wanted, plan_fn plan, mfq_strips *s) {
  const mfq_strips before = *s;
  const int64_t half = s->cols / 2;
  int64_t cols = mfq_smaller(WINDOW_ELEMENTS / 2 / s->height, half) / 8 * 8;
  while (cols >= LEAST_COLS && half % cols != 0) cols -= 8;
  if (s->directions == 0 || cols < LEAST_COLS) return 0;
  int fits = plan(context, wanted, cols, s, NULL) == MFQ_OK;
  for (int i = 0; fits && i < s->directions; ++i) fits = !s->panels[i].bundle && cols % s->panels[i].cols == 0;
  if (!fits) {
    *s = before;
    return 0;
  }
  s->width = cols;
  s->halves = 1;
  return 1;
}

/* Panels as wide as windows may be. */
static mfq_status cut_windows(const mfq_context *context, const mfq_strips_wanted *wanted, plan_fn plan, mfq_strips *s,
                              mfq_line *why) {
  enum { TRIES = 3 };
  const int64_t one = s->directions > 0 ? mfq_panels_height(&s->panels[0]) : 1;
  s->height = one * panels_of_strip(s, wanted);
  if (wanted->halves && cut_halves(context, wanted, plan, s)) return check_windows(s, wanted, why);
  int64_t most = mfq_larger(WINDOW_ELEMENTS / s->height / LEAST_COLS, 1) * LEAST_COLS, step = 1;
  if (most > LONGEST_ROW) most = LONGEST_ROW;
  const int64_t widest = most;
  for (int i = 0; i < TRIES && widest < s->cols; ++i) {
    if (s->directions > 0) {
      const mfq_status status = plan(context, wanted, most, s, why);
      if (status != MFQ_OK) return status;
    }
    step = step_of(s);
    if (step == 0 || step <= most) break;
    for (int k = 0; k < s->directions; ++k) most = mfq_smaller(most, mfq_larger(s->panels[k].cols / 8, 1) * 8);
  }
  s->width = step == 0 || widest >= s->cols ? s->cols : mfq_smaller(step * mfq_larger(widest / step, 1), s->cols);
  return check_windows(s, wanted, why);
}

/* The shape of a direction's elements as rows that follow each other. */
static void place_tensor(const mfq_strips_wanted *wanted, mfq_strips *s) {
  const mfq_qview *view = wanted->one ? wanted->one : wanted->other;
  mfq_tensor *t = &s->tensor;
  t->dtype = MFQ_DTYPE_F32;
  t->rank = view->q.rank;
  int64_t stride = 1;
  for (int32_t d = t->rank; d-- > 0;) {
    t->shape[d] = view->q.shape[d];
    t->strides[d] = stride;
    stride *= mfq_larger(t->shape[d], 1);
  }
}

static mfq_status plan_strips(const mfq_context *context, const mfq_strips_wanted *wanted, plan_fn plan, mfq_strips *s,
                              mfq_line *why) {
  memset(s, 0, sizeof *s);
  s->is_made = !wanted->tensor;
  s->by_strips = wanted->by_strips;
  s->rows = wanted->rows;
  s->cols = wanted->cols;
  if (s->is_made && (wanted->one || wanted->other)) place_tensor(wanted, s);
  mfq_status status = MFQ_OK;
  if (wanted->one || wanted->other) status = plan(context, wanted, s->is_made ? LONGEST_ROW : 0, s, why);
  if (status != MFQ_OK) return status;
  s->threads = s->directions > 0                    ? s->panels[0].threads
               : s->rows * s->cols < SHARE_ELEMENTS ? 1
                                                    : (int)context->threads;
  if (s->is_made) {
    status = cut_windows(context, wanted, plan, s, why);
    s->fillings = fillings_of(s);
    s->ld = mfq_round_up(s->width, 16) + 16; /* rows of a power of two would share lines of the cache */
    return status;
  }
  const mfq_panels *p = &s->panels[0];
  s->rows = mfq_panels_rows(p);
  s->cols = p->size[2];
  s->height = mfq_panels_height(p);
  s->width = s->is_square ? p->cols : s->cols;
  s->by_strips = !s->is_square;
  return MFQ_OK;
}

mfq_status mfq_strips_plan_pair(const mfq_context *context, const mfq_strips_wanted *wanted, mfq_strips *s,
                                mfq_line *why) {
  return plan_strips(context, wanted, plan_panels, s, why);
}

mfq_status mfq_strips_plan_square(const mfq_context *context, const mfq_strips_wanted *wanted, mfq_strips *s,
                                  mfq_line *why) {
  return plan_strips(context, wanted, plan_squares, s, why);
}

mfq_status mfq_strips_plan(const mfq_context *context, const mfq_strips_wanted *wanted, mfq_strips *s, mfq_line *why) {
  if (wanted->one && wanted->other && mfq_strips_plan_square(context, wanted, s, NULL) == MFQ_OK) return MFQ_OK;
  return mfq_strips_plan_pair(context, wanted, s, why);
}
