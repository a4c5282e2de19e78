// Tensors and quantized tensors: sizes, shapes, axes, padding, and what is refused.
#include <mfq/types.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "support/expect_failure.h"
#include "support/parsed.h"
#include "support/raw_enum.h"

namespace {

using mfq_test::parse;

using Shape = std::vector<int64_t>;
const int64_t big = int64_t{1} << 40;

mfq_status init(const char *scheme, const Shape &shape, const mfq_layout &layout, mfq_qtensor *q) {
  const mfq_scheme s = parse(scheme);
  return mfq_qtensor_init(&s, static_cast<int32_t>(shape.size()), shape.data(), &layout, q);
}

Shape scale_shape(const mfq_qtensor_sizes &sizes) {
  return Shape(sizes.scale_shape, sizes.scale_shape + sizes.scale_rank);
}

TEST(Tensor, DenseStrides) {
  float data[24];
  const int64_t shape[] = {2, 3, 4};
  mfq_tensor t;
  ASSERT_EQ(mfq_tensor_init(data, MFQ_DTYPE_F32, 3, shape, &t), MFQ_OK);
  EXPECT_EQ(t.data, data);
  EXPECT_EQ(t.dtype, MFQ_DTYPE_F32);
  EXPECT_EQ(t.rank, 3);
  EXPECT_EQ(Shape(t.shape, t.shape + 3), Shape({2, 3, 4}));
  EXPECT_EQ(Shape(t.strides, t.strides + 3), Shape({12, 4, 1}));
  ASSERT_EQ(mfq_tensor_init(data, MFQ_DTYPE_F16, 0, nullptr, &t), MFQ_OK);
  EXPECT_EQ(t.rank, 0);
  const int64_t empty[] = {3, 0, 5};
  ASSERT_EQ(mfq_tensor_init(nullptr, MFQ_DTYPE_BF16, 3, empty, &t), MFQ_OK);
  EXPECT_EQ(Shape(t.shape, t.shape + 3), Shape({3, 0, 5}));
}

TEST(Tensor, Dtypes) {
  EXPECT_EQ(mfq_dtype_bytes(MFQ_DTYPE_F32), 4u);
  EXPECT_EQ(mfq_dtype_bytes(MFQ_DTYPE_BF16), 2u);
  EXPECT_EQ(mfq_dtype_bytes(MFQ_DTYPE_F16), 2u);
  EXPECT_EQ(mfq_dtype_bytes(static_cast<mfq_dtype>(0)), 0u);
  EXPECT_STREQ(mfq_dtype_name(MFQ_DTYPE_F32), "f32");
  EXPECT_STREQ(mfq_dtype_name(MFQ_DTYPE_BF16), "bf16");
  EXPECT_STREQ(mfq_dtype_name(MFQ_DTYPE_F16), "f16");
  EXPECT_STREQ(mfq_dtype_name(static_cast<mfq_dtype>(0)), "unknown dtype");
}

TEST(Tensor, Misuse) {
  float data[4];
  const int64_t shape[] = {2, 2}, negative[] = {2, -1}, huge[] = {big, big}, hidden[] = {big, 0, big};
  mfq_tensor t;
  t.rank = 77;
  EXPECT_TRUE(fails(mfq_tensor_init(data, MFQ_DTYPE_F32, 2, shape, nullptr), invalid, {"tensor is NULL"}));
  EXPECT_TRUE(fails(mfq_tensor_init(data, MFQ_DTYPE_F32, 2, nullptr, &t), invalid, {"shape is NULL"}));
  EXPECT_TRUE(fails(mfq_tensor_init(data, static_cast<mfq_dtype>(0), 2, shape, &t), invalid, {"dtype is 0"}));
  EXPECT_TRUE(fails(mfq_tensor_init(data, MFQ_DTYPE_F32, -1, shape, &t), bad_shape, {"rank is -1", "0 ... 8"}));
  EXPECT_TRUE(fails(mfq_tensor_init(data, MFQ_DTYPE_F32, 9, shape, &t), bad_shape, {"rank is 9"}));
  EXPECT_TRUE(fails(mfq_tensor_init(data, MFQ_DTYPE_F32, 2, negative, &t), bad_shape, {"shape[1] is -1"}));
  EXPECT_TRUE(fails(mfq_tensor_init(data, MFQ_DTYPE_F32, 2, huge, &t), bad_shape, {"more bytes than 64 bits"}));
  EXPECT_TRUE(fails(mfq_tensor_init(data, MFQ_DTYPE_F32, 3, hidden, &t), bad_shape, {"more bytes than 64 bits"}));
  EXPECT_EQ(t.rank, 77);
}

struct Case {
  const char *scheme;
  Shape shape;
  mfq_layout layout;
  size_t row_bits, codes, scales, zero_points, tensor_scale;
  int32_t axis;
  Shape scale_shape;
  int64_t scale_count;
  Shape padded;
};

const mfq_layout plain{};
const mfq_layout rows1{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 1};
const mfq_layout rows16{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 16};
const mfq_layout bytes{MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0};
const mfq_layout last{MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
const mfq_layout transposed{MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
const mfq_layout transposed_rows16{MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 16};
const mfq_layout tiles{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 0};
const mfq_layout last_tiles{MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 0};

const Case cases[] = {
    // Elements: bits of a row and bytes of all codes.
    {"mxfp8_e4m3", {3, 70}, plain, 560, 210, 9, 0, 0, 1, {3, 3}, 9, {3, 96}},
    {"mxfp4_e2m1", {3, 5}, plain, 20, 8, 3, 0, 0, 1, {3, 1}, 3, {3, 32}},
    {"mxfp4_e2m1", {3, 5}, rows1, 24, 9, 3, 0, 0, 1, {3, 1}, 3, {3, 32}},
    {"mxfp4_e2m1", {3, 5}, rows16, 128, 48, 3, 0, 0, 1, {3, 1}, 3, {3, 32}},
    {"mxfp4_e2m1", {3, 5}, bytes, 40, 15, 3, 0, 0, 1, {3, 1}, 3, {3, 32}},
    {"mxfp6_e3m2", {3, 5}, plain, 30, 12, 3, 0, 0, 1, {3, 1}, 3, {3, 32}},
    {"mxfp6_e3m2", {3, 5}, rows1, 32, 12, 3, 0, 0, 1, {3, 1}, 3, {3, 32}},
    // Scale formats and granularities.
    {"e4m3fn", {3, 5}, plain, 40, 15, 0, 0, 0, -1, {}, 1, {3, 5}},
    {"e4m3fn/f32", {3, 5}, plain, 40, 15, 4, 0, 0, -1, {}, 1, {3, 5}},
    {"e4m3fn/bf16", {3, 5}, plain, 40, 15, 2, 0, 0, -1, {}, 1, {3, 5}},
    {"e4m3fn/channel/f16", {3, 5, 2}, plain, 16, 30, 6, 0, 0, 0, {3, 1, 1}, 3, {3, 5, 2}},
    {"e4m3fn/channel@-2/f32", {3, 5, 2}, plain, 16, 30, 20, 0, 0, 1, {1, 5, 1}, 5, {3, 5, 2}},
    {"int4/group:4@0/f32/zp", {9, 5}, plain, 20, 23, 60, 15, 0, 0, {3, 5}, 15, {12, 5}},
    {"nvfp4", {2, 40}, plain, 160, 40, 6, 0, 4, 1, {2, 3}, 6, {2, 48}},
    {"e4m3fn/block:2x4/f32", {7, 3, 5}, plain, 40, 105, 7 * 2 * 2 * 4, 0, 0, -1, {7, 2, 2}, 28, {7, 4, 8}},
    {"e4m3fn/block:2x4/f32", {5}, plain, 40, 5, 8, 0, 0, -1, {2}, 2, {8}},
    // Order of codes and of scales.
    {"mxfp4_e2m1/group:32@1", {2, 33, 5}, last, 132, 165, 20, 0, 0, 1, {2, 5, 2}, 20, {2, 64, 5}},
    {"mxfp4_e2m1/group:32@1", {2, 33, 5}, plain, 20, 165, 20, 0, 0, 1, {2, 2, 5}, 20, {2, 64, 5}},
    {"mxfp8_e4m3", {129, 160}, tiles, 1280, 129 * 160, 256 * 8, 0, 0, 1, {129, 5}, 645, {129, 160}},
    {"mxfp8_e4m3", {128, 128}, tiles, 1024, 128 * 128, 128 * 4, 0, 0, 1, {128, 4}, 512, {128, 128}},
    {"mxfp8_e4m3/group:32@0", {33, 3}, last_tiles, 264, 99, 128 * 4, 0, 0, 0, {3, 2}, 6, {64, 3}},
    {"mxfp8_e4m3/group:32@0", {33, 3}, tiles, 24, 99, 128 * 4, 0, 0, 0, {2, 3}, 6, {64, 3}},
    {"e2m1/block:2x4/f32", {7, 3, 5}, transposed, 12, 53, 7 * 2 * 2 * 4, 0, 0, -1, {7, 2, 2}, 28, {7, 4, 8}},
    {"e2m1/block:2x16/ue8m0", {5, 33}, transposed_rows16, 128, 33 * 16, 9, 0, 0, -1, {3, 3}, 9, {6, 48}},
    {"e4m3fn/channel@0/f32", {3, 5}, transposed, 24, 15, 12, 0, 0, 0, {1, 3}, 3, {3, 5}},
    {"e4m3fn/f32", {3, 5}, transposed, 24, 15, 4, 0, 0, -1, {}, 1, {3, 5}},
    // Rank 0 is rank 1 with one element; empty tensors have empty parts.
    {"mxfp4_e2m1", {}, plain, 4, 1, 1, 0, 0, 0, {1}, 1, {32}},
    {"e4m3fn/f32", {}, plain, 8, 1, 4, 0, 0, -1, {}, 1, {1}},
    {"mxfp8_e4m3", {0, 64}, plain, 512, 0, 0, 0, 0, 1, {0, 2}, 0, {0, 64}},
    {"mxfp8_e4m3", {64, 0}, plain, 0, 0, 0, 0, 0, 1, {64, 0}, 0, {64, 0}},
    {"mxfp8_e4m3", {64, 0}, tiles, 0, 0, 0, 0, 0, 1, {64, 0}, 0, {64, 0}},
    {"e4m3fn/channel/f32", {3, 0}, plain, 0, 0, 12, 0, 0, 0, {3, 1}, 3, {3, 0}},
    {"uint8/f32/zp", {0}, plain, 0, 0, 4, 1, 0, -1, {}, 1, {0}},
};

TEST(QTensor, Sizes) {
  for (const Case &c : cases) {
    SCOPED_TRACE(std::string(c.scheme) + ", case " + std::to_string(&c - cases));
    mfq_qtensor q;
    ASSERT_EQ(init(c.scheme, c.shape, c.layout, &q), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(q.codes, nullptr);
    EXPECT_EQ(q.scales, nullptr);
    EXPECT_EQ(q.rank, static_cast<int32_t>(c.shape.size()));
    mfq_qtensor_sizes sizes;
    ASSERT_EQ(mfq_qtensor_sizes_get(&q, &sizes), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(sizes.row_bits, c.row_bits);
    EXPECT_EQ(sizes.codes_bytes, c.codes);
    EXPECT_EQ(sizes.scales_bytes, c.scales);
    EXPECT_EQ(sizes.zero_points_bytes, c.zero_points);
    EXPECT_EQ(sizes.tensor_scale_bytes, c.tensor_scale);
    EXPECT_EQ(sizes.axis, c.axis);
    EXPECT_EQ(scale_shape(sizes), c.scale_shape);
    EXPECT_EQ(sizes.scale_count, c.scale_count);
    EXPECT_EQ(Shape(sizes.padded_shape, sizes.padded_shape + c.padded.size()), c.padded);
  }
}

TEST(QTensor, LayoutIsOptional) {
  const mfq_scheme s = parse("mxfp4_e2m1");
  const int64_t shape[] = {3, 5};
  mfq_qtensor q;
  ASSERT_EQ(mfq_qtensor_init(&s, 2, shape, nullptr, &q), MFQ_OK);
  EXPECT_EQ(std::memcmp(&q.layout, &plain, sizeof plain), 0);
}

TEST(QTensor, AxesOfEveryRank) {
  for (int32_t rank = 1; rank <= MFQ_MAX_RANK; ++rank) {
    const Shape shape(static_cast<size_t>(rank), 2);
    for (int32_t axis = -8; axis < 8; ++axis) {
      const std::string scheme = "int8/group:2@" + std::to_string(axis) + "/f32";
      mfq_qtensor q;
      const mfq_status status = init(scheme.c_str(), shape, plain, &q);
      if (axis < -rank || axis >= rank) {
        EXPECT_TRUE(fails(status, bad_shape, {"axis is " + std::to_string(axis), "rank is " + std::to_string(rank)}));
        continue;
      }
      ASSERT_EQ(status, MFQ_OK) << mfq_last_error();
      mfq_qtensor_sizes sizes;
      ASSERT_EQ(mfq_qtensor_sizes_get(&q, &sizes), MFQ_OK);
      EXPECT_EQ(sizes.axis, axis < 0 ? axis + rank : axis);
      EXPECT_EQ(sizes.scale_count, int64_t{1} << (rank - 1));
    }
  }
}

TEST(QTensor, Misuse) {
  const mfq_scheme s = parse("mxfp4_e2m1");
  const int64_t shape[] = {3, 5};
  mfq_qtensor q;
  q.rank = 77;
  EXPECT_TRUE(fails(mfq_qtensor_init(nullptr, 2, shape, nullptr, &q), invalid, {"scheme is NULL"}));
  EXPECT_TRUE(fails(mfq_qtensor_init(&s, 2, nullptr, nullptr, &q), invalid, {"shape is NULL"}));
  EXPECT_TRUE(fails(mfq_qtensor_init(&s, 2, shape, nullptr, nullptr), invalid, {"q is NULL"}));
  EXPECT_TRUE(fails(mfq_qtensor_init(&s, 9, shape, nullptr, &q), bad_shape, {"rank is 9"}));
  EXPECT_TRUE(fails(mfq_qtensor_init(&s, -1, shape, nullptr, &q), bad_shape, {"rank is -1"}));
  EXPECT_TRUE(fails(init("mxfp4_e2m1", {2, -4}, plain, &q), bad_shape, {"shape[1] is -4"}));
  EXPECT_TRUE(fails(init("mxfp4_e2m1", {big, big}, plain, &q), bad_shape, {"more bytes than 64 bits"}));
  mfq_scheme bad = s;
  bad.group_size = 0;
  EXPECT_TRUE(fails(mfq_qtensor_init(&bad, 2, shape, nullptr, &q), invalid, {"group_size is 0"}));
  EXPECT_EQ(q.rank, 77);
  mfq_qtensor_sizes sizes;
  EXPECT_TRUE(fails(mfq_qtensor_sizes_get(nullptr, &sizes), invalid, {"q is NULL"}));
  ASSERT_EQ(mfq_qtensor_init(&s, 2, shape, nullptr, &q), MFQ_OK);
  EXPECT_TRUE(fails(mfq_qtensor_sizes_get(&q, nullptr), invalid, {"sizes is NULL"}));
}

TEST(QTensor, PaddingMayOverflow) {
  mfq_qtensor q;
  const int64_t half = int64_t{1} << 32;
  EXPECT_TRUE(fails(init("int8/block:2147483647x2147483647/f32", {1, 1}, plain, &q), bad_shape, {"with its padding"}));
  EXPECT_TRUE(fails(init("int8/group:2147483647/f32", {half, 1}, plain, &q), bad_shape, {"with its padding"}));
  EXPECT_TRUE(
      fails(init("int8/f32", {int64_t{1} << 50, 1}, {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 4096}, &q),
            bad_shape, {"with its padding", "row_align"}));
  EXPECT_TRUE(fails(init("int8", {int64_t{1} << 60}, plain, &q), bad_shape, {"with its padding"}));
  EXPECT_EQ(init("int8", {int64_t{1} << 59}, plain, &q), MFQ_OK);
}

TEST(QTensor, BadLayouts) {
  mfq_qtensor q;
  mfq_layout bad = plain;
  bad.row_align = 4097;
  EXPECT_TRUE(fails(init("mxfp8_e4m3", {4, 4}, bad, &q), invalid, {"layout.row_align is 4097", "0 ... 4096"}));
  bad.row_align = -1;
  EXPECT_TRUE(fails(init("mxfp8_e4m3", {4, 4}, bad, &q), invalid, {"layout.row_align is -1"}));
  bad = plain;
  set_raw(&bad.codes, 3);
  EXPECT_TRUE(fails(init("mxfp8_e4m3", {4, 4}, bad, &q), invalid, {"layout.codes is 3; allowed is 0 ... 2"}));
  bad = plain;
  set_raw(&bad.packing, 2);
  EXPECT_TRUE(fails(init("mxfp8_e4m3", {4, 4}, bad, &q), invalid, {"layout.packing is 2"}));
  bad = plain;
  set_raw(&bad.scales, -1);
  EXPECT_TRUE(fails(init("mxfp8_e4m3", {4, 4}, bad, &q), invalid, {"layout.scales is -1"}));
  for (const char *scheme : {"int8", "int8/f32", "int8/channel/f32", "int8/block:2x2/f32"})
    EXPECT_TRUE(fails(init(scheme, {4, 4}, last, &q), invalid, {"layout.codes is GROUP_LAST"}));
  for (const char *scheme : {"mxfp8_e4m3", "nvfp4", "int8/group:2@0/f32"})
    EXPECT_TRUE(fails(init(scheme, {4, 4}, transposed, &q), invalid,
                      {"layout.codes is TRANSPOSED, which is for schemes without groups; use GROUP_LAST"}));
  for (const Shape &shape : {Shape{}, Shape{4}})
    EXPECT_TRUE(fails(init("int8", shape, transposed, &q), bad_shape,
                      {"layout.codes is TRANSPOSED, which exchanges the last two axes, but the rank is " +
                       std::to_string(shape.size()) + "; use LOGICAL"}));
  for (const char *scheme : {"int8", "int8/ue8m0", "int8/channel/ue8m0", "int8/block:2x2/ue4m3", "int8/group:2/f32"})
    EXPECT_TRUE(fails(init(scheme, {4, 4}, tiles, &q), invalid, {"layout.scales is 128X4"}));
}

} // namespace
