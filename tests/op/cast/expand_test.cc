// Expanded views read their own part of a quantized tensor and no other.
#include "support/quantized.h"

namespace {

TEST(Expand, ReadsOnlyItsPart) {
  const mfq_test::Context context = mfq_test::make_context();
  mfq_test::Quantized t(mfq_test::parse("uint4/group:2/f32/zp"), {1, 4});
  const float scales[2] = {0.5f, 2.0f};
  std::memcpy(t.scales.data(), scales, sizeof scales);
  t.zero_points[0] = 3;
  t.zero_points[1] = 15;
  float out[2] = {-1, -1};
  const int64_t shape[2] = {1, 2};
  mfq_tensor dst;
  ASSERT_EQ(mfq_tensor_init(out, MFQ_DTYPE_F32, 2, shape, &dst), MFQ_OK);

  mfq_qtensor alone = t.q;
  alone.codes = alone.scales = nullptr;
  ASSERT_EQ(mfq_expand_zero_points(context.get(), &alone, &dst), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(out[0], 3.0f);
  EXPECT_EQ(out[1], 15.0f);

  alone = t.q;
  alone.codes = alone.zero_points = nullptr;
  ASSERT_EQ(mfq_expand_scales(context.get(), &alone, &dst), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(out[0], 0.5f);
  EXPECT_EQ(out[1], 2.0f);
}

} // namespace
