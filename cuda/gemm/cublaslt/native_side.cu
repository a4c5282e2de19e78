/* cuda/gemm/cublaslt/native_side.cu: which operands cuBLASLt takes as they are, and by which mode of scales. */
#include "native_side.h"

#include <stdio.h>

#include "host/core/integers.h"

namespace {

enum { LINE_BYTES = 16 };

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

/* What has a mode: scales that are shared by multiples of so many of K, and of so many rows. Those that become f32 may be
 * stored in any format. */
struct mode_row {
  int32_t mode, group, rows;
  mfq_scale_format scale;
  int32_t is_4bit, least, most; /* compute capability */
  const char *needs;
};
enum { ANY_LATER = 999 };
const char needs_90[] = "scales for 128 along K need compute capability 9.0",
           needs_100[] = "scales of groups of 16 and 32 need compute capability 10.0";
const mode_row modes[] = {
    {LT_SCALE_VEC32_UE8M0, 32, 1, MFQ_SCALE_UE8M0, 0, 100, ANY_LATER, needs_100},
    {LT_SCALE_VEC16_UE4M3, 16, 1, MFQ_SCALE_UE4M3, 1, 100, ANY_LATER, needs_100},
    {LT_SCALE_BLOCK128_F32, LT_BLOCK, LT_BLOCK, MFQ_SCALE_F32, 0, 90, 90, needs_90},
    {LT_SCALE_VEC128_F32, LT_BLOCK, 1, MFQ_SCALE_F32, 0, 90, 90, needs_90},
};

int is_f32_mode(int32_t mode) { return mode == LT_SCALE_VEC128_F32 || mode == LT_SCALE_BLOCK128_F32; }

int fits(const mode_row *row, const mfq_gemm_side *side, int32_t type) {
  return (is_f32_mode(row->mode) || row->scale == side->view.q.scheme.scale) && side->group % row->group == 0 &&
         side->scale_run[1] % row->rows == 0 && row->is_4bit == (type == LT_FP4_21);
}

/* The row of a side whose scales vary along K; NULL with a reason when there is none. */
const mode_row *mode_of(const mfq_gemm_side *side, const char *name, int32_t type, int capability, mfq_line *reason) {
  const char *why = "tensor cores have no such group scales";
  for (const mode_row &row : modes) {
    if (!fits(&row, side, type)) continue;
    if (capability >= row.least && capability <= row.most) return &row;
    why = row.needs;
  }
  (void)refuse(reason, name, why);
  return NULL;
}

/* Scales that are one for a group of the mode, in its order. */
int is_as_wanted(const mfq_gemm_side *side, const mode_row *row) {
  return !is_f32_mode(row->mode) && side->view.q.scheme.granularity == MFQ_GRANULARITY_GROUP &&
         side->group == row->group && side->view.q.layout.scales == MFQ_SCALES_128X4 &&
         (side->kind == MFQ_SIDE_TO_QUANTIZE || (uintptr_t)side->view.q.scales % LINE_BYTES == 0) &&
         (side->batches == 1 || side->rows % LT_TILE_ROWS == 0);
}

int take_mode(const mfq_gemm_side *side, const char *name, int capability, mfq_native_side *native, mfq_line *reason) {
  native->mode = LT_SCALE_TENSOR;
  if (side->group == 0)
    return native->type != LT_FP4_21 || refuse(reason, name, "4-bit floats need groups of 16 with UE4M3 scales");
  const mode_row *row = mode_of(side, name, native->type, capability, reason);
  if (row == NULL) return 0;
  native->mode = row->mode;
  native->group = row->group;
  native->makes_scales = !is_as_wanted(side, row);
  return 1;
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

int mfq_cuda_native_pair(const mfq_gemm_side *a_side, const mfq_gemm_side *b_side, mfq_native_side *a,
                         mfq_native_side *b, mfq_line *reason) {
  if (a->mode == LT_SCALE_BLOCK128_F32 && b->mode == LT_SCALE_BLOCK128_F32)
    a->mode = LT_SCALE_VEC128_F32; /* a block's scale may stand for each of its rows */
  if (is_f32_mode(a->mode) && (a_side->rows % 4 != 0 || b_side->rows % 4 != 0))
    return refuse(reason, a_side->rows % 4 != 0 ? "A" : "B", "scales for 128 along K need rows in multiples of 4");
  const char *why = NULL;
  if (a->mode != b->mode && !(is_f32_mode(a->mode) && is_f32_mode(b->mode)))
    why = "the sides have scales of different kinds";
  else if (a->type == LT_FP8_52 && b->type == LT_FP8_52)
    why = "tensor cores do not multiply two such elements";
  else if ((a->type == LT_FP4_21) != (b->type == LT_FP4_21))
    why = "the sides have elements of 4 and of 8 bits";
  return why == NULL || mfq_refuse(reason, "%s", why) == MFQ_OK;
}

mfq_gemm_side mfq_cuda_native_wanted(const mfq_gemm_side *side) {
  mfq_gemm_side wanted = *side;
  const mfq_scheme *s = &side->view.q.scheme;
  int is_small = 0;
  for (const mode_row &row : modes)
    is_small |= !is_f32_mode(row.mode) && row.scale == s->scale && row.group == side->group;
  if (side->kind != MFQ_SIDE_TO_QUANTIZE || !is_small || s->granularity != MFQ_GRANULARITY_GROUP) return wanted;
  const int64_t row_tiles = mfq_ceil_div(side->batches * side->rows, LT_TILE_ROWS),
                col_tiles = mfq_ceil_div(mfq_ceil_div(side->depth, side->group), LT_TILE_SCALES);
  wanted.view.q.layout.scales = MFQ_SCALES_128X4;
  wanted.view.sizes.scales_bytes = (size_t)(row_tiles * col_tiles * LT_TILE_ROWS * LT_TILE_SCALES);
  return wanted;
}
