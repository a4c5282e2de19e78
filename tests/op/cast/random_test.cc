// Stochastic rounding: each element rounds by its own bits of Philox 4x32-7, which depend on seed, offset and logical
// index and on nothing else.
#include "support/model.h"
#include "support/philox.h"

namespace {

using mfq_test::Block;
using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::Model;
using mfq_test::parse;
using mfq_test::philox;
using mfq_test::Quantized;
using mfq_test::Shape;

/* Known answers of Random123 1.14, kat_vectors. */
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Block{0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48}));
  const uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}), (Block{0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a}));
}

/* Half i mod 8, low ones first, of the block with counter (i / 8, offset) under the key seed, and the bit below set. */
std::vector<uint32_t> words(size_t n, uint64_t seed, uint64_t offset) {
  std::vector<uint32_t> all;
  for (uint64_t i = 0; i < n; ++i) {
    const uint64_t block = i / 8;
    const uint32_t word = philox({(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)offset, (uint32_t)(offset >> 32)},
                                 {(uint32_t)seed, (uint32_t)(seed >> 32)})[i % 8 / 2];
    all.push_back((i % 2 ? word >> 16 : word & 0xffff) << 16 | 0x8000);
  }
  return all;
}

struct Key {
  uint64_t seed, offset;
};

const Key keys[] = {{0, 0}, {1, 0}, {0, 1}, {0x123456789abcdef0, 0xfedcba9876543210}, {uint64_t{1} << 32, 7}};

const char *const schemes[] = {
    "mxfp8_e4m3/round:stochastic",           "mxfp4_e2m1/group:16@0/round:stochastic",
    "mxfp6_e3m2/group:8@1/round:stochastic", "mxint8/round:stochastic",
    "e4m3fn/f32/round:stochastic",           "int8n/channel@1/f32/round:stochastic",
    "uint4/group:8/f32/zp/round:stochastic", "e5m2/round:stochastic",
    "e2m1/block:2x3/ue8m0/round:stochastic", "e5m2/nosat/round:stochastic",
};

const Shape shapes[] = {{1}, {77}, {9, 37}, {3, 8, 5}, {64, 64}};

bool has_axis(const mfq_scheme &scheme, const Shape &shape) {
  return scheme.axis == MFQ_AXIS_AUTO || scheme.axis < (int)shape.size();
}

TEST(Random, EachElementHasItsBits) {
  for (const char *isa : {(const char *)nullptr, "reference"}) {
    const Context context = make_context(isa);
    for (const char *text : schemes)
      for (const Shape &shape : shapes)
        for (const Key &key : keys) {
          SCOPED_TRACE(std::string(text) + testing::PrintToString(shape) + ", seed " + std::to_string(key.seed));
          const mfq_scheme scheme = parse(text);
          if (!has_axis(scheme, shape)) continue;
          const size_t n = mfq_test::count_of(shape);
          const std::vector<float> x = mfq_test::awkward_values(n, 9, true);
          ASSERT_EQ(mfq_context_set_seed(context.get(), key.seed, key.offset), MFQ_OK);
          Quantized t(scheme, shape);
          mfq_test::quantize(context.get(), x, &t);
          const Model model(scheme, shape, x, words(n, key.seed, key.offset));
          ASSERT_TRUE(model.agrees(t));
          EXPECT_TRUE(mfq_test::same_floats(mfq_test::faked(context.get(), scheme, x, shape), model.values));
        }
  }
}

TEST(Random, NothingElseMatters) {
  const std::vector<float> x = mfq_test::awkward_values(64 * 96, 10);
  std::vector<float> turned(x.size());
  for (size_t i = 0; i < x.size(); ++i) turned[i % 96 * 64 + i / 96] = x[i];
  const mfq_tensor dense = mfq_test::dense(x, {64, 96});
  const mfq_tensor transposed = mfq_test::strided(turned.data(), MFQ_DTYPE_F32, {64, 96}, {1, 64});
  const mfq_layout byte_rows = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16};
  const mfq_layout group_last = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
  const mfq_scheme row = parse("mxfp4_e2m1/group:32@1/round:stochastic");
  const mfq_scheme col = parse("mxfp4_e2m1/group:32@0/round:stochastic");
  Quantized want_row(row, {64, 96}), want_col(col, {64, 96});
  for (const std::string &isa : mfq_test::every_isa())
    for (const int threads : {1, 2, 5})
      for (const mfq_tensor *src : {&dense, &transposed}) {
        SCOPED_TRACE(isa + ", " + std::to_string(threads) + " threads");
        const Context context = make_context(isa.c_str(), threads);
        ASSERT_EQ(mfq_context_set_seed(context.get(), 99, 3), MFQ_OK);
        if (want_row.codes[0] == mfq_test::kPoison && want_row.codes[1] == mfq_test::kPoison) {
          ASSERT_EQ(mfq_quantize(context.get(), src, &want_row.q, nullptr), MFQ_OK) << mfq_last_error();
          ASSERT_EQ(mfq_quantize(context.get(), src, &want_col.q, nullptr), MFQ_OK) << mfq_last_error();
        }
        Quantized r(row, {64, 96}, &byte_rows), c(col, {64, 96}, &group_last);
        Quantized plain_r(row, {64, 96}), plain_c(col, {64, 96});
        ASSERT_EQ(mfq_quantize(context.get(), src, &r.q, &c.q), MFQ_OK) << mfq_last_error();
        ASSERT_EQ(mfq_repack(context.get(), &r.q, &plain_r.q), MFQ_OK) << mfq_last_error();
        ASSERT_EQ(mfq_repack(context.get(), &c.q, &plain_c.q), MFQ_OK) << mfq_last_error();
        EXPECT_TRUE(plain_r.same_bytes(want_row)) << plain_r.difference(want_row);
        EXPECT_TRUE(plain_c.same_bytes(want_col)) << plain_c.difference(want_col);
      }
}

TEST(Random, SeedAndOffsetMatter) {
  const Context context = make_context();
  const std::vector<float> x(1000, 1.03f);
  const mfq_scheme scheme = parse("e4m3fn/round:stochastic");
  std::vector<std::vector<uint8_t>> seen;
  for (const Key &key : keys) {
    ASSERT_EQ(mfq_context_set_seed(context.get(), key.seed, key.offset), MFQ_OK);
    Quantized t(scheme, {1000});
    mfq_test::quantize(context.get(), x, &t);
    for (const std::vector<uint8_t> &other : seen) EXPECT_NE(t.codes, other);
    seen.push_back(t.codes);
  }
}

/* What lies on the grid stays; what does not goes up as often as it is near. */
TEST(Random, Frequencies) {
  const Context context = make_context();
  const mfq_scheme scheme = parse("e4m3fn/round:stochastic");
  const size_t n = 40000;
  for (const double part : {0.0, 0.125, 0.5, 0.9}) {
    const std::vector<float> x(n, (float)(1 + part / 8));
    double up = 0;
    for (const float y : mfq_test::faked(context.get(), scheme, x, {(int64_t)n})) {
      ASSERT_TRUE(y == 1.0f || y == 1.125f);
      up += y == 1.125f;
    }
    /* Five standard deviations of a binomial distribution. */
    EXPECT_NEAR(up / n, part, 5 * std::sqrt(part * (1 - part) / n) + 1e-9);
  }
}

} // namespace
