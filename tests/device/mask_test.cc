// Masks of fake quantization, and gradients by them: bit for bit as on the CPU.
#include "support/device.h"
#include "support/mask.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class Mask : public OnDevice {};

const Shape shapes[] = {{5, 32}, {3, 129}, {33, 70}, {3, 40, 17}, {1, 1000}, {64, 96}};

/* Values and bits of a forward, and the gradients by them, in place where `y` and `dx` have the place of what is read. */
struct Case {
  const mfq_scheme *scheme;
  const Quantized *given; /* NULL: measured */
  Operand *x, *dy;
  const Operand *y, *dx; /* NULL: in place */
};

testing::AssertionResult same(const Case &c) {
  const mfq_scheme &scheme = c.given != nullptr ? c.given->q.scheme : *c.scheme;
  Operand y = c.y != nullptr ? *c.y : *c.x, dx = c.dx != nullptr ? *c.dx : *c.dy;
  Masked here(scheme, c.x->shape), there(scheme, c.x->shape);
  mfq_context *const device = devices().device.get(), *const cpu = devices().cpu.get();
  const DeviceMemory from(device, c.x->bytes.data(), c.x->bytes.size()), bits(device, nullptr, here.bits.size());
  const DeviceMemory up(device, c.dy->bytes.data(), c.dy->bytes.size());
  const DeviceMemory to(device, y.bytes.data(), y.bytes.size()), down(device, dx.bytes.data(), dx.bytes.size());
  const std::unique_ptr<DeviceQuantized> parts =
      c.given != nullptr ? std::make_unique<DeviceQuantized>(device, *c.given) : nullptr;
  const Scales of_device = {c.scheme, parts ? &parts->q : nullptr},
               of_cpu = {c.scheme, c.given ? &c.given->q : nullptr};
  const mfq_mask *mask = there.at(bits.data());
  const void *source = c.y != nullptr ? from.data() : to.data(), *upstream = c.dx != nullptr ? up.data() : down.data();
  auto result = succeeded(fake_forward(device, of_device, c.x->at(const_cast<void *>(source)), y.at(to.data()), mask),
                          "forward on the device");
  if (result)
    result = succeeded(
        fake_backward(device, of_device, nullptr, c.dy->at(const_cast<void *>(upstream)), dx.at(down.data()), mask),
        "backward on the device");
  if (result) result = succeeded(fake_forward(cpu, of_cpu, c.x->here(), y.here(), here.here()), "forward on the CPU");
  if (result)
    result =
        succeeded(fake_backward(cpu, of_cpu, nullptr, c.dy->here(), dx.here(), here.here()), "backward on the CPU");
  if (result) result = same_memory(bits.read(), here.bits, 1);
  if (result) result = same_memory(to.read(), y.bytes, mfq_dtype_bytes(y.dtype));
  return result ? same_memory(down.read(), dx.bytes, mfq_dtype_bytes(dx.dtype)) : result;
}

TEST_F(Mask, EveryNamedScheme) {
  uint32_t seed = 0;
  for (const std::string &name : scheme_names())
    for (const mfq_rounding rounding : {MFQ_ROUND_EVEN, MFQ_ROUND_STOCHASTIC}) {
      mfq_scheme scheme = parse(name);
      if (rounding == MFQ_ROUND_STOCHASTIC) scheme.rounding = rounding;
      if (mfq_scheme_check(&scheme) != MFQ_OK) continue;
      const Shape &shape = shapes[seed % 6];
      const bool is_given = scheme.rule == MFQ_RULE_GIVEN || (seed % 3 == 0 && scheme.scale != MFQ_SCALE_NONE);
      if (is_given) scheme.rule = MFQ_RULE_GIVEN;
      mfq_layout layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
      if (is_given && scheme.granularity == MFQ_GRANULARITY_GROUP && seed % 2 == 0) layout.codes = MFQ_CODES_GROUP_LAST;
      Quantized q(scheme, shape, &layout);
      if (is_given) give_scales(&q, seed);
      Operand x = awkward(kDtypes[seed % 3], shape, seed), dy = awkward(kDtypes[seed / 3 % 3], shape, seed + 1);
      const Operand y(kDtypes[seed / 9 % 3], shape), dx(kDtypes[seed / 2 % 3], shape);
      ASSERT_TRUE(same({is_given ? nullptr : &scheme, is_given ? &q : nullptr, &x, &dy, &y, &dx})) << name;
      ++seed;
    }
}

/* Scales of long groups are left in memory, those of short ones measured; bits are in logical order, whatever the order of
 * elements and codes. */
TEST_F(Mask, StridesAndInPlace) {
  uint32_t seed = 0;
  for (const char *text : {"mxfp4_e2m1", "e4m3fn/tensor/f32:floor", "e2m1/group:8@0/ue8m0:floor", "int8n/channel@1/f32",
                           "uint4/group:32@0/f32/zp", "nvfp4", "e2m1/round:stochastic"})
    for (const Shape &strides : {Shape{70, 1}, Shape{1, 33}, Shape{-90, 1}, Shape{140, 2}}) {
      const mfq_scheme scheme = parse(text);
      const mfq_dtype dtype = kDtypes[++seed % 3];
      Operand x(dtype, {33, 70}, strides), dy(kDtypes[seed % 2], {33, 70}, strides);
      x.fill_awkward(seed);
      dy.fill_awkward(seed + 50);
      const Operand y(MFQ_DTYPE_F32, {33, 70}, {1, 33}), dx(dtype, {33, 70}, {75, 1});
      ASSERT_TRUE(same({&scheme, nullptr, &x, &dy, &y, &dx})) << text;
      ASSERT_TRUE(same({&scheme, nullptr, &x, &dy, nullptr, nullptr})) << text << ", in place";
    }
}

/* Neighbours of one type, of any number, aligned or not: 16 at a time, or not. */
TEST_F(Mask, Neighbours) {
  const mfq_scheme scheme = parse("e4m3fn");
  for (const mfq_dtype dtype : kDtypes)
    for (const int64_t count : {1, 7, 16, 250, 1031, 4096}) {
      Operand x = awkward(dtype, {count}, (uint32_t)count), dy = awkward(dtype, {count}, 5);
      const Operand y(dtype, {count}), dx(dtype, {count}), backwards(dtype, {count}, {-1});
      ASSERT_TRUE(same({&scheme, nullptr, &x, &dy, &y, &dx})) << count;
      ASSERT_TRUE(same({&scheme, nullptr, &x, &dy, &y, &backwards})) << count;
    }
}

/* The kernels of values that write bits too: along rows and columns, of scales that rows share; rows of whole bytes, others,
 * and single ones; every dtype, aligned and not, in place too. */
TEST_F(Mask, FastKernels) {
  const char *const elements[] = {"e4m3fn", "e5m2", "e2m1", "e3m0", "e4m3fnuz", "int8", "int4", "mxint8"};
  const char *const rest[] = {"/group:32@0/ue8m0",
                              "/group:16@1/f32",
                              "/group:128@0/ue4m3",
                              "/group:512@1/bf16",
                              "/group:64@0/f32/arith:brevitas",
                              "/tensor/f32",
                              "/channel@0/f32",
                              "/tensor/f32/zp/stat:minmax",
                              "/group:32@1/f32/round:stochastic"};
  const Shape all[] = {{32, 72}, {130, 136}, {33, 40}, {3, 264}, {2, 257}, {300, 8}, {1, 300}, {40, 129}, {128, 64}};
  sample({std::size(elements), std::size(rest), std::size(all), 3, 3, 2}, 300, [&](const std::vector<size_t> &at) {
    mfq_scheme scheme;
    const std::string text = elements[at[0]] + std::string(rest[at[1]]);
    if (mfq_scheme_parse(text.c_str(), &scheme) != MFQ_OK) return; /* ue4m3 is not for every element */
    const Shape &shape = all[at[2]];
    const mfq_dtype dtype = kDtypes[at[3]];
    const uint32_t seed = (uint32_t)(at[0] + 8 * at[2]);
    Shape strides = dense_strides(shape);
    strides[0] += (int64_t)(seed % 3);
    Operand x(dtype, shape, strides), dy(dtype, shape);
    x.fill_awkward(seed, seed % 2 == 0);
    dy.fill_awkward(seed + 1);
    const Operand y(at[4] == 0 ? MFQ_DTYPE_F32 : dtype, shape), dx(dtype, shape);
    ASSERT_TRUE(same({&scheme, nullptr, &x, &dy, at[4] == 2 ? nullptr : &y, at[5] != 0 ? nullptr : &dx})) << text;
  });
}

TEST_F(Mask, GivenScalesInEveryOrder) {
  uint32_t seed = 40;
  for (const char *text : {"uint8/group:32@0/f32:given/zp", "e2m1/group:16@0/ue4m3:given", "mxfp4_e2m1/ue8m0:given",
                           "e4m3fn/block:8x16/f32:given"})
    for (const mfq_code_order order : {MFQ_CODES_LOGICAL, MFQ_CODES_GROUP_LAST}) {
      mfq_layout layout = {order, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
      const mfq_scheme scheme = parse(text);
      if (scheme.granularity != MFQ_GRANULARITY_GROUP && order == MFQ_CODES_GROUP_LAST) continue;
      if (scheme.scale >= MFQ_SCALE_UE8M0) layout.scales = MFQ_SCALES_128X4;
      Quantized q(scheme, {70, 33, 3}, &layout);
      give_scales(&q, ++seed);
      Operand x = awkward(MFQ_DTYPE_F32, {70, 33, 3}, seed), dy = awkward(MFQ_DTYPE_F32, {70, 33, 3}, seed + 9);
      const Operand y(MFQ_DTYPE_F32, {70, 33, 3}), dx(MFQ_DTYPE_BF16, {70, 33, 3});
      ASSERT_TRUE(same({nullptr, &q, &x, &dy, &y, &dx})) << text;
    }
}

} // namespace
