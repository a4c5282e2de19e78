// Every allocation of readers, catalogs, writers and files of layers is failed in turn, those of the JSON library too.
#include <jansson.h>
#include <mfq/layer_io.h>
#include <mfq/mfq.h>

#include "support/failing_alloc.h"
#include "support/file_fixture.h"

using namespace fixture;

namespace {

using Armed = std::function<mfq_status(const failing::Work &)>;

void *json_alloc(size_t bytes) { return __wrap_malloc(bytes); }
void json_free(void *memory) { __wrap_free(memory); }

class Allocation : public testing::Test {
protected:
  Folder folder;
  Allocation() { json_set_alloc_funcs(json_alloc, json_free); }
  ~Allocation() override { json_set_alloc_funcs(std::malloc, std::free); }

  /* When its buffer cannot grow, the JSON library (2.14) leaves out a character of a string and goes on: a reader may
   * find a file corrupt when a single allocation fails. */
  static long each_fails(const std::string &what, const failing::Attempt &attempt,
                         mfq_status or_alone = MFQ_ERROR_OUT_OF_MEMORY) {
    return failing::each_fails(what, attempt, mfq_io_last_error, false, or_alone);
  }
  static mfq_qtensor qtensor() {
    mfq_scheme scheme;
    mfq_layout layout;
    mfq_qtensor q;
    const int64_t shape[] = {4, 64};
    EXPECT_EQ(mfq_scheme_parse("nvfp4/group:16@1", &scheme), MFQ_OK) << mfq_last_error();
    mfq_file_layout_init(&layout);
    EXPECT_EQ(mfq_qtensor_init(&scheme, 2, shape, &layout, &q), MFQ_OK) << mfq_last_error();
    return q;
  }
  /* Everything that a writer does; the first failure ends it. */
  static mfq_status write(mfq_writer *writer) {
    const mfq_qtensor q = qtensor();
    const int64_t shape[] = {3, 2};
    const std::string zeros(4096, '\0');
    int64_t plain = -1, parts[MFQ_PART_COUNT] = {-1, -1, -1, -1};
    uint64_t bytes = 0;
    mfq_status status = mfq_writer_add_metadata(writer, "key", "value");
    for (const char *name : {"a", "b", "c", "d", "e"})
      if (status == MFQ_OK) status = mfq_writer_add_tensor(writer, name, MFQ_FILE_F32, 0, nullptr, nullptr);
    if (status == MFQ_OK) status = mfq_writer_add_tensor(writer, "plain", MFQ_FILE_F32, 2, shape, &plain);
    if (status == MFQ_OK) status = mfq_writer_add_quantized(writer, "w", MFQ_DTYPE_F32, &q, parts);
    if (status == MFQ_OK) status = mfq_writer_file_bytes(writer, &bytes);
    if (status == MFQ_OK) status = mfq_writer_begin(writer);
    for (int64_t i = 0; i < 5 && status == MFQ_OK; ++i) status = mfq_writer_write(writer, i, zeros.data(), 4);
    if (status == MFQ_OK) status = mfq_writer_write(writer, plain, zeros.data(), 24);
    const size_t sizes[] = {128, 16, 4};
    for (int i = 0; i < 3 && status == MFQ_OK; ++i) status = mfq_writer_write(writer, parts[i], zeros.data(), sizes[i]);
    return status == MFQ_OK ? mfq_writer_finish(writer) : status;
  }
};

TEST_F(Allocation, Writers) {
  const std::string path = folder.file("out");
  mfq_writer *first = nullptr;
  ASSERT_TRUE(io_ok(mfq_writer_create(path.c_str(), nullptr, &first)));
  ASSERT_TRUE(io_ok(write(first)));
  mfq_writer_destroy(first);
  const std::string want = read_file(path);
  std::filesystem::remove(path);
  const long made = each_fails("writer", [&](const Armed &armed) {
    mfq_writer *writer = nullptr;
    const mfq_status status = armed([&] {
      const mfq_status created = mfq_writer_create(path.c_str(), nullptr, &writer);
      return created == MFQ_OK ? write(writer) : created;
    });
    mfq_writer_destroy(writer);
    EXPECT_EQ(folder.names().size(), status == MFQ_OK ? 1u : 0u) << "a file was left behind";
    if (status == MFQ_OK) EXPECT_EQ(read_file(path), want);
    std::filesystem::remove(path);
    return status;
  });
  EXPECT_GE(made, 20);
}

TEST_F(Allocation, ReadersAndCatalogs) {
  const std::string path = folder.file("in");
  mfq_writer *writer = nullptr;
  ASSERT_TRUE(io_ok(mfq_writer_create(path.c_str(), nullptr, &writer)));
  EXPECT_TRUE(io_ok(write(writer)));
  mfq_writer_destroy(writer);
  const long made = each_fails(
      "reader",
      [&](const Armed &armed) {
        mfq_reader *reader = nullptr;
        mfq_catalog *catalog = nullptr;
        const mfq_status status = armed([&] {
          const mfq_status opened = mfq_reader_open(path.c_str(), &reader);
          return opened == MFQ_OK ? mfq_catalog_create(reader, &catalog) : opened;
        });
        EXPECT_EQ(catalog != nullptr, status == MFQ_OK);
        mfq_catalog_destroy(catalog);
        mfq_reader_close(reader);
        return status;
      },
      MFQ_ERROR_CORRUPT_FILE);
  EXPECT_GE(made, 50);
}

// A layer of one weight, and what of it is in a file.
TEST_F(Allocation, Layers) {
  const std::string path = folder.file("layers");
  mfq_context_options context_options;
  mfq_context_options_init(&context_options);
  mfq_context *context = nullptr;
  ASSERT_EQ(mfq_context_create(&context_options, &context), MFQ_OK) << mfq_last_error();
  float values[3] = {1, 2, 3}, want[3] = {4, 5, 6};
  const int64_t square[] = {1, 1}, three = 3;
  mfq_tensor x, y, weight;
  mfq_named_tensor more = {"more", {}};
  ASSERT_EQ(mfq_tensor_init(&values[0], MFQ_DTYPE_F32, 2, square, &x), MFQ_OK);
  ASSERT_EQ(mfq_tensor_init(&values[1], MFQ_DTYPE_F32, 2, square, &y), MFQ_OK);
  ASSERT_EQ(mfq_tensor_init(&values[2], MFQ_DTYPE_F32, 2, square, &weight), MFQ_OK);
  ASSERT_EQ(mfq_tensor_init(want, MFQ_DTYPE_F32, 1, &three, &more.tensor), MFQ_OK);
  mfq_layer_options how;
  mfq_layer_options_init(&how);
  how.x = &x;
  how.y = &y;
  how.weight = &weight;
  mfq_layer *layer = nullptr;
  ASSERT_EQ(mfq_layer_create(context, &how, &layer), MFQ_OK) << mfq_last_error();
  mfq_layers_options options;
  mfq_layers_options_init(&options);
  options.tensors = &more;
  options.tensor_count = 1;
  const long saving = each_fails("saving", [&](const Armed &armed) {
    const mfq_status status = armed([&] { return mfq_layers_save(path.c_str(), &layer, 1, &options); });
    EXPECT_EQ(std::filesystem::exists(path), status == MFQ_OK);
    std::filesystem::remove(path);
    return status;
  });
  EXPECT_GE(saving, 10);
  ASSERT_TRUE(io_ok(mfq_layers_save(path.c_str(), &layer, 1, &options)));
  const auto loading = [&](const Armed &armed) {
    values[2] = 8;
    want[0] = 8;
    const mfq_status status = armed([&] { return mfq_layers_load(path.c_str(), &layer, 1, &options); });
    EXPECT_EQ(values[2], status == MFQ_OK ? 3 : 8);
    EXPECT_EQ(want[0], status == MFQ_OK ? 4 : 8);
    return status;
  };
  EXPECT_GE(each_fails("loading", loading, MFQ_ERROR_CORRUPT_FILE), 10);
  mfq_layer_destroy(layer);
  mfq_context_destroy(context);
}

} // namespace
