// Bad arguments of gathered rows and of sums into rows: a status, a sentence, and nothing written.
#include <mfq/mfq.h>

#include <vector>

#include "support/misuse.h"
#include "support/parsed.h"

namespace {

using namespace misuse;
using mfq_test::recipe_of;

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

class MisuseEmbedding : public Misuse {
protected:
  void SetUp() override {
    Misuse::SetUp();
    mfq_embedding_init(&good);
    good.weight = &weight;
    good.indices = {indices.data(), MFQ_INDEX_I32, 4};
    good.y = &y;
    good.dy = &dy;
    good.dweight = &dweight;
  }
  mfq_status forward(const mfq_embedding &e) { return mfq_embed(context, &e, nullptr, 0); }
  mfq_status backward(const mfq_embedding &e) { return mfq_embed_backward(context, &e); }

  std::vector<float> in = std::vector<float>(9 * 64 + 8, 0.5f), out = std::vector<float>(9 * 64 + 32, -7.0f);
  std::vector<int32_t> indices = {4, 0, 2, 2};
  mfq_embedding good;
  mfq_tensor weight = dense(in.data(), MFQ_DTYPE_F32, {5, 64}), y = dense(out.data(), MFQ_DTYPE_F32, {4, 64}),
             dy = dense(&in[320], MFQ_DTYPE_F32, {4, 64}), dweight = dense(&out[256], MFQ_DTYPE_F32, {5, 64});
};

TEST_F(MisuseEmbedding, Fields) {
  EXPECT_TRUE(fails(mfq_embed(nullptr, &good, nullptr, 0), invalid, {"mfq_embed: context is NULL"}));
  EXPECT_TRUE(fails(mfq_embed(context, nullptr, nullptr, 0), invalid, {"mfq_embed: embedding is NULL"}));
  EXPECT_TRUE(fails(mfq_embed_backward(nullptr, &good), invalid, {"mfq_embed_backward: context is NULL"}));
  EXPECT_TRUE(
      fails(mfq_embedding_workspace_bytes(&good, nullptr), invalid, {"mfq_embedding_workspace_bytes: bytes is NULL"}));
  const mfq_tensor line = dense(in.data(), MFQ_DTYPE_F32, {64});
  mfq_recipe broken = recipe_of("w=mxfp8_e4m3");
  broken.phases[0].places[MFQ_PLACE_FPROP_W].scheme.group_size = -1;
  const mfq_recipe kept = recipe_of("w=collected:5|int8_tensor;dgrad.w=same"),
                   searched = recipe_of("w=search:mse|int8_channel"), deep = recipe_of("w=int8/channel@3/f32");
  const mfq_recipe rotated = recipe_of("w=mxfp4_e2m1/hadamard:128");
  using Embedding = mfq_embedding;
  const std::vector<Bad<Embedding>> rows = {
      {[](Embedding *e) { e->struct_size = 8; },
       invalid,
       {"embedding->struct_size is 8; allowed is ", "call mfq_embedding_init first"}},
      {[](Embedding *e) { e->step = -1; }, invalid, "embedding: step is -1; allowed is 0 ... 9223372036854775807"},
      {[](Embedding *e) { e->accumulate = 2; }, invalid, "embedding: accumulate is 2; allowed is 0 ... 1"},
      {[](Embedding *e) { e->padding = 5; }, invalid, "embedding: padding is 5; allowed is -1, for none"},
      {[](Embedding *e) { e->weight = nullptr; }, invalid, "embedding->weight is NULL"},
      {[&](Embedding *e) { e->weight = &line; }, bad_shape,
       "embedding->weight: shape is [64]; a table has rank 2, rows and columns"},
      {[](Embedding *e) { set_raw(&e->indices.type, 0); }, invalid,
       "embedding->indices: type is 0; allowed is 1 ... 2"},
      {[](Embedding *e) { e->indices.count = 3; }, bad_shape,
       "shape is [4, 64]; allowed is [3, 64], a row for each index and the columns of the table"},
      {[&](Embedding *e) { e->recipe = &broken; }, invalid, "group_size is -1"},
      {[&](Embedding *e) { e->recipe = &kept; }, invalid,
       "embedding->recipe: the quantizer of fprop.w keeps scales from step to step; an embedding measures its scales "
       "each "
       "time: take a recipe that does, or quantize the table yourself and call mfq_gather"},
      {[&](Embedding *e) { e->recipe = &searched; }, invalid,
       "embedding->recipe: the quantizer of fprop.w searches its scales; an embedding measures"},
      {[&](Embedding *e) { e->recipe = &deep; }, bad_shape,
       "embedding->recipe: fprop.w: the scheme's axis is 3, but the rank is 2; allowed is -2 ... 1"},
      {[&](Embedding *e) { e->recipe = &rotated; }, bad_shape,
       "embedding->recipe: fprop.w: axis 1 of [5, 64] has 64 elements, which hadamard:128 does not divide"},
  };
  expect_refused(
      rows, good, "mfq_embed: ", [&](const Embedding *e) { return forward(*e); });
  expect_refused(rows, good, "mfq_embed_backward: ", [&](const Embedding *e) { return backward(*e); });
  size_t bytes;
  expect_refused(rows, good, "mfq_embedding_workspace_bytes: ", [&](const Embedding *e) {
    return mfq_embedding_workspace_bytes(e, &bytes);
  });
  mfq_embedding_init(nullptr);
  EXPECT_EQ(out, std::vector<float>(out.size(), -7.0f));
}

TEST_F(MisuseEmbedding, Forward) {
  mfq_recipe recipe = recipe_of("w=int8_tensor");
  mfq_embedding e = good;
  e.y = nullptr;
  EXPECT_TRUE(fails(forward(e), invalid, {"mfq_embed: embedding->y is NULL"}));
  e = good;
  e.y = &weight;
  e.indices.count = 5;
  indices.push_back(0);
  e.indices.data = indices.data();
  EXPECT_TRUE(fails(forward(e), invalid, {"embedding->weight.data and embedding->y.data overlap in memory"}));
  e = good;
  e.indices.data = indices.data();
  e.recipe = &recipe;
  EXPECT_TRUE(fails(forward(e), invalid, {}));
  EXPECT_STREQ(mfq_last_error(), "mfq_embed: workspace is NULL, but this embedding needs 1280 bytes "
                                 "(mfq_embedding_workspace_bytes)");
  std::vector<float> workspace(320);
  EXPECT_TRUE(fails(mfq_embed(context, &e, workspace.data(), 1279), invalid, {}));
  EXPECT_STREQ(mfq_last_error(),
               "mfq_embed: bytes is 1279, but this embedding needs 1280 (mfq_embedding_workspace_bytes)");
  EXPECT_TRUE(fails(mfq_embed(context, &e, &out[100], 1280), invalid,
                    {"mfq_embed: embedding->y.data and workspace.data overlap in memory"}));
  indices[2] = 5;
  EXPECT_TRUE(fails(mfq_embed(context, &e, workspace.data(), 1280), invalid, {}));
  EXPECT_STREQ(mfq_last_error(),
               "mfq_embed: embedding->indices: index 5, at position 2, is no row of the table; it has 5, "
               "counted from 0");
  EXPECT_EQ(out, std::vector<float>(out.size(), -7.0f));
}

TEST_F(MisuseEmbedding, Backward) {
  mfq_recipe recipe = recipe_of("w=int8_tensor;ste=clipped");
  const mfq_recipe eden = recipe_of("w=nvfp4_ms_eden;ste=clipped");
  mfq_embedding e = good;
  e.dy = nullptr;
  EXPECT_TRUE(fails(backward(e), invalid, {"mfq_embed_backward: embedding->dy is NULL"}));
  e = good;
  e.dweight = nullptr;
  EXPECT_TRUE(fails(backward(e), invalid, {"mfq_embed_backward: embedding->dweight is NULL"}));
  e.dweight = &y;
  EXPECT_TRUE(fails(backward(e), bad_shape,
                    {"embedding->dweight: shape is [4, 64], but embedding->weight has [5, 64]; they must be equal"}));
  e = good;
  e.dweight = &weight;
  EXPECT_TRUE(fails(backward(e), invalid, {"embedding->weight.data and embedding->dweight.data overlap in memory"}));
  e = good;
  e.recipe = &recipe;
  e.accumulate = 1;
  EXPECT_TRUE(fails(backward(e), invalid, {}));
  EXPECT_STREQ(mfq_last_error(),
               "mfq_embed_backward: embedding: accumulate is 1, but gradients change on their way through "
               "the quantizer of fprop.w; leave it 0 and add them");
  e.accumulate = 0;
  e.recipe = &eden;
  EXPECT_TRUE(fails(backward(e), MFQ_ERROR_UNSUPPORTED,
                    {"mfq_embed_backward: embedding->recipe: fprop.w: the scheme corrects scales together (eden:"}));
  indices[0] = -3;
  EXPECT_TRUE(fails(backward(good), invalid, {}));
  EXPECT_STREQ(mfq_last_error(),
               "mfq_embed_backward: embedding->indices: index -3, at position 0, is no row of the table; "
               "it has 5, counted from 0");
  EXPECT_EQ(out, std::vector<float>(out.size(), -7.0f));
}

} // namespace
