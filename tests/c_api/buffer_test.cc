// Buffers: contents, ranges, alignment, and an allocator that fails.
#include <mfq/buffer.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "support/expect_failure.h"

namespace {

// Counts what is outstanding and fails on request.
struct Allocator {
  bool fails = false;
  int outstanding = 0, calls = 0;
  static void *alloc(void *user, size_t bytes) {
    auto *self = static_cast<Allocator *>(user);
    ++self->calls;
    if (self->fails) return nullptr;
    ++self->outstanding;
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  }
  static void release(void *user, void *memory) {
    static_cast<Allocator *>(user)->outstanding--;
    std::free(memory);
  }
};

class Buffer : public testing::Test {
protected:
  void SetUp() override {
    mfq_context_options options;
    mfq_context_options_init(&options);
    options.alloc = Allocator::alloc;
    options.free = Allocator::release;
    options.alloc_user = &allocator;
    ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  }
  void TearDown() override {
    mfq_context_destroy(context);
    EXPECT_EQ(allocator.outstanding, 0);
  }
  Allocator allocator;
  mfq_context *context = nullptr;
};

TEST_F(Buffer, WriteFillRead) {
  mfq_buffer *buffer = nullptr;
  ASSERT_EQ(mfq_buffer_create(context, 10, &buffer), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_buffer_bytes(buffer), 10u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(mfq_buffer_data(buffer)) % 256, 0u);
  const uint8_t in[] = {1, 2, 3, 4};
  ASSERT_EQ(mfq_buffer_fill(buffer, 0, 10, 9), MFQ_OK);
  ASSERT_EQ(mfq_buffer_write(buffer, 3, in, 4), MFQ_OK);
  ASSERT_EQ(mfq_buffer_fill(buffer, 6, 2, 7), MFQ_OK);
  std::vector<uint8_t> out(10);
  ASSERT_EQ(mfq_buffer_read(buffer, 0, out.data(), 10), MFQ_OK);
  EXPECT_EQ(out, (std::vector<uint8_t>{9, 9, 9, 1, 2, 3, 7, 7, 9, 9}));
  uint8_t one = 0;
  ASSERT_EQ(mfq_buffer_read(buffer, 4, &one, 1), MFQ_OK);
  EXPECT_EQ(one, 2);
  mfq_buffer_destroy(buffer);
}

TEST_F(Buffer, Empty) {
  mfq_buffer *buffer = nullptr;
  ASSERT_EQ(mfq_buffer_create(context, 0, &buffer), MFQ_OK);
  EXPECT_EQ(mfq_buffer_bytes(buffer), 0u);
  EXPECT_EQ(mfq_buffer_fill(buffer, 0, 0, 1), MFQ_OK);
  EXPECT_EQ(mfq_buffer_write(buffer, 0, nullptr, 0), MFQ_OK);
  EXPECT_EQ(mfq_buffer_read(buffer, 0, nullptr, 0), MFQ_OK);
  EXPECT_TRUE(fails(mfq_buffer_fill(buffer, 0, 1, 1), bad_shape, {"leave the buffer of 0 bytes"}));
  mfq_buffer_destroy(buffer);
  mfq_buffer_destroy(nullptr);
  EXPECT_EQ(mfq_buffer_data(nullptr), nullptr);
  EXPECT_EQ(mfq_buffer_bytes(nullptr), 0u);
}

TEST_F(Buffer, OutOfMemory) {
  mfq_buffer *buffer = nullptr;
  allocator.fails = true;
  allocator.calls = 0;
  EXPECT_TRUE(fails(mfq_buffer_create(context, 100, &buffer), MFQ_ERROR_OUT_OF_MEMORY, {"100 bytes", "device cpu"}));
  EXPECT_EQ(buffer, nullptr);
  EXPECT_EQ(allocator.calls, 1) << "the context's allocator was not asked";
  allocator.fails = false;
  EXPECT_TRUE(fails(mfq_buffer_create(context, SIZE_MAX, &buffer), MFQ_ERROR_OUT_OF_MEMORY, {"no memory"}));
  EXPECT_EQ(buffer, nullptr);
  ASSERT_EQ(mfq_buffer_create(context, 100, &buffer), MFQ_OK);
  mfq_buffer_destroy(buffer);
}

TEST_F(Buffer, OutOfRange) {
  mfq_buffer *buffer = nullptr;
  ASSERT_EQ(mfq_buffer_create(context, 8, &buffer), MFQ_OK);
  uint8_t host[16] = {0};
  const struct {
    size_t offset, bytes;
  } bad[] = {{0, 9}, {8, 1}, {9, 0}, {4, 5}, {SIZE_MAX, 1}, {1, SIZE_MAX}, {SIZE_MAX, SIZE_MAX}};
  for (const auto &range : bad) {
    EXPECT_TRUE(
        fails(mfq_buffer_fill(buffer, range.offset, range.bytes, 1), bad_shape, {"mfq_buffer_fill", "8 bytes"}));
    EXPECT_TRUE(fails(mfq_buffer_write(buffer, range.offset, host, range.bytes), bad_shape, {"mfq_buffer_write"}));
    EXPECT_TRUE(fails(mfq_buffer_read(buffer, range.offset, host, range.bytes), bad_shape, {"mfq_buffer_read"}));
  }
  EXPECT_EQ(mfq_buffer_fill(buffer, 8, 0, 1), MFQ_OK);
  mfq_buffer_destroy(buffer);
}

TEST_F(Buffer, Misuse) {
  mfq_buffer *buffer = nullptr;
  uint8_t host[4] = {0};
  EXPECT_TRUE(fails(mfq_buffer_create(nullptr, 8, &buffer), invalid, {"context is NULL"}));
  EXPECT_TRUE(fails(mfq_buffer_create(context, 8, nullptr), invalid, {"buffer is NULL"}));
  EXPECT_TRUE(fails(mfq_buffer_fill(nullptr, 0, 1, 1), invalid, {"buffer is NULL"}));
  EXPECT_TRUE(fails(mfq_buffer_write(nullptr, 0, host, 1), invalid, {"buffer is NULL"}));
  EXPECT_TRUE(fails(mfq_buffer_read(nullptr, 0, host, 1), invalid, {"buffer is NULL"}));
  ASSERT_EQ(mfq_buffer_create(context, 8, &buffer), MFQ_OK);
  EXPECT_TRUE(fails(mfq_buffer_write(buffer, 0, nullptr, 1), invalid, {"host is NULL"}));
  EXPECT_TRUE(fails(mfq_buffer_read(buffer, 0, nullptr, 1), invalid, {"host is NULL"}));
  mfq_buffer_destroy(buffer);
}

TEST_F(Buffer, Copy) {
  mfq_buffer *a = nullptr, *b = nullptr;
  ASSERT_EQ(mfq_buffer_create(context, 8, &a), MFQ_OK);
  ASSERT_EQ(mfq_buffer_create(context, 4, &b), MFQ_OK);
  const uint8_t in[] = {1, 2, 3, 4, 5, 6, 7, 8};
  ASSERT_EQ(mfq_buffer_write(a, 0, in, 8), MFQ_OK);
  ASSERT_EQ(mfq_buffer_fill(b, 0, 4, 9), MFQ_OK);
  EXPECT_EQ(mfq_buffer_copy(b, 1, a, 5, 3), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_buffer_copy(a, 0, a, 4, 4), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_buffer_copy(a, 3, a, 3, 0), MFQ_OK) << mfq_last_error();
  const struct {
    size_t dst_offset, src_offset, bytes;
    mfq_status status;
    const char *says;
  } bad[] = {{2, 0, 3, bad_shape, "3 bytes at offset 2 leave the buffer of 4 bytes"},
             {0, 7, 2, bad_shape, "2 bytes at offset 7 leave the buffer of 8 bytes"},
             {0, SIZE_MAX, 1, bad_shape, "leave the buffer of 8 bytes"},
             {0, 0, SIZE_MAX, bad_shape, "leave the buffer of 4 bytes"}};
  for (const auto &c : bad)
    EXPECT_TRUE(
        fails(mfq_buffer_copy(b, c.dst_offset, a, c.src_offset, c.bytes), c.status, {"mfq_buffer_copy", c.says}));
  for (const size_t offset : {0, 3})
    EXPECT_TRUE(fails(mfq_buffer_copy(a, offset, a, 3 - offset, 4), invalid, {"4 bytes at offset", "overlap"}));
  EXPECT_TRUE(fails(mfq_buffer_copy(a, 1, a, 1, 1), invalid, {"overlap"}));
  EXPECT_TRUE(fails(mfq_buffer_copy(nullptr, 0, a, 0, 1), invalid, {"dst is NULL"}));
  EXPECT_TRUE(fails(mfq_buffer_copy(a, 0, nullptr, 0, 1), invalid, {"src is NULL"}));
  std::vector<uint8_t> out(8), small(4);
  ASSERT_EQ(mfq_buffer_read(a, 0, out.data(), 8), MFQ_OK);
  ASSERT_EQ(mfq_buffer_read(b, 0, small.data(), 4), MFQ_OK);
  EXPECT_EQ(out, (std::vector<uint8_t>{5, 6, 7, 8, 5, 6, 7, 8}));
  EXPECT_EQ(small, (std::vector<uint8_t>{9, 6, 7, 8}));
  mfq_buffer_destroy(a);
  mfq_buffer_destroy(b);
}

} // namespace
