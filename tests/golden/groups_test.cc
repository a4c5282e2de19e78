// MX groups as Brevitas computes them: values, padded values and compressed scales bit for bit.
#include <map>

#include "golden_file.h"

namespace {

using mfq_test::make_context;
using mfq_test::same_floats;
using mfq_test::Shape;

const std::map<std::string, std::string> &schemes() {
  static const std::map<std::string, std::string> all = {
      {"e4m3", "brevitas:MXFloat8e4m3Weight"},      {"e5m2", "brevitas:MXFloat8e4m3Weight/e5m2"},
      {"e3m2", "brevitas:MXFloat8e4m3Weight/e3m2"}, {"e2m3", "brevitas:MXFloat8e4m3Weight/e2m3"},
      {"e2m1", "brevitas:MXFloat8e4m3Weight/e2m1"}, {"int8", "brevitas:MXInt8Weight"},
      {"int4", "brevitas:MXInt8Weight/int4"},
  };
  return all;
}

void check_case(mfq_context *context, golden::File *file, const std::string &name, const std::vector<float> &x) {
  const Shape shape = file->shape("x");
  const mfq_scheme scheme = mfq_test::parse(schemes().at(name));
  const std::vector<float> value = file->read(name + ".value"), scale = file->read(name + ".scale");
  const std::vector<float> padded = file->read(name + ".value_padded_grouped");

  std::vector<float> fake_scale;
  EXPECT_TRUE(same_floats(mfq_test::faked(context, scheme, x, shape, &fake_scale), value));
  EXPECT_TRUE(same_floats(fake_scale, scale));

  /* Integer codes have no -0, which Brevitas gives small negative values. */
  const bool is_integer = scheme.element.kind == MFQ_KIND_INTEGER;
  mfq_test::Quantized t(scheme, shape);
  mfq_test::quantize(context, x, &t);
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context, t), value, is_integer));
  EXPECT_TRUE(same_floats(mfq_test::dequantized(context, t, mfq_test::padded_shape(t)), padded, is_integer));
  EXPECT_TRUE(same_floats(mfq_test::expanded_scales(context, t, mfq_test::scale_shape(t)), scale));
}

class Groups : public testing::TestWithParam<const char *> {};

TEST_P(Groups, EveryCase) {
  golden::File file(GetParam());
  const std::vector<float> x = file.read("x");
  int cases = 0;
  for (const auto &[name, scheme] : schemes()) {
    SCOPED_TRACE(name);
    if (!file.has(name + ".value")) continue;
    for (const std::string &isa : mfq_test::every_isa()) {
      SCOPED_TRACE(isa);
      check_case(make_context(isa.c_str()).get(), &file, name, x);
    }
    ++cases;
  }
  EXPECT_GE(cases, 4);
  EXPECT_TRUE(file.unread().empty()) << *file.unread().begin();
}

INSTANTIATE_TEST_SUITE_P(Brevitas, Groups, testing::Values("groups_linear", "groups_nchw"),
                         [](const auto &param) { return std::string(param.param); });

} // namespace
