/* tests/support/optimizer.h: optimizers of some tensors on a device or the CPU, and what they must come to: every operation of
 * docs/numerics.md, "Optimizers", once more. */
#ifndef MFQ_TESTS_SUPPORT_OPTIMIZER_H
#define MFQ_TESTS_SUPPORT_OPTIMIZER_H

#include <array>
#include <cmath>
#include <map>

#include "operand.h"
#include "philox.h"

namespace mfq_test {

/* A tensor of an optimizer. */
struct LearnedTensor {
  std::string name;
  Shape shape;
  int group = 0;
  mfq_dtype value = MFQ_DTYPE_F32, gradient = MFQ_DTYPE_F32;
  bool stochastic = false;
  std::string row = {}, col = {}; /* schemes of codes; empty: none */
  bool is_turned = false;         /* codes of `col` are stored transposed */
};

inline mfq_optimizer_group group_of(mfq_optimizer_kind kind) {
  mfq_optimizer_group g;
  mfq_optimizer_group_init(kind, &g);
  return g;
}

struct LearnCase {
  mfq_optimizer_kind kind = MFQ_OPTIMIZER_ADAMW;
  std::vector<mfq_optimizer_group> groups;
  std::vector<LearnedTensor> tensors;
  std::string first, second; /* schemes of moments; empty: f32 */
  float clip = 0;
  uint64_t seed = 0x123456789abcull;
};

/* Gradients of a step: normal numbers that float32, bf16 or f16 holds. */
inline std::vector<uint8_t> gradient_bytes(const LearnedTensor &t, uint32_t seed, float scale = 1) {
  Operand x(t.gradient, t.shape);
  std::mt19937 generator(seed * 977 + (uint32_t)count_of(t.shape));
  std::normal_distribution<float> normal;
  x.fill([&](size_t i) {
    const float g = scale * std::ldexp(normal(generator), (int)(generator() % 8) - 6);
    return bits_in(t.gradient, i % 37 == 5 ? 0.0f : g);
  });
  return x.bytes;
}

inline std::vector<uint8_t> value_bytes(const LearnedTensor &t, uint32_t seed) {
  Operand x(t.value, t.shape);
  std::mt19937 generator(seed * 31 + 7);
  std::normal_distribution<float> normal;
  x.fill([&](size_t) { return bits_in(t.value, 0.1f * normal(generator)); });
  return x.bytes;
}

/* ---- A run ------------------------------------------------------------------------------------------------------- */

/* Memory of a context's device, of exactly so many bytes. */
class Bytes {
public:
  Bytes(mfq_context *context, size_t bytes) {
    EXPECT_EQ(mfq_buffer_create(context, bytes, &buffer_), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_buffer_fill(buffer_, 0, bytes, kPoison), MFQ_OK) << mfq_last_error();
  }
  ~Bytes() { mfq_buffer_destroy(buffer_); }
  Bytes(const Bytes &) = delete;
  void *data() const { return mfq_buffer_data(buffer_); }
  size_t size() const { return mfq_buffer_bytes(buffer_); }
  void put(const std::vector<uint8_t> &host) {
    EXPECT_EQ(host.size(), size());
    EXPECT_EQ(mfq_buffer_write(buffer_, 0, host.data(), host.size()), MFQ_OK) << mfq_last_error();
  }
  std::vector<uint8_t> get() const {
    std::vector<uint8_t> host(size());
    EXPECT_EQ(mfq_buffer_read(buffer_, 0, host.data(), host.size()), MFQ_OK) << mfq_last_error();
    return host;
  }

private:
  mfq_buffer *buffer_ = nullptr;
};

/* Codes in such memory. */
struct CodesThere {
  mfq_qtensor q;
  std::vector<std::unique_ptr<Bytes>> parts;

  CodesThere(mfq_context *context, const std::string &scheme_text, const Shape &shape, bool is_turned) {
    const mfq_scheme scheme = parse(scheme_text);
    const mfq_layout layout = {is_turned ? MFQ_CODES_TRANSPOSED : MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL,
                               0};
    mfq_qtensor_sizes z;
    EXPECT_EQ(mfq_qtensor_init(&scheme, (int32_t)shape.size(), shape.data(), &layout, &q), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_qtensor_sizes_get(&q, &z), MFQ_OK) << mfq_last_error();
    for (const size_t bytes : {z.codes_bytes, z.scales_bytes, z.zero_points_bytes, z.tensor_scale_bytes})
      parts.push_back(std::make_unique<Bytes>(context, bytes));
    q.codes = parts[0]->data();
    q.scales = z.scales_bytes > 0 ? parts[1]->data() : nullptr;
    q.zero_points = z.zero_points_bytes > 0 ? parts[2]->data() : nullptr;
    q.tensor_scale = z.tensor_scale_bytes > 0 ? static_cast<float *>(parts[3]->data()) : nullptr;
  }
};

/* What is there after some steps, to be compared. */
using Everything = std::map<std::string, std::vector<uint8_t>>;

inline testing::AssertionResult same(const Everything &got, const Everything &want) {
  if (got.size() != want.size())
    return testing::AssertionFailure() << got.size() << " parts, and there should be " << want.size();
  for (const auto &[name, bytes] : want) {
    const auto found = got.find(name);
    if (found == got.end()) return testing::AssertionFailure() << "there is no " << name;
    if (found->second == bytes) continue;
    for (size_t i = 0; i < bytes.size() && i < found->second.size(); ++i)
      if (found->second[i] != bytes[i])
        return testing::AssertionFailure() << name << ": byte " << i << " of " << bytes.size() << " is "
                                           << (int)found->second[i] << ", not " << (int)bytes[i];
    return testing::AssertionFailure() << name << " has " << found->second.size() << " bytes, not " << bytes.size();
  }
  return testing::AssertionSuccess();
}

class LearnRun {
public:
  LearnRun(mfq_context *context, const LearnCase &c) : context_(context), case_(c) {
    mfq_optimizer_options o;
    mfq_optimizer_options_init(&o);
    std::vector<mfq_optimizer_tensor> tensors;
    for (const LearnedTensor &t : case_.tensors) tensors.push_back(place(t));
    mfq_scheme first, second;
    if (!c.first.empty()) o.first = &(first = parse(c.first));
    if (!c.second.empty()) o.second = &(second = parse(c.second));
    o.kind = c.kind;
    o.groups = c.groups.data();
    o.group_count = (int32_t)c.groups.size();
    o.tensors = tensors.data();
    o.tensor_count = (int32_t)tensors.size();
    o.clip_norm = c.clip;
    o.seed = c.seed;
    status = mfq_optimizer_create(context, &o, &optimizer_);
    EXPECT_EQ(status, MFQ_OK) << mfq_last_error();
  }
  ~LearnRun() { mfq_optimizer_destroy(optimizer_); }
  LearnRun(const LearnRun &) = delete;

  mfq_optimizer *get() const { return optimizer_; }
  const LearnCase &of() const { return case_; }
  Bytes &value(size_t i) { return *values_[i]; }
  Bytes &gradient(size_t i) { return *gradients_[i]; }
  void begin(uint32_t seed = 1) {
    for (size_t i = 0; i < values_.size(); ++i) values_[i]->put(value_bytes(case_.tensors[i], seed + (uint32_t)i));
  }
  void give(uint32_t seed, float scale = 1) {
    for (size_t i = 0; i < gradients_.size(); ++i)
      gradients_[i]->put(gradient_bytes(case_.tensors[i], seed + (uint32_t)i, scale));
  }
  void step() { ASSERT_EQ(mfq_optimizer_step(optimizer_), MFQ_OK) << mfq_last_error(); }
  mfq_optimizer_report report() const {
    mfq_optimizer_report r = {};
    EXPECT_EQ(mfq_optimizer_report_get(optimizer_, &r), MFQ_OK) << mfq_last_error();
    return r;
  }
  std::string state() const {
    std::string text(MFQ_OPTIMIZER_STATE_MAX, 'x');
    EXPECT_EQ(mfq_optimizer_state_print(optimizer_, text.data(), text.size()), MFQ_OK) << mfq_last_error();
    return text.c_str();
  }
  std::vector<uint8_t> part(const std::string &name) const {
    for (int32_t i = 0; i < mfq_optimizer_part_count(optimizer_); ++i) {
      mfq_optimizer_part p;
      EXPECT_EQ(mfq_optimizer_part_get(optimizer_, i, &p), MFQ_OK) << mfq_last_error();
      if (name == p.name) return read(i, p.bytes);
    }
    ADD_FAILURE() << "there is no part " << name;
    return {};
  }
  Everything everything() const {
    Everything all;
    for (int32_t i = 0; i < mfq_optimizer_part_count(optimizer_); ++i) {
      mfq_optimizer_part p;
      EXPECT_EQ(mfq_optimizer_part_get(optimizer_, i, &p), MFQ_OK) << mfq_last_error();
      all[p.name] = read(i, p.bytes);
    }
    for (size_t i = 0; i < values_.size(); ++i) {
      all[case_.tensors[i].name] = values_[i]->get();
      for (int k = 0; k < 2; ++k)
        for (size_t j = 0; codes_[i][k] != nullptr && j < 4; ++j)
          all[case_.tensors[i].name + (k == 0 ? " row " : " col ") + std::to_string(j)] = codes_[i][k]->parts[j]->get();
    }
    const std::string text = state();
    all["state"] = std::vector<uint8_t>(text.begin(), text.end());
    return all;
  }

  mfq_status status;

private:
  std::vector<uint8_t> read(int32_t index, size_t bytes) const {
    std::vector<uint8_t> host(bytes + 1);
    EXPECT_EQ(mfq_optimizer_part_read(optimizer_, index, host.data(), bytes), MFQ_OK) << mfq_last_error();
    host.pop_back();
    return host;
  }
  mfq_optimizer_tensor place(const LearnedTensor &t) {
    mfq_optimizer_tensor o = {};
    values_.push_back(std::make_unique<Bytes>(context_, count_of(t.shape) * mfq_dtype_bytes(t.value)));
    gradients_.push_back(std::make_unique<Bytes>(context_, count_of(t.shape) * mfq_dtype_bytes(t.gradient)));
    codes_.emplace_back();
    auto &codes = codes_.back();
    if (!t.row.empty()) codes[0] = std::make_unique<CodesThere>(context_, t.row, t.shape, false);
    if (!t.col.empty()) codes[1] = std::make_unique<CodesThere>(context_, t.col, t.shape, t.is_turned);
    o.name = t.name.c_str();
    o.value = strided(values_.back()->data(), t.value, t.shape, dense_strides(t.shape));
    o.gradient = strided(gradients_.back()->data(), t.gradient, t.shape, dense_strides(t.shape));
    o.group = t.group;
    o.stochastic = t.stochastic;
    o.row = codes[0] != nullptr ? &codes[0]->q : nullptr;
    o.col = codes[1] != nullptr ? &codes[1]->q : nullptr;
    return o;
  }

  mfq_context *context_;
  LearnCase case_;
  std::vector<std::unique_ptr<Bytes>> values_, gradients_;
  std::vector<std::array<std::unique_ptr<CodesThere>, 2>> codes_;
  mfq_optimizer *optimizer_ = nullptr;
};

/* ---- What it must come to ---------------------------------------------------------------------------------------- */

/* Float32 moments of an optimizer's tensors, values, and counters; operations are those of C++ on float and double. */
class LearnOracle {
public:
  struct Tensor {
    std::vector<float> value, first, second;
  };
  struct Powers {
    double one = 1, two = 1;
  };

  explicit LearnOracle(const LearnCase &c) : case_(c), powers_(std::max<size_t>(c.groups.size(), 1)) {
    for (const LearnedTensor &t : c.tensors) {
      const size_t n = count_of(t.shape);
      tensors.push_back({std::vector<float>(n), std::vector<float>(n), std::vector<float>(n)});
    }
  }
  void begin(size_t i, const std::vector<uint8_t> &bytes) { tensors[i].value = numbers(case_.tensors[i].value, bytes); }
  mfq_optimizer_group &group(size_t i) {
    if (case_.groups.empty()) case_.groups.push_back(group_of(case_.kind));
    return case_.groups[i];
  }

  void step(const std::vector<std::vector<uint8_t>> &gradients) {
    std::vector<std::vector<float>> g;
    for (size_t i = 0; i < gradients.size(); ++i) g.push_back(numbers(case_.tensors[i].gradient, gradients[i]));
    norm = std::sqrt(sum_of_squares(g)) * scale;
    if (!(norm <= 0x1.fffffep127)) {
      ++skipped;
      norm = HUGE_VAL;
      return;
    }
    factor = case_.clip > 0 && norm > (double)case_.clip ? scale * ((double)case_.clip / norm) : scale;
    ++steps;
    for (size_t k = 0; k < powers_.size(); ++k) {
      powers_[k].one *= group(k).beta1;
      powers_[k].two *= group(k).beta2;
    }
    uint64_t first = 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
      for (size_t j = 0; j < g[i].size(); ++j) update(i, j, g[i][j] * (float)factor, first + j);
      first += (g[i].size() + 1023) / 1024 * 1024;
    }
  }

  std::vector<uint8_t> value(size_t i) const {
    const mfq_dtype dtype = case_.tensors[i].value;
    std::vector<uint8_t> bytes;
    for (const float x : tensors[i].value) {
      const uint32_t u = dtype == MFQ_DTYPE_F32 ? float_bits(x) : float_bits(x) >> 16;
      for (size_t b = 0; b < mfq_dtype_bytes(dtype); ++b) bytes.push_back((uint8_t)(u >> 8 * b));
    }
    return bytes;
  }

  std::vector<Tensor> tensors;
  uint64_t steps = 0, skipped = 0;
  double norm = 0, factor = 1, scale = 1;

private:
  static std::vector<float> numbers(mfq_dtype dtype, const std::vector<uint8_t> &bytes) {
    const size_t size = mfq_dtype_bytes(dtype);
    std::vector<float> x(bytes.size() / size);
    for (size_t i = 0; i < x.size(); ++i) x[i] = (float)value_in(dtype, &bytes[i * size]);
    return x;
  }

  /* Terms first, first + step, first + 2 step, ... of at most 1024: a half is every other one. */
  static double halves(const std::vector<double> &t, size_t first, size_t step) {
    if (step == 1024) return first < t.size() ? t[first] : 0.0;
    return halves(t, first, 2 * step) + halves(t, first + step, 2 * step);
  }
  static std::vector<double> runs(const std::vector<double> &t) {
    std::vector<double> sums;
    for (size_t at = 0; at < t.size(); at += 1024)
      sums.push_back(halves({t.begin() + (ptrdiff_t)at, t.begin() + (ptrdiff_t)std::min(at + 1024, t.size())}, 0, 1));
    return sums;
  }
  static double sum_of_squares(const std::vector<std::vector<float>> &gradients) {
    std::vector<double> sums;
    for (const std::vector<float> &g : gradients) {
      std::vector<double> squares;
      for (const float x : g) squares.push_back((double)x * (double)x);
      for (const double s : runs(squares)) sums.push_back(s);
    }
    while (sums.size() > 1) sums = runs(sums);
    return sums.empty() ? 0.0 : sums[0];
  }

  void update(size_t tensor, size_t j, float g, uint64_t index) {
    const LearnedTensor &of = case_.tensors[tensor];
    const mfq_optimizer_group &c = group((size_t)of.group);
    const Powers &p = powers_[(size_t)of.group];
    Tensor &t = tensors[tensor];
    float &m = t.first[j], &v = t.second[j];
    float x = t.value[j];
    if (case_.kind == MFQ_OPTIMIZER_ADAMW) {
      const float old = m, by = (float)(1 - c.beta1);
      m = by < 0.5f ? old + by * (g - old) : g - (float)c.beta1 * (g - old);
      v = std::min((float)c.beta2 * v + ((float)(1 - c.beta2) * g) * g, std::numeric_limits<float>::max());
      const float spread = std::sqrt(v) * (float)(1 / std::sqrt(1 - p.two)) + (float)c.epsilon;
      x = (float)(1 - c.rate * c.weight_decay) * x - ((float)(c.rate / (1 - p.one)) * m) / spread;
    } else {
      const float d = c.weight_decay == 0 ? g : g + (float)c.weight_decay * x;
      if (c.beta1 > 0) m = (float)c.beta1 * m + d;
      const float way = c.beta1 == 0 ? d : c.nesterov ? d + (float)c.beta1 * m : m;
      x = x - (float)c.rate * way;
    }
    t.value[j] = of.value == MFQ_DTYPE_F32 ? x : of.stochastic ? rounded_up(x, index) : nearest(x);
  }
  static float nearest(float x) { return (float)value_in(MFQ_DTYPE_BF16, bytes_of(even_bf16(x)).data()); }
  static std::array<uint8_t, 2> bytes_of(uint32_t u) { return {(uint8_t)u, (uint8_t)(u >> 8)}; }
  static uint32_t even_bf16(float x) {
    const uint32_t u = float_bits(x), rest = u & 0xffff, up = rest > 0x8000 || (rest == 0x8000 && (u >> 16 & 1) != 0);
    return (u >> 16) + up;
  }
  /* Up where the random number below 2^16 and what is cut off are 2^16 together. */
  float rounded_up(float x, uint64_t index) const {
    const Block words = philox({(uint32_t)(index / 8), (uint32_t)(index / 8 >> 32), (uint32_t)steps, 0},
                               {(uint32_t)case_.seed, (uint32_t)(case_.seed >> 32)});
    const uint32_t half = words[index % 8 / 2] >> (index % 2 * 16) & 0xffff, u = float_bits(x);
    const uint32_t up = half + (u & 0xffff) >= 0x10000;
    return (float)value_in(MFQ_DTYPE_BF16, bytes_of((u >> 16) + up).data());
  }

  LearnCase case_;
  std::vector<Powers> powers_;
};

} // namespace mfq_test

#endif
