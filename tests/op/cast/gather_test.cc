// Rows of tables: of plain ones against numbers in double, of codes against the rows of the whole table, dequantized.
#include <sys/mman.h>

#include "support/indexed.h"

namespace {

using namespace mfq_test;

mfq_index_type type_of(uint32_t seed) { return seed % 2 == 0 ? MFQ_INDEX_I32 : MFQ_INDEX_I64; }

TEST(Gather, PlainRows) {
  uint32_t seed = 0;
  for (const std::string &isa : every_isa()) {
    const Context context = make_context(isa.c_str());
    for (const TableShape &s : table_shapes())
      for (const mfq_dtype from : kDtypes)
        for (const mfq_dtype to : kDtypes) {
          SCOPED_TRACE(isa + " " + std::to_string(s.rows) + " x " + std::to_string(s.cols) + " " +
                       mfq_dtype_name(from) + " to " + mfq_dtype_name(to) + ", seed " + std::to_string(++seed));
          const IndexList list(type_of(seed), drawn_indices(s.count, s.rows, seed));
          const Shape shape = {s.rows, s.cols}, rows = {(int64_t)list.values.size(), s.cols};
          Operand table(from, shape, matrix_strides(shape, seed)), y(to, rows, matrix_strides(rows, seed / 4));
          table.fill_awkward(seed);
          Operand want = y;
          expect_gathered(table, list, &want);
          const mfq_tensor plain = table.here(), target = y.here();
          ASSERT_EQ(run_gather(context.get(), &plain, nullptr, list.here(), target), MFQ_OK) << mfq_last_error();
          ASSERT_EQ(y.bytes, want.bytes);
        }
  }
}

/* NaN of every kind, ties, and what is too large for f16. */
TEST(Gather, AwkwardNumbers) {
  for (const std::string &isa : every_isa()) {
    const Context context = make_context(isa.c_str());
    for (const mfq_dtype from : kDtypes)
      for (const mfq_dtype to : kDtypes) {
        Operand table(from, {2, 16}), y(to, {3, 16});
        table.fill([&](size_t i) { return awkward_bits(from, i); });
        Operand want = y;
        const IndexList list(MFQ_INDEX_I64, {1, 0, 1});
        expect_gathered(table, list, &want);
        const mfq_tensor plain = table.here(), target = y.here();
        ASSERT_EQ(run_gather(context.get(), &plain, nullptr, list.here(), target), MFQ_OK) << mfq_last_error();
        ASSERT_EQ(y.bytes, want.bytes) << isa << ' ' << mfq_dtype_name(from) << ' ' << mfq_dtype_name(to);
      }
  }
}

/* The rows of the whole table, dequantized to the dtype of y, which has strides. */
void compare_codes(mfq_context *context, const Quantized &table, const IndexList &list, mfq_dtype dtype, uint32_t how) {
  const Shape shape = logical_shape(table), rows = {(int64_t)list.values.size(), shape[1]};
  Operand whole(dtype, shape), y(dtype, rows, matrix_strides(rows, how));
  const mfq_tensor all = whole.here(), target = y.here();
  ASSERT_EQ(mfq_dequantize(context, &table.q, &all), MFQ_OK) << mfq_last_error();
  Operand want = y;
  expect_gathered(whole, list, &want);
  ASSERT_EQ(run_gather(context, nullptr, &table.q, list.here(), target), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(y.bytes, want.bytes);
}

TEST(Gather, RowsOfEveryNamedScheme) {
  uint32_t seed = 0;
  const std::vector<std::string> isas = every_isa();
  std::vector<Context> contexts;
  for (const std::string &isa : isas) contexts.push_back(make_context(isa.c_str()));
  const Shape shapes[] = {{5, 32}, {33, 70}, {1, 129}, {3, 4}};
  for (const std::string &name : scheme_names()) {
    const mfq_scheme scheme = parse(name);
    const Shape &shape = shapes[++seed % 4];
    if (!has_axes(scheme, shape) || scheme.rotation != 0) continue;
    SCOPED_TRACE(name + " " + text_of(shape));
    Quantized table(scheme, shape);
    give_everything(&table, seed);
    const IndexList list(type_of(seed), drawn_indices(9, shape[0], seed));
    compare_codes(contexts[seed % contexts.size()].get(), table, list, kDtypes[seed % 3], seed / 3);
    if (HasFatalFailure()) return;
  }
}

/* Who shares a scale, in which format, and where everything lies. */
TEST(Gather, RowsInEveryLayout) {
  const char *const elements[] = {"e4m3fn", "e2m1", "e3m2", "uint4"};
  const char *const where[] = {"/tensor",    "/channel@0",  "/channel@1", "/group:32",
                               "/group:5@0", "/block:4x16", "/group:7"};
  const char *const scales[] = {"/f32", "/ue8m0", "/ue4m3", "/bf16", "/f32/zp", "/bf16/zpf"};
  const Shape shapes[] = {{6, 64}, {13, 33}, {1, 16}};
  const mfq_layout layouts[] = {{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                {MFQ_CODES_TRANSPOSED, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                {MFQ_CODES_LOGICAL, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 0},
                                {MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_128X4, 16},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_BYTE, MFQ_SCALES_128X4, 4}};
  std::vector<Context> contexts;
  for (const std::string &isa : every_isa()) contexts.push_back(make_context(isa.c_str()));
  uint32_t seed = 0;
  int compared = 0;
  for (const char *element : elements)
    for (const char *w : where)
      for (const char *scale : scales)
        for (const mfq_layout &layout : layouts) {
          mfq_scheme scheme;
          const std::string text = std::string(element) + w + scale;
          const Shape &shape = shapes[++seed % 3];
          if (mfq_scheme_parse(text.c_str(), &scheme) != MFQ_OK || !allows(scheme, 2, layout)) continue;
          SCOPED_TRACE(text + " " + text_of(shape) + ", seed " + std::to_string(seed));
          Quantized table(scheme, shape, &layout);
          give_everything(&table, seed);
          const IndexList list(type_of(seed), drawn_indices(5 + seed % 3, shape[0], seed));
          compare_codes(contexts[seed % contexts.size()].get(), table, list, kDtypes[seed / 2 % 3], seed / 5);
          if (HasFatalFailure()) return;
          ++compared;
        }
  EXPECT_GT(compared, 200);
}

TEST(Gather, RotatedRows) {
  for (const std::string &isa : every_isa()) {
    const Context context = make_context(isa.c_str());
    for (const char *text : {"mxfp4_e2m1/hadamard:32", "nvfp4/hadamard:16:fixed", "mxfp8_e4m3/hadamard:64:seed:5"}) {
      Quantized table(parse(text), {6, 128});
      give_everything(&table, 3);
      compare_codes(context.get(), table, IndexList(MFQ_INDEX_I32, {5, 5, 0, 3}), MFQ_DTYPE_F32, 1);
    }
  }
}

/* More rows than are copied at a time, on several threads. */
TEST(Gather, ManyRows) {
  const Context context = make_context(nullptr, 3);
  Quantized table(parse("mxfp4_e2m1"), {50, 4096});
  give_everything(&table, 1);
  compare_codes(context.get(), table, IndexList(MFQ_INDEX_I32, drawn_indices(600, 50, 2)), MFQ_DTYPE_BF16, 0);
}

/* A row that nobody asks for may lie in memory that nobody may read. */
TEST(Gather, ReadsOnlyItsRows) {
  const auto page = (size_t)4096;
  void *memory = mmap(nullptr, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 0x38, 3 * page); /* 1 in e4m3fn */
  ASSERT_EQ(mprotect(static_cast<char *>(memory) + page, page, PROT_NONE), 0);
  const IndexList list(MFQ_INDEX_I32, {2, 0});
  for (const std::string &isa : every_isa()) {
    const Context context = make_context(isa.c_str());
    Operand y(MFQ_DTYPE_F32, {2, (int64_t)page / 4}), values(MFQ_DTYPE_F32, {2, (int64_t)page});
    const mfq_tensor table = strided(memory, MFQ_DTYPE_F32, {3, (int64_t)page / 4}, {(int64_t)page / 4, 1});
    const mfq_tensor rows = y.here(), of_codes = values.here();
    ASSERT_EQ(run_gather(context.get(), &table, nullptr, list.here(), rows), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(y.bytes, std::vector<uint8_t>(2 * page, 0x38));
    Quantized codes(parse("e4m3fn"), {3, (int64_t)page});
    mfq_qtensor q = codes.q;
    q.codes = memory;
    ASSERT_EQ(run_gather(context.get(), nullptr, &q, list.here(), of_codes), MFQ_OK) << mfq_last_error();
    for (size_t i = 0; i < 2 * page; ++i) ASSERT_EQ(number_at(values, i), 1.0);
  }
  EXPECT_EQ(munmap(memory, 3 * page), 0);
}

TEST(Gather, Supported) {
  const Context fast = make_context(), reference = make_context("reference");
  mfq_support support;
  char reason[400];
  const mfq_scheme scheme = parse("mxfp8_e4m3"), rotated = parse("e2m1/group:16@0/ue8m0/hadamard:16");
  const mfq_scheme deep = parse("e4m3fn/channel@3/f32");
  ASSERT_EQ(mfq_supported(fast.get(), MFQ_OP_GATHER, &scheme, &support, reason, sizeof reason), MFQ_OK);
  EXPECT_EQ(support, MFQ_SUPPORT_FAST);
  EXPECT_STREQ(reason, "codes: copies of rows, which are dequantized");
  ASSERT_EQ(mfq_supported(reference.get(), MFQ_OP_GATHER, &scheme, &support, reason, sizeof reason), MFQ_OK);
  EXPECT_EQ(support, MFQ_SUPPORT_GENERAL);
  ASSERT_EQ(mfq_supported(fast.get(), MFQ_OP_GATHER, &rotated, &support, reason, sizeof reason), MFQ_OK);
  EXPECT_EQ(support, MFQ_SUPPORT_NO);
  EXPECT_STREQ(reason, "scheme: the scheme rotates elements of 16 rows (hadamard:16) together, so that one row has no "
                       "values of its own; rotate along the last axis, or dequantize the table");
  ASSERT_EQ(mfq_supported(fast.get(), MFQ_OP_GATHER, &deep, &support, reason, sizeof reason), MFQ_OK);
  EXPECT_EQ(support, MFQ_SUPPORT_NO);
  ASSERT_EQ(mfq_supported(fast.get(), MFQ_OP_SCATTER_ADD, &scheme, &support, reason, sizeof reason), MFQ_OK);
  EXPECT_EQ(support, MFQ_SUPPORT_FAST);
}

} // namespace
