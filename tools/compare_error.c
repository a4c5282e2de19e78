/* tools/compare_error.c: decoding file elements to double, and summing their differences. */
#include "compare_error.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 1024 };

static double from_f32_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return (double)value;
}

static double from_f16_bits(uint32_t half) {
  uint32_t sign = (half & 0x8000u) << 16, exponent = (half >> 10) & 31u, mantissa = half & 1023u;
  if (exponent == 0) { /* zero and subnormals, multiples of 2^-24 */
    double value = (double)mantissa * 0x1p-24;
    return sign != 0 ? -value : value;
  }
  uint32_t rebiased = exponent == 31 ? 255u : exponent + 112u;
  return from_f32_bits(sign | rebiased << 23 | mantissa << 13);
}

static void decode_f64(const unsigned char *in, size_t count, double *out) { memcpy(out, in, count * sizeof *out); }

static void decode_f32(const unsigned char *in, size_t count, double *out) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, in + 4 * i, 4);
    out[i] = from_f32_bits(bits);
  }
}

static void decode_bf16(const unsigned char *in, size_t count, double *out) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    memcpy(&bits, in + 2 * i, 2);
    out[i] = from_f32_bits((uint32_t)bits << 16);
  }
}

static void decode_f16(const unsigned char *in, size_t count, double *out) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    memcpy(&bits, in + 2 * i, 2);
    out[i] = from_f16_bits(bits);
  }
}

typedef struct decoder_row {
  mfq_file_dtype dtype;
  size_t bytes;
  void (*decode)(const unsigned char *in, size_t count, double *out);
} decoder_row;

static const decoder_row decoders[] = {{MFQ_FILE_F64, 8, decode_f64},
                                       {MFQ_FILE_F32, 4, decode_f32},
                                       {MFQ_FILE_BF16, 2, decode_bf16},
                                       {MFQ_FILE_F16, 2, decode_f16}};

static const decoder_row *find_decoder(mfq_file_dtype dtype) {
  for (size_t i = 0; i < sizeof decoders / sizeof decoders[0]; ++i)
    if (decoders[i].dtype == dtype) return &decoders[i];
  return NULL;
}

int error_is_float(mfq_file_dtype dtype) { return find_decoder(dtype) != NULL; }

static void add_pair(error_sums *sums, double a, double b) {
  if (!isfinite(a) || !isfinite(b)) {
    if (!(a == b || (isnan(a) && isnan(b)))) ++sums->mismatches;
    return;
  }
  double difference = a - b, size = fabs(difference);
  sums->signal += a * a;
  sums->noise += difference * difference;
  if (size > sums->max_error) sums->max_error = size;
}

void error_add(error_sums *sums, mfq_file_dtype a_dtype, const void *a, mfq_file_dtype b_dtype, const void *b,
               size_t count) {
  const decoder_row *a_decoder = find_decoder(a_dtype), *b_decoder = find_decoder(b_dtype);
  const unsigned char *a_bytes = a, *b_bytes = b;
  double x[BLOCK], y[BLOCK];
  sums->count += (int64_t)count;
  for (size_t at = 0; at < count; at += BLOCK) {
    size_t n = count - at < BLOCK ? count - at : BLOCK;
    a_decoder->decode(a_bytes + at * a_decoder->bytes, n, x);
    b_decoder->decode(b_bytes + at * b_decoder->bytes, n, y);
    for (size_t i = 0; i < n; ++i) add_pair(sums, x[i], y[i]);
  }
}

void error_merge(error_sums *all, const error_sums *one) {
  all->signal += one->signal;
  all->noise += one->noise;
  all->count += one->count;
  all->mismatches += one->mismatches;
  if (one->max_error > all->max_error) all->max_error = one->max_error;
}

double error_sqnr(const error_sums *sums) {
  if (sums->mismatches > 0) return -(double)INFINITY;
  if (sums->noise == 0.0) return (double)INFINITY;
  if (sums->signal == 0.0) return -(double)INFINITY;
  return 10.0 * log10(sums->signal / sums->noise);
}
