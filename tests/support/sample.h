/* tests/support/sample.h: points of a product of choices. MFQ_TEST_FULL=1 in the environment: all of them; MFQ_TEST_FEW=1,
 * for what runs once more where other errors than wrong numbers are looked for, or on another device: every choice. */
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

inline bool is_set(const char *name) {
  const char *const value = std::getenv(name);
  return value != nullptr && value == std::string("1");
}
inline bool is_full_grid() { return is_set("MFQ_TEST_FULL"); }

/* How many of `count` drawn cases to take: half, with MFQ_TEST_FEW=1 a quarter. */
inline size_t drawn_cases(size_t count) {
  return is_full_grid() ? count : is_set("MFQ_TEST_FEW") ? (count + 3) / 4 : (count + 1) / 2;
}

/* Which choices have met, two of different axes at a time, or with MFQ_TEST_FEW=1 which have come up. */
class Meetings {
public:
  explicit Meetings(const std::vector<size_t> &choices) {
    const size_t all = std::accumulate(choices.begin(), choices.end(), (size_t)0);
    size_t pairs = 0;
    for (const size_t n : choices) pairs += n * (all - n);
    missing_ = is_few_ || choices.size() == 1 ? all : pairs / 2;
  }
  /* Whether the point brings any that had not. */
  bool add(const std::vector<size_t> &digits) {
    const size_t before = met_.size();
    for (size_t i = 0; i < digits.size(); ++i) {
      if (is_few_ || digits.size() == 1) met_.insert({i, digits[i], i, digits[i]});
      for (size_t k = 0; k < i && !is_few_; ++k) met_.insert({i, digits[i], k, digits[k]});
    }
    return met_.size() > before;
  }
  bool is_complete() const { return met_.size() >= missing_; }

private:
  const bool is_few_ = is_set("MFQ_TEST_FEW");
  size_t missing_;
  std::set<std::array<size_t, 4>> met_;
};

/* Calls visit(digits) for `least` to `most` points of the product, in steps of a fixed size that shares no factor with it,
 * so that the first ones are spread over all of it: those that bring two choices of two axes together for the first time,
 * until every two have met, then any. */
template <typename Visit>
void sample_between(const std::vector<size_t> &choices, size_t least, size_t most, Visit visit) {
  size_t total = 1;
  for (const size_t n : choices) total *= n;
  size_t step = (size_t)((double)total * 0.6180339887498949) | 1;
  while (std::gcd(step, total) != 1) step += 2;
  Meetings meetings(choices);
  for (size_t i = 0, visited = 0; i < total; ++i) {
    if (!is_full_grid() && (visited == most || (visited >= least && meetings.is_complete()))) return;
    size_t rest = i * step % total;
    std::vector<size_t> digits;
    for (const size_t n : choices) {
      digits.push_back(rest % n);
      rest /= n;
    }
    if (!meetings.is_complete() && !meetings.add(digits) && !is_full_grid()) continue;
    ++visited;
    visit(digits);
  }
}

/* Every two choices meet where `most` points are enough for that, and a third of them are taken in any case. */
template <typename Visit> void sample(const std::vector<size_t> &choices, size_t most, Visit visit) {
  sample_between(choices, is_set("MFQ_TEST_FEW") ? 0 : most / 3, most, visit);
}

/* Every two choices meet, and no point is taken but for that. */
template <typename Visit> void sample_pairs(const std::vector<size_t> &choices, Visit visit) {
  sample_between(choices, 0, (size_t)-1, visit);
}

} // namespace mfq_test

#endif
