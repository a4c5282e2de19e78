// What the other tests keep their operands in on a real device: writes beside an operand are noticed, and room is used
// again.
#include <gtest/gtest-spi.h>

#include "support/device.h"

namespace {

using namespace mfq_test;

/* Before any context is made: the emulated device has no arena else. */
const int forced = setenv("MFQ_TEST_ARENA", "1", 1);

class ArenaTest : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    ASSERT_EQ(forced, 0);
  }
  /* The device writes `count` floats from an address on. */
  static void write_floats(void *from, int64_t count) {
    const Quantized q(parse("e4m3fn/tensor/f32"), {count});
    const std::vector<uint8_t> codes((size_t)count, 0x38), one = {0, 0, 0x80, 0x3f};
    const DeviceMemory codes_there(device(), codes.data(), codes.size()), scale_there(device(), one.data(), 4);
    mfq_qtensor source = q.q;
    source.codes = codes_there.data();
    source.scales = scale_there.data();
    const mfq_tensor target = strided(from, MFQ_DTYPE_F32, {count}, {1});
    ASSERT_EQ(mfq_dequantize(device(), &source, &target), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_context_synchronize(device()), MFQ_OK) << mfq_last_error();
  }
  const std::vector<uint8_t> bytes_ = std::vector<uint8_t>(40, 7);
};

TEST_F(ArenaTest, HoldsWhatItIsGiven) {
  const Context other = make_device_context();
  for (mfq_context *context : {device(), other.get()}) {
    DeviceMemory memory(context, bytes_.data(), 40, 4);
    const DeviceMemory poison(context, nullptr, 3);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % 256, 4u);
    EXPECT_EQ(memory.read(), bytes_);
    EXPECT_EQ(poison.read(), std::vector<uint8_t>(3, kPoison));
    const std::vector<uint8_t> others(40, 9);
    memory.write(others.data());
    EXPECT_EQ(memory.read(), others);
    write_floats(memory.data(), 10);
    memory.check();
    EXPECT_EQ(memory.read()[3], 0x3f);
  }
}

TEST_F(ArenaTest, NoticesWritesBehind) {
  const DeviceMemory memory(device(), bytes_.data(), 40, 4);
  write_floats(memory.data(), 11);
  EXPECT_NONFATAL_FAILURE((void)memory.read(), "byte 1 behind the memory of 40 was written");
  EXPECT_NONFATAL_FAILURE(memory.check(), "byte 1 behind the memory of 40 was written");
}

TEST_F(ArenaTest, NoticesWritesBefore) {
  const DeviceMemory memory(device(), bytes_.data(), 40, 8), next(device(), bytes_.data(), 40);
  write_floats(static_cast<uint8_t *>(memory.data()) - 4, 1);
  EXPECT_NONFATAL_FAILURE((void)memory.read(), "byte 1 before the memory was written");
  write_floats(static_cast<uint8_t *>(next.data()) - 4, 1);
  EXPECT_NONFATAL_FAILURE((void)next.read(), "byte 1 before the memory was written");
}

TEST_F(ArenaTest, TransfersGather) {
  const DeviceMemory before(device(), bytes_.data(), 40);
  const Transfer transfer(device());
  const DeviceMemory one(device(), bytes_.data(), 40), two(device(), nullptr, 40);
  transfer.upload();
  EXPECT_EQ(one.read(), bytes_);
  EXPECT_EQ(two.read(), std::vector<uint8_t>(40, kPoison));
  write_floats(two.data(), 10);
  transfer.download();
  EXPECT_EQ(before.read(), bytes_);
  EXPECT_EQ(one.read(), bytes_);
  EXPECT_EQ(two.read()[3], 0x3f);
  write_floats(two.data(), 11); /* after the copy that reads are from */
  EXPECT_EQ(two.read()[3], 0x3f);
  EXPECT_NONFATAL_FAILURE(two.check(), "byte 1 behind the memory of 40 was written");
}

TEST_F(ArenaTest, UsesRoomAgain) {
  const DeviceMemory first(device(), bytes_.data(), 40);
  void *address = nullptr;
  for (int i = 0; i < 3; ++i) {
    auto below = std::make_unique<DeviceMemory>(device(), bytes_.data(), 40);
    const DeviceMemory above(device(), bytes_.data(), 40);
    if (i == 0) address = below->data();
    EXPECT_EQ(below->data(), address);
    below.reset();
    const DeviceMemory last(device(), bytes_.data(), 40);
    EXPECT_GT(last.data(), above.data()) << "what is below one that is in use stays";
  }
  EXPECT_EQ(first.read(), bytes_);
}

TEST_F(ArenaTest, WhatDoesNotFitHasABufferOfItsOwn) {
  const DeviceMemory large(device(), nullptr, Arena::kBytes), small(device(), bytes_.data(), 40);
  EXPECT_NE(mfq_buffer_data(nullptr), large.data());
  EXPECT_EQ(small.read(), bytes_);
}

/* Memory of the host is none of its business. */
TEST_F(ArenaTest, TheCpuHasNone) {
  EXPECT_EQ(arena_of(cpu()), nullptr);
  EXPECT_NE(arena_of(device()), nullptr);
  const Transfer transfer(cpu());
  const DeviceMemory memory(cpu(), bytes_.data(), 40);
  transfer.upload();
  EXPECT_EQ(std::memcmp(memory.data(), bytes_.data(), 40), 0);
}

} // namespace
