/* What cuBLASLt documents of its products: types, scale modes, sizes and alignment, by compute capability. */
#include "cublaslt_state.h"

namespace simt {

int lt_type_bits(int type) {
  switch (type) {
    case LT_F32: return 32;
    case LT_F16:
    case LT_BF16: return 16;
    case LT_FP4_21: return 4;
    default: return 8;
  }
}

const char *lt_type_name(int type) {
  switch (type) {
    case LT_F32: return "f32";
    case LT_F16: return "f16";
    case LT_BF16: return "bf16";
    case LT_FP8_43: return "e4m3";
    case LT_FP8_52: return "e5m2";
    case LT_FP4_21: return "e2m1";
    default: return "?";
  }
}

namespace {

bool is_fp8(int type) { return type == LT_FP8_43 || type == LT_FP8_52; }
bool is_narrow(int type) { return is_fp8(type) || type == LT_FP4_21; }

/* A rule that a job breaks, or nothing. */
struct verdict {
  int status = LT_SUCCESS;
  std::string why;
};
verdict refuse(int status, const std::string &why) { return {status, why}; }

/* ---- Types ------------------------------------------------------------------------------------------------------- */

/* A and B, C and D, and the bias that goes with them. */
struct type_row {
  int a, b, d, bias;
};
const type_row type_rows[] = {
    {LT_F32, LT_F32, LT_F32, LT_F32},         {LT_BF16, LT_BF16, LT_BF16, LT_BF16},
    {LT_BF16, LT_BF16, LT_F32, LT_F32},       {LT_F16, LT_F16, LT_F16, LT_F16},
    {LT_F16, LT_F16, LT_F32, LT_F32},         {LT_FP8_43, LT_FP8_43, LT_BF16, LT_BF16},
    {LT_FP8_43, LT_FP8_43, LT_F16, LT_F16},   {LT_FP8_43, LT_FP8_43, LT_F32, LT_BF16},
    {LT_FP8_43, LT_FP8_52, LT_BF16, LT_BF16}, {LT_FP8_43, LT_FP8_52, LT_F16, LT_F16},
    {LT_FP8_43, LT_FP8_52, LT_F32, LT_BF16},  {LT_FP8_52, LT_FP8_43, LT_BF16, LT_BF16},
    {LT_FP8_52, LT_FP8_43, LT_F16, LT_F16},   {LT_FP8_52, LT_FP8_43, LT_F32, LT_BF16},
    {LT_FP4_21, LT_FP4_21, LT_BF16, LT_BF16}, {LT_FP4_21, LT_FP4_21, LT_F16, LT_F16},
    {LT_FP4_21, LT_FP4_21, LT_F32, LT_BF16},
};

verdict check_types(const lt_job &j) {
  if (j.desc.compute != LT_COMPUTE_32F || j.desc.scale_type != LT_F32)
    return refuse(LT_NOT_SUPPORTED, "compute type " + std::to_string(j.desc.compute));
  if (j.c.type != j.d.type) return refuse(LT_NOT_SUPPORTED, "C and D of different types");
  for (const type_row &row : type_rows) {
    if (row.a != j.a.type || row.b != j.b.type || row.d != j.d.type) continue;
    if (j.desc.epilogue == LT_EPILOGUE_BIAS && j.desc.bias_type != row.bias)
      return refuse(LT_NOT_SUPPORTED, std::string("a bias of ") + lt_type_name(j.desc.bias_type));
    return {};
  }
  return refuse(LT_NOT_SUPPORTED, std::string("types ") + lt_type_name(j.a.type) + " x " + lt_type_name(j.b.type) +
                                      " -> " + lt_type_name(j.d.type));
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------- */

verdict check_sizes(const lt_job &j) {
  const bool ta = j.desc.transa == LT_OP_T, tb = j.desc.transb == LT_OP_T;
  const uint64_t m = (uint64_t)j.m, n = (uint64_t)j.n, k = (uint64_t)j.k;
  const bool chain = (ta ? j.a.cols : j.a.rows) == m && (tb ? j.b.cols : j.b.rows) == k &&
                     (tb ? j.b.rows : j.b.cols) == n && j.c.rows == m && j.c.cols == n && j.d.rows == m &&
                     j.d.cols == n;
  if (!chain) return refuse(LT_INVALID_VALUE, "sizes that do not chain");
  if (m == 0 || n == 0 || k == 0) return refuse(LT_NOT_SUPPORTED, "a size of 0");
  if (m > INT32_MAX || n > INT32_MAX || k > INT32_MAX) return refuse(LT_NOT_SUPPORTED, "a size beyond 32 bits");
  for (const lt_layout_state *x : {&j.a, &j.b, &j.c, &j.d}) {
    if (x->ld < (int64_t)x->rows) return refuse(LT_INVALID_VALUE, "a leading dimension below the rows");
    if (x->batches != j.d.batches) return refuse(LT_INVALID_VALUE, "different batch counts");
  }
  if (j.d.batches < 1) return refuse(LT_INVALID_VALUE, "no batches");
  const int64_t extent = j.d.ld * (int64_t)(j.d.cols - 1) + (int64_t)j.d.rows;
  if (j.d.batches > 1 && j.d.batch_stride < (int64_t)j.d.rows && j.d.batch_stride < extent)
    return refuse(LT_INVALID_VALUE, "batches of D that overlap");
  return {};
}

verdict check_epilogue(const lt_job &j) {
  if (j.desc.epilogue != LT_EPILOGUE_DEFAULT && j.desc.epilogue != LT_EPILOGUE_BIAS)
    return refuse(LT_NOT_SUPPORTED, "epilogue " + std::to_string(j.desc.epilogue));
  if (j.desc.pointer_mode != LT_POINTERS_HOST) return refuse(LT_NOT_SUPPORTED, "a pointer mode this stand-in lacks");
  if (j.desc.fast_accum != 0) return refuse(LT_NOT_SUPPORTED, "fast accumulation, which mfq never asks for");
  return {};
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

verdict check_modes(const lt_job &j) {
  const int a = j.desc.a_mode, b = j.desc.b_mode;
  const bool a128 = a == LT_SCALE_VEC128_F32 || a == LT_SCALE_BLOCK128_F32,
             b128 = b == LT_SCALE_VEC128_F32 || b == LT_SCALE_BLOCK128_F32;
  const std::string modes = "scale modes " + std::to_string(a) + " and " + std::to_string(b);
  if (!is_narrow(j.a.type)) {
    if (a != LT_SCALE_TENSOR || b != LT_SCALE_TENSOR || j.desc.a_scale != nullptr || j.desc.b_scale != nullptr)
      return refuse(LT_INVALID_VALUE, "scales of wide types");
    return {};
  }
  if ((a128 || b128) ? !(a128 && b128) : a != b) return refuse(LT_NOT_SUPPORTED, modes + " do not go together");
  if (a == LT_SCALE_BLOCK128_F32 && b == LT_SCALE_BLOCK128_F32) return refuse(LT_NOT_SUPPORTED, "blocks x blocks");
  if ((a == LT_SCALE_VEC16_UE4M3) != (j.a.type == LT_FP4_21)) return refuse(LT_NOT_SUPPORTED, modes + " of such types");
  const bool is_hopper = a128 || a == LT_SCALE_OUTER_F32,
             is_blackwell = a == LT_SCALE_VEC16_UE4M3 || a == LT_SCALE_VEC32_UE8M0;
  if (is_hopper && j.capability != 90) return refuse(LT_NOT_SUPPORTED, modes + " need compute capability 9.0");
  if (is_blackwell && j.capability < 100) return refuse(LT_NOT_SUPPORTED, modes + " need compute capability 10.0");
  if (a128 && (j.m % 4 != 0 || j.n % 4 != 0)) return refuse(LT_NOT_SUPPORTED, "M or N is no multiple of 4");
  if (a == LT_SCALE_TENSOR) return {};
  if (j.d.batches > 1)
    return refuse(LT_NOT_SUPPORTED, "batches with scales of parts, whose strides are not documented");
  for (const void *scale : {j.desc.a_scale, j.desc.b_scale})
    if (scale == nullptr || (uintptr_t)scale % 16 != 0)
      return refuse(LT_INVALID_VALUE, "scales that are missing, or not aligned to 16");
  return {};
}

/* ---- Narrow types ------------------------------------------------------------------------------------------------ */

verdict check_narrow(const lt_job &j, const uint32_t align[4]) {
  if (!is_narrow(j.a.type)) return {};
  const bool is_tn = j.desc.transa == LT_OP_T && j.desc.transb == LT_OP_N;
  const bool needs_tn = j.a.type == LT_FP4_21 || j.capability < 100 || j.capability >= 120;
  if (j.capability < 89) return refuse(LT_NOT_SUPPORTED, "8-bit floats need compute capability 8.9");
  if (j.a.type == LT_FP4_21 && j.capability < 100) return refuse(LT_NOT_SUPPORTED, "4-bit floats need 10.0");
  if (needs_tn && !is_tn) return refuse(LT_NOT_SUPPORTED, "an order other than TN");
  const lt_layout_state *all[] = {&j.a, &j.b, &j.c, &j.d};
  for (int i = 0; i < 4; ++i) {
    const lt_layout_state &x = *all[i];
    const int64_t bits = lt_type_bits(x.type);
    if (align[i] < 16) return refuse(LT_NOT_SUPPORTED, "matrices that are not aligned to 16");
    if ((int64_t)x.rows * bits % 128 != 0) return refuse(LT_NOT_SUPPORTED, "columns that are no multiples of 16 bytes");
    if (x.ld * bits % 128 != 0 || (j.d.batches > 1 && x.batch_stride * bits % 128 != 0))
      return refuse(LT_NOT_SUPPORTED, "strides that are no multiples of 16 bytes");
  }
  return {};
}

verdict check_alignment(const lt_job &j, const uint32_t align[4]) {
  const lt_layout_state *all[] = {&j.a, &j.b, &j.c, &j.d};
  for (int i = 0; i < 4; ++i)
    if (align[i] * 8 < (uint32_t)lt_type_bits(all[i]->type))
      return refuse(LT_INVALID_VALUE, "a matrix that is not aligned to its elements");
  return {};
}

} // namespace

int check_lt_job(const lt_job &job, const uint32_t align[4], std::string *why) {
  const verdict all[] = {check_types(job), check_sizes(job),         check_epilogue(job),
                         check_modes(job), check_narrow(job, align), check_alignment(job, align)};
  for (const verdict &v : all) {
    if (v.status == LT_SUCCESS) continue;
    *why = v.why;
    return v.status;
  }
  return LT_SUCCESS;
}

} // namespace simt
