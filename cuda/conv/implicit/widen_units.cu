/* cuda/conv/implicit/widen_units.cu: a pass of its own that widens an operand once, where many taps would each have done
 * it. */
#include "widen_units.h"

#include "cuda/launch.cuh"
#include "widen_units_kernel.cuh"

enum { THREADS = 256 };

mfq_unit_rows mfq_cuda_gathered_units(const mfq_conv_problem *problem, const implicit_params *p) {
  return mfq_unit_rows{mfq_conv_gathered(problem), p->a, p->channels, problem->groups};
}

mfq_unit_rows mfq_cuda_direct_units(const mfq_conv_problem *problem, const implicit_params *p) {
  const mfq_conv_side *side = mfq_conv_direct(problem);
  if (problem->direction == MFQ_CONV_WEIGHT_GRADIENT) return mfq_unit_rows{side, p->b, p->columns, problem->groups};
  if (p->b.unit_axis == 0) return mfq_unit_rows{side, p->b, p->channels, problem->groups};
  return mfq_unit_rows{side, p->b, problem->in_channels, 1};
}

static int is_in_place(const mfq_unit_rows *rows) {
  return rows->from.source == UNIT_BF16 && rows->channels % UNIT == 0;
}

static int64_t units_of(const mfq_unit_rows *rows) { return (rows->channels + UNIT - 1) / UNIT; }

/* Units in all. */
static int64_t items_of(const mfq_unit_rows *rows) {
  int64_t items = rows->groups * units_of(rows);
  for (int i = 0; i < CONV_AXES; ++i)
    if (i != rows->from.unit_axis) items *= rows->side->size[i];
  return items;
}

size_t mfq_cuda_unit_bytes(const mfq_unit_rows *rows) {
  return is_in_place(rows) ? 0 : (size_t)items_of(rows) * UNIT * sizeof(uint16_t);
}

void mfq_cuda_unit_side(const mfq_unit_rows *rows, void *memory, mfq_conv_side *side) {
  *side = *rows->side;
  if (is_in_place(rows)) return;
  side->part.kind = MFQ_SIDE_PLAIN;
  side->part.tensor.data = memory;
  side->part.tensor.dtype = MFQ_DTYPE_BF16;
  int64_t stride = rows->groups * units_of(rows) * UNIT;
  for (int i = CONV_AXES - 1; i >= 0; --i) {
    side->stride[i] = i == rows->from.unit_axis ? 1 : stride;
    if (i != rows->from.unit_axis) stride *= side->size[i];
  }
}

mfq_status mfq_cuda_widen_units(mfq_context *lent, const mfq_unit_rows *rows, void *memory) {
  widen_units_params p = {};
  p.items = items_of(rows);
  if (is_in_place(rows) || p.items == 0) return MFQ_OK;
  p.from = rows->from;
  p.to = (uint8_t *)memory;
  int others = 0;
  for (int i = 0; i < CONV_AXES; ++i) {
    if (i == rows->from.unit_axis) continue;
    p.axis[others] = i;
    p.size[others++] = divisor64_make(rows->side->size[i]);
  }
  p.groups = divisor64_make(rows->groups);
  p.units = divisor64_make(units_of(rows));
  p.channels = rows->channels;
  p.is_across = rows->from.source == UNIT_ELEMENTS;
  const mfq_launch at = {"mfq_conv_run", dim3((unsigned)((p.items + THREADS - 1) / THREADS)), THREADS, 0};
  return mfq_cuda_launch(lent, at, widen_units_kernel, p);
}
