/* examples/support/train_ops.c: ReLU, pooling, loss, Adam and random numbers. */
#include <math.h>
#include <string.h>

#include "train.h"

void train_relu(float *y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = y[i] > 0 ? y[i] : 0;
}

void train_relu_backward(const float *y, float *dy, size_t count) {
  for (size_t i = 0; i < count; ++i) dy[i] = y[i] > 0 ? dy[i] : 0;
}

void train_pool(const float *x, int planes, int side, float *y, int32_t *from) {
  const int half = side / 2;
  for (int i = 0; i < planes * half * half; ++i) {
    const int plane = i / (half * half), row = i / half % half, column = i % half;
    const int corner = (plane * side + 2 * row) * side + 2 * column;
    int best = corner;
    for (int k = 1; k < 4; ++k) {
      const int at = corner + k / 2 * side + k % 2;
      if (x[at] > x[best]) best = at;
    }
    y[i] = x[best];
    from[i] = best;
  }
}

void train_pool_backward(const float *dy, const int32_t *from, size_t count, float *dx, size_t dx_count) {
  memset(dx, 0, dx_count * sizeof *dx);
  for (size_t i = 0; i < count; ++i) dx[from[i]] = dy[i];
}

double train_loss(const float *logits, const int *labels, int rows, int classes, float *dlogits) {
  double loss = 0;
  for (int r = 0; r < rows; ++r) {
    const float *z = logits + r * classes;
    float *dz = dlogits + r * classes, top = z[0], sum = 0;
    for (int c = 1; c < classes; ++c) top = fmaxf(top, z[c]);
    for (int c = 0; c < classes; ++c) sum += dz[c] = expf(z[c] - top);
    for (int c = 0; c < classes; ++c) dz[c] = (dz[c] / sum - (c == labels[r] ? 1.0f : 0.0f)) / (float)rows;
    loss += log((double)sum) - (double)(z[labels[r]] - top);
  }
  return loss / rows;
}

void train_adam_step(const train_adam *adam, float rate, int64_t step) {
  const float keep_first = 0.9f, keep_second = 0.999f, epsilon = 1e-8f;
  const float first_gain = 1 / (1 - powf(keep_first, (float)step));
  const float second_gain = 1 / (1 - powf(keep_second, (float)step));
  float *restrict w = adam->parameters, *restrict first = adam->first, *restrict second = adam->second;
  const float *restrict g = adam->gradients;
  for (size_t i = 0; i < adam->count; ++i) {
    first[i] = keep_first * first[i] + (1 - keep_first) * g[i];
    second[i] = keep_second * second[i] + (1 - keep_second) * g[i] * g[i];
    w[i] -= rate * first_gain * first[i] / (sqrtf(second_gain * second[i]) + epsilon);
  }
}

uint64_t train_random(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

void train_fill_uniform(float *values, size_t count, float limit, uint64_t seed) {
  for (size_t i = 0; i < count; ++i) values[i] = limit * ((float)(train_random(&seed) >> 40) * 0x1p-23f - 1);
}

void train_shuffle(int *order, int count, uint64_t seed) {
  for (int i = 0; i < count; ++i) order[i] = i;
  for (int i = count - 1; i > 0; --i) {
    const int other = (int)(train_random(&seed) % (uint64_t)(i + 1)), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}
