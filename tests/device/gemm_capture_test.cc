// Products in CUDA graphs, one for each implementation: a run allocates nothing, waits for nothing, and replays.
#include <cuda_runtime.h>

#include "support/product.h"

#if defined(MFQ_SIMT)
#include "simt/simt.h"
#endif

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
  for (size_t i = 0; i < count; i++) {
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

/* Allocations, frees and waits so far; a real runtime only refuses them in a capture. */
uint64_t toll() {
#if defined(MFQ_SIMT)
  const simt::counters c = simt::current_counters();
  return c.allocations + c.frees + c.synchronisations;
#else
  return 0;
#endif
}

class GemmCapture : public OnDevice {
protected:
  static mfq_status captured(mfq_context *context, const std::function<mfq_status()> &work) {
    const cudaStream_t stream = mfq_context_stream(context);
    EXPECT_EQ(mfq_context_synchronize(context), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    const uint64_t before = toll();
    const mfq_status status = work();
    EXPECT_EQ(toll(), before) << "a run allocated, freed or waited";
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess) << "a run broke the capture";
    EXPECT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    for (int i = 0; i < 2; i++) EXPECT_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return status;
  }
};

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
      const ProductResult got =
          data.run(context.get(), [&](const std::function<mfq_status()> &work) { return captured(context.get(), work); });
      ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error() << text_of(row.x);
      EXPECT_EQ(got.bytes, want.bytes) << text_of(row.x) << "; " << want.description;
    }
  }
}

} // namespace
