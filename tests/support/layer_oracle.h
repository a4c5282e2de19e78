/* tests/support/layer_oracle.h: what a step of a layer must give: double sums over the list of products of a linear layer or a
 * convolution, of operands that mfq_quantize and mfq_dequantize make along the axes that are worked out here. */
#ifndef MFQ_TESTS_SUPPORT_LAYER_ORACLE_H
#define MFQ_TESTS_SUPPORT_LAYER_ORACLE_H

#include "layer.h"

namespace mfq_test {

/* ---- Products --------------------------------------------------------------------------------------------------- */

/* Row-major indices of x, weight and y: a product of two of them belongs to the third. */
using Meeting = std::array<int64_t, 3>;

inline std::vector<Meeting> meetings_of(const LayerCase &c) {
  std::vector<Meeting> all;
  if (c.conv) {
    ConvCase plain = *c.conv;
    plain.direction = MFQ_CONV_FORWARD;
    ConvData(plain).each_meeting([&](const Meeting &at) { all.push_back(at); });
    return all;
  }
  for (int64_t r = 0; r < (int64_t)count_of(c.rows); ++r)
    for (int64_t n = 0; n < c.out; ++n)
      for (int64_t k = 0; k < c.in; ++k) all.push_back({r * c.in + k, n * c.in + k, r * c.out + n});
  return all;
}

/* Values, and how far float32 sums in any order may be from them. */
struct Near {
  Values values, bounds;
};

/* The sums of one product: of `a` and `b`, the operands other than the result, in the order of ConvTensor. With u = 2^-24 and n
 * products in a sum: each value is rounded by u at most when it is expanded, each product by u, sums in any order by
 * (n - 1) u of the sum of magnitudes; 6 u are left for factors. */
inline Near sums_of(const std::vector<Meeting> &meetings, ConvTensor result, const Values &a, const Values &b,
                    size_t n) {
  const size_t ia = result == kInput ? kWeight : kInput, ib = result == kOutput ? kWeight : kOutput;
  Near sums = {Values(n, 0.0), Values(n, 0.0)};
  std::vector<int64_t> counts(n, 0);
  for (const Meeting &at : meetings) {
    const double product = a[(size_t)at[ia]] * b[(size_t)at[ib]];
    const size_t i = (size_t)at[result];
    sums.values[i] += product;
    sums.bounds[i] += std::fabs(product);
    ++counts[i];
  }
  for (size_t i = 0; i < n; ++i) sums.bounds[i] *= (double)(counts[i] + 8) * std::ldexp(1.0, -24);
  return sums;
}

/* ---- Places ----------------------------------------------------------------------------------------------------- */

inline ConvTensor tensor_of(mfq_place place) {
  switch (place) {
    case MFQ_PLACE_FPROP_X:
    case MFQ_PLACE_WGRAD_X: return kInput;
    case MFQ_PLACE_FPROP_W:
    case MFQ_PLACE_DGRAD_W: return kWeight;
    default: return kOutput;
  }
}

/* A tensor as the quantizer of a place sees it: of this shape and axis, or in pieces, which are lists of its elements. */
struct Seen {
  Shape shape;
  int32_t axis = 0;
  std::vector<std::vector<size_t>> pieces; /* empty: one, all of it */
};

inline mfq_conv_direction direction_of(mfq_place place) {
  if (place == MFQ_PLACE_DGRAD_DY || place == MFQ_PLACE_DGRAD_W) return MFQ_CONV_INPUT_GRADIENT;
  if (place == MFQ_PLACE_WGRAD_DY || place == MFQ_PLACE_WGRAD_X) return MFQ_CONV_WEIGHT_GRADIENT;
  return MFQ_CONV_FORWARD;
}

/* x and y are matrices of rows and features, the weight one of output and input features. */
inline Seen seen_by_linear(const LayerCase &c, mfq_place place, bool is_channel) {
  const ConvTensor which = tensor_of(place);
  const int64_t rows = (int64_t)count_of(c.rows);
  Seen seen;
  seen.shape = which == kWeight ? Shape{c.out, c.in} : Shape{rows, which == kInput ? c.in : c.out};
  if (place == MFQ_PLACE_Y) {
    seen.axis = 1;
    return seen;
  }
  const bool sums_last = place == MFQ_PLACE_FPROP_X || place == MFQ_PLACE_FPROP_W || place == MFQ_PLACE_DGRAD_DY;
  seen.axis = sums_last != is_channel ? 1 : 0;
  return seen;
}

/* Blocks: matrices of pixels and channels for each image, of the first two features for each tap. */
inline Seen blocks_of_conv(const LayerCase &c, mfq_place place) {
  const Shape shape = shape_of(c, tensor_of(place)), strides = dense_strides(shape);
  const size_t channels = channel_axis(*c.conv);
  Shape spatial = shape, steps = strides;
  for (Shape *of : {&spatial, &steps}) {
    of->erase(of->begin() + (std::ptrdiff_t)channels);
    of->erase(of->begin());
  }
  const bool is_weight = tensor_of(place) == kWeight;
  const int64_t pixels = (int64_t)count_of(spatial);
  const int64_t pieces = is_weight ? pixels : shape[0], rows = is_weight ? shape[0] : pixels;
  Seen seen;
  seen.shape = {rows, shape[channels]};
  for (int64_t piece = 0; piece < pieces; ++piece) {
    std::vector<size_t> elements;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t channel = 0; channel < shape[channels]; ++channel) {
        const int64_t first = is_weight ? row : piece, pixel = is_weight ? piece : row;
        elements.push_back(
            (size_t)(first * strides[0] + channel * strides[channels] + offset_of(pixel, spatial, steps)));
      }
    seen.pieces.push_back(elements);
  }
  return seen;
}

inline Seen seen_by(const LayerCase &c, mfq_place place, const mfq_scheme &scheme) {
  const bool is_channel = scheme.granularity == MFQ_GRANULARITY_CHANNEL;
  Seen seen;
  if (place == MFQ_PLACE_BIAS) {
    seen.shape = {features_of(c)};
  } else if (!c.conv) {
    seen = seen_by_linear(c, place, is_channel);
  } else if (scheme.granularity == MFQ_GRANULARITY_BLOCK) {
    seen = blocks_of_conv(c, place);
  } else {
    ConvCase x = *c.conv;
    x.direction = direction_of(place);
    seen.shape = shape_of(x, tensor_of(place));
    seen.axis = is_channel ? axis_of_channels(x, tensor_of(place)) : axis_of_groups(x, tensor_of(place));
    if (place == MFQ_PLACE_Y) seen.axis = (int32_t)channel_axis(x);
  }
  if (scheme.axis != MFQ_AXIS_AUTO) seen.axis = scheme.axis;
  return seen;
}
/* The scheme with the axis that it has there. */
inline mfq_scheme with_axis(mfq_scheme scheme, const Seen &seen) {
  const bool has_axis = scheme.granularity == MFQ_GRANULARITY_GROUP || scheme.granularity == MFQ_GRANULARITY_CHANNEL;
  if (has_axis) scheme.axis = seen.axis;
  return scheme;
}

/* Calls visit(elements) with the values of each piece, and puts what it gives in their place. */
template <typename Visit> Values by_pieces(const Seen &seen, const Values &values, Visit visit) {
  std::vector<std::vector<size_t>> pieces = seen.pieces;
  if (pieces.empty() && seen.shape.size() > 0) {
    pieces.emplace_back(values.size());
    for (size_t i = 0; i < values.size(); ++i) pieces[0][i] = i;
  }
  Values all = values;
  for (const std::vector<size_t> &piece : pieces) {
    std::vector<float> part;
    for (const size_t i : piece) part.push_back((float)values[i]);
    const std::vector<float> made = visit(part);
    for (size_t i = 0; i < piece.size(); ++i) all[piece[i]] = made[i];
  }
  return all;
}

/* The values of the codes of a tensor, by scales that are measured. */
inline Values quantized_values(mfq_context *context, const Seen &seen, const mfq_scheme &scheme, const Values &values) {
  return by_pieces(
      seen, values,
      [&](const std::vector<float> &part) {
        Quantized q(with_axis(scheme, seen), seen.shape);
        quantize(context, part, &q);
        return dequantized(context, q);
      });
}

/* The nearest value that a dtype holds, ties to even. */
inline double nearest_in(mfq_dtype dtype, double x) {
  const float f = (float)x;
  if (dtype == MFQ_DTYPE_F32) return f;
  if (dtype == MFQ_DTYPE_F16) return half_value(half_bits(f));
  const uint32_t u = float_bits(f);
  return float_of((u + 0x7fff + (u >> 16 & 1)) & 0xffff0000);
}

/* ---- A step ----------------------------------------------------------------------------------------------------- */

struct StepWanted {
  Near y, dx, dweight, dbias;
};

class LayerOracle {
public:
  /* The step, from 0 on: random bits of a place have the key of the layer and the offset step * 8 + place. */
  int64_t at_step = 0;
  /* What the quantizer of a place makes of a tensor, and of a gradient that passes it; to be replaced by tests. */
  std::function<Values(mfq_place, const Values &)> quantize;
  std::function<Values(mfq_place, const Values &source, const Values &upstream)> pass;

  LayerOracle(const LayerCase &c, int phase = 0) : c_(c), meetings_(meetings_of(c)) {
    std::memset(&phase_, 0, sizeof phase_);
    if (!c.recipe.empty()) phase_ = recipe_of(c.recipe).phases[phase];
    quantize = [this](mfq_place place, const Values &values) {
      return quantized_values(drawing(place), seen(place), scheme(place), values);
    };
    pass = [this](mfq_place place, const Values &source, const Values &upstream) {
      return passed(place, source, upstream);
    };
  }
  LayerOracle(const LayerOracle &) = delete;

  const mfq_quantizer &quantizer(mfq_place place) const { return phase_.places[place]; }
  mfq_scheme scheme(mfq_place place) const {
    mfq_scheme scheme = quantizer(place).scheme;
    if (quantizer(place).fresh_signs) scheme.sign_seed += (uint64_t)at_step;
    return scheme;
  }
  Seen seen(mfq_place place) const { return seen_by(c_, place, scheme(place)); }

  StepWanted step(const Values &x, const Values &w, const Values &bias, const Values &dy) {
    StepWanted s;
    const Values xq = taken(MFQ_PLACE_FPROP_X, x, x), wq = taken(MFQ_PLACE_FPROP_W, w, w);
    s.y = sums_of(meetings_, kOutput, xq, wq, dy.size());
    if (c_.has_bias) add_bias(taken(MFQ_PLACE_BIAS, bias, bias), &s.y);
    Values plain_y = s.y.values; /* which its quantizer has in its own type */
    for (double &v : plain_y) v = is_quantized(MFQ_PLACE_Y) ? nearest_in(c_.y, v) : v;
    s.y.values = taken(MFQ_PLACE_Y, plain_y, plain_y);

    const Values g = is_quantized(MFQ_PLACE_Y) ? pass(MFQ_PLACE_Y, plain_y, dy) : dy;
    const Values dgrad_dy = taken(MFQ_PLACE_DGRAD_DY, g, g), wgrad_dy = taken(MFQ_PLACE_WGRAD_DY, g, dgrad_dy);
    const Values dgrad_w = taken(MFQ_PLACE_DGRAD_W, w, wq), wgrad_x = taken(MFQ_PLACE_WGRAD_X, x, xq);
    s.dx = sums_of(meetings_, kInput, dgrad_w, dgrad_dy, x.size());
    s.dweight = sums_of(meetings_, kWeight, wgrad_x, wgrad_dy, w.size());
    dxq = s.dx.values;
    dwq = s.dweight.values;
    s.dbias = bias_gradient(g);
    let_pass(MFQ_PLACE_FPROP_X, x, c_.x, &s.dx);
    let_pass(MFQ_PLACE_FPROP_W, w, c_.dweight, &s.dweight);
    let_pass(MFQ_PLACE_BIAS, bias, c_.dbias, &s.dbias);
    return s;
  }
  Values dxq, dwq; /* the gradients of the operands of fprop, before they pass its quantizers */

private:
  const LayerCase c_;
  std::vector<Meeting> meetings_;
  mfq_phase phase_;

  static mfq_context *cpu() { return devices().cpu.get(); }
  /* The context with the random bits of a place. */
  mfq_context *drawing(mfq_place place) const {
    EXPECT_EQ(mfq_context_set_seed(cpu(), c_.seed, (uint64_t)at_step * 8 + place), MFQ_OK);
    return cpu();
  }
  bool is_quantized(mfq_place place) const { return quantizer(place).take == MFQ_TAKE_QUANTIZED; }
  /* Brevitas clips no gradient of integer weights and biases. */
  mfq_ste ste(mfq_place place) const {
    const bool is_parameter = place == MFQ_PLACE_FPROP_W || place == MFQ_PLACE_BIAS;
    const bool is_wide = is_parameter && quantizer(place).scheme.element.kind == MFQ_KIND_INTEGER &&
                         quantizer(place).scaling != MFQ_SCALING_LEARNED;
    return is_wide && phase_.ste == MFQ_STE_BREVITAS ? MFQ_STE_IDENTITY : phase_.ste;
  }

  /* What a place holds of a tensor, of which the product before it had `before`. */
  Values taken(mfq_place place, const Values &tensor, const Values &before) {
    switch (quantizer(place).take) {
      case MFQ_TAKE_QUANTIZED: return quantize(place, tensor);
      case MFQ_TAKE_SAME: return before;
      case MFQ_TAKE_AGAIN: return quantize(place, before);
      default: return tensor;
    }
  }

  size_t feature_of(size_t i) const {
    const Shape shape = shape_of(c_, kOutput);
    const size_t axis = c_.conv ? channel_axis(*c_.conv) : shape.size() - 1;
    return i / (size_t)dense_strides(shape)[axis] % (size_t)shape[axis];
  }
  void add_bias(const Values &bias, Near *y) const {
    for (size_t i = 0; i < y->values.size(); ++i) {
      const double added = bias[feature_of(i)];
      y->values[i] += added;
      y->bounds[i] += 4 * std::ldexp(std::fabs(added) + std::fabs(y->values[i]), -24);
    }
  }
  Near bias_gradient(const Values &dy) const {
    Near sum = {Values((size_t)features_of(c_), 0.0), Values((size_t)features_of(c_), 0.0)};
    for (size_t i = 0; i < dy.size(); ++i) {
      sum.values[feature_of(i)] += dy[i];
      sum.bounds[feature_of(i)] += std::ldexp(std::fabs(dy[i]), -24) * (double)(dy.size() / sum.values.size());
    }
    return sum;
  }

  /* A product is rounded to the type of its gradient, and passes then. */
  void let_pass(mfq_place place, const Values &source, mfq_dtype dtype, Near *gradient) {
    if (!is_quantized(place) || (phase_.ste == MFQ_STE_IDENTITY && !phase_.through_scale)) return;
    for (double &v : gradient->values) v = nearest_in(dtype, v);
    gradient->values = pass(place, source, gradient->values);
    double largest = 0; /* slopes are below 2, and what a scale sends back is a sum of many terms */
    for (const double v : gradient->values) largest = std::max(largest, std::fabs(v));
    for (double &bound : gradient->bounds) bound = 2 * bound + 1e-5 * (phase_.through_scale ? largest : 0);
  }
  /* By mfq_fake_quantize_backward, whose scales are measured again. */
  Values passed(mfq_place place, const Values &source, const Values &upstream) const {
    if (phase_.ste == MFQ_STE_IDENTITY && !phase_.through_scale) return upstream;
    const Seen at = seen(place);
    const mfq_scheme used = with_axis(scheme(place), at);
    return by_pieces(at, source, [&](const std::vector<float> &part) {
      const std::vector<float> from(upstream.begin(), upstream.end()); /* of one piece */
      std::vector<float> dx(part.size(), kUnwritten);
      EXPECT_EQ(from.size(), part.size());
      const mfq_tensor src = dense(part, at.shape), up = dense(from, at.shape), to = dense(dx, at.shape);
      mfq_fake_gradient g;
      mfq_fake_gradient_init(&g);
      g.scheme = &used;
      g.ste = ste(place);
      g.through_scale = phase_.through_scale;
      g.src = &src;
      g.upstream = &up;
      g.dx = &to;
      EXPECT_EQ(mfq_fake_quantize_backward(drawing(place), &g), MFQ_OK) << mfq_last_error();
      return dx;
    });
  }
};

/* ---- Verdicts --------------------------------------------------------------------------------------------------- */

inline Near exact(Near near) {
  std::fill(near.bounds.begin(), near.bounds.end(), 0.0);
  return near;
}

inline testing::AssertionResult is_near(const LayerTensor &got, const Near &want, const char *what) {
  auto verdict = values_are_near(got.values(), want.values, want.bounds, got.tensor.dtype);
  return verdict ? verdict : verdict << " of " << what;
}
/* All that a step wrote; `is_exact` for values whose sums are. */
inline testing::AssertionResult step_is_near(const LayerRun &run, const StepWanted &want, bool is_exact) {
  const auto of = [&](const Near &near) { return is_exact ? exact(near) : near; };
  auto verdict = is_near(run.y, of(want.y), "y");
  if (verdict) verdict = is_near(run.dx, of(want.dx), "dx");
  if (verdict) verdict = is_near(run.dweight, of(want.dweight), "dweight");
  if (verdict && run.given.has_bias) verdict = is_near(run.dbias, of(want.dbias), "dbias");
  return verdict;
}

/* The operands of a layer. */
struct LayerValues {
  Values x, weight, bias, dy;
};
/* Values as the dtypes of a run hold them. */
inline LayerValues values_for(const LayerRun &run, bool is_coarse, uint32_t seed = 1) {
  const auto make = is_coarse ? coarse_values : fine_values;
  const LayerCase &c = run.given;
  return {run.x.cut(make(count_of(shape_of(c, kInput)), seed)),
          run.weight.cut(make(count_of(shape_of(c, kWeight)), seed + 1)),
          run.bias.cut(make((size_t)features_of(c), seed + 2)),
          run.dy.cut(make(count_of(shape_of(c, kOutput)), seed + 3))};
}

/* What sums are of. */
enum class Of { kFine, kCoarse, kCoarseAndExact };

/* A step of a new layer on a context, beside the oracle. */
inline testing::AssertionResult layer_is_near(mfq_context *context, const LayerCase &c, Of of) {
  const bool is_coarse = of != Of::kFine;
  trace(text_of(c));
  LayerRun run(context, c);
  const LayerValues v = values_for(run, is_coarse);
  run.weight.put(v.weight);
  run.bias.put(v.bias);
  auto verdict = succeeded(run.status, "mfq_layer_create");
  if (verdict) verdict = succeeded(run.forward(v.x), "mfq_layer_forward");
  if (verdict) verdict = succeeded(run.backward(v.dy), "mfq_layer_backward");
  if (verdict) verdict = step_is_near(run, LayerOracle(c).step(v.x, v.weight, v.bias, v.dy), of == Of::kCoarseAndExact);
  return verdict ? verdict : verdict << "; " << text_of(c);
}

} // namespace mfq_test

#endif
