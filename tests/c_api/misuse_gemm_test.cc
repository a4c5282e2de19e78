// Bad arguments of matrix products: status, sentence, and outputs as they were.
#include <mfq/mfq.h>

#include <cstring>
#include <string>
#include <vector>

#include "support/misuse_planned.h"

namespace {

using namespace misuse;

struct Gemm {
  using Description = mfq_gemm;
  using Plan = mfq_gemm_plan;
  static constexpr const char *name = "mfq_gemm", *argument = "gemm", *nothing = "nothing: D is empty";
  static constexpr auto init = mfq_gemm_init;
  static constexpr auto plan_create = mfq_gemm_plan_create;
  static constexpr auto run = mfq_gemm_run;
  static constexpr auto workspace_bytes = mfq_gemm_workspace_bytes;
  static constexpr auto describe = mfq_gemm_plan_describe;
  static constexpr auto destroy = mfq_gemm_plan_destroy;
};

// D [4, 8] = A [4, 64] x B [8, 64] transposed; B is mxfp4, C, bias and D are f32.
class MisuseGemm : public Planned<Gemm> {
protected:
  MisuseGemm() : b("mxfp4_e2m1", {8, 64}), quantized_d("mxfp8_e4m3", {4, 8}) {
    a = dense(a_data.data(), MFQ_DTYPE_F32, {4, 64});
    c = dense(c_data.data(), MFQ_DTYPE_F32, {4, 8});
    d = dense(d_data.data(), MFQ_DTYPE_F32, {4, 8});
    bias = dense(bias_data.data(), MFQ_DTYPE_F32, {8});
    std::memset(b.codes.data(), 0x22, b.codes.size());
    std::memset(b.scales.data(), 127, b.scales.size() * sizeof(float));
    good.a.plain = &a;
    good.b.quantized = &b.q;
    good.transpose_b = 1;
    good.c = &c;
    good.bias = &bias;
    good.d = &d;
    keep(&d_data);
  }

  const float one = 1.0f;
  std::vector<float> a_data = std::vector<float>(4 * 64 + 64, 0.5f), c_data = std::vector<float>(4 * 8 + 64, 1.0f),
                     d_data = std::vector<float>(4 * 8 + 64, -7.0f), bias_data = std::vector<float>(8, 1.0f);
  Owned b, quantized_d;
  mfq_tensor a, c, d, bias;
};

TEST_F(MisuseGemm, Null) { null_arguments(); }

TEST_F(MisuseGemm, Fields) {
  const mfq_scheme *scheme = &b.q.scheme;
  refused_at_planning({
      {[](mfq_gemm *g) { g->struct_size = 8; }, invalid, "gemm->struct_size is 8; allowed is"},
      {[](mfq_gemm *g) { g->struct_size = 1 << 20; }, invalid, "call mfq_gemm_init first"},
      {[](mfq_gemm *g) { g->transpose_a = 2; }, invalid, "transpose_a is 2; allowed is 0 ... 1"},
      {[](mfq_gemm *g) { g->transpose_b = -1; }, invalid, "transpose_b is -1"},
      {[](mfq_gemm *g) { g->device_scalars = 7; }, invalid, "device_scalars is 7"},
      {[](mfq_gemm *g) { set_raw(&g->activation, 5); }, invalid, "activation is 5; allowed is 0 ... 4"},
      {[](mfq_gemm *g) { g->round_operands = 3; }, invalid, "round_operands is 3"},
      {[](mfq_gemm *g) { g->own_workspace = 3; }, invalid, "own_workspace is 3"},
      {[](mfq_gemm *g) { g->a.plain = nullptr; }, invalid, "a: plain and quantized are both NULL; give one"},
      {[&](mfq_gemm *g) { g->b.plain = &a; }, invalid, "b: plain and quantized are both given; give one"},
      {[&](mfq_gemm *g) { g->b.quantize_to = scheme; }, invalid,
       "b: quantize_to is given, but the operand is quantized"},
      {[](mfq_gemm *g) { g->d = nullptr; }, invalid, "d and quantized_d are both NULL; give one"},
      {[&](mfq_gemm *g) { g->quantized_d = &quantized_d.q; }, invalid, "d and quantized_d are both given; give one"},
      {[&](mfq_gemm *g) { g->c = nullptr, g->beta = &one; }, invalid, "beta is given, but c is NULL"},
  });
  ASSERT_EQ(create(good), MFQ_OK) << mfq_last_error();
}

// Plain tensors of shape [4, 64]: A, and the D of a product with 64 columns.
TEST_F(MisuseGemm, Tensors) {
  std::vector<Bad<mfq_tensor>> inputs = bad_tensors(false), outputs;
  for (Bad<mfq_tensor> &bad : inputs)
    if (bad.says[0] == "shape") bad.says = ""; // the run says what is other than planned
  make_plan();
  expect_refused(inputs, a, "mfq_gemm_run: ", [this](const mfq_tensor *t) {
    mfq_gemm g = good;
    g.a.plain = t;
    return run(g);
  });
  std::vector<float> wide(4 * 64 + 64, -7.0f);
  Owned b64("mxfp4_e2m1", {64, 64});
  const mfq_tensor to = dense(wide.data(), MFQ_DTYPE_F32, {4, 64});
  for (const Bad<mfq_tensor> &bad : bad_tensors(true)) {
    mfq_tensor t = to;
    bad.spoil(&t);
    if (t.data != nullptr) outputs.push_back(bad); // planning does not need memory
  }
  expect_refused(outputs, to, "mfq_gemm_plan_create: ", [&](const mfq_tensor *t) {
    mfq_gemm g = good;
    g.b.quantized = &b64.q;
    g.c = g.bias = nullptr;
    g.d = t;
    return create(g);
  });
  EXPECT_EQ(wide, std::vector<float>(4 * 64 + 64, -7.0f));
}

TEST_F(MisuseGemm, Shapes) {
  Owned other("mxfp4_e2m1", {8, 32}), batched("mxfp4_e2m1", {3, 8, 64}), line("mxfp4_e2m1", {64}),
      square("e4m3fn/tensor/f32", {8, 32});
  const mfq_tensor a2 = dense(a_data.data(), MFQ_DTYPE_F32, {2, 2, 64}),
                   narrow = dense(d_data.data(), MFQ_DTYPE_F32, {4, 7}),
                   short_bias = dense(bias_data.data(), MFQ_DTYPE_F32, {7});
  refused_at_planning({
      {[&](mfq_gemm *g) { g->b.quantized = &other.q; },
       bad_shape,
       {"a of shape [4, 64] has K = 64", "b of shape [8, 32], transposed, has K = 32"}},
      {[&](mfq_gemm *g) { g->b.quantized = &line.q; }, bad_shape, "b: rank is 1; a matrix has 2"},
      {[](mfq_gemm *g) { g->transpose_b = 0; },
       unsupported,
       {"b: mxfp4_e2m1: its groups do not run along K", "(see transpose_b)"}},
      {[&](mfq_gemm *g) { g->transpose_b = 0, g->b.quantized = &square.q; }, bad_shape,
       "a of shape [4, 64] has K = 64, but b of shape [8, 32] has K = 8"},
      {[&](mfq_gemm *g) { g->a.plain = &a2, g->b.quantized = &batched.q; }, bad_shape,
       "a of shape [2, 2, 64] and b of shape [3, 8, 64] have different batches"},
      {[&](mfq_gemm *g) { g->d = &narrow; },
       bad_shape,
       {"d", ": shape is [4, 7], but the product of a and b has [4, 8]"}},
      {[&](mfq_gemm *g) { g->c = &narrow; },
       bad_shape,
       {"c", ": shape is [4, 7], but the product of a and b has [4, 8]"}},
      {[&](mfq_gemm *g) { g->d = nullptr, g->quantized_d = &other.q; }, bad_shape,
       "quantized_d: shape is [8, 32], but the product of a and b has [4, 8]"},
      {[&](mfq_gemm *g) { g->bias = &short_bias; }, bad_shape, "bias: shape is [7]; allowed is [N] = [8]"},
  });
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
    const mfq_scheme scheme = q.q.scheme;
    refused_at_planning({{[&](mfq_gemm *g) { g->b.quantized = &q.q; }, unsupported, row.says},
                         {[&](mfq_gemm *g) { g->a.quantize_to = &scheme; }, unsupported, "a: "}});
  }
  mfq_scheme given = b.q.scheme;
  given.rule = MFQ_RULE_GIVEN;
  refused_at_planning({{[&](mfq_gemm *g) { g->a.quantize_to = &given; },
                        unsupported,
                        {"a: quantize_to has the rule given", "quantize it before"}}});
}

TEST_F(MisuseGemm, Rotations) {
  Owned turned("mxfp4_e2m1/hadamard:16", {8, 64}), result("mxfp8_e4m3/group:8/hadamard:16", {4, 16}),
      wide("mxfp4_e2m1", {16, 64});
  const mfq_scheme other = turned.q.scheme, fixed = Owned("mxfp8_e4m3/hadamard:16:fixed", {8, 64}).q.scheme,
                   larger = Owned("mxfp8_e4m3/hadamard:64:seed:5", {8, 64}).q.scheme;
  const mfq_tensor odd = dense(a_data.data(), MFQ_DTYPE_F32, {4, 56});
  refused_at_planning({
      {[&](mfq_gemm *g) { g->b.quantized = &turned.q; },
       unsupported,
       {"a has no rotation, but b has hadamard:16; only equal rotations", "(a plain one by quantize_to)"}},
      {[&](mfq_gemm *g) { g->a.quantize_to = &other; }, unsupported, "a has hadamard:16, but b has no rotation"},
      {[&](mfq_gemm *g) { g->b.quantized = &turned.q, g->a.quantize_to = &fixed; }, unsupported,
       "a has hadamard:16:fixed, but b has hadamard:16;"},
      {[&](mfq_gemm *g) { g->b.quantized = &turned.q, g->a.quantize_to = &larger; }, unsupported,
       "a has hadamard:64:seed:5, but b has hadamard:16;"},
      {[&](mfq_gemm *g) { g->a.plain = &odd, g->a.quantize_to = &other; },
       bad_shape,
       {"a: axis 1 of [4, 56] has 56 elements, which hadamard:16 does not divide", "pad the axis to a multiple of 16"}},
      {[&](mfq_gemm *g) {
         g->b.quantized = &wide.q, g->d = nullptr, g->c = g->bias = nullptr;
         g->quantized_d = &result.q;
       },
       unsupported,
       {"quantized_d: e4m3fn/group:8/ue8m0/hadamard:16: results are not rotated", "by mfq_quantize"}},
  });
}

TEST_F(MisuseGemm, Workspace) {
  good.a.quantize_to = &b.q.scheme;
  workspaces();
  const mfq_tensor inside = dense(workspace, MFQ_DTYPE_F32, {4, 64});
  refused_by_run({{[&](mfq_gemm *g) { g->a.plain = &inside; }, invalid, "a.data and workspace.memory overlap"}});
}

TEST_F(MisuseGemm, OtherContext) { other_context(); }

TEST_F(MisuseGemm, OtherThanPlanned) {
  Owned other_scheme("mxfp8_e4m3", {8, 64});
  const mfq_layout bytes_layout = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0};
  Owned other_layout("mxfp4_e2m1", {8, 64}, &bytes_layout);
  const mfq_tensor rows3 = dense(a_data.data(), MFQ_DTYPE_F32, {3, 64}),
                   d3 = dense(d_data.data(), MFQ_DTYPE_F32, {3, 8});
  mfq_tensor wide = a;
  wide.strides[0] = 68;
  std::vector<uint16_t> halves(4 * 64);
  const mfq_tensor narrow = dense(halves.data(), MFQ_DTYPE_BF16, {4, 64});
  refused_by_run({
      {[&](mfq_gemm *g) { g->a.plain = &rows3, g->d = &d3, g->c = nullptr; }, bad_shape,
       "M is 3, but the plan was made for 4"},
      {[&](mfq_gemm *g) { g->a.plain = &wide; }, bad_shape,
       "a: the stride of rows is 68, but the plan was made for 64"},
      {[&](mfq_gemm *g) { g->a.plain = &narrow; }, bad_shape, "a: the dtype is 2, but the plan was made for 1"},
      {[&](mfq_gemm *g) { g->a.quantize_to = &b.q.scheme; }, bad_shape, "a: the kind of operand"},
      {[&](mfq_gemm *g) { g->b.quantized = &other_scheme.q; }, bad_shape,
       "b: the scheme is e4m3fn/group:32@1/ue8m0, but the plan was made for e2m1/group:32@1/ue8m0"},
      {[&](mfq_gemm *g) { g->b.quantized = &other_layout.q; }, bad_shape,
       "b: layout.packing is 1, but the plan was made for 0"},
      {[](mfq_gemm *g) { g->c = nullptr; }, bad_shape, "1 with and 0 without c is 0"},
      {[](mfq_gemm *g) { g->bias = nullptr; }, bad_shape, "1 with and 0 without bias is 0"},
      {[&](mfq_gemm *g) { g->alpha = &one; }, bad_shape, "1 with and 0 without alpha is 1"},
      {[](mfq_gemm *g) { g->activation = MFQ_ACTIVATION_RELU; }, bad_shape, "the activation is 1"},
      {[&](mfq_gemm *g) { g->d = nullptr, g->quantized_d = &quantized_d.q; }, bad_shape, "quantized result is 1"},
      {[](mfq_gemm *g) { g->round_operands = 1; }, bad_shape, "round_operands is 1"},
  });
}

// The plan relies on how memory was aligned when it was made.
TEST_F(MisuseGemm, WorseAligned) {
  alignas(256) static float aligned[4 * 64 + 64];
  a = dense(aligned, MFQ_DTYPE_F32, {4, 64});
  const mfq_tensor shifted = dense(aligned + 1, MFQ_DTYPE_F32, {4, 64});
  refused_by_run({{[&](mfq_gemm *g) { g->a.plain = &shifted; },
                   invalid,
                   {"a: memory at ", "is aligned to 4 bytes, but the plan was made for 256"}}});
}

TEST_F(MisuseGemm, Overlap) {
  const mfq_tensor over_c = dense(d_data.data() + 4, MFQ_DTYPE_F32, {4, 8}),
                   over_bias = dense(d_data.data() + 8, MFQ_DTYPE_F32, {8}),
                   over_a = dense(a_data.data() + 192, MFQ_DTYPE_F32, {4, 8});
  mfq_qtensor no_scales = b.q;
  no_scales.scales = nullptr;
  refused_by_run({
      {[&](mfq_gemm *g) { g->c = &over_c; }, invalid, "d.data and c.data overlap"},
      {[&](mfq_gemm *g) { g->bias = &over_bias; }, invalid, "d.data and bias.data overlap"},
      {[&](mfq_gemm *g) { g->d = &over_a; }, invalid, "a.data and d.data overlap"},
      {[&](mfq_gemm *g) { g->b.quantized = &no_scales; }, invalid, "b: scales is NULL, but needs 16 bytes"},
  });
}

TEST_F(MisuseGemm, EmptyProductsAreNoMistake) {
  const mfq_tensor none_a = dense(a_data.data(), MFQ_DTYPE_F32, {0, 64}),
                   none_d = dense(d_data.data(), MFQ_DTYPE_F32, {0, 8});
  good.a.plain = &none_a;
  good.d = &none_d;
  good.c = nullptr;
  nothing_to_do();
}

} // namespace
