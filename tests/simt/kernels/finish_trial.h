/* tests/simt/kernels/finish_trial.h: the finish of a product, and the same as a loop over elements. */
#ifndef MFQ_SIMT_FINISH_TRIAL_H
#define MFQ_SIMT_FINISH_TRIAL_H

#include <memory>

#include "simt/emulator/run_kernel.h"
#include "support/operand.h"

#include "cuda/cuda_errors.cu"
#include "cuda/gemm/finish_cuda.cu"
#include "cuda/index_plans.cu"

/* What mfq_cuda_finish_quantize asks for. */
static struct {
  mfq_tensor src;
  const mfq_qview *row;
} quantized;

mfq_status mfq_cuda_cast(mfq_context *, const mfq_cast *cast) {
  quantized = {*cast->src, cast->view};
  return cast->op == MFQ_OP_QUANTIZE && cast->other == nullptr ? MFQ_OK : MFQ_ERROR_INTERNAL;
}

namespace {

using namespace mfq_test;

/* A context with nothing but a stream, for a test. */
struct Queue {
  mfq_cuda_state state = {};
  mfq_context context = {};
  Queue() { context.backend_state = &state; }
};

/* An operand on the device, `front` bytes behind an address aligned to 256. */
class Placed {
public:
  Placed(const Operand &host, size_t front) : front_(front), memory_(with_front(host, front)) {}
  uint8_t *base() const { return memory_.data() + front_; }
  std::vector<uint8_t> read() const {
    const std::vector<uint8_t> all = memory_.read();
    return std::vector<uint8_t>(all.begin() + (ptrdiff_t)front_, all.end());
  }

private:
  static std::vector<uint8_t> with_front(const Operand &host, size_t front) {
    std::vector<uint8_t> all(front, 0xab);
    all.insert(all.end(), host.bytes.begin(), host.bytes.end());
    return all;
  }
  size_t front_;
  device_array<uint8_t> memory_;
};

mfq_matrix matrix_at(const Operand &host, uint8_t *base) {
  mfq_matrix m = {};
  const size_t batch_rank = host.shape.size() - 2;
  m.data = base + host.origin;
  m.dtype = host.dtype;
  m.rows = host.shape[batch_rank];
  m.cols = host.shape[batch_rank + 1];
  for (size_t k = 0; k < 2; ++k) m.stride[k] = host.strides[batch_rank + k];
  m.batch_rank = (int32_t)batch_rank;
  for (size_t k = 0; k < batch_rank; ++k) {
    m.batch_shape[k] = host.shape[k];
    m.batch_stride[k] = host.strides[k];
  }
  return m;
}

/* The byte of element (batch, row, col). */
size_t byte_of(const Operand &host, int64_t batch, int64_t row, int64_t col) {
  const size_t batch_rank = host.shape.size() - 2;
  int64_t offset = row * host.strides[batch_rank] + col * host.strides[batch_rank + 1];
  for (size_t k = batch_rank; k-- > 0; batch /= host.shape[k]) offset += batch % host.shape[k] * host.strides[k];
  return (size_t)((int64_t)host.origin + offset * (int64_t)mfq_dtype_bytes(host.dtype));
}

float value_at(const Operand &host, size_t byte) {
  uint32_t u = 0;
  std::memcpy(&u, &host.bytes[byte], mfq_dtype_bytes(host.dtype));
  if (host.dtype == MFQ_DTYPE_BF16) u = mfqn_f32_from_bf16(u);
  if (host.dtype == MFQ_DTYPE_F16) u = mfqn_f32_from_f16(u);
  return mfqn_float_of(u);
}

void round_to(Operand *host, size_t byte, float value) {
  uint32_t u = mfqn_bits(value);
  if (host->dtype == MFQ_DTYPE_BF16) u = mfqn_bf16_from_f32(u);
  if (host->dtype == MFQ_DTYPE_F16) u = mfqn_f16_from_f32(u);
  std::memcpy(&host->bytes[byte], &u, mfq_dtype_bytes(host->dtype));
}

/* How a matrix lies in memory. */
enum class Lie { dense, padded, aligned, turned, backwards, shared };
constexpr Lie lies[] = {Lie::dense, Lie::padded, Lie::aligned, Lie::turned, Lie::backwards};

Operand laid(mfq_dtype dtype, Shape shape, Lie lie) {
  Shape strides = dense_strides(shape);
  const size_t row = shape.size() - 2, col = row + 1;
  const int64_t wide = lie == Lie::padded ? shape[col] + 3 : (shape[col] + 15) / 8 * 8;
  if (lie == Lie::padded || lie == Lie::aligned) strides[row] = wide;
  if (lie == Lie::turned) strides[row] = 1, strides[col] = shape[row];
  if (lie == Lie::backwards) strides[row] = -shape[col];
  if (lie == Lie::padded || lie == Lie::aligned) /* and the batch axes in the other order */
    for (size_t k = 0, step = (size_t)(wide * shape[row]); k < row; step *= (size_t)shape[k++])
      strides[k] = (int64_t)step;
  return Operand(dtype, shape, strides);
}

/* Numbers of ordinary size, and now and then something else. */
void fill_numbers(Operand *x, std::mt19937 *random, bool is_awkward) {
  const float odd[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, 6e4f, 3e38f, -1e-6f};
  x->fill([&](size_t) {
    const float number = (float)((double)(*random)() / 1073741824.0 - 2.0);
    const bool is_odd = is_awkward && (*random)() % 8 == 0;
    return bits_in(x->dtype, is_odd ? odd[(*random)() % 9] : number);
  });
}

/* A side with the memory that its factors need, and these factors. */
struct Side {
  mfq_gemm_side side = {};
  std::vector<float> factors; /* by batch and row */
  std::vector<std::unique_ptr<device_array<uint8_t>>> memory;
};

uint8_t *keep(Side *side, const std::vector<uint8_t> &bytes) {
  side->memory.push_back(std::make_unique<device_array<uint8_t>>(bytes));
  return side->memory.back()->data();
}

/* A stored scale of ordinary size, and its value. */
uint32_t random_scale(mfq_scale_format format, std::mt19937 *random, float *value) {
  const uint32_t r = (*random)();
  uint32_t stored = 0;
  switch (format) {
    case MFQ_SCALE_F32: stored = 0x3f000000u + r % 0x1000000u; break;
    case MFQ_SCALE_BF16: stored = 0x3f00u + r % 0x100u; break;
    case MFQ_SCALE_F16: stored = 0x3800u + r % 0x800u; break;
    case MFQ_SCALE_UE8M0: stored = 120u + r % 12u; break;
    default: stored = 1u + r % 0x7eu;
  }
  uint32_t u = stored;
  if (format == MFQ_SCALE_BF16) u = mfqn_f32_from_bf16(stored);
  if (format == MFQ_SCALE_F16) u = mfqn_f32_from_f16(stored);
  if (format == MFQ_SCALE_UE8M0) u = stored << 23;
  *value = mfqn_float_of(u);
  if (format == MFQ_SCALE_UE4M3) {
    const int exponent = (int)(stored >> 3), mantissa = (int)(stored & 7);
    *value = exponent == 0 ? std::ldexp((float)mantissa, -9) : std::ldexp((float)(8 + mantissa), exponent - 10);
  }
  return stored;
}

/* `text` NULL: plain. Scales vary with the row where `text` has channels (with the batch: "channel@0"), else they are
 * one, or stay at elements. */
void make_side(const char *text, int64_t batches, int64_t rows, std::mt19937 *random, Side *to) {
  to->factors.assign((size_t)(batches * rows), 1.0f);
  to->side.kind = MFQ_SIDE_PLAIN;
  if (text == nullptr) return;
  const bool is_batched = std::strstr(text, "@0") != nullptr;
  const int64_t depth = 32, shape[] = {is_batched ? batches : rows, is_batched ? rows : depth, depth};
  mfq_scheme scheme;
  ASSERT_EQ(mfq_scheme_parse(text, &scheme), MFQ_OK) << mfq_last_error();
  mfq_qview *view = &to->side.view;
  ASSERT_EQ(mfq_qtensor_init(&scheme, is_batched ? 3 : 2, shape, nullptr, &view->q), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_qtensor_sizes_get(&view->q, &view->sizes), MFQ_OK) << mfq_last_error();
  to->side.kind = MFQ_SIDE_QUANTIZED;
  to->side.batches = is_batched ? batches : 1;
  to->side.rows = rows;
  to->side.depth = depth;
  ASSERT_EQ(mfq_gemm_side_index(&to->side, 0), nullptr);
  const size_t bytes = view->sizes.scale_count == 0 ? 0 : view->sizes.scales_bytes / (size_t)view->sizes.scale_count;
  std::vector<uint8_t> stored(view->sizes.scales_bytes);
  std::vector<float> values((size_t)view->sizes.scale_count);
  for (size_t k = 0; k < values.size(); ++k) {
    const uint32_t scale = random_scale(scheme.scale, random, &values[k]);
    std::memcpy(&stored[k * bytes], &scale, bytes);
  }
  view->q.scales = keep(to, stored);
  const float tensor_scale = 0.7f;
  std::vector<uint8_t> tensor_bytes(4);
  std::memcpy(tensor_bytes.data(), &tensor_scale, 4);
  if (scheme.scale == MFQ_SCALE_UE4M3) view->q.tensor_scale = (float *)keep(to, tensor_bytes);
  for (size_t k = 0; k < to->factors.size(); ++k) {
    if (scheme.granularity == MFQ_GRANULARITY_TENSOR) to->factors[k] = values[0];
    if (scheme.granularity == MFQ_GRANULARITY_CHANNEL)
      to->factors[k] = values[is_batched ? k / (size_t)rows : k % (size_t)rows];
    if (scheme.scale == MFQ_SCALE_UE4M3) to->factors[k] *= tensor_scale;
  }
}

struct Setting {
  Shape batches;
  int64_t m, n;
  mfq_dtype d, c, bias;
  Lie d_lies, c_lies;
  int activation;
  bool has_c, c_is_d, has_bias, has_scalars, on_device, is_awkward, is_quantized;
  const char *a, *b;
  float beta;
  int64_t slab_rows; /* rows of sums at a time; 0: all */
  size_t front;      /* elements of misalignment of D */
};

/* One problem with its memory, and what D must be. */
class Trial {
public:
  Trial(const Setting &s, unsigned seed)
      : s_(s), random_(seed), batches_(count(s.batches)), d_(laid(s.d, shape(), s.d_lies)),
        c_(s.c_is_d ? d_ : laid(s.c, shape(), s.c_lies)), bias_(s.bias, {s.n}, {seed % 3 == 0 ? 2 : 1}),
        sums_(MFQ_DTYPE_F32, {batches_, s.m, s.n}) {
    make_side(s.a, batches_, s.m, &random_, &a_);
    make_side(s.b, batches_, s.n, &random_, &b_);
    for (Operand *x : {&c_, &bias_, &sums_}) fill_numbers(x, &random_, s.is_awkward);
    if (s.c_is_d) d_ = c_;
    alpha_ = s.has_scalars ? -0.375f : 1.0f;
    beta_ = s.has_scalars ? s.beta : 1.0f;
  }

  void run() {
    const size_t front = s_.front * mfq_dtype_bytes(s_.d);
    const Placed d(d_, front), c(c_, 0), bias(bias_, 0);
    const device_array<float> scalars(std::vector<float>{alpha_, beta_});
    const float host_scalars[] = {alpha_, beta_};
    const float *at = s_.on_device ? scalars.data() : host_scalars;
    const device_array<float> values((size_t)(batches_ * s_.m * s_.n));
    mfq_finish p = {};
    p.function = "mfq_gemm_run";
    p.batches = batches_;
    p.m = s_.m;
    p.n = s_.n;
    p.a = mfq_gemm_side_factors(&a_.side);
    p.b = mfq_gemm_side_factors(&b_.side);
    p.has_c = s_.has_c;
    p.c = matrix_at(c_, s_.c_is_d ? d.base() : c.base());
    p.has_bias = s_.has_bias;
    p.bias = bias_.at(bias.base());
    p.device_scalars = s_.on_device;
    p.alpha = s_.has_scalars ? at : nullptr;
    p.beta = s_.has_scalars ? at + 1 : nullptr;
    p.activation = (mfq_activation)s_.activation;
    p.is_d_quantized = s_.is_quantized;
    p.d = matrix_at(d_, d.base());
    finish(p, values.data());
    expect();
    if (s_.is_quantized)
      compare(values.read());
    else
      ASSERT_EQ(d.read(), d_.bytes);
  }

private:
  static int64_t count(const Shape &batches) {
    int64_t n = 1;
    for (int64_t size : batches) n *= size;
    return n;
  }
  Shape shape() const {
    Shape all = s_.batches;
    all.push_back(s_.m);
    all.push_back(s_.n);
    return all;
  }

  /* Slab after slab, the sums of each in rows of their own width. */
  void finish(const mfq_finish &p, float *values) {
    Queue queue;
    const int64_t slab = s_.slab_rows > 0 ? s_.slab_rows : s_.m, width = s_.slab_rows % 2 ? s_.n : (s_.n + 3) / 4 * 4;
    const int64_t together = s_.slab_rows > 0 ? 1 : batches_;
    for (int64_t batch = 0; batch < batches_; batch += together) {
      for (int64_t row = 0; row < s_.m; row += slab) {
        const int64_t rows = std::min(slab, s_.m - row);
        std::vector<float> piece((size_t)(together * rows * width), NAN);
        for (int64_t i = 0; i < together; ++i)
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t j = 0; j < s_.n; ++j)
              piece[(size_t)((i * rows + r) * width + j)] = value_at(sums_, byte_of(sums_, batch + i, row + r, j));
        const device_array<float> memory(piece);
        const mfq_cuda_sums sums = {memory.data(), rows * width, width, batch, together, row, rows};
        ASSERT_EQ(mfq_cuda_finish(&queue.context, &p, {&a_.side.view, &b_.side.view}, &sums, values), MFQ_OK)
            << mfq_last_error();
        ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      }
    }
    EXPECT_STREQ(queue.state.last_operation, "mfq_gemm_run");
  }

  float result(int64_t i, int64_t r, int64_t j) const {
    float v = value_at(sums_, byte_of(sums_, i, r, j));
    v = v * a_.factors[(size_t)(i * s_.m + r)];
    v = v * b_.factors[(size_t)(i * s_.n + j)];
    v = v * alpha_;
    if (s_.has_c && beta_ != 0) {
      const float product = beta_ * value_at(c_, byte_of(c_, i, r, j));
      v = v + product;
    }
    if (s_.has_bias) v = v + value_at(bias_, (size_t)(j * bias_.strides[0]) * mfq_dtype_bytes(bias_.dtype));
    v = mfqn_activate(v, s_.activation);
    return std::isnan(v) ? mfqn_float_of(MFQN_NAN) : v;
  }

  /* Into d_. */
  void expect() {
    Operand want = d_;
    for (int64_t i = 0; i < batches_; ++i)
      for (int64_t r = 0; r < s_.m; ++r)
        for (int64_t j = 0; j < s_.n; ++j) round_to(&want, byte_of(want, i, r, j), result(i, r, j));
    d_ = want;
  }

  void compare(const std::vector<float> &values) const {
    for (size_t k = 0; k < values.size(); ++k) {
      const int64_t row = (int64_t)k / s_.n;
      ASSERT_EQ(mfqn_bits(values[k]), mfqn_bits(result(row / s_.m, row % s_.m, (int64_t)k % s_.n))) << k;
    }
  }

  Setting s_;
  std::mt19937 random_;
  int64_t batches_;
  Operand d_, c_, bias_, sums_;
  Side a_, b_;
  float alpha_, beta_;
};

const Setting simple = {
    {},    3,     16,    MFQ_DTYPE_BF16, MFQ_DTYPE_BF16, MFQ_DTYPE_BF16, Lie::dense, Lie::dense, 0, false, false,
    false, false, false, false,          false,          nullptr,        nullptr,    0.5f,       0, 0};

void try_it(const Setting &s, unsigned seed = 1) {
  Trial trial(s, seed);
  if (!testing::Test::HasFatalFailure()) trial.run();
}

} // namespace

#endif
