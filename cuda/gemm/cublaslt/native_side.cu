/* cuda/gemm/cublaslt/native_side.cu: which operands cuBLASLt takes as they are, and their scales. */
#include "native_side.h"

#include <stdio.h>

#include "host/core/integers.h"
#include "cuda/launch.cuh"
#include "cuda/gemm/copy_kernel.cuh"

namespace {

enum { LINE_BYTES = 16, BLOCK = 128, TILE_ROWS = 128, TILE_SCALES = 4 };

int refuse(mfq_line *reason, const char *name, const char *why) {
  (void)snprintf(reason->text, sizeof reason->text, "%s: %s", name, why);
  return 0;
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

/* The formats that tensor cores multiply, by their fields. */
struct element_row {
  int32_t exp_bits, man_bits, bias;
  mfq_specials specials;
  int32_t type;
};
const element_row elements[] = {
    {4, 3, 7, MFQ_SPECIALS_FN, LT_FP8_43},
    {5, 2, 15, MFQ_SPECIALS_IEEE, LT_FP8_52},
    {2, 1, 1, MFQ_SPECIALS_NONE, LT_FP4_21},
};

/* LT_F32 when there is none. */
int32_t type_of(const mfq_format *f) {
  for (const element_row &row : elements)
    if (f->kind == MFQ_KIND_MINIFLOAT && f->is_signed && f->exp_bits == row.exp_bits && f->man_bits == row.man_bits &&
        f->bias == row.bias && f->specials == row.specials)
      return row.type;
  return LT_F32;
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

/* Groups and blocks that have a mode. */
struct mode_row {
  mfq_granularity granularity;
  mfq_scale_format scale;
  int64_t rows, group; /* that share a scale */
  int32_t is_4bit;
  int32_t mode;
};
const mode_row modes[] = {
    {MFQ_GRANULARITY_GROUP, MFQ_SCALE_F32, 1, BLOCK, 0, LT_SCALE_VEC128_F32},
    {MFQ_GRANULARITY_BLOCK, MFQ_SCALE_F32, BLOCK, BLOCK, 0, LT_SCALE_BLOCK128_F32},
    {MFQ_GRANULARITY_GROUP, MFQ_SCALE_UE8M0, 1, 32, 0, LT_SCALE_VEC32_UE8M0},
    {MFQ_GRANULARITY_GROUP, MFQ_SCALE_UE4M3, 1, 16, 1, LT_SCALE_VEC16_UE4M3},
};

/* The mode of a side whose scales vary along K; -1 when there is none. */
int32_t mode_of(const mfq_gemm_side *side, int32_t type) {
  const mfq_scheme *s = &side->view.q.scheme;
  for (const mode_row &row : modes)
    if (s->granularity == row.granularity && s->scale == row.scale && side->group == row.group &&
        (row.rows == 1 || side->scale_run[1] == row.rows) && row.is_4bit == (type == LT_FP4_21))
      return row.mode;
  return -1;
}

int is_f32_mode(int32_t mode) { return mode == LT_SCALE_VEC128_F32 || mode == LT_SCALE_BLOCK128_F32; }

int64_t groups_of(const mfq_gemm_side *side) { return mfq_ceil_div(side->depth, side->group); }

int take_mode(const mfq_gemm_side *side, const char *name, int capability, mfq_native_side *native, mfq_line *reason) {
  native->mode = LT_SCALE_TENSOR;
  if (side->group == 0)
    return native->type != LT_FP4_21 || refuse(reason, name, "4-bit floats need groups of 16 with UE4M3 scales");
  native->mode = mode_of(side, native->type);
  if (native->mode < 0) return refuse(reason, name, "tensor cores have no such group scales");
  if (is_f32_mode(native->mode)) {
    native->copies_scales = 1;
    if (capability != 90) return refuse(reason, name, "scales for 128 along K need compute capability 9.0");
    return native->mode == LT_SCALE_BLOCK128_F32 || side->rows % 4 == 0 ||
           refuse(reason, name, "scales for 128 along K need rows in multiples of 4");
  }
  if (capability < 100) return refuse(reason, name, "scales of groups of 16 and 32 need compute capability 10.0");
  if (side->view.q.layout.scales != MFQ_SCALES_128X4) return refuse(reason, name, "scales are not in the order 128x4");
  if (side->kind == MFQ_SIDE_QUANTIZED && (uintptr_t)side->view.q.scales % LINE_BYTES != 0)
    return refuse(reason, name, "scales are not aligned to 16 bytes");
  return side->batches == 1 || side->rows % TILE_ROWS == 0 ||
         refuse(reason, name, "batches of scales in the order 128x4 need multiples of 128 rows");
}

/* ---- Codes ------------------------------------------------------------------------------------------------------- */

int take_codes(const mfq_gemm_side *side, const char *name, int capability, mfq_native_side *native, mfq_line *reason) {
  const int64_t bits = native->type == LT_FP4_21 ? 4 : 8;
  const int takes_both = capability >= 100 && capability < 120 && bits == 8 && side->group == 0;
  native->is_depth_last = side->code_bits[2] == bits || (side->depth == 1 && side->code_bits[1] != bits);
  if (!native->is_depth_last && !(takes_both && side->code_bits[1] == bits))
    return refuse(reason, name, "K is not the contiguous axis of its codes");
  const int64_t line = side->code_bits[native->is_depth_last ? 1 : 2],
                lines = native->is_depth_last ? side->rows : side->depth;
  const int64_t batch = side->batches == 1 ? 0 : side->code_bits[0];
  native->ld = lines == 1 ? (native->is_depth_last ? side->depth : side->rows) : line / bits;
  native->batch_codes = batch / bits;
  const void *codes = side->kind == MFQ_SIDE_TO_QUANTIZE ? NULL : side->view.q.codes;
  const int is_aligned =
      ((lines == 1 ? 0 : line) | batch) % (LINE_BYTES * 8) == 0 && (uintptr_t)codes % LINE_BYTES == 0;
  return is_aligned || refuse(reason, name, "rows of codes are not aligned to 16 bytes");
}

} // namespace

int mfq_cuda_native_side(const mfq_gemm_side *side, const char *name, int capability, mfq_native_side *native,
                         mfq_line *reason) {
  *native = mfq_native_side{};
  if (side->kind == MFQ_SIDE_PLAIN) return refuse(reason, name, "it is not quantized");
  native->type = type_of(&side->view.q.scheme.element);
  if (native->type == LT_F32) return refuse(reason, name, "tensor cores have no such elements");
  return take_mode(side, name, capability, native, reason) && take_codes(side, name, capability, native, reason);
}

mfq_gemm_side mfq_cuda_native_wanted(const mfq_gemm_side *side) {
  mfq_gemm_side wanted = *side;
  const mfq_scale_format scale = side->view.q.scheme.scale;
  const int is_small = scale == MFQ_SCALE_UE8M0 || scale == MFQ_SCALE_UE4M3;
  if (side->kind != MFQ_SIDE_TO_QUANTIZE || side->group == 0 || !is_small ||
      side->view.q.scheme.granularity != MFQ_GRANULARITY_GROUP)
    return wanted;
  const int64_t row_tiles = mfq_ceil_div(side->batches * side->rows, TILE_ROWS),
                col_tiles = mfq_ceil_div(groups_of(side), TILE_SCALES);
  wanted.view.q.layout.scales = MFQ_SCALES_128X4;
  wanted.view.sizes.scales_bytes = (size_t)(row_tiles * col_tiles * TILE_ROWS * TILE_SCALES);
  return wanted;
}

size_t mfq_cuda_native_scale_bytes(const mfq_native_side *native, const mfq_gemm_side *side, int64_t rows) {
  if (!native->copies_scales) return 0;
  const int64_t groups = groups_of(side);
  if (native->mode == LT_SCALE_VEC128_F32) return (size_t)(rows * groups * 4);
  return (size_t)(mfq_ceil_div(rows, BLOCK) * mfq_round_up(groups, 4) * 4);
}

mfq_status mfq_cuda_native_scales(mfq_context *context, const mfq_native_side *native, const mfq_gemm_side *side,
                                  const int64_t at[3], void *copy, const void **scales) {
  const int64_t batch = at[0], row = at[1], rows = at[2];
  *scales = NULL;
  if (side->group == 0) return MFQ_OK;
  const uint8_t *from = (const uint8_t *)side->view.q.scales;
  const int64_t groups = groups_of(side);
  if (!native->copies_scales) {
    const int64_t tiles = (batch * (side->batches == 1 ? 0 : side->rows) + row) / TILE_ROWS;
    *scales = from + tiles * mfq_ceil_div(groups, TILE_SCALES) * (TILE_ROWS * TILE_SCALES);
    return MFQ_OK;
  }
  const int is_vector = native->mode == LT_SCALE_VEC128_F32;
  const int64_t run = side->scale_run[1], lines_of_rows = mfq_ceil_div(rows, run);
  const int64_t line = is_vector ? rows : groups, lines = is_vector ? groups : lines_of_rows;
  const int64_t first = mfq_gemm_side_scale(side, side->batches == 1 ? 0 : batch, row, 0);
  const int64_t row_step = side->scale_stride[1], group_step = side->scale_stride[2];
  copy_params p = {};
  p.src = element_view{(uint8_t *)side->view.q.scales + first * 4, ELEMENT_F32};
  p.dst = element_view{(uint8_t *)copy, ELEMENT_F32};
  p.count = line * lines;
  p.line = divisor64_make(line);
  p.lines = divisor64_make(lines);
  p.src_step[0] = is_vector ? row_step : group_step;
  p.src_step[1] = is_vector ? group_step : row_step;
  p.dst_line = is_vector ? rows : mfq_round_up(groups, 4);
  *scales = copy;
  const mfq_launch launch = {"mfq_gemm_run", mfq_cuda_item_grid(p.count), ITEM_THREADS, 0};
  return mfq_cuda_launch(context, launch, copy_kernel, p);
}
