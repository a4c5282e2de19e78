/* tests/support/conv_data.h: a convolution described in a line, and double sums of the values that its operands
 * dequantize to.
 *
 * The three directions are one list of meetings: filter tap t meets place `small * stride + t * dilation - padding` of
 * the larger of input and output, which is the input, or the output of a transposed convolution. A meeting adds the
 * product of two of (input, weight, output) to the third. */
#ifndef MFQ_TESTS_SUPPORT_CONV_DATA_H
#define MFQ_TESTS_SUPPORT_CONV_DATA_H

#include <array>

#include <mfq/conv.h>

#include "product.h"

namespace mfq_test {

constexpr mfq_conv_direction kDirections[] = {MFQ_CONV_FORWARD, MFQ_CONV_INPUT_GRADIENT, MFQ_CONV_WEIGHT_GRADIENT};

/* How a plain tensor lies in memory. */
enum class Memory {
  kDense,
  kOtherOrder, /* dense, channels last under channels-first shapes and the other way round */
  kGaps,       /* elements between the elements of every axis */
  kReversed,   /* the spatial axes with negative strides */
  kBroadcast   /* operands only: axis 0 with stride 0 */
};

struct ConvSide : Side {
  Memory memory = Memory::kDense;
  ConvSide() { dtype = MFQ_DTYPE_BF16; }
  ConvSide(const Side &side, Memory m = Memory::kDense) : Side(side), memory(m) {} // NOLINT: a Side is one
};

/* Lists for the spatial axes may be empty: 1, or no padding. A scheme without an axis gets the one that mfq/conv.h
 * names for the direction. */
struct ConvCase {
  mfq_conv_direction direction = MFQ_CONV_FORWARD;
  mfq_conv_layout layout = MFQ_CONV_CHANNELS_FIRST;
  int64_t batch = 2, in_channels = 8, out_channels = 6, groups = 1;
  Shape in = {5, 6}, filter = {3, 3};
  Shape stride, dilation, padding, padding_after;
  bool same = false, transposed = false;
  Shape output_padding; /* transposed: outputs beyond the smallest shape */
  ConvSide input, weight, output_gradient;
  mfq_dtype d = MFQ_DTYPE_F32;
  Memory d_memory = Memory::kDense, c_memory = Memory::kDense;
  std::string quantized_result;
  bool has_c = false, c_is_result = false, has_bias = false, device_scalars = false, round_operands = false;
  float alpha = 1.0f, beta = 1.0f;
  mfq_activation activation = MFQ_ACTIVATION_NONE;
  size_t front = 0; /* bytes that memory is misaligned by */
  uint32_t seed = 1;
};

/* ---- Shapes ----------------------------------------------------------------------------------------------------- */

enum ConvTensor { kInput, kWeight, kOutput };

inline int64_t at_or(const Shape &list, size_t i, int64_t otherwise) { return i < list.size() ? list[i] : otherwise; }
inline size_t channel_axis(const ConvCase &x) { return x.layout == MFQ_CONV_CHANNELS_FIRST ? 1 : x.in.size() + 1; }
/* The shape of a tensor of `first` x `channels` x spatial axes. */
inline Shape in_layout(const ConvCase &x, int64_t first, int64_t channels, const Shape &spatial) {
  Shape shape = spatial;
  shape.insert(shape.begin(), first);
  shape.insert(shape.begin() + (std::ptrdiff_t)channel_axis(x), channels);
  return shape;
}

/* Elements of the filter's reach beyond its first along an axis. */
inline int64_t reach(const ConvCase &x, size_t i) { return at_or(x.dilation, i, 1) * (x.filter[i] - 1); }

inline int64_t pad_before(const ConvCase &x, size_t i) {
  if (!x.same) return at_or(x.padding, i, 0);
  const int64_t stride = at_or(x.stride, i, 1), outputs = (x.in[i] + stride - 1) / stride;
  return std::max<int64_t>(0, (outputs - 1) * stride + reach(x, i) + 1 - x.in[i]) / 2;
}
inline int64_t pad_after(const ConvCase &x, size_t i) {
  const int64_t given = at_or(x.padding_after, i, -1);
  return given < 0 ? at_or(x.padding, i, 0) : given;
}
inline Shape out_sizes(const ConvCase &x) {
  Shape out;
  for (size_t i = 0; i < x.in.size(); ++i) {
    const int64_t stride = at_or(x.stride, i, 1), cut = pad_before(x, i) + pad_after(x, i);
    if (x.same)
      out.push_back((x.in[i] + stride - 1) / stride);
    else if (x.transposed)
      out.push_back((x.in[i] - 1) * stride - cut + reach(x, i) + 1 + at_or(x.output_padding, i, 0));
    else
      out.push_back((x.in[i] + cut - reach(x, i) - 1 + stride) / stride); /* below 1: none */
  }
  return out;
}

inline Shape shape_of(const ConvCase &x, ConvTensor which) {
  if (which == kInput) return in_layout(x, x.batch, x.in_channels, x.in);
  if (which == kOutput) return in_layout(x, x.batch, x.out_channels, out_sizes(x));
  const int64_t rows = x.transposed ? x.in_channels : x.out_channels;
  return in_layout(x, rows, (x.transposed ? x.out_channels : x.in_channels) / x.groups, x.filter);
}
inline ConvTensor result_of(const ConvCase &x) {
  return x.direction == MFQ_CONV_FORWARD ? kOutput : x.direction == MFQ_CONV_INPUT_GRADIENT ? kInput : kWeight;
}

inline Shape strides_of(const ConvCase &x, const Shape &shape, Memory memory) {
  const size_t rank = shape.size(), channels = channel_axis(x);
  Shape strides = dense_strides(shape);
  if (memory == Memory::kOtherOrder) {
    Shape order = {0};
    if (channels != 1) order.push_back((int64_t)channels);
    for (size_t d = 1; d < rank; ++d)
      if (d != channels) order.push_back((int64_t)d);
    if (channels == 1) order.push_back(1);
    int64_t step = 1;
    for (size_t i = rank; i-- > 0;) {
      strides[(size_t)order[i]] = step;
      step *= std::max<int64_t>(shape[(size_t)order[i]], 1);
    }
  }
  if (memory == Memory::kGaps) {
    int64_t step = 2;
    for (size_t d = rank; d-- > 0; step += 3) {
      strides[d] = step;
      step *= std::max<int64_t>(shape[d], 1);
    }
  }
  for (size_t d = 1; d < rank && memory == Memory::kReversed; ++d)
    if (d != channels) strides[d] = -strides[d];
  if (memory == Memory::kBroadcast) strides[0] = 0;
  return strides;
}

/* Elements from the one with all indices 0 to the one with a row-major index. */
inline int64_t offset_of(int64_t index, const Shape &shape, const Shape &strides) {
  int64_t offset = 0;
  for (size_t d = shape.size(); d-- > 0; index /= shape[d]) offset += index % shape[d] * strides[d];
  return offset;
}

/* ---- Schemes ---------------------------------------------------------------------------------------------------- */

/* The axis of groups, and that of channels, where a scheme has none. */
inline int32_t axis_of_groups(const ConvCase &x, ConvTensor which) {
  const size_t channels = channel_axis(x);
  if (x.direction == MFQ_CONV_WEIGHT_GRADIENT) return (int32_t)(channels == 1 ? x.in.size() + 1 : x.in.size());
  if (which != kWeight) return (int32_t)channels;
  return (x.direction == MFQ_CONV_FORWARD) == x.transposed ? 0 : (int32_t)channels;
}
inline int32_t axis_of_channels(const ConvCase &x, ConvTensor which) {
  const size_t channels = channel_axis(x);
  if (x.direction == MFQ_CONV_WEIGHT_GRADIENT) return (int32_t)channels;
  if (which != kWeight) return 0;
  return (x.direction == MFQ_CONV_FORWARD) == x.transposed ? (int32_t)channels : 0;
}
/* A side whose scheme has an axis. */
inline Side with_axis(const ConvCase &x, const ConvSide &given, ConvTensor which) {
  Side side = given;
  if (side.scheme.empty()) return side;
  mfq_scheme scheme = parse(side.scheme);
  if (scheme.axis != MFQ_AXIS_AUTO) return side;
  if (scheme.granularity == MFQ_GRANULARITY_GROUP) scheme.axis = axis_of_groups(x, which);
  if (scheme.granularity == MFQ_GRANULARITY_CHANNEL) scheme.axis = axis_of_channels(x, which);
  char text[MFQ_SCHEME_TEXT_MAX];
  EXPECT_EQ(mfq_scheme_print(&scheme, text, sizeof text), MFQ_OK) << mfq_last_error();
  side.scheme = text;
  return side;
}

/* ---- Data and oracle -------------------------------------------------------------------------------------------- */

/* The operands of a case on the host, and what its result must be. The result's own entry of `sides` is empty. */
class ConvData {
public:
  ConvCase given;
  std::array<std::unique_ptr<SideData>, 3> sides; /* by ConvTensor */
  std::vector<float> bias, c;                     /* c: dense, in the result's shape */
  ConvTensor result;
  Shape result_shape;

  explicit ConvData(const ConvCase &x) : given(x), result(result_of(x)), result_shape(shape_of(x, result)) {
    for (const ConvTensor which : {kInput, kWeight, kOutput}) {
      if (which == result) continue;
      const Shape shape = shape_of(x, which);
      const ConvSide &side = side_of(which);
      sides[which] = std::make_unique<SideData>(with_axis(x, side, which), shape, x.seed * 3 + which,
                                                strides_of(x, shape, side.memory));
    }
    bias = awkward_values((size_t)x.out_channels, x.seed + 3, true);
    c = awkward_values(count_of(result_shape), x.seed + 4, true);
    for (std::vector<float> *values : {&bias, &c})
      for (float &v : *values)
        if (!(std::fabs(v) < 100)) v = 1.25f;
  }

  const ConvSide &side_of(ConvTensor which) const {
    return which == kInput ? given.input : which == kWeight ? given.weight : given.output_gradient;
  }
  SideData &side(ConvTensor which) { return *sides[which]; }

  /* Value and error bound of each element of the result before it is quantized or rounded to its dtype. The bound, with
   * u = 2^-24 and n products p in a sum: each of two values is rounded by at most u when it is expanded (scales of
   * float32), each product by u, sums in any order by (n - 1) u of sum |p|; 6 u are left for factors and alpha.
   * Returns how many products the longest sum has. */
  int64_t expected(std::vector<double> *values, std::vector<double> *bounds) const {
    std::vector<double> magnitudes(count_of(result_shape), 0.0);
    std::vector<int64_t> counts(count_of(result_shape), 0);
    values->assign(count_of(result_shape), 0.0);
    bounds->assign(count_of(result_shape), 0.0);
    const SideData &a = *sides[result == kInput ? kWeight : kInput];
    const SideData &b = *sides[result == kOutput ? kWeight : kOutput];
    const size_t ia = result == kInput ? kWeight : kInput, ib = result == kOutput ? kWeight : kOutput;
    each_meeting([&](const std::array<int64_t, 3> &at) {
      const double product = a.values[(size_t)at[ia]] * b.values[(size_t)at[ib]];
      const size_t i = (size_t)at[result];
      (*values)[i] += product;
      magnitudes[i] += std::fabs(product);
      ++counts[i];
    });
    for (size_t i = 0; i < values->size(); ++i) finish(i, counts[i], magnitudes[i], &(*values)[i], &(*bounds)[i]);
    return counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
  }

  /* Calls visit(row-major indices of input, weight, output) for every product of the convolution. */
  template <typename Visit> void each_meeting(Visit visit) const {
    const Shape out = out_sizes(given), &small = given.transposed ? given.in : out;
    const Shape steps[] = {steps_of(kInput), steps_of(kWeight), steps_of(kOutput)};
    const int64_t taps = (int64_t)count_of(given.filter), pixels = (int64_t)count_of(small);
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t p = 0; p < pixels; ++p) {
        const Shape tap = places(t, given.filter), from = places(p, small);
        Shape to(from.size());
        if (!meet(from, tap, given.transposed ? out : given.in, &to)) continue;
        const Shape *const at[] = {given.transposed ? &from : &to, &tap, given.transposed ? &to : &from};
        std::array<int64_t, 3> first{};
        for (size_t i = 0; i < tap.size(); ++i)
          for (const ConvTensor which : {kInput, kWeight, kOutput})
            first[which] += (*at[which])[i] * steps[which][i + 2];
        each_channel(steps, first, visit);
      }
  }

private:
  static Shape places(int64_t index, const Shape &shape) {
    Shape at(shape.size());
    for (size_t d = shape.size(); d-- > 0; index /= shape[d]) at[d] = index % shape[d];
    return at;
  }
  /* Row-major steps of axis 0, the channel axis, and the spatial axes. */
  Shape steps_of(ConvTensor which) const {
    const size_t channels = channel_axis(given);
    const Shape strides = dense_strides(shape_of(given, which));
    Shape steps = {strides[0], strides[channels]};
    for (size_t d = 1; d < strides.size(); ++d)
      if (d != channels) steps.push_back(strides[d]);
    return steps;
  }
  bool meet(const Shape &from, const Shape &tap, const Shape &large, Shape *to) const {
    for (size_t i = 0; i < from.size(); ++i) {
      (*to)[i] = from[i] * at_or(given.stride, i, 1) + tap[i] * at_or(given.dilation, i, 1) - pad_before(given, i);
      if ((*to)[i] < 0 || (*to)[i] >= large[i]) return false;
    }
    return true;
  }
  /* Every image, and every pair of channels that see each other. */
  template <typename Visit>
  void each_channel(const Shape *steps, const std::array<int64_t, 3> &first, Visit visit) const {
    const int64_t in = given.in_channels / given.groups, out = given.out_channels / given.groups;
    for (int64_t n = 0; n < given.batch; ++n)
      for (int64_t c = 0; c < given.in_channels; ++c)
        for (int64_t i = 0; i < out; ++i) {
          const int64_t k = c / in * out + i, row = given.transposed ? c : k, column = given.transposed ? i : c % in;
          visit(std::array<int64_t, 3>{first[kInput] + n * steps[kInput][0] + c * steps[kInput][1],
                                       first[kWeight] + row * steps[kWeight][0] + column * steps[kWeight][1],
                                       first[kOutput] + n * steps[kOutput][0] + k * steps[kOutput][1]});
        }
  }

  void finish(size_t i, int64_t count, double magnitude, double *value, double *bound) const {
    const double unit = std::ldexp(1.0, -24);
    double error = (double)(count + 8) * unit * std::fabs(given.alpha) * magnitude;
    if (given.round_operands) error += std::ldexp(1.0, -7) * std::fabs(given.alpha) * magnitude;
    *value *= given.alpha;
    if (given.has_c && given.beta != 0) {
      const uint32_t bits = bits_in(given.d, c[i]);
      const double old = given.c_is_result ? value_in(given.d, reinterpret_cast<const uint8_t *>(&bits)) : c[i];
      *value += given.beta * old;
      error += 4 * unit * std::fabs(given.beta * old);
    }
    if (given.has_bias) {
      const double added = bias[(size_t)places((int64_t)i, result_shape)[channel_axis(given)]];
      *value += added;
      error += 4 * unit * std::fabs(added);
    }
    *value = activated(*value, given.activation);
    /* The slopes of the activations are at most 1.13, and their own error 8 units. */
    *bound = 1.13 * error + 16 * unit * std::fabs(*value) + std::ldexp(1.0, -140);
  }
};

} // namespace mfq_test

#endif
