// Unscaled quantization of awkward inputs, as Brevitas computes it: every value bit for bit.
#include <cmath>
#include <map>

#include "golden_file.h"

namespace {

using mfq_test::make_context;
using mfq_test::parse;
using mfq_test::same_float;

/* The schemes of the formats in the files. */
const std::map<std::string, std::string> &schemes() {
  static const std::map<std::string, std::string> all = {
      {"e4m3_ocp_sat", "brevitas:Fp8e4m3OCPWeight"},
      {"e4m3_ocp_nosat", "brevitas:Fp8e4m3OCPWeight/nosat"},
      {"e5m2_ocp_sat", "brevitas:Fp8e5m2OCPAct"},
      {"e5m2_ocp_nosat", "brevitas:Fp8e5m2OCPAct/nosat"},
      {"e4m3_fnuz", "brevitas:Fp8e4m3FNUZWeight"},
      {"e5m2_fnuz", "brevitas:Fp8e5m2FNUZWeight"},
      {"e4m3_plain", "brevitas:Fp8e4m3Weight"},
      {"e5m2_plain", "brevitas:Fp8e5m2Weight"},
      {"e3m2", "e3m2/arith:brevitas"},
      {"e2m3", "e2m3/arith:brevitas"},
      {"e2m1", "e2m1/arith:brevitas"},
      {"e3m4", "e3m4/arith:brevitas"},
      {"e4m1", "e4m1/arith:brevitas"},
      {"e1m4", "e1m4/arith:brevitas"},
      {"e6m1", "e6m1/arith:brevitas"},
      {"e4m3_bias11", "e4m3b11/arith:brevitas"},
      {"e3m2_bias5", "e3m2b5/arith:brevitas"},
  };
  return all;
}

const std::map<std::string, std::string> &roundings() {
  static const std::map<std::string, std::string> all = {{"round", ""},
                                                         {"floor", "/round:floor"},
                                                         {"ceil", "/round:ceil"},
                                                         {"round_to_zero", "/round:zero"},
                                                         {"dpu", "/round:dpu"}};
  return all;
}

/* What dequantized codes give where Brevitas' value has no code: NaN in a format without one is the largest value,
 * -0 in one without it is 0. */
float held_by_codes(float value, const mfq_format &format) {
  mfq_format_info info;
  EXPECT_EQ(mfq_format_info_get(&format, &info), MFQ_OK) << mfq_last_error();
  if (std::isnan(value) && info.nan_code < 0) return (float)info.max_finite;
  if (value == 0 && format.specials == MFQ_SPECIALS_FNUZ) return 0.0f;
  return value;
}

void check_case(golden::File *file, const std::string &name, const std::vector<float> &x) {
  const size_t dot = name.find('.');
  ASSERT_EQ(schemes().count(name.substr(0, dot)), 1u) << "no scheme is listed for this format";
  ASSERT_EQ(roundings().count(name.substr(dot + 1)), 1u) << "no setting is listed for this rounding";
  const mfq_scheme scheme = parse(schemes().at(name.substr(0, dot)) + roundings().at(name.substr(dot + 1)));
  const std::vector<float> want = file->read(name);
  const mfq_test::Shape shape = {(int64_t)x.size()};
  std::vector<float> held;
  for (const float value : want) held.push_back(held_by_codes(value, scheme.element));
  for (const std::string &isa : mfq_test::every_isa()) {
    SCOPED_TRACE(isa);
    const mfq_test::Context context = make_context(isa.c_str());
    EXPECT_TRUE(mfq_test::same_floats(mfq_test::faked(context.get(), scheme, x, shape), want));
    mfq_test::Quantized t(scheme, shape);
    mfq_test::quantize(context.get(), x, &t);
    EXPECT_TRUE(mfq_test::same_floats(mfq_test::dequantized(context.get(), t), held));
  }
}

class Elements : public testing::TestWithParam<const char *> {};

TEST_P(Elements, EveryCase) {
  golden::File file(GetParam());
  const std::vector<float> x = file.read("x");
  ASSERT_EQ(x.size(), 24465u);
  for (const std::string &name : file.names()) {
    SCOPED_TRACE(name);
    if (name != "x") check_case(&file, name, x);
  }
  EXPECT_TRUE(file.unread().empty()) << *file.unread().begin();
}

INSTANTIATE_TEST_SUITE_P(Brevitas, Elements, testing::Values("elements_any", "elements_roundings", "elements_standard"),
                         [](const auto &param) { return std::string(param.param); });

} // namespace
