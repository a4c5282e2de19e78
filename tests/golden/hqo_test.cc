// Scales and zero points as Brevitas' half-quadratic steps find them, as tests/golden/brevitas/make_hqo.py ran them. Its power
// of 0.3 and the order of its sums are its library's. Last bits of the sum of errors decide at which step it does not fall any
// more, and all later steps together move a scale by less than 1e-5 of it: so much is allowed, as long as the sums agree. An
// element that lies between two codes may go to either.
#include "golden_file.h"
#include "support/search.h"

namespace {

using namespace mfq_test;

struct Case {
  const char *name;
  mfq_search_method method;
  const char *element; /* behind which the bits are written */
};

const Case cases[] = {{"Int8WeightPerTensorFloatHQO", MFQ_SEARCH_HQO, "int"},
                      {"Int8WeightPerChannelFloatHQO", MFQ_SEARCH_HQO, "int"},
                      {"ShiftedUint8WeightPerTensorFloatHQO", MFQ_SEARCH_HQO_ZERO, "uint"},
                      {"ShiftedUint8WeightPerChannelFloatHQO", MFQ_SEARCH_HQO_ZERO, "uint"},
                      {"ShiftedUint8WeightPerGroupFloatHQO", MFQ_SEARCH_HQO_ZERO, "uint"}};

void check(mfq_context *context, golden::File *file, const Case &c, int bits) {
  const std::string key = c.name + ("_" + std::to_string(bits)), text = "brevitas:" + std::string(c.name) + "/" +
                                                                        c.element + std::to_string(bits) +
                                                                        (c.method == MFQ_SEARCH_HQO ? "n" : "");
  SCOPED_TRACE(key);
  mfq_scheme scheme;
  mfq_search_method method;
  ASSERT_EQ(mfq_search_parse(text.c_str(), &scheme, &method), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(method, c.method);
  const std::vector<float> w = file->read("w"), scale = file->read(key + ".scale"), value = file->read(key + ".value");
  Quantized t(scheme, file->shape("w"));
  searched(context, method, w, &t);
  const std::vector<float> got = expanded_scales(context, t, scale_shape(t));
  ASSERT_EQ(got.size(), scale.size());
  for (size_t i = 0; i < scale.size(); ++i) EXPECT_NEAR(got[i] / scale[i], 1, 1e-5) << "scale " << i;
  std::vector<float> zero(scale.size(), 0.0f);
  if (method == MFQ_SEARCH_HQO_ZERO) {
    zero = file->read(key + ".zero_point");
    const std::vector<float> found = expanded_zero_points(context, t, scale_shape(t));
    ASSERT_EQ(found.size(), zero.size());
    for (size_t i = 0; i < zero.size(); ++i) EXPECT_NEAR(found[i], zero[i], 1e-4) << "zero point " << i;
  }
  const std::vector<float> values = dequantized(context, t);
  const size_t run = w.size() / scale.size(); /* elements of a scale, which follow each other */
  size_t ties = 0;
  double error = 0, wanted = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    const double step = scale[i / run], at = w[i] / step + zero[i / run],
                 from_tie = std::fabs(at - std::floor(at) - 0.5);
    const double off = std::fabs((double)values[i] - value[i]) / step;
    ties += from_tie < 1e-3;
    error += std::fabs((double)values[i] - w[i]);
    wanted += std::fabs((double)value[i] - w[i]);
    EXPECT_LE(off, from_tie < 1e-3 ? 1.001 : 1e-3) << i << ": " << w[i];
  }
  EXPECT_LE(ties, w.size() / 50);
  EXPECT_NEAR(error / wanted, 1, 1e-5);
}

TEST(GoldenHqo, EveryCase) {
  golden::File file("hqo");
  const Context context = make_context();
  for (const Case &c : cases)
    for (const int bits : {8, 4, 3}) check(context.get(), &file, c, bits);
  EXPECT_TRUE(file.unread().empty()) << *file.unread().begin();
}

} // namespace
