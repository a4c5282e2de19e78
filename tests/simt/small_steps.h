/* tests/simt/small_steps.h: a context of the module whose products are planned and run by the code under test, which a
 * test compiles into itself. Casts are the module's. */
#ifndef MFQ_SIMT_SMALL_STEPS_H
#define MFQ_SIMT_SMALL_STEPS_H

#include "cublaslt_standin.h"
#include "support/product.h"

#include "cuda/cuda_errors.cu"
#include "cuda/gemm/cublaslt_calls.cu"
#include "cuda/gemm/cublaslt_open.cu"
#include "cuda/gemm/direct.cu"
#include "cuda/gemm/gemm_epilogue.cu"
#include "cuda/gemm/side_params.cu"
#include "cuda/index_plans.cu"

mfq_status mfq_cuda_quantize(mfq_context *context, const mfq_tensor *src, const mfq_qview *row, const mfq_qview *col) {
  return context->backend->quantize(context, src, row, col);
}
mfq_status mfq_cuda_dequantize(mfq_context *context, const mfq_qview *q, const mfq_tensor *dst) {
  return context->backend->dequantize(context, q, dst);
}

namespace mfq_test {

/* How the test plans and runs; `plan` counts its steps. */
struct SmallSteps {
  mfq_status (*plan)(mfq_context *, const mfq_gemm_problem *, mfq_cuda_gemm *);
  const mfq_cuda_gemm_row *row;
  int64_t steps;
};
inline SmallSteps small_steps;

inline mfq_status plan_small(mfq_context *context, const mfq_gemm_problem *p, mfq_choice *choice) {
  auto *gemm = static_cast<mfq_cuda_gemm *>(calloc(1, sizeof(mfq_cuda_gemm)));
  const mfq_status status = small_steps.plan(context, p, gemm);
  choice->state = gemm;
  choice->workspace_bytes = gemm->workspace_bytes;
  memcpy(choice->description, gemm->how, sizeof gemm->how);
  return status;
}
inline mfq_status run_small(mfq_context *context, const mfq_choice *choice, const mfq_gemm_problem *problem,
                            void *workspace) {
  const auto *gemm = static_cast<const mfq_cuda_gemm *>(choice->state);
  return small_steps.row->run(context, gemm, problem, static_cast<uint8_t *>(workspace));
}
inline void free_small(mfq_context *, mfq_choice *choice) {
  auto *gemm = static_cast<mfq_cuda_gemm *>(choice->state);
  free(gemm->state);
  free(gemm);
}

class SmallStepsTest : public OnDevice {
protected:
  void use(int capability, const SmallSteps &how) {
    former_ = simt::current_settings();
    simt::settings settings = former_;
    settings.capability = capability;
    simt::change_settings(settings);
    context_ = make_device_context();
    ASSERT_NE(context_, nullptr) << mfq_last_error();
    Case x; /* the module opens its cuBLASLt */
    ASSERT_TRUE(product_is_near(context_.get(), x));
    ASSERT_NE(mfq_cuda_state_of(context_.get())->cublaslt, nullptr);
    backend_ = *context_->backend;
    backend_.gemm_plan = plan_small;
    backend_.gemm_run = run_small;
    backend_.gemm_plan_free = free_small;
    context_->backend = &backend_;
    small_steps = how;
    (void)simt::take_lt_refusals();
  }
  void TearDown() override {
    for (const std::string &refusal : simt::take_lt_refusals()) ADD_FAILURE() << refusal;
    context_.reset();
    simt::change_settings(former_);
  }

  void expect(const Case &x, int64_t steps) {
    EXPECT_TRUE(product_is_near(context_.get(), x));
    EXPECT_EQ(small_steps.steps, steps) << text_of(x);
  }
  /* In steps a product has the same bytes, for sums of doubles do not depend on them. */
  void expect_same(const ProductData &data, const ProductResult &whole, int64_t steps) {
    const ProductResult got = data.run(context_.get());
    EXPECT_TRUE(succeeded(whole.status, "at once"));
    EXPECT_TRUE(succeeded(got.status, "in steps"));
    EXPECT_EQ(got.bytes, whole.bytes);
    EXPECT_EQ(small_steps.steps, steps);
  }

  mfq_context *context() const { return context_.get(); }
  mfq_backend *backend() { return &backend_; }

private:
  Context context_;
  mfq_backend backend_;
  simt::settings former_;
};

} // namespace mfq_test

#endif
