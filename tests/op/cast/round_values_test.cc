// mfq_fake_quantize into bf16 goes by kernels that round without making codes: the same bits as mfq_quantize followed
// by mfq_dequantize, for every scheme, element type, order of axes, instruction set and number of threads.

#include "support/machine.h"
#include "support/operand.h"
#include "support/sample.h"

namespace {

using namespace mfq_test;

/* The schemes with groups: those that the kernels take, among them every MX scheme, and those that they refuse. */
std::vector<std::string> schemes() {
  // clang-format off
  std::vector<std::string> all = {
      "mxfp8_e4m3/group:7",      "mxint8/group:5",     "mxfp4_e2m1/group:16",    "mxfp8_e5m2/min:0.5",
      "mxfp6_e2m3_rceil/min:2",  "mxfp8_e5m2/nosat",   "int4n/group:32/ue8m0",   "int8/group:32/ue8m0",
      "e3m4b2/group:8/ue8m0",    "e1m2/group:32/ue8m0", "e5m0/group:32/ue8m0",    "e4m3fnuz/group:32/ue8m0",
      "mxfp8_e4m3/round:away",   "mxfp4_e2m1/group:1", "e1m6/group:32/ue8m0",  "mxfp8_e4m3/stat:minmax",
      "e7m0b160/group:8/ue8m0",  "ue4m3fn/group:32/ue8m0", "e4m3fn/group:32/f32:floor",
      "e5m2b80/group:32/ue8m0",  "e4m3b-30/group:32/ue8m0", "int6nf-9/group:32/ue8m0", "nvfp4"};
  // clang-format on
  for (const std::string &name : scheme_names()) {
    const mfq_scheme scheme = parse(name);
    if (scheme.granularity == MFQ_GRANULARITY_GROUP && scheme.scale == MFQ_SCALE_UE8M0) all.push_back(name);
  }
  return all;
}

struct Path {
  std::string isa;
  int threads;
};

void PrintTo(const Path &path, std::ostream *out) { *out << path.isa << ", " << path.threads << " threads"; }

/* Each instruction set, the best one without threads too. */
std::vector<Path> paths() {
  std::vector<Path> all = {{fast_isas_or_reference().front(), 1}};
  for (const std::string &isa : fast_isas_or_reference()) all.push_back({isa, 2});
  return all;
}

class RoundValues : public testing::TestWithParam<Path> {
protected:
  const Context context = make_context(GetParam().isa.c_str(), GetParam().threads);

  /* Values by way of codes, dense. */
  std::vector<uint16_t> wanted(const mfq_scheme &scheme, const mfq_tensor &src, const Shape &shape) {
    Quantized t(scheme, shape);
    std::vector<uint16_t> values(count_of(shape), 0xdead);
    const mfq_tensor dst = dense(values, MFQ_DTYPE_BF16, shape);
    EXPECT_EQ(mfq_quantize(context.get(), &src, &t.q, nullptr), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_dequantize(context.get(), &t.q, &dst), MFQ_OK) << mfq_last_error();
    return values;
  }

  void check(const mfq_scheme &scheme, Operand *from, const Shape &dst_strides) {
    const mfq_tensor src = from->here();
    Operand to(MFQ_DTYPE_BF16, from->shape, dst_strides);
    Operand want = to;
    const mfq_tensor dst = to.here(), want_dst = want.here();
    ASSERT_EQ(mfq_fake_quantize(context.get(), &scheme, &src, &dst, nullptr), MFQ_OK) << mfq_last_error();
    const std::vector<uint16_t> values = wanted(scheme, src, from->shape);
    Shape at(from->shape.size(), 0);
    for (const uint16_t value : values) {
      int64_t offset = 0;
      for (size_t d = 0; d < at.size(); ++d) offset += at[d] * dst_strides[d];
      static_cast<uint16_t *>(want_dst.data)[offset] = value;
      for (size_t d = at.size(); d-- > 0;) {
        if (++at[d] < from->shape[d]) break;
        at[d] = 0;
      }
    }
    if (to.bytes == want.bytes) return;
    size_t i = 0;
    while (to.bytes[i] == want.bytes[i]) ++i;
    FAIL() << "byte " << i << " of " << to.bytes.size() << " is " << (int)to.bytes[i] << ", expected "
           << (int)want.bytes[i];
  }
};

INSTANTIATE_TEST_SUITE_P(, RoundValues, testing::ValuesIn(paths()),
                         [](const auto &info) { return info.param.isa + "_" + std::to_string(info.param.threads); });

/* Strides with which the axes lie in memory in an order, outermost first. */
Shape strides_in_order(const Shape &shape, const std::vector<size_t> &order) {
  Shape strides(shape.size());
  int64_t step = 1;
  for (size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = step;
    step *= shape[order[i]];
  }
  return strides;
}

/* All bf16 numbers, in groups of 32 with a first element that is 2^above times larger, or smaller. */
std::vector<uint16_t> all_numbers(int above) {
  std::vector<uint16_t> x;
  for (uint32_t u = 0; u < 1u << 16; ++u) {
    if (x.size() % 32 == 0) {
      const int field = std::min(std::max((int)(u >> 7 & 0xff) + above, 0), 254);
      x.push_back((uint16_t)((uint32_t)field << 7 | (u * 37 & 0x807f)));
    }
    x.push_back((uint16_t)u);
  }
  while (x.size() % 32 != 0) x.push_back(0x8000);
  return x;
}

TEST_P(RoundValues, OfAllNumbers) {
  for (const std::string &name : schemes()) {
    const mfq_scheme scheme = parse(name);
    for (const int above : {-20, 0, 1, 2, 3, 4, 6, 8, 11, 16, 40}) {
      SCOPED_TRACE(name + ", leaders " + std::to_string(above) + " above");
      const std::vector<uint16_t> x = all_numbers(above);
      const Shape shape = {(int64_t)x.size()};
      std::vector<uint16_t> got(x.size(), 0xbeef);
      const mfq_tensor src = dense(x, MFQ_DTYPE_BF16, shape), dst = dense(got, MFQ_DTYPE_BF16, shape);
      ASSERT_EQ(mfq_fake_quantize(context.get(), &scheme, &src, &dst, nullptr), MFQ_OK) << mfq_last_error();
      const std::vector<uint16_t> want = wanted(scheme, src, shape);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(got[i], want[i]) << "of " << std::hex << x[i] << " in the group of " << x[i / 32 * 32];
    }
  }
}

// Every order of axes in source and target, groups along every axis.
TEST_P(RoundValues, InEveryOrder) {
  const Shape shapes[] = {{3, 5, 37, 40}, {2, 3, 64, 96}, {1, 34, 9, 3}, {2, 33, 1, 65}, {300, 1, 3, 1}};
  const mfq_scheme bases[] = {parse("mxfp8_e4m3"), parse("mxint8/group:16")};
  std::vector<std::vector<size_t>> orders(1, {0, 1, 2, 3});
  while (orders.size() < 24) {
    orders.push_back(orders.back());
    std::next_permutation(orders.back().begin(), orders.back().end());
  }
  sample({24, 24, std::size(shapes), 4, 3, 2}, 1200, [&](const std::vector<size_t> &at) {
    const Shape &shape = shapes[at[2]];
    mfq_scheme scheme = bases[at[5]];
    scheme.axis = (int32_t)at[3];
    SCOPED_TRACE(text_of(shape) + " in order " + testing::PrintToString(orders[at[0]]) + " to " +
                 testing::PrintToString(orders[at[1]]) + ", groups along " + std::to_string(scheme.axis) + ", " +
                 mfq_dtype_name(kDtypes[at[4]]));
    Operand x(kDtypes[at[4]], shape, strides_in_order(shape, orders[at[0]]));
    x.fill_awkward((uint32_t)at[0]);
    check(scheme, &x, strides_in_order(shape, orders[at[1]]));
  });
}

// A batch of images as convolutions read it, large enough for threads: channels first and last in memory, to channels
// last, groups along channels, width, height and batch.
TEST_P(RoundValues, OfImages) {
  const Shape shape = {2, 1, 18, 57, 70};
  const std::vector<size_t> orders[] = {{0, 1, 2, 3, 4}, {0, 4, 1, 2, 3}, {4, 0, 1, 2, 3}, {3, 2, 1, 0, 4}};
  const char *const names[] = {"mxfp8_e5m2", "mxfp6_e3m2_even", "mxint8_ceil"};
  const int32_t axes[] = {0, 2, 3, 4};
  sample({3, 4, 4, 3}, 60, [&](const std::vector<size_t> &at) {
    mfq_scheme scheme = parse(names[at[0]]);
    scheme.axis = axes[at[1]];
    const mfq_dtype dtype = kDtypes[at[3]];
    SCOPED_TRACE(std::string(names[at[0]]) + " along " + std::to_string(scheme.axis) + ", order " +
                 testing::PrintToString(orders[at[2]]) + ", " + mfq_dtype_name(dtype));
    Operand x(dtype, shape, strides_in_order(shape, orders[at[2]]));
    x.fill_awkward((uint32_t)at[1]);
    check(scheme, &x, dense_strides(shape));
  });
}

// Gaps, backwards, repeated elements; targets with gaps.
TEST_P(RoundValues, Strides) {
  const Shape shape = {7, 33, 68};
  const Shape from[] = {{33 * 68, 68, 1}, {4000, 100, 1}, {4000, 1, 50}, {33 * 140, 140, 2}, {-33 * 68, 68, -1},
                        {0, 68, 1},       {68, 0, 1},     {1, 7, 0},     {1, 1, 1}};
  const Shape to[] = {{33 * 68, 68, 1}, {5000, 72, 1}, {1, 7, 7 * 33}, {-68, -68 * 7, 1}, {33 * 140, 140, 2}};
  for (const Shape &src : from)
    for (const Shape &dst : to)
      for (int32_t axis = 0; axis < 3; ++axis)
        for (const mfq_dtype dtype : kDtypes) {
          mfq_scheme scheme = parse("mxfp4_e2m1");
          scheme.axis = axis;
          SCOPED_TRACE("from strides " + text_of(src) + " to " + text_of(dst) + ", groups along " +
                       std::to_string(axis) + ", " + mfq_dtype_name(dtype));
          Operand x(dtype, shape, src);
          x.fill_awkward(3);
          check(scheme, &x, dst);
          if (HasFatalFailure()) return;
        }
}

// Groups longer than anything that is buffered, single elements, nothing.
TEST_P(RoundValues, SizesOfGroups) {
  for (const int64_t size : {0, 1, 2, 31, 513, 4096, 4097, 9000})
    for (const int group : {1, 2, 33, 4096, 5000})
      for (int32_t axis = 0; axis < 2; ++axis)
        for (const mfq_dtype dtype : {MFQ_DTYPE_BF16, MFQ_DTYPE_F16}) {
          mfq_scheme scheme = parse("mxfp8_e4m3_rceil/group:" + std::to_string(group));
          scheme.axis = axis;
          for (const Shape &shape : {Shape{size, 3}, Shape{3, size}})
            for (const bool turned : {false, true}) {
              SCOPED_TRACE(text_of(shape) + ", groups of " + std::to_string(group) + " along " + std::to_string(axis));
              Operand x(dtype, shape, turned ? Shape{1, std::max<int64_t>(shape[0], 1)} : dense_strides(shape));
              x.fill_awkward((uint32_t)group);
              check(scheme, &x, dense_strides(shape));
              if (HasFatalFailure()) return;
            }
        }
}

// In place, which kernels do not do.
TEST_P(RoundValues, InPlace) {
  const Shape shape = {40, 70};
  Operand x(MFQ_DTYPE_BF16, shape);
  x.fill_awkward(8);
  const mfq_tensor src = x.here();
  const mfq_scheme scheme = parse("mxfp8_e4m3");
  const std::vector<uint16_t> want = wanted(scheme, src, shape);
  ASSERT_EQ(mfq_fake_quantize(context.get(), &scheme, &src, &src, nullptr), MFQ_OK) << mfq_last_error();
  EXPECT_EQ(std::memcmp(src.data, want.data(), x.bytes.size()), 0);
}

} // namespace
