/* Expanded products in many small steps: what mfq_slabs_of does to products of hundreds of megabytes, done to small
 * ones, by putting smaller steps into plans. */
#include "small_steps.h"

#include "cuda/gemm/expansion.cu"
#include "cuda/gemm/gemm_expanded.cu"

namespace {

using namespace mfq_test;

int64_t batches_of_step; /* 0: one batch, and steps as small as they may be */

mfq_status plan_steps_of(mfq_context *context, const mfq_gemm_problem *p, mfq_choice *choice) {
  mfq_line reason = {};
  EXPECT_EQ(plan(context, p, choice, &reason), MFQ_OK) << reason.text;
  auto *e = static_cast<expanded *>(choice->state);
  if (batches_of_step > 0) {
    e->steps.step.batches = std::min(batches_of_step, p->batches);
  } else {
    const int a_cuts = e->a.cut > 0 && !e->a_is_whole, b_cuts = e->b.cut > 0 && !e->b_is_whole;
    e->steps.step.batches = 1;
    e->steps.step.rows = std::min(p->m, a_cuts ? mfq_slab_unit(e->a.cut) : (int64_t)MFQ_SLAB_ROWS);
    e->steps.step.cols = b_cuts ? std::min(p->n, mfq_slab_unit(e->b.cut)) : p->n;
  }
  small_steps.steps = (p->batches + e->steps.step.batches - 1) / e->steps.step.batches *
                      ((p->m + e->steps.step.rows - 1) / e->steps.step.rows) *
                      ((p->n + e->steps.step.cols - 1) / e->steps.step.cols);
  EXPECT_EQ(plan_products(context, p, e, &reason), MFQ_OK) << reason.text;
  plan_places(p, e);
  choice->workspace_bytes = e->end;
  return MFQ_OK;
}

class ExpandedSteps : public SmallStepsTest {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    batches_of_step = 0;
    use(80, {plan_steps_of, &mfq_cuda_gemm_expanded, 0});
  }
};

Case sized(const std::string &a, const std::string &b) {
  Case x;
  x.m = 300;
  x.n = 260;
  x.k = 40;
  x.a.scheme = a;
  x.b.scheme = b;
  x.b.is_transposed = true;
  x.a.dtype = x.b.dtype = MFQ_DTYPE_BF16;
  return x;
}

TEST_F(ExpandedSteps, RowsAndColumns) {
  for (const char *scheme :
       {"", "mxfp8_e4m3", "mxfp4_e2m1", "mxfp6_e3m2", "nvfp4", "int8/tensor/f32", "uint4/channel@-2/f32/zp",
        "e4m3fn/group:16/f32", "uint4/group:8/bf16/zp", "int3/group:5/f32"})
    expect(sized(scheme, scheme), 9);
}

TEST_F(ExpandedSteps, ConvertedOperands) {
  Case x = sized("", "");
  x.b.dtype = MFQ_DTYPE_F32; /* A is copied */
  expect(x, 9);
  x.a.is_transposed = true;
  expect(x, 9);
  x.b.is_transposed = false;
  x.b.row_padding = 3;
  expect(x, 9);
}

TEST_F(ExpandedSteps, LayoutsOfCodesAndScales) {
  Case x = sized("mxfp6_e3m2", "mxfp4_e2m1");
  x.a.layout = x.b.layout = {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 16};
  expect(x, 9);
  x.a.layout = x.b.layout = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 4};
  expect(x, 9);
  x = sized("mxfp6_e3m2/group:32@-2", "mxfp4_e2m1/group:32@-2");
  x.a.is_transposed = true;
  x.b.is_transposed = false;
  x.a.layout = x.b.layout = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
  expect(x, 9);
  x.a.layout = x.b.layout = {}; /* codes along rows: expanded whole */
  expect(x, 3);
  expect(sized("e4m3fn/block:32x16/f32", "e4m3fn/block:16x32/f32"), 9);
  expect(sized("e4m3fn/block:96x16/f32", "e4m3fn/block:16x32/f32"), 3); /* steps of 384 rows are one */
}

TEST_F(ExpandedSteps, OnTheWay) {
  Case x = sized("mxfp8_e4m3", "nvfp4");
  x.a.on_the_way = x.b.on_the_way = true;
  expect(x, 9);
  x = sized("int8/tensor/f32", "int8/channel@-2/f32");
  x.a.on_the_way = x.b.on_the_way = true;
  expect(x, 9);
}

TEST_F(ExpandedSteps, Finishes) {
  Case x = sized("mxfp8_e4m3", "int8/channel@-2/f32");
  x.has_c = x.has_bias = true;
  x.alpha = -0.5f;
  x.beta = 2.0f;
  x.activation = MFQ_ACTIVATION_GELU;
  expect(x, 9);
  x = sized("mxfp8_e4m3", "mxfp8_e4m3"); /* written at once */
  x.has_c = x.has_bias = true;
  expect(x, 9);
  x = sized("", "");
  x.d = MFQ_DTYPE_BF16;
  x.has_c = x.c_is_d = true;
  expect(x, 9);
}

TEST_F(ExpandedSteps, ResultsThatAreQuantized) {
  Case x = sized("", "");
  x.quantized_d = "int8/tensor/f32";
  x.has_bias = true;
  const ProductData data(x);
  expect_same(data, data.run(device()), 9);
}

TEST_F(ExpandedSteps, BatchesTogetherAndAlone) {
  for (const char *scheme : {"", "mxfp4_e2m1", "nvfp4", "int8/channel@-2/f32"})
    for (const bool a_shared : {false, true})
      for (const bool is_alone : {false, true}) {
        batches_of_step = is_alone ? 0 : 2;
        Case x = sized(scheme, scheme);
        x.m = 130;
        x.n = 20;
        x.batches = {5};
        x.a.is_shared = a_shared;
        x.activation = MFQ_ACTIVATION_RELU;
        expect(x, is_alone ? 10 : 3);
      }
}

} // namespace
