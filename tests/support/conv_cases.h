/* tests/support/conv_cases.h: what must hold of convolutions whatever runs them. Each function is a test: of a context,
 * or one that hands its cases to a verdict; `points` says how many of them. */
#ifndef MFQ_TESTS_SUPPORT_CONV_CASES_H
#define MFQ_TESTS_SUPPORT_CONV_CASES_H

#include "convolution.h"
#include "sample.h"

namespace mfq_test {

/* What a case must pass, such as conv_is_near on some context. */
using ConvVerdict = std::function<testing::AssertionResult(const ConvCase &)>;

constexpr mfq_conv_layout kConvLayouts[] = {MFQ_CONV_CHANNELS_FIRST, MFQ_CONV_CHANNELS_LAST};
/* Every kind of scale: groups of powers of two, of floats, with zero points, one for all, one a channel, none. */
// clang-format off
constexpr const char *kConvSchemes[] = {"mxfp8_e4m3",     "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2/group:16",
                                        "mxfp4_e2m1",     "mxint8",     "nvfp4",      "int4/group:16/f32",
                                        "int8_tensor_zp", "e5m2",       "uint8/group:32/f32/zp", "fp8_e4m3_tensor",
                                        "int8_channel",   "e3m4/group:5/f16", "fp8_e4m3_group128", ""};
// clang-format on

inline ConvSide conv_side(const std::string &scheme, bool on_the_way = false, Memory memory = Memory::kDense) {
  ConvSide side;
  side.scheme = scheme;
  side.on_the_way = on_the_way && !scheme.empty();
  if (side.on_the_way) side.dtype = MFQ_DTYPE_F32;
  side.memory = memory;
  return side;
}
/* The operands that are read through the filter, and the others: of one scheme each. */
inline void set_sides(ConvCase *x, const ConvSide &through, const ConvSide &other) {
  const bool is_input_gradient = x->direction == MFQ_CONV_INPUT_GRADIENT;
  x->input = through;
  x->weight = other;
  x->output_gradient = is_input_gradient ? through : other;
}

/* Channels that are no multiple of a group, images narrower than one. */
inline ConvCase usual(mfq_conv_direction direction) {
  ConvCase x;
  x.direction = direction;
  x.in_channels = 37;
  x.out_channels = 35;
  x.in = {4, 5};
  x.filter = {3, 2};
  x.padding = {1, 1};
  return x;
}

// Every scheme as either operand, quantized before or on the way in.
inline void check_conv_schemes(const ConvVerdict &verdict, size_t points) {
  const size_t schemes = std::size(kConvSchemes);
  sample({3, schemes, schemes, 2, 2, 2}, points, [&](const std::vector<size_t> &at) {
    ConvCase x = usual(kDirections[at[0]]);
    x.layout = kConvLayouts[at[3]];
    set_sides(&x, conv_side(kConvSchemes[at[1]], at[4] != 0), conv_side(kConvSchemes[at[2]], at[5] != 0));
    ASSERT_TRUE(verdict(x));
  });
}

// Filters beyond the image, steps beyond the filter, taps that meet padding only.
inline void check_conv_edges(const ConvVerdict &verdict) {
  struct Edge {
    Shape in, filter, stride, dilation, padding, padding_after;
  };
  // clang-format off
  const Edge edges[] = {
      {{1}, {3}, {1}, {1}, {1}, {}},          {{2, 2}, {5, 5}, {1, 1}, {1, 1}, {2, 2}, {}},
      {{1, 1, 1}, {3, 3, 3}, {}, {}, {1, 1, 1}, {}}, {{5}, {1}, {3}, {1}, {}, {}},
      {{7, 5}, {1, 1}, {2, 3}, {}, {}, {}},   {{4, 5}, {2, 2}, {3, 3}, {}, {}, {}},
      {{6}, {3}, {1}, {2}, {0}, {3}},         {{5, 3}, {3, 3}, {}, {}, {3, 3}, {}},
      {{37}, {7}, {2}, {1}, {3}, {2}},        {{2, 3, 4}, {1, 2, 3}, {1, 2, 1}, {}, {0, 1, 2}, {1, 0, -1}},
      {{3, 40}, {2, 3}, {1, 1}, {1, 3}, {}, {}}, {{1, 1}, {1, 1}, {}, {}, {1, 1}, {}},
      {{2}, {3}, {3}, {1}, {1}, {}},          {{4, 3}, {3, 5}, {2, 4}, {1, 1}, {1, 2}, {}}};
  // clang-format on
  constexpr const char *schemes[] = {"mxfp8_e4m3", "", "mxfp4_e2m1", "int8_tensor_zp"};
  size_t i = 0;
  for (const Edge &edge : edges)
    for (const mfq_conv_direction direction : kDirections)
      for (const int64_t batch : {1, 3}) {
        ConvCase x;
        x.direction = direction;
        x.batch = batch;
        x.in_channels = 5;
        x.out_channels = 7;
        x.in = edge.in;
        x.filter = edge.filter;
        x.stride = edge.stride;
        x.dilation = edge.dilation;
        x.padding = edge.padding;
        x.padding_after = edge.padding_after;
        x.layout = kConvLayouts[i / 2 % 2];
        set_sides(&x, conv_side(schemes[i % 4], i % 3 == 0), conv_side(schemes[i / 4 % 4]));
        ++i;
        ASSERT_TRUE(verdict(x));
      }
}

/* Makes padding so large, or of a transposed convolution so small, that there is an output. */
inline void repair(ConvCase *x) {
  for (size_t i = 0; i < x->in.size(); ++i)
    while (out_sizes(*x)[i] < 1) {
      if (x->transposed) x->padding_after[i] = 0;
      x->padding[i] = std::max<int64_t>(0, x->padding[i] + (x->transposed ? -1 : 1));
    }
}

/* A case of 1, 2 or 3 axes whose parameters are drawn; they are repaired where they make no convolution. About `most`
 * products at most. */
inline ConvCase drawn(std::mt19937 *random, mfq_conv_direction direction, size_t spatial, size_t most) {
  const auto pick = [&](std::initializer_list<int64_t> of) { return *(of.begin() + (*random)() % of.size()); };
  const int64_t largest[] = {19, 11, 5};
  ConvCase x;
  x.direction = direction;
  x.layout = kConvLayouts[(*random)() % 2];
  x.transposed = (*random)() % 4 == 0;
  x.same = !x.transposed && (*random)() % 5 == 0;
  x.batch = pick({1, 1, 2, 3});
  x.in.clear();
  x.filter.clear();
  for (size_t i = 0; i < spatial; ++i) {
    x.in.push_back(pick({1, 2, 3, 5, 7, largest[spatial - 1]}) % (largest[spatial - 1] + 1));
    x.filter.push_back(spatial == 3 ? pick({1, 2, 3}) : pick({1, 2, 3, 3, 5, 7}));
    x.stride.push_back(pick({1, 1, 2, 3}));
    x.dilation.push_back(pick({1, 1, 2, 3}));
    const int64_t before = pick({0, 0, 1, x.filter[i] / 2, x.filter[i]}), after = pick({-1, 0, 1, x.filter[i]});
    x.padding.push_back(x.same ? 0 : before);
    x.padding_after.push_back(x.same ? -1 : after);
    x.output_padding.push_back(x.transposed ? pick({0, x.stride[i] - 1}) : 0);
  }
  if (!x.same) repair(&x);
  const size_t meetings = (size_t)x.batch * count_of(x.filter) * count_of(x.transposed ? x.in : out_sizes(x));
  const int64_t groups = pick({1, 1, 2, 3, 7}), in = pick({1, 1, 5, 16, 17}), out = pick({1, 1, 3, 8, 19});
  const bool is_large = meetings * (size_t)(groups * in * out) > most;
  x.groups = groups;
  x.in_channels = groups * (is_large ? std::min<int64_t>(in, 3) : in);
  x.out_channels = groups * (is_large ? std::min<int64_t>(out, 2) : out);
  x.seed = (uint32_t)(*random)();
  return x;
}

// Drawn parameters, with a bias or C now and then, and memory of any order.
inline void check_conv_parameters(const ConvVerdict &verdict, size_t points, size_t most, uint32_t seed = 3) {
  constexpr const char *schemes[] = {"mxfp8_e4m3",        "",       "mxfp4_e2m1",      "nvfp4", "int8_tensor_zp",
                                     "int4/group:16/f32", "mxint8", "fp8_e4m3_channel"};
  constexpr Memory memories[] = {Memory::kDense, Memory::kDense, Memory::kOtherOrder, Memory::kGaps, Memory::kReversed};
  std::mt19937 random(seed);
  for (size_t i = 0; i < drawn_cases(points); ++i) {
    ConvCase x = drawn(&random, kDirections[i % 3], 1 + i / 3 % 3, most);
    const auto side = [&] {
      const bool is_plain = random() % 3 == 0;
      ConvSide s = conv_side(is_plain ? "" : schemes[random() % std::size(schemes)], random() % 2 == 0);
      s.memory = memories[random() % std::size(memories)];
      if (is_plain) s.dtype = kDtypes[random() % 3];
      return s;
    };
    const ConvSide through = side(), other = side();
    /* a scale a channel means nothing where channels of groups share a result */
    const bool groups = x.groups > 1;
    set_sides(&x, groups && through.scheme == schemes[7] ? conv_side(schemes[0]) : through,
              groups && other.scheme == schemes[7] ? conv_side(schemes[0]) : other);
    x.d_memory = memories[random() % std::size(memories)];
    x.has_bias = x.direction == MFQ_CONV_FORWARD && random() % 2 == 0;
    x.has_c = random() % 4 == 0;
    x.beta = 0.5f;
    x.front = random() % 4 == 0 ? 4 : 0;
    ASSERT_TRUE(verdict(x)) << "round " << i;
  }
}

// Layers as networks have them, but small: whole groups of channels, in both orders.
inline void check_conv_layers(const ConvVerdict &verdict, size_t points) {
  struct Layer {
    int64_t in, out, groups;
    Shape filter, stride;
  };
  const Layer layers[] = {{64, 64, 1, {3, 3}, {1, 1}},  {64, 128, 1, {3, 3}, {2, 2}}, {64, 64, 1, {1, 1}, {2, 2}},
                          {64, 64, 64, {3, 3}, {1, 1}}, {64, 64, 64, {5, 5}, {2, 2}}, {128, 64, 4, {3, 3}, {1, 1}},
                          {3, 32, 1, {7, 7}, {2, 2}}};
  constexpr const char *schemes[] = {"mxfp8_e4m3", "mxfp4_e2m1", "nvfp4", "fp8_e4m3_tensor", "mxint8", ""};
  sample({3, std::size(layers), 6, 6, 2, 2}, points, [&](const std::vector<size_t> &at) {
    const Layer &layer = layers[at[1]];
    ConvCase x = usual(kDirections[at[0]]);
    x.in_channels = layer.in;
    x.out_channels = layer.out;
    x.groups = layer.groups;
    x.in = {5, 7};
    x.filter = layer.filter;
    x.stride = layer.stride;
    x.padding = {layer.filter[0] / 2, layer.filter[1] / 2};
    x.layout = kConvLayouts[at[4]];
    if (at[4] == 0) x.d_memory = Memory::kOtherOrder;
    x.has_bias = x.direction == MFQ_CONV_FORWARD;
    x.d = at[5] == 0 ? MFQ_DTYPE_BF16 : MFQ_DTYPE_F32;
    const ConvSide through = conv_side(schemes[at[2]], at[5] != 0, at[4] == 0 ? Memory::kOtherOrder : Memory::kDense);
    set_sides(&x, through, conv_side(schemes[at[3]], false, through.memory));
    ASSERT_TRUE(verdict(x));
  });
}

// Plain operands and the result in every order of memory.
inline void check_conv_memory(const ConvVerdict &verdict, size_t points) {
  constexpr Memory memories[] = {Memory::kDense, Memory::kOtherOrder, Memory::kGaps, Memory::kReversed,
                                 Memory::kBroadcast};
  constexpr const char *schemes[] = {"", "mxfp8_e4m3", "uint8/group:16/f32/zp"};
  sample({3, 5, 5, 4, 4, 2, 3, 3, 2, 2}, points, [&](const std::vector<size_t> &at) {
    ConvCase x = usual(kDirections[at[0]]);
    x.in_channels = 18;
    x.out_channels = 11;
    x.stride = {1, 2};
    set_sides(&x, conv_side(schemes[at[6]], true, memories[at[1]]), conv_side(schemes[at[7]], true, memories[at[2]]));
    x.d_memory = memories[at[3]];
    x.c_memory = memories[at[4]];
    x.layout = kConvLayouts[at[5]];
    x.has_c = at[8] != 0;
    x.front = at[9] != 0 ? 4 : 0;
    x.d = kDtypes[at[8] + at[9]];
    ASSERT_TRUE(verdict(x));
  });
}

// Codes and scales in every layout, groups along every axis that is summed over.
inline void check_conv_code_layouts(const ConvVerdict &verdict, size_t points) {
  const mfq_layout layouts[] = {{},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 4}};
  constexpr const char *schemes[] = {"mxfp8_e4m3/group:16", "mxfp6_e3m2", "mxfp4_e2m1", "nvfp4"};
  sample({3, 4, 4, 4, 4, 2, 2, 3}, points, [&](const std::vector<size_t> &at) {
    ConvCase x = usual(kDirections[at[0]]);
    x.in = {3, 7};
    x.layout = kConvLayouts[at[5]];
    x.transposed = at[6] != 0;
    ConvSide sides[] = {conv_side(schemes[at[1]]), conv_side(schemes[at[2]])};
    for (int i = 0; i < 2; ++i) {
      sides[i].layout = layouts[at[3 + (size_t)i]];
      /* the gradient of the weight sums over images and all pixels: groups along axis 0 and the first spatial one */
      const int axis = at[7] == 0 ? 0 : x.layout == MFQ_CONV_CHANNELS_LAST ? 1 : 2;
      if (x.direction == MFQ_CONV_WEIGHT_GRADIENT && at[7] < 2)
        sides[i].scheme += (i + at[1] == 0 ? "/group:16@" : "/group:2@") + std::to_string(axis);
    }
    set_sides(&x, sides[0], sides[1]);
    ASSERT_TRUE(verdict(x));
  });
}

// Groups of channels: scales follow the operand's own axis, whichever group of channels an element belongs to.
inline void check_conv_groups(const ConvVerdict &verdict, size_t points) {
  constexpr int64_t shapes[][3] = {{2, 24, 5}, {3, 11, 16}, {4, 32, 32}, {40, 1, 1}, {33, 1, 2}, {6, 8, 1}};
  constexpr const char *schemes[] = {"mxfp8_e4m3", "mxfp4_e2m1", "int4/group:16/f32", "nvfp4", "int8_tensor_zp", ""};
  sample({3, 6, 6, 6, 2, 2}, points, [&](const std::vector<size_t> &at) {
    ConvCase x = usual(kDirections[at[0]]);
    x.groups = shapes[at[1]][0];
    x.in_channels = x.groups * shapes[at[1]][1];
    x.out_channels = x.groups * shapes[at[1]][2];
    x.layout = kConvLayouts[at[4]];
    x.transposed = at[5] != 0;
    x.stride = {1, 2};
    set_sides(&x, conv_side(schemes[at[2]]), conv_side(schemes[at[3]], at[5] != 0));
    ASSERT_TRUE(verdict(x));
  });
}

// Scales that are factors: of images, of the channels of the result, and with groups of channels where that is one.
inline void check_conv_factors(const ConvVerdict &verdict) {
  constexpr const char *others[] = {"fp8_e4m3_channel", "mxfp8_e4m3", ""};
  sample_pairs({3, 2, 2, std::size(others), 2}, [&](const std::vector<size_t> &at) {
    const ConvSide other = conv_side(others[at[3]]);
    ConvCase x = usual(kDirections[at[0]]);
    x.batch = 3;
    x.layout = kConvLayouts[at[1]];
    x.transposed = at[2] != 0;
    x.alpha = 0.7f;
    if (at[4] == 0)
      set_sides(&x, conv_side("int8_channel", x.transposed), other);
    else
      set_sides(&x, other, conv_side("int8_channel_zp"));
    ASSERT_TRUE(verdict(x));
  });
  for (const bool transposed : {false, true}) {
    ConvCase x = usual(transposed ? MFQ_CONV_INPUT_GRADIENT : MFQ_CONV_FORWARD);
    x.transposed = transposed;
    x.groups = 3;
    x.in_channels = 12;
    x.out_channels = 15;
    set_sides(&x, conv_side("int8_channel"), conv_side("fp8_e4m3_channel"));
    ASSERT_TRUE(verdict(x));
  }
}

// A filter of one element is a matrix product, also where its layouts do not merge to one.
inline void check_conv_products(const ConvVerdict &verdict, size_t points) {
  constexpr Memory memories[] = {Memory::kDense, Memory::kOtherOrder, Memory::kGaps, Memory::kReversed};
  constexpr const char *schemes[] = {"mxfp8_e4m3", "mxfp4_e2m1", "", "nvfp4", "uint8/group:32/f32/zp", "int8_tensor"};
  const mfq_layout layouts[] = {{}, {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0}};
  sample({3, 2, 6, 6, 2, 4, 4, 2, 2, 2}, points, [&](const std::vector<size_t> &at) {
    ConvCase x = usual(kDirections[at[0]]);
    x.filter = {1, 1};
    x.padding = {};
    x.batch = (int64_t)at[8] * 2 + 1;
    if (at[9] != 0) x.in_channels = x.out_channels = 64;
    x.layout = kConvLayouts[at[1]];
    x.transposed = at[7] != 0;
    const Memory memory = memories[at[5]];
    ConvSide through = conv_side(schemes[at[2]], at[4] != 0, memory), other = conv_side(schemes[at[3]], false, memory);
    for (ConvSide *side : {&through, &other})
      if (!side->scheme.empty() && parse(side->scheme).granularity == MFQ_GRANULARITY_GROUP)
        side->layout = layouts[at[7]];
    set_sides(&x, through, other);
    x.d_memory = memories[at[6] == 3 ? at[5] : at[6]];
    x.has_bias = x.direction == MFQ_CONV_FORWARD;
    x.has_c = at[9] != 0;
    ASSERT_TRUE(verdict(x));
  });
}

inline void check_conv_finishes(const ConvVerdict &verdict, size_t points) {
  sample(
      {5, 3, 2, 2, 2, 3, 2, 3, 2}, points,
      [&](const std::vector<size_t> &at) {
        ConvCase x = usual(kDirections[at[7]]);
        const bool forward = x.direction == MFQ_CONV_FORWARD;
        x.in_channels = 16;
        x.out_channels = 9;
        x.activation = forward ? (mfq_activation)at[0] : MFQ_ACTIVATION_NONE;
        x.d = kDtypes[at[1]];
        x.has_c = at[2] != 0;
        x.has_bias = forward && at[3] != 0;
        x.c_is_result = x.has_c && at[4] != 0;
        x.alpha = at[5] == 0 ? 1.0f : at[5] == 1 ? -0.75f : 0.3f;
        x.beta = at[5] == 2 ? 0.0f : 1.5f;
        x.device_scalars = at[6] != 0;
        x.layout = kConvLayouts[at[8]];
        if (at[8] != 0) x.d_memory = Memory::kGaps;
        set_sides(&x, conv_side("mxfp8_e4m3"), conv_side("fp8_e4m3_tensor"));
        ASSERT_TRUE(verdict(x));
      });
}

// A quantized result is what quantizing the f32 result gives.
inline void check_conv_quantized_result(mfq_context *context) {
  for (const mfq_conv_direction direction : kDirections)
    for (const mfq_conv_layout layout : kConvLayouts) {
      ConvCase x = usual(direction);
      x.layout = layout;
      set_sides(&x, conv_side("mxfp8_e4m3"), conv_side("mxfp4_e2m1"));
      const ConvData plain(x);
      const ProductResult values = run_conv(context, plain);
      ASSERT_EQ(values.status, MFQ_OK) << mfq_last_error();
      for (const char *scheme : {"mxfp8_e4m3/group:32@1", "mxfp4_e2m1", "e4m3fn/tensor/f32", "int8/channel@1/f32",
                                 "nvfp4", "mxfp6_e2m3/group:32@0", "int4/group:16/f32/zp"}) {
        x.quantized_result = scheme;
        const ProductResult got = run_conv(context, ConvData(x));
        ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
        const std::vector<float> f32(values.values.begin(), values.values.end());
        Quantized want(parse(scheme), plain.result_shape);
        quantize(devices().cpu.get(), f32, &want);
        const std::vector<float> expected = dequantized(devices().cpu.get(), want);
        ASSERT_EQ(got.values.size(), expected.size());
        for (size_t i = 0; i < expected.size(); ++i)
          ASSERT_EQ(got.values[i], expected[i]) << scheme << " element " << i << "; " << text_of(x);
      }
    }
}

// Empty sums are 0, and an empty result is no error.
inline void check_conv_empty(const ConvVerdict &verdict) {
  for (const mfq_conv_direction direction : kDirections)
    for (const char *scheme : {"", "mxfp8_e4m3", "int8_tensor_zp"})
      for (const int empty : {0, 1, 2})
        for (const bool transposed : {false, true}) {
          ConvCase x = usual(direction);
          (empty == 0 ? x.batch : empty == 1 ? x.in_channels : x.out_channels) = 0;
          x.transposed = transposed;
          x.has_c = true;
          x.beta = 0.5f;
          x.has_bias = direction == MFQ_CONV_FORWARD;
          set_sides(&x, conv_side(scheme), conv_side(scheme));
          ASSERT_TRUE(verdict(x));
        }
}

// A NaN scale poisons the outputs that its elements meet, and no others: the padding meets none.
inline void check_conv_nan(mfq_context *context, bool reproducible) {
  for (const mfq_conv_direction direction : kDirections)
    for (const char *scheme : {"mxfp8_e4m3", "mxfp4_e2m1", "mxint8"})
      for (const bool through : {true, false}) {
        if (!through && !reproducible) continue; /* MFQ_FAST may multiply the zeros of the padding */
        ConvCase x = usual(direction);
        x.stride = {2, 1};
        set_sides(&x, conv_side(scheme), conv_side(scheme));
        ConvData data(x);
        const ConvTensor gathered = direction == MFQ_CONV_INPUT_GRADIENT ? kOutput : kInput;
        const ConvTensor direct = direction == MFQ_CONV_WEIGHT_GRADIENT ? kOutput : kWeight;
        SideData &side = data.side(through ? gathered : direct);
        side.quantized->scales[side.quantized->sizes.scales_bytes / 2] = 255;
        side.requantized();
        const ProductResult result = run_conv(context, data);
        ASSERT_EQ(result.status, MFQ_OK) << mfq_last_error();
        ASSERT_TRUE(conv_result_is_near(data, result)) << text_of(x) << "; " << result.description;
        size_t poisoned = 0;
        for (const double value : result.values) poisoned += std::isnan(value);
        ASSERT_GT(poisoned, 0u) << text_of(x);
        ASSERT_LT(poisoned, result.values.size()) << text_of(x);
      }
}

// A filter of one 1 moves the image, exactly; a power of two on scales scales the result exactly.
inline void check_conv_identity(mfq_context *context) {
  for (const char *scheme : {"mxfp8_e4m3", "mxfp6_e2m3", "mxfp4_e2m1", "mxint8"}) {
    ConvCase x;
    x.in_channels = x.out_channels = 40;
    x.padding = {1, 1};
    set_sides(&x, conv_side(scheme), conv_side("", false));
    ConvData data(x);
    /* weight [40, 40, 3, 3]: 1 where the channels are equal and the tap is (0, 2) */
    data.side(kWeight).plain->fill([](size_t i) { return i / 9 % 41 == 0 && i % 9 == 2 ? 0x3f80u : 0u; });
    data.side(kWeight).renew();
    const ProductResult moved = run_conv(context, data);
    ASSERT_EQ(moved.status, MFQ_OK) << mfq_last_error();
    const int64_t height = x.in[0], width = x.in[1];
    for (int64_t i = 0; i < (int64_t)moved.values.size(); ++i) {
      const int64_t row = i / width % height - 1, column = i % width + 1;
      const bool is_padding = row < 0 || column >= width;
      const double want = is_padding ? 0.0 : data.side(kInput).values[(size_t)(i - width + 1)];
      ASSERT_EQ(moved.values[(size_t)i], want) << scheme;
    }
    set_sides(&x, conv_side(scheme), conv_side("mxfp8_e4m3"));
    ConvData scaled(x);
    const std::vector<double> before = run_conv(context, scaled).values;
    for (size_t i = 0; i < scaled.side(kWeight).quantized->sizes.scales_bytes; ++i)
      scaled.side(kWeight).quantized->scales[i] += 5;
    const std::vector<double> after = run_conv(context, scaled).values;
    ASSERT_EQ(after.size(), before.size());
    for (size_t i = 0; i < before.size(); ++i) ASSERT_EQ(after[i], before[i] * 32) << scheme;
  }
}

} // namespace mfq_test

#endif
