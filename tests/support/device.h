/* tests/support/device.h: every operation on a device and on the CPU, compared byte for byte.
 *
 * The device is that of MFQ_TEST_DEVICE, "cuda:0" without it. Operands lie in buffers of exactly their size, so that an
 * emulated device notices the first byte beyond, as does compute-sanitizer with MFQ_TEST_ARENA=0; on a real device, or with
 * MFQ_TEST_ARENA=1, in the arena (arena.h). Around them lie bytes that must stay. Outputs are poisoned before. */
#ifndef MFQ_TESTS_SUPPORT_DEVICE_H
#define MFQ_TESTS_SUPPORT_DEVICE_H

#include <cstdlib>
#include <functional>

#include "arena.h"
#include "environment.h"
#include "operand.h"

namespace mfq_test {

inline const char *device_name() {
  const char *name = std::getenv("MFQ_TEST_DEVICE");
  return name != nullptr && name[0] != '\0' ? name : "cuda:0";
}

/* NULL when there is no such device; mfq_last_error() says why. */
inline Context make_device_context() {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.device = device_name();
  options.threads = 1;
  poison_memory(&options);
  mfq_context *context = nullptr;
  return Context(mfq_context_create(&options, &context) == MFQ_OK ? context : nullptr);
}

/* The same, taken for a device of a lesser compute capability, "8.0". */
inline Context make_device_context_as(const char *capability) {
  const Variable limit("MFQ_CUDA_CAPABILITY", capability);
  return make_device_context();
}

/* Whether the device is the emulator of tests/simt. */
inline bool is_emulated() {
  const char *about = nullptr;
  return mfq_device_name(1, &about) != nullptr && std::strstr(about, "SIMT emulator") != nullptr;
}

/* The contexts of a program, why there is none for the device, and the arena, if there is one. */
struct Devices {
  Context cpu = make_context(nullptr, 1), device = make_device_context();
  std::string reason = device != nullptr ? "" : mfq_last_error();
  std::unique_ptr<Arena> arena;

  Devices() {
    const char *word = std::getenv("MFQ_TEST_ARENA");
    const bool is_wanted = word != nullptr ? std::strcmp(word, "1") == 0 : !is_emulated();
    if (device != nullptr && is_wanted) arena = std::make_unique<Arena>(device.get());
  }
};
inline Devices &devices() {
  static Devices all;
  return all;
}

/* NULL for contexts of another device. */
inline Arena *arena_of(mfq_context *context) {
  if (context == nullptr || devices().arena == nullptr) return nullptr;
  const std::string text = mfq_context_describe(context), name = text.substr(0, text.find(',') + 1);
  return std::string(mfq_context_describe(devices().device.get())).rfind(name, 0) == 0 ? devices().arena.get()
                                                                                       : nullptr;
}

/* A machine without a GPU skips, with the library's sentence. With MFQ_CUDA_MODULE a device was promised. */
class OnDevice : public testing::Test {
protected:
  void SetUp() override {
    if (device() != nullptr) return;
    if (std::getenv("MFQ_CUDA_MODULE") != nullptr) GTEST_FAIL() << devices().reason;
    GTEST_SKIP() << devices().reason;
  }
  static mfq_context *device() { return devices().device.get(); }
  static mfq_context *cpu() { return devices().cpu.get(); }
};

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

/* A copy of host bytes on the device (NULL: kPoison), `front` bytes behind an address aligned to 256. */
class DeviceMemory {
public:
  DeviceMemory(mfq_context *context, const void *host, size_t bytes, size_t front = 0)
      : context_(context), front_(front), bytes_(bytes), arena_(arena_of(context)) {
    if (arena_ != nullptr) place_ = arena_->take(front, bytes);
    if (place_ == nullptr) {
      EXPECT_EQ(mfq_buffer_create(context, front + bytes, &buffer_), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(mfq_buffer_fill(buffer_, 0, host == nullptr ? front + bytes : front, kPoison), MFQ_OK)
          << mfq_last_error();
    }
    if (place_ != nullptr || host != nullptr) write(host);
  }
  ~DeviceMemory() {
    if (place_ != nullptr) arena_->give_back(place_, context_);
    mfq_buffer_destroy(buffer_);
  }
  DeviceMemory(const DeviceMemory &) = delete;

  void *data() const {
    return place_ != nullptr ? arena_->data(*place_) : static_cast<uint8_t *>(mfq_buffer_data(buffer_)) + front_;
  }
  size_t bytes() const { return bytes_; }
  void write(const void *host) {
    if (place_ != nullptr) return arena_->put(*place_, host, context_);
    EXPECT_EQ(mfq_buffer_write(buffer_, front_, host, bytes_), MFQ_OK) << mfq_last_error();
  }
  void read(void *host) const {
    if (place_ != nullptr) return arena_->get(*place_, host, context_);
    std::vector<uint8_t> all(front_ + bytes());
    EXPECT_EQ(mfq_buffer_read(buffer_, 0, all.data(), all.size()), MFQ_OK) << mfq_last_error();
    for (size_t i = 0; i < front_; ++i)
      EXPECT_EQ(all[i], kPoison) << "byte " << front_ - i << " before the memory was written";
    if (bytes() > 0) std::memcpy(host, all.data() + front_, bytes());
  }
  std::vector<uint8_t> read() const {
    std::vector<uint8_t> host(bytes());
    read(host.data());
    return host;
  }
  /* Nothing was written behind it, as far as this is no emulator's business. */
  void check() const {
    if (place_ != nullptr) arena_->check(*place_, context_);
  }

private:
  mfq_context *context_;
  size_t front_, bytes_;
  Arena *arena_;
  Arena::Place *place_ = nullptr;
  mfq_buffer *buffer_ = nullptr; /* where it has no place in the arena */
};

/* One call and its comparison: memory of the arena that is made after the beginning is written by upload(), and read by
 * download(), in one copy each. Other memory is written when it is made, and read each time. */
class Transfer {
public:
  explicit Transfer(mfq_context *context) : context_(context), arena_(arena_of(context)) {
    if (arena_ != nullptr) arena_->begin();
  }
  ~Transfer() {
    if (arena_ != nullptr) arena_->end();
  }
  Transfer(const Transfer &) = delete;
  void upload() const {
    if (arena_ != nullptr) arena_->upload();
  }
  void download() const {
    if (arena_ != nullptr) arena_->download(context_);
  }

private:
  mfq_context *context_;
  Arena *arena_;
};

/* Bytes in front of each operand: what its address is misaligned by. */
struct Placement {
  size_t tensor = 0, codes = 0, scales = 0, zero_points = 0;
};

/* A quantized tensor's parts, copied to the device. */
class DeviceQuantized {
public:
  DeviceQuantized(mfq_context *context, const Quantized &host, const Placement &at = {})
      : q(host.q), codes_(context, host.codes.data(), host.sizes.codes_bytes, at.codes),
        scales_(context, host.scales.data(), host.sizes.scales_bytes, at.scales),
        zero_points_(context, host.zero_points.data(), host.sizes.zero_points_bytes, at.zero_points),
        tensor_scale_(context, &host.tensor_scale, host.sizes.tensor_scale_bytes) {
    q.codes = codes_.data();
    q.scales = host.q.scales != nullptr ? scales_.data() : nullptr;
    q.zero_points = host.q.zero_points != nullptr ? zero_points_.data() : nullptr;
    q.tensor_scale = host.q.tensor_scale != nullptr ? static_cast<float *>(tensor_scale_.data()) : nullptr;
  }
  void download(Quantized *host) const {
    codes_.read(host->codes.data());
    scales_.read(host->scales.data());
    zero_points_.read(host->zero_points.data());
    tensor_scale_.read(&host->tensor_scale);
  }

  mfq_qtensor q;

private:
  DeviceMemory codes_, scales_, zero_points_, tensor_scale_;
};

/* ---- Comparison ------------------------------------------------------------------------------------------------- */

inline testing::AssertionResult succeeded(mfq_status status, const char *where) {
  if (status == MFQ_OK) return testing::AssertionSuccess();
  return testing::AssertionFailure() << where << ": " << mfq_status_name(status) << ": " << mfq_last_error();
}

inline testing::AssertionResult same_parts(const Quantized &got, const Quantized &want) {
  if (got.same_bytes(want)) return testing::AssertionSuccess();
  const std::string where = got.difference(want);
  auto failure = testing::AssertionFailure() << "device and CPU: " << where;
  if (float_bits(got.tensor_scale) != float_bits(want.tensor_scale))
    failure << "tensor scale " << got.tensor_scale << " and " << want.tensor_scale;
  return failure;
}

inline testing::AssertionResult same_memory(const std::vector<uint8_t> &got, const std::vector<uint8_t> &want,
                                            size_t element) {
  for (size_t i = 0; i < want.size(); ++i)
    if (got[i] != want[i]) {
      uint32_t a = 0, b = 0;
      const size_t first = i / element * element;
      std::memcpy(&a, &got[first], element);
      std::memcpy(&b, &want[first], element);
      char text[96];
      std::snprintf(text, sizeof text, "element %zu of %zu is 0x%x on the device, 0x%x on the CPU", i / element,
                    want.size() / element, a, b);
      return testing::AssertionFailure() << text;
    }
  return testing::AssertionSuccess();
}

/* With MFQ_TEST_TRACE=1 each call is named before it runs: an emulated device stops the program at a bad access. */
inline void trace(const std::string &call) {
  static const bool is_wanted = std::getenv("MFQ_TEST_TRACE") != nullptr;
  if (is_wanted) std::fprintf(stderr, "%s\n", call.c_str());
}
inline std::string text_of(const mfq_layout &l) {
  return " layout " + std::to_string(l.codes) + std::to_string(l.packing) + std::to_string(l.scales) + "/" +
         std::to_string(l.row_align);
}
inline std::string text_of(const Operand &x) {
  return mfq_dtype_name(x.dtype) + text_of(x.shape) + " strides " + text_of(x.strides);
}
inline std::string text_of(const Quantized &q) {
  char text[MFQ_SCHEME_TEXT_MAX] = "";
  EXPECT_EQ(mfq_scheme_print(&q.q.scheme, text, sizeof text), MFQ_OK);
  return text + text_of(q.q.layout) + " " + text_of(logical_shape(q));
}

/* ---- Operations ------------------------------------------------------------------------------------------------- */

/* One call of mfq_quantize. */
struct QuantizeCall {
  std::string row, col; /* schemes; empty: not asked for */
  mfq_layout row_layout = {}, col_layout = {};
  Placement at;
  uint32_t given_seed = 1; /* of given scales */

  QuantizeCall(const std::string &r = "", const std::string &c = "") : row(r), col(c) {}
};

/* A result of a call on both sides. */
struct BothSides {
  Quantized want, got;
  DeviceQuantized there;

  BothSides(const mfq_scheme &scheme, const Shape &shape, const mfq_layout &layout, const QuantizeCall &call)
      : want(scheme, shape, &layout), got(scheme, shape, &layout),
        there((given(&want, call), devices().device.get()), want, call.at) {}
  testing::AssertionResult compare() {
    there.download(&got);
    return same_parts(got, want);
  }

private:
  static void given(Quantized *t, const QuantizeCall &call) {
    if (t->q.scheme.rule == MFQ_RULE_GIVEN && t->q.scheme.scale != MFQ_SCALE_NONE) give_scales(t, call.given_seed);
  }
};

inline testing::AssertionResult same_quantize(Operand &src, const QuantizeCall &call) {
  const std::string what = "mfq_quantize " + text_of(src) + " to '" + call.row + "'" + text_of(call.row_layout) +
                           ", '" + call.col + "'" + text_of(call.col_layout);
  trace(what);
  const Transfer transfer(devices().device.get());
  const DeviceMemory memory(devices().device.get(), src.bytes.data(), src.bytes.size(), call.at.tensor);
  std::unique_ptr<BothSides> sides[2];
  const std::string *texts[] = {&call.row, &call.col};
  const mfq_layout *layouts[] = {&call.row_layout, &call.col_layout};
  const mfq_qtensor *want[2] = {}, *got[2] = {};
  for (int i = 0; i < 2; ++i) {
    if (texts[i]->empty()) continue;
    sides[i] = std::make_unique<BothSides>(parse(*texts[i]), src.shape, *layouts[i], call);
    want[i] = &sides[i]->want.q;
    got[i] = &sides[i]->there.q;
  }
  transfer.upload();
  const mfq_tensor here = src.here(), there = src.at(memory.data());
  auto result = succeeded(mfq_quantize(devices().device.get(), &there, got[0], got[1]), "on the device");
  if (result) result = succeeded(mfq_quantize(devices().cpu.get(), &here, want[0], want[1]), "on the CPU");
  transfer.download();
  for (int i = 0; result && i < 2; ++i)
    if (sides[i] != nullptr) result = sides[i]->compare();
  if (!result) return result << "; " << what;
  return memory.read() == src.bytes ? result : testing::AssertionFailure() << "the device changed its input";
}

/* Both sides of an operation that reads `q` and writes a tensor like `dst`. */
using ReadOperation = std::function<mfq_status(mfq_context *, const mfq_qtensor *, const mfq_tensor *)>;

inline testing::AssertionResult same_read(const ReadOperation &operation, const Quantized &q, Operand dst,
                                          const Placement &at = {}) {
  const std::string what = text_of(q) + " to " + text_of(dst);
  trace(what);
  const Transfer transfer(devices().device.get());
  const DeviceQuantized there(devices().device.get(), q, at);
  const DeviceMemory memory(devices().device.get(), dst.bytes.data(), dst.bytes.size(), at.tensor);
  transfer.upload();
  const mfq_tensor here = dst.here(), target = dst.at(memory.data());
  auto result = succeeded(operation(devices().device.get(), &there.q, &target), "on the device");
  if (result) result = succeeded(operation(devices().cpu.get(), &q.q, &here), "on the CPU");
  transfer.download();
  if (result) result = same_memory(memory.read(), dst.bytes, mfq_dtype_bytes(dst.dtype));
  return result ? result : result << "; " << what;
}

inline testing::AssertionResult same_dequantize(const Quantized &q, const Operand &dst, const Placement &at = {}) {
  return same_read(mfq_dequantize, q, dst, at);
}

inline testing::AssertionResult same_repack(const Quantized &src, const mfq_scheme &scheme, const mfq_layout &to,
                                            const Placement &at = {}) {
  trace("mfq_repack " + text_of(src) + " to" + text_of(to));
  const Transfer transfer(devices().device.get());
  const DeviceQuantized there(devices().device.get(), src, at);
  Quantized want(scheme, logical_shape(src), &to), got(scheme, logical_shape(src), &to);
  const DeviceQuantized target(devices().device.get(), got, at);
  transfer.upload();
  auto result = succeeded(mfq_repack(devices().device.get(), &there.q, &target.q), "on the device");
  if (result) result = succeeded(mfq_repack(devices().cpu.get(), &src.q, &want.q), "on the CPU");
  transfer.download();
  target.download(&got);
  return result ? same_parts(got, want) : result;
}
inline testing::AssertionResult same_repack(const Quantized &src, const mfq_layout &to, const Placement &at = {}) {
  return same_repack(src, src.q.scheme, to, at);
}

/* `dst` has the shape of `src`; `scales` says whether they are asked for too. */
inline testing::AssertionResult same_fake(const std::string &text, Operand &src, Operand dst, bool scales,
                                          const Placement &at = {}) {
  const mfq_scheme scheme = parse(text);
  trace("mfq_fake_quantize " + text + " " + text_of(src) + " to " + text_of(dst));
  const Quantized sized(scheme, src.shape);
  Operand each(MFQ_DTYPE_F32, scale_shape(sized));
  const Transfer transfer(devices().device.get());
  const DeviceMemory from(devices().device.get(), src.bytes.data(), src.bytes.size(), at.tensor);
  const DeviceMemory to(devices().device.get(), dst.bytes.data(), dst.bytes.size(), at.tensor);
  const DeviceMemory of_each(devices().device.get(), each.bytes.data(), each.bytes.size());
  transfer.upload();
  const mfq_tensor here[] = {src.here(), dst.here(), each.here()};
  const mfq_tensor there[] = {src.at(from.data()), dst.at(to.data()), each.at(of_each.data())};
  auto run = [&](mfq_context *context, const mfq_tensor *t) {
    return mfq_fake_quantize(context, &scheme, &t[0], &t[1], scales ? &t[2] : nullptr);
  };
  auto result = succeeded(run(devices().device.get(), there), "on the device");
  if (result) result = succeeded(run(devices().cpu.get(), here), "on the CPU");
  transfer.download();
  if (result) result = same_memory(to.read(), dst.bytes, mfq_dtype_bytes(dst.dtype));
  if (result) result = same_memory(of_each.read(), each.bytes, 4);
  if (result) return result;
  return result << "; mfq_fake_quantize " << text << ' ' << mfq_dtype_name(src.dtype) << ' ' << text_of(src.shape);
}

/* Where the result replaces its source. */
inline testing::AssertionResult same_fake_in_place(const std::string &text, Operand x) {
  const mfq_scheme scheme = parse(text);
  mfq_context *const device = devices().device.get(), *const cpu = devices().cpu.get();
  const DeviceMemory memory(device, x.bytes.data(), x.bytes.size());
  const mfq_tensor here = x.here(), there = x.at(memory.data());
  auto result = succeeded(mfq_fake_quantize(cpu, &scheme, &here, &here, nullptr), "on the CPU");
  if (result) result = succeeded(mfq_fake_quantize(device, &scheme, &there, &there, nullptr), "on the device");
  if (result) result = same_memory(memory.read(), x.bytes, mfq_dtype_bytes(x.dtype));
  return result ? result : result << "; mfq_fake_quantize " << text << ' ' << text_of(x) << " in place";
}

/* With the scales of `q`, and without its codes: nothing may look for them. */
inline testing::AssertionResult same_fake_given(const Quantized &q, Operand &src, const Operand &dst,
                                                const Placement &at = {}) {
  const DeviceMemory from(devices().device.get(), src.bytes.data(), src.bytes.size(), at.tensor);
  const ReadOperation fake = [&](mfq_context *context, const mfq_qtensor *parts, const mfq_tensor *y) {
    const mfq_tensor x = context == devices().cpu.get() ? src.here() : src.at(from.data());
    mfq_qtensor given = *parts;
    given.codes = nullptr;
    return mfq_fake_quantize_given(context, &given, &x, y);
  };
  auto result = same_read(fake, q, dst, at);
  return result ? result : result << "; mfq_fake_quantize_given of " << text_of(src);
}

/* An Operand by value, filled. */
inline Operand awkward(mfq_dtype dtype, const Shape &shape, uint32_t seed = 1) {
  Operand x(dtype, shape);
  x.fill_awkward(seed);
  return x;
}

} // namespace mfq_test

#endif
