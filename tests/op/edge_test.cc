// Groups that are all zero, tiny, huge, infinite or NaN, and values on the edges of formats: stored scales, zero points
// and codes, written out by hand.
#include <cmath>
#include <limits>

#include "support/plain_tensor.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::Shape;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kMax = std::numeric_limits<float>::max();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();
constexpr uint32_t kMinNormal = 0x00800000, kF32Nan = 0x7fc00000;

/* One group of 32: these values, then zeros; the scale as it is stored, the codes of the values. */
struct Group {
  const char *scheme; /* without granularity */
  std::vector<float> x;
  uint32_t scale;
  std::vector<uint32_t> codes;
  int zero_point = 0; /* as it is stored */
};

const std::vector<Group> &power_of_two_scales() {
  static const std::vector<Group> all = {
      /* E4M3: largest 448 = 1.75 * 2^8. The scale code is exponent + 127. */
      {"e4m3fn/ue8m0", {0.0f, -0.0f}, 0, {0, 0x80}},                    /* no statistic: the smallest scale */
      {"e4m3fn/ue8m0", {kTiny, -kTiny}, 0, {0, 0x80}},                  /* 2^(-149 - 8) is below 2^-127 */
      {"e4m3fn/ue8m0", {0x1p-126f, 0x1p-127f}, 0, {0x40, 0x38}},        /* 2 and 1 in units of 2^-127 */
      {"e4m3fn/ue8m0", {0x1p-119f, -0x1p-120f}, 0, {0x78, 0xf0}},       /* 256 and -128: the last group at 2^-127 */
      {"e4m3fn/ue8m0", {0x1p-118f, 0x1p-119f}, 1, {0x78, 0x70}},        /* and the first above it */
      {"e4m3fn/ue8m0", {448.0f, 1.0f, -2.0f}, 127, {0x7e, 0x38, 0xc0}}, /* 2^(8 - 8) */
      {"e4m3fn/ue8m0", {500.0f, -511.0f}, 127, {0x7e, 0xfe}},           /* rule floor: what is above 448 saturates */
      {"e4m3fn/ue8m0/nosat", {500.0f, -511.0f}, 127, {0x7f, 0xff}},     /* or becomes NaN */
      {"e4m3fn/ue8m0", {512.0f, 1.0f}, 128, {0x78, 0x30}},              /* the next binade */
      {"e4m3fn/ue8m0", {kMax, -0x1p127f}, 127 + 119, {0x7e, 0xf8}},     /* 2^(127 - 8) */
      {"e4m3fn/ue8m0", {1.0f, kInf, 2.0f}, 255, {0, 0, 0}},             /* infinity: the group is NaN, the codes 0 */
      {"e4m3fn/ue8m0", {-kInf, -1.0f}, 255, {0, 0}},
      {"e4m3fn/ue8m0", {-1.0f, kNan}, 255, {0, 0}},
      {"e4m3fn/ue8m0:ceil", {448.0f}, 128, {0x76}},      /* 224 in units of 2 */
      {"e4m3fn/ue8m0:ceil", {256.0f}, 127, {0x78}},      /* a power of two needs no more */
      {"e4m3fn/ue8m0:rceil", {448.0f}, 127, {0x7e}},     /* the largest value still fits */
      {"e4m3fn/ue8m0:rceil", {448.00003f}, 128, {0x76}}, /* the next float32 above does not */
      {"e4m3fn/ue8m0:rceil", {kMax}, 127 + 120, {0x78}}, /* 2^128 / 448 needs 2^120; 256 after rounding */
      /* E5M2: largest 57344 = 1.75 * 2^15. */
      {"e5m2/ue8m0", {57344.0f, 61440.0f}, 127, {0x7b, 0x7b}},
      {"e5m2/ue8m0/nosat", {57344.0f, 61440.0f, -65535.0f}, 127, {0x7b, 0x7c, 0xfc}}, /* to infinity */
      /* E2M1: largest 6 = 1.5 * 2^2. 7 is a tie between 6 and 8. */
      {"e2m1/ue8m0", {7.0f, -5.0f, 0.25f, 0.75f}, 127, {7, 0xe, 0, 2}}, /* 5 and 1/4, 3/4: ties to the even code */
      {"e2m1/ue8m0:ceil", {7.0f}, 128, {6}},                            /* 3.5: a tie of 3 and 4 */
      {"e2m1/ue8m0:rceil", {7.0f}, 128, {6}},
      {"e2m1/ue8m0:rceil", {6.0f}, 127, {7}},
      {"e2m1/ue8m0:even", {7.0f}, 128, {6}},  /* 1.75 rounds to 2 with one mantissa bit */
      {"e2m1/ue8m0:even", {6.99f}, 127, {7}}, /* and 1.7475 to 1.5 */
      {"e2m1/ue8m0", {kNan}, 255, {0}},
      {"e3m2/ue8m0", {0.0f, -0.0f}, 0, {0, 0x20}},
      /* MXINT8 counts 1/64 and has no -2. */
      {"mxint8/ue8m0", {1.0f, -1.0f, 1.0f / 128, 3.0f / 128}, 127, {0x40, 0xc0, 0, 2}},
      {"mxint8/ue8m0", {1.999f, -1.999f}, 127, {0x7f, 0x81}},
      {"mxint8/ue8m0", {0.0f, -0.0f}, 0, {0, 0}},
      {"mxint8/ue8m0", {kInf}, 255, {0}},
      /* Powers of two as float scales: none below the normal ones. */
      {"e4m3fn/f32:floor", {0.0f}, kMinNormal, {0}},
      {"e4m3fn/f32:floor", {0x1p-130f}, kMinNormal, {0x18}}, /* 2^-4 */
      {"e4m3fn/f32:floor", {kNan}, kF32Nan, {0}},
      {"e4m3fn/bf16:floor", {0.0f}, 0x0080, {0}},
      {"e4m3fn/bf16:floor", {256.0f}, 0x3f80, {0x78}},
      {"e4m3fn/f16:floor", {0.0f}, 0x0001, {0}},       /* 2^-24, the smallest that float16 has */
      {"e4m3fn/f16:floor", {0x1p40f}, 0x7800, {0x7e}}, /* 2^15, the largest power of two: saturates */
  };
  return all;
}

const std::vector<Group> &float_scales() {
  static const std::vector<Group> all = {
      {"e4m3fn/f32", {0.0f, -0.0f}, kMinNormal, {0, 0x80}},                    /* 0 / 448 is lifted to 2^-126 */
      {"e4m3fn/f32", {0x1p-130f, -0x1p-130f}, kMinNormal, {0x18, 0x98}},       /* 2^-4 in units of 2^-126 */
      {"e4m3fn/f32", {448.0f, -448.0f, 1.0f}, 0x3f800000, {0x7e, 0xfe, 0x38}}, /* scale 1 */
      {"e4m3fn/f32", {1.0f, kNan, 3.0f}, kF32Nan, {0, 0, 0}},
      {"e4m3fn/f32", {-kInf}, kF32Nan, {0}},
      {"e5m2/f32", {57344.0f, 1.0f}, 0x3f800000, {0x7b, 0x3c}},
      {"e4m3fnuz/f32", {240.0f, -0.0f, -1e-9f}, 0x3f800000, {0x7f, 0, 0}}, /* FNUZ has no -0: its code is the NaN */
      {"e4m3fnuz/f32", {kNan}, kF32Nan, {0}},
      {"e4m3fn/bf16", {1.0f}, 0x3b12, {0x7e}}, /* 1/448 = 3b124925 rounds down; 448.9 rounds to 448 */
      {"e4m3fn/bf16", {0.0f}, 0x0080, {0}},
      {"e4m3fn/bf16", {kInf}, 0x7fc0, {0}},
      {"e4m3fn/f16", {0.0f}, 0x0001, {0}},
      {"e4m3fn/f16", {kNan}, 0x7e00, {0}},
      {"e4m3fn/f16", {0x1p126f}, 0x7bff, {0x7e}}, /* float16 ends at 65504 */
      {"int8n/f32", {127.0f, -127.0f, 0.5f, 1.5f, -0.5f, -2.5f}, 0x3f800000, {0x7f, 0x81, 0, 2, 0, 0xfe}},
      {"int8/f32", {-127.0f, 127.0f}, 0x3f800000, {0x81, 0x7f}}, /* exact: divided by the largest, 127 */
      {"int8n/f32", {0.0f}, kMinNormal, {0}},
      {"int4n/f32", {7.0f, -7.0f, 3.5f}, 0x3f800000, {7, 9, 4}},
      {"int4n/f32", {kInf, 1.0f}, kF32Nan, {0, 0}},
      /* A lower bound of the statistic. */
      {"int8n/f32/min:127", {1.0f}, 0x3f800000, {1}},
      {"e4m3fn/ue8m0/min:256", {1.0f}, 127, {0x38}},
      {"e4m3fn/ue8m0/min:256", {kNan}, 255, {0}}, /* which is no cure for NaN */
      /* The range as statistic: 27 - (-100). */
      {"int8n/f32/stat:minmax", {-100.0f, 27.0f}, 0x3f800000, {0x9c, 27}},
  };
  return all;
}

const std::vector<Group> &zero_points() {
  static const std::vector<Group> all = {
      {"uint4/f32/zp", {-3.0f, 12.0f, 0.0f, 4.5f}, 0x3f800000, {0, 15, 3, 8}, 3}, /* 4.5 + 3: a tie */
      {"uint4/f32/zp", {15.0f, 7.0f}, 0x3f800000, {15, 7}, 0},                    /* zero is always in the range */
      {"uint4/f32/zp", {-15.0f, -1.0f}, 0x3f800000, {0, 14}, 15},
      {"uint4/f32/zp", {0.0f}, kMinNormal, {0}, 0},
      {"uint4/f32/zp", {1.0f, kNan}, kF32Nan, {0, 0}, 0},
      {"uint4/f32/zp", {-1.0f, -kInf}, kF32Nan, {0, 0}, 0},
      {"int8/f32/zp", {-3.0f, 252.0f}, 0x3f800000, {0x80, 127}, 0x83}, /* 3 - 128 = -125 */
      {"int8/f32/zp", {kNan}, kF32Nan, {0}, 0x80},
      {"uint8/f32/zp", {-kMax, kMax}, 0x7c008080, {0, 255}, 128}, /* twice as wide as float32 */
      {"uint8/f32/zp", {-kMax, 0.0f}, 0x7b808080, {0, 255}, 255}, /* as wide */
      {"int8/f32/zp", {-kMax, kMax, 0.0f}, 0x7c008080, {0x80, 127, 0}, 0},
      {"uint8/ue8m0:ceil/zp", {-kMax, kMax}, 249, {0, 128}, 64}, /* 2^(129 - 7) */
      /* Brevitas rounds its zero point as its elements: 0.6 down. */
      {"uint8/f32/zp/arith:brevitas/round:floor", {-0.6f, 254.4f}, 0x3f800000, {0, 254}, 0},
      {"uint8/f32/zp/arith:brevitas", {-0.6f, 254.4f}, 0x3f800000, {0, 255}, 1},
      /* Rounded once: in float32 63.500004 - 65 is -1.5, a tie. */
      {"int8/f32/zp", {-63.0f, 192.0f, 63.500004f}, 0x3f800000, {0x80, 127, 0xff}, 0xbf},
  };
  return all;
}

/* Quantizes the group between two plain ones, along rows and along columns. */
struct Neighbours {
  bool columns;
  Shape shape() const { return columns ? Shape{32, 3} : Shape{3, 32}; }
  size_t place(size_t group, size_t i) const { return columns ? i * 3 + group : group * 32 + i; }
};

uint32_t stored_scale(const Quantized &t, size_t index) {
  const size_t bytes = t.sizes.scales_bytes / (size_t)t.sizes.scale_count;
  uint32_t u = 0;
  std::memcpy(&u, &t.scales[index * bytes], bytes);
  return u;
}

/* Values follow from scale and code; a group with a NaN scale is NaN. */
void check_values(mfq_context *context, const Quantized &t, const Group &g, const Neighbours &n) {
  const std::vector<float> y = mfq_test::dequantized(context, t);
  const std::vector<float> scales = mfq_test::expanded_scales(context, t, n.shape());
  for (size_t i = 0; i < g.codes.size(); ++i) {
    double value = 0, zero = 0;
    ASSERT_EQ(mfq_format_decode(&t.q.scheme.element, g.codes[i], &value), MFQ_OK);
    if (t.q.scheme.zero_point) ASSERT_EQ(mfq_format_decode(&t.q.scheme.element, t.zero_points[1], &zero), MFQ_OK);
    const double product = (value - zero) * scales[n.place(1, i)];
    const bool is_finite = std::isfinite(value) && std::isfinite(scales[n.place(1, i)]); /* then it stays so */
    const float want = (float)(is_finite ? std::clamp(product, -(double)kMax, (double)kMax) : product);
    EXPECT_TRUE(mfq_test::same_float(y[n.place(1, i)], want)) << y[n.place(1, i)] << ", expected " << want;
  }
}

void check_between(mfq_context *context, const Group &g, const Neighbours &n) {
  mfq_scheme scheme = parse(g.scheme), single = scheme;
  single.granularity = scheme.granularity = MFQ_GRANULARITY_GROUP;
  single.axis = 1;
  scheme.axis = n.columns ? 0 : 1;
  single.group_size = scheme.group_size = 32;
  std::vector<float> plain(32), x(96);
  for (size_t i = 0; i < 32; ++i) plain[i] = (float)i - 7.25f;
  for (size_t i = 0; i < 32; ++i) {
    x[n.place(0, i)] = x[n.place(2, i)] = plain[i];
    x[n.place(1, i)] = i < g.x.size() ? g.x[i] : 0.0f;
  }
  Quantized alone(single, {1, 32}), t(scheme, n.shape());
  mfq_test::quantize(context, plain, &alone);
  mfq_test::quantize(context, x, &t);
  EXPECT_EQ(stored_scale(t, 1), g.scale);
  if (scheme.zero_point) EXPECT_EQ(t.zero_points[1], g.zero_point);
  const std::vector<uint32_t> codes = mfq_test::all_codes(t), plain_codes = mfq_test::all_codes(alone);
  for (size_t i = 0; i < g.codes.size(); ++i) EXPECT_EQ(codes[n.place(1, i)], g.codes[i]) << "code " << i;
  for (const size_t other : {size_t{0}, size_t{2}}) {
    EXPECT_EQ(stored_scale(t, other), stored_scale(alone, 0)) << "a neighbour changed";
    for (size_t i = 0; i < 32; ++i) EXPECT_EQ(codes[n.place(other, i)], plain_codes[i]) << "a neighbour changed";
  }
  check_values(context, t, g, n);
}

class Edge : public testing::TestWithParam<std::string> {};

TEST_P(Edge, Groups) {
  const Context context = make_context(GetParam().c_str());
  for (const auto *list : {&power_of_two_scales(), &float_scales(), &zero_points()})
    for (const Group &g : *list)
      for (const bool columns : {false, true}) {
        SCOPED_TRACE(std::string(g.scheme) + ", row " + std::to_string(&g - list->data()) +
                     (columns ? ", columns" : ", rows"));
        check_between(context.get(), g, {columns});
      }
}

/* ---- Channels, tensors and blocks share the scale by other rules ------------------------------------------------- */

TEST_P(Edge, NanStaysInItsChannelAndBlock) {
  const Context context = make_context(GetParam().c_str());
  std::vector<float> x(4 * 64, 448.0f);
  x[1 * 64 + 40] = kNan;
  const uint32_t one = 0x3f800000;
  const struct {
    const char *scheme;
    std::vector<uint32_t> scales;
  } cases[] = {{"e4m3fn/channel@0/f32", {one, kF32Nan, one, one}},
               {"e4m3fn/block:2x32/f32", {one, kF32Nan, one, one}},
               {"e4m3fn/tensor/f32", {kF32Nan}}};
  for (const auto &c : cases) {
    SCOPED_TRACE(c.scheme);
    Quantized t(parse(c.scheme), {4, 64});
    mfq_test::quantize(context.get(), x, &t);
    for (size_t i = 0; i < c.scales.size(); ++i) EXPECT_EQ(stored_scale(t, i), c.scales[i]);
    const std::vector<float> scales = mfq_test::expanded_scales(context.get(), t, {4, 64});
    const std::vector<uint32_t> codes = mfq_test::all_codes(t);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(codes[i], std::isnan(scales[i]) ? 0u : 0x7eu);
  }
  Quantized columns(parse("e4m3fn/channel@1/f32"), {4, 64});
  mfq_test::quantize(context.get(), x, &columns);
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(stored_scale(columns, i), i == 40 ? kF32Nan : one);
}

/* NVFP4: tensor scale = largest / (6 * 448), group scale = group / 6 / tensor scale as E4M3. */
TEST_P(Edge, Nvfp4) {
  const Context context = make_context(GetParam().c_str());
  std::vector<float> x(6 * 16, 0.0f);
  x[0] = 2688.0f, x[1] = -448.0f; /* 6 * 448: tensor scale 1, group scale 448 */
  x[16] = 6.0f, x[17] = -3.0f;    /* 1 */
  x[33] = -0.0f;                  /* zeros: scale 0, codes 0 */
  x[48] = 1.0f, x[49] = kNan;     /* NaN here does not reach the tensor scale */
  x[64] = 1e30f, x[65] = kInf;    /* nor does this group's largest value */
  x[80] = 1e-10f;                 /* not zero: the smallest scale, 2^-9 */
  Quantized t(parse("nvfp4"), {6, 16});
  mfq_test::quantize(context.get(), x, &t);
  EXPECT_EQ(t.tensor_scale, 1.0f);
  EXPECT_EQ(std::vector<uint8_t>(t.scales.begin(), t.scales.end() - 1),
            (std::vector<uint8_t>{0x7e, 0x38, 0x00, 0x7f, 0x7f, 0x01}));
  std::vector<uint32_t> want(96, 0);
  want[0] = 7, want[1] = 0xa, want[16] = 7, want[17] = 0xd; /* 6, -1, 6, -3 */
  EXPECT_EQ(mfq_test::all_codes(t), want);
  std::fill(x.begin(), x.end(), -0.0f);
  mfq_test::quantize(context.get(), x, &t);
  EXPECT_EQ(t.tensor_scale, 1.0f);
  EXPECT_EQ(std::vector<uint8_t>(t.scales.begin(), t.scales.end() - 1), std::vector<uint8_t>(6, 0));
  EXPECT_EQ(mfq_test::all_codes(t), std::vector<uint32_t>(96, 0));
  x[3] = 0x1p-149f; /* 2^-149 / 2688 is lifted to 2^-126 */
  mfq_test::quantize(context.get(), x, &t);
  EXPECT_EQ(t.tensor_scale, 0x1p-126f);
  EXPECT_EQ(t.scales[0], 0x01);
}

/* ---- Unscaled: every element by itself --------------------------------------------------------------------------- */

TEST_P(Edge, Unscaled) {
  const Context context = make_context(GetParam().c_str());
  const std::vector<float> x = {kNan, kInf, -kInf, -0.0f, -5.0f, 1e9f, kTiny, 0.0f};
  const struct {
    const char *scheme;
    std::vector<uint32_t> codes;
  } cases[] = {
      {"e4m3fn", {0x7f, 0x7e, 0xfe, 0x80, 0xca, 0x7e, 0, 0}},
      {"e4m3fn/nosat", {0x7f, 0x7f, 0xff, 0x80, 0xca, 0x7f, 0, 0}},
      {"e5m2", {0x7f, 0x7b, 0xfb, 0x80, 0xc5, 0x7b, 0, 0}},
      {"e5m2/nosat", {0x7f, 0x7c, 0xfc, 0x80, 0xc5, 0x7c, 0, 0}},
      {"e4m3fnuz", {0x80, 0x7f, 0xff, 0, 0xd2, 0x7f, 0, 0}},
      {"e4m3fnuz/nosat", {0x80, 0x80, 0x80, 0, 0xd2, 0x80, 0, 0}},
      {"e4m3", {0x7f, 0x7f, 0xff, 0x80, 0xca, 0x7f, 0, 0}}, /* no NaN: the largest value */
      {"e2m1", {7, 7, 0xf, 8, 0xe, 7, 0, 0}},               /* 5 ties to 4 */
      {"ue4m3fn", {0x7f, 0x7e, 0, 0, 0, 0x7e, 0, 0}},       /* unsigned: nothing below 0 */
      {"int8", {0x7f, 0x7f, 0x80, 0, 0xfb, 0x7f, 0, 0}},
      {"int8n", {0x7f, 0x7f, 0x81, 0, 0xfb, 0x7f, 0, 0}},
      {"uint4", {15, 15, 0, 0, 0, 15, 0, 0}},
      {"e4m3fn/round:ceil", {0x7f, 0x7e, 0xfe, 0x80, 0xca, 0x7e, 1, 0}}, /* the smallest value above kTiny */
      {"e4m3fn/round:floor", {0x7f, 0x7e, 0xfe, 0x80, 0xca, 0x7e, 0, 0}},
  };
  for (const auto &c : cases) {
    SCOPED_TRACE(c.scheme);
    Quantized t(parse(c.scheme), {8});
    mfq_test::quantize(context.get(), x, &t);
    EXPECT_EQ(mfq_test::all_codes(t), c.codes);
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Edge, testing::ValuesIn(mfq_test::every_isa()),
                         [](const auto &param) { return param.param; });

} // namespace
