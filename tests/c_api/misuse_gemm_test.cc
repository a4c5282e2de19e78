// Bad arguments of matrix products: status, sentence, and outputs as they were.
#include <mfq/mfq.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "support/misuse.h"

namespace {

using namespace misuse;

constexpr mfq_status unsupported = MFQ_ERROR_UNSUPPORTED;

// D [4, 8] = A [4, 64] x B [8, 64] transposed; B is mxfp4, C, bias and D are f32.
class MisuseGemm : public Misuse {
protected:
  MisuseGemm() : b("mxfp4_e2m1", {8, 64}), quantized_d("mxfp8_e4m3", {4, 8}) {
    a = dense(a_data.data(), MFQ_DTYPE_F32, {4, 64});
    c = dense(c_data.data(), MFQ_DTYPE_F32, {4, 8});
    d = dense(d_data.data(), MFQ_DTYPE_F32, {4, 8});
    bias = dense(bias_data.data(), MFQ_DTYPE_F32, {8});
    std::memset(b.codes.data(), 0x22, b.codes.size());
    std::memset(b.scales.data(), 127, b.scales.size() * sizeof(float));
    mfq_gemm_init(&gemm);
    gemm.a.plain = &a;
    gemm.b.quantized = &b.q;
    gemm.transpose_b = 1;
    gemm.c = &c;
    gemm.bias = &bias;
    gemm.d = &d;
    before = d_data;
  }

  void TearDown() override {
    EXPECT_EQ(d_data, before);
    mfq_gemm_plan_destroy(plan);
    Misuse::TearDown();
  }

  mfq_status create(const mfq_gemm &description) {
    mfq_gemm_plan *made = nullptr;
    const mfq_status status = mfq_gemm_plan_create(context, &description, &made);
    EXPECT_EQ(made != nullptr, status == MFQ_OK);
    mfq_gemm_plan_destroy(made);
    return status;
  }

  // Makes the plan of the good description, with a workspace for it.
  void make_plan() {
    ASSERT_EQ(mfq_gemm_plan_create(context, &gemm, &plan), MFQ_OK) << mfq_last_error();
    space.resize(mfq_gemm_workspace_bytes(plan) + 512);
    workspace = space.data() + (256 - reinterpret_cast<uintptr_t>(space.data()) % 256);
  }

  mfq_status run(const mfq_gemm &description) {
    return mfq_gemm_run(context, plan, &description, workspace, mfq_gemm_workspace_bytes(plan));
  }

  std::vector<float> a_data = std::vector<float>(4 * 64 + 64, 0.5f), c_data = std::vector<float>(4 * 8 + 64, 1.0f),
                     d_data = std::vector<float>(4 * 8 + 64, -7.0f), bias_data = std::vector<float>(8, 1.0f), before;
  Owned b, quantized_d;
  mfq_tensor a, c, d, bias;
  mfq_gemm gemm;
  mfq_gemm_plan *plan = nullptr;
  std::vector<uint8_t> space;
  uint8_t *workspace = nullptr;
};

TEST_F(MisuseGemm, Null) {
  EXPECT_TRUE(fails(mfq_gemm_plan_create(nullptr, &gemm, &plan), invalid, {"mfq_gemm_plan_create: context is NULL"}));
  EXPECT_TRUE(fails(mfq_gemm_plan_create(context, nullptr, &plan), invalid, {"mfq_gemm_plan_create: gemm is NULL"}));
  EXPECT_TRUE(fails(mfq_gemm_plan_create(context, &gemm, nullptr), invalid, {"mfq_gemm_plan_create: plan is NULL"}));
  EXPECT_TRUE(fails(mfq_gemm_run(context, nullptr, &gemm, nullptr, 0), invalid, {"mfq_gemm_run: plan is NULL"}));
  EXPECT_STREQ(mfq_gemm_plan_describe(nullptr), "no plan");
  EXPECT_EQ(mfq_gemm_workspace_bytes(nullptr), 0u);
  mfq_gemm_plan_destroy(nullptr);
  mfq_gemm_init(nullptr);
}

TEST_F(MisuseGemm, Fields) {
  struct Row {
    std::function<void(mfq_gemm *)> spoil;
    const char *says;
  };
  const mfq_scheme *scheme = &b.q.scheme;
  const std::vector<Row> rows = {
      {[](mfq_gemm *g) { g->struct_size = 8; }, "gemm->struct_size is 8; allowed is"},
      {[](mfq_gemm *g) { g->struct_size = 1 << 20; }, "call mfq_gemm_init first"},
      {[](mfq_gemm *g) { g->transpose_a = 2; }, "transpose_a is 2; allowed is 0 ... 1"},
      {[](mfq_gemm *g) { g->transpose_b = -1; }, "transpose_b is -1"},
      {[](mfq_gemm *g) { g->device_scalars = 7; }, "device_scalars is 7"},
      {[](mfq_gemm *g) { set_raw(&g->activation, 5); }, "activation is 5; allowed is 0 ... 4"},
      {[](mfq_gemm *g) { g->round_operands = 3; }, "round_operands is 3"},
      {[](mfq_gemm *g) { g->own_workspace = 3; }, "own_workspace is 3"},
      {[](mfq_gemm *g) { g->a.plain = nullptr; }, "a: plain and quantized are both NULL; give one"},
      {[this](mfq_gemm *g) { g->b.plain = &a; }, "b: plain and quantized are both given; give one"},
      {[scheme](mfq_gemm *g) { g->b.quantize_to = scheme; }, "b: quantize_to is given, but the operand is quantized"},
      {[](mfq_gemm *g) { g->d = nullptr; }, "d and quantized_d are both NULL; give one"},
      {[this](mfq_gemm *g) { g->quantized_d = &quantized_d.q; }, "d and quantized_d are both given; give one"},
  };
  for (const Row &row : rows) {
    mfq_gemm bad = gemm;
    row.spoil(&bad);
    EXPECT_TRUE(fails(create(bad), invalid, {"mfq_gemm_plan_create: ", row.says}));
  }
  mfq_gemm bad = gemm;
  const float one = 1.0f;
  bad.c = nullptr;
  bad.beta = &one;
  EXPECT_TRUE(fails(create(bad), invalid, {"beta is given, but c is NULL"}));
  ASSERT_EQ(create(gemm), MFQ_OK) << mfq_last_error();
}

// Plain tensors of shape [4, 64]: A, and the D of a product with 64 columns.
TEST_F(MisuseGemm, Tensors) {
  for (const BadTensor &bad : bad_tensors(false)) {
    mfq_tensor t = a;
    bad.spoil(&t);
    mfq_gemm g = gemm;
    g.a.plain = &t;
    make_plan();
    const bool is_other_shape = std::string(bad.says) == "shape";
    EXPECT_TRUE(
        fails(run(g), is_other_shape ? bad_shape : bad.status, {"mfq_gemm_run: ", is_other_shape ? "" : bad.says}));
    mfq_gemm_plan_destroy(plan);
    plan = nullptr;
  }
  std::vector<float> wide(4 * 64 + 64, -7.0f);
  Owned b64("mxfp4_e2m1", {64, 64});
  for (const BadTensor &bad : bad_tensors(true)) {
    mfq_tensor t = dense(wide.data(), MFQ_DTYPE_F32, {4, 64});
    bad.spoil(&t);
    mfq_gemm g = gemm;
    g.b.quantized = &b64.q;
    g.c = g.bias = nullptr;
    g.d = &t;
    if (t.data == nullptr) continue; // planning does not need memory
    EXPECT_TRUE(fails(create(g), bad.status, {"mfq_gemm_plan_create: ", bad.says}));
  }
  EXPECT_EQ(wide, std::vector<float>(4 * 64 + 64, -7.0f));
}

TEST_F(MisuseGemm, Shapes) {
  mfq_gemm g = gemm;
  Owned other("mxfp4_e2m1", {8, 32}), batched("mxfp4_e2m1", {3, 8, 64}), line("mxfp4_e2m1", {64}),
      square("e4m3fn/tensor/f32", {8, 32});
  g.b.quantized = &other.q;
  EXPECT_TRUE(
      fails(create(g), bad_shape, {"a of shape [4, 64] has K = 64", "b of shape [8, 32], transposed, has K = 32"}));
  g.b.quantized = &line.q;
  EXPECT_TRUE(fails(create(g), bad_shape, {"b: rank is 1; a matrix has 2"}));
  g = gemm;
  g.transpose_b = 0;
  EXPECT_TRUE(fails(create(g), unsupported, {"b: mxfp4_e2m1: its groups do not run along K", "(see transpose_b)"}));
  g.b.quantized = &square.q;
  EXPECT_TRUE(fails(create(g), bad_shape, {"a of shape [4, 64] has K = 64, but b of shape [8, 32] has K = 8"}));
  g = gemm;
  const mfq_tensor a2 = dense(a_data.data(), MFQ_DTYPE_F32, {2, 2, 64});
  g.a.plain = &a2;
  g.b.quantized = &batched.q;
  EXPECT_TRUE(fails(create(g), bad_shape, {"a of shape [2, 2, 64] and b of shape [3, 8, 64] have different batches"}));
  const mfq_tensor narrow = dense(d_data.data(), MFQ_DTYPE_F32, {4, 7});
  for (const char *name : {"d", "c"}) {
    g = gemm;
    *(name[0] == 'd' ? &g.d : &g.c) = &narrow;
    EXPECT_TRUE(fails(create(g), bad_shape, {name, ": shape is [4, 7], but the product of a and b has [4, 8]"}));
  }
  g = gemm;
  g.d = nullptr;
  g.quantized_d = &other.q;
  EXPECT_TRUE(fails(create(g), bad_shape, {"quantized_d: shape is [8, 32], but the product of a and b has [4, 8]"}));
  const mfq_tensor short_bias = dense(bias_data.data(), MFQ_DTYPE_F32, {7});
  g = gemm;
  g.bias = &short_bias;
  EXPECT_TRUE(fails(create(g), bad_shape, {"bias: shape is [7]; allowed is [N] = [8]"}));
}

TEST_F(MisuseGemm, ScalesThatNoSumFactorsOut) {
  const struct {
    const char *scheme, *says;
  } rows[] = {{"mxfp8_e4m3/group:32@0", "its groups do not run along K"},
              {"e4m3fn/channel@1/f32", "its scales vary with every element along K"},
              {"ue4m1b155/tensor/ue8m0", "its elements reach beyond float32, in which they are summed"},
              {"e7m0b-1/tensor/ue8m0", "use groups along the axis of the sums, or another bias"}};
  for (const auto &row : rows) {
    Owned q(row.scheme, {8, 64});
    mfq_gemm g = gemm;
    g.b.quantized = &q.q;
    EXPECT_TRUE(fails(create(g), unsupported, {row.says}));
    mfq_scheme scheme = q.q.scheme;
    g = gemm;
    g.a.quantize_to = &scheme;
    EXPECT_TRUE(fails(create(g), unsupported, {"a: "}));
  }
  mfq_scheme given = b.q.scheme;
  given.rule = MFQ_RULE_GIVEN;
  mfq_gemm g = gemm;
  g.a.quantize_to = &given;
  EXPECT_TRUE(fails(create(g), unsupported, {"a: quantize_to has the rule given", "quantize it before"}));
}

TEST_F(MisuseGemm, Workspace) {
  gemm.a.quantize_to = &b.q.scheme; // needs memory whatever the implementation
  make_plan();
  const size_t bytes = mfq_gemm_workspace_bytes(plan);
  ASSERT_GT(bytes, 0u);
  EXPECT_TRUE(fails(mfq_gemm_run(context, plan, &gemm, nullptr, bytes), invalid, {"workspace is NULL", "needs"}));
  EXPECT_TRUE(fails(mfq_gemm_run(context, plan, &gemm, workspace, bytes - 1), invalid,
                    {std::to_string(bytes - 1) + " bytes; the plan needs " + std::to_string(bytes)}));
  EXPECT_TRUE(fails(mfq_gemm_run(context, plan, &gemm, workspace + 64, bytes), invalid, {"aligned to 256 bytes"}));
  mfq_gemm g = gemm;
  const mfq_tensor inside = dense(workspace, MFQ_DTYPE_F32, {4, 64});
  g.a.plain = &inside;
  EXPECT_TRUE(fails(run(g), invalid, {"a.data and workspace.memory overlap"}));
}

TEST_F(MisuseGemm, OtherThanPlanned) {
  make_plan();
  mfq_context *second = nullptr;
  mfq_context_options options;
  mfq_context_options_init(&options);
  ASSERT_EQ(mfq_context_create(&options, &second), MFQ_OK);
  EXPECT_TRUE(fails(mfq_gemm_run(second, plan, &gemm, workspace, space.size() - 256), invalid,
                    {"plan was made for another context"}));
  mfq_context_destroy(second);

  const float one = 1.0f;
  Owned shorter("mxfp4_e2m1", {8, 32}), other_scheme("mxfp8_e4m3", {8, 64});
  const mfq_layout bytes_layout = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0};
  Owned other_layout("mxfp4_e2m1", {8, 64}, &bytes_layout);
  mfq_tensor rows3 = dense(a_data.data(), MFQ_DTYPE_F32, {3, 64}), d3 = dense(d_data.data(), MFQ_DTYPE_F32, {3, 8});
  mfq_tensor wide = a, narrow = a;
  wide.strides[0] = 68;
  std::vector<uint16_t> halves(4 * 64);
  narrow = dense(halves.data(), MFQ_DTYPE_BF16, {4, 64});
  struct Row {
    std::function<void(mfq_gemm *)> change;
    const char *says;
  };
  const std::vector<Row> rows = {
      {[&](mfq_gemm *g) { g->a.plain = &rows3, g->d = &d3, g->c = nullptr; }, "M is 3, but the plan was made for 4"},
      {[&](mfq_gemm *g) { g->a.plain = &wide; }, "a: the stride of rows is 68, but the plan was made for 64"},
      {[&](mfq_gemm *g) { g->a.plain = &narrow; }, "a: the dtype is 2, but the plan was made for 1"},
      {[&](mfq_gemm *g) { g->a.quantize_to = &b.q.scheme; }, "a: the kind of operand"},
      {[&](mfq_gemm *g) { g->b.quantized = &other_scheme.q; },
       "b: the scheme is e4m3fn/group:32@1/ue8m0, but the plan was made for e2m1/group:32@1/ue8m0"},
      {[&](mfq_gemm *g) { g->b.quantized = &other_layout.q; }, "b: layout.packing is 1, but the plan was made for 0"},
      {[&](mfq_gemm *g) { g->c = nullptr; }, "1 with and 0 without c is 0"},
      {[&](mfq_gemm *g) { g->bias = nullptr; }, "1 with and 0 without bias is 0"},
      {[&](mfq_gemm *g) { g->alpha = &one; }, "1 with and 0 without alpha is 1"},
      {[&](mfq_gemm *g) { g->activation = MFQ_ACTIVATION_RELU; }, "the activation is 1"},
      {[&](mfq_gemm *g) { g->d = nullptr, g->quantized_d = &quantized_d.q; }, "quantized result is 1"},
      {[&](mfq_gemm *g) { g->round_operands = 1; }, "round_operands is 1"},
  };
  for (const Row &row : rows) {
    mfq_gemm other = gemm;
    row.change(&other);
    EXPECT_TRUE(fails(run(other), bad_shape, {"mfq_gemm_run: ", row.says}));
  }
}

// The plan relies on how memory was aligned when it was made.
TEST_F(MisuseGemm, WorseAligned) {
  alignas(256) static float aligned[4 * 64 + 64];
  a = dense(aligned, MFQ_DTYPE_F32, {4, 64});
  make_plan();
  mfq_gemm g = gemm;
  const mfq_tensor shifted = dense(aligned + 1, MFQ_DTYPE_F32, {4, 64});
  g.a.plain = &shifted;
  EXPECT_TRUE(fails(run(g), invalid, {"a: memory at ", "is aligned to 4 bytes, but the plan was made for 256"}));
}

TEST_F(MisuseGemm, Overlap) {
  make_plan();
  mfq_gemm g = gemm;
  const mfq_tensor over_c = dense(d_data.data() + 4, MFQ_DTYPE_F32, {4, 8});
  g.c = &over_c;
  EXPECT_TRUE(fails(run(g), invalid, {"d.data and c.data overlap"}));
  g = gemm;
  const mfq_tensor over_bias = dense(d_data.data() + 8, MFQ_DTYPE_F32, {8});
  g.bias = &over_bias;
  EXPECT_TRUE(fails(run(g), invalid, {"d.data and bias.data overlap"}));
  const mfq_tensor over_d = dense(a_data.data() + 192, MFQ_DTYPE_F32, {4, 8});
  g = gemm;
  g.d = &over_d;
  EXPECT_TRUE(fails(run(g), invalid, {"a.data and d.data overlap"}));
  g = gemm;
  mfq_qtensor no_scales = b.q;
  no_scales.scales = nullptr;
  g.b.quantized = &no_scales;
  EXPECT_TRUE(fails(run(g), invalid, {"b: scales is NULL, but needs 16 bytes"}));
}

TEST_F(MisuseGemm, EmptyProductsAreNoMistake) {
  mfq_tensor none_a = dense(a_data.data(), MFQ_DTYPE_F32, {0, 64}),
             none_d = dense(d_data.data(), MFQ_DTYPE_F32, {0, 8});
  gemm.a.plain = &none_a;
  gemm.d = &none_d;
  gemm.c = nullptr;
  make_plan();
  EXPECT_STREQ(mfq_gemm_plan_describe(plan), "nothing: D is empty");
  EXPECT_EQ(mfq_gemm_run(context, plan, &gemm, nullptr, 0), MFQ_OK) << mfq_last_error();
}

} // namespace
