// Norms, activations, softmax, rotary embedding and the loss on a device: the bytes of the CPU, in memory and as codes.
#include "support/making.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

class Produce : public OnDevice {};

// clang-format off
/* Two directions: with one read where both are groups or the two orders of a block, otherwise one after the other. */
const char *const kSchemes[][2] = {
    {"", ""}, {"mxfp8_e4m3", ""}, {"", "mxfp4_e2m1/group:32@-2"}, {"mxfp8_e4m3", "mxfp8_e4m3/group:32@-2"},
    {"nvfp4", "nvfp4/group:16@-2"}, {"e4m3fn/tensor/f32", ""}, {"e4m3fn/tensor/f32:given", ""}, {"e4m3fn/block:128x128/f32", ""},
    {"e2m1/block:16x32/ue8m0", ""}, {"int8n/group:64/f32", "e5m2/group:128@-2/f32"}, {"uint4/group:32/f32/zp", ""},
    {"e4m3fn/channel@-1/f32", ""}, {"int8/channel@-2/f32", "uint8/tensor/f32/zp/stat:minmax"}, {"e2m1/group:5/f32", "mxfp8_e4m3/group:32@-2"}, {"e3m2/group:32/ue8m0/round:stochastic", ""}};
// clang-format on

/* Where results go. */
struct Outputs {
  int plain = -1, row = -1, col = -1;
};

/* `which`: results in memory of a dtype, as codes of one of kSchemes, or both. */
Outputs add_outputs(Making *m, const Shape &shape, size_t which, size_t scheme, uint32_t how) {
  Outputs o;
  const char *const *names = kSchemes[scheme];
  mfq_layout layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
  const bool has_codes = names[0][0] != '\0' || names[1][0] != '\0';
  if (which % 4 < 3 || !has_codes)
    o.plain = m->add(Operand(kDtypes[which % 3], shape, which < 3 ? dense_strides(shape) : made_strides(shape, how)));
  const auto add = [&](const char *name) {
    const mfq_scheme scheme_of = name[0] != '\0' ? parse(name) : mfq_scheme{};
    if (name[0] == '\0' || !has_axes(scheme_of, shape)) return -1;
    return m->add(scheme_of, shape, &layout);
  };
  o.row = add(names[0]);
  if (how % 2 == 1 && std::string(names[1]).find("group") != std::string::npos) layout.codes = MFQ_CODES_GROUP_LAST;
  o.col = add(names[1]);
  if (o.plain < 0 && o.row < 0 && o.col < 0) o.plain = m->add(Operand(MFQ_DTYPE_F32, shape));
  return o;
}

mfq_outputs outputs_of(const MadeOperands &at, const Outputs &o) {
  return {at.tensor(o.plain), at.code(o.row), at.code(o.col)};
}

Shape rows_of(const Shape &shape) { return Shape(shape.begin(), shape.end() - 1); }

std::string text_of_point(const std::vector<size_t> &at) { return testing::PrintToString(at); }

const Shape kShapes[] = {{3, 64}, {130, 96}, {5, 7, 33}, {1, 1},        {0, 16},
                         {4, 0},  {2, 1100}, {129, 8},   {2, 2, 3, 96}, {33, 256}};

TEST_F(Produce, Norms) {
  sample(
      {2, std::size(kShapes), 3, 3, 4, 4, std::size(kSchemes), 8, 2}, 160,
      [&](const std::vector<size_t> &at) {
        Making m;
        const Shape &shape = kShapes[at[1]];
        const uint32_t seed = (uint32_t)(at[0] + 7 * at[1] + 31 * at[6]), how = (uint32_t)at[4];
        const Shape last = {shape.back()};
        const mfq_dtype dtype = kDtypes[at[2]];
        const int x = m.add(made_operand(dtype, shape, how, seed, at[8] == 1));
        const int residual = at[5] > 0 ? m.add(made_operand(kDtypes[at[3]], shape, how / 2, seed + 1)) : -1;
        const int sum = at[5] == 2 ? m.add(Operand(kDtypes[(at[3] + 1) % 3], shape)) : at[5] == 3 ? x : -1;
        const int gain = at[7] % 2 == 1 ? m.add(made_operand(kDtypes[at[3]], last, how, seed + 2)) : -1;
        const int shift = at[7] / 2 % 2 == 1 ? m.add(made_operand(MFQ_DTYPE_F32, last, 0, seed + 3)) : -1;
        const bool is_layer = at[0] == 1;
        const int mean = is_layer && at[7] >= 4 ? m.add(Operand(MFQ_DTYPE_F32, rows_of(shape))) : -1;
        const int scale = at[7] >= 4 ? m.add(Operand(MFQ_DTYPE_F32, rows_of(shape))) : -1;
        const Outputs o = add_outputs(&m, shape, at[3] + at[4], at[6], (uint32_t)at[7]);
        m.run = [&](mfq_context *context, const MadeOperands &on) {
          mfq_norm n;
          mfq_norm_init(&n);
          n.kind = is_layer ? MFQ_NORM_LAYER : MFQ_NORM_RMS;
          n.x = on.tensor(x);
          n.residual = on.tensor(residual);
          n.sum = on.tensor(sum);
          n.gain = on.tensor(gain);
          n.shift = on.tensor(shift);
          n.mean = on.tensor(mean);
          n.scale = on.tensor(scale);
          n.y = outputs_of(on, o);
          return mfq_norm_forward(context, &n);
        };
        ASSERT_TRUE(m.same()) << text_of_point(at);
      });
}

TEST_F(Produce, NormGradients) {
  sample(
      {2, std::size(kShapes), 3, 3, 4, 8, std::size(kSchemes), 4, 2}, 160,
      [&](const std::vector<size_t> &at) {
        Making m;
        const Shape &shape = kShapes[at[1]];
        const uint32_t seed = (uint32_t)(at[0] + 7 * at[1] + 31 * at[6]), how = (uint32_t)at[4];
        const Shape last = {shape.back()};
        const bool is_layer = at[0] == 1;
        const int dy = m.add(made_operand(kDtypes[at[2]], shape, how, seed, at[8] == 1));
        const int h = m.add(made_operand(kDtypes[at[3]], shape, how / 2, seed + 1));
        const int gain = at[5] % 2 == 1 ? m.add(made_operand(kDtypes[at[2]], last, 0, seed + 2)) : -1;
        const int mean = is_layer ? m.add(made_operand(MFQ_DTYPE_F32, rows_of(shape), 0, seed + 3)) : -1;
        const int scale = m.add(made_operand(MFQ_DTYPE_F32, rows_of(shape), how, seed + 4));
        const int dresidual = at[5] / 2 % 2 == 1 ? m.add(made_operand(kDtypes[at[3]], shape, how, seed + 5)) : -1;
        const int dgain = at[7] % 2 == 1 ? m.add(made_operand(kDtypes[at[3]], last, 0, seed + 6)) : -1;
        const int dshift = at[7] / 2 == 1 ? m.add(made_operand(MFQ_DTYPE_F32, last, 2, seed + 7)) : -1;
        Outputs o = add_outputs(&m, shape, at[3] + at[4], at[6], (uint32_t)at[5]);
        if (at[5] >= 6 && at[7] > 0) o = Outputs();
        if (at[5] == 5) o.plain = dy; /* in place */
        m.run = [&](mfq_context *context, const MadeOperands &on) {
          mfq_norm_gradient g;
          mfq_norm_gradient_init(&g);
          g.kind = is_layer ? MFQ_NORM_LAYER : MFQ_NORM_RMS;
          g.dy = on.tensor(dy);
          g.h = on.tensor(h);
          g.gain = on.tensor(gain);
          g.mean = on.tensor(mean);
          g.scale = on.tensor(scale);
          g.dresidual = on.tensor(dresidual);
          g.dgain = on.tensor(dgain);
          g.dshift = on.tensor(dshift);
          g.accumulate = at[5] >= 4;
          g.dx = outputs_of(on, o);
          return mfq_norm_backward(context, &g);
        };
        ASSERT_TRUE(m.same()) << text_of_point(at);
      });
}

/* The five of mfq_activation, alone and gated, each way. */
TEST_F(Produce, Activations) {
  sample(
      {5, 3, 2, std::size(kShapes), 3, 3, 4, std::size(kSchemes), 4}, 220,
      [&](const std::vector<size_t> &at) {
        Making m;
        const auto gate = (mfq_gate)at[1];
        const bool is_backward = at[2] == 1;
        const Shape &shape = kShapes[at[3]];
        Shape wide = shape;
        if (gate != MFQ_GATE_NONE) wide.back() *= 2;
        const uint32_t seed = (uint32_t)(at[0] + 7 * at[3] + 31 * at[7]), how = (uint32_t)at[6];
        const int x = m.add(made_operand(kDtypes[at[4]], wide, how, seed, at[8] % 2 == 1));
        const int dy = is_backward ? m.add(made_operand(kDtypes[at[5]], shape, how / 2, seed + 1)) : -1;
        const Shape last = {wide.back()};
        const int dbias = is_backward && at[8] >= 2 ? m.add(made_operand(kDtypes[at[5]], last, how, seed + 2)) : -1;
        Outputs o = add_outputs(&m, is_backward ? wide : shape, at[5] + at[6], at[7], (uint32_t)at[8]);
        if (dbias >= 0 && at[6] == 3) o = Outputs();
        const float limit = gate != MFQ_GATE_NONE && at[8] == 1 ? 2.0f : 0.0f;
        const float slope = at[0] == MFQ_ACTIVATION_SILU && at[6] % 2 == 1 ? 1.702f : 1.0f;
        const float offset = gate != MFQ_GATE_NONE && at[8] == 3 ? 1.0f : 0.0f;
        const auto activation = (mfq_activation)at[0];
        m.run = [&](mfq_context *context, const MadeOperands &on) {
          mfq_activating a;
          mfq_activating_init(&a);
          a.activation = activation;
          a.gate = gate;
          a.limit = limit;
          a.slope = slope;
          a.offset = offset;
          a.x = on.tensor(x);
          a.y = outputs_of(on, o);
          if (!is_backward) return mfq_activation_forward(context, &a);
          mfq_activating_gradient g;
          mfq_activating_gradient_init(&g);
          g.activation = activation;
          g.gate = gate;
          g.limit = limit;
          g.slope = slope;
          g.offset = offset;
          g.x = activation == MFQ_ACTIVATION_NONE && gate == MFQ_GATE_NONE ? nullptr : on.tensor(x);
          g.dy = on.tensor(dy);
          g.dbias = on.tensor(dbias);
          g.accumulate = at[8] == 3;
          g.dx = outputs_of(on, o);
          return mfq_activation_backward(context, &g);
        };
        ASSERT_TRUE(m.same()) << text_of_point(at);
      });
}

TEST_F(Produce, Softmax) {
  sample(
      {3, std::size(kShapes), 3, 3, 4, std::size(kSchemes), 2, 2}, 140,
      [&](const std::vector<size_t> &at) {
        Making m;
        const Shape &shape = kShapes[at[1]];
        const uint32_t seed = (uint32_t)(at[0] + 7 * at[1] + 31 * at[5]), how = (uint32_t)at[4];
        const int x = m.add(made_operand(kDtypes[at[2]], shape, how, seed, at[6] == 1));
        const int dy = at[0] == 2 ? m.add(made_operand(kDtypes[at[3]], shape, how / 2, seed + 1)) : -1;
        Outputs o = add_outputs(&m, shape, at[3] + at[4], at[5], (uint32_t)at[7]);
        if (at[7] == 1 && at[6] == 0) o.plain = x; /* in place */
        m.run = [&](mfq_context *context, const MadeOperands &on) {
          if (at[0] == 2) {
            mfq_softmaxing_gradient g;
            mfq_softmaxing_gradient_init(&g);
            g.scale = 0.125f;
            g.y = on.tensor(x);
            g.dy = on.tensor(dy);
            g.dx = outputs_of(on, o);
            return mfq_softmax_backward(context, &g);
          }
          mfq_softmaxing s;
          mfq_softmaxing_init(&s);
          s.scale = at[6] == 1 ? -3.0f : 0.5f;
          s.causal = at[0] == 1;
          s.x = on.tensor(x);
          s.y = outputs_of(on, o);
          return mfq_softmax_forward(context, &s);
        };
        ASSERT_TRUE(m.same()) << text_of_point(at);
      });
}

TEST_F(Produce, Rotary) {
  const Shape shapes[] = {{5, 3, 16}, {2, 7, 2, 64}, {1, 1, 2}, {3, 4, 6}, {0, 2, 8}, {2, 3, 1, 34}, {9, 2, 128}};
  sample({std::size(shapes), 3, 3, 4, 4, 2, 2, 3}, 160, [&](const std::vector<size_t> &at) {
    Making m;
    const Shape &shape = shapes[at[0]];
    const uint32_t seed = (uint32_t)(at[0] + 7 * at[1]), how = (uint32_t)at[3];
    const int64_t tokens = shape[shape.size() - 3], places = tokens + 2;
    const int x = m.add(made_operand(kDtypes[at[1]], shape, how, seed, at[5] == 1));
    const Shape table = {places, shape.back() / 2};
    const int cosines = m.add(made_operand(MFQ_DTYPE_F32, table, how / 2, seed + 1));
    const int sines = m.add(made_operand(MFQ_DTYPE_F32, table, how / 2, seed + 2));
    int64_t all = 1;
    for (size_t d = 0; d + 2 < shape.size(); ++d) all *= shape[d];
    const size_t count = (size_t)(at[7] == 1 ? tokens : all);
    if (at[7] > 0)
      m.indices.emplace_back(seed % 2 == 0 ? MFQ_INDEX_I32 : MFQ_INDEX_I64, drawn_indices(count, places, seed));
    const bool is_in_place = at[4] == 3;
    const int y = is_in_place ? x : m.add(Operand(kDtypes[at[2]], shape, made_strides(shape, (uint32_t)at[4])));
    m.run = [&](mfq_context *context, const MadeOperands &on) {
      mfq_rotating r;
      mfq_rotating_init(&r);
      r.x = on.tensor(x);
      r.cosines = on.tensor(cosines);
      r.sines = on.tensor(sines);
      if (!on.indices.empty()) r.positions = on.indices[0];
      r.interleaved = (int32_t)at[5];
      r.inverse = (int32_t)at[6];
      r.y = on.tensor(y);
      return mfq_rotary(context, &r);
    };
    ASSERT_TRUE(m.same()) << text_of_point(at);
  });
}

TEST_F(Produce, CrossEntropy) {
  sample(
      {std::size(kShapes), 3, 3, 4, std::size(kSchemes), 3, 2, 4}, 140,
      [&](const std::vector<size_t> &at) {
        Making m;
        const Shape &shape = kShapes[at[0]];
        const uint32_t seed = (uint32_t)(at[0] + 7 * at[1] + 31 * at[4]), how = (uint32_t)at[3];
        if (shape.back() == 0) return; /* there are no targets */
        const int logits = m.add(made_operand(kDtypes[at[1]], shape, how, seed, at[6] == 1));
        std::vector<int64_t> targets = drawn_indices(count_of(rows_of(shape)), shape.back(), seed);
        for (size_t i = 0; i < targets.size(); ++i)
          if (i % 4 == 2) targets[i] = -100;
        m.indices.emplace_back(seed % 2 == 0 ? MFQ_INDEX_I32 : MFQ_INDEX_I64, targets);
        const int losses = at[7] % 2 == 0 ? m.add(Operand(MFQ_DTYPE_F32, rows_of(shape))) : -1;
        const int loss = at[7] != 2 ? m.add(Operand(MFQ_DTYPE_F32, Shape{})) : -1;
        Outputs o = add_outputs(&m, shape, at[2] + at[3], at[4], (uint32_t)at[7]);
        if (at[5] == 0) o.plain = logits; /* in place */
        if (at[7] == 3) o = Outputs();
        m.run = [&](mfq_context *context, const MadeOperands &on) {
          mfq_cross_entropy_loss c;
          mfq_cross_entropy_loss_init(&c);
          c.logits = on.tensor(logits);
          c.targets = on.indices[0];
          c.smoothing = at[5] == 1 ? 0.1f : 0.0f;
          c.gradient_scale = 8.0f;
          c.losses = on.tensor(losses);
          c.loss = on.tensor(loss);
          c.dlogits = outputs_of(on, o);
          return mfq_cross_entropy(context, &c);
        };
        ASSERT_TRUE(m.same()) << text_of_point(at);
      });
}

/* Columns of more rows than a block sums at once, and of so many that segments of them are summed again. */
TEST_F(Produce, SumsOfManyRows) {
  for (const Shape &shape :
       {Shape{1, 9}, Shape{31, 5}, Shape{256, 3}, Shape{257, 300}, Shape{1300, 24}, Shape{4096, 2}, Shape{7000, 2}})
    for (int what = 0; what < 2; ++what) {
      Making m;
      const int x = m.add(made_operand(MFQ_DTYPE_F32, shape, 0, 5)),
                dy = m.add(made_operand(MFQ_DTYPE_BF16, shape, 0, 6));
      const int mean = m.add(made_operand(MFQ_DTYPE_F32, {shape[0]}, 0, 7)),
                scale = m.add(made_operand(MFQ_DTYPE_F32, {shape[0]}, 0, 8));
      const int first = m.add(made_operand(MFQ_DTYPE_F32, {shape[1]}, 0, 9)),
                second = m.add(made_operand(MFQ_DTYPE_BF16, {shape[1]}, 0, 10));
      m.run = [&](mfq_context *context, const MadeOperands &on) {
        mfq_norm_gradient g;
        mfq_norm_gradient_init(&g);
        g.kind = MFQ_NORM_LAYER;
        g.dy = on.tensor(dy);
        g.h = on.tensor(x);
        g.mean = on.tensor(mean);
        g.scale = on.tensor(scale);
        g.dgain = on.tensor(first);
        g.dshift = on.tensor(second);
        g.accumulate = shape[0] % 2 == 0;
        mfq_activating_gradient a;
        mfq_activating_gradient_init(&a);
        a.activation = MFQ_ACTIVATION_GELU;
        a.x = on.tensor(x);
        a.dy = on.tensor(dy);
        a.dbias = on.tensor(first);
        return what == 0 ? mfq_norm_backward(context, &g) : mfq_activation_backward(context, &a);
      };
      ASSERT_TRUE(m.same()) << text_of(shape) << ", " << what;
    }
}

/* Of zeros with a sign: what is missing in a tree is +0, what is beyond it nothing. */
TEST_F(Produce, SumsOfNegativeZeros) {
  for (const int64_t rows : {1, 2, 3, 32, 33, 64, 256, 300, 512, 513}) {
    Making m;
    const int dy = m.add(Operand(MFQ_DTYPE_F32, {rows, 3}).fill([](size_t) { return 0x80000000u; }));
    const int dbias = m.add(Operand(MFQ_DTYPE_F32, {3}));
    m.run = [&](mfq_context *context, const MadeOperands &on) {
      mfq_activating_gradient a;
      mfq_activating_gradient_init(&a);
      a.activation = MFQ_ACTIVATION_NONE;
      a.dy = on.tensor(dy);
      a.dbias = on.tensor(dbias);
      return mfq_activation_backward(context, &a);
    };
    ASSERT_TRUE(m.same()) << rows;
  }
}

} // namespace
