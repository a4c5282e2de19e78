// tests/io/layer_io_test.cc: layers in files: what is there, that it comes back, what is refused before anything changes.
#include <mfq/layer_io.h>
#include <mfq/mfq.h>

#include <sys/resource.h>

#include <csignal>

#include "support/file_fixture.h"

using namespace fixture;

namespace {

// A recipe that collects statistics, so that a layer has tensors of its own, and another one.
constexpr const char *collecting = "x=collected:3|int8_tensor;w=int8_channel";
constexpr const char *plain = "none";

struct DestroyContext {
  void operator()(mfq_context *context) const { mfq_context_destroy(context); }
};
using Context = std::unique_ptr<mfq_context, DestroyContext>;

Context create_context() {
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.threads = 1;
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

mfq_tensor dense(void *data, std::vector<int64_t> shape, mfq_dtype dtype = MFQ_DTYPE_F32) {
  mfq_tensor t;
  EXPECT_EQ(mfq_tensor_init(data, dtype, static_cast<int32_t>(shape.size()), shape.data(), &t), MFQ_OK);
  return t;
}

// A linear layer from 4 to 3 features, with rows of two.
class Layer {
public:
  mfq_layer *get = nullptr;
  std::vector<float> weight, bias, x, y;

  Layer(mfq_context *context, const std::string &name, const char *recipe_text, float first, int has_bias = 1,
        int64_t in = 4)
      : weight(static_cast<size_t>(3 * in)), bias(3), x(static_cast<size_t>(2 * in), 0.5f), y(6) {
    for (size_t i = 0; i < weight.size(); ++i) weight[i] = first + static_cast<float>(i);
    for (size_t i = 0; i < bias.size(); ++i) bias[i] = -first - static_cast<float>(i);
    const mfq_tensor w = dense(weight.data(), {3, in}), b = dense(bias.data(), {3});
    const mfq_tensor in_tensor = dense(x.data(), {2, in}), out_tensor = dense(y.data(), {2, 3});
    mfq_recipe recipe;
    EXPECT_EQ(mfq_recipe_parse(recipe_text, &recipe), MFQ_OK) << mfq_last_error();
    mfq_layer_options options;
    mfq_layer_options_init(&options);
    options.name = name.c_str();
    options.recipe = &recipe;
    options.x = &in_tensor;
    options.y = &out_tensor;
    options.weight = &w;
    options.bias = has_bias ? &b : nullptr;
    EXPECT_EQ(mfq_layer_create(context, &options, &get), MFQ_OK) << mfq_last_error();
  }
  ~Layer() { mfq_layer_destroy(get); }
  Layer(const Layer &) = delete;

  void step() {
    const mfq_tensor in = dense(x.data(), {2, static_cast<int64_t>(x.size() / 2)}), out = dense(y.data(), {2, 3});
    EXPECT_EQ(mfq_layer_forward(get, &in, &out), MFQ_OK) << mfq_last_error();
  }
  // Everything that a file holds of it.
  std::string content() const {
    char line[MFQ_LAYER_STATE_MAX];
    EXPECT_EQ(mfq_layer_state_print(get, line, sizeof line), MFQ_OK) << mfq_last_error();
    std::string all = line;
    for (int32_t i = 0; i < mfq_layer_tensor_count(get); ++i) {
      mfq_layer_tensor found;
      EXPECT_EQ(mfq_layer_tensor_get(get, i, &found), MFQ_OK) << mfq_last_error();
      size_t bytes = mfq_dtype_bytes(found.tensor.dtype);
      for (int32_t a = 0; a < found.tensor.rank; ++a) bytes *= static_cast<size_t>(found.tensor.shape[a]);
      std::string data(bytes, '\0');
      EXPECT_EQ(mfq_layer_tensor_read(get, i, data.data(), bytes), MFQ_OK) << mfq_last_error();
      all += "\n" + std::string(found.name) + ":" + data;
    }
    return all;
  }
};

mfq_status save(const std::string &path, const std::vector<mfq_layer *> &layers,
                const mfq_layers_options *options = nullptr) {
  return mfq_layers_save(path.c_str(), layers.data(), static_cast<int32_t>(layers.size()), options);
}
mfq_status load(const std::string &path, const std::vector<mfq_layer *> &layers,
                const mfq_layers_options *options = nullptr) {
  return mfq_layers_load(path.c_str(), layers.data(), static_cast<int32_t>(layers.size()), options);
}

mfq_layers_options weights_alone() {
  mfq_layers_options options;
  mfq_layers_options_init(&options);
  options.weights_only = 1;
  return options;
}

class LayerFile : public testing::Test {
protected:
  Folder folder;
  Context context = create_context();
  std::string path = folder.file("layers");
};

// ---- What is there -------------------------------------------------------------------------------------------------

TEST_F(LayerFile, HasTensorsByNameAndStatesAsMetadata) {
  Layer a(context.get(), "a", collecting, 1), b(context.get(), "b.c", plain, 100, 0);
  a.step();
  ASSERT_TRUE(io_ok(save(path, {a.get, b.get})));
  EXPECT_EQ(folder.names(), std::set<std::string>{"layers"});
  const Reader reader = open_reader(path);
  std::set<std::string> names, want = {"b.c.weight"};
  for (int32_t i = 0; i < mfq_layer_tensor_count(a.get); ++i) {
    mfq_layer_tensor found;
    ASSERT_EQ(mfq_layer_tensor_get(a.get, i, &found), MFQ_OK);
    want.insert("a." + std::string(found.name));
  }
  EXPECT_GE(want.size(), 4u) << "a weight, a bias and statistics of x";
  for (int64_t i = 0; i < mfq_reader_tensor_count(reader.get()); ++i) {
    mfq_file_tensor found;
    ASSERT_TRUE(io_ok(mfq_reader_tensor(reader.get(), i, &found)));
    names.insert(found.name);
    EXPECT_EQ(found.dtype, MFQ_FILE_F32) << found.name;
    if (found.name != std::string("b.c.weight")) continue;
    ASSERT_EQ(found.rank, 2);
    EXPECT_EQ(found.shape[0], 3);
    EXPECT_EQ(found.shape[1], 4);
    std::vector<float> data(12);
    ASSERT_TRUE(io_ok(mfq_reader_read(reader.get(), i, 0, found.bytes, data.data())));
    EXPECT_EQ(data, b.weight);
  }
  EXPECT_EQ(names, want);
  char line[MFQ_LAYER_STATE_MAX];
  for (const Layer *layer : {&a, &b}) {
    ASSERT_EQ(mfq_layer_state_print(layer->get, line, sizeof line), MFQ_OK);
    EXPECT_STREQ(mfq_reader_metadata_find(reader.get(), mfq_layer_name(layer->get)), line);
  }
  EXPECT_EQ(mfq_reader_metadata_count(reader.get()), 2);
}

TEST_F(LayerFile, OfWeightsAloneHasNothingElse) {
  Layer a(context.get(), "a", collecting, 1);
  a.step();
  const mfq_layers_options options = weights_alone();
  ASSERT_TRUE(io_ok(save(path, {a.get}, &options)));
  const Reader reader = open_reader(path);
  EXPECT_EQ(mfq_reader_tensor_count(reader.get()), 2);
  EXPECT_EQ(mfq_reader_metadata_count(reader.get()), 0);
  EXPECT_GE(mfq_reader_find(reader.get(), "a.weight"), 0);
  EXPECT_GE(mfq_reader_find(reader.get(), "a.bias"), 0);
}

TEST_F(LayerFile, OfNoLayersIsEmpty) {
  ASSERT_TRUE(io_ok(save(path, {})));
  ASSERT_TRUE(io_ok(load(path, {})));
  EXPECT_EQ(mfq_reader_tensor_count(open_reader(path).get()), 0);
}

// ---- That it comes back --------------------------------------------------------------------------------------------

TEST_F(LayerFile, ComesBackInAnyOrder) {
  Layer a(context.get(), "a", collecting, 1), b(context.get(), "b", plain, 100);
  a.step();
  a.step();
  b.step();
  ASSERT_TRUE(io_ok(save(path, {a.get, b.get})));
  Layer c(context.get(), "b", plain, 7), d(context.get(), "a", collecting, 8);
  EXPECT_NE(d.content(), a.content());
  ASSERT_TRUE(io_ok(load(path, {c.get, d.get})));
  EXPECT_EQ(c.content(), b.content());
  EXPECT_EQ(d.content(), a.content());
  EXPECT_EQ(mfq_layer_step(d.get), 2);
  EXPECT_EQ(d.weight, a.weight); // the caller's memory
  Layer alone(context.get(), "b", plain, 9);
  ASSERT_TRUE(io_ok(load(path, {alone.get})));
  EXPECT_EQ(alone.content(), b.content());
}

TEST_F(LayerFile, WeightsGoToLayersOfOtherRecipes) {
  Layer a(context.get(), "a", "w=mxfp8_e4m3/group:8", 1), b(context.get(), "a", "w=mxfp8_e4m3/group:4", 50);
  a.step();
  ASSERT_TRUE(io_ok(save(path, {a.get})));
  const mfq_layers_options options = weights_alone();
  ASSERT_TRUE(io_ok(load(path, {b.get}, &options)));
  EXPECT_EQ(b.weight, a.weight);
  EXPECT_EQ(b.bias, a.bias);
  EXPECT_EQ(mfq_layer_step(b.get), 0);
}

TEST_F(LayerFile, BringsWhatTheOptionsName) {
  Layer a(context.get(), "a", plain, 1);
  std::vector<float> moment = {1, 2, 3, 4, 5, 6}, loaded(6);
  std::vector<uint16_t> half = {0x3f80}, loaded_half(1);
  mfq_named_tensor tensors[] = {{"moment", dense(moment.data(), {3, 2})},
                                {"one", dense(half.data(), {}, MFQ_DTYPE_BF16)},
                                {"nothing", dense(nullptr, {0, 5})}};
  mfq_layers_options options;
  mfq_layers_options_init(&options);
  options.tensors = tensors;
  options.tensor_count = 3;
  ASSERT_TRUE(io_ok(save(path, {a.get}, &options)));
  tensors[0].tensor.data = loaded.data();
  tensors[1].tensor.data = loaded_half.data();
  ASSERT_TRUE(io_ok(load(path, {a.get}, &options)));
  EXPECT_EQ(loaded, moment);
  EXPECT_EQ(loaded_half, half);
}

TEST_F(LayerFile, ReplacesItselfUnlessToldOtherwise) {
  Layer a(context.get(), "a", plain, 1), b(context.get(), "a", plain, 2);
  ASSERT_TRUE(io_ok(save(path, {a.get})));
  ASSERT_TRUE(io_ok(save(path, {b.get})));
  const std::string old = read_file(path);
  mfq_layers_options options;
  mfq_layers_options_init(&options);
  options.replace = 0;
  EXPECT_TRUE(io_fails(save(path, {a.get}, &options), MFQ_ERROR_EXISTS,
                       {path + ": the file exists; choose another name or allow its replacement"}));
  EXPECT_EQ(read_file(path), old);
}

// The disk takes no more: the old file stays, and nothing else.
TEST_F(LayerFile, SavingThatFailsLeavesTheOldFile) {
  Layer a(context.get(), "a", plain, 1), b(context.get(), "a", plain, 2);
  ASSERT_TRUE(io_ok(save(path, {a.get})));
  const std::string old = read_file(path);
  rlimit limit, before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  limit = before;
  limit.rlim_cur = 64;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const mfq_status status = save(path, {b.get});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(io_fails(status, MFQ_ERROR_IO, {path}));
  EXPECT_EQ(read_file(path), old);
  EXPECT_EQ(folder.names(), std::set<std::string>{"layers"});
}

// ---- What is refused -----------------------------------------------------------------------------------------------

// The exact sentence, of both functions.
void refuse_both(const std::string &path, const std::vector<mfq_layer *> &layers, const mfq_layers_options *options,
                 const std::string &says) {
  for (const auto &[call, name] : {std::pair{save, "mfq_layers_save: "}, std::pair{load, "mfq_layers_load: "}}) {
    EXPECT_EQ(call(path, layers, options), MFQ_ERROR_INVALID_ARGUMENT);
    EXPECT_EQ(mfq_io_last_error(), name + says);
  }
}

TEST_F(LayerFile, RefusesBadArguments) {
  mfq_layers_options_init(nullptr); /* nothing to fill */
  Layer a(context.get(), "a", plain, 1), b(context.get(), "b", plain, 1), other(context.get(), "a", plain, 1);
  EXPECT_TRUE(io_fails(mfq_layers_save(nullptr, &a.get, 1, nullptr), MFQ_ERROR_INVALID_ARGUMENT,
                       {"mfq_layers_save: path is NULL"}));
  EXPECT_TRUE(io_fails(mfq_layers_load(nullptr, &a.get, 1, nullptr), MFQ_ERROR_INVALID_ARGUMENT,
                       {"mfq_layers_load: path is NULL"}));
  EXPECT_TRUE(io_fails(mfq_layers_save(path.c_str(), nullptr, 1, nullptr), MFQ_ERROR_INVALID_ARGUMENT,
                       {"mfq_layers_save: layers is NULL"}));
  EXPECT_TRUE(io_fails(mfq_layers_load(path.c_str(), &a.get, -1, nullptr), MFQ_ERROR_INVALID_ARGUMENT,
                       {"mfq_layers_load: count is -1; give 0 or more"}));
  refuse_both(path, {a.get, nullptr}, nullptr, "layers[1] is NULL");
  refuse_both(
      path, {a.get, b.get, other.get}, nullptr,
      "layers[0] and layers[2] are both named 'a'; create each with a name of its own (mfq_layer_options.name)");
  mfq_layers_options options = {};
  refuse_both(path, {a.get}, &options, "options were not filled by mfq_layers_options_init");
  mfq_layers_options_init(&options);
  options.tensor_count = -2;
  refuse_both(path, {a.get}, &options, "options.tensor_count is -2; give 0 or more");
  options.tensor_count = 1;
  refuse_both(path, {a.get}, &options, "options.tensors is NULL");
  EXPECT_TRUE(folder.names().empty());
}

TEST_F(LayerFile, RefusesBadTensorsOfTheOptions) {
  std::vector<float> data(6);
  mfq_named_tensor named = {nullptr, dense(data.data(), {2, 3})};
  mfq_layers_options options;
  mfq_layers_options_init(&options);
  options.tensors = &named;
  options.tensor_count = 1;
  refuse_both(path, {}, &options, "options.tensors[0].name is NULL");
  named.name = "m";
  named.tensor = dense(nullptr, {2, 3});
  EXPECT_TRUE(io_fails(save(path, {}, &options), MFQ_ERROR_INVALID_ARGUMENT,
                       {"mfq_layers_save: " + path + ": tensor 'm' has no data: NULL"}));
  named.tensor = dense(data.data(), {2, 3});
  named.tensor.strides[0] = 4;
  EXPECT_TRUE(io_fails(save(path, {}, &options), MFQ_ERROR_UNSUPPORTED,
                       {"mfq_layers_save: " + path +
                        ": tensor 'm' has strides; give it dense memory, as mfq_tensor_init describes it"}));
  named.tensor = dense(data.data(), {6});
  named.tensor.rank = 9;
  EXPECT_TRUE(io_fails(save(path, {}, &options), MFQ_ERROR_SHAPE, {path + ": tensor 'm': ", "rank is 9"}));
  named.tensor = dense(data.data(), {6});
  const std::string name(1025, 'n');
  named.name = name.c_str();
  EXPECT_TRUE(io_fails(save(path, {}, &options), MFQ_ERROR_INVALID_ARGUMENT,
                       {path + ": the name of a tensor, '" + std::string(40, 'n') + "...', has more than 1024 bytes"}));
  named.name = "a.weight";
  Layer a(context.get(), "a", plain, 1);
  EXPECT_TRUE(io_fails(save(path, {a.get}, &options), MFQ_ERROR_INVALID_ARGUMENT,
                       {path + ": tensor 'a.weight': the name is taken already; rename one of the two"}));
  EXPECT_TRUE(folder.names().empty());
}

// A layer, a file for it, and a call that must fail and leave it as it was.
class LoadingRefuses : public LayerFile {
protected:
  Layer layer{context.get(), "a", collecting, 1};
  Layer second{context.get(), "b", plain, 20};

  // A file with these tensors and lines.
  void write(const std::vector<std::pair<std::string, std::vector<int64_t>>> &tensors,
             const std::vector<std::pair<std::string, std::string>> &lines, mfq_file_dtype dtype = MFQ_FILE_F32) {
    const Writer writer = create_writer(path, 1);
    const std::string zeros(4096, '\0');
    for (const auto &[key, value] : lines)
      ASSERT_TRUE(io_ok(mfq_writer_add_metadata(writer.get(), key.c_str(), value.c_str())));
    std::vector<size_t> bytes;
    for (const auto &[name, shape] : tensors) {
      size_t size = static_cast<size_t>(mfq_file_dtype_bits(dtype)) / 8;
      for (int64_t n : shape) size *= static_cast<size_t>(n);
      bytes.push_back(size);
      ASSERT_TRUE(io_ok(mfq_writer_add_tensor(writer.get(), name.c_str(), dtype, static_cast<int32_t>(shape.size()),
                                              shape.data(), nullptr)));
    }
    ASSERT_TRUE(io_ok(mfq_writer_begin(writer.get())));
    for (size_t i = 0; i < bytes.size(); ++i)
      ASSERT_TRUE(io_ok(mfq_writer_write(writer.get(), static_cast<int64_t>(i), zeros.data(), bytes[i])));
    ASSERT_TRUE(io_ok(mfq_writer_finish(writer.get())));
  }
  void refuse(const std::vector<mfq_layer *> &layers, const mfq_layers_options *options, mfq_status status,
              const std::string &says) {
    const std::string before = layer.content() + second.content();
    EXPECT_EQ(load(path, layers, options), status);
    EXPECT_EQ(mfq_io_last_error(), "mfq_layers_load: " + path + ": " + says);
    EXPECT_EQ(layer.content() + second.content(), before);
  }
};

TEST_F(LoadingRefuses, FilesThatAreNone) {
  EXPECT_TRUE(io_fails(load(path, {layer.get}), MFQ_ERROR_NOT_FOUND, {"mfq_reader_open: " + path}));
  write_file(path, "no safetensors");
  EXPECT_TRUE(io_fails(load(path, {layer.get}), MFQ_ERROR_CORRUPT_FILE, {"mfq_reader_open: " + path}));
}

TEST_F(LoadingRefuses, TensorsThatDoNotFit) {
  const mfq_layers_options options = weights_alone();
  write({{"a.weight", {3, 4}}}, {});
  refuse({layer.get}, &options, MFQ_ERROR_NOT_FOUND, "there is no tensor 'a.bias'");
  write({{"a.weight", {3, 5}}, {"a.bias", {3}}}, {});
  refuse({layer.get}, &options, MFQ_ERROR_SHAPE, "tensor 'a.weight' has shape [3, 5] in the file, and [3, 4] here");
  write({{"a.weight", {3, 4, 1}}, {"a.bias", {3}}}, {});
  refuse({layer.get}, &options, MFQ_ERROR_SHAPE, "tensor 'a.weight' has shape [3, 4, 1] in the file, and [3, 4] here");
  write({{"a.weight", {3, 4}}, {"a.bias", {}}}, {});
  refuse({layer.get}, &options, MFQ_ERROR_SHAPE, "tensor 'a.bias' has shape [] in the file, and [3] here");
  write({{"a.weight", {3, 4}}, {"a.bias", {3}}}, {}, MFQ_FILE_F16);
  refuse({layer.get}, &options, MFQ_ERROR_UNSUPPORTED,
         "tensor 'a.weight' is F16 in the file, and F32 here; loading converts nothing");
  const Layer without(context.get(), "a", plain, 1, 0);
  write({{"a.weight", {3, 4}}, {"a.bias", {3}}}, {});
  refuse({without.get}, &options, MFQ_ERROR_INVALID_ARGUMENT, "there is a tensor 'a.bias', but the layer has no bias");
}

// Weights alone are no training that goes on.
TEST_F(LoadingRefuses, StatesThatAreNotThere) {
  write({{"b.weight", {3, 4}}, {"b.bias", {3}}}, {});
  refuse({second.get}, nullptr, MFQ_ERROR_NOT_FOUND,
         "there is no state of layer 'b' in the metadata; with weights_only none is needed");
}

TEST_F(LoadingRefuses, StatesThatDoNotFit) {
  write({{"b.weight", {3, 4}}, {"b.bias", {3}}}, {{"b", "nonsense"}});
  EXPECT_EQ(load(path, {second.get}), MFQ_ERROR_PARSE);
  EXPECT_EQ(mfq_io_last_error(), "mfq_layers_load: " + path + ": layer 'b': " + mfq_last_error());
  // The first layer has its own state again when the second one's is refused.
  layer.step();
  ASSERT_TRUE(io_ok(save(path, {layer.get, second.get})));
  layer.step();
  const Layer other(context.get(), "b", "w=int8_channel", 3);
  const std::string before = layer.content() + other.content();
  EXPECT_EQ(load(path, {layer.get, other.get}), MFQ_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(mfq_io_last_error(), "mfq_layers_load: " + path + ": layer 'b': " + mfq_last_error());
  EXPECT_EQ(layer.content() + other.content(), before);
}

TEST_F(LoadingRefuses, TensorsOfTheOptionsThatAreNotThere) {
  std::vector<float> data(2, 5.0f);
  const mfq_named_tensor named = {"m", dense(data.data(), {2})};
  mfq_layers_options options;
  mfq_layers_options_init(&options);
  options.tensors = &named;
  options.tensor_count = 1;
  second.step();
  ASSERT_TRUE(io_ok(save(path, {second.get})));
  refuse({second.get}, &options, MFQ_ERROR_NOT_FOUND, "there is no tensor 'm'");
  EXPECT_EQ(data, std::vector<float>(2, 5.0f));
}

} // namespace
