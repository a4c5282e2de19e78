/* A linear layer with MXFP4 weights and MXFP8 activations: y = gelu(x W^T + bias), x quantized on the way in.
 *
 *   example_linear [device]      cpu, cuda:0, ...; exits with 77 where there is no such device */
#include <mfq/mfq.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 8, INPUTS = 256, OUTPUTS = 64, SKIPPED = 77 };

static void check(mfq_status status) {
  if (status == MFQ_OK) return;
  fprintf(stderr, "%s\n", mfq_last_error());
  exit(status == MFQ_ERROR_UNSUPPORTED ? SKIPPED : 1);
}

/* Memory of the context's device with these values. It lives as long as the program. */
static float *device_floats(mfq_context *context, const float *values, size_t count, mfq_buffer **buffer) {
  check(mfq_buffer_create(context, count * sizeof *values, buffer));
  if (values != NULL) check(mfq_buffer_write(*buffer, 0, values, count * sizeof *values));
  return mfq_buffer_data(*buffer);
}

int main(int argc, char **argv) {
  static float x[TOKENS * INPUTS], w[OUTPUTS * INPUTS], bias[OUTPUTS], y[TOKENS * OUTPUTS];
  for (int i = 0; i < TOKENS * INPUTS; ++i) x[i] = (float)(i * 37 % 101 - 50) / 50;
  for (int i = 0; i < OUTPUTS * INPUTS; ++i) w[i] = (float)(i * 53 % 89 - 44) / 400;
  for (int i = 0; i < OUTPUTS; ++i) bias[i] = (float)i / OUTPUTS;

  mfq_context_options options;
  mfq_context *context;
  mfq_buffer *x_memory, *w_memory, *bias_memory, *y_memory, *codes, *scales;
  mfq_context_options_init(&options);
  if (argc > 1) options.device = argv[1];
  check(mfq_context_create(&options, &context));

  /* Once, when the model is loaded: weights [OUTPUTS, INPUTS], groups of 32 along the inputs. */
  mfq_scheme weight_scheme, input_scheme;
  mfq_qtensor weights;
  mfq_qtensor_sizes sizes;
  mfq_tensor plain_weights;
  const int64_t w_shape[] = {OUTPUTS, INPUTS};
  check(mfq_scheme_parse("mxfp4_e2m1", &weight_scheme));
  check(mfq_scheme_parse("mxfp8_e4m3", &input_scheme));
  check(mfq_qtensor_init(&weight_scheme, 2, w_shape, NULL, &weights));
  check(mfq_qtensor_sizes_get(&weights, &sizes));
  check(mfq_buffer_create(context, sizes.codes_bytes, &codes));
  check(mfq_buffer_create(context, sizes.scales_bytes, &scales));
  weights.codes = mfq_buffer_data(codes);
  weights.scales = mfq_buffer_data(scales);
  float *w_data = device_floats(context, w, OUTPUTS * INPUTS, &w_memory);
  check(mfq_tensor_init(w_data, MFQ_DTYPE_F32, 2, w_shape, &plain_weights));
  check(mfq_quantize(context, &plain_weights, &weights, NULL));

  /* Once for each shape: the plan. */
  mfq_tensor in, out, add;
  const int64_t x_shape[] = {TOKENS, INPUTS}, y_shape[] = {TOKENS, OUTPUTS}, bias_shape[] = {OUTPUTS};
  check(mfq_tensor_init(device_floats(context, x, TOKENS * INPUTS, &x_memory), MFQ_DTYPE_F32, 2, x_shape, &in));
  check(mfq_tensor_init(device_floats(context, bias, OUTPUTS, &bias_memory), MFQ_DTYPE_F32, 1, bias_shape, &add));
  check(mfq_tensor_init(device_floats(context, NULL, TOKENS * OUTPUTS, &y_memory), MFQ_DTYPE_F32, 2, y_shape, &out));
  mfq_gemm gemm;
  mfq_gemm_plan *plan;
  mfq_gemm_init(&gemm);
  gemm.a.plain = &in;
  gemm.a.quantize_to = &input_scheme;
  gemm.b.quantized = &weights;
  gemm.transpose_b = 1; /* weights lie as [N, K] */
  gemm.bias = &add;
  gemm.activation = MFQ_ACTIVATION_GELU;
  gemm.d = &out;
  gemm.own_workspace = 1;
  check(mfq_gemm_plan_create(context, &gemm, &plan));

  /* As often as there is input. */
  check(mfq_gemm_run(context, plan, &gemm, NULL, 0));
  check(mfq_buffer_read(y_memory, 0, y, sizeof y));
  printf("%s\ny[0][0] = %.3f, y[%d][%d] = %.3f\n", mfq_gemm_plan_describe(plan), (double)y[0], TOKENS - 1, OUTPUTS - 1,
         (double)y[TOKENS * OUTPUTS - 1]);

  mfq_gemm_plan_destroy(plan);
  mfq_buffer *const all[] = {x_memory, w_memory, bias_memory, y_memory, codes, scales};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i) mfq_buffer_destroy(all[i]);
  mfq_context_destroy(context);
}
