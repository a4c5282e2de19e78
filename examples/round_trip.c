/* Quantizes two rows of 32 numbers to MXFP4 and back. */
#include <mfq/mfq.h>
#include <stdio.h>
#include <stdlib.h>

static void check(mfq_status status) {
  if (status == MFQ_OK) return;
  fprintf(stderr, "%s\n", mfq_last_error());
  exit(1);
}

int main(void) {
  float x[2][32], y[2][32], worst = 0;
  for (int i = 0; i < 64; ++i) x[i / 32][i % 32] = (float)(i - 20) / 8;

  mfq_context_options options;
  mfq_context *context;
  mfq_context_options_init(&options);
  check(mfq_context_create(&options, &context));

  mfq_scheme scheme;
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  mfq_tensor src, dst;
  const int64_t shape[] = {2, 32};
  check(mfq_scheme_parse("mxfp4_e2m1", &scheme)); /* or "e2m1/group:16/f32", "int4/channel/f32/zp", ... */
  check(mfq_qtensor_init(&scheme, 2, shape, NULL, &q));
  check(mfq_qtensor_sizes_get(&q, &sizes));
  q.codes = malloc(sizes.codes_bytes);
  q.scales = malloc(sizes.scales_bytes);
  check(mfq_tensor_init(x, MFQ_DTYPE_F32, 2, shape, &src));
  check(mfq_tensor_init(y, MFQ_DTYPE_F32, 2, shape, &dst));
  check(mfq_quantize(context, &src, &q, NULL));
  check(mfq_dequantize(context, &q, &dst));

  for (int i = 0; i < 64; ++i) {
    float error = x[i / 32][i % 32] - y[i / 32][i % 32];
    worst = error > worst ? error : -error > worst ? -error : worst;
  }
  printf("%zu bytes became %zu, largest error %g\n", sizeof x, sizes.codes_bytes + sizes.scales_bytes, (double)worst);
  free(q.codes);
  free(q.scales);
  mfq_context_destroy(context);
}
