/* Packing against a stream written bit by bit, and the 128x4 order of scales against a walk through it. */
#include <set>

#include <gtest/gtest.h>

#include <mfq/num/pack.h>

#include "support/f32_inputs.h"

namespace {

/* Bit k of the stream is bit k mod bits of code k / bits. */
std::vector<uint8_t> bit_by_bit(const std::vector<uint32_t> &codes, int bits) {
  std::vector<uint8_t> stream((codes.size() * (size_t)bits + 7) / 8);
  for (size_t k = 0; k < codes.size() * (size_t)bits; ++k)
    if (codes[k / (size_t)bits] >> (k % (size_t)bits) & 1) stream[k / 8] |= (uint8_t)(1u << (k % 8));
  return stream;
}

uint64_t pack_by_shifts(uint64_t bytes, int bits) {
  uint64_t stream = 0;
  for (int i = 0; i < 8; ++i) stream |= ((bytes >> (8 * i)) & 255) << (bits * i);
  return stream;
}

class Pack : public testing::TestWithParam<int> {};

TEST_P(Pack, EveryPairOfCodesInEveryPairOfPlaces) {
  const int bits = GetParam();
  const uint64_t codes = 1u << bits;
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < i; ++j)
      for (uint64_t a = 0; a < codes; ++a)
        for (uint64_t b = 0; b < codes; ++b) {
          const uint64_t bytes = a << (8 * i) | b << (8 * j), stream = mfqn_pack8(bytes, bits);
          ASSERT_EQ(stream, pack_by_shifts(bytes, bits)) << a << " at " << i << ", " << b << " at " << j;
          ASSERT_EQ(mfqn_unpack8(stream, bits), bytes) << a << " at " << i << ", " << b << " at " << j;
        }
}

TEST_P(Pack, RandomOctets) {
  const int bits = GetParam();
  inputs::Random random(41);
  const uint64_t keep = ((1ull << bits) - 1) * 0x0101010101010101ull;
  for (int i = 0; i < 100000; ++i) {
    const uint64_t bytes = ((uint64_t)random.word() << 32 | random.word()) & keep;
    ASSERT_EQ(mfqn_pack8(bytes, bits), pack_by_shifts(bytes, bits)) << bytes;
    ASSERT_EQ(mfqn_unpack8(mfqn_pack8(bytes, bits), bits), bytes) << bytes;
  }
}

/* Bits beyond the stream's 8 * bits are someone else's. */
TEST_P(Pack, UnpackIgnoresWhatFollows) {
  const int bits = GetParam();
  inputs::Random random(42);
  const uint64_t used = bits == 8 ? UINT64_MAX : (1ull << (8 * bits)) - 1; /* 8 codes of 8 bits fill the word */
  for (int i = 0; i < 10000; ++i) {
    const uint64_t stream = (uint64_t)random.word() << 32 | random.word();
    ASSERT_EQ(mfqn_unpack8(stream, bits), mfqn_unpack8(stream & used, bits));
  }
}

TEST_P(Pack, RowsOfCodes) {
  const int bits = GetParam();
  inputs::Random random(43);
  for (size_t length = 0; length <= 40; ++length) {
    std::vector<uint32_t> codes(length);
    for (uint32_t &code : codes) code = random.word() & ((1u << bits) - 1);
    const std::vector<uint8_t> want = bit_by_bit(codes, bits);
    std::vector<uint8_t> row(want.size() + 1, 0);
    row.back() = 0xa5;
    for (size_t i = 0; i < length; ++i) mfqn_put_code(row.data(), (int64_t)i, bits, codes[i]);
    ASSERT_TRUE(std::equal(want.begin(), want.end(), row.begin())) << bits << " bits, " << length << " codes";
    ASSERT_EQ(row.back(), 0xa5) << "a byte beyond the row was written";
    for (size_t i = 0; i < length; ++i) ASSERT_EQ(mfqn_get_code(want.data(), (int64_t)i, bits), codes[i]) << i;
  }
}

TEST_P(Pack, RowsAgreeWithOctets) {
  const int bits = GetParam();
  inputs::Random random(44);
  for (int n = 0; n < 1000; ++n) {
    uint64_t bytes = 0, stream = 0;
    uint8_t row[8] = {};
    for (int i = 0; i < 8; ++i) {
      const uint32_t code = random.word() & ((1u << bits) - 1);
      bytes |= (uint64_t)code << (8 * i);
      mfqn_put_code(row, i, bits, code);
    }
    for (int i = 0; i < bits; ++i) stream |= (uint64_t)row[i] << (8 * i);
    ASSERT_EQ(stream, mfqn_pack8(bytes, bits));
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, Pack, testing::Range(1, 9));

TEST(PackNibbles, LowFirst) {
  EXPECT_EQ(mfqn_pack8(0x0807060504030201ull, 4), 0x87654321u);
  uint8_t byte = 0;
  mfqn_put_code(&byte, 0, 4, 0x3);
  mfqn_put_code(&byte, 1, 4, 0xa);
  EXPECT_EQ(byte, 0xa3);
}

/* Four codes of 6 bits in three bytes: all 2^24 of them. */
TEST(PackSixBits, EveryQuad) {
  for (uint64_t quad = 0; quad < 1u << 24; ++quad) {
    const uint64_t bytes = (quad & 63) | (quad >> 6 & 63) << 8 | (quad >> 12 & 63) << 16 | (quad >> 18) << 24;
    const uint64_t both = bytes | bytes << 32;
    if (mfqn_pack8(both, 6) != (quad | quad << 24)) FAIL() << quad;
    if (mfqn_unpack8(quad | quad << 24, 6) != both) FAIL() << quad;
  }
}

/* Tiles of 128 x 4 in row-major order; in a tile, rows 0 ... 31, of each the rows +0, +32, +64, +96, of each the four
 * columns. */
TEST(Scales128x4, IsTheWalkThroughTheTiles) {
  for (int64_t rows : {1, 31, 128, 129, 300})
    for (int64_t cols : {1, 3, 4, 5, 17}) {
      int64_t offset = 0;
      for (int64_t tile_row = 0; tile_row < (rows + 127) / 128; ++tile_row)
        for (int64_t tile_col = 0; tile_col < (cols + 3) / 4; ++tile_col)
          for (int64_t low = 0; low < 32; ++low)
            for (int64_t high = 0; high < 4; ++high)
              for (int64_t col = 0; col < 4; ++col)
                ASSERT_EQ(mfqn_scale_128x4(tile_row * 128 + high * 32 + low, tile_col * 4 + col, cols), offset++)
                    << rows << " x " << cols;
    }
}

TEST(Scales128x4, FormulaAndBijection) {
  const int64_t rows = 260, cols = 11, tiles = (cols + 3) / 4;
  std::set<int64_t> seen;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t want = ((r / 128) * tiles + c / 4) * 512 + (r % 32) * 16 + ((r % 128) / 32) * 4 + c % 4;
      ASSERT_EQ(mfqn_scale_128x4(r, c, cols), want);
      ASSERT_TRUE(seen.insert(want).second);
      ASSERT_LT(want, (rows + 127) / 128 * tiles * 512);
    }
  EXPECT_EQ(mfqn_scale_128x4(int64_t{1} << 32, 0, 4), (int64_t{1} << 25) * 512) << "offsets are 64-bit";
}

} // namespace
