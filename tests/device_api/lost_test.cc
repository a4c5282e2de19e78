// Work that fails on the device: reported where it is waited for, with the operation that queued it; never a crash.
#include <cuda_runtime.h>

#include "support/device.h"
#include "support/expect_failure.h"

#if defined(MFQ_SIMT)
#include "simt/emulator/simt.h"
#endif

namespace {

using namespace mfq_test;

class Lost : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    context = make_device_context();
    if (context == nullptr) return;
    ASSERT_EQ(mfq_buffer_create(context.get(), 1 << 16, &buffer), MFQ_OK) << mfq_last_error();
  }
  void TearDown() override {
    mfq_buffer_destroy(buffer);
    context.reset();
#if defined(MFQ_SIMT)
    simt::reset();
#endif
  }

  /* Queues a quantization that the device cannot finish: the second row is nobody's memory, 1 TiB behind the first, which
   * lies behind the results, so that nothing overlaps. The emulator stops a process at such an access, and plays the
   * error instead, of a kernel that was queued. */
  mfq_status queue_bad_work([[maybe_unused]] cudaError_t error) {
    uint8_t *const data = static_cast<uint8_t *>(mfq_buffer_data(buffer));
    mfq_tensor src = {};
    const int64_t sizes[] = {2, 64};
    EXPECT_EQ(mfq_tensor_init(data + 8192, MFQ_DTYPE_F32, 2, sizes, &src), MFQ_OK);
    src.strides[0] = int64_t{1} << 38;
    mfq_qtensor q;
    const mfq_scheme scheme = parse("mxfp8_e4m3");
    EXPECT_EQ(mfq_qtensor_init(&scheme, 2, sizes, nullptr, &q), MFQ_OK);
    q.codes = data;
    q.scales = data + 4096;
#if defined(MFQ_SIMT)
    if (error != cudaSuccess) simt::fail_next_kernel(error);
    const uint64_t before = simt::current_counters().launches;
    const mfq_status status = mfq_quantize(context.get(), &src, &q, nullptr);
    EXPECT_EQ(simt::current_counters().launches > before, status == MFQ_OK);
    return status;
#else
    return mfq_quantize(context.get(), &src, &q, nullptr);
#endif
  }

  Context context;
  mfq_buffer *buffer = nullptr;
};

#if defined(MFQ_SIMT)
const cudaError_t final_errors[] = {
    cudaErrorIllegalAddress,     cudaErrorLaunchFailure,     cudaErrorHardwareStackError,
    cudaErrorIllegalInstruction, cudaErrorMisalignedAddress, cudaErrorInvalidAddressSpace,
    cudaErrorInvalidPc,          cudaErrorLaunchTimeout,     cudaErrorAssert,
    cudaErrorECCUncorrectable,   cudaErrorContextIsDestroyed};
#else
const cudaError_t final_errors[] = {cudaErrorIllegalAddress}; /* the process has no device after the first */
#endif

TEST_F(Lost, IsSaidWhereItIsWaitedFor) {
  for (const cudaError_t error : final_errors) {
    SCOPED_TRACE(cudaGetErrorName(error));
    ASSERT_EQ(queue_bad_work(error), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(fails(mfq_context_synchronize(context.get()), MFQ_ERROR_DEVICE,
                      {"mfq_context_synchronize: work queued by mfq_quantize failed on cuda:0", cudaGetErrorName(error),
                       cudaGetErrorString(error), "destroy them"}));
    /* Later calls say so, and the context only waits for its end. */
    uint8_t byte = 77;
    const std::vector<std::string> words = {"cuda:0 failed before", cudaGetErrorName(error), "cannot be used any more"};
    EXPECT_TRUE(fails(mfq_buffer_read(buffer, 0, &byte, 1), MFQ_ERROR_DEVICE, words));
    EXPECT_EQ(byte, 77);
    EXPECT_TRUE(fails(mfq_buffer_fill(buffer, 0, 1, 1), MFQ_ERROR_DEVICE, words));
    EXPECT_TRUE(fails(mfq_context_synchronize(context.get()), MFQ_ERROR_DEVICE, words));
    mfq_buffer *other = nullptr;
    EXPECT_TRUE(fails(mfq_buffer_create(context.get(), 8, &other), MFQ_ERROR_DEVICE, words));
    EXPECT_TRUE(fails(queue_bad_work(cudaSuccess), MFQ_ERROR_DEVICE, words));
    /* A new one meets the same device; the CPU works on. */
    EXPECT_EQ(make_device_context(), nullptr);
    EXPECT_TRUE(fails(MFQ_ERROR_DEVICE, MFQ_ERROR_DEVICE, {"mfq_context_create: ", "failed on cuda:0"}));
    EXPECT_NE(make_context(nullptr, 1), nullptr) << mfq_last_error();
    TearDown();
#if defined(MFQ_SIMT)
    SetUp();
#else
    buffer = nullptr;
#endif
  }
}

#if defined(MFQ_SIMT)
/* Whichever call comes first after the failure reports it. */
TEST_F(Lost, IsSaidByTheNextCall) {
  uint8_t byte = 77;
  ASSERT_EQ(queue_bad_work(cudaErrorIllegalAddress), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(fails(mfq_buffer_read(buffer, 0, &byte, 1), MFQ_ERROR_DEVICE,
                    {"mfq_buffer_read: work queued by mfq_", "failed on cuda:0: ", "cudaErrorIllegalAddress"}));
  TearDown();
  SetUp();
  ASSERT_EQ(queue_bad_work(cudaErrorIllegalAddress), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress); /* the caller met it first */
  EXPECT_TRUE(fails(mfq_buffer_fill(buffer, 0, 1, 1), MFQ_ERROR_DEVICE,
                    {"mfq_buffer_fill: work queued by mfq_quantize failed on cuda:0"}));
}

/* What a real device faults at. */
TEST_F(Lost, TheSecondRowIsRead) {
  EXPECT_DEATH(
      {
        EXPECT_EQ(queue_bad_work(cudaSuccess), MFQ_OK) << mfq_last_error();
        EXPECT_NE(mfq_context_synchronize(context.get()), MFQ_OK);
      },
      "host pointer used in a kernel");
}

TEST_F(Lost, DestroyedUnseen) {
  ASSERT_EQ(queue_bad_work(cudaErrorLaunchFailure), MFQ_OK) << mfq_last_error();
  mfq_buffer_destroy(buffer);
  buffer = nullptr;
  context.reset();
}
#endif

} // namespace
