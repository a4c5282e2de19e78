/* examples/support/digits_network.c: conv1, relu, conv2, relu, max pool, fc1, relu, fc2. Bias and relu are part of the
 * convolutions and products; channels are last everywhere on the device. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "digits.h"

const digits_shape digits_shapes[DIGITS_LAYERS] = {
    {"conv1", 32, 1, 9, 1}, {"conv2", 64, 32, 9, 1}, {"fc1", 96, 1024, 1, 1}, {"fc2", DIGITS_CLASSES, 96, 1, 0}};
enum { CONV1, CONV2, FC1, FC2, FILTER_SIDE = 3 };

double digits_seconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int digits_largest(const float *logits) {
  int best = 0;
  for (int c = 1; c < DIGITS_CLASSES; ++c)
    if (logits[c] > logits[best]) best = c;
  return best;
}

/* ---- Making a layer --------------------------------------------------------------------------------------------- */

int digits_layer_is_conv(const digits_layer *l) { return l->shape->taps > 1; }

const char *digits_layer_describe(const digits_layer *l) {
  return digits_layer_is_conv(l) ? mfq_conv_plan_describe(l->conv_plan) : mfq_gemm_plan_describe(l->gemm_plan);
}

/* Brevitas' schemes of weights name axis 1, where its convolutions have the channels; here they are last. */
static int layer_scheme(const char *text, mfq_scheme *scheme) {
  const mfq_status status = mfq_scheme_parse(text, scheme);
  if (status != MFQ_OK) return digits_status(status, text, mfq_last_error());
  if (scheme->granularity == MFQ_GRANULARITY_GROUP) scheme->axis = -1;
  return DIGITS_OK;
}

/* [rows, side, side, channels] of a convolution, [rows, channels] of a linear layer. */
static mfq_status layer_tensor(const digits_layer *l, int64_t rows, int64_t side, int64_t channels,
                               mfq_tensor *tensor) {
  const int64_t image[] = {rows, side, side, channels}, line[] = {rows, channels};
  return digits_layer_is_conv(l) ? mfq_tensor_init(NULL, MFQ_DTYPE_F32, 4, image, tensor)
                                 : mfq_tensor_init(NULL, MFQ_DTYPE_F32, 2, line, tensor);
}

static size_t tensor_bytes(const mfq_tensor *t) {
  size_t bytes = sizeof(float);
  for (int i = 0; i < t->rank; ++i) bytes *= (size_t)t->shape[i];
  return bytes;
}

/* The next part of a buffer that starts at `base`; NULL as long as there is no buffer. */
static void *take(uint8_t *base, size_t *used, size_t bytes) {
  uint8_t *at = base != NULL && bytes > 0 ? base + *used : NULL;
  *used += (bytes + 255) / 256 * 256;
  return at;
}

static size_t place_parts(digits_layer *l, const mfq_qtensor_sizes *sizes, uint8_t *base) {
  size_t used = 0;
  l->bias.data = take(base, &used, tensor_bytes(&l->bias));
  l->weight.data = take(base, &used, tensor_bytes(&l->weight));
  l->q.codes = take(base, &used, sizes->codes_bytes);
  l->q.scales = take(base, &used, sizes->scales_bytes);
  l->q.zero_points = take(base, &used, sizes->zero_points_bytes);
  l->q.tensor_scale = take(base, &used, sizes->tensor_scale_bytes);
  return used;
}

/* Copies weights and bias to the device, and quantizes the weights there. */
static mfq_status load_weights(mfq_context *context, digits_layer *l, const float *weight, const float *bias,
                               const mfq_scheme *scheme) {
  const int64_t out = l->shape->out;
  mfq_qtensor_sizes sizes = {.codes_bytes = 0};
  mfq_status status = layer_tensor(l, out, FILTER_SIDE, l->shape->channels, &l->weight);
  if (status == MFQ_OK) status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, 1, &out, &l->bias);
  if (status == MFQ_OK && scheme != NULL)
    status = mfq_qtensor_init(scheme, l->weight.rank, l->weight.shape, NULL, &l->q);
  if (status == MFQ_OK && scheme != NULL) status = mfq_qtensor_sizes_get(&l->q, &sizes);
  if (status == MFQ_OK) status = mfq_buffer_create(context, place_parts(l, &sizes, NULL), &l->rest);
  if (status != MFQ_OK) return status;
  uint8_t *base = mfq_buffer_data(l->rest);
  (void)place_parts(l, &sizes, base);
  const size_t bytes = tensor_bytes(&l->weight);
  status = mfq_buffer_write(l->rest, (size_t)((uint8_t *)l->weight.data - base), weight, bytes);
  if (status == MFQ_OK)
    status = mfq_buffer_write(l->rest, (size_t)((uint8_t *)l->bias.data - base), bias, tensor_bytes(&l->bias));
  if (status == MFQ_OK && scheme != NULL) status = mfq_quantize(context, &l->weight, &l->q, NULL);
  l->weight_bytes = (double)bytes;
  if (scheme != NULL)
    l->weight_bytes =
        (double)(sizes.codes_bytes + sizes.scales_bytes + sizes.zero_points_bytes + sizes.tensor_scale_bytes);
  return status;
}

/* `before`: the layer whose output is this one's input, as it lies on the device; NULL: the host writes the input. */
static mfq_status make_tensors(mfq_context *context, digits_layer *l, int count, const digits_layer *before) {
  mfq_status status = layer_tensor(l, count, DIGITS_SIDE, l->shape->channels, &l->in);
  if (status == MFQ_OK) status = layer_tensor(l, count, DIGITS_SIDE, l->shape->out, &l->out);
  if (status == MFQ_OK && before == NULL) status = mfq_buffer_create(context, tensor_bytes(&l->in), &l->in_memory);
  if (status == MFQ_OK) status = mfq_buffer_create(context, tensor_bytes(&l->out), &l->out_memory);
  l->in.data = before != NULL ? before->out.data : mfq_buffer_data(l->in_memory);
  l->out.data = mfq_buffer_data(l->out_memory);
  return status;
}

static mfq_status plan_conv(mfq_context *context, digits_layer *l, mfq_operand input, mfq_operand weight) {
  mfq_conv_init(&l->conv);
  l->conv.layout = MFQ_CONV_CHANNELS_LAST;
  l->conv.same_padding = 1;
  l->conv.input = input;
  l->conv.weight = weight;
  l->conv.bias = &l->bias;
  l->conv.activation = l->shape->has_relu ? MFQ_ACTIVATION_RELU : MFQ_ACTIVATION_NONE;
  l->conv.result = &l->out;
  l->conv.own_workspace = 1;
  return mfq_conv_plan_create(context, &l->conv, &l->conv_plan);
}

static mfq_status plan_linear(mfq_context *context, digits_layer *l, mfq_operand input, mfq_operand weight) {
  mfq_gemm_init(&l->gemm);
  l->gemm.a = input;
  l->gemm.b = weight;
  l->gemm.transpose_b = 1;
  l->gemm.bias = &l->bias;
  l->gemm.activation = l->shape->has_relu ? MFQ_ACTIVATION_RELU : MFQ_ACTIVATION_NONE;
  l->gemm.d = &l->out;
  l->gemm.own_workspace = 1;
  return mfq_gemm_plan_create(context, &l->gemm, &l->gemm_plan);
}

/* Weights quantized now, inputs on the way in. */
static int make_layer(digits_network *network, int index, const digits_weights *weights, const digits_scheme *scheme) {
  digits_layer *l = &network->layers[index];
  mfq_scheme weight_scheme;
  mfq_operand input = {.plain = &l->in}, weight = {.plain = &l->weight};
  int code = DIGITS_OK;
  l->shape = &digits_shapes[index];
  if (scheme->weights != NULL) {
    code = layer_scheme(scheme->weights, &weight_scheme);
    weight = (mfq_operand){.quantized = &l->q};
  }
  if (code == DIGITS_OK && scheme->inputs != NULL) {
    code = layer_scheme(scheme->inputs, &l->input_scheme);
    input.quantize_to = &l->input_scheme;
  }
  if (code != DIGITS_OK) return code;
  mfq_status status = load_weights(network->context, l, weights->weight[index], weights->bias[index],
                                   scheme->weights != NULL ? &weight_scheme : NULL);
  const int is_second = index == CONV2 || index == FC2;
  if (status == MFQ_OK) status = make_tensors(network->context, l, network->images->count, is_second ? l - 1 : NULL);
  if (status == MFQ_OK)
    status = digits_layer_is_conv(l) ? plan_conv(network->context, l, input, weight)
                                     : plan_linear(network->context, l, input, weight);
  return digits_status(status, scheme->name, mfq_last_error());
}

int digits_network_create(mfq_context *context, const digits_images *images, const digits_weights *weights,
                          const digits_scheme *scheme, digits_network *network) {
  const size_t pixels = (size_t)images->count * DIGITS_PIXELS;
  *network =
      (digits_network){.context = context,
                       .images = images,
                       .values = malloc(pixels * (size_t)digits_shapes[CONV2].out * sizeof(float)),
                       .pooled = malloc((size_t)images->count * (size_t)digits_shapes[FC1].channels * sizeof(float))};
  int code = DIGITS_OK;
  if (network->values == NULL || network->pooled == NULL) code = digits_error(DIGITS_FAILED, "no memory");
  for (int i = 0; code == DIGITS_OK && i < DIGITS_LAYERS; ++i) code = make_layer(network, i, weights, scheme);
  return code;
}

void digits_network_destroy(digits_network *network) {
  for (int i = 0; i < DIGITS_LAYERS; ++i) {
    digits_layer *l = &network->layers[i];
    mfq_conv_plan_destroy(l->conv_plan);
    mfq_gemm_plan_destroy(l->gemm_plan);
    mfq_buffer_destroy(l->in_memory);
    mfq_buffer_destroy(l->out_memory);
    mfq_buffer_destroy(l->rest);
  }
  free(network->values);
  free(network->pooled);
}

/* ---- Running ---------------------------------------------------------------------------------------------------- */

static float larger(float a, float b) { return a > b ? a : b; }

/* [count, 8, 8, channels] becomes [count, channels, 4, 4], the order that fc1 was trained for. */
static void pool(const float *in, int count, int channels, float *out) {
  const int half = DIGITS_SIDE / 2, row = DIGITS_SIDE * channels;
  for (int i = 0; i < count; ++i)
    for (int c = 0; c < channels; ++c)
      for (int p = 0; p < half * half; ++p) {
        const float *at = in + i * DIGITS_PIXELS * channels + p / half * 2 * row + p % half * 2 * channels + c;
        *out++ = larger(larger(at[0], at[channels]), larger(at[row], at[row + channels]));
      }
}

/* Two layers: the input from the host, the output to the host, what is between stays on the device. */
static mfq_status run_pair(digits_network *network, digits_layer *first, const float *in, float *out) {
  digits_layer *second = first + 1;
  mfq_context *context = network->context;
  mfq_status status = mfq_buffer_write(first->in_memory, 0, in, mfq_buffer_bytes(first->in_memory));
  const double start = digits_seconds();
  for (digits_layer *l = first; status == MFQ_OK && l <= second; ++l)
    status = digits_layer_is_conv(l) ? mfq_conv_run(context, l->conv_plan, &l->conv, NULL, 0)
                                     : mfq_gemm_run(context, l->gemm_plan, &l->gemm, NULL, 0);
  if (status == MFQ_OK) status = mfq_context_synchronize(context);
  network->layer_seconds += digits_seconds() - start;
  return status == MFQ_OK ? mfq_buffer_read(second->out_memory, 0, out, mfq_buffer_bytes(second->out_memory)) : status;
}

int digits_network_run(digits_network *network, float *logits) {
  network->layer_seconds = 0;
  mfq_status status = run_pair(network, &network->layers[CONV1], network->images->pixels, network->values);
  pool(network->values, network->images->count, digits_shapes[CONV2].out, network->pooled);
  if (status == MFQ_OK) status = run_pair(network, &network->layers[FC1], network->pooled, logits);
  return digits_status(status, "a layer", mfq_last_error());
}
