// Weights per tensor, channel and group, as Brevitas quantizes them: values, scales and zero points bit for bit.
#include "golden_file.h"

namespace {

using mfq_test::make_context;
using mfq_test::same_floats;

struct Case {
  const char *name;
  const char *scheme;
};

const Case cases[] = {
    {"Fp8e4m3OCPWeightPerTensorFloat", "brevitas:Fp8e4m3OCPWeightPerTensorFloat"},
    {"Fp8e4m3OCPWeightPerChannelFloat", "brevitas:Fp8e4m3OCPWeightPerChannelFloat"},
    {"Fp8e5m2OCPWeightPerChannelFloat", "brevitas:Fp8e5m2OCPWeightPerChannelFloat"},
    {"Fp8e4m3FNUZWeightPerTensorFloat", "brevitas:Fp8e4m3FNUZWeightPerTensorFloat"},
    {"Fp8e4m3WeightPerChannelFloat", "brevitas:Fp8e4m3WeightPerChannelFloat"},
    {"Int8WeightPerTensorFloat", "brevitas:Int8WeightPerTensorFloat"},
    {"Int8WeightPerChannelFloat", "brevitas:Int8WeightPerChannelFloat"},
    {"ShiftedMXUInt8Weight", "brevitas:ShiftedMXUInt8Weight"},
    {"ShiftedUint8WeightGroupQuantFloat_g16", "brevitas:ShiftedUint8WeightGroupQuantFloat/group:16@1"},
    {"Fp8e4m3OCPWeightSymmetricGroupQuant_g16", "brevitas:Fp8e4m3OCPWeightSymmetricGroupQuant/group:16@1"},
    {"IntWeightSymmetricGroupQuant_int4_g24", "brevitas:IntWeightSymmetricGroupQuant/int4n/group:24@1"},
};

void check_padded(golden::File *file, const Case &c, mfq_context *context, const mfq_test::Quantized &t) {
  const std::string name = std::string(c.name) + ".value_padded_grouped";
  if (t.q.scheme.granularity != MFQ_GRANULARITY_GROUP) {
    EXPECT_FALSE(file->has(name));
    return;
  }
  const bool is_integer = t.q.scheme.element.kind == MFQ_KIND_INTEGER;
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context, t, mfq_test::padded_shape(t)), file->read(name), is_integer));
}

void check_case(mfq_context *context, golden::File *file, const Case &c, const std::vector<float> &w) {
  const std::string name = c.name;
  const mfq_scheme scheme = mfq_test::parse(c.scheme);
  const mfq_test::Shape shape = file->shape("w");
  const std::vector<float> value = file->read(name + ".value"), scale = file->read(name + ".scale");

  std::vector<float> fake_scale;
  EXPECT_TRUE(same_floats(mfq_test::faked(context, scheme, w, shape, &fake_scale), value));
  EXPECT_TRUE(same_floats(fake_scale, scale));

  /* Codes of integers have no -0, those of FNUZ neither. */
  const bool has_negative_zero =
      scheme.element.kind == MFQ_KIND_MINIFLOAT && scheme.element.specials != MFQ_SPECIALS_FNUZ;
  mfq_test::Quantized t(scheme, shape);
  mfq_test::quantize(context, w, &t);
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context, t), value, !has_negative_zero));
  EXPECT_TRUE(same_floats(mfq_test::expanded_scales(context, t, mfq_test::scale_shape(t)), scale));
  check_padded(file, c, context, t);
  EXPECT_EQ(file->has(name + ".zero_point"), scheme.zero_point == 1);
  if (scheme.zero_point)
    EXPECT_TRUE(same_floats(mfq_test::expanded_zero_points(context, t, mfq_test::scale_shape(t)),
                            file->read(name + ".zero_point")));
}

TEST(Weights, EveryCase) {
  golden::File file("scaled_weights");
  const std::vector<float> w = file.read("w");
  for (const Case &c : cases) {
    SCOPED_TRACE(c.name);
    for (const std::string &isa : mfq_test::every_isa()) {
      SCOPED_TRACE(isa);
      check_case(make_context(isa.c_str()).get(), &file, c, w);
    }
  }
  for (const std::string &name : file.unread()) EXPECT_NE(name.find("MSE"), std::string::npos) << name;
}

} // namespace
