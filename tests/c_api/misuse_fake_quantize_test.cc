// Bad arguments of fake_quantize; and arguments at the edge that no operation may refuse.
#include <mfq/mfq.h>

#include <string>
#include <vector>

#include "support/misuse.h"

namespace {

using namespace misuse;

class MisuseFakeQuantize : public Misuse {};

TEST_F(MisuseFakeQuantize, Arguments) {
  std::vector<float> in(4 * 64 + 8, 0.5f), out(4 * 64 + 8, -7.0f), scale_data(8 + 2, -7.0f);
  const std::vector<float> before = out;
  const mfq_tensor src = dense(in.data(), MFQ_DTYPE_F32, {4, 64}), dst = dense(out.data(), MFQ_DTYPE_F32, {4, 64});
  const mfq_tensor scales = dense(scale_data.data(), MFQ_DTYPE_F32, {4, 2});
  mfq_scheme s;
  ASSERT_EQ(mfq_scheme_parse(scheme_text, &s), MFQ_OK);
  const auto run = [&](const mfq_scheme *a, const mfq_tensor *b, const mfq_tensor *c, const mfq_tensor *d) {
    return mfq_fake_quantize(context, a, b, c, d);
  };
  EXPECT_TRUE(fails(mfq_fake_quantize(nullptr, &s, &src, &dst, nullptr), invalid, {"context is NULL"}));
  EXPECT_TRUE(fails(run(nullptr, &src, &dst, nullptr), invalid, {"mfq_fake_quantize: scheme is NULL"}));
  EXPECT_TRUE(fails(run(&s, nullptr, &dst, nullptr), invalid, {"mfq_fake_quantize: src is NULL"}));
  EXPECT_TRUE(fails(run(&s, &src, nullptr, nullptr), invalid, {"mfq_fake_quantize: dst is NULL"}));
  expect_refused(
      bad_tensors(false), src, "mfq_fake_quantize: ", [&](const mfq_tensor *t) { return run(&s, t, &dst, &scales); });
  expect_refused(
      bad_tensors(true), dst, "mfq_fake_quantize: ", [&](const mfq_tensor *t) { return run(&s, &src, t, &scales); });
  const std::vector<Bad<mfq_scheme>> schemes = {
      {[](mfq_scheme *b) { b->group_size = -1; }, invalid, "scheme: group_size is -1"},
      {[](mfq_scheme *b) { b->axis = 2; }, bad_shape, "axis is 2"},
      {[](mfq_scheme *b) { b->rule = MFQ_RULE_GIVEN; }, invalid, {"rule given", "use mfq_fake_quantize_given"}},
  };
  expect_refused(
      schemes, s, "mfq_fake_quantize: ", [&](const mfq_scheme *b) { return run(b, &src, &dst, nullptr); });
  const std::vector<Bad<mfq_tensor>> of_scales = {
      {[](mfq_tensor *t) { t->dtype = MFQ_DTYPE_F16; }, invalid, "scales: dtype is f16; allowed is f32"},
      {[](mfq_tensor *t) { t->shape[1] = 1; }, bad_shape,
       "scales: shape is [4, 1]; allowed is the scale shape, [4, 2]"},
      {[](mfq_tensor *t) { t->strides[0] = 1; }, invalid, "scales: strides [1, 1]"},
  };
  expect_refused(of_scales, scales, "mfq_fake_quantize: ", [&](const mfq_tensor *t) { return run(&s, &src, &dst, t); });
  EXPECT_EQ(out, before);
  ASSERT_EQ(run(&s, &src, &dst, &scales), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(run(&s, &src, &dst, nullptr), MFQ_OK) << mfq_last_error();
}

TEST_F(MisuseFakeQuantize, Overlap) {
  std::vector<float> data(4 * 64 + 8, 0.5f), out(4 * 64);
  mfq_scheme s;
  ASSERT_EQ(mfq_scheme_parse(scheme_text, &s), MFQ_OK);
  const mfq_tensor src = dense(data.data(), MFQ_DTYPE_F32, {4, 64}), dst = dense(out.data(), MFQ_DTYPE_F32, {4, 64});
  EXPECT_EQ(mfq_fake_quantize(context, &s, &src, &src, nullptr), MFQ_OK) << mfq_last_error();
  const char *says = "src.data and dst.data overlap";
  const std::vector<Bad<mfq_tensor>> targets = {
      {[&](mfq_tensor *t) { t->data = &data[1]; }, invalid, says},
      {[](mfq_tensor *t) { t->strides[0] = 1, t->strides[1] = 4; }, invalid, says},
      {[](mfq_tensor *t) { t->dtype = MFQ_DTYPE_BF16; }, invalid, says},
  };
  expect_refused(targets, src, "mfq_fake_quantize: ", [&](const mfq_tensor *t) {
    return mfq_fake_quantize(context, &s, &src, t, nullptr);
  });
  const mfq_tensor over_dst = dense(&out[248], MFQ_DTYPE_F32, {4, 2}),
                   over_src = dense(&data[248], MFQ_DTYPE_F32, {4, 2});
  struct Call {
    const mfq_tensor *dst, *scales;
  };
  const std::vector<Bad<Call>> calls = {
      {[&](Call *c) { c->scales = &over_dst; }, invalid, "dst.data and scales.data overlap"},
      {[&](Call *c) { c->scales = &over_src; }, invalid, "src.data and scales.data overlap"},
      {[&](Call *c) { c->dst = &src, c->scales = &over_src; }, invalid, "dst.data and scales.data overlap"},
  };
  expect_refused(calls, Call{&dst, nullptr}, "mfq_fake_quantize: ", [&](const Call *c) {
    return mfq_fake_quantize(context, &s, &src, c->dst, c->scales);
  });
}

TEST_F(MisuseFakeQuantize, Given) {
  std::vector<float> in(4 * 64 + 8, 0.5f), out(4 * 64 + 8, -7.0f);
  const std::vector<float> before = out;
  const mfq_tensor src = dense(in.data(), MFQ_DTYPE_F32, {4, 64}), dst = dense(out.data(), MFQ_DTYPE_F32, {4, 64});
  Owned own("int4/group:16/f32:given/zp", {4, 64}), nv("nvfp4/ue4m3:given", {4, 64});
  const auto run = [&](const mfq_qtensor *q, const mfq_tensor *a, const mfq_tensor *b) {
    return mfq_fake_quantize_given(context, q, a, b);
  };
  EXPECT_TRUE(fails(mfq_fake_quantize_given(nullptr, &own.q, &src, &dst), invalid, {"context is NULL"}));
  EXPECT_TRUE(fails(run(nullptr, &src, &dst), invalid, {"mfq_fake_quantize_given: q is NULL"}));
  EXPECT_TRUE(fails(run(&own.q, nullptr, &dst), invalid, {"mfq_fake_quantize_given: src is NULL"}));
  EXPECT_TRUE(fails(run(&own.q, &src, nullptr), invalid, {"mfq_fake_quantize_given: dst is NULL"}));
  const std::string prefix = "mfq_fake_quantize_given: ";
  std::vector<Bad<mfq_tensor>> targets = bad_tensors(true);
  targets.push_back({[&](mfq_tensor *t) { *t = src, t->data = &in[1]; }, invalid, "src.data and dst.data overlap"});
  expect_refused(
      bad_tensors(false), src, prefix, [&](const mfq_tensor *t) { return run(&own.q, t, &dst); });
  expect_refused(
      targets, dst, prefix, [&](const mfq_tensor *t) { return run(&own.q, &src, t); });
  const std::vector<Bad<mfq_qtensor>> rows = {
      {[](mfq_qtensor *q) { q->scheme.rule = MFQ_RULE_ABSMAX; },
       invalid,
       {"q: the scheme's rule is absmax", "allowed is given (\"f32:given\")", "mfq_fake_quantize"}},
      {[](mfq_qtensor *q) { q->shape[1] = 63; }, bad_shape, "q: shape is [4, 63], but src has [4, 64]"},
      {[](mfq_qtensor *q) { q->scales = nullptr; }, invalid, "q: scales is NULL, but needs 64 bytes"},
      {[](mfq_qtensor *q) { q->zero_points = nullptr; }, invalid, "q: zero_points is NULL, but needs 16 bytes"},
      {[&](mfq_qtensor *q) { *q = nv.q, q->tensor_scale = nullptr; }, invalid,
       "q: tensor_scale is NULL, but needs 4 bytes"},
      {[&](mfq_qtensor *q) { q->scales = out.data() + 250; }, invalid, "dst.data and q.scales overlap"},
  };
  expect_refused(rows, own.q, prefix, [&](const mfq_qtensor *q) { return run(q, &src, &dst); });
  mfq_qtensor q = own.q;
  q.zero_points = in.data();
  EXPECT_TRUE(fails(run(&q, &src, &src), invalid, {"dst.data and q.zero_points overlap"}));
  EXPECT_EQ(out, before);
  q = own.q;
  q.codes = nullptr;
  EXPECT_EQ(run(&q, &src, &dst), MFQ_OK) << mfq_last_error();
  q.codes = out.data(); // not used, so it may be anything
  q.scales = in.data(); // what is only read may be shared
  EXPECT_EQ(run(&q, &src, &dst), MFQ_OK) << mfq_last_error();
}

// Nothing is refused for being empty, of rank 0, or strided.
TEST_F(MisuseFakeQuantize, LegalExtremes) {
  for (const std::vector<int64_t> &shape :
       {std::vector<int64_t>{}, {0}, {1}, {0, 64}, {64, 0}, {1, 1, 1, 1, 1, 1, 1, 3}}) {
    Owned own(scheme_text, shape);
    std::vector<float> in(8, 0.5f), out(8);
    int64_t count = 1;
    for (int64_t size : shape) count *= size;
    const mfq_tensor src = dense(count > 0 ? in.data() : nullptr, MFQ_DTYPE_F32, shape);
    const mfq_tensor dst = dense(count > 0 ? out.data() : nullptr, MFQ_DTYPE_F32, shape);
    SCOPED_TRACE("rank " + std::to_string(shape.size()) + ", " + std::to_string(count) + " elements");
    ASSERT_EQ(mfq_quantize(context, &src, &own.q, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_dequantize(context, &own.q, &dst), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_fake_quantize(context, &own.q.scheme, &src, &dst, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_expand_scales(context, &own.q, &dst), MFQ_OK) << mfq_last_error();
  }
  std::vector<float> data(4 * 64, 0.5f);
  Owned own(scheme_text, {4, 64});
  mfq_tensor t = dense(data.data(), MFQ_DTYPE_F32, {4, 64});
  ASSERT_EQ(mfq_quantize(context, &t, &own.q, nullptr), MFQ_OK) << mfq_last_error();
  t.strides[0] = 1;
  t.strides[1] = 4;
  EXPECT_EQ(mfq_dequantize(context, &own.q, &t), MFQ_OK) << mfq_last_error();
  t.data = &data[3];
  t.strides[0] = -1;
  EXPECT_EQ(mfq_dequantize(context, &own.q, &t), MFQ_OK) << mfq_last_error();
  t = dense(data.data(), MFQ_DTYPE_F32, {1, 64});
  t.strides[0] = 0; // of an axis with one index the stride does not matter
  Owned flat(scheme_text, {1, 64});
  ASSERT_EQ(mfq_quantize(context, &t, &flat.q, nullptr), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_dequantize(context, &flat.q, &t), MFQ_OK) << mfq_last_error();
}

} // namespace
