/* host/cpu/cast/quantize_both.c: the ways of two directions from one read. */
#include <string.h>

#include "host/core/check/sizes.h"
#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "host/core/scheme/scheme.h"
#include "elements.h"
#include "panels.h"

/* Panels of the two directions, and their memory. */
typedef struct panels_pair {
  mfq_panels one, other;
} panels_pair;
_Static_assert(sizeof(panels_pair) <= MFQ_CAST_STATE, "a pair finds room");

static size_t memory_of(const mfq_panels *p) {
  return mfq_size_plus(mfq_panels_scratch_all(p), mfq_panels_shared_bytes(p));
}

/* ---- One set of codes ------------------------------------------------------------------------------------------- */

/* Whether both directions hold the same codes, one of them transposed: their scales are measured, and do not run along
 * an axis. `one` of the pair is the transposed one. */
static int is_square(const mfq_cast *cast, const mfq_qview **transposed, const mfq_qview **logical) {
  const int is_first = cast->view->q.layout.codes == MFQ_CODES_TRANSPOSED;
  *transposed = is_first ? cast->view : cast->other;
  *logical = is_first ? cast->other : cast->view;
  mfq_scheme a = cast->view->q.scheme, b = cast->other->q.scheme;
  a.axis = cast->view->sizes.axis;
  b.axis = cast->other->sizes.axis;
  return (*transposed)->q.layout.codes == MFQ_CODES_TRANSPOSED && (*logical)->q.layout.codes == MFQ_CODES_LOGICAL &&
         mfq_scheme_equal(&a, &b) && a.rule != MFQ_RULE_GIVEN;
}

static mfq_status plan_squares(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const mfq_qview *transposed, *logical;
  if (!cast->other || !is_square(cast, &transposed, &logical)) return mfq_refuse(why, "%s", "");
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(panels_pair), choice);
  panels_pair *p = choice->state;
  if (status == MFQ_OK) status = mfq_panels_plan(context, cast->src, transposed, MFQ_PANELS_ENCODE, &p->one, why);
  if (status != MFQ_OK) return status;
  p->other = p->one;
  p->other.view = logical;
  p->other.transposed = 0;
  p->other.code_bits = mfq_code_bits(&logical->q);
  p->other.row_bits = (int64_t)logical->sizes.row_bits;
  const int64_t rows = p->one.size[0] * p->one.size[1], cols_bits = p->one.cols * p->other.code_bits;
  if ((p->other.row_bits % 8 != 0 && rows > 1) || (cols_bits % 8 != 0 && p->one.col_blocks > 1))
    return mfq_refuse(why, "rows of codes or their panels start inside a byte");
  choice->workspace_bytes = memory_of(&p->one);
  mfq_choice_describe(choice, "one set of codes, turned (%s)", p->one.kernels->isa);
  return MFQ_OK;
}

/* Writes the scales of a panel, which are made, once more: where the other order has them. */
static void keep_scales(const mfq_panels *p, const mfq_panel *a, const mfq_lanes *lanes) {
  if (p->view->q.scales) mfq_scales_put(p->view, a->scale0, a->scale_step, lanes->stored, a->lanes);
  for (int64_t i = 0; p->scheme.has_zero_point && i < a->lanes; ++i)
    mfq_zero_point_put(p->view, &p->scheme, a->scale0 + i * a->scale_step, (int32_t)lanes->zero_point[i]);
}

static void quantize_square(const panels_pair *pair, int64_t index, mfq_panel_scratch *scratch) {
  const mfq_panels *turned = &pair->one, *plain = &pair->other;
  const int known = mfq_panels_scales_known(turned);
  const mfq_panel first = mfq_panel_stacked(turned, index, 0);
  const int64_t length = turned->size[2];
  int64_t rows = 0;
  for (int64_t level = 0; level < turned->stack; ++level) {
    const mfq_panel a = mfq_panel_stacked(turned, index, level), b = mfq_panel_stacked(plain, index, level);
    if (a.row0 >= turned->size[1]) break;
    const int64_t ld = mfq_panel_ld(&a);
    uint8_t *codes = scratch->block + rows * ld;
    mfq_panel_scales(turned, &a, known, scratch);
    if (!known) keep_scales(plain, &b, &scratch->lanes);
    mfq_panel_encode(turned, &a, scratch, codes, ld);
    for (int64_t r = 0; r < a.rows; ++r)
      mfq_panel_put(plain, (mfq_piece){a.outer * turned->size[1] + a.row0 + r, a.col0, a.cols}, length, codes + r * ld);
    rows += a.rows;
  }
  mfq_panel_put_turned(turned, &first, rows, scratch);
}

typedef struct squares_work {
  const panels_pair *pair;
  uint8_t *memory;
} squares_work;

static void quantize_squares(void *work, int thread, int64_t first, int64_t end) {
  const squares_work *w = work;
  mfq_panel_scratch *scratch = mfq_panels_scratch_at(&w->pair->one, w->memory, thread);
  for (int64_t k = first; k < end; ++k) quantize_square(w->pair, k, scratch);
}

/* Scales that all panels share stand in the same order in both: they vary along one axis at most. */
static void copy_shared(const mfq_qview *from, const mfq_qview *to) {
  if (from->sizes.scales_bytes) memcpy(to->q.scales, from->q.scales, from->sizes.scales_bytes);
  if (from->sizes.zero_points_bytes) memcpy(to->q.zero_points, from->q.zero_points, from->sizes.zero_points_bytes);
}

static mfq_status run_squares(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  panels_pair pair = *(const panels_pair *)state;
  (void)problem;
  pair.one.seed = (mfq_seed){context->seed, context->offset};
  mfq_panels_measure_shared(&pair.one, memory);
  const mfq_qview *from = pair.one.view, *to = pair.other.view;
  if (pair.one.shared) copy_shared(from, to);
  if (to->sizes.tensor_scale_bytes) memcpy(to->q.tensor_scale, from->q.tensor_scale, to->sizes.tensor_scale_bytes);
  mfq_team_run((mfq_loop){pair.one.threads, pair.one.count, 1}, quantize_squares, &(squares_work){&pair, memory});
  return MFQ_OK;
}

const mfq_way mfq_quantize_squares = {"square", plan_squares, run_squares, NULL};

/* ---- Two sets ---------------------------------------------------------------------------------------------------- */

/* Rows of the grid that a bundle or a stack, or else a panel, has. */
static int64_t height_of(const mfq_panels *p) { return p->bundle ? p->bundle : p->rows * p->stack; }

/* Whether outer and middle may be one: rows are counted over both. */
static int is_flat(const mfq_panels *p) { return p->rows * p->stack == 1; }

static int64_t rows_of(const mfq_panels *p) { return p->size[0] * p->size[1]; }

/* Whether the rows of panels of `outer` are whole panels of `inner`. */
static int can_nest(const mfq_panels *outer, const mfq_panels *inner) {
  if (rows_of(outer) != rows_of(inner) || outer->size[2] != inner->size[2]) return 0;
  if (is_flat(inner))
    return height_of(inner) == 1 || ((is_flat(outer) || outer->size[0] == 1 || outer->size[1] % inner->bundle == 0) &&
                                     height_of(outer) % inner->bundle == 0);
  return !is_flat(outer) && outer->size[1] == inner->size[1] && height_of(outer) % height_of(inner) == 0;
}

/* Rows, counted over outer and middle. */
typedef struct strip {
  int64_t top, rows;
} strip;

static int64_t strips_of(const mfq_panels *p) {
  return is_flat(p) ? mfq_ceil_div(rows_of(p), height_of(p)) : p->size[0] * p->stacks;
}

/* The rows of panels of number `index`. */
static strip strip_at(const mfq_panels *p, int64_t index) {
  const int64_t height = height_of(p), length = is_flat(p) ? rows_of(p) : p->size[1];
  const int64_t of_outer = is_flat(p) ? index : index % p->stacks, outer = is_flat(p) ? 0 : index / p->stacks;
  const int64_t row = of_outer * height, left = length - row;
  return (strip){outer * length + row, left < height ? left : height};
}

/* Panels, or pieces of a measuring pass, of whole rows. */
typedef struct range {
  int64_t first, end;
} range;

static range panels_in(const mfq_panels *p, strip s, int64_t height, int64_t row_blocks) {
  const int64_t first = s.top / p->size[1] * row_blocks + s.top % p->size[1] / height;
  return (range){first * p->col_blocks, (first + mfq_ceil_div(s.rows, height)) * p->col_blocks};
}

static range pieces_of(const mfq_panels *p, strip s) { return panels_in(p, s, p->rows, p->row_blocks); }

static range items_of(const mfq_panels *p, strip s) {
  if (p->bundle) return (range){s.top / p->bundle, mfq_ceil_div(s.top + s.rows, p->bundle)};
  return panels_in(p, s, height_of(p), p->stacks);
}

/* `strips` are those of the first. */
typedef struct pair_work {
  const mfq_panels *panels[2];
  uint8_t *memory[2];
  mfq_shared shared[2];
} pair_work;

static void measure_strips(void *work, int thread, int64_t first, int64_t end) {
  pair_work *w = work;
  for (int64_t k = first; k < end; ++k) {
    const strip s = strip_at(w->panels[0], k);
    for (int i = 0; i < 2; ++i) {
      const range pieces = pieces_of(w->panels[i], s);
      mfq_shared_measure(&w->shared[i], thread, pieces.first, pieces.end);
    }
  }
}

static void quantize_strips(void *work, int thread, int64_t first, int64_t end) {
  const pair_work *w = work;
  for (int64_t k = first; k < end; ++k) {
    const strip s = strip_at(w->panels[0], k);
    for (int i = 0; i < 2; ++i) {
      const mfq_panels *p = w->panels[i];
      mfq_panel_scratch *scratch = mfq_panels_scratch_at(p, w->memory[i], thread);
      const range items = items_of(p, s);
      for (int64_t item = items.first; item < items.end; ++item)
        mfq_panel_quantize(p, item, mfq_panels_scales_known(p), scratch);
    }
  }
}

static mfq_status plan_pairs(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  if (!cast->other) return mfq_refuse(why, "%s", "");
  mfq_status status = mfq_choice_state(context, cast->function, sizeof(panels_pair), choice);
  panels_pair *p = choice->state;
  if (status == MFQ_OK) status = mfq_panels_plan(context, cast->src, cast->view, MFQ_PANELS_ENCODE_ROWS, &p->one, why);
  if (status == MFQ_OK)
    status = mfq_panels_plan(context, cast->src, cast->other, MFQ_PANELS_ENCODE_ROWS, &p->other, why);
  if (status != MFQ_OK) return status;
  if (!can_nest(&p->one, &p->other) && !can_nest(&p->other, &p->one))
    return mfq_refuse(why, "the panels of neither are whole panels of the other");
  choice->workspace_bytes = mfq_size_plus(memory_of(&p->one), memory_of(&p->other));
  mfq_choice_describe(choice, "vector loops (%s)", p->one.kernels->isa);
  return MFQ_OK;
}

static mfq_status run_pairs(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  panels_pair pair = *(const panels_pair *)state;
  const int is_swapped = !can_nest(&pair.one, &pair.other);
  mfq_panels *panels[] = {is_swapped ? &pair.other : &pair.one, is_swapped ? &pair.one : &pair.other};
  pair_work work = {.panels = {panels[0], panels[1]}, .memory = {memory, memory + memory_of(panels[0])}};
  (void)problem;
  for (int i = 0; i < 2; ++i) {
    panels[i]->seed = (mfq_seed){context->seed, context->offset};
    mfq_shared_begin(panels[i], work.memory[i], &work.shared[i]);
  }
  const mfq_loop strips = {panels[0]->threads, strips_of(panels[0]), height_of(panels[0]) == 1 ? 16 : 1};
  if (work.shared[0].is_measured || work.shared[1].is_measured) mfq_team_run(strips, measure_strips, &work);
  for (int i = 0; i < 2; ++i) mfq_shared_end(&work.shared[i]);
  mfq_team_run(strips, quantize_strips, &work);
  return MFQ_OK;
}

const mfq_way mfq_quantize_pairs = {"both directions from one read", plan_pairs, run_pairs, NULL};
