// tests/support/small_product.h: D = A x B of dense plain tensors, to see what a plan says and how a run ends.
#ifndef MFQ_TESTS_SUPPORT_SMALL_PRODUCT_H
#define MFQ_TESTS_SUPPORT_SMALL_PRODUCT_H

#include "quantized.h"

namespace mfq_test {

struct SmallProduct {
  std::vector<float> a, b, d;
  mfq_tensor tensors[3] = {};
  mfq_gemm gemm = {};
  mfq_gemm_plan *plan = nullptr;

  explicit SmallProduct(mfq_context *context, int64_t m = 3, int64_t n = 5, int64_t k = 40)
      : a((size_t)(m * k), 2.0f), b((size_t)(k * n), 3.0f), d((size_t)(m * n), -1.0f) {
    const int64_t shapes[3][2] = {{m, k}, {k, n}, {m, n}};
    float *const data[] = {a.data(), b.data(), d.data()};
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(mfq_tensor_init(data[i], MFQ_DTYPE_F32, 2, shapes[i], &tensors[i]), MFQ_OK) << mfq_last_error();
    mfq_gemm_init(&gemm);
    gemm.a.plain = &tensors[0];
    gemm.b.plain = &tensors[1];
    gemm.d = &tensors[2];
    gemm.own_workspace = 1;
    EXPECT_EQ(mfq_gemm_plan_create(context, &gemm, &plan), MFQ_OK) << mfq_last_error();
  }
  ~SmallProduct() { mfq_gemm_plan_destroy(plan); }
  SmallProduct(const SmallProduct &) = delete;
  SmallProduct &operator=(const SmallProduct &) = delete;

  std::string says() const { return plan != nullptr ? mfq_gemm_plan_describe(plan) : "no plan"; }
  mfq_status run(mfq_context *context) { return mfq_gemm_run(context, plan, &gemm, nullptr, 0); }
};

} // namespace mfq_test

#endif
