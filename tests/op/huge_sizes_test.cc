// Products, convolutions and casts of so many elements that sizes of workspaces would not fit 64 bits: refused with a
// sentence, nothing written, nothing left behind.
#include <cstdlib>

#include "support/huge_sizes.h"

namespace {

using namespace mfq_test;

int held; /* allocations that were not freed */

void *counting_alloc(void *, size_t bytes) {
  if (bytes > size_t{1} << 40) return nullptr; /* sanitizers stop at such a wish */
  void *const memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  held += memory != nullptr;
  return memory;
}
void counting_free(void *, void *memory) {
  held -= memory != nullptr;
  std::free(memory);
}

Context make(mfq_policy policy, int threads = 2) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.policy = policy;
  options.threads = threads;
  options.alloc = counting_alloc;
  options.free = counting_free;
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

TEST(HugeSizes, Products) {
  for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE}) {
    const Context context = make(policy);
    const int before = held;
    check_huge_products(context.get());
    EXPECT_EQ(held, before);
  }
}

TEST(HugeSizes, Convolutions) {
  for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE}) {
    const Context context = make(policy);
    const int before = held;
    check_huge_convolutions(context.get());
    EXPECT_EQ(held, before);
  }
}

/* Scales that are measured need scratch memory: of a channel for each thread, and of everything for fake-quantization. */
TEST(HugeSizes, Casts) {
  const Context context = make(MFQ_FAST, 64);
  const int before = held;
  uint8_t *const codes = reinterpret_cast<uint8_t *>(uintptr_t{1} << 50), *const scales = codes + (uintptr_t{1} << 60);
  const mfq_scheme scheme = parse("int8/channel/f32");
  for (const int e : {50, 56, 57, 58, 59}) {
    SCOPED_TRACE("2^" + std::to_string(e));
    const int64_t shape[] = {int64_t{1} << e};
    const mfq_tensor src = broadcast(MFQ_DTYPE_F16, {shape[0]}), dst = strided(codes, MFQ_DTYPE_F16, {shape[0]}, {1});
    mfq_qtensor q;
    ASSERT_EQ(mfq_qtensor_init(&scheme, 1, shape, nullptr, &q), MFQ_OK) << mfq_last_error();
    q.codes = codes;
    q.scales = scales;
    EXPECT_TRUE(fails(mfq_quantize(context.get(), &src, &q, nullptr), MFQ_ERROR_OUT_OF_MEMORY, {"no memory for"}));
    EXPECT_TRUE(fails(mfq_fake_quantize(context.get(), &scheme, &src, &dst, nullptr), MFQ_ERROR_OUT_OF_MEMORY,
                      {"no memory for"}));
    EXPECT_EQ(held, before);
  }
}

} // namespace
