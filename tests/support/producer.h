/* tests/support/producer.h: every producer with its tensors, to be run into any results. */
#ifndef MFQ_TESTS_SUPPORT_PRODUCER_H
#define MFQ_TESTS_SUPPORT_PRODUCER_H

#include "produced.h"

namespace mfq_test {

enum class Producing {
  Rms,
  Layer,
  RmsBackward,
  LayerBackward,
  Gelu,
  Swiglu,
  Clamped, /* interleaved gates with limit, slope and offset */
  GeluTanhBackward,
  SwigluBackward,
  ClampedBackward,
  BiasBackward,
  Softmax,
  Causal,
  SoftmaxBackward,
  Loss
};
constexpr size_t kProducings = 15;

/* Strides of [a, b, c] that no two axes merge under, unless dense: columns apart, backward, columns before rows. */
inline Shape any_strides(const Shape &s, size_t which) {
  switch (which % 4) {
    case 0: return dense_strides(s);
    case 1: return {-(s[1] * (s[2] + 3) + 5), s[2] + 3, 1};
    case 2: return {2 * s[2] + 1, (2 * s[2] + 1) * std::max<int64_t>(s[0], 1), 2};
    default: return {s[1] * std::max<int64_t>(s[2], 1), 1, std::max<int64_t>(s[1], 1)};
  }
}

/* Which producer, and what its tensors are. */
struct ProducerCase {
  Producing what;
  Shape shape; /* of the results, three axes */
  mfq_dtype dtype = MFQ_DTYPE_F32;
  size_t strides = 0;
  uint32_t seed = 1;
  bool is_pair() const { return what == Producing::SwigluBackward || what == Producing::ClampedBackward; }
};

/* The tensors of a call, numbers that depend on the case's seed and dtype alone. */
class Producer {
public:
  ProducerCase c;
  std::vector<Operand> in;      /* of elements */
  std::vector<Operand> written; /* besides results: of columns and rows, and h */

  explicit Producer(const ProducerCase &given_case)
      : c(given_case), column_(MFQ_DTYPE_F32, {c.shape[2]}), gain_(c.dtype, {c.shape[2]}),
        mean_(MFQ_DTYPE_F32, {c.shape[0], c.shape[1]}), targets_(MFQ_INDEX_I64, drawn_targets()) {
    const int64_t cols = c.shape[2];
    switch (c.what) {
      case Producing::Rms: add(cols, 2); break;
      case Producing::Layer: add(cols, 1); break;
      case Producing::RmsBackward: add(cols, 2); break;
      case Producing::LayerBackward: add(cols, 3); break;
      case Producing::Swiglu:
      case Producing::Clamped: add(2 * cols, 1); break;
      case Producing::GeluTanhBackward:
      case Producing::SoftmaxBackward: add(cols, 2); break;
      case Producing::SwigluBackward:
      case Producing::ClampedBackward:
        add(cols, 1);
        add(cols / 2, 1);
        break;
      default: add(cols, 1); break;
    }
    fill_drawn(&gain_, c.seed + 20);
    column_.fill([](size_t i) { return float_bits(0.25f * (float)(i % 5)); });
    mean_.fill([](size_t i) { return float_bits(0.5f + 0.125f * (float)(i % 3)); });
    if (c.what == Producing::SoftmaxBackward) make_probabilities();
    add_written();
  }
  Producer(const Producer &) = delete;

  mfq_status run(mfq_context *context, const mfq_outputs &outputs) {
    std::vector<mfq_tensor> at, out;
    for (Operand &t : in) at.push_back(t.here());
    for (Operand &t : written) out.push_back(t.here());
    return run_at(context, at, out, outputs);
  }

private:
  Operand column_, gain_, mean_;
  IndexList targets_;

  bool is_layer() const { return c.what == Producing::Layer || c.what == Producing::LayerBackward; }
  std::vector<int64_t> drawn_targets() const {
    std::vector<int64_t> list =
        drawn_indices((size_t)(c.shape[0] * c.shape[1]), std::max<int64_t>(c.shape[2], 1), c.seed);
    for (size_t i = 0; i < list.size(); ++i)
      if (i % 4 == 2 || c.shape[2] == 0) list[i] = -100;
    return list;
  }
  void add(int64_t cols, int count) {
    const Shape shape = {c.shape[0], c.shape[1], cols};
    for (int k = 0; k < count; ++k) {
      Operand t(c.dtype, shape, any_strides(shape, c.strides + (size_t)k));
      const std::vector<float> x = drawn_numbers(count_of(shape), c.seed + (uint32_t)in.size(), 2.0f);
      for (size_t i = 0; i < x.size(); ++i) t.put(t.place(i), bits_in(c.dtype, x[i]));
      in.push_back(t);
    }
  }
  void make_probabilities() {
    for (size_t i = 0; i < count_of(in[0].shape); ++i)
      in[0].put(in[0].place(i), bits_in(c.dtype, i % 3 == 0 ? 0.0f : 0.03125f * (float)(i % 7)));
  }
  void add_written() {
    const bool is_norm = c.what == Producing::Rms || c.what == Producing::Layer;
    if (is_norm || c.what == Producing::Loss) written.assign(2, Operand(MFQ_DTYPE_F32, {c.shape[0], c.shape[1]}));
    if (c.what == Producing::Loss) written[1] = Operand(MFQ_DTYPE_F32, {});
    if (c.what == Producing::Rms) written[0] = Operand(c.dtype, c.shape, any_strides(c.shape, c.strides + 2));
    const bool has_columns = c.what == Producing::RmsBackward || c.what == Producing::LayerBackward || c.is_pair() ||
                             c.what == Producing::GeluTanhBackward || c.what == Producing::BiasBackward;
    if (has_columns) written.assign(2, column_);
  }

  using Tensors = std::vector<mfq_tensor>;
  mfq_status run_at(mfq_context *context, const Tensors &at, const Tensors &out, const mfq_outputs &outputs) {
    switch (c.what) {
      case Producing::Rms:
      case Producing::Layer: return run_norm(context, at, out, outputs);
      case Producing::RmsBackward:
      case Producing::LayerBackward: return run_norm_backward(context, at, out, outputs);
      case Producing::Gelu:
      case Producing::Swiglu:
      case Producing::Clamped: return run_activation(context, at, outputs);
      case Producing::Softmax:
      case Producing::Causal: return run_softmax(context, at, outputs);
      case Producing::SoftmaxBackward: return run_softmax_backward(context, at, outputs);
      case Producing::Loss: return run_loss(context, at, out, outputs);
      default: return run_activation_backward(context, at, out, outputs);
    }
  }
  mfq_status run_norm(mfq_context *context, const Tensors &at, const Tensors &out, const mfq_outputs &outputs) {
    const mfq_tensor gain = gain_.here(), shift = column_.here();
    mfq_norm n;
    mfq_norm_init(&n);
    n.kind = is_layer() ? MFQ_NORM_LAYER : MFQ_NORM_RMS;
    n.x = &at[0];
    n.gain = &gain;
    n.shift = given(shift, is_layer());
    if (!is_layer()) {
      n.residual = &at[1];
      n.sum = &out[0];
      n.scale = &out[1];
    } else {
      n.mean = &out[0];
      n.scale = &out[1];
    }
    n.y = outputs;
    return mfq_norm_forward(context, &n);
  }
  mfq_status run_norm_backward(mfq_context *context, const Tensors &at, const Tensors &out,
                               const mfq_outputs &outputs) {
    const mfq_tensor gain = gain_.here(), mean = mean_.here();
    mfq_norm_gradient g;
    mfq_norm_gradient_init(&g);
    g.kind = is_layer() ? MFQ_NORM_LAYER : MFQ_NORM_RMS;
    g.dy = &at[0];
    g.h = &at[1];
    g.dresidual = is_layer() ? &at[2] : nullptr;
    g.gain = &gain;
    g.mean = given(mean, is_layer());
    g.scale = &mean;
    g.dgain = &out[0];
    g.dshift = given(out[1], is_layer());
    g.accumulate = is_layer();
    g.dx = outputs;
    return mfq_norm_backward(context, &g);
  }
  mfq_status run_activation(mfq_context *context, const Tensors &at, const mfq_outputs &outputs) {
    mfq_activating a;
    mfq_activating_init(&a);
    a.activation = c.what == Producing::Gelu ? MFQ_ACTIVATION_GELU : MFQ_ACTIVATION_SILU;
    if (c.what == Producing::Swiglu) a.gate = MFQ_GATE_HALVES;
    if (c.what == Producing::Clamped) {
      a.gate = MFQ_GATE_INTERLEAVED;
      a.limit = 1.5f;
      a.slope = 1.702f;
      a.offset = 1.0f;
    }
    a.x = &at[0];
    a.y = outputs;
    return mfq_activation_forward(context, &a);
  }
  mfq_status run_activation_backward(mfq_context *context, const Tensors &at, const Tensors &out,
                                     const mfq_outputs &outputs) {
    mfq_activating_gradient g;
    mfq_activating_gradient_init(&g);
    if (c.what == Producing::GeluTanhBackward) g.activation = MFQ_ACTIVATION_GELU_TANH;
    if (c.is_pair()) {
      g.activation = MFQ_ACTIVATION_SILU;
      g.gate = MFQ_GATE_HALVES;
    }
    if (c.what == Producing::ClampedBackward) {
      g.gate = MFQ_GATE_INTERLEAVED;
      g.limit = 1.5f;
      g.slope = 1.702f;
      g.offset = 1.0f;
    }
    const bool is_bias = c.what == Producing::BiasBackward;
    g.x = is_bias ? nullptr : &at[0];
    g.dy = &at[is_bias ? 0 : 1];
    g.dbias = &out[0];
    g.accumulate = c.is_pair();
    g.dx = outputs;
    return mfq_activation_backward(context, &g);
  }
  mfq_status run_softmax(mfq_context *context, const Tensors &at, const mfq_outputs &outputs) {
    mfq_softmaxing s;
    mfq_softmaxing_init(&s);
    s.scale = 0.7f;
    s.causal = c.what == Producing::Causal;
    s.x = &at[0];
    s.y = outputs;
    return mfq_softmax_forward(context, &s);
  }
  mfq_status run_softmax_backward(mfq_context *context, const Tensors &at, const mfq_outputs &outputs) {
    mfq_softmaxing_gradient g;
    mfq_softmaxing_gradient_init(&g);
    g.scale = 0.7f;
    g.y = &at[0];
    g.dy = &at[1];
    g.dx = outputs;
    return mfq_softmax_backward(context, &g);
  }
  mfq_status run_loss(mfq_context *context, const Tensors &at, const Tensors &out, const mfq_outputs &outputs) {
    mfq_cross_entropy_loss l;
    mfq_cross_entropy_loss_init(&l);
    l.logits = &at[0];
    l.targets = targets_.here();
    l.smoothing = c.seed % 2 == 0 ? 0.1f : 0.0f;
    l.gradient_scale = 64.0f;
    l.losses = &out[0];
    l.loss = &out[1];
    l.dlogits = outputs;
    return mfq_cross_entropy(context, &l);
  }
};

} // namespace mfq_test

#endif
