/* Quantizes a bf16 matrix to MXFP8 on a GPU, and reads the values back. Needs no CUDA header and no CUDA library to
 * build. Without a GPU it prints why and exits with 77, which test drivers take for "skipped". */
#include <mfq/mfq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 64, COLS = 256, COUNT = ROWS * COLS, SKIPPED = 77 };

static void check(mfq_status status) {
  if (status == MFQ_OK) return;
  fprintf(stderr, "%s\n", mfq_last_error());
  exit(status == MFQ_ERROR_UNSUPPORTED ? SKIPPED : 1);
}

static mfq_buffer *device_memory(mfq_context *context, size_t bytes) {
  mfq_buffer *buffer;
  check(mfq_buffer_create(context, bytes, &buffer));
  return buffer;
}

static uint16_t to_bf16(float x) { /* toward zero */
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (uint16_t)(bits >> 16);
}

static float from_bf16(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

int main(void) {
  static uint16_t x[COUNT], y[COUNT];
  for (int i = 0; i < COUNT; ++i) x[i] = to_bf16((float)(i % 449 - 224) / 64);

  mfq_context_options options;
  mfq_context *context;
  mfq_context_options_init(&options);
  options.device = "cuda:0"; /* "cpu" runs the same lines; options.stream takes a cudaStream_t of yours */
  check(mfq_context_create(&options, &context));

  mfq_scheme scheme;
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  mfq_tensor src, dst;
  const int64_t shape[] = {ROWS, COLS};
  check(mfq_scheme_parse("mxfp8_e4m3", &scheme));
  check(mfq_qtensor_init(&scheme, 2, shape, NULL, &q));
  check(mfq_qtensor_sizes_get(&q, &sizes));

  mfq_buffer *from = device_memory(context, sizeof x), *to = device_memory(context, sizeof y);
  mfq_buffer *codes = device_memory(context, sizes.codes_bytes), *scales = device_memory(context, sizes.scales_bytes);
  q.codes = mfq_buffer_data(codes);
  q.scales = mfq_buffer_data(scales);
  check(mfq_tensor_init(mfq_buffer_data(from), MFQ_DTYPE_BF16, 2, shape, &src));
  check(mfq_tensor_init(mfq_buffer_data(to), MFQ_DTYPE_BF16, 2, shape, &dst));

  check(mfq_buffer_write(from, 0, x, sizeof x));
  check(mfq_quantize(context, &src, &q, NULL)); /* queued on the stream, like the next one */
  check(mfq_dequantize(context, &q, &dst));
  check(mfq_buffer_read(to, 0, y, sizeof y)); /* waits for both */

  float worst = 0;
  for (int i = 0; i < COUNT; ++i) {
    const float error = from_bf16(x[i]) - from_bf16(y[i]);
    worst = error > worst ? error : -error > worst ? -error : worst;
  }
  printf("%s\n%zu bytes became %zu, largest error %g\n", mfq_context_describe(context), sizeof x,
         sizes.codes_bytes + sizes.scales_bytes, (double)worst);
  mfq_buffer_destroy(from);
  mfq_buffer_destroy(to);
  mfq_buffer_destroy(codes);
  mfq_buffer_destroy(scales);
  mfq_context_destroy(context);
}
