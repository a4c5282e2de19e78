// Scales as Brevitas' grid search of the squared error finds them, bit for bit; and the search on weights of a network.
#include "golden_file.h"
#include "hash_inputs.h"
#include "support/search.h"

namespace {

using namespace mfq_test;

struct Case {
  const char *name, *scheme;
};

/* Scales and values of a search, -0 of integers aside. */
void check(mfq_context *context, const std::string &scheme, const std::vector<float> &x, const Shape &shape,
           const std::function<void(const std::vector<float> &scale, const std::vector<float> &value)> &compare) {
  SCOPED_TRACE(scheme);
  Quantized t(parse(scheme), shape);
  searched(context, MFQ_SEARCH_MSE, x, &t);
  compare(expanded_scales(context, t, scale_shape(t)), dequantized(context, t));
}

TEST(GoldenSearch, Weights) {
  golden::File file("scaled_weights");
  const std::vector<float> w = file.read("w");
  const Case cases[] = {{"MXInt8WeightMSE", "brevitas:MXInt8Weight"},
                        {"MXFloat_e2m1_MSE_g64", "brevitas:MXFloat8e4m3Weight/e2m1/group:64@1"}};
  for (const Case &c : cases)
    for (const std::string &isa : every_isa()) {
      SCOPED_TRACE(isa);
      const std::string name = c.name;
      Quantized t(parse(c.scheme), file.shape("w"));
      const Context context = make_context(isa.c_str());
      searched(context.get(), MFQ_SEARCH_MSE, w, &t);
      EXPECT_TRUE(same_floats(expanded_scales(context.get(), t, scale_shape(t)), file.read(name + ".scale")));
      EXPECT_TRUE(same_floats(dequantized(context.get(), t), file.read(name + ".value"), true));
      EXPECT_TRUE(
          same_floats(dequantized(context.get(), t, padded_shape(t)), file.read(name + ".value_padded_grouped"), true));
    }
}

/* The cell of the tutorial, with the search really on. */
TEST(GoldenSearch, Notebook) {
  golden::File file("notebook_mxfp8_real_mse");
  for (const std::string &isa : every_isa())
    check(make_context(isa.c_str()).get(), "brevitas:MXFloat8e4m3Weight", file.read("weight"), file.shape("weight"),
          [&](const std::vector<float> &scale, const std::vector<float> &value) {
            EXPECT_TRUE(same_floats(scale, file.read("weight_scale")));
            EXPECT_TRUE(same_floats(value, file.read("weight_value")));
          });
}

TEST(GoldenSearch, Hashes) {
  const struct {
    const char *scheme;
    Shape shape;
    uint64_t scale, value;
  } cases[] = {{"brevitas:Fp8e4m3OCPWeightPerChannelFloat", {512, 32}, 0xc7d6d685318ea637, 0xc88132da073c6858},
               {"brevitas:MXFloat8e4m3Weight/e2m1/group:128", {128, 128}, 0x5f759621eeeea2d2, 0x9da2a56e56776bd0},
               {"brevitas:MXInt8Weight/int4/group:128", {128, 128}, 0xa3d9943098c4f065, 0xf095d371ea3fbad5}};
  for (const auto &c : cases)
    for (const std::string &isa : every_isa())
      check(make_context(isa.c_str()).get(), c.scheme, c.shape[0] == 512 ? golden::c_values() : golden::m_values(),
            c.shape, [&](const std::vector<float> &scale, const std::vector<float> &value) {
              EXPECT_EQ(golden::hash(scale), c.scale);
              const bool is_integer = parse(c.scheme).element.kind == MFQ_KIND_INTEGER; /* whose codes have no -0 */
              if (!is_integer) EXPECT_EQ(golden::hash(value), c.value);
            });
}

double squared_error(const std::vector<float> &x, const std::vector<float> &y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
  return sum;
}

/* On every weight of the network that reads digits no search is worse than the rule, whatever the scheme. */
TEST(GoldenSearch, DigitsNetworkIsNeverWorse) {
  const auto reader = fixture::open_reader(std::string(MFQ_TEST_DATA_DIR) + "/../examples/data/digits_cnn.safetensors");
  ASSERT_TRUE(reader);
  const Context context = make_context();
  const char *const schemes[] = {"mxfp8_e4m3",   "mxfp4_e2m1",      "mxfp6_e2m3_rceil", "mxint8",         "nvfp4",
                                 "int4_group32", "int4_group32_zp", "fp8_e4m3_channel", "e2m1/tensor/f32"};
  const mfq_search_method methods[] = {MFQ_SEARCH_MSE, MFQ_SEARCH_MSE_UP, MFQ_SEARCH_FOUR_OVER_SIX};
  size_t better = 0;
  for (int64_t i = 0; i < mfq_reader_tensor_count(reader.get()); ++i) {
    mfq_file_tensor entry{};
    ASSERT_TRUE(fixture::io_ok(mfq_reader_tensor(reader.get(), i, &entry)));
    const Shape shape(entry.shape, entry.shape + entry.rank);
    std::vector<float> w(entry.bytes / sizeof(float));
    ASSERT_TRUE(fixture::io_ok(mfq_reader_read(reader.get(), i, 0, entry.bytes, w.data())));
    for (const char *scheme : schemes) {
      Quantized plain(parse(scheme), shape);
      quantize(context.get(), w, &plain);
      const double before = squared_error(w, dequantized(context.get(), plain));
      for (const mfq_search_method method : methods) {
        Quantized found(parse(scheme), shape);
        searched(context.get(), method, w, &found);
        const double after = squared_error(w, dequantized(context.get(), found));
        EXPECT_LE(after, before * (1 + 1e-6))
            << entry.name << " in " << scheme << " by " << mfq_search_name(method, nullptr);
        better += after < before * 0.99;
      }
    }
  }
  EXPECT_GT(better, 40u);
}

} // namespace
