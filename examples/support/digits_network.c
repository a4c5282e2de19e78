/* examples/support/digits_network.c: the network's layers as products: conv1, relu, conv2, relu, max pool, fc1, relu,
 * fc2. Convolutions multiply unfolded images: one row a pixel, which holds the 3 x 3 places around it. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "digits.h"

const digits_shape digits_shapes[DIGITS_LAYERS] = {{"conv1", 32, 1, 9, DIGITS_PIXELS, 1},
                                                   {"conv2", 64, 32, 9, DIGITS_PIXELS, 1},
                                                   {"fc1", 96, 1024, 1, 1, 1},
                                                   {"fc2", DIGITS_CLASSES, 96, 1, 1, 0}};
enum { LARGEST_K = 288, LARGEST_N = 64 }; /* with 64 rows an image; the linear layers have one */

double digits_seconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- Making a layer --------------------------------------------------------------------------------------------- */

/* A scheme for [rows, K]: groups along the channels of one place, and never across places. */
static int layer_scheme(const char *text, const digits_shape *shape, mfq_scheme *scheme) {
  const mfq_status status = mfq_scheme_parse(text, scheme);
  if (status != MFQ_OK) return digits_status(status, text, mfq_last_error());
  if (scheme->granularity == MFQ_GRANULARITY_CHANNEL) scheme->axis = 0;
  if (scheme->granularity == MFQ_GRANULARITY_GROUP) {
    scheme->axis = 1;
    if (shape->taps > 1 && shape->channels < scheme->group_size) scheme->group_size = shape->channels;
  }
  return DIGITS_OK;
}

/* The next part of a buffer that starts at `base`; NULL as long as there is no buffer. */
static void *take(uint8_t *base, size_t *used, size_t bytes) {
  uint8_t *at = base != NULL && bytes > 0 ? base + *used : NULL;
  *used += (bytes + 255) / 256 * 256;
  return at;
}

static size_t place_parts(digits_layer *l, const mfq_qtensor_sizes *sizes, uint8_t *base) {
  size_t used = 0;
  l->bias.data = take(base, &used, sizeof(float) * (size_t)l->shape->out);
  l->b.data = take(base, &used, sizeof(float) * (size_t)(l->b.shape[0] * l->b.shape[1]));
  l->q.codes = take(base, &used, sizes->codes_bytes);
  l->q.scales = take(base, &used, sizes->scales_bytes);
  l->q.zero_points = take(base, &used, sizes->zero_points_bytes);
  l->q.tensor_scale = take(base, &used, sizes->tensor_scale_bytes);
  return used;
}

/* Copies weights and bias to the device, and quantizes the weights there. */
static mfq_status load_weights(mfq_context *context, digits_layer *l, const float *weight, const float *bias,
                               const mfq_scheme *scheme) {
  const int64_t shape[] = {l->shape->out, l->shape->channels * l->shape->taps};
  const size_t count = (size_t)(shape[0] * shape[1]);
  mfq_qtensor_sizes sizes = {.codes_bytes = 0};
  mfq_status status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, 2, shape, &l->b);
  if (status == MFQ_OK) status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, 1, shape, &l->bias);
  if (status == MFQ_OK && scheme != NULL) status = mfq_qtensor_init(scheme, 2, shape, NULL, &l->q);
  if (status == MFQ_OK && scheme != NULL) status = mfq_qtensor_sizes_get(&l->q, &sizes);
  if (status == MFQ_OK) status = mfq_buffer_create(context, place_parts(l, &sizes, NULL), &l->rest);
  if (status != MFQ_OK) return status;
  uint8_t *base = mfq_buffer_data(l->rest);
  (void)place_parts(l, &sizes, base);
  status = mfq_buffer_write(l->rest, (size_t)((uint8_t *)l->b.data - base), weight, count * sizeof *weight);
  if (status == MFQ_OK)
    status = mfq_buffer_write(l->rest, (size_t)((uint8_t *)l->bias.data - base), bias, (size_t)shape[0] * sizeof *bias);
  if (status == MFQ_OK && scheme != NULL) status = mfq_quantize(context, &l->b, &l->q, NULL);
  l->weight_bytes =
      scheme == NULL
          ? (double)(count * sizeof *weight)
          : (double)(sizes.codes_bytes + sizes.scales_bytes + sizes.zero_points_bytes + sizes.tensor_scale_bytes);
  return status;
}

/* The product. Inputs are quantized on the way in; bias and relu are part of it. */
static mfq_status plan_layer(mfq_context *context, digits_layer *l, const digits_scheme *scheme) {
  const int64_t a[] = {l->rows, l->shape->channels * l->shape->taps}, d[] = {l->rows, l->shape->out};
  mfq_status status = mfq_buffer_create(context, sizeof(float) * (size_t)(a[0] * a[1]), &l->a_memory);
  if (status == MFQ_OK) status = mfq_buffer_create(context, sizeof(float) * (size_t)(d[0] * d[1]), &l->d_memory);
  if (status == MFQ_OK) status = mfq_tensor_init(mfq_buffer_data(l->a_memory), MFQ_DTYPE_F32, 2, a, &l->a);
  if (status == MFQ_OK) status = mfq_tensor_init(mfq_buffer_data(l->d_memory), MFQ_DTYPE_F32, 2, d, &l->d);
  if (status != MFQ_OK) return status;
  mfq_gemm_init(&l->gemm);
  l->gemm.a.plain = &l->a;
  if (scheme->inputs != NULL) l->gemm.a.quantize_to = &l->input_scheme;
  if (scheme->weights != NULL)
    l->gemm.b.quantized = &l->q;
  else
    l->gemm.b.plain = &l->b;
  l->gemm.transpose_b = 1;
  l->gemm.bias = &l->bias;
  l->gemm.activation = l->shape->has_relu ? MFQ_ACTIVATION_RELU : MFQ_ACTIVATION_NONE;
  l->gemm.d = &l->d;
  l->gemm.own_workspace = 1;
  return mfq_gemm_plan_create(context, &l->gemm, &l->plan);
}

int digits_network_create(mfq_context *context, const digits_images *images, const digits_weights *weights,
                          const digits_scheme *scheme, digits_network *network) {
  const size_t pixels = (size_t)images->count * DIGITS_PIXELS;
  *network = (digits_network){.context = context,
                              .images = images,
                              .unfolded = malloc(pixels * LARGEST_K * sizeof(float)),
                              .values = malloc(pixels * LARGEST_N * sizeof(float))};
  int code = DIGITS_OK;
  if (network->unfolded == NULL || network->values == NULL) code = digits_error(DIGITS_FAILED, "no memory");
  for (int i = 0; code == DIGITS_OK && i < DIGITS_LAYERS; i++) {
    digits_layer *l = &network->layers[i];
    mfq_scheme weight_scheme;
    l->shape = &digits_shapes[i];
    l->rows = images->count * l->shape->rows;
    if (scheme->weights != NULL) code = layer_scheme(scheme->weights, l->shape, &weight_scheme);
    if (code == DIGITS_OK && scheme->inputs != NULL) code = layer_scheme(scheme->inputs, l->shape, &l->input_scheme);
    if (code != DIGITS_OK) return code;
    mfq_status status =
        load_weights(context, l, weights->weight[i], weights->bias[i], scheme->weights != NULL ? &weight_scheme : NULL);
    if (status == MFQ_OK) status = plan_layer(context, l, scheme);
    code = digits_status(status, scheme->name, mfq_last_error());
  }
  return code;
}

void digits_network_destroy(digits_network *network) {
  for (int i = 0; i < DIGITS_LAYERS; i++) {
    digits_layer *l = &network->layers[i];
    mfq_gemm_plan_destroy(l->plan);
    mfq_buffer_destroy(l->a_memory);
    mfq_buffer_destroy(l->d_memory);
    mfq_buffer_destroy(l->rest);
  }
  free(network->unfolded);
  free(network->values);
}

/* ---- Running ---------------------------------------------------------------------------------------------------- */

/* [count, 8, 8, channels] becomes [count, 8, 8, 9, channels]: the 3 x 3 places around each pixel, zeros outside. */
static void unfold(const float *in, int count, int channels, float *out) {
  const size_t bytes = (size_t)channels * sizeof *in;
  for (int i = 0; i < count * DIGITS_PIXELS; i++)
    for (int tap = 0; tap < 9; tap++, out += channels) {
      const int pixel = i % DIGITS_PIXELS, dy = tap / 3 - 1, dx = tap % 3 - 1;
      const int y = pixel / DIGITS_SIDE + dy, x = pixel % DIGITS_SIDE + dx;
      if (y >= 0 && y < DIGITS_SIDE && x >= 0 && x < DIGITS_SIDE)
        memcpy(out, in + (i + dy * DIGITS_SIDE + dx) * channels, bytes);
      else
        memset(out, 0, bytes);
    }
}

static float larger(float a, float b) { return a > b ? a : b; }

/* [count, 8, 8, channels] becomes [count, channels, 4, 4], the order that fc1 was trained for. */
static void pool(const float *in, int count, int channels, float *out) {
  const int half = DIGITS_SIDE / 2, row = DIGITS_SIDE * channels;
  for (int i = 0; i < count; i++)
    for (int c = 0; c < channels; c++)
      for (int p = 0; p < half * half; p++) {
        const float *at = in + i * DIGITS_PIXELS * channels + p / half * 2 * row + p % half * 2 * channels + c;
        *out++ = larger(larger(at[0], at[channels]), larger(at[row], at[row + channels]));
      }
}

/* A from the host, the product, D to the host. */
static mfq_status run_layer(digits_network *network, digits_layer *l, const float *in, float *out) {
  mfq_status status = mfq_buffer_write(l->a_memory, 0, in, mfq_buffer_bytes(l->a_memory));
  const double start = digits_seconds();
  if (status == MFQ_OK) status = mfq_gemm_run(network->context, l->plan, &l->gemm, NULL, 0);
  if (status == MFQ_OK) status = mfq_context_synchronize(network->context);
  network->product_seconds += digits_seconds() - start;
  return status == MFQ_OK ? mfq_buffer_read(l->d_memory, 0, out, mfq_buffer_bytes(l->d_memory)) : status;
}

int digits_network_run(digits_network *network, float *logits) {
  const int count = network->images->count;
  float *unfolded = network->unfolded, *values = network->values;
  digits_layer *layers = network->layers;
  network->product_seconds = 0;
  unfold(network->images->pixels, count, layers[0].shape->channels, unfolded);
  mfq_status status = run_layer(network, &layers[0], unfolded, values);
  unfold(values, count, layers[1].shape->channels, unfolded);
  if (status == MFQ_OK) status = run_layer(network, &layers[1], unfolded, values);
  pool(values, count, layers[1].shape->out, unfolded);
  if (status == MFQ_OK) status = run_layer(network, &layers[2], unfolded, values);
  if (status == MFQ_OK) status = run_layer(network, &layers[3], values, logits);
  return digits_status(status, "a product", mfq_last_error());
}
