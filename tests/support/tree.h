/* tests/support/tree.h: the documented order of sums, by its definition: pairs, pairs of pairs, missing terms are 0. */
#ifndef MFQ_TEST_TREE_H
#define MFQ_TEST_TREE_H

#include <vector>

namespace mfq_test {

inline float tree_of(std::vector<float> t) {
  while (t.size() > 1) {
    if (t.size() % 2 != 0) t.push_back(0.0f);
    for (size_t i = 0; i < t.size() / 2; ++i) t[i] = t[2 * i] + t[2 * i + 1];
    t.resize(t.size() / 2);
  }
  return t.empty() ? 0.0f : t[0];
}

} // namespace mfq_test

#endif
