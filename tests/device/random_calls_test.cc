// Random calls: shapes, strides, schemes, layouts and misaligned parts that nobody thought of. Device and CPU write the
// same bytes. MFQ_TEST_SEED chooses the first seed, MFQ_TEST_COUNT how many calls; drawn_cases() of 250 else.
#include "support/device.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

std::mt19937 dice;

/* 0 ... n - 1. */
int64_t pick(int64_t n) { return (int64_t)(dice() % (uint64_t)n); }
template <typename T> T one_of(std::initializer_list<T> all) { return *(all.begin() + pick((int64_t)all.size())); }
std::string one_of(const std::vector<std::string> &all) { return all[(size_t)pick((int64_t)all.size())]; }

Shape random_shape() {
  const int64_t rank = pick(8) == 0 ? pick(9) : 1 + pick(4);
  int64_t left = pick(4) == 0 ? 40000 : 4000;
  Shape shape;
  for (int64_t i = 0; i < rank; ++i) {
    const int64_t most = i + 1 == rank || pick(3) == 0 ? left : std::min<int64_t>(left, 40);
    shape.push_back(1 + pick(pick(3) == 0 ? std::min<int64_t>(8, most) : most));
    left = std::max<int64_t>(left / shape.back(), 1);
  }
  std::shuffle(shape.begin(), shape.end(), dice);
  if (rank > 0 && pick(60) == 0) shape[(size_t)pick(rank)] = 0;
  return shape;
}

/* Any order of axes, gaps, negative strides, and in inputs broadcast axes. */
Shape random_strides(const Shape &shape, bool is_input) {
  std::vector<size_t> order(shape.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (pick(2)) std::shuffle(order.begin(), order.end(), dice);
  const bool gaps = pick(2), signs = pick(3) == 0, broadcasts = is_input && pick(4) == 0;
  Shape strides(shape.size());
  int64_t step = gaps && pick(2) ? 2 : 1;
  for (size_t k = order.size(); k-- > 0;) {
    const size_t d = order[k];
    strides[d] = broadcasts && pick(2) ? 0 : signs && pick(2) ? -step : step;
    if (strides[d] == 0) continue;
    step *= std::max<int64_t>(shape[d], 1);
    if (gaps && pick(4) == 0) step += pick(4);
  }
  return strides;
}

std::string random_granularity(int64_t rank) {
  const std::string axis = rank > 0 ? "@" + std::to_string(pick(rank)) : "";
  switch (pick(6)) {
    case 0: return "/tensor";
    case 1: return "/channel" + axis;
    case 2: return "/block:" + std::to_string(1 + pick(20)) + "x" + std::to_string(1 + pick(40));
    case 3: return "/group:" + std::to_string(one_of({1, 2, 3, 5, 8, 24, 100, 300, 1000})) + axis;
    default: return "/group:" + std::to_string(one_of({16, 32, 64, 128, 256})) + axis;
  }
}

/* Many have no meaning; the library says so, and they are left out. */
std::string random_scheme(int64_t rank) {
  if (pick(10) == 0) return one_of(scheme_names());
  std::string text = pick(2) ? one_of(format_names())
                             : one_of<const char *>({"e3m0", "e4m2b6", "ue4m3fn", "int8f6", "e1m2", "uint5", "int7",
                                                     "e3m3", "e5m2fnuz", "int8n", "int2", "uint8"});
  if (pick(8) != 0) {
    text += random_granularity(rank) + one_of<const char *>({"/f32", "/bf16", "/f16", "/ue8m0", "/ue8m0", "/ue4m3"});
    if (pick(2)) text += one_of<const char *>({":floor", ":ceil", ":rceil", ":even", ":given", ":absmax"});
  }
  if (pick(4) == 0) text += "/zp";
  if (pick(4) == 0) text += "/minmax";
  if (pick(4) == 0)
    text += std::string("/round:") + one_of<const char *>({"away", "zero", "floor", "dpu", "stochastic"});
  if (pick(8) == 0) text += "/nosat";
  if (pick(8) == 0) text += "/min:0.001";
  if (pick(6) == 0) text += "/brevitas";
  return text;
}

mfq_layout random_layout(const mfq_scheme &s, size_t rank) {
  const bool is_group = s.granularity == MFQ_GRANULARITY_GROUP;
  mfq_layout layout = {};
  if (pick(2)) layout.codes = is_group ? MFQ_CODES_GROUP_LAST : rank >= 2 ? MFQ_CODES_TRANSPOSED : MFQ_CODES_LOGICAL;
  if (pick(3) == 0) layout.packing = MFQ_PACK_BYTE;
  if (is_group && s.scale >= MFQ_SCALE_UE8M0 && pick(2)) layout.scales = MFQ_SCALES_128X4;
  if (pick(2)) layout.row_align = one_of({1, 2, 4, 16, 33});
  return layout;
}

/* A scheme and a layout that fit a shape; false when this throw of the dice has no meaning. */
bool throw_call(const Shape &shape, std::string *text, mfq_scheme *scheme, mfq_layout *layout) {
  std::memset(scheme, 0, sizeof *scheme);
  *text = random_scheme((int64_t)shape.size());
  if (mfq_scheme_parse(text->c_str(), scheme) != MFQ_OK) return false;
  *layout = random_layout(*scheme, shape.size());
  mfq_qtensor probe;
  return mfq_qtensor_init(scheme, (int32_t)shape.size(), shape.data(), layout, &probe) == MFQ_OK;
}

Placement random_placement() {
  Placement at;
  at.tensor = (size_t)pick(4) * 4;
  at.codes = (size_t)pick(8);
  at.scales = (size_t)pick(4) * 4;
  at.zero_points = (size_t)pick(5);
  return pick(2) ? at : Placement{};
}

/* Parts with any bits, but those above a code that is stored in a byte. */
void fill_parts(Quantized *q, uint32_t seed) {
  give_everything(q, seed);
  const mfq_format &e = q->q.scheme.element;
  const uint8_t mask = (uint8_t)((1u << (e.is_signed + e.exp_bits + e.man_bits)) - 1);
  for (size_t i = 0; q->q.layout.packing == MFQ_PACK_BYTE && i < q->sizes.codes_bytes; ++i) q->codes[i] &= mask;
}

class RandomCalls : public OnDevice {
protected:
  static mfq_dtype dtype() { return kDtypes[pick(3)]; }
  static Operand target(const Shape &shape) { return Operand(dtype(), shape, random_strides(shape, false)); }

  void quantize(uint32_t seed, const Shape &shape, const std::string &text, const mfq_layout &layout) {
    Operand x(dtype(), shape, pick(3) ? dense_strides(shape) : random_strides(shape, true));
    x.fill_awkward(seed, pick(2) == 0);
    QuantizeCall call(text);
    call.row_layout = layout;
    call.given_seed = seed;
    call.at = random_placement();
    std::string other;
    mfq_scheme scheme;
    if (pick(2) && throw_call(shape, &other, &scheme, &call.col_layout)) call.col = other;
    ASSERT_TRUE(same_quantize(x, call));
    if (parse(text).rule != MFQ_RULE_GIVEN) {
      ASSERT_TRUE(same_fake(text, x, target(shape), pick(2), call.at));
    } else {
      Quantized q(parse(text), shape, &layout);
      give_scales(&q, seed);
      ASSERT_TRUE(same_fake_given(q, x, target(shape), call.at));
    }
  }

  void read(uint32_t seed, const Shape &shape, const mfq_scheme &scheme, const mfq_layout &layout) {
    const Placement at = random_placement();
    Quantized q(scheme, shape, &layout);
    fill_parts(&q, seed);
    const Shape padded = padded_shape(q), scales = scale_shape(q);
    ASSERT_TRUE(same_dequantize(q, target(pick(3) ? shape : padded), at));
    ASSERT_TRUE(same_read(mfq_expand_scales, q, target(pick(2) ? shape : scales), at));
    ASSERT_TRUE(same_read(mfq_expand_zero_points, q, target(pick(2) ? padded : scales), at));
    ASSERT_TRUE(same_repack(q, random_layout(scheme, shape.size()), at));
  }
};

TEST_F(RandomCalls, WriteTheSameBytes) {
  const char *first = std::getenv("MFQ_TEST_SEED"), *wanted = std::getenv("MFQ_TEST_COUNT");
  const int count = wanted != nullptr ? std::atoi(wanted) : (int)mfq_test::drawn_cases(250);
  int done = 0;
  for (uint32_t seed = first != nullptr ? (uint32_t)std::atoi(first) : 1; done < count; ++seed) {
    dice.seed(seed);
    const Shape shape = random_shape();
    std::string text;
    mfq_scheme scheme;
    mfq_layout layout;
    if (!throw_call(shape, &text, &scheme, &layout)) continue;
    SCOPED_TRACE("MFQ_TEST_SEED=" + std::to_string(seed) + ": " + text);
    for (mfq_context *context : {cpu(), device()}) ASSERT_EQ(mfq_context_set_seed(context, seed, 7), MFQ_OK);
    ASSERT_NO_FATAL_FAILURE(quantize(seed, shape, text, layout));
    ASSERT_NO_FATAL_FAILURE(read(seed, shape, scheme, layout));
    ++done;
  }
  EXPECT_EQ(done, count);
}

} // namespace
