/* tests/support/convolution.h: the cases of conv_data.h run on any context, beside their double sums. */
#ifndef MFQ_TESTS_SUPPORT_CONVOLUTION_H
#define MFQ_TESTS_SUPPORT_CONVOLUTION_H

#include "conv_data.h"

namespace mfq_test {

/* ---- A call ----------------------------------------------------------------------------------------------------- */

/* Elements of a strided host tensor in row-major order, as values. */
inline std::vector<double> values_of(const Operand &operand, const std::vector<uint8_t> &bytes) {
  std::vector<double> values;
  const size_t size = mfq_dtype_bytes(operand.dtype);
  for (size_t i = 0; i < count_of(operand.shape); ++i) {
    const int64_t at = offset_of((int64_t)i, operand.shape, operand.strides) * (int64_t)size;
    values.push_back(value_in(operand.dtype, &bytes[(size_t)((int64_t)operand.origin + at)]));
  }
  return values;
}

/* The memory of a strided tensor with element i (row-major) of bits(i), and what is there between. */
template <typename Bits> inline std::vector<uint8_t> spread(const Operand &operand, Bits bits) {
  std::vector<uint8_t> bytes = operand.bytes;
  const size_t size = mfq_dtype_bytes(operand.dtype);
  for (size_t i = 0; i < count_of(operand.shape); ++i) {
    const uint32_t element = bits(i);
    const int64_t at = offset_of((int64_t)i, operand.shape, operand.strides) * (int64_t)size;
    std::memcpy(&bytes[(size_t)((int64_t)operand.origin + at)], &element, size);
  }
  return bytes;
}

/* What a convolution is but for its tensors and their direction. */
inline void set_parameters(const ConvCase &x, mfq_conv *conv) {
  conv->layout = x.layout;
  conv->transposed = x.transposed;
  conv->same_padding = x.same;
  conv->groups = x.groups;
  for (size_t i = 0; i < x.in.size(); ++i) {
    conv->stride[i] = at_or(x.stride, i, 1);
    conv->dilation[i] = at_or(x.dilation, i, 1);
    conv->padding[i] = at_or(x.padding, i, 0);
    conv->padding_after[i] = at_or(x.padding_after, i, -1);
  }
}

/* The memory of a case on a context, and the description that refers to it. Behind a plain result lie bytes that must
 * stay, as those in its gaps. */
class ConvCall {
public:
  mfq_conv conv;

  ConvCall(mfq_context *context, const ConvData &data)
      : data_(data), d_(data.given.d, data.result_shape, d_strides()),
        c_(MFQ_DTYPE_F32, data.result_shape, strides_of(data.given, data.result_shape, data.given.c_memory)) {
    const ConvCase &x = data.given;
    mfq_conv_init(&conv);
    set_parameters(x, &conv);
    conv.direction = x.direction;
    for (const ConvTensor which : {kInput, kWeight, kOutput}) place_operand(context, which);
    place_result(context);
    place_rest(context);
    conv.round_operands = x.round_operands;
  }
  ConvCall(const ConvCall &) = delete;

  /* The values of the result, and its bytes (of a quantized one all parts). */
  void collect(ProductResult *result) const {
    if (quantized_ == nullptr) {
      const std::vector<uint8_t> all = memory_.back()->read();
      result->bytes.assign(all.begin(), all.end() - kTail);
      result->values = values_of(d_, all);
      check_untouched(all);
      return;
    }
    there_->download(quantized_.get());
    for (const auto *part : {&quantized_->codes, &quantized_->scales, &quantized_->zero_points})
      result->bytes.insert(result->bytes.end(), part->begin(), part->end());
    const std::vector<float> values = dequantized(devices().cpu.get(), *quantized_);
    result->values.assign(values.begin(), values.end());
  }

private:
  static constexpr std::ptrdiff_t kTail = 64;
  const ConvData &data_;
  std::array<std::unique_ptr<DeviceQuantized>, 3> quantized_sides_;
  std::vector<std::unique_ptr<DeviceMemory>> memory_; /* the result's last */
  mfq_tensor tensors_[3], c_tensor_, bias_tensor_, d_tensor_;
  mfq_scheme schemes_[3];
  Operand d_, c_;
  std::unique_ptr<Quantized> quantized_;
  std::unique_ptr<DeviceQuantized> there_;

  Shape d_strides() const { return strides_of(data_.given, data_.result_shape, data_.given.d_memory); }
  void *put(mfq_context *context, const void *host, size_t bytes, size_t front) {
    memory_.push_back(std::make_unique<DeviceMemory>(context, host, bytes, front));
    return memory_.back()->data();
  }

  void place_operand(mfq_context *context, ConvTensor which) {
    const SideData *side = data_.sides[which].get();
    if (side == nullptr) return;
    const size_t front = data_.given.front;
    const Placement at = {front, front, front / 4 * 4, front};
    tensors_[which] = side->plain->at(put(context, side->plain->bytes.data(), side->plain->bytes.size(), front));
    if (side->quantized != nullptr)
      quantized_sides_[which] = std::make_unique<DeviceQuantized>(context, *side->quantized, at);
    mfq_operand *const operands[] = {&conv.input, &conv.weight, &conv.output_gradient};
    set_operand(operands[which], data_.side_of(which), &tensors_[which], quantized_sides_[which].get(),
                &schemes_[which]);
  }

  void place_result(mfq_context *context) {
    const ConvCase &x = data_.given;
    if (x.has_c && x.c_is_result) d_.bytes = spread(d_, [&](size_t i) { return bits_in(x.d, data_.c[i]); });
    if (!x.quantized_result.empty()) {
      quantized_ = std::make_unique<Quantized>(parse(x.quantized_result), data_.result_shape);
      there_ = std::make_unique<DeviceQuantized>(context, *quantized_);
      conv.quantized_result = &there_->q;
    }
  }

  void place_rest(mfq_context *context) {
    const ConvCase &x = data_.given;
    const size_t front = x.front / 4 * 4;
    const float scalars[] = {x.alpha, x.beta};
    scalars_[0] = x.alpha;
    scalars_[1] = x.beta;
    const float *values = scalars_;
    if (x.device_scalars) values = static_cast<const float *>(put(context, scalars, sizeof scalars, 0));
    conv.device_scalars = x.device_scalars;
    if (x.alpha != 1.0f) conv.alpha = &values[0];
    if (x.has_c && x.beta != 1.0f) conv.beta = &values[1];
    conv.activation = x.activation;
    bias_tensor_ = strided(put(context, data_.bias.data(), data_.bias.size() * sizeof(float), front), MFQ_DTYPE_F32,
                           {x.out_channels}, {1});
    if (x.has_bias) conv.bias = &bias_tensor_;
    c_.bytes = spread(c_, [&](size_t i) { return float_bits(data_.c[i]); });
    c_tensor_ = c_.at(put(context, c_.bytes.data(), c_.bytes.size(), front));
    std::vector<uint8_t> bytes = d_.bytes;
    bytes.insert(bytes.end(), kTail, kPoison);
    d_tensor_ = d_.at(put(context, bytes.data(), bytes.size(), x.front));
    if (x.has_c) conv.c = x.c_is_result ? &d_tensor_ : &c_tensor_;
    if (x.quantized_result.empty()) conv.result = &d_tensor_;
  }

  /* kPoison wherever the result has no element. */
  void check_untouched(const std::vector<uint8_t> &all) const {
    std::vector<uint8_t> mask = spread(
        Operand(d_.dtype, d_.shape, d_.strides), [](size_t) { return 0u; });
    const std::vector<uint8_t> ones = spread(Operand(d_.dtype, d_.shape, d_.strides), [](size_t) { return ~0u; });
    mask.insert(mask.end(), kTail, kPoison);
    for (size_t i = 0; i < all.size(); ++i) {
      const bool is_element = i < ones.size() && ones[i] != mask[i];
      if (!is_element && all[i] != kPoison) {
        ADD_FAILURE() << "byte " << i << " of " << all.size() << ", which is no element's, was written";
        return;
      }
    }
  }

  float scalars_[2];
};

/* ---- Running ---------------------------------------------------------------------------------------------------- */

/* Runs a plan, and waits for it. */
inline void run_plan(mfq_context *context, const mfq_conv_plan *plan, const mfq_conv &conv,
                     const ProductData::Around &around, ProductResult *result) {
  const DeviceMemory workspace(context, nullptr, mfq_conv_workspace_bytes(plan));
  const auto work = [&] { return mfq_conv_run(context, plan, &conv, workspace.data(), workspace.bytes()); };
  result->status = around != nullptr ? around(work) : work();
  if (result->status == MFQ_OK) result->status = mfq_context_synchronize(context);
  workspace.check();
}

/* Plans and runs a case on a context. */
inline ProductResult run_conv(mfq_context *context, const ConvData &data, const ProductData::Around &around = nullptr) {
  ProductResult result;
  const Transfer transfer(context);
  const ConvCall call(context, data);
  transfer.upload();
  mfq_conv_plan *plan = nullptr;
  result.status = mfq_conv_plan_create(context, &call.conv, &plan);
  if (result.status != MFQ_OK) return result;
  result.description = mfq_conv_plan_describe(plan);
  run_plan(context, plan, call.conv, around, &result);
  mfq_conv_plan_destroy(plan);
  if (result.status != MFQ_OK) return result;
  transfer.download();
  call.collect(&result);
  return result;
}

/* The double sums of a case, computed once for all results that are held against them. */
class ConvSums {
public:
  explicit ConvSums(const ConvData &data) : d_(data.given.d), longest_(data.expected(&want_, &bounds_)) {}
  testing::AssertionResult is_near(const ProductResult &result) const {
    std::vector<double> bounds = bounds_;
    const double allowance = fp8_allowance(result.description, longest_);
    for (double &bound : bounds) bound *= 1 + allowance;
    return values_are_near(result.values, want_, bounds, d_);
  }

private:
  mfq_dtype d_;
  std::vector<double> want_, bounds_;
  int64_t longest_;
};

inline testing::AssertionResult conv_result_is_near(const ConvData &data, const ProductResult &result) {
  return ConvSums(data).is_near(result);
}

inline std::string text_of(const ConvSide &s) {
  return text_of(static_cast<const Side &>(s)) + " memory " + std::to_string((int)s.memory);
}
inline std::string text_of(const ConvCase &x) {
  static const char *const directions[] = {"forward", "input gradient", "weight gradient"};
  return std::string(directions[x.direction]) + (x.transposed ? " transposed" : "") +
         (x.layout == MFQ_CONV_CHANNELS_LAST ? " channels last" : "") + " N " + std::to_string(x.batch) + " C " +
         std::to_string(x.in_channels) + " K " + std::to_string(x.out_channels) + " groups " +
         std::to_string(x.groups) + " in " + text_of(x.in) + " filter " + text_of(x.filter) + " stride " +
         text_of(x.stride) + " dilation " + text_of(x.dilation) + " padding " + text_of(x.padding) + " after " +
         text_of(x.padding_after) + (x.same ? " same" : "") + " output padding " + text_of(x.output_padding) +
         "; input " + text_of(x.input) + "; weight " + text_of(x.weight) + "; output gradient " +
         text_of(x.output_gradient) + "; result " +
         (x.quantized_result.empty() ? mfq_dtype_name(x.d) : x.quantized_result) + " memory " +
         std::to_string((int)x.d_memory) + " c " + std::to_string(x.has_c) + " bias " + std::to_string(x.has_bias) +
         " activation " + std::to_string(x.activation) + " front " + std::to_string(x.front);
}

/* Runs a case on each context, where it must take the implementation `by` (any: NULL), and compares it with double
 * sums. */
inline testing::AssertionResult conv_is_near(const std::vector<mfq_context *> &contexts, const ConvCase &x,
                                             const char *by = nullptr) {
  trace(text_of(x));
  const ConvData data(x);
  const ConvSums sums(data);
  for (mfq_context *const context : contexts) {
    const ProductResult result = run_conv(context, data);
    auto verdict = succeeded(result.status, "the convolution");
    if (verdict && by != nullptr && result.description.rfind(std::string(by) + ": ", 0) != 0)
      verdict = testing::AssertionFailure() << "another way";
    if (verdict) verdict = sums.is_near(result);
    if (!verdict)
      return verdict << "; " << text_of(x) << "; " << result.description << "; " << mfq_context_describe(context);
  }
  return testing::AssertionSuccess();
}
inline testing::AssertionResult conv_is_near(mfq_context *context, const ConvCase &x, const char *by = nullptr) {
  return conv_is_near(std::vector<mfq_context *>{context}, x, by);
}

/* Runs a case on two contexts: the bytes of the results must be equal. */
inline testing::AssertionResult conv_is_equal(mfq_context *one, mfq_context *other, const ConvCase &x) {
  trace(text_of(x));
  const ConvData data(x);
  const ProductResult a = run_conv(one, data), b = run_conv(other, data);
  auto verdict = succeeded(a.status, "the first");
  if (verdict) verdict = succeeded(b.status, "the second");
  for (size_t i = 0; verdict && i < a.values.size(); ++i)
    if (float_bits((float)a.values[i]) != float_bits((float)b.values[i]))
      verdict = testing::AssertionFailure()
                << "element " << i << " of " << a.values.size() << " is " << a.values[i] << " and " << b.values[i];
  if (verdict && a.bytes != b.bytes) verdict = testing::AssertionFailure() << "bytes differ, values do not";
  return verdict ? verdict : verdict << "; " << text_of(x) << "; " << a.description << "; " << b.description;
}

} // namespace mfq_test

#endif
