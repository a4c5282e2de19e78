// Plans of products and convolutions of very many elements on a device.
#include "support/device.h"
#include "support/huge_sizes.h"

namespace {

using namespace mfq_test;

class HugeSizesOnDevice : public OnDevice {
protected:
  static void check(mfq_policy policy) {
    mfq_context_options options;
    mfq_context_options_init(&options);
    options.device = device_name();
    options.policy = policy;
    poison_memory(&options);
    mfq_context *context = nullptr;
    ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
    const Context owner(context);
    check_huge_products(context);
    check_huge_convolutions(context);
  }
};

TEST_F(HugeSizesOnDevice, Fast) { check(MFQ_FAST); }
TEST_F(HugeSizesOnDevice, Reproducible) { check(MFQ_REPRODUCIBLE); }

TEST_F(HugeSizesOnDevice, LesserDevices) {
  for (const char *capability : {"8.0", "8.9"}) {
    const Variable limit("MFQ_CUDA_CAPABILITY", capability);
    check(MFQ_FAST);
  }
}

} // namespace
