/* tests/support/search.h: searches of scales as functions of vectors, and what they must find, in double. */
#ifndef MFQ_TESTS_SUPPORT_SEARCH_H
#define MFQ_TESTS_SUPPORT_SEARCH_H

#include <cmath>
#include <vector>

#include "model.h"
#include "tree.h"

namespace mfq_test {

/* A search of `t`, whose codes are made too. */
inline mfq_search search_of(mfq_search_method method, const mfq_tensor *src, const Quantized *t) {
  mfq_search search;
  mfq_search_init(&search, method);
  search.src = src;
  search.q = &t->q;
  return search;
}

inline void searched(mfq_context *context, mfq_search_method method, const std::vector<float> &x, Quantized *t) {
  const mfq_tensor src = dense(x, logical_shape(*t));
  const mfq_search search = search_of(method, &src, t);
  ASSERT_EQ(mfq_search_scales(context, &search), MFQ_OK) << mfq_last_error();
}

/* The elements of one scale: what they are, and what their errors are multiplied by. */
struct SearchGroup {
  std::vector<float> x, weight;
};

/* The candidates of one scale and what each costs, for schemes that Model knows; without a tensor scale. */
class SearchOracle {
public:
  SearchOracle(const mfq_scheme &scheme, const mfq_search &search, bool by_rank)
      : scheme_(scheme), grid_(scheme.element), search_(search), by_rank_(by_rank) {}

  struct Candidate {
    float scale;
    double loss;
  };

  std::vector<Candidate> candidates(const SearchGroup &group) const {
    std::vector<Candidate> all;
    for (int i = search_.first; i <= search_.last; ++i) {
      const float scale = scale_from(statistic(group, i));
      all.push_back({scale, loss(group, scale)});
    }
    return all;
  }

  double loss(const SearchGroup &group, float scale) const {
    double sum = 0;
    const double lo = std::min(0.0f, *std::min_element(group.x.begin(), group.x.end()));
    const double zero = scheme_.zero_point ? std::min(std::nearbyint((double)(float)(-lo / scale)), levels()) : 0;
    for (size_t i = 0; i < group.x.size(); ++i) {
      const double exact = group.x[i] / (double)scale, t = scheme_.scale == MFQ_SCALE_F32 ? (float)exact : exact;
      const double value = grid_.decode(grid_.encode(t + zero, scheme_.rounding, !scheme_.no_saturate));
      const double error = group.x[i] - (value - zero) * scale;
      sum += error * error * group.weight[i];
    }
    return sum;
  }

private:
  double levels() const { return (double)grid_.max_code(); } /* of unsigned integers */

  float statistic(const SearchGroup &group, int i) const {
    std::vector<float> sorted;
    for (const float x : group.x) sorted.push_back(std::fabs(x));
    std::sort(sorted.begin(), sorted.end());
    if (by_rank_) {
      const size_t rank = (size_t)std::ceil((double)i * (double)sorted.size() / search_.steps - 1e-9);
      return sorted[std::max<size_t>(rank, 1) - 1];
    }
    const float lo = std::min(0.0f, *std::min_element(group.x.begin(), group.x.end()));
    const float hi = std::max(0.0f, *std::max_element(group.x.begin(), group.x.end()));
    const float whole = scheme_.zero_point ? (float)((double)hi - lo) : sorted.back();
    return i == search_.steps ? whole : (float)((double)(float)((double)whole / search_.steps) * i);
  }

  float scale_from(float statistic) const {
    if (scheme_.zero_point) return std::max((float)(statistic / levels()), std::numeric_limits<float>::min());
    return Model(scheme_, {1}, {statistic}).scales[0];
  }

  mfq_scheme scheme_;
  oracle::Grid grid_;
  mfq_search search_;
  bool by_rank_;
};

/* Runs of E2M1 elements between 4 and 8 whose losses under the scales 1 and 2 are equal but for the roundings of the
 * sums. With weights: of each pair 7.5 loses 2.25 and 0.25, and 1.5, which weighs 8 times as much, 0 and 0.25. Without:
 * 7 + f loses (1 + f)^2 and (1 - f)^2, 0.5 + d loses d^2 and (0.5 - d)^2, and 4 f is 0.25 - d. */
struct NearTies {
  std::vector<float> x, weight;

  NearTies(size_t runs, size_t length, uint32_t seed, bool has_weights = true) {
    std::mt19937 generator(seed);
    for (size_t r = 0; r < runs; ++r) {
      std::vector<std::pair<float, float>> run;
      for (size_t i = 0; i < length / 2; ++i) {
        const float size = std::ldexp((float)(generator() | 1u), -32),
                    d = std::ldexp((float)(generator() % 65535 + 1), -18);
        run.push_back(has_weights ? std::make_pair(7.5f, size) : std::make_pair(7 + (0.25f - d) / 4, 1.0f));
        run.push_back(has_weights ? std::make_pair(1.5f, 8 * size) : std::make_pair(0.5f + d, 1.0f));
      }
      std::shuffle(run.begin(), run.end(), generator);
      for (const auto &element : run) {
        x.push_back(element.first);
        weight.push_back(element.second);
      }
    }
  }

  /* Whether the larger scale is the better one, for elements first ... first + length - 1. */
  bool prefers_two(size_t first, size_t length) const {
    std::vector<float> one, two;
    for (size_t i = first; i < first + length; ++i) {
      const float small = x[i] > 6       ? 6.0f
                          : x[i] == 1.5f ? 1.5f
                                         : 0.5f,
                  large = x[i] > 6       ? 8.0f
                          : x[i] == 1.5f ? 2.0f
                                         : 1.0f;
      one.push_back((x[i] - small) * (x[i] - small) * weight[i]);
      two.push_back((x[i] - large) * (x[i] - large) * weight[i]);
    }
    return tree_of(two) < tree_of(one);
  }
};

} // namespace mfq_test

#endif
