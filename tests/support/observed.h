/* tests/support/observed.h: statistics by sorting and by sums in double, and observing as a function. */
#ifndef MFQ_TESTS_SUPPORT_OBSERVED_H
#define MFQ_TESTS_SUPPORT_OBSERVED_H

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "operand.h"

namespace mfq_test {

inline mfq_observer observer_of(const std::string &text) {
  mfq_observer observer{};
  EXPECT_EQ(mfq_observer_parse(text.c_str(), &observer), MFQ_OK) << mfq_last_error();
  return observer;
}

/* One of each, with several arguments. */
const char *const kObservers[] = {"absmax",
                                  "minmax",
                                  "low",
                                  "percentile:99.999",
                                  "percentile:50",
                                  "percentile:0",
                                  "mean",
                                  "sigma:3",
                                  "interval:5:95",
                                  "interval:0:100",
                                  "rowmax_mean@-1",
                                  "rowmax_l2",
                                  "l1",
                                  "l2",
                                  "low_percentile:3",
                                  "percentile:100",
                                  "rowmax_mean",
                                  "rowmax_l2@-1"};

/* A plain tensor as the oracle sees it: its values in row-major order. */
struct Observed {
  Shape shape;
  std::vector<float> x;
};

inline Observed values_of(const Operand &o) {
  Observed v{o.shape, {}};
  const size_t size = mfq_dtype_bytes(o.dtype);
  for (size_t i = 0; i < count_of(o.shape); ++i) v.x.push_back((float)value_in(o.dtype, &o.bytes[o.place(i) * size]));
  return v;
}

/* The scale of the element with these indices, row-major in the scale shape. */
inline size_t scale_of(const mfq_scheme &s, const Shape &shape, const Shape &at) {
  const int64_t rank = (int64_t)shape.size();
  if (s.granularity == MFQ_GRANULARITY_TENSOR || rank == 0) return 0;
  const int64_t usual = s.granularity == MFQ_GRANULARITY_CHANNEL ? 0 : rank - 1;
  const int64_t axis = s.axis == MFQ_AXIS_AUTO ? usual : s.axis < 0 ? s.axis + rank : s.axis;
  size_t scale = 0;
  for (int64_t d = 0; d < rank; ++d) {
    int64_t run = 1;
    if (s.granularity == MFQ_GRANULARITY_CHANNEL && d != axis) continue;
    if (s.granularity == MFQ_GRANULARITY_GROUP && d == axis) run = s.group_size;
    if (s.granularity == MFQ_GRANULARITY_BLOCK && d == rank - 1) run = s.block_cols;
    if (s.granularity == MFQ_GRANULARITY_BLOCK && d == rank - 2) run = s.block_rows;
    scale = scale * (size_t)((shape[d] + run - 1) / run) + (size_t)(at[d] / run);
  }
  return scale;
}

/* What the oracle says of a scale: the value, and how far float32 sums may be from it. */
struct Expected {
  double value, error;
};

/* The elements of a scale, and the row that each belongs to, of all tensors in turn. */
struct Elements {
  std::vector<double> x;
  std::vector<int64_t> row;
};

inline std::vector<Elements> elements_of(const mfq_scheme &s, const std::vector<Observed> &sources, int32_t axis,
                                         size_t scales) {
  std::vector<Elements> all(scales);
  int64_t before = 0;
  for (const Observed &v : sources) {
    const int64_t rank = (int64_t)v.shape.size(), r = axis < 0 ? axis + rank : axis;
    Shape at(v.shape.size(), 0);
    for (const float x : v.x) {
      Elements &e = all[scale_of(s, v.shape, at)];
      e.x.push_back((double)x);
      e.row.push_back(before + (rank == 0 ? 0 : at[(size_t)r]));
      for (size_t d = at.size(); d-- > 0;) {
        if (++at[d] < v.shape[d]) break;
        at[d] = 0;
      }
    }
    before += rank == 0 ? 1 : v.shape[(size_t)r];
  }
  return all;
}

/* The k-th smallest, counted from 1. */
inline double ranked(std::vector<double> x, double k) {
  k = std::min(std::max(k, 1.0), (double)x.size());
  std::sort(x.begin(), x.end());
  return x[(size_t)k - 1];
}

inline Expected expected_sum(const mfq_observer &o, const std::vector<double> &a) {
  const double n = (double)a.size(), u = std::ldexp(std::log2(n) + 8, -24);
  auto root =
      [&](double squares,
          double by) { /* squares are float32: they overflow, and vanish below 2^-149 */
                       if (squares > FLT_MAX) return Expected{HUGE_VAL, 0};
                       return Expected{std::sqrt(squares / by), u * std::sqrt(squares / by) + std::sqrt(n * 0x1p-149)};
      };
  double sum = 0, squares = 0, deviations = 0;
  for (const double v : a) sum += v, squares += v * v;
  for (const double v : a) deviations += (v - sum / n) * (v - sum / n);
  const bool has_sum = o.observed != MFQ_OBSERVED_L2 && o.observed != MFQ_OBSERVED_ROWMAX_L2;
  const bool is_nan = o.observed == MFQ_OBSERVED_SIGMA && std::isinf(sum); /* infinity less the mean */
  if (has_sum && sum > FLT_MAX) return {is_nan ? (double)NAN : HUGE_VAL, 0};
  switch (o.observed) {
    case MFQ_OBSERVED_MEAN:
    case MFQ_OBSERVED_ROWMAX_MEAN: return {sum / n, u * sum / n};
    case MFQ_OBSERVED_L1: return {sum, u * sum};
    case MFQ_OBSERVED_L2: return root(squares, 1);
    case MFQ_OBSERVED_ROWMAX_L2: return root(squares, n);
    default: break;
  }
  if (deviations > FLT_MAX) return {HUGE_VAL, 0};
  const double sigma = o.argument[0] * std::sqrt(deviations / std::max(n - 1, 1.0) + 1e-8);
  return {sum / n + sigma, u * (sum / n + sigma) * 4};
}

inline Expected expected_of(const mfq_scheme &s, const mfq_observer &o, const Elements &e, bool is_padded) {
  if (e.x.empty()) return {0, 0};
  for (const double v : e.x)
    if (std::isnan(v)) return {v, 0};
  std::vector<double> x = e.x, a;
  for (const double v : x) a.push_back(std::fabs(v));
  const double n = (double)x.size(), p = o.argument[0];
  const bool lifts = s.zero_point && s.arith == MFQ_ARITH_EXACT;
  auto width = [&](double low, double high) {
    if (lifts && high < 0) high = 0;
    return std::fabs((double)((float)high - (float)std::min(low, 0.0)));
  };
  switch (o.observed) {
    case MFQ_OBSERVED_PERCENTILE: return {ranked(a, std::floor(0.01 * p * n + 0.5)), 0};
    case MFQ_OBSERVED_LOW_PERCENTILE: return {std::min(ranked(x, std::ceil(0.01 * p * n)), 0.0), 0};
    case MFQ_OBSERVED_INTERVAL:
      return {width(ranked(x, std::ceil(0.01 * p * n)), ranked(x, std::floor(0.01 * o.argument[1] * n + 0.5))), 0};
    case MFQ_OBSERVED_ABSMAX: return {*std::max_element(a.begin(), a.end()), 0};
    case MFQ_OBSERVED_LOW: return {std::min(*std::min_element(x.begin(), x.end()), 0.0), 0};
    case MFQ_OBSERVED_MINMAX:
      if (is_padded) x.push_back(0); /* Brevitas' padding */
      if (std::isinf(*std::max_element(a.begin(), a.end()))) return {HUGE_VAL, 0};
      return {width(*std::min_element(x.begin(), x.end()), *std::max_element(x.begin(), x.end())), 0};
    default: break;
  }
  if (o.observed != MFQ_OBSERVED_ROWMAX_MEAN && o.observed != MFQ_OBSERVED_ROWMAX_L2) return expected_sum(o, a);
  std::map<int64_t, double> rows;
  for (size_t i = 0; i < a.size(); ++i) rows[e.row[i]] = std::max(rows[e.row[i]], a[i]);
  a.clear();
  for (const auto &row : rows) a.push_back(row.second);
  return expected_sum(o, a);
}

/* mfq_observe into memory of its own. */
inline std::vector<float> observed(mfq_context *context, const mfq_scheme &scheme, const mfq_observer &observer,
                                   const std::vector<mfq_tensor> &sources, uint64_t *nans = nullptr) {
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  EXPECT_EQ(mfq_qtensor_init(&scheme, sources[0].rank, sources[0].shape, nullptr, &q), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_qtensor_sizes_get(&q, &sizes), MFQ_OK) << mfq_last_error();
  std::vector<float> values((size_t)sizes.scale_count, kUnwritten);
  const mfq_tensor to = dense(values, Shape(sizes.scale_shape, sizes.scale_shape + sizes.scale_rank));
  mfq_observation o;
  mfq_observation_init(&o);
  o.scheme = &scheme;
  o.observer = &observer;
  o.sources = sources.data();
  o.count = (int32_t)sources.size();
  o.values = &to;
  o.nans = nans;
  EXPECT_EQ(mfq_observe(context, &o), MFQ_OK) << mfq_last_error();
  return values;
}

} // namespace mfq_test

#endif
