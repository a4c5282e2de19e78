/* tests/support/layer.h: a layer described in a line, with its memory on any context, and its steps as functions of vectors.
 * layer_oracle.h has what they must give. */
#ifndef MFQ_TESTS_SUPPORT_LAYER_H
#define MFQ_TESTS_SUPPORT_LAYER_H

#include <optional>

#include <mfq/layer.h>

#include "convolution.h"

namespace mfq_test {

using Values = std::vector<double>;

/* ---- A layer ---------------------------------------------------------------------------------------------------- */

/* The sizes of a layer are those of `conv`, or, of a linear one, `rows`, `in` and `out`. */
struct LayerCase {
  std::optional<ConvCase> conv;
  Shape rows = {5};
  int64_t in = 37, out = 11;
  std::string recipe; /* empty: none */
  bool has_bias = true, has_watch = false;
  mfq_dtype x = MFQ_DTYPE_F32, y = MFQ_DTYPE_F32, weight = MFQ_DTYPE_F32, bias = MFQ_DTYPE_F32;
  mfq_dtype dweight = MFQ_DTYPE_F32, dbias = MFQ_DTYPE_F32;
  Memory memory = Memory::kDense; /* of x, y, dy and dx; of a linear layer kDense, kGaps, kReversed: the last axis */
  Memory weight_memory = Memory::kDense;
  mfq_keep keep = MFQ_KEEP_OPERANDS;
  uint64_t seed = 77;
  std::string name = "fc";
};

inline LayerCase linear(const Shape &rows, int64_t in, int64_t out, const std::string &recipe = "") {
  LayerCase c;
  c.rows = rows;
  c.in = in;
  c.out = out;
  c.recipe = recipe;
  return c;
}
inline LayerCase convolution(const ConvCase &conv, const std::string &recipe = "") {
  LayerCase c;
  c.conv = conv;
  c.recipe = recipe;
  return c;
}

inline Shape shape_of(const LayerCase &c, ConvTensor which) {
  if (c.conv) return shape_of(*c.conv, which);
  if (which == kWeight) return {c.out, c.in};
  Shape shape = c.rows;
  shape.push_back(which == kInput ? c.in : c.out);
  return shape;
}
inline int64_t features_of(const LayerCase &c) { return c.conv ? c.conv->out_channels : c.out; }

inline Shape strides_of(const LayerCase &c, ConvTensor which) {
  const Shape shape = shape_of(c, which);
  const Memory memory = which == kWeight ? c.weight_memory : c.memory;
  if (c.conv) return strides_of(*c.conv, shape, memory);
  if (memory == Memory::kDense) return dense_strides(shape);
  /* Rows with room behind each, whose elements have gaps between them, or go backwards: they merge all the same. */
  Shape padded = shape;
  padded.back() = padded.back() * 2 + 3;
  Shape strides = dense_strides(padded);
  strides.back() = memory == Memory::kReversed ? -1 : 2;
  return strides;
}

/* A tensor on a context. */
class LayerTensor {
  Operand host_;
  DeviceMemory memory_;

public:
  mfq_tensor tensor;

  LayerTensor(mfq_context *context, mfq_dtype dtype, const Shape &shape, const Shape &strides)
      : host_(dtype, shape, strides), memory_(context, nullptr, host_.bytes.size()), tensor(host_.at(memory_.data())) {}

  /* Element i (row-major) becomes values[i], cut to the dtype. */
  void put(const Values &values) {
    memory_.write(spread(
                      host_, [&](size_t i) { return bits_in(host_.dtype, (float)values[i]); })
                      .data());
  }
  void poison() { memory_.write(host_.bytes.data()); }
  Values values() const { return values_of(host_, memory_.read()); }
  std::vector<uint8_t> bytes() const { return memory_.read(); }
  /* What cutting to the dtype makes of values. */
  Values cut(Values values) const {
    for (double &v : values) {
      const uint32_t bits = bits_in(host_.dtype, (float)v);
      v = value_in(host_.dtype, reinterpret_cast<const uint8_t *>(&bits));
    }
    return values;
  }
};

struct LayerDeleter {
  void operator()(mfq_layer *layer) const { mfq_layer_destroy(layer); }
};

/* What a backward is asked for. */
struct Wanted {
  bool dx = true, dweight = true, dbias = true, x = true, accumulate = false;
};

/* A layer with the memory of all that it reads and writes. */
class LayerRun {
public:
  const LayerCase given;
  LayerTensor x, weight, bias, y, dy, dx, dweight, dbias;
  mfq_status status; /* of mfq_layer_create */

  LayerRun(mfq_context *context, const LayerCase &c)
      : given(c), x(context, c.x, shape_of(c, kInput), strides_of(c, kInput)),
        weight(context, c.weight, shape_of(c, kWeight), strides_of(c, kWeight)),
        bias(context, c.bias, {features_of(c)}, {1}), y(context, c.y, shape_of(c, kOutput), strides_of(c, kOutput)),
        dy(context, c.y, shape_of(c, kOutput), strides_of(c, kOutput)),
        dx(context, c.x, shape_of(c, kInput), strides_of(c, kInput)),
        dweight(context, c.dweight, shape_of(c, kWeight), strides_of(c, kWeight)),
        dbias(context, c.dbias, {features_of(c)}, {1}), context_(context) {
    mfq_layer_options options;
    mfq_conv conv;
    fill(&options, &conv);
    mfq_layer *made = nullptr;
    status = mfq_layer_create(context, &options, &made);
    EXPECT_EQ(made != nullptr, status == MFQ_OK);
    layer_.reset(made);
  }
  LayerRun(const LayerRun &) = delete;

  mfq_layer *get() const { return layer_.get(); }

  mfq_status forward(const Values &of) {
    x.put(of);
    y.poison();
    const mfq_status got = mfq_layer_forward(get(), &x.tensor, &y.tensor);
    return got == MFQ_OK ? mfq_context_synchronize(context_) : got;
  }
  mfq_status backward(const Values &of, const Wanted &wanted = {}) {
    dy.put(of);
    dx.poison();
    if (!wanted.accumulate) dweight.poison();
    if (!wanted.accumulate) dbias.poison();
    mfq_layer_gradients g;
    mfq_layer_gradients_init(&g);
    g.dy = &dy.tensor;
    g.x = wanted.x ? &x.tensor : nullptr;
    g.dx = wanted.dx ? &dx.tensor : nullptr;
    g.dweight = wanted.dweight ? &dweight.tensor : nullptr;
    g.dbias = wanted.dbias && given.has_bias ? &dbias.tensor : nullptr;
    g.accumulate = wanted.accumulate;
    const mfq_status got = mfq_layer_backward(get(), &g);
    return got == MFQ_OK ? mfq_context_synchronize(context_) : got;
  }

  /* The tensor of this name; its index is -1 where there is none. */
  mfq_layer_tensor find(const std::string &name, int32_t *index = nullptr) const {
    mfq_layer_tensor t;
    std::memset(&t, 0, sizeof t);
    for (int32_t i = 0; i < mfq_layer_tensor_count(get()); ++i) {
      EXPECT_EQ(mfq_layer_tensor_get(get(), i, &t), MFQ_OK) << mfq_last_error();
      if (index != nullptr) *index = i;
      if (t.name == name) return t;
    }
    ADD_FAILURE() << "no tensor " << name;
    if (index != nullptr) *index = -1;
    return t;
  }
  std::vector<float> read(const std::string &name) {
    int32_t index = 0;
    const mfq_layer_tensor t = find(name, &index);
    size_t count = 1;
    for (int32_t d = 0; d < t.tensor.rank; ++d) count *= (size_t)t.tensor.shape[d];
    std::vector<float> values(count, kUnwritten);
    EXPECT_EQ(mfq_layer_tensor_read(get(), index, values.data(), count * sizeof(float)), MFQ_OK) << mfq_last_error();
    return values;
  }
  std::string state() const {
    std::string text(MFQ_LAYER_STATE_MAX, '\0');
    EXPECT_EQ(mfq_layer_state_print(get(), text.data(), text.size()), MFQ_OK) << mfq_last_error();
    return text.c_str();
  }
  std::string description() const { return mfq_layer_describe(get()); }

private:
  mfq_context *context_;
  mfq_recipe recipe_;
  std::unique_ptr<mfq_layer, LayerDeleter> layer_;

  void fill(mfq_layer_options *o, mfq_conv *conv) {
    mfq_layer_options_init(o);
    mfq_conv_init(conv);
    o->name = given.name.c_str();
    if (given.conv) {
      set_parameters(*given.conv, conv);
      o->kind = MFQ_LAYER_CONV;
      o->conv = conv;
    }
    if (!given.recipe.empty()) {
      recipe_ = recipe_of(given.recipe);
      o->recipe = &recipe_;
    }
    o->x = &x.tensor;
    o->y = &y.tensor;
    o->weight = &weight.tensor;
    if (given.has_bias) o->bias = &bias.tensor;
    o->keep = given.keep;
    o->seed = given.seed;
    o->watch = given.has_watch;
  }
};

/* The tensors of a step, as values. */
struct StepValues {
  Values x, dy;
};

/* Multiples of 1/16 below 4: products of two of them, and sums of a few thousand such products, are exact in float32, whatever
 * the order; those of MXFP8, MXFP6 and MXFP4 codes of them too. */
inline Values coarse_values(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  Values values(n);
  for (double &v : values) v = ((int)(random() % 127) - 63) / 16.0;
  return values;
}
/* Normal numbers of a few binades. */
inline Values fine_values(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Values values(n);
  for (double &v : values) v = (double)std::ldexp(normal(random), (int)(random() % 5) - 2);
  return values;
}

inline testing::AssertionResult same_bytes(const LayerTensor &a, const LayerTensor &b, const char *what) {
  if (a.bytes() == b.bytes()) return testing::AssertionSuccess();
  const Values one = a.values(), other = b.values();
  for (size_t i = 0; i < one.size(); ++i)
    if (float_bits((float)one[i]) != float_bits((float)other[i]))
      return testing::AssertionFailure() << what << ": element " << i << " of " << one.size() << " is " << one[i]
                                         << " and " << other[i];
  return testing::AssertionFailure() << what << ": memory between elements differs";
}
/* All that a step writes. */
inline testing::AssertionResult same_step(const LayerRun &a, const LayerRun &b) {
  auto verdict = same_bytes(a.y, b.y, "y");
  if (verdict) verdict = same_bytes(a.dx, b.dx, "dx");
  if (verdict) verdict = same_bytes(a.dweight, b.dweight, "dweight");
  if (verdict) verdict = same_bytes(a.dbias, b.dbias, "dbias");
  return verdict;
}

inline std::string text_of(const LayerCase &c) {
  return (c.conv ? text_of(*c.conv)
                 : "rows " + text_of(c.rows) + " in " + std::to_string(c.in) + " out " + std::to_string(c.out)) +
         "; x " + mfq_dtype_name(c.x) + " y " + mfq_dtype_name(c.y) + " weight " + mfq_dtype_name(c.weight) +
         " memory " + std::to_string((int)c.memory) + " keep " + std::to_string(c.keep) + " recipe " + c.recipe;
}

} // namespace mfq_test

#endif
