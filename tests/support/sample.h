/* tests/support/sample.h: points of a product of choices, spread over all of it. */
#ifndef MFQ_TESTS_SUPPORT_SAMPLE_H
#define MFQ_TESTS_SUPPORT_SAMPLE_H

#include <cstddef>
#include <numeric>
#include <vector>

namespace mfq_test {

/* Calls visit(digits) for `count` points of the product, all of them when there are no more: steps of a fixed size
 * that shares no factor with the product, so that no point comes twice and every choice of each axis comes up. */
template <typename Visit> void sample(const std::vector<size_t> &choices, size_t count, Visit visit) {
  size_t total = 1;
  for (const size_t n : choices)
    total *= n;
  size_t step = count >= total ? 1 : (size_t)((double)total * 0.6180339887498949) | 1;
  while (std::gcd(step, total) != 1)
    step += 2;
  for (size_t i = 0; i < (count < total ? count : total); i++) {
    size_t rest = i * step % total;
    std::vector<size_t> digits;
    for (const size_t n : choices) {
      digits.push_back(rest % n);
      rest /= n;
    }
    visit(digits);
  }
}

} // namespace mfq_test

#endif
