// tests/support/conv_small.h: convolutions whose operands are small integers, so that sums are exact in any order.
#ifndef MFQ_TESTS_SUPPORT_CONV_SMALL_H
#define MFQ_TESTS_SUPPORT_CONV_SMALL_H

#include "convolution.h"

namespace mfq_test {

inline const mfq_conv_direction kDirections[] = {MFQ_CONV_FORWARD, MFQ_CONV_INPUT_GRADIENT, MFQ_CONV_WEIGHT_GRADIENT};

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

} // namespace mfq_test

#endif
