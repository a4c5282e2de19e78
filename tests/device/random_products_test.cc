// Products drawn at random on a device: on each compute capability that the emulator has, with cuBLASLt and without, and
// reproducible ones; on a GPU as it is.
#include "support/random_products.h"

#if defined(MFQ_SIMT)
#include "simt/cublaslt_standin.h"
#endif

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

#if defined(MFQ_SIMT)

TEST_F(RandomDeviceProducts, EveryCapability) {
  const simt::settings former = simt::current_settings();
  for (const int capability : {80, 89, 90, 100}) {
    simt::settings settings = former;
    settings.capability = capability;
    simt::change_settings(settings);
    check(MFQ_FAST, (uint32_t)capability, 60);
  }
  simt::change_settings(former);
}

TEST_F(RandomDeviceProducts, WithoutCublaslt) {
  const char *named = std::getenv("MFQ_CUBLASLT");
  const std::string former = named != nullptr ? named : "";
  setenv("MFQ_CUBLASLT", "", 1);
  check(MFQ_FAST, 13, 60);
  if (named != nullptr)
    setenv("MFQ_CUBLASLT", former.c_str(), 1);
  else
    unsetenv("MFQ_CUBLASLT");
}

#endif

} // namespace
