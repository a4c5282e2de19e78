/* tests/support/mask.h: masks with memory of their own, which holds anything before it is written. */
#ifndef MFQ_TESTS_SUPPORT_MASK_H
#define MFQ_TESTS_SUPPORT_MASK_H

#include "operand.h"

namespace mfq_test {

/* A mask over `bits`, or over memory elsewhere. */
struct Masked {
  mfq_mask mask;
  std::vector<uint8_t> bits;

  Masked(const mfq_scheme &scheme, const Shape &shape) {
    size_t bytes = 0;
    EXPECT_EQ(mfq_mask_init(&scheme, (int32_t)shape.size(), shape.data(), &mask), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_mask_bytes(&mask, &bytes), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(bytes, (count_of(shape) + 7) / 8);
    bits.assign(bytes, kPoison);
  }
  const mfq_mask *at(void *memory) {
    mask.bits = memory;
    return &mask;
  }
  const mfq_mask *here() { return at(bits.empty() ? nullptr : bits.data()); }
};

/* Whose scales a call takes. */
struct Scales {
  const mfq_scheme *scheme; /* measured */
  const mfq_qtensor *given; /* or read */
};

inline mfq_status fake_forward(mfq_context *context, const Scales &scales, const mfq_tensor &src, const mfq_tensor &dst,
                               const mfq_mask *mask) {
  mfq_fake_forward forward;
  mfq_fake_forward_init(&forward);
  forward.scheme = scales.scheme;
  forward.given = scales.given;
  forward.src = &src;
  forward.dst = &dst;
  forward.mask = mask;
  return mfq_fake_quantize_forward(context, &forward);
}

/* Clipped, by the mask or, where it is NULL, by `src`. */
inline mfq_status fake_backward(mfq_context *context, const Scales &scales, const mfq_tensor *src,
                                const mfq_tensor &upstream, const mfq_tensor &dx, const mfq_mask *mask) {
  mfq_fake_gradient g;
  mfq_fake_gradient_init(&g);
  g.scheme = scales.scheme;
  g.given = scales.given;
  g.ste = MFQ_STE_CLIPPED;
  g.src = src;
  g.upstream = &upstream;
  g.dx = &dx;
  g.mask = mask;
  return mfq_fake_quantize_backward(context, &g);
}

} // namespace mfq_test

#endif
