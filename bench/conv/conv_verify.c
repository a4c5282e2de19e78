/* bench/conv/conv_verify.c: samples of results against sums in double. */
#include "conv_bench.h"

enum { SAMPLES = 48 };

/* ---- Values ----------------------------------------------------------------------------------------------------- */

int conv_values_create(const conv_memory *memory, bench_values *values) {
  const conv_roles roles = conv_roles_of(memory->direction);
  int64_t counts[CONV_TENSORS];
  for (int i = 0; i < CONV_TENSORS; ++i) counts[i] = conv_tensor_count(memory->shape, i);
  const int64_t operands[] = {counts[roles.operand[0]], counts[roles.operand[1]]};
  int code = bench_values_create(operands, counts[roles.result], values);
  for (int i = 0; code == BENCH_OK && i < 2; ++i)
    code = bench_status(
        bench_read_values(memory->tensors[roles.operand[i]].buffer, MFQ_DTYPE_BF16, 0, operands[i], values->plain[i]),
        "samples of the operands");
  return code;
}

/* What quantizing on the way in makes of the operands: the same codes as mfq_quantize. */
int conv_values_scheme(const conv_memory *memory, bench_values *values) {
  const conv_roles roles = conv_roles_of(memory->direction);
  mfq_context *context = memory->run->context;
  int code = BENCH_OK;
  for (int i = 0; code == BENCH_OK && !memory->scheme->is_plain && i < 2; ++i) {
    const int which = roles.operand[i];
    const mfq_scheme scheme = conv_operand_scheme(memory, which);
    int64_t size[4];
    mfq_tensor source;
    mfq_qtensor q;
    size_t used;
    bench_slots slots = {NULL, 0, 0};
    mfq_buffer *wide = NULL;
    conv_tensor_shape(memory->shape, which, size);
    mfq_status status = mfq_tensor_init(bench_slot(&memory->tensors[which], 0), MFQ_DTYPE_BF16, 4, size, &source);
    if (status == MFQ_OK) code = bench_slots_quantized(context, &source, &scheme, 0, &slots);
    if (status == MFQ_OK && code == BENCH_OK) status = bench_place(&scheme, 4, size, bench_slot(&slots, 0), &q, &used);
    if (status == MFQ_OK && code == BENCH_OK) status = bench_dequantized(context, &q, &wide);
    if (status == MFQ_OK && code == BENCH_OK)
      status = bench_read_values(wide, MFQ_DTYPE_F32, 0, conv_tensor_count(memory->shape, which), values->codes[i]);
    if (code == BENCH_OK) code = bench_status(status, memory->scheme->text);
    bench_slots_destroy(&slots);
    mfq_buffer_destroy(wide);
  }
  return code;
}

/* ---- Sums ------------------------------------------------------------------------------------------------------- */

/* Where the products of one element lie: all triples of an element of x, of w and of y that meet, of which the result's
 * coordinates are given. x: n h w c, w: k r s c, y: n p q k. */
typedef struct meeting {
  const conv_shape *shape;
  int64_t n, k, c, pixel[2], tap[2]; /* c: of all channels */
} meeting;

/* The place in x that an output pixel and a tap meet; -1 outside. */
static int64_t place(const conv_shape *s, int axis, int64_t pixel, int64_t tap) {
  const int64_t at = pixel * s->stride + tap - s->padding;
  return at >= 0 && at < s->in[axis] ? at : -1;
}

static int64_t index_x(const meeting *m, int64_t h, int64_t w) {
  return ((m->n * m->shape->in[0] + h) * m->shape->in[1] + w) * m->shape->in_channels + m->c;
}
static int64_t index_w(const meeting *m) {
  const int64_t in_group = m->shape->in_channels / m->shape->groups;
  return ((m->k * m->shape->filter[0] + m->tap[0]) * m->shape->filter[1] + m->tap[1]) * in_group + m->c % in_group;
}
static int64_t index_y(const meeting *m) {
  return ((m->n * conv_out(m->shape, 0) + m->pixel[0]) * conv_out(m->shape, 1) + m->pixel[1]) * m->shape->out_channels +
         m->k;
}

static bench_sum sum_forward(const conv_shape *s, const float *x, const float *w, const int64_t at[4]) {
  const int64_t in_group = s->in_channels / s->groups, first = at[3] / (s->out_channels / s->groups) * in_group;
  meeting m = {.shape = s, .n = at[0], .k = at[3], .pixel = {at[1], at[2]}};
  bench_sum sum = {0, 0, 0};
  for (m.tap[0] = 0; m.tap[0] < s->filter[0]; ++m.tap[0])
    for (m.tap[1] = 0; m.tap[1] < s->filter[1]; ++m.tap[1]) {
      const int64_t h = place(s, 0, at[1], m.tap[0]), v = place(s, 1, at[2], m.tap[1]);
      for (m.c = first; h >= 0 && v >= 0 && m.c < first + in_group; ++m.c)
        bench_sum_add(&sum, x[index_x(&m, h, v)], w[index_w(&m)]);
    }
  return sum;
}

static bench_sum sum_input_gradient(const conv_shape *s, const float *y, const float *w, const int64_t at[4]) {
  const int64_t out_group = s->out_channels / s->groups, first = at[3] / (s->in_channels / s->groups) * out_group;
  meeting m = {.shape = s, .n = at[0], .c = at[3]};
  bench_sum sum = {0, 0, 0};
  for (m.tap[0] = 0; m.tap[0] < s->filter[0]; ++m.tap[0])
    for (m.tap[1] = 0; m.tap[1] < s->filter[1]; ++m.tap[1]) {
      int is_met = 1;
      for (int i = 0; i < 2; ++i) {
        const int64_t from = at[1 + i] + s->padding - m.tap[i];
        m.pixel[i] = from / s->stride;
        is_met = is_met && from >= 0 && from % s->stride == 0 && m.pixel[i] < conv_out(s, i);
      }
      for (m.k = first; is_met && m.k < first + out_group; ++m.k) bench_sum_add(&sum, y[index_y(&m)], w[index_w(&m)]);
    }
  return sum;
}

static bench_sum sum_weight_gradient(const conv_shape *s, const float *x, const float *y, const int64_t at[4]) {
  const int64_t group = at[0] / (s->out_channels / s->groups);
  meeting m = {.shape = s, .k = at[0], .tap = {at[1], at[2]}, .c = group * (s->in_channels / s->groups) + at[3]};
  bench_sum sum = {0, 0, 0};
  for (m.n = 0; m.n < s->batch; ++m.n)
    for (m.pixel[0] = 0; m.pixel[0] < conv_out(s, 0); ++m.pixel[0])
      for (m.pixel[1] = 0; m.pixel[1] < conv_out(s, 1); ++m.pixel[1]) {
        const int64_t h = place(s, 0, m.pixel[0], at[1]), v = place(s, 1, m.pixel[1], at[2]);
        if (h >= 0 && v >= 0) bench_sum_add(&sum, x[index_x(&m, h, v)], y[index_y(&m)]);
      }
  return sum;
}

/* ---- Comparison ------------------------------------------------------------------------------------------------- */

int conv_check(const conv_memory *memory, const bench_values *values, const bench_row *row) {
  static bench_sum (*const sums[CONV_DIRECTIONS])(const conv_shape *, const float *, const float *,
                                                  const int64_t[4]) = {sum_forward, sum_input_gradient,
                                                                       sum_weight_gradient};
  const int result = conv_roles_of(memory->direction).result;
  float *const *operands = row == NULL || memory->scheme->is_plain ? values->plain : values->codes;
  const int64_t count = conv_tensor_count(memory->shape, result);
  char where[96];
  bench_found found = {.name = row != NULL ? row->name : "the peer",
                       .where = where,
                       .plan = row != NULL ? row->about : "no plan of ours"};
  int code = bench_status(
      bench_read_values(memory->tensors[result].buffer, memory->run->settings.out_type, 0, count, values->result),
      "reading the result");
  for (int i = 0; code == BENCH_OK && i < SAMPLES; ++i) {
    const int64_t index = (count - 1) * i / (SAMPLES - 1); /* the first, the last, others evenly between */
    int64_t size[4], at[4], rest = index;
    conv_tensor_shape(memory->shape, result, size);
    for (int axis = 3; axis >= 0; --axis, rest /= size[axis + 1]) at[axis] = rest % size[axis];
    const bench_sum sum = sums[memory->direction](memory->shape, operands[0], operands[1], at);
    found.value = (double)values->result[index];
    (void)snprintf(where, sizeof where, "[%lld][%lld][%lld][%lld]", (long long)at[0], (long long)at[1],
                   (long long)at[2], (long long)at[3]);
    code = bench_sum_check(memory->run, &sum, &found);
  }
  return code;
}
