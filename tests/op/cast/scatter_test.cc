// Sums of rows into the rows that indices name, against float32 additions one after the other.
#include "support/indexed.h"

namespace {

using namespace mfq_test;

void compare(mfq_context *context, const TableShape &s, mfq_dtype dtype, uint32_t seed) {
  const IndexList list(seed % 2 == 0 ? MFQ_INDEX_I64 : MFQ_INDEX_I32, drawn_indices(s.count, s.rows, seed));
  const Scattering how = {s.rows > 0 && seed % 3 == 0 ? (int64_t)(seed % (uint32_t)s.rows) : -1, seed / 2 % 2 == 0};
  const Shape rows = {(int64_t)list.values.size(), s.cols}, shape = {s.rows, s.cols};
  Operand dy(kDtypes[seed / 3 % 3], rows, matrix_strides(rows, seed / 2)),
      dweight(dtype, shape, matrix_strides(shape, seed / 8));
  dy.fill_awkward(seed);
  if (how.accumulate) dweight.fill_awkward(seed + 1);
  Operand want = dweight;
  expect_scattered(dy, list, how.padding, how.accumulate, &want);
  const mfq_tensor source = dy.here(), target = dweight.here();
  ASSERT_EQ(run_scatter(context, source, list.here(), target, how), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(dweight.bytes, want.bytes);
}

TEST(Scatter, EveryShapeAndType) {
  uint32_t seed = 0;
  for (const std::string &isa : every_isa()) {
    const Context context = make_context(isa.c_str());
    for (const TableShape &s : table_shapes())
      for (const mfq_dtype dtype : kDtypes)
        for (int i = 0; i < 4; ++i) {
          SCOPED_TRACE(isa + " " + std::to_string(s.rows) + " x " + std::to_string(s.cols) + " " +
                       mfq_dtype_name(dtype) + ", seed " + std::to_string(++seed));
          compare(context.get(), s, dtype, seed);
          if (HasFatalFailure()) return;
        }
  }
}

TEST(Scatter, AnyNumberOfThreads) {
  for (const int threads : {1, 2, 3, 7}) {
    const Context context = make_context(nullptr, threads);
    compare(context.get(), {61, 1500, 200}, MFQ_DTYPE_F32, 4);
    compare(context.get(), {300, 300, 90}, MFQ_DTYPE_BF16, 5);
  }
}

/* The order is that of positions, and the sum is rounded to the dtype once. */
TEST(Scatter, OrderAndRounding) {
  const Context context = make_context();
  const IndexList list(MFQ_INDEX_I32, {1, 0, 1, 1, 0});
  const std::vector<float> terms = {0x1p24f, 1, 1, -0x1p24f, 0x1p-9f};
  std::vector<float> sums(3, kUnwritten);
  std::vector<uint16_t> halves(3, 0xffff);
  const mfq_tensor dy = dense(terms, {5, 1});
  const mfq_tensor all = dense(sums, {3, 1}), rounded = dense(halves, MFQ_DTYPE_BF16, {3, 1});
  ASSERT_EQ(run_scatter(context.get(), dy, list.here(), all, {}), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(sums, (std::vector<float>{1 + 0x1p-9f, 0, 0})) << "2^24 + 1 is 2^24";
  ASSERT_EQ(run_scatter(context.get(), dy, list.here(), rounded, {}), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(halves, (std::vector<uint16_t>{0x3f80, 0, 0}));
  /* From what is there on; 1.0 in the row of padding, and what no index names, stay. */
  sums = {0x1p-9f, 1.0f, -0.0f};
  const IndexList two(MFQ_INDEX_I32, {0, 1, 0, 1, 0});
  ASSERT_EQ(run_scatter(context.get(), dy, two.here(), all, {1, true}), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(sums, (std::vector<float>{0x1p24f, 1.0f, -0.0f}));
  EXPECT_TRUE(std::signbit(sums[2]));
  /* The row of padding becomes 0 otherwise. */
  ASSERT_EQ(run_scatter(context.get(), dy, two.here(), all, {1, false}), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(sums[1], 0.0f);
}

/* Rows of one read are the gradient of the sum of their products with anything: scatter is the transpose of gather. */
TEST(Scatter, IsTheTransposeOfGather) {
  const Context context = make_context();
  const IndexList list(MFQ_INDEX_I64, drawn_indices(40, 9, 3));
  std::vector<float> table(9 * 5), y(40 * 5, kUnwritten), dy(40 * 5), dweight(9 * 5, kUnwritten);
  for (size_t i = 0; i < table.size(); ++i) table[i] = (float)(i * 7 % 19) - 9;
  for (size_t i = 0; i < dy.size(); ++i) dy[i] = (float)(i * 5 % 23) - 11;
  const mfq_tensor of_table = dense(table, {9, 5}), of_y = dense(y, {40, 5}), of_dy = dense(dy, {40, 5}),
                   of_dweight = dense(dweight, {9, 5});
  ASSERT_EQ(run_gather(context.get(), &of_table, nullptr, list.here(), of_y), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(run_scatter(context.get(), of_dy, list.here(), of_dweight, {}), MFQ_OK) << mfq_last_error();
  double forward = 0, backward = 0;
  for (size_t i = 0; i < y.size(); ++i) forward += (double)y[i] * dy[i];
  for (size_t i = 0; i < table.size(); ++i) backward += (double)table[i] * dweight[i];
  EXPECT_EQ(forward, backward);
}

} // namespace
