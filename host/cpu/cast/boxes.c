/* host/cpu/cast/boxes.c: where the elements of a scale stand. */
#include "boxes.h"

void mfq_boxes_init(const mfq_qview *view, const mfq_tensor *const tensors[MFQ_BOX_TENSORS], mfq_boxes *boxes) {
  *boxes = (mfq_boxes){.rank = view->q.rank, .scales = view->sizes.scale_count, .largest = 1};
  mfq_scale_axes(view, boxes->axes);
  int64_t logical = 1;
  for (int32_t d = boxes->rank - 1; d >= 0; --d) {
    const int64_t size = view->q.shape[d], run = boxes->axes[d].stride != 0 ? boxes->axes[d].run : size;
    boxes->shape[d] = size;
    boxes->groups[d] = run > 0 ? (size + run - 1) / run : 0;
    for (int k = 0; k < MFQ_BOX_TENSORS; ++k) boxes->stride[k][d] = tensors[k] ? tensors[k]->strides[d] : 0;
    boxes->stride[MFQ_BOX_LOGICAL][d] = logical;
    logical *= size;
    boxes->largest *= run < size ? run : size;
  }
}

mfq_box mfq_box_at(const mfq_boxes *boxes, int64_t scale) {
  mfq_box box = {.count = 1};
  for (int32_t d = 0; d < boxes->rank; ++d) {
    const mfq_scale_axis *axis = &boxes->axes[d];
    const int64_t size = boxes->shape[d], run = axis->stride != 0 ? axis->run : size;
    const int64_t place = axis->stride != 0 ? scale / axis->stride % boxes->groups[d] : 0;
    box.first[d] = place * run;
    box.size[d] = size - box.first[d] < run ? size - box.first[d] : run;
    box.count *= box.size[d];
  }
  return box;
}

mfq_box_run mfq_box_run_at(const mfq_boxes *boxes, const mfq_box *box, int64_t i, int64_t end) {
  mfq_box_run run = {.count = end - i};
  int32_t inner = boxes->rank - 1;
  for (; inner > 0 && box->size[inner] == 1;) --inner;
  int64_t rest = i;
  for (int32_t d = boxes->rank - 1; d >= 0; --d) {
    const int64_t digit = rest % box->size[d];
    rest /= box->size[d];
    for (int k = 0; k < MFQ_BOX_PLACES; ++k) run.at[k] += (box->first[d] + digit) * boxes->stride[k][d];
    if (d == inner && box->size[d] - digit < run.count) run.count = box->size[d] - digit;
  }
  for (int k = 0; k < MFQ_BOX_PLACES; ++k) run.step[k] = boxes->stride[k][inner];
  return run;
}
