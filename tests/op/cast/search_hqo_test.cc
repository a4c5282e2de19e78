// Half-quadratic scales of integers against the steps in double.
#include "support/operand.h"
#include "support/search.h"

namespace {

using namespace mfq_test;

/* Normal values, a few of them far out. */
std::vector<float> weights(size_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float &v : x) v = normal(generator) * (generator() % 32 == 0 ? 3.0f : 1.0f);
  return x;
}

double error_of(const std::vector<float> &x, const std::vector<float> &y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += std::fabs((double)x[i] - y[i]);
  return sum;
}

/* Symmetric integers up to `highest` in runs of `length`. */
struct Steps {
  size_t length;
  double highest;

  double rounded(double x, double scale) const {
    return std::max(-highest, std::min(highest, std::nearbyint((double)(float)(x / scale))));
  }
  double error(const std::vector<float> &x, const std::vector<double> &scales) const {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double s = scales[i / length];
      sum += std::fabs(x[i] - rounded(x[i], s) * s);
    }
    return sum;
  }
  std::vector<double> next(const std::vector<float> &x, const std::vector<double> &scales, double beta) const {
    std::vector<double> found;
    for (size_t g = 0; g * length < x.size(); ++g) {
      std::vector<double> quotients;
      for (size_t i = g * length; i < (g + 1) * length; ++i) {
        const double n = rounded(x[i], scales[g]), error = x[i] - n * scales[g];
        const double left = std::max(0.0, std::fabs(error) - std::pow(std::fabs(error), -0.3) / beta);
        const double kept = x[i] - (error == 0 ? 0 : std::copysign(left, error));
        if (kept != 0 && n != 0) quotients.push_back(kept / n);
      }
      std::sort(quotients.begin(), quotients.end());
      found.push_back(quotients[(quotients.size() - 1) / 2]);
    }
    return found;
  }
  std::vector<double> find(const std::vector<float> &x, int steps) const {
    std::vector<double> now, best;
    for (size_t g = 0; g * length < x.size(); ++g) {
      float absmax = 0;
      for (size_t i = g * length; i < (g + 1) * length; ++i) absmax = std::max(absmax, std::fabs(x[i]));
      now.push_back((float)(absmax / highest));
    }
    double least = std::numeric_limits<double>::infinity(), beta = 1e5;
    for (int k = 0; k < steps && error(x, now) < least; ++k, beta *= 1.01) {
      least = error(x, now);
      best = now;
      now = next(x, now, beta);
    }
    return best;
  }
};

TEST(SearchHqo, TakesTheStepsOfBrevitas) {
  const struct {
    const char *scheme;
    Shape shape;
    Steps steps;
  } cases[] = {{"int4n/group:64/f32", {20, 128}, {64, 7}},
               {"int3n/channel@0/f32", {8, 500}, {500, 3}},
               {"int4n/tensor/f32", {5, 301}, {1505, 7}}};
  const Context context = make_context(nullptr, 3), alone = make_context("reference", 1);
  for (const auto &c : cases)
    for (const int steps : {1, 2, 3}) {
      SCOPED_TRACE(std::string(c.scheme) + ", steps: " + std::to_string(steps));
      const std::vector<float> x = weights(count_of(c.shape), 5);
      const mfq_tensor src = dense(x, c.shape);
      Quantized t(parse(c.scheme), c.shape), again(parse(c.scheme), c.shape);
      mfq_search search = search_of(MFQ_SEARCH_HQO, &src, &t);
      search.steps = search.first = search.last = steps;
      ASSERT_EQ(mfq_search_scales(context.get(), &search), MFQ_OK) << mfq_last_error();
      const std::vector<double> want = c.steps.find(x, steps);
      const std::vector<float> got = expanded_scales(context.get(), t, scale_shape(t));
      ASSERT_EQ(got.size(), want.size());
      for (size_t g = 0; g < got.size(); ++g) EXPECT_NEAR(got[g] / want[g], 1, 1e-6) << "scale " << g;
      search.q = &again.q;
      ASSERT_EQ(mfq_search_scales(alone.get(), &search), MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(again.same_bytes(t)) << "any number of threads";
    }
}

/* Unsigned integers up to `highest` in runs of `length`, with zero points that are no integers. */
struct ZeroSteps {
  size_t length;
  double highest;

  /* Of an element: its value, and what it gives to the next zero point. */
  static double value(double x, double scale, double zero, double highest) {
    const double sum = (double)(float)((double)(float)(x / scale) + zero);
    return (std::max(0.0, std::min(highest, std::nearbyint(sum))) - zero) * scale;
  }
  double error(const std::vector<float> &x, const std::vector<double> &scales, const std::vector<double> &lows) const {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double s = scales[i / length], zero = -lows[i / length] / s;
      sum += std::fabs(x[i] - value(x[i], s, zero, highest));
    }
    return sum;
  }
  std::vector<double> find(const std::vector<float> &x, const std::vector<double> &scales, int steps) const {
    std::vector<double> now, best;
    for (size_t g = 0; g * length < x.size(); ++g)
      now.push_back(std::min(0.0f, *std::min_element(&x[g * length], &x[g * length] + length)));
    double least = std::numeric_limits<double>::infinity(), beta = 1;
    for (int k = 0; k < steps && error(x, scales, now) < least; ++k, beta *= 1.01) {
      least = error(x, scales, now);
      best = now;
      for (size_t g = 0; g < now.size(); ++g) {
        double sum = 0;
        for (size_t i = g * length; i < (g + 1) * length; ++i) {
          const double zero = -best[g] / scales[g], y = value(x[i], scales[g], zero, highest), z = x[i] - y;
          const double left = z == 0 ? 0 : std::max(0.0, std::fabs(z) - 1 / std::sqrt(std::fabs(z)) / beta);
          sum += x[i] - std::copysign(left, z) - (y / scales[g] + zero) * scales[g];
        }
        now[g] = sum / (double)length;
      }
    }
    for (size_t g = 0; g < best.size(); ++g) best[g] = -best[g] / scales[g];
    return best;
  }
};

TEST(SearchHqo, TakesTheStepsOfZeroPoints) {
  const struct {
    const char *scheme;
    Shape shape;
    ZeroSteps steps;
  } cases[] = {{"uint4/group:64/f32/zpf", {20, 128}, {64, 15}},
               {"uint3/channel@0/f32/zpf", {8, 500}, {500, 7}},
               {"uint4/tensor/f32/zpf", {5, 301}, {1505, 15}}};
  const Context context = make_context(nullptr, 3), alone = make_context("reference", 1);
  for (const auto &c : cases)
    for (const int steps : {1, 2, 9}) {
      SCOPED_TRACE(std::string(c.scheme) + ", steps: " + std::to_string(steps));
      std::vector<float> x = weights(count_of(c.shape), 5);
      for (size_t i = 0; i < x.size(); ++i) x[i] += 0.5f;
      const mfq_tensor src = dense(x, c.shape);
      Quantized t(parse(c.scheme), c.shape), again(parse(c.scheme), c.shape), plain(parse(c.scheme), c.shape);
      mfq_search search = search_of(MFQ_SEARCH_HQO_ZERO, &src, &t);
      search.steps = search.first = search.last = steps;
      ASSERT_EQ(mfq_search_scales(context.get(), &search), MFQ_OK) << mfq_last_error();
      quantize(context.get(), x, &plain);
      EXPECT_EQ(t.scales, plain.scales) << "the rule's";
      const std::vector<float> scales = expanded_scales(context.get(), t, scale_shape(t));
      const std::vector<double> want = c.steps.find(x, std::vector<double>(scales.begin(), scales.end()), steps);
      const std::vector<float> got = expanded_zero_points(context.get(), t, scale_shape(t));
      ASSERT_EQ(got.size(), want.size());
      for (size_t g = 0; g < got.size(); ++g) EXPECT_NEAR(got[g], want[g], 1e-5) << "zero point " << g;
      search.q = &again.q;
      ASSERT_EQ(mfq_search_scales(alone.get(), &search), MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(again.same_bytes(t)) << "any number of threads";
      if (steps < 9) continue;
      EXPECT_LT(error_of(x, dequantized(context.get(), t)), error_of(x, dequantized(context.get(), plain)));
    }
}

TEST(SearchHqo, ErrsLessThanTheRule) {
  const Context context = make_context();
  for (const char *text : {"int4_group32", "int4_group32_zp", "int8_channel", "int4n/tensor/f32", "int4/group:32/bf16",
                           "brevitas:IntWeightSymmetricGroupQuant/int4n", "uint4/group:32/f32/zpf",
                           "int4n/group:16/ue4m3", "int4n/group:32/f32/hadamard:16"}) {
    SCOPED_TRACE(text);
    std::vector<float> x = weights(16 * 96, 2);
    for (size_t i = 0; i < 96; ++i) x[i] = 0; /* rows without a choice */
    Quantized plain(parse(text), {16, 96}), found(parse(text), {16, 96});
    quantize(context.get(), x, &plain);
    for (const mfq_search_method method : {MFQ_SEARCH_HQO, MFQ_SEARCH_HQO_ZERO}) {
      if (method == MFQ_SEARCH_HQO_ZERO && parse(text).zero_point == 0) continue;
      searched(context.get(), method, x, &found);
      const double before = error_of(x, dequantized(context.get(), plain));
      const double after = error_of(x, dequantized(context.get(), found));
      EXPECT_LE(after, before * (parse(text).rotation != 0 ? 1.01 : 1 + 1e-6)); /* rotated ones are compared rotated */
      if (parse(text).granularity == MFQ_GRANULARITY_GROUP) EXPECT_EQ(plain.scales[0], found.scales[0]);
    }
  }
}

} // namespace
