// A context on the CPU refuses memory of a GPU, once the process has a CUDA driver; here a fake one.
#include <dlfcn.h>

#include <cstring>
#include <string>

#include "support/misuse.h"

namespace {

using namespace misuse;

// The driver stays for the rest of the process: the test without one comes first, by its place in the file.
float *fake(const char *name) {
  static void *driver = dlopen(MFQ_FAKES "/libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) ADD_FAILURE() << dlerror();
  return static_cast<float *>(dlsym(driver, name));
}

class HostMemory : public Misuse {
protected:
  void SetUp() override {
    Misuse::SetUp();
    src = dense(here.data(), MFQ_DTYPE_F32, {4, 64});
    dst = dense(out.data(), MFQ_DTYPE_F32, {4, 64});
    ASSERT_EQ(mfq_scheme_parse(scheme_text, &scheme), MFQ_OK);
  }
  mfq_status quantize() { return mfq_quantize(context, &src, &row.q, nullptr); }

  std::vector<float> here = std::vector<float>(256, 1.0f), out = here;
  Owned row{scheme_text, {4, 64}};
  mfq_tensor src, dst;
  mfq_scheme scheme;
};

const std::vector<std::string> refusal = {"memory of device cuda:3", "which the host cannot read",
                                          "use a context on that device"};

testing::AssertionResult refused(mfq_status status, const char *begins) {
  auto result = fails(status, invalid, {begins});
  return result ? fails(status, invalid, refusal) : result;
}

TEST_F(HostMemory, WithoutDriver) { EXPECT_EQ(quantize(), MFQ_OK) << mfq_last_error(); }

TEST_F(HostMemory, Tensors) {
  EXPECT_EQ(quantize(), MFQ_OK) << mfq_last_error();
  float *gpu = fake("fake_memory");
  ASSERT_NE(gpu, nullptr);
  EXPECT_EQ(quantize(), MFQ_OK) << mfq_last_error();
  const auto before = row.content();
  src.data = gpu;
  EXPECT_TRUE(refused(quantize(), "mfq_quantize: src: data is "));
  EXPECT_EQ(row.content(), before);
  src.data = fake("fake_managed");
  EXPECT_EQ(quantize(), MFQ_OK) << mfq_last_error();
  dst.data = gpu + 100;
  EXPECT_TRUE(refused(mfq_dequantize(context, &row.q, &dst), "mfq_dequantize: dst: data is "));
  EXPECT_TRUE(refused(mfq_fake_quantize(context, &scheme, &src, &dst, nullptr), "mfq_fake_quantize: dst: data is "));
}

TEST_F(HostMemory, Parts) {
  float *gpu = fake("fake_memory");
  const mfq_qtensor good = row.q;
  const Owned other(scheme_text, {4, 64});
  row.q.codes = gpu;
  EXPECT_TRUE(refused(quantize(), "mfq_quantize: row: codes is "));
  EXPECT_TRUE(refused(mfq_repack(context, &row.q, &other.q), "mfq_repack: src: codes is "));
  EXPECT_TRUE(refused(mfq_repack(context, &other.q, &row.q), "mfq_repack: dst: codes is "));
  row.q = good;
  row.q.scales = gpu;
  EXPECT_TRUE(refused(mfq_expand_scales(context, &row.q, &dst), "mfq_expand_scales: q: scales is "));
  row.q = good;
  row.q.zero_points = gpu;
  EXPECT_TRUE(refused(mfq_quantize(context, &src, nullptr, &row.q), "mfq_quantize: col: zero_points is "));
}

// Nothing of an empty tensor is touched, wherever it points.
TEST_F(HostMemory, Empty) {
  const Owned none(scheme_text, {0, 64});
  src = dense(fake("fake_memory"), MFQ_DTYPE_F32, {0, 64});
  EXPECT_EQ(mfq_quantize(context, &src, &none.q, nullptr), MFQ_OK) << mfq_last_error();
}

TEST_F(HostMemory, Buffers) {
  mfq_buffer *buffer = nullptr;
  ASSERT_EQ(mfq_buffer_create(context, 64, &buffer), MFQ_OK);
  float *gpu = fake("fake_memory");
  EXPECT_TRUE(refused(mfq_buffer_write(buffer, 0, gpu, 64), "mfq_buffer_write: host is "));
  EXPECT_TRUE(refused(mfq_buffer_read(buffer, 0, gpu, 64), "mfq_buffer_read: host is "));
  EXPECT_EQ(mfq_buffer_write(buffer, 0, gpu, 0), MFQ_OK);
  EXPECT_EQ(mfq_buffer_write(buffer, 0, fake("fake_managed"), 64), MFQ_OK) << mfq_last_error();
  mfq_buffer_destroy(buffer);
}

} // namespace
