/* host/cpu/conv/conv_boxes.c: lines that continue each other merge first, so that small images make boxes as wide as
 * large ones. */
#include "conv_boxes.h"

#include "host/core/integers.h"

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
