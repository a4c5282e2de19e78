/* tests/support/layer_targets.h: two layers of one description: one is given its tensors, the other one codes that mfq_quantize
 * writes into its memory, wherever it takes them. */
#ifndef MFQ_TESTS_SUPPORT_LAYER_TARGETS_H
#define MFQ_TESTS_SUPPORT_LAYER_TARGETS_H

#include "layer_oracle.h"

namespace mfq_test {

/* A tensor of a layer with the axes that its codes have: rows of a linear layer merged; of a convolution by blocks
 * [images, pixels, channels], and of its weight [taps, first axis, second]. */
inline mfq_tensor as_codes(const LayerCase &c, ConvTensor which, const mfq_tensor &t, const mfq_qtensor &q) {
  mfq_tensor seen = t;
  seen.rank = q.rank;
  std::copy(q.shape, q.shape + q.rank, seen.shape);
  if (!c.conv) {
    seen.strides[1] = t.strides[t.rank - 1];
    seen.strides[0] = t.rank > 1 ? t.strides[t.rank - 2] : seen.shape[1];
    return seen;
  }
  if (q.scheme.granularity != MFQ_GRANULARITY_BLOCK) return seen;
  const int32_t channels = (int32_t)channel_axis(*c.conv), last = channels == 1 ? t.rank - 1 : t.rank - 2;
  const int merged = which == kWeight ? 0 : 1;
  seen.strides[merged] = t.strides[last];
  seen.strides[1 - merged] = t.strides[0];
  seen.strides[2] = t.strides[channels];
  return seen;
}

/* Whether a recipe lets others write an operand, worked out from its fields. */
inline bool takes_codes(const LayerCase &c, const mfq_recipe &recipe, mfq_layer_operand which, int phase = 0) {
  static const mfq_place places[3][2] = {{MFQ_PLACE_FPROP_X, MFQ_PLACE_WGRAD_X},
                                         {MFQ_PLACE_FPROP_W, MFQ_PLACE_DGRAD_W},
                                         {MFQ_PLACE_DGRAD_DY, MFQ_PLACE_WGRAD_DY}};
  const mfq_phase &p = recipe.phases[phase];
  bool has_any = false;
  for (const mfq_place place : places[which]) {
    const mfq_quantizer &z = p.places[place];
    if (z.take == MFQ_TAKE_PLAIN || z.take == MFQ_TAKE_SAME) continue;
    has_any = true;
    if (z.take == MFQ_TAKE_AGAIN && p.places[places[which][0]].take == MFQ_TAKE_QUANTIZED) return false;
    if (z.scaling != MFQ_SCALING_DYNAMIC || z.searched || z.fresh_signs || z.scheme.eden != 0 ||
        z.scheme.rounding == MFQ_ROUND_STOCHASTIC)
      return false;
  }
  if (which != MFQ_LAYER_OPERAND_DY) return has_any && c.keep == MFQ_KEEP_OPERANDS;
  const mfq_quantizer &y = p.places[MFQ_PLACE_Y];
  return has_any && (y.take == MFQ_TAKE_PLAIN || p.ste == MFQ_STE_IDENTITY);
}

class LayerTargets {
public:
  LayerRun plain, coded;
  int taken = 0; /* operands that were written as codes */

  LayerTargets(mfq_context *context, const LayerCase &c)
      : plain(context, c), coded(context, c), context_(context), recipe_(recipe_of(c.recipe)) {}

  /* One step of both. `steps` before it were taken. */
  void step(const LayerValues &v) {
    const int phase = recipe_.switch_step > 0 && mfq_layer_step(plain.get()) >= recipe_.switch_step;
    const bool is_new = phase != phase_ || mfq_layer_step(plain.get()) == 0;
    phase_ = phase;
    for (LayerRun *run : {&plain, &coded}) {
      run->weight.put(v.weight);
      run->bias.put(v.bias);
    }
    ASSERT_EQ(plain.forward(v.x), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(plain.backward(v.dy), MFQ_OK) << mfq_last_error();
    if (is_new) get(MFQ_LAYER_OPERAND_WEIGHT, &weight_);
    if (weight_.has_row || weight_.has_col) write(kWeight, coded.weight.tensor, weight_);
    forward(v.x);
    if (!testing::Test::HasFatalFailure()) backward(v.dy);
  }

private:
  mfq_context *context_;
  mfq_recipe recipe_;
  mfq_layer_target weight_ = {};
  int phase_ = 0;

  /* Nothing but zeros where the layer refuses, which is where it must. */
  void get(mfq_layer_operand which, mfq_layer_target *target) {
    *target = {};
    const mfq_status status = mfq_layer_target_get(coded.get(), which, target);
    EXPECT_EQ(status, takes_codes(coded.given, recipe_, which, phase_) ? MFQ_OK : MFQ_ERROR_UNSUPPORTED)
        << which << " " << coded.given.recipe << ": " << mfq_last_error();
    taken += status == MFQ_OK;
  }
  void write(ConvTensor which, const mfq_tensor &t, const mfq_layer_target &target) {
    const mfq_qtensor *const row = target.has_row ? &target.row : nullptr, *const col =
                                                                               target.has_col ? &target.col : nullptr;
    for (const mfq_qtensor *q : {row, col}) {
      const mfq_tensor seen = q != nullptr ? as_codes(coded.given, which, t, *q) : t;
      if (q != nullptr) ASSERT_EQ(mfq_quantize(context_, &seen, q, nullptr), MFQ_OK) << mfq_last_error();
    }
  }
  void forward(const Values &x) {
    mfq_layer_target target;
    get(MFQ_LAYER_OPERAND_X, &target);
    coded.x.put(x);
    coded.y.poison();
    write(kInput, coded.x.tensor, target);
    const bool is_coded = target.has_row || target.has_col, is_absent = is_coded && !target.needs_plain;
    if (is_absent) coded.x.poison();
    ASSERT_EQ(mfq_layer_forward(coded.get(), is_absent ? nullptr : &coded.x.tensor, &coded.y.tensor), MFQ_OK)
        << mfq_last_error();
    coded.x.put(x);
  }
  void backward(const Values &dy) {
    mfq_layer_target target;
    get(MFQ_LAYER_OPERAND_DY, &target);
    coded.dy.put(dy);
    for (LayerTensor *t : {&coded.dx, &coded.dweight, &coded.dbias}) t->poison();
    write(kOutput, coded.dy.tensor, target);
    mfq_layer_gradients g;
    mfq_layer_gradients_init(&g);
    g.x = &coded.x.tensor;
    g.dx = &coded.dx.tensor;
    g.dweight = &coded.dweight.tensor;
    const bool is_coded = target.has_row || target.has_col, is_absent = is_coded && !target.needs_plain;
    if (is_absent)
      coded.dy.poison(); /* but for the bias */
    else
      g.dy = &coded.dy.tensor;
    ASSERT_EQ(mfq_layer_backward(coded.get(), &g), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_context_synchronize(context_), MFQ_OK) << mfq_last_error();
    if (coded.given.has_bias) { /* by the backward again, whose codes are those that it had */
      coded.dy.put(dy);
      g.dy = &coded.dy.tensor;
      g.dbias = &coded.dbias.tensor;
      ASSERT_EQ(mfq_layer_backward(coded.get(), &g), MFQ_OK) << mfq_last_error();
    }
    ASSERT_EQ(mfq_context_synchronize(context_), MFQ_OK) << mfq_last_error();
  }
};

} // namespace mfq_test

#endif
