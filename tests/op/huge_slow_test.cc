// More than 2^31 elements: as codes, and as strides. Indices that are cut to 32 bits anywhere give wrong values here.
#include <sys/mman.h>

#include <fstream>
#include <memory>

#include "support/plain_tensor.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::Shape;

/* Bytes that the machine can lend without swapping; 0 when it does not say. */
size_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  size_t kilobytes = 0;
  while (file >> word)
    if (word == "MemAvailable:" && file >> kilobytes) break;
  return kilobytes * 1024;
}

/* Memory that costs nothing until it is written. */
class Sparse {
public:
  explicit Sparse(size_t bytes) : bytes_(bytes) {
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  ~Sparse() {
    if (ok()) munmap(data_, bytes_);
  }
  Sparse(const Sparse &) = delete;
  bool ok() const { return data_ != MAP_FAILED; }
  template <typename T> T *as() const { return static_cast<T *>(data_); }

private:
  size_t bytes_;
  void *data_;
};

/* Windows over a short vector: element [r, c] is at r + c, so that every row differs and hardly any memory is read. */
constexpr int64_t kRows = 65536, kCols = 32832;
static_assert(kRows * kCols > int64_t{1} << 31, "beyond 32 bits");

std::vector<float> window_values() { return mfq_test::awkward_values((size_t)(kRows + kCols), 41); }

/* Rows that hold whole groups, whichever axis these run along: they are the same as when they are quantized alone. */
constexpr int64_t kBlock = 32;

void check_block(mfq_context *context, const mfq_qtensor &q, const mfq_qtensor_sizes &sizes,
                 const std::vector<float> &x, int64_t block) {
  SCOPED_TRACE("rows from " + std::to_string(block * kBlock));
  Quantized alone(q.scheme, {kBlock, kCols});
  const mfq_tensor src = mfq_test::strided(&x[(size_t)(block * kBlock)], MFQ_DTYPE_F32, {kBlock, kCols}, {1, 1});
  ASSERT_EQ(mfq_quantize(context, &src, &alone.q, nullptr), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(sizes.row_bits % 8, 0u);
  const size_t codes = alone.sizes.codes_bytes, scales = alone.sizes.scales_bytes, at = (size_t)block;
  EXPECT_EQ(std::memcmp(static_cast<uint8_t *>(q.codes) + at * codes, alone.codes.data(), codes), 0);
  EXPECT_EQ(std::memcmp(static_cast<uint8_t *>(q.scales) + at * scales, alone.scales.data(), scales), 0);
}

void quantize_windows(const char *text) {
  const mfq_scheme scheme = parse(text);
  const int64_t shape[] = {kRows, kCols};
  mfq_qtensor q;
  mfq_qtensor_sizes sizes;
  ASSERT_EQ(mfq_qtensor_init(&scheme, 2, shape, nullptr, &q), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_qtensor_sizes_get(&q, &sizes), MFQ_OK) << mfq_last_error();
  const size_t needed = sizes.codes_bytes + sizes.scales_bytes + (size_t{64} << 20);
  if (available_bytes() < needed) GTEST_SKIP() << "needs " << (needed >> 20) << " MiB of free memory";
  const Sparse codes(sizes.codes_bytes), scales(sizes.scales_bytes);
  ASSERT_TRUE(codes.ok() && scales.ok());
  q.codes = codes.as<uint8_t>();
  q.scales = scales.as<uint8_t>();
  const std::vector<float> x = window_values();
  const mfq_tensor src = mfq_test::strided(x.data(), MFQ_DTYPE_F32, {kRows, kCols}, {1, 1});
  const Context context = make_context();
  ASSERT_EQ(mfq_quantize(context.get(), &src, &q, nullptr), MFQ_OK) << mfq_last_error();
  const int64_t beyond = (int64_t{1} << 31) / kCols / kBlock; /* holds element 2^31 */
  for (const int64_t block : {int64_t{0}, int64_t{1}, beyond / 2, beyond - 1, beyond, beyond + 1, kRows / kBlock - 1})
    check_block(context.get(), q, sizes, x, block);
}

TEST(Huge, GroupsAlongRows) { quantize_windows("int2/group:32/ue8m0"); }
TEST(Huge, GroupsAlongColumns) { quantize_windows("int2/group:32@0/ue8m0"); }

/* Few elements, but rows of codes 4096 bytes apart: beyond 2^31 bits on every path. */
TEST(Huge, AlignedRows) {
  const mfq_layout far_apart = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 4096};
  const Shape shape = {66000, 5};
  const std::vector<float> x = mfq_test::awkward_values(mfq_test::count_of(shape), 43);
  const mfq_scheme scheme = parse("mxfp4_e2m1");
  if (available_bytes() < size_t{700} << 20) GTEST_SKIP() << "needs 700 MiB of free memory";
  for (const char *isa : {(const char *)nullptr, "reference"}) {
    SCOPED_TRACE(isa != nullptr ? isa : "best");
    const Context context = make_context(isa);
    Quantized want(scheme, shape), wide(scheme, shape, &far_apart), back(scheme, shape);
    ASSERT_GT(wide.sizes.codes_bytes, size_t{1} << 28); /* bytes of 2^31 bits */
    mfq_test::quantize(context.get(), x, &want);
    mfq_test::quantize(context.get(), x, &wide);
    ASSERT_EQ(mfq_repack(context.get(), &wide.q, &back.q), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(back.same_bytes(want)) << back.difference(want);
    EXPECT_TRUE(
        mfq_test::same_floats(mfq_test::dequantized(context.get(), wide), mfq_test::dequantized(context.get(), want)));
    wide.codes.assign(wide.codes.size(), mfq_test::kPoison);
    ASSERT_EQ(mfq_repack(context.get(), &want.q, &wide.q), MFQ_OK) << mfq_last_error();
    EXPECT_TRUE(
        mfq_test::same_floats(mfq_test::dequantized(context.get(), wide), mfq_test::dequantized(context.get(), want)));
  }
}

/* ---- Strides ----------------------------------------------------------------------------------------------------- */

/* 65 rows, so far apart that the last begins beyond element 2^31. */
constexpr int64_t kFarRows = 65, kFarCols = 200, kFar = (int64_t{1} << 25) + 24;
static_assert((kFarRows - 1) * kFar > int64_t{1} << 31, "beyond 32 bits");

struct Far {
  const char *what;
  Shape shape, strides;
};

const Far fars[] = {{"rows far apart", {kFarRows, kFarCols}, {kFar, 1}},
                    {"columns far apart", {kFarCols, kFarRows}, {1, kFar}},
                    {"backwards", {kFarRows, kFarCols}, {-kFar, 1}},
                    {"a middle axis", {2, kFarRows, kFarCols}, {1000, kFar, 1}}};

size_t offset_of(const Far &far, size_t index) {
  int64_t offset = 0, rest = (int64_t)index;
  for (size_t d = far.shape.size(); d-- > 0; rest /= far.shape[d]) {
    const int64_t i = rest % far.shape[d], from = far.strides[d] < 0 ? far.shape[d] - 1 - i : i;
    offset += from * std::abs(far.strides[d]);
  }
  return (size_t)offset;
}

template <typename T> void check_far(mfq_context *context, const Far &far, mfq_dtype dtype, const mfq_scheme &scheme) {
  const Sparse memory((size_t)(kFarRows * kFar) * sizeof(T));
  if (!memory.ok()) GTEST_SKIP() << "the system does not lend " << kFarRows * kFar * 4 << " bytes of address space";
  const size_t n = mfq_test::count_of(far.shape);
  std::vector<float> x(n), y(n);
  std::vector<T> near(n);
  T *const data = memory.as<T>();
  for (size_t i = 0; i < n; ++i) {
    x[i] = (float)((int)(i * 7919 % 255) - 127) / 16;
    const uint32_t bits = mfq_test::float_bits(x[i]) >> (sizeof(T) == 2 ? 16 : 0);
    std::memcpy(&near[i], &bits, sizeof(T));
    data[offset_of(far, i)] = near[i];
  }
  mfq_tensor wide = mfq_test::strided(data, dtype, far.shape, far.strides);
  for (size_t d = 0; d < far.shape.size(); ++d)
    if (far.strides[d] < 0) wide.data = static_cast<T *>(wide.data) - (far.shape[d] - 1) * far.strides[d];
  const mfq_tensor dense = mfq_test::strided(near.data(), dtype, far.shape, mfq_test::dense_strides(far.shape));

  Quantized want(scheme, far.shape), got(scheme, far.shape);
  ASSERT_EQ(mfq_quantize(context, &dense, &want.q, nullptr), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_quantize(context, &wide, &got.q, nullptr), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(got.same_bytes(want)) << got.difference(want);

  std::vector<T> values(n);
  const mfq_tensor values_dst = mfq_test::strided(values.data(), dtype, far.shape, mfq_test::dense_strides(far.shape));
  ASSERT_EQ(mfq_dequantize(context, &want.q, &values_dst), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_dequantize(context, &want.q, &wide), MFQ_OK) << mfq_last_error();
  for (size_t i = 0; i < n; ++i) ASSERT_EQ(data[offset_of(far, i)], values[i]) << "element " << i;

  ASSERT_EQ(mfq_fake_quantize(context, &scheme, &wide, &wide, nullptr), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(mfq_fake_quantize(context, &scheme, &values_dst, &values_dst, nullptr), MFQ_OK) << mfq_last_error();
  for (size_t i = 0; i < n; ++i) ASSERT_EQ(data[offset_of(far, i)], values[i]) << "element " << i;
}

TEST(Huge, Strides) {
  for (const char *isa : {(const char *)nullptr, "reference"}) {
    const Context context = make_context(isa);
    for (const Far &far : fars)
      for (const char *text : {"mxfp8_e4m3", "mxfp4_e2m1/group:32@0", "e4m3fn/f32"}) {
        SCOPED_TRACE(std::string(far.what) + ", " + text + (isa != nullptr ? ", reference" : ""));
        check_far<float>(context.get(), far, MFQ_DTYPE_F32, parse(text));
        check_far<uint16_t>(context.get(), far, MFQ_DTYPE_BF16, parse(text));
        if (testing::Test::IsSkipped()) return;
      }
  }
}

} // namespace
