// Where results go: of every producer the plain ones, rounded, and the codes are those of the float32 results; whatever the
// dtypes, strides, instruction sets and threads, and in place.
#include "support/producer.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

const Shape kShapes[] = {{2, 32, 64}, {1, 1, 32}, {3, 5, 34}, {1, 70, 256},
                         {5, 1, 128}, {2, 0, 32}, {1, 3, 0},  {2, 3, 2}};
const char *const kRow[] = {"mxfp8_e4m3",
                            "nvfp4",
                            "e4m3fn/tensor/f32",
                            "int8/channel@1/f32",
                            "int4/group:16/f32/zp",
                            "e5m2/block:32x32/ue8m0",
                            "mxfp4_e2m1/round:stochastic",
                            "e3m2"};
const char *const kCol[] = {"mxfp8_e4m3/group:32@-2", "nvfp4/group:16@1", "e4m3fn/channel@2/f32",
                            "e2m1/group:32@1/ue8m0/hadamard:32"};

/* What one call writes. */
struct Results {
  Operand plain;
  std::unique_ptr<Quantized> row, col;
  Results(const ProducerCase &c, mfq_dtype dtype, size_t strides)
      : plain(dtype, c.shape, any_strides(c.shape, strides)) {}
};

std::vector<uint8_t> bytes_of(Quantized *q) {
  std::vector<uint8_t> all = q->codes;
  all.insert(all.end(), q->scales.begin(), q->scales.end());
  all.insert(all.end(), q->zero_points.begin(), q->zero_points.end());
  const auto *scale = reinterpret_cast<const uint8_t *>(&q->tensor_scale);
  all.insert(all.end(), scale, scale + sizeof(float));
  return all;
}

/* The float32 results of a case, dense, by the general way and one thread, and what it writes besides. */
struct Reference {
  Operand results;
  std::vector<Operand> written;
  explicit Reference(ProducerCase c) : results(MFQ_DTYPE_F32, c.shape) {
    const Context context = make_context("reference", 1);
    c.strides = 0;
    Producer p(c);
    const mfq_tensor plain = results.here();
    EXPECT_EQ(p.run(context.get(), {&plain, nullptr, nullptr}), MFQ_OK) << mfq_last_error();
    written = p.written;
  }
};

void expect_written(const Producer &p, const Reference &r) {
  ASSERT_EQ(p.written.size(), r.written.size());
  for (size_t k = 0; k < r.written.size(); ++k)
    for (size_t i = 0; i < count_of(r.written[k].shape); ++i) {
      const double got = number_at(p.written[k], i), want = number_at(r.written[k], i);
      ASSERT_TRUE(got == want || (std::isnan(got) && std::isnan(want)))
          << k << ", element " << i << ": " << got << ' ' << want;
    }
}

void expect_rounded(const Operand &plain, const Operand &results) {
  for (size_t i = 0; i < count_of(results.shape); ++i) {
    uint32_t bits = 0;
    const size_t size = mfq_dtype_bytes(plain.dtype);
    std::memcpy(&bits, &plain.bytes[plain.place(i) * size], size);
    ASSERT_EQ(bits, nearest_bits(plain.dtype, (float)number_at(results, i))) << "element " << i;
  }
}

bool fits(const char *text, const Shape &shape, mfq_scheme *scheme) {
  *scheme = parse(text);
  return scheme->rotation == 0 || shape[1] % scheme->rotation == 0;
}

/* Codes of the float32 results, by mfq_quantize. */
void expect_codes(const Reference &r, const mfq_scheme &scheme, const mfq_layout *layout, Quantized *got) {
  const Context context = make_context("reference", 1);
  Quantized want(scheme, logical_shape(*got), layout);
  Operand results = r.results;
  const mfq_tensor src = results.here();
  ASSERT_EQ(mfq_quantize(context.get(), &src, &want.q, nullptr), MFQ_OK) << mfq_last_error();
  ASSERT_EQ(bytes_of(&want), bytes_of(got)) << want.difference(*got);
}

TEST(ProduceOutputs, CodesAndPlainOfOneRead) {
  const std::vector<std::string> isas = every_isa();
  const mfq_layout layouts[] = {{MFQ_CODES_LOGICAL, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0},
                                {MFQ_CODES_GROUP_LAST, MFQ_PACK_TIGHT, MFQ_SCALES_LOGICAL, 0}};
  uint32_t seed = 0;
  sample({kProducings, 8, 8, 4, 4, 3, 3, 4, isas.size()}, 240, [&](const std::vector<size_t> &at) {
    if (HasFatalFailure()) return;
    const ProducerCase c = {(Producing)at[0], kShapes[at[1]], kDtypes[at[5]], at[7], ++seed};
    SCOPED_TRACE("producer " + std::to_string(at[0]) + " " + text_of(c.shape) + ", row " + kRow[at[2]] + ", col " +
                 kCol[at[3]] + ", " + isas[at[8]] + ", seed " + std::to_string(seed) + ", outputs " +
                 std::to_string(at[4]));
    mfq_scheme row, col = parse(kCol[at[3]]);
    const mfq_layout *layout = &layouts[col.granularity == MFQ_GRANULARITY_GROUP ? seed % 2 : 0];
    const bool has_row = at[4] != 1 && fits(kRow[at[2]], c.shape, &row);
    const bool has_col = at[4] != 2 && fits(kCol[at[3]], c.shape, &col);
    const bool has_plain = at[4] != 3 || (!has_row && !has_col);
    const Reference reference(c);
    Producer p(c);
    Results to(c, kDtypes[at[6]], at[7] + 1);
    if (has_row) to.row = std::make_unique<Quantized>(row, c.shape);
    if (has_col) to.col = std::make_unique<Quantized>(col, c.shape, layout);
    const mfq_tensor plain = to.plain.here();
    const Context context = make_context(isas[at[8]].c_str(), 3);
    const mfq_outputs outputs = {given(plain, has_plain), has_row ? &to.row->q : nullptr,
                                 has_col ? &to.col->q : nullptr};
    ASSERT_EQ(p.run(context.get(), outputs), MFQ_OK) << mfq_last_error();
    ASSERT_NO_FATAL_FAILURE(expect_written(p, reference));
    if (has_plain) ASSERT_NO_FATAL_FAILURE(expect_rounded(to.plain, reference.results));
    if (has_row) ASSERT_NO_FATAL_FAILURE(expect_codes(reference, row, nullptr, to.row.get()));
    if (has_col) ASSERT_NO_FATAL_FAILURE(expect_codes(reference, col, layout, to.col.get()));
  });
}

/* Results in the memory of each input that has their shape; codes beside them that need two readings, or one. */
TEST(ProduceOutputs, InPlace) {
  const std::vector<std::string> isas = every_isa();
  const char *const texts[] = {"", "mxfp8_e4m3", "nvfp4", "e4m3fn/tensor/f32"};
  sample({isas.size(), kProducings, 2, 4, 3}, 120, [&](const std::vector<size_t> &at) {
    const ProducerCase c = {(Producing)at[1], {2, 33, 64}, MFQ_DTYPE_F32, at[2], 7};
    Producer p(c);
    if (HasFatalFailure() || c.is_pair() || at[4] >= p.in.size() || p.in[at[4]].shape != c.shape) return;
    SCOPED_TRACE(isas[at[0]] + " producer " + std::to_string(at[1]) + " in place of input " + std::to_string(at[4]) +
                 " " + texts[at[3]]);
    const Reference reference(c);
    const mfq_tensor plain = p.in[at[4]].here();
    const Context context = make_context(isas[at[0]].c_str(), 3);
    std::unique_ptr<Quantized> row;
    if (*texts[at[3]] != 0) row = std::make_unique<Quantized>(parse(texts[at[3]]), c.shape);
    ASSERT_EQ(p.run(context.get(), {&plain, row ? &row->q : nullptr, nullptr}), MFQ_OK) << mfq_last_error();
    ASSERT_NO_FATAL_FAILURE(expect_written(p, reference));
    ASSERT_NO_FATAL_FAILURE(expect_rounded(p.in[at[4]], reference.results));
    if (row) ASSERT_NO_FATAL_FAILURE(expect_codes(reference, parse(texts[at[3]]), nullptr, row.get()));
  });
}

/* Sums of columns and numbers of rows need no results. */
TEST(ProduceOutputs, SumsAlone) {
  for (const std::string &isa : every_isa())
    for (const Producing what :
         {Producing::RmsBackward, Producing::LayerBackward, Producing::GeluTanhBackward, Producing::SwigluBackward,
          Producing::ClampedBackward, Producing::BiasBackward, Producing::Loss}) {
      const ProducerCase c = {what, {3, 21, 130}, MFQ_DTYPE_BF16, 0, 3};
      SCOPED_TRACE(isa + " producer " + std::to_string((int)what));
      const Reference reference(c);
      Producer p(c);
      const Context context = make_context(isa.c_str(), 3);
      ASSERT_EQ(p.run(context.get(), {nullptr, nullptr, nullptr}), MFQ_OK) << mfq_last_error();
      ASSERT_NO_FATAL_FAILURE(expect_written(p, reference));
    }
}

/* Inputs that no number is: every way has the same bits. */
TEST(ProduceOutputs, AwkwardInputs) {
  for (const std::string &isa : every_isa())
    for (size_t what = 0; what < kProducings; ++what) {
      const ProducerCase c = {(Producing)what, {2, 40, 64}, MFQ_DTYPE_F32, 0, 11};
      SCOPED_TRACE(isa + " producer " + std::to_string(what));
      Operand want(MFQ_DTYPE_F32, c.shape), got(want);
      std::vector<Operand> written[2];
      for (const bool is_fast : {false, true}) {
        Producer p(c);
        for (size_t k = 0; k < p.in.size(); ++k) p.in[k].fill_awkward(31 + (uint32_t)k);
        const mfq_tensor plain = (is_fast ? got : want).here();
        const Context context = make_context(is_fast ? isa.c_str() : "reference", is_fast ? 3 : 1);
        ASSERT_EQ(p.run(context.get(), {&plain, nullptr, nullptr}), MFQ_OK) << mfq_last_error();
        written[is_fast] = p.written;
      }
      ASSERT_EQ(want.bytes, got.bytes);
      for (size_t k = 0; k < written[0].size(); ++k) ASSERT_EQ(written[0][k].bytes, written[1][k].bytes);
      for (size_t i = 0; i < count_of(c.shape); ++i)
        if (std::isnan(number_at(got, i))) {
          uint32_t bits;
          std::memcpy(&bits, &got.bytes[4 * i], 4);
          ASSERT_EQ(bits, 0x7fc00000u);
        }
    }
}

} // namespace
