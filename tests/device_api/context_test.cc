// Contexts on a CUDA device: names, streams, the caller's current device.
#include <cuda_runtime.h>

#include "support/device.h"
#include "support/expect_failure.h"

#if defined(MFQ_SIMT)
#include "simt/emulator/simt.h"
#endif

namespace {

using namespace mfq_test;

mfq_status create(const std::string &name, mfq_stream stream, Context *made) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.device = name.c_str();
  options.stream = stream;
  mfq_context *context = nullptr;
  const mfq_status status = mfq_context_create(&options, &context);
  made->reset(context);
  return status;
}

int device_count() {
  int count = 0;
  while (mfq_device_name(count + 1, nullptr) != nullptr) ++count;
  return count;
}

/* A stream that is destroyed in the end. */
struct Stream {
  Stream() { EXPECT_EQ(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), cudaSuccess); }
  ~Stream() { EXPECT_EQ(cudaStreamDestroy(handle), cudaSuccess); }
  cudaStream_t handle = nullptr;
};

class DeviceContext : public OnDevice {};

TEST_F(DeviceContext, IsDescribed) {
  Context context;
  ASSERT_EQ(create("cuda", nullptr, &context), MFQ_OK) << mfq_last_error();
  const std::string line = mfq_context_describe(context.get());
  EXPECT_EQ(line.find("cuda:0, "), 0u) << line;
  for (const char *part : {", sm_", " multiprocessors, ", " GiB"})
    EXPECT_NE(line.find(part), std::string::npos) << line;
  const char *about = nullptr;
  EXPECT_STREQ(mfq_device_name(0, nullptr), "cpu");
  EXPECT_STREQ(mfq_device_name(1, &about), "cuda:0");
  EXPECT_EQ(line, std::string("cuda:0, ") + about);
  EXPECT_EQ(mfq_device_missing("cuda"), nullptr);
}

TEST_F(DeviceContext, IndexOutOfRange) {
  Context context;
  const int count = device_count();
  ASSERT_GE(count, 1);
  const std::string last = "the last is cuda:" + std::to_string(count - 1);
  for (const std::string &index :
       {std::to_string(count), std::string("1000000"), std::string("99999999999999999999")}) {
    EXPECT_TRUE(fails(create("cuda:" + index, nullptr, &context), invalid,
                      {"mfq_context_create: options->device is \"cuda:" + index + "\"", "CUDA device", last}));
  }
  EXPECT_EQ(create("cuda:" + std::to_string(count - 1), nullptr, &context), MFQ_OK) << mfq_last_error();
}

TEST_F(DeviceContext, Streams) {
  const Stream one, two;
  Context context;
  ASSERT_EQ(create(device_name(), one.handle, &context), MFQ_OK) << mfq_last_error();
  mfq_context *c = context.get();
  EXPECT_EQ(mfq_context_stream(c), one.handle);
  EXPECT_EQ(mfq_context_set_stream(c, two.handle), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_context_set_stream(c, two.handle), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_context_stream(c), two.handle);
  EXPECT_EQ(mfq_context_set_stream(c, nullptr), MFQ_OK) << mfq_last_error();
  const mfq_stream own = mfq_context_stream(c);
  EXPECT_TRUE(own != nullptr && own != one.handle && own != two.handle);
  EXPECT_EQ(mfq_context_set_stream(c, one.handle), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_context_set_stream(c, nullptr), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_context_stream(c), own) << "the context's own stream is made once";
  EXPECT_EQ(mfq_context_synchronize(c), MFQ_OK) << mfq_last_error();
  context.reset();
}

/* Work of the stream before, work of the stream after: without an order the emulator would run the last one alone. */
TEST_F(DeviceContext, StreamsAreOrdered) {
  const Stream one, two;
  Context context;
  ASSERT_EQ(create(device_name(), one.handle, &context), MFQ_OK) << mfq_last_error();
  mfq_buffer *a = nullptr, *b = nullptr;
  ASSERT_EQ(mfq_buffer_create(context.get(), 64, &a), MFQ_OK);
  ASSERT_EQ(mfq_buffer_create(context.get(), 64, &b), MFQ_OK);
  ASSERT_EQ(mfq_buffer_fill(a, 0, 64, 7), MFQ_OK);
  ASSERT_EQ(mfq_context_set_stream(context.get(), two.handle), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_buffer_copy(b, 0, a, 0, 64), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(cudaStreamSynchronize(two.handle), cudaSuccess);
  std::vector<uint8_t> out(64);
  ASSERT_EQ(cudaMemcpy(out.data(), mfq_buffer_data(b), 64, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(out, std::vector<uint8_t>(64, 7));
  mfq_buffer_destroy(a);
  mfq_buffer_destroy(b);
  context.reset();
}

/* While the new stream is captured, setting it records nothing and waits for nothing. */
TEST_F(DeviceContext, SetStreamInCapture) {
  const Stream captured;
  Context context;
  ASSERT_EQ(create(device_name(), nullptr, &context), MFQ_OK) << mfq_last_error();
  mfq_buffer *buffer = nullptr;
  ASSERT_EQ(mfq_buffer_create(context.get(), 64, &buffer), MFQ_OK);
  ASSERT_EQ(cudaStreamBeginCapture(captured.handle, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(mfq_context_set_stream(context.get(), captured.handle), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_buffer_fill(buffer, 0, 64, 5), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_context_set_stream(context.get(), nullptr), MFQ_OK) << mfq_last_error();
  {
    Context other; /* allocating elsewhere does not break the capture */
    EXPECT_EQ(create(device_name(), nullptr, &other), MFQ_OK) << mfq_last_error();
  }
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(captured.handle, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  mfq_buffer_destroy(buffer);
}

#if defined(MFQ_SIMT)
/* What a machine with one GPU cannot show, or no real one should be asked. */
class Emulated : public OnDevice {
protected:
  void TearDown() override { simt::reset(); }
};

TEST_F(Emulated, StreamThatIsNone) {
  Context context;
  const mfq_stream none = reinterpret_cast<mfq_stream>(uintptr_t{0x1230});
  EXPECT_TRUE(fails(create("cuda:0", none, &context), invalid, {"mfq_context_create", "no longer exists"}));
  ASSERT_EQ(create("cuda:0", nullptr, &context), MFQ_OK) << mfq_last_error();
  const mfq_stream before = mfq_context_stream(context.get());
  EXPECT_TRUE(fails(mfq_context_set_stream(context.get(), none), invalid,
                    {"mfq_context_set_stream", "the stream is of another device or no longer exists"}));
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "an error that was reported is left for the caller's own checks";
  EXPECT_EQ(mfq_context_stream(context.get()), before);
  EXPECT_EQ(mfq_context_synchronize(context.get()), MFQ_OK) << mfq_last_error();
}

TEST_F(Emulated, CurrentDeviceStays) {
  simt::settings two = simt::current_settings();
  two.devices = 2;
  simt::change_settings(two);
  Context context;
  for (int current : {0, 1}) {
    ASSERT_EQ(cudaSetDevice(current), cudaSuccess);
    for (const char *name : {"cuda:0", "cuda:1"}) {
      ASSERT_EQ(create(name, nullptr, &context), MFQ_OK) << mfq_last_error();
      mfq_buffer *buffer = nullptr;
      ASSERT_EQ(mfq_buffer_create(context.get(), 64, &buffer), MFQ_OK) << mfq_last_error();
      cudaPointerAttributes attributes;
      ASSERT_EQ(cudaPointerGetAttributes(&attributes, mfq_buffer_data(buffer)), cudaSuccess);
      EXPECT_EQ(attributes.device, name[5] - '0');
      EXPECT_EQ(mfq_buffer_fill(buffer, 0, 64, 1), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(mfq_context_synchronize(context.get()), MFQ_OK) << mfq_last_error();
      mfq_buffer_destroy(buffer);
      context.reset();
      int now = -1;
      ASSERT_EQ(cudaGetDevice(&now), cudaSuccess);
      EXPECT_EQ(now, current);
    }
  }
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
}

TEST_F(Emulated, NoMemoryForAContext) {
  Context context;
  const simt::counters before = simt::current_counters();
  simt::fail_allocation(0);
  EXPECT_TRUE(fails(create("cuda:0", nullptr, &context), MFQ_ERROR_OUT_OF_MEMORY, {"mfq_context_create"}));
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "an error that was reported is left for the caller's own checks";
  ASSERT_EQ(create("cuda:0", nullptr, &context), MFQ_OK) << mfq_last_error();
  context.reset();
  const simt::counters after = simt::current_counters();
  EXPECT_EQ(after.frees - before.frees + 1, after.allocations - before.allocations) << "one failed, the rest is freed";
}
#endif

} // namespace
