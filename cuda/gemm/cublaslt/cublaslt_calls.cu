/* cuda/gemm/cublaslt/cublaslt_calls.cu: descriptors, the choice of an algorithm, and the one call that multiplies. */
#include "cuda/launch.cuh"
#include "cublaslt.h"

namespace {

/* Since which version a scale mode exists. */
const int mode_version[] = {0, 120800, 120800, 120900, 120900, 120900};

/* What NVIDIA advises. */
size_t workspace_limit(int capability) { return (size_t)(capability >= 90 ? 32 : 4) << 20; }

/* Stands for memory that planning does not know: of such a pointer cuBLASLt reads the alignment and nothing else. */
const uintptr_t unknown = (uintptr_t)1 << 20;

enum { SCALES_ALIGN = 16 }; /* of scales for parts of an operand, at least */

/* A chain of calls that ends with the first failure. */
class chain {
public:
  explicit chain(const lt_functions &call) : call_(call) {}
  int status() const { return status_; }
  void add(int status) {
    if (status_ == LT_SUCCESS) status_ = status;
  }
  template <class T> void set(lt_desc *desc, int attribute, T value) {
    add(call_.desc_set(desc, attribute, &value, sizeof value));
  }
  template <class T> void set(lt_preference *preference, int attribute, T value) {
    add(call_.preference_set(preference, attribute, &value, sizeof value));
  }
  /* `rows` neighbouring elements in each of `cols` columns. */
  void layout(lt_layout *layout, int type, int64_t rows, int64_t cols, int64_t ld) {
    add(call_.layout_init(layout, sizeof *layout, type, (uint64_t)rows, (uint64_t)cols, ld));
  }
  void batches(lt_layout *layout, int64_t count, int64_t stride) {
    const int32_t count32 = (int32_t)count;
    if (count == 1) return;
    add(call_.layout_set(layout, LT_LAYOUT_BATCH_COUNT, &count32, sizeof count32));
    add(call_.layout_set(layout, LT_LAYOUT_BATCH_STRIDE, &stride, sizeof stride));
  }

private:
  const lt_functions &call_;
  int status_ = LT_SUCCESS;
};

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

void make_factor(chain *all, lt_layout *layout, const mfq_cublaslt_factor &f, int64_t rows,
                 const mfq_cublaslt_product &p) {
  all->layout(layout, f.type, f.is_depth_last ? p.k : rows, f.is_depth_last ? rows : p.k, f.ld);
  all->batches(layout, p.batches, f.batch_stride);
}

void make_sum(chain *all, lt_layout *layout, const mfq_cublaslt_sum &s, const mfq_cublaslt_product &p) {
  all->layout(layout, s.type, p.n, p.m, s.ld);
  all->batches(layout, p.batches, s.batch_stride);
}

void make_desc(chain *all, lt_desc *desc, const mfq_cublaslt_product &p) {
  all->set(desc, LT_DESC_POINTER_MODE, (int32_t)LT_POINTERS_HOST);
  all->set(desc, LT_DESC_TRANSA, (int32_t)(p.b.is_depth_last ? LT_OP_T : LT_OP_N));
  all->set(desc, LT_DESC_TRANSB, (int32_t)(p.a.is_depth_last ? LT_OP_N : LT_OP_T));
  /* Without it, Hopper keeps sums of 8-bit floats to 14 bits from beginning to end. */
  all->set(desc, LT_DESC_FAST_ACCUM, (int8_t)0);
  if (p.has_bias) {
    all->set(desc, LT_DESC_EPILOGUE, (uint32_t)LT_EPILOGUE_BIAS);
    all->set(desc, LT_DESC_BIAS_TYPE, p.bias_type);
    all->set(desc, LT_DESC_BIAS_POINTER, unknown + p.bias_align);
  }
  if (p.a.scale_mode == LT_SCALE_TENSOR && p.b.scale_mode == LT_SCALE_TENSOR) return;
  all->set(desc, LT_DESC_A_SCALE_MODE, p.b.scale_mode);
  all->set(desc, LT_DESC_B_SCALE_MODE, p.a.scale_mode);
  all->set(desc, LT_DESC_A_SCALE_POINTER, unknown + SCALES_ALIGN);
  all->set(desc, LT_DESC_B_SCALE_POINTER, unknown + SCALES_ALIGN);
}

int make_all(const mfq_cublaslt *lt, const mfq_cublaslt_product &p, mfq_cublaslt_plan *plan) {
  chain all(lt->call);
  all.add(lt->call.desc_init(&plan->desc, sizeof plan->desc, LT_COMPUTE_32F, LT_F32));
  make_desc(&all, &plan->desc, p);
  make_factor(&all, &plan->a, p.a, p.m, p);
  make_factor(&all, &plan->b, p.b, p.n, p);
  make_sum(&all, &plan->c, p.c, p);
  make_sum(&all, &plan->d, p.d, p);
  return all.status();
}

/* ---- The choice of an algorithm ---------------------------------------------------------------------------------- */

int ask(const mfq_cublaslt *lt, const mfq_cublaslt_product &p, size_t workspace_bytes, mfq_cublaslt_plan *plan) {
  lt_preference preference;
  lt_result result = {};
  chain all(lt->call);
  int found = 0;
  all.add(lt->call.preference_init(&preference, sizeof preference));
  all.set(&preference, LT_PREFERENCE_WORKSPACE_BYTES, (uint64_t)workspace_bytes);
  all.set(&preference, LT_PREFERENCE_ALIGN_A, p.b.align);
  all.set(&preference, LT_PREFERENCE_ALIGN_B, p.a.align);
  all.set(&preference, LT_PREFERENCE_ALIGN_C, p.c.align);
  all.set(&preference, LT_PREFERENCE_ALIGN_D, p.d.align);
  if (all.status() == LT_SUCCESS)
    all.add(lt->call.heuristic(lt->handle, &plan->desc, &plan->b, &plan->a, &plan->c, &plan->d, &preference, 1, &result,
                               &found));
  if (all.status() != LT_SUCCESS) return all.status();
  plan->algo = result.algo;
  plan->workspace_bytes = result.workspace_bytes;
  return found < 1 ? LT_NOT_SUPPORTED : result.state;
}

mfq_status refuse_mode(const mfq_cublaslt *lt, const mfq_cublaslt_product &p, mfq_line *reason) {
  for (const int mode : {p.a.scale_mode, p.b.scale_mode}) {
    const int needed = mode_version[mode];
    if (lt->version >= needed) continue;
    return mfq_refuse(reason, "%s has no such scales; %d.%d has them", lt->name, needed / 10000, needed / 100 % 100);
  }
  return MFQ_OK;
}

} // namespace

mfq_status mfq_cublaslt_plan_make(mfq_context *context, const mfq_cublaslt_product *product, mfq_cublaslt_plan *plan,
                                  mfq_line *reason) {
  const mfq_cublaslt *lt = mfq_cublaslt_open(context, reason);
  if (lt == NULL) return MFQ_ERROR_UNSUPPORTED;
  *plan = mfq_cublaslt_plan{};
  plan->has_bias = product->has_bias;
  const mfq_status status = refuse_mode(lt, *product, reason);
  if (status != MFQ_OK) return status;
  int answer = make_all(lt, *product, plan);
  const size_t advised = workspace_limit(mfq_cuda_state_of(context)->capability), own = product->workspace_limit;
  if (answer == LT_SUCCESS) answer = ask(lt, *product, own > 0 && own < advised ? own : advised, plan);
  if (answer == LT_SUCCESS) return MFQ_OK;
  return mfq_refuse(reason, "%s has no algorithm for it (%s)", lt->name, lt->call.status_name(answer));
}

mfq_status mfq_cublaslt_run(mfq_context *context, const mfq_cublaslt_plan *plan, const mfq_cublaslt_call *call) {
  const char *function = call->function != NULL ? call->function : "mfq_gemm_run";
  mfq_cuda_state *state = mfq_cuda_state_of(context);
  const mfq_cublaslt *lt = state->cublaslt;
  mfq_cublaslt_plan own = *plan; /* pointers are attributes, and other threads may run the plan too */
  chain all(lt->call);
  if (plan->has_bias) all.set(&own.desc, LT_DESC_BIAS_POINTER, call->bias);
  if (call->b_scales != NULL) all.set(&own.desc, LT_DESC_A_SCALE_POINTER, call->b_scales);
  if (call->a_scales != NULL) all.set(&own.desc, LT_DESC_B_SCALE_POINTER, call->a_scales);
  if (all.status() == LT_SUCCESS)
    all.add(lt->call.matmul(lt->handle, &own.desc, &call->alpha, call->b, &own.b, call->a, &own.a, &call->beta, call->c,
                            &own.c, call->d, &own.d, &own.algo, call->workspace, own.workspace_bytes, state->stream));
  if (all.status() == LT_SUCCESS) return mfq_cuda_queued(context, cudaSuccess, function);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) return mfq_cuda_status(context, error, function);
  return mfq_fail(MFQ_ERROR_DEVICE, function,
                  "%s refuses a product that it planned: %s; MFQ_CUBLASLT= (empty) in the environment does without it",
                  lt->name, lt->call.status_name(all.status()));
}

uint32_t mfq_cublaslt_align(const void *pointer, int64_t stride_bytes) {
  const uint64_t bits = (uint64_t)(uintptr_t)pointer | (uint64_t)stride_bytes | 256;
  return (uint32_t)(bits & (~bits + 1));
}

int32_t mfq_cublaslt_type(mfq_dtype dtype) {
  return dtype == MFQ_DTYPE_F32 ? LT_F32 : dtype == MFQ_DTYPE_F16 ? LT_F16 : LT_BF16;
}
