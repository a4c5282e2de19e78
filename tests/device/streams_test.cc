// Streams, contexts and threads: work is ordered within a context and independent between contexts.
#include <cuda_runtime.h>

#include <mutex>
#include <thread>

#include "support/device.h"

namespace {

using namespace mfq_test;

class Streams : public OnDevice {};

struct Stream {
  cudaStream_t handle = nullptr;

  Stream() { EXPECT_EQ(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), cudaSuccess); }
  ~Stream() { EXPECT_EQ(cudaStreamDestroy(handle), cudaSuccess); }
  Stream(const Stream &) = delete;
};

Context context_on(cudaStream_t stream) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.device = device_name();
  options.stream = stream;
  poison_memory(&options);
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

/* A chain of operations, each of which reads what the one before wrote, and what the CPU makes of it. */
class Chain {
public:
  Chain(mfq_context *context, const char *scheme, const Shape &shape, uint32_t seed)
      : x_(awkward(MFQ_DTYPE_BF16, shape, seed)), y_(MFQ_DTYPE_F32, shape), q_(parse(scheme), shape),
        turned_(q_.q.scheme, shape, q_.q.scheme.granularity == MFQ_GRANULARITY_GROUP ? &kTurned : &kBytes),
        from_(context, x_.bytes.data(), x_.bytes.size()), to_(context, y_.bytes.data(), y_.bytes.size()),
        there_(context, q_), turned_there_(context, turned_) {}

  mfq_status quantize(mfq_context *context) const {
    const mfq_tensor src = x_.at(from_.data());
    return mfq_quantize(context, &src, &there_.q, nullptr);
  }
  mfq_status repack(mfq_context *context) const { return mfq_repack(context, &there_.q, &turned_there_.q); }
  mfq_status dequantize(mfq_context *context) const {
    const mfq_tensor dst = y_.at(to_.data());
    return mfq_dequantize(context, &turned_there_.q, &dst);
  }
  mfq_status all(mfq_context *context) const {
    mfq_status status = quantize(context);
    if (status == MFQ_OK) status = repack(context);
    return status == MFQ_OK ? dequantize(context) : status;
  }
  testing::AssertionResult is_right() {
    mfq_context *const cpu = devices().cpu.get();
    const mfq_tensor src = x_.here(), dst = y_.here();
    auto result = succeeded(mfq_quantize(cpu, &src, &q_.q, nullptr), "on the CPU");
    if (result) result = succeeded(mfq_repack(cpu, &q_.q, &turned_.q), "on the CPU");
    if (result) result = succeeded(mfq_dequantize(cpu, &turned_.q, &dst), "on the CPU");
    return result ? same_memory(to_.read(), y_.bytes, 4) : result;
  }

private:
  static constexpr mfq_layout kBytes = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16};
  static constexpr mfq_layout kTurned = {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16};
  Operand x_, y_;
  Quantized q_, turned_;
  DeviceMemory from_, to_;
  DeviceQuantized there_, turned_there_;
};

const char *const schemes[] = {"mxfp8_e4m3", "mxfp4_e2m1/group:32@0", "nvfp4", "uint4/group:32/f32/zp"};

TEST_F(Streams, ResultsOfOneCallAreSeenByTheNext) {
  for (const char *scheme : schemes) {
    Chain chain(device(), scheme, {130, 96}, 1);
    ASSERT_EQ(chain.all(device()), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(chain.is_right()) << scheme;
  }
}

TEST_F(Streams, SynchronizeIsEnoughForTheHost) {
  const Stream stream;
  const Context context = context_on(stream.handle);
  EXPECT_EQ(mfq_context_stream(context.get()), stream.handle);
  Chain chain(context.get(), "mxfp8_e4m3", {64, 64}, 2);
  ASSERT_EQ(chain.all(context.get()), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_context_synchronize(context.get()), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(cudaStreamQuery(stream.handle), cudaSuccess) << "work is left after synchronize";
  EXPECT_TRUE(chain.is_right());
}

TEST_F(Streams, ContextsTakeTurns) {
  const Context one = make_device_context(), two = make_device_context();
  ASSERT_TRUE(one != nullptr && two != nullptr) << mfq_last_error();
  EXPECT_NE(mfq_context_stream(one.get()), mfq_context_stream(two.get()));
  Chain a(one.get(), "e4m3fn/tensor/f32", {70, 130}, 3), b(two.get(), "nvfp4", {33, 64}, 4);
  for (int step = 0; step < 3; ++step)
    for (Chain *chain : {&a, &b}) {
      mfq_context *const context = chain == &a ? one.get() : two.get();
      const mfq_status status = step == 0   ? chain->quantize(context)
                                : step == 1 ? chain->repack(context)
                                            : chain->dequantize(context);
      ASSERT_EQ(status, MFQ_OK) << mfq_last_error();
    }
  EXPECT_TRUE(b.is_right());
  EXPECT_TRUE(a.is_right());
}

TEST_F(Streams, WorkOfTheFormerStreamComesFirst) {
  const Stream first, second;
  const Context context = context_on(first.handle);
  for (const char *scheme : schemes) {
    Chain chain(context.get(), scheme, {97, 64}, 5);
    ASSERT_EQ(chain.quantize(context.get()), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_context_set_stream(context.get(), second.handle), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(chain.repack(context.get()), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_context_set_stream(context.get(), nullptr), MFQ_OK) << mfq_last_error();
    EXPECT_NE(mfq_context_stream(context.get()), second.handle);
    ASSERT_EQ(chain.dequantize(context.get()), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(chain.is_right()) << scheme;
    ASSERT_EQ(mfq_context_set_stream(context.get(), first.handle), MFQ_OK) << mfq_last_error();
  }
  ASSERT_EQ(mfq_context_set_stream(context.get(), nullptr), MFQ_OK) << mfq_last_error(); /* before they go */
}

TEST_F(Streams, CopiesAndFillsKeepTheirPlace) {
  std::vector<uint8_t> host(5000), got(5000);
  for (size_t i = 0; i < host.size(); ++i) host[i] = (uint8_t)(i * 7);
  const DeviceMemory from(device(), host.data(), host.size()), unused(device(), host.data(), host.size());
  mfq_buffer *a = nullptr, *b = nullptr;
  ASSERT_EQ(mfq_buffer_create(device(), 5000, &a), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_buffer_create(device(), 5000, &b), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_buffer_write(a, 0, host.data(), 5000), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_buffer_fill(b, 0, 5000, 1), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_buffer_copy(b, 100, a, 3, 4000), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_buffer_fill(a, 0, 5000, 9), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_buffer_fill(b, 200, 50, 2), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_buffer_read(b, 0, got.data(), 5000), MFQ_OK) << mfq_last_error();
  std::vector<uint8_t> want(5000, 1);
  std::copy(host.begin() + 3, host.begin() + 4003, want.begin() + 100);
  std::fill(want.begin() + 200, want.begin() + 250, 2);
  EXPECT_EQ(got, want);
  mfq_buffer_destroy(a);
  mfq_buffer_destroy(b);
}

TEST_F(Streams, ThreadsWithContextsOfTheirOwn) {
  std::vector<std::thread> threads;
  std::string failures[4];
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([t, &failures] {
      const Context context = make_device_context();
      for (uint32_t round = 0; context != nullptr && round < 5; ++round) {
        Chain chain(context.get(), schemes[t], {40 + (int64_t)t, 64}, round);
        if (chain.all(context.get()) != MFQ_OK) failures[t] = mfq_last_error();
        if (mfq_context_synchronize(context.get()) != MFQ_OK) failures[t] = mfq_last_error();
        static std::mutex one_at_a_time; /* the CPU's context is shared */
        const std::lock_guard<std::mutex> lock(one_at_a_time);
        if (!chain.is_right()) failures[t] = "thread " + std::to_string(t) + " got other bytes than the CPU";
      }
      if (context == nullptr) failures[t] = mfq_last_error();
    });
  for (std::thread &thread : threads) thread.join();
  for (const std::string &failure : failures) EXPECT_EQ(failure, "");
}

TEST_F(Streams, AContextMayGoWithItsWorkUndone) {
  Context context = make_device_context();
  ASSERT_NE(context, nullptr) << mfq_last_error();
  {
    Chain chain(context.get(), "mxfp8_e4m3", {256, 64}, 6);
    ASSERT_EQ(chain.all(context.get()), MFQ_OK) << mfq_last_error();
  } /* buffers go first */
  context.reset();
  Chain after(device(), "mxfp8_e4m3", {33, 64}, 7);
  ASSERT_EQ(after.all(device()), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(after.is_right());
}

} // namespace
