// Strided tensors in and out, and addresses that are aligned to their elements and to nothing more.
#include "support/device.h"

namespace {

using namespace mfq_test;

class Strides : public OnDevice {};

// clang-format off
const char *const schemes[] = {"mxfp8_e4m3",  "mxfp4_e2m1/group:8@0", "mxfp6_e3m2/group:16@1", "mxint8/group:5",
                               "e4m3fn/f32",  "int8n/channel@1/f32",  "uint4/group:8/f32/zp",  "e2m1/block:2x4/ue8m0",
                               "e5m2",        "nvfp4",                "mxfp8_e4m3/group:32@0", "fp8_e4m3_group128"};
// clang-format on

struct View {
  const char *what;
  Shape shape, strides;
};

const View views[] = {
    {"rows apart", {33, 70}, {80, 1}},
    {"rows apart by multiples of 16", {40, 64}, {96, 1}},
    {"every third element", {6, 70}, {210, 3}},
    {"transposed", {33, 40}, {1, 33}},
    {"transposed, whole groups", {64, 96}, {1, 64}},
    {"rows backwards", {34, 64}, {-64, 1}},
    {"elements backwards", {6, 70}, {70, -1}},
    {"both backwards and apart", {6, 40}, {-101, -2}},
    {"dense, 3 axes", {3, 40, 10}, {400, 10, 1}},
    {"permuted", {3, 8, 10}, {1, 30, 3}},
    {"axes that do not merge", {3, 8, 32}, {900, 40, 1}},
    {"mixed signs", {3, 8, 10}, {-100, 12, -1}},
    {"4 axes, channels last", {2, 32, 3, 5}, {480, 1, 160, 32}},
    {"a size-1 axis with a wild stride", {1, 6, 40}, {-999999, 40, 1}},
    {"8 axes", {2, 1, 3, 2, 1, 2, 3, 4}, {-300, 7, 100, 48, 3, 24, -4, 1}},
};

const View repeated[] = {
    {"one row", {34, 64}, {0, 1}},         {"one column", {6, 40}, {1, 0}},
    {"one element", {33, 64}, {0, 0}},     {"overlapping windows", {33, 64}, {1, 1}},
    {"one plane", {3, 8, 10}, {0, 10, 1}}, {"repeated in the middle", {3, 8, 10}, {10, 0, 1}},
};

TEST_F(Strides, Inputs) {
  uint32_t seed = 0;
  for (const char *scheme : schemes)
    for (const auto &list : {std::vector<View>(std::begin(views), std::end(views)),
                             std::vector<View>(std::begin(repeated), std::end(repeated))})
      for (const View &v : list)
        for (const mfq_dtype dtype : kDtypes) {
          if (!has_axes(parse(scheme), v.shape)) continue;
          Operand x(dtype, v.shape, v.strides);
          x.fill_awkward(seed++);
          ASSERT_TRUE(same_quantize(x, {scheme})) << v.what;
        }
}

TEST_F(Strides, Outputs) {
  for (const char *scheme : schemes)
    for (const View &v : views) {
      if (!has_axes(parse(scheme), v.shape)) continue;
      Quantized q(parse(scheme), v.shape);
      give_everything(&q, 3);
      for (const mfq_dtype dtype : kDtypes) {
        ASSERT_TRUE(same_dequantize(q, Operand(dtype, v.shape, v.strides))) << v.what;
        ASSERT_TRUE(same_read(mfq_expand_scales, q, Operand(dtype, v.shape, v.strides))) << v.what;
      }
    }
}

TEST_F(Strides, FakeQuantize) {
  uint32_t seed = 0;
  for (const char *scheme : schemes)
    for (const View &v : views) {
      if (!has_axes(parse(scheme), v.shape)) continue;
      const mfq_dtype from = kDtypes[seed % 3], to = kDtypes[seed / 3 % 3];
      Operand strided_src(from, v.shape, v.strides), dense_src = awkward(from, v.shape, seed);
      strided_src.fill_awkward(seed++);
      ASSERT_TRUE(same_fake(scheme, strided_src, Operand(to, v.shape), true)) << v.what;
      ASSERT_TRUE(same_fake(scheme, dense_src, Operand(to, v.shape, v.strides), false)) << v.what;
    }
}

/* Each address is wrong by each amount that its elements allow, alone and together. */
std::vector<Placement> placements(mfq_dtype dtype, const mfq_scheme &scheme) {
  std::vector<Placement> all;
  const size_t scale = scheme.scale == MFQ_SCALE_F32                                     ? 4
                       : scheme.scale == MFQ_SCALE_BF16 || scheme.scale == MFQ_SCALE_F16 ? 2
                                                                                         : 1;
  for (const size_t by : {size_t{2}, size_t{4}, size_t{6}, size_t{8}, size_t{12}, size_t{16}})
    if (by % mfq_dtype_bytes(dtype) == 0) all.push_back({by, 0, 0, 0});
  for (const size_t by : {size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{8}}) all.push_back({0, by, 0, 0});
  for (const size_t by : {size_t{1}, size_t{2}, size_t{3}}) all.push_back({0, 0, by * scale, by});
  all.push_back({mfq_dtype_bytes(dtype), 5, 3 * scale, 7});
  return all;
}

TEST_F(Strides, MisalignedAddresses) {
  for (const char *scheme : schemes)
    for (const mfq_dtype dtype : kDtypes)
      for (const Shape &shape : {Shape{33, 64}, Shape{9, 70}})
        for (const Placement &at : placements(dtype, parse(scheme))) {
          QuantizeCall call(scheme);
          call.at = at;
          Operand x = awkward(dtype, shape, 4);
          ASSERT_TRUE(same_quantize(x, call)) << at.tensor << ' ' << at.codes << ' ' << at.scales;
        }
}

TEST_F(Strides, MisalignedAddressesInBothDirections) {
  const mfq_scheme scheme = parse("mxfp8_e4m3");
  for (const char *name : {"mxfp8_e4m3", "mxfp4_e2m1", "mxfp6_e2m3"})
    for (const mfq_dtype dtype : kDtypes)
      for (const Placement &at : placements(dtype, scheme)) {
        QuantizeCall call(name, std::string(name) + "/group:32@0");
        call.col_layout.codes = MFQ_CODES_GROUP_LAST;
        call.at = at;
        Operand x = awkward(dtype, {64, 64}, 4);
        ASSERT_TRUE(same_quantize(x, call)) << at.tensor << ' ' << at.codes << ' ' << at.scales;
      }
}

TEST_F(Strides, MisalignedAddressesOfDequantize) {
  for (const char *scheme : schemes)
    for (const mfq_dtype dtype : kDtypes) {
      Quantized q(parse(scheme), {33, 64});
      give_everything(&q, 5);
      for (const Placement &at : placements(dtype, q.q.scheme))
        ASSERT_TRUE(same_dequantize(q, Operand(dtype, {33, 64}), at))
            << at.tensor << ' ' << at.codes << ' ' << at.scales;
    }
}

} // namespace
