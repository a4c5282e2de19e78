// Convolutions of every shape, scheme, layout and direction on the CPU: with oneDNN, with loops of our own, with the
// reference, under both policies.
#include <cstdlib>
#include <thread>

#include "support/conv_cases.h"
#include "support/environment.h"

namespace {

using namespace mfq_test;

/* What a context is made with. */
struct Way {
  const char *name;
  mfq_policy policy;
  const char *isa; /* NULL: the best */
  bool has_onednn;
};

std::vector<Way> ways() {
  std::vector<Way> all = {{"fast_own", MFQ_FAST, nullptr, false},
                          {"fast_reference", MFQ_FAST, "reference", false},
                          {"reproducible", MFQ_REPRODUCIBLE, nullptr, false}};
  if (has_onednn()) all.push_back({"fast_onednn", MFQ_FAST, nullptr, true});
  return all;
}

void PrintTo(const Way &way, std::ostream *out) { *out << way.name; }

Context make_way(const Way &way, int threads = 2) {
  set_onednn(way.has_onednn);
  mfq_context_options options;
  mfq_context_options_init(&options);
  options.policy = way.policy;
  options.cpu_isa = way.isa;
  options.threads = threads;
  poison_memory(&options);
  mfq_context *context = nullptr;
  EXPECT_EQ(mfq_context_create(&options, &context), MFQ_OK) << mfq_last_error();
  return Context(context);
}

/* All ways, so that the double sums of a case are computed once. */
class ConvGrid : public testing::Test {
protected:
  void SetUp() override {
    for (const Way &way : ways()) {
      contexts_.push_back(make_way(way));
      all_.push_back(contexts_.back().get());
    }
  }
  ConvVerdict near = [this](const ConvCase &x) { return conv_is_near(all_, x); };

private:
  std::vector<Context> contexts_;
  std::vector<mfq_context *> all_;
};

TEST_F(ConvGrid, Schemes) { check_conv_schemes(near, 250); }
TEST_F(ConvGrid, Layers) { check_conv_layers(near, 60); }
TEST_F(ConvGrid, Edges) { check_conv_edges(near); }
TEST_F(ConvGrid, Parameters) { check_conv_parameters(near, 450, 1000000); }
TEST_F(ConvGrid, Memory) { check_conv_memory(near, 200); }
TEST_F(ConvGrid, CodeLayouts) { check_conv_code_layouts(near, 150); }
TEST_F(ConvGrid, Groups) { check_conv_groups(near, 120); }
TEST_F(ConvGrid, Factors) { check_conv_factors(near); }
TEST_F(ConvGrid, Products) { check_conv_products(near, 150); }
TEST_F(ConvGrid, Finishes) { check_conv_finishes(near, 150); }
TEST_F(ConvGrid, Empty) { check_conv_empty(near); }

class ConvWay : public testing::TestWithParam<Way> {
protected:
  Context context = make_way(GetParam());
};

INSTANTIATE_TEST_SUITE_P(, ConvWay, testing::ValuesIn(ways()),
                         [](const auto &info) { return std::string(info.param.name); });

TEST_P(ConvWay, QuantizedResult) { check_conv_quantized_result(context.get()); }
TEST_P(ConvWay, Nan) { check_conv_nan(context.get(), GetParam().policy == MFQ_REPRODUCIBLE); }
TEST_P(ConvWay, Identity) { check_conv_identity(context.get()); }

/* Cases that take different ways inside: plain, quantized, on the way in, depthwise, a product, a quantized result. */
std::vector<ConvCase> every_kind() {
  std::vector<ConvCase> all;
  for (const mfq_conv_direction direction : kDirections)
    for (const int kind : {0, 1, 2, 3, 4}) {
      ConvCase x = usual(direction);
      set_sides(&x, conv_side(kind == 0 ? "" : "mxfp8_e4m3", kind == 2), conv_side(kind == 1 ? "nvfp4" : "mxfp4_e2m1"));
      if (kind == 3) x.groups = x.in_channels = x.out_channels = 35;
      if (kind == 4) x.filter = {1, 1}, x.padding = {}, x.quantized_result = "mxfp8_e4m3/group:32@1";
      all.push_back(x);
    }
  return all;
}

TEST_P(ConvWay, RunsAgainToTheSameBytes) {
  for (const ConvCase &x : every_kind()) ASSERT_TRUE(conv_is_equal(context.get(), context.get(), x));
}

TEST_P(ConvWay, TwoThreadsWithOnePlan) {
  const Context alone = make_way(GetParam(), 1);
  for (const ConvCase &x : every_kind()) {
    ConvCase other = x;
    other.seed = 2;
    const ConvData data[] = {ConvData(x), ConvData(other)};
    const ConvCall calls[] = {ConvCall(alone.get(), data[0]), ConvCall(alone.get(), data[1])};
    mfq_conv_plan *plan = nullptr;
    ASSERT_EQ(mfq_conv_plan_create(alone.get(), &calls[0].conv, &plan), MFQ_OK) << mfq_last_error();
    const size_t bytes = mfq_conv_workspace_bytes(plan);
    const auto repeat = [&](const ConvCall *call) {
      std::vector<uint8_t> memory(bytes + 256, kPoison);
      uint8_t *workspace = memory.data() + (size_t)(-(uintptr_t)memory.data() & 255);
      for (int i = 0; i < 10; ++i)
        if (mfq_conv_run(alone.get(), plan, &call->conv, bytes > 0 ? workspace : nullptr, bytes) != MFQ_OK)
          ADD_FAILURE() << mfq_last_error();
    };
    std::thread second(repeat, &calls[1]);
    repeat(&calls[0]);
    second.join();
    mfq_conv_plan_destroy(plan);
    for (int i = 0; i < 2; ++i) {
      ProductResult got;
      calls[i].collect(&got);
      ASSERT_EQ(got.bytes, run_conv(alone.get(), data[i]).bytes) << text_of(x);
    }
  }
}

// MFQ_REPRODUCIBLE gives the same bytes for any number of threads and any instruction set.
TEST(ConvReproducible, ThreadsAndInstructionSetsDoNotMatter) {
  const Context one = make_way({"", MFQ_REPRODUCIBLE, nullptr, false}, 1);
  const Context three = make_way({"", MFQ_REPRODUCIBLE, nullptr, false}, 3);
  const Context reference = make_way({"", MFQ_REPRODUCIBLE, "reference", false}, 2);
  for (mfq_context *other : {three.get(), reference.get()}) {
    const ConvVerdict equal = [&](const ConvCase &x) { return conv_is_equal(one.get(), other, x); };
    check_conv_schemes(equal, 60);
    check_conv_parameters(equal, 120, 400000, 5);
  }
}

// Nor does the order of memory, or which axes of a tensor merge.
TEST(ConvReproducible, MemoryDoesNotMatter) {
  const Context context = make_way({"", MFQ_REPRODUCIBLE, nullptr, false});
  for (const mfq_conv_direction direction : kDirections)
    for (const Shape &filter : {Shape{1, 1}, Shape{3, 2}})
      for (const bool quantized : {false, true}) {
        ConvCase x = usual(direction);
        x.in_channels = 64;
        x.filter = filter;
        if (filter[0] == 1) x.padding = {};
        std::vector<double> want;
        for (const Memory memory : {Memory::kDense, Memory::kOtherOrder, Memory::kGaps, Memory::kReversed}) {
          ConvSide side = conv_side(quantized ? "mxfp8_e4m3" : "", true, memory);
          side.dtype = MFQ_DTYPE_F32;
          set_sides(&x, side, side);
          x.d_memory = memory;
          ConvData data(x);
          for (const ConvTensor which : {kInput, kWeight, kOutput}) {
            if (data.sides[which] == nullptr) continue;
            SideData &there = data.side(which);
            std::vector<float> values = awkward_values(count_of(there.shape), 20 + which, true);
            for (float &v : values) v = std::fabs(v) < 1000 ? v : 1000.0f;
            there.plain->bytes = spread(*there.plain, [&](size_t i) { return float_bits(values[i]); });
            there.renew();
          }
          const ProductResult got = run_conv(context.get(), data);
          ASSERT_EQ(got.status, MFQ_OK) << mfq_last_error();
          if (want.empty()) want = got.values;
          ASSERT_EQ(got.values, want) << text_of(x) << "; " << got.description;
        }
      }
}

// mfq_conv_output_shape answers what the definition says, for drawn parameters.
TEST(ConvOutputShape, IsThatOfTheDefinition) {
  std::mt19937 random(9);
  for (int i = 0; i < 300; ++i) {
    ConvCase x = drawn(&random, MFQ_CONV_FORWARD, 1 + (size_t)i % 3, 1000);
    x.output_padding.assign(x.in.size(), 0);
    if (!x.same) repair(&x);
    const ConvData data(x);
    const Context &context = devices().cpu;
    const ConvCall call(context.get(), data);
    int32_t rank = 0;
    int64_t shape[MFQ_MAX_RANK];
    ASSERT_EQ(mfq_conv_output_shape(&call.conv, &rank, shape), MFQ_OK) << mfq_last_error() << text_of(x);
    ASSERT_EQ(Shape(shape, shape + rank), data.result_shape) << text_of(x);
  }
}

} // namespace
