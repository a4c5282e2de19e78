// Hashes of what Brevitas computes: elements in five roundings, groups, float scales; and values small enough to read.
#include <algorithm>

#include "hash_inputs.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::Shape;

TEST(Hashes, Inputs) {
  const std::vector<float> x = golden::x_values();
  ASSERT_EQ(x.size(), 24465u);
  EXPECT_EQ(mfq_test::float_bits(x[0]), 0x2003bb32u);
  EXPECT_EQ(golden::hash(x), 0x1f08afe0539eaeb2u);
  EXPECT_EQ(golden::hash(golden::c_values()), 0xd9c1cc03b7498b0cu);
  EXPECT_EQ(golden::hash(golden::m_values()), 0x30d11a72dfcd7cc1u);
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

struct Element {
  const char *scheme;
  uint64_t hashes[5]; /* in the order of `roundings` */
};

const char *const roundings[] = {"", "/round:floor", "/round:ceil", "/round:zero", "/round:dpu"};

const Element elements[] = {
    {"brevitas:Fp8e4m3Weight",
     {0xa9941155dc542f12, 0xa6a2fd277b2eb600, 0x12f000c996c44fa4, 0x6b1720fe3bd2fc7d, 0xf879e18f0ccf81aa}},
    {"brevitas:Fp8e5m2Weight",
     {0x5ab352fdb89b06ac, 0xd88ec834e67a8a12, 0xb4c6ade0a26d6f2f, 0xa91d4f021e5b42bb, 0x5f19013b52edfa0e}},
    {"brevitas:Fp8e4m3OCPWeight",
     {0xa6e1b095563df592, 0x767eebe8774f3350, 0x9713a6bbc4dc5b54, 0xe7a34c6a8d4dd02d, 0xdf6616451295878a}},
    {"brevitas:Fp8e4m3OCPWeight/nosat",
     {0x5577db7d5bfb66b2, 0x66184ab5987857a4, 0x79d27ccdd9a01e00, 0xfa71ac711a29f6f9, 0xba09d27cab363eea}},
    {"brevitas:Fp8e5m2OCPWeight",
     {0xda66958a376e530c, 0x624e4aa990d34372, 0xf49b4da758eed88f, 0xfcd517015ecdb1fb, 0xfe2d1930ad02ff2e}},
    {"brevitas:Fp8e5m2OCPWeight/nosat",
     {0x9a49176fceec45d4, 0x45a7833e7028167a, 0x151a6fe1c2192657, 0x8142c4f2c0aeaf1b, 0x3d1f7a139f219ca6}},
    {"brevitas:Fp8e4m3FNUZWeight",
     {0xb4db1b4fb552bfa4, 0x12d68d45914c6630, 0x2d7db22671512c57, 0xbe5fd0650f5a55cd, 0x865b5689cef0d6ef}},
    {"brevitas:Fp8e5m2FNUZWeight",
     {0xb5dea34157277874, 0xb5ce1ee813c7ac4a, 0x7b80721cc5ba708f, 0x28dd858410704c2a, 0x227fca3c06317886}},
    {"e3m2/arith:brevitas",
     {0xe03bb12f2dc1774e, 0xf0aead6fcdc1ec68, 0x6a4d3d1b238e2f75, 0x89ed2008a32adc5e, 0x18904fb9e364bad2}},
    {"e2m3/arith:brevitas",
     {0x2f030d0388942362, 0x296b750f3a8f34c2, 0x00d8b1fe07d7e905, 0x4e615eaea081f972, 0x6e4db1b0877439a8}},
    {"e2m1/arith:brevitas",
     {0x2403ab4733eb0075, 0xfcb01a5697478918, 0x52be5ed58ed74725, 0x6036ec0afaabc418, 0xa54bfe93851e7a08}},
    {"e7m0/arith:brevitas",
     {0x76224d05f49fe87e, 0x14cd236b3cc9c580, 0xaf4a19bf9b3f6adb, 0x2e55ecff12971fd8, 0x689ed52400ee63d0}},
    {"e6m1/arith:brevitas",
     {0xf876a8aca16c9eeb, 0x5b18a04710cdd436, 0x4b5d0f896e3f3624, 0x6b198295c1274c72, 0x825d1cdb8c02f8a0}},
    {"e3m4/arith:brevitas",
     {0x84e1fbc9716586b4, 0x794a93520919fe29, 0xd5284ff4d4781291, 0xd44c33557ef9518e, 0x504e772ad4d48dfb}},
};

TEST(Hashes, Elements) {
  const Context context = make_context();
  const std::vector<float> x = golden::x_values();
  for (const Element &e : elements)
    for (size_t i = 0; i < 5; ++i) {
      SCOPED_TRACE(std::string(e.scheme) + roundings[i]);
      const mfq_scheme scheme = parse(std::string(e.scheme) + roundings[i]);
      EXPECT_EQ(golden::hash(mfq_test::faked(context.get(), scheme, x, {(int64_t)x.size()})), e.hashes[i]);
    }
}

/* ---- Scales and values ------------------------------------------------------------------------------------------- */

struct Scaled {
  const char *scheme;
  uint64_t scale, value;
};

void check_scaled(const Scaled &c, const std::vector<float> &x, const Shape &shape) {
  SCOPED_TRACE(c.scheme);
  const Context context = make_context();
  const mfq_scheme scheme = parse(c.scheme);
  std::vector<float> scales;
  const std::vector<float> value = mfq_test::faked(context.get(), scheme, x, shape, &scales);
  EXPECT_EQ(golden::hash(scales), c.scale);
  EXPECT_EQ(golden::hash(value), c.value);

  Quantized t(scheme, shape); /* codes give the same, -0 aside */
  mfq_test::quantize(context.get(), x, &t);
  EXPECT_EQ(golden::hash(mfq_test::expanded_scales(context.get(), t, mfq_test::scale_shape(t))), c.scale);
  EXPECT_TRUE(mfq_test::same_floats(mfq_test::dequantized(context.get(), t), value, true));
}

TEST(Hashes, Groups) {
  const Scaled cases[] = {
      {"brevitas:MXFloat8e4m3Weight", 0x7331c25af03eb812, 0x69945f173995428a},
      {"brevitas:MXFloat8e4m3WeightMSE", 0x7331c25af03eb812, 0x69945f173995428a}, /* as shipped: no search */
      {"brevitas:MXFloat8e4m3Act", 0x7331c25af03eb812, 0x69945f173995428a},
      {"brevitas:MXFloat8e4m3Weight/e5m2", 0x2c4bb6a26e622599, 0x46531cc129877034},
      {"brevitas:MXFloat8e4m3Weight/e3m2", 0x95db0b2c1bc1ee62, 0x3cfd750ea20b2125},
      {"brevitas:MXFloat8e4m3Weight/e2m3", 0xb1b19f549b2f38dc, 0x8b40dae53b0449e6},
      {"brevitas:MXFloat8e4m3Weight/e2m1", 0xb1b19f549b2f38dc, 0xc635a3a1f0c7e200},
      {"brevitas:MXInt8Weight", 0x5051361c7831e041, 0x8b2a9bafa4893809},
      {"brevitas:MXInt8Act", 0x5051361c7831e041, 0x8b2a9bafa4893809},
      {"brevitas:MXInt8Weight/int4", 0x3675191a916dcbd1, 0x8a3bd145d76cbb06},
      {"brevitas:ShiftedMXUInt8Weight", 0x2b8d81983bcefb99, 0xf3d35f18c42bd8bc},
  };
  for (const Scaled &c : cases) check_scaled(c, golden::c_values(), {512, 32});
}

TEST(Hashes, ZeroPoints) {
  const Context context = make_context();
  Quantized t(parse("brevitas:ShiftedMXUInt8Weight"), {512, 32});
  mfq_test::quantize(context.get(), golden::c_values(), &t);
  const std::vector<float> z = mfq_test::expanded_zero_points(context.get(), t, {512, 1});
  EXPECT_EQ(golden::hash(z), 0x6574813193e66b0du);
}

TEST(Hashes, Padded) {
  const std::vector<float> c = golden::c_values();
  std::vector<float> cut;
  for (size_t row = 0; row < 256; ++row)
    for (size_t j = 0; j < 40; ++j) cut.push_back(c[row * 64 + j]);
  check_scaled({"brevitas:MXFloat8e4m3Weight", 0x852d912bb7b5c68e, 0x3726f1afa36dfb68}, cut, {256, 40});
}

TEST(Hashes, FloatScales) {
  const Scaled cases[] = {
      {"brevitas:Fp8e4m3OCPWeightPerTensorFloat", 0x0493df1ee4fe194e, 0x8ca51013d8fd8a24},
      {"brevitas:Fp8e4m3OCPWeightPerChannelFloat", 0xdcbdf39c2d16db3a, 0xe40034277cf82e25},
      {"brevitas:Fp8e5m2OCPWeightPerChannelFloat", 0x77178763babbd370, 0xb46bceb784ec38d5},
      {"brevitas:Fp8e4m3WeightPerChannelFloat", 0xda9bf73cc28869da, 0x6271170f083275c4},
      {"brevitas:Fp8e4m3FNUZWeightPerChannelFloat", 0x0f40cb3d61563f17, 0x6271170f083275c4},
  };
  for (const Scaled &c : cases) check_scaled(c, golden::c_values(), {512, 32});
}

TEST(Hashes, LongGroups) {
  check_scaled({"brevitas:MXFloat8e4m3Weight/e2m1/group:128@1", 0x7eaf0cc1d8a0a6b9, 0x2092995cb9b29b09},
               golden::m_values(), {128, 128});
}

/* ---- Values to read ---------------------------------------------------------------------------------------------- */

struct Single {
  const char *scheme;
  float x, want;
};

TEST(Explicit, UnscaledElements) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const Single cases[] = {
      {"brevitas:Fp8e4m3OCPWeight", 464.0f, 448.0f},
      {"brevitas:Fp8e4m3OCPWeight", 464.1f, 448.0f},
      {"brevitas:Fp8e4m3OCPWeight/nosat", 464.0f, 448.0f},
      {"brevitas:Fp8e4m3OCPWeight/nosat", 464.1f, nan},
      {"brevitas:Fp8e4m3OCPWeight", -470.0f, -448.0f},
      {"brevitas:Fp8e4m3OCPWeight", 0x1p-10f, 0.0f},
      {"brevitas:Fp8e4m3OCPWeight", 1.0001f * 0x1p-10f, 0x1p-9f},
      {"brevitas:Fp8e4m3OCPWeight", -0x1p-11f, -0.0f},
      {"brevitas:Fp8e5m2OCPWeight", 61439.0f, 57344.0f},
      {"brevitas:Fp8e5m2OCPWeight", 61440.0f, 57344.0f},
      {"brevitas:Fp8e5m2OCPWeight/nosat", 61440.0f, inf},
      {"brevitas:Fp8e5m2Weight", 61440.0f, 65536.0f},
      {"brevitas:Fp8e5m2Weight", 1e30f, 114688.0f},
  };
  const Context context = make_context();
  for (const Single &c : cases) {
    SCOPED_TRACE(std::string(c.scheme) + " of " + std::to_string(c.x));
    EXPECT_TRUE(mfq_test::same_floats(mfq_test::faked(context.get(), parse(c.scheme), {c.x}, {1}), {c.want}));
  }
}

/* One group of 32: the values given, then zeros. */
void check_group(const char *scheme, std::vector<float> x, float want_scale, std::vector<float> want) {
  SCOPED_TRACE(scheme);
  const Context context = make_context();
  x.resize(32, 0.0f);
  want.resize(32, 0.0f);
  std::vector<float> scales;
  EXPECT_TRUE(mfq_test::same_floats(mfq_test::faked(context.get(), parse(scheme), x, {1, 32}, &scales), want));
  EXPECT_TRUE(mfq_test::same_floats(scales, {want_scale}));
}

TEST(Explicit, Groups) {
  check_group("brevitas:MXFloat8e4m3Weight", {1.99f, 1.75f, 1.76f, 1.8125f, 1.81f, 0.001f, 1.25e-4f}, 0x1p-8f,
              {1.75f, 1.75f, 1.75f, 1.75f, 1.75f, 0.0009765625f, 0.0001220703125f});
  check_group("brevitas:MXFloat8e4m3Weight", {3e38f}, 6.64613998e35f, {2.97747071e38f});
  check_group("brevitas:MXInt8Weight", {1.0f, -1.0f, 0.5f}, 0x1p-7f, {127 / 128.0f, -1.0f, 0.5f});
  check_group("brevitas:ShiftedMXUInt8Weight", {-0.3f, 0.9f, 0.1f, 0.5f}, 1 / 256.0f,
              {-0.30078125f, 0.6953125f, 0.1015625f, 0.5f});
}

struct Small {
  const char *scheme;
  Shape shape;
  std::vector<float> x, scales, want;
};

void check_small(mfq_context *context, const Small &c) {
  SCOPED_TRACE(std::string(c.scheme) + " on " + mfq_context_describe(context));
  std::vector<float> scales;
  EXPECT_TRUE(mfq_test::same_floats(mfq_test::faked(context, parse(c.scheme), c.x, c.shape, &scales), c.want));
  EXPECT_TRUE(mfq_test::same_floats(scales, c.scales));
  Quantized t(parse(c.scheme), c.shape);
  mfq_test::quantize(context, c.x, &t);
  EXPECT_TRUE(mfq_test::same_floats(mfq_test::dequantized(context, t), c.want));
}

/* What a scale is divided by, and zeros that pad the last group: they count in a range. */
TEST(Explicit, ThresholdsAndRanges) {
  const float top = 127 / 128.0f, deepest = -255 / 256.0f;
  const Small cases[] = {
      {"brevitas:Int8DynamicActPerTensorFloat", {3}, {-64, 64, 0.5f}, {1}, {-64, 64, 0}}, /* 128 / 128 */
      {"brevitas:Int8DynamicActPerGroupFloat/group:2", {4}, {-64, 64, -32, 32}, {1, 0.5f}, {-64, 64, -32, 32}},
      {"brevitas:Fp8e4m3FNUZDynamicActPerTensorFloat", {2}, {-120, 120}, {1}, {-120, 120}},       /* 240 / 240 */
      {"brevitas:Int8WeightPerTensorFloat", {2}, {-127, 2.5f}, {1}, {-127, 2}},                   /* 127 / 127 */
      {"brevitas:Int8WeightPerTensorFixedPoint", {2}, {1.5f, -0.25f}, {0x1p-6f}, {1.5f, -0.25f}}, /* 2^1 / 128 */
      {"brevitas:Int8WeightPerTensorFixedPoint", {2}, {1, -1}, {0x1p-7f}, {top, -top}},           /* 2^0 / 128 */
      {"brevitas:ShiftedUint8WeightPerTensorFloat", {2}, {-1, 254}, {1}, {-1, 254}},              /* 255 / 255 */
      /* All negative: the range is 2 - 1 in the whole group and 2 - 0 in the padded one; zero points end at 255. */
      {"brevitas:ShiftedMXUInt8Weight/group:4@1",
       {1, 6},
       {-2, -1.5f, -1.25f, -1, -2, -1},
       {0x1p-8f, 0x1p-7f},
       {deepest, deepest, deepest, deepest, -255 / 128.0f, -1}},
  };
  for (const Small &c : cases)
    for (const std::string &isa : mfq_test::every_isa()) check_small(make_context(isa.c_str()).get(), c);
}

TEST(Explicit, CodesOfIntegers) {
  const Context context = make_context();
  std::vector<float> x(32, 0.0f);
  x[0] = 1.0f, x[1] = -1.0f, x[2] = 0.5f;
  Quantized mx(parse("brevitas:MXInt8Weight"), {1, 32});
  mfq_test::quantize(context.get(), x, &mx);
  EXPECT_EQ(mx.codes[0], 127);
  EXPECT_EQ(mx.codes[1], 0x80);
  EXPECT_EQ(mx.codes[2], 64);
  EXPECT_EQ(std::count(mx.codes.begin() + 3, mx.codes.begin() + 32, 0), 29);
  x[0] = -0.3f, x[1] = 0.9f, x[2] = 0.1f, x[3] = 0.5f;
  Quantized shifted(parse("brevitas:ShiftedMXUInt8Weight"), {1, 32});
  mfq_test::quantize(context.get(), x, &shifted);
  EXPECT_EQ(shifted.zero_points[0], 77);
}

} // namespace
