/* tests/simt/kernels/small_steps.h: a context of the module whose products are planned and run by the code under test, which a
 * test compiles into itself. Casts are the module's. */
#ifndef MFQ_SIMT_SMALL_STEPS_H
#define MFQ_SIMT_SMALL_STEPS_H

#include "simt/cublaslt/cublaslt_standin.h"
#include "support/product.h"

#include "cuda/cuda_errors.cu"
#include "cuda/gemm/cublaslt/cublaslt_calls.cu"
#include "cuda/gemm/cublaslt/cublaslt_open.cu"
#include "cuda/gemm/cublaslt/direct.cu"
#include "cuda/gemm/finish_cuda.cu"
#include "cuda/product/side_params.cu"
#include "cuda/index_plans.cu"

mfq_status mfq_cuda_cast(mfq_context *context, const mfq_cast *cast) { return context->backend->cast(context, cast); }

namespace mfq_test {

/* How the test plans and runs; `plan` counts its steps. */
struct SmallSteps {
  mfq_status (*plan)(mfq_context *, const mfq_gemm_problem *, mfq_choice *);
  const mfq_way *way;
  int64_t steps;
};
inline SmallSteps small_steps;

inline mfq_status plan_small(mfq_context *context, const void *problem, mfq_choice *choice, mfq_line *) {
  return small_steps.plan(context, static_cast<const mfq_gemm_problem *>(problem), choice);
}

/* A list of one way. */
struct OnlyWay {
  mfq_way way;
  mfq_ways ways = {"mfq_plan_create", nullptr, 0, {&way}};
};

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
    if (how.way != nullptr) product_.way = {"", plan_small, how.way->run, nullptr};
    if (how.way != nullptr) backend_.ways[MFQ_OP_GEMM] = &product_.ways;
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
  void use_for_convolutions(const mfq_way &way) {
    convolution_.way = way;
    backend_.ways[MFQ_OP_CONV] = &convolution_.ways;
  }

private:
  OnlyWay product_, convolution_;
  mfq_backend backend_;
  Context context_;
  simt::settings former_;
};

} // namespace mfq_test

#endif
