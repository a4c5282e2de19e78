// An allocator that fails makes an operation fail, not crash; memory that is not aligned is not used.
#include <mfq/mfq.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "support/misuse.h"

namespace {

using namespace misuse;

struct Allocator {
  int fails = 0, calls = 0;
  size_t skew = 0;
  static void *alloc(void *user, size_t bytes) {
    auto *self = static_cast<Allocator *>(user);
    ++self->calls;
    if (self->fails) return nullptr;
    return static_cast<char *>(std::aligned_alloc(64, (bytes + 127) / 64 * 64)) + self->skew;
  }
  static void release(void *user, void *memory) {
    std::free(static_cast<char *>(memory) - static_cast<Allocator *>(user)->skew);
  }
};

// Every instruction set, for they use scratch memory differently; "reference" is always there.
void run(const char *isa, const char *scheme, bool must_ask) {
  SCOPED_TRACE(std::string(isa == nullptr ? "best" : isa) + ", " + scheme);
  Allocator allocator;
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = isa;
  options.alloc = Allocator::alloc;
  options.free = Allocator::release;
  options.alloc_user = &allocator;
  mfq_context *context = nullptr;
  ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  std::vector<float> data(64 * 1024, 0.5f);
  const mfq_tensor src = dense(data.data(), MFQ_DTYPE_F32, {64, 1024});
  Owned own(scheme, {64, 1024});
  const auto before = own.content();
  for (const bool null : {true, false}) {
    allocator.calls = 0;
    allocator.fails = null;
    allocator.skew = null ? 0 : 4;
    const mfq_status status = mfq_quantize(context, &src, &own.q, nullptr);
    if (must_ask) ASSERT_GT(allocator.calls, 0);
    if (allocator.calls == 0) {
      EXPECT_EQ(status, MFQ_OK) << mfq_last_error();
    } else {
      EXPECT_TRUE(fails(status, MFQ_ERROR_OUT_OF_MEMORY, {"mfq_quantize"}));
      EXPECT_EQ(own.content(), before);
    }
  }
  allocator = Allocator();
  EXPECT_EQ(mfq_quantize(context, &src, &own.q, nullptr), MFQ_OK) << mfq_last_error();
  EXPECT_NE(own.content(), before);
  mfq_context_destroy(context);
}

TEST(OutOfMemory, Quantize) {
  run("reference", "int8/group:32@0/f32", true);
  run(nullptr, "mxfp4_e2m1/group:32@0", false);
  run(nullptr, "mxfp8_e4m3", false);
  run(nullptr, "int8/f32", false);
  run(nullptr, "nvfp4", false);
}

} // namespace
