/* tests/support/rotation.h: Hadamard rotations from their definition: the matrix in double, and the float32 sums of each
 * element by itself, as a tree. */
#ifndef MFQ_TESTS_SUPPORT_ROTATION_H
#define MFQ_TESTS_SUPPORT_ROTATION_H

#include <cmath>
#include <vector>

#include "model.h"
#include "philox.h"

namespace mfq_test {

/* The signs of a scheme's rotation, 1 or -1. */
inline std::vector<float> rotation_signs(const mfq_scheme &s) {
  static const float fixed[] = {1, 1, 1, -1, 1, -1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1};
  const uint32_t ones = 0xffffffff;
  const Block random = philox({ones, ones, ones, ones}, {(uint32_t)s.sign_seed, (uint32_t)(s.sign_seed >> 32)});
  std::vector<float> signs;
  for (size_t k = 0; k < (size_t)s.rotation; ++k) {
    if (s.signs == MFQ_SIGNS_NONE) signs.push_back(1);
    if (s.signs == MFQ_SIGNS_FIXED) signs.push_back(fixed[k % 16]);
    if (s.signs == MFQ_SIGNS_SEEDED) signs.push_back(random[k / 32] >> k % 32 & 1 ? -1.0f : 1.0f);
  }
  return signs;
}

/* Row i of the matrix times x: signs by the parity of common bits. */
inline double hadamard_row(const std::vector<double> &x, size_t i) {
  double sum = 0;
  for (size_t j = 0; j < x.size(); ++j) sum += __builtin_parityll(i & j) ? -x[j] : x[j];
  return sum / std::sqrt((double)x.size());
}

/* What strides 1, 2, 4, ... make of element i: the sum or difference of two halves, each of which is made likewise. */
inline float butterfly_sum(const float *x, size_t n, size_t i) {
  if (n == 1) return x[0];
  const float a = butterfly_sum(x, n / 2, i), b = butterfly_sum(x + n / 2, n / 2, i);
  return i & n / 2 ? a - b : a + b;
}

inline std::vector<float> rotated_run(const mfq_scheme &s, std::vector<float> x, bool is_inverse) {
  const std::vector<float> signs = rotation_signs(s);
  const float factor = (float)(1 / std::sqrt((double)x.size()));
  std::vector<float> y;
  for (size_t k = 0; k < x.size() && !is_inverse; ++k) x[k] *= signs[k];
  for (size_t k = 0; k < x.size(); ++k)
    y.push_back(butterfly_sum(x.data(), x.size(), k) * factor * (is_inverse ? signs[k] : 1));
  return y;
}

/* A row-major tensor, rotated along the scheme's axis; or back. */
inline std::vector<float> rotated(const mfq_scheme &s, const Shape &shape, const std::vector<float> &x,
                                  bool is_inverse = false) {
  const size_t rank = shape.size(), n = (size_t)s.rotation;
  const size_t axis = s.axis == MFQ_AXIS_AUTO ? rank - 1 : (size_t)(s.axis < 0 ? s.axis + (int)rank : s.axis);
  const Shape strides = dense_strides(shape);
  const size_t step = (size_t)strides[axis];
  std::vector<float> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    if (i / step % n != 0) continue; /* lengths are multiples of n */
    std::vector<float> run;
    for (size_t k = 0; k < n; ++k) run.push_back(x[i + k * step]);
    run = rotated_run(s, run, is_inverse);
    for (size_t k = 0; k < n; ++k) y[i + k * step] = run[k];
  }
  return y;
}
inline std::vector<float> rotated_back(const mfq_scheme &s, const Shape &shape, const std::vector<float> &x) {
  return rotated(s, shape, x, true);
}

inline mfq_scheme unrotated(mfq_scheme s) {
  s.rotation = 0;
  s.signs = MFQ_SIGNS_NONE;
  s.sign_seed = 0;
  return s;
}

} // namespace mfq_test

#endif
