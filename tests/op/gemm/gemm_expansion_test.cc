// Every code times every scale, as products expand it: a product with rows that hold a single 1 picks out single values,
// which must be those that dequantization gives on the reference path.
#include "support/environment.h"
#include "support/machine.h"
#include "support/product.h"

namespace {

using namespace mfq_test;

/* A quantized matrix [256 scales x codes, 32]: row s * codes + c has scale code s. Tight; from one byte a code. */
struct EveryValue {
  int64_t codes, rows;
  Quantized bytes, tight;
  std::vector<float> values; /* [rows, 32] */

  EveryValue(const std::string &scheme, bool is_turning)
      : codes(code_count(scheme)), rows(codes * 256), bytes(parse(scheme), {rows, 32}, layout(MFQ_PACK_BYTE)),
        tight(parse(scheme), {rows, 32}, layout(MFQ_PACK_TIGHT)), values((size_t)rows * 32) {
    for (int64_t i = 0; i < rows * 32; ++i)
      bytes.codes[(size_t)i] = (uint8_t)((i / 32 + (is_turning ? i % 32 * 7 : 0)) % codes);
    const int64_t groups = (int64_t)bytes.sizes.scales_bytes / rows;
    for (int64_t i = 0; i < rows * groups; ++i)
      bytes.scales[(size_t)i] = (uint8_t)(i / groups / codes + (is_turning ? i % groups : 0));
    bytes.tensor_scale = 1.0f;
    if (is_turning) remove_specials();
    EXPECT_EQ(mfq_repack(devices().cpu.get(), &bytes.q, &tight.q), MFQ_OK) << mfq_last_error();
    const Context reference = make_context("reference", 2);
    const mfq_tensor target = dense(values, {rows, 32});
    EXPECT_EQ(mfq_dequantize(reference.get(), &tight.q, &target), MFQ_OK) << mfq_last_error();
  }

private:
  static const mfq_layout *layout(mfq_packing packing) {
    static const mfq_layout layouts[] = {{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                         {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0}};
    return &layouts[packing];
  }
  static int64_t code_count(const std::string &scheme) {
    mfq_format_info info;
    const mfq_format element = parse(scheme).element;
    EXPECT_EQ(mfq_format_info_get(&element, &info), MFQ_OK);
    return info.codes;
  }
  /* NaN and infinity would spoil their whole row: where elements differ, there are none. */
  void remove_specials() {
    for (uint8_t &code : bytes.codes) {
      double value = 0;
      if (code < codes) EXPECT_EQ(mfq_format_decode(&bytes.q.scheme.element, code, &value), MFQ_OK);
      if (!std::isfinite(value)) code = 0;
    }
    for (uint8_t &scale : bytes.scales) {
      if (bytes.q.scheme.scale == MFQ_SCALE_UE8M0 && scale == 255) scale = 254;
      if (bytes.q.scheme.scale == MFQ_SCALE_UE4M3 && (scale & 0x7f) == 0x7f) scale = 1;
    }
  }
};

/* D = A x B^T, A having a 1 in column first + i of row i, if there is one. */
std::vector<float> picked(mfq_context *context, const EveryValue &all, int64_t first, int64_t m, mfq_dtype dtype,
                          std::string *description) {
  Operand a(dtype, {m, 32});
  a.fill([&](size_t i) { return bits_in(dtype, (int64_t)i % 32 == first + (int64_t)i / 32 ? 1.0f : 0.0f); });
  std::vector<float> d((size_t)(m * all.rows), kUnwritten);
  const mfq_tensor ta = a.here(), td = dense(d, {m, all.rows});
  mfq_gemm gemm;
  mfq_gemm_init(&gemm);
  gemm.a.plain = &ta;
  gemm.b.quantized = &all.tight.q;
  gemm.transpose_b = 1;
  gemm.d = &td;
  gemm.own_workspace = 1;
  mfq_gemm_plan *plan = nullptr;
  EXPECT_EQ(mfq_gemm_plan_create(context, &gemm, &plan), MFQ_OK) << mfq_last_error();
  *description = mfq_gemm_plan_describe(plan);
  EXPECT_EQ(mfq_gemm_run(context, plan, &gemm, nullptr, 0), MFQ_OK) << mfq_last_error();
  mfq_gemm_plan_destroy(plan);
  return d;
}

/* Infinity times the zeros of its row is NaN, unless the scale comes after the sum; then the sum may overflow, which a
 * value does not. Below 2^-126 bf16 has steps of 2^-133, and products of bf16 may be 0. */
bool agrees(float got, float want, bool is_bf16, bool scales_sums) {
  const float most = std::numeric_limits<float>::max(), most_bf16 = 0x1.fep127f;
  if (!std::isfinite(want)) return std::isnan(got) || (std::isinf(want) && got == want);
  if (scales_sums && std::fabs(want) == most) return std::isinf(got) && std::signbit(got) == std::signbit(want);
  if (is_bf16) want = std::clamp(want, -most_bf16, most_bf16);
  if (is_bf16 && std::fabs(want) < std::ldexp(1.0f, -126))
    return got == 0 || std::fabs(got - want) <= std::ldexp(1.0f, -134);
  return got == want;
}

class GemmExpansion : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    if (is_only_reference()) GTEST_SKIP() << kOnlyReference;
  }

  void check(const std::string &isa, int64_t m, mfq_dtype dtype, const std::string &path) {
    const Context context = make_context(isa.c_str(), 2);
    const bool is_bf16 = path.find("bf16") != std::string::npos || path.find("expanded") == 0; /* f32 made of it */
    for (const bool is_turning : {false, true}) {
      const EveryValue all(GetParam(), is_turning);
      for (int64_t first = 0; first < 32; first += m) {
        std::string description;
        const std::vector<float> got = picked(context.get(), all, first, m, dtype, &description);
        ASSERT_EQ(description.rfind(path, 0), 0u) << description;
        for (int64_t i = 0; i < std::min<int64_t>(m, 32) * all.rows; ++i) {
          const int64_t row = i % all.rows, k = first + i / all.rows;
          const float want = all.values[(size_t)(row * 32 + k)];
          ASSERT_TRUE(agrees(got[(size_t)i], want, is_bf16, description.rfind("few rows: bf16", 0) == 0))
              << GetParam() << ' ' << isa << " row " << row << " element " << k << ": scale " << row / all.codes
              << " code " << row % all.codes << " gives " << got[(size_t)i] << ", expected " << want;
        }
        if (!is_turning) break; /* all elements of a row are alike */
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, GemmExpansion,
                         testing::Values("mxfp4_e2m1", "mxfp6_e3m2", "mxfp6_e2m3", "mxfp8_e4m3", "mxfp8_e5m2", "mxint8",
                                         "nvfp4", "e4m3fnuz/group:32/ue8m0", "int4/group:32/ue8m0",
                                         "mxfp4_e2m1/group:16", "mxfp8_e4m3/group:8"),
                         [](const auto &info) {
                           std::string name = info.param;
                           for (char &c : name)
                             if (!std::isalnum((unsigned char)c)) c = '_';
                           return name;
                         });

TEST_P(GemmExpansion, Expanded) {
  const Variable own("MFQ_ONEDNN_MODULE", "");
  for (const std::string &isa : fast_isas()) check(isa, 65, MFQ_DTYPE_BF16, "expanded: bf16");
}

// By the same loops, and then to f32, where oneDNN is faster with that.
TEST_P(GemmExpansion, ExpandedToF32) {
  if (machine_has("avx512") || !has_onednn()) GTEST_SKIP() << "bf16 is faster on this machine, or there is no oneDNN";
  for (const std::string &isa : fast_isas()) check(isa, 65, MFQ_DTYPE_BF16, "expanded: f32");
}

TEST_P(GemmExpansion, FewRows) {
  if (GetParam() == "mxfp8_e4m3/group:8") GTEST_SKIP() << "groups of 8 are not for few rows";
  for (const std::string &isa : fast_isas()) {
    for (const int64_t m : {1, 8}) check(isa, m, MFQ_DTYPE_F32, "few rows: f32"); /* sums are scaled, values are */
    if (loops_of(isa, MFQ_DTYPE_BF16) == "avx512_bf16") check(isa, 8, MFQ_DTYPE_BF16, "few rows: bf16");
  }
}

/* Matrices of more than 16 MiB are written past the caches. With the identity as A, D is B turned. */
TEST(GemmExpansionLarge, PastTheCaches) {
  if (is_only_reference()) GTEST_SKIP() << kOnlyReference;
  const int64_t rows = 90000, k = 96;
  const Context context = make_context(nullptr, 2);
  std::vector<uint16_t> identity((size_t)(k * k), 0);
  for (int64_t i = 0; i < k; ++i) identity[(size_t)(i * k + i)] = 0x3f80;
  const mfq_tensor a = dense(identity, MFQ_DTYPE_BF16, {k, k});
  for (const char *scheme : {"mxfp4_e2m1", "mxfp6_e2m3", "mxfp8_e4m3", "nvfp4"}) {
    Quantized b(parse(scheme), {rows, k});
    std::mt19937 generator(3);
    for (uint8_t &byte : b.codes) byte = (uint8_t)(generator() & 0x77); /* no NaN of E4M3 */
    for (uint8_t &byte : b.scales) byte = (uint8_t)(100 + generator() % 20);
    b.tensor_scale = 1.0f;
    const std::vector<float> values = dequantized(context.get(), b);
    std::vector<float> d((size_t)(k * rows), kUnwritten);
    const mfq_tensor td = dense(d, {k, rows});
    mfq_gemm gemm;
    mfq_gemm_init(&gemm);
    gemm.a.plain = &a;
    gemm.b.quantized = &b.q;
    gemm.transpose_b = 1;
    gemm.d = &td;
    gemm.own_workspace = 1;
    mfq_gemm_plan *plan = nullptr;
    ASSERT_EQ(mfq_gemm_plan_create(context.get(), &gemm, &plan), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(std::string(mfq_gemm_plan_describe(plan)).rfind("expanded: ", 0), 0u);
    ASSERT_EQ(mfq_gemm_run(context.get(), plan, &gemm, nullptr, 0), MFQ_OK) << mfq_last_error();
    mfq_gemm_plan_destroy(plan);
    for (int64_t i = 0; i < k * rows; ++i)
      ASSERT_EQ(d[(size_t)i], values[(size_t)(i % rows * k + i / rows)]) << scheme << " element " << i;
  }
}

} // namespace
