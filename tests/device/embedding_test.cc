// Rows of tables, and sums of gradients into them, on a device: the bytes of the CPU, and what indices do that are no rows.
#include "support/device.h"
#include "support/indexed.h"

namespace {

using namespace mfq_test;

class Embedding : public OnDevice {};

/* Both sides of a call that reads `from` at indices, and writes `to`. */
using Call =
    std::function<mfq_status(mfq_context *, const mfq_tensor &from, const mfq_indices &, const mfq_tensor &to)>;

testing::AssertionResult same(const Call &call, Operand *from, const IndexList &list, Operand to) {
  mfq_context *const device = devices().device.get();
  const std::string what =
      text_of(*from) + " to " + text_of(to) + ", " + std::to_string(list.values.size()) + " indices";
  trace(what);
  const Transfer transfer(device);
  const DeviceMemory source(device, from->bytes.data(), from->bytes.size()),
      indices(device, list.bytes.data(), list.bytes.size()), target(device, to.bytes.data(), to.bytes.size());
  transfer.upload();
  auto result =
      succeeded(call(device, from->at(source.data()), list.at(indices.data()), to.at(target.data())), "on the device");
  if (result) result = succeeded(call(devices().cpu.get(), from->here(), list.here(), to.here()), "on the CPU");
  transfer.download();
  if (result) result = same_memory(target.read(), to.bytes, mfq_dtype_bytes(to.dtype));
  return result ? result : result << "; " << what;
}

mfq_status gather_plain(mfq_context *context, const mfq_tensor &table, const mfq_indices &indices,
                        const mfq_tensor &y) {
  return run_gather(context, &table, nullptr, indices, y);
}

mfq_index_type type_of(uint32_t seed) { return seed % 2 == 0 ? MFQ_INDEX_I32 : MFQ_INDEX_I64; }

TEST_F(Embedding, PlainRows) {
  uint32_t seed = 0;
  for (const TableShape &s : table_shapes())
    for (const mfq_dtype from : kDtypes)
      for (const mfq_dtype to : kDtypes) {
        if (from != to && ++seed % 2 == 0) continue;
        ++seed;
        const IndexList list(type_of(seed), drawn_indices(s.count, s.rows, seed));
        const Shape shape = {s.rows, s.cols}, rows = {(int64_t)list.values.size(), s.cols};
        const uint32_t how = from == to ? 0 : seed; /* dense rows are copied 16 bytes at a time */
        Operand table(from, shape, matrix_strides(shape, how));
        table.fill_awkward(seed);
        ASSERT_TRUE(same(gather_plain, &table, list, Operand(to, rows, matrix_strides(rows, how / 4))));
      }
  Operand table(MFQ_DTYPE_F32, {9, 4}, {-8, 1});
  table.fill_awkward(1);
  const IndexList list(MFQ_INDEX_I32, {8, 0, 3, 3});
  ASSERT_TRUE(same(gather_plain, &table, list, Operand(MFQ_DTYPE_F32, {4, 4}, {12, 1})));
}

TEST_F(Embedding, AwkwardNumbers) {
  for (const mfq_dtype from : kDtypes)
    for (const mfq_dtype to : kDtypes) {
      Operand table(from, {2, 16});
      table.fill([&](size_t i) { return awkward_bits(from, i); });
      ASSERT_TRUE(same(gather_plain, &table, IndexList(MFQ_INDEX_I64, {1, 0}), Operand(to, {2, 16})));
      const Call sum = [](mfq_context *context, const mfq_tensor &dy, const mfq_indices &indices, const mfq_tensor &t) {
        return run_scatter(context, dy, indices, t, {});
      };
      ASSERT_TRUE(same(sum, &table, IndexList(MFQ_INDEX_I64, {1, 0}), Operand(to, {2, 16})));
    }
}

testing::AssertionResult same_codes(const Quantized &table, const IndexList &list, const Operand &y) {
  mfq_context *const device = devices().device.get();
  const DeviceMemory memory(device, list.bytes.data(), list.bytes.size());
  const ReadOperation gather = [&](mfq_context *context, const mfq_qtensor *q, const mfq_tensor *to) {
    return run_gather(context, nullptr, q, context == device ? list.at(memory.data()) : list.here(), *to);
  };
  return same_read(gather, table, y);
}

TEST_F(Embedding, RowsOfEveryNamedScheme) {
  const Shape shapes[] = {{5, 32}, {9, 70}, {1, 129}, {3, 4}};
  uint32_t seed = 0;
  for (const std::string &name : scheme_names()) {
    const mfq_scheme scheme = parse(name);
    const Shape &shape = shapes[++seed % 4];
    if (!has_axes(scheme, shape) || scheme.rotation != 0) continue;
    Quantized table(scheme, shape);
    give_everything(&table, seed);
    const Shape rows = {7, shape[1]};
    const IndexList list(type_of(seed), drawn_indices(7, shape[0], seed));
    ASSERT_TRUE(same_codes(table, list, Operand(kDtypes[seed % 3], rows, matrix_strides(rows, seed))));
  }
}

TEST_F(Embedding, RowsInEveryLayout) {
  uint32_t seed = 0;
  for (const char *text :
       {"e2m1/tensor/f32", "e3m2/channel@0/bf16", "e4m3fn/channel@1/f32", "uint4/group:5@0/f32/zp",
        "e2m1/group:16/ue4m3", "e2m1/block:4x16/ue8m0", "uint4/group:7/f32/zpf", "e3m2/group:32/ue8m0"})
    for (const mfq_layout &layout : {mfq_layout{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                     mfq_layout{MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 0},
                                     mfq_layout{MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 4},
                                     mfq_layout{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16}}) {
      const mfq_scheme scheme = parse(text);
      if (!allows(scheme, 2, layout)) continue;
      Quantized table(scheme, {13, 33}, &layout);
      give_everything(&table, ++seed);
      const IndexList list(type_of(seed), drawn_indices(6, 13, seed));
      ASSERT_TRUE(same_codes(table, list, Operand(kDtypes[seed % 3], {6, 33}))) << text << text_of(layout);
    }
}

TEST_F(Embedding, Sums) {
  uint32_t seed = 0;
  for (const TableShape &s : table_shapes())
    for (const mfq_dtype dtype : kDtypes) {
      ++seed;
      const IndexList list(type_of(seed), drawn_indices(s.count, s.rows, seed));
      const Scattering how = {s.rows > 0 && seed % 3 == 0 ? (int64_t)(seed % (uint32_t)s.rows) : -1, seed % 2 == 0};
      const Shape rows = {(int64_t)list.values.size(), s.cols}, shape = {s.rows, s.cols};
      Operand dy(kDtypes[seed % 3], rows, matrix_strides(rows, seed)),
          dweight(dtype, shape, matrix_strides(shape, seed / 2));
      dy.fill_awkward(seed);
      dweight.fill_awkward(seed + 1);
      const Call sum = [&](mfq_context *context, const mfq_tensor &from, const mfq_indices &indices,
                           const mfq_tensor &to) { return run_scatter(context, from, indices, to, how); };
      ASSERT_TRUE(same(sum, &dy, list, dweight)) << "seed " << seed;
    }
}

/* More positions than are listed at once, more rows than a block has, in both kinds of indices. */
TEST_F(Embedding, SumsOfMany) {
  for (const mfq_index_type type : {MFQ_INDEX_I32, MFQ_INDEX_I64})
    for (const int64_t rows : {1, 1500}) {
      const IndexList list(type, drawn_indices(2100, rows, 7));
      Operand dy(MFQ_DTYPE_BF16, {2100, 3}), dweight(MFQ_DTYPE_F32, {rows, 3});
      dy.fill_awkward(7, true);
      const Call sum = [&](mfq_context *context, const mfq_tensor &from, const mfq_indices &indices,
                           const mfq_tensor &to) { return run_scatter(context, from, indices, to, {}); };
      ASSERT_TRUE(same(sum, &dy, list, dweight)) << rows;
    }
}

/* Nobody on the CPU has seen the indices: the row is NaN, and a gradient goes nowhere. */
TEST_F(Embedding, IndicesThatAreNoRows) {
  const std::vector<int64_t> bad = {-1, 2, 5, INT64_MIN, 0, int64_t{1} << 32, INT64_MAX}, good = {0, 2, 0, 0, 0, 0, 0};
  for (const mfq_dtype dtype : kDtypes)
    for (const int64_t cols : {3, 16}) {
      Operand table(dtype, {5, cols}), y(dtype, {7, cols});
      table.fill_awkward(9, true);
      Operand want = y;
      expect_gathered(table, IndexList(MFQ_INDEX_I64, good), &want);
      for (const size_t row : {0, 2, 3, 5, 6})
        for (size_t j = 0; j < (size_t)cols; ++j) want.put(row * (size_t)cols + j, nearest_bits(dtype, NAN));
      const IndexList list(MFQ_INDEX_I64, bad);
      const DeviceMemory from(device(), table.bytes.data(), table.bytes.size()),
          indices(device(), list.bytes.data(), list.bytes.size());
      DeviceMemory to(device(), y.bytes.data(), y.bytes.size());
      const mfq_tensor plain = table.at(from.data()), target = y.at(to.data());
      ASSERT_EQ(run_gather(device(), &plain, nullptr, list.at(indices.data()), target), MFQ_OK) << mfq_last_error();
      EXPECT_EQ(to.read(), want.bytes);

      Quantized codes(parse("e4m3fn"), {5, cols});
      give_everything(&codes, 1);
      const DeviceQuantized there(device(), codes);
      ASSERT_EQ(run_gather(device(), nullptr, &there.q, list.at(indices.data()), target), MFQ_OK) << mfq_last_error();
      const std::vector<uint8_t> rows = to.read();
      for (const size_t row : {0, 2, 3, 5, 6})
        for (size_t j = 0; j < (size_t)cols; ++j)
          EXPECT_TRUE(std::isnan(number_of(dtype, &rows[(row * (size_t)cols + j) * mfq_dtype_bytes(dtype)])));

      Operand sums(dtype, {5, cols});
      y.fill_awkward(3, true);
      to.write(y.bytes.data());
      const DeviceMemory dweight(device(), sums.bytes.data(), sums.bytes.size());
      const mfq_tensor dy = y.at(to.data()), gradient = sums.at(dweight.data());
      ASSERT_EQ(run_scatter(device(), dy, list.at(indices.data()), gradient, {}), MFQ_OK) << mfq_last_error();
      for (size_t i = 0; i < 5 * (size_t)cols; ++i) sums.put(i, 0);
      for (const size_t row : {0, 2}) { /* of positions 4 and 1; -0 is not added to 0 in vain */
        const size_t position = row == 0 ? 4 : 1;
        for (size_t j = 0; j < (size_t)cols; ++j)
          sums.put(row * (size_t)cols + j,
                   nearest_bits(dtype, 0.0f + (float)number_at(y, position * (size_t)cols + j)));
      }
      EXPECT_EQ(dweight.read(), sums.bytes);
    }
}

/* Forward and backward of an embedding whose table is quantized, by rows and as a whole. */
TEST_F(Embedding, ByARecipe) {
  const Shape shape = {7, 32}, rows = {5, 32};
  const IndexList list(MFQ_INDEX_I32, {6, 0, 2, 2, 6});
  for (const char *text :
       {"w=mxfp4_e2m1;ste=clipped", "w=int8_tensor", "w=nvfp4", "w=int8_channel;ste=scale|identity"}) {
    mfq_recipe recipe;
    ASSERT_EQ(mfq_recipe_parse(text, &recipe), MFQ_OK) << mfq_last_error();
    Operand weight(MFQ_DTYPE_F32, shape), dy(MFQ_DTYPE_BF16, rows);
    weight.fill_awkward(3, true);
    dy.fill_awkward(4, true);
    const DeviceMemory other(device(), dy.bytes.data(), dy.bytes.size());
    const Call forward = [&](mfq_context *context, const mfq_tensor &from, const mfq_indices &indices,
                             const mfq_tensor &to) {
      mfq_embedding e;
      mfq_embedding_init(&e);
      e.recipe = &recipe;
      e.weight = &from;
      e.indices = indices;
      e.y = &to;
      size_t bytes = 0;
      EXPECT_EQ(mfq_embedding_workspace_bytes(&e, &bytes), MFQ_OK) << mfq_last_error();
      mfq_buffer *workspace = nullptr;
      EXPECT_EQ(mfq_buffer_create(context, bytes, &workspace), MFQ_OK) << mfq_last_error();
      const mfq_status status = mfq_embed(context, &e, mfq_buffer_data(workspace), bytes);
      mfq_buffer_destroy(workspace);
      return status;
    };
    const Call backward = [&](mfq_context *context, const mfq_tensor &from, const mfq_indices &indices,
                              const mfq_tensor &to) {
      const mfq_tensor gradient = context == device() ? dy.at(other.data()) : dy.here();
      mfq_embedding e;
      mfq_embedding_init(&e);
      e.recipe = &recipe;
      e.weight = &from;
      e.indices = indices;
      e.dy = &gradient;
      e.dweight = &to;
      return mfq_embed_backward(context, &e);
    };
    ASSERT_TRUE(same(forward, &weight, list, Operand(MFQ_DTYPE_BF16, rows))) << text;
    ASSERT_TRUE(same(forward, &weight, list, Operand(MFQ_DTYPE_F32, rows))) << text;
    ASSERT_TRUE(same(backward, &weight, list, Operand(MFQ_DTYPE_F32, shape))) << text;
  }
}

/* Rows that are rotated along themselves: more than a block, groups longer and shorter than rotations, and no row. */
TEST_F(Embedding, RotatedRows) {
  uint32_t seed = 0;
  for (const char *text : {"mxfp4_e2m1/hadamard:32", "nvfp4/hadamard:128:fixed",
                           "int4/group:48/f32/zp/hadamard:16:seed:9", "e4m3fn/group:16/bf16/hadamard:64"})
    for (const mfq_layout &layout : {mfq_layout{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                     mfq_layout{MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_LOGICAL, 4}}) {
      Quantized table(parse(text), {5, 384}, &layout);
      give_everything(&table, ++seed);
      const IndexList list(type_of(seed), drawn_indices(7, 5, seed));
      ASSERT_TRUE(same_codes(table, list, Operand(kDtypes[seed % 3], {7, 384}, matrix_strides({7, 384}, seed))))
          << text;
    }
  Quantized table(parse("mxfp4_e2m1/hadamard:32"), {4, 64});
  give_everything(&table, 1);
  const DeviceQuantized there(device(), table);
  const IndexList list(MFQ_INDEX_I32, {4, 1});
  Operand y(MFQ_DTYPE_F32, {2, 64});
  const DeviceMemory indices(device(), list.bytes.data(), list.bytes.size()),
      to(device(), y.bytes.data(), y.bytes.size());
  ASSERT_EQ(run_gather(device(), nullptr, &there.q, list.at(indices.data()), y.at(to.data())), MFQ_OK);
  const std::vector<uint8_t> got = to.read();
  for (size_t i = 0; i < 128; ++i) {
    float value;
    std::memcpy(&value, &got[i * sizeof value], sizeof value);
    EXPECT_EQ(std::isnan(value), i < 64) << i;
  }
}

} // namespace
