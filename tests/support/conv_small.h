// tests/support/conv_small.h: convolutions whose operands are small integers, so that sums are exact in any order.
#ifndef MFQ_TESTS_SUPPORT_CONV_SMALL_H
#define MFQ_TESTS_SUPPORT_CONV_SMALL_H

#include "convolution.h"

namespace mfq_test {

/* The same scheme for all operands. */
inline ConvCase of_scheme(ConvCase x, const std::string &scheme, bool on_the_way = false) {
  for (ConvSide *side : {&x.input, &x.weight, &x.output_gradient}) {
    side->scheme = scheme;
    side->on_the_way = on_the_way;
  }
  return x;
}

/* -2 ... 2, which every format holds, and whose sums are exact. */
inline void make_small(ConvData *data) {
  for (const ConvTensor which : {kInput, kWeight, kOutput}) {
    if (data->sides[which] == nullptr) continue;
    SideData &side = data->side(which);
    std::mt19937 generator(data->given.seed + which);
    side.plain->fill([&](size_t) { return bits_in(side.plain->dtype, (float)((int)(generator() % 5) - 2)); });
    const mfq_tensor tensor = side.plain->here();
    if (side.quantized == nullptr) {
      side.values = values_of(*side.plain, side.plain->bytes);
      continue;
    }
    EXPECT_EQ(mfq_quantize(devices().cpu.get(), &tensor, &side.quantized->q, nullptr), MFQ_OK) << mfq_last_error();
    side.requantized();
  }
}

/* A layer with channels last. */
inline ConvCase sized(mfq_conv_direction direction, int64_t in_channels, int64_t out_channels, const Shape &in,
                      const Shape &filter) {
  ConvCase x;
  x.direction = direction;
  x.layout = MFQ_CONV_CHANNELS_LAST;
  x.in_channels = in_channels;
  x.out_channels = out_channels;
  x.in = in;
  x.filter = filter;
  return x;
}
inline ConvCase sized(mfq_conv_direction direction, int64_t batch, int64_t in_channels, int64_t out_channels,
                      const Shape &in, const Shape &filter) {
  ConvCase x = sized(direction, in_channels, out_channels, in, filter);
  x.batch = batch;
  return x;
}

/* Small integers, whose sums every order gives, by the way of this name. */
inline void expect_exact_by(mfq_context *context, const std::string &way, const ConvCase &x) {
  ConvData data(x);
  make_small(&data);
  const ProductResult got = run_conv(context, data);
  ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error() << text_of(x);
  EXPECT_EQ(got.description.substr(0, way.size() + 2), way + ": ") << got.description << text_of(x);
  std::vector<double> want, bounds;
  data.expected(&want, &bounds);
  ASSERT_EQ(got.values.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_EQ(got.values[i], want[i]) << "element " << i << " of " << text_of(x) << "; " << got.description;
}

} // namespace mfq_test

#endif
