// The backward of fake quantization by vector loops is that of the reference, bit for bit, at the ends of the clip too.
#include <array>
#include <cmath>
#include <limits>

#include "support/operand.h"

namespace {

using namespace mfq_test;

const std::vector<mfq_ste> kVariants = {MFQ_STE_IDENTITY, MFQ_STE_CLIPPED, MFQ_STE_BREVITAS};

class GradientPaths : public testing::TestWithParam<std::string> {
protected:
  const Context fast = make_context(GetParam().c_str(), 2), reference = make_context("reference", 1);

  /* The same gradients of both, into memory that is poisoned around the elements. */
  void check(const mfq_scheme &scheme, const mfq_qtensor *given, Operand &x, Operand &dy, const Operand &to,
             const std::vector<mfq_ste> &variants = kVariants) {
    const Quantized sized(scheme, x.shape);
    const size_t scales = (size_t)sized.sizes.scale_count;
    for (const mfq_ste ste : variants)
      for (int sums = 0; sums < (scheme.scale == MFQ_SCALE_NONE ? 1 : 3); ++sums) {
        Operand got = to, want = to;
        std::vector<float> got_sums(2 * scales, kUnwritten), want_sums = got_sums;
        mfq_fake_gradient g;
        mfq_fake_gradient_init(&g);
        if (given != nullptr)
          g.given = given;
        else
          g.scheme = &scheme;
        g.ste = ste;
        g.through_scale = sums == 2 && given == nullptr;
        g.log2_scale = sums == 2;
        for (mfq_context *context : {reference.get(), fast.get()})
          ASSERT_EQ(mfq_context_set_seed(context, 17, 18), MFQ_OK);
        const mfq_status status =
            run(reference.get(), g, {x.here(), dy.here(), want.here()}, sums > 0, sized, &want_sums);
        ASSERT_TRUE(status == MFQ_OK || (given != nullptr && sums > 0)) << mfq_last_error();
        ASSERT_EQ(run(fast.get(), g, {x.here(), dy.here(), got.here()}, sums > 0, sized, &got_sums), status);
        for (size_t i = 0; i < got.bytes.size(); ++i)
          ASSERT_EQ(got.bytes[i], want.bytes[i]) << "byte " << i << ", variant " << ste << ", sums " << sums;
        ASSERT_TRUE(same_floats(got_sums, want_sums)) << "variant " << ste << ", sums " << sums;
      }
  }

  /* `sums` are those of scales, then those of zero points. */
  static mfq_status run(mfq_context *context, mfq_fake_gradient g, const std::array<mfq_tensor, 3> &tensors,
                        bool has_sums, const Quantized &sized, std::vector<float> *sums) {
    const mfq_tensor of_scale = dense(*sums, scale_shape(sized));
    mfq_tensor of_zero_point = of_scale;
    of_zero_point.data = sums->data() + sums->size() / 2;
    g.src = &tensors[0];
    g.upstream = &tensors[1];
    g.dx = &tensors[2];
    if (has_sums) g.grad_scale = &of_scale;
    if (has_sums && sized.q.scheme.zero_point) g.grad_zero_point = &of_zero_point;
    return mfq_fake_quantize_backward(context, &g);
  }
};

TEST_P(GradientPaths, EveryNamedScheme) {
  uint32_t seed = 0;
  const Shape shapes[] = {{6, 64}, {3, 129}, {33, 70}, {3, 40, 17}, {2, 5000}};
  for (const std::string &name : scheme_names())
    for (const mfq_dtype dtype : kDtypes) {
      const Shape &shape = shapes[seed % 5];
      SCOPED_TRACE(name + testing::PrintToString(shape) + mfq_dtype_name(dtype));
      const mfq_scheme scheme = parse(name);
      Quantized q(scheme, shape);
      const bool is_given = scheme.rule == MFQ_RULE_GIVEN;
      if (is_given) give_scales(&q, seed);
      Operand x(dtype, shape), dy(kDtypes[seed / 3 % 3], shape);
      x.fill_awkward(seed);
      dy.fill_awkward(seed + 1);
      check(scheme, is_given ? &q.q : nullptr, x, dy, Operand(kDtypes[seed / 9 % 3], shape));
      if (HasFatalFailure()) return;
      ++seed;
    }
}

TEST_P(GradientPaths, EveryFormatAndGranularity) {
  uint32_t seed = 0;
  for (const std::string &format : format_names())
    for (const char *rest : {"",
                             "/group:32/ue8m0:floor",
                             "/group:8@0/f32",
                             "/channel@0/f32",
                             "/channel@1/f32:ceil",
                             "/group:32/f32:floor/gain:1.3333334",
                             "/tensor/bf16",
                             "/block:4x8/ue8m0:even",
                             "/group:16/ue4m3",
                             "/group:32/f32:floor/arith:brevitas",
                             "/round:floor",
                             "/group:16/ue8m0:rceil/round:ceil",
                             "/tensor/f32/round:dpu",
                             "/group:24/f32/round:away",
                             "/channel@1/f32/zp",
                             "/group:16/f32/zp/round:zero",
                             "/f32/arith:brevitas",
                             "/group:32/ue8m0/round:stochastic",
                             "/channel@1/f32/round:stochastic",
                             "/group:24/f32/zp/round:stochastic",
                             "/round:stochastic"}) {
      mfq_scheme scheme;
      if (mfq_scheme_parse((format + rest).c_str(), &scheme) != MFQ_OK) continue;
      SCOPED_TRACE(format + rest);
      const Shape shape = {33, 70};
      Operand x(kDtypes[seed % 2], shape), dy(MFQ_DTYPE_F32, shape);
      x.fill_awkward(seed);
      dy.fill_awkward(seed + 1);
      check(scheme, nullptr, x, dy, Operand(MFQ_DTYPE_F32, shape));
      if (HasFatalFailure()) return;
      ++seed;
    }
  EXPECT_GT(seed, 250u);
}

/* Whatever boxes the elements of a scale are, and whether these are subtrees of its sum. Few values and many equal ones:
 * the first of several extremes is the one, or all of them are. Terms that are all -0 tell where +0 is added to them. */
TEST_P(GradientPaths, SumsOfBoxes) {
  const struct {
    const char *scheme;
    Shape shape;
  } rows[] = {{"int8n/channel@0/f32/arith:brevitas", {3, 4112}},
              {"brevitas:Int8WeightPerChannelFloat", {5, 70}},
              {"e4m3fn/channel@1/f32", {2, 3, 64}},
              {"int8/channel@1/f32/zp", {2, 2, 8192}},
              {"int4/channel@1/f32:ceil", {2, 3, 49}},
              {"int8/channel@1/f32", {200, 70}},
              {"uint8/channel@2/f32/zp", {1, 2, 4100}},
              {"e2m1/channel@1/f32", {4, 7, 33}},
              {"int8/tensor/f32", {1, 10000}},
              {"uint4/tensor/f32/zp", {3, 70}},
              {"int8/tensor/f32/stat:minmax", {300}},
              {"e4m3fn/block:4x8/f32", {33, 70}},
              {"int8/block:3x24/f32/zp", {7, 50}},
              {"e2m1/block:2x8192/ue8m0", {3, 9000}},
              {"e5m2/block:16x16/ue4m3", {40, 40}},
              {"int8/group:4112/f32", {1, 8300}},
              {"int4/group:16@0/f32/zp", {37, 45}},
              {"mxfp8_e4m3/round:stochastic", {3, 97}},
              {"e2m1/group:6@1/ue4m3", {2, 13, 50}},
              {"int8/group:16/f32/zp/arith:brevitas", {3, 41}},
              {"int8/group:16/f32/stat:minmax", {3, 41}},
              {"uint8/channel@1/f32/zp/round:stochastic", {70, 9}},
              {"int8/group:16/bf16/round:floor", {4, 48}}};
  uint32_t seed = 0;
  for (const auto &row : rows)
    for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16})
      for (const int spread : {4, 1, 0}) { /* how many powers of two elements have; 0: elements are -1, gradients -0 */
        SCOPED_TRACE(row.scheme + text_of(row.shape) + mfq_dtype_name(dtype) + std::to_string(spread));
        std::mt19937 generator(++seed);
        Operand x(dtype, row.shape), dy(dtype, row.shape);
        x.fill([&](size_t) {
          const float value =
              std::ldexp(1 + (float)(generator() % 16) / 16, (int)(generator() % (uint32_t)(spread + 1)));
          return bits_in(dtype, spread == 0 ? -1.0f : generator() % 2 ? -value : value);
        });
        dy.fill([&](size_t) { return bits_in(dtype, spread == 0 ? -0.0f : (float)(int)(generator() % 65) / 16 - 2); });
        check(parse(row.scheme), nullptr, x, dy, Operand(dtype, row.shape), {MFQ_STE_CLIPPED, MFQ_STE_IDENTITY});
        if (HasFatalFailure()) return;
      }
}

/* Gradients that take the place of what they are made of, with what scales send back. */
TEST_P(GradientPaths, InPlace) {
  for (const char *text : {"int8/channel@1/f32", "int8/tensor/f32", "e4m3fn/block:4x8/f32", "mxfp8_e4m3"})
    for (const bool is_upstream : {false, true}) {
      SCOPED_TRACE(text);
      const Shape shape = {33, 70};
      const mfq_scheme scheme = parse(text);
      const Quantized sized(scheme, shape);
      Operand x(MFQ_DTYPE_F32, shape), dy(MFQ_DTYPE_F32, shape), dx(MFQ_DTYPE_F32, shape);
      x.fill_awkward(6, true);
      dy.fill_awkward(7, true);
      std::vector<float> sums(2 * (size_t)sized.sizes.scale_count);
      mfq_fake_gradient g;
      mfq_fake_gradient_init(&g);
      g.scheme = &scheme;
      g.ste = MFQ_STE_CLIPPED;
      g.through_scale = 1;
      ASSERT_EQ(run(fast.get(), g, {x.here(), dy.here(), dx.here()}, false, sized, &sums), MFQ_OK);
      Operand &replaced = is_upstream ? dy : x;
      ASSERT_EQ(run(fast.get(), g, {x.here(), dy.here(), replaced.here()}, false, sized, &sums), MFQ_OK);
      EXPECT_EQ(replaced.bytes, dx.bytes);
    }
}

/* Elements a few float32 steps around where the clip begins, under scales of any significand. */
TEST_P(GradientPaths, AroundTheEnds) {
  std::mt19937 generator(3);
  for (const char *text :
       {"e4m3fn/channel@0/f32:given", "e2m1/group:16/bf16:given", "int8/channel@0/f32:given",
        "uint4/group:32/f32:given/zp", "e4m3fn/channel@0/f32:given/round:floor", "e5m2/group:8@0/f16:given/round:ceil",
        "ue4m3fn/channel@0/f32:given", "mxfp4_e2m1", "e3m2/group:32/ue8m0:given",
        "e4m3fn/channel@0/f32:given/round:stochastic", "uint4/group:32/f32:given/zp/round:stochastic",
        "mxfp4_e2m1/round:stochastic", "int8/group:8@0/f32:given/round:stochastic"}) {
    SCOPED_TRACE(text);
    const Shape shape = {64, 128};
    const mfq_scheme scheme = parse(text);
    Quantized q(scheme, shape);
    const bool is_given = scheme.rule == MFQ_RULE_GIVEN;
    if (is_given) give_scales(&q, 11);
    for (size_t i = 0; i + 3 < q.sizes.scales_bytes && scheme.scale == MFQ_SCALE_F32; i += 4) {
      const float scale = std::ldexp(1 + (float)(generator() % 8388608) / 8388608.0f, (int)(generator() % 20) - 10);
      std::memcpy(&q.scales[i], &scale, 4);
    }
    const std::vector<float> scales =
        is_given ? expanded_scales(reference.get(), q, shape) : std::vector<float>(64 * 128, 1.0f);
    mfq_format_info info;
    ASSERT_EQ(mfq_format_info_get(&scheme.element, &info), MFQ_OK);
    const double step =
        scheme.element.kind == MFQ_KIND_INTEGER ? 1.0 : std::ldexp(1.0, info.emax - scheme.element.man_bits);
    Operand x(MFQ_DTYPE_F32, shape), dy(MFQ_DTYPE_F32, shape);
    x.fill([&](size_t i) {
      const double ends[] = {
          info.max_finite + step / 2, info.max_finite + step,      info.max_finite, info.min_finite - step / 2,
          info.min_finite - step,     -info.max_finite - step / 2, info.min_normal, 0.0};
      const double zero_point = scheme.zero_point ? (double)(generator() % 16) : 0.0;
      float at = (float)((ends[generator() % 8] - zero_point) * scales[i]);
      for (uint32_t k = generator() % 4; k > 0; --k) at = std::nextafter(at, generator() % 2 ? 1e30f : -1e30f);
      return float_bits(at);
    });
    dy.fill([&](size_t i) { return float_bits((float)i + 1); });
    check(scheme, is_given ? &q.q : nullptr, x, dy, Operand(MFQ_DTYPE_F32, shape));
    if (HasFatalFailure()) return;
  }
}

/* bf16 alone has loops of its own: every number there is, under scales of which many cut through it. */
TEST_P(GradientPaths, EveryBf16) {
  const Shape shape = {256, 256};
  Operand x(MFQ_DTYPE_BF16, shape), dy(MFQ_DTYPE_BF16, shape);
  x.fill([](size_t i) { return (uint32_t)i; });
  dy.fill([](size_t i) { return (uint32_t)(i * 40503u) & 0xffff; });
  for (const char *text :
       {"e4m3fn", "int8", "ue4m3fn", "e2m1/channel@0/f32:given", "int8/group:16@0/f32:given",
        "uint8/group:32/f32:given/zp", "e3m2/group:32/ue8m0:given", "e4m3fn/round:stochastic",
        "e2m1/channel@0/f32:given/round:stochastic", "uint8/group:32/f32:given/zp/round:stochastic"}) {
    SCOPED_TRACE(text);
    const mfq_scheme scheme = parse(text);
    Quantized q(scheme, shape);
    const bool is_given = scheme.rule == MFQ_RULE_GIVEN;
    if (is_given) give_scales(&q, 5);
    check(scheme, is_given ? &q.q : nullptr, x, dy, Operand(MFQ_DTYPE_BF16, shape));
    if (HasFatalFailure()) return;
  }
}

/* Equal strides are the loops' business, others the reference's. */
TEST_P(GradientPaths, Strides) {
  const struct {
    Shape x, dy, dx;
  } rows[] = {{{70, 1}, {70, 1}, {70, 1}},    {{96, 1}, {96, 1}, {96, 1}}, {{1, 33}, {1, 33}, {1, 33}},
              {{-70, 1}, {-70, 1}, {-70, 1}}, {{70, 1}, {96, 1}, {70, 1}}, {{210, 3}, {210, 3}, {210, 3}}};
  for (const char *text : {"mxfp8_e4m3", "int8n/channel@1/f32", "e4m3fn/tensor/f32", "e2m1/group:8@0/ue8m0:floor"})
    for (const auto &row : rows) {
      SCOPED_TRACE(text + testing::PrintToString(row.x));
      Operand x(MFQ_DTYPE_F32, {33, 70}, row.x), dy(MFQ_DTYPE_F32, {33, 70}, row.dy);
      x.fill_awkward(4);
      dy.fill_awkward(5);
      check(parse(text), nullptr, x, dy, Operand(MFQ_DTYPE_F32, {33, 70}, row.dx));
      if (HasFatalFailure()) return;
    }
}

/* A tensor means its values, wherever they lie: the gradients of strided tensors are those of dense ones. */
TEST_P(GradientPaths, StridesAreNoMatter) {
  const Shape shape = {6, 5, 32}, strides[] = {{160, 32, 1}, {1, 6, 30}, {-400, 40, -1}, {2, 400, 12}};
  for (const char *text : {"mxfp8_e4m3", "int8n/channel@1/f32", "e4m3fn/tensor/f32", "e2m1/group:4@0/ue8m0:floor",
                           "uint8/group:16/f32/zp", "e2m1/round:stochastic"}) {
    SCOPED_TRACE(text);
    const mfq_scheme scheme = parse(text);
    const Quantized sized(scheme, shape);
    std::vector<float> values[2], sums[2] = {std::vector<float>(2 * (size_t)sized.sizes.scale_count), {}};
    for (const Shape &of_x : strides)
      for (const Shape &of_dx : strides) {
        Operand x(MFQ_DTYPE_F32, shape, of_x), dy(MFQ_DTYPE_F32, shape, strides[1]), dx(MFQ_DTYPE_F32, shape, of_dx);
        const std::vector<float> elements = awkward_values(960, 3, true), upstream = awkward_values(960, 4, true);
        for (size_t i = 0; i < elements.size(); ++i) {
          x.put(x.place(i), float_bits(elements[i]));
          dy.put(dy.place(i), float_bits(upstream[i]));
        }
        mfq_fake_gradient g;
        mfq_fake_gradient_init(&g);
        g.scheme = &scheme;
        g.ste = MFQ_STE_CLIPPED;
        g.through_scale = scheme.scale != MFQ_SCALE_NONE;
        sums[1].assign(sums[0].size(), kUnwritten);
        ASSERT_EQ(run(fast.get(), g, {x.here(), dy.here(), dx.here()}, scheme.scale != MFQ_SCALE_NONE, sized, &sums[1]),
                  MFQ_OK)
            << mfq_last_error();
        values[1].clear();
        for (size_t i = 0; i < elements.size(); ++i) {
          float gradient;
          std::memcpy(&gradient, &dx.bytes[dx.place(i) * 4], 4);
          values[1].push_back(gradient);
        }
        if (values[0].empty()) values[0] = values[1], sums[0] = sums[1];
        EXPECT_TRUE(same_floats(values[1], values[0]));
        EXPECT_TRUE(same_floats(sums[1], sums[0]));
      }
  }
}

/* Too large for the caches: results are written past them. */
TEST_P(GradientPaths, LargeTensors) {
  const Shape shape = {1030, 2048};
  Operand x(MFQ_DTYPE_BF16, shape), dy(MFQ_DTYPE_F32, shape);
  x.fill_awkward(8);
  dy.fill_awkward(9);
  check(parse("mxfp8_e4m3"), nullptr, x, dy, Operand(MFQ_DTYPE_F32, shape), {MFQ_STE_CLIPPED});
}

TEST_P(GradientPaths, AreChosen) {
  for (const char *text :
       {"mxfp8_e4m3", "mxint8", "nvfp4", "int8_tensor_zp", "fp8_e4m3_channel", "e4m3fn", "nvfp4/round:stochastic"}) {
    const mfq_scheme scheme = parse(text);
    mfq_support support = MFQ_SUPPORT_NO;
    char reason[200];
    ASSERT_EQ(mfq_supported(fast.get(), MFQ_OP_FAKE_GRADIENT, &scheme, &support, reason, sizeof reason), MFQ_OK);
    EXPECT_EQ(support, MFQ_SUPPORT_FAST) << text << ": " << reason;
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, GradientPaths, testing::ValuesIn(fast_isas()), [](const auto &row) { return row.param; });

} // namespace
