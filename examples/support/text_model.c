/* examples/support/text_model.c: parameters of a transformer, its layers, and where everything lies. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text_training.h"

/* ---- Parameters ------------------------------------------------------------------------------------------------- */

enum { ALIGNED = 64 }; /* floats: 256 bytes */

static int64_t rounded(int64_t count) { return (count + ALIGNED - 1) / ALIGNED * ALIGNED; }

/* [rows, columns], or [columns]. */
static void add_parameter(text_parameters *p, const char *name, int64_t rows, int64_t columns) {
  text_parameter *t = &p->tensors[p->count++];
  const int64_t shape[] = {rows, columns};
  const int is_matrix = rows > 0;
  (void)snprintf(t->name, sizeof t->name, "%s", name);
  mfq_status status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, is_matrix ? 2 : 1, is_matrix ? shape : shape + 1, &t->value);
  if (status == MFQ_OK) t->gradient = t->value;
  p->elements += rounded(is_matrix ? rows * columns : columns);
}

static void list_parameters(text_parameters *p) {
  const text_shape *s = &p->shape;
  static const char *const names[TEXT_LAYERS] = {"qkv", "out", "gate_up", "down"};
  const int64_t rows[TEXT_LAYERS] = {3 * s->width, s->width, 2 * s->hidden, s->width};
  const int64_t columns[TEXT_LAYERS] = {s->width, s->width, s->width, s->hidden};
  char name[32];
  add_parameter(p, "embedding", s->vocabulary, s->width);
  for (int b = 0; b < s->blocks; ++b)
    for (int i = 0; i < TEXT_LAYERS; ++i) {
      (void)snprintf(name, sizeof name, "block%d.norm%d", b, i / 2);
      if (i % 2 == 0) add_parameter(p, name, 0, s->width);
      (void)snprintf(name, sizeof name, "block%d.%s", b, names[i]);
      add_parameter(p, name, rows[i], columns[i]);
      p->tensors[p->count - 1].decays = 1;
    }
  add_parameter(p, "norm", 0, s->width);
  add_parameter(p, "head", s->vocabulary, s->width);
  p->tensors[p->count - 1].decays = 1;
}

/* Gains are 1. Rows of products keep the size of what they read; what is added to the stream is less, the more is added. */
static void fill_parameter(const text_parameters *p, text_parameter *t, uint64_t seed) {
  float *values = t->value.data;
  if (t->value.rank == 1) {
    for (int64_t i = 0; i < t->value.shape[0]; ++i) values[i] = 1;
    return;
  }
  const int is_table = t == &p->tensors[0], adds = strstr(t->name, ".out") != NULL || strstr(t->name, ".down") != NULL;
  const float inputs = is_table ? 1.0f : (float)t->value.shape[1];
  const float limit = sqrtf(3 / inputs) * (adds ? 1 / sqrtf(2.0f * (float)p->shape.blocks) : 1);
  train_fill_uniform(values, (size_t)(t->value.shape[0] * t->value.shape[1]), limit, seed);
}

int text_parameters_init(const text_shape *shape, uint64_t seed, text_parameters *p) {
  *p = (text_parameters){.shape = *shape};
  list_parameters(p);
  const size_t bytes = (size_t)p->elements * 2 * sizeof(float);
  p->memory = aligned_alloc(ALIGNED * sizeof(float), bytes);
  if (p->memory == NULL) return digits_error(DIGITS_FAILED, "no memory for %zu bytes of parameters", bytes);
  memset(p->memory, 0, bytes);
  float *at = p->memory;
  for (int i = 0; i < p->count; ++i) {
    text_parameter *t = &p->tensors[i];
    t->value.data = at;
    t->gradient.data = at + p->elements;
    at += rounded(t->value.rank == 2 ? t->value.shape[0] * t->value.shape[1] : t->value.shape[0]);
    fill_parameter(p, t, seed * 1000 + (uint64_t)i);
  }
  return DIGITS_OK;
}

void text_parameters_free(text_parameters *p) { free(p->memory); }

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

/* The next tensor of `base`; where that is NULL only its size counts. */
static void take(float *base, int64_t *used, const int64_t *shape, int rank, mfq_tensor *tensor) {
  int64_t count = 1;
  for (int i = 0; i < rank; ++i) count *= shape[i];
  mfq_status status = mfq_tensor_init(base != NULL ? base + *used : NULL, MFQ_DTYPE_F32, rank, shape, tensor);
  if (status == MFQ_OK) *used += rounded(count);
}

static void take_rows(const text_model *m, float *base, int64_t *used, int64_t columns, mfq_tensor *tensor) {
  const int64_t shape[] = {(int64_t)m->shape.batch * m->shape.length, columns};
  take(base, used, shape, 2, tensor);
}

static void take_scores(const text_model *m, float *base, int64_t *used, mfq_tensor *tensor) {
  const text_shape *s = &m->shape;
  const int64_t shape[] = {s->batch, s->heads, s->length, s->length};
  take(base, used, shape, 4, tensor);
}

static void take_norm(const text_model *m, float *base, int64_t *used, text_norm *norm) {
  const int64_t rows = (int64_t)m->shape.batch * m->shape.length;
  take_rows(m, base, used, m->shape.width, &norm->h);
  take(base, used, &rows, 1, &norm->scale);
}

static void take_block(text_model *m, float *base, int64_t *used, text_block *b) {
  const mfq_tensor *const shared[TEXT_LAYERS] = {&m->normalized, &m->attended, &m->normalized, &m->activated};
  for (int i = 0; i < 2; ++i) take_norm(m, base, used, &b->norms[i]);
  take_rows(m, base, used, 3 * (int64_t)m->shape.width, &b->qkv);
  take_rows(m, base, used, 2 * (int64_t)m->shape.hidden, &b->gate_up);
  take_scores(m, base, used, &b->probabilities);
  for (int i = 0; i < TEXT_LAYERS; ++i)
    if (b->layers[i].has_own_x)
      take_rows(m, base, used, shared[i]->shape[1], &b->layers[i].x);
    else
      b->layers[i].x = *shared[i];
}

/* Everything that is as large as a batch; first what blocks share. */
static int64_t take_all(text_model *m, float *base) {
  const int64_t width = m->shape.width, hidden = m->shape.hidden, one = 1;
  const int64_t angles[] = {m->shape.length, width / m->shape.heads / 2};
  int64_t used = 0;
  mfq_tensor *const of_width[] = {&m->normalized, &m->branch, &m->attended, &m->dh, &m->dx};
  for (int i = 0; i < 5; ++i) take_rows(m, base, &used, width, of_width[i]);
  take_rows(m, base, &used, hidden, &m->activated);
  take_rows(m, base, &used, hidden, &m->dactivated);
  take_rows(m, base, &used, 2 * hidden, &m->dgate_up);
  take_rows(m, base, &used, 3 * width, &m->dqkv);
  take_scores(m, base, &used, &m->dp);
  take_rows(m, base, &used, m->shape.vocabulary, &m->logits);
  take(base, &used, &one, 1, &m->loss);
  take(base, &used, angles, 2, &m->cosines);
  take(base, &used, angles, 2, &m->sines);
  for (int b = 0; b < m->shape.blocks; ++b) take_block(m, base, &used, &m->blocks[b]);
  take_norm(m, base, &used, &m->last);
  return used;
}

static int allocate(text_model *m) {
  const size_t bytes = (size_t)take_all(m, NULL) * sizeof(float);
  const size_t rows = (size_t)(m->shape.batch * m->shape.length);
  m->memory = aligned_alloc(ALIGNED * sizeof(float), bytes);
  m->tokens = malloc(rows * sizeof *m->tokens);
  m->targets = malloc(rows * sizeof *m->targets);
  if (m->memory == NULL || m->tokens == NULL || m->targets == NULL)
    return digits_error(DIGITS_FAILED, "no memory for %zu bytes of activations", bytes);
  memset(m->memory, 0, bytes);
  (void)take_all(m, m->memory);
  return DIGITS_OK;
}

/* ---- Layers ----------------------------------------------------------------------------------------------------- */

static mfq_status make_layer(const text_model *m, text_parameter *weight, const mfq_recipe *recipe, uint64_t seed,
                             mfq_layer **layer) {
  const int64_t rows = (int64_t)m->shape.batch * m->shape.length;
  const int64_t x_shape[] = {rows, weight->value.shape[1]}, y_shape[] = {rows, weight->value.shape[0]};
  mfq_tensor x, y;
  mfq_layer_options options;
  mfq_layer_options_init(&options);
  options.name = weight->name;
  options.recipe = recipe;
  options.x = &x;
  options.y = &y;
  options.weight = &weight->value;
  options.seed = seed;
  mfq_status status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, 2, x_shape, &x);
  if (status == MFQ_OK) status = mfq_tensor_init(NULL, MFQ_DTYPE_F32, 2, y_shape, &y);
  return status == MFQ_OK ? mfq_layer_create(m->context, &options, layer) : status;
}

/* The weight's codes, if others may write them. Codes of another phase would be others: then the layer quantizes it. */
static mfq_status find_codes(text_linear *l, const mfq_recipe *recipe) {
  if (recipe->switch_step > 0) return MFQ_OK;
  const mfq_status status = mfq_layer_target_get(l->layer, MFQ_LAYER_OPERAND_WEIGHT, &l->codes);
  return status == MFQ_ERROR_UNSUPPORTED ? MFQ_OK : status;
}

static mfq_status make_layers(text_model *m, text_quantization q) {
  text_parameter *p = m->parameters->tensors;
  mfq_status status = MFQ_OK;
  m->table = p++;
  for (int b = 0; b < m->shape.blocks; ++b)
    for (int i = 0; status == MFQ_OK && i < TEXT_LAYERS; ++i) {
      text_linear *l = &m->blocks[b].layers[i];
      if (i % 2 == 0) m->blocks[b].norms[i / 2].gain = p++;
      l->weight = p++;
      status = make_layer(m, l->weight, q.recipe, q.seed + (uint64_t)(b * TEXT_LAYERS + i), &l->layer);
      if (status == MFQ_OK && q.is_trained) status = find_codes(l, q.recipe);
      l->has_own_x = q.is_trained && (q.recipe->switch_step > 0 || mfq_layer_needs_x(l->layer));
    }
  m->last.gain = p++;
  m->head_weight = p;
  return status == MFQ_OK ? make_layer(m, m->head_weight, NULL, q.seed, &m->head) : status;
}

int text_model_create(mfq_context *context, text_parameters *parameters, const text_shape *shape,
                      text_quantization quantization, text_model *m) {
  memset(m, 0, sizeof *m);
  m->context = context;
  m->shape = *shape;
  m->parameters = parameters;
  int code = digits_status(make_layers(m, quantization), "a layer", mfq_last_error());
  if (code == DIGITS_OK) code = allocate(m);
  if (code != DIGITS_OK) return code;
  text_angles(m);
  return digits_status(text_attention_plan(m), "attention", mfq_last_error());
}

void text_model_destroy(text_model *m) {
  for (int i = 0; i < text_layer_count(m); ++i) mfq_layer_destroy(text_layer(m, i));
  text_attention_free(m);
  free(m->memory);
  free(m->tokens);
  free(m->targets);
}

int text_layer_count(const text_model *m) { return m->shape.blocks * TEXT_LAYERS + 1; }

mfq_layer *text_layer(const text_model *m, int index) {
  return index / TEXT_LAYERS < m->shape.blocks ? m->blocks[index / TEXT_LAYERS].layers[index % TEXT_LAYERS].layer
                                               : m->head;
}

mfq_status text_set_mode(text_model *m, mfq_layer_mode mode) {
  mfq_status status = MFQ_OK;
  for (int i = 0; status == MFQ_OK && i < text_layer_count(m); ++i) status = mfq_layer_set_mode(text_layer(m, i), mode);
  return status;
}
