/* host/cpu/kernels/produce_kernels.c: producers: the loops of produce_loops.h for the instruction set MFQ_ISA.
 *
 * Each loop calls a function of num/making.h with what a call decides once as constants, so that it becomes vector
 * code. */
#include "host/cpu/produce/produce_loops.h"

#include "loops.h"

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

INLINE mfqn_inputs inputs_at(const mfq_made_piece *p, int64_t i) { return (mfqn_inputs){p->a[i], p->b[i], p->c[i]}; }

INLINE mfqn_column column_at(const mfq_made_piece *p, int64_t i) { return (mfqn_column){p->gain[i], p->shift[i]}; }

INLINE void values_as(const mfqn_make *m, const mfq_made_piece *given, int part, uint32_t *restrict y) {
  const mfqn_make make = *m; /* copies that stores cannot change: they stay in registers */
  const mfq_made_piece p = *given;
  const mfqn_row row = *p.row;
  for (int64_t i = 0; i < p.n; ++i)
    y[i] = mfqn_bits(mfqn_make_value(&make, inputs_at(&p, i), column_at(&p, i), &row, part));
}

INLINE mfqn_make make_as(const mfqn_make *m, int32_t op) {
  mfqn_make make = *m;
  make.op = op;
  return make;
}

INLINE void activation_as(const mfqn_make *m, const mfq_made_piece *p, uint32_t *y, int32_t activation, int32_t op) {
  mfqn_make make = make_as(m, op);
  make.activation = activation;
  make.is_gated = 0;
  if (m->is_gated == 0) {
    values_as(&make, p, 0, y);
    return;
  }
  make.is_gated = 1;
  if (p->part == 0 || op == MFQN_MAKE_ACTIVATION)
    values_as(&make, p, 0, y);
  else
    values_as(&make, p, 1, y);
}

INLINE void activations(const mfqn_make *m, const mfq_made_piece *p, uint32_t *y, int32_t op) {
  mfqn_make plain = *m;
  plain.slope = 1.0f; /* which takes fewer steps */
  switch (m->activation) {
    case MFQN_ACTIVATION_NONE: activation_as(m, p, y, MFQN_ACTIVATION_NONE, op); break;
    case MFQN_ACTIVATION_RELU: activation_as(m, p, y, MFQN_ACTIVATION_RELU, op); break;
    case MFQN_ACTIVATION_GELU: activation_as(m, p, y, MFQN_ACTIVATION_GELU, op); break;
    case MFQN_ACTIVATION_GELU_TANH: activation_as(m, p, y, MFQN_ACTIVATION_GELU_TANH, op); break;
    default:
      if (m->slope == 1.0f)
        activation_as(&plain, p, y, MFQN_ACTIVATION_SILU, op);
      else
        activation_as(m, p, y, MFQN_ACTIVATION_SILU, op);
  }
}

static void values_of(const mfqn_make *m, const mfq_made_piece *p, uint32_t *y, int32_t op) {
  const mfqn_make norm = make_as(m, MFQN_MAKE_NORM), norm_backward = make_as(m, MFQN_MAKE_NORM_BACKWARD);
  const mfqn_make softmax = make_as(m, MFQN_MAKE_SOFTMAX), softmax_backward = make_as(m, MFQN_MAKE_SOFTMAX_BACKWARD);
  const mfqn_make rotary = make_as(m, MFQN_MAKE_ROTARY), loss = make_as(m, MFQN_MAKE_LOSS);
  switch (op) {
    case MFQN_MAKE_NORM: values_as(&norm, p, 0, y); break;
    case MFQN_MAKE_NORM_BACKWARD: values_as(&norm_backward, p, 0, y); break;
    case MFQN_MAKE_SOFTMAX: values_as(&softmax, p, 0, y); break;
    case MFQN_MAKE_SOFTMAX_BACKWARD: values_as(&softmax_backward, p, 0, y); break;
    case MFQN_MAKE_ROTARY:
      if (p->part == 0)
        values_as(&rotary, p, 0, y);
      else
        values_as(&rotary, p, 1, y);
      break;
    default: values_as(&loss, p, 0, y);
  }
}

static void values(const mfqn_make *m, const mfq_made_piece *p, uint32_t *y) {
  if (m->op == MFQN_MAKE_ACTIVATION)
    activations(m, p, y, MFQN_MAKE_ACTIVATION);
  else if (m->op == MFQN_MAKE_ACTIVATION_BACKWARD)
    activations(m, p, y, MFQN_MAKE_ACTIVATION_BACKWARD);
  else
    values_of(m, p, y, m->op);
}

INLINE void pairs_as(const mfqn_make *m, const mfq_made_piece *given, int32_t activation, uint32_t *restrict first,
                     uint32_t *restrict second) {
  mfqn_make make = make_as(m, MFQN_MAKE_ACTIVATION_BACKWARD);
  const mfq_made_piece p = *given;
  const mfqn_row row = *p.row;
  make.activation = activation;
  make.is_gated = 1;
  for (int64_t i = 0; i < p.n; ++i) {
    first[i] = mfqn_bits(mfqn_make_value(&make, inputs_at(&p, i), column_at(&p, i), &row, 0));
    second[i] = mfqn_bits(mfqn_make_value(&make, inputs_at(&p, i), column_at(&p, i), &row, 1));
  }
}

static void pairs(const mfqn_make *m, const mfq_made_piece *p, uint32_t *first, uint32_t *second) {
  mfqn_make plain = *m;
  plain.slope = 1.0f;
  if (m->op == MFQN_MAKE_ROTARY) {
    mfq_made_piece other = *p;
    other.part = 1;
    values_of(m, p, first, MFQN_MAKE_ROTARY);
    values_of(m, &other, second, MFQN_MAKE_ROTARY);
    return;
  }
  switch (m->activation) {
    case MFQN_ACTIVATION_NONE: pairs_as(m, p, MFQN_ACTIVATION_NONE, first, second); break;
    case MFQN_ACTIVATION_RELU: pairs_as(m, p, MFQN_ACTIVATION_RELU, first, second); break;
    case MFQN_ACTIVATION_GELU: pairs_as(m, p, MFQN_ACTIVATION_GELU, first, second); break;
    case MFQN_ACTIVATION_GELU_TANH: pairs_as(m, p, MFQN_ACTIVATION_GELU_TANH, first, second); break;
    default:
      if (m->slope == 1.0f)
        pairs_as(&plain, p, MFQN_ACTIVATION_SILU, first, second);
      else
        pairs_as(m, p, MFQN_ACTIVATION_SILU, first, second);
  }
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

INLINE void terms_as(const mfqn_make *m, int pass, const mfq_made_piece *given, float *restrict first,
                     float *restrict second) {
  const mfqn_make make = *m;
  const mfq_made_piece p = *given;
  const mfqn_row row = *p.row;
  for (int64_t i = 0; i < p.n; ++i) {
    const mfqn_terms t = mfqn_make_terms(&make, pass, inputs_at(&p, i), column_at(&p, i), &row);
    first[i] = t.first;
    if (second) second[i] = t.second;
  }
}

INLINE void terms_both(const mfqn_make *m, int pass, const mfq_made_piece *p, float *first, float *second) {
  if (second)
    terms_as(m, pass, p, first, second);
  else
    terms_as(m, pass, p, first, NULL);
}

static void terms(const mfqn_make *m, int pass, const mfq_made_piece *p, float *first, float *second) {
  mfqn_make norm = make_as(m, MFQN_MAKE_NORM), layer = norm;
  const mfqn_make norm_backward = make_as(m, MFQN_MAKE_NORM_BACKWARD), softmax = make_as(m, MFQN_MAKE_SOFTMAX);
  const mfqn_make softmax_backward = make_as(m, MFQN_MAKE_SOFTMAX_BACKWARD), loss = make_as(m, MFQN_MAKE_LOSS);
  norm.is_centred = 0;
  layer.is_centred = 1;
  switch (m->op) {
    case MFQN_MAKE_NORM:
      if (pass == 1)
        terms_as(&layer, 1, p, first, NULL);
      else if (m->is_centred)
        terms_as(&layer, 0, p, first, NULL);
      else
        terms_as(&norm, 0, p, first, NULL);
      break;
    case MFQN_MAKE_NORM_BACKWARD: terms_both(&norm_backward, 0, p, first, second); break;
    case MFQN_MAKE_SOFTMAX: terms_as(&softmax, 1, p, first, NULL); break;
    case MFQN_MAKE_SOFTMAX_BACKWARD: terms_as(&softmax_backward, 0, p, first, NULL); break;
    default: terms_both(&loss, 1, p, first, second);
  }
}

INLINE float largest_as(const mfqn_make *m, const mfq_made_piece *given) {
  enum { LANES = 32 };
  const mfqn_make make = *m;
  const mfq_made_piece p = *given;
  float lanes[LANES], largest = -mfqn_float_of(MFQN_INF);
  int64_t i = 0;
  for (int k = 0; k < LANES; ++k) lanes[k] = largest;
  for (; i + LANES <= p.n; i += LANES)
    for (int k = 0; k < LANES; ++k)
      lanes[k] =
          mfqn_larger(lanes[k], mfqn_make_terms(&make, 0, inputs_at(&p, i + k), column_at(&p, i + k), p.row).first);
  for (int k = 0; k < LANES; ++k) largest = mfqn_larger(largest, lanes[k]);
  for (; i < p.n; ++i)
    largest = mfqn_larger(largest, mfqn_make_terms(&make, 0, inputs_at(&p, i), column_at(&p, i), p.row).first);
  return largest;
}

static float largest(const mfqn_make *m, const mfq_made_piece *p) {
  const mfqn_make softmax = make_as(m, MFQN_MAKE_SOFTMAX), loss = make_as(m, MFQN_MAKE_LOSS);
  return m->op == MFQN_MAKE_SOFTMAX ? largest_as(&softmax, p) : largest_as(&loss, p);
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

static void column_terms(const mfqn_make *m, const mfq_made_piece *given, float *restrict first,
                         float *restrict second) {
  const mfqn_make make = make_as(m, MFQN_MAKE_NORM_BACKWARD);
  const mfq_made_piece p = *given;
  const mfqn_row row = *p.row;
  for (int64_t i = 0; i < p.n; ++i) {
    const mfqn_terms t = mfqn_make_column_terms(&make, inputs_at(&p, i), &row, 0.0f);
    first[i] = t.first;
    second[i] = t.second;
  }
}

static void fold_whole(const float *restrict x, int64_t ld, int64_t n, float *restrict sums) {
  for (int64_t i = 0; i < n; ++i) {
    const float *t = x + i;
    const float low = mfqn_add(mfqn_add(t[0], t[ld]), mfqn_add(t[2 * ld], t[3 * ld]));
    const float high = mfqn_add(mfqn_add(t[4 * ld], t[5 * ld]), mfqn_add(t[6 * ld], t[7 * ld]));
    sums[i] = mfqn_add(low, high);
  }
}

static void fold(const float *x, int64_t rows, int64_t ld, int64_t n, float *restrict sums) {
  if (rows == MFQ_MADE_ROWS) {
    fold_whole(x, ld, n, sums);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    float t[MFQ_MADE_ROWS];
    for (int64_t r = 0; r < rows; ++r) t[r] = x[r * ld + i];
    for (int64_t left = rows; left > 1; left = (left + 1) / 2) {
      if (left % 2 != 0) t[left] = 0.0f;
      for (int64_t k = 0; k < (left + 1) / 2; ++k) t[k] = mfqn_add(t[2 * k], t[2 * k + 1]);
    }
    sums[i] = t[0];
  }
}

static void add(const float *restrict a, const float *restrict b, int64_t n, uint32_t *restrict sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] = mfqn_one_nan(mfqn_add(a[i], b[i]));
}

static void evens(const float *restrict x, int64_t n, float *restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] = x[2 * i];
}

static void weave(const uint32_t *restrict first, const uint32_t *restrict second, int64_t n, uint32_t *restrict to) {
  for (int64_t i = 0; i < n; ++i) {
    to[2 * i] = first[i];
    to[2 * i + 1] = second[i];
  }
}

const mfq_produce_loops MFQ_JOIN(mfq_produce_loops_, MFQ_ISA) = {
    .values = values,
    .pairs = pairs,
    .terms = terms,
    .largest = largest,
    .column_terms = column_terms,
    .fold = fold,
    .add = add,
    .evens = evens,
    .weave = weave,
};
