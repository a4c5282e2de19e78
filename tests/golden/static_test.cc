// Static quantizers: what Brevitas makes of elements with scales, and zero points, that it found before.
#include "golden_file.h"

namespace {

using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::same_floats;

struct Case {
  const char *file, *scheme;
  const char *x, *scale, *zero_point, *value; /* tensors of the file; zero_point may be NULL */
};

const Case cases[] = {
    {"collect_absmax", "brevitas:Fp8e4m3OCPActPerTensorFloat", "x_eval", "scale_eval", nullptr, "value_eval"},
    {"collect_absmax", "brevitas:Fp8e4m3OCPActPerTensorFloat", "x_grad", "scale_train4", nullptr, "value_grad_step"},
    {"collect_percentile_int8", "brevitas:Int8ActPerTensorFloat", "x_eval", "scale_eval", nullptr, "value_eval"},
    {"collect_percentile_int8", "brevitas:Int8ActPerTensorFloat", "x_grad", "scale_train4", nullptr, "value_grad_step"},
    {"notebook_ocp_fp8", "brevitas:Fp8e4m3OCPActPerTensorFloat", "x", "input_scale", nullptr, "input_value"},
    {"scaled_weights", "brevitas:Fp8e5m2OCPWeightPerChannelFloat/f32:given", "w",
     "Fp8e5m2OCPWeightPerChannelFloat.scale", nullptr, "Fp8e5m2OCPWeightPerChannelFloat.value"},
    {"scaled_weights", "brevitas:ShiftedMXUInt8Weight/f32:given", "w", "ShiftedMXUInt8Weight.scale",
     "ShiftedMXUInt8Weight.zero_point", "ShiftedMXUInt8Weight.value"},
    {"scaled_weights", "brevitas:ShiftedUint8WeightGroupQuantFloat/group:16@1/f32:given", "w",
     "ShiftedUint8WeightGroupQuantFloat_g16.scale", "ShiftedUint8WeightGroupQuantFloat_g16.zero_point",
     "ShiftedUint8WeightGroupQuantFloat_g16.value"},
    {"scaled_weights", "brevitas:IntWeightSymmetricGroupQuant/int4n/group:24@1/f32:given", "w",
     "IntWeightSymmetricGroupQuant_int4_g24.scale", nullptr, "IntWeightSymmetricGroupQuant_int4_g24.value"},
};

void check(const Case &c) {
  golden::File file(c.file);
  Quantized t(parse(c.scheme), file.shape(c.x));
  const std::vector<float> scale = file.read(c.scale);
  ASSERT_EQ(scale.size() * sizeof(float), t.sizes.scales_bytes);
  std::memcpy(t.scales.data(), scale.data(), t.sizes.scales_bytes);
  ASSERT_EQ(t.q.scheme.zero_point, c.zero_point != nullptr);
  const std::vector<float> zeros = c.zero_point != nullptr ? file.read(c.zero_point) : std::vector<float>();
  ASSERT_EQ(zeros.size(), t.sizes.zero_points_bytes);
  for (size_t i = 0; i < zeros.size(); ++i) t.zero_points[i] = (uint8_t)zeros[i]; /* unsigned: codes are the numbers */
  const std::vector<float> x = file.read(c.x), value = file.read(c.value);
  EXPECT_TRUE(same_floats(mfq_test::faked_given(mfq_test::make_context().get(), t, x), value));
}

TEST(Static, ScalesThatWereFoundBefore) {
  for (const Case &c : cases) {
    SCOPED_TRACE(std::string(c.file) + ", " + c.value);
    check(c);
  }
}

} // namespace
