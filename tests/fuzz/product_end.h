/* tests/fuzz/product_end.h: what products and convolutions share beyond their operands: the result, C, bias and scalars in
 * memory of exactly their size, any strides; operands' schemes; and the check of a quantized result. */
#ifndef MFQ_TESTS_FUZZ_PRODUCT_END_H
#define MFQ_TESTS_FUZZ_PRODUCT_END_H

#include <memory>

#include "cast_model.h"
#include "support/convolution.h"

namespace fuzz {

/* ---- Schemes ---------------------------------------------------------------------------------------------------- */

/* Whether all values lie far inside of float32, so that the bounds of docs/numerics.md are those of sums of such values. */
inline bool is_moderate(const mfq_scheme &scheme) {
  const oracle::Grid grid(scheme.element);
  if (scheme.scale == MFQ_SCALE_MINIFLOAT) {
    const oracle::Grid scales(scheme.scale_element);
    if (scales.magnitude(1) < 0x1p-40 || scales.max_value() > 0x1p40) return false;
  }
  return grid.magnitude(1) >= 0x1p-40 && grid.max_value() <= 0x1p40 && scheme.statistic_min < 0x1p-10f;
}

/* A scheme of an operand: groups along `depth` and channels along `row` most of the time; elsewhere a refusal. */
inline mfq_scheme operand_scheme(Input *in, int32_t rank, int32_t depth, int32_t row) {
  mfq_scheme s = any_scheme(in, rank);
  if (!is_moderate(s)) s = mfq_test::parse("mxfp8_e4m3");
  if (s.rule == MFQ_RULE_GIVEN && s.scale != MFQ_SCALE_NONE) s.rule = MFQ_RULE_FLOOR;
  if (s.scale >= MFQ_SCALE_UE4M3) s.rule = MFQ_RULE_ABSMAX;
  if (!in->one_in(8) && s.granularity == MFQ_GRANULARITY_GROUP) s.axis = depth;
  if (!in->one_in(8) && s.granularity == MFQ_GRANULARITY_CHANNEL) s.axis = row;
  const bool has_axis = s.granularity == MFQ_GRANULARITY_GROUP || s.granularity == MFQ_GRANULARITY_CHANNEL;
  if (has_axis && (s.axis >= rank || s.axis < -rank)) s.axis = depth;
  return s;
}

inline mfq_test::Side any_side(Input *in, int32_t rank, int32_t depth, int32_t row) {
  mfq_test::Side side;
  side.dtype = in->pick(mfq_test::kDtypes);
  const uint32_t kind = in->below(3);
  if (kind == 0) return side;
  side.scheme = text_of(operand_scheme(in, rank, depth, row));
  side.on_the_way = kind == 2;
  if (kind == 2) return side;
  const mfq_layout layout = any_layout(in);
  mfq_qtensor q;
  const mfq_scheme scheme = mfq_test::parse(side.scheme);
  const Shape shape((size_t)rank, 1);
  if (mfq_qtensor_init(&scheme, rank, shape.data(), &layout, &q) == MFQ_OK) side.layout = layout;
  return side;
}

/* ---- The end ---------------------------------------------------------------------------------------------------- */

struct End {
  mfq_dtype dtype = MFQ_DTYPE_F32;
  std::string quantized; /* a scheme: the result is quantized */
  bool has_c = false, c_is_result = false, has_bias = false;
  float alpha = 1.0f, beta = 1.0f;
  mfq_activation activation = MFQ_ACTIVATION_NONE;
};

inline End any_end(Input *in, int32_t rank) {
  static const float scalars[] = {1.0f, -0.75f, 0.5f, 3.0f, 0.0f};
  End end;
  end.dtype = in->pick(mfq_test::kDtypes);
  end.has_c = in->one_in(3);
  if (in->one_in(3)) {
    mfq_scheme s = any_scheme(in, rank);
    const bool has_axis = s.granularity == MFQ_GRANULARITY_GROUP || s.granularity == MFQ_GRANULARITY_CHANNEL;
    if (has_axis && s.axis != MFQ_AXIS_AUTO && (s.axis >= rank || s.axis < -rank)) s.axis = MFQ_AXIS_AUTO;
    const bool is_given = s.rule == MFQ_RULE_GIVEN && s.scale != MFQ_SCALE_NONE;
    if (is_moderate(s) && s.arith == MFQ_ARITH_EXACT && !is_given) end.quantized = text_of(s);
  }
  end.c_is_result = end.has_c && end.quantized.empty() && in->one_in(2);
  end.has_bias = in->one_in(3);
  end.alpha = in->one_in(3) ? in->pick(scalars) : 1.0f;
  end.beta = in->one_in(3) ? in->pick(scalars) : 1.0f;
  end.activation = in->one_in(3) ? (mfq_activation)in->below(5) : MFQ_ACTIVATION_NONE;
  return end;
}

/* The memory of an end; c and bias hold what the oracle has. */
class EndMemory {
public:
  mfq_test::Operand d, c, bias;
  mfq_tensor d_tensor, c_tensor, bias_tensor;
  std::unique_ptr<mfq_test::Quantized> quantized;

  EndMemory(Input *in, const End &end, const Shape &shape, const std::vector<float> &c_values,
            const std::vector<float> &bias_values)
      : d(end.dtype, shape, any_strides(in, shape)), c(MFQ_DTYPE_F32, shape, any_strides(in, shape)),
        bias(MFQ_DTYPE_F32, {(int64_t)bias_values.size()}, {in->one_in(3) ? -2 : 1}) {
    c.bytes = mfq_test::spread(
        c, [&](size_t i) { return mfq_test::float_bits(c_values[i]); });
    bias.bytes = mfq_test::spread(bias, [&](size_t i) { return mfq_test::float_bits(bias_values[i]); });
    const mfq_dtype dtype = end.dtype;
    const bool is_read = end.has_c && end.c_is_result;
    d.bytes = mfq_test::spread(d, [&](size_t i) { return is_read ? mfq_test::bits_in(dtype, c_values[i]) : ~0u; });
    if (!end.quantized.empty()) {
      quantized = std::make_unique<mfq_test::Quantized>(mfq_test::parse(end.quantized), shape);
      std::fill(quantized->codes.begin(), quantized->codes.end() - 1, 0xff);
    }
    d_tensor = d.here();
    c_tensor = is_read ? d_tensor : c.here();
    bias_tensor = bias.here();
  }
  EndMemory(const EndMemory &) = delete;

  /* All bytes that a run may write. */
  std::vector<uint8_t> written() const {
    std::vector<uint8_t> all = d.bytes;
    if (quantized == nullptr) return all;
    for (const auto *part : {&quantized->codes, &quantized->scales, &quantized->zero_points})
      all.insert(all.end(), part->begin(), part->end());
    return all;
  }
};

/* Memory for a run's workspace, aligned to 256, of exactly its size and full of NaN. */
class Workspace {
public:
  explicit Workspace(size_t bytes) : bytes_(bytes) {
    void *memory = nullptr;
    if (bytes > 0 && posix_memalign(&memory, 256, bytes) != 0) found("no memory for a workspace");
    if (bytes > 0) std::memset(memory, 0xff, bytes);
    memory_.reset(memory);
  }
  void *data() const { return memory_.get(); }
  size_t bytes() const { return bytes_; }

private:
  std::unique_ptr<void, decltype(&std::free)> memory_{nullptr, std::free};
  size_t bytes_;
};

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

/* Whether each code lies between those of the ends of its value's interval, under the scale that is stored. */
inline void check_quantized(const CastModel &model, const std::vector<double> &want,
                            const std::vector<double> &bounds) {
  for (size_t i = 0; i < want.size(); ++i) {
    const At at = CastModel::places((int64_t)i, model.shape);
    const int64_t index = model.scale_of(at);
    const double s = model.divisor(index), value = model.grid.decode(model.code(at));
    if (s == 0 || !std::isfinite(s) || !std::isfinite(value)) {
      require(std::isfinite(s) || model.has_tensor_scale(), "a finite result with a scale that is not");
      continue;
    }
    const double bound = bounds[i] + std::ldexp(std::fabs(want[i]), -23);
    const double zero = model.zero_point(index), slack = std::ldexp(std::fabs(want[i] / s) + std::fabs(zero), -22);
    const double low = (want[i] - bound) / s + zero - slack, high = (want[i] + bound) / s + zero + slack;
    const double least = model.grid.decode(model.grid.encode(low, MFQ_ROUND_FLOOR, true));
    const double most = model.grid.decode(model.grid.encode(high, MFQ_ROUND_CEIL, true));
    if (value >= least && value <= most) continue;
    char text[200];
    std::snprintf(text, sizeof text, "result %zu is %.9g within %.3g; its code stands for %.9g, not %.9g ... %.9g", i,
                  want[i], bounds[i], value, least, most);
    found(text);
  }
}

/* Where a value may lie beyond what f16 holds, infinity, the largest value, or one near it is right. */
inline bool is_f16_overflow(double got, double want, double bound) {
  if (!(std::fabs(want) + bound >= 65504) || std::signbit(got) != std::signbit(want)) return false;
  return std::fabs(got) >= std::min(std::fabs(want) - bound, 65504.0) * (1 - 0x1p-10);
}

/* The result of a run against doubles and their bounds. Infinite operands, of formats that do not saturate, say nothing
 * of the result, nor does NaN of the group that it is in. */
inline void check_result(const EndMemory &memory, const End &end, const std::vector<double> &want,
                         const std::vector<double> &bounds) {
  for (size_t i = 0; i < want.size(); ++i)
    if (std::isinf(bounds[i]) || (memory.quantized != nullptr && std::isnan(want[i]))) return;
  if (memory.quantized != nullptr) {
    check_quantized(CastModel(*memory.quantized), want, bounds);
    require(memory.quantized->codes.back() == mfq_test::kPoison && memory.quantized->scales.back() == mfq_test::kPoison,
            "bytes behind a part of the result were written");
    return;
  }
  require_gaps(memory.d);
  std::vector<double> got = mfq_test::values_of(memory.d, memory.d.bytes);
  for (size_t i = 0; i < got.size() && end.dtype == MFQ_DTYPE_F16; ++i)
    if (is_f16_overflow(got[i], want[i], bounds[i])) got[i] = want[i];
  require(mfq_test::values_are_near(got, want, bounds, end.dtype));
}

/* Contexts of every instruction set and policy. */
struct ProductContexts {
  std::vector<mfq_test::Context> all;
  std::vector<bool> is_reproducible;
  ProductContexts() {
    for (const std::string &isa : mfq_test::every_isa())
      for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE})
        for (const int threads : all.size() < 4 ? std::vector<int>{1, 3} : std::vector<int>{1}) {
          all.push_back(context_of(isa.c_str(), threads, policy));
          is_reproducible.push_back(policy == MFQ_REPRODUCIBLE);
        }
  }
};
inline ProductContexts &product_contexts() {
  static ProductContexts contexts;
  return contexts;
}

/* A reproducible quantized result has the bytes of the plain result, quantized. */
inline void check_quantized(mfq_context *context, const mfq_tensor &plain, const mfq_test::Quantized &got) {
  mfq_test::Quantized want(got.q.scheme, Shape(plain.shape, plain.shape + plain.rank));
  require_ok(mfq_quantize(context, &plain, &want.q, nullptr));
  require(want.codes == got.codes && want.scales == got.scales,
          "a quantized result differs from the plain result, quantized");
}

} // namespace fuzz

#endif
