// Which operands bf16 holds, asked of the rule that both backends go by and of double, which holds every code times
// every scale.
#include "cuda/product/side_params.h"

#include <cstring>
#include <set>

#include <gtest/gtest.h>

#include <mfq/mfq.h>

#include "support/oracle.h"

namespace {

const int64_t kShape[] = {64, 64};

/* Values that need every digit which a format of scales has, and for narrow ones every pattern of digits. */
std::vector<double> scales_of(mfq_scale_format format) {
  const auto digits = [](int count) {
    std::vector<double> all;
    for (int i = 0; i < 1 << (count - 1); ++i) all.push_back(1 + std::ldexp(i, 1 - count));
    return all;
  };
  switch (format) {
    case MFQ_SCALE_F32: return {1, 1 + std::ldexp(1, -23), 2 - std::ldexp(1, -23), 1.25, std::ldexp(11184811, -23)};
    case MFQ_SCALE_BF16: return digits(8);
    case MFQ_SCALE_F16: return digits(11);
    case MFQ_SCALE_UE4M3: return digits(4);
    case MFQ_SCALE_UE8M0: return {0.125, 1, 32};
    default: return {1};
  }
}

/* What decodes to a number: codes, or their differences to every zero point. */
std::set<double> elements_of(const mfq_scheme &scheme) {
  const oracle::Grid grid(scheme.element);
  std::set<double> values, differences;
  for (uint32_t code = 0; code < grid.codes(); ++code) values.insert(std::fabs(grid.decode(code)));
  if (!scheme.zero_point) return values;
  for (uint32_t code = 0; code < grid.codes(); ++code)
    for (uint32_t zero = 0; zero < grid.codes(); ++zero)
      differences.insert(std::fabs(grid.decode(code) - grid.decode(zero)));
  return differences;
}

/* Whether 8 digits do; how far bf16 reaches is not asked: as far as float32. */
bool bf16_holds(const std::set<double> &elements, const std::vector<double> &scales) {
  int exponent = 0;
  for (const double element : elements)
    for (const double scale : scales) {
      const double significand = std::ldexp(std::frexp(element * scale, &exponent), 8);
      if (std::isfinite(significand) && significand != std::floor(significand)) return false;
    }
  return true;
}

mfq_gemm_side side_of(const mfq_scheme &scheme) {
  mfq_gemm_side side = {};
  side.kind = MFQ_SIDE_QUANTIZED;
  side.rows = side.depth = 64;
  EXPECT_EQ(mfq_qtensor_init(&scheme, 2, kShape, nullptr, &side.view.q), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_qtensor_sizes_get(&side.view.q, &side.view.sizes), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(mfq_gemm_side_index(&side, 0), nullptr);
  return side;
}

/* Schemes with scales of every format, within sums and as their factors, but for those that the format cannot have. */
std::vector<mfq_scheme> schemes_of(const mfq_format &format) {
  std::vector<mfq_scheme> schemes;
  for (const char *text : {"", "/tensor/f32", "/channel@0/bf16", "/group:32/f32", "/group:32/bf16", "/group:32/f16",
                           "/group:32/ue8m0", "/group:16/ue4m3", "/block:32x32/f32", "/block:32x32/ue8m0"})
    for (const bool zero_point : {false, true}) {
      mfq_scheme scheme;
      mfq_qtensor unused;
      const bool can_shift = format.kind == MFQ_KIND_INTEGER && *text != '\0' && std::strstr(text, "ue4m3") == nullptr;
      if (zero_point && !can_shift) continue;
      const std::string whole = (zero_point ? "uint8" : "e2m1") + std::string(text) + (zero_point ? "/zp" : "");
      EXPECT_EQ(mfq_scheme_parse(whole.c_str(), &scheme), MFQ_OK) << mfq_last_error();
      scheme.element = format;
      if (mfq_qtensor_init(&scheme, 2, kShape, nullptr, &unused) == MFQ_OK) schemes.push_back(scheme);
    }
  return schemes;
}

std::string text_of(const mfq_scheme &scheme) {
  char text[MFQ_SCHEME_TEXT_MAX];
  return mfq_scheme_print(&scheme, text, sizeof text) == MFQ_OK ? text : mfq_last_error();
}

/* Of formats that have a name the rule is exact. */
TEST(Bf16, HoldsWhatItIsSaidToHold) {
  int held = 0, refused = 0;
  for (const oracle::NamedFormat &row : oracle::named_formats())
    for (const mfq_scheme &scheme : schemes_of(row.format)) {
      const mfq_gemm_side side = side_of(scheme);
      const bool holds = bf16_holds(elements_of(scheme), scales_of(side.group != 0 ? scheme.scale : MFQ_SCALE_NONE));
      EXPECT_EQ(mfq_gemm_side_refuses_bf16(&side) == nullptr, holds) << text_of(scheme);
      (holds ? held : refused)++;
    }
  EXPECT_GT(held, 100);
  EXPECT_GT(refused, 100);
}

/* Others may have less digits than their fields: where special values take the codes, or a lone exponent. Those are
 * refused at worst. */
TEST(Bf16, HoldsEveryMinifloatThatIsNotRefused) {
  int held = 0, careful = 0;
  for (const mfq_format &format : oracle::generic_formats({1, 7}))
    for (const mfq_scheme &scheme : schemes_of(format)) {
      const mfq_gemm_side side = side_of(scheme);
      const bool holds = bf16_holds(elements_of(scheme), scales_of(side.group != 0 ? scheme.scale : MFQ_SCALE_NONE));
      const bool is_refused = mfq_gemm_side_refuses_bf16(&side) != nullptr;
      EXPECT_TRUE(is_refused || holds) << text_of(scheme);
      (is_refused ? careful : held) += holds;
    }
  EXPECT_GT(held, 1000);
  EXPECT_LT(careful, held / 20);
}

TEST(Bf16, HoldsItself) {
  mfq_gemm_side side = {}, held = {};
  held.matrix.dtype = MFQ_DTYPE_BF16;
  EXPECT_EQ(mfq_gemm_side_refuses_bf16(&held), nullptr);
  for (const mfq_dtype dtype : {MFQ_DTYPE_F32, MFQ_DTYPE_F16}) {
    side.matrix.dtype = dtype;
    EXPECT_NE(mfq_gemm_side_refuses_bf16(&side), nullptr);
    EXPECT_NE(mfq_gemm_sides_refuse_bf16(&side, &held), nullptr);
    EXPECT_NE(mfq_gemm_sides_refuse_bf16(&held, &side), nullptr);
  }
  EXPECT_EQ(mfq_gemm_sides_refuse_bf16(&held, &held), nullptr);
}

} // namespace
