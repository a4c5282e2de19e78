// Operands of convolutions on their way to a dense array: every kind, scheme, order of codes and of memory, with more
// channels and pixels than a box of the conversion has. A wrong element is far beyond the bound of the sums.
#include "support/environment.h"
#include "support/conv_cases.h"
#include "support/conv_huge.h"
#include "support/machine.h"

namespace {

using namespace mfq_test;

/* An operand as it may come. */
ConvSide side_of(const std::string &scheme, size_t form, Memory memory, mfq_dtype dtype) {
  static const mfq_layout layouts[] = {{},
                                       {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                       {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 16},
                                       {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0},
                                       {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 3}};
  ConvSide side;
  side.scheme = scheme;
  side.memory = memory;
  side.dtype = dtype;
  side.on_the_way = form == 0 && !scheme.empty();
  if (form > 0 && !scheme.empty()) side.layout = layouts[form - 1];
  if (!scheme.empty() && parse(scheme).granularity != MFQ_GRANULARITY_GROUP) side.layout.codes = MFQ_CODES_LOGICAL;
  return side;
}

ConvCase case_of(mfq_conv_direction direction, const Shape &in) {
  ConvCase x;
  x.direction = direction;
  x.batch = 2;
  x.in_channels = 70;
  x.out_channels = 68;
  x.in = in;
  x.filter = {1, 2};
  x.padding = {0, 1};
  return x;
}

class ConvExpand : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    if (is_only_reference()) GTEST_SKIP() << kOnlyReference;
  }
  const Context context = make_context(GetParam().c_str(), 2);
};

INSTANTIATE_TEST_SUITE_P(, ConvExpand, testing::ValuesIn(fast_isas_or_reference()),
                         [](const auto &info) { return info.param; });

constexpr const char *kSchemes[] = {"mxfp8_e4m3", "mxfp6_e3m2",       "mxfp4_e2m1",         "mxint8_even",
                                    "nvfp4",      "int8n/tensor/f32", "mxfp8_e5m2/group:9", "int4/group:16/f32",
                                    "",           "fp8_e4m3_channel"};
constexpr Memory kMemories[] = {Memory::kDense, Memory::kOtherOrder, Memory::kGaps, Memory::kReversed,
                                Memory::kBroadcast};

// As the operand that is read through the filter, and as the other one.
TEST_P(ConvExpand, EveryForm) {
  sample(
      {std::size(kSchemes), 6, 3, std::size(kMemories), 3, 2, 2}, 90,
      [&](const std::vector<size_t> &at) {
        ConvCase x = case_of(kDirections[at[2]], {3, 5});
        x.layout = kConvLayouts[at[5]];
        const ConvSide side = side_of(kSchemes[at[0]], at[1], kMemories[at[3]], kDtypes[at[4]]);
        set_sides(&x, at[6] != 0 ? ConvSide() : side, at[6] != 0 ? side : ConvSide());
        ASSERT_TRUE(conv_is_near(context.get(), x, "expanded"));
      });
}

// Lines of more than a box, groups that end within and at the end of one.
TEST_P(ConvExpand, ManyPixels) {
  sample(
      {4, 6, 3, 2, 3, 2, 3}, 30,
      [&](const std::vector<size_t> &at) {
        const Shape images[] = {{9, 16}, {3, 50}, {1, 131}};
        ConvCase x = case_of(kDirections[at[2]], images[at[6]]);
        x.out_channels = 9;
        if (x.direction == MFQ_CONV_INPUT_GRADIENT) std::swap(x.in_channels, x.out_channels);
        x.layout = kConvLayouts[at[5]];
        set_sides(&x, side_of(kSchemes[at[0]], at[1], kMemories[at[3]], kDtypes[at[4]]), ConvSide());
        ASSERT_TRUE(conv_is_near(context.get(), x, "expanded"));
      });
}

// Gradients of the weight, where groups run along any axis but the channels'.
TEST_P(ConvExpand, GroupsAlongPixelsAndImages) {
  sample(
      {3, 6, 3, 2, 2, 2}, 60,
      [&](const std::vector<size_t> &at) {
        ConvCase x = case_of(MFQ_CONV_WEIGHT_GRADIENT, {7, 6});
        x.batch = 3;
        x.layout = kConvLayouts[at[4]];
        const size_t axes[] = {0, 1, 2}, axis = axes[at[2]]; /* batch, height, width */
        const bool is_first = x.layout == MFQ_CONV_CHANNELS_FIRST;
        const std::string place = "@" + std::to_string(axis == 0 ? 0 : is_first ? axis + 1 : axis);
        const char *const groups[] = {"mxfp8_e4m3/group:4", "mxfp4_e2m1/group:2", "mxfp6_e2m3/group:4"};
        const ConvSide side = side_of(groups[at[0]] + place, at[1], kMemories[at[3]], MFQ_DTYPE_BF16);
        set_sides(&x, at[5] != 0 ? ConvSide() : side, at[5] != 0 ? side : ConvSide());
        ASSERT_TRUE(conv_is_near(context.get(), x, "expanded"));
      });
}

// The same bits whichever way an operand becomes values: what the engine sums is equal.
TEST_P(ConvExpand, FormsAgree) {
  for (const char *scheme : {"mxfp8_e4m3", "mxfp4_e2m1", "mxint8"})
    for (const mfq_conv_direction direction : kDirections) {
      ConvCase x = case_of(direction, {6, 11});
      std::vector<double> first;
      for (size_t form = 0; form < 6; ++form) {
        set_sides(&x, side_of(scheme, form, Memory::kDense, MFQ_DTYPE_BF16), ConvSide());
        const ProductResult result = run_conv(context.get(), ConvData(x));
        ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
        if (first.empty()) first = result.values;
        ASSERT_EQ(result.values, first) << scheme << ", direction " << direction << ", form " << form;
      }
    }
}

// What an engine multiplies is finite where the operands' codes and scales are.
TEST_P(ConvExpand, FiniteValuesStayFinite) {
  const Variable own("MFQ_ONEDNN_MODULE", ""); /* in bf16 */
  for (const char *scheme : kHugeSchemes)
    for (const mfq_conv_layout layout : kConvLayouts)
      EXPECT_TRUE(conv_keeps_huge_values(context.get(), huge_case(layout), scheme, "expanded", 0x1.fep127));
}

} // namespace
