/* bench/layer/layer_memory.c: blocks of layers, and their tensors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "layer_bench.h"

/* ---- Blocks ----------------------------------------------------------------------------------------------------- */

/* Reads a size of 1 ... 2^20 and what stands behind it, one of `ends`. Returns 0 where there is none. */
static int read_size(const char **at, const char *end, const char *ends, int64_t *size) {
  char *behind = NULL;
  if (*at >= end || **at < '1' || **at > '9') return 0;
  *size = strtoll(*at, &behind, 10);
  if (*size > 1 << 20 || behind > end) return 0;
  if (behind == end) {
    *at = end;
    return strchr(ends, ';') != NULL; /* which stands for the end */
  }
  *at = behind + 1;
  return strchr(ends, *behind) != NULL && *behind != ';';
}

static int read_convolutions(const char *at, const char *end, layer_block *b) {
  b->is_conv = 1;
  if (!read_size(&at, end, "x", &b->batch) || !read_size(&at, end, "x", &b->features[0]) ||
      !read_size(&at, end, "x", &b->in[0]) || !read_size(&at, end, "-", &b->in[1]))
    return 0;
  for (b->count = 0; at < end && b->count < LAYER_MOST; ++b->count)
    if (!read_size(&at, end, "x", &b->features[b->count + 1]) || !read_size(&at, end, "x", &b->filter[b->count][0]) ||
        !read_size(&at, end, "/;", &b->filter[b->count][1]) || b->filter[b->count][0] % 2 == 0 ||
        b->filter[b->count][1] % 2 == 0)
      return 0;
  return at == end && b->count > 0;
}

int layer_block_parse(const char *text, size_t length, layer_block *b) {
  const char *at = text, *end = text + length;
  *b = (layer_block){.count = 1};
  if (length >= sizeof b->text) return 0;
  memcpy(b->text, text, length);
  if (read_size(&at, end, "x", &b->batch) && read_size(&at, end, "-", &b->features[0]) &&
      read_size(&at, end, ";", &b->features[1]))
    return 1;
  return read_convolutions(text, end, b);
}

double layer_block_flops(const layer_block *b) {
  double flops = 0;
  for (int i = 0; i < b->count; ++i) {
    const double taps = b->is_conv ? (double)(b->filter[i][0] * b->filter[i][1]) : 1;
    const double rows = (double)b->batch * (b->is_conv ? (double)(b->in[0] * b->in[1]) : 1);
    flops += 3 * 2 * rows * taps * (double)(b->features[i] * b->features[i + 1]);
  }
  return flops;
}

/* ---- Tensors ---------------------------------------------------------------------------------------------------- */

static int64_t count_of(const mfq_tensor *t) {
  int64_t count = 1;
  for (int32_t d = 0; d < t->rank; ++d) count *= t->shape[d];
  return count;
}

/* `spread` 0: not filled. */
static int create_tensor(const bench_run *run, const int64_t *shape, double spread, uint64_t seed, layer_tensor *t) {
  const mfq_dtype dtype = run->settings.out_type;
  const int32_t rank = shape[2] == 0 ? 2 : 4;
  int code = bench_status(mfq_tensor_init(NULL, dtype, rank, shape, &t->tensor), "a tensor");
  const int64_t count = count_of(&t->tensor);
  const size_t bytes = (size_t)count * mfq_dtype_bytes(dtype);
  if (code == BENCH_OK) code = bench_slots_of(run->context, bytes, 1, &t->slots);
  if (code != BENCH_OK) return code;
  t->tensor.data = mfq_buffer_data(t->slots.buffer);
  if (spread == 0) return BENCH_OK;
  float *values = malloc((size_t)count * sizeof *values);
  uint16_t *halves = malloc((size_t)count * sizeof *halves);
  if (values == NULL || halves == NULL) code = bench_error(BENCH_FAILED, "no memory for inputs");
  if (code == BENCH_OK) bench_fill_normal(values, MFQ_DTYPE_F32, count, seed, run->settings.threads);
  for (int64_t i = 0; code == BENCH_OK && i < count; ++i) {
    uint32_t bits;
    values[i] = (float)(spread * (double)values[i]);
    memcpy(&bits, &values[i], sizeof bits);
    halves[i] = (uint16_t)(bits >> 16);
  }
  const void *host = dtype == MFQ_DTYPE_F32 ? (const void *)values : (const void *)halves;
  if (code == BENCH_OK) code = bench_status(mfq_buffer_write(t->slots.buffer, 0, host, bytes), "inputs");
  free(values);
  free(halves);
  return code;
}

static void activation_shape(const layer_block *b, int i, int64_t shape[4]) {
  const int64_t linear[4] = {b->batch, b->features[i], 0, 0}, conv[4] = {b->batch, b->in[0], b->in[1], b->features[i]};
  memcpy(shape, b->is_conv ? conv : linear, sizeof linear);
}

static void weight_shape(const layer_block *b, int i, int64_t shape[4]) {
  const int64_t linear[4] = {b->features[i + 1], b->features[i], 0, 0},
                conv[4] = {b->features[i + 1], b->filter[i][0], b->filter[i][1], b->features[i]};
  memcpy(shape, b->is_conv ? conv : linear, sizeof linear);
}

int layer_memory_create(const bench_run *run, const layer_block *block, layer_memory *m) {
  const uint64_t seed = (uint64_t)run->settings.seed * 64;
  int code = BENCH_OK;
  int64_t shape[4];
  *m = (layer_memory){.run = run, .block = block};
  for (int i = 0; code == BENCH_OK && i <= block->count; ++i) {
    activation_shape(block, i, shape);
    code = create_tensor(run, shape, i == 0, seed, &m->x[i]);
    if (code == BENCH_OK) code = create_tensor(run, shape, i == block->count, seed + 1, &m->dx[i]);
  }
  for (int i = 0; code == BENCH_OK && i < block->count; ++i) {
    const double taps = block->is_conv ? (double)(block->filter[i][0] * block->filter[i][1]) : 1;
    weight_shape(block, i, shape);
    code = create_tensor(run, shape, 1 / sqrt(taps * (double)block->features[i]), seed + 2 + (uint64_t)i, &m->w[i]);
    if (code == BENCH_OK) code = create_tensor(run, shape, 0, 0, &m->dw[i]);
  }
  return code;
}

void layer_memory_destroy(layer_memory *m) {
  for (int i = 0; i <= LAYER_MOST; ++i) {
    bench_slots_destroy(&m->x[i].slots);
    bench_slots_destroy(&m->dx[i].slots);
    if (i == LAYER_MOST) break;
    bench_slots_destroy(&m->w[i].slots);
    bench_slots_destroy(&m->dw[i].slots);
  }
}
