// The backward of fake quantization: gradients of elements, scales and zero points, bit for bit as on the CPU.
#include "support/device.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class FakeGradient : public OnDevice {};

const Shape shapes[] = {{5, 32}, {3, 129}, {33, 70}, {3, 40, 17}, {1, 1000}, {64, 96}};

/* A problem in the memory of one device. */
struct Side {
  Side(mfq_context *c, const Operand &x, const Operand &dy, const Operand &to, size_t scales)
      : context(c), src(c, x.bytes.data(), x.bytes.size()), upstream(c, dy.bytes.data(), dy.bytes.size()),
        dx(c, to.bytes.data(), to.bytes.size()), grad_scale(c, nullptr, scales * 4 + 4),
        grad_zero_point(c, nullptr, scales * 4 + 4) {}
  mfq_context *context;
  DeviceMemory src, upstream, dx, grad_scale, grad_zero_point;
};

struct Choice {
  mfq_ste ste;
  bool wants_sums, through_scale, log2_scale;
};

mfq_status run(Side *side, const Quantized &sized, const mfq_qtensor *given, const Operand *operands, Choice choice) {
  const mfq_tensor src = operands[0].at(side->src.data()), upstream = operands[1].at(side->upstream.data());
  const mfq_tensor dx = operands[2].at(side->dx.data());
  const mfq_tensor of_scale =
      strided(side->grad_scale.data(), MFQ_DTYPE_F32, scale_shape(sized), dense_strides(scale_shape(sized)));
  mfq_tensor of_zero_point = of_scale;
  of_zero_point.data = side->grad_zero_point.data();
  mfq_fake_gradient g;
  mfq_fake_gradient_init(&g);
  const mfq_scheme &scheme = sized.q.scheme;
  if (given != nullptr)
    g.given = given;
  else
    g.scheme = &scheme;
  g.ste = choice.ste;
  g.through_scale = choice.through_scale && given == nullptr && scheme.scale != MFQ_SCALE_NONE;
  g.log2_scale = choice.log2_scale;
  g.src = &src;
  g.upstream = &upstream;
  g.dx = &dx;
  if (choice.wants_sums && scheme.scale != MFQ_SCALE_NONE) g.grad_scale = &of_scale;
  if (choice.wants_sums && scheme.zero_point) g.grad_zero_point = &of_zero_point;
  return mfq_fake_quantize_backward(side->context, &g);
}

/* `given` NULL: scales are measured. */
testing::AssertionResult same(mfq_context *cpu, mfq_context *device, const Quantized &sized, bool is_given,
                              const std::vector<Operand> &operands, Choice choice) {
  const size_t scales = (size_t)sized.sizes.scale_count;
  Side here(cpu, operands[0], operands[1], operands[2], scales),
      there(device, operands[0], operands[1], operands[2], scales);
  const DeviceQuantized on_device(device, sized);
  const mfq_status want = run(&here, sized, is_given ? &sized.q : nullptr, operands.data(), choice);
  if (want != MFQ_OK) return testing::AssertionFailure() << mfq_last_error();
  if (run(&there, sized, is_given ? &on_device.q : nullptr, operands.data(), choice) != MFQ_OK)
    return testing::AssertionFailure() << mfq_last_error();
  const size_t size = mfq_dtype_bytes(operands[2].dtype);
  const testing::AssertionResult dx = same_memory(there.dx.read(), here.dx.read(), size);
  if (!dx) return testing::AssertionFailure() << "dx: " << dx.message();
  const testing::AssertionResult scale = same_memory(there.grad_scale.read(), here.grad_scale.read(), 4);
  if (!scale) return testing::AssertionFailure() << "gradients of scales: " << scale.message();
  return same_memory(there.grad_zero_point.read(), here.grad_zero_point.read(), 4);
}

Choice choice_of(uint32_t seed) { return {(mfq_ste)(seed % 3), seed % 4 != 0, seed % 5 < 3, seed % 2 == 0}; }

TEST_F(FakeGradient, EveryNamedScheme) {
  uint32_t seed = 0;
  for (const std::string &name : scheme_names()) {
    const mfq_scheme scheme = parse(name);
    const Shape &shape = shapes[seed % 6];
    Quantized sized(scheme, shape);
    const bool is_given = scheme.rule == MFQ_RULE_GIVEN;
    if (is_given) give_scales(&sized, seed);
    Choice choice = choice_of(seed);
    if (is_given) choice.wants_sums = false; /* scales of every kind, which nobody learns */
    const std::vector<Operand> operands = {awkward(kDtypes[seed % 3], shape, seed),
                                           awkward(kDtypes[seed / 3 % 3], shape, seed + 1),
                                           Operand(kDtypes[seed / 9 % 3], shape)};
    ASSERT_TRUE(same(cpu(), device(), sized, is_given, operands, choice)) << name;
    ++seed;
  }
}

TEST_F(FakeGradient, EveryFormatAndGranularity) {
  uint32_t seed = 0;
  for (const std::string &format : format_names())
    for (const char *rest : {"", "/group:32/ue8m0:floor", "/group:8@0/f32", "/channel@0/f32", "/tensor/bf16",
                             "/block:4x8/ue8m0:even", "/group:16/ue4m3", "/group:32/f32:floor/arith:brevitas",
                             "/round:floor", "/nosat", "/channel@1/f32/zp", "/tensor/f32/round:stochastic"}) {
      mfq_scheme scheme;
      if (mfq_scheme_parse((format + rest).c_str(), &scheme) != MFQ_OK) continue;
      const Shape &shape = shapes[seed % 6];
      const Quantized sized(scheme, shape);
      const std::vector<Operand> operands = {awkward(MFQ_DTYPE_F32, shape, seed),
                                             awkward(MFQ_DTYPE_F32, shape, seed + 1), Operand(MFQ_DTYPE_F32, shape)};
      ASSERT_TRUE(same(cpu(), device(), sized, false, operands, choice_of(seed))) << format << rest;
      ++seed;
    }
  EXPECT_GT(seed, 150u);
}

/* Long sums: chunks of scales that share one tensor, or few channels; any strides. */
TEST_F(FakeGradient, LongSums) {
  uint32_t seed = 0;
  for (const char *text : {"int8/tensor/f32", "e4m3fn/channel@1/f32", "uint8/tensor/f32/zp",
                           "e2m1/block:64x64/ue8m0:floor", "e4m3fn/group:1024@0/f32:floor", "e2m1/round:stochastic"})
    for (const Shape &strides : {Shape{70, 1}, Shape{1, 1100}, Shape{-90, 1}}) {
      const Shape shape = {1100, 70};
      const Quantized sized(parse(text), shape);
      std::vector<Operand> operands = {Operand(MFQ_DTYPE_F32, shape, strides), Operand(MFQ_DTYPE_BF16, shape),
                                       Operand(MFQ_DTYPE_F32, shape, {1, 1101})};
      operands[0].fill_awkward(++seed, true);
      operands[1].fill_awkward(seed + 100, true);
      ASSERT_TRUE(same(cpu(), device(), sized, false, operands, {MFQ_STE_CLIPPED, true, true, false})) << text;
    }
}

/* The fast kernels: groups along rows, all variants, sums and what goes through scales, whole and short groups. */
TEST_F(FakeGradient, RowsOfGroups) {
  const char *const elements[] = {"e4m3fn", "e5m2", "e2m1", "e3m0", "e4m3fnuz", "int8", "int4", "mxint8", "e2m5b40"};
  const char *const scales[] = {"/ue8m0", "/f32", "/ue4m3", "/ue8m0:rceil", "/bf16:even", "/f32/arith:brevitas"};
  const int sizes[] = {16, 32, 128, 512};
  const Shape all[] = {{7, 32}, {3, 33}, {2, 200}, {1, 40}, {40, 129}, {2, 3, 72}, {5, 1}, {3, 1030}};
  sample({std::size(elements), std::size(scales), std::size(sizes), 3, 2, 2, 3, std::size(all)}, 500,
         [&](const std::vector<size_t> &at) {
           const std::string text = elements[at[0]] + ("/group:" + std::to_string(sizes[at[2]])) + scales[at[1]];
           mfq_scheme scheme;
           if (mfq_scheme_parse(text.c_str(), &scheme) != MFQ_OK) return; /* ue4m3 is not for every element */
           const Shape &shape = all[at[7]];
           const uint32_t seed = (uint32_t)(at[0] + 9 * at[7]);
           const mfq_dtype dtype = kDtypes[at[6]];
           std::vector<Operand> operands = {Operand(dtype, shape), Operand(dtype, shape), Operand(dtype, shape)};
           operands[0].fill_awkward(seed, seed % 3 == 0);
           operands[1].fill_awkward(seed + 1, seed % 2 == 0);
           const Choice choice = {(mfq_ste)at[3], at[4] != 0, at[5] != 0, seed % 2 == 0};
           ASSERT_TRUE(same(cpu(), device(), Quantized(scheme, shape), false, operands, choice)) << text;
         });
}

/* The fast kernels along columns: likewise, for one tile and for several, aligned and not, in place of either tensor. */
TEST_F(FakeGradient, ColumnsOfGroups) {
  const char *const elements[] = {"e4m3fn", "e5m2", "e2m1", "e3m0", "e4m3fnuz", "int8", "int4", "mxint8"};
  const char *const scales[] = {"/ue8m0", "/f32", "/ue4m3", "/ue8m0:rceil", "/bf16:even", "/f32/arith:brevitas"};
  const int sizes[] = {16, 32, 64, 128};
  const Shape all[] = {{32, 7}, {33, 8}, {200, 24}, {40, 1}, {1, 40}, {129, 72}, {2, 72, 33}, {300, 136}};
  sample({std::size(elements), std::size(scales), std::size(sizes), 3, 2, 2, 3, std::size(all)}, 500,
         [&](const std::vector<size_t> &at) {
           const Shape &shape = all[at[7]];
           const std::string axis = "@" + std::to_string(shape.size() - 2);
           const std::string text = elements[at[0]] + ("/group:" + std::to_string(sizes[at[2]])) + axis + scales[at[1]];
           mfq_scheme scheme;
           if (mfq_scheme_parse(text.c_str(), &scheme) != MFQ_OK) return; /* ue4m3 is not for every element */
           const uint32_t seed = (uint32_t)(at[0] + 9 * at[7]);
           const mfq_dtype dtype = kDtypes[at[6]];
           Shape strides = dense_strides(shape);
           if (shape.size() == 2 && seed % 4 == 0) strides[0] += (int64_t)(seed % 3);
           std::vector<Operand> operands = {Operand(dtype, shape, strides), Operand(dtype, shape, strides),
                                            Operand(dtype, shape, strides)};
           operands[0].fill_awkward(seed, seed % 3 == 0);
           operands[1].fill_awkward(seed + 1, seed % 2 == 0);
           const Choice choice = {(mfq_ste)at[3], at[4] != 0, at[5] != 0, seed % 2 == 0};
           ASSERT_TRUE(same(cpu(), device(), Quantized(scheme, shape), false, operands, choice)) << text;
         });
}

/* Whatever shares a scale in contiguous rows: measured or given, one segment of it or several, of the range too. */
TEST_F(FakeGradient, BoxesOfRows) {
  const char *const elements[] = {"e4m3fn", "e2m1", "int8", "uint4"};
  const char *const parts[] = {"/tensor",      "/channel@0",     "/channel@1", "/block:4x8",
                               "/block:32x16", "/block:128x128", "/group:24",  "/group:1024"};
  const char *const scales[] = {"/f32",
                                "/f32/stat:minmax/zp",
                                "/ue8m0",
                                "/f32/arith:brevitas",
                                "/f32/stat:minmax/zp/arith:brevitas",
                                "/bf16/stat:minmax"};
  const Shape all[] = {{9000, 1}, {3, 5001}, {2, 3, 720}, {2, 5, 33}, {130, 136}, {129, 135}, {1, 4112}};
  sample({std::size(elements), std::size(parts), std::size(scales), 3, 2, 2, 3, std::size(all), 3}, 300,
         [&](const std::vector<size_t> &at) {
           const std::string text = elements[at[0]] + std::string(parts[at[1]]) + scales[at[2]];
           const Shape &shape = all[at[7]];
           mfq_scheme scheme;
           if (mfq_scheme_parse(text.c_str(), &scheme) != MFQ_OK) return; /* zero points are for integers */
           const uint32_t seed = (uint32_t)(at[0] + 5 * at[7] + at[1]);
           const mfq_dtype dtype = kDtypes[at[6]];
           Shape strides = dense_strides(shape);
           if (shape.size() == 2) strides[0] += (int64_t)(8 * (at[8] / 2));
           std::vector<Operand> operands = {Operand(dtype, shape, strides), Operand(dtype, shape, strides),
                                            Operand(dtype, shape, strides)};
           operands[0].fill_awkward(seed, at[8] != 1);
           operands[1].fill_awkward(seed + 1, seed % 2 == 0);
           const Choice choice = {(mfq_ste)at[3], at[4] != 0, at[5] != 0, seed % 2 == 0};
           ASSERT_TRUE(same(cpu(), device(), Quantized(scheme, shape), false, operands, choice)) << text;
         });
}

/* Scales and zero points that are given, along rows and columns, in either order. */
TEST_F(FakeGradient, GivenZeroPoints) {
  const char *const schemes[] = {"uint8/group:32@%/f32:given/zp", "int4/group:16@%/bf16:given/zp",
                                 "uint4/group:128@%/f32:given/zp/arith:brevitas",
                                 "int8/group:64@%/f32:given/zp/arith:brevitas"};
  sample({std::size(schemes), 2, 3, 2, 3, 3}, 72, [&](const std::vector<size_t> &at) {
    std::string text = schemes[at[0]];
    text.replace(text.find('%'), 1, std::to_string(at[1]));
    const Shape shape = std::array<Shape, 3>{Shape{64, 96}, Shape{130, 136}, Shape{33, 39}}[at[4]];
    mfq_layout layout = {};
    layout.codes = at[3] != 0 ? MFQ_CODES_GROUP_LAST : MFQ_CODES_LOGICAL;
    Quantized q(parse(text), shape, &layout);
    give_scales(&q, (uint32_t)at[0]);
    const mfq_dtype dtype = kDtypes[at[2]];
    const std::vector<Operand> operands = {awkward(dtype, shape, 3), awkward(dtype, shape, 4), Operand(dtype, shape)};
    Choice choice = {(mfq_ste)at[5], false, false, false};
    ASSERT_TRUE(same(cpu(), device(), q, true, operands, choice)) << text;
    std::vector<float> scales((size_t)q.sizes.scale_count); /* the CPU learns positive ones only */
    for (size_t i = 0; i < scales.size(); ++i) scales[i] = 0.0137f * (float)(i % 91 + 1);
    if (q.q.scheme.scale != MFQ_SCALE_F32) return;
    std::memcpy(q.scales.data(), scales.data(), 4 * scales.size());
    choice.wants_sums = true;
    ASSERT_TRUE(same(cpu(), device(), q, true, operands, choice)) << text;
  });
}

/* Rotated elements: groups that a block has, and longer ones, which are measured or given. */
TEST_F(FakeGradient, Rotations) {
  const char *const schemes[] = {"mxfp4_e2m1/hadamard:32",
                                 "nvfp4/hadamard:16:fixed",
                                 "mxfp8_e4m3/group:16@0/hadamard:128",
                                 "int8/group:48@0/f32/hadamard:16:seed:5",
                                 "uint4/group:32@0/f32/zp/hadamard:64",
                                 "e5m2/group:640@0/f16/hadamard:128",
                                 "uint8/group:512@0/f32/zp/hadamard:16",
                                 "mxfp4_e2m1/round:stochastic/hadamard:64"};
  const Shape all[] = {{384, 8}, {3, 128}, {2, 640}, {1280, 2}, {2, 128, 3}};
  sample({std::size(schemes), std::size(all), 3, 2, 2, 3, 2}, 150, [&](const std::vector<size_t> &at) {
    mfq_scheme scheme = parse(schemes[at[0]]);
    const Shape &shape = all[at[1]];
    if (scheme.axis == 0 && shape.size() == 3) scheme.axis = 1;
    const size_t axis = scheme.axis == MFQ_AXIS_AUTO ? shape.size() - 1 : (size_t)scheme.axis;
    if (shape[axis] % scheme.rotation != 0) return;
    const uint32_t seed = (uint32_t)(at[0] + 8 * at[1]);
    const mfq_dtype dtype = kDtypes[at[5]];
    Shape strides = dense_strides(shape);
    if (shape.size() == 2 && at[6] != 0) strides = {1, shape[0]};
    std::vector<Operand> operands = {Operand(dtype, shape, strides), Operand(kDtypes[seed % 3], shape),
                                     Operand(kDtypes[seed / 2 % 3], shape)};
    operands[0].fill_awkward(seed, at[4] != 0);
    operands[1].fill_awkward(seed + 1, seed % 2 == 0);
    Choice choice = {(mfq_ste)at[2], at[3] != 0, at[4] != 0, seed % 2 == 0};
    ASSERT_TRUE(same(cpu(), device(), Quantized(scheme, shape), false, operands, choice)) << schemes[at[0]];
    if (scheme.scale != MFQ_SCALE_F32 && scheme.scale != MFQ_SCALE_UE8M0) return;
    scheme.rule = MFQ_RULE_GIVEN;
    Quantized given(scheme, shape);
    give_scales(&given, seed);
    choice.wants_sums = choice.wants_sums && scheme.scale == MFQ_SCALE_F32;
    for (size_t i = 0; choice.wants_sums && i < (size_t)given.sizes.scale_count; ++i) { /* positive ones are learned */
      const float scale = 0.0137f * (float)(i % 91 + 1);
      std::memcpy(given.scales.data() + 4 * i, &scale, 4);
    }
    ASSERT_TRUE(same(cpu(), device(), given, true, operands, choice)) << schemes[at[0]] << ", given";
  });
}

/* Every bf16 and f16 element, and upstream gradients that tell the signs of zero sums. */
TEST_F(FakeGradient, EveryHalfAndZeroSums) {
  for (const char *text : {"e4m3fn/group:32/ue8m0", "e2m1/group:32/f32", "mxint8", "int8/group:32/f32"})
    for (const mfq_dtype dtype : {MFQ_DTYPE_BF16, MFQ_DTYPE_F16})
      for (const mfq_ste ste : {MFQ_STE_CLIPPED, MFQ_STE_BREVITAS}) {
        const Shape shape = {2048, 32};
        std::vector<Operand> operands = {Operand(dtype, shape), Operand(dtype, shape), Operand(dtype, shape)};
        operands[0].fill([&](size_t i) { return (uint32_t)i * 40503 & 0xffff; });
        operands[1].fill([&](size_t i) { return i / 32 % 2 == 0 ? 0x3c00u + (uint32_t)(i % 512) : 0x8000u; });
        ASSERT_TRUE(same(cpu(), device(), Quantized(parse(text), shape), false, operands, {ste, true, false, false}))
            << text;
      }
  for (const int64_t cols : {1, 2, 3, 8, 12, 20, 40, 63, 64}) { /* all terms are -0 */
    const Shape shape = {3, cols};
    std::vector<Operand> operands = {Operand(MFQ_DTYPE_F32, shape), Operand(MFQ_DTYPE_F32, shape),
                                     Operand(MFQ_DTYPE_F32, shape)};
    operands[0].fill([&](size_t) { return 0x40400000u; });
    operands[1].fill([&](size_t) { return 0x80000000u; });
    const Quantized sized(parse("e4m3fn/group:32/ue8m0"), shape);
    ASSERT_TRUE(same(cpu(), device(), sized, false, operands, {MFQ_STE_IDENTITY, true, false, false})) << cols;
  }
}

/* Elements within some steps of what passes, whose quotients by the scale are rounded. */
TEST_F(FakeGradient, EndsOfGroups) {
  const struct {
    const char *scheme;
    float end;
  } rows[] = {{"e4m3fn/group:16/f32:given", 464.0f}, {"int8/group:16/f32:given", 127.5f}};
  for (const auto &row : rows)
    for (const bool wants_sums : {false, true}) {
      const Shape shape = {400, 16};
      Quantized sized(parse(row.scheme), shape);
      std::vector<float> scales(400);
      for (size_t r = 0; r < scales.size(); ++r) scales[r] = 0.37f + 0.0137f * (float)r;
      std::memcpy(sized.scales.data(), scales.data(), 4 * scales.size());
      std::vector<Operand> operands = {Operand(MFQ_DTYPE_F32, shape), awkward(MFQ_DTYPE_F32, shape, 3),
                                       Operand(MFQ_DTYPE_F32, shape)};
      operands[0].fill([&](size_t i) {
        return (float_bits(row.end * scales[i / 16]) + (uint32_t)(i / 2 % 8) - 4) | (uint32_t)(i % 2) << 31;
      });
      ASSERT_TRUE(same(cpu(), device(), sized, true, operands, {MFQ_STE_CLIPPED, wants_sums, false, false}))
          << row.scheme;
    }
}

/* Scales that rows share, or that are given, and none, without sums. */
TEST_F(FakeGradient, KnownScales) {
  uint32_t seed = 0;
  for (const char *text :
       {"e4m3fn", "int8", "e2m1/tensor/f32", "int8/channel@0/f32", "e5m2/channel@0/bf16", "e3m2/tensor/ue8m0",
        "int8n/channel@0/f32/arith:brevitas", "e4m3fn/tensor/f32:given", "mxint8/group:64/ue8m0:given"})
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &shape : {Shape{5, 300}, Shape{3, 2, 257}}) {
        Quantized sized(parse(text), shape);
        const bool is_given = sized.q.scheme.rule == MFQ_RULE_GIVEN;
        if (is_given) give_scales(&sized, seed);
        const std::vector<Operand> operands = {awkward(dtype, shape, seed), awkward(dtype, shape, seed + 1),
                                               Operand(dtype, shape)};
        const Choice choice = {(mfq_ste)(seed++ % 3), false, false, false};
        ASSERT_TRUE(same(cpu(), device(), sized, is_given, operands, choice)) << text;
      }
}

/* Scales that are learned, in the device's memory. */
TEST_F(FakeGradient, GivenScales) {
  uint32_t seed = 0;
  for (const char *text : {"e4m3fn/tensor/f32", "int8/channel@0/f32", "uint8/group:32@1/f32/zp", "e4m3fn/group:32/bf16",
                           "nvfp4", "mxfp4_e2m1"}) {
    const Shape shape = {33, 70};
    Quantized sized(parse(text), shape);
    const Operand small = awkward(MFQ_DTYPE_F32, shape, ++seed);
    std::vector<float> x(33 * 70);
    for (size_t i = 0; i < x.size(); ++i) x[i] = (float)((i * 37) % 101) / 64 - 0.7f;
    mfq_test::quantize(cpu(), x, &sized);
    sized.q.scheme.rule = MFQ_RULE_GIVEN;
    const std::vector<Operand> operands = {small, awkward(MFQ_DTYPE_BF16, shape, seed + 9),
                                           Operand(MFQ_DTYPE_F32, shape)};
    for (const mfq_ste ste : {MFQ_STE_IDENTITY, MFQ_STE_CLIPPED, MFQ_STE_BREVITAS})
      ASSERT_TRUE(same(cpu(), device(), sized, true, operands, {ste, true, false, seed % 2 == 0})) << text;
  }
}

} // namespace
