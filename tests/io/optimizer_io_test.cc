// tests/io/optimizer_io_test.cc: an optimizer saved and loaded with its layer: the training goes on with the same bits; what is
// refused before anything changes.
#include <mfq/layer_io.h>
#include <mfq/mfq.h>

#include "support/file_fixture.h"

using namespace fixture;

namespace {

mfq_tensor dense(void *data, std::vector<int64_t> shape) {
  mfq_tensor t;
  EXPECT_EQ(mfq_tensor_init(data, MFQ_DTYPE_F32, static_cast<int32_t>(shape.size()), shape.data(), &t), MFQ_OK);
  return t;
}

// A linear layer without a quantizer whose weight is learned.
class Training {
public:
  mfq_layer *layer = nullptr;
  mfq_optimizer *optimizer = nullptr;
  std::vector<float> weight = std::vector<float>(24 * 40, 0.25f), gradient = weight, x = std::vector<float>(2 * 40, 1),
                     y = std::vector<float>(2 * 24);

  Training(mfq_context *context, const char *name, const char *first) {
    const mfq_tensor w = dense(weight.data(), {24, 40}), g = dense(gradient.data(), {24, 40});
    const mfq_tensor in = dense(x.data(), {2, 40}), out = dense(y.data(), {2, 24});
    mfq_layer_options l;
    mfq_layer_options_init(&l);
    l.name = "fc";
    l.x = &in;
    l.y = &out;
    l.weight = &w;
    EXPECT_EQ(mfq_layer_create(context, &l, &layer), MFQ_OK) << mfq_last_error();
    mfq_optimizer_tensor t = {};
    t.name = "fc.weight";
    t.value = w;
    t.gradient = g;
    mfq_scheme scheme;
    EXPECT_EQ(mfq_scheme_parse(first, &scheme), MFQ_OK) << mfq_last_error();
    mfq_optimizer_options o;
    mfq_optimizer_options_init(&o);
    o.name = name;
    o.kind = MFQ_OPTIMIZER_ADAMW;
    o.tensors = &t;
    o.tensor_count = 1;
    o.first = &scheme;
    EXPECT_EQ(mfq_optimizer_create(context, &o, &optimizer), MFQ_OK) << mfq_last_error();
  }
  ~Training() {
    mfq_optimizer_destroy(optimizer);
    mfq_layer_destroy(layer);
  }
  Training(const Training &) = delete;

  void step(uint32_t seed) {
    for (size_t i = 0; i < gradient.size(); ++i)
      gradient[i] = static_cast<float>((seed * 31 + i * 17) % 101) / 50.0f - 1.0f;
    EXPECT_EQ(mfq_optimizer_step(optimizer), MFQ_OK) << mfq_last_error();
  }
  mfq_layers_options options() const {
    mfq_layers_options o;
    mfq_layers_options_init(&o);
    o.optimizer = optimizer;
    return o;
  }
  mfq_status save(const std::string &path, const mfq_layers_options &o) const {
    return mfq_layers_save(path.c_str(), &layer, 1, &o);
  }
  mfq_status load(const std::string &path, const mfq_layers_options &o) const {
    return mfq_layers_load(path.c_str(), &layer, 1, &o);
  }
  std::string state() const {
    std::string text(MFQ_OPTIMIZER_STATE_MAX, '\0');
    EXPECT_EQ(mfq_optimizer_state_print(optimizer, text.data(), text.size()), MFQ_OK) << mfq_last_error();
    for (int32_t i = 0; i < mfq_optimizer_part_count(optimizer); ++i) {
      mfq_optimizer_part p;
      EXPECT_EQ(mfq_optimizer_part_get(optimizer, i, &p), MFQ_OK);
      std::string bytes(p.bytes, '\0');
      EXPECT_EQ(mfq_optimizer_part_read(optimizer, i, bytes.data(), bytes.size()), MFQ_OK);
      text += bytes;
    }
    return text;
  }
};

class OptimizerFile : public testing::Test {
protected:
  void SetUp() override {
    mfq_context_options options;
    mfq_context_options_init(&options);
    options.threads = 1;
    ASSERT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  }
  void TearDown() override { mfq_context_destroy(context); }

  static constexpr const char *scheme = "int8/group:64/f32";
  Folder folder;
  std::string path = folder.file("training");
  mfq_context *context = nullptr;
};

TEST_F(OptimizerFile, ComesBack) {
  Training a(context, "adam", scheme), b(context, "adam", scheme);
  for (uint32_t i = 0; i < 3; ++i) a.step(i);
  ASSERT_TRUE(io_ok(a.save(path, a.options())));
  {
    const Reader reader = open_reader(path);
    std::set<std::string> names;
    for (int64_t i = 0; i < mfq_reader_tensor_count(reader.get()); ++i) {
      mfq_file_tensor found;
      ASSERT_TRUE(io_ok(mfq_reader_tensor(reader.get(), i, &found)));
      names.insert(found.name);
      const std::string name = found.name;
      EXPECT_EQ(found.dtype, name.find(".first.") != std::string::npos ? MFQ_FILE_U8 : MFQ_FILE_F32) << name;
    }
    EXPECT_EQ(names, (std::set<std::string>{"fc.weight", "adam.fc.weight.first.codes", "adam.fc.weight.first.scales",
                                            "adam.fc.weight.second"}));
    EXPECT_NE(mfq_reader_metadata_find(reader.get(), "adam"), nullptr);
    EXPECT_EQ(mfq_reader_metadata_count(reader.get()), 2);
  }
  ASSERT_TRUE(io_ok(b.load(path, b.options())));
  EXPECT_EQ(b.state(), a.state());
  for (Training *t : {&a, &b})
    for (uint32_t i = 3; i < 6; ++i) t->step(i);
  EXPECT_EQ(b.weight, a.weight);
  EXPECT_EQ(b.state(), a.state());
  mfq_layers_options weights = a.options();
  weights.weights_only = 1;
  ASSERT_TRUE(io_ok(a.save(path, weights)));
  EXPECT_EQ(mfq_reader_tensor_count(open_reader(path).get()), 1);
}

TEST_F(OptimizerFile, RefusesWhatIsNotItsOwn) {
  Training a(context, "adam", scheme), other(context, "adam", "int8/group:32/f32"), named(context, "sgd", scheme),
      same(context, "fc", scheme);
  a.step(1);
  ASSERT_TRUE(io_ok(a.save(path, a.options())));
  EXPECT_TRUE(io_fails(same.save(path, same.options()), MFQ_ERROR_INVALID_ARGUMENT,
                       {"layers[0] and the optimizer are both named 'fc'"}));
  for (const auto &[training, status, says] :
       {std::tuple<Training *, mfq_status, const char *>{&other, MFQ_ERROR_SHAPE,
                                                         "tensor 'adam.fc.weight.first.scales' has shape [60]"},
        {&named, MFQ_ERROR_NOT_FOUND, "there is no tensor 'sgd.fc.weight.first.codes'"}}) {
    const std::string before = training->state();
    EXPECT_TRUE(io_fails(training->load(path, training->options()), status, {says}));
    EXPECT_EQ(training->state(), before);
    EXPECT_EQ(training->weight[0], 0.25f);
  }
  mfq_layers_options without = a.options();
  without.optimizer = nullptr;
  ASSERT_TRUE(io_ok(a.save(path, without)));
  EXPECT_TRUE(io_fails(a.load(path, a.options()), MFQ_ERROR_NOT_FOUND, {"there is no tensor 'adam.fc.weight"}));
}

} // namespace
