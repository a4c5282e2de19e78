/* cuda/dequantize/dequantize_cuda.cu: the ways to dequantize: rows of values in the order of their codes, and the rest. */
#include <string.h>

#include "host/core/problem/grid.h"
#include "host/core/scheme/lower.h"
#include "cuda/cuda_ops.h"
#include "cuda/index_plans.h"
#include "cuda/launch.cuh"
#include "decode_general_kernel.cuh"
#include "decode_turned_kernel.cuh"
#include "dequantize_rotated.h"

/* What takes a code of the format apart. */
static void plan_number(const mfqn_scheme *s, int32_t used_bits, decode_params *p) {
  const mfqn_minifloat *f = &s->minifloat;
  const uint32_t four = 0x01010101u;
  p->code_mask = ((1u << used_bits) - 1u) * four;
  p->special_from = 0x80u * four; /* no magnitude is that large */
  const uint32_t magnitudes = f->sign_bit ? f->sign_bit - 1u : p->code_mask & 0xffu;
  p->number = number_fields_of(s, magnitudes);
  if (s->is_integer) return;
  p->special_from = mfqn_umin(mfqn_umin(f->nan_from, f->inf_code), 0x80u) * four;
  p->lone_nan = f->lone_nan <= 0xffu ? f->lone_nan * four : 0u;
  const uint32_t twice = 0x00010001u;
  p->is_packed = s->scale == MFQN_SCALE_NONE || s->scale == MFQN_SCALE_UE8M0;
  p->pair_field_shift = 7 - f->man_bits;
  p->pair_sign_shift = f->sign_bit ? f->sign_shift - 16 : 0;
  p->pair_field_mask = (magnitudes << p->pair_field_shift) * twice;
  p->pair_sign_mask = f->sign_bit ? 0x80008000u : 0u;
  p->pair_unbias = (uint32_t)(254 - f->bias) * twice << 7;
}

/* Which scale belongs to which element. */
static void plan_groups(const mfq_qview *view, const mfq_grid *g, int64_t piece, decode_params *p) {
  const mfq_scheme *scheme = &view->q.scheme;
  const int last = view->sizes.axis == view->q.rank - 1;
  int64_t rows = 1, cols = 1; /* of the elements that share a scale; 0: all */
  switch (scheme->granularity) {
    case MFQ_GRANULARITY_TENSOR: rows = cols = 0; break;
    case MFQ_GRANULARITY_CHANNEL: *(last ? &rows : &cols) = 0; break;
    case MFQ_GRANULARITY_BLOCK:
      rows = view->q.rank < 2 ? 1 : scheme->block_rows;
      cols = scheme->block_cols;
      break;
    default: *(last ? &cols : &rows) = scheme->group_size;
  }
  const int64_t down = rows > 0 ? (g->size[1] + rows - 1) / rows : 0,
                across = cols > 0 ? (g->size[2] + cols - 1) / cols : 1;
  const int is_channel = scheme->granularity == MFQ_GRANULARITY_CHANNEL;
  p->one_scale = cols == 0 || cols % piece == 0;
  p->col_group_log2 = cols > 0 && (cols & (cols - 1)) == 0 ? __builtin_ctzll((uint64_t)cols) : cols == 0 ? 62 : -1;
  p->row_group = divisor64_make(rows > 0 ? rows : INT64_MAX);
  p->col_group = divisor64_make(cols > 0 ? cols : INT64_MAX);
  p->row_scales = across;
  p->col_scales = 1;
  p->outer_scales = is_channel ? 0 : down * across;
}

/* Whether codes of the format become values here, whatever their order. */
static mfq_status refuse_format(const mfq_qview *view, const mfq_tensor *dst, decode_params *p, mfq_line *why) {
  for (int32_t d = 0; d < dst->rank; ++d)
    if (dst->shape[d] != view->q.shape[d]) return mfq_refuse(why, "the result has the padded shape");
  mfq_lower(&view->q.scheme, &p->scheme);
  if (!number_fields_hold(&p->scheme, view->q.scheme.element.exp_bits))
    return mfq_refuse(why, "the format reaches beyond the normal numbers of float32");
  if (p->scheme.zero_is_float) return mfq_refuse(why, "zero points are f32");
  if (p->scheme.scale == MFQN_SCALE_MINIFLOAT) return mfq_refuse(why, "scales are stored in another format");
  if (view->sizes.codes_bytes == 0) return mfq_refuse(why, "there are no codes");
  if (view->q.layout.scales == MFQ_SCALES_128X4 && view->q.scheme.zero_point)
    return mfq_refuse(why, "zero points beside scales in the 128x4 order");
  return MFQ_OK;
}

/* Whether codes lie in another order than values. */
static int is_turned(const mfq_qview *view) {
  const mfq_code_order order = view->q.layout.codes;
  return order == MFQ_CODES_TRANSPOSED || (order == MFQ_CODES_GROUP_LAST && view->sizes.axis != view->q.rank - 1);
}

/* What takes codes apart, and rows of values. */
static void plan_values(const mfq_qview *view, const mfq_tensor *dst, const mfq_grid *g, decode_params *p) {
  const mfq_format *e = &view->q.scheme.element;
  const int64_t bytes = (int64_t)mfq_dtype_bytes(dst->dtype);
  p->slots = mfq_cuda_scale_slots(view);
  p->codes = (const uint8_t *)view->q.codes;
  p->bits = mfq_code_bits(&view->q);
  p->dst = (uint8_t *)dst->data;
  p->outer_bytes = g->stride[0] * bytes;
  p->middle_bytes = g->stride[1] * bytes;
  p->cols = g->size[2];
  p->middle = divisor64_make(g->size[1]);
  plan_number(&p->scheme, e->is_signed + e->exp_bits + e->man_bits, p);
  p->safe_scale = mfqn_safe_scale(&p->scheme, dst->dtype == MFQ_DTYPE_F16 ? MFQN_MAX_F16 : MFQN_MAX_BF16);
  const int64_t strides = (g->size[0] > 1 ? p->outer_bytes : 0) | (g->size[1] > 1 ? p->middle_bytes : 0);
  p->vector_store = ((int64_t)(uintptr_t)p->dst | strides) % 16 == 0;
}

/* Whether `codes` neighbouring codes of a row are loaded at once. */
static int loads_at_once(const decode_params *p, int64_t codes, int64_t rows) {
  const int64_t load_bits = codes * p->bits == 48 ? 16 : codes * p->bits; /* 48 bits are three loads of 2 bytes */
  return load_bits % 16 == 0 && (int64_t)(uintptr_t)p->codes % (load_bits / 8) == 0 &&
         (rows == 1 || p->row_bits % load_bits == 0);
}

static mfq_status plan_decode(const mfq_qview *view, const mfq_tensor *dst, decode_params *p, mfq_line *why) {
  const int64_t piece = 16 / (int64_t)mfq_dtype_bytes(dst->dtype);
  mfq_grid g;
  const mfq_status status = refuse_format(view, dst, p, why);
  if (status != MFQ_OK) return status;
  if (is_turned(view)) return mfq_refuse(why, "%s", "");
  if (!mfq_grid_make(dst, nullptr, view, 0, &g)) return mfq_refuse(why, "the strides do not merge to three dimensions");
  if (view->q.scheme.granularity == MFQ_GRANULARITY_GROUP && view->sizes.axis == view->q.rank - 1)
    mfq_grid_merge_rows(view, &g);
  if (g.size[2] != 1 && g.stride[2] != 1) return mfq_refuse(why, "rows of the result are not contiguous");
  const int64_t rows = g.size[0] * g.size[1], row_pieces = (g.size[2] + piece - 1) / piece;
  plan_values(view, dst, &g, p);
  p->row_bits = view->q.layout.row_align > 0 ? (int64_t)view->sizes.row_bits : g.size[2] * p->bits;
  p->pieces = rows * row_pieces;
  p->row_pieces = divisor64_make(row_pieces);
  p->is_single_row = rows == 1;
  plan_groups(view, &g, piece, p);
  p->is_packed &= p->one_scale && p->vector_store;
  p->vector_load = loads_at_once(p, piece, rows);
  const int fits = (p->pieces + DECODE_THREADS - 1) / DECODE_THREADS <= INT32_MAX;
  return fits ? MFQ_OK : mfq_refuse(why, "more elements than a grid has threads for");
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  decode_params *p;
  if (mfq_cast_is_rotated(cast)) return mfq_refuse(why, "rotated elements");
  const mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  mfq_choice_describe(choice, "16 bytes of values a thread");
  return status == MFQ_OK ? plan_decode(cast->view, cast->dst, p, why) : status;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const decode_params &p = *(const decode_params *)state;
  const int64_t blocks = (p.pieces + DECODE_THREADS - 1) / DECODE_THREADS;
  const mfq_launch at = {cast->function, dim3((unsigned)blocks), DECODE_THREADS, 0};
  switch (cast->dst->dtype) {
    case MFQ_DTYPE_F32: return mfq_cuda_launch(context, at, decode_kernel<ELEMENT_F32>, p);
    case MFQ_DTYPE_BF16: return mfq_cuda_launch(context, at, decode_kernel<ELEMENT_BF16>, p);
    default: return mfq_cuda_launch(context, at, decode_kernel<ELEMENT_F16>, p);
  }
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

/* How far scales are apart from one index of axes [first, end), merged, to the next; -1 where that varies. */
static int64_t scale_step(const mfq_qview *view, const mfq_scale_axis *axes, int32_t first, int32_t end) {
  int64_t step = 0, size = 1;
  for (int32_t d = end; d-- > first;) {
    if (view->q.shape[d] == 1) continue;
    if (size == 1) step = axes[d].stride;
    if (axes[d].stride != step * size) return -1;
    size *= view->q.shape[d];
  }
  return step;
}

/* Which scale belongs to which element: `middle` is the axis of stored rows, merged ones lie before and behind it. */
static int plan_turned_groups(const mfq_qview *view, int32_t middle, int64_t piece, decode_params *p) {
  mfq_scale_axis axes[MFQ_MAX_RANK];
  const int32_t rank = view->q.rank;
  mfq_scale_axes(view, axes);
  p->outer_scales = scale_step(view, axes, 0, middle);
  p->row_scales = axes[middle].stride;
  p->col_scales = scale_step(view, axes, middle + 1, rank);
  if (p->outer_scales < 0 || p->col_scales < 0) return 0;
  const int64_t down = p->row_scales != 0 ? axes[middle].run : INT64_MAX;
  const int64_t across = p->col_scales == 0 ? INT64_MAX : middle + 2 == rank ? axes[rank - 1].run : 1;
  p->one_scale = p->col_scales == 0 || across % piece == 0;
  p->col_group_log2 = p->col_scales == 0 ? 62 : (across & (across - 1)) == 0 ? __builtin_ctzll((uint64_t)across) : -1;
  p->row_group = divisor64_make(down);
  p->col_group = divisor64_make(across);
  return 1;
}

static mfq_status plan_turned(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview *view = cast->view;
  decode_turned_params *p;
  mfq_grid g;
  if (mfq_cast_is_rotated(cast) || !is_turned(view) || view->q.rank < 2) return mfq_refuse(why, "%s", "");
  mfq_status status = mfq_cuda_cast_state(context, cast, choice, &p);
  mfq_choice_describe(choice, "64 columns of codes in shared memory");
  if (status == MFQ_OK) status = refuse_format(view, cast->dst, &p->of, why);
  if (status != MFQ_OK) return status;
  if (!mfq_grid_make(cast->dst, nullptr, view, 0, &g))
    return mfq_refuse(why, "the strides do not merge to three dimensions");
  if (g.size[2] != 1 && g.stride[2] != 1) return mfq_refuse(why, "rows of the result are not contiguous");
  const int32_t middle = view->q.layout.codes == MFQ_CODES_TRANSPOSED ? view->q.rank - 2 : view->sizes.axis;
  plan_values(view, cast->dst, &g, &p->of);
  if (!plan_turned_groups(view, middle, 16 / (int64_t)mfq_dtype_bytes(cast->dst->dtype), &p->of))
    return mfq_refuse(why, "scales of several outer axes");
  p->of.is_packed &= p->of.one_scale && p->of.vector_store;
  p->code_bits = p->of.bits;
  p->of.row_bits = view->q.layout.row_align > 0 ? (int64_t)view->sizes.row_bits : g.size[1] * p->of.bits;
  p->of.vector_load = loads_at_once(&p->of, TURNED_UNIT, 2);
  p->of.bits = 8;
  p->rows = g.size[1];
  const int64_t across = (g.size[2] + TURNED_COLS - 1) / TURNED_COLS,
                down = (g.size[1] + TURNED_ROWS - 1) / TURNED_ROWS;
  p->across = divisor64_make(across);
  p->down = divisor64_make(down);
  p->of.pieces = g.size[0] * across * down;
  return p->of.pieces <= INT32_MAX ? MFQ_OK : mfq_refuse(why, "more tiles than a grid has blocks for");
}

static mfq_status run_turned(mfq_context *context, const void *state, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const decode_turned_params &p = *(const decode_turned_params *)state;
  const mfq_launch at = {cast->function, dim3((unsigned)p.of.pieces), DECODE_THREADS, 0};
  static void (*const kernels[])(decode_turned_params) = {
      decode_turned_kernel<ELEMENT_F32>, decode_turned_kernel<ELEMENT_BF16>, decode_turned_kernel<ELEMENT_F16>};
  return mfq_cuda_launch(context, at, kernels[cast->dst->dtype - MFQ_DTYPE_F32], p);
}

/* ---- Anything ---------------------------------------------------------------------------------------------------- */

static mfq_status run_general(mfq_context *context, const void *, const void *problem, uint8_t *) {
  const mfq_cast *cast = (const mfq_cast *)problem;
  const mfq_qview *view = cast->view;
  const mfq_tensor *dst = cast->dst;
  int64_t bit_strides[MFQ_MAX_RANK];
  mfq_walk walk, codes, bits;
  mfq_qview shaped = *view; /* as the target: logical or padded */
  memcpy(shaped.q.shape, dst->shape, sizeof shaped.q.shape);
  mfq_code_bit_strides(view, bit_strides);
  mfq_walk_init(&shaped, dst->strides, &walk);
  mfq_walk_init(&shaped, bit_strides, &bits);
  mfq_walk_init(view, NULL, &codes);
  const mfq_walk_extras extras = {bits.offset_stride, codes.shape, 0};
  decode_general_params p = {};
  mfq_lower(&view->q.scheme, &p.scheme);
  p.walk = mfq_cuda_walk_plan(&walk, &extras);
  p.dst = mfq_cuda_element_view(dst);
  p.slots = mfq_cuda_scale_slots(view);
  p.codes = (const uint8_t *)view->q.codes;
  p.bits = mfq_code_bits(&view->q);
  const mfq_launch at = {cast->function, mfq_cuda_item_grid(p.walk.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, at, decode_general_kernel, p);
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

static const mfq_way by_rows = {"rows", plan, run, NULL}, by_columns = {"columns", plan_turned, run_turned, NULL},
                     general = {"general", mfq_plan_general, run_general, NULL};

const mfq_ways mfq_cuda_dequantizations = {
    "mfq_dequantize", NULL, 0, {&by_rows, &by_columns, &mfq_cuda_dequantize_rotated, &general}};
