// The stand-in for cuBLASLt refuses what NVIDIA documents as unsupported: else tests that rest on it would mean little.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstring>

#include "cublaslt_standin.h"
#include "cuda/gemm/cublaslt/cublaslt_abi.h"

namespace {

/* A function of the stand-in, by cuBLASLt's name. */
template <class F> F named(const char *name) {
  void *const found = dlsym(RTLD_DEFAULT, name);
  EXPECT_NE(found, nullptr) << name;
  F function;
  std::memcpy(&function, &found, sizeof function);
  return function;
}
#define NAMED(member, name) const auto name = named<decltype(lt_functions::member)>(#name)
NAMED(create, cublasLtCreate);
NAMED(desc_init, cublasLtMatmulDescInit_internal);
NAMED(desc_set, cublasLtMatmulDescSetAttribute);
NAMED(layout_init, cublasLtMatrixLayoutInit_internal);
NAMED(preference_init, cublasLtMatmulPreferenceInit_internal);
NAMED(preference_set, cublasLtMatmulPreferenceSetAttribute);
NAMED(heuristic, cublasLtMatmulAlgoGetHeuristic);
NAMED(matmul, cublasLtMatmul);
#undef NAMED

/* What is asked: TN of 64 x 32 x 128, one change at a time. */
struct question {
  int capability = 90;
  int m = 64, n = 32, k = 128;
  int a = LT_FP8_43, b = LT_FP8_43, d = LT_F32, bias = -1;
  int a_mode = LT_SCALE_TENSOR, b_mode = LT_SCALE_TENSOR;
  int transa = LT_OP_T, transb = LT_OP_N;
  int align = 16;
  uintptr_t scales = 256;
};

template <class T> void set(lt_desc *desc, int attribute, T value) {
  ASSERT_EQ(cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof value), LT_SUCCESS);
}

struct asked {
  void *handle;
  lt_desc desc;
  lt_layout a, b, d;
  lt_preference preference;
  lt_result result;
};

int ask(const question &q, asked *x) {
  simt::settings settings = simt::current_settings();
  settings.capability = q.capability;
  simt::change_settings(settings);
  EXPECT_EQ(cublasLtCreate(&x->handle), LT_SUCCESS);
  EXPECT_EQ(cublasLtMatmulDescInit_internal(&x->desc, sizeof x->desc, LT_COMPUTE_32F, LT_F32), LT_SUCCESS);
  set(&x->desc, LT_DESC_TRANSA, (int32_t)q.transa);
  set(&x->desc, LT_DESC_TRANSB, (int32_t)q.transb);
  set(&x->desc, LT_DESC_A_SCALE_MODE, (int32_t)q.a_mode);
  set(&x->desc, LT_DESC_B_SCALE_MODE, (int32_t)q.b_mode);
  if (q.a_mode != LT_SCALE_TENSOR || q.b_mode != LT_SCALE_TENSOR) {
    set(&x->desc, LT_DESC_A_SCALE_POINTER, (const void *)q.scales);
    set(&x->desc, LT_DESC_B_SCALE_POINTER, (const void *)q.scales);
  }
  if (q.bias >= 0) {
    set(&x->desc, LT_DESC_EPILOGUE, (uint32_t)LT_EPILOGUE_BIAS);
    set(&x->desc, LT_DESC_BIAS_TYPE, (int32_t)q.bias);
  }
  const uint64_t m = q.m, n = q.n, k = q.k;
  const bool ta = q.transa == LT_OP_T, tb = q.transb == LT_OP_T;
  (void)cublasLtMatrixLayoutInit_internal(&x->a, sizeof x->a, q.a, ta ? k : m, ta ? m : k, (int64_t)(ta ? k : m));
  (void)cublasLtMatrixLayoutInit_internal(&x->b, sizeof x->b, q.b, tb ? n : k, tb ? k : n, (int64_t)(tb ? n : k));
  (void)cublasLtMatrixLayoutInit_internal(&x->d, sizeof x->d, q.d, m, n, (int64_t)m);
  (void)cublasLtMatmulPreferenceInit_internal(&x->preference, sizeof x->preference);
  for (int i = LT_PREFERENCE_ALIGN_A; i <= LT_PREFERENCE_ALIGN_D; ++i) {
    const uint32_t align = (uint32_t)q.align;
    EXPECT_EQ(cublasLtMatmulPreferenceSetAttribute(&x->preference, i, &align, sizeof align), LT_SUCCESS);
  }
  int found = 0;
  const int status = cublasLtMatmulAlgoGetHeuristic(x->handle, &x->desc, &x->a, &x->b, &x->d, &x->d, &x->preference, 1,
                                                    &x->result, &found);
  EXPECT_EQ(found, status == LT_SUCCESS);
  return status;
}

class CublasltRules : public testing::Test {
protected:
  void SetUp() override { former_ = simt::current_settings(); }
  void TearDown() override {
    simt::change_settings(former_);
    (void)simt::take_lt_refusals();
  }
  static void takes(const question &q) {
    asked x = {};
    EXPECT_EQ(ask(q, &x), LT_SUCCESS);
    for (const std::string &refusal : simt::take_lt_refusals()) ADD_FAILURE() << refusal;
  }
  static void refuses(const question &q, const std::string &why) {
    asked x = {};
    EXPECT_NE(ask(q, &x), LT_SUCCESS) << why;
    const std::vector<std::string> all = simt::take_lt_refusals();
    ASSERT_EQ(all.size(), 1u) << why;
    EXPECT_NE(all[0].find(why), std::string::npos) << all[0];
  }
  template <class Change> static question but(Change change) {
    question q;
    change(&q);
    return q;
  }

private:
  simt::settings former_;
};

TEST_F(CublasltRules, Types) {
  takes({});
  for (const int d : {LT_F16, LT_BF16}) takes(but([&](question *q) { q->d = d; }));
  takes(but([](question *q) { q->a = LT_FP8_52; }));
  refuses(but([](question *q) { q->a = q->b = LT_FP8_52; }), "types e5m2 x e5m2");
  refuses(but([](question *q) { q->a = LT_BF16; }), "types bf16 x e4m3");
  refuses(but([](question *q) { q->a = q->b = LT_BF16, q->d = LT_F16; }), "types bf16 x bf16 -> f16");
  refuses(but([](question *q) { q->a = q->b = LT_F32, q->d = LT_BF16; }), "types f32 x f32 -> bf16");
}

TEST_F(CublasltRules, Biases) {
  takes(but([](question *q) { q->bias = LT_BF16; }));
  refuses(but([](question *q) { q->bias = LT_F32; }), "a bias of f32");
  takes(but([](question *q) { q->a = q->b = LT_BF16, q->bias = LT_F32; }));
  refuses(but([](question *q) { q->a = q->b = LT_BF16, q->bias = LT_BF16; }), "a bias of bf16");
  takes(but([](question *q) { q->a = q->b = q->d = q->bias = LT_BF16; }));
}

TEST_F(CublasltRules, OrdersAndCapabilities) {
  for (const int capability : {89, 90, 120}) {
    takes(but([&](question *q) { q->capability = capability; }));
    refuses(but([&](question *q) { q->capability = capability, q->transa = LT_OP_N; }), "other than TN");
    refuses(but([&](question *q) { q->capability = capability, q->transb = LT_OP_T; }), "other than TN");
  }
  takes(but([](question *q) { q->capability = 100, q->transa = LT_OP_N; }));
  refuses(but([](question *q) { q->capability = 80; }), "need compute capability 8.9");
  takes(but([](question *q) { q->capability = 80, q->a = q->b = LT_BF16, q->transa = LT_OP_N; }));
}

TEST_F(CublasltRules, Alignment) {
  refuses(but([](question *q) { q->align = 8; }), "not aligned to 16");
  refuses(but([](question *q) { q->k = 120; }), "multiples of 16 bytes");
  refuses(but([](question *q) { q->m = 62; }), "multiples of 16 bytes");
  takes(but([](question *q) { q->m = 60; })); /* 240 bytes of f32 */
  refuses(but([](question *q) { q->m = 60, q->d = LT_BF16; }), "multiples of 16 bytes");
  takes(but([](question *q) { q->a = q->b = LT_BF16, q->k = 7, q->m = 3, q->align = 4; }));
  refuses(but([](question *q) { q->a = q->b = LT_BF16, q->align = 2; }), "not aligned to its elements");
}

TEST_F(CublasltRules, ScaleModes) {
  const auto modes = [](int a, int b, int capability) {
    question q;
    q.a_mode = a;
    q.b_mode = b;
    q.capability = capability;
    return q;
  };
  for (const int a : {LT_SCALE_VEC128_F32, LT_SCALE_BLOCK128_F32})
    for (const int b : {LT_SCALE_VEC128_F32, LT_SCALE_BLOCK128_F32}) {
      const bool is_allowed = a == LT_SCALE_VEC128_F32 || b == LT_SCALE_VEC128_F32;
      is_allowed ? takes(modes(a, b, 90)) : refuses(modes(a, b, 90), "blocks x blocks");
      refuses(modes(a, b, 89), is_allowed ? "need compute capability 9.0" : "blocks x blocks");
      refuses(modes(a, b, 100), is_allowed ? "need compute capability 9.0" : "blocks x blocks");
    }
  takes(modes(LT_SCALE_OUTER_F32, LT_SCALE_OUTER_F32, 90));
  refuses(modes(LT_SCALE_OUTER_F32, LT_SCALE_OUTER_F32, 100), "need compute capability 9.0");
  refuses(modes(LT_SCALE_OUTER_F32, LT_SCALE_TENSOR, 90), "do not go together");
  refuses(modes(LT_SCALE_VEC128_F32, LT_SCALE_TENSOR, 90), "do not go together");
  takes(modes(LT_SCALE_VEC32_UE8M0, LT_SCALE_VEC32_UE8M0, 100));
  takes(modes(LT_SCALE_VEC32_UE8M0, LT_SCALE_VEC32_UE8M0, 120));
  refuses(modes(LT_SCALE_VEC32_UE8M0, LT_SCALE_VEC32_UE8M0, 90), "need compute capability 10.0");
  refuses(modes(LT_SCALE_VEC16_UE4M3, LT_SCALE_VEC16_UE4M3, 100), "of such types");
  question fp4 = modes(LT_SCALE_VEC16_UE4M3, LT_SCALE_VEC16_UE4M3, 100);
  fp4.a = fp4.b = LT_FP4_21;
  takes(fp4);
  fp4.transa = LT_OP_N;
  refuses(fp4, "other than TN");
  question vectors = modes(LT_SCALE_VEC128_F32, LT_SCALE_VEC128_F32, 90);
  vectors.n = 33;
  refuses(vectors, "no multiple of 4");
  vectors.n = 32;
  vectors.scales = 264;
  refuses(vectors, "not aligned to 16");
}

TEST_F(CublasltRules, AnAlgorithmIsForItsProductAndItsMemory) {
  asked x = {};
  question q;
  q.a = q.b = LT_BF16;
  q.align = 256;
  ASSERT_EQ(ask(q, &x), LT_SUCCESS);
  void *memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, 1 << 20), cudaSuccess);
  auto *bytes = static_cast<uint8_t *>(memory);
  const float one = 1, zero = 0;
  const auto run = [&](lt_layout *d, void *at, size_t workspace_bytes) {
    return cublasLtMatmul(x.handle, &x.desc, &one, bytes, &x.a, bytes + 65536, &x.b, &zero, at, d, at, d,
                          &x.result.algo, nullptr, workspace_bytes, nullptr);
  };
  EXPECT_EQ(run(&x.d, bytes + 131072, 0), LT_SUCCESS);
  EXPECT_EQ(run(&x.d, bytes + 131072 + 16, 0), LT_INVALID_VALUE);
  EXPECT_EQ(run(&x.d, bytes + 131072, 256), LT_INVALID_VALUE) << "no workspace behind the size";
  lt_layout wider = x.d;
  (void)cublasLtMatrixLayoutInit_internal(&wider, sizeof wider, LT_F32, 64, 32, 80);
  EXPECT_EQ(run(&wider, bytes + 131072, 0), LT_INVALID_VALUE);
  const std::vector<std::string> all = simt::take_lt_refusals();
  ASSERT_EQ(all.size(), 3u);
  for (const std::string &refusal : all) EXPECT_EQ(refusal.rfind("fault: ", 0), 0u) << refusal;
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
}

} // namespace
