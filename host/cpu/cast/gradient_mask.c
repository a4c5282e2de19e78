/* host/cpu/cast/gradient_mask.c: gradients by the mask that the forward left: rows of neighbouring elements, with their bits
 * in logical order. Nothing of the scheme is needed. */
#include <string.h>

#include <mfq/num/gradient.h>

#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "elements.h"
#include "masks.h"
#include "stream_copy.h"

enum { STREAM_BYTES = 8 << 20, SHARE_ELEMENTS = 1 << 16, PIECES = 8 };

/* The two tensors as rows of `length` elements; axes with fitting strides are one. */
typedef struct mask_work {
  const mfq_tensor *dy, *dx;
  const uint8_t *bits;
  const mfq_kernels *kernels; /* NULL: the reference */
  int32_t axes;               /* outside of rows */
  int64_t size[MFQ_MAX_RANK], dy_stride[MFQ_MAX_RANK], dx_stride[MFQ_MAX_RANK];
  int64_t length, dy_step, dx_step, pieces; /* pieces: of a row */
  int32_t is_dense, stream;
} mask_work;

static void merge_axes(mask_work *w) {
  int32_t axes = 0;
  for (int32_t d = 0; d < w->dy->rank; ++d) {
    const int64_t size = w->dy->shape[d], dy = w->dy->strides[d], dx = w->dx->strides[d];
    if (size == 1) continue;
    const int32_t last = axes - 1;
    if (last >= 0 && w->dy_stride[last] == size * dy && w->dx_stride[last] == size * dx)
      w->size[last] *= size;
    else
      w->size[axes++] = size;
    w->dy_stride[axes - 1] = dy;
    w->dx_stride[axes - 1] = dx;
  }
  if (axes == 0) w->size[axes++] = 1;
  w->axes = axes - 1;
  w->length = w->size[w->axes];
  w->dy_step = w->dy_stride[w->axes];
  w->dx_step = w->dx_stride[w->axes];
  w->is_dense = w->length == 1 || (w->dy_step == 1 && w->dx_step == 1);
  w->pieces = mfq_ceil_div(w->length, MFQ_CHUNK);
}

/* A part of a row: where it begins in both tensors and in the mask. */
typedef struct mask_piece {
  int64_t dy, dx, index, n;
} mask_piece;

static mask_piece piece_at(const mask_work *w, int64_t item) {
  int64_t row = item / w->pieces;
  const int64_t at = item % w->pieces * MFQ_CHUNK;
  mask_piece p = {at * w->dy_step, at * w->dx_step, row * w->length + at, mfq_smaller(w->length - at, MFQ_CHUNK)};
  for (int32_t d = w->axes - 1; d >= 0; --d) {
    const int64_t digit = row % w->size[d];
    row /= w->size[d];
    p.dy += digit * w->dy_stride[d];
    p.dx += digit * w->dx_stride[d];
  }
  return p;
}

static void do_elements(const mask_work *w, mask_piece p) {
  for (int64_t i = 0; i < p.n; ++i) {
    const int64_t index = p.index + i;
    const uint32_t u = mfq_element_load(w->dy->data, w->dy->dtype, p.dy + i * w->dy_step);
    const int passes = w->bits[index / 8] >> index % 8 & 1;
    mfq_element_store(w->dx->data, w->dx->dtype, p.dx + i * w->dx_step, passes ? mfqn_one_nan(mfqn_float_of(u)) : 0u);
  }
}

static void do_dense(const mask_work *w, mask_piece p) {
  uint32_t wide[MFQ_CHUNK], picked[MFQ_CHUNK];
  const mfq_dtype from = w->dy->dtype, to = w->dx->dtype;
  const size_t bytes = mfq_dtype_bytes(to);
  mfq_source dy = {(const uint8_t *)w->dy->data + p.dy * (int64_t)mfq_dtype_bytes(from), from};
  uint8_t *dx = (uint8_t *)w->dx->data + p.dx * (int64_t)bytes;
  if (from == to && !w->stream) {
    w->kernels->pick(dy, w->bits, p.index, p.n, dx);
    return;
  }
  if (from != to && from != MFQ_DTYPE_F32) {
    w->kernels->load(wide, dy.data, from, p.n);
    dy = (mfq_source){wide, MFQ_DTYPE_F32};
  }
  w->kernels->pick(dy, w->bits, p.index, p.n, picked);
  const void *result = picked;
  if (from != to && to != MFQ_DTYPE_F32) {
    w->kernels->store(wide, to, picked, p.n);
    result = wide;
  }
  if (w->stream)
    mfq_stream_copy(dx, result, (size_t)p.n * bytes);
  else
    memcpy(dx, result, (size_t)p.n * bytes);
}

static void do_pieces(void *work, int thread, int64_t first, int64_t end) {
  const mask_work *w = work;
  (void)thread;
  for (int64_t item = first; item < end; ++item) {
    const mask_piece p = piece_at(w, item);
    if (w->kernels && w->is_dense)
      do_dense(w, p);
    else
      do_elements(w, p);
  }
  if (w->stream) mfq_stream_fence();
}

static mfq_status plan(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *why) {
  const mfq_cast *cast = problem;
  const mfq_kernels *kernels = mfq_cpu_kernels(context);
  if (!cast->mask) return mfq_refuse(why, "%s", "");
  if (!kernels) return mfq_plan_general(context, problem, choice, why);
  mfq_choice_describe(choice, "vector loops (%s)", kernels->isa);
  return MFQ_OK;
}

static mfq_status run(mfq_context *context, const void *state, const void *problem, uint8_t *memory) {
  const mfq_cast *cast = problem;
  mask_work w = {
      .dy = cast->gradient->upstream, .dx = cast->dst, .bits = cast->mask, .kernels = mfq_cpu_kernels(context)};
  (void)state;
  (void)memory;
  merge_axes(&w);
  int64_t rows = 1;
  for (int32_t d = 0; d < w.axes; ++d) rows *= w.size[d];
  const int64_t elements = rows * w.length;
  w.stream = w.is_dense && w.dx->data != w.dy->data && elements * (int64_t)mfq_dtype_bytes(w.dx->dtype) > STREAM_BYTES;
  const int threads = elements < SHARE_ELEMENTS ? 1 : (int)context->threads;
  mfq_team_run((mfq_loop){threads, rows * w.pieces, PIECES}, do_pieces, &w);
  return MFQ_OK;
}

const mfq_way mfq_gradient_by_mask = {"mask", plan, run, NULL};
