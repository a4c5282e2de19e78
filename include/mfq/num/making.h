/* num/making.h: what stands between products: norms, activations and their derivatives, softmax, rotary embedding, the
 * loss of rows of logits.
 *
 * Every step is one float32 operation, so the bits are the same everywhere. A row is folded in up to two passes, whose
 * terms are summed by the tree of num/gradient.h or have a largest one; *row numbers* are what becomes of the sums; then
 * each element of the result follows from its inputs, the parameters of its column and the numbers of its row; and it
 * adds terms to the sums of its column, by the same tree. */
#ifndef MFQ_NUM_MAKING_H
#define MFQ_NUM_MAKING_H

#include "activation.h"

/* What is made. */
enum {
  MFQN_MAKE_NORM = 0,
  MFQN_MAKE_NORM_BACKWARD = 1,
  MFQN_MAKE_ACTIVATION = 2,
  MFQN_MAKE_ACTIVATION_BACKWARD = 3,
  MFQN_MAKE_SOFTMAX = 4,
  MFQN_MAKE_SOFTMAX_BACKWARD = 5,
  MFQN_MAKE_ROTARY = 6,
  MFQN_MAKE_LOSS = 7
};

/* Where the two of a pair stand in a row of pairs: element j of the first half with that of the second, or neighbours. */
enum { MFQN_PAIRS_NONE = 0, MFQN_PAIRS_HALVES = 1, MFQN_PAIRS_INTERLEAVED = 2 };

/* What all elements share. */
typedef struct mfqn_make {
  int32_t op;         /* MFQN_MAKE_* */
  int32_t pairs;      /* MFQN_PAIRS_* of the results: both gradients of a gate, both of a rotation */
  int32_t is_centred; /* norms: of a layer */
  int32_t activation; /* MFQN_ACTIVATION_* */
  int32_t is_gated;
  int32_t is_smoothed;
  float count;        /* columns of the inputs, as a float32 */
  float epsilon;      /* norms */
  float limit;        /* gates; infinity: none */
  float offset;       /* gates; -0: none */
  float slope;        /* SILU */
  float scale;        /* softmax */
  float kept, spread; /* of the loss: 1 - smoothing, and smoothing / count */
  float gradient_scale;
} mfqn_make;

/* The inputs of one element:
 *   NORM                  a: h
 *   NORM_BACKWARD         a: dy, b: h, c: dresidual, -0 where there is none
 *   ACTIVATION            a: x, or the gate and b: up
 *   ACTIVATION_BACKWARD   the same, and c: dy
 *   SOFTMAX               a: x
 *   SOFTMAX_BACKWARD      a: y, b: dy
 *   ROTARY                a: the first of a pair, b: the second
 *   LOSS                  a: the logit, b: mfqn_loss_wanted */
typedef struct mfqn_inputs {
  float a, b, c;
} mfqn_inputs;

/* The parameters of its column: of norms 1 and -0 where there are none; of ROTARY cosine and sine. */
typedef struct mfqn_column {
  float gain, shift;
} mfqn_column;

/* The numbers of a row:
 *   NORM                  mean (0 unless centred), scale
 *   NORM_BACKWARD         the same, mean of g * n, mean of g (0 unless centred)
 *   SOFTMAX               largest, sum
 *   SOFTMAX_BACKWARD      sum of y * dy
 *   LOSS                  largest, sum, what the gradient is times, and mfqn_loss_counts */
typedef struct mfqn_row {
  float v[4];
} mfqn_row;

/* Two terms, or two sums. */
typedef struct mfqn_terms {
  float first, second;
} mfqn_terms;

/* ---- Functions --------------------------------------------------------------------------------------------------- */

/* The larger one; NaN if one is. Of 0 and -0 either. */
MFQ_HD float mfqn_larger(float a, float b) { return b > a || b != b ? b : a; }

/* exp(-d) for d >= 0, within 1.1 units in the last place. */
MFQ_HD float mfqn_exp_minus(float d) {
  mfqn_pair x;
  x.hi = mfqn_limited(d, 128.0f); /* beyond, results are 0 */
  x.lo = 0.0f;
  const mfqn_decay e = mfqn_exp_decay(x);
  const float large = mfqn_mul(mfqn_add(1.0f, e.beyond_one), mfqn_normal_pow2(64 - e.halvings));
  return d != d ? d : mfqn_mul(large, 0x1p-64f);
}

/* log(x) for normal x, infinity and NaN, within 1 unit in the last place: k * ln 2 + log(1 + f), where 1 + f lies between
 * the roots of 1/2 and 2, and log(1 + f) = 2 * (s + s^3 / 3 + ... s^9 / 9), s = f / (2 + f). */
MFQ_HD float mfqn_log(float x) {
  const uint32_t root = 0x3f3504f3u, u = mfqn_bits(x) + (0x3f800000u - root);
  const float k = (float)((int32_t)(u >> 23) - 127);
  const float f = mfqn_sub(mfqn_float_of((u & 0x7fffffu) + root), 1.0f);
  const float s = mfqn_div(f, mfqn_add(2.0f, f)), z = mfqn_mul(s, s);
  float p = 0x1.c71c72p-3f;
  p = mfqn_add(mfqn_mul(p, z), 0x1.24924ap-2f);
  p = mfqn_add(mfqn_mul(p, z), 0x1.99999ap-2f);
  p = mfqn_add(mfqn_mul(p, z), 0x1.555556p-1f);
  const float bent = mfqn_mul(s, mfqn_sub(f, mfqn_mul(p, z)));
  const float rest = mfqn_sub(f, mfqn_sub(bent, mfqn_mul(k, 0x1.7f7d1cp-20f)));
  return mfqn_bits(x) >= MFQN_INF ? x : mfqn_add(mfqn_mul(k, 0x1.62e4p-1f), rest);
}

/* ---- Activations ------------------------------------------------------------------------------------------------- */

/* t * slope in two parts, exactly. */
MFQ_HD mfqn_pair mfqn_silu_exponent(float t, float slope) {
  const float th = mfqn_upper_half(t), tl = mfqn_sub(t, th), sh = mfqn_upper_half(slope), sl = mfqn_sub(slope, sh);
  mfqn_pair w;
  w.hi = mfqn_mul(t, slope);
  const float cross = mfqn_add(mfqn_mul(th, sl), mfqn_mul(tl, sh));
  w.lo = mfqn_add(mfqn_add(mfqn_sub(mfqn_mul(th, sh), w.hi), cross), mfqn_mul(tl, sl));
  return w;
}

/* x / (1 + exp(-slope * x)), for slopes of 2^-10 ... 2^10, with an error as mfqn_silu; with a slope of 1 its bits. */
MFQ_HD float mfqn_silu_sloped(float x, float slope) {
  const float t = mfqn_limited(x, mfqn_div(128.0f, slope)); /* beyond, results are 0 */
  return mfqn_logistic_product(x, t, mfqn_exp_decay(mfqn_silu_exponent(t, slope)));
}

/* s * (1 + m * (1 - s)) for s = 1 / (1 + exp(-w)), where `e` is exp(-|w|) and m >= 0 has the sign of w: the derivative of
 * x / (1 + exp(-w(x))) with m = |x * dw/dx|. Negative w: 2^64 times too large until the last step. */
MFQ_HD float mfqn_logistic_slope(int is_negative, float m, mfqn_decay e) {
  const float one = mfqn_add(1.0f, e.beyond_one), fading = mfqn_mul(one, mfqn_normal_pow2(64 - e.halvings));
  const float below_one = mfqn_mul(one, mfqn_normal_pow2(-mfqn_min(e.halvings, 126)));
  const float p = mfqn_div(1.0f, mfqn_add(1.0f, below_one));
  const float s = is_negative ? mfqn_mul(fading, p) : p;
  const float bend = mfqn_mul(m, is_negative ? p : mfqn_mul(below_one, p));
  const float y = mfqn_mul(s, is_negative ? mfqn_sub(1.0f, bend) : mfqn_add(1.0f, bend));
  return is_negative ? mfqn_mul(y, 0x1p-64f) : y;
}

MFQ_HD float mfqn_silu_slope(float x, float slope) {
  const mfqn_pair w = mfqn_silu_exponent(mfqn_limited(x, mfqn_div(128.0f, slope)), slope);
  return mfqn_logistic_slope(x < 0.0f, w.hi, mfqn_exp_decay(w));
}

/* x * dw/dx is 2 * sqrt(2 / pi) * (x + 3 * 0.044715 * x^3). */
MFQ_HD float mfqn_gelu_tanh_slope(float x) {
  const float t = mfqn_limited(x, 11.0f);
  const float steep = mfqn_add(0x1.988454p+0f, mfqn_mul(0x1.b6676cp-3f, mfqn_mul(t, t)));
  return mfqn_logistic_slope(x < 0.0f, mfqn_mul(t, steep), mfqn_exp_decay(mfqn_gelu_tanh_exponent(t)));
}

/* Phi(x) + x * phi(x), phi being the density of the normal distribution. At -t it is
 * exp(-t^2 / 2) * (P(4 / (t + 4)) / (t + 4) - t / sqrt(2 pi)), P being mfqn_normal_tail, and at t it is 1 less that. */
MFQ_HD float mfqn_gelu_slope(float x) {
  const float t = mfqn_limited(x, 15.0f), th = mfqn_upper_half(t), tl = mfqn_sub(t, th);
  const float inverse = mfqn_div(1.0f, mfqn_add(t, 4.0f));
  const mfqn_pair p = mfqn_normal_tail(mfqn_mul(4.0f, inverse));
  const float tail = mfqn_mul(mfqn_add(p.hi, p.lo), inverse), factor = mfqn_sub(tail, mfqn_mul(t, 0x1.988454p-2f));
  mfqn_pair half_square;
  half_square.hi = mfqn_mul(0.5f, mfqn_mul(th, th));
  half_square.lo = mfqn_mul(0.5f, mfqn_mul(tl, mfqn_add(t, th)));
  const mfqn_decay e = mfqn_exp_decay(half_square);
  const float large = mfqn_mul(mfqn_add(factor, mfqn_mul(factor, e.beyond_one)), mfqn_normal_pow2(64 - e.halvings));
  const float fading = mfqn_mul(large, 0x1p-64f);
  return x < 0.0f ? fading : mfqn_sub(1.0f, fading);
}

/* mfqn_activate with a slope for SILU. */
MFQ_HD float mfqn_make_activate(const mfqn_make *m, float x) {
  if (m->activation != MFQN_ACTIVATION_SILU) return mfqn_activate(x, m->activation);
  return x != x ? x : mfqn_silu_sloped(x, m->slope);
}

/* dy times the derivative at x. Without an activation x is of no matter; RELU's is 0 at 0, and dy is not multiplied. */
MFQ_HD float mfqn_activate_backward(const mfqn_make *m, float x, float dy) {
  float y = dy;
  switch (m->activation) {
    case MFQN_ACTIVATION_RELU: y = x > 0.0f ? dy : 0.0f; break;
    case MFQN_ACTIVATION_GELU: y = mfqn_mul(dy, mfqn_gelu_slope(x)); break;
    case MFQN_ACTIVATION_GELU_TANH: y = mfqn_mul(dy, mfqn_gelu_tanh_slope(x)); break;
    case MFQN_ACTIVATION_SILU: y = mfqn_mul(dy, mfqn_silu_slope(x, m->slope)); break;
    default: return dy;
  }
  return x != x ? x : y;
}

MFQ_HD float mfqn_gate_limited(const mfqn_make *m, float gate) { return gate > m->limit ? m->limit : gate; }

/* What the gate is times: up within its limits, plus the offset. */
MFQ_HD float mfqn_up_limited(const mfqn_make *m, float up) {
  const float below = up > m->limit ? m->limit : up;
  return mfqn_add(below < -m->limit ? -m->limit : below, m->offset);
}

MFQ_HD float mfqn_activation_value(const mfqn_make *m, mfqn_inputs in) {
  if (!m->is_gated) return mfqn_make_activate(m, in.a);
  return mfqn_mul(mfqn_make_activate(m, mfqn_gate_limited(m, in.a)), mfqn_up_limited(m, in.b));
}

/* `part` 0: the gradient of x, or of the gate; 1: that of up. What a limit cuts off has none. */
MFQ_HD float mfqn_activation_gradient(const mfqn_make *m, mfqn_inputs in, int part) {
  if (!m->is_gated) return mfqn_activate_backward(m, in.a, in.c);
  const float gate = mfqn_gate_limited(m, in.a);
  if (part == 0) {
    const float dx = mfqn_activate_backward(m, gate, mfqn_mul(in.c, mfqn_up_limited(m, in.b)));
    return in.a > m->limit ? 0.0f : dx;
  }
  const float dup = mfqn_mul(in.c, mfqn_make_activate(m, gate));
  return in.b > m->limit || in.b < -m->limit ? 0.0f : dup;
}

/* ---- Norms ------------------------------------------------------------------------------------------------------- */

/* h without its mean, times its scale. */
MFQ_HD float mfqn_normal(float h, const mfqn_row *row) { return mfqn_mul(mfqn_sub(h, row->v[0]), row->v[1]); }

MFQ_HD float mfqn_norm_value(mfqn_inputs in, mfqn_column col, const mfqn_row *row) {
  return mfqn_add(mfqn_mul(mfqn_normal(in.a, row), col.gain), col.shift);
}

/* ((g - mean of g) - n * mean of g * n) * scale + dresidual, where g is dy * gain and n mfqn_normal. */
MFQ_HD float mfqn_norm_gradient(mfqn_inputs in, mfqn_column col, const mfqn_row *row) {
  const float centred = mfqn_sub(mfqn_mul(in.a, col.gain), row->v[3]);
  const float across = mfqn_sub(centred, mfqn_mul(mfqn_normal(in.b, row), row->v[2]));
  return mfqn_add(mfqn_mul(across, row->v[1]), in.c);
}

/* ---- Softmax and loss -------------------------------------------------------------------------------------------- */

/* How many elements of a row of causal scores are in: from the first one on, of `cols`, the last row of `rows` all. */
MFQ_HD int64_t mfqn_causal_count(int64_t row, int64_t rows, int64_t cols) {
  const int64_t count = row + cols - rows + 1;
  return count < 0 ? 0 : count < cols ? count : cols;
}

/* What the probability of a class is compared with. */
MFQ_HD float mfqn_loss_wanted(const mfqn_make *m, int is_target) {
  return is_target ? mfqn_add(m->kept, m->spread) : m->spread;
}

/* What a target makes of its row: 1, 0 where it is ignored, NaN where it is no class. */
MFQ_HD float mfqn_loss_counts(int64_t target, int64_t ignored, int64_t classes) {
  return target == ignored ? 0.0f : target >= 0 && target < classes ? 1.0f : mfqn_float_of(MFQN_NAN);
}

/* The loss of a row whose largest logit and sum are known, from its target's logit and the sum of all distances from
 * the largest: log(sum) + kept * (largest - logit) + smoothing / count * distances. */
MFQ_HD float mfqn_loss_value(const mfqn_make *m, const mfqn_row *row, float logit, float distances) {
  const float near = mfqn_add(mfqn_log(row->v[1]), mfqn_mul(m->kept, mfqn_sub(row->v[0], logit)));
  const float loss = m->is_smoothed ? mfqn_add(near, mfqn_mul(m->spread, distances)) : near;
  const float counted = row->v[3] != row->v[3] ? row->v[3] : loss;
  return mfqn_float_of(row->v[3] == 0.0f ? 0u : mfqn_one_nan(counted));
}

/* Completes the numbers of a row: `counts` is mfqn_loss_counts, `rows` how many rows count, as a float32. */
MFQ_HD void mfqn_loss_row(const mfqn_make *m, float counts, float rows, mfqn_row *row) {
  row->v[2] = mfqn_div(m->gradient_scale, rows);
  row->v[3] = counts;
}

MFQ_HD float mfqn_loss_gradient(mfqn_inputs in, const mfqn_row *row) {
  const float p = mfqn_div(mfqn_exp_minus(mfqn_sub(row->v[0], in.a)), row->v[1]);
  const float d = mfqn_mul(mfqn_sub(p, in.b), row->v[2]), counts = row->v[3];
  return counts == 0.0f ? 0.0f : counts != counts ? counts : d;
}

/* scale * (y * (dy - sum of y * dy)); 0 where y is, whatever dy. */
MFQ_HD float mfqn_softmax_gradient(const mfqn_make *m, mfqn_inputs in, const mfqn_row *row) {
  const float d = mfqn_mul(m->scale, mfqn_mul(in.a, mfqn_sub(in.b, row->v[0])));
  return in.a == 0.0f ? 0.0f : d;
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

/* How many passes fold a row. */
MFQ_HD int mfqn_make_passes(const mfqn_make *m) {
  switch (m->op) {
    case MFQN_MAKE_NORM: return m->is_centred ? 2 : 1;
    case MFQN_MAKE_NORM_BACKWARD:
    case MFQN_MAKE_SOFTMAX_BACKWARD: return 1;
    case MFQN_MAKE_SOFTMAX:
    case MFQN_MAKE_LOSS: return 2;
    default: return 0;
  }
}

/* Whether a pass finds the largest of its first terms, from -infinity on by mfqn_larger, and sums nothing. */
MFQ_HD int mfqn_make_is_largest(const mfqn_make *m, int pass) {
  return pass == 0 && (m->op == MFQN_MAKE_SOFTMAX || m->op == MFQN_MAKE_LOSS);
}

/* Whether the second terms of a pass are wanted. */
MFQ_HD int mfqn_make_has_second(const mfqn_make *m, int pass) {
  return (m->op == MFQN_MAKE_NORM_BACKWARD && m->is_centred) ||
         (m->op == MFQN_MAKE_LOSS && pass == 1 && m->is_smoothed);
}

/* The terms of an element in a pass, `row` being what the passes before have left. Elements of causal scores that are out
 * have none: +0 in sums. */
MFQ_HD mfqn_terms mfqn_make_terms(const mfqn_make *m, int pass, mfqn_inputs in, mfqn_column col, const mfqn_row *row) {
  mfqn_terms t = {0.0f, 0.0f};
  switch (m->op) {
    case MFQN_MAKE_NORM: {
      const float d = mfqn_sub(in.a, pass == 0 ? 0.0f : row->v[0]);
      t.first = m->is_centred && pass == 0 ? in.a : mfqn_mul(d, d);
      break;
    }
    case MFQN_MAKE_NORM_BACKWARD:
      t.second = mfqn_mul(in.a, col.gain);
      t.first = mfqn_mul(t.second, mfqn_normal(in.b, row));
      break;
    case MFQN_MAKE_SOFTMAX: {
      const float x = mfqn_mul(m->scale, in.a);
      t.first = pass == 0 ? x : mfqn_exp_minus(mfqn_sub(row->v[0], x));
      break;
    }
    case MFQN_MAKE_SOFTMAX_BACKWARD: t.first = in.a == 0.0f ? 0.0f : mfqn_mul(in.a, in.b); break;
    case MFQN_MAKE_LOSS:
      t.second = mfqn_sub(row->v[0], in.a);
      t.first = pass == 0 ? in.a : mfqn_exp_minus(t.second);
      break;
    default: break;
  }
  return t;
}

/* What becomes of the sums of a pass. Of NORM_BACKWARD mean and scale are in `row` before. */
MFQ_HD void mfqn_make_row(const mfqn_make *m, int pass, mfqn_terms sums, mfqn_row *row) {
  switch (m->op) {
    case MFQN_MAKE_NORM: {
      const float mean = mfqn_div(sums.first, m->count);
      if (pass == 0) row->v[0] = m->is_centred ? mean : 0.0f;
      row->v[1] = mfqn_div(1.0f, mfqn_sqrt(mfqn_add(mean, m->epsilon))); /* of the last pass */
      break;
    }
    case MFQN_MAKE_NORM_BACKWARD:
      row->v[2] = mfqn_div(sums.first, m->count);
      row->v[3] = m->is_centred ? mfqn_div(sums.second, m->count) : 0.0f;
      break;
    case MFQN_MAKE_SOFTMAX:
    case MFQN_MAKE_LOSS: row->v[pass] = sums.first; break;
    default: row->v[0] = sums.first; break;
  }
}

/* An element of the result; `part` is 1 for the second one of a pair. */
MFQ_HD float mfqn_make_value(const mfqn_make *m, mfqn_inputs in, mfqn_column col, const mfqn_row *row, int part) {
  float y = 0.0f;
  switch (m->op) {
    case MFQN_MAKE_NORM: y = mfqn_norm_value(in, col, row); break;
    case MFQN_MAKE_NORM_BACKWARD: y = mfqn_norm_gradient(in, col, row); break;
    case MFQN_MAKE_ACTIVATION: y = mfqn_activation_value(m, in); break;
    case MFQN_MAKE_ACTIVATION_BACKWARD: y = mfqn_activation_gradient(m, in, part); break;
    case MFQN_MAKE_SOFTMAX:
      y = mfqn_div(mfqn_exp_minus(mfqn_sub(row->v[0], mfqn_mul(m->scale, in.a))), row->v[1]);
      break;
    case MFQN_MAKE_SOFTMAX_BACKWARD: y = mfqn_softmax_gradient(m, in, row); break;
    case MFQN_MAKE_ROTARY:
      y = part == 0 ? mfqn_sub(mfqn_mul(in.a, col.gain), mfqn_mul(in.b, col.shift))
                    : mfqn_add(mfqn_mul(in.b, col.gain), mfqn_mul(in.a, col.shift));
      break;
    default: y = mfqn_loss_gradient(in, row); break;
  }
  return mfqn_float_of(mfqn_one_nan(y));
}

/* What an element adds to the sums of its column: of NORM_BACKWARD to dgain and dshift, else `value`, of which dbias is
 * the sum. */
MFQ_HD mfqn_terms mfqn_make_column_terms(const mfqn_make *m, mfqn_inputs in, const mfqn_row *row, float value) {
  mfqn_terms t = {value, 0.0f};
  if (m->op != MFQN_MAKE_NORM_BACKWARD) return t;
  t.first = mfqn_mul(in.a, mfqn_normal(in.b, row));
  t.second = in.a;
  return t;
}

#endif
