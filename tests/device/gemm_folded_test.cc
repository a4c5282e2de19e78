// Products of small minifloats that run as FP8 products with a scale for each 128 of K: operands keep their values,
// and what does not fold is computed exactly all the same.
#include "support/device.h"
#if defined(MFQ_SIMT)
#include "simt/cublaslt/cublaslt_standin.h"
#endif

namespace {

using namespace mfq_test;

/* What one product is made of. */
struct Product {
  int64_t m, n, k;
  std::string a = "mxfp4_e2m1", b = "mxfp4_e2m1";
  bool quantizes_a = false, quantizes_b = false; /* on the way in */
  mfq_dtype from = MFQ_DTYPE_F32, to = MFQ_DTYPE_F32;
  mfq_layout layout = {};
  int64_t batches = 1;   /* of A and D */
  int64_t b_batches = 1; /* 1: shared */
  bool has_alpha = false;
  bool is_strided = false; /* K is not the contiguous axis of plain operands */
};

constexpr mfq_layout tight = {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 1};

/* Rows x K: elements, and the quantized tensor that the CPU makes of them. */
class Side {
public:
  Side(const Shape &shape, const std::string &scheme, const Product &p, uint32_t seed)
      : x(p.from, shape, p.is_strided ? Shape{1, shape[0]} : dense_strides(shape)), q(parse(scheme), shape, &p.layout) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    x.fill([&](size_t) { return bits_in(p.from, normal(generator)); });
  }
  void quantize() {
    const mfq_tensor src = x.here();
    ASSERT_EQ(mfq_quantize(devices().cpu.get(), &src, &q.q, nullptr), MFQ_OK) << mfq_last_error();
  }
  void place() {
    there = std::make_unique<DeviceQuantized>(devices().device.get(), q);
    plain = std::make_unique<DeviceMemory>(devices().device.get(), x.bytes.data(), x.bytes.size());
    tensor = x.at(plain->data());
  }
  /* The values in double, all scales included. */
  std::vector<double> values() const {
    Operand y(MFQ_DTYPE_F32, x.shape);
    const mfq_tensor dst = y.here();
    EXPECT_EQ(mfq_dequantize(devices().cpu.get(), &q.q, &dst), MFQ_OK) << mfq_last_error();
    std::vector<double> all(y.count());
    for (size_t i = 0; i < all.size(); ++i) {
      float v;
      std::memcpy(&v, &y.bytes[4 * i], 4);
      all[i] = v;
    }
    return all;
  }
  uint8_t &scale(int64_t row, int64_t group) {
    return q.scales[(size_t)(row * q.sizes.scale_shape[q.sizes.scale_rank - 1] + group)];
  }

  Operand x;
  Quantized q;
  std::unique_ptr<DeviceQuantized> there;
  std::unique_ptr<DeviceMemory> plain;
  mfq_tensor tensor;
};

Shape shape_of(int64_t batches, int64_t rows, int64_t cols) {
  return batches == 1 ? Shape{rows, cols} : Shape{batches, rows, cols};
}

class GemmFolded : public OnDevice {
protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    Product p{16, 16, 32};
    const std::string about = plan_of(p);
    if (about.rfind("folded", 0) == 0) return;
#if defined(MFQ_SIMT)
    GTEST_FAIL() << about; /* the emulated device is one that folds */
#else
    GTEST_SKIP() << about;
#endif
  }

  /* Bits of sums: exact but for the rounding of f32 where the stand-in for cuBLASLt computes them. */
  static double tolerance(int64_t k) {
#if defined(MFQ_SIMT)
    return std::ldexp((double)k, -24);
#else
    return 4 * 33 * std::ldexp(1, -13) + std::ldexp((double)k, -24); /* docs/numerics.md, "Products" */
#endif
  }

  struct Call {
    mfq_gemm gemm;
    mfq_tensor d;
    mfq_scheme scheme_a, scheme_b;
  };

  static void describe(const Product &p, Side *a, Side *b, Call *call) {
    mfq_gemm_init(&call->gemm);
    call->scheme_a = parse(p.a);
    call->scheme_b = parse(p.b);
    (p.quantizes_a ? (void)(call->gemm.a.plain = &a->tensor) : (void)(call->gemm.a.quantized = &a->there->q));
    (p.quantizes_b ? (void)(call->gemm.b.plain = &b->tensor) : (void)(call->gemm.b.quantized = &b->there->q));
    if (p.quantizes_a) call->gemm.a.quantize_to = &call->scheme_a;
    if (p.quantizes_b) call->gemm.b.quantize_to = &call->scheme_b;
    call->gemm.transpose_b = 1;
  }

  static std::string plan_of(const Product &p) {
    Side a(shape_of(p.batches, p.m, p.k), p.a, p, 1), b(shape_of(p.b_batches, p.n, p.k), p.b, p, 2);
    Call call;
    a.place();
    b.place();
    describe(p, &a, &b, &call);
    Operand d(p.to, shape_of(p.batches, p.m, p.n));
    const DeviceMemory memory(device(), d.bytes.data(), d.bytes.size());
    call.d = d.at(memory.data());
    call.gemm.d = &call.d;
    mfq_gemm_plan *plan = nullptr;
    if (mfq_gemm_plan_create(device(), &call.gemm, &plan) != MFQ_OK) return mfq_last_error();
    const std::string about = mfq_gemm_plan_describe(plan);
    mfq_gemm_plan_destroy(plan);
    return about;
  }

  /* Plans, runs and waits, in a workspace full of garbage. */
  static void run_call(const mfq_gemm &gemm) {
    mfq_gemm_plan *plan = nullptr;
    ASSERT_EQ(mfq_gemm_plan_create(device(), &gemm, &plan), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(std::string(mfq_gemm_plan_describe(plan)).rfind("folded", 0), 0u) << mfq_gemm_plan_describe(plan);
    const size_t bytes = mfq_gemm_workspace_bytes(plan);
    const std::vector<uint8_t> garbage(bytes, 0xab);
    {
      const DeviceMemory workspace(device(), garbage.data(), bytes);
      EXPECT_EQ(mfq_gemm_run(device(), plan, &gemm, workspace.data(), bytes), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(mfq_context_synchronize(device()), MFQ_OK) << mfq_last_error();
    }
    mfq_gemm_plan_destroy(plan);
  }

  /* Runs the product of two sides that are filled, and returns D as float32. */
  static std::vector<float> run(const Product &p, Side *a, Side *b) {
    Call call;
    a->place();
    b->place();
    describe(p, a, b, &call);
    Operand d(p.to, shape_of(p.batches, p.m, p.n));
    const DeviceMemory memory(device(), d.bytes.data(), d.bytes.size());
    call.d = d.at(memory.data());
    call.gemm.d = &call.d;
    const float alpha = 0.5f;
    if (p.has_alpha) call.gemm.alpha = &alpha;
    run_call(call.gemm);
    memory.read(d.bytes.data());
    std::vector<float> out(d.count());
    for (size_t i = 0; i < out.size(); ++i) {
      uint32_t u = 0;
      std::memcpy(&u, &d.bytes[i * mfq_dtype_bytes(p.to)], mfq_dtype_bytes(p.to));
      out[i] = float_of(p.to == MFQ_DTYPE_BF16 ? u << 16 : u);
    }
    return out;
  }

  /* D against the product of what the CPU decodes. */
  static void compare(const Product &p, const Side &a, const Side &b, const std::vector<float> &got) {
    ASSERT_EQ((int64_t)got.size(), p.batches * p.m * p.n);
    const std::vector<double> x = a.values(), y = b.values();
    const double slack = tolerance(p.k) + (p.to == MFQ_DTYPE_BF16 ? std::ldexp(1, -8) : 0);
    for (int64_t batch = 0; batch < p.batches; ++batch)
      for (int64_t i = 0; i < p.m; ++i)
        for (int64_t j = 0; j < p.n; ++j) {
          double sum = 0, magnitude = 0;
          for (int64_t k = 0; k < p.k; ++k) {
            const double term = x[(size_t)((batch * p.m + i) * p.k + k)] *
                                y[(size_t)(((p.b_batches > 1 ? batch : 0) * p.n + j) * p.k + k)];
            sum += term;
            magnitude += std::fabs(term);
          }
          if (p.has_alpha) sum *= 0.5;
          const float value = got[(size_t)((batch * p.m + i) * p.n + j)];
          const bool same = std::isnan(sum) ? std::isnan(value) : std::fabs(value - sum) <= slack * magnitude + 1e-44;
          ASSERT_TRUE(same) << batch << ": " << i << ", " << j << " is " << value << ", not " << sum;
        }
  }

  /* Normal numbers through the CPU's quantization, the device's product and the comparison. */
  static void check(const Product &p) {
    SCOPED_TRACE(p.a + " x " + p.b + ", " + std::to_string(p.m) + " x " + std::to_string(p.n) + " x " +
                 std::to_string(p.k));
    Side a(shape_of(p.batches, p.m, p.k), p.a, p, 1), b(shape_of(p.b_batches, p.n, p.k), p.b, p, 2);
    a.quantize();
    b.quantize();
    compare(p, a, b, run(p, &a, &b));
  }
};

TEST_F(GemmFolded, EveryPairOfSmallFormats) {
  for (const char *a : {"mxfp4_e2m1", "mxfp6_e2m3", "mxfp6_e3m2", "e3m0/group:32/ue8m0", "e2m2/group:16/ue8m0"})
    for (const char *b : {"mxfp4_e2m1", "mxfp6_e2m3", "mxfp6_e3m2", "e3m2/group:64/ue8m0", "e2m1/group:256/ue8m0"})
      check({20, 24, 288, a, b});
}

TEST_F(GemmFolded, OddSizes) {
  for (const int64_t k : {1, 31, 32, 127, 128, 129, 300})
    check({33, 37, k, "mxfp4_e2m1", "mxfp6_e3m2", false, false, MFQ_DTYPE_F32, MFQ_DTYPE_F32, tight});
  check({1, 1, 64});
  check({130, 5, 160});
  check({5, 131, 160});
}

/* Sums that cuBLASLt writes into D itself, and what does not fold beside them. */
TEST_F(GemmFolded, SumsThatAreD) {
  for (const mfq_dtype to : {MFQ_DTYPE_F32, MFQ_DTYPE_BF16}) {
    Product p{304, 144, 256, "mxfp4_e2m1", "mxfp4_e2m1", false, true, MFQ_DTYPE_F32, to};
    check(p);
    p.batches = 2;
    Side a({2, p.m, p.k}, p.a, p, 3), b({p.n, p.k}, p.b, p, 4);
    a.quantize();
    b.quantize();
    a.scale(5, 2) = 90;
    a.scale(p.m + 299, 0) = 150;
    compare(p, a, b, run(p, &a, &b));
  }
}

TEST_F(GemmFolded, LayoutsOfCodesAndScales) {
  for (const mfq_packing packing : {MFQ_PACK_TIGHT, MFQ_PACK_BYTE})
    for (const mfq_scale_order scales : {MFQ_SCALES_LOGICAL, MFQ_SCALES_128X4})
      for (const int32_t align : {1, 5, 16}) {
        const mfq_layout layout = {MFQ_CODES_LOGICAL, packing, scales, align};
        check({19, 18, 161, "mxfp6_e2m3", "mxfp4_e2m1", false, false, MFQ_DTYPE_F32, MFQ_DTYPE_F32, layout});
      }
}

TEST_F(GemmFolded, QuantizedOnTheWay) {
  for (const mfq_dtype from : kDtypes)
    for (const char *scheme : {"mxfp4_e2m1", "mxfp6_e3m2", "e2m3/group:128/ue8m0", "e2m1/group:16/ue8m0:rceil",
                               "e2m1/group:256/ue8m0", "e2m1/group:32/ue8m0/round:zero"})
      for (const int64_t k : {200, 128}) {
        check({35, 20, k, scheme, "mxfp4_e2m1", true, false, from, MFQ_DTYPE_BF16, tight});
        check({18, 35, k, "mxfp4_e2m1", scheme, true, true, from, MFQ_DTYPE_F32, tight});
      }
}

TEST_F(GemmFolded, FactorsBlocksAndAlpha) {
  Product p{20, 40, 128, "e2m1/channel@0/f32", "mxfp4_e2m1"};
  p.has_alpha = true;
  check(p);
  check({20, 40, 160, "e2m1/tensor/f32", "e3m2/block:32x32/ue8m0"});
}

/* The codes of a quantized D are those that the CPU makes of the plain one. */
TEST_F(GemmFolded, QuantizedD) {
  const Product p{150, 40, 160};
  Side a({p.m, p.k}, p.a, p, 3), b({p.n, p.k}, p.b, p, 4);
  a.quantize();
  b.quantize();
  Operand d(p.to, {p.m, p.n});
  const std::vector<float> plain = run(p, &a, &b);
  ASSERT_EQ(plain.size(), d.count());
  d.fill([&](size_t i) { return float_bits(plain[i]); });
  Quantized want(parse("mxfp8_e4m3"), {p.m, p.n}), got(parse("mxfp8_e4m3"), {p.m, p.n});
  const mfq_tensor src = d.here();
  ASSERT_EQ(mfq_quantize(cpu(), &src, &want.q, nullptr), MFQ_OK) << mfq_last_error();
  DeviceQuantized there(device(), got);
  Call call;
  describe(p, &a, &b, &call);
  call.gemm.quantized_d = &there.q;
  run_call(call.gemm);
  there.download(&got);
  EXPECT_TRUE(same_parts(got, want));
}

/* A plain operand whose rows are columns in memory is quantized first, and folded then. */
TEST_F(GemmFolded, PlainOperandsStridedAlongK) {
  Product p{150, 40, 160, "mxfp6_e2m3", "mxfp4_e2m1", true, true, MFQ_DTYPE_BF16};
  p.is_strided = true;
  check(p);
}

TEST_F(GemmFolded, Batches) {
  Product p{20, 24, 160};
  p.batches = p.b_batches = 3;
  check(p);
  p.quantizes_a = p.quantizes_b = true;
  check(p);
  p.b_batches = 1;
  check(p);
}

/* Scales of one run that lie too far apart: rows in the first and the third slab of A, and one of B. */
TEST_F(GemmFolded, RunsThatDoNotFold) {
  const Product p{300, 140, 256};
  Side a({p.m, p.k}, p.a, p, 3), b({p.n, p.k}, p.b, p, 4);
  a.quantize();
  b.quantize();
  a.scale(5, 2) = 90;
  a.scale(299, 0) = 150;
  b.scale(139, 7) = 100;
  compare(p, a, b, run(p, &a, &b));
}

/* As far apart as the window reaches, and one step more; both are exact. */
TEST_F(GemmFolded, TheEndOfTheWindow) {
  for (const int32_t apart : {14, 15}) {
    const Product p{16, 16, 128};
    Side a({p.m, p.k}, p.a, p, 3), b({p.n, p.k}, p.b, p, 4);
    a.quantize();
    b.quantize();
    for (int64_t row = 0; row < p.m; ++row)
      for (int64_t group = 0; group < 4; ++group) a.scale(row, group) = (uint8_t)(120 + (group % 2) * apart);
    compare(p, a, b, run(p, &a, &b));
  }
}

TEST_F(GemmFolded, ScalesAtTheEndsOfTheirRange) {
  const Product p{160, 20, 256};
  Side a({p.m, p.k}, p.a, p, 3), b({p.n, p.k}, p.b, p, 4);
  a.quantize();
  b.quantize();
  for (int64_t row = 0; row < 20; ++row)
    for (int64_t group = 0; group < 8; ++group) {
      a.scale(row, group) = (uint8_t)(row < 10 ? 0 : 250);
      b.scale(row, group) = (uint8_t)(row < 10 ? 2 : 60);
    }
  compare(p, a, b, run(p, &a, &b));
}

TEST_F(GemmFolded, NanPoisonsItsRowsOnly) {
  const Product p{140, 36, 160};
  Side a({p.m, p.k}, p.a, p, 3), b({p.n, p.k}, p.b, p, 4);
  a.quantize();
  b.quantize();
  a.scale(3, 4) = 255;
  b.scale(30, 0) = 255;
  const std::vector<float> d = run(p, &a, &b);
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j)
      ASSERT_EQ(std::isnan(d[(size_t)(i * p.n + j)]), i == 3 || j == 30) << i << ", " << j;
  compare(p, a, b, d);
}

TEST_F(GemmFolded, NanAndInfinityOnTheWay) {
  Product p{136, 20, 140};
  p.quantizes_a = p.quantizes_b = true;
  p.layout.row_align = 1;
  Side a({p.m, p.k}, p.a, p, 3), b({p.n, p.k}, p.b, p, 4);
  a.x.put((size_t)(7 * p.k + 100), 0x7fc00000u);
  b.x.put((size_t)(3 * p.k), 0x7f800000u);
  a.quantize();
  b.quantize();
  compare(p, a, b, run(p, &a, &b));
}

/* Groups of zeros have the smallest scale, which binds nothing. */
TEST_F(GemmFolded, ZeroGroups) {
  for (const bool on_the_way : {false, true}) {
    Product p{17, 18, 256};
    p.quantizes_a = p.quantizes_b = on_the_way;
    Side a({p.m, p.k}, p.a, p, 3), b({p.n, p.k}, p.b, p, 4);
    for (int64_t row = 0; row < p.m; ++row)
      for (int64_t k = 0; k < p.k; ++k)
        if (row == 2 || (k / 32 + row) % 3 == 0) a.x.put((size_t)(row * p.k + k), k % 2 != 0 ? 0x80000000u : 0u);
    a.quantize();
    b.quantize();
    compare(p, a, b, run(p, &a, &b));
  }
}

#if defined(MFQ_SIMT)
/* The stand-in for cuBLASLt rounds a sum once. Sums over runs of very different size, added up in float32, as the exact
 * product of what does not fold does, would differ from that here and there. */
TEST_F(GemmFolded, DataThatFoldsIsNotComputedAgain) {
  for (const bool on_the_way : {false, true}) {
    Product p{140, 40, 640};
    p.quantizes_a = p.quantizes_b = on_the_way;
    Side a({p.m, p.k}, p.a, p, 3), b({p.n, p.k}, p.b, p, 4);
    for (Side *side : {&a, &b})
      for (size_t i = 0; i < side->x.count(); ++i) {
        float v;
        std::memcpy(&v, &side->x.bytes[4 * i], 4);
        side->x.put(i, float_bits(std::ldexp(v, 6 * (int)(i % (size_t)p.k / 128))));
      }
    a.quantize();
    b.quantize();
    const std::vector<float> d = run(p, &a, &b);
    const std::vector<double> x = a.values(), y = b.values();
    for (int64_t i = 0; i < p.m; ++i)
      for (int64_t j = 0; j < p.n; ++j) {
        double sum = 0; /* exact: 53 bits hold it */
        for (int64_t k = 0; k < p.k; ++k) sum += x[(size_t)(i * p.k + k)] * y[(size_t)(j * p.k + k)];
        ASSERT_EQ(d[(size_t)(i * p.n + j)], (float)sum) << i << ", " << j;
      }
  }
}

/* cuBLASLt is asked for the product that was meant. */
TEST_F(GemmFolded, AsksForFp8WithScalesOfRuns) {
  (void)simt::take_lt_records();
  check({33, 37, 130});
  check({96, 32, 256, "mxfp6_e3m2", "mxfp4_e2m1", false, false, MFQ_DTYPE_F32, MFQ_DTYPE_BF16});
  check({33, 37, 132, "e4m1/group:32/ue8m0"});
  const std::vector<simt::lt_record> records = simt::take_lt_records();
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].text, "TN 48x48x144: e4m3 x e4m3 -> f32; scales 4, 4");
  EXPECT_EQ(records[1].text, "TN 32x96x256: e4m3 x e4m3 -> bf16; scales 4, 4");
  EXPECT_EQ(records[2].text, "TN 48x48x144: e4m3 x e5m2 -> f32; scales 4, 4"); /* cuBLASLt's A is our B */
  EXPECT_TRUE(simt::take_lt_refusals().empty());
}
#endif

TEST_F(GemmFolded, RefusesWithTheReason) {
  const struct {
    Product p;
    const char *reason;
  } rows[] = {
      {{16, 16, 64, "mxfp8_e4m3", "mxfp4_e2m1"}, "not folded: A's elements"},
      {{16, 16, 64, "mxfp4_e2m1", "nvfp4"}, "not folded: B's group scales are not ue8m0"},
      {{16, 16, 64, "e2m1/group:24/ue8m0", "mxfp4_e2m1"}, "not folded: A's groups"},
      {{16, 16, 33, "mxfp4_e2m1", "mxfp4_e2m1"}, "not folded: A's rows start inside a byte"},
  };
  for (const auto &row : rows) EXPECT_NE(plan_of(row.p).find(row.reason), std::string::npos) << plan_of(row.p);
}

} // namespace
