// Bad arguments of producers: a status, a sentence, and nothing written.
#include <mfq/mfq.h>

#include <cmath>
#include <vector>

#include "support/misuse.h"

namespace {

using namespace misuse;

class MisuseProduce : public Misuse {
protected:
  std::vector<float> in = std::vector<float>(4 * 64 + 40, 0.5f), other = in, third = in;
  std::vector<float> out = std::vector<float>(4 * 64 + 40, -7.0f), sums = out, kept = out, more = out;
  std::vector<int64_t> indices = std::vector<int64_t>(8, 1);
  mfq_tensor x = dense(in.data(), MFQ_DTYPE_F32, {4, 64}), like_x = dense(other.data(), MFQ_DTYPE_F32, {4, 64}),
             also = dense(third.data(), MFQ_DTYPE_F32, {4, 64}), y = dense(out.data(), MFQ_DTYPE_F32, {4, 64}),
             sum = dense(sums.data(), MFQ_DTYPE_F32, {4, 64}), row = dense(kept.data(), MFQ_DTYPE_F32, {4}),
             rows = dense(more.data(), MFQ_DTYPE_F32, {4}), column = dense(in.data(), MFQ_DTYPE_F32, {64}),
             short_column = dense(in.data(), MFQ_DTYPE_F32, {63}), half_row = dense(kept.data(), MFQ_DTYPE_F16, {4}),
             narrow = dense(out.data(), MFQ_DTYPE_F32, {4, 32}), odd = dense(in.data(), MFQ_DTYPE_F32, {4, 63}),
             line = dense(in.data(), MFQ_DTYPE_F32, {64});
  mfq_outputs to_y = {&y, nullptr, nullptr};

  void expect_untouched() const {
    for (const std::vector<float> *t : {&out, &sums, &kept, &more}) EXPECT_EQ(*t, std::vector<float>(t->size(), -7.0f));
  }
};

/* ---- Norms ------------------------------------------------------------------------------------------------------- */

TEST_F(MisuseProduce, Norm) {
  mfq_norm good;
  mfq_norm_init(&good);
  good.x = &x;
  good.residual = &like_x;
  good.sum = &sum;
  good.scale = &row;
  good.y = to_y;
  EXPECT_TRUE(fails(mfq_norm_forward(nullptr, &good), invalid, {"mfq_norm_forward: context is NULL"}));
  EXPECT_TRUE(fails(mfq_norm_forward(context, nullptr), invalid, {"mfq_norm_forward: norm is NULL"}));
  const Owned wrong("mxfp8_e4m3", {4, 32}), codes("mxfp8_e4m3", {4, 64});
  mfq_qtensor missing = codes.q;
  missing.codes = nullptr;
  mfq_tensor overlapping = y, negative = x;
  overlapping.data = in.data() + 4;
  negative.strides[0] = 0;
  using Norm = mfq_norm;
  const std::vector<Bad<Norm>> bad = {
      {[](Norm *n) { n->struct_size = 8; }, invalid, {"norm->struct_size is 8", "call mfq_norm_init first"}},
      {[](Norm *n) { set_raw(&n->kind, 2); }, invalid, "norm: kind is 2; allowed is 0 ... 1"},
      {[](Norm *n) { n->epsilon = -1; }, invalid, "norm: epsilon is -1; allowed is 0 ... 3.40282e+38"},
      {[](Norm *n) { n->epsilon = NAN; }, invalid, "norm: epsilon is nan"},
      {[](Norm *n) { n->epsilon = HUGE_VALF; }, invalid, "norm: epsilon is inf"},
      {[&](Norm *n) { n->mean = &rows; }, invalid,
       "norm: mean is given, but kind is MFQ_NORM_RMS (0), which has none; leave it NULL"},
      {[](Norm *n) { n->x = nullptr; }, invalid, "norm->x is NULL"},
      {[&](Norm *n) { n->residual = &odd; }, bad_shape,
       "norm->residual: shape is [4, 63]; allowed is [4, 64], which follows from norm->x"},
      {[&](Norm *n) { n->sum = &narrow; }, bad_shape, "norm->sum: shape is [4, 32]; allowed is [4, 64]"},
      {[&](Norm *n) { n->gain = &short_column; }, bad_shape, "norm->gain: shape is [63]; allowed is [64]"},
      {[&](Norm *n) { n->shift = &short_column; }, bad_shape, "norm->shift: shape is [63]; allowed is [64]"},
      {[&](Norm *n) { n->scale = &line; }, bad_shape, "norm->scale: shape is [64]; allowed is [4]"},
      {[&](Norm *n) { n->scale = &half_row; }, invalid, "norm->scale: dtype is f16; allowed is f32"},
      {[](Norm *n) { n->y.plain = nullptr; }, invalid, "norm->y: plain, row and col are all NULL; give at least one"},
      {[&](Norm *n) { n->y.plain = &narrow; }, bad_shape, "norm->y.plain: shape is [4, 32]; allowed is [4, 64]"},
      {[&](Norm *n) { n->y.plain = &negative; }, invalid, "norm->y.plain: strides [0, 1] over shape [4, 64] let two"},
      {[&](Norm *n) { n->y.plain = &overlapping; }, invalid, "overlap in memory"},
      {[&](Norm *n) { n->y.plain = n->sum; }, invalid, "norm->sum.data and norm->y.plain.data overlap in memory"},
      {[&](Norm *n) { n->y.row = &wrong.q; }, bad_shape, "norm->y.row: shape is [4, 32]; allowed is [4, 64]"},
      {[&](Norm *n) { n->y.col = &missing; }, invalid, "norm->y.col: codes is NULL"},
      {[&](Norm *n) { n->y.row = n->y.col = &codes.q; }, invalid, "norm->y.row.codes and norm->y.col.codes overlap"},
  };
  expect_refused(bad, good, "mfq_norm_forward: ", [&](const Norm *n) { return mfq_norm_forward(context, n); });
  mfq_norm_init(nullptr);
  expect_untouched();
}

TEST_F(MisuseProduce, NormGradient) {
  mfq_norm_gradient good;
  mfq_norm_gradient_init(&good);
  good.kind = MFQ_NORM_LAYER;
  good.dy = &x;
  good.h = &like_x;
  good.mean = &rows;
  good.scale = &row;
  good.dx = to_y;
  EXPECT_TRUE(fails(mfq_norm_backward(nullptr, &good), invalid, {"mfq_norm_backward: context is NULL"}));
  EXPECT_TRUE(fails(mfq_norm_backward(context, nullptr), invalid, {"mfq_norm_backward: gradient is NULL"}));
  using Gradient = mfq_norm_gradient;
  const std::vector<Bad<Gradient>> bad = {
      {[](Gradient *g) { g->struct_size = 0; }, invalid, "call mfq_norm_gradient_init first"},
      {[](Gradient *g) { set_raw(&g->kind, 2); }, invalid, "gradient: kind is 2; allowed is 0 ... 1"},
      {[](Gradient *g) { g->accumulate = 2; }, invalid, "gradient: accumulate is 2; allowed is 0 ... 1"},
      {[](Gradient *g) { g->kind = MFQ_NORM_RMS; }, invalid, "gradient: mean is given, but kind is MFQ_NORM_RMS (0)"},
      {[](Gradient *g) { g->dy = nullptr; }, invalid, "gradient->dy is NULL"},
      {[](Gradient *g) { g->h = nullptr; }, invalid, "gradient->h is NULL"},
      {[](Gradient *g) { g->mean = nullptr; }, invalid, "gradient->mean is NULL"},
      {[](Gradient *g) { g->scale = nullptr; }, invalid, "gradient->scale is NULL"},
      {[&](Gradient *g) { g->h = &odd; }, bad_shape,
       "gradient->h: shape is [4, 63]; allowed is [4, 64], which follows from gradient->dy"},
      {[&](Gradient *g) { g->scale = &half_row; }, invalid, "gradient->scale: dtype is f16; allowed is f32"},
      {[&](Gradient *g) { g->dresidual = &odd; }, bad_shape, "gradient->dresidual: shape is [4, 63]"},
      {[&](Gradient *g) { g->dgain = &short_column; }, bad_shape, "gradient->dgain: shape is [63]; allowed is [64]"},
      {[&](Gradient *g) { g->dshift = &short_column; }, bad_shape, "gradient->dshift: shape is [63]; allowed is [64]"},
      {[&](Gradient *g) { g->dgain = &column; }, invalid, "gradient->dy.data and gradient->dgain.data overlap"},
      {[](Gradient *g) { g->dx.plain = nullptr; }, invalid,
       "gradient->dx: plain, row and col are all NULL; give at least one, or dgain or dshift"},
  };
  expect_refused(bad, good, "mfq_norm_backward: ", [&](const Gradient *g) { return mfq_norm_backward(context, g); });
  mfq_norm_gradient_init(nullptr);
  expect_untouched();
}

/* ---- Activations ------------------------------------------------------------------------------------------------- */

TEST_F(MisuseProduce, Activation) {
  mfq_activating good;
  mfq_activating_init(&good);
  good.activation = MFQ_ACTIVATION_SILU;
  good.gate = MFQ_GATE_HALVES;
  good.x = &x;
  good.y.plain = &narrow;
  EXPECT_TRUE(fails(mfq_activation_forward(nullptr, &good), invalid, {"mfq_activation_forward: context is NULL"}));
  EXPECT_TRUE(fails(mfq_activation_forward(context, nullptr), invalid, {"activating is NULL"}));
  mfq_tensor first_half = narrow;
  first_half.data = in.data();
  using Activating = mfq_activating;
  const std::vector<Bad<Activating>> bad = {
      {[](Activating *a) { a->struct_size = 1; }, invalid, "call mfq_activating_init first"},
      {[](Activating *a) { set_raw(&a->activation, 5); }, invalid, "activating: activation is 5; allowed is 0 ... 4"},
      {[](Activating *a) { set_raw(&a->gate, 3); }, invalid, "activating: gate is 3; allowed is 0 ... 2"},
      {[](Activating *a) { a->slope = 0; }, invalid, "activating: slope is 0; allowed is 0.000976562 ... 1024"},
      {[](Activating *a) { a->slope = NAN; }, invalid, "activating: slope is nan"},
      {[](Activating *a) { a->activation = MFQ_ACTIVATION_GELU, a->slope = 2; }, invalid,
       "activating: slope is 2, but activation is 2, which has none; leave it 1, or take MFQ_ACTIVATION_SILU (4)"},
      {[](Activating *a) { a->limit = -1; }, invalid, "activating: limit is -1; allowed is 0 ... 3.40282e+38"},
      {[](Activating *a) { a->offset = HUGE_VALF; }, invalid, "activating: offset is inf"},
      {[](Activating *a) { a->gate = MFQ_GATE_NONE, a->limit = 7; }, invalid,
       "activating: limit is 7, but gate is MFQ_GATE_NONE (0), which has none; leave it 0"},
      {[](Activating *a) { a->gate = MFQ_GATE_NONE, a->offset = 1; }, invalid, "activating: offset is 1, but gate"},
      {[](Activating *a) { a->x = nullptr; }, invalid, "activating->x is NULL"},
      {[&](Activating *a) { a->x = &odd; }, bad_shape,
       "activating->x: shape is [4, 63]; the last axis holds gates and ups, an even number together"},
      {[&](Activating *a) { a->y = to_y; }, bad_shape,
       "activating->y.plain: shape is [4, 64]; allowed is [4, 32], which follows from activating->x"},
      {[&](Activating *a) { a->y.plain = &first_half; }, invalid,
       "activating->x.data and activating->y.plain.data overlap"},
      {[](Activating *a) { a->y.plain = nullptr; }, invalid, "activating->y: plain, row and col are all NULL"},
  };
  expect_refused(bad, good,
                 "mfq_activation_forward: ", [&](const Activating *a) { return mfq_activation_forward(context, a); });
  mfq_activating_init(nullptr);
  expect_untouched();
}

TEST_F(MisuseProduce, ActivationGradient) {
  mfq_activating_gradient good;
  mfq_activating_gradient_init(&good);
  good.activation = MFQ_ACTIVATION_GELU;
  good.x = &x;
  good.dy = &like_x;
  good.dx = to_y;
  EXPECT_TRUE(fails(mfq_activation_backward(nullptr, &good), invalid, {"mfq_activation_backward: context is NULL"}));
  EXPECT_TRUE(fails(mfq_activation_backward(context, nullptr), invalid, {"gradient is NULL"}));
  mfq_tensor bias = dense(sums.data(), MFQ_DTYPE_F32, {63}), half = dense(other.data(), MFQ_DTYPE_F32, {4, 32});
  using Gradient = mfq_activating_gradient;
  const std::vector<Bad<Gradient>> bad = {
      {[](Gradient *g) { g->struct_size = 1; }, invalid, "call mfq_activating_gradient_init first"},
      {[](Gradient *g) { set_raw(&g->gate, 3); }, invalid, "gradient: gate is 3; allowed is 0 ... 2"},
      {[](Gradient *g) { g->accumulate = -1; }, invalid, "gradient: accumulate is -1; allowed is 0 ... 1"},
      {[](Gradient *g) { g->limit = 1; }, invalid, "gradient: limit is 1, but gate is MFQ_GATE_NONE (0)"},
      {[](Gradient *g) { g->slope = 3; }, invalid, "gradient: slope is 3, but activation is 2"},
      {[](Gradient *g) { g->x = nullptr; }, invalid, "gradient->x is NULL"},
      {[](Gradient *g) { g->dy = nullptr; }, invalid, "gradient->dy is NULL"},
      {[](Gradient *g) { g->activation = MFQ_ACTIVATION_NONE, g->x = g->dy = nullptr; }, invalid,
       "gradient->dy is NULL"},
      {[&](Gradient *g) { g->dy = &half; }, bad_shape,
       "gradient->dy: shape is [4, 32]; allowed is [4, 64], which follows from gradient->x"},
      {[&](Gradient *g) { g->gate = MFQ_GATE_HALVES; }, bad_shape,
       "gradient->dy: shape is [4, 64]; allowed is [4, 32]"},
      {[&](Gradient *g) { g->dbias = &bias; }, bad_shape, "gradient->dbias: shape is [63]; allowed is [64]"},
      {[&](Gradient *g) { g->gate = MFQ_GATE_HALVES, g->dy = &half, g->dx.plain = &x; }, invalid,
       "gradient->x.data and gradient->dx.plain.data overlap"},
      {[](Gradient *g) { g->dx.plain = nullptr; }, invalid,
       "gradient->dx: plain, row and col are all NULL; give at least one, or dbias"},
  };
  expect_refused(bad, good,
                 "mfq_activation_backward: ", [&](const Gradient *g) { return mfq_activation_backward(context, g); });
  mfq_activating_gradient_init(nullptr);
  expect_untouched();
}

/* ---- Softmax ----------------------------------------------------------------------------------------------------- */

TEST_F(MisuseProduce, Softmax) {
  mfq_softmaxing good;
  mfq_softmaxing_init(&good);
  good.x = &x;
  good.y = to_y;
  EXPECT_TRUE(fails(mfq_softmax_forward(nullptr, &good), invalid, {"mfq_softmax_forward: context is NULL"}));
  EXPECT_TRUE(fails(mfq_softmax_forward(context, nullptr), invalid, {"softmaxing is NULL"}));
  using Softmaxing = mfq_softmaxing;
  const std::vector<Bad<Softmaxing>> bad = {
      {[](Softmaxing *s) { s->struct_size = 1; }, invalid, "call mfq_softmaxing_init first"},
      {[](Softmaxing *s) { s->causal = 2; }, invalid, "softmaxing: causal is 2; allowed is 0 ... 1"},
      {[](Softmaxing *s) { s->scale = NAN; }, invalid, "softmaxing: scale is nan"},
      {[](Softmaxing *s) { s->scale = -HUGE_VALF; }, invalid, "softmaxing: scale is -inf"},
      {[](Softmaxing *s) { s->x = nullptr; }, invalid, "softmaxing->x is NULL"},
      {[&](Softmaxing *s) { s->x = &line, s->causal = 1; }, bad_shape,
       "softmaxing->x: shape is [64], but causal is 1; scores have rank 2 or more, queries and keys last"},
      {[&](Softmaxing *s) { s->y.plain = &narrow; }, bad_shape, "softmaxing->y.plain: shape is [4, 32]"},
      {[](Softmaxing *s) { s->y.plain = nullptr; }, invalid, "softmaxing->y: plain, row and col are all NULL"},
  };
  expect_refused(bad, good,
                 "mfq_softmax_forward: ", [&](const Softmaxing *s) { return mfq_softmax_forward(context, s); });
  mfq_softmaxing_gradient gradient;
  mfq_softmaxing_gradient_init(&gradient);
  gradient.y = &x;
  gradient.dy = &like_x;
  gradient.dx = to_y;
  EXPECT_TRUE(fails(mfq_softmax_backward(nullptr, &gradient), invalid, {"mfq_softmax_backward: context is NULL"}));
  EXPECT_TRUE(fails(mfq_softmax_backward(context, nullptr), invalid, {"gradient is NULL"}));
  using Gradient = mfq_softmaxing_gradient;
  const std::vector<Bad<Gradient>> worse = {
      {[](Gradient *g) { g->struct_size = 1; }, invalid, "call mfq_softmaxing_gradient_init first"},
      {[](Gradient *g) { g->scale = HUGE_VALF; }, invalid, "gradient: scale is inf"},
      {[](Gradient *g) { g->y = nullptr; }, invalid, "gradient->y is NULL"},
      {[](Gradient *g) { g->dy = nullptr; }, invalid, "gradient->dy is NULL"},
      {[&](Gradient *g) { g->dy = &odd; }, bad_shape, "gradient->dy: shape is [4, 63]; allowed is [4, 64]"},
      {[](Gradient *g) { g->dx.plain = nullptr; }, invalid, "gradient->dx: plain, row and col are all NULL"},
  };
  expect_refused(worse, gradient,
                 "mfq_softmax_backward: ", [&](const Gradient *g) { return mfq_softmax_backward(context, g); });
  mfq_softmaxing_init(nullptr);
  mfq_softmaxing_gradient_init(nullptr);
  expect_untouched();
}

/* ---- Rotary ------------------------------------------------------------------------------------------------------ */

TEST_F(MisuseProduce, Rotary) {
  const mfq_tensor heads = dense(in.data(), MFQ_DTYPE_F32, {2, 2, 8, 8}),
                   result = dense(out.data(), MFQ_DTYPE_F32, {2, 2, 8, 8});
  const mfq_tensor table = dense(other.data(), MFQ_DTYPE_F32, {5, 4}),
                   halves = dense(other.data(), MFQ_DTYPE_F16, {5, 4});
  const mfq_tensor shorter = dense(third.data(), MFQ_DTYPE_F32, {1, 4}),
                   flat = dense(third.data(), MFQ_DTYPE_F32, {20});
  mfq_rotating good;
  mfq_rotating_init(&good);
  good.x = &heads;
  good.cosines = &table;
  good.sines = &table;
  good.y = &result;
  EXPECT_TRUE(fails(mfq_rotary(nullptr, &good), invalid, {"mfq_rotary: context is NULL"}));
  EXPECT_TRUE(fails(mfq_rotary(context, nullptr), invalid, {"mfq_rotary: rotating is NULL"}));
  const mfq_tensor odd_heads = dense(in.data(), MFQ_DTYPE_F32, {2, 2, 7});
  using Rotating = mfq_rotating;
  const std::vector<Bad<Rotating>> bad = {
      {[](Rotating *r) { r->struct_size = 1; }, invalid, "call mfq_rotating_init first"},
      {[](Rotating *r) { r->interleaved = 2; }, invalid, "rotating: interleaved is 2; allowed is 0 ... 1"},
      {[](Rotating *r) { r->inverse = -1; }, invalid, "rotating: inverse is -1; allowed is 0 ... 1"},
      {[](Rotating *r) { r->x = nullptr; }, invalid, "rotating->x is NULL"},
      {[](Rotating *r) { r->y = nullptr; }, invalid, "rotating->y is NULL"},
      {[](Rotating *r) { r->cosines = nullptr; }, invalid, "rotating->cosines is NULL"},
      {[](Rotating *r) { r->sines = nullptr; }, invalid, "rotating->sines is NULL"},
      {[&](Rotating *r) { r->x = &x; }, bad_shape,
       "rotating->x: shape is [4, 64]; allowed is [..., tokens, heads, an even number of elements]"},
      {[&](Rotating *r) { r->x = &odd_heads; }, bad_shape, "rotating->x: shape is [2, 2, 7]"},
      {[&](Rotating *r) { r->cosines = &flat; }, bad_shape,
       "rotating->cosines: shape is [20]; allowed is [positions, 4], a column for each pair of rotating->x"},
      {[&](Rotating *r) { r->cosines = &halves; }, invalid, "rotating->cosines: dtype is f16; allowed is f32"},
      {[&](Rotating *r) { r->sines = &shorter; }, bad_shape,
       "rotating->sines: shape is [1, 4], but rotating->cosines has 5 rows"},
      {[&](Rotating *r) { r->sines = r->cosines = &shorter; }, bad_shape,
       "rotating->cosines: there are 1 positions, but rotating->x has 2 tokens"},
      {[&](Rotating *r) {
         r->positions = {indices.data(), MFQ_INDEX_I64, 3};
       },
       bad_shape,
       "rotating->positions: count is 3; allowed is 0, for none, 2, one a token, and 4, one a token of each batch"},
      {[&](Rotating *r) { r->positions.count = 2; }, invalid, "rotating->positions: type is 0; allowed is 1 ... 2"},
      {[&](Rotating *r) {
         r->positions = {nullptr, MFQ_INDEX_I64, 2};
       },
       invalid, "rotating->positions: data is NULL, but count is 2"},
      {[&](Rotating *r) { r->y = &y; }, bad_shape,
       "rotating->y: shape is [4, 64]; allowed is [2, 2, 8, 8], which follows from rotating->x"},
  };
  expect_refused(bad, good, "mfq_rotary: ", [&](const Rotating *r) { return mfq_rotary(context, r); });
  mfq_rotating_init(nullptr);
  expect_untouched();
}

/* ---- Loss -------------------------------------------------------------------------------------------------------- */

TEST_F(MisuseProduce, CrossEntropy) {
  const mfq_tensor one = dense(kept.data(), MFQ_DTYPE_F32, {1}), half = dense(kept.data(), MFQ_DTYPE_BF16, {1});
  mfq_cross_entropy_loss good;
  mfq_cross_entropy_loss_init(&good);
  good.logits = &x;
  good.targets = {indices.data(), MFQ_INDEX_I64, 4};
  good.dlogits = to_y;
  EXPECT_TRUE(fails(mfq_cross_entropy(nullptr, &good), invalid, {"mfq_cross_entropy: context is NULL"}));
  EXPECT_TRUE(fails(mfq_cross_entropy(context, nullptr), invalid, {"mfq_cross_entropy: loss is NULL"}));
  using Loss = mfq_cross_entropy_loss;
  const std::vector<Bad<Loss>> bad = {
      {[](Loss *l) { l->struct_size = 1; }, invalid, "call mfq_cross_entropy_loss_init first"},
      {[](Loss *l) { l->smoothing = 1.5f; }, invalid, "loss: smoothing is 1.5; allowed is 0 ... 1"},
      {[](Loss *l) { l->smoothing = NAN; }, invalid, "loss: smoothing is nan"},
      {[](Loss *l) { l->gradient_scale = HUGE_VALF; }, invalid, "loss: gradient_scale is inf"},
      {[](Loss *l) { l->logits = nullptr; }, invalid, "loss->logits is NULL"},
      {[](Loss *l) { set_raw(&l->targets.type, 0); }, invalid, "loss->targets: type is 0; allowed is 1 ... 2"},
      {[](Loss *l) { l->targets.count = 5; }, bad_shape,
       "loss->targets: count is 5; allowed is 4, one a row of loss->logits"},
      {[&](Loss *l) { l->losses = &line; }, bad_shape, "loss->losses: shape is [64]; allowed is [4]"},
      {[&](Loss *l) { l->losses = &half_row; }, invalid, "loss->losses: dtype is f16; allowed is f32"},
      {[&](Loss *l) { l->loss = &row; }, bad_shape, "loss->loss: shape is [4]; allowed is one element, [] or [1]"},
      {[&](Loss *l) { l->loss = &half; }, invalid, "loss->loss: dtype is bf16; allowed is f32"},
      {[&](Loss *l) { l->losses = &row, l->loss = &one; }, invalid, "loss->losses.data and loss->loss.data overlap"},
      {[&](Loss *l) { l->dlogits.plain = &narrow; }, bad_shape, "loss->dlogits.plain: shape is [4, 32]"},
      {[](Loss *l) { l->dlogits.plain = nullptr; }, invalid,
       "loss->dlogits: plain, row and col are all NULL; give at least one, or losses or loss"},
  };
  expect_refused(bad, good, "mfq_cross_entropy: ", [&](const Loss *l) { return mfq_cross_entropy(context, l); });
  mfq_cross_entropy_loss_init(nullptr);
  expect_untouched();
}

/* Every tensor that is taken is checked. */
TEST_F(MisuseProduce, Tensors) {
  for (const bool is_output : {false, true})
    for (const Bad<mfq_tensor> &bad : bad_tensors(is_output)) {
      mfq_tensor t = is_output ? y : x;
      bad.spoil(&t);
      mfq_softmaxing s;
      mfq_softmaxing_init(&s);
      s.x = is_output ? &x : &t;
      s.y.plain = is_output ? &t : &y;
      EXPECT_NE(mfq_softmax_forward(context, &s), MFQ_OK) << bad.says[0];
    }
  expect_untouched();
}

} // namespace
