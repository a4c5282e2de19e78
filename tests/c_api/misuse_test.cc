// Bad arguments of quantize, dequantize, repack, expand: exact status, the argument and the reason in the sentence,
// outputs untouched.
#include <mfq/mfq.h>

#include <cstring>
#include <string>
#include <vector>

#include "support/misuse.h"

namespace {

using namespace misuse;

TEST_F(Misuse, Quantize) {
  std::vector<float> data(4 * 64 + 8, 0.5f);
  const mfq_tensor src = dense(data.data(), MFQ_DTYPE_F32, {4, 64});
  Owned row(scheme_text, {4, 64}), col("uint8/group:2@0/f32/zp", {4, 64});
  const auto before_row = row.content(), before_col = col.content();
  EXPECT_TRUE(fails(mfq_quantize(nullptr, &src, &row.q, &col.q), invalid, {"mfq_quantize: context is NULL"}));
  EXPECT_TRUE(fails(mfq_quantize(context, nullptr, &row.q, &col.q), invalid, {"mfq_quantize: src is NULL"}));
  EXPECT_TRUE(fails(mfq_quantize(context, &src, nullptr, nullptr), invalid, {"row and col are both NULL"}));
  expect_refused(
      bad_tensors(false), src,
      "mfq_quantize: ", [&](const mfq_tensor *t) { return mfq_quantize(context, t, &row.q, &col.q); });
  expect_refused(
      bad_qtensors(), row.q,
      "mfq_quantize: row: ", [&](const mfq_qtensor *q) { return mfq_quantize(context, &src, q, &col.q); });
  expect_refused(bad_qtensors(), row.q,
                 "mfq_quantize: col: ", [&](const mfq_qtensor *q) { return mfq_quantize(context, &src, nullptr, q); });
  EXPECT_EQ(row.content(), before_row);
  EXPECT_EQ(col.content(), before_col);
  ASSERT_EQ(mfq_quantize(context, &src, &row.q, &col.q), MFQ_OK) << mfq_last_error();
  mfq_tensor broadcast = src;
  broadcast.strides[0] = 0;
  EXPECT_EQ(mfq_quantize(context, &broadcast, &row.q, nullptr), MFQ_OK) << mfq_last_error();
}

TEST_F(Misuse, QuantizeOverlap) {
  std::vector<float> data(4 * 64, 0.5f);
  const mfq_tensor src = dense(data.data(), MFQ_DTYPE_F32, {4, 64});
  Owned row(scheme_text, {4, 64}), col("uint8/group:2@0/f32/zp", {4, 64});
  auto *memory = reinterpret_cast<char *>(data.data());
  struct Both {
    mfq_qtensor row, col;
  };
  const auto at = [](void *p, int64_t bytes) { return static_cast<char *>(p) + bytes; };
  const std::vector<Bad<Both>> rows = {
      {[&](Both *b) { b->row.codes = at(memory, 1023); }, invalid, "src.data and row.codes overlap"},
      {[&](Both *b) { b->row.codes = memory; }, invalid, "src.data and row.codes overlap"},
      {[&](Both *b) { b->row.scales = at(memory, 1020); }, invalid, "src.data and row.scales overlap"},
      {[&](Both *b) { b->col.zero_points = at(memory, 5); }, invalid, "src.data and col.zero_points overlap"},
      {[&](Both *b) { b->col.codes = at(b->row.codes, 255); }, invalid, "row.codes and col.codes overlap"},
      {[&](Both *b) { b->col.scales = b->row.scales; }, invalid, "row.scales and col.scales overlap"},
      {[&](Both *b) { b->row.zero_points = at(b->row.codes, 7); }, invalid, "row.codes and row.zero_points overlap"},
  };
  expect_refused(rows, Both{row.q, col.q},
                 "mfq_quantize: ", [&](const Both *b) { return mfq_quantize(context, &src, &b->row, &b->col); });
  // A source that runs backwards covers the memory before its first element.
  mfq_tensor reversed = src;
  reversed.data = &data[255];
  reversed.strides[0] = -64;
  reversed.strides[1] = -1;
  mfq_qtensor r = row.q;
  ASSERT_EQ(mfq_quantize(context, &reversed, &r, nullptr), MFQ_OK) << mfq_last_error();
  r.codes = memory;
  EXPECT_TRUE(fails(mfq_quantize(context, &reversed, &r, nullptr), invalid, {"src.data and row.codes"}));
  // What stands side by side does not overlap.
  std::vector<char> one(256 + 8);
  r = row.q;
  r.codes = one.data();
  r.zero_points = one.data() + 256;
  EXPECT_EQ(mfq_quantize(context, &src, &r, nullptr), MFQ_OK) << mfq_last_error();
  r.zero_points = one.data();
  r.codes = one.data() + 8;
  EXPECT_EQ(mfq_quantize(context, &src, &r, nullptr), MFQ_OK) << mfq_last_error();
}

// Given scales are read, so both directions may share them.
TEST_F(Misuse, GivenScalesMayBeShared) {
  std::vector<float> data(4 * 64, 0.5f);
  const mfq_tensor src = dense(data.data(), MFQ_DTYPE_F32, {4, 64});
  Owned row("int8/f32:given", {4, 64}), col("int8/f32:given", {4, 64});
  col.q.scales = row.q.scales;
  const std::vector<float> before = row.scales;
  EXPECT_EQ(mfq_quantize(context, &src, &row.q, &col.q), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(row.scales, before);
  col.q.codes = col.q.scales;
  EXPECT_TRUE(fails(mfq_quantize(context, &src, &row.q, &col.q), invalid, {"row.scales and col.codes overlap"}));
  row.q.scales = nullptr;
  EXPECT_TRUE(fails(mfq_quantize(context, &src, &row.q, nullptr), invalid, {"row: scales is NULL"}));
}

TEST_F(Misuse, TensorScaleIsNeeded) {
  std::vector<float> data(4 * 64, 0.5f);
  const mfq_tensor src = dense(data.data(), MFQ_DTYPE_F32, {4, 64});
  Owned row("nvfp4", {4, 64});
  ASSERT_EQ(mfq_quantize(context, &src, &row.q, nullptr), MFQ_OK) << mfq_last_error();
  row.q.tensor_scale = nullptr;
  EXPECT_TRUE(fails(mfq_quantize(context, &src, &row.q, nullptr), invalid, {"row: tensor_scale is NULL", "4 bytes"}));
}

TEST_F(Misuse, Dequantize) {
  std::vector<float> data(4 * 64 + 8, -7.0f);
  const std::vector<float> before = data;
  const mfq_tensor dst = dense(data.data(), MFQ_DTYPE_F32, {4, 64});
  Owned own(scheme_text, {4, 64});
  EXPECT_TRUE(fails(mfq_dequantize(nullptr, &own.q, &dst), invalid, {"mfq_dequantize: context is NULL"}));
  EXPECT_TRUE(fails(mfq_dequantize(context, nullptr, &dst), invalid, {"mfq_dequantize: q is NULL"}));
  EXPECT_TRUE(fails(mfq_dequantize(context, &own.q, nullptr), invalid, {"mfq_dequantize: dst is NULL"}));
  expect_refused(bad_tensors(true), dst,
                 "mfq_dequantize: dst: ", [&](const mfq_tensor *t) { return mfq_dequantize(context, &own.q, t); });
  std::vector<Bad<mfq_qtensor>> rows = bad_qtensors();
  rows.push_back({[&](mfq_qtensor *q) { q->codes = data.data(); }, invalid, "q.codes and dst.data overlap"});
  rows.push_back({[&](mfq_qtensor *q) { q->scales = &data[248]; }, invalid, "q.scales and dst.data overlap"});
  expect_refused(rows, own.q,
                 "mfq_dequantize: ", [&](const mfq_qtensor *q) { return mfq_dequantize(context, q, &dst); });
  EXPECT_EQ(data, before);
  ASSERT_EQ(mfq_dequantize(context, &own.q, &dst), MFQ_OK) << mfq_last_error();
}

TEST_F(Misuse, DequantizePadded) {
  Owned own("int8/group:32/f32", {2, 40});
  std::vector<float> data(2 * 64);
  const mfq_tensor logical = dense(data.data(), MFQ_DTYPE_F32, {2, 40}),
                   padded = dense(data.data(), MFQ_DTYPE_F32, {2, 64});
  const mfq_tensor other = dense(data.data(), MFQ_DTYPE_F32, {2, 41});
  std::memset(own.codes.data(), 1, own.codes.size());
  EXPECT_EQ(mfq_dequantize(context, &own.q, &logical), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_dequantize(context, &own.q, &padded), MFQ_OK) << mfq_last_error();
  EXPECT_TRUE(fails(mfq_dequantize(context, &own.q, &other), MFQ_ERROR_SHAPE,
                    {"dst: shape is [2, 41]; allowed are the shape of q, [2, 40], and its padded shape, [2, 64]"}));
}

TEST_F(Misuse, Repack) {
  Owned src(scheme_text, {4, 64}), dst(scheme_text, {4, 64}), other("uint8/group:16/bf16/zp", {4, 64});
  const auto before = dst.content();
  EXPECT_TRUE(fails(mfq_repack(nullptr, &src.q, &dst.q), invalid, {"mfq_repack: context is NULL"}));
  EXPECT_TRUE(fails(mfq_repack(context, nullptr, &dst.q), invalid, {"mfq_repack: src is NULL"}));
  EXPECT_TRUE(fails(mfq_repack(context, &src.q, nullptr), invalid, {"mfq_repack: dst is NULL"}));
  EXPECT_TRUE(fails(mfq_repack(context, &src.q, &src.q), invalid, {"src.scales and dst.scales overlap"}));
  expect_refused(
      bad_qtensors(), src.q, "mfq_repack: ", [&](const mfq_qtensor *q) { return mfq_repack(context, q, &dst.q); });
  const auto to = [&](const mfq_qtensor *q) { return mfq_repack(context, &src.q, q); };
  expect_refused(bad_qtensors(), dst.q, "mfq_repack: dst: ", to);
  const std::vector<Bad<mfq_qtensor>> rows = {
      {[&](mfq_qtensor *q) { *q = other.q; }, invalid,
       "dst: the scheme is uint8/group:16/bf16/zp, but src has int8_group32_zp"},
      {[&](mfq_qtensor *q) { q->zero_points = src.q.zero_points; }, invalid,
       "src.zero_points and dst.zero_points overlap"},
  };
  expect_refused(rows, dst.q, "mfq_repack: ", to);
  EXPECT_EQ(dst.content(), before);
  mfq_qtensor q = dst.q;
  q.scheme.axis = -1; // the same axis, written otherwise
  EXPECT_EQ(mfq_repack(context, &src.q, &q), MFQ_OK) << mfq_last_error();
}

TEST_F(Misuse, Expand) {
  using Function = mfq_status (*)(mfq_context *, const mfq_qtensor *, const mfq_tensor *);
  const struct {
    Function function;
    std::string name;
    const char *part;
  } functions[] = {{mfq_expand_scales, "mfq_expand_scales", "scales"},
                   {mfq_expand_zero_points, "mfq_expand_zero_points", "zero_points"}};
  std::vector<float> data(4 * 64 + 8, -7.0f);
  const mfq_tensor dst = dense(data.data(), MFQ_DTYPE_F32, {4, 64});
  Owned own(scheme_text, {4, 64});
  for (const auto &f : functions) {
    const std::vector<float> before = data;
    EXPECT_TRUE(fails(f.function(nullptr, &own.q, &dst), invalid, {f.name + ": context is NULL"}));
    EXPECT_TRUE(fails(f.function(context, nullptr, &dst), invalid, {f.name + ": q is NULL"}));
    EXPECT_TRUE(fails(f.function(context, &own.q, nullptr), invalid, {f.name + ": dst is NULL"}));
    expect_refused(
        bad_tensors(true), dst,
        f.name + ": dst: ", [&](const mfq_tensor *t) { return f.function(context, &own.q, t); });
    const auto set = [&](mfq_qtensor *q, void *to) {
      (f.part == std::string("scales") ? q->scales : q->zero_points) = to;
    };
    std::vector<Bad<mfq_qtensor>> rows = bad_fields();
    rows.push_back({[&](mfq_qtensor *q) { set(q, nullptr); }, invalid, {": q: ", f.part, " is NULL"}});
    rows.push_back({[&](mfq_qtensor *q) { set(q, &data[8]); }, invalid, {"q.", f.part, " and dst.data overlap"}});
    expect_refused(rows, own.q, f.name + ": ", [&](const mfq_qtensor *q) { return f.function(context, q, &dst); });
    EXPECT_EQ(data, before);
    mfq_qtensor q = own.q;
    q.codes = nullptr; // not looked at
    EXPECT_EQ(f.function(context, &q, &dst), MFQ_OK) << mfq_last_error();
    const mfq_tensor compressed = dense(data.data(), MFQ_DTYPE_F32, {4, 2});
    EXPECT_EQ(f.function(context, &q, &compressed), MFQ_OK) << mfq_last_error();
    const mfq_tensor other = dense(data.data(), MFQ_DTYPE_F32, {4, 3});
    EXPECT_TRUE(fails(f.function(context, &q, &other), bad_shape,
                      {"dst: shape is [4, 3]; allowed are the scale shape of q, [4, 2]"}));
  }
}

} // namespace
