// MFQ_REPRODUCIBLE, bit for bit: each run of a line summed without rounding, rounded once with its scales, runs in
// order.
#include "support/conv_cases.h"
#include "support/exact_parts.h"
#include "support/exact_sum.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

/* ---- The oracle --------------------------------------------------------------------------------------------------- */

/* A product of a sum: its elements, and where it stands in the order of the sum. */
struct Term {
  int64_t line, index;                   /* runs do not reach from one line to the next */
  std::array<int64_t, 2> element, group; /* of the two operands, row-major; groups: which scale */
};

/* Index of an element with the scale that it shares: one number for each group. */
class Groups {
public:
  Groups(const SideData &data) : shape_(data.shape), axis_(shape_.size()) {
    if (data.quantized == nullptr) return;
    const mfq_scheme &s = data.quantized->q.scheme;
    if (s.granularity != MFQ_GRANULARITY_GROUP) return;
    axis_ = (size_t)(s.axis < 0 ? s.axis + (int32_t)shape_.size() : s.axis);
    size_ = s.group_size;
  }
  int64_t of(int64_t element) const {
    int64_t group = 0, step = 1, rest = element;
    for (size_t d = shape_.size(); axis_ < shape_.size() && d-- > 0; rest /= shape_[d], step *= shape_[d])
      group += (d == axis_ ? rest % shape_[d] / size_ : rest % shape_[d]) * step;
    return group;
  }

private:
  Shape shape_;
  size_t axis_; /* none: the rank */
  int64_t size_ = 1;
};

/* Row-major index of an element along some axes. */
int64_t along(int64_t element, const Shape &shape, const std::vector<size_t> &axes) {
  Shape at(shape.size());
  for (size_t d = shape.size(); d-- > 0; element /= shape[d]) at[d] = element % shape[d];
  int64_t index = 0;
  for (const size_t axis : axes) index = index * shape[axis] + at[axis];
  return index;
}

class ExactConvolution {
public:
  explicit ExactConvolution(const ConvData &data)
      : data_(data), x_(data.given),
        operands_(operands()), shapes_{shape_of(x_, operands_[0]), shape_of(x_, operands_[1])},
        parts_{ExactParts(*data.sides[operands_[0]]), ExactParts(*data.sides[operands_[1]])} {}

  std::vector<float> expected() const {
    std::vector<std::vector<Term>> sums(count_of(data_.result_shape));
    const Groups groups[] = {Groups(*data_.sides[operands_[0]]), Groups(*data_.sides[operands_[1]])};
    data_.each_meeting([&](const std::array<int64_t, 3> &at) {
      Term term = place(at);
      for (size_t i = 0; i < 2; ++i) {
        term.element[i] = at[operands_[i]];
        term.group[i] = groups[i].of(term.element[i]);
      }
      sums[(size_t)at[data_.result]].push_back(term);
    });
    std::vector<float> values;
    for (std::vector<Term> &terms : sums) {
      std::sort(terms.begin(), terms.end(),
                [](const Term &a, const Term &b) { return a.line != b.line ? a.line < b.line : a.index < b.index; });
      values.push_back(sum_of(terms));
    }
    return values;
  }

private:
  const ConvData &data_;
  const ConvCase &x_;
  std::array<ConvTensor, 2> operands_; /* whose factor comes first, and the other */
  std::array<Shape, 2> shapes_;
  std::array<ExactParts, 2> parts_;

  /* The pixels of WEIGHT_GRADIENT are those of the smaller tensor. */
  ConvTensor small() const { return x_.transposed ? kInput : kOutput; }
  std::array<ConvTensor, 2> operands() const {
    if (data_.result == kWeight) return {small(), small() == kInput ? kOutput : kInput};
    return {data_.result == kOutput ? kInput : kOutput, kWeight};
  }

  std::vector<size_t> spatial_axes() const {
    std::vector<size_t> axes;
    for (size_t d = 1; d < x_.in.size() + 2; ++d)
      if (d != channel_axis(x_)) axes.push_back(d);
    return axes;
  }

  /* The line of a product and its index there. */
  Term place(const std::array<int64_t, 3> &at) const {
    Term term{};
    std::vector<size_t> axes = spatial_axes();
    if (data_.result != kWeight) {
      const int64_t channels = operands_[0] == kInput ? x_.in_channels : x_.out_channels;
      term.line = along(at[kWeight], shapes_[1], axes);
      term.index = along(at[operands_[0]], shapes_[0], {channel_axis(x_)}) % (channels / x_.groups);
      return term;
    }
    term.index = along(at[operands_[0]], shapes_[0], {axes.back()});
    axes.back() = 0;
    std::rotate(axes.begin(), axes.end() - 1, axes.end()); /* the image, then the rows */
    term.line = along(at[operands_[0]], shapes_[0], axes);
    return term;
  }

  static bool is_one_run(const Term &a, const Term &b) {
    return a.line == b.line && a.index / 32 == b.index / 32 && a.group == b.group;
  }

  float sum_of(const std::vector<Term> &terms) const {
    const bool is_ordered = parts_[0].is_plain || parts_[1].is_plain;
    float total = 0, factors[] = {1, 1};
    ExactSum run;
    double ordered = 0;
    for (size_t i = 0; i < terms.size(); ++i) {
      const size_t a = (size_t)terms[i].element[0], b = (size_t)terms[i].element[1];
      const double product = parts_[0].elements[a] * parts_[1].elements[b];
      const double scale = (double)parts_[0].group_scales[a] * (double)parts_[1].group_scales[b];
      factors[0] = parts_[0].factors[a];
      factors[1] = parts_[1].factors[b];
      if (is_ordered)
        ordered += product;
      else
        run.add(product, scale);
      if (i + 1 < terms.size() && is_one_run(terms[i], terms[i + 1])) continue;
      if (ordered != 0) run.add(ordered, scale);
      total += run.to_f32();
      run = ExactSum();
      ordered = 0;
    }
    return total * factors[0] * factors[1];
  }
};

testing::AssertionResult is_exact(const ConvCase &x) {
  static const Context context = reproducible();
  trace(text_of(x));
  const ConvData data(x);
  const ProductResult result = run_conv(context.get(), data);
  auto verdict = succeeded(result.status, "the convolution");
  if (verdict) verdict = same_floats({result.values.begin(), result.values.end()}, ExactConvolution(data).expected());
  if (verdict && result.description.rfind("reference", 0) != 0) verdict = testing::AssertionFailure() << "another way";
  return verdict ? verdict : verdict << "; " << text_of(x) << "; " << result.description;
}

/* ---- Against the oracle ------------------------------------------------------------------------------------------- */

TEST(ConvExact, PairsOfSchemes) {
  const char *const schemes[] = {"",
                                 "mxfp8_e4m3",
                                 "mxfp8_e5m2",
                                 "mxfp4_e2m1",
                                 "mxint8",
                                 "nvfp4",
                                 "uint4/group:16/f32/zp",
                                 "int8_tensor_zp",
                                 "e4m3fn/group:7/f32",
                                 "int8/group:24/bf16",
                                 "fp8_e4m3_channel",
                                 "e2m1/group:5/ue4m3"};
  uint32_t seed = 1;
  sample_pairs({3, std::size(schemes), std::size(schemes)}, [&](const std::vector<size_t> &at) {
    ConvCase x = usual(kDirections[at[0]]);
    x.in = {3, 1 + seed % 7};
    x.batch = 2;
    x.in_channels = 34 + seed % 3;
    x.out_channels = 3 + seed % 5;
    if (x.direction == MFQ_CONV_INPUT_GRADIENT) std::swap(x.in_channels, x.out_channels);
    if (x.direction == MFQ_CONV_WEIGHT_GRADIENT) x.in_channels = 2;
    x.layout = kConvLayouts[seed % 2];
    set_sides(&x, conv_side(schemes[at[1]], seed % 3 == 0), conv_side(schemes[at[2]], seed % 5 == 0));
    x.seed = seed++;
    ASSERT_TRUE(is_exact(x));
  });
}

TEST(ConvExact, DrawnParameters) {
  const char *const schemes[] = {"mxfp8_e4m3", "", "mxfp4_e2m1", "nvfp4", "int4/group:16/f32", "uint4/group:3/f32/zp"};
  std::mt19937 random(7);
  for (size_t i = 0; i < drawn_cases(250); ++i) {
    ConvCase x = drawn(&random, kDirections[i % 3], 1 + i / 3 % 3, 30000);
    set_sides(&x, conv_side(schemes[random() % std::size(schemes)]), conv_side(schemes[random() % std::size(schemes)]));
    x.input.memory = random() % 2 ? Memory::kGaps : Memory::kReversed;
    x.d_memory = random() % 2 ? Memory::kOtherOrder : Memory::kReversed;
    ASSERT_TRUE(is_exact(x)) << "round " << i;
  }
}

/* Groups of an operand's channels know nothing of the convolution's groups of channels. */
TEST(ConvExact, GroupsOfChannels) {
  for (const mfq_conv_direction direction : kDirections)
    for (const char *scheme : {"mxfp8_e4m3", "nvfp4", "uint4/group:24/f32/zp", "int8/group:5/f32"})
      for (const int64_t of_group : {1, 3, 20, 40})
        for (const bool transposed : {false, true}) {
          ConvCase x = usual(direction);
          x.groups = 3;
          x.in_channels = 3 * of_group;
          x.out_channels = of_group == 40 ? 3 : 6;
          if (direction == MFQ_CONV_INPUT_GRADIENT) std::swap(x.in_channels, x.out_channels);
          x.in = {3, 4};
          x.transposed = transposed;
          set_sides(&x, conv_side(scheme), conv_side("mxfp4_e2m1/group:16"));
          ASSERT_TRUE(is_exact(x));
        }
}

/* The gradient of the weight: scales along images, rows and pixels, and lines longer than a run. */
TEST(ConvExact, GroupsOfPixels) {
  constexpr const char *schemes[] = {"mxfp8_e4m3/group:32", "nvfp4/group:16", "int4/f32/zp/group:3"};
  sample_pairs({2, std::size(schemes), 3, 3, 2, 2}, [&](const std::vector<size_t> &choice) {
    const size_t axis = choice[2];
    ConvCase x = usual(MFQ_CONV_WEIGHT_GRADIENT);
    x.layout = kConvLayouts[choice[0]];
    x.transposed = choice[4] != 0;
    x.batch = axis == 0 ? 4 : 1;
    x.in_channels = 1;
    x.out_channels = 2;
    x.in = {2, x.transposed ? 35 : 68};
    x.filter = {2, 3};
    x.padding = {1, 2};
    x.stride = {1, (int64_t)choice[3] + 1};
    x.dilation = {1, 2};
    const size_t at = axis == 0 || x.layout == MFQ_CONV_CHANNELS_LAST ? axis : axis + 1;
    const ConvSide side = conv_side(schemes[choice[1]] + ("@" + std::to_string(at))), other = conv_side("mxfp6_e3m2");
    set_sides(&x, choice[5] == 0 ? side : other, choice[5] == 0 ? other : side);
    ASSERT_TRUE(is_exact(x));
  });
}

/* More channels and pixels than a tile of any implementation has. */
TEST(ConvExact, ManyTiles) {
  for (const mfq_conv_direction direction : kDirections) {
    ConvCase x = usual(direction);
    x.batch = 1;
    x.in_channels = direction == MFQ_CONV_FORWARD ? 40 : 70;
    x.out_channels = direction == MFQ_CONV_INPUT_GRADIENT ? 140 : 133;
    x.in = {9, 8};
    x.filter = {2, 1};
    set_sides(&x, conv_side("mxfp8_e4m3"), conv_side("mxfp8_e5m2"));
    ASSERT_TRUE(is_exact(x));
  }
}

/* Values of any bf16 magnitude: the order of plain operands' sums shows, and the exact sums of the others. */
TEST(ConvExact, Layouts) {
  const mfq_layout layouts[] = {{MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 0},
                                {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 3}};
  sample_pairs({3, std::size(layouts), std::size(layouts)}, [&](const std::vector<size_t> &at) {
    ConvCase x = usual(kDirections[at[0]]);
    x.out_channels = 5;
    set_sides(&x, conv_side("mxfp4_e2m1"), conv_side("mxfp6_e3m2"));
    x.input.layout = layouts[at[1]];
    x.weight.layout = x.output_gradient.layout = layouts[at[2]];
    ASSERT_TRUE(is_exact(x));
  });
}

/* ---- Against itself ----------------------------------------------------------------------------------------------- */

/* Any codes and any scales, NaN and infinities among them. */
TEST(ConvExact, ThreadsInstructionSetsAndRunsDoNotMatter) {
  const Context one = reproducible(nullptr, 1);
  uint32_t seed = 1;
  for (const mfq_conv_direction direction : kDirections)
    for (const char *a : {"mxfp8_e5m2", "e4m3fn/group:16/f32", ""})
      for (const char *b : {"mxfp4_e2m1", "e5m2/group:32/f32", "uint8/group:64/f32/zp"}) {
        ConvCase x = usual(direction);
        x.batch = 4;
        x.in = {9, 10};
        x.activation = direction == MFQ_CONV_FORWARD ? MFQ_ACTIVATION_GELU : MFQ_ACTIVATION_NONE;
        x.has_bias = direction == MFQ_CONV_FORWARD;
        x.has_c = true;
        x.beta = 0.3f;
        set_sides(&x, conv_side(a), conv_side(b));
        x.seed = seed++;
        ConvData data(x);
        for (const auto &side : data.sides)
          if (side != nullptr && side->quantized != nullptr && seed % 2 == 0)
            give_everything(side->quantized.get(), seed);
        const ProductResult want = run_conv(one.get(), data);
        ASSERT_TRUE(succeeded(want.status, a));
        for (const std::string &isa : every_isa())
          for (const int threads : {1, 2, 5}) {
            const Context context = reproducible(isa.c_str(), threads);
            ASSERT_EQ(run_conv(context.get(), data).bytes, want.bytes) << isa << ", " << threads << "; " << text_of(x);
          }
      }
}

} // namespace
