// The largest numbers of every type through every named scheme: finite values come back finite, and are those of an
// oracle in double.
#include "support/top_binade.h"

namespace {

using namespace mfq_test;

/* Scales of the caller: the largest number becomes the largest element, or less. */
void give_top_scales(Quantized *t, mfq_dtype dtype) {
  const mfq_scheme &s = t->q.scheme;
  const oracle::Grid grid(s.element);
  const float scale = (float)(largest_of(dtype) / grid.max_value());
  ASSERT_EQ(s.scale, MFQ_SCALE_F32) << "no named scheme takes others";
  for (size_t i = 0; i < t->sizes.scales_bytes; i += 4) std::memcpy(&t->scales[i], &scale, 4);
  std::fill(t->zero_points.begin(), t->zero_points.end(), (uint8_t)3);
}

/* Whether `bytes` are the values; NaN and infinities only where the oracle has them. */
testing::AssertionResult are_values(const Operand &y, const std::vector<double> &want, const char *call) {
  for (size_t i = 0; i < want.size(); ++i) {
    const double got = value_in(y.dtype, &y.bytes[i * mfq_dtype_bytes(y.dtype)]);
    if (got == want[i] || (std::isnan(got) && std::isnan(want[i]))) continue;
    return testing::AssertionFailure() << call << " to " << mfq_dtype_name(y.dtype) << ": element " << i << " is "
                                       << got << ", expected " << want[i];
  }
  return testing::AssertionSuccess();
}

/* What one context makes of a tensor: codes, and values of every type by both ways. */
struct Results {
  Quantized t;
  std::vector<Operand> dequantized, faked;

  Results(mfq_context *context, const mfq_scheme &scheme, Operand &x) : t(scheme, x.shape) {
    const mfq_tensor src = x.here();
    if (scheme.rule == MFQ_RULE_GIVEN) give_top_scales(&t, x.dtype);
    EXPECT_EQ(mfq_quantize(context, &src, &t.q, nullptr), MFQ_OK) << mfq_last_error();
    for (const mfq_dtype dtype : kDtypes) {
      const mfq_tensor dst = dequantized.emplace_back(dtype, x.shape).here();
      EXPECT_EQ(mfq_dequantize(context, &t.q, &dst), MFQ_OK) << mfq_last_error();
      const mfq_tensor to = faked.emplace_back(dtype, x.shape).here();
      const mfq_status status = scheme.rule == MFQ_RULE_GIVEN ? mfq_fake_quantize_given(context, &t.q, &src, &to)
                                                              : mfq_fake_quantize(context, &scheme, &src, &to, nullptr);
      EXPECT_EQ(status, MFQ_OK) << mfq_last_error();
    }
  }

  bool same(const Results &other) const {
    bool all = t.same_bytes(other.t);
    for (size_t i = 0; i < dequantized.size(); ++i) all &= dequantized[i].bytes == other.dequantized[i].bytes;
    for (size_t i = 0; i < faked.size(); ++i) all &= faked[i].bytes == other.faked[i].bytes;
    return all;
  }
};

/* Finite, but for groups of Brevitas whose power-of-two scale, which it does not limit, is 2^128: they are NaN. */
std::vector<double> finite_values(const Decoded &decoded, mfq_dtype dtype) {
  std::vector<double> values;
  for (size_t i = 0; i < decoded.codes.size(); ++i) {
    values.push_back(decoded.value(i, dtype));
    if (decoded.scheme.arith == MFQ_ARITH_EXACT || std::isfinite(decoded.scales[i]))
      EXPECT_TRUE(std::isfinite(values.back())) << "element " << i;
    else
      values.back() = std::numeric_limits<double>::quiet_NaN();
  }
  return values;
}

void check_oracle(mfq_context *context, const Results &results, const Operand &x) {
  const Decoded decoded(context, results.t);
  for (size_t i = 0; decoded.scheme.arith == MFQ_ARITH_EXACT && i < decoded.codes.size(); ++i) {
    const double v = value_in(x.dtype, &x.bytes[i * mfq_dtype_bytes(x.dtype)]);
    ASSERT_TRUE(std::isfinite(decoded.scales[i]));
    ASSERT_EQ(decoded.codes[i], decoded.code(i, v))
        << "element " << i << " is " << v << ", its scale " << decoded.scales[i] << ", its zero point "
        << decoded.zero_points[i];
  }
  for (size_t d = 0; d < results.dequantized.size(); ++d) {
    const std::vector<double> want = finite_values(decoded, kDtypes[d]);
    ASSERT_TRUE(are_values(results.dequantized[d], want, "mfq_dequantize"));
    ASSERT_TRUE(are_values(results.faked[d], want, "mfq_fake_quantize"));
  }
}

class TopBinade : public testing::TestWithParam<mfq_dtype> {};

TEST_P(TopBinade, EveryNamedScheme) {
  const mfq_dtype dtype = GetParam();
  const Context reference = make_context("reference", 1);
  std::vector<Context> fast;
  for (const std::string &isa : fast_isas()) fast.push_back(make_context(isa.c_str(), 1));
  /* Scales of whole tensors see one largest number each: there are tensors with others. */
  std::vector<Operand> tensors = {top_binade(dtype, dtype == MFQ_DTYPE_BF16 ? 132 : 36)};
  for (const size_t row : {1, 14, 27}) {
    Operand &last = tensors.emplace_back(dtype, Shape{1, 64});
    std::memcpy(last.bytes.data(), &tensors[0].bytes[row * last.bytes.size()], last.bytes.size());
  }
  for (const std::string &name : scheme_names())
    for (Operand &x : tensors) {
      const mfq_scheme scheme = parse(name);
      if (!has_axes(scheme, x.shape)) continue;
      SCOPED_TRACE(name + ", " + mfq_dtype_name(dtype) + text_of(x.shape));
      const Results want(reference.get(), scheme, x);
      check_oracle(reference.get(), want, x);
      for (const Context &context : fast)
        EXPECT_TRUE(Results(context.get(), scheme, x).same(want)) << mfq_context_describe(context.get());
      if (HasFailure()) return;
    }
}

INSTANTIATE_TEST_SUITE_P(Type, TopBinade, testing::ValuesIn(kDtypes),
                         [](const auto &info) { return mfq_dtype_name(info.param); });

} // namespace
