/* Native products in many small steps: what mfq_slabs_of does to large ones. */
#include "small_steps.h"

#include "cuda/gemm/cublaslt/gemm_native.cu"
#include "cuda/gemm/cublaslt/native_scales.cu"
#include "cuda/gemm/cublaslt/native_side.cu"

namespace {

using namespace mfq_test;

mfq_status plan_steps_of(mfq_context *context, const mfq_gemm_problem *problem, mfq_choice *choice) {
  mfq_line reason = {};
  EXPECT_EQ(plan(context, problem, choice, &reason), MFQ_OK) << reason.text;
  auto *e = static_cast<native *>(choice->state);
  const mfq_gemm_problem p = wanted(problem);
  e->steps.step.batches = 1;
  e->steps.step.rows = std::min(p.m, (int64_t)MFQ_SLAB_ROWS);
  small_steps.steps = p.batches * ((p.m + e->steps.step.rows - 1) / e->steps.step.rows);
  EXPECT_EQ(plan_products(context, &p, e, &reason), MFQ_OK) << reason.text;
  plan_places(&p, e);
  choice->workspace_bytes = e->end;
  return MFQ_OK;
}

class NativeSteps : public SmallStepsTest {
protected:
  void on(int capability) { use(capability, {plan_steps_of, &mfq_cuda_gemm_native, 0}); }
};

Case sized(const std::string &a, const std::string &b) {
  Case x;
  x.m = 300;
  x.n = 144;
  x.k = 320;
  x.a.scheme = a;
  x.b.scheme = b;
  x.b.is_transposed = true;
  return x;
}

TEST_F(NativeSteps, FactorsOfTheFinish) {
  on(89);
  Case x = sized("e4m3fn/tensor/f32", "e5m2/channel@-2/f32");
  expect(x, 3);
  x.d = MFQ_DTYPE_BF16;
  x.activation = MFQ_ACTIVATION_GELU;
  expect(x, 3);
  x.m = 130;
  x.batches = {3};
  expect(x, 6);
}

TEST_F(NativeSteps, ScalesForEach128) {
  on(90);
  for (const char *b : {"e4m3fn/group:128/f32", "e4m3fn/block:128x128/f32"}) {
    Case x = sized("e4m3fn/group:128/f32", b);
    expect(x, 3); /* D is written at once */
    x.activation = MFQ_ACTIVATION_RELU;
    expect(x, 3);
    x.a.on_the_way = true;
    expect(x, 3);
  }
  expect(sized("e4m3fn/block:128x128/f32", "e4m3fn/group:128/f32"), 3);
}

TEST_F(NativeSteps, TilesOfScales) {
  on(100);
  for (const char *scheme : {"mxfp8_e4m3", "nvfp4"}) {
    Case x = sized(scheme, scheme);
    x.a.layout = x.b.layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16};
    x.activation = MFQ_ACTIVATION_RELU;
    expect(x, 3);
    x.m = 256;
    x.n = 128;
    x.batches = {2};
    expect(x, 4);
    x.a.on_the_way = x.b.on_the_way = true;
    expect(x, 4);
  }
}

TEST_F(NativeSteps, ResultsThatAreQuantized) {
  Case x = sized("mxfp8_e4m3", "mxfp8_e4m3");
  x.a.layout = x.b.layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16};
  x.quantized_d = "int8/tensor/f32";
  on(100);
  const Context whole = make_device_context();
  const ProductData data(x);
  expect_same(data, data.run(whole.get()), 3);
}

} // namespace
