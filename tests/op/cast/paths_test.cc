// Every fast path against the reference path: the same bytes for every scheme, shape, stride, layout, dtype, instruction
// set and number of threads.
#include <cmath>
#include <numeric>

#include "support/half.h"
#include "support/machine.h"
#include "support/quantized.h"
#include "support/sample.h"

namespace {

using mfq_test::Context;
using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::Quantized;
using mfq_test::sample_pairs;

/* A plain tensor of any dtype with memory of its own and the given strides. */
struct Plain {
  std::vector<uint8_t> bytes;
  mfq_tensor tensor;

  Plain(mfq_dtype dtype, const std::vector<int64_t> &shape, const std::vector<int64_t> &strides) {
    std::memset(&tensor, 0, sizeof tensor);
    tensor.dtype = dtype;
    tensor.rank = (int32_t)shape.size();
    int64_t lo = 0, hi = 0;
    for (size_t d = 0; d < shape.size(); ++d) {
      tensor.shape[d] = shape[d];
      tensor.strides[d] = strides[d];
      const int64_t reach = shape[d] > 0 ? (shape[d] - 1) * strides[d] : 0;
      (reach < 0 ? lo : hi) += reach;
    }
    const size_t size = mfq_dtype_bytes(dtype);
    bytes.assign((size_t)(hi - lo + 1) * size, 0xcd);
    tensor.data = bytes.data() + (size_t)-lo * size;
  }

  Plain copy() const {
    Plain same = *this;
    same.tensor.data = same.bytes.data() + ((const uint8_t *)tensor.data - bytes.data());
    return same;
  }
};

std::vector<int64_t> dense(const std::vector<int64_t> &shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * std::max<int64_t>(shape[d], 1);
  return strides;
}

/* Magnitudes that no group is rare for, many of them ties. */
std::vector<float> usual_values(size_t n, uint32_t seed) {
  std::vector<float> values(n);
  std::mt19937 generator(seed);
  for (float &x : values) {
    const uint32_t u = generator();
    x = std::ldexp((float)(u & (u >> 31 ? 31 : 4095)), -(int)(u >> 12 & 15)) * (u >> 30 & 1 ? -1.0f : 1.0f);
  }
  return values;
}

/* Awkward bits of the dtype, or usual ones, in every element of the memory. */
void fill(Plain &plain, uint32_t seed, bool is_usual = false) {
  const size_t size = mfq_dtype_bytes(plain.tensor.dtype), n = plain.bytes.size() / size;
  const std::vector<float> values = is_usual ? usual_values(n, seed) : mfq_test::awkward_values(n, seed);
  for (size_t i = 0; i < n; ++i) {
    uint32_t u;
    std::memcpy(&u, &values[i], 4);
    if (plain.tensor.dtype == MFQ_DTYPE_F32) {
      std::memcpy(&plain.bytes[i * 4], &u, 4);
      continue;
    }
    uint16_t h = (uint16_t)(u >> 16); /* bf16 by truncation */
    if (plain.tensor.dtype == MFQ_DTYPE_F16) h = mfq_test::half_bits(values[i]);
    std::memcpy(&plain.bytes[i * 2], &h, 2);
  }
}

struct Case {
  std::vector<int64_t> shape;
  std::vector<int64_t> strides; /* empty: dense */
};

const std::vector<Case> &cases() {
  static const std::vector<Case> all = {
      {{1}, {}},
      {{33}, {}},
      {{4, 32}, {}},
      {{3, 96}, {}},
      {{5, 33}, {}},
      {{17, 100}, {}},
      {{40, 2112}, {}},
      {{2, 5000}, {}},
      {{11, 4099}, {}}, /* rows that end inside a byte */
      {{2, 9, 33}, {}},
      {{130, 24}, {}},
      {{300, 16}, {}},      /* many rows in a panel */
      {{64, 72}, {100, 1}}, /* rows apart */
      {{33, 64}, {1, 33}},  /* transposed */
      {{70, 40}, {-40, 1}}, /* rows backwards */
      {{16, 64}, {0, 1}},   /* one row, repeated */
      {{6, 40, 3, 3}, {}},  /* convolution weights */
      {{2, 33, 5, 4}, {}},
      {{2, 64, 4, 8}, {}},
      {{3, 4, 64}, {}},
      {{3, 4, 64}, {1024, 128, 2}},
      {{2, 3, 2, 2, 8}, {}},
      {{2, 3, 4, 8}, {96, 1, 24, 3}},    /* channels last */
      {{2, 5, 9, 48}, {2160, 9, 1, 45}}, /* seen channels last */
  };
  return all;
}

/* The reference, computed once for all instruction sets. */
struct Contexts {
  const Context reference = make_context("reference", 1);
  std::vector<Context> fast;

  explicit Contexts(int threads = 2) {
    for (const std::string &isa : mfq_test::fast_isas_or_reference())
      fast.push_back(make_context(isa.c_str(), threads));
  }
};

std::string text_of(const Context &context) { return mfq_context_describe(context.get()); }

/* Values without codes, and their scales: to a target of another dtype and other strides, or in place. */
void compare_fakes(const mfq_scheme &scheme, const Plain &src, uint32_t seed, const Contexts &contexts) {
  const std::vector<int64_t> shape(src.tensor.shape, src.tensor.shape + src.tensor.rank);
  const std::vector<int64_t> own(src.tensor.strides, src.tensor.strides + src.tensor.rank);
  std::vector<int64_t> turned(shape.size(), 1);
  for (size_t d = 1; d < shape.size(); ++d) turned[d] = turned[d - 1] * shape[d - 1];
  const bool overlaps = std::count(own.begin(), own.end(), 0) > 0;
  const std::vector<int64_t> all[] = {overlaps ? turned : own, dense(shape), turned};
  const mfq_dtype dtypes[] = {MFQ_DTYPE_F32, MFQ_DTYPE_BF16, MFQ_DTYPE_F16};
  const bool is_in_place = seed % 4 == 0 && !overlaps;
  const Quantized parts(scheme, shape);
  const int64_t *const sizes = parts.sizes.scale_shape;
  const std::vector<int64_t> counts(sizes, sizes + parts.sizes.scale_rank);
  Plain a(dtypes[seed % 7 % 3], shape, all[seed % 3]), a_scales(MFQ_DTYPE_F32, counts, dense(counts));
  if (is_in_place) a = src.copy();
  const Plain before = a.copy(), scales_before = a_scales.copy();
  ASSERT_EQ(mfq_fake_quantize(contexts.reference.get(), &scheme, is_in_place ? &a.tensor : &src.tensor, &a.tensor,
                              &a_scales.tensor),
            MFQ_OK)
      << mfq_last_error();
  for (const Context &fast : contexts.fast) {
    Plain b = before.copy(), b_scales = scales_before.copy();
    ASSERT_EQ(mfq_fake_quantize(fast.get(), &scheme, is_in_place ? &b.tensor : &src.tensor, &b.tensor,
                                seed % 2 ? &b_scales.tensor : nullptr),
              MFQ_OK)
        << mfq_last_error();
    ASSERT_EQ(a.bytes, b.bytes) << (is_in_place ? "in place" : "values") << " on " << text_of(fast);
    if (seed % 2) ASSERT_EQ(a_scales.bytes, b_scales.bytes) << "scales on " << text_of(fast);
  }
}

/* With a `seed_of_rounding` the scheme rounds stochastically. */
void compare_paths(const std::string &text, const mfq_layout *layout, mfq_dtype dtype, const Contexts &contexts,
                   uint64_t seed_of_rounding = 0) {
  mfq_context *const reference = contexts.reference.get();
  mfq_scheme scheme = parse(text);
  if (seed_of_rounding) {
    scheme.rounding = MFQ_ROUND_STOCHASTIC;
    ASSERT_EQ(mfq_context_set_seed(reference, seed_of_rounding, ~seed_of_rounding), MFQ_OK);
    for (const Context &fast : contexts.fast)
      ASSERT_EQ(mfq_context_set_seed(fast.get(), seed_of_rounding, ~seed_of_rounding), MFQ_OK);
  }
  uint32_t seed = 1;
  for (const Case &c : cases()) {
    SCOPED_TRACE(text + ", dtype " + mfq_dtype_name(dtype) + ", shape #" + std::to_string(&c - cases().data()) +
                 ", layout " +
                 (layout ? std::to_string(layout->codes) + std::to_string(layout->packing) +
                               std::to_string(layout->scales) + " align " + std::to_string(layout->row_align)
                         : "default") +
                 (seed_of_rounding ? ", stochastic" : ""));
    const int32_t rank = (int32_t)c.shape.size(), axis = scheme.axis;
    if (axis != MFQ_AXIS_AUTO && (axis >= rank || axis < -rank)) continue;
    if (layout && layout->codes == MFQ_CODES_TRANSPOSED && rank < 2) continue;
    Plain src(dtype, c.shape, c.strides.empty() ? dense(c.shape) : c.strides);
    fill(src, seed++);
    std::vector<int64_t> strides = c.strides.empty() || c.strides[0] == 0 ? dense(c.shape) : c.strides;
    Quantized expected(scheme, c.shape, layout);
    Plain a(dtype, c.shape, strides);
    ASSERT_EQ(mfq_quantize(reference, &src.tensor, &expected.q, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_dequantize(reference, &expected.q, &a.tensor), MFQ_OK) << mfq_last_error();
    for (const Context &fast : contexts.fast) {
      SCOPED_TRACE(text_of(fast));
      Quantized actual(scheme, c.shape, layout);
      ASSERT_EQ(mfq_quantize(fast.get(), &src.tensor, &actual.q, nullptr), MFQ_OK) << mfq_last_error();
      ASSERT_TRUE(actual.same_bytes(expected)) << actual.difference(expected);
      Plain b(dtype, c.shape, strides);
      ASSERT_EQ(mfq_dequantize(fast.get(), &expected.q, &b.tensor), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(a.bytes, b.bytes);
    }
    const uint32_t turn = seed + (uint32_t)std::accumulate(text.begin(), text.end(), 0);
    if (turn % 5 != 0) fill(src, turn, true);
    compare_fakes(scheme, src, turn, contexts);
    if (testing::Test::HasFatalFailure()) return;
  }
}

const std::vector<std::string> &schemes() {
  // clang-format off
  static const std::vector<std::string> all = {
      "mxfp8_e4m3", "mxfp8_e5m2_rceil", "mxfp6_e3m2_ceil", "mxfp6_e2m3", "mxfp4_e2m1_even", "mxint8", "mxint8_ceil",
      "mxfp4_e2m1/group:16@0", "mxfp6_e2m3/group:32@0", "mxfp8_e4m3/group:32@1", "mxfp4_e2m1/group:32@1",
      "mxfp4_e2m1/group:8@1", "e2m0/group:16@1/ue8m0", "mxfp6_e3m2/group:3000@0", "mxfp8_e4m3/group:7",
      "mxfp4_e2m1/group:1", "mxfp6_e3m2/group:64", "mxint8/group:5000", "mxfp4_e2m1/group:24@0",
      "nvfp4", "nvfp4/group:16@0", "nvfp4/group:8@1",
      "e4m3fn", "e5m2/nosat", "e2m1", "e3m2/round:away", "e4m3fnuz/round:floor", "int8", "uint4", "mxint8/tensor/none",
      "e4m3fn/tensor/f32", "e4m3fnuz/channel@0/f32", "e5m2/channel@1/f32", "e5m2none/channel@-1/bf16",
      "e4m3fn/group:128/f32", "e4m3fn/block:128x128/f32", "e5m2/block:4x3/f16", "e3m4/block:2x32/ue8m0",
      "int8n/tensor/f32", "int8n/channel/f32", "int4/group:32/f32", "int4/group:16@0/bf16", "int3/group:32/f16",
      "uint4/group:32/f32/zp", "uint8/tensor/f32/zp", "int8/channel@0/f32/zp", "uint4/group:16@1/f32/zp",
      "uint8/group:32/f32/zp/round:away", "int4/group:16@0/bf16/zp/round:dpu", "uint8/channel/f32/zp/round:ceil",
      "uint8/f32/zp/arith:brevitas", "uint4/group:16/f32/zp/arith:brevitas/round:floor",
      "uint4/group:16/ue8m0/zp", "e2m2/group:32/ue8m0", "e3m0/group:32/f32", "ue4m3fn/tensor/f32",
      "e4m3fn/group:32/f32:rceil", "e2m1/group:32/f32:floor/gain:1.3333334", "int8/group:16@0/f32:even/gain:0.75/zp",
      "e2m1/group:32/f32:floor/gain:1.3333334/round:stochastic", "e5m2/tensor/f32:ceil/gain:3/stat:minmax",
      "e4m3fn/group:32/bf16:even", "e2m1/group:32/f16:floor",
      "e4m3fn/group:32/ue8m0/round:dpu", "e4m3fn/group:32/ue8m0/round:ceil/nosat",
      "e4m3b11fnuz/group:32/ue8m0", "e5m2/group:32/ue8m0/min:1e-4", "e4m3fn/group:32/f32/stat:minmax",
      "e7m0b150/group:32/ue8m0/round:zero", "e5m2b-60/group:32/ue8m0",
      "brevitas:MXFloat8e4m3Weight/group:32", "brevitas:MXFloat8e4m3Weight/e2m1/group:16@0", "brevitas:MXInt8Weight",
      "brevitas:Fp8e4m3OCPWeightPerTensorFloat", "brevitas:Fp8e4m3FNUZWeightPerChannelFloat",
      "brevitas:ShiftedMXUInt8Weight", "brevitas:Int8WeightPerChannelFloat", "brevitas:Fp8e4m3Weight",
  };
  // clang-format on
  return all;
}

class Paths : public ::testing::Test {
protected:
  const Contexts contexts;

  mfq_context *reference() const { return contexts.reference.get(); }
  void SetUp() override {
    if (mfq_test::is_only_reference()) GTEST_SKIP() << mfq_test::kOnlyReference;
  }
};

TEST_F(Paths, EverySchemeAndShape) {
  for (const std::string &scheme : schemes()) compare_paths(scheme, nullptr, MFQ_DTYPE_F32, contexts);
}

TEST_F(Paths, EveryNamedScheme) {
  for (int32_t i = 0; mfq_scheme_name(i, nullptr); ++i) {
    if (parse(mfq_scheme_name(i, nullptr)).rule == MFQ_RULE_GIVEN) continue; /* scales are inputs: below */
    compare_paths(mfq_scheme_name(i, nullptr), nullptr, MFQ_DTYPE_BF16, contexts);
  }
}

TEST_F(Paths, EveryFormatOfTheTableInGroups) {
  for (int32_t i = 0; mfq_format_name(i, nullptr); ++i)
    compare_paths(std::string(mfq_format_name(i, nullptr)) + "/group:32/ue8m0", nullptr, MFQ_DTYPE_F16, contexts);
}

TEST_F(Paths, EveryLayout) {
  // clang-format off
  const char *const schemes[] = {"mxfp8_e4m3",           "mxfp6_e3m2",            "mxfp4_e2m1",
                                 "mxfp4_e2m1/group:32@0", "mxfp6_e2m3/group:16@1", "mxfp8_e4m3/group:32@0",
                                 "nvfp4",                "e2m2/group:32@1/ue8m0"};
  // clang-format on
  const int32_t aligns[] = {0, 1, 16};
  sample_pairs({std::size(schemes), 2, 2, 2, std::size(aligns)}, [&](const std::vector<size_t> &at) {
    const mfq_layout layout = {(mfq_code_order)at[1], (mfq_packing)at[2], (mfq_scale_order)at[3], aligns[at[4]]};
    compare_paths(schemes[at[0]], &layout, MFQ_DTYPE_F32, contexts);
  });
}

/* Codes whose last two axes are exchanged, of scales of every kind that does not run along one. */
TEST_F(Paths, Transposed) {
  const int32_t aligns[] = {0, 1, 16};
  const mfq_dtype dtypes[] = {MFQ_DTYPE_F32, MFQ_DTYPE_BF16, MFQ_DTYPE_F16};
  uint64_t turn = 0;
  for (const char *text :
       {"e4m3fn/block:128x128/f32", "e4m3fn/block:32x32/ue8m0:rceil", "e2m1/block:16x16/ue8m0",
        "mxint8/block:5x3/ue8m0", "e3m2/block:2x5000/f16", "e2m2/block:3000x8/bf16", "uint8/block:32x16/f32/zp",
        "e2m1/block:16x16/ue4m3", "e4m3fn/tensor/f32", "int4n/tensor/f32", "uint4/tensor/f32/zp", "e5m2/channel@0/f32",
        "int8/channel@1/f32/zp", "e3m2/channel@-1/f32", "e2m1/channel@-2/f16", "e4m3fn", "e2m3", "int3",
        "e4m3fn/block:32x32/f32/arith:brevitas"})
    for (const mfq_packing packing : {MFQ_PACK_TIGHT, MFQ_PACK_BYTE}) {
      const mfq_layout layout = {MFQ_CODES_TRANSPOSED, packing, MFQ_SCALES_LOGICAL, aligns[turn % 3]};
      const uint64_t seed = parse(text).arith == MFQ_ARITH_EXACT && turn % 4 == 3 ? turn : 0;
      compare_paths(text, &layout, dtypes[turn++ / 2 % 3], contexts, seed);
    }
}

/* Each element draws its own bits, wherever it stands. */
TEST_F(Paths, EverySchemeStochastically) {
  const mfq_layout turned = {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 16};
  const mfq_dtype dtypes[] = {MFQ_DTYPE_F32, MFQ_DTYPE_BF16, MFQ_DTYPE_F16};
  uint64_t seed = 1;
  for (const std::string &text : schemes()) {
    const mfq_scheme scheme = parse(text);
    if (scheme.arith != MFQ_ARITH_EXACT) continue;
    const bool is_turned = scheme.granularity == MFQ_GRANULARITY_GROUP && seed % 2;
    compare_paths(text, is_turned ? &turned : nullptr, dtypes[seed % 3], contexts, seed << 33 | 5);
    ++seed;
  }
  for (int32_t i = 0; mfq_format_name(i, nullptr); ++i)
    for (const char *rest : {"", "/group:32/ue8m0", "/nosat/group:16/ue8m0"})
      compare_paths(std::string(mfq_format_name(i, nullptr)) + rest, nullptr, MFQ_DTYPE_F32, contexts, seed++);
}

TEST_F(Paths, GivenScales) {
  for (const char *text :
       {"e4m3fn/channel@0/f32:given", "e2m1/group:32/ue8m0:given", "int4/group:16@0/bf16:given",
        "uint4/group:16/f32:given/zp", "uint8/group:16/f32:given/zp/round:floor",
        "int8/group:16/f32:given/zp/arith:brevitas", "e2m1/group:16/ue4m3:given",
        "e4m3fn/tensor/f32:given/arith:brevitas", "brevitas:Fp8e4m3OCPActPerTensorFloat", "e4m3fn/tensor/f32:given",
        "e4m3fn/channel@0/f32:given/round:stochastic", "e2m1/group:32/ue8m0:given/round:stochastic",
        "int4/group:16@0/bf16:given/round:stochastic", "uint8/group:16/f32:given/zp/round:stochastic",
        "e4m3fnuz/channel@1/f32:given", "e5m2/group:8@0/ue8m0:given", "int8/group:32/ue8m0:given",
        "int4/channel@0/f32:given/round:floor", "e5m2/tensor/f32:given/nosat"}) {
    SCOPED_TRACE(text);
    const std::vector<int64_t> shape = {48, 96};
    Plain src(MFQ_DTYPE_F32, shape, dense(shape));
    fill(src, 11);
    Quantized a(parse(text), shape);
    std::mt19937 generator(5);
    for (size_t i = 0; i < a.sizes.scales_bytes; ++i) a.scales[i] = (uint8_t)(generator() & 0x7f);
    for (size_t i = 0; i < a.sizes.zero_points_bytes; ++i) a.zero_points[i] = (uint8_t)(i % 16);
    a.tensor_scale = 0.01f;
    Plain x(MFQ_DTYPE_F32, shape, dense(shape));
    ASSERT_EQ(mfq_quantize(reference(), &src.tensor, &a.q, nullptr), MFQ_OK) << mfq_last_error();
    ASSERT_EQ(mfq_fake_quantize_given(reference(), &a.q, &src.tensor, &x.tensor), MFQ_OK) << mfq_last_error();
    for (const Context &fast : contexts.fast) {
      SCOPED_TRACE(text_of(fast));
      Quantized b(parse(text), shape);
      b.scales = a.scales;
      b.zero_points = a.zero_points;
      b.tensor_scale = 0.01f;
      Plain y(MFQ_DTYPE_F32, shape, dense(shape));
      ASSERT_EQ(mfq_quantize(fast.get(), &src.tensor, &b.q, nullptr), MFQ_OK) << mfq_last_error();
      EXPECT_TRUE(b.same_bytes(a)) << b.difference(a);
      ASSERT_EQ(mfq_fake_quantize_given(fast.get(), &b.q, &src.tensor, &y.tensor), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(x.bytes, y.bytes);
    }
  }
}

/* Given scales whose order follows that of the codes. */
TEST_F(Paths, FakesWithGivenScalesInAnyOrder) {
  const std::vector<int64_t> shape = {70, 96};
  for (const char *text : {"e2m1/group:32@0/ue8m0:given", "int4/group:16/f32:given", "e2m1/group:16@0/ue4m3:given"})
    for (const mfq_code_order codes : {MFQ_CODES_LOGICAL, MFQ_CODES_GROUP_LAST})
      for (const mfq_scale_order scales : {MFQ_SCALES_LOGICAL, MFQ_SCALES_128X4}) {
        SCOPED_TRACE(text + std::to_string(codes) + std::to_string(scales));
        if (scales == MFQ_SCALES_128X4 && parse(text).scale == MFQ_SCALE_F32) continue;
        const mfq_layout layout = {codes, MFQ_PACK_TIGHT, scales, 16};
        Plain src(MFQ_DTYPE_BF16, shape, dense(shape));
        fill(src, 13);
        Quantized q(parse(text), shape, &layout);
        for (size_t i = 0; i < q.sizes.scales_bytes; ++i) q.scales[i] = (uint8_t)(i * 37 % 127);
        q.tensor_scale = 0.25f;
        Plain x(MFQ_DTYPE_BF16, shape, dense(shape));
        ASSERT_EQ(mfq_fake_quantize_given(reference(), &q.q, &src.tensor, &x.tensor), MFQ_OK) << mfq_last_error();
        for (const Context &fast : contexts.fast) {
          Plain y(MFQ_DTYPE_BF16, shape, dense(shape));
          ASSERT_EQ(mfq_fake_quantize_given(fast.get(), &q.q, &src.tensor, &y.tensor), MFQ_OK) << mfq_last_error();
          ASSERT_EQ(x.bytes, y.bytes) << text_of(fast);
        }
      }
}

TEST_F(Paths, ExhaustiveHalfInputs) {
  for (const mfq_dtype dtype : {MFQ_DTYPE_BF16, MFQ_DTYPE_F16})
    for (int32_t i = 0; mfq_format_name(i, nullptr); ++i)
      for (const char *rest : {"", "/nosat", "/round:away", "/round:zero", "/round:floor", "/round:ceil", "/round:dpu",
                               "/round:stochastic"}) {
        SCOPED_TRACE(std::string(mfq_format_name(i, nullptr)) + rest);
        const mfq_scheme scheme = parse(std::string(mfq_format_name(i, nullptr)) + rest);
        Plain src(dtype, {65536}, {1});
        for (uint32_t u = 0; u < 65536; ++u) {
          const uint16_t h = (uint16_t)u;
          std::memcpy(&src.bytes[u * 2], &h, 2);
        }
        Quantized a(scheme, {65536});
        Plain x(dtype, {65536}, {1});
        ASSERT_EQ(mfq_quantize(reference(), &src.tensor, &a.q, nullptr), MFQ_OK);
        ASSERT_EQ(mfq_fake_quantize(reference(), &scheme, &src.tensor, &x.tensor, nullptr), MFQ_OK);
        for (const Context &fast : contexts.fast) {
          SCOPED_TRACE(text_of(fast));
          Quantized b(scheme, {65536});
          Plain y(dtype, {65536}, {1});
          ASSERT_EQ(mfq_quantize(fast.get(), &src.tensor, &b.q, nullptr), MFQ_OK);
          ASSERT_TRUE(b.same_bytes(a)) << b.difference(a);
          ASSERT_EQ(mfq_fake_quantize(fast.get(), &scheme, &src.tensor, &y.tensor, nullptr), MFQ_OK);
          ASSERT_EQ(x.bytes, y.bytes);
        }
      }
}

/* What codes hold is the two steps, in every rounding. */
TEST_F(Paths, FakesAreTheTwoSteps) {
  const std::vector<int64_t> shape = {133, 200};
  for (const std::string &text : schemes()) {
    const mfq_scheme scheme = parse(text);
    if (scheme.arith != MFQ_ARITH_EXACT) continue;
    SCOPED_TRACE(text);
    Plain src(MFQ_DTYPE_F32, shape, dense(shape)), x = src.copy(), y = src.copy();
    fill(src, 17, true);
    for (const Context &fast : contexts.fast) {
      Quantized q(scheme, shape);
      ASSERT_EQ(mfq_quantize(fast.get(), &src.tensor, &q.q, nullptr), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(mfq_dequantize(fast.get(), &q.q, &x.tensor), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(mfq_fake_quantize(fast.get(), &scheme, &src.tensor, &y.tensor, nullptr), MFQ_OK) << mfq_last_error();
      ASSERT_EQ(x.bytes, y.bytes) << text_of(fast);
    }
  }
}

TEST_F(Paths, AnyNumberOfThreads) {
  for (const char *text : {"mxfp4_e2m1", "e4m3fn/tensor/f32", "int8n/channel@1/f32", "nvfp4", "uint4/group:32@0/f32/zp",
                           "mxfp4_e2m1/round:stochastic", "int8n/channel@1/f32/round:stochastic"}) {
    const std::vector<int64_t> shape = {70, 3000};
    Plain src(MFQ_DTYPE_F32, shape, dense(shape));
    fill(src, 3);
    Quantized expected(parse(text), shape);
    ASSERT_EQ(mfq_quantize(Contexts(1).fast.front().get(), &src.tensor, &expected.q, nullptr), MFQ_OK);
    for (const int threads : {1, 2, 3, 7})
      for (const Context &many : Contexts(threads).fast) {
        Quantized actual(parse(text), shape);
        ASSERT_EQ(mfq_quantize(many.get(), &src.tensor, &actual.q, nullptr), MFQ_OK);
        ASSERT_TRUE(actual.same_bytes(expected))
            << text << ", " << threads << " threads, " << text_of(many) << ": " << actual.difference(expected);
      }
  }
}

} // namespace
