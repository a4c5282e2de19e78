/* host/cpu/cast/repack_cpu.c: the same codes and scales in another layout, and for other groups: by tiles, and element by
 * element. */
#include <string.h>

#include "host/core/problem/regroup.h"
#include "host/cpu/cpu_state.h"
#include "elements.h"
#include "repack_moves.h"

static void repack_codes(const mfq_qview *src, const mfq_qview *dst) {
  int64_t strides[MFQ_MAX_RANK];
  mfq_walk from, to;
  mfq_walk_init(src, NULL, &from);
  mfq_code_strides(src, from.shape, strides);
  mfq_walk_init(dst, strides, &to); /* offsets are numbers of codes in the order of src */
  const int64_t step = to.offset_stride[to.rank - 1];
  memset(dst->q.codes, 0, dst->sizes.codes_bytes);
  for (int64_t r = 0; r < to.rows; ++r) {
    const int64_t offset = mfq_walk_at(&to, r).offset;
    for (int64_t j = 0; j < to.length; ++j) {
      const int64_t at = offset + j * step;
      mfq_code_put(dst, r, j, mfq_code_get(src, at / from.length, at % from.length));
    }
  }
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

static int same_scale(const mfq_qview *view, const mfqn_scheme *s, int64_t a, int64_t b) {
  return a == b || (mfq_scale_get(view, a) == mfq_scale_get(view, b) &&
                    mfq_zero_point_get(view, s, a) == mfq_zero_point_get(view, s, b));
}

/* Plans whose scales the groups of the target take; fails where several become one, and differ. */
static mfq_status open_groups(const mfq_cast *cast, mfq_regroup *groups) {
  const mfq_qview *src = cast->view;
  const mfq_walk *walk = &groups->first;
  mfqn_scheme s;
  mfq_lower(&src->q.scheme, &s);
  *groups = mfq_regroup_make(src, cast->other);
  for (int64_t row = 0; groups->is_merging && row < walk->rows; ++row) {
    const mfq_walk_row at = mfq_walk_at(walk, row);
    for (int64_t j = 0, index = row * walk->length; j < walk->length; ++j, ++index)
      if (!same_scale(src, &s, mfq_walk_scale(walk, at, j), index))
        return mfq_regroup_fail(cast->function, src, cast->other, index);
  }
  return MFQ_OK;
}

static void repack_scales(const mfq_regroup *groups, const mfq_qview *src, const mfq_qview *dst) {
  const mfq_walk *walk = &groups->taken;
  mfqn_scheme s;
  mfq_lower(&dst->q.scheme, &s);
  mfq_scales_clear_padding(dst);
  for (int64_t row = 0; row < walk->rows; ++row) {
    const mfq_walk_row at = mfq_walk_at(walk, row);
    for (int64_t j = 0, index = row * walk->length; j < walk->length; ++j, ++index) {
      const int64_t from = mfq_walk_scale(walk, at, j);
      mfq_scale_put(dst, index, mfq_scale_get(src, from));
      mfq_zero_point_put(dst, &s, index, mfq_zero_point_get(src, &s, from));
    }
  }
}

static void repack_tensor_scale(const mfq_qview *src, const mfq_qview *dst) {
  if (dst->sizes.tensor_scale_bytes) memcpy(dst->q.tensor_scale, src->q.tensor_scale, sizeof(float));
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  const mfq_qview *src = cast->view, *dst = cast->other;
  (void)context;
  (void)state;
  (void)memory;
  mfq_regroup groups;
  const mfq_status status = open_groups(cast, &groups);
  if (status != MFQ_OK) return status;
  if (dst->sizes.codes_bytes && src->q.codes != dst->q.codes) repack_codes(src, dst);
  if (dst->q.scheme.scale != MFQ_SCALE_NONE) repack_scales(&groups, src, dst);
  repack_tensor_scale(src, dst);
  return MFQ_OK;
}

/* ---- By tiles ---------------------------------------------------------------------------------------------------- */

typedef struct tile_moves {
  mfq_code_move codes;
  mfq_scale_move scales;
} tile_moves;
_Static_assert(sizeof(tile_moves) <= MFQ_CAST_STATE, "moves find room");

static int is_logical(const mfq_qview *view) {
  for (int32_t k = 0; k < view->q.rank; ++k)
    if (mfq_code_axis(view, k) != k) return 0;
  return 1;
}

static mfq_status plan_tiles(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const mfq_kernels *kernels = mfq_cpu_kernels(context);
  if (!kernels) return mfq_refuse(why, "the context asks for the reference path");
  if (cast->other && !mfq_code_order_is(cast->view, cast->other) && !is_logical(cast->view) && !is_logical(cast->other))
    return mfq_refuse(why, "two orders of codes, neither logical");
  const mfq_status status = mfq_choice_state(context, cast->function, sizeof(tile_moves), choice);
  if (status != MFQ_OK) return status;
  tile_moves *m = choice->state;
  const mfq_qview *dst = cast->other ? cast->other : cast->view; /* mfq_supported has one */
  mfq_code_move_plan(context, cast->view, dst, &m->codes);
  mfq_scale_move_plan(context, cast->view, &m->scales);
  const int32_t threads = m->codes.threads > m->scales.threads ? m->codes.threads : m->scales.threads;
  choice->workspace_bytes = (size_t)threads * sizeof(mfq_move_scratch);
  mfq_choice_describe(choice, "vector loops (%s)", kernels->isa);
  return MFQ_OK;
}

static mfq_status run_tiles(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const tile_moves *m = state;
  const mfq_cast *cast = problem;
  mfq_move_scratch *scratch = (mfq_move_scratch *)(void *)memory;
  const mfq_qview *src = cast->view, *dst = cast->other;
  mfq_regroup groups;
  const mfq_status status = open_groups(cast, &groups);
  if (status != MFQ_OK) return status;
  if (m->codes.tiles && src->q.codes != dst->q.codes) mfq_code_move_run(context, &m->codes, cast, scratch);
  if (mfq_regroup_is_needed(src, dst))
    repack_scales(&groups, src, dst);
  else if (dst->q.scheme.scale != MFQ_SCALE_NONE)
    mfq_scale_move_run(context, &m->scales, cast, scratch);
  repack_tensor_scale(src, dst);
  return MFQ_OK;
}

static const mfq_way by_tiles = {"tiles", plan_tiles, run_tiles, NULL},
                     by_elements = {"reference", mfq_plan_general, run, NULL};

const mfq_ways mfq_cpu_repacks = {.create = "mfq_repack", .ways = {&by_tiles, &by_elements}};
