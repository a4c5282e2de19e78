/* examples/support/text_attention.c: causal attention: rotary positions, plain products of all heads, softmax between them. */
#include <math.h>
#include <string.h>

#include "text_training.h"

/* What a product reads and writes: tensors [windows, heads, positions, elements or positions]. */
typedef struct product {
  const mfq_tensor *a, *b, *d;
  int transposes_a, transposes_b;
} product;

/* One of the three in the rows of q, k and v, or rows of one, as matrices of heads. */
static mfq_tensor heads_of(const text_shape *s, const mfq_tensor *rows, int which) {
  const int64_t row = rows->strides[0], size = s->width / s->heads;
  return (mfq_tensor){.data = rows->data != NULL ? (float *)rows->data + (int64_t)which * s->width : NULL,
                      .dtype = MFQ_DTYPE_F32,
                      .rank = 4,
                      .shape = {s->batch, s->heads, s->length, size},
                      .strides = {s->length * row, size, row, 1}};
}

static mfq_gemm describe(const product *p) {
  mfq_gemm gemm;
  mfq_gemm_init(&gemm);
  gemm.a.plain = p->a;
  gemm.b.plain = p->b;
  gemm.transpose_a = p->transposes_a;
  gemm.transpose_b = p->transposes_b;
  gemm.d = p->d;
  gemm.own_workspace = 1;
  return gemm;
}

/* The tensors of all six. */
typedef struct operands {
  mfq_tensor q, k, v, mixed, dq, dk, dv, dmixed;
  product products[TEXT_PRODUCTS];
} operands;

static void collect(const text_model *m, const text_block *b, const mfq_tensor *mixed, operands *o) {
  const text_shape *s = &m->shape;
  o->q = heads_of(s, &b->qkv, 0), o->k = heads_of(s, &b->qkv, 1), o->v = heads_of(s, &b->qkv, 2);
  o->dq = heads_of(s, &m->dqkv, 0), o->dk = heads_of(s, &m->dqkv, 1), o->dv = heads_of(s, &m->dqkv, 2);
  o->mixed = o->dmixed = heads_of(s, mixed, 0);
  const product products[TEXT_PRODUCTS] = {[TEXT_SCORES] = {&o->q, &o->k, &b->probabilities, 0, 1},
                                           [TEXT_MIX] = {&b->probabilities, &o->v, &o->mixed, 0, 0},
                                           [TEXT_DV] = {&b->probabilities, &o->dmixed, &o->dv, 1, 0},
                                           [TEXT_DP] = {&o->dmixed, &o->v, &m->dp, 0, 1},
                                           [TEXT_DQ] = {&m->dp, &o->k, &o->dq, 0, 0},
                                           [TEXT_DK] = {&m->dp, &o->q, &o->dk, 1, 0}};
  memcpy(o->products, products, sizeof products);
}

/* Every block's products are those of the first one. */
mfq_status text_attention_plan(text_model *m) {
  operands o;
  collect(m, &m->blocks[0], &m->attended, &o);
  mfq_status status = MFQ_OK;
  for (int i = 0; status == MFQ_OK && i < TEXT_PRODUCTS; ++i) {
    const mfq_gemm gemm = describe(&o.products[i]);
    status = mfq_gemm_plan_create(m->context, &gemm, &m->products[i]);
  }
  return status;
}

void text_attention_free(text_model *m) {
  for (int i = 0; i < TEXT_PRODUCTS; ++i) mfq_gemm_plan_destroy(m->products[i]);
}

static mfq_status run(const text_model *m, const operands *o, int which) {
  const mfq_gemm gemm = describe(&o->products[which]);
  return mfq_gemm_run(m->context, m->products[which], &gemm, NULL, 0);
}

/* Pair i of a head turns by position * 10000^(-2 i / size). */
void text_angles(const text_model *m) {
  const int pairs = m->shape.width / m->shape.heads / 2;
  float *cosines = m->cosines.data, *sines = m->sines.data;
  for (int t = 0; t < m->shape.length; ++t)
    for (int i = 0; i < pairs; ++i) {
      const double angle = t * pow(10000, -(double)i / pairs);
      cosines[t * pairs + i] = (float)cos(angle);
      sines[t * pairs + i] = (float)sin(angle);
    }
}

/* Turns q and k, which are neighbours, in place; `inverse`: back, as their gradients go. */
static mfq_status turn(const text_model *m, const mfq_tensor *rows, int inverse) {
  const text_shape *s = &m->shape;
  const int64_t row = rows->strides[0], size = s->width / s->heads;
  const mfq_tensor both = {.data = rows->data,
                           .dtype = MFQ_DTYPE_F32,
                           .rank = 4,
                           .shape = {s->batch, s->length, 2 * (int64_t)s->heads, size},
                           .strides = {s->length * row, row, size, 1}};
  mfq_rotating r;
  mfq_rotating_init(&r);
  r.x = r.y = &both;
  r.cosines = &m->cosines;
  r.sines = &m->sines;
  r.inverse = inverse;
  return mfq_rotary(m->context, &r);
}

static float score_scale(const text_shape *s) { return 1 / sqrtf((float)(s->width / s->heads)); }

mfq_status text_attention_forward(text_model *m, const text_block *b, const mfq_tensor *mixed) {
  operands o;
  collect(m, b, mixed, &o);
  mfq_softmaxing softmax;
  mfq_softmaxing_init(&softmax);
  softmax.scale = score_scale(&m->shape);
  softmax.causal = 1;
  softmax.x = softmax.y.plain = &b->probabilities;
  mfq_status status = turn(m, &b->qkv, 0);
  if (status == MFQ_OK) status = run(m, &o, TEXT_SCORES);
  if (status == MFQ_OK) status = mfq_softmax_forward(m->context, &softmax);
  return status == MFQ_OK ? run(m, &o, TEXT_MIX) : status;
}

mfq_status text_attention_backward(text_model *m, const text_block *b, const mfq_tensor *dmixed) {
  operands o;
  collect(m, b, dmixed, &o);
  mfq_softmaxing_gradient softmax;
  mfq_softmaxing_gradient_init(&softmax);
  softmax.scale = score_scale(&m->shape);
  softmax.y = &b->probabilities;
  softmax.dy = softmax.dx.plain = &m->dp;
  mfq_status status = run(m, &o, TEXT_DV);
  if (status == MFQ_OK) status = run(m, &o, TEXT_DP);
  if (status == MFQ_OK) status = mfq_softmax_backward(m->context, &softmax);
  if (status == MFQ_OK) status = run(m, &o, TEXT_DQ);
  if (status == MFQ_OK) status = run(m, &o, TEXT_DK);
  return status == MFQ_OK ? turn(m, &m->dqkv, 1) : status;
}
