/* host/cpu/conv/conv_lines.c: elements as doubles in the order in which a reproducible sum takes them; speed gives way
 * to one definition of that order. */
#include "conv_lines.h"

#include <mfq/num/pack.h>

#include "host/core/scheme/lower.h"
#include "host/core/problem/walk.h"
#include "host/cpu/cast/elements.h"

static int is_plain(const mfq_conv_operand *o) { return o->side.part.kind == MFQ_SIDE_PLAIN; }

mfqn_dot_side mfq_conv_operand_open(mfq_conv_operand *o) {
  if (is_plain(o)) return mfqn_dot_side_plain();
  const mfq_gemm_side *part = &o->side.part;
  mfq_lower(&part->view.q.scheme, &o->scheme);
  o->bits = mfq_code_bits(&part->view.q);
  for (uint32_t code = 0; code < 256; ++code)
    o->element[code] = mfqn_dot_element(&o->scheme, code & ((1u << o->scheme.bits) - 1u), 0);
  return mfqn_dot_side_make(&o->scheme, part->group != 0);
}

mfq_conv_strand mfq_conv_strand_make(const mfq_conv_operand *o, const int64_t *at, int32_t axis, int64_t step) {
  const mfq_conv_side *side = &o->side;
  const int64_t *stride = is_plain(o) ? side->stride : side->code_bits;
  const int has_groups = !is_plain(o) && side->part.group != 0 && side->scale_stride[axis] != 0;
  mfq_conv_strand s = {.axis = axis, .place_step = step * stride[axis]};
  s.line.first = at[axis];
  s.line.step = step;
  s.line.size = side->size[axis];
  s.line.group = has_groups ? side->scale_run[axis] : 0;
  for (int i = 0; i < MFQ_CONV_AXES; ++i) {
    s.place += at[i] * stride[i];
    if (!is_plain(o) && i != axis) s.scale += at[i] / side->scale_run[i] * side->scale_stride[i];
  }
  return s;
}

static int64_t scale_index(const mfq_conv_operand *o, const mfq_conv_strand *s, int64_t i) {
  return s->scale + (s->line.first + i * s->line.step) / o->side.scale_run[s->axis] * o->side.scale_stride[s->axis];
}

static void read_plain(const mfq_conv_operand *o, const mfq_conv_strand *s, mfq_conv_piece piece, double *out) {
  const mfq_tensor *t = &o->side.part.tensor;
  int64_t at = s->place + piece.first * s->place_step;
  for (int64_t i = piece.first; i < piece.end; ++i, at += s->place_step, out += piece.out_step)
    *out = (double)mfqn_float_of(mfq_element_load(t->data, t->dtype, at));
}

/* Codes that share a zero point. */
static void read_codes(const mfq_conv_operand *o, const mfq_conv_strand *s, mfq_conv_piece piece, double *out) {
  const uint8_t *codes = o->side.part.view.q.codes;
  int64_t bit = s->place + piece.first * s->place_step;
  for (int64_t i = piece.first; i < piece.end; ++i, bit += s->place_step, out += piece.out_step)
    *out = o->element[mfqn_get_bits(codes, bit, o->bits)];
}

static void subtract_zero_point(const mfq_conv_operand *o, int32_t zero_point, mfq_conv_piece piece, double *out) {
  const double zero = mfqn_dot_element(&o->scheme, mfqn_integer_code(zero_point, &o->scheme.integer), 0);
  for (int64_t i = piece.first; i < piece.end; ++i, out += piece.out_step) *out = mfqn_dsub(*out, zero);
}

void mfq_conv_strand_read(const mfq_conv_operand *o, const mfq_conv_strand *s, mfq_conv_piece piece, double *out) {
  if (is_plain(o)) {
    read_plain(o, s, piece, out);
    return;
  }
  read_codes(o, s, piece, out);
  if (!o->scheme.has_zero_point) return;
  for (mfq_conv_piece part = piece; part.first < piece.end; part.first = part.end) {
    const int64_t end = mfqn_conv_scale_end(s->line, part.first, piece.end);
    part.end = end < piece.end ? end : piece.end;
    const int32_t zero_point = mfq_zero_point_get(&o->side.part.view, &o->scheme, scale_index(o, s, part.first));
    subtract_zero_point(o, zero_point, part, out + (part.first - piece.first) * piece.out_step);
  }
}

float mfq_conv_strand_scale(const mfq_conv_operand *o, const mfq_conv_strand *s, int64_t i) {
  if (is_plain(o) || o->side.part.group == 0) return 1.0f;
  const uint32_t stored = mfq_scale_get(&o->side.part.view, scale_index(o, s, i));
  return mfqn_group_load(&o->scheme, stored, 1.0f).scale;
}
