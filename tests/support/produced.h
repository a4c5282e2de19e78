/* tests/support/produced.h: what stands between products, in double, from the formulas of docs/numerics.md: each value with
 * the size that its error is measured by, the sum of the magnitudes that it is made of. */
#ifndef MFQ_TESTS_SUPPORT_PRODUCED_H
#define MFQ_TESTS_SUPPORT_PRODUCED_H

#include <cmath>
#include <functional>
#include <limits>

#include "indexed.h"

namespace mfq_test {

/* Rows of numbers. */
struct Matrix {
  size_t rows = 0, cols = 0;
  std::vector<double> numbers;
  Matrix() = default;
  Matrix(size_t r, size_t c, double x = 0.0) : rows(r), cols(c), numbers(r * c, x) {}
  double &at(size_t i, size_t j) { return numbers[i * cols + j]; }
  double at(size_t i, size_t j) const { return numbers[i * cols + j]; }
};

/* The numbers of a tensor; its last axis are the columns. */
inline Matrix matrix_of(const Operand &t) {
  const size_t cols = (size_t)t.shape.back(), count = count_of(t.shape);
  Matrix m(cols > 0 ? count / cols : 0, cols);
  for (size_t i = 0; i < count; ++i) m.numbers[i] = number_at(t, i);
  return m;
}

/* What is expected: values, and the sizes of their errors. */
struct Expected {
  Matrix value, size;
  Expected() = default;
  Expected(size_t rows, size_t cols) : value(rows, cols), size(rows, cols) {}
  void put(size_t i, size_t j, double v, double s) {
    value.at(i, j) = v;
    size.at(i, j) = s;
  }
};

/* Roundings that a term goes through at most: those of `terms` terms that are summed by a tree, and `others`; each is half a
 * unit in the last place, 2^-24 of the size. */
inline double roundings(size_t terms, double others) { return std::ceil(std::log2((double)terms + 1)) + others; }

/* Compares float32 results with what is expected, within so many roundings. */
inline void expect_close(const Operand &got, const Expected &want, double steps) {
  ASSERT_EQ(count_of(got.shape), want.value.numbers.size());
  for (size_t i = 0; i < want.value.numbers.size(); ++i) {
    const double g = number_at(got, i), w = want.value.numbers[i];
    const double allowed = steps * 0x1p-24 * want.size.numbers[i] + 0x1p-148;
    if (std::isnan(w) ? std::isnan(g) : g == w || std::fabs(g - w) <= allowed) continue;
    FAIL() << "element " << i << " of " << want.value.numbers.size() << " is " << g << ", expected " << w << " within "
           << allowed;
  }
}

/* ---- Norms ------------------------------------------------------------------------------------------------------- */

struct NormOracle {
  bool is_layer;
  double epsilon;
  std::vector<double> gain, shift; /* empty: 1, 0 */
  double gain_at(size_t j) const { return gain.empty() ? 1.0 : gain[j]; }
  double shift_at(size_t j) const { return shift.empty() ? 0.0 : shift[j]; }

  double mean(const Matrix &h, size_t i) const {
    double sum = 0;
    for (size_t j = 0; is_layer && j < h.cols; ++j) sum += h.at(i, j);
    return is_layer ? sum / (double)h.cols : 0.0;
  }
  double scale(const Matrix &h, size_t i) const {
    double sum = 0;
    const double m = mean(h, i);
    for (size_t j = 0; j < h.cols; ++j) sum += (h.at(i, j) - m) * (h.at(i, j) - m);
    return 1.0 / std::sqrt(sum / (double)h.cols + epsilon);
  }
  static double largest(const Matrix &h, size_t i) {
    double most = 0;
    for (size_t j = 0; j < h.cols; ++j) most = std::max(most, std::fabs(h.at(i, j)));
    return most;
  }
  Expected forward(const Matrix &h) const {
    Expected y(h.rows, h.cols);
    for (size_t i = 0; i < h.rows; ++i) {
      const double m = mean(h, i), s = scale(h, i), most = is_layer ? largest(h, i) : 0.0;
      for (size_t j = 0; j < h.cols; ++j) {
        const double n = (h.at(i, j) - m) * s, size = std::fabs(n) + most * s * (1 + std::fabs(n));
        y.put(i, j, n * gain_at(j) + shift_at(j), size * std::fabs(gain_at(j)) + std::fabs(shift_at(j)));
      }
    }
    return y;
  }
  /* With mean and scale as they were kept, which are inputs like any other. */
  Expected backward(const Matrix &dy, const Matrix &h, const Matrix &kept, const Matrix *dresidual) const {
    Expected dx(h.rows, h.cols);
    for (size_t i = 0; i < h.rows; ++i) {
      const double m = kept.at(i, 0), s = kept.at(i, 1), d = (double)h.cols;
      double along = 0, all = 0, along_size = 0, all_size = 0;
      for (size_t j = 0; j < h.cols; ++j) {
        const double g = dy.at(i, j) * gain_at(j), n = (h.at(i, j) - m) * s;
        along += g * n / d;
        all += is_layer ? g / d : 0.0;
        along_size += std::fabs(g * n) / d;
        all_size += is_layer ? std::fabs(g) / d : 0.0;
      }
      for (size_t j = 0; j < h.cols; ++j) {
        const double g = dy.at(i, j) * gain_at(j), n = (h.at(i, j) - m) * s;
        const double r = dresidual != nullptr ? dresidual->at(i, j) : 0.0;
        const double size = (std::fabs(g) + all_size + std::fabs(n) * along_size) * s + std::fabs(r);
        dx.put(i, j, ((g - all) - n * along) * s + r, size);
      }
    }
    return dx;
  }
  /* dgain, or dshift. */
  Expected columns(const Matrix &dy, const Matrix &h, const Matrix &kept, bool is_shift) const {
    Expected sums(1, h.cols);
    for (size_t j = 0; j < h.cols; ++j)
      for (size_t i = 0; i < h.rows; ++i) {
        const double n = is_shift ? 1.0 : (h.at(i, j) - kept.at(i, 0)) * kept.at(i, 1);
        sums.value.at(0, j) += dy.at(i, j) * n;
        sums.size.at(0, j) += std::fabs(dy.at(i, j) * n);
      }
    return sums;
  }
};

/* ---- Activations ------------------------------------------------------------------------------------------------- */

struct ActivationOracle {
  mfq_activation activation;
  mfq_gate gate;
  double limit, slope, offset;

  double value(double x) const {
    const double c = std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x);
    switch (activation) {
      case MFQ_ACTIVATION_RELU: return std::isnan(x) ? x : std::max(x, 0.0);
      case MFQ_ACTIVATION_GELU: return x == -HUGE_VAL ? 0.0 : 0.5 * x * std::erfc(-x / std::sqrt(2.0));
      case MFQ_ACTIVATION_GELU_TANH: return x == -HUGE_VAL ? 0.0 : x / (1 + std::exp(-2 * c));
      case MFQ_ACTIVATION_SILU: return x == -HUGE_VAL ? 0.0 : x / (1 + std::exp(-slope * x));
      default: return x;
    }
  }
  double derivative(double x) const {
    const double k = 2 * std::sqrt(2.0 / M_PI), w = k * (x + 0.044715 * x * x * x), dw = k * (1 + 3 * 0.044715 * x * x);
    if (activation != MFQ_ACTIVATION_NONE && std::isinf(x)) return x > 0 ? 1.0 : 0.0;
    const double z = activation == MFQ_ACTIVATION_SILU ? slope * x : w;
    const double s = 1 / (1 + std::exp(-z)), rest = 1 / (1 + std::exp(z));
    switch (activation) {
      case MFQ_ACTIVATION_RELU: return std::isnan(x) ? x : x > 0 ? 1.0 : 0.0;
      case MFQ_ACTIVATION_GELU:
        return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
      case MFQ_ACTIVATION_GELU_TANH: return s * (1 + (std::fabs(x) > 30 ? 0.0 : x * dw * rest));
      case MFQ_ACTIVATION_SILU: return s * (1 + z * rest);
      default: return 1.0;
    }
  }
  size_t gate_at(size_t j, size_t) const { return gate == MFQ_GATE_INTERLEAVED ? 2 * j : j; }
  size_t up_at(size_t j, size_t units) const { return gate == MFQ_GATE_INTERLEAVED ? 2 * j + 1 : j + units; }
  double limited_gate(double x) const { return limit > 0 && x > limit ? limit : x; }
  double limited_up(double x) const {
    return (limit > 0 && x > limit ? limit : limit > 0 && x < -limit ? -limit : x) + offset;
  }

  Expected forward(const Matrix &x) const {
    const size_t units = gate == MFQ_GATE_NONE ? x.cols : x.cols / 2;
    Expected y(x.rows, units);
    for (size_t i = 0; i < x.rows; ++i)
      for (size_t j = 0; j < units; ++j) {
        const double a = value(gate == MFQ_GATE_NONE ? x.at(i, j) : limited_gate(x.at(i, gate_at(j, units))));
        const double up = gate == MFQ_GATE_NONE ? 1.0 : limited_up(x.at(i, up_at(j, units)));
        y.put(i, j, a * up, std::fabs(a * up));
      }
    return y;
  }
  /* Derivatives have errors of a few 2^-24 even where they are 0. */
  Expected backward(const Matrix &x, const Matrix &dy) const {
    Expected dx(x.rows, x.cols);
    for (size_t i = 0; i < x.rows; ++i)
      for (size_t j = 0; j < dy.cols; ++j) {
        const double d = dy.at(i, j);
        if (gate == MFQ_GATE_NONE) {
          const double slope_there = derivative(x.at(i, j));
          dx.put(i, j, d * slope_there, std::fabs(d) * (std::fabs(slope_there) + 1));
          continue;
        }
        const size_t at_gate = gate_at(j, dy.cols), at_up = up_at(j, dy.cols);
        const double g = x.at(i, at_gate), u = x.at(i, at_up), through = d * limited_up(u);
        const bool is_cut = limit > 0 && g > limit, is_cut_up = limit > 0 && std::fabs(u) > limit;
        const double dup = d * value(limited_gate(g)), slope_there = derivative(limited_gate(g));
        dx.put(i, at_gate, is_cut ? 0.0 : through * slope_there, std::fabs(through) * (std::fabs(slope_there) + 1));
        dx.put(i, at_up, is_cut_up ? 0.0 : dup, std::fabs(dup));
      }
    return dx;
  }
};

/* ---- Softmax and loss -------------------------------------------------------------------------------------------- */

struct SoftmaxOracle {
  double scale;
  size_t queries; /* causal: rows of a matrix of scores; 0: everything is in */

  size_t count(size_t row, size_t cols) const {
    if (queries == 0) return cols;
    const int64_t last = (int64_t)(row % queries) + (int64_t)cols - (int64_t)queries;
    return last < 0 ? 0 : std::min((size_t)last + 1, cols);
  }
  Expected forward(const Matrix &x) const {
    Expected y(x.rows, x.cols);
    for (size_t i = 0; i < x.rows; ++i) {
      double most = -HUGE_VAL, sum = 0, size = 0;
      for (size_t j = 0; j < count(i, x.cols); ++j) {
        most = std::max(most, scale * x.at(i, j));
        size = std::max(size, std::fabs(scale * x.at(i, j)));
      }
      for (size_t j = 0; j < count(i, x.cols); ++j) sum += std::exp(scale * x.at(i, j) - most);
      for (size_t j = 0; j < count(i, x.cols); ++j) {
        const double p = std::exp(scale * x.at(i, j) - most) / sum;
        y.put(i, j, p, p * (1 + size)); /* scale * x is rounded, and so is the distance */
      }
    }
    return y;
  }
  Expected backward(const Matrix &y, const Matrix &dy) const {
    Expected dx(y.rows, y.cols);
    for (size_t i = 0; i < y.rows; ++i) {
      double dot = 0, size = 0;
      for (size_t j = 0; j < y.cols; ++j) {
        dot += y.at(i, j) == 0 ? 0.0 : y.at(i, j) * dy.at(i, j);
        size += y.at(i, j) == 0 ? 0.0 : std::fabs(y.at(i, j) * dy.at(i, j));
      }
      for (size_t j = 0; j < y.cols; ++j)
        if (y.at(i, j) != 0)
          dx.put(i, j, scale * y.at(i, j) * (dy.at(i, j) - dot),
                 std::fabs(scale * y.at(i, j)) * (std::fabs(dy.at(i, j)) + size));
    }
    return dx;
  }
};

struct LossOracle {
  int64_t ignored;
  double smoothing, gradient_scale;

  /* The losses of rows. */
  Expected losses(const Matrix &x, const std::vector<int64_t> &targets) const {
    Expected y(x.rows, 1);
    for (size_t i = 0; i < x.rows; ++i) {
      if (targets[i] == ignored) continue;
      double most = -HUGE_VAL, sum = 0, mean = 0, size = 0;
      for (size_t j = 0; j < x.cols; ++j) most = std::max(most, x.at(i, j));
      for (size_t j = 0; j < x.cols; ++j) {
        sum += std::exp(x.at(i, j) - most);
        mean += (most - x.at(i, j)) / (double)x.cols;
        size = std::max(size, std::fabs(x.at(i, j)));
      }
      const double loss = std::log(sum) + (1 - smoothing) * (most - x.at(i, (size_t)targets[i]));
      y.put(i, 0, smoothing > 0 ? loss + smoothing * mean : loss, 1 + 2 * size);
    }
    return y;
  }
  double counted(const std::vector<int64_t> &targets) const {
    double n = 0;
    for (const int64_t t : targets) n += t != ignored ? 1 : 0;
    return n;
  }
  Expected gradient(const Matrix &x, const std::vector<int64_t> &targets) const {
    const SoftmaxOracle softmax = {1.0, 0};
    const Expected p = softmax.forward(x);
    Expected d(x.rows, x.cols);
    for (size_t i = 0; i < x.rows; ++i)
      for (size_t j = 0; targets[i] != ignored && j < x.cols; ++j) {
        const double wanted = (j == (size_t)targets[i] ? 1 - smoothing : 0.0) + smoothing / (double)x.cols;
        const double k = gradient_scale / counted(targets);
        d.put(i, j, (p.value.at(i, j) - wanted) * k, (p.size.at(i, j) + wanted) * std::fabs(k));
      }
    return d;
  }
};

/* ---- Finite differences ------------------------------------------------------------------------------------------ */

/* The gradient of a function of numbers at `x`, by central differences. */
inline std::vector<double> differences(std::vector<double> x,
                                       const std::function<double(const std::vector<double> &)> &f) {
  std::vector<double> gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double at = x[i], step = 1e-5;
    x[i] = at + step;
    const double above = f(x);
    x[i] = at - step;
    gradient[i] = (above - f(x)) / (2 * step);
    x[i] = at;
  }
  return gradient;
}

/* Numbers around 0, as float32 has them. */
inline std::vector<float> drawn_numbers(size_t n, uint32_t seed, float spread = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> x(n);
  for (float &v : x) v = normal(generator);
  return x;
}
inline Operand &fill_drawn(Operand *t, uint32_t seed, float spread = 1.0f) {
  const std::vector<float> x = drawn_numbers(t->count(), seed, spread);
  return t->fill([&](size_t i) { return bits_in(t->dtype, x[i]); });
}

/* Tensors that may be missing. */
inline const mfq_tensor *given(const mfq_tensor &t, bool is) { return is ? &t : nullptr; }

} // namespace mfq_test

#endif
