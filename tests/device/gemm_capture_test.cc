// Products in CUDA graphs, one for each implementation: a run allocates nothing, waits for nothing, and replays.
#include "capture.h"
#include "support/product.h"

namespace {

using namespace mfq_test;

struct Row {
  const char *by; /* the implementation; any: NULL */
  Case x;
};

std::vector<Row> rows() {
  std::vector<Row> list = {
      {"few rows", sized(3, 40, 64, plain(), weights("mxfp4_e2m1"))},
      {nullptr, sized(80, 48, 128, quantized("mxfp8_e4m3"), weights("mxfp8_e4m3"))},
      {nullptr, sized(80, 48, 128, quantized("e4m3fn/tensor/f32"), weights("e4m3fn/tensor/f32"))},
      {nullptr, sized(160, 48, 256, quantized("mxfp4_e2m1"), weights("mxfp6_e3m2"))},
      {nullptr, sized(9, 11, 33, quantized("uint8/group:16/f32/zp"), plain(MFQ_DTYPE_F32))},
  };
  const size_t count = list.size();
  for (size_t i = 0; i < count; ++i) {
    Row row = list[i];
    if (row.x.a.scheme.empty()) continue;
    row.x.a.on_the_way = true;
    row.x.quantized_d = "mxfp8_e4m3";
    row.x.has_bias = true;
    row.x.device_scalars = true;
    row.x.alpha = 0.5f;
    list.push_back(row);
  }
  return list;
}

class GemmCapture : public OnDevice {};

TEST_F(GemmCapture, EveryImplementationReplays) {
  for (const mfq_policy policy : {MFQ_FAST, MFQ_REPRODUCIBLE}) {
    const Context context = make_context_of(device_name(), policy);
    for (const Row &row : rows()) {
      trace(text_of(row.x));
      const ProductData data(row.x);
      const ProductResult want = data.run(context.get());
      ASSERT_EQ(want.status, MFQ_OK) << mfq_last_error();
      if (row.by != nullptr && policy == MFQ_FAST)
        EXPECT_EQ(want.description.rfind(std::string(row.by) + ": ", 0), 0u) << want.description;
      const ProductResult got = data.run(
          context.get(), [&](const std::function<mfq_status()> &work) { return captured(context.get(), work); });
      ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error() << text_of(row.x);
      EXPECT_EQ(got.bytes, want.bytes) << text_of(row.x) << "; " << want.description;
    }
  }
}

} // namespace
