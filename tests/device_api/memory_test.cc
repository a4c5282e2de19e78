// Memory of the wrong device is refused by name; buffers on a device.
#include <cuda_runtime.h>

#include "support/device.h"
#include "support/expect_failure.h"

namespace {

using namespace mfq_test;

const Shape shape = {4, 64};
constexpr const char *scheme_text = "uint8/group:32/f32/zp";

class DeviceMemoryChecks : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (device() == nullptr) return;
    x.fill_awkward(1);
    memory = std::make_unique<DeviceMemory>(device(), x.bytes.data(), x.bytes.size());
    there = std::make_unique<DeviceQuantized>(device(), here);
  }

  /* Memory of both devices. */
  void quantize_on_both(void *data) {
    std::memcpy(data, x.bytes.data(), x.bytes.size());
    const mfq_tensor t = x.at(data);
    EXPECT_EQ(mfq_quantize(device(), &t, &there->q, nullptr), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_context_synchronize(device()), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_quantize(cpu(), &t, &here.q, nullptr), MFQ_OK) << mfq_last_error();
    Quantized got(parse(scheme_text), shape);
    there->download(&got);
    EXPECT_TRUE(same_parts(got, here));
  }

  Operand x{MFQ_DTYPE_F32, shape};
  Quantized here{parse(scheme_text), shape};
  std::unique_ptr<DeviceMemory> memory;
  std::unique_ptr<DeviceQuantized> there;
};

const std::vector<std::string> host_words = {"memory of the host, but the context's device is cuda:0",
                                             "mfq_buffer_write", "use a context on cpu"};
const std::vector<std::string> device_words = {"memory of device cuda:0, which the host cannot read",
                                               "use a context on that device"};

testing::AssertionResult refused(mfq_status status, std::string begins, const std::vector<std::string> &words) {
  auto result = fails(status, invalid, {begins});
  return result ? fails(status, invalid, words) : result;
}

TEST_F(DeviceMemoryChecks, HostMemoryOnTheDevice) {
  const mfq_tensor good = x.at(memory->data()), bad = x.here();
  const DeviceQuantized other(device(), here);
  const std::vector<uint8_t> before = x.bytes;
  EXPECT_TRUE(refused(mfq_quantize(device(), &bad, &there->q, nullptr), "mfq_quantize: src: data is ", host_words));
  EXPECT_TRUE(refused(mfq_dequantize(device(), &there->q, &bad), "mfq_dequantize: dst: data is ", host_words));
  EXPECT_EQ(x.bytes, before);
  const struct {
    const char *name;
    void (*spoil)(mfq_qtensor *, const mfq_qtensor &);
  } parts[] = {{"codes", [](mfq_qtensor *q, const mfq_qtensor &h) { q->codes = h.codes; }},
               {"scales", [](mfq_qtensor *q, const mfq_qtensor &h) { q->scales = h.scales; }},
               {"zero_points", [](mfq_qtensor *q, const mfq_qtensor &h) { q->zero_points = h.zero_points; }}};
  for (const auto &part : parts) {
    mfq_qtensor q = there->q;
    part.spoil(&q, here.q);
    const std::string name = part.name;
    EXPECT_TRUE(refused(mfq_quantize(device(), &good, nullptr, &q), "mfq_quantize: col: " + name + " is ", host_words));
    EXPECT_TRUE(refused(mfq_dequantize(device(), &q, &good), "mfq_dequantize: q: " + name + " is ", host_words));
    EXPECT_TRUE(refused(mfq_repack(device(), &other.q, &q), "mfq_repack: dst: " + name + " is ", host_words));
  }
  const mfq_scheme scheme = parse(scheme_text);
  EXPECT_TRUE(refused(mfq_fake_quantize(device(), &scheme, &good, &bad, nullptr), "mfq_fake_quantize: dst: data is ",
                      host_words));
  Quantized own(parse("int4/group:8/f32:given/zp"), {4, 16});
  give_scales(&own, 1);
  const DeviceQuantized lent(device(), own);
  Operand y(MFQ_DTYPE_F32, {4, 16});
  const DeviceMemory to(device(), y.bytes.data(), y.bytes.size());
  const mfq_tensor target = y.at(to.data());
  for (const auto &part : parts) {
    mfq_qtensor q = lent.q;
    part.spoil(&q, own.q);
    const std::string name = part.name;
    const mfq_status status = mfq_fake_quantize_given(device(), &q, &target, &target);
    if (name == "codes")
      EXPECT_EQ(status, MFQ_OK) << mfq_last_error(); /* they are not used */
    else
      EXPECT_TRUE(refused(status, "mfq_fake_quantize_given: q: " + name + " is ", host_words));
  }
}

TEST_F(DeviceMemoryChecks, DeviceMemoryOnTheCpu) {
  const mfq_tensor good = x.here(), bad = x.at(memory->data());
  EXPECT_TRUE(refused(mfq_quantize(cpu(), &bad, &here.q, nullptr), "mfq_quantize: src: data is ", device_words));
  EXPECT_TRUE(refused(mfq_quantize(cpu(), &good, &there->q, nullptr), "mfq_quantize: row: codes is ", device_words));
  EXPECT_TRUE(refused(mfq_dequantize(cpu(), &here.q, &bad), "mfq_dequantize: dst: data is ", device_words));
  EXPECT_EQ(mfq_quantize(cpu(), &good, &here.q, nullptr), MFQ_OK) << mfq_last_error();
}

TEST_F(DeviceMemoryChecks, HostOfACopy) {
  mfq_buffer *buffer = nullptr;
  ASSERT_EQ(mfq_buffer_create(device(), 64, &buffer), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(refused(mfq_buffer_write(buffer, 0, memory->data(), 64), "mfq_buffer_write: host is ", device_words));
  EXPECT_TRUE(refused(mfq_buffer_read(buffer, 0, memory->data(), 64), "mfq_buffer_read: host is ", device_words));
  mfq_buffer_destroy(buffer);
}

/* Page-locked memory of the host serves both, as does memory that both share. */
TEST_F(DeviceMemoryChecks, PageLockedMemoryIsForBoth) {
  void *pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, x.bytes.size()), cudaSuccess);
  quantize_on_both(pinned);
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

TEST_F(DeviceMemoryChecks, ManagedMemoryIsForBoth) {
  if (!is_emulated() && std::getenv("MFQ_TEST_MANAGED") == nullptr)
    GTEST_SKIP() << "migrating memory can hang a GPU of a virtual machine; MFQ_TEST_MANAGED=1 asks for it";
  void *managed = nullptr;
  ASSERT_EQ(cudaMallocManaged(&managed, x.bytes.size()), cudaSuccess);
  quantize_on_both(managed);
  EXPECT_EQ(cudaFree(managed), cudaSuccess);
}

class DeviceBuffer : public OnDevice {};

TEST_F(DeviceBuffer, WriteFillCopyRead) {
  mfq_buffer *a = nullptr, *b = nullptr;
  ASSERT_EQ(mfq_buffer_create(device(), 10, &a), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_buffer_create(device(), 6, &b), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(mfq_buffer_data(a)) % 256, 0u);
  const uint8_t in[] = {1, 2, 3, 4};
  ASSERT_EQ(mfq_buffer_fill(a, 0, 10, 9), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_buffer_write(a, 3, in, 4), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_buffer_fill(b, 0, 6, 8), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_buffer_copy(b, 1, a, 4, 3), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_buffer_copy(a, 0, a, 5, 5), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(fails(mfq_buffer_copy(a, 0, a, 4, 5), invalid, {"overlap"}));
  std::vector<uint8_t> all(10), small(6);
  ASSERT_EQ(mfq_buffer_read(a, 0, all.data(), 10), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_buffer_read(b, 0, small.data(), 6), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(all, (std::vector<uint8_t>{3, 4, 9, 9, 9, 3, 4, 9, 9, 9}));
  EXPECT_EQ(small, (std::vector<uint8_t>{8, 2, 3, 4, 8, 8}));
  mfq_buffer_destroy(a);
  mfq_buffer_destroy(b);
}

TEST_F(DeviceBuffer, Empty) {
  mfq_buffer *buffer = nullptr;
  ASSERT_EQ(mfq_buffer_create(device(), 0, &buffer), MFQ_OK) << mfq_last_error();
  EXPECT_NE(mfq_buffer_data(buffer), nullptr);
  EXPECT_EQ(mfq_buffer_fill(buffer, 0, 0, 1), MFQ_OK);
  EXPECT_TRUE(fails(mfq_buffer_fill(buffer, 0, 1, 1), bad_shape, {"leave the buffer of 0 bytes"}));
  mfq_buffer_destroy(buffer);
}

TEST_F(DeviceBuffer, OutOfMemory) {
  mfq_buffer *buffer = nullptr;
  EXPECT_TRUE(fails(mfq_buffer_create(device(), size_t{1} << 45, &buffer), MFQ_ERROR_OUT_OF_MEMORY,
                    {"mfq_buffer_create: no memory for 35184372088832 bytes on device cuda:0: ", " are free"}));
  EXPECT_EQ(buffer, nullptr);
  EXPECT_TRUE(fails(mfq_buffer_create(device(), SIZE_MAX, &buffer), MFQ_ERROR_OUT_OF_MEMORY, {"device cuda"}));
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "an error that was reported is left for the caller's own checks";
  ASSERT_EQ(mfq_buffer_create(device(), 1 << 20, &buffer), MFQ_OK) << mfq_last_error();
  mfq_buffer_destroy(buffer);
}

TEST_F(DeviceBuffer, CopyBetweenDevices) {
  mfq_buffer *here = nullptr, *there = nullptr;
  ASSERT_EQ(mfq_buffer_create(cpu(), 8, &here), MFQ_OK);
  ASSERT_EQ(mfq_buffer_create(device(), 8, &there), MFQ_OK);
  EXPECT_TRUE(fails(mfq_buffer_copy(here, 0, there, 0, 8), invalid, {"dst is on device cpu and src on cuda:0"}));
  EXPECT_TRUE(fails(mfq_buffer_copy(there, 0, here, 0, 8), invalid, {"dst is on device cuda:0 and src on cpu"}));
  mfq_buffer_destroy(here);
  mfq_buffer_destroy(there);
}

} // namespace
