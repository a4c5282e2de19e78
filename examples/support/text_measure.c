/* examples/support/text_measure.c: what a step of a transformer computes and keeps, and what the machine could multiply. */
#include <stdlib.h>
#include <string.h>

#include "text_training.h"

static double elements_of(const mfq_tensor *t) { return (double)train_elements(t); }

/* ---- Operations ------------------------------------------------------------------------------------------------- */

double text_flops(const text_shape *s) {
  const double rows = (double)s->batch * s->length;
  const double weights =
      s->blocks * (4.0 * s->width * s->width + 3.0 * s->width * s->hidden) + (double)s->vocabulary * s->width;
  const double attention = s->blocks * 2.0 * rows * s->length * s->width; /* scores, and their mix of v */
  return 2 * 3 * rows * weights + 2 * 3 * attention;
}

enum { SIDE = 1024, TRIES = 5 };

/* Operations per second of a product of two square matrices. */
static mfq_status measure(mfq_context *context, mfq_dtype dtype, void *memory, double *rate) {
  const int64_t shape[] = {SIDE, SIDE};
  const size_t bytes = (size_t)SIDE * SIDE * sizeof(float);
  mfq_tensor a, b, d;
  mfq_gemm gemm;
  mfq_gemm_plan *plan = NULL;
  mfq_gemm_init(&gemm);
  gemm.a.plain = &a;
  gemm.b.plain = &b;
  gemm.transpose_b = 1;
  gemm.d = &d;
  gemm.own_workspace = 1;
  mfq_status status = mfq_tensor_init(memory, dtype, 2, shape, &a);
  if (status == MFQ_OK) status = mfq_tensor_init((char *)memory + bytes, dtype, 2, shape, &b);
  if (status == MFQ_OK) status = mfq_tensor_init((char *)memory + 2 * bytes, MFQ_DTYPE_F32, 2, shape, &d);
  if (status == MFQ_OK) status = mfq_gemm_plan_create(context, &gemm, &plan);
  *rate = 0;
  for (int i = 0; status == MFQ_OK && i < TRIES; ++i) {
    const double start = digits_seconds();
    status = mfq_gemm_run(context, plan, &gemm, NULL, 0);
    const double found = 2.0 * SIDE * SIDE * SIDE / (digits_seconds() - start);
    if (found > *rate) *rate = found;
  }
  mfq_gemm_plan_destroy(plan);
  return status;
}

int text_peak(mfq_context *context, double *peak) {
  const size_t bytes = 3 * (size_t)SIDE * SIDE * sizeof(float);
  void *memory = aligned_alloc(256, bytes);
  double of_f32 = 0, of_bf16 = 0;
  if (memory == NULL) return digits_error(DIGITS_FAILED, "no memory for %zu bytes of matrices", bytes);
  memset(memory, 0, bytes);
  mfq_status status = measure(context, MFQ_DTYPE_F32, memory, &of_f32);
  if (status == MFQ_OK) status = measure(context, MFQ_DTYPE_BF16, memory, &of_bf16);
  *peak = of_f32 > of_bf16 ? of_f32 : of_bf16;
  free(memory);
  return digits_status(status, "the rate of products", mfq_last_error());
}

/* ---- Time ------------------------------------------------------------------------------------------------------- */

void text_clear_parts(text_model *m) { memset(m->seconds, 0, sizeof m->seconds); }

void text_add_parts(const text_model *m, double seconds, text_result *r) {
  double others = seconds;
  for (int part = 0; part < TEXT_BETWEEN; ++part) {
    r->parts[part] += m->seconds[part];
    others -= m->seconds[part];
  }
  r->parts[TEXT_BETWEEN] += others;
}

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

static void add_layer(const text_linear *l, text_memory *memory) {
  mfq_layer_memory m;
  if (mfq_layer_memory_get(l->layer, &m) != MFQ_OK) return;
  memory->operands += (double)m.activations + (l->has_own_x ? 4 * elements_of(&l->x) : 0);
  memory->operands_bf16 += 2 * elements_of(&l->x);
  memory->weight_codes += (double)(m.weight + m.kept - m.activations);
  memory->weight_bf16 += 2 * elements_of(&l->weight->value);
}

text_memory text_memory_of(const text_model *m, const mfq_optimizer *optimizer) {
  text_memory memory = {.operands = 0};
  mfq_optimizer_memory o = {.moments = 0};
  double elements = 0;
  for (int i = 0; i < m->parameters->count; ++i) elements += elements_of(&m->parameters->tensors[i].value);
  memory.weights = memory.gradients = 4 * elements;
  if (mfq_optimizer_memory_get(optimizer, &o) == MFQ_OK) memory.moments = (double)o.moments;
  for (int b = 0; b < m->shape.blocks; ++b) {
    const text_block *block = &m->blocks[b];
    for (int i = 0; i < TEXT_LAYERS; ++i) add_layer(&block->layers[i], &memory);
    for (int i = 0; i < 2; ++i)
      memory.others += 4 * (elements_of(&block->norms[i].h) + elements_of(&block->norms[i].scale));
    memory.others += 4 * (elements_of(&block->qkv) + elements_of(&block->probabilities) + elements_of(&block->gate_up));
  }
  memory.others += 4 * (elements_of(&m->last.h) + elements_of(&m->last.scale) + elements_of(&m->normalized) +
                        elements_of(&m->logits));
  return memory;
}
