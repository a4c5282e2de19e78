// Bad arguments of the backward of fake quantization: a status, a sentence, and nothing written.
#include <mfq/mfq.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "support/misuse.h"

namespace {

using namespace misuse;

class MisuseGradient : public Misuse {
protected:
  void SetUp() override {
    Misuse::SetUp();
    ASSERT_EQ(mfq_scheme_parse("int8/group:32/f32/zp", &scheme), MFQ_OK);
    mfq_fake_gradient_init(&good);
    good.scheme = &scheme;
    good.src = &src;
    good.upstream = &upstream;
    good.dx = &dx;
    good.grad_scale = &grad_scale;
    good.grad_zero_point = &grad_zero_point;
  }
  mfq_status run(const mfq_fake_gradient &g) { return mfq_fake_quantize_backward(context, &g); }
  bool is_untouched() const { return out == std::vector<float>(out.size(), -7.0f); }

  std::vector<float> in = std::vector<float>(4 * 64 + 8, 0.5f), out = std::vector<float>(4 * 64 + 32, -7.0f);
  mfq_scheme scheme;
  mfq_fake_gradient good;
  mfq_tensor src = dense(in.data(), MFQ_DTYPE_F32, {4, 64}), upstream = src;
  mfq_tensor dx = dense(out.data(), MFQ_DTYPE_F32, {4, 64});
  mfq_tensor grad_scale = dense(&out[256], MFQ_DTYPE_F32, {4, 2}),
             grad_zero_point = dense(&out[264], MFQ_DTYPE_F32, {4, 2});
};

TEST_F(MisuseGradient, Fields) {
  EXPECT_TRUE(fails(mfq_fake_quantize_backward(nullptr, &good), invalid, {"context is NULL"}));
  EXPECT_TRUE(fails(mfq_fake_quantize_backward(context, nullptr), invalid, {"gradient is NULL"}));
  const Owned owned("int8/group:32/f32:given/zp", {4, 64});
  using Gradient = mfq_fake_gradient;
  const std::vector<Bad<Gradient>> fields = {
      {[](Gradient *g) { g->struct_size = 8; },
       invalid,
       {"gradient->struct_size is 8", "call mfq_fake_gradient_init first"}},
      {[](Gradient *g) { set_raw(&g->ste, 3); }, invalid, "gradient: ste is 3; allowed is 0 ... 2"},
      {[](Gradient *g) { g->through_scale = 2; }, invalid, "gradient: through_scale is 2; allowed is 0 ... 1"},
      {[](Gradient *g) { g->log2_scale = -1; }, invalid, "gradient: log2_scale is -1; allowed is 0 ... 1"},
      {[](Gradient *g) { g->scheme = nullptr; }, invalid, "gradient: scheme and given are both NULL; give one of them"},
      {[&](Gradient *g) { g->given = &owned.q; }, invalid,
       "gradient: scheme and given are both given; give one of them"},
      {[](Gradient *g) { g->src = nullptr; }, invalid, "gradient->src is NULL"},
      {[](Gradient *g) { g->upstream = nullptr; }, invalid, "gradient->upstream is NULL"},
      {[](Gradient *g) { g->dx = nullptr; }, invalid, "gradient->dx is NULL"},
  };
  expect_refused(fields, good, "mfq_fake_quantize_backward: ", [&](const Gradient *g) { return run(*g); });
  mfq_fake_gradient_init(nullptr);
  EXPECT_TRUE(is_untouched());
}

TEST_F(MisuseGradient, Tensors) {
  const struct {
    const mfq_tensor *mfq_fake_gradient::*member;
    const mfq_tensor *tensor;
    std::vector<Bad<mfq_tensor>> bad;
  } rows[] = {
      {&mfq_fake_gradient::src, &src, bad_tensors(false)},
      {&mfq_fake_gradient::upstream, &upstream, bad_tensors(false)},
      {&mfq_fake_gradient::dx, &dx, bad_tensors(true)},
      {&mfq_fake_gradient::grad_scale,
       &grad_scale,
       {{[](mfq_tensor *t) { t->shape[1] = 1; }, bad_shape,
         "gradient->grad_scale: shape is [4, 1]; allowed is the scale shape, [4, 2]"},
        {[](mfq_tensor *t) { t->dtype = MFQ_DTYPE_BF16; }, invalid,
         "gradient->grad_scale: dtype is bf16; allowed is f32"},
        {[](mfq_tensor *t) { t->strides[1] = 0; }, invalid, "gradient->grad_scale: strides"}}},
      {&mfq_fake_gradient::grad_zero_point,
       &grad_zero_point,
       {{[](mfq_tensor *t) { t->rank = 1; }, bad_shape,
         "gradient->grad_zero_point: shape is [4]; allowed is the scale shape, [4, 2]"}}},
  };
  for (const auto &row : rows)
    expect_refused(row.bad, *row.tensor, "mfq_fake_quantize_backward: ", [&](const mfq_tensor *t) {
      mfq_fake_gradient g = good;
      g.*row.member = t;
      return run(g);
    });
  EXPECT_TRUE(is_untouched());
}

/* dx may be one of the tensors that are read; nothing else that is written may share memory. */
TEST_F(MisuseGradient, Overlap) {
  mfq_fake_gradient g = good;
  mfq_tensor t = upstream;
  t.data = &in[1];
  g.dx = &t;
  EXPECT_TRUE(fails(run(g), invalid, {"gradient->src.data and gradient->dx.data overlap"}));
  g = good;
  g.dx = &src;
  EXPECT_TRUE(fails(run(g), invalid, {"overlap"})) << "src and upstream are one memory here";
  std::vector<float> other(256, 0.25f);
  const mfq_tensor alone = dense(other.data(), MFQ_DTYPE_F32, {4, 64});
  g.upstream = &alone;
  EXPECT_EQ(run(g), MFQ_OK) << mfq_last_error();
  t = dense(&out[250], MFQ_DTYPE_F32, {4, 2});
  g = good;
  g.grad_scale = &t;
  EXPECT_TRUE(fails(run(g), invalid, {"gradient->dx.data and gradient->grad_scale.data overlap"}));
}

TEST_F(MisuseGradient, SchemesAndScales) {
  mfq_scheme other;
  mfq_fake_gradient g = good;
  g.scheme = &other;
  ASSERT_EQ(mfq_scheme_parse("int8/group:32/f32:given/zp", &other), MFQ_OK);
  EXPECT_TRUE(fails(run(g), invalid, {"gradient->scheme: rule given", "set gradient->given instead"}));
  other.group_size = -1;
  EXPECT_TRUE(fails(run(g), invalid, {"gradient->scheme: group_size is -1"}));
  ASSERT_EQ(mfq_scheme_parse("e4m3fn", &other), MFQ_OK);
  g.grad_zero_point = nullptr;
  EXPECT_TRUE(fails(run(g), invalid, {"gradient: grad_scale is given, but the scheme has no scales; leave it NULL"}));
  g.grad_scale = nullptr;
  g.through_scale = 1;
  EXPECT_TRUE(fails(run(g), invalid, {"gradient: through_scale is 1, but no scale is measured"}));
  ASSERT_EQ(mfq_scheme_parse("int8/group:32/f32", &other), MFQ_OK);
  g.grad_zero_point = &grad_zero_point;
  EXPECT_TRUE(fails(run(g), invalid, {"gradient: grad_zero_point is given, but the scheme has no zero points"}));
  EXPECT_TRUE(is_untouched());
}

TEST_F(MisuseGradient, LearnedScales) {
  Owned owned("int8/group:32/f32:given/zp", {4, 64});
  owned.zero_points.assign(owned.zero_points.size(), 0);
  mfq_fake_gradient g = good;
  g.scheme = nullptr;
  g.given = &owned.q;
  for (const float bad : {0.0f, -0.25f, NAN, INFINITY}) {
    owned.scales[5] = bad;
    EXPECT_TRUE(fails(run(g), invalid, {"gradient->given: scale 5 is ", "must be positive and finite"})) << bad;
    EXPECT_TRUE(is_untouched());
  }
  g.grad_scale = nullptr; /* nobody learns it */
  EXPECT_EQ(run(g), MFQ_OK) << mfq_last_error();
  owned.scales[5] = 1.0f;
  g.through_scale = 1;
  EXPECT_TRUE(fails(run(g), invalid, {"through_scale is 1, but no scale is measured from the elements; set it to 0"}));
  g.through_scale = 0;
  owned.q.shape[0] = 5;
  EXPECT_TRUE(fails(run(g), bad_shape, {"gradient->given: shape is [5, 64], but gradient->src has [4, 64]"}));
  owned.q.shape[0] = 4;
  owned.q.scales = nullptr;
  EXPECT_TRUE(fails(run(g), invalid, {"gradient->given: scales is NULL, but needs 32 bytes"}));
  owned.q.scales = owned.scales.data();
  owned.q.scheme.rule = MFQ_RULE_ABSMAX;
  EXPECT_TRUE(fails(run(g), invalid, {"gradient->given: the scheme's rule is absmax, but scales are read here"}));
}

} // namespace
