/* tests/support/conv_huge.h: convolutions of values at and beyond the end of float32, one in each sum. */
#ifndef MFQ_TESTS_SUPPORT_CONV_HUGE_H
#define MFQ_TESTS_SUPPORT_CONV_HUGE_H

#include "convolution.h"

namespace mfq_test {

/* Codes that are numbers, with scales near 2^127. */
inline void make_huge(SideData *side) {
  Quantized &q = *side->quantized;
  std::mt19937 generator(7);
  for (uint8_t &code : q.codes) code = (uint8_t)generator();
  for (size_t i = 0; i < q.sizes.scales_bytes; ++i) q.scales[i] = (uint8_t)(255 - 1 - generator() % 16);
  side->requantized();
  for (const double v : side->values) ASSERT_TRUE(std::isfinite(v)) << "a format of this test has no other codes";
}

/* bf16 ones that pick one element of the other operand for each sum: the middle of the filter, one channel. */
inline void make_picks(const ConvData &data, ConvTensor which, SideData *side) {
  const ConvCase &x = data.given;
  const size_t channels = channel_axis(x);
  const int64_t each = x.in_channels / x.groups;
  side->plain->fill([&](size_t index) {
    int64_t rest = (int64_t)index, at_channel = 0;
    bool is_middle = true;
    for (size_t d = side->shape.size(); d-- > 1; rest /= side->shape[d])
      if (d == channels)
        at_channel = rest % side->shape[d];
      else
        is_middle &= rest % side->shape[d] == side->shape[d] / 2;
    const int64_t wanted = which == kWeight ? rest % each : rest % x.in_channels;
    return is_middle && at_channel == wanted ? 0x3f80u : 0u;
  });
  side->renew();
}

/* The results are the values, limited to the largest number of the type that they are expanded to. `x`: forward, odd
 * filters, as many images as input channels; `scheme`: UE8M0 scales, all codes numbers. */
inline testing::AssertionResult conv_keeps_huge_values(mfq_context *context, ConvCase x, const std::string &scheme,
                                                       const std::string &by, double most) {
  for (const ConvTensor which : {kInput, kWeight}) {
    const ConvTensor other = which == kInput ? kWeight : kInput;
    ConvSide quantized, plain;
    quantized.scheme = scheme;
    plain.dtype = MFQ_DTYPE_BF16;
    x.input = which == kInput ? quantized : plain;
    x.weight = which == kWeight ? quantized : plain;
    ConvData data(x);
    make_huge(&data.side(which));
    make_picks(data, other, &data.side(other));
    for (double &v : data.side(which).values) v = std::clamp(v, -most, most);
    const ProductResult got = run_conv(context, data);
    std::vector<double> want, bounds;
    data.expected(&want, &bounds);
    size_t huge = 0;
    for (const double v : want) huge += std::fabs(v) == most;
    const std::string about = text_of(x) + "; " + got.description;
    if (got.status != MFQ_OK) return testing::AssertionFailure() << mfq_last_error() << about;
    if (got.description.rfind(by + ": ", 0) != 0) return testing::AssertionFailure() << "another way; " << about;
    if (huge == 0) return testing::AssertionFailure() << "no value is beyond the type; " << about;
    for (size_t i = 0; i < want.size(); ++i)
      if (got.values[i] != want[i])
        return testing::AssertionFailure()
               << "element " << i << " is " << got.values[i] << ", expected " << want[i] << "; " << about;
  }
  return testing::AssertionSuccess();
}

/* 32 channels of pixels in a filter's reach. */
inline ConvCase huge_case(mfq_conv_layout layout) {
  ConvCase x;
  x.layout = layout;
  x.batch = x.in_channels = 32;
  x.out_channels = 40;
  x.in = {3, 3};
  x.filter = {3, 3};
  x.padding = {1, 1};
  return x;
}
constexpr const char *kHugeSchemes[] = {"mxfp6_e3m2",          "mxfp4_e2m1",         "int8/group:32/ue8m0",
                                        "e4m3/group:32/ue8m0", "e4m3/group:8/ue8m0", "int4/group:32/ue8m0"};

} // namespace mfq_test

#endif
