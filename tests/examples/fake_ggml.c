/* Stands in for libggml-base.so and libggml-cpu.so: the functions that bench/peers/ggml_peer.py calls, on one thread, for
 * types that are all f32. It has two places for weights, of which the first takes none, and MFQ_FAKE_GGML=wrong gives
 * products that are twice what they should be. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct tensor {
  int64_t columns, rows;
  const struct tensor *w, *a; /* of a product */
  float *data;
  const void *place;
} tensor;

/* Holds at most two tensors, of which ggml_peer.py makes one each. */
typedef struct context {
  tensor tensors[2];
  int count;
} context;

typedef struct {
  size_t mem_size;
  void *mem_buffer;
  bool no_alloc;
} init_params;

typedef struct {
  const char *type_name;
  int64_t blck_size, blck_size_interleave;
  size_t type_size;
  bool is_quantized;
  void (*to_float)(const void *x, float *y, int64_t count);
  void *from_float_ref;
} type_traits;

static char packed_place, plain_place, backend;
static void *places[] = {&packed_place, NULL};

static void copy(const void *x, float *y, int64_t count) { memcpy(y, x, (size_t)count * sizeof *y); }
static void **extra_places(void *device) { return device == &backend ? places : NULL; }

const char *ggml_version(void) { return "0+fake"; }
void ggml_log_set(void *log, void *user) { (void)log, (void)user; }
context *ggml_init(init_params params) { return params.no_alloc ? calloc(1, sizeof(context)) : NULL; }
void ggml_free(context *made) { free(made); }
size_t ggml_row_size(int type, int64_t columns) { return (void)type, (size_t)columns * sizeof(float); }
void *ggml_get_data(const tensor *x) { return x->data; }

tensor *ggml_new_tensor_2d(context *made, int type, int64_t columns, int64_t rows) {
  (void)type;
  tensor *x = &made->tensors[made->count++];
  x->columns = columns;
  x->rows = rows;
  return x;
}

tensor *ggml_mul_mat(context *made, const tensor *w, const tensor *a) {
  tensor *d = ggml_new_tensor_2d(made, 0, w->rows, a->rows);
  d->w = w;
  d->a = a;
  return d;
}

const type_traits *ggml_get_type_traits(int type) {
  static const type_traits of_f32 = {.to_float = NULL}, of_others = {.to_float = copy};
  return type == 0 ? &of_f32 : &of_others;
}

size_t ggml_quantize_chunk(int type, const float *x, void *q, int64_t start, int64_t rows, int64_t columns,
                           void *matrix) {
  (void)type, (void)start, (void)matrix;
  copy(x, q, rows * columns);
  return (size_t)(rows * columns) * sizeof(float);
}

/* A graph is the product that it ends in. */
void *ggml_new_graph(context *made) { return calloc(1, sizeof(void *) + (made == NULL)); }
void ggml_build_forward_expand(const tensor **graph, const tensor *d) { *graph = d; }

void *ggml_backend_alloc_ctx_tensors_from_buft(context *made, const void *place) {
  tensor *x = &made->tensors[0];
  x->data = malloc((size_t)(x->rows * x->columns) * sizeof(float));
  x->place = place;
  return x->data;
}

void ggml_backend_buffer_free(void *data) { free(data); }
void ggml_backend_free(void *made) { (void)made; }
const char *ggml_backend_buft_name(const void *place) { return place == &plain_place ? "CPU" : "packed"; }

void ggml_backend_tensor_set(tensor *x, const void *data, size_t offset, size_t size) {
  if (x->place != &plain_place || offset + size > (size_t)(x->rows * x->columns) * sizeof(float)) abort();
  memcpy((char *)x->data + offset, data, size);
}

bool ggml_backend_dev_supports_op(const void *device, const tensor *d) {
  return device == &backend && d->w->place == &plain_place;
}

void *ggml_backend_get_device(void *made) { return made; }
void *ggml_backend_dev_backend_reg(void *device) { return device; }

void *ggml_backend_reg_get_proc_address(void *reg, const char *name) {
  (void)reg;
  return strcmp(name, "ggml_backend_dev_get_extra_bufts") == 0 ? (void *)(intptr_t)extra_places : NULL;
}

int ggml_backend_graph_compute(void *made, const tensor **graph) {
  const char *fault = getenv("MFQ_FAKE_GGML");
  const float times = fault && strcmp(fault, "wrong") == 0 ? 2 : 1;
  const tensor *d = *graph, *w = d->w, *a = d->a;
  for (int64_t m = 0; m < a->rows; ++m)
    for (int64_t n = 0; n < w->rows; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < w->columns; ++k) sum += (double)a->data[m * a->columns + k] * w->data[n * w->columns + k];
      d->data[m * w->rows + n] = times * (float)sum;
    }
  return made == &backend ? 0 : 1;
}

void *ggml_backend_cpu_init(void) { return &backend; }
void ggml_backend_cpu_set_n_threads(void *made, int threads) { (void)made, (void)threads; }
const void *ggml_backend_cpu_buffer_type(void) { return &plain_place; }
