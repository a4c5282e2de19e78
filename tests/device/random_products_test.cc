// Products drawn at random on a device: as it is, as lesser ones, with cuBLASLt and without, and reproducible ones.
#include "support/random_products.h"

namespace {

using namespace mfq_test;

class RandomDeviceProducts : public OnDevice {
protected:
  static void check(mfq_policy policy, uint32_t seed, int count) {
    const Context context = make_context_of(device_name(), policy);
    ASSERT_NE(context, nullptr);
    check_random_products(context.get(), seed, count);
  }
};

TEST_F(RandomDeviceProducts, Fast) { check(MFQ_FAST, 11, 60); }
TEST_F(RandomDeviceProducts, Reproducible) { check(MFQ_REPRODUCIBLE, 12, 60); }

TEST_F(RandomDeviceProducts, LesserDevices) {
  for (const char *capability : {"8.0", "8.9"}) {
    const Variable limit("MFQ_CUDA_CAPABILITY", capability);
    check(MFQ_FAST, capability[2] == '0' ? 80 : 89, 60);
  }
}

TEST_F(RandomDeviceProducts, WithoutCublaslt) {
  const Variable none("MFQ_CUBLASLT", "");
  check(MFQ_FAST, 13, 60);
}

} // namespace
