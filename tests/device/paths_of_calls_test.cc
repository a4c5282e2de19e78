// Which kernels a call takes, as its debug message says: a fast path that silently refuses would still be correct.
#include "support/device.h"

namespace {

using namespace mfq_test;

std::string last_message;
void keep(void *, mfq_log_level, const char *message) { last_message = message; }

/* A call on a context that tells which path it took. */
class PathsOfCalls : public OnDevice {
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

  std::string quantize(mfq_dtype dtype, const Shape &shape, const QuantizeCall &call, size_t front = 0) {
    Operand x(dtype, shape);
    const DeviceMemory there(telling_.get(), x.bytes.data(), x.bytes.size(), front);
    const mfq_tensor src = x.at(there.data());
    const Quantized row(parse(call.row), shape, &call.row_layout);
    const DeviceQuantized row_there(telling_.get(), row);
    if (call.col.empty()) {
      EXPECT_EQ(mfq_quantize(telling_.get(), &src, &row_there.q, nullptr), MFQ_OK) << mfq_last_error();
    } else {
      const Quantized col(parse(call.col), shape, &call.col_layout);
      const DeviceQuantized col_there(telling_.get(), col);
      EXPECT_EQ(mfq_quantize(telling_.get(), &src, &row_there.q, &col_there.q), MFQ_OK) << mfq_last_error();
    }
    return last_message;
  }
  std::string dequantize(mfq_dtype dtype, const Shape &shape, const QuantizeCall &call) {
    Operand y(dtype, shape);
    const DeviceMemory there(telling_.get(), y.bytes.data(), y.bytes.size());
    const mfq_tensor dst = y.at(there.data());
    const Quantized q(parse(call.row), shape, &call.row_layout);
    const DeviceQuantized q_there(telling_.get(), q);
    EXPECT_EQ(mfq_dequantize(telling_.get(), &q_there.q, &dst), MFQ_OK) << mfq_last_error();
    return last_message;
  }

  std::string fake(mfq_dtype dtype, const Shape &shape, const std::string &scheme, mfq_dtype to,
                   bool has_mask = false) {
    Operand x(dtype, shape), y(to, shape);
    const DeviceMemory from(telling_.get(), x.bytes.data(), x.bytes.size());
    const DeviceMemory there(telling_.get(), y.bytes.data(), y.bytes.size());
    const mfq_tensor src = x.at(from.data()), dst = y.at(there.data());
    const mfq_scheme parsed = parse(scheme);
    mfq_fake_forward f;
    mfq_fake_forward_init(&f);
    f.scheme = &parsed;
    f.src = &src;
    f.dst = &dst;
    mfq_mask mask;
    const DeviceMemory bits(telling_.get(), nullptr, x.count() / 8 + 1);
    if (has_mask) {
      EXPECT_EQ(mfq_mask_init(&parsed, (int32_t)shape.size(), shape.data(), &mask), MFQ_OK) << mfq_last_error();
      mask.bits = bits.data();
      f.mask = &mask;
    }
    EXPECT_EQ(mfq_fake_quantize_forward(telling_.get(), &f), MFQ_OK) << mfq_last_error();
    return last_message;
  }

  std::string backward(mfq_dtype dtype, const Shape &shape, const std::string &text, mfq_ste ste, bool through) {
    Operand x(dtype, shape);
    const DeviceMemory src(telling_.get(), x.bytes.data(), x.bytes.size()),
        dy(telling_.get(), x.bytes.data(), x.bytes.size());
    const mfq_tensor elements = x.at(src.data()), gradients = x.at(dy.data());
    const mfq_scheme scheme = parse(text);
    mfq_fake_gradient g;
    mfq_fake_gradient_init(&g);
    g.scheme = &scheme;
    g.ste = ste;
    g.src = &elements;
    g.upstream = g.dx = &gradients;
    g.through_scale = through;
    EXPECT_EQ(mfq_fake_quantize_backward(telling_.get(), &g), MFQ_OK) << mfq_last_error();
    return last_message;
  }

  std::string observe(mfq_dtype dtype, const Shape &shape, const std::string &text, const std::string &statistic) {
    Operand x(dtype, shape);
    const Quantized scaled(parse(text), shape);
    const DeviceMemory there(telling_.get(), x.bytes.data(), x.bytes.size());
    const DeviceMemory to(telling_.get(), nullptr, (size_t)scaled.sizes.scale_count * sizeof(float));
    const mfq_tensor src = x.at(there.data());
    mfq_observer observer;
    EXPECT_EQ(mfq_observer_parse(statistic.c_str(), &observer), MFQ_OK) << mfq_last_error();
    mfq_tensor values;
    EXPECT_EQ(mfq_tensor_init(to.data(), MFQ_DTYPE_F32, scaled.sizes.scale_rank, scaled.sizes.scale_shape, &values),
              MFQ_OK);
    mfq_observation o;
    mfq_observation_init(&o);
    o.scheme = &scaled.q.scheme;
    o.observer = &observer;
    o.sources = &src;
    o.values = &values;
    EXPECT_EQ(mfq_observe(telling_.get(), &o), MFQ_OK) << mfq_last_error();
    return last_message;
  }

  Context telling_;
};

const char kRows[] = "mfq_quantize: rows: 16 elements a thread";
const char kTiles[] = "mfq_quantize: tiles: columns of 128 rows in shared memory";
constexpr mfq_layout kTurned = {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
constexpr mfq_layout kTransposed = {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0};
constexpr mfq_layout kTiled = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 0};

QuantizeCall one(const std::string &scheme, mfq_layout layout = {}) {
  QuantizeCall call(scheme);
  call.row_layout = layout;
  return call;
}
QuantizeCall two(const std::string &row, const std::string &col, mfq_layout col_layout) {
  QuantizeCall call(row, col);
  call.col_layout = col_layout;
  return call;
}

TEST_F(PathsOfCalls, GroupsAlongRows) {
  for (const mfq_dtype dtype : kDtypes) {
    for (const char *scheme :
         {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4_e2m1", "mxint8", "nvfp4", "e2m1/group:16/f32",
          "int4/group:64/f32", "uint4/group:32/f32/zp", "e4m3fn/group:128/f32", "e4m3fnuz/group:32/ue8m0"})
      EXPECT_EQ(quantize(dtype, {64, 256}, one(scheme)), kRows) << scheme;
    EXPECT_EQ(quantize(dtype, {64, 256}, one("mxfp8_e4m3", kTiled)), kRows);
    EXPECT_EQ(quantize(dtype, {7, 100}, one("mxfp8_e4m3")), kRows);
    EXPECT_EQ(quantize(dtype, {3, 5, 64}, one("mxfp4_e2m1/group:16@2")), kRows);
    EXPECT_EQ(quantize(dtype, {64, 256}, one("mxfp8_e4m3"), 4), kRows) << "misaligned";
    EXPECT_EQ(quantize(dtype, {64, 255}, one("mxfp8_e4m3/round:stochastic")), kRows);
  }
}

TEST_F(PathsOfCalls, Statistics) {
  for (const mfq_dtype dtype : kDtypes) {
    const std::string by_rows = "mfq_observe: rows: 16 elements a thread";
    for (const char *const statistic : {"percentile:99.9", "interval:1:99", "mean", "sigma:3", "l2"}) {
      EXPECT_EQ(observe(dtype, {8, 256}, "e2m1/group:16/bf16", statistic).substr(0, by_rows.size()), by_rows);
      EXPECT_EQ(observe(dtype, {7, 100}, "mxfp8_e4m3", statistic).substr(0, by_rows.size()), by_rows);
    }
    EXPECT_EQ(observe(dtype, {8, 256}, "int8/f32", "absmax").rfind("mfq_observe: reduction", 0), 0u);
    EXPECT_EQ(observe(dtype, {8, 256}, "mxfp8_e4m3", "absmax").rfind("mfq_observe: whole scales", 0), 0u);
  }
}

TEST_F(PathsOfCalls, GroupsAlongColumns) {
  for (const mfq_dtype dtype : kDtypes)
    for (const mfq_layout &layout : {mfq_layout{}, kTurned})
      for (const char *scheme : {"mxfp8_e4m3/group:32@0", "mxfp6_e3m2/group:16@0", "mxfp4_e2m1/group:64@0",
                                 "mxint8/group:128@0", "nvfp4/group:16@0"})
        EXPECT_EQ(quantize(dtype, {256, 128}, one(scheme, layout)), kTiles) << scheme;
  EXPECT_EQ(quantize(MFQ_DTYPE_BF16, {3, 64, 4, 8}, one("mxfp8_e4m3/group:32@1")), kTiles);
  EXPECT_EQ(quantize(MFQ_DTYPE_BF16, {64, 72}, one("mxfp4_e2m1/group:32@0/round:stochastic")), kTiles);
}

TEST_F(PathsOfCalls, BothDirections) {
  const std::string both = "mfq_quantize: both directions from one read: tiles of 128 rows in shared memory";
  for (const mfq_dtype dtype : kDtypes)
    for (const char *scheme : {"mxfp8_e4m3", "mxfp6_e2m3", "mxfp4_e2m1", "mxint8"}) {
      EXPECT_EQ(quantize(dtype, {128, 256}, two(scheme, scheme + std::string("/group:32@0"), kTurned)), both) << scheme;
      EXPECT_EQ(quantize(dtype, {128, 256}, two(scheme, scheme + std::string("/group:32@0"), {})), both) << scheme;
    }
  EXPECT_EQ(quantize(MFQ_DTYPE_BF16, {2, 64, 64}, two("mxfp8_e4m3/group:64", "nvfp4/group:16@1", kTurned)), both);
  EXPECT_EQ(quantize(MFQ_DTYPE_F32, {64, 64}, two("mxfp8_e4m3/round:stochastic", "mxfp8_e4m3/group:32@0", {})), both);
}

TEST_F(PathsOfCalls, Squares) {
  const std::string square = "mfq_quantize: square: blocks of tiles of 128 rows in shared memory";
  for (const mfq_dtype dtype : kDtypes)
    for (const char *scheme : {"e4m3fn/block:16x16/ue8m0:rceil", "e4m3fn/block:32x32/ue8m0:rceil", "fp8_e4m3_block128",
                               "e2m1/block:16x16/ue4m3"}) {
      EXPECT_EQ(quantize(dtype, {256, 256}, one(scheme)), square) << scheme;
      EXPECT_EQ(quantize(dtype, {256, 256}, one(scheme, kTransposed)), square) << scheme;
      EXPECT_EQ(quantize(dtype, {256, 256}, two(scheme, scheme, kTransposed)), square) << scheme;
    }
  EXPECT_EQ(quantize(MFQ_DTYPE_BF16, {2, 64, 64}, two("mxint8/block:64x64", "mxint8/block:64x64", kTransposed)),
            square);
}

TEST_F(PathsOfCalls, SharedScales) {
  const std::string shared = "mfq_quantize: reduction and rows: statistics first, then 16 elements a thread";
  for (const mfq_dtype dtype : kDtypes) {
    EXPECT_EQ(quantize(dtype, {64, 256}, one("e4m3fn/tensor/f32")), shared);
    EXPECT_EQ(quantize(dtype, {64, 256}, one("e4m3fn/tensor/f32/round:stochastic")), shared);
    EXPECT_EQ(quantize(dtype, {64, 256}, one("int8/channel@0/f32")), shared);
    EXPECT_EQ(quantize(dtype, {4, 8, 16, 32}, one("e4m3fn/channel@1/f32")), shared);
    EXPECT_EQ(quantize(dtype, {64, 256}, one("uint8/tensor/f32/zp/stat:minmax")), shared);
    EXPECT_EQ(quantize(dtype, {64, 256}, one("e4m3fn/tensor/f32:given")), kRows);
  }
}

TEST_F(PathsOfCalls, TheGeneralPathTakesTheRest) {
  const struct {
    const char *scheme, *why;
  } rows[] = {
      {"mxfp8_e4m3/group:32@0/round:stochastic", "tiles: stochastic rounding in rows of no multiple of 8 elements"},
      {"mxfp8_e4m3/round:away", "rows: other roundings than to even and stochastic, and formats without a sign, "
                                "without saturation or beyond the "
                                "normal numbers of float32"},
      {"e4m3fn/group:24/f32", "rows: groups of other sizes than 16, 32, 64, 128 and, along rows, 256 and 512"},
      {"int4/group:32@0/f32/zp", "tiles: ranges and zero points of groups are still to be measured"},
      {"e4m3fn/block:8x8/f32", "square: blocks of other sizes than 16, 32, 64, 128"},
      {"e4m3fn/channel@1/f32", "reduction and rows: rows of less than 256 elements"},
      {"mxfp4_e2m1/group:32@0", "tiles: rows of codes start inside a byte"}};
  for (const auto &row : rows)
    EXPECT_EQ(quantize(MFQ_DTYPE_F32, {64, 65}, one(row.scheme)),
              std::string("mfq_quantize: general: element by element; not ") + row.why);
}

TEST_F(PathsOfCalls, TwoDirectionsOneAfterTheOther) {
  EXPECT_EQ(
      quantize(MFQ_DTYPE_F32, {64, 256}, two("mxfp8_e4m3/group:24", "mxfp8_e4m3/group:32@0", {})),
      "mfq_quantize: general: element by element; not rows: groups of other sizes than 16, 32, 64, 128 and, along "
      "rows, 256 and 512, then tiles: columns of 128 rows in shared memory; not both directions from one read: "
      "groups of other sizes than 16, 32, 64, 128 and, along rows, 256 and 512");
}

TEST_F(PathsOfCalls, FakeQuantize) {
  const std::string start = "mfq_fake_quantize_forward: ", rows = start + "rows: 16 elements a thread";
  const std::string tiles = start + "tiles: columns of 128 rows in shared memory";
  const std::string shared = start + "reduction and rows: statistics first, then 16 elements a thread";
  const std::string general = start + "general: element by element; not ";
  for (const mfq_dtype dtype : kDtypes) {
    for (const char *scheme :
         {"mxfp8_e4m3", "mxfp4_e2m1", "nvfp4", "int4/group:64/f32", "int4/group:32/f32/zp", "e3m0/group:32/ue8m0",
          "mxfp8_e4m3/round:stochastic", "e4m3fn", "brevitas:MXFloat8e4m3Weight"})
      for (const mfq_dtype to : kDtypes) EXPECT_EQ(fake(dtype, {64, 100}, scheme, to), rows) << scheme;
    for (const char *scheme : {"mxfp8_e4m3/group:32@0", "nvfp4/group:16@0", "mxint8/group:128@0"})
      EXPECT_EQ(fake(dtype, {256, 100}, scheme, dtype), tiles) << scheme;
    EXPECT_EQ(fake(dtype, {64, 256}, "e4m3fn/tensor/f32", dtype), shared);
    EXPECT_EQ(fake(dtype, {64, 256}, "int8/channel@0/f32/arith:brevitas", dtype), shared);
  }
  EXPECT_EQ(fake(MFQ_DTYPE_BF16, {64, 100}, "mxfp8_e4m3", MFQ_DTYPE_F32, true), rows);
  EXPECT_EQ(fake(MFQ_DTYPE_BF16, {64, 100}, "mxfp8_e4m3/group:32@0", MFQ_DTYPE_BF16, true), tiles);
  EXPECT_EQ(fake(MFQ_DTYPE_F32, {64, 256}, "e4m3fn/tensor/f32", MFQ_DTYPE_F32, true), shared);
  EXPECT_EQ(fake(MFQ_DTYPE_F32, {64, 64}, "mxfp8_e4m3/group:32@0", MFQ_DTYPE_BF16),
            general + "tiles: values of another dtype do not fit in the place of their elements");
  EXPECT_EQ(fake(MFQ_DTYPE_F32, {64, 64}, "int4/group:32@0/f32/zp", MFQ_DTYPE_F32),
            general + "tiles: ranges and zero points of groups are still to be measured");
}

TEST_F(PathsOfCalls, Backward) {
  const std::string start = "mfq_fake_quantize_backward: ", rows = start + "rows: 16 elements a thread";
  const std::string tiles = start + "tiles: columns of 128 rows in shared memory";
  const std::string boxes = start + "boxes: 16 elements of a scale a thread";
  const std::string shared = start + "reduction and rows: statistics first, then 16 elements a thread";
  const std::string general = start + "general: element by element; not ";
  for (const mfq_dtype dtype : kDtypes) {
    for (const char *scheme : {"mxfp8_e4m3", "nvfp4", "mxint8", "int4/group:64/f32"})
      for (const bool through : {false, true})
        for (const mfq_ste ste : {MFQ_STE_IDENTITY, MFQ_STE_CLIPPED, MFQ_STE_BREVITAS})
          EXPECT_EQ(backward(dtype, {64, 100}, scheme, ste, through), rows) << scheme;
    for (const char *scheme : {"mxfp8_e4m3/group:32@0", "nvfp4/group:16@0", "mxint8/group:128@0"})
      for (const bool through : {false, true})
        EXPECT_EQ(backward(dtype, {256, 100}, scheme, MFQ_STE_CLIPPED, through), tiles) << scheme;
    for (const char *scheme : {"fp8_e4m3_block128", "e2m1/block:16x16/ue4m3"})
      EXPECT_EQ(backward(dtype, {256, 100}, scheme, MFQ_STE_CLIPPED, true), boxes) << scheme;
    EXPECT_EQ(backward(dtype, {64, 256}, "e4m3fn/tensor/f32", MFQ_STE_CLIPPED, false), shared);
    EXPECT_EQ(backward(dtype, {64, 256}, "e4m3fn", MFQ_STE_CLIPPED, false), rows);
  }
  for (const char *scheme : {"e4m3fn/tensor/f32", "int8/channel@0/f32", "uint8/tensor/f32/zp"})
    EXPECT_EQ(backward(MFQ_DTYPE_F32, {64, 256}, scheme, MFQ_STE_CLIPPED, true),
              boxes + "; not reduction and rows: sums are of groups along rows")
        << scheme;
  EXPECT_EQ(backward(MFQ_DTYPE_F32, {64, 256}, "int4/group:24/f32/zp", MFQ_STE_CLIPPED, true),
            boxes + "; not rows: ranges and zero points of groups are still to be measured");
  EXPECT_EQ(backward(MFQ_DTYPE_F32, {64, 256}, "mxfp8_e4m3/round:stochastic", MFQ_STE_CLIPPED, false),
            general + "rows: stochastic rounding; not boxes: stochastic rounding");
}

TEST_F(PathsOfCalls, Dequantize) {
  for (const mfq_dtype dtype : kDtypes) {
    for (const char *scheme : {"mxfp8_e4m3", "mxfp4_e2m1", "mxint8", "nvfp4", "e4m3fn/tensor/f32", "int8/channel@0/f32",
                               "mxfp8_e4m3/group:32@0", "e4m3fn/block:8x8/f32", "int4/group:32/f32/zp"})
      EXPECT_EQ(dequantize(dtype, {64, 256}, one(scheme)), "mfq_dequantize: rows: 16 bytes of values a thread")
          << scheme;
    EXPECT_EQ(dequantize(dtype, {64, 256}, one("mxfp8_e4m3/group:32@0", kTurned)),
              "mfq_dequantize: columns: 64 columns of codes in shared memory");
    for (const char *scheme :
         {"fp8_e4m3_block128", "e4m3fn/tensor/f32", "int8/channel@0/f32", "e2m1/block:16x16/ue4m3"})
      EXPECT_EQ(dequantize(dtype, {64, 256}, one(scheme, kTransposed)),
                "mfq_dequantize: columns: 64 columns of codes in shared memory")
          << scheme;
  }
}

} // namespace
