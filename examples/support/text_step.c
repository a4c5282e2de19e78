/* examples/support/text_step.c: a transformer forward and backward. What stands between the layers writes their operands as
 * codes into the layers' memory; where a recipe does not let it, a layer is given the tensor, and quantizes it. */
#include <string.h>

#include "text_training.h"

/* ---- Operands of layers ----------------------------------------------------------------------------------------- */

/* Where a producer writes an operand of a layer: codes and, where it is wanted, the tensor. */
typedef struct operand {
  mfq_layer_target target;
  mfq_outputs outputs;
  const mfq_tensor *plain; /* what the layer is given; NULL: codes are all it needs */
} operand;

/* `is_read`: the tensor is read elsewhere too. */
static mfq_status operand_of(mfq_layer *layer, mfq_layer_operand which, const mfq_tensor *plain, int is_read,
                             operand *o) {
  memset(o, 0, sizeof *o);
  const mfq_status status = mfq_layer_target_get(layer, which, &o->target);
  if (status != MFQ_OK && status != MFQ_ERROR_UNSUPPORTED) return status;
  const int is_coded = status == MFQ_OK;
  if (is_coded && o->target.has_row) o->outputs.row = &o->target.row;
  if (is_coded && o->target.has_col) o->outputs.col = &o->target.col;
  o->plain = !is_coded || o->target.needs_plain ? plain : NULL;
  o->outputs.plain = is_read ? plain : o->plain;
  return MFQ_OK;
}

static mfq_status operand_x(const text_linear *l, operand *o) {
  return operand_of(l->layer, MFQ_LAYER_OPERAND_X, &l->x, l->has_own_x, o);
}

/* ---- The time they take ----------------------------------------------------------------------------------------- */

const char *const text_part_names[] = {"layers", "attention", "optimizer", "between"};

/* Adds the time since `start` to a part, and hands on what came of it. */
static mfq_status timed(text_model *m, int part, double start, mfq_status status) {
  m->seconds[part] += digits_seconds() - start;
  return status;
}

static mfq_status layer_forward(text_model *m, mfq_layer *layer, const mfq_tensor *x, const mfq_tensor *y) {
  const double start = digits_seconds();
  return timed(m, TEXT_IN_LAYERS, start, mfq_layer_forward(layer, x, y));
}

static mfq_status layer_backward(text_model *m, mfq_layer *layer, const mfq_layer_gradients *gradients) {
  const double start = digits_seconds();
  return timed(m, TEXT_IN_LAYERS, start, mfq_layer_backward(layer, gradients));
}

static mfq_status linear_backward(text_model *m, const text_linear *l, const mfq_tensor *dy, const mfq_tensor *dx) {
  mfq_layer_gradients g;
  mfq_layer_gradients_init(&g);
  g.dy = dy;
  g.x = l->has_own_x ? &l->x : NULL;
  g.dx = dx;
  g.dweight = &l->weight->gradient;
  return layer_backward(m, l->layer, &g);
}

static mfq_status attention_forward(text_model *m, const text_block *b, const mfq_tensor *mixed) {
  const double start = digits_seconds();
  return timed(m, TEXT_IN_ATTENTION, start, text_attention_forward(m, b, mixed));
}

static mfq_status attention_backward(text_model *m, const text_block *b, const mfq_tensor *dmixed) {
  const double start = digits_seconds();
  return timed(m, TEXT_IN_ATTENTION, start, text_attention_backward(m, b, dmixed));
}

/* ---- Forward ---------------------------------------------------------------------------------------------------- */

/* The stream becomes x plus what a branch adds to it (NULL: x is in its place), and is normalized. */
static mfq_status normalize(const text_model *m, const text_norm *norm, const mfq_tensor *x, mfq_outputs y) {
  mfq_norm n;
  mfq_norm_init(&n);
  n.x = x != NULL ? x : &norm->h;
  n.residual = x != NULL ? &m->branch : NULL;
  n.sum = x != NULL ? &norm->h : NULL;
  n.gain = &norm->gain->value;
  n.scale = &norm->scale;
  n.y = y;
  return mfq_norm_forward(m->context, &n);
}

static mfq_status attend(text_model *m, text_block *b, const mfq_tensor *stream) {
  text_linear *qkv = &b->layers[TEXT_QKV], *out = &b->layers[TEXT_OUT];
  operand x;
  mfq_status status = operand_x(qkv, &x);
  if (status == MFQ_OK) status = normalize(m, &b->norms[0], stream, x.outputs);
  if (status == MFQ_OK) status = layer_forward(m, qkv->layer, x.plain, &b->qkv);
  if (status == MFQ_OK) status = attention_forward(m, b, &out->x);
  return status == MFQ_OK ? layer_forward(m, out->layer, &out->x, &m->branch) : status;
}

static mfq_status think(text_model *m, text_block *b) {
  text_linear *gate_up = &b->layers[TEXT_GATE_UP], *down = &b->layers[TEXT_DOWN];
  operand x;
  mfq_status status = operand_x(gate_up, &x);
  if (status == MFQ_OK) status = normalize(m, &b->norms[1], &b->norms[0].h, x.outputs);
  if (status == MFQ_OK) status = layer_forward(m, gate_up->layer, x.plain, &b->gate_up);
  if (status == MFQ_OK) status = operand_x(down, &x);
  mfq_activating a;
  mfq_activating_init(&a);
  a.activation = MFQ_ACTIVATION_SILU;
  a.gate = MFQ_GATE_HALVES;
  a.x = &b->gate_up;
  a.y = x.outputs;
  if (status == MFQ_OK) status = mfq_activation_forward(m->context, &a);
  return status == MFQ_OK ? layer_forward(m, down->layer, x.plain, &m->branch) : status;
}

static mfq_indices indices_of(const text_model *m, const int32_t *numbers) {
  return (mfq_indices){numbers, MFQ_INDEX_I32, (int64_t)m->shape.batch * m->shape.length};
}

mfq_status text_forward(text_model *m) {
  mfq_gathering embed;
  mfq_gathering_init(&embed);
  embed.plain = &m->table->value;
  embed.indices = indices_of(m, m->tokens);
  embed.y = &m->blocks[0].norms[0].h;
  mfq_status status = mfq_gather(m->context, &embed);
  const mfq_tensor *stream = NULL;
  for (int b = 0; status == MFQ_OK && b < m->shape.blocks; ++b) {
    status = attend(m, &m->blocks[b], stream);
    if (status == MFQ_OK) status = think(m, &m->blocks[b]);
    stream = &m->blocks[b].norms[1].h;
  }
  if (status == MFQ_OK) status = normalize(m, &m->last, stream, (mfq_outputs){.plain = &m->normalized});
  return status == MFQ_OK ? layer_forward(m, m->head, &m->normalized, &m->logits) : status;
}

mfq_status text_loss(text_model *m, int has_gradient, float *loss) {
  mfq_cross_entropy_loss c;
  mfq_cross_entropy_loss_init(&c);
  c.logits = &m->logits;
  c.targets = indices_of(m, m->targets);
  c.loss = &m->loss;
  if (has_gradient) c.dlogits.plain = &m->logits;
  const mfq_status status = mfq_cross_entropy(m->context, &c);
  if (status == MFQ_OK) *loss = *(const float *)m->loss.data;
  return status;
}

/* ---- Backward --------------------------------------------------------------------------------------------------- */

/* From the gradient of what a norm gave, in dx, and that of the stream behind it, in dh (NULL: none), to that of the stream
 * before it: in dh, and as codes for the layer that added to it there (NULL: none). */
static mfq_status normalize_backward(const text_model *m, const text_norm *norm, const mfq_tensor *behind,
                                     const text_linear *added, operand *dy) {
  mfq_status status = MFQ_OK;
  memset(dy, 0, sizeof *dy);
  dy->outputs.plain = &m->dh;
  if (added != NULL) status = operand_of(added->layer, MFQ_LAYER_OPERAND_DY, &m->dh, 1, dy);
  mfq_norm_gradient n;
  mfq_norm_gradient_init(&n);
  n.dy = &m->dx;
  n.h = &norm->h;
  n.gain = &norm->gain->value;
  n.scale = &norm->scale;
  n.dresidual = behind;
  n.dgain = &norm->gain->gradient;
  n.dx = dy->outputs;
  return status == MFQ_OK ? mfq_norm_backward(m->context, &n) : status;
}

/* `dy`: the gradient of the stream, as the layer takes it that added to it. */
static mfq_status think_backward(text_model *m, text_block *b, operand *dy) {
  const text_linear *gate_up = &b->layers[TEXT_GATE_UP], *down = &b->layers[TEXT_DOWN];
  operand d;
  mfq_status status = linear_backward(m, down, dy->plain, &m->dactivated);
  if (status == MFQ_OK) status = operand_of(gate_up->layer, MFQ_LAYER_OPERAND_DY, &m->dgate_up, 0, &d);
  mfq_activating_gradient a;
  mfq_activating_gradient_init(&a);
  a.activation = MFQ_ACTIVATION_SILU;
  a.gate = MFQ_GATE_HALVES;
  a.x = &b->gate_up;
  a.dy = &m->dactivated;
  a.dx = d.outputs;
  if (status == MFQ_OK) status = mfq_activation_backward(m->context, &a);
  if (status == MFQ_OK) status = linear_backward(m, gate_up, d.plain, &m->dx);
  return status == MFQ_OK ? normalize_backward(m, &b->norms[1], &m->dh, &b->layers[TEXT_OUT], dy) : status;
}

/* `before`: the layer that added to the stream before this block; NULL in the first one. */
static mfq_status attend_backward(text_model *m, text_block *b, const text_linear *before, operand *dy) {
  const mfq_tensor *dmixed = &m->attended; /* which is read no more */
  mfq_status status = linear_backward(m, &b->layers[TEXT_OUT], dy->plain, dmixed);
  if (status == MFQ_OK) status = attention_backward(m, b, dmixed);
  if (status == MFQ_OK) status = linear_backward(m, &b->layers[TEXT_QKV], &m->dqkv, &m->dx);
  return status == MFQ_OK ? normalize_backward(m, &b->norms[0], &m->dh, before, dy) : status;
}

mfq_status text_backward(text_model *m) {
  const int last = m->shape.blocks - 1;
  operand dy;
  mfq_layer_gradients g;
  mfq_layer_gradients_init(&g);
  g.dy = &m->logits;
  g.x = &m->normalized;
  g.dx = &m->dx;
  g.dweight = &m->head_weight->gradient;
  mfq_status status = layer_backward(m, m->head, &g);
  if (status == MFQ_OK) status = normalize_backward(m, &m->last, NULL, &m->blocks[last].layers[TEXT_DOWN], &dy);
  for (int b = last; status == MFQ_OK && b >= 0; --b) {
    status = think_backward(m, &m->blocks[b], &dy);
    const text_linear *before = b > 0 ? &m->blocks[b - 1].layers[TEXT_DOWN] : NULL;
    if (status == MFQ_OK) status = attend_backward(m, &m->blocks[b], before, &dy);
  }
  if (status != MFQ_OK) return status;
  mfq_scattering s;
  mfq_scattering_init(&s);
  s.indices = indices_of(m, m->tokens);
  s.dy = &m->dh;
  s.dweight = &m->table->gradient;
  return mfq_scatter_add(m->context, &s);
}
