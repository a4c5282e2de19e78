// Producers by strips, against the reference path: every byte of every result, plain, codes, sums, numbers of rows.
#include "support/machine.h"
#include "support/operand.h"
#include "support/produced.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

constexpr mfq_layout kPlain = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                     kLast = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                     kTiles = {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16},
                     kTurned = {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};

/* Codes of both directions; empty: not wanted. */
struct Codes {
  std::string row, col;
  mfq_layout row_layout = kPlain, col_layout = kLast;
};
const Codes kCodes[] = {
    {"mxfp8_e4m3_rceil/group:32@-1", "mxfp8_e4m3_rceil/group:32@-2"},
    {"", ""},
    {"mxfp8_e5m2/group:32@-1", ""},
    {"e4m3fn/block:32x32/ue8m0:rceil", "e4m3fn/block:32x32/ue8m0:rceil", kPlain, kTurned},
    {"nvfp4/group:16@-1", "nvfp4/group:16@-2", kPlain, kTiles},
    {"", "mxfp6_e3m2/group:64@-2"},
    {"fp8_e4m3_tensor", "fp8_e4m3_tensor", kPlain, kTurned},
    {"int8_channel/channel@-2", "mxfp4_e2m1/group:32@-2"},
    {"mxfp4_e2m1/group:32@-1/round:stochastic", "fp8_e4m3_block128", kPlain, kTurned},
    {"mxfp4_e2m1/group:48@-1", "mxfp8_e4m3/group:32@-2"},
    {"nvfp4/group:16@-1/hadamard:16:fixed", "mxfp4_e2m1/group:32@-2/hadamard:32:fixed"},
    {"int4_group32_zp/group:32@-1", ""},
};

const Shape kShapes[] = {{70, 96}, {3, 43, 544}, {129, 1100}, {1, 2}, {2, 128, 64}, {0, 8}, {5, 4608}, {256, 320}};

enum Made {
  RMS,
  LAYER,
  RMS_BACK,
  LAYER_BACK,
  GELU,
  SWIGLU,
  GPT_OSS,
  GEGLU_TANH,
  GELU_BACK,
  SWIGLU_BACK,
  GPT_OSS_BACK,
  RELU_BACK,
  BIAS_BACK,
  SOFTMAX,
  SOFTMAX_BACK,
  LOSS,
  ROTARY,
  MADE
};

struct Case {
  Made made;
  Shape shape; /* of the results, but for the second of a gate's two */
  Codes codes;
  mfq_dtype in, out;
  int stride;              /* 0: dense; 1: rows are longer; 2: every other element */
  bool in_place, is_first; /* of options that come and go */
  uint32_t seed;
  std::string text() const {
    return "producer " + std::to_string(made) + " of " + text_of(shape) + " to '" + codes.row + "' and '" + codes.col +
           "', dtypes " + std::to_string(in) + " and " + std::to_string(out) + ", stride " + std::to_string(stride) +
           (in_place ? ", in place" : "") + (is_first ? ", option" : "");
  }
};

using Bytes = std::vector<std::vector<uint8_t>>;

/* The tensors of one call, and the call. */
class Call {
public:
  explicit Call(const Case &c) : c_(c), result_(c.shape) {
    if (c.made == SWIGLU_BACK || c.made == GPT_OSS_BACK) result_.back() *= 2;
    parameters_ = {c.shape.back()};
    rows_ = Shape(c.shape.begin(), c.shape.end() - 1);
  }
  /* Runs it, and returns what it left. */
  Bytes run(mfq_context *context) {
    EXPECT_EQ(mfq_context_set_seed(context, 5, 7), MFQ_OK);
    const mfq_status status = call(context);
    EXPECT_EQ(status, MFQ_OK) << mfq_last_error();
    Bytes bytes;
    for (const auto &t : tensors_) bytes.push_back(t->bytes);
    for (const auto &q : codes_) {
      bytes.push_back(q->codes);
      bytes.push_back(q->scales);
      bytes.push_back(q->zero_points);
      const uint8_t *scale = reinterpret_cast<const uint8_t *>(&q->tensor_scale);
      bytes.emplace_back(scale, scale + sizeof(float));
    }
    return bytes;
  }

private:
  Shape strides_of(const Shape &shape) const {
    Shape longer = shape;
    if (c_.stride == 1) longer.back() += 8;
    if (c_.stride == 2) longer.back() *= 2;
    Shape strides = dense_strides(longer);
    if (c_.stride == 2) strides.back() = 2;
    return strides;
  }
  const mfq_tensor *keep(mfq_dtype dtype, const Shape &shape, const Shape &strides) {
    tensors_.push_back(std::make_unique<Operand>(dtype, shape, strides));
    views_.push_back(std::make_unique<mfq_tensor>(tensors_.back()->here()));
    return views_.back().get();
  }
  const mfq_tensor *input(const Shape &shape) {
    const mfq_tensor *t = keep(c_.in, shape, strides_of(shape));
    tensors_.back()->fill_awkward(c_.seed + (uint32_t)tensors_.size(), c_.seed % 3 != 0);
    return t;
  }
  const mfq_tensor *numbers(mfq_dtype dtype, const Shape &shape) {
    const mfq_tensor *t = keep(dtype, shape, dense_strides(shape));
    fill_drawn(tensors_.back().get(), c_.seed + (uint32_t)tensors_.size());
    return t;
  }
  const mfq_tensor *output(mfq_dtype dtype, const Shape &shape) { return keep(dtype, shape, dense_strides(shape)); }
  const mfq_qtensor *quantized(const std::string &text, const mfq_layout &layout) {
    codes_.push_back(std::make_unique<Quantized>(parse(text), result_, &layout));
    return &codes_.back()->q;
  }
  mfq_outputs outputs(const mfq_tensor *in_place) {
    mfq_outputs o = {nullptr, nullptr, nullptr};
    if (!c_.codes.row.empty()) o.row = quantized(c_.codes.row, c_.codes.row_layout);
    if (!c_.codes.col.empty()) o.col = quantized(c_.codes.col, c_.codes.col_layout);
    if (c_.in_place && in_place)
      o.plain = in_place;
    else if (c_.is_first || (!o.row && !o.col))
      o.plain = keep(c_.out, result_, c_.stride == 1 ? strides_of(result_) : dense_strides(result_));
    return o;
  }

  mfq_status norm(mfq_context *context, mfq_norm_kind kind) {
    mfq_norm n;
    mfq_norm_init(&n);
    n.kind = kind;
    n.x = input(c_.shape);
    if (kind == MFQ_NORM_RMS || c_.is_first) n.residual = input(c_.shape);
    if (n.residual && c_.in != MFQ_DTYPE_F16) n.sum = c_.in_place ? n.x : output(c_.out, c_.shape);
    n.gain = numbers(c_.in, parameters_);
    if (kind == MFQ_NORM_LAYER) n.shift = numbers(MFQ_DTYPE_F32, parameters_);
    if (kind == MFQ_NORM_LAYER) n.mean = output(MFQ_DTYPE_F32, rows_);
    n.scale = output(MFQ_DTYPE_F32, rows_);
    n.y = outputs(n.sum ? nullptr : n.x);
    return mfq_norm_forward(context, &n);
  }
  mfq_status norm_backward(mfq_context *context, mfq_norm_kind kind) {
    mfq_norm_gradient n;
    mfq_norm_gradient_init(&n);
    n.kind = kind;
    n.dy = input(c_.shape);
    n.h = input(c_.shape);
    n.gain = numbers(MFQ_DTYPE_F32, parameters_);
    if (kind == MFQ_NORM_LAYER) n.mean = numbers(MFQ_DTYPE_F32, rows_);
    n.scale = numbers(MFQ_DTYPE_F32, rows_);
    if (c_.is_first) n.dresidual = input(c_.shape);
    n.dgain = numbers(c_.out, parameters_);
    if (kind == MFQ_NORM_LAYER) n.dshift = numbers(MFQ_DTYPE_F32, parameters_);
    n.accumulate = c_.is_first;
    n.dx = outputs(n.dy);
    return mfq_norm_backward(context, &n);
  }
  Shape pairs() const {
    Shape shape = c_.shape;
    shape.back() *= 2;
    return shape;
  }
  mfq_status activation(mfq_context *context, mfq_activation activation, mfq_gate gate) {
    mfq_activating a;
    mfq_activating_init(&a);
    a.activation = activation;
    a.gate = gate;
    if (gate == MFQ_GATE_INTERLEAVED) {
      a.limit = 7.0f;
      a.slope = 1.702f;
      a.offset = 1.0f;
    }
    a.x = input(gate == MFQ_GATE_NONE ? c_.shape : pairs());
    a.y = outputs(gate == MFQ_GATE_NONE ? a.x : nullptr);
    return mfq_activation_forward(context, &a);
  }
  mfq_status activation_backward(mfq_context *context, mfq_activation activation, mfq_gate gate) {
    mfq_activating_gradient a;
    mfq_activating_gradient_init(&a);
    a.activation = activation;
    a.gate = gate;
    if (gate == MFQ_GATE_INTERLEAVED) {
      a.limit = 7.0f;
      a.slope = 1.702f;
      a.offset = 1.0f;
    }
    if (activation != MFQ_ACTIVATION_NONE) a.x = input(gate == MFQ_GATE_NONE ? c_.shape : pairs());
    a.dy = input(c_.shape);
    if (c_.is_first || activation == MFQ_ACTIVATION_NONE) a.dbias = numbers(c_.out, {result_.back()});
    a.accumulate = c_.in == MFQ_DTYPE_BF16;
    a.dx = outputs(gate == MFQ_GATE_NONE ? a.dy : nullptr);
    return mfq_activation_backward(context, &a);
  }
  mfq_status softmax(mfq_context *context) {
    mfq_softmaxing s;
    mfq_softmaxing_init(&s);
    s.scale = 0.125f;
    s.causal = c_.is_first;
    s.x = input(c_.shape);
    s.y = outputs(s.x);
    return mfq_softmax_forward(context, &s);
  }
  mfq_status softmax_backward(mfq_context *context) {
    mfq_softmaxing_gradient s;
    mfq_softmaxing_gradient_init(&s);
    s.scale = 0.125f;
    s.y = input(c_.shape);
    s.dy = input(c_.shape);
    s.dx = outputs(s.dy);
    return mfq_softmax_backward(context, &s);
  }
  mfq_status loss(mfq_context *context) {
    mfq_cross_entropy_loss l;
    mfq_cross_entropy_loss_init(&l);
    l.logits = input(c_.shape);
    const size_t rows = count_of(rows_);
    for (size_t i = 0; i < rows; ++i) targets_.push_back(i % 5 == 3 ? -100 : (int64_t)(i * 7919) % c_.shape.back());
    l.targets = {targets_.data(), MFQ_INDEX_I64, (int64_t)rows};
    l.smoothing = c_.is_first ? 0.1f : 0.0f;
    l.gradient_scale = 3.0f;
    l.losses = output(MFQ_DTYPE_F32, rows_);
    l.loss = output(MFQ_DTYPE_F32, {1});
    l.dlogits = outputs(l.logits);
    return mfq_cross_entropy(context, &l);
  }
  /* The axes but the last two are tokens. */
  mfq_status rotary(mfq_context *context) {
    mfq_rotating r;
    mfq_rotating_init(&r);
    Shape shape = c_.shape;
    if (shape.size() == 2) shape.insert(shape.begin() + 1, 1);
    r.x = input(shape);
    const int64_t positions = shape[shape.size() - 3] + 3;
    r.cosines = numbers(MFQ_DTYPE_F32, {positions, shape.back() / 2});
    r.sines = numbers(MFQ_DTYPE_F32, {positions, shape.back() / 2});
    for (int64_t i = 0; i < shape[shape.size() - 3]; ++i) targets_.push_back((i * 3 + 1) % positions);
    if (c_.seed % 2) r.positions = {targets_.data(), MFQ_INDEX_I64, (int64_t)targets_.size()};
    r.interleaved = c_.is_first;
    r.inverse = c_.in == MFQ_DTYPE_F16;
    r.y = c_.in_place ? r.x : output(c_.out, shape);
    return mfq_rotary(context, &r);
  }
  mfq_status call(mfq_context *context) {
    switch (c_.made) {
      case RMS: return norm(context, MFQ_NORM_RMS);
      case LAYER: return norm(context, MFQ_NORM_LAYER);
      case RMS_BACK: return norm_backward(context, MFQ_NORM_RMS);
      case LAYER_BACK: return norm_backward(context, MFQ_NORM_LAYER);
      case GELU: return activation(context, MFQ_ACTIVATION_GELU, MFQ_GATE_NONE);
      case SWIGLU: return activation(context, MFQ_ACTIVATION_SILU, MFQ_GATE_HALVES);
      case GPT_OSS: return activation(context, MFQ_ACTIVATION_SILU, MFQ_GATE_INTERLEAVED);
      case GEGLU_TANH: return activation(context, MFQ_ACTIVATION_GELU_TANH, MFQ_GATE_HALVES);
      case GELU_BACK: return activation_backward(context, MFQ_ACTIVATION_GELU, MFQ_GATE_NONE);
      case SWIGLU_BACK: return activation_backward(context, MFQ_ACTIVATION_SILU, MFQ_GATE_HALVES);
      case GPT_OSS_BACK: return activation_backward(context, MFQ_ACTIVATION_SILU, MFQ_GATE_INTERLEAVED);
      case RELU_BACK: return activation_backward(context, MFQ_ACTIVATION_RELU, MFQ_GATE_NONE);
      case BIAS_BACK: return activation_backward(context, MFQ_ACTIVATION_NONE, MFQ_GATE_NONE);
      case SOFTMAX: return softmax(context);
      case SOFTMAX_BACK: return softmax_backward(context);
      case LOSS: return loss(context);
      default: return rotary(context);
    }
  }

  const Case c_;
  Shape result_, parameters_, rows_;
  std::vector<std::unique_ptr<Operand>> tensors_;
  std::vector<std::unique_ptr<mfq_tensor>> views_;
  std::vector<std::unique_ptr<Quantized>> codes_;
  std::vector<int64_t> targets_;
};

/* How many calls took the fast way, and how many others there were. */
struct Ways {
  int strips = 0, rows = 0, others = 0;
};
void count_ways(void *user, mfq_log_level, const char *message) {
  const std::string text = message;
  Ways *ways = static_cast<Ways *>(user);
  if (text.find(": produced strips: ") != std::string::npos)
    ++ways->strips;
  else if (text.find(": produced rows: ") != std::string::npos)
    ++ways->rows;
  else if (text.find("not produced strips") != std::string::npos)
    ++ways->others;
}

Context telling_context(const std::string &isa, int threads, Ways *ways) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = isa.c_str();
  options.threads = threads;
  options.log_level = MFQ_LOG_DEBUG;
  options.log = count_ways;
  options.log_user = ways;
  poison_memory(&options);
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

/* What the reference path gives, with every number of threads. */
TEST(ProducedStrips, EqualTheReferencePath) {
  if (is_only_reference()) GTEST_SKIP() << kOnlyReference;
  const std::vector<std::string> isas = fast_isas();
  const size_t codes = sizeof kCodes / sizeof *kCodes, shapes = sizeof kShapes / sizeof *kShapes;
  Context reference = make_context("reference", 2);
  Ways ways;
  uint32_t seed = 0;
  sample({MADE, codes, shapes, 3, 3, 3, 2, 2, 3, isas.size()}, 110, [&](const std::vector<size_t> &at) {
    if (testing::Test::HasFatalFailure()) return;
    Case c = {(Made)at[0], kShapes[at[2]], kCodes[at[1]], kDtypes[at[3]], kDtypes[at[4]],
              (int)at[5],  at[6] == 1,     at[7] == 1,    ++seed};
    if (c.made == ROTARY) c.codes = {};
    if (c.codes.row.find("hadamard") != std::string::npos) c.shape = {256, 320}; /* which rotations divide */
    SCOPED_TRACE(c.text());
    Context fast = telling_context(isas[at[9]], (int)at[8] + 1, &ways);
    const Bytes want = Call(c).run(reference.get()), got = Call(c).run(fast.get());
    ASSERT_EQ(want.size(), got.size());
    for (size_t i = 0; i < want.size(); ++i) ASSERT_EQ(want[i], got[i]) << "result " << i;
  });
  /* Blocks that cut halves of rows inside a byte. */
  for (const int64_t cols : {96, 192}) {
    const Codes blocks = {"e2m1/block:16x5/f32", "e2m1/block:16x5/f32", kPlain, kTurned};
    const Case c = {SWIGLU_BACK, {256, cols}, blocks, kDtypes[0], kDtypes[0], 0, false, false, ++seed};
    SCOPED_TRACE(c.text());
    Context fast = telling_context(isas.back(), 2, &ways);
    ASSERT_EQ(Call(c).run(reference.get()), Call(c).run(fast.get()));
  }
  EXPECT_GT(ways.strips, ways.rows + ways.others);
  EXPECT_GT(ways.rows, 0);
}

} // namespace
