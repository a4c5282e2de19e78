// Bad arguments of gathered rows and of sums into rows: a status, a sentence, and nothing written.
#include <mfq/mfq.h>

#include <vector>

#include "support/misuse.h"

namespace {

using namespace misuse;

class MisuseGather : public Misuse {
protected:
  void SetUp() override {
    Misuse::SetUp();
    mfq_gathering_init(&good);
    good.plain = &table;
    good.indices = {indices.data(), MFQ_INDEX_I32, 4};
    good.y = &y;
  }
  mfq_status run(const mfq_gathering &g) { return mfq_gather(context, &g); }

  std::vector<float> in = std::vector<float>(5 * 64 + 8, 0.5f), out = std::vector<float>(4 * 64 + 32, -7.0f);
  std::vector<int32_t> indices = {4, 0, 2, 2, 0, 0, 0, 0, 0};
  mfq_gathering good;
  mfq_tensor table = dense(in.data(), MFQ_DTYPE_F32, {5, 64}), y = dense(out.data(), MFQ_DTYPE_F32, {4, 64});
};

TEST_F(MisuseGather, Fields) {
  EXPECT_TRUE(fails(mfq_gather(nullptr, &good), invalid, {"mfq_gather: context is NULL"}));
  EXPECT_TRUE(fails(mfq_gather(context, nullptr), invalid, {"mfq_gather: gathering is NULL"}));
  const Owned codes("e4m3fn", {5, 64}), cube("e4m3fn", {1, 5, 64}),
      crossed("e2m1/group:16@0/ue8m0/hadamard:16", {16, 64});
  const mfq_tensor line = dense(in.data(), MFQ_DTYPE_F32, {64});
  using Gathering = mfq_gathering;
  const std::vector<Bad<Gathering>> rows = {
      {[](Gathering *g) { g->struct_size = 8; },
       invalid,
       {"gathering->struct_size is 8; allowed is ", "call mfq_gathering_init first"}},
      {[](Gathering *g) { g->plain = nullptr; }, invalid,
       "gathering: plain and quantized are both NULL; give one of them"},
      {[&](Gathering *g) { g->quantized = &codes.q; }, invalid,
       "gathering: plain and quantized are both given; give one of them"},
      {[&](Gathering *g) { g->plain = &line; }, bad_shape,
       "gathering->plain: shape is [64]; a table has rank 2, rows and columns"},
      {[&](Gathering *g) { g->plain = nullptr, g->quantized = &cube.q; }, bad_shape,
       "gathering->quantized: shape is [1, 5, 64]; a table has rank 2, rows and columns"},
      {[&](Gathering *g) { g->plain = nullptr, g->quantized = &crossed.q; }, MFQ_ERROR_UNSUPPORTED,
       "gathering->quantized: the scheme rotates elements of 16 rows (hadamard:16) together, so that one row has no "
       "values of its own; rotate along the last axis, or dequantize the table"},
      {[](Gathering *g) { set_raw(&g->indices.type, 0); }, invalid,
       "gathering->indices: type is 0; allowed is 1 ... 2"},
      {[](Gathering *g) { g->indices.count = -1; }, invalid,
       "gathering->indices: count is -1; allowed is 0 ... 576460752303423488"},
      {[](Gathering *g) { g->indices.data = nullptr; }, invalid, "gathering->indices: data is NULL, but count is 4"},
      {[&](Gathering *g) {
         g->indices = {&indices[1], MFQ_INDEX_I64, 3};
       },
       invalid, "which is not a multiple of an index's 8 bytes"},
      {[](Gathering *g) { g->indices.count = 3; }, bad_shape,
       "gathering->y: shape is [4, 64]; allowed is [3, 64], a row for each index and the columns of the table"},
      {[](Gathering *g) { g->y = nullptr; }, invalid, "gathering->y is NULL"},
      {[&](Gathering *g) { g->y = &table; }, bad_shape, "gathering->y: shape is [5, 64]; allowed is [4, 64]"},
      {[](Gathering *g) {
         g->indices = {reinterpret_cast<void *>(UINTPTR_MAX - 7), MFQ_INDEX_I64, 4};
       },
       bad_shape, "gathering->indices: data of 32 bytes leaves the address space"},
  };
  expect_refused(rows, good, "mfq_gather: ", [&](const Gathering *g) { return run(*g); });
  mfq_gathering_init(nullptr);
  EXPECT_EQ(out, std::vector<float>(out.size(), -7.0f));
}

TEST_F(MisuseGather, Tensors) {
  mfq_gathering g = good;
  for (const Bad<mfq_tensor> &bad : bad_tensors(true)) {
    mfq_tensor t = y;
    bad.spoil(&t);
    g.y = &t;
    EXPECT_TRUE(fails(run(g), bad.status, {"mfq_gather: gathering->y", bad.says[0]}));
  }
  mfq_tensor t = table;
  g = good;
  g.plain = &t;
  t.data = nullptr;
  EXPECT_TRUE(fails(run(g), invalid, {"gathering->plain: data is NULL, but shape [5, 64] has 320 elements"}));
  Owned codes("uint8/group:32/f32/zp", {5, 64});
  codes.q.scales = nullptr;
  g = good;
  g.plain = nullptr;
  g.quantized = &codes.q;
  EXPECT_TRUE(fails(run(g), invalid, {"gathering->quantized: scales is NULL, but needs 40 bytes"}));
  t = y;
  t.data = &in[4];
  g = good;
  g.y = &t;
  EXPECT_TRUE(fails(run(g), invalid, {"gathering->plain.data and gathering->y.data overlap in memory"}));
  g = good;
  g.indices.data = &out[2];
  EXPECT_TRUE(fails(run(g), invalid, {"gathering->indices.data and gathering->y.data overlap in memory"}));
  EXPECT_EQ(out, std::vector<float>(out.size(), -7.0f));
}

/* The place and the value; nothing is written, not even the rows before. */
TEST_F(MisuseGather, IndicesThatAreNoRows) {
  const Owned codes("e4m3fn", {5, 64});
  for (const int32_t bad : {5, -1, INT32_MAX, INT32_MIN})
    for (const bool is_plain : {true, false}) {
      indices[2] = bad;
      mfq_gathering g = good;
      if (!is_plain) g.plain = nullptr, g.quantized = &codes.q;
      EXPECT_TRUE(fails(run(g), invalid, {}));
      EXPECT_EQ(mfq_last_error(), "mfq_gather: gathering->indices: index " + std::to_string(bad) +
                                      ", at position 2, is no row of the table; it has 5, counted from 0");
    }
  const std::vector<int64_t> wide = {0, 1, 2, int64_t{1} << 32};
  good.indices = {wide.data(), MFQ_INDEX_I64, 4};
  EXPECT_TRUE(fails(run(good), invalid, {"index 4294967296, at position 3, is no row of the table; it has 5"}));
  table = dense(in.data(), MFQ_DTYPE_F32, {0, 64});
  EXPECT_TRUE(fails(run(good), invalid, {"index 0, at position 0, is no row of the table; it has 0, counted from 0"}));
  EXPECT_EQ(out, std::vector<float>(out.size(), -7.0f));
}

class MisuseScatter : public Misuse {
protected:
  void SetUp() override {
    Misuse::SetUp();
    mfq_scattering_init(&good);
    good.dy = &dy;
    good.indices = {indices.data(), MFQ_INDEX_I64, 4};
    good.dweight = &dweight;
  }
  mfq_status run(const mfq_scattering &s) { return mfq_scatter_add(context, &s); }

  std::vector<float> in = std::vector<float>(4 * 64 + 8, 0.5f), out = std::vector<float>(5 * 64 + 32, -7.0f);
  std::vector<int64_t> indices = {4, 0, 2, 2, 0, 0, 0, 0};
  mfq_scattering good;
  mfq_tensor dy = dense(in.data(), MFQ_DTYPE_F32, {4, 64}), dweight = dense(out.data(), MFQ_DTYPE_F32, {5, 64});
};

TEST_F(MisuseScatter, Fields) {
  EXPECT_TRUE(fails(mfq_scatter_add(nullptr, &good), invalid, {"mfq_scatter_add: context is NULL"}));
  EXPECT_TRUE(fails(mfq_scatter_add(context, nullptr), invalid, {"mfq_scatter_add: scattering is NULL"}));
  const mfq_tensor line = dense(out.data(), MFQ_DTYPE_F32, {320}), few = dense(in.data(), MFQ_DTYPE_F32, {4, 63});
  using Scattering = mfq_scattering;
  const std::vector<Bad<Scattering>> rows = {
      {[](Scattering *s) { s->struct_size = 8; },
       invalid,
       {"scattering->struct_size is 8; allowed is ", "call mfq_scattering_init first"}},
      {[](Scattering *s) { s->accumulate = 2; }, invalid, "scattering: accumulate is 2; allowed is 0 ... 1"},
      {[](Scattering *s) { s->padding = 5; }, invalid,
       "scattering: padding is 5; allowed is -1, for none, and a row of dweight, of which there are 5"},
      {[](Scattering *s) { s->padding = -2; }, invalid, "scattering: padding is -2; allowed is -1"},
      {[&](Scattering *s) { s->dweight = &line; }, bad_shape,
       "scattering->dweight: shape is [320]; a table has rank 2, rows and columns"},
      {[](Scattering *s) { s->dweight = nullptr; }, invalid, "scattering->dweight is NULL"},
      {[](Scattering *s) { s->dy = nullptr; }, invalid, "scattering->dy is NULL"},
      {[&](Scattering *s) { s->dy = &few; }, bad_shape,
       "scattering->dy: shape is [4, 63]; allowed is [4, 64], a row for each index and the columns of the table"},
      {[](Scattering *s) { set_raw(&s->indices.type, 3); }, invalid,
       "scattering->indices: type is 3; allowed is 1 ... 2"},
      {[](Scattering *s) { s->indices.data = nullptr; }, invalid, "scattering->indices: data is NULL, but count is 4"},
  };
  expect_refused(rows, good, "mfq_scatter_add: ", [&](const Scattering *s) { return run(*s); });
  mfq_scattering_init(nullptr);
  EXPECT_EQ(out, std::vector<float>(out.size(), -7.0f));
}

TEST_F(MisuseScatter, TensorsAndIndices) {
  mfq_scattering s = good;
  mfq_tensor t = dy;
  s.dy = &t;
  t.data = &out[4];
  EXPECT_TRUE(fails(run(s), invalid, {"scattering->dweight.data and scattering->dy.data overlap in memory"}));
  t = dweight;
  s = good;
  s.dweight = &t;
  t.strides[0] = 0;
  EXPECT_TRUE(
      fails(run(s), invalid, {"scattering->dweight: strides [0, 1] over shape [5, 64] let two elements share"}));
  indices[3] = 5;
  good.padding = 2;
  EXPECT_TRUE(fails(run(good), invalid, {}));
  EXPECT_STREQ(mfq_last_error(),
               "mfq_scatter_add: scattering->indices: index 5, at position 3, is no row of the table; it "
               "has 5, counted from 0");
  EXPECT_EQ(out, std::vector<float>(out.size(), -7.0f));
}

} // namespace
