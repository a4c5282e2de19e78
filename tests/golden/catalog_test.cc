// Classes of Brevitas by name, as tests/golden/brevitas/make_catalog.py ran them: values bit for bit, with the scales that
// they compute, or with those that they had found.
#include "golden_file.h"

namespace {

using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::same_floats;

struct Case {
  const char *name, *x;
  const char *scheme; /* NULL: brevitas:<name> */
};

const Case cases[] = {
    {"Int8BiasPerTensorFloatInternalScaling", "b", nullptr},
    {"Int8BiasPerTensorFixedPointInternalScaling", "b", nullptr},
    {"Int8ActPerTensorFloatMinMaxInit", "x", nullptr},
    {"Uint8ActPerTensorFloatMaxInit", "x", nullptr},
    {"Int8ActPerTensorFixedPointMinMaxInit", "x", nullptr},
    {"Uint8ActPerTensorFixedPointMaxInit", "x", nullptr},
    {"Int8ActPerTensorFloatBatchQuant1d", "x3", nullptr},
    {"Uint8ActPerTensorFloatBatchQuant1d", "x3", nullptr},
    {"Int8ActPerTensorFloatBatchQuant2d", "x4", nullptr},
    {"Uint8ActPerTensorFloatBatchQuant2d", "x4", nullptr},
    {"ShiftedUint8ActPerTensorFixedPoint", "x", nullptr},
    {"SignedTernaryWeightPerTensorConst", "w", nullptr},
    {"SignedTernaryActPerTensorConst", "x", nullptr},
    {"ShiftedUint8DynamicActPerTensorFloat", "x", nullptr},
    {"Int8DynamicActPerRowFloat", "x", nullptr},
    {"Int8DynamicActPerRowFixedPoint", "x", nullptr},
    {"ShiftedUint8DynamicActPerRowFloat", "x", nullptr},
    {"FP8e4m3OCPDynamicActPerRowFloat", "x", nullptr},
    {"FP8e4m3OCPDynamicActPerRowFixedPoint", "x", nullptr},
    {"FP8e4m3FNUZDynamicActPerRowFloat", "x", nullptr},
    {"Fp8e4m3OCPWeightPerTensorFloat_round", "w", "brevitas:Fp8e4m3OCPWeightPerTensorFloat/f32:round"},
    {"Fp8e5m2OCPWeightPerChannelFloat_round", "w", "brevitas:Fp8e5m2OCPWeightPerChannelFloat/f32:round"},
    {"ShiftedUint8WeightPerTensorFloat_zpf", "w", "brevitas:ShiftedUint8WeightPerTensorFloat/zpf"},
    {"ShiftedUint8WeightPerChannelFloat_zpf", "w", "brevitas:ShiftedUint8WeightPerChannelFloat/zpf"},
};

/* Zero points as they are stored. */
void put_zero_points(const std::vector<float> &zeros, Quantized *t) {
  const bool is_float = t->q.scheme.zero_point == 2;
  ASSERT_EQ(zeros.size() * (is_float ? 4 : 1), t->sizes.zero_points_bytes);
  if (is_float) std::memcpy(t->zero_points.data(), zeros.data(), t->sizes.zero_points_bytes);
  for (size_t i = 0; i < zeros.size() && !is_float; ++i) t->zero_points[i] = (uint8_t)zeros[i];
}

void check(golden::File *file, const Case &c, mfq_context *context) {
  const std::string name = c.name;
  mfq_scheme scheme = parse(c.scheme != nullptr ? c.scheme : "brevitas:" + name);
  const mfq_test::Shape shape = file->shape(c.x);
  const std::vector<float> x = file->read(c.x), value = file->read(name + ".value"),
                           scale = file->read(name + ".scale"),
                           zeros = scheme.zero_point ? file->read(name + ".zero_point") : std::vector<float>();
  if (scheme.rule != MFQ_RULE_GIVEN) {
    std::vector<float> got;
    EXPECT_TRUE(same_floats(mfq_test::faked(context, scheme, x, shape, &got), value));
    EXPECT_TRUE(same_floats(got, scale));
    Quantized t(scheme, shape);
    mfq_test::quantize(context, x, &t);
    if (scheme.zero_point)
      EXPECT_TRUE(same_floats(mfq_test::expanded_zero_points(context, t, mfq_test::scale_shape(t)), zeros));
  }
  scheme.rule = MFQ_RULE_GIVEN;
  Quantized t(scheme, shape);
  ASSERT_EQ(scale.size() * sizeof(float), t.sizes.scales_bytes);
  std::memcpy(t.scales.data(), scale.data(), t.sizes.scales_bytes);
  put_zero_points(zeros, &t);
  EXPECT_TRUE(same_floats(mfq_test::faked_given(context, t, x), value));
}

TEST(Catalog, EveryCase) {
  golden::File file("catalog");
  for (const Case &c : cases)
    for (const std::string &isa : mfq_test::every_isa()) {
      SCOPED_TRACE(std::string(c.name) + ", " + isa);
      check(&file, c, mfq_test::make_context(isa.c_str()).get());
    }
  EXPECT_TRUE(file.unread().empty()) << *file.unread().begin();
}

} // namespace
