// More than 2^31 elements, as codes and as strides: indices that are cut to 32 bits anywhere give wrong values here.
// Only on a GPU: an emulated one would take hours.
#include "support/device.h"

namespace {

using namespace mfq_test;

/* Windows over a short vector: element [r, c] is at r + c, so that every row differs and hardly any memory is read. */
constexpr int64_t kRows = 65536, kCols = 32832, kBlock = 32;
static_assert(kRows * kCols > int64_t{1} << 31, "beyond 32 bits");

class Large : public OnDevice {
protected:
  void SetUp() override {
    if (is_emulated()) GTEST_SKIP() << "2^31 elements are too many for an emulated device";
    OnDevice::SetUp();
  }
};

struct BufferDeleter {
  void operator()(mfq_buffer *b) const { mfq_buffer_destroy(b); }
};
using Buffer = std::unique_ptr<mfq_buffer, BufferDeleter>;

/* NULL when the device has not that much memory left. */
Buffer make_buffer(size_t bytes) {
  mfq_buffer *buffer = nullptr;
  return Buffer(mfq_buffer_create(devices().device.get(), bytes, &buffer) == MFQ_OK ? buffer : nullptr);
}

const int64_t beyond = (int64_t{1} << 31) / kCols / kBlock; /* holds element 2^31 */
const int64_t blocks[] = {0, 1, beyond / 2, beyond - 1, beyond, beyond + 1, kRows / kBlock - 1};

/* Rows that hold whole groups, whichever axis these run along: they are as when they are quantized alone. */
void quantize_windows(const char *text, mfq_dtype dtype) {
  const mfq_scheme scheme = parse(text);
  const int64_t shape[] = {kRows, kCols};
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  ASSERT_EQ(mfq_qtensor_init(&scheme, 2, shape, nullptr, &q), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_qtensor_sizes_get(&q, &sizes), MFQ_OK) << mfq_last_error();
  const Buffer codes = make_buffer(sizes.codes_bytes), scales = make_buffer(sizes.scales_bytes);
  const Buffer values = make_buffer((size_t)kRows * kCols * 2);
  if (codes == nullptr || scales == nullptr || values == nullptr) GTEST_SKIP() << mfq_last_error();
  q.codes = mfq_buffer_data(codes.get());
  q.scales = mfq_buffer_data(scales.get());
  Operand x(dtype, {kRows, kCols}, {1, 1});
  x.fill_awkward(41);
  const DeviceMemory memory(devices().device.get(), x.bytes.data(), x.bytes.size());
  const mfq_tensor src = x.at(memory.data());
  ASSERT_EQ(mfq_quantize(devices().device.get(), &src, &q, nullptr), MFQ_OK) << mfq_last_error();
  mfq_tensor target;
  ASSERT_EQ(mfq_tensor_init(mfq_buffer_data(values.get()), MFQ_DTYPE_BF16, 2, shape, &target), MFQ_OK);
  ASSERT_EQ(mfq_dequantize(devices().device.get(), &q, &target), MFQ_OK) << mfq_last_error();
  for (const int64_t block : blocks) {
    SCOPED_TRACE("rows from " + std::to_string(block * kBlock));
    Quantized alone(scheme, {kBlock, kCols});
    const size_t element = mfq_dtype_bytes(dtype);
    const mfq_tensor rows = strided(&x.bytes[(size_t)(block * kBlock) * element], dtype, {kBlock, kCols}, {1, 1});
    ASSERT_EQ(mfq_quantize(devices().cpu.get(), &rows, &alone.q, nullptr), MFQ_OK) << mfq_last_error();
    std::vector<uint8_t> part(alone.sizes.codes_bytes);
    ASSERT_EQ(mfq_buffer_read(codes.get(), (size_t)block * part.size(), part.data(), part.size()), MFQ_OK);
    alone.codes.pop_back();
    EXPECT_TRUE(same_memory(part, alone.codes, 1));
    part.resize(alone.sizes.scales_bytes);
    ASSERT_EQ(mfq_buffer_read(scales.get(), (size_t)block * part.size(), part.data(), part.size()), MFQ_OK);
    alone.scales.pop_back();
    EXPECT_TRUE(same_memory(part, alone.scales, 1));
    Operand y(MFQ_DTYPE_BF16, {kBlock, kCols});
    const mfq_tensor here = y.here();
    ASSERT_EQ(mfq_dequantize(devices().cpu.get(), &alone.q, &here), MFQ_OK) << mfq_last_error();
    part.resize(y.bytes.size());
    ASSERT_EQ(mfq_buffer_read(values.get(), (size_t)block * part.size(), part.data(), part.size()), MFQ_OK);
    EXPECT_TRUE(same_memory(part, y.bytes, 2));
  }
}

TEST_F(Large, GroupsAlongRows) { quantize_windows("mxfp8_e4m3", MFQ_DTYPE_BF16); }
TEST_F(Large, NarrowCodes) { quantize_windows("int2/group:32/ue8m0", MFQ_DTYPE_F32); }
TEST_F(Large, GroupsAlongColumns) { quantize_windows("mxfp4_e2m1/group:32@0", MFQ_DTYPE_BF16); }
TEST_F(Large, OddGroups) { quantize_windows("e4m3fn/group:8/f32", MFQ_DTYPE_F16); }

/* One scale of all: that of the short vector, and the codes follow from it. */
TEST_F(Large, OneScaleForAll) {
  const mfq_scheme scheme = parse("e4m3fn/tensor/f32");
  Operand x(MFQ_DTYPE_BF16, {kRows, kCols}, {1, 1});
  x.fill_awkward(43, true);
  Operand all(MFQ_DTYPE_BF16, {(int64_t)x.count()});
  all.bytes = x.bytes;
  Quantized once(scheme, all.shape);
  const mfq_tensor short_src = all.here();
  ASSERT_EQ(mfq_quantize(cpu(), &short_src, &once.q, nullptr), MFQ_OK) << mfq_last_error();
  const int64_t shape[] = {kRows, kCols};
  mfq_qtensor q;
  ASSERT_EQ(mfq_qtensor_init(&scheme, 2, shape, nullptr, &q), MFQ_OK) << mfq_last_error();
  const Buffer codes = make_buffer((size_t)(kRows * kCols)), scales = make_buffer(4);
  if (codes == nullptr || scales == nullptr) GTEST_SKIP() << mfq_last_error();
  q.codes = mfq_buffer_data(codes.get());
  q.scales = mfq_buffer_data(scales.get());
  const DeviceMemory memory(device(), x.bytes.data(), x.bytes.size());
  const mfq_tensor src = x.at(memory.data());
  ASSERT_EQ(mfq_quantize(device(), &src, &q, nullptr), MFQ_OK) << mfq_last_error();
  std::vector<uint8_t> scale(4), row((size_t)kCols);
  ASSERT_EQ(mfq_buffer_read(scales.get(), 0, scale.data(), 4), MFQ_OK) << mfq_last_error();
  once.scales.pop_back();
  EXPECT_TRUE(same_memory(scale, once.scales, 4));
  for (const int64_t r : {int64_t{0}, int64_t{1}, kRows - 2, kRows - 1}) {
    ASSERT_EQ(mfq_buffer_read(codes.get(), (size_t)(r * kCols), row.data(), row.size()), MFQ_OK) << mfq_last_error();
    const std::vector<uint8_t> want(once.codes.begin() + r, once.codes.begin() + r + kCols);
    EXPECT_TRUE(same_memory(row, want, 1)) << "row " << r;
  }
}

/* Few elements in rows so far apart that the last begins beyond element 2^31. */
TEST_F(Large, RowsFarApart) {
  constexpr int64_t far_rows = 65, far_cols = 200, far = (int64_t{1} << 25) + 24;
  static_assert((far_rows - 1) * far > int64_t{1} << 31, "beyond 32 bits");
  const Buffer memory = make_buffer((size_t)((far_rows - 1) * far + far_cols) * 2);
  if (memory == nullptr) GTEST_SKIP() << mfq_last_error();
  Operand near = awkward(MFQ_DTYPE_BF16, {far_rows, far_cols}, 44);
  for (int64_t r = 0; r < far_rows; ++r)
    ASSERT_EQ(
        mfq_buffer_write(memory.get(), (size_t)(r * far) * 2, &near.bytes[(size_t)(r * far_cols) * 2], far_cols * 2),
        MFQ_OK)
        << mfq_last_error();
  const mfq_tensor here = near.here();
  const mfq_tensor there = strided(mfq_buffer_data(memory.get()), MFQ_DTYPE_BF16, {far_rows, far_cols}, {far, 1});
  for (const char *text : {"mxfp8_e4m3", "mxfp4_e2m1/group:32@0", "int8n/channel@1/f32"}) {
    Quantized want(parse(text), near.shape), got(parse(text), near.shape);
    const DeviceQuantized q(device(), got);
    ASSERT_EQ(mfq_quantize(cpu(), &here, &want.q, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_quantize(device(), &there, &q.q, nullptr), MFQ_OK) << mfq_last_error();
    q.download(&got);
    EXPECT_TRUE(same_parts(got, want)) << text;
  }
}

} // namespace
