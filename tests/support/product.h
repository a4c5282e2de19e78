/* tests/support/product.h: a matrix product described in a line, run on any context, beside double sums of the values
 * that its operands dequantize to, with the bound of docs/numerics.md. */
#ifndef MFQ_TESTS_SUPPORT_PRODUCT_H
#define MFQ_TESTS_SUPPORT_PRODUCT_H

#include <cmath>

#include "device.h"
#include "half.h"

namespace mfq_test {

/* How one operand comes. */
struct Side {
  std::string scheme;              /* empty: plain */
  bool on_the_way = false;         /* plain in memory, quantized by the run */
  bool is_transposed = false;      /* A as [K, M]; B as [N, K] */
  bool is_shared = false;          /* rank 2 whatever the batches */
  mfq_dtype dtype = MFQ_DTYPE_F32; /* of a plain tensor */
  mfq_layout layout = {};
  int64_t row_padding = 0; /* elements between rows of a plain tensor */
  Shape strides;           /* of a plain tensor, any; empty: dense rows */
};

struct Case {
  int64_t m = 4, n = 8, k = 64;
  Shape batches;
  Side a, b;
  mfq_dtype d = MFQ_DTYPE_F32;
  std::string quantized_d; /* a scheme: D is quantized */
  mfq_layout d_layout = {};
  Shape d_strides, c_strides; /* empty: dense */
  mfq_dtype c = MFQ_DTYPE_F32;
  int64_t bias_step = 1;
  bool has_c = false, c_is_d = false, has_bias = false, device_scalars = false, round_operands = false;
  float alpha = 1.0f, beta = 1.0f;
  mfq_activation activation = MFQ_ACTIVATION_NONE;
  size_t front = 0; /* bytes that memory is misaligned by */
  uint32_t seed = 1;
};

inline Side quantized(const std::string &scheme, bool is_transposed = false) {
  Side side;
  side.scheme = scheme;
  side.is_transposed = is_transposed;
  return side;
}
/* B as weights lie: [N, K], groups along the last axis. */
inline Side weights(const std::string &scheme) { return quantized(scheme, true); }
inline Side plain(mfq_dtype dtype = MFQ_DTYPE_BF16, bool is_transposed = false) {
  Side side;
  side.dtype = dtype;
  side.is_transposed = is_transposed;
  return side;
}

inline Case sized(int64_t m, int64_t n, int64_t k, const Side &a, const Side &b) {
  Case x;
  x.m = m;
  x.n = n;
  x.k = k;
  x.a = a;
  x.b = b;
  return x;
}

/* A context of a policy. */
inline Context make_context_of(const char *device, mfq_policy policy, int threads = 1) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.device = device;
  options.policy = policy;
  options.threads = threads;
  poison_memory(&options);
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

inline double activated(double x, mfq_activation activation) {
  switch (activation) {
    case MFQ_ACTIVATION_RELU: return x < 0 ? 0 : x;
    case MFQ_ACTIVATION_GELU: return x * std::erfc(-x / std::sqrt(2.0)) / 2;
    case MFQ_ACTIVATION_GELU_TANH: return x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2;
    case MFQ_ACTIVATION_SILU: return x / (1 + std::exp(-x));
    default: return x;
  }
}

/* An operand with its memory on the host, and its values as rows x depth of each batch. */
struct SideData {
  Shape shape;
  std::unique_ptr<Operand> plain;
  std::unique_ptr<Quantized> quantized;
  std::vector<double> values; /* [batches, rows, depth] */

  SideData(const Side &side, const Shape &batches, const Shape &matrix, uint32_t seed)
      : SideData(side, with_batches(side, batches, matrix), seed, side.strides) {}
  /* Of any shape; no strides: dense, or as row_padding says. */
  SideData(const Side &side, const Shape &of, uint32_t seed, const Shape &strides) : shape(of), strides_(strides) {
    if (strides_.empty()) {
      Shape padded = shape;
      if (!padded.empty()) padded.back() += side.row_padding;
      strides_ = dense_strides(padded);
    }
    plain = std::make_unique<Operand>(side.dtype, shape, strides_);
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    plain->fill([&](size_t) { return bits_in(side.dtype, std::ldexp(normal(generator), (int)(generator() % 5) - 2)); });
    if (!side.scheme.empty()) quantized = std::make_unique<Quantized>(parse(side.scheme), shape, &side.layout);
    renew();
  }

  /* Quantizes again, and reads the values again, after the plain tensor was changed. */
  void renew() {
    const mfq_tensor tensor = plain->here();
    std::vector<float> flat(count_of(shape));
    const mfq_tensor target = dense(flat, shape);
    if (quantized == nullptr) {
      for (size_t i = 0; i < flat.size(); ++i) {
        int64_t offset = 0, rest = (int64_t)i;
        for (size_t d = shape.size(); d-- > 0; rest /= shape[d]) offset += rest % shape[d] * strides_[d];
        flat[i] = (float)value_in(plain->dtype, static_cast<uint8_t *>(tensor.data) +
                                                    offset * (int64_t)mfq_dtype_bytes(plain->dtype));
      }
    } else {
      EXPECT_EQ(mfq_quantize(devices().cpu.get(), &tensor, &quantized->q, nullptr), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(mfq_dequantize(devices().cpu.get(), &quantized->q, &target), MFQ_OK) << mfq_last_error();
    }
    set_values(flat);
  }

  void set_values(const std::vector<float> &flat) { values.assign(flat.begin(), flat.end()); }
  /* Reads the values of the quantized tensor again, after its parts were changed. */
  void requantized() { set_values(dequantized(devices().cpu.get(), *quantized)); }

private:
  Shape strides_;

  static Shape with_batches(const Side &side, const Shape &batches, const Shape &matrix) {
    Shape all = side.is_shared ? Shape{} : batches;
    all.insert(all.end(), matrix.begin(), matrix.end());
    return all;
  }
};

inline void set_operand(mfq_operand *operand, const Side &side, const mfq_tensor *tensor, const DeviceQuantized *q,
                        mfq_scheme *scheme) {
  if (side.scheme.empty() || side.on_the_way) operand->plain = tensor;
  if (!side.scheme.empty() && !side.on_the_way) operand->quantized = &q->q;
  if (!side.scheme.empty() && side.on_the_way) {
    *scheme = parse(side.scheme);
    operand->quantize_to = scheme;
  }
}

/* What a run gave: the values of D, and its bytes (of a quantized D all parts). */
struct ProductResult {
  mfq_status status = MFQ_OK;
  std::string description;
  std::vector<double> values;
  std::vector<uint8_t> bytes;
};

class ProductData {
public:
  Case given;
  SideData a, b;
  std::vector<float> bias, c;
  Shape d_shape;

  explicit ProductData(const Case &x)
      : given(x), a(x.a, x.batches, x.a.is_transposed ? Shape{x.k, x.m} : Shape{x.m, x.k}, x.seed * 3 + 1),
        b(x.b, x.batches, x.b.is_transposed ? Shape{x.n, x.k} : Shape{x.k, x.n}, x.seed * 3 + 2), d_shape(x.batches) {
    if (x.a.is_shared && x.b.is_shared) d_shape.clear();
    d_shape.push_back(x.m);
    d_shape.push_back(x.n);
    bias = awkward_values((size_t)x.n, x.seed + 3, true);
    c = awkward_values(count_of(d_shape), x.seed + 4, true);
    for (std::vector<float> *values : {&bias, &c})
      for (float &v : *values)
        if (!(std::fabs(v) < 100)) v = 1.25f;
    const Operand of_c = c_memory(), of_bias = bias_memory();
    for (size_t i = 0; i < c.size(); ++i) c[i] = (float)memory_at(of_c, i);
    for (size_t i = 0; i < bias.size(); ++i) bias[i] = (float)memory_at(of_bias, i);
  }

  int64_t batches() const { return (int64_t)count_of(d_shape) / std::max<int64_t>(1, given.m * given.n); }

  /* Value and error bound of each element of D before it is quantized or rounded to its dtype. */
  void expected(std::vector<double> *values, std::vector<double> *bounds) const {
    values->clear();
    bounds->clear();
    for (int64_t i = 0; i < batches(); ++i)
      for (int64_t r = 0; r < given.m; ++r)
        for (int64_t j = 0; j < given.n; ++j) add_expected(i, r, j, values, bounds);
  }

  /* Runs what it is given, in a way of its own. */
  using Around = std::function<mfq_status(const std::function<mfq_status()> &)>;

  /* Plans and runs the product on a context. */
  ProductResult run(mfq_context *context, const Around &around = nullptr) const {
    ProductResult result;
    const Transfer transfer(context);
    const DeviceMemory a_memory(context, a.plain->bytes.data(), a.plain->bytes.size(), given.front);
    const DeviceMemory b_memory(context, b.plain->bytes.data(), b.plain->bytes.size(), given.front);
    const Placement at = {given.front, given.front, given.front / 4 * 4, given.front};
    std::unique_ptr<DeviceQuantized> qa, qb, qd;
    if (a.quantized != nullptr) qa = std::make_unique<DeviceQuantized>(context, *a.quantized, at);
    if (b.quantized != nullptr) qb = std::make_unique<DeviceQuantized>(context, *b.quantized, at);
    const Operand c_host = c_memory();
    Operand d = given.has_c && given.c_is_d ? c_host : laid_out(given.d, given.d_strides), bias_host = bias_memory();
    const DeviceMemory d_memory(context, d.bytes.data(), d.bytes.size(), given.front);
    const DeviceMemory c_there(context, c_host.bytes.data(), c_host.bytes.size(), given.front / 4 * 4);
    const DeviceMemory bias_there(context, bias_host.bytes.data(), bias_host.bytes.size(), given.front / 4 * 4);
    const float scalars[] = {given.alpha, given.beta};
    const DeviceMemory scalar_memory(context, scalars, sizeof scalars);

    const mfq_tensor ta = a.plain->at(a_memory.data()), tb = b.plain->at(b_memory.data()), td = d.at(d_memory.data());
    const mfq_tensor tc = given.c_is_d ? td : c_host.at(c_there.data());
    const mfq_tensor tbias = bias_host.at(bias_there.data());
    mfq_gemm gemm;
    mfq_gemm_init(&gemm);
    mfq_scheme schemes[2];
    set_operand(&gemm.a, given.a, &ta, qa.get(), &schemes[0]);
    set_operand(&gemm.b, given.b, &tb, qb.get(), &schemes[1]);
    gemm.transpose_a = given.a.is_transposed;
    gemm.transpose_b = given.b.is_transposed;
    gemm.c = given.has_c ? &tc : nullptr;
    gemm.bias = given.has_bias ? &tbias : nullptr;
    const float *values = given.device_scalars ? static_cast<const float *>(scalar_memory.data()) : scalars;
    gemm.device_scalars = given.device_scalars;
    if (given.alpha != 1.0f) gemm.alpha = &values[0];
    if (given.has_c && given.beta != 1.0f) gemm.beta = &values[1];
    gemm.activation = given.activation;
    gemm.round_operands = given.round_operands;
    std::unique_ptr<Quantized> quantized;
    if (given.quantized_d.empty()) {
      gemm.d = &td;
    } else {
      quantized = std::make_unique<Quantized>(parse(given.quantized_d), d_shape, &given.d_layout);
      qd = std::make_unique<DeviceQuantized>(context, *quantized);
      gemm.quantized_d = &qd->q;
    }
    transfer.upload();
    plan_and_run(context, gemm, around, &result);
    if (result.status != MFQ_OK) return result;
    transfer.download();
    collect(d_memory, d, qd.get(), quantized.get(), &result);
    EXPECT_TRUE(a_memory.read() == a.plain->bytes && b_memory.read() == b.plain->bytes) << "an operand was written";
    return result;
  }

private:
  Operand laid_out(mfq_dtype dtype, const Shape &strides) const {
    return Operand(dtype, d_shape, strides.empty() ? dense_strides(d_shape) : strides);
  }
  Operand c_memory() const {
    Operand memory = given.c_is_d ? laid_out(given.d, given.d_strides) : laid_out(given.c, given.c_strides);
    for (size_t i = 0; i < c.size(); ++i) memory.put(memory.place(i), bits_in(memory.dtype, c[i]));
    return memory;
  }
  Operand bias_memory() const {
    Operand memory(MFQ_DTYPE_F32, {given.n}, {given.bias_step});
    for (size_t i = 0; i < bias.size(); ++i) memory.put(memory.place(i), float_bits(bias[i]));
    return memory;
  }
  static double memory_at(const Operand &x, size_t index) {
    return value_in(x.dtype, &x.bytes[x.place(index) * mfq_dtype_bytes(x.dtype)]);
  }

  static void plan_and_run(mfq_context *context, const mfq_gemm &gemm, const Around &around, ProductResult *result) {
    mfq_gemm_plan *plan = nullptr;
    result->status = mfq_gemm_plan_create(context, &gemm, &plan);
    if (result->status != MFQ_OK) return;
    result->description = mfq_gemm_plan_describe(plan);
    const DeviceMemory workspace(context, nullptr, mfq_gemm_workspace_bytes(plan));
    const auto work = [&] { return mfq_gemm_run(context, plan, &gemm, workspace.data(), workspace.bytes()); };
    result->status = around != nullptr ? around(work) : work();
    if (result->status == MFQ_OK) result->status = mfq_context_synchronize(context);
    workspace.check();
    mfq_gemm_plan_destroy(plan);
  }

  /* `d` is the memory of D before. */
  void collect(const DeviceMemory &d_memory, Operand d, const DeviceQuantized *there, Quantized *quantized,
               ProductResult *result) const {
    if (quantized == nullptr) {
      result->bytes = d_memory.read();
      d.bytes.swap(result->bytes);
      for (size_t i = 0; i < count_of(d_shape); ++i) result->values.push_back(memory_at(d, i));
      d.bytes.swap(result->bytes);
      check_gaps(d, result->bytes);
      return;
    }
    there->download(quantized);
    for (const auto *part : {&quantized->codes, &quantized->scales, &quantized->zero_points})
      result->bytes.insert(result->bytes.end(), part->begin(), part->end());
    const std::vector<float> values = dequantized(devices().cpu.get(), *quantized);
    result->values.assign(values.begin(), values.end());
  }

  /* Bytes of D that belong to no element stay as they were. */
  void check_gaps(Operand before, const std::vector<uint8_t> &after) const {
    const size_t size = mfq_dtype_bytes(before.dtype);
    for (size_t i = 0; i < count_of(d_shape); ++i)
      std::memcpy(&before.bytes[before.place(i) * size], &after[before.place(i) * size], size);
    EXPECT_TRUE(before.bytes == after) << "memory between the elements of D was written";
  }

  void add_expected(int64_t batch, int64_t row, int64_t col, std::vector<double> *values,
                    std::vector<double> *bounds) const {
    const double *x = a.values.data() + (given.a.is_shared ? 0 : batch * given.m * given.k);
    const double *y = b.values.data() + (given.b.is_shared ? 0 : batch * given.k * given.n);
    const int64_t a_step[] = {given.a.is_transposed ? 1 : given.k, given.a.is_transposed ? given.m : 1};
    const int64_t b_step[] = {given.b.is_transposed ? given.k : 1, given.b.is_transposed ? 1 : given.n};
    double sum = 0, magnitude = 0;
    for (int64_t k = 0; k < given.k; ++k) {
      const double product = x[row * a_step[0] + k * a_step[1]] * y[col * b_step[0] + k * b_step[1]];
      sum += product;
      magnitude += std::fabs(product);
    }
    const double unit = std::ldexp(1.0, -24);
    double value = given.alpha * sum;
    double error = (double)(given.k + 8) * unit * std::fabs(given.alpha) * magnitude;
    if (given.round_operands) error += std::ldexp(1.0, -7) * std::fabs(given.alpha) * magnitude;
    if (given.has_c && given.beta != 0) {
      const size_t i = (size_t)((batch * given.m + row) * given.n + col);
      const double old = c[i];
      value += given.beta * old;
      error += 4 * unit * std::fabs(given.beta * old);
    }
    if (given.has_bias) {
      value += bias[(size_t)col];
      error += 4 * unit * std::fabs(bias[(size_t)col]);
    }
    values->push_back(activated(value, given.activation));
    /* The slopes of the activations are at most 1.13, and their own error 8 units. */
    bounds->push_back(1.13 * error + 16 * unit * std::fabs(value) + std::ldexp(1.0, -140));
  }
};

/* What tensor cores may lose in 8-bit products, as a multiple of a bound of `expected`: a GPU keeps 13 bits of sums of up
 * to 128 products there, and 2^-6 of their magnitudes bounds that (docs/numerics.md); the emulator loses nothing. */
inline double fp8_allowance(const std::string &description, int64_t k) {
  const bool is_fp8 = description.rfind("native: 8-bit", 0) == 0 || description.rfind("folded", 0) == 0;
  return is_fp8 && !is_emulated() ? std::ldexp(1.0, 24 - 6) / (double)(k + 8) : 0.0;
}

/* Whether values lie within the bounds, with what rounding to a dtype adds. */
inline testing::AssertionResult values_are_near(const std::vector<double> &got, const std::vector<double> &want,
                                                const std::vector<double> &bounds, mfq_dtype dtype) {
  if (got.size() != want.size()) return testing::AssertionFailure() << got.size() << " values";
  for (size_t i = 0; i < want.size(); ++i) {
    const int digits = dtype == MFQ_DTYPE_F32 ? 24 : dtype == MFQ_DTYPE_BF16 ? 8 : 11;
    double bound = bounds[i] + std::ldexp(std::fabs(want[i]) + bounds[i], -digits);
    if (dtype == MFQ_DTYPE_F16) bound += std::ldexp(1.0, -25); /* half of the smallest subnormal number */
    if (dtype == MFQ_DTYPE_BF16) bound += std::ldexp(1.0, -134);
    const bool is_same = std::isnan(want[i]) ? std::isnan(got[i]) : std::fabs(got[i] - want[i]) <= bound;
    if (!is_same)
      return testing::AssertionFailure() << "element " << i << " of " << want.size() << " is " << got[i]
                                         << ", expected " << want[i] << " within " << bound;
  }
  return testing::AssertionSuccess();
}

inline testing::AssertionResult is_near(const ProductData &data, const ProductResult &result) {
  std::vector<double> want, bounds;
  data.expected(&want, &bounds);
  for (double &bound : bounds) bound *= 1 + fp8_allowance(result.description, data.given.k);
  return values_are_near(result.values, want, bounds, data.given.d);
}

inline std::string text_of(const Side &s) {
  return (s.scheme.empty() ? mfq_dtype_name(s.dtype) : s.scheme) + (s.on_the_way ? " on the way" : "") +
         (s.is_transposed ? " transposed" : "") + (s.is_shared ? " shared" : "") + text_of(s.layout) +
         (s.strides.empty() ? "" : " strides " + text_of(s.strides));
}
inline std::string text_of(const Case &x) {
  return "M " + std::to_string(x.m) + " N " + std::to_string(x.n) + " K " + std::to_string(x.k) + " batches " +
         text_of(x.batches) + "; a " + text_of(x.a) + "; b " + text_of(x.b) + "; D " +
         (x.quantized_d.empty() ? mfq_dtype_name(x.d) : x.quantized_d) + " C " + std::to_string(x.has_c) + " bias " +
         std::to_string(x.has_bias) + " activation " + std::to_string(x.activation) + " front " +
         std::to_string(x.front) + (x.d_strides.empty() ? "" : " D strides " + text_of(x.d_strides)) +
         (x.c_strides.empty() ? "" : " C strides " + text_of(x.c_strides));
}

/* Runs a case, which must take the implementation `by` (any: NULL), and compares it with double sums. */
inline testing::AssertionResult product_is_near(mfq_context *context, const Case &x, const char *by = nullptr) {
  trace(text_of(x));
  const ProductData data(x);
  const ProductResult result = data.run(context);
  auto verdict = succeeded(result.status, "the product");
  if (verdict && by != nullptr && result.description.rfind(std::string(by) + ": ", 0) != 0)
    verdict = testing::AssertionFailure() << "another way";
  if (verdict) verdict = is_near(data, result);
  return verdict ? verdict : verdict << "; " << text_of(x) << "; " << result.description;
}

/* Why a context runs no products by cuBLASLt; "": it does. */
inline std::string why_no_cublaslt(mfq_context *context) {
  const std::string by = ProductData(sized(72, 32, 64, plain(), plain())).run(context).description;
  return by.rfind("expanded: ", 0) == 0 ? "" : by;
}

} // namespace mfq_test

#endif
