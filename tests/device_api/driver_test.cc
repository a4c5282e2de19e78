// Machines without a driver, with an old one, without a GPU or with one that is too old, as the emulator plays them.
#include <mfq/mfq.h>

#include "support/expect_failure.h"

#include "simt/emulator/simt.h"

namespace {

mfq_status create(const char *device) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.device = device;
  mfq_context *context = nullptr;
  const mfq_status status = mfq_context_create(&options, &context);
  mfq_context_destroy(context);
  return status;
}

class Driver : public testing::Test {
protected:
  void SetUp() override { settings = simt::current_settings(); }
  void TearDown() override { simt::reset(); }

  void refuses(const std::vector<std::string> &says) {
    simt::change_settings(settings);
    EXPECT_TRUE(fails(create("cuda"), MFQ_ERROR_UNSUPPORTED, says));
    EXPECT_TRUE(fails(create("cuda:3"), MFQ_ERROR_UNSUPPORTED, {"options->device is \"cuda:3\", but "}));
    EXPECT_EQ(create("cpu"), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_device_name(1, nullptr), nullptr);
    const char *missing = mfq_device_missing("cuda");
    ASSERT_NE(missing, nullptr);
    EXPECT_NE(std::string(missing).find(says[0]), std::string::npos) << missing;
  }

  simt::settings settings;
};

TEST_F(Driver, Missing) {
  settings.kind = simt::driver::none;
  refuses({"there is no NVIDIA driver", "libcuda.so.1", "\"cpu\" is always there"});
}

TEST_F(Driver, Old) {
  settings.kind = simt::driver::old;
  refuses(
      {"the NVIDIA driver is for CUDA 11.4 at most, and libmfq_cuda was built with CUDA 13.0", "update the driver"});
}

TEST_F(Driver, WithoutGpu) {
  settings.devices = 0;
  refuses({"no GPU that this process may see", "CUDA_VISIBLE_DEVICES"});
}

TEST_F(Driver, GpuTooOld) {
  settings.capability = 75;
  simt::change_settings(settings);
  EXPECT_TRUE(
      fails(create("cuda:0"), MFQ_ERROR_UNSUPPORTED, {"cuda:0", "compute capability 7.5", "need 8.0 or newer"}));
  settings.capability = 80;
  simt::change_settings(settings);
  EXPECT_EQ(create("cuda:0"), MFQ_OK) << mfq_last_error();
}

/* The list is made when there is a device for the first time, and stays. */
TEST_F(Driver, ThreeDevices) {
  settings.devices = 3;
  simt::change_settings(settings);
  EXPECT_EQ(create("cuda:2"), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(fails(create("cuda:3"), invalid, {"there are 3 CUDA devices; the last is cuda:2"}));
  EXPECT_STREQ(mfq_device_name(3, nullptr), "cuda:2");
  EXPECT_EQ(mfq_device_name(4, nullptr), nullptr);
  EXPECT_EQ(mfq_device_missing("cuda"), nullptr);
}

} // namespace
