/* bench/common/random_input.c: normal random numbers by index: SplitMix64 and the Box-Muller transform. */
#include <math.h>
#include <string.h>

#include "bench.h"

static uint64_t splitmix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* Two numbers from one word. */
static void normal_pair(uint64_t word, float pair[2]) {
  const double u = ((double)(word >> 32) + 0.5) * 0x1p-32, v = ((double)(word & 0xffffffffu) + 0.5) * 0x1p-32;
  const double radius = sqrt(-2.0 * log(u)), angle = 6.283185307179586 * v;
  pair[0] = (float)(radius * cos(angle));
  pair[1] = (float)(radius * sin(angle));
}

/* Rounds toward zero; what is below the normal numbers becomes 0. For inputs, not for results. */
static uint16_t narrow(float x, mfq_dtype dtype) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  if (dtype == MFQ_DTYPE_BF16) return (uint16_t)(u >> 16);
  const uint32_t magnitude = u & 0x7fffffffu, least = 113u << 23;
  return (uint16_t)((u >> 16 & 0x8000u) | (magnitude < least ? 0 : (magnitude - (112u << 23)) >> 13));
}

static void store(void *data, mfq_dtype dtype, int64_t index, float x) {
  if (dtype == MFQ_DTYPE_F32)
    ((float *)data)[index] = x;
  else
    ((uint16_t *)data)[index] = narrow(x, dtype);
}

void bench_fill_normal(void *data, mfq_dtype dtype, int64_t count, uint64_t seed, int threads) {
  const uint64_t key = splitmix64(seed);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < (count + 1) / 2; ++i) {
    float pair[2];
    normal_pair(splitmix64(key + (uint64_t)i), pair);
    store(data, dtype, 2 * i, pair[0]);
    if (2 * i + 1 < count) store(data, dtype, 2 * i + 1, pair[1]);
  }
}
