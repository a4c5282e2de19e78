// Embeddings by a recipe: the rows of the fake-quantized table, and gradients through its quantizer.
#include "support/indexed.h"

namespace {

using namespace mfq_test;

size_t workspace_of(const mfq_embedding &e) {
  size_t bytes = SIZE_MAX;
  EXPECT_EQ(mfq_embedding_workspace_bytes(&e, &bytes), MFQ_OK) << mfq_last_error();
  return bytes;
}

/* Runs forward in memory of just the size that it asks for. */
void embed(mfq_context *context, const mfq_embedding &e) {
  std::vector<float> workspace(workspace_of(e) / 4 + 1, NAN);
  const size_t bytes = workspace_of(e);
  ASSERT_EQ(mfq_embed(context, &e, bytes > 0 ? workspace.data() : nullptr, bytes), MFQ_OK) << mfq_last_error();
}

/* The dtype's own: dequantize of what is quantized is compared elsewhere; here which rows and which scales. */
Operand faked_table(mfq_context *context, const mfq_scheme &scheme, Operand *weight, mfq_dtype dtype) {
  Operand whole(dtype, weight->shape);
  const mfq_tensor src = weight->here(), dst = whole.here();
  EXPECT_EQ(mfq_fake_quantize(context, &scheme, &src, &dst, nullptr), MFQ_OK) << mfq_last_error();
  return whole;
}

const struct {
  const char *scheme;
  bool is_by_rows;
} schemes[] = {{"mxfp8_e4m3", true},
               {"int4_group128", true},
               {"int8_channel", true},
               {"e4m3fn", true},
               {"e2m1/block:1x16/f32", true},
               {"mxfp4_e2m1/hadamard:32", true},
               {"uint4/group:7/f32/zp", true},
               {"fp8_e4m3_tensor", false},
               {"nvfp4", false},
               {"e2m1/group:8@0/ue8m0", false},
               {"int8/channel@1/f32", false},
               {"e4m3fn/block:4x16/f32", false},
               {"mxfp8_e4m3/round:stochastic", false}};

TEST(Embed, RowsOfTheQuantizedTable) {
  uint32_t seed = 0;
  for (const auto &row : schemes)
    for (const char *isa : {static_cast<const char *>(nullptr), "reference"})
      for (const mfq_dtype dtype : kDtypes) {
        SCOPED_TRACE(std::string(row.scheme) + ", seed " + std::to_string(++seed));
        const Context context = make_context(isa);
        ASSERT_EQ(mfq_context_set_seed(context.get(), 7, 11), MFQ_OK);
        const mfq_recipe recipe = recipe_of(std::string("w=") + row.scheme);
        const Shape shape = {9, 64}, rows = {5, 64};
        Operand weight(kDtypes[seed % 3], shape, matrix_strides(shape, seed)),
            y(dtype, rows, matrix_strides(rows, seed / 4));
        weight.fill_awkward(seed, true);
        const IndexList list(seed % 2 == 0 ? MFQ_INDEX_I32 : MFQ_INDEX_I64, {8, 0, 3, 3, 8});
        Operand want = y;
        const Operand whole =
            faked_table(context.get(), recipe.phases[0].places[MFQ_PLACE_FPROP_W].scheme, &weight, dtype);
        expect_gathered(whole, list, &want);
        mfq_embedding e;
        mfq_embedding_init(&e);
        const mfq_tensor of_weight = weight.here(), of_y = y.here();
        e.recipe = &recipe;
        e.weight = &of_weight;
        e.indices = list.here();
        e.y = &of_y;
        const size_t needed = !row.is_by_rows         ? 9 * 64 * mfq_dtype_bytes(dtype)
                              : weight.dtype == dtype ? 0
                                                      : 5 * 64 * mfq_dtype_bytes(weight.dtype);
        EXPECT_EQ(workspace_of(e), needed);
        embed(context.get(), e);
        ASSERT_EQ(y.bytes, want.bytes);
      }
}

TEST(Embed, PlainTablesAndPhases) {
  const Context context = make_context();
  Operand weight(MFQ_DTYPE_F32, {4, 32}), y(MFQ_DTYPE_F32, {2, 32});
  weight.fill_awkward(5, true);
  const IndexList list(MFQ_INDEX_I32, {2, 1});
  const mfq_tensor of_weight = weight.here(), of_y = y.here();
  const mfq_recipe recipe = recipe_of("x=mxfp8_e4m3;switch=3;w=mxfp4_e2m1/hadamard:32:seed:5");
  mfq_recipe fresh = recipe_of("w=fresh|mxfp4_e2m1/hadamard:32:seed:5");
  mfq_embedding e;
  mfq_embedding_init(&e);
  e.weight = &of_weight;
  e.indices = list.here();
  e.y = &of_y;
  Operand plain = y, quantized = y, later = y;
  expect_gathered(weight, list, &plain);
  const mfq_scheme scheme = parse("mxfp4_e2m1/hadamard:32:seed:5"), next = parse("mxfp4_e2m1/hadamard:32:seed:8");
  expect_gathered(faked_table(context.get(), scheme, &weight, MFQ_DTYPE_F32), list, &quantized);
  expect_gathered(faked_table(context.get(), next, &weight, MFQ_DTYPE_F32), list, &later);
  const struct {
    const mfq_recipe *recipe;
    int64_t step;
    const Operand *want;
  } rows[] = {{nullptr, 0, &plain},     {&recipe, 2, &plain},    {&recipe, 3, &quantized},
              {&recipe, 9, &quantized}, {&fresh, 0, &quantized}, {&fresh, 3, &later}};
  for (const auto &row : rows) {
    e.recipe = row.recipe;
    e.step = row.step;
    embed(context.get(), e);
    EXPECT_EQ(y.bytes, row.want->bytes) << &row - rows;
  }
}

mfq_embedding way_back(const mfq_recipe *recipe, const mfq_tensor *weight, const IndexList &list, const mfq_tensor *dy,
                       const mfq_tensor *dweight) {
  mfq_embedding e;
  mfq_embedding_init(&e);
  e.recipe = recipe;
  e.weight = weight;
  e.indices = list.here();
  e.dy = dy;
  e.dweight = dweight;
  return e;
}

/* The sum, and then the backward of the quantizer, which the test runs by itself. */
TEST(Embed, GradientsThroughTheQuantizer) {
  const Context context = make_context();
  uint32_t seed = 0;
  for (const char *text : {"w=mxfp4_e2m1", "w=int8_tensor;ste=clipped", "w=e2m1/group:16/ue8m0:rceil;ste=clipped",
                           "w=int8_channel;ste=scale|identity", "w=brevitas:Fp8e4m3WeightPerTensorFloat;ste=brevitas"})
    for (const mfq_dtype dtype : kDtypes) {
      SCOPED_TRACE(text);
      const mfq_recipe recipe = recipe_of(text);
      const mfq_phase &phase = recipe.phases[0];
      const mfq_scheme &scheme = phase.places[MFQ_PLACE_FPROP_W].scheme;
      Operand weight(MFQ_DTYPE_F32, {6, 32}), dy(MFQ_DTYPE_F32, {20, 32}), dweight(dtype, {6, 32});
      weight.fill_awkward(++seed, true);
      dy.fill_awkward(seed + 1, true);
      const IndexList list(MFQ_INDEX_I64, drawn_indices(20, 6, seed));
      Operand want = dweight;
      expect_scattered(dy, list, 5, false, &want);
      const mfq_tensor of_weight = weight.here(), of_dy = dy.here(), of_want = want.here(), of_dweight = dweight.here();
      if (phase.ste != MFQ_STE_IDENTITY || phase.through_scale) {
        mfq_fake_gradient g;
        mfq_fake_gradient_init(&g);
        g.scheme = &scheme;
        g.ste = phase.ste;
        g.through_scale = phase.through_scale;
        g.src = &of_weight;
        g.upstream = g.dx = &of_want;
        ASSERT_EQ(mfq_fake_quantize_backward(context.get(), &g), MFQ_OK) << mfq_last_error();
      }
      mfq_embedding e = way_back(&recipe, &of_weight, list, &of_dy, &of_dweight);
      e.padding = 5;
      ASSERT_EQ(mfq_embed_backward(context.get(), &e), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(dweight.bytes, want.bytes);
      if (phase.ste != MFQ_STE_IDENTITY || phase.through_scale) continue;
      e.accumulate = 1; /* once more on top of it */
      expect_scattered(dy, list, 5, true, &want);
      ASSERT_EQ(mfq_embed_backward(context.get(), &e), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(dweight.bytes, want.bytes);
    }
}

/* Elements that the clip cuts off get no gradient, but those of Brevitas' integer weights do. */
TEST(Embed, ClippedElementsStay) {
  const Context context = make_context();
  const struct {
    const char *text;
    std::vector<float> want;
  } rows[] = {{"w=e2m1;ste=clipped", {31, 0, 0, 24}},
              {"w=int3;ste=clipped", {31, 0, 0, 24}},
              {"w=int3;ste=brevitas", {31, 42, 13, 24}},
              {"w=e2m1;ste=brevitas", {31, 0, 0, 24}}};
  for (const auto &row : rows) {
    SCOPED_TRACE(row.text);
    const mfq_recipe recipe = recipe_of(row.text);
    const std::vector<float> weight = {1, 7, -7, 2}, dy = {1, 2, 3, 4, 10, 20, 30, 40};
    std::vector<float> dweight(4, kUnwritten);
    const mfq_tensor of_weight = dense(weight, {2, 2}), of_dy = dense(dy, {4, 2}), of_dweight = dense(dweight, {2, 2});
    const IndexList list(MFQ_INDEX_I32, {0, 1, 1, 0});
    const mfq_embedding e = way_back(&recipe, &of_weight, list, &of_dy, &of_dweight);
    ASSERT_EQ(mfq_embed_backward(context.get(), &e), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(dweight, row.want);
  }
}

} // namespace
