/* host/core/problem/conv_product.c: convolutions that are matrix products: every tap is the whole filter, every pixel its own. */
#include <string.h>

#include "conv_problem.h"
#include "host/core/check/operands.h"

/* How the pixels of a side become one axis of a matrix: N D H W of it, or D H W with N as batches. */
typedef struct pixel_axis {
  int64_t stride, run; /* of the merged axis; run: indices that share a stride's step */
} pixel_axis;

/* Merges axes first ... 3 of x or y. Returns 0 where their strides do not continue each other. */
static int merge(const mfq_conv_side *side, const int64_t *strides, const int64_t *runs, int first, pixel_axis *to) {
  *to = (pixel_axis){0, 1};
  int64_t count = 0; /* of the axes merged so far; 0: none */
  for (int i = 3; i >= first; --i) {
    const int64_t run = runs != NULL ? runs[i] : 1;
    if (side->size[i] == 1) continue;
    if (count == 0) {
      *to = (pixel_axis){strides[i], run};
      count = side->size[i];
      continue;
    }
    if (run != 1 || count % to->run != 0 || strides[i] != count / to->run * to->stride) return 0;
    count *= side->size[i];
  }
  return 1;
}

/* 1 when the pixels of a side, from axis `first` on, are one axis of its elements, or of its codes and scales. */
static int merges(const mfq_conv_side *side, int first) {
  pixel_axis axis;
  const mfq_side_kind kind = side->part.kind;
  if (kind != MFQ_SIDE_QUANTIZED && !merge(side, side->stride, NULL, first, &axis)) return 0;
  if (kind == MFQ_SIDE_PLAIN) return 1;
  return merge(side, side->code_bits, NULL, first, &axis) &&
         merge(side, side->scale_stride, side->scale_run, first, &axis);
}

static int64_t pixels_of(const mfq_conv_side *side) { return side->size[1] * side->size[2] * side->size[3]; }

/* The matrices of a plain x or y: [pixels, channels], with N among the pixels or as an axis in front. */
static mfq_tensor pixel_tensor(const mfq_conv_side *side, int has_batches) {
  pixel_axis pixels;
  mfq_tensor t = {.data = side->part.tensor.data, .dtype = side->part.tensor.dtype, .rank = has_batches ? 3 : 2};
  (void)merge(side, side->stride, NULL, has_batches, &pixels);
  const int64_t rows = pixels_of(side) * (has_batches ? 1 : side->size[0]);
  const int64_t shape[] = {side->size[0], rows, side->size[MFQ_CONV_CHANNELS]};
  const int64_t strides[] = {side->stride[0], pixels.stride, side->stride[MFQ_CONV_CHANNELS]};
  memcpy(t.shape, shape + 3 - t.rank, (size_t)t.rank * sizeof shape[0]);
  memcpy(t.strides, strides + 3 - t.rank, (size_t)t.rank * sizeof strides[0]);
  return t;
}

/* [K, C] of a plain w. */
static mfq_tensor weight_tensor(const mfq_conv_side *side) {
  mfq_tensor t = {.data = side->part.tensor.data, .dtype = side->part.tensor.dtype, .rank = 2};
  t.shape[0] = side->size[0];
  t.shape[1] = side->size[MFQ_CONV_CHANNELS];
  t.strides[0] = side->stride[0];
  t.strides[1] = side->stride[MFQ_CONV_CHANNELS];
  return t;
}

/* The same codes under another shape: `axes` of ours, each of them alone or merged pixels. Returns 0 where the view of
 * that shape would not lie as the given one. */
static int reshape(const mfq_conv_side *side, const mfq_tensor *shape, int32_t axis, mfq_qview *view) {
  const mfq_qview *from = &side->part.view;
  mfq_qtensor q = from->q;
  q.rank = shape->rank;
  memcpy(q.shape, shape->shape, sizeof q.shape);
  q.scheme.axis = axis;
  if (axis < 0) q.scheme.axis = MFQ_AXIS_AUTO;
  if (mfq_qview_init((mfq_where){"mfq_conv_plan_create", "an operand"}, &q, view) != MFQ_OK) return 0;
  return view->sizes.codes_bytes == from->sizes.codes_bytes && view->sizes.scales_bytes == from->sizes.scales_bytes &&
         view->sizes.row_bits == from->sizes.row_bits;
}

/* Which matrix of a product a side becomes. */
typedef struct matrix_place {
  int32_t has_batches, rows_are_channels; /* of x and y: rows are pixels otherwise */
  int32_t is_weight;
} matrix_place;

/* Our axis (0 ... 4) as one of [pixels, channels] or [N, pixels, channels]; of a weight [K, C]. */
static int32_t place_of(const mfq_conv_side *side, const matrix_place *place) {
  const int32_t axis = side->part.view.sizes.axis;
  int ours = -1;
  for (int i = 0; i < MFQ_CONV_AXES; ++i)
    if (axis >= 0 && side->axis[i] == axis) ours = i;
  if (ours < 0) return -1;
  if (ours == MFQ_CONV_CHANNELS) return place->is_weight || !place->has_batches ? 1 : 2;
  if (ours == 0) return 0;
  return place->has_batches;
}

/* Codes whose channels are not the last axis of the view have it before the pixels. */
static int is_channels_first(const mfq_conv_side *side) {
  return side->part.kind == MFQ_SIDE_QUANTIZED && side->axis[MFQ_CONV_CHANNELS] == 1;
}

static const char *make_side(const mfq_conv_side *from, const matrix_place *place, mfq_gemm_side *to) {
  static const char refused[] = "an operand's codes or scales do not lie as those of a matrix";
  mfq_tensor t = place->is_weight ? weight_tensor(from) : pixel_tensor(from, place->has_batches);
  int32_t axis = place_of(from, place);
  memset(to, 0, sizeof *to);
  to->kind = from->part.kind;
  to->is_transposed = place->rows_are_channels;
  if (!place->is_weight && is_channels_first(from)) {
    const int32_t last = t.rank - 1;
    if (!place->has_batches && from->size[0] != 1) return refused;
    const int64_t pixels = t.shape[last - 1];
    t.shape[last - 1] = t.shape[last];
    t.shape[last] = pixels;
    to->is_transposed = !to->is_transposed;
    if (axis >= last - 1) axis = axis == last ? last - 1 : last;
  }
  if (to->kind != MFQ_SIDE_QUANTIZED) {
    to->tensor = t;
    mfq_matrix_make(&t, to->is_transposed, &to->matrix);
  }
  const int32_t row = to->is_transposed ? t.rank - 1 : t.rank - 2, depth = to->is_transposed ? t.rank - 2 : t.rank - 1;
  to->rows = t.shape[row];
  to->depth = t.shape[depth];
  to->batches = t.rank == 3 ? t.shape[0] : 1;
  if (to->kind == MFQ_SIDE_PLAIN) return NULL;
  return reshape(from, &t, axis, &to->view) && mfq_gemm_side_index(to, to->is_transposed) == NULL ? NULL : refused;
}

static const char *refuse(const mfq_conv_problem *p) {
  for (int i = 0; i < 3; ++i) {
    if (p->filter[i] != 1) return "the filter has more than one element";
    if (p->stride[i] != 1) return "the stride is not 1";
    if (p->padding[i] != 0 || p->padding_after[i] != 0) return "there is padding";
  }
  return p->groups != 1 ? "there are groups of channels" : NULL;
}

/* Forward and for the gradient of the input: pixels x channels times weight. */
static const char *by_pixels(const mfq_conv_problem *p, mfq_gemm_problem *g) {
  const mfq_conv_side *from = mfq_conv_gathered(p), *result = mfq_conv_result(p);
  const int is_forward = p->direction == MFQ_CONV_FORWARD;
  int has_batches = !merges(from, 0) || !merges(result, 0) || is_channels_first(from);
  if (p->batch == 1) has_batches = 0;
  if (!merges(from, has_batches) || !merges(result, has_batches)) return "the pixels of a tensor are not one axis";
  const matrix_place a = {.has_batches = has_batches};
  const matrix_place b = {.is_weight = 1, .rows_are_channels = !is_forward};
  const char *why = make_side(from, &a, &g->a);
  if (why == NULL) why = make_side(&p->w, &b, &g->b);
  g->batches = g->a.batches;
  return why;
}

/* For the gradient of the weight: K x pixels times pixels x C. */
static const char *over_pixels(const mfq_conv_problem *p, mfq_gemm_problem *g) {
  const matrix_place place = {.rows_are_channels = 1};
  if (!merges(&p->x, 0) || !merges(&p->y, 0)) return "the pixels of a tensor are not one axis";
  const char *why = make_side(&p->y, &place, &g->a);
  if (why == NULL) why = make_side(&p->x, &place, &g->b);
  g->batches = 1;
  return why;
}

/* A plain tensor of the result's shape as the product's D or C. Returns 0 where its pixels are not one axis. */
static int make_matrix(const mfq_conv_problem *p, const mfq_tensor *tensor, int has_batches, mfq_matrix *to) {
  mfq_conv_side side = *mfq_conv_result(p);
  side.part.tensor = *tensor;
  memcpy(side.stride, tensor->strides, sizeof side.stride);
  const int is_weight = p->direction == MFQ_CONV_WEIGHT_GRADIENT;
  if (!is_weight && !merges(&side, has_batches)) return 0;
  const mfq_tensor t = is_weight ? weight_tensor(&side) : pixel_tensor(&side, has_batches);
  mfq_matrix_make(&t, 0, to);
  return 1;
}

const char *mfq_conv_as_product(const mfq_conv_problem *p, mfq_gemm_problem *g) {
  const char *why = refuse(p);
  if (why != NULL) return why;
  memset(g, 0, sizeof *g);
  g->finish = p->finish;
  g->round_operands = p->round_operands;
  why = p->direction == MFQ_CONV_WEIGHT_GRADIENT ? over_pixels(p, g) : by_pixels(p, g);
  if (why != NULL) return why;
  g->m = g->a.rows;
  g->n = g->b.rows;
  g->k = g->a.depth;
  const int has_batches = g->batches > 1;
  mfq_finish *f = &g->finish;
  const int fits = (f->is_d_quantized || make_matrix(p, &mfq_conv_result(p)->part.tensor, has_batches, &f->d)) &&
                   (!f->has_c || make_matrix(p, &p->c, has_batches, &f->c));
  mfq_gemm_finish_fit(g);
  return fits ? NULL : "the pixels of the result are not one axis";
}
