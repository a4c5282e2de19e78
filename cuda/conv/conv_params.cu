/* cuda/conv/conv_params.cu: problems of convolutions as kernels take them: divisions of indices become multiplications
 * here, on the host. */
#include "conv_params.h"

#include "cuda/product/side_params.h"

static_assert((int)CONV_AXES == (int)MFQ_CONV_AXES && (int)CONV_CHANNELS == (int)MFQ_CONV_CHANNELS, "axes");

/* Of a size or a run, which is 0 where an axis is empty. */
static divisor64 divisor_of(int64_t value) { return divisor64_make(value > 0 ? value : 1); }

/* ---- Parameters -------------------------------------------------------------------------------------------------- */

/* One element at index 0 as products see it: what is left to tell is where elements are. */
static side_params part_of(const mfq_conv_side *side) {
  mfq_gemm_side one = side->part;
  one.batches = one.rows = one.depth = 1;
  one.matrix = mfq_matrix{};
  one.matrix.data = one.tensor.data;
  one.matrix.dtype = one.tensor.dtype;
  for (int i = 0; i < 3; ++i) {
    one.code_bits[i] = one.scale_stride[i] = 0;
    one.scale_run[i] = 1;
  }
  return mfq_cuda_side_params(&one);
}

conv_side mfq_cuda_conv_side(const mfq_conv_side *side) {
  const int is_plain = side->part.kind == MFQ_SIDE_PLAIN;
  conv_side p = {};
  p.part = part_of(side);
  for (int i = 0; i < CONV_AXES; ++i) {
    p.stride[i] = is_plain ? side->stride[i] : side->code_bits[i];
    p.scale_stride[i] = is_plain ? 0 : side->scale_stride[i];
    p.scale_run[i] = divisor_of(is_plain ? 1 : side->scale_run[i]);
  }
  return p;
}

conv_units mfq_cuda_conv_units(const mfq_conv_side *side, const mfq_conv_unit_axis &along) {
  conv_units s = {};
  static_cast<conv_side &>(s) = mfq_cuda_conv_side(side);
  mfq_unit_axis a = {side->size[along.axis],
                     s.stride[along.axis],
                     (int64_t)s.scale_run[along.axis].value,
                     s.scale_stride[along.axis],
                     along.channels,
                     along.groups,
                     0,
                     0};
  for (int i = 0; i < CONV_AXES; ++i) {
    if (i == along.axis || side->size[i] <= 1) continue;
    a.others |= s.stride[i];
    a.other_scales |= s.scale_stride[i];
  }
  static_cast<unit_way &>(s) = mfq_cuda_unit_way(&side->part, s.part, a);
  s.unit_axis = along.axis;
  return s;
}

static conv_window window_of(const mfq_conv_problem *problem, int axis) {
  const mfqn_window w = mfq_conv_window(problem, axis);
  return conv_window{w.out_step, w.tap_step, w.offset, w.size, divisor64_make(w.divisor)};
}

conv_geometry mfq_cuda_conv_geometry(const mfq_conv_problem *problem) {
  const int64_t *pixels = problem->direction == MFQ_CONV_INPUT_GRADIENT ? problem->in : problem->out;
  conv_geometry g = {};
  g.batch = problem->batch;
  g.groups = problem->groups;
  g.in_channels = problem->in_channels;
  g.out_channels = problem->out_channels;
  g.pixels = g.taps = 1;
  for (int i = 0; i < 3; ++i) {
    g.window[i] = window_of(problem, i);
    g.pixel[i] = divisor_of(pixels[i]);
    g.tap[i] = divisor_of(problem->filter[i]);
    g.pixels *= pixels[i];
    g.taps *= problem->filter[i];
  }
  return g;
}

/* ---- Operands of a run ------------------------------------------------------------------------------------------- */

static const mfq_conv_side *side_of(const mfq_conv_problem *problem, int index) {
  return index == 0 ? &problem->x : index == 1 ? &problem->w : &problem->y;
}

mfq_conv_parts mfq_cuda_conv_take(const mfq_conv_problem *problem, size_t *end) {
  mfq_conv_parts parts;
  parts.scratch = mfq_workspace_take(end, mfq_cuda_conv_quantizes(problem) ? MFQ_CUDA_SCRATCH_BYTES : 0);
  for (int i = 0; i < 3; ++i) parts.at[i] = mfq_workspace_take(end, mfq_gemm_side_bytes(&side_of(problem, i)->part));
  return parts;
}

int mfq_cuda_conv_quantizes(const mfq_conv_problem *problem) {
  int quantizes = problem->finish.is_d_quantized;
  for (int i = 0; i < 3; ++i) quantizes |= side_of(problem, i)->part.kind == MFQ_SIDE_TO_QUANTIZE;
  return quantizes;
}

mfq_status mfq_cuda_conv_ready(mfq_context *lent, const mfq_conv_problem *problem, const mfq_conv_parts *parts,
                               uint8_t *workspace, mfq_conv_problem *ready) {
  *ready = *problem;
  mfq_conv_side *const sides[3] = {&ready->x, &ready->w, &ready->y};
  mfq_status status = MFQ_OK;
  for (int i = 0; status == MFQ_OK && i < 3; ++i)
    status = mfq_cuda_side_ready(lent, &side_of(problem, i)->part, workspace + parts->at[i], &sides[i]->part);
  return status;
}
