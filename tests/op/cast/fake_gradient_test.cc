// The backward of fake quantization against formulas in double, over schemes, shapes, dtypes, strides and threads.
#include <cmath>
#include <functional>

#include "support/gradient_oracle.h"
#include "support/half.h"
#include "support/model.h"

namespace {

using mfq_test::Context;
using mfq_test::dense;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::same_floats;
using mfq_test::Shape;

const mfq_ste kVariants[] = {MFQ_STE_IDENTITY, MFQ_STE_CLIPPED, MFQ_STE_BREVITAS};

/* A problem and its results. */
struct Backward {
  const Quantized *given = nullptr; /* NULL: the scheme measures */
  mfq_scheme scheme = {};
  Shape shape;
  mfq_ste ste = MFQ_STE_IDENTITY;
  bool through_scale = false, log2_scale = false, wants_sums = true;
  std::vector<float> x, dy;

  std::vector<float> dx, grad_scale, grad_zero_point;

  mfq_status run(mfq_context *context) {
    mfq_fake_gradient g;
    mfq_fake_gradient_init(&g);
    const Quantized sized(scheme, shape);
    const size_t scales = (size_t)sized.sizes.scale_count;
    dx.assign(x.size(), mfq_test::kUnwritten);
    grad_scale.assign(scales, mfq_test::kUnwritten);
    grad_zero_point.assign(scales, mfq_test::kUnwritten);
    const mfq_tensor src = dense(x, shape), upstream = dense(dy, shape), to = dense(dx, shape);
    const mfq_tensor of_scale = dense(grad_scale, mfq_test::scale_shape(sized));
    const mfq_tensor of_zero_point = dense(grad_zero_point, mfq_test::scale_shape(sized));
    mfq_qtensor q;
    if (given != nullptr) {
      q = given->q;
      q.codes = nullptr;
      g.given = &q;
    } else {
      g.scheme = &scheme;
    }
    g.ste = ste;
    g.src = &src;
    g.upstream = &upstream;
    g.dx = &to;
    g.through_scale = through_scale;
    g.log2_scale = log2_scale;
    if (wants_sums && scheme.scale != MFQ_SCALE_NONE) g.grad_scale = &of_scale;
    if (wants_sums && scheme.zero_point) g.grad_zero_point = &of_zero_point;
    return mfq_fake_quantize_backward(context, &g);
  }
};

/* The same in double, from scales and zero points that the forward is asked for. */
struct Want {
  std::vector<double> dx, grad_scale, grad_zero_point, scale_size; /* scale_size: of the terms in the sum */
  std::vector<size_t> scale_of;
};

/* The scale of each element, by index arithmetic. */
std::vector<size_t> scales_of(const mfq_scheme &s, const Quantized &t) {
  const Shape shape = mfq_test::logical_shape(t);
  const size_t rank = shape.size(), axis = (size_t)std::max(t.sizes.axis, 0);
  Shape unit(rank, 1), count(rank, 1);
  for (size_t d = 0; d < rank; ++d) {
    const bool is_shared = s.granularity == MFQ_GRANULARITY_TENSOR || s.scale == MFQ_SCALE_NONE ||
                           (s.granularity == MFQ_GRANULARITY_CHANNEL && d != axis);
    if (is_shared) unit[d] = std::max<int64_t>(shape[d], 1);
    if (s.granularity == MFQ_GRANULARITY_GROUP && d == axis) unit[d] = s.group_size;
    if (s.granularity == MFQ_GRANULARITY_BLOCK && d + 1 == rank) unit[d] = s.block_cols;
    if (s.granularity == MFQ_GRANULARITY_BLOCK && d + 2 == rank) unit[d] = s.block_rows;
    count[d] = (shape[d] + unit[d] - 1) / unit[d];
  }
  std::vector<size_t> all;
  for (size_t i = 0; i < mfq_test::count_of(shape); ++i) {
    Shape at = mfq_test::indices_of((int64_t)i, shape);
    for (size_t d = 0; d < rank; ++d) at[d] /= unit[d];
    all.push_back((size_t)mfq_test::index_of(at, count));
  }
  return all;
}

Want expected(mfq_context *context, const Backward &run) {
  const mfq_scheme &scheme = run.scheme;
  std::unique_ptr<Quantized> measured;
  if (run.given == nullptr) {
    measured = std::make_unique<Quantized>(scheme, run.shape);
    mfq_test::quantize(context, run.x, measured.get());
  }
  const Quantized &t = run.given != nullptr ? *run.given : *measured;
  const Shape scale_shape = mfq_test::scale_shape(t);
  const size_t scales = (size_t)t.sizes.scale_count, n = run.x.size();
  const std::vector<float> s = scheme.scale == MFQ_SCALE_NONE ? std::vector<float>(scales, 1.0f)
                                                              : mfq_test::expanded_scales(context, t, scale_shape);
  const std::vector<float> z =
      scheme.zero_point ? mfq_test::expanded_zero_points(context, t, scale_shape) : std::vector<float>(scales, 0.0f);
  const bool is_power = scheme.scale == MFQ_SCALE_UE8M0 || scheme.scale == MFQ_SCALE_NONE;
  const oracle::Gradient oracle(scheme.element);
  Want want = {std::vector<double>(n), std::vector<double>(scales), std::vector<double>(scales),
               std::vector<double>(scales), scales_of(scheme, t)};
  for (size_t i = 0; i < n; ++i) {
    const size_t k = want.scale_of[i];
    const double t_exact = (double)run.x[i] / s[k];
    const double ratio = s[k] == 0 ? 0.0 : is_power ? t_exact : (double)(float)t_exact; /* 0 / 0 is a zero group's */
    const oracle::Gradient::Element e = oracle.at(ratio, z[k], scheme.rounding, 0);
    const double slope = e.slope[run.ste], term = e.v - ratio * slope, dy = run.dy[i];
    want.dx[i] = dy * slope;
    want.grad_scale[k] += dy * term;
    want.scale_size[k] += std::fabs(dy) * (std::fabs(e.v) + std::fabs(ratio));
    want.grad_zero_point[k] += dy * (slope == 0 ? -1.0 : 0.0) * s[k];
  }
  if (run.log2_scale)
    for (size_t k = 0; k < scales; ++k) {
      want.grad_scale[k] *= s[k] * std::log(2.0);
      want.scale_size[k] *= s[k];
    }
  return want;
}

bool near(double got, double want, double size) { return std::fabs(got - want) <= 1e-6 * size + 1e-37; }

testing::AssertionResult agrees(const Backward &run, const Want &want) {
  for (size_t i = 0; i < run.x.size(); ++i) {
    const bool is_exact = run.ste != MFQ_STE_BREVITAS;
    if (is_exact ? run.dx[i] != want.dx[i] : !near(run.dx[i], want.dx[i], std::fabs(want.dx[i])))
      return testing::AssertionFailure() << "dx of element " << i << ", " << run.x[i] << ", is " << run.dx[i]
                                         << ", want " << want.dx[i];
  }
  for (size_t k = 0; k < want.grad_scale.size() && run.wants_sums; ++k) {
    if (run.scheme.scale != MFQ_SCALE_NONE && !near(run.grad_scale[k], want.grad_scale[k], want.scale_size[k]))
      return testing::AssertionFailure() << "the gradient of scale " << k << " is " << run.grad_scale[k] << ", want "
                                         << want.grad_scale[k];
    if (run.scheme.zero_point && !near(run.grad_zero_point[k], want.grad_zero_point[k], want.scale_size[k]))
      return testing::AssertionFailure() << "the gradient of zero point " << k << " is " << run.grad_zero_point[k]
                                         << ", want " << want.grad_zero_point[k];
  }
  return testing::AssertionSuccess();
}

/* Values of two binades and more, so that powers of two clip some, with zeros; gradients of both signs. */
std::vector<float> values(size_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float &v : x) v = generator() % 31 == 0 ? 0.0f : std::ldexp(normal(generator), (int)(generator() % 5));
  return x;
}

Backward problem(const std::string &text, const Shape &shape, uint32_t seed) {
  Backward run;
  run.scheme = parse(text);
  run.shape = shape;
  run.x = values(mfq_test::count_of(shape), seed);
  run.dy = values(mfq_test::count_of(shape), seed + 1);
  return run;
}

/* Of those with a backward whose elements need no random words, which the oracle has not. */
std::vector<std::string> measured_schemes() {
  std::vector<std::string> all = {"nvfp4/min:0.5",        "e4m3fn/group:16/f16/stat:minmax",
                                  "int8/channel/f32/zp",  "uint4/group:16@0/f32/zp",
                                  "e5m2/nosat",           "e2m1/block:3x5/ue8m0",
                                  "e4m3fn/group:16/bf16", "e4m3fn/group:16/f16:ceil",
                                  "e3m2/round:dpu",       "mxint8/group:7/round:away",
                                  "ue4m3fn/f32",          "mxfp4_e2m1/group:16@0/round:floor",
                                  "int8/tensor/f32",      "e4m3fn/channel@1/f32"};
  for (int32_t i = 0; mfq_scheme_name(i, nullptr) != nullptr; ++i) {
    const mfq_scheme scheme = parse(mfq_scheme_name(i, nullptr));
    const bool is_drawn = scheme.rounding == MFQ_ROUND_STOCHASTIC || scheme.eden != 0;
    if (scheme.arith == MFQ_ARITH_EXACT && scheme.rule != MFQ_RULE_GIVEN && !is_drawn)
      all.push_back(mfq_scheme_name(i, nullptr));
  }
  return all;
}

/* 5000 elements are more than one chunk of a sum. */
const Shape shapes[] = {{6, 40}, {3, 8, 10}, {2, 50, 50}, {5000}};

TEST(FakeGradient, MeasuredScales) {
  const Context context = make_context();
  size_t turn = 0;
  for (const std::string &text : measured_schemes())
    for (const mfq_ste ste : kVariants) {
      const Shape &shape = shapes[turn++ % 3]; /* three axes at most: channels and blocks have two */
      SCOPED_TRACE(text + testing::PrintToString(shape) + std::to_string(ste));
      Backward run = problem(text, shape, (uint32_t)turn);
      if (run.scheme.no_saturate) run.wants_sums = false; /* infinite */
      run.ste = ste;
      run.log2_scale = turn % 2 == 0;
      ASSERT_EQ(run.run(context.get()), MFQ_OK) << mfq_last_error();
      ASSERT_TRUE(agrees(run, expected(context.get(), run)));
    }
  EXPECT_GE(measured_schemes().size(), 40u);
}

/* Scales that were learned: those measured of other values, so that many elements are clipped. */
TEST(FakeGradient, GivenScales) {
  const Context context = make_context();
  size_t turn = 0;
  for (const std::string &text : measured_schemes())
    for (const mfq_ste ste : kVariants) {
      const Shape &shape = shapes[turn++ % 3];
      SCOPED_TRACE(text + testing::PrintToString(shape) + std::to_string(ste));
      Backward run = problem(text, shape, (uint32_t)turn);
      if (run.scheme.no_saturate) continue;
      mfq_layout layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
      if (run.scheme.granularity == MFQ_GRANULARITY_GROUP && turn % 4 == 0 && run.scheme.scale >= MFQ_SCALE_UE8M0)
        layout.scales = MFQ_SCALES_128X4;
      Quantized learned(run.scheme, shape, &layout);
      std::vector<float> smaller = values(run.x.size(), (uint32_t)turn + 2);
      for (float &v : smaller) v = v * 0.5f + 0.01f;
      mfq_test::quantize(context.get(), smaller, &learned);
      if (run.scheme.scale != MFQ_SCALE_NONE) learned.q.scheme.rule = run.scheme.rule = MFQ_RULE_GIVEN;
      run.given = &learned;
      run.ste = ste;
      run.scheme = learned.q.scheme;
      ASSERT_EQ(run.run(context.get()), MFQ_OK) << mfq_last_error();
      ASSERT_TRUE(agrees(run, expected(context.get(), run)));
    }
}

/* Whatever the number of threads, the dtype and the strides. */
TEST(FakeGradient, ThreadsAndPathsAgree) {
  const Context one = make_context("reference", 1);
  for (const std::string text :
       {"mxfp8_e4m3", "int8/tensor/f32", "e4m3fn/channel@1/f32", "nvfp4", "uint8/tensor/f32/zp"})
    for (const Shape &shape : shapes) {
      if (text.find("@1") != std::string::npos && shape.size() < 2) continue;
      SCOPED_TRACE(text + testing::PrintToString(shape));
      Backward want = problem(text, shape, 77);
      want.ste = MFQ_STE_CLIPPED;
      want.through_scale = true;
      ASSERT_EQ(want.run(one.get()), MFQ_OK) << mfq_last_error();
      for (const std::string &isa : mfq_test::every_isa())
        for (const int threads : {1, 2, 5}) {
          const Context context = make_context(isa.c_str(), threads);
          Backward got = want;
          ASSERT_EQ(got.run(context.get()), MFQ_OK) << mfq_last_error();
          EXPECT_TRUE(same_floats(got.dx, want.dx));
          EXPECT_TRUE(same_floats(got.grad_scale, want.grad_scale));
          EXPECT_TRUE(same_floats(got.grad_zero_point, want.grad_zero_point));
        }
    }
}

/* ds of a scale goes to the first largest element, to all of them when there is one scale for the tensor. */
TEST(FakeGradient, ThroughTheScale) {
  const Context context = make_context();
  for (const std::string text : {"mxfp8_e4m3/group:8", "e4m3fn/channel@0/f32", "e4m3fn/tensor/f32",
                                 "e2m1/tensor/f32:floor", "int8/group:8@0/f32", "nvfp4"}) {
    SCOPED_TRACE(text);
    Backward run = problem(text, {16, 8}, 5);
    run.ste = MFQ_STE_CLIPPED;
    run.x[3] = run.x[5] = 90.0f;
    run.x[4] = -90.0f;
    run.x[77] = -90.0f;
    ASSERT_EQ(run.run(context.get()), MFQ_OK) << mfq_last_error();
    const Want want = expected(context.get(), run);
    std::vector<double> dx = want.dx;
    std::vector<float> scales;
    mfq_test::faked(context.get(), run.scheme, run.x, run.shape, &scales);
    const bool is_power = run.scheme.rule == MFQ_RULE_FLOOR;
    mfq_format_info info;
    ASSERT_EQ(mfq_format_info_get(&run.scheme.element, &info), MFQ_OK);
    for (size_t k = 0; k < scales.size(); ++k) {
      float largest = 0;
      std::vector<size_t> at;
      for (size_t i = 0; i < dx.size(); ++i)
        if (want.scale_of[i] == k && std::fabs(run.x[i]) >= largest) {
          if (std::fabs(run.x[i]) > largest) at.clear();
          largest = std::fabs(run.x[i]);
          at.push_back(i);
        }
      if (largest == 0) continue;
      if (run.scheme.granularity != MFQ_GRANULARITY_TENSOR) at.resize(1);
      const double da = want.grad_scale[k] * (is_power ? scales[k] / largest : 1 / info.max_finite);
      for (const size_t i : at) dx[i] += (run.x[i] < 0 ? -da : da) / (double)at.size();
    }
    run.through_scale = true;
    ASSERT_EQ(run.run(context.get()), MFQ_OK) << mfq_last_error();
    for (size_t i = 0; i < dx.size(); ++i)
      EXPECT_NEAR(run.dx[i], dx[i], 1e-5 * (std::fabs(dx[i]) + want.scale_size[want.scale_of[i]])) << i;
  }
}

/* The mask of stochastic rounding is that of the forward: what has another value than the end of the range passes. */
TEST(FakeGradient, StochasticMask) {
  const Context context = make_context();
  ASSERT_EQ(mfq_context_set_seed(context.get(), 12, 34), MFQ_OK);
  Backward run = problem("e2m1/round:stochastic", {4000}, 9);
  run.ste = MFQ_STE_CLIPPED;
  for (size_t i = 0; i < run.x.size(); ++i) run.x[i] = i % 2 ? 6.0f + (float)(i % 7) / 4 : -5.0f - (float)(i % 7) / 8;
  ASSERT_EQ(run.run(context.get()), MFQ_OK) << mfq_last_error();
  /* A format with more codes of the same meaning shows what was rounded. */
  const std::vector<float> y = mfq_test::faked(context.get(), parse("e3m1b1/round:stochastic"), run.x, run.shape);
  size_t clipped = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_EQ(run.dx[i], std::fabs(y[i]) <= 6 ? run.dy[i] : 0.0f) << run.x[i] << " became " << y[i];
    clipped += std::fabs(y[i]) > 6;
  }
  EXPECT_GT(clipped, 400u);
  EXPECT_LT(clipped, 1600u);
}

/* The nearest bf16, ties to even. */
uint16_t bf16_of(float x) {
  const uint32_t u = mfq_test::float_bits(x);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* Results in place of what is read, and of other dtypes: the same numbers. */
TEST(FakeGradient, InPlaceAndHalf) {
  const Context context = make_context();
  for (const std::string text : {"mxfp8_e4m3", "int8/tensor/f32", "nvfp4"})
    for (const bool is_over_src : {false, true}) {
      SCOPED_TRACE(text);
      Backward want = problem(text, {50, 100}, 3);
      want.ste = MFQ_STE_BREVITAS;
      want.through_scale = true;
      ASSERT_EQ(want.run(context.get()), MFQ_OK) << mfq_last_error();
      std::vector<float> x = want.x, dy = want.dy;
      std::vector<uint16_t> half(x.size(), 0xabab);
      const mfq_tensor src = dense(x, want.shape), upstream = dense(dy, want.shape);
      const mfq_tensor bf16 = dense(half, MFQ_DTYPE_BF16, want.shape);
      mfq_fake_gradient g;
      mfq_fake_gradient_init(&g);
      g.scheme = &want.scheme;
      g.ste = want.ste;
      g.through_scale = 1;
      g.src = &src;
      g.upstream = &upstream;
      g.dx = &bf16;
      ASSERT_EQ(mfq_fake_quantize_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
      for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(half[i], bf16_of(want.dx[i])) << i;
      g.dx = is_over_src ? &src : &upstream;
      ASSERT_EQ(mfq_fake_quantize_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(same_floats(is_over_src ? x : dy, want.dx));
      EXPECT_TRUE(same_floats(is_over_src ? dy : x, is_over_src ? want.dy : want.x));
    }
}

TEST(FakeGradient, OddShapes) {
  const Context context = make_context();
  for (const char *text : {"mxfp8_e4m3", "nvfp4", "int8_tensor_zp", "fp8_e4m3_block128", "e4m3fn"})
    for (const Shape &shape : {Shape{}, Shape{0}, Shape{1}, Shape{5, 0}, Shape{0, 5}, Shape{2, 1, 1, 2, 1, 1, 1, 3}}) {
      if (parse(text).granularity == MFQ_GRANULARITY_BLOCK && shape.size() < 2) continue;
      SCOPED_TRACE(std::string(text) + testing::PrintToString(shape));
      Backward run = problem(text, shape, 4);
      run.ste = MFQ_STE_CLIPPED;
      ASSERT_EQ(run.run(context.get()), MFQ_OK) << mfq_last_error();
      if (!shape.empty()) EXPECT_TRUE(agrees(run, expected(context.get(), run)));
    }
}

} // namespace
