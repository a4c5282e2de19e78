/* tests/process/workload.h: casts and a product that take several threads, as a hash of all bytes they write. */
#ifndef MFQ_TESTS_PROCESS_WORKLOAD_H
#define MFQ_TESTS_PROCESS_WORKLOAD_H

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <mfq/mfq.h>

namespace mfq_test {

/* 0 is never a hash: it says that a call failed. */
class Workload {
public:
  enum { SIZE = 512 };

  Workload() : x_(SIZE * SIZE), y_(SIZE * SIZE) {
    for (size_t i = 0; i < x_.size(); ++i) /* all magnitudes, subnormal ones too */
      x_[i] = std::ldexp((float)((i * 2654435761u >> 7) % 199) - 99.0f, (int)(i / 32 % 270) - 155);
  }

  uint64_t casts(mfq_context *context, const char *text) {
    const int64_t shape[] = {SIZE, SIZE};
    mfq_scheme scheme;
    mfq_qtensor q;
    mfq_qtensor_sizes sizes;
    if (mfq_scheme_parse(text, &scheme) || mfq_qtensor_init(&scheme, 2, shape, nullptr, &q) ||
        mfq_qtensor_sizes_get(&q, &sizes))
      return 0;
    std::vector<uint8_t> codes(sizes.codes_bytes), scales(sizes.scales_bytes + 4), zero_points(sizes.zero_points_bytes);
    q.codes = codes.data();
    q.scales = scales.data();
    q.zero_points = zero_points.data();
    float tensor_scale = 0;
    q.tensor_scale = sizes.tensor_scale_bytes ? &tensor_scale : nullptr;
    mfq_tensor src = tensor(x_.data()), dst = tensor(y_.data());
    if (mfq_quantize(context, &src, &q, nullptr) || mfq_dequantize(context, &q, &dst)) return 0;
    uint64_t h =
        hash(y_.data(), y_.size() * 4, hash(scales.data(), sizes.scales_bytes, hash(codes.data(), codes.size())));
    if (mfq_fake_quantize(context, &scheme, &src, &dst, nullptr)) return 0;
    h = hash(y_.data(), y_.size() * 4, h);
    q.scheme.rule = MFQ_RULE_GIVEN;
    q.codes = nullptr;
    if (mfq_fake_quantize_given(context, &q, &src, &dst)) return 0;
    return hash(y_.data(), y_.size() * 4, h);
  }

  /* Of small integers, so that every order of sums has one result. `way`: where to say how it was computed. */
  uint64_t product(mfq_context *context, std::string *way = nullptr) {
    std::vector<float> a(SIZE * SIZE);
    for (size_t i = 0; i < a.size(); ++i) a[i] = (float)((i * 7919) % 5) - 2.0f;
    mfq_tensor src = tensor(a.data()), dst = tensor(y_.data());
    mfq_scheme scheme;
    mfq_gemm gemm;
    mfq_gemm_plan *plan = nullptr;
    mfq_gemm_init(&gemm);
    gemm.a.plain = gemm.b.plain = &src;
    gemm.a.quantize_to = gemm.b.quantize_to = &scheme;
    gemm.transpose_b = 1;
    gemm.d = &dst;
    gemm.own_workspace = 1;
    if (mfq_scheme_parse("mxfp8_e4m3", &scheme) || mfq_gemm_plan_create(context, &gemm, &plan)) return 0;
    if (way != nullptr) *way = mfq_gemm_plan_describe(plan);
    const mfq_status status = mfq_gemm_run(context, plan, &gemm, nullptr, 0);
    mfq_gemm_plan_destroy(plan);
    return status == MFQ_OK ? hash(y_.data(), y_.size() * 4) : 0;
  }

  /* Everything, in a context of its own. */
  uint64_t all(int threads) {
    mfq_context_options options;
    mfq_context_options_init(&options);
    options.threads = threads;
    mfq_context *context = nullptr;
    if (mfq_context_create(&options, &context)) return 0;
    uint64_t h = product(context);
    for (const char *text : {"mxfp8_e4m3", "nvfp4", "int8_channel", "int4_group32_zp", "e3m2/tensor/f32"}) {
      const uint64_t of_scheme = casts(context, text);
      h = h == 0 || of_scheme == 0 ? 0 : h * 31 + of_scheme;
    }
    mfq_context_destroy(context);
    return h;
  }

  static mfq_tensor tensor(float *data) {
    const int64_t shape[] = {SIZE, SIZE};
    mfq_tensor t;
    EXPECT_EQ(mfq_tensor_init(data, MFQ_DTYPE_F32, 2, shape, &t), MFQ_OK);
    return t;
  }

private:
  static uint64_t hash(const void *bytes, size_t n, uint64_t h = 1469598103934665603u) {
    for (size_t i = 0; i < n; ++i) h = (h ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
    return h | 1;
  }

  std::vector<float> x_, y_;
};

} // namespace mfq_test

#endif
