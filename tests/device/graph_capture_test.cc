// Every operation can be captured into a CUDA graph and replayed with other data. A capture refuses allocation and
// synchronisation, so that operations which can be captured do neither; both are counted too.
#include <cuda_runtime.h>

#include "support/device.h"

#if defined(MFQ_SIMT)
#include "simt/emulator/simt.h"
#endif

namespace {

using namespace mfq_test;

/* A stream in capture, a graph of it, and its replay. */
class GraphCapture : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (device() == nullptr) return;
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
    context_ = make_device_context();
    ASSERT_NE(context_, nullptr) << mfq_last_error();
    ASSERT_EQ(mfq_context_set_stream(context_.get(), stream_), MFQ_OK) << mfq_last_error();
  }
  void TearDown() override {
    context_.reset();
    if (stream_ != nullptr) EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
  }
  template <typename Work> void capture(Work work) {
    ASSERT_EQ(mfq_context_synchronize(context_.get()), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal), cudaSuccess);
    work();
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess) << "an operation broke the capture";
    ASSERT_EQ(cudaGraphInstantiate(&exec_, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  }
  void replay() {
    ASSERT_EQ(cudaGraphLaunch(exec_, stream_), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  }
  void forget() {
    EXPECT_EQ(cudaGraphExecDestroy(exec_), cudaSuccess);
    exec_ = nullptr;
  }

  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t exec_ = nullptr;
  Context context_;
};

// clang-format off
const char *const schemes[] = {"mxfp8_e4m3",          "mxfp4_e2m1",          "mxfp6_e3m2/group:32@0", "nvfp4",
                               "e4m3fn/tensor/f32",   "int8n/channel@1/f32", "uint4/group:32/f32/zp", "uint8/tensor/f32/zp",
                               "fp8_e4m3_block128",   "e5m2",                "e2m2/group:5/f16",
                               "mxfp8_e4m3/round:stochastic", "brevitas:MXFloat8e4m3Weight",
                               "e4m3fn/channel@0/f32:given"};
// clang-format on

/* Quantize, repack, dequantize, expand scales, fake quantize: sources and results of a scheme. */
struct Work {
  Shape shape = {70, 64};
  Operand x{MFQ_DTYPE_BF16, shape}, y{MFQ_DTYPE_F32, shape}, scales{MFQ_DTYPE_F32, shape}, fake{MFQ_DTYPE_BF16, shape};
  mfq_scheme scheme;
  mfq_layout bytes = {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16};
  Quantized q, repacked;

  explicit Work(const char *text) : scheme(parse(text)), q(scheme, shape), repacked(scheme, shape, &bytes) {
    if (scheme.rule == MFQ_RULE_GIVEN) give_scales(&q, 3);
  }
  mfq_status run(mfq_context *context, const mfq_qtensor *codes, const mfq_qtensor *other, const mfq_tensor *t) const {
    mfq_status status = mfq_quantize(context, &t[0], codes, nullptr);
    if (status == MFQ_OK) status = mfq_repack(context, codes, other);
    if (status == MFQ_OK) status = mfq_dequantize(context, other, &t[1]);
    if (status == MFQ_OK) status = mfq_expand_scales(context, other, &t[2]);
    if (status != MFQ_OK) return status;
    return scheme.rule == MFQ_RULE_GIVEN ? mfq_fake_quantize_given(context, codes, &t[0], &t[3])
                                         : mfq_fake_quantize(context, &scheme, &t[0], &t[3], nullptr);
  }
};

TEST_F(GraphCapture, EveryOperationReplays) {
  for (const char *text : schemes) {
    SCOPED_TRACE(text);
    Work w(text);
    mfq_context *const c = context_.get();
    DeviceMemory x(c, w.x.bytes.data(), w.x.bytes.size()), y(c, w.y.bytes.data(), w.y.bytes.size());
    const DeviceMemory scales(c, w.scales.bytes.data(), w.scales.bytes.size());
    const DeviceMemory fake(c, w.fake.bytes.data(), w.fake.bytes.size());
    const DeviceQuantized q(c, w.q), repacked(c, w.repacked);
    const mfq_tensor there[] = {w.x.at(x.data()), w.y.at(y.data()), w.scales.at(scales.data()), w.fake.at(fake.data())};
    ASSERT_EQ(mfq_context_set_seed(c, 11, 2), MFQ_OK);
    ASSERT_EQ(mfq_context_set_seed(cpu(), 11, 2), MFQ_OK);
    capture([&] { EXPECT_EQ(w.run(c, &q.q, &repacked.q, there), MFQ_OK) << mfq_last_error(); });
    if (HasFatalFailure()) return;
    EXPECT_EQ(y.read(), w.y.bytes) << "work ran while it was captured";
    for (uint32_t seed = 0; seed < 3; ++seed) {
      w.x.fill_awkward(seed);
      x.write(w.x.bytes.data());
      replay();
      if (HasFatalFailure()) return;
      const mfq_tensor here[] = {w.x.here(), w.y.here(), w.scales.here(), w.fake.here()};
      ASSERT_EQ(w.run(cpu(), &w.q.q, &w.repacked.q, here), MFQ_OK) << mfq_last_error();
      ASSERT_TRUE(same_memory(y.read(), w.y.bytes, 4)) << "replay " << seed;
      ASSERT_TRUE(same_memory(scales.read(), w.scales.bytes, 4)) << "replay " << seed;
      ASSERT_TRUE(same_memory(fake.read(), w.fake.bytes, 2)) << "replay " << seed;
      Quantized got(w.scheme, w.shape);
      q.download(&got);
      ASSERT_TRUE(same_parts(got, w.q)) << "replay " << seed;
    }
    forget();
  }
  ASSERT_EQ(mfq_context_set_seed(cpu(), 0, 0), MFQ_OK);
}

TEST_F(GraphCapture, BothDirectionsReplay) {
  Operand x(MFQ_DTYPE_F32, {96, 64});
  Quantized row(parse("mxfp8_e4m3"), x.shape), col(parse("mxfp8_e4m3/group:32@0"), x.shape);
  const Quantized *const unwritten_row = &row;
  DeviceMemory memory(context_.get(), x.bytes.data(), x.bytes.size());
  const DeviceQuantized row_there(context_.get(), *unwritten_row), col_there(context_.get(), col);
  const mfq_tensor there = x.at(memory.data());
  capture(
      [&] { EXPECT_EQ(mfq_quantize(context_.get(), &there, &row_there.q, &col_there.q), MFQ_OK) << mfq_last_error(); });
  if (HasFatalFailure()) return;
  for (uint32_t seed = 0; seed < 2; ++seed) {
    x.fill_awkward(seed);
    memory.write(x.bytes.data());
    replay();
    const mfq_tensor here = x.here();
    ASSERT_EQ(mfq_quantize(cpu(), &here, &row.q, &col.q), MFQ_OK) << mfq_last_error();
    Quantized got_row(row.q.scheme, x.shape), got_col(col.q.scheme, x.shape);
    row_there.download(&got_row);
    col_there.download(&got_col);
    ASSERT_TRUE(same_parts(got_row, row));
    ASSERT_TRUE(same_parts(got_col, col));
  }
  forget();
}

/* What cannot be captured says so, and leaves the capture whole. */
TEST_F(GraphCapture, WhatCannotBeCapturedIsRefused) {
  std::vector<uint8_t> host(64, 1);
  mfq_buffer *buffer = nullptr, *other = nullptr;
  ASSERT_EQ(mfq_buffer_create(context_.get(), 64, &buffer), MFQ_OK) << mfq_last_error();
  capture([&] {
    EXPECT_EQ(mfq_buffer_create(context_.get(), 64, &other), MFQ_ERROR_UNSUPPORTED);
    EXPECT_EQ(mfq_buffer_write(buffer, 0, host.data(), 64), MFQ_ERROR_UNSUPPORTED);
    EXPECT_EQ(mfq_buffer_read(buffer, 0, host.data(), 64), MFQ_ERROR_UNSUPPORTED);
    EXPECT_EQ(mfq_context_synchronize(context_.get()), MFQ_ERROR_UNSUPPORTED);
    EXPECT_NE(std::string(mfq_last_error()).find("captur"), std::string::npos) << mfq_last_error();
    EXPECT_EQ(mfq_buffer_fill(buffer, 0, 64, 7), MFQ_OK) << mfq_last_error();
  });
  if (HasFatalFailure()) return;
  replay();
  EXPECT_EQ(mfq_buffer_read(buffer, 0, host.data(), 64), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(host, std::vector<uint8_t>(64, 7));
  forget();
  mfq_buffer_destroy(buffer);
}

/* Allocations and waits of the emulated runtime; a real one only says how much memory is free. */
struct Toll {
  uint64_t taken = 0, waits = 0;
  static Toll now() {
#if defined(MFQ_SIMT)
    const simt::counters c = simt::current_counters();
    return {c.allocations + c.frees, c.synchronisations};
#else
    size_t unused = 0, total = 0;
    EXPECT_EQ(cudaMemGetInfo(&unused, &total), cudaSuccess);
    return {unused, 0};
#endif
  }
};

TEST_F(GraphCapture, OperationsTakeNoMemoryAndDoNotWait) {
  for (const char *text : schemes) {
    SCOPED_TRACE(text);
    Work w(text);
    w.x.fill_awkward(1);
    mfq_context *const c = context_.get();
    const DeviceMemory x(c, w.x.bytes.data(), w.x.bytes.size()), y(c, w.y.bytes.data(), w.y.bytes.size());
    const DeviceMemory scales(c, w.scales.bytes.data(), w.scales.bytes.size());
    const DeviceMemory fake(c, w.fake.bytes.data(), w.fake.bytes.size());
    const DeviceQuantized q(c, w.q), repacked(c, w.repacked);
    const mfq_tensor there[] = {w.x.at(x.data()), w.y.at(y.data()), w.scales.at(scales.data()), w.fake.at(fake.data())};
    ASSERT_EQ(w.run(c, &q.q, &repacked.q, there), MFQ_OK) << mfq_last_error(); /* first runs load kernels */
    ASSERT_EQ(mfq_context_synchronize(c), MFQ_OK) << mfq_last_error();
    const Toll before = Toll::now();
    for (int i = 0; i < 3; ++i) ASSERT_EQ(w.run(c, &q.q, &repacked.q, there), MFQ_OK) << mfq_last_error();
    const Toll after = Toll::now();
    EXPECT_EQ(after.taken, before.taken) << "memory was taken or given back";
    EXPECT_EQ(after.waits, before.waits) << "the host waited";
#if defined(MFQ_SIMT)
    EXPECT_EQ(cudaStreamQuery(stream_), cudaErrorNotReady) << "the emulator runs nothing before something waits";
#endif
    ASSERT_EQ(mfq_context_synchronize(c), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(Toll::now().taken, before.taken) << "memory was taken or given back";
  }
}

/* Whether scales are equal is not known before the device has run. */
TEST_F(GraphCapture, ScalesThatBecomeOneAreNotCaptured) {
  Quantized fine(parse("mxfp8_e4m3"), {4, 256}), coarse(parse("mxfp8_e4m3_tied"), {4, 256});
  std::fill(fine.scales.begin(), fine.scales.end(), (uint8_t)127);
  mfq_context *const c = context_.get();
  const DeviceQuantized from(c, fine), to(c, coarse);
  capture([&] {
    EXPECT_EQ(mfq_repack(c, &from.q, &to.q), MFQ_ERROR_UNSUPPORTED);
    EXPECT_NE(std::string(mfq_last_error())
                  .find("is being captured into a graph, and the call waits for it to learn whether scales"),
              std::string::npos)
        << mfq_last_error();
    EXPECT_EQ(mfq_repack(c, &to.q, &from.q), MFQ_OK) << mfq_last_error(); /* one that becomes several */
  });
  replay();
  forget();
}

} // namespace
