/* host/cpu/product/convert_elements.c: line by line, or, where channels lie apart in memory, by boxes that are turned. */
#include "convert_elements.h"

#include "host/core/integers.h"
#include "host/core/process/team.h"
#include "host/cpu/cast/elements.h"
#include "host/cpu/conv/conv_boxes.h"

enum { SHARE_ELEMENTS = 1 << 15 };

/* `n` elements `step` apart to contiguous ones of another type. */
static void convert_line(const mfq_kernels *kernels, mfq_source from, int64_t step, int64_t n, mfq_dtype dtype,
                         uint8_t *dst) {
  const int64_t size = (int64_t)mfq_dtype_bytes(from.dtype);
  uint32_t x[MFQ_CHUNK];
  if (step == 1 && from.dtype == dtype) {
    memcpy(dst, from.data, (size_t)(n * size));
    return;
  }
  for (int64_t i = 0; i < n; i += MFQ_CHUNK) {
    const int64_t count = n - i < MFQ_CHUNK ? n - i : MFQ_CHUNK;
    if (step == 1)
      kernels->load(x, (const uint8_t *)from.data + i * size, from.dtype, count);
    else
      for (int64_t j = 0; j < count; ++j) x[j] = mfq_element_load(from.data, from.dtype, (i + j) * step);
    kernels->store_limited(dst + i * (int64_t)mfq_dtype_bytes(dtype), dtype, x, count);
  }
}

/* Plain elements, by axes in the order of their copy. */
typedef struct convert_work {
  const mfq_kernels *kernels;
  mfq_tensor from;
  mfq_dtype dtype;
  uint8_t *dst;
  mfq_conv_boxes boxes;
} convert_work;

/* Lines along the last axis. */
static void convert_lines(void *work, int thread, int64_t first, int64_t end) {
  const convert_work *w = work;
  const mfq_tensor *t = &w->from;
  const int32_t last = t->rank - 1;
  const int64_t length = t->shape[last], step = length == 1 ? 1 : t->strides[last];
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    int64_t offset = 0, rest = i;
    for (int32_t d = last - 1; d >= 0; --d) {
      offset += rest % t->shape[d] * t->strides[d];
      rest /= t->shape[d];
    }
    const mfq_source from = {(const uint8_t *)t->data + offset * (int64_t)mfq_dtype_bytes(t->dtype), t->dtype};
    convert_line(w->kernels, from, step, length, w->dtype, w->dst + (size_t)(i * length) * mfq_dtype_bytes(w->dtype));
  }
}

/* Elements keep their type while they are turned. */
static void turn(const mfq_kernels *kernels, void *dst, int64_t dst_ld, mfq_source from, int64_t ld,
                 const mfq_conv_box *box) {
  if (from.dtype == MFQ_DTYPE_F32)
    kernels->turn32(dst, dst_ld, from.data, ld, box->rows, box->cols);
  else
    kernels->turn16(dst, dst_ld, from.data, ld, box->rows, box->cols);
}

static void convert_box(const convert_work *w, mfq_conv_box box) {
  const mfq_conv_boxes *boxes = &w->boxes;
  const mfq_tensor *t = &w->from;
  const int64_t size = (int64_t)mfq_dtype_bytes(t->dtype), to = (int64_t)mfq_dtype_bytes(w->dtype);
  const int64_t ld = t->strides[MFQ_CONV_CHANNELS], step = boxes->dst_stride[boxes->axis];
  int64_t offset = 0;
  for (int i = 0; i < MFQ_CONV_AXES; ++i) offset += box.at[i] * t->strides[i];
  const mfq_source from = {(const uint8_t *)t->data + offset * size, t->dtype};
  if (t->dtype == w->dtype) {
    turn(w->kernels, w->dst + box.dst * to, step, from, ld, &box);
    return;
  }
  uint32_t tile[MFQ_BOX_ROWS * MFQ_BOX_COLS];
  turn(w->kernels, tile, box.rows, from, ld, &box);
  for (int64_t i = 0; i < box.cols; ++i) {
    const mfq_source line = {(const uint8_t *)tile + i * box.rows * size, t->dtype};
    convert_line(w->kernels, line, 1, box.rows, w->dtype, w->dst + (box.dst + i * step) * to);
  }
}

static void convert_boxes(void *work, int thread, int64_t first, int64_t end) {
  const convert_work *w = work;
  (void)thread;
  for (int64_t i = first; i < end; ++i) convert_box(w, mfq_conv_box_at(&w->boxes, i));
}

/* The axis along which elements of an array are contiguous; -1: the channels, or none. */
static int32_t line_axis(const mfq_tensor *t) {
  if (t->shape[MFQ_CONV_CHANNELS] == 1 || t->strides[MFQ_CONV_CHANNELS] == 1) return -1;
  for (int32_t i = MFQ_CONV_CHANNELS - 1; i >= 0; --i)
    if (t->shape[i] > 1 && t->strides[i] == 1) return i;
  return -1;
}

void mfq_convert_tensor(const mfq_context *context, mfq_tensor from, int is_conv, mfq_dtype dtype, uint8_t *dst) {
  convert_work work = {.kernels = mfq_cpu_kernels(context), .from = from, .dtype = dtype, .dst = dst};
  const mfq_tensor *t = &work.from;
  int64_t count = 1;
  for (int32_t i = 0; i < t->rank; ++i) count *= t->shape[i];
  const int64_t length = t->shape[t->rank - 1];
  const int threads = mfq_threads_for(context, count, SHARE_ELEMENTS);
  const int32_t axis = is_conv ? line_axis(t) : -1;
  if (axis < 0) {
    mfq_team_run((mfq_loop){threads, length ? count / length : 0, 0}, convert_lines, &work);
    return;
  }
  mfq_conv_boxes_make(t->shape, axis, mfq_conv_merged(t->shape, t->strides, axis), &work.boxes);
  mfq_team_run((mfq_loop){threads, work.boxes.count, 0}, convert_boxes, &work);
}

/* ---- bf16 --------------------------------------------------------------------------------------------------------- */

typedef struct halves_work {
  const mfq_kernels *kernels;
  const uint16_t *from;
  uint32_t *to;
  int64_t count;
} halves_work;

static void widen_chunks(void *work, int thread, int64_t first, int64_t end) {
  const halves_work *w = work;
  (void)thread;
  for (int64_t i = first * MFQ_CHUNK; i < end * MFQ_CHUNK && i < w->count; i += MFQ_CHUNK)
    w->kernels->load(w->to + i, w->from + i, MFQ_DTYPE_BF16, mfq_smaller(w->count - i, MFQ_CHUNK));
}

void mfq_convert_halves(const mfq_context *context, const uint16_t *from, int64_t count, uint32_t *to) {
  halves_work work = {mfq_cpu_kernels(context), from, to, count};
  const int threads = mfq_threads_for(context, count, SHARE_ELEMENTS);
  mfq_team_run((mfq_loop){threads, mfq_ceil_div(count, MFQ_CHUNK), 0}, widen_chunks, &work);
}
