/* cuda/index_plans.cu: views flattened for kernels: trivial axes dropped, neighbouring ones merged. */
#include "index_plans.h"

#include "host/core/integers.h"
#include "host/core/scheme/scheme.h"

static_assert((int)ELEMENT_F32 == (int)MFQ_DTYPE_F32 && (int)ELEMENT_BF16 == (int)MFQ_DTYPE_BF16 &&
                  (int)ELEMENT_F16 == (int)MFQ_DTYPE_F16 && (int)WALK_MAX_RANK == (int)MFQ_MAX_RANK,
              "constants of prim are the public ones");

/* Of a size that may be 0, when nothing is launched. */
static divisor64 divisor_of(int64_t value) { return divisor64_make(value > 0 ? value : 1); }

dim3 mfq_cuda_item_grid(int64_t items) {
  const int64_t blocks = mfq_ceil_div(items, ITEM_THREADS), most = 0x7fffffff;
  return dim3((unsigned)(blocks < most ? blocks : most));
}

element_view mfq_cuda_element_view(const mfq_tensor *tensor) {
  return element_view{(uint8_t *)tensor->data, (int32_t)tensor->dtype};
}

rotated_view mfq_cuda_rotated_view(const mfq_tensor *tensor, const mfq_qview *view) {
  const mfq_scheme *s = &view->q.scheme;
  rotated_view v = {};
  int64_t inner = 1;
  v.of = mfq_cuda_element_view(tensor);
  v.rotation = mfqn_rotation_make(s->rotation, (int32_t)s->signs, s->sign_seed);
  for (int32_t d = view->sizes.axis + 1; d < view->q.rank && s->rotation != 0; ++d) inner *= view->q.shape[d];
  if (s->rotation != 0) v.step = tensor->strides[view->sizes.axis];
  v.inner = divisor_of(inner);
  return v;
}

scale_slots mfq_cuda_scale_slots(const mfq_qview *view) {
  const mfq_qtensor_sizes *z = &view->sizes;
  scale_slots slots = {};
  slots.bytes = mfq_scale_bytes(view->q.scheme.scale);
  slots.scales = slots.bytes ? (uint8_t *)view->q.scales : nullptr;
  slots.zero_points = view->q.scheme.zero_point ? (uint8_t *)view->q.zero_points : nullptr;
  slots.tensor_scale = mfqn_has_tensor_scale((int32_t)view->q.scheme.scale) ? view->q.tensor_scale : nullptr;
  slots.is_tiled = view->q.layout.scales == MFQ_SCALES_128X4;
  int64_t groups = 1, inner = 1;
  if (slots.is_tiled) {
    const int32_t axis = view->q.layout.codes == MFQ_CODES_GROUP_LAST ? z->scale_rank - 1 : z->axis;
    groups = z->scale_shape[axis];
    for (int32_t d = axis + 1; d < z->scale_rank; ++d) inner *= z->scale_shape[d];
  }
  slots.groups = divisor_of(groups);
  slots.inner = divisor_of(inner);
  return slots;
}

chunk_rows mfq_cuda_chunk_rows(const mfq_qview *view) {
  mfq_walk walk;
  mfq_walk_init(view, nullptr, &walk);
  chunk_rows r = {};
  r.codes = (uint8_t *)view->q.codes;
  r.bits = mfq_code_bits(&view->q);
  const int64_t row_bits = (int64_t)view->sizes.row_bits;
  const int is_one_row = row_bits == walk.length * r.bits;
  r.codes_of_row = is_one_row ? walk.length * walk.rows : walk.length;
  r.bytes_of_row = is_one_row ? (int64_t)view->sizes.codes_bytes : row_bits / 8;
  const int64_t chunks = mfq_ceil_div(r.bytes_of_row, r.bits);
  r.chunks_of_row = divisor_of(chunks);
  r.count = view->sizes.codes_bytes ? (is_one_row ? chunks : chunks * walk.rows) : 0;
  return r;
}

static linear step_of(const mfq_walk *walk, const mfq_walk_extras *extras, int32_t k) {
  return linear{walk->offset_stride[k], extras->other ? extras->other[k] : 0,
                extras->has_logical ? walk->logical_stride[k] : 0};
}

/* Whether an axis with steps `outer` goes on where `size` steps `inner` end. */
static int continues(const linear &outer, const linear &inner, int64_t size) {
  return outer.offset == size * inner.offset && outer.other == size * inner.other &&
         outer.logical == size * inner.logical;
}

/* ---- Walks ------------------------------------------------------------------------------------------------------- */

/* An axis whose divisors are not made yet. */
typedef struct flat_axis {
  int64_t size, run, limit, scale;
  linear step;
} flat_axis;

/* Lets `inner` swallow `outer` when nothing shows where one ends. */
static int merge_axes(flat_axis *inner, const flat_axis &outer) {
  if (inner->limit != inner->size || outer.limit != outer.size || !continues(outer.step, inner->step, inner->size))
    return 0;
  if (inner->scale == 0 && outer.scale != 0) {
    inner->run = outer.run * inner->size;
    inner->scale = outer.scale;
  } else if (inner->scale != 0 || outer.scale != 0) {
    if (outer.run != 1 || inner->size % inner->run != 0 || outer.scale != inner->size / inner->run * inner->scale)
      return 0;
  }
  inner->size *= outer.size;
  inner->limit = inner->size;
  return 1;
}

void mfq_cuda_walk_rotations(const mfq_qview *view, mfq_walk *walk) {
  int64_t *const arrays[] = {walk->shape, walk->offset_stride, walk->logical_stride, walk->scale_stride,
                             walk->scale_run};
  const int32_t last = walk->rank - 1;
  if (view->q.layout.codes == MFQ_CODES_GROUP_LAST) return;
  for (int64_t *array : arrays) {
    const int64_t axis = array[view->sizes.axis];
    for (int32_t k = view->sizes.axis; k < last; ++k) array[k] = array[k + 1];
    array[last] = axis;
  }
}

walk_plan mfq_cuda_walk_plan(const mfq_walk *walk, const mfq_walk_extras *extras) {
  flat_axis flat[WALK_MAX_RANK];
  walk_plan plan = {};
  plan.count = 1;
  for (int32_t k = walk->rank - 1; k >= 0; --k) {
    flat_axis a = {walk->shape[k], walk->scale_run[k], walk->shape[k], walk->scale_stride[k], step_of(walk, extras, k)};
    if (extras->limit) a.limit = extras->limit[k];
    if (a.run >= a.size) a.scale = 0; /* one scale, or none */
    if (a.scale == 0) a.run = 1;
    plan.count *= a.size;
    if (a.size == 1) continue;
    if (plan.rank == 0 || !merge_axes(&flat[plan.rank - 1], a)) flat[plan.rank++] = a;
  }
  if (plan.rank == 0) flat[plan.rank++] = flat_axis{1, 1, 1, 0, {0, 0, 0}};
  for (int32_t k = 0; k < plan.rank; ++k)
    plan.axis[k] =
        walk_axis{divisor_of(flat[k].size), divisor_of(flat[k].run), flat[k].limit, flat[k].scale, flat[k].step};
  return plan;
}

walk_plan mfq_cuda_tensor_walk(const mfq_tensor *tensor) {
  mfq_walk walk = {};
  const mfq_walk_extras extras = {};
  walk.rank = tensor->rank;
  for (int32_t k = 0; k < tensor->rank; ++k) {
    walk.shape[k] = tensor->shape[k];
    walk.offset_stride[k] = tensor->strides[k];
    walk.scale_run[k] = 1;
  }
  return mfq_cuda_walk_plan(&walk, &extras);
}

/* ---- Boxes ------------------------------------------------------------------------------------------------------- */

box_plan mfq_cuda_box_plan(const mfq_walk *walk, const mfq_walk_extras *extras) {
  box_plan plan = {};
  int is_open = 0; /* the last inner axis may grow */
  for (int32_t k = walk->rank - 1; k >= 0; --k) {
    const int64_t size = walk->shape[k], run = walk->scale_run[k];
    const linear step = step_of(walk, extras, k);
    const int is_split = walk->scale_stride[k] != 0 && size > run;
    if (is_split) {
      plan.scale_axis[plan.scale_rank++] =
          box_scale_axis{divisor_of(mfq_ceil_div(size, run)), run, size, step, run > 1 ? plan.rank : -1};
      if (run == 1) continue;
    }
    if (!is_split && size == 1) continue;
    if (!is_split && is_open && continues(step, plan.step[plan.rank - 1], plan.size[plan.rank - 1])) {
      plan.size[plan.rank - 1] *= size;
      continue;
    }
    plan.size[plan.rank] = is_split ? run : size;
    plan.step[plan.rank++] = step;
    is_open = !is_split;
  }
  if (plan.rank == 0) plan.size[plan.rank++] = 1;
  return plan;
}
