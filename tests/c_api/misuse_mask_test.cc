// Bad arguments of masks, and of what takes them: a status, a sentence, and nothing written.
#include <mfq/mfq.h>

#include <string>
#include <vector>

#include "support/misuse.h"

namespace {

using namespace misuse;

class MisuseMask : public Misuse {
protected:
  void SetUp() override {
    Misuse::SetUp();
    ASSERT_EQ(mfq_scheme_parse("mxfp4_e2m1", &scheme), MFQ_OK);
    const int64_t shape[] = {4, 64};
    ASSERT_EQ(mfq_mask_init(&scheme, 2, shape, &mask), MFQ_OK) << mfq_last_error();
    mask.bits = bits.data();
    mfq_fake_forward_init(&forward);
    forward.scheme = &scheme;
    forward.src = &src;
    forward.dst = &dst;
    forward.scales = &scales;
    forward.mask = &mask;
    mfq_fake_gradient_init(&backward);
    backward.scheme = &scheme;
    backward.ste = MFQ_STE_CLIPPED;
    backward.upstream = &src;
    backward.dx = &dst;
    backward.mask = &mask;
  }
  mfq_status run(const mfq_fake_forward &f) { return mfq_fake_quantize_forward(context, &f); }
  mfq_status run(const mfq_fake_gradient &g) { return mfq_fake_quantize_backward(context, &g); }
  bool is_untouched() const {
    return out == std::vector<float>(out.size(), -7.0f) && bits == std::vector<uint8_t>(bits.size(), mark);
  }

  std::vector<float> in = std::vector<float>(4 * 64 + 8, 0.5f), out = std::vector<float>(4 * 64 + 8, -7.0f);
  std::vector<uint8_t> bits = std::vector<uint8_t>(40, mark);
  mfq_scheme scheme;
  mfq_mask mask;
  mfq_fake_forward forward;
  mfq_fake_gradient backward;
  mfq_tensor src = dense(in.data(), MFQ_DTYPE_F32, {4, 64}), dst = dense(out.data(), MFQ_DTYPE_F32, {4, 64});
  mfq_tensor scales = dense(&out[256], MFQ_DTYPE_F32, {4, 2});
};

TEST_F(MisuseMask, InitAndBytes) {
  const int64_t shape[] = {3, -1};
  size_t bytes = 77;
  mfq_mask made = mask;
  EXPECT_TRUE(fails(mfq_mask_init(nullptr, 2, shape, &made), invalid, {"mfq_mask_init: scheme is NULL"}));
  EXPECT_TRUE(fails(mfq_mask_init(&scheme, 2, nullptr, &made), invalid, {"mfq_mask_init: shape is NULL"}));
  EXPECT_TRUE(fails(mfq_mask_init(&scheme, 2, shape, nullptr), invalid, {"mfq_mask_init: mask is NULL"}));
  EXPECT_TRUE(fails(mfq_mask_init(&scheme, 9, shape, &made), bad_shape, {"mfq_mask_init: mask: rank is 9"}));
  EXPECT_TRUE(fails(mfq_mask_init(&scheme, 2, shape, &made), bad_shape, {"mfq_mask_init: mask: shape[1] is -1"}));
  EXPECT_EQ(made.bits, mask.bits) << "nothing is half-written";
  made.scheme.group_size = 0;
  EXPECT_TRUE(fails(mfq_mask_bytes(&made, &bytes), invalid, {"mfq_mask_bytes: mask: group_size is 0"}));
  EXPECT_TRUE(fails(mfq_mask_bytes(nullptr, &bytes), invalid, {"mfq_mask_bytes: mask is NULL"}));
  EXPECT_TRUE(fails(mfq_mask_bytes(&mask, nullptr), invalid, {"mfq_mask_bytes: bytes is NULL"}));
  EXPECT_EQ(bytes, 77u);
  made = mask;
  made.scheme.rotation = 32;
  EXPECT_TRUE(fails(mfq_mask_bytes(&made, &bytes), MFQ_ERROR_UNSUPPORTED,
                    {"mfq_mask_bytes: mask: the scheme rotates elements (hadamard:32), of which there are no masks"}));
  const int64_t vast[] = {1, int64_t{1} << 40};
  ASSERT_EQ(mfq_mask_init(&scheme, 2, vast, &made), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_mask_bytes(&made, &bytes), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(bytes, size_t{1} << 37);
  ASSERT_EQ(mfq_mask_init(&scheme, 0, nullptr, &made), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_mask_bytes(&made, &bytes), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(bytes, 1u);
  EXPECT_EQ(made.bits, nullptr);
}

TEST_F(MisuseMask, Forward) {
  using Forward = mfq_fake_forward;
  const Owned owned("mxfp4_e2m1/ue8m0:given", {4, 64});
  mfq_scheme given;
  ASSERT_EQ(mfq_scheme_parse("mxfp4_e2m1/ue8m0:given", &given), MFQ_OK);
  EXPECT_TRUE(fails(mfq_fake_quantize_forward(nullptr, &forward), invalid, {"context is NULL"}));
  EXPECT_TRUE(fails(mfq_fake_quantize_forward(context, nullptr), invalid, {"forward is NULL"}));
  const std::vector<Bad<Forward>> fields = {
      {[](Forward *f) { f->struct_size = 8; },
       invalid,
       {"forward->struct_size is 8", "call mfq_fake_forward_init first"}},
      {[](Forward *f) { f->scheme = nullptr; }, invalid, "forward: scheme and given are both NULL; give one of them"},
      {[&](Forward *f) { f->given = &owned.q; }, invalid, "forward: scheme and given are both given; give one of them"},
      {[&](Forward *f) { f->scheme = &given; }, invalid,
       "forward->scheme: rule given reads scales, which a scheme alone does not bring; set forward->given instead"},
      {[&](Forward *f) { f->scheme = nullptr, f->given = &owned.q; },
       invalid,
       {"forward->scales is given, but scales are read from forward->given, not measured; leave it NULL"}},
      {[](Forward *f) { f->src = nullptr; }, invalid, "forward->src is NULL"},
      {[](Forward *f) { f->dst = nullptr; }, invalid, "forward->dst is NULL"},
  };
  expect_refused(fields, forward, "mfq_fake_quantize_forward: ", [&](const Forward *f) { return run(*f); });
  mfq_qtensor q = owned.q;
  q.scheme.rule = MFQ_RULE_FLOOR;
  mfq_fake_forward f = forward;
  f.scheme = nullptr;
  f.scales = nullptr;
  f.given = &q;
  EXPECT_TRUE(fails(run(f), invalid,
                    {"forward->given: the scheme's rule is floor, but scales are read here; allowed is given "
                     "(\"ue8m0:given\"), or forward->scheme, whose scales are measured"}));
  mfq_fake_forward_init(nullptr);
  EXPECT_TRUE(is_untouched());
  EXPECT_EQ(run(forward), MFQ_OK) << mfq_last_error();
}

/* Spoilt masks, which both directions refuse in the same words. */
TEST_F(MisuseMask, MasksOfOthers) {
  const std::vector<Bad<mfq_mask>> masks = {
      {[](mfq_mask *m) { m->bits = nullptr; }, invalid, "->mask: bits is NULL, but needs 32 bytes (mfq_mask_bytes)"},
      {[](mfq_mask *m) { m->shape[0] = 5; }, bad_shape,
       "->mask: shape is [5, 64], but the fake quantization has [4, 64]; they must be equal"},
      {[](mfq_mask *m) { m->rank = 1; }, bad_shape, "->mask: shape is [4], but the fake quantization has [4, 64]"},
      {[](mfq_mask *m) { m->rank = -1; }, bad_shape, "->mask: rank is -1"},
      {[](mfq_mask *m) { m->scheme.group_size = 16; },
       invalid,
       {"->mask: the scheme is e2m1/group:16/ue8m0, but the fake quantization has mxfp4_e2m1; they must be equal"}},
      {[](mfq_mask *m) { m->scheme.rounding = MFQ_ROUND_STOCHASTIC; }, invalid, "round:stochastic, but the fake"},
      {[](mfq_mask *m) { m->scheme.group_size = -1; }, invalid, "->mask: group_size is -1"},
      {[&](mfq_mask *m) { m->bits = reinterpret_cast<uint8_t *>(out.data()) + 1020; }, invalid, "overlap in memory"},
      {[](mfq_mask *m) { m->bits = reinterpret_cast<void *>(UINTPTR_MAX - 4); }, bad_shape,
       "->mask: bits of 32 bytes leaves the address space"},
  };
  expect_refused(masks, mask, "mfq_fake_quantize_forward: ", [&](const mfq_mask *m) {
    mfq_fake_forward f = forward;
    f.mask = m;
    return run(f);
  });
  expect_refused(masks, mask, "mfq_fake_quantize_backward: ", [&](const mfq_mask *m) {
    mfq_fake_gradient g = backward;
    g.mask = m;
    return run(g);
  });
  EXPECT_TRUE(is_untouched());
}

TEST_F(MisuseMask, Backward) {
  using Gradient = mfq_fake_gradient;
  std::vector<float> sums(16, -7.0f);
  const mfq_tensor per_scale = dense(sums.data(), MFQ_DTYPE_F32, {4, 2});
  const std::vector<Bad<Gradient>> fields = {
      {[](Gradient *g) { g->ste = MFQ_STE_IDENTITY; }, invalid,
       "gradient: mask is given, but ste is 0; allowed is MFQ_STE_CLIPPED (1): identity passes everywhere"},
      {[](Gradient *g) { g->ste = MFQ_STE_BREVITAS; }, invalid,
       "gradient: mask is given, but ste is 2; allowed is MFQ_STE_CLIPPED (1): slopes need src; leave mask NULL"},
      {[&](Gradient *g) { g->grad_scale = &per_scale; }, invalid,
       "gradient: mask and grad_scale are both given, but grad_scale needs src"},
      {[&](Gradient *g) { g->grad_zero_point = &per_scale; }, invalid, "but grad_zero_point needs src"},
      {[](Gradient *g) { g->through_scale = 1; }, invalid, "but through_scale needs src"},
      {[](Gradient *g) { g->mask = nullptr; }, invalid, "gradient->src is NULL"},
      {[](Gradient *g) { g->upstream = nullptr; }, invalid, "gradient->upstream is NULL"},
  };
  expect_refused(fields, backward, "mfq_fake_quantize_backward: ", [&](const Gradient *g) { return run(*g); });
  mfq_mask other = mask;
  mfq_fake_gradient g = backward;
  g.mask = &other;
  other.scheme.rule = MFQ_RULE_EVEN;
  EXPECT_TRUE(fails(run(g), invalid,
                    {"gradient->mask: the scheme is mxfp4_e2m1_even, but the fake quantization has mxfp4_e2m1"}));
  other = mask;
  other.bits = reinterpret_cast<uint8_t *>(out.data()) + 100;
  EXPECT_TRUE(fails(run(g), invalid, {"gradient->dx.data and gradient->mask.bits overlap in memory"}));
  mfq_tensor t = dst;
  t.shape[0] = 3;
  g = backward;
  g.dx = &t;
  EXPECT_TRUE(fails(run(g), bad_shape, {"gradient->dx: shape is [3, 64], but gradient->upstream has [4, 64]"}));
  EXPECT_TRUE(is_untouched());
  EXPECT_EQ(run(backward), MFQ_OK) << mfq_last_error();
}

/* What nobody reads may be missing; what is only read may be shared. */
TEST_F(MisuseMask, Legal) {
  Owned owned("mxfp4_e2m1/ue8m0:given", {4, 64});
  mfq_fake_gradient g = backward;
  owned.q.codes = owned.q.scales = nullptr;
  mask.scheme = owned.q.scheme;
  g.scheme = nullptr;
  g.given = &owned.q;
  EXPECT_EQ(run(g), MFQ_OK) << mfq_last_error();
  mask.bits = in.data();
  EXPECT_EQ(run(g), MFQ_OK) << mfq_last_error();
  mask.bits = bits.data();
  g.src = &src; /* is checked, and not read */
  EXPECT_EQ(run(g), MFQ_OK) << mfq_last_error();
  g.upstream = g.dx = &dst;
  EXPECT_EQ(run(g), MFQ_OK) << mfq_last_error();
  g.upstream = &src;
  g.dx = &src;
  g.src = nullptr;
  EXPECT_EQ(run(g), MFQ_OK) << mfq_last_error();
}

} // namespace
