// Quantized convolutions as Brevitas computes them: both operands bit for bit, outputs within 1e-5 of the largest.
#include "golden_layers.h"

namespace {

using namespace mfq_test;
using golden::case_of;
using golden::Layer;
using golden::layers;

/* Puts values into an operand and quantizes it; scales are what a rule that is given reads. */
void load(SideData *side, const std::vector<float> &values, const std::vector<float> &scales) {
  ASSERT_EQ(values.size(), side->plain->count());
  side->plain->fill([&](size_t i) { return float_bits(values[i]); });
  if (side->quantized->q.scheme.rule == MFQ_RULE_GIVEN) {
    ASSERT_EQ(side->quantized->sizes.scales_bytes, scales.size() * sizeof(float));
    std::memcpy(side->quantized->scales.data(), scales.data(), scales.size() * sizeof(float));
  }
  side->renew();
}

ConvData data_of(const Layer &layer, golden::File *file) {
  ConvData data(case_of(layer, *file));
  load(&data.side(kInput), file->read("x"), file->read("input_scale"));
  load(&data.side(kWeight), file->read("weight"), file->read("weight_scale"));
  data.bias = file->read("bias");
  return data;
}

/* Values, padded values and compressed scales of an operand. */
void check_operand(golden::File *file, const std::string &name, const Quantized &t) {
  SCOPED_TRACE(name);
  const bool is_integer = t.q.scheme.element.kind == MFQ_KIND_INTEGER; /* no -0 */
  for (const std::string &isa : every_isa()) {
    SCOPED_TRACE(isa);
    const Context context = make_context(isa.c_str());
    EXPECT_TRUE(same_floats(dequantized(context.get(), t), file->read(name + "_value"), is_integer));
    EXPECT_TRUE(same_floats(expanded_scales(context.get(), t, scale_shape(t)), file->read(name + "_scale")));
    const std::string padded = name + "_value_padded_grouped";
    ASSERT_EQ(file->has(padded), t.q.scheme.granularity == MFQ_GRANULARITY_GROUP);
    if (!file->has(padded)) continue;
    EXPECT_TRUE(same_floats(dequantized(context.get(), t, padded_shape(t)), file->read(padded), is_integer));
  }
}

/* Quantized on each instruction set, the parts are the same bytes. */
void check_quantize(const SideData &side) {
  for (const std::string &isa : every_isa()) {
    const Context context = make_context(isa.c_str());
    Quantized t(side.quantized->q.scheme, logical_shape(*side.quantized));
    if (t.q.scheme.rule == MFQ_RULE_GIVEN) t.scales = side.quantized->scales;
    const mfq_tensor src = side.plain->at(const_cast<uint8_t *>(side.plain->bytes.data()));
    ASSERT_EQ(mfq_quantize(context.get(), &src, &t.q, nullptr), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(t.same_bytes(*side.quantized)) << isa << ": " << t.difference(*side.quantized);
  }
}

testing::AssertionResult near_golden(const std::vector<double> &got, const std::vector<float> &want) {
  if (got.size() != want.size()) return testing::AssertionFailure() << got.size() << " values";
  double largest = 0;
  for (const float value : want) largest = std::max(largest, (double)std::fabs(value));
  for (size_t i = 0; i < want.size(); ++i)
    if (!(std::fabs(got[i] - want[i]) <= 1e-5 * largest))
      return testing::AssertionFailure() << "output " << i << " is " << got[i] << ", Brevitas has " << want[i]
                                         << ", the largest is " << largest;
  return testing::AssertionSuccess();
}

class Convolutions : public testing::TestWithParam<Layer> {
protected:
  golden::File file{GetParam().file};
  ConvData data = data_of(GetParam(), &file);
  std::vector<float> out = file.read("out");
};

INSTANTIATE_TEST_SUITE_P(Brevitas, Convolutions, testing::ValuesIn(layers),
                         [](const auto &info) { return std::string(info.param.file); });

TEST_P(Convolutions, Operands) {
  ASSERT_EQ(file.shape("out"), data.result_shape);
  check_operand(&file, "input", *data.side(kInput).quantized);
  check_operand(&file, "weight", *data.side(kWeight).quantized);
  check_quantize(data.side(kInput));
  check_quantize(data.side(kWeight));
  EXPECT_TRUE(file.unread().empty()) << *file.unread().begin();
}

// The sums of double that all tests of convolutions compare with are Brevitas' too.
TEST_P(Convolutions, SumsOfDouble) {
  std::vector<double> values, bounds;
  data.expected(&values, &bounds);
  EXPECT_TRUE(near_golden(values, out));
}

/* The output on a context, its operands quantized before and, where scales follow from the tensor, on the way in. */
void check_output(mfq_context *context, ConvData *data, const std::vector<float> &out) {
  for (const bool on_the_way : {false, true}) {
    data->given.input.on_the_way = on_the_way && data->side(kInput).quantized->q.scheme.rule != MFQ_RULE_GIVEN;
    data->given.weight.on_the_way = on_the_way;
    const ProductResult result = run_conv(context, *data);
    ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(near_golden(result.values, out)) << result.description;
    EXPECT_TRUE(conv_result_is_near(*data, result)) << result.description;
  }
}

TEST_P(Convolutions, OutputsOnTheCpu) {
  for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE})
    check_output(make_context_of("cpu", policy, 2).get(), &data, out);
}

// CTest runs this by itself, as device/conv_golden and gpu/conv_golden, with the module of the device.
TEST_P(Convolutions, OutputsOnTheDevice) {
  if (devices().device == nullptr && std::getenv("MFQ_CUDA_MODULE") != nullptr) GTEST_FAIL() << devices().reason;
  if (devices().device == nullptr) GTEST_SKIP() << devices().reason;
  for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE})
    check_output(make_context_of(device_name(), policy).get(), &data, out);
}

/* Elements of [outer, 8, inner] become [outer, 32, inner], with zeros. */
std::vector<float> padded_channels(const std::vector<float> &x, size_t outer) {
  const size_t inner = x.size() / outer / 8;
  std::vector<float> all(outer * 32 * inner);
  for (size_t i = 0; i < x.size(); ++i) all[i / (8 * inner) * 32 * inner + i % (8 * inner)] = x[i];
  return all;
}

// The tutorial's padding cell: 8 channels in groups of 8, in one group of 32 that they do not fill, and in a full one
// with 24 channels of zeros. A group has the same largest value each time, so the same scale and codes;
// MFQ_REPRODUCIBLE takes the 8 products of a tap in one exact run, to which zeros add nothing: the same bits.
TEST(Padding, GroupsOf8AndOf32AreEqual) {
  golden::File small("notebook_mxfp8_group8"), large("notebook_mxfp8_padded");
  ASSERT_EQ(small.read("x"), large.read("x"));
  ASSERT_EQ(small.read("weight"), large.read("weight"));
  const ConvData eight = data_of(layers[3], &small), padded = data_of(layers[4], &large);
  ConvCase wide = padded.given;
  wide.in_channels = 32;
  ConvData full(wide);
  load(&full.side(kInput), padded_channels(small.read("x"), 1), {});
  load(&full.side(kWeight), padded_channels(small.read("weight"), 64), {});
  full.bias = eight.bias;

  const Context context = make_context_of("cpu", MFQ_REPRODUCIBLE, 2);
  const ProductResult want = run_conv(context.get(), eight);
  ASSERT_EQ(want.status, MFQ_OK) << mfq_last_error();
  EXPECT_EQ(run_conv(context.get(), padded).bytes, want.bytes);
  EXPECT_EQ(run_conv(context.get(), full).bytes, want.bytes);
}

} // namespace
