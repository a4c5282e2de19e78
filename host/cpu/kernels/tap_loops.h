/* host/cpu/kernels/tap_loops.h: sums over taps with all channels side by side, in registers: of neighbouring pixels, which
 * share the weights, or of one. */
#ifndef MFQ_HOST_CPU_KERNELS_TAP_LOOPS_H
#define MFQ_HOST_CPU_KERNELS_TAP_LOOPS_H

#include "product_loops.h"

typedef uint16_t half_vector __attribute__((vector_size(VECTOR_BYTES / 2)));
typedef uint32_t word_vector __attribute__((vector_size(VECTOR_BYTES)));

INLINE vector elements_at(const uint8_t *x, int is_wide) {
  if (is_wide) return *(const loose_vector *)(const void *)x;
  half_vector halves;
  memcpy(&halves, x, sizeof halves);
  return (vector)(__builtin_convertvector(halves, word_vector) << 16);
}

/* `vectors` of channels of `pixels`, which are constants, so that the sums stay in registers. */
INLINE void sum_vectors(const mfq_tap_block *b, int64_t channel, const int pixels, const int vectors, int is_wide) {
  const int64_t size = is_wide ? 4 : 2, pixel_step = b->pixel_step;
  vector sum[8] = {0};
  for (int64_t i = 0; i < b->taps[0]; ++i)
    for (int64_t j = 0; j < b->taps[1]; ++j) {
      const uint8_t *x = b->x + i * b->x_step[0] + j * b->x_step[1] + channel * size;
      const float *w = b->w + i * b->w_step[0] + j * b->w_step[1] + channel;
      for (int64_t k = 0; k < b->taps[2]; ++k, x += b->x_step[2], w += b->w_step[2])
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
          const vector weight = ((const loose_vector *)(const void *)w)[v];
#pragma GCC unroll 8
          for (int p = 0; p < pixels; ++p)
            sum[p * vectors + v] += elements_at(x + p * pixel_step + v * LANES * size, is_wide) * weight;
        }
    }
#pragma GCC unroll 8
  for (int i = 0; i < pixels * vectors; ++i)
    ((loose_vector *)(void *)(b->sums + i / vectors * b->sums_step + channel))[i % vectors] = sum[i];
}

/* One channel of one pixel. */
INLINE void sum_channel(const mfq_tap_block *b, int64_t channel, int64_t pixel, int is_wide) {
  const uint8_t *from = b->x + pixel * b->pixel_step;
  float sum = 0.0f;
  for (int64_t i = 0; i < b->taps[0]; ++i)
    for (int64_t j = 0; j < b->taps[1]; ++j)
      for (int64_t k = 0; k < b->taps[2]; ++k) {
        const uint8_t *x = from + i * b->x_step[0] + j * b->x_step[1] + k * b->x_step[2];
        const float *w = b->w + i * b->w_step[0] + j * b->w_step[1] + k * b->w_step[2];
        const uint32_t bits = is_wide ? word_at(x + 4 * channel) : bf16_at(x, channel) << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        sum += value * w[channel];
      }
  b->sums[pixel * b->sums_step + channel] = sum;
}

INLINE void sum_block(const mfq_tap_block *b, int is_wide) {
  int64_t c = 0;
  if (b->pixels == MFQ_TAP_PIXELS)
    for (; c + 2 * LANES <= b->channels; c += 2 * LANES) sum_vectors(b, c, MFQ_TAP_PIXELS, 2, is_wide);
  else
    for (; c + 8 * LANES <= b->channels; c += 8 * LANES) sum_vectors(b, c, 1, 8, is_wide);
  if (b->pixels == MFQ_TAP_PIXELS)
    for (; c + LANES <= b->channels; c += LANES) sum_vectors(b, c, MFQ_TAP_PIXELS, 1, is_wide);
  else
    for (; c + LANES <= b->channels; c += LANES) sum_vectors(b, c, 1, 1, is_wide);
  for (; c < b->channels; ++c)
    for (int64_t p = 0; p < b->pixels; ++p) sum_channel(b, c, p, is_wide);
}

static void sum_taps(const mfq_tap_block *block) {
  if (block->dtype == MFQ_DTYPE_F32)
    sum_block(block, 1);
  else
    sum_block(block, 0);
}

#endif
