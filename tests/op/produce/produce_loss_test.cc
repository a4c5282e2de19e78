// The cross-entropy of rows of logits and its gradient against double.
#include "support/produced.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

struct LossCase {
  int64_t rows, classes;
  LossOracle oracle;
  mfq_index_type type;
  uint32_t seed;
  std::vector<int64_t> targets() const {
    std::vector<int64_t> list = drawn_indices((size_t)rows, classes, seed);
    for (size_t i = 0; i < list.size(); i += 3) list[i] = oracle.ignored;
    return list;
  }
};

template <typename Check> void for_losses(Check check) {
  const int64_t rows[] = {2, 0, 5, 40}, classes[] = {1, 2, 33, 1000};
  const double smoothings[] = {0.0, 0.125, 1.0};
  uint32_t seed = 0;
  sample({4, 4, 3, 2, 2}, 40, [&](const std::vector<size_t> &at) {
    const LossOracle oracle = {at[3] != 0 ? -100 : -1, smoothings[at[2]], at[4] != 0 ? 1.0 : 1024.0};
    const LossCase c = {rows[at[0]], classes[at[1]], oracle, at[3] != 0 ? MFQ_INDEX_I32 : MFQ_INDEX_I64, ++seed};
    SCOPED_TRACE(std::to_string(c.rows) + " x " + std::to_string(c.classes) + ", smoothing " +
                 std::to_string(oracle.smoothing));
    if (!testing::Test::HasFatalFailure()) check(c);
  });
}

mfq_cross_entropy_loss describe(const LossCase &c, const mfq_tensor *logits, const mfq_indices &targets) {
  mfq_cross_entropy_loss l;
  mfq_cross_entropy_loss_init(&l);
  l.logits = logits;
  l.targets = targets;
  l.ignored = c.oracle.ignored;
  l.smoothing = (float)c.oracle.smoothing;
  l.gradient_scale = (float)c.oracle.gradient_scale;
  return l;
}

TEST(ProduceLoss, LossesAndGradients) {
  const Context context = make_context();
  for_losses([&](const LossCase &c) {
    Operand x(MFQ_DTYPE_F32, {c.rows, c.classes}), d(x), losses(MFQ_DTYPE_F32, {c.rows}), mean(MFQ_DTYPE_F32, {1});
    fill_drawn(&x, c.seed, 4.0f);
    const IndexList list(c.type, c.targets());
    const mfq_tensor at[] = {x.here(), d.here(), losses.here(), mean.here()};
    mfq_cross_entropy_loss l = describe(c, &at[0], list.here());
    l.dlogits.plain = &at[1];
    l.losses = &at[2];
    l.loss = &at[3];
    ASSERT_EQ(mfq_cross_entropy(context.get(), &l), MFQ_OK) << mfq_last_error();
    const Matrix m = matrix_of(x);
    const Expected want = c.oracle.losses(m, list.values);
    const double steps = roundings((size_t)c.classes, 10);
    expect_close(losses, want, steps);
    expect_close(d, c.oracle.gradient(m, list.values), steps);
    Expected average(1, 1);
    for (size_t i = 0; i < m.rows; ++i) {
      average.value.at(0, 0) += want.value.at(i, 0);
      average.size.at(0, 0) += want.size.at(i, 0);
    }
    const double n = c.oracle.counted(list.values);
    average.put(0, 0, average.value.at(0, 0) / n, average.size.at(0, 0) / n);
    expect_close(mean, average, steps + roundings(m.rows, 2));
  });
}

TEST(ProduceLoss, GradientsAreDifferences) {
  for (const double smoothing : {0.0, 0.3}) {
    const LossOracle oracle = {-100, smoothing, 1.0};
    const std::vector<int64_t> targets = {2, -100, 0};
    const std::vector<float> drawn = drawn_numbers(15, 4);
    Matrix x(3, 5);
    std::copy(drawn.begin(), drawn.end(), x.numbers.begin());
    const std::vector<double> want = differences(x.numbers, [&](const std::vector<double> &at) {
      Matrix m = x;
      m.numbers = at;
      const Expected losses = oracle.losses(m, targets);
      return (losses.value.at(0, 0) + losses.value.at(2, 0)) / 2;
    });
    const Expected d = oracle.gradient(x, targets);
    for (size_t i = 0; i < 15; ++i) EXPECT_NEAR(d.value.numbers[i], want[i], 1e-9);
  }
}

/* Rows that are ignored are 0 whatever they hold; others keep what is no number to themselves. */
TEST(ProduceLoss, IgnoredRowsAndNotANumber) {
  const Context context = make_context();
  const float inf = HUGE_VALF, rows[5][3] = {{NAN, inf, 1}, {1, NAN, 2}, {inf, 1, 2}, {-inf, 0, 0}, {0, -inf, -inf}};
  Operand x(MFQ_DTYPE_F32, {5, 3}), d(x), losses(MFQ_DTYPE_F32, {5}), mean(MFQ_DTYPE_F32, {});
  x.fill([&](size_t i) { return float_bits(rows[i / 3][i % 3]); });
  const IndexList list(MFQ_INDEX_I64, {-100, 0, 0, 0, 0});
  const mfq_tensor at[] = {x.here(), d.here(), losses.here(), mean.here()};
  const LossCase c = {5, 3, {-100, 0.0, 4.0}, MFQ_INDEX_I64, 0};
  mfq_cross_entropy_loss l = describe(c, &at[0], list.here());
  l.dlogits.plain = &at[1];
  l.losses = &at[2];
  l.loss = &at[3];
  ASSERT_EQ(mfq_cross_entropy(context.get(), &l), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(number_at(losses, 0), 0.0);
  EXPECT_TRUE(std::isnan(number_at(losses, 1)));
  EXPECT_TRUE(std::isnan(number_at(losses, 2)));
  EXPECT_EQ(number_at(losses, 3), inf);
  EXPECT_EQ(number_at(losses, 4), 0.0);
  EXPECT_TRUE(std::isnan(number_at(mean, 0)));
  const float want[] = {0, 0, 0, NAN, NAN, NAN, NAN, NAN, NAN, -1, 0.5f, 0.5f, 0, 0, 0};
  for (size_t i = 0; i < 15; ++i)
    if (std::isnan(want[i]))
      EXPECT_TRUE(std::isnan(number_at(d, i))) << i;
    else
      EXPECT_EQ(number_at(d, i), want[i]) << i;
}

/* No row counts: 0 / 0, as in torch; gradients are 0. */
TEST(ProduceLoss, NothingCounts) {
  const Context context = make_context();
  Operand x(MFQ_DTYPE_F32, {2, 3}), d(x), mean(MFQ_DTYPE_F32, {1});
  fill_drawn(&x, 1);
  const IndexList list(MFQ_INDEX_I32, {7, 7});
  const mfq_tensor at[] = {x.here(), d.here(), mean.here()};
  const LossCase c = {2, 3, {7, 0.0, 1.0}, MFQ_INDEX_I32, 0};
  mfq_cross_entropy_loss l = describe(c, &at[0], list.here());
  l.dlogits.plain = &at[1];
  l.loss = &at[2];
  ASSERT_EQ(mfq_cross_entropy(context.get(), &l), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(std::isnan(number_at(mean, 0)));
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(number_at(d, i), 0.0);
}

TEST(ProduceLoss, TargetsOutOfRange) {
  const Context context = make_context();
  Operand x(MFQ_DTYPE_F32, {3, 4}), d(x);
  fill_drawn(&x, 1);
  const mfq_tensor at[] = {x.here(), d.here()};
  const std::vector<uint8_t> before = d.bytes;
  for (const int64_t bad : {(int64_t)4, (int64_t)-1, INT64_MAX}) {
    const IndexList list(MFQ_INDEX_I64, {0, bad, 1});
    const LossCase c = {3, 4, {-100, 0.0, 1.0}, MFQ_INDEX_I64, 0};
    mfq_cross_entropy_loss l = describe(c, &at[0], list.here());
    l.dlogits.plain = &at[1];
    EXPECT_EQ(mfq_cross_entropy(context.get(), &l), MFQ_ERROR_INVALID_ARGUMENT);
    EXPECT_EQ(mfq_last_error(), "mfq_cross_entropy: loss->targets: " + std::to_string(bad) +
                                    ", at position 1, is out of range; there are 4, counted from 0");
  }
  EXPECT_EQ(d.bytes, before);
}

} // namespace
