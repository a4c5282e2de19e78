/* bench/probe/lt_library.cu: opens cuBLASLt, describes products to it, and runs them. */
#include "lt_library.h"

#include <cstdlib>

#include "cuda/gemm/cublaslt/cublaslt_symbols.h"
#include "probe.h"

namespace {

/* Stands for scales while a product is planned: of such a pointer cuBLASLt reads the alignment and nothing else. */
const uintptr_t unknown = (uintptr_t)1 << 20;

} // namespace

/* ---- The library ------------------------------------------------------------------------------------------------- */

const lt_library &lt_library::open() {
  static const lt_library library;
  return library;
}

bool lt_library::open_file(const char *file) {
  void *opened = dlopen(file, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  const char *missing = opened != nullptr ? lt_find(opened, &call) : nullptr;
  if (opened == nullptr)
    unavailable = probe_text("cuBLASLt cannot be opened (%s); MFQ_CUBLASLT names the file", dlerror());
  else
    unavailable = missing != nullptr ? probe_text("%s has no function %s", file, missing) : "";
  return unavailable.empty();
}

lt_library::lt_library() {
  const char *given = getenv("MFQ_CUBLASLT");
  if (given != nullptr && given[0] == '\0') {
    unavailable = "MFQ_CUBLASLT is empty, which forbids cuBLASLt";
  } else if (given != nullptr) {
    (void)open_file(given);
  } else {
    for (const char *file : {MFQ_CUBLASLT_FILES})
      if (open_file(file)) break;
  }
  if (!unavailable.empty()) return;
  const int version = (int)call.version();
  name = probe_text("cuBLASLt %d.%d.%d", version / 10000, version / 100 % 100, version % 100);
  const int status = call.create(&handle);
  if (status != LT_SUCCESS) unavailable = probe_text("%s makes no handle (%s)", name.c_str(), call.status_name(status));
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

template <class T> void lt_plan::set(int attribute, T value) {
  if (status_ == LT_SUCCESS) status_ = library_.call.desc_set(&desc_, attribute, &value, sizeof value);
}

void lt_plan::set_scales(const lt_case &c) {
  if (c.type == LT_BF16) return;
  set(LT_DESC_FAST_ACCUM, (int8_t)c.is_fast);
  set(LT_DESC_A_SCALE_POINTER, unknown);
  set(LT_DESC_B_SCALE_POINTER, unknown);
  if (c.a_mode == LT_SCALE_TENSOR && c.b_mode == LT_SCALE_TENSOR) return; /* versions below 12.8 know no modes */
  set(LT_DESC_A_SCALE_MODE, (int32_t)c.b_mode);
  set(LT_DESC_B_SCALE_MODE, (int32_t)c.a_mode);
}

lt_plan::lt_plan(const lt_library &library, const lt_case &c, size_t workspace_bytes) : library_(library) {
  const lt_functions &call = library.call;
  status_ = call.desc_init(&desc_, sizeof desc_, LT_COMPUTE_32F, LT_F32);
  set(LT_DESC_POINTER_MODE, (int32_t)LT_POINTERS_HOST);
  set(LT_DESC_TRANSA, (int32_t)LT_OP_T);
  set(LT_DESC_TRANSB, (int32_t)LT_OP_N);
  set_scales(c);
  const auto layout = [&](lt_layout *of, int type, int64_t rows, int64_t columns) {
    if (status_ == LT_SUCCESS)
      status_ = call.layout_init(of, sizeof *of, type, (uint64_t)rows, (uint64_t)columns, rows);
  };
  layout(&a_, c.type, c.k, c.m);
  layout(&b_, c.type, c.k, c.n);
  layout(&d_, c.d_type, c.n, c.m);
  if (status_ == LT_SUCCESS) choose(workspace_bytes);
}

void lt_plan::choose(size_t workspace_bytes) {
  const lt_functions &call = library_.call;
  const uint64_t bytes = workspace_bytes;
  lt_preference preference;
  int count = 0;
  status_ = call.preference_init(&preference, sizeof preference);
  if (status_ == LT_SUCCESS)
    status_ = call.preference_set(&preference, LT_PREFERENCE_WORKSPACE_BYTES, &bytes, sizeof bytes);
  if (status_ == LT_SUCCESS)
    status_ = call.heuristic(library_.handle, &desc_, &b_, &a_, &d_, &d_, &preference, 1, &found_, &count);
  if (status_ == LT_SUCCESS) status_ = count < 1 ? LT_NOT_SUPPORTED : found_.state;
}

int lt_plan::run(const memory &at) {
  const float one = 1, zero = 0;
  if (at.b_scales != nullptr) set(LT_DESC_A_SCALE_POINTER, at.b_scales);
  if (at.a_scales != nullptr) set(LT_DESC_B_SCALE_POINTER, at.a_scales);
  if (status_ != LT_SUCCESS) return status_;
  return library_.call.matmul(library_.handle, &desc_, &one, at.b, &b_, at.a, &a_, &zero, at.d, &d_, at.d, &d_,
                              &found_.algo, at.workspace, found_.workspace_bytes, nullptr);
}
