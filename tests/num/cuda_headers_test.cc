/* Encoding against the host code of NVIDIA's own headers; needs cuda_fp8.h, cuda_fp6.h and cuda_fp4.h but no GPU. */
#include <gtest/gtest.h>

#if defined(MFQ_HAVE_CUDA_HEADERS)

#include <mfq/num/bits.h>
#include <mfq/num/scale.h>

#include "num_formats.h"
#include "support/f32_inputs.h"
#include "support/oracle.h"

#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>

namespace {

struct Conversion {
  const char *name, *format;
  bool saturate;
  uint32_t (*from_f32)(float);
  uint32_t (*from_bf16)(__nv_bfloat16_raw);
  uint32_t (*from_f16)(__half_raw);
};

void PrintTo(const Conversion &conversion, std::ostream *out) { *out << conversion.name; }

template <__nv_saturation_t sat, __nv_fp8_interpretation_t kind> Conversion fp8(const char *name, const char *format) {
  return {name,
          format,
          sat == __NV_SATFINITE,
          [](float x) -> uint32_t { return __nv_cvt_float_to_fp8(x, sat, kind); },
          [](__nv_bfloat16_raw x) -> uint32_t { return __nv_cvt_bfloat16raw_to_fp8(x, sat, kind); },
          [](__half_raw x) -> uint32_t { return __nv_cvt_halfraw_to_fp8(x, sat, kind); }};
}

template <__nv_fp6_interpretation_t kind> Conversion fp6(const char *name) {
  return {name,
          name,
          true,
          [](float x) -> uint32_t { return __nv_cvt_float_to_fp6(x, kind, cudaRoundNearest); },
          [](__nv_bfloat16_raw x) -> uint32_t { return __nv_cvt_bfloat16raw_to_fp6(x, kind, cudaRoundNearest); },
          [](__half_raw x) -> uint32_t { return __nv_cvt_halfraw_to_fp6(x, kind, cudaRoundNearest); }};
}

Conversion fp4(const char *name) {
  return {name,
          name,
          true,
          [](float x) -> uint32_t { return __nv_cvt_float_to_fp4(x, __NV_E2M1, cudaRoundNearest); },
          [](__nv_bfloat16_raw x) -> uint32_t { return __nv_cvt_bfloat16raw_to_fp4(x, __NV_E2M1, cudaRoundNearest); },
          [](__half_raw x) -> uint32_t { return __nv_cvt_halfraw_to_fp4(x, __NV_E2M1, cudaRoundNearest); }};
}

/* Equal codes, or two NaN: their signs and payloads differ between the headers' own paths. */
testing::AssertionResult agrees(const NumFormat &num, uint32_t u, uint32_t header) {
  const uint32_t ours = num.encode(u, 0, MFQ_ROUND_EVEN);
  if (header == ours || (inputs::is_nan(num.decode(header, 0)) && inputs::is_nan(num.decode(ours, 0))))
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << inputs::f32(u) << ": header " << header << ", num " << ours;
}

class CudaHeaders : public testing::TestWithParam<Conversion> {
protected:
  const oracle::Grid grid{oracle::named(GetParam().format)};
  const NumFormat num{grid.format(), GetParam().saturate};
};

TEST_P(CudaHeaders, EveryBfloat16) {
  for (uint32_t h = 0; h < 65536; ++h) {
    __nv_bfloat16_raw x;
    x.x = (unsigned short)h;
    ASSERT_TRUE(agrees(num, h << 16, GetParam().from_bf16(x)));
  }
}

TEST_P(CudaHeaders, EveryFloat16) {
  for (uint32_t h = 0; h < 65536; ++h) {
    __half_raw x;
    x.x = (unsigned short)h;
    ASSERT_TRUE(agrees(num, mfqn_f32_from_f16(h), GetParam().from_f16(x)));
  }
}

TEST_P(CudaHeaders, Float32) {
  for (const auto &all : {inputs::boundaries(grid, 0), inputs::structured(), inputs::random(81, 200000)})
    for (uint32_t u : all) ASSERT_TRUE(agrees(num, u, GetParam().from_f32(inputs::f32(u))));
}

const Conversion kConversions[] = {fp8<__NV_SATFINITE, __NV_E4M3>("e4m3_sat", "e4m3fn"),
                                   fp8<__NV_NOSAT, __NV_E4M3>("e4m3_nosat", "e4m3fn"),
                                   fp8<__NV_SATFINITE, __NV_E5M2>("e5m2_sat", "e5m2"),
                                   fp8<__NV_NOSAT, __NV_E5M2>("e5m2_nosat", "e5m2"),
                                   fp6<__NV_E2M3>("e2m3"),
                                   fp6<__NV_E3M2>("e3m2"),
                                   fp4("e2m1")};

INSTANTIATE_TEST_SUITE_P(Conversions, CudaHeaders, testing::ValuesIn(kConversions),
                         [](const auto &row) { return std::string(row.param.name); });

TEST(CudaHeadersExhaustive, EveryFloat32) {
  if (!inputs::exhaustive())
    GTEST_SKIP() << "set MFQ_TEST_EXHAUSTIVE=1 to try all 2^32 inputs; the other tests try the structured ones";
  for (const Conversion &conversion : kConversions) {
    const NumFormat num(oracle::named(conversion.format), conversion.saturate);
    for (uint64_t u = 0; u < 1ull << 32; ++u)
      ASSERT_TRUE(agrees(num, (uint32_t)u, conversion.from_f32(inputs::f32((uint32_t)u)))) << conversion.name;
  }
}

/* Rounding a number to UE8M0 toward zero is the FLOOR rule of an element whose largest value is 1, and toward plus
 * infinity is CEIL, with the exponent limited to -127 ... 127. */
void check_ue8m0(uint32_t u) {
  const mfqn_range one = mfqn_range_make(1, 0, MFQN_RULE_FLOOR);
  const struct {
    int rule;
    cudaRoundMode rounding;
  } rows[] = {{MFQN_RULE_FLOOR, cudaRoundZero}, {MFQN_RULE_CEIL, cudaRoundPosInf}};
  for (const auto &row : rows) {
    const int exp2 = u == 0 ? -127 : std::clamp(mfqn_scale_exp2(u, row.rule, &one), -127, 127);
    ASSERT_EQ(__nv_cvt_float_to_e8m0(inputs::f32(u), __NV_SATFINITE, row.rounding), exp2 + 127)
        << inputs::f32(u) << " rule " << row.rule;
  }
}

TEST(CudaHeadersScale, Ue8m0) {
  for (uint32_t high = 0; high < 0x7f80u && !testing::Test::HasFatalFailure(); ++high) check_ue8m0(high << 16);
  for (uint32_t u : inputs::structured())
    if (u < 0x7f800000u && !testing::Test::HasFatalFailure()) check_ue8m0(u);
  for (uint32_t u : inputs::random(82, 200000))
    if (u < 0x7f800000u && !testing::Test::HasFatalFailure()) check_ue8m0(u);
}

TEST(CudaHeadersScale, Ue8m0Decodes) {
  for (uint32_t code = 0; code < 255; ++code) {
    __nv_bfloat16_raw want = __nv_cvt_e8m0_to_bf16raw((__nv_fp8_storage_t)code);
    EXPECT_EQ(mfqn_pow2((int32_t)code - 127), (uint32_t)want.x << 16) << code;
  }
}

} // namespace

#else

TEST(CudaHeaders, AreMissing) {
  GTEST_SKIP() << "cuda_fp8.h was not found when this was built: no comparison with NVIDIA's conversions";
}

#endif
