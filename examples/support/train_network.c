/* examples/support/train_network.c: where values, gradients, parameters and moments of a network lie. */
#include <stdlib.h>
#include <string.h>

#include "train.h"

enum { CONV1, CONV2, FC1, FC2 };

static size_t aligned(size_t count) { return (count + 63) / 64 * 64; }

/* The next `count` floats of `memory`, aligned to 256 bytes. */
static float *take(float **memory, size_t count) {
  float *at = *memory;
  *memory += aligned(count);
  return at;
}

size_t train_elements(const mfq_tensor *t) {
  size_t count = 1;
  for (int i = 0; i < t->rank; ++i) count *= (size_t)t->shape[i];
  return count;
}

/* [rows, channels, side, side], or with side 0 [rows, channels]. */
static mfq_status make_tensor(float *data, int64_t rows, int64_t channels, int64_t side, mfq_tensor *tensor) {
  const int64_t shape[] = {rows, channels, side, side};
  return mfq_tensor_init(data, MFQ_DTYPE_F32, side > 0 ? 4 : 2, shape, tensor);
}

static void make_shapes(int width, digits_shape *shapes) {
  const int out[] = {width, 2 * width, 3 * width, DIGITS_CLASSES};
  for (int i = 0; i < DIGITS_LAYERS; ++i) {
    shapes[i] = digits_shapes[i];
    shapes[i].out = out[i];
    if (i > 0) shapes[i].channels = i == FC1 ? out[CONV2] * DIGITS_PIXELS / 4 : out[i - 1];
  }
}

/* Parameters, their gradients and moments, then what layers read and write. */
static int allocate(train_network *n, float **values) {
  size_t parameters = 0, more = 0;
  for (int i = 0; i < DIGITS_LAYERS; ++i) {
    const digits_shape *s = &n->shapes[i];
    const size_t pixels = s->taps > 1 ? DIGITS_PIXELS : 1;
    parameters += (size_t)(s->out * s->channels * s->taps + s->out);
    more += 2 * (aligned(TRAIN_BATCH * pixels * (size_t)s->out) + aligned(TRAIN_BATCH * pixels * (size_t)s->channels));
  }
  const size_t bytes = (4 * aligned(parameters) + more) * sizeof(float);
  n->memory = aligned_alloc(256, bytes);
  n->pooled_from = malloc(TRAIN_BATCH * (size_t)n->shapes[FC1].channels * sizeof(int32_t));
  if (n->memory == NULL || n->pooled_from == NULL) return digits_error(DIGITS_FAILED, "no memory for a network");
  memset(n->memory, 0, bytes);
  *values = n->memory;
  float **parts[] = {&n->adam.parameters, &n->adam.gradients, &n->adam.first, &n->adam.second};
  for (int i = 0; i < 4; ++i) *parts[i] = take(values, parameters);
  return DIGITS_OK;
}

static mfq_status place_stage(train_network *n, int index, float **values) {
  train_stage *s = &n->stages[index];
  const digits_shape *shape = &n->shapes[index];
  const int64_t out = shape->out, in = shape->channels, is_conv = shape->taps > 1;
  const int64_t side = is_conv ? DIGITS_SIDE : 0, filter = is_conv ? 3 : 0;
  const size_t weights = (size_t)(out * in * shape->taps), at = n->adam.count;
  mfq_status status = make_tensor(n->adam.parameters + at, out, in, filter, &s->weight);
  if (status == MFQ_OK) status = make_tensor(n->adam.gradients + at, out, in, filter, &s->dweight);
  if (status == MFQ_OK) status = mfq_tensor_init(n->adam.parameters + at + weights, MFQ_DTYPE_F32, 1, &out, &s->bias);
  if (status == MFQ_OK) status = mfq_tensor_init(n->adam.gradients + at + weights, MFQ_DTYPE_F32, 1, &out, &s->dbias);
  n->adam.count += weights + (size_t)out;
  if (status == MFQ_OK) status = make_tensor(NULL, TRAIN_BATCH, in, side, &s->x);
  if (status == MFQ_OK) status = make_tensor(NULL, TRAIN_BATCH, out, side, &s->y);
  if (status != MFQ_OK) return status;
  const int is_behind = index == CONV2 || index == FC2;
  s->dx = s->x;
  s->dy = s->y;
  s->outputs = train_elements(&s->y);
  s->x.data = is_behind ? s[-1].y.data : take(values, train_elements(&s->x));
  s->dx.data = is_behind ? s[-1].dy.data : take(values, train_elements(&s->x));
  s->y.data = take(values, s->outputs);
  s->dy.data = take(values, s->outputs);
  return MFQ_OK;
}

int train_network_init(int width, train_network *n) {
  float *values = NULL;
  *n = (train_network){.memory = NULL};
  make_shapes(width, n->shapes);
  const int code = allocate(n, &values);
  mfq_status status = MFQ_OK;
  for (int i = 0; code == DIGITS_OK && status == MFQ_OK && i < DIGITS_LAYERS; ++i) status = place_stage(n, i, &values);
  return code != DIGITS_OK ? code : digits_status(status, "a layer", mfq_last_error());
}

void train_network_free(train_network *n) {
  free(n->memory);
  free(n->pooled_from);
}
