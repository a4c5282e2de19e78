// Which kernels producers take, as their debug message says, what follows for codes, and runs in CUDA graphs.
#include "capture.h"
#include "support/making.h"

namespace {

using namespace mfq_test;

std::string messages;
void keep(void *, mfq_log_level, const char *message) {
  messages += std::string(messages.empty() ? "" : "; ") + message;
}

class ProducePaths : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (device() == nullptr) return;
    mfq_context_options options;
    mfq_context_options_init(&options);
    options.device = device_name();
    options.log_level = MFQ_LOG_DEBUG;
    options.log = keep;
    poison_memory(&options);
    mfq_context *context = nullptr;
    ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
    telling_.reset(context);
  }

  Context telling_;
};

/* RMSNorm with the sum of a residual stream, or SwiGLU; an empty scheme: none. */
struct Call {
  bool is_norm = true;
  Shape shape = {256, 128};
  mfq_dtype dtype = MFQ_DTYPE_BF16;
  std::string row, col;
  bool has_plain = false;
  mfq_layout col_layout = {};
};

void make(const Call &c, Making *m) {
  Shape wide = c.shape;
  wide.back() *= c.is_norm ? 1 : 2;
  const int x = m->add(made_operand(c.dtype, wide, 0, 1)), residual = m->add(made_operand(c.dtype, c.shape, 0, 2));
  const int sum = m->add(Operand(c.dtype, c.shape)), plain = c.has_plain ? m->add(Operand(c.dtype, c.shape)) : -1;
  const int row = c.row.empty() ? -1 : m->add(parse(c.row), c.shape);
  const int col = c.col.empty() ? -1 : m->add(parse(c.col), c.shape, &c.col_layout);
  m->run = [=, is_norm = c.is_norm](mfq_context *context, const MadeOperands &on) {
    const mfq_outputs y = {on.tensor(plain), on.code(row), on.code(col)};
    mfq_norm n;
    mfq_norm_init(&n);
    n.x = on.tensor(x);
    n.residual = on.tensor(residual);
    n.sum = on.tensor(sum);
    n.y = y;
    mfq_activating a;
    mfq_activating_init(&a);
    a.activation = MFQ_ACTIVATION_SILU;
    a.gate = MFQ_GATE_HALVES;
    a.x = on.tensor(x);
    a.y = y;
    return is_norm ? mfq_norm_forward(context, &n) : mfq_activation_forward(context, &a);
  };
}

std::string told(mfq_context *context, const Call &c) {
  Making m;
  make(c, &m);
  messages.clear();
  EXPECT_TRUE(m.same(context)) << c.row << ", " << c.col;
  return messages;
}

constexpr mfq_layout kTurned = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
constexpr mfq_layout kTransposed = {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};

TEST_F(ProducePaths, CodesAreMadeWhereResultsAre) {
  const std::string rows = "made and quantized 16 a thread", tiles = "made and quantized in tiles of 128 rows";
  for (const bool is_norm : {true, false}) {
    const std::string start = is_norm ? "mfq_norm_forward: fast: " : "mfq_activation_forward: fast: ";
    for (const mfq_dtype dtype : kDtypes) {
      const Shape shape = {130, 128};
      for (const char *scheme : {"mxfp8_e4m3", "mxfp4_e2m1", "nvfp4", "mxint8", "e4m3fn/group:128/f32",
                                 "e4m3fn/tensor/f32:given", "mxfp8_e4m3/round:stochastic"})
        EXPECT_EQ(told(telling_.get(), {is_norm, shape, dtype, scheme, ""}), start + rows) << scheme;
      for (const char *scheme : {"e4m3fn/tensor/f32", "int8/channel@0/f32", "uint8/tensor/f32/zp/stat:minmax"})
        EXPECT_EQ(told(telling_.get(), {is_norm, shape, dtype, scheme, "", true}), start + "made and measured, " + rows)
            << scheme;
      EXPECT_EQ(told(telling_.get(), {is_norm, shape, dtype, "", "mxfp8_e4m3/group:32@0", true}), start + tiles);
      EXPECT_EQ(told(telling_.get(), {is_norm, shape, dtype, "nvfp4", "nvfp4/group:16@0", false, kTurned}),
                start + tiles + ", both directions");
      EXPECT_EQ(told(telling_.get(), {is_norm, shape, dtype, "fp8_e4m3_block128", "", true}),
                start + tiles + ", by blocks");
      EXPECT_EQ(told(telling_.get(),
                     {is_norm, shape, dtype, "e2m1/block:16x16/ue4m3", "e2m1/block:16x16/ue4m3", false, kTransposed}),
                start + tiles + ", by blocks, both directions");
      EXPECT_EQ(told(telling_.get(), {is_norm, shape, dtype, "e4m3fn/group:128/f32", "e4m3fn/group:128@0/f32"}),
                start + rows + ", then " + tiles);
    }
  }
}

TEST_F(ProducePaths, OtherCodesAreMadeOfFloat32) {
  const std::string general = "mfq_norm_forward: general: float32 results, then codes of them; not fast: ";
  const struct {
    const char *scheme, *why, *quantize;
  } rows[] = {
      {"e4m3fn/group:24/f32", "groups of other sizes than 16, 32, 64, 128 and, along rows, 256 and 512", "general"},
      {"uint4/group:32/f32/zp", "ranges and zero points of groups are still to be measured", "rows"}};
  for (const auto &row : rows) {
    const std::string got = told(telling_.get(), {true, {4, 64}, MFQ_DTYPE_F32, row.scheme, ""});
    EXPECT_EQ(got.rfind(general + row.why + "; mfq_norm_forward: " + row.quantize, 0), 0u) << got;
  }
  EXPECT_EQ(told(telling_.get(), {true, {4, 64}, MFQ_DTYPE_F32, "", "", true}),
            "mfq_norm_forward: general: 8 elements a thread");
}

/* The codes of a call are those that quantizing the float32 results makes, which is the general way. */
TEST_F(ProducePaths, FastCodesAreThoseOfTheGeneralWay) {
  static const char *const schemes[][2] = {{"mxfp8_e4m3", "mxfp8_e4m3/group:32@0"}, {"e4m3fn/block:64x64/f32", ""}};
  for (const auto &scheme : schemes) {
    Making m, n;
    make({true, {70, 100}, MFQ_DTYPE_BF16, scheme[0], scheme[1]}, &m);
    make({true, {70, 100}, MFQ_DTYPE_F32, "", "", true}, &n);
    n.tensors[0] = m.tensors[0];
    n.tensors[1] = m.tensors[1];
    n.tensors[2] = m.tensors[2];
    ASSERT_TRUE(m.same());
    ASSERT_TRUE(n.same());
    std::deque<Quantized> again;
    for (const Quantized &q : m.codes) again.emplace_back(q.q.scheme, logical_shape(q), &q.q.layout);
    const mfq_tensor results = n.tensors[3].here();
    ASSERT_EQ(mfq_quantize(cpu(), &results, &again[0].q, again.size() > 1 ? &again[1].q : nullptr), MFQ_OK);
    for (size_t i = 0; i < again.size(); ++i) EXPECT_TRUE(same_parts(again[i], m.codes[i])) << scheme[i];
  }
}

TEST_F(ProducePaths, Graphs) {
  const Context context = make_device_context();
  ASSERT_NE(context, nullptr) << mfq_last_error();
  for (const bool is_norm : {true, false})
    for (const Call &c : {Call{is_norm, {130, 64}, MFQ_DTYPE_BF16, "nvfp4", "nvfp4/group:16@0", true},
                          Call{is_norm, {130, 64}, MFQ_DTYPE_F32, "", "", true},
                          Call{is_norm, {64, 64}, MFQ_DTYPE_F16, "mxfp4_e2m1/block:32x32", "", false}}) {
      Making m;
      make(c, &m);
      const auto run = m.run;
      m.run = [&](mfq_context *at, const MadeOperands &on) {
        return at == context.get() ? captured(at, [&] { return run(at, on); }) : run(at, on);
      };
      EXPECT_TRUE(m.same(context.get())) << c.row;
    }
}

/* What is allocated at first is there in a capture. */
TEST_F(ProducePaths, ScratchMemoryIsNotAllocatedInACapture) {
  const Context context = make_device_context();
  ASSERT_NE(context, nullptr) << mfq_last_error();
  for (int i = 0; i < 2; ++i) {
    Making m;
    make({true, {8, 48}, MFQ_DTYPE_BF16, "e4m3fn/group:24/f32", ""}, &m);
    const auto run = m.run;
    mfq_status status = MFQ_OK;
    m.run = [&](mfq_context *at, const MadeOperands &on) {
      if (at != context.get()) return run(at, on);
      status = captured(at, [&] { return run(at, on); });
      const std::string why = mfq_last_error();
      if (i == 1) return status;
      EXPECT_EQ(status, MFQ_ERROR_UNSUPPORTED);
      EXPECT_EQ(why,
                "mfq_norm_forward: the context's stream is being captured into a graph, and the scratch memory that it "
                "needs cannot be allocated then; do it before the capture or after its end");
      return run(at, on);
    };
    EXPECT_TRUE(m.same(context.get()));
    EXPECT_EQ(status, i == 0 ? MFQ_ERROR_UNSUPPORTED : MFQ_OK);
  }
}

} // namespace
