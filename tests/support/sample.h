/* tests/support/sample.h: points of a product of choices, spread over all of it. MFQ_TEST_FULL=1 in the environment: all. */
#ifndef MFQ_TESTS_SUPPORT_SAMPLE_H
#define MFQ_TESTS_SUPPORT_SAMPLE_H

#include <array>
#include <cstddef>
#include <cstdlib>
#include <numeric>
#include <set>
#include <string>
#include <vector>

namespace mfq_test {

inline bool is_full_grid() {
  const char *const full = std::getenv("MFQ_TEST_FULL");
  return full != nullptr && full == std::string("1");
}

/* Calls visit(digits) for `count` points of the product, all of them when there are no more: steps of a fixed size
 * that shares no factor with the product, so that no point comes twice and every choice of each axis comes up. Under the
 * address sanitizer, which looks for other errors than wrong numbers, a third of them. */
template <typename Visit> void sample(const std::vector<size_t> &choices, size_t count, Visit visit) {
  size_t total = 1;
  for (const size_t n : choices) total *= n;
#if defined(MFQ_UNDER_ASAN)
  count = count / 3 + 1;
#endif
  if (is_full_grid()) count = total;
  size_t step = (size_t)((double)total * 0.6180339887498949) | 1;
  while (std::gcd(step, total) != 1) step += 2;
  for (size_t i = 0; i < (count < total ? count : total); ++i) {
    size_t rest = i * step % total;
    std::vector<size_t> digits;
    for (const size_t n : choices) {
      digits.push_back(rest % n);
      rest /= n;
    }
    visit(digits);
  }
}

/* Calls visit(digits) for points of the product in which every two choices of two axes meet: those of sample's order
 * that bring two together for the first time. */
template <typename Visit> void sample_pairs(const std::vector<size_t> &choices, Visit visit) {
  std::set<std::array<size_t, 4>> met;
  sample(choices, (size_t)-1, [&](const std::vector<size_t> &digits) {
    const size_t before = met.size();
    for (size_t i = 0; i < digits.size(); ++i)
      for (size_t k = 0; k < i; ++k) met.insert({i, digits[i], k, digits[k]});
    if (met.size() > before || is_full_grid()) visit(digits);
  });
}

} // namespace mfq_test

#endif
