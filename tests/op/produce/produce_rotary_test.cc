// Rotary position embedding: exact products and sums, both orders of pairs, positions, and the way back.
#include "support/produced.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

struct RotaryCase {
  int64_t batch, tokens, heads, pairs;
  bool interleaved, inverse;
  int positions; /* 0: none; 1: of tokens; 2: of all tokens */
  uint32_t seed;
};

constexpr int64_t kPositions = 50;

template <typename Check> void for_rotations(Check check) {
  const int64_t batches[] = {1, 3}, tokens[] = {1, 0, 5, 20}, heads[] = {1, 3}, pairs[] = {1, 0, 4, 33};
  uint32_t seed = 0;
  sample({2, 4, 2, 4, 2, 2, 3}, 60, [&](const std::vector<size_t> &at) {
    const RotaryCase c = {batches[at[0]], tokens[at[1]], heads[at[2]], pairs[at[3]],
                          at[4] != 0,     at[5] != 0,    (int)at[6],   ++seed};
    SCOPED_TRACE(text_of({c.batch, c.tokens, c.heads, 2 * c.pairs}) + ", interleaved " + std::to_string(c.interleaved) +
                 ", inverse " + std::to_string(c.inverse) + ", positions " + std::to_string(c.positions));
    if (!testing::Test::HasFatalFailure()) check(c);
  });
}

/* Angles of each position. */
struct Tables {
  Operand cosines, sines;
  explicit Tables(int64_t pairs) : cosines(MFQ_DTYPE_F32, {kPositions, pairs}), sines(cosines) {
    cosines.fill([&](size_t i) { return float_bits(std::cos(0.1f * (float)i)); });
    sines.fill([&](size_t i) { return float_bits(std::sin(0.1f * (float)i)); });
  }
};

mfq_rotating describe(const RotaryCase &c, const mfq_tensor at[4]) {
  mfq_rotating r;
  mfq_rotating_init(&r);
  r.x = &at[0];
  r.cosines = &at[1];
  r.sines = &at[2];
  r.y = &at[3];
  r.interleaved = c.interleaved;
  r.inverse = c.inverse;
  return r;
}

/* Of what the elements of x are, product by product. */
std::vector<float> expect_rotated(const RotaryCase &c, const Operand &x, const Tables &t, const IndexList &list) {
  const size_t d = (size_t)(2 * c.pairs);
  std::vector<float> y(count_of(x.shape));
  for (size_t i = 0; d > 0 && i < y.size(); ++i) {
    const size_t row = i / d, j = i % d, token = row / (size_t)c.heads;
    const size_t unit = c.interleaved ? j / 2 : j % (size_t)c.pairs;
    const bool is_second = c.interleaved ? j % 2 != 0 : j >= (size_t)c.pairs;
    const size_t first = row * d + (c.interleaved ? 2 * unit : unit);
    const auto a = (float)number_at(x, first);
    const auto b = (float)number_at(x, first + (c.interleaved ? 1 : (size_t)c.pairs));
    const size_t position =
        c.positions != 0 ? (size_t)list.values[token % list.values.size()] : token % (size_t)c.tokens;
    const auto cosine = (float)number_at(t.cosines, position * (size_t)c.pairs + unit);
    const auto sine = (float)((c.inverse ? -1 : 1) * number_at(t.sines, position * (size_t)c.pairs + unit));
    /* In double products are exact, and rounded once; so are the sums of two. */
    const auto with_cosine = (float)((double)(is_second ? b : a) * cosine);
    const auto with_sine = (float)((double)(is_second ? a : b) * sine);
    y[i] = (float)(is_second ? (double)with_cosine + with_sine : (double)with_cosine - with_sine);
  }
  return y;
}

TEST(ProduceRotary, ExactBits) {
  const Context context = make_context();
  for_rotations([&](const RotaryCase &c) {
    const Shape shape = {c.batch, c.tokens, c.heads, 2 * c.pairs};
    const Shape strides = {3 * c.tokens * c.heads * 2 * c.pairs, 3 * c.heads * 2 * c.pairs, 2 * c.pairs, 1};
    for (const mfq_dtype dtype : kDtypes) {
      Operand x(dtype, shape, c.seed % 2 == 0 ? strides : dense_strides(shape)), y(dtype, shape);
      Tables tables(c.pairs);
      fill_drawn(&x, c.seed);
      const int64_t count = c.positions == 1 ? c.tokens : c.positions == 2 ? c.batch * c.tokens : 0;
      const IndexList list(MFQ_INDEX_I32, drawn_indices((size_t)count, kPositions, c.seed));
      const std::vector<float> want = expect_rotated(c, x, tables, list);
      const mfq_tensor at[] = {x.here(), tables.cosines.here(), tables.sines.here(), y.here()};
      mfq_rotating r = describe(c, at);
      if (count > 0) r.positions = list.here();
      ASSERT_EQ(mfq_rotary(context.get(), &r), MFQ_OK) << mfq_last_error();
      Operand rounded(dtype, shape);
      rounded.fill([&](size_t i) { return nearest_bits(dtype, want[i]); });
      ASSERT_EQ(y.bytes, rounded.bytes);
      r.y = &at[0];
      ASSERT_EQ(mfq_rotary(context.get(), &r), MFQ_OK) << mfq_last_error();
      for (size_t i = 0; i < want.size(); ++i) ASSERT_EQ(number_at(x, i), number_at(y, i)) << i;
    }
  });
}

TEST(ProduceRotary, PositionsOutOfRange) {
  const Context context = make_context();
  const RotaryCase c = {1, 3, 2, 2, false, false, 1, 1};
  Operand x(MFQ_DTYPE_F32, {3, 2, 4}), y(x);
  Tables tables(2);
  fill_drawn(&x, 1);
  const mfq_tensor at[] = {x.here(), tables.cosines.here(), tables.sines.here(), y.here()};
  mfq_rotating r = describe(c, at);
  for (const int64_t bad : {kPositions, (int64_t)-1}) {
    const IndexList list(MFQ_INDEX_I64, {0, 1, bad});
    r.positions = list.here();
    EXPECT_EQ(mfq_rotary(context.get(), &r), MFQ_ERROR_INVALID_ARGUMENT);
    EXPECT_EQ(mfq_last_error(), "mfq_rotary: rotating->positions: " + std::to_string(bad) +
                                    ", at position 2, is out of range; there are 50, counted from 0");
  }
}

} // namespace
