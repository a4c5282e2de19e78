/* The runs of a reproducible convolution, element by element. */
#include <gtest/gtest.h>

#include <mfq/num/conv_run.h>

namespace {

/* A line as its definition says it. */
struct Line {
  mfqn_conv_line line;
  int64_t index(int64_t i) const { return line.first + i * line.step; }
  bool is_there(int64_t i) const { return index(i) >= 0 && index(i) < line.size; }
  int64_t scale(int64_t i) const { return line.group == 0 ? 0 : index(i) / line.group; }
};

Line line(int64_t first, int64_t step, int64_t size, int64_t group) {
  return Line{mfqn_conv_line{first, step, size, group}};
}

/* Whether element i + 1 continues the run of element i. */
bool goes_on(const Line &a, const Line &b, int64_t i) {
  return i / 32 == (i + 1) / 32 && a.scale(i) == a.scale(i + 1) && b.scale(i) == b.scale(i + 1);
}

TEST(ConvRun, SpanIsWhatLiesInTheOperand) {
  for (int64_t first = -9; first <= 9; ++first)
    for (int64_t step = 1; step <= 4; ++step)
      for (int64_t size = 0; size <= 9; ++size)
        for (int64_t count = 0; count <= 8; ++count) {
          const Line x = line(first, step, size, 0);
          const mfqn_conv_span span = mfqn_conv_line_span(x.line, count);
          ASSERT_LE(span.begin, span.end);
          for (int64_t i = 0; i < count; ++i)
            ASSERT_EQ(x.is_there(i), i >= span.begin && i < span.end)
                << "first " << first << " step " << step << " size " << size << " count " << count << " element " << i;
          ASSERT_LE(span.end, count);
        }
}

TEST(ConvRun, RunsEndAtBlocksAndScales) {
  for (const int64_t first : {0, 1, 5, 31, 40})
    for (const int64_t step : {1, 2, 3, 40})
      for (const int64_t group_a : {0, 1, 3, 16, 32, 48})
        for (const int64_t group_b : {0, 1, 5, 16, 64})
          for (const int64_t end : {1, 7, 32, 33, 100}) {
            const Line a = line(first, step, 1 << 20, group_a), b = line(0, 1, 1 << 20, group_b);
            for (int64_t i = 0; i < end; ++i) {
              int64_t want = i + 1;
              while (want < end && goes_on(a, b, want - 1)) ++want;
              ASSERT_EQ(mfqn_conv_run_end(i, end, a.line, b.line), want)
                  << "first " << first << " step " << step << " groups " << group_a << ", " << group_b << " from " << i;
              ASSERT_EQ(mfqn_conv_run_end(i, end, b.line, a.line), want);
            }
          }
}

TEST(ConvRun, RunsBeginBehindThePadding) {
  const Line x = line(-5, 2, 100, 4), y = line(0, 1, 60, 0);
  const mfqn_conv_span span = mfqn_conv_line_span(x.line, 60);
  EXPECT_EQ(span.begin, 3);                                              /* index 1 */
  EXPECT_EQ(span.end, 53);                                               /* index 99 */
  EXPECT_EQ(mfqn_conv_run_end(span.begin, span.end, x.line, y.line), 5); /* indices 1, 3 | 5 */
  EXPECT_EQ(mfqn_conv_run_end(31, span.end, x.line, y.line), 32);        /* index 57, 59 */
}

} // namespace
