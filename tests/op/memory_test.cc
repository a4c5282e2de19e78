// The allocator fails at its n-th call, for every n: the operation says so, touches nothing, leaks nothing, and works
// the next time. A second equal call allocates nothing.
#include <cstdlib>
#include <functional>
#include <map>

#include "support/expect_failure.h"
#include "support/plain_tensor.h"

namespace {

using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::Shape;

/* Counts, fails on demand, and remembers what is not freed. */
struct Allocator {
  int calls = 0;
  int fails_at = 0; /* the number of the call that fails; 0: none */
  std::map<void *, size_t> live;

  static void *alloc(void *user, size_t bytes) {
    auto *self = static_cast<Allocator *>(user);
    if (++self->calls == self->fails_at) return nullptr;
    void *memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    std::memset(memory, 0x5a, bytes); /* nothing may rely on zeros */
    self->live[memory] = bytes;
    return memory;
  }
  static void release(void *user, void *memory) {
    auto *self = static_cast<Allocator *>(user);
    EXPECT_EQ(self->live.erase(memory), 1u) << "freed what was not allocated";
    std::free(memory);
  }
};

mfq_status create(Allocator *allocator, const char *isa, mfq_context **context) {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.cpu_isa = isa;
  options.threads = 2;
  options.alloc = Allocator::alloc;
  options.free = Allocator::release;
  options.alloc_user = allocator;
  return mfq_context_create(&options, context);
}

/* One operation with outputs of its own. */
struct Operation {
  std::string name;
  std::function<mfq_status(mfq_context *)> run;
  std::function<std::vector<uint8_t>()> outputs;
};

std::vector<uint8_t> bytes_of(const std::vector<float> &x) {
  std::vector<uint8_t> bytes(x.size() * 4);
  std::memcpy(bytes.data(), x.data(), bytes.size());
  return bytes;
}

std::vector<uint8_t> bytes_of(const Quantized &t) {
  std::vector<uint8_t> all = t.codes;
  all.insert(all.end(), t.scales.begin(), t.scales.end());
  all.insert(all.end(), t.zero_points.begin(), t.zero_points.end());
  const std::vector<uint8_t> tensor_scale = bytes_of(std::vector<float>{t.tensor_scale});
  all.insert(all.end(), tensor_scale.begin(), tensor_scale.end());
  return all;
}

constexpr int64_t kRows = 66, kCols = 300;

/* All memory that the operations on one scheme use. */
struct Fixture {
  mfq_scheme scheme;
  std::vector<float> x = mfq_test::awkward_values(kRows * kCols, 31);
  Quantized row, col, filled, repacked;
  std::vector<float> y, fake, scales;
  mfq_tensor src, dst, fake_dst, scales_dst;

  explicit Fixture(const char *text)
      : scheme(parse(text)), row(scheme, {kRows, kCols}), col(other_axis(scheme), {kRows, kCols}),
        filled(scheme, {kRows, kCols}), repacked(scheme, {kRows, kCols}, byte_layout()),
        y(mfq_test::count_of(mfq_test::padded_shape(row)), mfq_test::kUnwritten), fake(x.size(), mfq_test::kUnwritten),
        scales(x.size(), mfq_test::kUnwritten), src(mfq_test::dense(x, {kRows, kCols})),
        dst(mfq_test::dense(y, mfq_test::padded_shape(row))), fake_dst(mfq_test::dense(fake, {kRows, kCols})),
        scales_dst(mfq_test::dense(scales, {kRows, kCols})) {
    const mfq_test::Context context = mfq_test::make_context();
    mfq_test::quantize(context.get(), x, &filled);
  }

  static mfq_scheme other_axis(mfq_scheme scheme) {
    if (scheme.granularity == MFQ_GRANULARITY_GROUP) scheme.axis = 0;
    return scheme;
  }
  static const mfq_layout *byte_layout() {
    static const mfq_layout layout = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16};
    return &layout;
  }

  std::vector<Operation> operations() {
    return {
        {"quantize", [this](mfq_context *c) { return mfq_quantize(c, &src, &row.q, nullptr); },
         [this] { return bytes_of(row); }},
        {"quantize both", [this](mfq_context *c) { return mfq_quantize(c, &src, &row.q, &col.q); },
         [this] {
           std::vector<uint8_t> all = bytes_of(row), more = bytes_of(col);
           all.insert(all.end(), more.begin(), more.end());
           return all;
         }},
        {"dequantize", [this](mfq_context *c) { return mfq_dequantize(c, &filled.q, &dst); },
         [this] { return bytes_of(y); }},
        {"fake_quantize", [this](mfq_context *c) { return mfq_fake_quantize(c, &scheme, &src, &fake_dst, nullptr); },
         [this] { return bytes_of(fake); }},
        {"fake_quantize_given",
         [this](mfq_context *c) {
           mfq_qtensor given = filled.q;
           if (scheme.scale != MFQ_SCALE_NONE) given.scheme.rule = MFQ_RULE_GIVEN;
           return mfq_fake_quantize_given(c, &given, &src, &fake_dst);
         },
         [this] { return bytes_of(fake); }},
        {"repack", [this](mfq_context *c) { return mfq_repack(c, &filled.q, &repacked.q); },
         [this] { return bytes_of(repacked); }},
        {"expand_scales", [this](mfq_context *c) { return mfq_expand_scales(c, &filled.q, &scales_dst); },
         [this] { return bytes_of(scales); }},
    };
  }
};

const char *const schemes[] = {"mxfp8_e4m3",
                               "mxfp4_e2m1/group:32@0",
                               "nvfp4",
                               "e4m3fn/tensor/f32",
                               "int8n/channel@1/f32",
                               "uint4/group:32/f32/zp",
                               "mxfp6_e3m2/group:7@1",
                               "e2m1/block:4x4/ue8m0",
                               "brevitas:MXFloat8e4m3Weight",
                               "e5m2"};

/* Runs an operation in a new context whose allocator fails at its call `n`; returns how many calls it made. */
int run_failing(const char *isa, const Operation &operation, int n) {
  Allocator allocator;
  mfq_context *context = nullptr;
  EXPECT_EQ(create(&allocator, isa, &context), MFQ_OK) << mfq_last_error();
  const size_t live = allocator.live.size();
  const std::vector<uint8_t> before = operation.outputs();
  allocator.calls = 0;
  allocator.fails_at = n;
  const mfq_status status = operation.run(context);
  const int calls = allocator.calls;
  if (calls >= n) {
    EXPECT_TRUE(fails(status, MFQ_ERROR_OUT_OF_MEMORY, {"mfq_", "no memory for", "bytes"}));
    EXPECT_TRUE(operation.outputs() == before) << "outputs were touched";
    EXPECT_GE(allocator.live.size(), live);
    EXPECT_LE(allocator.live.size(), live + 1) << "more than the context's scratch memory";
  }
  allocator.fails_at = 0;
  EXPECT_EQ(operation.run(context), MFQ_OK) << "the context no longer works: " << mfq_last_error();
  allocator.calls = 0;
  const std::vector<uint8_t> first = operation.outputs();
  EXPECT_EQ(operation.run(context), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(allocator.calls, 0) << "a second equal call allocates";
  EXPECT_TRUE(operation.outputs() == first);
  mfq_context_destroy(context);
  EXPECT_TRUE(allocator.live.empty()) << "memory was leaked";
  return calls;
}

class Memory : public testing::TestWithParam<std::string> {};

TEST_P(Memory, FailsAtEveryCall) {
  int failures = 0;
  for (const char *text : schemes) {
    const size_t count = Fixture(text).operations().size();
    for (size_t k = 0; k < count; ++k)
      for (int n = 1;; ++n) {
        Fixture fixture(text); /* outputs are unwritten at first */
        const Operation operation = fixture.operations()[k];
        SCOPED_TRACE(std::string(text) + ", " + operation.name + ", call " + std::to_string(n));
        if (run_failing(GetParam().c_str(), operation, n) < n) break;
        ++failures;
      }
  }
  EXPECT_GE(failures, 10) << "no operation asked for memory";
}

TEST_P(Memory, ContextAndBuffers) {
  for (int n = 1; n <= 4; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    Allocator allocator;
    allocator.fails_at = n;
    mfq_context *context = nullptr;
    mfq_buffer *buffer = nullptr;
    const mfq_status made = create(&allocator, GetParam().c_str(), &context);
    if (made != MFQ_OK) {
      EXPECT_TRUE(fails(made, MFQ_ERROR_OUT_OF_MEMORY, {"mfq_context_create"}));
      EXPECT_EQ(context, nullptr);
      EXPECT_TRUE(allocator.live.empty());
      continue;
    }
    const mfq_status status = mfq_buffer_create(context, 1000, &buffer);
    if (status != MFQ_OK) {
      EXPECT_TRUE(fails(status, MFQ_ERROR_OUT_OF_MEMORY, {"mfq_buffer_create", "1000"}));
      EXPECT_EQ(buffer, nullptr);
      allocator.fails_at = 0;
      ASSERT_EQ(mfq_buffer_create(context, 1000, &buffer), MFQ_OK) << mfq_last_error();
    }
    EXPECT_EQ(reinterpret_cast<uintptr_t>(mfq_buffer_data(buffer)) % 256, 0u);
    mfq_buffer_destroy(buffer);
    mfq_context_destroy(context);
    EXPECT_TRUE(allocator.live.empty());
  }
}

/* Scratch memory serves smaller calls of every kind; only a larger one asks again. */
TEST_P(Memory, ScratchIsReused) {
  Allocator allocator;
  mfq_context *context = nullptr;
  ASSERT_EQ(create(&allocator, GetParam().c_str(), &context), MFQ_OK) << mfq_last_error();
  for (const char *text : schemes) {
    Fixture fixture(text);
    for (const Operation &operation : fixture.operations()) ASSERT_EQ(operation.run(context), MFQ_OK);
  }
  allocator.calls = 0;
  for (const char *text : schemes) {
    Fixture fixture(text);
    for (const Operation &operation : fixture.operations()) ASSERT_EQ(operation.run(context), MFQ_OK);
  }
  EXPECT_EQ(allocator.calls, 0);
  mfq_context_destroy(context);
  EXPECT_TRUE(allocator.live.empty());
}

INSTANTIATE_TEST_SUITE_P(Isa, Memory, testing::ValuesIn(mfq_test::every_isa()),
                         [](const auto &param) { return param.param; });

} // namespace
