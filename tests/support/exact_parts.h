/* tests/support/exact_parts.h: an operand taken apart: elements without scales, and the two kinds of scales. */
#ifndef MFQ_TESTS_SUPPORT_EXACT_PARTS_H
#define MFQ_TESTS_SUPPORT_EXACT_PARTS_H

#include "oracle.h"
#include "product.h"

namespace mfq_test {

/* A context of the CPU whose sums are in order. */
inline Context reproducible(const char *isa = nullptr, int threads = 2) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.policy = MFQ_REPRODUCIBLE;
  options.cpu_isa = isa;
  options.threads = threads;
  poison_memory(&options);
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

/* All vectors are row-major and have an entry for every element; scales that are not there are 1. */
struct ExactParts {
  std::vector<double> elements;
  std::vector<float> group_scales, factors;
  bool is_plain;

  explicit ExactParts(const SideData &data) : is_plain(data.quantized == nullptr) {
    const size_t n = count_of(data.shape);
    group_scales.assign(n, 1.0f);
    factors.assign(n, 1.0f);
    if (is_plain) {
      elements = data.values;
    } else {
      take_elements(*data.quantized);
      take_scales(*data.quantized);
    }
  }

private:
  void take_elements(const Quantized &q) {
    const mfq_layout logical = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0};
    Quantized plain(q.q.scheme, logical_shape(q), &logical);
    EXPECT_EQ(mfq_repack(devices().cpu.get(), &q.q, &plain.q), MFQ_OK) << mfq_last_error();
    const oracle::Grid grid(q.q.scheme.element);
    const double step = std::ldexp(1.0, -q.q.scheme.element.frac_bits);
    const std::vector<float> zeros = expanded_zero_points(devices().cpu.get(), q, logical_shape(q));
    const std::vector<uint32_t> codes = all_codes(plain);
    for (size_t i = 0; i < codes.size(); ++i) elements.push_back(grid.decode(codes[i]) - zeros[i] * step);
  }

  /* Scales of groups and blocks belong to elements, all others to sums. */
  void take_scales(const Quantized &q) {
    const mfq_granularity granularity = q.q.scheme.granularity;
    const bool has_groups = granularity == MFQ_GRANULARITY_GROUP || granularity == MFQ_GRANULARITY_BLOCK;
    float one = 1.0f;
    mfq_qtensor without = q.q; /* the tensor scale */
    if (without.tensor_scale != nullptr) without.tensor_scale = &one;
    std::vector<float> scales(factors.size());
    const mfq_tensor dst = dense(scales, logical_shape(q));
    EXPECT_EQ(mfq_expand_scales(devices().cpu.get(), &without, &dst), MFQ_OK) << mfq_last_error();
    const float tensor_scale = q.q.tensor_scale != nullptr ? *q.q.tensor_scale : 1.0f;
    for (size_t i = 0; i < scales.size(); ++i) {
      (has_groups ? group_scales : factors)[i] = scales[i];
      factors[i] *= tensor_scale;
    }
  }
};

} // namespace mfq_test

#endif
