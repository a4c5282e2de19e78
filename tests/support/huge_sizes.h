/* tests/support/huge_sizes.h: plans of products and convolutions whose operands have up to 2^62 elements (strides of 0
 * need no memory for them): either a plan whose workspace holds what it must, or a refusal with a sentence. */
#ifndef MFQ_TESTS_SUPPORT_HUGE_SIZES_H
#define MFQ_TESTS_SUPPORT_HUGE_SIZES_H

#include "device.h"
#include "expect_failure.h"

namespace mfq_test {

constexpr double kMostElements = (double)(int64_t{1} << 46);
/* Beyond this mfq_qtensor_init refuses. */
constexpr double kQuantizedMost = (double)(int64_t{1} << 53);

/* A tensor of any shape in a few bytes. */
inline mfq_tensor broadcast(mfq_dtype dtype, const Shape &shape) {
  alignas(16) static uint8_t memory[256];
  return strided(memory, dtype, shape, Shape(shape.size(), 0));
}
/* One that may be written, at an address of which planning only reads the alignment. */
inline mfq_tensor unwritten(mfq_dtype dtype, const Shape &shape) {
  return strided(nullptr, dtype, shape, dense_strides(shape));
}

inline double elements_of(const Shape &shape) {
  double count = 1;
  for (const int64_t size : shape) count *= (double)size;
  return count;
}

/* A plan, or a sentence: by the largest number of elements. A plan has a workspace of `bytes` and more. */
inline testing::AssertionResult is_planned_or_refused(mfq_status status, size_t workspace, double elements,
                                                      double bytes) {
  const bool is_counted = std::string(mfq_last_error()).find("64 bits can count") == std::string::npos;
  if (elements > kMostElements && !is_counted) return fails(status, bad_shape, {"make the tensor smaller"});
  if (elements > kMostElements) return fails(status, bad_shape, {"elements", "2^46", "cut it into parts"});
  if (status != MFQ_OK) return testing::AssertionFailure() << mfq_status_name(status) << ": " << mfq_last_error();
  if ((double)workspace >= bytes) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "a workspace of " << workspace << " bytes, where " << bytes << " are needed";
}

/* An operand by its kind: plain, quantized by the run, or quantized before. */
struct HugeOperand {
  mfq_tensor plain;
  mfq_scheme scheme;
  mfq_qtensor quantized;
  mfq_operand operand = {};

  HugeOperand(int kind, const char *text, mfq_dtype dtype, const Shape &shape) : plain(broadcast(dtype, shape)) {
    scheme = parse(text);
    if (kind < 2) operand.plain = &plain;
    if (kind == 1) operand.quantize_to = &scheme;
    if (kind < 2) return;
    EXPECT_EQ(mfq_qtensor_init(&scheme, (int32_t)shape.size(), shape.data(), nullptr, &quantized), MFQ_OK)
        << mfq_last_error();
    operand.quantized = &quantized;
  }
  HugeOperand(const HugeOperand &) = delete;
};

/* A * B^T of operands of one kind. */
struct HugeProduct {
  int64_t batches, m, n, k; /* batches 0: rank 2 */
  int kind = 0;
  const char *scheme = "";
  mfq_dtype dtype = MFQ_DTYPE_F32;
};

inline std::string text_of(const HugeProduct &x) {
  return "batches " + std::to_string(x.batches) + " M " + std::to_string(x.m) + " N " + std::to_string(x.n) + " K " +
         std::to_string(x.k) + " kind " + std::to_string(x.kind) + " " + x.scheme + " " + mfq_dtype_name(x.dtype);
}

inline testing::AssertionResult product_is_planned_or_refused(mfq_context *context, const HugeProduct &x) {
  Shape shape_a = {x.m, x.k}, shape_d = {x.m, x.n};
  const Shape shape_b = {x.n, x.k};
  if (x.batches > 0)
    for (Shape *shape : {&shape_a, &shape_d}) shape->insert(shape->begin(), x.batches);
  const HugeOperand a(x.kind, x.scheme, x.dtype, shape_a), b(x.kind, x.scheme, x.dtype, shape_b);
  const mfq_tensor d = unwritten(MFQ_DTYPE_BF16, shape_d);
  mfq_gemm gemm;
  mfq_gemm_init(&gemm);
  gemm.a = a.operand;
  gemm.b = b.operand;
  gemm.transpose_b = 1;
  gemm.d = &d;
  trace(text_of(x));
  mfq_gemm_plan *plan = nullptr;
  const mfq_status status = mfq_gemm_plan_create(context, &gemm, &plan);
  const double in_a = elements_of(shape_a), in_b = elements_of(shape_b);
  const std::string how = plan != nullptr ? mfq_gemm_plan_describe(plan) : "";
  const bool converts = x.kind == 0 && x.dtype == MFQ_DTYPE_F16 && how.rfind("expanded: f32", 0) == 0;
  const size_t workspace = plan != nullptr ? mfq_gemm_workspace_bytes(plan) : 0;
  const double most = std::max({in_a, in_b, elements_of(shape_d)});
  const bool is_cut = how.find(", in slabs of ") != std::string::npos; /* then a row is there at least */
  auto verdict =
      is_planned_or_refused(status, workspace, most, !converts ? 0 : 4 * (is_cut ? (double)x.k : in_a + in_b));
  mfq_gemm_plan_destroy(plan);
  return verdict ? verdict : verdict << "; " << text_of(x) << "; " << how;
}

/* Along each axis in turn, and along two at once; every kind of operand. */
inline void check_huge_products(mfq_context *context) {
  const char *const schemes[] = {"mxfp8_e4m3/group:32@-1", "int4/group:32@-1/f32/zp", "int8/tensor/f32", "nvfp4"};
  std::vector<HugeProduct> all;
  for (const int64_t e : {23, 30, 46, 47, 52, 58, 59, 60, 61, 62}) {
    const int64_t size = (int64_t{1} << e) - (e == 62), half = int64_t{1} << e / 2;
    for (const HugeProduct &x : {HugeProduct{0, 1, 1, size},
                                 {0, 4, 4, size / 4},
                                 {0, size, 1, 1},
                                 {0, 1, size, 1},
                                 {size, 1, 1, 1},
                                 {0, half, 1, half},
                                 {0, 1, half, half},
                                 {0, half, half, 1},
                                 {half, half, 1, 1},
                                 {half, 1, 1, half}})
      all.push_back(x);
  }
  for (HugeProduct x : all)
    for (x.kind = 0; x.kind < 3; ++x.kind)
      for (int i = 0; i < 4; ++i) {
        x.scheme = schemes[i];
        x.dtype = kDtypes[i % 3];
        const double in_a = (double)std::max<int64_t>(1, x.batches) * (double)x.m * (double)x.k;
        if (x.kind == 2 && std::max(in_a, (double)x.n * (double)x.k) > kQuantizedMost) continue;
        if (x.kind == 0 && i == 3) continue;
        ASSERT_TRUE(product_is_planned_or_refused(context, x));
      }
}

/* A convolution of one spatial axis, channels last. */
struct HugeConv {
  int64_t batch, in, channels, filter, outputs;
  int64_t stride = 1;
  mfq_conv_direction direction = MFQ_CONV_FORWARD;
  int kind = 0;
  mfq_dtype dtype = MFQ_DTYPE_F32;
};

inline std::string text_of(const HugeConv &x) {
  return "batch " + std::to_string(x.batch) + " in " + std::to_string(x.in) + " channels " +
         std::to_string(x.channels) + " filter " + std::to_string(x.filter) + " outputs " + std::to_string(x.outputs) +
         " stride " + std::to_string(x.stride) + " direction " + std::to_string(x.direction) + " kind " +
         std::to_string(x.kind) + " " + mfq_dtype_name(x.dtype);
}

inline testing::AssertionResult conv_is_planned_or_refused(mfq_context *context, const HugeConv &x) {
  const int64_t out = (x.in - x.filter) / x.stride + 1;
  const Shape shapes[] = {{x.batch, x.in, x.channels}, {x.outputs, x.filter, x.channels}, {x.batch, out, x.outputs}};
  const int result = x.direction == MFQ_CONV_FORWARD ? 2 : x.direction == MFQ_CONV_INPUT_GRADIENT ? 0 : 1;
  const char *const scheme = x.direction == MFQ_CONV_FORWARD ? "mxfp8_e4m3/group:32@-1" : "int8/tensor/f32";
  std::unique_ptr<HugeOperand> operands[3];
  double most = 0;
  for (int i = 0; i < 3; ++i) {
    most = std::max(most, elements_of(shapes[i]));
    if (i != result) operands[i] = std::make_unique<HugeOperand>(x.kind, scheme, x.dtype, shapes[i]);
  }
  const mfq_tensor written = unwritten(MFQ_DTYPE_BF16, shapes[result]);
  mfq_conv conv;
  mfq_conv_init(&conv);
  conv.direction = x.direction;
  conv.layout = MFQ_CONV_CHANNELS_LAST;
  conv.stride[0] = x.stride;
  if (operands[0] != nullptr) conv.input = operands[0]->operand;
  if (operands[1] != nullptr) conv.weight = operands[1]->operand;
  if (operands[2] != nullptr) conv.output_gradient = operands[2]->operand;
  conv.result = &written;
  trace(text_of(x));
  mfq_conv_plan *plan = nullptr;
  const mfq_status status = mfq_conv_plan_create(context, &conv, &plan);
  const std::string how = plan != nullptr ? mfq_conv_plan_describe(plan) : "";
  auto verdict = is_planned_or_refused(status, 0, most, 0);
  mfq_conv_plan_destroy(plan);
  return verdict ? verdict : verdict << "; " << text_of(x) << "; " << how;
}

inline void check_huge_convolutions(mfq_context *context) {
  for (const int64_t e : {30, 43, 46, 47, 52, 58, 61, 62}) {
    const int64_t size = (int64_t{1} << e) - (e == 62), half = int64_t{1} << e / 2;
    for (const HugeConv &each : {HugeConv{size, 1, 1, 1, 1},
                                 {size / 64, 3, 16, 3, 4},
                                 {1, size, 1, 3, 1},
                                 {1, 3, size / 4, 3, 1},
                                 {1, size, 1, size, 1},
                                 {1, 3, 1, 3, size / 4},
                                 {half, half, 1, 2, 1},
                                 {half, 2, half / 2, 2, 1},
                                 {1, size, 1, 1, 1, 0x7fffffff}})
      for (const mfq_conv_direction direction : {MFQ_CONV_FORWARD, MFQ_CONV_INPUT_GRADIENT, MFQ_CONV_WEIGHT_GRADIENT})
        for (int kind = 0; kind < 3; ++kind)
          for (const mfq_dtype dtype : kDtypes) {
            HugeConv x = each;
            x.direction = direction;
            x.kind = kind;
            x.dtype = dtype;
            if (kind == 2 && e > 53) continue;
            ASSERT_TRUE(conv_is_planned_or_refused(context, x));
          }
  }
}

} // namespace mfq_test

#endif
