/* host/cpu/conv/conv_boxes.c: lines that continue each other merge first, so that small images make boxes as wide as
 * large ones. */
#include "conv_boxes.h"

#include "host/core/integers.h"
#include "host/core/problem/walk.h"
#include "host/core/process/team.h"
#include "host/cpu/cast/elements.h"

static int64_t blocks(int64_t size, int64_t block) { return (size + block - 1) / block; }

int32_t mfq_conv_merged(const int64_t *size, const int64_t *stride, int32_t axis) {
  int64_t next = size[axis] * stride[axis];
  int32_t merged = 0;
  while (axis - merged > 0 && (size[axis - merged - 1] == 1 || stride[axis - merged - 1] == next)) {
    ++merged;
    next *= size[axis - merged];
  }
  return merged;
}

void mfq_conv_boxes_make(const int64_t *size, int32_t axis, int32_t merged, mfq_conv_boxes *b) {
  int64_t step = 1;
  b->axis = axis;
  for (int i = MFQ_CONV_AXES - 1; i >= 0; --i) {
    b->size[i] = size[i];
    b->dst_stride[i] = step;
    step *= size[i];
  }
  for (int32_t i = axis - merged; i < axis; ++i) {
    b->size[axis] *= size[i];
    b->size[i] = 1;
  }
  b->count = 1;
  for (int i = 0; i < MFQ_CONV_AXES; ++i)
    b->count *= i == axis                ? blocks(b->size[i], MFQ_BOX_COLS)
                : i == MFQ_CONV_CHANNELS ? blocks(b->size[i], MFQ_BOX_ROWS)
                                         : b->size[i];
}

mfq_conv_box mfq_conv_box_at(const mfq_conv_boxes *b, int64_t index) {
  mfq_conv_box box = {.dst = 0};
  for (int i = MFQ_CONV_AXES - 1; i >= 0; --i) {
    const int64_t block = i == b->axis ? MFQ_BOX_COLS : i == MFQ_CONV_CHANNELS ? MFQ_BOX_ROWS : 1;
    const int64_t count = blocks(b->size[i], block);
    box.at[i] = index % count * block;
    box.dst += box.at[i] * b->dst_stride[i];
    index /= count;
  }
  box.rows = mfq_smaller(MFQ_BOX_ROWS, b->size[MFQ_CONV_CHANNELS] - box.at[MFQ_CONV_CHANNELS]);
  box.cols = mfq_smaller(MFQ_BOX_COLS, b->size[b->axis] - box.at[b->axis]);
  return box;
}

/* ---- Codes ------------------------------------------------------------------------------------------------------- */

enum { SHARE_ELEMENTS = 1 << 15 };

/* The axis along which codes are contiguous; -1: none but the channels. */
static int32_t line_axis(const mfq_conv_side *side, int32_t bits) {
  if (side->size[MFQ_CONV_CHANNELS] == 1 || side->code_bits[MFQ_CONV_CHANNELS] == bits) return -1;
  for (int32_t i = MFQ_CONV_CHANNELS - 1; i >= 0; --i)
    if (side->size[i] > 1 && side->code_bits[i] == bits) return i;
  return -1;
}

/* As mfq_conv_merged: axes outside of `axis` along which scales go on as along it. */
static int32_t merged_scales(const mfq_conv_side *side, int32_t axis) {
  for (int i = 0; i < MFQ_CONV_CHANNELS; ++i)
    if (side->scale_run[i] != 1) return 0;
  return mfq_conv_merged(side->size, side->scale_stride, axis);
}

int mfq_conv_codes_make(const mfq_conv_side *side, mfq_conv_codes *c) {
  const int32_t bits = mfq_code_bits(&side->part.view.q), axis = line_axis(side, bits);
  if (axis < 0) return 0;
  mfq_gemm_side line = side->part; /* one line, for `widen` to judge the scheme */
  line.batches = line.rows = 1;
  line.depth = side->size[axis];
  line.code_bits[0] = line.code_bits[1] = 0;
  line.code_bits[2] = bits;
  line.scale_stride[2] = 1;
  if (!mfq_widen_make(&line, &c->widen)) return 0;
  c->widen.stream = 0;
  c->has_scales = side->part.group > 0 && side->part.view.q.scheme.scale != MFQ_SCALE_NONE;
  int32_t merged = mfq_conv_merged(side->size, side->code_bits, axis);
  if (c->has_scales) merged = mfqn_min(merged, merged_scales(side, axis));
  mfq_conv_boxes_make(side->size, axis, merged, &c->boxes);
  for (int i = 0; i < MFQ_CONV_AXES; ++i)
    if (i != axis && c->boxes.size[i] > 1 && side->code_bits[i] % 8 != 0) return 0;
  return 1;
}

/* The scale of each element of a line; in place where that is how they stand. */
static const uint8_t *scales_of(const mfq_conv_side *side, const mfq_qview *view, const int64_t *at, int32_t axis,
                                int64_t n, uint8_t *scales) {
  const int64_t run = side->scale_run[axis], step = side->scale_stride[axis];
  const int64_t first = mfq_conv_side_scale(side, at) - at[axis] / run * step;
  const int is_logical = view->q.layout.scales == MFQ_SCALES_LOGICAL;
  if (is_logical && run == 1 && step == 1) return (const uint8_t *)view->q.scales + first + at[axis];
  for (int64_t i = 0, length; i < n; i += length) {
    const int64_t place = at[axis] + i, left = run - place % run;
    length = n - i < left ? n - i : left;
    memset(scales + i, (int)mfq_scale_get(view, first + place / run * step), (size_t)length);
  }
  return scales;
}

static void widen_box(const mfq_kernels *kernels, const mfq_conv_codes *c, const mfq_conv_side *side,
                      const mfq_qview *view, mfq_conv_box box, uint16_t *tile) {
  static const uint8_t none[1] = {0};
  uint8_t scales[MFQ_BOX_COLS];
  for (int64_t r = 0; r < box.rows; ++r, ++box.at[MFQ_CONV_CHANNELS]) {
    const uint8_t *codes = (const uint8_t *)view->q.codes + mfq_conv_side_bit(side, box.at) / 8;
    uint16_t *to = tile + r * box.cols;
    if (c->has_scales)
      kernels->widen_each(&c->widen, codes, scales_of(side, view, box.at, c->boxes.axis, box.cols, scales), box.cols,
                          to);
    else
      kernels->widen(&c->widen, codes, none, box.cols, to);
  }
}

typedef struct codes_work {
  const mfq_kernels *kernels;
  const mfq_conv_codes *codes;
  const mfq_conv_side *side;
  const mfq_qview *view;
  uint16_t *dst;
} codes_work;

static void turn_boxes(void *work, int thread, int64_t first, int64_t end) {
  const codes_work *w = work;
  const mfq_conv_boxes *boxes = &w->codes->boxes;
  (void)thread;
  for (int64_t i = first; i < end; ++i) {
    uint16_t tile[MFQ_BOX_ROWS * MFQ_BOX_COLS];
    const mfq_conv_box box = mfq_conv_box_at(boxes, i);
    widen_box(w->kernels, w->codes, w->side, w->view, box, tile);
    w->kernels->turn16(w->dst + box.dst, boxes->dst_stride[boxes->axis], tile, box.cols, box.rows, box.cols);
  }
}

void mfq_conv_codes_run(const mfq_context *context, const mfq_conv_codes *c, const mfq_conv_side *side,
                        const mfq_qview *view, uint16_t *dst) {
  const int64_t elements = c->boxes.count * MFQ_BOX_ROWS * MFQ_BOX_COLS;
  codes_work work = {mfq_cpu_kernels(context), c, side, view, dst};
  mfq_team_run((mfq_loop){mfq_threads_for(context, elements, SHARE_ELEMENTS), c->boxes.count, 0}, turn_boxes, &work);
}
