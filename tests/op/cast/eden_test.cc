// MS-EDEN in whole casts: codes of the computed scales, and scales that the test corrects itself, by its own sums, its own
// random numbers and a search among the values of E4M3; fake quantization gives the values of both steps.
#include "support/half.h"
#include "support/misuse.h"
#include "support/rotation.h"
#include "support/sample.h"
#include "support/tree.h"

namespace {

using mfq_test::Context;
using mfq_test::count_of;
using mfq_test::dense;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::Shape;

const std::vector<std::string> schemes = {"nvfp4_ms_eden", "nvfp4/eden:16", "nvfp4/eden:48/bound:256",
                                          "e2m1/group:8@0/scale:ue5m3fn/eden:32/gain:1.0625",
                                          "nvfp4_ms_eden/group:16@-2/eden:64"};
const std::vector<Shape> shapes = {{256}, {3, 160}, {40, 5}, {2, 70, 3}, {1, 1}, {0, 16}, {5, 1000}};
const std::vector<mfq_layout> layouts = {
    {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
    {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 5},
    {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
};

constexpr uint64_t kSeed = 0x123456789, kOffset = 77;

bool has_axis(const mfq_scheme &s, const Shape &shape) {
  return s.axis == MFQ_AXIS_AUTO || (s.axis < 0 ? s.axis + (int)shape.size() >= 0 : s.axis < (int)shape.size());
}

mfq_scheme without_eden(mfq_scheme s) {
  s.eden = 0;
  return s;
}

uint32_t random_of(uint64_t index) {
  const uint64_t block = index / 8;
  const mfq_test::Block words =
      mfq_test::philox({(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)kOffset, (uint32_t)(kOffset >> 32)},
                       {(uint32_t)kSeed, (uint32_t)(kSeed >> 32)});
  const uint32_t word = words[index % 8 / 2];
  return (index % 2 ? word >> 16 : word & 0xffff) << 16 | 0x8000;
}

/* What eden makes of plainly quantized codes and scales, in row-major order, one scale an element: the scales as numbers. */
struct Corrected {
  const mfq_scheme &s;
  const oracle::Grid element, stored;
  std::vector<float> scale; /* for each element */

  Corrected(const mfq_scheme &scheme, const Shape &shape, const std::vector<float> &x, const std::vector<float> &scales,
            float tensor_scale)
      : s(scheme), element(scheme.element),
        stored(scheme.scale == MFQ_SCALE_UE4M3 ? oracle::minifloat(0, 4, 3, 7, MFQ_SPECIALS_FN) : scheme.scale_element),
        scale(scales) {
    const size_t rank = shape.size(), axis = s.axis == MFQ_AXIS_AUTO ? rank - 1
                                             : s.axis < 0            ? (size_t)(s.axis + (int)rank)
                                                                     : (size_t)s.axis;
    const size_t step = (size_t)mfq_test::dense_strides(shape)[axis], length = (size_t)shape[axis];
    for (size_t i = 0; i < x.size(); ++i)
      if (i / step % length % (size_t)s.eden == 0) correct(x, i, step, length - i / step % length, tensor_scale);
  }

private:
  void correct(const std::vector<float> &x, size_t first, size_t step, size_t left, float tensor_scale) {
    std::vector<float> squares, products;
    const size_t n = std::min((size_t)s.eden, left);
    for (size_t k = 0; k < n; ++k) {
      const float u = x[first + k * step], at = scale[first + k * step];
      const bool is_usable = at != 0 && !std::isnan(at);
      const float t = is_usable ? u / tensor_scale : 0.0f;
      const float q =
          is_usable
              ? (float)element.decode(element.encode(u / (at * tensor_scale), MFQ_ROUND_EVEN, !s.no_saturate)) * at
              : 0.0f;
      squares.push_back(t * t);
      products.push_back(t * q);
    }
    const float a = mfq_test::tree_of(squares), b = mfq_test::tree_of(products);
    const float c = b > 0 && std::isfinite(a / b) ? a / b : 1.0f;
    for (size_t k = 0; k < n; ++k) {
      float &at = scale[first + k * step];
      const size_t begin = k / (size_t)s.group_size * (size_t)s.group_size;
      if (at != 0 && !std::isnan(at))
        at = (float)stored.decode(stored.encode_stochastic(at * c, random_of(first + begin * step), true));
    }
  }
};

/* Values over some binades; now and then a group of zeros, and a NaN. */
std::vector<float> some_values(size_t n, uint32_t seed) {
  std::vector<float> x = mfq_test::awkward_values(n, seed);
  for (size_t i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > 1e6f) x[i] = 3;
    if (i / 16 % 11 == 5) x[i] = 0;
  }
  return x;
}

class Eden : public testing::TestWithParam<std::string> {};

TEST_P(Eden, ScalesAreCorrectedBehindTheCodes) {
  const Context context = make_context(GetParam().c_str(), 3);
  ASSERT_EQ(mfq_context_set_seed(context.get(), kSeed, kOffset), MFQ_OK);
  int checked = 0;
  mfq_test::sample_pairs({schemes.size(), shapes.size(), layouts.size()}, [&](const std::vector<size_t> &at) {
    const mfq_scheme scheme = parse(schemes[at[0]]), plain_scheme = without_eden(scheme);
    const Shape &shape = shapes[at[1]];
    if (!has_axis(scheme, shape)) return;
    const std::vector<float> x = some_values(count_of(shape), (uint32_t)++checked);
    Quantized plain(plain_scheme, shape, &layouts[at[2]]), got(scheme, shape, &layouts[at[2]]);
    mfq_test::quantize(context.get(), x, &plain);
    mfq_test::quantize(context.get(), x, &got);
    ASSERT_EQ(got.codes, plain.codes) << schemes[at[0]];
    ASSERT_EQ(got.tensor_scale, plain.tensor_scale);
    ASSERT_EQ(got.scales.back(), mfq_test::kPoison);
    const float g = plain.tensor_scale;
    plain.tensor_scale = got.tensor_scale = 1; /* scales alone */
    const Corrected want(scheme, shape, x, mfq_test::expanded_scales(context.get(), plain, shape), g);
    ASSERT_TRUE(mfq_test::same_floats(mfq_test::expanded_scales(context.get(), got, shape), want.scale))
        << schemes[at[0]] << testing::PrintToString(shape);
    got.tensor_scale = g;
    std::vector<float> scales;
    ASSERT_TRUE(mfq_test::same_floats(mfq_test::faked(context.get(), scheme, x, shape, &scales),
                                      mfq_test::dequantized(context.get(), got)))
        << schemes[at[0]] << testing::PrintToString(shape);
  });
  EXPECT_GT(checked, mfq_test::is_set("MFQ_TEST_FEW") ? 5 : 15);
}

/* Rotated elements are corrected as if the test had rotated them. */
TEST_P(Eden, OfRotatedElements) {
  const Context context = make_context(GetParam().c_str());
  for (const char *text : {"nvfp4_ms_eden/hadamard:128:seed:7", "nvfp4_ms_eden/group:16@0/hadamard:32",
                           "nvfp4/eden:64/hadamard:64:fixed"}) {
    const mfq_scheme scheme = parse(text), plain = mfq_test::unrotated(scheme);
    const Shape shape = {128, 256};
    std::vector<float> x = some_values(count_of(shape), 5);
    Quantized want(plain, shape), got(scheme, shape);
    mfq_test::quantize(context.get(), x, &got);
    mfq_test::quantize(context.get(), mfq_test::rotated(scheme, shape, x), &want);
    ASSERT_TRUE(got.same_bytes(want)) << text << ": " << got.difference(want);
    ASSERT_TRUE(mfq_test::same_floats(mfq_test::faked(context.get(), scheme, x, shape),
                                      mfq_test::dequantized(context.get(), got)))
        << text;
  }
}

TEST_P(Eden, SeedOffsetAndThreads) {
  const Shape shape = {64, 256};
  const mfq_scheme scheme = parse("nvfp4_ms_eden");
  const std::vector<float> x = some_values(count_of(shape), 9);
  auto scales = [&](int threads, uint64_t seed, uint64_t offset) {
    const Context context = make_context(GetParam().c_str(), threads);
    EXPECT_EQ(mfq_context_set_seed(context.get(), seed, offset), MFQ_OK);
    Quantized q(scheme, shape);
    mfq_test::quantize(context.get(), x, &q);
    return q.scales;
  };
  EXPECT_EQ(scales(1, 1, 2), scales(4, 1, 2));
  EXPECT_NE(scales(1, 1, 2), scales(1, 1, 3));
  EXPECT_NE(scales(1, 1, 2), scales(1, 2, 2));
}

/* Given scales are taken as they are, whatever the scheme says of computed ones. */
TEST_P(Eden, GivenScalesStay) {
  const Context context = make_context(GetParam().c_str());
  const Shape shape = {4, 128};
  Quantized found(parse("nvfp4_ms_eden"), shape), given(parse("nvfp4_ms_eden/ue4m3:given"), shape),
      plain(parse("nvfp4/ue4m3:given"), shape);
  const std::vector<float> x = some_values(count_of(shape), 4);
  mfq_test::quantize(context.get(), x, &found);
  for (Quantized *q : {&given, &plain}) {
    q->scales = found.scales;
    q->tensor_scale = found.tensor_scale;
    mfq_test::quantize(context.get(), x, q);
    ASSERT_EQ(q->scales, found.scales);
  }
  ASSERT_EQ(given.codes, plain.codes);
  ASSERT_TRUE(mfq_test::same_floats(mfq_test::faked_given(context.get(), given, x),
                                    mfq_test::dequantized(context.get(), plain)));
}

TEST(EdenMisuse, Sentences) {
  const Context context = make_context();
  const mfq_scheme scheme = parse("nvfp4_ms_eden");
  const Shape shape = {16};
  std::vector<float> x(16, 1), y(16);
  const mfq_tensor src = dense(x, shape), dst = dense(y, shape);
  mfq_mask mask;
  EXPECT_EQ(mfq_mask_init(&scheme, 1, shape.data(), &mask), MFQ_ERROR_UNSUPPORTED);
  EXPECT_STREQ(mfq_last_error(), "mfq_mask_init: mask: the scheme corrects scales together (eden:128), of which there "
                                 "are no masks; leave the mask out");
  mfq_fake_gradient gradient;
  mfq_fake_gradient_init(&gradient);
  gradient.scheme = &scheme;
  gradient.src = gradient.upstream = &src;
  gradient.dx = &dst;
  EXPECT_EQ(mfq_fake_quantize_backward(context.get(), &gradient), MFQ_ERROR_UNSUPPORTED);
  EXPECT_STREQ(mfq_last_error(),
               "mfq_fake_quantize_backward: gradient: the scheme corrects scales together (eden:128), which has no "
               "backward; give the scheme without it, under which the same elements pass");
  for (const mfq_op op : {MFQ_OP_FAKE_GRADIENT, MFQ_OP_SEARCH}) {
    mfq_support support = MFQ_SUPPORT_GENERAL;
    char reason[200];
    EXPECT_EQ(mfq_supported(context.get(), op, &scheme, &support, reason, sizeof reason), MFQ_OK);
    EXPECT_EQ(support, MFQ_SUPPORT_NO);
    EXPECT_EQ(std::string(reason).find("scheme: the scheme corrects scales together (eden:128), "), 0u) << reason;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Eden, testing::ValuesIn(mfq_test::every_isa()),
                         [](const auto &row) { return row.param; });

} // namespace
