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
    searched(context.get(), MFQ_SEARCH_HQO, x, &found);
    const double before = error_of(x, dequantized(context.get(), plain));
    const double after = error_of(x, dequantized(context.get(), found));
    EXPECT_LE(after, before * (parse(text).rotation != 0 ? 1.01 : 1 + 1e-6)); /* rotated ones are compared rotated */
    if (parse(text).granularity == MFQ_GRANULARITY_GROUP) EXPECT_EQ(plain.scales[0], found.scales[0]);
  }
}

} // namespace
